// Stays with a process in a sandbox that somebody else has started: passes signals on and waits for its end.

import { errnoName } from "../../kernel/abi/errno.ts";
import { commandLineHost } from "../../native/host.ts";
import { becomeProgram, divertSignals, receiveLater } from "../../native/process.ts";
import type { Attendance } from "../attendant.ts";
import { handOver, send } from "../control/channel.ts";
import { decode, FRAME_BYTES_MAX, type MessageFrom, SCOPE } from "../control/protocol.ts";
import type { ContainerTerminal } from "../terminal.ts";
import { ATTEND, exitCode, FORWARDED } from "./attached.ts";
import type { GlobalFlags } from "./flags.ts";

/**
 * Waits for the end that has been asked for over `socket`: the exit code. `attendance` says of what, and what goes with it.
 * Where the launcher is at hand this process becomes it, as it does for `run`.
 */
export async function attachedTo(
  socket: number,
  attendance: Attendance,
  terminal: ContainerTerminal | null,
  flags: GlobalFlags,
): Promise<number> {
  const host = commandLineHost();
  for (const fd of terminal?.opened ?? []) host.close(fd);
  const launcher = Deno.env.get("TSVISOR_LAUNCHER");
  try {
    terminal?.caller?.makeRawGuarded();
    if (launcher !== undefined) {
      const guard = terminal?.caller?.guard ?? null;
      const fd = handOver(host, {
        kind: "attend",
        ...attendance,
        control: socket,
        diverted: divertSignals(),
        guard: guard?.pid ?? 0,
        release: guard?.release ?? -1,
        hasTerminal: terminal !== null,
        log: flags.log,
        logFormat: flags.logFormat,
      });
      const failure = becomeProgram([launcher, ATTEND, String(fd)], [
        socket,
        fd,
        ...(guard === null ? [] : [guard.release]),
      ]);
      throw new Error(`Cannot start ${launcher}: ${errnoName(-failure)}`);
    }
    return await waitHere(socket, attendance.pid, terminal !== null);
  } finally {
    terminal?.caller?.restore();
  }
}

/** A checkout has no launcher to become. */
async function waitHere(socket: number, pid: number, hasTerminal: boolean): Promise<number> {
  const host = commandLineHost();
  for (const [name, signal] of FORWARDED) {
    const message: MessageFrom<"caller"> = name === "SIGWINCH" && hasTerminal
      ? { kind: "resized", pid }
      : { kind: "signal", signal, pid, scope: SCOPE.PROCESS };
    Deno.addSignalListener(name, () => send(host, socket, message));
  }
  const bytes = new Uint8Array(FRAME_BYTES_MAX + 1);
  const { length, fds } = await receiveLater(socket, bytes);
  const frame = length > 0 ? decode(bytes, length, "role", fds.length) : null;
  // With the sandbox goes what runs in it.
  if (frame === null || typeof frame === "string" || frame.message.kind !== "exit") return 137;
  return exitCode(frame.message.status);
}

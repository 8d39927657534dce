// Runs a sandbox with the caller's stdio and signals, to its end.

import { commandLineHost } from "../../native/host.ts";
import { type Launch, launch } from "../launch.ts";
import { Stages } from "../stages.ts";
import type { ContainerTerminal } from "../terminal.ts";

const stages = new Stages("command line");

/** Signals passed on to the container's init, by number. */
const FORWARDED: readonly (readonly [Deno.Signal, number])[] = [
  ["SIGHUP", 1],
  ["SIGINT", 2],
  ["SIGQUIT", 3],
  ["SIGUSR2", 12],
  ["SIGTERM", 15],
  ["SIGWINCH", 28],
];

/** Launches and waits; the exit code: the container's status, or 128 + signal. */
export async function runAttached(
  options: Launch,
  terminal: ContainerTerminal | null,
  onStart: (pid: number, controlFd: number) => void = () => {},
): Promise<number> {
  stages.reach("arguments and bundle are read");
  const sandbox = launch(options);
  stages.reach("sentry and gofer are told");
  if (terminal !== null) releaseOpened(terminal);
  const listeners = FORWARDED.map(([name, number]) => {
    const isResize = name === "SIGWINCH" && terminal !== null;
    const listener = () => isResize ? sandbox.resized() : sandbox.signal(number);
    Deno.addSignalListener(name, listener);
    return { name, listener };
  });
  try {
    terminal?.caller?.makeRawGuarded();
    await sandbox.ready();
    stages.reach("the container runs");
    onStart(sandbox.sentryPid, sandbox.controlFd);
    const status = await sandbox.exited();
    stages.reach("sentry and gofer have ended");
    return (status & 0x7f) === 0 ? status >> 8 & 0xff : 128 + (status & 0x7f);
  } finally {
    sandbox.kill();
    if (options.sentry.isDebug && options.debugLog !== "") {
      Deno.writeTextFileSync(options.debugLog, stages.take().map((line) => `${line}\n`).join(""), {
        append: true,
      });
    }
    terminal?.caller?.restore();
    for (const { name, listener } of listeners) Deno.removeSignalListener(name, listener);
  }
}

/** The sentry has its own copies of them now. */
function releaseOpened(terminal: ContainerTerminal): void {
  const host = commandLineHost();
  for (const fd of terminal.opened) host.close(fd);
}

// The process that waits for what the command line starts in the background (native/src/attendant.rs): engines have its
// number, see it end and reap it. The launcher has made it before the command line; here it is told what to wait for.

import { errnoName } from "../kernel/abi/errno.ts";
import { commandLineHost } from "../native/host.ts";
import { type StartedRoles, waitProcess } from "../native/process.ts";
import { receive, send } from "./control/channel.ts";
import type { MessageFrom } from "./control/protocol.ts";
import { StartError } from "./start_error.ts";

/** Set by the launcher where it has made one: the descriptor of our socket to it, and its pid. */
export const ATTENDANT = "TSVISOR_ATTENDANT";

/** Longest it may take to start the roles, milliseconds. */
const START_MILLIS_MAX = 30_000;

export type Attendance = Omit<Extract<MessageFrom<"self">, { kind: "attend" }>, "kind">;

/** Of one that waits for a container or a process of it, and for nothing else. */
export const ATTENDANCE: Attendance = {
  control: -1,
  diverted: -1,
  listener: -1,
  sentry: 0,
  gofer: 0,
  pid: 0,
  guard: 0,
  release: -1,
  hasTerminal: false,
  root: "",
  id: "",
  cgroup: "",
  log: "",
  logFormat: "",
};

export class Attendant {
  readonly pid: number;
  readonly #link: number;
  readonly #host = commandLineHost();
  #isOurs = true;

  constructor(pid: number, link: number) {
    this.pid = pid;
    this.#link = link;
  }

  /** Sentry and gofer, whose parent it is. `control` is its own number for the control socket, `fds` are ours. */
  takeRoles(): { readonly roles: StartedRoles; readonly controlFd: number } {
    const received = receive(this.#host, this.#link, "self", START_MILLIS_MAX);
    const message = received !== null && received.frame !== null ? received.frame.message : null;
    if (message?.kind === "unstarted") {
      throw new StartError(`Cannot start the sandbox's processes: ${errnoName(message.errno)}`, 128);
    }
    if (
      received === null || received.frame === null || message?.kind !== "started" || received.fds.length !== 2
    ) {
      throw new StartError("Cannot start the sandbox's processes: who is to start them has ended", 128);
    }
    const [control, goferControl] = received.fds;
    const { sentry, gofer } = message;
    return { roles: { sentry, gofer, control, goferControl }, controlFd: message.control };
  }

  /** It stays when we go, and waits. `fds` stay ours: see KINDS.attend. */
  attend(attendance: Attendance, fds: readonly number[]): void {
    const message = { kind: "attend", ...attendance } as const;
    if (!send(this.#host, this.#link, message, { fds: Int32Array.from(fds) })) {
      throw new StartError("Cannot leave the container running: who is to wait for it has ended", 128);
    }
    this.#isOurs = false;
    // It hangs up once its descriptors are where others look for them.
    receive(this.#host, this.#link, "self", START_MILLIS_MAX);
  }

  /** It ends what it has started, and itself, unless it is to stay. Safe to call again. */
  dismiss(): void {
    if (!this.#isOurs) return;
    this.#isOurs = false;
    this.#host.close(this.#link);
    waitProcess(this.pid, true);
  }
}

let attendant: Attendant | null = null;

/** The one that the launcher has made for this command. Throws where there is no launcher. */
export function requireAttendant(): Attendant {
  const own = madeAttendant();
  if (own === null) {
    throw new StartError("Cannot start in the background without the launcher: use dist/tsvisor", 128);
  }
  return own;
}

function madeAttendant(): Attendant | null {
  const text = Deno.env.get(ATTENDANT);
  if (text === undefined) return attendant;
  Deno.env.delete(ATTENDANT);
  const [link, pid] = text.split(":").map(Number);
  return attendant = new Attendant(pid, link);
}

/** Ends the one that nobody has given anything to do. */
export function dismissAttendant(): void {
  madeAttendant()?.dismiss();
}

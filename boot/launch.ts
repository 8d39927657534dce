// Starts the processes of a sandbox, gofer and sentry, and stays with them: readiness, signals, the exit status.

import { errnoName } from "../kernel/abi/errno.ts";
import { commandLineHost, type NativeHost } from "../native/host.ts";
import {
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
  killProcess,
  receiveLater,
  socketPair,
  SPAWN_AMBIENT,
  SPAWN_BLOCK_USR1,
  SPAWN_DIE_WITH_PARENT,
  SPAWN_NEW_SESSION,
  SPAWN_NO_NEW_PRIVS,
  SPAWN_PRIVATE_MOUNTS,
  SPAWN_TERMINAL,
  spawnProcess,
  waitProcess,
} from "../native/process.ts";
import { nativeLibraryPath } from "../native/library.ts";
import { rememberCompiled, roleArguments } from "./code_cache.ts";
import { jsonDescriptor, sendJson } from "./descriptors.ts";
import { memoryOf } from "./host_facts.ts";
import { MESSAGE_BYTES_MAX, type SentryMessage, StartError } from "./messages.ts";
import type { GoferConfig, SentryConfig } from "./sentry_config.ts";

const SIGKILL = 9;
/** Between two looks at a sandbox's memory, while it has promised more than it may use. */
const MEASURE_MILLIS = 100;

/** Where this program stands, and whether as bundles (dist/) or as a checkout. */
const DIRECTORY = `${import.meta.dirname}/`;
const IS_BUNDLED = import.meta.url.endsWith(".js");

/** What a sandbox is made of. */
export interface Launch {
  readonly sentry: Omit<SentryConfig, "hasUserNamespace" | "isRootless">;
  readonly gofer: GoferConfig;
  /** Descriptors of the container's stdio. */
  readonly stdio: readonly [number, number, number];
  /** File that sentry and gofer log to; "" = nowhere. */
  readonly debugLog: string;
  /** For /proc/PID/oom_score_adj of sentry, gofer and guests; null = the caller's. */
  readonly oomScoreAdj: number | null;
  /** How a caller that is not root sees its files inside: as root's (a container), or as its own. */
  readonly isRootInside: boolean;
}

export class RunningSandbox {
  readonly sentryPid: number;
  readonly goferPid: number;
  readonly #host: NativeHost;
  readonly #control: number;
  readonly #buffer = new Uint8Array(MESSAGE_BYTES_MAX);
  #isOver = false;
  #meter: ReturnType<typeof setInterval> | undefined = undefined;

  constructor(host: NativeHost, sentryPid: number, goferPid: number, control: number) {
    this.#host = host;
    this.sentryPid = sentryPid;
    this.goferPid = goferPid;
    this.#control = control;
  }

  /** Our end of the control socket. */
  get controlFd(): number {
    return this.#control;
  }

  /** Waits until the container runs. Throws StartError with the sentry's reason. */
  async ready(): Promise<void> {
    const message = await this.#next();
    if (message?.kind === "ready") return;
    this.kill();
    if (message?.kind === "failed") throw new StartError(message.message, message.code);
    throw new StartError("The sentry ended before the container ran; --debug-log tells more", 128);
  }

  /** Sends a signal to the container's init. */
  signal(number: number): void {
    if (!this.#isOver) sendJson(this.#host, this.#control, { kind: "signal", signal: number });
  }

  /** The caller's terminal has changed its size. */
  resized(): void {
    if (!this.#isOver) sendJson(this.#host, this.#control, { kind: "resized" });
  }

  /** Waits for the container's end: its wait(2) status. A sentry that was killed counts as SIGKILL. */
  async exited(): Promise<number> {
    for (;;) {
      const message = await this.#next();
      if (message === null) {
        const signal = this.kill() & 0x7f;
        if (signal === SIGKILL || signal === 0) return SIGKILL;
        throw new StartError(`The sentry died of signal ${signal}; --debug-log tells more`, 128);
      }
      if (message.kind === "notice") console.error(`tsvisor: ${message.message}`);
      if (message.kind === "measure") this.#measure(message.isWanted);
      if (message.kind === "failed") {
        this.kill();
        throw new StartError(message.message, message.code);
      }
      if (message.kind !== "exit") continue;
      if (IS_BUNDLED) rememberCompiled(DIRECTORY);
      this.kill();
      return message.status;
    }
  }

  async #next(): Promise<SentryMessage | null> {
    const n = await receiveLater(this.#control, this.#buffer);
    if (n <= 0) return null;
    return JSON.parse(new TextDecoder().decode(this.#buffer.subarray(0, n))) as SentryMessage;
  }

  /** Measures for as long as it is wanted: what is promised beyond the limit may be used at any time. */
  #measure(isWanted: boolean): void {
    clearInterval(this.#meter);
    if (!isWanted) return;
    this.#meter = setInterval(() => {
      const bytes = memoryOf(this.sentryPid);
      sendJson(this.#host, this.#control, { kind: "memory", bytes });
    }, MEASURE_MILLIS);
  }

  /** Ends whatever still runs, and reaps it: wait(2) status of the sentry. Safe to call again. */
  kill(): number {
    if (this.#isOver) return 0;
    this.#isOver = true;
    clearInterval(this.#meter);
    const pids = [this.sentryPid, this.goferPid];
    for (const pid of pids) killProcess(pid, SIGKILL);
    const [status] = pids.map((pid) => waitProcess(pid, true));
    this.#host.close(this.#control);
    return Math.max(0, status);
  }
}

/** Starts gofer and sentry, both at once. */
export function launch(options: Launch): RunningSandbox {
  const host = commandLineHost();
  const [control, sentryControl] = socketPair();
  const connections = options.gofer.mounts.map(() => socketPair());
  const logFd = openPath(host, options.debugLog === "" ? "/dev/null" : options.debugLog);
  const nothing = openPath(host, "/dev/null");
  const isRoot = Deno.uid() === 0;
  const goferConfig = jsonDescriptor(host, options.gofer);
  const spawned: number[] = [nothing, logFd, goferConfig, sentryControl, ...connections.flat()];
  const servers = connections.map(([, server]) => server);
  const gofer = spawnRole({
    role: "gofer",
    fds: [nothing, nothing, logFd, goferConfig, logFd, ...servers],
    ids: isRoot ? "" : callerIds(options.isRootInside),
    moreFlags: 0,
  });
  const clients = connections.map(([client]) => client);
  const startSentry = (hasUserNamespace: boolean): number => {
    const ids = !hasUserNamespace ? "" : isRoot ? ROOT_AND_NOBODY : callerIds(options.isRootInside);
    const sentryConfig = jsonDescriptor(host, { ...options.sentry, hasUserNamespace, isRootless: !isRoot });
    spawned.push(sentryConfig);
    return spawnRole({
      role: "sentry",
      fds: [...options.stdio, sentryConfig, sentryControl, logFd, ...clients],
      ids,
      moreFlags: options.sentry.process.terminal?.isOwn === true ? SPAWN_TERMINAL : 0,
    });
  };
  let sentry = gofer < 0 ? gofer : startSentry(true);
  // A host may forbid user namespaces even to root; the others hold without.
  if (gofer > 0 && sentry < 0 && isRoot) sentry = startSentry(false);
  for (const fd of spawned) host.close(fd);
  if (sentry < 0) {
    host.close(control);
    if (gofer > 0) {
      killProcess(gofer, SIGKILL);
      waitProcess(gofer, true);
    }
    const reason = isRoot
      ? errnoName(-sentry)
      : `the caller is not root, and the host lets it have no user namespace (${errnoName(-sentry)})`;
    throw new StartError(`Cannot start the sandbox's processes: ${reason}`, 128);
  }
  const score = options.oomScoreAdj;
  if (score !== null) setOomScore([sentry, gofer], score);
  return new RunningSandbox(host, sentry, gofer, control);
}

/** uid_map and gid_map of a sentry that root starts: it becomes nobody, who exists outside and may do nothing there. */
const ROOT_AND_NOBODY = "0 0 1\n65534 65534 1\n\x000 0 1\n65534 65534 1\n";

/** The same for a caller who is not root: the one user there is; root inside, or under its own number. */
function callerIds(isRootInside: boolean): string {
  const uid = Deno.uid()!, gid = Deno.gid()!;
  return `${isRootInside ? 0 : uid} ${uid} 1\n\0${isRootInside ? 0 : gid} ${gid} 1\n`;
}

/** The guests' processes inherit it from the sentry. A score below the caller's own needs rights that it may not have. */
function setOomScore(pids: readonly number[], score: number): void {
  for (const pid of pids) {
    try {
      Deno.writeTextFileSync(`/proc/${pid}/oom_score_adj`, String(score));
    } catch {
      // As runc: an unprivileged caller's is left as it is.
    }
  }
}

function openPath(host: NativeHost, path: string): number {
  const fd = host.openForAppend(path);
  if (fd < 0) throw new StartError(`Cannot open ${path}: ${errnoName(-fd)}`, 128);
  return fd;
}

interface RoleStart {
  readonly role: "sentry" | "gofer";
  readonly fds: readonly number[];
  /** Ids of its user namespace; "" = it has none. */
  readonly ids: string;
  readonly moreFlags: number;
}

const NAMESPACES = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;

/** Starts ourselves as `role` with permissions of its own: FFI of our library, nothing else (see confinement.ts). */
function spawnRole({ role, fds, ids, moreFlags }: RoleStart): number {
  const library = nativeLibraryPath();
  // Bundled there is a file per role beside the command line's; in a checkout main.ts is all of them.
  const entry = DIRECTORY + (IS_BUNDLED ? `${role}.js` : "../main.ts");
  const argv = [
    Deno.execPath(),
    "run",
    "--quiet",
    "--no-prompt",
    "--no-config",
    "--no-lock",
    "--no-remote",
    "--no-npm",
    "--no-check",
    // Pointers to shared memory need the FFI permission whole; see docs/DECISIONS.md.
    "--allow-ffi",
    "--allow-env=TSVISOR_NATIVE",
    // Compiled whole where the code is kept: then no function is compiled while a guest waits.
    `--v8-flags=--single-threaded-gc,--max-heap-size=2048${IS_BUNDLED ? ",--no-lazy" : ""}`,
    entry,
    ...(IS_BUNDLED ? roleArguments(DIRECTORY) : [`--role=${role}`]),
  ];
  const env: Record<string, string> = {
    PATH: "/usr/bin:/bin",
    // Without one Deno asks the user database and reads what it finds there.
    HOME: "/nonexistent",
    DENO_DIR: Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME") ?? "/root"}/.cache/deno`,
    DENO_NO_UPDATE_CHECK: "1",
    NO_COLOR: "1",
    TSVISOR_NATIVE: library,
  };
  const flags = SPAWN_NEW_SESSION | SPAWN_DIE_WITH_PARENT | SPAWN_BLOCK_USR1 | SPAWN_PRIVATE_MOUNTS |
    SPAWN_NO_NEW_PRIVS | (ids === "" ? 0 : SPAWN_AMBIENT) | moreFlags;
  return spawnProcess({
    argv,
    env,
    fds,
    namespaces: NAMESPACES | (ids === "" ? 0 : CLONE_NEWUSER),
    flags,
    ids,
  });
}

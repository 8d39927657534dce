// What the CLI hands to a sentry: everything it needs to start a container, as JSON in a memfd. The CLI has checked it
// against the schemas; the sentry takes it as it is, since both are ours and the descriptor is sealed by being private.

import type { StraceStyle } from "../kernel/trace/style.ts";
import type { StubCalls } from "../platform/names.ts";
import type { SeccompProfile } from "./seccomp_profile.ts";

export interface MountConfig {
  readonly destination: string;
  /** "bind", "tmpfs", "proc", "sysfs", "devpts", "mqueue", "devtmpfs", "cgroup". */
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
  /** Which mount of the gofer a bind mount shows; -1 for the others. */
  readonly gofer: number;
  /** One that all containers of the pod share, under this name: the first that asks for it makes it. */
  readonly sharedAs?: string;
  /** What is written to it stays in memory. */
  readonly hasOverlay?: boolean;
}

export interface ProcessConfig {
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  /** A working directory that is missing is made, as runc does; otherwise it is an error. */
  readonly makesCwd: boolean;
  readonly uid: number;
  readonly gid: number;
  readonly umask: number;
  readonly additionalGids: readonly number[];
  /** Names of capabilities(7); null = all of them in permitted, effective and bounding. */
  readonly capabilities: Readonly<Record<CapabilitySetName, readonly string[]>> | null;
  readonly rlimits: readonly { readonly type: string; readonly soft: number; readonly hard: number }[];
  readonly noNewPrivileges: boolean;
  /** Its stdio belongs to its user, whatever the owner on the host is. */
  readonly ownsStdio: boolean;
  /** HOME of its user by /etc/passwd, should the environment have none. */
  readonly wantsHome: boolean;
  /** Signals with default action end it although it is an init: `do` runs a program, not a system. */
  readonly diesOfSignals: boolean;
  /** Numbers of the descriptors that it gets besides stdio, in their order; without it 3, 4 and so on. */
  readonly passedAs?: readonly number[];
  /** null = stdio are the host's descriptors as they are. */
  readonly terminal: TerminalConfig | null;
}

/** A terminal of ours for the init, copied from host descriptor 0 and to 1. */
export interface TerminalConfig {
  /** Which of 0, 1, 2 it is; the others are host descriptors. */
  readonly fds: readonly number[];
  /** Its size at the start; null = that of the host's terminal. */
  readonly size: { readonly rows: number; readonly columns: number } | null;
  /** struct termios to begin with; null = the defaults. */
  readonly settings: readonly number[] | null;
  /** The host's terminal is the sentry's controlling terminal: it hears of changes itself (--console-socket). */
  readonly isOwn: boolean;
}

export type CapabilitySetName = "bounding" | "effective" | "inheritable" | "permitted" | "ambient";

/** What becomes of a sentry whose loop does not turn. */
export interface WatchdogConfig {
  /** 0 = it is not reported. */
  readonly timeoutSeconds: number;
  readonly kills: boolean;
  /** CPU time of a step of the loop, milliseconds, beyond which it is logged; 0 = none is measured. */
  readonly stepMillis: number;
}

/** Whose namespace a container of a pod is in: "" = one of its own, or the id of the container that it shares it with. */
export interface NamespaceSharing {
  readonly pid: string;
  readonly ipc: string;
  readonly uts: string;
}

/** Of a container that is a sandbox of its own. */
export const OWN_NAMESPACES: NamespaceSharing = { pid: "", ipc: "", uts: "" };

/** A node of a device that a container is to have. Opening one that our kernel does not serve answers ENXIO. */
export interface DeviceConfig {
  /** As mknod(1): character (c, u) and block devices, FIFOs. */
  readonly type: "c" | "u" | "b" | "p";
  readonly path: string;
  readonly major: number;
  readonly minor: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** A program of the container that runs to its end before its init begins (runtime-spec config.md, startContainer). */
export interface StartHook {
  /** For a message. */
  readonly name: string;
  readonly process: ProcessConfig;
  /** What it reads from stdin: the container's state. */
  readonly input: string;
  /** Longest it may take; 0 = as long as it wants. */
  readonly timeoutSeconds: number;
}

/** A file that a container finds in the place of what its root has there; one that is ours to say. */
export interface FileConfig {
  readonly path: string;
  readonly text: string;
}

/** What a container is started from. */
export interface ContainerConfig {
  readonly id: string;
  /** Of the root container all are its own. The network is always the sandbox's. */
  readonly sharing: NamespaceSharing;
  /** Mounts of its gofer, the root's first: what each may do. */
  readonly gofers: readonly { readonly isReadOnly: boolean; readonly isExclusive: boolean }[];
  readonly root: { readonly isReadOnly: boolean; readonly hasOverlay: boolean };
  /** Bytes that changes below one overlay may take; null = half of the sandbox's memory. */
  readonly overlayBytesMax: number | null;
  readonly mounts: readonly MountConfig[];
  /** After the mounts, where they have a place. */
  readonly files?: readonly FileConfig[];
  /** Hidden, and shown read-only, where they exist. */
  readonly maskedPaths: readonly string[];
  readonly readonlyPaths: readonly string[];
  /** Values below /proc/sys by their names with dots. */
  readonly sysctl: Readonly<Record<string, string>>;
  /** Nodes that are made besides those of /dev. */
  readonly devices: readonly DeviceConfig[];
  readonly process: ProcessConfig;
  /** What its processes may call; null = everything. */
  readonly seccomp: SeccompProfile | null;
  readonly hostname: string;
  readonly domainname: string;
  readonly tasksMax: number;
  /** Its init waits for the word to run (create, then start). */
  readonly isHeld: boolean;
  /** Between the word and the init, one after the other; of one that is held. */
  readonly startHooks: readonly StartHook[];
}

/** What a kernel is booted from: limits of the whole sandbox, and what it shows of the host. */
export interface KernelConfig {
  readonly cpuCount: number;
  readonly memoryTotalBytes: number;
  readonly tasksMax: number;
  readonly memoryBytesMax: number;
  readonly host: { readonly cpuinfo: string; readonly hwcap: number; readonly hwcap2: number };
}

/** What a container that is run by hand (`do`, `run`) may be asked for besides. */
export interface RunExtras {
  /** The reason of its program's death is printed in one line. */
  readonly explains: boolean;
  /** After this long it is ended, with LATE_CODE; 0 = never. */
  readonly timeoutSeconds: number;
  /** Its root is the host's, whose users' password hashes it does not see. */
  readonly hidesPasswords: boolean;
  /** Paths of files that are copied out when it has ended, each into a descriptor that the sentry is given last. */
  readonly outputs: readonly string[];
}

export const NO_EXTRAS: RunExtras = {
  explains: false,
  timeoutSeconds: 0,
  hidesPasswords: false,
  outputs: [],
};

/** Exit code of a program that has taken too long, as of timeout(1). */
export const LATE_CODE = 124;

/** A sandbox with its root container. */
export interface SentryConfig extends KernelConfig, ContainerConfig, RunExtras {
  readonly platform: "systrap" | "ptrace";
  /** Call sites of guests may be patched; a platform that does not, does not. */
  readonly mayPatch: boolean;
  /** Which calls of the host guest code reaches in its stub (platform/names.ts). */
  readonly stubCalls: StubCalls;
  readonly watchdog: WatchdogConfig;
  /** The stages of its start go to the log. */
  readonly isDebug: boolean;
  readonly strace: boolean;
  /** Names of the calls it shows; empty = all. */
  readonly straceCalls: readonly string[];
  readonly straceStyle: StraceStyle;
  readonly isLenient: boolean;
  /**
   * Guests' processes and threads that the host lets the sandbox have at most, for good. At least tasksMax; more where a cgroup
   * keeps to the limit, since `update` may raise that.
   */
  readonly processesMax: number;
}

/** What a container uses, by its kernel's count. */
export interface Statistics {
  readonly cpuNanos: number;
  readonly tasks: number;
  readonly tasksMax: number;
}

/** What goes to a sentry with a further container (`join`): configuration, stdin, stdout, stderr, its gofer, what its init gets. */
export const JOIN_STDIO = 1;
export const JOIN_GOFER = 4;
export const JOIN_PASSED = 5;

/** What goes to the sentry with it: stdin, stdout, stderr, log, the socket to the gofer, and what the init gets from 3 on. */
export const SENTRY_LOG = 3;
export const SENTRY_GOFER = 4;
export const SENTRY_PASSED = 5;
/** The same for the gofer: log, and its end of that socket. */
export const GOFER_SOCKET = 1;

export interface GoferConfig {
  /** What it serves; with the host's mounts below it where it is recursive. */
  readonly mounts: readonly {
    readonly path: string;
    readonly isReadOnly: boolean;
    readonly isRecursive: boolean;
  }[];
  readonly isLenient: boolean;
  readonly isDebug: boolean;
}

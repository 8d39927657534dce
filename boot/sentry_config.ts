// What the CLI hands to a sentry: everything it needs to start a container, as JSON in a memfd. The CLI has checked it
// against the schemas; the sentry takes it as it is, since both are ours and the descriptor is sealed by being private.

/** Numbers of the sentry's inherited descriptors: 0..2 are the container's stdio. */
export const SENTRY_FDS = { config: 3, control: 4, log: 5, firstGofer: 6 } as const;
/** The same for the gofer. */
export const GOFER_FDS = { config: 3, log: 4, firstMount: 5 } as const;

export interface MountConfig {
  readonly destination: string;
  /** "bind", "tmpfs", "proc", "sysfs", "devpts", "mqueue", "devtmpfs", "cgroup". */
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
  /** Which gofer connection serves a bind mount; -1 for the others. */
  readonly gofer: number;
}

export interface ProcessConfig {
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly uid: number;
  readonly gid: number;
  readonly umask: number;
  readonly additionalGids: readonly number[];
  /** Names of capabilities(7); null = all of them in permitted, effective and bounding. */
  readonly capabilities: Readonly<Record<CapabilitySetName, readonly string[]>> | null;
  readonly rlimits: readonly { readonly type: string; readonly soft: number; readonly hard: number }[];
  readonly noNewPrivileges: boolean;
  readonly terminal: boolean;
}

export type CapabilitySetName = "bounding" | "effective" | "inheritable" | "permitted" | "ambient";

export interface SentryConfig {
  readonly id: string;
  readonly platform: "systrap" | "ptrace";
  readonly strace: boolean;
  /** Gofer connections, the root's first: what each may do. */
  readonly gofers: readonly { readonly isReadOnly: boolean; readonly isExclusive: boolean }[];
  readonly root: { readonly isReadOnly: boolean; readonly hasOverlay: boolean };
  readonly mounts: readonly MountConfig[];
  readonly process: ProcessConfig;
  readonly hostname: string;
  readonly domainname: string;
  readonly cpuCount: number;
  readonly memoryTotalBytes: number;
  readonly tasksMax: number;
  readonly memoryBytesMax: number;
  readonly host: { readonly cpuinfo: string; readonly hwcap: number; readonly hwcap2: number };
  readonly isLenient: boolean;
}

export interface GoferConfig {
  readonly mounts: readonly { readonly path: string; readonly isReadOnly: boolean }[];
  readonly isLenient: boolean;
}

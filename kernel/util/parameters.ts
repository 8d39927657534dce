// Kernel parameters that root of a container may write and that take effect here: the numbers behind /proc/sys
// (fs/proc/proc_sys_parameters.ts), with Linux's values after boot. Linux: Documentation/admin-guide/sysctl.
//
// A limit that is raised is still bounded by the kernel's account of memory (util/kernel_memory.ts).

/** What all containers of the sandbox share. */
export class Parameters {
  /** kernel.pid_max: process ids are below it. */
  pidMax = 32_768;
  /** kernel.threads-max; the sandbox's own limit of tasks holds beside it. */
  threadsMax = Infinity;
  /** kernel.randomize_va_space: 0 nothing, 1 stack and mappings, 2 the heap too. */
  randomizeAddresses = 2;
  /** kernel.dmesg_restrict. */
  restrictsKernelLog = 1;
  /** fs.file-max: open files of the sandbox. */
  filesMax = 1024 * 1024;
  /** fs.nr_open: bound of RLIMIT_NOFILE. */
  descriptorsMax = 1024 * 1024;
  /** fs.pipe-max-size: the largest pipe without CAP_SYS_RESOURCE, in bytes. */
  pipeBytesMax = 1024 * 1024;
  /** fs.pipe-user-pages-soft and -hard: pages in pipes of an unprivileged user; 0 = no limit. */
  pipePagesSoft = 16_384;
  pipePagesHard = 0;
  /** fs.mount-max: mounts in one namespace. */
  mountsMax = 10_000;
  /** fs.inotify. */
  inotifyEventsMax = 16_384;
  inotifyInstancesMax = 128;
  inotifyWatchesMax = 65_536;
  /** fs.epoll.max_user_watches. */
  epollWatchesMax = 1_000_000;
  /** fs.protected_hardlinks, _symlinks, _regular, _fifos: sticky directories that anyone may write. */
  protectedHardlinks = 1;
  protectedSymlinks = 1;
  protectedRegular = 1;
  protectedFifos = 0;
  /** fs.suid_dumpable: what prctl(PR_GET_DUMPABLE) says after execve(2) of a set-id program. */
  dumpableAfterSetid = 0;
  /** vm.max_map_count. */
  mappingsMax = 65_530;
  /** vm.overcommit_memory: with 1 a process may promise itself more than the sandbox has. */
  overcommitMode = 0;
  readonly namespaces = new NamespaceLimits();
  /** Parameters that only the host's kernel could obey: kept and shown. By path below /proc/sys. */
  readonly kept = new Map<string, number>();
}

/** Names of the parameters of `Of` that are numbers. */
export type ParameterName<Of> = { [Name in keyof Of]: Of[Name] extends number ? Name : never }[keyof Of];

/** What belongs to one IPC namespace. */
export class IpcParameters {
  /** kernel.msgmax, msgmnb, msgmni. */
  messageBytesMax = 8192;
  queueBytes = 16_384;
  queuesMax = 32_000;
  /** kernel.sem: SEMMSL, SEMMNS, SEMOPM, SEMMNI. */
  semaphoresPerSetMax = 32_000;
  semaphoresMax = 1_024_000_000;
  operationsMax = 500;
  setsMax = 32_000;
  /** kernel.shmmax and shmall (pages): ULONG_MAX - 2^24 where nobody has set them, which is Infinity here. */
  segmentBytesMax = Infinity;
  segmentPagesMax = Infinity;
  /** kernel.shmmni. */
  segmentsMax = 4096;
  /** fs.mqueue. */
  mqueuesMax = 256;
  mqueueMessagesMax = 10;
  mqueueMessagesDefault = 10;
  mqueueBytesMax = 8192;
  mqueueBytesDefault = 8192;
}

/** user.max_*_namespaces: how many of a kind a user may have. */
export class NamespaceLimits {
  uts = 32_768;
  ipc = 32_768;
  mnt = 32_768;
  net = 32_768;
  pid = 32_768;
}

/** A namespace in the count of the user who made it: inc_ucount(). */
export class NamespaceCharge {
  readonly #counts: NamespaceLimits;
  readonly #kind: keyof NamespaceLimits;

  constructor(counts: NamespaceLimits, kind: keyof NamespaceLimits) {
    this.#counts = counts;
    this.#kind = kind;
    counts[kind]++;
  }
  /** The namespace has gone. */
  give(): void {
    this.#counts[this.#kind]--;
  }
}

/** Counts of a user who has none yet. */
export function noNamespaces(): NamespaceLimits {
  return { uts: 0, ipc: 0, mnt: 0, net: 0, pid: 0 };
}

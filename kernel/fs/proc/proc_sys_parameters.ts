// Sysctls that are numbers and can be written: their files in /proc/sys, with the bounds Linux checks. Linux: tables of
// struct ctl_table in kernel/sysctl.c, ipc/ipc_sysctl.c, fs/*.c; proc_dointvec_minmax(), proc_doulongvec_minmax().

import { EINVAL, EPERM, ERANGE } from "../../abi/errno.ts";
import { CAP_CHECKPOINT_RESTORE, CAP_SYS_ADMIN } from "../../abi/task.ts";
import { MESSAGE_BYTES_HARD_MAX, MESSAGES_HARD_MAX } from "../../ipc/mqueue.ts";
import type { Task } from "../../task/task.ts";
import type { IpcParameters, NamespaceLimits, ParameterName, Parameters } from "../../util/parameters.ts";
import type { Accept, Generate } from "../virtual.ts";
import type { ProcFilesystem } from "./proc.ts";

const INT_MAX = 0x7fff_ffff;
const ULONG_MAX = 2 ** 64;
/** Numbers are doubles: the next one that there is. */
const LONG_MAX = 2 ** 63;
/** IPCMNI: objects of one kind in an IPC namespace. */
const IPC_OBJECTS_MAX = 32_768;
/** RESERVED_PIDS + 1, PID_MAX_LIMIT: kernel/pid.c. */
const PID_MAX_LEAST = 301, PID_MAX_MOST = 4_194_304;
/** FUTEX_TID_MASK bounds kernel.threads-max. */
const THREADS_MOST = 0x3fff_ffff;
/** A number's text is at most so long: TMPBUFLEN of proc_get_long(). */
const DIGITS_MAX = 21;
/** What shmmax and shmall show while nobody has set them: ULONG_MAX - 2^24. */
const UNLIMITED_TEXT = "18446744073692774399";

/** The field a file shows, and the least and largest value it takes. */
type Bounded<Of> = readonly [name: ParameterName<Of>, least: number, most: number];

/** Of the whole sandbox. */
const SHARED: Readonly<Record<string, Bounded<Parameters>>> = {
  "kernel/dmesg_restrict": ["restrictsKernelLog", 0, 1],
  "kernel/pid_max": ["pidMax", PID_MAX_LEAST, PID_MAX_MOST],
  "kernel/randomize_va_space": ["randomizeAddresses", 0, 2],
  "fs/epoll/max_user_watches": ["epollWatchesMax", 0, INT_MAX],
  "fs/file-max": ["filesMax", 0, LONG_MAX],
  "fs/inotify/max_queued_events": ["inotifyEventsMax", 0, INT_MAX],
  "fs/inotify/max_user_instances": ["inotifyInstancesMax", 0, INT_MAX],
  "fs/inotify/max_user_watches": ["inotifyWatchesMax", 0, INT_MAX],
  "fs/mount-max": ["mountsMax", 1, INT_MAX],
  // sysctl_nr_open_min, sysctl_nr_open_max of fs/file.c.
  "fs/nr_open": ["descriptorsMax", 64, 0x7fff_ffc0],
  "fs/pipe-user-pages-hard": ["pipePagesHard", 0, ULONG_MAX],
  "fs/pipe-user-pages-soft": ["pipePagesSoft", 0, ULONG_MAX],
  "fs/protected_fifos": ["protectedFifos", 0, 2],
  "fs/protected_hardlinks": ["protectedHardlinks", 0, 1],
  "fs/protected_regular": ["protectedRegular", 0, 2],
  "fs/protected_symlinks": ["protectedSymlinks", 0, 1],
  "fs/suid_dumpable": ["dumpableAfterSetid", 0, 2],
  "user/max_inotify_instances": ["inotifyInstancesMax", 0, INT_MAX],
  "user/max_inotify_watches": ["inotifyWatchesMax", 0, INT_MAX],
  "vm/max_map_count": ["mappingsMax", 0, INT_MAX],
  "vm/overcommit_memory": ["overcommitMode", 0, 2],
};

/** Of an IPC namespace. */
const OF_IPC: Readonly<Record<string, Bounded<IpcParameters>>> = {
  "kernel/msgmax": ["messageBytesMax", 0, INT_MAX],
  "kernel/msgmnb": ["queueBytes", 0, INT_MAX],
  "kernel/msgmni": ["queuesMax", 0, IPC_OBJECTS_MAX],
  "kernel/shmall": ["segmentPagesMax", 0, ULONG_MAX],
  "kernel/shmmax": ["segmentBytesMax", 0, ULONG_MAX],
  "kernel/shmmni": ["segmentsMax", 0, IPC_OBJECTS_MAX],
  "fs/mqueue/msg_default": ["mqueueMessagesDefault", 1, MESSAGES_HARD_MAX],
  "fs/mqueue/msg_max": ["mqueueMessagesMax", 1, MESSAGES_HARD_MAX],
  "fs/mqueue/msgsize_default": ["mqueueBytesDefault", 128, MESSAGE_BYTES_HARD_MAX],
  "fs/mqueue/msgsize_max": ["mqueueBytesMax", 128, MESSAGE_BYTES_HARD_MAX],
  "fs/mqueue/queues_max": ["mqueuesMax", 0, INT_MAX],
};

/** How many namespaces a user may have. */
const OF_NAMESPACES: readonly ParameterName<NamespaceLimits>[] = ["uts", "ipc", "mnt", "net", "pid"];

/**
 * What only the host's kernel could obey, or what concerns facilities that are not here: kept and shown. Value after
 * boot, least, most.
 */
const KEPT: Readonly<Record<string, readonly [first: number, least: number, most: number]>> = {
  "kernel/auto_msgmni": [0, 0, 1],
  "kernel/core_pipe_limit": [0, 0, INT_MAX],
  "kernel/core_uses_pid": [0, -INT_MAX, INT_MAX],
  "kernel/ctrl-alt-del": [0, -INT_MAX, INT_MAX],
  "kernel/hung_task_timeout_secs": [0, 0, INT_MAX],
  "kernel/keys/maxbytes": [20_000, 0, INT_MAX],
  "kernel/keys/maxkeys": [200, 0, INT_MAX],
  "kernel/keys/root_maxbytes": [25_000_000, 0, INT_MAX],
  "kernel/keys/root_maxkeys": [1_000_000, 0, INT_MAX],
  "kernel/kptr_restrict": [1, 0, 2],
  "kernel/numa_balancing": [0, 0, 2],
  "kernel/overflowgid": [65_534, 0, 65_535],
  "kernel/overflowuid": [65_534, 0, 65_535],
  "kernel/panic": [0, -INT_MAX, INT_MAX],
  "kernel/panic_on_oops": [0, -INT_MAX, INT_MAX],
  "kernel/perf_event_paranoid": [2, -INT_MAX, INT_MAX],
  "kernel/print-fatal-signals": [0, -INT_MAX, INT_MAX],
  "kernel/sched_autogroup_enabled": [1, 0, 1],
  "kernel/sched_rr_timeslice_ms": [100, -INT_MAX, INT_MAX],
  "kernel/sched_rt_period_us": [1_000_000, 1, INT_MAX],
  "kernel/sched_rt_runtime_us": [950_000, -1, INT_MAX],
  "kernel/sysctl_writes_strict": [1, -1, 1],
  "kernel/sysrq": [0, 0, INT_MAX],
  "fs/aio-max-nr": [65_536, 0, ULONG_MAX],
  "fs/dir-notify-enable": [1, -INT_MAX, INT_MAX],
  "fs/lease-break-time": [45, 0, INT_MAX],
  "fs/leases-enable": [1, -INT_MAX, INT_MAX],
  "fs/overflowgid": [65_534, 0, 65_535],
  "fs/overflowuid": [65_534, 0, 65_535],
  "vm/admin_reserve_kbytes": [8192, 0, ULONG_MAX],
  "vm/compact_unevictable_allowed": [1, 0, 1],
  "vm/dirty_background_bytes": [0, 1, ULONG_MAX],
  "vm/dirty_background_ratio": [10, 0, 100],
  "vm/dirty_bytes": [0, 8192, ULONG_MAX],
  "vm/dirty_expire_centisecs": [3000, 0, INT_MAX],
  "vm/dirty_ratio": [20, 0, 100],
  "vm/dirty_writeback_centisecs": [500, 0, INT_MAX],
  "vm/laptop_mode": [0, -INT_MAX, INT_MAX],
  "vm/legacy_va_layout": [0, 0, INT_MAX],
  "vm/min_free_kbytes": [67_584, 0, INT_MAX],
  "vm/nr_hugepages": [0, 0, ULONG_MAX],
  "vm/nr_overcommit_hugepages": [0, 0, ULONG_MAX],
  "vm/oom_dump_tasks": [1, -INT_MAX, INT_MAX],
  "vm/oom_kill_allocating_task": [0, -INT_MAX, INT_MAX],
  "vm/overcommit_ratio": [50, 0, INT_MAX],
  "vm/page-cluster": [3, 0, 31],
  "vm/panic_on_oom": [0, 0, 2],
  "vm/stat_interval": [1, -INT_MAX, INT_MAX],
  "vm/swappiness": [60, 0, 200],
  "vm/user_reserve_kbytes": [131_072, 0, ULONG_MAX],
  "vm/vfs_cache_pressure": [100, 0, INT_MAX],
  "vm/zone_reclaim_mode": [0, 0, INT_MAX],
};

type Add = (path: string, text: Generate, accept: Accept) => void;

/** Calls `add` for each file. */
export function addParameters(fs: ProcFilesystem, add: Add): void {
  const { kernel } = fs;
  const { parameters } = kernel;
  for (const [path, [name, least, most]] of Object.entries(SHARED)) {
    addNumber(add, path, least, most, () => parameters[name], (_task, value) => parameters[name] = value);
  }
  for (const [path, [name, least, most]] of Object.entries(OF_IPC)) {
    const of = (task: Task) => task.namespaces.ipc.parameters;
    addNumber(add, path, least, most, (task) => of(task)[name], (task, value) => {
      of(task)[name] = value > LONG_MAX ? Infinity : value;
    });
  }
  for (const name of OF_NAMESPACES) {
    const { namespaces } = parameters;
    const get = () => namespaces[name], set = (_task: Task, value: number) => namespaces[name] = value;
    addNumber(add, `user/max_${name}_namespaces`, 0, INT_MAX, get, set);
  }
  for (const [path, [first, least, most]] of Object.entries(KEPT)) {
    const { kept } = parameters;
    addNumber(add, path, least, most, () => kept.get(path) ?? first, (_task, value) => kept.set(path, value));
  }
  addNumber(
    add,
    "kernel/threads-max",
    1,
    THREADS_MOST,
    () => Math.min(parameters.threadsMax, kernel.limits.tasksMax),
    (_task, value) => parameters.threadsMax = value,
  );
  // round_pipe_size(): whole pages, by powers of two.
  addNumber(add, "fs/pipe-max-size", 1, INT_MAX, () => parameters.pipeBytesMax, (_task, value) => {
    parameters.pipeBytesMax = Math.max(4096, 2 ** Math.ceil(Math.log2(value)));
  });
  add("kernel/ns_last_pid", () => `${fs.pids.lastNumber}\n`, setLastPid);
  add("kernel/sem", semaphoresText, setSemaphores);
  add("vm/drop_caches", () => "0\n", (_task, text, offset) => {
    const values: number[] = [];
    return offset > 0 ? 0 : readNumbers(text, values, 1, 1, 4);
  });
}

/** A file of one number. */
function addNumber(
  add: Add,
  path: string,
  least: number,
  most: number,
  get: (task: Task) => number,
  set: (task: Task, value: number) => void,
): void {
  const text: Generate = (task) => {
    const value = get(task);
    if (value === Infinity) return `${UNLIMITED_TEXT}\n`;
    return value === LONG_MAX
      ? "9223372036854775807\n"
      : `${value > Number.MAX_SAFE_INTEGER ? BigInt(value) : value}\n`;
  };
  add(path, text, (task, written, offset) => {
    // sysctl_writes_strict: what follows the first write is not a number of its own.
    if (offset > 0) return 0;
    const values: number[] = [];
    const result = readNumbers(written, values, 1, least, most);
    if (result >= 0) set(task, values[0]);
    return result;
  });
}

/**
 * Reads up to `count` numbers, each from `least` to `most`: proc_get_long(). How many bytes they took, 0 for all of them,
 * or -EINVAL.
 */
function readNumbers(text: string, into: number[], count: number, least: number, most: number): number {
  const number = /\s*(-?(?:0[xX][0-9a-fA-F]+|\d+))(?=[ \t\n]|$)/y;
  let end = 0;
  while (into.length < count) {
    number.lastIndex = end;
    const match = number.exec(text);
    if (match === null) {
      if (into.length === 0 || /\S/.test(text.slice(end))) return -EINVAL;
      return 0;
    }
    const value = valueOf(match[1]);
    if (match[1].length > DIGITS_MAX || value < least || value > most) return -EINVAL;
    into.push(value);
    end = number.lastIndex;
  }
  while (end < text.length && /\s/.test(text[end])) end++;
  return end === text.length ? 0 : end;
}

/** Base 0 of simple_strtoul(): 0x is hexadecimal, another 0 in front octal. */
function valueOf(text: string): number {
  const isNegative = text.startsWith("-");
  const digits = isNegative ? text.slice(1) : text;
  const isOctal = /^0[0-7]+$/.test(digits);
  const value = isOctal ? parseInt(digits, 8) : Number(digits);
  return isNegative ? -value : value;
}

function semaphoresText(task: Task): string {
  const { semaphoresPerSetMax, semaphoresMax, operationsMax, setsMax } = task.namespaces.ipc.parameters;
  return `${semaphoresPerSetMax}\t${semaphoresMax}\t${operationsMax}\t${setsMax}\n`;
}

/** proc_ipc_sem_dointvec(): fewer than four numbers leave the others as they are. */
function setSemaphores(task: Task, text: string, offset: number): number {
  if (offset > 0) return 0;
  const values: number[] = [];
  const result = readNumbers(text, values, 4, -INT_MAX, INT_MAX);
  if (result < 0) return result;
  // sem_check_semmni()
  if (values.length === 4 && (values[3] < 0 || values[3] > IPC_OBJECTS_MAX)) return -ERANGE;
  const { parameters } = task.namespaces.ipc;
  parameters.semaphoresPerSetMax = values[0];
  parameters.semaphoresMax = values[1] ?? parameters.semaphoresMax;
  parameters.operationsMax = values[2] ?? parameters.operationsMax;
  parameters.setsMax = values[3] ?? parameters.setsMax;
  return result;
}

/** pid_ns_ctl_handler(): the namespace of the writer. */
function setLastPid(task: Task, text: string, offset: number): number {
  const { credentials } = task;
  if (!credentials.has(CAP_SYS_ADMIN) && !credentials.has(CAP_CHECKPOINT_RESTORE)) return -EPERM;
  if (offset > 0) return 0;
  const values: number[] = [];
  const result = readNumbers(text, values, 1, 0, task.kernel.parameters.pidMax - 1);
  if (result >= 0) task.pid.namespace.lastNumber = values[0];
  return result;
}

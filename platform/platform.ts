// What the kernel sees of the machine: the interfaces that systrap, ptrace and kvm implement. Nothing above this file
// depends on which platform runs. Results are >= 0 or -ERRNO. Addresses and sizes are numbers below 2^47.

/** Indices into GuestThread's registers, in the order of struct user_regs_struct of ptrace(2), x86-64. */
export const REG = {
  R15: 0,
  R14: 1,
  R13: 2,
  R12: 3,
  RBP: 4,
  RBX: 5,
  R11: 6,
  R10: 7,
  R9: 8,
  R8: 9,
  RAX: 10,
  RCX: 11,
  RDX: 12,
  RSI: 13,
  RDI: 14,
  ORIG_RAX: 15,
  RIP: 16,
  CS: 17,
  EFLAGS: 18,
  RSP: 19,
  SS: 20,
  FS_BASE: 21,
  GS_BASE: 22,
} as const;
export const REGS_COUNT = 23;

/** Why a guest thread came back to the sentry. */
export const EVENT = {
  NONE: 0,
  /** A system call: number in ORIG_RAX, arguments in the registers. */
  SYSCALL: 1,
  /** A hardware fault that became a signal: see `fault` fields. */
  FAULT: 2,
  /** interrupt() took effect. */
  INTERRUPTED: 3,
  /** The host thread or process is gone (killed, out of memory). */
  DEAD: 4,
} as const;

/** The CPU fault of the last FAULT event, as in siginfo and the signal frame. */
export class Fault {
  signal = 0;
  code = 0;
  address = 0;
  /** x86 trap number (14 = page fault) and error code (bit 1 = write, bit 4 = instruction fetch). */
  trap = 0;
  error = 0;

  /** The host itself could not write to the guest's memory, at no place that it tells. */
  setByHost(signal: number): void {
    this.setSignal(signal);
    this.code = SI_KERNEL;
    this.address = this.trap = this.error = 0;
  }

  /** Takes over a signal that a stub names: one that is no fault's becomes SIGSEGV. */
  setSignal(signal: number): void {
    this.signal = FAULT_SIGNALS.has(signal) ? signal : 11;
  }
}
const SI_KERNEL = 0x80;
/** SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV. */
const FAULT_SIGNALS: ReadonlySet<number> = new Set([4, 5, 7, 8, 11]);

/** Counters of a host process or thread. Times are coarse: they say how CPU time divides, no more. */
export class HostUsage {
  userTicks = 0;
  systemTicks = 0;
  minorFaults = 0;
  majorFaults = 0;
  /** Largest resident set ever, KiB. */
  peakKib = 0;
  involuntarySwitches = 0;
}

/** What the kernel does in another way where a platform cannot. One object per platform, the same for all its objects. */
export interface Features {
  /** AddressSpace.compareExchange(); else callers read and write. */
  readonly hasExchange: boolean;
  /** AddressSpace.clear(): execve within the same host process; else in a new one. */
  readonly hasClear: boolean;
  /**
   * Private futexes are a matter of the process's own memory. Here the host keeps the queues of private futexes, and the
   * kernel none.
   */
  readonly hasHostFutex: boolean;
}

/** Which addresses a platform leaves to guests. The kernel asks here; what it chooses within them is the architecture's. */
export interface GuestLayout {
  /** Lowest address that a guest may map. */
  readonly start: number;
  /** End of its addresses (TASK_SIZE_MAX): what is above is the platform's own, or nobody's. */
  readonly end: number;
}

/** What the kernel's tree of mappings tells of an address space. */
export interface GuestAreas {
  /** Protection of the mapping at an address (PROT_*), or -1. */
  protectionOf(address: number): number;
  /** Whether [address, end) lies in one mapping that no other process and no file shares. */
  isOwnCode(address: number, end: number): boolean;
  /**
   * Maps `length` bytes of anonymous memory of the platform's own within 1 GiB of `near`, carried out by `thread`, and enters
   * them into the tree, so that the guest's mappings stay away: the address, or -ERRNO.
   */
  mapNear(thread: GuestThread, near: number, length: number, prot: number): number;
}

/**
 * Memory of one guest address space. Ordinary memory of a host process: the host does the paging, the kernel's VMA tree
 * decides what may be mapped. Changing calls are carried out by `thread`, a stopped thread of this address space.
 */
export interface AddressSpace {
  readonly features: Features;
  readonly layout: GuestLayout;
  /** Set by the kernel; null = it has no tree yet. */
  areas: GuestAreas | null;

  /**
   * mmap(2) at exactly `address` (MAP_FIXED). `hostFd` < 0 maps anonymous memory. `flags` are MAP_SHARED or MAP_PRIVATE
   * plus MAP_NORESERVE, MAP_POPULATE, MAP_STACK, MAP_INTERPRETER, MAP_BY_INTERPRETER; anything else is ignored.
   */
  map(
    thread: GuestThread,
    address: number,
    length: number,
    prot: number,
    flags: number,
    hostFd: number,
    offset: number,
  ): number;
  unmap(thread: GuestThread, address: number, length: number): number;
  protect(thread: GuestThread, address: number, length: number, prot: number): number;
  /** mremap(2) with MREMAP_MAYMOVE | MREMAP_FIXED when `newAddress` differs, in place otherwise. */
  remap(
    thread: GuestThread,
    address: number,
    oldLength: number,
    newLength: number,
    newAddress: number,
  ): number;
  /**
   * From here to endBatch, map() of `thread` and write() may only take note and answer as if all went well; endBatch has all carried out in order, in one
   * go, and answers 0 or the first error, after which the address space is good for nothing but release(). For execve.
   */
  beginBatch(thread: GuestThread): void;
  endBatch(): number;
  /** madvise(2) on the host memory (DONTNEED, FREE, REMOVE, WILLNEED, HUGEPAGE ...). */
  advise(thread: GuestThread, address: number, length: number, advice: number): number;
  /**
   * MADV_DONTNEED when the thread resumes, of private anonymous memory without PROT_EXEC, which the host does not refuse.
   * False where the platform cannot; then nothing happens.
   */
  discardLater(thread: GuestThread, address: number, length: number): boolean;
  /** msync(2). */
  sync(thread: GuestThread, address: number, length: number, flags: number): number;
  /** mincore(2): one byte a page into `into`. */
  residency(thread: GuestThread, address: number, length: number, into: Uint8Array, at: number): number;

  /** Copies guest memory regardless of slots, as process_vm_readv(2). Gives back bytes copied (short at a hole) or -EFAULT. */
  read(address: number, into: Uint8Array, at: number, length: number): number;
  /** Copies into guest memory; honours the page protection. Bytes copied or -EFAULT. */
  write(address: number, from: Uint8Array, at: number, length: number): number;
  /** Writes even where the page is not writable (ptrace POKE, patching). Bytes written or -EFAULT. */
  forceWrite(address: number, from: Uint8Array, at: number, length: number): number;

  /**
   * Sets the aligned u32 at `address` to `value` if it is `expected`, in one step as the guest's threads see it; carried
   * out by `thread`, stopped. 1 = done, 0 = it was another, -EFAULT. Only where `features.hasExchange`.
   */
  compareExchange(thread: GuestThread, address: number, expected: number, value: number): number;

  /**
   * Moves `length` bytes between guest memory and a host file, carried out by `thread`, stopped, without a copy in between.
   * Bytes moved, fewer at the end of the file or where memory ends; -EFAULT when memory is bad at once; NOT_MOVED where it
   * cannot be done or would not pay: then by views. `direction`: DIRECT_READ or DIRECT_WRITE. A memory file is only moved
   * within its size.
   */
  move(
    thread: GuestThread,
    direction: number,
    file: DirectFile,
    address: number,
    length: number,
    offset: number,
  ): number;
  /** The process of `thread`, stopped, has closed that file: nothing of it stays in its reach. */
  forgetFile(thread: GuestThread, id: number): void;

  /** CPU time of the host process in nanoseconds: user plus system. */
  cpuNanos(): number;
  /** What the host has counted for the process besides. False when it cannot be known any more. */
  usage(into: HostUsage): boolean;

  /** Address of the host's vDSO in this address space, 0 = none: AT_SYSINFO_EHDR. */
  readonly vdsoAddress: number;

  /**
   * Unmaps everything, at the latest before what comes next, and puts `thread`, its only one, into the state of a fresh
   * address space's, registers aside: execve within the same host process. The host is to forget the rseq(2) area of the
   * old program (address 0 = it had none). -ERRNO where that cannot be; it is good for nothing but release() then. Only
   * where `features.hasClear`.
   */
  clear(thread: GuestThread, rseqAddress: number, rseqLength: number, rseqSignature: number): number;

  /** Drops the last reference: every thread ends, the memory goes back to the host. */
  release(): void;
}

export const DIRECT_READ = 0;
export const DIRECT_WRITE = 1;
export const NOT_MOVED = -0x4000_0000;

/** A file that move() recognizes. */
export interface DirectFile {
  /** Unique, never used again, never 0. */
  readonly id: number;
  /** It has no holes and lies in memory: it may be mapped for the copy. */
  readonly isMemory: boolean;
  /** What the host would have to wait for is not read: its file system can tell. */
  readonly readsNow: boolean;
  /** Descriptor to send, or -ERRNO. */
  hostFd(): number;
}

/**
 * One guest thread: one host thread in the address space's process. It is either running guest code or stopped with an
 * event; registers and memory views may be used only while it is stopped.
 */
export interface GuestThread {
  readonly addressSpace: AddressSpace;
  /** Kernel's own back reference, set by the task that owns this thread. */
  owner: unknown;
  /** EVENT.* that stopped it. */
  event: number;
  readonly fault: Fault;
  /** True between resume() and its next event. */
  isRunning: boolean;

  /** Register `index` (REG.*): low and high u32 words. */
  low(index: number): number;
  high(index: number): number;
  /** Register as an unsigned number; inexact above 2^53. */
  get(index: number): number;
  /** Sets a register from a signed number within +-2^53. */
  set(index: number, value: number): void;
  setWords(index: number, low: number, high: number): void;
  /** At a SYSCALL event: the six arguments as low and high words into `into`; gives back the number of the call. */
  takeCall(into: Uint32Array): number;
  /** Sets RAX from a signed number within +-2^53. */
  setResult(value: number): void;

  /**
   * FPU state (XSAVE area, standard format) into `into` at `at`; gives back its size (<= FPU_STATE_MAX), 0 when it cannot.
   */
  saveFpu(into: Uint8Array, at: number): number;
  /** Size of the XSAVE area, and its components as bits of XCR0. */
  readonly fpuBytes: number;
  readonly fpuFeatures: number;
  /**
   * Puts the FPU state at `address` (64-aligned, writable for fpuBytes) in guest memory and the FPU into its initial state,
   * both at the latest when the thread resumes, and before what is written through the window from now on. 0 or -ERRNO.
   */
  pushFpu(address: number): number;
  /** Loads FPU state that passed validation by the caller (sizes and header); bad content becomes -EINVAL. */
  loadFpu(from: Uint8Array, at: number, length: number): number;
  /** Puts the FPU in its initial state (execve). */
  resetFpu(): void;

  /** Where user_memory works: see UserWindow. */
  readonly window: UserWindow;

  /** Lets the guest run. The event comes back through Platform.wait(). */
  resume(): void;
  /** Makes a running thread stop soon with INTERRUPTED (or with whatever event it was about to report). No effect on a stopped one. */
  interrupt(): void;

  /** The call it is in will take long: do not spin for the answer any more. */
  park(): void;
  /** As park(), once those that are about to resume have: they take its CPU over before that falls asleep. */
  parkLater(): void;

  // The next five mean something only where `features.hasHostFutex`.

  /** Whether the thread may wait for and wake private futexes without the kernel's hearing of it. */
  mayUseHostFutex: boolean;
  /** The SYSCALL event is a wait of the host's that interrupt() has ended, not a new call. */
  readonly isHostFutexBack: boolean;
  /** The host waits for a futex for the guest: isRunning, but asleep. */
  readonly isInHostFutex: boolean;
  /**
   * FUTEX_WAIT_BITSET_PRIVATE when the thread resumes, until `deadline` (monotonic nanoseconds, Infinity = none); what the
   * host answers is the call's result. interrupt() ends the wait: the call then comes as a SYSCALL event anew.
   */
  waitHostFutex(address: number, value: number, bitset: number, deadline: number): void;
  /** futex(2) with an operation that does not wait, now, with the call's arguments. */
  hostFutex(args: Uint32Array): number;

  /**
   * rseq(2) and membarrier(2), carried out by the host for this thread and its address space: both are about what its
   * scheduler does with threads that run guest code. Answers as the host does; -ENOSYS where a platform has no host
   * to ask.
   */
  rseq(address: number, length: number, flags: number, signature: number): number;
  /**
   * As rseq() without flags, when the thread resumes, for a registration that the host does not refuse. False where that is
   * not known; then nothing happens.
   */
  registerLater(address: number, length: number, signature: number): boolean;
  /**
   * What a thread that ends leaves in memory others still use: the host forgets its rseq(2) area (0 = none), then its
   * clear_child_tid word becomes 0. 0, -EFAULT when the word cannot be written, -EBUSY when its robust list (0 = none) is not
   * empty: then neither happens, as locks come first. -ENOSYS where the caller has to do all of it.
   */
  leaveMemory(area: number, length: number, signature: number, robustHead: number, word: number): number;
  memoryBarrier(command: number, flags: number, cpu: number): number;

  /** CPU time of this thread in nanoseconds. Costs the host's reading of a file where the thread runs or sleeps. */
  cpuNanos(): number;
  /** What the host has counted for the thread besides (no peak). False when it cannot be known any more. */
  usage(into: HostUsage): boolean;

  /**
   * New thread in the same address space, stopped, with a copy of these registers and FPU state. Number = -ERRNO.
   * Used by clone(CLONE_VM | CLONE_THREAD) and by vfork, which shares the address space.
   */
  cloneThread(): GuestThread | number;
  /** New address space that is a copy-on-write fork of this one, with one stopped thread like this one. */
  fork(): GuestThread | number;
  /** Ends this host thread; the address space stays as long as it has other threads or a reference. */
  exit(): void;
}

/**
 * The thread's window to its memory. On systrap the stub has copied the arguments named in the syscall table into the
 * slot before the event, and copies the outbox back when it resumes; elsewhere it is process_vm_readv and writev.
 * `view` holds the bytes of the last inView/outView, until the next call on the window.
 *
 * Two rules follow from the copies. What is read through a window may be as old as the entry of the call: where the value
 * must be current (a futex word; compareSharedWord() says when the copy is), read with AddressSpace.read. What is written
 * through it arrives when the caller resumes: where another thread must see it earlier, or the caller never resumes
 * (clear_child_tid, CLONE_*_SETTID, robust lists), write with AddressSpace.write.
 */
export interface UserWindow {
  view: Uint8Array;
  /**
   * Index in `view` of what has been copied in already at `address`, `length` bytes or more: up to `viewEnd`. -1 when
   * it has not been.
   */
  known(address: number, length: number): number;
  viewEnd: number;
  /** Index in `view` of `length` (<= VIEW_MAX) bytes at `address`, copied in; -EFAULT. */
  inView(address: number, length: number): number;
  /** Index in `view` where up to `length` (<= VIEW_MAX) bytes for `address` can be written; -EFAULT where surely bad. */
  outView(address: number, length: number): number;
  /** The first `length` bytes of the last outView go to the guest, at the latest when it resumes. 0 or -EFAULT. */
  outCommit(length: number): number;
  /**
   * A NUL-terminated string of fewer than `max` bytes as a byte string (one UTF-16 unit holds one byte).
   * -EFAULT, or -ENAMETOOLONG when no NUL comes within `max`.
   */
  readString(address: number, max: number): string | number;
  /** Bytes copied in full: 0, or -EFAULT. Any length. */
  copyIn(address: number, into: Uint8Array, at: number, length: number): number;
  copyOut(address: number, from: Uint8Array, at: number, length: number): number;
  /** As copyIn(), of what will be at `address` when the thread goes on: what the call in service has written comes first. */
  readBack(address: number, into: Uint8Array, at: number, length: number): number;
}

/** Longest single view, bytes. Larger transfers loop. */
export const VIEW_MAX = 1 << 20;
/** Largest XSAVE area we carry (AVX-512 needs 2,696). */
export const FPU_STATE_MAX = 4096;

// Flags of AddressSpace.map() beside those of mmap(2): for code that a platform may map a patched copy of.
/** The file is the program interpreter, mapped by execve(2). */
export const MAP_INTERPRETER = 1 << 29;
/** The program interpreter has asked for it: a library. */
export const MAP_BY_INTERPRETER = 1 << 30;

/** What wait() returns: the threads and host descriptors that have an event. */
export interface PlatformEvents {
  /** Threads with an event, valid up to `threadCount`. */
  readonly threads: GuestThread[];
  threadCount: number;
  /** Cookies of watched host fds that are ready, with their poll events, valid up to `hostFdCount`. */
  readonly hostFdCookies: number[];
  readonly hostFdEvents: number[];
  hostFdCount: number;
}

export interface Platform {
  readonly name: string;
  /** The CPU the sentry stays on while guests call often, -1 = any. */
  readonly ownCpu: number;
  /** Whether the platform may change call sites of guests, for speed. False where it never does. */
  mayPatch: boolean;
  /** Stubs that are there, and those that come, make processes up to `most` of the host's user: a second line. */
  limitProcesses(most: number): void;
  /** A fresh address space with nothing mapped below the end of its layout, and its first thread, stopped. */
  createAddressSpace(): GuestThread | number;
  /**
   * Waits until a guest thread has an event, a watched host fd is ready, or `deadline` (monotonic nanoseconds; Infinity =
   * none; 0 = poll) has passed. Spins first where that pays. Fills and returns one reused object. Throws when the
   * platform has lost what it needs for all guests.
   */
  wait(deadline: number): PlatformEvents;
  /** Watches a host fd (level-triggered poll events); `cookie` comes back in PlatformEvents. events 0 = stop watching. */
  watch(hostFd: number, events: number, cookie: number): number;
  /** Tells which call numbers read what from memory (systrap: the stub's marshalling). From the syscall table, once. */
  setMarshalling(table: Uint32Array): void;
  /**
   * CPU nanoseconds of this thread so far, and of stubs while it waited for commands of its own in them. Nobody counts the latter
   * before the first time that this is asked.
   */
  busyNanos(): number;
  shutdown(): void;
}

/**
 * Host calls the sentry makes on descriptors it was given. Results are >= 0 or -ERRNO. Offsets are numbers.
 * Implemented over native/bindings.ts; a plain object in tests.
 */
export interface Host {
  pread(fd: number, into: Uint8Array, at: number, length: number, offset: number): number;
  /** pread() of what the host has in memory: fewer bytes or -EAGAIN where it would wait for more; -EOPNOTSUPP. */
  preadNow(fd: number, into: Uint8Array, at: number, length: number, offset: number): number;
  pwrite(fd: number, from: Uint8Array, at: number, length: number, offset: number): number;
  /** How often this thread has slept: it does not count when others had its CPU. -ERRNO. */
  sleeps(): number;
  read(fd: number, into: Uint8Array, at: number, length: number): number;
  write(fd: number, from: Uint8Array, at: number, length: number): number;
  close(fd: number): number;
  /** Descriptors that this process may have at once. */
  descriptorsMax(): number;
  dup(fd: number): number;
  /** Another descriptor of what `fd` is open on, a memory file, for reading only. */
  reopen(fd: number): number;
  ftruncate(fd: number, size: number): number;
  fallocate(fd: number, mode: number, offset: number, length: number): number;
  fsync(fd: number): number;
  fdatasync(fd: number): number;
  /** SEEK_DATA and SEEK_HOLE. */
  lseek(fd: number, offset: number, whence: number): number;
  /** Attributes of `fd` as gofer/protocol.ts lays them out (96 bytes). */
  attributes(fd: number, into: Uint8Array, at: number): number;
  /** struct stat (144 bytes, x86-64) of `fd`. */
  fstat(fd: number, into: Uint8Array, at: number): number;
  memfdCreate(name: string, flags: number): number;
  /** poll(2) of one fd without waiting: ready events. */
  poll(fd: number, events: number): number;
  /** ioctl(2) with a small in/out buffer: termios, window size, FIONREAD. */
  ioctl(fd: number, request: number, buffer: Uint8Array, at: number): number;
  setNonblocking(fd: number): number;
  /** Host clock in nanoseconds: `clock` is a CLOCK_* id. Monotonic fits a number exactly for 104 days of uptime. */
  clockNanos(clock: number): number;
  /** Host clock split: seconds; the nanoseconds of that second are left in clockFraction. */
  clockSeconds(clock: number): number;
  clockFraction: number;
  random(into: Uint8Array, at: number, length: number): void;
  /** One whole message over a Unix socket with descriptors. */
  sendMessage(
    fd: number,
    from: Uint8Array,
    at: number,
    length: number,
    fds: Int32Array,
    fdCount: number,
  ): number;
  /** Receives one message; descriptors go to `fds`, their count to receivedFds. Waits at most `timeoutMillis`. */
  receiveMessage(
    fd: number,
    into: Uint8Array,
    at: number,
    length: number,
    fds: Int32Array,
    timeoutMillis: number,
  ): number;
  receivedFds: number;
}

/** The sentry's end of the memory that it shares with the gofer: see gofer/protocol.ts. */
export interface GoferChannel {
  /**
   * Posts `length` bytes of `question` and waits for the answer at most `micros`: its bytes in `answer`, which has room for
   * a whole frame. -ETIMEDOUT: it will come later, in `slot`; the socket becomes readable then. -EAGAIN: too many requests
   * are under way. Another -ERRNO: the gofer is gone or talks nonsense.
   */
  ask(question: Uint8Array, length: number, answer: Uint8Array, micros: number): number;
  /** Of the last ask() that was late. */
  readonly slot: number;
  /** Whether the gofer had begun with it by then; if not, it waited for a CPU, or for a worker. */
  readonly hasBegun: boolean;
  /** Takes a late answer, as ask(); -ETIMEDOUT while there is none. */
  take(slot: number, answer: Uint8Array): number;
  /** Slots whose late answers have come, a bit each; -ERRNO when the gofer is gone. Empties the socket. */
  answered(): number;
  /** The last ask() has read messages that announce other answers. */
  readonly hasOthers: boolean;
  /** Gives the memory back. The socket stays the caller's. */
  close(): void;
  /** Descriptor that came with the last answer, -1 = none; and when the answer came, CLOCK_MONOTONIC. */
  readonly donated: number;
  readonly answeredAtNanos: number;
}

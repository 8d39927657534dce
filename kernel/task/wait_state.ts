// What a call waits for, one type for each kind of wait. Plain readonly data: numbers and texts only, so that a wait can be
// printed, compared and saved. What most waits need (bytes done, deadline, files) are fields of CallInFlight.

export type WaitState =
  /** It has not waited and keeps nothing. */
  | { readonly kind: "none" }
  /** Bytes of one file: read, write, their v and p forms, send, recv, splice, vmsplice, tee. */
  | { readonly kind: "transfer" }
  /** A long transfer that lets others have their turn. */
  | { readonly kind: "slice" }
  /** mmap(2), mlock(2): what is still to be brought in, and what the call will answer. */
  | { readonly kind: "populate"; readonly start: number; readonly end: number; readonly answer: number }
  /** sendfile(2): the offset it began at, as the one at its pointer changes meanwhile. */
  | { readonly kind: "sendfile"; readonly start: number }
  /** sendmmsg(2), recvmmsg(2): messages done, and recvmmsg's own deadline, checked after each message. */
  | { readonly kind: "messages"; readonly count: number; readonly end: number | null }
  /** Noncanonical read of a terminal with VTIME: bytes there were when the time began. */
  | { readonly kind: "terminal"; readonly available: number }
  | { readonly kind: "accept" }
  /** connect(2): room in the queue of who listens. */
  | { readonly kind: "connect" }
  /** connect(2): the connection is being established; `isBegun`: an earlier call has begun it. */
  | { readonly kind: "connection"; readonly isBegun: boolean }
  /** open(2) of a FIFO: how often the other side had been opened. */
  | { readonly kind: "fifo"; readonly opens: number }
  | { readonly kind: "poll" }
  | { readonly kind: "select" }
  | { readonly kind: "epoll" }
  | { readonly kind: "futex" }
  /** futex_waitv(2): of how many. */
  | { readonly kind: "futex vector"; readonly count: number }
  | { readonly kind: "futex lock" }
  | { readonly kind: "futex requeue" }
  /** flock(2). */
  | { readonly kind: "file lock" }
  /** F_SETLKW and F_OFD_SETLKW: type and range as they were when the call began, both ends included. */
  | { readonly kind: "record lock"; readonly type: number; readonly start: number; readonly end: number }
  | { readonly kind: "sleep" }
  /** clock_nanosleep(2) on a CPU clock: its nanoseconds at which the sleep is over. */
  | { readonly kind: "cpu sleep"; readonly until: number }
  /** wait4(2), waitid(2): number in the root namespace of the process group it is about, 0 = of none. */
  | { readonly kind: "child"; readonly group: number }
  /** vfork(2): the child, by its tid in the root namespace, and what the call will answer. */
  | { readonly kind: "vfork"; readonly child: number; readonly answer: number }
  /** pause(2), rt_sigsuspend(2). */
  | { readonly kind: "signal" }
  /** rt_sigtimedwait(2): the signals it takes, 1..32 and 33..64. */
  | { readonly kind: "wanted signals"; readonly low: number; readonly high: number }
  /** mq_timedsend(2), mq_timedreceive(2). */
  | { readonly kind: "message queue" }
  /** semop(2), msgsnd(2), msgrcv(2): the id of the object. */
  | { readonly kind: "system v"; readonly id: number }
  /** msgsnd(2) and msgrcv(2): the queue, and of the latter the type and the flags. */
  | { readonly kind: "system v message"; readonly id: number; readonly type: number; readonly flags: number }
  /** An answer from outside the sandbox that a file system has asked for; `token` is its own number for the request. */
  | { readonly kind: "external"; readonly token: number }
  /** The gofer's answer about a host file; `token` as above. Only SIGKILL ends it. */
  | { readonly kind: "host file"; readonly token: number };

export const NO_STATE: WaitState = { kind: "none" };

// The list of system call families. A family takes effect only when listed here.

import { ATTRIBUTE_CALLS } from "./attribute.ts";
import { COMPARE_CALLS } from "./kcmp.ts";
import { CREDENTIAL_CALLS } from "./credentials.ts";
import { DESCRIPTOR_CALLS } from "./descriptor.ts";
import { DIRECTORY_CALLS } from "./directory.ts";
import { EPOLL_CALLS } from "./epoll.ts";
import { EVENT_CALLS } from "./event.ts";
import { EXEC_CALLS } from "./exec.ts";
import { FILESYSTEM_CALLS } from "./filesystem_list.ts";
import { FUTEX_CALLS } from "./futex.ts";
import { INOTIFY_CALLS } from "./inotify.ts";
import { IO_CALLS } from "./io.ts";
import { MEMFD_CALLS } from "./memfd.ts";
import { MEMORY_CALLS } from "./memory.ts";
import { MEMORY_POLICY_CALLS } from "./memory_policy.ts";
import { MOUNT_CALLS } from "./mount.ts";
import { MQUEUE_CALLS } from "./mqueue.ts";
import { NAMESPACE_CALLS } from "./namespace.ts";
import { OPEN_CALLS } from "./open.ts";
import { PIPE_CALLS } from "./pipe.ts";
import { POLL_CALLS } from "./poll.ts";
import { PRCTL_CALLS } from "./prctl.ts";
import { PROCESS_CALLS } from "./process.ts";
import { PROCESS_MEMORY_CALLS } from "./process_memory.ts";
import { RLIMIT_CALLS } from "./rlimit.ts";
import { SCHED_CALLS } from "./sched.ts";
import { SIGNAL_CALLS } from "./signal.ts";
import { SOCKET_CALLS } from "./socket.ts";
import { SOCKET_MESSAGE_CALLS } from "./socket_message.ts";
import { STAT_CALLS } from "./stat.ts";
import { SYSTEM_CALLS } from "./system.ts";
import { MESSAGE_QUEUE_CALLS } from "./system_v_message.ts";
import { SECCOMP_CALLS } from "./seccomp.ts";
import { SEMAPHORE_CALLS } from "./system_v_semaphore.ts";
import { SHARED_MEMORY_CALLS } from "./system_v_memory.ts";
import { TIME_CALLS } from "./time.ts";
import { TIMER_CALLS } from "./timer.ts";
import { TRANSFER_CALLS } from "./transfer.ts";
import { VECTOR_CALLS } from "./vector.ts";
import { XATTR_CALLS } from "./xattr.ts";
import type { SyscallFamily } from "./table.ts";

export const FAMILIES: readonly SyscallFamily[] = [
  ATTRIBUTE_CALLS,
  COMPARE_CALLS,
  CREDENTIAL_CALLS,
  DESCRIPTOR_CALLS,
  DIRECTORY_CALLS,
  EPOLL_CALLS,
  EVENT_CALLS,
  EXEC_CALLS,
  FILESYSTEM_CALLS,
  FUTEX_CALLS,
  INOTIFY_CALLS,
  IO_CALLS,
  MEMFD_CALLS,
  MEMORY_CALLS,
  MEMORY_POLICY_CALLS,
  MOUNT_CALLS,
  MESSAGE_QUEUE_CALLS,
  MQUEUE_CALLS,
  NAMESPACE_CALLS,
  OPEN_CALLS,
  PIPE_CALLS,
  POLL_CALLS,
  PRCTL_CALLS,
  PROCESS_CALLS,
  PROCESS_MEMORY_CALLS,
  RLIMIT_CALLS,
  SCHED_CALLS,
  SECCOMP_CALLS,
  SEMAPHORE_CALLS,
  SHARED_MEMORY_CALLS,
  SIGNAL_CALLS,
  SOCKET_CALLS,
  SOCKET_MESSAGE_CALLS,
  STAT_CALLS,
  SYSTEM_CALLS,
  TIME_CALLS,
  TIMER_CALLS,
  TRANSFER_CALLS,
  VECTOR_CALLS,
  XATTR_CALLS,
];

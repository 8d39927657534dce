// Messages of trace sessions on the wire: types and fields as gVisor's seccheck points have them
// (pkg/sentry/seccheck/points/*.proto; tests/cli/trace_wire_test.ts compares them with a runsc). The first 13 types are those that a message is sent of here.

import type { Schema } from "../protobuf.ts";

/** MessageType of common.proto. */
export const MESSAGE = {
  CONTAINER_START: 1,
  SENTRY_CLONE: 2,
  SENTRY_EXEC: 3,
  SENTRY_EXIT_NOTIFY_PARENT: 4,
  SENTRY_TASK_EXIT: 5,
  SYSCALL_RAW: 6,
  SYSCALL_OPEN: 7,
  SYSCALL_CLOSE: 8,
  SYSCALL_READ: 9,
  SYSCALL_CONNECT: 10,
  SYSCALL_EXECVE: 11,
  SYSCALL_SOCKET: 12,
  SYSCALL_CHDIR: 13,
} as const;
export type MessageType = typeof MESSAGE[keyof typeof MESSAGE];

export const HANDSHAKE: Schema = { version: [1, "uint32"] };
export const HANDSHAKE_VERSION = 1;

const CREDENTIALS: Schema = {
  real_uid: [1, "uint32"],
  effective_uid: [2, "uint32"],
  saved_uid: [3, "uint32"],
  real_gid: [4, "uint32"],
  effective_gid: [5, "uint32"],
  saved_gid: [6, "uint32"],
};

const CONTEXT: Schema = {
  time_ns: [1, "int64"],
  thread_id: [2, "int32"],
  thread_start_time_ns: [3, "int64"],
  thread_group_id: [4, "int32"],
  thread_group_start_time_ns: [5, "int64"],
  container_id: [6, "string"],
  credentials: [7, CREDENTIALS],
  cwd: [8, "string"],
  process_name: [9, "string"],
  parent_thread_group_id: [10, "int32"],
};

/** A field of the context by the name that a session asks for it with, and its name in the message. */
export const CONTEXT_FIELDS = {
  time: "time_ns",
  thread_id: "thread_id",
  task_start_time: "thread_start_time_ns",
  group_id: "thread_group_id",
  thread_group_start_time: "thread_group_start_time_ns",
  container_id: "container_id",
  credentials: "credentials",
  cwd: "cwd",
  process_name: "process_name",
  parent_thread_group_id: "parent_thread_group_id",
} as const;
export type ContextField = keyof typeof CONTEXT_FIELDS;

const EXIT: Schema = { result: [1, "int64"], errorno: [2, "int64"] };
const CALL = { context_data: [1, CONTEXT], exit: [2, EXIT], sysno: [3, "uint64"] } as const;
const FILE = { ...CALL, fd: [4, "int64"], fd_path: [5, "string"] } as const;

export const SCHEMAS: Readonly<Record<MessageType, Schema>> = {
  [MESSAGE.CONTAINER_START]: {
    context_data: [1, CONTEXT],
    id: [2, "string"],
    cwd: [3, "string"],
    args: [4, ["string"]],
    env: [5, ["string"]],
    terminal: [6, "bool"],
  },
  [MESSAGE.SENTRY_CLONE]: {
    context_data: [1, CONTEXT],
    created_thread_id: [3, "int32"],
    created_thread_group_id: [4, "int32"],
    created_thread_start_time_ns: [5, "int64"],
    flags: [6, "uint64"],
  },
  [MESSAGE.SENTRY_EXEC]: {
    context_data: [1, CONTEXT],
    binary_path: [2, "string"],
    argv: [3, ["string"]],
    env: [4, ["string"]],
    binary_mode: [5, "uint32"],
    binary_uid: [6, "uint32"],
    binary_gid: [7, "uint32"],
  },
  [MESSAGE.SENTRY_EXIT_NOTIFY_PARENT]: { context_data: [1, CONTEXT], exit_status: [2, "int32"] },
  [MESSAGE.SENTRY_TASK_EXIT]: { context_data: [1, CONTEXT], exit_status: [2, "int32"] },
  [MESSAGE.SYSCALL_RAW]: {
    ...CALL,
    sysno: [4, "uint64"],
    arg1: [5, "uint64"],
    arg2: [6, "uint64"],
    arg3: [7, "uint64"],
    arg4: [8, "uint64"],
    arg5: [9, "uint64"],
    arg6: [10, "uint64"],
  },
  [MESSAGE.SYSCALL_OPEN]: { ...FILE, pathname: [6, "string"], flags: [7, "uint32"], mode: [8, "uint32"] },
  [MESSAGE.SYSCALL_CLOSE]: FILE,
  [MESSAGE.SYSCALL_READ]: {
    ...FILE,
    count: [6, "uint64"],
    has_offset: [7, "bool"],
    offset: [8, "int64"],
    flags: [9, "uint32"],
  },
  [MESSAGE.SYSCALL_CONNECT]: { ...FILE, address: [6, "bytes"] },
  [MESSAGE.SYSCALL_EXECVE]: {
    ...FILE,
    pathname: [6, "string"],
    argv: [7, ["string"]],
    envv: [8, ["string"]],
    flags: [9, "uint32"],
  },
  [MESSAGE.SYSCALL_SOCKET]: { ...CALL, domain: [4, "int32"], type: [5, "int32"], protocol: [6, "int32"] },
  [MESSAGE.SYSCALL_CHDIR]: { ...FILE, pathname: [6, "string"] },
};

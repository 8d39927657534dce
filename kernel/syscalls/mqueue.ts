// POSIX message queues: mq_open(2), mq_unlink(2), mq_timedsend(2), mq_timedreceive(2), mq_notify(2), mq_getsetattr(2).

import { TimeValue } from "../time/time_value.ts";
import {
  EACCES,
  EAGAIN,
  EBADF,
  EEXIST,
  EFAULT,
  EINVAL,
  EMSGSIZE,
  ENAMETOOLONG,
  ENOENT,
  ENOSYS,
  ERESTARTSYS,
  ETIMEDOUT,
} from "../abi/errno.ts";
import {
  O_ACCMODE,
  O_CLOEXEC,
  O_CREAT,
  O_EXCL,
  O_NONBLOCK,
  O_RDONLY,
  O_WRONLY,
  POLLIN,
  POLLOUT,
} from "../abi/file.ts";
import { SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD, SIGRTMAX } from "../abi/signal.ts";
import { i32, i64, put32, put64, u32 } from "../abi/struct.ts";
import { CAP_SYS_RESOURCE } from "../abi/task.ts";
import { CLOCK_REALTIME } from "../abi/time.ts";
import {
  defaultBytes,
  defaultMessages,
  MqueueFile,
  mqueueFilesystem,
  type MqueueInode,
  queueMode,
} from "../fs/mqueue.ts";
import { MESSAGE_BYTES_HARD_MAX, MESSAGES_HARD_MAX, PRIORITIES } from "../ipc/mqueue.ts";
import type { Task } from "../task/task.ts";
import { suspend } from "../task/wait_engine.ts";
import type { WaitState } from "../task/wait_state.ts";
import type { WaitQueue } from "../util/wait_queue.ts";
import { newNode } from "../vfs/create.ts";
import { NAME_MAX } from "../abi/file.ts";
import { MAY_READ, MAY_WRITE, mayAccess, mayDelete } from "../vfs/permission.ts";
import type { Args } from "./args.ts";
import { install } from "./event.ts";
import { FILE } from "./file_wait.ts";
import { absoluteDeadline, readTimespec } from "./guest_time.ts";
import { OPEN_FLAGS } from "./open.ts";
import { FULL, partial, type SyscallFamily } from "./table.ts";

/** struct mq_attr: flags, maxmsg, msgsize, curmsgs, reserved. */
const ATTRIBUTE_BYTES = 64;
const SIGEVENT_BYTES = 64;

export const MQUEUE_CALLS: SyscallFamily = {
  mq_open: {
    nr: { x64: 240, arm64: 180 },
    args: { name: "string", oflag: { flags: OPEN_FLAGS }, mode: "mode", attr: { in: ATTRIBUTE_BYTES } },
    returns: "fd",
    support: FULL,
    run: mqOpen,
  },
  mq_unlink: {
    nr: { x64: 241, arm64: 181 },
    args: { name: "string" },
    returns: "int",
    support: FULL,
    run: mqUnlink,
  },
  mq_timedsend: {
    nr: { x64: 242, arm64: 182 },
    args: {
      mqdes: "fd",
      msg_ptr: { inBuffer: "msg_len" },
      msg_len: "size",
      msg_prio: "uint",
      abs_timeout: { in: 16 },
    },
    returns: "int",
    support: FULL,
    run: mqTimedsend,
  },
  mq_timedreceive: {
    nr: { x64: 243, arm64: 183 },
    args: {
      mqdes: "fd",
      msg_ptr: { outBuffer: "msg_len" },
      msg_len: "size",
      msg_prio: { out: 4 },
      abs_timeout: { in: 16 },
    },
    returns: "size",
    support: FULL,
    run: mqTimedreceive,
  },
  mq_notify: {
    nr: { x64: 244, arm64: 184 },
    args: { mqdes: "fd", sevp: { in: SIGEVENT_BYTES } },
    returns: "int",
    support: partial("no SIGEV_THREAD"),
    run: mqNotify,
  },
  mq_getsetattr: {
    nr: { x64: 245, arm64: 185 },
    args: { mqdes: "fd", newattr: { in: ATTRIBUTE_BYTES }, oldattr: { out: ATTRIBUTE_BYTES } },
    returns: "int",
    support: FULL,
    run: mqGetsetattr,
  },
};

const bytes = new Uint8Array(ATTRIBUTE_BYTES);
const timeout = new TimeValue();

/** The name of a queue without its slash, or -ERRNO. */
function readName(task: Task, address: number): string | number {
  const name = task.memory.readString(address, NAME_MAX + 2);
  if (typeof name === "number") return name;
  if (name.length > NAME_MAX) return -ENAMETOOLONG;
  if (name === "") return -ENOENT;
  return name.includes("/") || name === "." || name === ".." ? -EACCES : name;
}

function mqOpen(task: Task, args: Args): number {
  const name = readName(task, args.word(0));
  if (typeof name === "number") return name;
  const flags = args.u32(1);
  const fs = mqueueFilesystem(task);
  let inode = fs.root.lookup(name) as MqueueInode | number;
  if (typeof inode === "number") {
    if ((flags & O_CREAT) === 0) return -ENOENT;
    inode = create(task, name, args.u32(2), args.word(3));
    if (typeof inode === "number") return inode;
  } else {
    if ((flags & O_CREAT) !== 0 && (flags & O_EXCL) !== 0) return -EEXIST;
    const access = flags & O_ACCMODE;
    if (access === O_ACCMODE) return -EINVAL;
    const mask = (access !== O_WRONLY ? MAY_READ : 0) | (access !== O_RDONLY ? MAY_WRITE : 0);
    const refused = mayAccess(task.credentials, inode, mask);
    if (refused < 0) return refused;
  }
  const file = inode.open(task, flags & (O_ACCMODE | O_NONBLOCK));
  return typeof file === "number" ? file : install(task, file, (flags & O_CLOEXEC) !== 0);
}

function create(task: Task, name: string, mode: number, attributes: number): MqueueInode | number {
  const fs = mqueueFilesystem(task);
  const { parameters } = fs;
  let messagesMax = defaultMessages(parameters), bytesMax = defaultBytes(parameters);
  if (attributes !== 0) {
    if (task.memory.copyIn(attributes, bytes, 0, ATTRIBUTE_BYTES) < 0) return -EFAULT;
    messagesMax = i64(bytes, 8);
    bytesMax = i64(bytes, 16);
    const isPrivileged = task.credentials.has(CAP_SYS_RESOURCE);
    if (messagesMax <= 0 || messagesMax > (isPrivileged ? MESSAGES_HARD_MAX : parameters.mqueueMessagesMax)) {
      return -EINVAL;
    }
    if (bytesMax <= 0 || bytesMax > (isPrivileged ? MESSAGE_BYTES_HARD_MAX : parameters.mqueueBytesMax)) {
      return -EINVAL;
    }
  }
  const refused = mayAccess(task.credentials, fs.root, MAY_WRITE);
  if (refused < 0) return refused;
  return fs.makeQueue(task, name, newNode(task, fs.root, queueMode(mode)), messagesMax, bytesMax);
}

function mqUnlink(task: Task, args: Args): number {
  const name = readName(task, args.word(0));
  if (typeof name === "number") return name;
  const root = mqueueFilesystem(task).root;
  const inode = root.lookup(name);
  if (typeof inode === "number") return inode;
  const refused = mayDelete(task.credentials, root, inode);
  if (refused < 0) return refused;
  return root.unlink(name, inode);
}

function queueOf(task: Task, fd: number): MqueueFile | number {
  const file = task.call.file(FILE, fd);
  return file instanceof MqueueFile ? file : -EBADF;
}

/** Sets call.deadline from the timespec at `address` (0: none), once a call. */
function setDeadline(task: Task, address: number): number {
  if (task.call.hasWaited || address === 0) return 0;
  const read = readTimespec(task, address, timeout);
  if (read < 0) return read;
  task.call.setDeadline(absoluteDeadline(task, CLOCK_REALTIME, timeout));
  return 0;
}

function mqTimedsend(task: Task, args: Args): number {
  const priority = args.u32(3);
  const timed = setDeadline(task, args.word(4));
  if (timed < 0) return timed;
  if (priority >= PRIORITIES) return -EINVAL;
  const file = queueOf(task, args.i32(0));
  if (typeof file === "number") return file;
  if (!file.isWritable) return -EBADF;
  const length = args.word(2);
  const { messages } = file;
  if (length > messages.messageBytesMax) return -EMSGSIZE;
  if (messages.isFull) return wait(task, file, messages.queue, POLLOUT);
  const copy = new Uint8Array(length);
  if (length > 0 && task.memory.copyIn(args.word(1), copy, 0, length) < 0) return -EFAULT;
  return messages.send(task, copy, 0, length, priority);
}

function mqTimedreceive(task: Task, args: Args): number {
  const timed = setDeadline(task, args.word(4));
  if (timed < 0) return timed;
  const file = queueOf(task, args.i32(0));
  if (typeof file === "number") return file;
  if (!file.isReadable) return -EBADF;
  const { messages } = file;
  if (args.word(2) < messages.messageBytesMax) return -EMSGSIZE;
  if (messages.count === 0) return wait(task, file, messages.receivers, POLLIN);
  const buffer = new Uint8Array(messages.messageBytesMax);
  const length = messages.receive(buffer, 0);
  put32(bytes, 0, messages.lastPriority);
  if (args.word(3) !== 0 && task.memory.copyOut(args.word(3), bytes, 0, 4) < 0) return -EFAULT;
  return length > 0 && task.memory.copyOut(args.word(1), buffer, 0, length) < 0 ? -EFAULT : length;
}

const QUEUE: WaitState = { kind: "message queue" };

function wait(task: Task, file: MqueueFile, queue: WaitQueue, events: number): number {
  if ((file.flags & O_NONBLOCK) !== 0) return -EAGAIN;
  const { call } = task;
  if (call.deadline !== Infinity && call.deadline <= task.kernel.clock.monotonic()) return -ETIMEDOUT;
  call.hold(FILE, file);
  call.waitOn(queue, events);
  return suspend(task, QUEUE, -ERESTARTSYS);
}

function mqNotify(task: Task, args: Args): number {
  const address = args.word(1);
  let signal = 0, valueLow = 0, valueHigh = 0;
  if (address !== 0) {
    const at = task.memory.inView(address, SIGEVENT_BYTES);
    if (at < 0) return -EFAULT;
    const view = task.memory.view;
    const notify = i32(view, at + 12);
    if (notify === SIGEV_THREAD) return task.kernel.coverage.unfinished("mq_notify SIGEV_THREAD", ENOSYS);
    if (notify !== SIGEV_NONE && notify !== SIGEV_SIGNAL) return -EINVAL;
    if (notify === SIGEV_SIGNAL) {
      signal = i32(view, at + 8);
      if (signal <= 0 || signal > SIGRTMAX) return -EINVAL;
    }
    valueLow = u32(view, at);
    valueHigh = u32(view, at + 4);
  }
  const file = queueOf(task, args.i32(0));
  if (typeof file === "number") return file;
  const group = task.threadGroup;
  if (address !== 0) return file.messages.register({ group, signal, valueLow, valueHigh });
  file.messages.unregister(group);
  return 0;
}

function mqGetsetattr(task: Task, args: Args): number {
  let flags = -1;
  if (args.word(1) !== 0) {
    if (task.memory.copyIn(args.word(1), bytes, 0, ATTRIBUTE_BYTES) < 0) return -EFAULT;
    flags = i64(bytes, 0);
    if ((flags & ~O_NONBLOCK) !== 0) return -EINVAL;
  }
  const file = queueOf(task, args.i32(0));
  if (typeof file === "number") return file;
  const { messages } = file;
  bytes.fill(0);
  put64(bytes, 0, file.flags & O_NONBLOCK);
  put64(bytes, 8, messages.messagesMax);
  put64(bytes, 16, messages.messageBytesMax);
  put64(bytes, 24, messages.count);
  if (flags >= 0) file.setFlags((file.flags & ~O_NONBLOCK) | flags);
  return args.word(2) === 0 ? 0 : task.memory.copyOut(args.word(2), bytes, 0, ATTRIBUTE_BYTES);
}

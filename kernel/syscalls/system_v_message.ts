// System V message queues: msgget(2), msgsnd(2), msgrcv(2), msgctl(2).

import {
  EACCES,
  EAGAIN,
  EFAULT,
  EIDRM,
  EINVAL,
  ENOMEM,
  ENOMSG,
  EPERM,
  ERESTARTNOHAND,
} from "../abi/errno.ts";
import { POLLIN, POLLOUT } from "../abi/file.ts";
import {
  IPC_CREAT,
  IPC_EXCL,
  IPC_INFO,
  IPC_NOWAIT,
  IPC_RMID,
  IPC_SET,
  IPC_STAT,
  MSG_COPY,
  MSG_EXCEPT,
  MSG_INFO,
  MSG_NOERROR,
  MSG_STAT,
  MSG_STAT_ANY,
  MSQID_BYTES,
} from "../abi/ipc.ts";
import { i64, put32, put64, u64 } from "../abi/struct.ts";
import { CAP_SYS_RESOURCE } from "../abi/task.ts";
import { MAY_READ_OBJECT, MAY_WRITE_OBJECT } from "../ipc/system_v/ids.ts";
import { TypedQueue } from "../ipc/system_v/messages.ts";
import { systemV } from "../ipc/system_v/tables.ts";
import type { Task } from "../task/task.ts";
import { suspend } from "../task/wait_engine.ts";
import type { Args } from "./args.ts";
import { FULL, partial, type SyscallFamily } from "./table.ts";

const MSG_COMMANDS = { IPC_RMID, IPC_SET, IPC_STAT, IPC_INFO, MSG_STAT, MSG_INFO, MSG_STAT_ANY };

export const MESSAGE_QUEUE_CALLS: SyscallFamily = {
  msgget: {
    nr: { x64: 68, arm64: 186 },
    args: { key: "int", msgflg: { flags: { IPC_CREAT, IPC_EXCL } } },
    returns: "int",
    support: FULL,
    run: msgget,
  },
  msgsnd: {
    nr: { x64: 69, arm64: 189 },
    args: { msqid: "int", msgp: { in: 8 }, msgsz: "size", msgflg: { flags: { IPC_NOWAIT } } },
    returns: "int",
    support: FULL,
    run: msgsnd,
  },
  msgrcv: {
    nr: { x64: 70, arm64: 188 },
    args: {
      msqid: "int",
      msgp: "word",
      msgsz: "size",
      msgtyp: "long",
      msgflg: { flags: { IPC_NOWAIT, MSG_NOERROR, MSG_EXCEPT, MSG_COPY } },
    },
    returns: "size",
    support: partial("no MSG_COPY"),
    run: msgrcv,
  },
  msgctl: {
    nr: { x64: 71, arm64: 187 },
    args: { msqid: "int", cmd: { values: MSG_COMMANDS }, buf: { inOut: MSQID_BYTES } },
    returns: "int",
    support: FULL,
    run: msgctl,
  },
};

const bytes = new Uint8Array(MSQID_BYTES);
/** Scratch: the bytes of the message being received, unless it is larger. */
const message = new Uint8Array(8192);

function msgget(task: Task, args: Args): number {
  const key = args.i32(0), flags = args.u32(1);
  const ids = systemV(task).queues;
  return ids.open(task, key, flags, () => 0, () => new TypedQueue(task, key, flags));
}

/** The queue of a call; after a wait, the one that it waited on. */
function queueOf(task: Task, id: number): TypedQueue | number {
  const queue = systemV(task).queues.get(id);
  return typeof queue === "number" && task.call.hasWaited ? -EIDRM : queue;
}

function msgsnd(task: Task, args: Args): number {
  const size = args.word(2);
  const at = task.memory.inView(args.word(1), 8);
  if (at < 0) return -EFAULT;
  const type = i64(task.memory.view, at);
  if (size > task.namespaces.ipc.parameters.messageBytesMax || type < 1) return -EINVAL;
  const queue = queueOf(task, args.i32(0));
  if (typeof queue === "number") return queue;
  if (queue.mayAccess(task, MAY_WRITE_OBJECT) < 0) return -EACCES;
  if (!queue.hasRoom(size)) return wait(task, queue, POLLOUT, type, args.u32(3), EAGAIN);
  if (!queue.takeMemory(size)) return -ENOMEM;
  const copy = new Uint8Array(size);
  if (size > 0 && task.memory.copyIn(args.word(1) + 8, copy, 0, size) < 0) {
    queue.giveMemory(size);
    return -EFAULT;
  }
  queue.send(task, type, copy);
  return 0;
}

function msgrcv(task: Task, args: Args): number {
  const size = args.word(2), type = args.i53(3), flags = args.u32(4);
  if (size >= 2 ** 63) return -EINVAL;
  if ((flags & MSG_COPY) !== 0 && ((flags & IPC_NOWAIT) === 0 || (flags & MSG_EXCEPT) !== 0 || type < 0)) {
    return -EINVAL;
  }
  const queue = queueOf(task, args.i32(0));
  if (typeof queue === "number") return queue;
  if (queue.mayAccess(task, MAY_READ_OBJECT) < 0) return -EACCES;
  const most = Math.min(size, queue.bytes);
  const into = most <= message.length ? message : new Uint8Array(most);
  const length = queue.receive(task, into, most, type, flags);
  if (length === -ENOMSG) return wait(task, queue, POLLIN, type, flags, ENOMSG);
  if (length < 0) return length;
  put64(bytes, 0, queue.lastType);
  if (task.memory.copyOut(args.word(1), bytes, 0, 8) < 0) return -EFAULT;
  return length > 0 && task.memory.copyOut(args.word(1) + 8, into, 0, length) < 0 ? -EFAULT : length;
}

function wait(
  task: Task,
  queue: TypedQueue,
  events: number,
  type: number,
  flags: number,
  errno: number,
): number {
  if ((flags & IPC_NOWAIT) !== 0) return -errno;
  task.call.waitOn(queue.queue, events);
  return suspend(task, { kind: "system v message", id: queue.id, type, flags }, -ERESTARTNOHAND);
}

function msgctl(task: Task, args: Args): number {
  const id = args.i32(0), command = args.i32(1), buffer = args.word(2);
  if (id < 0 || command < 0) return -EINVAL;
  const ids = systemV(task).queues;
  const { parameters } = task.namespaces.ipc;
  switch (command) {
    case IPC_INFO:
    case MSG_INFO:
      // struct msginfo: pool, map, max, mnb, mni, ssz, tql, seg.
      bytes.fill(0);
      if (command === MSG_INFO) {
        put32(bytes, 0, ids.count);
        put32(bytes, 4, ids.sum((queue) => queue.count));
        put32(bytes, 24, ids.sum((queue) => queue.bytes));
      }
      put32(bytes, 8, parameters.messageBytesMax);
      put32(bytes, 12, parameters.queueBytes);
      put32(bytes, 16, parameters.queuesMax);
      put32(bytes, 20, 16);
      return putAnswer(task, buffer, 32, Math.max(0, ids.last));
    case MSG_STAT:
    case MSG_STAT_ANY: {
      const queue = ids.at(id);
      if (queue === null) return -EINVAL;
      if (command === MSG_STAT && queue.mayAccess(task, MAY_READ_OBJECT) < 0) return -EACCES;
      queue.putStatus(task, bytes, 0);
      return putAnswer(task, buffer, MSQID_BYTES, queue.id);
    }
  }
  const queue = ids.get(id);
  if (typeof queue === "number") return queue;
  switch (command) {
    case IPC_STAT:
      if (queue.mayAccess(task, MAY_READ_OBJECT) < 0) return -EACCES;
      queue.putStatus(task, bytes, 0);
      return putAnswer(task, buffer, MSQID_BYTES, 0);
    case IPC_SET:
      return setQueue(task, queue, buffer);
    case IPC_RMID: {
      const refused = queue.mayControl(task);
      if (refused < 0) return refused;
      ids.remove(queue);
      queue.queue.notify(POLLIN | POLLOUT);
      return 0;
    }
    default:
      return -EINVAL;
  }
}

/** IPC_SET: sets owner, mode and size. */
function setQueue(task: Task, queue: TypedQueue, buffer: number): number {
  if (task.memory.copyIn(buffer, bytes, 0, MSQID_BYTES) < 0) return -EFAULT;
  const refused = queue.mayControl(task);
  if (refused < 0) return refused;
  const bytesMax = u64(bytes, 88);
  if (bytesMax > task.namespaces.ipc.parameters.queueBytes && !task.credentials.has(CAP_SYS_RESOURCE)) {
    return -EPERM;
  }
  queue.bytesMax = bytesMax;
  queue.setPermissions(task, bytes, 0);
  queue.queue.notify(POLLOUT);
  return 0;
}

function putAnswer(task: Task, buffer: number, length: number, result: number): number {
  return task.memory.copyOut(buffer, bytes, 0, length) < 0 ? -EFAULT : result;
}

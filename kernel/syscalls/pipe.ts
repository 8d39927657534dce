// pipe(2) and pipe2(2). io.ts reads and writes pipes, kernel/ipc/pipe.ts has F_SETPIPE_SZ.

import { EFAULT, EINVAL } from "../abi/errno.ts";
import { O_CLOEXEC, O_DIRECT, O_NONBLOCK } from "../abi/file.ts";
import { put32 } from "../abi/struct.ts";
import { makePipe } from "../ipc/pipe.ts";
import type { Task } from "../task/task.ts";
import type { File } from "../vfs/file.ts";
import type { Args } from "./args.ts";
import { FULL, partial, type SyscallFamily } from "./table.ts";

const PIPE_FLAGS = { O_CLOEXEC, O_NONBLOCK, O_DIRECT };

export const PIPE_CALLS: SyscallFamily = {
  pipe: {
    nr: { x64: 22 },
    args: { pipefd: { out: 8 } },
    returns: "int",
    support: FULL,
    run: pipe,
  },
  pipe2: {
    nr: { x64: 293, arm64: 59 },
    args: { pipefd: { out: 8 }, flags: { flags: PIPE_FLAGS } },
    returns: "int",
    support: partial("no O_NOTIFICATION_PIPE"),
    run: pipe2,
  },
};

function pipe(task: Task, args: Args): number {
  return openPipe(task, args.word(0), 0);
}

function pipe2(task: Task, args: Args): number {
  const flags = args.u32(1);
  if ((flags & ~(O_CLOEXEC | O_NONBLOCK | O_DIRECT)) !== 0) return -EINVAL;
  return openPipe(task, args.word(0), flags);
}

const ends: [File | null, File | null] = [null, null];
const numbers = new Uint8Array(8);

function openPipe(task: Task, address: number, flags: number): number {
  makePipe(task, flags & ~O_CLOEXEC, ends);
  const reader = ends[0]!, writer = ends[1]!;
  ends[0] = ends[1] = null;
  const closes = (flags & O_CLOEXEC) !== 0;
  const readFd = task.files.allocate(task, reader, closes);
  if (readFd < 0) {
    reader.drop();
    writer.drop();
    return readFd;
  }
  const writeFd = task.files.allocate(task, writer, closes);
  if (writeFd < 0) {
    task.files.close(task, readFd);
    writer.drop();
    return writeFd;
  }
  put32(numbers, 0, readFd);
  put32(numbers, 4, writeFd);
  if (task.memory.copyOut(address, numbers, 0, 8) === 0) return 0;
  task.files.close(task, readFd);
  task.files.close(task, writeFd);
  return -EFAULT;
}

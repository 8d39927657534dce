// Opening FIFOs: readers and writers wait for each other. Linux: fifo_open() of fs/pipe.c, fifo(7). The bytes are in
// a pipe that belongs to the inode while someone has it open.

import { EINVAL, ENXIO } from "../abi/errno.ts";
import { IN_OPEN, O_ACCMODE, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY, POLLIN, POLLOUT } from "../abi/file.ts";
import { MUST_WAIT } from "../task/call_in_flight.ts";
import type { Task } from "../task/task.ts";
import { assert } from "../util/assert.ts";
import type { File } from "../vfs/file.ts";
import type { Inode } from "../vfs/inode.ts";
import { notifyPath } from "../vfs/notify.ts";
import { OPENED } from "../vfs/open.ts";
import { Pipe, PipeFile } from "./pipe.ts";

/** Opens a FIFO; MUST_WAIT if it must wait for the other side: the call continues with goOnOpening(). */
export function openFifo(task: Task, inode: Inode, flags: number): File | number {
  const pipe = inode.pipe ??= new Pipe(task.kernel.account.heap);
  const isNonblocking = (flags & O_NONBLOCK) !== 0;
  switch (flags & O_ACCMODE) {
    case O_RDONLY: {
      const hasWriter = pipe.writers > 0 || pipe.isAnonymous;
      pipe.open(task);
      const file = new PipeFile(inode, pipe, flags, hasWriter || !isNonblocking ? -1 : pipe.writerOpens);
      pipe.queue.notify(POLLOUT);
      return hasWriter || isNonblocking ? file : wait(task, file, pipe.writerOpens);
    }
    case O_WRONLY: {
      const hasReader = pipe.readers > 0 || pipe.isAnonymous;
      if (isNonblocking && !hasReader) return -ENXIO;
      pipe.open(task);
      const file = new PipeFile(inode, pipe, flags, -1);
      pipe.queue.notify(POLLIN);
      return hasReader ? file : wait(task, file, pipe.readerOpens);
    }
    case O_RDWR: {
      // fifo(7): O_RDWR succeeds without a partner on Linux.
      pipe.open(task);
      const file = new PipeFile(inode, pipe, flags, -1);
      pipe.queue.notify(POLLIN | POLLOUT);
      return file;
    }
    default:
      return -EINVAL;
  }
}

/** Waits until the number of the other side's opens exceeds `opens`. */
function wait(task: Task, file: PipeFile, opens: number): number {
  task.call.give(OPENED, file);
  return waitOnHeld(task, file, opens);
}

function waitOnHeld(task: Task, file: PipeFile, opens: number): number {
  const isReader = (file.flags & O_ACCMODE) === O_RDONLY;
  task.call.setState({ kind: "fifo", opens });
  task.call.waitOn(file.queue, isReader ? POLLIN : POLLOUT);
  return MUST_WAIT;
}

/**
 * Continues an open that has waited, on the FIFO found then, whatever its name leads to now; MUST_WAIT to wait again.
 */
export function goOnOpening(task: Task): File | number {
  const { state } = task.call;
  const file = task.call.held(OPENED);
  assert(state.kind === "fifo" && file instanceof PipeFile, "an open that waits has a FIFO");
  const isReader = (file.flags & O_ACCMODE) === O_RDONLY;
  const opens = isReader ? file.pipe.writerOpens : file.pipe.readerOpens;
  if (opens === state.opens) return waitOnHeld(task, file, opens);
  notifyPath(file.path, IN_OPEN);
  return task.call.take(OPENED)!;
}

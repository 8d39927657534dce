// Opening FIFOs: the two sides wait for each other. Linux: fifo_open() of fs/pipe.c, fifo(7). What is read and written
// is a pipe that hangs at the inode while someone has it open.

import { EINVAL, ENXIO, ERESTARTSYS } from "../abi/errno.ts";
import { O_ACCMODE, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY, POLLIN, POLLOUT } from "../abi/file.ts";
import { BLOCKED, type Task } from "../task/task.ts";
import type { File } from "../vfs/file.ts";
import type { Inode } from "../vfs/inode.ts";
import { Pipe, PipeFile } from "./pipe.ts";

/**
 * Opens a FIFO. Where it has to wait for the other side it joins the queue and answers BLOCKED without having called
 * block(): the system call does that with itself as continuation, and comes back here when it runs again.
 */
export function openFifo(task: Task, inode: Inode, flags: number): File | number {
  const waiting = task.heldFile;
  if (waiting !== null) {
    if (waiting.inode === inode) return goOn(task, waiting as PipeFile);
    // The name has come to mean another file meanwhile.
    waiting.drop();
    task.heldFile = null;
  }
  const pipe = (inode.attachment ??= new Pipe(task.kernel.account.heap)) as Pipe;
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
      // pipe(7): works without a partner, as Linux has it.
      pipe.open(task);
      const file = new PipeFile(inode, pipe, flags, -1);
      pipe.queue.notify(POLLIN | POLLOUT);
      return file;
    }
    default:
      return -EINVAL;
  }
}

/** Waits until the other side has been opened once more than `opens` times. */
function wait(task: Task, file: PipeFile, opens: number): number {
  task.heldFile = file;
  task.progress = opens;
  const isReader = (file.flags & O_ACCMODE) === O_RDONLY;
  task.waitOn(file.queue, isReader ? POLLIN : POLLOUT);
  return BLOCKED;
}

function goOn(task: Task, file: PipeFile): File | number {
  const isReader = (file.flags & O_ACCMODE) === O_RDONLY;
  const opens = isReader ? file.pipe.writerOpens : file.pipe.readerOpens;
  task.heldFile = null;
  if (opens !== task.progress) return file;
  if (task.signals.hasPending) {
    file.drop();
    return -ERESTARTSYS;
  }
  return wait(task, file, opens);
}

// /proc/sysvipc: the System V objects of the reader's IPC namespace. Linux: sysvipc_*_proc_show() of ipc/.

import { u32, u64 } from "../../abi/struct.ts";
import type { IpcIds, IpcObject } from "../../ipc/system_v/ids.ts";
import { systemV } from "../../ipc/system_v/tables.ts";
import type { Task } from "../../task/task.ts";
import { GeneratedFile, StaticDirectory } from "../virtual.ts";
import type { ProcFilesystem } from "./proc.ts";

/** Offsets in struct shmid64_ds, msqid64_ds and semid64_ds, after the permissions. */
const SHM = { bytes: 48, attach: 56, detach: 64, change: 72, creator: 80, last: 84, attached: 88 } as const;
const MSG = { send: 48, receive: 56, change: 64, bytes: 72, count: 80, sender: 96, receiver: 100 } as const;
const SEM = { operation: 48, change: 64 } as const;

const STATUS_BYTES = 128;
const PAGE_BYTES = 4096;

type Listed = IpcObject & { putStatus(task: Task, into: Uint8Array, at: number): void };

export function ipcDirectory(fs: ProcFilesystem): StaticDirectory {
  const directory = new StaticDirectory(fs);
  directory.add("msg", new GeneratedFile(fs, 0o444, messagesText));
  directory.add("sem", new GeneratedFile(fs, 0o444, semaphoresText));
  directory.add("shm", new GeneratedFile(fs, 0o444, segmentsText));
  return directory;
}

function pad(value: number, width: number): string {
  return String(value).padStart(width);
}

/** One line per object: the ids, then `rest` of its status. */
function list<T extends Listed>(
  task: Task,
  ids: IpcIds<T>,
  rest: (object: T, status: Uint8Array) => string,
): string {
  let text = "";
  const status = new Uint8Array(STATUS_BYTES);
  for (let i = 0; i <= ids.last; i++) {
    const object = ids.at(i);
    if (object === null) continue;
    object.putStatus(task, status, 0);
    text += `${pad(object.key | 0, 10)} ${pad(object.id, 10)} ${rest(object, status)}\n`;
  }
  return text;
}

function owners({ uid, gid, cuid, cgid }: IpcObject): string {
  return `${pad(uid, 5)} ${pad(gid, 5)} ${pad(cuid, 5)} ${pad(cgid, 5)}`;
}

function mode(object: IpcObject): string {
  return object.mode.toString(8).padStart(5);
}

function segmentsText(task: Task): string {
  const head =
    "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid" +
    "      atime      dtime      ctime                   rss                  swap\n";
  return head + list(task, systemV(task).segments, (segment, b) => {
    const bytes = u64(b, SHM.bytes);
    const resident = Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
    return `${mode(segment)} ${pad(bytes, 21)} ${pad(u32(b, SHM.creator), 5)} ${pad(u32(b, SHM.last), 5)} ${
      pad(u64(b, SHM.attached), 6)
    } ${owners(segment)} ${pad(u64(b, SHM.attach), 10)} ${pad(u64(b, SHM.detach), 10)} ${
      pad(u64(b, SHM.change), 10)
    } ${pad(resident, 21)} ${pad(0, 21)}`;
  });
}

function messagesText(task: Task): string {
  const head = "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid" +
    "      stime      rtime      ctime\n";
  return head +
    list(
      task,
      systemV(task).queues,
      (queue, b) =>
        `${mode(queue)} ${pad(u64(b, MSG.bytes), 11)} ${pad(u64(b, MSG.count), 10)} ${
          pad(u32(b, MSG.sender), 5)
        } ${pad(u32(b, MSG.receiver), 5)} ${owners(queue)} ${pad(u64(b, MSG.send), 10)} ${
          pad(u64(b, MSG.receive), 10)
        } ${pad(u64(b, MSG.change), 10)}`,
    );
}

function semaphoresText(task: Task): string {
  const head = "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n";
  return head +
    list(
      task,
      systemV(task).semaphores,
      (set, b) =>
        `${mode(set)} ${pad(set.count, 10)} ${owners(set)} ${pad(u64(b, SEM.operation), 10)} ${
          pad(u64(b, SEM.change), 10)
        }`,
    );
}

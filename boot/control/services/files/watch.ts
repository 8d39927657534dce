// Fs.Watch and Fs.NextChanges: what happens to a file or to the names of a directory, as inotify(7) tells it. NextChanges waits
// for the first change; a client that goes meanwhile ends its watch.

import { errnoName } from "../../../../kernel/abi/errno.ts";
import {
  AT_FDCWD,
  IN_ATTRIB,
  IN_CREATE,
  IN_DELETE,
  IN_DELETE_SELF,
  IN_MODIFY,
  IN_MOVE_SELF,
  IN_MOVED_FROM,
  IN_MOVED_TO,
} from "../../../../kernel/abi/file.ts";
import { byteStringToUtf8 } from "../../../../kernel/util/bytes.ts";
import type { Inode } from "../../../../kernel/vfs/inode.ts";
import { addWatch, type InodeWatch, removeWatch } from "../../../../kernel/vfs/notify.ts";
import { FOLLOW, resolve } from "../../../../kernel/vfs/path_walk.ts";
import { MAY_READ, mayAccess } from "../../../../kernel/vfs/permission.ts";
import { LATER, type Query, Refusal, type Service } from "../query.ts";
import type { Leased } from "./leases.ts";
import { initOf, pathOf } from "./place.ts";

/** Changes that wait for their client; those after them are lost, and the loss is reported. */
const QUEUED_MAX = 4096;

const MADE = IN_CREATE | IN_MOVED_TO;
const CHANGED = IN_MODIFY | IN_ATTRIB;
const GONE = IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF;

interface Change {
  readonly kind: "create" | "modify" | "remove";
  /** Of the directory's entry; "" = what is watched itself. */
  readonly name: string;
}

class FileWatch implements Leased, InodeWatch {
  readonly containerId: string;
  mask = MADE | CHANGED | GONE;
  /** Answers the call that waits for the next change; null = none does. */
  waiting: Query["reply"] | null = null;
  readonly #inode: Inode;
  #changes: Change[] = [];
  #hasLost = false;
  #isGone = false;

  constructor(containerId: string, inode: Inode) {
    this.containerId = containerId;
    this.#inode = inode;
    addWatch(inode, this);
  }

  onEvent(event: number, _cookie: number, bytes: string): void {
    if ((event & this.mask) === 0) return;
    const kind = (event & MADE) !== 0 ? "create" : (event & GONE) !== 0 ? "remove" : "modify";
    const name = byteStringToUtf8(bytes), last = this.#changes.at(-1);
    // As inotify: an event that is queued already is not queued again.
    if (last !== undefined && last.kind === kind && last.name === name) return;
    if (this.#changes.length >= QUEUED_MAX) this.#hasLost = true;
    else this.#changes.push({ kind, name });
    this.answer();
  }

  onGone(): void {
    this.#isGone = true;
    this.answer();
  }

  /** Answers the call that waits, where there is something to tell. */
  answer(): void {
    const { waiting } = this;
    if (waiting === null || this.#changes.length === 0 && !this.#hasLost && !this.#isGone) return;
    this.waiting = null;
    const changes = this.#changes, hasLost = this.#hasLost;
    this.#changes = [];
    this.#hasLost = false;
    waiting({ changes, hasLost, isGone: this.#isGone });
  }

  end(): void {
    if (!this.#isGone) removeWatch(this.#inode, this);
    this.#isGone = true;
    this.answer();
  }
}

export const watch: Service = (sandbox, query) => {
  const init = initOf(sandbox, query), path = pathOf(query, "path");
  if (init instanceof Refusal) return init;
  if (path instanceof Refusal) return path;
  const found = resolve(init, AT_FDCWD, path, FOLLOW);
  const result = typeof found === "number" ? found : mayAccess(init.credentials, found.inode, MAY_READ);
  if (typeof found === "number" || result < 0) {
    return new Refusal(`watching ${query.string("path")}: ${errnoName(-result)}`);
  }
  const made = new FileWatch(query.string("container_id"), found.inode);
  const number = sandbox.lifecycle.leases.add(made);
  if (number !== null) return { watch: number };
  made.end();
  return new Refusal("too many directories are read, and files watched, at once");
};

/** What has changed since the last call, as soon as something has. */
export const nextChanges: Service = ({ lifecycle: { leases } }, query) => {
  const number = query.number("watch");
  const found = leases.take(query.string("container_id"), number);
  if (!(found instanceof FileWatch)) return new Refusal(`there is no watch ${number}`);
  if (found.waiting !== null) return new Refusal(`watch ${number} is waited for`);
  found.waiting = (result) => {
    leases.release(number);
    query.reply(result);
  };
  query.onForgotten = () => leases.end(number);
  found.answer();
  return LATER;
};

export const endWatch: Service = ({ lifecycle: { leases } }, query) => {
  const number = query.number("watch");
  const found = leases.take(query.string("container_id"), number);
  if (!(found instanceof FileWatch)) return new Refusal(`there is no watch ${number}`);
  leases.end(number);
  return {};
};

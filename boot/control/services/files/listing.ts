// Fs.ReadDirectory: a directory in pages. It stays open between them, so that no name is listed twice or left out because others
// come and go.

import { ENOTDIR, errnoName } from "../../../../kernel/abi/errno.ts";
import { AT_FDCWD, O_DIRECTORY, O_NONBLOCK, O_RDONLY } from "../../../../kernel/abi/file.ts";
import type { Task } from "../../../../kernel/task/task.ts";
import { byteStringToUtf8, utf8ToByteString } from "../../../../kernel/util/bytes.ts";
import type { File } from "../../../../kernel/vfs/file.ts";
import type { DirectorySink } from "../../../../kernel/vfs/file_kinds.ts";
import { openByName } from "../../../../kernel/vfs/open.ts";
import { Refusal, type Service } from "../query.ts";
import type { Leased } from "./leases.ts";
import { initOf, pathOf } from "./place.ts";
import { kindOf } from "./tree.ts";

/** Names of one page: some 100 KiB as JSON, less than a millisecond. */
const PAGE_NAMES_MAX = 1000;

interface Entry {
  readonly name: string;
  readonly kind: string;
  /** The name's bytes are no UTF-8: no path leads there. */
  readonly isInexact: boolean;
}

class Listing implements Leased, DirectorySink {
  readonly containerId: string;
  readonly file: File;
  entries: Entry[] = [];
  /** The page was full before the directory's end. */
  hasMore = false;

  constructor(containerId: string, file: File) {
    this.containerId = containerId;
    this.file = file;
  }

  /** The next page: 0 or -ERRNO. */
  turn(init: Task): number {
    this.entries = [];
    this.hasMore = false;
    return Math.min(this.file.asDirectory()?.readDirectory(init, this) ?? -ENOTDIR, 0);
  }

  emit(bytes: string, _ino: number, type: number): boolean {
    if (bytes === "." || bytes === "..") return true;
    if (this.entries.length >= PAGE_NAMES_MAX) {
      this.hasMore = true;
      return false;
    }
    const name = byteStringToUtf8(bytes);
    this.entries.push({ name, kind: kindOf(type << 12), isInexact: utf8ToByteString(name) !== bytes });
    return true;
  }

  end(): void {
    this.file.drop();
  }
}

/** The first page of `path`, or the next one of `cursor`. A cursor of 0 comes with the last page. */
export const readDirectory: Service = (sandbox, query) => {
  const init = initOf(sandbox, query);
  if (init instanceof Refusal) return init;
  const { leases } = sandbox.lifecycle;
  const id = query.string("container_id"), cursor = query.number("cursor");
  const listing = cursor === 0 ? open(init, id, query) : leases.take(id, cursor);
  if (listing instanceof Refusal) return listing;
  if (!(listing instanceof Listing)) return new Refusal(`there is no cursor ${cursor}`);
  const result = listing.turn(init);
  if (result === 0 && listing.hasMore) {
    if (cursor !== 0) leases.release(cursor);
    const next = cursor === 0 ? leases.add(listing) : cursor;
    if (next !== null) return { entries: listing.entries, cursor: next };
  }
  if (cursor === 0) listing.end();
  else leases.end(cursor);
  if (result < 0) return new Refusal(`reading ${query.string("path")}: ${errnoName(-result)}`);
  return listing.hasMore
    ? new Refusal("too many directories are read, and files watched, at once")
    : { entries: listing.entries, cursor: 0 };
};

function open(init: Task, containerId: string, query: Parameters<Service>[1]): Listing | Refusal {
  const path = pathOf(query, "path");
  if (path instanceof Refusal) return path;
  const file = openByName(init, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0);
  if (typeof file !== "number") return new Listing(containerId, file);
  return new Refusal(`opening ${query.string("path")}: ${errnoName(-file)}`);
}

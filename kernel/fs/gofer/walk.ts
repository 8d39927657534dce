// Look-ups of names in host directories: one request for a name and for those that the path walk needs after it.
// Linux: a network file system's lookup, one request a name; here later names may be as old as the first one's
// answer.

import { NAME_BYTES_MAX, NO_NODE, REQUEST, WALK_COUNT_MAX, WANTS } from "../../../gofer/protocol.ts";
import { EINVAL, ENOENT } from "../../abi/errno.ts";
import { S_IFREG } from "../../abi/file.ts";
import type { GoferInode } from "./inode.ts";

const SLASH = 0x2f;

/** Scratch: the names of the current request, and the nodes they had. */
const asked: string[] = [];
const known: number[] = [];

/**
 * Requests `name` in `directory`, whose node is `node`, and returns its inode or -ERRNO. With `opens`, the last name
 * of the path is opened next, and its descriptor or content is requested along with it.
 */
export function askForName(
  directory: GoferInode,
  node: number,
  name: string,
  opens: boolean,
): GoferInode | number {
  const { fs } = directory, { client, vfs } = fs, { request, answer } = client;
  fs.closeNodes();
  asked.length = known.length = 0;
  let last = addName(directory, name);
  let at = vfs.aheadAt;
  const text = vfs.aheadText;
  while (at >= 0 && at < text.length && asked.length < WALK_COUNT_MAX) {
    let end = at;
    while (end < text.length && text.charCodeAt(end) !== SLASH) end++;
    const next = text.slice(at, end);
    if (next === "." || next === ".." || next.length > NAME_BYTES_MAX) break;
    last = addName(last !== null && last.isDirectory ? last : null, next);
    at = end;
    while (text.charCodeAt(at) === SLASH) at++;
  }
  const isWhole = at < 0 || at >= text.length;
  const wants = opens && isWhole ? fs.wantsOf(last) : WANTS.NOTHING;
  const count = asked.length;
  request.start(REQUEST.WALK);
  request.u32(node);
  request.u8(wants);
  request.u8(count);
  for (let i = 0; i < count; i++) request.u32(known[i]);
  for (let i = 0; i < count; i++) request.name(asked[i]);
  const result = client.call();
  if (result < 0) {
    if (result === -ENOENT) directory.names.note(name, null);
    return result;
  }
  const walked = answer.u8(), stopped = answer.i32();
  let first: GoferInode | null = null, parent = directory;
  for (let i = 0; i < walked && i < count; i++) {
    const inode = fs.take(answer.u32());
    if (inode === null) return -EINVAL;
    parent.names.note(asked[i], inode);
    if (first === null) first = inode;
    else fs.noteUnheld(inode);
    parent = inode;
  }
  if (first === null) return -EINVAL;
  if (walked < count && stopped === -ENOENT && parent.isDirectory) parent.names.note(asked[walked], null);
  if (wants !== WANTS.NOTHING && walked === count && parent.type === S_IFREG) parent.content.takeAlong();
  return first;
}

/** Adds `name`, and returns the inode it had last in `directory` where that is known. */
function addName(directory: GoferInode | null, name: string): GoferInode | null {
  const last = directory === null ? null : directory.names.lastOf(name);
  asked.push(name);
  known.push(last === null ? NO_NODE : last.knownNode);
  return last;
}

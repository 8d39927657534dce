// Extended attributes of host files. They are not cached: each call is a request.

import { EOPNOTSUPP } from "../../abi/errno.ts";
import { REQUEST } from "../../../gofer/protocol.ts";
import type { GoferInode } from "./inode.ts";

const GET = 0, SET = 1, LIST = 2, REMOVE = 3;

function ask(
  inode: GoferInode,
  operation: number,
  flags: number,
  name: string,
  value: Uint8Array | null,
): number {
  const node = inode.node();
  if (node < 0) return node;
  if (inode.isSymlink) return -EOPNOTSUPP;
  const { request } = inode.fs.client;
  request.start(REQUEST.XATTR);
  request.u8(operation);
  request.u8(flags);
  request.u32(node);
  request.name(name);
  if (value !== null) request.raw(value, 0, value.length);
  return inode.fs.client.call();
}

function answerBytes(inode: GoferInode): Uint8Array {
  const { answer } = inode.fs.client;
  return answer.bytes.slice(answer.at, answer.end);
}

export function getXattr(inode: GoferInode, name: string): Uint8Array | number {
  const result = ask(inode, GET, 0, name, null);
  return result < 0 ? result : answerBytes(inode);
}

export function setXattr(inode: GoferInode, name: string, value: Uint8Array, flags: number): number {
  return ask(inode, SET, flags, name, value);
}

export function removeXattr(inode: GoferInode, name: string): number {
  return ask(inode, REMOVE, 0, name, null);
}

export function listXattr(inode: GoferInode): string[] | number {
  const result = ask(inode, LIST, 0, "", null);
  if (result < 0) return result;
  let text = "";
  for (const byte of answerBytes(inode)) text += String.fromCharCode(byte);
  return text.split("\0").filter((name) => name !== "");
}

// Turns the argument kinds of the syscall table into the stub's prefetch table: per call up to MARSHAL_ITEMS items that
// say what the guest thread copies into its slot before it rings. A prefetch only: what is left out costs one
// process_vm_readv, never correctness.

import {
  ITEM_BUFFER,
  ITEM_FIXED,
  ITEM_FRAME,
  ITEM_IOVEC,
  ITEM_IOVEC_CONTENT,
  ITEM_MSGHDR,
  ITEM_MSGHDR_CONTENT,
  ITEM_STRING,
  ITEM_STRINGS,
  MARSHAL_CALLS,
  MARSHAL_ITEMS,
} from "../slot.ts";

/** One item: `argument` points to it; `length` is the argument with its count; `size` its bytes or the unit's. */
export function marshalItem(kind: number, argument: number, length: number, size: number): number {
  return (kind | argument << 4 | length << 7 | size << 10) >>> 0;
}

/** An empty table: MARSHAL_CALLS x MARSHAL_ITEMS words. */
export function newMarshalTable(): Uint32Array {
  return new Uint32Array(MARSHAL_CALLS * MARSHAL_ITEMS);
}

/** Fills call `number` of `table` with `items`; those beyond MARSHAL_ITEMS are fetched on demand. */
export function setMarshalItems(table: Uint32Array, number: number, items: readonly number[]): void {
  for (let i = 0; i < MARSHAL_ITEMS; i++) table[number * MARSHAL_ITEMS + i] = items[i] ?? 0;
}

export const stringItem = (argument: number) => marshalItem(ITEM_STRING, argument, 0, 0);
/** Strings behind an array of pointers that ends with a null one. */
export const stringsItem = (argument: number) => marshalItem(ITEM_STRINGS, argument, 0, 0);
export const fixedItem = (argument: number, size: number) => marshalItem(ITEM_FIXED, argument, 0, size);
/** What is at the stack pointer: `size` bytes, with an XSAVE area among them that does not count. */
export const frameItem = (size: number) => marshalItem(ITEM_FRAME, 0, 0, size);
export const bufferItem = (argument: number, length: number, unit: number) =>
  marshalItem(ITEM_BUFFER, argument, length, unit);
/** Iovecs; with content where the call reads from them. */
export const iovecItem = (argument: number, count: number, hasContent: boolean) =>
  marshalItem(hasContent ? ITEM_IOVEC_CONTENT : ITEM_IOVEC, argument, count, 16);
/** struct msghdr and its iovecs; with content for sending. */
export const messageItem = (argument: number, hasContent: boolean) =>
  marshalItem(hasContent ? ITEM_MSGHDR_CONTENT : ITEM_MSGHDR, argument, 0, 56);

// The window of a ptrace thread over memory with holes: copies are whole or EFAULT, strings stop at a page that is not there.

import { deepEqual, equal, throws } from "node:assert/strict";
import { EFAULT, ENAMETOOLONG } from "../../kernel/abi/errno.ts";
import { MAP_PRIVATE, PAGE_SIZE, PROT_READ, PROT_WRITE } from "../../kernel/abi/memory.ts";
import { FakeAddressSpace } from "../../tests/support/fake_platform.ts";
import { VIEW_MAX } from "../platform.ts";
import { PtraceWindow } from "./window.ts";
import { GUEST_END } from "../stub/layout.ts";

const AT = 0x10_0000;
const END = AT + 2 * PAGE_SIZE;

/** Two pages that may be written, one that may only be read, then nothing. */
function open(): { window: PtraceWindow; space: FakeAddressSpace } {
  const space = new FakeAddressSpace();
  space.map(null, AT, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1, 0);
  space.map(null, END, PAGE_SIZE, PROT_READ, MAP_PRIVATE, -1, 0);
  return { window: new PtraceWindow(space), space };
}
function put(space: FakeAddressSpace, address: number, text: string): void {
  space.forceWrite(address, new TextEncoder().encode(text), 0, text.length);
}

Deno.test("copies across pages are whole, or EFAULT", () => {
  const { window } = open();
  const bytes = Uint8Array.from({ length: 100 }, (_, i) => i), read = new Uint8Array(104);
  equal(window.copyOut(AT + PAGE_SIZE - 50, bytes, 0, 100), 0);
  equal(window.copyIn(AT + PAGE_SIZE - 50, read, 4, 100), 0);
  deepEqual(read.slice(4), bytes);
  equal(window.copyOut(END - 50, bytes, 0, 100), -EFAULT, "into what may only be read");
  equal(window.copyIn(END + PAGE_SIZE - 50, read, 0, 100), -EFAULT, "past the last page");
  equal(window.copyIn(8, read, 0, 0), 0, "of nothing, from anywhere");
  equal(window.copyOut(8, read, 0, 0), 0);
});

Deno.test("views: what is looked at is a copy, what is written arrives with outCommit() and no more of it than that", () => {
  const { window, space } = open();
  put(space, AT, "hello");
  const at = window.inView(AT, 5);
  equal(new TextDecoder().decode(window.view.slice(at, at + 5)), "hello");
  const out = window.outView(AT, 5);
  window.view.set(new TextEncoder().encode("HELLO"), out);
  equal(window.outCommit(2), 0);
  const read = new Uint8Array(5);
  space.read(AT, read, 0, 5);
  equal(new TextDecoder().decode(read), "HEllo");
  equal(window.inView(END + PAGE_SIZE - 4, 5), -EFAULT);
  window.outView(END, 5);
  equal(window.outCommit(5), -EFAULT, "memory that may only be read");
  equal(window.outCommit(0), 0);
});

Deno.test("a view outside a guest's memory is refused before anything is read or written", () => {
  const { window } = open();
  equal(window.outView(-1, 8), -EFAULT);
  equal(window.outView(GUEST_END - 4, 8), -EFAULT);
  throws(() => window.inView(AT, VIEW_MAX + 1), /VIEW_MAX/);
  throws(() => window.outView(AT, VIEW_MAX + 1), /VIEW_MAX/);
});

Deno.test("readString() crosses pages, takes bytes as they are, and ends at max or where memory does", () => {
  const { window, space } = open();
  put(space, AT + PAGE_SIZE - 3, "sixsix\0");
  equal(window.readString(AT + PAGE_SIZE - 3, 100), "sixsix");
  equal(window.readString(AT + PAGE_SIZE - 3, 7), "sixsix");
  equal(window.readString(AT + PAGE_SIZE - 3, 6), -ENAMETOOLONG);
  space.forceWrite(AT, new Uint8Array([0xff, 0xe2, 0]), 0, 3);
  equal(window.readString(AT, 10), "\xff\xe2");
  put(space, END + PAGE_SIZE - 4, "open");
  equal(window.readString(END + PAGE_SIZE - 4, 4096), -EFAULT);
  equal(window.readString(END + PAGE_SIZE - 4, 4), -ENAMETOOLONG, "the next page is not looked at");
});

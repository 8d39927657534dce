// The gofer's server with a hostile sentry at the other end, on a real directory of the host: whatever is sent, nothing is thrown,
// and nothing outside the mount is seen or changed; and with a host that changes the directory under it.

import { deepEqual, equal, ok } from "node:assert/strict";
import { EBADF, EINVAL, ELOOP, ENOENT, ENOTDIR, EPROTO, EROFS } from "../../kernel/abi/errno.ts";
import { O_RDONLY, O_RDWR, O_WRONLY, S_IFBLK, S_IFCHR } from "../../kernel/abi/file.ts";
import {
  FRAME_BYTES_MAX,
  FrameReader,
  FrameWriter,
  NO_NODE,
  REQUEST,
  SET_MODE,
  SET_SIZE,
  TRANSFER_BYTES_MAX,
  WANTS,
} from "../../gofer/protocol.ts";
import { TestGofer } from "../support/gofer.ts";

const ANSWER_MICROS_MAX = 10e6;
const RANDOM_FRAMES = 20_000;
const NAMES = ["..", ".", "", "/", "../secret", "directory/inner", "/etc/passwd", "a\0b", "n".repeat(256)];

/** A mount of a directory of its own, with a secret beside it. */
class Mount implements AsyncDisposable {
  readonly directory = Deno.makeTempDirSync({ prefix: "tsvisor-gofer-" });
  readonly root = `${this.directory}/root`;
  readonly request = new FrameWriter(0);
  readonly answer: FrameReader;
  readonly gofer: TestGofer;
  readonly #in = new Uint8Array(FRAME_BYTES_MAX);

  constructor(isReadOnly = false) {
    Deno.mkdirSync(`${this.root}/directory`, { recursive: true });
    Deno.writeTextFileSync(`${this.directory}/secret`, "secret");
    Deno.writeTextFileSync(`${this.root}/file`, "content");
    Deno.writeTextFileSync(`${this.root}/directory/inner`, "inner");
    Deno.symlinkSync("..", `${this.root}/up`);
    Deno.symlinkSync("../secret", `${this.root}/link`);
    new Deno.Command("mkfifo", { args: [`${this.root}/fifo`] }).outputSync();
    this.answer = new FrameReader(this.#in);
    this.gofer = new TestGofer([this.root], isReadOnly);
  }

  /** Sends the request as it stands: the answer's errno. Its descriptor is kept until the next. */
  call(): number {
    const { bytes, at } = this.request;
    this.#dropFd();
    const n = this.gofer.channel.ask(bytes, at, this.#in, ANSWER_MICROS_MAX);
    this.donated = this.gofer.channel.donated;
    ok(n >= 4, `the answer gave ${n}`);
    this.answer.start(n);
    return this.answer.i32();
  }
  /** The descriptor that came with the last answer. */
  donated = -1;

  #dropFd(): void {
    if (this.donated >= 0) this.gofer.host.close(this.donated);
    this.donated = -1;
  }

  /** A request of numbers, then names. */
  ask(id: number, numbers: readonly number[], names: readonly string[] = []): number {
    this.request.start(id);
    for (const number of numbers) this.request.u32(number);
    for (const name of names) this.request.name(name);
    return this.call();
  }

  askWalk(
    directory: number,
    names: readonly string[],
    known = NO_NODE,
    wants: number = WANTS.NOTHING,
  ): number {
    this.request.start(REQUEST.WALK);
    this.request.u32(directory);
    this.request.u8(wants);
    this.request.u8(names.length);
    names.forEach((_, i) => this.request.u32(i === names.length - 1 ? known : NO_NODE));
    for (const name of names) this.request.name(name);
    return this.call();
  }

  /** Node of `name` in `directory`, which must be there. */
  walk(directory: number, name: string): number {
    equal(this.askWalk(directory, [name]), 0);
    this.answer.u8();
    this.answer.u32();
    return this.answer.u32();
  }

  setAttributes(node: number, mask: number, mode: number, size: number): number {
    this.request.start(REQUEST.SET_ATTRIBUTES);
    for (const number of [node, mask, mode, 0, 0]) this.request.u32(number);
    this.request.u64(size);
    this.request.raw(new Uint8Array(32), 0, 32);
    return this.call();
  }

  write(node: number, flags: number, length: number): number {
    this.request.start(REQUEST.WRITE);
    this.request.u32(node);
    this.request.u8(flags);
    this.request.u64(0);
    this.request.raw(new Uint8Array(length), 0, length);
    return this.call();
  }

  /** FETCH and ALLOCATE: a node, numbers, where and how much. */
  move(id: number, node: number, numbers: readonly number[], offset: number, length: number): number {
    this.request.start(id);
    for (const number of [node, ...numbers]) this.request.u32(number);
    this.request.u64(offset);
    this.request.u64(length);
    return this.call();
  }

  /** What stands outside the mount. */
  outside(): string[] {
    const names = [...Deno.readDirSync(this.directory)].map((entry) => entry.name).sort();
    return [...names, Deno.readTextFileSync(`${this.directory}/secret`)];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#dropFd();
    await this.gofer[Symbol.asyncDispose]();
    Deno.removeSync(this.directory, { recursive: true });
  }
}

const OUTSIDE = ["root", "secret", "secret"];

Deno.test("gofer: a name is one component of the directory, for every request that has one", async () => {
  await using mount = new Mount();
  const file = mount.walk(0, "file");
  for (const name of NAMES) {
    const refused = name.length > 255 ? -EPROTO : -EINVAL;
    const text = JSON.stringify(name.slice(0, 20));
    equal(mount.askWalk(0, [name]), refused, `WALK ${text}`);
    equal(mount.ask(REQUEST.CREATE, [0, O_RDWR, 0o644, 0, 0], [name]), refused, `CREATE ${text}`);
    equal(mount.ask(REQUEST.MKDIR, [0, 0o755, 0, 0], [name]), refused, `MKDIR ${text}`);
    equal(mount.ask(REQUEST.MKNOD, [0, 0o100644, 0, 0, 0, 0], [name]), refused, `MKNOD ${text}`);
    equal(mount.ask(REQUEST.SYMLINK, [0, 0, 0], [name, "x"]), refused, `SYMLINK ${text}`);
    equal(mount.ask(REQUEST.LINK, [file, 0], [name]), refused, `LINK ${text}`);
    equal(mount.ask(REQUEST.UNLINK, [0, 0], [name]), refused, `UNLINK ${text}`);
    equal(mount.ask(REQUEST.RENAME, [0, 0, 0], ["file", name]), refused, `RENAME to ${text}`);
    equal(mount.ask(REQUEST.RENAME, [0, 0, 0], [name, "other"]), refused, `RENAME of ${text}`);
  }
  deepEqual(mount.outside(), OUTSIDE);
});

Deno.test("gofer: a walk of several names ends at what is no directory, and all names are checked first", async () => {
  await using mount = new Mount();
  equal(mount.askWalk(0, ["directory", "inner", "x"]), 0);
  equal(mount.answer.u8(), 2);
  equal(mount.answer.i32(), 0);
  equal(mount.askWalk(0, ["directory", "none", "x"]), 0);
  equal(mount.answer.u8(), 1);
  equal(mount.answer.i32(), -ENOENT);
  equal(mount.askWalk(0, ["up", "secret"]), 0);
  equal(mount.answer.u8(), 1);
  for (const name of NAMES.filter((name) => name.length <= 255)) {
    equal(mount.askWalk(0, ["directory", name]), 0, name);
    equal(mount.answer.u8(), 1);
    equal(mount.answer.i32(), -EINVAL);
  }
  equal(mount.askWalk(0, []), -EPROTO);
  equal(mount.askWalk(0, new Array(17).fill("directory")), -EPROTO);
  // Of a node that is known and not what stands there any more, or not a file of this mount at all.
  const file = mount.walk(0, "file");
  equal(mount.askWalk(0, ["directory"], file), 0);
  mount.answer.u8(), mount.answer.u32();
  ok(mount.answer.u32() !== file);
  equal(mount.askWalk(0, ["file"], file), 0);
  mount.answer.u8(), mount.answer.u32();
  equal(mount.answer.u32(), file);
  equal(mount.askWalk(0, ["file"], 4_000_000_000), -EBADF);
  equal(mount.askWalk(0, ["file"], NO_NODE, 3), -EPROTO);
  equal(mount.askWalk(0, ["fifo"], NO_NODE, WANTS.CONTENT), 0);
  equal(mount.donated, -1);
  equal(mount.askWalk(0, ["file"], NO_NODE, WANTS.DESCRIPTOR), 0);
  ok(mount.donated >= 0);
  ok(mount.gofer.host.pwrite(mount.donated, new Uint8Array(1), 0, 1, 0) < 0);
});

Deno.test("gofer: a symbolic link is itself, and leads nowhere", async () => {
  await using mount = new Mount();
  const link = mount.walk(0, "link"), up = mount.walk(0, "up");
  equal(mount.ask(REQUEST.OPEN, [link, O_RDONLY]), -EINVAL);
  ok([-ENOTDIR, -ELOOP].includes(mount.askWalk(up, ["secret"])));
  ok([-ENOTDIR, -ELOOP].includes(mount.ask(REQUEST.CREATE, [up, O_RDWR, 0o644, 0, 0], ["planted"])));
  ok(mount.setAttributes(link, SET_SIZE, 0, 0) < 0);
  ok(mount.setAttributes(link, SET_MODE, 0o777, 0) < 0);
  // Made over a link, it is the link that stands there.
  equal(mount.ask(REQUEST.CREATE, [0, O_RDWR, 0o644, 0, 0], ["link"]), 0);
  equal(mount.donated, -1);
  deepEqual(mount.outside(), OUTSIDE);
});

Deno.test("gofer: a read-only mount changes by no request", async () => {
  await using mount = new Mount(true);
  const file = mount.walk(0, "file");
  for (const access of [O_WRONLY, O_RDWR, 3]) equal(mount.ask(REQUEST.OPEN, [file, access]), -EROFS);
  equal(mount.ask(REQUEST.OPEN, [file, O_RDONLY]), 0);
  ok(mount.gofer.host.pwrite(mount.donated, new Uint8Array(1), 0, 1, 0) < 0);
  equal(mount.ask(REQUEST.CREATE, [0, O_RDONLY, 0o644, 0, 0], ["new"]), -EROFS);
  equal(mount.ask(REQUEST.CREATE_UNNAMED, [0, 0o644, 0, 0]), -EROFS);
  equal(mount.ask(REQUEST.MKDIR, [0, 0o755, 0, 0], ["new"]), -EROFS);
  equal(mount.ask(REQUEST.MKNOD, [0, 0o100644, 0, 0, 0, 0], ["new"]), -EROFS);
  equal(mount.ask(REQUEST.SYMLINK, [0, 0, 0], ["new", "x"]), -EROFS);
  equal(mount.ask(REQUEST.LINK, [file, 0], ["new"]), -EROFS);
  equal(mount.ask(REQUEST.UNLINK, [0, 0], ["file"]), -EROFS);
  equal(mount.ask(REQUEST.RENAME, [0, 0, 0], ["file", "new"]), -EROFS);
  equal(mount.setAttributes(file, SET_SIZE, 0, 0), -EROFS);
  equal(mount.setAttributes(file, SET_MODE, 0o777, 0), -EROFS);
  equal(mount.write(file, 0, 1), -EROFS);
  equal(mount.move(REQUEST.ALLOCATE, file, [0], 0, 10), -EROFS);
  equal(Deno.readTextFileSync(`${mount.root}/file`), "content");
});

Deno.test("gofer: transfers are bounded, and of files that are none", async () => {
  await using mount = new Mount();
  const file = mount.walk(0, "file"), directory = mount.walk(0, "directory"), fifo = mount.walk(0, "fifo");
  const link = mount.walk(0, "link");
  const read = (node: number, length: number, offset = 0) => {
    mount.request.start(REQUEST.READ);
    mount.request.u32(node);
    mount.request.u64(offset);
    mount.request.u32(length);
    return mount.call();
  };
  equal(read(file, 100), 0);
  equal(mount.answer.left, "content".length);
  equal(read(file, TRANSFER_BYTES_MAX, 2 ** 40), 0);
  equal(mount.answer.left, 0);
  for (const length of [TRANSFER_BYTES_MAX + 1, 0xffff_ffff]) equal(read(file, length), -EINVAL);
  ok(read(file, 1, 2 ** 63) < 0);
  ok(read(directory, 1) < 0);
  for (const node of [fifo, link]) {
    ok(read(node, 1) < 0);
    ok(mount.write(node, 0, 1) < 0);
    ok(mount.move(REQUEST.ALLOCATE, node, [0], 0, 10) < 0);
  }
  // As much of a file as one likes, and no more than a worker may be held for.
  equal(mount.move(REQUEST.FETCH, file, [], 0, 2 ** 52), 0);
  equal(mount.write(file, 0xff, 3), 0);
  equal(Deno.statSync(`${mount.root}/file`).size, "content".length + 3);
  ok(mount.move(REQUEST.ALLOCATE, file, [0xffff], 0, 10) < 0);
  equal(mount.ask(REQUEST.RELEASE, [file]), 0);
  equal(mount.ask(REQUEST.RELEASE, [77]), -EBADF);
  deepEqual(mount.outside(), OUTSIDE);
});

Deno.test("gofer: no device of the host is made or opened, and a FIFO holds nobody up", async () => {
  await using mount = new Mount();
  for (const type of [S_IFBLK, S_IFCHR]) {
    equal(mount.ask(REQUEST.MKNOD, [0, type | 0o666, 0, 0, 1, 3], ["device"]), -EINVAL);
  }
  const fifo = mount.walk(0, "fifo");
  for (const access of [O_RDONLY, O_WRONLY, O_RDWR]) equal(mount.ask(REQUEST.OPEN, [fifo, access]), -EINVAL);
  equal(mount.setAttributes(fifo, SET_SIZE, 0, 0), -EINVAL);
  if (Deno.uid() !== 0) return;
  const made = new Deno.Command("mknod", { args: [`${mount.root}/null`, "c", "1", "3"] }).outputSync();
  if (!made.success) return;
  const device = mount.walk(0, "null");
  equal(mount.ask(REQUEST.OPEN, [device, O_RDWR]), -EINVAL);
  equal(mount.setAttributes(device, SET_SIZE, 0, 0), -EINVAL);
});

Deno.test("gofer: nodes that are none", async () => {
  await using mount = new Mount();
  const closed = mount.walk(0, "file");
  mount.request.start(REQUEST.CLOSE);
  mount.request.u16(3);
  for (const node of [closed, 0, 4_000_000_000]) mount.request.u32(node);
  equal(mount.call(), 0);
  for (const node of [closed, 77, 0x7fff_ffff, 0xffff_ffff]) {
    equal(mount.ask(REQUEST.STAT, [node]), -EBADF);
    equal(mount.ask(REQUEST.OPEN, [node, O_RDONLY]), -EBADF);
    equal(mount.askWalk(node, ["file"]), -EBADF);
    equal(mount.ask(REQUEST.LINK, [node, 0], ["new"]), -EBADF);
    equal(mount.ask(REQUEST.UNLINK, [node, 0], ["file"]), -EBADF);
    equal(mount.setAttributes(node, SET_SIZE, 0, 0), -EBADF);
  }
  // The root stays.
  equal(mount.ask(REQUEST.STAT, [0]), 0);
});

Deno.test("gofer: a directory that the host swaps for a link is still the directory", async () => {
  await using mount = new Mount();
  const directory = mount.walk(0, "directory");
  Deno.renameSync(`${mount.root}/directory`, `${mount.root}/moved`);
  Deno.symlinkSync("..", `${mount.root}/directory`);
  mount.walk(directory, "inner");
  equal(mount.ask(REQUEST.CREATE, [directory, O_RDWR, 0o644, 0, 0], ["new"]), 0);
  ok(Deno.statSync(`${mount.root}/moved/new`).isFile);
  const link = mount.walk(0, "directory");
  ok([-ENOTDIR, -ELOOP].includes(mount.askWalk(link, ["secret"])));
  deepEqual(mount.outside(), OUTSIDE);
});

Deno.test(`gofer: ${RANDOM_FRAMES} random frames`, async () => {
  await using mount = new Mount();
  let state = 1;
  const below = (n: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) % n;
  };
  const names = [...NAMES, "file", "directory", "inner", "up", "link", "new", "fifo"];
  const numbers = [0, 1, 2, 3, 7, 0o644, 0o100644, 0o7777, 0x200, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];
  for (let i = 0; i < RANDOM_FRAMES; i++) {
    mount.request.start(below(20) === 0 ? below(0xffff) : 1 + below(27));
    for (let n = below(6); n > 0; n--) mount.request.u32(numbers[below(numbers.length)]);
    if (below(4) === 0) mount.request.u8(below(256));
    if (below(8) === 0) mount.request.u16(below(0xffff));
    for (let n = below(3); n > 0; n--) mount.request.name(names[below(names.length)]);
    if (below(8) === 0) mount.request.raw(new Uint8Array(40).fill(below(256)), 0, 40);
    if (below(8) === 0) mount.request.at = Math.max(1, mount.request.at - below(6));
    mount.call();
  }
  deepEqual(mount.outside(), OUTSIDE);
});

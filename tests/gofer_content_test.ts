// The content of host files: with how many requests it is reached, how long it holds, and who waits for a slow disk.

import { deepEqual, equal, ok } from "node:assert/strict";
import { CONTENT_BYTES_MAX } from "../gofer/protocol.ts";
import { ENOENT } from "../kernel/abi/errno.ts";
import {
  AT_FDCWD,
  O_APPEND,
  O_CREAT,
  O_DSYNC,
  O_RDONLY,
  O_RDWR,
  O_SYNC,
  O_WRONLY,
} from "../kernel/abi/file.ts";
import { openByName } from "../kernel/vfs/open.ts";
import { removeFile } from "../kernel/vfs/remove.ts";
import { Mounted } from "./support/gofer_mount.ts";

Deno.test("a small file is read with the question that looks it up, and no descriptor", async () => {
  await using m = new Mounted();
  const { t } = m;
  Deno.writeTextFileSync(`${m.directory}/small`, "small");
  Deno.writeTextFileSync(`${m.directory}/large`, "x".repeat(CONTENT_BYTES_MAX + 1));
  Deno.writeTextFileSync(`${m.directory}/program`, "\x7fELF and so on");
  m.inode("/host");
  m.host.forget();
  const file = m.open("/host/small", O_RDONLY), into = new Uint8Array(100);
  const text = (n: number) => new TextDecoder().decode(into.subarray(0, n));
  equal(file.inode.refresh(), 0);
  equal(text(file.read(t.task, into, 0, 100, 0)), "small");
  equal(text(file.read(t.task, into, 0, 3, 1)), "mal");
  equal(file.read(t.task, into, 0, 100, 5), 0);
  deepEqual(m.host.forget(), ["WALK"]);
  equal(m.descriptors.count, 0);
  // What is written by another descriptor is read, and so is what the host writes, once the content is old.
  const writer = m.open("/host/small", O_WRONLY);
  equal(writer.write(t.task, new TextEncoder().encode("SM"), 0, 2, 0), 2);
  equal(text(file.read(t.task, into, 0, 100, 0)), "SMall");
  writer.drop();
  file.drop();
  // One for writing does not stay: who executes the file on the host, or watches it there, waits for its end.
  equal(m.descriptors.count, 0);
  for (const name of ["large", "program"]) {
    m.host.forget();
    const file = m.open(`/host/${name}`, O_RDONLY);
    ok(file.read(t.task, into, 0, 4, 0) === 4);
    deepEqual(m.host.forget(), ["WALK"]);
    file.drop();
  }
  // One for reading does, for who opens it next.
  equal(m.descriptors.count, 2);
});

Deno.test("what was not read ahead of a directory is there all the same, in an exclusive mount", async () => {
  await using m = new Mounted();
  m.mount("/alone", true);
  const COUNT = 1500, length = 100;
  Deno.mkdirSync(`${m.directory}/many`);
  for (let i = 0; i < COUNT; i++) {
    Deno.writeTextFileSync(`${m.directory}/many/${"n".repeat(length)}${i}`, "x".repeat(500));
  }
  const missing = [];
  for (let i = 0; i < COUNT; i++) {
    const file = openByName(m.t.task, AT_FDCWD, `/alone/many/${"n".repeat(length)}${i}`, O_RDONLY, 0);
    if (typeof file === "number") missing.push(i);
    else file.drop();
  }
  deepEqual(missing, []);
});

Deno.test("small files that are opened one after the other are read in few requests", async () => {
  await using m = new Mounted();
  const { host, t, clock } = m;
  const COUNT = 400, into = new Uint8Array(100);
  for (const directory of ["a", "b"]) {
    Deno.mkdirSync(`${m.directory}/${directory}`);
    for (let i = 0; i < COUNT; i++) {
      Deno.writeTextFileSync(`${m.directory}/${directory}/${i}`, `${directory}${i}`);
    }
  }
  Deno.writeTextFileSync(`${m.directory}/b/large`, "x".repeat(10_000));
  const read = (name: string) => {
    const file = m.open(`/host/${name}`, O_RDONLY);
    const n = file.read(t.task, into, 0, 100, 0);
    equal(file.inode.refresh(), 0);
    file.drop();
    return new TextDecoder().decode(into.subarray(0, Math.max(n, 0)));
  };
  for (const directory of ["a", "b"]) {
    host.forget();
    for (let i = 0; i < COUNT; i++) equal(read(`${directory}/${i}`), `${directory}${i}`);
    const asked = host.forget();
    ok(asked.length < COUNT / 10, `${asked.length} requests: ${asked.join(" ")}`);
    ok(asked.includes("READ_CONTENTS"));
  }
  equal(m.descriptors.count < 20, true);
  equal(read("b/large").length, 100);
  // What was read ahead is not read where it was changed since, by us or, once it is old, by the host.
  for (let i = 0; i < 20; i++) read(`a/${i}`);
  const writer = m.open("/host/a/30", O_WRONLY);
  equal(writer.write(t.task, new TextEncoder().encode("A"), 0, 1, 0), 1);
  writer.drop();
  equal(read("a/30"), "A30");
  equal(removeFile(t.task, AT_FDCWD, "/host/a/31"), 0);
  equal(openByName(t.task, AT_FDCWD, "/host/a/31", O_RDONLY, 0), -ENOENT);
  Deno.writeTextFileSync(`${m.directory}/a/32`, "host");
  clock.stoppedAt += 60e6;
  equal(read("a/32"), "host");
  // A file that has gone while it was open is still what it was.
  const file = m.open("/host/a/33", O_RDONLY);
  Deno.removeSync(`${m.directory}/a/33`);
  clock.stoppedAt += 60e6;
  equal(file.read(t.task, into, 0, 100, 0), 3);
  equal(file.inode.refresh(), 0);
  file.drop();
});

Deno.test("small files that are looked at and then opened, one after the other, are read in few requests", async () => {
  await using m = new Mounted();
  const DIRECTORIES = 4, FILES = 40;
  for (let d = 0; d < DIRECTORIES; d++) {
    Deno.mkdirSync(`${m.directory}/${d}`);
    for (let i = 0; i < FILES; i++) Deno.writeTextFileSync(`${m.directory}/${d}/${i}`, `${d} ${i}`);
  }
  m.inode("/host");
  m.host.forget();
  const into = new Uint8Array(100), counts: number[] = [];
  for (let d = 0; d < DIRECTORIES; d++) {
    for (let i = 0; i < FILES; i++) {
      const path = `/host/${d}/${i}`, text = `${d} ${i}`;
      const inode = m.inode(path);
      equal(typeof inode === "number" ? inode : inode.size, text.length, path);
      const file = m.open(path, O_RDONLY);
      equal(new TextDecoder().decode(into.subarray(0, file.read(m.t.task, into, 0, 100, 0))), text);
      file.drop();
    }
    counts.push(m.host.forget().length);
  }
  ok(counts.at(-1)! <= 5, `requests of each directory: ${counts}`);
  equal(m.descriptors.count, 0);
});

Deno.test("content that came with a look-up is read for a moment only", async () => {
  await using m = new Mounted();
  Deno.writeTextFileSync(`${m.directory}/f`, "before");
  const file = m.open("/host/f", O_RDONLY), into = new Uint8Array(100);
  equal(file.read(m.t.task, into, 0, 100, 0), 6);
  Deno.writeTextFileSync(`${m.directory}/f`, "afterwards");
  equal(file.read(m.t.task, into, 0, 100, 0), 6);
  m.clock.stoppedAt += 60e6;
  equal(file.read(m.t.task, into, 0, 100, 0), 10);
  equal(file.inode.refresh(), 0);
  equal(file.inode.size, 10);
  file.drop();
});

Deno.test("what the host does not have in memory is fetched by the gofer first", async () => {
  await using m = new Mounted();
  const text = "0123456789".repeat(10_000);
  Deno.writeTextFileSync(`${m.directory}/f`, text);
  const file = m.open("/host/f", O_RDONLY), into = new Uint8Array(text.length);
  m.host.forget();
  m.clock.isCold = true;
  equal(file.read(m.t.task, into, 0, text.length, 0), text.length);
  equal(new TextDecoder().decode(into), text);
  deepEqual(m.host.forget(), ["FETCH"]);
  m.clock.isCold = false;
  equal(file.read(m.t.task, into, 0, 10, 20), 10);
  deepEqual(m.host.forget(), []);
  file.drop();
});

Deno.test("after a write that took long the gofer writes for a while, and always where the disk must have it", async () => {
  await using m = new Mounted();
  const { t, clock } = m;
  const bytes = new Uint8Array(10).fill(65);
  const file = m.open("/host/f", O_RDWR | O_CREAT);
  const write = (flags: number, at: number) => {
    file.flags = O_RDWR | flags;
    m.host.forget();
    equal(file.write(t.task, bytes, 0, 10, at), 10);
    return m.host.forget();
  };
  deepEqual(write(0, 0), []);
  deepEqual(write(O_SYNC, 0), ["WRITE"]);
  deepEqual(write(O_DSYNC, 0), ["WRITE"]);
  clock.writeNanos = 1e9;
  clock.stoppedAt += 0.5e6;
  deepEqual(write(0, 0), []);
  deepEqual(write(0, 10), ["WRITE"]);
  deepEqual(write(O_APPEND, 0), ["WRITE"]);
  equal(Deno.statSync(`${m.directory}/f`).size, 30);
  equal(file.inode.size, 30);
  // We have slept shortly before it or in it: the gofer's for a moment, and then it is looked at.
  clock.stoppedAt += 60e6;
  clock.sleepsInWrites = false;
  deepEqual(write(0, 30), []);
  deepEqual(write(0, 30), []);
  clock.sleepsInWrites = true;
  deepEqual(write(0, 30), []);
  deepEqual(write(0, 30), ["WRITE"]);
  clock.stoppedAt += 500e6;
  deepEqual(write(0, 30), ["WRITE"]);
  clock.writeNanos = 0;
  clock.stoppedAt += 600e6;
  deepEqual(write(0, 30), []);
  deepEqual(write(0, 30), []);
  // What changes a file otherwise is the gofer's in any case.
  equal(file.asContent()!.truncate(5), 0);
  equal(file.asContent()!.allocate(0, 0, 4096), 0);
  deepEqual(m.host.forget(), ["SET_ATTRIBUTES", "ALLOCATE"]);
  equal(Deno.statSync(`${m.directory}/f`).size, 4096);
  equal(file.inode.size, 4096);
  file.drop();
});

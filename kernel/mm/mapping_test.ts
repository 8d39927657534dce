import { newMemoryTask } from "../../tests/support/memory_task.ts";
import * as E from "../abi/errno.ts";
import * as M from "../abi/memory.ts";
import { PAGE_SIZE } from "../abi/memory.ts";
import { RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK, RLIMIT_STACK } from "../abi/task.ts";
import { newCredentials, NO_CAPABILITIES } from "../task/credentials.ts";
import type { Fault } from "../../platform/platform.ts";
import type { Task } from "../task/task.ts";
import type { File } from "../vfs/file.ts";
import { ok as assert } from "node:assert/strict";
import { adviseMemory } from "./advice.ts";
import { lockMemory } from "./locking.ts";
import { changeBreak, mapMemory, protectMemory, unmapMemory } from "./mapping.ts";
import { checkRemap, remapMemory } from "./remap.ts";
import { FAKE_LAYOUT } from "../../tests/support/fake_platform.ts";

const RW = M.PROT_READ | M.PROT_WRITE;
const ANON = M.MAP_PRIVATE | M.MAP_ANONYMOUS;
const BASE = 0x1000_0000;

function equal(actual: number, expected: number, what: string): void {
  assert(actual === expected, `${what}: ${actual} is not ${expected}`);
}

function anonymous(task: Task, at: number, pages: number, prot = RW, flags = ANON | M.MAP_FIXED): number {
  return mapMemory(task, at, pages * PAGE_SIZE, prot, flags, null, 0);
}

/** A file as mmap(2) sees one. */
function fakeFile(options: { writable?: boolean; readable?: boolean; noexec?: boolean }): File {
  return {
    isReadable: options.readable ?? true,
    isWritable: options.writable ?? false,
    flags: 0,
    inode: { fs: { isMemory: false } },
    path: options.noexec ? { mount: { flags: 8 } } : null,
    asMappable: () => ({
      isSharedWritable: options.writable ?? false,
      mappable: () => ({ hostFd: () => 7, hostOffset: 0 }),
    }),
    hold() {},
    drop() {},
  } as unknown as File;
}

Deno.test("the tree and the host agree page by page after random mmap, munmap, mprotect and mremap", () => {
  const { task, mm, space } = newMemoryTask();
  let seed = 99;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return (seed >>> 8) % below;
  };
  for (let round = 0; round < 1500; round++) {
    const at = BASE + random(48) * PAGE_SIZE, pages = 1 + random(8), bytes = pages * PAGE_SIZE;
    switch (random(5)) {
      case 0:
        anonymous(task, at, pages, random(8), (random(2) === 0 ? ANON : 0x21) | M.MAP_FIXED);
        break;
      case 1:
        unmapMemory(task, at, bytes);
        break;
      case 2:
        protectMemory(task, at, bytes, random(8));
        break;
      case 3:
        remapMemory(task, at, bytes, (1 + random(8)) * PAGE_SIZE, random(2), 0);
        break;
      default:
        remapMemory(task, at, bytes, bytes, 3 | (random(2) * 4), BASE + random(48) * PAGE_SIZE);
    }
    let mapped = 0;
    for (const area of mm.areas) {
      for (let page = area.start; page < area.end; page += PAGE_SIZE) {
        mapped++;
        const host = space.pages.get(page);
        assert(host !== undefined, `round ${round}: page ${page.toString(16)} is mapped on the host`);
        equal(host.prot, area.prot, `round ${round}: protection`);
        if (area.backing !== null) equal(host.offset, area.offset + page - area.start, "offset");
      }
    }
    equal(space.pages.size, mapped, `round ${round}: nothing else is mapped`);
  }
});

Deno.test("mmap() refuses what Linux refuses, with its errno", () => {
  const { task } = newMemoryTask();
  const map = (length: number, prot: number, flags: number, file: File | null = null, at = 0, offset = 0) =>
    mapMemory(task, at, length, prot, flags, file, offset);
  equal(map(0, RW, ANON), -E.EINVAL, "length 0");
  equal(map(PAGE_SIZE, RW, M.MAP_ANONYMOUS), -E.EINVAL, "neither shared nor private");
  equal(
    map(PAGE_SIZE, RW, M.MAP_ANONYMOUS | M.MAP_SHARED_VALIDATE),
    -E.EINVAL,
    "shared-validate without a file",
  );
  equal(map(2 ** 48, RW, ANON), -E.ENOMEM, "larger than the space");
  equal(map(2 ** 63, RW, ANON), -E.ENOMEM, "absurd length");
  equal(map(PAGE_SIZE, RW, ANON | M.MAP_FIXED, null, 0x12345), -E.EINVAL, "unaligned fixed address");
  equal(map(PAGE_SIZE, RW, ANON | M.MAP_FIXED, null, 0x1000), -E.EPERM, "below mmap_min_addr");
  equal(map(PAGE_SIZE, RW, ANON | M.MAP_FIXED, null, FAKE_LAYOUT.end), -E.ENOMEM, "above the space");
  equal(map(PAGE_SIZE, RW, M.MAP_SHARED | M.MAP_ANONYMOUS | M.MAP_GROWSDOWN), -E.EINVAL, "a shared stack");
  equal(map(PAGE_SIZE, RW, M.MAP_SHARED, fakeFile({})), -E.EACCES, "writable and shared, file is read-only");
  equal(
    map(PAGE_SIZE, M.PROT_READ, M.MAP_PRIVATE, fakeFile({ readable: false })),
    -E.EACCES,
    "write-only file",
  );
  equal(map(PAGE_SIZE, 5, M.MAP_PRIVATE, fakeFile({ noexec: true })), -E.EPERM, "executable on noexec");
  equal(map(PAGE_SIZE, 1, M.MAP_PRIVATE, fakeFile({}), 0, 2 ** 53), -E.EOVERFLOW, "offset too large");
  equal(map(PAGE_SIZE, 1, 3 | M.MAP_SYNC, fakeFile({})), -E.EOPNOTSUPP, "shared-validate knows its flags");
  assert(map(PAGE_SIZE, RW, M.MAP_PRIVATE, fakeFile({})) > 0, "private and writable of a read-only file");
  const shared = map(PAGE_SIZE, M.PROT_READ, M.MAP_SHARED, fakeFile({}));
  equal(protectMemory(task, shared, PAGE_SIZE, RW), -E.EACCES, "mprotect of a read-only shared file");
  equal(anonymous(task, BASE, 2), BASE, "a fixed mapping");
  equal(anonymous(task, BASE, 1, RW, ANON | M.MAP_FIXED_NOREPLACE), -E.EEXIST, "noreplace");
});

Deno.test("a free hint is taken, a taken one is not, and new memory lies below what is there", () => {
  const { task } = newMemoryTask();
  equal(mapMemory(task, BASE + 5, PAGE_SIZE, RW, ANON, null, 0), BASE, "an unaligned hint is rounded down");
  const other = mapMemory(task, BASE, PAGE_SIZE, RW, ANON, null, 0);
  equal(other, FAKE_LAYOUT.end - PAGE_SIZE, "the top is free");
  equal(mapMemory(task, 0, PAGE_SIZE, RW, ANON, null, 0), other - PAGE_SIZE, "below it");
  assert(mapMemory(task, 0, PAGE_SIZE, RW, ANON | M.MAP_32BIT, null, 0) < 2 ** 31, "MAP_32BIT is low");
});

Deno.test("one command carries out mmap, munmap over holes, and mprotect over several areas", () => {
  const { task, space } = newMemoryTask();
  anonymous(task, BASE, 2);
  anonymous(task, BASE + 2 * PAGE_SIZE, 2, M.PROT_READ);
  anonymous(task, BASE + 6 * PAGE_SIZE, 1);
  space.commands = 0;
  equal(protectMemory(task, BASE, 4 * PAGE_SIZE, M.PROT_READ), 0, "mprotect");
  equal(space.commands, 1, "commands of mprotect");
  equal(unmapMemory(task, BASE, 8 * PAGE_SIZE), 0, "munmap");
  equal(space.commands, 2, "commands of munmap");
  equal(unmapMemory(task, BASE, 8 * PAGE_SIZE), 0, "munmap of nothing");
  equal(space.commands, 2, "nothing to do is not sent");
});

Deno.test("mprotect() changes what lies before a hole", () => {
  const { task, mm } = newMemoryTask();
  anonymous(task, BASE, 2);
  equal(protectMemory(task, BASE, 4 * PAGE_SIZE, M.PROT_READ), -E.ENOMEM, "a hole");
  equal(mm.areas.find(BASE)!.prot, M.PROT_READ, "changed before it");
  equal(protectMemory(task, BASE, PAGE_SIZE, 0x100), -E.EINVAL, "unknown bits");
  equal(protectMemory(task, BASE, PAGE_SIZE, M.PROT_READ | M.PROT_GROWSDOWN), -E.EINVAL, "not a stack");
});

Deno.test("limits hold: RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK, the sandbox's memory", () => {
  const { task } = newMemoryTask(64 * PAGE_SIZE);
  const { limits } = task.threadGroup;
  limits.set(RLIMIT_AS, 40 * PAGE_SIZE, Infinity);
  anonymous(task, BASE, 32);
  equal(anonymous(task, BASE + 2 ** 20, 16), -E.ENOMEM, "RLIMIT_AS");
  equal(anonymous(task, BASE, 40), BASE, "what is replaced does not count");
  limits.set(RLIMIT_AS, Infinity, Infinity);
  limits.set(RLIMIT_DATA, 44 * PAGE_SIZE, Infinity);
  equal(anonymous(task, BASE + 2 ** 20, 8), -E.ENOMEM, "RLIMIT_DATA");
  equal(anonymous(task, BASE + 2 ** 20, 8, M.PROT_READ), BASE + 2 ** 20, "read-only memory is no data");
  equal(protectMemory(task, BASE + 2 ** 20, 8 * PAGE_SIZE, RW), -E.ENOMEM, "until it becomes writable");
  limits.set(RLIMIT_DATA, Infinity, Infinity);
  equal(anonymous(task, BASE + 2 ** 21, 65), -E.ENOMEM, "more than the sandbox has");
  equal(anonymous(task, BASE + 2 ** 21, 32), -E.ENOMEM, "more than is left");
  equal(
    anonymous(task, BASE + 2 ** 22, 4096, RW, ANON | M.MAP_FIXED | M.MAP_NORESERVE),
    BASE + 2 ** 22,
    "a reservation",
  );
  (task as { credentials: unknown }).credentials = newCredentials(1, 1, [], NO_CAPABILITIES);
  limits.set(RLIMIT_MEMLOCK, 4 * PAGE_SIZE, Infinity);
  equal(lockMemory(task, BASE, 4 * PAGE_SIZE, false), 0, "mlock");
  equal(lockMemory(task, BASE, 4 * PAGE_SIZE, false), 0, "mlock of the same");
  equal(lockMemory(task, BASE, 5 * PAGE_SIZE, false), -E.ENOMEM, "mlock beyond the limit");
  equal(anonymous(task, BASE + 2 ** 24, 1, RW, ANON | M.MAP_FIXED | M.MAP_LOCKED), -E.EAGAIN, "MAP_LOCKED");
});

Deno.test("mremap() grows in place, moves, keeps the old place, and duplicates shared memory", () => {
  const { task, mm, space, host } = newMemoryTask();
  anonymous(task, BASE, 2);
  space.write(BASE, new Uint8Array([42]), 0, 1);
  equal(remapMemory(task, BASE, 2 * PAGE_SIZE, 4 * PAGE_SIZE, 0, 0), BASE, "in place");
  anonymous(task, BASE + 4 * PAGE_SIZE, 1, M.PROT_READ);
  equal(remapMemory(task, BASE, 4 * PAGE_SIZE, 8 * PAGE_SIZE, 0, 0), -E.ENOMEM, "a neighbour is in the way");
  const moved = remapMemory(task, BASE, 4 * PAGE_SIZE, 8 * PAGE_SIZE, M.MREMAP_MAYMOVE, 0);
  const byte = new Uint8Array(1);
  assert(moved > 0 && space.read(moved, byte, 0, 1) === 1 && byte[0] === 42, "content moves");
  assert(mm.areas.find(BASE) === null, "the old place is free");
  equal(
    remapMemory(task, moved, PAGE_SIZE, PAGE_SIZE, M.MREMAP_FIXED, BASE),
    -E.EINVAL,
    "FIXED needs MAYMOVE",
  );
  equal(remapMemory(task, moved, PAGE_SIZE, PAGE_SIZE, 3, moved), -E.EINVAL, "onto itself");
  equal(remapMemory(task, BASE, PAGE_SIZE, PAGE_SIZE, 0, 0), -E.EFAULT, "of a hole");
  equal(remapMemory(task, moved, 16 * PAGE_SIZE, 20 * PAGE_SIZE, 1, 0), -E.EFAULT, "past the area's end");
  equal(remapMemory(task, moved, 0, PAGE_SIZE, 1, 0), -E.EINVAL, "duplicating private memory");
  equal(
    checkRemap(task, moved, 2 * PAGE_SIZE, PAGE_SIZE, 5, 0),
    -E.EINVAL,
    "known before anything is given back",
  );
  const kept = remapMemory(task, moved, PAGE_SIZE, PAGE_SIZE, 5, 0);
  assert(kept > 0 && mm.areas.find(moved) !== null, "DONTUNMAP keeps a mapping");
  space.read(moved, byte, 0, 1);
  equal(byte[0], 0, "which is empty");
  const shared = mapMemory(task, 0, PAGE_SIZE, RW, M.MAP_SHARED | M.MAP_ANONYMOUS, null, 0);
  const twin = remapMemory(task, shared, 0, PAGE_SIZE, M.MREMAP_MAYMOVE, 0);
  equal(space.pages.get(twin)!.fd, space.pages.get(shared)!.fd, "both show one memory");
  unmapMemory(task, shared, PAGE_SIZE);
  equal(host.files.size, 1, "the memory lives with its last mapping");
  unmapMemory(task, twin, PAGE_SIZE);
  equal(host.files.size, 0, "and not longer");
});

Deno.test("brk() grows and shrinks the heap, and stays where it is when it cannot", () => {
  const { task, mm } = newMemoryTask();
  mm.brkStart = mm.brk = BASE;
  equal(changeBreak(task, 0), BASE, "a question");
  equal(changeBreak(task, BASE + 100), BASE + 100, "grown");
  equal(changeBreak(task, BASE + 3 * PAGE_SIZE), BASE + 3 * PAGE_SIZE, "grown again");
  equal(mm.areas.count, 1, "one heap");
  equal(changeBreak(task, BASE + 1), BASE + 1, "shrunk");
  equal(mm.areas.totalBytes, PAGE_SIZE, "to a page");
  anonymous(task, BASE + 4 * PAGE_SIZE, 1);
  equal(changeBreak(task, BASE + 4 * PAGE_SIZE), BASE + 1, "a page stays free below the neighbour");
});

Deno.test("a fault below a growing stack grows it, within its limit and not onto its neighbour", () => {
  const { task, mm } = newMemoryTask();
  const top = BASE + 2 ** 26;
  anonymous(task, top - PAGE_SIZE, 1, RW, ANON | M.MAP_FIXED | M.MAP_GROWSDOWN);
  const fault = { signal: 11, code: 1, address: top - 10 * PAGE_SIZE, trap: 14, error: 6 } as Fault;
  assert(mm.handleFault(task, fault), "grows");
  assert(mm.areas.find(fault.address) !== null, "and is there");
  fault.error = 7;
  assert(!mm.handleFault(task, fault), "a protection fault is the guest's own");
  fault.error = 6;
  task.threadGroup.limits.set(RLIMIT_STACK, 2 ** 20, Infinity);
  fault.address = top - 2 ** 20 - 1;
  assert(!mm.handleFault(task, fault), "not past RLIMIT_STACK");
  fault.address = top - 2 ** 20;
  assert(mm.handleFault(task, fault), "up to it");
  task.threadGroup.limits.set(RLIMIT_STACK, Infinity, Infinity);
  anonymous(task, top - 2 ** 21, 1);
  fault.address = top - 2 ** 21 + 10 * PAGE_SIZE;
  assert(!mm.handleFault(task, fault), "a gap stays");
});

Deno.test("madvise() follows holes and refuses what does not fit an area", () => {
  const { task, mm, space } = newMemoryTask();
  anonymous(task, BASE, 4);
  equal(adviseMemory(task, BASE + 1, PAGE_SIZE, M.MADV_DONTNEED), -E.EINVAL, "unaligned");
  equal(adviseMemory(task, BASE, PAGE_SIZE, 77), -E.EINVAL, "unknown");
  equal(adviseMemory(task, BASE, 8 * PAGE_SIZE, M.MADV_DONTNEED), -E.ENOMEM, "a hole");
  equal(adviseMemory(task, BASE, PAGE_SIZE, M.MADV_REMOVE), -E.EINVAL, "REMOVE of private memory");
  equal(adviseMemory(task, BASE + PAGE_SIZE, PAGE_SIZE, M.MADV_DONTFORK), 0, "DONTFORK");
  equal(mm.areas.count, 3, "splits");
  const child = mm.fork({ addressSpace: space } as never);
  equal(child.areas.totalBytes, 3 * PAGE_SIZE, "a child lacks it");
  equal(adviseMemory(task, BASE + PAGE_SIZE, PAGE_SIZE, M.MADV_DOFORK), 0, "DOFORK");
  equal(mm.areas.count, 1, "merges");
  lockMemory(task, BASE, PAGE_SIZE, false);
  equal(adviseMemory(task, BASE, PAGE_SIZE, M.MADV_DONTNEED), -E.EINVAL, "DONTNEED of locked memory");
  equal(adviseMemory(task, BASE, PAGE_SIZE, M.MADV_DONTNEED_LOCKED), 0, "DONTNEED_LOCKED");
});

import { deepStrictEqual as same, strictEqual as equal, throws } from "node:assert/strict";
import { FakeHost } from "../../tests/support/fake_platform.ts";
import { EBADF, ENOSPC } from "../abi/errno.ts";
import { HOST_READ, HOST_WRITE, HostDescriptors } from "./host_descriptor.ts";

/** Notes what is closed, and what is read and written of which descriptor. */
class NotingHost extends FakeHost {
  readonly closed: number[] = [];
  readonly calls: string[] = [];
  #next = 10;
  truncation = 0;

  override close(fd: number): number {
    this.closed.push(fd);
    return 0;
  }
  readonly reopened: number[] = [];
  override reopen(fd: number): number {
    this.reopened.push(fd);
    return this.#next++;
  }
  override dup(_fd: number): number {
    return this.#next++;
  }
  override memfdCreate(): number {
    return this.#next++;
  }
  override ftruncate(): number {
    return this.truncation;
  }
  override pread(fd: number): number {
    this.calls.push(`pread ${fd}`);
    return 1;
  }
  override pwrite(fd: number): number {
    this.calls.push(`pwrite ${fd}`);
    return 1;
  }
}

function newDescriptors() {
  const host = new NotingHost();
  return { host, descriptors: new HostDescriptors(host) };
}

const BYTES = new Uint8Array(1);

Deno.test("a descriptor closes once, with its last user", () => {
  const { host, descriptors } = newDescriptors();
  const stdin = descriptors.own(0, "donated", HOST_READ, "stdin");
  stdin.hold();
  stdin.drop();
  same(host.closed, []);
  equal(descriptors.count, 1);
  stdin.drop();
  same(host.closed, [0]);
  equal(descriptors.count, 0);
  throws(() => stdin.drop(), /stdin is dropped twice/);
  throws(() => stdin.hold(), /stdin is held after its end/);
});

Deno.test("after its end a descriptor reaches nobody else's of that number", () => {
  const { host, descriptors } = newDescriptors();
  const file = descriptors.own(7, "gofer", HOST_READ, "a file");
  file.drop();
  equal(file.isOpen, false);
  file.pread(BYTES, 0, 1, 0);
  same(host.calls, ["pread -1"]);
});

Deno.test("a descriptor is used for what it was given only", () => {
  const { host, descriptors } = newDescriptors();
  const stdin = descriptors.own(0, "donated", HOST_READ, "stdin");
  equal(stdin.pwrite(BYTES, 0, 1, 0), -EBADF);
  equal(stdin.write(BYTES, 0, 1), -EBADF);
  equal(stdin.ftruncate(0), -EBADF);
  equal(stdin.fdForMapping(false), -EBADF);
  equal(stdin.pread(BYTES, 0, 1, 0), 1);
  const stdout = descriptors.own(1, "donated", HOST_WRITE, "stdout");
  equal(stdout.read(BYTES, 0, 1), -EBADF);
  same(host.calls, ["pread 0"]);
});

Deno.test("memory that gets no room is closed again", () => {
  const { host, descriptors } = newDescriptors();
  const memory = descriptors.newMemory("shared memory", 4096);
  equal(typeof memory === "number" ? memory : memory.fdForMapping(true), 10);
  host.truncation = -ENOSPC;
  equal(descriptors.newMemory("shared memory", 4096), -ENOSPC);
  same(host.closed, [11]);
  same(descriptors.describe(), ["10: shared memory (memory)"]);
});

Deno.test("memory that a stub may only read is passed by a descriptor for reading only, which goes with it", () => {
  const { host, descriptors } = newDescriptors();
  const memory = descriptors.newMemory("tmpfs", 4096);
  if (typeof memory === "number") throw new Error("no memory");
  equal(memory.fdForMapping(true), 10);
  equal(memory.fdForMapping(false), 11);
  equal(memory.fdForMapping(false), 11);
  equal(memory.fdForMapping(true), 10);
  same(host.reopened, [10]);
  memory.drop();
  same(host.closed, [11, 10]);
  same(descriptors.describe(), []);
});

Deno.test("a copy is a descriptor of its own", () => {
  const { host, descriptors } = newDescriptors();
  const stdin = descriptors.own(0, "donated", HOST_READ, "stdin");
  const copy = descriptors.copy(stdin);
  if (typeof copy === "number") throw new Error("no copy");
  stdin.drop();
  equal(copy.fd, 10);
  equal(copy.rights, HOST_READ);
  same(host.closed, [0]);
});

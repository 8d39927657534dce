// The server against a client of the test's own, which writes bytes: nothing of our codec is on its side.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { EAGAIN } from "../../../kernel/abi/errno.ts";
import { NativeHost } from "../../../native/host.ts";
import {
  connectToPath,
  listenAtPath,
  NativeStreams,
  SOCK_STREAM,
  STREAM_FDS_MAX,
} from "../../../native/stream.ts";
import { type Call, MESSAGE_BYTES_MAX, STALL_MILLIS_MAX } from "./connection.ts";
import { CONNECTIONS_MAX, UrpcServer } from "./server.ts";

const host = new NativeHost(), streams = new NativeStreams();
const NO_FDS = new Int32Array(0);

/** A server that answers what `handle` says, in virtual time. */
class Bench {
  readonly path = Deno.makeTempDirSync() + "/s";
  readonly listener = listenAtPath(this.path);
  now = 0;
  readonly server: UrpcServer;
  constructor(handle: (call: Call) => void) {
    this.server = new UrpcServer(
      host,
      streams,
      this.listener,
      { fd: -1, onReady() {} },
      () => this.now,
      handle,
    );
  }

  turns(count = 8): void {
    for (let i = 0; i < count; i++) this.server.turn(0);
  }

  connect(): RawClient {
    const client = new RawClient(connectToPath(this.path, SOCK_STREAM), this);
    this.turns(1);
    return client;
  }

  [Symbol.dispose](): void {
    this.server.stop();
    host.close(this.listener);
    Deno.removeSync(this.path.slice(0, -2), { recursive: true });
  }
}

class RawClient {
  readonly fd: number;
  readonly #bench: Bench;
  /** Descriptors that have come. */
  files: number[] = [];
  constructor(fd: number, bench: Bench) {
    ok(fd >= 0);
    this.fd = fd;
    this.#bench = bench;
  }

  /** What of `text` there was room for, or -errno. */
  write(text: string | Uint8Array<ArrayBuffer>, fds: Int32Array<ArrayBuffer> = NO_FDS): number {
    const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
    return streams.send(this.fd, bytes, 0, bytes.length, fds);
  }

  /** All that has come; null at the end. */
  read(): string | null {
    this.#bench.turns();
    const bytes = new Uint8Array(1 << 20), fds = new Int32Array(STREAM_FDS_MAX);
    let text = "";
    for (;;) {
      const n = streams.receive(this.fd, bytes, 0, bytes.length, fds);
      if (n === -EAGAIN) return text;
      if (n <= 0) return text === "" ? null : text;
      this.files.push(...fds.subarray(0, streams.receivedFds));
      text += new TextDecoder().decode(bytes.subarray(0, n));
      this.#bench.turns();
    }
  }

  close(): void {
    host.close(this.fd);
    for (const fd of this.files) host.close(fd);
  }
}

const echo = (call: Call) => call.succeed({ method: call.method, argument: call.argument ?? null });
/** How many descriptors of this process lead to the memfd `name`; other tests have theirs in the same process. */
function openOn(name: string): number {
  let count = 0;
  for (const { name: fd } of Deno.readDirSync("/proc/self/fd")) {
    try {
      if (Deno.readLinkSync(`/proc/self/fd/${fd}`).includes(name)) count++;
    } catch {
      // Another test has closed it meanwhile.
    }
  }
  return count;
}

Deno.test("a call is answered, byte by byte or two at once", () => {
  using bench = new Bench(echo);
  const client = bench.connect();
  for (const byte of `{"method":"A.B","arg":{"x":18446744073709551615}}`) {
    equal(client.write(byte), 1);
    bench.turns(1);
  }
  equal(
    client.read(),
    `{"success":true,"err":"","result":{"method":"A.B","argument":{"x":18446744073709551615}}}`,
  );
  client.write(`{"Method":"C","ARG":1}\n {"method":"D"}`);
  equal(
    client.read(),
    `{"success":true,"err":"","result":{"method":"C","argument":1}}` +
      `{"success":true,"err":"","result":{"method":"D","argument":null}}`,
  );
  client.close();
});

Deno.test("calls of one client come one after the other, of several side by side", () => {
  const calls: Call[] = [];
  using bench = new Bench((call) => calls.push(call));
  const one = bench.connect(), two = bench.connect();
  one.write(`{"method":"a"}{"method":"b"}`);
  two.write(`{"method":"c"}`);
  bench.turns();
  deepEqual(calls.map((call) => call.method), ["a", "c"]);
  calls[1].succeed(null);
  match(two.read()!, /"success":true/);
  calls[0].fail("no");
  equal(one.read(), `{"success":false,"err":"no","result":null}`);
  deepEqual(calls.map((call) => call.method), ["a", "c", "b"]);
  one.close();
  two.close();
});

Deno.test("descriptors come beside the first byte, go with the answer, and all are closed", () => {
  {
    let seen = 0;
    using bench = new Bench((call) => {
      seen = call.files.length;
      call.succeed({}, [host.dup(call.files[0])]);
    });
    const client = bench.connect();
    const pipe = host.memfdCreate("urpc-beside", 0);
    client.write(`{"method":"a"`, Int32Array.of(pipe, pipe));
    bench.turns();
    // Beside another byte than the first they are nobody's.
    client.write(`}`, Int32Array.of(pipe));
    equal(client.read(), `{"success":true,"err":"","result":{}}`);
    equal(seen, 2);
    equal(client.files.length, 1);
    // Two messages at once: the second one's descriptor stays its own.
    client.write(`{"method":"a"`, Int32Array.of(pipe));
    client.write(`}`);
    client.write(`{"method":"b"}`, Int32Array.of(pipe, pipe, pipe));
    match(client.read()!, /^(\{"success":true,"err":"","result":\{\}\}){2}$/);
    equal(seen, 3);
    host.close(pipe);
    client.close();
    bench.turns();
  }
  equal(openOn("urpc-beside"), 0);
});

Deno.test("128 descriptors are taken, 200 refused, and the client goes on", () => {
  using bench = new Bench((call) => call.succeed(call.files.length));
  const client = bench.connect();
  client.write(`{"method":"a"}`, new Int32Array(128));
  equal(client.read(), `{"success":true,"err":"","result":128}`);
  const python = `
import array, os, socket, sys
fd = os.memfd_create("urpc-many")
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendmsg([b'{"method":"a"}'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd] * 200))])
`;
  const sent = new Deno.Command("python3", { args: ["-c", python, bench.path] }).outputSync();
  ok(sent.success);
  bench.turns();
  equal(openOn("urpc-many"), 0);
  client.write(`{"method":"a"}`);
  equal(client.read(), `{"success":true,"err":"","result":0}`);
  client.close();
});

Deno.test("what is no JSON is answered, and ends the client alone", () => {
  using bench = new Bench(echo);
  const honest = bench.connect();
  for (const text of ["x", "[]", `"a"`, `{"a":}`, `{"method":1}`, "\0", `{"a":${"[".repeat(300)}`]) {
    const client = bench.connect();
    client.write(text);
    match(client.read()!, /^\{"success":false,"err":"[^"].*"result":null\}$/, text);
    equal(client.read(), null, text);
    client.close();
  }
  honest.write(`{"method":"a"}`);
  match(honest.read()!, /"success":true/);
  honest.close();
});

Deno.test("a message without end is refused at its limit", () => {
  using bench = new Bench(echo);
  const client = bench.connect(), honest = bench.connect();
  const chunk = new TextEncoder().encode("x".repeat(65536));
  client.write(`{"method":"`);
  let total = 0;
  for (let n = 1; n > 0 || n === -EAGAIN; bench.turns(2)) {
    n = client.write(chunk);
    if (n > 0) total += n;
    ok(total < MESSAGE_BYTES_MAX + (1 << 20), "it ends");
  }
  ok(total >= MESSAGE_BYTES_MAX - 65536);
  match(client.read()!, /the request is too large/);
  honest.write(`{"method":"a"}`);
  match(honest.read()!, /"success":true/);
  client.close();
  honest.close();
});

Deno.test("a message that stops half way ends its client after a time, one that begins nothing may stay", () => {
  using bench = new Bench(echo);
  const slow = bench.connect(), idle = bench.connect();
  slow.write(`{"method":`);
  idle.write(` \n`);
  bench.turns();
  bench.now += STALL_MILLIS_MAX + 1;
  equal(slow.read(), null);
  equal(idle.read(), "");
  idle.write(`{"method":"a"}`);
  match(idle.read()!, /"success":true/);
  slow.close();
  idle.close();
});

Deno.test("an answer that nobody reads ends its client after a time", () => {
  using bench = new Bench((call) => call.succeed("x".repeat(1 << 22)));
  const client = bench.connect();
  client.write(`{"method":"a"}`);
  bench.turns();
  equal(bench.server.connectionCount, 1);
  bench.now += STALL_MILLIS_MAX + 1;
  bench.turns();
  equal(bench.server.connectionCount, 0);
  client.close();
});

Deno.test("a client that goes before its answer is told to who carries the call out", () => {
  const calls: Call[] = [];
  using bench = new Bench((call) => calls.push(call));
  const client = bench.connect();
  client.write(`{"method":"wait"}`);
  bench.turns();
  let isGone = false;
  calls[0].onGone = () => isGone = true;
  client.close();
  bench.turns();
  ok(isGone);
  calls[0].succeed(1);
  equal(bench.server.connectionCount, 0);
});

Deno.test("a crowd of idle clients makes room for one that asks", () => {
  using bench = new Bench(echo);
  const crowd = Array.from({ length: CONNECTIONS_MAX + 8 }, () => bench.connect());
  equal(bench.server.connectionCount, CONNECTIONS_MAX);
  const client = bench.connect();
  client.write(`{"method":"a"}`);
  match(client.read()!, /"success":true/);
  for (const one of [...crowd, client]) one.close();
});

Deno.test("many calls at once take turns and no stack", () => {
  let count = 0;
  using bench = new Bench((call) => {
    count++;
    call.succeed(null);
  });
  const client = bench.connect();
  const text = `{"method":"a"}`.repeat(4000);
  client.write(text);
  for (let i = 0; i < 5000; i++) {
    bench.turns(1);
    if (i % 100 === 0) client.read();
  }
  equal(count, 4000);
  client.close();
});

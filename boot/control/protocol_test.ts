import { deepEqual, equal, match, ok, throws } from "node:assert/strict";
import {
  decode,
  encode,
  FRAME_BYTES_MAX,
  HEADER_BYTES,
  KINDS,
  type Message,
  type MessageFrom,
  VERSION,
} from "./protocol.ts";

/** One message of every kind. */
const MESSAGES: readonly Message[] = [
  { kind: "hello", facts: 5 },
  { kind: "setup", count: 40 },
  { kind: "signal", signal: 15, pid: 4, scope: 1 },
  { kind: "resized", pid: 0 },
  { kind: "memory", bytes: 2 ** 40 },
  { kind: "connect" },
  { kind: "query", method: "debug.Stacks" },
  { kind: "forget", target: 7 },
  { kind: "start" },
  { kind: "execute" },
  { kind: "wait", pid: 5 },
  { kind: "processes" },
  { kind: "statistics" },
  { kind: "pause" },
  { kind: "resume" },
  { kind: "inquire" },
  { kind: "join" },
  { kind: "limit", memoryBytes: 2 ** 33, tasks: 20 },
  { kind: "ready" },
  { kind: "failed", code: 127, message: "Cannot run x: command not found" },
  { kind: "notice", message: "Limit of tasks reached: 40 tasks" },
  { kind: "measure", isWanted: true },
  { kind: "exit", status: 0x8b },
  { kind: "exported", index: 63, errno: 2, mode: 0o755 },
  { kind: "done" },
  { kind: "refused", errno: 3 },
  { kind: "report" },
  { kind: "refusal", message: 'container "x" not found' },
  { kind: "executed", pid: 12 },
  { kind: "document" },
  { kind: "condition", isStarted: true, isPaused: false },
  { kind: "started", sentry: 7, gofer: 8, control: 3, goferControl: 4, isRootInside: false },
  {
    kind: "attend",
    control: 3,
    diverted: 9,
    listener: -1,
    sentry: 7,
    gofer: 8,
    pid: 0,
    guard: 0,
    release: -1,
    hasTerminal: true,
    root: "/run/tsvisor",
    id: "bücher",
    cgroup: "12 /sys/fs/cgroup/memory/box\n13 /sys/fs/cgroup/pids/box",
    log: "",
    logFormat: "json",
  },
  { kind: "unstarted", errno: 11 },
];

Deno.test("a message of every kind comes back as it was, with its request", () => {
  deepEqual(MESSAGES.map(({ kind }) => kind), Object.keys(KINDS));
  for (const message of MESSAGES) {
    const bytes = encode(message, 77, true);
    const frame = decode(bytes, bytes.length, KINDS[message.kind].from);
    ok(typeof frame !== "string", String(frame));
    deepEqual(frame, { message, request: 77, isReply: true });
  }
});

Deno.test("kinds have numbers of their own", () => {
  const numbers = Object.values(KINDS).map(({ number }) => number);
  equal(new Set(numbers).size, numbers.length);
});

Deno.test("a frame that is cut short, or longer than its fields, is none", () => {
  for (const message of MESSAGES) {
    const { from } = KINDS[message.kind];
    const bytes = encode(message);
    for (let length = 0; length < bytes.length; length++) {
      equal(typeof decode(bytes, length, from), "string", `${message.kind} of ${length} bytes`);
      // The same with a header that says so.
      const cut = bytes.slice();
      new DataView(cut.buffer).setUint32(8, Math.max(0, length - HEADER_BYTES), true);
      equal(typeof decode(cut, length, from), "string", `${message.kind} whole with ${length} bytes`);
    }
    const longer = new Uint8Array(bytes.length + 4);
    longer.set(bytes);
    new DataView(longer.buffer).setUint32(8, longer.length - HEADER_BYTES, true);
    match(String(decode(longer, longer.length, from)), /4 bytes too many/);
  }
});

Deno.test("each side hears only what the other may say, in its version, with the descriptors that belong to it", () => {
  const reason = (message: Message, sender: "role" | "caller", change: (view: DataView) => void, fds = 0) => {
    const bytes = encode(message);
    change(new DataView(bytes.buffer));
    return String(decode(bytes, bytes.length, sender, fds));
  };
  const asItIs = () => {};
  equal(reason({ kind: "signal", signal: 9, pid: 0, scope: 0 }, "role", asItIs), "kind 3");
  equal(reason({ kind: "ready" }, "caller", asItIs), "kind 16");
  equal(
    reason({ kind: "ready" }, "role", (view) => view.setUint16(0, VERSION + 1, true)),
    `version ${VERSION + 1} of the control protocol, ours is ${VERSION}`,
  );
  equal(reason({ kind: "ready" }, "role", (view) => view.setUint32(12, 2, true)), "ready with flags 2");
  equal(reason({ kind: "ready" }, "role", asItIs, 1), "ready with 1 descriptors");
  equal(
    reason({ kind: "signal", signal: 9, pid: 0, scope: 0 }, "caller", (view) => view.setInt32(16, 65, true)),
    "signal.signal 65",
  );
  equal(reason({ kind: "exit", status: 0 }, "role", (view) => view.setInt32(16, -1, true)), "exit.status -1");
  equal(
    reason({ kind: "measure", isWanted: true }, "role", (view) => view.setInt32(16, 2, true)),
    "measure.isWanted 2",
  );
  for (const bytes of [NaN, -1, 0.5, Infinity, 2 ** 60]) {
    match(
      reason({ kind: "memory", bytes: 0 }, "caller", (view) => view.setFloat64(16, bytes, true)),
      /memory\.bytes/,
    );
  }
  match(
    reason({ kind: "notice", message: "x" }, "role", (view) => view.setUint8(20, 0xff)),
    /not UTF-8/,
  );
  match(
    reason({ kind: "notice", message: "x" }, "role", (view) => view.setUint32(16, 0xffff_ffff, true)),
    /of 4294967295 bytes/,
  );
});

Deno.test("any bytes are a message or a reason, seeded", () => {
  let state = 20261130;
  const random = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
  for (let i = 0; i < 20_000; i++) {
    const bytes = encode(MESSAGES[random(MESSAGES.length)]);
    for (let lies = random(4); lies > 0; lies--) bytes[random(bytes.length)] = random(256);
    for (const sender of ["caller", "role", "self"] as const) {
      const frame = decode(bytes, random(bytes.length + 1), sender);
      if (typeof frame === "string") match(frame, /^[\x20-\x7e]+$/);
      else equal(KINDS[frame.message.kind].from, sender);
    }
  }
});

Deno.test("text for a person has no control characters, is cut where it is too long, and stays one line", () => {
  const evil = "\x1b]0;pw\x07\nroot#\x9b7m\u202e\u2028ok";
  const bytes = encode({ kind: "notice", message: evil });
  const { message } = decode(bytes, bytes.length, "role") as { message: MessageFrom<"role"> };
  deepEqual(message, { kind: "notice", message: "\\x1b]0;pw\\x07\\nroot#\\x9b7m\\u202e\\u2028ok" });
  const long = encode({ kind: "notice", message: "ü".repeat(FRAME_BYTES_MAX) });
  ok(long.length <= FRAME_BYTES_MAX);
  match(
    String((decode(long, long.length, "role") as { message: { message: string } }).message.message),
    /^ü{2048}$/,
  );
});

Deno.test("a message of ours that does not fit the table is our bug", () => {
  throws(() => encode({ kind: "signal", signal: 0, pid: 0, scope: 0 }), RangeError);
  throws(() => encode({ kind: "exit", status: 1.5 }), RangeError);
  throws(
    () => encode({ ...MESSAGES.find(({ kind }) => kind === "attend")!, id: "x".repeat(300) } as Message),
    RangeError,
  );
});

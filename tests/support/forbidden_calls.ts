// A program that gives up calls as the role of its argument does, then tries what an attacker would need next, and prints
// which of that succeeded. Run by tests/cli/seccomp_test.ts.

import { confineCalls, sharedRegion } from "../../native/process.ts";
import { goferCalls, packRules, RELAY_CALLS, sentryCalls } from "../../boot/seccomp_lists.ts";

const PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4;
const MAP_SHARED = 1, MAP_PRIVATE = 2, MAP_FIXED = 0x10, MAP_ANONYMOUS = 0x20;
const MREMAP_MAYMOVE = 1, MREMAP_FIXED = 2;
const S_IFBLK = 0o060000;
const TIOCSTI = 0x5412;

const libc = Deno.dlopen("libc.so.6", {
  syscall: { parameters: ["i64", "i64", "i64", "i64", "i64", "i64", "i64"], result: "i64" },
});

/** A call by number; a NUL-terminated text goes as its address. */
function call(number: number, ...values: (number | string)[]): number {
  const texts = values.map((value) =>
    typeof value === "string" ? new TextEncoder().encode(`${value}\0`) : null
  );
  const words = values.map((value, i) =>
    texts[i] === null ? BigInt(value) : Deno.UnsafePointer.value(Deno.UnsafePointer.of(texts[i]!))
  );
  while (words.length < 6) words.push(0n);
  const [a, b, c, d, e, f] = words;
  return Number(libc.symbols.syscall(BigInt(number), a, b, c, d, e, f));
}

const role = Deno.args[0];
// As the roles do: what Deno sets up late is set up now.
Deno.addSignalListener("SIGWINCH", () => {});
const file = call(2, "/bin/true", 0);
call(39);
const region = sharedRegion();
/** Where the roles map files. */
const inside = region.from + 2 ** 33;
const before = Number(call(9, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0));
const memory = call(319, "memory", 0);
call(77, memory, 1 << 20);
const lists = { gofer: goferCalls(region), sentry: sentryCalls(region), relay: RELAY_CALLS };
confineCalls(packRules(lists[role as keyof typeof lists]), true);
/** The relay maps no file, so that nothing is said of a region for that; the runtime of the others is told from it. */
const isRelay = role === "relay";
const mapInside = (at: number) =>
  call(9, at, 65536, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memory, 0);
/** What a call leaves undone that must come before it. */
const REFUSED_BEFORE = -1;

const tries: Record<string, () => number> = {
  "open by path": () => call(2, "/etc/passwd", 0),
  "openat by path": () => role !== "sentry" ? -1 : call(257, -100, "/etc/passwd", 0),
  "socket": () => call(41, 1, 1, 0),
  "internet socket pair": () => call(53, 2, 1, 0, 0),
  "connect": () => call(42, 0, 0, 0),
  "execve": () => call(59, "/bin/true", 0, 0),
  "execveat": () => call(322, -100, "/bin/true", 0, 0, 0),
  "fork": () => call(57),
  "vfork": () => call(58),
  "clone": () => call(56, 17, 0, 0, 0, 0),
  "ptrace": () => call(101, 16, 1, 0, 0),
  "mount": () => call(165, "none", "/tmp", "tmpfs", 0, 0),
  "unshare": () => call(272, 0x1000_0000),
  "setns": () => call(308, 0, 0),
  "setuid": () => call(105, 0),
  "prctl(PR_SET_DUMPABLE)": () => call(157, 4, 1),
  "bpf": () => call(321, 0, 0, 0),
  "io_uring_setup": () => call(425, 1, 0),
  "userfaultfd": () => call(323, 0),
  "perf_event_open": () => call(298, 0, 0, -1, -1, 0),
  "keyctl": () => call(250, 0, -3, 0),
  "pidfd_getfd": () => call(438, 0, 0, 0),
  "type into a terminal": () => call(16, 0, TIOCSTI, "x"),
  "map a file executable": () => call(9, 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0),
  "map a file executable, shared": () => call(9, 0, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0),
  "map a file anywhere": () => call(9, 0, 4096, PROT_READ, MAP_PRIVATE, file, 0),
  "map a file at a place of its choice": () => mapInside(region.end + 2 ** 30),
  "map a file across the end": () => mapInside(region.end - 4096),
  "make a mapped file executable": () =>
    mapInside(inside) === inside ? call(10, inside, 4096, PROT_READ | PROT_EXEC) : REFUSED_BEFORE,
  "make it executable from before": () => call(10, region.from - 4096, 2 ** 34, PROT_READ | PROT_EXEC),
  "move it out": () => call(25, inside, 4096, 65536, MREMAP_MAYMOVE),
  "copy it out": () => call(25, inside, 0, 65536, MREMAP_MAYMOVE),
  "move memory to a place of its choice": () =>
    call(25, before, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, inside + 65536),
  "requeue waiters in shared memory": () => call(202, inside, 3, 1, 0, inside + 64, 0),
  "send out of band": () => call(46, memory, inside, 1),
  "make a block device": () => call(259, -100, "/tmp/tsvisor-forbidden", S_IFBLK | 0o600, 0x800),
};

/** Of roles that map files. */
const OF_REGION = new Set([
  "make a mapped file executable",
  "make it executable from before",
  "move it out",
  "copy it out",
  "map a file where they are mapped",
  "wake in shared memory",
]);
const AF_INET = 2, AF_NETLINK = 16, AF_PACKET = 17, SOCK_STREAM = 1, SOCK_RAW = 3;
const ofRelay: Record<string, () => number> = {
  "raw socket": () => call(41, AF_INET, SOCK_RAW | 0x80800, 1),
  "netlink socket": () => call(41, AF_NETLINK, SOCK_RAW | 0x80800, 0),
  "packet socket": () => call(41, AF_PACKET, SOCK_RAW | 0x80800, 0),
  "a socket that waits": () => call(41, AF_INET, SOCK_STREAM, 0),
  "bind": () => call(49, call(41, AF_INET, SOCK_STREAM | 0x80800, 0), "\x02\0", 16),
  "listen": () => call(50, call(41, AF_INET, SOCK_STREAM | 0x80800, 0), 1),
  "bind to a device": () => call(54, call(41, AF_INET, SOCK_STREAM | 0x80800, 0), 1, 25, "lo", 2),
};
if (isRelay) Object.assign(tries, ofRelay);
const isMeant = ([name]: readonly [string, unknown]) => !isRelay || !OF_REGION.has(name);

const succeeded = Object.entries(tries).filter(isMeant).filter(([, attempt]) => attempt() !== -1).map((
  [name],
) => name);
const still: Record<string, () => number> = {
  "map memory": () => call(9, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
  "map code of its own": () => call(9, 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
  "map a file where they are mapped": () => mapInside(inside) === inside ? 0 : -1,
  "wake in shared memory": () => call(202, inside, 1, 1, 0, 0, 0),
  "make memory executable": () => {
    const at = call(9, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return call(10, at, 4096, PROT_READ | PROT_EXEC);
  },
};
if (isRelay) still["internet socket"] = () => call(41, AF_INET, SOCK_STREAM | 0x80800, 0);
const failed = Object.entries(still).filter(isMeant).filter(([, attempt]) => attempt() === -1).map(([name]) =>
  name
);
const report = new TextEncoder().encode(JSON.stringify({ succeeded, failed }));
call(1, 1, new TextDecoder().decode(report), report.length);
Deno.exit(0);

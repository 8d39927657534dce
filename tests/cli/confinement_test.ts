// What sentry, gofer and stubs have given up, read from /proc of a live sandbox.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { gone, type HostProcess, link, read, sandboxOf, statusOf } from "../support/host_processes.ts";
import { delay, PLATFORMS, tsvisorPath } from "../support/tsvisor.ts";

const NO_CAPABILITIES = "0000000000000000";
/** CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID. */
const FILE_CAPABILITIES = "000000000000001f";
const SEPARATE = ["ipc", "mnt", "net", "pid", "uts"];
const SIGUSR1_BIT = 1n << 9n;
const MARK = "TSVISOR_TEST_SECRET";

/** Runs `check` on a sandbox that sleeps. */
async function withSandbox(
  flags: string[],
  check: (list: HostProcess[], cli: number) => void,
): Promise<void> {
  const child = new Deno.Command(await tsvisorPath(), {
    args: [...flags, "do", "--", "sleep", "60"],
    stdin: "null",
    stdout: "null",
    stderr: "null",
    env: { [MARK]: "1" },
  }).spawn();
  let list: HostProcess[] = [];
  try {
    list = await settled(child.pid);
    check(list, child.pid);
  } finally {
    child.kill("SIGKILL");
    await child.status;
    await gone(list.map((process) => process.pid), 5000);
  }
}

/** Once every process has its filter, guest code runs; once none works any more, the guest has started and sleeps. */
async function settled(cli: number): Promise<HostProcess[]> {
  let before = "";
  for (let tries = 0; tries < 1200; tries++) {
    const list = await sandboxOf(cli);
    if (list.every(({ pid }) => statusOf(`/proc/${pid}/status`).Seccomp === "2")) {
      // A file that is just being mapped is open in its stub for that moment.
      const work = list.map(({ pid }) => switchesOf(pid)).join();
      if (work === before) return list;
      before = work;
      await delay(150);
      continue;
    }
    await delay(50);
  }
  throw new Error("The roles never confined their calls");
}

/** How often the threads of a stub have waited: a number that stands still says that nothing goes on. */
function switchesOf(pid: number): string {
  const { Name, voluntary_ctxt_switches } = statusOf(`/proc/${pid}/status`);
  return Name === "stub" ? `${pid} ${voluntary_ctxt_switches}` : `${pid}`;
}

function threadsOf(pid: number): string[] {
  return [...Deno.readDirSync(`/proc/${pid}/task`)].map((entry) => `/proc/${pid}/task/${entry.name}/status`);
}

function descriptorsOf(pid: number): Map<number, string> {
  const map = new Map<number, string>();
  for (const entry of Deno.readDirSync(`/proc/${pid}/fd`)) {
    map.set(Number(entry.name), link(`/proc/${pid}/fd/${entry.name}`));
  }
  return map;
}

for (const platform of PLATFORMS) {
  Deno.test(`confinement on ${platform}`, async () => {
    await withSandbox([`--platform=${platform}`], (list, cli) => {
      const of = (role: string) => list.filter((process) => process.role === role).map(({ pid }) => pid);
      const [sentry] = of("sentry"), [gofer] = of("gofer");

      for (const { pid, role } of list) {
        for (const path of threadsOf(pid)) {
          const status = statusOf(path);
          if (status.Pid === undefined) continue;
          const name = `${role} ${status.Name} ${path}`;
          const kept = role === "gofer" ? FILE_CAPABILITIES : NO_CAPABILITIES;
          equal(status.CapEff, kept, name);
          equal(status.CapPrm, kept, name);
          equal(status.CapInh, NO_CAPABILITIES, name);
          equal(status.CapAmb, NO_CAPABILITIES, name);
          equal(status.CapBnd, NO_CAPABILITIES, name);
          equal(status.NoNewPrivs, "1", name);
          equal(status.Seccomp, "2", name);
          if (role !== "gofer") match(status.Uid, /^(\d+)\t\1\t\1\t\1$/, name);
          if (role !== "stub") {
            ok((BigInt(`0x${status.SigBlk}`) & SIGUSR1_BIT) !== 0n, `SIGUSR1 is blocked: ${name}`);
          }
        }
        equal(read(`/proc/${pid}/environ`).includes(MARK), false, `the caller's environment: ${role}`);
        const limits = read(`/proc/${pid}/limits`);
        match(limits, /Max core file size +0 /, role);
      }

      for (const pid of [sentry, gofer, ...of("stub")]) {
        for (const kind of SEPARATE) {
          ok(link(`/proc/${pid}/ns/${kind}`) !== link(`/proc/${cli}/ns/${kind}`), `${kind} of ${pid}`);
        }
      }
      for (const stub of of("stub")) {
        equal(link(`/proc/${stub}/ns/pid`), link(`/proc/${sentry}/ns/pid`));
        equal(link(`/proc/${stub}/ns/user`), link(`/proc/${sentry}/ns/user`));
      }
      for (const [role, pid] of [["sentry", sentry], ["gofer", gofer]] as const) {
        ok(link(`/proc/${pid}/ns/user`) !== link(`/proc/${cli}/ns/user`), `user namespace of the ${role}`);
      }
      ok(link(`/proc/${sentry}/ns/user`) !== link(`/proc/${gofer}/ns/user`));
      // Its capabilities hold there, for files of all ids that the caller has.
      deepEqual(idsOf(gofer), idsOf("self"));
      for (const kind of SEPARATE) {
        ok(link(`/proc/${sentry}/ns/${kind}`) !== link(`/proc/${gofer}/ns/${kind}`));
      }
      match(statusOf(`/proc/${sentry}/status`).Uid, /^65534\b/);

      for (const { pid, role } of list) {
        deepEqual([...Deno.readDirSync(`/proc/${pid}/root/`)].map((entry) => entry.name), ["proc"], role);
        for (const name of ["sys", "sysrq-trigger", "kcore", "kallsyms"]) {
          ok(!exists(`/proc/${pid}/root/proc/${name}`), `/proc/${name} of the ${role}`);
        }
      }
      for (const pid of [sentry, gofer]) {
        for (const line of read(`/proc/${pid}/mountinfo`).split("\n").filter((line) => line !== "")) {
          match(line.split(" ")[5], /\bro\b/, line);
        }
        equal(Deno.statSync(`/proc/${pid}/mem`).uid, 0, "not dumpable: its /proc is root's");
      }

      for (const stub of of("stub")) {
        for (const target of descriptorsOf(stub).values()) match(target, /^(socket:|anon_inode:\[eventfd\])/);
        equal(read(`/proc/${stub}/environ`), "");
      }
      for (const [fd, target] of descriptorsOf(sentry)) {
        if (fd < 3) match(target, /^(\/dev)?\/null$/);
        else if (target.startsWith("/") && !target.startsWith("/memfd:")) {
          ok(isReadable(sentry, fd), `The sentry holds ${target} (${fd}) for more than reading`);
        }
      }
      for (const [fd, target] of descriptorsOf(gofer)) {
        if (target.startsWith("/") && target !== "/memfd:tsvisor-config (deleted)") {
          ok(isReadable(gofer, fd), `The gofer holds ${target} (${fd}) for more than reading`);
        }
      }
      for (const pid of [sentry, gofer]) {
        for (const line of read(`/proc/${pid}/maps`).split("\n")) {
          const [, rights, , , , path] = line.split(/ +/);
          if (rights?.endsWith("s") && path?.startsWith("/")) match(path, /^\/memfd:/, line);
        }
      }
    });
  });
}

/** The ids that there are in the user namespace of a process, as [first, count]. */
function idsOf(pid: number | "self"): number[][] {
  return read(`/proc/${pid}/uid_map`).trim().split("\n").map((line) => {
    const [first, , count] = line.trim().split(/\s+/).map(Number);
    return [first, count];
  });
}

/** Host files are donated for reading here (the root is read-only); /dev/null, whose mount is gone there, is nobody's. */
function isReadable(pid: number, fd: number): boolean {
  if (["/dev/null", "/null"].includes(link(`/proc/${pid}/fd/${fd}`))) return true;
  const flags = parseInt(/flags:\t(\d+)/.exec(read(`/proc/${pid}/fdinfo/${fd}`))?.[1] ?? "2", 8);
  return (flags & 3) === 0;
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

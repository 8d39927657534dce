// What a caller can do wrong: one clear line on stderr, the exit code that says who failed, and nothing left on the host.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { Bundle, type Config, hostTraces } from "../support/bundle.ts";
import { type Finished, tsvisor } from "../support/tsvisor.ts";

/** Checks that `finished` is a refusal in one line that has `words`, and that the host is as it was. */
function refused(finished: Finished, code: number, words: RegExp): void {
  match(finished.stderr, /^tsvisor: [^\n]+\n$/, "one line on stderr");
  match(finished.stderr, words);
  equal(finished.stdout, "");
  equal(finished.code, code, finished.stderr);
}

/** Runs `check` with a bundle and compares what is on the host before and after. */
async function withBundle(check: (bundle: Bundle) => Promise<void>): Promise<void> {
  using bundle = new Bundle();
  const before = await own(bundle);
  await check(bundle);
  deepEqual(await own(bundle), before, "something is left on the host");
}

/** Mounts and processes that have to do with `bundle`, files of the state directory. */
async function own(bundle: Bundle): Promise<string[]> {
  const traces = (await hostTraces()).filter((line) =>
    line.includes(bundle.directory) || / \/\S* .*tmpfs none/.test(line)
  );
  try {
    for (const entry of Deno.readDirSync(bundle.state)) traces.push(`state: ${entry.name}`);
  } catch {
    // It was never made.
  }
  return traces;
}

const BAD_CONFIGS: Readonly<Record<string, [(config: Config) => void, RegExp]>> = {
  "no process": [(config) => delete config.process, /config\.json: process: /],
  "args is a string": [({ process }) => process.args = "sh", /process\.args: .*found "sh"/],
  "args is empty": [({ process }) => process.args = [], /process\.args: must name a program/],
  "an argument is a number": [({ process }) => process.args = ["sh", 5], /process\.args\[1\]: .*found 5/],
  "a NUL in an argument": [({ process }) => process.args = ["a\0b"], /process\.args\[0\]: a NUL byte/],
  "cwd is relative": [({ process }) => process.cwd = "work", /process\.cwd: .*absolute.*found "work"/],
  "uid is negative": [({ process }) => process.user.uid = -1, /process\.user\.uid: .*found -1/],
  "unknown capability": [
    ({ process }) => process.capabilities.bounding = ["CAP_FLY"],
    /process\.capabilities\.bounding\[0\]: unknown capability "CAP_FLY"/,
  ],
  "unknown limit": [
    ({ process }) => process.rlimits = [{ type: "RLIMIT_LUCK", soft: 1, hard: 1 }],
    /process\.rlimits\[0\]\.type: unknown limit "RLIMIT_LUCK"/,
  ],
  "soft above hard": [
    ({ process }) => process.rlimits = [{ type: "RLIMIT_NOFILE", soft: 2, hard: 1 }],
    /process\.rlimits\[0\]\.soft: 2 is above/,
  ],
  "an annotation that is no choice": [
    (config) => config.annotations = { "dev.tsvisor.flag.stub-calls": "few" },
    /annotations: dev\.tsvisor\.flag\.stub-calls is "few", not own or none/,
  ],
  "no root": [(config) => delete config.root, /config\.json: root: /],
  "a root that is missing": [({ root }) => root.path = "nothing", /root\.path: "nothing" is not a directory/],
  "a root that is a file": [
    ({ root }) => root.path = "config.json",
    /root\.path: "config\.json" is not a directory/,
  ],
  "a mount without a type": [
    ({ mounts }) => mounts.push({ destination: "/x" }),
    /mounts\[6\]\.type: "none" is unknown/,
  ],
  "an unknown mount type": [
    ({ mounts }) => mounts.push({ destination: "/x", type: "floppy" }),
    /mounts\[6\]\.type: "floppy" is unknown/,
  ],
  "a relative destination": [
    ({ mounts }) => mounts.push({ destination: "x", type: "tmpfs" }),
    /mounts\[6\]\.destination: .*found "x"/,
  ],
  "a bind source that is missing": [
    ({ mounts }) => mounts.push({ destination: "/x", type: "bind", source: "/no/such", options: ["bind"] }),
    /mounts\[6\]\.source: "\/no\/such" does not exist/,
  ],
  "a bind mount without a source": [
    ({ mounts }) => mounts.push({ destination: "/x", type: "bind" }),
    /mounts\[6\]\.source: /,
  ],
  "options the file system does not know": [
    ({ mounts }) => mounts.push({ destination: "/x", type: "tmpfs", options: ["size=lots"] }),
    /Cannot mount \/x: EINVAL for options "size=lots"/,
  ],
  "a directory over a file": [
    ({ mounts }) => mounts.push({ destination: "/etc/passwd", type: "tmpfs" }),
    /Cannot mount \/etc\/passwd: it is a file/,
  ],
  "a place to mount at below a file": [
    ({ mounts }) => mounts.push({ destination: "/etc/passwd/x", type: "tmpfs" }),
    /Cannot mount \/etc\/passwd\/x: ENOTDIR/,
  ],
  "cwd is a file": [({ process }) => process.cwd = "/etc/passwd", /Cannot enter \/etc\/passwd: ENOTDIR/],
  "propagation": [({ linux }) => linux.rootfsPropagation = "shared", /linux\.rootfsPropagation: "shared"/],
};

Deno.test("bad config.json", async (t) => {
  await withBundle(async (bundle) => {
    for (const [name, [change, words]] of Object.entries(BAD_CONFIGS)) {
      await t.step(name, async () => {
        refused(await bundle.script("echo no", change), 128, words);
      });
    }
    await t.step("it is missing", async () => {
      Deno.removeSync(`${bundle.directory}/config.json`);
      refused(await bundle.run(), 128, /Cannot read \S+\/config\.json: no such file/);
    });
    await t.step("it is a directory", async () => {
      Deno.mkdirSync(`${bundle.directory}/config.json`);
      refused(await bundle.run(), 128, /Cannot read \S+\/config\.json: Is a directory/i);
      Deno.removeSync(`${bundle.directory}/config.json`);
    });
    for (const [name, text] of [["not JSON", "{,}"], ["empty", ""], ["a list", "[]"], ["null", "null"]]) {
      await t.step(`it is ${name}`, async () => {
        bundle.writeText(text);
        refused(await bundle.run(), 128, /Cannot read \S+\/config\.json: /);
      });
    }
  });
});

Deno.test("bad programs", async (t) => {
  await withBundle(async (bundle) => {
    const path = `${bundle.rootfs}/tmp/program`;
    const put = (bytes: Uint8Array | string, mode = 0o755) => {
      if (typeof bytes === "string") bytes = new TextEncoder().encode(bytes);
      Deno.writeFileSync(path, bytes);
      Deno.chmodSync(path, mode);
    };
    const run = async (...args: string[]) => await bundle.script("", ({ process }) => process.args = args);
    await t.step("not there", async () => refused(await run("/no/such"), 127, /\/no\/such/));
    await t.step(
      "not on the PATH",
      async () => refused(await run("nothing"), 127, /nothing: executable file not found in \$PATH/),
    );
    await t.step("an empty name", async () => refused(await run(""), 127, /its name is empty/));
    await t.step("a directory", async () => refused(await run("/tmp"), 126, /\/tmp: permission denied/));
    await t.step("not executable", async () => {
      put("#!/bin/sh\n", 0o644);
      refused(await run("/tmp/program"), 126, /\/tmp\/program: permission denied/);
    });
    await t.step("neither ELF nor script", async () => {
      put("hello");
      refused(
        await run("/tmp/program"),
        126,
        /\/tmp\/program: it is neither an x86-64 ELF program nor a script/,
      );
    });
    await t.step("an empty file", async () => {
      put("");
      refused(
        await run("/tmp/program"),
        126,
        /\/tmp\/program: it is neither an x86-64 ELF program nor a script/,
      );
    });
    await t.step("a script whose interpreter is missing", async () => {
      put("#!/no/interpreter\n");
      refused(await run("/tmp/program"), 127, /\/tmp\/program/);
    });
    await t.step("a script that is its own interpreter", async () => {
      put("#!/tmp/program\n");
      refused(await run("/tmp/program"), 126, /\/tmp\/program/);
    });
    await t.step("more arguments than fit", async () => {
      const argument = "x".repeat(1 << 17);
      refused(
        await run("/bin/echo", argument),
        126,
        /Cannot run \/bin\/echo: arguments and environment are too long/,
      );
    });
    await t.step("an ELF file that is cut short", async () => {
      const whole = Deno.readFileSync("/bin/busybox");
      for (const length of [4, 63, 64, 100, 4096]) {
        put(whole.slice(0, length));
        const { code, stderr } = await run("/tmp/program");
        ok(
          code === 126 || code === 139 || code === 135 || code === 137,
          `${length} bytes: ${code} ${stderr}`,
        );
        if (code === 126) match(stderr, /^tsvisor: [^\n]+\n$/);
      }
    });
  });
});

const FUZZ_SEED = 20261124;
const FUZZ_PROGRAMS = 150;

Deno.test("ELF headers that lie, seeded: each program ends by itself, the sandbox goes on", async () => {
  using bundle = new Bundle();
  const whole = Deno.readFileSync("/bin/busybox");
  const view = new DataView(whole.buffer);
  const headersEnd = 64 + view.getUint16(56, true) * 56;
  let state = FUZZ_SEED;
  const random = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
  const WORDS = [0, 1, 0xff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0xffff_f000, 4096];
  Deno.mkdirSync(`${bundle.rootfs}/fuzz`);
  // The headers alone with a little of the text: most of what can be wrong is in there, and files stay small.
  const length = Math.max(headersEnd, 64 * 1024);
  for (let i = 0; i < FUZZ_PROGRAMS; i++) {
    const bytes = whole.slice(0, length);
    const lies = 1 + random(3);
    for (let n = 0; n < lies; n++) {
      const at = 16 + random(headersEnd - 20);
      if (random(2) === 0) bytes[at] = random(256);
      else new DataView(bytes.buffer).setUint32(at & ~3, WORDS[random(WORDS.length)], true);
    }
    Deno.writeFileSync(`${bundle.rootfs}/fuzz/${i}`, bytes, { mode: 0o755 });
  }
  const script = "n=0; for f in /fuzz/*; do $f true >/dev/null 2>&1 </dev/null; n=$((n+1)); done; echo $n";
  const { code, stdout } = await bundle.script(script, (config) => {
    config.linux.resources = { memory: { limit: 1 << 30 } };
  });
  deepEqual([code, stdout], [0, `${FUZZ_PROGRAMS}\n`]);
});

Deno.test("bad command lines", async (t) => {
  const CASES: readonly (readonly [readonly string[], RegExp])[] = [
    [["nothing"], /Unknown command "nothing"/],
    [["--nothing", "do"], /Unknown flag --nothing/],
    [["--platform=kvm8", "do", "--", "true"], /platform "kvm8"/],
    [["--overlay2=maybe", "do", "--", "true"], /--overlay2: expected format is .*: "maybe"/],
    [["--log-format=xml", "do", "--", "true"], /--log-format: "xml"/],
    [["--debug-log=/no/such/log", "do", "--", "true"], /Cannot open \/no\/such\/log: ENOENT/],
    [["do"], /Nothing to run/],
    [
      ["--strace", "--strace-syscalls=read,reed", "do", "--", "true"],
      /--strace-syscalls: there is no call "reed"/,
    ],
    [["run"], /run takes one container id/],
    [["run", "a", "b"], /run takes one container id/],
    [["run", "--bundle", "/no/such", "a"], /--bundle: "\/no\/such" does not exist/],
    [["run", "--bundle", "/etc/passwd", "a"], /--bundle: "\/etc\/passwd" is not a directory/],
    [["run", "../x"], /Container id "\.\.\/x" is not valid/],
    [["run", ".."], /Container id "\.\." is not valid/],
    [["run", ""], /Container id "" is not valid/],
    [["run", "x".repeat(300)], /300 characters, at most 200/],
    [["state", "../x"], /Container id "\.\.\/x" is not valid/],
    [["state", "unknown"], /Container "unknown" does not exist/],
    [["kill", "unknown"], /Container "unknown" does not exist/],
    [["kill", "unknown", "SIGNOTHING"], /Unknown signal "SIGNOTHING"/],
    [["delete", "unknown"], /Container "unknown" does not exist/],
    [["list", "-f", "xml"], /--format: "xml"/],
  ];
  const root = Deno.makeTempDirSync({ prefix: "tsvisor-state-" });
  try {
    for (const [args, words] of CASES) {
      await t.step(args.join(" ").slice(0, 60), async () => {
        refused(await tsvisor(["--root", root, ...args]), 128, words);
      });
    }
    deepEqual([...Deno.readDirSync(root)], []);
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
});

Deno.test("bad programs of do", async () => {
  refused(await tsvisor(["do", "--", "/no/such"]), 127, /\/no\/such/);
  refused(
    await tsvisor(["do", "--", "no-such-command"]),
    127,
    /no-such-command: executable file not found in \$PATH/,
  );
  refused(await tsvisor(["do", "--", "/etc/passwd"]), 126, /\/etc\/passwd: permission denied/);
  refused(await tsvisor(["do", "--", "/etc"]), 126, /\/etc: permission denied/);
});

Deno.test("an error goes to --log too, as text or JSON", async () => {
  const log = Deno.makeTempFileSync({ prefix: "tsvisor-log-" });
  try {
    await tsvisor(["--log", log, "--log-format=json", "state", "unknown"]);
    const entry = JSON.parse(Deno.readTextFileSync(log));
    deepEqual([entry.level, entry.msg], ["error", 'Container "unknown" does not exist']);
    await tsvisor(["--log", log, "state", "unknown"]);
    match(
      Deno.readTextFileSync(log).split("\n")[1],
      /^time="[^"]+" level=error msg="Container \\"unknown\\" does not exist"$/,
    );
  } finally {
    Deno.removeSync(log);
  }
});

Deno.test("do --cwd: a directory that is missing is refused", async () => {
  refused(await tsvisor(["do", "--cwd", "/missing", "--", "true"]), 128, /Cannot enter \/missing: ENOENT/);
});

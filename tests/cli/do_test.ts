// tsvisor do: what the program sees of the host, what it may write there, who it is, and what holds it.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { SIGKILL } from "../../kernel/abi/signal.ts";
import { canHaveCgroups } from "../support/cgroups.ts";
import { tsvisor } from "../support/tsvisor.ts";

/** A program at the end of its memory is slow where the machine has other work. */
const MILLIS_MAX = 240_000;

/** Runs a shell script in a sandbox. */
async function shell(flags: readonly string[], script: string, env: Record<string, string> = {}) {
  return await tsvisor(["do", ...flags, "--", "/bin/sh", "-c", script], { env, timeoutMillis: MILLIS_MAX });
}

/** A directory of the host, removed afterwards. */
async function withDirectory(use: (directory: string) => Promise<void>): Promise<void> {
  const directory = Deno.makeTempDirSync({ prefix: "tsvisor-do-" });
  try {
    Deno.chmodSync(directory, 0o755);
    await use(directory);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

const namesIn = (directory: string) => [...Deno.readDirSync(directory)].map(({ name }) => name).sort();

Deno.test("do: of the caller's environment the program sees what the help says, and --env NAME passes one on", async () => {
  const env = { TOKEN: "secret", LC_TIME: "C", TERM: "dumb" };
  const { stdout } = await tsvisor(["do", "--", "/usr/bin/env"], { env });
  const names = stdout.trim().split("\n").map((line) => line.split("=")[0]);
  deepEqual(names.filter((name) => ["TOKEN", "LC_TIME", "TERM"].includes(name)).sort(), ["LC_TIME", "TERM"]);
  const { stdout: help } = await tsvisor(["do", "--help"]);
  for (const name of names) ok(help.includes(name) || name.startsWith("LC_"), `${name} is not in the help`);
  const given = ["--clear-env", "--env", "TOKEN", "--env=A=b c", "-e", "NONE"];
  equal((await tsvisor(["do", ...given, "--", "/usr/bin/env"], { env })).stdout, "TOKEN=secret\nA=b c\n");
});

Deno.test("do: the host's password hashes are not shown, every user is locked, and the files can be replaced", async () => {
  const host = Deno.readTextFileSync("/etc/shadow");
  const script = `cat /etc/shadow; stat -c %a:%u:%g /etc/shadow; cat /etc/gshadow- /etc/shadow- | wc -c
    echo new >/etc/shadow.new && mv /etc/shadow.new /etc/shadow && cat /etc/shadow`;
  const { code, stdout } = await shell([], script);
  equal(code, 0);
  const lines = stdout.trimEnd().split("\n");
  const { mode, uid, gid } = Deno.statSync("/etc/shadow");
  deepEqual(lines.slice(-3), [`${(mode! & 0o777).toString(8)}:${uid}:${gid}`, "0", "new"]);
  const users = Deno.readTextFileSync("/etc/passwd").trimEnd().split("\n").map((line) => line.split(":")[0]);
  deepEqual(lines.slice(0, -3), users.map((name) => `${name}:*:1:0:99999:7:::`));
  equal(Deno.readTextFileSync("/etc/shadow"), host);
});

Deno.test("do: --bind shows files and directories, for writing unless :ro follows; --rw writes through", async () => {
  await withDirectory(async (directory) => {
    for (const name of ["shown", "kept", "work"]) Deno.mkdirSync(`${directory}/${name}`);
    Deno.writeTextFileSync(`${directory}/kept/file`, "host\n");
    const flags = [
      ...["--bind", `${directory}/shown:/mnt/a/shown`, "-v", `${directory}/kept:/mnt/kept:ro`],
      ...["--bind", `${directory}/kept/file:/etc/motd.here:ro`, "--rw", `${directory}/work`],
    ];
    const script = `cat /etc/motd.here; echo 1 >/mnt/a/shown/one; echo 2 >${directory}/work/two
      echo 3 >/mnt/kept/three || echo refused; echo 4 >${directory}/four; ls ${directory}`;
    const { code, stdout, stderr } = await shell(flags, script);
    deepEqual([code, stdout], [0, "host\nrefused\nfour\nkept\nshown\nwork\n"], stderr);
    match(stderr, /Read-only file system/);
    deepEqual(namesIn(directory), ["kept", "shown", "work"]);
    equal(Deno.readTextFileSync(`${directory}/shown/one`), "1\n");
    equal(Deno.readTextFileSync(`${directory}/work/two`), "2\n");
    deepEqual(namesIn(`${directory}/kept`), ["file"]);
  });
});

Deno.test("do: --workdir, --user and its home and groups", async () => {
  await withDirectory(async (directory) => {
    const { code, stdout, stderr } = await shell(["--workdir", directory], "pwd; echo $HOME", { HOME: "/h" });
    deepEqual([code, stdout], [0, `${directory}\n/h\n`], stderr);
  });
  const script = 'id -un; id -gn; echo "$HOME $USER"; grep CapEff /proc/self/status; echo to >/dev/stdout';
  const flags = ["--clear-env", "-e", "PATH=/usr/bin:/bin", "-w", "/", "--user"];
  const named = await shell([...flags, "daemon"], script);
  const expected = "daemon\ndaemon\n/usr/sbin \nCapEff:\t0000000000000000\nto\n";
  deepEqual([named.code, named.stdout], [0, expected], named.stderr);
  equal((await shell([...flags, "1:0"], script)).stdout, expected.replace("daemon\ndaemon", "daemon\nroot"));
});

Deno.test("do: --timeout kills what is left and says so; what ends before has its own status", async () => {
  const late = await shell(["--timeout", "500ms"], "echo on; trap '' TERM INT; sleep 1000 & wait");
  deepEqual([late.code, late.stdout], [124, "on\n"]);
  equal(late.stderr, "tsvisor: Time limit reached: 0.5 s; the program is killed\n");
  const early = await shell(["--timeout", "10m"], "exit 3");
  deepEqual([early.code, early.stdout, early.stderr], [3, "", ""]);
});

Deno.test("do: --out brings files to the host when the program has ended, whole or not at all", async () => {
  await withDirectory(async (directory) => {
    const out = (from: string, to: string) => ["--out", `${from}:${directory}/${to}`];
    Deno.writeTextFileSync(`${directory}/old`, "old");
    const flags = [
      ...["--workdir", "/tmp", ...out("made", "made"), ...out("/tmp/holes", "holes")],
      ...[...out("/etc/hostname", "name"), ...out("/tmp/empty", "empty")],
    ];
    const script = `printf '#!/bin/sh\\necho run\\n' >made; chmod 755 made; : >empty
      echo start >holes; truncate -s 5G holes; echo end >>holes; exit 7`;
    const { code, stderr } = await shell(flags, script);
    deepEqual([code, stderr], [7, ""]);
    equal(new TextDecoder().decode(new Deno.Command(`${directory}/made`).outputSync().stdout), "run\n");
    equal(Deno.readTextFileSync(`${directory}/name`), Deno.readTextFileSync("/etc/hostname"));
    equal(Deno.statSync(`${directory}/empty`).size, 0);
    const holes = Deno.statSync(`${directory}/holes`);
    equal(holes.size, 5 * 2 ** 30 + 4);
    ok(holes.blocks! < 1000, `${holes.blocks} blocks for two lines`);
    using file = Deno.openSync(`${directory}/holes`);
    const bytes = new Uint8Array(6);
    for (const [at, text] of [[0, "start\n"], [5 * 2 ** 30, "end\n"]] as const) {
      file.seekSync(at, Deno.SeekMode.Start);
      equal(new TextDecoder().decode(bytes.subarray(0, file.readSync(bytes)!)), text);
    }
    const failed = await shell([...out("/tmp/none", "old"), ...out("/tmp", "directory")], "true");
    deepEqual([failed.code, failed.stderr], [
      128,
      "tsvisor: --out: /tmp/none is not copied: ENOENT\ntsvisor: --out: /tmp is not copied: EINVAL\n",
    ]);
    equal(Deno.readTextFileSync(`${directory}/old`), "old");
    deepEqual(namesIn(directory), ["empty", "holes", "made", "name", "old"]);
    const killed = await shell(
      ["--timeout", "1s", ...out("/tmp/part", "part")],
      "echo x >/tmp/part; sleep 1000",
    );
    deepEqual([killed.code, Deno.readTextFileSync(`${directory}/part`)], [124, "x\n"]);
  });
});

Deno.test("do: --memory, --pids and --cpus hold the program, and leave no cgroup", async () => {
  const flags = ["--memory", "256m", "--pids", "8", "--cpus", "1"];
  const script = `nproc; grep MemTotal /proc/meminfo
    i=0; while [ $i -lt 12 ]; do sleep 1000 & i=$((i+1)); done 2>/dev/null; echo never`;
  const { code, stdout, stderr } = await shell(flags, script);
  const [processors, memory, ...more] = stdout.trimEnd().split("\n");
  deepEqual([processors, Number(/\d+/.exec(memory)?.[0])], ["1", 256 * 1024]);
  // A shell that cannot fork ends.
  deepEqual([code, more], [2, []], stderr);
  const hungry = await shell(["--memory", "128m"], "head -c 400m /dev/zero | tail | wc -c; echo on");
  // Our kernel or the host's cgroup, whichever sees it first. Whom the host ends is its own choice: whoever of the pipeline, or,
  // where it finds no memory a second time while that goes, the shell, and so the sandbox. Not all of it is counted.
  const isShellDead = hungry.code === 128 + SIGKILL;
  match(hungry.stderr, isShellDead ? /^/ : /Limit of memory reached: 134217728 bytes|Killed/);
  match(hungry.stdout, isShellDead ? /^(?!419430400)(\d+\n)?$/ : /^(?!419430400)(\d+\n)?on\n$/);
  const left = new Deno.Command("find", { args: ["/sys/fs/cgroup", "-name", "do-*"] }).outputSync();
  equal(new TextDecoder().decode(left.stdout), "");
  equal(/No cgroup for the sandbox/.test(stderr), !canHaveCgroups());
});

Deno.test("do: flags that cannot be are refused with one line", async () => {
  const wrong: [string[], string][] = [
    [["--bind", "/no/such"], '--bind: "/no/such" does not exist'],
    [["--bind", "/etc:here"], '--bind: the destination "here" of "/etc:here" is not an absolute path'],
    [["--bind", "/etc:/a:/b"], '--bind: "/etc:/a:/b" is not SRC[:DST][:ro]'],
    [["--rw", "/"], '--rw: "/" cannot be mounted over; --root names another root'],
    [["--rw", "/etc/passwd"], '--rw: "/etc/passwd" is not a directory'],
    [["--user", "nobody-here"], '--user: there is no user "nobody-here" in /etc/passwd'],
    [["--memory", "much"], '--memory: "much" is not a size in bytes'],
    [["--memory", "1m"], '--memory: "1m" is below 32m'],
    [["--pids", "0"], '--pids: "0" is not a number from 1 to 4194304'],
    [["--cpus", "none"], '--cpus: "none" is not a number of processors from 0.01 on'],
    [["--timeout", "soon"], '--timeout: "soon" is not a duration such as 500ms, 30s or 2m'],
    [["--out", "/etc/passwd"], '--out: "/etc/passwd" is not FILE-IN-SANDBOX:HOST-FILE'],
    [["--out", "/etc/passwd:/tmp"], '--out: "/tmp" is a directory'],
    [["--out", "/etc/passwd:/no/such/x"], '--out: cannot write "/no/such/x": its directory does not exist'],
    [["--cwd", "/", "--workdir", "/"], "--workdir and --cwd are the same: give one of them"],
  ];
  for (const [flags, message] of wrong) {
    const { code, stdout, stderr } = await tsvisor(["do", ...flags, "--", "true"]);
    deepEqual({ code, stdout, stderr }, { code: 128, stdout: "", stderr: `tsvisor: ${message}\n` });
  }
});

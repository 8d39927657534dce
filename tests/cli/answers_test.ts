// Commands that the launcher carries out itself (native/launcher/answers.rs): they say and do what the command line does. A flag
// before the command that the launcher does not know has the command line do it, so that both are asked the same.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { Bundle, type Config } from "../support/bundle.ts";
import { isAlive } from "../support/host_processes.ts";
import { Life } from "../support/life.ts";
import { drive } from "../support/terminal.ts";
import { command, eventually, type Finished, tsvisorPath } from "../support/tsvisor.ts";

/** Means nothing, and is not known to the launcher. */
const BY_COMMAND_LINE = "--rootless=false";

/** The same words to both. What changes from one call to the next is left out by `same`. */
async function compare(
  life: Life,
  words: readonly string[],
  same = (text: string) => text,
): Promise<Finished> {
  const own = await life.call(...words), other = await life.call(BY_COMMAND_LINE, ...words);
  // With its words, as a message of ours would stand in the place of the difference.
  const shown = ({ code, stdout, stderr }: Finished) => [words, code, same(stdout), same(stderr)];
  deepEqual(shown(own), shown(other));
  return own;
}

/** Times in the list of processes. */
function timeless(text: string): string {
  return text.replaceAll(/ +\d+ +(\?|pts\/\d+) +\S+ +\d\d:\d\d:\d\d/g, " $1");
}

/** That change nothing, and are answered for each state. */
const QUESTIONS: readonly (readonly string[])[] = [
  ["state", "box"],
  ["list"],
  ["list", "-q"],
  ["list", "--format=json"],
  ["list", "--sandbox", "--quiet"],
  ["kill", "--pid", "4000", "box", "USR1"],
];

/** That cannot be, or concern no container. */
const REFUSED: readonly (readonly string[])[] = [
  ["state"],
  ["state", "box", "box"],
  ["state", "none"],
  ["state", "--all", "box"],
  ["state", "../box"],
  ["state", ""],
  ["state", "x".repeat(10_240)],
  ["list", "--quiet", "--format", "json"],
  ["list", "-f", "table"],
  ["list", "--format", "yaml"],
  ["list", "--format"],
  ["list", "more"],
  ["kill"],
  ["kill", "box", "NONE"],
  ["kill", "box", "0"],
  ["kill", "box", "99"],
  ["kill", "box", "TERM", "more"],
  ["kill", "--all", "--pid", "1", "box"],
  ["kill", "--pid", "x", "box"],
  ["kill", "--pgid", "x", "box"],
  ["kill", "--pgid", "1", "--pid", "1", "box"],
  ["kill", "none", "KILL"],
  ["delete"],
  ["delete", "none"],
  ["delete", "none", "none"],
  ["delete", "--force", "none"],
  ["delete", "--force", "../none"],
  ["delete", "--force"],
  ["delete", "--forced", "box"],
  ["start", "none"],
  ["pause", "none"],
  ["resume", "none"],
  ["ps", "none"],
  ["ps", "--format", "xml", "box"],
  ["exec"],
  ["exec", "box"],
  ["exec", "none", "true"],
  ["exec", "--user", "ann", "box", "true"],
  ["exec", "--user", "99999999999", "box", "true"],
  ["exec", "--cap", "FLY", "box", "true"],
  ["exec", "--cwd", "tmp", "box", "true"],
  ["exec", "--process", "/nowhere", "box"],
];

/** Of one that runs. */
const EXECS: readonly (readonly string[])[] = [
  ["box", "env"],
  ["-e", "PATH=/nowhere", "--env", "B=c=d", "-e", "B=e", "box", "/bin/env"],
  ["--cwd", "/tmp", "box", "pwd"],
  ["--cwd", "/missing", "box", "pwd"],
  ["--user", "1000", "box", "id"],
  ["-u", "1000:7", "-g", "8", "--additional-gids", "9", "box", "id"],
  ["--cap", "net_admin", "-c", "CAP_SYS_TIME", "box", "grep", "Cap", "/proc/self/status"],
  ["--no-new-privs", "box", "grep", "NoNewPrivs", "/proc/self/status"],
  ["box", "sh", "-c", "umask; ulimit -a; grep Groups /proc/self/status"],
  ["box", "--", "ls"],
  ["--", "box", "ls", "/"],
  ["box", "sh", "-c", "echo to stderr >&2; exit 7"],
  ["box", "sh", "-c", "kill -9 $$"],
  ["box", "missing"],
  ["box", "/etc/passwd"],
  ["--apparmor", "x", "--process-label=y", "--cgroup", "z", "--no-subreaper", "--ignore-paused", "box", "ls"],
  ["--pid-file", "/nowhere/pid", "box", "true"],
  ["--internal-pid-file", "/nowhere/pid", "box", "true"],
  ["--tty", "--detach", "--console-socket", "/nowhere/socket", "box", "true"],
  ["--tty", "--detach", "box", "true"],
  ["--tty", "box", "true"],
];

/** Files for --process, whole and hostile. */
const PROCESSES: readonly unknown[] = [
  {
    args: ["sh", "-c", "echo $0 $HOME; pwd; id"],
    cwd: "/tmp",
    env: ["PATH=/bin"],
    user: { uid: 1000, gid: 5 },
  },
  { args: ["env"], cwd: "/", env: ["PATH=/bin", "A=1", "B=2", "A=3"], rlimits: [] },
  {
    args: ["sh", "-c", "umask; ulimit -n"],
    cwd: "/",
    env: ["PATH=/bin"],
    user: { umask: 63 },
    rlimits: [{ type: "RLIMIT_NOFILE", soft: 99, hard: 100 }],
  },
  { args: ["id"], cwd: "/", env: ["PATH=/bin"], user: { additionalGids: [3, 4] }, apparmorProfile: "x" },
  {
    args: ["grep", "-E", "Cap|NoNew", "/proc/self/status"],
    cwd: "/",
    env: ["PATH=/bin"],
    noNewPrivileges: true,
    capabilities: { bounding: ["CAP_KILL"], effective: ["CAP_KILL"], permitted: ["CAP_KILL"], ambient: [] },
  },
  { args: ["true"], cwd: "/", capabilities: { bounding: ["CAP_FLY"] } },
  { args: ["true"], cwd: "/", rlimits: [{ type: "RLIMIT_NOFILE", soft: 2, hard: 1 }] },
  { args: ["true"], cwd: "/", rlimits: [{ type: "RLIMIT_FLY", soft: 1, hard: 1 }] },
  { args: ["true"], cwd: "/", rlimits: [1, 1].map((n) => ({ type: "RLIMIT_CPU", soft: n, hard: n })) },
  { args: [], cwd: "/" },
  { args: ["true"], cwd: "tmp" },
  { args: ["true"] },
  { args: ["tr\0ue"], cwd: "/" },
  { args: ["true", 7], cwd: "/" },
  { args: ["true"], cwd: "/", env: null },
  { args: ["true"], cwd: "/", user: { uid: -1 } },
  { args: ["true"], cwd: "/", user: { uid: 1.5 } },
  { args: ["true"], cwd: "/", user: "root" },
  { args: ["true"], cwd: "/", user: { umask: 512 } },
  { args: ["true"], cwd: "/", selinuxLabel: "x" },
  { args: ["true"], cwd: "/", oomScoreAdj: 2000 },
  { args: ["true"], cwd: "/", consoleSize: { height: 1 } },
  [],
  "true",
];

Deno.test("answers: the launcher says what the command line says, in each state of a container", async () => {
  await using life = new Life();
  for (const words of REFUSED) await compare(life, words);
  // Always the same processes: `ps` is asked twice, with a runtime's start between.
  await life.create("trap '' TERM; sleep 100000 & echo >/up; wait", "box", (config) => {
    config.annotations = { "z.last": "\u2028 \u0007 ü", "a.first": "" };
  });
  for (const words of QUESTIONS) await compare(life, words);
  await compare(life, ["pause", "box"]);
  await life.must("start", "box");
  ok(await life.shows(`${life.rootfs}/up`));
  for (const words of [...QUESTIONS, ...REFUSED, ["start", "box"], ["resume", "box"], ["delete", "box"]]) {
    await compare(life, words);
  }
  for (const signal of ["TERM", "SIGTERM", "term", "15"]) await compare(life, ["kill", "box", signal]);
  await compare(life, ["kill", "box"]);
  await compare(life, ["kill", "--all", "box", "TERM"]);
  await compare(life, ["kill", "--pid", "1", "box", "TERM"]);
  match((await compare(life, ["ps", "box"], timeless)).stdout, /^UID +PID/);
  await life.must("pause", "box");
  for (
    const words of [...QUESTIONS, ["start", "box"], ["pause", "box"], ["exec", "box", "true"], [
      "delete",
      "box",
    ]]
  ) {
    await compare(life, words);
  }
  await life.must("resume", "box");
  await life.must("kill", "box", "KILL");
  await life.reaches("stopped");
  for (
    const words of [...QUESTIONS, ["start", "box"], ["kill", "box"], ["kill", "-a", "box"], ["pause", "box"]]
  ) {
    await compare(life, words);
  }
  for (const damage of ["", "{", "[]", '{"id":"box"}', '{"id":"box","id":"box"}']) {
    Deno.writeTextFileSync(`${life.state}/other.json`, damage, { mode: 0o600 });
    for (const words of [["state", "other"], ["list"], ["kill", "other"], ["delete", "other"]]) {
      await compare(life, words);
    }
  }
});

Deno.test("answers: exec makes the same process of flags and of a file, or says the same", async () => {
  await using life = new Life();
  await life.create("while :; do sleep 1; done");
  await life.must("start", "box");
  for (const words of EXECS) await compare(life, ["exec", ...words]);
  const file = `${life.directory}/process.json`;
  for (const process of PROCESSES) {
    const text = JSON.stringify(process);
    Deno.writeTextFileSync(file, text);
    await compare(life, ["exec", "--process", file, "box"], (output) => `${text}: ${output}`);
  }
  for (
    const text of [
      "",
      "{",
      '{"args":["true"],"cwd":"/","cwd":"tmp"}',
      `{"args":["echo","\\ud800"],"cwd":"/"}`,
    ]
  ) {
    Deno.writeTextFileSync(file, text);
    await compare(life, ["exec", "-p", file, "box"]);
  }
  // What could not be noted does not go on running.
  equal(await life.must("ps", "--format", "json", "box").then((list) => JSON.parse(list).length <= 2), true);
});

/** Calls `use` with a launcher without a lib/: there is nothing that it could start. */
async function withLauncher(
  life: Life,
  use: (alone: (...words: string[]) => Promise<string>, launcher: string) => Promise<void>,
): Promise<void> {
  const directory = Deno.makeTempDirSync({ prefix: "tsvisor-launcher-" });
  const launcher = `${directory}/tsvisor`;
  try {
    Deno.copyFileSync(await tsvisorPath(), launcher);
    await use(async (...words) => {
      const { code, stdout, stderr } = await command([launcher, "--root", life.state, ...words]);
      deepEqual([code, stderr], [0, ""], words.join(" "));
      return stdout;
    }, launcher);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

Deno.test("answers: a container of a pod is signalled alone", async () => {
  await using life = new Life();
  // The host's cgroups have their names, which other tests use as well.
  const pod = `pod-${Deno.pid}`, one = `one-${Deno.pid}`;
  using member = new Bundle();
  const annotations = (type: string) => (config: Config) => {
    config.annotations = {
      "io.kubernetes.cri.container-type": type,
      "io.kubernetes.cri.sandbox-id": pod,
    };
  };
  await life.create("while :; do sleep 1; done", pod, annotations("sandbox"));
  await life.must("start", pod);
  member.write("while :; do sleep 1; done", annotations("container"));
  await life.background("create", "--bundle", member.directory, one);
  await withLauncher(life, async (alone) => {
    await alone("start", one);
    equal(await alone("exec", one, "echo", "inside"), "inside\n");
    ok(JSON.parse(await alone("ps", "--format", "json", one)).includes(1));
    await alone("pause", one);
    equal(JSON.parse(await alone("state", one)).status, "paused");
    equal(JSON.parse(await alone("state", pod)).status, "running");
    await alone("resume", one);
    await alone("kill", one, "KILL");
    await life.reaches("stopped", one);
    equal(JSON.parse(await alone("state", pod)).status, "running");
    equal(await alone("exec", pod, "echo", "still"), "still\n");
  });
  await life.must("delete", one);
});

Deno.test("answers: a whole life needs no runtime but to create", async () => {
  await using life = new Life();
  await withLauncher(life, async (alone, launcher) => {
    await life.create("while :; do sleep 1; done");
    equal(JSON.parse(await alone("state", "box")).status, "created");
    await alone("--log", "/dev/null", "--log-format", "json", "start", "box");
    equal(JSON.parse(await alone("list", "-f", "json"))[0].status, "running");
    equal(await alone("exec", "box", "echo", "fine"), "fine\n");
    const file = `${life.directory}/process.json`, pidFile = `${life.directory}/exec-pid`;
    const process = { args: ["sh", "-c", "echo $$ >/number; sleep 100"], cwd: "/", env: ["PATH=/bin"] };
    Deno.writeTextFileSync(file, JSON.stringify(process));
    await command([
      ...["sh", "-c", 'exec "$0" "$@" >/dev/null 2>&1', launcher, "--root", life.state],
      ...["exec", "--detach", "--process", file, "--pid-file", pidFile, "box"],
    ]);
    match(Deno.readTextFileSync(pidFile), /^\d+$/);
    ok(await life.shows(`${life.rootfs}/number`));
    await alone("pause", "box");
    equal(JSON.parse(await alone("state", "box")).status, "paused");
    await alone("resume", "box");
    ok(JSON.parse(await alone("ps", "--format", "json", "box")).length >= 3);
    match(await alone("ps", "box"), /sh\n/);
    await alone("kill", "--all", "box", "TERM");
    await alone("kill", "box", "KILL");
    await life.reaches("stopped");
    await alone("delete", "box");
    equal(await alone("list", "-q"), "");
    await life.create("true");
    await alone("delete", "--force", "box");
    equal(await alone("list"), "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n");
  });
});

Deno.test("answers: what processes in the background print comes whole, however many there are", async () => {
  await using life = new Life();
  await life.create("while :; do sleep 1; done");
  await life.must("start", "box");
  const execute = async (n: number) => {
    const words = ["/bin/sh", "-c", `echo out ${n}; echo err ${n} >&2`];
    // Its pipes end with the last process that could write to them.
    return await life.call("exec", "--detach", "box", ...words);
  };
  for (let round = 0; round < 5; round++) {
    const finished = await Promise.all(Array.from({ length: 8 }, (_, n) => execute(n)));
    deepEqual(
      finished,
      finished.map((_, n) => ({ code: 0, stdout: `out ${n}\n`, stderr: `err ${n}\n` })),
    );
  }
});

Deno.test("answers: a process in the background gets a terminal by --console-socket without a runtime", async () => {
  await using life = new Life();
  await life.create("while :; do sleep 1; done");
  await life.must("start", "box");
  const file = `${life.directory}/process.json`, pidFile = `${life.directory}/exec-pid`;
  const consoleSize = { height: 40, width: 90 };
  const process = { args: ["sh"], cwd: "/", env: ["PATH=/bin"], terminal: true, consoleSize };
  Deno.writeTextFileSync(file, JSON.stringify(process));
  const untilResized =
    "while test \"$(busybox stty size)\" != '50 120'; do sleep 0.1; done; echo seen $((1 + 1))";
  await withLauncher(life, async (_, launcher) => {
    const flags = ["--detach", "--pid-file", pidFile, "--console-socket", "@SOCKET@"];
    const exec = [launcher, "--root", life.state, "exec", ...flags];
    for (const words of [["--process", file, "box"], ["--tty", "box", "/bin/sh"]]) {
      // A terminal that nobody has given a size has none to show.
      const size = words[0] === "--process" ? " 40 90" : "";
      const { seen, status } = await drive([...exec, ...words], [
        ["send", "test -t 0 && test -t 2 && echo is $((6 * 7)) $(busybox stty size)\n"],
        ["expect", `is 42${size}\r\n`],
        ["resize", 50, 120],
        ["send", `${untilResized}; exit 6\n`],
        ["expect", "seen 2"],
      ], true);
      deepEqual([seen[0], status], ["/dev/ptmx", 0]);
      const pid = Number(Deno.readTextFileSync(pidFile));
      ok(await eventually(() => !isAlive(pid)));
    }
  });
});

Deno.test("answers: a size that its terminal is given at once is the process's", async () => {
  await using life = new Life();
  await life.create("while :; do sleep 1; done");
  await life.must("start", "box");
  await withLauncher(life, async (_, launcher) => {
    const exec = [
      launcher,
      "--root",
      life.state,
      "exec",
      "--tty",
      "--detach",
      "--console-socket",
      "@SOCKET@",
    ];
    const script =
      "while test \"$(busybox stty size)\" != '50 120'; do sleep 0.1; done; echo seen $((1 + 1))";
    for (let round = 0; round < 10; round++) {
      await drive(
        [...exec, "box", "/bin/sh", "-c", script],
        [["resize", 50, 120], ["expect", "seen 2"]],
        true,
      );
    }
  });
});

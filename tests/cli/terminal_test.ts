// Containers with a terminal, driven over a pseudo-terminal of the host as a person would (drive_terminal.py): job control,
// sizes, what becomes of the caller's terminal, redirections, --console-socket.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { defaultSpec } from "../../boot/oci/default_spec.ts";
import { drive, type Step } from "../support/terminal.ts";
import { command, tsvisor, tsvisorPath } from "../support/tsvisor.ts";

const SIGKILL = 9;

async function doArgv(...words: string[]): Promise<string[]> {
  return [await tsvisorPath(), "do", "--env", "TERM=dumb", "--env", "PS1=$ ", "--", ...words];
}

Deno.test("do on a terminal: bash has job control", async () => {
  const { seen, status } = await drive(await doArgv("bash", "--norc", "--noediting", "-i"), [
    ["expect", "$ "],
    ["send", "tty; stty size\n"],
    ["expect", "$ "],
    ["send", "sleep 100\n"],
    ["sleep", 0.5],
    ["send", "\x03"],
    ["expect", "^C"],
    ["expect", "$ "],
    ["send", "sleep 101\n"],
    ["sleep", 0.5],
    ["send", "\x1a"],
    ["expect", "Stopped"],
    ["expect", "$ "],
    ["send", "bg\n"],
    ["expect", "sleep 101 &"],
    ["expect", "$ "],
    ["send", "fg\n"],
    ["expect", "sleep 101"],
    ["sleep", 0.5],
    ["send", "\x1c"],
    ["expect", "Quit"],
    ["resize", 40, 132],
    ["sleep", 0.3],
    ["send", "stty size; cat\n"],
    ["expect", "40 132\r\n"],
    ["send", "line\n"],
    ["expect", "line\r\nline\r\n"],
    ["send", "\x04"],
    ["expect", "$ "],
    ["send", "echo one >/dev/tty; echo two >/dev/console; exit 7\n"],
    ["expect", "one\r\ntwo\r\n"],
  ]);
  match(seen[1], /\/dev\/pts\/0\r\n30 100\r\n/);
  equal(status, 7);
  equal(seen.at(-1), "cooked post", "the caller's terminal is as it was");
});

Deno.test("do on a terminal: ^C ends a program that has no handler, and all output arrives", async () => {
  const interrupted = await drive(await doArgv("sh", "-c", "echo on; exec sleep 100"), [
    ["expect", "on\r\n"],
    ["modes"],
    ["send", "\x03"],
  ]);
  equal(interrupted.status, 130);
  deepEqual(interrupted.seen.slice(1), ["raw plain", "cooked post"]);
  const much = await drive(await doArgv("seq", "20000"), []);
  equal(much.status, 0);
  ok(much.rest.endsWith("19999\r\n20000\r\n"));
});

Deno.test("do on a terminal: its modes come back when tsvisor is killed", async () => {
  const { seen } = await drive(await doArgv("sh", "-c", "echo on; exec sleep 100"), [
    ["expect", "on\r\n"],
    ["modes"],
    ["kill", SIGKILL],
    ["sleep", 0.3],
  ]);
  deepEqual(seen.slice(1), ["raw plain", "cooked post"]);
});

Deno.test("do on a terminal: its hang-up is the container's", async () => {
  const program = "trap 'exit 9' HUP; echo on; while :; do sleep 0.05; done";
  const { status } = await drive(await doArgv("bash", "-c", program), [["expect", "on\r\n"], ["close"]]);
  // SIGHUP reaches us too, but the container ends of its own handler.
  equal(status, 9);
});

Deno.test("do with input or output elsewhere: descriptors are passed as they are", async () => {
  const script = "test -t 0; i=$?; test -t 1; echo $i $?; test -e /dev/console; echo $?";
  const words = `${await tsvisorPath()} do -- sh -c '${script}'`;
  for (
    const [redirection, expected] of [["| cat", "0 1\r\n1\r\n"], ["</dev/null", "1 0\r\n1\r\n"]] as const
  ) {
    const { rest, seen, status } = await drive(["sh", "-c", `${words} ${redirection}`], [[
      "expect",
      "\n1\r\n",
    ]]);
    equal(seen[0] + rest, expected, redirection);
    equal(status, 0);
  }
});

Deno.test("full-screen programs work", async () => {
  const steps: Step[] = [["expect", "/dev/pts/1"], ["send", "exit\r"], ["expect", "exited"]];
  const tmux = ["tmux", "-f", "/dev/null", "new", "bash --norc -c 'tty; exec bash --norc'"];
  if ((await command(["sh", "-c", "command -v tmux"])).code === 0) {
    const argv = [await tsvisorPath(), "do", "--env", "TERM=xterm", "--", ...tmux];
    equal((await drive(argv, steps)).status, 0);
  }
  const less = [await tsvisorPath(), "do", "--env", "TERM=xterm", "--", "less", "/etc/passwd"];
  equal((await drive(less, [["expect", "root:"], ["send", "q"]])).status, 0);
});

/** A bundle over busybox; removed by the caller. */
async function makeBundle(args: string[], change: (spec: Record<string, unknown>) => void): Promise<string> {
  const bundle = await Deno.makeTempDir({ prefix: "tsvisor-terminal-" });
  for (const name of ["bin", "proc", "dev", "sys"]) {
    await Deno.mkdir(`${bundle}/rootfs/${name}`, { recursive: true });
  }
  await Deno.copyFile("/bin/busybox", `${bundle}/rootfs/bin/busybox`);
  const spec = defaultSpec(args) as { process: Record<string, unknown> };
  change(spec.process);
  await Deno.writeTextFile(`${bundle}/config.json`, JSON.stringify(spec));
  return bundle;
}

const SHELL = ["/bin/busybox", "sh"];

Deno.test("run with terminal: true on a terminal", async () => {
  const bundle = await makeBundle(SHELL, (process) => process.consoleSize = { height: 33, width: 77 });
  try {
    const argv = [
      await tsvisorPath(),
      "--root",
      `${bundle}/state`,
      "run",
      "--bundle",
      bundle,
      "terminal-run",
    ];
    const { seen, status } = await drive(argv, [
      ["expect", "# "],
      ["send", "/bin/busybox tty; /bin/busybox stty size; exit 5\n"],
      ["expect", "77\r\n"],
    ]);
    match(seen[1], /\/dev\/pts\/0\r\n33 77\r\n/);
    equal(status, 5);
    equal(seen.at(-1), "cooked post");
  } finally {
    await Deno.remove(bundle, { recursive: true });
  }
});

Deno.test("run with terminal: true and a --console-socket sends the master there", async () => {
  const bundle = await makeBundle(SHELL, () => {});
  try {
    const root = `${bundle}/state`;
    const argv = [
      await tsvisorPath(),
      "--root",
      root,
      "run",
      "--bundle",
      bundle,
      "--console-socket",
      "@SOCKET@",
      "c",
    ];
    const { seen, status } = await drive(argv, [
      ["expect", "# "],
      ["resize", 50, 120],
      ["sleep", 0.5],
      ["send", "/bin/busybox stty size; exit 6\n"],
      ["expect", "50 120\r\n"],
    ], true);
    equal(seen[0], "/dev/ptmx");
    equal(status, 6);
  } finally {
    await Deno.remove(bundle, { recursive: true });
  }
});

Deno.test("run with terminal: true and no terminal at hand is refused in one line", async () => {
  const bundle = await makeBundle(SHELL, () => {});
  try {
    const { code, stderr } = await tsvisor(["--root", `${bundle}/state`, "run", "--bundle", bundle, "none"]);
    equal(code, 128);
    match(stderr, /^[^\n]*process\.terminal[^\n]*\n$/);
  } finally {
    await Deno.remove(bundle, { recursive: true });
  }
});

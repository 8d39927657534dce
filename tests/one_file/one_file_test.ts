// `deno task compile` makes one executable that works wherever it is put: the file is made once, in a directory of its own.

import assert from "node:assert/strict";
import { compile } from "../../boot/one_file.ts";
import { Bundle } from "../support/bundle.ts";
import { command, eventually, type Finished } from "../support/tsvisor.ts";

const ECHO = ["do", "--", "/bin/echo", "hello"];
const HELLO = { code: 0, stdout: "hello\n", stderr: "" };
/** What the list of parts and each part's place are found by (native/src/parts.rs). */
const MAGIC = "tsvisor parts 1\n";

let made: Promise<string> | null = null;
const directory = Deno.makeTempDirSync({ prefix: "tsvisor-one-file-" });
Deno.chmodSync(directory, 0o755);
globalThis.addEventListener("unload", () => Deno.removeSync(directory, { recursive: true }));

function oneFile(): Promise<string> {
  return made ??= compile(`${directory}/tsvisor`).then(() => `${directory}/tsvisor`);
}

/** A root directory with nothing but the file, busybox, /proc and /dev. */
async function emptyRoot(bundle: Bundle): Promise<void> {
  Deno.copyFileSync(await oneFile(), `${bundle.rootfs}/tsvisor`);
  for (const name of ["proc", "dev"]) Deno.mkdirSync(`${bundle.rootfs}/${name}`, { recursive: true });
  for (const name of ["etc", "tmp"]) Deno.removeSync(`${bundle.rootfs}/${name}`, { recursive: true });
}

/** Runs `words` as the process of a container of runc's, with an empty environment. */
async function inRunc(bundle: Bundle, words: readonly string[], uid: number): Promise<Finished> {
  const capabilities = uid === 0
    ? [
      "CAP_SYS_ADMIN",
      "CAP_SYS_CHROOT",
      "CAP_SETUID",
      "CAP_SETGID",
      "CAP_SETPCAP",
      "CAP_KILL",
      "CAP_CHOWN",
      "CAP_DAC_OVERRIDE",
      "CAP_FOWNER",
    ]
    : [];
  bundle.write("", (config) => {
    config.process.args = words;
    config.process.env = [];
    config.process.user = { uid, gid: uid };
    config.process.capabilities = {
      bounding: capabilities,
      effective: capabilities,
      permitted: capabilities,
    };
    delete config.process.rlimits;
    config.linux.maskedPaths = [];
    config.linux.readonlyPaths = [];
  });
  const id = `tsvisor-one-file-${crypto.randomUUID()}`;
  return await command([
    "runc",
    "--root",
    `${bundle.directory}/runc`,
    "run",
    "--bundle",
    bundle.directory,
    id,
  ]);
}

Deno.test("one file: from an empty environment, a place that is read-only, under another name, through a link", async () => {
  const place = Deno.makeTempDirSync({ prefix: "tsvisor-one-file-" });
  try {
    const path = `${place}/sandbox it`;
    Deno.copyFileSync(await oneFile(), path);
    Deno.symlinkSync(path, `${place}/link`);
    const readOnly = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec env -i "$@"';
    const argv = ["unshare", "-m", "/bin/sh", "-c", readOnly, "sh", place, path, ...ECHO];
    assert.deepEqual(await command(argv), HELLO);
    assert.deepEqual(await command([`${place}/link`, ...ECHO]), HELLO);
  } finally {
    Deno.removeSync(place, { recursive: true });
  }
});

Deno.test("one file: a user without a home, twice", async () => {
  const argv = [
    "setpriv",
    "--reuid=1000",
    "--regid=1000",
    "--clear-groups",
    "env",
    "-i",
    await oneFile(),
    ...ECHO,
  ];
  for (let i = 0; i < 2; i++) assert.deepEqual(await command(argv), HELLO);
});

Deno.test("one file: a chroot with nothing but /proc and /dev", async () => {
  using bundle = new Bundle();
  await emptyRoot(bundle);
  const script =
    'cd "$0" && mount -t proc proc proc && mount --bind /dev dev && exec chroot . /bin/busybox env -i /tsvisor "$@"';
  const argv = ["unshare", "-m", "/bin/sh", "-c", script, bundle.rootfs];
  assert.deepEqual(await command([...argv, ...ECHO]), HELLO);
  const version = await command([...argv, "--version"]);
  assert.match(version.stdout, /^tsvisor version /, version.stderr);
});

for (const uid of [0, 1000]) {
  Deno.test(`one file: a container of runc's with nothing in it, as user ${uid}`, async () => {
    using bundle = new Bundle();
    await emptyRoot(bundle);
    const { code, stdout, stderr } = await inRunc(bundle, ["/tsvisor", ...ECHO], uid);
    assert.deepEqual({ code, stdout, stderr }, HELLO);
  });
}

Deno.test("one file: the life of a container", async () => {
  using bundle = new Bundle();
  const path = await oneFile();
  const environment = { env: { TSVISOR: path } };
  const run = (...args: string[]) => command([path, "--root", bundle.state, ...args], environment);
  bundle.write("echo begun >/proc/1/root/tmp/begun; exec sleep 1000");
  // Its stdio stays with what it leaves running.
  const create = 'exec "$@" </dev/null >/dev/null 2>&1';
  const created = await command([
    "/bin/sh",
    "-c",
    create,
    "sh",
    path,
    "--root",
    bundle.state,
    "create",
    "--bundle",
    bundle.directory,
    "one",
  ]);
  assert.equal(created.code, 0, created.stderr);
  try {
    assert.equal((await run("start", "one")).code, 0);
    assert.equal(JSON.parse((await run("state", "one")).stdout).status, "running");
    assert.deepEqual(await run("exec", "one", "/bin/echo", "hello"), HELLO);
    // Until it has executed its program it bears another name.
    const shows = async () => /sleep/.test((await run("ps", "one")).stdout);
    assert.ok(await eventually(shows), "ps shows the program");
  } finally {
    assert.equal((await run("delete", "--force", "one")).code, 0);
  }
  assert.equal((await run("list", "--quiet")).stdout, "");
});

Deno.test("one file: help that stands in a part of its own", async () => {
  const { stdout, stderr } = await command([await oneFile(), "help", "syscalls"]);
  assert.match(stdout, /^ {2}0 {2}read /, stderr);
});

Deno.test("one file: compiled code that another user may have put there is not used", async () => {
  const cache = Deno.makeTempDirSync({ prefix: "tsvisor-one-file-" });
  try {
    Deno.chownSync(cache, 1000, 1000);
    const env = { XDG_CACHE_HOME: cache };
    assert.deepEqual(await command([await oneFile(), ...ECHO], { env }), HELLO);
    assert.deepEqual([...Deno.readDirSync(cache)], []);
    Deno.chownSync(cache, 0, 0);
    assert.deepEqual(await command([await oneFile(), ...ECHO], { env }), HELLO);
    assert.deepEqual([...Deno.readDirSync(cache)].map(({ name }) => name), ["tsvisor"]);
  } finally {
    Deno.removeSync(cache, { recursive: true });
  }
});

Deno.test("one file: what is damaged says so in one line, and what is cut short does not start", async () => {
  const path = `${directory}/damaged`;
  const bytes = Deno.readFileSync(await oneFile());
  const start = find(bytes, MAGIC);
  const list = new TextDecoder().decode(bytes.subarray(start, start + 4096));
  const place = Number(/^sentry\.js (\d+) /m.exec(list)?.[1]);
  assert.ok(place > 0, list);
  try {
    const changed = bytes.slice();
    changed[start + place + 1000] ^= 1;
    Deno.writeFileSync(path, changed, { mode: 0o755 });
    const damaged = await command([path, ...ECHO]);
    assert.notEqual(damaged.code, 0);
    assert.match(damaged.stderr, /its part sentry\.js is not what was built/);
    const listed = bytes.slice();
    listed[start + MAGIC.length] ^= 0xff;
    Deno.writeFileSync(path, listed, { mode: 0o755 });
    assert.match((await command([path, ...ECHO])).stderr, /^tsvisor: The executable is damaged: [^\n]*\n$/);
    Deno.writeFileSync(path, bytes.subarray(0, bytes.length - 4096), { mode: 0o755 });
    const cut = await command(["/bin/sh", "-c", '"$0" --version', path]);
    assert.notEqual(cut.code, 0);
    assert.equal(cut.stdout, "");
  } finally {
    Deno.removeSync(path);
  }
});

/** Where the archive begins: the launcher and the library have the same words among their constants. */
function find(bytes: Uint8Array, text: string): number {
  const words = new TextEncoder().encode(text);
  const decoder = new TextDecoder();
  for (let at = bytes.indexOf(words[0]); at >= 0; at = bytes.indexOf(words[0], at + 1)) {
    if (!words.every((byte, i) => bytes[at + i] === byte)) continue;
    const from = at + words.length + 4;
    if (/^[0-9a-f]{16}\n/.test(decoder.decode(bytes.subarray(from, from + 17)))) return at;
  }
  throw new Error("There is no archive");
}

// Directories of the host that are bound into a container: files made there are as on the host, whatever the umask of who
// starts tsvisor, and what hangs on the host holds up nobody else.

import { deepEqual, equal } from "node:assert/strict";
import { Bundle } from "../support/bundle.ts";
import { AS_IN_A_SANDBOX, command, PLATFORMS } from "../support/tsvisor.ts";

const GUEST = new URL("../guest/", import.meta.url).pathname;

/** Compiles a guest program without shared libraries. */
async function compile(source: string, into: string): Promise<void> {
  const { code, stderr } = await command([
    "gcc",
    "-static",
    "-O1",
    "-w",
    "-pthread",
    "-o",
    into,
    source,
  ]);
  if (code !== 0) throw new Error(`gcc: ${stderr}`);
}

for (const platform of PLATFORMS) {
  Deno.test(`bind mount: files come out as on the host, on ${platform}`, async () => {
    using bundle = new Bundle();
    await compile(`${GUEST}made_files.c`, `${bundle.rootfs}/bin/made_files`);
    for (const name of ["host", "bound"]) Deno.mkdirSync(`${bundle.directory}/${name}`);
    const inside = `cd ${bundle.directory}/host && exec ${bundle.rootfs}/bin/made_files`;
    const native = await command([...AS_IN_A_SANDBOX, "/bin/sh", "-c", inside]);
    equal(native.code, 0, native.stderr);
    bundle.write("cd /bound && exec made_files", (config) => {
      const capabilities = [
        "CAP_CHOWN",
        "CAP_FOWNER",
        "CAP_FSETID",
        "CAP_DAC_OVERRIDE",
        "CAP_DAC_READ_SEARCH",
      ];
      for (const set of ["bounding", "effective", "permitted"]) {
        config.process.capabilities[set] = capabilities;
      }
      const source = `${bundle.directory}/bound`;
      config.mounts.push({ destination: "/bound", type: "bind", source, options: ["rbind", "rw"] });
    });
    const umask = Deno.umask(0o077);
    const running = bundle.run([`--platform=${platform}`]);
    Deno.umask(umask);
    const { code, stdout, stderr } = await running;
    equal(code, 0, stderr);
    deepEqual(stdout.split("\n"), native.stdout.split("\n"));
  });
}

/** After that what is held goes on by itself, and the test has failed. */
const HELD_SECONDS_MAX = 90;
/** More than one mount may keep waiting at once. */
const CROWD = 20;

/** A file system of the host that holds what its files are named after until release(). */
class SlowMount implements AsyncDisposable {
  readonly directory: string;
  readonly #server: Deno.ChildProcess;

  private constructor(directory: string, server: Deno.ChildProcess) {
    this.directory = directory;
    this.#server = server;
  }

  static async start(bundle: Bundle): Promise<SlowMount> {
    const program = `${bundle.directory}/slow_fuse`, directory = `${bundle.directory}/slow`;
    const source = new URL("../support/slow_fuse.c", import.meta.url).pathname;
    const { code, stderr } = await command(["gcc", "-O1", "-w", "-pthread", "-o", program, source]);
    if (code !== 0) throw new Error(`gcc: ${stderr}`);
    Deno.mkdirSync(directory);
    const server = new Deno.Command(program, { args: [directory, String(HELD_SECONDS_MAX)], stdout: "piped" })
      .spawn();
    const reader = server.stdout.getReader();
    const { value } = await reader.read();
    reader.releaseLock();
    if (value === undefined) throw new Error("No FUSE file system can be mounted");
    return new SlowMount(directory, server);
  }

  hold(): void {
    exists(`${this.directory}/hold`);
  }
  release(): void {
    exists(`${this.directory}/release`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.release();
    // Its server ends with it.
    await command(["umount", this.directory]);
    await this.#server.stdout.cancel();
    await this.#server.status;
  }
}

/** An overlay of the host with a slow lower layer: reads on its files cannot say that they would wait. */
class OverlayMount implements AsyncDisposable {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async over(lower: string, bundle: Bundle): Promise<OverlayMount> {
    const directory = `${bundle.directory}/over`, empty = `${bundle.directory}/empty`;
    for (const made of [directory, empty]) Deno.mkdirSync(made);
    const options = `lowerdir=${lower}:${empty}`;
    const { code, stderr } = await command(["mount", "-t", "overlay", "overlay", "-o", options, directory]);
    if (code !== 0) throw new Error(`mount: ${stderr}`);
    return new OverlayMount(directory);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await command(["umount", this.directory]);
  }
}

const hasFuse = Deno.uid() === 0 && exists("/dev/fuse");

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/** More look-ups in one directory than go by before it is read ahead. */
const ROUNDS = 10;
/** What the others do meanwhile, on the same mount and on another one; each time what they know of it is old. */
const OTHERS =
  `for i in $(seq ${ROUNDS}); do cat /slow/fast /plain/file; stat /slow/fast >/dev/null; ls /plain; sleep 0.06; done`;

for (const platform of PLATFORMS) {
  Deno.test({
    name: `bind mount: what takes long on the host holds up nobody else, on ${platform}`,
    ignore: !hasFuse,
    async fn(t) {
      using bundle = new Bundle();
      await using slow = await SlowMount.start(bundle);
      await using over = await OverlayMount.over(slow.directory, bundle);
      const plain = `${bundle.directory}/plain`;
      Deno.mkdirSync(plain);
      Deno.writeTextFileSync(`${plain}/file`, "plain\n");
      await compile(`${import.meta.dirname}/slow_calls.c`, `${bundle.rootfs}/bin/slow_calls`);
      const others = "hello\nplain\nfile\n".repeat(ROUNDS);
      const check = async (name: string, script: string, expected: string) => {
        await t.step(name, async () => {
          if (exists(`${plain}/.done`)) Deno.removeSync(`${plain}/.done`);
          slow.hold();
          bundle.write(script, (config) => {
            for (const set of ["bounding", "effective", "permitted"]) {
              config.process.capabilities[set] = ["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"];
            }
            for (
              const [destination, source] of [["/slow", slow.directory], ["/plain", plain], [
                "/over",
                over.directory,
              ]]
            ) {
              config.mounts.push({ destination, type: "bind", source, options: ["rbind", "rw"] });
            }
          });
          let hasEnded = false;
          const running = bundle.run([`--platform=${platform}`]).finally(() => hasEnded = true);
          // The others say so when they are done.
          while (!hasEnded && !exists(`${plain}/.done`)) {
            await new Promise((resolve) => setTimeout(resolve, 20));
          }
          slow.release();
          const { code, stdout, stderr } = await running;
          equal(stderr, "");
          equal(stdout, expected);
          equal(code, 0);
        });
      };
      const meanwhile = (slowly: string) =>
        `{ ${slowly}; echo late; } & sleep 0.3; ${OTHERS}; echo others; touch /plain/.done; wait`;
      const late = `${others}others\n`;
      await check("stat", meanwhile("stat -c %s /slow/slow_lookup"), `${late}6\nlate\n`);
      await check("open", meanwhile("cat /slow/slow_open"), `${late}hello\nlate\n`);
      await check(
        "fsync",
        meanwhile("dd if=/plain/file of=/slow/slow_sync conv=fsync,notrunc 2>/dev/null"),
        `${late}late\n`,
      );
      await check("exec", meanwhile("/slow/slow_open 2>/dev/null"), `${late}late\n`);
      // All at once, and what each has said when the others are done.
      const calls = (each: readonly string[], expected: readonly string[]) => {
        const at = (i: number) => `/tmp/${i}`;
        const start = each.map((call, i) => `slow_calls ${call} >${at(i)} 2>&1 &`).join(" ");
        const files = each.map((_, i) => at(i)).join(" ");
        const said = expected.map((line) => `${line}\n`).join("");
        const script =
          `${start} sleep 0.3; ${OTHERS}; cat ${files}; echo others; touch /plain/.done; wait; cat ${files}`;
        return [script, `${late}${said}`] as const;
      };
      await check(
        "read",
        ...calls(
          ["read", "pread", "readv", "sendfile", "closed"].map((call) =>
            `${call} /slow/slow_read /plain/file`
          ),
          ["6 hello", "4 ello", "6 hello", "6 hello", "6 hello"],
        ),
      );
      await check(
        "write",
        ...calls(
          [
            "append /slow/slow_write",
            "o_sync /slow/slow_write",
            "ftruncate /slow/slow_truncate",
            "fallocate /slow/slow_allocate",
            "fstat /slow/slow_attributes",
          ],
          ["100000, size 100006", "3", "0, size 6", "0, size 6", "0, size 6"],
        ),
      );
      await check("map", ...calls(["map /slow/slow_second_open"], ["6 hello"]));
      const overlay = "mkdir /m; mount -t tmpfs none /m; mkdir /m/upper /m/work /m/all; " +
        "mount -t overlay -o lowerdir=/slow,upperdir=/m/upper,workdir=/m/work overlay /m/all";
      await check(
        "copy-up from it in an overlay of the container's own",
        `${overlay}; ${
          meanwhile(
            "echo more >>/m/all/slow_large; stat -c %s /m/upper/slow_large; tail -c 5 /m/all/slow_large",
          )
        }`,
        `${late}100005\nmore\nlate\n`,
      );
      await check(
        "read through an overlay of the host's",
        meanwhile("cat /over/slow_large | wc -c"),
        `${late}100000\nlate\n`,
      );
      await check("large write", ...calls(["pwrite /slow/slow_write"], ["150000, size 150000"]));
      const crowd =
        `for i in $(seq ${CROWD}); do stat -c %s /slow/slow_lookup & done; sleep 0.5; cat /plain/file; echo others; touch /plain/.done; wait`;
      await check("a crowd", crowd, `plain\nothers\n${"6\n".repeat(CROWD)}`);
      const killed =
        "stat /slow/slow_lookup & sleep 0.5; kill -9 $!; wait $!; echo $?; cat /plain/file; touch /plain/.done";
      await check("a process that waits is killed", killed, "137\nplain\n");
    },
  });
}

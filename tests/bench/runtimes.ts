// The peers of a benchmark: the host itself, runc, runsc and tsvisor. All containers are made from one bundle: an empty root
// with the host's /usr and /etc below it, a tmpfs and a directory of the host's disk.

export interface Runtime {
  readonly name: string;
  /** The command that runs `argv` in a container of this runtime, or on the host. */
  command(argv: readonly string[]): Promise<string[]>;
  readonly environment: Record<string, string>;
  /** Words before a command on its containers; null = it has none. */
  readonly container: readonly string[] | null;
}

/** A temporary directory with the bundles; remove() leaves nothing. */
export class Bundles {
  readonly #directory = Deno.makeTempDirSync({ prefix: "tsvisor-bench-" });
  /** On the host's disk: what each directory of newFiles() has in it. */
  readonly files = `${this.#directory}/files`;
  readonly tmpfs = Deno.makeTempDirSync({ dir: "/dev/shm", prefix: "tsvisor-bench-" });
  /** Begins the names of state directories. */
  readonly state = `${this.#directory}/state`;
  readonly #root = `${this.#directory}/root`;
  #made = 0;

  constructor() {
    Deno.mkdirSync(this.files);
    // New directories in it go to block groups of their own, where the file system knows such.
    new Deno.Command("chattr", { args: ["+T", this.#directory], stderr: "null" }).outputSync();
    for (const name of ["usr", "etc", "proc", "sys", "dev", "tmp", "files", "run"]) {
      Deno.mkdirSync(`${this.#root}/${name}`, { recursive: true });
    }
    // Merged /usr: /bin and its like are links.
    for (const name of ["bin", "sbin", "lib", "lib32", "lib64"]) {
      if (isLink(`/${name}`)) Deno.symlinkSync(`usr/${name}`, `${this.#root}/${name}`);
    }
  }

  /**
   * A new writable directory on the host's disk, /files in a container. Each run has its own, in another block group: ext4
   * looks at every inode that was deleted there within the last minutes before it makes a file, so that whoever comes later
   * would pay for those before (create-unlink-files natively: 13 us at first, 150 after some runs).
   */
  newFiles(): string {
    // The name decides which group.
    const path = Deno.makeTempDirSync({ dir: this.#directory, prefix: "files-" });
    Deno.chmodSync(path, 0o755);
    new Deno.Command("cp", { args: ["-al", `${this.files}/.`, path] }).outputSync();
    return path;
  }

  /** What each newFiles() has from now on: many/, a work tree of git with tree/N/M, 10,000 files of a line. */
  async makeTree(): Promise<void> {
    const tree = `${this.files}/many/tree`;
    for (let i = 0; i < 100; i++) {
      Deno.mkdirSync(`${tree}/${i}`, { recursive: true });
      for (let j = 0; j < 100; j++) Deno.writeTextFileSync(`${tree}/${i}/${j}`, `line ${j} of ${i}\n`);
    }
    const git = "git init -q && git config gc.auto 0 && git -c user.name=a -c user.email=a@b add -A && " +
      "git -c user.name=a -c user.email=a@b commit -q -m all && git gc -q";
    const made = await new Deno.Command("sh", { args: ["-c", git], cwd: `${this.files}/many` }).output();
    if (!made.success) throw new Error(`Cannot make a work tree: ${new TextDecoder().decode(made.stderr)}`);
  }

  /** A new bundle and id for one container that runs `argv`. */
  make(argv: readonly string[]): { bundle: string; id: string } {
    const id = `bench-${Deno.pid}-${this.#made++}`;
    const bundle = `${this.#directory}/${id}`;
    Deno.mkdirSync(bundle);
    Deno.writeTextFileSync(`${bundle}/config.json`, JSON.stringify(this.#config(argv)));
    return { bundle, id };
  }

  remove(): void {
    // A newer runsc leaves its empty network namespace mounted.
    for (const { name } of Deno.readDirSync(this.#directory)) {
      if (!name.startsWith("state-")) continue;
      const path = `${this.#directory}/${name}/null-netns`;
      if (exists(path)) new Deno.Command("umount", { args: [path] }).outputSync();
    }
    for (const path of [this.#directory, this.tmpfs]) Deno.removeSync(path, { recursive: true });
  }

  #config(args: readonly string[]): unknown {
    const bind = (destination: string, source: string, mode: string) => ({
      destination,
      type: "bind",
      source,
      options: ["rbind", mode],
    });
    const capabilities = [
      "CAP_CHOWN",
      "CAP_DAC_OVERRIDE",
      "CAP_FOWNER",
      "CAP_KILL",
      "CAP_SETGID",
      "CAP_SETUID",
    ];
    return {
      ociVersion: "1.0.2",
      process: {
        terminal: false,
        user: { uid: 0, gid: 0 },
        args,
        env: [
          "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
          "HOME=/tmp",
          "LC_ALL=C",
          "TMPFS=/tmp",
          "FILES=/files",
        ],
        cwd: "/",
        capabilities: {
          bounding: capabilities,
          effective: capabilities,
          permitted: capabilities,
        },
        rlimits: [{ type: "RLIMIT_NOFILE", hard: 4096, soft: 4096 }],
        noNewPrivileges: true,
      },
      root: { path: this.#root, readonly: true },
      hostname: "bench",
      mounts: [
        { destination: "/proc", type: "proc", source: "proc" },
        { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"] },
        { destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["mode=1777"] },
        bind("/usr", "/usr", "ro"),
        bind("/etc", "/etc", "ro"),
        bind("/files", this.newFiles(), "rw"),
      ],
      linux: { namespaces: ["pid", "ipc", "uts", "mount", "network"].map((type) => ({ type })) },
    };
  }
}

/** All that this machine has, the host first and tsvisor last; those that are missing, with the reason, into `missing`. */
export async function runtimes(bundles: Bundles, tsvisor: string, missing: string[]): Promise<Runtime[]> {
  const found: Runtime[] = [{
    name: "native",
    command: (argv) => {
      if (!argv[0].startsWith("/files/")) return Promise.resolve([...argv]);
      const files = bundles.newFiles();
      return Promise.resolve([
        "env",
        `FILES=${files}`,
        ...argv.map((word) => word.replace(/^\/files\b/, files)),
      ]);
    },
    environment: { TMPFS: bundles.tmpfs, LC_ALL: "C", HOME: bundles.tmpfs },
    container: null,
  }];
  const candidates: [string, string[]][] = [
    ["runc", ["runc"]],
    ["runsc", ["runsc", "--network=none", "--ignore-cgroups"]],
  ];
  const newer = Deno.env.get("RUNSC");
  if (newer) candidates.push(["runsc-new", [newer, "--network=none", "--ignore-cgroups"]]);
  candidates.push(["tsvisor", [tsvisor]]);
  for (const [name, base] of candidates) {
    const container = [...base, "--root", `${bundles.state}-${name}`];
    const runtime: Runtime = {
      name,
      command: (argv) => {
        const { bundle, id } = bundles.make(argv);
        return Promise.resolve([...container, "run", "--bundle", bundle, id]);
      },
      environment: {},
      container,
    };
    const reason = await whyNot(runtime);
    if (reason === "") found.push(runtime);
    else missing.push(`${name}: ${reason}`);
  }
  return found;
}

/** Empty when the runtime runs /bin/true. */
async function whyNot(runtime: Runtime): Promise<string> {
  const [program, ...args] = await runtime.command(["/bin/true"]);
  try {
    const output = await new Deno.Command(program, { args, stdin: "null", stdout: "null", stderr: "piped" })
      .output();
    if (output.success) return "";
    return new TextDecoder().decode(output.stderr).trim().split("\n").at(-1) ?? `ends with ${output.code}`;
  } catch (error) {
    return error instanceof Deno.errors.NotFound ? "not installed" : (error as Error).message;
  }
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

function isLink(path: string): boolean {
  try {
    return Deno.lstatSync(path).isSymlink;
  } catch {
    return false;
  }
}

// What a sandbox is made of, and the OCI bundle that says so to the executable.

import { defaultSpec } from "../oci/default_spec.ts";
import { SandboxError } from "./errors.ts";

/** An amount of memory: bytes, or a number with its unit. */
export type Size = number | `${number}${"KiB" | "MiB" | "GiB"}`;
/** A time: milliseconds, or a number with its unit. */
export type Duration = number | `${number}${"ms" | "s" | "m"}`;

/** Something that is mounted in a sandbox. */
export type Mount =
  /** A file or directory of the host. It is read-only unless `readOnly` is false. */
  | { readonly kind: "bind"; readonly source: string; readonly readOnly?: boolean }
  /** A file system in memory, of `size` at most (default: half of the sandbox's memory). */
  | { readonly kind: "tmpfs"; readonly size?: Size };

/** How a sandbox is made. Every member has a default. */
export interface SandboxOptions {
  /** Directory of the host that becomes the root. Default: the host's own root. Nothing is written to it: what the sandbox writes is kept in memory. */
  readonly rootfs?: string;
  /** By the path in the sandbox. */
  readonly mounts?: Readonly<Record<string, Mount>>;
  /** Variables of every command. Default: PATH and nothing of the caller's. */
  readonly env?: Readonly<Record<string, string>>;
  /** Directory in which commands start. Default: `/`. */
  readonly cwd?: string;
  /** Who runs commands: a user id, or "UID:GID". Default: 0, which is root of the sandbox only. */
  readonly user?: number | `${number}:${number}`;
  /** Memory of the sandbox at most. It needs the right to make cgroups. */
  readonly memory?: Size;
  /** CPUs at most, as 1.5. It needs the right to make cgroups. */
  readonly cpus?: number;
  /** Processes and threads at most. */
  readonly pids?: number;
  /** Default: "none", which is loopback alone. With "user" it has the caller's network, as far as `egress` lets it. */
  readonly network?: "none" | "user";
  /** Rules of the command line's --egress. Default: all but the host's loopback, link-local and metadata addresses. */
  readonly egress?: string;
  /** After this time the sandbox is killed. */
  readonly timeout?: Duration;
  /** Kills the sandbox when it is aborted. */
  readonly signal?: AbortSignal;
  /** Words that list() tells. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Default: systrap. */
  readonly platform?: "systrap" | "ptrace";
  /** The executable `tsvisor`. Default: what the variable TSVISOR names, dist/ of a checkout, or one on the PATH. */
  readonly executable?: string;
  /** State directory, as the command line's --root. */
  readonly root?: string;
}

const LABEL = "dev.tsvisor.label.";
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const CPU_PERIOD_MICROS = 100_000;
const SIZE_UNITS = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 } as const;
const DURATION_UNITS = { ms: 1, s: 1000, m: 60_000 } as const;

/** Where the sandbox's first process comes from: a file of the bundle, mounted here. */
const INIT_PATH = "/.tsvisor-init";

/**
 * The first process of a sandbox that only holds it: it reads its standard input to the end and exits, and lets the kernel
 * reap what is left to it. So a sandbox ends with the program that made it, even if that is killed. x86-64, a static ELF:
 *
 *     rt_sigaction(SIGCHLD, {SIG_IGN}, NULL, 8)
 *     do n = read(0, sp, 16) while (n > 0 || n == -EINTR)
 *     exit(0)
 */
export function initProgram(): Uint8Array {
  // deno-fmt-ignore
  const code = [
    0x6a, 0x00, 0x6a, 0x00, 0x6a, 0x00, 0x6a, 0x01, // struct sigaction on the stack: SIG_IGN
    0x6a, 0x0d, 0x58, 0x6a, 0x11, 0x5f, 0x48, 0x89, 0xe6, 0x31, 0xd2, 0x6a, 0x08, 0x41, 0x5a, 0x0f, 0x05,
    0x31, 0xc0, 0x31, 0xff, 0x48, 0x89, 0xe6, 0x6a, 0x10, 0x5a, 0x0f, 0x05, // read
    0x48, 0x85, 0xc0, 0x7f, 0xef, // more than nothing: again
    0x48, 0x83, 0xf8, 0xfc, 0x74, 0xe9, // EINTR: again
    0x6a, 0x3c, 0x58, 0x31, 0xff, 0x0f, 0x05, // exit
  ];
  const HEADERS = 64 + 56, BASE = 0x400000;
  const file = new Uint8Array(HEADERS + code.length);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true); // ET_EXEC
  view.setUint16(18, 62, true); // EM_X86_64
  view.setUint32(20, 1, true);
  view.setUint32(24, BASE + HEADERS, true); // entry
  view.setUint32(32, 64, true); // program headers
  view.setUint16(52, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 1, true);
  view.setUint32(64, 1, true); // PT_LOAD
  view.setUint32(68, 5, true); // readable and executable
  view.setUint32(80, BASE, true);
  view.setUint32(88, BASE, true);
  view.setUint32(96, file.length, true);
  view.setUint32(104, file.length, true);
  view.setUint32(112, 0x1000, true);
  file.set(code, HEADERS);
  return file;
}

/** config.json of a sandbox whose bundle stands in `bundle`. */
export function configOf(options: SandboxOptions, bundle: string): string {
  // deno-lint-ignore no-explicit-any
  const config = defaultSpec([INIT_PATH]) as any;
  const { uid, gid } = userOf(options.user ?? 0);
  Object.assign(config.process, {
    terminal: false,
    user: { uid, gid },
    env: environmentOf({ PATH, ...options.env }),
    cwd: options.cwd ?? "/",
  });
  // Read-only below a memory overlay: what is written stays in the sandbox.
  config.root = { path: options.rootfs ?? "/", readonly: false };
  config.hostname = "sandbox";
  config.mounts.push(
    { destination: INIT_PATH, type: "bind", source: `${bundle}/init`, options: ["bind", "ro"] },
    ...Object.entries(options.mounts ?? {}).map(([destination, mount]) => mountOf(destination, mount)),
  );
  config.annotations = Object.fromEntries(
    Object.entries(options.labels ?? {}).map(([name, value]) => [LABEL + name, value]),
  );
  config.linux.resources = resourcesOf(options);
  return JSON.stringify(config);
}

/** The labels among a container's annotations. */
export function labelsOf(annotations: Readonly<Record<string, string>>): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const [name, value] of Object.entries(annotations)) {
    if (name.startsWith(LABEL)) labels[name.slice(LABEL.length)] = value;
  }
  return labels;
}

/** As execve(2) has it. */
export function environmentOf(env: Readonly<Record<string, string>>): string[] {
  return Object.entries(env).map(([name, value]) => {
    if (name === "" || /[=\0]/.test(name) || value.includes("\0")) {
      throw new SandboxError(
        "INVALID_ARGUMENT",
        `${JSON.stringify(name)} is no name of a variable, or its value has a NUL`,
      );
    }
    return `${name}=${value}`;
  });
}

/** Flags of the command line that say which network a sandbox has. */
export function networkFlags({ network = "none", egress }: SandboxOptions): string[] {
  if (network === "user") return ["--network=user", ...(egress === undefined ? [] : [`--egress=${egress}`])];
  if (egress === undefined) return ["--network=none"];
  throw new SandboxError("INVALID_ARGUMENT", 'egress goes with network: "user"');
}

/** Bytes. */
export function sizeOf(size: Size): number {
  const bytes = typeof size === "number" ? size : unitsOf(size, SIZE_UNITS);
  if (Number.isSafeInteger(bytes) && bytes > 0) return bytes;
  throw new SandboxError(
    "INVALID_ARGUMENT",
    `${size} is no size: a number of bytes, or one with KiB, MiB or GiB`,
  );
}

/** Milliseconds. */
export function durationOf(duration: Duration): number {
  const millis = typeof duration === "number" ? duration : unitsOf(duration, DURATION_UNITS);
  if (Number.isFinite(millis) && millis > 0) return millis;
  throw new SandboxError(
    "INVALID_ARGUMENT",
    `${duration} is no time: milliseconds, or a number with ms, s or m`,
  );
}

function unitsOf(text: string, units: Readonly<Record<string, number>>): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)([a-zA-Z]+)$/.exec(text) ?? [];
  return unit === undefined ? NaN : Number(number) * (units[unit] ?? NaN);
}

function userOf(user: number | string): { uid: number; gid: number } {
  const [, uid, gid] = /^(\d+)(?::(\d+))?$/.exec(String(user)) ?? [];
  if (uid === undefined) {
    throw new SandboxError("INVALID_ARGUMENT", `${user} is no user: a number, or "UID:GID"`);
  }
  return { uid: Number(uid), gid: Number(gid ?? uid) };
}

/** As the flag --user of exec takes it. */
export function userFlag(user: number | string): string {
  const { uid, gid } = userOf(user);
  return `${uid}:${gid}`;
}

function mountOf(destination: string, mount: Mount): unknown {
  if (!destination.startsWith("/")) {
    throw new SandboxError(
      "INVALID_ARGUMENT",
      `${destination} is no path that a mount can have: it begins with no slash`,
    );
  }
  if (mount.kind === "bind") {
    const access = mount.readOnly === false ? "rw" : "ro";
    return { destination, type: "bind", source: mount.source, options: ["rbind", access] };
  }
  const size = mount.size === undefined ? [] : [`size=${sizeOf(mount.size)}`];
  return { destination, type: "tmpfs", source: "tmpfs", options: ["nosuid", "nodev", ...size] };
}

function resourcesOf({ memory, cpus, pids }: SandboxOptions): unknown {
  const resources: Record<string, unknown> = {};
  if (memory !== undefined) resources.memory = { limit: sizeOf(memory) };
  if (pids !== undefined) resources.pids = { limit: pids };
  if (cpus !== undefined) {
    if (!(cpus > 0)) throw new SandboxError("INVALID_ARGUMENT", `${cpus} is no number of CPUs`);
    resources.cpu = { period: CPU_PERIOD_MICROS, quota: Math.ceil(cpus * CPU_PERIOD_MICROS) };
  }
  return resources;
}

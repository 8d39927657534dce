// Runs tsvisor, as a user would, from dist/; builds it first where it is missing or old.

import { build } from "../../boot/build.ts";
import { readText } from "./output.ts";

/** What a finished command has left. */
export interface Finished {
  /** Exit code; 128 + signal where it was killed, -1 when it took too long. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly stdin?: string;
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  /** After this long it is killed; what it has printed by then is kept, the code is -1. */
  readonly timeoutMillis?: number;
}

const TIMEOUT_MILLIS = 180_000;

export const PLATFORMS = ["systrap", "ptrace"] as const;
export type PlatformName = typeof PLATFORMS[number];

let launcher: Promise<string> | null = null;

/** Path of dist/tsvisor. TSVISOR names another one. */
export function tsvisorPath(): Promise<string> {
  const given = Deno.env.get("TSVISOR");
  return launcher ??= given ? Promise.resolve(given) : build();
}

/** Runs `tsvisor args...` to its end. */
export async function tsvisor(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  return await command([await tsvisorPath(), ...args], options);
}

/** Words before a host command that is compared with a sandbox: a sandbox begins at nice 0, whatever the caller's. */
export const AS_IN_A_SANDBOX: readonly string[] = [
  "nice",
  "-n",
  String(-Number(new TextDecoder().decode(new Deno.Command("nice").outputSync().stdout))),
];

/** Runs a host command to its end. What it leaves behind with its output open is waited for, until the time is up. */
export async function command(argv: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const child = new Deno.Command(argv[0], {
    args: argv.slice(1),
    stdin: options.stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
    env: options.env,
    cwd: options.cwd,
  }).spawn();
  const stop = new AbortController();
  const isLate = new Promise<void>((resolve) => stop.signal.addEventListener("abort", () => resolve()));
  const timer = setTimeout(() => {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended; a descendant of it still holds its output open.
    }
    stop.abort();
  }, options.timeoutMillis ?? TIMEOUT_MILLIS);
  try {
    const fed = options.stdin === undefined ? null : feed(child, options.stdin, isLate);
    const [stdout, stderr, { code }] = await Promise.all([
      readText(child.stdout, stop.signal),
      readText(child.stderr, stop.signal),
      child.status,
    ]);
    await fed;
    return { code: stop.signal.aborted ? -1 : code, stdout, stderr };
  } finally {
    clearTimeout(timer);
  }
}

async function feed(child: Deno.ChildProcess, text: string, isLate: Promise<void>): Promise<void> {
  const writer = child.stdin.getWriter();
  try {
    await Promise.race([writer.write(new TextEncoder().encode(text)), isLate]);
    await Promise.race([writer.close(), isLate.then(() => writer.abort())]);
  } catch {
    // It ended without reading all.
  }
}

/** Steps of 20 ms in which a condition is looked at: a minute, as a machine may have much else to do. */
const LOOKS_MAX = 3000;

/** Waits until `is`; false when it has not become so. */
export async function eventually(
  is: () => boolean | Promise<boolean>,
  looksMax = LOOKS_MAX,
): Promise<boolean> {
  for (let looks = 0; looks < looksMax; looks++) {
    if (await is()) return true;
    await delay(20);
  }
  return await is();
}

export function delay(millis: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, millis));
}

/** Copies dist/ to where every user may read it, for the time of `use`. */
export async function forEverybody(use: (tsvisor: string) => Promise<void>): Promise<void> {
  const directory = Deno.makeTempDirSync({ prefix: "tsvisor-host-" });
  try {
    Deno.chmodSync(directory, 0o755);
    const from = (await tsvisorPath()).replace(/\/tsvisor$/, "");
    const { code, stderr } = await command(["cp", "-r", from, `${directory}/dist`]);
    if (code !== 0) throw new Error(`cp: ${stderr}`);
    await use(`${directory}/dist/tsvisor`);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

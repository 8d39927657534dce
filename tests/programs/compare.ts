// Whole programs, natively and in the sandbox: a script runs on the host first, then in a sandbox on each platform, and must
// print the same. A line "== name" opens a section of its output: each section is a step, and is named when it differs.

import { AS_IN_A_SANDBOX, command, type Finished, type PlatformName, tsvisor } from "../support/tsvisor.ts";

export const SCRIPTS = new URL("scripts/", import.meta.url).pathname;
const PROGRAM_MILLIS_MAX = 240_000;

export interface ProgramOptions {
  /** Systrap alone unless told. */
  readonly platforms?: readonly PlatformName[];
  /** Programs of the host without which the test cannot be made: it is skipped, and says so; in CI, which has them all, it fails. */
  readonly needs?: readonly string[];
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Makes on the host what is run. */
  readonly prepare?: () => Promise<void>;
}

/** What both runs begin with: nothing of the developer's own environment reaches a program. */
const ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: `${Deno.env.get("PATH")}`,
  HOME: "/tmp",
  LANG: "C.UTF-8",
  TZ: "UTC",
};

/**
 * Registers a test of `argv`, in which SCRIPTS/ stands for the folder of scripts. Both runs have the same path as working
 * directory, empty at their begin; what the sandbox writes there stays in its overlay.
 */
export function sameAsNative(name: string, argv: readonly string[], options: ProgramOptions = {}): void {
  const missing = (options.needs ?? []).filter((program) => !isInstalled(program));
  Deno.test({
    name: missing.length === 0 ? name : `${name} (without ${missing.join(", ")})`,
    ignore: missing.length > 0 && Deno.env.get("CI") !== "true",
    fn: (t) => {
      if (missing.length > 0) throw new Error(`.ci/run does not install ${missing.join(", ")}`);
      return compare(t, argv, options);
    },
  });
}

async function compare(
  t: Deno.TestContext,
  argv: readonly string[],
  options: ProgramOptions,
): Promise<void> {
  const words = argv.map((word) => word.replace("SCRIPTS/", SCRIPTS));
  await options.prepare?.();
  const directory = Deno.makeTempDirSync({ prefix: "tsvisor-program-" });
  try {
    const cwd = `${directory}/work`;
    const clean = ["env", "-i", ...environmentWords(options)];
    const limits = { stdin: options.stdin, timeoutMillis: PROGRAM_MILLIS_MAX };
    Deno.mkdirSync(cwd);
    const native = await command([...AS_IN_A_SANDBOX, ...clean, ...words], { ...limits, cwd });
    Deno.removeSync(cwd, { recursive: true });
    if (native.code === -1) throw new Error(`On the host it does not end: ${tail(native)}`);
    for (const platform of options.platforms ?? ["systrap" as const]) {
      Deno.mkdirSync(cwd);
      const sandbox = [`--platform=${platform}`, "do", "--"];
      const got = await tsvisor([...sandbox, ...clean, ...words], { ...limits, cwd });
      await t.step(`on ${platform}`, (step) => compareSections(step, native, got));
      if ([...Deno.readDirSync(cwd)].length > 0) {
        throw new Error(`The sandbox has written to the host's ${cwd}`);
      }
      Deno.removeSync(cwd);
    }
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

async function compareSections(t: Deno.TestContext, native: Finished, got: Finished): Promise<void> {
  const found = sections(got.stdout);
  for (const [name, expected] of sections(native.stdout)) {
    await t.step(name, () => {
      const text = found.get(name);
      if (text === expected) return;
      throw new Error(
        text === undefined
          ? `never came to this section: exit ${got.code}, ${tail(got)}`
          : `${firstDifference(text, expected)}\nstderr: ${got.stderr.slice(-500)}`,
      );
    });
  }
  await t.step("exit status", () => {
    if (got.code !== native.code) {
      throw new Error(`exit ${got.code}, on the host ${native.code}: ${tail(got)}; host: ${tail(native)}`);
    }
  });
}

/** What precedes the first "== name" is the section "output". */
function sections(output: string): Map<string, string> {
  const map = new Map<string, string>();
  let name = "output";
  let text = "";
  for (const line of output.split("\n")) {
    if (!line.startsWith("== ")) {
      text += `${line}\n`;
      continue;
    }
    if (text !== "" || name !== "output") map.set(name, text);
    name = line.slice(3);
    text = "";
  }
  map.set(name, text);
  return map;
}

function firstDifference(got: string, expected: string): string {
  const mine = got.split("\n");
  const theirs = expected.split("\n");
  const at = mine.findIndex((line, i) => line !== theirs[i]);
  const line = at < 0 ? mine.length : at;
  return `line ${line + 1}: sandbox ${JSON.stringify(mine[line])}, host ${JSON.stringify(theirs[line])}`;
}

function environmentWords(options: ProgramOptions): string[] {
  return Object.entries({ ...ENVIRONMENT, ...options.env }).map(([key, value]) => `${key}=${value}`);
}

function isInstalled(program: string): boolean {
  return ENVIRONMENT.PATH.split(":").some((folder) => {
    try {
      return Deno.statSync(`${folder}/${program}`).isFile;
    } catch {
      return false;
    }
  });
}

function tail(finished: Finished): string {
  return JSON.stringify(finished.stderr.slice(-500) || finished.stdout.slice(-500));
}

// The project's one test command: format, lint, types, unit tests, then the tests that run sandboxes. Its last line is
// "N passed, N failed" over all of them. `deno task test [GROUP...]` runs some groups only.

import { build } from "../boot/build.ts";
import { readText } from "./support/output.ts";

const ROOT = import.meta.dirname!.replace(/[^/]+$/, "");
const DENO = Deno.execPath();

interface Group {
  readonly name: string;
  /** A command that passes or fails as one, or the folders whose x_test.ts are run. */
  readonly command?: readonly string[];
  readonly folders?: readonly string[];
  /** Files run side by side: tests that share nothing but the machine. */
  readonly isParallel?: boolean;
  readonly minutesMax: number;
}

/** Tests that share nothing but the machine, and what is checked as a whole. */
const FIRST: readonly Group[] = [
  { name: "format", command: ["fmt", "--check", "--quiet"], minutesMax: 2 },
  { name: "lint", command: ["lint", "--quiet"], minutesMax: 2 },
  { name: "types", command: ["check", "--quiet", "."], minutesMax: 5 },
  { name: "tidy", folders: testsAtTop(), minutesMax: 2 },
  {
    name: "unit",
    folders: ["kernel", "gofer", "platform", "netstack", "boot", "native"],
    isParallel: true,
    minutesMax: 10,
  },
];

/** Folders of tests/ that run sandboxes or stacks, one file after the other; the order in which they run. Those that are
 * not named follow by name. */
const SYSTEM_ORDER = ["guest", "programs", "attack", "cli", "net"];
const SYSTEM_MINUTES_MAX = 25;

const GROUPS: readonly Group[] = [...FIRST, ...systemGroups()];

function testsAtTop(): string[] {
  return [...Deno.readDirSync(`${ROOT}tests`)].filter((entry) =>
    entry.isFile && entry.name.endsWith("_test.ts")
  )
    .map((entry) => `tests/${entry.name}`);
}

function systemGroups(): Group[] {
  const names = [...Deno.readDirSync(`${ROOT}tests`)].filter((entry) => entry.isDirectory)
    .map((entry) => entry.name).filter((name) => hasTests(`tests/${name}`));
  const place = (name: string) =>
    SYSTEM_ORDER.includes(name) ? SYSTEM_ORDER.indexOf(name) : SYSTEM_ORDER.length;
  return names.sort((a, b) => place(a) - place(b) || (a < b ? -1 : 1))
    .map((name) => ({ name, folders: [`tests/${name}`], minutesMax: SYSTEM_MINUTES_MAX }));
}

/** Characters of a group's errors that are said once more at the end. */
const ERRORS_LENGTH_MAX = 12_000;

interface Count {
  passed: number;
  failed: number;
  /** What went wrong, as the tests' own runner says it. */
  errors?: string;
}

async function runGroup(group: Group): Promise<Count> {
  if (group.command !== undefined) {
    const { code } = await run(group.command, group.minutesMax);
    return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1 };
  }
  const present = group.folders!.filter((folder) => hasTests(folder));
  if (present.length === 0) return { passed: 0, failed: 0 };
  const flags = group.isParallel === true ? ["--parallel"] : [];
  const { code, output } = await run(["test", "-A", "--no-check", ...flags, ...present], group.minutesMax);
  const count = countOf(output);
  // A file that does not load, a crash or a time-out leaves no line of counts, or a code that they do not explain.
  if (count === null) return { passed: 0, failed: 1, errors: output.slice(-ERRORS_LENGTH_MAX) };
  if (code !== 0 && count.failed === 0) count.failed = 1;
  return { ...count, errors: errorsOf(output) };
}

/** The runner's chapter of errors; "" where all has passed. */
function errorsOf(output: string): string {
  const begin = output.lastIndexOf("\n ERRORS \n"), end = output.lastIndexOf("\n FAILURES \n");
  return begin < 0 || end < begin ? "" : output.slice(begin, end).slice(0, ERRORS_LENGTH_MAX);
}

/**
 * Deno's closing line counts tests and, in parentheses, their steps. Both count, but not what has failed only because a step
 * of it has: one check that fails is one failure.
 */
function countOf(output: string): Count | null {
  // deno-lint-ignore no-control-regex
  const plain = output.replaceAll(/\x1b\[[0-9;]*m/g, "");
  const pattern =
    /^(?:ok|FAILED) \| (\d+) passed(?: \((\d+) steps?\))? \| (\d+) failed(?: \((\d+) steps?\))?/gm;
  // The last one: a test may have printed another's.
  const match = [...plain.matchAll(pattern)].at(-1);
  if (match === undefined) return null;
  const failed = Number(match[3]) + Number(match[4] ?? 0);
  const inherited = [...plain.matchAll(/ \.\.\. FAILED \(due to \d+ failed steps?\) \(/g)].length;
  return {
    passed: Number(match[1]) + Number(match[2] ?? 0),
    failed: failed === 0 ? 0 : Math.max(1, failed - inherited),
  };
}

async function run(args: readonly string[], minutesMax: number): Promise<{ code: number; output: string }> {
  const child = new Deno.Command(DENO, {
    args: [...args],
    cwd: ROOT,
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
    env: { NO_COLOR: "1" },
    // A process group of its own: with it end the sandboxes that its tests have started.
    detached: true,
  }).spawn();
  const end = () => new Deno.Command("kill", { args: ["-KILL", "--", `-${child.pid}`] }).outputSync();
  const interrupted = () => {
    end();
    Deno.exit(130);
  };
  const stop = new AbortController();
  const timer = setTimeout(() => {
    console.log(`Ended after ${minutesMax} minutes`);
    end();
    stop.abort();
  }, minutesMax * 60_000);
  Deno.addSignalListener("SIGINT", interrupted);
  Deno.addSignalListener("SIGTERM", interrupted);
  const output = await readText(child.stdout, stop.signal, (chunk) => Deno.stdout.write(chunk));
  const { code } = await child.status;
  clearTimeout(timer);
  Deno.removeSignalListener("SIGINT", interrupted);
  Deno.removeSignalListener("SIGTERM", interrupted);
  return { code, output };
}

function hasTests(path: string): boolean {
  try {
    if (!Deno.statSync(`${ROOT}${path}`).isDirectory) return true;
  } catch {
    return false;
  }
  for (const entry of Deno.readDirSync(`${ROOT}${path}`)) {
    if (entry.name === "target" || entry.name === "node_modules") continue;
    if (entry.isFile && entry.name.endsWith("_test.ts")) return true;
    if (entry.isDirectory && hasTests(`${path}/${entry.name}`)) return true;
  }
  return false;
}

const wanted = new Set(Deno.args);
const unknown = Deno.args.filter((name) => !GROUPS.some((group) => group.name === name));
if (unknown.length > 0) {
  console.error(
    `Unknown group ${unknown.join(", ")}: they are ${GROUPS.map((group) => group.name).join(", ")}`,
  );
  Deno.exit(2);
}
const sum: Count = { passed: 0, failed: 0 };
const report: string[] = [];
const errors: string[] = [];
try {
  await build();
} catch (error) {
  console.error((error as Error).message);
  sum.failed++;
}
for (const group of GROUPS) {
  if (wanted.size > 0 && !wanted.has(group.name)) continue;
  console.log(`\n== ${group.name}`);
  const begin = performance.now();
  const { passed, failed, errors: said } = await runGroup(group);
  sum.passed += passed;
  sum.failed += failed;
  if (failed > 0 && said) errors.push(`== what failed in ${group.name}\n${said}`);
  const seconds = ((performance.now() - begin) / 1000).toFixed(0);
  report.push(
    `${group.name.padEnd(10)} ${String(passed).padStart(6)} passed ${
      String(failed).padStart(4)
    } failed ${seconds} s`,
  );
}
// Once more: a log of many thousand lines is often kept only in part, from its end.
if (errors.length > 0) console.log(`\n${errors.join("\n")}`);
console.log(`\n${report.join("\n")}`);
if (sum.passed === 0) sum.failed = Math.max(1, sum.failed);
console.log(`${sum.passed} passed, ${sum.failed} failed`);
Deno.exit(sum.failed === 0 ? 0 : 1);

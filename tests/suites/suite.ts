// Suites that no one here wrote, from Debian packages: each part of one is a command that runs in a sandbox and passes with
// status 0. What is known to fail stands with its reason in expected/SUITE.PLATFORM.txt, a line "part: reason". A part that
// fails and is not listed fails the suite, and so does a listed one that passes.

import { command, type PlatformName, tsvisor } from "../support/tsvisor.ts";

export interface Suite {
  readonly name: string;
  /** The Debian package and a file of it, without which it cannot run. */
  readonly package: string;
  readonly file: string;
  /** Names of its parts, in order. */
  parts(): Promise<readonly string[]>;
  /** The command that runs one. */
  argv(part: string): readonly string[];
  readonly partMillisMax: number;
}

export interface SuiteOptions {
  readonly platform: PlatformName;
  /** Parts to run, all where it is empty. */
  readonly only: readonly string[];
  /** Of `every` pieces of the suite the one with number `piece`, from 0. */
  readonly piece: number;
  readonly every: number;
}

export interface SuiteReport {
  readonly passed: number;
  /** Parts that fail as listed. */
  readonly listed: number;
  /** What makes the suite fail, a line each. */
  readonly surprises: readonly string[];
}

/** Reasons by part. */
export function readExpected(text: string): Map<string, string> {
  const reasons = new Map<string, string>();
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const colon = line.indexOf(": ");
    if (colon <= 0) throw new Error(`An expected failure is "part: reason", not "${line}"`);
    reasons.set(line.slice(0, colon), line.slice(colon + 2));
  }
  return reasons;
}

/** What one part's end means beside what is listed; null where it is as expected. */
export function surprise(part: string, ended: string | null, reason: string | undefined): string | null {
  if (ended === null) return reason === undefined ? null : `${part} passes, and is listed: ${reason}`;
  return reason === undefined ? `${part} fails: ${ended}` : null;
}

export async function runSuite(suite: Suite, options: SuiteOptions): Promise<SuiteReport> {
  const { platform, only, piece, every } = options;
  const all = await suite.parts();
  const unknown = only.filter((part) => !all.includes(part));
  if (unknown.length > 0) throw new Error(`${suite.name} has no ${unknown.join(", ")}`);
  const parts = all.filter((part, i) => i % every === piece && (only.length === 0 || only.includes(part)));
  const expected = readExpected(expectedText(`${suite.name}.${platform}.txt`));
  const gone = [...expected.keys()].filter((part) => !all.includes(part));
  const surprises = gone.map((part) => `${part} is listed, and the suite has no such part`);
  let passed = 0, listed = 0;
  for (const part of parts) {
    const began = performance.now();
    const ended = await howItEnds(suite, part, platform);
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    const reason = expected.get(part);
    const line = surprise(part, ended, reason);
    if (line !== null) surprises.push(line);
    if (ended === null) passed++;
    else if (reason !== undefined) listed++;
    console.log(
      `${suite.name} ${part}: ${ended === null ? "ok" : line ?? `fails, as listed`} (${seconds} s)`,
    );
  }
  return { passed, listed, surprises };
}

/** The list of a suite; none for one that should pass whole. */
function expectedText(name: string): string {
  try {
    return Deno.readTextFileSync(new URL(`expected/${name}`, import.meta.url));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

/** null where `part` passes, else how it ends and its last lines. */
async function howItEnds(suite: Suite, part: string, platform: PlatformName): Promise<string | null> {
  const cwd = Deno.makeTempDirSync({ prefix: "tsvisor-suite-" });
  try {
    const clean = ["env", "-i", `PATH=${Deno.env.get("PATH")}`, "HOME=/tmp", "LANG=C.UTF-8", "TZ=UTC"];
    const args = [`--platform=${platform}`, "do", "--", ...clean, ...suite.argv(part)];
    const done = await tsvisor(args, { timeoutMillis: suite.partMillisMax, cwd });
    if (done.code === 0) return null;
    const how = done.code === -1 ? "does not end" : `status ${done.code}`;
    const lines = `${done.stdout}\n${done.stderr}`.trim().split("\n").slice(-6).join(" | ");
    return `${how}: ${lines.slice(-400)}`;
  } finally {
    Deno.removeSync(cwd, { recursive: true });
  }
}

/** Lines of a command's output on the host. */
export async function linesOf(argv: readonly string[]): Promise<string[]> {
  const done = await command(argv, { timeoutMillis: 60_000 });
  if (done.code !== 0) throw new Error(`${argv.join(" ")} ends with ${done.code}: ${done.stderr}`);
  return done.stdout.split(/\s+/).filter((word) => word !== "");
}

// Hooks of a config.json: programs of the host that are run at stages of a container's life, with its state on stdin.
// runtime-spec config.md, "POSIX-platform Hooks".

import { OCI_VERSION } from "../version.ts";
import type { OciConfig } from "./spec.ts";

export type HookStage = keyof NonNullable<OciConfig["hooks"]>;
type Hook = NonNullable<NonNullable<OciConfig["hooks"]>["prestart"]>[number];

/** What a hook reads of its container. */
export interface HookState {
  readonly id: string;
  readonly status: string;
  /** Of a process in the container's host namespaces, 0 = none: by it a hook finds its network namespace. */
  readonly pid: number;
  readonly bundle: string;
  readonly annotations: Readonly<Record<string, string>>;
}

/**
 * First argument of the launcher that becomes another program: then how many namespaces it is to join, their paths, the
 * program's path, its arguments with its own name first.
 */
export const EXECUTE = "--execute";

/** How much of a failed hook's output goes into the error. */
const PRINTED_CHARACTERS_MAX = 300;

/**
 * Runs the hooks of a stage one after the other. Throws one line for the first that fails, and runs none after it. They are
 * in the host's namespaces at these paths, with mounts of their own; where there are none they are in ours.
 */
export async function runHooks(
  config: OciConfig,
  stage: HookStage,
  state: HookState,
  namespaces: readonly string[] = [],
): Promise<void> {
  for (const [i, hook] of (config.hooks?.[stage] ?? []).entries()) {
    const failure = await failureOf(hook, state, namespaces);
    if (failure !== null) throw new Error(`Hook ${stage}[${i}] (${hook.path}) failed: ${failure}`);
  }
}

/** As runHooks(), for stages where a failure changes nothing: returns sentences for the log. */
export async function runHooksRegardless(
  config: OciConfig,
  stage: HookStage,
  state: HookState,
): Promise<string[]> {
  const failures: string[] = [];
  for (const [i, hook] of (config.hooks?.[stage] ?? []).entries()) {
    const failure = await failureOf(hook, state);
    if (failure !== null) failures.push(`Hook ${stage}[${i}] (${hook.path}) failed: ${failure}`);
  }
  return failures;
}

/** null = it has succeeded. */
async function failureOf(
  hook: Hook,
  state: HookState,
  namespaces: readonly string[] = [],
): Promise<string | null> {
  const text = JSON.stringify({ ociVersion: OCI_VERSION, ...state });
  let child: Deno.ChildProcess;
  try {
    const [program, args] = commandOf(hook, namespaces);
    child = new Deno.Command(program, {
      args,
      clearEnv: true,
      env: Object.fromEntries((hook.env ?? []).map(pair)),
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (error) {
    return (error as Error).message.split("\n")[0];
  }
  let isLate = false;
  const timer = hook.timeout === undefined ? undefined : setTimeout(() => {
    isLate = true;
    end(child);
  }, hook.timeout * 1000);
  const [output] = await Promise.all([child.output(), feed(child, text)]);
  clearTimeout(timer);
  if (isLate) return `it took longer than ${hook.timeout} s`;
  if (output.success) return null;
  const printed = new TextDecoder().decode(output.stderr).trim().replaceAll("\n", "; ");
  const how = output.signal === null ? `exit status ${output.code}` : `killed by ${output.signal}`;
  return printed === "" ? how : `${how}: ${printed.slice(0, PRINTED_CHARACTERS_MAX)}`;
}

/**
 * Program and arguments. A hook's own name is args[0], and some programs go by it (dockerd, which is its own hook): where that
 * is another than its path the launcher names it so; it also joins namespaces.
 */
function commandOf({ path, args = [] }: Hook, namespaces: readonly string[]): [string, string[]] {
  const launcher = Deno.env.get("TSVISOR_LAUNCHER");
  const isNamed = args.length > 0 && args[0] !== path;
  if (launcher === undefined || !isNamed && namespaces.length === 0) return [path, args.slice(1)];
  const named = args.length > 0 ? args : [path];
  return [launcher, [EXECUTE, String(namespaces.length), ...namespaces, path, ...named]];
}

function pair(entry: string): [string, string] {
  const at = entry.indexOf("=");
  return at < 0 ? [entry, ""] : [entry.slice(0, at), entry.slice(at + 1)];
}

function end(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch {
    // It has just ended.
  }
}

async function feed(child: Deno.ChildProcess, text: string): Promise<void> {
  const writer = child.stdin.getWriter();
  try {
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
  } catch {
    // It does not want to know.
  }
}

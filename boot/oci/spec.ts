// The OCI bundle's config.json (runtime-spec 1.2): its schema, and reading it with one clear line for what is wrong.

import { CAPABILITY_NAMES } from "../../kernel/abi/task.ts";
import { RLIMIT_NAMES } from "../../kernel/task/rlimits.ts";
import * as z from "../schema.ts";
import { ignoredFields } from "./ignored.ts";
import { type Resources, resourcesSchema } from "./resources.ts";

const text = z.optional(z.string());
const texts = z.optional(z.array(z.string()));
const paths = z.optional(z.array(z.string().check(z.startsWith("/", "must be an absolute path"))));
const count = z.number().check(z.int(), z.nonnegative());
const absolutePath = z.string().check(z.startsWith("/", "must be an absolute path"));
const id = z.number().check(z.int(), z.gte(0), z.lte(0xffff_fffe));

/** 12 and 20 bits; <linux/kdev_t.h>. */
const deviceNumber = z.number().check(z.int(), z.gte(0), z.lte(0xf_ffff));

const mountSchema = z.object({
  destination: absolutePath,
  type: text,
  source: text,
  options: texts,
});

const rlimitSchema = z.object({
  type: z.string(),
  soft: z.number().check(z.nonnegative()),
  hard: z.number().check(z.nonnegative()),
});

const processSchema = z.object({
  terminal: z.optional(z.boolean()),
  consoleSize: z.optional(z.object({ height: count, width: count })),
  user: z.optional(z.object({
    uid: z._default(id, 0),
    gid: z._default(id, 0),
    umask: z.optional(z.number().check(z.int(), z.gte(0), z.lte(0o777))),
    additionalGids: z.optional(z.array(id)),
  })),
  args: z.array(z.string()).check(z.minLength(1, "must name a program")),
  env: texts,
  cwd: absolutePath,
  capabilities: z.optional(z.object({
    bounding: texts,
    effective: texts,
    inheritable: texts,
    permitted: texts,
    ambient: texts,
  })),
  rlimits: z.optional(z.array(rlimitSchema)),
  noNewPrivileges: z.optional(z.boolean()),
  oomScoreAdj: z.optional(z.number().check(z.int(), z.gte(-1000), z.lte(1000))),
  selinuxLabel: text,
});

const hookSchema = z.object({
  path: absolutePath,
  args: texts,
  env: texts,
  timeout: z.optional(z.number().check(z.int(), z.gte(1, "must be above 0 (seconds)"))),
});
const hooks = z.optional(z.array(hookSchema));

export const configSchema = z.object({
  ociVersion: z.string(),
  process: processSchema,
  root: z.object({ path: z.string().check(z.minLength(1)), readonly: z.optional(z.boolean()) }),
  hostname: z.optional(z.string().check(z.maxLength(64))),
  domainname: z.optional(z.string().check(z.maxLength(64))),
  mounts: z.optional(z.array(mountSchema)),
  hooks: z.optional(z.object({
    prestart: hooks,
    createRuntime: hooks,
    createContainer: hooks,
    startContainer: hooks,
    poststart: hooks,
    poststop: hooks,
  })),
  annotations: z.optional(z.record(z.string(), z.string())),
  linux: z.optional(z.object({
    resources: z.optional(resourcesSchema),
    cgroupsPath: text,
    devices: z.optional(z.array(z.object({
      type: z.enum(["c", "u", "b", "p"]),
      path: absolutePath,
      major: z.optional(deviceNumber),
      minor: z.optional(deviceNumber),
      fileMode: z.optional(count),
      uid: z.optional(id),
      gid: z.optional(id),
    }))),
    /** Checked where it is asked for (seccomp.ts). */
    seccomp: z.optional(z.unknown()),
    sysctl: z.optional(z.record(z.string(), z.string())),
    maskedPaths: paths,
    readonlyPaths: paths,
    rootfsPropagation: text,
    /** A sandbox has one of each kind; containers of a pod may share (pod.ts). Of a network's path it takes the interfaces. */
    namespaces: z.optional(z.array(z.object({ type: z.string(), path: text }))),
  })),
});

export type OciConfig = z.infer<typeof configSchema>;

export interface OciBundle {
  readonly config: OciConfig;
  /** Paths of fields that are there and mean nothing to us. */
  readonly ignored: readonly string[];
}

/** Reads and checks `bundle`/config.json. Throws an Error of one line that names field and value. */
export function readBundle(bundle: string): OciBundle {
  const path = `${bundle}/config.json`;
  const { value, document } = readDocument(path, configSchema);
  const wrong = problemOf(document);
  if (wrong !== null) throw new Error(`Cannot read ${path}: ${wrong}`);
  return { config: document, ignored: ignoredFields(value, document) };
}

/** The `process` of `bundle`/config.json alone. Throws as readBundle(). */
export function readBundleProcess(bundle: string): OciConfig["process"] {
  const path = `${bundle}/config.json`;
  return checkedProcess(path, readDocument(path, z.object({ process: processSchema })).document.process);
}

/** Reads and checks a file that is the `process` of a config.json (exec --process). Throws as readBundle(). */
export function readProcess(path: string): OciConfig["process"] {
  return checkedProcess(path, readDocument(path, processSchema).document);
}

function checkedProcess(path: string, process: OciConfig["process"]): OciConfig["process"] {
  const wrong = problemOfProcess(process);
  if (wrong !== null) throw new Error(`Cannot read ${path}: ${wrong}`);
  return process;
}

/** Reads and checks a file that is the `linux.resources` of a config.json (update --resources). Throws as readBundle(). */
export function readResources(path: string): { resources: Resources; ignored: readonly string[] } {
  const { value, document } = readDocument(path, resourcesSchema);
  return { resources: document, ignored: ignoredFields(value, document) };
}

function readDocument<T>(path: string, schema: z.Schema<T>): { value: unknown; document: T } {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    throw new Error(`Cannot read ${path}: ${reason(error)}`);
  }
  let value: unknown;
  try {
    value = LONG_VALUE.test(text) ? JSON.parse(text, exactValue) : JSON.parse(text);
  } catch (error) {
    throw new Error(`Cannot read ${path}: it is not JSON: ${(error as Error).message}`);
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const { path: place, message } = parsed.error.issues[0];
    throw new Error(`Cannot read ${path}: ${fieldOf(place)}: ${message}${found(value, place)}`);
  }
  return { value, document: parsed.data };
}

/** A value to compare arguments of calls with (linux.seccomp) that may be none of JavaScript's. */
const LONG_VALUE = /"value(Two)?"\s*:\s*\d{16}/;

/** Keeps it exact: a bigint. */
function exactValue(key: string, value: unknown, { source }: { readonly source?: string } = {}): unknown {
  const isValue = (key === "value" || key === "valueTwo") && typeof value === "number";
  return isValue && !Number.isSafeInteger(value) && /^\d+$/.test(source ?? "") ? BigInt(source!) : value;
}

/** "mounts[2].options". */
function fieldOf(path: readonly PropertyKey[]): string {
  if (path.length === 0) return "the document";
  return path.map((part, i) =>
    typeof part === "number" ? `[${part}]` : i === 0 ? String(part) : `.${String(part)}`
  )
    .join("");
}

const FOUND_CHARACTERS_MAX = 60;

/** What stands at `path` instead, for the end of a message. */
function found(document: unknown, path: readonly PropertyKey[]): string {
  let value = document;
  for (const part of path) value = (value as Record<PropertyKey, unknown> | null | undefined)?.[part];
  if (value === undefined) return "";
  const text = JSON.stringify(value);
  const shown = text.length > FOUND_CHARACTERS_MAX ? `${text.slice(0, FOUND_CHARACTERS_MAX)}...` : text;
  return `, found ${shown}`;
}

const CAPABILITY_SETS = ["bounding", "effective", "inheritable", "permitted", "ambient"] as const;

/** What a schema does not say: names from lists of the kernel's, fields that depend on each other. */
function problemOf({ process, linux }: OciConfig): string | null {
  const wrong = problemOfProcess(process);
  if (wrong !== null) return wrong;
  const propagation = linux?.rootfsPropagation ?? "";
  if (!["", "private", "rprivate", "slave", "rslave"].includes(propagation)) {
    return `linux.rootfsPropagation: "${propagation}" cannot be given: nothing propagates out of a sandbox`;
  }
  return null;
}

/** The same of a process; also wrong: one that is given alone. */
export function problemOfProcess(process: OciConfig["process"]): string | null {
  for (const set of CAPABILITY_SETS) {
    for (const [i, name] of (process.capabilities?.[set] ?? []).entries()) {
      if (!CAPABILITY_NAMES.includes(name)) {
        return `process.capabilities.${set}[${i}]: unknown capability "${name}"`;
      }
    }
  }
  const limited = new Set<string>();
  for (const [i, { type, soft, hard }] of (process.rlimits ?? []).entries()) {
    const field = `process.rlimits[${i}]`;
    if (!RLIMIT_NAMES.includes(type)) return `${field}.type: unknown limit "${type}"`;
    if (limited.has(type)) return `${field}.type: ${type} is there twice`;
    if (soft > hard) return `${field}.soft: ${soft} is above the hard limit ${hard}`;
    limited.add(type);
  }
  for (const [field, list] of [["args", process.args], ["env", process.env ?? []]] as const) {
    const at = list.findIndex((text) => text.includes("\0"));
    if (at >= 0) return `process.${field}[${at}]: a NUL byte in ${JSON.stringify(list[at])}`;
  }
  if (process.selinuxLabel) {
    return `process.selinuxLabel: "${process.selinuxLabel}" cannot be given, there is no SELinux`;
  }
  return null;
}

function reason(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "no such file";
  if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/ \(os error \d+\).*/, "");
}

// The OCI bundle's config.json (runtime-spec 1.2): its schema, and reading it with one clear line for what is wrong.

import * as z from "../schema.ts";

const text = z.optional(z.string());
const texts = z.optional(z.array(z.string()));
const amount = z.optional(z.number());
const count = z.number().check(z.int(), z.nonnegative());
const absolutePath = z.string().check(z.startsWith("/", "must be an absolute path"));
const id = z.number().check(z.int(), z.gte(0), z.lte(0xffff_fffe));

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
  oomScoreAdj: z.optional(z.number().check(z.int())),
});

const resourcesSchema = z.object({
  memory: z.optional(z.object({ limit: amount })),
  pids: z.optional(z.object({ limit: amount })),
  cpu: z.optional(z.object({ quota: amount, period: amount })),
});

export const configSchema = z.object({
  ociVersion: z.string(),
  process: processSchema,
  root: z.object({ path: z.string().check(z.minLength(1)), readonly: z.optional(z.boolean()) }),
  hostname: z.optional(z.string().check(z.maxLength(64))),
  domainname: z.optional(z.string().check(z.maxLength(64))),
  mounts: z.optional(z.array(mountSchema)),
  annotations: z.optional(z.record(z.string(), z.string())),
  linux: z.optional(z.object({ resources: z.optional(resourcesSchema) })),
});

export type OciConfig = z.infer<typeof configSchema>;

/** Reads and checks `bundle`/config.json. Throws an Error of one line that names field and value. */
export function readBundle(bundle: string): OciConfig {
  const path = `${bundle}/config.json`;
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    throw new Error(`Cannot read ${path}: ${reason(error)}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`Cannot read ${path}: not JSON: ${(error as Error).message}`);
  }
  const parsed = configSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const field = issue.path.map((part, i) =>
    typeof part === "number" ? `[${part}]` : i === 0 ? String(part) : `.${String(part)}`
  )
    .join("");
  throw new Error(`Cannot read ${path}: ${field === "" ? "the document" : field}: ${issue.message}`);
}

function reason(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "no such file";
  if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
  return error instanceof Error ? error.message : String(error);
}

// The OCI bundle's config.json (runtime-spec 1.2): its schema, and reading it with one clear line for what is wrong.

import { z } from "zod";

const capabilityList = z.array(z.string()).optional();

const mountSchema = z.object({
  destination: z.string().startsWith("/", "must be an absolute path"),
  type: z.string().optional(),
  source: z.string().optional(),
  options: z.array(z.string()).optional(),
});

const rlimitSchema = z.object({
  type: z.string(),
  soft: z.number().nonnegative(),
  hard: z.number().nonnegative(),
});

const id = z.number().int().min(0).max(0xffff_fffe);

export const configSchema = z.object({
  ociVersion: z.string(),
  process: z.object({
    terminal: z.boolean().optional(),
    consoleSize: z.object({ height: z.number().int().nonnegative(), width: z.number().int().nonnegative() })
      .optional(),
    user: z.object({
      uid: id.default(0),
      gid: id.default(0),
      umask: z.number().int().min(0).max(0o777).optional(),
      additionalGids: z.array(id).optional(),
    }).optional(),
    args: z.array(z.string()).min(1, "must name a program"),
    env: z.array(z.string()).optional(),
    cwd: z.string().startsWith("/", "must be an absolute path"),
    capabilities: z.object({
      bounding: capabilityList,
      effective: capabilityList,
      inheritable: capabilityList,
      permitted: capabilityList,
      ambient: capabilityList,
    }).optional(),
    rlimits: z.array(rlimitSchema).optional(),
    noNewPrivileges: z.boolean().optional(),
    oomScoreAdj: z.number().int().optional(),
  }),
  root: z.object({ path: z.string().min(1), readonly: z.boolean().optional() }),
  hostname: z.string().max(64).optional(),
  domainname: z.string().max(64).optional(),
  mounts: z.array(mountSchema).optional(),
  annotations: z.record(z.string(), z.string()).optional(),
  linux: z.object({
    resources: z.object({
      memory: z.object({ limit: z.number().optional() }).optional(),
      pids: z.object({ limit: z.number().optional() }).optional(),
      cpu: z.object({ quota: z.number().optional(), period: z.number().optional() }).optional(),
    }).optional(),
  }).optional(),
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

// tsvisor trace: sessions that tell a monitor outside what goes on in a sandbox.

import { commandLineHost } from "../../native/host.ts";
import {
  ContMgrCreateTraceSession,
  ContMgrDeleteTraceSession,
  ContMgrListTraceSessions,
  ContMgrProcfsDump,
} from "../api/methods.ts";
import type { ContainerState } from "../oci/state.ts";
import { loadSession } from "../trace/init_config.ts";
import { CONTEXT_FIELDS } from "../trace/messages.ts";
import { CALL_POINTS, SENTRY_POINTS } from "../trace/points.ts";
import { SINKS } from "../trace/sinks.ts";
import { callOf, callWithFiles } from "./control_call.ts";
import { type GlobalFlags, type Options, parse, UsageError } from "./flags.ts";
import { runningState } from "./inspect.ts";

export const TRACE_OPTIONS = {
  config: { type: "string", value: "FILE", about: "create: the session, as JSON" },
  force: { type: "boolean", about: "create: in the place of one that there is" },
  name: { type: "string", value: "NAME", about: "delete: which session (Default)" },
} as const satisfies Options;

export async function traceCommand(args: string[], flags: GlobalFlags): Promise<number> {
  const { values, words: [action, ...words] } = parse(args, TRACE_OPTIONS, false);
  switch (action) {
    case "create":
      return await createSession(values, await runningState(words, "trace create", flags));
    case "delete": {
      const state = await runningState(words, "trace delete", flags);
      await callOf(state, ContMgrDeleteTraceSession, values.name ?? "Default");
      return 0;
    }
    case "list":
      return await print(await runningState(words, "trace list", flags), ContMgrListTraceSessions);
    case "procfs":
      return await print(await runningState(words, "trace procfs", flags), ContMgrProcfsDump);
    case "metadata":
      console.log(metadata());
      return 0;
    default:
      throw new UsageError("trace takes create, delete, list, procfs or metadata");
  }
}

async function createSession(values: Record<string, unknown>, state: ContainerState): Promise<number> {
  if (values.config === undefined) throw new UsageError("trace create needs --config");
  const config = loadSession(String(values.config)), files = config.setup();
  try {
    const call = { Config: config.traceSession, Force: values.force === true };
    await callWithFiles(state, ContMgrCreateTraceSession, call, files);
    return 0;
  } finally {
    for (const fd of files) commandLineHost().close(fd);
  }
}

async function print(state: ContainerState, method: string): Promise<number> {
  const value = await callOf(state, method, null);
  const text = JSON.stringify(value, (_key, one) => typeof one === "bigint" ? Number(one) : one, 2);
  console.log(text);
  return 0;
}

/** Points and sinks, as gVisor's `trace metadata` prints them. Calls without fields of their own have the raw form alone. */
function metadata(): string {
  const contexts = Object.keys(CONTEXT_FIELDS).join("|");
  const lines = [
    `POINTS (${
      Object.keys(SENTRY_POINTS).length + 2 * Object.keys(CALL_POINTS).length
    } and two for each call)`,
  ];
  const add = (name: string, optional: readonly string[]) =>
    lines.push(`Name: ${name}, optional fields: [${optional.join("|")}], context fields: [${contexts}]`);
  for (const [name, optional] of Object.entries(SENTRY_POINTS)) add(name, optional);
  for (const [name, { optional }] of Object.entries(CALL_POINTS)) {
    for (const end of ["enter", "exit"]) add(`syscall/${name}/${end}`, optional);
  }
  for (const end of ["enter", "exit"]) add(`syscall/sysno/NUMBER/${end}`, []);
  lines.push(
    "",
    `SINKS (${Object.keys(SINKS).length})`,
    ...Object.keys(SINKS).map((name) => `Name: ${name}`),
  );
  return lines.join("\n");
}

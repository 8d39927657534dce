// Receivers that look at a sandbox or change how it is looked at: debug, Usage, Metrics, Cgroups, Logging, Profile, and
// Lifecycle, the older name of pause and resume.

import * as go from "../go_types.ts";
import { type Method, method, nothing } from "../method.ts";

export const DEBUG: Readonly<Record<string, Method>> = { Stacks: nothing };

export const LIFECYCLE: Readonly<Record<string, Method>> = { Pause: nothing, Resume: nothing };

export const USAGE: Readonly<Record<string, Method>> = {
  Collect: method("MemoryUsageOpts", go.struct("MemoryUsageOpts", { Full: go.bool })),
  UsageFD: method(
    "MemoryUsageFileOpts",
    go.struct("MemoryUsageFileOpts", { Version: go.uint64 }),
    ({ Version }) => Version === 1 ? "" : `unsupported version requested: ${Version}`,
  ),
};

export const METRICS: Readonly<Record<string, Method>> = {
  GetRegisteredMetrics: nothing,
  Export: method("MetricsExportOpts", go.struct("MetricsExportOpts", { only_metrics: go.string })),
};

const controlFile = go.struct("CgroupControlFile", {
  controller: go.string,
  path: go.string,
  name: go.string,
});
const readArg = go.struct("CgroupsReadArg", { file: controlFile });
const writeArg = go.struct("CgroupsWriteArg", { file: controlFile, value: go.string });

export const CGROUPS: Readonly<Record<string, Method>> = {
  ReadControlFiles: method("CgroupsReadArgs", go.struct("CgroupsReadArgs", { args: go.slice(readArg) })),
  WriteControlFiles: method("CgroupsWriteArgs", go.struct("CgroupsWriteArgs", { args: go.slice(writeArg) })),
};

const loggingArgs = go.struct("LoggingArgs", {
  SetLevel: go.bool,
  Level: go.uint32,
  SetLogPackets: go.bool,
  LogPackets: go.bool,
  SetStrace: go.bool,
  EnableStrace: go.bool,
  StraceAllowlist: go.slice(go.string),
  SetEventStrace: go.bool,
  StraceEventAllowlist: go.slice(go.string),
});

export const LOGGING: Readonly<Record<string, Method>> = { Change: method("LoggingArgs", loggingArgs) };

/** Each writes to the one descriptor that comes along. */
function profile(name: string, rate: string): Method {
  const type = go.struct(name, { duration: go.duration, delay: go.duration, [rate]: go.int32 });
  return method(name, type, (_args, fileCount) => fileCount >= 1 ? "" : "no output writer provided");
}

export const PROFILE: Readonly<Record<string, Method>> = {
  CPU: profile("CPUProfileOpts", "hz"),
  Heap: profile("HeapProfileOpts", "rate"),
  Block: profile("BlockProfileOpts", "rate"),
  Mutex: profile("MutexProfileOpts", "fraction"),
  Trace: profile("TraceProfileOpts", "rate"),
};

// --pod-init-config: what a sandbox is configured with before it runs.

import { commandLineHost } from "../../native/host.ts";
import { ContMgrCreateTraceSession } from "../api/methods.ts";
import type { ContainerState } from "../oci/state.ts";
import { loadInitConfig } from "../trace/init_config.ts";
import { callWithFiles } from "./control_call.ts";
import type { GlobalFlags } from "./flags.ts";
import { reportBackgroundWarning } from "./report.ts";

/** Starts the trace session that the flag's file has. As gVisor: a failure is logged, and the container runs without. */
export async function initPod(state: ContainerState, flags: GlobalFlags): Promise<void> {
  if (flags.podInitConfig === "") return;
  try {
    const config = loadInitConfig(flags.podInitConfig), files = config.setup();
    try {
      const call = { Config: config.traceSession, Force: false };
      await callWithFiles(state, ContMgrCreateTraceSession, call, files);
    } finally {
      for (const fd of files) commandLineHost().close(fd);
    }
  } catch (error) {
    reportBackgroundWarning(`--pod-init-config: ${(error as Error).message}`, flags);
  }
}

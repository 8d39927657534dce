// containerManager: arguments of the methods that make, watch and steer containers. Fields and their JSON names are those of
// gVisor's runsc/boot and pkg/sentry/control.

import { seccompOf } from "../../../oci/seccomp.ts";
import { configSchema, type OciConfig } from "../../../oci/spec.ts";
import * as go from "../go_types.ts";
import { type Method, method, nothing } from "../method.ts";

const cid = method("string", go.string);

const createArgs = go.struct("CreateArgs", { CID: go.string });

/** config.json's: what may be in one, its schema says. */
const spec = configSchema as unknown as go.GoType<OciConfig>;

const startArgs = go.struct("StartArgs", {
  Spec: go.pointer(spec),
  Conf: go.any,
  CID: go.string,
  NumOverlayFilestoreFDs: go.int32,
  OverlayMediums: go.slice(go.int32),
  NumGoferFilestoreFDs: go.int32,
  IsDevIoFilePresent: go.bool,
  IsRootfsUpperTarFilePresent: go.bool,
});

/** Linux.Seccomp of its Spec goes on as the sentry takes one: none where Conf does not ask for it. */
const startSubcontainer: Method = {
  check(argument, fileCount) {
    const found = method("StartArgs", startArgs).check(argument, fileCount);
    if ("error" in found) return found;
    const value = found.value as { readonly Spec: OciConfig | null; readonly Conf: unknown };
    if (value.Spec?.linux?.seccomp === undefined) return found;
    try {
      const { linux } = value.Spec;
      const seccomp = wantsSeccomp(value.Conf) ? seccompOf(linux.seccomp) : null;
      return { value: { ...value, Spec: { ...value.Spec, linux: { ...linux, seccomp } } } };
    } catch (error) {
      return { error: (error as Error).message };
    }
  },
};

/** Of a config.Config, whose other fields are how gVisor works. */
function wantsSeccomp(conf: unknown): boolean {
  return typeof conf === "object" && conf !== null && "OCISeccomp" in conf && conf.OCISeccomp === true;
}

const capabilities = go.struct("TaskCapabilities", {
  PermittedCaps: go.uint64,
  InheritableCaps: go.uint64,
  EffectiveCaps: go.uint64,
  BoundingCaps: go.uint64,
  AmbientCaps: go.uint64,
});

const execArgs = go.struct("ExecArgs", {
  filename: go.string,
  argv: go.slice(go.string),
  envv: go.slice(go.string),
  wd: go.string,
  KUID: go.uint32,
  KGID: go.uint32,
  ExtraKGIDs: go.slice(go.uint32),
  Capabilities: go.pointer(capabilities),
  StdioIsPty: go.bool,
  GuestFDs: go.slice(go.int32),
  ContainerID: go.string,
  NoNewPrivileges: go.bool,
  Limits: go.any,
});

const signalArgs = go.struct("SignalArgs", {
  CID: go.string,
  Signo: go.int32,
  PID: go.int32,
  Mode: go.int32,
});
const waitPidArgs = go.struct("WaitPIDArgs", { PID: go.int32, CID: go.string });
/** Path is ours: a Unix socket of the container instead of a port. */
const portForward = go.struct("PortForwardOpts", {
  ContainerID: go.string,
  Port: go.uint16,
  Path: go.string,
});

const point = go.struct("PointConfig", {
  name: go.string,
  optional_fields: go.slice(go.string),
  context_fields: go.slice(go.string),
});
const sink = go.struct("SinkConfig", {
  name: go.string,
  config: go.map(go.any),
  ignore_setup_error: go.bool,
  status: go.any,
});
const sessionConfig = go.struct("SessionConfig", {
  name: go.string,
  points: go.slice(point),
  ignore_missing: go.bool,
  sinks: go.slice(sink),
});
const createTraceSession = go.struct("CreateTraceSessionArgs", { Config: sessionConfig, Force: go.bool });

const saveOpts = go.struct("SaveOpts", { Key: go.bytes, Metadata: go.map(go.string), Resume: go.bool });
const restoreOpts = go.struct("RestoreOpts", {
  SandboxID: go.string,
  HavePagesFile: go.bool,
  HaveDeviceFile: go.bool,
  Background: go.bool,
});

export const CONTAINER_MANAGER: Readonly<Record<string, Method>> = {
  StartRoot: cid,
  CreateSubcontainer: method("CreateArgs", createArgs),
  StartSubcontainer: startSubcontainer,
  DestroySubcontainer: cid,
  Processes: cid,
  ExecuteAsync: method("ExecArgs", execArgs),
  Event: cid,
  Signal: method("SignalArgs", signalArgs),
  Wait: cid,
  WaitPID: method("WaitPIDArgs", waitPidArgs),
  PortForward: method("PortForwardOpts", portForward),
  CreateTraceSession: method("CreateTraceSessionArgs", createTraceSession),
  DeleteTraceSession: method("string", go.string),
  ListTraceSessions: nothing,
  ProcfsDump: nothing,
  Pause: nothing,
  Resume: nothing,
  ContainerRuntimeState: cid,
  Checkpoint: method("SaveOpts", saveOpts),
  Restore: method("RestoreOpts", restoreOpts),
};

// tsvisor run: an OCI container, attached, to its end.

import { readHostFacts } from "../host_facts.ts";
import { type OciConfig, readBundle } from "../oci/spec.ts";
import { startTicksOf, StateDirectory } from "../oci/state.ts";
import type { Launch } from "../launch.ts";
import type { GoferConfig, MountConfig } from "../sentry_config.ts";
import { type ContainerTerminal, terminalOfRun, terminalOfSocket } from "../terminal.ts";
import { runAttached } from "./attached.ts";
import { type GlobalFlags, IGNORED, type Options, parse, UsageError } from "./flags.ts";

export const RUN_OPTIONS = {
  bundle: { type: "string", short: "b", value: "DIR", about: "directory of config.json (the current one)" },
  "pid-file": { type: "string", value: "FILE", about: "write the sentry's pid to FILE" },
  "console-socket": {
    type: "string",
    value: "PATH",
    about: "Unix socket that gets the container's terminal",
  },
  keep: { type: "boolean", about: "keep the container's state after its end" },
  "no-pivot": { type: "boolean", about: IGNORED },
  "no-new-keyring": { type: "boolean", about: IGNORED },
  "no-subreaper": { type: "boolean", about: IGNORED },
} as const satisfies Options;

/** Mount types that our kernel serves itself. */
const OWN_TYPES = new Set(["tmpfs", "proc", "sysfs", "devpts", "mqueue", "devtmpfs", "cgroup", "cgroup2"]);

export async function runCommand(args: string[], flags: GlobalFlags): Promise<number> {
  const { values, words } = parse(args, RUN_OPTIONS, false);
  if (words.length !== 1) throw new UsageError("run takes one container id: tsvisor run [--bundle DIR] ID");
  const id = words[0];
  const bundle = Deno.realPathSync((values.bundle as string | undefined) ?? ".");
  const config = readBundle(bundle);
  const state = new StateDirectory(flags.root);
  const record = {
    id,
    pid: 0,
    bundle,
    created: new Date().toISOString(),
    owner: String(Deno.uid() ?? 0),
    annotations: config.annotations ?? {},
    status: "creating" as const,
    startTicks: "",
  };
  const plain = containerOf(id, bundle, config, flags);
  state.create(record);
  try {
    const terminal = terminalOf(config, values["console-socket"] as string | undefined);
    const process = { ...plain.sentry.process, terminal: terminal?.config ?? null };
    const launch = {
      sentry: { ...plain.sentry, process },
      gofer: plain.gofer,
      stdio: terminal?.stdio ?? [0, 1, 2] as const,
      debugLog: flags.debugLog,
      oomScoreAdj: config.process.oomScoreAdj ?? null,
      isRootInside: true,
    };
    return await runAttached(launch, terminal, (pid) => {
      state.update({ ...record, pid, status: "running", startTicks: startTicksOf(pid) });
      const pidFile = values["pid-file"] as string | undefined;
      if (pidFile !== undefined) Deno.writeTextFileSync(pidFile, String(pid));
    });
  } finally {
    if (values.keep !== true) state.remove(id);
  }
}

/** The container's terminal as config.json and the command line ask for it. Throws one line for what cannot be. */
function terminalOf(config: OciConfig, socket: string | undefined): ContainerTerminal | null {
  if (config.process.terminal !== true) {
    if (socket === undefined) return null;
    throw new Error("--console-socket is given, but process.terminal is not true");
  }
  const asked = config.process.consoleSize;
  const size = asked === undefined ? null : { rows: asked.height, columns: asked.width };
  return socket === undefined ? terminalOfRun(size) : terminalOfSocket(socket, size);
}

/** What sentry and gofer are told, from config.json. Throws one line for what cannot be. */
function containerOf(
  id: string,
  bundle: string,
  config: OciConfig,
  flags: GlobalFlags,
): { sentry: Launch["sentry"]; gofer: GoferConfig } {
  const facts = readHostFacts();
  const rootPath = config.root.path.startsWith("/") ? config.root.path : `${bundle}/${config.root.path}`;
  if (!isDirectory(rootPath)) throw new Error(`root.path: ${rootPath} is not a directory`);
  const isReadOnly = config.root.readonly === true;
  // Under a read-only root too: mount points that it lacks are made there.
  const hasOverlay = flags.overlay === "memory";
  const served = [{ path: rootPath, isReadOnly: isReadOnly || hasOverlay }];
  const gofers = [{ isReadOnly: isReadOnly || hasOverlay, isExclusive: true }];
  const mounts: MountConfig[] = [];
  for (const [i, mount] of (config.mounts ?? []).entries()) {
    const options = mount.options ?? [];
    const isBind = mount.type === "bind" || options.includes("bind") || options.includes("rbind");
    const type = isBind ? "bind" : mount.type ?? "none";
    if (!isBind && !OWN_TYPES.has(type)) {
      throw new Error(`mounts[${i}].type: "${type}" is unknown (destination ${mount.destination})`);
    }
    if (type.startsWith("cgroup")) continue;
    let gofer = -1;
    if (isBind) {
      const source = mount.source ?? "";
      const path = source.startsWith("/") ? source : `${bundle}/${source}`;
      if (!exists(path)) throw new Error(`mounts[${i}].source: ${path} does not exist`);
      gofer = served.length;
      served.push({ path, isReadOnly: options.includes("ro") });
      gofers.push({ isReadOnly: options.includes("ro"), isExclusive: false });
    }
    // /dev is ours with its devices, whatever file system the spec names for it.
    const isDev = mount.destination === "/dev" && !isBind;
    mounts.push({
      destination: mount.destination,
      type: isDev ? "devtmpfs" : type,
      source: mount.source ?? type,
      options: isDev ? options.filter((option) => !/^(mode|size)=/.test(option)) : options,
      gofer,
    });
  }
  for (const [destination, type] of [["/proc", "proc"], ["/sys", "sysfs"], ["/dev", "devtmpfs"]]) {
    if (mounts.some((mount) => mount.destination === destination)) continue;
    mounts.push({ destination, type, source: type, options: [], gofer: -1 });
  }
  const process = config.process;
  const capabilities = process.capabilities;
  const memory = config.linux?.resources?.memory?.limit ?? 0;
  const memoryBytes = memory > 0 ? Math.min(memory, facts.memoryTotalBytes) : facts.memoryTotalBytes;
  const pids = config.linux?.resources?.pids?.limit ?? 0;
  return {
    gofer: { mounts: served, isLenient: flags.isLenient },
    sentry: {
      id,
      platform: flags.platform,
      strace: flags.strace,
      gofers,
      root: { isReadOnly, hasOverlay },
      mounts,
      process: {
        args: process.args,
        env: process.env ?? [],
        cwd: process.cwd,
        uid: process.user?.uid ?? 0,
        gid: process.user?.gid ?? 0,
        umask: process.user?.umask ?? 0o22,
        additionalGids: process.user?.additionalGids ?? [],
        capabilities: {
          bounding: capabilities?.bounding ?? [],
          effective: capabilities?.effective ?? [],
          inheritable: capabilities?.inheritable ?? [],
          permitted: capabilities?.permitted ?? [],
          ambient: capabilities?.ambient ?? [],
        },
        rlimits: process.rlimits ?? [],
        noNewPrivileges: process.noNewPrivileges === true,
        diesOfSignals: false,
        terminal: null,
      },
      hostname: config.hostname ?? "tsvisor",
      domainname: config.domainname ?? "(none)",
      cpuCount: facts.cpuCount,
      memoryTotalBytes: memoryBytes,
      tasksMax: pids > 0 ? pids : 8192,
      memoryBytesMax: memoryBytes,
      host: { cpuinfo: facts.cpuinfo, hwcap: facts.hwcap, hwcap2: facts.hwcap2 },
      isLenient: flags.isLenient,
    },
  };
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

function isDirectory(path: string): boolean {
  return exists(path) && Deno.statSync(path).isDirectory;
}

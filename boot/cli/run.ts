// tsvisor run: an OCI container to its end, attached; or in the background.

import { listenAt } from "../control/control_socket.ts";
import { startTicksOf } from "../oci/state.ts";
import type { UserNetwork } from "../net/user/user_network.ts";
import { namespacePathOf } from "../net/namespace.ts";
import { runAttached } from "./attached.ts";
import { connectOver } from "./control_connection.ts";
import { type GlobalFlags, IGNORED, type Options, parse } from "./flags.ts";
import { undoCgroup } from "./host_cgroup.ts";
import {
  createInBackground,
  giveNetwork,
  NEW_OPTIONS,
  type NewContainer,
  prepareContainer,
  recordedCgroup,
  runCreateHooks,
  runLateHooks,
  terminalOf,
  userNetworkOf,
  writePid,
} from "./new_container.ts";
import { initPod } from "./pod_init.ts";
import { joinInForeground } from "./new_subcontainer.ts";

export const RUN_OPTIONS = {
  ...NEW_OPTIONS,
  detach: { type: "boolean", short: "d", about: "leave the container running in the background" },
  keep: { type: "boolean", about: "keep the container's state after its end" },
  "no-subreaper": { type: "boolean", about: IGNORED },
} as const satisfies Options;

export async function runCommand(args: string[], flags: GlobalFlags): Promise<number> {
  const { values, words } = parse(args, RUN_OPTIONS, false);
  const container = prepareContainer(values, words, flags, "run");
  const isMember = container.record.sandboxId !== undefined;
  const runHere = isMember ? joinInForeground : runInForeground;
  if (values.detach !== true) return await runHere(container, values.keep === true, flags);
  await createInBackground(container, false, flags);
  return 0;
}

async function runInForeground(
  container: NewContainer,
  keepsRecord: boolean,
  flags: GlobalFlags,
): Promise<number> {
  const { states, record, config, launch, cgroup, pidFile, consoleSocket } = container;
  const hasHooks = Object.values(config.hooks ?? {}).some((list) => list !== undefined && list.length > 0);
  // In a namespace that was made just now there is nothing but what hooks have put there.
  const path = namespacePathOf(config, flags.network);
  const mayHaveNetwork = path !== null && (hasHooks || path !== "");
  let state = record;
  let network: UserNetwork | null = null;
  try {
    network = await userNetworkOf(config, launch, flags);
    const terminal = terminalOf(config.process, consoleSocket);
    const process = { ...launch.sentry.process, terminal: terminal?.config ?? null };
    const onReady = async (pid: number, controlFd: number) => {
      const startTicks = startTicksOf(pid);
      const runner = { ...record.runner, controlFd };
      state = { ...record, ...recordedCgroup(cgroup), pid, startTicks, status: "created", runner };
      network?.handOver(() => connectOver(controlFd));
      if (hasHooks) await runCreateHooks(config, state, pid);
      await initPod(state, flags);
      if (mayHaveNetwork) await giveNetwork(config, pid, () => connectOver(controlFd), flags);
      state = { ...state, status: "running" };
      // It was deleted by force before it ran.
      if (!states.update(state)) throw new Error(`Container "${record.id}" was deleted while it started`);
      if (pidFile !== undefined) writePid(pidFile, pid);
    };
    const onStart = async () => await runLateHooks(config, "poststart", state, flags);
    const isHeld = hasHooks || mayHaveNetwork || network !== null || flags.podInitConfig !== "";
    const own = {
      ...launch,
      sentry: { ...launch.sentry, explains: flags.explains, process, isHeld },
      stdio: terminal?.stdio ?? [0, 1, 2] as const,
    };
    return await runAttached(own, {
      terminal,
      record: keepsRecord ? null : { root: flags.root, id: record.id },
      cgroup: keepsRecord ? null : cgroup?.cgroup.record,
      flags,
      listener: listenAt(flags.root, record.id),
      onReady,
      onStart: hasHooks ? onStart : null,
    });
  } finally {
    network?.close();
    if (!keepsRecord) {
      await undoCgroup(cgroup);
      states.remove(record.id);
    }
    if (hasHooks) await runLateHooks(config, "poststop", state, flags);
  }
}

// What commands that make sandboxes have to do with --network=user. The rest is loaded where that is asked for.

import { commandLineHost } from "../../../native/host.ts";
import { type Launch, openLog } from "../../launch.ts";
import type { OciConfig } from "../../oci/spec.ts";
import type { FileConfig } from "../../sentry_config.ts";
import { modeOf, type NetworkFlags } from "../namespace.ts";
import type { UserNetwork } from "./user_network.ts";

const RESOLVER_PATH = "/etc/resolv.conf";
/** As --egress, which comes before it. */
const EGRESS_ANNOTATION = "dev.tsvisor.flag.egress";

/** The resolver configuration of a container that brings none: addresses of layout.ts, which loads the network stack's. */
export const RESOLVER_FILE: FileConfig = {
  path: RESOLVER_PATH,
  text: "nameserver 10.0.2.3\nnameserver fd00::3\n",
};

/** Files of ours for a container of `config` in mode `flags`. */
export function filesOf(config: OciConfig, flags: NetworkFlags): readonly FileConfig[] {
  const bringsOne = (config.mounts ?? []).some(({ destination }) =>
    destination === RESOLVER_PATH || destination.replace(/\/+$/, "") === "/etc"
  );
  return modeOf(config, flags) !== "user" || bringsOne ? [] : [RESOLVER_FILE];
}

/** The flags as the bundle completes them. */
export function networkFlagsOf(config: OciConfig, flags: NetworkFlags): NetworkFlags {
  const { egress } = flags;
  return { ...flags, egress: egress !== "" ? egress : config.annotations?.[EGRESS_ANNOTATION] ?? "" };
}

/** Starts the net process of a sandbox that is about to be launched. */
export async function startUserNetwork(
  launch: Pick<Launch, "debugLog" | "sentry">,
  flags: NetworkFlags,
): Promise<UserNetwork> {
  const { UserNetwork } = await import("./user_network.ts");
  const host = commandLineHost(), log = openLog(host, launch);
  try {
    return UserNetwork.start(flags, log, launch.sentry.isLenient);
  } finally {
    host.close(log);
  }
}

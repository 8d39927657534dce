// Which network a container has, by --network and config.json's linux.namespaces.

import type { OciConfig } from "../oci/spec.ts";
import type { LinkOptions } from "./host_links.ts";

export type NetworkMode = "sandbox" | "user" | "none";

/** What the command line says of the network. */
export interface NetworkFlags extends LinkOptions {
  /**
   * "sandbox": the interfaces of the container's namespace; "user": what a net process with the caller's rights gives it
   * (boot/net/user); "none": loopback alone.
   */
  readonly mode: NetworkMode;
  /** Nobody has asked for this mode: a namespace that a bundle names comes before it (modeOf()). */
  readonly isDefaultMode: boolean;
  /** Of mode "user": where the sandbox may go (boot/net/user/policy.ts), ports of the host that lead into it, name servers. */
  readonly egress: string;
  readonly published: readonly string[];
  readonly nameServers: readonly string[];
  /** File that all packets of the links go to; "" = none. */
  readonly pcap: string;
}

/**
 * Path of the network namespace that a container names; "" = the one that is made for it, null = it gets loopback alone.
 * Without an entry nobody outside can put anything into the namespace that it is in.
 */
export function namespacePathOf(config: OciConfig, flags: NetworkFlags): string | null {
  return modeOf(config, flags) === "sandbox" ? pathOf(config) : null;
}

/** The mode of a container. A config.json that names a namespace has interfaces in it. */
export function modeOf(config: OciConfig, flags: NetworkFlags): NetworkMode {
  return flags.isDefaultMode && (pathOf(config) ?? "") !== "" ? "sandbox" : flags.mode;
}

function pathOf(config: OciConfig): string | null {
  const entry = config.linux?.namespaces?.find(({ type }) => type === "network");
  return entry === undefined ? null : entry.path ?? "";
}

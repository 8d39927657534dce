// Whether the caller may take over interfaces of a network namespace, as `doctor` reports it and as the default of --network
// follows it. Capabilities of the caller's user namespace count: root of a rootless engine has them there.

export const CAP_NET_ADMIN = 12;
export const CAP_NET_RAW = 13;

/** Addresses are removed from an interface with the one; packet sockets are opened with the other. */
export function mayTakeInterfaces(): boolean {
  return hasCapability(CAP_NET_ADMIN) && hasCapability(CAP_NET_RAW);
}

/** CapEff of proc_pid_status(5). */
export function hasCapability(capability: number): boolean {
  const [, mask] = /^CapEff:\s*([0-9a-f]+)/m.exec(Deno.readTextFileSync("/proc/self/status")) ?? [];
  return mask !== undefined && (BigInt(`0x${mask}`) >> BigInt(capability) & 1n) === 1n;
}

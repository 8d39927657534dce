// Flags before the command that runsc has and we do not: its callers, and configurations that once were made for it, go on
// working. One that asks for what a sandbox of ours would not do is refused; those that say how gVisor does its work, or ask for
// what we do anyway, are taken and mean nothing.

import type { Option, Options } from "./flags.ts";
import { IGNORED } from "./ignored_flag.ts";

/** Of a flag of runsc's: its values that are no promise which we break; null = all. */
interface RunscFlag {
  readonly isBoolean: boolean;
  readonly values: readonly string[] | null;
}

const onOff = (values: readonly string[] | null = null): RunscFlag => ({ isBoolean: true, values });
const withValue = (values: readonly string[] | null = null): RunscFlag => ({ isBoolean: false, values });

const RUNSC_FLAGS: Readonly<Record<string, RunscFlag>> = {
  "allow-flag-override": onOff(["false"]),
  "allow-packet-socket-write": onOff(),
  "allow-suid": onOff(),
  alsologtostderr: onOff(),
  "app-huge-pages": onOff(),
  "character-device-policy": withValue(["emulated-only"]),
  "cpu-num-from-quota": onOff(),
  dcache: withValue(),
  "debug-command": withValue(),
  "debug-log-format": withValue(),
  "debug-to-user-log": onOff(),
  directfs: onOff(),
  "enable-core-tags": onOff(["false"]),
  fdlimit: withValue(),
  "file-access-mounts": withValue(["shared"]),
  "fsgofer-host-uds": onOff(["false"]),
  gso: onOff(),
  "gvisor-gro": onOff(),
  "gvisor-marker-file": onOff(["false"]),
  "host-fifo": withValue(["none"]),
  "host-settings": withValue(["check", "ignore"]),
  "host-uds": withValue(["none"]),
  iouring: onOff(["false"]),
  lisafs: onOff(),
  "log-packets": onOff(["false"]),
  "net-disconnect-ok": onOff(),
  "net-raw": onOff(),
  "nvproxy": onOff(["false"]),
  "panic-log": withValue(),
  "panic-signal": withValue(),
  platform_device_path: withValue(),
  profile: onOff(),
  "ref-leak-mode": withValue(),
  "reproduce-nat": onOff(["false"]),
  "reproduce-nftables": onOff(["false"]),
  "rx-checksum-offload": onOff(),
  "software-gso": onOff(),
  "strace-event": onOff(["false"]),
  "systrap-disable-syscall-patching": onOff(["false"]),
  traceback: withValue(),
  tpuproxy: onOff(["false"]),
  "tx-checksum-offload": onOff(),
  vfs2: onOff(),
};

/** As the other flags, but that the help only names them. */
export const RUNSC_OPTIONS: Options = Object.fromEntries(
  Object.entries(RUNSC_FLAGS).map(([name, { isBoolean }]): [string, Option] => [
    name,
    { type: isBoolean ? "boolean" : "string", about: IGNORED, isHidden: true },
  ]),
);

/** A sentence about the first of `values` that asks for what we do not do; null = there is none. */
export function refusalOf(values: Readonly<Record<string, unknown>>): string | null {
  for (const [name, flag] of Object.entries(RUNSC_FLAGS)) {
    const value = values[name];
    if (value === undefined || flag.values === null || flag.values.includes(String(value))) continue;
    return `--${name}: "${value}" is not supported; ${flag.values.join(" or ")} is what a sandbox does`;
  }
  return null;
}

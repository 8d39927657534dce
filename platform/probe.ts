// The written list of platforms, and the choice of one.

import type { PlatformName } from "./names.ts";
import type { Platform } from "./platform.ts";
import { PtracePlatform } from "./ptrace/platform.ts";
import { SystrapPlatform } from "./systrap/platform.ts";

/** Starts platform `name`. `onStubDeath` hears of stubs that died unasked; the sentry's nice value is
 * `preference` below what guests are to have. Throws when the host refuses. */
export function createPlatform(
  name: PlatformName,
  onStubDeath: (reason: string) => void,
  preference: number,
): Platform {
  const platform = name === "ptrace" ? new PtracePlatform(preference) : new SystrapPlatform(preference);
  platform.onStubDeath = onStubDeath;
  return platform;
}

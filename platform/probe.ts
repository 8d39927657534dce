// The written list of platforms, and the choice of one.

import type { PlatformName, StubCalls } from "./names.ts";
import type { Platform } from "./platform.ts";
import { PtracePlatform } from "./ptrace/platform.ts";
import { SystrapPlatform } from "./systrap/platform.ts";

/** Starts platform `name`. `onStubDeath` hears of stubs that died unasked; the sentry's nice value is
 * `preference` below what guests are to have; ptrace lets guest code reach no call of the host in any case. Throws when the
 * host refuses. */
export function createPlatform(
  name: PlatformName,
  onStubDeath: (reason: string) => void,
  preference: number,
  stubCalls: StubCalls,
): Platform {
  const platform = name === "ptrace"
    ? new PtracePlatform(preference)
    : new SystrapPlatform(preference, stubCalls);
  platform.onStubDeath = onStubDeath;
  return platform;
}

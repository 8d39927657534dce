// Names of the platforms, apart from their code, so that the command line can check one without loading it.

export type PlatformName = "systrap" | "ptrace";
/** Which calls of the host guest code reaches that jumps into its stub: those on the process itself, or none. */
export type StubCalls = "own" | "none";
export const STUB_CALLS: readonly StubCalls[] = ["own", "none"];
export const PLATFORM_NAMES: readonly PlatformName[] = ["systrap", "ptrace"];

// Names of the platforms, apart from their code, so that the command line can check one without loading it.

export type PlatformName = "systrap" | "ptrace";
export const PLATFORM_NAMES: readonly PlatformName[] = ["systrap", "ptrace"];

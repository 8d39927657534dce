// How the internal roles are started: the runtime's arguments and environment. The command line uses them where it starts a
// role itself; boot/build.ts writes them into dist/lib for the launcher.

export type Role = "sentry" | "gofer" | "controller" | "relay";

/** Of the runtime, for every process of ours that is bundled: it asks nobody, looks for no configuration, fetches nothing. */
export const RUN = [
  "run",
  "--quiet",
  "--no-prompt",
  "--no-config",
  "--no-lock",
  "--no-remote",
  "--no-npm",
  "--no-check",
] as const;

/** The same in a checkout: packages are found by its configuration, in its node_modules. */
const RUN_CHECKOUT = [
  ...RUN.filter((flag) => flag !== "--no-config" && flag !== "--no-npm"),
  `--config=${new URL("../deno.json", import.meta.url).pathname}`,
];

/**
 * V8 compiles a function after half as many calls as by default, or fewer: most guests are short, and with the defaults a
 * thousand files have been opened by interpreted code before the compiled one is there. See docs/DECISIONS.md, "Start-up".
 */
const TIERS = [
  "--invocation-count-for-feedback-allocation=4",
  "--invocation-count-for-maglev=200",
  "--minimum-invocations-after-ic-update=100",
];

/** Starts `entry` as a role with permissions of its own: FFI and the name of our library (see confinement.ts). */
export function roleArguments(deno: string, entry: string, isBundled: boolean): string[] {
  return [
    deno,
    ...(isBundled ? RUN : RUN_CHECKOUT),
    // What the one file runs has no name that tells its kind.
    ...(isBundled ? ["--ext=js"] : []),
    // Pointers to shared memory need the FFI permission whole; see docs/DECISIONS.md.
    "--allow-ffi",
    "--allow-env=TSVISOR_NATIVE",
    // Compiled whole where the code is kept: then no function is compiled while a guest waits.
    `--v8-flags=${
      [
        "--single-threaded-gc",
        "--max-heap-size=2048",
        "--min-semi-space-size=2",
        ...TIERS,
        ...(isBundled ? ["--no-lazy"] : []),
      ].join()
    }`,
    entry,
  ];
}

/** Nothing of the caller's. */
export function roleEnvironment(library: string, denoDirectory: string): string[] {
  return [
    "PATH=/usr/bin:/bin",
    // Without one Deno asks the user database and reads what it finds there.
    "HOME=/nonexistent",
    `DENO_DIR=${denoDirectory}`,
    "DENO_NO_UPDATE_CHECK=1",
    "NO_COLOR=1",
    `TSVISOR_NATIVE=${library}`,
  ];
}

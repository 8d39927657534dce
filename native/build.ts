// Builds the native library where it is missing or older than its sources. Needs cargo.

const HERE = `${import.meta.dirname}/`;
const LIBRARY = `${HERE}target/release/libtsvisor_native.so`;
const SOURCES = [`${HERE}src`, `${HERE}launcher`, `${HERE}stub`, `${HERE}Cargo.toml`, `${HERE}build.rs`];

/** Path of the library, built if need be. Throws one line when that fails; cargo's own words stand on stderr. */
export function buildNative(): string {
  if (modified(LIBRARY) >= Math.max(...SOURCES.map(modified))) return LIBRARY;
  console.error("Building the native library");
  const { success } = run();
  if (!success) throw new Error("Cannot build the native library: cargo failed");
  // Where the launcher alone has changed cargo leaves the library as it is.
  Deno.utimeSync(LIBRARY, new Date(), new Date());
  return LIBRARY;
}

function run(): Deno.CommandOutput {
  try {
    return new Deno.Command("cargo", {
      args: ["build", "--release", "--quiet"],
      cwd: HERE,
      stdin: "null",
      stdout: "inherit",
      stderr: "inherit",
    }).outputSync();
  } catch {
    throw new Error("Cannot build the native library: cargo is not on the PATH");
  }
}

/** Milliseconds of the newest file at or below `path`; 0 when there is none. */
export function modified(path: string): number {
  let info;
  try {
    info = Deno.statSync(path);
  } catch {
    return 0;
  }
  let newest = info.mtime?.getTime() ?? 0;
  if (info.isDirectory) {
    for (const entry of Deno.readDirSync(path)) newest = Math.max(newest, modified(`${path}/${entry.name}`));
  }
  return newest;
}

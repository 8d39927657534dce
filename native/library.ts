// Where the native library stands: TSVISOR_NATIVE, beside the bundled program (dist/), or the cargo build of a checkout.

const NAME = "libtsvisor_native.so";

/** Path of the library for Deno.dlopen. Throws with one clear line when there is none. */
export function nativeLibraryPath(): string {
  const given = Deno.env.get("TSVISOR_NATIVE");
  if (given) return given;
  const here = import.meta.dirname;
  for (const candidate of [`${here}/${NAME}`, `${here}/target/release/${NAME}`]) {
    try {
      Deno.statSync(candidate);
      return candidate;
    } catch {
      // Try the next place.
    }
  }
  throw new Error(`Cannot find the native library: ${NAME} is neither in ${here} nor built`);
}

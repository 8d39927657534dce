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

/**
 * Functions of the library, each looked up when it is first called: one costs 0.1 to 0.3 ms, and the command line needs few.
 * For the command line alone: a role cannot open the library any more once it is confined.
 */
export function callsWhenNeeded<S extends Deno.ForeignLibraryInterface>(
  symbols: S,
): Deno.DynamicLibrary<S>["symbols"] {
  const calls = {};
  for (const name of Object.keys(symbols)) {
    Object.defineProperty(calls, name, {
      configurable: true,
      get() {
        const library = Deno.dlopen(nativeLibraryPath(), { [name]: symbols[name] });
        const value = (library.symbols as Record<string, unknown>)[name];
        Object.defineProperty(calls, name, { value });
        return value;
      },
    });
  }
  return calls as Deno.DynamicLibrary<S>["symbols"];
}

// Where the native library stands: TSVISOR_NATIVE, beside the bundled program (dist/), or the cargo build of a checkout.

export const NATIVE_LIBRARY = "libtsvisor_native.so";

/** Path of the library for Deno.dlopen. Throws with one clear line when there is none. */
export function nativeLibraryPath(): string {
  const given = Deno.env.get("TSVISOR_NATIVE");
  if (given) return given;
  const here = import.meta.dirname;
  for (const candidate of [`${here}/${NATIVE_LIBRARY}`, `${here}/target/release/${NATIVE_LIBRARY}`]) {
    try {
      Deno.statSync(candidate);
      return candidate;
    } catch {
      // Try the next place.
    }
  }
  throw new Error(`Cannot find the native library: ${NATIVE_LIBRARY} is neither in ${here} nor built`);
}

/**
 * Functions of the library: those of `hot` bound at once, the others when they are first called. Binding one costs 0.1 to
 * 0.3 ms, as Deno compiles a trampoline for it, and a start needs few. The library, once open, is found by its path alone: a
 * role can bind although it is confined and sees no file, if it has bound one before (tests/cli/confinement_test.ts).
 */
export function openLibrary<S extends Deno.ForeignLibraryInterface>(
  symbols: S,
  hot: readonly (keyof S & string)[] = [],
): Deno.DynamicLibrary<S>["symbols"] {
  const late: Record<string, unknown> = {};
  for (const name of Object.keys(symbols)) {
    if (hot.includes(name)) continue;
    Object.defineProperty(late, name, {
      configurable: true,
      get() {
        const value = bind(symbols, [name])[name];
        Object.defineProperty(late, name, { value });
        return value;
      },
    });
  }
  // Late ones stand on the prototype: what is bound later does not change the shape that hot calls go through.
  const calls: Record<string, unknown> = Object.create(late);
  if (hot.length > 0) Object.assign(calls, bind(symbols, hot));
  return calls as Deno.DynamicLibrary<S>["symbols"];
}

function bind(symbols: Deno.ForeignLibraryInterface, names: readonly string[]): Record<string, unknown> {
  const wanted: Record<string, Deno.ForeignFunction | Deno.ForeignStatic> = {};
  for (const name of names) wanted[name] = symbols[name];
  return Deno.dlopen(nativeLibraryPath(), wanted).symbols as Record<string, unknown>;
}

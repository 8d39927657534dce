// Where this program's files stand. In a checkout modules are beside each other; dist/ has a directory of bundles; the one
// file has them in itself, and a path below /proc/self/exe names them until it starts a role (native/launcher/runtime.rs).

import { NATIVE_LIBRARY, nativeLibraryPath } from "../native/library.ts";
import { OPEN_PARTS, openPart } from "../native/parts.ts";

/** The one file, as it starts itself; the same as DIRECTORY of native/src/parts.rs. */
const ITSELF = "/proc/self/exe";

const IS_ONE_FILE = import.meta.url.startsWith(`file://${OPEN_PARTS}`);

/** Whether roles are bundles of their own. */
export const IS_BUNDLED = !import.meta.url.endsWith(".ts");

/** What paths of bundles begin with; in a checkout, that of boot/. */
export const DIRECTORY = IS_ONE_FILE ? `${ITSELF}/` : `${import.meta.dirname}/`;

/** What starts a role. */
export function runtimePath(): string {
  return IS_ONE_FILE ? ITSELF : Deno.execPath();
}

/** The native library, as a role is to be told where it is: descriptors of ours mean nothing there. */
export function libraryOfRoles(): string {
  return IS_ONE_FILE ? DIRECTORY + NATIVE_LIBRARY : nativeLibraryPath();
}

/** What import() takes for the bundle `name`. The runtime reads it when it is imported. */
export function bundleUrl(name: string): string {
  if (!IS_ONE_FILE) return `file://${DIRECTORY}${name}`;
  const fd = openPart(name);
  if (fd < 0) throw new Error(`Cannot open ${name} of this executable`);
  return `file://${OPEN_PARTS}${fd}`;
}

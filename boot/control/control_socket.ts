// Where the control API of a container is reached: a socket in the state directory, under the name that gVisor gives it, so that
// its clients find it. Every process that may use the directory may use the socket.

import { errnoName } from "../../kernel/abi/errno.ts";
import { commandLineHost } from "../../native/host.ts";
import { listenAtPath } from "../../native/stream.ts";
import { openDirectory } from "../oci/own_directory.ts";

/** sun_path of unix(7), without the NUL. */
const PATH_BYTES_MAX = 107;

/** Name within the state directory; native/src/attend.rs has it too. */
export function controlSocketName(id: string): string {
  return `runsc-${id}.sock`;
}

/** A socket that listens for clients of container `id`. Throws where it cannot be made. */
export function listenAt(root: string, id: string): number {
  const path = `${root}/${controlSocketName(id)}`;
  // What an ended container of this name has left.
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const listener = new TextEncoder().encode(path).length <= PATH_BYTES_MAX
    ? listenAtPath(path)
    : listenBelow(root, controlSocketName(id));
  if (listener < 0) throw new Error(`Cannot make the control socket ${path}: ${errnoName(-listener)}`);
  return listener;
}

/** As unix(7) has it for a path that is too long: through a descriptor of its directory. */
function listenBelow(root: string, name: string): number {
  const directory = openDirectory(root);
  if (directory < 0) return directory;
  const listener = listenAtPath(`/proc/self/fd/${directory}/${name}`);
  commandLineHost().close(directory);
  return listener;
}

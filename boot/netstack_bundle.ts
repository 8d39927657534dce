// The network stack of dist/: a script of its own, whose text the sentry reads while it can open files, and evaluates when
// the first network is made. So a sandbox without one spares what the stack costs: 30 % of the sentry's code to load at each
// start, and to keep. A module would not do, as only a promise gives one, and the runtime keeps no compiled code of a
// script that is evaluated; so the first network costs some 15 ms.

import type { Netstack } from "../kernel/socket/inet/room.ts";
import { errnoName } from "../kernel/abi/errno.ts";
import type { NativeHost } from "../native/host.ts";
import { openPart } from "../native/parts.ts";
import { readText } from "./descriptors.ts";

const NAME = "netstack.js";

/** Reads the script that stands beside the native library. The function it gives evaluates it. */
export function readNetstack(host: NativeHost): () => Netstack {
  const fd = openPart(NAME);
  if (fd < 0) throw new Error(`Cannot open ${NAME}: ${errnoName(-fd)}`);
  const text = readText(host, fd);
  host.close(fd);
  return () => evaluate(text);
}

function evaluate(text: string): Netstack {
  const module: { exports: unknown } = { exports: null };
  // Our own code of our own directory, in the form of a CommonJS module (boot/build.ts).
  new Function("module", `${text}\n//# sourceURL=${NAME}`)(module);
  return module.exports as Netstack;
}

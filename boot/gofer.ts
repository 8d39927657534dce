// The gofer role: opens the roots it is told to serve, gives up the rest, serves.

import { serveGofer } from "../gofer/server.ts";
import { nameBytes } from "../gofer/host_tree.ts";
import { loadGoferCalls } from "../native/gofer_host.ts";
import { NativeHost } from "../native/host.ts";
import { confineGofer, confineGoferFiles } from "./confinement.ts";
import { send } from "./control/channel.ts";
import { copyDescriptor } from "../native/process.ts";
import { GOFER_FIRST_MOUNT, type GoferConfig } from "./sentry_config.ts";
import { Stages } from "./stages.ts";
import { awaitSetup, ROLE_FDS } from "./setup.ts";

const O_DIRECTORY = 0o200000;
const O_RDONLY = 0;
const STDERR = 2;

/** Runs until the sentry is gone. Ends the process. */
export function runGofer(): never {
  const stages = new Stages("gofer");
  const host = new NativeHost();
  const calls = loadGoferCalls();
  const log = (line: string) => {
    const bytes = new TextEncoder().encode(`${line}\n`);
    host.write(ROLE_FDS.log, bytes, 0, bytes.length);
  };
  try {
    confineGoferFiles();
    const setup = awaitSetup<GoferConfig>(host);
    if (setup === null) Deno.exit(0);
    stages.reach("it is told what to serve");
    const { config, fds } = setup;
    copyDescriptor(fds[0], ROLE_FDS.log);
    copyDescriptor(ROLE_FDS.log, STDERR);
    host.close(fds[0]);
    const mounts = config.mounts.map((mount, i) => {
      const path = nameBytes(toBytes(mount.path));
      const rootFd = calls.tsv_gofer_tree(path, mount.isRecursive ? 1 : 0, mount.isReadOnly ? 1 : 0);
      if (rootFd < 0) throw new Error(`Cannot open ${mount.path}: errno ${-rootFd}`);
      return { socket: fds[GOFER_FIRST_MOUNT + i], rootFd, isReadOnly: mount.isReadOnly };
    });
    stages.reach("roots are open");
    confineGofer(config.isLenient);
    stages.reach("it is confined");
    const procFd = calls.tsv_gofer_root(nameBytes("/proc/self/fd"), O_RDONLY | O_DIRECTORY);
    if (procFd < 0) throw new Error(`Cannot open /proc/self/fd: errno ${-procFd}`);
    if (config.isDebug) { for (const line of stages.take()) log(line); }
    host.close(ROLE_FDS.control);
    serveGofer(host, calls, mounts, procFd);
  } catch (error) {
    log(`Gofer: ${error instanceof Error ? error.stack : error}`);
    const message = error instanceof Error ? error.message : String(error);
    send(host, ROLE_FDS.control, { kind: "failed", code: 128, message });
    Deno.exit(1);
  }
  Deno.exit(0);
}

/** UTF-8 text as a byte string. */
function toBytes(text: string): string {
  let bytes = "";
  for (const byte of new TextEncoder().encode(text)) bytes += String.fromCharCode(byte);
  return bytes;
}

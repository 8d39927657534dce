// The gofer role: opens the roots named in its configuration, gives up the rest, serves.

import { GoferServer } from "../gofer/server.ts";
import { NativeHost } from "../native/host.ts";
import { confineGofer, confineGoferFiles } from "./confinement.ts";
import { send } from "./control/channel.ts";
import { printable } from "./control/printable.ts";
import { copyDescriptor } from "../native/process.ts";
import type { GoferSetup } from "./gofer_setup.ts";
import { GOFER_SOCKET } from "./sentry_config.ts";
import { Stages } from "./stages.ts";
import { awaitSetup, ROLE_FDS } from "./setup.ts";

const STDERR = 2;

/** Runs until the sentry is gone. Ends the process. */
export function runGofer(): never {
  const stages = new Stages("gofer");
  const host = new NativeHost();
  const server = new GoferServer();
  const log = (text: string) => {
    // Names of files are in it that guests have chosen.
    const bytes = new TextEncoder().encode(`${text.split("\n").map(printable).join("\n  ")}\n`);
    host.write(ROLE_FDS.log, bytes, 0, bytes.length);
  };
  try {
    confineGoferFiles();
    const setup = awaitSetup<GoferSetup>(host);
    if (setup === null) Deno.exit(0);
    stages.reach("it is told what to serve");
    const { config, fds } = setup;
    copyDescriptor(fds[0], ROLE_FDS.log);
    copyDescriptor(ROLE_FDS.log, STDERR);
    host.close(fds[0]);
    config.mounts.forEach((mount, n) => server.open(mount, config.trees[n] < 0 ? -1 : fds[config.trees[n]]));
    stages.reach("roots are open");
    confineGofer(config.isLenient, () => server.start(fds[GOFER_SOCKET]));
    stages.reach("it is confined");
    if (config.isDebug) { for (const line of stages.take()) log(line); }
    host.close(ROLE_FDS.control);
    server.serve();
  } catch (error) {
    log(`Gofer: ${error instanceof Error ? error.stack : error}`);
    const message = error instanceof Error ? error.message : String(error);
    send(host, ROLE_FDS.control, { kind: "failed", code: 128, message });
    Deno.exit(1);
  }
  Deno.exit(0);
}

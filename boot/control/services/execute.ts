// containerManager.ExecuteAsync: one more process in a container.

import { errnoName } from "../../../kernel/abi/errno.ts";
import { CAPABILITY_NAMES } from "../../../kernel/abi/task.ts";
import type { Container } from "../../../kernel/container.ts";
import { RLIMIT_NAMES } from "../../../kernel/task/rlimits.ts";
import type { CapabilitySetName, ProcessConfig } from "../../sentry_config.ts";
import { StartError } from "../../start_error.ts";
import { type Query, Refusal, type Sandbox } from "./query.ts";

const STDIO_COUNT = 3;
const UMASK = 0o022;

const SETS: Readonly<Record<CapabilitySetName, string>> = {
  bounding: "BoundingCaps",
  effective: "EffectiveCaps",
  inheritable: "InheritableCaps",
  permitted: "PermittedCaps",
  ambient: "AmbientCaps",
};

/** Its id in the root PID namespace, or why it cannot be. */
export function execute(container: Container, query: Query, { host, lifecycle }: Sandbox): number | Refusal {
  const { id } = container;
  if (container.init === null || container.isHeld) return new Refusal(`container "${id}" not started`);
  if (container.exitStatus >= 0) return new Refusal(`container "${id}" has stopped`);
  if (container.isPaused) return new Refusal(`container "${id}" is paused`);
  const filename = query.string("filename"), argv = query.strings("argv");
  const guestFds = query.numbers("GuestFDs");
  const expected = guestFds.length === 0 ? query.files.length : guestFds.length;
  if (query.files.length === expected + 1) {
    return new Refusal(
      filename !== ""
        ? "must either be started from a file or a filename, not both"
        : "a program that is a file of the host's is not supported",
    );
  }
  if (query.files.length !== expected) {
    return new Refusal(`${expected} files were announced, and ${query.files.length} have come`);
  }
  if (filename === "" && argv.length === 0) return new Refusal("argv and filename are both empty");
  const files = inOrder(query.files, guestFds);
  if (files === null) {
    return new Refusal("files must be for descriptors 0, 1, 2 and those that follow, without a gap");
  }
  const copies = files.map((fd) => host.dup(fd));
  const failed = copies.find((fd) => fd < 0);
  if (failed !== undefined) {
    for (const fd of copies) if (fd >= 0) host.close(fd);
    return new Refusal(`duplicating payload files: ${errnoName(-failed)}`);
  }
  const started = lifecycle.execute(container, configOf(container, query), copies);
  if (started instanceof StartError) return new Refusal(started.message);
  return typeof started === "number" ? new Refusal(errnoName(-started)) : started.tid;
}

/** As the guest is to have them, from 0 on; null where that leaves a gap. Without numbers they are in order. */
function inOrder(files: readonly number[], guestFds: readonly number[]): readonly number[] | null {
  if (files.length < STDIO_COUNT) return null;
  if (guestFds.length === 0) return files;
  const ordered = files.map((_, fd) => guestFds.indexOf(fd));
  return ordered.includes(-1) ? null : ordered.map((place) => files[place]);
}

function configOf(container: Container, query: Query): ProcessConfig {
  const argv = query.strings("argv"), env = query.strings("envv"), filename = query.string("filename");
  return {
    args: filename === "" ? argv : [filename, ...argv.slice(1)],
    env,
    cwd: query.string("wd") || "/",
    makesCwd: false,
    uid: query.number("KUID"),
    gid: query.number("KGID"),
    umask: UMASK,
    additionalGids: query.numbers("ExtraKGIDs"),
    capabilities: capabilitiesOf(query),
    rlimits: limitsOf(container),
    noNewPrivileges: query.flag("NoNewPrivileges"),
    ownsStdio: false,
    wantsHome: !env.some((variable) => variable.startsWith("HOME=")),
    diesOfSignals: true,
    terminal: query.flag("StdioIsPty") ? { fds: [0, 1, 2], size: null, settings: null, isOwn: false } : null,
  };
}

/** Root has them all where none are named, others none. */
function capabilitiesOf(query: Query): ProcessConfig["capabilities"] {
  const given = query.struct("Capabilities");
  if (given.isNull && query.number("KUID") === 0) return null;
  const names = (field: string) =>
    CAPABILITY_NAMES.filter((_, number) => Math.floor(given.number(field) / 2 ** number) % 2 === 1);
  const entries = Object.entries(SETS).map(([set, field]) => [set, names(field)]);
  return Object.fromEntries(entries) as ProcessConfig["capabilities"];
}

/** Those of the container's init. */
function limitsOf(container: Container): ProcessConfig["rlimits"] {
  const { limits } = container.init!;
  return RLIMIT_NAMES.map((type, number) => ({ type, soft: limits.soft(number), hard: limits.hard(number) }));
}

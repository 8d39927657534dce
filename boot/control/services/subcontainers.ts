// containerManager.{Create,Start,Destroy}Subcontainer: further containers of the sandbox for clients of the control API.

import { errnoName } from "../../../kernel/abi/errno.ts";
import { guestContainerOf, isReadOnlyBy, mountsOf } from "../../oci/guest_view.ts";
import { PodHints, sharingOf } from "../../oci/pod.ts";
import type { OciConfig } from "../../oci/spec.ts";
import type { SeccompProfile } from "../../seccomp_profile.ts";
import type { ContainerConfig } from "../../sentry_config.ts";
import { StartError } from "../../start_error.ts";
import { LATER, type Query, Refusal, type Sandbox, type Service, type Services } from "./query.ts";

const STDIO_COUNT = 3;

/** Takes the id; a terminal that comes along is the container's stdio. */
const create: Service = ({ host, kernel, lifecycle }, query) => {
  const id = query.string("CID");
  if (query.files.length > 1) return new Refusal("start arguments must have at most 1 files for TTY");
  if (id === "") return new Refusal("no container id was given");
  if (kernel.containers.has(id) || lifecycle.subcontainers.reserved.has(id)) {
    return new Refusal(`container "${id}" already exists`);
  }
  const terminal = query.files.length === 1 ? host.dup(query.files[0]) : -1;
  if (query.files.length === 1 && terminal < 0) {
    return new Refusal(`duplicating TTY: ${errnoName(-terminal)}`);
  }
  return lifecycle.subcontainers.reserve(id, terminal)
    ? {}
    : new Refusal("too many containers are being made");
};

/**
 * Linux: none; gVisor takes a socket for each mount here. Ours takes one, since one channel carries all mounts of a gofer: the
 * root is its first, the bind mounts of the spec follow in their order.
 */
const start: Service = ({ host, kernel, lifecycle }, query) => {
  const id = query.string("CID"), { subcontainers } = lifecycle;
  if (query.struct("Spec").isNull) return new Refusal("start arguments missing spec");
  if (query.struct("Conf").isNull) return new Refusal("start arguments missing config");
  if (id === "") return new Refusal("start argument missing container ID");
  const terminal = subcontainers.reserved.get(id);
  if (terminal === undefined) {
    const reason = kernel.containers.has(id) ? "already started" : "not found";
    return new Refusal(`container "${id}" ${reason}`);
  }
  const config = query.value("Spec") as OciConfig, hasTerminal = config.process.terminal === true;
  if (hasTerminal && terminal < 0) {
    return new Refusal(
      "terminal enabled but no TTY provided. Did you set --console-socket on create?",
    );
  }
  if (query.number("NumOverlayFilestoreFDs") + query.number("NumGoferFilestoreFDs") > 0) {
    return new Refusal("files of the host behind overlays are not supported");
  }
  const stdioCount = hasTerminal ? 0 : STDIO_COUNT, expected = stdioCount + 1;
  if (query.files.length !== expected) {
    return new Refusal(
      `start arguments must contain ${expected} files (stdio, then the gofer's socket), has ${query.files.length}`,
    );
  }
  const copies = [...(hasTerminal ? [terminal, terminal, terminal] : query.files.slice(0, stdioCount))]
    .concat(query.files[stdioCount]).map((fd) => host.dup(fd));
  const failed = copies.find((fd) => fd < 0);
  if (failed !== undefined) {
    for (const fd of copies) if (fd >= 0) host.close(fd);
    return new Refusal(`duplicating files: ${errnoName(-failed)}`);
  }
  subcontainers.unreserve(id);
  const made = subcontainers.make(configOf(id, config, kernel.rootContainer!.id, hasTerminal), {
    stdio: copies.slice(0, STDIO_COUNT),
    gofer: copies[STDIO_COUNT],
    passed: [],
  });
  return made instanceof StartError ? new Refusal(made.message) : {};
};

function configOf(id: string, config: OciConfig, rootId: string, hasTerminal: boolean): ContainerConfig {
  const gofers = [{ isReadOnly: false, isExclusive: true }];
  const mounts = mountsOf(config, new PodHints(config.annotations ?? {}), (_i, _source, options, hint) => {
    const isReadOnly = isReadOnlyBy(options) || hint?.hasOverlay === true;
    return gofers.push({ isReadOnly, isExclusive: hint?.isExclusive ?? false }) - 1;
  });
  const hasOverlay = config.root.readonly === true;
  const container = guestContainerOf(id, config, {
    sharing: sharingOf(config, rootId, []),
    mounts,
    gofers,
    hasOverlay,
    overlayBytesMax: null,
    // As the controller sends it on.
    seccomp: (config.linux?.seccomp ?? null) as SeccompProfile | null,
    bundle: "",
  });
  if (!hasTerminal) return container;
  const terminal = { fds: [0, 1, 2], size: null, settings: null, isOwn: false };
  return { ...container, process: { ...container.process, terminal } };
}

/** Answered when nothing of it is left. */
const destroy: Service = ({ kernel, lifecycle }: Sandbox, query: Query) => {
  const id = query.text, { subcontainers } = lifecycle;
  if (subcontainers.unreserve(id)) return {};
  const container = kernel.containers.get(id);
  if (container === undefined) return new Refusal(`container "${id}" not found`);
  if (container.isRoot) return new Refusal(`container "${id}" is the sandbox's own: it ends with that`);
  subcontainers.destroy(container, () => query.reply({}));
  return LATER;
};

export const SUBCONTAINERS: Services = {
  "containerManager.CreateSubcontainer": create,
  "containerManager.StartSubcontainer": start,
  "containerManager.DestroySubcontainer": destroy,
};

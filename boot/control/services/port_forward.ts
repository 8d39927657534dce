// containerManager.PortForward: a stream of the caller's to a port or Unix socket in a container.

import { errnoName } from "../../../kernel/abi/errno.ts";
import { HOST_READ, HOST_WRITE } from "../../../kernel/host/host_descriptor.ts";
import { Forward, type ForwardTarget } from "../../port_forward.ts";
import { LATER, Refusal, type Service, type Services } from "./query.ts";

/** Of one sandbox, at the same time. */
const FORWARDS_MAX = 512;
const PATH_BYTES_MAX = 107;

const portForward: Service = ({ kernel, host, lifecycle }, query) => {
  const id = query.string("ContainerID"), port = query.number("Port"), path = query.string("Path");
  const container = kernel.containers.get(id);
  if (container === undefined) return new Refusal(`container "${id}" not found`);
  if (query.files.length !== 1) return new Refusal("stream FD is required");
  const init = container.initTask;
  if (init === null || container.isHeld) return new Refusal(`container "${id}" not started`);
  if (init.hasExited) return new Refusal(`container "${id}" has stopped`);
  if (path === "" && port === 0) return new Refusal("a port or the path of a Unix socket is required");
  if (new TextEncoder().encode(path).length > PATH_BYTES_MAX) return new Refusal(`path is too long: ${path}`);
  const { forwards } = lifecycle;
  if (forwards.size >= FORWARDS_MAX) return new Refusal("too many ports are forwarded");
  const fd = host.dup(query.files[0]);
  if (fd < 0) return new Refusal(`duplicating stream: ${errnoName(-fd)}`);
  if (host.setNonblocking(fd) < 0) {
    host.close(fd);
    return new Refusal("the stream cannot be read without waiting");
  }
  const target: ForwardTarget = path === "" ? { port } : { path };
  const descriptor = kernel.descriptors.own(fd, "donated", HOST_READ | HOST_WRITE, "forwarded stream");
  const what = path === "" ? `port ${port}` : path;
  const onConnected = (result: number) =>
    query.reply(result < 0 ? new Refusal(`connecting to ${what}: ${errnoName(-result)}`) : {});
  const forward = new Forward(container, target, descriptor, onConnected, (one) => forwards.delete(one));
  if (!forward.isClosed) forwards.add(forward);
  query.onForgotten = () => forward.close();
  return LATER;
};

export const PORT_FORWARD: Services = { "containerManager.PortForward": portForward };

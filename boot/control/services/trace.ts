// containerManager.{Create,Delete,List}TraceSession(s): one session at a time, by the name that gVisor gives it.

import { errnoName } from "../../../kernel/abi/errno.ts";
import { HOST_WRITE, type HostDescriptor } from "../../../kernel/host/host_descriptor.ts";
import { type PointConfig, TraceSession } from "../../trace/session.ts";
import { newSink, type Sink, SINKS } from "../../trace/sinks.ts";
import { type Query, Refusal, type Sandbox, type Service, type Services } from "./query.ts";

const SESSION_NAME = "Default";
const SINKS_MAX = 8;
const POINTS_MAX = 4096;

/** A session that runs, with what it was made from. */
export interface RunningTrace {
  readonly config: Query;
  readonly sinks: readonly Sink[];
  readonly session: TraceSession;
}

const create: Service = (sandbox, query) => {
  const { lifecycle, kernel, table } = sandbox;
  const config = query.struct("Config"), name = config.string("name");
  if (name !== SESSION_NAME) {
    return new Refusal(`only a single "${SESSION_NAME}" session is supported, not "${name}"`);
  }
  if (lifecycle.trace !== null && !query.flag("Force")) {
    return new Refusal(`session "${name}" already exists`);
  }
  const points = config.list("points").map((point): PointConfig => ({
    name: point.string("name"),
    optional_fields: point.strings("optional_fields"),
    context_fields: point.strings("context_fields"),
  }));
  if (points.length > POINTS_MAX) return new Refusal(`${points.length} points are too many`);
  const sinks = openSinks(sandbox, config, query.files);
  if (sinks instanceof Refusal) return sinks;
  try {
    const session = new TraceSession(kernel, table, points, sinks, config.flag("ignore_missing"));
    lifecycle.trace?.session.stop();
    lifecycle.trace = { config, sinks, session };
    session.start();
    return {};
  } catch (error) {
    for (const sink of sinks) sink.stop();
    return new Refusal((error as Error).message);
  }
};

/** Each with the next descriptor that came along, if it has one. */
function openSinks({ host, kernel }: Sandbox, config: Query, files: readonly number[]): Sink[] | Refusal {
  const sinks: Sink[] = [], list = config.list("sinks");
  const refuse = (text: string) => {
    for (const sink of sinks) sink.stop();
    return new Refusal(text);
  };
  if (list.length > SINKS_MAX) return refuse(`${list.length} sinks are too many`);
  let next = 0;
  for (const one of list) {
    const name = one.string("name");
    if (!Object.hasOwn(SINKS, name)) return refuse(`sink "${name}" not found`);
    let file: HostDescriptor | null = null;
    if (SINKS[name].hasFile) {
      if (next >= files.length) {
        // Its creator could not reach the endpoint, and its configuration allows that.
        if (one.flag("ignore_setup_error")) {
          sinks.push(newSink(kernel, "null", {}, null));
          continue;
        }
        return refuse(`sink "${name}": its file is missing`);
      }
      const fd = host.dup(files[next++]);
      if (fd < 0) return refuse(`sink "${name}": ${errnoName(-fd)}`);
      file = kernel.descriptors.own(fd, "donated", HOST_WRITE, `trace sink ${name}`);
      host.setNonblocking(fd);
    }
    try {
      sinks.push(newSink(kernel, name, one.struct("config").record, file));
    } catch (error) {
      file?.drop();
      return refuse(`sink "${name}": ${(error as Error).message}`);
    }
  }
  return sinks;
}

const remove: Service = ({ lifecycle }, query) => {
  if (lifecycle.trace === null || query.text !== SESSION_NAME) {
    return new Refusal(`session "${query.text}" not found`);
  }
  lifecycle.trace.session.stop();
  lifecycle.trace = null;
  return {};
};

const list: Service = ({ lifecycle: { trace } }) => {
  if (trace === null) return [];
  const { config, sinks } = trace;
  return [{
    name: config.string("name"),
    points: config.list("points").map((point) => point.record),
    ...(config.flag("ignore_missing") ? { ignore_missing: true } : {}),
    sinks: sinks.map(({ droppedCount }, i) => ({
      ...config.list("sinks")[i].record,
      status: { dropped_count: droppedCount },
    })),
  }];
};

export const TRACE: Services = {
  "containerManager.CreateTraceSession": create,
  "containerManager.DeleteTraceSession": remove,
  "containerManager.ListTraceSessions": list,
};

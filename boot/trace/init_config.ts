// What a sandbox is given before it begins to run: a trace session, from a file (--pod-init-config, `trace create --config`).
// Its sinks are opened here, outside the sandbox, which could not reach them.

import { errnoName } from "../../kernel/abi/errno.ts";
import { commandLineHost } from "../../native/host.ts";
import { connectToPath, NativeStreams, setPollEntry, SOCK_SEQPACKET } from "../../native/stream.ts";
import { decodeMessage, encodeMessage } from "../protobuf.ts";
import * as z from "../schema.ts";
import { HANDSHAKE, HANDSHAKE_VERSION } from "./messages.ts";
import { SINKS } from "./sinks.ts";

const names = z.optional(z.nullable(z.array(z.string())));
const sinkSchema = z.strictObject({
  name: z.string(),
  config: z.optional(z.nullable(z.record(z.string(), z.unknown()))),
  ignore_setup_error: z.optional(z.boolean()),
  status: z.optional(z.unknown()),
});
const sessionSchema = z.strictObject({
  name: z.string(),
  points: z.optional(z.array(z.strictObject({
    name: z.string(),
    optional_fields: names,
    context_fields: names,
  }))),
  ignore_missing: z.optional(z.boolean()),
  sinks: z.optional(z.array(sinkSchema)),
});
const initSchema = z.strictObject({ trace_session: sessionSchema });

export type SessionConfig = z.infer<typeof sessionSchema>;
type SinkConfig = z.infer<typeof sinkSchema>;

const POLLIN = 1;
/** How long a monitor may take to answer. */
const HANDSHAKE_MILLIS_MAX = 10_000;

/** gVisor's InitConfig. */
export class InitConfig {
  readonly traceSession: SessionConfig;

  constructor(traceSession: SessionConfig) {
    this.traceSession = traceSession;
  }

  /**
   * Opens what the sinks write to: a descriptor of each that has one, in their order. Throws where one cannot be opened, unless
   * its failure is to be ignored; those that follow would take its place, so it has to be the last one with a descriptor.
   */
  setup(): number[] {
    const opened: number[] = [];
    try {
      for (const sink of this.traceSession.sinks ?? []) {
        if (!Object.hasOwn(SINKS, sink.name) || !SINKS[sink.name].hasFile) continue;
        const fd = openSink(sink);
        if (fd !== null) opened.push(fd);
      }
      return opened;
    } catch (error) {
      for (const fd of opened) commandLineHost().close(fd);
      throw error;
    }
  }
}

/** Reads `path`; a field that is unknown is an error. Throws one line. */
export function loadInitConfig(path: string): InitConfig {
  return new InitConfig(read(path, initSchema).trace_session);
}

/** As loadInitConfig(), of a file that has the session alone or as part of one. */
export function loadSession(path: string): InitConfig {
  return new InitConfig(
    "trace_session" in (parse(path) as object)
      ? loadInitConfig(path).traceSession
      : read(path, sessionSchema),
  );
}

function parse(path: string): unknown {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    throw new Error(`Cannot read ${path}: ${(error as Error).message.replace(/ \(os error.*/, "")}`);
  }
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value;
  } catch (error) {
    throw new Error(`Cannot read ${path}: it is not JSON: ${(error as Error).message}`);
  }
  throw new Error(`Cannot read ${path}: it is no object`);
}

function read<T>(path: string, schema: z.Schema<T>): T {
  const parsed = schema.safeParse(parse(path));
  if (parsed.success) return parsed.data;
  const { path: place, message } = parsed.error.issues[0];
  throw new Error(`Cannot read ${path}: ${place.join(".") || "the document"}: ${message}`);
}

/** null = it cannot be, and that does not matter. */
function openSink({ name, config, ignore_setup_error }: SinkConfig): number | null {
  try {
    return name === "json" ? openFile(config ?? {}) : connectRemote(config ?? {});
  } catch (error) {
    if (ignore_setup_error === true) return null;
    throw new Error(`Cannot set up sink "${name}": ${(error as Error).message}`);
  }
}

function openFile({ path }: Readonly<Record<string, unknown>>): number {
  if (typeof path !== "string") throw new Error("path is missing");
  const fd = commandLineHost().openForAppend(path);
  if (fd < 0) throw new Error(`${path}: ${errnoName(-fd)}`);
  return fd;
}

/** Both say which version they speak, the caller first. */
function connectRemote({ endpoint }: Readonly<Record<string, unknown>>): number {
  if (typeof endpoint !== "string") throw new Error("endpoint is missing");
  const fd = connectToPath(endpoint, SOCK_SEQPACKET);
  if (fd < 0) throw new Error(`${endpoint}: ${errnoName(-fd)}`);
  try {
    const streams = new NativeStreams(), none = new Int32Array(0);
    const hello = encodeMessage(HANDSHAKE, { version: HANDSHAKE_VERSION });
    const sent = streams.send(fd, hello, 0, hello.length, none);
    if (sent < 0) throw new Error(`${endpoint}: ${errnoName(-sent)}`);
    const entries = new Int32Array(2), answer = new Uint8Array(1024);
    setPollEntry(entries, 0, fd, POLLIN);
    if (streams.poll(entries, 1, HANDSHAKE_MILLIS_MAX) <= 0) throw new Error(`${endpoint}: nobody answers`);
    const n = streams.receive(fd, answer, 0, answer.length, new Int32Array(128));
    if (n <= 0) throw new Error(`${endpoint}: ${n === 0 ? "it hangs up" : errnoName(-n)}`);
    const { version = 0 } = decodeMessage(HANDSHAKE, answer.subarray(0, n)) as { version?: number };
    if (version < HANDSHAKE_VERSION) throw new Error(`${endpoint}: it speaks version ${version}`);
    return fd;
  } catch (error) {
    commandLineHost().close(fd);
    throw error;
  }
}

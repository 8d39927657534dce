// A client of containerd's CRI: gRPC over HTTP/2 on a Unix socket, the few calls that the tests make. https://grpc.io/,
// Kubernetes' cri-api (runtime/v1/api.proto)

import { connect } from "node:http2";
import { createConnection } from "node:net";
import { decodeMessage, encodeMessage, type Message, type Schema } from "../../boot/protobuf.ts";

const METADATA: Schema = {
  name: [1, "string"],
  uid: [2, "string"],
  namespace: [3, "string"],
  attempt: [4, "uint32"],
};
const NAMESPACE_OPTIONS: Schema = { network: [1, "int32"], pid: [2, "int32"], ipc: [3, "int32"] };
const SANDBOX: Schema = {
  metadata: [1, METADATA],
  hostname: [2, "string"],
  log_directory: [3, "string"],
  labels: [6, "map"],
  annotations: [7, "map"],
  linux: [8, { security_context: [2, { namespace_options: [1, NAMESPACE_OPTIONS] }] }],
};
const CONTAINER: Schema = {
  metadata: [1, { name: [1, "string"], attempt: [2, "uint32"] }],
  image: [2, { image: [1, "string"] }],
  command: [3, ["string"]],
  args: [4, ["string"]],
  envs: [6, [{ key: [1, "string"], value: [2, "string"] }]],
  mounts: [7, [{ container_path: [1, "string"], host_path: [2, "string"], readonly: [3, "bool"] }]],
  annotations: [10, "map"],
  log_path: [11, "string"],
};
const COUNT: Schema = { value: [1, "uint64"] };
const STATS: Schema = {
  cpu: [2, { usage_core_nano_seconds: [2, COUNT] }],
  memory: [3, { working_set_bytes: [2, COUNT] }],
};
const OF_SANDBOX: Schema = { pod_sandbox_id: [1, "string"] };
const OF_CONTAINER: Schema = { container_id: [1, "string"], timeout: [2, "int64"] };

/** Request and response of each call. */
const CALLS: Readonly<Record<string, readonly [Schema, Schema]>> = {
  Version: [{}, { runtime_name: [2, "string"] }],
  RunPodSandbox: [{ config: [1, SANDBOX], runtime_handler: [2, "string"] }, OF_SANDBOX],
  StopPodSandbox: [OF_SANDBOX, {}],
  RemovePodSandbox: [OF_SANDBOX, {}],
  PodSandboxStatus: [OF_SANDBOX, { status: [1, { state: [3, "int32"] }] }],
  CreateContainer: [
    { pod_sandbox_id: [1, "string"], config: [2, CONTAINER], sandbox_config: [3, SANDBOX] },
    OF_CONTAINER,
  ],
  StartContainer: [OF_CONTAINER, {}],
  StopContainer: [OF_CONTAINER, {}],
  RemoveContainer: [OF_CONTAINER, {}],
  ContainerStatus: [OF_CONTAINER, { status: [1, { state: [3, "int32"], exit_code: [7, "int32"] }] }],
  ContainerStats: [OF_CONTAINER, { stats: [1, STATS] }],
  ExecSync: [
    { container_id: [1, "string"], cmd: [2, ["string"]], timeout: [3, "int64"] },
    { stdout: [1, "bytes"], stderr: [2, "bytes"], exit_code: [3, "int32"] },
  ],
  Exec: [
    {
      container_id: [1, "string"],
      cmd: [2, ["string"]],
      tty: [3, "bool"],
      stdin: [4, "bool"],
      stdout: [5, "bool"],
      stderr: [6, "bool"],
    },
    { url: [1, "string"] },
  ],
};

/** States of a container, and of a sandbox that runs. */
export const CONTAINER_STATE = { CREATED: 0, RUNNING: 1, EXITED: 2 } as const;
export const SANDBOX_READY = 0;
/** Namespace modes: the pod's, the container's own. */
export const NAMESPACE_MODE = { POD: 0, CONTAINER: 1, NODE: 2 } as const;

/** Kubernetes' form of several streams in one: a message begins with its channel. */
const CHANNELS = "v4.channel.k8s.io";
const CHANNEL = { STDIN: 0, STDOUT: 1, STDERR: 2, STATUS: 3 } as const;

/** What a command that is executed over its streams has written, and how it ended, as kubectl reads it. */
export interface Streamed {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: { readonly status: string; readonly details?: unknown };
}

/** Talks to the command behind `url`, which Exec has given: sends it `input`, and hears it to its end. */
export async function streamExec(url: string, input: string): Promise<Streamed> {
  const socket = new WebSocket(url.replace(/^http/, "ws"), CHANNELS);
  socket.binaryType = "arraybuffer";
  const said: Record<number, string> = { 1: "", 2: "", 3: "" };
  await new Promise<void>((resolve, reject) => {
    socket.onerror = (event) => reject(new Error(`${url}: ${(event as ErrorEvent).message}`));
    socket.onclose = () => resolve();
    socket.onopen = () => {
      if (input !== "") socket.send(new Uint8Array([CHANNEL.STDIN, ...new TextEncoder().encode(input)]));
    };
    socket.onmessage = ({ data }) => {
      const bytes = new Uint8Array(data);
      said[bytes[0]] += new TextDecoder().decode(bytes.subarray(1));
      if (bytes[0] === CHANNEL.STATUS && bytes.length > 1) socket.close();
    };
  });
  const status = said[CHANNEL.STATUS];
  return { stdout: said[CHANNEL.STDOUT], stderr: said[CHANNEL.STDERR], status: JSON.parse(status || "{}") };
}

/** Compression flag and length before a message. */
const PREFIX_BYTES = 5;

/** Calls `name`; throws with gRPC's message where it is refused. */
// deno-lint-ignore no-explicit-any
export async function callCri(socket: string, name: string, request: Message): Promise<any> {
  const [requestSchema, responseSchema] = CALLS[name];
  const body = encodeMessage(requestSchema, request);
  const framed = new Uint8Array(PREFIX_BYTES + body.length);
  new DataView(framed.buffer).setUint32(1, body.length);
  framed.set(body, PREFIX_BYTES);
  const answer = await unary(socket, `/runtime.v1.RuntimeService/${name}`, framed);
  return decodeMessage(responseSchema, answer.subarray(PREFIX_BYTES));
}

async function unary(socket: string, path: string, body: Uint8Array): Promise<Uint8Array> {
  const session = connect("http://localhost", { createConnection: () => createConnection(socket) });
  try {
    return await new Promise<Uint8Array>((resolve, reject) => {
      session.on("error", reject);
      const stream = session.request({
        ":method": "POST",
        ":path": path,
        "content-type": "application/grpc",
        te: "trailers",
      });
      const chunks: Uint8Array[] = [];
      let status = "", message = "";
      const note = (headers: Record<string, unknown>) => {
        if (headers["grpc-status"] === undefined) return;
        status = String(headers["grpc-status"]);
        message = decodeURIComponent(String(headers["grpc-message"] ?? ""));
      };
      stream.on("response", note);
      stream.on("trailers", note);
      stream.on("error", reject);
      stream.on("data", (chunk: Uint8Array) => chunks.push(chunk));
      stream.on("end", () => {
        if (status !== "0") return reject(new Error(`${path}: gRPC status ${status}: ${message}`));
        resolve(new Uint8Array(chunks.flatMap((chunk) => [...chunk])));
      });
      stream.end(body);
    });
  } finally {
    session.close();
  }
}

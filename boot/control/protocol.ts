// The control protocol: what launcher, command line, sentry and gofer tell each other, as one table. A message is a frame: a
// header of 16 bytes and fields in the order of the table. Over a socket (SOCK_SEQPACKET) a message is one packet, and
// descriptors travel beside it; what a process leaves to the program that it becomes is a frame in a memfd.
//
// The table is the schema: a frame that does not fit it, to the byte, is not decoded. So the receiver can rely on the
// types, also when the other end has been taken over. The launcher (native/src/control.rs) reads and writes the same frames;
// its numbers are written from this table (launcher_table.ts).

import { printable } from "./printable.ts";

/** Changes with the layout of any message. The header stays. */
export const VERSION = 3;
/** u16 version, u16 kind, u32 request id, u32 bytes of the fields, u32 flags. */
export const HEADER_BYTES = 16;
export const FRAME_BYTES_MAX = 16 * 1024;
/** Descriptors beside one message: those of a URPC call, and its argument. */
export const FRAME_FDS_MAX = 129;
/** The frame answers the request of its id. */
export const FLAG_REPLY = 1;

export type Field =
  | { readonly type: "integer"; readonly min: number; readonly max: number }
  /** A whole number that may be beyond 32 bits. */
  | { readonly type: "amount" }
  | { readonly type: "flag" }
  /** For a program: as it is. */
  | { readonly type: "text"; readonly bytesMax: number }
  /** For a person: one line, without control characters, and cut where it is too long. */
  | { readonly type: "line"; readonly bytesMax: number };

type Value<F extends Field> = F extends { type: "integer" | "amount" } ? number
  : F extends { type: "flag" } ? boolean
  : string;

/** Who may send it. "self": a process to the program that it becomes. */
export type Sender = "caller" | "role" | "self";

export interface Kind {
  readonly number: number;
  readonly from: Sender;
  readonly fields: Readonly<Record<string, Field>>;
  /** Descriptors that go with it at most. */
  readonly fdsMax: number;
}

const PID_MAX = 4_194_304;
const FD_MAX = 1_048_576;
const pid: Field = { type: "integer", min: 1, max: PID_MAX };
/** 0 = the init, or none. */
const guestPid: Field = { type: "integer", min: 0, max: PID_MAX };
const fd: Field = { type: "integer", min: 0, max: FD_MAX };
const sentence: Field = { type: "line", bytesMax: 4096 };
const path: Field = { type: "text", bytesMax: 4096 };

export const KINDS = {
  /** To a role as its process starts: bits of HELLO. */
  hello: { number: 1, from: "caller", fields: { facts: { type: "integer", min: 0, max: 15 } }, fdsMax: 0 },
  /** What the role is to do: the first descriptor is its configuration; `count` descriptors in as many messages as it takes. */
  setup: {
    number: 2,
    from: "caller",
    fields: { count: { type: "integer", min: 1, max: 1024 } },
    fdsMax: FRAME_FDS_MAX,
  },
  /** A signal for process `pid` of the container (0 = its init), or for all that SCOPE says. */
  signal: {
    number: 3,
    from: "caller",
    fields: {
      signal: { type: "integer", min: 1, max: 64 },
      pid: guestPid,
      scope: { type: "integer", min: 0, max: 2 },
    },
    fdsMax: 0,
  },
  /** The terminal outside that process `pid` has been started with (0 = the init) has another size. */
  resized: { number: 4, from: "caller", fields: { pid: guestPid }, fdsMax: 0 },
  /** What the sandbox's processes use, as asked for by `measure`. */
  memory: { number: 5, from: "caller", fields: { bytes: { type: "amount" } }, fdsMax: 0 },
  /** The descriptor is one more connection, for requests. */
  connect: { number: 6, from: "caller", fields: {}, fdsMax: 1 },
  /**
   * A call of the control API by its name in URPC. The first descriptor is its argument, JSON in a memfd; the others are the
   * call's own. Answer: `report` or `refusal`.
   */
  query: {
    number: 40,
    from: "caller",
    fields: { method: { type: "text", bytesMax: 64 } },
    fdsMax: FRAME_FDS_MAX,
  },
  /** Nobody waits for the answer to request `target` any more. */
  forget: {
    number: 41,
    from: "caller",
    fields: { target: { type: "integer", min: 1, max: 0x7fff_ffff } },
    fdsMax: 0,
  },
  /** The init of a container that was made held begins to run. */
  start: { number: 7, from: "caller", fields: {}, fdsMax: 0 },
  /**
   * A further process in the container. Descriptors: its configuration (JSON, ProcessConfig), stdin, stdout, stderr, and those
   * that it gets from 3 on. Answer: `executed`.
   */
  execute: { number: 8, from: "caller", fields: {}, fdsMax: FRAME_FDS_MAX },
  /** The end of a process that `execute` has started (0 = the init). Answer: `exit`, when it comes. */
  wait: { number: 9, from: "caller", fields: { pid: guestPid }, fdsMax: 0 },
  /** Answer: `document`: ProcessRow[]. */
  processes: { number: 10, from: "caller", fields: {}, fdsMax: 0 },
  /** Answer: `document`: Statistics. */
  statistics: { number: 11, from: "caller", fields: {}, fdsMax: 0 },
  /** Answered when no guest instruction runs any more. */
  pause: { number: 12, from: "caller", fields: {}, fdsMax: 0 },
  resume: { number: 13, from: "caller", fields: {}, fdsMax: 0 },
  /** Answer: `condition`. */
  inquire: { number: 14, from: "caller", fields: {}, fdsMax: 0 },
  /**
   * One more container in the sandbox, held. Descriptors: its configuration (JSON, ContainerConfig), stdin, stdout, stderr, the
   * socket to its gofer, and what its init gets from 3 on. Later requests of this connection concern that container, and those of
   * connections that are made over it; it ends with this connection.
   */
  join: { number: 15, from: "caller", fields: {}, fdsMax: FRAME_FDS_MAX },
  /** Other limits of memory and tasks from now on; 0 = as it is. */
  limit: {
    number: 44,
    from: "caller",
    fields: { memoryBytes: { type: "amount" }, tasks: { type: "amount" } },
    fdsMax: 0,
  },

  /** Guest code runs from now on. The sentry is confined. */
  ready: { number: 16, from: "role", fields: {}, fdsMax: 0 },
  /** It could not start, or could not go on; `code` is what the command line ends with. */
  failed: {
    number: 17,
    from: "role",
    fields: { code: { type: "integer", min: 0, max: 255 }, message: sentence },
    fdsMax: 0,
  },
  /** The user should hear of it. */
  notice: { number: 18, from: "role", fields: { message: sentence }, fdsMax: 0 },
  /** Whether the command line is to measure the sandbox's memory now and then. */
  measure: { number: 19, from: "role", fields: { isWanted: { type: "flag" } }, fdsMax: 0 },
  /** The container has ended: its wait(2) status. As a reply: the process that was asked for. */
  exit: {
    number: 20,
    from: "role",
    fields: { status: { type: "integer", min: 0, max: 0xffff } },
    fdsMax: 0,
  },
  /** File `index` of those that `do --out` names is copied, with these permissions, or is not for this errno. */
  exported: {
    number: 45,
    from: "role",
    fields: {
      index: { type: "integer", min: 0, max: 63 },
      errno: { type: "integer", min: 0, max: 4095 },
      mode: { type: "integer", min: 0, max: 0o777 },
    },
    fdsMax: 0,
  },
  /** Reply: the request is carried out. */
  done: { number: 21, from: "role", fields: {}, fdsMax: 0 },
  /** Reply: it is not, and why: an errno of Linux'. */
  refused: {
    number: 22,
    from: "role",
    fields: { errno: { type: "integer", min: 1, max: 4095 } },
    fdsMax: 0,
  },
  /** Reply to `query`: its result, JSON in a memfd, and further descriptors. */
  report: { number: 42, from: "role", fields: {}, fdsMax: FRAME_FDS_MAX },
  /** Reply to `query`: why it is not carried out, in the words of the control API. */
  refusal: { number: 43, from: "role", fields: { message: sentence }, fdsMax: 0 },
  /** Reply: the process runs; its id in the container. */
  executed: { number: 23, from: "role", fields: { pid: guestPid }, fdsMax: 0 },
  /** Reply: what was asked for as JSON in a memfd. */
  document: { number: 24, from: "role", fields: {}, fdsMax: 1 },
  /** Reply: how the container is. */
  condition: {
    number: 25,
    from: "role",
    fields: { isStarted: { type: "flag" }, isPaused: { type: "flag" } },
    fdsMax: 0,
  },

  /**
   * Launcher to command line: what it has started. `control` and `goferControl` are numbers of the one who has started them;
   * an attendant (native/src/attendant.rs) sends them along.
   */
  started: {
    number: 32,
    from: "self",
    fields: { sentry: pid, gofer: pid, control: fd, goferControl: fd, isRootInside: { type: "flag" } },
    fdsMax: 2,
  },
  /**
   * Command line to launcher, which waits in its place: the control socket, the pipe of signals that have come meanwhile
   * (-1 = none); where clients of the control API connect (-1 = nowhere); sentry and gofer to be reaped (0 = none: it waits for process `pid` of a container, and has asked for its end
   * in WAIT_REQUEST); `guard` puts the terminal back when `release` closes (0 = there is none); the record to be removed at the
   * end ("" = none), and with it the directories of the cgroup (boot/cgroup/removal.ts). The launcher hands the same to the command line when there is more to do than to wait. To an attendant the
   * control socket (where there is no sentry to be reaped), the listening one and its terminal go as descriptors.
   */
  attend: {
    number: 33,
    from: "self",
    fields: {
      control: { type: "integer", min: -1, max: FD_MAX },
      diverted: { type: "integer", min: -1, max: FD_MAX },
      listener: { type: "integer", min: -1, max: FD_MAX },
      sentry: guestPid,
      gofer: guestPid,
      pid: guestPid,
      guard: { type: "integer", min: 0, max: PID_MAX },
      release: { type: "integer", min: -1, max: FD_MAX },
      hasTerminal: { type: "flag" },
      root: path,
      id: { type: "text", bytesMax: 255 },
      cgroup: { type: "text", bytesMax: 8192 },
      log: path,
      logFormat: { type: "text", bytesMax: 16 },
    },
    fdsMax: 3,
  },
  /** Attendant to command line: it could not start the roles, for this errno. */
  unstarted: {
    number: 34,
    from: "self",
    fields: { errno: { type: "integer", min: 1, max: 4095 } },
    fdsMax: 0,
  },
} as const satisfies Readonly<Record<string, Kind>>;

export type KindName = keyof typeof KINDS;

type MessageOf<K extends KindName> =
  & { readonly kind: K }
  & { readonly [F in keyof typeof KINDS[K]["fields"]]: Value<Extract<typeof KINDS[K]["fields"][F], Field>> };

export type Message = { [K in KindName]: MessageOf<K> }[KindName];
export type MessageFrom<S extends Sender> = Extract<
  Message,
  { kind: { [K in KindName]: typeof KINDS[K]["from"] extends S ? K : never }[KindName] }
>;

/** Bits of hello's `facts`. */
export const HELLO = {
  /** The sentry's user namespace is its own: what is counted by user there, is the sandbox's alone. */
  USER_NAMESPACE: 1,
  /** The caller is not root: the sentry has one user id only and cannot become nobody. */
  ROOTLESS: 2,
  /** The platform is systrap for certain. */
  SYSTRAP: 4,
  /** The sentry's main thread has a nice value SENTRY_PREFERENCE below its caller's. */
  PREFERRED: 8,
} as const;

/** Whom `signal` reaches. */
export const SCOPE = { PROCESS: 0, PROCESS_GROUP: 1, ALL: 2 } as const;

/** Of the `wait` whose answer an attendant gets, whatever else was asked before over that connection. */
export const WAIT_REQUEST = 0x7fff_ffff;

/** The sentry is one thread among those of all its guests, and is not to wait for its turn behind a crowd of them. */
export const SENTRY_PREFERENCE = 10;

/** A message with what its frame says besides. Request 0 asks for no reply. */
export interface Frame<M extends Message = Message> {
  readonly message: M;
  readonly request: number;
  readonly isReply: boolean;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The frame of a message of ours. Throws where we break our own table. */
export function encode(message: Message, request = 0, isReply = false): Uint8Array<ArrayBuffer> {
  const kind: Kind = KINDS[message.kind];
  const values = message as unknown as Readonly<Record<string, unknown>>;
  const bytes = new Uint8Array(FRAME_BYTES_MAX);
  const view = new DataView(bytes.buffer);
  let at = HEADER_BYTES;
  for (const name in kind.fields) {
    const field = kind.fields[name], value = values[name];
    if (field.type === "text" || field.type === "line") {
      const text = encodeText(field, value as string);
      view.setUint32(at, text.length, true);
      bytes.set(text, at + 4);
      at += 4 + text.length;
      continue;
    }
    const number = Number(value);
    if (!fits(field, number)) throw new RangeError(`${message.kind}.${name} cannot be ${value}`);
    if (field.type === "amount") view.setFloat64(at, number, true);
    else view.setInt32(at, number, true);
    at += field.type === "amount" ? 8 : 4;
  }
  view.setUint16(0, VERSION, true);
  view.setUint16(2, kind.number, true);
  view.setUint32(4, request, true);
  view.setUint32(8, at - HEADER_BYTES, true);
  view.setUint32(12, isReply ? FLAG_REPLY : 0, true);
  return bytes.slice(0, at);
}

function encodeText(field: { type: "text" | "line"; bytesMax: number }, value: string): Uint8Array {
  const text = encoder.encode(value);
  if (text.length <= field.bytesMax) return text;
  if (field.type === "text") throw new RangeError(`${text.length} bytes, at most ${field.bytesMax}`);
  let end = field.bytesMax;
  while ((text[end] & 0xc0) === 0x80) end--;
  return text.subarray(0, end);
}

/** The message in `length` bytes that `sender` has sent with `fdCount` descriptors, or a string: what is wrong with them. */
export function decode<S extends Sender>(
  bytes: Uint8Array<ArrayBuffer>,
  length: number,
  sender: S,
  fdCount = 0,
): Frame<MessageFrom<S>> | string {
  if (length < HEADER_BYTES || length > Math.min(bytes.length, FRAME_BYTES_MAX)) {
    return `a frame of ${length} bytes`;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, length);
  const version = view.getUint16(0, true), number = view.getUint16(2, true), flags = view.getUint32(12, true);
  if (version !== VERSION) return `version ${version} of the control protocol, ours is ${VERSION}`;
  const name = NAMES[sender].get(number);
  if (name === undefined) return `kind ${number}`;
  const kind: Kind = KINDS[name];
  if (view.getUint32(8, true) !== length - HEADER_BYTES) return `${name} of a wrong length`;
  if ((flags & ~FLAG_REPLY) !== 0) return `${name} with flags ${flags}`;
  if (fdCount > kind.fdsMax) return `${name} with ${fdCount} descriptors`;
  const message: Record<string, unknown> = { kind: name };
  let at = HEADER_BYTES;
  for (const key in kind.fields) {
    const field = kind.fields[key];
    const size = field.type === "amount" ? 8 : 4;
    if (at + size > length) return `${name} without ${key}`;
    if (field.type === "text" || field.type === "line") {
      const textBytes = view.getUint32(at, true);
      at += 4;
      if (textBytes > field.bytesMax || at + textBytes > length) {
        return `${name}.${key} of ${textBytes} bytes`;
      }
      const text = decodeText(bytes.subarray(at, at + textBytes));
      if (text === null) return `${name}.${key} that is not UTF-8`;
      message[key] = field.type === "line" ? printable(text) : text;
      at += textBytes;
      continue;
    }
    const value = field.type === "amount" ? view.getFloat64(at, true) : view.getInt32(at, true);
    if (!fits(field, value)) return `${name}.${key} ${value}`;
    message[key] = field.type === "flag" ? value === 1 : value;
    at += size;
  }
  if (at !== length) return `${name} with ${length - at} bytes too many`;
  return {
    message: message as unknown as MessageFrom<S>,
    request: view.getUint32(4, true),
    isReply: flags === FLAG_REPLY,
  };
}

function decodeText(bytes: Uint8Array<ArrayBuffer>): string | null {
  try {
    return decoder.decode(bytes);
  } catch {
    return null;
  }
}

function fits(field: Field, value: number): boolean {
  if (field.type === "integer") return Number.isInteger(value) && value >= field.min && value <= field.max;
  if (field.type === "flag") return value === 0 || value === 1;
  return Number.isSafeInteger(value) && value >= 0;
}

/** Kinds by number, of each sender. */
const NAMES: Readonly<Record<Sender, ReadonlyMap<number, KindName>>> = {
  caller: namesFrom("caller"),
  role: namesFrom("role"),
  self: namesFrom("self"),
};

function namesFrom(sender: Sender): ReadonlyMap<number, KindName> {
  const map = new Map<number, KindName>();
  for (const [name, kind] of Object.entries(KINDS)) {
    if (kind.from === sender) map.set(kind.number, name as KindName);
  }
  return map;
}

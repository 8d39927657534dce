// The small services of the stand-alone stack: echo (RFC 862), discard (RFC 863) and chargen (RFC 864), over endpoints as
// an embedder uses them: readiness puts an endpoint on a list, and the loop serves the list.

import { errnoName } from "../../kernel/abi/errno.ts";
import {
  type Endpoint,
  EndpointAddress,
  IncomingControl,
  OutgoingControl,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  type ReadinessQueue,
  type Stack,
} from "../../netstack/mod.ts";

const ECHO_PORT = 7;
const DISCARD_PORT = 9;
const CHARGEN_PORT = 19;

const BACKLOG = 1024;
/** Bytes of one read or write. */
const CHUNK_BYTES = 512 * 1024;
/** An echo reads on while it has not more than this to send back. */
const ECHO_BYTES = 256 * 1024;
/** Chunks served to one connection before the others have their turn. */
const CHUNKS_PER_TURN = 8;

const chunk = new Uint8Array(CHUNK_BYTES);

/** The endless lines of chargen: 95 printable characters, 72 a line, each line beginning one character further. */
const LINE_BYTES = 74;
const PERIOD_BYTES = 95 * LINE_BYTES;
const pattern = makePattern(PERIOD_BYTES + CHUNK_BYTES);

function makePattern(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) {
    const line = Math.floor(i / LINE_BYTES), column = i % LINE_BYTES;
    bytes[i] = column < 72 ? 32 + (line + column) % 95 : column === 72 ? 13 : 10;
  }
  return bytes;
}

/** Who serves one endpoint; says false when it is over. */
interface Service {
  serve(events: number): boolean;
  readonly endpoint: Endpoint;
}

/** The endpoints that have become ready, each once. */
export class ServiceLoop {
  readonly stack: Stack;
  #ready: Watch[] = [];
  #serving: Watch[] = [];
  connections = 0;

  constructor(stack: Stack) {
    this.stack = stack;
  }

  get isIdle(): boolean {
    return this.#ready.length === 0;
  }

  add(service: Service): void {
    const watch = new Watch(this, service);
    service.endpoint.queue = watch;
    this.connections++;
    watch.notify(service.endpoint.readiness());
  }

  enter(watch: Watch): void {
    this.#ready.push(watch);
  }

  /** Serves all that are ready now, once each. */
  turn(): void {
    const serving = this.#ready;
    this.#ready = this.#serving;
    this.#serving = serving;
    for (const watch of serving) {
      watch.isEntered = false;
      if (watch.service.serve(watch.service.endpoint.readiness())) continue;
      watch.service.endpoint.close();
      this.connections--;
    }
    serving.length = 0;
  }
}

class Watch implements ReadinessQueue {
  readonly #loop: ServiceLoop;
  readonly service: Service;
  isEntered = false;

  constructor(loop: ServiceLoop, service: Service) {
    this.#loop = loop;
    this.service = service;
  }
  notify(_events: number): void {
    if (this.isEntered) return;
    this.isEntered = true;
    this.#loop.enter(this);
  }
  /** It stopped for the others' sake. */
  again(): void {
    this.notify(POLLIN);
  }
}

/** Listens on all ports of both families. */
export function startServices(loop: ServiceLoop): void {
  for (const port of [ECHO_PORT, DISCARD_PORT, CHARGEN_PORT]) {
    const listener = loop.stack.newTcpEndpoint(false);
    const to = new EndpointAddress();
    to.port = port;
    check(listener.bind(to), `bind TCP port ${port}`);
    check(listener.listen(BACKLOG), `listen on TCP port ${port}`);
    loop.add(new Listener(loop, listener, port));
  }
  for (const port of [ECHO_PORT, DISCARD_PORT]) {
    const endpoint = loop.stack.newUdpEndpoint(false);
    const to = new EndpointAddress();
    to.port = port;
    check(endpoint.bind(to), `bind UDP port ${port}`);
    loop.add(new Datagrams(endpoint, port === ECHO_PORT));
  }
}

function check(result: number, what: string): void {
  if (result < 0) throw new Error(`Cannot ${what}: ${errnoName(-result)}`);
}

class Listener implements Service {
  readonly endpoint: Endpoint;
  readonly #loop: ServiceLoop;
  readonly #port: number;

  constructor(loop: ServiceLoop, endpoint: Endpoint, port: number) {
    this.#loop = loop;
    this.endpoint = endpoint;
    this.#port = port;
  }
  serve(): boolean {
    for (;;) {
      const accepted = this.endpoint.accept();
      if (typeof accepted === "number") return true;
      const loop = this.#loop;
      if (this.#port === ECHO_PORT) loop.add(new Echo(accepted));
      else if (this.#port === DISCARD_PORT) loop.add(new Discard(accepted));
      else loop.add(new Chargen(accepted));
    }
  }
}

class Echo implements Service {
  readonly endpoint: Endpoint;
  /** Bytes read and not yet sent back: waiting[at..end). */
  #waiting: Uint8Array | null = null;
  #at = 0;
  #end = 0;
  #isAtEnd = false;

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint;
  }
  serve(events: number): boolean {
    const { endpoint } = this;
    if ((events & POLLERR) !== 0) return false;
    for (;;) {
      if (this.#at < this.#end) {
        const n = endpoint.write(this.#waiting!, this.#at, this.#end - this.#at, 0, null);
        if (n < 0) return n === -11;
        this.#at += n;
        if (this.#at < this.#end) return true;
        this.#waiting = null;
        this.#at = this.#end = 0;
      }
      if (this.#isAtEnd) return false;
      const n = endpoint.read(chunk, 0, ECHO_BYTES, 0, null);
      if (n < 0) return n === -11;
      if (n === 0) {
        this.#isAtEnd = true;
        continue;
      }
      const sent = endpoint.write(chunk, 0, n, 0, null);
      if (sent < 0 && sent !== -11) return false;
      const done = Math.max(0, sent);
      if (done === n) continue;
      this.#waiting = chunk.slice(done, n);
      this.#end = n - done;
      return true;
    }
  }
}

class Discard implements Service {
  readonly endpoint: Endpoint;

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint;
  }
  serve(): boolean {
    for (let i = 0; i < CHUNKS_PER_TURN; i++) {
      const n = this.endpoint.read(chunk, 0, CHUNK_BYTES, 0, null);
      if (n <= 0) return n === -11;
    }
    (this.endpoint.queue as Watch).again();
    return true;
  }
}

class Chargen implements Service {
  readonly endpoint: Endpoint;
  #place = 0;

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint;
  }
  serve(events: number): boolean {
    if ((events & (POLLERR | POLLHUP)) !== 0) return false;
    for (let i = 0; i < CHUNKS_PER_TURN; i++) {
      const n = this.endpoint.write(pattern, this.#place, CHUNK_BYTES, 0, null);
      if (n < 0) return n === -11;
      this.#place = (this.#place + n) % PERIOD_BYTES;
      // A partial write: POLLOUT tells when there is room again.
      if (n < CHUNK_BYTES) return true;
    }
    (this.endpoint.queue as Watch).again();
    return true;
  }
}

const incoming = new IncomingControl();
const outgoing = new OutgoingControl();

class Datagrams implements Service {
  readonly endpoint: Endpoint;
  readonly #echoes: boolean;

  constructor(endpoint: Endpoint, echoes: boolean) {
    this.endpoint = endpoint;
    this.#echoes = echoes;
  }
  serve(): boolean {
    // An error of an earlier answer is reported once and does not end the service.
    for (let i = 0; i < 256; i++) {
      incoming.clear();
      const n = this.endpoint.read(chunk, 0, CHUNK_BYTES, 0, incoming);
      if (n === -11) return true;
      if (n < 0 || !this.#echoes || incoming.from.port < 1024) continue;
      outgoing.clear();
      outgoing.to = incoming.from;
      // From the address it was sent to, where that is one of ours and no group's.
      if (!incoming.destination.address.isMulticast) outgoing.source.copy(incoming.destination.address);
      this.endpoint.write(chunk, 0, n, 0, outgoing);
    }
    (this.endpoint.queue as Watch).again();
    return true;
  }
}

/** One connection of ours: sends or receives `bytes`, then says how it went. */
export class Transfer implements Service {
  readonly endpoint: Endpoint;
  readonly #bytes: number;
  readonly #isSending: boolean;
  #done = 0;
  #isShut = false;
  /** errno that ended it, 0 = none yet. */
  failure = 0;
  isOver = false;

  constructor(endpoint: Endpoint, bytes: number, isSending: boolean) {
    this.endpoint = endpoint;
    this.#bytes = bytes;
    this.#isSending = isSending;
  }
  get done(): number {
    return this.#done;
  }
  serve(events: number): boolean {
    const error = (events & POLLERR) !== 0 ? this.endpoint.takeError() : 0;
    if (error < 0) return this.#end(-error);
    if (!this.#isSending) return this.#receive();
    if ((events & (POLLOUT | POLLIN | POLLHUP)) === 0) return true;
    while (this.#done < this.#bytes) {
      const wanted = Math.min(CHUNK_BYTES, this.#bytes - this.#done);
      const n = this.endpoint.write(pattern, this.#done % PERIOD_BYTES, wanted, 0, null);
      if (n === -11) return true;
      if (n < 0) return this.#end(-n);
      this.#done += n;
      if (n < wanted) return true;
    }
    if (!this.#isShut) {
      this.#isShut = true;
      this.endpoint.shutdown(2);
    }
    // Everything has arrived once the other side has closed too, or has acknowledged the end.
    for (;;) {
      const n = this.endpoint.read(chunk, 0, CHUNK_BYTES, 0, null);
      if (n === -11) return true;
      if (n <= 0) return this.#end(n === 0 ? 0 : -n);
    }
  }
  #receive(): boolean {
    while (this.#done < this.#bytes) {
      const n = this.endpoint.read(chunk, 0, Math.min(CHUNK_BYTES, this.#bytes - this.#done), 0, null);
      if (n === -11) return true;
      if (n <= 0) return this.#end(n === 0 ? 0 : -n);
      this.#done += n;
    }
    return this.#end(0);
  }
  #end(errno: number): boolean {
    this.failure = errno;
    this.isOver = true;
    return false;
  }
}

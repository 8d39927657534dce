// Datagrams that a sandbox sends: each pair of its port and a destination is a connected socket of the host's, so that nobody
// but the destination can answer, and errors that the host hears come back.

import { EAGAIN, ECONNREFUSED, EHOSTUNREACH, EMSGSIZE, ENETUNREACH } from "../../../kernel/abi/errno.ts";
import {
  type Packet,
  POLLIN,
  type ReadinessQueue,
  type UdpEndpoint,
  type UdpForwarder,
  Unreachable,
} from "../../../netstack/mod.ts";
import { SocketKind } from "../../../native/host_sockets.ts";
import {
  addressBlock,
  CHUNK_BYTES,
  type HostListener,
  type RelayContext,
  type Served,
  type Watch,
} from "./context.ts";
import { type Flow, FlowTable } from "./flow_table.ts";
import { targetOf } from "./target.ts";

const FLOWS_MAX = 1024;
/** As Linux' conntrack keeps a stream of datagrams (nf_conntrack_udp_timeout_stream). */
const IDLE_NANOS = 120e9;
/** Datagrams that one flow moves each way before the others have their turn. */
const DATAGRAMS_PER_TURN = 64;

export class OutgoingUdp implements UdpForwarder {
  readonly #context: RelayContext;
  /** Ours, and its port: the DNS forwarder's, which has endpoints of its own. */
  readonly #isDns: (packet: Packet, port: number) => boolean;
  readonly flows = new FlowTable<UdpFlow>(FLOWS_MAX, IDLE_NANOS);

  constructor(context: RelayContext, isDns: (packet: Packet, port: number) => boolean) {
    this.#context = context;
    this.#isDns = isDns;
  }

  onDatagram(packet: Packet, sourcePort: number, port: number, at: number, length: number): boolean {
    if (this.#isDns(packet, port)) return false;
    const { stack, sockets } = this.#context;
    const target = targetOf(this.#context, packet.destination, port);
    if (target === null) {
      stack.icmp.sendUnreachable(packet, Unreachable.Prohibited);
      return true;
    }
    const fd = sockets.connect(SocketKind.Datagram, addressBlock(target, port));
    if (fd < 0) {
      stack.icmp.sendUnreachable(packet, reasonOf(-fd));
      return true;
    }
    const quotation = stack.udp.quotationOf(packet);
    if (quotation === null) {
      sockets.close(fd);
      return true;
    }
    const key = `${packet.source}/${sourcePort}/${packet.destination}/${port}`;
    const endpoint = stack.udp.acceptFlow(packet, sourcePort, port);
    const flow = new UdpFlow(this.#context, endpoint, fd, quotation, (one) => {
      this.flows.touch(key, one, stack.now);
    });
    this.flows.add(key, flow, stack.now);
    flow.send(packet.bytes, at, length);
    return true;
  }
}

class UdpFlow implements Flow, HostListener, ReadinessQueue, Served {
  isEntered = false;
  usedAt = 0;
  readonly #context: RelayContext;
  readonly #endpoint: UdpEndpoint;
  readonly #fd: number;
  readonly #watch: Watch;
  /** Headers of the first datagram: what an error quotes. */
  readonly #quotation: Packet;
  readonly #onUse: (flow: UdpFlow) => void;
  #isClosed = false;

  constructor(
    context: RelayContext,
    endpoint: UdpEndpoint,
    fd: number,
    quotation: Packet,
    onUse: (flow: UdpFlow) => void,
  ) {
    this.#context = context;
    this.#endpoint = endpoint;
    this.#fd = fd;
    this.#quotation = quotation;
    this.#onUse = onUse;
    this.#watch = context.watches.add(fd, POLLIN, this);
    endpoint.queue = this;
  }

  notify(_events: number): void {
    this.#context.turns.enter(this);
  }
  onHost(_events: number): void {
    this.#context.turns.enter(this);
  }

  send(bytes: Uint8Array, at: number, length: number): void {
    const sent = this.#context.sockets.send(this.#fd, bytes, at, length);
    // Without room it is lost, as on any wire.
    if (sent < 0 && sent !== -EAGAIN && sent !== -EMSGSIZE) this.#tell(-sent);
  }

  serve(): void {
    if (this.#isClosed) return;
    const { chunk, sockets, turns } = this.#context;
    this.#onUse(this);
    for (let i = 0; i < DATAGRAMS_PER_TURN; i++) {
      const out = this.#endpoint.read(chunk, 0, CHUNK_BYTES, 0, null);
      if (out >= 0) this.send(chunk, 0, out);
      const n = sockets.receive(this.#fd, chunk, 0, CHUNK_BYTES);
      if (n >= 0) this.#endpoint.write(chunk, 0, n, 0, null);
      else if (n !== -EAGAIN) this.#tell(-n);
      if (out < 0 && n === -EAGAIN) return;
    }
    turns.enter(this);
  }

  #tell(errno: number): void {
    this.#context.stack.icmp.sendUnreachable(this.#quotation, reasonOf(errno));
  }

  close(): void {
    this.#isClosed = true;
    this.#watch.end();
    this.#context.sockets.close(this.#fd);
    this.#endpoint.close();
    this.#quotation.release();
  }
}

function reasonOf(errno: number): Unreachable {
  if (errno === ECONNREFUSED) return Unreachable.Port;
  if (errno === ENETUNREACH) return Unreachable.Network;
  return errno === EHOSTUNREACH ? Unreachable.Host : Unreachable.Prohibited;
}

// Echo requests that a sandbox sends, by ping sockets of the host (icmp(7)), which need no right where the host lets the user's
// group have them (net.ipv4.ping_group_range).

import { EAGAIN } from "../../../kernel/abi/errno.ts";
import {
  type Address,
  type EchoForwarder,
  type Nic,
  type Packet,
  POLLIN,
  Unreachable,
} from "../../../netstack/mod.ts";
import { SocketKind } from "../../../native/host_sockets.ts";
import { addressBlock, CHUNK_BYTES, type HostListener, type RelayContext, type Watch } from "./context.ts";
import { type Flow, FlowTable } from "./flow_table.ts";
import { targetOf } from "./target.ts";

const FLOWS_MAX = 256;
const IDLE_NANOS = 60e9;
/** Answers that one flow passes on at a time. */
const ANSWERS_PER_TURN = 16;
/** Header of an echo: type, code, checksum, identifier, sequence number. */
const ECHO_BYTES = 8;
const IDENTIFIER_AT = 4;

export class OutgoingPing implements EchoForwarder {
  readonly #context: RelayContext;
  readonly flows = new FlowTable<PingFlow>(FLOWS_MAX, IDLE_NANOS);

  constructor(context: RelayContext) {
    this.#context = context;
  }

  onEcho(packet: Packet, nic: Nic): boolean {
    const { stack, sockets } = this.#context;
    const { bytes, at, source, destination } = packet;
    const length = packet.end - at;
    // For us, or for all that hear it.
    if (length < ECHO_BYTES || nic.hasAddress(destination) || destination.isMulticast) return false;
    const identifier = bytes[at + IDENTIFIER_AT] << 8 | bytes[at + IDENTIFIER_AT + 1];
    const key = `${source}/${identifier}/${destination}`;
    let flow = this.flows.get(key);
    if (flow === null) {
      const target = targetOf(this.#context, destination, 0);
      const fd = target === null ? -1 : sockets.connect(SocketKind.Ping, addressBlock(target, 0));
      if (fd < 0) {
        stack.icmp.sendUnreachable(packet, Unreachable.Prohibited);
        return true;
      }
      flow = new PingFlow(this.#context, fd, source.clone(), destination.clone(), identifier);
      this.flows.add(key, flow, stack.now);
    }
    this.flows.touch(key, flow, stack.now);
    sockets.send(flow.fd, bytes, at, length);
    return true;
  }
}

class PingFlow implements Flow, HostListener {
  usedAt = 0;
  readonly fd: number;
  readonly #context: RelayContext;
  readonly #watch: Watch;
  readonly #source: Address;
  readonly #destination: Address;
  /** The sandbox's; the host's kernel puts its own into what goes out. */
  readonly #identifier: number;

  constructor(context: RelayContext, fd: number, source: Address, destination: Address, identifier: number) {
    this.#context = context;
    this.fd = fd;
    this.#source = source;
    this.#destination = destination;
    this.#identifier = identifier;
    this.#watch = context.watches.add(fd, POLLIN, this);
  }

  onHost(_events: number): void {
    const { chunk, sockets, stack } = this.#context;
    for (let i = 0; i < ANSWERS_PER_TURN; i++) {
      const n = sockets.receive(this.fd, chunk, 0, CHUNK_BYTES);
      if (n === -EAGAIN) return;
      if (n < ECHO_BYTES) continue;
      chunk[IDENTIFIER_AT] = this.#identifier >> 8;
      chunk[IDENTIFIER_AT + 1] = this.#identifier & 0xff;
      stack.icmp.answerEcho(this.#destination, this.#source, chunk, IDENTIFIER_AT, n - IDENTIFIER_AT);
    }
  }

  close(): void {
    this.#watch.end();
    this.#context.sockets.close(this.fd);
  }
}

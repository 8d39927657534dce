// AF_UNIX as a family of sockets: socket(2) and socketpair(2).

import { EPROTONOSUPPORT, ESOCKTNOSUPPORT } from "../../abi/errno.ts";
import { AF_UNIX, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, SOCK_STREAM } from "../../abi/socket.ts";
import type { Task } from "../../task/task.ts";
import { peerCredentials } from "../message.ts";
import type { Socket, SocketFamily } from "../socket.ts";
import { UnixDatagram } from "./datagram.ts";
import { UnixSeqpacket } from "./seqpacket.ts";
import { UnixStream } from "./stream.ts";

type UnixKind = UnixStream | UnixSeqpacket | UnixDatagram;

function create(task: Task, type: number, protocol: number, flags: number): UnixKind | number {
  if (protocol !== 0 && protocol !== AF_UNIX) return -EPROTONOSUPPORT;
  switch (type) {
    case SOCK_STREAM:
      return new UnixStream(task, flags);
    case SOCK_SEQPACKET:
      return new UnixSeqpacket(task, flags);
    case SOCK_DGRAM:
    case SOCK_RAW:
      // "Believe it or not BSD has AF_UNIX, SOCK_RAW": it is a datagram socket.
      return new UnixDatagram(task, flags);
    default:
      return -ESOCKTNOSUPPORT;
  }
}

function createPair(
  task: Task,
  type: number,
  protocol: number,
  flags: number,
  pair: [Socket | null, Socket | null],
): number {
  const first = create(task, type, protocol, flags);
  if (typeof first === "number") return first;
  const second = create(task, type, protocol, flags) as UnixKind;
  if (first instanceof UnixDatagram) first.connectTo(second as UnixDatagram);
  else first.connectTo(second as UnixStream & UnixSeqpacket);
  first.peerCredentials = second.peerCredentials = peerCredentials(task);
  pair[0] = first;
  pair[1] = second;
  return 0;
}

export const UNIX_FAMILY: SocketFamily = { create, createPair };

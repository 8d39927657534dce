// Descriptors on their way between processes: SCM_RIGHTS. Linux: net/unix/garbage.c, unix(7). A socket that is only to
// be found in messages that wait in sockets that are only to be found there too, and so on, would live for ever; the
// collector finds such rings and empties their queues.

import type { LoopService } from "../../host/loop_service.ts";
import type { File } from "../../vfs/file.ts";
import { UnixSocket } from "./unix_socket.ts";

/** Sockets that each call of collectRings() pays the look at. */
const SOCKETS_PER_CALL = 64;

/** Sockets of rings that are emptied in one turn. */
const EMPTIED_MAX = 64;

/** Descriptors in the messages of one kernel. */
export class RightsInFlight implements LoopService {
  readonly name = "descriptors in messages";
  /** Unix sockets that are in transit in a message. */
  readonly #sockets = new Set<UnixSocket>();
  /** Sockets in rings, held here until they have been emptied: the rest of them goes in the next turns. */
  readonly #garbage: UnixSocket[] = [];
  #isCollecting = false;
  /** Calls of collectRings() since it last looked. */
  #callsSince = 0;
  /** Files of all kinds in all messages. */
  #files = 0;

  get files(): number {
    return this.#files;
  }

  /** `files` have been put into a message that waits in a queue. */
  enter(files: readonly File[]): void {
    this.#files += files.length;
    for (const file of files) {
      if (!(file instanceof UnixSocket)) continue;
      file.flights++;
      this.#sockets.add(file);
    }
  }

  /** `files` have been taken out of a queue. */
  leave(files: readonly File[]): void {
    this.#files -= files.length;
    for (const file of files) {
      if (file instanceof UnixSocket && --file.flights === 0) this.#sockets.delete(file);
    }
  }

  /** The files of a message that is thrown away. */
  drop(files: readonly File[]): void {
    this.leave(files);
    for (const file of files) file.drop();
  }

  /**
   * Frees rings of sockets that nobody can reach. Called when a Unix socket closes or descriptors are sent; looks at all sockets
   * on their way, and so, where they are many, not at each call.
   */
  collectRings(): void {
    if (this.#sockets.size === 0 || this.#isCollecting) return;
    this.#callsSince++;
    if (this.#callsSince * SOCKETS_PER_CALL < this.#sockets.size) return;
    this.#callsSince = 0;
    for (const socket of findGarbage(this.#sockets)) {
      socket.hold();
      this.#garbage.push(socket);
    }
    this.poll();
  }

  pollAt(): number {
    return this.#garbage.length > 0 ? 0 : Infinity;
  }

  /** Empties some of what was found. */
  poll(): void {
    this.#isCollecting = true;
    for (let count = 0; count < EMPTIED_MAX && this.#garbage.length > 0; count++) {
      const socket = this.#garbage.pop()!;
      socket.dropQueuedFiles();
      socket.drop();
    }
    this.#isCollecting = false;
  }
}

/** Sockets with references from messages alone, less those that a message in a socket still in use leads to. */
function findGarbage(inFlight: ReadonlySet<UnixSocket>): UnixSocket[] {
  const inner = new Map<UnixSocket, number>();
  for (const socket of inFlight) {
    if (socket.references === socket.flights) inner.set(socket, 0);
  }
  if (inner.size === 0) return [];
  for (const socket of inner.keys()) {
    socket.forEachQueuedFile((file) => {
      const count = inner.get(file as UnixSocket);
      if (count !== undefined) inner.set(file as UnixSocket, count + 1);
    });
  }
  const reached: UnixSocket[] = [];
  for (const [socket, count] of inner) if (socket.flights > count) reached.push(socket);
  for (let socket = reached.pop(); socket !== undefined; socket = reached.pop()) {
    if (!inner.delete(socket)) continue;
    socket.forEachQueuedFile((file) => {
      if (inner.has(file as UnixSocket)) reached.push(file as UnixSocket);
    });
  }
  return [...inner.keys()];
}

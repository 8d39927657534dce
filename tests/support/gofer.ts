// A gofer in the test's own process: its workers are native threads, which serve directories of the host over a channel as
// they do in a process of their own.

import { GoferServer } from "../../gofer/server.ts";
import { connectGofer } from "../../native/gofer_channel.ts";
import { serveAside } from "../../native/gofer_host.ts";
import { NativeHost } from "../../native/host.ts";
import { socketPair } from "../../native/process.ts";
import type { GoferChannel } from "../../platform/platform.ts";

class ServerAside extends GoferServer {
  ended: Promise<void> = Promise.resolve();
  override serve(): void {
    this.ended = serveAside(this.number);
  }
}

export class TestGofer implements AsyncDisposable {
  readonly host = new NativeHost();
  readonly channel: GoferChannel;
  readonly socket: number;
  readonly #server = new ServerAside();

  /** Serves `directories`, mounts 0 and on. */
  constructor(directories: readonly string[], isReadOnly = false) {
    for (const path of directories) this.#server.open({ path, isReadOnly, isRecursive: false });
    const [ours, theirs] = socketPair();
    this.socket = ours;
    this.#server.start(theirs);
    this.#server.serve();
    const channel = connectGofer(ours, -1, 60_000);
    if (typeof channel === "number") throw new Error(`Cannot connect to the gofer: ${channel}`);
    this.channel = channel;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.channel.close();
    this.host.close(this.socket);
    await this.#server.ended;
  }
}

// Host directories mounted through a gofer in the test's own process, with what is asked of it, and a host whose time, memory
// and disk the test decides.

import { equal } from "node:assert/strict";
import { GoferClient, GoferConnection } from "../../gofer/client.ts";
import { REQUEST } from "../../gofer/protocol.ts";
import { EAGAIN } from "../../kernel/abi/errno.ts";
import { AT_FDCWD, O_RDONLY } from "../../kernel/abi/file.ts";
import { HostDescriptors } from "../../kernel/host/host_descriptor.ts";
import { GoferFilesystem } from "../../kernel/fs/gofer/filesystem.ts";
import { makeDirectory } from "../../kernel/vfs/create.ts";
import type { File } from "../../kernel/vfs/file.ts";
import { newMount } from "../../kernel/vfs/mount.ts";
import { attach } from "../../kernel/vfs/mounting.ts";
import { openByName } from "../../kernel/vfs/open.ts";
import { FOLLOW, resolve } from "../../kernel/vfs/path_walk.ts";
import { NativeHost } from "../../native/host.ts";
import type { GoferChannel } from "../../platform/platform.ts";
import { TestGofer } from "./gofer.ts";
import { VfsTask } from "./vfs_task.ts";

/** Longer than an answer about a shared mount holds. */
export const FORGOTTEN_NANOS = 60e6;
const NAMES = new Map<number, string>(Object.entries(REQUEST).map(([name, id]) => [id, name]));

/**
 * A host whose time passes only when a test says so: what holds for a while must not depend on how fast the machine is. And
 * one that may have nothing of a file in memory, or take its time over a write.
 */
export class StoppedHost extends NativeHost {
  stoppedAt = super.clockNanos(1);
  isCold = false;
  writeNanos = 0;
  /** Whether it sleeps over them, or others have the CPU. */
  sleepsInWrites = true;
  #sleeps = 0;
  override preadNow(fd: number, into: Uint8Array, at: number, length: number, offset: number): number {
    return this.isCold ? -EAGAIN : super.preadNow(fd, into, at, length, offset);
  }
  override pwrite(fd: number, from: Uint8Array, at: number, length: number, offset: number): number {
    this.stoppedAt += this.writeNanos;
    if (this.sleepsInWrites) this.#sleeps++;
    return super.pwrite(fd, from, at, length, offset);
  }
  override sleeps(): number {
    return this.#sleeps;
  }
  override clockNanos(_clock: number): number {
    return this.stoppedAt;
  }
}

/** The channel, with what is asked on it. */
export class CountingChannel implements GoferChannel {
  readonly asked: string[] = [];
  readonly #channel: GoferChannel;
  readonly #host: StoppedHost;
  constructor(channel: GoferChannel, host: StoppedHost) {
    this.#channel = channel;
    this.#host = host;
  }
  get slot() {
    return this.#channel.slot;
  }
  get hasBegun() {
    return this.#channel.hasBegun;
  }
  get hasOthers() {
    return this.#channel.hasOthers;
  }
  get donated() {
    return this.#channel.donated;
  }
  get answeredAtNanos() {
    return this.#host.stoppedAt;
  }
  ask(question: Uint8Array, length: number, answer: Uint8Array, micros: number): number {
    this.asked.push(NAMES.get(question[0] | question[1] << 8)!);
    return this.#channel.ask(question, length, answer, micros);
  }
  take(slot: number, answer: Uint8Array): number {
    return this.#channel.take(slot, answer);
  }
  answered(): number {
    return this.#channel.answered();
  }
  close(): void {
    this.#channel.close();
  }

  /** What was asked since the last time. */
  forget(): string[] {
    return this.asked.splice(0);
  }
}

export class Mounted implements AsyncDisposable {
  readonly t = new VfsTask();
  readonly directory = Deno.makeTempDirSync({ prefix: "tsvisor-gofer-" });
  // The same directory twice, for two mounts.
  readonly gofer = new TestGofer([this.directory, this.directory]);
  readonly clock = new StoppedHost();
  readonly descriptors = new HostDescriptors(this.clock);
  readonly host = new CountingChannel(this.gofer.channel, this.clock);
  readonly #connection = new GoferConnection(this.host);
  #mounts = 0;

  constructor() {
    this.mount("/host", false);
  }

  /** Mounts the directory once more. */
  mount(at: string, isExclusive: boolean): GoferFilesystem {
    const { t } = this;
    const client = new GoferClient(this.#connection, this.#mounts++);
    const fs = new GoferFilesystem(t.kernel, client, this.descriptors, false, isExclusive);
    makeDirectory(t.task, AT_FDCWD, at, 0o755);
    const place = resolve(t.task, AT_FDCWD, at, FOLLOW);
    if (typeof place === "number") throw new Error(`No ${at}: ${place}`);
    attach(t.namespaces.mount, newMount(fs, "host", 0), place);
    this.host.forget();
    return fs;
  }

  open(name: string, flags: number): File {
    const file = openByName(this.t.task, AT_FDCWD, name, flags, 0o644);
    if (typeof file === "number") throw new Error(`Cannot open ${name}: ${file}`);
    return file;
  }

  names(name: string): string[] {
    const file = this.open(name, O_RDONLY), names: string[] = [];
    equal(file.asDirectory()!.readDirectory(this.t.task, { emit: (entry) => names.push(entry) > 0 }), 0);
    file.drop();
    return names.sort();
  }

  inode(name: string) {
    const path = resolve(this.t.task, AT_FDCWD, name, 0);
    if (typeof path === "number") return path;
    const refreshed = path.inode.refresh();
    return refreshed < 0 ? refreshed : path.inode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gofer[Symbol.asyncDispose]();
    Deno.removeSync(this.directory, { recursive: true });
  }
}

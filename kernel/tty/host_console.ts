// The container's terminal and its counterpart outside: a pump between the master of one of our terminals and descriptors
// of the host, usually a terminal in raw mode there. Keys are typed into ours, its output is printed there, the size
// follows. The master has no File: this object is it.

import { EAGAIN } from "../abi/errno.ts";
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from "../abi/file.ts";
import { u16 } from "../abi/struct.ts";
import { TIOCGWINSZ } from "../abi/tty.ts";
import { HOST_IOCTL_BYTES, type HostDescriptor } from "../host/host_descriptor.ts";
import type { HostWatch } from "../host/host_watch.ts";
import type { Kernel } from "../kernel.ts";
import { Waiter, type WaitListener } from "../util/wait_queue.ts";
import { hangUp } from "./job_control.ts";
import type { Terminal } from "./terminal.ts";

/** Bytes copied at once. A pipe that polls writable takes as many as one piece. */
const PIECE_BYTES = 4096;
/** struct winsize. */
const WINSIZE_BYTES = 8;
/** struct signalfd_siginfo. */
const SIGNALFD_SIGINFO_BYTES = 128;
/** How long the last output may take to leave when the container has ended. */
const DRAIN_NANOS_MAX = 2e9;

export class HostConsole implements WaitListener {
  readonly #kernel: Kernel;
  readonly #terminal: Terminal;
  readonly #inputFrom: HostDescriptor;
  readonly #outputTo: HostDescriptor;
  /** Whose size ours follows: the first of them that is a terminal and has one. */
  readonly #sizedBy: readonly HostDescriptor[];
  /** What resize() has found last. */
  #hostSize = "";
  readonly #isTerminal: boolean;
  readonly #waiter: Waiter = new Waiter(this);
  readonly #input = new Uint8Array(PIECE_BYTES);
  /** Output fetched and not yet written: #outputBytes from #outputAt on. */
  readonly #output = new Uint8Array(PIECE_BYTES);
  #outputAt = 0;
  #outputBytes = 0;
  /** null before the first wait. */
  #inputWatch: HostWatch | null = null;
  #outputWatch: HostWatch | null = null;
  #isInputWatched = false;
  /** Tells of signals that the host's terminal sends about its size. */
  #sizeSignals: HostDescriptor | null = null;
  #sizeWatch: HostWatch | null = null;
  /** No more keys will come. */
  #isInputOver = false;
  /** Nobody takes our output any more: it is dropped. */
  #isOutputOver = false;
  /** Set while output is moved, as moving it tells the queue that we listen to. */
  #isPumping = false;

  #isReleased = false;

  /** Between `terminal` and `stdio`, the container's three descriptors, all of which it holds until release(). */
  constructor(kernel: Kernel, terminal: Terminal, stdio: readonly HostDescriptor[]) {
    this.#kernel = kernel;
    this.#terminal = terminal;
    this.#inputFrom = stdio[0];
    this.#outputTo = stdio[1];
    this.#sizedBy = stdio;
    for (const descriptor of stdio) descriptor.hold();
    this.#isTerminal = this.#inputFrom.ioctl(TIOCGWINSZ, new Uint8Array(HOST_IOCTL_BYTES), 0) === 0;
  }

  /** Our terminal has a size of its own until the host's changes. */
  setSize(rows: number, columns: number): void {
    this.resize();
    this.#terminal.setWindowSize(rows, columns, 0, 0);
  }

  /** Begins to copy. */
  start(): void {
    this.#terminal.masterQueue.add(this.#waiter, POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM);
    this.#pumpInput();
    this.#pumpOutput();
  }

  /** Our terminal takes the size of the host's, should that be another one than before. */
  resize(): void {
    const size = new Uint8Array(HOST_IOCTL_BYTES);
    for (const descriptor of this.#sizedBy) {
      if (descriptor.ioctl(TIOCGWINSZ, size, 0) < 0) continue;
      const text = size.subarray(0, WINSIZE_BYTES).toString();
      if (text === this.#hostSize) return;
      this.#hostSize = text;
      this.#terminal.setWindowSize(u16(size, 0), u16(size, 2), u16(size, 4), u16(size, 6));
      return;
    }
  }

  /** The size follows that of the host's terminal whenever `signals`, a signalfd for SIGWINCH, says so. Takes it over. */
  followSize(signals: HostDescriptor): void {
    const info = new Uint8Array(SIGNALFD_SIGINFO_BYTES);
    const onHostEvents = () => {
      signals.read(info, 0, info.length);
      this.resize();
    };
    this.#sizeSignals = signals;
    this.#sizeWatch = this.#kernel.watches.add(signals, POLLIN, { onHostEvents });
  }

  /** Our terminal has output, or room for keys. */
  onReady(_waiter: Waiter, events: number): void {
    if ((events & (POLLIN | POLLRDNORM)) !== 0) this.#pumpOutput();
    if ((events & (POLLOUT | POLLWRNORM)) !== 0 && !this.#isInputWatched) this.#pumpInput();
  }

  #pumpInput(): void {
    while (!this.#isInputOver) {
      if (!this.#terminal.hasMasterRoom) {
        this.#watchInput(false);
        return;
      }
      if (this.#inputFrom.poll(POLLIN) === 0) {
        this.#watchInput(true);
        return;
      }
      const room = Math.min(PIECE_BYTES, this.#terminal.masterRoom);
      const n = this.#inputFrom.read(this.#input, 0, room);
      if (n > 0) this.#terminal.writeMaster(this.#input, 0, n);
      else if (n !== -EAGAIN) this.#endInput();
    }
  }

  /** The line outside is gone: ours is hung up when it was a terminal; a file that has ended just types no more. */
  #endInput(): void {
    this.#isInputOver = true;
    this.#watchInput(false);
    if (this.#isTerminal) hangUp(this.#terminal, true);
  }

  #pumpOutput(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    for (;;) {
      if (this.#outputBytes === 0 && !this.#fetch()) {
        this.#watchOutput(false);
        break;
      }
      if (this.#isOutputOver) {
        this.#outputBytes = 0;
        continue;
      }
      if (this.#outputTo.poll(POLLOUT) === 0) {
        this.#watchOutput(true);
        break;
      }
      const n = this.#outputTo.write(this.#output, this.#outputAt, this.#outputBytes);
      if (n > 0) {
        this.#outputAt += n;
        this.#outputBytes -= n;
      } else if (n === -EAGAIN) {
        this.#watchOutput(true);
        break;
      } else {
        this.#isOutputOver = true;
      }
    }
    this.#isPumping = false;
  }

  #fetch(): boolean {
    const n = this.#terminal.readMaster(this.#output, 0, PIECE_BYTES);
    if (n <= 0) return false;
    this.#outputAt = 0;
    this.#outputBytes = n;
    return true;
  }

  #watchInput(isWanted: boolean): void {
    if (isWanted === this.#isInputWatched) return;
    this.#isInputWatched = isWanted;
    this.#inputWatch ??= this.#kernel.watches.add(this.#inputFrom, 0, {
      onHostEvents: () => this.#pumpInput(),
    });
    this.#inputWatch.set(isWanted ? POLLIN : 0);
  }

  #watchOutput(isWanted: boolean): void {
    if (!isWanted && this.#outputWatch === null) return;
    this.#outputWatch ??= this.#kernel.watches.add(this.#outputTo, 0, {
      onHostEvents: () => this.#pumpOutput(),
    });
    this.#outputWatch.set(isWanted ? POLLOUT : 0);
  }

  /** Sends out what there is; true when nothing is left. */
  flush(): boolean {
    this.#pumpOutput();
    return this.#outputBytes === 0;
  }

  /** The container has ended: what it printed last goes out, within a limit of time. */
  drain(): void {
    const { clock } = this.#kernel;
    const end = clock.monotonic() + DRAIN_NANOS_MAX;
    this.flush();
    while (this.#outputBytes > 0 && clock.monotonic() < end) {
      if (this.#outputTo.poll(POLLOUT) !== 0) this.#pumpOutput();
      else Atomics.wait(nap, 0, 0, NAP_MILLIS);
    }
  }

  /** Hangs up the processes that still use our terminal, and stops copying. */
  close(): void {
    hangUp(this.#terminal, true);
    this.release();
  }

  /** Nothing is copied any more. Safe to call again. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#terminal.masterQueue.remove(this.#waiter);
    this.#isInputOver = true;
    this.#isOutputOver = true;
    this.#inputWatch?.end();
    this.#outputWatch?.end();
    this.#sizeWatch?.end();
    this.#sizeSignals?.drop();
    for (const descriptor of this.#sizedBy) descriptor.drop();
  }
}

/** Nothing runs any more at the end: a nap between two looks. */
const nap = new Int32Array(new SharedArrayBuffer(4));
const NAP_MILLIS = 2;

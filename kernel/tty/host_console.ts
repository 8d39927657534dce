// The container's terminal and its counterpart outside: a pump between the master of one of our terminals and descriptors
// of the host, usually a terminal in raw mode there. Keys are typed into ours, its output is printed there, the size
// follows. No File stands for the master: this object is it.

import { EAGAIN } from "../abi/errno.ts";
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from "../abi/file.ts";
import { u16 } from "../abi/struct.ts";
import { TIOCGWINSZ } from "../abi/tty.ts";
import type { Kernel } from "../kernel.ts";
import { changeHostFdWatch, watchHostFd } from "../task/host_fds.ts";
import { Waiter, type WaitListener } from "../util/wait_queue.ts";
import { hangUp } from "./job_control.ts";
import type { Terminal } from "./terminal.ts";

/** Bytes copied at once. A pipe that polls writable takes as many as one piece. */
const PIECE_BYTES = 4096;
/** How long the last output may take to leave when the container has ended. */
const DRAIN_NANOS_MAX = 2e9;

export class HostConsole implements WaitListener {
  readonly #kernel: Kernel;
  readonly #terminal: Terminal;
  readonly #inputFd: number;
  readonly #outputFd: number;
  readonly #isTerminal: boolean;
  readonly #waiter: Waiter = new Waiter(this);
  readonly #input = new Uint8Array(PIECE_BYTES);
  /** Output fetched and not yet written: #outputBytes from #outputAt on. */
  readonly #output = new Uint8Array(PIECE_BYTES);
  #outputAt = 0;
  #outputBytes = 0;
  /** Cookies of the watches, -1 before the first; and what is watched for now. */
  #inputCookie = -1;
  #outputCookie = -1;
  #isInputWatched = false;
  #isOutputWatched = false;
  /** No more keys will come. */
  #isInputOver = false;
  /** Nobody takes our output any more: it is dropped. */
  #isOutputOver = false;
  /** Set while output is moved, as moving it tells the queue that we listen to. */
  #isPumping = false;

  constructor(kernel: Kernel, terminal: Terminal, inputFd: number, outputFd: number) {
    this.#kernel = kernel;
    this.#terminal = terminal;
    this.#inputFd = inputFd;
    this.#outputFd = outputFd;
    this.#isTerminal = kernel.host.ioctl(inputFd, TIOCGWINSZ, new Uint8Array(64), 0) === 0;
  }

  /** Begins to copy. */
  start(): void {
    this.#terminal.masterQueue.add(this.#waiter, POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM);
    this.#pumpInput();
    this.#pumpOutput();
  }

  /** Our terminal takes the size of the host's, where one of `fds` is a terminal that has one. */
  resize(fds: readonly number[]): void {
    const size = new Uint8Array(64);
    for (const fd of fds) {
      if (this.#kernel.host.ioctl(fd, TIOCGWINSZ, size, 0) < 0) continue;
      this.#terminal.setWindowSize(u16(size, 0), u16(size, 2), u16(size, 4), u16(size, 6));
      return;
    }
  }

  /** Our terminal has output, or room for keys. */
  onReady(_waiter: Waiter, events: number): void {
    if ((events & (POLLIN | POLLRDNORM)) !== 0) this.#pumpOutput();
    if ((events & (POLLOUT | POLLWRNORM)) !== 0 && !this.#isInputWatched) this.#pumpInput();
  }

  #pumpInput(): void {
    const { host } = this.#kernel;
    while (!this.#isInputOver) {
      if (!this.#terminal.hasMasterRoom) {
        this.#watchInput(false);
        return;
      }
      if (host.poll(this.#inputFd, POLLIN) === 0) {
        this.#watchInput(true);
        return;
      }
      const room = Math.min(PIECE_BYTES, this.#terminal.masterRoom);
      const n = host.read(this.#inputFd, this.#input, 0, room);
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
    const { host } = this.#kernel;
    for (;;) {
      if (this.#outputBytes === 0 && !this.#fetch()) {
        this.#watchOutput(false);
        break;
      }
      if (this.#isOutputOver) {
        this.#outputBytes = 0;
        continue;
      }
      if (host.poll(this.#outputFd, POLLOUT) === 0) {
        this.#watchOutput(true);
        break;
      }
      const n = host.write(this.#outputFd, this.#output, this.#outputAt, this.#outputBytes);
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
    if (this.#inputCookie < 0) {
      this.#inputCookie = watchHostFd(this.#kernel, this.#inputFd, POLLIN, () => this.#pumpInput());
    } else {
      changeHostFdWatch(this.#kernel, this.#inputFd, this.#inputCookie, isWanted ? POLLIN : 0);
    }
  }

  #watchOutput(isWanted: boolean): void {
    if (isWanted === this.#isOutputWatched) return;
    this.#isOutputWatched = isWanted;
    if (this.#outputCookie < 0) {
      this.#outputCookie = watchHostFd(this.#kernel, this.#outputFd, POLLOUT, () => this.#pumpOutput());
    } else {
      changeHostFdWatch(this.#kernel, this.#outputFd, this.#outputCookie, isWanted ? POLLOUT : 0);
    }
  }

  /** The container has ended: what it printed last goes out, within a limit of time. */
  drain(): void {
    const { host, clock } = this.#kernel;
    const end = clock.monotonic() + DRAIN_NANOS_MAX;
    this.#pumpOutput();
    while (this.#outputBytes > 0 && clock.monotonic() < end) {
      if (host.poll(this.#outputFd, POLLOUT) !== 0) this.#pumpOutput();
      else Atomics.wait(nap, 0, 0, NAP_MILLIS);
    }
  }
}

/** Nothing runs any more at the end: a nap between two looks. */
const nap = new Int32Array(new SharedArrayBuffer(4));
const NAP_MILLIS = 2;

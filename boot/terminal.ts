// The terminal of a container as the command line sees it: which of the caller's descriptors it is copied from and to, raw
// mode while it runs, and the pseudo-terminal that goes over --console-socket. The sentry's part is
// kernel/tty/host_console.ts.

import { errnoName } from "../kernel/abi/errno.ts";
import { i32, put32 } from "../kernel/abi/struct.ts";
import {
  ECHO,
  ECHONL,
  ICANON,
  ICRNL,
  IEXTEN,
  IGNBRK,
  IGNCR,
  INLCR,
  ISIG,
  ISTRIP,
  IXON,
  OPOST,
  PARMRK,
  TCGETS,
  TCSETSW,
  TIOCGPGRP,
  VMIN,
  VTIME,
} from "../kernel/abi/tty.ts";
import { putTermios, type Termios, TERMIOS_BYTES, termiosOf } from "../kernel/tty/termios.ts";
import { commandLineHost, type NativeHost } from "../native/host.ts";
import { waitProcess } from "../native/process.ts";
import { connectToPath, SOCK_STREAM } from "../native/stream.ts";
import { guardTerminal, openPseudoTerminal, reopenTerminal } from "../native/terminal.ts";
import type { TerminalConfig } from "./sentry_config.ts";

const CONSOLE_NAME = "/dev/ptmx";
const TIOCSWINSZ = 0x5414;

/** What a container with a terminal is started with. */
export interface ContainerTerminal {
  readonly stdio: readonly [number, number, number];
  readonly config: TerminalConfig;
  /** The caller's terminal, raw while the container runs; null = none of ours to change. */
  readonly caller: CallerTerminal | null;
  /** Descriptors that are ours until the sentry has them. */
  readonly opened: readonly number[];
}

/**
 * The terminal of `do`: there is one when input and output both are the caller's terminal. With only one of them the
 * descriptors are passed as they are, since other programs of the same pipeline use that terminal too.
 */
export function terminalOfCaller(): ContainerTerminal | null {
  if (!Deno.stdin.isTerminal() || !Deno.stdout.isTerminal() || !isForeground()) return null;
  const caller = new CallerTerminal(0);
  const fd = reopenTerminal(0);
  const through = fd < 0 ? 0 : fd;
  const fds = Deno.stderr.isTerminal() ? [0, 1, 2] : [0, 1];
  return {
    stdio: [through, fd < 0 ? 1 : fd, Deno.stderr.isTerminal() ? through : 2],
    config: { fds, size: null, settings: caller.settings, isOwn: false },
    caller,
    opened: fd < 0 ? [] : [fd],
  };
}

/** In the background the terminal is not ours to change: the shell that put us there has it. */
function isForeground(): boolean {
  const bytes = new Uint8Array(64);
  if (commandLineHost().ioctl(0, TIOCGPGRP, bytes, 0) < 0) return true;
  const stat = Deno.readTextFileSync("/proc/self/stat");
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[2] === String(i32(bytes, 0));
}

/**
 * The terminal of an attached container, as runc's: its output goes to our output and our input to it, whatever they are;
 * one of the three, or else /dev/tty, has to be a terminal, which is raw meanwhile. Throws one line where there is none.
 */
export function terminalOfRun(size: TerminalConfig["size"]): ContainerTerminal {
  const config = { fds: [0, 1, 2], size, settings: null, isOwn: false };
  const streams = [Deno.stdin, Deno.stdout, Deno.stderr];
  const found = streams.findIndex((stream) => stream.isTerminal());
  if (found < 0) {
    throw new Error(
      "process.terminal: true, but no terminal is at hand: stdin, stdout and stderr are none, and there is no --console-socket",
    );
  }
  const opened: number[] = [];
  const through = [0, 1, 2].map((fd) => {
    const again = streams[fd].isTerminal() ? reopenTerminal(fd) : -1;
    if (again < 0) return fd;
    opened.push(again);
    return again;
  });
  return { stdio: [through[0], through[1], through[2]], config, caller: new CallerTerminal(found), opened };
}

/** A new pseudo-terminal whose master goes to the process that listens at `path`, as runc sends it. Throws one line. */
export function terminalOfSocket(path: string, size: TerminalConfig["size"]): ContainerTerminal {
  const host = commandLineHost();
  const socket = connectToPath(path, SOCK_STREAM);
  if (socket < 0) throw new Error(`Cannot connect to --console-socket ${path}: ${errnoName(-socket)}`);
  const { master, slave } = openPseudoTerminal();
  const made = new CallerTerminal(slave);
  made.makeRaw();
  if (size !== null) setSize(host, slave, size.rows, size.columns);
  const name = new TextEncoder().encode(CONSOLE_NAME);
  const sent = host.sendMessage(socket, name, 0, name.length, Int32Array.of(master), 1);
  host.close(socket);
  host.close(master);
  if (sent < 0) throw new Error(`Cannot send the terminal to --console-socket ${path}: ${errnoName(-sent)}`);
  const config = { fds: [0, 1, 2], size, settings: null, isOwn: true };
  return { stdio: [slave, slave, slave], config, caller: null, opened: [slave] };
}

/** A terminal that somebody else has: its settings are kept, changed, and put back. */
class CallerTerminal {
  readonly #host = commandLineHost();
  readonly #fd: number;
  readonly #before = new Uint8Array(64);
  #guard: { pid: number; release: number } | null = null;
  #isRaw = false;

  constructor(fd: number) {
    this.#fd = fd;
    const result = this.#host.ioctl(fd, TCGETS, this.#before, 0);
    if (result < 0) throw new Error(`Cannot read the settings of the terminal: ${errnoName(-result)}`);
  }

  /** struct termios as it was found. */
  get settings(): number[] {
    return [...this.#before.subarray(0, TERMIOS_BYTES)];
  }

  /** Keys come as they are, output goes out as it is. */
  makeRaw(): void {
    const termios = termiosOf(this.#before, 0);
    rawMode(termios);
    const result = this.#change(termios);
    if (result < 0) throw new Error(`Cannot change the settings of the terminal: ${errnoName(-result)}`);
    this.#isRaw = true;
  }

  /** Raw, with a guard that undoes it should we be killed. */
  makeRawGuarded(): void {
    this.#guard = guardTerminal(this.#fd);
    this.makeRaw();
  }

  /** The guard's pid and what ends it: who has them, has to close the one and reap the other. null = there is none. */
  get guard(): { readonly pid: number; readonly release: number } | null {
    return this.#guard;
  }

  /** As it was. Safe to call again. */
  restore(): void {
    if (this.#isRaw) {
      this.#isRaw = false;
      // A terminal that has been hung up has nothing to restore.
      this.#change(termiosOf(this.#before, 0));
    }
    if (this.#guard === null) return;
    this.#host.write(this.#guard.release, new Uint8Array(1), 0, 1);
    waitProcess(this.#guard.pid, true);
    this.#host.close(this.#guard.release);
    this.#guard = null;
  }

  #change(termios: Termios): number {
    const bytes = new Uint8Array(64);
    putTermios(bytes, 0, termios);
    return this.#host.ioctl(this.#fd, TCSETSW, bytes, 0);
  }
}

/** cfmakeraw(3). */
function rawMode(termios: Termios): void {
  termios.iflag &= ~(IGNBRK | 2 | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
  termios.oflag &= ~OPOST;
  termios.lflag &= ~(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
  termios.cc[VMIN] = 1;
  termios.cc[VTIME] = 0;
}

function setSize(host: NativeHost, fd: number, rows: number, columns: number): void {
  const bytes = new Uint8Array(64);
  put32(bytes, 0, rows | columns << 16);
  host.ioctl(fd, TIOCSWINSZ, bytes, 0);
}

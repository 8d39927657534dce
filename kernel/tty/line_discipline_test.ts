// The line discipline as conversations: what is typed, what the screen shows, what the program reads.

import { KernelMemory } from "../util/kernel_memory.ts";
import { deepEqual, equal } from "node:assert/strict";
import { SIGINT, SIGTSTP } from "../abi/signal.ts";
import {
  ECHO,
  ECHOPRT,
  ICANON,
  ICRNL,
  ISIG,
  IUTF8,
  IXON,
  NOFLSH,
  OPOST,
  TIOCPKT_STOP,
  VMIN,
  VTIME,
  XTABS,
} from "../abi/tty.ts";
import { bytesToLatin1, latin1ToBytes } from "../util/bytes.ts";
import { INPUT_BYTES_MAX, LineDiscipline } from "./line_discipline.ts";
import { OUTPUT_BYTES_MAX } from "./output.ts";
import type { Termios } from "./termios.ts";

class Conversation {
  readonly signals: number[] = [];
  packets = 0;
  readonly line = new LineDiscipline(new KernelMemory(2 ** 30).heap, {
    signalForeground: (signal) => this.signals.push(signal),
    onInput: () => {},
    onOutput: () => {},
    onRoom: () => {},
    onPacketStatus: (clear, set) => this.packets = this.packets & ~clear | set,
  });

  /** Changes the settings. */
  set(change: (termios: Termios) => void): this {
    const termios = this.line.termios.clone();
    change(termios);
    this.line.setTermios(termios);
    return this;
  }
  type(keys: string): number {
    return this.line.receive(latin1ToBytes(keys), 0, keys.length);
  }
  /** Types, and tells what the screen shows of it. */
  echo(keys: string): string {
    this.type(keys);
    return this.screen();
  }
  screen(): string {
    const bytes = new Uint8Array(OUTPUT_BYTES_MAX);
    return bytesToLatin1(bytes, 0, this.line.fetch(bytes, 0, bytes.length));
  }
  read(length = 1000): string {
    const bytes = new Uint8Array(length);
    return bytesToLatin1(bytes, 0, this.line.read(bytes, 0, length));
  }
  print(text: string): string {
    equal(this.line.write(latin1ToBytes(text), 0, text.length), text.length);
    return this.screen();
  }
}

Deno.test("a line is read when it has ended, and is shown as it is typed", () => {
  const c = new Conversation();
  equal(c.echo("hel"), "hel");
  equal(c.line.hasInput(), false);
  equal(c.echo("lo\r"), "lo\r\n");
  equal(c.line.available, 6);
  equal(c.read(), "hello\n");
  equal(c.line.hasInput(), false);
});

Deno.test("a short read leaves the rest of the line for the next", () => {
  const c = new Conversation();
  c.type("hello\nyou\n");
  equal(c.read(3), "hel");
  equal(c.read(), "lo\n");
  equal(c.read(), "you\n");
});

Deno.test("erase takes back characters, words and lines, on the screen too", () => {
  const c = new Conversation();
  equal(c.echo("ab\x7f"), "ab\b \b");
  equal(c.echo("\x7f\x7f"), "\b \b", "nothing is left to take back");
  equal(c.echo("one two\x17"), "one two\b \b\b \b\b \b");
  equal(c.echo("\x15"), "\b \b".repeat(4));
  equal(c.echo("\x01\x7f"), "^A\b \b\b \b", "a control character has two columns");
  c.type("x\n");
  equal(c.read(), "x\n");
});

Deno.test("erasing a tab goes back to where it began", () => {
  const c = new Conversation();
  c.print("$ ");
  equal(c.echo("ab\t\x7f"), "ab\t\b\b\b\b");
  equal(c.echo("\t\t\x7f"), "\t\t" + "\b".repeat(8));
});

Deno.test("with IUTF8 erase takes a character whatever its bytes", () => {
  const c = new Conversation().set((t) => t.iflag |= IUTF8);
  equal(c.echo("a\xe2\x82\xac\x7f"), "a\xe2\x82\xac\b \b");
  c.type("\n");
  equal(c.read(), "a\n");
});

Deno.test("ECHOPRT prints what is erased between strokes", () => {
  const c = new Conversation().set((t) => t.lflag |= ECHOPRT);
  equal(c.echo("abc\x7f\x7fd"), "abc\\cb/d");
});

Deno.test("the literal key takes the next one as it is", () => {
  const c = new Conversation();
  equal(c.echo("\x16\x03"), "^\b^C");
  c.type("\n");
  equal(c.read(), "\x03\n");
  deepEqual(c.signals, []);
});

Deno.test("reprint shows the line once more", () => {
  equal(new Conversation().echo("abc\x12"), "abc^R\r\nabc");
});

Deno.test("end of file ends a line without a sign, or is one by itself", () => {
  const c = new Conversation();
  c.type("ab\x04");
  equal(c.line.available, 2);
  equal(c.read(), "ab");
  c.type("\x04");
  equal(c.line.hasInput(), true);
  equal(c.read(), "");
  c.type("abcd\x04");
  equal(c.read(4), "abcd");
  equal(c.line.hasInput(), false, "it went with the read that it filled up to");
});

Deno.test("keys send signals and drop what was typed and not yet shown, unless NOFLSH", () => {
  const c = new Conversation();
  c.type("shown");
  equal(c.echo("lost\x03"), "shown^C");
  deepEqual(c.signals, [SIGINT]);
  c.set((t) => t.lflag |= NOFLSH);
  c.type("kept\x1a\n");
  deepEqual(c.signals, [SIGINT, SIGTSTP]);
  equal(c.read(), "kept\n");
  c.set((t) => t.lflag &= ~ISIG);
  c.type("\x03\n");
  equal(c.read(), "\x03\n");
});

Deno.test("a line that is too long loses its end but can be ended", () => {
  const c = new Conversation();
  equal(c.type("x".repeat(INPUT_BYTES_MAX + 100)), INPUT_BYTES_MAX + 100);
  equal(c.line.hasInput(), false);
  c.type("\n");
  equal(c.read(2 * INPUT_BYTES_MAX), `${"x".repeat(INPUT_BYTES_MAX - 1)}\n`);
});

Deno.test("without lines input waits outside when nobody reads", () => {
  const c = new Conversation().set((t) => t.lflag &= ~(ICANON | ECHO));
  equal(c.type("x".repeat(INPUT_BYTES_MAX + 100)), INPUT_BYTES_MAX - 1);
  equal(c.read(1000).length, 1000);
  equal(c.type("y".repeat(2000)), 1000);
});

Deno.test("input typed without lines is a line once lines count", () => {
  const c = new Conversation().set((t) => t.lflag &= ~ICANON);
  c.type("abc");
  c.set((t) => t.lflag |= ICANON);
  equal(c.line.hasInput(), true);
  equal(c.read(), "abc");
});

Deno.test("VMIN decides what poll says, unless there is a time limit", () => {
  const c = new Conversation().set((t) => {
    t.lflag &= ~ICANON;
    t.cc[VMIN] = 3;
  });
  c.type("ab");
  equal(c.line.isReadable, false);
  equal(c.line.wantedBytes(10), 3);
  equal(c.line.wantedBytes(2), 2);
  c.set((t) => t.cc[VTIME] = 1);
  equal(c.line.isReadable, true);
});

Deno.test("stop holds output and echoes, start lets them go", () => {
  const c = new Conversation();
  c.type("\x13");
  equal(c.packets, TIOCPKT_STOP);
  equal(c.line.write(latin1ToBytes("x"), 0, 1), 0);
  equal(c.echo("ab"), "");
  equal(c.echo("\x11"), "ab");
  equal(c.print("x"), "x");
  c.type("\x13");
  c.set((t) => t.iflag &= ~IXON);
  equal(c.print("y"), "y", "taking IXON away starts what it had stopped");
});

Deno.test("output gets its line ends and tabs", () => {
  const c = new Conversation();
  equal(c.print("a\nb"), "a\r\nb");
  c.set((t) => t.oflag |= XTABS);
  equal(c.print("\tc\n\td"), "       c\r\n        d");
  c.set((t) => t.oflag &= ~OPOST);
  equal(c.print("\t\n"), "\t\n");
});

Deno.test("output is taken as far as there is room, with nothing torn or lost", () => {
  const c = new Conversation();
  const text = latin1ToBytes("line\n".repeat(10_000));
  let done = 0, seen = "";
  while (done < text.length) {
    const n = c.line.write(text, done, text.length - done);
    done += n;
    seen += c.screen();
    if (n === 0) break;
  }
  equal(seen, "line\r\n".repeat(10_000));
});

Deno.test("a return is a newline, nothing, or itself", () => {
  const c = new Conversation().set((t) => t.iflag &= ~ICRNL);
  equal(c.echo("a\r"), "a^M");
  c.type("\n");
  equal(c.read(), "a\r\n");
});

// Files of a sandbox: calls of its control API, which its kernel carries out as its first process would, from that one's root.

import { Buffer } from "node:buffer";
import { type Control, throwIfAborted } from "./control.ts";
import { SandboxError } from "./errors.ts";
import { type Size, sizeOf } from "./options.ts";
import { type CopyOptions, type CopyReport, Download, Upload } from "./trees.ts";

/** What a name in a sandbox is. */
export type FileKind =
  | "file"
  | "directory"
  | "symlink"
  | "fifo"
  | "socket"
  | "character-device"
  | "block-device"
  | "unknown";

/** What stat() tells. */
export interface FileInfo {
  /** What it is. */
  readonly kind: FileKind;
  /** Its size in bytes. */
  readonly size: number;
  /** Permissions, setuid and its kin. */
  readonly mode: number;
  /** Who owns it, in the sandbox. */
  readonly uid: number;
  /** Its group, in the sandbox. */
  readonly gid: number;
  /** Its number in its file system. */
  readonly ino: number;
  /** The number of its file system. */
  readonly dev: number;
  /** How many names it has. */
  readonly nlink: number;
  /** When it was read last. */
  readonly atime: Date;
  /** When its content has changed last. */
  readonly mtime: Date;
  /** When anything of it has changed last. */
  readonly ctime: Date;
  /** Where a symlink leads; "" of anything else. */
  readonly target: string;
}

/** A name in a directory. */
export interface DirectoryEntry {
  /** The name. */
  readonly name: string;
  /** What it is. */
  readonly kind: FileKind;
  /** The name's bytes are no UTF-8, so no path of a string leads there. */
  readonly isInexact: boolean;
}

/** Something that watch() has seen. */
export interface FileChange {
  /** "lost": more has happened than could be kept. */
  readonly kind: "create" | "modify" | "remove" | "lost";
  /** What has changed: the file that is watched, or a name in the directory that is. */
  readonly path: string;
}

/** A call that may take long. */
export interface AbortOptions {
  /** Ends the call when it is aborted. */
  readonly signal?: AbortSignal;
}

/** How much a call may read. */
export interface ReadOptions extends AbortOptions {
  /** It rejects where there is more. Default: 1 GiB. What a sandbox says of a file's size may be anything. */
  readonly maxBytes?: Size;
}

/** How a file is written. */
export interface WriteOptions extends AbortOptions {
  /** Permissions of a file that is made, before the umask. Default: 0o666. */
  readonly mode?: number;
  /** Behind what is there, instead of replacing it. */
  readonly append?: boolean;
  /** Only a file that is not there yet. */
  readonly createNew?: boolean;
}

/** How a directory is made. */
export interface MakeDirectoryOptions {
  /** With the directories above it; one that is there is as good. */
  readonly recursive?: boolean;
  /** Permissions, before the umask. Default: 0o777. */
  readonly mode?: number;
}

/** How something is removed. */
export interface RemoveOptions extends AbortOptions {
  /** A directory with all that is in it. */
  readonly recursive?: boolean;
}

/** Of one call: as base64 it has to fit into a document of 4 MiB. */
const PIECE_BYTES = 1024 * 1024;

/**
 * Files of a sandbox. Paths are absolute, in the sandbox; links lead to what they lead to in there. Calls that fail reject with
 * a {@link SandboxError} whose `errno` is Linux'.
 *
 * ```ts ignore
 * await sandbox.fs.writeTextFile("/tmp/main.py", "print(6 * 7)");
 * await sandbox.fs.upload("./tests", "/tmp/tests");
 * for await (const { name, kind } of sandbox.fs.readDir("/tmp")) console.log(kind, name);
 * ```
 */
export class SandboxFs {
  readonly #control: Control;

  /** Sandbox.fs is one. */
  constructor(control: Control) {
    this.#control = control;
  }

  /** The content of a file. */
  async readFile(path: string, options: ReadOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    const limit = sizeOf(options.maxBytes ?? "1GiB"), pieces: Uint8Array[] = [];
    let bytes = 0;
    for await (const piece of this.#pieces(path, options.signal)) {
      bytes += piece.length;
      if (bytes > limit) {
        throw new SandboxError("FAILED", `${path} has more than ${limit} bytes`, "maxBytes allows more");
      }
      pieces.push(piece);
    }
    const all = new Uint8Array(bytes);
    let at = 0;
    for (const piece of pieces) {
      all.set(piece, at);
      at += piece.length;
    }
    return all;
  }

  /** The content of a file, as UTF-8. */
  async readTextFile(path: string, options: ReadOptions = {}): Promise<string> {
    return new TextDecoder().decode(await this.readFile(path, options));
  }

  /** The content of a file as it is read, of any size. A file that is replaced meanwhile is an error. */
  readable(path: string, options: AbortOptions = {}): ReadableStream<Uint8Array> {
    const pieces = this.#pieces(path, options.signal);
    return new ReadableStream({
      async pull(controller) {
        const { done, value } = await pieces.next();
        if (done === true) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await pieces.return();
      },
    });
  }

  /** Writes a file; it is made, or its content replaced, unless `options` say otherwise. */
  async writeFile(
    path: string,
    data: Uint8Array | ReadableStream<Uint8Array>,
    options: WriteOptions = {},
  ): Promise<void> {
    const file = new Writing(this.#control, path, options);
    if (data instanceof Uint8Array) {
      await file.write(data);
      return;
    }
    const reader = data.getReader();
    try {
      await file.write(new Uint8Array(0));
      for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
        await file.write(value!);
      }
    } catch (error) {
      await reader.cancel(error).catch(() => {});
      throw error;
    } finally {
      reader.releaseLock();
    }
  }

  /** As writeFile(), of text. */
  async writeTextFile(path: string, text: string, options: WriteOptions = {}): Promise<void> {
    await this.writeFile(path, new TextEncoder().encode(text), options);
  }

  /** Makes a directory. */
  async mkdir(path: string, { recursive = false, mode = 0o777 }: MakeDirectoryOptions = {}): Promise<void> {
    await this.#control.call("Fs.MakeDirectory", { path, recursive, mode });
  }

  /** Makes a symlink at `path` that leads to `target`. */
  async symlink(target: string, path: string): Promise<void> {
    await this.#control.call("Fs.MakeLink", { path, target });
  }

  /** Removes a file, a link or an empty directory. */
  async remove(path: string, { recursive = false, signal }: RemoveOptions = {}): Promise<void> {
    for (;;) {
      const { isDone } = await this.#control.call<{ isDone: boolean }>("Fs.Remove", {
        path,
        recursive,
      }, signal);
      if (isDone) return;
    }
  }

  /** Gives something another name; what has it already is replaced, as rename(2) does. */
  async rename(from: string, to: string): Promise<void> {
    await this.#control.call("Fs.Rename", { from, to });
  }

  /** What `path` leads to. */
  stat(path: string): Promise<FileInfo> {
    return this.#stat(path, true);
  }

  /** What `path` is: of a symlink, the link. */
  lstat(path: string): Promise<FileInfo> {
    return this.#stat(path, false);
  }

  /** The names in a directory. */
  async *readDir(path: string, { signal }: AbortOptions = {}): AsyncGenerator<DirectoryEntry, void, void> {
    let cursor = 0;
    do {
      const page = await this.#control.call<{ entries: DirectoryEntry[]; cursor: number }>(
        "Fs.ReadDirectory",
        { path, cursor },
        signal,
      );
      yield* page.entries;
      cursor = page.cursor;
    } while (cursor !== 0);
  }

  /**
   * What happens to a file, or to the names in a directory (not in those below), from now on; it ends when what is watched
   * is gone. What others do to files of the host that the sandbox has mounted is not seen.
   */
  watch(path: string, options: AbortOptions = {}): FileWatch {
    return new FileWatch(this.#control, path, options.signal);
  }

  /** Copies a file or directory of the host into the sandbox: its files, directories and links. */
  async upload(from: string | URL, to: string, options: CopyOptions = {}): Promise<CopyReport> {
    return await new Upload(this, options).run(from, to);
  }

  /**
   * Copies a file or directory of the sandbox to the host. Links that would lead out of the tree, devices, pipes and sockets
   * are left out, and nothing is setuid there. The sandbox must not be able to write to `to` meanwhile.
   */
  async download(from: string, to: string | URL, options: CopyOptions = {}): Promise<CopyReport> {
    return await new Download(this, options).run(from, to);
  }

  async #stat(path: string, followsLinks: boolean): Promise<FileInfo> {
    const found = await this.#control.call<FileInfo>("Fs.Stat", { path, follow: followsLinks });
    const { atime, mtime, ctime } = found;
    return { ...found, atime: new Date(atime), mtime: new Date(mtime), ctime: new Date(ctime) };
  }

  async *#pieces(path: string, signal?: AbortSignal): AsyncGenerator<Uint8Array, void, void> {
    let offset = 0, file = "";
    for (;;) {
      const piece = await this.#control.call<{ data: string; file: string }>(
        "Fs.Read",
        { path, offset, size: PIECE_BYTES, file },
        signal,
      );
      const bytes = Buffer.from(piece.data, "base64");
      if (bytes.length > 0) yield new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
      if (bytes.length < PIECE_BYTES) return;
      offset += bytes.length;
      file = piece.file;
    }
  }
}

/** What watch() sees, one change after the other. */
export class FileWatch implements AsyncIterableIterator<FileChange, void, void> {
  /** Resolves once nothing is missed any more; rejects where the path cannot be watched, as next() does. */
  readonly started: Promise<void>;
  readonly #control: Control;
  readonly #path: string;
  readonly #signal: AbortSignal | undefined;
  readonly #changes: AsyncGenerator<FileChange, void, void>;

  /** SandboxFs.watch() makes them. */
  constructor(control: Control, path: string, signal: AbortSignal | undefined) {
    this.#control = control;
    this.#path = path;
    this.#signal = signal;
    const watch = control.call<{ watch: number }>("Fs.Watch", { path }, signal);
    this.started = watch.then(() => {});
    this.started.catch(() => {});
    this.#changes = this.#read(watch);
  }

  /** The next change, when it comes. */
  next(): Promise<IteratorResult<FileChange, void>> {
    return this.#changes.next();
  }

  /** Ends the watch. What next() waits for comes first: a signal ends that. */
  return(): Promise<IteratorResult<FileChange, void>> {
    return this.#changes.return();
  }

  /** Itself. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  async *#read(started: Promise<{ watch: number }>): AsyncGenerator<FileChange, void, void> {
    const { watch } = await started;
    let isGone = false;
    try {
      while (!isGone) {
        const told = await this.#control.call<{
          changes: { kind: FileChange["kind"]; name: string }[];
          hasLost: boolean;
          isGone: boolean;
        }>("Fs.NextChanges", { watch }, this.#signal);
        isGone = told.isGone;
        for (const { kind, name } of told.changes) {
          yield { kind, path: name === "" ? this.#path : `${this.#path.replace(/\/+$/, "")}/${name}` };
        }
        if (told.hasLost) yield { kind: "lost", path: this.#path };
      }
    } finally {
      // It may have ended by itself.
      await this.#control.call("Fs.EndWatch", { watch }).catch(() => {});
    }
  }
}

/** A file that is written piece by piece. */
class Writing {
  readonly #control: Control;
  readonly #path: string;
  readonly #options: WriteOptions;
  #offset = 0;
  /** What the first piece has opened; "" before. */
  #file = "";

  constructor(control: Control, path: string, options: WriteOptions) {
    this.#control = control;
    this.#path = path;
    this.#options = options;
  }

  /** The first piece opens the file, even if it is empty. */
  async write(data: Uint8Array): Promise<void> {
    for (let at = 0; at < data.length || this.#file === "";) {
      const written = await this.#piece(data.subarray(at, at + PIECE_BYTES));
      if (written === 0 && data.length > 0) throw new SandboxError("FAILED", `${this.#path} takes no more`);
      at += written;
    }
  }

  async #piece(data: Uint8Array): Promise<number> {
    const { append = false, createNew = false, mode = 0o666, signal } = this.#options;
    throwIfAborted(signal);
    const isFirst = this.#file === "";
    const opening = isFirst ? { create: true, exclusive: createNew, truncate: !append, mode } : {};
    const { written, file } = await this.#control.call<{ written: number; file: string }>("Fs.Write", {
      path: this.#path,
      offset: this.#offset,
      data: Buffer.from(data.buffer, data.byteOffset, data.length).toString("base64"),
      file: this.#file,
      append,
      ...opening,
    }, signal);
    this.#offset += written;
    this.#file = file;
    return written;
  }
}

// Trees of files between the host and a sandbox. What comes from a sandbox is hostile: names, links, sizes, how much there is.

import { lstatSync, mkdirSync, readdirSync, readlinkSync, rmSync, symlinkSync } from "node:fs";
import { open } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { throwIfAborted } from "./control.ts";
import { SandboxError } from "./errors.ts";
import type { DirectoryEntry, FileInfo, SandboxFs } from "./fs.ts";
import { type Size, sizeOf } from "./options.ts";

/** How a tree is copied. */
export interface CopyOptions {
  /** Ends the copy when it is aborted. What has been copied stays. */
  readonly signal?: AbortSignal;
  /** Bytes at most; the copy rejects beyond. Default: 16 GiB. */
  readonly maxBytes?: Size;
  /** Files, directories and links at most. Default: 1,000,000. */
  readonly maxFiles?: number;
  /** Replaces files and links that are there already, which are an error otherwise. */
  readonly overwrite?: boolean;
}

/** What upload() and download() have done. */
export interface CopyReport {
  /** Files, directories and links that have been made. */
  readonly files: number;
  /** Bytes in files. */
  readonly bytes: number;
  /** What has been left out, by its path in the source, and why. */
  readonly skipped: readonly { readonly path: string; readonly reason: string }[];
}

/** Files that are copied at the same time. */
const AT_ONCE = 6;
/** Paths that are reported as left out. */
const SKIPPED_MAX = 1000;
const READ_BYTES = 1024 * 1024;

abstract class Copy {
  protected readonly fs: SandboxFs;
  protected readonly options: CopyOptions;
  readonly #bytesMax: number;
  readonly #filesMax: number;
  #files = 0;
  #bytes = 0;
  readonly #skipped: { path: string; reason: string }[] = [];
  /** What is to be done yet; the last comes first, so that a tree is walked depth first. */
  readonly #tasks: (() => Promise<void>)[] = [];

  constructor(fs: SandboxFs, options: CopyOptions) {
    this.fs = fs;
    this.options = options;
    this.#bytesMax = sizeOf(options.maxBytes ?? "16GiB");
    this.#filesMax = options.maxFiles ?? 1_000_000;
  }

  /** To be done by finish(). */
  protected later(task: () => Promise<void>): void {
    this.#tasks.push(task);
  }

  /** Does all that is to be done, some at a time. Rejects with the first error once nothing is on its way any more. */
  protected finish(): Promise<CopyReport> {
    let active = 0, failure: { readonly error: unknown } | null = null;
    return new Promise((resolve, reject) => {
      const proceed = () => {
        while (failure === null && active < AT_ONCE && this.#tasks.length > 0) {
          active++;
          this.#tasks.pop()!().catch((error: unknown) => failure ??= { error }).finally(() => {
            active--;
            proceed();
          });
        }
        if (active > 0) return;
        if (failure === null) resolve(this.#report());
        else reject(failure.error);
      };
      proceed();
    });
  }

  #report(): CopyReport {
    return { files: this.#files, bytes: this.#bytes, skipped: this.#skipped };
  }

  protected countFile(): void {
    throwIfAborted(this.options.signal);
    if (++this.#files > this.#filesMax) {
      throw new SandboxError("FAILED", `There are more than ${this.#filesMax} files`, "maxFiles allows more");
    }
  }

  protected countBytes(count: number): void {
    this.#bytes += count;
    if (this.#bytes > this.#bytesMax) {
      throw new SandboxError("FAILED", `There are more than ${this.#bytesMax} bytes`, "maxBytes allows more");
    }
  }

  protected skip(path: string, reason: string): void {
    if (this.#skipped.length < SKIPPED_MAX) this.#skipped.push({ path, reason });
  }
}

/** From the host, which is trusted. */
export class Upload extends Copy {
  async run(from: string | URL, to: string): Promise<CopyReport> {
    this.later(() => this.#copy(hostPath(from), to));
    return await this.finish();
  }

  async #copy(from: string, to: string): Promise<void> {
    const found = lstatSync(from), mode = found.mode & 0o777;
    if (found.isDirectory()) return await this.#directory(from, to, mode);
    if (found.isFile()) return await this.#file(from, to, mode);
    if (!found.isSymbolicLink()) return this.skip(from, "it is no file, directory or link");
    this.countFile();
    await this.#anew(to);
    await this.fs.symlink(readlinkSync(from), to);
  }

  async #directory(from: string, to: string, mode: number): Promise<void> {
    this.countFile();
    await this.fs.mkdir(to, { mode: mode | 0o700, recursive: true });
    for (const name of readdirSync(from)) this.later(() => this.#copy(`${from}/${name}`, `${to}/${name}`));
  }

  async #file(from: string, to: string, mode: number): Promise<void> {
    this.countFile();
    const { signal, overwrite = false } = this.options;
    await this.#anew(to);
    const handle = await open(from, "r");
    try {
      const count = (bytes: number) => this.countBytes(bytes);
      const data = new ReadableStream<Uint8Array>({
        async pull(controller) {
          const buffer = new Uint8Array(READ_BYTES);
          const { bytesRead } = await handle.read(buffer, 0, buffer.length, null);
          count(bytesRead);
          if (bytesRead === 0) controller.close();
          else controller.enqueue(buffer.subarray(0, bytesRead));
        },
      });
      await this.fs.writeFile(to, data, {
        mode,
        createNew: !overwrite,
        ...(signal === undefined ? {} : { signal }),
      });
    } finally {
      await handle.close();
    }
  }

  /** What has the name `to` goes, where it may. */
  async #anew(to: string): Promise<void> {
    if (this.options.overwrite !== true) return;
    await this.fs.remove(to).catch((error: unknown) => {
      if (!(error instanceof SandboxError) || error.code !== "NOT_FOUND") throw error;
    });
  }
}

/** To the host. Each name is made anew there, below directories that we have made or that are none of the sandbox's. */
export class Download extends Copy {
  async run(from: string, to: string | URL): Promise<CopyReport> {
    const found = await this.fs.stat(from);
    this.later(() => this.#copy(from, hostPath(to), found, 0));
    return await this.finish();
  }

  async #copy(from: string, to: string, found: FileInfo, depth: number): Promise<void> {
    switch (found.kind) {
      case "directory":
        return await this.#directory(from, to, found, depth);
      case "file":
        return await this.#file(from, to, found);
      case "symlink":
        return this.#link(from, to, found.target, depth);
      default:
        this.skip(from, `it is a ${found.kind}`);
    }
  }

  async #directory(from: string, to: string, found: FileInfo, depth: number): Promise<void> {
    this.countFile();
    makeDirectory(to, found.mode & 0o777 | 0o700);
    const below = from.replace(/\/+$/, "");
    for await (const entry of this.fs.readDir(from, this.options)) {
      const path = `${below}/${entry.name}`;
      if (entry.isInexact) {
        this.skip(path, "its name is no UTF-8");
        continue;
      }
      const place = `${to}/${plainName(entry)}`;
      this.later(async () => await this.#copy(path, place, await this.fs.lstat(path), depth + 1));
    }
  }

  async #file(from: string, to: string, found: FileInfo): Promise<void> {
    this.countFile();
    this.#anew(to);
    const handle = await this.#create(to, found.mode & 0o777);
    try {
      for await (const piece of this.fs.readable(from, this.options)) {
        this.countBytes(piece.length);
        for (let at = 0; at < piece.length;) {
          at += (await handle.write(piece, at, piece.length - at)).bytesWritten;
        }
      }
    } finally {
      await handle.close();
    }
  }

  /** A link that may be followed on the host: it stays in the tree, whatever the other links are. */
  #link(from: string, to: string, target: string, depth: number): void {
    if (!staysInTree(target, depth)) return this.skip(from, `it leads to ${JSON.stringify(target)}`);
    this.countFile();
    this.#anew(to);
    try {
      symlinkSync(target, to);
    } catch (error) {
      throw hostError(to, error);
    }
  }

  async #create(to: string, mode: number): ReturnType<typeof open> {
    try {
      return await open(to, "wx", mode);
    } catch (error) {
      throw hostError(to, error);
    }
  }

  #anew(to: string): void {
    if (
      this.options.overwrite === true && lstatSync(to, { throwIfNoEntry: false })?.isDirectory() === false
    ) rmSync(to);
  }
}

/**
 * A relative target that goes up, no further than the tree's top, and only then down. Its own directory is a real one, so "up"
 * is what it says; what lies below may be a link, but one that has been through here too.
 */
export function staysInTree(target: string, depth: number): boolean {
  if (target === "" || target.startsWith("/")) return false;
  const names = target.split("/").filter((name) => name !== "" && name !== ".");
  const up = names.findIndex((name) => name !== "..");
  const ups = up < 0 ? names.length : up;
  return ups < depth && !names.slice(ups).includes("..");
}

/** A directory that is there already has to be one, and no link to one. */
function makeDirectory(path: string, mode: number): void {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) throw hostError(path, error);
  }
}

function plainName({ name }: DirectoryEntry): string {
  if (name !== "" && name !== "." && name !== ".." && !/[/\0]/.test(name)) return name;
  throw new SandboxError("FAILED", `The sandbox answers nonsense: ${JSON.stringify(name)} is no name`);
}

function hostPath(path: string | URL): string {
  return typeof path === "string" ? path : fileURLToPath(path);
}

function hostError(path: string, error: unknown): SandboxError {
  const { code, message } = error as { code?: string; message: string };
  const ours = code === "EEXIST" ? "EXISTS" : code === "ENOENT" ? "NOT_FOUND" : "FAILED";
  return new SandboxError(ours, `Cannot make ${path}: ${message}`, undefined, code);
}

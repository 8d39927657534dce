// A configuration file of an engine's: changed as a whole or not at all, with what was there before kept beside it.

import { errnoName } from "../../kernel/abi/errno.ts";
import { commandLineHost } from "../../native/host.ts";
import { openDirectory, reasonOf, writeWhole } from "../oci/own_directory.ts";

/** Ends the name of the copy of what was there before, as gVisor's. */
const BACKUP = "~";
const MODE = 0o644;
const FILE_BYTES_MAX = 4 * 1024 * 1024;

/** What has become of a file. */
export type Change = "unchanged" | "written" | "removed";

/** Puts what `edit` makes of the text of `path` there; a file that is not there is an empty one. Its first state is kept. */
export function install(path: string, edit: (text: string) => string): Change {
  const { real, text, mode } = read(path);
  const after = edited(path, text ?? "", edit);
  if (after === (text ?? "")) return "unchanged";
  const slash = real.lastIndexOf("/");
  Deno.mkdirSync(real.slice(0, slash), { recursive: true });
  if (text !== null && !exists(real + BACKUP)) write(real + BACKUP, text, mode);
  write(real, after, mode);
  return "written";
}

/** The same backwards: a file that says what it did before our install is again that file, byte for byte. */
export function uninstall(
  path: string,
  edit: (text: string) => string,
  saysTheSame: (one: string, other: string) => boolean,
): Change {
  const { real, text, mode } = read(path);
  if (text === null) return "unchanged";
  const after = edited(path, text, edit);
  if (after === text) return "unchanged";
  const backup = exists(real + BACKUP) ? read(real + BACKUP).text : null;
  if (backup !== null && saysTheSame(backup, after)) {
    write(real, backup, mode);
    Deno.removeSync(real + BACKUP);
    return "written";
  }
  // It was not there before us, and says nothing without us.
  if (backup === null && saysTheSame("", after)) {
    Deno.removeSync(real);
    return "removed";
  }
  write(real, after, mode);
  return "written";
}

function edited(path: string, text: string, edit: (text: string) => string): string {
  try {
    return edit(text);
  } catch (error) {
    throw new Error(`Cannot change ${path}: ${(error as Error).message}`);
  }
}

/** Behind a link the file that it leads to is the one that is changed. */
function read(path: string): { real: string; text: string | null; mode: number } {
  let real: string;
  try {
    real = Deno.realPathSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { real: path, text: null, mode: MODE };
    throw new Error(`Cannot read ${path}: ${reasonOf(error)}`);
  }
  try {
    const { size, isFile, mode } = Deno.statSync(real);
    if (!isFile) throw new Error("it is no file");
    if (size > FILE_BYTES_MAX) throw new Error(`${size} bytes, at most ${FILE_BYTES_MAX}`);
    const text = new TextDecoder("utf-8", { fatal: true }).decode(Deno.readFileSync(real));
    return { real, text, mode: (mode ?? MODE) & 0o777 };
  } catch (error) {
    throw new Error(`Cannot read ${path}: ${reasonOf(error)}`);
  }
}

function write(path: string, text: string, mode: number): void {
  const slash = path.lastIndexOf("/");
  const directory = openDirectory(path.slice(0, slash + 1));
  const failure = directory < 0 ? directory : writeWhole(directory, path.slice(slash + 1), text, mode);
  if (directory >= 0) commandLineHost().close(directory);
  if (failure < 0) throw new Error(`Cannot write ${path}: ${errnoName(-failure)}`);
  // The caller's umask is not the file's.
  Deno.chmodSync(path, mode);
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

// Fs.*: files of containers. gVisor has Fs.Read; the others are ours, for the library.

import type { Services } from "../query.ts";
import { read, write } from "./content.ts";
import { readDirectory } from "./listing.ts";
import { makeDirectories, makeLink, remove, rename, stat } from "./tree.ts";
import { endWatch, nextChanges, watch } from "./watch.ts";

export const FILES: Services = {
  "Fs.Read": read,
  "Fs.Write": write,
  "Fs.Stat": stat,
  "Fs.ReadDirectory": readDirectory,
  "Fs.MakeDirectory": makeDirectories,
  "Fs.MakeLink": makeLink,
  "Fs.Remove": remove,
  "Fs.Rename": rename,
  "Fs.Watch": watch,
  "Fs.NextChanges": nextChanges,
  "Fs.EndWatch": endWatch,
};

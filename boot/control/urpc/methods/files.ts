// Receiver Fs: files of a container, by their paths there.

import * as go from "../go_types.ts";
import { type Method, method } from "../method.ts";

/** What names the container, in every call. */
const container = { container_id: go.string };

function absolute(path: string): string {
  return path.startsWith("/") ? "" : "path must be absolute";
}

/** A method whose argument has a path among these fields. */
function about<F extends Record<string, go.GoType<unknown>>>(name: string, fields: F): Method {
  const type = go.struct(name, { ...container, path: go.string, ...fields });
  return method(name, type, ({ path }) => absolute(path as string));
}

function ofNumber(name: string, field: string): Method {
  return method(name, go.struct(name, { ...container, [field]: go.int32 }));
}

export const FS: Readonly<Record<string, Method>> = {
  Read: about("FsReadArgs", { offset: go.int64, size: go.int64, file: go.string }),
  Write: about("FsWriteArgs", {
    offset: go.int64,
    data: go.bytes,
    file: go.string,
    mode: go.uint32,
    create: go.bool,
    exclusive: go.bool,
    truncate: go.bool,
    append: go.bool,
  }),
  Stat: about("FsStatArgs", { follow: go.bool }),
  ReadDirectory: method(
    "FsReadDirectoryArgs",
    go.struct("FsReadDirectoryArgs", { ...container, path: go.string, cursor: go.int32 }),
    ({ path, cursor }) => cursor === 0 ? absolute(path) : "",
  ),
  MakeDirectory: about("FsMakeDirectoryArgs", { mode: go.uint32, recursive: go.bool }),
  MakeLink: about("FsMakeLinkArgs", { target: go.string }),
  Remove: about("FsRemoveArgs", { recursive: go.bool }),
  Rename: method(
    "FsRenameArgs",
    go.struct("FsRenameArgs", { ...container, from: go.string, to: go.string }),
    ({ from, to }) => absolute(from) || absolute(to),
  ),
  Watch: about("FsWatchArgs", {}),
  NextChanges: ofNumber("FsNextChangesArgs", "watch"),
  EndWatch: ofNumber("FsEndWatchArgs", "watch"),
};

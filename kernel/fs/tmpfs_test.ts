import { deepEqual, equal } from "node:assert/strict";
import { EINVAL, ENODATA, ENOSPC, ENXIO } from "../abi/errno.ts";
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, O_RDWR, S_IFDIR, S_IFREG } from "../abi/file.ts";
import { VfsTask } from "../../tests/support/vfs_task.ts";
import { FilesystemStat } from "../vfs/filesystem.ts";
import type { Inode, NewNode } from "../vfs/inode.ts";
import { INLINE_BYTES_MAX } from "./memory_file.ts";
import type { TmpfsInode } from "./tmpfs.ts";
import { parseTmpfsOptions } from "./tmpfs_options.ts";

const FILE: NewNode = { mode: S_IFREG | 0o644, uid: 0, gid: 0 };
const PAGES = 4096;

function made(inode: Inode | number): TmpfsInode {
  if (typeof inode === "number") throw new Error(`Not made: ${inode}`);
  return inode as TmpfsInode;
}

Deno.test("options of tmpfs are read as tmpfs(5) has them", () => {
  const parse = (text: string) => parseTmpfsOptions(text, 2 ** 30, 2 ** 29);
  deepEqual(parse(""), { mode: 0o1777, uid: 0, gid: 0, sizeBytes: 2 ** 29, inodes: 131072 });
  deepEqual(parse("size=64k,mode=700,uid=5,gid=6,nr_inodes=1k"), {
    mode: 0o700,
    uid: 5,
    gid: 6,
    sizeBytes: 65536,
    inodes: 1024,
  });
  equal((parse("size=50%") as { sizeBytes: number }).sizeBytes, 2 ** 29);
  equal((parse("size=0") as { sizeBytes: number }).sizeBytes, Infinity);
  for (const bad of ["size=x", "mode=9", "uid=-1", "nonsense", "size"]) equal(parse(bad), -EINVAL);
});

Deno.test("size counts pages written, and comes back when they go", () => {
  const t = new VfsTask();
  const fs = t.newTmpfs({ sizeBytes: 4 * PAGES });
  const inode = made(fs.root.create("f", FILE));
  const file = inode.open(t.task, O_RDWR);
  if (typeof file === "number") throw new Error(`Not open: ${file}`);
  const bytes = new Uint8Array(5 * PAGES);
  equal(file.asContent()!.truncate(1_000_000), 0);
  equal(file.write(t.task, bytes, 0, 1, 0), 1);
  equal(fs.bytesUsed, PAGES);
  equal(file.write(t.task, bytes, 0, bytes.length, 10), 4 * PAGES - 10);
  equal(file.write(t.task, bytes, 0, 1, 4 * PAGES), -ENOSPC);
  const stat = new FilesystemStat();
  fs.statfs(stat);
  deepEqual([stat.blocks, stat.blocksFree], [4, 0]);
  equal(file.asContent()!.truncate(PAGES), 0);
  equal(fs.bytesUsed, PAGES);
  equal(fs.root.unlink("f", inode), 0);
  equal(fs.bytesUsed, PAGES); // still open
  file.drop();
  equal(fs.bytesUsed, 0);
});

Deno.test("nr_inodes bounds inodes of every kind", () => {
  const t = new VfsTask();
  const fs = t.newTmpfs({ inodes: 3 });
  const first = made(fs.root.create("a", FILE));
  made(fs.root.symlink("b", "a", FILE));
  equal(fs.root.mkdir("c", { ...FILE, mode: S_IFDIR | 0o755 }), -ENOSPC);
  equal(fs.root.link("d", first), 0);
  equal(fs.root.unlink("a", first), 0);
  equal(fs.root.create("e", FILE), -ENOSPC);
  equal(fs.root.unlink("d", first), 0);
  made(fs.root.create("e", FILE));
});

Deno.test("content moves to the host when it is large or mapped, and gives the descriptor back", () => {
  const t = new VfsTask();
  const fs = t.newTmpfs();
  const inode = made(fs.root.create("f", FILE));
  const file = inode.open(t.task, O_RDWR);
  if (typeof file === "number") throw new Error(`Not open: ${file}`);
  const text = new TextEncoder().encode("some text");
  file.write(t.task, text, 0, text.length, 0);
  equal(t.host.files.size, 0);
  equal(file.write(t.task, text, 0, text.length, INLINE_BYTES_MAX), text.length);
  equal(t.host.files.size, 1);
  const read = new Uint8Array(text.length);
  equal(file.read(t.task, read, 0, read.length, 0), read.length);
  deepEqual(read, text);
  const mappable = file.asMappable()!.mappable(true, 3);
  equal(typeof mappable === "number" ? -1 : t.host.files.has(mappable.hostFd()), true);
  equal(file.asContent()!.allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 5), 0);
  file.read(t.task, read, 0, read.length, 0);
  equal(new TextDecoder().decode(read), "\0\0\0\0\0text");
  file.drop();
  equal(t.host.files.size, 1);
  equal(fs.root.unlink("f", inode), 0);
  equal(t.host.files.size, 0);
});

Deno.test("directories count their sub-directories in nlink, and a socket cannot be opened", () => {
  const t = new VfsTask();
  const fs = t.newTmpfs();
  const a = made(fs.root.mkdir("a", { ...FILE, mode: S_IFDIR | 0o755 }));
  const b = made(fs.root.mkdir("b", { ...FILE, mode: S_IFDIR | 0o755 }));
  made(a.mkdir("sub", { ...FILE, mode: S_IFDIR | 0o755 }));
  deepEqual([fs.root.nlink, a.nlink, b.nlink], [4, 3, 2]);
  equal(a.rename("sub", made(a.lookup("sub")), b, "moved", null, 0), 0);
  deepEqual([a.nlink, b.nlink], [2, 3]);
  const socket = made(fs.root.mknod("s", { ...FILE, mode: 0o140777 }, 0, 0));
  equal(socket.open(t.task, O_RDWR), -ENXIO);
  equal(socket.getXattr("user.a"), -ENODATA);
});

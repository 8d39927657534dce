// Root, working directory and umask of tasks that share them (CLONE_FS). Linux: struct fs_struct.

import type { Path } from "./path.ts";

export class FsContext {
  #root: Path;
  #cwd: Path;
  umask: number;
  /** Tasks that share it. */
  references = 1;

  constructor(root: Path, cwd: Path, umask: number) {
    this.#root = root;
    this.#cwd = cwd;
    this.umask = umask;
    root.hold();
    cwd.hold();
  }

  get root(): Path {
    return this.#root;
  }
  set root(path: Path) {
    path.hold();
    this.#root.drop();
    this.#root = path;
  }
  get cwd(): Path {
    return this.#cwd;
  }
  set cwd(path: Path) {
    path.hold();
    this.#cwd.drop();
    this.#cwd = path;
  }

  clone(): FsContext {
    return new FsContext(this.#root, this.#cwd, this.umask);
  }
  hold(): void {
    this.references++;
  }
  drop(): void {
    if (--this.references > 0) return;
    this.#root.drop();
    this.#cwd.drop();
  }
}

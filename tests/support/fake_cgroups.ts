// Hosts that the one at hand is not: cgroup hierarchies in memory, which behave as Linux' do in what boot/cgroup/ relies on.

import type { CgroupFiles } from "../../boot/cgroup/files.ts";

/** Files of a v2 cgroup that come with a controller. */
const FILES_OF: Readonly<Record<string, readonly string[]>> = {
  cpu: ["cpu.max", "cpu.weight", "cpu.max.burst", "cpu.idle"],
  cpuset: ["cpuset.cpus", "cpuset.mems"],
  memory: ["memory.max", "memory.low", "memory.high", "memory.current", "memory.swap.max"],
  pids: ["pids.max", "pids.current"],
  io: ["io.max", "io.weight"],
};

export class FakeCgroups implements CgroupFiles {
  readonly files = new Map<string, string>();
  readonly #directories = new Map<string, number>();
  /** Files that may not be written, by their end. */
  readonly refused: string[] = [];
  /** Every write that was taken, in order: "path value". */
  readonly written: string[] = [];
  #nextInode = 1;
  readonly #version: 1 | 2;

  /** One hierarchy of v2 at /cg with `controllers`, or one of v1 for each at /cg/NAME. */
  constructor(version: 1 | 2, controllers: readonly string[], own = "/") {
    this.#version = version;
    const lines = version === 2
      ? ["30 1 0:26 / /cg rw - cgroup2 cgroup2 rw"]
      : controllers.map((name, i) => `${30 + i} 1 0:${30 + i} / /cg/${name} rw - cgroup cgroup rw,${name}`);
    this.files.set("/proc/self/mountinfo", ["20 1 0:1 / / rw - ext4 /dev/vda rw", ...lines].join("\n"));
    this.files.set(
      "/proc/self/cgroup",
      version === 2 ? `0::${own}\n` : controllers.map((name, i) => `${i + 1}:${name}:${own}`).join("\n"),
    );
    if (version === 2) {
      this.#populate("/cg", controllers);
    } else {
      for (const name of controllers) this.#populate(`/cg/${name}`, [name]);
      this.files.set("/cg/cpuset/cpuset.cpus", "0-3\n");
      this.files.set("/cg/cpuset/cpuset.mems", "0\n");
    }
    if (own !== "/") {
      for (const top of version === 2 ? ["/cg"] : controllers.map((name) => `/cg/${name}`)) {
        let path = top;
        for (const name of own.slice(1).split("/")) {
          path += `/${name}`;
          this.makeDirectory(path);
        }
      }
    }
  }

  #populate(path: string, controllers: readonly string[]): void {
    this.#directories.set(path, this.#nextInode++);
    this.files.set(`${path}/cgroup.procs`, "");
    if (this.#version === 2) {
      this.files.set(`${path}/cgroup.controllers`, `${controllers.join(" ")}\n`);
      this.files.set(`${path}/cgroup.subtree_control`, "\n");
      for (const file of controllers.flatMap((name) => FILES_OF[name] ?? [])) {
        this.files.set(`${path}/${file}`, "max\n");
      }
    } else if (controllers.includes("cpuset")) {
      this.files.set(`${path}/cpuset.cpus`, "\n");
      this.files.set(`${path}/cpuset.mems`, "\n");
    }
  }

  read(path: string): string {
    const text = this.files.get(path);
    if (text === undefined) throw new Deno.errors.NotFound(`No such file (os error 2): ${path}`);
    return text;
  }

  write(path: string, text: string): void {
    if (!this.files.has(path)) throw new Deno.errors.NotFound(`No such file (os error 2): ${path}`);
    if (this.refused.some((end) => path.endsWith(end))) throw new Error("Invalid argument (os error 22)");
    this.written.push(`${path} ${text}`);
    if (path.endsWith("/cgroup.subtree_control")) {
      const present = this.read(path).trim().split(" ").filter((word) => word !== "");
      text = [...present, text.slice(1)].join(" ");
    }
    if (path.endsWith("/cgroup.procs")) {
      this.#leave(path, text);
      text = `${this.read(path)}${text}\n`;
    }
    this.files.set(path, text);
  }

  /** A process is in one cgroup of each hierarchy. */
  #leave(path: string, pid: string): void {
    const top = this.#version === 2 ? "/cg/" : path.split("/").slice(0, 3).join("/");
    for (const [other, text] of this.files) {
      if (!other.startsWith(top) || !other.endsWith("/cgroup.procs")) continue;
      this.files.set(other, text.split("\n").filter((line) => line !== pid).join("\n"));
    }
  }

  makeDirectory(path: string): void {
    if (this.#directories.has(path)) {
      throw new Deno.errors.AlreadyExists(`File exists (os error 17): ${path}`);
    }
    const parent = path.slice(0, path.lastIndexOf("/"));
    if (!this.#directories.has(parent)) throw new Deno.errors.NotFound(`No such file (os error 2): ${path}`);
    if (this.refused.includes(parent)) {
      throw new Deno.errors.PermissionDenied("Permission denied (os error 13)");
    }
    const handedDown = this.files.get(`${parent}/cgroup.subtree_control`) ?? "";
    const controllers = this.#version === 2
      ? handedDown.trim().split(" ").filter((word) => word !== "")
      : [path.split("/")[2]];
    this.#populate(path, controllers);
  }

  removeDirectory(path: string): void {
    if (!this.#directories.has(path)) throw new Deno.errors.NotFound(`No such file (os error 2): ${path}`);
    const isBusy = [...this.#directories.keys()].some((other) => other.startsWith(`${path}/`));
    if (isBusy || this.read(`${path}/cgroup.procs`).trim() !== "") {
      throw new Error("Device busy (os error 16)");
    }
    this.#directories.delete(path);
    for (const file of [...this.files.keys()]) if (file.startsWith(`${path}/`)) this.files.delete(file);
  }

  inode(path: string): number {
    return this.#directories.get(path) ?? (this.files.has(path) ? 1_000_000 : 0);
  }
}

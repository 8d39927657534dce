// The host's cgroup hierarchies: v1 has one for each controller or few, v2 a single one with all. Where both are mounted, v1
// is meant as soon as it has a controller (systemd's "hybrid" layout). cgroups(7).

import { type CgroupFiles, readOrNull } from "./files.ts";

export interface Hierarchy {
  readonly version: 1 | 2;
  /** Names of controllers; of v1 also "name=systemd". */
  readonly controllers: readonly string[];
  readonly mountPoint: string;
  /** The part of the hierarchy that is mounted there. */
  readonly mountRoot: string;
  /** The caller's cgroup in it. */
  readonly ownPath: string;
}

interface CgroupMount {
  readonly type: string;
  readonly root: string;
  readonly point: string;
  readonly options: readonly string[];
}

/** Those that limits go into, from what /proc/self/mountinfo and /proc/self/cgroup say. */
export function hierarchiesOf(mountinfo: string, memberships: string, files: CgroupFiles): Hierarchy[] {
  const mounts = mountinfo.split("\n").map(mountOf).filter((mount) => mount !== null);
  const first: Hierarchy[] = [], second: Hierarchy[] = [];
  for (const line of memberships.split("\n")) {
    // "4:memory:/a/b", "3:cpu,cpuacct:/", "1:name=systemd:/", "0::/".
    const match = /^\d+:([^:]*):(.*)$/.exec(line);
    if (match === null) continue;
    const [, names, ownPath] = match;
    if (names === "") {
      const mount = mounts.find(({ type }) => type === "cgroup2");
      if (mount === undefined) continue;
      const controllers = readOrNull(files, `${mount.point}/cgroup.controllers`) ?? "";
      second.push(
        {
          ...placeOf(mount, ownPath),
          version: 2,
          controllers: controllers.split(" ").filter((name) => name !== ""),
        },
      );
      continue;
    }
    const controllers = names.split(",");
    const mount = mounts.find(({ type, options }) =>
      type === "cgroup" && controllers.every((name) => options.includes(name))
    );
    if (mount !== undefined) first.push({ ...placeOf(mount, ownPath), version: 1, controllers });
  }
  const hasFirst = first.some(({ controllers }) => controllers.some((name) => !name.startsWith("name=")));
  return hasFirst ? first : second;
}

function placeOf(mount: CgroupMount, ownPath: string) {
  return { mountPoint: mount.point, mountRoot: mount.root, ownPath };
}

/** proc_pid_mountinfo(5); null = it is no mount of cgroups. */
function mountOf(line: string): CgroupMount | null {
  const [before, after] = line.split(" - ");
  if (after === undefined) return null;
  const [type, , options] = after.split(" ");
  if (type !== "cgroup" && type !== "cgroup2") return null;
  const fields = before.split(" ");
  return {
    type,
    root: unescaped(fields[3]),
    point: unescaped(fields[4]),
    options: (options ?? "").split(","),
  };
}

/** "\040" stands for a space. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits) => String.fromCharCode(parseInt(digits, 8)));
}

/**
 * Directory of the cgroup that `cgroupsPath` names, as runc finds it: an absolute path begins at the top of the hierarchy,
 * another at the caller's cgroup (v2: beside it, as a cgroup with processes has none below it). Without one it is named after
 * the container.
 */
export function directoryOf(hierarchy: Hierarchy, cgroupsPath: string, id: string): string {
  const path = cgroupsPath === "" ? id : cgroupsPath;
  if (path.startsWith("/")) return joined(hierarchy.mountPoint, within(hierarchy.mountRoot, joined(path)));
  const own = within(hierarchy.mountRoot, hierarchy.ownPath);
  // Outside of the part that we see: its top is as near as we get.
  const base = own.startsWith("/..") ? "/" : own;
  const from = hierarchy.version === 2 ? base.slice(0, base.lastIndexOf("/")) : base;
  return joined(hierarchy.mountPoint, from, joined(path));
}

/** `path` as it is seen where `root` is mounted. */
function within(root: string, path: string): string {
  return root !== "/" && (path === root || path.startsWith(`${root}/`)) ? path.slice(root.length) : path;
}

/** One absolute path of all; no part leads above its beginning. */
function joined(...paths: readonly string[]): string {
  const parts: string[] = [];
  for (const part of paths.join("/").split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

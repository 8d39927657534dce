// --user of `do`: UID[:GID] or NAME[:GROUP], by /etc/passwd and /etc/group below the sandbox's root, as Docker takes it.

import { UsageError } from "./flags.ts";

export interface User {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
}

const ID_MAX = 0xffff_fffe;

/** Throws UsageError where there is no such user or group. */
export function userOf(text: string, root: string): User {
  const [user, group, ...more] = text.split(":");
  if (user === "" || group === "" || more.length > 0) {
    throw new UsageError(`--user: "${text}" is not USER or USER:GROUP`);
  }
  const entries = fieldsOf(`${root}/etc/passwd`), groups = fieldsOf(`${root}/etc/group`);
  const number = idOf(user);
  const entry = entries.find((fields) => number === null ? fields[0] === user : Number(fields[2]) === number);
  const uid = number ?? idOf(entry?.[2] ?? "");
  if (uid === null) throw new UsageError(`--user: there is no user "${user}" in ${root}/etc/passwd`);
  if (group === undefined) {
    const name = entry?.[0];
    const others = name === undefined ? [] : groups.filter((fields) => fields[3]?.split(",").includes(name));
    // A user that is not in /etc/passwd gets group 0, as with Docker, and so what root's group may read.
    const gid = idOf(entry?.[3] ?? "") ?? uid;
    return { uid, gid, additionalGids: others.map((fields) => idOf(fields[2]) ?? gid) };
  }
  const gid = idOf(group) ?? idOf(groups.find((fields) => fields[0] === group)?.[2] ?? "");
  if (gid === null) throw new UsageError(`--user: there is no group "${group}" in ${root}/etc/group`);
  return { uid, gid, additionalGids: [] };
}

function idOf(text: string): number | null {
  return /^\d{1,10}$/.test(text) && Number(text) <= ID_MAX ? Number(text) : null;
}

/** Lines of a file of the kind of passwd(5); none where there is no such file. */
function fieldsOf(path: string): string[][] {
  try {
    // A FIFO of that name would have us wait.
    if (!Deno.statSync(path).isFile) return [];
    return Deno.readTextFileSync(path).split("\n").map((line) => line.split(":"));
  } catch {
    return [];
  }
}

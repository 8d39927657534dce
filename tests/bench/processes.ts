// What all processes of a sandbox use: found below the one that was started, measured through /proc.

/** `root` and all its descendants. */
export function processTree(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const entry of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(entry.name)) continue;
    const parent = Number(read(`/proc/${entry.name}/stat`).replace(/^.*\) . /s, "").split(" ")[0]);
    if (!Number.isFinite(parent)) continue;
    if (!children.has(parent)) children.set(parent, []);
    children.get(parent)!.push(Number(entry.name));
  }
  const tree = [root];
  for (let at = 0; at < tree.length; at++) tree.push(...children.get(tree[at]) ?? []);
  return tree;
}

/** Resident memory, shared pages counted by their share. */
export function pssBytes(pids: readonly number[]): number {
  let sum = 0;
  for (const pid of pids) sum += Number(/^Pss:\s+(\d+)/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0);
  return sum * 1024;
}

/** CPU time of all their threads, nanoseconds. */
export function schedNanos(pids: readonly number[]): number {
  let sum = 0;
  for (const pid of pids) {
    for (const tid of threads(pid)) sum += Number(read(`/proc/${pid}/task/${tid}/schedstat`).split(" ")[0]);
  }
  return sum;
}

function threads(pid: number): string[] {
  try {
    return [...Deno.readDirSync(`/proc/${pid}/task`)].map(({ name }) => name);
  } catch {
    return [];
  }
}

/** Empty when the process is gone. */
function read(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}

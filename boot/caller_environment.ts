// The environment that the caller gave us. Read from /proc, as Deno adds to its own (a PATH for its `node`); the names that
// the launcher (native/launcher) takes for us have the caller's values under TSVISOR_CALLER_.

const KEPT = "TSVISOR_CALLER_";

/** NAME=VALUE strings, in the caller's order, without what is ours. */
export function callerEnvironment(): string[] {
  const all = Deno.readTextFileSync("/proc/self/environ").split("\0").filter((entry) => entry !== "");
  const kept = new Set(
    all.filter((entry) => entry.startsWith(KEPT)).map((entry) => nameOf(entry.slice(KEPT.length))),
  );
  const list: string[] = [];
  for (const entry of all) {
    if (entry.startsWith(KEPT)) {
      const own = entry.slice(KEPT.length);
      if (!own.endsWith("=")) list.push(own);
    } else if (!entry.startsWith("TSVISOR_") && !kept.has(nameOf(entry))) {
      list.push(entry);
    }
  }
  return list;
}

function nameOf(entry: string): string {
  return entry.split("=")[0];
}

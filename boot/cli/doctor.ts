// tsvisor doctor: what of tsvisor works on this host, and what to do about the rest. A platform works where a sandbox has
// run on it; the other lines say what the host gives.

import { initProgram } from "../library/options.ts";
import { Cgroup, hostHierarchies } from "../cgroup/cgroup.ts";
import { hasCapability, mayTakeInterfaces } from "../net/privilege.ts";
import { PLATFORM_NAMES } from "../../platform/names.ts";
import { type GlobalFlags, type Options, parse, UsageError } from "./flags.ts";

export const DOCTOR_OPTIONS = {
  format: { type: "string", short: "f", value: "text|json", about: "of what it says" },
} as const satisfies Options;

/** What was looked at, and what was found. */
export interface Finding {
  readonly name: string;
  /** "ok"; "less" where sandboxes run without it; "no" where they do not. */
  readonly verdict: "ok" | "less" | "no";
  readonly found: string;
  /** What to do about it; "" where it is ok. */
  readonly advice: string;
}

const SANDBOX_MILLIS_MAX = 60_000;
/** Descriptors and processes that a sandbox of some size needs. */
const FILES_WANTED = 4096;
const PROCESSES_WANTED = 4096;
const CAP_SYS_ADMIN = 21;

export async function doctorCommand(args: string[], _flags: GlobalFlags): Promise<number> {
  const { values } = parse(args, DOCTOR_OPTIONS, false);
  const format = values.format ?? "text";
  if (format !== "text" && format !== "json") {
    throw new UsageError(`Unknown format "${format}": it is text or json`);
  }
  const findings = [
    ...await platforms(),
    kvm(),
    userNamespaces(),
    cgroups(),
    network(),
    limit("open files", "Max open files", FILES_WANTED, "ulimit -n"),
    limit("processes", "Max processes", PROCESSES_WANTED, "ulimit -u"),
  ];
  console.log(format === "json" ? JSON.stringify(findings, null, 2) : findings.map(line).join("\n"));
  const works = (name: string) => findings.some((one) => one.name === name && one.verdict === "ok");
  return PLATFORM_NAMES.some(works) ? 0 : 1;
}

function line({ name, verdict, found, advice }: Finding): string {
  return `${verdict.padEnd(4)}  ${name.padEnd(15)} ${found}${
    advice === "" ? "" : `\n${" ".repeat(22)}${advice}`
  }`;
}

/** Runs a program that ends at once on each platform. */
async function platforms(): Promise<Finding[]> {
  const directory = Deno.makeTempDirSync({ prefix: "tsvisor-doctor-" });
  try {
    Deno.chmodSync(directory, 0o755);
    Deno.writeFileSync(`${directory}/true`, initProgram(), { mode: 0o755 });
    const findings: Finding[] = [];
    for (const name of PLATFORM_NAMES) findings.push(await platform(name, `${directory}/true`));
    return findings;
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

async function platform(name: string, program: string): Promise<Finding> {
  const launcher = Deno.env.get("TSVISOR_LAUNCHER");
  if (launcher === undefined) {
    return {
      name,
      verdict: "no",
      found: "not tried",
      advice: "Use dist/tsvisor: a checkout has no launcher",
    };
  }
  const { code, stderr } = await new Deno.Command(launcher, {
    args: [`--platform=${name}`, "--network=none", "do", "--", program],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
    signal: AbortSignal.timeout(SANDBOX_MILLIS_MAX),
  }).output();
  if (code === 0) return { name, verdict: "ok", found: "a sandbox has run", advice: "" };
  const said = new TextDecoder().decode(stderr).trim().split("\n").at(-1) ?? "";
  const found = said.replace(/^tsvisor: /, "") || `it ended with ${code}`;
  return { name, verdict: "no", found, advice: "--debug --debug-log=FILE tells how far a start comes" };
}

/** There is no such platform of ours yet; people ask for it first. */
function kvm(): Finding {
  const name = "kvm";
  const advice = "tsvisor does not use it yet";
  try {
    Deno.openSync("/dev/kvm", { read: true, write: true }).close();
    return { name, verdict: "less", found: "/dev/kvm can be opened", advice };
  } catch {
    return { name, verdict: "less", found: "/dev/kvm cannot be opened", advice };
  }
}

function userNamespaces(): Finding {
  const name = "user namespaces";
  const isRoot = hasCapability(CAP_SYS_ADMIN);
  const refused = (found: string, advice: string): Finding => ({
    name,
    verdict: isRoot ? "less" : "no",
    found,
    advice,
  });
  const most = sysctl("user/max_user_namespaces");
  if (most === null) return refused("the kernel has none", "It needs CONFIG_USER_NS, or root");
  if (most === "0") return refused("at most 0", "sysctl user.max_user_namespaces=10000");
  if (!isRoot && sysctl("kernel/unprivileged_userns_clone") === "0") {
    return refused("for root only", "sysctl kernel.unprivileged_userns_clone=1");
  }
  if (!isRoot && sysctl("kernel/apparmor_restrict_unprivileged_userns") === "1") {
    return refused("restricted by AppArmor", "sysctl kernel.apparmor_restrict_unprivileged_userns=0");
  }
  return { name, verdict: "ok", found: `at most ${most}`, advice: "" };
}

/** Makes a cgroup and removes it. */
function cgroups(): Finding {
  const name = "cgroups";
  const advice = "Limits hold for what our kernel sees; as root, or with a delegated cgroup, for all";
  try {
    const hierarchies = hostHierarchies();
    const cgroup = Cgroup.planned(hierarchies, "", `tsvisor-doctor-${Deno.pid}`);
    cgroup.make(true);
    cgroup.removeEmpty();
    const controllers = hierarchies.flatMap((one) => one.controllers).filter((one) => !one.includes("="));
    return { name, verdict: "ok", found: `v${cgroup.version}: ${controllers.join(", ")}`, advice: "" };
  } catch (error) {
    return { name, verdict: "less", found: (error as Error).message, advice };
  }
}

function network(): Finding {
  const name = "network";
  if (mayTakeInterfaces()) {
    return { name, verdict: "ok", found: "interfaces of a container's network namespace", advice: "" };
  }
  return {
    name,
    verdict: "less",
    found: "the caller's own network, through --network=user (the default then)",
    advice: "Interfaces of a network namespace need CAP_NET_ADMIN and CAP_NET_RAW",
  };
}

/** A soft limit of setrlimit(2), as /proc/self/limits has it. */
function limit(name: string, label: string, wanted: number, command: string): Finding {
  const text = Deno.readTextFileSync("/proc/self/limits");
  const soft = new RegExp(`^${label} +(\\S+)`, "m").exec(text)?.[1] ?? "unlimited";
  if (soft === "unlimited" || Number(soft) >= wanted) return { name, verdict: "ok", found: soft, advice: "" };
  return {
    name,
    verdict: "less",
    found: soft,
    advice: `${command} ${wanted}, for sandboxes of many programs`,
  };
}

/** null = there is none. */
function sysctl(path: string): string | null {
  try {
    return Deno.readTextFileSync(`/proc/sys/${path}`).trim();
  } catch {
    return null;
  }
}

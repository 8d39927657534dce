// deno task suites [SUITE...] [--platform=systrap] [--only=PART,PART] [--piece=N/M]: outside suites in a sandbox.

import { PLATFORMS, tsvisorPath } from "../support/tsvisor.ts";
import { SUITES } from "./list.ts";
import { runSuite } from "./suite.ts";

const values = new Map<string, string>();
const names: string[] = [];
for (const word of Deno.args) {
  const match = /^--(platform|only|piece)=(.*)$/.exec(word);
  if (match !== null) values.set(match[1], match[2]);
  else names.push(word);
}
const platform = PLATFORMS.find((one) => one === (values.get("platform") ?? "systrap"));
const [piece, every] = (values.get("piece") ?? "1/1").split("/").map(Number);
const suites = SUITES.filter(({ name }) => names.length === 0 || names.includes(name));
if (platform === undefined || suites.length < names.length || !(piece >= 1 && piece <= every)) {
  console.error("Usage: suites [SUITE...] [--platform=systrap|ptrace] [--only=PART,PART] [--piece=N/M]");
  console.error(`Suites: ${SUITES.map(({ name }) => name).join(", ")}`);
  Deno.exit(2);
}
await tsvisorPath();
let isGood = true;
for (const suite of suites) {
  if (!isInstalled(suite.file)) {
    console.error(`${suite.name}: install ${suite.package}`);
    isGood = false;
    continue;
  }
  const only = (values.get("only") ?? "").split(",").filter((word) => word !== "");
  const { passed, listed, surprises } = await runSuite(suite, { platform, only, piece: piece - 1, every });
  console.log(`${suite.name} on ${platform}: ${passed} pass, ${listed} fail as listed`);
  for (const line of surprises) console.log(`  ${line}`);
  isGood &&= surprises.length === 0;
}
Deno.exit(isGood ? 0 : 1);

function isInstalled(file: string): boolean {
  try {
    Deno.statSync(file);
    return true;
  } catch {
    return false;
  }
}

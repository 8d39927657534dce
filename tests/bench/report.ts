// The table of runtimes in docs/PERFORMANCE.md.

import { replaceTable } from "./page.ts";
import { ratio, type Row, show } from "./row.ts";

export function writeTable(rows: readonly Row[], names: readonly string[], rounds: number): void {
  const peers = names.filter((name) => name !== "tsvisor");
  const lines = [
    `| row | unit | ${names.join(" | ")} | ${peers.map((name) => `/ ${name}`).join(" | ")} |`,
    `|---|---|${names.map(() => "---:|").join("")}${peers.map(() => "---:|").join("")}`,
  ];
  for (const { name, unit, values } of rows) {
    const numbers = names.map((runtime) => show(values.get(runtime)));
    const ratios = peers.map((peer) => ratio(values.get("tsvisor"), values.get(peer)));
    lines.push(`| ${name} | ${unit} | ${[...numbers, ...ratios].join(" | ")} |`);
  }
  const when =
    `Best of ${rounds} rounds on ${navigator.hardwareConcurrency} CPUs, Linux ${Deno.osRelease()}.`;
  replaceTable("deno task bench --markdown", `${when}\n\n${lines.join("\n")}`);
}

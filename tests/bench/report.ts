// Writes the table into docs/PERFORMANCE.md, between its two marks; the text around it is written by hand.

import { ratio, type Row, show } from "./run.ts";

const PAGE = new URL("../../docs/PERFORMANCE.md", import.meta.url).pathname;
const BEGIN = "<!-- table: deno task bench --markdown -->";
const END = "<!-- end of table -->";

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
  const text = Deno.readTextFileSync(PAGE);
  const begin = text.indexOf(BEGIN), end = text.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`${PAGE} has lost the marks of its table`);
  const table = `${BEGIN}\n\n${when}\n\n${lines.join("\n")}\n\n`;
  Deno.writeTextFileSync(PAGE, text.slice(0, begin) + table + text.slice(end));
}

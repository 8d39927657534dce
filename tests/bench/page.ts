// The tables of docs/PERFORMANCE.md stand between marks; the text around them is written by hand.

const PAGE = new URL("../../docs/PERFORMANCE.md", import.meta.url).pathname;
const END = "<!-- end of table -->";

/** Replaces the table that `command` makes. */
export function replaceTable(command: string, table: string): void {
  const mark = `<!-- table: ${command} -->`;
  const text = Deno.readTextFileSync(PAGE);
  const begin = text.indexOf(mark), end = text.indexOf(END, begin);
  if (begin < 0 || end < 0) throw new Error(`${PAGE} has lost the marks of the table that ${command} makes`);
  Deno.writeTextFileSync(PAGE, `${text.slice(0, begin)}${mark}\n\n${table}\n\n${text.slice(end)}`);
}

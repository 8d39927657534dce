// `deno task coverage`: what the unit tests run of each room, by lines, as V8 counts them. Exits with 1 when a room below the
// floor is not explained in docs/TESTING.md, or one that is explained there has risen above it.

const ROOT = import.meta.dirname!.replace(/[^/]+$/, "");
const FOLDERS = ["kernel", "gofer", "platform", "netstack", "boot", "native"];
/** Rooms whose folders count one by one. */
const DIVIDED = new Set(["kernel", "platform"]);
const FLOOR_PERCENT = 70;
const DOCUMENT = "docs/TESTING.md";

interface Lines {
  found: number;
  hit: number;
}

async function deno(args: readonly string[], stdout: "inherit" | "piped"): Promise<string> {
  const child = new Deno.Command(Deno.execPath(), { args: [...args], cwd: ROOT, stdout, stderr: "inherit" });
  const output = await child.output();
  if (output.code !== 0) throw new Error(`deno ${args[0]} ends with ${output.code}`);
  return stdout === "piped" ? new TextDecoder().decode(output.stdout) : "";
}

/** Lines of each file from an LCOV report, whose records are SF:path ... LF:found, LH:hit. */
function readReport(report: string): Map<string, Lines> {
  const files = new Map<string, Lines>();
  let lines: Lines = { found: 0, hit: 0 };
  for (const line of report.split("\n")) {
    if (line.startsWith("SF:")) {
      files.set(line.slice(3).replace(ROOT, ""), lines = { found: 0, hit: 0 });
    } else if (line.startsWith("LF:")) {
      lines.found = Number(line.slice(3));
    } else if (line.startsWith("LH:")) {
      lines.hit = Number(line.slice(3));
    }
  }
  return files;
}

function sources(folder: string): string[] {
  return [...Deno.readDirSync(ROOT + folder)].flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) return entry.name === "target" ? [] : sources(path);
    return /\.ts$/.test(path) && !/_test\.ts$|test_support/.test(path) ? [path] : [];
  });
}

/** Lines of a file that no test loads: all that hold code. A file of types alone has none that could run. */
function linesOf(path: string): number {
  const code = Deno.readTextFileSync(ROOT + path).split("\n").filter((line) => /^\s*[^\s/*]/.test(line));
  return code.some((line) => /^(export )?(function|class|const|let)|^[a-z]+\(/.test(line)) ? code.length : 0;
}

function roomOf(path: string): string {
  const parts = path.split("/");
  if (!DIVIDED.has(parts[0])) return parts[0];
  return parts.length > 2 ? `${parts[0]}/${parts[1]}` : parts[0];
}

const directory = Deno.makeTempDirSync({ prefix: "tsvisor-coverage-" });
try {
  await deno(
    [
      "test",
      "-A",
      "--no-check",
      "--parallel",
      "--quiet",
      `--coverage=${directory}`,
      "--coverage-raw-data-only",
      ...FOLDERS,
    ],
    "inherit",
  );
  const files = readReport(await deno(["coverage", "--quiet", "--lcov", directory], "piped"));
  const rooms = new Map<string, Lines>();
  for (const path of FOLDERS.flatMap(sources).sort()) {
    const room = roomOf(path);
    const total = rooms.get(room) ?? { found: 0, hit: 0 };
    rooms.set(room, total);
    const lines = files.get(path);
    total.found += lines?.found ?? linesOf(path);
    total.hit += lines?.hit ?? 0;
  }
  const document = Deno.readTextFileSync(ROOT + DOCUMENT);
  let failures = 0;
  for (const [room, { found, hit }] of [...rooms].sort()) {
    const percent = found === 0 ? 100 : 100 * hit / found;
    const isListed = document.includes(`\n| \`${room}/\` `);
    const note = (percent < FLOOR_PERCENT) === isListed
      ? ""
      : isListed
      ? `  ${DOCUMENT} still lists it`
      : `  ${DOCUMENT} does not list it`;
    if (note !== "") failures++;
    console.log(
      `${room.padEnd(20)} ${percent.toFixed(1).padStart(5)} %  ${String(hit).padStart(6)} of ${
        String(found).padStart(6)
      } lines${note}`,
    );
  }
  if (failures > 0) Deno.exit(1);
} finally {
  Deno.removeSync(directory, { recursive: true });
}

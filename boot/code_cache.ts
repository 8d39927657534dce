// Compiled code of the bundled roles, kept between starts (half of a sentry's start-up otherwise). Deno keeps it in DENO_DIR,
// but writes it when the event loop first turns, and sentry and gofer never let it turn. So a role's first start in a place
// goes the long way round, through the event loop; the command line remembers that, and later starts run at once.

const WARM = "--warm";

/** Starts a role, called as the last thing of its bundle. */
export function startRole(run: () => never): void {
  if (Deno.args.includes(WARM)) run();
  // Two turns: the code is written in the first.
  setTimeout(() => setTimeout(run, 0), 0);
}

/** What a role's bundle at `directory` is given as arguments; the launcher does the same. */
export function warmArguments(directory: string): readonly string[] {
  return isWarm(directory) ? [WARM] : [];
}

/** Once a sandbox runs: the code of its roles is there next time. */
export async function rememberCompiled(directory: string): Promise<void> {
  if (isWarm(directory)) return;
  try {
    await foldLogs();
    Deno.writeTextFileSync(marker(), directory);
  } catch {
    // A place we may not write to: every start is a first one.
  }
}

/** Deno leaves what it stores in the write-ahead logs of its databases, and each start reads these from end to end: 3 ms. */
async function foldLogs(): Promise<void> {
  const { DatabaseSync } = await import("node:sqlite");
  const directory = Deno.env.get("DENO_DIR") ?? "/nonexistent";
  for (const { name } of Deno.readDirSync(directory)) {
    if (!name.endsWith("-wal")) continue;
    const database = new DatabaseSync(`${directory}/${name.slice(0, -"-wal".length)}`);
    database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    database.close();
  }
}

/** The marker names the directory, since code is kept by path and dist/ may have been moved. */
function isWarm(directory: string): boolean {
  try {
    return Deno.readTextFileSync(marker()) === directory;
  } catch {
    return false;
  }
}

/** Asked of the command line alone: a role may not read this variable. */
function marker(): string {
  return `${Deno.env.get("DENO_DIR") ?? "/nonexistent"}/compiled`;
}

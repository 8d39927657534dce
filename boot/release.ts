// `deno task release`: what goes with a release, from what is in dist/ then: the bill of materials beside it, SHA256SUMS of all
// files, and RELEASE.md, the chapter of CHANGELOG.md about this version.

import { DIST, LIB, ROOT } from "./build.ts";
import { VERSION } from "./version.ts";

/** Writes them into `directory`: the names of the files whose sums are there. */
export async function release(directory: string): Promise<string[]> {
  Deno.copyFileSync(`${LIB}/sbom.cdx.json`, `${directory}/sbom.cdx.json`);
  const names = [...Deno.readDirSync(directory)]
    .filter(({ name, isFile }) => isFile && /^tsvisor$|^sbom|\.(deb|tgz)$/.test(name))
    .map(({ name }) => name).sort();
  const sums: string[] = [];
  for (const name of names) {
    const digest = await crypto.subtle.digest("SHA-256", Deno.readFileSync(`${directory}/${name}`));
    sums.push(`${new Uint8Array(digest).toHex()}  ${name}\n`);
  }
  Deno.writeTextFileSync(`${directory}/SHA256SUMS`, sums.join(""));
  Deno.writeTextFileSync(
    `${directory}/RELEASE.md`,
    notesOf(Deno.readTextFileSync(`${ROOT}CHANGELOG.md`), VERSION),
  );
  return names;
}

/** The chapter about `version`. Throws where there is none. */
export function notesOf(changelog: string, version: string): string {
  const chapter = changelog.split(/^## /m).find((text) => text.startsWith(version));
  if (chapter === undefined) throw new Error(`CHANGELOG.md has no chapter ${version}`);
  return `${chapter.slice(chapter.indexOf("\n")).trim()}\n`;
}

if (import.meta.main) console.log((await release(DIST)).join("\n"));

// The source tree as the tidy test sees it: tracked files, their text, what they import.

const ROOT = `${import.meta.dirname}/../../`;

export interface SourceFile {
  /** Path from the root of the tree. */
  readonly path: string;
  readonly text: string;
  /** Text with comments and the contents of string literals blanked out, line by line as in `text`. */
  readonly code: string;
}

export interface Import {
  readonly from: string;
  /** Path from the root for one of ours; the specifier as written for any other. */
  readonly to: string;
  readonly isOurs: boolean;
  /** Types alone vanish before the program runs. */
  readonly isType: boolean;
  /** `import "x"`: for its effect. */
  readonly isBare: boolean;
  /** A dynamic import: evaluated when it is called for. */
  readonly isLate: boolean;
}

/** Every file that git tracks or would track, with the ending(s) asked for; all without. */
export function sourceFiles(...endings: string[]): SourceFile[] {
  return paths().filter((path) => endings.length === 0 || endings.some((ending) => path.endsWith(ending)))
    .map((path) => {
      const text = Deno.readTextFileSync(`${ROOT}${path}`);
      return { path, text, code: path.endsWith(".ts") ? blanked(text) : text };
    });
}

function paths(): string[] {
  const { stdout, success } = new Deno.Command("git", {
    args: ["ls-files", "--cached", "--others", "--exclude-standard", "-z"],
    cwd: ROOT,
  }).outputSync();
  if (!success) throw new Error("Cannot list the tree: git ls-files failed");
  return new TextDecoder().decode(stdout).split("\0").filter((path) => path !== "" && exists(path)).sort();
}

/** A file that is removed but still in the index. */
function exists(path: string): boolean {
  try {
    return Deno.statSync(`${ROOT}${path}`).isFile;
  } catch {
    return false;
  }
}

const IMPORT = /^(?:import|export)\s+(type\s)?(?:[^"';]*?\sfrom\s+)?"([^"]+)"|\bimport\("([^"]+)"\)/gm;

export function importsOf(file: SourceFile): Import[] {
  const list: Import[] = [];
  for (const match of file.text.matchAll(IMPORT)) {
    const specifier = match[2] ?? match[3];
    const isOurs = specifier.startsWith(".");
    const clause = match[0];
    list.push({
      from: file.path,
      to: isOurs ? resolved(file.path, specifier) : specifier,
      isOurs,
      isType: match[1] !== undefined || onlyTypes(clause),
      isBare: /^import\s*"/.test(clause),
      isLate: match[3] !== undefined,
    });
  }
  return list;
}

/** Names that a file takes from each of ours: "*" where it takes the module as a whole. */
export function importedNames(file: SourceFile): Map<string, Set<string>> {
  const names = new Map<string, Set<string>>();
  for (const [statement, clause, specifier] of file.text.matchAll(NAMED_IMPORT)) {
    if (!specifier.startsWith(".")) continue;
    const to = resolved(file.path, specifier);
    let set = names.get(to);
    if (set === undefined) names.set(to, set = new Set());
    const alias = /^\*\s+as\s+(\w+)/.exec(clause)?.[1];
    if (alias !== undefined) {
      const rest = file.text.replace(statement, "");
      for (const [, member] of rest.matchAll(new RegExp(`\\b${alias}\\b(?:\\.(\\w+))?`, "g"))) {
        set.add(member ?? "*");
      }
    } else if (clause.startsWith("{")) {
      for (const part of clause.slice(1, -1).split(",")) {
        set.add(part.trim().replace(/^type /, "").split(" as ")[0]);
      }
    } else {
      set.add("*");
    }
  }
  for (const [, specifier] of file.text.matchAll(/\bimport\("([^"]+)"\)/g)) {
    if (specifier.startsWith(".")) names.set(resolved(file.path, specifier), new Set(["*"]));
  }
  return names;
}

const NAMED_IMPORT =
  /^(?:import|export)\s+(?:type\s+)?(\*(?:\s+as\s+\w+)?|\{[^}]*\}|\w+)\s+from\s+"([^"]+)"/gm;

/** `import { type A, type B }`. */
function onlyTypes(clause: string): boolean {
  const names = /^\w+\s*\{([^}]*)\}/.exec(clause)?.[1].split(",").map((name) => name.trim()) ?? [];
  const named = names.filter((name) => name !== "");
  return named.length > 0 && named.every((name) => name.startsWith("type "));
}

function resolved(from: string, specifier: string): string {
  return new URL(specifier, `file:///${from}`).pathname.slice(1);
}

const COMMENT_OR_STRING = /\/\/[^\n]*|\/\*[\s\S]*?\*\/|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'/g;

function blanked(text: string): string {
  return text.replaceAll(COMMENT_OR_STRING, (part) => part.replaceAll(/[^\n]/g, " "));
}

// What the style sheet and the plan of rooms ask for and a program can check. Each test lists every offence with its file,
// and what is allowed by way of exception stands here with its reason. .github/ARCHITECTURE.md draws the arrows.

import { KERNEL_SCRATCH } from "./support/kernel_scratch.ts";
import { importedNames, importsOf, type SourceFile, sourceFiles } from "./support/source_tree.ts";

/** Lines of a file (two-top-down): past this it becomes a folder of its name. */
const LINES_MAX = 600;

/** Files that may be longer, up to their own bound. */
const LONGER: Readonly<Record<string, { readonly lines: number; readonly reason: string }>> = {
  "native/stub/stub.rs": {
    lines: 1200,
    reason: "freestanding code of one compilation unit, linked at a fixed address: no modules to split into",
  },
};

/** Rooms of kernel/ from left to right: a room's values come from rooms to its left, or beside it, only. */
const KERNEL_ORDER: readonly (readonly string[])[] = [
  ["abi", "util", "arch"],
  ["context"],
  ["syscalls/table", "syscalls/args"],
  ["host"],
  ["time", "mm"],
  ["vfs"],
  ["loader"],
  ["task", "signal"],
  ["fs", "ipc", "tty", "socket"],
  ["trace", "state"],
  ["syscalls"],
  ["container"],
  ["kernel.ts"],
];

/** Types that a room takes from its right: they name each other's objects, and vanish before the program runs. */
const TYPES_FROM_THE_RIGHT: Readonly<Record<string, string>> = {
  "syscalls/table -> task": "a handler's first argument is the Task",
  "arch -> task": "a signal frame is a Task's, a call its",
  "arch -> syscalls/args": "a handler reads its arguments",
  "host -> time": "services are given the Clock",
  "time -> task": "clocks of a process are read from its Task",
  "time -> kernel.ts": "clocks hang at the Kernel",
  "mm -> vfs": "a mapping keeps its file",
  "mm -> task": "an address space acts for a Task",
  "vfs -> ipc": "an inode keeps the pipe of a FIFO",
  "vfs -> socket": "an inode keeps the socket bound to it",
  "vfs -> task": "permission and limits are the Task's",
  "loader -> task": "a program is loaded for a Task",
  "task -> kernel.ts": "tasks hang at the Kernel",
  "task -> container": "a process belongs to a Container",
  "task -> fs": "an IPC namespace holds the file system of its queues",
  "task -> ipc": "an IPC namespace holds its System V tables",
  "task -> socket": "a network namespace holds its abstract names and its stack",
  "container -> kernel.ts": "containers hang at the Kernel",
  "socket -> kernel.ts": "networks are served by the Kernel's loop",
  "fs -> kernel.ts": "file systems are mounted by the Kernel",
  "tty -> kernel.ts": "the host's terminal is watched by the Kernel",
  "trace -> syscalls": "strace wraps the dispatch table",
};

/** Between top-level rooms: whom each may import, by prefix. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  "main.ts": ["boot/"],
  "mod.ts": ["boot/library/"],
  boot: ["kernel/", "platform/", "gofer/", "netstack/mod.ts", "native/"],
  kernel: [
    "platform/platform.ts",
    "platform/slot.ts",
    "gofer/client.ts",
    "netstack/mod.ts",
    "netstack/numbers.ts",
  ],
  gofer: ["kernel/abi/"],
  platform: ["kernel/abi/", "native/"],
  netstack: [],
  native: [],
  examples: ["mod.ts"],
  tests: ["mod.ts", "examples/", "boot/", "kernel/", "platform/", "gofer/", "netstack/", "native/"],
};

/** Imports that the arrows forbid, allowed one by one. */
const CROSSINGS: Readonly<Record<string, string>> = {
  "gofer/server.ts -> native/": "the server end works on the host",
  "gofer/protocol.ts -> kernel/util/bytes.ts": "byte strings: names are the same on both sides",
  "gofer/client.ts -> platform/platform.ts": "types: the host that the sentry's side is given",
  "native/host.ts -> platform/platform.ts": "types: NativeHost is the platform's Host",
  "native/gofer_channel.ts -> platform/platform.ts": "types: the sentry's end is the platform's GoferChannel",
  "platform/ -> kernel/util/bytes.ts": "reads and writes of little-endian words, shared with the kernel",
  "native/ -> kernel/abi/errno.ts": "a message names an errno as all others do",
  "kernel/fs/ -> gofer/protocol.ts": "numbers of the protocol that the gofer file system speaks",
  "kernel/syscalls/marshalling.ts -> platform/systrap/marshalling.ts":
    "the table's argument kinds become what the stub marshals",
};

/** Third-party packages, each behind one file. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  "boot/cli/flags.ts": ["arg"],
  "boot/protobuf.ts": ["pbf"],
  "boot/schema.ts": ["zod/mini", "zod/v4/locales/en.js"],
  "boot/install/toml.ts": ["smol-toml"],
  // Part of Deno.
  "boot/code_cache.ts": ["node:sqlite"],
  // The library runs under Node too.
  "boot/library/host.ts": ["node:child_process", "node:fs", "node:os", "node:process", "node:stream"],
  "boot/library/control.ts": ["node:fs", "node:net", "node:process"],
  "boot/library/fs.ts": ["node:buffer"],
  "boot/library/trees.ts": ["node:fs", "node:fs/promises", "node:url"],
  "boot/one_file.ts": ["node:zlib"],
};

/** Where `Deno.` may stand: whoever touches the host. The kernel, the platforms and the network stack do not. */
const DENO_ROOMS = ["boot/", "native/", "tests/", "examples/", "main.ts", "gofer/server.ts"];

/** Where neither promise nor async function may stand: all that runs below a system call. */
const SYNCHRONOUS_ROOMS = ["kernel/", "platform/", "netstack/", "gofer/"];

/** Classes whose objects never change: a module of kernel/ may have constants of them. */
const IMMUTABLE = new Set(["CapabilitySet", "SocketCredentials", "TextDecoder", "TextEncoder"]);

/** Booleans with Linux's, OCI's or a flag's own word as their name, and those that are just any value. */
const BOOLEAN_NAMES = new Set([
  ...["noNewPrivs", "noNewPrivileges", "terminal", "strace", "nonblocking", "closeOnExec", "multiple"],
  ...["reuseAddress", "reusePort"],
  // Names on the wire of the control API, which are Go's.
  ...["GvisorGSOEnabled", "TXChecksumOffload", "RXChecksumOffload", "PCAP"],
  ...["value", "condition"],
  // The library has the words of Deno and of mount options.
  "readOnly",
  "success",
  // Options of Deno's own functions on files, which the library's are named after.
  "append",
  "createNew",
  "overwrite",
  "pty",
  "recursive",
]);

const files = sourceFiles();
const scripts = files.filter((file) => file.path.endsWith(".ts"));
const sources = scripts.filter((file) => !file.path.endsWith("_test.ts"));
const imports = scripts.flatMap(importsOf);

Deno.test("tidy: a file begins with what it is", () => {
  offences(
    files.filter((file) => /\.(ts|rs|c|h)$/.test(file.path) && !file.path.endsWith("_test.ts"))
      .filter((file) => !/^(\/\/|\/\*|#!)/.test(file.text))
      .map((file) => `${file.path}: its first line is not a comment that says what it is`),
  );
});

Deno.test("tidy: no file is past its number of lines", () => {
  const list: string[] = [];
  for (const { path, text } of files) {
    if (!/\.(ts|rs)$/.test(path)) continue;
    const lines = text.split("\n").length - 1, max = LONGER[path]?.lines ?? LINES_MAX;
    if (lines > max) list.push(`${path}: ${lines} lines, at most ${max}: make it a folder of that name`);
    if (lines <= LINES_MAX && path in LONGER) list.push(`${path}: no longer needs its exception`);
  }
  offences(list);
});

Deno.test("tidy: file names are snake_case", () => {
  offences(
    files.filter((file) =>
      /\.(ts|rs|c|sh)$/.test(file.path) && !/(^|\/)[a-z][a-z0-9_]*\.\w+$/.test(file.path)
    )
      .map((file) => `${file.path}: not snake_case`),
  );
});

Deno.test("tidy: full words, no Impl, Manager, Helper, Utils, Base, I-prefix", () => {
  const type = /^\s*(?:export )?(?:abstract )?(?:class|interface|type|enum) (\w+)/gm;
  const list: string[] = [];
  for (const file of scripts) {
    if (/(_impl|_manager|_helpers?|_utils?|_base)(_test)?\.ts$|\/(utils?|helpers?)\.ts$/.test(file.path)) {
      list.push(`${file.path}: a name that says nothing`);
    }
    for (const [, name] of file.code.matchAll(type)) {
      if (/(Impl|Manager|Helpers?|Utils?|Base)$|^I[A-Z][a-z]/.test(name)) list.push(`${file.path}: ${name}`);
    }
  }
  offences(list);
});

Deno.test("tidy: a boolean's name is a statement", () => {
  // isX, hasX, canX, wantsX and other verbs in the third person: resetsOnFork, keepsOld.
  const boolean = /(?:^|[\s(,#])(\w+)\??: boolean\b/gm;
  const statement = /^_?(is|has|had|can|was|are|may|must|did)[A-Z]|^[a-z]+s([A-Z]|$)/;
  const list: string[] = [];
  for (const file of sources) {
    for (const [, name] of file.code.matchAll(boolean)) {
      if (!statement.test(name) && !BOOLEAN_NAMES.has(name)) list.push(`${file.path}: ${name}: boolean`);
    }
  }
  offences(list);
});

Deno.test("tidy: nothing is left for later in a comment", () => {
  const words = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"];
  const pattern = new RegExp(`\\b(${words.join("|")})\\b`);
  offences(
    files.flatMap((file) =>
      file.text.split("\n").flatMap((line, i) =>
        pattern.test(line) ? [`${file.path}:${i + 1}: ${line.trim()}`] : []
      )
    ),
  );
});

Deno.test("tidy: Deno stands only where the host is touched, dlopen only in native/", () => {
  offences(lines(sources.filter((file) => !starts(file.path, DENO_ROOMS)), /\bDeno\./));
  // The one program that makes host calls which no room may make.
  const isHome = (path: string) => path.startsWith("native/") || path === "tests/support/forbidden_calls.ts";
  offences(lines(sources.filter((file) => !isHome(file.path)), /\bDeno\.(dlopen|Unsafe\w+)/));
});

Deno.test("tidy: no promise and no async function below a system call", () => {
  const rooms = sources.filter((file) => starts(file.path, SYNCHRONOUS_ROOMS));
  offences(lines(rooms, /\basync\b|\bawait\b|\bPromise\b|\bsetTimeout\b/));
});

Deno.test("tidy: no BigInt near a packet", () => {
  offences(
    lines(sources.filter((file) => file.path.startsWith("netstack/")), /\bBigInt\b|\b\d+n\b|\bBig(Ui|I)nt64/),
  );
});

Deno.test("tidy: third-party packages stand behind one file each", () => {
  const list: string[] = [];
  for (const { from, to, isOurs } of imports) {
    if (isOurs || PACKAGES[from]?.includes(to)) continue;
    if (to.startsWith("node:") && (from.endsWith("_test.ts") || from.startsWith("tests/"))) continue;
    list.push(`${from} imports ${to}`);
  }
  offences(list);
});

Deno.test("tidy: nothing is imported for its effect", () => {
  offences(imports.filter((one) => one.isBare).map((one) => `${one.from} imports ${one.to} for its effect`));
});

Deno.test("tidy: no file imports values of itself, by whatever way", () => {
  const needs = new Map<string, string[]>();
  for (const { from, to, isOurs, isType, isLate } of imports) {
    if (!isOurs || isType || isLate) continue;
    needs.set(from, [...needs.get(from) ?? [], to]);
  }
  const list: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, way: readonly string[]) => {
    const at = way.indexOf(path);
    if (at >= 0) list.push([...way.slice(at), path].join(" -> "));
    if (at >= 0 || done.has(path)) return;
    for (const next of needs.get(path) ?? []) visit(next, [...way, path]);
    done.add(path);
  };
  for (const path of needs.keys()) visit(path, []);
  offences(list);
});

Deno.test("tidy: top-level rooms import along the arrows", () => {
  const list: string[] = [];
  for (const { from, to, isOurs } of imports) {
    const room = from.split("/")[0];
    if (!isOurs || to.split("/")[0] === room) continue;
    if (from.endsWith("_test.ts") && to.startsWith("tests/support/")) continue;
    if (ARROWS[room] !== undefined && starts(to, ARROWS[room])) continue;
    if (Object.keys(CROSSINGS).some((crossing) => covers(crossing, from, to))) continue;
    list.push(`${from} -> ${to}`);
  }
  for (const crossing of Object.keys(CROSSINGS)) {
    if (!imports.some((one) => covers(crossing, one.from, one.to))) {
      list.push(`the exception ${crossing} is no longer needed`);
    }
  }
  offences(list);
});

Deno.test("tidy: of the network stack, kernel/ imports types and numbers, as its code is loaded at first use", () => {
  offences(
    imports.filter(({ from, to, isType }) =>
      from.startsWith("kernel/") && !from.endsWith("_test.ts") && to === "netstack/mod.ts" && !isType
    ).map(({ from, to }) => `${from} -> ${to}`),
  );
});

Deno.test("tidy: a room of kernel/ imports rooms to its left only", () => {
  const list: string[] = [];
  for (const { from, to, isOurs, isType } of imports) {
    if (!isOurs || from.endsWith("_test.ts") || !from.startsWith("kernel/") || !to.startsWith("kernel/")) {
      continue;
    }
    const own = kernelRoom(from), other = kernelRoom(to);
    for (const [room, path] of [[own, from], [other, to]]) {
      if (rank(room) < 0) list.push(`${path}: ${room} is not in the order of rooms`);
    }
    if (rank(other) <= rank(own)) continue;
    if (isType && `${own} -> ${other}` in TYPES_FROM_THE_RIGHT) continue;
    list.push(`${from} -> ${to}${isType ? " (types)" : ""}: ${other} is to the right of ${own}`);
  }
  offences(list);
});

Deno.test("tidy: no module of kernel/ has state: it hangs at the Kernel, or is scratch that is named", () => {
  const list: string[] = [];
  const seen = new Set<string>();
  const declared = /^(?:export )?const (\w+)(?:: [^=\n]+)? =\s+(?:new (\w+)(?:<[^>\n]*>)?\((\)?)|([{[]))/gm;
  for (const { path, code } of sources.filter((file) => file.path.startsWith("kernel/"))) {
    for (const [, name] of code.matchAll(/^(?:export )?let (\w+)/gm)) list.push(`${path}: let ${name}`);
    const scratch = (KERNEL_SCRATCH[path.slice("kernel/".length)] ?? "").split(" ");
    for (const [, name, type, isEmpty, literal] of code.matchAll(declared)) {
      if (scratch.includes(name)) {
        seen.add(`${path} ${name}`);
        continue;
      }
      const isCollection = type === "Map" || type === "Set";
      const isConstant = literal !== undefined || isCollection && isEmpty !== ")" ||
        IMMUTABLE.has(type) ||
        /Array$/.test(type ?? "") && name === name.toUpperCase();
      if (!isConstant || isWritten(name, code)) {
        list.push(`${path}: ${name} is state, or scratch without a name`);
      }
    }
  }
  for (const [file, names] of Object.entries(KERNEL_SCRATCH)) {
    for (const name of names.split(" ")) {
      if (!seen.has(`kernel/${file} ${name}`)) {
        list.push(`kernel_scratch.ts: there is no ${name} in kernel/${file}`);
      }
    }
  }
  offences(list);
});

/** Whether a module changes its constant `name`: a field, an entry, or by a method that all collections have. */
function isWritten(name: string, code: string): boolean {
  const target = `(?:\\.\\w+|\\[[^\\]\\n]*\\])+`;
  return new RegExp(
    `\\b${name}(?:\\.(?:set|add|delete|clear|push|pop|splice|fill|sort)\\(|${target} (?:[-+|&]?= |\\+\\+))|[^.\\w]${name}\\.length =`,
  ).test(code);
}

Deno.test("tidy: what kernel/ exports is imported elsewhere; what only a test imports is used beside it", () => {
  const taken = new Map<string, Set<string>>(), tested = new Map<string, Set<string>>();
  for (const file of scripts) {
    const isTest = file.path.endsWith("_test.ts") || file.path.startsWith("tests/");
    const into = isTest ? tested : taken;
    for (const [path, names] of importedNames(file)) {
      into.set(path, new Set([...into.get(path) ?? [], ...names]));
    }
  }
  const exported = /^export (?:abstract )?(?:const enum|const|let|function\*?|class|enum) (\w+)/gm;
  const list: string[] = [];
  for (const { path, code } of sources.filter((file) => file.path.startsWith("kernel/"))) {
    for (const [, name] of code.matchAll(exported)) {
      if (taken.get(path)?.has(name) || taken.get(path)?.has("*")) continue;
      const isUsedHere = [...code.matchAll(new RegExp(`\\b${name}\\b`, "g"))].length > 1;
      if (!(isUsedHere && tested.get(path)?.has(name))) list.push(`${path}: nobody imports ${name}`);
    }
  }
  offences(list);
});

Deno.test("tidy: an architecture is named in kernel/arch/ only", () => {
  const room = "kernel/arch/";
  offences(
    imports.filter(({ from, to }) => to.startsWith(`${room}x64/`) && !from.startsWith(room))
      .map(({ from, to }) => `${from} -> ${to}: import it from ${room}arch.ts or layouts.ts`),
  );
  const registers = /\bREG(S_COUNT)?\b/;
  offences(
    lines(sources.filter(({ path }) => path.startsWith("kernel/") && !path.startsWith(room)), registers),
  );
});

Deno.test("tidy: an error message is a sentence without its period", () => {
  offences(lines(sources, /Error\(\s*(`[^`]*[^.`]\.`|"[^"]*[^."]\.")\s*[),]/, (file) => file.text));
});

Deno.test("tidy: each unsafe block of Rust says why it is safe", () => {
  const list: string[] = [];
  for (const { path, text } of files) {
    if (!path.endsWith(".rs")) continue;
    const all = text.split("\n");
    for (const [i, line] of all.entries()) {
      if (!/\bunsafe\s*\{/.test(line.replace(/\/\/.*/, ""))) continue;
      if (!isJustified(all, i)) list.push(`${path}:${i + 1}: no SAFETY sentence`);
    }
  }
  offences(list);
});

Deno.test("tidy: no registry is named, nothing built is tracked", () => {
  // In parts, so that this file does not name them either.
  const hosts = [["registry", "npmjs", "org"], ["npm", "jsr", "io"], ["crates", "io"], ["jsr", "io"], [
    "pypi",
    "org",
  ]]
    .map((parts) => parts.join("."));
  const list: string[] = [];
  for (const { path, text } of files) {
    for (const host of hosts) if (text.includes(host)) list.push(`${path} names ${host}`);
    if (/(^|\/)(Cargo\.lock|deno\.lock|package-lock\.json)$|\.(so|o|a)$/.test(path)) {
      list.push(`${path} is tracked`);
    }
  }
  offences(list);
});

/** What may stand at the top besides the rooms. Anything else is somebody's leftover. */
const TOP_FILES = [
  ".deno-version",
  ".gitignore",
  "CHANGELOG.md",
  "README.md",
  "deno.json",
  "main.ts",
  "mod.ts",
];

Deno.test("tidy: nothing lies about at the top", () => {
  const list: string[] = [];
  for (const { path } of files) {
    if (!path.includes("/") && !TOP_FILES.includes(path)) {
      list.push(`${path}: belongs into a room, or nowhere`);
    }
  }
  offences(list);
});

Deno.test("tidy: packages are pinned exactly", () => {
  const list: string[] = [];
  const config = JSON.parse(textOf("deno.json")) as { imports: Record<string, string> };
  for (const [name, target] of Object.entries(config.imports)) {
    if (!/@\d+\.\d+\.\d+$/.test(target)) list.push(`deno.json: ${name}: ${target}`);
  }
  const dependencies = textOf("native/Cargo.toml").split("[dependencies]")[1].split("\n[")[0];
  for (const line of dependencies.split("\n")) {
    if (line.trim() !== "" && !/"=\d+\.\d+\.\d+"/.test(line)) list.push(`native/Cargo.toml: ${line}`);
  }
  offences(list);
});

Deno.test("tidy: Deno's version stands in .deno-version, all others agree", () => {
  const pinned = textOf(".deno-version").trim();
  const list = Deno.version.deno === pinned ? [] : [`this is Deno ${Deno.version.deno}, pinned is ${pinned}`];
  for (const { path, text } of files) {
    for (const [, version] of text.matchAll(/deno@v?(\d+\.\d+\.\d+)/g)) {
      if (version !== pinned) list.push(`${path}: deno@${version}, pinned is ${pinned}`);
    }
  }
  offences(list);
});

Deno.test("tidy: tsvisor's version is the same in deno.json, Cargo.toml, CHANGELOG.md and --version", () => {
  const { version } = JSON.parse(textOf("deno.json")) as { version: string };
  const expected: Readonly<Record<string, string>> = {
    "native/Cargo.toml": `version = "${version}"`,
    "CHANGELOG.md": `## ${version}`,
    "boot/version.ts": `VERSION = "${version}"`,
  };
  offences(
    Object.entries(expected).filter(([path, text]) => !textOf(path).includes(text))
      .map(([path, text]) => `${path} does not say ${text}`),
  );
});

Deno.test("tidy: documents point at files that exist", () => {
  const list: string[] = [];
  const paths = new Set(files.map((file) => file.path));
  for (const { path, text } of files) {
    if (!path.endsWith(".md")) continue;
    const directory = path.includes("/") ? path.slice(0, path.lastIndexOf("/") + 1) : "";
    for (const [, target] of text.matchAll(/\]\(([^)#\s]+)[^)]*\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const full = new URL(target, `file:///${directory}`).pathname.slice(1).replace(/\/$/, "");
      if (!paths.has(full) && ![...paths].some((one) => one.startsWith(`${full}/`))) {
        list.push(`${path}: ${target}`);
      }
    }
  }
  offences(list);
});

function kernelRoom(path: string): string {
  const inside = path.slice("kernel/".length);
  if (inside === "kernel.ts") return inside;
  if (inside === "syscalls/table.ts" || inside === "syscalls/args.ts") return inside.slice(0, -3);
  return inside.includes("/") ? inside.split("/")[0] : inside.replace(/\.ts$/, "");
}

function rank(room: string): number {
  return KERNEL_ORDER.findIndex((rooms) => rooms.includes(room));
}

/** A SAFETY comment in the lines above, or a block that is the body of an unsafe function, whose caller has the duty. */
function isJustified(all: readonly string[], at: number): boolean {
  for (let i = at; i >= Math.max(0, at - 12); i--) {
    if (/SAFETY/.test(all[i])) return true;
    if (/\bfn\b/.test(all[i])) return /\bunsafe\b.*\bfn\b/.test(all[i]);
  }
  return false;
}

function covers(crossing: string, from: string, to: string): boolean {
  const [left, right] = crossing.split(" -> ");
  return from.startsWith(left) && to.startsWith(right);
}

function starts(path: string, prefixes: readonly string[]): boolean {
  return prefixes.some((prefix) => path.startsWith(prefix));
}

function textOf(path: string): string {
  const file = files.find((one) => one.path === path);
  if (file === undefined) throw new Error(`${path} is missing`);
  return file.text;
}

function lines(
  of: readonly SourceFile[],
  pattern: RegExp,
  text: (file: SourceFile) => string = (file) => file.code,
): string[] {
  return of.flatMap((file) =>
    text(file).split("\n").flatMap((line, i) =>
      pattern.test(line) ? [`${file.path}:${i + 1}: ${file.text.split("\n")[i].trim()}`] : []
    )
  );
}

function offences(list: readonly string[]): void {
  if (list.length > 0) throw new Error(`\n  ${list.join("\n  ")}`);
}

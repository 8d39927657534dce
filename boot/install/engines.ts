// How each engine is configured to use a runtime: which file it reads, and the entry in it.

import { isSame, parseToml, type TomlTable, valueAt } from "./toml.ts";
import { type TomlEntry, withEntry, withoutEntry } from "./tables.ts";

/** What is registered. */
export interface Registration {
  readonly name: string;
  /** Path of dist/tsvisor. */
  readonly program: string;
  /** Global flags before each command. */
  readonly flags: readonly string[];
  /** An entry of this name with other values is replaced. */
  readonly replaces: boolean;
}

export interface Engine {
  readonly name: string;
  /** Its program, by which it is found. */
  readonly program: string;
  readonly file: string;
  /** What a person does next. */
  readonly advice: string;
  /** New text of its file, which may be empty. Throws one line where that cannot be. */
  install(text: string, registration: Registration): string;
  uninstall(text: string, name: string): string;
  /** Whether two texts of the file say the same. */
  readonly isSame: (one: string, other: string) => boolean;
}

const docker: Engine = {
  name: "docker",
  program: "dockerd",
  file: "/etc/docker/daemon.json",
  advice: "restart dockerd (systemctl restart docker)",
  install: (text, { name, program, flags, replaces }) => {
    const document = daemonOf(text);
    const runtimes = tableOf(document, "runtimes");
    const entry = flags.length === 0 ? { path: program } : { path: program, runtimeArgs: flags };
    const found = runtimes[name];
    if (JSON.stringify(found) === JSON.stringify(entry)) return text;
    if (found !== undefined && !replaces) {
      throw new Error(`runtimes.${name} is there with other values; --clobber replaces it`);
    }
    return written({ ...document, runtimes: { ...runtimes, [name]: entry } }, text);
  },
  uninstall: (text, name) => {
    const document = daemonOf(text);
    const { [name]: entry, ...others } = tableOf(document, "runtimes");
    if (entry === undefined) return text;
    const { runtimes: _, ...rest } = document;
    return written(Object.keys(others).length === 0 ? rest : { ...document, runtimes: others }, text);
  },
  isSame: (one, other) => JSON.stringify(daemonOf(one)) === JSON.stringify(daemonOf(other)),
};

type Document = Readonly<Record<string, unknown>>;

/** daemon.json; an empty file says nothing. */
function daemonOf(text: string): Document {
  if (text.trim() === "") return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`it is not JSON: ${(error as Error).message.split("\n")[0]}`);
  }
  if (!isDocument(value)) throw new Error("it is not an object of JSON");
  return value;
}

function tableOf(document: Document, name: string): Document {
  const table = document[name] ?? {};
  if (!isDocument(table)) throw new Error(`${name} is not an object`);
  return table;
}

function isDocument(value: unknown): value is Document {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Indented as it was. */
function written(document: Document, before: string): string {
  const indent = /^([ \t]+)\S/m.exec(before)?.[1] ?? "    ";
  return `${JSON.stringify(document, null, indent)}\n`;
}

const podman: Engine = {
  name: "podman",
  program: "podman",
  file: "/etc/containers/containers.conf",
  advice: "podman --runtime NAME run ...",
  install: (text, registration) => {
    // podman gives a runtime of its list no flags.
    if (registration.flags.length > 0) {
      throw new Error("podman passes no flags of the file's: use its --runtime-flag");
    }
    const value = [registration.program];
    return withEntry(text, { path: podmanPath(registration.name), value }, () => registration.replaces);
  },
  uninstall: (text, name) => withoutEntry(text, podmanPath(name)),
  isSame: (one, other) => isSame(parseToml(one), parseToml(other)),
};

function podmanPath(name: string): string[] {
  return ["engine", "runtimes", name];
}

const containerd: Engine = {
  name: "containerd",
  program: "containerd",
  file: "/etc/containerd/config.toml",
  advice: "restart containerd; a RuntimeClass names the handler",
  install: (text, { name, program, flags, replaces }) => {
    if (flags.length > 0) {
      throw new Error("containerd's runc options pass no flags: wrap the program in a script");
    }
    // Without a version an old containerd would read the file as one of version 1.
    const whole = text.trim() === "" ? "version = 2\n" : text;
    const entry: TomlEntry = {
      path: containerdPath(parseToml(whole), name),
      value: { runtime_type: "io.containerd.runc.v2", options: { BinaryName: program } },
    };
    return withEntry(whole, entry, () => replaces);
  },
  uninstall: (text, name) => withoutEntry(text, containerdPath(parseToml(text), name)),
  // Version 2 is what an empty file would get.
  isSame: (one, other) => isSame({ version: 2n, ...parseToml(one) }, { version: 2n, ...parseToml(other) }),
};

/** Version 3 of the file (containerd 2) has the plugin under another name. */
function containerdPath(document: TomlTable, name: string): string[] {
  const version = Number(valueAt(document, ["version"]) ?? 1);
  if (version < 2) {
    throw new Error(`version ${version} of the file is of an old containerd: only 2 and 3 are known`);
  }
  const plugin = version === 2 ? "io.containerd.grpc.v1.cri" : "io.containerd.cri.v1.runtime";
  return ["plugins", plugin, "containerd", "runtimes", name];
}

/** Those that can be told. */
export const ENGINES: readonly Engine[] = [docker, podman, containerd];

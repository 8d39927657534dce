// tsvisor install and uninstall: engines learn of this runtime from their configuration files.

import { install, uninstall } from "../install/configuration_file.ts";
import { type Engine, ENGINES } from "../install/engines.ts";
import { type GlobalFlags, type Options, parse, UsageError } from "./flags.ts";

const COMMON = {
  engine: {
    type: "string",
    multiple: true,
    value: "NAME",
    about: `${ENGINES.map(({ name }) => name).join(", ")}; may come again (those that are there)`,
  },
  runtime: { type: "string", value: "NAME", about: "name of the runtime (tsvisor)" },
  root: { type: "string", value: "DIR", about: "where the host's files begin (/)" },
  config_file: { type: "string", value: "FILE", about: "instead of Docker's /etc/docker/daemon.json" },
} as const satisfies Options;

export const INSTALL_OPTIONS = {
  ...COMMON,
  clobber: { type: "boolean", about: "replace an entry of this name with other values" },
} as const satisfies Options;
export const UNINSTALL_OPTIONS = COMMON satisfies Options;

const NAME = /^[A-Za-z0-9][\w.-]{0,63}$/;

interface Target {
  readonly engine: Engine;
  readonly path: string;
}

/** Words after the flags are global flags that the engine puts before each command. */
export function installCommand(args: string[], _: GlobalFlags): number {
  const { values, words } = parse(args, INSTALL_OPTIONS, false);
  const name = nameOf(values);
  const program = Deno.env.get("TSVISOR_LAUNCHER");
  if (program === undefined) throw new Error("Cannot install a checkout: use dist/tsvisor");
  const registration = { name, program, flags: words, replaces: values.clobber === true };
  for (const { engine, path } of targetsOf(values)) {
    const change = install(path, (text) => engine.install(text, registration));
    console.log(
      change === "unchanged"
        ? `${engine.name}: ${path} has ${name} already`
        : `${engine.name}: ${path} has ${name} now; ${engine.advice}`,
    );
  }
  return 0;
}

export function uninstallCommand(args: string[], _: GlobalFlags): number {
  const { values, words } = parse(args, UNINSTALL_OPTIONS, false);
  if (words.length > 0) throw new UsageError("uninstall takes no words");
  const name = nameOf(values);
  for (const { engine, path } of targetsOf(values)) {
    const change = uninstall(path, (text) => engine.uninstall(text, name), engine.isSame);
    console.log(`${engine.name}: ${path} ${change === "unchanged" ? "has no" : "has no more"} ${name}`);
  }
  return 0;
}

function nameOf(values: Record<string, unknown>): string {
  const name = String(values.runtime ?? "tsvisor");
  if (!NAME.test(name)) throw new UsageError(`--runtime: "${name}" is not a name of letters, digits, . _ -`);
  return name;
}

/** Those that are asked for, or else those that are there. */
function targetsOf(values: Record<string, unknown>): Target[] {
  const root = String(values.root ?? "").replace(/\/+$/, "");
  const asked = (values.engine as string[] | undefined) ??
    (values.config_file === undefined ? [] : ["docker"]);
  const unknown = asked.find((name) => !ENGINES.some((engine) => engine.name === name));
  if (unknown !== undefined) {
    throw new UsageError(
      `--engine: "${unknown}" is not one of ${ENGINES.map(({ name }) => name).join(", ")}`,
    );
  }
  const file = values.config_file as string | undefined;
  const pathOf = (engine: Engine) =>
    engine.name === "docker" && file !== undefined ? file : root + engine.file;
  const chosen = ENGINES.filter((engine) =>
    asked.length > 0 ? asked.includes(engine.name) : isThere(root, engine, pathOf(engine))
  );
  if (chosen.length === 0) throw new Error("There is no engine: --engine names one to be installed later");
  return chosen.map((engine) => ({ engine, path: pathOf(engine) }));
}

function isThere(root: string, { program }: Engine, file: string): boolean {
  const places = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"].map((path) =>
    `${root}${path}/${program}`
  );
  return [file, ...places].some((path) => {
    try {
      Deno.statSync(path);
      return true;
    } catch {
      return false;
    }
  });
}

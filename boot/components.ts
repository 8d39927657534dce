// What is built in that others have written: npm packages in the bundles, crates in the native library, the runtime. Their
// content is pinned (components.json): the build fails where it is another, and writes dist/lib/sbom.cdx.json of what it
// took, CycloneDX 1.5. Lock files would name the registry they were made against, so the pins are of the content itself.
// `deno run -A boot/components.ts` writes the pins anew.

const ROOT = import.meta.dirname!.replace(/[^/]+$/, "");
const PINS = `${import.meta.dirname}/components.json`;
/** What cargo leaves beside a crate's own files. */
const NOT_CONTENT = new Set([".cargo-ok", ".cargo_vcs_info.json", "Cargo.lock", "target"]);

/** A package with the hash of its content. */
interface Component {
  readonly kind: "npm" | "cargo" | "generic";
  readonly name: string;
  readonly version: string;
  readonly license: string;
  /** SHA-256 in hex, over paths and contents. */
  readonly hash: string;
}

/** Checks every component against its pin; the text of the software bill of materials. */
export async function checkedComponents(): Promise<string> {
  const pins = JSON.parse(Deno.readTextFileSync(PINS)) as Record<string, string>;
  const components = await pinned();
  for (const component of components) {
    const pin = pins[idOf(component)];
    if (pin === component.hash) continue;
    const reason = pin === undefined ? "has no pin" : `has the hash ${component.hash}, not ${pin}`;
    throw new Error(`Cannot build in ${idOf(component)}: it ${reason} (boot/components.json)`);
  }
  return billOf([...components, await runtime()]);
}

function idOf({ kind, name, version }: Component): string {
  return `pkg:${kind}/${name}@${version}`;
}

async function pinned(): Promise<Component[]> {
  return [...await npmPackages(), ...await crates()].sort((a, b) => idOf(a) < idOf(b) ? -1 : 1);
}

async function npmPackages(): Promise<Component[]> {
  const store = `${ROOT}node_modules/.deno`;
  const found: Component[] = [];
  for (const { name: entry } of Deno.readDirSync(store)) {
    const [, name] = /^(.+)@[^@]+$/.exec(entry) ?? [];
    if (name === undefined) continue;
    const directory = `${store}/${entry}/node_modules/${name.replace("+", "/")}`;
    const { version, license } = JSON.parse(Deno.readTextFileSync(`${directory}/package.json`));
    found.push({ kind: "npm", name, version, license: license ?? "", hash: await hashOf(directory) });
  }
  return found;
}

async function crates(): Promise<Component[]> {
  // Without it there are those that no platform builds, as serde_json's link to serde's version.
  const platform = "--filter-platform=x86_64-unknown-linux-gnu";
  const args = ["metadata", "--format-version=1", "--quiet", platform];
  const { success, stdout } = new Deno.Command("cargo", { args, cwd: `${ROOT}native`, stderr: "inherit" })
    .outputSync();
  if (!success) throw new Error("Cannot list the crates: cargo metadata failed");
  const { packages } = JSON.parse(new TextDecoder().decode(stdout)) as {
    packages: {
      name: string;
      version: string;
      license: string | null;
      source: string | null;
      manifest_path: string;
    }[];
  };
  const found: Component[] = [];
  for (const { name, version, license, source, manifest_path } of packages) {
    if (source === null) continue; // ours
    const hash = await hashOf(manifest_path.replace(/\/[^/]+$/, ""));
    found.push({ kind: "cargo", name, version, license: license ?? "", hash });
  }
  return found;
}

/** Not pinned: its version is, in .deno-version, and each system has its own. */
async function runtime(): Promise<Component> {
  const bytes = await Deno.readFile(Deno.execPath());
  return {
    kind: "generic",
    name: "deno",
    version: Deno.version.deno,
    license: "MIT",
    hash: await sha256(bytes),
  };
}

async function hashOf(directory: string): Promise<string> {
  let list = "";
  for (const path of filesOf(directory, "")) {
    list += `${path}\0${await sha256(await Deno.readFile(`${directory}/${path}`))}\n`;
  }
  return await sha256(new TextEncoder().encode(list));
}

/** Paths of all files below `directory`, in order. */
function filesOf(directory: string, prefix: string): string[] {
  const paths: string[] = [];
  for (const entry of Deno.readDirSync(`${directory}/${prefix}`)) {
    if (NOT_CONTENT.has(entry.name)) continue;
    if (entry.isDirectory) paths.push(...filesOf(directory, `${prefix}${entry.name}/`));
    else paths.push(`${prefix}${entry.name}`);
  }
  return paths.sort();
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function billOf(components: readonly Component[]): string {
  const { version } = JSON.parse(Deno.readTextFileSync(`${ROOT}deno.json`));
  const bill = {
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    version: 1,
    metadata: { component: { type: "application", name: "tsvisor", version } },
    components: components.map((component) => ({
      type: component.kind === "generic" ? "platform" : "library",
      name: component.name,
      version: component.version,
      purl: idOf(component),
      licenses: component.license === "" ? [] : [{ expression: component.license }],
      hashes: [{ alg: "SHA-256", content: component.hash }],
    })),
  };
  return `${JSON.stringify(bill, null, 2)}\n`;
}

if (import.meta.main) {
  const pins = Object.fromEntries((await pinned()).map((component) => [idOf(component), component.hash]));
  Deno.writeTextFileSync(PINS, `${JSON.stringify(pins, null, 2)}\n`);
}

// `deno task deb [EXECUTABLE]`: dist/tsvisor_VERSION_amd64.deb of the one file, with its manual page and completions, which it
// writes itself. The same executable gives the same package: owners and times are no one's. Needs dpkg-deb.

import { DIST, ROOT } from "./build.ts";
import { VERSION } from "./version.ts";

/** The shells, and where each looks for completions. */
const COMPLETIONS: Readonly<Record<string, string>> = {
  bash: "usr/share/bash-completion/completions/tsvisor",
  zsh: "usr/share/zsh/vendor-completions/_tsvisor",
  fish: "usr/share/fish/vendor_completions.d/tsvisor.fish",
};
const CONTROL = `Package: tsvisor
Version: ${VERSION}
Architecture: amd64
Maintainer: The tsvisor project <tsvisor@example.invalid>
Section: admin
Priority: optional
Description: user-space Linux kernel and OCI container runtime
 Runs untrusted Linux programs so that their system calls reach a kernel of
 its own and never the host's, from the command line or as a runtime of
 Docker, podman and containerd.
`;

/** Makes the package of `executable` in `directory`: its path. */
export async function debianPackage(executable: string, directory: string): Promise<string> {
  const output = `${directory}/tsvisor_${VERSION}_amd64.deb`;
  const work = await Deno.makeTempDir({ prefix: "tsvisor-deb-" });
  try {
    const place = (path: string, content: string | Uint8Array, mode = 0o644) => {
      Deno.mkdirSync(`${work}/${path}`.replace(/[^/]+$/, ""), { recursive: true });
      if (typeof content === "string") Deno.writeTextFileSync(`${work}/${path}`, content);
      else Deno.writeFileSync(`${work}/${path}`, content);
      Deno.chmodSync(`${work}/${path}`, mode);
    };
    place("DEBIAN/control", CONTROL);
    place("usr/bin/tsvisor", Deno.readFileSync(executable), 0o755);
    place("usr/share/man/man8/tsvisor.8.gz", await zipped(await run(executable, ["help", "man"])));
    place("usr/share/doc/tsvisor/changelog.gz", await zipped(Deno.readTextFileSync(`${ROOT}CHANGELOG.md`)));
    for (const [shell, path] of Object.entries(COMPLETIONS)) {
      place(path, await run(executable, ["completions", shell]));
    }
    Deno.chmodSync(work, 0o755);
    await run("find", [work, "-type", "d", "-exec", "chmod", "755", "{}", "+"]);
    // Times in the archive are no later than this.
    await run("find", [work, "-exec", "touch", "-h", "-d", "@0", "{}", "+"]);
    await run("dpkg-deb", ["--root-owner-group", "-Zzstd", "-z3", "--build", work, output], {
      SOURCE_DATE_EPOCH: "0",
    });
    return output;
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

async function zipped(text: string): Promise<Uint8Array> {
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function run(program: string, args: string[], env: Record<string, string> = {}): Promise<string> {
  const output = await new Deno.Command(program, { args, env, stdin: "null" }).output();
  if (output.success) return new TextDecoder().decode(output.stdout);
  throw new Error(`${program} failed: ${new TextDecoder().decode(output.stderr).trim()}`);
}

if (import.meta.main) console.log(await debianPackage(Deno.args[0] ?? `${DIST}/tsvisor`, DIST));

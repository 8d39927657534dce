// What a release is made of, as far as it needs no outside service: the Debian package, checksums, notes.

import { equal, match, ok, throws } from "node:assert/strict";
import { debianPackage } from "../../boot/debian_package.ts";
import { notesOf } from "../../boot/release.ts";
import { VERSION } from "../../boot/version.ts";
import { command, tsvisorPath } from "../support/tsvisor.ts";

Deno.test("the Debian package installs into a root of its own, and is the same when it is made again", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "tsvisor-package-" });
  try {
    const executable = await tsvisorPath(), root = `${directory}/root`;
    const path = await debianPackage(executable, directory);
    const before = Deno.readFileSync(path);
    await debianPackage(executable, directory);
    ok(sameBytes(Deno.readFileSync(path), before));
    Deno.mkdirSync(`${root}/var/lib/dpkg`, { recursive: true });
    Deno.writeTextFileSync(`${root}/var/lib/dpkg/status`, "");
    const installed = await command([
      "dpkg",
      `--root=${root}`,
      "--log=/dev/null",
      "--force-not-root",
      "--install",
      path,
    ]);
    equal(installed.code, 0, installed.stderr);
    equal((await command(["cmp", executable, `${root}/usr/bin/tsvisor`])).code, 0);
    equal(Deno.statSync(`${root}/usr/bin/tsvisor`).mode! & 0o7777, 0o755);
    const page = await command(["gzip", "-dc", `${root}/usr/share/man/man8/tsvisor.8.gz`]);
    match(page.stdout, /^\.TH TSVISOR 8 /m);
    match(
      Deno.readTextFileSync(`${root}/usr/share/bash-completion/completions/tsvisor`),
      /complete .*tsvisor/,
    );
    const listed = await command([
      "dpkg-query",
      `--admindir=${root}/var/lib/dpkg`,
      "-W",
      "-f",
      "${Version}",
      "tsvisor",
    ]);
    equal(listed.stdout, VERSION);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

Deno.test("the notes of a release are its chapter of the changelog", () => {
  const changelog = "# Changelog\n\n## 0.2.0\n\n- b\n\n## 0.1.0, unreleased\n\n- a\n- c\n";
  equal(notesOf(changelog, "0.1.0"), "- a\n- c\n");
  equal(notesOf(changelog, "0.2.0"), "- b\n");
  throws(() => notesOf(changelog, "0.3.0"), /no chapter 0\.3\.0/);
});

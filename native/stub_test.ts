// The stub as it was built: guest FPU registers are live and nothing but its text is mapped when it runs, so it may hold no
// SSE or x87 instruction, no data and no relocation.

import assert from "node:assert/strict";

const BUILDS = `${import.meta.dirname}/target/release/build`;

Deno.test("the stub touches no FPU register", () => {
  const text = output("objdump", ["-d", "--no-show-raw-insn", newestStub()]);
  assert.match(text, /\bret\b/, "objdump shows no code");
  const lines = text.split("\n").filter((line) =>
    /%[xyz]?mm\d|%st\b/.test(line) && !/\bf?xsave|\bf?xrstor/.test(line)
  );
  assert.deepEqual(lines, []);
});

Deno.test("the stub is one read-execute segment without data and relocations", () => {
  const path = newestStub();
  const segments = output("readelf", ["-lW", path]).split("\n").filter((line) => /^\s+LOAD\s/.test(line));
  assert.equal(segments.length, 1);
  assert.match(segments[0], / R E /);
  assert.match(output("readelf", ["-rW", path]), /There are no relocations in this file/);
});

/** Of several builds that cargo keeps, the last one. */
function newestStub(): string {
  const stubs = [...Deno.readDirSync(BUILDS)].map((entry) => `${BUILDS}/${entry.name}/out/stub`).filter(
    exists,
  );
  assert.ok(stubs.length > 0, `No stub below ${BUILDS}: deno task build makes it`);
  const time = (path: string) => Deno.statSync(path).mtime!.getTime();
  return stubs.reduce((newest, path) => time(path) > time(newest) ? path : newest);
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

function output(program: string, args: readonly string[]): string {
  const { success, stdout } = new Deno.Command(program, { args: [...args] }).outputSync();
  assert.ok(success, `${program} ${args.join(" ")} failed`);
  return new TextDecoder().decode(stdout);
}

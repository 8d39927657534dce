// Languages: their interpreters, their compilers, and what they compile.

import { command } from "../support/tsvisor.ts";
import { sameAsNative, SCRIPTS } from "./compare.ts";

const BUILD_MILLIS_MAX = 300_000;

sameAsNative("python3", ["/usr/bin/python3", "SCRIPTS/python.py"]);
sameAsNative("perl", ["perl", "SCRIPTS/perl.pl"], { needs: ["perl"] });
sameAsNative("node", ["node", "SCRIPTS/node.cjs"], { needs: ["node"] });
sameAsNative("deno", [
  Deno.execPath(),
  ...["run", "-A", "--no-config", "--no-npm", "--no-remote", "SCRIPTS/deno.mjs"],
]);
sameAsNative("gcc, g++ and make", ["bash", "SCRIPTS/gcc.sh"], { needs: ["gcc", "g++", "make"] });

const built = Deno.makeTempDirSync({ prefix: "tsvisor-built-" });
globalThis.addEventListener("unload", () => Deno.removeSync(built, { recursive: true }));

sameAsNative("a Go program", [`${built}/go`], {
  needs: ["go"],
  prepare: () => compile(["go", "build", "-o", `${built}/go`, `${SCRIPTS}tour.go`]),
});
sameAsNative("a Rust program", [`${built}/rust`], {
  needs: ["rustc"],
  prepare: () => compile(["rustc", "-o", `${built}/rust`, `${SCRIPTS}tour.rs`]),
});
sameAsNative("a static-pie Rust program", [`${built}/rust-static`], {
  needs: ["rustc"],
  prepare: () =>
    compile(["rustc", "-C", "target-feature=+crt-static", "-o", `${built}/rust-static`, `${SCRIPTS}tour.rs`]),
});
sameAsNative("runc", ["runc", "--version"], { needs: ["runc"] });
sameAsNative("go version", ["go", "version"], { needs: ["go"] });
sameAsNative("deno --version", [Deno.execPath(), "--version"]);

async function compile(argv: readonly string[]): Promise<void> {
  const env = { GO111MODULE: "off", GOCACHE: `${built}/cache`, GOFLAGS: "" };
  const done = await command(argv, { env, timeoutMillis: BUILD_MILLIS_MAX });
  if (done.code !== 0) throw new Error(`${argv[0]} fails on the host: ${done.stderr}`);
}

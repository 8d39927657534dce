import { equal } from "node:assert/strict";
import { GENERATED, launcherTable } from "./launcher_table.ts";

Deno.test("what native code knows of protocol and command line is what their tables say", async () => {
  equal(
    Deno.readTextFileSync(GENERATED),
    await launcherTable(),
    "native/src/generated.rs is old: deno run -A boot/control/launcher_table.ts",
  );
});

// Some random sequences of calls of each family: the sandbox answers each call as the host does. A failure shows its seed and
// the first call that differs; TSVISOR_SEED=N begins there. More: `deno task random 5000`.

import { equal } from "node:assert/strict";
import { PLATFORMS } from "../support/tsvisor.ts";
import { compare, compile, SCENES } from "./compare.ts";

const SEED = Number(Deno.env.get("TSVISOR_SEED") ?? 1);
const SEQUENCES = 40;

const directory = Deno.makeTempDirSync({ prefix: "tsvisor-random-" });
Deno.chmodSync(directory, 0o755);
globalThis.addEventListener("unload", () => Deno.removeSync(directory, { recursive: true }));
const program = compile(directory);

for (const scene of SCENES) {
  for (const platform of PLATFORMS) {
    const [family, place] = scene;
    Deno.test(`random ${family} in ${place} on ${platform}, from seed ${SEED}`, async () => {
      const differences = await compare(await program, platform, scene, SEED, SEQUENCES);
      equal(differences.join("\n\n"), "");
    });
  }
}

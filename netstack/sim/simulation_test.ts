// Thousands of seeds, each a simulation of its own. TSVISOR_SEED=N runs one again, TSVISOR_SEEDS=N changes their number.

import { simulate } from "./simulation.ts";

const SEEDS = Number(Deno.env.get("TSVISOR_SEEDS") ?? 1500);
const only = Deno.env.get("TSVISOR_SEED");

Deno.test(only === undefined ? `${SEEDS} simulations` : `simulation ${only}`, () => {
  const seeds = only === undefined ? Array.from({ length: SEEDS }, (_, i) => i + 1) : [Number(only)];
  const bad: string[] = [];
  for (const seed of seeds) {
    let complaints: readonly string[];
    try {
      ({ complaints } = simulate(seed));
    } catch (error) {
      complaints = [(error as Error).stack ?? String(error)];
    }
    if (complaints.length > 0) bad.push(`TSVISOR_SEED=${seed}: ${complaints.slice(0, 3).join("; ")}`);
    if (bad.length >= 10) break;
  }
  if (bad.length > 0) throw new Error(bad.join("\n"));
});

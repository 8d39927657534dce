import { match, strictEqual as equal } from "node:assert/strict";
import { MetricVerifier, prometheusText, type Registration, type Snapshot } from "./prometheus.ts";

const REGISTRATION: Registration = {
  metrics: [
    {
      name: "/calls",
      cumulative: true,
      fields: [{ field_name: "call", allowed_values: ["read", "write"] }],
      prometheus_name: "calls",
    },
    { name: "/tasks", prometheus_name: "tasks" },
    {
      name: "/latency",
      cumulative: true,
      prometheus_name: "latency",
      distribution_bucket_lower_bounds: [0, 10],
    },
  ],
};

function exported(calls: number, more: Snapshot["data"] = []): Snapshot {
  return {
    data: [
      { metric: { name: "calls", type: 2, help: "Calls." }, labels: { call: "read" }, val: { int: calls } },
      { metric: { name: "tasks", type: 1 }, val: { int: 3 } },
      {
        metric: { name: "latency", type: 3 },
        hist: { total: { int: 25 }, buckets: [{ le: { int: 10 }, n: 2 }, { le: { float: "+Inf" }, n: 1 }] },
      },
      ...more!,
    ],
  };
}

Deno.test("metrics are written as Prometheus reads them, series of one metric together", () => {
  const text = prometheusText("p_", [
    { snapshot: exported(1), labels: { sandbox: "a" } },
    { snapshot: exported(2), labels: { sandbox: 'b"\n' } },
  ]);
  equal(
    text,
    `# HELP p_calls Calls.
# TYPE p_calls counter
p_calls{call="read",sandbox="a"} 1
p_calls{call="read",sandbox="b\\"\\n"} 2

# HELP p_tasks 
# TYPE p_tasks gauge
p_tasks{sandbox="a"} 3
p_tasks{sandbox="b\\"\\n"} 3

# HELP p_latency 
# TYPE p_latency histogram
p_latency_bucket{le="10",sandbox="a"} 2
p_latency_bucket{le="+Inf",sandbox="a"} 3
p_latency_sum{sandbox="a"} 25
p_latency_count{sandbox="a"} 3
p_latency_bucket{le="10",sandbox="b\\"\\n"} 2
p_latency_bucket{le="+Inf",sandbox="b\\"\\n"} 3
p_latency_sum{sandbox="b\\"\\n"} 25
p_latency_count{sandbox="b\\"\\n"} 3
`,
  );
});

Deno.test("an export is checked against what was registered, and counters do not go back", () => {
  const verifier = new MetricVerifier(REGISTRATION);
  equal(verifier.verify(exported(5)), null);
  equal(verifier.verify(exported(6)), null);
  equal(verifier.verify(exported(4)), "metric calls: a counter went back to 4");
  equal(verifier.verify(exported(6)), null);
  const wrong = (one: NonNullable<Snapshot["data"]>[number]) => verifier.verify({ data: [one] }) ?? "";
  match(wrong({ metric: { name: "other", type: 1 } }), /^metric "other" was not registered$/);
  match(wrong({ metric: { name: "tasks", type: 2 }, val: {} }), /of type 2, not 1/);
  match(wrong({ metric: { name: "tasks", type: 1 }, labels: { a: "b" }, val: {} }), /has 1 labels/);
  const calls = { name: "calls", type: 2 };
  match(wrong({ metric: calls, labels: { call: "x" }, val: {} }), /label call cannot be "x"/);
  match(wrong({ metric: calls, labels: { other: "read" }, val: {} }), /label call is missing/);
  match(wrong({ metric: { name: "latency", type: 3 }, val: {} }), /of another kind/);
  match(
    wrong({ metric: { name: "latency", type: 3 }, hist: { total: {}, buckets: [{ le: {} }] } }),
    /has 1 buckets/,
  );
  const twice = { metric: calls, labels: { call: "write" }, val: {} };
  match(verifier.verify({ data: [twice, twice] }) ?? "", /a series is there twice/);
});

// tsvisor export-metrics and metric-server: metrics of sandboxes as Prometheus reads them. What a sandbox registers at first is
// kept by the server, and each later export is checked against it: guest code that has taken the sentry over must not be able
// to invent metrics or turn counters back.

import { MetricsExport, MetricsGetRegistered } from "../api/methods.ts";
import { MetricVerifier, prometheusText, type Registration, type Snapshot } from "../control/prometheus.ts";
import { StateDirectory } from "../oci/state.ts";
import type { ContainerState } from "../oci/state.ts";
import { callOf } from "./control_call.ts";
import { type GlobalFlags, type Options, parse, UsageError } from "./flags.ts";
import { runningState } from "./inspect.ts";

const FILTER = {
  type: "string",
  value: "REGEXP",
  about: "only metrics whose names match it",
} as const;
const PREFIX = { type: "string", value: "TEXT", about: "what their names begin with (tsvisor_)" } as const;

export const EXPORT_METRICS_OPTIONS = {
  "exporter-prefix": PREFIX,
  "sandbox-metrics-filter": FILTER,
} as const satisfies Options;

export const METRIC_SERVER_OPTIONS = EXPORT_METRICS_OPTIONS;

const PREFIX_DEFAULT = "tsvisor_";

interface Choice {
  readonly prefix: string;
  readonly filter: string;
}

function choiceOf(values: Record<string, unknown>): Choice {
  const prefix = String(values["exporter-prefix"] ?? PREFIX_DEFAULT);
  if (!/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(prefix)) {
    throw new UsageError(`--exporter-prefix: "${prefix}" cannot begin the name of a metric`);
  }
  return { prefix, filter: String(values["sandbox-metrics-filter"] ?? "") };
}

async function exportOf(state: ContainerState, filter: string): Promise<Snapshot> {
  const { snapshot } = await callOf(state, MetricsExport, { only_metrics: filter }) as { snapshot: Snapshot };
  return snapshot;
}

async function verifierOf(state: ContainerState): Promise<MetricVerifier> {
  const { RegisteredMetrics } = await callOf(state, MetricsGetRegistered, null) as {
    RegisteredMetrics: Registration;
  };
  return new MetricVerifier(RegisteredMetrics);
}

/** As Kubernetes names them, where it is a pod. */
function labelsOf({ id, annotations }: ContainerState): Readonly<Record<string, string>> {
  const pod = annotations["io.kubernetes.cri.sandbox-name"] ?? annotations["io.kubernetes.cri-o.KubeName"];
  const namespace = annotations["io.kubernetes.cri.sandbox-namespace"] ??
    annotations["io.kubernetes.cri-o.Namespace"];
  return {
    sandbox: id,
    ...(pod === undefined ? {} : { pod_name: pod }),
    ...(namespace === undefined ? {} : { namespace_name: namespace }),
  };
}

export async function exportMetricsCommand(args: string[], flags: GlobalFlags): Promise<number> {
  const { values, words } = parse(args, EXPORT_METRICS_OPTIONS, false);
  const { prefix, filter } = choiceOf(values);
  const state = await runningState(words, "export-metrics", flags);
  const verifier = await verifierOf(state), snapshot = await exportOf(state, filter);
  const wrong = verifier.verify(snapshot);
  if (wrong !== null) throw new Error(`Metrics of container "${state.id}": ${wrong}`);
  console.log(prometheusText(prefix, [{ snapshot, labels: labelsOf(state) }]).trimEnd());
  return 0;
}

/** What is known of a sandbox from one scrape to the next. */
interface Known {
  readonly startTicks: string;
  readonly verifier: MetricVerifier;
}

export async function metricServerCommand(args: string[], flags: GlobalFlags): Promise<number> {
  const { values, words } = parse(args, METRIC_SERVER_OPTIONS, false);
  const choice = choiceOf(values);
  if (words.length !== 1) {
    throw new UsageError("metric-server takes one address, HOST:PORT or a Unix socket's path");
  }
  const states = new StateDirectory(flags.root), known = new Map<string, Known>();
  const options = addressOf(words[0]);
  const answer = async (request: Request) => await answerTo(request, states, known, choice);
  const onListen = (address: Deno.Addr) => console.log(`Serving metrics on ${textOf(address)}`);
  const server = "path" in options
    ? Deno.serve({ ...options, onListen }, answer)
    : Deno.serve({ ...options, onListen }, answer);
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => server.shutdown());
  }
  await server.finished;
  return 0;
}

function addressOf(text: string): { hostname: string; port: number } | { path: string } {
  if (text.startsWith("/")) return { path: text };
  const match = /^(.*):(\d{1,5})$/.exec(text);
  if (match === null || Number(match[2]) > 65535) throw new UsageError(`"${text}" is not HOST:PORT`);
  return { hostname: match[1].replace(/^\[|\]$/g, "") || "127.0.0.1", port: Number(match[2]) };
}

function textOf(address: Deno.Addr): string {
  if ("path" in address) return address.path;
  return "hostname" in address ? `${address.hostname}:${address.port}` : "a socket";
}

async function answerTo(
  request: Request,
  states: StateDirectory,
  known: Map<string, Known>,
  choice: Choice,
): Promise<Response> {
  const { pathname } = new URL(request.url);
  if (request.method !== "GET" || pathname !== "/metrics") {
    return new Response("not found\n", { status: 404 });
  }
  const headers = { "content-type": "text/plain; version=0.0.4; charset=utf-8" };
  return new Response(await metricsOfAll(states, known, choice), { headers });
}

/** Sandboxes that do not answer, or answer nonsense, are left out and counted. */
async function metricsOfAll(
  states: StateDirectory,
  known: Map<string, Known>,
  { prefix, filter }: Choice,
): Promise<string> {
  const running = states.list().states.filter(({ status, sandboxId }) =>
    sandboxId === undefined && (status === "running" || status === "paused")
  );
  for (const id of known.keys()) if (!running.some((state) => state.id === id)) known.delete(id);
  let failed = 0;
  const all: Parameters<typeof prometheusText>[1][number][] = [];
  for (const state of running) {
    try {
      const { startTicks } = state;
      let one = known.get(state.id);
      if (one === undefined || one.startTicks !== startTicks) {
        known.set(state.id, one = { startTicks, verifier: await verifierOf(state) });
      }
      const snapshot = await exportOf(state, filter), wrong = one.verifier.verify(snapshot);
      if (wrong === null) all.push({ snapshot, labels: labelsOf(state) });
      else failed++;
    } catch {
      failed++;
    }
  }
  const own = [["meta_sandboxes", "Sandboxes that run.", running.length], [
    "meta_sandboxes_failed",
    "Sandboxes without a valid answer in this scrape.",
    failed,
  ]] as const;
  const lines = own.map(([name, help, value]) =>
    `# HELP ${prefix}${name} ${help}\n# TYPE ${prefix}${name} gauge\n${prefix}${name} ${value}\n`
  );
  return lines.join("") + prometheusText(prefix, all);
}

// Metrics of a sandbox outside it: whether an export is what its registration allows, and the text that Prometheus reads
// (exposition format 0.0.4). The types are those of gVisor's metric.proto and pkg/prometheus in Go's JSON.

/** A MetricRegistration. */
export interface Registration {
  readonly metrics?: readonly RegisteredMetric[];
}

export interface RegisteredMetric {
  readonly name: string;
  readonly description?: string;
  readonly cumulative?: true;
  readonly fields?: readonly { readonly field_name: string; readonly allowed_values?: readonly string[] }[];
  readonly prometheus_name: string;
  /** Upper bounds of a distribution's buckets; it is a number where they are missing. */
  readonly distribution_bucket_lower_bounds?: readonly number[];
}

const METRIC_TYPE = { UNTYPED: 0, GAUGE: 1, COUNTER: 2, HISTOGRAM: 3 } as const;

interface Bucket {
  /** Upper bound; the last bucket has none. */
  readonly le: PrometheusNumber;
  /** Samples up to it, those of earlier buckets left out. */
  readonly n?: number;
}

interface PrometheusNumber {
  readonly int?: number;
  /** Infinity is text: JSON has no number for it. */
  readonly float?: number | "+Inf";
}

export interface SnapshotData {
  readonly metric: { readonly name: string; readonly type?: number; readonly help?: string };
  readonly labels?: Readonly<Record<string, string>>;
  readonly val?: PrometheusNumber | null;
  readonly hist?: {
    readonly total: PrometheusNumber;
    readonly min?: PrometheusNumber;
    readonly max?: PrometheusNumber;
    readonly buckets: readonly Bucket[];
  } | null;
}

/** A Snapshot. */
export interface Snapshot {
  readonly when?: string;
  readonly data?: readonly SnapshotData[];
}

/** Series of one export: a hostile one must not fill the memory of who reads it. */
const SERIES_MAX = 10_000;

/** Checks exports of one sandbox against what it has registered, and counters against what they were. */
export class MetricVerifier {
  readonly #metrics: ReadonlyMap<string, RegisteredMetric>;
  /** Last values of counters and of histograms' totals, by series. */
  readonly #last = new Map<string, number>();

  constructor(registration: Registration) {
    this.#metrics = new Map((registration.metrics ?? []).map((metric) => [metric.prometheus_name, metric]));
  }

  /** What is wrong with `snapshot`; null = nothing, and its counters are what later ones begin from. */
  verify(snapshot: Snapshot): string | null {
    const data = snapshot.data ?? [];
    if (data.length > SERIES_MAX) return `${data.length} series are too many`;
    const seen = new Map<string, number>();
    for (const one of data) {
      const metric = this.#metrics.get(one.metric.name);
      if (metric === undefined) return `metric ${JSON.stringify(one.metric.name)} was not registered`;
      const wrong = problemOf(metric, one);
      if (wrong !== null) return `metric ${one.metric.name}: ${wrong}`;
      const series = seriesOf(one);
      if (seen.has(series)) return `metric ${one.metric.name}: a series is there twice`;
      const value = countOf(one);
      seen.set(series, value);
      const isCounter = metric.cumulative === true || one.hist != null;
      if (isCounter && value < (this.#last.get(series) ?? 0)) {
        return `metric ${one.metric.name}: a counter went back to ${value}`;
      }
    }
    for (const [series, value] of seen) this.#last.set(series, value);
    return null;
  }
}

function problemOf(
  metric: RegisteredMetric,
  { labels = {}, val, hist, metric: { type } }: SnapshotData,
): string | null {
  const bounds = metric.distribution_bucket_lower_bounds;
  const expected = bounds !== undefined
    ? METRIC_TYPE.HISTOGRAM
    : metric.cumulative === true
    ? METRIC_TYPE.COUNTER
    : METRIC_TYPE.GAUGE;
  if (type !== expected) return `it is of type ${type}, not ${expected}`;
  if ((hist != null) !== (bounds !== undefined)) return "its value is of another kind";
  if (hist != null && hist.buckets.length !== bounds!.length) return `it has ${hist.buckets.length} buckets`;
  if (val != null && !Number.isFinite(numberOf(val))) return "its value is no number";
  const fields = metric.fields ?? [];
  const names = Object.keys(labels);
  if (names.length !== fields.length) return `it has ${names.length} labels`;
  for (const { field_name, allowed_values = [] } of fields) {
    const value = labels[field_name];
    if (value === undefined) return `label ${field_name} is missing`;
    if (!allowed_values.includes(value)) return `label ${field_name} cannot be ${JSON.stringify(value)}`;
  }
  return null;
}

function seriesOf({ metric: { name }, labels = {} }: SnapshotData): string {
  return `${name}${labelText(labels)}`;
}

function countOf({ val, hist }: SnapshotData): number {
  if (hist == null) return numberOf(val ?? {});
  return hist.buckets.reduce((sum, { n = 0 }) => sum + n, 0);
}

function numberOf({ int = 0, float }: PrometheusNumber): number {
  return float === "+Inf" ? Infinity : float ?? int;
}

/** One export, with labels that say whose it is. */
export interface LabelledSnapshot {
  readonly snapshot: Snapshot;
  readonly labels: Readonly<Record<string, string>>;
}

const TYPE_NAMES = ["untyped", "gauge", "counter", "histogram"];

/** The text of all of them; a metric's series stand together, as the format wants it. */
export function prometheusText(prefix: string, all: readonly LabelledSnapshot[]): string {
  const metrics = new Map<string, { head: string; lines: string[] }>();
  for (const { snapshot, labels: own } of all) {
    for (const one of snapshot.data ?? []) {
      const name = prefix + one.metric.name;
      let metric = metrics.get(name);
      if (metric === undefined) metrics.set(name, metric = { head: headOf(name, one), lines: [] });
      metric.lines.push(...linesOf(name, one, { ...own, ...one.labels }));
    }
  }
  return [...metrics.values()].map(({ head, lines }) => `${head}${lines.join("\n")}\n`).join("\n");
}

function headOf(name: string, { metric: { help = "", type = 0 } }: SnapshotData): string {
  const text = help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
  return `# HELP ${name} ${text}\n# TYPE ${name} ${TYPE_NAMES[type] ?? "untyped"}\n`;
}

function linesOf(
  name: string,
  { val, hist }: SnapshotData,
  labels: Readonly<Record<string, string>>,
): string[] {
  if (hist == null) return [`${name}${labelText(labels)} ${textOf(numberOf(val ?? {}))}`];
  let count = 0;
  const lines = hist.buckets.map(({ le, n = 0 }) => {
    count += n;
    return `${name}_bucket${labelText({ ...labels, le: textOf(numberOf(le)) })} ${count}`;
  });
  const sum = textOf(numberOf(hist.total));
  return [...lines, `${name}_sum${labelText(labels)} ${sum}`, `${name}_count${labelText(labels)} ${count}`];
}

function textOf(value: number): string {
  return value === Infinity ? "+Inf" : value === -Infinity ? "-Inf" : String(value);
}

function labelText(labels: Readonly<Record<string, string>>): string {
  const parts = Object.keys(labels).sort().map((name) => {
    const value = labels[name].replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
    return `${name}="${value}"`;
  });
  return parts.length === 0 ? "" : `{${parts.join(",")}}`;
}

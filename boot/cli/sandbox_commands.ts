// Commands of gVisor's that look into a sandbox that runs or steer it, beside those of every OCI runtime.

import type { Command } from "./commands.ts";

export const SANDBOX_COMMANDS: Readonly<Record<string, Command>> = {
  debug: {
    words: "ID",
    about: "Print where a sandbox stands, or change what it logs",
    example: "tsvisor debug --stacks my-id",
    load: async () => {
      const { debugCommand, DEBUG_OPTIONS } = await import("./inspect.ts");
      return { run: debugCommand, options: DEBUG_OPTIONS };
    },
  },
  usage: {
    words: "ID",
    about: "Print the memory of a sandbox by kind as JSON",
    example: "tsvisor usage --full my-id",
    load: async () => {
      const { usageCommand, USAGE_OPTIONS } = await import("./inspect.ts");
      return { run: usageCommand, options: USAGE_OPTIONS };
    },
  },
  read: {
    words: "ID PATH",
    about: "Print a file of a container",
    example: "tsvisor read my-id /etc/hostname",
    load: async () => {
      const { readCommand, READ_OPTIONS } = await import("./inspect.ts");
      return { run: readCommand, options: READ_OPTIONS };
    },
  },
  "read-control": {
    words: "ID CONTROLLER FILE",
    about: "Print a control file of a container's cgroup",
    example: "tsvisor read-control my-id pids pids.current",
    load: async () => {
      const { readControlCommand } = await import("./inspect.ts");
      return { run: readControlCommand, options: {} };
    },
  },
  "write-control": {
    words: "ID CONTROLLER FILE VALUE",
    about: "Write a control file of a container's cgroup",
    example: "tsvisor write-control my-id pids pids.max 100",
    load: async () => {
      const { writeControlCommand } = await import("./inspect.ts");
      return { run: writeControlCommand, options: {} };
    },
  },
  "port-forward": {
    words: "ID [LOCAL:]REMOTE",
    about: "Forward connections to a port or Unix socket in a container",
    example: "tsvisor port-forward my-id 8080:80",
    load: async () => {
      const { portForwardCommand, PORT_FORWARD_OPTIONS } = await import("./port_forward.ts");
      return { run: portForwardCommand, options: PORT_FORWARD_OPTIONS };
    },
  },
  "export-metrics": {
    words: "ID",
    about: "Print the metrics of a sandbox as Prometheus reads them",
    example: "tsvisor export-metrics my-id",
    load: async () => {
      const { exportMetricsCommand, EXPORT_METRICS_OPTIONS } = await import("./metrics.ts");
      return { run: exportMetricsCommand, options: EXPORT_METRICS_OPTIONS };
    },
  },
  "metric-server": {
    words: "ADDRESS",
    about: "Serve the metrics of all sandboxes for Prometheus",
    example: "tsvisor metric-server 127.0.0.1:1337",
    load: async () => {
      const { metricServerCommand, METRIC_SERVER_OPTIONS } = await import("./metrics.ts");
      return { run: metricServerCommand, options: METRIC_SERVER_OPTIONS };
    },
  },
  trace: {
    words: "create|delete|list|procfs|metadata ID",
    about: "Have a monitor told what goes on in a sandbox",
    example: "tsvisor trace create --config session.json my-id",
    load: async () => {
      const { traceCommand, TRACE_OPTIONS } = await import("./trace.ts");
      return { run: traceCommand, options: TRACE_OPTIONS };
    },
  },
};

// Calls of the control API that a sandbox cannot carry out yet, each with what it lacks: the caller is told, and nothing is
// pretended.

import { Refusal, type Service, type Services } from "./query.ts";

const lacks = (text: string): Service => () => new Refusal(text);

const noProfile = lacks(
  "profiling is not supported: the runtime gives no profile to the program that it runs",
);

/** Each of a batch is refused by itself. */
const noControlFiles: Service = (_sandbox, query) => ({
  results: query.list("args").map(() => ({ value: "the sandbox has no cgroup controllers", is_error: true })),
});

export const UNSUPPORTED: Services = {
  "containerManager.PortForward": lacks("port forwarding is not supported"),
  "containerManager.CreateTraceSession": lacks("trace sessions are not supported"),
  "containerManager.DeleteTraceSession": (_sandbox, query) =>
    new Refusal(`trace session "${query.text}" not found`),
  "containerManager.ListTraceSessions": () => [],
  "Cgroups.ReadControlFiles": noControlFiles,
  "Cgroups.WriteControlFiles": noControlFiles,
  "Fs.Read": lacks("reading files of a container is not supported"),
  "containerManager.Checkpoint": lacks("checkpoint is not supported"),
  "containerManager.Restore": lacks("restore is not supported"),
  "Profile.CPU": noProfile,
  "Profile.Heap": noProfile,
  "Profile.Block": noProfile,
  "Profile.Mutex": noProfile,
  "Profile.Trace": noProfile,
};

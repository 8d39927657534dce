import { deepEqual, equal } from "node:assert/strict";
import { METHODS } from "./all.ts";

/** What the door says of a call: "" = it goes on to the sandbox. */
function refusal(name: string, argument: unknown, fileCount = 0): string {
  const checked = METHODS.get(name)!.check(argument, fileCount);
  return "error" in checked ? checked.error : "";
}

Deno.test("every method of the API has a schema", () => {
  const names = [
    ..."StartRoot CreateSubcontainer StartSubcontainer DestroySubcontainer Processes ExecuteAsync Event Signal Wait"
      .split(" "),
    ..."WaitPID PortForward CreateTraceSession DeleteTraceSession ListTraceSessions ProcfsDump Pause Resume"
      .split(" "),
    ..."ContainerRuntimeState Checkpoint Restore".split(" "),
  ].map((name) => `containerManager.${name}`);
  names.push("Network.CreateLinksAndRoutes", "debug.Stacks", "Lifecycle.Pause", "Lifecycle.Resume");
  names.push("Usage.Collect", "Usage.UsageFD", "Metrics.GetRegisteredMetrics", "Metrics.Export");
  names.push("Cgroups.ReadControlFiles", "Cgroups.WriteControlFiles", "Logging.Change");
  const files =
    "Read Write Stat ReadDirectory MakeDirectory MakeLink Remove Rename Watch NextChanges EndWatch";
  names.push(...files.split(" ").map((name) => `Fs.${name}`));
  names.push(...["CPU", "Heap", "Block", "Mutex", "Trace"].map((name) => `Profile.${name}`));
  deepEqual([...METHODS.keys()].sort(), names.sort());
});

Deno.test("an argument that is missing is no argument, null is a zero one", () => {
  equal(refusal("containerManager.Wait", undefined), "unexpected end of JSON input");
  equal(refusal("containerManager.Wait", null), "");
  equal(refusal("debug.Stacks", null), "");
});

Deno.test("links and descriptors have to agree", () => {
  const links = { FDBasedLinks: [{ NumChannels: 2 }], XDPLinks: [{}], PCAP: true };
  equal(refusal("Network.CreateLinksAndRoutes", links, 7), "");
  equal(
    refusal("Network.CreateLinksAndRoutes", links, 6),
    "args.FilePayload.Files has 6 FDs but we need 7 entries based on FDBasedLinks, XDPLinks, and PCAP",
  );
});

Deno.test("what can be refused without the sandbox is", () => {
  equal(refusal("Usage.UsageFD", { Version: 2 }), "unsupported version requested: 2");
  equal(refusal("Profile.CPU", { duration: 1000000000 }), "no output writer provided");
  equal(refusal("Fs.Read", { path: "etc/passwd" }), "path must be absolute");
});

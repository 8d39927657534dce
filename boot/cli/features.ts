// tsvisor features: what a config.json may ask for, as the runtime-spec's features.md lists it.

import { CAPABILITY_NAMES } from "../../kernel/abi/task.ts";
import { OCI_VERSION } from "../version.ts";
import { type GlobalFlags, parse } from "./flags.ts";

export function featuresCommand(args: string[], _flags: GlobalFlags): number {
  parse(args, {}, false);
  console.log(JSON.stringify(
    {
      ociVersionMin: "1.0.0",
      ociVersionMax: OCI_VERSION,
      hooks: ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
      mountOptions: [
        "bind",
        "noexec",
        "nosuid",
        "private",
        "rbind",
        "ro",
        "rprivate",
        "rw",
        "slave",
        "rslave",
      ],
      linux: {
        namespaces: ["ipc", "mount", "network", "pid", "uts"],
        capabilities: CAPABILITY_NAMES,
        cgroup: { v1: true, v2: true, systemd: true, systemdUser: true },
        seccomp: { enabled: false },
        apparmor: { enabled: false },
        selinux: { enabled: false },
        intelRdt: { enabled: false },
        mountExtensions: { idmap: { enabled: false } },
      },
      annotations: {},
    },
    null,
    2,
  ));
  return 0;
}

// tsvisor features: what a config.json may ask for, as the runtime-spec's features.md lists it.

import { CAPABILITY_NAMES } from "../../kernel/abi/task.ts";
import { SECCOMP_ACTIONS, SECCOMP_ARCHITECTURES, SECCOMP_FLAGS } from "../oci/seccomp.ts";
import { COMPARISONS } from "../seccomp_profile.ts";
import { OCI_VERSION } from "../version.ts";
import { type GlobalFlags, parse } from "./flags.ts";

const SECCOMP = {
  enabled: true,
  actions: Object.keys(SECCOMP_ACTIONS),
  operators: COMPARISONS.map((name) => `SCMP_CMP_${name}`),
  archs: SECCOMP_ARCHITECTURES,
  knownFlags: Object.keys(SECCOMP_FLAGS),
  supportedFlags: Object.keys(SECCOMP_FLAGS),
};

export function featuresCommand(args: string[], flags: GlobalFlags): number {
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
        seccomp: flags.wantsSeccomp ? SECCOMP : { enabled: false },
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

// Logging.Change: level and strace of a sandbox that runs.

import { LOG_LEVEL } from "../../sandbox_log.ts";
import { Refusal, type Services } from "./query.ts";

export const LOGGING: Services = {
  "Logging.Change": ({ log, network }, query) => {
    const level = query.number("Level");
    if (query.flag("SetLevel") && level > LOG_LEVEL.DEBUG) return new Refusal(`unknown log level: ${level}`);
    if (query.flag("SetStrace")) {
      const unknown = query.flag("EnableStrace")
        ? log.trace(query.strings("StraceAllowlist"))
        : log.endTrace();
      if (typeof unknown === "string") {
        return new Refusal(`error configuring strace: syscall "${unknown}" not found`);
      }
    }
    if (query.flag("SetEventStrace") && query.strings("StraceEventAllowlist").length > 0) {
      return new Refusal("error configuring event strace: there is no event log");
    }
    if (query.flag("SetLevel")) log.level = level;
    if (query.flag("SetLogPackets")) network.logPackets(query.flag("LogPackets"));
    return 0;
  },
};

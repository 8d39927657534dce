// Counters of /proc/net/stat/nf_conntrack.

export class ConntrackStatistics {
  found = 0;
  invalid = 0;
  ignore = 0;
  insert = 0;
  insertFailed = 0;
  drop = 0;
  earlyDrop = 0;
  icmpError = 0;
  deleted = 0;
}

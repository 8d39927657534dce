// Counters of TCP, with the names of /proc/net/snmp (Tcp) and netstat (TcpExt).

export class TcpStatistics {
  ActiveOpens = 0;
  PassiveOpens = 0;
  AttemptFails = 0;
  EstabResets = 0;
  CurrEstab = 0;
  InSegs = 0;
  OutSegs = 0;
  RetransSegs = 0;
  InErrs = 0;
  OutRsts = 0;
  InCsumErrors = 0;
  // TcpExt
  SyncookiesSent = 0;
  SyncookiesRecv = 0;
  SyncookiesFailed = 0;
  TW = 0;
  PAWSActive = 0;
  PAWSEstab = 0;
  DelayedACKs = 0;
  ListenOverflows = 0;
  ListenDrops = 0;
  TCPPureAcks = 0;
  TCPSackRecovery = 0;
  TCPSACKReneging = 0;
  TCPRenoRecovery = 0;
  TCPLostRetransmit = 0;
  TCPFastRetrans = 0;
  TCPSlowStartRetrans = 0;
  TCPTimeouts = 0;
  TCPLossProbes = 0;
  TCPLossProbeRecovery = 0;
  TCPDSACKOldSent = 0;
  TCPDSACKOfoSent = 0;
  TCPDSACKRecv = 0;
  TCPAbortOnData = 0;
  TCPAbortOnClose = 0;
  TCPAbortOnTimeout = 0;
  TCPAbortOnLinger = 0;
  TCPOFOQueue = 0;
  TCPOFODrop = 0;
  TCPChallengeACK = 0;
  TCPSYNChallenge = 0;
  TCPSpuriousRTOs = 0;
  TCPFullUndo = 0;
  TCPKeepAlive = 0;
  TCPWinProbe = 0;
  TCPRcvQDrop = 0;
  TCPTimeWaitOverflow = 0;
  TCPReqQFullDoCookies = 0;
  TCPReqQFullDrop = 0;
  TCPDeferAcceptDrop = 0;
  TCPLoopbackBytes = 0;
}

/** In the order of /proc/net/snmp; the first four are constants of ours: the algorithm is "other", the bounds milliseconds. */
const TCP_NAMES = [
  ...["ActiveOpens", "PassiveOpens", "AttemptFails", "EstabResets", "CurrEstab", "InSegs", "OutSegs"],
  ...["RetransSegs", "InErrs", "OutRsts", "InCsumErrors"],
] as const satisfies readonly (keyof TcpStatistics)[];

type Group = readonly [name: string, counters: readonly (readonly [name: string, value: number])[]];

/** The group Tcp of /proc/net/snmp. */
export function tcpGroup(statistics: TcpStatistics): Group {
  return ["Tcp", [
    ["RtoAlgorithm", 1],
    ["RtoMin", 200],
    ["RtoMax", 120_000],
    ["MaxConn", -1],
    ...TCP_NAMES.map((name) => [name, statistics[name]] as const),
  ]];
}

/** The group TcpExt of /proc/net/netstat: what we count of it. */
export function tcpExtGroup(statistics: TcpStatistics): Group {
  const known: ReadonlySet<string> = new Set(TCP_NAMES);
  return ["TcpExt", Object.entries(statistics).filter(([name]) => !known.has(name))];
}

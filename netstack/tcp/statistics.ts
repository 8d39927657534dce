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
  TCPRcvCollapsed = 0;
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
  TCPHPHits = 0;
  TCPTimeWaitOverflow = 0;
  TCPReqQFullDoCookies = 0;
  TCPReqQFullDrop = 0;
  TCPDeferAcceptDrop = 0;
  TCPLoopbackBytes = 0;
}

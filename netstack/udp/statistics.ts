// Counters of UDP, with the names of /proc/net/snmp (Udp) and snmp6 (Udp6). One object for each family.

export class UdpStatistics {
  InDatagrams = 0;
  NoPorts = 0;
  InErrors = 0;
  OutDatagrams = 0;
  RcvbufErrors = 0;
  SndbufErrors = 0;
  InCsumErrors = 0;
  IgnoredMulti = 0;
  MemErrors = 0;
}

// Counters of the network layer, with the names of /proc/net/snmp, snmp6 and netstat (IpExt). One object for each family.

export class IpStatistics {
  InReceives = 0;
  InHdrErrors = 0;
  InTooBigErrors = 0;
  InNoRoutes = 0;
  InAddrErrors = 0;
  ForwDatagrams = 0;
  InUnknownProtos = 0;
  InDiscards = 0;
  InDelivers = 0;
  OutRequests = 0;
  OutDiscards = 0;
  OutNoRoutes = 0;
  ReasmTimeout = 0;
  ReasmReqds = 0;
  ReasmOKs = 0;
  ReasmFails = 0;
  ReasmOverlaps = 0;
  FragOKs = 0;
  FragFails = 0;
  FragCreates = 0;
  OutTransmits = 0;
  InTruncatedPkts = 0;
  InMcastPkts = 0;
  OutMcastPkts = 0;
  InBcastPkts = 0;
  OutBcastPkts = 0;
  InOctets = 0;
  OutOctets = 0;
  InMcastOctets = 0;
  OutMcastOctets = 0;
  InBcastOctets = 0;
  OutBcastOctets = 0;
  InCsumErrors = 0;
  InNoECTPkts = 0;
  InECT1Pkts = 0;
  InECT0Pkts = 0;
  InCEPkts = 0;

  /** Counts a packet by the ECN bits of its traffic class, RFC 3168. */
  countEcn(tos: number): void {
    switch (tos & 3) {
      case 0:
        this.InNoECTPkts++;
        break;
      case 1:
        this.InECT1Pkts++;
        break;
      case 2:
        this.InECT0Pkts++;
        break;
      default:
        this.InCEPkts++;
    }
  }
}

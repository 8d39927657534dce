// Counters of ICMP: by type, and the sums of /proc/net/snmp (Icmp, IcmpMsg) and snmp6.

/** One family's. */
export class IcmpFamilyStatistics {
  inMessages = 0;
  inErrors = 0;
  inChecksumErrors = 0;
  outMessages = 0;
  outErrors = 0;
  /** Errors not sent as there were too many. */
  outRateLimited = 0;
  readonly inTypes = new Uint32Array(256);
  readonly outTypes = new Uint32Array(256);

  count(isIn: boolean, type: number): void {
    if (isIn) {
      this.inMessages++;
      this.inTypes[type]++;
    } else {
      this.outMessages++;
      this.outTypes[type]++;
    }
  }
}

export class IcmpStatistics {
  readonly v4 = new IcmpFamilyStatistics();
  readonly v6 = new IcmpFamilyStatistics();
}

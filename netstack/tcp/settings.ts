// What Linux keeps in /proc/sys/net/ipv4/tcp_*: one table with range and default.

import { type Setting, Settings } from "../settings.ts";

export const TCP_SETTINGS = {
  rmem_min: { min: 1, max: 0x7fffffff, default: 4096, text: "receive buffer, bytes: least" },
  rmem_default: { min: 1, max: 0x7fffffff, default: 131_072, text: "at the start" },
  rmem_max: { min: 1, max: 0x7fffffff, default: 6_291_456, text: "most that tuning gives" },
  wmem_min: { min: 1, max: 0x7fffffff, default: 4096, text: "send buffer, bytes: least" },
  wmem_default: { min: 1, max: 0x7fffffff, default: 65_536, text: "at the start" },
  wmem_max: { min: 1, max: 0x7fffffff, default: 4_194_304, text: "most that tuning gives" },
  sack: { min: 0, max: 1, default: 1, text: "selective acknowledgements" },
  timestamps: { min: 0, max: 1, default: 1, text: "timestamps and PAWS" },
  window_scaling: { min: 0, max: 1, default: 1, text: "window scaling" },
  moderate_rcvbuf: { min: 0, max: 1, default: 1, text: "receive buffers grow by themselves" },
  syncookies: { min: 0, max: 2, default: 1, text: "0 never, 1 when the queue is full, 2 always" },
  syn_retries: { min: 1, max: 127, default: 6, text: "SYN sent again so often" },
  synack_retries: { min: 0, max: 255, default: 5, text: "SYN-ACK sent again so often" },
  retries2: {
    min: 0,
    max: 255,
    default: 15,
    text: "data sent again so often before the connection is given up",
  },
  orphan_retries: { min: 0, max: 255, default: 8, text: "the same once nobody holds the connection" },
  fin_timeout: { min: 1, max: 120, default: 60, text: "seconds in FIN_WAIT2 without an owner" },
  max_syn_backlog: { min: 1, max: 65_536, default: 1024, text: "half-open connections of a listener" },
  max_tw_buckets: { min: 0, max: 262_144, default: 16_384, text: "connections in TIME_WAIT" },
  tw_reuse: {
    min: 0,
    max: 2,
    default: 2,
    text: "new connections reuse TIME_WAIT: 0 never, 1 always, 2 on loopback",
  },
  abort_on_overflow: { min: 0, max: 1, default: 0, text: "a full accept queue answers RST" },
  keepalive_time: { min: 1, max: 32_767, default: 7200, text: "seconds idle before the first probe" },
  keepalive_intvl: { min: 1, max: 32_767, default: 75, text: "seconds between probes" },
  keepalive_probes: { min: 1, max: 127, default: 9, text: "probes without an answer" },
  ecn: { min: 0, max: 2, default: 2, text: "0 off, 1 asked for, 2 only when asked" },
  recovery: {
    min: 0,
    max: 7,
    default: 1,
    text: "bit 1 RACK, 2 a fixed time for reordering, 4 no threshold of duplicates (RFC 8985); 0 = RFC 6675",
  },
  early_retrans: { min: 0, max: 4, default: 3, text: "tail loss probes: 0 off, else on" },
  slow_start_after_idle: { min: 0, max: 1, default: 1, text: "the window shrinks while nothing is sent" },
} as const satisfies Record<string, Setting>;

export type TcpSettingName = keyof typeof TCP_SETTINGS;

/** The values of one stack. */
export class TcpSettings extends Settings<TcpSettingName> {
  constructor() {
    super(TCP_SETTINGS);
  }
}

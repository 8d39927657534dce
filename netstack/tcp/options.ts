// Socket options of TCP, tcp(7).

import { ENDPOINT_TCP } from "../endpoint_kind.ts";
import { OptionKind, type OptionSpec } from "../option_spec.ts";

export const SOL_TCP = 6;
export const TCP_NODELAY = 1;
export const TCP_MAXSEG = 2;
export const TCP_CORK = 3;
export const TCP_KEEPIDLE = 4;
export const TCP_KEEPINTVL = 5;
export const TCP_KEEPCNT = 6;
export const TCP_SYNCNT = 7;
export const TCP_LINGER2 = 8;
export const TCP_DEFER_ACCEPT = 9;
export const TCP_WINDOW_CLAMP = 10;
export const TCP_INFO = 11;
export const TCP_QUICKACK = 12;
export const TCP_CONGESTION = 13;
export const TCP_USER_TIMEOUT = 18;
export const TCP_FASTOPEN = 23;
export const TCP_NOTSENT_LOWAT = 25;
export const TCP_CC_INFO = 26;
export const TCP_ULP = 31;
export const TCP_INQ = 36;
export const TCP_MD5SIG = 14;

function row(
  name: number,
  label: string,
  kind: OptionKind,
  range: readonly [number, number],
  preset: number,
  support = "full",
  access: OptionSpec["access"] = "rw",
): OptionSpec {
  return {
    level: SOL_TCP,
    name,
    label,
    kind,
    endpoints: ENDPOINT_TCP,
    min: range[0],
    max: range[1],
    default: preset,
    access,
    support,
  };
}

const INT_MAX = 0x7fff_ffff;

export const TCP_OPTIONS: readonly OptionSpec[] = [
  row(TCP_NODELAY, "TCP_NODELAY", OptionKind.Flag, [0, 1], 0),
  row(TCP_MAXSEG, "TCP_MAXSEG", OptionKind.Int, [0, 65_495], 0),
  row(TCP_CORK, "TCP_CORK", OptionKind.Flag, [0, 1], 0),
  // 0 = the stack's setting.
  row(TCP_KEEPIDLE, "TCP_KEEPIDLE", OptionKind.Int, [1, 32_767], 0),
  row(TCP_KEEPINTVL, "TCP_KEEPINTVL", OptionKind.Int, [1, 32_767], 0),
  row(TCP_KEEPCNT, "TCP_KEEPCNT", OptionKind.Int, [1, 127], 0),
  row(TCP_SYNCNT, "TCP_SYNCNT", OptionKind.Int, [1, 127], 0),
  row(TCP_LINGER2, "TCP_LINGER2", OptionKind.Int, [-INT_MAX, INT_MAX], 0),
  row(TCP_DEFER_ACCEPT, "TCP_DEFER_ACCEPT", OptionKind.Int, [0, INT_MAX], 0),
  row(TCP_WINDOW_CLAMP, "TCP_WINDOW_CLAMP", OptionKind.Int, [0, INT_MAX], 0),
  row(TCP_INFO, "TCP_INFO", OptionKind.Other, [0, 0], 0, "full", "ro"),
  row(TCP_QUICKACK, "TCP_QUICKACK", OptionKind.Flag, [0, 1], 1),
  row(TCP_CONGESTION, "TCP_CONGESTION", OptionKind.Other, [0, 0], 0),
  row(TCP_USER_TIMEOUT, "TCP_USER_TIMEOUT", OptionKind.Int, [0, INT_MAX], 0),
  row(TCP_NOTSENT_LOWAT, "TCP_NOTSENT_LOWAT", OptionKind.Int, [-INT_MAX, INT_MAX], 0),
  // Neither algorithm has anything to say there: zero bytes, as on Linux.
  row(TCP_CC_INFO, "TCP_CC_INFO", OptionKind.Other, [0, 0], 0, "full", "ro"),
  row(TCP_INQ, "TCP_INQ", OptionKind.Flag, [0, 1], 0, "the embedder adds readableBytes to each message"),
  row(TCP_MD5SIG, "TCP_MD5SIG", OptionKind.Other, [0, 0], 0, "none"),
  row(TCP_FASTOPEN, "TCP_FASTOPEN", OptionKind.Int, [0, INT_MAX], 0, "none"),
  row(TCP_ULP, "TCP_ULP", OptionKind.Other, [0, 0], 0, "none"),
];

// Losses: retransmission timeout (RFC 6298), SACK (RFC 2018, 2883), RACK-TLP (RFC 8985), NewReno (RFC 6582), PRR
// (RFC 6937), undoing what was for nothing (RFC 3522, RFC 3708).

import { converse } from "../conversation_runner.ts";

const PLAIN = `
    listen
    < SYN seq 0 win 65535 <mss 1000>
    > SYN ACK seq 0 ack 1
    +0.1 < ACK seq 1 ack 1
    accept
`;
const SACK = `
    listen
    < SYN seq 0 win 65535 <mss 1000,sackOK>
    > SYN ACK seq 0 ack 1
    +0.1 < ACK seq 1 ack 1
    accept
`;
const TIMED = `
    listen
    < SYN seq 0 win 65535 <mss 1012,sackOK,ts 100 ecr 0>
    > SYN ACK seq 0 ack 1
    +0.1 < ACK seq 1 ack 1 <ts 200 ecr 0>
    accept
`;

/** Full segments from..to, the last with PSH. */
function segments(from: number, to: number, isLast = true): string {
  const lines: string[] = [];
  for (let at = from; at < to; at += 1000) {
    lines.push(`> ${isLast && at + 1000 >= to ? "PSH " : ""}ACK seq ${at}:${at + 1000} ack 1`);
  }
  return lines.join("\n");
}

Deno.test("timeout: the first segment again, one segment's window, doubled times", () => {
  converse(`${PLAIN}
    write 3000
    ${segments(1, 3001)}
    +0.3 > ACK seq 1:1001 ack 1
    expect info sndWindow 1
    expect info caState 4
    +0.6 > ACK seq 1:1001 ack 1
    +1.2 > ACK seq 1:1001 ack 1
    +0.1 < ACK seq 1 ack 1001
    > ACK seq 1001:2001 ack 1
    > PSH ACK seq 2001:3001 ack 1
    < ACK seq 1 ack 3001
    expect counter TCPTimeouts 3
    expect info totalRetransmits 5
  `);
});

Deno.test("three duplicate acknowledgements without SACK: fast retransmit, then NewReno's partial acknowledgement", () => {
  converse(`${PLAIN}
    write 6000
    ${segments(1, 6001)}
    +0.1 < ACK seq 1 ack 1
    < ACK seq 1 ack 1
    < ACK seq 1 ack 1
    > ACK seq 1:1001 ack 1
    expect info caState 3
    expect counter TCPRenoRecovery 1
    +0.1 < ACK seq 1 ack 3001
    > ACK seq 3001:4001 ack 1
    +0.1 < ACK seq 1 ack 6001
    expect info caState 0
  `);
});

Deno.test("an acknowledgement with data, or with another window, is no duplicate", () => {
  converse(`${PLAIN}
    write 3000
    ${segments(1, 3001)}
    +0.01 < ACK seq 1:11 ack 1
    > ACK seq 3001 ack 11
    < ACK seq 11 ack 1 win 65000
    < ACK seq 11 ack 1 win 64000
    < ACK seq 11 ack 1 win 63000
    +0.05 < ACK seq 11 ack 3001
    expect counter TCPFastRetrans 0
    read 10
  `);
});

Deno.test("SACK: what three segments beyond it have overtaken is lost (RACK), and only that is sent again", () => {
  converse(`${SACK}
    write 6000
    ${segments(1, 6001)}
    +0.1 < ACK seq 1 ack 1 <nop,nop,sack 1001:2001>
    < ACK seq 1 ack 1 <nop,nop,sack 1001:3001>
    < ACK seq 1 ack 1 <nop,nop,sack 1001:4001>
    > ACK seq 1:1001 ack 1
    expect counter TCPSackRecovery 1
    +0.1 < ACK seq 1 ack 6001
    expect info caState 0
    expect info totalRetransmits 1
  `);
});

Deno.test("SACK: two holes are both filled", () => {
  converse(`${SACK}
    write 8000
    ${segments(1, 8001)}
    +0.1 < ACK seq 1 ack 1 <nop,nop,sack 1001:3001>
    < ACK seq 1 ack 1 <nop,nop,sack 4001:6001 1001:3001>
    > ACK seq 1:1001 ack 1
    > ACK seq 3001:4001 ack 1
    < ACK seq 1 ack 1 <nop,nop,sack 4001:8001 1001:3001>
    +0.1 < ACK seq 1 ack 8001
    expect info totalRetransmits 2
  `);
});

Deno.test("tail loss probe: the last segment again after two round trips, no timeout (RFC 8985 section 7)", () => {
  converse(`${SACK}
    write 3000
    ${segments(1, 3001)}
    +0.2 > PSH ACK seq 2001:3001 ack 1
    expect counter TCPLossProbes 1
    expect counter TCPTimeouts 0
    +0.1 < ACK seq 1 ack 1 <nop,nop,sack 2001:3001>
    > ACK seq 1:1001 ack 1
    +0.1 < ACK seq 1 ack 1001 <nop,nop,sack 2001:3001>
    > ACK seq 1001:2001 ack 1
    +0.1 < ACK seq 1 ack 3001
    expect info caState 0
  `);
});

Deno.test("tail loss probe of a lone segment waits 200 ms longer, for a delayed acknowledgement", () => {
  converse(`${SACK}
    write 1000
    > PSH ACK seq 1:1001 ack 1
    +0.3 > PSH ACK seq 1:1001 ack 1
    < ACK seq 1 ack 1001
  `);
});

Deno.test("D-SACK for a probe: nothing was lost, the window stays", () => {
  converse(`${SACK}
    write 3000
    ${segments(1, 3001)}
    +0.2 > PSH ACK seq 2001:3001 ack 1
    +0.01 < ACK seq 1 ack 3001
    +0.1 < ACK seq 1 ack 3001 <nop,nop,sack 2001:3001>
    expect counter TCPDSACKRecv 1
  `);
});

Deno.test("Eifel: an acknowledgement of the original takes a timeout back (RFC 3522)", () => {
  converse(`${TIMED}
    write 3000
    > ACK seq 1:1001 ack 1
    > ACK seq 1001:2001 ack 1
    > PSH ACK seq 2001:3001 ack 1
    +0.2 > PSH ACK seq 2001:3001 ack 1
    +0.3 > ACK seq 1:1001 ack 1
    expect info sndWindow 1
    +0.05 < ACK seq 1 ack 1001 <ts 900 ecr 100>
    expect info sndWindow 10
    expect counter TCPSpuriousRTOs 1
    < ACK seq 1 ack 3001 <ts 901 ecr 100>
  `);
});

Deno.test("a block that acknowledges what was never sent is not believed", () => {
  converse(`${SACK}
    write 2000
    ${segments(1, 2001)}
    < ACK seq 1 ack 1 <nop,nop,sack 5001:6001>
    < ACK seq 1 ack 1 <nop,nop,sack 1001:9001>
    expect info sacked 0
    < ACK seq 1 ack 2001
  `);
});

Deno.test("we SACK what is beyond a gap: the newest block first, and each of the others", () => {
  converse(`${SACK}
    < ACK seq 1001:2001 ack 1
    > ACK seq 1 ack 1 <sack 1001:2001>
    < ACK seq 3001:4001 ack 1
    > ACK seq 1 ack 1 <sack 3001:4001 1001:2001>
    < ACK seq 2001:3001 ack 1
    > ACK seq 1 ack 1 <sack 1001:4001>
    < ACK seq 1:1001 ack 1
    > ACK seq 1 ack 4001 <>
    read 4000
  `);
});

Deno.test("with timestamps three blocks find room", () => {
  converse(`${TIMED}
    < ACK seq 1001:1101 ack 1 <ts 300 ecr 0>
    > ACK seq 1 ack 1
    < ACK seq 2001:2101 ack 1 <ts 300 ecr 0>
    > ACK seq 1 ack 1
    < ACK seq 3001:3101 ack 1 <ts 300 ecr 0>
    > ACK seq 1 ack 1
    < ACK seq 4001:4101 ack 1 <ts 300 ecr 0>
    > ACK seq 1 ack 1 <ts 100 ecr 200,sack 4001:4101 1001:1101 2001:2101>
  `);
});

Deno.test("D-SACK: a duplicate is reported, below and above the acknowledgement (RFC 2883)", () => {
  converse(`${SACK}
    < ACK seq 1:1001 ack 1
    > ACK seq 1 ack 1001
    < ACK seq 501:1001 ack 1
    > ACK seq 1 ack 1001 <sack 501:1001>
    < ACK seq 2001:3001 ack 1
    > ACK seq 1 ack 1001 <sack 2001:3001>
    < ACK seq 2001:2501 ack 1
    > ACK seq 1 ack 1001 <sack 2001:2501 2001:3001>
    read 1000
  `);
});

Deno.test("reordering by less than a quarter of the round trip after it was seen once is not taken for loss", () => {
  converse(`${SACK}
    write 4000
    ${segments(1, 4001)}
    +0.1 < ACK seq 1 ack 1 <nop,nop,sack 1001:2001>
    +0.01 < ACK seq 1 ack 4001
    write 6000
    ${segments(4001, 10001)}
    +0.1 < ACK seq 1 ack 4001 <nop,nop,sack 5001:9001>
    +0.01 < ACK seq 1 ack 10001
    expect info totalRetransmits 0
    expect info reorderSeen 2
  `);
});

Deno.test("SACKed data that is not acknowledged after all is sent again (reneging, RFC 2018 section 8)", () => {
  converse(`${SACK}
    write 2000
    ${segments(1, 2001)}
    +0.05 < ACK seq 1 ack 1 <nop,nop,sack 1001:2001>
    +0.0125 > ACK seq 1:1001 ack 1
    +0.05 < ACK seq 1 ack 1001
    +0.294 > PSH ACK seq 1001:2001 ack 1
    expect counter TCPSACKReneging 1
    < ACK seq 1 ack 2001
  `);
});

Deno.test("a lost retransmission is found by time and sent once more (RACK)", () => {
  converse(`${SACK}
    write 9000
    ${segments(1, 9001)}
    +0.1 < ACK seq 1 ack 1 <nop,nop,sack 1001:4001>
    > ACK seq 1:1001 ack 1
    write 3000
    > ACK seq 9001:10001 ack 1
    < ACK seq 1 ack 1 <nop,nop,sack 1001:7001>
    > ACK seq 10001:11001 ack 1
    > PSH ACK seq 11001:12001 ack 1
    +0.1 < ACK seq 1 ack 1 <nop,nop,sack 9001:10001 1001:9001>
    > ACK seq 1:1001 ack 1
    +0.1 < ACK seq 1 ack 12001
    expect counter TCPLostRetransmit 1
  `);
});

Deno.test("tcp_retries2 timeouts in a row end the connection", () => {
  converse(`${PLAIN}
    setting retries2 2
    write 10
    > PSH ACK seq 1:11 ack 1
    +0.3 > PSH ACK seq 1:11 ack 1
    +0.6 > PSH ACK seq 1:11 ack 1
    +1.3 expect error ETIMEDOUT
    expect counter TCPAbortOnTimeout 1
  `);
});

Deno.test("TCP_USER_TIMEOUT ends it earlier (RFC 5482)", () => {
  converse(`${PLAIN}
    option TCP_USER_TIMEOUT 700
    write 10
    > PSH ACK seq 1:11 ack 1
    +0.3 > PSH ACK seq 1:11 ack 1
    +0.5 expect error ETIMEDOUT
  `);
});

Deno.test("too big: the path takes less, what is out goes again in smaller segments (RFC 1191)", () => {
  converse(`
    listen
    < SYN seq 0 win 65535 <mss 1460>
    > SYN ACK seq 0 ack 1
    < ACK seq 1 ack 1
    accept
    write 2920
    > ACK seq 1:1461 ack 1
    > PSH ACK seq 1461:2921 ack 1
    icmp toobig 1040 seq 1
    > ACK seq 1:1001 ack 1
    > ACK seq 1001:2001 ack 1
    > PSH ACK seq 2001:2921 ack 1
    expect info sndMss 1000
    < ACK seq 1 ack 2921
  `);
});

Deno.test("ECN: asked for, echoed, answered with CWR, the window is reduced once (RFC 3168)", () => {
  converse(`
    listen
    < SYN ECE CWR seq 0 win 65535 <mss 1000>
    > SYN ECE ACK seq 0 ack 1
    < ACK seq 1 ack 1
    accept
    write 2000
    > ACK seq 1:1001 ack 1 ecn 2
    > PSH ACK seq 1001:2001 ack 1 ecn 2
    +0.05 < ECE ACK seq 1 ack 1001
    +0.01 < ECE ACK seq 1 ack 2001
    expect info sndWindow 7
    write 100
    > PSH CWR ACK seq 2001:2101 ack 1 ecn 2
    < ACK seq 1 ack 2101
    < ACK seq 1:1001 ack 2101 ecn 3
    > ECE ACK seq 2101 ack 1001
    < CWR ACK seq 1001:2001 ack 2101 ecn 2
    > ACK seq 2101 ack 2001
    read 2000
  `);
});

Deno.test("soft errors do not end a connection, hard ones neither once it stands; IP_RECVERR tells of them (RFC 5461)", () => {
  converse(`${PLAIN}
    write 10
    > PSH ACK seq 1:11 ack 1
    icmp unreachable 1 seq 1
    icmp unreachable 3 seq 1
    expect state ESTABLISHED
    expect error 0
    option IP_RECVERR 1
    icmp unreachable 1 seq 1
    expect error EHOSTUNREACH
    < ACK seq 1 ack 11
    expect state ESTABLISHED
  `);
});

Deno.test("too big below what any path takes is bounded (RFC 1191 section 3; Linux' min_pmtu)", () => {
  converse(`
    listen
    < SYN seq 0 win 65535 <mss 1460>
    > SYN ACK seq 0 ack 1
    < ACK seq 1 ack 1
    accept
    write 512
    > PSH ACK seq 1:513 ack 1
    icmp toobig 68 seq 1
    expect info sndMss 512
    < ACK seq 1 ack 513
  `);
});

Deno.test("a restart after idleness begins with the initial window (RFC 5681 section 4.1)", () => {
  const first = Array.from({ length: 10 }, (_, i) => `> ACK seq ${1 + i * 1000}:${1001 + i * 1000} ack 1`)
    .join("\n");
  converse(`${PLAIN}
    write 10000
    ${first.replace(/> ACK seq 9001/, "> PSH ACK seq 9001")}
    +0.1 < ACK seq 1 ack 10001
    expect info sndWindow 20
    +5 write 1000
    > PSH ACK seq 10001:11001 ack 1
    expect info sndWindow 10
    < ACK seq 1 ack 11001
  `);
});

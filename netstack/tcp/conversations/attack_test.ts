// What blind and old segments may not do: RFC 5961, RFC 7323 (PAWS), RFC 9293 section 3.10.7.4; and keepalive, which
// looks the same from the other side (RFC 9293 section 3.8.4).

import { converse } from "../conversation_runner.ts";

const OPEN = `
    listen
    < SYN seq 0 win 65535 <mss 1000>
    > SYN ACK seq 0 ack 1
    < ACK seq 1 ack 1
    accept
`;
const TIMED = `
    listen
    < SYN seq 0 win 65535 <mss 1012,sackOK,ts 100 ecr 0>
    > SYN ACK seq 0 ack 1
    < ACK seq 1 ack 1 <ts 200 ecr 0>
    accept
`;

Deno.test("RST: the very next number resets, one in the window is challenged, others are ignored", () => {
  converse(`${OPEN}
    < RST seq 5000
    > ACK seq 1 ack 1
    < RST seq 90000
    +1 < RST seq 1
    expect error ECONNRESET
    expect state CLOSED
    expect counter EstabResets 1
  `);
});

Deno.test("challenges of one connection come twice a second at most", () => {
  converse(`${OPEN}
    < RST seq 5000
    > ACK seq 1 ack 1
    < RST seq 5000
    < SYN seq 5000
    +0.6 < SYN seq 5000
    > ACK seq 1 ack 1
    expect counter TCPChallengeACK 2
    expect state ESTABLISHED
  `);
});

Deno.test("SYN in the window is challenged, not obeyed (RFC 5961 section 4)", () => {
  converse(`${OPEN}
    < SYN seq 1
    > ACK seq 1 ack 1
    expect state ESTABLISHED
  `);
});

Deno.test("an ACK of what was never sent is challenged, and its data not taken (RFC 5961 section 5)", () => {
  converse(`${OPEN}
    < PSH ACK seq 1:11 ack 500
    > ACK seq 1 ack 1
    expect readable 0
    < PSH ACK seq 1:11 ack -70000
    expect readable 0
    +0.6 < PSH ACK seq 1:11 ack -70000
    > ACK seq 1 ack 1
    expect readable 0
  `);
});

Deno.test("data without ACK is not taken", () => {
  converse(`${OPEN}
    < PSH seq 1:11
    expect readable 0
  `);
});

Deno.test("PAWS: an old timestamp is answered and not taken, a RST is not held to it", () => {
  converse(`${TIMED}
    < PSH ACK seq 1:11 ack 1 <ts 199 ecr 0>
    > ACK seq 1 ack 1
    expect readable 0
    expect counter PAWSEstab 1
    < PSH ACK seq 1:11 ack 1 <ts 200 ecr 0>
    > ACK seq 1 ack 11
    < RST seq 11 <ts 1 ecr 0>
    expect error ECONNRESET
    read 10
  `);
});

Deno.test("after 24 days of silence any timestamp is believed (RFC 7323 section 5.5)", () => {
  converse(`${TIMED}
    +2100000 < PSH ACK seq 1:11 ack 1 <ts 5 ecr 0>
    > ACK seq 1 ack 11
    read 10
  `);
});

Deno.test("the timestamp echoed is that of the segment that moved the window's left edge (RFC 7323 section 4.3)", () => {
  converse(`${TIMED}
    < PSH ACK seq 101:201 ack 1 <ts 300 ecr 0>
    > ACK seq 1 ack 1 <ts 0 ecr 200,...>
    < PSH ACK seq 1:101 ack 1 <ts 310 ecr 0>
    > ACK seq 1 ack 201 <ts 0 ecr 310>
    read 200
  `);
});

Deno.test("data from before the window is acknowledged, so that the peer learns where we are", () => {
  converse(`${OPEN}
    < PSH ACK seq 1:11 ack 1
    > ACK seq 1 ack 11
    < PSH ACK seq 1:11 ack 1
    > ACK seq 1 ack 11
    read 10
  `);
});

Deno.test("the peer's keepalive probe is answered", () => {
  converse(`${OPEN}
    < ACK seq 0 ack 1
    > ACK seq 1 ack 1
    +1 < ACK seq 0:1 ack 1
    > ACK seq 1 ack 1
  `);
});

Deno.test("keepalive: after the idle time probes, each answer begins the time anew", () => {
  converse(`${OPEN}
    option TCP_KEEPIDLE 10
    option TCP_KEEPINTVL 2
    option TCP_KEEPCNT 3
    option SO_KEEPALIVE 1
    +10 > ACK seq 0 ack 1
    < ACK seq 1 ack 1
    +10 > ACK seq 0 ack 1
    < ACK seq 1 ack 1
    +10 > ACK seq 0 ack 1
    +2 > ACK seq 0 ack 1
    +2 > ACK seq 0 ack 1
    +2 > RST ACK seq 1 ack 1
    expect error ETIMEDOUT
    expect counter TCPKeepAlive 5
  `);
});

Deno.test("keepalive: data that comes puts the probe off", () => {
  converse(`${OPEN}
    option TCP_KEEPIDLE 10
    option SO_KEEPALIVE 1
    +9 < PSH ACK seq 1:11 ack 1
    > ACK seq 1 ack 11
    +9.9 nothing
    +10 > ACK seq 0 ack 11
    < ACK seq 11 ack 1
    option SO_KEEPALIVE 0
    read 10
    +100 nothing
  `.replace("+9.9 nothing\n    +10 >", "+10 >"));
});

Deno.test("TCP_USER_TIMEOUT with keepalive decides by time and not by number", () => {
  converse(`${OPEN}
    option TCP_KEEPIDLE 10
    option TCP_KEEPINTVL 2
    option TCP_KEEPCNT 9
    option TCP_USER_TIMEOUT 13000
    option SO_KEEPALIVE 1
    +10 > ACK seq 0 ack 1
    +2 > ACK seq 0 ack 1
    +2 > RST ACK seq 1 ack 1
    expect error ETIMEDOUT
  `);
});

Deno.test("window attack: an old segment does not bring its window", () => {
  converse(`${OPEN}
    < PSH ACK seq 1:11 ack 1 win 5000
    > ACK seq 1 ack 11
    < ACK seq 1 ack 1 win 1
    > ACK seq 1 ack 11
    expect info peerWindow 5000
    read 10
  `);
});

Deno.test("malformed options end the list and harm nobody", () => {
  converse(`
    listen
    < SYN seq 0 win 1000 <mss 1000,raw 8,raw 0>
    > SYN ACK seq 0 ack 1
    < ACK seq 1 ack 1 <raw 5 ff,raw 1 2>
    accept
    < ACK seq 1:11 ack 1 <raw 8 3 0 1>
    > ACK seq 1 ack 11
    read 10
  `);
});

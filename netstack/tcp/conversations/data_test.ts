// Data both ways: segmentation, Nagle, cork, acknowledgement policy, windows, silly windows, probes. RFC 9293 section 3.8,
// RFC 1122 section 4.2.3, RFC 896.

import { converse } from "../conversation_runner.ts";

/** Without options, so that lines stay short; segments of 1,000 bytes. */
const OPEN = `
    listen
    < SYN seq 0 win 65535 <mss 1000>
    > SYN ACK seq 0 ack 1
    < ACK seq 1 ack 1
    accept
`;

Deno.test("a write becomes full segments and a rest, PSH on the last", () => {
  converse(`${OPEN}
    write 2500
    > ACK seq 1:1001 ack 1
    > ACK seq 1001:2001 ack 1
    > PSH ACK seq 2001:2501 ack 1
    < ACK seq 1 ack 2501
    expect unsent 0
  `);
});

Deno.test("small writes of one turn become one segment", () => {
  converse(`${OPEN}
    write 10; write 20; write 30
    > PSH ACK seq 1:61 ack 1
    < ACK seq 1 ack 61
  `);
});

Deno.test("Nagle: a small segment waits while another is out (RFC 896)", () => {
  converse(`${OPEN}
    write 10
    > PSH ACK seq 1:11 ack 1
    write 20
    +0.05 nothing
    < ACK seq 1 ack 11
    > PSH ACK seq 11:31 ack 1
    < ACK seq 1 ack 31
  `);
});

Deno.test("Nagle lets full segments go, and the rest waits only for a small one (Minshall)", () => {
  converse(`${OPEN}
    write 1000
    > PSH ACK seq 1:1001 ack 1
    write 300
    > PSH ACK seq 1001:1301 ack 1
    write 5
    +0.01 nothing
    < ACK seq 1 ack 1301
    > PSH ACK seq 1301:1306 ack 1
    < ACK seq 1 ack 1306
  `);
});

Deno.test("TCP_NODELAY: every write goes at once", () => {
  converse(`${OPEN}
    option TCP_NODELAY 1
    write 10
    > PSH ACK seq 1:11 ack 1
    write 20
    > PSH ACK seq 11:31 ack 1
    < ACK seq 1 ack 31
  `);
});

Deno.test("TCP_CORK holds what is not full for 200 ms at most", () => {
  converse(`${OPEN}
    option TCP_CORK 1
    write 100
    +0.1 nothing
    write 1000
    > ACK seq 1:1001 ack 1
    < ACK seq 1 ack 1001
    +0.2 > PSH ACK seq 1001:1101 ack 1
    < ACK seq 1 ack 1101
    write 50
    option TCP_CORK 0
    > PSH ACK seq 1101:1151 ack 1
    < ACK seq 1 ack 1151
  `);
});

Deno.test("MSG_MORE: the next write says when it goes", () => {
  converse(`${OPEN}
    write 100 more
    +0.1 nothing
    write 100
    > PSH ACK seq 1:201 ack 1
    < ACK seq 1 ack 201
  `);
});

Deno.test("the first sixteen segments are acknowledged at once, later every second, or after 40 ms", () => {
  const lines: string[] = [];
  for (let i = 0; i < 16; i++) {
    lines.push(`< ACK seq ${1 + i * 500}:${501 + i * 500} ack 1`, `> ACK seq 1 ack ${501 + i * 500}`);
  }
  converse(`${OPEN}
    ${lines.join("\n")}
    < ACK seq 8001:8501 ack 1
    +0.04 > ACK seq 1 ack 8501
    < ACK seq 8501:9001 ack 1
    < ACK seq 9001:10001 ack 1
    > ACK seq 1 ack 10001
    expect counter DelayedACKs 1
  `);
});

Deno.test("an acknowledgement travels with an answer", () => {
  converse(`${OPEN}
    < PSH ACK seq 1:11 ack 1
    > ACK seq 1 ack 11
    read 10; write 20
    > PSH ACK seq 1:21 ack 11
    +0.001 < PSH ACK seq 11:21 ack 21
    read 10; write 20
    > PSH ACK seq 21:41 ack 21
    < ACK seq 21 ack 41
  `);
});

Deno.test("TCP_QUICKACK acknowledges at once again", () => {
  converse(`${OPEN}
    option TCP_QUICKACK 0
    < PSH ACK seq 1:11 ack 1
    +0.04 > ACK seq 1 ack 11
    option TCP_QUICKACK 1
    < PSH ACK seq 11:21 ack 1
    > ACK seq 1 ack 21
  `);
});

Deno.test("the peer's window holds data back, an update lets it go", () => {
  converse(`${OPEN}
    < ACK seq 1 ack 1 win 2000
    write 3500
    > ACK seq 1:1001 ack 1
    > ACK seq 1001:2001 ack 1
    +0.01 < ACK seq 1 ack 2001 win 0
    +0.05 < ACK seq 1 ack 2001 win 5000
    > ACK seq 2001:3001 ack 1
    > PSH ACK seq 3001:3501 ack 1
    < ACK seq 1 ack 3501
  `);
});

Deno.test("silly window: half a segment's room is not used while data is out (RFC 1122 section 4.2.3.4)", () => {
  converse(`${OPEN}
    write 3000
    > ACK seq 1:1001 ack 1
    > ACK seq 1001:2001 ack 1
    > PSH ACK seq 2001:3001 ack 1
    < ACK seq 1 ack 1001 win 2000
    write 1000
    < ACK seq 1 ack 2001 win 1300
    +0.01 nothing
    < ACK seq 1 ack 3001 win 1300
    > PSH ACK seq 3001:4001 ack 1
    < ACK seq 1 ack 4001
  `);
});

Deno.test("a closed window is probed with doubled times, and answers keep the connection alive", () => {
  converse(`${OPEN}
    < ACK seq 1 ack 1 win 0
    write 100
    +0.2 > ACK seq 0 ack 1
    < ACK seq 1 ack 1 win 0
    +0.4 > ACK seq 0 ack 1
    < ACK seq 1 ack 1 win 0
    +0.8 > ACK seq 0 ack 1
    < ACK seq 1 ack 1 win 1000
    > PSH ACK seq 1:101 ack 1
    < ACK seq 1 ack 101
    expect counter TCPWinProbe 3
  `);
});

Deno.test("our window closes when nobody reads, and opens with an update when it has doubled", () => {
  converse(`
    open
    option SO_RCVBUF 4000
    listen
    < SYN seq 0 win 65535 <mss 1000>
    > SYN ACK seq 0 ack 1 win 4000
    < ACK seq 1 ack 1
    accept
    < ACK seq 1:1001 ack 1
    > ACK seq 1 ack 1001 win 3000
    < ACK seq 1001:2001 ack 1
    > ACK seq 1 ack 2001 win 2000
    < ACK seq 2001:3001 ack 1
    > ACK seq 1 ack 3001 win 1000
    < ACK seq 3001:4001 ack 1
    > ACK seq 1 ack 4001 win 0
    < ACK seq 4001:4501 ack 1
    > ACK seq 1 ack 4001 win 0
    read 500
    +0.01 nothing
    read 3500
    > ACK seq 1 ack 4001 win 4000
  `);
});

Deno.test("data beyond our window is cut off", () => {
  converse(`
    open
    option SO_RCVBUF 4000
    listen
    < SYN seq 0 win 65535 <mss 1000>
    > SYN ACK seq 0 ack 1 win 4000
    < ACK seq 1 ack 1
    accept
    < ACK seq 3001:5001 ack 1
    > ACK seq 1 ack 1
    < ACK seq 1:3001 ack 1
    > ACK seq 1 ack 4001 win 0
    read 4000
    > ACK seq 1 ack 4001 win 4000
  `);
});

Deno.test("window scale: values are shifted", () => {
  converse(`
    listen
    < SYN seq 0 win 100 <mss 1000,nop,wscale 3>
    > SYN ACK seq 0 ack 1 <mss 1460,wscale 7>
    < ACK seq 1 ack 1 win 250
    accept
    write 2500
    > ACK seq 1:1001 ack 1 win 512
    > ACK seq 1001:2001 ack 1
    +0.2 < ACK seq 1 ack 2001 win 1000
    > PSH ACK seq 2001:2501 ack 1
    < ACK seq 1 ack 2501 win 1000
  `);
});

Deno.test("out of order: put together, and acknowledged at once each time", () => {
  converse(`${OPEN}
    < ACK seq 1001:2001 ack 1
    > ACK seq 1 ack 1
    expect readable 0
    < ACK seq 3001:4001 ack 1
    > ACK seq 1 ack 1
    < ACK seq 1:1001 ack 1
    > ACK seq 1 ack 2001
    expect readable 2000
    < ACK seq 2001:3001 ack 1
    > ACK seq 1 ack 4001
    read 4000
  `);
});

Deno.test("overlapping segments: each byte counts once", () => {
  converse(`${OPEN}
    < ACK seq 501:1501 ack 1
    > ACK seq 1 ack 1
    < ACK seq 1:1001 ack 1
    > ACK seq 1 ack 1501
    < ACK seq 1001:2001 ack 1
    > ACK seq 1 ack 2001
    read 2000
  `);
});

Deno.test("MSG_PEEK leaves the bytes", () => {
  converse(`${OPEN}
    < PSH ACK seq 1:101 ack 1
    > ACK seq 1 ack 101
    read 50 peek
    read 100
  `);
});

Deno.test("a full send buffer takes a part, and tells when there is room", () => {
  converse(`
    open
    option SO_SNDBUF 2500
    listen
    < SYN seq 0 win 65535 <mss 1000>
    > SYN ACK seq 0 ack 1
    < ACK seq 1 ack 1
    accept
    write 8000 = 5000
    > ACK seq 1:1001 ack 1
    > ACK seq 1001:2001 ack 1
    > ACK seq 2001:3001 ack 1
    > ACK seq 3001:4001 ack 1
    > PSH ACK seq 4001:5001 ack 1
    write 100 = EAGAIN
    expect poll
    < ACK seq 1 ack 5001
    expect poll OUT
  `);
});

Deno.test("TCP_NOTSENT_LOWAT: writable only while little waits", () => {
  converse(`${OPEN}
    option TCP_NOTSENT_LOWAT 1000
    < ACK seq 1 ack 1 win 1000
    write 3000
    > ACK seq 1:1001 ack 1
    expect poll
    < ACK seq 1 ack 1001 win 5000
    > ACK seq 1001:2001 ack 1
    > PSH ACK seq 2001:3001 ack 1
    expect poll OUT
    < ACK seq 1 ack 3001
  `);
});

Deno.test("the initial window is ten segments (RFC 6928), and slow start doubles it", () => {
  const first = Array.from({ length: 10 }, (_, i) => `> ACK seq ${1 + i * 1000}:${1001 + i * 1000} ack 1`);
  const second = Array.from(
    { length: 4 },
    (_, i) => `> ACK seq ${10001 + i * 1000}:${11001 + i * 1000} ack 1`,
  );
  converse(`${OPEN}
    write 30000
    ${first.join("\n")}
    expect info sndWindow 10
    +0.05 < ACK seq 1 ack 2001
    ${second.join("\n")}
    expect info sndWindow 12
  `.replace(
    "\n    expect info sndWindow 12",
    "\n    expect info sndWindow 12\n    option SO_LINGER 1 0\n    close\n    > RST ACK",
  ));
});

Deno.test("urgent data: pointed to, kept apart, read with MSG_OOB", () => {
  converse(`${OPEN}
    < URG PSH ACK seq 1:11 ack 1 urg 5
    > ACK seq 1 ack 11
    expect poll IN OUT PRI
    read 100 = 4
    read 1 oob = 1
    read 1 oob = EINVAL
    read 100 skip = 5
  `);
});

Deno.test("urgent data in line with SO_OOBINLINE", () => {
  converse(`${OPEN}
    option SO_OOBINLINE 1
    < URG PSH ACK seq 1:11 ack 1 urg 5
    > ACK seq 1 ack 11
    read 1 oob = EINVAL
    read 100 = 4
    read 100 = 6
  `);
});

Deno.test("urgent data out: URG and the pointer behind the last byte", () => {
  converse(`${OPEN}
    write 10 oob
    > URG PSH ACK seq 1:11 ack 1 urg 10
    < ACK seq 1 ack 11
    write 10
    > PSH ACK seq 11:21 ack 1 urg 0
    < ACK seq 1 ack 21
  `);
});

Deno.test("sequence numbers wrap in both directions", () => {
  converse(
    `
    setting wmem_default 300000
    listen
    < SYN seq 0 win 65535 <mss 1000>
    > SYN ACK seq 0 ack 1
    < ACK seq 1 ack 1
    accept
    < ACK seq 1:1001 ack 1
    > ACK seq 1 ack 1001
    < ACK seq 1001:2001 ack 1
    > ACK seq 1 ack 2001
    read 2000
    `,
    { theirSequence: -500 },
  );
});

// Opening a connection: RFC 9293 sections 3.5 and 3.10.7.2 to 3.10.7.4, RFC 7323, RFC 6298 section 5.7.

import { converse } from "../conversation_runner.ts";

Deno.test("active open: SYN, SYN-ACK, ACK; options as Linux offers them", () => {
  converse(`
    connect
    > SYN seq 0 win 65535 <mss 1460,sackOK,ts 0 ecr 0,wscale 7>
    expect state SYN-SENT
    +0.01 < SYN ACK seq 0 ack 1 win 65535 <mss 1460,sackOK,ts 700 ecr 0,wscale 7>
    > ACK seq 1 ack 1 <ts 10 ecr 700>
    expect state ESTABLISHED
    expect poll OUT
    expect info sndMss 1448
  `);
});

Deno.test("active open over IPv6", () => {
  converse(
    `
    connect
    > SYN seq 0 <mss 1440,sackOK,ts 0 ecr 0,wscale 7>
    < SYN ACK seq 0 ack 1 win 65535 <mss 1440>
    > ACK seq 1 ack 1 <>
    write 100
    > PSH ACK seq 1:101 ack 1
    < ACK seq 1 ack 101
  `,
    { isV6: true },
  );
});

Deno.test("passive open: the connection is to be accepted once the handshake is over", () => {
  converse(`
    listen 5
    expect state LISTEN
    < SYN seq 0 win 1000 <mss 1460,sackOK,ts 100 ecr 0,wscale 2>
    > SYN ACK seq 0 ack 1 win 65535 <mss 1460,sackOK,ts 0 ecr 100,wscale 7>
    accept = EAGAIN
    +0.05 < ACK seq 1 ack 1 win 500 <ts 150 ecr 0>
    accept
    expect state ESTABLISHED
    expect info peerWindow 2000
    expect counter PassiveOpens 1
    expect counter CurrEstab 1
  `);
});

Deno.test("options the peer did not offer are not used: no scale, no timestamps, no SACK", () => {
  converse(`
    listen
    < SYN seq 0 win 5000 <mss 1000>
    > SYN ACK seq 0 ack 1 <mss 1460>
    < ACK seq 1 ack 1 win 5000
    accept
    expect info options 0
    expect info sndMss 1000
    write 500
    > PSH ACK seq 1:501 ack 1 win 65535 <>
    < ACK seq 1 ack 501 win 5000
  `);
});

Deno.test("a SYN without MSS means 536 bytes, RFC 9293 section 3.7.1", () => {
  converse(`
    listen
    < SYN seq 0 win 5000
    > SYN ACK seq 0 ack 1
    < ACK seq 1 ack 1 win 5000
    accept
    expect info sndMss 536
  `);
});

Deno.test("an MSS below 48 is not believed", () => {
  converse(`
    listen
    < SYN seq 0 win 5000 <mss 1>
    > SYN ACK seq 0 ack 1
    < ACK seq 1 ack 1 win 5000
    accept
    expect info sndMss 48
  `);
});

Deno.test("refused: RST with an acceptable ACK ends the attempt", () => {
  converse(`
    connect
    > SYN seq 0
    < RST ACK seq 0 ack 1
    expect error ECONNREFUSED
    expect state CLOSED
  `);
});

Deno.test("SYN-SENT: a RST that acknowledges nothing of ours is ignored, RFC 9293 section 3.10.7.3", () => {
  converse(`
    connect
    > SYN seq 0
    < RST seq 0
    < RST ACK seq 0 ack 7
    expect state SYN-SENT
    < SYN ACK seq 0 ack 1
    > ACK seq 1 ack 1
  `);
});

Deno.test("SYN-SENT: an ACK of what was not sent is answered by RST, the attempt goes on", () => {
  converse(`
    connect
    > SYN seq 0
    < SYN ACK seq 0 ack 2
    > RST seq 2
    < ACK seq 0 ack 0
    > RST seq 0
    expect state SYN-SENT
  `);
});

Deno.test("SYN is sent again after 1, 2, 4 s and given up after tcp_syn_retries", () => {
  converse(`
    setting syn_retries 3
    connect
    > SYN seq 0
    +1 > SYN seq 0
    +2 > SYN seq 0
    +4 > SYN seq 0
    +7.9 nothing
    +0.2 expect error ETIMEDOUT
    expect state CLOSED
    expect counter AttemptFails 1
  `);
});

Deno.test("TCP_SYNCNT says how often the SYN is sent again", () => {
  converse(`
    open
    option TCP_SYNCNT 1
    connect
    > SYN seq 0
    +1 > SYN seq 0
    +2.1 expect error ETIMEDOUT
  `);
});

Deno.test("no round-trip sample from a SYN sent twice: the timeout stays at 1 s... and data goes", () => {
  converse(`
    connect
    > SYN seq 0 <mss 1460,sackOK,ts 0 ecr 0,wscale 7>
    +1 > SYN seq 0
    +0.1 < SYN ACK seq 0 ack 1 <mss 1460>
    > ACK seq 1 ack 1
    expect info rtt 0
    write 10
    > PSH ACK seq 1:11 ack 1
    +1 > PSH ACK seq 1:11 ack 1
    < ACK seq 1 ack 11
  `);
});

Deno.test("SYN-ACK is sent again after 1 s; a repeated SYN is answered at once", () => {
  converse(`
    listen
    < SYN seq 0 <mss 1460>
    > SYN ACK seq 0 ack 1
    +0.5 < SYN seq 0 <mss 1460>
    > SYN ACK seq 0 ack 1
    +1 > SYN ACK seq 0 ack 1
    +2 > SYN ACK seq 0 ack 1
    < ACK seq 1 ack 1
    accept
  `);
});

Deno.test("a half-open connection is forgotten after tcp_synack_retries", () => {
  converse(`
    setting synack_retries 1
    listen
    < SYN seq 0 <mss 1460>
    > SYN ACK seq 0 ack 1
    +1 > SYN ACK seq 0 ack 1
    +2.5 < ACK seq 1 ack 1
    > RST seq 1
    accept = EAGAIN
  `);
});

Deno.test("SYN-RECEIVED: RST at the next number ends it, another does not (RFC 5961 section 3)", () => {
  converse(`
    listen
    < SYN seq 0 <mss 1460>
    > SYN ACK seq 0 ack 1
    < RST seq 5
    < RST seq 1
    < ACK seq 1 ack 1
    > RST seq 1
  `);
});

Deno.test("SYN-RECEIVED: a wrong acknowledgement is answered by RST", () => {
  converse(`
    listen
    < SYN seq 0 <mss 1460>
    > SYN ACK seq 0 ack 1
    < ACK seq 1 ack 2
    > RST seq 2
    < ACK seq 1 ack 1
    accept
  `);
});

Deno.test("the final ACK of the handshake was lost: data completes it", () => {
  converse(`
    listen
    < SYN seq 0 <mss 1460>
    > SYN ACK seq 0 ack 1
    < PSH ACK seq 1:101 ack 1
    > ACK seq 1 ack 101
    accept
    read 100
  `);
});

Deno.test("data and FIN with the final ACK of the handshake", () => {
  converse(`
    listen
    < SYN seq 0 <mss 1460>
    > SYN ACK seq 0 ack 1
    < FIN PSH ACK seq 1:101 ack 1
    > ACK seq 1 ack 102
    accept
    expect state CLOSE-WAIT
    read 200 = 100
    read 10 = 0
  `);
});

Deno.test("simultaneous open, RFC 9293 figure 7", () => {
  converse(`
    connect
    > SYN seq 0 <mss 1460,sackOK,ts 0 ecr 0,wscale 7>
    < SYN seq 0 <mss 1460,sackOK,ts 5 ecr 0,wscale 3>
    > SYN ACK seq 0 ack 1 <mss 1460,sackOK,ts 0 ecr 5,wscale 7>
    expect state SYN-RECEIVED
    < SYN ACK seq 0 ack 1 <mss 1460,sackOK,ts 6 ecr 0,wscale 3>
    expect state ESTABLISHED
    write 100
    > PSH ACK seq 1:101 ack 1
    < ACK seq 1 ack 101 <ts 9 ecr 0>
  `);
});

Deno.test("LISTEN: ACK is answered by RST, RST by nothing", () => {
  converse(`
    listen
    < ACK seq 9 ack 77
    > RST seq 77
    < RST seq 9
    < FIN ACK seq 9 ack 5
    > RST seq 5
  `);
});

Deno.test("a closed port answers RST, as RFC 9293 section 3.10.7.1 has the numbers", () => {
  converse(`
    < SYN seq 0
    > RST ACK ack 1
    < ACK seq 9 ack 77
    > RST
    < PSH FIN ACK seq 9:19 ack 78
    > RST
    < RST seq 9
    < RST ACK seq 9 ack 78
  `);
});

Deno.test("TCP_DEFER_ACCEPT: the connection is there with its first data", () => {
  converse(`
    open
    option TCP_DEFER_ACCEPT 3
    listen
    < SYN seq 0 <mss 1460>
    > SYN ACK seq 0 ack 1
    < ACK seq 1 ack 1
    accept = EAGAIN
    +0.2 < PSH ACK seq 1:11 ack 1
    > ACK seq 1 ack 11
    accept
    read 10
  `);
});

Deno.test("TCP_DEFER_ACCEPT gives up waiting after its time", () => {
  converse(`
    open
    option TCP_DEFER_ACCEPT 1
    listen
    < SYN seq 0 <mss 1460>
    > SYN ACK seq 0 ack 1
    < ACK seq 1 ack 1
    +1 > SYN ACK seq 0 ack 1
    < ACK seq 1 ack 1
    accept
  `);
});

Deno.test("a full accept queue drops the last ACK and takes it when it comes again", () => {
  converse(`
    listen 0
    < SYN seq 0 from 1001 <mss 1460>
    > SYN ACK seq 0 ack 1
    < SYN seq 0 from 1002 <mss 1460>
    > SYN ACK seq 0 ack 1
    < ACK seq 1 ack 1 from 1002
    expect counter ListenOverflows 0
    < SYN seq 0 from 1003 <mss 1460>
    expect counter ListenOverflows 1
    accept
    expect state ESTABLISHED
    +1 > SYN ACK ack 1
  `);
});

Deno.test("abort_on_overflow answers with RST", () => {
  converse(`
    setting abort_on_overflow 1
    listen 0
    < SYN seq 0 from 1002 <mss 1460>
    > SYN ACK ack 1
    < SYN seq 0 from 1001 <mss 1460>
    > SYN ACK ack 1
    < ACK seq 1 ack 1 from 1001
    < SYN seq 0 from 1003 <mss 1460>
    expect counter ListenOverflows 1
    accept
  `);
});

Deno.test("SYN cookies: no record is kept, the connection has its options from the timestamp", () => {
  converse(`
    setting syncookies 2
    listen
    < SYN seq 0 win 1000 <mss 1400,sackOK,ts 100 ecr 0,wscale 4>
    > SYN ACK seq 0 ack 1 <mss 1460,sackOK,ts 0 ecr 100,wscale 7>
    expect counter SyncookiesSent 1
    < ACK seq 1 ack 1 win 1000 <ts 110 ecr 0>
    accept
    expect state ESTABLISHED
    expect counter SyncookiesRecv 1
    expect info options 7
    expect info sndScale 4
    expect info sndMss 1288
    write 10
    > PSH ACK seq 1:11 ack 1
    < ACK seq 1 ack 11 win 1000 <ts 120 ecr 0>
  `);
});

Deno.test("a cookie that is none is answered by RST", () => {
  converse(`
    setting syncookies 2
    listen
    < SYN seq 0 <mss 1460>
    > SYN ACK seq 0 ack 1
    < ACK seq 1 ack 9
    > RST seq 9
    expect counter SyncookiesFailed 1
    accept = EAGAIN
  `);
});

Deno.test("an ICMP error ends an attempt of ours, be it hard or soft (as Linux, unlike RFC 5461)", () => {
  for (const [code, error] of [[0, "ENETUNREACH"], [1, "EHOSTUNREACH"], [3, "ECONNREFUSED"]]) {
    converse(`
      connect
      > SYN seq 0
      icmp unreachable ${code} seq 0
      expect error ${error}
      expect state CLOSED
    `);
  }
});

Deno.test("an ICMP error for a number that is not out is not believed (RFC 5927)", () => {
  converse(`
    connect
    > SYN seq 0
    icmp unreachable 3 seq 700
    expect state SYN-SENT
  `);
});

// Closing: RFC 9293 sections 3.6 and 3.10.7.4, the states behind a FIN, TIME-WAIT, lingering, resets of ours.

import { converse } from "../conversation_runner.ts";

/** An established connection of a server, without options so that lines stay short. */
const OPEN = `
    listen
    < SYN seq 0 win 65535 <mss 1000>
    > SYN ACK seq 0 ack 1
    < ACK seq 1 ack 1
    accept
`;
const TIMED = `
    listen
    < SYN seq 0 win 65535 <mss 1460,sackOK,ts 100 ecr 0,wscale 0>
    > SYN ACK seq 0 ack 1
    < ACK seq 1 ack 1 <ts 100 ecr 0>
    accept
`;

Deno.test("we close first: FIN-WAIT-1, FIN-WAIT-2, TIME-WAIT", () => {
  converse(`${OPEN}
    shutdown write
    > FIN ACK seq 1 ack 1
    expect state FIN-WAIT-1
    < ACK seq 1 ack 2
    expect state FIN-WAIT-2
    < FIN ACK seq 1 ack 2
    > ACK seq 2 ack 2
    expect state CLOSED
    read 10 = 0
    < FIN ACK seq 1 ack 2
    > ACK seq 2 ack 2
    expect counter TW 1
  `);
});

Deno.test("they close first: CLOSE-WAIT, LAST-ACK", () => {
  converse(`${OPEN}
    < FIN ACK seq 1 ack 1
    > ACK seq 1 ack 2
    expect state CLOSE-WAIT
    expect poll IN OUT RDHUP
    read 10 = 0
    write 10
    > PSH ACK seq 1:11 ack 2
    < ACK seq 2 ack 11
    shutdown write
    > FIN ACK seq 11 ack 2
    expect state LAST-ACK
    < ACK seq 2 ack 12
    expect state CLOSED
    expect poll IN OUT HUP RDHUP
    < ACK seq 2 ack 12
    > RST seq 12
  `);
});

Deno.test("both close at once: CLOSING, TIME-WAIT", () => {
  converse(`${OPEN}
    shutdown write
    > FIN ACK seq 1 ack 1
    < FIN ACK seq 1 ack 1
    > ACK seq 2 ack 2
    expect state CLOSING
    < ACK seq 2 ack 2
    expect state CLOSED
    expect counter TW 1
  `);
});

Deno.test("FIN-WAIT-1: their FIN acknowledges ours and we are in TIME-WAIT", () => {
  converse(`${OPEN}
    shutdown write
    > FIN ACK seq 1 ack 1
    < FIN ACK seq 1 ack 2
    > ACK seq 2 ack 2
    expect counter TW 1
  `);
});

Deno.test("half close: after our FIN their data is still received", () => {
  converse(`${OPEN}
    shutdown write
    > FIN ACK seq 1 ack 1
    < ACK seq 1 ack 2
    write 1 = EPIPE
    < PSH ACK seq 1:501 ack 2
    > ACK seq 2 ack 501
    read 500
    expect poll OUT
    < PSH ACK seq 501:1001 ack 2
    > ACK seq 2 ack 1001
    read 500
    < FIN ACK seq 1001 ack 2
    > ACK seq 2 ack 1002
  `);
});

Deno.test("FIN follows the data that waits, and is sent again when it is lost", () => {
  converse(`${OPEN}
    write 2500; shutdown write
    > ACK seq 1:1001 ack 1
    > ACK seq 1001:2001 ack 1
    > FIN PSH ACK seq 2001:2501 ack 1
    +0.01 < ACK seq 1 ack 2501
    +0.201 > FIN ACK seq 2501 ack 1
    +0.01 < ACK seq 1 ack 2502
    expect state FIN-WAIT-2
  `);
});

Deno.test("close() with unread data resets, RFC 1122 section 4.2.2.13", () => {
  converse(`${OPEN}
    < PSH ACK seq 1:11 ack 1
    > ACK seq 1 ack 11
    close
    > RST ACK seq 1 ack 11
    expect counter TCPAbortOnClose 1
  `);
});

Deno.test("data for a closed connection resets it", () => {
  converse(`${OPEN}
    close
    > FIN ACK seq 1 ack 1
    < ACK seq 1 ack 2
    < PSH ACK seq 1:11 ack 2
    > RST seq 2
    expect counter TCPAbortOnData 1
  `);
});

Deno.test("SO_LINGER with zero time resets", () => {
  converse(`${OPEN}
    write 100
    > PSH ACK seq 1:101 ack 1
    option SO_LINGER 1 0
    close
    > RST ACK seq 101 ack 1
  `);
});

Deno.test("a closed connection in FIN-WAIT-2 is over after tcp_fin_timeout", () => {
  converse(`${OPEN}
    setting fin_timeout 5
    close
    > FIN ACK seq 1 ack 1
    < ACK seq 1 ack 2
    +5.1 < FIN ACK seq 1 ack 2
    > RST seq 2
  `);
});

Deno.test("TCP_LINGER2 shortens the time in FIN-WAIT-2", () => {
  converse(`${OPEN}
    option TCP_LINGER2 2
    close
    > FIN ACK seq 1 ack 1
    < ACK seq 1 ack 2
    +1.9 < FIN ACK seq 1 ack 2
    > ACK seq 2 ack 2
  `);
});

Deno.test("TIME-WAIT lasts 60 s and is not ended by RST (RFC 1337)", () => {
  converse(`${OPEN}
    close
    > FIN ACK seq 1 ack 1
    < FIN ACK seq 1 ack 2
    > ACK seq 2 ack 2
    < RST seq 2
    +59 < FIN ACK seq 1 ack 2
    > ACK seq 2 ack 2
    +59 < FIN ACK seq 1 ack 2
    > ACK seq 2 ack 2
    +61 < FIN ACK seq 1 ack 2
    > RST seq 2
  `);
});

Deno.test("TIME-WAIT: an old duplicate is acknowledged, a SYN with an old number too", () => {
  converse(`${OPEN}
    close
    > FIN ACK seq 1 ack 1
    < FIN ACK seq 1 ack 2
    > ACK seq 2 ack 2
    < PSH ACK seq 1:101 ack 2
    > ACK seq 2 ack 2
    < SYN seq 1
    > ACK seq 2 ack 2
  `);
});

Deno.test("TIME-WAIT: a SYN with a higher number begins anew at the listener (RFC 1122 section 4.2.2.13)", () => {
  converse(`${OPEN}
    close
    > FIN ACK seq 1 ack 1
    < FIN ACK seq 1 ack 2
    > ACK seq 2 ack 2
    < SYN seq 5000 <mss 1000>
    > SYN ACK ack 5001
  `);
});

Deno.test("TIME-WAIT: with timestamps the newer time decides (RFC 6191)", () => {
  converse(`${TIMED}
    close
    > FIN ACK seq 1 ack 1
    < FIN ACK seq 1 ack 2 <ts 200 ecr 0>
    > ACK seq 2 ack 2
    < SYN seq 1 <mss 1000,ts 150 ecr 0>
    > ACK ack 2
    < SYN seq 1 <mss 1000,ts 201 ecr 0>
    > SYN ACK ack 2
  `);
});

Deno.test("an orphan gives up after tcp_orphan_retries", () => {
  converse(`${OPEN}
    setting orphan_retries 2
    write 10
    > PSH ACK seq 1:11 ack 1
    close
    > FIN ACK seq 11 ack 1
    +0.2 > PSH ACK seq 1:11 ack 1
    +0.4 > PSH ACK seq 1:11 ack 1
    +2 nothing
    < ACK seq 1 ack 11
    > RST seq 11
  `);
});

Deno.test("closing a listener resets who waits to be accepted", () => {
  converse(`
    listen
    < SYN seq 0 <mss 1000>
    > SYN ACK seq 0 ack 1
    < ACK seq 1 ack 1
    listener
    close
    > RST ACK seq 1 ack 1
  `);
});

Deno.test("CLOSE-WAIT: data after their FIN is not taken", () => {
  converse(`${OPEN}
    < FIN ACK seq 1 ack 1
    > ACK seq 1 ack 2
    < PSH ACK seq 2:12 ack 1
    > ACK seq 1 ack 2
    read 10 = 0
  `);
});

Deno.test("FIN out of order waits for what is before it", () => {
  converse(`${OPEN}
    < FIN PSH ACK seq 101:201 ack 1
    > ACK seq 1 ack 1
    expect state ESTABLISHED
    < ACK seq 1:101 ack 1
    > ACK seq 1 ack 202
    expect state CLOSE-WAIT
    read 300 = 200
    read 1 = 0
  `);
});

Deno.test("shutdown(SHUT_RD): reads end, what is here can still be read", () => {
  converse(`${OPEN}
    < PSH ACK seq 1:11 ack 1
    > ACK seq 1 ack 11
    shutdown read
    read 10
    read 10 = 0
    expect poll IN OUT RDHUP
  `);
});

Deno.test("CLOSING: our FIN is sent again", () => {
  converse(`${OPEN}
    shutdown write
    > FIN ACK seq 1 ack 1
    < FIN ACK seq 1 ack 1
    > ACK seq 2 ack 2
    +0.2 > FIN ACK seq 1 ack 2
    < ACK seq 2 ack 2
    expect counter TW 1
  `);
});

// Each state against what may come in it: RST, SYN, an acknowledgement of too much, their FIN again, data too late, and our
// own close. RFC 9293 section 3.10.

import { converse } from "../conversation_runner.ts";

const OPEN = `
    listen
    < SYN seq 0 win 65535 <mss 1000>
    > SYN ACK seq 0 ack 1
    < ACK seq 1 ack 1
    accept
`;

interface Place {
  readonly name: string;
  /** How one gets there from an established connection; what is next from each side then. */
  readonly way: string;
  readonly ours: number;
  readonly theirs: number;
  /** errno that a reset leaves. */
  readonly reset: string;
}

const PLACES: readonly Place[] = [
  { name: "ESTABLISHED", way: "", ours: 1, theirs: 1, reset: "ECONNRESET" },
  {
    name: "FIN-WAIT-1",
    way: `
    shutdown write
    > FIN ACK seq 1 ack 1`,
    ours: 2,
    theirs: 1,
    reset: "ECONNRESET",
  },
  {
    name: "FIN-WAIT-2",
    way: `
    shutdown write
    > FIN ACK seq 1 ack 1
    < ACK seq 1 ack 2`,
    ours: 2,
    theirs: 1,
    reset: "ECONNRESET",
  },
  {
    name: "CLOSE-WAIT",
    way: `
    < FIN ACK seq 1 ack 1
    > ACK seq 1 ack 2`,
    ours: 1,
    theirs: 2,
    reset: "EPIPE",
  },
  {
    name: "CLOSING",
    way: `
    shutdown write
    > FIN ACK seq 1 ack 1
    < FIN ACK seq 1 ack 1
    > ACK seq 2 ack 2`,
    ours: 2,
    theirs: 2,
    reset: "ECONNRESET",
  },
  {
    name: "LAST-ACK",
    way: `
    < FIN ACK seq 1 ack 1
    > ACK seq 1 ack 2
    shutdown write
    > FIN ACK seq 1 ack 2`,
    ours: 2,
    theirs: 2,
    reset: "ECONNRESET",
  },
];

/** Ends the conversation quietly. */
function quit({ ours, theirs }: Place): string {
  return `
    option SO_LINGER 1 0
    close
    > RST ACK seq ${ours} ack ${theirs}
  `;
}

for (const place of PLACES) {
  const { name, way, ours, theirs } = place;
  Deno.test(`${name}: RST at the next number ends it`, () => {
    converse(`${OPEN}${way}
    expect state ${name}
    < RST seq ${theirs}
    expect state CLOSED
    expect error ${place.reset}
    `);
  });
  Deno.test(`${name}: RST elsewhere in the window is challenged (RFC 5961)`, () => {
    converse(`${OPEN}${way}
    < RST seq ${theirs + 100}
    > ACK seq ${ours} ack ${theirs}
    expect state ${name}
    ${quit(place)}`);
  });
  Deno.test(`${name}: SYN is challenged`, () => {
    converse(`${OPEN}${way}
    < SYN seq ${theirs}
    > ACK seq ${ours} ack ${theirs}
    expect state ${name}
    ${quit(place)}`);
  });
  Deno.test(`${name}: an acknowledgement of what was never sent is challenged`, () => {
    converse(`${OPEN}${way}
    < ACK seq ${theirs} ack ${ours + 50}
    > ACK seq ${ours} ack ${theirs}
    expect state ${name}
    ${quit(place)}`);
  });
  Deno.test(`${name}: a segment below the window is answered, and changes nothing`, () => {
    converse(`${OPEN}${way}
    < PSH ACK seq ${theirs - 50}:${theirs} ack 1
    > ACK seq ${ours} ack ${theirs}
    expect state ${name}
    ${quit(place)}`);
  });
  Deno.test(`${name}: a segment beyond the window is answered, and changes nothing`, () => {
    converse(`${OPEN}${way}
    < PSH ACK seq 200000:200100 ack 1
    > ACK seq ${ours} ack ${theirs}
    expect state ${name}
    ${quit(place)}`);
  });
  Deno.test(`${name}: without ACK nothing is taken`, () => {
    converse(`${OPEN}${way}
    < FIN PSH seq ${theirs}:${theirs + 10}
    expect state ${name}
    ${quit(place)}`);
  });
  if (theirs !== 2) continue;
  Deno.test(`${name}: their FIN again is acknowledged again`, () => {
    converse(`${OPEN}${way}
    < FIN ACK seq 1 ack 1
    > ACK seq ${ours} ack 2
    expect state ${name}
    ${quit(place)}`);
  });
  Deno.test(`${name}: data behind their FIN is not taken`, () => {
    converse(`${OPEN}${way}
    < PSH ACK seq 2:12 ack 1
    > ACK seq ${ours} ack 2
    expect readable 0
    ${quit(place)}`);
  });
}

Deno.test("SYN-SENT: close() forgets the attempt; a late SYN-ACK is reset", () => {
  converse(`
    connect
    > SYN seq 0
    close
    < SYN ACK seq 0 ack 1
    > RST seq 1
  `);
});

Deno.test("SYN-SENT: data is refused until it is open", () => {
  converse(`
    connect
    > SYN seq 0
    write 10 = EAGAIN
    read 10 = EAGAIN
    expect poll
    < SYN ACK seq 0 ack 1
    > ACK seq 1 ack 1
    expect poll OUT
    write 10
    > PSH ACK seq 1:11 ack 1
    < ACK seq 1 ack 11
  `);
});

Deno.test("SYN-SENT: data with the SYN-ACK is taken", () => {
  converse(
    `
    connect
    > SYN seq 0
    < SYN ACK seq 0 ack 1
    < PSH ACK seq 1:11 ack 1
    > ACK seq 1 ack 1
    > ACK seq 1 ack 11
    read 10
  `.replace("    > ACK seq 1 ack 1\n    > ACK seq 1 ack 11", "    > ACK seq 1 ack 11")
      .replace("    < PSH", "    > ACK seq 1 ack 1\n    < PSH"),
  );
});

Deno.test("SYN-SENT: an echo of a time before our SYN is answered by RST (RFC 7323)", () => {
  converse(`
    connect
    > SYN seq 0 <mss 1460,sackOK,ts 0 ecr 0,wscale 7>
    < SYN ACK seq 0 ack 1 <mss 1460,ts 5 ecr -100>
    > RST seq 1
    expect state SYN-SENT
    expect counter PAWSActive 1
  `);
});

Deno.test("SYN-RECEIVED of a simultaneous open: SYN-ACK is sent again, RST ends it", () => {
  converse(`
    connect
    > SYN seq 0
    < SYN seq 0 <mss 1000>
    > SYN ACK seq 0 ack 1
    +1 > SYN ACK seq 0 ack 1
    < RST seq 1
    expect state CLOSED
    expect error ECONNREFUSED
  `);
});

Deno.test("SYN-RECEIVED of a simultaneous open: an ACK opens it", () => {
  converse(`
    connect
    > SYN seq 0
    < SYN seq 0 <mss 1000>
    > SYN ACK seq 0 ack 1
    < PSH ACK seq 1:11 ack 1
    > ACK seq 1 ack 11
    expect state ESTABLISHED
    read 10
  `);
});

Deno.test("LISTEN: SYN with data: the data comes again", () => {
  converse(`
    listen
    < SYN seq 0:11 <mss 1000>
    > SYN ACK seq 0 ack 1
    < ACK seq 1 ack 1
    accept
    expect readable 0
  `);
});

Deno.test("window probes stop when nobody answers them for tcp_retries2", () => {
  converse(`${OPEN}
    setting retries2 2
    < ACK seq 1 ack 1 win 0
    write 100
    +0.2 > ACK seq 0 ack 1
    +0.4 > ACK seq 0 ack 1
    +0.9 expect error ETIMEDOUT
  `);
});

Deno.test("RFC 6675 without RACK: three segments above it, and it is lost", () => {
  converse(`
    setting recovery 0
    setting early_retrans 0
    listen
    < SYN seq 0 win 65535 <mss 1000,sackOK>
    > SYN ACK seq 0 ack 1
    +0.1 < ACK seq 1 ack 1
    accept
    write 5000
    > ACK seq 1:1001 ack 1
    > ACK seq 1001:2001 ack 1
    > ACK seq 2001:3001 ack 1
    > ACK seq 3001:4001 ack 1
    > PSH ACK seq 4001:5001 ack 1
    +0.1 < ACK seq 1 ack 1 <nop,nop,sack 1001:3001>
    +0.1 nothing
    < ACK seq 1 ack 1 <nop,nop,sack 1001:4001>
    > ACK seq 1:1001 ack 1
    +0.1 < ACK seq 1 ack 5001
  `);
});

// /proc/PID/net: sockets and the network of the process's namespace. Linux: proc_pid_net(5). The network stack makes
// the text of most files; Unix and netlink sockets are listed here.

import { AF_UNIX, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM } from "../../abi/socket.ts";
import type { Task } from "../../task/task.ts";
import { type Network, networkOf } from "../../socket/inet/network.ts";
import { Socket } from "../../socket/socket.ts";
import { UnixSocket } from "../../socket/unix/unix_socket.ts";
import type { Inode } from "../../vfs/inode.ts";
import { GeneratedFile, StaticDirectory } from "../virtual.ts";
import type { ProcFilesystem } from "./proc.ts";

type Text = (network: Network, task: Task) => string;

/** Files by name: texts of the stack, and headings of tables without entries. */
const FILES: Readonly<Record<string, Text>> = {
  arp: ({ stack, shared: { netstack } }) => netstack.formatArp(stack),
  dev: ({ stack, shared: { netstack } }) => netstack.formatDev(stack),
  if_inet6: ({ stack, shared: { netstack } }) => netstack.formatIpv6Addresses(stack),
  ip6_tables_names: ({ packetFilter }) => packetFilter.names(false),
  ip_tables_names: ({ packetFilter }) => packetFilter.names(true),
  ipv6_route: ({ stack, shared: { netstack } }) => netstack.formatIpv6Routes(stack),
  netlink: netlinkText,
  netstat: ({ stack, shared: { netstack } }) =>
    netstack.formatGroups([netstack.tcpExtGroup(stack.tcp.statistics), netstack.ipExtGroup(stack)]),
  packet: () => "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n",
  ptype: () => "Type Device      Function\n",
  raw: ({ stack, shared: { netstack } }) => netstack.formatRaw(stack, true),
  raw6: ({ stack, shared: { netstack } }) => netstack.formatRaw(stack, false),
  route: ({ stack, shared: { netstack } }) => netstack.formatRoutes(stack),
  snmp: snmpText,
  snmp6: ({ stack, shared: { netstack } }) => netstack.formatSnmp6(stack),
  sockstat: ({ stack, shared: { netstack } }, task) =>
    netstack.formatSockstat(stack, true, sockets(task).size),
  sockstat6: ({ stack, shared: { netstack } }) => netstack.formatSockstat(stack, false, 0),
  tcp: ({ stack, shared: { netstack } }) => netstack.formatTcp(stack, true),
  tcp6: ({ stack, shared: { netstack } }) => netstack.formatTcp(stack, false),
  udp: ({ stack, shared: { netstack } }) => netstack.formatUdp(stack, true),
  udp6: ({ stack, shared: { netstack } }) => netstack.formatUdp(stack, false),
  unix: (_network, task) => unixText(task),
};

export function netDirectory(fs: ProcFilesystem, task: Task): Inode {
  const directory = new StaticDirectory(fs);
  for (const [name, text] of Object.entries(FILES)) {
    const generate = () => {
      const network = networkOf(task.kernel, task.namespaces.net);
      // Remaining times are relative to now.
      network.touch();
      return text(network, task);
    };
    directory.add(name, new GeneratedFile(fs, name.endsWith("_tables_names") ? 0o440 : 0o444, generate));
  }
  return directory;
}

/** TCP is between ICMP and UDP. */
function snmpText({ stack, shared }: Network): string {
  const { formatGroups, snmpGroups, tcpGroup } = shared.netstack;
  const groups = snmpGroups(stack);
  const at = groups.findIndex(([name]) => name === "Udp");
  return formatGroups(groups.toSpliced(at < 0 ? groups.length : at, 0, tcpGroup(stack.tcp.statistics)));
}

function netlinkText({ netlink }: Network): string {
  let text = "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n";
  for (const socket of netlink.sockets) {
    let groups = 0;
    for (const group of socket.groups) if (group <= 32) groups |= 1 << group - 1;
    const cells = [
      "0000000000000000",
      String(socket.protocol).padEnd(3),
      String(socket.port).padEnd(10),
      (groups >>> 0).toString(16).padStart(8, "0"),
      String(socket.queuedBytes).padEnd(8),
      "0".padEnd(8),
      "0".padEnd(5),
      String(socket.references).padEnd(8),
      "0".padEnd(8),
      String(socket.inode.ino).padEnd(8),
    ];
    text += `${cells.join(" ")}\n`;
  }
  return text;
}

/** Sockets that processes of the network namespace of `task` have open. */
function sockets(task: Task): Set<Socket> {
  const found = new Set<Socket>();
  const { net } = task.namespaces;
  for (const other of task.kernel.tasks.values()) {
    if (other.hasExited || other.namespaces.net !== net) continue;
    other.files.forEach((_fd, file) => {
      if (file instanceof Socket) found.add(file);
    });
  }
  return found;
}

const TYPES: Readonly<Record<number, string>> = {
  [SOCK_STREAM]: "0001",
  [SOCK_DGRAM]: "0002",
  [SOCK_SEQPACKET]: "0005",
};
/** SO_ACCEPTCON. */
const LISTENS = 0x10000;
/** SS_UNCONNECTED and SS_CONNECTED. */
const UNCONNECTED = 1;
const CONNECTED = 3;

function unixText(task: Task): string {
  let text = "Num       RefCount Protocol Flags    Type St Inode Path\n";
  for (const socket of sockets(task)) {
    if (socket.domain !== AF_UNIX || !(socket instanceof UnixSocket)) continue;
    const flags = (socket.isListening ? LISTENS : 0).toString(16).padStart(8, "0");
    const references = (socket.references + 1).toString(16).padStart(8, "0");
    const state = (socket.peer !== null ? CONNECTED : UNCONNECTED).toString().padStart(2, "0");
    const type = TYPES[socket.socketType] ?? "0000";
    const name = socket.name === "" ? "" : ` ${socket.name.replaceAll("\0", "@")}`;
    const inode = String(socket.inode.ino).padStart(5);
    text += `0000000000000000: ${references} 00000000 ${flags} ${type} ${state} ${inode}${name}\n`;
  }
  return text;
}

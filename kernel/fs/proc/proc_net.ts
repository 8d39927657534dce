// /proc/PID/net: sockets and the network of a process' namespace. Linux: proc_pid_net(5). Here is what belongs to no
// protocol of the network stack: Unix sockets; and the heads of the tables that have no entries without one.

import { AF_UNIX, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM } from "../../abi/socket.ts";
import type { Task } from "../../task/task.ts";
import { Socket } from "../../socket/socket.ts";
import { UnixSocket } from "../../socket/unix/unix_socket.ts";
import type { Inode } from "../../vfs/inode.ts";
import { GeneratedFile, StaticDirectory } from "../virtual.ts";
import type { ProcFilesystem } from "./proc.ts";

const SOCKET_HEAD =
  "sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
const SOCKET6_HEAD = "  sl  local_address                         remote_address                        " +
  "st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";

/** Lines that stand above entries. */
const HEADS: Readonly<Record<string, string>> = {
  arp: "IP address       HW type     Flags       HW address            Mask     Device\n",
  dev: "Inter-|   Receive                                                |  Transmit\n" +
    " face |bytes    packets errs drop fifo frame compressed multicast|" +
    "bytes    packets errs drop fifo colls carrier compressed\n",
  if_inet6: "",
  ipv6_route: "",
  netlink: "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n",
  packet: "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n",
  ptype: "Type Device      Function\n",
  raw: `  ${SOCKET_HEAD} ref pointer drops\n`,
  raw6: `${SOCKET6_HEAD} ref pointer drops\n`,
  route: `${
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT".padEnd(127)
  }\n`,
  tcp: `  ${`${SOCKET_HEAD}`.padEnd(147)}\n`,
  tcp6: `${SOCKET6_HEAD}\n`,
  udp: `   ${SOCKET_HEAD} ref pointer drops             \n`,
  udp6: `${SOCKET6_HEAD} ref pointer drops\n`,
};

export function netDirectory(fs: ProcFilesystem, task: Task): Inode {
  const directory = new StaticDirectory(fs);
  for (const [name, head] of Object.entries(HEADS)) {
    directory.add(
      name,
      new GeneratedFile(fs, 0o444, () => head),
    );
  }
  directory.add("sockstat", new GeneratedFile(fs, 0o444, () => `sockets: used ${sockets(task).size}\n`));
  directory.add("unix", new GeneratedFile(fs, 0o444, () => unixText(task)));
  return directory;
}

/** Sockets that processes of the same network namespace have open. */
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

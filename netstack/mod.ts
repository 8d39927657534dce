// The network stack for programs that embed it: the kernel's sockets, the stand-alone program, a library's user.

export { Address, formatAddress, parseAddress, parsePrefix, prefixBits } from "./address.ts";
export {
  Endpoint,
  EndpointAddress,
  IncomingControl,
  MSG_DONTROUTE,
  MSG_ERRQUEUE,
  MSG_MORE,
  MSG_OOB,
  MSG_PEEK,
  MSG_TRUNC,
  OutgoingControl,
  type ReceiveFilter,
} from "./endpoint.ts";
export { OptionKind, type OptionSpec } from "./option_spec.ts";
export { optionNumber, OPTIONS } from "./options.ts";
export * from "./numbers.ts";
export { type Packet, PacketPool } from "./packet.ts";
export { type RandomSource, SeededRandom } from "./random.ts";
export { TcpEndpoint } from "./tcp/endpoint.ts";
export { type EchoForwarder } from "./icmp/icmp.ts";
export { Unreachable } from "./icmp/unreachable.ts";
export { UdpEndpoint } from "./udp/endpoint.ts";
export { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLPRI, POLLRDHUP, type ReadinessQueue } from "./readiness.ts";
export { type PendingSyn, type TcpForwarder } from "./tcp/forwarder.ts";
export { Stack, type StackEnvironment } from "./stack.ts";
export { type InterfaceAddress, type Nic } from "./nic.ts";
export { Route } from "./route.ts";
export { NEVER } from "./timer.ts";
export type { Link, PacketDevice } from "./link/link.ts";
export { BridgeLink } from "./link/bridge.ts";
export { EthernetLink } from "./link/ethernet.ts";
export { GroLink } from "./link/gro.ts";
export { formatHardwareAddress, parseHardwareAddress } from "./link/hardware_address.ts";
export { type Impairment, ImpairmentLink, NO_IMPAIRMENT } from "./link/impairment.ts";
export { LoopbackLink } from "./link/loopback.ts";
export { SoftwareOffload } from "./link/offload.ts";
export { PacketLogLink, type PcapSink, PcapWriter, type WallClock } from "./link/packet_log.ts";
export { FifoLink, TokenBucketLink } from "./link/queueing.ts";
export { VethLink } from "./link/veth.ts";
export {
  formatDev,
  formatGroups,
  formatSnmp6,
  ipExtGroup,
  snmpGroups,
  statisticsText,
} from "./statistics_text.ts";
export {
  formatArp,
  formatIpv6Addresses,
  formatIpv6Routes,
  formatRaw,
  formatRoutes,
  formatSockstat,
  formatTcp,
  formatUdp,
  rawRows,
  type SocketRow,
  tcpRows,
  udpRows,
} from "./socket_text.ts";
export type { IpSettingName } from "./ip/settings.ts";
export type { Settings } from "./settings.ts";
export type { TcpSettingName } from "./tcp/settings.ts";
export { tcpExtGroup, tcpGroup } from "./tcp/statistics.ts";
export type { RouterListener } from "./ip/router_discovery.ts";
export { type RouteEntry, type RouteRule } from "./route.ts";
export type { NeighbourEntry } from "./neighbour.ts";
export type { UdpForwarder } from "./udp/protocol.ts";
export type { PacketEndpoint } from "./raw/packet_endpoint.ts";
export { Firewall } from "./firewall/firewall.ts";
export { LegacyTables } from "./firewall/iptables/legacy_tables.ts";
export { Hook, Verdict } from "./firewall/hooks.ts";
export { type Match, MatchKind, type PortRange } from "./firewall/matches.ts";
export { type BaseChain, Chain, ChainType, Family, Rule, Table } from "./firewall/tables.ts";
export { RejectWith, type Target, TargetKind } from "./firewall/targets.ts";

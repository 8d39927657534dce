// AF_NETLINK as programs use it: requests and dumps of NETLINK_ROUTE, acknowledgements, addresses of sockets, and what a
// fresh network namespace is. And the files of /proc/net that say the same.
#include "check.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

static char buffer[65536];

static int route(void) { return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE); }
struct request {
  struct nlmsghdr n;
  char rest[256];
};
static void *begin(struct request *r, int type, int flags, int size) {
  memset(r, 0, sizeof *r);
  r->n.nlmsg_type = type;
  r->n.nlmsg_flags = NLM_F_REQUEST | flags;
  r->n.nlmsg_seq = 7;
  r->n.nlmsg_len = NLMSG_LENGTH(size);
  return NLMSG_DATA(&r->n);
}
static void attribute(struct request *r, int type, const void *data, int size) {
  struct rtattr *a = (void *)((char *)r + NLMSG_ALIGN(r->n.nlmsg_len));
  a->rta_type = type;
  a->rta_len = RTA_LENGTH(size);
  memcpy(RTA_DATA(a), data, size);
  r->n.nlmsg_len = NLMSG_ALIGN(r->n.nlmsg_len) + RTA_ALIGN(a->rta_len);
}
static long say_to_kernel(int s, struct request *r) {
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  return sendto(s, r, r->n.nlmsg_len, 0, (void *)&kernel, sizeof kernel);
}
/* The errno of an acknowledgement, negative; 1 where another message comes. */
static int answer(int s) {
  if (recv(s, buffer, sizeof buffer, MSG_DONTWAIT) < 0) return -1000 - errno;
  struct nlmsghdr *n = (void *)buffer;
  return n->nlmsg_type == NLMSG_ERROR ? ((struct nlmsgerr *)NLMSG_DATA(n))->error : 1;
}
static int ask(int s, struct request *r) { return say_to_kernel(s, r) < 0 ? -2000 - errno : answer(s); }

static void sockets_themselves(void) {
  FAILS("a stream", ESOCKTNOSUPPORT, socket(AF_NETLINK, SOCK_STREAM, 0));
  FAILS("a protocol that is none", EPROTONOSUPPORT, socket(AF_NETLINK, SOCK_RAW, 99));
  FAILS("a pair", EOPNOTSUPP, ({ int p[2]; socketpair(AF_NETLINK, SOCK_RAW, 0, p); }));
  int s = route(), t = route();
  struct sockaddr_nl a = {.nl_family = AF_NETLINK}, b;
  socklen_t n = sizeof b;
  EQUALS("getsockname unbound", 0, getsockname(s, (void *)&b, &n));
  SAYS("is", "12 16 0 0", "%u %d %u %x", n, b.nl_family, b.nl_pid, b.nl_groups);
  FAILS("bind too short", EINVAL, bind(s, (void *)&a, 8));
  EQUALS("bind", 0, bind(s, (void *)&a, sizeof a));
  n = sizeof b;
  getsockname(s, (void *)&b, &n);
  TRUE("it is the process's id", (int)b.nl_pid == getpid());
  EQUALS("another", 0, bind(t, (void *)&a, sizeof a));
  getsockname(t, (void *)&b, &n);
  TRUE("has another", (int)b.nl_pid != getpid() && b.nl_pid != 0);
  FAILS("the same by another", EADDRINUSE, ({ int u = route(); b.nl_pid = getpid(); int r = bind(u, (void *)&b, sizeof b), e = errno; close(u); errno = e; r; }));
  FAILS("a second name", EINVAL, ({ b.nl_pid = 12345; bind(s, (void *)&b, sizeof b); }));
  EQUALS("SO_TYPE", SOCK_RAW, ({ int v; n = 4; getsockopt(s, SOL_SOCKET, SO_TYPE, &v, &n); v; }));
  EQUALS("SO_PROTOCOL", NETLINK_ROUTE, ({ int v; n = 4; getsockopt(s, SOL_SOCKET, SO_PROTOCOL, &v, &n); v; }));
  FAILS("recv", EAGAIN, recv(s, buffer, 10, MSG_DONTWAIT));
  FAILS("listen", EOPNOTSUPP, listen(s, 1));
  FAILS("accept", EOPNOTSUPP, accept(s, NULL, NULL));
  FAILS("shutdown", EOPNOTSUPP, shutdown(s, SHUT_RD));
  n = sizeof b;
  EQUALS("getpeername", 0, getpeername(s, (void *)&b, &n));
  int one = 1;
  EQUALS("NETLINK_EXT_ACK", 0, setsockopt(t, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof one));
  n = sizeof one;
  EQUALS("reads", 0, getsockopt(t, SOL_NETLINK, NETLINK_EXT_ACK, &one, &n));
  FAILS("an option that is none", ENOPROTOOPT, setsockopt(t, SOL_NETLINK, 99, &one, sizeof one));
  int group = RTNLGRP_LINK;
  EQUALS("joining a group", 0, setsockopt(t, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group));
  n = sizeof b;
  getsockname(t, (void *)&b, &n);
  SAYS("its mask", "1", "%x", b.nl_groups);
  EQUALS("leaving", 0, setsockopt(t, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &group, sizeof group));
  group = 0;
  FAILS("group 0", EINVAL, setsockopt(t, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group));
  close(s);
  close(t);
}

static void requests(void) {
  int s = route();
  struct request r;
  struct ifinfomsg *link = begin(&r, RTM_GETLINK, 0, sizeof *link);
  link->ifi_index = 1;
  EQUALS("RTM_GETLINK", 1, ask(s, &r));
  struct nlmsghdr *n = (void *)buffer;
  SAYS("its header", "16 0 7", "%d %x %u", n->nlmsg_type, n->nlmsg_flags, n->nlmsg_seq);
  link = NLMSG_DATA(n);
  SAYS("the link", "0 772 1 49", "%d %d %d %x", link->ifi_family, link->ifi_type, link->ifi_index, link->ifi_flags & 0xffff);
  link = begin(&r, RTM_GETLINK, NLM_F_ACK, sizeof *link);
  link->ifi_index = 9999;
  EQUALS("of none", -ENODEV, ask(s, &r));
  SAYS("with the request", "7 16 9999", "%u %u %u", ((struct nlmsgerr *)NLMSG_DATA(n))->msg.nlmsg_seq + 0, (unsigned)sizeof(struct nlmsghdr), ((struct ifinfomsg *)((char *)NLMSG_DATA(n) + 4 + 16))->ifi_index);
  begin(&r, RTM_GETLINK, 0, sizeof *link);
  EQUALS("of nothing", -EINVAL, ask(s, &r));
  begin(&r, 1000, 0, 16);
  EQUALS("a type that is none", -EOPNOTSUPP, ask(s, &r));
  begin(&r, NLMSG_NOOP, NLM_F_ACK, 16);
  EQUALS("NLMSG_NOOP", 0, ask(s, &r));
  begin(&r, RTM_GETLINK, 0, sizeof *link);
  r.n.nlmsg_flags = 0;
  EQUALS("no request", 0, say_to_kernel(s, &r) < 0);
  FAILS("no answer", EAGAIN, recv(s, buffer, 10, MSG_DONTWAIT));
  r.n.nlmsg_len = 5000;
  sendto(s, &r, 32, 0, NULL, 0);
  FAILS("nor to a bad length", EAGAIN, recv(s, buffer, 10, MSG_DONTWAIT));
  if (geteuid() != 0) {
    link = begin(&r, RTM_NEWLINK, NLM_F_ACK, sizeof *link);
    link->ifi_index = 1;
    EQUALS("RTM_NEWLINK without rights", -EPERM, ask(s, &r));
  }
  struct rtgenmsg *family = begin(&r, RTM_GETADDR, NLM_F_DUMP, sizeof *family);
  family->rtgen_family = AF_INET;
  say_to_kernel(s, &r);
  struct sockaddr_nl from;
  struct iovec v = {buffer, 20};
  struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &v, .msg_iovlen = 1};
  EQUALS("MSG_PEEK | MSG_TRUNC tells the size", 1, recvmsg(s, &m, MSG_PEEK | MSG_TRUNC) > 20);
  SAYS("flags", "20", "%x", m.msg_flags & MSG_TRUNC);
  v.iov_len = sizeof buffer;
  int found = 0, done = 0;
  while (!done) {
    long length = recvmsg(s, &m, 0);
    if (length <= 0) break;
    for (n = (void *)buffer; NLMSG_OK(n, length); n = NLMSG_NEXT(n, length)) {
      if (n->nlmsg_type == NLMSG_DONE) { done = 1; break; }
      struct ifaddrmsg *a = NLMSG_DATA(n);
      if (n->nlmsg_type != RTM_NEWADDR || a->ifa_index != 1) continue;
      found++;
      SAYS("an address", "2 8 80 254 2", "%d %d %x %d %x", a->ifa_family, a->ifa_prefixlen, a->ifa_flags, a->ifa_scope, n->nlmsg_flags);
    }
  }
  EQUALS("of lo", 1, found);
  EQUALS("the dump ends", 1, done);
  SAYS("from the kernel", "16 0 0", "%d %u %u", from.nl_family, from.nl_pid, from.nl_groups);
  close(s);
}

static void libraries(void) {
  struct ifaddrs *list, *i;
  EQUALS("getifaddrs", 0, getifaddrs(&list));
  for (i = list; i != NULL; i = i->ifa_next) {
    if (strcmp(i->ifa_name, "lo") != 0 || i->ifa_addr == NULL) continue;
    char text[64] = "packet";
    if (i->ifa_addr->sa_family == AF_INET) inet_ntop(AF_INET, &((struct sockaddr_in *)i->ifa_addr)->sin_addr, text, sizeof text);
    if (i->ifa_addr->sa_family == AF_INET6) inet_ntop(AF_INET6, &((struct sockaddr_in6 *)i->ifa_addr)->sin6_addr, text, sizeof text);
    say("lo", "%d %s", i->ifa_addr->sa_family, text);
  }
  freeifaddrs(list);
  struct if_nameindex *names = if_nameindex();
  SAYS("if_nameindex", "1 lo", "%u %s", names[0].if_index, names[0].if_name);
  if_freenameindex(names);
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *found;
  EQUALS("getaddrinfo", 0, getaddrinfo("::1", "80", &hints, &found));
  EQUALS("is of", AF_INET6, found->ai_family);
  freeaddrinfo(found);
}

static int lines_with(const char *path, const char *text) {
  FILE *f = fopen(path, "r");
  if (f == NULL) return -1;
  char line[1024];
  int n = 0;
  while (fgets(line, sizeof line, f) != NULL)
    if (strstr(line, text) != NULL) n++;
  fclose(f);
  return n;
}

static void files(void) {
  int l = socket(AF_INET, SOCK_STREAM, 0), u = socket(AF_INET6, SOCK_DGRAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in a = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}};
  socklen_t n = sizeof a;
  bind(l, (void *)&a, sizeof a);
  listen(l, 5);
  getsockname(l, (void *)&a, &n);
  char text[128];
  sprintf(text, "0100007F:%04X 00000000:0000 0A 00000000:00000000", ntohs(a.sin_port));
  EQUALS("a listener in tcp", 1, lines_with("/proc/net/tcp", text));
  connect(c, (void *)&a, sizeof a);
  sprintf(text, "0100007F:%04X 00000000:0000 0A 00000000:00000001", ntohs(a.sin_port));
  EQUALS("with one that waits", 1, lines_with("/proc/net/tcp", text));
  sprintf(text, "0100007F:%04X 01 00000000:00000000", ntohs(a.sin_port));
  EQUALS("the one that has connected", 1, lines_with("/proc/net/tcp", text));
  struct sockaddr_in6 b = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
  bind(u, (void *)&b, sizeof b);
  n = sizeof b;
  getsockname(u, (void *)&b, &n);
  sprintf(text, "00000000000000000000000001000000:%04X 00000000000000000000000000000000:0000 07", ntohs(b.sin6_port));
  EQUALS("udp6", 1, lines_with("/proc/net/udp6", text));
  sendto(u, "abc", 3, 0, (void *)&b, sizeof b);
  struct stat st;
  fstat(l, &st);
  sprintf(text, " %lu ", (unsigned long)st.st_ino);
  EQUALS("by its inode", 1, lines_with("/proc/self/net/tcp", text));
  int d = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG), found = 0, done = 0;
  struct request r;
  struct inet_diag_req_v2 *q = begin(&r, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, sizeof *q);
  q->sdiag_family = AF_INET;
  q->sdiag_protocol = IPPROTO_TCP;
  q->idiag_states = 1 << 10;
  say_to_kernel(d, &r);
  while (!done) {
    long length = recv(d, buffer, sizeof buffer, MSG_DONTWAIT);
    if (length <= 0) break;
    for (struct nlmsghdr *m = (void *)buffer; NLMSG_OK(m, length); m = NLMSG_NEXT(m, length)) {
      struct inet_diag_msg *i = NLMSG_DATA(m);
      if (m->nlmsg_type == NLMSG_DONE) { done = 1; break; }
      if (i->idiag_inode != st.st_ino) continue;
      found++;
      SAYS("sock_diag", "2 10 1 5 1", "%d %d %u %u %d", i->idiag_family, i->idiag_state, i->idiag_rqueue, i->idiag_wqueue, i->id.idiag_sport == a.sin_port);
    }
  }
  SAYS("found, and the end", "1 1", "%d %d", found, done);
  q->sdiag_family = 99;
  EQUALS("a family that is none", -EINVAL, ask(d, &r));
  close(d);
  EQUALS("dev", 1, lines_with("/proc/net/dev", "    lo: "));
  EQUALS("if_inet6", 1, lines_with("/proc/net/if_inet6", "00000000000000000000000000000001 01 80 10 80       lo"));
  EQUALS("sockstat", 1, lines_with("/proc/net/sockstat", "TCP: inuse "));
  EQUALS("sockstat6", 1, lines_with("/proc/net/sockstat6", "UDP6: inuse "));
  EQUALS("snmp", 2, lines_with("/proc/net/snmp", "Tcp: "));
  EQUALS("its UDP", 2, lines_with("/proc/net/snmp", "Udp: "));
  EQUALS("netstat", 1, lines_with("/proc/net/netstat", "TcpExt: SyncookiesSent "));
  EQUALS("route's head", 1, lines_with("/proc/net/route", "Iface\tDestination\tGateway \tFlags"));
  EQUALS("arp's head", 1, lines_with("/proc/net/arp", "IP address       HW type     Flags       HW address            Mask     Device"));
  EQUALS("ip_local_port_range", 1, lines_with("/proc/sys/net/ipv4/ip_local_port_range", "32768\t60999"));
  EQUALS("ip_default_ttl", 1, lines_with("/proc/sys/net/ipv4/ip_default_ttl", "64"));
  close(c);
  close(l);
  close(u);
}

/* Neighbours of an ethernet interface: one end of a veth pair. */
static void neighbours(void) {
  int s = route();
  struct request r;
  unsigned char mac[6] = {2, 0, 0, 0, 0, 9};
  unsigned address = htonl(0x0a000009);
  struct ifinfomsg *link = begin(&r, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sizeof *link);
  struct { struct rtattr kind; char name[8]; } info = {{RTA_LENGTH(5), IFLA_INFO_KIND}, "veth"};
  attribute(&r, IFLA_IFNAME, "one", 4);
  attribute(&r, IFLA_LINKINFO, &info, sizeof info);
  EQUALS("a veth pair", 0, ask(s, &r));
  int index = if_nametoindex("one");
  struct ifreq up = {.ifr_name = "one", .ifr_flags = IFF_UP};
  int t = socket(AF_INET, SOCK_DGRAM, 0);
  EQUALS("is set up", 0, ioctl(t, SIOCSIFFLAGS, &up));
  close(t);
  struct { const char *name; int type, flags, index, has_address, mac_bytes, expected; } cases[] = {
      {"a neighbour without an address", RTM_NEWNEIGH, NLM_F_CREATE, index, 0, 6, -EINVAL},
      {"of an interface that is not there", RTM_NEWNEIGH, NLM_F_CREATE, 77, 1, 6, -ENODEV},
      {"of no interface", RTM_NEWNEIGH, NLM_F_CREATE, 0, 1, 6, -EINVAL},
      {"with half an address", RTM_NEWNEIGH, NLM_F_CREATE, index, 1, 3, -EINVAL},
      {"without NLM_F_CREATE", RTM_NEWNEIGH, 0, index, 1, 6, -ENOENT},
      {"a new neighbour", RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL, index, 1, 6, 0},
      {"the same again", RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL, index, 1, 6, -EEXIST},
      {"in place of it", RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, index, 1, 6, 0},
      {"it goes", RTM_DELNEIGH, 0, index, index, 0, 0},
      {"no address to go", RTM_DELNEIGH, 0, index, 0, 0, -EINVAL},
      {"permanent without hardware address", RTM_NEWNEIGH, NLM_F_CREATE, index, 1, 0, -EINVAL},
  };
  for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct ndmsg *n = begin(&r, cases[i].type, NLM_F_ACK | cases[i].flags, sizeof *n);
    n->ndm_family = AF_INET;
    n->ndm_ifindex = cases[i].index;
    n->ndm_state = NUD_PERMANENT;
    if (cases[i].has_address) attribute(&r, NDA_DST, &address, 4);
    if (cases[i].mac_bytes > 0) attribute(&r, NDA_LLADDR, mac, cases[i].mac_bytes);
    EQUALS(cases[i].name, cases[i].expected, ask(s, &r));
  }
  close(s);
}

static void fresh_namespace(void) {
  if (geteuid() != 0) return;
  pid_t child = fork();
  if (child == 0) {
    EQUALS("unshare", 0, unshare(CLONE_NEWNET));
    int s = route(), t = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {AF_INET, htons(9), {htonl(INADDR_LOOPBACK)}};
    FAILS("nobody is reached", ENETUNREACH, connect(t, (void *)&a, sizeof a));
    struct ifreq q = {.ifr_name = "lo"};
    EQUALS("lo is there", 0, ioctl(t, SIOCGIFFLAGS, &q));
    SAYS("and down", "8", "%x", (unsigned short)q.ifr_flags);
    FAILS("without an address", EADDRNOTAVAIL, ioctl(t, SIOCGIFADDR, &q));
    struct sockaddr_nl listen = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
    int events = route();
    bind(events, (void *)&listen, sizeof listen);
    struct request r;
    struct ifinfomsg *link = begin(&r, RTM_NEWLINK, NLM_F_ACK, sizeof *link);
    link->ifi_index = 1;
    link->ifi_flags = link->ifi_change = IFF_UP;
    EQUALS("RTM_NEWLINK sets it up", 0, ask(s, &r));
    EQUALS("a listener hears", 1, recv(events, buffer, sizeof buffer, MSG_DONTWAIT) > 0);
    EQUALS("of the link", RTM_NEWLINK, ((struct nlmsghdr *)buffer)->nlmsg_type);
    EQUALS("with its address", 0, ioctl(t, SIOCGIFADDR, &q));
    FAILS("nobody listens there", ECONNREFUSED, connect(t, (void *)&a, sizeof a));
    struct ifaddrmsg *address = begin(&r, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sizeof *address);
    address->ifa_family = AF_INET;
    address->ifa_prefixlen = 24;
    address->ifa_index = 1;
    struct in_addr own = {htonl(0x0a010203)};
    attribute(&r, IFA_LOCAL, &own, 4);
    EQUALS("RTM_NEWADDR", 0, ask(s, &r));
    EQUALS("again", -EEXIST, ask(s, &r));
    a.sin_addr = own;
    EQUALS("it is ours", 0, ({ int u = socket(AF_INET, SOCK_DGRAM, 0); int v = bind(u, (void *)&a, sizeof a); close(u); v; }));
    r.n.nlmsg_type = RTM_DELADDR;
    r.n.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    EQUALS("RTM_DELADDR", 0, ask(s, &r));
    EQUALS("again", -EADDRNOTAVAIL, ask(s, &r));
    link = begin(&r, RTM_DELLINK, NLM_F_ACK, sizeof *link);
    link->ifi_index = 1;
    EQUALS("RTM_DELLINK of lo", -EOPNOTSUPP, ask(s, &r));
    neighbours();
    struct rtmsg *rt = begin(&r, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sizeof *rt);
    rt->rtm_family = AF_INET;
    rt->rtm_dst_len = 16;
    rt->rtm_table = RT_TABLE_MAIN;
    rt->rtm_type = RTN_UNICAST;
    rt->rtm_scope = RT_SCOPE_LINK;
    rt->rtm_protocol = RTPROT_BOOT;
    struct in_addr to = {htonl(0x0a050000)};
    int index = 1;
    attribute(&r, RTA_DST, &to, 4);
    attribute(&r, RTA_OIF, &index, 4);
    EQUALS("RTM_NEWROUTE", 0, ask(s, &r));
    EQUALS("again", -EEXIST, ask(s, &r));
    EQUALS("it is in the file", 1, lines_with("/proc/net/route", "lo\t0000050A\t00000000\t0001\t0\t0\t0\t0000FFFF"));
    r.n.nlmsg_type = RTM_DELROUTE;
    r.n.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    EQUALS("RTM_DELROUTE", 0, ask(s, &r));
    EQUALS("again", -ESRCH, ask(s, &r));
    _exit(0);
  }
  EQUALS("the namespace's child", 0, wait_code(child));
}

int main(void) {
  sockets_themselves();
  requests();
  libraries();
  files();
  fresh_namespace();
  return 0;
}

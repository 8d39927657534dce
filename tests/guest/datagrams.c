// Datagrams of the internet over loopback: UDP, ping and raw sockets, their control messages, error queue, limits.
#include "check.h"
#include "loopback.h"
#include <linux/errqueue.h>
#include <linux/sockios.h>
#include <netinet/ip_icmp.h>
#include <netinet/icmp6.h>
#include <netinet/udp.h>

static char buffer[100000];

static int bound(void) {
  union address a = loopback(0);
  int s = socket(family, SOCK_DGRAM, 0);
  bind(s, &a.any, size_of());
  return s;
}
static int connect_to(int s, int port) {
  union address a = loopback(port);
  return connect(s, &a.any, size_of());
}
static long send_to(int s, const char *text, int port, int flags) {
  union address a = loopback(port);
  return sendto(s, text, strlen(text), flags, &a.any, size_of());
}
static int free_port(void) {
  int s = bound(), port = port_of(s);
  close(s);
  return port;
}

static void ordinary(void) {
  int s = bound(), t = socket(family, SOCK_DGRAM, 0), port = port_of(s), n;
  union address a;
  socklen_t size = sizeof a;
  SAYS("poll of a fresh one", "104", "%x", events_of(t));
  EQUALS("its port", 0, port_of(t));
  FAILS("send to nobody", EDESTADDRREQ, send(t, "x", 1, 0));
  FAILS("write", EDESTADDRREQ, write(t, "x", 1));
  FAILS("getpeername", ENOTCONN, getpeername(t, &a.any, &size));
  FAILS("listen", EOPNOTSUPP, listen(t, 1));
  FAILS("accept", EOPNOTSUPP, accept(t, NULL, NULL));
  FAILS("recv", EAGAIN, recv(t, buffer, 1, MSG_DONTWAIT));
  EQUALS("SO_PROTOCOL", IPPROTO_UDP, option(t, SOL_SOCKET, SO_PROTOCOL));
  FAILS("sendto port 0", EINVAL, send_to(t, "x", 0, 0));
  FAILS("to too short an address", EINVAL, ({ a = loopback(port); sendto(t, "x", 1, 0, &a.any, 8); }));
  FAILS("to another family", family == AF_INET ? EAFNOSUPPORT : EINVAL, ({ a.any.sa_family = AF_UNIX; sendto(t, "x", 1, 0, &a.any, size_of()); }));
  FAILS("too long", EMSGSIZE, ({ a = loopback(port); sendto(t, buffer, 65536, 0, &a.any, size_of()); }));
  EQUALS("sendto", 5, send_to(t, "hello", port, 0));
  TRUE("gives it a port", port_of(t) >= 32768);
  SAYS("poll there", "145", "%x", events_of(s));
  EQUALS("FIONREAD", 5, ({ ioctl(s, FIONREAD, &n); n; }));
  send_to(t, "again!", port, 0);
  EQUALS("FIONREAD is of the next", 5, ({ ioctl(s, FIONREAD, &n); n; }));
  EQUALS("MSG_PEEK", 3, recv(s, buffer, 3, MSG_PEEK));
  EQUALS("MSG_PEEK | MSG_TRUNC", 5, recv(s, buffer, 3, MSG_PEEK | MSG_TRUNC));
  size = sizeof a;
  EQUALS("recvfrom a part", 3, recvfrom(s, buffer, 3, 0, &a.any, &size));
  EQUALS("its address' size", size_of(), size);
  TRUE("its port", ntohs(a.v4.sin_port) == port_of(t));
  EQUALS("the rest is gone", 6, recv(s, buffer, 100, 0));
  SAYS("the next", "again!", "%.6s", buffer);
  EQUALS("nothing", 0, send_to(t, "", port, 0));
  EQUALS("is a datagram", 0, recv(s, buffer, 10, MSG_DONTWAIT));
  FAILS("then there is none", EAGAIN, recv(s, buffer, 10, MSG_DONTWAIT));
  memset(buffer, 'b', 65000);
  EQUALS("a long one", 60000, ({ a = loopback(port); sendto(t, buffer, 60000, 0, &a.any, size_of()); }));
  EQUALS("arrives", 60000, recv(s, buffer, sizeof buffer, MSG_DONTWAIT));
  struct iovec v[2] = {{"ab", 2}, {"cde", 3}}, w[2] = {{buffer, 2}, {buffer + 2, 1}};
  a = loopback(port);
  struct msghdr m = {.msg_name = &a, .msg_namelen = size_of(), .msg_iov = v, .msg_iovlen = 2};
  EQUALS("sendmsg", 5, sendmsg(t, &m, 0));
  char name[64];
  struct msghdr r = {.msg_name = name, .msg_namelen = 64, .msg_iov = w, .msg_iovlen = 2};
  EQUALS("recvmsg", 3, recvmsg(s, &r, 0));
  SAYS("is cut", "20", "%x", r.msg_flags);
  EQUALS("its address' size", size_of(), r.msg_namelen);
  struct mmsghdr mm[3] = {{.msg_hdr = m}, {.msg_hdr = m}, {.msg_hdr = m}};
  EQUALS("sendmmsg", 3, sendmmsg(t, mm, 3, 0));
  w[1].iov_len = 100;
  struct msghdr q = {.msg_iov = w, .msg_iovlen = 2};
  for (int i = 0; i < 3; i++) mm[i].msg_hdr = q;
  EQUALS("recvmmsg", 3, recvmmsg(s, mm, 3, MSG_DONTWAIT, NULL));
  SAYS("each", "5 5 5", "%u %u %u", mm[0].msg_len, mm[1].msg_len, mm[2].msg_len);
  send_to(t, "one", port, 0);
  EQUALS("recvmmsg of fewer", 1, recvmmsg(s, mm, 3, MSG_DONTWAIT, NULL));
  if (family == AF_INET) FAILS("MSG_OOB", EOPNOTSUPP, send_to(t, "x", port, MSG_OOB));
  EQUALS("MSG_MORE", 2, send_to(t, "ab", port, MSG_MORE));
  EQUALS("ends", 3, send_to(t, "cde", port, 0));
  EQUALS("as one", 5, recv(s, buffer, 100, MSG_DONTWAIT));
  for (n = 0; n < 5000 && send_to(t, "0123456789", port, MSG_DONTWAIT) == 10; n++);
  EQUALS("a full queue loses", 5000, n);
  for (n = 0; recv(s, buffer, 100, MSG_DONTWAIT) == 10; n++);
  TRUE("some arrive", n > 50 && n < 5000);
  close(s);
  close(t);
}

static void connected(void) {
  int s = bound(), t = bound(), u = bound();
  union address a;
  socklen_t size = sizeof a;
  EQUALS("connect", 0, connect_to(t, port_of(s)));
  TRUE("getpeername", ({ getpeername(t, &a.any, &size); ntohs(a.v4.sin_port); }) == port_of(s));
  EQUALS("send", 1, send(t, "a", 1, 0));
  EQUALS("sendto another", 1, send_to(t, "b", port_of(u), 0));
  EQUALS("arrives", 1, recv(u, buffer, 1, MSG_DONTWAIT));
  EQUALS("from somebody else", 1, send_to(u, "c", port_of(t), 0));
  FAILS("is not heard", EAGAIN, recv(t, buffer, 1, MSG_DONTWAIT));
  EQUALS("from the peer", 1, send_to(s, "d", port_of(t), 0));
  EQUALS("is", 1, recv(t, buffer, 1, MSG_DONTWAIT));
  union address none = {.any = {AF_UNSPEC}};
  EQUALS("connect to nobody", 0, connect(t, &none.any, sizeof none.any));
  FAILS("getpeername then", ENOTCONN, getpeername(t, &a.any, &size));
  EQUALS("a port nobody asked for by number is gone", 0, port_of(t));
  FAILS("shutdown unconnected", ENOTCONN, shutdown(t, SHUT_RD));
  EQUALS("connect again", 0, connect_to(t, port_of(s)));
  EQUALS("shutdown", 0, shutdown(t, SHUT_WR));
  FAILS("send", EPIPE, send(t, "x", 1, 0));
  EQUALS("shutdown of reading", 0, shutdown(t, SHUT_RD));
  EQUALS("recv", 0, recv(t, buffer, 1, 0));
  SAYS("poll", "2155", "%x", events_of(t));
  close(t);
  t = socket(family, SOCK_DGRAM, 0);
  connect_to(t, free_port());
  EQUALS("send to a closed port", 1, send(t, "x", 1, 0));
  SAYS("poll", "10c", "%x", events_of(t));
  FAILS("is told to the next", ECONNREFUSED, send(t, "x", 1, 0));
  EQUALS("and the next goes", 1, send(t, "x", 1, 0));
  FAILS("recv is told too", ECONNREFUSED, recv(t, buffer, 1, MSG_DONTWAIT));
  send(t, "x", 1, 0);
  EQUALS("SO_ERROR", ECONNREFUSED, option(t, SOL_SOCKET, SO_ERROR));
  EQUALS("once", 0, option(t, SOL_SOCKET, SO_ERROR));
  close(t);
  t = socket(family, SOCK_DGRAM, 0);
  EQUALS("unconnected", 1, send_to(t, "x", free_port(), 0));
  SAYS("nobody is told", "104", "%x", events_of(t));
  close(s);
  close(t);
  close(u);
  s = bound();
  EQUALS("connected to itself", 0, connect_to(s, port_of(s)));
  EQUALS("send", 4, send(s, "self", 4, 0));
  EQUALS("recv", 4, recv(s, buffer, 10, MSG_DONTWAIT));
  close(s);
}

static void print_control(const char *what, struct msghdr *m) {
  for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
    int length = c->cmsg_len - CMSG_LEN(0), isTime = c->cmsg_level == SOL_SOCKET;
    char text[400];
    int n = sprintf(text, "%d %d %d", c->cmsg_level, c->cmsg_type, length);
    /* Ports and times differ. */
    for (int i = 0; !isTime && i < length && i < 60; i++) {
      int isPort = (c->cmsg_type == IP_RECVORIGDSTADDR && c->cmsg_level == SOL_IP) || (c->cmsg_type == 74 && c->cmsg_level == SOL_IPV6);
      if (!isPort || i < 2 || i > 3) n += sprintf(text + n, " %02x", CMSG_DATA(c)[i]);
    }
    say(what, "%s", text);
  }
}

static void control(void) {
  int s = bound(), t = bound(), port = port_of(s);
  static const int V4[] = {IP_PKTINFO, IP_RECVTTL, IP_RECVTOS, IP_RECVORIGDSTADDR};
  static const int V6[] = {IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS, 74};
  char space[512];
  struct iovec v = {buffer, sizeof buffer};
  for (int i = 0; i < 4; i++) EQUALS("an option", 0, family == AF_INET ? set(s, SOL_IP, V4[i], 1) : set(s, SOL_IPV6, V6[i], 1));
  EQUALS("SO_TIMESTAMP", 0, set(s, SOL_SOCKET, SO_TIMESTAMP, 1));
  if (family == AF_INET) {
    set(t, SOL_IP, IP_TTL, 33);
    set(t, SOL_IP, IP_TOS, 0x10);
  } else {
    set(t, SOL_IPV6, IPV6_UNICAST_HOPS, 33);
    set(t, SOL_IPV6, IPV6_TCLASS, 0x10);
  }
  send_to(t, "abc", port, 0);
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
  EQUALS("recvmsg", 3, recvmsg(s, &m, 0));
  print_control("control", &m);
  TRUE("all of it", m.msg_controllen > 100);
  struct timeval *time = (void *)CMSG_DATA(CMSG_FIRSTHDR(&m)), now;
  gettimeofday(&now, NULL);
  TRUE("the time is now", now.tv_sec - time->tv_sec <= 2 && now.tv_sec - time->tv_sec >= 0 && time->tv_usec < 1000000);
  set(s, SOL_SOCKET, SO_TIMESTAMP, 0);
  EQUALS("SO_TIMESTAMPNS", 0, set(s, SOL_SOCKET, SO_TIMESTAMPNS, 1));
  send_to(t, "abc", port, 0);
  m.msg_controllen = 40;
  EQUALS("with little room", 3, recvmsg(s, &m, 0));
  SAYS("is cut", "8 32", "%x %zu", m.msg_flags, m.msg_controllen);
  print_control("control", &m);
  set(s, SOL_SOCKET, SO_TIMESTAMPNS, 0);
  send_to(t, "abc", port, 0);
  m.msg_controllen = 0;
  EQUALS("with no room", 3, recvmsg(s, &m, 0));
  SAYS("is cut", "8 0", "%x %zu", m.msg_flags, m.msg_controllen);
  /* What a sender may say. */
  union address a = loopback(port);
  memset(space, 0, sizeof space);
  struct iovec w = {"xyz", 3};
  struct msghdr o = {.msg_name = &a, .msg_namelen = size_of(), .msg_iov = &w, .msg_iovlen = 1, .msg_control = space, .msg_controllen = CMSG_SPACE(4)};
  struct cmsghdr *c = CMSG_FIRSTHDR(&o);
  c->cmsg_level = family == AF_INET ? SOL_IP : SOL_IPV6;
  c->cmsg_type = family == AF_INET ? IP_TTL : IPV6_HOPLIMIT;
  c->cmsg_len = CMSG_LEN(4);
  *(int *)CMSG_DATA(c) = 7;
  EQUALS("sendmsg with a TTL", 3, sendmsg(t, &o, 0));
  m.msg_controllen = sizeof space;
  char space2[512];
  m.msg_control = space2;
  recvmsg(s, &m, 0);
  print_control("control", &m);
  *(int *)CMSG_DATA(c) = 300;
  FAILS("one too large", EINVAL, sendmsg(t, &o, 0));
  c->cmsg_type = 99;
  FAILS("one that is none", EINVAL, sendmsg(t, &o, 0));
  c->cmsg_len = 3;
  FAILS("a bad length", EINVAL, sendmsg(t, &o, 0));
  c->cmsg_len = 1000;
  FAILS("a longer one than there is", EINVAL, sendmsg(t, &o, 0));
  if (family == AF_INET) {
    struct in_pktinfo info = {1, {htonl(0x7f000005)}, {0}};
    o.msg_controllen = CMSG_SPACE(sizeof info);
    c->cmsg_type = IP_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof info);
    memcpy(CMSG_DATA(c), &info, sizeof info);
    close(t);
    t = socket(family, SOCK_DGRAM, 0);
    EQUALS("IP_PKTINFO says whence", 3, sendmsg(t, &o, 0));
    char name[64];
    m.msg_name = name;
    m.msg_namelen = 64;
    m.msg_controllen = sizeof space2;
    recvmsg(s, &m, 0);
    SAYS("it is", "127.0.0.5", "%s", inet_ntoa(((struct sockaddr_in *)name)->sin_addr));
    info.ipi_ifindex = 999;
    memcpy(CMSG_DATA(c), &info, sizeof info);
    FAILS("an interface that is none", ENODEV, sendmsg(t, &o, 0));
  }
  close(s);
  close(t);
}

static void errors(void) {
  int t = socket(family, SOCK_DGRAM, 0), port = free_port();
  int level = family == AF_INET ? SOL_IP : SOL_IPV6;
  EQUALS("IP_RECVERR", 0, set(t, level, family == AF_INET ? IP_RECVERR : IPV6_RECVERR, 1));
  EQUALS("send to a closed port", 5, send_to(t, "lost!", port, 0));
  SAYS("poll", "10c", "%x", events_of(t));
  FAILS("the next is told", ECONNREFUSED, send_to(t, "x", port, 0));
  char space[512], name[64];
  struct iovec v = {buffer, sizeof buffer};
  struct msghdr m = {.msg_name = name, .msg_namelen = 64, .msg_iov = &v, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
  EQUALS("MSG_ERRQUEUE", 5, recvmsg(t, &m, MSG_ERRQUEUE));
  SAYS("what was sent", "lost!", "%.5s", buffer);
  SAYS("flags", "2000", "%x", m.msg_flags);
  TRUE("where to", ntohs(((struct sockaddr_in *)name)->sin_port) == port);
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  struct sock_extended_err *e = (void *)CMSG_DATA(c);
  SAYS("the message", family == AF_INET ? "0 11 48" : "41 25 60", "%d %d %zu", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len);
  SAYS("the error", family == AF_INET ? "111 2 3 3 0" : "111 3 1 4 0", "%u %u %u %u %u", e->ee_errno, e->ee_origin, e->ee_type, e->ee_code, e->ee_info);
  EQUALS("who has told it", family, SO_EE_OFFENDER(e)->sa_family);
  FAILS("the queue is empty", EAGAIN, recvmsg(t, &m, MSG_ERRQUEUE));
  SAYS("poll", "104", "%x", events_of(t));
  close(t);
}

static void options(void) {
  int s = bound();
  static const struct { const char *name; int family, level, number, initial, value, read; } ROWS[] = {
    {"IP_TTL", AF_INET, SOL_IP, IP_TTL, 64, 1, 1},
    {"IP_MULTICAST_TTL", AF_INET, SOL_IP, IP_MULTICAST_TTL, 1, 5, 5},
    {"IP_MULTICAST_LOOP", AF_INET, SOL_IP, IP_MULTICAST_LOOP, 1, 0, 0},
    {"IP_PKTINFO", AF_INET, SOL_IP, IP_PKTINFO, 0, 2, 1},
    {"IP_RECVTTL", AF_INET, SOL_IP, IP_RECVTTL, 0, 1, 1},
    {"IP_RECVTOS", AF_INET, SOL_IP, IP_RECVTOS, 0, 1, 1},
    {"IP_MULTICAST_ALL", AF_INET, SOL_IP, IP_MULTICAST_ALL, 1, 0, 0},
    {"IPV6_UNICAST_HOPS", AF_INET6, SOL_IPV6, IPV6_UNICAST_HOPS, 64, 9, 9},
    {"IPV6_MULTICAST_HOPS", AF_INET6, SOL_IPV6, IPV6_MULTICAST_HOPS, 1, 3, 3},
    {"IPV6_MULTICAST_LOOP", AF_INET6, SOL_IPV6, IPV6_MULTICAST_LOOP, 1, 0, 0},
    {"IPV6_TCLASS", AF_INET6, SOL_IPV6, IPV6_TCLASS, 0, 8, 8},
    {"IPV6_RECVPKTINFO", AF_INET6, SOL_IPV6, IPV6_RECVPKTINFO, 0, 1, 1},
    {"IPV6_DONTFRAG", AF_INET6, SOL_IPV6, IPV6_DONTFRAG, 0, 1, 1},
    {"UDP_CORK", AF_UNSPEC, SOL_UDP, UDP_CORK, 0, 1, 1},
    {"UDP_SEGMENT", AF_UNSPEC, SOL_UDP, UDP_SEGMENT, 0, 1000, 1000},
    {"SO_BROADCAST", AF_UNSPEC, SOL_SOCKET, SO_BROADCAST, 0, 1, 1},
    {"SO_NO_CHECK", AF_UNSPEC, SOL_SOCKET, SO_NO_CHECK, 0, 1, 1},
    {"SO_SNDBUF", AF_UNSPEC, SOL_SOCKET, SO_SNDBUF, 212992, 8192, 16384},
    {"SO_RCVBUF", AF_UNSPEC, SOL_SOCKET, SO_RCVBUF, 212992, 8192, 16384},
  };
  for (unsigned i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
    if (ROWS[i].family != AF_UNSPEC && ROWS[i].family != family) continue;
    EQUALS(ROWS[i].name, ROWS[i].initial, option(s, ROWS[i].level, ROWS[i].number));
    EQUALS("set", 0, set(s, ROWS[i].level, ROWS[i].number, ROWS[i].value));
    EQUALS("read", ROWS[i].read, option(s, ROWS[i].level, ROWS[i].number));
  }
  FAILS("an option of TCP", ENOPROTOOPT, set(s, 6, 1, 1));
  FAILS("of UDP that is none", ENOPROTOOPT, set(s, SOL_UDP, 999, 1));
  close(s);
  s = socket(family, SOCK_DGRAM, 0);
  int t = bound(), port = port_of(t);
  set(s, SOL_UDP, UDP_SEGMENT, 4);
  EQUALS("UDP_SEGMENT cuts", 10, send_to(s, "0123456789", port, 0));
  EQUALS("one", 4, recv(t, buffer, 100, MSG_DONTWAIT));
  EQUALS("two", 4, recv(t, buffer, 100, MSG_DONTWAIT));
  EQUALS("three", 2, recv(t, buffer, 100, MSG_DONTWAIT));
  close(s);
  close(t);
}

static void *sends_later(void *p) {
  usleep(30000);
  int s = socket(family, SOCK_DGRAM, 0);
  send_to(s, "late", *(int *)p, 0);
  close(s);
  return NULL;
}
static void waiting(void) {
  int s = bound(), port = port_of(s);
  pthread_t t;
  pthread_create(&t, NULL, sends_later, &port);
  EQUALS("recv waits", 4, recv(s, buffer, 10, 0));
  pthread_join(t, NULL);
  struct timeval time = {0, 40000};
  setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
  FAILS("SO_RCVTIMEO", EAGAIN, recv(s, buffer, 10, 0));
  int e = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN | EPOLLET}, out[2];
  epoll_ctl(e, EPOLL_CTL_ADD, s, &event);
  pthread_create(&t, NULL, sends_later, &port);
  EQUALS("epoll", 1, epoll_wait(e, out, 2, 5000));
  EQUALS("one edge", 0, epoll_wait(e, out, 2, 0));
  pthread_join(t, NULL);
  close(e);
  close(s);
}

static void raw(void) {
  int protocol = family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
  FAILS("a raw one of protocol 0", EPROTONOSUPPORT, socket(family, SOCK_RAW, 0));
  int s = socket(family, SOCK_RAW, protocol);
  if (geteuid() != 0) {
    FAILS("a raw one", EPERM, socket(family, SOCK_RAW, protocol));
    return;
  }
  TRUE("a raw one", s >= 0);
  struct icmphdr echo = {.type = family == AF_INET ? ICMP_ECHO : ICMP6_ECHO_REQUEST};
  echo.un.echo.id = htons(77);
  echo.un.echo.sequence = htons(1);
  if (family == AF_INET) echo.checksum = ~(htons(0x0800) + htons(77) + htons(1));
  union address a = loopback(0), from;
  socklen_t size = sizeof from;
  EQUALS("an echo request", 8, sendto(s, &echo, 8, 0, &a.any, size_of()));
  int header = family == AF_INET ? 20 : 0;
  for (int i = 0; i < 2; i++) {
    long n = recvfrom(s, buffer, sizeof buffer, MSG_DONTWAIT, &from.any, &size);
    EQUALS("comes", header + 8, n);
    say("type", "%u", (unsigned char)buffer[header]);
  }
  FAILS("no more", EAGAIN, recv(s, buffer, 100, MSG_DONTWAIT));
  EQUALS("its address' size", size_of(), size);
  int mine = family == AF_INET ? SOCK_RAW : SOCK_RAW;
  EQUALS("SO_TYPE", mine, option(s, SOL_SOCKET, SO_TYPE));
  EQUALS("SO_PROTOCOL", protocol, option(s, SOL_SOCKET, SO_PROTOCOL));
  FAILS("send without a peer", EDESTADDRREQ, send(s, &echo, 8, 0));
  EQUALS("connect", 0, connect(s, &a.any, size_of()));
  EQUALS("send", 8, send(s, &echo, 8, 0));
  close(s);
  s = socket(family, SOCK_RAW, 200);
  int t = socket(family, SOCK_RAW, 200);
  EQUALS("of a protocol of its own", 3, sendto(s, "abc", 3, 0, &a.any, size_of()));
  EQUALS("both hear it", header + 3, recv(t, buffer, 100, MSG_DONTWAIT));
  EQUALS("both", header + 3, recv(s, buffer, 100, MSG_DONTWAIT));
  SAYS("the bytes", "abc", "%.3s", buffer + header);
  close(s);
  close(t);
}

static void ping(void) {
  int protocol = family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
  int s = socket(family, SOCK_DGRAM, protocol);
  if (s < 0) {
    CALL("a ping socket", s);
    return;
  }
  union address a = loopback(0);
  struct icmphdr echo = {.type = family == AF_INET ? ICMP_ECHO : ICMP6_ECHO_REQUEST};
  EQUALS("an echo request", 8, sendto(s, &echo, 8, 0, &a.any, size_of()));
  EQUALS("its answer", 8, recv(s, buffer, 100, MSG_DONTWAIT));
  close(s);
}

static void mixed(void) {
  family = AF_INET;
  int s = bound(), t = socket(AF_INET6, SOCK_DGRAM, 0), port = port_of(s);
  EQUALS("IPv4 address on IPv6", 3, send_to(t, "abc", port, 0));
  union address a;
  socklen_t size = sizeof a;
  EQUALS("arrives", 3, recvfrom(s, buffer, 10, MSG_DONTWAIT, &a.any, &size));
  send_to(s, "de", ntohs(a.v4.sin_port), 0);
  size = sizeof a;
  EQUALS("an answer", 2, recvfrom(t, buffer, 10, MSG_DONTWAIT, &a.any, &size));
  char text[64];
  SAYS("comes mapped", "::ffff:127.0.0.1", "%s", inet_ntop(AF_INET6, &a.v6.sin6_addr, text, sizeof text));
  close(t);
  t = socket(AF_INET6, SOCK_DGRAM, 0);
  set(t, SOL_IPV6, IPV6_V6ONLY, 1);
  FAILS("with IPV6_V6ONLY", ENETUNREACH, send_to(t, "abc", port, 0));
  close(s);
  close(t);
  if (geteuid() != 0) {
    s = socket(AF_INET, SOCK_STREAM, 0);
    a = loopback(80);
    FAILS("a privileged port", EACCES, bind(s, &a.any, sizeof a.v4));
    close(s);
  }
}

int main(void) {
  for (int i = 0; i < 2; i++) {
    family = i == 0 ? AF_INET : AF_INET6;
    say("family", "%s", NAMES[i]);
    ordinary();
    connected();
    control();
    errors();
    options();
    waiting();
    raw();
    ping();
  }
  mixed();
  return 0;
}

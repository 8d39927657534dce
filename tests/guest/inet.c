// Sockets of the internet over loopback, TCP: addresses and ports, connections and how they begin and end, what poll and
// epoll say meanwhile, options, errors. UDP, ping and raw sockets are in datagrams.c.
#include "check.h"
#include "loopback.h"
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/tcp.h>

static char buffer[400000];

static int await_events(int fd, int events) {
  struct pollfd one = {fd, events, 0};
  int n = poll(&one, 1, 5000);
  return n <= 0 ? n : one.revents;
}
static int listener(int backlog) {
  union address a = loopback(0);
  int l = socket(family, SOCK_STREAM, 0);
  if (bind(l, &a.any, size_of()) < 0 || listen(l, backlog) < 0) return -1;
  return l;
}
static int connect_to(int s, int port) {
  union address a = loopback(port);
  return connect(s, &a.any, size_of());
}
static void pair(int *p) {
  int l = listener(1);
  p[0] = socket(family, SOCK_STREAM, 0);
  if (connect_to(p[0], port_of(l)) < 0) say("pair", "no connection: %s", strerrorname_np(errno));
  p[1] = accept(l, NULL, NULL);
  close(l);
}

static void making(void) {
  FAILS("a protocol of datagrams", EPROTONOSUPPORT, socket(family, SOCK_STREAM, IPPROTO_UDP));
  FAILS("a stream of ICMP", EPROTONOSUPPORT, socket(family, SOCK_STREAM, IPPROTO_ICMP));
  FAILS("datagrams of TCP", EPROTONOSUPPORT, socket(family, SOCK_DGRAM, IPPROTO_TCP));
  FAILS("SEQPACKET", ESOCKTNOSUPPORT, socket(family, SOCK_SEQPACKET, 0));
  FAILS("RDM", ESOCKTNOSUPPORT, socket(family, SOCK_RDM, 0));
  FAILS("a protocol too large", EINVAL, socket(family, SOCK_STREAM, 1000));
  FAILS("a negative protocol", EINVAL, socket(family, SOCK_STREAM, -1));
  FAILS("a pair", EOPNOTSUPP, ({ int p[2]; socketpair(family, SOCK_STREAM, 0, p); }));
  int s = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  EQUALS("O_NONBLOCK", O_NONBLOCK | O_RDWR, fcntl(s, F_GETFL));
  EQUALS("FD_CLOEXEC", FD_CLOEXEC, fcntl(s, F_GETFD));
  EQUALS("SO_TYPE", SOCK_STREAM, option(s, SOL_SOCKET, SO_TYPE));
  EQUALS("SO_DOMAIN", family, option(s, SOL_SOCKET, SO_DOMAIN));
  EQUALS("SO_PROTOCOL", IPPROTO_TCP, option(s, SOL_SOCKET, SO_PROTOCOL));
  SAYS("poll of a fresh one", "114", "%x", events_of(s));
  FAILS("read", ENOTCONN, read(s, buffer, 1));
  FAILS("recv", ENOTCONN, recv(s, buffer, 1, 0));
  FAILS("send", EPIPE, send(s, "x", 1, MSG_NOSIGNAL));
  FAILS("accept", EINVAL, accept(s, NULL, NULL));
  FAILS("getpeername", ENOTCONN, ({ union address a; socklen_t n = sizeof a; getpeername(s, &a.any, &n); }));
  EQUALS("getsockname's size", size_of(), ({ union address a; socklen_t n = sizeof a; getsockname(s, &a.any, &n) < 0 ? -1L : (long)n; }));
  EQUALS("its port", 0, port_of(s));
  FAILS("shutdown", ENOTCONN, shutdown(s, SHUT_RDWR));
  FAILS("lseek", ESPIPE, lseek(s, 0, SEEK_CUR));
  int n = -1;
  EQUALS("FIONREAD", 0, ioctl(s, FIONREAD, &n));
  EQUALS("is", 0, n);
  EQUALS("SIOCOUTQ", 0, ioctl(s, SIOCOUTQ, &n));
  EQUALS("is", 0, n);
  struct stat st;
  fstat(s, &st);
  TRUE("it is a socket", S_ISSOCK(st.st_mode));
  close(s);
}

static void binding(void) {
  int s = socket(family, SOCK_STREAM, 0), t = socket(family, SOCK_STREAM, 0);
  union address a = loopback(0), other;
  FAILS("bind of too short an address", EINVAL, bind(s, &a.any, family == AF_INET ? 15 : 23));
  FAILS("of nothing", EINVAL, bind(s, &a.any, 0));
  FAILS("of a bad place", EFAULT, bind(s, BAD, size_of()));
  other = a;
  other.any.sa_family = AF_UNIX;
  FAILS("of another family", EAFNOSUPPORT, bind(s, &other.any, size_of()));
  other = a;
  if (family == AF_INET) other.v4.sin_addr.s_addr = inet_addr("192.0.2.1");
  else inet_pton(AF_INET6, "2001:db8::1", &other.v6.sin6_addr);
  FAILS("of somebody else's address", EADDRNOTAVAIL, bind(s, &other.any, size_of()));
  EQUALS("bind", 0, bind(s, &a.any, size_of()));
  int port = port_of(s);
  TRUE("a port of the range", port >= 32768 && port < 61000);
  FAILS("a second time", EINVAL, bind(s, &a.any, size_of()));
  FAILS("the same by another", EADDRINUSE, ({ union address b = loopback(port); bind(t, &b.any, size_of()); }));
  EQUALS("SO_REUSEADDR of one", 0, set(t, SOL_SOCKET, SO_REUSEADDR, 1));
  FAILS("is not enough", EADDRINUSE, ({ union address b = loopback(port); bind(t, &b.any, size_of()); }));
  set(s, SOL_SOCKET, SO_REUSEADDR, 1);
  EQUALS("of both it is", 0, ({ union address b = loopback(port); bind(t, &b.any, size_of()); }));
  EQUALS("one listens", 0, listen(s, 1));
  FAILS("the other cannot", EADDRINUSE, listen(t, 1));
  int u = socket(family, SOCK_STREAM, 0);
  set(u, SOL_SOCKET, SO_REUSEADDR, 1);
  FAILS("nor be bound beside it", EADDRINUSE, ({ union address b = loopback(port); bind(u, &b.any, size_of()); }));
  close(u);
  close(s);
  EQUALS("when it has gone it can", 0, listen(t, 1));
  close(t);
  int r[3];
  for (int i = 0; i < 3; i++) {
    r[i] = socket(family, SOCK_STREAM, 0);
    if (i < 2) set(r[i], SOL_SOCKET, SO_REUSEPORT, 1);
    union address b = loopback(i == 0 ? 0 : port_of(r[0]));
    ANSWERS("SO_REUSEPORT", i < 2 ? 0 : -EADDRINUSE, bind(r[i], &b.any, size_of()));
    if (i < 2) EQUALS("listens", 0, listen(r[i], 5));
  }
  for (int i = 0; i < 3; i++) close(r[i]);
  s = socket(family, SOCK_STREAM, 0);
  EQUALS("listen unbound", 0, listen(s, 5));
  TRUE("takes a port", port_of(s) >= 32768);
  EQUALS("SO_ACCEPTCONN", 1, option(s, SOL_SOCKET, SO_ACCEPTCONN));
  EQUALS("listen again", 0, listen(s, -1));
  FAILS("connect", EISCONN, connect_to(s, port_of(s)));
  FAILS("FIONREAD", EINVAL, ({ int n; ioctl(s, FIONREAD, &n); }));
  FAILS("recv", ENOTCONN, recv(s, buffer, 1, 0));
  FAILS("send", EPIPE, send(s, "x", 1, MSG_NOSIGNAL));
  SAYS("poll of a listener", "0", "%x", events_of(s));
  EQUALS("shutdown of reading", 0, shutdown(s, SHUT_RD));
  SAYS("poll then", "114", "%x", events_of(s));
  FAILS("accept then", EINVAL, accept(s, NULL, NULL));
  close(s);
}

static void connecting(void) {
  int l = listener(5), port = port_of(l);
  int s = socket(family, SOCK_STREAM, 0);
  union address a = loopback(port);
  FAILS("connect with too short an address", EINVAL, connect(s, &a.any, family == AF_INET ? 15 : 23));
  FAILS("with one byte", EINVAL, connect(s, &a.any, 1));
  FAILS("to a bad place", EFAULT, connect(s, BAD, size_of()));
  a.any.sa_family = AF_UNIX;
  FAILS("to another family", EAFNOSUPPORT, connect(s, &a.any, size_of()));
  a = loopback(0);
  FAILS("to port 0", ECONNREFUSED, connect(s, &a.any, size_of()));
  close(s);
  s = socket(family, SOCK_STREAM, 0);
  EQUALS("connect", 0, connect_to(s, port));
  FAILS("again", EISCONN, connect_to(s, port));
  SAYS("poll there", "41", "%x", events_of(l));
  SAYS("poll here", "104", "%x", events_of(s));
  socklen_t n = 4;
  FAILS("accept to a bad place", EFAULT, accept(l, BAD, &n));
  int z = socket(family, SOCK_STREAM, 0);
  EQUALS("another", 0, connect_to(z, port));
  n = sizeof a;
  int c;
  WORKS("accept", c = accept4(l, &a.any, &n, SOCK_NONBLOCK | SOCK_CLOEXEC));
  EQUALS("its address' size", size_of(), n);
  EQUALS("its family", family, a.any.sa_family);
  TRUE("the port is the other's", ntohs(a.v4.sin_port) == port_of(z) || ntohs(a.v4.sin_port) == port_of(s));
  EQUALS("flags", O_NONBLOCK | O_RDWR, fcntl(c, F_GETFL));
  TRUE("its port is the listener's", port == port_of(c));
  FAILS("flags of nonsense", EINVAL, accept4(l, NULL, NULL, 1));
  close(c);
  close(z);
  close(s);
  fcntl(l, F_SETFL, O_NONBLOCK);
  while ((c = accept(l, NULL, NULL)) >= 0) close(c);
  FAILS("accept of nobody", EAGAIN, accept(l, NULL, NULL));

  s = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
  FAILS("connect without waiting", EINPROGRESS, connect_to(s, port));
  SAYS("poll", "4", "%x", await_events(s, POLLOUT));
  EQUALS("SO_ERROR", 0, option(s, SOL_SOCKET, SO_ERROR));
  EQUALS("connect tells it once", 0, connect_to(s, port));
  FAILS("and then", EISCONN, connect_to(s, port));
  c = accept(l, NULL, NULL);
  TRUE("accepted", c >= 0);
  TRUE("getpeername", port == ({ n = sizeof a; getpeername(s, &a.any, &n) < 0 ? -1 : ntohs(a.v4.sin_port); }));
  close(s);
  close(c);
  close(l);

  s = socket(family, SOCK_STREAM, 0);
  FAILS("connect to nobody", ECONNREFUSED, connect_to(s, port));
  SAYS("poll then", "114", "%x", events_of(s));
  EQUALS("SO_ERROR", 0, option(s, SOL_SOCKET, SO_ERROR));
  FAILS("again", ECONNREFUSED, connect_to(s, port));
  close(s);
  s = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
  FAILS("without waiting", EINPROGRESS, connect_to(s, port));
  SAYS("poll", "1c", "%x", await_events(s, POLLOUT));
  SAYS("all of it", "215d", "%x", events_of(s));
  EQUALS("SO_ERROR", ECONNREFUSED, option(s, SOL_SOCKET, SO_ERROR));
  EQUALS("once", 0, option(s, SOL_SOCKET, SO_ERROR));
  close(s);
  s = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
  FAILS("once more", EINPROGRESS, connect_to(s, port));
  await_events(s, POLLOUT);
  FAILS("connect tells the error", ECONNREFUSED, connect_to(s, port));
  close(s);
  s = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
  connect_to(s, port);
  await_events(s, POLLOUT);
  FAILS("recv tells it too", ECONNREFUSED, recv(s, buffer, 1, 0));
  EQUALS("and then the end", 0, recv(s, buffer, 1, 0));
  FAILS("send after it", EPIPE, send(s, "x", 1, MSG_NOSIGNAL));
  close(s);
  /* Connected to itself. */
  s = socket(family, SOCK_STREAM, 0);
  a = loopback(0);
  bind(s, &a.any, size_of());
  CALL("connect to itself", connect_to(s, port_of(s)));
  close(s);
}

static void talking(void) {
  int p[2], n;
  pair(p);
  EQUALS("send", 10, send(p[0], "0123456789", 10, 0));
  EQUALS("FIONREAD", 10, ({ ioctl(p[1], FIONREAD, &n); n; }));
  EQUALS("MSG_PEEK", 4, recv(p[1], buffer, 4, MSG_PEEK));
  SAYS("the bytes", "0123", "%.4s", buffer);
  EQUALS("recv a part", 4, recv(p[1], buffer, 4, 0));
  memset(buffer, '-', 8);
  EQUALS("MSG_TRUNC throws away", 2, recv(p[1], buffer, 2, MSG_TRUNC));
  SAYS("and writes nothing", "----", "%.4s", buffer);
  EQUALS("the rest", 4, recv(p[1], buffer, 100, 0));
  SAYS("the bytes", "6789", "%.4s", buffer);
  FAILS("MSG_DONTWAIT", EAGAIN, recv(p[1], buffer, 1, MSG_DONTWAIT));
  FAILS("MSG_ERRQUEUE", EAGAIN, recv(p[1], buffer, 1, MSG_ERRQUEUE));
  EQUALS("recv of nothing", 0, recv(p[1], buffer, 0, MSG_DONTWAIT) == -1 ? (errno == EAGAIN ? 0 : -1) : 0);
  EQUALS("send of nothing", 0, send(p[0], "", 0, 0));
  EQUALS("sendto takes no notice of the address", 1, ({ union address a = loopback(1); sendto(p[0], "x", 1, 0, &a.any, size_of()); }));
  union address a;
  socklen_t size = sizeof a;
  EQUALS("recvfrom", 1, recvfrom(p[1], buffer, 1, 0, &a.any, &size));
  EQUALS("tells no address", 0, size);
  struct iovec v[3] = {{"ab", 2}, {"", 0}, {"cde", 3}};
  EQUALS("writev", 5, writev(p[0], v, 3));
  struct iovec w[2] = {{buffer, 3}, {buffer + 3, 100}};
  EQUALS("readv", 5, readv(p[1], w, 2));
  SAYS("the bytes", "abcde", "%.5s", buffer);
  struct msghdr m = {.msg_iov = v, .msg_iovlen = 3};
  EQUALS("sendmsg", 5, sendmsg(p[0], &m, 0));
  char name[32], control[64];
  struct msghdr r = {.msg_name = name, .msg_namelen = 32, .msg_iov = w, .msg_iovlen = 2, .msg_control = control, .msg_controllen = 64};
  EQUALS("recvmsg", 5, recvmsg(p[1], &r, 0));
  SAYS("the rest of it", "0 0 0", "%d %zu %x", r.msg_namelen, r.msg_controllen, r.msg_flags);
  set(p[1], SOL_TCP, TCP_INQ, 1);
  send(p[0], "0123456789", 10, 0);
  r.msg_controllen = 64;
  EQUALS("recvmsg with TCP_INQ", 3, ({ r.msg_iovlen = 1; recvmsg(p[1], &r, 0); }));
  struct cmsghdr *c = CMSG_FIRSTHDR(&r);
  SAYS("tells what is left", "6 36 7", "%d %d %d", c ? c->cmsg_level : -1, c ? c->cmsg_type : -1, c ? *(int *)CMSG_DATA(c) : -1);
  recv(p[1], buffer, 100, 0);
  struct mmsghdr mm[3] = {{.msg_hdr = m}, {.msg_hdr = m}, {.msg_hdr = m}};
  EQUALS("sendmmsg", 3, sendmmsg(p[0], mm, 3, 0));
  SAYS("each", "5 5 5", "%u %u %u", mm[0].msg_len, mm[1].msg_len, mm[2].msg_len);
  EQUALS("MSG_WAITALL", 15, recv(p[1], buffer, 15, MSG_WAITALL));
  FAILS("a bad place", EFAULT, send(p[0], BAD, 1, 0));
  send(p[0], "x", 1, 0);
  FAILS("a bad place to receive", EFAULT, recv(p[1], BAD, 1, 0));
  EQUALS("the byte is still there", 1, recv(p[1], buffer, 1, MSG_DONTWAIT));
  close(p[0]);
  close(p[1]);
}

static void ending(void) {
  int p[2];
  pair(p);
  EQUALS("shutdown of writing", 0, shutdown(p[0], SHUT_WR));
  SAYS("poll here", "104", "%x", events_of(p[0]));
  SAYS("poll there", "2145", "%x", await_events(p[1], POLLIN | POLLRDHUP) ? events_of(p[1]) : -1);
  EQUALS("recv there", 0, recv(p[1], buffer, 1, 0));
  FAILS("send here", EPIPE, send(p[0], "x", 1, MSG_NOSIGNAL));
  EQUALS("the other way", 3, send(p[1], "abc", 3, 0));
  EQUALS("arrives", 3, recv(p[0], buffer, 10, 0));
  EQUALS("shutdown there", 0, shutdown(p[1], SHUT_WR));
  SAYS("poll when both are shut", "2155", "%x", await_events(p[0], POLLIN) ? events_of(p[0]) : -1);
  EQUALS("recv", 0, recv(p[0], buffer, 1, 0));
  close(p[0]);
  close(p[1]);
  pair(p);
  EQUALS("shutdown of reading", 0, shutdown(p[0], SHUT_RD));
  SAYS("poll here", "2145", "%x", events_of(p[0]));
  EQUALS("recv", 0, recv(p[0], buffer, 1, 0));
  EQUALS("send to it", 1, send(p[1], "x", 1, 0));
  EQUALS("it can still be read", 1, recv(p[0], buffer, 1, MSG_DONTWAIT));
  FAILS("shutdown of nonsense", EINVAL, shutdown(p[0], 3));
  close(p[0]);
  close(p[1]);
  pair(p);
  send(p[0], "last", 4, 0);
  close(p[0]);
  EQUALS("what was sent before close", 4, recv(p[1], buffer, 10, 0));
  EQUALS("then the end", 0, recv(p[1], buffer, 10, 0));
  EQUALS("send to who has closed", 1, send(p[1], "x", 1, MSG_NOSIGNAL));
  await_events(p[1], POLLERR);
  SAYS("poll then", "215d", "%x", events_of(p[1]));
  FAILS("the next one", EPIPE, send(p[1], "x", 1, MSG_NOSIGNAL));
  close(p[1]);
  pair(p);
  send(p[1], "unread", 6, 0);
  await_events(p[0], POLLIN);
  close(p[0]);
  await_events(p[1], POLLERR);
  FAILS("close with unread bytes resets", ECONNRESET, recv(p[1], buffer, 1, 0));
  EQUALS("once", 0, recv(p[1], buffer, 1, 0));
  close(p[1]);
  pair(p);
  struct linger linger = {1, 0};
  EQUALS("SO_LINGER of 0", 0, setsockopt(p[0], SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
  socklen_t size = sizeof linger;
  memset(&linger, 9, sizeof linger);
  getsockopt(p[0], SOL_SOCKET, SO_LINGER, &linger, &size);
  SAYS("reads", "1 0", "%d %d", linger.l_onoff, linger.l_linger);
  close(p[0]);
  await_events(p[1], POLLERR);
  EQUALS("resets", ECONNRESET, option(p[1], SOL_SOCKET, SO_ERROR));
  close(p[1]);
  pair(p);
  linger.l_onoff = 1;
  linger.l_linger = 2;
  setsockopt(p[0], SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
  send(p[0], "abc", 3, 0);
  double before = now_seconds();
  EQUALS("close that may linger", 0, close(p[0]));
  TRUE("does not where nothing is left", now_seconds() - before < 1);
  EQUALS("arrives", 3, recv(p[1], buffer, 10, 0));
  close(p[1]);
  /* SIGPIPE. */
  pid_t child = fork();
  if (child == 0) {
    pair(p);
    shutdown(p[0], SHUT_WR);
    send(p[0], "x", 1, 0);
    _exit(0);
  }
  EQUALS("SIGPIPE", 1000 + SIGPIPE, wait_code(child));
  pair(p);
  union address none = {.any = {AF_UNSPEC}};
  EQUALS("connect to AF_UNSPEC", 0, connect(p[0], &none.any, sizeof none.any));
  await_events(p[1], POLLERR);
  FAILS("resets the other end", ECONNRESET, recv(p[1], buffer, 1, 0));
  FAILS("and this one", ECONNRESET, recv(p[0], buffer, 1, 0));
  FAILS("which is free then", ENOTCONN, recv(p[0], buffer, 1, 0));
  close(p[0]);
  close(p[1]);
}

static void *sends_later(void *s) {
  usleep(30000);
  send(*(int *)s, "abcde", 5, 0);
  usleep(30000);
  send(*(int *)s, "fghij", 5, 0);
  return NULL;
}
static void *connects_later(void *port) {
  usleep(30000);
  int s = socket(family, SOCK_STREAM, 0);
  connect_to(s, *(int *)port);
  usleep(50000);
  close(s);
  return NULL;
}
static void *reads_all(void *s) {
  long total = 0, n;
  static char bytes[65536];
  usleep(20000);
  while ((n = read(*(int *)s, bytes, sizeof bytes)) > 0) total += n;
  return (void *)total;
}

static void waiting(void) {
  int p[2];
  pthread_t t;
  pair(p);
  pthread_create(&t, NULL, sends_later, &p[0]);
  EQUALS("recv waits", 5, recv(p[1], buffer, 100, 0));
  EQUALS("poll waits", POLLIN, await_events(p[1], POLLIN));
  pthread_join(t, NULL);
  recv(p[1], buffer, 100, 0);
  pthread_create(&t, NULL, sends_later, &p[0]);
  EQUALS("MSG_WAITALL waits for all", 10, recv(p[1], buffer, 10, MSG_WAITALL));
  pthread_join(t, NULL);
  set(p[1], SOL_SOCKET, SO_RCVLOWAT, 8);
  EQUALS("SO_RCVLOWAT", 8, option(p[1], SOL_SOCKET, SO_RCVLOWAT));
  pthread_create(&t, NULL, sends_later, &p[0]);
  EQUALS("poll waits for so many", POLLIN, await_events(p[1], POLLIN));
  EQUALS("that are there", 10, recv(p[1], buffer, 100, MSG_DONTWAIT));
  pthread_join(t, NULL);
  set(p[1], SOL_SOCKET, SO_RCVLOWAT, 1);
  struct timeval time = {0, 50000};
  setsockopt(p[1], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
  double before = now_seconds();
  FAILS("SO_RCVTIMEO", EAGAIN, recv(p[1], buffer, 1, 0));
  TRUE("has waited", now_seconds() - before >= 0.04);
  close(p[0]);
  close(p[1]);
  int l = listener(5), port = port_of(l);
  pthread_create(&t, NULL, connects_later, &port);
  int c;
  WORKS("accept waits", c = accept(l, NULL, NULL));
  close(c);
  pthread_join(t, NULL);
  setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
  FAILS("accept with SO_RCVTIMEO", EAGAIN, accept(l, NULL, NULL));
  close(l);
  pair(p);
  pthread_create(&t, NULL, reads_all, &p[1]);
  long sent = 0;
  for (int i = 0; i < 40; i++) {
    long n = send(p[0], buffer, sizeof buffer, 0);
    if (n > 0) sent += n;
  }
  EQUALS("16 MB sent", 40L * sizeof buffer, sent);
  shutdown(p[0], SHUT_WR);
  void *total;
  pthread_join(t, &total);
  EQUALS("and received", 40L * sizeof buffer, (long)total);
  close(p[0]);
  close(p[1]);
  pair(p);
  fcntl(p[0], F_SETFL, O_NONBLOCK);
  long n, all = 0;
  while ((n = send(p[0], buffer, 50000, 0)) > 0) all += n;
  TRUE("a full one", n == -1 && errno == EAGAIN);
  TRUE("took some", all >= 65536);
  SAYS("poll", "0", "%x", events_of(p[0]));
  setsockopt(p[0], SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
  fcntl(p[0], F_SETFL, 0);
  FAILS("SO_SNDTIMEO", EAGAIN, send(p[0], buffer, 1000, 0));
  while (all > 0 && (n = recv(p[1], buffer, sizeof buffer, 0)) > 0) all -= n;
  EQUALS("all of it arrives", 0, all);
  SAYS("poll", "4", "%x", await_events(p[0], POLLOUT));
  close(p[0]);
  close(p[1]);
}

static void edges(void) {
  int l = listener(5), e = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.fd = l}, out[4];
  epoll_ctl(e, EPOLL_CTL_ADD, l, &event);
  EQUALS("a listener", 0, epoll_wait(e, out, 4, 0));
  int s = socket(family, SOCK_STREAM, 0);
  connect_to(s, port_of(l));
  EQUALS("a connection comes", 1, epoll_wait(e, out, 4, 5000));
  SAYS("it is", "1", "%x", out[0].events);
  EQUALS("one edge", 0, epoll_wait(e, out, 4, 0));
  int c = accept(l, NULL, NULL);
  epoll_ctl(e, EPOLL_CTL_DEL, l, NULL);
  epoll_ctl(e, EPOLL_CTL_ADD, c, &event);
  EQUALS("a connected one", 1, epoll_wait(e, out, 4, 0));
  SAYS("is writable", "4", "%x", out[0].events);
  send(s, "a", 1, 0);
  EQUALS("data comes", 1, epoll_wait(e, out, 4, 5000));
  SAYS("it is", "5", "%x", out[0].events);
  EQUALS("one edge", 0, epoll_wait(e, out, 4, 0));
  send(s, "b", 1, 0);
  EQUALS("more data, another edge", 1, epoll_wait(e, out, 4, 5000));
  recv(c, buffer, 1, 0);
  EQUALS("no edge of a read", 0, epoll_wait(e, out, 4, 0));
  shutdown(s, SHUT_WR);
  EQUALS("the end comes", 1, epoll_wait(e, out, 4, 5000));
  SAYS("it is", "2005", "%x", out[0].events);
  recv(c, buffer, 10, 0);
  EQUALS("one edge", 0, epoll_wait(e, out, 4, 0));
  shutdown(c, SHUT_WR);
  EQUALS("the other end goes too", 1, epoll_wait(e, out, 4, 5000));
  SAYS("it is", "2015", "%x", out[0].events);
  close(c);
  close(s);
  close(l);
  close(e);
}

static void options(void) {
  int p[2];
  pair(p);
  static const struct { const char *name; int level, number, initial, value, read; } ROWS[] = {
    {"TCP_NODELAY", SOL_TCP, TCP_NODELAY, 0, 5, 1},
    {"TCP_CORK", SOL_TCP, TCP_CORK, 0, 1, 1},
    {"TCP_KEEPIDLE", SOL_TCP, TCP_KEEPIDLE, 7200, 10, 10},
    {"TCP_KEEPINTVL", SOL_TCP, TCP_KEEPINTVL, 75, 5, 5},
    {"TCP_KEEPCNT", SOL_TCP, TCP_KEEPCNT, 9, 3, 3},
    {"TCP_SYNCNT", SOL_TCP, TCP_SYNCNT, 6, 4, 4},
    {"TCP_USER_TIMEOUT", SOL_TCP, TCP_USER_TIMEOUT, 0, 1000, 1000},
    {"TCP_DEFER_ACCEPT", SOL_TCP, TCP_DEFER_ACCEPT, 0, 1, 1},
    {"SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, 0, 7, 1},
    {"SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR, 0, 3, 1},
    {"SO_REUSEPORT", SOL_SOCKET, SO_REUSEPORT, 0, 1, 1},
    {"SO_OOBINLINE", SOL_SOCKET, SO_OOBINLINE, 0, 1, 1},
    {"SO_BROADCAST", SOL_SOCKET, SO_BROADCAST, 0, 1, 1},
    {"SO_DONTROUTE", SOL_SOCKET, SO_DONTROUTE, 0, 1, 1},
    {"SO_PRIORITY", SOL_SOCKET, SO_PRIORITY, 0, 4, 4},
    {"SO_RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT, 1, 0, 1},
    {"IP_TTL", SOL_IP, IP_TTL, 64, 33, 33},
    {"IP_TOS", SOL_IP, IP_TOS, 0, 16, 16},
    {"IP_MTU_DISCOVER", SOL_IP, IP_MTU_DISCOVER, 1, 2, 2},
    {"IP_RECVERR", SOL_IP, IP_RECVERR, 0, 1, 1},
    {"IP_FREEBIND", SOL_IP, IP_FREEBIND, 0, 1, 1},
  };
  for (unsigned i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
    EQUALS(ROWS[i].name, ROWS[i].initial, option(p[0], ROWS[i].level, ROWS[i].number));
    EQUALS("set", 0, set(p[0], ROWS[i].level, ROWS[i].number, ROWS[i].value));
    EQUALS("read", ROWS[i].read, option(p[0], ROWS[i].level, ROWS[i].number));
  }
  FAILS("TCP_KEEPIDLE of 0", EINVAL, set(p[0], SOL_TCP, TCP_KEEPIDLE, 0));
  FAILS("TCP_KEEPCNT of 1000", EINVAL, set(p[0], SOL_TCP, TCP_KEEPCNT, 1000));
  FAILS("IP_TTL of 0", EINVAL, set(p[0], SOL_IP, IP_TTL, 0));
  FAILS("IP_TTL of 256", EINVAL, set(p[0], SOL_IP, IP_TTL, 256));
  EQUALS("IP_TTL of one byte", 0, ({ char v = 9; setsockopt(p[0], SOL_IP, IP_TTL, &v, 1); }));
  EQUALS("IP_RECVERR of one byte", 0, ({ char v = 1; setsockopt(p[0], SOL_IP, IP_RECVERR, &v, 1); }));
  FAILS("TCP_NODELAY of one byte", EINVAL, ({ char v = 1; setsockopt(p[0], SOL_TCP, TCP_NODELAY, &v, 1); }));
  FAILS("an option of TCP that is none", ENOPROTOOPT, set(p[0], SOL_TCP, 999, 1));
  FAILS("of IP", ENOPROTOOPT, set(p[0], SOL_IP, 999, 1));
  FAILS("of UDP", ENOPROTOOPT, set(p[0], 17, 1, 1));
  FAILS("of a level that is none", ENOPROTOOPT, set(p[0], 99, 1, 1));
  FAILS("reading it", family == AF_INET ? EOPNOTSUPP : ENOPROTOOPT, ({ int v; socklen_t z = 4; getsockopt(p[0], 99, 1, &v, &z); }));
  FAILS("of IPv6 on IPv4", family == AF_INET ? ENOPROTOOPT : 0, family == AF_INET ? set(p[0], SOL_IPV6, IPV6_V6ONLY, 1) : (errno = 0, -1));
  EQUALS("a size of 2", 2, ({ socklen_t z = 2; short v; getsockopt(p[0], SOL_TCP, TCP_NODELAY, &v, &z) < 0 ? -1L : (long)z; }));
  FAILS("a negative size", EINVAL, ({ socklen_t z = -1; int v; getsockopt(p[0], SOL_TCP, TCP_NODELAY, &v, &z); }));
  EQUALS("TCP_MAXSEG is large on loopback", 1, option(p[1], SOL_TCP, TCP_MAXSEG) > 16000);
  FAILS("TCP_MAXSEG of 20", EINVAL, set(p[0], SOL_TCP, TCP_MAXSEG, 20));
  char name[16] = "";
  socklen_t size = sizeof name;
  EQUALS("TCP_CONGESTION", 0, getsockopt(p[0], SOL_TCP, TCP_CONGESTION, name, &size));
  EQUALS("its size", 16, size);
  EQUALS("reno", 0, setsockopt(p[0], SOL_TCP, TCP_CONGESTION, "reno", 4));
  getsockopt(p[0], SOL_TCP, TCP_CONGESTION, name, &size);
  SAYS("reads", "reno", "%s", name);
  FAILS("one that is none", ENOENT, setsockopt(p[0], SOL_TCP, TCP_CONGESTION, "nonsense", 8));
  struct tcp_info info;
  size = sizeof info;
  memset(&info, 0, sizeof info);
  EQUALS("TCP_INFO", 0, getsockopt(p[1], SOL_TCP, TCP_INFO, &info, &size));
  SAYS("its state, retransmits", "1 0", "%d %d", info.tcpi_state, info.tcpi_retransmits);
  EQUALS("timestamps, SACK, scaling", 7, info.tcpi_options & 7);
  size = 8;
  EQUALS("a part of it", 8, getsockopt(p[1], SOL_TCP, TCP_INFO, &info, &size) < 0 ? -1 : (long)size);
  set(p[0], SOL_SOCKET, SO_SNDBUF, 10000);
  EQUALS("SO_SNDBUF", 20000, option(p[0], SOL_SOCKET, SO_SNDBUF));
  set(p[0], SOL_SOCKET, SO_SNDBUF, 1);
  EQUALS("its least", 4608, option(p[0], SOL_SOCKET, SO_SNDBUF));
  set(p[0], SOL_SOCKET, SO_RCVBUF, 10000);
  EQUALS("SO_RCVBUF", 20000, option(p[0], SOL_SOCKET, SO_RCVBUF));
  set(p[0], SOL_SOCKET, SO_RCVBUF, 1);
  EQUALS("its least", 2304, option(p[0], SOL_SOCKET, SO_RCVBUF));
  FAILS("SO_PRIORITY of 7", geteuid() == 0 ? 0 : EPERM, geteuid() == 0 ? (errno = 0, -1) : set(p[0], SOL_SOCKET, SO_PRIORITY, 7));
  EQUALS("SO_BINDTODEVICE", 0, setsockopt(p[0], SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
  size = 16;
  EQUALS("its size", 3, getsockopt(p[0], SOL_SOCKET, SO_BINDTODEVICE, name, &size) < 0 ? -1L : (long)size);
  SAYS("it is", "lo", "%s", name);
  FAILS("one that is none", ENODEV, setsockopt(p[0], SOL_SOCKET, SO_BINDTODEVICE, "none0", 6));
  close(p[0]);
  close(p[1]);
  int l = listener(5);
  set(l, SOL_TCP, TCP_NODELAY, 1);
  set(l, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(l, SOL_TCP, TCP_KEEPIDLE, 33);
  int s = socket(family, SOCK_STREAM, 0);
  connect_to(s, port_of(l));
  int c = accept(l, NULL, NULL);
  SAYS("an accepted one has the listener's", "1 1 33", "%d %d %d", option(c, SOL_TCP, TCP_NODELAY), option(c, SOL_SOCKET, SO_KEEPALIVE), option(c, SOL_TCP, TCP_KEEPIDLE));
  size = sizeof info;
  getsockopt(l, SOL_TCP, TCP_INFO, &info, &size);
  SAYS("TCP_INFO of a listener", "10 5", "%d %d", info.tcpi_state, info.tcpi_sacked);
  close(c);
  close(s);
  close(l);
}

static void both_families(void) {
  family = AF_INET6;
  int s = socket(AF_INET6, SOCK_STREAM, 0), t, c;
  union address a;
  memset(&a, 0, sizeof a);
  a.v6.sin6_family = AF_INET6;
  EQUALS("IPV6_V6ONLY", 0, option(s, SOL_IPV6, IPV6_V6ONLY));
  EQUALS("bind to ::", 0, bind(s, &a.any, sizeof a.v6));
  FAILS("IPV6_V6ONLY when bound", EINVAL, set(s, SOL_IPV6, IPV6_V6ONLY, 1));
  listen(s, 5);
  int port = port_of(s);
  t = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in v4 = {AF_INET, htons(port), {htonl(INADDR_LOOPBACK)}};
  FAILS("bind of IPv4 beside it", EADDRINUSE, bind(t, (void *)&v4, sizeof v4));
  EQUALS("connect by IPv4", 0, connect(t, (void *)&v4, sizeof v4));
  socklen_t n = sizeof a;
  c = accept(s, &a.any, &n);
  char text[64];
  SAYS("it comes mapped", "::ffff:127.0.0.1", "%s", inet_ntop(AF_INET6, &a.v6.sin6_addr, text, sizeof text));
  n = sizeof a;
  getsockname(c, &a.any, &n);
  SAYS("and here", "::ffff:127.0.0.1", "%s", inet_ntop(AF_INET6, &a.v6.sin6_addr, text, sizeof text));
  EQUALS("send", 3, send(c, "abc", 3, 0));
  EQUALS("recv", 3, recv(t, buffer, 10, 0));
  close(c);
  close(t);
  t = socket(AF_INET6, SOCK_STREAM, 0);
  inet_pton(AF_INET6, "::ffff:127.0.0.1", &a.v6.sin6_addr);
  a.v6.sin6_port = htons(port);
  EQUALS("connect to a mapped address", 0, connect(t, &a.any, sizeof a.v6));
  close(t);
  t = socket(AF_INET6, SOCK_STREAM, 0);
  set(t, SOL_IPV6, IPV6_V6ONLY, 1);
  FAILS("with IPV6_V6ONLY", ENETUNREACH, connect(t, &a.any, sizeof a.v6));
  close(t);
  t = socket(AF_INET6, SOCK_STREAM, 0);
  memset(&a, 0, sizeof a);
  a.v6.sin6_family = AF_INET6;
  a.v6.sin6_port = htons(port);
  EQUALS("connect to ::", 0, connect(t, &a.any, sizeof a.v6));
  close(t);
  close(s);
  s = socket(AF_INET6, SOCK_STREAM, 0);
  set(s, SOL_IPV6, IPV6_V6ONLY, 1);
  memset(&a, 0, sizeof a);
  a.v6.sin6_family = AF_INET6;
  bind(s, &a.any, sizeof a.v6);
  listen(s, 5);
  port = port_of(s);
  t = socket(AF_INET, SOCK_STREAM, 0);
  v4.sin_port = htons(port);
  EQUALS("bind of IPv4 beside IPV6_V6ONLY", 0, bind(t, (void *)&v4, sizeof v4));
  close(t);
  close(s);
  s = socket(AF_INET, SOCK_STREAM, 0);
  v4.sin_addr.s_addr = 0;
  v4.sin_port = 0;
  bind(s, (void *)&v4, sizeof v4);
  listen(s, 1);
  t = socket(AF_INET, SOCK_STREAM, 0);
  v4.sin_port = htons(port_of(s));
  EQUALS("connect to 0.0.0.0", 0, connect(t, (void *)&v4, sizeof v4));
  n = sizeof v4;
  getpeername(t, (void *)&v4, &n);
  SAYS("is loopback", "127.0.0.1", "%s", inet_ntoa(v4.sin_addr));
  close(t);
  t = socket(AF_INET, SOCK_STREAM, 0);
  v4.sin_addr.s_addr = inet_addr("127.9.8.7");
  EQUALS("all of 127 is loopback", 0, connect(t, (void *)&v4, sizeof v4));
  n = sizeof v4;
  getsockname(t, (void *)&v4, &n);
  SAYS("connected from", "127.0.0.1", "%s", inet_ntoa(v4.sin_addr));
  close(t);
  close(s);
}

static void interfaces(void) {
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  struct ifreq r;
  memset(&r, 0, sizeof r);
  strcpy(r.ifr_name, "lo");
  EQUALS("SIOCGIFINDEX", 0, ioctl(s, SIOCGIFINDEX, &r));
  EQUALS("is", 1, r.ifr_ifindex);
  EQUALS("SIOCGIFFLAGS", 0, ioctl(s, SIOCGIFFLAGS, &r));
  SAYS("are", "49", "%x", (unsigned short)r.ifr_flags);
  EQUALS("SIOCGIFMTU", 0, ioctl(s, SIOCGIFMTU, &r));
  EQUALS("is", 65536, r.ifr_mtu);
  EQUALS("SIOCGIFADDR", 0, ioctl(s, SIOCGIFADDR, &r));
  SAYS("is", "127.0.0.1", "%s", inet_ntoa(((struct sockaddr_in *)&r.ifr_addr)->sin_addr));
  EQUALS("SIOCGIFNETMASK", 0, ioctl(s, SIOCGIFNETMASK, &r));
  SAYS("is", "255.0.0.0", "%s", inet_ntoa(((struct sockaddr_in *)&r.ifr_netmask)->sin_addr));
  EQUALS("SIOCGIFBRDADDR", 0, ioctl(s, SIOCGIFBRDADDR, &r));
  SAYS("is", "0.0.0.0", "%s", inet_ntoa(((struct sockaddr_in *)&r.ifr_broadaddr)->sin_addr));
  EQUALS("SIOCGIFHWADDR", 0, ioctl(s, SIOCGIFHWADDR, &r));
  EQUALS("is of kind", 772, r.ifr_hwaddr.sa_family);
  EQUALS("SIOCGIFMETRIC", 0, ioctl(s, SIOCGIFMETRIC, &r));
  EQUALS("SIOCGIFTXQLEN", 0, ioctl(s, SIOCGIFTXQLEN, &r));
  EQUALS("is", 1000, r.ifr_qlen);
  memset(&r, 0, sizeof r);
  r.ifr_ifindex = 1;
  EQUALS("SIOCGIFNAME", 0, ioctl(s, SIOCGIFNAME, &r));
  SAYS("is", "lo", "%s", r.ifr_name);
  r.ifr_ifindex = 9999;
  FAILS("of none", ENODEV, ioctl(s, SIOCGIFNAME, &r));
  strcpy(r.ifr_name, "none0");
  FAILS("flags of none", ENODEV, ioctl(s, SIOCGIFFLAGS, &r));
  FAILS("a bad place", EFAULT, ioctl(s, SIOCGIFFLAGS, BAD));
  struct ifconf list = {.ifc_len = 40, .ifc_buf = buffer};
  EQUALS("SIOCGIFCONF", 0, ioctl(s, SIOCGIFCONF, &list));
  EQUALS("one fits", 40, list.ifc_len);
  SAYS("it is", "lo", "%s", list.ifc_req[0].ifr_name);
  list.ifc_len = 39;
  EQUALS("none fits", 0, ioctl(s, SIOCGIFCONF, &list) < 0 ? -1 : list.ifc_len);
  EQUALS("if_nametoindex", 1, if_nametoindex("lo"));
  FAILS("an ioctl of terminals", ENOTTY, ioctl(s, TCGETS, buffer));
  close(s);
}

int main(void) {
  signal(SIGPIPE, SIG_DFL);
  for (int i = 0; i < 2; i++) {
    family = i == 0 ? AF_INET : AF_INET6;
    say("family", "%s", NAMES[i]);
    making();
    binding();
    connecting();
    talking();
    ending();
    waiting();
    edges();
    options();
  }
  both_families();
  interfaces();
  return 0;
}

// Unix sockets beyond the ordinary: how each kind ends, what is cut and what is lost, options, credentials, descriptors on
// their way, names, backlogs; and epoll where several wait, edges come close together, or files go while they are watched.
#include "check.h"
#include <linux/sockios.h>
#include <stddef.h>

static char buffer[400000];

static int pair(int type, int *p) { return socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, p); }
static int events_of(int fd) { struct pollfd one = {fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0}; poll(&one, 1, 0); return one.revents; }
static int option(int fd, int name) { int value = -1; socklen_t size = sizeof value; return getsockopt(fd, SOL_SOCKET, name, &value, &size) < 0 ? -errno : value; }
static socklen_t name_of(struct sockaddr_un *address, const char *path) {
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  strcpy(address->sun_path, path);
  return offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1;
}
static int bound(int type, const char *path) {
  struct sockaddr_un address;
  int s = socket(AF_UNIX, type | SOCK_NONBLOCK, 0);
  bind(s, (void *)&address, name_of(&address, path));
  return s;
}
/* What datagram sockets do that is known to few. */
static void datagrams(void) {
  int p[2], on = 1;
  char control[24];
  struct iovec part = {buffer, 10};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct sockaddr_un address, from = {0};
  socklen_t size = sizeof from;
  socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, p);
  send(p[0], "named later", 11, 0);
  bind(p[0], (void *)&address, name_of(&address, "later"));
  EQUALS("MSG_ERRQUEUE has no meaning", 11, recvfrom(p[1], buffer, 20, MSG_ERRQUEUE, (void *)&from, &size));
  SAYS("the name that the sender has by now", "later", "%s", from.sun_path);
  setsockopt(p[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  send(p[0], "x", 1, 0);
  EQUALS("credentials without room", 1, recvmsg(p[1], &message, 0));
  SAYS("are cut", "8 24 24", "%x %ld %ld", message.msg_flags, (long)message.msg_controllen, (long)CMSG_FIRSTHDR(&message)->cmsg_len);
  shutdown(p[1], SHUT_RD);
  FAILS("nobody who does not wait is told of a shutdown", EAGAIN, recv(p[1], buffer, 10, 0));
  fcntl(p[1], F_SETFL, 0);
  EQUALS("who waits is", 0, recv(p[1], buffer, 10, 0));
  close(p[0]), close(p[1]);
}
static int connect_to(int s, const char *path) { struct sockaddr_un address; return connect(s, (void *)&address, name_of(&address, path)); }

static const struct { const char *name; int type; } KINDS[] = {{"stream", SOCK_STREAM}, {"seqpacket", SOCK_SEQPACKET}, {"dgram", SOCK_DGRAM}};

static void ends(void) {
  for (int k = 0; k < 3; k++) {
    int p[2], type = KINDS[k].type;
    say("kind", "%s", KINDS[k].name);
    pair(type, p);
    SAYS("poll of a fresh pair", "4", "%x", events_of(p[0]));
    EQUALS("send nothing", 0, send(p[0], "", 0, 0));
    ANSWERS("receive it", type == SOCK_STREAM ? -EAGAIN : 0, recv(p[1], buffer, 10, 0));
    EQUALS("send", 10, send(p[0], "0123456789", 10, 0));
    EQUALS("send more", 5, send(p[0], "abcde", 5, 0));
    int n = -1;
    EQUALS("SIOCINQ", 0, ioctl(p[1], SIOCINQ, &n));
    EQUALS("is", type == SOCK_DGRAM ? 10 : 15, n);
    EQUALS("SIOCOUTQ", 0, ioctl(p[0], SIOCOUTQ, &n));
    TRUE("is some", n > 0);
    EQUALS("MSG_PEEK", 4, recv(p[1], buffer, 4, MSG_PEEK));
    EQUALS("MSG_PEEK | MSG_TRUNC", type == SOCK_STREAM ? 4 : 10, recv(p[1], buffer, 4, MSG_PEEK | MSG_TRUNC));
    EQUALS("receive a part", 4, recv(p[1], buffer, 4, 0));
    EQUALS("the rest, or the next", type == SOCK_STREAM ? 11 : 5, recv(p[1], buffer, 100, 0));
    FAILS("and then", EAGAIN, recv(p[1], buffer, 100, 0));
    while (recv(p[1], buffer, 100, 0) > 0);
    FAILS("MSG_ERRQUEUE", EAGAIN, recv(p[1], buffer, 1, MSG_ERRQUEUE));
    EQUALS("shutdown of writing", 0, shutdown(p[0], SHUT_WR));
    SAYS("poll here and there", type == SOCK_DGRAM ? "4 4" : "4 2005", "%x %x", events_of(p[0]), events_of(p[1]));
    FAILS("send after it", EPIPE, send(p[0], "x", 1, MSG_NOSIGNAL));
    ANSWERS("receive there", type == SOCK_DGRAM ? -EAGAIN : 0, recv(p[1], buffer, 1, 0));
    EQUALS("the other way still works", 1, send(p[1], "y", 1, MSG_NOSIGNAL));
    EQUALS("shutdown of reading", 0, shutdown(p[0], SHUT_RD));
    EQUALS("what came is there", 1, recv(p[0], buffer, 10, 0));
    FAILS("send to who does not read", EPIPE, send(p[1], "y", 1, MSG_NOSIGNAL));
    SAYS("poll then", type == SOCK_DGRAM ? "2015 4" : "2015 2015", "%x %x", events_of(p[0]), events_of(p[1]));
    FAILS("shutdown of nonsense", EINVAL, shutdown(p[0], 9));
    close(p[0]);
    close(p[1]);
    pair(type, p);
    send(p[0], "unread", 6, 0);
    send(p[1], "unread too", 10, 0);
    close(p[1]);
    SAYS("poll after a close with unread bytes", type == SOCK_DGRAM ? "5" : "201d", "%x", events_of(p[0]));
    EQUALS("SO_ERROR", type == SOCK_DGRAM ? 0 : ECONNRESET, option(p[0], SO_ERROR));
    EQUALS("receive", 10, recv(p[0], buffer, 100, 0));
    ANSWERS("receive again", type == SOCK_DGRAM ? -EAGAIN : 0, recv(p[0], buffer, 100, 0));
    ANSWERS("and again", type == SOCK_DGRAM ? -EAGAIN : 0, recv(p[0], buffer, 100, 0));
    FAILS("send to nobody", type == SOCK_DGRAM ? ECONNREFUSED : EPIPE, send(p[0], "x", 1, MSG_NOSIGNAL));
    ANSWERS("peer's name", type == SOCK_DGRAM ? -ENOTCONN : 0, ({ struct sockaddr_un a; socklen_t s = sizeof a; getpeername(p[0], (void *)&a, &s); }));
    close(p[0]);
    /* A full queue. */
    pair(type, p);
    int value = 8192;
    EQUALS("SO_SNDBUF", 0, setsockopt(p[0], SOL_SOCKET, SO_SNDBUF, &value, sizeof value));
    EQUALS("doubles it", 16384, option(p[0], SO_SNDBUF));
    value = 1;
    setsockopt(p[0], SOL_SOCKET, SO_SNDBUF, &value, sizeof value);
    EQUALS("has a least value", 4608, option(p[0], SO_SNDBUF));
    value = 20000;
    setsockopt(p[0], SOL_SOCKET, SO_SNDBUF, &value, sizeof value);
    ANSWERS("a message too large", type == SOCK_STREAM ? 0 : -EMSGSIZE, type == SOCK_STREAM ? 0 : send(p[0], buffer, 200000, 0));
    int count = 0;
    while (send(p[0], buffer, 1000, 0) == 1000) count++;
    TRUE("it fills", count > 3 && count < 200 && (errno == EAGAIN));
    SAYS("then", "0", "%x", events_of(p[0]));
    while (recv(p[1], buffer, sizeof buffer, 0) > 0);
    SAYS("drained", "4", "%x", events_of(p[0]));
    close(p[0]);
    close(p[1]);
    int s = socket(AF_UNIX, type, 0);
    EQUALS("SO_TYPE", type, option(s, SO_TYPE));
    EQUALS("SO_DOMAIN", AF_UNIX, option(s, SO_DOMAIN));
    EQUALS("SO_PROTOCOL", 0, option(s, SO_PROTOCOL));
    EQUALS("SO_ACCEPTCONN", 0, option(s, SO_ACCEPTCONN));
    EQUALS("SO_REUSEADDR", 0, option(s, SO_REUSEADDR));
    EQUALS("SO_KEEPALIVE", 0, option(s, SO_KEEPALIVE));
    EQUALS("SO_BROADCAST", 0, option(s, SO_BROADCAST));
    EQUALS("SO_PRIORITY", 0, option(s, SO_PRIORITY));
    EQUALS("SO_RCVLOWAT", 1, option(s, SO_RCVLOWAT));
    EQUALS("SO_PASSCRED", 0, option(s, SO_PASSCRED));
    EQUALS("an unknown option", -ENOPROTOOPT, option(s, 9999));
    FAILS("an option of TCP", EOPNOTSUPP, ({ int v; socklen_t z = 4; getsockopt(s, 6, 1, &v, &z); }));
    FAILS("too short a value", EINVAL, ({ char v = 1; setsockopt(s, SOL_SOCKET, SO_PASSCRED, &v, 1); }));
    FAILS("a bad place for it", EFAULT, getsockopt(s, SOL_SOCKET, SO_TYPE, BAD, &(socklen_t){4}));
    FAILS("a bad place for its size", EFAULT, getsockopt(s, SOL_SOCKET, SO_TYPE, buffer, BAD));
    EQUALS("a size of 2", 2, ({ socklen_t z = 2; getsockopt(s, SOL_SOCKET, SO_TYPE, buffer, &z) < 0 ? (long)-1 : z; }));
    FAILS("a negative size", EINVAL, ({ socklen_t z = -1; getsockopt(s, SOL_SOCKET, SO_TYPE, buffer, &z); }));
    FAILS("send unconnected", ENOTCONN, send(s, "x", 1, MSG_NOSIGNAL));
    FAILS("sendto without a name", ENOTCONN, sendto(s, "x", 1, MSG_NOSIGNAL, NULL, 0));
    FAILS("recv unconnected", type == SOCK_STREAM ? EINVAL : type == SOCK_DGRAM ? EAGAIN : ENOTCONN, recv(s, buffer, 1, MSG_DONTWAIT));
    FAILS("accept", type == SOCK_DGRAM ? EOPNOTSUPP : EINVAL, accept(s, NULL, NULL));
    FAILS("listen unbound", type == SOCK_DGRAM ? EOPNOTSUPP : EINVAL, listen(s, 5));
    FAILS("getpeername", ENOTCONN, ({ struct sockaddr_un a; socklen_t z = sizeof a; getpeername(s, (void *)&a, &z); }));
    EQUALS("getsockname unbound", 2, ({ struct sockaddr_un a; socklen_t z = sizeof a; getsockname(s, (void *)&a, &z) < 0 ? (long)-1 : z; }));
    EQUALS("shutdown", 0, shutdown(s, SHUT_RDWR));
    close(s);
  }
  FAILS("a bad type", EINVAL, socket(AF_UNIX, 77, 0));
  FAILS("a bad protocol", EPROTONOSUPPORT, socket(AF_UNIX, SOCK_STREAM, 5));
  WORKS("SOCK_RAW is a datagram socket", ({ int s = socket(AF_UNIX, SOCK_RAW, 0); int t = option(s, SO_TYPE); SAYS("its type", "2", "%d", t); s; }));
  FAILS("a bad family", EAFNOSUPPORT, socket(77, SOCK_STREAM, 0));
  FAILS("bad flags", EINVAL, socket(AF_UNIX, SOCK_STREAM | 0x10000, 0));
  FAILS("socketpair at a bad address", EFAULT, socketpair(AF_UNIX, SOCK_STREAM, 0, BAD));
}

static void names(void) {
  struct sockaddr_un address, other;
  socklen_t size;
  int listener = bound(SOCK_STREAM, "listener"), client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  FAILS("connect before listen", ECONNREFUSED, connect_to(client, "listener"));
  EQUALS("listen", 0, listen(listener, 1));
  EQUALS("SO_ACCEPTCONN", 1, option(listener, SO_ACCEPTCONN));
  FAILS("connect a datagram socket to it", EPROTOTYPE, connect_to(socket(AF_UNIX, SOCK_DGRAM, 0), "listener"));
  FAILS("connect to nobody", ENOENT, connect_to(client, "nobody"));
  EQUALS("connect", 0, connect_to(client, "listener"));
  FAILS("connect again", EISCONN, connect_to(client, "listener"));
  size = sizeof other;
  EQUALS("getpeername", 0, getpeername(client, (void *)&other, &size));
  SAYS("is", "11 listener", "%d %s", size, other.sun_path);
  size = 4;
  EQUALS("into four bytes", 0, getpeername(client, (void *)&other, &size));
  EQUALS("the real size", 11, size);
  EQUALS("send before accept", 5, send(client, "early", 5, 0));
  int full[4], made = 0;
  for (; made < 4; made++) { full[made] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0); if (connect_to(full[made], "listener") < 0) break; }
  SAYS("a full backlog", "1 EAGAIN", "%d %s", made, strerrorname_np(errno));
  EQUALS("poll of the listener", 1, events_of(listener));
  int server = accept4(listener, (void *)&other, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  TRUE("accept", server >= 0);
  EQUALS("an unnamed peer", 2, (size = sizeof other, getpeername(server, (void *)&other, &size), size));
  size = sizeof other;
  getsockname(server, (void *)&other, &size);
  SAYS("its own name", "listener", "%s", other.sun_path);
  EQUALS("what came early", 5, recv(server, buffer, 10, 0));
  FAILS("accept with bad flags", EINVAL, accept4(listener, NULL, NULL, 1));
  close(listener);
  SAYS("a client nobody accepted", "201d", "%x", events_of(full[0]));
  FAILS("its send", EPIPE, send(full[0], "x", 1, MSG_NOSIGNAL));
  FAILS("its receive", ECONNRESET, recv(full[0], buffer, 1, 0));
  FAILS("connect to who has gone", ECONNREFUSED, connect_to(socket(AF_UNIX, SOCK_STREAM, 0), "listener"));
  FAILS("bind to a name that is taken", EADDRINUSE, ({ int s = socket(AF_UNIX, SOCK_STREAM, 0); bind(s, (void *)&address, name_of(&address, "listener")); }));
  FAILS("bind twice", EINVAL, ({ int s = bound(SOCK_STREAM, "once"); bind(s, (void *)&address, name_of(&address, "twice")); }));
  FAILS("bind of a short address", EINVAL, ({ int s = socket(AF_UNIX, SOCK_STREAM, 0); bind(s, (void *)&address, 1); }));
  FAILS("bind of a long one", EINVAL, ({ int s = socket(AF_UNIX, SOCK_STREAM, 0); char big[200] = {AF_UNIX}; bind(s, (void *)big, 150); }));
  FAILS("bind of another family", EINVAL, ({ int s = socket(AF_UNIX, SOCK_STREAM, 0); struct sockaddr a = {AF_INET}; bind(s, &a, sizeof a); }));
  FAILS("bind in a directory that is not there", ENOENT, ({ int s = socket(AF_UNIX, SOCK_STREAM, 0); bind(s, (void *)&address, name_of(&address, "no/where")); }));
  int s = socket(AF_UNIX, SOCK_DGRAM, 0);
  sa_family_t family = AF_UNIX;
  EQUALS("autobind", 0, bind(s, (void *)&family, sizeof family));
  size = sizeof other;
  getsockname(s, (void *)&other, &size);
  SAYS("gives five digits", "8 0", "%d %d", size, other.sun_path[0]);
  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  snprintf(address.sun_path + 1, 100, "tsvisor-abstract-%d", getpid());
  socklen_t length = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(address.sun_path + 1);
  int a = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  EQUALS("an abstract name", 0, bind(a, (void *)&address, length));
  FAILS("is taken", EADDRINUSE, bind(socket(AF_UNIX, SOCK_DGRAM, 0), (void *)&address, length));
  EQUALS("but not with another length", 0, bind(socket(AF_UNIX, SOCK_DGRAM, 0), (void *)&address, length + 1));
  EQUALS("sendto", 5, sendto(s, "hello", 5, 0, (void *)&address, length));
  size = sizeof other;
  EQUALS("recvfrom", 5, recvfrom(a, buffer, 10, 0, (void *)&other, &size));
  EQUALS("its sender has a name", 8, size);
  close(a);
  FAILS("which goes with its socket", ECONNREFUSED, sendto(s, "x", 1, 0, (void *)&address, length));
  int d = bound(SOCK_DGRAM, "one"), e = bound(SOCK_DGRAM, "two"), f = bound(SOCK_DGRAM, "three");
  EQUALS("a connected datagram socket", 0, connect_to(d, "two"));
  FAILS("takes from its peer alone", EPERM, ({ struct sockaddr_un x; sendto(f, "x", 1, 0, (void *)&x, name_of(&x, "one")); }));
  EQUALS("its peer", 1, ({ struct sockaddr_un x; sendto(e, "y", 1, 0, (void *)&x, name_of(&x, "one")); }));
  EQUALS("receives", 1, recv(d, buffer, 10, 0));
  EQUALS("connected anew", 0, connect_to(d, "three"));
  struct sockaddr none = {AF_UNSPEC};
  EQUALS("dissolved", 0, connect(d, &none, sizeof none));
  FAILS("send without a peer", ENOTCONN, send(d, "x", 1, 0));
  unlink("two");
  FAILS("a name that was removed", ENOENT, ({ struct sockaddr_un x; sendto(d, "x", 1, 0, (void *)&x, name_of(&x, "two")); }));
  FAILS("a file in its place", ECONNREFUSED, ({ close(open("two", O_CREAT | O_RDWR, 0600)); struct sockaddr_un x; sendto(d, "x", 1, 0, (void *)&x, name_of(&x, "two")); }));
  for (int i = 3; i < 60; i++) close(i);
}

static void credentials(void) {
  int p[2];
  socketpair(AF_UNIX, SOCK_STREAM, 0, p);
  struct ucred who;
  socklen_t size = sizeof who;
  EQUALS("SO_PEERCRED", 0, getsockopt(p[0], SOL_SOCKET, SO_PEERCRED, &who, &size));
  TRUE("of a pair", who.pid == getpid() && who.uid == geteuid() && who.gid == getegid());
  int listener = bound(SOCK_STREAM, "cred");
  listen(listener, 5);
  chmod("cred", 0777);
  chmod(".", 0755);
  pid_t child = fork();
  if (child == 0) {
    if (geteuid() == 0) { setresgid(2000, 2000, 2000); setresuid(1000, 1000, 1000); }
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect_to(s, "cred") < 0) _exit(1);
    recv(s, buffer, 1, 0);
    _exit(0);
  }
  struct pollfd one = {listener, POLLIN, 0};
  poll(&one, 1, 5000);
  int server = accept(listener, NULL, NULL);
  size = sizeof who;
  getsockopt(server, SOL_SOCKET, SO_PEERCRED, &who, &size);
  SAYS("of a client", geteuid() == 0 ? "1 1000 2000" : "1 1000 1000", "%d %d %d", who.pid == child, who.uid, who.gid);
  close(server);
  EQUALS("the client ends", 0, wait_code(child));
  close(listener);
  /* SCM_CREDENTIALS. */
  int on = 1;
  setsockopt(p[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  struct { struct cmsghdr header; struct ucred who; } control;
  struct iovec part = {"z", 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_LEN(sizeof who)};
  control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof who), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_CREDENTIALS};
  control.who = (struct ucred){getpid(), getuid(), getgid()};
  EQUALS("one's own credentials", 1, sendmsg(p[0], &message, 0));
  control.who.pid = 1 << 21;
  FAILS("of nobody", geteuid() == 0 ? ESRCH : EPERM, sendmsg(p[0], &message, 0));
  control.header.cmsg_type = 99;
  FAILS("an unknown type", EINVAL, sendmsg(p[0], &message, 0));
  control.header.cmsg_type = SCM_CREDENTIALS;
  control.header.cmsg_len = 4;
  FAILS("too short a header", EINVAL, sendmsg(p[0], &message, 0));
  control.header.cmsg_len = CMSG_LEN(sizeof who) + 100;
  FAILS("a header that goes beyond", EINVAL, sendmsg(p[0], &message, 0));
  child = fork();
  if (child == 0) {
    if (geteuid() == 0) setresuid(1000, 1000, 1000);
    control.header.cmsg_len = CMSG_LEN(sizeof who);
    control.who = (struct ucred){getpid(), 0, getgid()};
    FAILS("to be root", EPERM, sendmsg(p[0], &message, 0));
    control.who = (struct ucred){getppid(), getuid(), getgid()};
    FAILS("to be another process", EPERM, sendmsg(p[0], &message, 0));
    _exit(0);
  }
  wait_code(child);
  char room[256];
  struct iovec into = {buffer, 10};
  struct msghdr received = {.msg_iov = &into, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
  EQUALS("receive", 1, recvmsg(p[1], &received, 0));
  struct cmsghdr *header = CMSG_FIRSTHDR(&received);
  TRUE("with credentials", header && header->cmsg_type == SCM_CREDENTIALS && ((struct ucred *)CMSG_DATA(header))->pid == getpid());
  received.msg_controllen = 8;
  send(p[0], "t", 1, 0);
  recvmsg(p[1], &received, 0);
  SAYS("without room", "8 0", "%x %zu", received.msg_flags, received.msg_controllen);
  close(p[0]);
  close(p[1]);
  /* Descriptors. */
  socketpair(AF_UNIX, SOCK_STREAM, 0, p);
  int files[2];
  pipe(files);
  struct { struct cmsghdr header; int fds[4]; } rights = {{CMSG_LEN(2 * sizeof(int)), SOL_SOCKET, SCM_RIGHTS}, {files[0], files[1]}};
  message.msg_control = &rights;
  message.msg_controllen = CMSG_LEN(2 * sizeof(int));
  EQUALS("descriptors without a byte", 0, ({ message.msg_iovlen = 0; long r = sendmsg(p[0], &message, 0); message.msg_iovlen = 1; r; }));
  EQUALS("descriptors", 1, sendmsg(p[0], &message, 0));
  received.msg_controllen = sizeof room;
  EQUALS("peeked at", 1, recvmsg(p[1], &received, MSG_PEEK));
  header = CMSG_FIRSTHDR(&received);
  TRUE("are there", header && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(8));
  int first = header ? *(int *)CMSG_DATA(header) : -1;
  received.msg_controllen = sizeof room;
  EQUALS("and received", 1, recvmsg(p[1], &received, MSG_CMSG_CLOEXEC));
  header = CMSG_FIRSTHDR(&received);
  TRUE("as others", header && *(int *)CMSG_DATA(header) != first);
  TRUE("of the same pipe", header && write(((int *)CMSG_DATA(header))[1], "p", 1) == 1 && read(first, buffer, 1) == 1);
  struct rlimit limit, old;
  getrlimit(RLIMIT_NOFILE, &old);
  sendmsg(p[0], &message, 0);
  int lowest = dup(0);
  close(lowest);
  limit = (struct rlimit){lowest + 1, old.rlim_max};
  setrlimit(RLIMIT_NOFILE, &limit);
  received.msg_controllen = sizeof room;
  EQUALS("with room for one more", 1, recvmsg(p[1], &received, 0));
  header = CMSG_FIRSTHDR(&received);
  SAYS("one comes", "1 8", "%ld %x", header ? (long)(header->cmsg_len - CMSG_LEN(0)) / 4 : 0, received.msg_flags);
  setrlimit(RLIMIT_NOFILE, &old);
  /* A socket in its own queue, thousands of times: nothing is lost that can be found. */
  for (int i = 0; i < 2000; i++) {
    int q[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, q);
    rights.fds[0] = q[0];
    rights.fds[1] = q[1];
    sendmsg(q[0], &message, 0);
    close(q[0]);
    close(q[1]);
  }
  WORKS("two thousand sockets in themselves", socketpair(AF_UNIX, SOCK_STREAM, 0, files));
  for (int i = 3; i < 80; i++) close(i);
}

/* --- epoll ------------------------------------------------------------------------------------------------------------ */

static int epoll, woken;
static void *one_wait(void *argument) {
  struct epoll_event event;
  enter_sleep();
  int n = epoll_wait((int)(long)argument, &event, 1, 20000);
  if (n == 1) __atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
  return NULL;
}
static int watch(int ep, int fd, unsigned events) { struct epoll_event event = {.events = events, .data.fd = fd}; return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event); }
static int rearm(int ep, int fd, unsigned events) { struct epoll_event event = {.events = events, .data.fd = fd}; return epoll_ctl(ep, EPOLL_CTL_MOD, fd, &event); }
static int look(int ep) { struct epoll_event event[8]; int n = epoll_wait(ep, event, 8, 0); return n <= 0 ? n : event[0].events; }

static void edges(void) {
  int p[2];
  pair(SOCK_STREAM, p);
  epoll = epoll_create1(0);
  watch(epoll, p[0], EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
  SAYS("an edge at once", "4", "%x", look(epoll));
  EQUALS("then none", 0, look(epoll));
  send(p[1], "abc", 3, 0);
  SAYS("at bytes", "5", "%x", look(epoll));
  recv(p[0], buffer, 1, 0);
  EQUALS("none for what is left", 0, look(epoll));
  send(p[1], "d", 1, 0);
  SAYS("but for more", "5", "%x", look(epoll));
  send(p[1], "e", 1, 0);
  send(p[1], "f", 1, 0);
  SAYS("two at once are one", "5", "%x", look(epoll));
  EQUALS("no more", 0, look(epoll));
  rearm(epoll, p[0], EPOLLIN | EPOLLET);
  SAYS("modified it is told again", "1", "%x", look(epoll));
  shutdown(p[1], SHUT_WR);
  rearm(epoll, p[0], EPOLLIN | EPOLLRDHUP);
  SAYS("the end", "2001", "%x", look(epoll));
  close(p[1]);
  SAYS("and hang-up", "2011", "%x", look(epoll));
  rearm(epoll, p[0], 0);
  SAYS("unasked", "10", "%x", look(epoll));
  close(p[0]);
  EQUALS("closed", 0, look(epoll));
  /* One shot. */
  int fd = eventfd(1, EFD_NONBLOCK);
  watch(epoll, fd, EPOLLIN | EPOLLONESHOT);
  SAYS("one shot", "1", "%x", look(epoll));
  EQUALS("over", 0, look(epoll));
  rearm(epoll, fd, EPOLLIN | EPOLLONESHOT);
  SAYS("armed again", "1", "%x", look(epoll));
  close(fd);
  /* Several waiters. */
  pthread_t threads[4];
  for (int mode = 0; mode < 2; mode++) {
    fd = eventfd(0, EFD_NONBLOCK);
    watch(epoll, fd, EPOLLIN | (mode ? EPOLLET : EPOLLONESHOT));
    woken = 0;
    for (long i = 0; i < 4; i++) threads[i] = start_sleeper(one_wait, (void *)(long)epoll);
    uint64_t value = 1;
    write(fd, &value, 8);
    usleep(50000);
    EQUALS(mode ? "an edge wakes one of four" : "a shot wakes one of four", 1, woken);
    for (int i = 0; i < 4; i++) {
      if (mode == 0) rearm(epoll, fd, EPOLLIN | EPOLLONESHOT);
      else write(fd, &value, 8);
      for (int t = 0; t < 5000 && woken < (i < 3 ? i + 2 : 4); t++) usleep(1000);
    }
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    EQUALS("all at last", 4, woken);
    close(fd);
  }
  int more[4];
  fd = eventfd(0, EFD_NONBLOCK);
  woken = 0;
  for (int i = 0; i < 4; i++) {
    more[i] = epoll_create1(0);
    watch(more[i], fd, EPOLLIN | EPOLLEXCLUSIVE);
    threads[i] = start_sleeper(one_wait, (void *)(long)more[i]);
  }
  uint64_t value = 1;
  write(fd, &value, 8);
  usleep(50000);
  TRUE("EPOLLEXCLUSIVE does not wake all", woken >= 1 && woken < 4);
  for (int i = 0; i < 8; i++) { write(fd, &value, 8); usleep(10000); }
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  EQUALS("but in time", 4, woken);
  close(fd);
  for (int i = 0; i < 4; i++) close(more[i]);
  /* A copy of a descriptor keeps the item. */
  int pipes[2];
  pipe(pipes);
  int copy = dup(pipes[0]);
  watch(epoll, pipes[0], EPOLLIN);
  close(pipes[0]);
  write(pipes[1], "x", 1);
  SAYS("an item outlives its descriptor", "1", "%x", look(epoll));
  FAILS("and cannot be taken out", EBADF, epoll_ctl(epoll, EPOLL_CTL_DEL, pipes[0], NULL));
  close(copy);
  EQUALS("until the file goes", 0, look(epoll));
  close(pipes[1]);
  /* Closing an epoll that others wait on; many files. */
  int many[300], good = 1;
  for (int i = 0; i < 300; i++) { many[i] = eventfd(0, EFD_NONBLOCK); if (watch(epoll, many[i], EPOLLIN)) good = 0; }
  for (int i = 0; i < 300; i += 3) write(many[i], &value, 8);
  struct epoll_event list[300];
  EQUALS("a hundred of three hundred", 100, epoll_wait(epoll, list, 300, 0));
  int total = 0;
  for (int i = 0; i < 10; i++) total += epoll_wait(epoll, list, 10, 0);
  EQUALS("ten by ten", 100, total);
  for (int i = 0; i < 300; i++) close(many[i]);
  EQUALS("all closed", 0, epoll_wait(epoll, list, 300, 0));
  TRUE("all were added", good);
  close(epoll);
}

int main(void) {
  char base[] = "/tmp/tsvisor-sockets-XXXXXX";
  if (!mkdtemp(base) || chdir(base) < 0) return 1;
  signal(SIGPIPE, SIG_IGN);
  ends();
  datagrams();
  names();
  credentials();
  edges();
  chdir("/");
  char command[100];
  snprintf(command, sizeof command, "rm -rf %s", base);
  return system(command);
}

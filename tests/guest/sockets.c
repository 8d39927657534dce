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
static int connect_to(int s, const char *path) { struct sockaddr_un address; return connect(s, (void *)&address, name_of(&address, path)); }

static const struct { const char *name; int type; } KINDS[] = {{"stream", SOCK_STREAM}, {"seqpacket", SOCK_SEQPACKET}, {"dgram", SOCK_DGRAM}};

static void ends(void) {
  for (int k = 0; k < 3; k++) {
    int p[2], type = KINDS[k].type;
    say("kind", "%s", KINDS[k].name);
    pair(type, p);
    say("poll of a fresh pair", "%x", events_of(p[0]));
    CALL("send nothing", send(p[0], "", 0, 0));
    CALL("receive it", recv(p[1], buffer, 10, 0));
    CALL("send", send(p[0], "0123456789", 10, 0));
    CALL("send more", send(p[0], "abcde", 5, 0));
    int n = -1;
    CALL("SIOCINQ", ioctl(p[1], SIOCINQ, &n));
    CALL("is", n);
    CALL("SIOCOUTQ", ioctl(p[0], SIOCOUTQ, &n));
    TRUE("is some", n > 0);
    CALL("MSG_PEEK", recv(p[1], buffer, 4, MSG_PEEK));
    CALL("MSG_PEEK | MSG_TRUNC", recv(p[1], buffer, 4, MSG_PEEK | MSG_TRUNC));
    CALL("receive a part", recv(p[1], buffer, 4, 0));
    CALL("the rest, or the next", recv(p[1], buffer, 100, 0));
    CALL("and then", recv(p[1], buffer, 100, 0));
    while (recv(p[1], buffer, 100, 0) > 0);
    CALL("MSG_ERRQUEUE", recv(p[1], buffer, 1, MSG_ERRQUEUE));
    CALL("shutdown of writing", shutdown(p[0], SHUT_WR));
    say("poll here and there", "%x %x", events_of(p[0]), events_of(p[1]));
    CALL("send after it", send(p[0], "x", 1, MSG_NOSIGNAL));
    CALL("receive there", recv(p[1], buffer, 1, 0));
    CALL("the other way still works", send(p[1], "y", 1, MSG_NOSIGNAL));
    CALL("shutdown of reading", shutdown(p[0], SHUT_RD));
    CALL("what came is there", recv(p[0], buffer, 10, 0));
    CALL("send to who does not read", send(p[1], "y", 1, MSG_NOSIGNAL));
    say("poll then", "%x %x", events_of(p[0]), events_of(p[1]));
    CALL("shutdown of nonsense", shutdown(p[0], 9));
    close(p[0]);
    close(p[1]);
    pair(type, p);
    send(p[0], "unread", 6, 0);
    send(p[1], "unread too", 10, 0);
    close(p[1]);
    say("poll after a close with unread bytes", "%x", events_of(p[0]));
    CALL("SO_ERROR", option(p[0], SO_ERROR));
    CALL("receive", recv(p[0], buffer, 100, 0));
    CALL("receive again", recv(p[0], buffer, 100, 0));
    CALL("and again", recv(p[0], buffer, 100, 0));
    CALL("send to nobody", send(p[0], "x", 1, MSG_NOSIGNAL));
    CALL("peer's name", ({ struct sockaddr_un a; socklen_t s = sizeof a; getpeername(p[0], (void *)&a, &s); }));
    close(p[0]);
    /* A full queue. */
    pair(type, p);
    int value = 8192;
    CALL("SO_SNDBUF", setsockopt(p[0], SOL_SOCKET, SO_SNDBUF, &value, sizeof value));
    CALL("doubles it", option(p[0], SO_SNDBUF));
    value = 1;
    setsockopt(p[0], SOL_SOCKET, SO_SNDBUF, &value, sizeof value);
    CALL("has a least value", option(p[0], SO_SNDBUF));
    value = 20000;
    setsockopt(p[0], SOL_SOCKET, SO_SNDBUF, &value, sizeof value);
    CALL("a message too large", type == SOCK_STREAM ? 0 : send(p[0], buffer, 200000, 0));
    int count = 0;
    while (send(p[0], buffer, 1000, 0) == 1000) count++;
    TRUE("it fills", count > 3 && count < 200 && (errno == EAGAIN));
    say("then", "%x", events_of(p[0]));
    while (recv(p[1], buffer, sizeof buffer, 0) > 0);
    say("drained", "%x", events_of(p[0]));
    close(p[0]);
    close(p[1]);
    int s = socket(AF_UNIX, type, 0);
    CALL("SO_TYPE", option(s, SO_TYPE));
    CALL("SO_DOMAIN", option(s, SO_DOMAIN));
    CALL("SO_PROTOCOL", option(s, SO_PROTOCOL));
    CALL("SO_ACCEPTCONN", option(s, SO_ACCEPTCONN));
    CALL("SO_REUSEADDR", option(s, SO_REUSEADDR));
    CALL("SO_KEEPALIVE", option(s, SO_KEEPALIVE));
    CALL("SO_BROADCAST", option(s, SO_BROADCAST));
    CALL("SO_PRIORITY", option(s, SO_PRIORITY));
    CALL("SO_RCVLOWAT", option(s, SO_RCVLOWAT));
    CALL("SO_PASSCRED", option(s, SO_PASSCRED));
    CALL("an unknown option", option(s, 9999));
    CALL("an option of TCP", ({ int v; socklen_t z = 4; getsockopt(s, 6, 1, &v, &z); }));
    CALL("too short a value", ({ char v = 1; setsockopt(s, SOL_SOCKET, SO_PASSCRED, &v, 1); }));
    CALL("a bad place for it", getsockopt(s, SOL_SOCKET, SO_TYPE, BAD, &(socklen_t){4}));
    CALL("a bad place for its size", getsockopt(s, SOL_SOCKET, SO_TYPE, buffer, BAD));
    CALL("a size of 2", ({ socklen_t z = 2; getsockopt(s, SOL_SOCKET, SO_TYPE, buffer, &z) < 0 ? (long)-1 : z; }));
    CALL("a negative size", ({ socklen_t z = -1; getsockopt(s, SOL_SOCKET, SO_TYPE, buffer, &z); }));
    CALL("send unconnected", send(s, "x", 1, MSG_NOSIGNAL));
    CALL("sendto without a name", sendto(s, "x", 1, MSG_NOSIGNAL, NULL, 0));
    CALL("recv unconnected", recv(s, buffer, 1, MSG_DONTWAIT));
    CALL("accept", accept(s, NULL, NULL));
    CALL("listen unbound", listen(s, 5));
    CALL("getpeername", ({ struct sockaddr_un a; socklen_t z = sizeof a; getpeername(s, (void *)&a, &z); }));
    CALL("getsockname unbound", ({ struct sockaddr_un a; socklen_t z = sizeof a; getsockname(s, (void *)&a, &z) < 0 ? (long)-1 : z; }));
    CALL("shutdown", shutdown(s, SHUT_RDWR));
    close(s);
  }
  CALL("a bad type", socket(AF_UNIX, 77, 0));
  CALL("a bad protocol", socket(AF_UNIX, SOCK_STREAM, 5));
  WORKS("SOCK_RAW is a datagram socket", ({ int s = socket(AF_UNIX, SOCK_RAW, 0); int t = option(s, SO_TYPE); say("its type", "%d", t); s; }));
  CALL("a bad family", socket(77, SOCK_STREAM, 0));
  CALL("bad flags", socket(AF_UNIX, SOCK_STREAM | 0x10000, 0));
  CALL("socketpair at a bad address", socketpair(AF_UNIX, SOCK_STREAM, 0, BAD));
}

static void names(void) {
  struct sockaddr_un address, other;
  socklen_t size;
  int listener = bound(SOCK_STREAM, "listener"), client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  CALL("connect before listen", connect_to(client, "listener"));
  CALL("listen", listen(listener, 1));
  CALL("SO_ACCEPTCONN", option(listener, SO_ACCEPTCONN));
  CALL("connect a datagram socket to it", connect_to(socket(AF_UNIX, SOCK_DGRAM, 0), "listener"));
  CALL("connect to nobody", connect_to(client, "nobody"));
  CALL("connect", connect_to(client, "listener"));
  CALL("connect again", connect_to(client, "listener"));
  size = sizeof other;
  CALL("getpeername", getpeername(client, (void *)&other, &size));
  say("is", "%d %s", size, other.sun_path);
  size = 4;
  CALL("into four bytes", getpeername(client, (void *)&other, &size));
  CALL("the real size", size);
  CALL("send before accept", send(client, "early", 5, 0));
  int full[4], made = 0;
  for (; made < 4; made++) { full[made] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0); if (connect_to(full[made], "listener") < 0) break; }
  say("a full backlog", "%d %s", made, strerrorname_np(errno));
  CALL("poll of the listener", events_of(listener));
  int server = accept4(listener, (void *)&other, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  TRUE("accept", server >= 0);
  CALL("an unnamed peer", (size = sizeof other, getpeername(server, (void *)&other, &size), size));
  size = sizeof other;
  getsockname(server, (void *)&other, &size);
  say("its own name", "%s", other.sun_path);
  CALL("what came early", recv(server, buffer, 10, 0));
  CALL("accept with bad flags", accept4(listener, NULL, NULL, 1));
  close(listener);
  say("a client nobody accepted", "%x", events_of(full[0]));
  CALL("its send", send(full[0], "x", 1, MSG_NOSIGNAL));
  CALL("its receive", recv(full[0], buffer, 1, 0));
  CALL("connect to who has gone", connect_to(socket(AF_UNIX, SOCK_STREAM, 0), "listener"));
  CALL("bind to a name that is taken", ({ int s = socket(AF_UNIX, SOCK_STREAM, 0); bind(s, (void *)&address, name_of(&address, "listener")); }));
  CALL("bind twice", ({ int s = bound(SOCK_STREAM, "once"); bind(s, (void *)&address, name_of(&address, "twice")); }));
  CALL("bind of a short address", ({ int s = socket(AF_UNIX, SOCK_STREAM, 0); bind(s, (void *)&address, 1); }));
  CALL("bind of a long one", ({ int s = socket(AF_UNIX, SOCK_STREAM, 0); char big[200] = {AF_UNIX}; bind(s, (void *)big, 150); }));
  CALL("bind of another family", ({ int s = socket(AF_UNIX, SOCK_STREAM, 0); struct sockaddr a = {AF_INET}; bind(s, &a, sizeof a); }));
  CALL("bind in a directory that is not there", ({ int s = socket(AF_UNIX, SOCK_STREAM, 0); bind(s, (void *)&address, name_of(&address, "no/where")); }));
  int s = socket(AF_UNIX, SOCK_DGRAM, 0);
  sa_family_t family = AF_UNIX;
  CALL("autobind", bind(s, (void *)&family, sizeof family));
  size = sizeof other;
  getsockname(s, (void *)&other, &size);
  say("gives five digits", "%d %d", size, other.sun_path[0]);
  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  snprintf(address.sun_path + 1, 100, "tsvisor-abstract-%d", getpid());
  socklen_t length = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(address.sun_path + 1);
  int a = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  CALL("an abstract name", bind(a, (void *)&address, length));
  CALL("is taken", bind(socket(AF_UNIX, SOCK_DGRAM, 0), (void *)&address, length));
  CALL("but not with another length", bind(socket(AF_UNIX, SOCK_DGRAM, 0), (void *)&address, length + 1));
  CALL("sendto", sendto(s, "hello", 5, 0, (void *)&address, length));
  size = sizeof other;
  CALL("recvfrom", recvfrom(a, buffer, 10, 0, (void *)&other, &size));
  CALL("its sender has a name", size);
  close(a);
  CALL("which goes with its socket", sendto(s, "x", 1, 0, (void *)&address, length));
  int d = bound(SOCK_DGRAM, "one"), e = bound(SOCK_DGRAM, "two"), f = bound(SOCK_DGRAM, "three");
  CALL("a connected datagram socket", connect_to(d, "two"));
  CALL("takes from its peer alone", ({ struct sockaddr_un x; sendto(f, "x", 1, 0, (void *)&x, name_of(&x, "one")); }));
  CALL("its peer", ({ struct sockaddr_un x; sendto(e, "y", 1, 0, (void *)&x, name_of(&x, "one")); }));
  CALL("receives", recv(d, buffer, 10, 0));
  CALL("connected anew", connect_to(d, "three"));
  struct sockaddr none = {AF_UNSPEC};
  CALL("dissolved", connect(d, &none, sizeof none));
  CALL("send without a peer", send(d, "x", 1, 0));
  unlink("two");
  CALL("a name that was removed", ({ struct sockaddr_un x; sendto(d, "x", 1, 0, (void *)&x, name_of(&x, "two")); }));
  CALL("a file in its place", ({ close(open("two", O_CREAT | O_RDWR, 0600)); struct sockaddr_un x; sendto(d, "x", 1, 0, (void *)&x, name_of(&x, "two")); }));
  for (int i = 3; i < 60; i++) close(i);
}

static void credentials(void) {
  int p[2];
  socketpair(AF_UNIX, SOCK_STREAM, 0, p);
  struct ucred who;
  socklen_t size = sizeof who;
  CALL("SO_PEERCRED", getsockopt(p[0], SOL_SOCKET, SO_PEERCRED, &who, &size));
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
  say("of a client", "%d %d %d", who.pid == child, who.uid, who.gid);
  close(server);
  CALL("the client ends", wait_code(child));
  close(listener);
  /* SCM_CREDENTIALS. */
  int on = 1;
  setsockopt(p[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  struct { struct cmsghdr header; struct ucred who; } control;
  struct iovec part = {"z", 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_LEN(sizeof who)};
  control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof who), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_CREDENTIALS};
  control.who = (struct ucred){getpid(), getuid(), getgid()};
  CALL("one's own credentials", sendmsg(p[0], &message, 0));
  control.who.pid = 1 << 21;
  CALL("of nobody", sendmsg(p[0], &message, 0));
  control.header.cmsg_type = 99;
  CALL("an unknown type", sendmsg(p[0], &message, 0));
  control.header.cmsg_type = SCM_CREDENTIALS;
  control.header.cmsg_len = 4;
  CALL("too short a header", sendmsg(p[0], &message, 0));
  control.header.cmsg_len = CMSG_LEN(sizeof who) + 100;
  CALL("a header that goes beyond", sendmsg(p[0], &message, 0));
  child = fork();
  if (child == 0) {
    if (geteuid() == 0) setresuid(1000, 1000, 1000);
    control.header.cmsg_len = CMSG_LEN(sizeof who);
    control.who = (struct ucred){getpid(), 0, getgid()};
    CALL("to be root", sendmsg(p[0], &message, 0));
    control.who = (struct ucred){getppid(), getuid(), getgid()};
    CALL("to be another process", sendmsg(p[0], &message, 0));
    _exit(0);
  }
  wait_code(child);
  char room[256];
  struct iovec into = {buffer, 10};
  struct msghdr received = {.msg_iov = &into, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
  CALL("receive", recvmsg(p[1], &received, 0));
  struct cmsghdr *header = CMSG_FIRSTHDR(&received);
  TRUE("with credentials", header && header->cmsg_type == SCM_CREDENTIALS && ((struct ucred *)CMSG_DATA(header))->pid == getpid());
  received.msg_controllen = 8;
  send(p[0], "t", 1, 0);
  recvmsg(p[1], &received, 0);
  say("without room", "%x %zu", received.msg_flags, received.msg_controllen);
  close(p[0]);
  close(p[1]);
  /* Descriptors. */
  socketpair(AF_UNIX, SOCK_STREAM, 0, p);
  int files[2];
  pipe(files);
  struct { struct cmsghdr header; int fds[4]; } rights = {{CMSG_LEN(2 * sizeof(int)), SOL_SOCKET, SCM_RIGHTS}, {files[0], files[1]}};
  message.msg_control = &rights;
  message.msg_controllen = CMSG_LEN(2 * sizeof(int));
  CALL("descriptors without a byte", ({ message.msg_iovlen = 0; long r = sendmsg(p[0], &message, 0); message.msg_iovlen = 1; r; }));
  CALL("descriptors", sendmsg(p[0], &message, 0));
  received.msg_controllen = sizeof room;
  CALL("peeked at", recvmsg(p[1], &received, MSG_PEEK));
  header = CMSG_FIRSTHDR(&received);
  TRUE("are there", header && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(8));
  int first = header ? *(int *)CMSG_DATA(header) : -1;
  received.msg_controllen = sizeof room;
  CALL("and received", recvmsg(p[1], &received, MSG_CMSG_CLOEXEC));
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
  CALL("with room for one more", recvmsg(p[1], &received, 0));
  header = CMSG_FIRSTHDR(&received);
  say("one comes", "%ld %x", header ? (long)(header->cmsg_len - CMSG_LEN(0)) / 4 : 0, received.msg_flags);
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
  int n = epoll_wait((int)(long)argument, &event, 1, 3000);
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
  say("an edge at once", "%x", look(epoll));
  CALL("then none", look(epoll));
  send(p[1], "abc", 3, 0);
  say("at bytes", "%x", look(epoll));
  recv(p[0], buffer, 1, 0);
  CALL("none for what is left", look(epoll));
  send(p[1], "d", 1, 0);
  say("but for more", "%x", look(epoll));
  send(p[1], "e", 1, 0);
  send(p[1], "f", 1, 0);
  say("two at once are one", "%x", look(epoll));
  CALL("no more", look(epoll));
  rearm(epoll, p[0], EPOLLIN | EPOLLET);
  say("modified it is told again", "%x", look(epoll));
  shutdown(p[1], SHUT_WR);
  rearm(epoll, p[0], EPOLLIN | EPOLLRDHUP);
  say("the end", "%x", look(epoll));
  close(p[1]);
  say("and hang-up", "%x", look(epoll));
  rearm(epoll, p[0], 0);
  say("unasked", "%x", look(epoll));
  close(p[0]);
  CALL("closed", look(epoll));
  /* One shot. */
  int fd = eventfd(1, EFD_NONBLOCK);
  watch(epoll, fd, EPOLLIN | EPOLLONESHOT);
  say("one shot", "%x", look(epoll));
  CALL("over", look(epoll));
  rearm(epoll, fd, EPOLLIN | EPOLLONESHOT);
  say("armed again", "%x", look(epoll));
  close(fd);
  /* Several waiters. */
  pthread_t threads[4];
  for (int mode = 0; mode < 2; mode++) {
    fd = eventfd(0, EFD_NONBLOCK);
    watch(epoll, fd, EPOLLIN | (mode ? EPOLLET : EPOLLONESHOT));
    woken = 0;
    for (long i = 0; i < 4; i++) pthread_create(&threads[i], NULL, one_wait, (void *)(long)epoll);
    usleep(50000);
    uint64_t value = 1;
    write(fd, &value, 8);
    usleep(50000);
    CALL(mode ? "an edge wakes one of four" : "a shot wakes one of four", woken);
    for (int i = 0; i < 4; i++) {
      if (mode == 0) rearm(epoll, fd, EPOLLIN | EPOLLONESHOT);
      else write(fd, &value, 8);
      usleep(20000);
    }
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    CALL("all at last", woken);
    close(fd);
  }
  int more[4];
  fd = eventfd(0, EFD_NONBLOCK);
  woken = 0;
  for (int i = 0; i < 4; i++) {
    more[i] = epoll_create1(0);
    watch(more[i], fd, EPOLLIN | EPOLLEXCLUSIVE);
    pthread_create(&threads[i], NULL, one_wait, (void *)(long)more[i]);
  }
  usleep(50000);
  uint64_t value = 1;
  write(fd, &value, 8);
  usleep(50000);
  TRUE("EPOLLEXCLUSIVE does not wake all", woken >= 1 && woken < 4);
  for (int i = 0; i < 8; i++) { write(fd, &value, 8); usleep(10000); }
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  CALL("but in time", woken);
  close(fd);
  for (int i = 0; i < 4; i++) close(more[i]);
  /* A copy of a descriptor keeps the item. */
  int pipes[2];
  pipe(pipes);
  int copy = dup(pipes[0]);
  watch(epoll, pipes[0], EPOLLIN);
  close(pipes[0]);
  write(pipes[1], "x", 1);
  say("an item outlives its descriptor", "%x", look(epoll));
  CALL("and cannot be taken out", epoll_ctl(epoll, EPOLL_CTL_DEL, pipes[0], NULL));
  close(copy);
  CALL("until the file goes", look(epoll));
  close(pipes[1]);
  /* Closing an epoll that others wait on; many files. */
  int many[300], good = 1;
  for (int i = 0; i < 300; i++) { many[i] = eventfd(0, EFD_NONBLOCK); if (watch(epoll, many[i], EPOLLIN)) good = 0; }
  for (int i = 0; i < 300; i += 3) write(many[i], &value, 8);
  struct epoll_event list[300];
  CALL("a hundred of three hundred", epoll_wait(epoll, list, 300, 0));
  int total = 0;
  for (int i = 0; i < 10; i++) total += epoll_wait(epoll, list, 10, 0);
  CALL("ten by ten", total);
  for (int i = 0; i < 300; i++) close(many[i]);
  CALL("all closed", epoll_wait(epoll, list, 300, 0));
  TRUE("all were added", good);
  close(epoll);
}

int main(void) {
  char base[] = "/tmp/tsvisor-sockets-XXXXXX";
  if (!mkdtemp(base) || chdir(base) < 0) return 1;
  signal(SIGPIPE, SIG_IGN);
  ends();
  names();
  credentials();
  edges();
  chdir("/");
  char command[100];
  snprintf(command, sizeof command, "rm -rf %s", base);
  return system(command);
}

// Unix sockets at their edges: control messages that do not fit, whose bytes one call may give, looking ahead at a place
// (SO_PEEK_OFF), names of network namespaces, who is told of what comes, buffers as large as may be.
#include "check.h"
#include <linux/sockios.h>

static int get_int(int fd, int option) {
  int value = -1;
  socklen_t length = sizeof value;
  return getsockopt(fd, SOL_SOCKET, option, &value, &length) < 0 ? -errno : value;
}
static int set_int(int fd, int option, int value) { return setsockopt(fd, SOL_SOCKET, option, &value, sizeof value); }

static char control[256];
static struct msghdr message;
static long receive(int fd, int length, int room, int flags) {
  static char data[64];
  static struct iovec vector;
  memset(control, 0xaa, sizeof control);
  vector = (struct iovec){data, length};
  message = (struct msghdr){.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room};
  return recvmsg(fd, &message, flags);
}
/* A descriptor that came with the last message, or -1. */
static int descriptor(void) {
  for (struct cmsghdr *one = CMSG_FIRSTHDR(&message); one != NULL; one = CMSG_NXTHDR(&message, one))
    if (one->cmsg_type == SCM_RIGHTS && one->cmsg_len >= CMSG_LEN(sizeof(int))) return *(int *)CMSG_DATA(one);
  return -1;
}
static const char *sender(void) {
  static char text[64];
  struct cmsghdr *one = CMSG_FIRSTHDR(&message);
  if (one == NULL || one->cmsg_type != SCM_CREDENTIALS) return "nobody";
  struct ucred *who = (void *)CMSG_DATA(one);
  snprintf(text, sizeof text, "%d of %s", who->uid, who->pid == getpid() ? "us" : who->pid == 0 ? "nobody" : "another");
  return text;
}
static long pass(int fd, int passed, long bytes) {
  char space[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec vector = {"passed", bytes};
  struct msghdr out = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
  struct cmsghdr *one = CMSG_FIRSTHDR(&out);
  one->cmsg_level = SOL_SOCKET;
  one->cmsg_type = SCM_RIGHTS;
  one->cmsg_len = CMSG_LEN(sizeof(int));
  *(int *)CMSG_DATA(one) = passed;
  return sendmsg(fd, &out, 0);
}
static long send_as(int fd, int uid, const char *text) {
  char space[CMSG_SPACE(sizeof(struct ucred))] = {0};
  struct iovec vector = {(char *)text, strlen(text)};
  struct msghdr out = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
  struct cmsghdr *one = CMSG_FIRSTHDR(&out);
  one->cmsg_level = SOL_SOCKET;
  one->cmsg_type = SCM_CREDENTIALS;
  one->cmsg_len = CMSG_LEN(sizeof(struct ucred));
  struct ucred who = {getpid(), uid, getgid()};
  memcpy(CMSG_DATA(one), &who, sizeof who);
  return sendmsg(fd, &out, 0);
}

static const char *const KINDS[] = {[SOCK_STREAM] = "stream", [SOCK_DGRAM] = "datagram", [SOCK_SEQPACKET] = "packet"};

static void short_control(int type) {
  int ends[2];
  socketpair(AF_UNIX, type, 0, ends);
  set_int(ends[1], SO_PASSCRED, 1);
  static const int ROOMS[] = {0, 8, 15, 16, 20, 24, 27, 28, 31, 32, 40};
  for (unsigned i = 0; i < sizeof ROOMS / sizeof *ROOMS; i++) {
    int room = ROOMS[i];
    char line[64], expected[64];
    send(ends[0], "x", 1, 0);
    long n = receive(ends[1], 8, room, 0);
    int has = room < 16 ? 0 : room < 28 ? room : 28;
    snprintf(line, sizeof line, "%s, credentials in %d bytes", KINDS[type], room);
    snprintf(expected, sizeof expected, "1 flags %x length %d", room < 28 ? MSG_CTRUNC : 0, room < 16 ? 0 : room < 32 ? room : 32);
    SAYS(line, expected, "%ld flags %x length %zu", n, message.msg_flags, message.msg_controllen);
    if (has) {
      snprintf(expected, sizeof expected, "%d", has);
      SAYS("its own length", expected, "%zu", ((struct cmsghdr *)control)->cmsg_len);
    }
    TRUE("nothing behind it", (unsigned char)control[room < 16 ? 0 : room < 32 ? room : 32] == 0xaa);
  }
  /* A descriptor beside them that has no room is closed. */
  int pipe_ends[2];
  pipe(pipe_ends);
  for (int room = 32; room <= 56; room += 4) {
    char line[64];
    pass(ends[0], pipe_ends[1], 1);
    long n = receive(ends[1], 8, room, 0);
    snprintf(line, sizeof line, "%s, credentials and a descriptor in %d bytes", KINDS[type], room);
    SAYS(line, room < 52 ? "1 flags 8, none" : "1 flags 0, one", "%ld flags %x, %s", n, message.msg_flags, descriptor() < 0 ? "none" : "one");
    close(descriptor());
  }
  close(pipe_ends[1]);
  char byte;
  EQUALS("no end of the pipe is left", 0, read(pipe_ends[0], &byte, 1));
  close(pipe_ends[0]), close(ends[0]), close(ends[1]);
}

static void whose_bytes(void) {
  int ends[2];
  socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  set_int(ends[1], SO_PASSCRED, 1);
  int root = geteuid() == 0;
  send(ends[0], "ab", 2, 0);
  send(ends[0], "cd", 2, 0);
  if (root) send_as(ends[0], 77, "ef");
  send(ends[0], "gh", 2, 0);
  pid_t child = fork();
  if (child == 0) _exit(send(ends[0], "ij", 2, 0) == 2 ? 0 : 1);
  EQUALS("another sends", 0, wait_code(child));
  EQUALS("bytes of one sender come together", root ? 4 : 6, receive(ends[1], 64, 128, 0));
  SAYS("from", root ? "0 of us" : "1000 of us", "%s", sender());
  if (root) {
    EQUALS("those of another user", 2, receive(ends[1], 64, 128, MSG_WAITALL | MSG_DONTWAIT));
    SAYS("from", "77 of us", "%s", sender());
    EQUALS("then the first again", 2, receive(ends[1], 64, 128, 0));
    SAYS("from", "0 of us", "%s", sender());
  }
  EQUALS("and another process", 2, receive(ends[1], 64, 128, 0));
  SAYS("from", root ? "0 of another" : "1000 of another", "%s", sender());
  send(ends[0], "kl", 2, 0);
  if (root) send_as(ends[0], 77, "mn");
  EQUALS("read gives one sender's too", 2, read(ends[1], control, 64));
  if (root) EQUALS("then the other's", 2, recv(ends[1], control, 64, MSG_WAITALL | MSG_DONTWAIT));
  send(ends[0], "op", 2, 0);
  if (root) send_as(ends[0], 77, "qr");
  set_int(ends[1], SO_PASSCRED, 0);
  EQUALS("who is not told gets all", root ? 4 : 2, read(ends[1], control, 64));
  close(ends[0]), close(ends[1]);
}

static void empty_receive(int type) {
  int ends[2], pipe_ends[2];
  socketpair(AF_UNIX, type, 0, ends);
  pipe(pipe_ends);
  char line[64];
  pass(ends[0], pipe_ends[1], 6);
  snprintf(line, sizeof line, "%s, nothing received", KINDS[type]);
  EQUALS(line, 0, receive(ends[1], 0, 64, 0));
  SAYS("its flags", type == SOCK_STREAM ? "0" : "20", "%x", message.msg_flags);
  TRUE("the descriptor comes", descriptor() >= 0);
  close(descriptor());
  if (type == SOCK_STREAM) {
    EQUALS("the bytes come next", 6, receive(ends[1], 8, 64, 0));
    EQUALS("without it", -1, descriptor());
  } else {
    FAILS("the message is gone", EAGAIN, receive(ends[1], 8, 64, MSG_DONTWAIT));
  }
  pass(ends[0], pipe_ends[1], 6);
  EQUALS("looked at", 0, receive(ends[1], 0, 64, MSG_PEEK));
  TRUE("a descriptor", descriptor() >= 0);
  close(descriptor());
  EQUALS("received", 6, receive(ends[1], 8, 64, 0));
  TRUE("again", descriptor() >= 0);
  close(descriptor());
  FAILS("there is no more", EAGAIN, receive(ends[1], 0, 64, MSG_DONTWAIT));
  if (type != SOCK_STREAM) {
    EQUALS("an empty message", 0, pass(ends[0], pipe_ends[1], 0));
    EQUALS("is received", 0, receive(ends[1], 8, 64, 0));
    TRUE("with its descriptor", descriptor() >= 0);
    close(descriptor());
  }
  close(pipe_ends[0]), close(pipe_ends[1]), close(ends[0]), close(ends[1]);
}

static void looking_ahead(int type) {
  int ends[2];
  char data[16] = "";
  socketpair(AF_UNIX, type, 0, ends);
  char line[64];
  snprintf(line, sizeof line, "%s, where it looks", KINDS[type]);
  EQUALS(line, -1, get_int(ends[1], SO_PEEK_OFF));
  EQUALS("look from 1", 0, set_int(ends[1], SO_PEEK_OFF, 1));
  EQUALS("so it is", 1, get_int(ends[1], SO_PEEK_OFF));
  send(ends[0], "abcd", 4, 0);
  send(ends[0], "efg", 3, 0);
  EQUALS("two from there", 2, recv(ends[1], data, 2, MSG_PEEK));
  SAYS("what is seen", "bc", "%.2s", data);
  EQUALS("it has moved", 3, get_int(ends[1], SO_PEEK_OFF));
  int n = recv(ends[1], data, 16, MSG_PEEK);
  SAYS("the next", type == SOCK_STREAM ? "defg" : "d", "%.*s", n < 0 ? 0 : n, data);
  EQUALS("moved again", type == SOCK_STREAM ? 7 : 4, get_int(ends[1], SO_PEEK_OFF));
  n = recv(ends[1], data, 16, MSG_PEEK | MSG_DONTWAIT);
  if (type == SOCK_STREAM) FAILS("nothing there", EAGAIN, recv(ends[1], data, 16, MSG_PEEK | MSG_DONTWAIT));
  else SAYS("the message behind", "efg", "%.*s", n < 0 ? 0 : n, data);
  EQUALS("moved with that", 7, get_int(ends[1], SO_PEEK_OFF));
  EQUALS("take two", 2, recv(ends[1], data, 2, 0));
  EQUALS("which moves it back", type == SOCK_STREAM ? 5 : 3, get_int(ends[1], SO_PEEK_OFF));
  set_int(ends[1], SO_PEEK_OFF, 0);
  n = recv(ends[1], data, 16, MSG_PEEK);
  SAYS("from the beginning", type == SOCK_STREAM ? "cdefg" : "efg", "%.*s", n < 0 ? 0 : n, data);
  EQUALS("off", 0, set_int(ends[1], SO_PEEK_OFF, -1));
  recv(ends[1], data, 1, MSG_PEEK);
  EQUALS("stays off", -1, get_int(ends[1], SO_PEEK_OFF));
  close(ends[0]), close(ends[1]);
}

static void owners(void) {
  int ends[2], value = -1, us = getpid();
  socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  EQUALS("owner at first", 0, ioctl(ends[0], FIOGETOWN, &value));
  SAYS("nobody", "0", "%d", value);
  EQUALS("FIOSETOWN", 0, ioctl(ends[0], FIOSETOWN, &us));
  TRUE("F_GETOWN says so", fcntl(ends[0], F_GETOWN) == us);
  value = -1;
  EQUALS("SIOCGPGRP", 0, ioctl(ends[0], SIOCGPGRP, &value));
  TRUE("is it too", value == us);
  value = -getpgrp();
  EQUALS("SIOCSPGRP of a group", 0, ioctl(ends[0], SIOCSPGRP, &value));
  TRUE("F_GETOWN says that too", fcntl(ends[0], F_GETOWN) == -getpgrp());
  value = 999999999;
  FAILS("a process that is not", ESRCH, ioctl(ends[0], SIOCSPGRP, &value));
  value = 0x80000000;
  FAILS("a number that is none", EINVAL, ioctl(ends[0], FIOSETOWN, &value));
  FAILS("a bad address", EFAULT, ioctl(ends[0], FIOSETOWN, BAD));
  FAILS("and to read", EFAULT, ioctl(ends[0], FIOGETOWN, BAD));
  value = 0;
  EQUALS("nobody again", 0, ioctl(ends[0], FIOSETOWN, &value));
  EQUALS("so it is", 0, fcntl(ends[0], F_GETOWN));
  int pipe_ends[2];
  pipe(pipe_ends);
  FAILS("not of a pipe", ENOTTY, ioctl(pipe_ends[0], FIOSETOWN, &us));
  close(pipe_ends[0]), close(pipe_ends[1]), close(ends[0]), close(ends[1]);
}

static void shut_for_reading(int type) {
  int ends[2];
  char data[4], line[64];
  for (int flag = 0; flag < 2; flag++) {
    socketpair(AF_UNIX, type | (flag ? SOCK_NONBLOCK : 0), 0, ends);
    send(ends[0], "x", 1, 0);
    shutdown(ends[1], SHUT_RD);
    snprintf(line, sizeof line, "%s%s, what was there", KINDS[type], flag ? " that does not wait" : "");
    EQUALS(line, 1, recv(ends[1], data, 4, 0));
    ANSWERS("with MSG_DONTWAIT", type == SOCK_DGRAM ? -EAGAIN : 0, recv(ends[1], data, 4, MSG_DONTWAIT));
    ANSWERS("without", type == SOCK_DGRAM && flag ? -EAGAIN : 0, recv(ends[1], data, 4, 0));
    ANSWERS("read", type == SOCK_DGRAM && flag ? -EAGAIN : 0, read(ends[1], data, 4));
    ANSWERS("recvmsg", type == SOCK_DGRAM ? -EAGAIN : 0, receive(ends[1], 4, 0, MSG_DONTWAIT));
    FAILS("nothing can be sent", EPIPE, send(ends[0], "y", 1, MSG_NOSIGNAL));
    close(ends[0]), close(ends[1]);
  }
}

static void credentials_of_peers(void) {
  struct ucred who;
  socklen_t length = sizeof who;
  int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
  EQUALS("of one that is alone", 0, getsockopt(listener, SOL_SOCKET, SO_PEERCRED, &who, &length));
  SAYS("nobody", "0 -1 -1", "%d %d %d", who.pid, who.uid, who.gid);
  bind(listener, (void *)&(struct sockaddr_un){AF_UNIX}, 2);
  getsockopt(listener, SOL_SOCKET, SO_PEERCRED, &who, &length);
  SAYS("still, with a name", "0 -1 -1", "%d %d %d", who.pid, who.uid, who.gid);
  listen(listener, 1);
  getsockopt(listener, SOL_SOCKET, SO_PEERCRED, &who, &length);
  TRUE("whoever listens", who.pid == getpid() && who.uid == geteuid() && who.gid == getegid());
  struct sockaddr_un name;
  length = sizeof name;
  getsockname(listener, (void *)&name, &length);
  pid_t child = fork();
  if (child == 0) {
    listen(listener, 1);
    _exit(0);
  }
  wait_code(child);
  connect(client, (void *)&name, length);
  length = sizeof who;
  getsockopt(client, SOL_SOCKET, SO_PEERCRED, &who, &length);
  TRUE("who called listen() last", who.pid == child);
  who.pid = 1;
  length = 4;
  EQUALS("as much as there is room for", 0, getsockopt(client, SOL_SOCKET, SO_PEERCRED, &who, &length));
  TRUE("the pid alone", who.pid == child && length == 4);
  close(listener), close(client);
}

static void namespaces(void) {
  struct sockaddr_un name = {AF_UNIX};
  snprintf(name.sun_path + 1, 40, "tsvisor-unix-%d", getpid());
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  EQUALS("a name", 0, bind(listener, (void *)&name, sizeof name));
  listen(listener, 5);
  int earlier = socket(AF_UNIX, SOCK_STREAM, 0);
  pid_t child = fork();
  if (child == 0) {
    if (geteuid() == 0) {
      EQUALS("another network namespace", 0, unshare(CLONE_NEWNET));
      int here = socket(AF_UNIX, SOCK_STREAM, 0);
      FAILS("does not have it", ECONNREFUSED, connect(here, (void *)&name, sizeof name));
      EQUALS("it is free there", 0, bind(here, (void *)&name, sizeof name));
      /* A socket stays where it was made. */
      EQUALS("a socket from before finds it", 0, connect(earlier, (void *)&name, sizeof name));
      int datagram = socket(AF_UNIX, SOCK_DGRAM, 0);
      FAILS("nor for datagrams", ECONNREFUSED, sendto(datagram, "x", 1, 0, (void *)&name, sizeof name));
    }
    _exit(0);
  }
  wait_code(child);
  close(listener), close(earlier);
}

static void large_buffers(void) {
  int ends[2], limit = 0;
  FILE *file = fopen("/proc/sys/net/core/wmem_max", "r");
  if (file != NULL) fscanf(file, "%d", &limit), fclose(file);
  socketpair(AF_UNIX, SOCK_DGRAM, 0, ends);
  EQUALS("more than the most", 0, set_int(ends[0], SO_SNDBUF, 0x7fffffff));
  TRUE("is the most, twice", get_int(ends[0], SO_SNDBUF) == 2 * limit);
  EQUALS("as much", 0, set_int(ends[0], SO_SNDBUF, limit));
  TRUE("the same", get_int(ends[0], SO_SNDBUF) == 2 * limit);
  /* Linux has messages of no more than MAX_SKB_FRAGS pieces of 32 KiB, whatever the buffer. */
  int large = 2 * limit - 32 < 400000 ? 2 * limit - 32 : 400000;
  char *bytes = calloc(1, large + 1);
  EQUALS("a datagram as large", 1, send(ends[0], bytes, large, 0) == large);
  EQUALS("comes whole", 1, recv(ends[1], bytes, large + 1, MSG_DONTWAIT) == large);
  if (geteuid() == 0) {
    EQUALS("by force", 0, set_int(ends[0], SO_SNDBUFFORCE, 3000000));
    EQUALS("so much", 6000000, get_int(ends[0], SO_SNDBUF));
  } else {
    FAILS("by force", EPERM, set_int(ends[0], SO_SNDBUFFORCE, 3000000));
  }
  free(bytes);
  close(ends[0]), close(ends[1]);
}

int main(void) {
  static const int TYPES[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
  for (int i = 0; i < 3; i++) {
    short_control(TYPES[i]);
    empty_receive(TYPES[i]);
    looking_ahead(TYPES[i]);
    shut_for_reading(TYPES[i]);
  }
  whose_bytes();
  owners();
  credentials_of_peers();
  namespaces();
  large_buffers();
  return 0;
}

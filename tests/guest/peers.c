// Who stands at the other end of a Unix socket: SO_PEERGROUPS, SO_PEERPIDFD, SO_PASSPIDFD with SCM_PIDFD, SO_PASSRIGHTS.
#include "check.h"
#include <grp.h>

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif
#define PASSPIDFD 76
#define PEERPIDFD 77
#define PASSRIGHTS 83
#define PIDFD_MESSAGE 4

static int get(int fd, int option, void *into, socklen_t *length) { return getsockopt(fd, SOL_SOCKET, option, into, length); }
static int set(int fd, int option, int value) { return setsockopt(fd, SOL_SOCKET, option, &value, sizeof value); }

/* The process a pidfd means, from its fdinfo. */
static int pid_of(int fd) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
  int info = open(path, O_RDONLY);
  int n = read(info, text, sizeof text - 1), pid = -2;
  close(info);
  if (n < 0) return -3;
  text[n] = 0;
  char *at = strstr(text, "Pid:\t");
  if (at != NULL) pid = atoi(at + 5);
  return pid;
}

static void groups(void) {
  gid_t list[4] = {0}, mine[] = {5, 7, 1000};
  if (geteuid() == 0) setgroups(3, mine);
  int ends[2], is_root = geteuid() == 0;
  socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  socklen_t length = sizeof list;
  EQUALS("peer groups", 0, get(ends[0], SO_PEERGROUPS, list, &length));
  SAYS("groups", is_root ? "12: 5 7 1000" : "0: 0 0 0", "%u: %u %u %u", length, list[0], list[1], list[2]);
  length = 4;
  ANSWERS("peer groups with little room", is_root ? -ERANGE : 0, get(ends[0], SO_PEERGROUPS, list, &length));
  SAYS("room it takes", is_root ? "12" : "0", "%u", length);
  length = 0;
  ANSWERS("peer groups with no room", is_root ? -ERANGE : 0, get(ends[0], SO_PEERGROUPS, list, &length));
  int alone = socket(AF_UNIX, SOCK_STREAM, 0);
  length = sizeof list;
  FAILS("groups of nobody", ENODATA, get(alone, SO_PEERGROUPS, list, &length));
  ANSWERS("groups at a bad address", is_root ? -EFAULT : 0, get(ends[0], SO_PEERGROUPS, BAD, &length));
  FAILS("groups are not set", ENOPROTOOPT, set(ends[0], SO_PEERGROUPS, 1));
  close(alone), close(ends[0]), close(ends[1]);
}

static void pidfds(void) {
  int ends[2], fd = -1;
  socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  socklen_t length = sizeof fd;
  EQUALS("peer pidfd", 0, get(ends[0], PEERPIDFD, &fd, &length));
  TRUE("it is us", pid_of(fd) == getpid());
  SAYS("its length", "4", "%u", length);
  EQUALS("its flags", FD_CLOEXEC, fcntl(fd, F_GETFD));
  close(fd);
  int alone = socket(AF_UNIX, SOCK_STREAM, 0);
  FAILS("pidfd of nobody", ENODATA, get(alone, PEERPIDFD, &fd, &length));
  close(alone);

  struct sockaddr_un name = {AF_UNIX};
  snprintf(name.sun_path + 1, 40, "tsvisor-peers-%d", getpid());
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  bind(listener, (void *)&name, sizeof name);
  listen(listener, 1);
  pid_t child = fork();
  if (child == 0) {
    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    _exit(connect(client, (void *)&name, sizeof name) == 0 ? 0 : 1);
  }
  int accepted = accept(listener, NULL, NULL);
  await_state(child, 'Z');
  length = sizeof fd;
  EQUALS("pidfd of one that has ended", 0, get(accepted, PEERPIDFD, &fd, &length));
  struct pollfd ready = {fd, POLLIN};
  EQUALS("it has ended", 1, poll(&ready, 1, 1000));
  TRUE("and is the child", pid_of(fd) == child);
  EQUALS("its status", 0, wait_code(child));
  close(fd);
  length = sizeof fd;
  EQUALS("pidfd of one that was waited for", 0, get(accepted, PEERPIDFD, &fd, &length));
  EQUALS("a number that is nobody's", -1, pid_of(fd));
  close(fd), close(accepted), close(listener), close(ends[0]), close(ends[1]);
}

static void receive(const char *what, const char *expected, int fd, int room) {
  char data[8], control[128];
  struct iovec vector = {data, sizeof data};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room};
  errno = 0;
  long n = recvmsg(fd, &message, MSG_DONTWAIT);
  SAYS(what, expected, "%ld %s flags %x length %zu", n, n < 0 ? strerrorname_np(errno) : "", message.msg_flags, message.msg_controllen);
  for (struct cmsghdr *one = n < 0 ? NULL : CMSG_FIRSTHDR(&message); one != NULL; one = CMSG_NXTHDR(&message, one)) {
    say("control", "level %d type %d length %zu", one->cmsg_level, one->cmsg_type, one->cmsg_len);
    int fd = *(int *)CMSG_DATA(one);
    if (one->cmsg_type == PIDFD_MESSAGE) TRUE("pidfd of the sender", fd < 0 ? 0 : pid_of(fd) == getpid() && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    if (one->cmsg_type != SCM_CREDENTIALS) close(fd);
  }
}

static long send_fd(int fd) {
  char control[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec vector = {"hello", 5};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *one = CMSG_FIRSTHDR(&message);
  one->cmsg_level = SOL_SOCKET;
  one->cmsg_type = SCM_RIGHTS;
  one->cmsg_len = CMSG_LEN(sizeof(int));
  *(int *)CMSG_DATA(one) = 0;
  return sendmsg(fd, &message, 0);
}

static void passing(int type) {
  int ends[2], value = -1;
  socklen_t length = sizeof value;
  socketpair(AF_UNIX, type, 0, ends);
  EQUALS("pass pidfd at first", 0, get(ends[1], PASSPIDFD, &value, &length));
  SAYS("value", "0", "%d", value);
  EQUALS("pass pidfd", 0, set(ends[1], PASSPIDFD, 1));
  get(ends[1], PASSPIDFD, &value, &length);
  SAYS("value then", "1", "%d", value);
  EQUALS("send", 5, send(ends[0], "hello", 5, 0));
  receive("a pidfd comes", "5  flags 0 length 24", ends[1], 128);
  EQUALS("send again", 5, send(ends[0], "hello", 5, 0));
  receive("no room for a pidfd", "5  flags 8 length 0", ends[1], 8);
  set(ends[1], SO_PASSCRED, 1);
  EQUALS("send with a descriptor", 5, send_fd(ends[0]));
  receive("credentials, descriptor and pidfd", "5  flags 0 length 80", ends[1], 128);
  set(ends[1], PASSPIDFD, 0);
  EQUALS("send without", 5, send(ends[0], "hello", 5, 0));
  receive("credentials alone", "5  flags 0 length 32", ends[1], 128);
  set(ends[1], SO_PASSCRED, 0);

  EQUALS("pass rights at first", 0, get(ends[1], PASSRIGHTS, &value, &length));
  SAYS("value", "1", "%d", value);
  EQUALS("no rights", 0, set(ends[1], PASSRIGHTS, 0));
  FAILS("a descriptor is refused", EPERM, send_fd(ends[0]));
  EQUALS("bytes are not", 5, send(ends[0], "hello", 5, 0));
  receive("bytes", "5  flags 0 length 0", ends[1], 128);
  EQUALS("rights again", 0, set(ends[1], PASSRIGHTS, 1));
  EQUALS("a descriptor passes", 5, send_fd(ends[0]));
  receive("it comes", "5  flags 0 length 24", ends[1], 128);
  close(ends[0]), close(ends[1]);
}

int main(void) {
  groups();
  pidfds();
  passing(SOCK_STREAM);
  passing(SOCK_DGRAM);
  passing(SOCK_SEQPACKET);
  return 0;
}

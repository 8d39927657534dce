// Sockets of the internet over loopback, IPv4 and IPv6 in turn: `family` is that of the round.
#include <arpa/inet.h>
#include <netinet/in.h>

static int family;
static const char *NAMES[] = {"IPv4", "IPv6"};

union address {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
};
static socklen_t size_of(void) { return family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6); }
static union address loopback(int port) {
  union address a;
  memset(&a, 0, sizeof a);
  if (family == AF_INET) {
    a.v4.sin_family = AF_INET;
    a.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a.v4.sin_port = htons(port);
  } else {
    a.v6.sin6_family = AF_INET6;
    a.v6.sin6_addr = in6addr_loopback;
    a.v6.sin6_port = htons(port);
  }
  return a;
}
static int port_of(int s) {
  union address a;
  socklen_t n = sizeof a;
  if (getsockname(s, &a.any, &n) < 0) return -errno;
  return ntohs(a.v4.sin_port);
}
static int events_of(int fd) {
  struct pollfd one = {fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLWRNORM, 0};
  poll(&one, 1, 0);
  return one.revents;
}
static int option(int fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  return getsockopt(fd, level, name, &value, &size) < 0 ? -errno : value;
}
static int set(int fd, int level, int name, int value) { return setsockopt(fd, level, name, &value, sizeof value); }

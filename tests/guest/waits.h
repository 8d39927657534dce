// Calls that wait on sockets of the internet, netlink and packet sockets, and terminals, for restart.c and held.c. Each make_
// leaves its descriptors in a, b, c and d, which the program declares with `buffer` before it includes this file.
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <termios.h>

static struct sockaddr_in here;

static int bound(int type) {
  int s = socket(AF_INET, type, 0);
  socklen_t size = sizeof here;
  here = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  bind(s, (void *)&here, size);
  getsockname(s, (void *)&here, &size);
  return s;
}
static int connected(int type) { int s = socket(AF_INET, type, 0); connect(s, (void *)&here, sizeof here); return s; }

static void make_tcp_listener(void) { a = bound(SOCK_STREAM); listen(a, 5); }
static void connect_tcp(void) { d = connected(SOCK_STREAM); }
static void make_tcp_pair(void) { make_tcp_listener(); b = connected(SOCK_STREAM); int s = accept(a, NULL, NULL); close(a); a = s; }
/* A backlog of 0 has room for one connection, which is b: the next SYN is dropped, and sent again after a second. */
static void make_full_tcp_listener(void) { d = bound(SOCK_STREAM); listen(d, 0); b = connected(SOCK_STREAM); c = socket(AF_INET, SOCK_STREAM, 0); }
static void accept_tcp(void) { accept(d, NULL, NULL); }
static long do_connect_tcp(void) { return connect(c, (void *)&here, sizeof here); }

static void make_udp(void) { a = bound(SOCK_DGRAM); b = connected(SOCK_DGRAM); }

static void make_netlink(void) { a = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE); b = dup(a); }
static void ask_for_links(void) {
  struct { struct nlmsghdr header; struct ifinfomsg link; } request = {
    {.nlmsg_len = sizeof request, .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}, {.ifi_family = AF_UNSPEC}};
  send(b, &request, sizeof request, 0);
}
static long do_netlink(void) { long n = recv(a, buffer, sizeof buffer, 0); return n > 0 ? 1 : n; }

/* In a network namespace of its own: nothing is sent there but what send_frame() sends. */
static void make_packet(void) {
  unshare(CLONE_NEWNET);
  struct ifreq up = {.ifr_name = "lo"};
  b = socket(AF_INET, SOCK_DGRAM, 0);
  ioctl(b, SIOCGIFFLAGS, &up);
  up.ifr_flags |= IFF_UP;
  ioctl(b, SIOCSIFFLAGS, &up);
  a = socket(AF_PACKET, SOCK_DGRAM, htons(ETHERTYPE_IP));
}
static void send_frame(void) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(4242), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  sendto(b, "x", 1, 0, (void *)&to, sizeof to);
}
static long do_packet(void) { return recv(a, buffer, 1, 0); }

static void make_terminal(void) {
  b = posix_openpt(O_RDWR | O_NOCTTY);
  grantpt(b);
  unlockpt(b);
  a = open(ptsname(b), O_RDWR | O_NOCTTY);
}
static void type_line(void) { write(b, "x\n", 2); }
static long do_read_line(void) { return read(a, buffer, 100); }
/* VMIN 0: read(2) waits for a byte or for VTIME, in tenths of a second. */
static void make_timed_terminal(void) {
  make_terminal();
  struct termios set;
  tcgetattr(a, &set);
  cfmakeraw(&set);
  set.c_cc[VMIN] = 0;
  set.c_cc[VTIME] = 250;
  tcsetattr(a, TCSANOW, &set);
}
static void print_byte(void) { write(a, "x", 1); }
static long do_read_master(void) { return read(b, buffer, 100); }
static void make_stopped_terminal(void) { make_terminal(); tcflow(a, TCOOFF); }
static void start_terminal(void) { tcflow(a, TCOON); }
static long do_print(void) { return write(a, "x", 1); }

static long wait_for_events(void) { struct epoll_event event; return syscall(SYS_epoll_pwait2, c, &event, 1, NULL, NULL, 0); }

// Filters of sockets (SO_ATTACH_FILTER, socket(7)): what a program of classic BPF sees of UDP, TCP, raw, packet, netlink and Unix
// sockets, what it keeps, which programs are refused, the lock; and SO_PEEK_OFF of the internet's sockets.
#include "check.h"
#include "loopback.h"
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/udp.h>

static char buffer[4096];

static int attach(int s, const struct sock_filter *code, int count) {
  struct sock_fprog program = {count, (struct sock_filter *)code};
  return setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}
#define ATTACH(s, ...) ({ struct sock_filter code_[] = {__VA_ARGS__}; attach(s, code_, sizeof code_ / sizeof *code_); })
/* Takes what has `value` by this load, all of it. */
#define TAKES(load, value) load, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1), BPF_STMT(BPF_RET | BPF_K, 65535), BPF_STMT(BPF_RET | BPF_K, 0)
#define LOAD(size, mode, k) BPF_STMT(BPF_LD | size | mode, k)

static void fresh_network(void) {
  if (unshare(CLONE_NEWNET) < 0) _exit(1);
  struct ifreq up = {.ifr_name = "lo"};
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  ioctl(s, SIOCGIFFLAGS, &up);
  up.ifr_flags |= IFF_UP;
  if (ioctl(s, SIOCSIFFLAGS, &up) < 0) _exit(2);
  close(s);
}
static long got(int s) { return recv(s, buffer, sizeof buffer, MSG_DONTWAIT); }

static void refusals(void) {
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  struct sock_filter one = BPF_STMT(BPF_RET | BPF_K, 1);
  struct sock_fprog program = {1, &one};
  FAILS("detach without one", ENOENT, setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, 4));
  FAILS("too short", EINVAL, setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &program, 8));
  FAILS("no instructions", EINVAL, attach(s, &one, 0));
  FAILS("too many", EINVAL, attach(s, &one, 4097));
  FAILS("nowhere", EFAULT, attach(s, BAD, 1));
  FAILS("no end", EINVAL, ATTACH(s, LOAD(BPF_W, BPF_IMM, 1)));
  FAILS("a jump too far", EINVAL, ATTACH(s, BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0), one));
  FAILS("memory before it is written", EINVAL, ATTACH(s, LOAD(BPF_W, BPF_MEM, 0), one));
  FAILS("memory there is not", EINVAL, ATTACH(s, BPF_STMT(BPF_ST, 16), one));
  FAILS("by zero", EINVAL, ATTACH(s, BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), one));
  FAILS("modulo zero", EINVAL, ATTACH(s, BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, 0), one));
  FAILS("too far to shift", EINVAL, ATTACH(s, BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 32), one));
  FAILS("an unknown instruction", EINVAL, ATTACH(s, BPF_STMT(0x1234, 0), one));
  FAILS("eight bytes", EINVAL, ATTACH(s, BPF_STMT(BPF_LD | 0x18 | BPF_ABS, 0), one));
  FAILS("an unknown extension", EINVAL, ATTACH(s, LOAD(BPF_W, BPF_ABS, SKF_AD_OFF + 2), one));
  EQUALS("a good one", 0, attach(s, &one, 1));
  EQUALS("another in its place", 0, ATTACH(s, TAKES(LOAD(BPF_W, BPF_LEN, 0), 9)));
  socklen_t size = 10;
  struct sock_filter shown[10];
  EQUALS("SO_GET_FILTER", 0, getsockopt(s, SOL_SOCKET, SO_GET_FILTER, shown, &size));
  EQUALS("its instructions", 4, size);
  EQUALS("the second's operand", 9, shown[1].k);
  size = 0;
  EQUALS("how many", 0, getsockopt(s, SOL_SOCKET, SO_GET_FILTER, NULL, &size));
  EQUALS("as many", 4, size);
  size = 3;
  FAILS("too little room", EINVAL, getsockopt(s, SOL_SOCKET, SO_GET_FILTER, shown, &size));
  EQUALS("not locked", 0, option(s, SOL_SOCKET, SO_LOCK_FILTER));
  EQUALS("lock", 0, set(s, SOL_SOCKET, SO_LOCK_FILTER, 1));
  EQUALS("locked", 1, option(s, SOL_SOCKET, SO_LOCK_FILTER));
  FAILS("unlock", EPERM, set(s, SOL_SOCKET, SO_LOCK_FILTER, 0));
  FAILS("attach then", EPERM, attach(s, &one, 1));
  FAILS("detach then", EPERM, setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, 4));
  close(s);
}

static void udp(void) {
  union address a = loopback(0);
  int s = socket(family, SOCK_DGRAM, 0), t = socket(family, SOCK_DGRAM, 0);
  bind(s, &a.any, size_of());
  a = loopback(port_of(s));
  connect(t, &a.any, size_of());
  a = loopback(0);
  // The UDP header comes first.
  EQUALS("by the first byte of data", 0, ATTACH(s, TAKES(LOAD(BPF_B, BPF_ABS, 8), 'b')));
  send(t, "a1", 2, 0), send(t, "b22", 3, 0), send(t, "", 0, 0), send(t, "c", 1, 0);
  EQUALS("one is kept", 3, got(s));
  FAILS("no other", EAGAIN, got(s));
  EQUALS("by the length", 0, ATTACH(s, TAKES(LOAD(BPF_W, BPF_LEN, 0), 8)));
  send(t, "a1", 2, 0), send(t, "", 0, 0);
  EQUALS("an empty one is kept", 0, got(s));
  FAILS("but it alone", EAGAIN, got(s));
  EQUALS("by its own port", 0, ATTACH(s, TAKES(LOAD(BPF_H, BPF_ABS, 2), port_of(s))));
  send(t, "port", 4, 0);
  EQUALS("it is", 4, got(s));
  EQUALS("by the length that UDP says", 0, ATTACH(s, TAKES(LOAD(BPF_H, BPF_ABS, 4), 11)));
  send(t, "xyz", 3, 0);
  EQUALS("that too", 3, got(s));
  EQUALS("by the IP version", 0, ATTACH(s, LOAD(BPF_B, BPF_ABS, SKF_NET_OFF), BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 4), TAKES(BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, 16), family == AF_INET ? 4 : 6)));
  send(t, "net", 3, 0);
  EQUALS("the network header is there", 3, got(s));
  EQUALS("by the protocol", 0, ATTACH(s, TAKES(LOAD(BPF_W, BPF_ABS, SKF_AD_OFF + SKF_AD_PROTOCOL), family == AF_INET ? ETH_P_IP : ETH_P_IPV6)));
  send(t, "eth", 3, 0);
  EQUALS("is known", 3, got(s));
  EQUALS("past the end", 0, ATTACH(s, LOAD(BPF_W, BPF_ABS, 9), BPF_STMT(BPF_RET | BPF_K, 65535)));
  send(t, "abc", 3, 0), send(t, "abcdefg", 7, 0);
  EQUALS("is lost", 7, got(s));
  EQUALS("kept in part", 0, ATTACH(s, BPF_STMT(BPF_RET | BPF_K, 10)));
  send(t, "abcdef", 6, 0);
  EQUALS("two bytes of data", 2, got(s));
  EQUALS("less than the header", 0, ATTACH(s, BPF_STMT(BPF_RET | BPF_K, 1)));
  send(t, "abcdef", 6, 0);
  EQUALS("is an empty one", 0, got(s));
  EQUALS("by division by zero", 0, ATTACH(s, BPF_STMT(BPF_LDX | BPF_IMM, 0), LOAD(BPF_W, BPF_IMM, 7), BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0), BPF_STMT(BPF_RET | BPF_K, 99)));
  send(t, "abcdef", 6, 0);
  FAILS("nothing", EAGAIN, got(s));
  // X from a header's length, memory, an indirect load: what libpcap makes of "udp[8]".
  EQUALS("by an indirect load", 0, ATTACH(s, BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 8), BPF_STMT(BPF_STX, 3), LOAD(BPF_W, BPF_MEM, 3), BPF_STMT(BPF_MISC | BPF_TAX, 0), TAKES(LOAD(BPF_B, BPF_IND, 5), 'y')));
  send(t, "\1y", 2, 0), send(t, "\1x", 2, 0);
  EQUALS("the one", 2, got(s));
  FAILS("not the other", EAGAIN, got(s));
  EQUALS("detach", 0, setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, 4));
  send(t, "all", 3, 0);
  EQUALS("all again", 3, got(s));
  close(s), close(t);
}

static void peeks(void) {
  union address a = loopback(0);
  int s = socket(family, SOCK_DGRAM, 0), t = socket(family, SOCK_DGRAM, 0);
  bind(s, &a.any, size_of());
  a = loopback(port_of(s));
  connect(t, &a.any, size_of());
  EQUALS("SO_PEEK_OFF", -1, option(s, SOL_SOCKET, SO_PEEK_OFF));
  EQUALS("from the beginning", 0, set(s, SOL_SOCKET, SO_PEEK_OFF, 0));
  send(t, "abcdef", 6, 0), send(t, "ghi", 3, 0), send(t, "", 0, 0), send(t, "jk", 2, 0);
#define PEEK(n) recv(s, buffer, n, MSG_PEEK | MSG_DONTWAIT)
  EQUALS("two", 2, PEEK(2));
  EQUALS("offset", 2, option(s, SOL_SOCKET, SO_PEEK_OFF));
  SAYS("the next", "cd", "%.*s", (int)PEEK(2), buffer);
  SAYS("the rest", "ef", "%.*s", (int)PEEK(5), buffer);
  SAYS("the next message", "ghi", "%.*s", (int)PEEK(5), buffer);
  EQUALS("an empty one, once", 0, PEEK(5));
  SAYS("the last", "jk", "%.*s", (int)PEEK(5), buffer);
  FAILS("no more", EAGAIN, PEEK(5));
  SAYS("receive the first", "abcde", "%.*s", (int)recv(s, buffer, 5, MSG_DONTWAIT), buffer);
  EQUALS("it moves back by what was received", 6, option(s, SOL_SOCKET, SO_PEEK_OFF));
  EQUALS("off", 0, set(s, SOL_SOCKET, SO_PEEK_OFF, -1));
  SAYS("as ever", "ghi", "%.*s", (int)PEEK(5), buffer);
  SAYS("and again", "ghi", "%.*s", (int)PEEK(5), buffer);
  close(s), close(t);
}

static void tcp(void) {
  union address a = loopback(0);
  int listener = socket(family, SOCK_STREAM, 0), t = socket(family, SOCK_STREAM, 0);
  bind(listener, &a.any, size_of());
  a = loopback(port_of(listener));
  // A segment with data has more than its header of 32 bytes (options included); data that begins with "!" is not taken.
  EQUALS("a listener's", 0, ATTACH(listener, BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 12), BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 2), BPF_STMT(BPF_MISC | BPF_TAX, 0), BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_X, 0, 2, 0), BPF_STMT(BPF_LD | BPF_B | BPF_IND, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, '!', 1, 0), BPF_STMT(BPF_RET | BPF_K, 65535), BPF_STMT(BPF_RET | BPF_K, 0)));
  listen(listener, 5);
  EQUALS("connect", 0, connect(t, &a.any, size_of()));
  int s = accept(listener, NULL, NULL);
  socklen_t size = 0;
  EQUALS("is the connection's too", 0, getsockopt(s, SOL_SOCKET, SO_GET_FILTER, NULL, &size));
  EQUALS("all of it", 9, size);
  EQUALS("data", 2, send(t, "ab", 2, 0));
  EQUALS("comes", 2, recv(s, buffer, 10, 0));
  EQUALS("data that is not taken", 2, send(t, "!x", 2, 0));
  struct pollfd one = {s, POLLIN, 0};
  EQUALS("does not come", 0, poll(&one, 1, 300));
  EQUALS("until the filter has gone", 0, setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, 4));
  EQUALS("when it is sent again", 2, recv(s, buffer, 10, 0));
  EQUALS("SO_PEEK_OFF", 0, set(s, SOL_SOCKET, SO_PEEK_OFF, 0));
  send(t, "abcdef", 6, 0);
  poll(&one, 1, -1);
  SAYS("two", "ab", "%.*s", (int)PEEK(2), buffer);
  SAYS("the next", "cdef", "%.*s", (int)PEEK(9), buffer);
  FAILS("no more", EAGAIN, PEEK(9));
  SAYS("received", "abc", "%.*s", (int)recv(s, buffer, 3, 0), buffer);
  EQUALS("it moves back", 3, option(s, SOL_SOCKET, SO_PEEK_OFF));
  FAILS("still no more", EAGAIN, PEEK(9));
  EQUALS("from the beginning", 0, set(s, SOL_SOCKET, SO_PEEK_OFF, 0));
  SAYS("the rest", "def", "%.*s", (int)PEEK(9), buffer);
  close(s), close(t), close(listener);
}

static void raw(void) {
  int s = socket(AF_INET, SOCK_RAW, IPPROTO_UDP), t = socket(AF_INET, SOCK_DGRAM, 0);
  family = AF_INET;
  union address a = loopback(7);
  EQUALS("by the IP header", 0, ATTACH(s, BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0), TAKES(LOAD(BPF_H, BPF_IND, 2), 7)));
  sendto(t, "abc", 3, 0, &a.any, size_of());
  a = loopback(8);
  sendto(t, "abc", 3, 0, &a.any, size_of());
  EQUALS("one", 31, got(s));
  FAILS("not the other", EAGAIN, got(s));
  close(s);
  // To itself: nobody answers with ICMP.
  a = loopback(0);
  bind(t, &a.any, size_of());
  a = loopback(port_of(t));
  for (int type = SOCK_DGRAM; type <= SOCK_RAW; type++) {
    struct sockaddr_ll link = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = 1};
    s = socket(AF_PACKET, type, 0);
    int header = type == SOCK_RAW ? 14 : 0;
    EQUALS("a packet socket's", 0, ATTACH(s, TAKES(LOAD(BPF_B, BPF_ABS, header + 28), 'q')));
    bind(s, (void *)&link, sizeof link);
    sendto(t, "abc", 3, 0, &a.any, size_of());
    sendto(t, "qbc", 3, 0, &a.any, size_of());
    EQUALS("on its way out", header + 31, got(s));
    EQUALS("and in", header + 31, got(s));
    FAILS("no other", EAGAIN, got(s));
    EQUALS("by kind", 0, ATTACH(s, LOAD(BPF_W, BPF_ABS, SKF_AD_OFF + SKF_AD_PKTTYPE), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0), TAKES(LOAD(BPF_W, BPF_ABS, SKF_AD_OFF + SKF_AD_IFINDEX), 1)));
    sendto(t, "abc", 3, 0, &a.any, size_of());
    EQUALS("what comes in", header + 31, got(s));
    FAILS("alone", EAGAIN, got(s));
    EQUALS("a part", 0, ATTACH(s, BPF_STMT(BPF_RET | BPF_K, header + 20)));
    sendto(t, "abc", 3, 0, &a.any, size_of());
    EQUALS("is all there is", header + 20, recv(s, buffer, 5, MSG_DONTWAIT | MSG_TRUNC));
    close(s);
  }
  close(t);
}

static void others(void) {
  for (int type = SOCK_DGRAM; type <= SOCK_SEQPACKET; type += SOCK_SEQPACKET - SOCK_DGRAM) {
    int ends[2];
    socketpair(AF_UNIX, type, 0, ends);
    EQUALS("a Unix socket's", 0, ATTACH(ends[0], TAKES(LOAD(BPF_B, BPF_ABS, 0), 'b')));
    EQUALS("what it loses is sent", 2, send(ends[1], "ab", 2, 0));
    EQUALS("what it keeps", 3, send(ends[1], "bcd", 3, 0));
    EQUALS("comes", 3, got(ends[0]));
    FAILS("alone", EAGAIN, got(ends[0]));
    EQUALS("a part", 0, ATTACH(ends[0], BPF_STMT(BPF_RET | BPF_K, 2)));
    send(ends[1], "bcd", 3, 0);
    EQUALS("two", 2, got(ends[0]));
    close(ends[0]), close(ends[1]);
  }
  int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  struct { struct nlmsghdr h; struct ifinfomsg i; } request = {{sizeof request, RTM_GETLINK, NLM_F_REQUEST, 7, 0}, {.ifi_index = 1}};
  EQUALS("netlink's, by the type", 0, ATTACH(s, TAKES(LOAD(BPF_H, BPF_ABS, 4), RTM_NEWLINK << 8)));
  send(s, &request, sizeof request, 0);
  TRUE("the answer", got(s) > 0);
  EQUALS("another's", 0, ATTACH(s, TAKES(LOAD(BPF_H, BPF_ABS, 4), RTM_NEWADDR << 8)));
  send(s, &request, sizeof request, 0);
  FAILS("is lost", EAGAIN, got(s));
  close(s);
}

int main(void) {
  fresh_network();
  refusals();
  for (int i = 0; i < 2; i++) {
    family = i == 0 ? AF_INET : AF_INET6;
    udp();
    peeks();
    tcp();
  }
  raw();
  others();
  return 0;
}

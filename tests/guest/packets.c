// AF_PACKET as tcpdump and its like use it: frames of loopback in a network namespace of the program's own, their addresses and
// auxiliary data, sending, and the receive ring of the first two versions.
#include "check.h"
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>

#ifndef SO_DETACH_FILTER
#define SO_DETACH_FILTER 27
#endif

#define PORT 4242
#define FRAME 2048
#define BLOCK 4096
#define BLOCKS 2
#define FRAMES (BLOCKS * BLOCK / FRAME)

static unsigned char bytes[4096];
static struct sockaddr_in to = {.sin_family = AF_INET};

static void fresh_network(void) {
  if (unshare(CLONE_NEWNET) < 0) _exit(1);
  struct ifreq up = {.ifr_name = "lo"};
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  ioctl(s, SIOCGIFFLAGS, &up);
  up.ifr_flags |= IFF_UP;
  if (ioctl(s, SIOCSIFFLAGS, &up) < 0) _exit(2);
  close(s);
  to.sin_port = htons(PORT);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

static int packet_socket(int type, int protocol) {
  int s = socket(AF_PACKET, type | SOCK_CLOEXEC, htons(protocol));
  struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = 1};
  if (s < 0 || bind(s, (void *)&a, sizeof a) < 0) _exit(3);
  return s;
}

/* A datagram over loopback that nobody takes. */
static void send_datagram(int size) {
  static char data[1024];
  int s = socket(AF_INET, SOCK_DGRAM, 0), r = socket(AF_INET, SOCK_DGRAM, 0);
  bind(r, (void *)&to, sizeof to);
  if (sendto(s, data, size, 0, (void *)&to, sizeof to) != size) _exit(4);
  close(s);
  close(r);
}

/* Waits for the next frame that is a datagram of ours and not the copy on the way out. */
static long next_frame(int s, struct sockaddr_ll *from) {
  for (;;) {
    struct pollfd p = {.fd = s, .events = POLLIN};
    if (poll(&p, 1, 20000) != 1) return -1;
    socklen_t n = sizeof *from;
    long got = recvfrom(s, bytes, sizeof bytes, MSG_TRUNC, (void *)from, &n);
    if (got < 0) return -2;
    if (from->sll_pkttype != PACKET_OUTGOING) return got;
  }
}

static void making(void) {
  FAILS("a stream", ESOCKTNOSUPPORT, socket(AF_PACKET, SOCK_STREAM, 0));
  int s = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
  TRUE("a socket", s >= 0);
  struct sockaddr_ll a;
  socklen_t n = sizeof a;
  EQUALS("getsockname", 0, getsockname(s, (void *)&a, &n));
  SAYS("unbound", "17 3 0 0 0", "%d %d %d %d %d", a.sll_family, ntohs(a.sll_protocol), a.sll_ifindex, a.sll_hatype,
       a.sll_halen);
  FAILS("getpeername", EOPNOTSUPP, getpeername(s, (void *)&a, &n));
  FAILS("connect", EOPNOTSUPP, connect(s, (void *)&a, sizeof a));
  FAILS("listen", EOPNOTSUPP, listen(s, 1));
  FAILS("shutdown", EOPNOTSUPP, shutdown(s, SHUT_RD));
  FAILS("a short address", EINVAL, bind(s, (void *)&a, 10));
  a.sll_ifindex = 1234;
  FAILS("an interface that is not there", ENODEV, bind(s, (void *)&a, sizeof a));
  a.sll_ifindex = 1;
  EQUALS("bind", 0, bind(s, (void *)&a, sizeof a));
  n = sizeof a;
  getsockname(s, (void *)&a, &n);
  SAYS("bound to loopback", "3 1 772 6", "%d %d %d %d", ntohs(a.sll_protocol), a.sll_ifindex, a.sll_hatype, a.sll_halen);
  FAILS("no filter to take away", ENOENT, setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, 4));
  FAILS("nothing to read", EAGAIN, recv(s, bytes, sizeof bytes, MSG_DONTWAIT));
  close(s);
  if (fork() == 0) {
    struct { unsigned version; int pid; } head = {0x20080522, 0};
    unsigned none[6] = {0};
    syscall(SYS_capset, &head, none);
    FAILS("without CAP_NET_RAW", EPERM, socket(AF_PACKET, SOCK_RAW, 0));
    _exit(0);
  }
  wait(NULL);
}

static void frames(void) {
  struct sockaddr_ll from;
  for (int type = SOCK_DGRAM; type <= SOCK_RAW; type++) {
    int s = packet_socket(type, ETH_P_ALL), link = type == SOCK_RAW ? ETH_HLEN : 0;
    send_datagram(100);
    long n = next_frame(s, &from);
    struct iphdr *ip = (void *)(bytes + link);
    struct udphdr *udp = (void *)(ip + 1);
    SAYS(type == SOCK_RAW ? "a whole frame" : "a frame without header", type == SOCK_RAW ? "142" : "128", "%ld", n);
    SAYS("is the datagram", "4 17 4242 108", "%d %d %d %d", ip->version, ip->protocol, ntohs(udp->dest), ntohs(udp->len));
    SAYS("of loopback", "17 800 1 772 0 6", "%d %x %d %d %d %d", from.sll_family, ntohs(from.sll_protocol), from.sll_ifindex,
         from.sll_hatype, from.sll_pkttype, from.sll_halen);
    if (link > 0) SAYS("its EtherType", "0800", "%02x%02x", bytes[12], bytes[13]);
    close(s);
  }
  int s = packet_socket(SOCK_RAW, ETH_P_ARP);
  send_datagram(10);
  struct pollfd p = {.fd = s, .events = POLLIN};
  EQUALS("none of another protocol", 0, poll(&p, 1, 0));
  close(s);
}

static void auxiliary(void) {
  int s = packet_socket(SOCK_DGRAM, ETH_P_IP), on = 1;
  EQUALS("PACKET_AUXDATA", 0, setsockopt(s, SOL_PACKET, PACKET_AUXDATA, &on, sizeof on));
  EQUALS("SO_TIMESTAMPNS", 0, setsockopt(s, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on));
  send_datagram(50);
  struct pollfd p = {.fd = s, .events = POLLIN};
  EQUALS("a frame", 1, poll(&p, 1, 20000));
  char control[256];
  struct iovec vector = {bytes, 20};
  struct msghdr m = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  EQUALS("the part of it that fits", 20, recvmsg(s, &m, 0));
  TRUE("and it is said to be one", m.msg_flags & MSG_TRUNC);
  int seen = 0;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c != NULL; c = CMSG_NXTHDR(&m, c)) {
    if (c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA) {
      struct tpacket_auxdata *a = (void *)CMSG_DATA(c);
      SAYS("auxiliary data", "78 78 0 1", "%u %u %u %d", a->tp_len, a->tp_snaplen, a->tp_mac, a->tp_status & TP_STATUS_USER);
      seen |= 1;
    }
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
      struct timespec *t = (void *)CMSG_DATA(c), now;
      clock_gettime(CLOCK_REALTIME, &now);
      TRUE("a time of now", now.tv_sec - t->tv_sec >= 0 && now.tv_sec - t->tv_sec < 60 && t->tv_nsec < 1000000000);
      seen |= 2;
    }
  }
  EQUALS("both came", 3, seen);
  struct tpacket_stats stats;
  socklen_t n = sizeof stats;
  EQUALS("PACKET_STATISTICS", 0, getsockopt(s, SOL_PACKET, PACKET_STATISTICS, &stats, &n));
  SAYS("counted", "1 0", "%u %u", stats.tp_packets, stats.tp_drops);
  close(s);
}

static void sending(void) {
  int s = packet_socket(SOCK_DGRAM, ETH_P_IP), r = packet_socket(SOCK_RAW, ETH_P_ALL);
  struct sockaddr_ll where = {.sll_family = AF_PACKET, .sll_protocol = htons(0x88b5), .sll_ifindex = 1, .sll_halen = 6}, from;
  EQUALS("sendto", 5, sendto(s, "hello", 5, 0, (void *)&where, sizeof where));
  long n = next_frame(r, &from);
  SAYS("comes in", "19 88b5 hello", "%ld %x %.5s", n, ntohs(from.sll_protocol), bytes + ETH_HLEN);
  where.sll_ifindex = 77;
  FAILS("by an interface that is not there", ENXIO, sendto(s, "hello", 5, 0, (void *)&where, sizeof where));
  FAILS("a frame shorter than its header", EINVAL, send(r, "hello", 5, 0));
  close(s);
  close(r);
}

static void ring_of(int version) {
  char name[64];
  int s = packet_socket(SOCK_RAW, ETH_P_IP), header = version;
  socklen_t n = sizeof header;
  snprintf(name, sizeof name, "version %d", version + 1);
  EQUALS(name, 0, setsockopt(s, SOL_PACKET, PACKET_VERSION, &version, sizeof version));
  EQUALS("PACKET_HDRLEN", 0, getsockopt(s, SOL_PACKET, PACKET_HDRLEN, &header, &n));
  EQUALS("is", 32, header);
  struct tpacket_req r = {.tp_block_size = BLOCK, .tp_block_nr = BLOCKS, .tp_frame_size = FRAME, .tp_frame_nr = FRAMES + 1};
  FAILS("frames that do not fit", EINVAL, setsockopt(s, SOL_PACKET, PACKET_RX_RING, &r, sizeof r));
  r.tp_frame_nr = FRAMES;
  r.tp_block_size = BLOCK + 1;
  FAILS("a block that is no page", EINVAL, setsockopt(s, SOL_PACKET, PACKET_RX_RING, &r, sizeof r));
  r.tp_block_size = BLOCK;
  EQUALS("PACKET_RX_RING", 0, setsockopt(s, SOL_PACKET, PACKET_RX_RING, &r, sizeof r));
  FAILS("the version is fixed by it", EBUSY, setsockopt(s, SOL_PACKET, PACKET_VERSION, &version, sizeof version));
  unsigned char *ring = mmap(NULL, BLOCKS * BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, s, 0);
  TRUE("mapped", ring != MAP_FAILED);
  if (ring == MAP_FAILED) return;
  struct pollfd p = {.fd = s, .events = POLLIN};
  EQUALS("empty", 0, poll(&p, 1, 0));
  /* Twice around; of each lap the ring is full before it is read. */
  for (int lap = 0; lap < 2; lap++) {
    for (int i = 0; i < FRAMES; i++) send_datagram(10 + i);
    for (int i = 0; i < FRAMES; i++) {
      EQUALS("poll", 1, poll(&p, 1, 20000));
      unsigned char *slot = ring + i * FRAME;
      volatile uint32_t *status = (void *)slot;
      for (int spins = 0; (*status & TP_STATUS_USER) == 0 && spins < 20000; spins++) usleep(1000);
      unsigned length, kept, mac, net;
      if (version == TPACKET_V1) {
        struct tpacket_hdr *h = (void *)slot;
        length = h->tp_len, kept = h->tp_snaplen, mac = h->tp_mac, net = h->tp_net;
      } else {
        struct tpacket2_hdr *h = (void *)slot;
        length = h->tp_len, kept = h->tp_snaplen, mac = h->tp_mac, net = h->tp_net;
      }
      char wanted[64];
      snprintf(wanted, sizeof wanted, "1 %d %d 66 80", 52 + i, 52 + i);
      SAYS("slot", wanted, "%d %u %u %u %u", *status & TP_STATUS_USER, length, kept, mac, net);
      struct sockaddr_ll *from = (void *)(slot + TPACKET_ALIGN(header));
      SAYS("its address", "17 800 1 772", "%d %x %d %d", from->sll_family, ntohs(from->sll_protocol), from->sll_ifindex,
           from->sll_hatype);
      struct udphdr *udp = (void *)(slot + net + sizeof(struct iphdr));
      EQUALS("its datagram", 18 + i, ntohs(udp->len));
      *status = TP_STATUS_KERNEL;
    }
    EQUALS("empty again", 0, poll(&p, 1, 0));
  }
  munmap(ring, BLOCKS * BLOCK);
  memset(&r, 0, sizeof r);
  EQUALS("the ring goes", 0, setsockopt(s, SOL_PACKET, PACKET_RX_RING, &r, sizeof r));
  send_datagram(7);
  struct sockaddr_ll from;
  EQUALS("frames are read again", 49, next_frame(s, &from));
  close(s);
}

int main(void) {
  fresh_network();
  making();
  frames();
  auxiliary();
  sending();
  ring_of(TPACKET_V1);
  ring_of(TPACKET_V2);
  return 0;
}

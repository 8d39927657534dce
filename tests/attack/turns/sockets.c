// Sockets: long vectors of messages, messages of many pieces, what travels in them.
#include "turns.h"
#include <netinet/in.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <sys/un.h>

static void pair(int type, int ends[2]) {
  check(socketpair(AF_UNIX, type, 0, ends) == 0, "socketpair");
  for (int i = 0; i < 2; i++) {
    int bytes = 8 << 20;
    setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    setsockopt(ends[i], SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    fcntl(ends[i], F_SETFL, O_NONBLOCK);
  }
}

static void messages(void) {
  static struct mmsghdr list[1024];
  static struct iovec pieces[1024];
  int ends[2];
  pair(SOCK_STREAM, ends);
  char *bytes = reserve(64 * MIB);
  for (int i = 0; i < 1024; i++) {
    pieces[i] = (struct iovec){bytes + i * 4096, 1};
    list[i].msg_hdr = (struct msghdr){.msg_iov = pieces, .msg_iovlen = 50};
  }
  int sent = 0;
  sent += sendmmsg(ends[0], list, 1024, 0) > 0;
  recvmmsg(ends[1], list, 1024, 0, 0);
  check(sent > 0, "sendmmsg");
}
static void large_messages(void) {
  static struct mmsghdr list[1024];
  static struct iovec pieces[1024];
  struct sockaddr_in address = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof address;
  int to = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), from = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  char *bytes = reserve(MIB);
  if (bind(to, (void *)&address, sizeof address) < 0 || getsockname(to, (void *)&address, &length) < 0) return;
  for (int i = 0; i < 1024; i++) {
    pieces[i] = (struct iovec){bytes, 60000};
    list[i].msg_hdr = (struct msghdr){&address, sizeof address, &pieces[i], 1};
  }
  // Which part of them finds room is the network's affair.
  for (int i = 0; i < 3; i++) sendmmsg(from, list, 1024, 0);
  recvmmsg(to, list, 1024, 0, 0);
}
static void large_send(void) {
  static struct iovec pieces[1024];
  int ends[2];
  pair(SOCK_STREAM, ends);
  char *bytes = reserve(64 * MIB);
  for (int i = 0; i < 1024; i++) pieces[i] = (struct iovec){bytes + i * 65536, 65536};
  struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 1024};
  for (int i = 0; i < 20; i++) {
    check(sendmsg(ends[0], &message, 0) > 0, "sendmsg");
    check(recvmsg(ends[1], &message, 0) > 0, "recvmsg");
    while (recv(ends[1], bytes, 64 * MIB, 0) > 0);
  }
}
/** A process reads what another sends, gigabytes at a time. */
static void stream(void) {
  int ends[2];
  check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair");
  char *bytes = reserve(64 * MIB);
  pid_t child = fork();
  if (child == 0) {
    send(ends[0], bytes, 64 * MIB, 0);
    _exit(0);
  }
  check(recv(ends[1], bytes, 64 * MIB, MSG_WAITALL) == 64 * MIB, "recv");
  waitpid(child, 0, 0);
}
static void many_descriptors(void) {
  int ends[2], list[253];
  pair(SOCK_DGRAM, ends);
  allow_files(20000);
  for (int i = 0; i < 253; i++) list[i] = 0;
  char byte = 0, control[CMSG_SPACE(sizeof list)];
  struct iovec one = {&byte, 1};
  struct msghdr message = {.msg_iov = &one, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  for (int i = 0; i < 200; i++) {
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    *rights = (struct cmsghdr){CMSG_LEN(sizeof list), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(rights), list, sizeof list);
    if (sendmsg(ends[0], &message, 0) < 0) break;
  }
  begin();
  for (int i = 0; i < 50; i++) recvmsg(ends[1], &message, 0);
  close(ends[0]), close(ends[1]);
}
/** A socket in a message in a socket in a message, and so on: the outermost. */
static int chain(void) {
  int inner = -1;
  for (int i = 0; i < 2000; i++) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) break;
    if (inner >= 0) {
      char byte = 0, control[CMSG_SPACE(4)] = {0};
      struct iovec one = {&byte, 1};
      struct msghdr message = {.msg_iov = &one, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
      struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
      *rights = (struct cmsghdr){CMSG_LEN(4), SOL_SOCKET, SCM_RIGHTS};
      memcpy(CMSG_DATA(rights), &inner, 4);
      check(sendmsg(ends[0], &message, 0) == 1, "sendmsg");
      close(inner);
    }
    close(ends[0]);
    inner = ends[1];
  }
  return inner;
}
static void nested(void) {
  int outermost = chain();
  begin();
  close(outermost);
  settle();
}
static void nested_killed(void) {
  int ready[2];
  pipe(ready);
  pid_t child = fork();
  if (child == 0) {
    chain();
    write(ready[1], "", 1);
    for (;;) pause();
  }
  char byte;
  check(read(ready[0], &byte, 1) == 1, "fork");
  begin();
  kill(child, SIGKILL);
  check(waitpid(child, NULL, 0) == child, "waitpid");
  settle();
}
static void many_sockets(void) {
  enum { COUNT = 1000 };
  allow_files(COUNT + 100);
  for (int i = 0; i < COUNT; i++) {
    struct sockaddr_un address = {AF_UNIX};
    snprintf(address.sun_path + 1, 30, "turns-%d", i);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    check(bind(fd, (void *)&address, 3 + 10) == 0 || errno == EADDRINUSE, "bind");
    listen(fd, 1000000);
  }
  begin();
  for (int i = 0; i < 3; i++) read_all("/proc/net/unix");
  read_all("/proc/net/tcp");
  read_all("/proc/net/dev");
}
/** More connections than anybody accepts. */
static void backlog(void) {
  struct sockaddr_un address = {AF_UNIX, "\0turns-backlog"};
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  allow_files(6000);
  check(bind(listener, (void *)&address, 2 + 14) == 0 && listen(listener, 4096) == 0, "listen");
  for (int i = 0; i < 1000; i++) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (connect(fd, (void *)&address, 2 + 14) < 0) break;
  }
  begin();
  close(listener);
}
static void options(void) {
  char *bytes = reserve(MIB);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0) return;
  for (int level = 0; level < 60; level++) {
    for (int name = 0; name < 60; name++) {
      socklen_t length = MIB;
      getsockopt(fd, level, name, bytes, &length);
    }
  }
}


struct rule {
  struct ipt_entry entry;
  struct xt_standard_target target;
};
static void put_rule(struct rule *rule, int verdict) {
  rule->entry.target_offset = sizeof rule->entry;
  rule->entry.next_offset = sizeof *rule;
  rule->target.target.u.user.target_size = sizeof rule->target;
  rule->target.verdict = verdict;
}
/** The whole table "filter", with as many rules for INPUT as there may be. */
static void packet_filter(void) {
  enum { RULES = 32000, ENTRIES = RULES + 4, DROP = -NF_DROP - 1, ACCEPT = -NF_ACCEPT - 1 };
  size_t size = (ENTRIES - 1) * sizeof(struct rule) + sizeof(struct ipt_entry) + sizeof(struct xt_error_target);
  struct ipt_replace *table = (void *)reserve(sizeof *table + size);
  struct rule *rules = (void *)table->entries;
  strcpy(table->name, "filter");
  table->valid_hooks = 1 << NF_INET_LOCAL_IN | 1 << NF_INET_FORWARD | 1 << NF_INET_LOCAL_OUT;
  table->num_entries = ENTRIES, table->size = size, table->num_counters = 4;
  table->counters = (void *)reserve(4 * sizeof *table->counters);
  for (int i = 0; i < RULES; i++) {
    rules[i].entry.ip.src.s_addr = htonl(0x0a000000 + i), rules[i].entry.ip.smsk.s_addr = -1;
    rules[i].entry.ip.proto = IPPROTO_TCP;
    put_rule(&rules[i], DROP);
  }
  for (int hook = NF_INET_LOCAL_IN, i = RULES; hook <= NF_INET_LOCAL_OUT; hook++, i++) {
    table->hook_entry[hook] = hook == NF_INET_LOCAL_IN ? 0 : i * sizeof *rules;
    table->underflow[hook] = i * sizeof *rules;
    put_rule(&rules[i], ACCEPT);
  }
  struct ipt_entry *last = (void *)&rules[RULES + 3];
  struct xt_error_target *error = (void *)last->elems;
  last->target_offset = sizeof *last, last->next_offset = sizeof *last + sizeof *error;
  error->target.u.user.target_size = sizeof *error;
  strcpy(error->target.u.user.name, XT_ERROR_TARGET), strcpy(error->errorname, XT_ERROR_TARGET);
  int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  check(fd >= 0, "socket");
  settle();
  begin();
  check(setsockopt(fd, IPPROTO_IP, IPT_SO_SET_REPLACE, table, sizeof *table + size) == 0, "IPT_SO_SET_REPLACE");
  end();
}

const struct turns_case socket_cases[] = {
  {"messages", "sendmmsg recvmmsg", messages},
  {"large_messages", "sendmmsg recvmmsg sendto", large_messages},
  {"large_send", "sendmsg recvmsg", large_send},
  {"stream", "sendto recvfrom", stream},
  {"many_descriptors", "sendmsg recvmsg", many_descriptors},
  {"nested_sockets", "socketpair close sendmsg", nested},
  {"nested_killed", "kill exit_group", nested_killed},
  {"many_sockets", "socket bind listen", many_sockets},
  {"backlog", "connect accept accept4 shutdown", backlog},
  {"options", "setsockopt getsockopt", options},
  {"packet_filter", "setsockopt", packet_filter},
  {0},
};

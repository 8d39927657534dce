// Random calls with random and boundary arguments, from a seed: what syzkaller is to Linux, small. The table of calls is
// made from the kernel's own (fuzz_table.ts), as fuzz_calls.h.
//
//   fuzz SEED PROGRAMS SECONDS [show | trace]
//
// A program is a process with two threads that share a pool of descriptors of every kind, a room of memory and a working
// directory; it ends by itself, or is killed. As the sandbox's init we outlive what programs do to everybody. After each,
// the sandbox must still work; at the end nothing of them may be left. Prints what is wrong, then "done".
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum kind {
  K_int, K_uint, K_long, K_word, K_size, K_offset, K_fd, K_dirfd, K_pid, K_uid, K_gid, K_mode, K_signal, K_clock, K_path,
  K_string, K_strings, K_flags, K_values, K_buffer, K_struct
};
struct argument {
  const char *name;
  enum kind kind;
  int count;  // the argument that counts the units of this buffer, -1 = none
  int bytes;  // of a unit, or of the struct
  const long *values;
  int value_count;
};
struct call {
  const char *name;
  int number;
  int argument_count;
  struct argument arguments[6];
};
#include "fuzz_calls.h"

#define COUNT(list) ((int)(sizeof(list) / sizeof *(list)))
#define CALLS_PER_THREAD 120
#define THEME_CALLS 16
#define PROGRAM_MILLIS_MAX 150
#define STALL_SECONDS_MAX 20
#define ROOM 0x10000000l       // where arguments point to
#define ROOM_BYTES 0x40000l    // the page behind is nobody's
#define GROUND 0x20000000l     // where mapping calls take place
#define GROUND_BYTES 0x100000l
#define PROC_NAMES_MAX 600
#define ERRNO_LAST 133

static const char *proc_names[PROC_NAMES_MAX];
static int proc_name_count;

// --- what the parent reads of a program, also when it is dead ------------------------------------------------------------

#define SHOWN 512
struct shown {
  int thread, number;
  long args[6], result;
  char path[48];
};
static struct {
  unsigned count;
  struct shown calls[SHOWN];
  int wants_trace, trace_fd;  // calls are told before they are made
  int is_lost;    // it had no place to run in: an earlier one has taken /tmp away
  long long bad;  // number << 32 | result, of a result that no call may have
} *shared;

// --- chance --------------------------------------------------------------------------------------------------------------

static __thread uint64_t state;
static __thread int thread_number;
static uint64_t next(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state * 0x2545f4914f6cdd1dull >> 11;
}
static int below(int n) { return next() % n; }
static int one_in(int n) { return below(n) == 0; }
#define ANY(list) ((list)[below(COUNT(list))])

static const long ints[] = {0, 0, 0, 1, 1, 2, 3, 4, 5, 7, 8, 10, 16, 20, 32, 63, 64, 65, 100, 127, 128, 255, 256, 511, 512, 1000, 1023, 1024, 1025, 4095, 4096,
  4097, 65535, 65536, 100000, 1 << 20, 1 << 24, 1 << 30, 0x7ffffffe, 0x7fffffff, -1, -1, -2, -100, -4096, -0x80000000l};
static const long longs[] = {0x80000000l, 0xffffffffl, 0x100000000l, 0x100000001l, (1l << 40) + 1, (1l << 47) - 4096, (1l << 47) - 1, 1l << 47, (1l << 53) - 1, 1l << 53,
  (1l << 53) + 1, 1l << 62, 0x7fffffffffffffffl, 0x7fffffffffffffffl - 4095, 0x7ffffffffffff000l, (long)0x8000000000000000ul, (long)0x8000000000000001ul,
  (long)0xffff800000000000ul, -4095, -4096, -4097, -0x100000000l};
static long an_int(void) { return one_in(12) ? (long)(int)next() : ANY(ints); }
static long a_long(void) { return one_in(3) ? ANY(longs) : one_in(20) ? (long)(next() << 11) : an_int(); }
static long a_size(void) {
  switch (below(8)) {
    case 0: return a_long();
    case 1: return an_int();
    case 2: return below(65536);
    case 3: return 4096 * below(64);
    default: return below(260);
  }
}
static int a_fd(void) { return one_in(40) ? an_int() : one_in(30) ? AT_FDCWD : below(48); }
static long an_id(void) { return one_in(3) ? -1 : one_in(2) ? 0 : one_in(2) ? 1000 : an_int(); }
static int a_pid(void) {
  switch (below(8)) {
    case 0: return 1;
    case 1: return an_int();
    case 2: return -getpid();
    case 3: return syscall(SYS_gettid);
    case 4: return 2 + below(200);
    default: return one_in(2) ? 0 : getpid();
  }
}

// --- memory --------------------------------------------------------------------------------------------------------------

static long address(void) {
  switch (below(30)) {
    case 0: return 0;
    case 1: return ROOM + ROOM_BYTES - below(32);       // runs into nothing
    case 2: return a_long();
    case 3: return GROUND + below(GROUND_BYTES);
    case 4: return 0x7fe000000000l + (below(4) << 20);  // the stub's
    case 5: return (1l << 47) - below(4097);
    case 6: return (long)proc_names[0] & ~4095;         // read-only or the program's own
    default: return ROOM + 8 * below(ROOM_BYTES / 8 - 2048);
  }
}
static long ground(void) {
  if (one_in(8)) return address();
  return GROUND + 4096 * below(GROUND_BYTES / 4096) + (one_in(10) ? below(4096) : 0);
}
static long ground_size(void) { return one_in(8) ? a_long() : 4096 * (1 + below(one_in(4) ? 256 : 8)) + (one_in(10) ? below(4096) : 0); }

static const char *const near_paths[] = {".", "..", "", "/", "file", "file", "file", "other", "directory", "directory/", "directory/inner", "directory/..", "link", "loop", "dangling",
  "fifo", "socket", "new", "new2", "directory/new", "file/", "file/x", "./././file", "directory/../file", "//file", "/tmp", "/dev", "/proc", "/sys"};
static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/ptmx", "/dev/pts/0", "/dev/pts/ptmx", "/dev/shm/x", "/dev/random", "/dev/console",
  "/dev/fd/3", "/proc/self/exe", "/proc/self/cwd/file", "/proc/self/root", "/proc/self/mem", "/proc/self/maps", "/proc/self/ns/mnt", "/proc/self/ns/user", "/proc/self/fd/5",
  "/proc/self/task/self/status", "/proc/self/oom_score_adj", "/proc/self/uid_map", "/proc/self/comm", "/proc/thread-self", "/proc/sys/kernel/hostname", "/bin/true", "/etc/passwd"};
static void a_path(char *into) {
  switch (below(12)) {
    case 0: strcpy(into, ANY(devices)); return;
    case 1: strcpy(into, proc_names[below(proc_name_count)]); return;
    case 2:
      if (one_in(8)) sprintf(into, "%*s", (int)ANY(((int[]){254, 255, 256, 4094, 4095, 4096, 5000})), "x");
      else sprintf(into, "/proc/%s/fd/%d", one_in(2) ? "self" : "1", below(48));
      return;
    case 3: {
      int length = below(20);
      for (int i = 0; i < length; i++) into[i] = one_in(4) ? '/' : one_in(4) ? '.' : (char)next();
      into[length] = 0;
      return;
    }
    default: strcpy(into, ANY(near_paths)); return;
  }
}
static const char *const strings[] = {"", "x", "user.a", "user.b", "user.", "security.capability", "system.posix_acl_access", "system.posix_acl_default", "trusted.x", "proc", "tmpfs", "sysfs",
  "overlay", "devpts", "mqueue", "cgroup2", "size=1k", "size=-1", "size=99999999999999999999", "mode=777", "size=4k,nr_inodes=2", "lowerdir=.,upperdir=directory,workdir=other", "lowerdir=.:..",
  "/queue", "/queue2", "name,with,commas", "=", ",,,,", "%n%s"};

static void words(long at, int bytes) {
  for (int i = 0; i + 4 <= bytes; i += one_in(2) ? 4 : 8) {
    long value = one_in(4) ? address() : one_in(3) ? a_fd() : a_long();
    memcpy((void *)(at + i), &value, bytes - i < 8 ? 4 : 8);
  }
}
static void a_time(long *time, int unit) {
  time[0] = one_in(4) ? a_long() : 0;
  time[1] = one_in(6) ? a_long() : below(4) * (unit / 1000);
}
static int sockaddr(char *at) {
  struct sockaddr_un *un = (void *)at;
  un->sun_family = one_in(8) ? below(46) : AF_UNIX;
  if (one_in(3)) {
    un->sun_path[0] = 0;
    sprintf(un->sun_path + 1, "abstract%d", below(3));
    return one_in(8) ? an_int() : 3 + 9;
  }
  strcpy(un->sun_path, one_in(8) ? "file" : one_in(3) ? "socket" : "new");
  return one_in(8) ? an_int() : (int)(2 + strlen(un->sun_path) + below(2));
}
static void iovecs(long at, int count) {
  struct iovec *iov = (void *)at;
  for (int i = 0; i < count; i++) iov[i] = (struct iovec){(void *)address(), one_in(4) ? a_size() : below(600)};
}
static void message(long at) {
  struct msghdr *m = (void *)at;
  char *name = (char *)at + 128, *control = (char *)at + 512;
  m->msg_namelen = one_in(2) ? 0 : sockaddr(name);
  m->msg_name = m->msg_namelen == 0 ? NULL : name;
  m->msg_iovlen = one_in(10) ? a_size() : below(4);
  m->msg_iov = (void *)(at + 1024);
  iovecs(at + 1024, 4);
  m->msg_control = one_in(2) ? NULL : control;
  m->msg_controllen = m->msg_control ? one_in(6) ? a_size() : CMSG_SPACE(8) : 0;
  struct cmsghdr *c = (void *)control;
  *c = (struct cmsghdr){one_in(4) ? (size_t)a_size() : CMSG_LEN(8), one_in(8) ? an_int() : SOL_SOCKET, one_in(6) ? an_int() : SCM_RIGHTS};
  ((int *)CMSG_DATA(c))[0] = a_fd();
  ((int *)CMSG_DATA(c))[1] = a_fd();
}
static void filter(long at) {
  struct sock_fprog *program = (void *)at;
  struct sock_filter *code = (void *)(at + 64);
  program->len = one_in(6) ? an_int() : 1 + below(5);
  program->filter = code;
  for (int i = 0; i < 6; i++) code[i] = (struct sock_filter){one_in(2) ? below(256) : 0x20, below(4), below(4), one_in(2) ? a_long() : 4 * below(20)};
  if (!one_in(4)) code[program->len % 6 ? program->len % 6 - 1 : 0] = (struct sock_filter){6, 0, 0, one_in(3) ? a_long() : SECCOMP_RET_ALLOW};
}

// What a struct argument holds goes by its name; one in five is something else.
static void fill(const char *call, const char *name, long at, int bytes) {
  static const char *const names[] = {"req", "iov", "msg", "sigmask", "fds", "event", "rlim", "new_value", "sops", "act", "sevp", "info", "argv", "cl_args", "how", "args", "attr", "ss", "waiters",
    "addr", "hdrp", "msgp", "msgvec", "offset", "times", "mask", "param", "timeout", "local_iov", "remote_iov", "set", "readfds", "optlen", "buf", "dest_addr", "tv", "list"};
  const char *is = one_in(5) ? ANY(names) : name;
#define IS(what) (strcmp(is, what) == 0)
  long *l = (void *)at;
  int *i = (void *)at;
  if (bytes > 4096) bytes = 4096;
  words(at, one_in(2) ? bytes : 16);
  if (IS("req") || IS("request") || IS("timeout") || IS("tmo_p") || IS("abs_timeout") || IS("tp") || IS("tv") || IS("times")) {
    a_time(l, 1000000000);
    a_time(l + 2, 1000000000);
  } else if (IS("iov") || IS("local_iov") || IS("remote_iov")) iovecs(at, 8);
  else if (IS("msg")) message(at);
  else if (IS("msgvec")) {
    for (int n = 0; n < 3; n++) {
      message(at + 4096 * (n + 1));
      memcpy((char *)at + 64 * n, (void *)(at + 4096 * (n + 1)), 56);
    }
  } else if (IS("sigmask") || IS("mask") || IS("set")) l[0] = one_in(2) ? a_long() : one_in(2) ? 0 : 1l << below(64), l[1] = 8;
  else if (IS("fds")) {
    for (int n = 0; n < 8; n++) ((struct pollfd *)at)[n] = (struct pollfd){a_fd(), one_in(2) ? 1 | 4 : an_int(), 0};
  } else if (IS("event")) i[0] = one_in(2) ? 1 | 4 : a_long();
  else if (IS("rlim") || IS("new_limit")) l[0] = l[1] = one_in(2) ? 4096 * below(1 << 20) : a_long();
  else if (IS("new_value")) {
    a_time(l, 1000000000);
    a_time(l + 2, 1000000000);
  } else if (IS("sops")) {
    for (int n = 0; n < 16; n++) ((struct sembuf *)at)[n] = (struct sembuf){below(4), one_in(3) ? an_int() : below(3) - 1, one_in(2) ? IPC_NOWAIT : SEM_UNDO};
  } else if (IS("act")) {
    l[0] = below(2);  // never a handler: who takes over the program's flow leaves chance behind
    l[1] = one_in(2) ? 0 : a_long();
    l[3] = a_long();
  } else if (IS("sevp")) {
    struct sigevent *event = (void *)at;
    event->sigev_notify = one_in(4) ? an_int() : one_in(2) ? SIGEV_NONE : SIGEV_SIGNAL;
    event->sigev_signo = one_in(4) ? an_int() : SIGURG;
  } else if (IS("info")) i[0] = one_in(2) ? SIGURG : an_int(), i[2] = one_in(2) ? SI_QUEUE : an_int();
  else if (IS("argv") || IS("envp")) {
    for (int n = 0; n < 6; n++) l[n] = one_in(6) ? address() : ROOM + 16;
    l[one_in(10) ? 400 : below(6)] = 0;
  } else if (IS("cl_args")) {
    for (int n = 0; n < 11; n++) l[n] = 0;
    l[0] = one_in(2) ? 0 : a_long();
    l[4] = one_in(2) ? SIGCHLD : an_int();
    if (one_in(3)) l[below(11)] = a_long();
    if (one_in(4)) l[8] = address(), l[9] = below(4);
  } else if (IS("how")) l[0] = one_in(2) ? O_RDWR | O_CREAT : a_long(), l[1] = one_in(2) ? 0644 : 0, l[2] = one_in(2) ? 0 : below(64);
  else if (IS("args")) filter(at);
  else if (IS("attr") || IS("newattr")) {
    if (strncmp(call, "mq", 2) == 0) l[0] = 0, l[1] = below(12), l[2] = one_in(4) ? a_long() : below(9000);
    else i[0] = one_in(3) ? an_int() : 48, i[1] = below(8);
  } else if (IS("ss")) l[0] = ROOM, i[2] = 0, l[2] = 65536;
  else if (IS("waiters")) {
    for (int n = 0; n < 8; n++) l[3 * n] = one_in(2) ? 0 : a_long(), l[3 * n + 1] = ROOM + 8 * below(64), i[6 * n + 4] = 2 | (one_in(2) ? 128 : 0), i[6 * n + 5] = 0;
  } else if (IS("addr") || IS("dest_addr")) sockaddr((char *)at);
  else if (IS("hdrp")) i[0] = 0x20080522, i[1] = one_in(3) ? a_pid() : 0;
  else if (IS("msgp")) l[0] = one_in(4) ? a_long() : 1 + below(3);
  else if (IS("offset") || IS("off_in") || IS("off_out")) l[0] = one_in(2) ? below(5000) : a_long();
  else if (IS("param")) i[0] = one_in(3) ? an_int() : 0;
  else if (IS("readfds") || IS("writefds") || IS("exceptfds")) l[0] = one_in(2) ? 1l << below(48) : a_long();
  else if (IS("optlen") || IS("addrlen")) i[0] = one_in(3) ? an_int() : 4 + below(120);
  else if (IS("list")) i[0] = 0;
}

static const char *name_of(int number) {
  for (int i = 0; i < COUNT(calls); i++) if (calls[i].number == number) return calls[i].name;
  return "?";
}

static void show_one(int fd, const struct shown *s) {
  dprintf(fd, "    %d %s(%#lx, %#lx, %#lx, %#lx, %#lx, %#lx) = %ld %.40s\n", s->thread, name_of(s->number), s->args[0], s->args[1], s->args[2], s->args[3], s->args[4], s->args[5], s->result, s->path);
}

// --- one call ------------------------------------------------------------------------------------------------------------

static const long ioctls[] = {0x5401, 0x5402, 0x5403, 0x5404, 0x5405, 0x5406, 0x5409, 0x540a, 0x540b, 0x540c, 0x540d, 0x540e, 0x540f, 0x5410, 0x5411, 0x5412, 0x5413, 0x5414, 0x541b, 0x5421,
  0x541d, 0x5420, 0x5422, 0x5423, 0x5424, 0x5425, 0x5428, 0x5429, 0x5441, 0x5450, 0x5451, 0x5452, 0x80045430, 0x40045431, 0x80045432, 0x80045438, 0x80045439, 0x80085430, 0x8004700f, 0x6601,
  0x40086602, 0x80086601, 0x660b, 0xc020660b, 0x801c581f, 0x40049409, 0x4020940d, 0xc0045877, 0xc0045878, 0xb701, 0xb702, 0xb703, 0xb704, 0x40085400, 0x8901, 0x8902, 0x8903, 0x8904, 0x8905,
  0x8906, 0x8907, 0x8910, 0x8912, 0x8913, 0x8927, 0x8933, 0x5440, 0x2, 0x1, 0x40045436};

static long special(const struct call *call, int n, long *value) {
#define CALL(what) (strcmp(call->name, what) == 0)
#define ARG(what) (strcmp(call->arguments[n].name, what) == 0)
  if (CALL("ioctl") && ARG("request")) return *value = one_in(12) ? a_long() : ANY(ioctls), 1;
  if (CALL("fcntl") && ARG("cmd")) return *value = one_in(12) ? an_int() : one_in(2) ? below(17) : one_in(3) ? 36 + below(3) : 1024 + below(18), 1;
  if (CALL("fcntl") && ARG("arg")) {
    long at = address();
    if (at >= ROOM && at < ROOM + ROOM_BYTES - 4096) {
      struct flock lock = {below(4), below(4), one_in(2) ? a_long() : below(100), one_in(2) ? a_long() : below(100), 0};
      memcpy((void *)at, &lock, sizeof lock);
    }
    return *value = one_in(2) ? at : a_long(), 1;
  }
  if (CALL("prctl") && ARG("option")) return *value = one_in(12) ? an_int() : one_in(20) ? 0x53564d41 : 1 + below(75), 1;
  if ((CALL("setsockopt") || CALL("getsockopt")) && !one_in(3)) {
    if (ARG("level")) return *value = one_in(4) ? an_int() : SOL_SOCKET, 1;
    if (ARG("optname")) return *value = one_in(10) ? an_int() : below(82), 1;
    if (ARG("optlen") && CALL("setsockopt")) return *value = one_in(4) ? an_int() : 4 * (1 + below(4)), 1;
  }
  if (CALL("mmap") || CALL("mremap") || CALL("munmap") || CALL("mprotect") || CALL("madvise") || CALL("msync") || CALL("mincore") || CALL("mlock") || CALL("mlock2") || CALL("munlock") ||
      CALL("mbind") || CALL("pkey_mprotect") || CALL("shmat") || CALL("shmdt") || CALL("remap_file_pages")) {
    if (ARG("addr") || ARG("old_address") || ARG("new_address") || ARG("shmaddr")) return *value = one_in(6) ? 0 : ground(), 1;
    if (ARG("length") || ARG("old_size") || ARG("new_size") || ARG("len") || ARG("size")) return *value = ground_size(), 1;
    if (ARG("offset")) return *value = one_in(4) ? a_long() : 4096 * below(8), 1;
  }
  if (CALL("prlimit64") && ARG("pid")) return *value = 0, 1;  // the parent's are its own
  // Handlers and alternative entries of the program's own would leave chance behind.
  if (CALL("clone") && ARG("stack")) return *value = one_in(2) ? 0 : address(), 1;
  if (CALL("shmat") && ARG("shmid")) return *value = one_in(4) ? an_int() : below(8), 1;
  if (ARG("shmid") || ARG("semid") || ARG("msqid") || ARG("timerid") || ARG("wd")) return *value = one_in(5) ? an_int() : below(8), 1;
  if (ARG("key")) return *value = one_in(4) ? an_int() : below(4), 1;
  if (ARG("size") && CALL("shmget")) return *value = one_in(4) ? a_long() : 4096 * below(32), 1;
  if (ARG("nsems")) return *value = one_in(4) ? an_int() : below(6), 1;
  if (CALL("futex") && (ARG("uaddr") || ARG("uaddr2"))) return *value = one_in(8) ? address() : ROOM + 4 * below(8), 1;
  if (CALL("futex") && ARG("val")) return *value = one_in(2) ? *(int *)(ROOM + 4 * below(8)) : an_int(), 1;
  if (CALL("execve") || CALL("execveat")) {
    if (n == call->argument_count - 1 && CALL("execveat")) return *value = below(4) * 0x1000, 1;
    if (ARG("argv") || ARG("envp")) return 0;
  }
  return 0;
}

static long choose(const struct call *call, int n, const long *args) {
  const struct argument *argument = &call->arguments[n];
  long value;
  if (special(call, n, &value)) return value;
  switch (argument->kind) {
    case K_int: return an_int();
    case K_uint: return one_in(4) ? an_int() : below(64);
    case K_long: return a_long();
    case K_offset: return one_in(2) ? below(9000) : a_long();
    case K_size: return a_size();
    case K_fd: return a_fd();
    case K_dirfd: return one_in(3) ? a_fd() : AT_FDCWD;
    case K_pid: {
      // Not the parent: `do` lets signals end its first process.
      int pid = a_pid();
      return pid == 1 && (strstr(call->name, "kill") || strstr(call->name, "sigqueue") || CALL("pidfd_open")) ? getpid() : pid;
    }
    case K_uid: case K_gid: return an_id();
    case K_mode: return one_in(4) ? an_int() : below(010000) | (one_in(3) ? below(16) << 12 : 0);
    case K_signal: return one_in(3) ? an_int() : one_in(3) ? below(66) : SIGURG;
    case K_clock: return below(16);
    case K_flags: {
      long flags = 0;
      for (int i = below(4); i > 0; i--) flags |= argument->values[below(argument->value_count)];
      return one_in(16) ? flags | 1l << below(64) : flags;
    }
    case K_values: return one_in(10) ? an_int() : argument->values[below(argument->value_count)];
    case K_path:
    case K_string: {
      long at = address();
      if (at < ROOM || at >= ROOM + ROOM_BYTES - 8192) return at;
      if (argument->kind == K_path) a_path((char *)at);
      else strcpy((char *)at, one_in(4) ? ANY(near_paths) : ANY(strings));
      return at;
    }
    case K_strings: {
      long at = address();
      if (at < ROOM || at >= ROOM + ROOM_BYTES - 8192) return at;
      ((long *)at)[0] = one_in(8) ? 0 : address();
      ((long *)at)[1] = one_in(2) ? 0 : address();
      ((long *)at)[2] = one_in(8) ? a_long() : 0;
      return at;
    }
    default: {
      long at = address();
      if (argument->kind != K_word || one_in(2)) {
        if (at >= ROOM && at < ROOM + ROOM_BYTES - 20480) fill(call->name, argument->name, at, argument->kind == K_struct ? argument->bytes : 64);
      }
      return argument->kind == K_word && one_in(6) ? a_long() : at;
    }
  }
}

static long raw(long number, const long *a) {
  register long r10 __asm__("r10") = a[3];
  register long r8 __asm__("r8") = a[4];
  register long r9 __asm__("r9") = a[5];
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  return result;
}

static int can_make(const struct call *call) {
  // Ends, and what makes processes or replaces them: not too often.
  if (CALL("exit") || CALL("exit_group")) return one_in(20);
  if (CALL("rt_sigreturn") || CALL("kill") || CALL("tkill") || CALL("tgkill") || CALL("pause") || CALL("rt_sigsuspend") || CALL("seccomp") || CALL("close_range") || CALL("arch_prctl")) return one_in(6);
  if (CALL("execve") || CALL("execveat") || CALL("fork") || CALL("vfork") || CALL("clone") || CALL("clone3")) return one_in(4);
  return 1;
}

// Half the programs make few calls again and again: only so do they come to meet each other.
static int theme[THEME_CALLS], has_theme;
static void choose_theme(void) {
  has_theme = one_in(2);
  for (int i = 0; i < THEME_CALLS; i++) theme[i] = below(COUNT(calls));
}

static void one_call(int number) {
  if (number < 0) number = has_theme && !one_in(6) ? ANY(theme) : below(COUNT(calls));
  const struct call *call = &calls[number];
  if (!can_make(call)) return;
  long args[6] = {a_long(), a_long(), a_long(), a_long(), a_long(), a_long()};
  for (int n = 0; n < call->argument_count; n++) args[n] = choose(call, n, args);
  struct shown *shown = &shared->calls[__atomic_fetch_add(&shared->count, 1, __ATOMIC_RELAXED) % SHOWN];
  shown->thread = thread_number;
  shown->number = call->number;
  memcpy(shown->args, args, sizeof args);
  shown->result = 0x5151;
  shown->path[0] = 0;
  for (int n = 0; n < call->argument_count; n++) {
    if ((call->arguments[n].kind == K_path || call->arguments[n].kind == K_string) && args[n] >= ROOM && args[n] < ROOM + ROOM_BYTES - 64) {
      memcpy(shown->path, (void *)args[n], sizeof shown->path - 1);
    }
  }
  if (shared->wants_trace) show_one(shared->trace_fd, shown);
  int self = getpid();
  long result = raw(call->number, args);
  shown->result = result;
  if (result < -ERRNO_LAST && result >= -4095) shared->bad = (long long)call->number << 32 | (unsigned)result;
  // A child takes part for a few calls.
  if (result == 0 && getpid() != self) {
    state ^= getpid();
    thread_number = 9;
    for (int i = 0; i < 10; i++) {
      const struct call *more = &calls[below(COUNT(calls))];
      if (strstr(more->name, "fork") == NULL && strncmp(more->name, "clone", 5) != 0) one_call(more - calls);
    }
    raw(SYS_exit_group, (long[6]){0});
  }
}

// --- a program -----------------------------------------------------------------------------------------------------------

static void on_alarm(int signal) { (void)signal; }

static void prepare_files(void) {
  int fd = open("file", O_RDWR | O_CREAT, 0644);
  for (int i = 0; i < 300; i++) write(fd, "0123456789abcdef", 16);
  close(fd);
  close(open("other", O_RDWR | O_CREAT, 0600));
  mkdir("directory", 0755);
  close(open("directory/inner", O_RDWR | O_CREAT, 0644));
  symlink("file", "link");
  symlink("loop", "loop");
  symlink("nowhere", "dangling");
  mkfifo("fifo", 0644);
}

static void prepare_descriptors(void) {
  for (int i = 0; i < 3; i++) close(i);
  for (int i = 0; i < 3; i++) open("/dev/null", O_RDWR);
  int pair[2];
  struct sockaddr_un name = {AF_UNIX, "socket"};
  open("file", O_RDWR);
  open("file", O_RDONLY);
  open("directory", O_RDONLY | O_DIRECTORY);
  open(".", O_RDONLY | O_DIRECTORY);
  open("file", O_PATH);
  open("fifo", O_RDWR | O_NONBLOCK);
  pipe2(pair, O_NONBLOCK);
  pipe(pair);
  socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
  socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair);
  socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair);
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  bind(listener, (void *)&name, sizeof name);
  listen(listener, 2);
  connect(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), (void *)&name, sizeof name);
  eventfd(1, EFD_NONBLOCK);
  timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  int epoll = epoll_create1(0);
  struct epoll_event event = {EPOLLIN | EPOLLET, {0}};
  for (int fd = 9; fd < 24; fd++) epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  inotify_add_watch(inotify_init1(IN_NONBLOCK), ".", IN_ALL_EVENTS);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGURG);
  signalfd(-1, &set, SFD_NONBLOCK);
  ftruncate(memfd_create("memory", MFD_ALLOW_SEALING), 65536);
  syscall(SYS_pidfd_open, getpid(), 0);
  int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
  grantpt(terminal);
  unlockpt(terminal);
  open(ptsname(terminal), O_RDWR | O_NOCTTY);
  open("/dev/zero", O_RDWR);
  open("/proc/self/mem", O_RDWR);
  open("/proc/self", O_RDONLY | O_DIRECTORY);
  open(proc_names[below(proc_name_count)], O_RDONLY);
  open(proc_names[below(proc_name_count)], O_RDWR | O_NONBLOCK);
  open("/dev/shm/shared", O_RDWR | O_CREAT, 0644);
  open("/proc/self/ns/net", O_RDONLY);
}

static void prepare_rest(void) {
  mmap((void *)ROOM, ROOM_BYTES, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  mmap((void *)GROUND, GROUND_BYTES / 2, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  mmap((void *)(GROUND + GROUND_BYTES / 2), 16384, 3, MAP_SHARED | MAP_FIXED, 3, 0);
  strcpy((char *)ROOM + 16, "argument");
  shmget(IPC_PRIVATE, 65536, IPC_CREAT | 0600);
  semget(IPC_PRIVATE, 3, IPC_CREAT | 0600);
  msgget(IPC_PRIVATE, IPC_CREAT | 0600);
  // What waits is interrupted soon.
  struct sigaction action = {.sa_handler = on_alarm};
  sigaction(SIGALRM, &action, NULL);
  sigaction(SIGURG, &action, NULL);
  struct itimerval timer = {{0, 4000}, {0, 4000}};
  setitimer(ITIMER_REAL, &timer, NULL);
  struct rlimit files = {256, 256}, nothing = {0, 0}, stack = {1 << 20, 1 << 20};
  setrlimit(RLIMIT_NOFILE, &files);
  setrlimit(RLIMIT_CORE, &nothing);
  setrlimit(RLIMIT_STACK, &stack);
}

static uint64_t program_seed;
static void *second_thread(void *unused) {
  (void)unused;
  thread_number = 1;
  state = program_seed * 0x9e3779b97f4a7c15ull + 7;
  for (int i = 0; i < CALLS_PER_THREAD; i++) one_call(-1);
  return NULL;
}

static void program(uint64_t seed) {
  program_seed = seed;
  state = (seed + 1) * 0x9e3779b97f4a7c15ull;
  for (int i = 0; i < 8; i++) next();
  choose_theme();
  setpgid(0, 0);
  unshare(CLONE_NEWNS);
  if (one_in(3)) {
    // Without rights.
    chmod(".", 0777);
    prepare_files();
    setresgid(1000, 1000, 1000);
    setresuid(1000, 1000, 1000);
  } else prepare_files();
  prepare_descriptors();
  prepare_rest();
  pthread_t thread;
  if (one_in(2)) pthread_create(&thread, NULL, second_thread, NULL);
  for (int i = 0; i < CALLS_PER_THREAD; i++) one_call(-1);
  raw(SYS_exit_group, (long[6]){0});
}

// --- the parent ----------------------------------------------------------------------------------------------------------

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

static void show(void) {
  unsigned from = shared->count > SHOWN ? shared->count - SHOWN : 0;
  for (unsigned i = from; i < shared->count; i++) {
    show_one(1, &shared->calls[i % SHOWN]);
  }
}

static void collect(const char *path, int depth) {
  DIR *directory = opendir(path);
  if (directory == NULL) return;
  for (struct dirent *entry; (entry = readdir(directory)) != NULL && proc_name_count < PROC_NAMES_MAX;) {
    if (entry->d_name[0] == '.') continue;
    char name[300];
    snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
    // Other processes' are there only as long as they are.
    if (strcmp(path, "/proc") == 0 && entry->d_name[0] >= '0' && entry->d_name[0] <= '9') continue;
    proc_names[proc_name_count++] = strdup(name);
    if (entry->d_type == DT_DIR && depth > 0) collect(name, depth - 1);
  }
  closedir(directory);
}

static void wrong(uint64_t seed, const char *what) {
  dprintf(1, "  program %lu: %s; last call %s\n", seed, what, name_of(shared->calls[(shared->count - 1) % SHOWN].number));
  show();
}

static int own_program;

// The sandbox works: calls, memory, files, another program. What does not, or null. Only what programs cannot take away,
// as root may remove what it likes.
static const char *illness(void) {
  static char text[100];
  pid_t child = fork();
  if (child == 0) {
    setsid();
    char byte;
    if (pread(own_program, &byte, 1, 0) != 1) _exit(201);
    if (mmap(NULL, 8192, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED) _exit(200);
    syscall(SYS_execveat, own_program, "", (char *[]){"fuzz", "well", NULL}, (char *[]){NULL}, AT_EMPTY_PATH);
    _exit(errno);
  }
  if (child < 0) return sprintf(text, "no process can be made any more: %s", strerror(errno)), text;
  int status = -1;
  if (waitpid(child, &status, 0) == child && status == 0) return NULL;
  return sprintf(text, "another program ends with status %#x", status), text;
}

static void end_all(void) {
  kill(-1, SIGKILL);
  while (waitpid(-1, NULL, 0) > 0) {}
}

// libc keeps two signals for itself.
static void handle_all(void (*handler)(int)) {
  struct {
    void (*handler)(int);
    unsigned long flags;
    void *restorer;
    unsigned long mask;
  } action = {handler};
  for (int i = 1; i < 65; i++) if (i != SIGCHLD) syscall(SYS_rt_sigaction, i, &action, NULL, 8);
}

static int copy_of_self(void) {
  static char bytes[1 << 16];
  int from = open("/proc/self/exe", O_RDONLY), memory = memfd_create("self", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  for (ssize_t n; (n = read(from, bytes, sizeof bytes)) > 0;) write(memory, bytes, n);
  fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK);
  close(from);
  int high = fcntl(memory, F_DUPFD_CLOEXEC, 300);  // programs look below
  close(memory);
  return high;
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "well") == 0) return 0;
  uint64_t seed = strtoull(argv[1], NULL, 10);
  int programs = atoi(argv[2]);
  double end = now() + atof(argv[3]);
  int wants_show = argc > 4 && strcmp(argv[4], "show") == 0, wants_trace = argc > 4 && !wants_show;
  if (getpid() != 1) return puts("Not init: what programs do would reach others"), 1;
  handle_all(SIG_IGN);
  shared = mmap(NULL, (sizeof *shared + 4095) & ~4095, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  collect("/proc", 2);
  collect("/sys", 2);
  collect("/proc/self", 1);
  own_program = copy_of_self();  // after that, so that nobody finds it there
  shared->wants_trace = wants_trace;
  shared->trace_fd = fcntl(1, F_DUPFD_CLOEXEC, 301);
  int done = 0;
  char name[64];
  for (; done < programs && now() < end && !shared->is_lost; done++, seed++) {
    shared->count = 0;
    shared->bad = 0;
    memset(shared->calls, 0, sizeof shared->calls);
    snprintf(name, sizeof name, "/tmp/fuzz-%lu", seed);
    mkdir(name, 0777);
    pid_t child = fork();
    if (child == 0) {
      if (chdir(name) != 0) shared->is_lost = 1, _exit(1);
      handle_all(SIG_DFL);
      program(seed);
    }
    double start = now(), last = start, stall = 0;
    struct timespec pause = {0, 2000000};
    int is_over = 0;
    while (!is_over && last - start < PROGRAM_MILLIS_MAX / 1e3) {
      nanosleep(&pause, NULL);
      for (pid_t ended; (ended = waitpid(-1, NULL, WNOHANG)) > 0;) is_over |= ended == child;
      double time = now();
      if (time - last > stall) stall = time - last;
      last = time;
    }
    end_all();
    if (now() - last > stall) stall = now() - last;
    if (stall > STALL_SECONDS_MAX) wrong(seed, "a call held everybody up");
    if (shared->bad != 0) printf("  program %lu: %s answered %d\n", seed, name_of(shared->bad >> 32), (int)shared->bad), fflush(stdout);
    const char *ill = illness();
    if (ill != NULL) return wrong(seed, ill), 1;
    if (wants_show) dprintf(1, "program %lu, stalled %.0f ms\n", seed, stall * 1e3), show();
  }
  printf("%d programs\ndone\n", done);
  return 0;
}

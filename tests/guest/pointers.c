// Every call that takes a pointer, with pointers that lead nowhere: null, a page nobody has, the end of the user's half, the
// kernel's half. And with flags and sizes that mean nothing.
#include "check.h"
#include <linux/futex.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <sys/inotify.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

static char room[65536] __attribute__((aligned(4096)));
static int file, directory, reader, writer, socket_, listener, event, timer, epoll, notify, memory, self;
static timer_t posix_timer;
static int segment, semaphore, queue;

/* Where the pointer under test stands in the arguments; everything else is as it should be. */
#define P 0x5157515751575157L
#define R ((long)room)


static long where[] = {0, 8, 0x700000001000, 0x7ffffffff000, 0x800000000000 - 4, (long)0xffff888000000000, -1};
static const char *const names[] = {"null", "low", "nobody's", "the last page", "the end", "the kernel's", "-1"};

/* What is no EFAULT: null is allowed or left alone, another argument is looked at first, or the address is odd. */
static const struct { const char *name, *at_null, *elsewhere, *odd; } OTHERWISE[] = {
  {"utime times", "0", "EFAULT", "EFAULT"},
  {"utimes times", "0", "EFAULT", "EFAULT"},
  {"utimensat times", "0", "EFAULT", "EFAULT"},
  {"execve arguments", "EACCES", "EACCES", "EACCES"},
  {"ppoll mask", "0", "EFAULT", "EFAULT"},
  {"select in", "0", "EFAULT", "EFAULT"},
  {"pselect6 mask", "0", "EFAULT", "EFAULT"},
  {"epoll_pwait mask", "more", "EFAULT", "EFAULT"},
  {"epoll_pwait2 time", "more", "EFAULT", "EFAULT"},
  {"timerfd_settime old", "0", "EFAULT", "EFAULT"},
  {"sendfile offset", "0", "EFAULT", "EFAULT"},
  {"copy_file_range offset", "0", "EFAULT", "EFAULT"},
  {"splice offset", "more", "EFAULT", "EFAULT"},
  {"accept address", "EINVAL", "EINVAL", "EINVAL"},
  {"getsockname address", "0", "0", "0"},
  {"getsockopt value", "0", "0", "0"},
  {"wait4 status", "ECHILD", "ECHILD", "ECHILD"},
  {"wait4 usage", "ECHILD", "ECHILD", "ECHILD"},
  {"waitid info", "ECHILD", "EFAULT", "EFAULT"},
  {"times", "more", "EFAULT", "EFAULT"},
  {"prlimit64 new", "0", "EFAULT", "EFAULT"},
  {"prlimit64 old", "0", "EFAULT", "EFAULT"},
  {"gettimeofday", "0", "EFAULT", "EFAULT"},
  {"gettimeofday zone", "0", "EFAULT", "EFAULT"},
  {"time", "more", "EFAULT", "EFAULT"},
  {"clock_getres", "0", "EFAULT", "EFAULT"},
  {"setitimer", "0", "EFAULT", "EFAULT"},
  {"setitimer old", "0", "EFAULT", "EFAULT"},
  {"timer_create event", "0", "EFAULT", "EFAULT"},
  {"timer_settime value", "EINVAL", "EFAULT", "EFAULT"},
  {"getgroups", "0", "0", "0"},
  {"rt_sigaction new", "0", "EFAULT", "EFAULT"},
  {"rt_sigaction old", "0", "EFAULT", "EFAULT"},
  {"rt_sigprocmask new", "0", "EFAULT", "EFAULT"},
  {"rt_sigprocmask old", "0", "EFAULT", "EFAULT"},
  {"sigaltstack new", "0", "EFAULT", "EFAULT"},
  {"sigaltstack old", "0", "EFAULT", "EFAULT"},
  {"sched_getparam param", "EINVAL", "EFAULT", "EFAULT"},
  {"sched_setparam param", "EINVAL", "EFAULT", "EFAULT"},
  {"sched_getattr attr", "EINVAL", "EFAULT", "EFAULT"},
  {"sched_setattr attr", "EINVAL", "EFAULT", "EFAULT"},
  {"getcpu cpu", "0", "EFAULT", "EFAULT"},
  {"getcpu node", "0", "EFAULT", "EFAULT"},
  {"futex word", "EFAULT", "EFAULT", "EINVAL"},
  {"futex private word", "EFAULT", "EFAULT", "EINVAL"},
  {"futex wake", "EFAULT", "EFAULT", "EINVAL"},
  {"futex time", "EAGAIN", "EFAULT", "EFAULT"},
  {"futex lock PI", "EFAULT", "EFAULT", "EINVAL"},
  {"futex_waitv waitv", "EINVAL", "EFAULT", "EFAULT"},
  {"process_vm_readv remote", "0", "0", "0"},
  {"msgrcv message", "ENOMSG", "ENOMSG", "ENOMSG"},
};
static const char *expected_of(const char *name, size_t w) {
  for (size_t i = 0; i < sizeof OTHERWISE / sizeof *OTHERWISE; i++) {
    if (strcmp(name, OTHERWISE[i].name) == 0) return w == 0 ? OTHERWISE[i].at_null : where[w] == -1 ? OTHERWISE[i].odd : OTHERWISE[i].elsewhere;
  }
  /* A right is asked for first. */
  return geteuid() != 0 && strcmp(name, "sethostname") == 0 ? "EPERM" : "EFAULT";
}

static int may_be_null = 1; /* 0 where null means to wait without end */
static void try(const char *name, long number, long a, long b, long c, long d, long e, long f) {
  long args[6] = {a, b, c, d, e, f};
  for (size_t w = may_be_null ? 0 : 1; w < sizeof where / sizeof *where; w++) {
    /* Where a call has found out late that its buffer is none. */
    lseek(file, 0, SEEK_SET);
    lseek(directory, 0, SEEK_SET);
    long now[6];
    for (int i = 0; i < 6; i++) now[i] = args[i] == P ? where[w] : args[i];
    char text[100];
    snprintf(text, sizeof text, "%s %s", name, names[w]);
    memset(room, 0, 4096);
    errno = 0;
    long result = syscall(number, now[0], now[1], now[2], now[3], now[4], now[5]);
    judge(text, expected_of(name, w), result == -1 && errno ? strerrorname_np(errno) : result == 0 ? "0" : "more");
    if (result > 2 && (number == SYS_open || number == SYS_openat || number == SYS_accept || number == SYS_accept4 || number == SYS_signalfd4)) close(result);
  }
}
static void show(const char *name, const char *expected, long number, long a, long b, long c, long d, long e, long f) {
  errno = 0;
  long result = syscall(number, a, b, c, d, e, f);
  judge(name, expected, result == -1 && errno ? strerrorname_np(errno) : result == 0 ? "0" : "more");
}
#define T(call, ...) T_(call, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define T_(call, a, b, c, d, e, f, ...) try(#call, SYS_##call, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define T2(name, call, ...) T2_(name, call, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define T2_(name, call, a, b, c, d, e, f, ...) try(#call " " name, SYS_##call, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define S(name, expected, call, ...) S_(name, expected, call, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define S_(name, expected, call, a, b, c, d, e, f, ...) show(#call " " name, expected, SYS_##call, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

static void paths(void) {
  T(open, P, O_RDONLY, 0); T(creat, P, 0); T(openat, AT_FDCWD, P, O_RDONLY, 0); T2("how", openat2, AT_FDCWD, ".", P, 24); T(stat, P, R); T2("buffer", stat, ".", P);
  T(lstat, P, R); T2("buffer", lstat, ".", P); T2("buffer", fstat, file, P); T(newfstatat, AT_FDCWD, P, R, 0); T2("buffer", newfstatat, AT_FDCWD, ".", P, 0);
  T(statx, AT_FDCWD, P, 0, 0x7ff, R); T2("buffer", statx, AT_FDCWD, ".", 0, 0x7ff, P); T(statfs, P, R); T2("buffer", statfs, ".", P); T2("buffer", fstatfs, file, P);
  T(access, P, 0); T(faccessat, AT_FDCWD, P, 0); T(chdir, P); T(mkdir, P, 0777); T(mkdirat, AT_FDCWD, P, 0777); T(rmdir, P); T(unlink, P); T(unlinkat, AT_FDCWD, P, 0);
  T(rename, P, "x"); T2("to", rename, "file", P); T(renameat2, AT_FDCWD, P, AT_FDCWD, "x", 0); T(link, P, "x"); T2("to", link, "file", P); T(symlink, P, "x"); T2("to", symlink, "x", P);
  T(readlink, P, R, 100); T2("buffer", readlink, "link", P, 100); T2("buffer", readlinkat, AT_FDCWD, "link", P, 100); T(chmod, P, 0644); T(fchmodat, AT_FDCWD, P, 0644); T(chown, P, -1, -1);
  T(lchown, P, -1, -1); T(fchownat, AT_FDCWD, P, -1, -1, 0); T(truncate, P, 0); T(utime, P, 0); T2("times", utime, "file", P); T2("times", utimes, "file", P); T2("times", utimensat, AT_FDCWD, "file", P, 0);
  T(mknod, P, S_IFREG | 0644, 0); T(getcwd, P, 4096); T(chroot, P); T2("buffer", getdents64, directory, P, 4096); T2("buffer", getdents, directory, P, 4096);
  T(setxattr, P, "user.a", "v", 1, 0); T2("name", setxattr, "file", P, "v", 1, 0); T2("value", setxattr, "file", "user.a", P, 1, 0); T2("value", getxattr, "file", "user.x", P, 100); T2("list", listxattr, "file", P, 100);
  T2("name", getxattr, "file", P, R, 100); T(removexattr, P, "user.a"); T(inotify_add_watch, notify, P, IN_CREATE); T(execve, P, 0, 0); T2("arguments", execve, "file", P, 0);
  T(memfd_create, P, 0); T(mq_open, P, O_RDONLY, 0, 0); T(mq_unlink, P); T2("name", prctl, PR_SET_NAME, P); T2("into", prctl, PR_GET_NAME, P); T2("into", prctl, PR_GET_PDEATHSIG, P);
}

static void data(void) {
  T2("buffer", read, file, P, 10); T2("buffer", read, reader, P, 1); T2("from zero", read, memory, P, 10); T2("buffer", write, file, P, 10); T2("buffer", write, writer, P, 10);
  T2("buffer", pread64, file, P, 10, 0); T2("buffer", pwrite64, file, P, 10, 0); T2("vector", readv, file, P, 1); T2("vector", writev, file, P, 1); T2("vector", preadv, file, P, 1, 0); T2("vector", pwritev2, file, P, 1, 0, 0, 0);
  T2("ends", pipe, P); T2("ends", pipe2, P, 0); T2("list", poll, P, 1, 0); T2("list", ppoll, P, 1, R, 0, 8); may_be_null = 0; T2("time", ppoll, 0, 0, P, 0, 8); may_be_null = 1; T2("mask", ppoll, R, 0, R, P, 8); T2("in", select, 1, P, 0, 0, R);
  may_be_null = 0; T2("time", select, 0, 0, 0, 0, P); may_be_null = 1; T2("mask", pselect6, 0, 0, 0, 0, R, P); T2("event", epoll_ctl, epoll, EPOLL_CTL_ADD, reader, P); T2("events", epoll_wait, epoll, P, 1, 0); T2("mask", epoll_pwait, epoll, R, 1, 0, P, 8); T2("time", epoll_pwait2, epoll, R, 1, P, 0, 0);
  T2("value", timerfd_gettime, timer, P); T2("value", timerfd_settime, timer, 0, P, 0); T2("old", timerfd_settime, timer, 0, R, P); T2("mask", signalfd4, -1, P, 8, 0); T2("offset", sendfile, file, file, P, 0);
  T2("offset", copy_file_range, file, P, file, 0, 0, 0); T2("offset", splice, file, P, writer, 0, 1, 0); T2("vector", vmsplice, writer, P, 1, 0); T2("FIONREAD", ioctl, reader, FIONREAD, P); T2("FIONBIO", ioctl, reader, FIONBIO, P);
  T2("F_GETLK", fcntl, file, F_GETLK, P); T2("F_SETLK", fcntl, file, F_SETLK, P); T2("F_GETOWN_EX", fcntl, file, F_GETOWN_EX, P);
}

static void sockets(void) {
  T(bind, socket_, P, 10); T(connect, socket_, P, 10); T2("address", accept, listener, P, P); T2("address", getsockname, socket_, P, R); T2("size", getsockname, socket_, R, P); T2("size", getpeername, socket_, R, P);
  T2("value", setsockopt, socket_, SOL_SOCKET, SO_PASSCRED, P, 4); T2("value", getsockopt, socket_, SOL_SOCKET, SO_TYPE, P, R); T2("size", getsockopt, socket_, SOL_SOCKET, SO_TYPE, R, P); T2("buffer", sendto, socket_, P, 10, MSG_NOSIGNAL, 0, 0);
  T2("header", sendmsg, socket_, P, MSG_NOSIGNAL); T2("header", recvmsg, socket_, P, MSG_DONTWAIT); T2("headers", sendmmsg, socket_, P, 1, MSG_NOSIGNAL); T2("headers", recvmmsg, socket_, P, 1, MSG_DONTWAIT, 0); T2("ends", socketpair, AF_UNIX, SOCK_STREAM, 0, P);
}

// What stays to be read when memory is bad, and what is lost.
static void kept(void) {
  char *end = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(end + 4096, 4096);
  static char bytes[20000];
  int p[2], s[2], d[2], q[2];
  pipe(p);
  write(p[1], bytes, 200);
  FAILS("pipe: bad", EFAULT, read(p[0], BAD, 100));
  FAILS("pipe: half of it", EFAULT, read(p[0], end + 4046, 200));
  EQUALS("pipe: kept", 200, read(p[0], bytes, 1000));
  write(p[1], bytes, 200);
  EQUALS("pipe: room for what is there", 200, read(p[0], end + 3896, 2000));
  write(p[1], bytes, 4096);
  write(p[1], bytes, 4096);
  EQUALS("pipe: room for a page", 4096, read(p[0], end, 8192));
  EQUALS("pipe: the other page", 4096, read(p[0], bytes, sizeof bytes));
  write(p[1], bytes, 300);
  struct iovec bad[2] = {{end, 10}, {BAD, 10}}, half[2] = {{end, 10}, {end + 4091, 10}};
  FAILS("pipe: bad vector", EFAULT, readv(p[0], bad, 2));
  FAILS("pipe: half a vector", EFAULT, readv(p[0], half, 2));
  EQUALS("pipe: kept of vectors", 300, read(p[0], bytes, sizeof bytes));
  socketpair(AF_UNIX, SOCK_STREAM, 0, s);
  write(s[1], bytes, 200);
  struct msghdr message = {.msg_iov = bad, .msg_iovlen = 2};
  FAILS("stream: bad", EFAULT, read(s[0], BAD, 100));
  FAILS("stream: half of it", EFAULT, read(s[0], end + 4046, 200));
  FAILS("stream: received", EFAULT, recv(s[0], BAD, 100, 0));
  FAILS("stream: received by a message", EFAULT, recvmsg(s[0], &message, 0));
  EQUALS("stream: kept", 200, read(s[0], bytes, 1000));
  write(s[1], bytes, 100);
  EQUALS("stream: room for what is there", 100, read(s[0], end + 3996, 2000));
  socketpair(AF_UNIX, SOCK_DGRAM, 0, d);
  write(d[1], bytes, 100);
  write(d[1], bytes, 50);
  FAILS("datagram: bad", EFAULT, read(d[0], BAD, 100));
  EQUALS("datagram: the next", 50, read(d[0], bytes, 100));
  socketpair(AF_UNIX, SOCK_SEQPACKET, 0, q);
  write(q[1], bytes, 100);
  write(q[1], bytes, 50);
  FAILS("packet: bad", EFAULT, read(q[0], BAD, 100));
  EQUALS("packet: the next", 50, read(q[0], bytes, 100));
  int count = eventfd(5, EFD_NONBLOCK);
  FAILS("eventfd: bad", EFAULT, read(count, BAD, 8));
  FAILS("eventfd: taken", EAGAIN, read(count, bytes, 8));
  int fd = open("kept", O_RDWR | O_CREAT, 0600);
  write(fd, bytes, 10000);
  lseek(fd, 0, SEEK_SET);
  FAILS("file: bad", EFAULT, read(fd, BAD, 100));
  EQUALS("file: half of it", 50, read(fd, end + 4046, 200));
  EQUALS("file: bad vector", 10, readv(fd, bad, 2));
  EQUALS("file: half a vector", 15, readv(fd, half, 2));
  EQUALS("file: position", 75, lseek(fd, 0, SEEK_CUR));
  close(fd);
  for (int i = 0; i < 2; i++) close(p[i]), close(s[i]), close(d[i]), close(q[i]);
}

static void processes(void) {
  T2("status", wait4, -1, P, WNOHANG, 0); T2("usage", wait4, -1, 0, WNOHANG, P); T2("info", waitid, P_ALL, 0, P, WEXITED | WNOHANG, 0); T(uname, P); T(sysinfo, P); T(times, P); T(getrusage, 0, P); T(getrlimit, 7, P); T(setrlimit, 4, P); T2("new", prlimit64, 0, 4, P, 0); T2("old", prlimit64, 0, 4, 0, P);
  T(gettimeofday, P, 0); T2("zone", gettimeofday, 0, P); T(time, P); T(clock_gettime, 0, P); T(clock_getres, 0, P); T2("time", clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, P, 0); T(nanosleep, P, 0); T(getitimer, 0, P); T(setitimer, 0, P, 0); T2("old", setitimer, 0, R, P);
  T2("event", timer_create, CLOCK_MONOTONIC, P, R); T2("id", timer_create, CLOCK_MONOTONIC, 0, P); T2("value", timer_gettime, posix_timer, P); T2("value", timer_settime, posix_timer, 0, P, 0); T(getgroups, 32, P); T(getresuid, P, P, P); T(getresgid, P, P, P);
  T2("header", capget, P, R); T2("header", capset, P, R); T2("new", rt_sigaction, SIGUSR1, P, 0, 8); T2("old", rt_sigaction, SIGUSR1, 0, P, 8); T2("new", rt_sigprocmask, SIG_BLOCK, P, 0, 8); T2("old", rt_sigprocmask, SIG_BLOCK, 0, P, 8); T(rt_sigpending, P, 8);
  T2("set", rt_sigtimedwait, P, 0, R, 8); may_be_null = 0; T2("time", rt_sigtimedwait, R, 0, P, 8); may_be_null = 1; T2("info", rt_sigqueueinfo, self, SIGUSR1, P); T2("new", sigaltstack, P, 0); T2("old", sigaltstack, 0, P); T2("mask", sched_getaffinity, 0, 128, P); T2("mask", sched_setaffinity, 0, 8, P); T2("param", sched_getparam, 0, P); T2("param", sched_setparam, 0, P);
  T2("interval", sched_rr_get_interval, 0, P); T2("attr", sched_getattr, 0, P, 48, 0); T2("attr", sched_setattr, 0, P, 0); T2("cpu", getcpu, P, 0, 0); T2("node", getcpu, 0, P, 0); T(getrandom, P, 10, 0); T2("args", clone3, P, 88); T2("head", get_robust_list, 0, P, R); T2("size", get_robust_list, 0, R, P);
  T2("word", futex, P, FUTEX_WAIT, 1, 0, 0, 0); T2("private word", futex, P, FUTEX_WAIT_PRIVATE, 1, 0, 0, 0); T2("wake", futex, P, FUTEX_WAKE, 1, 0, 0, 0); T2("time", futex, R, FUTEX_WAIT, 1, P, 0, 0);
  T2("lock PI", futex, P, FUTEX_LOCK_PI, 0, 0, 0, 0); T2("unlock PI", futex, P, FUTEX_UNLOCK_PI, 0, 0, 0, 0); T2("waitv", futex_waitv, P, 1, 0, 0, 0); T2("local", process_vm_readv, self, P, 1, R, 1, 0); T2("remote", process_vm_readv, self, R, 1, P, 1, 0); T2("residency", mincore, R, 4096, P);
  T2("status", shmctl, segment, IPC_STAT, P); T2("operations", semop, semaphore, P, 1); T2("status", semctl, semaphore, 0, IPC_STAT, P); T2("values", semctl, semaphore, 0, GETALL, P); T2("message", msgsnd, queue, P, 1, IPC_NOWAIT); T2("message", msgrcv, queue, P, 1, 0, IPC_NOWAIT); T2("status", msgctl, queue, IPC_STAT, P);
  T2("ARCH_GET_FS", arch_prctl, 0x1003, P); T(sethostname, P, 3);
}

static void nonsense(void) {
  long v0[] = {0, 1000000000, 0, 0};
  long v1[] = {0, 0, 0, 1000000000};
  long v2[] = {0, 0, -1, 0};
  long v3[] = {R, -1};
  long v4[] = {R, 0x7fffffffffffffff, R, 1};
  long v5[] = {0, 1000000000};
  long v6[] = {-1, 0};
  long v7[] = {0, -1};
  long v8[] = {0, 0, 0, 1000000};
  long v9[] = {0, 1};
  int v10[] = {0};
  long v11[] = {0, 0};
  long v12[] = {1, 0};
  S("size", "EINVAL", openat2, AT_FDCWD, ".", R, 0); S("large size", "E2BIG", openat2, AT_FDCWD, ".", R, 5000); S("flags", "EINVAL", newfstatat, AT_FDCWD, ".", R, 0x10); S("reserved", "EINVAL", statx, AT_FDCWD, ".", 0, 0x80000000, R); S("sync twice", "EINVAL", statx, AT_FDCWD, ".", 0x6000, 0, R); S("flags", "EINVAL", statx, AT_FDCWD, ".", 0x10, 0, R);
  S("mode", "EINVAL", access, ".", 8); S("flags", "EINVAL", unlinkat, AT_FDCWD, "x", 1); S("flags", "EINVAL", renameat2, AT_FDCWD, "a", AT_FDCWD, "b", 16); S("size 0", "ERANGE", getcwd, R, 0); S("size 1", "ERANGE", getcwd, R, 1); S("size 0", "EINVAL", readlink, "link", R, 0); S("negative size", "EINVAL", readlink, "link", R, -1); S("flags", "EINVAL", fchownat, AT_FDCWD, ".", 0, 0, 0x10);
  S("nsec", "EINVAL", utimensat, AT_FDCWD, "file", v0, 0); S("flags", "EINVAL", utimensat, AT_FDCWD, "file", 0, 0x10); S("flags", "ENODATA", setxattr, "file", "user.a", "v", 1, 3); S("large", "E2BIG", setxattr, "file", "user.a", "v", 70000, 0); S("whence", "EINVAL", lseek, file, 0, 9); S("negative", "EINVAL", ftruncate, file, -1); S("fd", "EBADF", close, 900); S("fd -1", "EBADF", close, -1);
  S("flags", "EINVAL", pipe2, R, 1); S("flags", "EINVAL", dup3, 0, 50, 1); S("flags", "EINVAL", epoll_create1, 1); S("size", "EINVAL", epoll_create, -1); S("op", "EINVAL", epoll_ctl, epoll, 9, reader, R); S("count", "EINVAL", epoll_wait, epoll, R, 0, 0); S("count", "EINVAL", epoll_wait, epoll, R, -1, 0); S("large count", "EINVAL", epoll_wait, epoll, R, 0x7fffffff, 0); S("mask size", "EINVAL", epoll_pwait, epoll, R, 1, 0, R, 4);
  S("flags", "EINVAL", eventfd2, 0, 2); S("clock", "EINVAL", timerfd_create, 77, 0); S("flags", "EINVAL", timerfd_create, 1, 1); S("flags", "EINVAL", timerfd_settime, timer, 8, R, 0); S("nsec", "EINVAL", timerfd_settime, timer, 0, v1, 0); S("negative", "EINVAL", timerfd_settime, timer, 0, v2, 0); S("flags", "EINVAL", signalfd4, -1, R, 8, 1); S("size", "EINVAL", signalfd4, -1, R, 7, 0); S("flags", "EINVAL", inotify_init1, 1); S("mask", "EINVAL", inotify_add_watch, notify, ".", 0);
  S("count", "EINVAL", readv, file, R, 1025); S("count", "EINVAL", readv, file, R, -1); S("negative length", "EINVAL", readv, file, v3, 1); S("offset", "EINVAL", pread64, file, R, 1, -1); S("flags", "EINVAL", splice, file, 0, writer, 0, 1, 0x100); S("flags", "EINVAL", vmsplice, writer, R, 0, 0x100);
  S("count", "EINVAL", poll, R, 0x7fffffff, 0); S("nsec", "EINVAL", ppoll, 0, 0, v5, 0, 8); S("seconds", "EINVAL", ppoll, 0, 0, v6, 0, 8); S("mask size", "EINVAL", ppoll, 0, 0, 0, R, 7); S("count", "EINVAL", select, -1, 0, 0, 0, R); S("usec", "EINVAL", select, 0, 0, 0, 0, v7);
  S("which", "EINVAL", getpriority, 9, 0); S("which", "EINVAL", setpriority, 9, 0, 0); S("resource", "EINVAL", getrlimit, 99, R); S("who", "EINVAL", getrusage, 9, R); S("which", "EINVAL", getitimer, 9, R); S("usec", "EINVAL", setitimer, 0, v8, 0); S("negative", "EINVAL", setitimer, 0, v2, 0); S("clock", "EINVAL", clock_gettime, 99, R); S("clock", "EINVAL", clock_nanosleep, 99, 0, R, 0); S("thread clock", "EOPNOTSUPP", clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, R, 0); S("flags", "0", clock_nanosleep, 1, 0x10, v9, 0);
  S("nsec", "EINVAL", nanosleep, v5, 0); S("seconds", "EINVAL", nanosleep, v6, 0); S("clock", "EINVAL", timer_create, 99, 0, R); S("nobody", "EINVAL", timer_delete, 12345); S("nobody", "EINVAL", timer_settime, 12345, 0, R, 0); S("options", "EINVAL", wait4, -1, 0, 0x100, 0); S("signal", "EINVAL", kill, 0, 65); S("signal", "EINVAL", tgkill, self, self, 65); S("group", "EINVAL", tgkill, 0, self, 0); S("tid", "EINVAL", tkill, 0, 0); S("how", "EINVAL", rt_sigprocmask, 9, R, 0, 8); S("size", "EINVAL", rt_sigprocmask, 0, 0, R, 4); S("SIGKILL", "EINVAL", rt_sigaction, SIGKILL, R, 0, 8); S("0", "EINVAL", rt_sigaction, 0, 0, 0, 8); S("65", "EINVAL", rt_sigaction, 65, 0, 0, 8);
  S("flags", "EINVAL", getrandom, R, 1, 8); S("both", "EINVAL", getrandom, R, 1, 6); S("flags", "EINVAL", memfd_create, "x", 0x100); S("flags", "EINVAL", pidfd_open, self, 1); S("policy", "EINVAL", sched_setscheduler, 0, 99, R); S("priority", "EINVAL", sched_setscheduler, 0, SCHED_FIFO, v10); S("policy", "EINVAL", sched_get_priority_max, 99); S("size", "EINVAL", sched_getaffinity, 0, 1, R); S("size", "EINVAL", sched_getattr, 0, R, 10, 0); S("flags", "EINVAL", sched_getattr, 0, R, 48, 1);
  S("size", "EINVAL", clone3, R, 10); S("flags", "EINVAL", unshare, 1); S("type", "EINVAL", setns, 0, 1); S("fd", "EBADF", setns, 900, 0); S("flags", "EINVAL", close_range, 100, 200, 8); S("backwards", "EINVAL", close_range, 5, 4, 0); S("operation", "ENOSYS", futex, R, 99, 0, 0, 0, 0); S("clock", "ENOSYS", futex, R, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 0, 0, 0, 0); S("odd", "EINVAL", futex, R + 1, FUTEX_WAKE, 1, 0, 0, 0); S("flags", "EINVAL", futex_waitv, R, 1, 1, 0, 0); S("count", "EINVAL", futex_waitv, R, 0, 0, 0, 0); S("count", "EINVAL", futex_waitv, R, 129, 0, 0, 0);
  S("code", "EINVAL", arch_prctl, 0x99, R); S("option", "EINVAL", prctl, 9999, 0); S("command", "EINVAL", shmctl, segment, 99, R); S("command", "EINVAL", semctl, semaphore, 0, 99, 0); S("command", "EINVAL", msgctl, queue, 99, R); S("id", "EINVAL", shmctl, -1, IPC_STAT, R); S("type", "EINVAL", msgsnd, queue, v11, 1, 0); S("size", "EINVAL", msgsnd, queue, v12, -1, 0); S("count", "E2BIG", semop, semaphore, R, 600); S("count 0", "EINVAL", semop, semaphore, R, 0); S("size", "EINVAL", set_robust_list, R, 10);
  S("advice", "EINVAL", madvise, R, 4096, 999); S("flags", "EINVAL", msync, R, 4096, 8); S("flags", "EINVAL", mlock2, R, 4096, 8); S("flags", "EINVAL", mlockall, 0); S("flags", "EINVAL", mremap, R, 4096, 4096, 8, 0); S("prot", "EINVAL", mprotect, R, 4096, 0x100); S("flags", "EINVAL", mmap, 0, 4096, 1, 0x20, -1, 0); S("length", "EINVAL", mmap, 0, 0, 1, 0x22, -1, 0); S("domain", "EAFNOSUPPORT", socket, 99, 1, 0); S("type", "EINVAL", socket, 1, 99, 0); S("backlog", "ENOTSOCK", listen, file, 1); S("how", "EINVAL", shutdown, socket_, 9); S("level", "EOPNOTSUPP", setsockopt, socket_, 99, 1, R, 4); S("flags", "0", recvmmsg, socket_, R, 0, MSG_DONTWAIT, 0); S("flags", "EINVAL", accept4, listener, 0, 0, 1);
  S("operation", "EINVAL", flock, file, 0); S("both", "EINVAL", flock, file, LOCK_EX | LOCK_SH); S("mode", "EOPNOTSUPP", fallocate, file, 0x1000, 0, 1); S("length", "EINVAL", fallocate, file, 0, 0, 0); S("flags", "EINVAL", sync_file_range, file, 0, 0, 8); S("advice", "EINVAL", fadvise64, file, 0, 0, 9); S("command", "EINVAL", fcntl, file, 9999, 0); S("persona", "0", personality, 0xffffffff); S("type", geteuid() == 0 ? "EINVAL" : "EPERM", reboot, 1, 2, 3, 0); S("which", "EINVAL", ioprio_get, 9, 0); S("class", "EINVAL", ioprio_set, 1, 0, 0xffff);
}

int main(void) {
  char base[] = "/tmp/tsvisor-pointers-XXXXXX";
  if (!mkdtemp(base) || chdir(base) < 0) return 1;
  signal(SIGPIPE, SIG_IGN);
  signal(SIGUSR1, SIG_IGN);
  file = open("file", O_CREAT | O_RDWR, 0644);
  write(file, "0123456789", 10);
  lseek(file, 0, SEEK_SET);
  symlink("file", "link");
  setxattr("file", "user.x", "value", 5, 0);
  directory = open(".", O_RDONLY);
  int p[2], s[2];
  pipe2(p, O_NONBLOCK);
  reader = p[0];
  writer = p[1];
  write(writer, "many bytes to read", 18);
  socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s);
  socket_ = s[0];
  write(s[1], "many bytes", 10);
  listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  event = eventfd(0, EFD_NONBLOCK);
  timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  epoll = epoll_create1(0);
  struct epoll_event item = {.events = EPOLLIN};
  epoll_ctl(epoll, EPOLL_CTL_ADD, socket_, &item);
  notify = inotify_init1(IN_NONBLOCK);
  memory = open("/dev/zero", O_RDWR);
  self = getpid();
  struct sigevent none = {.sigev_notify = SIGEV_NONE};
  syscall(SYS_timer_create, CLOCK_MONOTONIC, &none, &posix_timer);
  segment = shmget(IPC_PRIVATE, 4096, 0600);
  semaphore = semget(IPC_PRIVATE, 2, 0600);
  queue = msgget(IPC_PRIVATE, 0600);
  paths();
  data();
  kept();
  sockets();
  processes();
  nonsense();
  shmctl(segment, IPC_RMID, NULL);
  semctl(semaphore, 0, IPC_RMID);
  msgctl(queue, IPC_RMID, NULL);
  chdir("/");
  char command[100];
  snprintf(command, sizeof command, "rm -rf %s", base);
  return system(command);
}

// Guest programs that take without end what the kernel keeps for them in its own memory: each says how the call that
// could not be met any more has failed. "limit" is one of Linux (RLIMIT_*, /proc/sys), "full" the sandbox's own.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 2000000

static char bytes[1 << 20];
static char path[256];
static int one = -1;

static int file(long i) { return open("/dev/null", O_RDONLY); }
static int generated(long i) {
  int fd = open("/proc/self/maps", O_RDONLY);
  return fd < 0 ? fd : (int)read(fd, bytes, 16);
}
static int epoll_of_one(long i) {
  if (one < 0) one = eventfd(0, 0);
  struct epoll_event event = {EPOLLIN};
  int fd = epoll_create1(0);
  return fd < 0 ? fd : epoll_ctl(fd, EPOLL_CTL_ADD, one, &event);
}
static int inotify_instance(long i) { return inotify_init(); }
static int pipe_full(long i) {
  int ends[2];
  if (pipe2(ends, O_NONBLOCK) < 0) return -1;
  fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
  long n;
  while ((n = write(ends[1], bytes, sizeof bytes)) > 0);
  return n < 0 && errno == EAGAIN ? 0 : -1;
}
static int pair_full(int type) {
  int ends[2], size = 1 << 20;
  if (socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, ends) < 0) return -1;
  setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  long n;
  while ((n = send(ends[0], bytes, 4096, MSG_DONTWAIT)) > 0);
  return n < 0 && errno == EAGAIN ? 0 : -1;
}
static int stream_full(long i) { return pair_full(SOCK_STREAM); }
static int datagrams_full(long i) { return pair_full(SOCK_DGRAM); }
static int timer(long i) {
  int id;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
  return syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id);
}
static int queued_signal(long i) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, NULL);
  return sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i});
}
static int memory_file(long i) {
  int fd = memfd_create("x", 0);
  return fd < 0 ? fd : (int)write(fd, bytes, 4096);
}
static int memory_file_large(long i) {
  if (one < 0) one = memfd_create("x", 0);
  return write(one, bytes, sizeof bytes);
}
static int small_file(long i) {
  sprintf(path, "/tmp/f%ld", i);
  int fd = open(path, O_CREAT | O_WRONLY, 0600);
  return fd < 0 ? fd : close(fd);
}
static int symbolic_link(long i) {
  memset(bytes, 'x', 4000);
  bytes[4000] = 0;
  sprintf(path, "/tmp/l%ld", i);
  return symlink(bytes, path);
}
static int attribute(long i) {
  sprintf(path, "/tmp/a%ld", i);
  int fd = open(path, O_CREAT | O_WRONLY, 0600);
  return fd < 0 ? fd : fsetxattr(fd, "user.a", bytes, 60000, 0) | close(fd);
}
static int deeper(long i) {
  if (i == 0 && chdir("/tmp") < 0) return -1;
  return mkdir("dddddddd", 0700) < 0 ? -1 : chdir("dddddddd");
}
static int record_lock(long i) {
  if (i % 200 == 0) {
    sprintf(path, "/tmp/k%ld", i);
    one = open(path, O_CREAT | O_RDWR, 0600);
  }
  struct flock lock = {F_WRLCK, SEEK_SET, i % 200 * 2, 1};
  return fcntl(one, F_SETLK, &lock);
}
static int semaphores(long i) { return semget(IPC_PRIVATE, 32000, IPC_CREAT | 0600); }
static int messages(long i) {
  struct {
    long type;
    char text[8192];
  } message = {1};
  int queue = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
  if (queue < 0) return -1;
  while (msgsnd(queue, &message, 8192, IPC_NOWAIT) == 0);
  return errno == EAGAIN ? 0 : -1;
}
static int posix_queue(long i) {
  sprintf(path, "/q%ld", i);
  return mq_open(path, O_CREAT | O_RDWR, 0600, NULL);
}
static int many_areas(long i) {
  for (int n = 0; n < 20000 && i == 0; n++) {
    mmap(NULL, 4096, n & 1 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }
  pid_t child = fork();
  if (child == 0) pause();
  return child;
}
static int mounts(long i) {
  sprintf(path, "/tmp/m%ld", i);
  return mkdir(path, 0700) < 0 ? -1 : mount("/bin", path, NULL, MS_BIND, NULL);
}
static int namespaces(long i) {
  if (unshare(CLONE_NEWNS | CLONE_NEWIPC) < 0) return -1;
  return open("/proc/self/ns/mnt", O_RDONLY) < 0 ? -1 : semget(IPC_PRIVATE, 1000, IPC_CREAT | 0600);
}

static const struct {
  const char *name;
  int (*take)(long);
} HOARDS[] = {
    {"file", file},
    {"generated", generated},
    {"epoll_of_one", epoll_of_one},
    {"inotify_instance", inotify_instance},
    {"pipe_full", pipe_full},
    {"stream_full", stream_full},
    {"datagrams_full", datagrams_full},
    {"timer", timer},
    {"queued_signal", queued_signal},
    {"memory_file", memory_file},
    {"memory_file_large", memory_file_large},
    {"small_file", small_file},
    {"symbolic_link", symbolic_link},
    {"attribute", attribute},
    {"deeper", deeper},
    {"record_lock", record_lock},
    {"semaphores", semaphores},
    {"messages", messages},
    {"posix_queue", posix_queue},
    {"many_areas", many_areas},
    {"mounts", mounts},
    {"namespaces", namespaces},
};

static void hoard(int n) {
  struct rlimit all = {1 << 20, 1 << 20};
  setrlimit(RLIMIT_NOFILE, &all);
  setpgid(0, 0);
  // What it leaves behind goes with its own instance and namespaces.
  if (unshare(CLONE_NEWNS | CLONE_NEWIPC) < 0 || mount("tmpfs", "/tmp", "tmpfs", 0, NULL) < 0) _exit(1);
  for (long i = 0; i < ROUNDS; i++) {
    errno = 0;
    if (HOARDS[n].take(i) >= 0) continue;
    printf("%s: %s after %s\n", HOARDS[n].name, strerrorname_np(errno), i < 3 ? "none" : "some");
    fflush(stdout);
    return;
  }
  printf("%s: without end\n", HOARDS[n].name);
  fflush(stdout);
}

int main(int argc, char **argv) {
  for (unsigned n = 0; n < sizeof HOARDS / sizeof *HOARDS; n++) {
    if (argc > 1 && strcmp(argv[1], HOARDS[n].name) != 0) continue;
    pid_t child = fork();
    if (child == 0) {
      hoard(n);
      _exit(0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    kill(-child, SIGKILL);
    while (waitpid(-1, NULL, WNOHANG) > 0);
    if (status != 0) printf("%s: ended with %x\n", HOARDS[n].name, status);
    // Others find room again.
    pid_t other = fork();
    if (other == 0) _exit(system("echo well | grep -q well"));
    status = -1;
    waitpid(other, &status, 0);
    if (status != 0) printf("%s: nothing works any more: %x\n", HOARDS[n].name, status);
    fflush(stdout);
  }
  printf("done\n");
  fflush(stdout);
  pause();
  return 0;
}

// One call after the other with large arguments, while another process beats every millisecond: prints for each call how long
// it took and the longest time between two beats, in milliseconds. Which calls: the arguments, or all.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB (1ul << 20)
#define GIB (1ul << 30)

static volatile double *longest;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec * 1e-6;
}

static char *reserve(size_t length) {
  return mmap(0, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}
static int sparse(size_t length) {
  int fd = memfd_create("turns", 0);
  ftruncate(fd, length);
  return fd;
}
static char *many_areas(int count) {
  char *at = reserve(count * 8192ul);
  for (int i = 0; i < count; i++) mprotect(at + i * 8192ul, 4096, PROT_READ);
  return at;
}

static void call_mincore(void) { syscall(SYS_mincore, reserve(64 * GIB), 64 * GIB, reserve(16 * MIB)); }
static void call_mlock(void) { mlock(reserve(2 * GIB), 2 * GIB); }
static void call_populate(void) {
  mmap(0, GIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
}
static void call_madvise(void) { madvise(reserve(GIB), GIB, MADV_POPULATE_WRITE); }
static void call_getrandom(void) {
  char *to = reserve(32 * MIB);
  for (int i = 0; i < 5; i++) getrandom(to, 32 * MIB, 0);
}
static void call_sendfile(void) { sendfile(open("/dev/null", O_WRONLY), sparse(4 * GIB), 0, 0x7fffffff); }
static void call_copy_file_range(void) {
  syscall(SYS_copy_file_range, sparse(512 * MIB), 0, sparse(0), 0, 512 * MIB, 0);
}
static struct iovec *vector(void) {
  struct iovec *list = calloc(1024, sizeof *list);
  char *bytes = reserve(2 * MIB);
  for (int i = 0; i < 1024; i++) list[i] = (struct iovec){bytes, 2 * MIB};
  return list;
}
static void call_writev(void) { writev(open("/dev/null", O_WRONLY), vector(), 1024); }
static void call_readv(void) { readv(open("/dev/zero", O_RDONLY), vector(), 512); }
static void call_preadv(void) { preadv(sparse(4 * GIB), vector(), 512, 0); }
static void call_process_vm_readv(void) {
  char *bytes = reserve(512 * MIB);
  struct iovec to = {bytes, 256 * MIB}, from = {bytes + 256 * MIB, 256 * MIB};
  process_vm_readv(getpid(), &to, 1, &from, 1, 0);
}
static void read_all(const char *path) {
  static char bytes[65536];
  int fd = open(path, O_RDONLY);
  while (read(fd, bytes, sizeof bytes) > 0);
  close(fd);
}
static void call_mprotect(void) { many_areas(12000); }
static void call_smaps(void) {
  many_areas(15000);
  read_all("/proc/self/smaps");
}
static void call_maps(void) {
  many_areas(12000);
  for (int i = 0; i < 5; i++) read_all("/proc/self/maps");
}
static void call_status(void) {
  many_areas(12000);
  double end = now() + 500;
  while (now() < end) read_all("/proc/self/status");
}
static void call_nested_sockets(void) {
  int inner = -1;
  for (int i = 0; i < 6000; i++) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) break;
    if (inner >= 0) {
      char byte = 0, control[CMSG_SPACE(4)] = {0};
      struct iovec one = {&byte, 1};
      struct msghdr message = {.msg_iov = &one, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
      struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
      *rights = (struct cmsghdr){CMSG_LEN(4), SOL_SOCKET, SCM_RIGHTS};
      memcpy(CMSG_DATA(rights), &inner, 4);
      if (sendmsg(ends[0], &message, 0) < 0) abort();
      close(inner);
    }
    close(ends[0]);
    inner = ends[1];
  }
}

static const struct {
  const char *name;
  void (*call)(void);
} CALLS[] = {
  {"mincore", call_mincore}, {"mlock", call_mlock}, {"populate", call_populate}, {"madvise", call_madvise},
  {"getrandom", call_getrandom}, {"sendfile", call_sendfile}, {"copy_file_range", call_copy_file_range},
  {"writev", call_writev}, {"readv", call_readv}, {"preadv", call_preadv},
  {"process_vm_readv", call_process_vm_readv}, {"mprotect", call_mprotect}, {"smaps", call_smaps}, {"maps", call_maps},
  {"status", call_status}, {"nested_sockets", call_nested_sockets},
};

static void beat(void) {
  for (double last = now();;) {
    struct timespec pause = {0, 1000000};
    nanosleep(&pause, 0);
    double at = now();
    if (at - last > *longest) *longest = at - last;
    last = at;
  }
}

static int is_wanted(int count, char **names, const char *name) {
  for (int i = 1; i < count; i++) if (!strcmp(names[i], name)) return 1;
  return count == 1;
}

int main(int count, char **names) {
  longest = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t heart = fork();
  if (heart == 0) beat();
  for (unsigned i = 0; i < sizeof CALLS / sizeof *CALLS; i++) {
    if (!is_wanted(count, names, CALLS[i].name)) continue;
    // From the call's start to its end alone: fork and exit are the host's work too.
    pid_t child = fork();
    if (child == 0) {
      usleep(10000);
      double start = now();
      *longest = 0;
      CALLS[i].call();
      usleep(3000);
      printf("%s %.0f %.0f\n", CALLS[i].name, now() - start, *longest);
      fflush(stdout);
      _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    if (status != 0) printf("%s died of %x\n", CALLS[i].name, status);
  }
  kill(heart, SIGKILL);
  return 0;
}

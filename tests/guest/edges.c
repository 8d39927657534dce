// Values at the edges: what a call answers where arguments are at a limit, or two errors are possible.
#include "check.h"
#include <linux/random.h>
#include <linux/memfd.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/mount.h>
#include <sys/sem.h>
#include <sys/shm.h>

static int resident(void *memory, int pages) {
  unsigned char map[64];
  int count = 0;
  if (mincore(memory, pages * 4096, map) < 0) return -1;
  for (int i = 0; i < pages; i++) count += map[i] & 1;
  return count;
}

static void locked_memory(void) {
  for (int prot = PROT_READ; prot <= (PROT_READ | PROT_WRITE); prot++) {
    for (int share = MAP_SHARED; share <= MAP_PRIVATE; share++) {
      char *memory = mmap(NULL, 8 * 4096, prot, share | MAP_ANONYMOUS, -1, 0);
      EQUALS("mlock", 0, mlock(memory, 8 * 4096));
      EQUALS("locked pages are resident", 8, resident(memory, 8));
      munmap(memory, 8 * 4096);
    }
  }
}

static void addresses_near_the_end(void) {
  FAILS("msync(-1)", EINVAL, msync((void *)-1UL, 4096, MS_SYNC));
  FAILS("msync(-4096 + 1)", EINVAL, msync((void *)-4095UL, 4096, MS_SYNC));
  FAILS("msync(-4096)", ENOMEM, msync((void *)-4096UL, 4096, MS_SYNC));
  FAILS("madvise(-1)", EINVAL, madvise((void *)-1UL, 4096, MADV_NORMAL));
  FAILS("munmap(-1)", EINVAL, munmap((void *)-1UL, 4096));
  FAILS("mprotect(-1)", EINVAL, mprotect((void *)-1UL, 4096, PROT_READ));
  FAILS("mincore(-1)", EINVAL, mincore((void *)-1UL, 4096, (void *)&errno));
  FAILS("mremap(-1)", EINVAL, (long)mremap((void *)-1UL, 4096, 8192, 0));
}

static void positions_of_pipes(void) {
  int ends[2];
  char byte = 1;
  struct iovec vector = {&byte, 1};
  pipe(ends);
  FAILS("pread of the write end", ESPIPE, pread(ends[1], &byte, 1, 0));
  FAILS("pwrite of the read end", ESPIPE, pwrite(ends[0], &byte, 1, 0));
  FAILS("preadv of the write end", ESPIPE, preadv(ends[1], &vector, 1, 0));
  FAILS("pwritev of the read end", ESPIPE, pwritev(ends[0], &vector, 1, 0));
  FAILS("preadv2 of the write end", ESPIPE, syscall(SYS_preadv2, ends[1], &vector, 1, 0, 0, 0));
  FAILS("pwritev2 of the read end", ESPIPE, syscall(SYS_pwritev2, ends[0], &vector, 1, 0, 0, 0));
  FAILS("preadv2 of the write end, no position", EBADF, syscall(SYS_preadv2, ends[1], &vector, 1, -1L, -1L, 0));
  FAILS("pwritev2 of the read end, no position", EBADF, syscall(SYS_pwritev2, ends[0], &vector, 1, -1L, -1L, 0));
  FAILS("pwritev2 at -2", EINVAL, syscall(SYS_pwritev2, -1, &vector, 1, -2L, -1L, 0));
  int file = open("/proc/self/exe", O_RDONLY);
  FAILS("pwritev of a file open for reading", EBADF, pwritev(file, &vector, 1, 0));
  close(file);
  file = open("/dev/null", O_WRONLY);
  FAILS("preadv of a file open for writing", EBADF, preadv(file, &vector, 1, 0));
  close(file);
  close(ends[0]);
  close(ends[1]);
}

static void sizes_near_the_end(void) {
  char name[] = "/dev/shm/edgesXXXXXX";
  int file = mkstemp(name);
  unlink(name);
  FAILS("fallocate beyond 2^63", EFBIG, fallocate(file, FALLOC_FL_KEEP_SIZE, 1024, 9223372036854774784L));
  FAILS("fallocate of nothing", EINVAL, fallocate(file, 0, 0, 0));
  close(file);
}

static void system_v(void) {
  unshare(CLONE_NEWIPC);
  for (int i = 0; i < 3; i++) {
    struct seminfo info;
    struct semid_ds status;
    int id = semget(IPC_PRIVATE, 2, 0600), other = semget(IPC_PRIVATE, 3, 0600);
    WORKS("SEM_INFO", semctl(0, 0, SEM_INFO, &info));
    SAYS("sets and semaphores", "2 5", "%d %d", info.semusz, info.semaem);
    TRUE("SEM_STAT takes an id for its index", semctl(id, 0, SEM_STAT, &status) == id);
    TRUE("so does SEM_STAT_ANY", semctl(other, 0, 20 /* SEM_STAT_ANY */, &status) == other);
    semctl(id, 0, IPC_RMID);
    FAILS("not of one that is gone", EINVAL, semctl(id, 0, SEM_STAT, &status));
    semctl(other, 0, IPC_RMID);
  }
  struct {
    long type;
    char text[5];
  } message = {1, "abcd"};
  struct msginfo info;
  int id = msgget(IPC_PRIVATE, 0600), other = msgget(IPC_PRIVATE, 0600);
  msgsnd(id, &message, 5, 0);
  msgsnd(id, &message, 3, 0);
  msgsnd(other, &message, 4, 0);
  WORKS("MSG_INFO", msgctl(0, MSG_INFO, (void *)&info));
  SAYS("queues, messages, bytes", "2 3 12", "%d %d %d", info.msgpool, info.msgmap, info.msgtql);
  msgctl(id, IPC_RMID, NULL);
  msgctl(other, IPC_RMID, NULL);
  struct shminfo limits;
  WORKS("IPC_INFO", shmctl(0, IPC_INFO, (void *)&limits));
  SAYS("limits of shared memory", "fffffffffeffffff 1 4096 4096 fffffffffeffffff", "%lx %lu %lu %lu %lx", limits.shmmax, limits.shmmin, limits.shmmni, limits.shmseg, limits.shmall);
}

static void devices(void) {
  int count = 0, file = open("/dev/urandom", O_RDONLY);
  EQUALS("RNDGETENTCNT", 0, ioctl(file, RNDGETENTCNT, &count));
  TRUE("there is entropy", count > 0);
  FAILS("RNDGETENTCNT to a bad address", EFAULT, ioctl(file, RNDGETENTCNT, BAD));
  close(file);
}

static short polled(int file, short events, int millis) {
  struct pollfd poll_of = {file, events};
  int ready = poll(&poll_of, 1, millis);
  return ready < 0 ? -1 : poll_of.revents;
}
static void *change_name(void *name) {
  usleep(50000);
  sethostname(name, strlen(name));
  return NULL;
}
static void files_that_tell_changes(void) {
  static const char *const NAMES[] = {"/proc/self/mounts", "/proc/self/mountinfo"};
  unshare(CLONE_NEWNS | CLONE_NEWUTS);
  mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
  for (int i = 0; i < 2; i++) {
    int file = open(NAMES[i], O_RDONLY), epoll = epoll_create1(0);
    struct epoll_event event = {EPOLLERR | EPOLLPRI | EPOLLET};
    EQUALS("epoll takes it", 0, epoll_ctl(epoll, EPOLL_CTL_ADD, file, &event));
    EQUALS("nothing has changed", 0, polled(file, POLLPRI, 0));
    EQUALS("a mount", 0, mount("t", "/dev/shm", "tmpfs", 0, NULL));
    EQUALS("it tells", POLLPRI | POLLERR, polled(file, POLLPRI, 1000));
    EQUALS("once", 0, polled(file, POLLPRI, 0));
    EQUALS("an unmount", 0, umount("/dev/shm"));
    EQUALS("it tells that too", POLLIN | POLLPRI | POLLERR, polled(file, POLLPRI | POLLIN, 1000));
    EQUALS("it can be read all the time", POLLIN, polled(file, POLLPRI | POLLIN, 0));
    close(epoll);
    close(file);
  }
  int file = open("/proc/sys/kernel/hostname", O_RDWR);
  EQUALS("the host's name has not changed", 0, polled(file, POLLPRI, 0));
  sethostname("first", 5);
  EQUALS("now it has", POLLPRI | POLLERR, polled(file, POLLPRI, 1000));
  pthread_t thread;
  pthread_create(&thread, NULL, change_name, "second");
  EQUALS("while somebody waits", POLLPRI | POLLERR, polled(file, POLLPRI, 10000));
  pthread_join(thread, NULL);
  EQUALS("a name that ends in a NUL", 8, pwrite(file, "third\0xy", 8, 0));
  char name[65];
  gethostname(name, sizeof name);
  SAYS("the name", "third", "%s", name);
  EQUALS("that was a change", POLLPRI | POLLERR, polled(file, POLLPRI, 0));
  close(file);
  struct epoll_event event = {EPOLLIN};
  int epoll = epoll_create1(0);
  EQUALS("epoll takes /proc/meminfo", 0, epoll_ctl(epoll, EPOLL_CTL_ADD, open("/proc/meminfo", O_RDONLY), &event));
  EQUALS("and sysctls", 0, epoll_ctl(epoll, EPOLL_CTL_ADD, open("/proc/sys/vm/swappiness", O_RDONLY), &event));
  FAILS("no file of a process", EPERM, epoll_ctl(epoll, EPOLL_CTL_ADD, open("/proc/self/status", O_RDONLY), &event));
  FAILS("nor of its descriptors", EPERM, epoll_ctl(epoll, EPOLL_CTL_ADD, open("/proc/self/fdinfo/0", O_RDONLY), &event));
  FAILS("nor /proc/self/mountstats", EPERM, epoll_ctl(epoll, EPOLL_CTL_ADD, open("/proc/self/mountstats", O_RDONLY), &event));
  FAILS("nor its maps", EPERM, epoll_ctl(epoll, EPOLL_CTL_ADD, open("/proc/self/maps", O_RDONLY), &event));
}

static void children_that_ended(void) {
  siginfo_t info;
  pid_t child = fork();
  if (child == 0) _exit(0);
  await_state(child, 'Z');
  FAILS("a zombie does not stop", ECHILD, waitid(P_ALL, 0, &info, WSTOPPED));
  FAILS("nor go on", ECHILD, waitid(P_PID, child, &info, WCONTINUED | WNOHANG));
  pid_t other = fork();
  if (other == 0) { pause(); _exit(0); }
  EQUALS("another might", 0, waitid(P_ALL, 0, &info, WSTOPPED | WNOHANG));
  kill(other, SIGKILL);
  FAILS("until it has ended", ECHILD, waitid(P_ALL, 0, &info, WSTOPPED));
  EQUALS("they are there", 0, wait_code(child));
  EQUALS("both", 1000 + SIGKILL, wait_code(other));
}

/* What abort() leaves of a child with that limit, in that directory. */
static int death(long limit, const char *directory, int dumpable) {
  struct rlimit rlimit = {limit, limit};
  int status = 0;
  siginfo_t info = {0};
  pid_t child = fork();
  if (child == 0) {
    setrlimit(RLIMIT_CORE, &rlimit);
    if (directory == NULL) {
      directory = "/dev/shm/tsvisor-core-gone";
      mkdir(directory, 0755);
    }
    if (chdir(directory) < 0) _exit(9);
    rmdir("/dev/shm/tsvisor-core-gone");
    prctl(PR_SET_DUMPABLE, dumpable);
    abort();
  }
  waitid(P_PID, child, &info, WEXITED | WNOWAIT);
  TRUE("siginfo says the same", info.si_status == SIGABRT && (info.si_code == CLD_DUMPED) == (limit >= 4096 && dumpable && directory != NULL));
  waitpid(child, &status, 0);
  return status;
}
static void core_dumps(void) {
  char directory[] = "/dev/shm/tsvisor-core-XXXXXX", name[64];
  mkdtemp(directory);
  EQUALS("abort without a limit for cores", SIGABRT, death(0, directory, 1));
  EQUALS("with too small a one", SIGABRT, death(4095, directory, 1));
  EQUALS("with a large one", SIGABRT | 0x80, death(1 << 20, directory, 1));
  EQUALS("in a directory that is gone", SIGABRT, death(1 << 20, NULL, 1));
  EQUALS("of one that is not to be dumped", SIGABRT, death(1 << 20, directory, 0));
  int status;
  pid_t child = fork();
  if (child == 0) {
    struct rlimit rlimit = {1 << 20, 1 << 20};
    setrlimit(RLIMIT_CORE, &rlimit);
    chdir(directory);
    raise(SIGTERM);
  }
  waitpid(child, &status, 0);
  EQUALS("a signal that dumps none", SIGTERM, status);
  /* core, or core.PID where kernel.core_uses_pid says so. */
  snprintf(name, sizeof name, "rm -r %s", directory);
  system(name);
}

static void lone_bytes(void) {
  char name[] = "/dev/shm/tsvisor-lone-XXXXXX", line[64];
  int fd = mkstemp(name);
  unlink(name);
  struct stat status;
  for (long at = 4096; at <= 1L << 34; at *= 4) {
    ftruncate(fd, 0);
    pwrite(fd, "a", 1, at);
    fstat(fd, &status);
    snprintf(line, sizeof line, "one byte at %ld, blocks", at);
    EQUALS(line, 8, status.st_blocks);
    EQUALS("data", at, lseek(fd, 0, SEEK_DATA));
    EQUALS("the hole before it", 0, lseek(fd, 0, SEEK_HOLE));
    EQUALS("behind it", at + 1, lseek(fd, at, SEEK_HOLE));
    char byte = 'x';
    pread(fd, &byte, 1, at - 1);
    EQUALS("nothing before it", 0, byte);
  }
  ftruncate(fd, 0);
  ftruncate(fd, 100000);
  fstat(fd, &status);
  EQUALS("a size alone takes nothing", 0, status.st_blocks);
  FAILS("it has no data", ENXIO, lseek(fd, 0, SEEK_DATA));
  pwrite(fd, "abc", 3, 40959);
  fstat(fd, &status);
  EQUALS("three bytes over a border", 16, status.st_blocks);
  EQUALS("begin there", 36864, lseek(fd, 0, SEEK_DATA));
  EQUALS("and end there", 45056, lseek(fd, 36864, SEEK_HOLE));
  ftruncate(fd, 40960);
  ftruncate(fd, 50000);
  fstat(fd, &status);
  EQUALS("cut in between", 8, status.st_blocks);
  FAILS("the rest is a hole", ENXIO, lseek(fd, 40960, SEEK_DATA));
  char *map = mmap(NULL, 50000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  EQUALS("the first of them is seen in a mapping", 'a', map[40959]);
  EQUALS("the others are not", 0, map[40960]);
  fstat(fd, &status);
  TRUE("blocks then", status.st_blocks >= 8 && status.st_blocks <= 16);
  munmap(map, 50000);
  close(fd);
}

static void full_pipes(void) {
  int ends[2];
  pipe(ends);
  char *bytes = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(bytes, 1, 1 << 20);
  struct iovec whole = {bytes, 1 << 20}, odd = {bytes + 100, 1 << 19}, two[] = {{bytes + 10, 20}, {bytes + 4096, 1 << 20}};
  EQUALS("vmsplice into an empty pipe gives what it holds", 65536, vmsplice(ends[1], &whole, 1, 0));
  FAILS("and into a full one nothing", EAGAIN, vmsplice(ends[1], &whole, 1, SPLICE_F_NONBLOCK));
  read(ends[0], bytes, 65536);
  EQUALS("a page that begins in its midst is one", 65536 - 100, vmsplice(ends[1], &odd, 1, 0));
  read(ends[0], bytes, 65536);
  EQUALS("so is each of two pieces", 15 * 4096 + 20, vmsplice(ends[1], two, 2, 0));
  close(ends[0]);
  signal(SIGPIPE, SIG_IGN);
  FAILS("nobody reads", EPIPE, vmsplice(ends[1], &whole, 1, 0));
  signal(SIGPIPE, SIG_DFL);
  close(ends[1]);
  munmap(bytes, 1 << 20);
}

static void timeouts_that_stay(void) {
  struct timeval time = {0, 20000};
  struct timespec exact = {0, 20000000};
  struct pollfd none;
  EQUALS("sticky timeouts", 0, personality(STICKY_TIMEOUTS));
  EQUALS("select", 0, select(0, NULL, NULL, NULL, &time));
  EQUALS("leaves the time", 20000, time.tv_usec);
  EQUALS("ppoll", 0, syscall(SYS_ppoll, &none, 0, &exact, NULL, 8));
  EQUALS("does too", 20000000, exact.tv_nsec);
  personality(0);
  select(0, NULL, NULL, NULL, &time);
  EQUALS("and then no longer", 0, time.tv_usec);
}

static void huge_memfds(void) {
  char byte = 'x';
  struct stat status;
  int fd = memfd_create("huge", MFD_HUGETLB);
  TRUE("a memfd of huge pages", fd >= 0);
  FAILS("half of one", EINVAL, ftruncate(fd, 1 << 20));
  EQUALS("one", 0, ftruncate(fd, 1 << 21));
  fstat(fd, &status);
  EQUALS("its size", 1 << 21, status.st_size);
  EQUALS("takes nothing", 0, status.st_blocks);
  EQUALS("it is read", 1, pread(fd, &byte, 1, 5));
  EQUALS("as zeros", 0, byte);
  FAILS("it is not written", EINVAL, write(fd, "x", 1));
  FAILS("there are none to map", ENOMEM, mmap(NULL, 1 << 21, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  FAILS("nor privately", ENOMEM, mmap(NULL, 1 << 21, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
  close(fd);
  fd = memfd_create("huge", MFD_HUGETLB | MFD_HUGE_2MB);
  TRUE("of that size", fd >= 0);
  close(fd);
  FAILS("of a size that is none", ENODEV, memfd_create("huge", MFD_HUGETLB | 22u << 26));
  FAILS("a size alone", EINVAL, memfd_create("huge", MFD_HUGE_2MB));
}

int main(void) {
  children_that_ended();
  core_dumps();
  lone_bytes();
  full_pipes();
  timeouts_that_stay();
  huge_memfds();
  locked_memory();
  addresses_near_the_end();
  positions_of_pipes();
  sizes_near_the_end();
  system_v();
  devices();
  files_that_tell_changes();
  return 0;
}

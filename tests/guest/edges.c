// Values at the edges: what a call answers where arguments are at a limit, or two errors are possible.
#include "check.h"
#include <linux/random.h>
#include <sys/msg.h>
#include <sys/mount.h>
#include <sys/sem.h>

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

int main(void) {
  locked_memory();
  addresses_near_the_end();
  positions_of_pipes();
  sizes_near_the_end();
  system_v();
  devices();
  files_that_tell_changes();
  return 0;
}

// Calls that few programs make: kcmp, ustat, sysfs, F_CREATED_QUERY, namespaces' and pidfds' ioctls; and what mounts refuse
// and count: read-only with writers, pivot_root, the size of a tmpfs.
#include "check.h"
#include <linux/kcmp.h>
#include <linux/nsfs.h>
#include <sys/mount.h>

#ifndef F_CREATED_QUERY
#define F_CREATED_QUERY 1028
#endif
struct pidfd_info_ {
  uint64_t mask, cgroup;
  uint32_t pid, tgid, ppid, ids[8];
  int32_t exit_code;
  uint32_t more[6];
};
#define GET_INFO(size) _IOC(_IOC_READ | _IOC_WRITE, 0xff, 11, size)

static void created(void) {
  char name[] = "/dev/shm/tsvisor-created-XXXXXX";
  close(mkstemp(name));
  int old = open(name, O_CREAT | O_RDWR, 0600);
  EQUALS("a file that was there", 0, fcntl(old, F_CREATED_QUERY));
  unlink(name);
  int new = open(name, O_CREAT | O_RDWR, 0600);
  EQUALS("one that is new", 1, fcntl(new, F_CREATED_QUERY));
  EQUALS("a copy of the descriptor", 1, fcntl(dup(new), F_CREATED_QUERY));
  int again = open(name, O_RDWR);
  EQUALS("opened again", 0, fcntl(again, F_CREATED_QUERY));
  unlink(name);
}

static long kcmp(pid_t a, pid_t b, int type, unsigned long i, unsigned long j) { return syscall(SYS_kcmp, a, b, type, i, j); }
static void compared(void) {
  pid_t us = getpid();
  int same = dup(1), other = open("/dev/null", O_WRONLY);
  EQUALS("one open file by two descriptors", 0, kcmp(us, us, KCMP_FILE, 1, same));
  int one = kcmp(us, us, KCMP_FILE, 1, other), back = kcmp(us, us, KCMP_FILE, other, 1);
  TRUE("two files are in an order", (one == 1 && back == 2) || (one == 2 && back == 1));
  TRUE("which stays", kcmp(us, us, KCMP_FILE, 1, other) == one);
  FAILS("a descriptor that is closed", EBADF, kcmp(us, us, KCMP_FILE, 1, 900));
  static const int TYPES[] = {KCMP_VM, KCMP_FILES, KCMP_FS, KCMP_SIGHAND, KCMP_IO, KCMP_SYSVSEM};
  for (int i = 0; i < 6; i++) EQUALS("with itself", 0, kcmp(us, us, TYPES[i], 0, 0));
  FAILS("no such type", EINVAL, kcmp(us, us, 99, 0, 0));
  FAILS("no such process", ESRCH, kcmp(us, 9999999, KCMP_VM, 0, 0));
  pid_t child = fork();
  if (child == 0) { pause(); _exit(0); }
  EQUALS("an inherited file", 0, kcmp(us, child, KCMP_FILE, 1, 1));
  for (int i = 0; i < 4; i++) TRUE("a child has its own", kcmp(us, child, TYPES[i], 0, 0) > 0);
  kill(child, SIGKILL);
  wait_code(child);
}

static void filesystems(void) {
  struct stat status;
  struct { int blocks; unsigned long inodes; char names[12]; } about;
  stat("/dev/shm", &status);
  memset(&about, 0xff, sizeof about);
  EQUALS("ustat", 0, syscall(SYS_ustat, status.st_dev, &about));
  struct statfs space;
  statfs("/dev/shm", &space);
  TRUE("its free inodes", about.inodes == space.f_ffree);
  SAYS("no names", "0 0", "%d %d", about.names[0], about.names[6]);
  FAILS("no such device", EINVAL, syscall(SYS_ustat, 0xfffff, &about));
  FAILS("a bad address", EFAULT, syscall(SYS_ustat, status.st_dev, BAD));
  long count = syscall(SYS_sysfs, 3), index = syscall(SYS_sysfs, 1, "proc");
  char name[64] = "";
  TRUE("types of file systems", count > 3 && index >= 0 && index < count);
  EQUALS("the name of one", 0, syscall(SYS_sysfs, 2, index, name));
  SAYS("it is", "proc", "%s", name);
  FAILS("a name that is none", EINVAL, syscall(SYS_sysfs, 1, "nofs"));
  FAILS("an index that is none", EINVAL, syscall(SYS_sysfs, 2, count, name));
  FAILS("a bad buffer", EFAULT, syscall(SYS_sysfs, 2, index, BAD));
  FAILS("no such request", EINVAL, syscall(SYS_sysfs, 9));
}

static void namespaces(void) {
  int user = open("/proc/self/ns/user", O_RDONLY), uts = open("/proc/self/ns/uts", O_RDONLY), pid = open("/proc/self/ns/pid", O_RDONLY);
  uid_t owner = 77;
  EQUALS("owner of the user namespace", 0, ioctl(user, NS_GET_OWNER_UID, &owner));
  EQUALS("is root", 0, owner);
  FAILS("others have none", EINVAL, ioctl(uts, NS_GET_OWNER_UID, &owner));
  int its = ioctl(uts, NS_GET_USERNS);
  struct stat a, b;
  fstat(its, &a), fstat(user, &b);
  TRUE("they belong to the user namespace", its >= 0 && a.st_ino == b.st_ino);
  EQUALS("closed on exec", FD_CLOEXEC, fcntl(its, F_GETFD));
  FAILS("which has no parent here", EPERM, ioctl(user, NS_GET_PARENT));
  FAILS("nor belongs to one", EPERM, ioctl(user, NS_GET_USERNS));
  FAILS("a uts namespace has no parent", EINVAL, ioctl(uts, NS_GET_PARENT));
  FAILS("ours has none here", EPERM, ioctl(pid, NS_GET_PARENT));
  pid_t child = fork();
  if (child == 0) {
    unshare(CLONE_NEWPID);
    pid_t inner = fork();
    if (inner == 0) { pause(); _exit(0); }
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/pid", inner);
    int new = open(path, O_RDONLY), parent = ioctl(new, NS_GET_PARENT);
    fstat(parent, &a), fstat(pid, &b);
    TRUE("a new pid namespace has ours", parent >= 0 && a.st_ino == b.st_ino);
    kill(inner, SIGKILL);
    waitpid(inner, NULL, 0);
    _exit(0);
  }
  wait_code(child);
}

static void about_processes(void) {
  struct pidfd_info_ info = {3};
  pid_t child = fork();
  if (child == 0) { setresgid(5, 6, 7); setresuid(1, 2, 3); pause(); _exit(0); }
  int fd = syscall(SYS_pidfd_open, child, 0);
  await_state(child, 'S');
  EQUALS("PIDFD_GET_INFO", 0, ioctl(fd, GET_INFO(64), &info));
  TRUE("whose it is", (info.mask & 3) == 3 && info.pid == child && info.tgid == child && info.ppid == getpid());
  SAYS("its ids", "1 5 2 6 3 7 2 6", "%u %u %u %u %u %u %u %u", info.ids[0], info.ids[1], info.ids[2], info.ids[3], info.ids[4], info.ids[5], info.ids[6], info.ids[7]);
  FAILS("too small", ENOTTY, ioctl(fd, GET_INFO(56), &info));
  FAILS("a bad address", EFAULT, ioctl(fd, GET_INFO(64), BAD));
  kill(child, SIGKILL);
  wait_code(child);
  info.mask = 3;
  FAILS("of one that is gone", ESRCH, ioctl(fd, GET_INFO(64), &info));
  close(fd);
}

static struct statfs space_of(const char *path) {
  struct statfs space;
  statfs(path, &space);
  return space;
}
static void mounts(void) {
  char base[] = "/dev/shm/tsvisor-small-XXXXXX", name[64], old[64], target[3001];
  mkdtemp(base);
  snprintf(name, sizeof name, "%s/file", base);
  snprintf(old, sizeof old, "%s/old", base);
  unshare(CLONE_NEWNS);
  mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
  EQUALS("a tmpfs of 10000 bytes", 0, mount("t", base, "tmpfs", MS_NOATIME, "size=10000"));
  EQUALS("has whole pages", 3, space_of(base).f_blocks);
  EQUALS("and says its flags", 0x420, space_of(base).f_flags);
  char bytes[20000];
  memset(bytes, 1, sizeof bytes);
  int fd = open(name, O_CREAT | O_WRONLY, 0600);
  EQUALS("what fits is written", 12288, write(fd, bytes, sizeof bytes));
  FAILS("no more", ENOSPC, write(fd, bytes, 1));
  memset(target, 'x', 3000);
  target[3000] = 0;
  snprintf(old, sizeof old, "%s/link", base);
  FAILS("a long link takes a page", ENOSPC, symlink(target, old));
  EQUALS("a short one does not", 0, symlink(target + 2900, old));
  unlink(old);
  FAILS("not read-only while somebody writes", EBUSY, mount("t", base, NULL, MS_REMOUNT | MS_RDONLY, NULL));
  FAILS("nor the mount alone", EBUSY, mount("t", base, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
  close(fd);
  fd = open(name, O_RDONLY);
  EQUALS("while somebody reads", 0, mount("t", base, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
  FAILS("it is", EROFS, open(name, O_WRONLY));
  close(fd);
  EQUALS("writable again", 0, mount("t", base, NULL, MS_REMOUNT | MS_BIND, NULL));
  unlink(name);
  EQUALS("room again", 3, space_of(base).f_bfree);
  EQUALS("for a long link", 0, symlink(target, old));
  EQUALS("that takes a page", 2, space_of(base).f_bfree);
  struct stat status;
  lstat(old, &status);
  EQUALS("its blocks", 8, status.st_blocks);
  unlink(old);
  EQUALS("and gives it back", 3, space_of(base).f_bfree);

  snprintf(old, sizeof old, "%s/old", base);
  mkdir(old, 0755);
  mount("none", base, NULL, MS_SHARED, NULL);
  FAILS("no root below a shared mount", EINVAL, syscall(SYS_pivot_root, base, old));
  mount("none", base, NULL, MS_PRIVATE, NULL);
  FAILS("none that is no mount", EINVAL, syscall(SYS_pivot_root, old, old));
  FAILS("none that is the root", EBUSY, syscall(SYS_pivot_root, "/", old));
  FAILS("none below the old one", EBUSY, syscall(SYS_pivot_root, base, "/"));
  FAILS("nor a file", ENOTDIR, syscall(SYS_pivot_root, "/proc/self/status", old));
  umount2(base, MNT_DETACH);
  rmdir(base);
}

/* What mmap(2) and others refuse once memory is sealed; the calls' numbers, as libc has none. */
static long seal(void *at, size_t length, long flags) { return syscall(462, at, length, flags); }
static void sealed(void) {
  char *m = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(m + 7 * 4096, 4096);
  FAILS("mseal flags", EINVAL, seal(m, 4096, 1));
  FAILS("mseal unaligned", EINVAL, seal(m + 1, 4096, 0));
  FAILS("mseal of a hole", ENOMEM, seal(m, 8 * 4096, 0));
  EQUALS("mseal of nothing", 0, seal(m, 0, 0));
  m[4096] = 'x';
  EQUALS("mseal", 0, seal(m + 4096, 2 * 4096, 0));
  EQUALS("again", 0, seal(m + 4096, 4096, 0));
  FAILS("munmap", EPERM, munmap(m + 4096, 4096));
  FAILS("munmap of more", EPERM, munmap(m, 8 * 4096));
  FAILS("mprotect", EPERM, mprotect(m + 4096, 4096, PROT_READ));
  FAILS("mmap over it", EPERM, mmap(m + 4096, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? -1 : 0);
  FAILS("mremap", EPERM, mremap(m + 4096, 4096, 8192, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0);
  EQUALS("advice on what could be written", 0, madvise(m + 4096, 4096, MADV_DONTNEED));
  EQUALS("memory beside it", 0, mprotect(m, 4096, PROT_READ));
  EQUALS("sealed read-only", 0, seal(m, 4096, 0));
  FAILS("is not thrown away", EPERM, madvise(m, 4096, MADV_DONTNEED));
  EQUALS("but other advice", 0, madvise(m, 4096, MADV_WILLNEED));
  pid_t child = fork();
  if (child == 0) {
    FAILS("a child's is sealed too", EPERM, munmap(m + 4096, 4096));
    _exit(0);
  }
  wait_code(child);
  EQUALS("the rest goes", 0, munmap(m + 3 * 4096, 4 * 4096));
}

static long remap(void *at, size_t size, int prot, size_t page) { return syscall(SYS_remap_file_pages, at, size, prot, page, 0); }
static void remapped(void) {
  int fd = memfd_create("pages", 0);
  ftruncate(fd, 4 * 4096);
  char *m = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  for (int i = 0; i < 4; i++) m[i * 4096] = 'a' + i;
  EQUALS("remap_file_pages", 0, remap(m, 4096, 0, 3));
  SAYS("shows another page", "dbcd", "%c%c%c%c", m[0], m[4096], m[2 * 4096], m[3 * 4096]);
  m[0] = 'z';
  SAYS("of the file", "zbcz", "%c%c%c%c", m[0], m[4096], m[2 * 4096], m[3 * 4096]);
  EQUALS("over pieces", 0, remap(m, 3 * 4096, 0, 1));
  SAYS("shows them", "bczz", "%c%c%c%c", m[0], m[4096], m[2 * 4096], m[3 * 4096]);
  FAILS("with a protection", EINVAL, remap(m, 4096, PROT_READ, 0));
  FAILS("of no size", EINVAL, remap(m, 0, 0, 0));
  char *own = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  FAILS("private memory", EINVAL, remap(own, 4096, 0, 0));
  char *shared = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  shared[4096] = 's';
  EQUALS("shared memory without a name", 0, remap(shared, 4096, 0, 1));
  SAYS("is the same page", "s", "%c", shared[0]);
}

static void cached(void) {
  struct { uint64_t off, len; } range = {0, 0};
  struct { uint64_t cached, dirty, writeback, evicted, recently; } state;
  int fd = memfd_create("cached", 0), ends[2];
  char bytes[5 * 4096];
  memset(bytes, 1, sizeof bytes);
  write(fd, bytes, sizeof bytes);
  EQUALS("cachestat", 0, syscall(451, fd, &range, &state, 0));
  EQUALS("all pages", 5, state.cached);
  EQUALS("none in flight", 0, state.writeback + state.evicted);
  range.off = 4096, range.len = 8192;
  syscall(451, fd, &range, &state, 0);
  EQUALS("two of them", 2, state.cached);
  range.off = 1 << 20;
  syscall(451, fd, &range, &state, 0);
  EQUALS("beyond the end", 0, state.cached);
  FAILS("flags", EINVAL, syscall(451, fd, &range, &state, 1));
  FAILS("a bad range", EFAULT, syscall(451, fd, BAD, &state, 0));
  FAILS("a bad result", EFAULT, syscall(451, fd, &range, BAD, 0));
  FAILS("no descriptor", EBADF, syscall(451, 900, &range, &state, 0));
  pipe(ends);
  EQUALS("a pipe", 0, syscall(451, ends[0], &range, &state, 0));
}

static void of_proc(void) {
  int fd = open("/proc/self/clear_refs", O_WRONLY);
  TRUE("clear_refs", fd >= 0);
  EQUALS("referenced bits", 2, write(fd, "1\n", 2));
  EQUALS("the peak of memory", 1, write(fd, "5", 1));
  FAILS("no such kind", EINVAL, write(fd, "0", 1));
  FAILS("too large", EINVAL, write(fd, "6", 1));
  FAILS("no number", EINVAL, write(fd, "x", 1));
  FAILS("is not read", EACCES, setresuid(-1, 1000, -1) < 0 ? 0 : open("/proc/self/clear_refs", O_RDONLY));
  char line[128] = "";
  FILE *file = fopen("/proc/kallsyms", "r");
  TRUE("kallsyms as a user", file != NULL && fgets(line, sizeof line, file) != NULL);
  TRUE("has no addresses", strncmp(line, "0000000000000000 ", 17) == 0);
  fclose(file);
  setresuid(-1, 0, -1);
}

static void epoll_targets(void) {
  int epoll = epoll_create1(0), ends[2];
  pipe(ends);
  struct epoll_event event = {EPOLLIN};
  epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event);
  struct { uint32_t efd, tfd, toff; } slot = {epoll, ends[0], 0};
  pid_t us = getpid();
  EQUALS("what an epoll watches", 0, kcmp(us, us, KCMP_EPOLL_TFD, ends[0], (long)&slot));
  TRUE("is no other", kcmp(us, us, KCMP_EPOLL_TFD, ends[1], (long)&slot) > 0);
  slot.toff = 1;
  FAILS("nor a second", ENOENT, kcmp(us, us, KCMP_EPOLL_TFD, ends[0], (long)&slot));
  slot.toff = 0, slot.tfd = ends[1];
  FAILS("not watched", ENOENT, kcmp(us, us, KCMP_EPOLL_TFD, ends[0], (long)&slot));
  slot.efd = ends[0];
  FAILS("no epoll", EINVAL, kcmp(us, us, KCMP_EPOLL_TFD, ends[0], (long)&slot));
  FAILS("no descriptor", EBADF, kcmp(us, us, KCMP_EPOLL_TFD, 900, (long)&slot));
  FAILS("a bad address", EFAULT, kcmp(us, us, KCMP_EPOLL_TFD, ends[0], 8));
}

int main(void) {
  sealed();
  remapped();
  cached();
  of_proc();
  epoll_targets();
  created();
  compared();
  filesystems();
  namespaces();
  about_processes();
  mounts();
  return 0;
}

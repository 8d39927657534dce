// Memory: mmap and its flags, mprotect, mremap, madvise, brk, mincore, msync, stack growth, sharing over fork, memfd.
#include "check.h"

#define PAGE 4096UL

static sigjmp_buf back;
static void jump(int signal_number) { siglongjmp(back, signal_number); }
#include <setjmp.h>

static int touches(volatile char *address, int is_write) {
  int signal_number = sigsetjmp(back, 1);
  if (signal_number) return signal_number;
  if (is_write) *address = 1;
  else (void)*address;
  return 0;
}

static void mapping(void) {
  char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  TRUE("anonymous memory is zero", p != MAP_FAILED && p[0] == 0 && p[4 * PAGE - 1] == 0);
  FAILS("length 0", EINVAL, mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  FAILS("neither shared nor private", EINVAL, mmap(NULL, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0));
  FAILS("a bad descriptor", EBADF, mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, 999, 0));
  FAILS("an unaligned offset", EINVAL, syscall(SYS_mmap, NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 100));
  FAILS("an unaligned fixed address", EINVAL, mmap((void *)0x12345, PAGE, PROT_READ, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  FAILS("a length that is too large", ENOMEM, mmap(NULL, 1UL << 47, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  TRUE("a fixed mapping replaces", mmap(p + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == p + PAGE);
  FAILS("MAP_FIXED_NOREPLACE refuses", EEXIST, mmap(p, PAGE, PROT_READ, MAP_FIXED_NOREPLACE | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
  munmap(p + 2 * PAGE, PAGE);
  EQUALS("a hole faults", SIGSEGV, touches(p + 2 * PAGE, 0));
  TRUE("MAP_FIXED_NOREPLACE fills a hole", mmap(p + 2 * PAGE, PAGE, PROT_READ, MAP_FIXED_NOREPLACE | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == p + 2 * PAGE);
  FAILS("munmap unaligned", EINVAL, munmap(p + 1, PAGE));
  FAILS("munmap of length 0", EINVAL, munmap(p, 0));
  EQUALS("munmap of nothing", 0, munmap((void *)0x700000000000, PAGE));
  EQUALS("munmap of all", 0, munmap(p, 4 * PAGE));
  p = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  EQUALS("PROT_NONE faults", SIGSEGV, touches(p, 0));
  EQUALS("mprotect to read", 0, mprotect(p, PAGE, PROT_READ));
  EQUALS("reads", 0, touches(p, 0));
  EQUALS("writes fault", SIGSEGV, touches(p, 1));
  EQUALS("mprotect to write", 0, mprotect(p, PAGE, PROT_READ | PROT_WRITE));
  EQUALS("writes", 0, touches(p, 1));
  FAILS("mprotect unaligned", EINVAL, mprotect(p + 1, PAGE, PROT_READ));
  FAILS("mprotect of a hole", ENOMEM, mprotect((void *)0x700000000000, PAGE, PROT_READ));
  FAILS("mprotect with bad bits", EINVAL, mprotect(p, PAGE, 0x100));
  p = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(p + PAGE, PAGE);
  FAILS("mprotect over a hole", ENOMEM, mprotect(p, 3 * PAGE, PROT_READ));
  EQUALS("changed up to the hole", SIGSEGV, touches(p, 1));
  p = mmap((void *)0x500000000000, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  TRUE("a free hint is taken", p == (void *)0x500000000000);
  unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3};
  p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(p, code, sizeof code);
  EQUALS("code runs from memory", 42, ((int (*)(void))p)());
  p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  TRUE("MAP_32BIT is low", (uintptr_t)p < 1UL << 31);
  struct rlimit limit, old;
  getrlimit(RLIMIT_AS, &old);
  limit = old;
  limit.rlim_cur = 1 << 20;
  setrlimit(RLIMIT_AS, &limit);
  FAILS("RLIMIT_AS holds", ENOMEM, mmap(NULL, 1 << 21, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  setrlimit(RLIMIT_AS, &old);
}

static void files(void) {
  int fd = open("data", O_CREAT | O_RDWR | O_TRUNC, 0600);
  char text[3 * PAGE];
  for (unsigned i = 0; i < sizeof text; i++) text[i] = 'a' + i / PAGE;
  if (write(fd, text, sizeof text) != (long)sizeof text) return;
  char *p = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  TRUE("a private mapping shows the file", p[0] == 'a' && p[PAGE] == 'b' && p[3 * PAGE - 1] == 'c');
  p[0] = 'z';
  char c = 0;
  TRUE("writes stay private", pread(fd, &c, 1, 0) == 1 && c == 'a');
  char *s = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  s[1] = 'y';
  TRUE("shared writes reach the file", pread(fd, &c, 1, 1) == 1 && c == 'y');
  TRUE("file writes reach the mapping", pwrite(fd, "x", 1, 2) == 1 && s[2] == 'x');
  char *o = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 2 * PAGE);
  TRUE("an offset", o[0] == 'c');
  EQUALS("msync", 0, msync(s, PAGE, MS_SYNC));
  FAILS("msync with bad flags", EINVAL, msync(s, PAGE, MS_SYNC | MS_ASYNC));
  FAILS("msync of a hole", ENOMEM, msync((void *)0x700000000000, PAGE, MS_SYNC));
  EQUALS("touching past the end after truncation", SIGBUS, (ftruncate(fd, 10), touches(s + 2 * PAGE, 0)));
  EQUALS("the rest of the last page is zero", 0, s[100]);
  int ro = open("data", O_RDONLY);
  FAILS("shared and writable of a read-only file", EACCES, mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, ro, 0));
  WORKS("private and writable of it", mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, ro, 0));
  char *q = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, ro, 0);
  FAILS("mprotect of it to write", EACCES, mprotect(q, PAGE, PROT_READ | PROT_WRITE));
  int wo = open("data", O_WRONLY);
  FAILS("a write-only file", EACCES, mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, wo, 0));
  int fds[2];
  if (pipe(fds)) return;
  FAILS("a pipe", ENODEV, mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fds[0], 0));
  int directory = open(".", O_RDONLY);
  FAILS("a directory", ENODEV, mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, directory, 0));
  close(fd); close(ro); close(wo); close(fds[0]); close(fds[1]); close(directory);
  unlink("data");
  TRUE("a mapping outlives its file", s[1] == 'y');
  int zero = open("/dev/zero", O_RDWR);
  p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
  TRUE("/dev/zero maps", p != MAP_FAILED && p[9] == 0 && touches(p, 1) == 0);
}

static void sharing(void) {
  int *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int *own = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int *gone = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int *wiped = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  *own = 1; *gone = 1; *wiped = 1;
  EQUALS("MADV_DONTFORK", 0, madvise(gone, PAGE, MADV_DONTFORK));
  EQUALS("MADV_WIPEONFORK", 0, madvise(wiped, PAGE, MADV_WIPEONFORK));
  pid_t pid = fork();
  if (pid == 0) {
    *shared = 7;
    *own = 2;
    int code = touches((char *)gone, 0) == SIGSEGV ? 0 : 1;
    code |= *wiped == 0 ? 0 : 2;
    _exit(code);
  }
  EQUALS("DONTFORK and WIPEONFORK in the child", 0, wait_code(pid));
  EQUALS("shared memory is shared, private is not", 71, *shared * 10 + *own);
  int fd = memfd_create("name", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  TRUE("memfd_create", fd >= 0);
  FAILS("memfd_create with bad flags", EINVAL, memfd_create("x", 0x1000000));
  EQUALS("ftruncate", 0, ftruncate(fd, 2 * PAGE));
  char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  strcpy(p, "hello");
  char text[6] = "";
  TRUE("a memfd reads what is mapped", pread(fd, text, 5, 0) == 5 && !strcmp(text, "hello"));
  FAILS("seal write while mapped", EBUSY, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
  munmap(p, 2 * PAGE);
  EQUALS("seal write", 0, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK));
  FAILS("write to it", EPERM, pwrite(fd, "x", 1, 0));
  FAILS("shrink it", EPERM, ftruncate(fd, 0));
  EQUALS("grow it", 0, ftruncate(fd, 3 * PAGE));
  FAILS("map it writable", EPERM, mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  EQUALS("get seals", F_SEAL_SHRINK | F_SEAL_WRITE, fcntl(fd, F_GET_SEALS));
  FAILS("seals of another file", EINVAL, fcntl(0, F_GET_SEALS));
}

static void moving(void) {
  char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  p[0] = 'a'; p[PAGE] = 'b';
  char *q = mremap(p, 2 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
  TRUE("mremap grows", q != MAP_FAILED && q[0] == 'a' && q[PAGE] == 'b' && q[63 * PAGE] == 0);
  q = mremap(q, 64 * PAGE, PAGE, 0);
  EQUALS("mremap shrinks", SIGSEGV, touches(q + PAGE, 0));
  char *block = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  FAILS("mremap in place with a neighbour", ENOMEM, mremap(block, PAGE, 2 * PAGE, 0));
  char *target = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  block[0] = 'm';
  TRUE("MREMAP_FIXED moves", mremap(block, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target) == target && target[0] == 'm');
  EQUALS("the old place is gone", SIGSEGV, touches(block, 0));
  FAILS("mremap unaligned", EINVAL, mremap(target + 1, PAGE, PAGE, 0));
  FAILS("mremap to 0", EINVAL, mremap(target, PAGE, 0, 0));
  FAILS("mremap of a hole", EFAULT, mremap((void *)0x700000000000, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
  FAILS("mremap with bad flags", EINVAL, mremap(target, PAGE, PAGE, 64));
  FAILS("mremap FIXED without MAYMOVE", EINVAL, syscall(SYS_mremap, target, PAGE, PAGE, MREMAP_FIXED, p));
  char *d = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(d, 'd', 4 * PAGE);
  EQUALS("MADV_DONTNEED", 0, madvise(d + PAGE, PAGE, MADV_DONTNEED));
  TRUE("zeroes", d[PAGE] == 0 && d[0] == 'd' && d[2 * PAGE] == 'd');
  FAILS("madvise unaligned", EINVAL, madvise(d + 1, PAGE, MADV_DONTNEED));
  FAILS("madvise with nonsense", EINVAL, madvise(d, PAGE, 9999));
  FAILS("madvise of a hole", ENOMEM, madvise((void *)0x700000000000, PAGE, MADV_DONTNEED));
  EQUALS("MADV_WILLNEED", 0, madvise(d, PAGE, MADV_WILLNEED));
  EQUALS("MADV_FREE", 0, madvise(d, PAGE, MADV_FREE));
  unsigned char residency[4];
  d[3 * PAGE] = 1;
  EQUALS("mincore", 0, mincore(d, 4 * PAGE, residency));
  EQUALS("a touched page is resident", 1, residency[3] & 1);
  FAILS("mincore of a hole", ENOMEM, mincore((void *)0x700000000000, PAGE, residency));
  FAILS("mincore unaligned", EINVAL, mincore(d + 1, PAGE, residency));
  EQUALS("mlock", 0, mlock(d, PAGE));
  EQUALS("munlock", 0, munlock(d, PAGE));
  FAILS("mlock of a hole", ENOMEM, mlock((void *)0x700000000000, PAGE));
}

static void heap_and_stack(void) {
  char *end = sbrk(0);
  TRUE("sbrk grows", sbrk(8192) == end && touches(end + 8000, 1) == 0);
  TRUE("sbrk shrinks", sbrk(-8192) != (void *)-1 && sbrk(0) == end);
  TRUE("brk below the start is refused", syscall(SYS_brk, 0) == (long)sbrk(0));
  pid_t pid = fork();
  if (pid == 0) { volatile char big[4 << 20]; for (int i = 0; i < 4 << 20; i += PAGE) big[(4 << 20) - 1 - i] = 1; _exit(big[5] == 0 ? 0 : 0); }
  EQUALS("the stack grows to megabytes", 0, wait_code(pid));
  pid = fork();
  if (pid == 0) { volatile char *big = __builtin_alloca(16 << 20); signal(SIGSEGV, SIG_DFL); for (int i = 0; i < 16 << 20; i += PAGE) big[(16 << 20) - 1 - i] = 1; _exit(0); }
  EQUALS("but not past its limit", 1000 + SIGSEGV, wait_code(pid));
  struct iovec local, remote;
  char from[8] = "abcdefg", to[8] = "";
  local = (struct iovec){to, 8};
  remote = (struct iovec){from, 8};
  EQUALS("process_vm_readv of oneself", 8, process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
  SAYS("it reads", "abcdefg", "%s", to);
  remote.iov_base = BAD;
  FAILS("of a bad address", EFAULT, process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
  FAILS("of a stranger", ESRCH, process_vm_readv(1 << 21, &local, 1, &remote, 1, 0));
}

int main(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = jump;
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
  mapping();
  files();
  sharing();
  moving();
  heap_and_stack();
  return 0;
}

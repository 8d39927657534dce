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
  CALL("length 0", mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  CALL("neither shared nor private", mmap(NULL, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0));
  CALL("a bad descriptor", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, 999, 0));
  CALL("an unaligned offset", syscall(SYS_mmap, NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 100));
  CALL("an unaligned fixed address", mmap((void *)0x12345, PAGE, PROT_READ, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  CALL("a length that is too large", mmap(NULL, 1UL << 47, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  TRUE("a fixed mapping replaces", mmap(p + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == p + PAGE);
  CALL("MAP_FIXED_NOREPLACE refuses", mmap(p, PAGE, PROT_READ, MAP_FIXED_NOREPLACE | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
  munmap(p + 2 * PAGE, PAGE);
  CALL("a hole faults", touches(p + 2 * PAGE, 0));
  TRUE("MAP_FIXED_NOREPLACE fills a hole", mmap(p + 2 * PAGE, PAGE, PROT_READ, MAP_FIXED_NOREPLACE | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == p + 2 * PAGE);
  CALL("munmap unaligned", munmap(p + 1, PAGE));
  CALL("munmap of length 0", munmap(p, 0));
  CALL("munmap of nothing", munmap((void *)0x700000000000, PAGE));
  CALL("munmap of all", munmap(p, 4 * PAGE));
  p = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CALL("PROT_NONE faults", touches(p, 0));
  CALL("mprotect to read", mprotect(p, PAGE, PROT_READ));
  CALL("reads", touches(p, 0));
  CALL("writes fault", touches(p, 1));
  CALL("mprotect to write", mprotect(p, PAGE, PROT_READ | PROT_WRITE));
  CALL("writes", touches(p, 1));
  CALL("mprotect unaligned", mprotect(p + 1, PAGE, PROT_READ));
  CALL("mprotect of a hole", mprotect((void *)0x700000000000, PAGE, PROT_READ));
  CALL("mprotect with bad bits", mprotect(p, PAGE, 0x100));
  p = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(p + PAGE, PAGE);
  CALL("mprotect over a hole", mprotect(p, 3 * PAGE, PROT_READ));
  CALL("changed up to the hole", touches(p, 1));
  p = mmap((void *)0x500000000000, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  TRUE("a free hint is taken", p == (void *)0x500000000000);
  unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3};
  p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(p, code, sizeof code);
  CALL("code runs from memory", ((int (*)(void))p)());
  p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  TRUE("MAP_32BIT is low", (uintptr_t)p < 1UL << 31);
  struct rlimit limit, old;
  getrlimit(RLIMIT_AS, &old);
  limit = old;
  limit.rlim_cur = 1 << 20;
  setrlimit(RLIMIT_AS, &limit);
  CALL("RLIMIT_AS holds", mmap(NULL, 1 << 21, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
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
  CALL("msync", msync(s, PAGE, MS_SYNC));
  CALL("msync with bad flags", msync(s, PAGE, MS_SYNC | MS_ASYNC));
  CALL("msync of a hole", msync((void *)0x700000000000, PAGE, MS_SYNC));
  CALL("touching past the end after truncation", (ftruncate(fd, 10), touches(s + 2 * PAGE, 0)));
  CALL("the rest of the last page is zero", s[100]);
  int ro = open("data", O_RDONLY);
  CALL("shared and writable of a read-only file", mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, ro, 0));
  WORKS("private and writable of it", mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, ro, 0));
  char *q = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, ro, 0);
  CALL("mprotect of it to write", mprotect(q, PAGE, PROT_READ | PROT_WRITE));
  int wo = open("data", O_WRONLY);
  CALL("a write-only file", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, wo, 0));
  int fds[2];
  if (pipe(fds)) return;
  CALL("a pipe", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fds[0], 0));
  int directory = open(".", O_RDONLY);
  CALL("a directory", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, directory, 0));
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
  CALL("MADV_DONTFORK", madvise(gone, PAGE, MADV_DONTFORK));
  CALL("MADV_WIPEONFORK", madvise(wiped, PAGE, MADV_WIPEONFORK));
  pid_t pid = fork();
  if (pid == 0) {
    *shared = 7;
    *own = 2;
    int code = touches((char *)gone, 0) == SIGSEGV ? 0 : 1;
    code |= *wiped == 0 ? 0 : 2;
    _exit(code);
  }
  CALL("DONTFORK and WIPEONFORK in the child", wait_code(pid));
  CALL("shared memory is shared, private is not", *shared * 10 + *own);
  int fd = memfd_create("name", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  TRUE("memfd_create", fd >= 0);
  CALL("memfd_create with bad flags", memfd_create("x", 0x1000000));
  CALL("ftruncate", ftruncate(fd, 2 * PAGE));
  char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  strcpy(p, "hello");
  char text[6] = "";
  TRUE("a memfd reads what is mapped", pread(fd, text, 5, 0) == 5 && !strcmp(text, "hello"));
  CALL("seal write while mapped", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
  munmap(p, 2 * PAGE);
  CALL("seal write", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK));
  CALL("write to it", pwrite(fd, "x", 1, 0));
  CALL("shrink it", ftruncate(fd, 0));
  CALL("grow it", ftruncate(fd, 3 * PAGE));
  CALL("map it writable", mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  CALL("get seals", fcntl(fd, F_GET_SEALS));
  CALL("seals of another file", fcntl(0, F_GET_SEALS));
}

static void moving(void) {
  char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  p[0] = 'a'; p[PAGE] = 'b';
  char *q = mremap(p, 2 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
  TRUE("mremap grows", q != MAP_FAILED && q[0] == 'a' && q[PAGE] == 'b' && q[63 * PAGE] == 0);
  q = mremap(q, 64 * PAGE, PAGE, 0);
  CALL("mremap shrinks", touches(q + PAGE, 0));
  char *block = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CALL("mremap in place with a neighbour", mremap(block, PAGE, 2 * PAGE, 0));
  char *target = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  block[0] = 'm';
  TRUE("MREMAP_FIXED moves", mremap(block, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target) == target && target[0] == 'm');
  CALL("the old place is gone", touches(block, 0));
  CALL("mremap unaligned", mremap(target + 1, PAGE, PAGE, 0));
  CALL("mremap to 0", mremap(target, PAGE, 0, 0));
  CALL("mremap of a hole", mremap((void *)0x700000000000, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
  CALL("mremap with bad flags", mremap(target, PAGE, PAGE, 64));
  CALL("mremap FIXED without MAYMOVE", syscall(SYS_mremap, target, PAGE, PAGE, MREMAP_FIXED, p));
  char *d = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(d, 'd', 4 * PAGE);
  CALL("MADV_DONTNEED", madvise(d + PAGE, PAGE, MADV_DONTNEED));
  TRUE("zeroes", d[PAGE] == 0 && d[0] == 'd' && d[2 * PAGE] == 'd');
  CALL("madvise unaligned", madvise(d + 1, PAGE, MADV_DONTNEED));
  CALL("madvise with nonsense", madvise(d, PAGE, 9999));
  CALL("madvise of a hole", madvise((void *)0x700000000000, PAGE, MADV_DONTNEED));
  CALL("MADV_WILLNEED", madvise(d, PAGE, MADV_WILLNEED));
  CALL("MADV_FREE", madvise(d, PAGE, MADV_FREE));
  unsigned char residency[4];
  d[3 * PAGE] = 1;
  CALL("mincore", mincore(d, 4 * PAGE, residency));
  CALL("a touched page is resident", residency[3] & 1);
  CALL("mincore of a hole", mincore((void *)0x700000000000, PAGE, residency));
  CALL("mincore unaligned", mincore(d + 1, PAGE, residency));
  CALL("mlock", mlock(d, PAGE));
  CALL("munlock", munlock(d, PAGE));
  CALL("mlock of a hole", mlock((void *)0x700000000000, PAGE));
}

static void heap_and_stack(void) {
  char *end = sbrk(0);
  TRUE("sbrk grows", sbrk(8192) == end && touches(end + 8000, 1) == 0);
  TRUE("sbrk shrinks", sbrk(-8192) != (void *)-1 && sbrk(0) == end);
  TRUE("brk below the start is refused", syscall(SYS_brk, 0) == (long)sbrk(0));
  pid_t pid = fork();
  if (pid == 0) { volatile char big[4 << 20]; for (int i = 0; i < 4 << 20; i += PAGE) big[(4 << 20) - 1 - i] = 1; _exit(big[5] == 0 ? 0 : 0); }
  CALL("the stack grows to megabytes", wait_code(pid));
  pid = fork();
  if (pid == 0) { volatile char *big = __builtin_alloca(16 << 20); signal(SIGSEGV, SIG_DFL); for (int i = 0; i < 16 << 20; i += PAGE) big[(16 << 20) - 1 - i] = 1; _exit(0); }
  CALL("but not past its limit", wait_code(pid));
  struct iovec local, remote;
  char from[8] = "abcdefg", to[8] = "";
  local = (struct iovec){to, 8};
  remote = (struct iovec){from, 8};
  CALL("process_vm_readv of oneself", process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
  say("it reads", "%s", to);
  remote.iov_base = BAD;
  CALL("of a bad address", process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
  CALL("of a stranger", process_vm_readv(1 << 21, &local, 1, &remote, 1, 0));
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

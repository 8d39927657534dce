// Memory that answers back: what each fault's siginfo says, remapping and advice that meet faults, stacks that grow and
// guards, handlers that repair and go on, and calls that are given every kind of bad memory.
#include "check.h"
#include <sys/rseq.h>

#define PAGE 4096UL

static sigjmp_buf back;
static volatile int seen_number, seen_code, seen_write, repairs, is_armed;
static void *volatile seen_address;
static void *volatile repair_address;

static void on_fault(int number, siginfo_t *info, void *context) {
  ucontext_t *user = context;
  seen_number = number;
  seen_code = info->si_code;
  seen_address = info->si_addr;
  seen_write = (user->uc_mcontext.gregs[REG_ERR] >> 1) & 1;
  if (repair_address) {
    mprotect((void *)((uintptr_t)repair_address & -PAGE), PAGE, PROT_READ | PROT_WRITE);
    repairs++;
    if (repairs < 1000) return;
  }
  if (!is_armed) _exit(66);
  is_armed = 0;
  siglongjmp(back, 1);
}
/* sigsetjmp() as a condition: once 0, and not again when a fault has led back. */
#define TRY (is_armed = 1, sigsetjmp(back, 1) == 0)
static void install(int flags) {
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | flags};
  for (int i = 0; i < 5; i++) sigaction((int[]){SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP}[i], &action, NULL);
}

static char *pages(int count, int prot) { return mmap(NULL, count * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }

#define PROBE(name, expected, statement)                                                                              \
  do {                                                                                                        \
    seen_number = seen_code = 0;                                                                              \
    seen_address = NULL;                                                                                      \
    if (TRY) { statement; }                                                               \
    if (seen_number) SAYS(name, expected, "signal %d code %d", seen_number, seen_code);                                  \
    else judge(name, expected, "no fault");                                                                               \
  } while (0)
#define READS(name, expected, at) PROBE(name, expected, (void)*(volatile char *)(at))
#define WRITES(name, expected, at) PROBE(name, expected, *(volatile char *)(at) = 1)

static void codes(void) {
  char *p = pages(4, PROT_READ | PROT_WRITE);
  mprotect(p + PAGE, PAGE, PROT_READ);
  mprotect(p + 2 * PAGE, PAGE, PROT_NONE);
  munmap(p + 3 * PAGE, PAGE);
  WRITES("a write to a read-only page", "signal 11 code 2", p + PAGE + 7);
  TRUE("at its address", seen_address == p + PAGE + 7);
  EQUALS("as a write", 1, seen_write);
  READS("a read of PROT_NONE", "signal 11 code 2", p + 2 * PAGE + 9);
  TRUE("at its address", seen_address == p + 2 * PAGE + 9);
  EQUALS("as a read", 0, seen_write);
  READS("a read of nothing", "signal 11 code 1", p + 3 * PAGE);
  WRITES("a write to nothing", "signal 11 code 1", p + 3 * PAGE);
  PROBE("a read across the end", "signal 11 code 2", (void)*(volatile long *)(p + 3 * PAGE - 4));
  READS("a non-canonical address", "signal 11 code 128", 0x8000000000000000);
  TRUE("which has no address", seen_address == NULL);
  READS("an address of the kernel", "signal 11 code 1", 0xffff888000000000);
  TRUE("which is told", seen_address == (void *)0xffff888000000000 || seen_address == NULL);
  READS("the null page", "signal 11 code 1", 0);
  PROBE("a jump to data", "signal 11 code 2", ((void (*)(void))p)());
  TRUE("at the data", seen_address == p);
  PROBE("a jump to nowhere", "signal 11 code 1", ((void (*)(void))(p + 3 * PAGE))());
  PROBE("a jump to null", "signal 11 code 1", ((void (*)(void))0)());
  PROBE("hlt", "signal 11 code 128", __asm__ volatile("hlt"));
  PROBE("cli", "signal 11 code 128", __asm__ volatile("cli"));
  PROBE("in", "signal 11 code 128", __asm__ volatile("inb $0x80, %%al" ::: "eax"));
  PROBE("ud2", "signal 4 code 2", __asm__ volatile("ud2"));
  PROBE("int3", "signal 5 code 128", __asm__ volatile("int3"));
  PROBE("int 1", "signal 11 code 128", __asm__ volatile("int $1"));
  PROBE("int 0x81", "signal 11 code 128", __asm__ volatile("int $0x81"));
  PROBE("a division by zero", "signal 8 code 1", __asm__ volatile("xorl %%ecx, %%ecx\n movl $1, %%eax\n cdq\n idivl %%ecx" ::: "eax", "ecx", "edx"));
  PROBE("a division that overflows", "signal 8 code 1", __asm__ volatile("movl $0x80000000, %%eax\n cdq\n movl $-1, %%ecx\n idivl %%ecx" ::: "eax", "ecx", "edx"));
  PROBE("an unmasked SSE division by zero", "signal 8 code 3", ({
    unsigned control = 0x1f80 & ~0x200, normal = 0x1f80;
    __asm__ volatile("ldmxcsr %0\n pxor %%xmm0, %%xmm0\n movl $1, %%eax\n cvtsi2sd %%eax, %%xmm1\n divsd %%xmm0, %%xmm1\n ldmxcsr %1" ::"m"(control), "m"(normal) : "eax", "xmm0", "xmm1");
  }));
  { unsigned normal = 0x1f80; __asm__ volatile("ldmxcsr %0" ::"m"(normal)); }
  PROBE("an unmasked x87 division by zero", "signal 8 code 3", ({
    unsigned short control = 0x37b;
    __asm__ volatile("fninit\n fldcw %0\n fldz\n fld1\n fdivp\n fwait" ::"m"(control));
  }));
  __asm__ volatile("fninit");
  PROBE("an SSE access out of line", "signal 11 code 128", __asm__ volatile("movaps (%0), %%xmm0" ::"r"(p + 1) : "xmm0"));
  PROBE("a trap flag", "signal 5 code 2", __asm__ volatile("pushfq\n orq $0x100, (%%rsp)\n popfq\n nop\n nop" ::: "memory", "cc"));
  TRUE("the fault's registers", ({
    repair_address = NULL;
    seen_number = 0;
    if (TRY) __asm__ volatile("movl $1, (%0)" ::"r"(p + PAGE));
    seen_number == SIGSEGV;
  }));
  munmap(p, 3 * PAGE);
}

static void repairing(void) {
  char *p = pages(200, PROT_NONE);
  repairs = 0;
  int good = 1;
  for (int i = 0; i < 200; i++) {
    repair_address = p + i * PAGE;
    if (!TRY) { good = 0; break; }
    p[i * PAGE] = i;
  }
  TRUE("two hundred faults are repaired", good && repairs == 200);
  long sum = 0;
  for (int i = 0; i < 200; i++) sum += (unsigned char)p[i * PAGE];
  EQUALS("nothing is lost", 19900, sum);
  /* Calls do not fault: they answer. */
  repairs = 0;
  mprotect(p, 200 * PAGE, PROT_NONE);
  int fd[2];
  pipe(fd);
  repair_address = p;
  FAILS("read into a closed page", EFAULT, (write(fd[1], "x", 1), read(fd[0], p, 1)));
  FAILS("write from one", EFAULT, write(fd[1], p, 1));
  EQUALS("without a fault", 0, repairs);
  repair_address = NULL;
  mprotect(p, PAGE, PROT_READ | PROT_WRITE);
  memset(p, 'a', PAGE);
  char text[200];
  mprotect(p, PAGE, PROT_READ);
  FAILS("a read into a read-only page", EFAULT, (write(fd[1], "x", 1), read(fd[0], p, 1)));
  FAILS("stat into it", EFAULT, stat("/", (struct stat *)p));
  FAILS("a path in a closed page", EFAULT, open(p + PAGE, O_RDONLY));
  mprotect(p, PAGE, PROT_READ | PROT_WRITE);
  memcpy(p + PAGE - 4, "/etc", 4);
  FAILS("a path without its end", EFAULT, open(p + PAGE - 4, O_RDONLY));
  memcpy(p + PAGE - 5, "/etc", 5);
  WORKS("a path that ends at the page", open(p + PAGE - 5, O_RDONLY));
  memset(p, '/', PAGE);
  p[PAGE - 1] = 'x';
  FAILS("a page of slashes without end", ENAMETOOLONG, open(p, O_RDONLY));
  close(fd[0]);
  close(fd[1]);
  munmap(p, 200 * PAGE);
}

static void files(void) {
  int fd = open("data", O_CREAT | O_RDWR | O_TRUNC, 0600);
  ftruncate(fd, 3 * PAGE);
  char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  READS("the last page of a file", "no fault", p + 2 * PAGE);
  READS("beyond its end", "signal 7 code 2", p + 3 * PAGE);
  TRUE("at its address", seen_address == p + 3 * PAGE);
  ftruncate(fd, PAGE);
  WRITES("after truncation", "signal 7 code 2", p + PAGE);
  ftruncate(fd, 2 * PAGE);
  READS("after it has grown", "no fault", p + PAGE);
  EQUALS("zeros", 0, p[PAGE]);
  FAILS("write from beyond the end", EFAULT, write(1, p + 3 * PAGE, 1));
  char *own = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  own[0] = 'o';
  ftruncate(fd, 0);
  READS("a private copy after truncation", "signal 7 code 2", own);
  ftruncate(fd, 2 * PAGE);
  p[0] = 's';
  EQUALS("private and shared", 1, own[0] == p[0]);
  int read_only = open("data", O_RDONLY);
  char *shared = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, read_only, 0);
  WRITES("a write to a read-only shared mapping", "signal 11 code 2", shared);
  FAILS("made writable", EACCES, mprotect(shared, PAGE, PROT_READ | PROT_WRITE));
  close(fd);
  close(read_only);
  p[1] = 't';
  fd = open("data", O_RDONLY);
  char text[2];
  read(fd, text, 2);
  TRUE("a closed file is still written", text[0] == 's' && text[1] == 't');
  close(fd);
  munmap(p, 4 * PAGE);
  munmap(own, 2 * PAGE);
  munmap(shared, PAGE);
}

static void remapping(void) {
  char *p = pages(4, PROT_READ | PROT_WRITE);
  for (int i = 0; i < 4; i++) p[i * PAGE] = 'a' + i;
  mprotect(p + PAGE, PAGE, PROT_READ);
  FAILS("mremap over two protections", EFAULT, mremap(p, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED ? (long)-1 : 0);
  char *target = mmap(NULL, 8 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  FAILS("onto itself", EINVAL, mremap(p, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + PAGE) == MAP_FAILED ? (long)-1 : 0);
  TRUE("MREMAP_DONTUNMAP", mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP | MREMAP_FIXED, target) == target && target[0] == 'a');
  READS("leaves the place", "no fault", p);
  EQUALS("empty", 0, p[0]);
  FAILS("MREMAP_DONTUNMAP with another size", EINVAL, mremap(p, PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP) == MAP_FAILED ? (long)-1 : 0);
  FAILS("a hole onto itself", EINVAL, mremap((void *)0x700000000000, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)0x700000000000 + PAGE) == MAP_FAILED ? (long)-1 : 0);
  FAILS("a hole onto memory", EFAULT, mremap((void *)0x700000000000, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p) == MAP_FAILED ? (long)-1 : 0);
  FAILS("MREMAP_DONTUNMAP alone", EINVAL, mremap(p, PAGE, PAGE, MREMAP_DONTUNMAP) == MAP_FAILED ? (long)-1 : 0);
  char *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  shared[0] = 's';
  char *twin = mremap(shared, 0, PAGE, MREMAP_MAYMOVE);
  TRUE("size 0 makes a twin of shared memory", twin != MAP_FAILED && twin != shared && twin[0] == 's' && (twin[1] = 't', shared[1] == 't'));
  FAILS("not of private memory", EINVAL, mremap(p, 0, PAGE, MREMAP_MAYMOVE) == MAP_FAILED ? (long)-1 : 0);
  char *grown = mremap(shared, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
  TRUE("shared memory that is longer", grown != MAP_FAILED && grown[0] == 's');
  if (grown != MAP_FAILED) READS("faults beyond what it had", "signal 7 code 2", grown + PAGE);
  munmap(target, 8 * PAGE);
  munmap(p, 4 * PAGE);
  /* Holes and fragments. */
  p = pages(64, PROT_READ | PROT_WRITE);
  for (int i = 0; i < 64; i += 2) munmap(p + i * PAGE, PAGE);
  int good = 1;
  for (int i = 0; i < 64; i++) {
    seen_number = 0;
    if (TRY) p[i * PAGE] = 1;
    if ((seen_number != 0) != (i % 2 == 0)) good = 0;
  }
  TRUE("every second page", good);
  EQUALS("munmap of all with its holes", 0, munmap(p, 64 * PAGE));
  p = pages(3, PROT_READ | PROT_WRITE);
  FAILS("NOREPLACE beside", EEXIST, mmap(p + 3 * PAGE - PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED ? (long)-1 : 0);
  munmap(p + PAGE, PAGE);
  TRUE("NOREPLACE in the hole", mmap(p + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == p + PAGE);
  FAILS("NOREPLACE over the end of the hole", EEXIST, mmap(p + PAGE, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED ? (long)-1 : 0);
  munmap(p, 3 * PAGE);
  FAILS("beyond the user's half", ENOMEM, mmap((void *)(1UL << 47), PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? (long)-1 : 0);
  FAILS("that wraps", ENOMEM, mmap((void *)-PAGE, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? (long)-1 : 0);
  FAILS("MAP_SHARED_VALIDATE with nonsense", EINVAL, mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | MAP_ANONYMOUS | (1 << 27), -1, 0) == MAP_FAILED ? (long)-1 : 0);
  FAILS("MAP_GROWSDOWN of a file", EINVAL, ({ int f = open("data", O_RDWR); void *m = mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_GROWSDOWN, f, 0); int e = errno; close(f); errno = e; m == MAP_FAILED ? (long)-1 : 0; }));
}

static void advice(void) {
  char *p = pages(8, PROT_READ | PROT_WRITE);
  memset(p, 'x', 8 * PAGE);
  mprotect(p + 2 * PAGE, PAGE, PROT_READ);
  EQUALS("DONTNEED of read-only memory", 0, madvise(p + 2 * PAGE, PAGE, MADV_DONTNEED));
  EQUALS("zeroes it", 0, p[2 * PAGE]);
  munmap(p + 4 * PAGE, PAGE);
  FAILS("DONTNEED over a hole", ENOMEM, madvise(p + 3 * PAGE, 3 * PAGE, MADV_DONTNEED));
  SAYS("does the rest", "0 0 120", "%d %d %d", p[3 * PAGE], p[5 * PAGE], p[6 * PAGE]);
  mlock(p, PAGE);
  FAILS("DONTNEED of locked memory", EINVAL, madvise(p, PAGE, MADV_DONTNEED));
  EQUALS("DONTNEED_LOCKED", 0, madvise(p, PAGE, 24));
  munlock(p, PAGE);
  EQUALS("length 0", 0, madvise(p, 0, MADV_DONTNEED));
  FAILS("a length that wraps", EINVAL, madvise(p, -PAGE, MADV_DONTNEED));
  EQUALS("POPULATE_WRITE", 0, madvise(p, PAGE, 23));
  FAILS("POPULATE_WRITE of read-only memory", EINVAL, madvise(p + 2 * PAGE, PAGE, 23));
  FAILS("POPULATE_READ of a hole", ENOMEM, madvise(p + 4 * PAGE, PAGE, 22));
  FAILS("REMOVE of private memory", EINVAL, madvise(p, PAGE, MADV_REMOVE));
  char *shared = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  memset(shared, 's', 2 * PAGE);
  EQUALS("DONTNEED of shared memory", 0, madvise(shared, PAGE, MADV_DONTNEED));
  SAYS("keeps it", "s", "%c", shared[0]);
  EQUALS("REMOVE", 0, madvise(shared, PAGE, MADV_REMOVE));
  SAYS("does not", "0 s", "%d %c", shared[0], shared[PAGE]);
  mprotect(shared, PAGE, PROT_READ);
  EQUALS("REMOVE of what might be written", 0, madvise(shared, PAGE, MADV_REMOVE));
  mprotect(shared, PAGE, PROT_READ | PROT_WRITE);
  FAILS("FREE of shared memory", EINVAL, madvise(shared, PAGE, MADV_FREE));
  FAILS("WIPEONFORK of shared memory", EINVAL, madvise(shared, PAGE, MADV_WIPEONFORK));
  ANSWERS("HWPOISON", geteuid() == 0 ? 0 : -EPERM, geteuid() == 0 ? 0 : madvise(p, PAGE, MADV_HWPOISON));
  EQUALS("process_madvise of nobody", 1, syscall(SYS_process_madvise, -1, NULL, 0, MADV_COLD, 0) < 0);
  /* Locked memory. */
  struct rlimit limit = {4 * PAGE, 4 * PAGE};
  pid_t pid = fork();
  if (pid == 0) {
    setrlimit(RLIMIT_MEMLOCK, &limit);
    if (geteuid() == 0) setresuid(1000, 1000, 1000);
    char *q = pages(8, PROT_READ | PROT_WRITE);
    EQUALS("mlock within the limit", 0, mlock(q, 4 * PAGE));
    EQUALS("the same again", 0, mlock(q, 4 * PAGE));
    FAILS("and beyond", ENOMEM, mlock(q + 4 * PAGE, PAGE));
    FAILS("mmap with MAP_LOCKED", EAGAIN, mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0) == MAP_FAILED ? (long)-1 : 0);
    FAILS("mlockall", ENOMEM, mlockall(MCL_CURRENT));
    FAILS("mlockall with bad flags", EINVAL, mlockall(64));
    FAILS("MCL_ONFAULT alone", EINVAL, mlockall(4));
    FAILS("mlock2 with bad flags", EINVAL, syscall(SYS_mlock2, q, PAGE, 2));
    EQUALS("munlockall", 0, munlockall());
    EQUALS("mlock now", 0, mlock(q + 4 * PAGE, PAGE));
    _exit(0);
  }
  wait_code(pid);
  munmap(p, 8 * PAGE);
}

static long deep(long depth) {
  volatile char room[2000];
  room[0] = depth;
  return depth == 0 ? room[0] : deep(depth - 1) + room[0] * 0 + 1;
}
static char other_stack[65536];
static void on_overflow(int number, siginfo_t *info, void *context) {
  char here;
  _exit(&here >= other_stack && &here < other_stack + sizeof other_stack ? 7 : 8);
  (void)number; (void)info; (void)context;
}
static void *deep_thread(void *argument) { return (void *)deep((long)argument); }

static void stacks(void) {
  EQUALS("three megabytes deep", 1500, deep(1500));
  pid_t pid = fork();
  if (pid == 0) {
    stack_t stack = {.ss_sp = other_stack, .ss_size = sizeof other_stack};
    sigaltstack(&stack, NULL);
    struct sigaction action = {.sa_sigaction = on_overflow, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGSEGV, &action, NULL);
    _exit(deep(1 << 20) & 0);
  }
  EQUALS("an overflow is handled on another stack", 7, wait_code(pid));
  pid = fork();
  if (pid == 0) {
    struct sigaction action = {.sa_sigaction = on_overflow, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    _exit(deep(1 << 20) & 0);
  }
  EQUALS("without one it kills", 1000 + SIGSEGV, wait_code(pid));
  pid = fork();
  if (pid == 0) {
    struct rlimit limit = {1 << 20, 1 << 20};
    setrlimit(RLIMIT_STACK, &limit);
    deep(300);
    signal(SIGSEGV, SIG_DFL);
    deep(700);
    _exit(0);
  }
  EQUALS("a smaller limit holds at once", 0, wait_code(pid));
  pid = fork();
  if (pid == 0) {
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 1 << 20);
    signal(SIGSEGV, SIG_DFL);
    void *result;
    pthread_create(&thread, &attributes, deep_thread, (void *)300);
    pthread_join(thread, &result);
    EQUALS("a thread's stack", 300, (long)result);
    pthread_create(&thread, &attributes, deep_thread, (void *)700);
    pthread_join(thread, &result);
    _exit(0);
  }
  EQUALS("and its guard", 1000 + SIGSEGV, wait_code(pid));
  /* A mapping that grows down. */
  char *p = mmap(NULL, 64 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(p, 64 * PAGE);
  char *low = mmap(p + 60 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
  WRITES("MAP_GROWSDOWN", "no fault", low);
  /* A jump out of a handler on the alternate stack, many times. */
  stack_t stack = {.ss_sp = other_stack, .ss_size = sizeof other_stack}, old;
  sigaltstack(&stack, &old);
  install(SA_ONSTACK);
  int good = 1;
  for (int i = 0; i < 500; i++) {
    seen_number = 0;
    if (TRY) *(volatile char *)8 = 1;
    if (seen_number != SIGSEGV) good = 0;
    sigaltstack(NULL, &old);
    if (old.ss_flags & SS_ONSTACK) good = 0;
  }
  TRUE("five hundred jumps out of handlers", good);
  stack.ss_flags = (int)(1u << 31);
  EQUALS("SS_AUTODISARM", 0, sigaltstack(&stack, NULL));
  if (TRY) *(volatile char *)8 = 1;
  sigaltstack(NULL, &old);
  EQUALS("disarms", SS_DISABLE, old.ss_flags);
  stack.ss_flags = SS_DISABLE;
  EQUALS("SS_DISABLE", 0, sigaltstack(&stack, NULL));
  install(0);
  /* A handler's frame that does not fit. */
  pid = fork();
  if (pid == 0) {
    install(0);
    __asm__ volatile("mov $0x1000, %rsp\n movl $1, 8");
    _exit(0);
  }
  EQUALS("no room for the frame", 1000 + SIGSEGV, wait_code(pid));
  pid = fork();
  if (pid == 0) {
    struct sigaction action = {.sa_sigaction = on_overflow, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGUSR1, &action, NULL);
    stack_t small = {.ss_sp = (void *)0x10000, .ss_size = 65536};
    sigaltstack(&small, NULL);
    raise(SIGUSR1);
    _exit(0);
  }
  EQUALS("an alternate stack that is not there", 66, wait_code(pid));
}

static void executables(void) {
  char *p = pages(1, PROT_READ | PROT_WRITE);
  p[0] = 0xc3;
  mprotect(p, PAGE, PROT_READ);
  PROBE("code that may be read only", "signal 11 code 2", ((void (*)(void))p)());
  mprotect(p, PAGE, PROT_EXEC);
  PROBE("code that may be run only", "no fault", ((void (*)(void))p)());
  mprotect(p, PAGE, PROT_WRITE);
  READS("PROT_WRITE reads too", "no fault", p);
  mprotect(p, PAGE, PROT_READ | PROT_EXEC);
  WRITES("a write to code", "signal 11 code 2", p);
  FAILS("mprotect with PROT_GROWSDOWN", EINVAL, mprotect(p, PAGE, PROT_READ | 0x01000000));
  FAILS("with both directions", EINVAL, mprotect(p, PAGE, PROT_READ | 0x03000000));
  FAILS("pkey_alloc with flags", EINVAL, syscall(SYS_pkey_alloc, 1, 0));
  FAILS("pkey_free of none", EINVAL, syscall(SYS_pkey_free, 5));
  EQUALS("pkey_mprotect with key -1", 0, syscall(SYS_pkey_mprotect, p, PAGE, PROT_READ, -1));
  munmap(p, PAGE);
}

// Memory that the kernel itself writes to, behind the program's back.
static void restartable_sequences(void) {
  pid_t pid = fork();
  if (pid == 0) {
    signal(SIGSEGV, SIG_DFL);
    alarm(30);  // where nothing is registered
    uintptr_t thread;
    __asm__("mov %%fs:0, %0" : "=r"(thread));
    mprotect((void *)((thread + __rseq_offset) & -PAGE), PAGE, PROT_READ);
    for (;;) __asm__ volatile("" ::: "memory");
  }
  int status = 0;
  waitpid(pid, &status, 0);
  EQUALS("an rseq area that cannot be written", SIGSEGV, WTERMSIG(status));
}

int main(void) {
  char base[] = "/tmp/tsvisor-faults-XXXXXX";
  if (!mkdtemp(base) || chdir(base) < 0) return 1;
  install(0);
  codes();
  repairing();
  files();
  remapping();
  advice();
  stacks();
  executables();
  restartable_sequences();
  chdir("/");
  char command[100];
  snprintf(command, sizeof command, "rm -rf %s", base);
  return system(command);
}

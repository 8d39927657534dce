// System calls from code of every shape: what a platform that rewrites call sites could get wrong. Registers and flags over
// a call, jumps into the middle of a site, sites across pages, code that is written anew, moved or shared, threads and
// signals that meet at one site, vsyscall, vDSO, rseq.
#include "check.h"
#include <asm/prctl.h>
#include <immintrin.h>
#include <link.h>
#include <sys/auxv.h>
#include <linux/membarrier.h>
#include <sys/rseq.h>

#define PAGE 4096UL
#define ROUNDS 12 /* enough for any platform to have made up its mind about a site */

static sigjmp_buf back;
static void jump(int number) { siglongjmp(back, number); }

/* --- code in memory -------------------------------------------------------------------------------------------------- */

typedef long (*Code)(long);

static unsigned char *new_pages(int count) {
  return mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
static int seal(void *page, int count) { return mprotect(page, count * PAGE, PROT_READ | PROT_EXEC); }
static int unseal(void *page, int count) { return mprotect(page, count * PAGE, PROT_READ | PROT_WRITE); }

/* mov $number,%eax; syscall; ret */
static int put_mov(unsigned char *at, int number) {
  unsigned char code[] = {0xb8, number, number >> 8, 0, 0, 0x0f, 0x05, 0xc3};
  memcpy(at, code, sizeof code);
  return sizeof code;
}
/* mov %rdi,%rax; syscall; cmp $-4095,%rax; jae 1f; ret; 1: mov $-1,%rax; ret */
static int put_cmp(unsigned char *at) {
  unsigned char code[] = {0x48, 0x89, 0xf8, 0x0f, 0x05, 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff, 0x73, 0x01, 0xc3, 0x48, 0xc7, 0xc0, 0xff, 0xff, 0xff, 0xff, 0xc3};
  memcpy(at, code, sizeof code);
  return sizeof code;
}

static int agrees(Code code, long argument, long expected) {
  for (int i = 0; i < ROUNDS; i++) if (code(argument) != expected) return 0;
  return 1;
}

/* --- registers and flags --------------------------------------------------------------------------------------------- */

static void registers(void) {
  int good = 1, return_address = 1, flags_kept = 1;
  for (int i = 0; i < ROUNDS; i++) {
    unsigned long in[11] = {0x1111, 0x2222, 0x3333, 0x4444, 0x5555, 0x6666, 0x7777, 0x8888, 0x9999, 0xaaaa, 0xbbbb}, out[11], rcx, r11, here, flags;
    __asm__ volatile(
      "mov %[in], %%rax\n"
      "mov 0(%%rax), %%rbx\n mov 8(%%rax), %%rdx\n mov 16(%%rax), %%rsi\n mov 24(%%rax), %%rdi\n"
      "mov 32(%%rax), %%r8\n mov 40(%%rax), %%r9\n mov 48(%%rax), %%r10\n mov 56(%%rax), %%r12\n"
      "mov 64(%%rax), %%r13\n mov 72(%%rax), %%r14\n mov 80(%%rax), %%r15\n"
      "std\n stc\n mov $39, %%eax\n syscall\n1: pushfq\n pop %%rax\n cld\n"
      "push %%rax\n mov 8+%[out], %%rax\n"
      "mov %%rbx, 0(%%rax)\n mov %%rdx, 8(%%rax)\n mov %%rsi, 16(%%rax)\n mov %%rdi, 24(%%rax)\n"
      "mov %%r8, 32(%%rax)\n mov %%r9, 40(%%rax)\n mov %%r10, 48(%%rax)\n mov %%r12, 56(%%rax)\n"
      "mov %%r13, 64(%%rax)\n mov %%r14, 72(%%rax)\n mov %%r15, 80(%%rax)\n pop %%rax\n"
      "lea 1b(%%rip), %%rdx\n"
      : "=c"(rcx), "=a"(flags), "=d"(here)
      : [in] "m"(*(void *[1]){in}), [out] "m"(*(void *[1]){out})
      : "rbx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
    (void)r11;
    if (memcmp(in, out, sizeof in)) good = 0;
    if (rcx != here) return_address = 0;
    if ((flags & 0x401) != 0x401) flags_kept = 0;
  }
  TRUE("registers survive a call", good);
  TRUE("rcx is the return address", return_address);
  TRUE("direction and carry survive", flags_kept);
  good = 1;
  for (int i = 0; i < ROUNDS; i++) {
    unsigned long flags, r11;
    __asm__ volatile("stc\n mov $39, %%eax\n syscall\n mov %%r11, %1\n pushfq\n pop %0\n" : "=r"(flags), "=r"(r11) : : "rax", "rcx", "r11", "cc", "memory");
    if ((flags & 0xfff) != (r11 & 0xfff)) good = 0;
  }
  TRUE("r11 is the flags", good);
  good = 1;
  for (int i = 0; i < ROUNDS; i++) {
    long a = 0;
    __asm__ volatile("movq $77, -8(%%rsp)\n movq $88, -128(%%rsp)\n mov $39, %%eax\n syscall\n mov -8(%%rsp), %0\n add -128(%%rsp), %0" : "=&r"(a) : : "rax", "rcx", "r11", "memory");
    if (a != 165) good = 0;
  }
  TRUE("the red zone survives", good);
}

__attribute__((target("avx"))) static void vectors(void) {
  int ymm = 1, control = 1, x87 = 1;
  for (int i = 0; i < ROUNDS; i++) {
    double in[4] = {1.5, 2.5, 3.5, 4.5 + i}, out[4];
    unsigned mxcsr = 0x3f80, after;
    short word = 0x0f7f, word_after;
    double pi = 0;
    __asm__ volatile(
      "vmovupd %[in], %%ymm13\n ldmxcsr %[mxcsr]\n fninit\n fldcw %[word]\n fldpi\n"
      "mov $39, %%eax\n syscall\n"
      "vmovupd %%ymm13, %[out]\n stmxcsr %[after]\n fnstcw %[word_after]\n fstpl %[pi]\n vzeroupper\n fninit\n"
      : [out] "=m"(out), [after] "=m"(after), [word_after] "=m"(word_after), [pi] "=m"(pi)
      : [in] "m"(in), [mxcsr] "m"(mxcsr), [word] "m"(word)
      : "rax", "rcx", "r11", "xmm13", "memory");
    if (memcmp(in, out, sizeof in)) ymm = 0;
    if ((after & 0xffc0) != (mxcsr & 0xffc0)) control = 0;
    if (word_after != word || pi < 3.14 || pi > 3.15) x87 = 0;
  }
  unsigned normal = 0x1f80;
  __asm__ volatile("ldmxcsr %0" : : "m"(normal));
  TRUE("AVX registers survive", ymm);
  TRUE("the rounding mode survives", control);
  TRUE("the x87 stack survives", x87);
}

static void *own_segment(void *argument) {
  long block[4] = {0, 0, (long)argument, 0}, seen;
  syscall(SYS_arch_prctl, ARCH_SET_GS, block);
  for (int i = 0; i < 200; i++) {
    long pid;
    __asm__ volatile("mov $39, %%eax\n syscall\n mov %%gs:16, %0" : "=r"(seen), "=&a"(pid) : : "rcx", "r11", "memory");
    if (seen != (long)argument || pid != getpid()) return (void *)1;
  }
  return NULL;
}
static volatile int segment_signals, segment_wrong;
static void in_segment(int number) {
  long seen;
  __asm__ volatile("mov %%gs:8, %0" : "=r"(seen));
  segment_signals++;
  if (seen != 2) segment_wrong++;
  (void)number;
}

static void segments(void) {
  static long block[4] = {1, 2, 3, 4};
  unsigned long base = 0;
  WORKS("ARCH_SET_GS", syscall(SYS_arch_prctl, ARCH_SET_GS, block));
  int good = 1;
  for (int i = 0; i < ROUNDS; i++) {
    long seen, pid;
    __asm__ volatile("mov $39, %%eax\n syscall\n mov %%gs:16, %0" : "=r"(seen), "=&a"(pid) : : "rcx", "r11", "memory");
    if (seen != 3 || pid != getpid()) good = 0;
  }
  TRUE("calls and gs live together", good);
  syscall(SYS_arch_prctl, ARCH_GET_GS, &base);
  TRUE("ARCH_GET_GS", base == (unsigned long)block);
  syscall(SYS_arch_prctl, ARCH_GET_FS, &base);
  TRUE("ARCH_GET_FS", base == *(unsigned long *)__builtin_thread_pointer());
  FAILS("arch_prctl of nothing", EINVAL, syscall(SYS_arch_prctl, 0x9999, &base));
  FAILS("ARCH_SET_GS beyond the user's half", EPERM, syscall(SYS_arch_prctl, ARCH_SET_GS, 1UL << 48));
  pid_t child = fork();
  if (child == 0) {
    long seen;
    __asm__ volatile("mov %%gs:24, %0" : "=r"(seen));
    _exit(seen);
  }
  EQUALS("a child has gs too", 4, wait_code(child));
  pthread_t list[3];
  void *results[3];
  for (long i = 0; i < 3; i++) pthread_create(&list[i], NULL, own_segment, (void *)(i + 100));
  for (int i = 0; i < 3; i++) pthread_join(list[i], &results[i]);
  TRUE("threads have their own", !results[0] && !results[1] && !results[2]);
  signal(SIGALRM, in_segment);
  struct itimerval often = {{0, 500}, {0, 500}}, none = {{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &often, NULL);
  good = 1;
  for (int i = 0; i < 3000 || segment_signals < 5; i++) {
    long seen;
    getppid();
    __asm__ volatile("mov %%gs:24, %0" : "=r"(seen));
    if (seen != 4) good = 0;
  }
  setitimer(ITIMER_REAL, &none, NULL);
  TRUE("signals leave it alone", good && segment_wrong == 0);
  child = fork();
  if (child == 0) {
    execl("/bin/true", "true", NULL);
    _exit(1);
  }
  EQUALS("exec begins without", 0, wait_code(child));
}

/* As segments(), by WRGSBASE: no call tells the kernel, which must neither lose the call nor write where GS points to. */
__attribute__((target("fsgsbase"))) static void segment_by_instruction(void) {
  static unsigned long block[512], before[512];
  int good = 1;
  if (getauxval(AT_HWCAP2) & 2) {
    memset(block, 0x5a, sizeof block);
    memcpy(before, block, sizeof block);
    _writegsbase_u64((unsigned long)block);
    for (int i = 0; i < 40; i++) {
      long pid, result;
      __asm__ volatile("mov $39, %%eax\n syscall" : "=a"(pid) : : "rcx", "r11", "memory");
      __asm__ volatile("xor %%eax, %%eax\n syscall\n cmp $-4095, %%rax\n jae 1f\n nop\n1:" : "=a"(result) : "D"(-1), "S"(NULL), "d"(0L) : "rcx", "r11", "memory", "cc");
      if (pid != getpid() || result != -EBADF || _readgsbase_u64() != (unsigned long)block) good = 0;
    }
    if (memcmp(block, before, sizeof block)) good = 0;
  }
  TRUE("calls after WRGSBASE", good);
}

/* --- numbers --------------------------------------------------------------------------------------------------------- */

static long raw(long number) {
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "0"(number), "D"(0), "S"(0), "d"(0) : "rcx", "r11", "memory");
  return result;
}

static void numbers(void) {
  for (int i = 0; i < 3; i++) {
    EQUALS("number -1", -ENOSYS, (errno = 0, raw(-1)));
    EQUALS("number 511", -ENOSYS, raw(511));
    EQUALS("number 1000000", -ENOSYS, raw(1000000));
    EQUALS("an x32 number", -ENOSYS, raw(0x40000000 + 39));
    TRUE("the upper half of rax does not count", raw(0x500000027) == getpid());
  }
}

/* --- shapes of sites ------------------------------------------------------------------------------------------------- */

static void middles(void) {
  unsigned char *page = new_pages(1);
  put_mov(page, SYS_getpid);
  put_cmp(page + 64);
  /* A REX prefix makes it a mov to r8: mov %edi,%eax; mov $102,%r8d; syscall; ret */
  unsigned char prefixed[] = {0x89, 0xf8, 0x41, 0xb8, 102, 0, 0, 0, 0x0f, 0x05, 0xc3};
  memcpy(page + 128, prefixed, sizeof prefixed);
  /* A mov that a branch jumps over: test %edi,%edi; mov %edi,%eax; jne 1f; mov $39,%eax; 1: syscall; ret */
  unsigned char branch[] = {0x85, 0xff, 0x89, 0xf8, 0x75, 0x05, 0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xc3};
  memcpy(page + 192, branch, sizeof branch);
  /* Two calls that share the comparison: test %esi,%esi; mov %rdi,%rax; je 1f; neg %rax; jmp 2f; 1: syscall; 2: cmp $-4095,%rax; sbb %rax,%rax; ret */
  unsigned char shared[] = {0x85, 0xf6, 0x48, 0x89, 0xf8, 0x74, 0x05, 0x48, 0xf7, 0xd8, 0xeb, 0x02, 0x0f, 0x05, 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff, 0x48, 0x19, 0xc0, 0xc3};
  memcpy(page + 256, shared, sizeof shared);
  seal(page, 1);
  TRUE("mov and syscall", agrees((Code)page, 0, getpid()));
  long result;
  int good = 1;
  for (int i = 0; i < ROUNDS; i++) {
    __asm__ volatile("call *%1" : "=a"(result) : "r"(page + 5), "0"((long)SYS_getppid) : "rcx", "r11", "memory");
    if (result != getppid()) good = 0;
  }
  TRUE("a jump to the syscall behind the mov", good);
  TRUE("and from the front again", agrees((Code)page, 0, getpid()));
  TRUE("syscall and cmp", agrees((Code)(page + 64), SYS_getpid, getpid()));
  TRUE("with an error", agrees((Code)(page + 64), 511, -1));
  TRUE("a mov with a prefix", agrees((Code)(page + 128), SYS_getppid, getppid()) && agrees((Code)(page + 128), SYS_getuid, getuid()));
  TRUE("a branch over the mov", agrees((Code)(page + 192), 0, getpid()) && agrees((Code)(page + 192), SYS_getppid, getppid()) && agrees((Code)(page + 192), 0, getpid()));
  long (*two)(long, long) = (void *)(page + 256);
  good = 1;
  for (int i = 0; i < ROUNDS; i++) {
    if (two(SYS_getpid, 0) != -1 || two(511, 0) != 0) good = 0;
    if (two(22, 1) != 0 || two(-5, 1) != -1) good = 0;
  }
  TRUE("two ways to one comparison", good);
  /* The same from so far away that nobody who looks around the site sees it, and by way of a register. */
  good = 1;
  long (*volatile comparison)(void) = (void *)(page + 64 + 5);
  for (int i = 0; i < ROUNDS; i++) {
    if (((Code)(page + 64))(SYS_getpid) != getpid()) good = 0;
    __asm__ volatile("call *%1" : "=a"(result) : "r"(comparison), "0"(1234567L) : "rcx", "r11", "memory", "cc");
    if (result != 1234567) good = 0;
    __asm__ volatile("call *%1" : "=a"(result) : "r"(comparison), "0"(-11L) : "rcx", "r11", "memory", "cc");
    if (result != -1) good = 0;
  }
  TRUE("a jump to the comparison from anywhere", good);
  munmap(page, PAGE);
}

static void boundaries(void) {
  unsigned char *pages = new_pages(2);
  int mov = 1, cmp = 1;
  for (int at = -24; at <= 16; at++) {
    unseal(pages, 2);
    memset(pages, 0xcc, 2 * PAGE);
    put_mov(pages + PAGE + at, SYS_getpid);
    seal(pages, 2);
    if (!agrees((Code)(pages + PAGE + at), 0, getpid())) mov = 0;
    unseal(pages, 2);
    memset(pages, 0xcc, 2 * PAGE);
    put_cmp(pages + PAGE + at);
    seal(pages, 2);
    if (!agrees((Code)(pages + PAGE + at), SYS_getpid, getpid()) || !agrees((Code)(pages + PAGE + at), 511, -1)) cmp = 0;
  }
  TRUE("a mov site at every place around the end of a page", mov);
  TRUE("a cmp site at every place", cmp);
  /* The syscall is the last instruction there is: what follows faults, at the right address. */
  unseal(pages, 2);
  put_mov(pages + PAGE - 7, SYS_getpid);
  seal(pages, 2);
  munmap(pages + PAGE, PAGE);
  int good = 1;
  for (int i = 0; i < ROUNDS; i++) {
    int number = sigsetjmp(back, 1);
    if (number == 0) {
      ((Code)(pages + PAGE - 7))(0);
      good = 0;
    } else if (number != SIGSEGV) good = 0;
  }
  TRUE("a site at the end of memory", good);
  munmap(pages, PAGE);
}

static void rewriting(void) {
  unsigned char *page = new_pages(1);
  int good = 1;
  for (int i = 0; i < 20; i++) {
    put_mov(page, i % 2 ? SYS_getpid : SYS_getppid);
    put_cmp(page + 32 + i % 3);
    seal(page, 1);
    if (!agrees((Code)page, 0, i % 2 ? getpid() : getppid())) good = 0;
    if (!agrees((Code)(page + 32 + i % 3), SYS_getpid, getpid())) good = 0;
    unseal(page, 1);
    if (i % 5 == 0) memset(page, 0xcc, PAGE);
  }
  TRUE("code that is written anew", good);
  munmap(page, PAGE);
  page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  good = 1;
  for (int i = 0; i < 20; i++) {
    put_mov(page, i % 2 ? SYS_getpid : SYS_getppid);
    if (!agrees((Code)page, 0, i % 2 ? getpid() : getppid())) good = 0;
  }
  TRUE("code in a page that stays writable", good);
  seal(page, 1);
  good = agrees((Code)page, 0, getpid());
  mprotect(page, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
  put_mov(page, SYS_getppid);
  TRUE("that is sealed and opened", good && agrees((Code)page, 0, getppid()));
  void *same = page;
  good = 1;
  for (int i = 0; i < 6; i++) {
    munmap(page, PAGE);
    page = mmap(same, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    put_mov(page + i % 2, i % 2 ? SYS_getpid : SYS_getppid);
    seal(page, 1);
    if (!agrees((Code)(page + i % 2), 0, i % 2 ? getpid() : getppid())) good = 0;
  }
  TRUE("code mapped where other code was", good);
  munmap(page, PAGE);
  /* Moved: the old place is gone. */
  page = new_pages(1);
  put_mov(page, SYS_getpid);
  put_cmp(page + 64);
  seal(page, 1);
  good = agrees((Code)page, 0, getpid()) && agrees((Code)(page + 64), 511, -1);
  unsigned char *target = new_pages(1);
  page = mremap(page, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target);
  TRUE("code that is moved", good && page == target && agrees((Code)page, 0, getpid()) && agrees((Code)(page + 64), 511, -1));
  /* Discarded: it is zero now, and written again. */
  mprotect(page, PAGE, PROT_READ | PROT_EXEC);
  madvise(page, PAGE, MADV_DONTNEED);
  TRUE("code that is discarded", page[0] == 0 && page[5] == 0 && page[70] == 0);
  unseal(page, 1);
  put_mov(page, SYS_getppid);
  seal(page, 1);
  TRUE("and written again", agrees((Code)page, 0, getppid()));
  munmap(page, PAGE);
}

static void files(void) {
  unsigned char code[64], seen[64];
  memset(code, 0xcc, sizeof code);
  put_mov(code, SYS_getpid);
  put_cmp(code + 16);
  int fd = memfd_create("code", 0);
  ftruncate(fd, PAGE);
  pwrite(fd, code, sizeof code, 0);
  unsigned char *shared = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
  TRUE("shared code runs", agrees((Code)shared, 0, getpid()) && agrees((Code)(shared + 16), 511, -1));
  pread(fd, seen, sizeof seen, 0);
  TRUE("and its file stays as it is", memcmp(code, seen, sizeof code) == 0);
  unsigned char *own = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
  TRUE("private code runs", agrees((Code)own, 0, getpid()) && agrees((Code)(own + 16), 511, -1));
  pread(fd, seen, sizeof seen, 0);
  TRUE("and its file stays as it is", memcmp(code, seen, sizeof code) == 0);
  /* The usual way of a JIT that never maps memory writable and executable at once. */
  unsigned char *writable = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  int good = 1;
  for (int i = 0; i < 10; i++) {
    put_mov(writable, i % 2 ? SYS_getpid : SYS_getppid);
    if (!agrees((Code)shared, 0, i % 2 ? getpid() : getppid())) good = 0;
  }
  TRUE("code written by way of another mapping", good);
  munmap(shared, PAGE);
  munmap(own, PAGE);
  munmap(writable, PAGE);
  close(fd);
}

/* --- processes, threads, signals --------------------------------------------------------------------------------------- */

static void children(void) {
  unsigned char *page = new_pages(1);
  put_mov(page, SYS_getpid);
  put_cmp(page + 64);
  seal(page, 1);
  agrees((Code)page, 0, getpid());
  pid_t child = fork();
  if (child == 0) {
    if (!agrees((Code)page, 0, getpid()) || !agrees((Code)(page + 64), SYS_getpid, getpid())) _exit(1);
    unseal(page, 1);
    put_mov(page, SYS_getppid);
    seal(page, 1);
    if (!agrees((Code)page, 0, getppid())) _exit(2);
    _exit(0);
  }
  EQUALS("a child changes its own code", 0, wait_code(child));
  TRUE("not its parent's", agrees((Code)page, 0, getpid()) && agrees((Code)(page + 64), SYS_getpid, getpid()));
  munmap(page, PAGE);
}

/* What one child has made of a site is not to be taken for its sibling's. */
static void siblings(void) {
  unsigned char *page = new_pages(1);
  put_mov(page, SYS_getpid);
  put_mov(page + 64, SYS_getppid);
  seal(page, 1);
  Code first = (Code)page, second = (Code)(page + 64);
  for (int child_number = 0; child_number < 2; child_number++) {
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
      for (int i = 0; child_number == 1 && i < ROUNDS; i++) second(0);
      for (int i = 0; i < ROUNDS; i++) first(0);
      _exit(first(0) != getpid() || (child_number == 1 && second(0) != parent));
    }
    EQUALS(child_number == 0 ? "first child's site" : "second child's sites", 0, wait_code(child));
  }
  munmap(page, PAGE);
}

static unsigned char *site;
static int wrong, begun;
static void *hammer(void *argument) {
  int kind = (long)argument % 2;
  __atomic_add_fetch(&begun, 1, __ATOMIC_SEQ_CST);
  while (__atomic_load_n(&begun, __ATOMIC_SEQ_CST) < 3) sched_yield();
  for (int i = 0; i < 30; i++) {
    long result = kind ? ((Code)(site + 64))(SYS_getpid) : ((Code)site)(0);
    if (result != getpid()) __atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST);
  }
  return NULL;
}

static void threads(void) {
  for (int round = 0; round < 60; round++) {
    site = new_pages(1);
    memset(site, 0xcc, PAGE);
    int at = round % 16;
    put_mov(site + at, SYS_getpid);
    put_cmp(site + 64 + at);
    seal(site, 1);
    site += at;
    begun = 0;
    pthread_t list[3];
    for (long i = 0; i < 3; i++) pthread_create(&list[i], NULL, hammer, (void *)i);
    for (int i = 0; i < 3; i++) pthread_join(list[i], NULL);
    munmap(site - at, PAGE);
  }
  EQUALS("threads that meet at a new site", 0, wrong);
}

static volatile int caught, odd_places;
static unsigned long site_end;
static void on_signal(int number, siginfo_t *info, void *context) {
  ucontext_t *user = context;
  unsigned long rip = user->uc_mcontext.gregs[REG_RIP];
  caught++;
  if (site_end && !((rip >= (unsigned long)site && rip < site_end) || rip < 0x800000000000)) odd_places++;
  (void)number; (void)info;
}

static void signals(void) {
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  site = new_pages(1);
  put_mov(site, SYS_getpid);
  put_cmp(site + 64);
  seal(site, 1);
  site_end = (unsigned long)site + PAGE;
  struct itimerval often = {{0, 300}, {0, 300}}, none = {{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &often, NULL);
  int good = 1;
  long pid = getpid();
  for (int i = 0; i < 30000; i++) {
    if (((Code)site)(0) != pid) good = 0;
    if (((Code)(site + 64))(SYS_getpid) != pid) good = 0;
    if (((Code)(site + 64))(511) != -1) good = 0;
  }
  setitimer(ITIMER_REAL, &none, NULL);
  TRUE("signals that rain on a site", good && caught > 3);
  EQUALS("are told places of the program", 0, odd_places);
  /* A call that waits is made again from the site after SA_RESTART, and ends with EINTR without it. */
  int p[2];
  pipe(p);
  for (int flags = 0; flags < 2; flags++) {
    action.sa_flags = SA_SIGINFO | (flags ? SA_RESTART : 0);
    sigaction(SIGALRM, &action, NULL);
    for (int kind = 0; kind < 2; kind++) {
      for (int i = 0; i < 4; i++) {
        pid_t child = fork();
        if (child == 0) {
          await_state(pid, 'S');
          kill(pid, SIGALRM);
          usleep(15000);
          write(p[1], "x", 1);
          _exit(0);
        }
        char byte = 0;
        long result;
        if (kind == 0) {
          __asm__ volatile("mov $0, %%eax\n syscall" : "=a"(result) : "D"(p[0]), "S"(&byte), "d"(1L) : "rcx", "r11", "memory");
        } else {
          __asm__ volatile("xor %%eax, %%eax\n syscall\n cmp $-4095, %%rax\n jae 1f\n nop\n1:" : "=a"(result) : "D"(p[0]), "S"(&byte), "d"(1L) : "rcx", "r11", "memory", "cc");
        }
        EQUALS(flags ? "a call that is made again" : "a call that is interrupted", flags ? 1 : -EINTR, result);
        wait_code(child);
        if (result < 0) read(p[0], &byte, 1);
      }
    }
  }
  close(p[0]);
  close(p[1]);
  site_end = 0;
}

/* --- other ways in --------------------------------------------------------------------------------------------------- */

static void other_ways(void) {
  time_t now;
  int good = 1;
  for (int i = 0; i < 3; i++) {
    long seconds = ((long (*)(time_t *))0xffffffffff600400)(&now);
    if (labs(seconds - time(NULL)) > 1 || seconds != now) good = 0;
    struct timeval value;
    if (((long (*)(struct timeval *, void *))0xffffffffff600000)(&value, NULL) != 0 || labs(value.tv_sec - seconds) > 1) good = 0;
    unsigned cpu = 99999;
    if (((long (*)(unsigned *, unsigned *, void *))0xffffffffff600800)(&cpu, NULL, NULL) != 0 || cpu > 4096) good = 0;
  }
  TRUE("the vsyscall page", good);
  int number = sigsetjmp(back, 1);
  if (number == 0) ((void (*)(void))0xffffffffff600010)();
  EQUALS("no other place of it", SIGSEGV, number);
  number = sigsetjmp(back, 1);
  if (number == 0) *(volatile int *)0xffffffffff601000;
  EQUALS("nor behind it", SIGSEGV, number);

  ElfW(Ehdr) *vdso = (void *)getauxval(AT_SYSINFO_EHDR);
  TRUE("there is a vDSO", vdso != NULL && memcmp(vdso->e_ident, ELFMAG, SELFMAG) == 0);
  ElfW(Phdr) *headers = (void *)((char *)vdso + vdso->e_phoff);
  ElfW(Dyn) *dynamic = NULL;
  unsigned long bias = 0;
  for (int i = 0; i < vdso->e_phnum; i++) {
    if (headers[i].p_type == PT_DYNAMIC) dynamic = (void *)((char *)vdso + headers[i].p_offset);
    if (headers[i].p_type == PT_LOAD && bias == 0) bias = (unsigned long)vdso + headers[i].p_offset - headers[i].p_vaddr;
  }
  ElfW(Sym) *symbols = NULL;
  const char *strings = NULL;
  unsigned *hash = NULL;
  for (; dynamic && dynamic->d_tag; dynamic++) {
    if (dynamic->d_tag == DT_SYMTAB) symbols = (void *)(dynamic->d_un.d_ptr + bias);
    if (dynamic->d_tag == DT_STRTAB) strings = (void *)(dynamic->d_un.d_ptr + bias);
    if (dynamic->d_tag == DT_HASH) hash = (void *)(dynamic->d_un.d_ptr + bias);
  }
  static const char *names[] = {"__vdso_clock_gettime", "__vdso_gettimeofday", "__vdso_time", "__vdso_getcpu", "__vdso_clock_getres"};
  for (unsigned n = 0; n < 5; n++) {
    void *found = NULL;
    for (unsigned i = 1; hash && symbols && strings && i < hash[1]; i++) {
      if (symbols[i].st_shndx && !strcmp(strings + symbols[i].st_name, names[n])) found = (void *)(symbols[i].st_value + bias);
    }
    if (hash) TRUE(names[n], found != NULL);
    struct timespec time;
    if (n == 0 && found) {
      int (*read_clock)(int, struct timespec *) = found;
      EQUALS("it reads the clock", 0, read_clock(CLOCK_MONOTONIC, &time));
      EQUALS("it knows no clock 99", -EINVAL, read_clock(99, &time));
      TRUE("its process clock", read_clock(CLOCK_PROCESS_CPUTIME_ID, &time) == 0 && time.tv_nsec >= 0);
    }
  }
  double last = 0;
  good = 1;
  for (int i = 0; i < 100000; i++) {
    double time = now_seconds();
    if (time < last) good = 0;
    last = time;
  }
  TRUE("time never goes back", good);

  struct rseq *area = (void *)((char *)__builtin_thread_pointer() + __rseq_offset);
  TRUE("glibc has registered rseq", __rseq_size > 0 && (int)area->cpu_id >= 0);
  TRUE("its CPU is one there is", area->cpu_id < sysconf(_SC_NPROCESSORS_CONF) && area->cpu_id == area->cpu_id_start);
  FAILS("rseq again", EBUSY, syscall(SYS_rseq, area, 32, 0, RSEQ_SIG));
  FAILS("rseq elsewhere", EINVAL, syscall(SYS_rseq, (char *)area + 64, 32, 0, RSEQ_SIG));
  FAILS("rseq with another signature", EPERM, syscall(SYS_rseq, area, 32, 0, 0x1234));
  FAILS("rseq with bad flags", EINVAL, syscall(SYS_rseq, area, 32, 8, RSEQ_SIG));
  pid_t child = fork();
  if (child == 0) {
    if (syscall(SYS_rseq, area, 32, RSEQ_FLAG_UNREGISTER, RSEQ_SIG)) _exit(errno);
    if (syscall(SYS_rseq, area, 32, RSEQ_FLAG_UNREGISTER, RSEQ_SIG) != -1) _exit(200);
    if (syscall(SYS_rseq, (char *)area + 4, 32, 0, RSEQ_SIG) != -1) _exit(201);
    if (syscall(SYS_rseq, area, 32, 0, RSEQ_SIG)) _exit(202);
    _exit((int)area->cpu_id >= 0 ? 0 : 203);
  }
  EQUALS("unregistered and registered", 0, wait_code(child));

  CALL("membarrier query", syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0));
  FAILS("membarrier unregistered", EPERM, syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
  EQUALS("membarrier register", 0, syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
  EQUALS("membarrier", 0, syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
  FAILS("membarrier of nothing", EINVAL, syscall(SYS_membarrier, 3, 0, 0));
  FAILS("membarrier with bad flags", EINVAL, syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 4, 0));

  /* The 32-bit gate: its calls are those of this kernel or none. */
  child = fork();
  if (child == 0) {
    long result = 20;
    __asm__ volatile("int $0x80" : "+a"(result) : : "r8", "r9", "r10", "r11", "memory");
    _exit((int)result == getpid() || (int)result == -ENOSYS ? 0 : 1);
  }
  int code = wait_code(child);
  TRUE("int 0x80 stays inside", code == 0 || code == 1000 + SIGSEGV || code == 1000 + SIGSYS);
}

/* --- code that many have mapped: a platform may have something else in its place ------------------------------------- */

static void often(void) {
  static unsigned char file[1 << 20];
  int fd = open("/lib64/ld-linux-x86-64.so.2", O_RDONLY);
  long have = fd < 0 ? -1 : read(fd, file, sizeof file);
  TRUE("the loader is there", have > 4096);
  ElfW(Ehdr) *header = (void *)file;
  ElfW(Phdr) *code = (void *)(file + header->e_phoff);
  while (code->p_type != PT_LOAD || !(code->p_flags & PF_X)) code++;
  unsigned long length = (code->p_filesz + PAGE - 1) & -PAGE;
  int written = 1, shorter = 1, hidden = 1, moved = 1;
  for (int i = 0; i < ROUNDS; i++) {
    unsigned char *from = file + code->p_offset;
    unsigned char *at = mmap(NULL, length, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, code->p_offset);
    if (unseal(at, length / PAGE) || memcmp(at, from, code->p_filesz)) written = 0;
    at[0] ^= 0xff;
    if (seal(at, length / PAGE) || at[0] != (from[0] ^ 0xff) || memcmp(at + 1, from + 1, code->p_filesz - 1)) written = 0;
    munmap(at, length);
    at = mmap(NULL, length, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, code->p_offset);
    if (munmap(at + length - PAGE, PAGE) || memcmp(at, from, length - PAGE)) shorter = 0;
    munmap(at, length - PAGE);
    at = mmap(NULL, length, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, code->p_offset);
    if (mprotect(at + length - PAGE, PAGE, PROT_NONE) || memcmp(at, from, length - PAGE)) hidden = 0;
    munmap(at, length);
    at = mmap(NULL, length, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, code->p_offset);
    unsigned char *to = mremap(at, length, 2 * length, MREMAP_MAYMOVE);
    if (to == MAP_FAILED || memcmp(to, from, code->p_filesz)) moved = 0;
    munmap(to, 2 * length);
  }
  close(fd);
  TRUE("mapped code that is made writable is the file's", written);
  TRUE("mapped code that loses its last page is the file's", shorter);
  TRUE("mapped code whose last page is hidden is the file's", hidden);
  TRUE("mapped code that moves is the file's", moved);
  int good = 1;
  for (int i = 0; i < ROUNDS; i++) {
    pid_t child = fork();
    if (child == 0) {
      execl("/proc/self/exe", "patching", "child", NULL);
      _exit(1);
    }
    if (wait_code(child) != 7) good = 0;
  }
  TRUE("a program starts again and again", good);
}

/* Constants that look like `mov $39,%eax; syscall` and `mov $0,%eax; cpuid`, in this program's own code. */
__asm__(".text\n.p2align 4\nlooks_like_code: .byte 0x90,0x90,0x90,0xb8,0x27,0,0,0,0x0f,0x05,0x90,0x90,0x90,0xb8,0,0,0,0,0x0f,0xa2\n");
extern const unsigned char looks_like_code[20];

static int reads_its_text(void) {
  static const unsigned char expected[20] = {0x90, 0x90, 0x90, 0xb8, 0x27, 0, 0, 0, 0x0f, 0x05, 0x90, 0x90, 0x90, 0xb8, 0, 0, 0, 0, 0x0f, 0xa2};
  return memcmp(looks_like_code, expected, sizeof expected) == 0;
}

/* As a program that has just started: calls of the loader and the library, with a GS base of its own too. */
static int run_as_child(void) {
  if (!reads_its_text()) return 6;
  if (getppid() <= 0 || syscall(SYS_gettid) != getpid()) return 1;
  if (syscall(SYS_arch_prctl, ARCH_SET_GS, 0x1234)) return 2;
  unsigned long base = 0;
  if (getpid() != syscall(SYS_gettid) || getuid() != geteuid()) return 3;
  void *more = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (more == MAP_FAILED || munmap(more, PAGE)) return 4;
  if (syscall(SYS_arch_prctl, ARCH_GET_GS, &base) || base != 0x1234) return 5;
  return 7;
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "child") == 0) return run_as_child();
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = jump;
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
  siblings(); /* first: while this process has no site of its own that is patched */
  registers();
  if (__builtin_cpu_supports("avx")) vectors();
  pid_t child = fork();
  if (child == 0) {
    segments();
    _exit(0);
  }
  EQUALS("segments", 0, wait_code(child));
  child = fork();
  if (child == 0) {
    for (int i = 0; i < 200; i++) if (getppid() <= 0) _exit(1);
    segment_by_instruction();
    _exit(0);
  }
  EQUALS("a segment by an instruction of its own", 0, wait_code(child));
  numbers();
  middles();
  boundaries();
  rewriting();
  files();
  children();
  threads();
  signals();
  other_ways();
  often();
  return 0;
}

// What the CPU says of a fault, as a signal handler sees it: signal, code, trap number and error code (struct sigcontext), and
// that registers of every kind are afterwards what they were. Numbers of traps: Intel SDM volume 3, 6.3.1. Of a page
// fault's error code: 1 = the page is there, 2 = a write, 4 = from user mode, 16 = an instruction fetch.
#include "check.h"

#define PAGE 4096UL

static sigjmp_buf back;
static volatile int seen_number, seen_code;
static volatile long seen_trap, seen_error;
static volatile unsigned long seen_address, frame_address;
static char other_stack[65536];

static void on_fault(int number, siginfo_t *info, void *context) {
  // Linux leaves the alignment check on in a handler.
  __asm__ volatile("pushfq; andq $~0x40000, (%%rsp); popfq" ::: "cc", "memory");
  ucontext_t *user = context;
  seen_number = number;
  seen_code = info->si_code;
  seen_trap = user->uc_mcontext.gregs[REG_TRAPNO];
  seen_error = user->uc_mcontext.gregs[REG_ERR];
  seen_address = (unsigned long)info->si_addr;
  frame_address = user->uc_mcontext.gregs[REG_CR2];
  siglongjmp(back, 1);
}

static void install(void) {
  stack_t stack = {.ss_sp = other_stack, .ss_size = sizeof other_stack};
  sigaltstack(&stack, NULL);
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
  for (int i = 0; i < 5; i++) sigaction((int[]){SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP}[i], &action, NULL);
}

#define FAULTS(name, expected, statement)                                                                         \
  do {                                                                                                            \
    seen_number = 0;                                                                                              \
    seen_code = 0;                                                                                                \
    seen_trap = seen_error = -1;                                                                                  \
    if (sigsetjmp(back, 1) == 0) { statement; }                                                                   \
    if (seen_number == 0) judge(name, expected, "no fault");                                                      \
    else SAYS(name, expected, "signal %d code %d trap %ld error %ld", seen_number, seen_code, seen_trap, seen_error); \
  } while (0)

static char *pages(int count, int prot) { return mmap(NULL, count * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }
static volatile int zero;
static volatile double zero_double;

static void page_faults(void) {
  char *p = pages(8, PROT_READ | PROT_WRITE);
  memset(p, 1, 4 * PAGE);
  mprotect(p, PAGE, PROT_READ);
  mprotect(p + PAGE, PAGE, PROT_NONE);
  mprotect(p + 4 * PAGE, 2 * PAGE, PROT_READ);
  mprotect(p + 6 * PAGE, PAGE, PROT_NONE);
  munmap(p + 7 * PAGE, PAGE);
  FAULTS("a write to a page that may be read", "signal 11 code 2 trap 14 error 7", *(volatile char *)p = 1);
  TRUE("at its address, in CR2 too", seen_address == (unsigned long)p && frame_address == (unsigned long)p);
  FAULTS("the same of one never touched", NULL, *(volatile char *)(p + 4 * PAGE) = 1);
  FAULTS("the same by one that reads first", NULL, __atomic_fetch_add((int *)(p + 5 * PAGE), 1, __ATOMIC_SEQ_CST));
  FAULTS("a read of PROT_NONE", NULL, (void)*(volatile char *)(p + PAGE));
  FAULTS("a write to PROT_NONE", NULL, *(volatile char *)(p + PAGE) = 1);
  FAULTS("a read of PROT_NONE never touched", NULL, (void)*(volatile char *)(p + 6 * PAGE));
  FAULTS("a write to PROT_NONE never touched", NULL, *(volatile char *)(p + 6 * PAGE) = 1);
  FAULTS("a read of nothing", "signal 11 code 1 trap 14 error 4", (void)*(volatile char *)(p + 7 * PAGE));
  FAULTS("a write to nothing", "signal 11 code 1 trap 14 error 6", *(volatile char *)(p + 7 * PAGE) = 1);
  FAULTS("a fetch from nothing", "signal 11 code 1 trap 14 error 20", ((void (*)(void))(p + 7 * PAGE))());
  FAULTS("a fetch from a page without that right", "signal 11 code 2 trap 14 error 21",
         ((void (*)(void))(p + 2 * PAGE))());
  FAULTS("a read at 0", "signal 11 code 1 trap 14 error 4", (void)*(volatile char *)(unsigned long)zero);
  FAULTS("a read of the kernel's half", "signal 11 code 1 trap 14 error 5",
         (void)*(volatile char *)(0xffff800000000000UL + zero));
  FAULTS("a write to the kernel's half", "signal 11 code 1 trap 14 error 7",
         *(volatile char *)(0xffff800000000000UL + zero) = 1);
  int fd = memfd_create("short", 0);
  char *file = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  FAULTS("a read behind a file's end", "signal 7 code 2 trap 14 error 4", (void)*(volatile char *)file);
  FAULTS("a write behind a file's end", "signal 7 code 2 trap 14 error 6", *(volatile char *)file = 1);
}

static void others(void) {
  FAULTS("a division by zero", "signal 8 code 1 trap 0 error 0",
         __asm__ volatile("idivl %0" ::"r"(0), "a"(1), "d"(0)));
  FAULTS("a quotient too large", "signal 8 code 1 trap 0 error 0",
         __asm__ volatile("idivl %0" ::"r"(-1), "a"(0x80000000), "d"(-1)));
  unsigned short control = 0x37b;
  FAULTS("a division of the x87", "signal 8 code 3 trap 16 error 0",
         __asm__ volatile("fldcw %0; fld1; fldz; fdivrp; fwait" ::"m"(control)));
  __asm__ volatile("fninit");
  unsigned mxcsr = 0x1d80;
  FAULTS("a division of SSE", "signal 8 code 3 trap 19 error 0", {
    __asm__ volatile("ldmxcsr %0" ::"m"(mxcsr));
    zero_double = 1.0 / zero_double;
  });
  mxcsr = 0x1f80;
  __asm__ volatile("ldmxcsr %0" ::"m"(mxcsr));
  zero_double = 0;
  FAULTS("ud2", "signal 4 code 2 trap 6 error 0", __asm__ volatile("ud2"));
  FAULTS("int3", "signal 5 code 128 trap 3 error 0", __asm__ volatile("int3"));
  FAULTS("int1", NULL, __asm__ volatile(".byte 0xf1"));
  FAULTS("a step", "signal 5 code 2 trap 1 error 0",
         __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq; nop; nop" ::: "cc", "memory"));
  FAULTS("hlt", "signal 11 code 128 trap 13 error 0", __asm__ volatile("hlt"));
  FAULTS("int $0x21", NULL, __asm__ volatile("int $0x21"));
  FAULTS("an address that is no address", "signal 11 code 128 trap 13 error 0",
         (void)*(volatile char *)(0x8000000000000000UL + zero));
  FAULTS("a stack that is none", "signal 7 code 128 trap 12 error 0",
         __asm__ volatile("mov %%rbp, %%rax; mov %0, %%rbp; mov (%%rbp), %%rcx; mov %%rax, %%rbp" ::"r"(1UL << 63)
                          : "rax", "rcx"));
  FAULTS("a word across its bounds, with the alignment check", "signal 7 code 1 trap 17 error 0",
         __asm__ volatile("pushfq; orq $0x40000, (%%rsp); popfq; mov %0, %%rax; mov 1(%%rax), %%ecx" ::"r"(other_stack)
                          : "rax", "rcx", "cc", "memory"));
}

static char *repaired;

static void repair(int number, siginfo_t *info, void *context) {
  (void)number, (void)info, (void)context;
  __asm__ volatile("pcmpeqd %%xmm7, %%xmm7" ::: "xmm7");
  mprotect(repaired, PAGE, PROT_READ | PROT_WRITE);
}

/* What a fault interrupts goes on with the registers it had: general ones, SSE, the red zone. */
static void go_on(void) {
  struct sigaction action = {.sa_sigaction = repair, .sa_flags = SA_SIGINFO};
  sigaction(SIGSEGV, &action, NULL);
  int good = 0;
  for (int i = 0; i < 50; i++) {
    repaired = pages(1, PROT_NONE);
    long a, b, x;
    __asm__ volatile(
        "mov %4, %%r12; movq %%r12, %%xmm7; mov %%r12, -64(%%rsp); mov %%r12, %%rbx; movl $7, (%3);"
        "mov %%rbx, %0; movq %%xmm7, %1; mov -64(%%rsp), %2"
        : "=&r"(a), "=&r"(x), "=&r"(b)
        : "r"(repaired), "r"(0x1234567890abcdefL + i)
        : "r12", "rbx", "xmm7", "memory");
    good += a == 0x1234567890abcdefL + i && b == a && x == a && *(int *)repaired == 7;
    munmap(repaired, PAGE);
  }
  EQUALS("registers and red zone are kept", 50, good);
}

static void *thread(void *unused) {
  (void)unused;
  install();
  page_faults();
  return NULL;
}

int main(void) {
  install();
  page_faults();
  others();
  pthread_t id;
  pthread_create(&id, NULL, thread, NULL);
  pthread_join(id, NULL);
  if (fork() == 0) {
    page_faults();
    _exit(0);
  }
  wait(NULL);
  go_on();
  return 0;
}

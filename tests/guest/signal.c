// Signals: handlers, masks, queues, siginfo, alternate stacks, restart rules, job control, signalfd, FPU state in frames.
#include "check.h"
#include <immintrin.h>

static volatile int caught, caught_code, caught_value, order[64], order_count;
static volatile pid_t caught_pid;

static void count(int signal_number) { caught++; (void)signal_number; }
static void note(int signal_number, siginfo_t *info, void *context) {
  caught++;
  caught_code = info->si_code;
  caught_value = info->si_value.sival_int;
  caught_pid = info->si_pid;
  if (order_count < 64) order[order_count++] = signal_number;
  (void)context;
}
static void install(int signal_number, void (*handler)(int, siginfo_t *, void *), int flags) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | flags;
  sigaction(signal_number, &action, NULL);
}

static void basics(void) {
  signal(SIGUSR1, count);
  kill(getpid(), SIGUSR1);
  EQUALS("a handler runs", 1, caught);
  raise(SIGUSR1);
  EQUALS("raise runs it too", 2, caught);
  install(SIGUSR1, note, 0);
  caught = 0;
  kill(getpid(), SIGUSR1);
  TRUE("kill says SI_USER and who", caught_code == SI_USER && caught_pid == getpid());
  syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1);
  TRUE("tgkill says SI_TKILL", caught_code == SI_TKILL);
  union sigval value = {.sival_int = 77};
  sigqueue(getpid(), SIGUSR1, value);
  TRUE("sigqueue says SI_QUEUE and the value", caught_code == SI_QUEUE && caught_value == 77);
  FAILS("kill with a bad signal", EINVAL, kill(getpid(), 65));
  FAILS("kill of a stranger", ESRCH, kill(1 << 21, 0));
  EQUALS("kill with 0", 0, kill(getpid(), 0));
  FAILS("tgkill with a wrong group", ESRCH, syscall(SYS_tgkill, 1, syscall(SYS_gettid), SIGUSR1));
  FAILS("tgkill with a negative tid", EINVAL, syscall(SYS_tgkill, getpid(), -1, SIGUSR1));
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = count;
  FAILS("a handler for SIGKILL", EINVAL, sigaction(SIGKILL, &action, NULL));
  FAILS("sigaction of 0", EINVAL, syscall(SYS_rt_sigaction, 0, NULL, NULL, 8));
  FAILS("sigaction with a bad size", EINVAL, syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4));
  FAILS("sigaction with a bad pointer", EFAULT, syscall(SYS_rt_sigaction, SIGUSR1, BAD, NULL, 8));
  install(SIGUSR1, note, SA_RESETHAND);
  raise(SIGUSR1);
  sigaction(SIGUSR1, NULL, &action);
  TRUE("SA_RESETHAND resets", action.sa_handler == SIG_DFL);
}

static void masks(void) {
  sigset_t set, old, pending;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGRTMIN);
  install(SIGUSR1, note, 0);
  install(SIGRTMIN, note, 0);
  install(SIGRTMIN + 1, note, 0);
  EQUALS("block", 0, sigprocmask(SIG_BLOCK, &set, &old));
  caught = 0;
  raise(SIGUSR1);
  raise(SIGUSR1);
  union sigval value = {.sival_int = 1};
  for (int i = 0; i < 3; i++) { value.sival_int = i; sigqueue(getpid(), SIGRTMIN, value); }
  EQUALS("blocked signals wait", 0, caught);
  sigpending(&pending);
  TRUE("sigpending sees them", sigismember(&pending, SIGUSR1) && sigismember(&pending, SIGRTMIN) && !sigismember(&pending, SIGUSR2));
  order_count = 0;
  sigprocmask(SIG_SETMASK, &old, NULL);
  EQUALS("one standard, three real-time", 4, caught);
  EQUALS("the last real-time value", 0, caught_value);
  sigaddset(&set, SIGRTMIN + 1);
  sigprocmask(SIG_BLOCK, &set, NULL);
  sigqueue(getpid(), SIGRTMIN + 1, value);
  sigqueue(getpid(), SIGRTMIN, value);
  raise(SIGUSR1);
  siginfo_t info;
  struct timespec zero = {0, 0};
  TRUE("sigtimedwait takes the lowest first", sigtimedwait(&set, &info, &zero) == SIGUSR1);
  TRUE("then real-time in order", sigtimedwait(&set, &info, &zero) == SIGRTMIN && info.si_code == SI_QUEUE);
  TRUE("and the next", sigtimedwait(&set, NULL, &zero) == SIGRTMIN + 1);
  FAILS("sigtimedwait times out", EAGAIN, sigtimedwait(&set, &info, &zero));
  struct timespec bad = {0, 2000000000};
  FAILS("sigtimedwait with a bad time", EINVAL, sigtimedwait(&set, &info, &bad));
  struct timespec little = {0, 20000000};
  double before = now_seconds();
  FAILS("sigtimedwait waits", EAGAIN, sigtimedwait(&set, &info, &little));
  TRUE("at least that long", now_seconds() - before >= 0.019);
  FAILS("sigprocmask with a bad how", EINVAL, sigprocmask(99, &set, NULL));
  FAILS("sigprocmask with a bad pointer", EFAULT, syscall(SYS_rt_sigprocmask, SIG_BLOCK, BAD, NULL, 8));
  sigfillset(&set);
  sigprocmask(SIG_BLOCK, &set, NULL);
  sigprocmask(SIG_BLOCK, NULL, &old);
  TRUE("SIGKILL and SIGSTOP are never blocked", !sigismember(&old, SIGKILL) && !sigismember(&old, SIGSTOP));
  sigemptyset(&set);
  sigprocmask(SIG_SETMASK, &set, NULL);
  pid_t pid = fork();
  if (pid == 0) { await_state(getppid(), 'S'); kill(getppid(), SIGUSR1); _exit(0); }
  caught = 0;
  FAILS("sigsuspend is interrupted", EINTR, sigsuspend(&set));
  EQUALS("after the handler", 1, caught);
  wait_code(pid);
}

static int nested, depth_max, raises;
static void nest(int signal_number, siginfo_t *info, void *context) {
  nested++;
  if (nested > depth_max) depth_max = nested;
  if (nested < 3 && raises++ < 5) raise(signal_number);
  nested--;
  (void)info; (void)context;
}

static char alternate[65536];
static volatile int on_alternate;
static void where(int signal_number, siginfo_t *info, void *context) {
  char here;
  on_alternate = &here >= alternate && &here < alternate + sizeof alternate;
  stack_t stack;
  sigaltstack(NULL, &stack);
  if (on_alternate) caught_code = stack.ss_flags;
  (void)signal_number; (void)info; (void)context;
}

static volatile int fault_code;
static volatile void *fault_address;
static sigjmp_buf *jump_unused;
static void skip(int signal_number, siginfo_t *info, void *context) {
  ucontext_t *user = context;
  fault_code = info->si_code;
  fault_address = info->si_addr;
  user->uc_mcontext.gregs[REG_RIP] = user->uc_mcontext.gregs[REG_R15];
  (void)signal_number; (void)jump_unused;
}

static void frames(void) {
  install(SIGUSR1, nest, 0);
  depth_max = 0;
  raise(SIGUSR1);
  EQUALS("a handler's own signal is blocked", 0, depth_max);
  install(SIGUSR1, nest, SA_NODEFER);
  depth_max = raises = 0;
  raise(SIGUSR1);
  EQUALS("but not with SA_NODEFER", 0, depth_max);
  stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
  EQUALS("sigaltstack", 0, sigaltstack(&stack, NULL));
  install(SIGUSR2, where, SA_ONSTACK);
  raise(SIGUSR2);
  TRUE("SA_ONSTACK runs there", on_alternate == 1);
  EQUALS("SS_ONSTACK is told", 1, caught_code);
  install(SIGUSR2, where, 0);
  raise(SIGUSR2);
  TRUE("without it on the ordinary stack", on_alternate == 0);
  stack.ss_size = 100;
  FAILS("a stack that is too small", ENOMEM, sigaltstack(&stack, NULL));
  stack.ss_flags = 77;
  FAILS("sigaltstack with bad flags", EINVAL, sigaltstack(&stack, NULL));
  FAILS("sigaltstack with a bad pointer", EFAULT, sigaltstack(BAD, NULL));
  install(SIGSEGV, skip, 0);
  __asm__ volatile("lea 1f(%%rip), %%r15\n movl $1, (%0)\n1:" ::"r"(0x10UL) : "r15", "memory");
  TRUE("SIGSEGV tells the address", fault_address == (void *)0x10);
  EQUALS("and SEGV_MAPERR", SEGV_MAPERR, fault_code);
  char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  __asm__ volatile("lea 1f(%%rip), %%r15\n movl $1, (%0)\n1:" ::"r"(page + 5) : "r15", "memory");
  TRUE("a protected page too", fault_address == page + 5);
  EQUALS("with SEGV_ACCERR", SEGV_ACCERR, fault_code);
  install(SIGILL, skip, 0);
  __asm__ volatile("lea 1f(%%rip), %%r15\n ud2\n1:" ::: "r15");
  EQUALS("ud2 gives ILL_ILLOPN", ILL_ILLOPN, fault_code);
  install(SIGFPE, skip, 0);
  __asm__ volatile("lea 1f(%%rip), %%r15\n xorl %%ecx,%%ecx\n movl $1,%%eax\n cdq\n idivl %%ecx\n1:" ::: "r15", "eax", "ecx", "edx");
  EQUALS("a division gives FPE_INTDIV", FPE_INTDIV, fault_code);
  install(SIGTRAP, skip, 0);
  __asm__ volatile("lea 1f(%%rip), %%r15\n int3\n1:" ::: "r15");
  EQUALS("int3 gives its code", SI_KERNEL, fault_code);
  signal(SIGSEGV, SIG_DFL);
  pid_t pid = fork();
  if (pid == 0) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGSEGV);
    sigprocmask(SIG_BLOCK, &set, NULL);
    install(SIGSEGV, skip, 0);
    *(volatile int *)BAD = 1;
    _exit(0);
  }
  EQUALS("a blocked fault kills", 1000 + SIGSEGV, wait_code(pid));
  pid = fork();
  if (pid == 0) { signal(SIGSEGV, SIG_IGN); *(volatile int *)BAD = 1; _exit(0); }
  EQUALS("an ignored fault kills", 1000 + SIGSEGV, wait_code(pid));
  pid = fork();
  if (pid == 0) { __asm__ volatile("mov $8, %rsp\n mov $15, %eax\n syscall"); _exit(0); }
  EQUALS("sigreturn from a bad frame", 1000 + SIGSEGV, wait_code(pid));
}

static volatile double register_seen;
static void clobber(int signal_number) {
  __asm__ volatile("pxor %%xmm0,%%xmm0\n pxor %%xmm7,%%xmm7\n pxor %%xmm15,%%xmm15\n" ::: "xmm0", "xmm7", "xmm15");
  caught++;
  (void)signal_number;
}
static void change(int signal_number, siginfo_t *info, void *context) {
  ucontext_t *user = context;
  struct _libc_fpstate *state = user->uc_mcontext.fpregs;
  memcpy(&register_seen, &state->_xmm[9], 8);
  double other = 9.5;
  memcpy(&state->_xmm[9], &other, 8);
  (void)signal_number; (void)info;
}

static void fpu(void) {
  signal(SIGUSR1, count);
  double x = 1.25, y = 0;
  pid_t me = getpid();
  /* kill(self) as a raw call, so that the same function holds the registers over it. */
  for (int round = 0; round < 4; round++) {
    signal(SIGUSR1, clobber);
    __asm__ volatile("movsd %1, %%xmm7\n mov $62, %%eax\n syscall\n movsd %%xmm7, %0" : "=m"(y) : "m"(x), "D"(me), "S"(SIGUSR1) : "rax", "rcx", "r11", "memory", "xmm7");
  }
  TRUE("xmm registers survive a handler", y == 1.25);
  install(SIGUSR1, change, 0);
  for (int round = 0; round < 4; round++) {
    x = 4.75;
    __asm__ volatile("movsd %1, %%xmm9\n mov $62, %%eax\n syscall\n movsd %%xmm9, %0" : "=m"(y) : "m"(x), "D"(me), "S"(SIGUSR1) : "rax", "rcx", "r11", "memory", "xmm9");
  }
  TRUE("the frame shows them", register_seen == 4.75);
  TRUE("and changes in the frame take effect", y == 9.5);
  long a = 0, red[4] = {11, 22, 33, 44};
  signal(SIGUSR1, clobber);
  __asm__ volatile("movq $1234, -8(%%rsp)\n movq $4321, -120(%%rsp)\n mov $62, %%eax\n syscall\n mov -8(%%rsp), %0\n add -120(%%rsp), %0" : "=&r"(a) : "D"(me), "S"(SIGUSR1) : "rax", "rcx", "r11", "memory");
  EQUALS("the red zone survives", 5555, a);
  TRUE("callee-saved values survive", red[0] + red[1] + red[2] + red[3] == 110);
}

static void *thread_read(void *argument) {
  char c;
  int *fds = argument;
  enter_sleep();
  long n = read(fds[0], &c, 1);
  return (void *)(n == -1 ? -(long)errno : n);
}

static void restarts(void) {
  int fds[2];
  if (pipe(fds)) return;
  pid_t parent = getpid();
  for (int flags = 0; flags < 2; flags++) {
    install(SIGALRM, note, flags ? SA_RESTART : 0);
    caught = 0;
    pid_t pid = fork();
    if (pid == 0) { await_state(parent, 'S'); kill(parent, SIGALRM); usleep(30000); if (write(fds[1], "x", 1) != 1) _exit(1); _exit(0); }
    char c;
    ANSWERS(flags ? "read restarts with SA_RESTART" : "read gives EINTR without", flags ? 1 : -EINTR, read(fds[0], &c, 1));
    EQUALS("the handler ran", 1, caught);
    wait_code(pid);
    if (!flags) EQUALS("the byte is there", 1, read(fds[0], &c, 1));
  }
  for (int flags = 0; flags < 2; flags++) {
    install(SIGALRM, note, flags ? SA_RESTART : 0);
    pid_t pid = fork();
    if (pid == 0) { await_state(parent, 'S'); kill(parent, SIGALRM); _exit(0); }
    struct timespec time = {20, 0}, left = {0, 0};
    double before = now_seconds();
    FAILS("nanosleep gives EINTR in either case", EINTR, nanosleep(&time, &left));
    TRUE("and what is left", left.tv_sec < 20 && now_seconds() - before < 19);
    wait_code(pid);
    pid = fork();
    if (pid == 0) { await_state(parent, 'S'); kill(parent, SIGALRM); _exit(0); }
    FAILS("poll gives EINTR in either case", EINTR, poll(NULL, 0, 20000));
    wait_code(pid);
    pid = fork();
    if (pid == 0) { await_state(parent, 'S'); kill(parent, SIGALRM); usleep(30000); _exit(6); }
    int status = 0;
    ANSWERS(flags ? "waitpid restarts" : "waitpid gives EINTR", flags ? 0 : -EINTR, waitpid(pid, &status, 0) == pid ? 0 : -1);
    if (!flags) wait_code(pid);
  }
  /* Stop and continue without a handler: calls go on. */
  pid_t pid = fork();
  if (pid == 0) { struct timespec time = {0, 60000000}; _exit(nanosleep(&time, NULL) == 0 ? 3 : errno); }
  await_state(pid, 'S');
  kill(pid, SIGSTOP);
  await_state(pid, 'T');
  kill(pid, SIGCONT);
  EQUALS("nanosleep goes on after a stop", 3, wait_code(pid));
  void *result = NULL;
  pthread_t thread = start_sleeper(thread_read, fds);
  install(SIGUSR2, note, 0);
  caught = 0;
  pthread_kill(thread, SIGUSR2);
  pthread_join(thread, &result);
  TRUE("pthread_kill interrupts that thread", (long)result == -EINTR && caught == 1);
  close(fds[0]);
  close(fds[1]);
}

static volatile int spins;
static void stop_spinning(int signal_number) { spins = 1; (void)signal_number; }

static void running(void) {
  signal(SIGALRM, stop_spinning);
  struct itimerval timer = {{0, 0}, {0, 20000}};
  setitimer(ITIMER_REAL, &timer, NULL);
  while (!spins) ;
  say("a signal reaches a spinning thread", "yes");
  spins = 0;
  EQUALS("alarm", 0, alarm(0));
  pid_t pid = fork();
  if (pid == 0) for (;;) ;
  usleep(10000);
  kill(pid, SIGKILL);
  EQUALS("SIGKILL ends a spinning child", 1000 + SIGKILL, wait_code(pid));
  for (int i = 0; i < 200; i++) {
    pid = fork();
    if (pid == 0) { for (;;) getppid(); }
    if (i % 2) usleep(i);
    kill(pid, SIGKILL);
    if (wait_code(pid) != 1009) { SAYS("two hundred kills", "all", "lost at %d", i); return; }
  }
  say("two hundred kills", "all");
}

static void descriptors(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, NULL);
  int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  TRUE("signalfd", fd >= 0);
  struct signalfd_siginfo info;
  FAILS("an empty one", EAGAIN, read(fd, &info, sizeof info));
  union sigval value = {.sival_int = 5};
  sigqueue(getpid(), SIGUSR1, value);
  struct pollfd poll_fd = {fd, POLLIN, 0};
  EQUALS("it polls", 1, poll(&poll_fd, 1, 0));
  FAILS("too small a buffer", EINVAL, read(fd, &info, 10));
  EQUALS("a read", sizeof info, read(fd, &info, sizeof info));
  TRUE("tells all", info.ssi_signo == SIGUSR1 && info.ssi_int == 5 && info.ssi_pid == (unsigned)getpid() && info.ssi_code == SI_QUEUE);
  FAILS("signalfd with bad flags", EINVAL, signalfd(-1, &set, 1));
  FAILS("signalfd on another descriptor", EINVAL, signalfd(0, &set, 0));
  FAILS("signalfd with a bad size", EINVAL, syscall(SYS_signalfd4, -1, &set, 4, 0));
  close(fd);
  sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int main(void) {
  basics();
  masks();
  frames();
  fpu();
  restarts();
  running();
  descriptors();
  return 0;
}

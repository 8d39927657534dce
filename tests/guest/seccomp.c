// seccomp: strict mode, filters in classic BPF and what they answer, chains of filters, threads, children and new programs.
#include "check.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

static char **self;

static int seccomp(unsigned operation, unsigned flags, void *args) { return syscall(SYS_seccomp, operation, flags, args); }

#define NR BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define ARG(n) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[n]))
#define RET(value) BPF_STMT(BPF_RET | BPF_K, value)
#define FOR(number, value) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), RET(value)
#define INSTALL(flags, ...)                                                                              \
  ({                                                                                                     \
    struct sock_filter code_[] = {__VA_ARGS__};                                                          \
    struct sock_fprog program_ = {sizeof code_ / sizeof *code_, code_};                                  \
    seccomp(SECCOMP_SET_MODE_FILTER, flags, &program_);                                                  \
  })
#define IN_CHILD(name, expected, ...) \
  do {                                   \
    pid_t child_ = fork();               \
    if (child_ == 0) {                   \
      prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); \
      __VA_ARGS__;                       \
      _exit(0);                          \
    }                                    \
    EQUALS(name, expected, wait_code(child_)); \
  } while (0)

static volatile int seen_code, seen_errno, seen_number, seen_result_ok, caught;
static volatile unsigned seen_arch;
static void *volatile seen_address;
static void on_trap(int number, siginfo_t *info, void *context) {
  ucontext_t *user = context;
  caught++;
  seen_code = info->si_code;
  seen_errno = info->si_errno;
  seen_number = info->si_syscall;
  seen_arch = info->si_arch;
  seen_address = info->si_call_addr;
  seen_result_ok = user->uc_mcontext.gregs[REG_RAX] == info->si_syscall && (void *)user->uc_mcontext.gregs[REG_RIP] == info->si_call_addr;
  user->uc_mcontext.gregs[REG_RAX] = 4242;
  (void)number;
}

static void refusals(void) {
  FAILS("an unknown operation", EINVAL, seccomp(9, 0, NULL));
  FAILS("strict with flags", EINVAL, seccomp(SECCOMP_SET_MODE_STRICT, 1, NULL));
  FAILS("strict with an argument", EINVAL, seccomp(SECCOMP_SET_MODE_STRICT, 0, &caught));
  FAILS("a filter at a bad address", EFAULT, seccomp(SECCOMP_SET_MODE_FILTER, 0, BAD));
  FAILS("unknown flags", EINVAL, seccomp(SECCOMP_SET_MODE_FILTER, 0x1000, BAD));
  FAILS("prctl with a bad mode", EINVAL, prctl(PR_SET_SECCOMP, 7, 0, 0, 0));
  EQUALS("prctl reads the mode", 0, prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
  unsigned action = SECCOMP_RET_ERRNO;
  EQUALS("ERRNO is to be had", 0, seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &action));
  action = 0x12340000;
  FAILS("nonsense is not", EOPNOTSUPP, seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &action));
  FAILS("asked with flags", EINVAL, seccomp(SECCOMP_GET_ACTION_AVAIL, 1, &action));
  IN_CHILD("an empty program", 0, FAILS("length 0", EINVAL, ({ struct sock_fprog p = {0, NULL}; seccomp(SECCOMP_SET_MODE_FILTER, 0, &p); })));
  IN_CHILD("instructions at a bad address", 0, FAILS("EFAULT", EFAULT, ({ struct sock_fprog p = {3, BAD}; seccomp(SECCOMP_SET_MODE_FILTER, 0, &p); })));
  IN_CHILD("a program that does not return", 0, FAILS("no RET", EINVAL, INSTALL(0, NR)));
  IN_CHILD("a jump out", 0, FAILS("beyond", EINVAL, INSTALL(0, NR, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 5), RET(SECCOMP_RET_ALLOW))));
  IN_CHILD("a jump to nowhere", 0, FAILS("JA", EINVAL, INSTALL(0, BPF_STMT(BPF_JMP | BPF_JA, 1), RET(SECCOMP_RET_ALLOW))));
  IN_CHILD("a load out of line", 0, FAILS("offset 2", EINVAL, INSTALL(0, BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2), RET(SECCOMP_RET_ALLOW))));
  IN_CHILD("a load beyond the data", 0, FAILS("offset 64", EINVAL, INSTALL(0, BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), RET(SECCOMP_RET_ALLOW))));
  IN_CHILD("a load of a byte", 0, FAILS("BPF_B", EINVAL, INSTALL(0, BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), RET(SECCOMP_RET_ALLOW))));
  IN_CHILD("an indirect load", 0, FAILS("BPF_IND", EINVAL, INSTALL(0, BPF_STMT(BPF_LD | BPF_W | BPF_IND, 0), RET(SECCOMP_RET_ALLOW))));
  IN_CHILD("a division by zero", 0, FAILS("DIV 0", EINVAL, INSTALL(0, BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), RET(SECCOMP_RET_ALLOW))));
  IN_CHILD("a shift by 32", 0, FAILS("LSH 32", EINVAL, INSTALL(0, BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 32), RET(SECCOMP_RET_ALLOW))));
  IN_CHILD("memory beyond", 0, FAILS("M[16]", EINVAL, INSTALL(0, BPF_STMT(BPF_ST, 16), RET(SECCOMP_RET_ALLOW))));
  IN_CHILD("memory read before it is written", 0, FAILS("M[3]", EINVAL, INSTALL(0, BPF_STMT(BPF_LD | BPF_MEM, 3), RET(SECCOMP_RET_ALLOW))));
  IN_CHILD("an unknown instruction", 0, FAILS("0xffff", EINVAL, INSTALL(0, BPF_STMT(0xffff, 0), RET(SECCOMP_RET_ALLOW))));
  IN_CHILD("the modulo", 0, FAILS("MOD", EINVAL, INSTALL(0, BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, 3), RET(SECCOMP_RET_ALLOW))));
  if (geteuid() == 0) {
    pid_t child = fork();
    if (child == 0) {
      setresuid(1000, 1000, 1000);
      FAILS("a user without no_new_privs", EACCES, INSTALL(0, RET(SECCOMP_RET_ALLOW)));
      prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
      EQUALS("and with it", 0, INSTALL(0, RET(SECCOMP_RET_ALLOW)));
      _exit(0);
    }
    wait_code(child);
  }
}

static void actions(void) {
  IN_CHILD("everything allowed", 0, { EQUALS("install", 0, INSTALL(0, RET(SECCOMP_RET_ALLOW))); TRUE("calls go on", getpid() > 0); EQUALS("the mode", SECCOMP_MODE_FILTER, prctl(PR_GET_SECCOMP, 0, 0, 0, 0)); FAILS("no way back to strict", EINVAL, prctl(PR_SET_SECCOMP, 1, 0, 0, 0)); });
  IN_CHILD("errno", 0, {
    INSTALL(0, NR, FOR(SYS_getppid, SECCOMP_RET_ERRNO | EXDEV), FOR(SYS_getuid, SECCOMP_RET_ERRNO), FOR(SYS_uname, SECCOMP_RET_ERRNO | 0xffff), FOR(SYS_mkdir, SECCOMP_RET_ERRNO | 4095), RET(SECCOMP_RET_ALLOW));
    for (int i = 0; i < 4; i++) FAILS("getppid", EXDEV, syscall(SYS_getppid));
    EQUALS("errno 0", 0, syscall(SYS_getuid));
    EQUALS("errno 4095", 1, (mkdir("/nowhere/x", 0), errno == 4095));
    struct utsname uts;
    TRUE("a large errno is cut", uname(&uts) == -1 && errno == 4095);
  });
  IN_CHILD("trap", 0, {
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    sigaction(SIGSYS, &action, NULL);
    INSTALL(0, NR, FOR(SYS_getppid, SECCOMP_RET_TRAP | 77), RET(SECCOMP_RET_ALLOW));
    for (int i = 0; i < 4; i++) EQUALS("the handler's answer", 4242, syscall(SYS_getppid));
    EQUALS("handled", 4, caught);
    SAYS("siginfo", "1 77 1 c000003e", "%d %d %d %x", seen_code, seen_errno, seen_number == SYS_getppid, seen_arch);
    TRUE("registers at the call", seen_result_ok);
  });
  IN_CHILD("trap without a handler", 1000 + SIGSYS, { INSTALL(0, NR, FOR(SYS_getppid, SECCOMP_RET_TRAP), RET(SECCOMP_RET_ALLOW)); syscall(SYS_getppid); });
  IN_CHILD("trap that is blocked", 1000 + SIGSYS, { sigset_t s; sigfillset(&s); sigprocmask(SIG_BLOCK, &s, NULL); INSTALL(0, NR, FOR(SYS_getppid, SECCOMP_RET_TRAP), RET(SECCOMP_RET_ALLOW)); syscall(SYS_getppid); });
  IN_CHILD("kill the process", 1000 + SIGSYS, { INSTALL(0, NR, FOR(SYS_getppid, SECCOMP_RET_KILL_PROCESS), RET(SECCOMP_RET_ALLOW)); syscall(SYS_getppid); });
  IN_CHILD("kill the thread that is alone", 1000 + SIGSYS, { INSTALL(0, NR, FOR(SYS_getppid, SECCOMP_RET_KILL_THREAD), RET(SECCOMP_RET_ALLOW)); syscall(SYS_getppid); });
  IN_CHILD("an unknown action kills", 1000 + SIGSYS, { INSTALL(0, NR, FOR(SYS_getppid, 0x12340000), RET(SECCOMP_RET_ALLOW)); syscall(SYS_getppid); });
  IN_CHILD("trace without a tracer", 0, { INSTALL(0, NR, FOR(SYS_getppid, SECCOMP_RET_TRACE | 5), RET(SECCOMP_RET_ALLOW)); FAILS("ENOSYS", ENOSYS, syscall(SYS_getppid)); });
  IN_CHILD("a number nobody has", 0, { INSTALL(0, NR, FOR(9999, SECCOMP_RET_ERRNO | EDOM), RET(SECCOMP_RET_ALLOW)); FAILS("9999", EDOM, syscall(9999)); FAILS("9998", ENOSYS, syscall(9998)); });
  IN_CHILD("strict mode", 7, { EQUALS("prctl", 0, prctl(PR_SET_SECCOMP, 1, 0, 0, 0)); write(1, "strict: writes\n", 15); syscall(SYS_exit, 7); });
  IN_CHILD("strict mode kills", 1000 + SIGKILL, { prctl(PR_SET_SECCOMP, 1, 0, 0, 0); syscall(SYS_getpid); });
  IN_CHILD("even exit_group", 1000 + SIGKILL, { prctl(PR_SET_SECCOMP, 1, 0, 0, 0); syscall(SYS_exit_group, 3); });
}

static void programs(void) {
  IN_CHILD("arguments", 0, {
    INSTALL(0, NR, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_dup, 0, 6), ARG(0), BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 100, 0, 1), RET(SECCOMP_RET_ERRNO | ERANGE),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x10, 0, 1), RET(SECCOMP_RET_ERRNO | EDOM), RET(SECCOMP_RET_ALLOW), RET(SECCOMP_RET_ALLOW));
    FAILS("dup 900", ERANGE, dup(900));
    FAILS("dup 17", EDOM, dup(17));
    WORKS("dup 1", dup(1));
    FAILS("dup 15", EBADF, dup(15));
  });
  IN_CHILD("the upper half of an argument", 0, {
    INSTALL(0, NR, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpgid, 0, 3), BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0]) + 4), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x1234, 0, 1), RET(SECCOMP_RET_ERRNO | EXFULL), RET(SECCOMP_RET_ALLOW));
    FAILS("high", EXFULL, syscall(SYS_getpgid, 0x123400000000));
    WORKS("low", syscall(SYS_getpgid, 0));
  });
  IN_CHILD("arithmetic", 0, {
    /* ((nr * 3 + 5 - 1) ^ 0xff) shifted, kept in memory, and taken from X. */
    INSTALL(0, NR, BPF_STMT(BPF_MISC | BPF_TAX, 0), BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, 3), BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 5), BPF_STMT(BPF_ALU | BPF_SUB | BPF_K, 1),
      BPF_STMT(BPF_ALU | BPF_XOR | BPF_K, 0xff), BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 4), BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 2), BPF_STMT(BPF_ST, 7), BPF_STMT(BPF_LD | BPF_IMM, 1), BPF_STMT(BPF_ALU | BPF_NEG, 0),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0), BPF_STMT(BPF_LD | BPF_MEM, 7), BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 4), BPF_STMT(BPF_ALU | BPF_OR | BPF_K, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (SYS_getppid * 3 + 4) ^ 0xff, 0, 3),
      BPF_STMT(BPF_MISC | BPF_TXA, 0), BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, SECCOMP_RET_ERRNO), BPF_STMT(BPF_RET | BPF_A, 0), RET(SECCOMP_RET_ALLOW));
    EQUALS("the number is the errno", 1, (syscall(SYS_getppid), errno == SYS_getppid));
    WORKS("others go on", syscall(SYS_getuid));
  });
  IN_CHILD("a division by X that is zero", 1000 + SIGSYS, { INSTALL(0, NR, FOR(SYS_getppid, SECCOMP_RET_ALLOW), RET(SECCOMP_RET_ALLOW)); INSTALL(0, NR, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 2), BPF_STMT(BPF_LDX | BPF_IMM, 0), BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0), RET(SECCOMP_RET_ALLOW)); syscall(SYS_getppid); });
  IN_CHILD("the architecture", 0, { INSTALL(0, BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0), RET(SECCOMP_RET_KILL_PROCESS), BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 64, 1, 0), RET(SECCOMP_RET_KILL_PROCESS), RET(SECCOMP_RET_ALLOW)); });
  IN_CHILD("the strictest of a chain", 1000 + SIGSYS, {
    INSTALL(0, NR, FOR(SYS_getppid, SECCOMP_RET_ERRNO | 1), FOR(SYS_getuid, SECCOMP_RET_ERRNO | 5), FOR(SYS_getgid, SECCOMP_RET_KILL_PROCESS), RET(SECCOMP_RET_ALLOW));
    INSTALL(0, NR, FOR(SYS_getppid, SECCOMP_RET_TRACE), FOR(SYS_getuid, SECCOMP_RET_ERRNO | 6), FOR(SYS_getgid, SECCOMP_RET_ALLOW), RET(SECCOMP_RET_LOG));
    FAILS("errno before trace", EPERM, syscall(SYS_getppid));
    FAILS("the newest of equals", ENXIO, syscall(SYS_getuid));
    char text[4096];
    int fd = open("/proc/self/status", O_RDONLY);
    text[read(fd, text, sizeof text - 1)] = 0;
    TRUE("status tells", strstr(text, "Seccomp:\t2\n") && strstr(text, "Seccomp_filters:\t2\n"));
    syscall(SYS_getgid);
  });
  IN_CHILD("too many instructions", 0, {
    static struct sock_filter code[4096];
    for (int i = 0; i < 4095; i++) code[i] = (struct sock_filter)NR;
    code[4095] = (struct sock_filter)RET(SECCOMP_RET_ALLOW);
    struct sock_fprog program = {4096, code};
    int made = 0;
    while (made < 20 && seccomp(SECCOMP_SET_MODE_FILTER, 0, &program) == 0) made++;
    SAYS("filters of 4096", "7 ENOMEM", "%d %s", made, strerrorname_np(errno));
  });
}

static void *call_getppid(void *argument) { long result = syscall(SYS_getppid); *(int *)argument = result < 0 ? errno : 0; return NULL; }
static volatile int go, ready;
static void *wait_and_call(void *argument) { ready = 1; while (!go) usleep(500); return call_getppid(argument); }
static void *install_own(void *argument) { INSTALL(0, RET(SECCOMP_RET_ALLOW)); ready = 1; while (!go) usleep(500); return argument; }
static void *die_here(void *argument) { syscall(SYS_getuid); return argument; }

static void inheritance(void) {
  IN_CHILD("children", 0, {
    INSTALL(0, NR, FOR(SYS_getppid, SECCOMP_RET_ERRNO | EDOM), RET(SECCOMP_RET_ALLOW));
    pid_t child = fork();
    if (child == 0) { long result = syscall(SYS_getppid); _exit(result == -1 && errno == EDOM ? 5 : 6); }
    EQUALS("a child has it", 5, wait_code(child));
    pthread_t thread;
    int error = 0;
    pthread_create(&thread, NULL, call_getppid, &error);
    pthread_join(thread, NULL);
    EQUALS("a thread has it", 1, error == EDOM);
    child = fork();
    if (child == 0) { execl(self[0], self[0], "program", NULL); _exit(1); }
    EQUALS("a new program has it", 8, wait_code(child));
  });
  IN_CHILD("threads", 0, {
    pthread_t thread;
    int error = 0;
    pthread_create(&thread, NULL, wait_and_call, &error);
    while (!ready) usleep(500);
    INSTALL(0, NR, FOR(SYS_getppid, SECCOMP_RET_ERRNO | EDOM), RET(SECCOMP_RET_ALLOW));
    go = 1;
    pthread_join(thread, NULL);
    EQUALS("another thread lacks it", 0, error);
    go = ready = 0;
    pthread_create(&thread, NULL, wait_and_call, &error);
    while (!ready) usleep(500);
    EQUALS("TSYNC", 0, INSTALL(SECCOMP_FILTER_FLAG_TSYNC, NR, FOR(SYS_getppid, SECCOMP_RET_ERRNO | ERANGE), RET(SECCOMP_RET_ALLOW)));
    go = 1;
    pthread_join(thread, NULL);
    EQUALS("gives it to all", 1, error == ERANGE);
    go = ready = 0;
    pthread_create(&thread, NULL, install_own, NULL);
    while (!ready) usleep(500);
    TRUE("TSYNC with one that has its own", INSTALL(SECCOMP_FILTER_FLAG_TSYNC, RET(SECCOMP_RET_ALLOW)) > 0);
    FAILS("as an errno", ESRCH, INSTALL(SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH, RET(SECCOMP_RET_ALLOW)));
    go = 1;
    pthread_join(thread, NULL);
    INSTALL(0, NR, FOR(SYS_getuid, SECCOMP_RET_KILL_THREAD), RET(SECCOMP_RET_ALLOW));
    pthread_create(&thread, NULL, die_here, NULL);
    pthread_join(thread, NULL);
    EQUALS("a killed thread is joined", 0, 0);
  });
}

int main(int argc, char **argv) {
  self = argv;
  if (argc > 1) return syscall(SYS_getppid) == -1 && errno == EDOM ? 8 : 9;
  refusals();
  actions();
  programs();
  inheritance();
  return 0;
}

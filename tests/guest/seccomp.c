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
#define IN_CHILD(name, ...) \
  do {                                   \
    pid_t child_ = fork();               \
    if (child_ == 0) {                   \
      prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); \
      __VA_ARGS__;                       \
      _exit(0);                          \
    }                                    \
    CALL(name, wait_code(child_));       \
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
  CALL("an unknown operation", seccomp(9, 0, NULL));
  CALL("strict with flags", seccomp(SECCOMP_SET_MODE_STRICT, 1, NULL));
  CALL("strict with an argument", seccomp(SECCOMP_SET_MODE_STRICT, 0, &caught));
  CALL("a filter at a bad address", seccomp(SECCOMP_SET_MODE_FILTER, 0, BAD));
  CALL("unknown flags", seccomp(SECCOMP_SET_MODE_FILTER, 0x1000, BAD));
  CALL("prctl with a bad mode", prctl(PR_SET_SECCOMP, 7, 0, 0, 0));
  CALL("prctl reads the mode", prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
  unsigned action = SECCOMP_RET_ERRNO;
  CALL("ERRNO is to be had", seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &action));
  action = 0x12340000;
  CALL("nonsense is not", seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &action));
  CALL("asked with flags", seccomp(SECCOMP_GET_ACTION_AVAIL, 1, &action));
  IN_CHILD("an empty program", CALL("length 0", ({ struct sock_fprog p = {0, NULL}; seccomp(SECCOMP_SET_MODE_FILTER, 0, &p); })));
  IN_CHILD("instructions at a bad address", CALL("EFAULT", ({ struct sock_fprog p = {3, BAD}; seccomp(SECCOMP_SET_MODE_FILTER, 0, &p); })));
  IN_CHILD("a program that does not return", CALL("no RET", INSTALL(0, NR)));
  IN_CHILD("a jump out", CALL("beyond", INSTALL(0, NR, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 5), RET(SECCOMP_RET_ALLOW))));
  IN_CHILD("a jump to nowhere", CALL("JA", INSTALL(0, BPF_STMT(BPF_JMP | BPF_JA, 1), RET(SECCOMP_RET_ALLOW))));
  IN_CHILD("a load out of line", CALL("offset 2", INSTALL(0, BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2), RET(SECCOMP_RET_ALLOW))));
  IN_CHILD("a load beyond the data", CALL("offset 64", INSTALL(0, BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), RET(SECCOMP_RET_ALLOW))));
  IN_CHILD("a load of a byte", CALL("BPF_B", INSTALL(0, BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), RET(SECCOMP_RET_ALLOW))));
  IN_CHILD("an indirect load", CALL("BPF_IND", INSTALL(0, BPF_STMT(BPF_LD | BPF_W | BPF_IND, 0), RET(SECCOMP_RET_ALLOW))));
  IN_CHILD("a division by zero", CALL("DIV 0", INSTALL(0, BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), RET(SECCOMP_RET_ALLOW))));
  IN_CHILD("a shift by 32", CALL("LSH 32", INSTALL(0, BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 32), RET(SECCOMP_RET_ALLOW))));
  IN_CHILD("memory beyond", CALL("M[16]", INSTALL(0, BPF_STMT(BPF_ST, 16), RET(SECCOMP_RET_ALLOW))));
  IN_CHILD("memory read before it is written", CALL("M[3]", INSTALL(0, BPF_STMT(BPF_LD | BPF_MEM, 3), RET(SECCOMP_RET_ALLOW))));
  IN_CHILD("an unknown instruction", CALL("0xffff", INSTALL(0, BPF_STMT(0xffff, 0), RET(SECCOMP_RET_ALLOW))));
  IN_CHILD("the modulo", CALL("MOD", INSTALL(0, BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, 3), RET(SECCOMP_RET_ALLOW))));
  if (geteuid() == 0) {
    pid_t child = fork();
    if (child == 0) {
      setresuid(1000, 1000, 1000);
      CALL("a user without no_new_privs", INSTALL(0, RET(SECCOMP_RET_ALLOW)));
      prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
      CALL("and with it", INSTALL(0, RET(SECCOMP_RET_ALLOW)));
      _exit(0);
    }
    wait_code(child);
  }
}

static void actions(void) {
  IN_CHILD("everything allowed", { CALL("install", INSTALL(0, RET(SECCOMP_RET_ALLOW))); TRUE("calls go on", getpid() > 0); CALL("the mode", prctl(PR_GET_SECCOMP, 0, 0, 0, 0)); CALL("no way back to strict", prctl(PR_SET_SECCOMP, 1, 0, 0, 0)); });
  IN_CHILD("errno", {
    INSTALL(0, NR, FOR(SYS_getppid, SECCOMP_RET_ERRNO | EXDEV), FOR(SYS_getuid, SECCOMP_RET_ERRNO), FOR(SYS_uname, SECCOMP_RET_ERRNO | 0xffff), FOR(SYS_mkdir, SECCOMP_RET_ERRNO | 4095), RET(SECCOMP_RET_ALLOW));
    for (int i = 0; i < 4; i++) CALL("getppid", syscall(SYS_getppid));
    CALL("errno 0", syscall(SYS_getuid));
    CALL("errno 4095", (mkdir("/nowhere/x", 0), errno == 4095));
    struct utsname uts;
    TRUE("a large errno is cut", uname(&uts) == -1 && errno == 4095);
  });
  IN_CHILD("trap", {
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    sigaction(SIGSYS, &action, NULL);
    INSTALL(0, NR, FOR(SYS_getppid, SECCOMP_RET_TRAP | 77), RET(SECCOMP_RET_ALLOW));
    for (int i = 0; i < 4; i++) CALL("the handler's answer", syscall(SYS_getppid));
    CALL("handled", caught);
    say("siginfo", "%d %d %d %x", seen_code, seen_errno, seen_number == SYS_getppid, seen_arch);
    TRUE("registers at the call", seen_result_ok);
  });
  IN_CHILD("trap without a handler", { INSTALL(0, NR, FOR(SYS_getppid, SECCOMP_RET_TRAP), RET(SECCOMP_RET_ALLOW)); syscall(SYS_getppid); });
  IN_CHILD("trap that is blocked", { sigset_t s; sigfillset(&s); sigprocmask(SIG_BLOCK, &s, NULL); INSTALL(0, NR, FOR(SYS_getppid, SECCOMP_RET_TRAP), RET(SECCOMP_RET_ALLOW)); syscall(SYS_getppid); });
  IN_CHILD("kill the process", { INSTALL(0, NR, FOR(SYS_getppid, SECCOMP_RET_KILL_PROCESS), RET(SECCOMP_RET_ALLOW)); syscall(SYS_getppid); });
  IN_CHILD("kill the thread that is alone", { INSTALL(0, NR, FOR(SYS_getppid, SECCOMP_RET_KILL_THREAD), RET(SECCOMP_RET_ALLOW)); syscall(SYS_getppid); });
  IN_CHILD("an unknown action kills", { INSTALL(0, NR, FOR(SYS_getppid, 0x12340000), RET(SECCOMP_RET_ALLOW)); syscall(SYS_getppid); });
  IN_CHILD("trace without a tracer", { INSTALL(0, NR, FOR(SYS_getppid, SECCOMP_RET_TRACE | 5), RET(SECCOMP_RET_ALLOW)); CALL("ENOSYS", syscall(SYS_getppid)); });
  IN_CHILD("a number nobody has", { INSTALL(0, NR, FOR(9999, SECCOMP_RET_ERRNO | EDOM), RET(SECCOMP_RET_ALLOW)); CALL("9999", syscall(9999)); CALL("9998", syscall(9998)); });
  IN_CHILD("strict mode", { CALL("prctl", prctl(PR_SET_SECCOMP, 1, 0, 0, 0)); write(1, "strict: writes\n", 15); syscall(SYS_exit, 7); });
  IN_CHILD("strict mode kills", { prctl(PR_SET_SECCOMP, 1, 0, 0, 0); syscall(SYS_getpid); });
  IN_CHILD("even exit_group", { prctl(PR_SET_SECCOMP, 1, 0, 0, 0); syscall(SYS_exit_group, 3); });
}

static void programs(void) {
  IN_CHILD("arguments", {
    INSTALL(0, NR, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_dup, 0, 6), ARG(0), BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 100, 0, 1), RET(SECCOMP_RET_ERRNO | ERANGE),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x10, 0, 1), RET(SECCOMP_RET_ERRNO | EDOM), RET(SECCOMP_RET_ALLOW), RET(SECCOMP_RET_ALLOW));
    CALL("dup 900", dup(900));
    CALL("dup 17", dup(17));
    WORKS("dup 1", dup(1));
    CALL("dup 15", dup(15));
  });
  IN_CHILD("the upper half of an argument", {
    INSTALL(0, NR, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpgid, 0, 3), BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0]) + 4), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x1234, 0, 1), RET(SECCOMP_RET_ERRNO | EXFULL), RET(SECCOMP_RET_ALLOW));
    CALL("high", syscall(SYS_getpgid, 0x123400000000));
    WORKS("low", syscall(SYS_getpgid, 0));
  });
  IN_CHILD("arithmetic", {
    /* ((nr * 3 + 5 - 1) ^ 0xff) shifted, kept in memory, and taken from X. */
    INSTALL(0, NR, BPF_STMT(BPF_MISC | BPF_TAX, 0), BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, 3), BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 5), BPF_STMT(BPF_ALU | BPF_SUB | BPF_K, 1),
      BPF_STMT(BPF_ALU | BPF_XOR | BPF_K, 0xff), BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 4), BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 2), BPF_STMT(BPF_ST, 7), BPF_STMT(BPF_LD | BPF_IMM, 1), BPF_STMT(BPF_ALU | BPF_NEG, 0),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0), BPF_STMT(BPF_LD | BPF_MEM, 7), BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 4), BPF_STMT(BPF_ALU | BPF_OR | BPF_K, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (SYS_getppid * 3 + 4) ^ 0xff, 0, 3),
      BPF_STMT(BPF_MISC | BPF_TXA, 0), BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, SECCOMP_RET_ERRNO), BPF_STMT(BPF_RET | BPF_A, 0), RET(SECCOMP_RET_ALLOW));
    CALL("the number is the errno", (syscall(SYS_getppid), errno == SYS_getppid));
    WORKS("others go on", syscall(SYS_getuid));
  });
  IN_CHILD("a division by X that is zero", { INSTALL(0, NR, FOR(SYS_getppid, SECCOMP_RET_ALLOW), RET(SECCOMP_RET_ALLOW)); INSTALL(0, NR, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 2), BPF_STMT(BPF_LDX | BPF_IMM, 0), BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0), RET(SECCOMP_RET_ALLOW)); syscall(SYS_getppid); });
  IN_CHILD("the architecture", { INSTALL(0, BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0), RET(SECCOMP_RET_KILL_PROCESS), BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 64, 1, 0), RET(SECCOMP_RET_KILL_PROCESS), RET(SECCOMP_RET_ALLOW)); });
  IN_CHILD("the strictest of a chain", {
    INSTALL(0, NR, FOR(SYS_getppid, SECCOMP_RET_ERRNO | 1), FOR(SYS_getuid, SECCOMP_RET_ERRNO | 5), FOR(SYS_getgid, SECCOMP_RET_KILL_PROCESS), RET(SECCOMP_RET_ALLOW));
    INSTALL(0, NR, FOR(SYS_getppid, SECCOMP_RET_TRACE), FOR(SYS_getuid, SECCOMP_RET_ERRNO | 6), FOR(SYS_getgid, SECCOMP_RET_ALLOW), RET(SECCOMP_RET_LOG));
    CALL("errno before trace", syscall(SYS_getppid));
    CALL("the newest of equals", syscall(SYS_getuid));
    char text[4096];
    int fd = open("/proc/self/status", O_RDONLY);
    text[read(fd, text, sizeof text - 1)] = 0;
    TRUE("status tells", strstr(text, "Seccomp:\t2\n") && strstr(text, "Seccomp_filters:\t2\n"));
    syscall(SYS_getgid);
  });
  IN_CHILD("too many instructions", {
    static struct sock_filter code[4096];
    for (int i = 0; i < 4095; i++) code[i] = (struct sock_filter)NR;
    code[4095] = (struct sock_filter)RET(SECCOMP_RET_ALLOW);
    struct sock_fprog program = {4096, code};
    int made = 0;
    while (made < 20 && seccomp(SECCOMP_SET_MODE_FILTER, 0, &program) == 0) made++;
    say("filters of 4096", "%d %s", made, strerrorname_np(errno));
  });
}

static void *call_getppid(void *argument) { long result = syscall(SYS_getppid); *(int *)argument = result < 0 ? errno : 0; return NULL; }
static volatile int go, ready;
static void *wait_and_call(void *argument) { ready = 1; while (!go) usleep(500); return call_getppid(argument); }
static void *install_own(void *argument) { INSTALL(0, RET(SECCOMP_RET_ALLOW)); ready = 1; while (!go) usleep(500); return argument; }
static void *die_here(void *argument) { syscall(SYS_getuid); return argument; }

static void inheritance(void) {
  IN_CHILD("children", {
    INSTALL(0, NR, FOR(SYS_getppid, SECCOMP_RET_ERRNO | EDOM), RET(SECCOMP_RET_ALLOW));
    pid_t child = fork();
    if (child == 0) { long result = syscall(SYS_getppid); _exit(result == -1 && errno == EDOM ? 5 : 6); }
    CALL("a child has it", wait_code(child));
    pthread_t thread;
    int error = 0;
    pthread_create(&thread, NULL, call_getppid, &error);
    pthread_join(thread, NULL);
    CALL("a thread has it", error == EDOM);
    child = fork();
    if (child == 0) { execl(self[0], self[0], "program", NULL); _exit(1); }
    CALL("a new program has it", wait_code(child));
  });
  IN_CHILD("threads", {
    pthread_t thread;
    int error = 0;
    pthread_create(&thread, NULL, wait_and_call, &error);
    while (!ready) usleep(500);
    INSTALL(0, NR, FOR(SYS_getppid, SECCOMP_RET_ERRNO | EDOM), RET(SECCOMP_RET_ALLOW));
    go = 1;
    pthread_join(thread, NULL);
    CALL("another thread lacks it", error);
    go = ready = 0;
    pthread_create(&thread, NULL, wait_and_call, &error);
    while (!ready) usleep(500);
    CALL("TSYNC", INSTALL(SECCOMP_FILTER_FLAG_TSYNC, NR, FOR(SYS_getppid, SECCOMP_RET_ERRNO | ERANGE), RET(SECCOMP_RET_ALLOW)));
    go = 1;
    pthread_join(thread, NULL);
    CALL("gives it to all", error == ERANGE);
    go = ready = 0;
    pthread_create(&thread, NULL, install_own, NULL);
    while (!ready) usleep(500);
    TRUE("TSYNC with one that has its own", INSTALL(SECCOMP_FILTER_FLAG_TSYNC, RET(SECCOMP_RET_ALLOW)) > 0);
    CALL("as an errno", INSTALL(SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH, RET(SECCOMP_RET_ALLOW)));
    go = 1;
    pthread_join(thread, NULL);
    INSTALL(0, NR, FOR(SYS_getuid, SECCOMP_RET_KILL_THREAD), RET(SECCOMP_RET_ALLOW));
    pthread_create(&thread, NULL, die_here, NULL);
    pthread_join(thread, NULL);
    CALL("a killed thread is joined", 0);
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

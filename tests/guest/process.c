// Processes: fork, clone, exec, exit, wait, ids, sessions, limits, prctl, credentials.
#include "check.h"
#include <linux/sched.h>
#include <linux/capability.h>

static char **self;
static int shared_value;

static int run_self(const char *mode) {
  pid_t pid = fork();
  if (pid == 0) {
    char *argv[] = {self[0], (char *)mode, NULL};
    char *envp[] = {"ONE=1", "TWO=two words", NULL};
    execve(self[0], argv, envp);
    _exit(111);
  }
  return wait_code(pid);
}

static void forks(void) {
  pid_t pid = fork();
  if (pid == 0) _exit(7);
  CALL("fork and wait gives the exit status", wait_code(pid));
  pid = fork();
  if (pid == 0) { kill(getpid(), SIGKILL); for (;;) pause(); }
  CALL("a killed child gives its signal", wait_code(pid));
  pid = fork();
  if (pid == 0) { abort(); }
  CALL("abort gives SIGABRT", wait_code(pid));
  pid = fork();
  if (pid == 0) { *(volatile int *)BAD = 1; _exit(0); }
  CALL("a bad store gives SIGSEGV", wait_code(pid));
  pid = fork();
  if (pid == 0) { __asm__ volatile("xorl %%ecx, %%ecx; movl $1, %%eax; cdq; idivl %%ecx" ::: "eax", "ecx", "edx"); _exit(0); }
  CALL("a division by zero gives SIGFPE", wait_code(pid));
  pid = fork();
  if (pid == 0) { __asm__ volatile("ud2"); _exit(0); }
  CALL("ud2 gives SIGILL", wait_code(pid));
  pid = fork();
  if (pid == 0) { __asm__ volatile("int3"); _exit(0); }
  CALL("int3 gives SIGTRAP", wait_code(pid));
  int value = 1;
  pid = fork();
  if (pid == 0) { value = 2; _exit(value); }
  CALL("a forked child has its own memory", wait_code(pid) * 10 + value);
  pid = vfork();
  if (pid == 0) { shared_value = 5; _exit(3); }
  CALL("vfork shares memory and waits", wait_code(pid) * 10 + shared_value);
  pid = fork();
  if (pid == 0) _exit(getppid() == 0 ? 1 : 0);
  CALL("a child has a parent", wait_code(pid));
  pid_t me = getpid();
  pid = fork();
  if (pid == 0) _exit(getppid() == me && getpid() != me);
  CALL("getppid is the parent", wait_code(pid));
  int n = 0;
  for (int i = 0; i < 20; i++) {
    pid = fork();
    if (pid == 0) _exit(i);
    n += wait_code(pid);
  }
  CALL("twenty children in turn", n);
  pid_t pids[20];
  for (int i = 0; i < 20; i++) if ((pids[i] = fork()) == 0) _exit(i);
  n = 0;
  for (int i = 19; i >= 0; i--) n += wait_code(pids[i]) * (i + 1);
  CALL("twenty children at once", n);
}

static void waits(void) {
  int status;
  CALL("wait without children", wait(&status));
  CALL("waitpid of a stranger", waitpid(1 << 21, &status, 0));
  CALL("waitpid with bad options", waitpid(-1, &status, 0x40000));
  pid_t pid = fork();
  if (pid == 0) { pause(); _exit(0); }
  CALL("WNOHANG with a living child", waitpid(pid, &status, WNOHANG));
  kill(pid, SIGSTOP);
  TRUE("WUNTRACED sees the stop", waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
  kill(pid, SIGCONT);
  TRUE("WCONTINUED sees the continue", waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status));
  kill(pid, SIGTERM);
  siginfo_t info;
  memset(&info, 0, sizeof info);
  CALL("waitid WNOWAIT", waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
  TRUE("waitid fills siginfo", info.si_pid == pid && info.si_code == CLD_KILLED && info.si_status == SIGTERM && info.si_signo == SIGCHLD);
  CALL("the child is still there", wait_code(pid));
  CALL("waitid without options", waitid(P_ALL, 0, &info, 0));
  CALL("waitid of a bad kind", waitid(77, 0, &info, WEXITED));
  pid = fork();
  if (pid == 0) _exit(300);
  CALL("exit status is cut to a byte", wait_code(pid));
  pid = fork();
  if (pid == 0) _exit(1);
  usleep(20000);
  CALL("wait with a bad status pointer", syscall(SYS_wait4, pid, BAD, 0, NULL));
  signal(SIGCHLD, SIG_IGN);
  pid = fork();
  if (pid == 0) _exit(1);
  CALL("with SIGCHLD ignored wait finds no child", waitpid(pid, &status, 0));
  signal(SIGCHLD, SIG_DFL);
  struct rusage usage;
  pid = fork();
  if (pid == 0) { for (volatile int i = 0; i < 30000000; i++); _exit(0); }
  TRUE("wait4 gives the child's usage", wait4(pid, &status, 0, &usage) == pid && usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec > 1000);
  /* An orphan is reparented. */
  int fds[2];
  if (pipe(fds)) return;
  pid = fork();
  if (pid == 0) {
    pid_t middle = getpid();
    if (fork() == 0) {
      while (getppid() == middle) usleep(1000);
      char c = getppid() != middle ? 'y' : 'n';
      if (write(fds[1], &c, 1) != 1) _exit(1);
      _exit(0);
    }
    _exit(0);
  }
  wait_code(pid);
  char c = 0;
  TRUE("an orphan gets another parent", read(fds[0], &c, 1) == 1 && c == 'y');
  close(fds[0]);
  close(fds[1]);
  CALL("PR_SET_CHILD_SUBREAPER", prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
  pid = fork();
  if (pid == 0) { if (fork() == 0) { usleep(10000); _exit(42); } _exit(0); }
  wait_code(pid);
  pid = waitpid(-1, &status, 0);
  TRUE("a subreaper reaps grandchildren", pid > 0 && WEXITSTATUS(status) == 42);
  prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
}

static void execs(void) {
  char *argv[] = {"x", NULL};
  CALL("exec of a missing file", execve("/does/not/exist", argv, environ));
  CALL("exec of a directory", execve("/", argv, environ));
  CALL("exec with a bad path", execve(BAD, argv, environ));
  CALL("exec with a bad argv", execve(self[0], BAD, environ));
  CALL("exec with an empty path", execve("", argv, environ));
  int fd = open("plain", O_CREAT | O_WRONLY, 0644);
  if (write(fd, "hello\n", 6) != 6) return;
  close(fd);
  CALL("exec of a file without x", execve("plain", argv, environ));
  chmod("plain", 0755);
  CALL("exec of text without #!", execve("plain", argv, environ));
  fd = open("script", O_CREAT | O_WRONLY | O_TRUNC, 0755);
  dprintf(fd, "#! %s  script-mode \n", self[0]);
  close(fd);
  pid_t pid = fork();
  if (pid == 0) { char *av[] = {"script", "arg1", NULL}; execv("./script", av); _exit(112); }
  CALL("a script runs its interpreter", wait_code(pid));
  fd = open("loop", O_CREAT | O_WRONLY | O_TRUNC, 0755);
  dprintf(fd, "#!./loop\n");
  close(fd);
  CALL("a script that is its own interpreter", execve("./loop", argv, environ));
  fd = open("short", O_CREAT | O_WRONLY | O_TRUNC, 0755);
  if (write(fd, "\177ELF\2\1\1", 7) != 7) return;
  close(fd);
  CALL("an ELF that is cut short", execve("./short", argv, environ));
  CALL("arguments and environment arrive", run_self("show"));
  CALL("CLOEXEC descriptors close", run_self("cloexec"));
  CALL("handlers are reset, ignored stay", run_self("signals"));
  CALL("execveat by descriptor", ({ pid_t p = fork(); if (p == 0) { int f = open(self[0], O_PATH); char *av[] = {"me", "exit9", NULL}; syscall(SYS_execveat, f, "", av, environ, AT_EMPTY_PATH); _exit(113); } wait_code(p); }));
  char *big = malloc(200 * 1024);
  memset(big, 'x', 200 * 1024 - 1);
  big[200 * 1024 - 1] = 0;
  char *bigargv[] = {"x", big, NULL};
  CALL("an argument over 128 KiB", execve(self[0], bigargv, environ));
  free(big);
  char **many = calloc(40001, sizeof *many);
  for (int i = 0; i < 40000; i++) many[i] = "0123456789012345678901234567890123456789012345678901234567890123456789";
  CALL("arguments over a quarter of the stack", execve(self[0], many, environ));
  free(many);
  unlink("plain"); unlink("script"); unlink("loop"); unlink("short");
  pid = vfork();
  if (pid == 0) { char *av[] = {self[0], "exit9", NULL}; execv(self[0], av); _exit(114); }
  CALL("vfork and exec", wait_code(pid));
}

static void identity(void) {
  TRUE("getpid is gettid in the leader", getpid() == syscall(SYS_gettid));
  TRUE("getpgid(0) is getpgrp", getpgid(0) == getpgrp());
  CALL("getpgid of a stranger", getpgid(1 << 21));
  CALL("setpgid with a negative group", setpgid(0, -1));
  CALL("getsid of a stranger", getsid(1 << 21));
  pid_t pid = fork();
  if (pid == 0) {
    if (setsid() != getpid()) _exit(1);
    if (getsid(0) != getpid() || getpgrp() != getpid()) _exit(2);
    if (setsid() != -1 || errno != EPERM) _exit(3);
    if (setpgid(0, 0) != -1 || errno != EPERM) _exit(4);
    _exit(0);
  }
  CALL("setsid makes a session", wait_code(pid));
  pid = fork();
  if (pid == 0) { _exit(setpgid(0, 0) == 0 && getpgrp() == getpid() ? 0 : 1); }
  CALL("setpgid makes a group", wait_code(pid));
  char name[20] = "";
  prctl(PR_SET_NAME, "a name that is far too long", 0, 0, 0);
  prctl(PR_GET_NAME, name, 0, 0, 0);
  say("PR_SET_NAME cuts to 15", "%s", name);
  CALL("PR_SET_NAME with a bad pointer", prctl(PR_SET_NAME, BAD, 0, 0, 0));
  CALL("an unknown prctl", prctl(99999, 0, 0, 0, 0));
  CALL("PR_GET_DUMPABLE", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
  CALL("PR_SET_PDEATHSIG with nonsense", prctl(PR_SET_PDEATHSIG, 100, 0, 0, 0));
  CALL("PR_SET_PDEATHSIG", prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0));
  int signal_number = 0;
  prctl(PR_GET_PDEATHSIG, &signal_number, 0, 0, 0);
  CALL("PR_GET_PDEATHSIG", signal_number);
  prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
  CALL("PR_GET_NO_NEW_PRIVS bad arguments", prctl(PR_GET_NO_NEW_PRIVS, 1, 0, 0, 0));
  CALL("PR_CAPBSET_READ of nonsense", prctl(PR_CAPBSET_READ, 1000, 0, 0, 0));
  CALL("umask is remembered", (umask(027), umask(022)));
  struct utsname uts;
  CALL("uname", uname(&uts));
  say("uname sysname and machine", "%s %s", uts.sysname, uts.machine);
  CALL("uname with a bad pointer", syscall(SYS_uname, BAD));
  CALL("sethostname over 64", sethostname("x", 65));
  struct rlimit limit;
  CALL("getrlimit NOFILE", getrlimit(RLIMIT_NOFILE, &limit));
  limit.rlim_cur = 50;
  CALL("setrlimit NOFILE", setrlimit(RLIMIT_NOFILE, &limit));
  CALL("a descriptor over the limit", fcntl(0, F_DUPFD, 60));
  CALL("dup2 over the limit", dup2(0, 50));
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  CALL("getrlimit of an unknown resource", getrlimit(99, &limit));
  CALL("getrlimit with a bad pointer", syscall(SYS_getrlimit, RLIMIT_NOFILE, BAD));
  limit.rlim_cur = 10; limit.rlim_max = 5;
  CALL("soft over hard", setrlimit(RLIMIT_CORE, &limit));
  CALL("prlimit of a stranger", prlimit(1 << 21, RLIMIT_CORE, NULL, &limit));
  CALL("getpriority", getpriority(PRIO_PROCESS, 0));
  CALL("setpriority", setpriority(PRIO_PROCESS, 0, 5));
  CALL("getpriority after", getpriority(PRIO_PROCESS, 0));
  CALL("getpriority of a bad kind", getpriority(9, 0));
  CALL("sched_getscheduler", sched_getscheduler(0));
  CALL("sched_get_priority_max FIFO", sched_get_priority_max(SCHED_FIFO));
  CALL("sched_get_priority_min of nonsense", sched_get_priority_min(77));
  CALL("sched_yield", sched_yield());
  cpu_set_t cpus;
  TRUE("sched_getaffinity gives some", sched_getaffinity(0, sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) > 0);
  CALL("sched_getaffinity with too small a set", syscall(SYS_sched_getaffinity, 0, 1, &cpus));
  CPU_ZERO(&cpus);
  CALL("sched_setaffinity to nothing", sched_setaffinity(0, sizeof cpus, &cpus));
  CALL("getrusage of a bad kind", syscall(SYS_getrusage, 55, BAD));
  struct tms times_buffer;
  TRUE("times runs", times(&times_buffer) > 0);
  CALL("personality read", syscall(SYS_personality, 0xffffffff));
  CALL("an unknown call", syscall(460 + 40));
  CALL("a huge call number", syscall(0x7fffffff));
}

static void credentials(void) {
  pid_t pid = fork();
  if (pid == 0) {
    gid_t groups[3] = {10, 20, 30};
    if (setgroups(3, groups)) _exit(1);
    gid_t got[3];
    if (getgroups(3, got) != 3 || got[2] != 30) _exit(2);
    if (getgroups(1, got) != -1 || errno != EINVAL) _exit(3);
    if (setresgid(5, 6, 7)) _exit(4);
    uid_t r, e, s;
    if (getresgid(&r, &e, &s) || r != 5 || e != 6 || s != 7) _exit(5);
    if (setresuid(1000, 1000, 1000)) _exit(6);
    if (getuid() != 1000 || geteuid() != 1000) _exit(7);
    if (setuid(0) != -1 || errno != EPERM) _exit(8);
    if (setgroups(1, groups) != -1 || errno != EPERM) _exit(9);
    if (chown("/", 0, 0) != -1 || errno != EPERM) _exit(10);
    if (kill(1, 0) != -1 || errno != EPERM) _exit(11);
    _exit(0);
  }
  CALL("dropping to a user", wait_code(pid));
  pid = fork();
  if (pid == 0) {
    if (setreuid(1000, 0)) _exit(1);
    if (getuid() != 1000 || geteuid() != 0) _exit(2);
    if (seteuid(1000)) _exit(3);
    if (seteuid(0)) _exit(4);
    if (setuid(1000)) _exit(5);
    if (seteuid(0) != -1) _exit(6);
    _exit(0);
  }
  CALL("saved ids", wait_code(pid));
  struct __user_cap_header_struct header = {0x12345678, 0};
  struct __user_cap_data_struct data[2];
  CALL("capget with a bad version", syscall(SYS_capget, &header, data));
  TRUE("capget tells its version", header.version == _LINUX_CAPABILITY_VERSION_3);
  CALL("capget", syscall(SYS_capget, &header, data));
  pid = fork();
  if (pid == 0) {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) _exit(1);
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) _exit(2);
    if (prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) != -1) _exit(3);
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)) _exit(4);
    if (prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0) != 1) _exit(5);
    _exit(0);
  }
  CALL("no_new_privs and keepcaps", wait_code(pid));
}

static void clones(void) {
  CALL("clone THREAD without SIGHAND", syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0));
  CALL("clone SIGHAND without VM", syscall(SYS_clone, CLONE_SIGHAND, 0, 0, 0, 0));
  CALL("clone NEWNS with FS", syscall(SYS_clone, CLONE_NEWNS | CLONE_FS, 0, 0, 0, 0));
  struct clone_args args;
  memset(&args, 0, sizeof args);
  CALL("clone3 with too small a struct", syscall(SYS_clone3, &args, 8));
  CALL("clone3 with a bad pointer", syscall(SYS_clone3, BAD, sizeof args));
  args.exit_signal = 100;
  CALL("clone3 with a bad signal", syscall(SYS_clone3, &args, sizeof args));
  args.exit_signal = SIGCHLD;
  pid_t tid = 0;
  args.flags = CLONE_PARENT_SETTID;
  args.parent_tid = (uintptr_t)&tid;
  pid_t pid = syscall(SYS_clone3, &args, sizeof args);
  if (pid == 0) _exit(8);
  TRUE("clone3 sets the parent's tid", tid == pid);
  CALL("clone3 child", wait_code(pid));
  int pidfd = -1;
  args.flags = CLONE_PIDFD;
  args.pidfd = (uintptr_t)&pidfd;
  pid = syscall(SYS_clone3, &args, sizeof args);
  if (pid == 0) _exit(4);
  struct pollfd poll_fd = {pidfd, POLLIN, 0};
  CALL("a pidfd becomes readable", poll(&poll_fd, 1, 5000));
  siginfo_t info;
  CALL("waitid by pidfd", waitid(P_PIDFD, pidfd, &info, WEXITED));
  CALL("its status", info.si_status);
  CALL("pidfd_send_signal to the dead", syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0));
  close(pidfd);
  CALL("pidfd_open of a stranger", syscall(SYS_pidfd_open, 1 << 21, 0));
}

int main(int argc, char **argv) {
  self = argv;
  if (argc > 1) {
    if (!strcmp(argv[1], "show")) return !(argc == 2 && !strcmp(getenv("TWO"), "two words") && !strcmp(environ[0], "ONE=1") && environ[2] == NULL);
    if (!strcmp(argv[1], "exit9")) return 9;
    if (!strcmp(argv[1], "cloexec")) return fcntl(40, F_GETFD) != -1 || fcntl(41, F_GETFD) == -1;
    if (!strcmp(argv[1], "signals")) {
      struct sigaction action;
      sigaction(SIGUSR1, NULL, &action);
      int code = action.sa_handler != SIG_DFL;
      sigaction(SIGUSR2, NULL, &action);
      return code | (action.sa_handler != SIG_IGN) << 1;
    }
    if (!strcmp(argv[1], "script-mode")) return strcmp(argv[2], "./script") || strcmp(argv[3], "arg1") || argc != 4;
    if (!strcmp(argv[1], "script-mode ")) return 77;
    return 98;
  }
  forks();
  waits();
  dup3(0, 40, O_CLOEXEC);
  dup2(0, 41);
  signal(SIGUSR1, abort);
  signal(SIGUSR2, SIG_IGN);
  execs();
  identity();
  credentials();
  clones();
  return 0;
}

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
  EQUALS("fork and wait gives the exit status", 7, wait_code(pid));
  pid = fork();
  if (pid == 0) { kill(getpid(), SIGKILL); for (;;) pause(); }
  EQUALS("a killed child gives its signal", 1000 + SIGKILL, wait_code(pid));
  pid = fork();
  if (pid == 0) { abort(); }
  EQUALS("abort gives SIGABRT", 1000 + SIGABRT, wait_code(pid));
  pid = fork();
  if (pid == 0) { *(volatile int *)BAD = 1; _exit(0); }
  EQUALS("a bad store gives SIGSEGV", 1000 + SIGSEGV, wait_code(pid));
  pid = fork();
  if (pid == 0) { __asm__ volatile("xorl %%ecx, %%ecx; movl $1, %%eax; cdq; idivl %%ecx" ::: "eax", "ecx", "edx"); _exit(0); }
  EQUALS("a division by zero gives SIGFPE", 1000 + SIGFPE, wait_code(pid));
  pid = fork();
  if (pid == 0) { __asm__ volatile("ud2"); _exit(0); }
  EQUALS("ud2 gives SIGILL", 1000 + SIGILL, wait_code(pid));
  pid = fork();
  if (pid == 0) { __asm__ volatile("int3"); _exit(0); }
  EQUALS("int3 gives SIGTRAP", 1000 + SIGTRAP, wait_code(pid));
  int value = 1;
  pid = fork();
  if (pid == 0) { value = 2; _exit(value); }
  EQUALS("a forked child has its own memory", 21, wait_code(pid) * 10 + value);
  pid = vfork();
  if (pid == 0) { shared_value = 5; _exit(3); }
  EQUALS("vfork shares memory and waits", 35, wait_code(pid) * 10 + shared_value);
  pid = fork();
  if (pid == 0) _exit(getppid() == 0 ? 1 : 0);
  EQUALS("a child has a parent", 0, wait_code(pid));
  pid_t me = getpid();
  pid = fork();
  if (pid == 0) _exit(getppid() == me && getpid() != me);
  EQUALS("getppid is the parent", 1, wait_code(pid));
  int n = 0;
  for (int i = 0; i < 20; i++) {
    pid = fork();
    if (pid == 0) _exit(i);
    n += wait_code(pid);
  }
  EQUALS("twenty children in turn", 190, n);
  pid_t pids[20];
  for (int i = 0; i < 20; i++) if ((pids[i] = fork()) == 0) _exit(i);
  n = 0;
  for (int i = 19; i >= 0; i--) n += wait_code(pids[i]) * (i + 1);
  EQUALS("twenty children at once", 2660, n);
}

static void waits(void) {
  int status;
  FAILS("wait without children", ECHILD, wait(&status));
  FAILS("waitpid of a stranger", ECHILD, waitpid(1 << 21, &status, 0));
  FAILS("waitpid with bad options", EINVAL, waitpid(-1, &status, 0x40000));
  pid_t pid = fork();
  if (pid == 0) { pause(); _exit(0); }
  EQUALS("WNOHANG with a living child", 0, waitpid(pid, &status, WNOHANG));
  kill(pid, SIGSTOP);
  TRUE("WUNTRACED sees the stop", waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
  kill(pid, SIGCONT);
  TRUE("WCONTINUED sees the continue", waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status));
  kill(pid, SIGTERM);
  siginfo_t info;
  memset(&info, 0, sizeof info);
  EQUALS("waitid WNOWAIT", 0, waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
  TRUE("waitid fills siginfo", info.si_pid == pid && info.si_code == CLD_KILLED && info.si_status == SIGTERM && info.si_signo == SIGCHLD);
  EQUALS("the child is still there", 1000 + SIGTERM, wait_code(pid));
  FAILS("waitid without options", EINVAL, waitid(P_ALL, 0, &info, 0));
  FAILS("waitid of a bad kind", EINVAL, waitid(77, 0, &info, WEXITED));
  pid = fork();
  if (pid == 0) _exit(300);
  EQUALS("exit status is cut to a byte", 44, wait_code(pid));
  pid = fork();
  if (pid == 0) _exit(1);
  await_state(pid, 'Z');
  FAILS("wait with a bad status pointer", EFAULT, syscall(SYS_wait4, pid, BAD, 0, NULL));
  signal(SIGCHLD, SIG_IGN);
  pid = fork();
  if (pid == 0) _exit(1);
  FAILS("with SIGCHLD ignored wait finds no child", ECHILD, waitpid(pid, &status, 0));
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
  EQUALS("PR_SET_CHILD_SUBREAPER", 0, prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
  pid = fork();
  if (pid == 0) { if (fork() == 0) { usleep(10000); _exit(42); } _exit(0); }
  wait_code(pid);
  pid = waitpid(-1, &status, 0);
  TRUE("a subreaper reaps grandchildren", pid > 0 && WEXITSTATUS(status) == 42);
  prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
}

static void execs(void) {
  char *argv[] = {"x", NULL};
  FAILS("exec of a missing file", ENOENT, execve("/does/not/exist", argv, environ));
  FAILS("exec of a directory", EACCES, execve("/", argv, environ));
  FAILS("exec with a bad path", EFAULT, execve(BAD, argv, environ));
  FAILS("exec with a bad argv", EFAULT, execve(self[0], BAD, environ));
  FAILS("exec with an empty path", ENOENT, execve("", argv, environ));
  int fd = open("plain", O_CREAT | O_WRONLY, 0644);
  if (write(fd, "hello\n", 6) != 6) return;
  close(fd);
  FAILS("exec of a file without x", EACCES, execve("plain", argv, environ));
  chmod("plain", 0755);
  FAILS("exec of text without #!", ENOEXEC, execve("plain", argv, environ));
  fd = open("script", O_CREAT | O_WRONLY | O_TRUNC, 0755);
  dprintf(fd, "#! %s  script-mode \n", self[0]);
  close(fd);
  pid_t pid = fork();
  if (pid == 0) { char *av[] = {"script", "arg1", NULL}; execv("./script", av); _exit(112); }
  EQUALS("a script runs its interpreter", 0, wait_code(pid));
  fd = open("loop", O_CREAT | O_WRONLY | O_TRUNC, 0755);
  dprintf(fd, "#!./loop\n");
  close(fd);
  FAILS("a script that is its own interpreter", ELOOP, execve("./loop", argv, environ));
  fd = open("short", O_CREAT | O_WRONLY | O_TRUNC, 0755);
  if (write(fd, "\177ELF\2\1\1", 7) != 7) return;
  close(fd);
  FAILS("an ELF that is cut short", ENOEXEC, execve("./short", argv, environ));
  EQUALS("arguments and environment arrive", 0, run_self("show"));
  EQUALS("CLOEXEC descriptors close", 0, run_self("cloexec"));
  EQUALS("handlers are reset, ignored stay", 0, run_self("signals"));
  EQUALS("execveat by descriptor", 9, ({ pid_t p = fork(); if (p == 0) { int f = open(self[0], O_PATH); char *av[] = {"me", "exit9", NULL}; syscall(SYS_execveat, f, "", av, environ, AT_EMPTY_PATH); _exit(113); } wait_code(p); }));
  char *big = malloc(200 * 1024);
  memset(big, 'x', 200 * 1024 - 1);
  big[200 * 1024 - 1] = 0;
  char *bigargv[] = {"x", big, NULL};
  FAILS("an argument over 128 KiB", E2BIG, execve(self[0], bigargv, environ));
  free(big);
  char **many = calloc(40001, sizeof *many);
  for (int i = 0; i < 40000; i++) many[i] = "0123456789012345678901234567890123456789012345678901234567890123456789";
  FAILS("arguments over a quarter of the stack", E2BIG, execve(self[0], many, environ));
  free(many);
  unlink("plain"); unlink("script"); unlink("loop"); unlink("short");
  pid = vfork();
  if (pid == 0) { char *av[] = {self[0], "exit9", NULL}; execv(self[0], av); _exit(114); }
  EQUALS("vfork and exec", 9, wait_code(pid));
}

static void identity(void) {
  TRUE("getpid is gettid in the leader", getpid() == syscall(SYS_gettid));
  TRUE("getpgid(0) is getpgrp", getpgid(0) == getpgrp());
  FAILS("getpgid of a stranger", ESRCH, getpgid(1 << 21));
  FAILS("setpgid with a negative group", EINVAL, setpgid(0, -1));
  FAILS("getsid of a stranger", ESRCH, getsid(1 << 21));
  pid_t pid = fork();
  if (pid == 0) {
    if (setsid() != getpid()) _exit(1);
    if (getsid(0) != getpid() || getpgrp() != getpid()) _exit(2);
    if (setsid() != -1 || errno != EPERM) _exit(3);
    if (setpgid(0, 0) != -1 || errno != EPERM) _exit(4);
    _exit(0);
  }
  EQUALS("setsid makes a session", 0, wait_code(pid));
  pid = fork();
  if (pid == 0) { _exit(setpgid(0, 0) == 0 && getpgrp() == getpid() ? 0 : 1); }
  EQUALS("setpgid makes a group", 0, wait_code(pid));
  char name[20] = "";
  prctl(PR_SET_NAME, "a name that is far too long", 0, 0, 0);
  prctl(PR_GET_NAME, name, 0, 0, 0);
  SAYS("PR_SET_NAME cuts to 15", "a name that is ", "%s", name);
  FAILS("PR_SET_NAME with a bad pointer", EFAULT, prctl(PR_SET_NAME, BAD, 0, 0, 0));
  FAILS("an unknown prctl", EINVAL, prctl(99999, 0, 0, 0, 0));
  EQUALS("PR_GET_DUMPABLE", 1, prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
  FAILS("PR_SET_PDEATHSIG with nonsense", EINVAL, prctl(PR_SET_PDEATHSIG, 100, 0, 0, 0));
  EQUALS("PR_SET_PDEATHSIG", 0, prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0));
  int signal_number = 0;
  prctl(PR_GET_PDEATHSIG, &signal_number, 0, 0, 0);
  EQUALS("PR_GET_PDEATHSIG", SIGTERM, signal_number);
  prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
  FAILS("PR_GET_NO_NEW_PRIVS bad arguments", EINVAL, prctl(PR_GET_NO_NEW_PRIVS, 1, 0, 0, 0));
  FAILS("PR_CAPBSET_READ of nonsense", EINVAL, prctl(PR_CAPBSET_READ, 1000, 0, 0, 0));
  EQUALS("umask is remembered", 027, (umask(027), umask(022)));
  struct utsname uts;
  EQUALS("uname", 0, uname(&uts));
  SAYS("uname sysname and machine", "Linux x86_64", "%s %s", uts.sysname, uts.machine);
  FAILS("uname with a bad pointer", EFAULT, syscall(SYS_uname, BAD));
  FAILS("sethostname over 64", EINVAL, sethostname("x", 65));
  struct rlimit limit;
  EQUALS("getrlimit NOFILE", 0, getrlimit(RLIMIT_NOFILE, &limit));
  limit.rlim_cur = 50;
  EQUALS("setrlimit NOFILE", 0, setrlimit(RLIMIT_NOFILE, &limit));
  FAILS("a descriptor over the limit", EINVAL, fcntl(0, F_DUPFD, 60));
  FAILS("dup2 over the limit", EBADF, dup2(0, 50));
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  FAILS("getrlimit of an unknown resource", EINVAL, getrlimit(99, &limit));
  FAILS("getrlimit with a bad pointer", EFAULT, syscall(SYS_getrlimit, RLIMIT_NOFILE, BAD));
  limit.rlim_cur = 10; limit.rlim_max = 5;
  FAILS("soft over hard", EINVAL, setrlimit(RLIMIT_CORE, &limit));
  FAILS("prlimit of a stranger", ESRCH, prlimit(1 << 21, RLIMIT_CORE, NULL, &limit));
  EQUALS("getpriority", 0, getpriority(PRIO_PROCESS, 0));
  EQUALS("setpriority", 0, setpriority(PRIO_PROCESS, 0, 5));
  EQUALS("getpriority after", 5, getpriority(PRIO_PROCESS, 0));
  FAILS("getpriority of a bad kind", EINVAL, getpriority(9, 0));
  EQUALS("sched_getscheduler", SCHED_OTHER, sched_getscheduler(0));
  EQUALS("sched_get_priority_max FIFO", 99, sched_get_priority_max(SCHED_FIFO));
  FAILS("sched_get_priority_min of nonsense", EINVAL, sched_get_priority_min(77));
  EQUALS("sched_yield", 0, sched_yield());
  cpu_set_t cpus;
  TRUE("sched_getaffinity gives some", sched_getaffinity(0, sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) > 0);
  FAILS("sched_getaffinity with too small a set", EINVAL, syscall(SYS_sched_getaffinity, 0, 1, &cpus));
  CPU_ZERO(&cpus);
  FAILS("sched_setaffinity to nothing", EINVAL, sched_setaffinity(0, sizeof cpus, &cpus));
  FAILS("getrusage of a bad kind", EINVAL, syscall(SYS_getrusage, 55, BAD));
  struct tms times_buffer;
  TRUE("times runs", times(&times_buffer) > 0);
  EQUALS("personality read", 0, syscall(SYS_personality, 0xffffffff));
  FAILS("an unknown call", ENOSYS, syscall(460 + 40));
  FAILS("a huge call number", ENOSYS, syscall(0x7fffffff));
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
  EQUALS("dropping to a user", 0, wait_code(pid));
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
  EQUALS("saved ids", 0, wait_code(pid));
  struct __user_cap_header_struct header = {0x12345678, 0};
  struct __user_cap_data_struct data[2];
  FAILS("capget with a bad version", EINVAL, syscall(SYS_capget, &header, data));
  TRUE("capget tells its version", header.version == _LINUX_CAPABILITY_VERSION_3);
  EQUALS("capget", 0, syscall(SYS_capget, &header, data));
  pid = fork();
  if (pid == 0) {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) _exit(1);
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) _exit(2);
    if (prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) != -1) _exit(3);
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)) _exit(4);
    if (prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0) != 1) _exit(5);
    _exit(0);
  }
  EQUALS("no_new_privs and keepcaps", 0, wait_code(pid));
}

static void clones(void) {
  FAILS("clone THREAD without SIGHAND", EINVAL, syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0));
  FAILS("clone SIGHAND without VM", EINVAL, syscall(SYS_clone, CLONE_SIGHAND, 0, 0, 0, 0));
  FAILS("clone NEWNS with FS", EINVAL, syscall(SYS_clone, CLONE_NEWNS | CLONE_FS, 0, 0, 0, 0));
  struct clone_args args;
  memset(&args, 0, sizeof args);
  FAILS("clone3 with too small a struct", EINVAL, syscall(SYS_clone3, &args, 8));
  FAILS("clone3 with a bad pointer", EFAULT, syscall(SYS_clone3, BAD, sizeof args));
  args.exit_signal = 100;
  FAILS("clone3 with a bad signal", EINVAL, syscall(SYS_clone3, &args, sizeof args));
  args.exit_signal = SIGCHLD;
  pid_t tid = 0;
  args.flags = CLONE_PARENT_SETTID;
  args.parent_tid = (uintptr_t)&tid;
  pid_t pid = syscall(SYS_clone3, &args, sizeof args);
  if (pid == 0) _exit(8);
  TRUE("clone3 sets the parent's tid", tid == pid);
  EQUALS("clone3 child", 8, wait_code(pid));
  int pidfd = -1;
  args.flags = CLONE_PIDFD;
  args.pidfd = (uintptr_t)&pidfd;
  pid = syscall(SYS_clone3, &args, sizeof args);
  if (pid == 0) _exit(4);
  struct pollfd poll_fd = {pidfd, POLLIN, 0};
  EQUALS("a pidfd becomes readable", 1, poll(&poll_fd, 1, 5000));
  siginfo_t info;
  EQUALS("waitid by pidfd", 0, waitid(P_PIDFD, pidfd, &info, WEXITED));
  EQUALS("its status", 4, info.si_status);
  FAILS("pidfd_send_signal to the dead", ESRCH, syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0));
  close(pidfd);
  FAILS("pidfd_open of a stranger", ESRCH, syscall(SYS_pidfd_open, 1 << 21, 0));
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

// Processes under control: clone3 and its flags, pidfds, every way to wait, process groups, sessions, orphans, stops and
// continues, vfork, exec of threads, many processes at once, limits on them, ptrace-free signals between users.
#include "check.h"
#include <linux/sched.h>
#include <linux/wait.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static pid_t clone3(struct clone_args *args, size_t size) { return syscall(SYS_clone3, args, size); }
static int pidfd_open(pid_t pid, unsigned flags) { return syscall(SYS_pidfd_open, pid, flags); }
static int pidfd_send(int fd, int number, siginfo_t *info, unsigned flags) { return syscall(SYS_pidfd_send_signal, fd, number, info, flags); }
static int raw_waitid(int kind, pid_t id, siginfo_t *info, int options, struct rusage *usage) { return syscall(SYS_waitid, kind, id, info, options, usage); }

static volatile int caught, last_code, last_status, last_pid;
static void note(int number, siginfo_t *info, void *context) {
  caught++;
  last_code = info->si_code;
  last_status = info->si_status;
  last_pid = info->si_pid;
  (void)number; (void)context;
}
static void install(int number, int flags) {
  struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | flags};
  sigaction(number, &action, NULL);
}
static pid_t sleeper(void) {
  pid_t pid = fork();
  if (pid == 0) for (;;) pause();
  return pid;
}
static void end(pid_t pid) { kill(pid, SIGKILL); waitpid(pid, NULL, 0); }

/* --- clone3 ---------------------------------------------------------------------------------------------------------- */

static void clones(void) {
  struct { struct clone_args args; char more[64]; } big;
  memset(&big, 0, sizeof big);
  struct clone_args *args = &big.args;
  args->exit_signal = SIGCHLD;
  CALL("a struct with more zeros", ({ pid_t p = clone3(args, sizeof big); if (p == 0) _exit(3); p > 0 ? wait_code(p) : -1; }));
  big.more[10] = 1;
  CALL("a struct with more that is not zero", clone3(args, sizeof big));
  CALL("a struct beyond a page", clone3(args, 5000));
  CALL("the first version", ({ pid_t p = clone3(args, 64); if (p == 0) _exit(4); p > 0 ? wait_code(p) : -1; }));
  args->flags = 1ull << 40;
  CALL("unknown flags", clone3(args, sizeof *args));
  args->flags = CLONE_DETACHED;
  CALL("CLONE_DETACHED", clone3(args, sizeof *args));
  args->flags = SIGCHLD;
  CALL("a signal in the flags", clone3(args, sizeof *args));
  args->flags = CLONE_PARENT;
  CALL("CLONE_PARENT with a signal", clone3(args, sizeof *args));
  args->flags = 0;
  args->stack_size = 4096;
  CALL("a stack size without stack", clone3(args, sizeof *args));
  args->stack = (uintptr_t)args;
  args->stack_size = 0;
  CALL("a stack without size", clone3(args, sizeof *args));
  args->stack = 0;
  args->flags = CLONE_SIGHAND | CLONE_CLEAR_SIGHAND | CLONE_VM;
  CALL("shared and cleared handlers", clone3(args, sizeof *args));
  args->flags = CLONE_PIDFD;
  args->pidfd = 8;
  CALL("a pidfd at a bad address", clone3(args, sizeof *args));
  args->flags = CLONE_PIDFD | CLONE_DETACHED;
  CALL("CLONE_PIDFD detached", clone3(args, sizeof *args));
  args->pidfd = 0;
  pid_t tids[2] = {77, 88};
  args->set_tid = (uintptr_t)tids;
  args->set_tid_size = 0;
  args->flags = 0;
  CALL("set_tid without a size", clone3(args, sizeof *args));
  args->set_tid = 0;
  args->set_tid_size = 1;
  CALL("a size without set_tid", clone3(args, sizeof *args));
  args->set_tid = (uintptr_t)tids;
  args->set_tid_size = 40;
  CALL("too many levels", clone3(args, sizeof *args));
  tids[0] = getpid();
  args->set_tid_size = 1;
  CALL("a number that is taken", clone3(args, sizeof *args));
  tids[0] = 0;
  CALL("number 0", clone3(args, sizeof *args));
  args->set_tid = args->set_tid_size = 0;
  signal(SIGUSR1, note == NULL ? SIG_DFL : (void (*)(int))note);
  signal(SIGUSR2, SIG_IGN);
  args->flags = CLONE_CLEAR_SIGHAND;
  pid_t pid = clone3(args, sizeof *args);
  if (pid == 0) {
    struct sigaction one, two;
    sigaction(SIGUSR1, NULL, &one);
    sigaction(SIGUSR2, NULL, &two);
    _exit((one.sa_handler == SIG_DFL) + 2 * (two.sa_handler == SIG_IGN));
  }
  CALL("CLONE_CLEAR_SIGHAND", wait_code(pid));
  signal(SIGUSR1, SIG_DFL);
  signal(SIGUSR2, SIG_DFL);
  args->flags = CLONE_FILES;
  pid = clone3(args, sizeof *args);
  if (pid == 0) { dup2(1, 50); _exit(0); }
  wait_code(pid);
  WORKS("CLONE_FILES shares descriptors", fcntl(50, F_GETFD));
  close(50);
  args->flags = CLONE_FS;
  char before[4096], after[4096];
  getcwd(before, sizeof before);
  pid = clone3(args, sizeof *args);
  if (pid == 0) { chdir("/"); umask(07); _exit(0); }
  wait_code(pid);
  TRUE("CLONE_FS shares the directory", !strcmp(getcwd(after, sizeof after), "/"));
  say("and the umask", "%o", umask(022));
  chdir(before);
  args->flags = 0;
  args->exit_signal = SIGUSR1;
  install(SIGUSR1, 0);
  caught = 0;
  pid = clone3(args, sizeof *args);
  if (pid == 0) _exit(9);
  while (!caught) usleep(1000);
  say("another exit signal", "%d %d %d", last_code, last_status, last_pid == pid);
  CALL("wait does not see it", waitpid(pid, NULL, WNOHANG));
  CALL("but with __WCLONE", waitpid(pid, NULL, __WCLONE) == pid);
  args->exit_signal = 0;
  pid = clone3(args, sizeof *args);
  if (pid == 0) _exit(9);
  CALL("no exit signal, __WALL", waitpid(pid, NULL, __WALL) == pid);
  args->exit_signal = SIGCHLD;
  args->flags = CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | CLONE_PARENT_SETTID;
  static pid_t parent_tid, child_tid;
  args->parent_tid = (uintptr_t)&parent_tid;
  args->child_tid = (uintptr_t)&child_tid;
  pid = clone3(args, sizeof *args);
  if (pid == 0) _exit(child_tid == getpid() ? 0 : 1);
  CALL("CHILD_SETTID", wait_code(pid));
  TRUE("the parent's copy is its own", child_tid == 0 && parent_tid == pid);
  pid_t grand = 0;
  args->flags = CLONE_PARENT;
  args->exit_signal = 0;
  int p[2];
  pipe(p);
  pid = fork();
  if (pid == 0) {
    pid_t sibling = clone3(args, sizeof *args);
    if (sibling == 0) _exit(getppid() == 0 ? 1 : 17);
    write(p[1], &sibling, sizeof sibling);
    _exit(0);
  }
  read(p[0], &grand, sizeof grand);
  wait_code(pid);
  CALL("CLONE_PARENT makes a sibling", wait_code(grand));
  close(p[0]);
  close(p[1]);
}

/* --- pidfds ---------------------------------------------------------------------------------------------------------- */

static void pidfds(void) {
  pid_t pid = sleeper();
  CALL("pidfd_open with bad flags", pidfd_open(pid, 1));
  CALL("pidfd_open of 0", pidfd_open(0, 0));
  CALL("pidfd_open of -1", pidfd_open(-1, 0));
  int fd = pidfd_open(pid, O_NONBLOCK);
  CALL("it closes on exec", fcntl(fd, F_GETFD));
  say("it does not block", "%d", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
  siginfo_t info;
  memset(&info, 0, sizeof info);
  CALL("waitid on it", raw_waitid(P_PIDFD, fd, &info, WEXITED, NULL));
  struct pollfd one = {fd, POLLIN, 0};
  CALL("it is not ready", poll(&one, 1, 0));
  CALL("signal 0", pidfd_send(fd, 0, NULL, 0));
  CALL("a bad signal", pidfd_send(fd, 99, NULL, 0));
  CALL("bad flags", pidfd_send(fd, 0, NULL, 0x100));
  CALL("by no pidfd", pidfd_send(0, 0, NULL, 0));
  CALL("a siginfo at a bad address", pidfd_send(fd, SIGUSR1, BAD, 0));
  info.si_signo = SIGUSR2;
  info.si_code = SI_QUEUE;
  CALL("a siginfo of another signal", pidfd_send(fd, SIGUSR1, &info, 0));
  info.si_signo = SIGTERM;
  info.si_code = SI_USER;
  CALL("a siginfo that pretends", pidfd_send(fd, SIGTERM, &info, 0));
  CALL("pidfd_getfd with bad flags", syscall(SYS_pidfd_getfd, fd, 0, 1));
  CALL("pidfd_getfd of what is closed", syscall(SYS_pidfd_getfd, fd, 900, 0));
  int directory = open("/proc/self", O_RDONLY | O_DIRECTORY), path = open("/proc/self", O_PATH);
  int thread = open("/proc/thread-self", O_RDONLY | O_DIRECTORY);
  CALL("signal 0 by a directory of /proc", pidfd_send(directory, 0, NULL, 0));
  CALL("by one with O_PATH", pidfd_send(path, 0, NULL, 0));
  CALL("by that of a thread", pidfd_send(thread, 0, NULL, 0));
  CALL("which is no pidfd otherwise", raw_waitid(P_PIDFD, directory, &info, WEXITED, NULL));
  close(directory), close(path), close(thread);
  CALL("SIGKILL by pidfd", pidfd_send(fd, SIGKILL, NULL, 0));
  CALL("then it is ready", poll(&one, 1, 5000));
  say("with", "%x", one.revents);
  CALL("WNOWAIT", raw_waitid(P_PIDFD, fd, &info, WEXITED | WNOWAIT, NULL));
  say("tells", "%d %d %d %d", info.si_signo, info.si_code, info.si_status, info.si_pid == pid);
  struct rusage usage;
  memset(&usage, 0xff, sizeof usage);
  CALL("waitid with usage", raw_waitid(P_PIDFD, fd, &info, WEXITED, &usage));
  TRUE("the usage is filled", usage.ru_utime.tv_sec >= 0 && usage.ru_utime.tv_sec < 10);
  CALL("a signal to nobody", pidfd_send(fd, SIGTERM, NULL, 0));
  CALL("waitid of nobody", raw_waitid(P_PIDFD, fd, &info, WEXITED, NULL));
  CALL("pidfd_getfd of nobody", syscall(SYS_pidfd_getfd, fd, 0, 0));
  close(fd);
  CALL("pidfd_open of who is reaped", pidfd_open(pid, 0));
  CALL("waitid of a file that is no pidfd", raw_waitid(P_PIDFD, 0, &info, WEXITED, NULL));
  CALL("waitid of a closed descriptor", raw_waitid(P_PIDFD, 900, &info, WEXITED, NULL));
  int p[2];
  pipe(p);
  pid = fork();
  if (pid == 0) { dup2(p[0], 70); close(p[1]); for (;;) pause(); }
  usleep(5000);
  fd = pidfd_open(pid, 0);
  int taken = -1;
  for (int i = 0; i < 500 && taken < 0; i++) { taken = syscall(SYS_pidfd_getfd, fd, 70, 0); usleep(1000); }
  write(p[1], "through", 7);
  char text[8] = "";
  TRUE("pidfd_getfd takes a pipe", taken >= 0 && read(taken, text, 7) == 7 && !strcmp(text, "through"));
  CALL("which closes on exec", fcntl(taken, F_GETFD));
  end(pid);
  int epoll = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN};
  pid = sleeper();
  fd = pidfd_open(pid, 0);
  CALL("a pidfd in epoll", epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
  CALL("is quiet", epoll_wait(epoll, &event, 1, 0));
  kill(pid, SIGKILL);
  CALL("until the end", epoll_wait(epoll, &event, 1, 5000));
  waitpid(pid, NULL, 0);
  close(epoll);
  close(fd);
  close(taken);
  close(p[0]);
  close(p[1]);
}

/* --- waiting --------------------------------------------------------------------------------------------------------- */

static void show_info(const char *name, siginfo_t *info, pid_t pid) {
  say(name, "%d %d %d %s", info->si_signo, info->si_code, info->si_status, info->si_pid == pid ? "it" : info->si_pid == 0 ? "none" : "another");
}

static void waiting(void) {
  siginfo_t info;
  int status;
  /* In a group of its own: an orphaned group, which this one may be, does not stop by SIGTSTP. */
  pid_t pid = sleeper();
  setpgid(pid, pid);
  memset(&info, 0x55, sizeof info);
  CALL("WNOHANG with nothing", raw_waitid(P_PID, pid, &info, WEXITED | WNOHANG, NULL));
  say("leaves zeros", "%d %d", info.si_pid, info.si_signo);
  CALL("P_PID of 0", raw_waitid(P_PID, 0, &info, WEXITED, NULL));
  CALL("P_PID of -1", raw_waitid(P_PID, -1, &info, WEXITED, NULL));
  CALL("P_PGID of -1", raw_waitid(P_PGID, -1, &info, WEXITED, NULL));
  CALL("P_PGID of 0", raw_waitid(P_PGID, 0, &info, WEXITED | WNOHANG, NULL));
  CALL("bad options", raw_waitid(P_ALL, 0, &info, WEXITED | 0x100, NULL));
  CALL("WNOWAIT alone", raw_waitid(P_ALL, 0, &info, WNOWAIT, NULL));
  CALL("waitpid with WEXITED", waitpid(pid, &status, WEXITED));
  CALL("waitpid of INT_MIN", waitpid(-2147483647 - 1, &status, 0));
  kill(pid, SIGSTOP);
  CALL("WSTOPPED", raw_waitid(P_PID, pid, &info, WSTOPPED | WNOWAIT, NULL));
  show_info("tells", &info, pid);
  CALL("again after WNOWAIT", raw_waitid(P_PID, pid, &info, WSTOPPED, NULL));
  CALL("a stop is told once", raw_waitid(P_PID, pid, &info, WSTOPPED | WNOHANG, NULL));
  say("so", "%d", info.si_pid);
  kill(pid, SIGCONT);
  CALL("WCONTINUED", raw_waitid(P_PID, pid, &info, WCONTINUED, NULL));
  show_info("tells", &info, pid);
  kill(pid, SIGTSTP);
  CALL("WUNTRACED of SIGTSTP", (waitpid(pid, &status, WUNTRACED), status));
  kill(pid, SIGCONT);
  CALL("WCONTINUED's status", (waitpid(pid, &status, WCONTINUED), status));
  kill(pid, SIGQUIT);
  CALL("a status of SIGQUIT", (waitpid(pid, &status, 0), status & 0x7f));
  CALL("waitid without a place for the answer", ({ pid_t p = fork(); if (p == 0) _exit(0); raw_waitid(P_PID, p, NULL, WEXITED, NULL); }));
  pid = fork();
  if (pid == 0) _exit(0);
  usleep(20000);
  CALL("a bad place", raw_waitid(P_PID, pid, BAD, WEXITED, NULL));
  CALL("and the child is reaped", waitpid(pid, &status, 0));
  /* Groups. */
  pid_t first = fork();
  if (first == 0) { setpgid(0, 0); for (;;) pause(); }
  setpgid(first, first);
  pid_t second = fork();
  if (second == 0) { setpgid(0, first); for (;;) pause(); }
  setpgid(second, first);
  CALL("kill of a group", kill(-first, SIGTERM));
  int sum = 0;
  for (int i = 0; i < 2; i++) sum += waitpid(-first, &status, 0) == first ? 1 : 10;
  CALL("waitpid of a group", sum);
  CALL("a group without members", kill(-first, 0));
  CALL("waitpid of it", waitpid(-first, &status, 0));
  /* SIGCHLD. */
  install(SIGCHLD, 0);
  caught = 0;
  /* It ends when its continuing was heard of: of two that wait the second is lost. */
  int go_on[2];
  char go = 0;
  pipe(go_on);
  pid = fork();
  if (pid == 0) { raise(SIGSTOP); read(go_on[0], &go, 1); _exit(5); }
  while (caught < 1) usleep(500);
  say("SIGCHLD of a stop", "%d %d %d", last_code, last_status, last_pid == pid);
  kill(pid, SIGCONT);
  while (caught < 2) usleep(500);
  write(go_on[1], &go, 1);
  close(go_on[0]), close(go_on[1]);
  for (int i = 0; i < 1000 && last_code != CLD_EXITED; i++) usleep(1000);
  say("SIGCHLD of an exit", "%d %d %d", last_code, last_status, last_pid == pid);
  wait_code(pid);
  install(SIGCHLD, SA_NOCLDSTOP);
  caught = 0;
  pid = sleeper();
  kill(pid, SIGSTOP);
  waitpid(pid, &status, WUNTRACED);
  CALL("SA_NOCLDSTOP", caught);
  kill(pid, SIGKILL);
  waitpid(pid, &status, 0);
  CALL("but the end is told", caught);
  say("as killed", "%d %d", last_code, last_status);
  install(SIGCHLD, SA_NOCLDWAIT);
  pid = fork();
  if (pid == 0) _exit(1);
  CALL("SA_NOCLDWAIT leaves no child", waitpid(pid, &status, 0));
  signal(SIGCHLD, SIG_DFL);
  /* Threads' children. */
  pid = fork();
  if (pid == 0) { if (fork() == 0) _exit(7); CALL("wait in a child sees its own", (wait(&status), WEXITSTATUS(status))); _exit(0); }
  wait_code(pid);
}

/* --- groups and sessions --------------------------------------------------------------------------------------------- */

static void sessions(void) {
  pid_t me = getpid(), child = sleeper();
  CALL("setpgid of a stranger", setpgid(1 << 21, 0));
  CALL("setpgid into no group", setpgid(child, 1 << 21));
  CALL("setpgid of a child", setpgid(child, child));
  TRUE("getpgid", getpgid(child) == child);
  CALL("into another's group of the session", setpgid(child, getpgrp()));
  CALL("getsid of a child", getsid(child) == getsid(0));
  CALL("getpgid of a negative number", getpgid(-1));
  end(child);
  int p[2];
  pipe(p);
  child = fork();
  if (child == 0) {
    setsid();
    char byte = 'x';
    write(p[1], &byte, 1);
    for (;;) pause();
  }
  char byte;
  read(p[0], &byte, 1);
  CALL("setpgid of a session leader", setpgid(child, getpgrp()));
  CALL("into a group of another session", setpgid(0, child));
  TRUE("its session", getsid(child) == child && getpgid(child) == child);
  end(child);
  child = fork();
  if (child == 0) {
    write(p[1], "y", 1);
    execl("/bin/sleep", "sleep", "1000", NULL);
    _exit(1);
  }
  read(p[0], &byte, 1);
  for (int i = 0; i < 2000; i++) {
    char path[64], text[64] = "";
    snprintf(path, sizeof path, "/proc/%d/comm", child);
    int fd = open(path, O_RDONLY);
    read(fd, text, 6);
    close(fd);
    if (!strcmp(text, "sleep\n")) break;
    usleep(1000);
  }
  CALL("setpgid of a child after its exec", setpgid(child, child));
  end(child);
  /* An orphaned group with a stopped member gets SIGHUP and SIGCONT. */
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  pid_t leader = fork();
  if (leader == 0) {
    setsid();
    pid_t member = fork();
    if (member == 0) {
      setpgid(0, 0);
      install(SIGCONT, 0);
      caught = 0;
      signal(SIGHUP, SIG_IGN);
      write(p[1], "r", 1);
      raise(SIGSTOP);
      char result = caught ? 'c' : 'n';
      write(p[1], &result, 1);
      for (;;) pause();
    }
    read(p[0], &byte, 1);
    int status;
    waitpid(member, &status, WUNTRACED);
    write(p[1], &member, sizeof member);
    _exit(0);
  }
  wait_code(leader);
  pid_t member;
  read(p[0], &member, sizeof member);
  byte = 0;
  read(p[0], &byte, 1);
  say("a stopped orphan is continued", "%c", byte);
  /* SIGTTIN and its kin are not for orphaned groups: nothing stops by default. */
  kill(member, SIGTSTP);
  usleep(10000);
  int status = 0;
  CALL("SIGTSTP does not stop it", waitpid(member, &status, WNOHANG | WUNTRACED));
  kill(member, SIGSTOP);
  CALL("SIGSTOP does", (waitpid(member, &status, WUNTRACED), WIFSTOPPED(status) ? WSTOPSIG(status) : -1));
  end(member);
  prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
  close(p[0]);
  close(p[1]);
  (void)me;
}

/* --- ends ------------------------------------------------------------------------------------------------------------ */

static void ends(void) {
  /* PDEATHSIG. */
  int p[2];
  pipe(p);
  pid_t middle = fork();
  if (middle == 0) {
    pid_t child = fork();
    if (child == 0) {
      install(SIGUSR1, 0);
      prctl(PR_SET_PDEATHSIG, SIGUSR1);
      write(p[1], "r", 1);
      for (int i = 0; i < 3000 && !caught; i++) usleep(1000);
      char result = caught ? 'y' : 'n';
      write(p[1], &result, 1);
      _exit(0);
    }
    char byte;
    read(p[0], &byte, 1);
    _exit(0);
  }
  wait_code(middle);
  char byte = 0;
  read(p[0], &byte, 1);
  say("PDEATHSIG arrives", "%c", byte);
  /* vfork: the parent waits for exec or exit; a signal to it waits too. */
  static volatile int order;
  order = 0;
  pid_t pid = vfork();
  if (pid == 0) { usleep(20000); order = 1; _exit(0); }
  CALL("vfork waits for exit", order);
  wait_code(pid);
  pid = vfork();
  if (pid == 0) { execl("/nowhere", "x", NULL); order = 2; execl("/bin/true", "true", NULL); _exit(1); }
  CALL("a failed exec does not let it go", order);
  CALL("the second one", wait_code(pid));
  pid = vfork();
  if (pid == 0) { kill(getpid(), SIGKILL); _exit(0); }
  CALL("a killed vfork child", wait_code(pid));
  /* exit while children live; zombies of zombies. */
  pid = fork();
  if (pid == 0) { for (int i = 0; i < 30; i++) if (fork() == 0) { usleep(1000 * (i % 5)); _exit(0); } _exit(6); }
  CALL("a parent that leaves thirty children", wait_code(pid));
  /* Many at once. */
  pid_t list[150];
  int good = 1;
  for (int i = 0; i < 150; i++) {
    list[i] = fork();
    if (list[i] == 0) { usleep(2000); _exit(i & 0x3f); }
    if (list[i] < 0) good = 0;
  }
  for (int i = 0; i < 150; i++) if (wait_code(list[i]) != (i & 0x3f)) good = 0;
  TRUE("a hundred and fifty children", good);
  /* A chain of forks. */
  pid = fork();
  if (pid == 0) {
    for (int depth = 0; depth < 20; depth++) {
      pid_t next = fork();
      if (next > 0) { int code = wait_code(next); _exit(code < 100 ? code + 1 : code); }
      if (next < 0) _exit(200);
    }
    _exit(0);
  }
  CALL("a chain of twenty", wait_code(pid));
  /* RLIMIT_NPROC counts for users without CAP_SYS_RESOURCE. */
  if (geteuid() == 0) {
    pid = fork();
    if (pid == 0) {
      struct rlimit limit = {3, 3};
      setrlimit(RLIMIT_NPROC, &limit);
      setresuid(54321, 54321, 54321);
      int made = 0;
      while (made < 10) { pid_t c = fork(); if (c == 0) { sleep(2); _exit(0); } if (c < 0) break; made++; }
      int code = made + 100 * (errno == EAGAIN);
      kill(-1, SIGKILL);
      _exit(code);
    }
    int code = wait_code(pid);
    TRUE("RLIMIT_NPROC", code == 102 || code == 1009);
  }
  /* Signals between users. */
  if (geteuid() == 0) {
    pid = sleeper();
    pid_t other = fork();
    if (other == 0) {
      setresuid(1234, 1234, 1234);
      CALL("a signal to another's process", kill(pid, SIGTERM));
      CALL("even 0", kill(pid, 0));
      CALL("or SIGCONT of another session", (setsid(), kill(pid, SIGCONT)));
      CALL("by pidfd", pidfd_send(pidfd_open(pid, 0), SIGTERM, NULL, 0));
      CALL("its limits", prlimit(pid, RLIMIT_CORE, NULL, &(struct rlimit){0}));
      CALL("its affinity", sched_setaffinity(pid, sizeof(cpu_set_t), &(cpu_set_t){{1}}));
      CALL("its priority", setpriority(PRIO_PROCESS, pid, 5));
      CALL("a better priority of one's own", setpriority(PRIO_PROCESS, 0, -5));
      CALL("its memory", process_vm_readv(pid, &(struct iovec){&other, 4}, 1, &(struct iovec){&other, 4}, 1, 0));
      CALL("its descriptors", syscall(SYS_pidfd_getfd, pidfd_open(pid, 0), 0, 0));
      char path[64];
      snprintf(path, sizeof path, "/proc/%d/mem", pid);
      CALL("its /proc/mem", open(path, O_RDONLY));
      snprintf(path, sizeof path, "/proc/%d/environ", pid);
      CALL("its environment", open(path, O_RDONLY));
      snprintf(path, sizeof path, "/proc/%d/maps", pid);
      CALL("its maps", ({ int fd = open(path, O_RDONLY); char c; fd < 0 ? -1 : read(fd, &c, 1); }));
      snprintf(path, sizeof path, "/proc/%d/exe", pid);
      char link[100];
      CALL("its exe", readlink(path, link, 100));
      snprintf(path, sizeof path, "/proc/%d/fd", pid);
      CALL("its fd directory", open(path, O_RDONLY));
      snprintf(path, sizeof path, "/proc/%d/cwd", pid);
      CALL("its cwd", chdir(path));
      snprintf(path, sizeof path, "/proc/%d/status", pid);
      WORKS("its status", open(path, O_RDONLY));
      snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
      WORKS("its cmdline", open(path, O_RDONLY));
      CALL("chroot", chroot("/"));
      CALL("mount", syscall(SYS_mount, "none", "/mnt", "tmpfs", 0, NULL));
      CALL("sethostname", sethostname("x", 1));
      CALL("setgroups", syscall(SYS_setgroups, 0, NULL));
      CALL("setuid of root", setuid(0));
      CALL("a device", mknod("/tmp/tsvisor-device", S_IFCHR | 0666, 0x103));
      CALL("settimeofday", settimeofday(&(struct timeval){1, 0}, NULL));
      CALL("reboot", syscall(SYS_reboot, 1, 2, 3, NULL));
      CALL("a raised limit", ({ struct rlimit l; getrlimit(RLIMIT_NOFILE, &l); l.rlim_max++; setrlimit(RLIMIT_NOFILE, &l); }));
      CALL("mlockall beyond", ({ struct rlimit l = {0, 0}; setrlimit(RLIMIT_MEMLOCK, &l); mlock(&l, 8); }));
      CALL("SCHED_FIFO", sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){1}));
      CALL("a new namespace", unshare(CLONE_NEWNS));
      CALL("O_NOATIME of root's file", open("/etc/passwd", O_RDONLY | O_NOATIME));
      CALL("a quiet end", 0);
      _exit(0);
    }
    CALL("another user", wait_code(other));
    end(pid);
  }
  close(p[0]);
  close(p[1]);
}

/* --- threads and exec ------------------------------------------------------------------------------------------------ */

static void *spin(void *argument) { for (;;) ; return argument; }
static void *wait_forever(void *argument) { for (;;) pause(); return argument; }
static void *exec_true(void *argument) { usleep(2000); execl("/bin/true", "true", NULL); return argument; }
static void *fork_here(void *argument) {
  pid_t pid = fork();
  if (pid == 0) _exit(gettid() == getpid() ? 12 : 13);
  *(int *)argument = wait_code(pid);
  return NULL;
}

static void threads(void) {
  pthread_t thread;
  int code = 0;
  pthread_create(&thread, NULL, fork_here, &code);
  pthread_join(thread, NULL);
  CALL("fork of a thread", code);
  pid_t pid = fork();
  if (pid == 0) {
    for (int i = 0; i < 20; i++) pthread_create(&thread, NULL, i % 2 ? spin : wait_forever, NULL);
    pthread_create(&thread, NULL, exec_true, NULL);
    for (;;) pause();
  }
  CALL("exec of one among twenty", wait_code(pid));
  pid = fork();
  if (pid == 0) {
    pthread_create(&thread, NULL, wait_forever, NULL);
    usleep(1000);
    syscall(SYS_exit, 44);
  }
  int status;
  usleep(20000);
  CALL("a leader that left is no zombie to wait for", waitpid(pid, &status, WNOHANG));
  char path[64], text[400] = "";
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  int fd = open(path, O_RDONLY);
  read(fd, text, 399);
  close(fd);
  TRUE("but shows as one", strstr(text, ") Z ") != NULL);
  end(pid);
  /* A thread's death by signal takes all. */
  pid = fork();
  if (pid == 0) {
    for (int i = 0; i < 5; i++) pthread_create(&thread, NULL, wait_forever, NULL);
    pthread_kill(thread, SIGTERM);
    for (;;) pause();
  }
  CALL("a deadly signal to a thread", wait_code(pid));
  pthread_t many[100];
  int made = 0;
  for (; made < 100; made++) if (pthread_create(&many[made], NULL, fork_here, &code)) break;
  for (int i = 0; i < made; i++) pthread_join(many[i], NULL);
  CALL("a hundred threads that fork", made);
}

int main(void) {
  clones();
  pidfds();
  waiting();
  sessions();
  ends();
  threads();
  return 0;
}

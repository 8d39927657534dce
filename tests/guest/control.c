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
  /* A shell starts what it leaves in the background with SIGQUIT ignored. */
  if (pid == 0) { signal(SIGQUIT, SIG_DFL); for (;;) pause(); }
  return pid;
}
static void end(pid_t pid) { kill(pid, SIGKILL); waitpid(pid, NULL, 0); }

/* --- clone3 ---------------------------------------------------------------------------------------------------------- */

static void clones(void) {
  struct { struct clone_args args; char more[64]; } big;
  memset(&big, 0, sizeof big);
  struct clone_args *args = &big.args;
  args->exit_signal = SIGCHLD;
  EQUALS("a struct with more zeros", 3, ({ pid_t p = clone3(args, sizeof big); if (p == 0) _exit(3); p > 0 ? wait_code(p) : -1; }));
  big.more[10] = 1;
  FAILS("a struct with more that is not zero", E2BIG, clone3(args, sizeof big));
  FAILS("a struct beyond a page", E2BIG, clone3(args, 5000));
  EQUALS("the first version", 4, ({ pid_t p = clone3(args, 64); if (p == 0) _exit(4); p > 0 ? wait_code(p) : -1; }));
  args->flags = 1ull << 40;
  FAILS("unknown flags", EINVAL, clone3(args, sizeof *args));
  args->flags = CLONE_DETACHED;
  FAILS("CLONE_DETACHED", EINVAL, clone3(args, sizeof *args));
  args->flags = SIGCHLD;
  FAILS("a signal in the flags", EINVAL, clone3(args, sizeof *args));
  args->flags = CLONE_PARENT;
  FAILS("CLONE_PARENT with a signal", EINVAL, clone3(args, sizeof *args));
  args->flags = 0;
  args->stack_size = 4096;
  FAILS("a stack size without stack", EINVAL, clone3(args, sizeof *args));
  args->stack = (uintptr_t)args;
  args->stack_size = 0;
  FAILS("a stack without size", EINVAL, clone3(args, sizeof *args));
  args->stack = 0;
  args->flags = CLONE_SIGHAND | CLONE_CLEAR_SIGHAND | CLONE_VM;
  FAILS("shared and cleared handlers", EINVAL, clone3(args, sizeof *args));
  args->flags = CLONE_PIDFD;
  args->pidfd = 8;
  FAILS("a pidfd at a bad address", EFAULT, clone3(args, sizeof *args));
  args->flags = CLONE_PIDFD | CLONE_DETACHED;
  FAILS("CLONE_PIDFD detached", EINVAL, clone3(args, sizeof *args));
  args->pidfd = 0;
  pid_t tids[2] = {77, 88};
  args->set_tid = (uintptr_t)tids;
  args->set_tid_size = 0;
  args->flags = 0;
  FAILS("set_tid without a size", EINVAL, clone3(args, sizeof *args));
  args->set_tid = 0;
  args->set_tid_size = 1;
  FAILS("a size without set_tid", EINVAL, clone3(args, sizeof *args));
  args->set_tid = (uintptr_t)tids;
  args->set_tid_size = 40;
  FAILS("too many levels", EINVAL, clone3(args, sizeof *args));
  tids[0] = getpid();
  args->set_tid_size = 1;
  ANSWERS("a number that is taken", geteuid() == 0 ? -EEXIST : -EPERM, clone3(args, sizeof *args));
  tids[0] = 0;
  FAILS("number 0", EINVAL, clone3(args, sizeof *args));
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
  EQUALS("CLONE_CLEAR_SIGHAND", 3, wait_code(pid));
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
  SAYS("and the umask", "7", "%o", umask(022));
  chdir(before);
  args->flags = 0;
  args->exit_signal = SIGUSR1;
  install(SIGUSR1, 0);
  caught = 0;
  pid = clone3(args, sizeof *args);
  if (pid == 0) _exit(9);
  while (!caught) usleep(1000);
  SAYS("another exit signal", "1 9 1", "%d %d %d", last_code, last_status, last_pid == pid);
  FAILS("wait does not see it", ECHILD, waitpid(pid, NULL, WNOHANG));
  EQUALS("but with __WCLONE", 1, waitpid(pid, NULL, __WCLONE) == pid);
  args->exit_signal = 0;
  pid = clone3(args, sizeof *args);
  if (pid == 0) _exit(9);
  EQUALS("no exit signal, __WALL", 1, waitpid(pid, NULL, __WALL) == pid);
  /* clone(2), unlike clone3(2), takes any number. */
  pid = syscall(SYS_clone, 200, 0, 0, 0, 0);
  if (pid == 0) _exit(9);
  EQUALS("an exit signal that is none", 1, waitpid(pid, NULL, __WALL) == pid);
  args->exit_signal = SIGCHLD;
  args->flags = CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | CLONE_PARENT_SETTID;
  static pid_t parent_tid, child_tid;
  args->parent_tid = (uintptr_t)&parent_tid;
  args->child_tid = (uintptr_t)&child_tid;
  pid = clone3(args, sizeof *args);
  if (pid == 0) _exit(child_tid == getpid() ? 0 : 1);
  EQUALS("CHILD_SETTID", 0, wait_code(pid));
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
  EQUALS("CLONE_PARENT makes a sibling", 17, wait_code(grand));
  close(p[0]);
  close(p[1]);
}

/* --- pidfds ---------------------------------------------------------------------------------------------------------- */

static void pidfds(void) {
  pid_t pid = sleeper();
  FAILS("pidfd_open with bad flags", EINVAL, pidfd_open(pid, 1));
  FAILS("pidfd_open of 0", EINVAL, pidfd_open(0, 0));
  FAILS("pidfd_open of -1", EINVAL, pidfd_open(-1, 0));
  int fd = pidfd_open(pid, O_NONBLOCK);
  EQUALS("it closes on exec", FD_CLOEXEC, fcntl(fd, F_GETFD));
  SAYS("it does not block", "1", "%d", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
  siginfo_t info;
  memset(&info, 0, sizeof info);
  FAILS("waitid on it", EAGAIN, raw_waitid(P_PIDFD, fd, &info, WEXITED, NULL));
  struct pollfd one = {fd, POLLIN, 0};
  EQUALS("it is not ready", 0, poll(&one, 1, 0));
  EQUALS("signal 0", 0, pidfd_send(fd, 0, NULL, 0));
  FAILS("a bad signal", EINVAL, pidfd_send(fd, 99, NULL, 0));
  FAILS("bad flags", EINVAL, pidfd_send(fd, 0, NULL, 0x100));
  FAILS("by no pidfd", EBADF, pidfd_send(0, 0, NULL, 0));
  FAILS("a siginfo at a bad address", EFAULT, pidfd_send(fd, SIGUSR1, BAD, 0));
  info.si_signo = SIGUSR2;
  info.si_code = SI_QUEUE;
  FAILS("a siginfo of another signal", EINVAL, pidfd_send(fd, SIGUSR1, &info, 0));
  info.si_signo = SIGTERM;
  info.si_code = SI_USER;
  FAILS("a siginfo that pretends", EPERM, pidfd_send(fd, SIGTERM, &info, 0));
  FAILS("pidfd_getfd with bad flags", EINVAL, syscall(SYS_pidfd_getfd, fd, 0, 1));
  FAILS("pidfd_getfd of what is closed", EBADF, syscall(SYS_pidfd_getfd, fd, 900, 0));
  int directory = open("/proc/self", O_RDONLY | O_DIRECTORY), path = open("/proc/self", O_PATH);
  int thread = open("/proc/thread-self", O_RDONLY | O_DIRECTORY);
  EQUALS("signal 0 by a directory of /proc", 0, pidfd_send(directory, 0, NULL, 0));
  FAILS("by one with O_PATH", EBADF, pidfd_send(path, 0, NULL, 0));
  FAILS("by that of a thread", EBADF, pidfd_send(thread, 0, NULL, 0));
  FAILS("which is no pidfd otherwise", EBADF, raw_waitid(P_PIDFD, directory, &info, WEXITED, NULL));
  close(directory), close(path), close(thread);
  EQUALS("SIGKILL by pidfd", 0, pidfd_send(fd, SIGKILL, NULL, 0));
  EQUALS("then it is ready", 1, poll(&one, 1, 5000));
  SAYS("with", "1", "%x", one.revents);
  EQUALS("WNOWAIT", 0, raw_waitid(P_PIDFD, fd, &info, WEXITED | WNOWAIT, NULL));
  SAYS("tells", "17 2 9 1", "%d %d %d %d", info.si_signo, info.si_code, info.si_status, info.si_pid == pid);
  struct rusage usage;
  memset(&usage, 0xff, sizeof usage);
  EQUALS("waitid with usage", 0, raw_waitid(P_PIDFD, fd, &info, WEXITED, &usage));
  TRUE("the usage is filled", usage.ru_utime.tv_sec >= 0 && usage.ru_utime.tv_sec < 10);
  FAILS("a signal to nobody", ESRCH, pidfd_send(fd, SIGTERM, NULL, 0));
  FAILS("waitid of nobody", ECHILD, raw_waitid(P_PIDFD, fd, &info, WEXITED, NULL));
  FAILS("pidfd_getfd of nobody", ESRCH, syscall(SYS_pidfd_getfd, fd, 0, 0));
  close(fd);
  FAILS("pidfd_open of who is reaped", ESRCH, pidfd_open(pid, 0));
  FAILS("waitid of a file that is no pidfd", EBADF, raw_waitid(P_PIDFD, 0, &info, WEXITED, NULL));
  FAILS("waitid of a closed descriptor", EBADF, raw_waitid(P_PIDFD, 900, &info, WEXITED, NULL));
  int p[2];
  pipe(p);
  pid = fork();
  if (pid == 0) { dup2(p[0], 70); close(p[1]); for (;;) pause(); }
  fd = pidfd_open(pid, 0);
  int taken = -1;
  for (int i = 0; i < 500 && taken < 0; i++) { taken = syscall(SYS_pidfd_getfd, fd, 70, 0); usleep(1000); }
  write(p[1], "through", 7);
  char text[8] = "";
  TRUE("pidfd_getfd takes a pipe", taken >= 0 && read(taken, text, 7) == 7 && !strcmp(text, "through"));
  EQUALS("which closes on exec", FD_CLOEXEC, fcntl(taken, F_GETFD));
  end(pid);
  int epoll = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN};
  pid = sleeper();
  fd = pidfd_open(pid, 0);
  EQUALS("a pidfd in epoll", 0, epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
  EQUALS("is quiet", 0, epoll_wait(epoll, &event, 1, 0));
  kill(pid, SIGKILL);
  EQUALS("until the end", 1, epoll_wait(epoll, &event, 1, 5000));
  waitpid(pid, NULL, 0);
  close(epoll);
  close(fd);
  close(taken);
  close(p[0]);
  close(p[1]);
}

/* --- waiting --------------------------------------------------------------------------------------------------------- */

static void show_info(const char *name, const char *expected, siginfo_t *info, pid_t pid) {
  SAYS(name, expected, "%d %d %d %s", info->si_signo, info->si_code, info->si_status, info->si_pid == pid ? "it" : info->si_pid == 0 ? "none" : "another");
}

static void waiting(void) {
  siginfo_t info;
  int status;
  /* In a group of its own: an orphaned group, which this one may be, does not stop by SIGTSTP. */
  pid_t pid = sleeper();
  setpgid(pid, pid);
  memset(&info, 0x55, sizeof info);
  EQUALS("WNOHANG with nothing", 0, raw_waitid(P_PID, pid, &info, WEXITED | WNOHANG, NULL));
  SAYS("leaves zeros", "0 0", "%d %d", info.si_pid, info.si_signo);
  FAILS("P_PID of 0", EINVAL, raw_waitid(P_PID, 0, &info, WEXITED, NULL));
  FAILS("P_PID of -1", EINVAL, raw_waitid(P_PID, -1, &info, WEXITED, NULL));
  FAILS("P_PGID of -1", EINVAL, raw_waitid(P_PGID, -1, &info, WEXITED, NULL));
  FAILS("P_PGID of 0", ECHILD, raw_waitid(P_PGID, 0, &info, WEXITED | WNOHANG, NULL));
  FAILS("bad options", EINVAL, raw_waitid(P_ALL, 0, &info, WEXITED | 0x100, NULL));
  FAILS("WNOWAIT alone", EINVAL, raw_waitid(P_ALL, 0, &info, WNOWAIT, NULL));
  FAILS("waitpid with WEXITED", EINVAL, waitpid(pid, &status, WEXITED));
  FAILS("waitpid of INT_MIN", ESRCH, waitpid(-2147483647 - 1, &status, 0));
  kill(pid, SIGSTOP);
  EQUALS("WSTOPPED", 0, raw_waitid(P_PID, pid, &info, WSTOPPED | WNOWAIT, NULL));
  show_info("tells", "17 5 19 it", &info, pid);
  EQUALS("again after WNOWAIT", 0, raw_waitid(P_PID, pid, &info, WSTOPPED, NULL));
  EQUALS("a stop is told once", 0, raw_waitid(P_PID, pid, &info, WSTOPPED | WNOHANG, NULL));
  SAYS("so", "0", "%d", info.si_pid);
  kill(pid, SIGCONT);
  EQUALS("WCONTINUED", 0, raw_waitid(P_PID, pid, &info, WCONTINUED, NULL));
  show_info("tells", "17 6 18 it", &info, pid);
  kill(pid, SIGTSTP);
  EQUALS("WUNTRACED of SIGTSTP", SIGTSTP << 8 | 0x7f, (waitpid(pid, &status, WUNTRACED), status));
  kill(pid, SIGCONT);
  EQUALS("WCONTINUED's status", 0xffff, (waitpid(pid, &status, WCONTINUED), status));
  kill(pid, SIGQUIT);
  EQUALS("a status of SIGQUIT", SIGQUIT, (waitpid(pid, &status, 0), status & 0x7f));
  EQUALS("waitid without a place for the answer", 0, ({ pid_t p = fork(); if (p == 0) _exit(0); raw_waitid(P_PID, p, NULL, WEXITED, NULL); }));
  pid = fork();
  if (pid == 0) _exit(0);
  await_state(pid, 'Z');
  FAILS("a bad place", EFAULT, raw_waitid(P_PID, pid, BAD, WEXITED, NULL));
  FAILS("and the child is reaped", ECHILD, waitpid(pid, &status, 0));
  /* Groups. */
  pid_t first = fork();
  if (first == 0) { setpgid(0, 0); for (;;) pause(); }
  setpgid(first, first);
  pid_t second = fork();
  if (second == 0) { setpgid(0, first); for (;;) pause(); }
  setpgid(second, first);
  EQUALS("kill of a group", 0, kill(-first, SIGTERM));
  int sum = 0;
  for (int i = 0; i < 2; i++) sum += waitpid(-first, &status, 0) == first ? 1 : 10;
  EQUALS("waitpid of a group", 11, sum);
  FAILS("a group without members", ESRCH, kill(-first, 0));
  FAILS("waitpid of it", ECHILD, waitpid(-first, &status, 0));
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
  SAYS("SIGCHLD of a stop", "5 19 1", "%d %d %d", last_code, last_status, last_pid == pid);
  kill(pid, SIGCONT);
  while (caught < 2) usleep(500);
  write(go_on[1], &go, 1);
  close(go_on[0]), close(go_on[1]);
  for (int i = 0; i < 1000 && last_code != CLD_EXITED; i++) usleep(1000);
  SAYS("SIGCHLD of an exit", "1 5 1", "%d %d %d", last_code, last_status, last_pid == pid);
  wait_code(pid);
  install(SIGCHLD, SA_NOCLDSTOP);
  caught = 0;
  pid = sleeper();
  kill(pid, SIGSTOP);
  waitpid(pid, &status, WUNTRACED);
  EQUALS("SA_NOCLDSTOP", 0, caught);
  kill(pid, SIGKILL);
  waitpid(pid, &status, 0);
  EQUALS("but the end is told", 1, caught);
  SAYS("as killed", "2 9", "%d %d", last_code, last_status);
  install(SIGCHLD, SA_NOCLDWAIT);
  pid = fork();
  if (pid == 0) _exit(1);
  FAILS("SA_NOCLDWAIT leaves no child", ECHILD, waitpid(pid, &status, 0));
  signal(SIGCHLD, SIG_DFL);
  /* Threads' children. */
  pid = fork();
  if (pid == 0) { if (fork() == 0) _exit(7); EQUALS("wait in a child sees its own", 7, (wait(&status), WEXITSTATUS(status))); _exit(0); }
  wait_code(pid);
}

/* --- groups and sessions --------------------------------------------------------------------------------------------- */

static void sessions(void) {
  pid_t me = getpid(), child = sleeper();
  FAILS("setpgid of a stranger", ESRCH, setpgid(1 << 21, 0));
  FAILS("setpgid into no group", EPERM, setpgid(child, 1 << 21));
  EQUALS("setpgid of a child", 0, setpgid(child, child));
  TRUE("getpgid", getpgid(child) == child);
  EQUALS("into another's group of the session", 0, setpgid(child, getpgrp()));
  EQUALS("getsid of a child", 1, getsid(child) == getsid(0));
  FAILS("getpgid of a negative number", ESRCH, getpgid(-1));
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
  FAILS("setpgid of a session leader", EPERM, setpgid(child, getpgrp()));
  FAILS("into a group of another session", EPERM, setpgid(0, child));
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
  FAILS("setpgid of a child after its exec", EACCES, setpgid(child, child));
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
  SAYS("a stopped orphan is continued", "c", "%c", byte);
  /* SIGTTIN and its kin are not for orphaned groups: nothing stops by default. */
  kill(member, SIGTSTP);
  usleep(10000);
  int status = 0;
  EQUALS("SIGTSTP does not stop it", 0, waitpid(member, &status, WNOHANG | WUNTRACED));
  kill(member, SIGSTOP);
  EQUALS("SIGSTOP does", SIGSTOP, (waitpid(member, &status, WUNTRACED), WIFSTOPPED(status) ? WSTOPSIG(status) : -1));
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
  SAYS("PDEATHSIG arrives", "y", "%c", byte);
  /* vfork: the parent waits for exec or exit; a signal to it waits too. */
  static volatile int order;
  order = 0;
  pid_t pid = vfork();
  if (pid == 0) { usleep(20000); order = 1; _exit(0); }
  EQUALS("vfork waits for exit", 1, order);
  wait_code(pid);
  pid = vfork();
  if (pid == 0) { execl("/nowhere", "x", NULL); order = 2; execl("/bin/true", "true", NULL); _exit(1); }
  EQUALS("a failed exec does not let it go", 2, order);
  EQUALS("the second one", 0, wait_code(pid));
  pid = vfork();
  if (pid == 0) { kill(getpid(), SIGKILL); _exit(0); }
  EQUALS("a killed vfork child", 1000 + SIGKILL, wait_code(pid));
  /* exit while children live; zombies of zombies. */
  pid = fork();
  if (pid == 0) { for (int i = 0; i < 30; i++) if (fork() == 0) { usleep(1000 * (i % 5)); _exit(0); } _exit(6); }
  EQUALS("a parent that leaves thirty children", 6, wait_code(pid));
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
  EQUALS("a chain of twenty", 20, wait_code(pid));
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
      FAILS("a signal to another's process", EPERM, kill(pid, SIGTERM));
      FAILS("even 0", EPERM, kill(pid, 0));
      FAILS("or SIGCONT of another session", EPERM, (setsid(), kill(pid, SIGCONT)));
      FAILS("by pidfd", EPERM, pidfd_send(pidfd_open(pid, 0), SIGTERM, NULL, 0));
      FAILS("its limits", EPERM, prlimit(pid, RLIMIT_CORE, NULL, &(struct rlimit){0}));
      FAILS("its affinity", EPERM, sched_setaffinity(pid, sizeof(cpu_set_t), &(cpu_set_t){{1}}));
      FAILS("its priority", EPERM, setpriority(PRIO_PROCESS, pid, 5));
      FAILS("a better priority of one's own", EACCES, setpriority(PRIO_PROCESS, 0, -5));
      FAILS("its memory", EPERM, process_vm_readv(pid, &(struct iovec){&other, 4}, 1, &(struct iovec){&other, 4}, 1, 0));
      FAILS("its descriptors", EPERM, syscall(SYS_pidfd_getfd, pidfd_open(pid, 0), 0, 0));
      char path[64];
      snprintf(path, sizeof path, "/proc/%d/mem", pid);
      FAILS("its /proc/mem", EACCES, open(path, O_RDONLY));
      snprintf(path, sizeof path, "/proc/%d/environ", pid);
      FAILS("its environment", EACCES, open(path, O_RDONLY));
      snprintf(path, sizeof path, "/proc/%d/maps", pid);
      FAILS("its maps", EACCES, ({ int fd = open(path, O_RDONLY); char c; fd < 0 ? -1 : read(fd, &c, 1); }));
      snprintf(path, sizeof path, "/proc/%d/exe", pid);
      char link[100];
      FAILS("its exe", EACCES, readlink(path, link, 100));
      snprintf(path, sizeof path, "/proc/%d/fd", pid);
      FAILS("its fd directory", EACCES, open(path, O_RDONLY));
      snprintf(path, sizeof path, "/proc/%d/cwd", pid);
      FAILS("its cwd", EACCES, chdir(path));
      snprintf(path, sizeof path, "/proc/%d/status", pid);
      WORKS("its status", open(path, O_RDONLY));
      snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
      WORKS("its cmdline", open(path, O_RDONLY));
      FAILS("chroot", EPERM, chroot("/"));
      FAILS("mount", EPERM, syscall(SYS_mount, "none", "/mnt", "tmpfs", 0, NULL));
      FAILS("sethostname", EPERM, sethostname("x", 1));
      FAILS("setgroups", EPERM, syscall(SYS_setgroups, 0, NULL));
      FAILS("setuid of root", EPERM, setuid(0));
      FAILS("a device", EPERM, mknod("/tmp/tsvisor-device", S_IFCHR | 0666, 0x103));
      FAILS("settimeofday", EPERM, settimeofday(&(struct timeval){1, 0}, NULL));
      FAILS("reboot", EPERM, syscall(SYS_reboot, 1, 2, 3, NULL));
      FAILS("a raised limit", EPERM, ({ struct rlimit l; getrlimit(RLIMIT_NOFILE, &l); l.rlim_max++; setrlimit(RLIMIT_NOFILE, &l); }));
      FAILS("mlockall beyond", EPERM, ({ struct rlimit l = {0, 0}; setrlimit(RLIMIT_MEMLOCK, &l); mlock(&l, 8); }));
      FAILS("SCHED_FIFO", EPERM, sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){1}));
      FAILS("a new namespace", EPERM, unshare(CLONE_NEWNS));
      FAILS("O_NOATIME of root's file", EPERM, open("/etc/passwd", O_RDONLY | O_NOATIME));
      EQUALS("a quiet end", 0, 0);
      _exit(0);
    }
    EQUALS("another user", 0, wait_code(other));
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
  EQUALS("fork of a thread", 12, code);
  pid_t pid = fork();
  if (pid == 0) {
    for (int i = 0; i < 20; i++) pthread_create(&thread, NULL, i % 2 ? spin : wait_forever, NULL);
    pthread_create(&thread, NULL, exec_true, NULL);
    for (;;) pause();
  }
  EQUALS("exec of one among twenty", 0, wait_code(pid));
  pid = fork();
  if (pid == 0) {
    pthread_create(&thread, NULL, wait_forever, NULL);
    usleep(1000);
    syscall(SYS_exit, 44);
  }
  int status;
  await_state(pid, 'Z');
  EQUALS("a leader that left is no zombie to wait for", 0, waitpid(pid, &status, WNOHANG));
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
  EQUALS("a deadly signal to a thread", 1000 + SIGTERM, wait_code(pid));
  pthread_t many[100];
  int made = 0;
  for (; made < 100; made++) if (pthread_create(&many[made], NULL, fork_here, &code)) break;
  for (int i = 0; i < made; i++) pthread_join(many[i], NULL);
  EQUALS("a hundred threads that fork", 100, made);
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

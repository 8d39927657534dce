// Many processes and threads, signals, timers, filters.
#include "turns.h"
#include <grp.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static int *word;

/** `count` children that wait for `word` to change. */
static void sleepers(int count, pid_t *children) {
  word = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < count; i++) {
    children[i] = fork();
    check(children[i] >= 0, "fork");
    if (children[i] == 0) {
      signal(SIGUSR1, SIG_IGN);
      while (word[0] == 0) syscall(SYS_futex, word, FUTEX_WAIT, 0, 0, 0, 0);
      for (;;) pause();
    }
  }
}

static void crowd(void) {
  enum { COUNT = 60 };
  pid_t children[COUNT];
  sleepers(COUNT, children);
  begin();
  for (int i = 0; i < 10; i++) kill(0, 0);
  syscall(SYS_futex, word, FUTEX_CMP_REQUEUE, 0, INT32_MAX, word + 1, word[0]);
  word[0] = 1;
  syscall(SYS_futex, word + 1, FUTEX_WAKE, INT32_MAX, 0, 0, 0);
  for (int i = 0; i < 10; i++) {
    getpriority(PRIO_PGRP, 0), setpriority(PRIO_PGRP, 0, 1);
    syscall(SYS_ioprio_get, 2, 0), syscall(SYS_membarrier, 1, 0);
  }
  for (int i = 0; i < 1; i++) check(system("cat /proc/[0-9]*/stat | wc -l >/dev/null") == 0, "cat");
  siginfo_t info;
  for (int i = 0; i < 100; i++) waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);
  for (int i = 0; i < COUNT; i++) kill(children[i], SIGKILL);
  while (wait(0) > 0);
}
/** Each the child of the one before; then all end at once, from the last to the first. */
static void deep_processes(void) {
  int ready[2];
  pipe(ready);
  pid_t first = fork();
  if (first == 0) {
    setpgid(0, 0);
    for (int depth = 0; depth < 100; depth++) {
      pid_t child = fork();
      if (child < 0) _exit(1);
      if (child == 0) continue;
      int status;
      waitpid(child, &status, 0);
      _exit(0);
    }
    write(ready[1], "", 1);
    for (;;) pause();
  }
  char byte;
  check(read(ready[0], &byte, 1) == 1, "fork");
  begin();
  check(kill(-first, SIGKILL) == 0, "kill");
  check(waitpid(first, NULL, 0) == first, "waitpid");
  settle();
}
/** Their parent ends first: somebody else has to become it. */
static void orphans(void) {
  pid_t parent = fork();
  if (parent == 0) {
    static pid_t children[60];
    setpgid(0, 0);
    sleepers(60, children);
    _exit(0);
  }
  check(waitpid(parent, NULL, 0) == parent, "waitpid");
  settle();
  check(kill(-parent, SIGKILL) == 0, "kill");
  settle();
}
/** The end of a namespace's init is the end of all in it. */
static void namespace_end(void) {
  check(unshare(CLONE_NEWPID) == 0, "unshare");
  int ready[2];
  pipe(ready);
  pid_t init = fork();
  if (init == 0) {
    static pid_t children[60];
    sleepers(60, children);
    write(ready[1], "", 1);
    for (;;) pause();
  }
  char byte;
  read(ready[0], &byte, 1);
  begin();
  kill(init, SIGKILL);
  waitpid(init, 0, 0);
}
static void *thread_sleeps(void *unused) {
  for (;;) pause();
  return unused;
}
static void threads(void) {
  int ready[2];
  pipe(ready);
  pid_t child = fork();
  if (child == 0) {
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    for (int i = 0; i < 60; i++) {
      pthread_t thread;
      if (pthread_create(&thread, &small, thread_sleeps, 0)) break;
    }
    write(ready[1], "", 1);
    for (;;) pause();
  }
  char byte;
  read(ready[0], &byte, 1);
  begin();
  kill(child, SIGKILL);
  waitpid(child, 0, 0);
}
static void signals(void) {
  sigset_t blocked;
  sigfillset(&blocked);
  sigprocmask(SIG_BLOCK, &blocked, 0);
  union sigval value = {0};
  int sent = 0;
  while (sent < 4000 && sigqueue(getpid(), SIGRTMIN + sent % 20, value) == 0) sent++;
  check(sent > 100, "sigqueue");
  struct timespec none = {0};
  siginfo_t info;
  while (sigtimedwait(&blocked, &info, &none) > 0);
}
static void timers(void) {
  timer_t timer;
  struct itimerspec often = {{0, 1}, {0, 1}};
  struct sigevent silent = {.sigev_notify = SIGEV_NONE}, loud = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
  signal(SIGUSR1, SIG_IGN);
  int made = 0;
  for (; made < 1000; made++) {
    if (timer_create(CLOCK_MONOTONIC, made & 1 ? &loud : &silent, &timer)) break;
    timer_settime(timer, 0, &often, 0);
  }
  check(made > 100, "timer_create");
  usleep(100000);
}
static void groups(void) {
  static gid_t list[65536];
  for (int i = 0; i < 65536; i++) list[i] = i * 7919 % 65536;
  for (int i = 0; i < 3; i++) check(setgroups(65536, list) == 0 && getgroups(65536, list) == 65536, "setgroups");
  setresgid(5, 5, 5);
  int fd = open("/dev/shm/turns", O_CREAT | O_RDWR, 0070);
  fchown(fd, 0, 9), setresuid(6, 6, 6);
  for (int i = 0; i < 100; i++) access("/dev/shm/turns", R_OK);
}
static void filters(void) {
  static struct sock_filter program[4096];
  for (int i = 0; i < 4095; i++) program[i] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0);
  program[4095] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog filter = {4096, program};
  int added = 0;
  for (int i = 0; i < 10; i++) added += syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0;
  check(added > 3, "seccomp");
  for (int i = 0; i < 100; i++) getppid();
}
static void arguments(void) {
  /* 6 MiB: all that a large stack allows (_STK_LIM / 4 * 3). */
  enum { COUNT = 50, BYTES = 120000 };
  struct rlimit large = {64 << 20, 64 << 20};
  check(setrlimit(RLIMIT_STACK, &large) == 0, "setrlimit");
  char *list[COUNT + 2] = {"true"};
  for (int i = 1; i <= COUNT; i++) {
    list[i] = malloc(BYTES + 1);
    memset(list[i], i % 2 ? 'a' : 0xe9, BYTES), list[i][BYTES] = 0;
  }
  for (int i = 0; i < 10; i++) {
    pid_t child = fork();
    if (child == 0) {
      execv("/bin/true", list);
      _exit(1);
    }
    int status;
    waitpid(child, &status, 0);
    check(status == 0, "execv");
  }
}
/** The same of the shortest strings, of which there are most. */
static void many_arguments(void) {
  enum { COUNT = 300000 };
  struct rlimit large = {64 << 20, 64 << 20};
  check(setrlimit(RLIMIT_STACK, &large) == 0, "setrlimit");
  static char *arguments[COUNT + 1], *environment[COUNT + 1];
  for (int i = 0; i < COUNT; i++) arguments[i] = "", environment[i] = "E";
  if (fork() == 0) {
    execve("/bin/true", arguments, environment);
    _exit(1);
  }
  int status;
  wait(&status);
  check(status == 0, "execve");
}
/** A robust list that ends nowhere. */
static void robust_list(void) {
  for (int i = 0; i < 2; i++) {
    if (fork() == 0) {
      static struct {
        void *next;
        long offset;
        void *pending;
      } head;
      static void *cycle[2] = {&cycle[1], &cycle[0]};
      head.next = &cycle[0];
      syscall(SYS_set_robust_list, &head, sizeof head);
      _exit(0);
    }
    wait(0);
  }
}
static void names(void) {
  char *text = reserve(MIB);
  memset(text, 'a', MIB - 1);
  for (int i = 0; i < 50; i++) {
    prctl(PR_SET_NAME, text);
    sethostname(text, 64);
    syscall(SYS_add_key, "user", text, text, MIB, -1);
    syscall(SYS_syslog, 3, text, MIB);
  }
}

const struct turns_case process_cases[] = {
  {"crowd", "fork kill wait4 waitid futex futex_waitv setpriority getpriority ioprio_set ioprio_get membarrier", crowd},
  {"deep_processes", "fork kill wait4", deep_processes},
  {"orphans", "exit_group kill", orphans},
  {"namespace_end", "unshare exit_group kill", namespace_end},
  {"threads", "clone clone3 exit exit_group tgkill tkill", threads},
  {"signals", "rt_sigqueueinfo rt_tgsigqueueinfo rt_sigtimedwait rt_sigpending", signals},
  {"timers", "timer_create timer_settime timer_delete setitimer timerfd_settime", timers},
  {"groups", "setgroups getgroups", groups},
  {"filters", "seccomp prctl", filters},
  {"arguments", "execve execveat", arguments},
  {"many_arguments", "execve execveat", many_arguments},
  {"robust_list", "set_robust_list exit", robust_list},
  {"names", "prctl sethostname setdomainname syslog", names},
  {0},
};

// Limits that a process meets: RLIMIT_*, /proc/sys and the fixed ones of Linux, and what is answered at each.
#include "check.h"
#include <mqueue.h>
#include <sys/epoll.h>
#include <sys/inotify.h>

static char path[256], text[1 << 18];

static void limit(int resource, long soft) {
  struct rlimit old, new;
  getrlimit(resource, &old);
  new = (struct rlimit){soft, old.rlim_max == RLIM_INFINITY || old.rlim_max > soft ? old.rlim_max : soft};
  setrlimit(resource, &new);
}

/* How a loop of calls ends: after how many, and with what. `some` hides the number where others count too. */
static void until(const char *what, const char *expected, int some, int max, long (*call)(int)) {
  errno = 0;
  int n = 0;
  while (n < max && call(n) >= 0) n++;
  if (some) SAYS(what, expected, "%s after %s", strerrorname_np(errno), n == 0 ? "none" : n == max ? "all" : "some");
  else SAYS(what, expected, "%s after %d", strerrorname_np(errno), n);
}

static long queued(int i) { return sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i}); }
static long timer(int i) {
  int id;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
  return syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id);
}
static long duplicate(int i) { return dup(0); }
static long queue(int i) {
  snprintf(path, sizeof path, "/limits-%d-%d", getpid(), i);
  long result = mq_open(path, O_CREAT | O_RDWR, 0600, NULL);
  int error = errno;
  mq_unlink(path);
  errno = error;
  return result;
}
static long instance(int i) { return inotify_init(); }
static long deeper(int i) { return mkdir("ddddddddddddddd", 0700) < 0 ? -1 : chdir("ddddddddddddddd"); }
static long lock_memory(int i) { return mmap(NULL, 65536, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0) == MAP_FAILED ? -1 : 0; }

static void counts(void) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, NULL);
  limit(RLIMIT_SIGPENDING, 50);
  until("queued signals", "EAGAIN after some", 1, 100, queued);
  EQUALS("a signal without queueing", 0, kill(getpid(), SIGRTMIN + 1));
  until("timers beside them", "EAGAIN after none", 1, 100, timer);
  sigset_t pending;
  sigpending(&pending);
  EQUALS("pending all the same", 1, sigismember(&pending, SIGRTMIN + 1));
  limit(RLIMIT_SIGPENDING, 0);
  until("no timers", "EAGAIN after 0", 0, 10, timer);
  limit(RLIMIT_NOFILE, 30);
  until("descriptors", "EMFILE after some", 1, 100, duplicate);
  FAILS("a higher one", EINVAL, fcntl(0, F_DUPFD, 30));
  FAILS("dup2 too high", EBADF, dup2(0, 30));
  FAILS("a pipe", EMFILE, pipe((int[2]){0}));
  FAILS("epoll", EMFILE, epoll_create1(0));
  for (int fd = 3; fd < 30; fd++) close(fd);
  limit(RLIMIT_NOFILE, 1024);
  until("message queues", "EMFILE after some", 1, 100, queue);
  limit(RLIMIT_MSGQUEUE, 1000);
  until("none at all", "EMFILE after 0", 0, 100, queue);
  for (int fd = 3; fd < 200; fd++) close(fd);
  until("inotify instances", "EMFILE after some", 1, 1000, instance);
  for (int fd = 3; fd < 1024; fd++) close(fd);
}

static void pipes(void) {
  int ends[2], n = 0, small = 0;
  struct rlimit now;
  getrlimit(RLIMIT_NOFILE, &now);
  limit(RLIMIT_NOFILE, now.rlim_max < 1 << 20 ? now.rlim_max : 1 << 20);
  getrlimit(RLIMIT_NOFILE, &now);
  if (now.rlim_cur < 2300 || geteuid() == 0) return;
  for (; n < 1100 && pipe(ends) == 0; n++) {
    long size = fcntl(ends[1], F_GETPIPE_SZ);
    if (size != 65536) small = size;
  }
  SAYS("many pipes", "1100, then of 8192 bytes", "%d, then of %d bytes", n, small);
  FAILS("none may grow", EPERM, fcntl(ends[1], F_SETPIPE_SZ, 1 << 20));
  for (int fd = 3; fd < 2300; fd++) close(fd);
  pipe(ends);
  EQUALS("large again", 65536, fcntl(ends[1], F_GETPIPE_SZ));
  FAILS("too large", EPERM, fcntl(ends[1], F_SETPIPE_SZ, 2 << 20));
  close(ends[0]), close(ends[1]);
}

static void nesting(void) {
  char at[64];
  snprintf(at, sizeof at, "/tmp/limits.%d", getpid());
  mkdir(at, 0700);
  chdir(at);
  until("deep directories", "0 after 400", 0, 400, deeper);
  EQUALS("a name that long", 0, getcwd(text, sizeof text) == NULL ? -1 : 0);
  FAILS("the call itself", ENAMETOOLONG, syscall(SYS_getcwd, text, sizeof text) < 0 ? -1 : 0);
  FAILS("by its link", ENAMETOOLONG, readlink("/proc/self/cwd", text, sizeof text) < 0 ? -1 : 0);
  EQUALS("a file there", 0, close(open("file", O_CREAT | O_WRONLY, 0600)));
  unlink("file");
  for (int i = 0; i < 400; i++) {
    chdir("..");
    rmdir("ddddddddddddddd");
  }
  memset(text, 'x', 300), text[300] = 0;
  FAILS("a long name", ENAMETOOLONG, mkdir(text, 0700));
  for (int i = 0; i < 5000; i += 2) memcpy(text + i, "./", 3);
  FAILS("a long path", ENAMETOOLONG, access(text, F_OK));
  text[4094] = 0;
  EQUALS("one that fits", 0, access(text, F_OK));
  char from[32] = "l0", to[32];
  close(open("l0", O_CREAT | O_WRONLY, 0600));
  for (int i = 1; i <= 41; i++) {
    snprintf(to, sizeof to, "l%d", i);
    symlink(from, to);
    strcpy(from, to);
  }
  EQUALS("forty links", 0, access("l40", F_OK));
  FAILS("one more", ELOOP, access("l41", F_OK));
  for (int i = 0; i <= 41; i++) snprintf(to, sizeof to, "l%d", i), unlink(to);
  for (int i = 0; i < 8; i++) {
    snprintf(to, sizeof to, "s%d", i);
    int fd = open(to, O_CREAT | O_WRONLY, 0700);
    if (i == 0) dprintf(fd, "#!/bin/true\n");
    else dprintf(fd, "#!%s/s%d\n", at, i - 1);
    close(fd);
    pid_t child = fork();
    if (child == 0) {
      execl(to, to, NULL);
      _exit(errno);
    }
    /* A script of a script, five deep: BINPRM_MAX_RECURSION of Linux. */
    EQUALS(to, i < 5 ? 0 : ELOOP, wait_code(child));
  }
  for (int i = 0; i < 8; i++) snprintf(to, sizeof to, "s%d", i), unlink(to);
  chdir("/");
  EQUALS("nothing is left", 0, rmdir(at));
}

static int run_with(char **arguments, char **environment, long stack) {
  pid_t child = fork();
  if (child == 0) {
    if (stack > 0) limit(RLIMIT_STACK, stack);
    execve("/bin/true", arguments, environment);
    _exit(errno);
  }
  return wait_code(child);
}

static void arguments(void) {
  static char *list[300002];
  char *none[] = {NULL}, *name[] = {"true", NULL};
  memset(text, 'a', sizeof text);
  list[0] = "true", list[1] = text, list[2] = NULL;
  text[131071] = 0;
  EQUALS("a string that fits", 0, run_with(list, none, 0));
  text[131071] = 'a', text[131072] = 0;
  EQUALS("a string that does not", 7, run_with(list, none, 0));
  EQUALS("nor in the environment", 7, run_with(name, list, 0));
  text[131071] = 0;
  for (int i = 1; i < 20; i++) list[i] = text;
  list[15] = NULL;
  EQUALS("strings that fit together", 0, run_with(list, none, 8 << 20));
  list[15] = text, list[16] = text, list[17] = NULL;
  EQUALS("and one too many", 7, run_with(list, none, 8 << 20));
  EQUALS("with a smaller stack", 7, run_with((char *[]){"true", text, text, NULL}, none, 1 << 20));
  EQUALS("with a tiny stack", 7, run_with((char *[]){"true", text, NULL}, none, 128 << 10));
  for (int i = 1; i < 300001; i++) list[i] = "";
  list[200000] = NULL;
  EQUALS("many strings", 0, run_with(list, none, 8 << 20));
  list[200000] = "", list[300000] = NULL;
  EQUALS("too many strings", 7, run_with(list, none, 8 << 20));
}

int main(void) {
  counts();
  pipes();
  nesting();
  arguments();
  until("locked memory", geteuid() == 0 ? "0 after none" : "EAGAIN after some", 1, geteuid() == 0 ? 0 : 1000, lock_memory);
  return 0;
}

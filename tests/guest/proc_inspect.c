// Files of /proc/PID for debuggers and profilers: attr, autogroup, map_files, sched, stack, timers.
#include "check.h"
#include <dirent.h>

static char text[8192];

static long slurp(const char *path) {
  int fd = open(path, O_RDONLY);
  if (fd < 0) return -1;
  long n = read(fd, text, sizeof text - 1);
  int error = errno;
  close(fd);
  errno = error;
  if (n >= 0) text[n] = 0;
  return n;
}
static void mode(const char *path) {
  struct stat status;
  if (lstat(path, &status) < 0) say(path, "%s", strerrorname_np(errno));
  else say(path, "%o %d", status.st_mode, status.st_uid);
}
static long spill(const char *path, const char *what) {
  int fd = open(path, O_WRONLY);
  if (fd < 0) return -1;
  long n = write(fd, what, strlen(what));
  int error = errno;
  close(fd);
  errno = error;
  return n;
}

static void attributes(void) {
  CALL("attr/current", slurp("/proc/self/attr/current"));
  CALL("attr/exec", slurp("/proc/self/attr/exec"));
  CALL("attr/prev", slurp("/proc/thread-self/attr/prev"));
  CALL("attr/none", slurp("/proc/self/attr/none"));
  CALL("attr/exec written", spill("/proc/self/attr/exec", "x"));
  mode("/proc/self/attr");
  mode("/proc/self/attr/current");
}

static void scheduling(void) {
  char name[32], group[32];
  int pid, threads, nice;
  TRUE("sched", slurp("/proc/self/sched") > 0);
  TRUE("sched head", sscanf(text, "%31s (%d, #threads: %d)", name, &pid, &threads) == 3 && pid == getpid() && threads == 1);
  TRUE("sched run time", strstr(text, "\nse.sum_exec_runtime ") != NULL);
  TRUE("sched switches", strstr(text, "\nnr_voluntary_switches ") != NULL);
  char *policy = strstr(text, "\npolicy "), *priority = strstr(text, "\nprio ");
  say("sched policy", "%s", policy == NULL ? "none" : strtok(strchr(policy, ':') + 1, " \n"));
  CALL("sched written", spill("/proc/self/sched", "0"));
  mode("/proc/self/sched");
  TRUE("autogroup", slurp("/proc/self/autogroup") > 0);
  TRUE("autogroup text", sscanf(text, "/autogroup-%31[0-9] nice %d\n", group, &nice) == 2 && nice == 0);
  CALL("autogroup out of range", spill("/proc/self/autogroup", "20"));
  CALL("autogroup no number", spill("/proc/self/autogroup", "x"));
  CALL("autogroup of a thread", slurp("/proc/thread-self/autogroup"));
  mode("/proc/self/autogroup");
}

static void timers(void) {
  CALL("no timers", slurp("/proc/self/timers"));
  int ids[3];
  struct sigevent signal = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_ptr = (void *)0xabcdef01234};
  struct sigevent none = {.sigev_notify = SIGEV_NONE};
  struct sigevent thread = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
  thread._sigev_un._tid = (int)syscall(SYS_gettid);
  CALL("timer", syscall(SYS_timer_create, CLOCK_MONOTONIC, &signal, &ids[0]));
  CALL("timer without signal", syscall(SYS_timer_create, CLOCK_REALTIME, &none, &ids[1]));
  CALL("timer of a thread", syscall(SYS_timer_create, CLOCK_BOOTTIME, &thread, &ids[2]));
  say("ids", "%d %d %d", ids[0], ids[1], ids[2]);
  slurp("/proc/self/timers");
  int n = 0;
  for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
    char *dot = strchr(line, '.');
    if (dot != NULL) {
      TRUE("whose", atoi(dot + 1) == getpid());
      *dot = 0;
    }
    say("timers line", "%s", line);
    n++;
  }
  say("lines", "%d", n);
  CALL("timers of a thread", slurp("/proc/thread-self/timers"));
  for (int i = 0; i < 3; i++) syscall(SYS_timer_delete, ids[i]);
  CALL("no timers again", slurp("/proc/self/timers"));
  mode("/proc/self/timers");
}

static void map_files(void) {
  char path[64], target[256], exe[256];
  int fd = open("/bin/true", O_RDONLY);
  char *at = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
  void *anonymous = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  mode("/proc/self/map_files");
  snprintf(path, sizeof path, "/proc/self/map_files/%lx-%lx", (long)at, (long)at + 4096);
  long n = readlink(path, target, sizeof target - 1);
  TRUE("link of a mapping", n > 0 && (target[n] = 0, realpath("/bin/true", exe)) && strcmp(target, exe) == 0);
  struct stat status, other;
  if (lstat(path, &status) == 0) say("link", "%o", status.st_mode);
  stat("/bin/true", &other);
  int result = stat(path, &status);
  say("through the link", "%s", result < 0 ? strerrorname_np(errno) : status.st_ino == other.st_ino ? "same" : "other");
  snprintf(path, sizeof path, "/proc/self/map_files/%lx-%lx", (long)at, (long)at + 8192);
  CALL("another end", readlink(path, target, sizeof target));
  CALL("no addresses", readlink("/proc/self/map_files/x", target, sizeof target));
  CALL("of a thread", readlink("/proc/thread-self/map_files", target, sizeof target));
  int count = 0, exact = 0;
  DIR *directory = opendir("/proc/self/map_files");
  snprintf(path, sizeof path, "%lx-%lx", (long)at, (long)at + 4096);
  for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
    count++;
    exact += strcmp(entry->d_name, path) == 0 && entry->d_type == DT_LNK;
  }
  TRUE("listed", count > 4 && exact == 1);
  munmap(at, 4096);
  snprintf(path, sizeof path, "/proc/self/map_files/%lx-%lx", (long)at, (long)at + 4096);
  CALL("unmapped", readlink(path, target, sizeof target));
}

int main(void) {
  attributes();
  scheduling();
  timers();
  map_files();
  mode("/proc/self/stack");
  say("stack", "%s", slurp("/proc/self/stack") < 0 ? strerrorname_np(errno) : "works");
  CALL("stack of init", geteuid() == 0 ? 0 : slurp("/proc/1/stack"));
  CALL("map_files of init", geteuid() == 0 ? 0 : (long)opendir("/proc/1/map_files"));
  return 0;
}

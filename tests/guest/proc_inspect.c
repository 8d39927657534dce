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
static void mode(const char *path, int expected) {
  struct stat status;
  char owned[40];
  snprintf(owned, sizeof owned, "%o %d", expected, geteuid());
  if (lstat(path, &status) < 0) judge(path, owned, strerrorname_np(errno));
  else SAYS(path, owned, "%o %d", status.st_mode, status.st_uid);
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
  FAILS("attr/none", ENOENT, slurp("/proc/self/attr/none"));
  CALL("attr/exec written", spill("/proc/self/attr/exec", "x"));
  mode("/proc/self/attr", 040555);
  mode("/proc/self/attr/current", 0100666);
}

static void scheduling(void) {
  char name[32], group[32];
  int pid, threads, nice;
  TRUE("sched", slurp("/proc/self/sched") > 0);
  TRUE("sched head", sscanf(text, "%31s (%d, #threads: %d)", name, &pid, &threads) == 3 && pid == getpid() && threads == 1);
  TRUE("sched run time", strstr(text, "\nse.sum_exec_runtime ") != NULL);
  TRUE("sched switches", strstr(text, "\nnr_voluntary_switches ") != NULL);
  char *policy = strstr(text, "\npolicy "), *priority = strstr(text, "\nprio ");
  SAYS("sched policy", "0", "%s", policy == NULL ? "none" : strtok(strchr(policy, ':') + 1, " \n"));
  CALL("sched written", spill("/proc/self/sched", "0"));
  mode("/proc/self/sched", 0100644);
  TRUE("autogroup", slurp("/proc/self/autogroup") > 0);
  TRUE("autogroup text", sscanf(text, "/autogroup-%31[0-9] nice %d\n", group, &nice) == 2 && nice == 0);
  CALL("autogroup out of range", spill("/proc/self/autogroup", "20"));
  CALL("autogroup no number", spill("/proc/self/autogroup", "x"));
  CALL("autogroup of a thread", slurp("/proc/thread-self/autogroup"));
  mode("/proc/self/autogroup", 0100644);
}

static void timers(void) {
  EQUALS("no timers", 0, slurp("/proc/self/timers"));
  int ids[3];
  struct sigevent signal = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_ptr = (void *)0xabcdef01234};
  struct sigevent none = {.sigev_notify = SIGEV_NONE};
  struct sigevent thread = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
  thread._sigev_un._tid = (int)syscall(SYS_gettid);
  EQUALS("timer", 0, syscall(SYS_timer_create, CLOCK_MONOTONIC, &signal, &ids[0]));
  EQUALS("timer without signal", 0, syscall(SYS_timer_create, CLOCK_REALTIME, &none, &ids[1]));
  EQUALS("timer of a thread", 0, syscall(SYS_timer_create, CLOCK_BOOTTIME, &thread, &ids[2]));
  SAYS("ids", "0 1 2", "%d %d %d", ids[0], ids[1], ids[2]);
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
  SAYS("lines", "12", "%d", n);
  FAILS("timers of a thread", ENOENT, slurp("/proc/thread-self/timers"));
  for (int i = 0; i < 3; i++) syscall(SYS_timer_delete, ids[i]);
  EQUALS("no timers again", 0, slurp("/proc/self/timers"));
  mode("/proc/self/timers", 0100444);
}

static void map_files(void) {
  char path[64], target[256], exe[256];
  int fd = open("/bin/true", O_RDONLY);
  char *at = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
  void *anonymous = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  mode("/proc/self/map_files", 040500);
  snprintf(path, sizeof path, "/proc/self/map_files/%lx-%lx", (long)at, (long)at + 4096);
  long n = readlink(path, target, sizeof target - 1);
  TRUE("link of a mapping", n > 0 && (target[n] = 0, realpath("/bin/true", exe)) && strcmp(target, exe) == 0);
  struct stat status, other;
  if (lstat(path, &status) == 0) SAYS("link", "120400", "%o", status.st_mode);
  stat("/bin/true", &other);
  int result = stat(path, &status);
  SAYS("through the link", geteuid() == 0 ? "same" : "EPERM", "%s", result < 0 ? strerrorname_np(errno) : status.st_ino == other.st_ino ? "same" : "other");
  snprintf(path, sizeof path, "/proc/self/map_files/%lx-%lx", (long)at, (long)at + 8192);
  FAILS("another end", ENOENT, readlink(path, target, sizeof target));
  FAILS("no addresses", ENOENT, readlink("/proc/self/map_files/x", target, sizeof target));
  FAILS("of a thread", ENOENT, readlink("/proc/thread-self/map_files", target, sizeof target));
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
  FAILS("unmapped", ENOENT, readlink(path, target, sizeof target));
}

int main(void) {
  attributes();
  scheduling();
  timers();
  map_files();
  mode("/proc/self/stack", 0100400);
  SAYS("stack", geteuid() == 0 ? "works" : "EACCES", "%s", slurp("/proc/self/stack") < 0 ? strerrorname_np(errno) : "works");
  ANSWERS("stack of init", geteuid() == 0 ? 0 : -EACCES, geteuid() == 0 ? 0 : slurp("/proc/1/stack"));
  ANSWERS("map_files of init", geteuid() == 0 ? 0 : -EACCES, geteuid() == 0 ? 0 : open("/proc/1/map_files", O_RDONLY | O_DIRECTORY));
  return 0;
}

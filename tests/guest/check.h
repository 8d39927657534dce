// Shared by the guest programs: each check prints one line "name: result" that must be the same on the host and in the
// sandbox. Results that may differ by nature (addresses, pids, times) are printed as relations, never as values.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define BAD ((void *)8) /* never mapped */

static inline void say(const char *name, const char *format, ...) {
  char line[512];
  va_list list;
  va_start(list, format);
  int n = snprintf(line, sizeof line, "%s: ", name);
  n += vsnprintf(line + n, sizeof line - n - 2, format, list);
  va_end(list);
  if (n > (int)sizeof line - 2) n = sizeof line - 2;
  line[n++] = '\n';
  if (write(1, line, n) != n) _exit(99);
}

/* Prints the result of a call, or the errno's name. */
#define CALL(name, expression)                                  \
  do {                                                          \
    errno = 0;                                                  \
    long result_ = (long)(expression);                          \
    if (result_ == -1 && errno != 0)                            \
      say(name, "%s", strerrorname_np(errno));                  \
    else                                                        \
      say(name, "%ld", result_);                                \
  } while (0)

/* Prints 0 or the errno's name: for results such as fds and pids. */
#define WORKS(name, expression)                                 \
  do {                                                          \
    errno = 0;                                                  \
    long result_ = (long)(expression);                          \
    say(name, "%s", result_ == -1 ? strerrorname_np(errno) : "works"); \
  } while (0)

#define TRUE(name, expression) say(name, "%s", (expression) ? "true" : "false")

static inline int wait_code(pid_t pid) {
  int status = 0;
  if (waitpid(pid, &status, 0) != pid) return -errno;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static inline double now_seconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

/* A thread that is about to sleep says so; who relies on it awaits that: no time is long enough on a busy machine. */
static volatile pid_t about_to_sleep;
static inline void enter_sleep(void) { about_to_sleep = syscall(SYS_gettid); }
/* The state letter in a stat file of /proc, '?' when the task is gone. */
static inline char stat_letter(const char *path) {
  char line[256];
  int fd = open(path, O_RDONLY);
  if (fd < 0) return '?';
  int n = read(fd, line, sizeof line - 1);
  close(fd);
  line[n > 0 ? n : 0] = 0;
  char *end = strrchr(line, ')');
  return end == NULL ? '?' : end[2];
}
static inline void await_sleep(void) {
  char path[64], state;
  while (about_to_sleep == 0) usleep(1000);
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", about_to_sleep);
  do {
    usleep(2000);
    state = stat_letter(path);
  } while (state != 'S' && state != '?');
}
/* Starts what sleeps; it does when this returns, or is over already. */
static inline pthread_t start_sleeper(void *(*body)(void *), void *argument) {
  pthread_t thread;
  about_to_sleep = 0;
  pthread_create(&thread, NULL, body, argument);
  await_sleep();
  return thread;
}

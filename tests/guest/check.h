// Shared by the guest programs: each check prints one line "name: result" that must be the same on the host and in the
// sandbox. Results that may differ by nature (addresses, pids, times) are printed as relations, never as values.
//
// What a man page or a standard decides is said beside the check: FAILS, EQUALS, SAYS, TRUE and WORKS. Where the result
// is another one the line ends in ", expected ..." and the program in failure, on the host as in the sandbox. CALL and
// say are for what the host's release or configuration decides, or the check before.
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

/* Checks that did not hold, of this process and of the children that it forks. */
static int *failed_checks;
static pid_t first_process;
__attribute__((constructor)) static void count_failures(void) {
  failed_checks = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (failed_checks == MAP_FAILED) _exit(98);
  first_process = getpid();
}
__attribute__((destructor)) static void fail_for_them(void) {
  if (getpid() == first_process && *failed_checks > 0) _exit(97);
}

/* Prints a check's line; a result that is not `expected` counts as failed. NULL = nothing is expected. */
static inline void judge(const char *name, const char *expected, const char *result) {
  char line[1024];
  int n = snprintf(line, sizeof line, "%s: %s", name, result);
  if (expected != NULL && strcmp(expected, result) != 0) {
    __atomic_add_fetch(failed_checks, 1, __ATOMIC_RELAXED);
    if (n < (int)sizeof line) n += snprintf(line + n, sizeof line - n, ", expected %s", expected);
  }
  if (n > (int)sizeof line - 1) n = sizeof line - 1;
  line[n++] = '\n';
  if (write(1, line, n) != n) _exit(99);
}
static inline void judge_list(const char *name, const char *expected, const char *format, va_list list) {
  char result[512];
  vsnprintf(result, sizeof result, format, list);
  judge(name, expected, result);
}

/* Prints a formatted result. */
static inline void say(const char *name, const char *format, ...) {
  va_list list;
  va_start(list, format);
  judge_list(name, NULL, format, list);
}
/* A formatted result is `expected`. */
static inline void SAYS(const char *name, const char *expected, const char *format, ...) {
  va_list list;
  va_start(list, format);
  judge_list(name, expected, format, list);
}

/* The result of a call: an errno's name if it is -1 and set one. */
struct result {
  char text[32];
};
static inline struct result result_of(long value, int error) {
  struct result result;
  if (value == -1 && error != 0)
    snprintf(result.text, sizeof result.text, "%s", strerrorname_np(error));
  else
    snprintf(result.text, sizeof result.text, "%ld", value);
  return result;
}

/* Prints the result of a call, or the errno's name. */
#define CALL(name, expression)                                  \
  do {                                                          \
    errno = 0;                                                  \
    long result_ = (long)(expression);                          \
    judge(name, NULL, result_of(result_, errno).text);          \
  } while (0)

/* A call gives `value`. */
#define EQUALS(name, value, expression)                         \
  do {                                                          \
    errno = 0;                                                  \
    long result_ = (long)(expression);                          \
    struct result got_ = result_of(result_, errno);             \
    judge(name, result_of((long)(value), 0).text, got_.text);   \
  } while (0)

/* A call fails with `error`. */
#define FAILS(name, error, expression)                          \
  do {                                                          \
    errno = 0;                                                  \
    long result_ = (long)(expression);                          \
    judge(name, result_of(-1, error).text, result_of(result_, errno).text); \
  } while (0)

/* A call gives `answer`, or fails with the errno -`answer`: for checks in loops. */
#define ANSWERS(name, answer, expression)                       \
  do {                                                          \
    errno = 0;                                                  \
    long result_ = (long)(expression);                          \
    struct result got_ = result_of(result_, errno);             \
    long answer_ = (long)(answer);                              \
    judge(name, result_of(answer_ < 0 ? -1 : answer_, answer_ < 0 ? -answer_ : 0).text, got_.text); \
  } while (0)

/* A call succeeds: for results such as fds and pids. */
#define WORKS(name, expression)                                 \
  do {                                                          \
    errno = 0;                                                  \
    long result_ = (long)(expression);                          \
    judge(name, "works", result_ == -1 ? strerrorname_np(errno) : "works"); \
  } while (0)

#define TRUE(name, expression) judge(name, "true", (expression) ? "true" : "false")

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
/* Awaits that a process has come to the state of that letter (its first thread: 'S' sleeps, 'T' is stopped, 'Z' has ended),
 * or is gone. Twenty seconds at most: what is checked then says what went wrong. */
static inline void await_state(pid_t pid, char letter) {
  char path[64], state = 0;
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  for (int i = 0; i < 20000 && state != letter && state != '?'; i++) {
    usleep(1000);
    state = stat_letter(path);
  }
}
/* Starts what sleeps; it does when this returns, or is over already. */
static inline pthread_t start_sleeper(void *(*body)(void *), void *argument) {
  pthread_t thread;
  about_to_sleep = 0;
  pthread_create(&thread, NULL, body, argument);
  await_sleep();
  return thread;
}

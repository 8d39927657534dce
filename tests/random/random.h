// Shared by the families of the random guest: chance from a seed, and a line for each call.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define COUNT(list) ((int)(sizeof(list) / sizeof *(list)))
#define ANY(list) ((list)[below(COUNT(list))])

static uint64_t chance;
static uint64_t next(void) {
  chance ^= chance << 13;
  chance ^= chance >> 7;
  chance ^= chance << 17;
  return chance * 0x2545f4914f6cdd1dull >> 11;
}
static int below(int n) { return next() % n; }
static int one_in(int n) { return below(n) == 0; }

/* A line: "call: result". The result of a call is a number or an errno's name. */
static int step;
static char line[4000];
static int line_length;
static void add(const char *format, ...) {
  va_list list;
  va_start(list, format);
  line_length += vsnprintf(line + line_length, sizeof line - line_length, format, list);
  va_end(list);
  if (line_length > (int)sizeof line - 2) line_length = sizeof line - 2;
}
static void begin(const char *format, ...) {
  va_list list;
  line_length = sprintf(line, "%d ", step);
  va_start(list, format);
  line_length += vsnprintf(line + line_length, sizeof line - line_length, format, list);
  va_end(list);
}
static long answer(long result) {
  int error = errno;
  if (result == -1) add(" = %s", strerrorname_np(error));
  else add(" = %ld", result);
  return result;
}
/* For results that are addresses or differ by run. */
static long works(long result) {
  int error = errno;
  add(" = %s", result == -1 ? strerrorname_np(error) : "works");
  return result;
}
static void end(void) {
  line[line_length++] = '\n';
  if (write(1, line, line_length) != line_length) _exit(9);
}
static uint32_t sum_of(const void *bytes, long length) {
  uint32_t sum = 2166136261u;
  for (long i = 0; i < length; i++) sum = (sum ^ ((const uint8_t *)bytes)[i]) * 16777619u;
  return sum;
}

struct family {
  const char *name;
  int calls;
  void (*make)(void);   /* what a sequence begins with */
  void (*one)(void);    /* draws and makes a call */
  void (*finish)(void); /* what is left: compared as a whole */
};
extern const struct family FILES, LOCKS, SIGNALS, MEMORY, SOCKETS;

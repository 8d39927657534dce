// Calls with large arguments, while another process beats: what all files of cases share.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB (1ul << 20)
#define GIB (1ul << 30)

/** One case, and the calls of the kernel's table whose work it makes large. It runs in a process of its own. */
struct turns_case {
  const char *name;
  const char *calls;
  void (*run)(void);
};

extern const struct turns_case memory_cases[], file_cases[], tree_cases[], ipc_cases[], socket_cases[], process_cases[];

/** From now on the case is measured: what was before only made it ready. Without it all is. */
void begin(void);
/** Up to here; without it, up to the end. */
void end(void);
double now(void);
/** Until what goes on behind an end that has been answered has shown. */
void settle(void);
/** Ends the case as failed when `is_right` is 0: a call that refuses at once would hold up nobody. */
void check(int is_right, const char *what);

/** Memory that nothing has touched. */
char *reserve(size_t length);
/** `count` areas, which cannot be one. */
char *many_areas(int count);
/** A file in memory of `length` bytes that are there. */
int filled(size_t length);
/** The same, of holes. */
int sparse(size_t length);
void read_all(const char *path);
/** May have `count` descriptors. */
void allow_files(int count);

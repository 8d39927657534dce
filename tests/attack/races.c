// Programs whose threads work against each other inside calls: memory that goes while a call uses it, strings that change under
// execve(2), descriptors that are passed while they close, mappings over everything there is. They harm themselves only.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ul
// Of native/src/slot.rs.
#define STUB_TEXT 0x7fe000000000ul
#define ARENAS 0x7fe100000000ul
#define DIRECT_WINDOWS 0x7fee00000000ul

static volatile int is_over;

static unsigned next(unsigned *seed) { return (*seed = *seed * 1103515245 + 12345) >> 4; }

static void report(const char *what, long result) {
  printf("  %s: %ld\n", what, result);
  fflush(stdout);
}

// --- memory --------------------------------------------------------------------------------------------------------------

enum { PAGES = 1100, RANGE = 1000 };
static char *memory;

static void *change_memory(void *unused) {
  unsigned seed = 1;
  while (!is_over) {
    char *at = memory + next(&seed) % RANGE * PAGE;
    switch (next(&seed) % 4) {
      case 0: munmap(at, next(&seed) % 64 * PAGE); break;
      case 1: mmap(at, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); break;
      case 2: mprotect(at, 8 * PAGE, next(&seed) % 8); break;
      case 3: madvise(at, 32 * PAGE, MADV_DONTNEED);
    }
  }
  return unused;
}

/** Every kind of call on memory that others take away. */
static void memory_goes(void) {
  memory = mmap(0, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  pthread_t threads[3];
  for (int i = 0; i < 3; i++) pthread_create(&threads[i], 0, change_memory, 0);
  int zeros = open("/dev/zero", O_RDONLY), file = memfd_create("races", 0);
  ftruncate(file, 4 << 20);
  unsigned seed = 7;
  for (int i = 0; i < 150; i++) {
    char *at = memory + next(&seed) % RANGE * PAGE + next(&seed) % 16;
    char *start = (char *)((uintptr_t)at & ~(PAGE - 1));
    struct iovec parts[2] = {{at, 70000}, {memory + next(&seed) % RANGE * PAGE, 70000}};
    read(zeros, at, 200000);
    write(file, at, 100000);
    pread(file, at, 150000, next(&seed) % 9999);
    readv(zeros, parts, 2);
    preadv(file, parts, 2, 5);
    process_vm_readv(getpid(), parts, 1, parts + 1, 1, 0);
    mlock(start, 16 * PAGE);
    mremap(start, 16 * PAGE, 32 * PAGE, MREMAP_MAYMOVE);
    syscall(SYS_mincore, memory, RANGE * PAGE, at);
  }
  is_over = 1;
  for (int i = 0; i < 3; i++) pthread_join(threads[i], 0);
  report("goes on", getppid() > 0);
}

/** Maps, moves and unmaps at any address, the stub's and the slots' too: whoever has mapped there has got out. */
static void map_anywhere(int round) {
  unsigned seed = round * 7919 + 1;
  for (int i = 0; i < 200; i++) {
    uintptr_t places[] = {STUB_TEXT + next(&seed) % 0x2000 * PAGE, ARENAS + next(&seed) * PAGE,
                          DIRECT_WINDOWS + next(&seed) % 0x400 * PAGE, ((uintptr_t)&seed & ~(PAGE - 1)) - next(&seed) % 64 * PAGE,
                          next(&seed) * PAGE, 0x7fffffff0000ul - next(&seed) % 512 * PAGE};
    char *at = (char *)places[next(&seed) % 6];
    size_t length = PAGE << next(&seed) % 24;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (next(&seed) % 2 ? MAP_FIXED : MAP_FIXED_NOREPLACE);
    char *mapped = mmap(at, length, next(&seed) % 8, flags, -1, 0);
    if (mapped != MAP_FAILED && mapped + length > (char *)STUB_TEXT) _exit(66);
    if (mremap(at, PAGE, length, MREMAP_MAYMOVE | MREMAP_FIXED, STUB_TEXT) != MAP_FAILED) _exit(66);
    munmap(at, PAGE);
    mprotect(at, length, PROT_READ | PROT_WRITE);
    madvise(at, length, MADV_DONTNEED);
  }
  _exit(0);
}

static void mappings_over_all(void) {
  int escaped = 0;
  for (int round = 0; round < 30; round++) {
    pid_t child = fork();
    // It may unmap the memory that it runs in.
    if (child == 0) map_anywhere(round);
    int status;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 66) escaped++;
  }
  report("none is mapped there", escaped == 0);
}

// --- execve --------------------------------------------------------------------------------------------------------------

enum { STRINGS = 300, STRING_BYTES = 5000 };
static char *strings[STRINGS + 1];

static void make_strings(void) {
  for (int i = 0; i < STRINGS; i++) {
    strings[i] = malloc(STRING_BYTES);
    memset(strings[i], 'x', STRING_BYTES - 1), strings[i][STRING_BYTES - 1] = 0;
  }
}

static void *change_strings(void *unused) {
  for (unsigned seed = 1;;) {
    char **slot = &strings[next(&seed) % STRINGS];
    switch (next(&seed) % 3) {
      case 0: *slot = (char *)(uintptr_t)next(&seed); break;
      case 1: *slot = strings[next(&seed) % STRINGS]; break;
      case 2: if ((uintptr_t)*slot > 1ul << 32) munmap((void *)((uintptr_t)*slot & ~(PAGE - 1)), PAGE);
    }
  }
  return unused;
}

/** The list of megabytes that execve(2) reads changes meanwhile: it fails as a bad one does, or the program runs. */
static void strings_change(void) {
  int wrong = 0;
  for (int round = 0; round < 20; round++) {
    pid_t child = fork();
    if (child == 0) {
      make_strings();
      pthread_t thread;
      pthread_create(&thread, 0, change_strings, 0);
      usleep(round * 50);
      execve("/bin/true", strings, strings);
      _exit(errno == EFAULT || errno == E2BIG ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    // The thread that changes them may meet what it has unmapped.
    if (status != 0 && status != SIGSEGV) wrong++;
  }
  report("each ends as it must", wrong == 0);
}

static void *execute_true(void *micros) {
  usleep((long)micros);
  execve("/bin/true", (char *[]){"true", 0}, strings);
  return 0;
}

/** Several threads become another program at once, each with megabytes of strings, and all are killed now and then. */
static void several_execute(void) {
  int wrong = 0;
  make_strings();
  for (int round = 0; round < 20; round++) {
    pid_t child = fork();
    if (child == 0) {
      pthread_t thread;
      for (long i = 0; i < 6; i++) pthread_create(&thread, 0, execute_true, (void *)(i * 300));
      for (;;) pause();
    }
    if (round % 3 == 0) usleep(round * 1000), kill(child, SIGKILL);
    int status;
    waitpid(child, &status, 0);
    if (status != 0 && status != SIGKILL) wrong++;
  }
  report("each runs or is killed", wrong == 0);
}

// --- descriptors ---------------------------------------------------------------------------------------------------------

static int ends[2];

static void *pass_descriptors(void *number) {
  unsigned seed = (long)number;
  for (int round = 0; round < 3000; round++) {
    int list[8];
    for (int i = 0; i < 8; i++) list[i] = 3 + next(&seed) % 20;
    char byte = 0, control[CMSG_SPACE(sizeof list)];
    struct iovec one = {&byte, 1};
    struct msghdr message = {.msg_iov = &one, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    if (next(&seed) % 2) {
      *CMSG_FIRSTHDR(&message) = (struct cmsghdr){CMSG_LEN(sizeof list), SOL_SOCKET, SCM_RIGHTS};
      memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), list, sizeof list);
      sendmsg(ends[next(&seed) % 2], &message, MSG_DONTWAIT);
    } else {
      recvmsg(ends[next(&seed) % 2], &message, MSG_DONTWAIT);
    }
    int fd = 3 + next(&seed) % 30;
    switch (next(&seed) % 6) {
      case 0: close(fd); break;
      case 1: dup2(ends[0], fd); break;
      case 2: dup2(ends[1], fd); break;
      case 3: open("/proc/self/exe", O_RDONLY); break;
      case 4: close_range(30, 200, 0);
    }
  }
  return 0;
}

static void descriptors_pass(void) {
  socketpair(AF_UNIX, SOCK_DGRAM, 0, ends);
  pthread_t threads[6];
  for (long i = 0; i < 6; i++) pthread_create(&threads[i], 0, pass_descriptors, (void *)(i + 1));
  for (int i = 0; i < 6; i++) pthread_join(threads[i], 0);
  report("goes on", getppid() > 0);
}

static const struct {
  const char *name;
  void (*run)(void);
} ATTACKS[] = {
  {"memory_goes", memory_goes},         {"mappings_over_all", mappings_over_all}, {"strings_change", strings_change},
  {"several_execute", several_execute}, {"descriptors_pass", descriptors_pass},
};

int main(void) {
  for (unsigned i = 0; i < sizeof ATTACKS / sizeof *ATTACKS; i++) {
    puts(ATTACKS[i].name);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
      ATTACKS[i].run();
      _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    report("ended", status == 0);
  }
  puts("done");
  return 0;
}

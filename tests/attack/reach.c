// A hostile guest that makes the host calls of its stub, each with arguments of its own choice, by a `syscall` in the stub's
// text. `reach calls` prints for each call whether it got anything by it: "NAME: 1" where the host did what the guest asked
// behind the kernel's back, "NAME: 0" where it was killed, refused, or got nothing. `reach steal FILE TEXT` waits for the
// descriptor of a file that it may only read, and writes TEXT through it; `reach unknown_state` leaves a value in its slot that
// no stub writes, and sleeps. Calls that no stub makes are in attack.c.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// Of native/src/slot.rs.
#define STUB_TEXT 0x7fe000000000ul
#define SOCKET 0
#define DOORBELL 1
#define RECEIVED 2
#define OWN_SOCKET 3
#define DIRECT_READ_FD 4
#define DIRECT_WRITE_FD 5
// Where a host process has its own mappings, and no guest.
#define NOWHERE ((char *)0x7fd000000000ul)
#define PAGE 4096

// A `syscall` in the stub's text whose next instructions lead back to us: host calls of which the sentry hears nothing.
unsigned long gadget;
long by_gadget(long number, long a, long b, long c, long d, long e, long f);
__asm__(".globl by_gadget\nby_gadget:\n"
        " push %r12\n mov %rdi,%rax\n mov %rsi,%rdi\n mov %rdx,%rsi\n mov %rcx,%rdx\n mov %r8,%r10\n mov %r9,%r8\n"
        " mov 16(%rsp),%r9\n lea 1f(%rip),%rcx\n push %rcx\n push $0\n jmp *gadget(%rip)\n1: pop %r12\n ret\n");

static int find_gadget(void) {
  const unsigned char *text = (const void *)STUB_TEXT;
  const unsigned char code[] = {0x0f, 0x05, 0x41, 0x5c, 0xc3};  // syscall; pop %r12; ret
  for (int at = 0; at < 0x3000; at++) {
    if (memcmp(text + at, code, sizeof code) == 0) return gadget = STUB_TEXT + at, 1;
  }
  return 0;
}

static sigjmp_buf back;
static void on_fault(int signal) {
  (void)signal;
  siglongjmp(back, 1);
}
static void catch_faults(void) {
  signal(SIGSEGV, on_fault);
  signal(SIGBUS, on_fault);
}
static int can_read(const volatile char *at) {
  if (sigsetjmp(back, 1) != 0) return 0;
  (void)*at;
  return 1;
}
static int can_write(volatile char *at) {
  if (sigsetjmp(back, 1) != 0) return 0;
  *at = *at;
  return 1;
}
// Whether the kernel of ours has a mapping with these rights ("r" or "w") there.
static int is_known(const char *at, char right) {
  FILE *maps = fopen("/proc/self/maps", "r");
  unsigned long from, to;
  char rights[8];
  int found = 0;
  while (fscanf(maps, "%lx-%lx %7s%*[^\n]", &from, &to, rights) == 3) {
    if (from <= (unsigned long)at && (unsigned long)at < to && strchr(rights, right) != NULL) found = 1;
  }
  fclose(maps);
  return found;
}
// On ptrace each `syscall` is the guest's own, whatever text it stands in: what the kernel answers there is no escape.
static int is_systrap;

static char *page(int prot) { return mmap(NULL, PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }
// Maps a file again and again: descriptors come to the stub and go.
static void *map_files(void *nothing) {
  int fd = open("/proc/self/exe", O_RDONLY);
  for (;;) {
    char *at = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at != MAP_FAILED) munmap(at, PAGE);
  }
  return nothing;
}
static void begin_mapping(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, map_files, NULL);
}

// --- each call: whether it got anything ------------------------------------------------------------------------------------

static int on_mmap(void) {
  by_gadget(SYS_mmap, (long)NOWHERE, PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  return can_write(NOWHERE) && !is_known(NOWHERE, 'w');
}
static int on_mmap_file(void) {
  begin_mapping();
  for (int tries = 0; tries < 10000; tries++) {
    by_gadget(SYS_mmap, (long)NOWHERE, PAGE, 1, MAP_PRIVATE | MAP_FIXED, RECEIVED, 0);
    if (can_read(NOWHERE)) return !is_known(NOWHERE, 'r');
  }
  return 0;
}
static int on_munmap(void) {
  char *at = page(3);
  by_gadget(SYS_munmap, (long)at, PAGE, 0, 0, 0, 0);
  return !can_read(at) && is_known(at, 'r');
}
static int on_mprotect(void) {
  char *at = page(PROT_READ);
  by_gadget(SYS_mprotect, (long)at, PAGE, 7, 0, 0, 0);
  return can_write(at) && !is_known(at, 'w');
}
static int on_mprotect_stub(void) {
  by_gadget(SYS_mprotect, STUB_TEXT, PAGE, 7, 0, 0, 0);
  return can_write((char *)STUB_TEXT);
}
static int on_mremap(void) {
  char *at = page(3);
  by_gadget(SYS_mremap, (long)at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (long)NOWHERE, 0);
  return can_read(NOWHERE) && !is_known(NOWHERE, 'r');
}
static int on_madvise(void) {
  char *at = page(3);
  *at = 1;
  by_gadget(SYS_madvise, (long)at, PAGE, MADV_DONTNEED, 0, 0, 0);
  return *at == 0;
}
static int on_mincore(void) {
  static unsigned char is_there = 77;
  by_gadget(SYS_mincore, (long)page(3), PAGE, (long)&is_there, 0, 0, 0);
  return is_there != 77;
}
static int on_msync(void) { return by_gadget(SYS_msync, (long)page(3), PAGE, MS_ASYNC, 0, 0, 0) == 0; }
static int on_recvmsg(void) {
  char byte, control[256];
  struct iovec vector = {&byte, 1};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  begin_mapping();
  return by_gadget(SYS_recvmsg, SOCKET, (long)&message, 0, 0, 0, 0) >= 0;
}
static int on_close(void) { return by_gadget(SYS_close, DIRECT_WRITE_FD + 1, 0, 0, 0, 0, 0) == -EBADF; }
static int on_dup2(void) { return by_gadget(SYS_dup2, OWN_SOCKET, DIRECT_READ_FD, 0, 0, 0, 0) == -EBADF; }
static int on_rseq(void) {
  static char area[64] __attribute__((aligned(32)));
  return by_gadget(SYS_rseq, (long)area, 32, 0, 0x12345678, 0, 0) == 0;
}
static int on_membarrier(void) { return by_gadget(SYS_membarrier, 0, 0, 0, 0, 0, 0) >= 0; }
static int on_clock(void) {
  struct timespec now = {-1, -1};
  by_gadget(SYS_clock_gettime, CLOCK_THREAD_CPUTIME_ID, (long)&now, 0, 0, 0, 0);
  return now.tv_nsec != -1;
}
static int on_sigaltstack(void) { return by_gadget(SYS_sigaltstack, 0, 0, 0, 0, 0, 0) == 0; }
static int on_prctl(void) { return by_gadget(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0) == 0; }
static int on_fork(void) {
  static int word;
  long made = by_gadget(SYS_clone, CLONE_PARENT | CLONE_CHILD_CLEARTID, 0, 0, (long)&word, 0, 0);
  if (made == 0) {
    for (;;) by_gadget(SYS_futex, (long)&word, 128 /* FUTEX_WAIT_PRIVATE */, 0, 0, 0, 0);
  }
  return made > 0;
}
static int on_thread(void) {
  const long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_CHILD_CLEARTID;
  static long stack[1024];
  static int word;
  // The new thread returns to a loop of its own.
  stack[1000] = 0;
  stack[1001] = (long)pause;
  return by_gadget(SYS_clone, flags, (long)(stack + 1000), 0, (long)&word, 0, 0) > 0;
}
static int on_read(void) {
  char bytes[8];
  int got = 0;
  for (int fd = 0; fd < 8; fd++) got |= by_gadget(SYS_pread64, fd, (long)bytes, 8, 0, 0, 0) >= 0;
  return got;
}
static int on_write(void) {
  int got = 0;
  for (int fd = 0; fd < 8; fd++) got |= by_gadget(SYS_pwrite64, fd, (long)"12345678", 8, 0, 0, 0) >= 0;
  return got;
}
static const struct {
  const char *name;
  int (*run)(void);
} CALLS[] = {
    {"mmap", on_mmap},
    {"mmap of a descriptor", on_mmap_file},
    {"munmap", on_munmap},
    {"mprotect", on_mprotect},
    {"mprotect of the stub", on_mprotect_stub},
    {"mremap", on_mremap},
    {"madvise", on_madvise},
    {"mincore", on_mincore},
    {"msync", on_msync},
    {"recvmsg", on_recvmsg},
    {"close", on_close},
    {"dup2", on_dup2},
    {"rseq", on_rseq},
    {"membarrier", on_membarrier},
    {"clock_gettime", on_clock},
    {"sigaltstack", on_sigaltstack},
    {"prctl", on_prctl},
    {"clone of a process", on_fork},
    {"clone of a thread", on_thread},
    {"pread64", on_read},
    {"pwrite64", on_write},
};

// 1 where `run` got something; a process that was killed got nothing.
static int gains(int (*run)(void)) {
  pid_t child = fork();
  if (child == 0) {
    catch_faults();
    _exit(run() && is_systrap ? 42 : 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 42;
}

// --- the descriptor of a file that the guest may only read ------------------------------------------------------------------

static volatile int is_waiting;
static void *thief(void *text) {
  char byte, control[256];
  struct iovec vector = {&byte, 1};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  is_waiting = 1;
  by_gadget(SYS_recvmsg, SOCKET, (long)&message, 0, 0, 0, 0);
  for (int fd = RECEIVED; fd < 8; fd++) {
    char *at = (char *)by_gadget(SYS_mmap, (long)NOWHERE, PAGE, 3, MAP_SHARED | MAP_FIXED, fd, 0);
    if (at == NOWHERE && can_write(at)) memcpy(at, text, strlen(text));
  }
  return NULL;
}
static void steal(const char *path, int owners, char *text) {
  if (fork() == 0) {
    catch_faults();
    close(owners);
    setresgid(1000, 1000, 1000);
    setresuid(1000, 1000, 1000);
    int fd = open(path, O_RDONLY);
    pthread_t thread;
    pthread_create(&thread, NULL, thief, text);
    while (!is_waiting) sched_yield();
    for (int tries = 0; tries < 200; tries++) mmap(NULL, PAGE, PROT_READ, tries & 1 ? MAP_PRIVATE : MAP_SHARED, fd, 0);
    _exit(0);
  }
  wait(NULL);
}

// --- a slot's state that no stub writes --------------------------------------------------------------------------------------

static void unknown_state(void) {
  unsigned long base;
  __asm__ volatile("rdgsbase %0" : "=r"(base));
  static int word;
  getpid();
  if (base != 0) *(volatile uint32_t *)base = 7;
  for (;;) by_gadget(SYS_futex, (long)&word, 128 /* FUTEX_WAIT_PRIVATE */, 0, 0, 0, 0);
}

int main(int argc, char **argv) {
  unsigned long base;
  __asm__ volatile("rdgsbase %0" : "=r"(base));
  is_systrap = base != 0;
  if (!find_gadget()) return puts("There is no such instruction in the stub"), 1;
  if (argc == 4 && strcmp(argv[1], "steal") == 0) {
    int fd = open(argv[2], O_RDWR | O_CREAT, 0644);
    char before[PAGE] = "owner", now[PAGE];
    if (pwrite(fd, before, PAGE, 0) != PAGE) return perror(argv[2]), 1;
    for (int tries = 0; tries < 8; tries++) steal(argv[2], fd, argv[3]);
    printf("%s\n", pread(fd, now, PAGE, 0) == PAGE && memcmp(now, before, PAGE) == 0 ? "unchanged" : now);
    return 0;
  }
  if (argc == 2 && strcmp(argv[1], "unknown_state") == 0) {
    if (fork() == 0) unknown_state();
    puts("asleep");
    fflush(stdout);
    for (;;) pause();
  }
  for (unsigned i = 0; i < sizeof CALLS / sizeof *CALLS; i++) {
    printf("%s: %d\n", CALLS[i].name, gains(CALLS[i].run));
    fflush(stdout);
  }
  return 0;
}

// Guest programs that hold up the sentry: they say that they are in a call that the sentry has their stub carry out, and
// then do not carry it out; or, by ordinary calls, that keep their host process busy while it has commands to carry out
// (honest, map_beside, fork_beside). `stall MODE COUNT` starts that many of them, one after the other, and prints how long an
// honest process has waited for its own calls meanwhile (worst, milliseconds), and how many of them are left.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// Of native/src/slot.rs.
#define STUB_TEXT 0x7fe000000000ul
#define STATE_EVENT 1
#define STATE_RUN_SENTRY_ASLEEP 3
#define EVENT_SYSCALL (1u << 16)
#define ENTRY_CALL (1u << 20)
#define DOORBELL 1

// A `syscall` in the stub's text whose next instructions lead back to us: host calls of which the sentry hears nothing.
unsigned long gadget;
long by_gadget(long number, long a, long b, long c, long d, long e, long f);
__asm__(".globl by_gadget\nby_gadget:\n"
        " push %r12\n mov %rdi,%rax\n mov %rsi,%rdi\n mov %rdx,%rsi\n mov %rcx,%rdx\n mov %r8,%r10\n mov %r9,%r8\n"
        " mov 16(%rsp),%r9\n lea 1f(%rip),%rcx\n push %rcx\n push $0\n jmp *gadget(%rip)\n1: pop %r12\n ret\n");

static int findGadget(void) {
  const unsigned char *text = (const void *)STUB_TEXT;
  const unsigned char code[] = {0x0f, 0x05, 0x41, 0x5c, 0xc3};  // syscall; pop %r12; ret
  for (int at = 0; at < 0x3000; at++) {
    if (memcmp(text + at, code, sizeof code) == 0) return gadget = STUB_TEXT + at, 1;
  }
  return 0;
}

static volatile uint32_t *ownSlot(void) {
  unsigned long base;
  __asm__ volatile("rdgsbase %0" : "=r"(base));
  return (volatile uint32_t *)base;
}

static void ring(void) {
  uint64_t one = 1;
  by_gadget(SYS_write, DOORBELL, (long)&one, 8, 0, 0, 0);
}

// Posts call `number` as the stub does, with nobody behind it.
static void post(volatile uint32_t *slot, int number, long a, long b, long c, long d, long e, long f) {
  volatile uint64_t *words = (volatile uint64_t *)slot;
  long arguments[] = {a, b, c, d, e, f};
  for (int n = 0; n < 6; n++) words[1 + n] = arguments[n];
  slot[1] = number | EVENT_SYSCALL | ENTRY_CALL;
  if (__atomic_exchange_n(slot, STATE_EVENT, __ATOMIC_SEQ_CST) == STATE_RUN_SENTRY_ASLEEP) ring();
}
static void postMapping(volatile uint32_t *slot) {
  post(slot, SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void sleepForEver(void) {
  static int word;
  for (;;) by_gadget(SYS_futex, (long)&word, 128 /* FUTEX_WAIT_PRIVATE */, 0, 0, 0, 0);
}
static void burn(void) {
  for (volatile long turns = 0;; turns++);
}
static void *burning(void *nothing) {
  burn();
  return nothing;
}

#define POPULATE_BYTES (512ul << 20)
static char *populated;
// In the host's kernel nearly all of the time.
static void *paging(void *nothing) {
  for (;;) {
    by_gadget(SYS_madvise, (long)populated, POPULATE_BYTES, 23 /* MADV_POPULATE_WRITE */, 0, 0, 0);
    by_gadget(SYS_madvise, (long)populated, POPULATE_BYTES, MADV_DONTNEED, 0, 0, 0);
  }
  return nothing;
}

static void *pagingByCalls(void *nothing) {
  for (;;) {
    madvise(populated, POPULATE_BYTES, 23 /* MADV_POPULATE_WRITE */);
    madvise(populated, POPULATE_BYTES, MADV_DONTNEED);
  }
  return nothing;
}

// A wait with a timeout ends with it, also when the sentry has halted the process meanwhile.
static void *waiting(void *nothing) {
  for (;;) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    time.tv_nsec += 50000000;
    if (time.tv_nsec >= 1000000000) time.tv_sec++, time.tv_nsec -= 1000000000;
    sem_t never;
    sem_init(&never, 0, 0);
    if (sem_timedwait(&never, &time) != -1 || errno != ETIMEDOUT) _exit(1);
  }
  return nothing;
}
// Mappings that come and go, by ordinary calls: each is a command to the host process, which has other threads as well.
static void mapBeside(void) {
  pthread_t computes, pages;
  populated = mmap(NULL, POPULATE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  pthread_create(&computes, NULL, burning, NULL);
  pthread_create(&pages, NULL, pagingByCalls, NULL);
  for (;;) {
    void *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, 1 << 19, PROT_READ) || munmap(memory, 1 << 20)) _exit(1);
  }
}
// Processes that end while they are made, and their makers, without end.
static void forkBeside(void) {
  pthread_t computes;
  pthread_create(&computes, NULL, burning, NULL);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  for (;;) {
    pid_t child = fork();
    if (child < 0) _exit(1);
    if (child == 0) {
      pid_t maker = getpid();
      if (fork() == 0) kill(maker, SIGKILL);
      _exit(0);
    }
    while (waitpid(-1, NULL, 0) > 0) continue;
  }
}
// No attack: much memory at once, by calls that the host takes long for.
static void pageHonestly(void) {
  pthread_t other;
  pthread_create(&other, NULL, waiting, NULL);
  for (;;) {
    void *memory = mmap(NULL, POPULATE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    madvise(memory, POPULATE_BYTES, MADV_DONTNEED);
    madvise(memory, POPULATE_BYTES, 23 /* MADV_POPULATE_WRITE */);
    munmap(memory, POPULATE_BYTES);
  }
}

static void attack(const char *mode) {
  if (strcmp(mode, "honest") == 0) pageHonestly();
  if (strcmp(mode, "map_beside") == 0) mapBeside();
  if (strcmp(mode, "fork_beside") == 0) forkBeside();
  if (!findGadget()) _exit(2);
  pthread_t other;
  if (strcmp(mode, "burn_beside") == 0) pthread_create(&other, NULL, burning, NULL);
  if (strcmp(mode, "page_beside") == 0) {
    populated = mmap(NULL, POPULATE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    pthread_create(&other, NULL, paging, NULL);
    usleep(10000);
  }
  volatile uint32_t *slot = ownSlot();
  syscall(SYS_getpid);
  if (strcmp(mode, "fork") == 0) post(slot, SYS_fork, 0, 0, 0, 0, 0, 0);
  else if (strcmp(mode, "forge") == 0) {
    for (;;) {
      post(slot, SYS_getpid, 0, 0, 0, 0, 0, 0);
      ring();
    }
  } else postMapping(slot);
  if (strcmp(mode, "burn") == 0) burn();
  sleepForEver();
}

static long nowMicros(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

int main(int count, char **arguments) {
  if (count != 4) return 2;
  int attackers = atoi(arguments[2]);
  long seconds = atoi(arguments[3]);
  long worst = 0, end = nowMicros() + seconds * 1000000;
  int started = 0, left = 0;
  for (long last = nowMicros(); last < end;) {
    if (started < attackers) {
      pid_t child = fork();
      if (child == 0) attack(arguments[1]);
      started++;
    }
    usleep(1000);
    syscall(SYS_getppid);
    long now = nowMicros();
    if (now - last > worst) worst = now - last;
    last = now;
  }
  left = started;
  while (waitpid(-1, NULL, WNOHANG) > 0) left--;
  printf("started %d left %d worst %ld\n", started, left, worst / 1000);
  fflush(stdout);
  kill(0, SIGKILL);
}

// Waits for private futexes that the host may carry out: what ends them, under signals, stops, filters and exec. Every site
// is run often enough first to be a patched one.
#include "check.h"
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>

static volatile int word, word2, handled;
static char **self;

static long futex(volatile int *at, int operation, unsigned value, const void *timeout, volatile int *at2, unsigned value3) {
  return syscall(SYS_futex, at, operation, value, timeout, at2, value3);
}
static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}
static void handle(int signal) { handled += signal > 0; }
static void catch(int signal, int flags) {
  struct sigaction action = {.sa_handler = handle, .sa_flags = flags};
  sigaction(signal, &action, NULL);
}
static void await_handled(int count) {
  while (handled < count) usleep(1000);
  await_sleep();
}
static void start(void *(*body)(void *)) {
  pthread_t thread;
  pthread_create(&thread, NULL, body, NULL);
}
static long result(pthread_t thread) {
  void *value;
  pthread_join(thread, &value);
  return (long)value;
}
static long code(long result) { return result < 0 ? -errno : result; }

static void *wait_plain(void *argument) {
  enter_sleep();
  return (void *)code(futex(&word, FUTEX_WAIT_PRIVATE, (long)argument, NULL, NULL, 0));
}
static void *wait_relative(void *argument) {
  struct timespec time = {0, (long)argument % 1000 * 1000000};
  time.tv_sec = (long)argument / 1000;
  enter_sleep();
  return (void *)code(futex(&word, FUTEX_WAIT_PRIVATE, 0, &time, NULL, 0));
}
static void *wait_until(void *argument) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  time.tv_nsec += (long)argument * 1000000;
  time.tv_sec += time.tv_nsec / 1000000000;
  time.tv_nsec %= 1000000000;
  enter_sleep();
  return (void *)code(futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, &time, NULL, -1));
}
static void *wait_bits(void *argument) {
  enter_sleep();
  return (void *)code(futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, (long)argument));
}

static void warm_up(void) {
  for (int i = 0; i < 40; i++) futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void wakes(void) {
  pthread_t threads[3];
  for (int i = 0; i < 3; i++) threads[i] = start_sleeper(wait_plain, NULL);
  EQUALS("wakes one", 1, futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
  EQUALS("a shared wake is another's", 0, futex(&word, FUTEX_WAKE, 9, NULL, NULL, 0));
  EQUALS("wakes the rest", 2, futex(&word, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0));
  for (int i = 0; i < 3; i++) EQUALS("woken", 0, result(threads[i]));
  threads[0] = start_sleeper(wait_bits, (void *)1);
  threads[1] = start_sleeper(wait_bits, (void *)2);
  EQUALS("by bit 2", 1, futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 9, NULL, NULL, 2));
  EQUALS("by bit 1", 1, futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 9, NULL, NULL, 1));
  for (int i = 0; i < 2; i++) EQUALS("woken by bits", 0, result(threads[i]));
  for (int i = 0; i < 3; i++) threads[i] = start_sleeper(wait_plain, NULL);
  EQUALS("requeue", 2, futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)1, &word2, 0));
  EQUALS("one has moved", 1, futex(&word2, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0));
  EQUALS("one has not", 1, futex(&word, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0));
  for (int i = 0; i < 3; i++) EQUALS("woken after a requeue", 0, result(threads[i]));
  threads[0] = start_sleeper(wait_plain, NULL);
  EQUALS("wake op", 1, futex(&word2, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &word, FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_EQ, 0)));
  EQUALS("woken by an operation", 0, result(threads[0]));
  EQUALS("another value", -EAGAIN, (long)wait_plain((void *)7));
  FAILS("a bad address", EFAULT, futex(BAD, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0));
  FAILS("an address of nobody's", EFAULT, futex((int *)0x7fe100000000, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0));
  FAILS("an address beyond all", EFAULT, futex((int *)0xffff800000000000, FUTEX_WAKE_PRIVATE, 0, NULL, NULL, 0));
  FAILS("an odd address", EINVAL, futex((int *)((char *)&word + 2), FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
  FAILS("no bits", EINVAL, futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, 0));
  struct timespec bad = {0, 2000000000};
  FAILS("a bad time", EINVAL, futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, &bad, NULL, 1));
  FAILS("a bad relative time", EINVAL, futex(&word, FUTEX_WAIT_PRIVATE, 0, &bad, NULL, 0));
  FAILS("a bad pointer to a time", EFAULT, futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, BAD, NULL, 1));
}

static void limits(void) {
  double start = now();
  EQUALS("a relative time passes", -ETIMEDOUT, (long)wait_relative((void *)30));
  TRUE("not before", now() - start >= 0.03);
  start = now();
  EQUALS("an absolute time passes", -ETIMEDOUT, (long)wait_until((void *)30));
  TRUE("not sooner", now() - start >= 0.03);
  struct timespec past = {1, 0};
  FAILS("a time long ago", ETIMEDOUT, futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, &past, NULL, 1));
  FAILS("and by the wall clock", ETIMEDOUT, futex(&word, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 0, &past, NULL, 1));
}

static void signals(void) {
  catch(SIGUSR1, 0);
  catch(SIGUSR2, SA_RESTART);
  pthread_t thread = start_sleeper(wait_plain, NULL);
  pthread_kill(thread, SIGUSR1);
  EQUALS("a handler ends a wait", -EINTR, result(thread));
  EQUALS("it has run", 1, handled);
  thread = start_sleeper(wait_plain, NULL);
  pthread_kill(thread, SIGUSR2);
  await_handled(2);
  EQUALS("one that restarts does not", 1, futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
  EQUALS("woken after a handler", 0, result(thread));
  EQUALS("it has run too", 2, handled);
  thread = start_sleeper(wait_until, (void *)10000);
  pthread_kill(thread, SIGUSR2);
  EQUALS("a wait with a time ends with any handler", -EINTR, result(thread));
  thread = start_sleeper(wait_relative, (void *)10000);
  pthread_kill(thread, SIGUSR2);
  EQUALS("and one with a relative time", -EINTR, result(thread));
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  thread = start_sleeper(wait_plain, NULL);
  pthread_kill(thread, SIGUSR1);
  usleep(20000);
  EQUALS("a blocked signal ends nothing", 1, futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
  EQUALS("woken with a signal pending", 0, result(thread));
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  signal(SIGWINCH, SIG_DFL);
  thread = start_sleeper(wait_plain, NULL);
  pthread_kill(thread, SIGWINCH);
  usleep(20000);
  EQUALS("nor does an ignored one", 1, futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
  EQUALS("woken again", 0, result(thread));
}

/* A stop and its end are no reason to wait longer, or to return. */
static void stops(void) {
  int status, ends[2];
  if (pipe(ends) < 0) _exit(90);
  pid_t pid = fork();
  if (pid == 0) {
    double start = now();
    pthread_t plain = start_sleeper(wait_plain, NULL);
    write(ends[1], "w", 1);
    long relative = (long)wait_relative((void *)300);
    char text[] = {now() - start < 3, relative == -ETIMEDOUT, futex(&word, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0) == 1};
    _exit(write(ends[1], text, 3) == 3 && result(plain) == 0 ? 17 : 18);
  }
  char text[3] = {0};
  read(ends[0], text, 1);
  await_state(pid, 'S');
  kill(pid, SIGSTOP);
  TRUE("waiting threads stop", waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
  usleep(60000);
  kill(pid, SIGCONT);
  EQUALS("and wait on", 17, wait_code(pid));
  EQUALS("they tell", 3, read(ends[0], text, 3));
  TRUE("it did not begin anew", text[0]);
  TRUE("it timed out", text[1]);
  TRUE("the other was still there", text[2]);
  char path[64];
  pid = fork();
  if (pid == 0) _exit((int)(long)wait_plain(NULL));
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  while (stat_letter(path) == 'R') usleep(1000);
  SAYS("its state", "S", "%c", stat_letter(path));
  kill(pid, SIGKILL);
  EQUALS("killed in its wait", 1000 + SIGKILL, wait_code(pid));
}

static void *exec_now(void *argument) {
  char *arguments[] = {self[0], "arrived", NULL};
  execv("/proc/self/exe", arguments);
  return argument;
}
static void ends_of_processes(void) {
  pid_t pid = fork();
  if (pid == 0) { start_sleeper(wait_plain, NULL); start_sleeper(wait_until, (void *)900); _exit(41); }
  EQUALS("exit with threads that wait", 41, wait_code(pid));
  pid = fork();
  if (pid == 0) { start_sleeper(wait_plain, NULL); exec_now(NULL); }
  EQUALS("exec with a thread that waits", 51, wait_code(pid));
  pid = fork();
  if (pid == 0) { start(exec_now); wait_plain(NULL); }
  EQUALS("exec of a thread, the leader waits", 51, wait_code(pid));
}

/* A filter sees calls: its thread asks. Those it wakes and is woken by do not. */
static void *filtered(void *argument) {
  struct sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EDOM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog filter = {4, program};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0) return (void *)-1;
  for (int i = 0; i < 3; i++) {
    long got = (long)wait_plain(NULL);
    if (got != 0) return (void *)got;
    while (futex(&word2, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) == 0) usleep(1000);
  }
  return argument;
}
static void filters(void) {
  pthread_t thread = start_sleeper(filtered, (void *)5);
  int good = 1;
  for (int i = 0; i < 3; i++) {
    while (futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) == 0) usleep(1000);
    good &= futex(&word2, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0) == 0;
  }
  TRUE("back and forth with a filtered thread", good);
  EQUALS("it has ended", 5, result(thread));
}

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
static void *wait_for_two(void *argument) {
  struct { uint64_t value, address; uint32_t flags, reserved; } two[2] = {
      {0, (uint64_t)&word, 2 | 128, 0}, {0, (uint64_t)&word2, 2 | 128, 0}};
  enter_sleep();
  return argument == NULL ? (void *)code(syscall(SYS_futex_waitv, two, 2, 0, NULL, CLOCK_MONOTONIC)) : NULL;
}
static void several(void) {
  pthread_t plain = start_sleeper(wait_plain, NULL), both = start_sleeper(wait_for_two, NULL);
  EQUALS("a wake meets who waits for several", 1, futex(&word2, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0));
  EQUALS("it was the second", 1, result(both));
  both = start_sleeper(wait_for_two, NULL);
  EQUALS("a wake meets both kinds", 2, futex(&word, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0));
  EQUALS("it was the first", 0, result(both));
  EQUALS("and the plain one", 0, result(plain));
}

/* A ring of threads that hand a turn on while signals rain: no wake may be lost. */
enum { RING = 4, ROUNDS = 3000 };
static volatile int turn, is_over;
static void *ring(void *argument) {
  int mine = (int)(long)argument;
  for (int round = 0; round < ROUNDS; round++) {
    int seen;
    while ((seen = __atomic_load_n(&turn, __ATOMIC_SEQ_CST)) % RING != mine) futex(&turn, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    __atomic_store_n(&turn, seen + 1, __ATOMIC_SEQ_CST);
    futex(&turn, FUTEX_WAKE_PRIVATE, 99, NULL, NULL, 0);
  }
  return NULL;
}
static void *rain(void *argument) {
  pthread_t *threads = argument;
  for (int i = 0; !is_over; i++) {
    pthread_kill(threads[i % RING], i % 3 == 0 ? SIGUSR1 : SIGUSR2);
    usleep(300);
  }
  return NULL;
}
static void storm(void) {
  pthread_t threads[RING], signals;
  turn = RING * 100000;
  for (int i = 0; i < RING; i++) pthread_create(&threads[i], NULL, ring, (void *)(long)i);
  pthread_create(&signals, NULL, rain, threads);
  for (int i = 0; i < RING; i++) {
    /* Its id must last until no signal is sent to it any more. */
    while (turn != RING * 100000 + RING * ROUNDS) usleep(1000);
  }
  is_over = 1;
  pthread_join(signals, NULL);
  for (int i = 0; i < RING; i++) pthread_join(threads[i], NULL);
  EQUALS("every turn was had", 12000, turn - RING * 100000);
}

int main(int argc, char **argv) {
  self = argv;
  if (argc == 2) return 51;
  warm_up();
  wakes();
  limits();
  signals();
  stops();
  ends_of_processes();
  storm();
  filters();
  several();
  wakes();
  return 0;
}

// Condition variables over PI locks: FUTEX_WAIT_REQUEUE_PI and FUTEX_CMP_REQUEUE_PI of futex(2).
#include "check.h"
#include <linux/futex.h>

static volatile int condition, lock, other, handled;
static int private;

static long futex(volatile int *at, int operation, unsigned value, const void *timeout, volatile int *at2, unsigned value3) {
  return syscall(SYS_futex, at, operation | private, value, timeout, at2, value3);
}
static int tid(void) { return (int)syscall(SYS_gettid); }
static long code(long result) { return result < 0 ? -errno : result; }
static void handle(int signal) { handled += signal > 0; }

static void lock_pi(void) {
  if (!__sync_bool_compare_and_swap(&lock, 0, tid())) futex(&lock, FUTEX_LOCK_PI, 0, NULL, NULL, 0);
}
static void unlock_pi(void) {
  if (!__sync_bool_compare_and_swap(&lock, tid(), 0)) futex(&lock, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0);
}
static struct timespec *in_millis(struct timespec *time, int millis) {
  clock_gettime(CLOCK_MONOTONIC, time);
  time->tv_nsec += millis * 1000000L;
  time->tv_sec += time->tv_nsec / 1000000000;
  time->tv_nsec %= 1000000000;
  return time;
}

/* Waits; says what came, and whether the lock is its own then. */
static void *waiter(void *argument) {
  struct timespec time;
  long millis = (long)argument;
  void *timeout = millis == 0 ? NULL : in_millis(&time, millis);
  enter_sleep();
  long result = code(futex(&condition, FUTEX_WAIT_REQUEUE_PI, 0, timeout, &lock, 0));
  int is_mine = (lock & FUTEX_TID_MASK) == tid();
  if (is_mine) unlock_pi();
  return (void *)(result * 10 + is_mine);
}
static pthread_t waits(long millis) { return start_sleeper(waiter, (void *)millis); }
static long result(pthread_t thread) {
  void *value;
  pthread_join(thread, &value);
  return (long)value;
}
static long requeue(int wake, int move, int expected) {
  return futex(&condition, FUTEX_CMP_REQUEUE_PI, wake, (void *)(long)move, &lock, expected);
}

static void checks(void) {
  struct timespec soon;
  FAILS("the same word", EINVAL, futex(&condition, FUTEX_WAIT_REQUEUE_PI, 0, NULL, &condition, 0));
  FAILS("another value", EAGAIN, futex(&condition, FUTEX_WAIT_REQUEUE_PI, 5, NULL, &lock, 0));
  FAILS("a misaligned lock", EINVAL, futex(&condition, FUTEX_WAIT_REQUEUE_PI, 0, NULL, (int *)((char *)&lock + 1), 0));
  FAILS("a bad word", EFAULT, futex(BAD, FUTEX_WAIT_REQUEUE_PI, 0, NULL, &lock, 0));
  FAILS("a time that has passed", ETIMEDOUT, futex(&condition, FUTEX_WAIT_REQUEUE_PI, 0, in_millis(&soon, 1), &lock, 0));
  FAILS("requeue to the same word", EINVAL, futex(&condition, FUTEX_CMP_REQUEUE_PI, 1, (void *)1, &condition, 0));
  FAILS("requeue that wakes two", EINVAL, requeue(2, 1, 0));
  FAILS("requeue that wakes none", EINVAL, requeue(0, 1, 0));
  FAILS("requeue with another value", EAGAIN, requeue(1, 1, 7));
  EQUALS("requeue of nobody", 0, requeue(1, 9, 0));
  FAILS("requeue of less than nobody", EINVAL, requeue(1, -1, 0));

  pthread_t threads[3];
  threads[0] = waits(0);
  FAILS("wake of who waits for a lock", EINVAL, futex(&condition, FUTEX_WAKE, 1, NULL, NULL, 0));
  FAILS("plain requeue of who waits for a lock", EINVAL, futex(&condition, FUTEX_CMP_REQUEUE, 1, (void *)1, &other, 0));
  FAILS("requeue to another lock", EINVAL, futex(&condition, FUTEX_CMP_REQUEUE_PI, 1, (void *)1, &other, 0));
  EQUALS("requeue to a free lock", 1, requeue(1, 9, 0));
  EQUALS("has it", 1, result(threads[0]));
  EQUALS("free again", 0, lock);

  for (int i = 0; i < 3; i++) threads[i] = waits(0);
  EQUALS("requeue of one of three", 1, requeue(1, 0, 0));
  EQUALS("the first has it", 1, result(threads[0]));
  lock_pi();
  EQUALS("requeue to a taken lock", 2, requeue(1, 9, 0));
  TRUE("waiters are seen", (lock & FUTEX_WAITERS) != 0 && (lock & FUTEX_TID_MASK) == tid());
  unlock_pi();
  EQUALS("the second has it", 1, result(threads[1]));
  EQUALS("the third has it", 1, result(threads[2]));
  TRUE("nobody has it", (lock & FUTEX_TID_MASK) == 0);
  lock = 0;

  lock_pi();
  threads[0] = waits(400);
  EQUALS("requeue of who waits a while", 1, requeue(1, 9, 0));
  EQUALS("timed out", -1100, result(threads[0]));
  unlock_pi();
  EQUALS("timed out before it was moved", -1100, result(waits(20)));
  lock = 0;

  struct sigaction action = {.sa_handler = handle};
  sigaction(SIGUSR1, &action, NULL);
  threads[0] = waits(5000);
  int before = handled;
  pthread_kill(threads[0], SIGUSR1);
  while (handled == before) usleep(1000);
  await_sleep();
  EQUALS("requeue after a signal", 1, requeue(1, 9, 0));
  EQUALS("went on after a signal", 1, result(threads[0]));
  lock_pi();
  threads[0] = waits(0);
  EQUALS("requeue before a signal", 1, requeue(1, 9, 0));
  pthread_kill(threads[0], SIGUSR1);
  EQUALS("a signal after it was moved", -ETIMEDOUT, result(threads[0]));
  EQUALS("signals", private ? 4 : 2, handled);
  unlock_pi();
  lock = 0;
}

int main(void) {
  checks();
  private = FUTEX_PRIVATE_FLAG;
  checks();
  return 0;
}

// Threads and futexes: creation, joining, mutexes of every kind, futex(2) itself, exec and exit of threads.
#include "check.h"
#include <linux/futex.h>
#include <semaphore.h>

static long futex(void *word, int operation, unsigned value, const void *timeout, void *word2, unsigned value3) {
  return syscall(SYS_futex, word, operation, value, timeout, word2, value3);
}
static int private_word, other_word;
static char **self;

static void *add(void *argument) {
  for (int i = 0; i < 1000; i++) __atomic_add_fetch((int *)argument, 1, __ATOMIC_SEQ_CST);
  return (void *)5;
}
static void *tid_of(void *argument) { *(pid_t *)argument = syscall(SYS_gettid); return NULL; }

static void threads(void) {
  pthread_t list[16];
  int sum = 0;
  void *result;
  for (int i = 0; i < 16; i++) pthread_create(&list[i], NULL, add, &sum);
  for (int i = 0; i < 16; i++) pthread_join(list[i], &result);
  EQUALS("sixteen threads add", 16000, sum);
  EQUALS("join gives the result", 5, (long)result);
  pid_t tid = 0;
  pthread_create(&list[0], NULL, tid_of, &tid);
  pthread_join(list[0], NULL);
  TRUE("a thread has its own tid", tid != getpid() && tid > 0);
  /* join returns when the host zeroes the tid (CLONE_CHILD_CLEARTID), a moment before the thread is gone. */
  for (int i = 0; i < 1000 && syscall(SYS_tgkill, getpid(), tid, 0) == 0; i++) usleep(1000);
  FAILS("which is gone after join", ESRCH, syscall(SYS_tgkill, getpid(), tid, 0));
  for (int i = 0; i < 300; i++) {
    if (pthread_create(&list[0], NULL, add, &sum)) { SAYS("three hundred in turn", "316000", "failed at %d", i); return; }
    pthread_join(list[0], NULL);
  }
  SAYS("three hundred in turn", "316000", "%d", sum);
}

static pthread_mutex_t mutex;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static int shared_count, turns;
static void *count_locked(void *argument) {
  for (int i = 0; i < 2000; i++) { pthread_mutex_lock(&mutex); shared_count++; pthread_mutex_unlock(&mutex); }
  return argument;
}
static void *ping(void *argument) {
  int me = argument != NULL;
  for (int i = 0; i < 500; i++) {
    pthread_mutex_lock(&mutex);
    while (turns % 2 != me) pthread_cond_wait(&condition, &mutex);
    turns++;
    pthread_cond_broadcast(&condition);
    pthread_mutex_unlock(&mutex);
  }
  return NULL;
}
static void *die_with_lock(void *argument) { pthread_mutex_lock(argument); return NULL; }
static void *lock_later(void *argument) {
  enter_sleep();
  return (void *)(long)pthread_mutex_lock(argument);
}

static void mutex_kind(const char *name, int protocol, int robust, int shared) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setprotocol(&attributes, protocol);
  pthread_mutexattr_setrobust(&attributes, robust);
  pthread_mutexattr_setpshared(&attributes, shared);
  pthread_mutex_init(&mutex, &attributes);
  pthread_t list[4];
  shared_count = 0;
  for (int i = 0; i < 4; i++) pthread_create(&list[i], NULL, count_locked, NULL);
  for (int i = 0; i < 4; i++) pthread_join(list[i], NULL);
  EQUALS(name, 8000, shared_count);
  if (robust == PTHREAD_MUTEX_ROBUST) {
    void *result;
    pthread_create(&list[0], NULL, die_with_lock, &mutex);
    pthread_join(list[0], NULL);
    EQUALS("the owner has died", 1, pthread_mutex_lock(&mutex) == EOWNERDEAD);
    EQUALS("it can be made good", 0, pthread_mutex_consistent(&mutex));
    EQUALS("and unlocked", 0, pthread_mutex_unlock(&mutex));
    pthread_mutex_lock(&mutex);
    list[1] = start_sleeper(lock_later, &mutex);
    pthread_mutex_unlock(&mutex);
    pthread_join(list[1], &result);
    EQUALS("a waiter gets it", 0, (long)result);
    EQUALS("and dies with it", 1, pthread_mutex_lock(&mutex) == EOWNERDEAD);
    pthread_mutex_unlock(&mutex);
    EQUALS("never made good", 1, pthread_mutex_lock(&mutex) == ENOTRECOVERABLE);
  }
  pthread_mutex_destroy(&mutex);
}

static void mutexes(void) {
  mutex_kind("plain mutex", PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED, PTHREAD_PROCESS_PRIVATE);
  mutex_kind("shared mutex", PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED, PTHREAD_PROCESS_SHARED);
  mutex_kind("robust mutex", PTHREAD_PRIO_NONE, PTHREAD_MUTEX_ROBUST, PTHREAD_PROCESS_PRIVATE);
  mutex_kind("PI mutex", PTHREAD_PRIO_INHERIT, PTHREAD_MUTEX_STALLED, PTHREAD_PROCESS_PRIVATE);
  mutex_kind("robust PI mutex", PTHREAD_PRIO_INHERIT, PTHREAD_MUTEX_ROBUST, PTHREAD_PROCESS_PRIVATE);
  pthread_mutex_init(&mutex, NULL);
  pthread_t list[2];
  pthread_create(&list[0], NULL, ping, NULL);
  pthread_create(&list[1], NULL, ping, (void *)1);
  pthread_join(list[0], NULL);
  pthread_join(list[1], NULL);
  EQUALS("condition ping-pong", 1000, turns);
  struct timespec soon;
  clock_gettime(CLOCK_REALTIME, &soon);
  soon.tv_nsec += 20000000;
  if (soon.tv_nsec >= 1000000000) { soon.tv_sec++; soon.tv_nsec -= 1000000000; }
  pthread_mutex_lock(&mutex);
  EQUALS("timed wait ends", 1, pthread_cond_timedwait(&condition, &mutex, &soon) == ETIMEDOUT);
  pthread_mutex_unlock(&mutex);
  struct { sem_t there, back; } *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  sem_init(&shared->there, 1, 0);
  sem_init(&shared->back, 1, 0);
  pid_t pid = fork();
  if (pid == 0) {
    for (int i = 0; i < 200; i++) { sem_wait(&shared->there); sem_post(&shared->back); }
    _exit(4);
  }
  for (int i = 0; i < 200; i++) { sem_post(&shared->there); sem_wait(&shared->back); }
  EQUALS("semaphores between processes", 4, wait_code(pid));
  pthread_mutex_t *between = (void *)(shared + 1);
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutex_init(between, &attributes);
  pid = fork();
  if (pid == 0) { pthread_mutex_lock(between); sem_post(&shared->there); pause(); }
  sem_wait(&shared->there);
  kill(pid, SIGKILL);
  EQUALS("a process dies with a lock", 1, pthread_mutex_lock(between) == EOWNERDEAD);
  EQUALS("by a signal", 1000 + SIGKILL, wait_code(pid));
}

static void *wait_word(void *argument) {
  enter_sleep();
  long result = futex(&private_word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
  (void)argument;
  return (void *)(result == -1 ? -(long)errno : result);
}
static void *wait_bits(void *argument) {
  enter_sleep();
  return (void *)futex(&private_word, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, (long)argument);
}

static void operations(void) {
  struct timespec time = {0, 20000000}, bad = {0, 2000000000};
  FAILS("wait for another value", EAGAIN, futex(&private_word, FUTEX_WAIT, 7, NULL, NULL, 0));
  FAILS("wait times out", ETIMEDOUT, futex(&private_word, FUTEX_WAIT, 0, &time, NULL, 0));
  FAILS("wait with a bad time", EINVAL, futex(&private_word, FUTEX_WAIT, 0, &bad, NULL, 0));
  FAILS("wait with a bad time pointer", EFAULT, futex(&private_word, FUTEX_WAIT, 0, BAD, NULL, 0));
  FAILS("wait at a bad address", EFAULT, futex(BAD, FUTEX_WAIT, 0, NULL, NULL, 0));
  FAILS("private wait at a bad address", EFAULT, futex(BAD, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0));
  FAILS("wait at an odd address", EINVAL, futex((char *)&private_word + 1, FUTEX_WAIT, 0, NULL, NULL, 0));
  EQUALS("wake nobody", 0, futex(&private_word, FUTEX_WAKE, 1, NULL, NULL, 0));
  FAILS("wake at a bad address", EFAULT, futex(BAD, FUTEX_WAKE, 1, NULL, NULL, 0));
  EQUALS("private wake at a bad address", 0, futex(BAD, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
  FAILS("wait without bits", EINVAL, futex(&private_word, FUTEX_WAIT_BITSET, 0, NULL, NULL, 0));
  FAILS("wake without bits", EINVAL, futex(&private_word, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0));
  FAILS("an unknown operation", ENOSYS, futex(&private_word, 77, 1, NULL, NULL, 0));
  FAILS("a relative wait by the wall clock", ENOSYS, futex(&private_word, FUTEX_WAIT | FUTEX_CLOCK_REALTIME, 0, &time, NULL, 0));
  clock_gettime(CLOCK_REALTIME, &time);
  FAILS("a wall clock time that has passed", ETIMEDOUT, futex(&private_word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &time, NULL, 1));
  pthread_t list[6];
  void *result;
  for (int i = 0; i < 6; i++) list[i] = start_sleeper(wait_word, NULL);
  FAILS("compare and requeue with a wrong value", EAGAIN, futex(&private_word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)9, &other_word, 1));
  EQUALS("compare and requeue", 4, futex(&private_word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)3, &other_word, 0));
  EQUALS("two are left", 2, futex(&private_word, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0));
  EQUALS("three have moved", 3, futex(&other_word, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0));
  for (int i = 0; i < 6; i++) pthread_join(list[i], &result);
  EQUALS("each wait succeeds", 0, (long)result);
  FAILS("a negative requeue", EINVAL, futex(&private_word, FUTEX_REQUEUE_PRIVATE, 1, (void *)-1, &other_word, 0));
  for (long i = 0; i < 3; i++) list[i] = start_sleeper(wait_bits, (void *)(1L << i));
  EQUALS("a wake by bits", 2, futex(&private_word, FUTEX_WAKE_BITSET_PRIVATE, 9, NULL, NULL, 5));
  EQUALS("the other bit", 1, futex(&private_word, FUTEX_WAKE_BITSET_PRIVATE, 9, NULL, NULL, 2));
  for (int i = 0; i < 3; i++) pthread_join(list[i], NULL);
  list[0] = start_sleeper(wait_word, NULL);
  other_word = 5;
  EQUALS("wake op that compares", 1, futex(&other_word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &private_word, FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 0)));
  EQUALS("has changed the word", 3, private_word);
  pthread_join(list[0], NULL);
  FAILS("wake op by a bad operation", ENOSYS, futex(&other_word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &private_word, 7u << 28));
  EQUALS("wake op that shifts", 0, futex(&other_word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &private_word, FUTEX_OP(FUTEX_OP_OR | FUTEX_OP_OPARG_SHIFT, 4, FUTEX_OP_CMP_GT, 1)));
  EQUALS("sets the bit", 19, private_word);
  private_word = 0;
  EQUALS("lock PI", 0, futex(&private_word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
  TRUE("it holds the tid", private_word == syscall(SYS_gettid));
  FAILS("lock PI again", EDEADLK, futex(&private_word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
  EQUALS("unlock PI", 0, futex(&private_word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
  FAILS("unlock PI again", EPERM, futex(&private_word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
  private_word = 1 << 21;
  FAILS("lock PI of a stranger", ESRCH, futex(&private_word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
  private_word = 0;
  void *head;
  size_t length = 0;
  EQUALS("get_robust_list", 0, syscall(SYS_get_robust_list, 0, &head, &length));
  EQUALS("its length", 24, length);
  FAILS("set_robust_list with a bad length", EINVAL, syscall(SYS_set_robust_list, head, 8));
}

static void *spin(void *argument) { for (;;) ; return argument; }
static void *sleep_long(void *argument) { pause(); return argument; }
static void *exec_now(void *argument) {
  char *arguments[] = {self[0], "pid", argument, NULL};
  execv("/proc/self/exe", arguments);
  execv(self[0], arguments);
  _exit(88);
}
static void *exit_now(void *argument) { usleep(10000); _exit((int)(long)argument); }
static void *return_late(void *argument) { usleep(30000); return argument; }
static void *fault(void *argument) { *(volatile int *)argument = 1; return NULL; }

static void start(void *(*body)(void *), void *argument) {
  pthread_t thread;
  pthread_create(&thread, NULL, body, argument);
}

/* Calls that read and write memory, once the leader is a zombie: 0, or the number of the one that failed. */
static void *call_late(void *argument) {
  (void)argument;
  static char bytes[65536];
  usleep(50000);
  int fd = open(self[0], O_RDONLY);
  if (fd < 0) _exit(1);
  if (read(fd, bytes, sizeof bytes) < 4096 || memcmp(bytes, "\177ELF", 4) != 0) _exit(2);
  struct timespec time = {0, 1000};
  if (nanosleep(&time, NULL) < 0) _exit(3);
  int ends[2];
  if (pipe(ends) < 0 || write(ends[1], bytes, 4096) != 4096) _exit(4);
  if (read(ends[0], bytes + 8192, 4096) != 4096 || memcmp(bytes, bytes + 8192, 4096) != 0) _exit(5);
  _exit(0);
}

static void ends(void) {
  pid_t pid = fork();
  if (pid == 0) { start(spin, NULL); start(sleep_long, NULL); usleep(10000); _exit(11); }
  EQUALS("exit ends threads that run and sleep", 11, wait_code(pid));
  pid = fork();
  if (pid == 0) { start(exit_now, (void *)12); for (;;) ; }
  EQUALS("exit of another thread", 12, wait_code(pid));
  pid = fork();
  if (pid == 0) { start(return_late, NULL); pthread_exit(NULL); }
  EQUALS("the leader leaves first", 0, wait_code(pid));
  pid = fork();
  if (pid == 0) { start(call_late, NULL); pthread_exit(NULL); }
  EQUALS("calls reach memory after the leader has left", 0, wait_code(pid));
  pid = fork();
  if (pid == 0) { start(exit_now, (void *)13); pthread_exit(NULL); }
  EQUALS("and another sets the status", 13, wait_code(pid));
  pid = fork();
  if (pid == 0) { start(fault, BAD); for (;;) pause(); }
  EQUALS("a fault of a thread ends all", 1000 + SIGSEGV, wait_code(pid));
  pid = fork();
  if (pid == 0) { for (int i = 0; i < 4; i++) start(spin, NULL); for (;;) pause(); }
  usleep(20000);
  kill(pid, SIGKILL);
  EQUALS("SIGKILL ends spinning threads", 1000 + SIGKILL, wait_code(pid));
  char number[16];
  pid = fork();
  if (pid == 0) {
    snprintf(number, sizeof number, "%d", getpid());
    start(spin, NULL);
    start(sleep_long, NULL);
    start(exec_now, number);
    for (;;) pause();
  }
  EQUALS("exec of a thread keeps the process id", 31, wait_code(pid));
  pid = fork();
  if (pid == 0) {
    snprintf(number, sizeof number, "%d", getpid());
    start(spin, NULL);
    usleep(5000);
    exec_now(number);
  }
  EQUALS("exec of the leader ends the threads", 31, wait_code(pid));
  pid = fork();
  if (pid == 0) { start(spin, NULL); pid_t child = fork(); if (child == 0) _exit(21); _exit(wait_code(child)); }
  EQUALS("fork copies one thread", 21, wait_code(pid));
  pid = fork();
  if (pid == 0) { start(spin, NULL); start(sleep_long, NULL); for (;;) pause(); }
  usleep(20000);
  int status;
  kill(pid, SIGSTOP);
  TRUE("all threads stop", waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
  kill(pid, SIGCONT);
  TRUE("and go on", waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status));
  kill(pid, SIGTERM);
  EQUALS("and die", 1000 + SIGTERM, wait_code(pid));
}

int main(int argc, char **argv) {
  self = argv;
  if (argc == 3) return atoi(argv[2]) == getpid() && syscall(SYS_gettid) == getpid() ? 31 : 32;
  threads();
  mutexes();
  operations();
  ends();
  return 0;
}

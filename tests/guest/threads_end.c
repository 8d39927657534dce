// Threads in the middle of calls: processes that end then, as a Python program with daemon threads does, and calls that succeed
// and leave errno as it was. Each process is a fresh one, whose library nobody has used yet.
#include "check.h"
#include <semaphore.h>

#define PROCESSES 3
#define THREADS 8
#define TURNS 40 /* of each thread that looks at errno */

static volatile int wrong;
static sem_t has_run;

static void fail(void) { __atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST); }

static void *without_end(void *argument) {
  (void)argument;
  for (int turns = 0;; turns++) {
    char bytes[200];
    struct timespec brief = {0, 200000};
    int from = open("/proc/self/exe", O_RDONLY), to = open("/dev/null", O_WRONLY);
    if (from < 0 || to < 0 || read(from, bytes, sizeof bytes) != sizeof bytes) _exit(3);
    if (write(to, bytes, sizeof bytes) != sizeof bytes) _exit(4);
    nanosleep(&brief, NULL);
    close(from);
    close(to);
    if (turns == 1) sem_post(&has_run);
  }
}
/* By exit(3), once all have made calls. */
static int leave_threads(void) {
  sem_init(&has_run, 0, 0);
  for (int i = 0; i < THREADS; i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, without_end, NULL)) return 2;
  }
  for (int i = 0; i < THREADS; i++) while (sem_wait(&has_run)) continue;
  exit(0);
}

static void *without_errors(void *argument) {
  (void)argument;
  int file = open("/proc/self/exe", O_RDONLY), sink = open("/dev/null", O_WRONLY);
  if (file < 0 || sink < 0) fail();
  for (int i = 0; i < TURNS; i++) {
    char bytes[4];
    struct timespec brief = {0, 1000};
    errno = 0;
    if (syscall(SYS_sched_yield) != 0 || errno != 0) fail();
    if (pread(file, bytes, sizeof bytes, 0) != sizeof bytes || memcmp(bytes, "\177ELF", 4) || errno != 0) fail();
    if (write(sink, bytes, sizeof bytes) != sizeof bytes || errno != 0) fail();
    if (i % 16 == 0 && (syscall(SYS_nanosleep, &brief, NULL) != 0 || errno != 0)) fail();
  }
  return NULL;
}
static int count_errors(void) {
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++) if (pthread_create(&threads[i], NULL, without_errors, NULL)) return 2;
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  return wrong != 0;
}

/* Processes of several in which `run` has not answered 0. */
static int bad_of(int (*run)(void)) {
  int bad = 0;
  for (int i = 0; i < PROCESSES; i++) {
    pid_t child = fork();
    if (child == 0) _exit(run());
    if (wait_code(child) != 0) bad++;
  }
  return bad;
}

int main(void) {
  EQUALS("processes that do not end well with threads in the middle of calls", 0, bad_of(leave_threads));
  EQUALS("processes in which a call that succeeds sets errno or is wrong", 0, bad_of(count_errors));
  return 0;
}

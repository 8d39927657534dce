// What a thread begins with, however many have been before it: nothing of theirs, and its parent's where Linux says so.
#include "check.h"
#include <fenv.h>
#include <sched.h>
#include <ucontext.h>

static __thread int own = 7;
static volatile int shared;

static void *look(void *argument) {
  long bits = own == 7;
  own = 8;
  sigset_t set;
  pthread_sigmask(SIG_BLOCK, NULL, &set);
  bits |= (sigismember(&set, SIGUSR1) == 1) << 1;
  stack_t stack;
  sigaltstack(NULL, &stack);
  bits |= (stack.ss_flags == SS_DISABLE) << 2;
  bits |= (fegetround() == FE_UPWARD) << 3;
  volatile double third = 1.0;
  third /= 3;
  bits |= (third * 3 != 1.0) << 4;
  unsigned control;
  __asm__ volatile("stmxcsr %0" : "=m"(control));
  bits |= ((control >> 13 & 3) == 2) << 5;
  (void)argument;
  return (void *)bits;
}
static void *disturb(void *argument) {
  own = 99;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  static char area[16][65536];
  stack_t stack = {.ss_sp = area[(long)argument % 16], .ss_size = 65536};
  sigaltstack(&stack, NULL);
  fesetround(FE_DOWNWARD);
  char name[16];
  snprintf(name, sizeof name, "other-%ld", (long)argument);
  prctl(PR_SET_NAME, name);
  shared++;
  return NULL;
}
static void *name_of(void *argument) {
  prctl(PR_GET_NAME, argument);
  return NULL;
}
static void *pending(void *argument) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  pthread_kill(pthread_self(), SIGUSR1);
  return argument;
}
static void *is_pending(void *argument) {
  sigset_t set;
  sigpending(&set);
  return (void *)(long)(sigismember(&set, SIGUSR1) + (argument != NULL));
}
static void *vector(void *argument) {
  /* The upper halves of vector registers are the thread's own. */
  unsigned char out[16], in[16];
  memset(in, (int)(long)argument, 16);
  __asm__ volatile("movdqu %1, %%xmm9\n" : "=m"(out) : "m"(in) : "xmm9");
  for (int i = 0; i < 50; i++) {
    sched_yield();
    __asm__ volatile("" ::: "memory");
  }
  return argument;
}
static long run(void *(*body)(void *), void *argument) {
  pthread_t thread;
  void *result;
  if (pthread_create(&thread, NULL, body, argument) != 0) return -1;
  pthread_join(thread, &result);
  return (long)result;
}

int main(void) {
  for (long i = 0; i < 40; i++) run(disturb, (void *)i);
  EQUALS("threads before", 40, shared);
  char name[16];
  run(name_of, name);
  SAYS("its name", "reuse", "%s", name);
  EQUALS("fresh", 5, run(look, NULL));
  fesetround(FE_UPWARD);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  EQUALS("what its parent has", 63, run(look, NULL));
  EQUALS("and again", 63, run(look, NULL));
  fesetround(FE_TONEAREST);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  EQUALS("and not", 5, run(look, NULL));
  run(pending, NULL);
  EQUALS("a signal left pending", 0, run(is_pending, NULL));
  int good = 1;
  for (long i = 0; i < 300; i++) {
    pthread_t threads[6];
    for (long j = 0; j < 6; j++) pthread_create(&threads[j], NULL, vector, (void *)(i * 6 + j));
    for (long j = 0; j < 6; j++) {
      void *result;
      pthread_join(threads[j], &result);
      good &= (long)result == i * 6 + j;
    }
  }
  TRUE("many at once", good);
  for (int i = 0; i < 20; i++) {
    pid_t pid = fork();
    if (pid == 0) _exit(run(look, NULL) == run(look, NULL) ? 3 : 4);
    if (wait_code(pid) != 3) SAYS("a child's threads", "do not differ", "differ");
  }
  EQUALS("in a child", 40, shared);
  pid_t pid = fork();
  if (pid == 0) {
    for (long i = 0; i < 20; i++) run(disturb, (void *)i);
    execl("/bin/true", "true", NULL);
    _exit(9);
  }
  EQUALS("exec after threads", 0, wait_code(pid));
  return 0;
}

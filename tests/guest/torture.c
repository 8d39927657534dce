// Many threads at call sites that no thread has used yet: whatever a platform does to a site when it turns out to be used
// often, no thread may see a wrong result, register or flag. More threads than CPUs, with load beside them. Every expected
// value is known beforehand.
#include "check.h"
#include <semaphore.h>

#define THREADS 8
#define PAGE 4096UL
#define SITES 32         /* fresh ones of each shape in a round */
#define SITE_BYTES 64
#define CALLS 12         /* of each thread at each site: more than any platform needs to make up its mind */
#define ROUNDS 20
#define CHILDREN 6      /* processes, each with the C library's sites still fresh */
#define TURNS 60        /* of each primitive in each of them */

static volatile int wrong;
static pthread_barrier_t barrier;
static pid_t self;

static void fail(void) { __atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST); }

static void all(void *(*run)(void *)) {
  pthread_t list[THREADS];
  for (long i = 0; i < THREADS; i++) if (pthread_create(&list[i], NULL, run, (void *)i)) _exit(98);
  for (int i = 0; i < THREADS; i++) pthread_join(list[i], NULL);
}

/* --- fresh sites ----------------------------------------------------------------------------------------------------- */

enum { MOV, CMP, SHAPES };
static unsigned char *code;

/* MOV: mov $getpid,%eax; syscall; ret. CMP: mov %edi,%eax; syscall; cmp $-4096,%rax; ret, with its flags. */
static void put_sites(void) {
  for (int n = 0; n < SITES * SHAPES; n++) {
    /* At every distance from the ends of lines and pages. */
    unsigned char *at = code + n * SITE_BYTES + n * 5 % 48;
    unsigned char mov[] = {0xb8, SYS_getpid, 0, 0, 0, 0x0f, 0x05, 0xc3};
    unsigned char cmp[] = {0x89, 0xf8, 0x0f, 0x05, 0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff, 0xc3};
    if (n % SHAPES == MOV) memcpy(at, mov, sizeof mov);
    else memcpy(at, cmp, sizeof cmp);
  }
}
static void *site(int n) { return code + n * SITE_BYTES + n * 5 % 48; }

/* Calls a site with known registers; 0 where the result, a register or a flag is not what it has to be. */
static int is_right(int n, long number, long expected) {
  unsigned long result, flags;
  register unsigned long r8 __asm__("r8") = 0x8888, r9 __asm__("r9") = 0x9999, r10 __asm__("r10") = 0xaaaa;
  register void *target __asm__("r14") = site(n);
  register unsigned long r12 __asm__("r12") = 0xcccc, r15 __asm__("r15") = 0xffff;
  unsigned long rdi = number, rsi = 0x5151, rdx = 0xdddd, rbx = 0xb0b0;
  __asm__ volatile("sub $128, %%rsp\n stc\n call *%%r14\n pushfq\n pop %[flags]\n add $128, %%rsp\n"
                   : "=a"(result), [flags] "=&r"(flags), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+b"(rbx), "+r"(r8), "+r"(r9), "+r"(r10), "+r"(r12), "+r"(r15)
                   : "r"(target)
                   : "rcx", "r11", "memory", "cc");
  if ((long)result != expected) return 0;
  if (rdi != (unsigned long)number || rsi != 0x5151 || rdx != 0xdddd || rbx != 0xb0b0) return 0;
  if (r8 != 0x8888 || r9 != 0x9999 || r10 != 0xaaaa || r12 != 0xcccc || r15 != 0xffff) return 0;
  /* MOV leaves the carry as it was; CMP sets it when the result is below -4096, unsigned: for every result but an error. */
  int carry = flags & 1, zero = flags >> 6 & 1;
  if (n % SHAPES == MOV) return carry;
  return carry == (result < -4096UL) && !zero;
}

static void *at_fresh_sites(void *argument) {
  (void)argument;
  for (int n = 0; n < SITES * SHAPES; n++) {
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < CALLS; i++) {
      if (n % SHAPES == MOV) {
        if (!is_right(n, 0, self)) fail();
      } else if (!is_right(n, SYS_getpid, self) || !is_right(n, SYS_lseek, -EBADF) || !is_right(n, 511, -ENOSYS)) fail();
    }
  }
  return NULL;
}

static void fresh_sites(void) {
  unsigned long bytes = (SITES * SHAPES * SITE_BYTES + PAGE) & -PAGE;
  pthread_barrier_init(&barrier, NULL, THREADS);
  for (int round = 0; round < ROUNDS; round++) {
    code = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    put_sites();
    mprotect(code, bytes, PROT_READ | PROT_EXEC);
    all(at_fresh_sites);
    munmap(code, bytes);
  }
  pthread_barrier_destroy(&barrier);
}

/* --- the C library's own sites --------------------------------------------------------------------------------------- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static sem_t semaphores[THREADS];
static long turn, sum, both[2];
static int ring[THREADS][2], pairs[THREADS][2];

static void *in_turns(void *argument) {
  long me = (long)argument;
  for (int i = 0; i < TURNS; i++) {
    pthread_mutex_lock(&mutex);
    while (turn % THREADS != me) pthread_cond_wait(&turned, &mutex);
    turn++;
    pthread_cond_broadcast(&turned);
    pthread_mutex_unlock(&mutex);
  }
  return NULL;
}
static void *at_barriers(void *argument) {
  (void)argument;
  for (int i = 0; i < TURNS; i++) {
    pthread_barrier_wait(&barrier);
    if (syscall(SYS_getpid) != self) fail();
    if (syscall(SYS_tgkill, -1, 0, 0) != -1 || errno != EINVAL) fail();
  }
  return NULL;
}
static void *at_locks(void *argument) {
  long me = (long)argument;
  for (int i = 0; i < TURNS; i++) {
    if ((i + me) % 4 == 0) {
      pthread_rwlock_wrlock(&rwlock);
      both[0]++;
      if (i % 8 == 0) sched_yield();
      both[1]++;
      pthread_rwlock_unlock(&rwlock);
    } else {
      pthread_rwlock_rdlock(&rwlock);
      if (both[0] != both[1]) fail();
      pthread_rwlock_unlock(&rwlock);
    }
    pthread_mutex_lock(&mutex);
    sum++;
    pthread_mutex_unlock(&mutex);
  }
  return NULL;
}
static void *at_semaphores(void *argument) {
  long me = (long)argument;
  for (int i = 0; i < TURNS; i++) {
    while (sem_wait(&semaphores[me])) if (errno != EINTR) { fail(); return NULL; }
    sem_post(&semaphores[(me + 1) % THREADS]);
  }
  return NULL;
}
/* A number goes round by pipes and by sockets; each thread adds one. */
static void *at_pipes(void *argument) {
  long me = (long)argument, next = (me + 1) % THREADS;
  for (int i = 0; i < TURNS; i++) {
    long number = -1;
    if (read(ring[me][0], &number, sizeof number) != sizeof number || number != i * THREADS + me) fail();
    number++;
    if (write(ring[next][1], &number, sizeof number) != sizeof number) fail();
    if (send(pairs[next][1], &number, sizeof number, 0) != sizeof number) fail();
    if (recv(pairs[me][0], &number, sizeof number, 0) != sizeof number) fail();
    if (recv(ring[me][0], &number, sizeof number, 0) != -1 || errno != ENOTSOCK) fail();
    struct timespec brief = {0, 1000};
    if (i % 64 == 0 && nanosleep(&brief, NULL)) fail();
    struct pollfd one = {ring[me][1], POLLOUT, 0};
    if (poll(&one, 1, 0) != 1 || one.revents != POLLOUT) fail();
  }
  return NULL;
}

/* A process of its own, whose library nobody has used: its wrong results as exit status. */
static int library_child(void) {
  self = getpid();
  wrong = 0;
  pthread_barrier_init(&barrier, NULL, THREADS);
  for (int i = 0; i < THREADS; i++) {
    sem_init(&semaphores[i], 0, i == 0);
    if (pipe(ring[i]) || socketpair(AF_UNIX, SOCK_DGRAM, 0, pairs[i])) return 97;
  }
  all(at_barriers);
  all(in_turns);
  if (turn != THREADS * TURNS) fail();
  all(at_locks);
  if (sum != THREADS * TURNS || both[0] != both[1]) fail();
  all(at_semaphores);
  long zero = 0;
  if (write(ring[0][1], &zero, sizeof zero) != sizeof zero) fail();
  all(at_pipes);
  return wrong == 0 ? 0 : 1;
}

int main(void) {
  self = getpid();
  /* Load: as many processes as there are CPUs, that compute. */
  pid_t load[2];
  for (int i = 0; i < 2; i++) {
    load[i] = fork();
    if (load[i] == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      for (volatile long n = 0;; n++) continue;
    }
  }
  int bad = 0;
  for (int i = 0; i < CHILDREN; i++) {
    pid_t child = fork();
    if (child == 0) _exit(library_child());
    if (wait_code(child) != 0) bad++;
  }
  EQUALS("processes with wrong results at barriers, conditions, locks, semaphores, pipes", 0, bad);
  pid_t child = fork();
  if (child == 0) {
    self = getpid();
    fresh_sites();
    _exit(wrong > 200 ? 200 : wrong);
  }
  EQUALS("wrong results, registers or flags at fresh sites", 0, wait_code(child));
  for (int i = 0; i < 2; i++) {
    kill(load[i], SIGKILL);
    waitpid(load[i], NULL, 0);
  }
  return 0;
}

// What programs and threads have used: thread CPU clocks, getrusage(2), wait4(2), times(2), /proc/PID/stat.
#include "check.h"

static double seconds_of(clockid_t clock) {
  struct timespec time;
  if (clock_gettime(clock, &time) < 0) return -1;
  return time.tv_sec + time.tv_nsec / 1e9;
}
static double user_of(const struct rusage *usage) { return usage->ru_utime.tv_sec + usage->ru_utime.tv_usec / 1e6; }
static double system_of(const struct rusage *usage) { return usage->ru_stime.tv_sec + usage->ru_stime.tv_usec / 1e6; }

static void burn(double seconds) {
  double start = seconds_of(CLOCK_THREAD_CPUTIME_ID);
  while (seconds_of(CLOCK_THREAD_CPUTIME_ID) < start + seconds)
    for (volatile int i = 0; i < 20000; i++);
}
static void *burn_in_thread(void *seconds) {
  burn(*(double *)seconds);
  return NULL;
}

/* Has used 0.2 s and waits to be looked at. */
static pthread_barrier_t burnt, looked;
static volatile clockid_t clock_of_thread;
static volatile double first_reading, rusage_of_thread;
static void *burn_and_wait(void *unused) {
  clockid_t clock;
  first_reading = seconds_of(CLOCK_THREAD_CPUTIME_ID);
  pthread_getcpuclockid(pthread_self(), &clock);
  clock_of_thread = clock;
  burn(0.2);
  struct rusage usage;
  getrusage(RUSAGE_THREAD, &usage);
  rusage_of_thread = user_of(&usage) + system_of(&usage);
  pthread_barrier_wait(&burnt);
  pthread_barrier_wait(&looked);
  return unused;
}

static void thread_clocks(void) {
  double start = seconds_of(CLOCK_THREAD_CPUTIME_ID);
  pthread_t thread;
  for (int round = 0; round < 2; round++) { /* the second thread may get what the first has left */
    pthread_barrier_init(&burnt, NULL, 2);
    pthread_barrier_init(&looked, NULL, 2);
    pthread_create(&thread, NULL, burn_and_wait, NULL);
    pthread_barrier_wait(&burnt);
    double others = seconds_of(clock_of_thread);
    TRUE("a thread begins with no CPU time", first_reading < 0.1);
    TRUE("a thread's clock tells its time", others > 0.15 && others < 0.35);
    TRUE("RUSAGE_THREAD too", rusage_of_thread > 0.15 && rusage_of_thread < 0.35);
    TRUE("the main thread has not worked meanwhile", seconds_of(CLOCK_THREAD_CPUTIME_ID) - start < 0.1);
    pthread_barrier_wait(&looked);
    pthread_join(thread, NULL);
  }
  TRUE("the process has the time of all", seconds_of(CLOCK_PROCESS_CPUTIME_ID) > 0.35);
  double before = seconds_of(CLOCK_THREAD_CPUTIME_ID);
  for (volatile int i = 0; i < 100000; i++);
  TRUE("a thread's clock moves with each reading", seconds_of(CLOCK_THREAD_CPUTIME_ID) > before);
}

static volatile int rung;
static void ring(int signal) { rung = signal; }
static void thread_timers(void) {
  signal(SIGUSR1, ring);
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
  timer_t timer;
  EQUALS("a timer on the own CPU time", 0, timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer));
  struct itimerspec in_50_millis = {.it_value = {0, 50000000}};
  timer_settime(timer, 0, &in_50_millis, NULL);
  double work = 0.2;
  pthread_t thread;
  sigset_t blocked;
  sigemptyset(&blocked);
  pthread_create(&thread, NULL, burn_in_thread, &work);
  pthread_join(thread, NULL);
  TRUE("another thread's work does not fire it", rung == 0);
  burn(0.15);
  TRUE("the own does", rung == SIGUSR1);
  timer_delete(timer);
}

static void user_and_system(void) {
  struct rusage before, after;
  getrusage(RUSAGE_SELF, &before);
  double until = now_seconds() + 30;
  do {
    for (volatile int i = 0; i < 100000000; i++);
    getrusage(RUSAGE_SELF, &after);
  } while (user_of(&after) - user_of(&before) < 0.1 && now_seconds() < until);
  TRUE("work is user time", user_of(&after) - user_of(&before) >= 0.1);
  getrusage(RUSAGE_SELF, &before);
  char byte;
  int zero = open("/dev/zero", O_RDONLY), null = open("/dev/null", O_WRONLY);
  static char block[1 << 20];
  do {
    for (int i = 0; i < 100; i++) {
      if (read(zero, &byte, 1) != 1 || write(null, block, sizeof block) != sizeof block) break;
      int self = open("/proc/self/status", O_RDONLY);
      if (read(self, block, sizeof block) < 10) break;
      close(self);
    }
    getrusage(RUSAGE_SELF, &after);
  } while (system_of(&after) - system_of(&before) < 0.02 && now_seconds() < until);
  TRUE("calls are system time", system_of(&after) - system_of(&before) >= 0.02);
  struct tms tms;
  times(&tms);
  TRUE("times() has it", tms.tms_stime > 0 && tms.tms_utime > 0);
  unsigned long user = 0, system = 0, faults = 0;
  FILE *stat = fopen("/proc/self/stat", "r");
  fscanf(stat, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %lu %*u %*u %*u %lu %lu", &faults, &user, &system);
  fclose(stat);
  TRUE("/proc/self/stat too", user >= tms.tms_utime && system >= tms.tms_stime && faults > 0);
}

static void ended_children(void) {
  struct rusage usage, sum;
  struct tms tms;
  pid_t pid = fork();
  if (pid == 0) {
    size_t bytes = 48 << 20;
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(memory, 1, bytes);
    burn(0.2);
    usleep(1000);
    _exit(0);
  }
  int status;
  TRUE("wait4", wait4(pid, &status, 0, &usage) == pid);
  TRUE("the peak of an ended child", usage.ru_maxrss > 48 * 1024 && usage.ru_maxrss < 200 * 1024);
  TRUE("its faults", usage.ru_minflt > 10);
  TRUE("its CPU time", user_of(&usage) + system_of(&usage) > 0.15);
  TRUE("its switches", usage.ru_nvcsw > 0);
  getrusage(RUSAGE_CHILDREN, &sum);
  TRUE("RUSAGE_CHILDREN has the peak", sum.ru_maxrss >= usage.ru_maxrss);
  TRUE("and the faults", sum.ru_minflt >= usage.ru_minflt);
  TRUE("and the time", user_of(&sum) >= user_of(&usage));
  times(&tms);
  TRUE("times() has the time of children", tms.tms_cutime + tms.tms_cstime >= 15);
  struct rusage of_waitid;
  siginfo_t info;
  pid = fork();
  if (pid == 0) {
    burn(0.1);
    _exit(0);
  }
  EQUALS("waitid with rusage", 0, syscall(SYS_waitid, P_PID, pid, &info, WEXITED, &of_waitid));
  TRUE("it says the peak", of_waitid.ru_maxrss > 100);
  TRUE("and the time", user_of(&of_waitid) + system_of(&of_waitid) > 0.05);
  struct rusage self;
  getrusage(RUSAGE_SELF, &self);
  TRUE("the own peak", self.ru_maxrss > 100);
  TRUE("the own faults", self.ru_minflt > 10);
}

static void own_cpu(void) {
  cpu_set_t all, one;
  sched_getaffinity(0, sizeof all, &all);
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET(cpu, &all)) continue;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
    unsigned found = -1, node = -1;
    syscall(SYS_getcpu, &found, &node, NULL);
    if (found != (unsigned)cpu) SAYS("getcpu says the CPU it is bound to", "that", "%u, not %d", found, cpu);
  }
  sched_setaffinity(0, sizeof all, &all);
  EQUALS("getcpu without a place for the answers", 0, syscall(SYS_getcpu, NULL, NULL, NULL));
  FAILS("getcpu to a bad address", EFAULT, syscall(SYS_getcpu, BAD, NULL, NULL));
  FAILS("and for the node", EFAULT, syscall(SYS_getcpu, NULL, BAD, NULL));
  TRUE("the CPU and the node", syscall(SYS_getcpu, &(unsigned){0}, &(unsigned){0}, NULL) == 0);
}

int main(void) {
  own_cpu();
  thread_clocks();
  thread_timers();
  user_and_system();
  ended_children();
  return 0;
}

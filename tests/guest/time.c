// Clocks and timers: reading, sleeping, interval timers, POSIX timers, timerfd. Times are compared, never printed.
#include "check.h"
#include <sys/resource.h>

static volatile int caught, caught_code, caught_value, caught_overrun;
static void count(int number) { caught++; (void)number; }
static void note(int number, siginfo_t *info, void *context) {
  if (caught++ == 0) caught_overrun = info->si_overrun;
  caught_code = info->si_code;
  caught_value = info->si_value.sival_int;
  (void)number;
  (void)context;
}

static double seconds_of(clockid_t clock) {
  struct timespec time = {-1, -1};
  if (clock_gettime(clock, &time) != 0) return -1;
  return time.tv_sec + time.tv_nsec / 1e9;
}
static int is_between(double value, double low, double high) { return value >= low && value <= high; }

static void clocks(void) {
  static const struct { const char *name; clockid_t clock; } all[] = {
    {"REALTIME", CLOCK_REALTIME}, {"MONOTONIC", CLOCK_MONOTONIC}, {"MONOTONIC_RAW", CLOCK_MONOTONIC_RAW},
    {"REALTIME_COARSE", CLOCK_REALTIME_COARSE}, {"MONOTONIC_COARSE", CLOCK_MONOTONIC_COARSE},
    {"BOOTTIME", CLOCK_BOOTTIME}, {"TAI", CLOCK_TAI}, {"PROCESS", CLOCK_PROCESS_CPUTIME_ID},
    {"THREAD", CLOCK_THREAD_CPUTIME_ID},
  };
  for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
    struct timespec time;
    char name[64];
    snprintf(name, sizeof name, "clock_gettime %s", all[i].name);
    EQUALS(name, 0, syscall(SYS_clock_gettime, all[i].clock, &time));
    TRUE(name, time.tv_nsec >= 0 && time.tv_nsec < 1000000000);
    snprintf(name, sizeof name, "clock_getres %s", all[i].name);
    EQUALS(name, 0, syscall(SYS_clock_getres, all[i].clock, &time));
  }
  struct timespec time;
  FAILS("a clock of nobody", EINVAL, syscall(SYS_clock_gettime, 99, &time));
  FAILS("clock_gettime at a bad address", EFAULT, syscall(SYS_clock_gettime, CLOCK_REALTIME, BAD));
  EQUALS("clock_getres at no address", 0, syscall(SYS_clock_getres, CLOCK_REALTIME, NULL));
  TRUE("the vDSO and the call agree", is_between(seconds_of(CLOCK_MONOTONIC) -
    (syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &time), time.tv_sec + time.tv_nsec / 1e9), -0.5, 0.5));
  struct timeval now;
  EQUALS("gettimeofday", 0, syscall(SYS_gettimeofday, &now, NULL));
  TRUE("is the wall clock", is_between(now.tv_sec - seconds_of(CLOCK_REALTIME), -2, 2));
  TRUE("time", labs((long)syscall(SYS_time, NULL) - now.tv_sec) <= 1);
  FAILS("gettimeofday at a bad address", EFAULT, syscall(SYS_gettimeofday, BAD, NULL));
  clockid_t clock;
  EQUALS("clock of process 0", 0, clock_getcpuclockid(0, &clock));
  EQUALS("can be read", 0, clock_gettime(clock, &time));
  FAILS("clock of a stranger", EINVAL, clock_gettime((~(1 << 21) << 3) | 2, &time));
  time = (struct timespec){0, 1000000000};
  FAILS("clock_settime of nonsense", EINVAL, clock_settime(CLOCK_REALTIME, &time));
  FAILS("clock_settime of MONOTONIC", EINVAL, clock_settime(CLOCK_MONOTONIC, &time));
  double before = seconds_of(CLOCK_PROCESS_CPUTIME_ID), start = now_seconds();
  /* Until it shows: on a busy machine little of the time is ours. */
  while (now_seconds() - start < 0.05 ||
         (now_seconds() - start < 20 && seconds_of(CLOCK_PROCESS_CPUTIME_ID) - before <= 0.01)) continue;
  TRUE("work counts as CPU time", seconds_of(CLOCK_PROCESS_CPUTIME_ID) - before > 0.01);
  before = seconds_of(CLOCK_THREAD_CPUTIME_ID);
  usleep(50000);
  TRUE("sleep does not", seconds_of(CLOCK_THREAD_CPUTIME_ID) - before < 0.04);
  struct tms usage;
  TRUE("times", times(&usage) > 0 && usage.tms_utime + usage.tms_stime >= 0);
}

static void sleeps(void) {
  struct timespec time = {0, 30000000}, left;
  double start = now_seconds();
  EQUALS("nanosleep", 0, nanosleep(&time, NULL));
  TRUE("takes its time", is_between(now_seconds() - start, 0.03, 1));
  time = (struct timespec){0, -1};
  FAILS("nanosleep of a negative time", EINVAL, nanosleep(&time, NULL));
  time = (struct timespec){-1, 0};
  FAILS("nanosleep before the epoch", EINVAL, nanosleep(&time, NULL));
  FAILS("nanosleep at a bad address", EFAULT, syscall(SYS_nanosleep, BAD, NULL));
  time = (struct timespec){0, 0};
  EQUALS("nanosleep of nothing", 0, nanosleep(&time, NULL));
  clock_gettime(CLOCK_MONOTONIC, &time);
  time.tv_nsec += 30000000;
  if (time.tv_nsec >= 1000000000) time.tv_nsec -= 1000000000, time.tv_sec++;
  start = now_seconds();
  EQUALS("sleep to an instant", 0, clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL));
  TRUE("it comes", is_between(now_seconds() - start, 0.025, 1));
  EQUALS("an instant that is over", 0, clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL));
  clock_gettime(CLOCK_REALTIME, &time);
  time.tv_nsec += 30000000;
  if (time.tv_nsec >= 1000000000) time.tv_nsec -= 1000000000, time.tv_sec++;
  start = now_seconds();
  EQUALS("an instant of the wall clock", 0, clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &time, NULL));
  TRUE("it comes too", is_between(now_seconds() - start, 0.02, 1));
  FAILS("sleep on the thread's clock", EOPNOTSUPP, syscall(SYS_clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, &time, NULL));
  FAILS("sleep on a raw clock", EOPNOTSUPP, syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC_RAW, 0, &time, NULL));
  FAILS("sleep on no clock", EINVAL, syscall(SYS_clock_nanosleep, 77, 0, &time, NULL));

  struct sigaction action = {.sa_handler = count};
  sigaction(SIGALRM, &action, NULL);
  struct itimerval soon = {.it_value = {0, 20000}};
  setitimer(ITIMER_REAL, &soon, NULL);
  time = (struct timespec){5, 0};
  FAILS("nanosleep interrupted", EINTR, nanosleep(&time, &left));
  TRUE("what is left", is_between(left.tv_sec + left.tv_nsec / 1e9, 4, 4.99));
  pid_t child = fork();
  if (child == 0) {
    time = (struct timespec){0, 100000000};
    start = now_seconds();
    int result = nanosleep(&time, NULL);
    _exit(result == 0 && is_between(now_seconds() - start, 0.1, 1));
  }
  await_state(child, 'S');
  kill(child, SIGSTOP);
  await_state(child, 'T');
  kill(child, SIGCONT);
  EQUALS("a stop does not end a sleep", 1, wait_code(child));
}

static void interval_timers(void) {
  struct itimerval value = {{0, 10000}, {0, 10000}}, old;
  struct sigaction action = {.sa_handler = count};
  sigaction(SIGALRM, &action, NULL);
  sigaction(SIGPROF, &action, NULL);
  caught = 0;
  EQUALS("setitimer", 0, setitimer(ITIMER_REAL, &value, NULL));
  while (caught < 3) pause();
  EQUALS("getitimer", 0, getitimer(ITIMER_REAL, &old));
  TRUE("its interval", old.it_interval.tv_usec == 10000 && old.it_value.tv_usec <= 10000);
  value = (struct itimerval){{0, 0}, {0, 0}};
  EQUALS("stop it", 0, setitimer(ITIMER_REAL, &value, &old));
  TRUE("it ran", old.it_interval.tv_usec == 10000);
  getitimer(ITIMER_REAL, &old);
  TRUE("it runs no more", old.it_value.tv_sec == 0 && old.it_value.tv_usec == 0);
  value.it_value.tv_usec = 1000000;
  FAILS("too many microseconds", EINVAL, setitimer(ITIMER_REAL, &value, NULL));
  FAILS("no such timer", EINVAL, setitimer(3, &old, NULL));
  FAILS("getitimer of none", EINVAL, getitimer(3, &old));
  FAILS("getitimer at a bad address", EFAULT, getitimer(ITIMER_REAL, (void *)BAD));
  EQUALS("alarm", 0, alarm(10));
  EQUALS("alarm again", 10, alarm(0));
  EQUALS("alarm was off", 0, alarm(0));
  caught = 0;
  value = (struct itimerval){{0, 0}, {0, 20000}};
  EQUALS("ITIMER_PROF", 0, setitimer(ITIMER_PROF, &value, NULL));
  double start = now_seconds();
  while (caught == 0 && now_seconds() - start < 3) continue;
  EQUALS("fires while we work", 1, caught);
  caught = 0;
  value = (struct itimerval){{0, 0}, {0, 50000}};
  setitimer(ITIMER_REAL, &value, NULL);
  pid_t child = fork();
  if (child == 0) {
    getitimer(ITIMER_REAL, &old);
    _exit(old.it_value.tv_usec == 0);
  }
  EQUALS("a child has no timers", 1, wait_code(child));
  while (caught == 0) pause();
}

static void posix_timers(void) {
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
  struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
  sigaction(SIGUSR1, &action, NULL);
  sigaction(SIGALRM, &action, NULL);
  timer_t timer, second;
  event.sigev_value.sival_int = 4711;
  EQUALS("timer_create", 0, timer_create(CLOCK_MONOTONIC, &event, &timer));
  struct itimerspec value = {{0, 0}, {0, 20000000}}, old;
  caught = 0;
  EQUALS("timer_settime", 0, timer_settime(timer, 0, &value, NULL));
  EQUALS("timer_gettime", 0, timer_gettime(timer, &old));
  TRUE("what is left", old.it_value.tv_sec == 0 && old.it_value.tv_nsec > 0 && old.it_value.tv_nsec <= 20000000);
  while (caught == 0) pause();
  TRUE("its signal", caught_code == SI_TIMER && caught_value == 4711);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, NULL);
  value = (struct itimerspec){{0, 5000000}, {0, 5000000}};
  double armed = now_seconds();
  timer_settime(timer, 0, &value, NULL);
  usleep(100000);
  caught = 0;
  double unblocked = now_seconds();
  sigprocmask(SIG_UNBLOCK, &set, NULL);
  int times = caught;
  /* It may have fired again by now where the machine is busy. */
  TRUE("one signal with overruns", times >= 1 && times <= 2 + (now_seconds() - unblocked) / 0.005 && caught_overrun > 5 &&
                                       caught_overrun <= (now_seconds() - armed) / 0.005);
  /* Unless it has fired once more in between. */
  TRUE("timer_getoverrun", timer_getoverrun(timer) == caught_overrun || caught != 1);
  value = (struct itimerspec){{0, 0}, {0, 0}};
  EQUALS("disarm", 0, timer_settime(timer, 0, &value, &old));
  TRUE("it was armed", old.it_interval.tv_nsec == 5000000);
  value.it_value.tv_nsec = 1000000000;
  value = (struct itimerspec){{0, 500000000}, {0, 0}};
  timer_settime(timer, 0, &value, NULL);
  timer_gettime(timer, &old);
  EQUALS("disarmed it has no interval", 0, old.it_interval.tv_nsec);
  value.it_value.tv_nsec = 1000000000;
  FAILS("a bad time", EINVAL, timer_settime(timer, 0, &value, NULL));
  EQUALS("timer_delete", 0, timer_delete(timer));
  FAILS("timer_delete again", EINVAL, syscall(SYS_timer_delete, timer));
  event.sigev_signo = 99;
  FAILS("a bad signal", EINVAL, timer_create(CLOCK_MONOTONIC, &event, &timer));
  event.sigev_signo = SIGUSR1;
  event.sigev_notify = 77;
  FAILS("a bad notification", EINVAL, timer_create(CLOCK_MONOTONIC, &event, &timer));
  FAILS("a bad clock", EINVAL, timer_create(77, NULL, &timer));
  event.sigev_notify = SIGEV_NONE;
  EQUALS("without a signal", 0, timer_create(CLOCK_MONOTONIC, &event, &second));
  value = (struct itimerspec){{0, 0}, {0, 1000000}};
  timer_settime(second, 0, &value, NULL);
  usleep(10000);
  timer_gettime(second, &old);
  TRUE("it has run out", old.it_value.tv_sec == 0 && old.it_value.tv_nsec == 0);
  timer_delete(second);
  EQUALS("with SIGALRM by default", 0, timer_create(CLOCK_REALTIME, NULL, &timer));
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  value = (struct itimerspec){{0, 0}, {now.tv_sec, now.tv_nsec}};
  caught = 0;
  EQUALS("at an instant that is over", 0, timer_settime(timer, TIMER_ABSTIME, &value, NULL));
  double start = now_seconds();
  while (caught == 0 && now_seconds() - start < 3) usleep(1000);
  EQUALS("fires at once", 1, caught);
  timer_delete(timer);
  event.sigev_notify = SIGEV_SIGNAL;
  EQUALS("on CPU time", 0, timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &timer));
  value = (struct itimerspec){{0, 0}, {0, 20000000}};
  timer_settime(timer, 0, &value, NULL);
  caught = 0;
  start = now_seconds();
  while (caught == 0 && now_seconds() - start < 3) continue;
  EQUALS("fires while we work", 1, caught);
  timer_delete(timer);
}

static void timerfds(void) {
  uint64_t ticks = 0;
  FAILS("timerfd_create of a bad clock", EINVAL, timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0));
  FAILS("timerfd_create with bad flags", EINVAL, timerfd_create(CLOCK_MONOTONIC, 1));
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  FAILS("read of an idle one", EAGAIN, read(fd, &ticks, 8));
  struct itimerspec value = {{0, 10000000}, {0, 20000000}}, old;
  EQUALS("timerfd_settime", 0, timerfd_settime(fd, 0, &value, NULL));
  FAILS("with bad flags", EINVAL, timerfd_settime(fd, 8, &value, NULL));
  FAILS("of no timerfd", EINVAL, timerfd_settime(1, 0, &value, NULL));
  FAILS("of a closed one", EBADF, timerfd_settime(900, 0, &value, NULL));
  EQUALS("timerfd_gettime", 0, timerfd_gettime(fd, &old));
  TRUE("what is left", old.it_value.tv_nsec > 0 && old.it_interval.tv_nsec == 10000000);
  struct pollfd one = {fd, POLLIN, 0};
  EQUALS("poll", 1, poll(&one, 1, 1000));
  usleep(50000);
  FAILS("a short read", EINVAL, read(fd, &ticks, 4));
  EQUALS("read", 8, read(fd, &ticks, 8));
  TRUE("the ticks", ticks >= 5 && ticks < 60);
  FAILS("write", EINVAL, write(fd, &ticks, 8));
  value = (struct itimerspec){{0, 0}, {0, 0}};
  EQUALS("disarm", 0, timerfd_settime(fd, 0, &value, &old));
  TRUE("it was armed", old.it_interval.tv_nsec == 10000000);
  timerfd_gettime(fd, &old);
  TRUE("it is not", old.it_value.tv_nsec == 0 && old.it_value.tv_sec == 0);
  fcntl(fd, F_SETFL, 0);
  clock_gettime(CLOCK_MONOTONIC, &value.it_value);
  value.it_value.tv_sec += 1;
  value.it_value.tv_nsec = 0;
  value.it_value.tv_sec -= 1;
  EQUALS("at an instant that is over", 0, timerfd_settime(fd, TFD_TIMER_ABSTIME, &value, NULL));
  EQUALS("a read waits for nothing", 8, read(fd, &ticks, 8));
  EQUALS("one tick", 1, ticks);
  value = (struct itimerspec){{0, 0}, {0, 30000000}};
  timerfd_settime(fd, 0, &value, NULL);
  double start = now_seconds();
  EQUALS("a read waits", 8, read(fd, &ticks, 8));
  TRUE("for its time", is_between(now_seconds() - start, 0.025, 1));
  char path[64], link[64] = "";
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  readlink(path, link, sizeof link - 1);
  SAYS("its link", "anon_inode:[timerfd]", "%s", link);
  close(fd);
}

static pid_t burner(rlim_t soft, rlim_t hard) {
  pid_t child = fork();
  if (child != 0) return child;
  struct rlimit limit = {soft, hard};
  setrlimit(RLIMIT_CPU, &limit);
  if (fork() == 0)
    for (;;) continue;
  int status;
  wait(&status);
  _exit(WTERMSIG(status));
}

static void cpu_limits(void) {
  pid_t soft = burner(1, 5), hard = burner(1, 1);
  int status;
  waitpid(soft, &status, 0);
  EQUALS("RLIMIT_CPU of the parent: the soft limit is SIGXCPU", SIGXCPU, WEXITSTATUS(status));
  waitpid(hard, &status, 0);
  EQUALS("the hard limit is SIGKILL", SIGKILL, WEXITSTATUS(status));
}

int main(void) {
  clocks();
  cpu_limits();
  sleeps();
  interval_timers();
  posix_timers();
  timerfds();
  return 0;
}

// The benchmarks that run inside: `bench micro [NAME...]` and `bench programs [NAME...]`, each line "NAME MICROSECONDS" with
// the best of several samples, or "NAME failed REASON". `bench first` looks at files of the tree
// that run.ts has made in FILES/many, once each. `bench idle` sleeps until its standard input ends.
// TMPFS and FILES name a directory on a tmpfs and one on a disk (in a sandbox: behind the gofer).
// Build: gcc -O2 -pthread bench.c -o bench

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// Time one benchmark may take, and how many samples are wanted within it.
#define BUDGET_MICROS 100000.0
#define SAMPLES 6

static char buffer[65536];
static char tmpfs_path[512], files_path[512];

static double micros(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void need(int is_fine, const char *what) {
  if (is_fine) return;
  printf("failed %s: %s\n", what, strerror(errno));
  fflush(stdout);
  _exit(1);
}

// --- calls ------------------------------------------------------------------------------------------------------------

static void run_getpid(long n) {
  for (long i = 0; i < n; i++) syscall(SYS_getpid);
}
static void run_clock(long n) {
  struct timespec t;
  for (long i = 0; i < n; i++) clock_gettime(CLOCK_MONOTONIC, &t);
}

static int file_fd = -1;
static void open_file(const char *path) {
  file_fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
  need(file_fd >= 0, "open");
  need(write(file_fd, buffer, sizeof buffer) == sizeof buffer, "write");
}
static void open_tmpfs(void) { open_file(tmpfs_path); }
static void open_disk(void) { open_file(files_path); }
static void close_file(void) {
  close(file_fd);
  unlink(tmpfs_path);
  unlink(files_path);
}
static void run_pread_1(long n) {
  for (long i = 0; i < n; i++) need(pread(file_fd, buffer, 1, 0) == 1, "pread");
}
static void run_pwrite_1(long n) {
  for (long i = 0; i < n; i++) need(pwrite(file_fd, buffer, 1, 0) == 1, "pwrite");
}
static void run_pread_64k(long n) {
  for (long i = 0; i < n; i++) need(pread(file_fd, buffer, 65536, 0) == 65536, "pread");
}
static void run_pwrite_64k(long n) {
  for (long i = 0; i < n; i++) need(pwrite(file_fd, buffer, 65536, 0) == 65536, "pwrite");
}
static void open_close(const char *path, long n) {
  for (long i = 0; i < n; i++) {
    int fd = open(path, O_RDONLY);
    need(fd >= 0, "open");
    close(fd);
  }
}
static void run_open_tmpfs(long n) { open_close(tmpfs_path, n); }
static void run_open_files(long n) { open_close(files_path, n); }
static void stat_path(const char *path, long n) {
  struct stat st;
  for (long i = 0; i < n; i++) need(stat(path, &st) == 0, "stat");
}
static void run_stat_tmpfs(long n) { stat_path(tmpfs_path, n); }
static void run_stat_files(long n) { stat_path(files_path, n); }
static void create_unlink(const char *path, long n) {
  char name[600];
  snprintf(name, sizeof name, "%s.new", path);
  for (long i = 0; i < n; i++) {
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
    need(fd >= 0, "create");
    close(fd);
    need(unlink(name) == 0, "unlink");
  }
}
static void run_create_tmpfs(long n) { create_unlink(tmpfs_path, n); }
static void run_create_files(long n) { create_unlink(files_path, n); }

// --- talking ----------------------------------------------------------------------------------------------------------

static int here[2], there[2];
static pid_t peer;

static void make_pipe(void) { need(pipe(here) == 0, "pipe"); }
static void end_pipe(void) { close(here[0]), close(here[1]); }
static void run_pipe(long n) {
  for (long i = 0; i < n; i++) {
    need(write(here[1], buffer, 1) == 1, "write");
    need(read(here[0], buffer, 1) == 1, "read");
  }
}

// A child that answers each byte until its input ends.
static void start_echo(int in, int out, int other_in, int other_out) {
  peer = fork();
  need(peer >= 0, "fork");
  if (peer == 0) {
    char byte;
    close(other_in);
    if (other_out != other_in) close(other_out);
    while (read(in, &byte, 1) == 1)
      if (write(out, &byte, 1) != 1) break;
    _exit(0);
  }
}
static void make_echo_pipe(void) {
  need(pipe(here) == 0 && pipe(there) == 0, "pipe");
  start_echo(here[0], there[1], there[0], here[1]);
  close(here[0]), close(there[1]);
}
static void end_echo_pipe(void) {
  close(here[1]), close(there[0]);
  waitpid(peer, NULL, 0);
}
static void run_echo_pipe(long n) {
  for (long i = 0; i < n; i++) {
    need(write(here[1], buffer, 1) == 1, "write");
    need(read(there[0], buffer, 1) == 1, "read");
  }
}
static void make_echo_socket(void) {
  need(socketpair(AF_UNIX, SOCK_STREAM, 0, here) == 0, "socketpair");
  start_echo(here[1], here[1], here[0], here[0]);
  close(here[1]);
}
static void end_echo_socket(void) {
  close(here[0]);
  waitpid(peer, NULL, 0);
}
static void run_echo_socket(long n) {
  for (long i = 0; i < n; i++) {
    need(write(here[0], buffer, 1) == 1, "write");
    need(read(here[0], buffer, 1) == 1, "read");
  }
}

static volatile uint32_t turn;
static volatile int is_over;
static pthread_t thread;

static void await_turn(uint32_t mine) {
  while (turn != mine && !is_over) syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, !mine, NULL, NULL, 0);
}
static void give_turn(uint32_t other) {
  __atomic_store_n(&turn, other, __ATOMIC_SEQ_CST);
  syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
static void *answer_turns(void *unused) {
  while (await_turn(1), !is_over) give_turn(0);
  return unused;
}
static void make_turns(void) {
  turn = 0, is_over = 0;
  need(pthread_create(&thread, NULL, answer_turns, NULL) == 0, "pthread_create");
}
static void end_turns(void) {
  is_over = 1;
  give_turn(1);
  pthread_join(thread, NULL);
}
static void run_turns(long n) {
  for (long i = 0; i < n; i++) give_turn(1), await_turn(0);
}

static int event_fd, epoll_fd;
static void make_epoll(void) {
  event_fd = eventfd(0, 0), epoll_fd = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN};
  need(event_fd >= 0 && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event_fd, &event) == 0, "epoll");
}
static void end_epoll(void) { close(event_fd), close(epoll_fd); }
static void run_epoll(long n) {
  uint64_t count = 1;
  struct epoll_event event;
  for (long i = 0; i < n; i++) {
    need(write(event_fd, &count, 8) == 8, "write");
    need(epoll_wait(epoll_fd, &event, 1, -1) == 1, "epoll_wait");
    need(read(event_fd, &count, 8) == 8, "read");
  }
}

// --- processes and memory ---------------------------------------------------------------------------------------------

static volatile long handled;
static void on_signal(int signal) { handled += signal != 0; }
static void run_signal(long n) {
  signal(SIGUSR1, on_signal);
  for (long i = 0; i < n; i++) syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1);
}
static void end_child(pid_t child) {
  int status = 0;
  need(child > 0, "fork");
  need(waitpid(child, &status, 0) == child && status == 0, "child");
}
static void run_fork(long n) {
  for (long i = 0; i < n; i++) {
    pid_t child = fork();
    if (child == 0) _exit(0);
    end_child(child);
  }
}
static char *const true_argv[] = {"true", NULL};
extern char **environ;
static void run_fork_exec(long n) {
  for (long i = 0; i < n; i++) {
    pid_t child = fork();
    if (child == 0) execve("/bin/true", true_argv, environ), _exit(127);
    end_child(child);
  }
}
static __attribute__((noinline)) void vfork_exec(void) {
  pid_t child = vfork();
  if (child == 0) execve("/bin/true", true_argv, environ), _exit(127);
  end_child(child);
}
static void run_vfork_exec(long n) {
  for (long i = 0; i < n; i++) vfork_exec();
}
static void *do_nothing(void *unused) { return unused; }
static void run_thread(long n) {
  pthread_t other;
  for (long i = 0; i < n; i++) {
    need(pthread_create(&other, NULL, do_nothing, NULL) == 0, "pthread_create");
    pthread_join(other, NULL);
  }
}
static void map_touch_unmap(size_t bytes, long n) {
  for (long i = 0; i < n; i++) {
    char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(at != MAP_FAILED, "mmap");
    for (size_t page = 0; page < bytes; page += 4096) ((volatile char *)at)[page] = 1;
    munmap(at, bytes);
  }
}
static void run_map_4k(long n) { map_touch_unmap(4096, n); }
static void run_map_4m(long n) { map_touch_unmap(4 << 20, n); }

struct micro {
  const char *name;
  void (*run)(long n);
  void (*begin)(void), (*end)(void);
};
static const struct micro micro_table[] = {
    {"getpid", run_getpid, NULL, NULL},
    {"clock_gettime", run_clock, NULL, NULL},
    {"pread-1-tmpfs", run_pread_1, open_tmpfs, close_file},
    {"pwrite-1-tmpfs", run_pwrite_1, open_tmpfs, close_file},
    {"pread-64k-tmpfs", run_pread_64k, open_tmpfs, close_file},
    {"pwrite-64k-tmpfs", run_pwrite_64k, open_tmpfs, close_file},
    {"pread-1-files", run_pread_1, open_disk, close_file},
    {"pwrite-1-files", run_pwrite_1, open_disk, close_file},
    {"pread-64k-files", run_pread_64k, open_disk, close_file},
    {"pwrite-64k-files", run_pwrite_64k, open_disk, close_file},
    {"open-close-tmpfs", run_open_tmpfs, open_tmpfs, close_file},
    {"open-close-files", run_open_files, open_disk, close_file},
    {"stat-tmpfs", run_stat_tmpfs, open_tmpfs, close_file},
    {"stat-files", run_stat_files, open_disk, close_file},
    {"create-unlink-tmpfs", run_create_tmpfs, NULL, NULL},
    {"create-unlink-files", run_create_files, NULL, NULL},
    {"pipe-self", run_pipe, make_pipe, end_pipe},
    {"pipe-ping-pong", run_echo_pipe, make_echo_pipe, end_echo_pipe},
    {"unix-ping-pong", run_echo_socket, make_echo_socket, end_echo_socket},
    {"futex-ping-pong", run_turns, make_turns, end_turns},
    {"epoll-eventfd", run_epoll, make_epoll, end_epoll},
    {"signal-self", run_signal, NULL, NULL},
    {"fork-wait", run_fork, NULL, NULL},
    {"fork-exec-wait", run_fork_exec, NULL, NULL},
    {"vfork-exec-wait", run_vfork_exec, NULL, NULL},
    {"thread-join", run_thread, NULL, NULL},
    {"mmap-4k", run_map_4k, NULL, NULL},
    {"mmap-4m", run_map_4m, NULL, NULL},
};

// Microseconds per turn: the best sample. A sample is as long as a sixth of the budget, or one turn.
static double measure(const struct micro *micro) {
  long n = 1;
  double took, best = 1e18, begin = micros();
  for (;; n *= 2) {
    double at = micros();
    micro->run(n);
    took = micros() - at;
    if (took / n < best) best = took / n;
    if (took > BUDGET_MICROS / SAMPLES / 2 || micros() - begin > BUDGET_MICROS) break;
  }
  for (int sample = 0; sample < SAMPLES && micros() - begin < 2 * BUDGET_MICROS; sample++) {
    double at = micros();
    micro->run(n);
    took = micros() - at;
    if (took / n < best) best = took / n;
  }
  return best;
}

static int is_wanted(const char *name, int argc, char **argv) {
  for (int i = 2; i < argc; i++)
    if (strcmp(argv[i], name) == 0) return 1;
  return argc <= 2;
}

// Each in a process of its own: what one leaves behind, or dies of, is not the next one's.
static void run_micro(int argc, char **argv) {
  for (size_t i = 0; i < sizeof micro_table / sizeof *micro_table; i++) {
    const struct micro *micro = &micro_table[i];
    if (!is_wanted(micro->name, argc, argv)) continue;
    printf("%s ", micro->name);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
      alarm(20);
      if (micro->begin) micro->begin();
      double result = measure(micro);
      if (micro->end) micro->end();
      printf("%.4f\n", result);
      fflush(stdout);
      _exit(0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || WIFSIGNALED(status))
      printf("failed ended by signal %d\n", WTERMSIG(status));
    fflush(stdout);
  }
}

// --- whole programs ---------------------------------------------------------------------------------------------------

struct program {
  const char *name;
  // Before the clock starts, what is measured, and afterwards; run by sh in an empty directory on tmpfs.
  const char *prepare, *command;
};
static const struct program program_table[] = {
    {"shell-200-true", "", "i=0; while [ $i -lt 200 ]; do /bin/true; i=$((i+1)); done"},
    {"find-usr-share", "", "exec find /usr/share >/dev/null"},
    {"python-pass", "", "exec /usr/bin/python3 -c pass"},
    {"python-imports", "",
     "exec /usr/bin/python3 -c 'import asyncio, concurrent.futures, csv, ctypes, decimal, email.mime.text, http.server, json, "
     "logging.config, multiprocessing, sqlite3, ssl, unittest.mock, urllib.request, xml.dom.minidom'"},
    {"gcc-compile",
     "printf '#include <stdio.h>\\n#include <stdlib.h>\\n#include <string.h>\\nint main(int c, char **v) { for (int i = 0; i < c; "
     "i++) printf(\"%s\\\\n\", v[i]); return 0; }\\n' >a.c",
     "exec gcc -O2 a.c -o a"},
    {"git-commit-500",
     "git init -q . && git config user.email a@b && git config user.name a && for d in 0 1 2 3 4; do mkdir d$d; for f in $(seq "
     "100); do echo \"file $d $f\" >d$d/$f; done; done",
     "git add -A && git commit -q -m all"},
    // A tree of 10,000 small files that the host has made: run.ts.
    {"find-10k", "", "exec find \"$FILES/many\" -newer /proc/self/exe >/dev/null"},
    {"grep-10k", "", "grep -rc word \"$FILES/many/tree\" >/dev/null; test $? -lt 2"},
    {"rg-10k", "", "rg -c word \"$FILES/many/tree\" >/dev/null; test $? -lt 2"},
    {"fd-10k", "", "exec fdfind -t f . \"$FILES/many/tree\" >/dev/null"},
    {"git-status-10k", "", "cd \"$FILES/many\" && exec git -c safe.directory=* -c core.trustctime=false status >/dev/null"},
    {"git-grep-10k", "", "cd \"$FILES/many\" && git -c safe.directory=* grep -c word >/dev/null; test $? -lt 2"},
    // To a pipe: tar reads nothing where it writes to /dev/null.
    {"tar-10k", "", "tar -cf - -C \"$FILES/many\" tree | cat >/dev/null"},
    {"cp-10k", "", "exec cp -r \"$FILES/many/tree\" \"$FILES/copy\""},
};

// --- files that nobody has asked for before ---------------------------------------------------------------------------

#define FIRST_FILES 1000

// Microseconds a file, of the files in directories `from` and on of the tree that run.ts has made.
static void run_first(const char *name, int from, int opens) {
  const char *files = getenv("FILES") ? getenv("FILES") : "/tmp";
  double begin = micros();
  for (int i = 0; i < FIRST_FILES; i++) {
    char path[700];
    struct stat st;
    snprintf(path, sizeof path, "%s/many/tree/%d/%d", files, from + i / 100, i % 100);
    int fd = opens ? open(path, O_RDONLY) : stat(path, &st);
    if (fd < 0) {
      printf("%s failed %s\n", name, strerror(errno));
      return;
    }
    if (opens) close(fd);
  }
  printf("%s %.3f\n", name, (micros() - begin) / FIRST_FILES);
  fflush(stdout);
}

static void run_firsts(int argc, char **argv) {
  if (is_wanted("first-stat-files", argc, argv)) run_first("first-stat-files", 0, 0);
  if (is_wanted("first-open-files", argc, argv)) run_first("first-open-files", 10, 1);
}

static int shell(const char *text) {
  pid_t child = fork();
  if (child == 0) execl("/bin/sh", "sh", "-c", text, (char *)NULL), _exit(127);
  int status = -1;
  return child > 0 && waitpid(child, &status, 0) == child && status == 0 ? 0 : -1;
}

static void run_program(const struct program *program, const char *directory) {
  char text[1024];
  printf("%s ", program->name);
  fflush(stdout);
  snprintf(text, sizeof text, "rm -rf %s/w && mkdir %s/w", directory, directory);
  int is_ready = shell(text) == 0;
  snprintf(text, sizeof text, "%s/w", directory);
  if (!is_ready || chdir(text) != 0 || (program->prepare[0] && shell(program->prepare) != 0)) {
    printf("failed preparation\n");
    return;
  }
  double begin = micros();
  int result = shell(program->command);
  if (result == 0) printf("%.1f\n", micros() - begin);
  else printf("failed command\n");
  fflush(stdout);
  need(chdir("/") == 0, "chdir");
}

// A server and 50 connections of a client, in one sandbox, over a Unix socket. Microseconds per request.
static void run_redis(const char *directory) {
  printf("redis-unix ");
  fflush(stdout);
  char path[600], text[1024];
  snprintf(path, sizeof path, "%s/redis.sock", directory);
  pid_t server = fork();
  if (server == 0) {
    int null = open("/dev/null", O_RDWR);
    dup2(null, 1), dup2(null, 2);
    execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--dir", directory, (char *)NULL);
    _exit(127);
  }
  struct stat st;
  for (int i = 0; i < 500 && stat(path, &st) != 0; i++) usleep(10000);
  const long requests = 8000;
  // A first run warms both sides up.
  snprintf(text, sizeof text, "redis-benchmark -s %s -t get -n 2000 -q >/dev/null", path);
  shell(text);
  snprintf(text, sizeof text, "redis-benchmark -s %s -t get -n %ld --csv | sed -n 's/^\"GET\",\"\\([0-9.]*\\)\".*/\\1/p' >%s/redis.out", path,
           requests, directory);
  double rate = 0;
  int is_fine = shell(text) == 0;
  snprintf(text, sizeof text, "%s/redis.out", directory);
  FILE *file = fopen(text, "r");
  if (is_fine && file && fscanf(file, "%lf", &rate) == 1 && rate > 0) printf("%.3f\n", 1e6 / rate);
  else printf("failed no result\n");
  if (file) fclose(file);
  fflush(stdout);
  kill(server, SIGKILL);
  waitpid(server, NULL, 0);
  unlink(path), unlink(text);
}

static void run_programs(int argc, char **argv, const char *directory) {
  for (size_t i = 0; i < sizeof program_table / sizeof *program_table; i++)
    if (is_wanted(program_table[i].name, argc, argv)) run_program(&program_table[i], directory);
  if (is_wanted("redis-unix", argc, argv)) run_redis(directory);
}

int main(int argc, char **argv) {
  const char *tmpfs = getenv("TMPFS") ? getenv("TMPFS") : "/dev/shm";
  const char *files = getenv("FILES") ? getenv("FILES") : "/tmp";
  snprintf(tmpfs_path, sizeof tmpfs_path, "%s/bench.%d", tmpfs, (int)getpid());
  snprintf(files_path, sizeof files_path, "%s/bench.%d", files, (int)getpid());
  const char *what = argc > 1 ? argv[1] : "";
  if (strcmp(what, "first") == 0) run_firsts(argc, argv);
  else if (strcmp(what, "micro") == 0) run_micro(argc, argv);
  else if (strcmp(what, "programs") == 0) run_programs(argc, argv, tmpfs);
  else if (strcmp(what, "idle") == 0) {
    puts("idle");
    fflush(stdout);
    while (read(0, buffer, 1) > 0) continue;
  } else return fprintf(stderr, "usage: bench first|micro|programs|idle [NAME...]\n"), 2;
  return 0;
}

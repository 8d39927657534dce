// One case after the other, while another process beats every millisecond: prints for each how long it took and the longest
// time between two beats, in milliseconds. Which cases: the arguments, or all; `--list` prints them with their calls. On stderr
// it says what begins and ends, between the lines of a sandbox's log.
#include "turns.h"
#include <sys/resource.h>

static const struct turns_case *const GROUPS[] = {memory_cases, file_cases, tree_cases, ipc_cases, socket_cases, process_cases};

/** Shared by all processes: what is measured of the case that runs begins at `from`, and is over at `to` when that is not 0. */
static volatile struct {
  double longest, from, to;
  long beats;
} *shared;

double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec * 1e-6;
}

static const char *name;

/** Until beats that began before have been counted. */
static void wait_for_beats(void) {
  for (long until = shared->beats + 2; shared->beats < until;) usleep(1000);
}

void begin(void) {
  wait_for_beats();
  dprintf(2, "begin %s\n", name);
  shared->longest = 0;
  shared->from = now();
}

void end(void) {
  shared->to = now();
  dprintf(2, "end %s\n", name);
  wait_for_beats();
}

void settle(void) { usleep(100000); }

void check(int is_right, const char *what) {
  if (is_right) return;
  printf("%s: %s\n", what, strerror(errno));
  fflush(stdout);
  _exit(1);
}

char *reserve(size_t length) {
  char *at = mmap(0, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  check(at != MAP_FAILED, "mmap");
  return at;
}

char *many_areas(int count) {
  char *at = reserve(count * 8192ul);
  for (int i = 0; i < count; i++) check(mprotect(at + i * 8192ul, 4096, PROT_READ) == 0, "mprotect");
  return at;
}

int sparse(size_t length) {
  int fd = memfd_create("turns", 0);
  check(ftruncate(fd, length) == 0, "ftruncate");
  return fd;
}

int filled(size_t length) {
  int fd = sparse(length);
  check(fallocate(fd, 0, 0, length) == 0, "fallocate");
  return fd;
}

void read_all(const char *path) {
  static char bytes[65536];
  int fd = open(path, O_RDONLY);
  check(fd >= 0, path);
  while (read(fd, bytes, sizeof bytes) > 0);
  close(fd);
}

void allow_files(int count) {
  struct rlimit limit = {count, count};
  check(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
}

static void beat(void) {
  for (double last = now();; shared->beats++) {
    struct timespec pause = {0, 1000000};
    nanosleep(&pause, 0);
    double at = now();
    double from = last > shared->from ? last : shared->from, to = shared->to > 0 ? shared->to : at;
    if (to - from > shared->longest) shared->longest = to - from;
    last = at;
  }
}

static void run(const struct turns_case *one) {
  shared->to = 0;
  name = one->name;
  pid_t child = fork();
  if (child == 0) {
    begin();
    one->run();
    if (shared->to == 0) end();
    printf("%s %.0f %.0f\n", one->name, shared->to - shared->from, shared->longest);
    fflush(stdout);
    _exit(0);
  }
  int status;
  waitpid(child, &status, 0);
  if (status != 0) printf("%s died of %x\n", one->name, status);
  fflush(stdout);
}

static int is_wanted(int count, char **names, const char *one) {
  for (int i = 1; i < count; i++) if (!strcmp(names[i], one)) return 1;
  return count == 1;
}

int main(int count, char **names) {
  int only_lists = count == 2 && !strcmp(names[1], "--list");
  shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t heart = only_lists ? -1 : fork();
  if (heart == 0) beat();
  // The kernel's network is made for the first socket, once in a sandbox.
  if (!only_lists) close(socket(AF_INET, SOCK_DGRAM, 0));
  for (unsigned group = 0; group < sizeof GROUPS / sizeof *GROUPS; group++) {
    for (const struct turns_case *one = GROUPS[group]; one->name; one++) {
      if (only_lists) printf("%s %s\n", one->name, one->calls);
      else if (is_wanted(count, names, one->name)) run(one);
    }
  }
  if (heart > 0) kill(heart, SIGKILL);
  return 0;
}

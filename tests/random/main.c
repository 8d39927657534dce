// Draws sequences of calls from a seed and prints what each gives: random_test.ts runs it on the host and in the sandbox and
// compares. Nothing that a call may answer differently by right is printed: no address, pid, time or buffer size.
//
//   random FAMILY PLACE SEED COUNT    sequences of seeds SEED to SEED + COUNT - 1, each in a process and a directory of its own
#include "random.h"
#include "files.c"
#include "locks.c"
#include "memory.c"
#include "signals.c"
#include "sockets.c"

static const struct family *const FAMILIES[] = {&FILES, &LOCKS, &SIGNALS, &MEMORY, &SOCKETS};

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  const struct family *family = NULL;
  for (int i = 0; i < COUNT(FAMILIES); i++) if (strcmp(FAMILIES[i]->name, argv[1]) == 0) family = FAMILIES[i];
  if (family == NULL) return 2;
  close_range(3, ~0u, 0);
  umask(022);
  signal(SIGPIPE, SIG_IGN);
  long first = atol(argv[3]), count = atol(argv[4]);
  for (long seed = first; seed < first + count; seed++) {
    char base[100], command[200];
    snprintf(base, sizeof base, "%s/tsvisor-random-XXXXXX", argv[2]);
    if (mkdtemp(base) == NULL || chdir(base) < 0 || mkdir("in", 0755) < 0 || chdir("in") < 0) return 3;
    printf("seed %ld\n", seed);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
      chance = seed * 0x9e3779b97f4a7c15ull + 1;
      for (int i = 0; i < 8; i++) next();
      alarm(60);
      family->make();
      for (step = 1; step <= family->calls; step++) family->one();
      family->finish();
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    printf("end %x\n", status);
    fflush(stdout);
    if (chdir("/") < 0) return 4;
    snprintf(command, sizeof command, "chmod -R u+rwx %s; rm -rf %s", base, base);
    if (system(command) != 0) return 5;
  }
  return 0;
}

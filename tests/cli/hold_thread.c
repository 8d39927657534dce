// Stops one thread of another process, as a call that never ends would: arguments are its id and the milliseconds it is held.
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

int main(int count, char **words) {
  pid_t thread = atoi(words[1]);
  long millis = atol(words[2]);
  if (ptrace(PTRACE_SEIZE, thread, 0, 0) || ptrace(PTRACE_INTERRUPT, thread, 0, 0)) {
    perror("ptrace");
    return 1;
  }
  waitpid(thread, 0, __WALL);
  puts("held");
  fflush(stdout);
  // When it is killed its parent hears of it only after us.
  for (; millis > 0 && waitpid(thread, 0, __WALL | WNOHANG) == 0; millis -= 10) {
    struct timespec time = {0, 10000000};
    nanosleep(&time, 0);
  }
  ptrace(PTRACE_DETACH, thread, 0, 0);
  return 0;
}

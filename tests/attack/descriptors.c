// One guest user takes all the host's descriptors he can get: memory, or the files of the directory that is named. Then
// others fork, execute and open, and so does he when he has closed some. Or ("read" and a directory) all directories in it are
// read twice: what that takes of the host's has to come back.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ATTACKER = 1000, OTHER = 1001, COUNT_MAX = 4000, OTHERS_COUNT = 10, DIRECTORIES = 1000 };

static const char *directory;

/** One more descriptor of the host's: larger memory than the kernel keeps itself, or a host file. -1 = refused. */
static int take(int number) {
  if (directory == NULL) {
    int fd = memfd_create("taken", 0);
    return fd >= 0 && ftruncate(fd, 300000) < 0 ? -1 : fd;
  }
  char path[4096];
  snprintf(path, sizeof path, "%s/%d", directory, number);
  return open(path, O_RDONLY);
}

static void become(int user) {
  if (user != 0 && (setgid(user) || setuid(user))) exit(2);
}

static void attack(int ready) {
  become(ATTACKER);
  static int taken[COUNT_MAX];
  int count = 0;
  while (count < COUNT_MAX && (taken[count] = take(count)) >= 0) count++;
  printf("taken %d\n", count);
  fflush(stdout);
  write(ready, "", 1);
  pause();
}

static void work(int user) {
  pid_t child = fork();
  if (child < 0) {
    printf("%d fork: %s\n", user, strerror(errno));
    return;
  }
  if (child == 0) {
    become(user);
    int count = 0;
    // From the end: the attacker has the first ones open already.
    while (count < OTHERS_COUNT && take(COUNT_MAX - 1 - count) >= 0) count++;
    printf("%d opened %d, executed %d\n", user, count, system("/bin/true"));
    fflush(stdout);
    _exit(0);
  }
  waitpid(child, NULL, 0);
}

static int read_directories(const char *path) {
  for (int i = 0; i < 2 * DIRECTORIES; i++) {
    char name[4096];
    snprintf(name, sizeof name, "%s/%d", path, i % DIRECTORIES);
    DIR *list = opendir(name);
    int entries = 0;
    while (list != NULL && readdir(list) != NULL) entries++;
    if (list == NULL || entries != 2) {
      printf("%d: %d entries, %s\n", i, entries, strerror(errno));
      return 1;
    }
    closedir(list);
  }
  printf("read\n");
  return 0;
}

int main(int count, char **arguments) {
  if (count > 2) return read_directories(arguments[2]);
  if (count > 1) directory = arguments[1];
  struct rlimit limit = {COUNT_MAX + 100, COUNT_MAX + 100};
  if (setrlimit(RLIMIT_NOFILE, &limit) < 0) perror("setrlimit");
  int ends[2];
  if (pipe(ends) < 0) return 2;
  pid_t attacker = fork();
  if (attacker == 0) attack(ends[1]);
  char byte;
  if (read(ends[0], &byte, 1) != 1) return 2;
  work(0);
  work(OTHER);
  kill(attacker, SIGKILL);
  waitpid(attacker, NULL, 0);
  work(ATTACKER);
  return 0;
}

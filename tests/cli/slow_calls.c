// Calls on a file whose host takes its time, one an argument: `slow_calls CALL FILE [OTHER]` prints what came of it. The file
// holds "hello\n". For tests/cli/bind_mount_test.ts; not compared with the host.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static char bytes[150000];
static int fd;

static void show(long n) {
  if (n < 0) printf("%s\n", strerror(errno));
  else printf("%ld %.*s\n", n, (int)(n > 5 ? 5 : n), bytes);
}
static void show_size(long n) {
  struct stat st = {0};
  fstat(fd, &st);
  if (n < 0) printf("%s\n", strerror(errno));
  else printf("%ld, size %ld\n", n, (long)st.st_size);
}

static void *read_it(void *unused) {
  show(read(fd, bytes, 10));
  return unused;
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  const char *call = argv[1];
  int is_append = strcmp(call, "append") == 0, is_sync = strcmp(call, "o_sync") == 0;
  fd = open(argv[2], O_RDWR | (is_append ? O_APPEND : 0) | (is_sync ? O_SYNC : 0));
  if (fd < 0) return perror(argv[2]), 1;
  if (strcmp(call, "read") == 0) show(read(fd, bytes, sizeof bytes));
  if (strcmp(call, "pread") == 0) show(pread(fd, bytes, 4, 1));
  if (strcmp(call, "readv") == 0) {
    struct iovec parts[2] = {{bytes, 2}, {bytes + 2, 8}};
    show(readv(fd, parts, 2));
  }
  if (strcmp(call, "sendfile") == 0) {
    int ends[2];
    long n = pipe(ends) == 0 ? sendfile(ends[1], fd, NULL, 100) : -1;
    if (n > 0 && read(ends[0], bytes, n) != n) n = -1;
    show(n);
  }
  if (strcmp(call, "closed") == 0) {
    // The read keeps the file that it began with.
    pthread_t thread;
    pthread_create(&thread, NULL, read_it, NULL);
    usleep(200000);
    dup2(open(argv[3], O_RDONLY), fd);
    pthread_join(thread, NULL);
  }
  if (strcmp(call, "map") == 0) {
    char *at = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED) show(-1);
    else memcpy(bytes, at, 6), show(6);
  }
  if (strcmp(call, "pwrite") == 0) show_size(pwrite(fd, bytes, sizeof bytes, 0));
  if (is_append) show_size(write(fd, bytes, 100000));
  if (is_sync) printf("%ld\n", (long)write(fd, bytes, 3));
  if (strcmp(call, "ftruncate") == 0) show_size(ftruncate(fd, 6));
  if (strcmp(call, "fallocate") == 0) show_size(fallocate(fd, 0, 0, 6));
  if (strcmp(call, "fstat") == 0) show_size(0);
  if (strcmp(call, "close") == 0) printf("%d\n", close(fd));
  return 0;
}

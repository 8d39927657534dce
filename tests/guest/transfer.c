// Large reads and writes of files, often enough that a kernel may take a shorter way for them: what they give, at the ends of
// files and of memory, and while the file changes under them.
#include "check.h"

#include <linux/falloc.h>

#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#define F_SEAL_WRITE 8
#endif

#define PIECE 65536
#define SIZE (6 << 20)
#define TIMES 8

static unsigned char *out, *in;

static unsigned char pattern(size_t at, unsigned seed) {
  return (unsigned char)((at >> 8) * 31 + at * 7 + seed);
}
static void fill(unsigned char *bytes, size_t at, size_t length, unsigned seed) {
  for (size_t i = 0; i < length; i++) bytes[i] = pattern(at + i, seed);
}
static int is_pattern(const unsigned char *bytes, size_t at, size_t length, unsigned seed) {
  for (size_t i = 0; i < length; i++)
    if (bytes[i] != pattern(at + i, seed)) return 0;
  return 1;
}
static int is_zero(const unsigned char *bytes, size_t length) {
  for (size_t i = 0; i < length; i++)
    if (bytes[i] != 0) return 0;
  return 1;
}

// A file of `pieces` pieces with the pattern, read and written often.
static int hot(const char *name, int pieces, unsigned seed) {
  int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
  for (int i = 0; i < pieces; i++) {
    fill(out, (size_t)i * PIECE, PIECE, seed);
    if (write(fd, out, PIECE) != PIECE) SAYS("hot", "whole", "written short");
  }
  for (int n = 0; n < TIMES; n++) {
    if (pread(fd, in, PIECE, 0) != PIECE || !is_pattern(in, 0, PIECE, seed)) SAYS("hot", "whole", "read wrong");
    if (pwrite(fd, in, PIECE, 0) != PIECE) SAYS("hot", "whole", "rewritten short");
  }
  return fd;
}

static void ends(void) {
  int fd = hot("ends", 4, 1);
  EQUALS("read up to the end", 1000, pread(fd, in, PIECE, 4 * PIECE - 1000));
  SAYS("is what was written", "1", "%d", is_pattern(in, 4 * PIECE - 1000, 1000, 1));
  EQUALS("read at the end", 0, pread(fd, in, PIECE, 4 * PIECE));
  EQUALS("read behind the end", 0, pread(fd, in, PIECE, 40 * PIECE));
  lseek(fd, 3 * PIECE, SEEK_SET);
  EQUALS("read on", PIECE, read(fd, in, PIECE));
  EQUALS("read on to the end", 0, read(fd, in, PIECE));
  EQUALS("position", 4 * PIECE, lseek(fd, 0, SEEK_CUR));
  fill(out, 4 * PIECE - 100, PIECE, 1);
  EQUALS("write over the end", PIECE, pwrite(fd, out, PIECE, 4 * PIECE - 100));
  EQUALS("size", 327580, lseek(fd, 0, SEEK_END));
  EQUALS("read it all", 327580, pread(fd, in, 6 * PIECE, 0));
  SAYS("all is what was written", "1", "%d", is_pattern(in, 0, 5 * PIECE - 100, 1));
  int other = open("ends", O_RDWR);
  EQUALS("cut by another", 0, ftruncate(other, 100000));
  EQUALS("read what is left", 34464, pread(fd, in, PIECE, PIECE));
  EQUALS("grown by another", 0, ftruncate(other, 5 * PIECE));
  EQUALS("read what has come", 2 * PIECE, pread(fd, in, 2 * PIECE, PIECE));
  SAYS("old and zero", "1 1", "%d %d", is_pattern(in, PIECE, 100000 - PIECE, 1), is_zero(in + 100000 - PIECE, 3 * PIECE - 100000));
  close(other);
  close(fd);
  FAILS("read of a closed one", EBADF, pread(fd, in, PIECE, 0));
  FAILS("write of a closed one", EBADF, pwrite(fd, in, PIECE, 0));
}

static void memory_ends(void) {
  int fd = hot("memory", 4, 2);
  unsigned char *place = mmap(NULL, 4 * PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(place + PIECE, PIECE);
  for (int i = 0; i < 2; i++) {
    EQUALS("read into memory that ends", PIECE, pread(fd, place, 2 * PIECE, 0));
    SAYS("up to there", "1", "%d", is_pattern(place, 0, PIECE, 2));
    FAILS("read into none", EFAULT, pread(fd, place + PIECE, PIECE, 0));
    FAILS("read into nowhere", EFAULT, pread(fd, BAD, PIECE, 0));
    FAILS("read beyond addresses", EFAULT, pread(fd, (void *)-PIECE, PIECE, 0));
    EQUALS("write from memory that ends", PIECE, pwrite(fd, place, 2 * PIECE, 0));
    FAILS("write from none", EFAULT, pwrite(fd, place + PIECE, PIECE, 0));
  }
  mprotect(place, PIECE, PROT_READ);
  FAILS("read into what is read only", EFAULT, pread(fd, place, PIECE, 0));
  EQUALS("write from it", PIECE, pwrite(fd, place, PIECE, 0));
  mprotect(place, PIECE, PROT_NONE);
  FAILS("write from what cannot be read", EFAULT, pwrite(fd, place, PIECE, 0));
  lseek(fd, 0, SEEK_SET);
  FAILS("read on into none", EFAULT, read(fd, place + PIECE, PIECE));
  EQUALS("position", 0, lseek(fd, 0, SEEK_CUR));
  // A private copy of the file's own page, and the file itself.
  unsigned char *own = mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  EQUALS("read into a private mapping of itself", PIECE, pread(fd, own, PIECE, PIECE));
  EQUALS("file", PIECE, pread(fd, in, PIECE, 0));
  SAYS("mapping and file", "1 1", "%d %d", is_pattern(own, PIECE, PIECE, 2), is_pattern(in, 0, PIECE, 2));
  unsigned char *same = mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  EQUALS("read into a shared mapping of itself", PIECE, pread(fd, same, PIECE, 2 * PIECE));
  EQUALS("file then", PIECE, pread(fd, in, PIECE, 0));
  SAYS("shared", "1", "%d", is_pattern(in, 2 * PIECE, PIECE, 2));
  same[5] = 99;
  EQUALS("file after a store", PIECE, pread(fd, in, PIECE, 0));
  SAYS("the store", "99", "%d", in[5]);
  fill(out, 0, PIECE, 3);
  EQUALS("written", PIECE, pwrite(fd, out, PIECE, 0));
  SAYS("in the mapping", "1", "%d", is_pattern(same, 0, PIECE, 3));
  close(fd);
}

static long blocks(int fd) {
  struct stat st;
  fstat(fd, &st);
  return (long)st.st_blocks;
}

static void holes(void) {
  int fd = hot("holes", 4, 4);
  EQUALS("a hole", 0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PIECE, PIECE));
  fsync(fd);
  long before = blocks(fd);
  for (int i = 0; i < TIMES; i++) pread(fd, in, 2 * PIECE, 0);
  SAYS("read across it", "1 1", "%d %d", is_pattern(in, 0, PIECE, 4), is_zero(in + PIECE, PIECE));
  EQUALS("grown", 0, ftruncate(fd, 64 * PIECE));
  for (int i = 0; i < TIMES; i++) pread(fd, in, PIECE, (10 + i) * PIECE);
  SAYS("zero", "1", "%d", is_zero(in, PIECE));
  EQUALS("read at the new end", 10, pread(fd, in, PIECE, 64 * PIECE - 10));
  SAYS("reading takes no room", "1", "%d", blocks(fd) == before);
  fill(out, 0, PIECE, 5);
  EQUALS("fill it", PIECE, pwrite(fd, out, PIECE, PIECE));
  EQUALS("read it", PIECE, pread(fd, in, PIECE, PIECE));
  SAYS("filled", "1", "%d", is_pattern(in, 0, PIECE, 5));
  close(fd);
}

static void kinds_of_open(void) {
  close(hot("kinds", 4, 6));
  int fd = open("kinds", O_RDONLY);
  for (int i = 0; i < TIMES; i++) pread(fd, in, PIECE, 0);
  FAILS("write where only reading is allowed", EBADF, pwrite(fd, in, PIECE, 0));
  close(fd);
  fd = open("kinds", O_WRONLY);
  fill(out, 0, PIECE, 7);
  for (int i = 0; i < TIMES; i++)
    if (pwrite(fd, out, PIECE, (i % 2) * PIECE) != PIECE) SAYS("write only", "whole", "short");
  FAILS("read where only writing is allowed", EBADF, pread(fd, in, PIECE, 0));
  close(fd);
  fd = open("kinds", O_RDWR | O_APPEND);
  for (int i = 0; i < TIMES; i++)
    if (pwrite(fd, out, PIECE, 0) != PIECE) SAYS("append", "whole", "short");
  EQUALS("appended", 12 * PIECE, lseek(fd, 0, SEEK_END));
  for (int i = 0; i < TIMES; i++)
    if (write(fd, out, PIECE) != PIECE) SAYS("append", "whole", "short");
  EQUALS("position", 20 * PIECE, lseek(fd, 0, SEEK_CUR));
  EQUALS("read of it", 3 * PIECE, pread(fd, in, 3 * PIECE, 3 * PIECE));
  SAYS("appended bytes", "1 1", "%d %d", is_pattern(in, 3 * PIECE, PIECE, 6), is_pattern(in + PIECE, 0, PIECE, 7));
  close(fd);
  // Rights are those of the open, not of now.
  fd = open("kinds", O_RDWR);
  for (int i = 0; i < TIMES; i++) pread(fd, in, PIECE, 0);
  EQUALS("no rights any more", 0, chmod("kinds", 0));
  EQUALS("still read", PIECE, pread(fd, in, PIECE, 0));
  EQUALS("gone", 0, unlink("kinds"));
  EQUALS("still written", PIECE, pwrite(fd, in, PIECE, 0));
  close(fd);
}

static void copies(void) {
  close(hot("from", 64, 8));
  int from = open("from", O_RDONLY), to = open("to", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  for (ssize_t n; (n = read(from, in, PIECE)) > 0;)
    if (write(to, in, n) != n) SAYS("copy", "whole", "short");
  close(to);
  to = open("to", O_RDONLY);
  int same = 0;
  for (int i = 0; i < 64; i++) same += pread(to, in, PIECE, i * PIECE) == PIECE && is_pattern(in, i * PIECE, PIECE, 8);
  SAYS("copied pieces", "64", "%d", same);
  close(from);
  close(to);
  // More than any window, in one call.
  int fd = open("large", O_RDWR | O_CREAT, 0600);
  fill(out, 0, SIZE, 9);
  EQUALS("written at once", SIZE, write(fd, out, SIZE));
  for (int i = 0; i < TIMES; i++) pread(fd, in, PIECE, 0);
  memset(in, 0, SIZE);
  EQUALS("read at once", SIZE, pread(fd, in, SIZE, 0));
  SAYS("all of it", "1", "%d", is_pattern(in, 0, SIZE, 9));
  EQUALS("from an odd place", 5056889, pread(fd, in + 3, SIZE, 1234567));
  SAYS("that too", "1", "%d", is_pattern(in + 3, 1234567, SIZE - 1234567, 9));
  EQUALS("rewritten from an odd place", 6291356, pwrite(fd, out + 7, SIZE - 100, 13));
  EQUALS("read back", 6291356, pread(fd, in, SIZE - 100, 13));
  SAYS("back", "1", "%d", memcmp(in, out + 7, SIZE - 100) == 0);
  // Turns between files, and between far ends of one.
  int first = hot("first", 2, 20), second = hot("second", 2, 21), right = 0;
  for (int i = 0; i < 40; i++) {
    right += pread(first, in, PIECE, PIECE) == PIECE && is_pattern(in, PIECE, PIECE, 20);
    right += pread(second, in, PIECE, PIECE) == PIECE && is_pattern(in, PIECE, PIECE, 21);
    right += pread(fd, in, PIECE, i % 2 * (5 << 20)) == PIECE && memcmp(in + 13, out + 7 + i % 2 * (5 << 20), PIECE - 13) == 0;
    right += pwrite(first, in, 0, 0) == 0 && pwrite(i % 3 ? first : second, in, PIECE, 0) == PIECE;
  }
  SAYS("in turns", "140", "%d", right);
  close(first);
  close(second);
  struct iovec vector[2] = {{in, PIECE}, {in + 2 * PIECE, PIECE}};
  EQUALS("in two", 2 * PIECE, preadv(fd, vector, 2, 13));
  SAYS("both", "0", "%d", memcmp(in, out + 7, PIECE) == 0 && memcmp(in + 2 * PIECE, out + 7 + PIECE, PIECE) == 0);
  close(fd);
}

static void processes(void) {
  int fd = hot("processes", 4, 10), other = dup(fd);
  close(fd);
  EQUALS("read by the duplicate", PIECE, pread(other, in, PIECE, PIECE));
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    int wrong = 0;
    for (int i = 0; i < TIMES; i++) wrong += pread(other, in, PIECE, PIECE) != PIECE || !is_pattern(in, PIECE, PIECE, 10);
    fill(out, 0, PIECE, 11);
    for (int i = 0; i < TIMES; i++) wrong += pwrite(other, out, PIECE, 0) != PIECE;
    close(other);
    int mine = hot("child", 2, 12);
    wrong += pread(mine, in, PIECE, PIECE) != PIECE || !is_pattern(in, PIECE, PIECE, 12);
    _exit(wrong);
  }
  int status = -1;
  waitpid(child, &status, 0);
  SAYS("wrong in the child", "0", "%d", WEXITSTATUS(status));
  EQUALS("read what it has written", PIECE, pread(other, in, PIECE, 0));
  SAYS("is it", "1", "%d", is_pattern(in, 0, PIECE, 11));
  EQUALS("and what it has not", PIECE, pread(other, in, PIECE, PIECE));
  SAYS("is old", "1", "%d", is_pattern(in, PIECE, PIECE, 10));
  // The number stands for another file now.
  int next = open("child", O_RDONLY);
  dup2(next, other);
  EQUALS("read of another by the same number", PIECE, pread(other, in, PIECE, PIECE));
  SAYS("is the other", "1", "%d", is_pattern(in, PIECE, PIECE, 12));
}

static int shared_fd;
static void *reads(void *argument) {
  long wrong = 0, at = (long)argument * PIECE;
  unsigned char *mine = malloc(PIECE);
  for (int i = 0; i < 300; i++) {
    if (pread(shared_fd, mine, PIECE, at) != PIECE || !is_pattern(mine, at, 64, 13)) wrong++;
    if (pwrite(shared_fd, mine, PIECE, at) != PIECE) wrong++;
  }
  wrong += !is_pattern(mine, at, PIECE, 13);
  free(mine);
  return (void *)wrong;
}
static void threads(void) {
  shared_fd = hot("threads", 4, 13);
  pthread_t ids[4];
  for (long i = 0; i < 4; i++) pthread_create(&ids[i], NULL, reads, (void *)i);
  for (int i = 0; i < 4; i++) {
    void *wrong;
    pthread_join(ids[i], &wrong);
    SAYS("wrong in a thread", "0", "%ld", (long)wrong);
  }
}

static void limits(void) {
  int fd = hot("limits", 4, 14);
  struct stat before, after;
  struct timespec pause = {0, 30000000};
  fstat(fd, &before);
  nanosleep(&pause, NULL);
  EQUALS("written again", PIECE, pwrite(fd, out, PIECE, 0));
  fstat(fd, &after);
  SAYS("its time has moved", "1", "%d",
      after.st_mtim.tv_sec > before.st_mtim.tv_sec ||
          (after.st_mtim.tv_sec == before.st_mtim.tv_sec && after.st_mtim.tv_nsec > before.st_mtim.tv_nsec));
  stat("limits", &before);
  SAYS("by name too", "1", "%d", before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
  signal(SIGXFSZ, SIG_IGN);
  struct rlimit limit = {100000, RLIM_INFINITY};
  setrlimit(RLIMIT_FSIZE, &limit);
  EQUALS("up to the limit", 34464, pwrite(fd, out, PIECE, PIECE));
  FAILS("beyond the limit", EFBIG, pwrite(fd, out, PIECE, 2 * PIECE));
  limit.rlim_cur = RLIM_INFINITY;
  setrlimit(RLIMIT_FSIZE, &limit);
  close(fd);
  fd = syscall(SYS_memfd_create, "sealed", 2u);
  ftruncate(fd, 2 * PIECE);
  for (int i = 0; i < TIMES; i++) {
    pwrite(fd, out, PIECE, 0);
    pwrite(fd, out, PIECE, PIECE);
    pread(fd, in, PIECE, 0);
  }
  EQUALS("sealed", 0, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
  FAILS("written although sealed", EPERM, pwrite(fd, out, PIECE, 0));
  EQUALS("read although sealed", PIECE, pread(fd, in, PIECE, 0));
  SAYS("content", "1", "%d", memcmp(in, out, PIECE) == 0);
  // A program on the host's disk.
  fd = open("/proc/self/exe", O_RDONLY);
  long sum = 0, length = 0;
  for (int n = 0; n < TIMES; n++) {
    lseek(fd, 0, SEEK_SET);
    for (ssize_t got; (got = read(fd, in, 9000)) > 0;) {
      length += got;
      for (ssize_t i = 0; i < got; i++) sum = sum * 31 + in[i];
    }
  }
  say("this program", "%ld %ld", length, sum);
}

static char base[200];

// So much at once that a kernel may let others have their turn meanwhile.
#define HUGE (40 << 20)
static volatile int alarms;
static void on_alarm(int signal) { alarms++; }
static void huge(void) {
  unsigned char *bytes = mmap(NULL, HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  fill(bytes, 0, HUGE, 9);
  struct sigaction action = {.sa_handler = on_alarm};
  struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
  sigaction(SIGALRM, &action, NULL);
  int fd = open("huge", O_RDWR | O_CREAT | O_TRUNC, 0644);
  setitimer(ITIMER_REAL, &often, NULL);
  EQUALS("a huge write is whole, whatever signals come", HUGE, write(fd, bytes, HUGE));
  memset(bytes, 0, HUGE);
  EQUALS("a huge read behind it", 0, pread(fd, bytes, HUGE, HUGE));
  EQUALS("from the middle", 320 * PIECE, pread(fd, bytes, HUGE, HUGE / 2));
  lseek(fd, 0, SEEK_SET);
  EQUALS("a huge read is whole", HUGE, read(fd, bytes, HUGE));
  setitimer(ITIMER_REAL, &never, NULL);
  TRUE("is what was written", is_pattern(bytes, 0, HUGE, 9));
  TRUE("signals came", alarms > 0);
  EQUALS("position", HUGE, lseek(fd, 0, SEEK_CUR));
  EQUALS("a huge pwrite", HUGE, pwrite(fd, bytes, HUGE, 4096));
  EQUALS("its end", 41947136, lseek(fd, 0, SEEK_END));
  int append = open("huge", O_WRONLY | O_APPEND);
  EQUALS("a huge write at the end", HUGE, write(append, bytes, HUGE));
  EQUALS("its position", 83890176, lseek(append, 0, SEEK_CUR));
  int zero = open("/dev/zero", O_RDWR);
  EQUALS("a huge read of zeros", HUGE, read(zero, bytes, HUGE));
  TRUE("are zeros", is_zero(bytes, HUGE));
  EQUALS("a huge write for nothing", HUGE, write(zero, bytes, HUGE));
  munmap(bytes + HUGE / 2 + 4096, HUGE / 2 - 4096);
  EQUALS("up to where the memory ends", 20975616, pread(fd, bytes, HUGE, 0));
  EQUALS("and written from there", 20975616, pwrite(fd, bytes, HUGE, 0));
  munmap(bytes, HUGE / 2 + 4096);
  ftruncate(fd, 0);
}

static void run(const char *where) {
  snprintf(base, sizeof base, "%s/tsvisor-transfer-XXXXXX", where);
  if (!mkdtemp(base) || chdir(base) < 0) {
    say(where, "cannot be used: %s", strerror(errno));
    return;
  }
  struct {
    const char *name;
    void (*run)(void);
  } parts[] = {{"ends", ends}, {"memory", memory_ends}, {"holes", holes}, {"opens", kinds_of_open}, {"copies", copies}, {"processes", processes}, {"threads", threads}, {"limits", limits}, {"huge", huge}};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    say("part", "%s in %s", parts[i].name, where);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
      parts[i].run();
      _exit(0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    SAYS("ends", "0", "%d", status);
  }
}

static void run_and_remove(const char *where) {
  run(where);
  chdir("/");
  char command[300];
  snprintf(command, sizeof command, "rm -rf %s", base);
  EQUALS("everything can be removed", 0, system(command));
}

/* do_sendfile(): what is wrong with the offset is told before what is wrong with the file to write. */
static void sendfile_order(void) {
  int in = memfd_create("in", 0), ends[2];
  off_t negative = -3, start = 0;
  pipe(ends);
  FAILS("sendfile from a negative offset to no file", EINVAL, syscall(SYS_sendfile, 900, in, &negative, 65));
  FAILS("sendfile with an offset of a pipe to no file", ESPIPE, syscall(SYS_sendfile, 900, ends[0], &start, 65));
  FAILS("sendfile to no file", EBADF, syscall(SYS_sendfile, 900, in, &start, 65));
  off_t from = 100, to = 4000;
  ftruncate(in, 50);
  EQUALS("copy_file_range beyond the end, over itself", 0, syscall(SYS_copy_file_range, in, &to, in, &from, 8000, 0));
  close(in), close(ends[0]), close(ends[1]);
}

int main(int argc, char **argv) {
  sendfile_order();
  out = mmap(NULL, SIZE + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  in = mmap(NULL, SIZE + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (argc > 1) {
    run(argv[1]);  // whoever names a place removes what is there
    return 0;
  }
  run_and_remove("/tmp");
  run_and_remove("/dev/shm");
  return 0;
}

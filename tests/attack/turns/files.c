// Calls on the content of files and on descriptors: large, many.
#include "turns.h"
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/sendfile.h>

static void getrandom_(void) {
  char *to = reserve(32 * MIB);
  for (int i = 0; i < 2; i++) check(syscall(SYS_getrandom, to, 32 * MIB, 0) > 0, "getrandom");
}
static void write_memory(void) {
  char *from = reserve(256 * MIB);
  int fd = sparse(0);
  check(write(fd, from, 256 * MIB) == 256 * MIB, "write");
  check(pwrite(fd, from, 256 * MIB, 0) == 256 * MIB, "pwrite");
}
static void read_memory(void) {
  char *to = reserve(256 * MIB);
  int fd = filled(256 * MIB);
  begin();
  check(pread(fd, to, 256 * MIB, 0) == 256 * MIB, "pread");
  check(read(open("/dev/urandom", O_RDONLY), to, 32 * MIB) == 32 * MIB, "read");
}
static void sendfile_(void) { check(sendfile(open("/dev/null", O_WRONLY), sparse(4 * GIB), 0, GIB) == GIB, "sendfile"); }
static void copy_file_range_(void) {
  check(syscall(SYS_copy_file_range, sparse(256 * MIB), 0, sparse(0), 0, 256 * MIB, 0) == 256 * MIB, "copy_file_range");
}
static void splice_(void) {
  int ends[2], other[2];
  pipe(ends), pipe(other);
  fcntl(ends[0], F_SETPIPE_SZ, MIB), fcntl(other[0], F_SETPIPE_SZ, MIB);
  int file = filled(64 * MIB), null = open("/dev/null", O_WRONLY);
  static struct iovec pieces[1024];
  char *bytes = reserve(4 * MIB);
  for (int i = 0; i < 1024; i++) pieces[i] = (struct iovec){bytes + i * 4096, 4096};
  for (int i = 0; i < 10; i++) {
    check(splice(file, 0, ends[1], 0, GIB, SPLICE_F_NONBLOCK) > 0, "splice");
    check(tee(ends[0], other[1], GIB, SPLICE_F_NONBLOCK) > 0, "tee");
    splice(ends[0], 0, null, 0, GIB, SPLICE_F_NONBLOCK);
    splice(other[0], 0, null, 0, GIB, SPLICE_F_NONBLOCK);
    check(vmsplice(ends[1], pieces, 1024, SPLICE_F_NONBLOCK) > 0, "vmsplice");
    splice(ends[0], 0, null, 0, GIB, SPLICE_F_NONBLOCK);
  }
}
static struct iovec *vector(void) {
  struct iovec *list = calloc(1024, sizeof *list);
  char *bytes = reserve(2 * MIB);
  for (int i = 0; i < 1024; i++) list[i] = (struct iovec){bytes, 2 * MIB};
  return list;
}
static void writev_(void) {
  int null = open("/dev/null", O_WRONLY);
  check(writev(null, vector(), 600) > GIB, "writev");
  check(pwritev(null, vector(), 600, 0) > GIB, "pwritev");
}
static void readv_(void) { check(readv(open("/dev/zero", O_RDONLY), vector(), 128) > 0, "readv"); }
static void preadv_(void) { check(preadv(sparse(4 * GIB), vector(), 128, 0) > 0, "preadv"); }

static void truncate_(void) {
  int fd = filled(GIB / 2);
  begin();
  check(ftruncate(fd, 0) == 0, "ftruncate");
}
static void truncate_path(void) {
  int fd = open("/dev/shm/turns", O_RDWR | O_CREAT | O_TRUNC, 0600);
  check(fallocate(fd, 0, 0, GIB / 2) == 0, "fallocate");
  begin();
  check(truncate("/dev/shm/turns", 4096) == 0, "truncate");
  check(fallocate(fd, 0, 0, GIB / 2) == 0, "fallocate");
  begin();
  check(open("/dev/shm/turns", O_RDWR | O_TRUNC) >= 0, "open");
  unlink("/dev/shm/turns");
}
static void punch(void) {
  int fd = filled(GIB / 2);
  begin();
  check(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, GIB / 2) == 0, "fallocate");
}
static void fallocate_(void) { filled(GIB / 2); }
static void close_large(void) {
  int fd = filled(GIB / 2);
  begin();
  check(close(fd) == 0, "close");
  settle();
}
static void unlink_large(void) {
  int fd = open("/dev/shm/turns", O_RDWR | O_CREAT | O_TRUNC, 0600);
  check(fallocate(fd, 0, 0, GIB / 2) == 0, "fallocate");
  close(fd);
  fd = open("/dev/shm/other", O_RDWR | O_CREAT | O_TRUNC, 0600);
  check(fallocate(fd, 0, 0, GIB / 4) == 0, "fallocate");
  close(fd);
  fd = open("/dev/shm/empty", O_RDWR | O_CREAT | O_TRUNC, 0600);
  close(fd);
  begin();
  check(unlink("/dev/shm/turns") == 0, "unlink");
  check(rename("/dev/shm/empty", "/dev/shm/other") == 0, "rename");
  unlink("/dev/shm/other");
  settle();
}
static void sync_(void) {
  int fd = open("/dev/shm/turns", O_RDWR | O_CREAT | O_TRUNC, 0600);
  check(fallocate(fd, 0, 0, GIB / 2) == 0, "fallocate");
  begin();
  for (int i = 0; i < 5; i++) {
    check(fsync(fd) == 0 && fdatasync(fd) == 0 && syncfs(fd) == 0, "fsync");
    check(sync_file_range(fd, 0, 0, 7) == 0, "sync_file_range");
    posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED);
    readahead(fd, 0, GIB / 2);
    sync();
  }
  unlink("/dev/shm/turns");
}
static void seek(void) {
  int fd = sparse(GIB);
  for (long at = 0; at < GIB; at += MIB) pwrite(fd, "x", 1, at);
  begin();
  for (long at = 0; at >= 0 && at < GIB; at = lseek(fd, at, SEEK_DATA)) at = lseek(fd, at, SEEK_HOLE);
}

/** `count` descriptors, each of a file of its own. */
static void many_files(int count) {
  allow_files(count + 10);
  for (int i = 0; i < count; i++) check(eventfd(i, 0) >= 0, "eventfd");
}
static void close_range_(void) {
  many_files(20000);
  begin();
  check(syscall(SYS_close_range, 3, ~0u, 0) == 0, "close_range");
}
static void close_range_unshare(void) {
  many_files(20000);
  begin();
  for (int i = 0; i < 10; i++) check(syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC) == 0, "close_range");
  check(dup2(0, 20005) == 20005, "dup2");
}
static void fork_files(void) {
  many_files(20000);
  begin();
  for (int i = 0; i < 3; i++) {
    pid_t child = fork();
    if (child == 0) _exit(0);
    check(waitpid(child, 0, 0) == child, "fork");
  }
}
static void unshare_files(void) {
  many_files(20000);
  begin();
  for (int i = 0; i < 3; i++) {
    pid_t child = vfork();
    if (child == 0) {
      if (syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC) < 0) _exit(1);
      execl("/bin/true", "true", NULL);
      _exit(1);
    }
    check(waitpid(child, 0, 0) == child, "vfork");
  }
}
static void proc_fd(void) {
  many_files(4000);
  begin();
  char line[300];
  FILE *list = popen("ls /proc/$PPID/fd /proc/$PPID/fdinfo | wc -l", "r");
  check(fgets(line, sizeof line, list) && atoi(line) > 4000, "ls");
  pclose(list);
}
static void locks(void) {
  int fd = sparse(MIB);
  struct flock lock = {.l_type = F_WRLCK, .l_len = 1};
  for (int i = 0; i < 5000; i++) {
    lock.l_start = i * 2;
    check(fcntl(fd, F_SETLK, &lock) == 0, "fcntl");
  }
  read_all("/proc/locks");
  begin();
  lock.l_start = lock.l_len = 0;
  check(fcntl(fd, F_SETLK, &lock) == 0, "fcntl");
}

/** cachestat(2) is newer than the C library. */
static void cachestat_(void) {
  unsigned long range[2] = {0, GIB / 2}, answer[5];
  int fd = filled(GIB / 2);
  begin();
  for (int i = 0; i < 10; i++) check(syscall(451, fd, range, answer, 0) == 0, "cachestat");
}

const struct turns_case file_cases[] = {
  {"getrandom", "getrandom", getrandom_},
  {"write", "write pwrite64", write_memory},
  {"read", "read pread64", read_memory},
  {"sendfile", "sendfile", sendfile_},
  {"copy_file_range", "copy_file_range", copy_file_range_},
  {"splice", "splice tee vmsplice", splice_},
  {"writev", "writev pwritev pwritev2", writev_},
  {"readv", "readv", readv_},
  {"preadv", "preadv preadv2", preadv_},
  {"ftruncate", "ftruncate", truncate_},
  {"truncate", "truncate open creat openat openat2", truncate_path},
  {"punch", "fallocate", punch},
  {"fallocate", "fallocate memfd_create", fallocate_},
  {"close", "close dup2 dup3", close_large},
  {"unlink", "unlink unlinkat rename renameat renameat2", unlink_large},
  {"sync", "fsync fdatasync sync syncfs sync_file_range fadvise64 readahead", sync_},
  {"seek", "lseek", seek},
  {"close_range", "close_range", close_range_},
  {"close_range_cloexec", "close_range dup2", close_range_unshare},
  {"fork_files", "fork exit exit_group", fork_files},
  {"exec_files", "execve", unshare_files},
  {"proc_fd", "getdents64 getdents", proc_fd},
  {"locks", "fcntl flock", locks},
  {"cachestat", "cachestat", cachestat_},
  {0},
};

// What a change of content or owner takes off a program: set-id bits where the writer may not keep them, file capabilities
// always. By every call that changes a file, as root and as a user, on the file systems of /tmp and /dev/shm.
#include "check.h"
#include <linux/falloc.h>

static char base[64];
static char path[96];

static const unsigned char CAPABILITY[20] = {1, 0, 0, 2, 0x80};

/* A program that anyone may write, with the mode's set-id bits and CAP_SETUID. */
static void build(int mode) {
  unlink(path);
  int fd = open(path, O_CREAT | O_WRONLY, 0600);
  if (write(fd, "a program of some length", 24) != 24) SAYS("build", "whole", "short");
  fchown(fd, 1000, 1000);
  fchmod(fd, mode);
  if (setxattr(path, "security.capability", CAPABILITY, sizeof CAPABILITY, 0) < 0) SAYS("build", "works", "%s", strerrorname_np(errno));
  close(fd);
}
static const char *left(void) {
  static char text[32];
  struct stat status;
  stat(path, &status);
  char value[64];
  snprintf(text, sizeof text, "%04o%s", status.st_mode & 07777, getxattr(path, "security.capability", value, sizeof value) > 0 ? " capable" : "");
  return text;
}

static int opened(int flags) { return open(path, flags); }
static long by_nothing(void) { return close(opened(O_RDWR)); }
static long by_write(void) { return write(opened(O_WRONLY), "x", 1); }
static long by_write_of_nothing(void) { return write(opened(O_WRONLY), "x", 0); }
static long by_append(void) { return write(opened(O_WRONLY | O_APPEND), "x", 1); }
static long by_pwrite(void) { return pwrite(opened(O_WRONLY), "x", 1, 2); }
static long by_large_write(void) {
  static char large[300000];
  return write(opened(O_WRONLY), large, sizeof large);
}
static long by_writev(void) {
  struct iovec parts[] = {{"x", 1}, {"y", 1}};
  return writev(opened(O_WRONLY), parts, 2);
}
static long by_pwritev2(void) {
  struct iovec part = {"x", 1};
  return pwritev2(opened(O_WRONLY), &part, 1, 0, 0);
}
static long by_truncate(void) { return truncate(path, 3); }
static long by_truncate_to_the_same(void) { return truncate(path, 24); }
static long by_ftruncate(void) { return ftruncate(opened(O_WRONLY), 30); }
static long by_open(void) { return opened(O_WRONLY | O_TRUNC) < 0 ? -1 : 0; }
static long by_open_to_read(void) { return opened(O_RDONLY | O_TRUNC) < 0 ? -1 : 0; }
static long by_creat(void) { return creat(path, 0600) < 0 ? -1 : 0; }
static long by_fallocate(void) { return fallocate(opened(O_WRONLY), 0, 0, 8192); }
static long by_reserving(void) { return fallocate(opened(O_WRONLY), FALLOC_FL_KEEP_SIZE, 0, 8192); }
static long by_punching(void) { return fallocate(opened(O_WRONLY), FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, 10); }
static long by_splice(void) {
  int ends[2];
  pipe(ends);
  write(ends[1], "abc", 3);
  return splice(ends[0], NULL, opened(O_WRONLY), NULL, 3, 0);
}
static int source(void) {
  char name[96];
  snprintf(name, sizeof name, "%s/source", base);
  return open(name, O_RDONLY);
}
static long by_sendfile(void) { return sendfile(opened(O_WRONLY), source(), NULL, 5); }
static long by_copy_file_range(void) { return copy_file_range(source(), NULL, opened(O_WRONLY), NULL, 5, 0); }
static long by_mapping(void) {
  char *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, opened(O_RDWR), 0);
  at[0] = 'm';
  return munmap(at, 4096);
}
static long by_chown(void) { return chown(path, 1000, 1000); }
static long by_chown_of_nothing(void) { return chown(path, -1, -1); }
static long by_fchown(void) { return fchown(opened(O_RDONLY), -1, 1000); }
static long by_lchown(void) { return lchown(path, 1000, -1); }
static long by_chmod(void) { return chmod(path, 0755); }
static long by_times(void) { return utimensat(AT_FDCWD, path, NULL, 0); }
static long by_xattr(void) { return setxattr(path, "user.name", "v", 1, 0); }
static long by_link(void) {
  char name[100];
  snprintf(name, sizeof name, "%s2", path);
  unlink(name);
  long result = link(path, name);
  unlink(name);
  return result;
}

/* What it leaves of modes 6755 and 2745 (set-group-id without execution for the group) to root, and to the owner. */
static const struct {
  const char *name;
  long (*call)(void);
  const char *root[2], *owner[2];
} CASES[] = {
#define KEEPS {"6755 capable", "2745 capable"}
#define LOSES {"6755", "2745"}
#define ALL {"0755", "2745"}
  {"nothing", by_nothing, KEEPS, KEEPS},
  {"write", by_write, LOSES, ALL},
  {"write of nothing", by_write_of_nothing, KEEPS, KEEPS},
  {"write at the end", by_append, LOSES, ALL},
  {"pwrite", by_pwrite, LOSES, ALL},
  {"large write", by_large_write, LOSES, ALL},
  {"writev", by_writev, LOSES, ALL},
  {"pwritev2", by_pwritev2, LOSES, ALL},
  {"truncate", by_truncate, LOSES, ALL},
  {"truncate to the same", by_truncate_to_the_same, LOSES, ALL},
  {"ftruncate", by_ftruncate, LOSES, ALL},
  {"open with O_TRUNC", by_open, LOSES, ALL},
  {"open with O_TRUNC to read", by_open_to_read, LOSES, ALL},
  {"creat", by_creat, LOSES, ALL},
  {"fallocate", by_fallocate, LOSES, ALL},
  {"fallocate behind the end", by_reserving, LOSES, ALL},
  {"hole", by_punching, LOSES, ALL},
  {"splice", by_splice, LOSES, ALL},
  {"sendfile", by_sendfile, LOSES, ALL},
  {"copy_file_range", by_copy_file_range, LOSES, ALL},
  {"shared mapping", by_mapping, KEEPS, KEEPS},
  {"chown", by_chown, {"0755", "2745"}, ALL},
  {"chown of nothing", by_chown_of_nothing, {"0755", "2745"}, ALL},
  {"fchown", by_fchown, {"0755", "2745"}, ALL},
  {"lchown", by_lchown, {"0755", "2745"}, ALL},
  {"chmod", by_chmod, {"0755 capable", "0755 capable"}, {"0755 capable", "0755 capable"}},
  {"utimensat", by_times, KEEPS, KEEPS},
  {"setxattr", by_xattr, KEEPS, KEEPS},
  {"link", by_link, KEEPS, KEEPS},
};

static void become_owner(void) {
  setgroups(0, NULL);
  setresgid(1000, 1000, 1000);
  setresuid(1000, 1000, 1000);
}

static void all(const char *where) {
  snprintf(base, sizeof base, "%s/tsvisor-privileges-XXXXXX", where);
  mkdtemp(base);
  chmod(base, 0777);
  char name[96];
  snprintf(name, sizeof name, "%s/source", base);
  int fd = open(name, O_CREAT | O_WRONLY, 0644);
  write(fd, "source", 6);
  close(fd);
  snprintf(path, sizeof path, "%s/program", base);
  for (unsigned i = 0; i < sizeof CASES / sizeof *CASES; i++)
    for (int who = 0; who < 2; who++)
      for (int kind = 0; kind < 2; kind++) {
        build(kind == 0 ? 06755 : 02745);
        pid_t child = fork();
        if (child == 0) {
          if (who == 1) become_owner();
          errno = 0;
          long result = CASES[i].call();
          char line[128];
          snprintf(line, sizeof line, "%s, %s, %s", where, CASES[i].name, who == 0 ? "root" : "owner");
          if (result < 0) SAYS(line, "works", "%s", strerrorname_np(errno));
          _exit(0);
        }
        waitpid(child, NULL, 0);
        char line[128];
        snprintf(line, sizeof line, "%s, after %s, %s", where, CASES[i].name, who == 0 ? "root" : "owner");
        SAYS(line, (who == 0 ? CASES[i].root : CASES[i].owner)[kind], "%s", left());
      }
  /* A second set-up counts as the first did. */
  build(0755);
  by_write();
  SAYS("written once", "0755", "%s", left());
  setxattr(path, "security.capability", CAPABILITY, sizeof CAPABILITY, 0);
  SAYS("capable again", "0755 capable", "%s", left());
  fd = opened(O_WRONLY);
  write(fd, "x", 1);
  SAYS("written again", "0755", "%s", left());
  fsetxattr(fd, "security.capability", CAPABILITY, sizeof CAPABILITY, 0);
  write(fd, "x", 1);
  SAYS("and through the same descriptor", "0755", "%s", left());
  unlink(path);
  unlink(name);
  rmdir(base);
}

int main(void) {
  umask(0);
  all("/tmp");
  all("/dev/shm");
  return 0;
}

// An overlay that the program mounts itself, over directories of tmpfs and over those of the root: copying up keeps holes and
// gives one of several links a number of its own; what was opened or mapped before.
#include "check.h"
#include <dirent.h>
#include <sys/mount.h>

static char base[64];
static char *in(const char *format, ...) {
  static char names[8][160];
  static int next;
  char *name = names[next++ % 8];
  int n = snprintf(name, 160, "%s/", base);
  va_list list;
  va_start(list, format);
  vsnprintf(name + n, 160 - n, format, list);
  va_end(list);
  return name;
}
static void put(const char *name, const char *text) {
  int fd = open(name, O_CREAT | O_WRONLY | O_TRUNC, 0644);
  write(fd, text, strlen(text));
  close(fd);
}
static void append(const char *name, const char *text) {
  int fd = open(name, O_WRONLY | O_APPEND);
  if (fd < 0) SAYS("append", "opened", "%s", strerrorname_np(errno));
  write(fd, text, strlen(text));
  close(fd);
}
static const char *text_of(const char *name) {
  static char text[256];
  int fd = open(name, O_RDONLY), n = read(fd, text, 255);
  close(fd);
  text[n < 0 ? 0 : n] = 0;
  return n < 0 ? "nothing" : text;
}
static struct stat of(const char *name) {
  struct stat status = {0};
  if (stat(name, &status) < 0) SAYS("stat", "works", "%s", strerrorname_np(errno));
  return status;
}

static int mount_over(const char *lower) {
  char options[512];
  mkdir(in("upper"), 0755);
  mkdir(in("work"), 0755);
  mkdir(in("merged"), 0755);
  snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s,workdir=%s", lower, in("upper"), in("work"));
  return mount("overlay", in("merged"), "overlay", 0, options);
}
static void clear(void) {
  umount2(in("merged"), MNT_DETACH);
  umount2(base, MNT_DETACH);
  mount("t", base, "tmpfs", 0, NULL);
}

static void links(void) {
  mkdir(in("lower"), 0755);
  put(in("lower/a"), "first\n");
  link(in("lower/a"), in("lower/b"));
  put(in("lower/alone"), "alone\n");
  EQUALS("overlay", 0, mount_over(in("lower")));
  struct stat a = of(in("merged/a")), b = of(in("merged/b")), alone = of(in("merged/alone"));
  TRUE("two links are one file", a.st_ino == b.st_ino && a.st_dev == b.st_dev);
  EQUALS("of two names", 2, a.st_nlink);
  append(in("merged/a"), "more\n");
  a = of(in("merged/a"));
  b = of(in("merged/b"));
  TRUE("written to, it is another", a.st_ino != b.st_ino);
  EQUALS("of one name", 1, a.st_nlink);
  EQUALS("the other has two still", 2, b.st_nlink);
  SAYS("its content", "first\nmore\n", "%s", text_of(in("merged/a")));
  SAYS("the other's", "first\n", "%s", text_of(in("merged/b")));
  EQUALS("one takes the other's place", 0, rename(in("merged/a"), in("merged/b")));
  SAYS("its content", "first\nmore\n", "%s", text_of(in("merged/b")));
  FAILS("and has left its own", ENOENT, access(in("merged/a"), F_OK));
  append(in("merged/alone"), "x");
  TRUE("one without other links keeps its number", of(in("merged/alone")).st_ino == alone.st_ino);
  clear();
}

static void holes(void) {
  mkdir(in("lower"), 0755);
  int fd = open(in("lower/sparse"), O_CREAT | O_RDWR, 0644);
  ftruncate(fd, 3L << 30);
  pwrite(fd, "start", 5, 0);
  pwrite(fd, "middle", 6, 1L << 30);
  close(fd);
  EQUALS("overlay", 0, mount_over(in("lower")));
  fd = open(in("merged/sparse"), O_RDWR);
  EQUALS("a byte into a sparse file", 1, pwrite(fd, "x", 1, 2));
  struct stat status;
  fstat(fd, &status);
  EQUALS("its size", 3L << 30, status.st_size);
  /* Linux copies a megabyte at a time, the holes in it as well. */
  TRUE("its blocks", status.st_blocks >= 16 && status.st_blocks <= 2 * 2048);
  EQUALS("its second data", 1L << 30, lseek(fd, 1 << 20, SEEK_DATA));
  char text[8] = "";
  pread(fd, text, 6, 1L << 30);
  SAYS("what is there", "middle", "%s", text);
  pread(fd, text, 6, 0);
  SAYS("and at the start", "stxrt", "%s", text);
  FAILS("no more data", ENXIO, lseek(fd, (1L << 30) + (1 << 20), SEEK_DATA));
  close(fd);
  clear();
}

static void over_the_root(void) {
  EQUALS("overlay over /etc", 0, mount_over("/etc"));
  char before[256];
  snprintf(before, sizeof before, "%s", text_of("/etc/hostname"));
  char expected[300];
  append(in("merged/hostname"), "more\n");
  snprintf(expected, sizeof expected, "%smore\n", before);
  SAYS("written to", expected, "%s", text_of(in("merged/hostname")));
  SAYS("the file below is as it was", before, "%s", text_of("/etc/hostname"));
  EQUALS("a new one", 0, mknod(in("merged/new"), S_IFREG | 0600, 0));
  EQUALS("one goes", 0, unlink(in("merged/passwd")));
  FAILS("it is gone", ENOENT, access(in("merged/passwd"), F_OK));
  EQUALS("not below", 0, access("/etc/passwd", F_OK));
  EQUALS("a directory that is copied up", 0, mkdir(in("merged/profile.d/new"), 0755));
  EQUALS("with its mode", 0755 | S_IFDIR, of(in("merged/profile.d")).st_mode);
  TRUE("what was below is in it", of(in("upper/profile.d")).st_mode == (0755 | S_IFDIR));
  struct stat whiteout = of(in("upper/passwd"));
  TRUE("a whiteout in the upper directory", S_ISCHR(whiteout.st_mode) && whiteout.st_rdev == 0);
  clear();
}

static void before_the_copy(void) {
  mkdir(in("lower"), 0755);
  put(in("lower/file"), "before\n");
  EQUALS("overlay", 0, mount_over(in("lower")));
  int reader = open(in("merged/file"), O_RDONLY);
  char *private = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, reader, 0);
  char *shared = mmap(NULL, 4096, PROT_READ, MAP_SHARED, reader, 0);
  SAYS("mapped", "before\n", "%s", shared);
  int writer = open(in("merged/file"), O_RDWR);
  EQUALS("written", 6, pwrite(writer, "after-", 6, 0));
  char text[16] = "";
  pread(reader, text, 7, 0);
  SAYS("who had it open reads the new", "after-\n", "%s", text);
  SAYS("who had it mapped sees the old", "before\n", "%s", shared);
  SAYS("privately too", "before\n", "%s", private);
  char *later = mmap(NULL, 4096, PROT_READ, MAP_SHARED, reader, 0);
  SAYS("and so it is mapped again", "before\n", "%s", later);
  char *written = mmap(NULL, 4096, PROT_READ, MAP_SHARED, writer, 0);
  SAYS("whoever opened it to write maps the new", "after-\n", "%s", written);
  munmap(written, 4096);
  SAYS("the file below is as it was", "before\n", "%s", text_of(in("lower/file")));
  close(reader), close(writer);
  munmap(private, 4096), munmap(shared, 4096), munmap(later, 4096);
  clear();
}

static void space(void) {
  struct statfs status, upper;
  mkdir(in("lower"), 0755);
  umount2(in("upper"), MNT_DETACH);
  mkdir(in("upper"), 0755);
  EQUALS("overlay", 0, mount_over(in("lower")));
  EQUALS("statfs", 0, statfs(in("merged"), &status));
  SAYS("its kind", "794c7630", "%lx", (long)status.f_type);
  statfs(in("upper"), &upper);
  TRUE("as much as the upper directory has", status.f_blocks == upper.f_blocks && status.f_bfree == upper.f_bfree);
  int fd = open(in("merged/large"), O_CREAT | O_WRONLY, 0644);
  EQUALS("a megabyte", 0, posix_fallocate(fd, 0, 1 << 20));
  unsigned long before = status.f_bfree;
  statfs(in("merged"), &status);
  EQUALS("shows", 256, before - status.f_bfree);
  close(fd);
  unlink(in("merged/large"));
  statfs(in("merged"), &status);
  EQUALS("and is given back", 0, before - status.f_bfree);
  clear();
}

int main(void) {
  umask(022);
  snprintf(base, sizeof base, "/tmp/tsvisor-overlay-XXXXXX");
  mkdtemp(base);
  unshare(CLONE_NEWNS);
  mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
  EQUALS("a tmpfs", 0, mount("t", base, "tmpfs", 0, NULL));
  links();
  holes();
  over_the_root();
  before_the_copy();
  space();
  umount2(base, MNT_DETACH);
  rmdir(base);
  return 0;
}

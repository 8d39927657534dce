// What files come out as: modes under a umask, set-gid directories, names that are replaced while open, files without names.
// It works in its working directory; tests/cli/bind_mount_test.ts runs it on a directory of the host as well.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

static const char *shown(const char *path) {
  static char text[80];
  struct stat s;
  if (lstat(path, &s) < 0) return strerror(errno);
  snprintf(text, sizeof text, "%o gid %d links %d", s.st_mode, (int)s.st_gid, (int)s.st_nlink);
  return text;
}

static void modes(int mask) {
  umask(mask);
  close(open("f", O_CREAT | O_EXCL | O_WRONLY, 0777));
  mkdir("d", 0777);
  mknod("p", S_IFIFO | 0666, 0);
  mknod("r", S_IFREG | 0666, 0);
  symlink("x", "l");
  printf("umask %03o, file: %s\n", mask, shown("f"));
  printf("umask %03o, directory: %s\n", mask, shown("d"));
  printf("umask %03o, FIFO: %s\n", mask, shown("p"));
  printf("umask %03o, node: %s\n", mask, shown("r"));
  printf("umask %03o, link: %s\n", mask, shown("l"));
  int fd = open("f", O_RDWR);
  fchmod(fd, 0666);
  printf("fchmod asks no umask: %s\n", shown("f"));
  close(fd);
  unlink("f"), rmdir("d"), unlink("p"), unlink("r"), unlink("l");
  umask(0);
}

static void set_gid(void) {
  mkdir("g", 0755);
  printf("chown: %s\n", chown("g", -1, 123) < 0 ? strerror(errno) : "ok");
  chmod("g", 02777);
  printf("set-gid directory: %s\n", shown("g"));
  umask(022);
  mkdir("g/d", 0777);
  printf("directory in it: %s\n", shown("g/d"));
  mkdir("g/d/d", 0700);
  printf("directory in that: %s\n", shown("g/d/d"));
  close(open("g/f", O_CREAT | O_WRONLY, 0666));
  printf("file in it: %s\n", shown("g/f"));
  close(open("g/x", O_CREAT | O_WRONLY, 02777));
  printf("set-gid program in it: %s\n", shown("g/x"));
  symlink("x", "g/l");
  printf("link in it: %s\n", shown("g/l"));
  mkdir("g/s", 02777);
  printf("directory with the bit asked for: %s\n", shown("g/s"));
  int fd = open("g/f", O_WRONLY);
  write(fd, "x", 1);
  struct stat s;
  fstat(fd, &s);
  printf("open file in it after a write: %o gid %d\n", s.st_mode, (int)s.st_gid);
  close(fd);
  printf("and by its name: %s\n", shown("g/f"));
  umask(0);
  rmdir("g/d/d"), rmdir("g/d"), rmdir("g/s"), unlink("g/f"), unlink("g/x"), unlink("g/l"), rmdir("g");
}

static void show_open(const char *what, int fd) {
  struct stat s;
  char text[16] = "";
  int n = pread(fd, text, sizeof text - 1, 0);
  fstat(fd, &s);
  printf("%s: %d bytes \"%s\", links %d, size %d\n", what, n, n > 0 ? text : "", (int)s.st_nlink, (int)s.st_size);
}

static void put(const char *name, const char *text) {
  int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0644);
  write(fd, text, strlen(text));
  close(fd);
}

static void replaced(void) {
  put("old", "old");
  put("new", "newer");
  int old = open("old", O_RDWR), new = open("new", O_RDONLY);
  printf("rename: %d\n", rename("new", "old"));
  show_open("replaced while open", old);
  show_open("renamed while open", new);
  printf("write to the replaced: %d\n", (int)pwrite(old, "still", 5, 0));
  show_open("replaced after a write", old);
  printf("ftruncate of the replaced: %d\n", ftruncate(old, 2));
  show_open("replaced after ftruncate", old);
  printf("fchmod of the replaced: %d\n", fchmod(old, 0600));
  int again = open("old", O_RDONLY);
  show_open("what has the name", again);
  close(again), close(old), close(new);
  put("other", "other");
  link("old", "second");
  int kept = open("old", O_RDONLY);
  rename("other", "old");
  show_open("replaced with another link", kept);
  printf("the other link: %s\n", shown("second"));
  printf("rename of one link to another: %d\n", rename("second", "second"));
  close(kept);
  mkdir("da", 0755), mkdir("db", 0755);
  int directory = open("db", O_RDONLY | O_DIRECTORY);
  printf("rename over an open directory: %d\n", rename("da", "db"));
  struct stat s;
  fstat(directory, &s);
  printf("the replaced directory: links %d\n", (int)s.st_nlink);
  printf("a file in it: %s\n", openat(directory, "f", O_CREAT | O_WRONLY, 0644) < 0 ? strerror(errno) : "made");
  close(directory);
  put("a", "a"), put("b", "bb");
  int a = open("a", O_RDONLY), b = open("b", O_RDONLY);
  printf("exchange: %ld\n", syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "b", 2));
  show_open("first of two", a);
  show_open("second of two", b);
  close(a), close(b);
  a = open("a", O_RDONLY);
  show_open("first name", a);
  close(a);
  unlink("old"), unlink("second"), rmdir("db"), unlink("a"), unlink("b");
}

static void unnamed(void) {
  umask(027);
  int fd = open(".", O_TMPFILE | O_RDWR, 0666);
  umask(0);
  if (fd < 0) {
    printf("O_TMPFILE: %s\n", strerror(errno));
    return;
  }
  struct stat s;
  fstat(fd, &s);
  printf("O_TMPFILE: %o links %d\n", s.st_mode, (int)s.st_nlink);
  printf("write: %d\n", (int)write(fd, "content", 7));
  show_open("without a name", fd);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  int result = linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW);
  printf("linkat: %s\n", result < 0 ? strerror(errno) : "ok");
  show_open("with a name", fd);
  printf("named: %s\n", shown("named"));
  close(fd);
  fd = open("named", O_RDONLY);
  show_open("opened by its name", fd);
  close(fd);
  unlink("named");
  fd = open(".", O_TMPFILE | O_WRONLY | O_EXCL, 0600);
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  result = linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW);
  printf("linkat with O_EXCL: %s\n", result < 0 ? strerror(errno) : "ok");
  close(fd);
}

int main(void) {
  char place[] = "made_files_XXXXXX";
  if (access(".", W_OK) < 0) chdir("/tmp");
  if (mkdtemp(place) == NULL || chdir(place) < 0) return 1;
  modes(0), modes(022), modes(077), modes(0707);
  set_gid();
  replaced();
  unnamed();
  chdir("..");
  rmdir(place);
  return 0;
}

// Files: opening, reading and writing, directories, names, links, attributes, locks, descriptors, extended attributes, file
// to file transfers, inotify. Everything happens in a fresh directory, once under /tmp and once under /dev/shm.
#include "check.h"

#include <dirent.h>
#include <grp.h>
#include <linux/openat2.h>
#include <sys/inotify.h>
#include <sys/sendfile.h>
#include <sys/sysmacros.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

static char base[64];

static void make(const char *name, const char *text) {
  int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0644);
  if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) SAYS(name, "made", "cannot be made: %s", strerror(errno));
  close(fd);
}

static void show(const char *name, const char *expected, const char *file) {
  char text[256];
  int fd = open(file, O_RDONLY);
  ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  SAYS(name, expected, "%.*s", n < 0 ? 6 : (int)n, n < 0 ? "failed" : text);
  if (fd >= 0) close(fd);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void list(const char *name, const char *expected, const char *directory) {
  DIR *stream = opendir(directory);
  if (!stream) {
    judge(name, expected, strerrorname_np(errno));
    return;
  }
  char *names[100], line[400] = "";
  int count = 0;
  for (struct dirent *entry; count < 100 && (entry = readdir(stream));) {
    char text[300];
    snprintf(text, sizeof text, "%s%s", entry->d_name, entry->d_type == DT_DIR ? "/" : entry->d_type == DT_LNK ? "@" : entry->d_type == DT_FIFO ? "|" : "");
    names[count++] = strdup(text);
  }
  closedir(stream);
  qsort(names, count, sizeof names[0], by_name);
  for (int i = 0; i < count; i++) strcat(strcat(line, i ? " " : ""), names[i]);
  judge(name, expected, line);
}

static mode_t mode_of(const char *name) {
  struct stat status;
  return stat(name, &status) < 0 ? 0 : status.st_mode & 07777;
}

static void opening(void) {
  WORKS("O_CREAT", open("f", O_CREAT | O_RDWR, 0644));
  FAILS("O_EXCL over a file", EEXIST, open("f", O_CREAT | O_EXCL | O_RDWR, 0644));
  FAILS("no such file", ENOENT, open("none", O_RDONLY));
  FAILS("no such directory", ENOENT, open("none/f", O_CREAT | O_RDWR, 0644));
  FAILS("a file as directory", ENOTDIR, open("f/x", O_RDONLY));
  FAILS("a file with a slash", ENOTDIR, open("f/", O_RDONLY));
  FAILS("O_CREAT with a slash", EISDIR, open("g/", O_CREAT | O_RDWR, 0644));
  FAILS("O_DIRECTORY on a file", ENOTDIR, open("f", O_RDONLY | O_DIRECTORY));
  FAILS("a directory for writing", EISDIR, open(".", O_WRONLY));
  FAILS("a directory to be truncated", EISDIR, open(".", O_RDONLY | O_TRUNC));
  FAILS("O_CREAT with a slash of a file", EISDIR, open("f/", O_CREAT | O_RDWR, 0644));
  FAILS("O_CREAT on a directory", EISDIR, open(".", O_CREAT | O_RDONLY, 0644));
  FAILS("an empty name", ENOENT, open("", O_RDONLY));
  FAILS("a bad address", EFAULT, syscall(SYS_openat, AT_FDCWD, BAD, O_RDONLY));
  FAILS("a bad directory descriptor", EBADF, openat(999, "f", O_RDONLY));
  int file = open("f", O_RDONLY);
  FAILS("a file as directory descriptor", ENOTDIR, openat(file, "f", O_RDONLY));
  WORKS("an absolute name with a bad descriptor", openat(999, "/", O_RDONLY));
  char name[300];
  memset(name, 'x', sizeof name);
  name[256] = 0;
  FAILS("a name of 256 bytes", ENAMETOOLONG, open(name, O_RDONLY));
  name[255] = 0;
  FAILS("a name of 255 bytes", ENOENT, open(name, O_RDONLY));
  static char path[5000];
  for (int i = 0; i < 4100; i++) path[i] = i % 2 ? '/' : '.';
  path[4096] = 0;
  FAILS("a path of 4096 bytes", ENAMETOOLONG, open(path, O_RDONLY));
  path[4095] = 0;
  WORKS("a path of 4095 bytes", open(path, O_RDONLY));
  symlink("f", "link");
  symlink("made", "dangling");
  symlink("loop", "loop");
  FAILS("O_NOFOLLOW on a symlink", ELOOP, open("link", O_RDONLY | O_NOFOLLOW));
  WORKS("through a symlink", open("link", O_RDONLY));
  FAILS("a symlink with a slash", ENOTDIR, open("link/", O_RDONLY));
  FAILS("a dangling symlink", ENOENT, open("dangling", O_RDONLY));
  FAILS("O_EXCL on a dangling symlink", EEXIST, open("dangling", O_CREAT | O_EXCL | O_RDWR, 0644));
  WORKS("O_CREAT through a dangling symlink", open("dangling", O_CREAT | O_RDWR, 0644));
  EQUALS("made what it leads to", 0, access("made", F_OK));
  FAILS("a loop", ELOOP, open("loop", O_RDONLY));
  FAILS("a loop with O_CREAT", ELOOP, open("loop", O_CREAT | O_RDWR, 0644));
  int place = open("link", O_PATH | O_NOFOLLOW);
  WORKS("O_PATH on a symlink", place);
  ssize_t length = readlinkat(place, "", name, sizeof name);
  SAYS("readlinkat of it", "f", "%.*s", (int)length, name);
  FAILS("readlinkat of a file", ENOENT, readlinkat(file, "", name, sizeof name));
  FAILS("readlink into nothing", EINVAL, readlink("link", name, 0));
  place = open("f", O_PATH);
  FAILS("read of O_PATH", EBADF, read(place, name, 1));
  FAILS("fchmod of O_PATH", EBADF, fchmod(place, 0600));
  FAILS("fcntl of O_PATH", EBADF, fcntl(place, F_GETLK, name));
  EQUALS("F_GETFL of O_PATH", O_PATH, fcntl(place, F_GETFL));
  struct stat status;
  EQUALS("fstat of O_PATH", 0, fstat(place, &status));
  snprintf(name, sizeof name, "/proc/self/fd/%d", place);
  WORKS("open of it through /proc", open(name, O_RDWR));
  int unnamed = open(".", O_TMPFILE | O_RDWR, 0600);
  WORKS("O_TMPFILE", unnamed);
  FAILS("O_TMPFILE for reading", EINVAL, open(".", O_TMPFILE | O_RDONLY, 0600));
  FAILS("O_TMPFILE on a file", ENOTDIR, open("f", O_TMPFILE | O_RDWR, 0600));
  fstat(unnamed, &status);
  EQUALS("links of O_TMPFILE", 0, status.st_nlink);
  snprintf(name, sizeof name, "/proc/self/fd/%d", unnamed);
  EQUALS("linkat of it", 0, linkat(AT_FDCWD, name, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
  fstat(unnamed, &status);
  EQUALS("links then", 1, status.st_nlink);
  umask(027);
  open("masked", O_CREAT | O_RDWR, 0666);
  EQUALS("the umask", 0640, mode_of("masked"));
  umask(022);
  EQUALS("F_GETFL", O_RDWR | O_APPEND | O_NONBLOCK | 0100000 /* O_LARGEFILE */, fcntl(open("f", O_RDWR | O_APPEND | O_NONBLOCK | O_CREAT | O_CLOEXEC, 0644), F_GETFL));
  list("what is there", "../ ./ dangling@ f link@ loop@ made masked named", ".");
}

static long open2(int directory, const char *name, uint64_t flags, uint64_t resolve) {
  struct open_how how = {.flags = flags, .resolve = resolve};
  return syscall(SYS_openat2, directory, name, &how, sizeof how);
}

static void opening2(void) {
  mkdir("in", 0755);
  mkdir("in/deep", 0755);
  make("in/f", "inside");
  make("f", "outside");
  symlink("../f", "in/out");
  symlink("/f", "in/absolute");
  symlink("f", "in/near");
  int in = open("in", O_RDONLY | O_DIRECTORY);
  WORKS("RESOLVE_BENEATH", open2(in, "deep/../near", O_RDONLY, RESOLVE_BENEATH));
  FAILS("beneath and up", EXDEV, open2(in, "..", O_RDONLY, RESOLVE_BENEATH));
  FAILS("beneath and out by symlink", EXDEV, open2(in, "out", O_RDONLY, RESOLVE_BENEATH));
  FAILS("beneath and absolute", EXDEV, open2(in, "/f", O_RDONLY, RESOLVE_BENEATH));
  FAILS("beneath and absolute symlink", EXDEV, open2(in, "absolute", O_RDONLY, RESOLVE_BENEATH));
  WORKS("RESOLVE_IN_ROOT", open2(in, "absolute", O_RDONLY, RESOLVE_IN_ROOT));
  WORKS("in root and up", open2(in, "../../f", O_RDONLY, RESOLVE_IN_ROOT));
  WORKS("in root and out by symlink", open2(in, "out", O_RDONLY, RESOLVE_IN_ROOT));
  FAILS("RESOLVE_NO_SYMLINKS", ELOOP, open2(in, "near", O_RDONLY, RESOLVE_NO_SYMLINKS));
  FAILS("RESOLVE_NO_MAGICLINKS", ELOOP, open2(AT_FDCWD, "/proc/self/fd/1", O_RDONLY, RESOLVE_NO_MAGICLINKS));
  FAILS("RESOLVE_NO_XDEV", EXDEV, open2(AT_FDCWD, "/proc/self/stat", O_RDONLY, RESOLVE_NO_XDEV));
  FAILS("unknown resolve bits", EINVAL, open2(in, "f", O_RDONLY, 1 << 20));
  FAILS("unknown flags", EINVAL, open2(in, "f", 1ULL << 40, 0));
  FAILS("beneath and in root", EINVAL, open2(in, "f", O_RDONLY, RESOLVE_BENEATH | RESOLVE_IN_ROOT));
  struct open_how how = {.mode = 0644};
  FAILS("a mode without O_CREAT", EINVAL, syscall(SYS_openat2, in, "f", &how, sizeof how));
  FAILS("a short struct", EINVAL, syscall(SYS_openat2, in, "f", &how, 8));
}

static void content(void) {
  char text[64] = "";
  int fd = open("c", O_CREAT | O_RDWR, 0644);
  EQUALS("write", 11, write(fd, "hello world", 11));
  EQUALS("read at the end", 0, read(fd, text, 10));
  EQUALS("lseek", 6, lseek(fd, 6, SEEK_SET));
  EQUALS("read", 5, read(fd, text, 64));
  SAYS("is", "world", "%.5s", text);
  EQUALS("pread", 4, pread(fd, text, 4, 1));
  FAILS("pread at a negative offset", EINVAL, pread(fd, text, 4, -1));
  EQUALS("pwrite behind the end", 1, pwrite(fd, "!", 1, 20));
  EQUALS("the position stays", 11, lseek(fd, 0, SEEK_CUR));
  EQUALS("the hole is zero", 1, pread(fd, text, 9, 11) == 9 && memcmp(text, "\0\0\0\0\0\0\0\0\0", 9) == 0);
  FAILS("lseek before the start", EINVAL, lseek(fd, -1, SEEK_SET));
  FAILS("lseek with a bad whence", EINVAL, lseek(fd, 0, 9));
  EQUALS("SEEK_END", 20, lseek(fd, -1, SEEK_END));
  FAILS("SEEK_DATA behind the end", ENXIO, lseek(fd, 1000, SEEK_DATA));
  EQUALS("SEEK_HOLE", 21, lseek(fd, 0, SEEK_HOLE));
  const char *const places[] = {".", "c", "/proc/self", "/proc/self/status", "/dev", "/dev/null"};
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    int place = open(places[i], O_RDONLY);
    off_t far = lseek(place, 0x7fffffffffffffff, SEEK_SET);
    TRUE("lseek to the last offset there is", far == 0x7fffffffffffffff || far == 0 || (far == -1 && errno == EINVAL));
    lseek(place, 0, SEEK_SET);
    off_t odd = lseek(place, (1l << 53) + 1, SEEK_CUR);
    TRUE("lseek to where numbers are wide", odd == (1l << 53) + 1 || odd == 0 || (odd == -1 && errno == EINVAL));
    close(place);
  }
  FAILS("read to a bad address", EFAULT, pread(fd, BAD, 4, 0));
  FAILS("write from a bad address", EFAULT, pwrite(fd, BAD, 4, 0));
  EQUALS("read of nothing", 0, read(fd, BAD, 0));
  FAILS("read of a descriptor for writing", EBADF, read(open("c", O_WRONLY), text, 1));
  FAILS("write of a descriptor for reading", EBADF, write(open("c", O_RDONLY), text, 1));
  FAILS("read of a closed descriptor", EBADF, read(999, text, 1));
  FAILS("read of a directory", EISDIR, read(open(".", O_RDONLY), text, 1));
  EQUALS("ftruncate", 0, ftruncate(fd, 5));
  EQUALS("ftruncate longer", 0, ftruncate(fd, 8));
  EQUALS("reads zeros", 1, pread(fd, text, 64, 0) == 8 && memcmp(text, "hello\0\0\0", 8) == 0);
  FAILS("ftruncate to a negative size", EINVAL, ftruncate(fd, -1));
  FAILS("ftruncate of a descriptor for reading", EINVAL, ftruncate(open("c", O_RDONLY), 1));
  FAILS("truncate of a directory", EISDIR, truncate(".", 1));
  EQUALS("truncate", 0, truncate("c", 3));
  int append = open("c", O_WRONLY | O_APPEND);
  lseek(append, 0, SEEK_SET);
  EQUALS("O_APPEND", 2, write(append, "ab", 2));
  EQUALS("its position", 5, lseek(append, 0, SEEK_CUR));
  show("is", "helab", "c");
  close(open("c", O_WRONLY | O_TRUNC));
  struct stat status;
  stat("c", &status);
  EQUALS("O_TRUNC", 0, status.st_size);
  struct iovec parts[3] = {{"one", 3}, {NULL, 0}, {"three", 5}};
  EQUALS("writev", 8, writev(append, parts, 3));
  FAILS("writev of too many", EINVAL, writev(append, parts, 1025));
  FAILS("writev of a negative count", EINVAL, writev(append, parts, -1));
  FAILS("writev from a bad vector", EFAULT, writev(append, BAD, 1));
  char first[4] = "", second[10] = "";
  struct iovec into[2] = {{first, 2}, {second, 9}};
  EQUALS("preadv", 8, preadv(fd, into, 2, 0));
  SAYS("is", "on+ethree", "%s+%s", first, second);
  FAILS("preadv2 with a bad flag", EOPNOTSUPP, preadv2(fd, into, 2, 0, 1 << 20));
  EQUALS("pwritev2 with RWF_APPEND", 3, pwritev2(fd, parts, 1, 0, RWF_APPEND));
  show("is", "onethreeone", "c");
  static char large[300000];
  memset(large, 'L', sizeof large);
  EQUALS("a large write", 300000, pwrite(fd, large, sizeof large, 100));
  memset(large, 0, sizeof large);
  EQUALS("a large read", 300000, pread(fd, large, sizeof large, 100));
  TRUE("is the same", large[0] == 'L' && large[sizeof large - 1] == 'L');
  EQUALS("fallocate", 0, fallocate(fd, 0, 0, 400000));
  EQUALS("fallocate keeps the size", 0, fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 500000));
  fstat(fd, &status);
  EQUALS("size", 400000, status.st_size);
  EQUALS("punches a hole", 0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 8192));
  EQUALS("that is zero", 1, pread(fd, text, 1, 5000) == 1 && text[0] == 0);
  FAILS("fallocate of nothing", EINVAL, fallocate(fd, 0, 0, 0));
  FAILS("a hole that changes the size", EOPNOTSUPP, fallocate(open("c", O_RDONLY), FALLOC_FL_PUNCH_HOLE, 0, 1));
  EQUALS("fsync", 0, fsync(fd));
  EQUALS("fdatasync", 0, fdatasync(fd));
  EQUALS("fadvise", 0, posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
  EQUALS("fadvise with bad advice", EINVAL, posix_fadvise(fd, 0, 0, 99));
  EQUALS("readahead", 0, readahead(fd, 0, 100));
  int pipes[2];
  pipe(pipes);
  FAILS("pread of a pipe", ESPIPE, pread(pipes[0], text, 1, 0));
  FAILS("lseek of a pipe", ESPIPE, lseek(pipes[0], 0, SEEK_CUR));
  FAILS("ftruncate of a pipe", EINVAL, ftruncate(pipes[1], 0));
  FAILS("fsync of a pipe", EINVAL, fsync(pipes[0]));
  struct rlimit limit = {1000, 1000}, old;
  getrlimit(RLIMIT_FSIZE, &old);
  limit.rlim_max = old.rlim_max;
  setrlimit(RLIMIT_FSIZE, &limit);
  signal(SIGXFSZ, SIG_IGN);
  // Nothing is said under the limit: it holds for the file that stdout may be.
  long cut = pwrite(fd, large, 100, 950), refused = pwrite(fd, large, 100, 1000);
  int write_error = errno;
  long resized = ftruncate(fd, 1 << 20);
  int resize_error = errno;
  setrlimit(RLIMIT_FSIZE, &old);
  EQUALS("RLIMIT_FSIZE cuts", 50, cut);
  SAYS("RLIMIT_FSIZE refuses", "-1 EFBIG", "%ld %s", refused, strerrorname_np(write_error));
  SAYS("RLIMIT_FSIZE and ftruncate", "-1 EFBIG", "%ld %s", resized, strerrorname_np(resize_error));
  char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  TRUE("a file can be mapped", map != MAP_FAILED);
  pwrite(fd, "written", 7, 10);
  TRUE("a write shows in a mapping", memcmp(map + 10, "written", 7) == 0);
  memcpy(map + 30, "mapped", 6);
  pread(fd, text, 6, 30);
  SAYS("a mapping shows in a read", "mapped", "%.6s", text);
}

static void names(void) {
  EQUALS("mkdir", 0, mkdir("d", 0755));
  FAILS("mkdir again", EEXIST, mkdir("d", 0755));
  EQUALS("mkdir with a slash", 0, mkdir("d2/", 0755));
  FAILS("mkdir over a file", EEXIST, (make("f", ""), mkdir("f", 0755)));
  FAILS("mkdir in nothing", ENOENT, mkdir("none/d", 0755));
  FAILS("mkdir of /", EEXIST, mkdir("/", 0755));
  FAILS("mkdir of .", EEXIST, mkdir("d/.", 0755));
  FAILS("mkdir of ..", EEXIST, mkdir("d/..", 0755));
  FAILS("rmdir of .", EINVAL, rmdir("d/."));
  FAILS("rmdir of ..", ENOTEMPTY, rmdir("d/.."));
  FAILS("rmdir of /", EBUSY, rmdir("/"));
  FAILS("rmdir of a file", ENOTDIR, rmdir("f"));
  FAILS("rmdir of nothing", ENOENT, rmdir("none"));
  make("d/f", "text");
  FAILS("rmdir of a full directory", ENOTEMPTY, rmdir("d"));
  FAILS("unlink of a directory", EISDIR, unlink("d"));
  FAILS("unlink of .", EISDIR, unlink("."));
  FAILS("unlink of a file with a slash", ENOTDIR, unlink("d/f/"));
  FAILS("unlink of a directory with a slash", EISDIR, unlink("d/"));
  FAILS("unlink of nothing", ENOENT, unlink("d/none"));
  FAILS("unlinkat with bad flags", EINVAL, unlinkat(AT_FDCWD, "d", 0x8000));
  EQUALS("unlinkat AT_REMOVEDIR", 0, unlinkat(AT_FDCWD, "d2", AT_REMOVEDIR));
  EQUALS("mknod of a FIFO", 0, mkfifo("fifo", 0600));
  EQUALS("mknod of a file", 0, mknod("node", S_IFREG | 0600, 0));
  FAILS("mknod of a directory", EPERM, mknod("node2", S_IFDIR | 0600, 0));
  FAILS("mknod of nonsense", EINVAL, mknod("node2", 0110000, 0));
  FAILS("mknod over a file", EEXIST, mknod("f", S_IFREG | 0600, 0));
  FAILS("mknod with a slash", ENOENT, mknod("node2/", S_IFREG | 0600, 0));
  EQUALS("link", 0, link("d/f", "hard"));
  FAILS("link over a file", EEXIST, link("d/f", "f"));
  FAILS("link of a directory", EPERM, link("d", "d3"));
  FAILS("link of nothing", ENOENT, link("none", "x"));
  FAILS("link with bad flags", EINVAL, linkat(AT_FDCWD, "f", AT_FDCWD, "x", 0x8000));
  struct stat a, b;
  stat("d/f", &a);
  stat("hard", &b);
  TRUE("is the same file", a.st_ino == b.st_ino && a.st_nlink == 2);
  EQUALS("symlink", 0, symlink("d/f", "soft"));
  FAILS("symlink over a file", EEXIST, symlink("x", "f"));
  FAILS("symlink to nothing", ENOENT, symlink("", "x"));
  EQUALS("link of a symlink", 0, link("soft", "soft2"));
  lstat("soft2", &a);
  TRUE("links the symlink", S_ISLNK(a.st_mode));
  EQUALS("size of a symlink", 3, a.st_size);
  EQUALS("link through a symlink", 0, linkat(AT_FDCWD, "soft", AT_FDCWD, "hard2", AT_SYMLINK_FOLLOW));
  list("what is there", "../ ./ d/ f fifo| hard hard2 node soft2@ soft@", ".");
  EQUALS("rename", 0, rename("hard", "d/moved"));
  FAILS("rename of nothing", ENOENT, rename("none", "x"));
  FAILS("rename below itself", EINVAL, rename("d", "d/sub"));
  EQUALS("rename to itself, where names are made at each look", 0, rename("/proc/self/status", "/proc/self/status"));
  EQUALS("of a link", 0, rename("/proc/self/fd/0", "/proc/self/fd/0"));
  EQUALS("of a directory", 0, rename("/proc/self/fd", "/proc/self/../self/fd"));
  FAILS("without replacing", EEXIST, renameat2(AT_FDCWD, "/proc/self/status", AT_FDCWD, "/proc/self/status", RENAME_NOREPLACE));
  FAILS("rename to a full directory", ENOTEMPTY, (mkdir("e", 0755), rename("e", "d")));
  FAILS("rename of a directory to a file", ENOTDIR, rename("d", "f"));
  FAILS("rename of a file to a directory", EISDIR, rename("f", "d"));
  FAILS("rename of a file to a name with a slash", ENOTDIR, rename("f", "g/"));
  EQUALS("rename to an empty directory", 0, rename("d", "e"));
  FAILS("rename of .", EBUSY, rename("e/.", "x"));
  FAILS("rename to ..", EBUSY, rename("f", "e/.."));
  EQUALS("rename to itself", 0, rename("f", "f"));
  EQUALS("rename to another link of it", 0, rename("e/f", "hard2"));
  EQUALS("both stay", 0, access("e/f", F_OK) + access("hard2", F_OK));
  FAILS("RENAME_NOREPLACE", EEXIST, renameat2(AT_FDCWD, "f", AT_FDCWD, "node", RENAME_NOREPLACE));
  FAILS("RENAME_EXCHANGE with nothing", ENOENT, renameat2(AT_FDCWD, "f", AT_FDCWD, "none", RENAME_EXCHANGE));
  EQUALS("RENAME_EXCHANGE", 0, renameat2(AT_FDCWD, "e", AT_FDCWD, "fifo", RENAME_EXCHANGE));
  FAILS("unknown rename flags", EINVAL, renameat2(AT_FDCWD, "f", AT_FDCWD, "x", 0x100));
  FAILS("two rename flags", EINVAL, renameat2(AT_FDCWD, "f", AT_FDCWD, "x", RENAME_EXCHANGE | RENAME_NOREPLACE));
  list("what is there", "../ ./ e| f fifo/ hard2 node soft2@ soft@", ".");
  list("in the directory", "../ ./ f moved", "fifo");
  struct stat d;
  stat("fifo", &d);
  mkdir("fifo/one", 0755);
  FAILS("rename between file systems", EXDEV, rename("f", "/proc/self/x"));
  int directory = open("fifo/one", O_RDONLY);
  EQUALS("rmdir of an open directory", 0, rmdir("fifo/one"));
  FAILS("create in it", ENOENT, openat(directory, "x", O_CREAT | O_RDWR, 0644));
  EQUALS("its dots", 1, openat(directory, ".", O_RDONLY) >= 0);
  char text[1024];
  FAILS("getdents of it", ENOENT, syscall(SYS_getdents64, directory, text, sizeof text));
  FAILS("getdents of a file", ENOTDIR, syscall(SYS_getdents64, open("f", O_RDONLY), text, sizeof text));
  FAILS("getdents into little", EINVAL, syscall(SYS_getdents64, open(".", O_RDONLY), text, 10));
  FAILS("getdents to a bad address", EFAULT, syscall(SYS_getdents64, open(".", O_RDONLY), BAD, 1000));
  mkdir("here", 0755);
  EQUALS("chdir", 0, chdir("here"));
  TRUE("getcwd", getcwd(text, sizeof text) && strcmp(strrchr(text, '/'), "/here") == 0);
  FAILS("getcwd into little", ERANGE, syscall(SYS_getcwd, text, 2));
  EQUALS("rmdir of the working directory", 0, rmdir("../here"));
  FAILS("getcwd of a removed directory", ENOENT, syscall(SYS_getcwd, text, sizeof text));
  FAILS("create there", ENOENT, open("x", O_CREAT | O_RDWR, 0644));
  EQUALS("chdir back", 0, chdir(".."));
  FAILS("chdir to a file", ENOTDIR, chdir("f"));
  FAILS("fchdir to a file", ENOTDIR, fchdir(open("f", O_RDONLY)));
}

static void attributes(void) {
  make("a", "text");
  struct stat status;
  stat("a", &status);
  EQUALS("mode", 33188, status.st_mode);
  EQUALS("size", 4, status.st_size);
  EQUALS("links", 1, status.st_nlink);
  TRUE("times are now", llabs((long long)status.st_mtime - time(NULL)) < 5);
  EQUALS("chmod", 0, chmod("a", 06755));
  EQUALS("mode", 3565, mode_of("a"));
  FAILS("chmod of nothing", ENOENT, chmod("none", 0600));
  FAILS("fchmodat of a symlink", EOPNOTSUPP, (symlink("a", "al"), syscall(SYS_fchmodat2, AT_FDCWD, "al", 0600, AT_SYMLINK_NOFOLLOW)));
  FAILS("stat to a bad address", EFAULT, syscall(SYS_newfstatat, AT_FDCWD, "a", BAD, 0));
  FAILS("stat with bad flags", EINVAL, syscall(SYS_newfstatat, AT_FDCWD, "a", &status, 0x8000000));
  struct timespec times[2] = {{1000, 5}, {2000, 6}};
  EQUALS("utimensat", 0, utimensat(AT_FDCWD, "a", times, 0));
  stat("a", &status);
  SAYS("times", "1000.000000005 2000.000000006", "%ld.%09ld %ld.%09ld", status.st_atim.tv_sec, status.st_atim.tv_nsec, status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
  times[0].tv_nsec = UTIME_OMIT;
  times[1].tv_nsec = UTIME_NOW;
  EQUALS("UTIME_OMIT", 0, utimensat(AT_FDCWD, "a", times, 0));
  stat("a", &status);
  EQUALS("atime stays", 1000, status.st_atim.tv_sec);
  times[0].tv_nsec = 2000000000;
  FAILS("bad nanoseconds", EINVAL, utimensat(AT_FDCWD, "a", times, 0));
  FAILS("bad nanoseconds for nothing", ENOENT, utimensat(AT_FDCWD, "none", times, 0));
  struct statx extended;
  EQUALS("statx", 0, statx(AT_FDCWD, "a", 0, STATX_ALL, &extended));
  TRUE("statx agrees", extended.stx_size == 4 && extended.stx_mode == status.st_mode && extended.stx_ino == status.st_ino);
  FAILS("statx with bad flags", EINVAL, statx(AT_FDCWD, "a", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, STATX_ALL, &extended));
  EQUALS("access", 0, access("a", R_OK | W_OK | X_OK));
  FAILS("access with a bad mode", EINVAL, access("a", 8));
  FAILS("faccessat2 with bad flags", EINVAL, syscall(SYS_faccessat2, AT_FDCWD, "a", R_OK, 0x8000));
  struct statfs fs;
  EQUALS("statfs", 0, statfs("a", &fs));
  TRUE("statfs has sizes", fs.f_bsize > 0 && fs.f_namelen == 255);
  FAILS("statfs of nothing", ENOENT, statfs("none", &fs));
  EQUALS("umask", 077, (umask(077), umask(022)));
  if (geteuid() != 0) return;
  mkdir("open", 0777);
  chmod("open", 01777);
  make("open/roots", "");
  chmod("open/roots", 0666);
  mkdir("group", 0755);
  chown("group", 0, 1234);
  chmod("group", 02777);
  make("group/f", "");
  mkdir("group/d", 0755);
  stat("group/f", &status);
  EQUALS("setgid directory gives its group", 1234, status.st_gid);
  stat("group/d", &status);
  SAYS("and its bit to directories", "1234 2755", "%d %o", status.st_gid, status.st_mode & 07777);
  chmod("a", 06777);
  EQUALS("chown", 0, chown("a", 500, 600));
  EQUALS("takes setuid off", 0777, mode_of("a"));
  chmod("a", 04777);
  mkdir("closed", 0700);
  make("closed/f", "");
  make("secret", "");
  chmod("secret", 0);
  chmod(".", 0755);
  pid_t child = fork();
  if (child == 0) {
    setgroups(0, NULL);
    setresgid(1000, 1000, 1000);
    setresuid(1000, 1000, 1000);
    FAILS("another's chmod", EPERM, chmod("a", 0600));
    FAILS("another's chown", EPERM, chown("a", 1000, -1));
    FAILS("a closed directory", EACCES, open("closed/f", O_RDONLY));
    FAILS("a file without rights", EACCES, open("secret", O_RDONLY));
    FAILS("access of it", EACCES, access("secret", R_OK));
    EQUALS("access of its existence", 0, access("secret", F_OK));
    FAILS("a directory without rights", EACCES, open("x", O_CREAT | O_RDWR, 0644));
    WORKS("a directory for all", open("open/mine", O_CREAT | O_RDWR, 0644));
    FAILS("another's file in a sticky directory", EPERM, unlink("open/roots"));
    FAILS("its rename", EPERM, rename("open/roots", "open/x"));
    EQUALS("one's own", 0, rename("open/mine", "open/my"));
    EQUALS("another's utimensat", 0, utimensat(AT_FDCWD, "open/roots", NULL, 0));
    struct timespec then[2] = {{1, 1}, {1, 1}};
    FAILS("with times", EPERM, utimensat(AT_FDCWD, "open/roots", then, 0));
    FAILS("O_NOATIME", EPERM, open("open/roots", O_RDONLY | O_NOATIME));
    int fd = open("a", O_WRONLY);
    EQUALS("write to a setuid file", 1, write(fd, "x", 1));
    EQUALS("takes setuid off", 0777, mode_of("a"));
    FAILS("mknod of a device", EPERM, mknod("open/null", S_IFCHR | 0666, makedev(1, 3)));
    FAILS("chroot", EPERM, chroot("."));
    _exit(0);
  }
  EQUALS("child", 0, wait_code(child));
}

static void descriptors(void) {
  int low = open("fd", O_CREAT | O_RDWR, 0644);
  EQUALS("dup takes the lowest", 1, dup(low) - low);
  EQUALS("dup2", 100, dup2(low, 100));
  EQUALS("dup2 onto itself", 0, dup2(low, low) - low);
  FAILS("dup2 of nothing", EBADF, dup2(900, 100));
  FAILS("dup2 onto itself of nothing", EBADF, dup2(900, 900));
  FAILS("dup2 to a negative number", EBADF, dup2(low, -1));
  FAILS("dup3 onto itself", EINVAL, dup3(low, low, 0));
  FAILS("dup3 with bad flags", EINVAL, dup3(low, 101, 1));
  EQUALS("dup3", 101, dup3(low, 101, O_CLOEXEC));
  EQUALS("F_GETFD", FD_CLOEXEC, fcntl(101, F_GETFD));
  EQUALS("F_SETFD", 0, fcntl(101, F_SETFD, 0));
  EQUALS("F_GETFD then", 0, fcntl(101, F_GETFD));
  EQUALS("F_DUPFD", 200, fcntl(low, F_DUPFD, 200));
  EQUALS("F_DUPFD_CLOEXEC", 201, fcntl(low, F_DUPFD_CLOEXEC, 200));
  FAILS("F_DUPFD with a negative number", EINVAL, fcntl(low, F_DUPFD, -1));
  FAILS("fcntl of nothing", EBADF, fcntl(900, F_GETFD));
  FAILS("an unknown command", EINVAL, fcntl(low, 9999));
  EQUALS("F_SETFL", 0, fcntl(low, F_SETFL, O_APPEND));
  TRUE("shared by the copies", (fcntl(100, F_GETFL) & O_APPEND) != 0);
  FAILS("F_GETPIPE_SZ of a file", EBADF, fcntl(low, F_GETPIPE_SZ));
  EQUALS("F_GETLEASE", F_UNLCK, fcntl(low, F_GETLEASE));
  EQUALS("F_GETOWN", 0, fcntl(low, F_GETOWN));
  EQUALS("close_range", 0, syscall(SYS_close_range, 100, 300, 0));
  FAILS("closes", EBADF, fcntl(101, F_GETFD));
  FAILS("close_range backwards", EINVAL, syscall(SYS_close_range, 5, 4, 0));
  FAILS("close_range with bad flags", EINVAL, syscall(SYS_close_range, 4, 5, 1));
  dup2(low, 100);
  EQUALS("close_range marks", 0, syscall(SYS_close_range, 100, 100, CLOSE_RANGE_CLOEXEC));
  EQUALS("F_GETFD", FD_CLOEXEC, fcntl(100, F_GETFD));
  EQUALS("close", 0, close(100));
  FAILS("close again", EBADF, close(100));
  int yes = 1;
  EQUALS("FIONBIO", 0, ioctl(low, FIONBIO, &yes));
  TRUE("sets O_NONBLOCK", (fcntl(low, F_GETFL) & O_NONBLOCK) != 0);
  EQUALS("FIOCLEX", 0, ioctl(low, FIOCLEX));
  FAILS("an ioctl of a terminal", ENOTTY, ioctl(low, TIOCGWINSZ, &yes));
  EQUALS("FIONREAD", 0, (write(low, "12345", 5), lseek(low, 2, SEEK_SET), ioctl(low, FIONREAD, &yes)));
  EQUALS("is", 3, yes);
  struct rlimit limit, old;
  getrlimit(RLIMIT_NOFILE, &old);
  limit = old;
  limit.rlim_cur = 150;
  setrlimit(RLIMIT_NOFILE, &limit);
  FAILS("dup2 beyond RLIMIT_NOFILE", EBADF, dup2(low, 150));
  FAILS("F_DUPFD beyond it", EINVAL, fcntl(low, F_DUPFD, 150));
  FAILS("F_DUPFD at its end", EMFILE, (dup2(low, 149), fcntl(low, F_DUPFD, 149)));
  setrlimit(RLIMIT_NOFILE, &old);
}

static volatile int signals;
static int signal_fd, signal_code;
static void on_ready(int number, siginfo_t *info, void *context) {
  (void)number, (void)context;
  signals++;
  signal_fd = info->si_fd;
  signal_code = info->si_code;
}

static void signalled(void) {
  int pipes[2];
  pipe(pipes);
  struct sigaction action = {.sa_sigaction = on_ready, .sa_flags = SA_SIGINFO};
  sigaction(SIGIO, &action, NULL);
  sigaction(SIGRTMIN, &action, NULL);
  EQUALS("F_SETOWN", 0, fcntl(pipes[0], F_SETOWN, getpid()));
  TRUE("F_GETOWN", fcntl(pipes[0], F_GETOWN) == getpid());
  FAILS("F_SETOWN to nobody", ESRCH, fcntl(pipes[0], F_SETOWN, 999999));
  EQUALS("F_SETOWN to a group", 0, fcntl(pipes[0], F_SETOWN, -getpgrp()));
  struct f_owner_ex owner;
  EQUALS("F_GETOWN_EX", 0, fcntl(pipes[0], F_GETOWN_EX, &owner));
  SAYS("is", "2 1", "%d %d", owner.type, owner.pid == getpgrp());
  owner.type = 7;
  FAILS("F_SETOWN_EX with a bad type", EINVAL, fcntl(pipes[0], F_SETOWN_EX, &owner));
  owner.type = F_OWNER_TID;
  owner.pid = gettid();
  EQUALS("F_SETOWN_EX", 0, fcntl(pipes[0], F_SETOWN_EX, &owner));
  EQUALS("F_SETFL", 0, fcntl(pipes[0], F_SETFL, O_ASYNC));
  write(pipes[1], "x", 1);
  EQUALS("SIGIO", 1, signals);
  EQUALS("F_SETSIG", 0, fcntl(pipes[0], F_SETSIG, SIGRTMIN));
  FAILS("F_SETSIG of nonsense", EINVAL, fcntl(pipes[0], F_SETSIG, 99));
  TRUE("F_GETSIG", fcntl(pipes[0], F_GETSIG) == SIGRTMIN);
  write(pipes[1], "x", 1);
  SAYS("tells more", "1 1", "%d %d", signal_fd == pipes[0], signal_code);
  fcntl(pipes[0], F_SETFL, 0);
  int before = signals;
  write(pipes[1], "x", 1);
  EQUALS("then no more", 0, signals - before);
}

static int set_lock(int fd, int command, int type, off_t start, off_t length) {
  struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
  return fcntl(fd, command, &lock);
}

static void locks(void) {
  int fd = open("lock", O_CREAT | O_RDWR, 0644), other = open("lock", O_RDWR);
  EQUALS("flock", 0, flock(fd, LOCK_EX));
  FAILS("flock of another description", EAGAIN, flock(other, LOCK_SH | LOCK_NB));
  EQUALS("flock of a copy", 0, flock(dup(fd), LOCK_EX | LOCK_NB));
  EQUALS("shared", 0, flock(fd, LOCK_SH));
  EQUALS("both shared", 0, flock(other, LOCK_SH | LOCK_NB));
  FAILS("not both exclusive", EAGAIN, flock(other, LOCK_EX | LOCK_NB));
  FAILS("flock nonsense", EINVAL, flock(fd, 0));
  close(other);
  EQUALS("closing unlocks", 0, flock(fd, LOCK_EX | LOCK_NB));
  EQUALS("F_SETLK", 0, set_lock(fd, F_SETLK, F_WRLCK, 0, 10));
  EQUALS("F_SETLK of a part", 0, set_lock(fd, F_SETLK, F_RDLCK, 3, 2));
  FAILS("F_SETLK with a bad type", EINVAL, set_lock(fd, F_SETLK, 77, 0, 1));
  FAILS("F_WRLCK on a descriptor for reading", EBADF, set_lock(open("lock", O_RDONLY), F_SETLK, F_WRLCK, 50, 1));
  EQUALS("F_OFD_SETLK beside it", 0, set_lock(fd, F_OFD_SETLK, F_RDLCK, 3, 2));
  FAILS("F_OFD_SETLK against it", EAGAIN, set_lock(fd, F_OFD_SETLK, F_WRLCK, 3, 2));
  // The open above closed nothing; this does.
  set_lock(fd, F_OFD_SETLK, F_UNLCK, 0, 0);
  int ready[2];
  pipe(ready);
  pid_t child = fork();
  if (child == 0) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 100};
    fcntl(fd, F_GETLK, &lock);
    SAYS("F_GETLK", "1 0 3 1", "%d %ld %ld %d", lock.l_type, lock.l_start, lock.l_len, lock.l_pid == getppid());
    FAILS("conflict", EAGAIN, set_lock(fd, F_SETLK, F_WRLCK, 0, 1));
    EQUALS("both read", 0, set_lock(fd, F_SETLK, F_RDLCK, 3, 2));
    EQUALS("behind it", 0, set_lock(fd, F_SETLK, F_WRLCK, 10, 0));
    write(ready[1], "x", 1);
    _exit(set_lock(fd, F_SETLKW, F_WRLCK, 0, 1) == 0 ? 7 : errno);
  }
  char byte;
  read(ready[0], &byte, 1);
  await_state(child, 'S');
  FAILS("a deadlock", EDEADLK, set_lock(fd, F_SETLKW, F_WRLCK, 20, 1));
  EQUALS("unlock", 0, set_lock(fd, F_SETLK, F_UNLCK, 0, 0));
  EQUALS("lets the child go on", 7, wait_code(child));
  set_lock(fd, F_SETLK, F_WRLCK, 0, 10);
  close(open("lock", O_RDONLY));
  child = fork();
  if (child == 0) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    fcntl(fd, F_GETLK, &lock);
    EQUALS("closing any descriptor drops the locks", 1, lock.l_type == F_UNLCK);
    _exit(0);
  }
  wait_code(child);
}

static void transfers(void) {
  make("from", "0123456789");
  int from = open("from", O_RDWR), to = open("to", O_CREAT | O_RDWR, 0644);
  off_t offset = 4;
  EQUALS("sendfile", 3, sendfile(to, from, &offset, 3));
  EQUALS("moves its offset", 7, offset);
  EQUALS("not the position", 0, lseek(from, 0, SEEK_CUR));
  EQUALS("sendfile at the position", 10, sendfile(to, from, NULL, 100));
  EQUALS("sendfile at the end", 0, sendfile(to, from, NULL, 100));
  show("is", "4560123456789", "to");
  off_t in = 2, out = 1;
  EQUALS("copy_file_range", 4, copy_file_range(from, &in, to, &out, 4, 0));
  SAYS("offsets", "6 5", "%ld %ld", in, out);
  show("is", "4234523456789", "to");
  FAILS("copy_file_range onto itself", EINVAL, (in = 0, out = 1, copy_file_range(from, &in, from, &out, 4, 0)));
  FAILS("copy_file_range with flags", EINVAL, copy_file_range(from, NULL, to, NULL, 4, 1));
  int pipes[2];
  pipe(pipes);
  FAILS("copy_file_range of a pipe", EINVAL, copy_file_range(pipes[0], NULL, to, NULL, 4, 0));
  EQUALS("splice into a pipe", 6, (in = 0, splice(from, &in, pipes[1], NULL, 6, 0)));
  int more[2];
  pipe(more);
  EQUALS("tee", 4, tee(pipes[0], more[1], 4, 0));
  EQUALS("splice between pipes", 2, splice(pipes[0], NULL, more[1], NULL, 2, 0));
  EQUALS("splice out of a pipe", 4, (out = 0, splice(pipes[0], NULL, to, &out, 100, 0)));
  FAILS("splice of an empty pipe", EAGAIN, splice(pipes[0], NULL, to, &out, 100, SPLICE_F_NONBLOCK));
  FAILS("splice without a pipe", EINVAL, splice(from, NULL, to, NULL, 1, 0));
  FAILS("splice with an offset of a pipe", ESPIPE, splice(pipes[0], &in, to, NULL, 1, 0));
  FAILS("splice onto itself", EINVAL, splice(pipes[0], NULL, pipes[1], NULL, 1, 0));
  char text[16] = "";
  EQUALS("what tee and splice made", 6, read(more[0], text, 15));
  SAYS("is", "012301", "%s", text);
  struct iovec part = {"vm", 2};
  EQUALS("vmsplice", 2, vmsplice(pipes[1], &part, 1, 0));
  EQUALS("is in the pipe", 2, read(pipes[0], text, 15));
  FAILS("vmsplice of a file", EBADF, vmsplice(from, &part, 1, 0));
}

static void xattrs(void) {
  make("x", "");
  char value[16];
  EQUALS("setxattr", 0, setxattr("x", "user.a", "value", 5, 0));
  FAILS("XATTR_CREATE", EEXIST, setxattr("x", "user.a", "v", 1, XATTR_CREATE));
  FAILS("XATTR_REPLACE", ENODATA, setxattr("x", "user.b", "v", 1, XATTR_REPLACE));
  FAILS("bad flags", EINVAL, setxattr("x", "user.b", "v", 1, 4));
  EQUALS("getxattr", 5, getxattr("x", "user.a", value, sizeof value));
  EQUALS("its size", 5, getxattr("x", "user.a", NULL, 0));
  FAILS("into little", ERANGE, getxattr("x", "user.a", value, 2));
  FAILS("of none", ENODATA, getxattr("x", "user.none", value, sizeof value));
  FAILS("of a name space nobody knows", EOPNOTSUPP, getxattr("x", "nobody.a", value, sizeof value));
  FAILS("without a name", ERANGE, setxattr("x", "", "v", 1, 0));
  FAILS("of nothing", ENOENT, getxattr("none", "user.a", value, sizeof value));
  EQUALS("listxattr", 7, listxattr("x", value, sizeof value));
  EQUALS("removexattr", 0, removexattr("x", "user.a"));
  FAILS("removexattr again", ENODATA, removexattr("x", "user.a"));
  mkfifo("xf", 0600);
  FAILS("of a FIFO", EPERM, setxattr("xf", "user.a", "v", 1, 0));
}

static void watching(void) {
  mkdir("w", 0755);
  int fd = inotify_init1(IN_NONBLOCK);
  EQUALS("inotify_add_watch", 1, inotify_add_watch(fd, "w", IN_ALL_EVENTS));
  EQUALS("again is the same", 1, inotify_add_watch(fd, "w", IN_ALL_EVENTS));
  FAILS("without events", EINVAL, inotify_add_watch(fd, "w", 0));
  FAILS("IN_ONLYDIR", ENOTDIR, (make("wf", ""), inotify_add_watch(fd, "wf", IN_CREATE | IN_ONLYDIR)));
  FAILS("of nothing", ENOENT, inotify_add_watch(fd, "none", IN_CREATE));
  FAILS("of a file that is no inotify", EINVAL, inotify_add_watch(1, "w", IN_CREATE));
  char buffer[4096] __attribute__((aligned(8)));
  FAILS("nothing yet", EAGAIN, read(fd, buffer, sizeof buffer));
  make("w/f", "text");
  rename("w/f", "w/g");
  chmod("w/g", 0600);
  unlink("w/g");
  mkdir("w/d", 0755);
  rmdir("w/d");
  rmdir("w");
  ssize_t length = read(fd, buffer, sizeof buffer);
  static const char *const events[] = {"1 100 f", "1 20 f", "1 2 f", "1 8 f", "1 40 f", "1 80 g", "1 4 g", "1 200 g", "1 40000100 d", "1 40000200 d", "1 400 ", "1 8000 "};
  int count = 0;
  for (char *at = buffer; at < buffer + length; count++) {
    struct inotify_event *event = (void *)at;
    SAYS("event", count < sizeof events / sizeof *events ? events[count] : "no more", "%d %x %s", event->wd, event->mask, event->len ? event->name : "");
    at += sizeof *event + event->len;
  }
  FAILS("inotify_rm_watch", EINVAL, inotify_rm_watch(fd, 1));
}

static void fifos(void) {
  mkfifo("p", 0600);
  FAILS("a FIFO for writing without a reader", ENXIO, open("p", O_WRONLY | O_NONBLOCK));
  int reader = open("p", O_RDONLY | O_NONBLOCK);
  char text[8];
  EQUALS("reads nothing without a writer", 0, read(reader, text, 8));
  int writer = open("p", O_WRONLY | O_NONBLOCK);
  EQUALS("writes", 3, write(writer, "abc", 3));
  EQUALS("reads", 3, read(reader, text, 8));
  FAILS("would wait", EAGAIN, read(reader, text, 8));
  close(writer);
  EQUALS("is at its end", 0, read(reader, text, 8));
  close(reader);
  pid_t child = fork();
  if (child == 0) {
    int fd = open("p", O_WRONLY);
    write(fd, "met", 3);
    _exit(0);
  }
  reader = open("p", O_RDONLY);
  EQUALS("both ends meet", 3, read(reader, text, 8));
  wait_code(child);
  FAILS("a socket cannot be opened", ENXIO, ({
         int s = socket(AF_UNIX, SOCK_STREAM, 0);
         struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "sock"};
         bind(s, (void *)&address, sizeof address);
         open("sock", O_RDWR);
       }));
}

static void run(const char *where) {
  snprintf(base, sizeof base, "%s/tsvisor-file-XXXXXX", where);
  if (!mkdtemp(base) || chdir(base) < 0) {
    say(where, "cannot be used: %s", strerror(errno));
    return;
  }
  say("in", "%s", where);
  struct {
    const char *name;
    void (*run)(void);
  } parts[] = {{"opening", opening}, {"openat2", opening2}, {"content", content}, {"names", names}, {"attributes", attributes}, {"descriptors", descriptors}, {"signalled", signalled}, {"locks", locks}, {"transfers", transfers}, {"xattrs", xattrs}, {"watching", watching}, {"fifos", fifos}};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    say("part", "%s", parts[i].name);
    mkdir(parts[i].name, 0755);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
      if (chdir(parts[i].name) < 0) _exit(98);
      parts[i].run();
      _exit(0);
    }
    EQUALS("ends", 0, wait_code(child));
  }
  chdir("/");
  char command[100];
  snprintf(command, sizeof command, "rm -rf %s", base);
  EQUALS("everything can be removed", 0, system(command));
}

int main(void) {
  run("/tmp");
  run("/dev/shm");
  return 0;
}

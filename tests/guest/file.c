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
  if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) say(name, "cannot be made: %s", strerror(errno));
  close(fd);
}

static void show(const char *name, const char *file) {
  char text[256];
  int fd = open(file, O_RDONLY);
  ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  say(name, "%.*s", n < 0 ? 6 : (int)n, n < 0 ? "failed" : text);
  if (fd >= 0) close(fd);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void list(const char *name, const char *directory) {
  DIR *stream = opendir(directory);
  if (!stream) {
    say(name, "%s", strerrorname_np(errno));
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
  say(name, "%s", line);
}

static mode_t mode_of(const char *name) {
  struct stat status;
  return stat(name, &status) < 0 ? 0 : status.st_mode & 07777;
}

static void opening(void) {
  WORKS("O_CREAT", open("f", O_CREAT | O_RDWR, 0644));
  CALL("O_EXCL over a file", open("f", O_CREAT | O_EXCL | O_RDWR, 0644));
  CALL("no such file", open("none", O_RDONLY));
  CALL("no such directory", open("none/f", O_CREAT | O_RDWR, 0644));
  CALL("a file as directory", open("f/x", O_RDONLY));
  CALL("a file with a slash", open("f/", O_RDONLY));
  CALL("O_CREAT with a slash", open("g/", O_CREAT | O_RDWR, 0644));
  CALL("O_DIRECTORY on a file", open("f", O_RDONLY | O_DIRECTORY));
  CALL("a directory for writing", open(".", O_WRONLY));
  CALL("O_CREAT on a directory", open(".", O_CREAT | O_RDONLY, 0644));
  CALL("an empty name", open("", O_RDONLY));
  CALL("a bad address", syscall(SYS_openat, AT_FDCWD, BAD, O_RDONLY));
  CALL("a bad directory descriptor", openat(999, "f", O_RDONLY));
  int file = open("f", O_RDONLY);
  CALL("a file as directory descriptor", openat(file, "f", O_RDONLY));
  WORKS("an absolute name with a bad descriptor", openat(999, "/", O_RDONLY));
  char name[300];
  memset(name, 'x', sizeof name);
  name[256] = 0;
  CALL("a name of 256 bytes", open(name, O_RDONLY));
  name[255] = 0;
  CALL("a name of 255 bytes", open(name, O_RDONLY));
  static char path[5000];
  for (int i = 0; i < 4100; i++) path[i] = i % 2 ? '/' : '.';
  path[4096] = 0;
  CALL("a path of 4096 bytes", open(path, O_RDONLY));
  path[4095] = 0;
  WORKS("a path of 4095 bytes", open(path, O_RDONLY));
  symlink("f", "link");
  symlink("made", "dangling");
  symlink("loop", "loop");
  CALL("O_NOFOLLOW on a symlink", open("link", O_RDONLY | O_NOFOLLOW));
  WORKS("through a symlink", open("link", O_RDONLY));
  CALL("a symlink with a slash", open("link/", O_RDONLY));
  CALL("a dangling symlink", open("dangling", O_RDONLY));
  CALL("O_EXCL on a dangling symlink", open("dangling", O_CREAT | O_EXCL | O_RDWR, 0644));
  WORKS("O_CREAT through a dangling symlink", open("dangling", O_CREAT | O_RDWR, 0644));
  CALL("made what it leads to", access("made", F_OK));
  CALL("a loop", open("loop", O_RDONLY));
  CALL("a loop with O_CREAT", open("loop", O_CREAT | O_RDWR, 0644));
  int place = open("link", O_PATH | O_NOFOLLOW);
  WORKS("O_PATH on a symlink", place);
  ssize_t length = readlinkat(place, "", name, sizeof name);
  say("readlinkat of it", "%.*s", (int)length, name);
  CALL("readlinkat of a file", readlinkat(file, "", name, sizeof name));
  CALL("readlink into nothing", readlink("link", name, 0));
  place = open("f", O_PATH);
  CALL("read of O_PATH", read(place, name, 1));
  CALL("fchmod of O_PATH", fchmod(place, 0600));
  CALL("fcntl of O_PATH", fcntl(place, F_GETLK, name));
  CALL("F_GETFL of O_PATH", fcntl(place, F_GETFL));
  struct stat status;
  CALL("fstat of O_PATH", fstat(place, &status));
  snprintf(name, sizeof name, "/proc/self/fd/%d", place);
  WORKS("open of it through /proc", open(name, O_RDWR));
  int unnamed = open(".", O_TMPFILE | O_RDWR, 0600);
  WORKS("O_TMPFILE", unnamed);
  CALL("O_TMPFILE for reading", open(".", O_TMPFILE | O_RDONLY, 0600));
  CALL("O_TMPFILE on a file", open("f", O_TMPFILE | O_RDWR, 0600));
  fstat(unnamed, &status);
  CALL("links of O_TMPFILE", status.st_nlink);
  snprintf(name, sizeof name, "/proc/self/fd/%d", unnamed);
  CALL("linkat of it", linkat(AT_FDCWD, name, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
  fstat(unnamed, &status);
  CALL("links then", status.st_nlink);
  umask(027);
  open("masked", O_CREAT | O_RDWR, 0666);
  CALL("the umask", mode_of("masked"));
  umask(022);
  CALL("F_GETFL", fcntl(open("f", O_RDWR | O_APPEND | O_NONBLOCK | O_CREAT | O_CLOEXEC, 0644), F_GETFL));
  list("what is there", ".");
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
  CALL("beneath and up", open2(in, "..", O_RDONLY, RESOLVE_BENEATH));
  CALL("beneath and out by symlink", open2(in, "out", O_RDONLY, RESOLVE_BENEATH));
  CALL("beneath and absolute", open2(in, "/f", O_RDONLY, RESOLVE_BENEATH));
  CALL("beneath and absolute symlink", open2(in, "absolute", O_RDONLY, RESOLVE_BENEATH));
  WORKS("RESOLVE_IN_ROOT", open2(in, "absolute", O_RDONLY, RESOLVE_IN_ROOT));
  WORKS("in root and up", open2(in, "../../f", O_RDONLY, RESOLVE_IN_ROOT));
  WORKS("in root and out by symlink", open2(in, "out", O_RDONLY, RESOLVE_IN_ROOT));
  CALL("RESOLVE_NO_SYMLINKS", open2(in, "near", O_RDONLY, RESOLVE_NO_SYMLINKS));
  CALL("RESOLVE_NO_MAGICLINKS", open2(AT_FDCWD, "/proc/self/fd/1", O_RDONLY, RESOLVE_NO_MAGICLINKS));
  CALL("RESOLVE_NO_XDEV", open2(AT_FDCWD, "/proc/self/stat", O_RDONLY, RESOLVE_NO_XDEV));
  CALL("unknown resolve bits", open2(in, "f", O_RDONLY, 1 << 20));
  CALL("unknown flags", open2(in, "f", 1ULL << 40, 0));
  CALL("beneath and in root", open2(in, "f", O_RDONLY, RESOLVE_BENEATH | RESOLVE_IN_ROOT));
  struct open_how how = {.mode = 0644};
  CALL("a mode without O_CREAT", syscall(SYS_openat2, in, "f", &how, sizeof how));
  CALL("a short struct", syscall(SYS_openat2, in, "f", &how, 8));
}

static void content(void) {
  char text[64] = "";
  int fd = open("c", O_CREAT | O_RDWR, 0644);
  CALL("write", write(fd, "hello world", 11));
  CALL("read at the end", read(fd, text, 10));
  CALL("lseek", lseek(fd, 6, SEEK_SET));
  CALL("read", read(fd, text, 64));
  say("is", "%.5s", text);
  CALL("pread", pread(fd, text, 4, 1));
  CALL("pread at a negative offset", pread(fd, text, 4, -1));
  CALL("pwrite behind the end", pwrite(fd, "!", 1, 20));
  CALL("the position stays", lseek(fd, 0, SEEK_CUR));
  CALL("the hole is zero", pread(fd, text, 9, 11) == 9 && memcmp(text, "\0\0\0\0\0\0\0\0\0", 9) == 0);
  CALL("lseek before the start", lseek(fd, -1, SEEK_SET));
  CALL("lseek with a bad whence", lseek(fd, 0, 9));
  CALL("SEEK_END", lseek(fd, -1, SEEK_END));
  CALL("SEEK_DATA behind the end", lseek(fd, 1000, SEEK_DATA));
  CALL("SEEK_HOLE", lseek(fd, 0, SEEK_HOLE));
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
  CALL("read to a bad address", pread(fd, BAD, 4, 0));
  CALL("write from a bad address", pwrite(fd, BAD, 4, 0));
  CALL("read of nothing", read(fd, BAD, 0));
  CALL("read of a descriptor for writing", read(open("c", O_WRONLY), text, 1));
  CALL("write of a descriptor for reading", write(open("c", O_RDONLY), text, 1));
  CALL("read of a closed descriptor", read(999, text, 1));
  CALL("read of a directory", read(open(".", O_RDONLY), text, 1));
  CALL("ftruncate", ftruncate(fd, 5));
  CALL("ftruncate longer", ftruncate(fd, 8));
  CALL("reads zeros", pread(fd, text, 64, 0) == 8 && memcmp(text, "hello\0\0\0", 8) == 0);
  CALL("ftruncate to a negative size", ftruncate(fd, -1));
  CALL("ftruncate of a descriptor for reading", ftruncate(open("c", O_RDONLY), 1));
  CALL("truncate of a directory", truncate(".", 1));
  CALL("truncate", truncate("c", 3));
  int append = open("c", O_WRONLY | O_APPEND);
  lseek(append, 0, SEEK_SET);
  CALL("O_APPEND", write(append, "ab", 2));
  CALL("its position", lseek(append, 0, SEEK_CUR));
  show("is", "c");
  close(open("c", O_WRONLY | O_TRUNC));
  struct stat status;
  stat("c", &status);
  CALL("O_TRUNC", status.st_size);
  struct iovec parts[3] = {{"one", 3}, {NULL, 0}, {"three", 5}};
  CALL("writev", writev(append, parts, 3));
  CALL("writev of too many", writev(append, parts, 1025));
  CALL("writev of a negative count", writev(append, parts, -1));
  CALL("writev from a bad vector", writev(append, BAD, 1));
  char first[4] = "", second[10] = "";
  struct iovec into[2] = {{first, 2}, {second, 9}};
  CALL("preadv", preadv(fd, into, 2, 0));
  say("is", "%s+%s", first, second);
  CALL("preadv2 with a bad flag", preadv2(fd, into, 2, 0, 1 << 20));
  CALL("pwritev2 with RWF_APPEND", pwritev2(fd, parts, 1, 0, RWF_APPEND));
  show("is", "c");
  static char large[300000];
  memset(large, 'L', sizeof large);
  CALL("a large write", pwrite(fd, large, sizeof large, 100));
  memset(large, 0, sizeof large);
  CALL("a large read", pread(fd, large, sizeof large, 100));
  TRUE("is the same", large[0] == 'L' && large[sizeof large - 1] == 'L');
  CALL("fallocate", fallocate(fd, 0, 0, 400000));
  CALL("fallocate keeps the size", fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 500000));
  fstat(fd, &status);
  CALL("size", status.st_size);
  CALL("punches a hole", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 8192));
  CALL("that is zero", pread(fd, text, 1, 5000) == 1 && text[0] == 0);
  CALL("fallocate of nothing", fallocate(fd, 0, 0, 0));
  CALL("fsync", fsync(fd));
  CALL("fdatasync", fdatasync(fd));
  CALL("fadvise", posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
  CALL("fadvise with bad advice", posix_fadvise(fd, 0, 0, 99));
  CALL("readahead", readahead(fd, 0, 100));
  int pipes[2];
  pipe(pipes);
  CALL("pread of a pipe", pread(pipes[0], text, 1, 0));
  CALL("lseek of a pipe", lseek(pipes[0], 0, SEEK_CUR));
  CALL("ftruncate of a pipe", ftruncate(pipes[1], 0));
  CALL("fsync of a pipe", fsync(pipes[0]));
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
  CALL("RLIMIT_FSIZE cuts", cut);
  say("RLIMIT_FSIZE refuses", "%ld %s", refused, strerrorname_np(write_error));
  say("RLIMIT_FSIZE and ftruncate", "%ld %s", resized, strerrorname_np(resize_error));
  char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  TRUE("a file can be mapped", map != MAP_FAILED);
  pwrite(fd, "written", 7, 10);
  TRUE("a write shows in a mapping", memcmp(map + 10, "written", 7) == 0);
  memcpy(map + 30, "mapped", 6);
  pread(fd, text, 6, 30);
  say("a mapping shows in a read", "%.6s", text);
}

static void names(void) {
  CALL("mkdir", mkdir("d", 0755));
  CALL("mkdir again", mkdir("d", 0755));
  CALL("mkdir with a slash", mkdir("d2/", 0755));
  CALL("mkdir over a file", (make("f", ""), mkdir("f", 0755)));
  CALL("mkdir in nothing", mkdir("none/d", 0755));
  CALL("mkdir of /", mkdir("/", 0755));
  CALL("mkdir of .", mkdir("d/.", 0755));
  CALL("mkdir of ..", mkdir("d/..", 0755));
  CALL("rmdir of .", rmdir("d/."));
  CALL("rmdir of ..", rmdir("d/.."));
  CALL("rmdir of /", rmdir("/"));
  CALL("rmdir of a file", rmdir("f"));
  CALL("rmdir of nothing", rmdir("none"));
  make("d/f", "text");
  CALL("rmdir of a full directory", rmdir("d"));
  CALL("unlink of a directory", unlink("d"));
  CALL("unlink of .", unlink("."));
  CALL("unlink of a file with a slash", unlink("d/f/"));
  CALL("unlink of a directory with a slash", unlink("d/"));
  CALL("unlink of nothing", unlink("d/none"));
  CALL("unlinkat with bad flags", unlinkat(AT_FDCWD, "d", 0x8000));
  CALL("unlinkat AT_REMOVEDIR", unlinkat(AT_FDCWD, "d2", AT_REMOVEDIR));
  CALL("mknod of a FIFO", mkfifo("fifo", 0600));
  CALL("mknod of a file", mknod("node", S_IFREG | 0600, 0));
  CALL("mknod of a directory", mknod("node2", S_IFDIR | 0600, 0));
  CALL("mknod of nonsense", mknod("node2", 0110000, 0));
  CALL("mknod over a file", mknod("f", S_IFREG | 0600, 0));
  CALL("mknod with a slash", mknod("node2/", S_IFREG | 0600, 0));
  CALL("link", link("d/f", "hard"));
  CALL("link over a file", link("d/f", "f"));
  CALL("link of a directory", link("d", "d3"));
  CALL("link of nothing", link("none", "x"));
  CALL("link with bad flags", linkat(AT_FDCWD, "f", AT_FDCWD, "x", 0x8000));
  struct stat a, b;
  stat("d/f", &a);
  stat("hard", &b);
  TRUE("is the same file", a.st_ino == b.st_ino && a.st_nlink == 2);
  CALL("symlink", symlink("d/f", "soft"));
  CALL("symlink over a file", symlink("x", "f"));
  CALL("symlink to nothing", symlink("", "x"));
  CALL("link of a symlink", link("soft", "soft2"));
  lstat("soft2", &a);
  TRUE("links the symlink", S_ISLNK(a.st_mode));
  CALL("size of a symlink", a.st_size);
  CALL("link through a symlink", linkat(AT_FDCWD, "soft", AT_FDCWD, "hard2", AT_SYMLINK_FOLLOW));
  list("what is there", ".");
  CALL("rename", rename("hard", "d/moved"));
  CALL("rename of nothing", rename("none", "x"));
  CALL("rename below itself", rename("d", "d/sub"));
  CALL("rename to itself, where names are made at each look", rename("/proc/self/status", "/proc/self/status"));
  CALL("of a link", rename("/proc/self/fd/0", "/proc/self/fd/0"));
  CALL("of a directory", rename("/proc/self/fd", "/proc/self/../self/fd"));
  CALL("without replacing", renameat2(AT_FDCWD, "/proc/self/status", AT_FDCWD, "/proc/self/status", RENAME_NOREPLACE));
  CALL("rename to a full directory", (mkdir("e", 0755), rename("e", "d")));
  CALL("rename of a directory to a file", rename("d", "f"));
  CALL("rename of a file to a directory", rename("f", "d"));
  CALL("rename of a file to a name with a slash", rename("f", "g/"));
  CALL("rename to an empty directory", rename("d", "e"));
  CALL("rename of .", rename("e/.", "x"));
  CALL("rename to ..", rename("f", "e/.."));
  CALL("rename to itself", rename("f", "f"));
  CALL("rename to another link of it", rename("e/f", "hard2"));
  CALL("both stay", access("e/f", F_OK) + access("hard2", F_OK));
  CALL("RENAME_NOREPLACE", renameat2(AT_FDCWD, "f", AT_FDCWD, "node", RENAME_NOREPLACE));
  CALL("RENAME_EXCHANGE with nothing", renameat2(AT_FDCWD, "f", AT_FDCWD, "none", RENAME_EXCHANGE));
  CALL("RENAME_EXCHANGE", renameat2(AT_FDCWD, "e", AT_FDCWD, "fifo", RENAME_EXCHANGE));
  CALL("unknown rename flags", renameat2(AT_FDCWD, "f", AT_FDCWD, "x", 0x100));
  CALL("two rename flags", renameat2(AT_FDCWD, "f", AT_FDCWD, "x", RENAME_EXCHANGE | RENAME_NOREPLACE));
  list("what is there", ".");
  list("in the directory", "fifo");
  struct stat d;
  stat("fifo", &d);
  mkdir("fifo/one", 0755);
  CALL("rename between file systems", rename("f", "/proc/self/x"));
  int directory = open("fifo/one", O_RDONLY);
  CALL("rmdir of an open directory", rmdir("fifo/one"));
  CALL("create in it", openat(directory, "x", O_CREAT | O_RDWR, 0644));
  CALL("its dots", openat(directory, ".", O_RDONLY) >= 0);
  char text[1024];
  CALL("getdents of it", syscall(SYS_getdents64, directory, text, sizeof text));
  CALL("getdents of a file", syscall(SYS_getdents64, open("f", O_RDONLY), text, sizeof text));
  CALL("getdents into little", syscall(SYS_getdents64, open(".", O_RDONLY), text, 10));
  CALL("getdents to a bad address", syscall(SYS_getdents64, open(".", O_RDONLY), BAD, 1000));
  mkdir("here", 0755);
  CALL("chdir", chdir("here"));
  TRUE("getcwd", getcwd(text, sizeof text) && strcmp(strrchr(text, '/'), "/here") == 0);
  CALL("getcwd into little", syscall(SYS_getcwd, text, 2));
  CALL("rmdir of the working directory", rmdir("../here"));
  CALL("getcwd of a removed directory", syscall(SYS_getcwd, text, sizeof text));
  CALL("create there", open("x", O_CREAT | O_RDWR, 0644));
  CALL("chdir back", chdir(".."));
  CALL("chdir to a file", chdir("f"));
  CALL("fchdir to a file", fchdir(open("f", O_RDONLY)));
}

static void attributes(void) {
  make("a", "text");
  struct stat status;
  stat("a", &status);
  CALL("mode", status.st_mode);
  CALL("size", status.st_size);
  CALL("links", status.st_nlink);
  TRUE("times are now", llabs((long long)status.st_mtime - time(NULL)) < 5);
  CALL("chmod", chmod("a", 06755));
  CALL("mode", mode_of("a"));
  CALL("chmod of nothing", chmod("none", 0600));
  CALL("fchmodat of a symlink", (symlink("a", "al"), syscall(SYS_fchmodat2, AT_FDCWD, "al", 0600, AT_SYMLINK_NOFOLLOW)));
  CALL("stat to a bad address", syscall(SYS_newfstatat, AT_FDCWD, "a", BAD, 0));
  CALL("stat with bad flags", syscall(SYS_newfstatat, AT_FDCWD, "a", &status, 0x8000000));
  struct timespec times[2] = {{1000, 5}, {2000, 6}};
  CALL("utimensat", utimensat(AT_FDCWD, "a", times, 0));
  stat("a", &status);
  say("times", "%ld.%09ld %ld.%09ld", status.st_atim.tv_sec, status.st_atim.tv_nsec, status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
  times[0].tv_nsec = UTIME_OMIT;
  times[1].tv_nsec = UTIME_NOW;
  CALL("UTIME_OMIT", utimensat(AT_FDCWD, "a", times, 0));
  stat("a", &status);
  CALL("atime stays", status.st_atim.tv_sec);
  times[0].tv_nsec = 2000000000;
  CALL("bad nanoseconds", utimensat(AT_FDCWD, "a", times, 0));
  struct statx extended;
  CALL("statx", statx(AT_FDCWD, "a", 0, STATX_ALL, &extended));
  TRUE("statx agrees", extended.stx_size == 4 && extended.stx_mode == status.st_mode && extended.stx_ino == status.st_ino);
  CALL("statx with bad flags", statx(AT_FDCWD, "a", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, STATX_ALL, &extended));
  CALL("access", access("a", R_OK | W_OK | X_OK));
  CALL("access with a bad mode", access("a", 8));
  CALL("faccessat2 with bad flags", syscall(SYS_faccessat2, AT_FDCWD, "a", R_OK, 0x8000));
  struct statfs fs;
  CALL("statfs", statfs("a", &fs));
  TRUE("statfs has sizes", fs.f_bsize > 0 && fs.f_namelen == 255);
  CALL("statfs of nothing", statfs("none", &fs));
  CALL("umask", (umask(077), umask(022)));
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
  CALL("setgid directory gives its group", status.st_gid);
  stat("group/d", &status);
  say("and its bit to directories", "%d %o", status.st_gid, status.st_mode & 07777);
  chmod("a", 06777);
  CALL("chown", chown("a", 500, 600));
  CALL("takes setuid off", mode_of("a"));
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
    CALL("another's chmod", chmod("a", 0600));
    CALL("another's chown", chown("a", 1000, -1));
    CALL("a closed directory", open("closed/f", O_RDONLY));
    CALL("a file without rights", open("secret", O_RDONLY));
    CALL("access of it", access("secret", R_OK));
    CALL("access of its existence", access("secret", F_OK));
    CALL("a directory without rights", open("x", O_CREAT | O_RDWR, 0644));
    WORKS("a directory for all", open("open/mine", O_CREAT | O_RDWR, 0644));
    CALL("another's file in a sticky directory", unlink("open/roots"));
    CALL("its rename", rename("open/roots", "open/x"));
    CALL("one's own", rename("open/mine", "open/my"));
    CALL("another's utimensat", utimensat(AT_FDCWD, "open/roots", NULL, 0));
    struct timespec then[2] = {{1, 1}, {1, 1}};
    CALL("with times", utimensat(AT_FDCWD, "open/roots", then, 0));
    CALL("O_NOATIME", open("open/roots", O_RDONLY | O_NOATIME));
    int fd = open("a", O_WRONLY);
    CALL("write to a setuid file", write(fd, "x", 1));
    CALL("takes setuid off", mode_of("a"));
    CALL("mknod of a device", mknod("open/null", S_IFCHR | 0666, makedev(1, 3)));
    CALL("chroot", chroot("."));
    _exit(0);
  }
  CALL("child", wait_code(child));
}

static void descriptors(void) {
  int low = open("fd", O_CREAT | O_RDWR, 0644);
  CALL("dup takes the lowest", dup(low) - low);
  CALL("dup2", dup2(low, 100));
  CALL("dup2 onto itself", dup2(low, low) - low);
  CALL("dup2 of nothing", dup2(900, 100));
  CALL("dup2 onto itself of nothing", dup2(900, 900));
  CALL("dup2 to a negative number", dup2(low, -1));
  CALL("dup3 onto itself", dup3(low, low, 0));
  CALL("dup3 with bad flags", dup3(low, 101, 1));
  CALL("dup3", dup3(low, 101, O_CLOEXEC));
  CALL("F_GETFD", fcntl(101, F_GETFD));
  CALL("F_SETFD", fcntl(101, F_SETFD, 0));
  CALL("F_GETFD then", fcntl(101, F_GETFD));
  CALL("F_DUPFD", fcntl(low, F_DUPFD, 200));
  CALL("F_DUPFD_CLOEXEC", fcntl(low, F_DUPFD_CLOEXEC, 200));
  CALL("F_DUPFD with a negative number", fcntl(low, F_DUPFD, -1));
  CALL("fcntl of nothing", fcntl(900, F_GETFD));
  CALL("an unknown command", fcntl(low, 9999));
  CALL("F_SETFL", fcntl(low, F_SETFL, O_APPEND));
  TRUE("shared by the copies", (fcntl(100, F_GETFL) & O_APPEND) != 0);
  CALL("F_GETPIPE_SZ of a file", fcntl(low, F_GETPIPE_SZ));
  CALL("F_GETLEASE", fcntl(low, F_GETLEASE));
  CALL("F_GETOWN", fcntl(low, F_GETOWN));
  CALL("close_range", syscall(SYS_close_range, 100, 300, 0));
  CALL("closes", fcntl(101, F_GETFD));
  CALL("close_range backwards", syscall(SYS_close_range, 5, 4, 0));
  CALL("close_range with bad flags", syscall(SYS_close_range, 4, 5, 1));
  dup2(low, 100);
  CALL("close_range marks", syscall(SYS_close_range, 100, 100, CLOSE_RANGE_CLOEXEC));
  CALL("F_GETFD", fcntl(100, F_GETFD));
  CALL("close", close(100));
  CALL("close again", close(100));
  int yes = 1;
  CALL("FIONBIO", ioctl(low, FIONBIO, &yes));
  TRUE("sets O_NONBLOCK", (fcntl(low, F_GETFL) & O_NONBLOCK) != 0);
  CALL("FIOCLEX", ioctl(low, FIOCLEX));
  CALL("an ioctl of a terminal", ioctl(low, TIOCGWINSZ, &yes));
  CALL("FIONREAD", (write(low, "12345", 5), lseek(low, 2, SEEK_SET), ioctl(low, FIONREAD, &yes)));
  CALL("is", yes);
  struct rlimit limit, old;
  getrlimit(RLIMIT_NOFILE, &old);
  limit = old;
  limit.rlim_cur = 150;
  setrlimit(RLIMIT_NOFILE, &limit);
  CALL("dup2 beyond RLIMIT_NOFILE", dup2(low, 150));
  CALL("F_DUPFD beyond it", fcntl(low, F_DUPFD, 150));
  CALL("F_DUPFD at its end", (dup2(low, 149), fcntl(low, F_DUPFD, 149)));
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
  CALL("F_SETOWN", fcntl(pipes[0], F_SETOWN, getpid()));
  TRUE("F_GETOWN", fcntl(pipes[0], F_GETOWN) == getpid());
  CALL("F_SETOWN to nobody", fcntl(pipes[0], F_SETOWN, 999999));
  CALL("F_SETOWN to a group", fcntl(pipes[0], F_SETOWN, -getpgrp()));
  struct f_owner_ex owner;
  CALL("F_GETOWN_EX", fcntl(pipes[0], F_GETOWN_EX, &owner));
  say("is", "%d %d", owner.type, owner.pid == getpgrp());
  owner.type = 7;
  CALL("F_SETOWN_EX with a bad type", fcntl(pipes[0], F_SETOWN_EX, &owner));
  owner.type = F_OWNER_TID;
  owner.pid = gettid();
  CALL("F_SETOWN_EX", fcntl(pipes[0], F_SETOWN_EX, &owner));
  CALL("F_SETFL", fcntl(pipes[0], F_SETFL, O_ASYNC));
  write(pipes[1], "x", 1);
  CALL("SIGIO", signals);
  CALL("F_SETSIG", fcntl(pipes[0], F_SETSIG, SIGRTMIN));
  CALL("F_SETSIG of nonsense", fcntl(pipes[0], F_SETSIG, 99));
  TRUE("F_GETSIG", fcntl(pipes[0], F_GETSIG) == SIGRTMIN);
  write(pipes[1], "x", 1);
  say("tells more", "%d %d", signal_fd == pipes[0], signal_code);
  fcntl(pipes[0], F_SETFL, 0);
  int before = signals;
  write(pipes[1], "x", 1);
  CALL("then no more", signals - before);
}

static int set_lock(int fd, int command, int type, off_t start, off_t length) {
  struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
  return fcntl(fd, command, &lock);
}

static void locks(void) {
  int fd = open("lock", O_CREAT | O_RDWR, 0644), other = open("lock", O_RDWR);
  CALL("flock", flock(fd, LOCK_EX));
  CALL("flock of another description", flock(other, LOCK_SH | LOCK_NB));
  CALL("flock of a copy", flock(dup(fd), LOCK_EX | LOCK_NB));
  CALL("shared", flock(fd, LOCK_SH));
  CALL("both shared", flock(other, LOCK_SH | LOCK_NB));
  CALL("not both exclusive", flock(other, LOCK_EX | LOCK_NB));
  CALL("flock nonsense", flock(fd, 0));
  close(other);
  CALL("closing unlocks", flock(fd, LOCK_EX | LOCK_NB));
  CALL("F_SETLK", set_lock(fd, F_SETLK, F_WRLCK, 0, 10));
  CALL("F_SETLK of a part", set_lock(fd, F_SETLK, F_RDLCK, 3, 2));
  CALL("F_SETLK with a bad type", set_lock(fd, F_SETLK, 77, 0, 1));
  CALL("F_WRLCK on a descriptor for reading", set_lock(open("lock", O_RDONLY), F_SETLK, F_WRLCK, 50, 1));
  CALL("F_OFD_SETLK beside it", set_lock(fd, F_OFD_SETLK, F_RDLCK, 3, 2));
  CALL("F_OFD_SETLK against it", set_lock(fd, F_OFD_SETLK, F_WRLCK, 3, 2));
  // The open above closed nothing; this does.
  set_lock(fd, F_OFD_SETLK, F_UNLCK, 0, 0);
  int ready[2];
  pipe(ready);
  pid_t child = fork();
  if (child == 0) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 100};
    fcntl(fd, F_GETLK, &lock);
    say("F_GETLK", "%d %ld %ld %d", lock.l_type, lock.l_start, lock.l_len, lock.l_pid == getppid());
    CALL("conflict", set_lock(fd, F_SETLK, F_WRLCK, 0, 1));
    CALL("both read", set_lock(fd, F_SETLK, F_RDLCK, 3, 2));
    CALL("behind it", set_lock(fd, F_SETLK, F_WRLCK, 10, 0));
    write(ready[1], "x", 1);
    _exit(set_lock(fd, F_SETLKW, F_WRLCK, 0, 1) == 0 ? 7 : errno);
  }
  char byte;
  read(ready[0], &byte, 1);
  usleep(50000);
  CALL("a deadlock", set_lock(fd, F_SETLKW, F_WRLCK, 20, 1));
  CALL("unlock", set_lock(fd, F_SETLK, F_UNLCK, 0, 0));
  CALL("lets the child go on", wait_code(child));
  set_lock(fd, F_SETLK, F_WRLCK, 0, 10);
  close(open("lock", O_RDONLY));
  child = fork();
  if (child == 0) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    fcntl(fd, F_GETLK, &lock);
    CALL("closing any descriptor drops the locks", lock.l_type == F_UNLCK);
    _exit(0);
  }
  wait_code(child);
}

static void transfers(void) {
  make("from", "0123456789");
  int from = open("from", O_RDWR), to = open("to", O_CREAT | O_RDWR, 0644);
  off_t offset = 4;
  CALL("sendfile", sendfile(to, from, &offset, 3));
  CALL("moves its offset", offset);
  CALL("not the position", lseek(from, 0, SEEK_CUR));
  CALL("sendfile at the position", sendfile(to, from, NULL, 100));
  CALL("sendfile at the end", sendfile(to, from, NULL, 100));
  show("is", "to");
  off_t in = 2, out = 1;
  CALL("copy_file_range", copy_file_range(from, &in, to, &out, 4, 0));
  say("offsets", "%ld %ld", in, out);
  show("is", "to");
  CALL("copy_file_range onto itself", (in = 0, out = 1, copy_file_range(from, &in, from, &out, 4, 0)));
  CALL("copy_file_range with flags", copy_file_range(from, NULL, to, NULL, 4, 1));
  int pipes[2];
  pipe(pipes);
  CALL("copy_file_range of a pipe", copy_file_range(pipes[0], NULL, to, NULL, 4, 0));
  CALL("splice into a pipe", (in = 0, splice(from, &in, pipes[1], NULL, 6, 0)));
  int more[2];
  pipe(more);
  CALL("tee", tee(pipes[0], more[1], 4, 0));
  CALL("splice between pipes", splice(pipes[0], NULL, more[1], NULL, 2, 0));
  CALL("splice out of a pipe", (out = 0, splice(pipes[0], NULL, to, &out, 100, 0)));
  CALL("splice of an empty pipe", splice(pipes[0], NULL, to, &out, 100, SPLICE_F_NONBLOCK));
  CALL("splice without a pipe", splice(from, NULL, to, NULL, 1, 0));
  CALL("splice with an offset of a pipe", splice(pipes[0], &in, to, NULL, 1, 0));
  CALL("splice onto itself", splice(pipes[0], NULL, pipes[1], NULL, 1, 0));
  char text[16] = "";
  CALL("what tee and splice made", read(more[0], text, 15));
  say("is", "%s", text);
  struct iovec part = {"vm", 2};
  CALL("vmsplice", vmsplice(pipes[1], &part, 1, 0));
  CALL("is in the pipe", read(pipes[0], text, 15));
  CALL("vmsplice of a file", vmsplice(from, &part, 1, 0));
}

static void xattrs(void) {
  make("x", "");
  char value[16];
  CALL("setxattr", setxattr("x", "user.a", "value", 5, 0));
  CALL("XATTR_CREATE", setxattr("x", "user.a", "v", 1, XATTR_CREATE));
  CALL("XATTR_REPLACE", setxattr("x", "user.b", "v", 1, XATTR_REPLACE));
  CALL("bad flags", setxattr("x", "user.b", "v", 1, 4));
  CALL("getxattr", getxattr("x", "user.a", value, sizeof value));
  CALL("its size", getxattr("x", "user.a", NULL, 0));
  CALL("into little", getxattr("x", "user.a", value, 2));
  CALL("of none", getxattr("x", "user.none", value, sizeof value));
  CALL("of a name space nobody knows", getxattr("x", "nobody.a", value, sizeof value));
  CALL("without a name", setxattr("x", "", "v", 1, 0));
  CALL("of nothing", getxattr("none", "user.a", value, sizeof value));
  CALL("listxattr", listxattr("x", value, sizeof value));
  CALL("removexattr", removexattr("x", "user.a"));
  CALL("removexattr again", removexattr("x", "user.a"));
  mkfifo("xf", 0600);
  CALL("of a FIFO", setxattr("xf", "user.a", "v", 1, 0));
}

static void watching(void) {
  mkdir("w", 0755);
  int fd = inotify_init1(IN_NONBLOCK);
  CALL("inotify_add_watch", inotify_add_watch(fd, "w", IN_ALL_EVENTS));
  CALL("again is the same", inotify_add_watch(fd, "w", IN_ALL_EVENTS));
  CALL("without events", inotify_add_watch(fd, "w", 0));
  CALL("IN_ONLYDIR", (make("wf", ""), inotify_add_watch(fd, "wf", IN_CREATE | IN_ONLYDIR)));
  CALL("of nothing", inotify_add_watch(fd, "none", IN_CREATE));
  CALL("of a file that is no inotify", inotify_add_watch(1, "w", IN_CREATE));
  char buffer[4096] __attribute__((aligned(8)));
  CALL("nothing yet", read(fd, buffer, sizeof buffer));
  make("w/f", "text");
  rename("w/f", "w/g");
  chmod("w/g", 0600);
  unlink("w/g");
  mkdir("w/d", 0755);
  rmdir("w/d");
  rmdir("w");
  ssize_t length = read(fd, buffer, sizeof buffer);
  for (char *at = buffer; at < buffer + length;) {
    struct inotify_event *event = (void *)at;
    say("event", "%d %x %s", event->wd, event->mask, event->len ? event->name : "");
    at += sizeof *event + event->len;
  }
  CALL("inotify_rm_watch", inotify_rm_watch(fd, 1));
}

static void fifos(void) {
  mkfifo("p", 0600);
  CALL("a FIFO for writing without a reader", open("p", O_WRONLY | O_NONBLOCK));
  int reader = open("p", O_RDONLY | O_NONBLOCK);
  char text[8];
  CALL("reads nothing without a writer", read(reader, text, 8));
  int writer = open("p", O_WRONLY | O_NONBLOCK);
  CALL("writes", write(writer, "abc", 3));
  CALL("reads", read(reader, text, 8));
  CALL("would wait", read(reader, text, 8));
  close(writer);
  CALL("is at its end", read(reader, text, 8));
  close(reader);
  pid_t child = fork();
  if (child == 0) {
    int fd = open("p", O_WRONLY);
    write(fd, "met", 3);
    _exit(0);
  }
  reader = open("p", O_RDONLY);
  CALL("both ends meet", read(reader, text, 8));
  wait_code(child);
  CALL("a socket cannot be opened", ({
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
    CALL("ends", wait_code(child));
  }
  chdir("/");
  char command[100];
  snprintf(command, sizeof command, "rm -rf %s", base);
  CALL("everything can be removed", system(command));
}

int main(void) {
  run("/tmp");
  run("/dev/shm");
  return 0;
}

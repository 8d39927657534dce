// Directories that tell by signal what happens in them (F_NOTIFY of fcntl(2)), and namespaces that are kept by a mount.
#include "check.h"
#include <sys/inotify.h>
#include <sys/mount.h>

static volatile int count, code, band, descriptor;
static void handle(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)context;
  count++;
  code = info->si_code;
  band = (int)info->si_band;
  descriptor = info->si_fd;
}
static char directory[64], path[128], other[128];

static void expect(const char *what, const char *expected) {
  usleep(10000);
  SAYS(what, expected, "%d code %d band %x fd %d", count, count > 0 ? code : 0, count > 0 ? band : 0, count > 0 && descriptor >= 0);
  count = code = band = 0;
  descriptor = -1;
}

static void directories(void) {
  snprintf(directory, sizeof directory, "/tmp/notify.%d", getpid());
  snprintf(path, sizeof path, "%s/one", directory);
  snprintf(other, sizeof other, "%s/two", directory);
  mkdir(directory, 0700);
  struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO};
  sigaction(SIGRTMIN, &action, NULL);
  sigaction(SIGIO, &action, NULL);
  int fd = open(directory, O_RDONLY), file = open("/dev/null", O_RDONLY);
  FAILS("of a file", ENOTDIR, fcntl(file, F_NOTIFY, DN_CREATE));
  FAILS("of nothing", EBADF, fcntl(999, F_NOTIFY, DN_CREATE));
  EQUALS("nothing of a file", 0, fcntl(file, F_NOTIFY, 0));
  EQUALS("create", 0, fcntl(fd, F_NOTIFY, DN_CREATE));
  TRUE("its owner", fcntl(fd, F_GETOWN) == getpid());
  close(open(path, O_CREAT | O_WRONLY, 0600));
  usleep(10000);
  EQUALS("told by SIGIO", 1, count);
  count = 0;
  unlink(path);
  close(open(path, O_CREAT | O_WRONLY, 0600));
  expect("told once", "0 code 0 band 0 fd 0");
  EQUALS("another signal", 0, fcntl(fd, F_SETSIG, SIGRTMIN));
  EQUALS("lasting", 0, fcntl(fd, F_NOTIFY, DN_CREATE | DN_DELETE | DN_MULTISHOT));
  unlink(path);
  expect("delete", "1 code 3 band 441 fd 1");
  close(open(path, O_CREAT | O_WRONLY, 0600));
  expect("create again", "1 code 3 band 441 fd 1");
  rename(path, other);
  expect("rename", "2 code 3 band 441 fd 1");
  EQUALS("more", 0, fcntl(fd, F_NOTIFY, DN_MODIFY | DN_ATTRIB | DN_MULTISHOT));
  int two = open(other, O_RDWR);
  write(two, "x", 1);
  expect("modify", "1 code 3 band 441 fd 1");
  fchmod(two, 0644);
  expect("attributes", "1 code 3 band 441 fd 1");
  char byte;
  pread(two, &byte, 1, 0);
  expect("access was not asked for", "0 code 0 band 0 fd 0");
  EQUALS("no more", 0, fcntl(fd, F_NOTIFY, 0));
  write(two, "x", 1);
  expect("not told any more", "0 code 0 band 0 fd 0");
  EQUALS("access", 0, fcntl(fd, F_NOTIFY, DN_ACCESS));
  pread(two, &byte, 1, 0);
  expect("accessed", "1 code 3 band 441 fd 1");
  EQUALS("rename alone", 0, fcntl(fd, F_NOTIFY, DN_RENAME));
  rename(other, path);
  expect("renamed", "1 code 3 band 441 fd 1");
  EQUALS("until it closes", 0, fcntl(fd, F_NOTIFY, DN_DELETE | DN_MULTISHOT));
  close(fd);
  unlink(path);
  expect("closed", "0 code 0 band 0 fd 0");
  close(two), close(file);
  rmdir(directory);
}

static void namespaces(void) {
  snprintf(path, sizeof path, "/tmp/ns.%d", getpid());
  pid_t child = fork();
  if (child == 0) {
    char name[65];
    struct utsname system;
    struct stat mine, kept;
    close(open(path, O_CREAT | O_WRONLY, 0600));
    EQUALS("mount namespace", 0, unshare(CLONE_NEWNS));
    EQUALS("private", 0, mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
    EQUALS("host name namespace", 0, unshare(CLONE_NEWUTS));
    EQUALS("a name", 0, sethostname("kept", 4));
    EQUALS("keep it", 0, mount("/proc/self/ns/uts", path, NULL, MS_BIND, NULL));
    stat("/proc/self/ns/uts", &mine);
    stat(path, &kept);
    TRUE("the same", mine.st_ino == kept.st_ino && mine.st_dev == kept.st_dev);
    struct statfs system_of;
    statfs(path, &system_of);
    SAYS("kind", "6e736673", "%lx", (long)system_of.f_type);
    EQUALS("another", 0, unshare(CLONE_NEWUTS));
    EQUALS("another name", 0, sethostname("other", 5));
    int fd = open(path, O_RDONLY);
    WORKS("open", fd);
    EQUALS("join", 0, setns(fd, CLONE_NEWUTS));
    uname(&system);
    SAYS("back", "kept", "%s", system.nodename);
    char text[16384], *line;
    int mounts = open("/proc/self/mountinfo", O_RDONLY);
    long n = 0, got;
    while (n < (long)sizeof text - 1 && (got = read(mounts, text + n, sizeof text - 1 - n)) > 0) n += got;
    text[n] = 0;
    line = strstr(text, path);
    TRUE("shown", line != NULL && strstr(line, " - nsfs nsfs rw") != NULL);
    FAILS("its own mount namespace", EINVAL, mount("/proc/self/ns/mnt", path, NULL, MS_BIND, NULL));
    EQUALS("let go", 0, umount2(path, MNT_DETACH));
    FAILS("nothing to let go", EINVAL, umount2(path, 0));
    _exit(0);
  }
  EQUALS("namespaces", 0, wait_code(child));
  unlink(path);
}

/* Events of calls that read and write in other ways than read(2) and write(2). */
static unsigned events_of(int fd) {
  char bytes[4096];
  unsigned mask = 0;
  ssize_t n = read(fd, bytes, sizeof bytes);
  for (char *at = bytes; n > 0 && at < bytes + n;) {
    struct inotify_event *event = (void *)at;
    mask |= event->mask;
    at += sizeof *event + event->len;
  }
  return mask;
}
static void watched_calls(void) {
  char place[64], name[80];
  snprintf(place, sizeof place, "/tmp/watched.%d", getpid());
  snprintf(name, sizeof name, "%s/file", place);
  mkdir(place, 0700);
  int file = open(name, O_CREAT | O_RDWR, 0600), watch = inotify_init1(IN_NONBLOCK);
  int at = inotify_add_watch(watch, "/bin/true", IN_ALL_EVENTS);
  pid_t child = fork();
  if (child == 0) {
    execl("/bin/true", "true", NULL);
    _exit(1);
  }
  wait_code(child);
  EQUALS("exec of a watched program", IN_OPEN | IN_ACCESS | IN_CLOSE_NOWRITE, events_of(watch));
  inotify_rm_watch(watch, at);
  events_of(watch);
  at = inotify_add_watch(watch, place, IN_ALL_EVENTS);
  int directory = open(place, O_RDONLY | O_DIRECTORY);
  char entries[1024];
  while (syscall(SYS_getdents64, directory, entries, sizeof entries) > 0) continue;
  close(directory);
  EQUALS("listing of a watched directory", IN_OPEN | IN_ACCESS | IN_CLOSE_NOWRITE | IN_ISDIR, events_of(watch));
  inotify_rm_watch(watch, at);
  events_of(watch);
  inotify_add_watch(watch, name, IN_ALL_EVENTS);
  EQUALS("fallocate", 0, fallocate(file, 0, 0, 100));
  EQUALS("of a watched file", IN_MODIFY, events_of(watch));
  close(file);
  close(watch);
  unlink(name);
  rmdir(place);
}

int main(void) {
  watched_calls();
  directories();
  if (geteuid() == 0) namespaces();
  return 0;
}

// What /proc, /dev and the links between them say: formats, and that they agree with what calls answer. Values that differ
// between machines are compared with each other, never printed.
#include "check.h"
#include <ctype.h>
#include <dirent.h>
#include <regex.h>
#include <sys/auxv.h>
#include <sys/inotify.h>
#include <sys/sysmacros.h>

static char text[1 << 20];
static char *self_path;

static const char *slurp(const char *path) {
  int fd = open(path, O_RDONLY);
  text[0] = 0;
  if (fd < 0) return text;
  long n = 0, got;
  while (n < (long)sizeof text - 1 && (got = read(fd, text + n, sizeof text - 1 - n)) > 0) n += got;
  text[n] = 0;
  close(fd);
  return text;
}

static int matches(const char *string, const char *pattern) {
  regex_t regex;
  if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB | REG_NEWLINE)) return -1;
  int found = regexec(&regex, string, 0, NULL, 0) == 0;
  regfree(&regex);
  return found;
}

/* Every line of `path` looks like `pattern`, and there is one at least. */
static int lines_match(const char *path, const char *pattern) {
  char *copy = strdup(slurp(path));
  int count = 0, good = 1;
  for (char *rest = copy, *line; (line = strsep(&rest, "\n"));) {
    if (!*line) continue;
    count++;
    if (matches(line, pattern) != 1) good = 0;
  }
  free(copy);
  return good && count > 0;
}

static const char *field(const char *path, const char *key) {
  static char value[4096];
  slurp(path);
  char *at = text;
  size_t length = strlen(key);
  while (at && strncmp(at, key, length)) {
    at = strchr(at, '\n');
    if (at) at++;
  }
  if (!at) return "(none)";
  at += length;
  while (*at == ' ' || *at == '\t') at++;
  size_t n = strcspn(at, "\n");
  snprintf(value, sizeof value, "%.*s", (int)n, at);
  return value;
}

static void status(void) {
  static const char *keys[] = {"Name:", "Umask:", "State:", "Tgid:", "Ngid:", "Pid:", "PPid:", "TracerPid:", "Uid:", "Gid:", "FDSize:",
    "Groups:", "NStgid:", "NSpid:", "NSpgid:", "NSsid:", "VmPeak:", "VmSize:", "VmLck:", "VmPin:", "VmHWM:", "VmRSS:", "RssAnon:",
    "RssFile:", "RssShmem:", "VmData:", "VmStk:", "VmExe:", "VmLib:", "VmPTE:", "VmSwap:", "Threads:", "SigQ:", "SigPnd:", "ShdPnd:",
    "SigBlk:", "SigIgn:", "SigCgt:", "CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:", "NoNewPrivs:", "Seccomp:",
    "Cpus_allowed:", "Cpus_allowed_list:", "Mems_allowed:", "Mems_allowed_list:", "voluntary_ctxt_switches:",
    "nonvoluntary_ctxt_switches:"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    char name[64];
    snprintf(name, sizeof name, "status has %s", keys[i]);
    for (char *c = name; *c; c++) if (*c == ':') *c = 0;
    TRUE(name, strcmp(field("/proc/self/status", keys[i]), "(none)") != 0);
  }
  const char *file = "/proc/self/status";
  prctl(PR_SET_NAME, "odd (name) x", 0, 0, 0);
  SAYS("Name", "odd (name) x", "%s", field(file, "Name:"));
  SAYS("State", "R (running)", "%s", field(file, "State:"));
  TRUE("Pid and PPid", atoi(field(file, "Pid:")) == getpid() && atoi(field(file, "PPid:")) == getppid());
  umask(027);
  SAYS("Umask", "0027", "%s", field(file, "Umask:"));
  umask(022);
  SAYS("Uid", "0\t0\t0\t0", "%s", field(file, "Uid:"));
  signal(SIGUSR2, SIG_IGN);
  signal(SIGALRM, abort);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGRTMIN);
  sigprocmask(SIG_BLOCK, &set, NULL);
  raise(SIGUSR1);
  kill(getpid(), SIGRTMIN);
  SAYS("SigBlk", "0000000200000200", "%s", field(file, "SigBlk:"));
  SAYS("SigPnd", "0000000000000200", "%s", field(file, "SigPnd:"));
  SAYS("ShdPnd", "0000000200000000", "%s", field(file, "ShdPnd:"));
  TRUE("SigIgn", strtoull(field(file, "SigIgn:"), NULL, 16) & 1ull << (SIGUSR2 - 1));
  TRUE("SigCgt", strtoull(field(file, "SigCgt:"), NULL, 16) & 1ull << (SIGALRM - 1));
  TRUE("SigQ", matches(field(file, "SigQ:"), "^[0-9]+/[0-9]+$") == 1);
  signal(SIGUSR1, SIG_IGN);
  signal(SIGRTMIN, SIG_IGN);
  sigprocmask(SIG_UNBLOCK, &set, NULL);
  signal(SIGUSR1, SIG_DFL);
  signal(SIGALRM, SIG_DFL);
  TRUE("capabilities are 16 digits", strlen(field(file, "CapEff:")) == 16);
  SAYS("Threads", "1", "%s", field(file, "Threads:"));
  TRUE("VmRSS is kB", matches(field(file, "VmRSS:"), "^[1-9][0-9]* kB$") == 1);
  char *before = strdup(field(file, "VmSize:"));
  mmap(NULL, 64 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  TRUE("VmSize grows by a mapping", atol(field(file, "VmSize:")) - atol(before) == 64 << 10);
}

static void stat_file(void) {
  slurp("/proc/self/stat");
  char *end = strrchr(text, ')');
  TRUE("stat begins with the pid", atoi(text) == getpid());
  TRUE("the name in brackets", strstr(text, " (odd (name) x) R ") != NULL);
  long long fields[60];
  int count = 3;
  for (char *at = end + 3; at && *at; at = strchr(at + 1, ' ')) fields[++count] = strtoll(at, NULL, 10);
  EQUALS("stat's fields", 52, count);
  TRUE("parent, group, session", fields[4] == getppid() && fields[5] == getpgrp() && fields[6] == getsid(0));
  EQUALS("threads", 1, fields[20]);
  EQUALS("nice", 0, fields[19]);
  EQUALS("priority", 20, fields[18]);
  TRUE("vsize and rss", fields[23] > 1 << 20 && fields[24] > 10);
  EQUALS("exit signal", SIGCHLD, fields[38]);
  TRUE("began after boot", fields[22] > 0 && fields[22] / sysconf(_SC_CLK_TCK) <= now_seconds() + 1);
  TRUE("code and stack", fields[26] <= (long long)(uintptr_t)stat_file && fields[27] >= (long long)(uintptr_t)stat_file && fields[28] >= (long long)(uintptr_t)&count);
  TRUE("statm", lines_match("/proc/self/statm", "^[0-9]+ [0-9]+ [0-9]+ [0-9]+ 0 [0-9]+ 0$"));
  long pages, resident;
  sscanf(slurp("/proc/self/statm"), "%ld %ld", &pages, &resident);
  TRUE("statm is in pages", pages > resident && resident > 10);
}

static void maps(void) {
  const char *file = "/proc/self/maps";
  TRUE("maps", lines_match(file, "^[0-9a-f]{8,16}-[0-9a-f]{8,16} [r-][w-][x-][ps] [0-9a-f]{8,} [0-9a-f]{2,}:[0-9a-f]{2,} [0-9]+ *(\\[.*\\]|/.*)?$"));
  malloc(1000);
  slurp(file);
  TRUE("stack, heap and vdso", strstr(text, "[stack]\n") && strstr(text, "[heap]\n") && strstr(text, "[vdso]\n"));
  TRUE("the program", strstr(text, self_path) != NULL);
  TRUE("the C library", strstr(text, "libc.so.6\n") != NULL);
  unsigned long last = 0, start, end;
  int sorted = 1, has_main = 0, has_stack = 0;
  for (char *line = text; *line; line = strchr(line, '\n') + 1) {
    char mode[5], name[200] = "";
    int at = 0;
    sscanf(line, "%lx-%lx %4s %*x %*x:%*x %*u %n%199[^\n]", &start, &end, mode, &at, name);
    if (start < last || end <= start) sorted = 0;
    last = end;
    if ((uintptr_t)maps >= start && (uintptr_t)maps < end) has_main = !strcmp(mode, "r-xp") && !strcmp(name, self_path);
    if ((uintptr_t)&last >= start && (uintptr_t)&last < end) has_stack = !strcmp(mode, "rw-p") && !strcmp(name, "[stack]");
    if (!strcmp(name, "[vsyscall]")) break;
  }
  TRUE("sorted, without overlap", sorted);
  TRUE("this function is in it", has_main);
  TRUE("this stack is in it", has_stack);
  void *p = mmap(NULL, 3 * 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  char pattern[100];
  snprintf(pattern, sizeof pattern, "^%lx-%lx r--s 00000000 .* /dev/zero \\(deleted\\)$", (long)p, (long)p + 3 * 4096);
  TRUE("shared anonymous memory", matches(slurp(file), pattern) == 1);
  mprotect((char *)p + 4096, 4096, PROT_NONE);
  snprintf(pattern, sizeof pattern, "^%lx-%lx ---s 00001000 ", (long)p + 4096, (long)p + 2 * 4096);
  TRUE("a part with another protection", matches(slurp(file), pattern) == 1);
  int fd = open("mapped", O_CREAT | O_RDWR, 0600);
  ftruncate(fd, 8192);
  struct stat status;
  fstat(fd, &status);
  p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 4096);
  snprintf(pattern, sizeof pattern, "^%lx-%lx r--p 00001000 [0-9a-f]+:[0-9a-f]+ %lu +/.*/mapped$", (long)p, (long)p + 4096, (long)status.st_ino);
  TRUE("a file with its inode", matches(slurp(file), pattern) == 1);
  unlink("mapped");
  TRUE("a file that is gone", matches(slurp(file), "/mapped \\(deleted\\)$") == 1);
  close(fd);
  int memory = open("/proc/self/mem", O_RDWR);
  char word[8] = "";
  static char secret[8] = "secret", other[8];
  EQUALS("mem reads", 7, pread(memory, word, 7, (off_t)(uintptr_t)secret));
  SAYS("mem read", "secret", "%s", word);
  EQUALS("mem writes", 6, pwrite(memory, "other", 6, (off_t)(uintptr_t)other));
  SAYS("mem wrote", "other", "%s", other);
  FAILS("mem of nothing", EIO, pread(memory, word, 7, 8));
  static const char constant[16] = "constant";
  EQUALS("mem writes what is read-only", 1, pwrite(memory, "C", 1, (off_t)(uintptr_t)constant));
  SAYS("which is", "C", "%c", *(volatile const char *)constant);
  close(memory);
  slurp("/proc/self/smaps");
  TRUE("smaps", strstr(text, "[stack]\n") && matches(text, "^Rss: +[0-9]+ kB$") == 1 && matches(text, "^VmFlags: ") == 1);
}

static void links(void) {
  char link[4096], path[4096];
  long n = readlink("/proc/self/exe", link, sizeof link);
  TRUE("exe", n > 0 && !strncmp(link, self_path, n) && self_path[n] == 0);
  n = readlink("/proc/self/cwd", link, sizeof link);
  TRUE("cwd", n > 0 && getcwd(path, sizeof path) && (long)strlen(path) == n && !strncmp(link, path, n));
  n = readlink("/proc/self/root", link, sizeof link);
  SAYS("root", "/", "%.*s", (int)n, link);
  n = readlink("/proc/self", link, sizeof link - 1);
  link[n] = 0;
  TRUE("self", atoi(link) == getpid());
  n = readlink("/proc/thread-self", link, sizeof link - 1);
  link[n > 0 ? n : 0] = 0;
  snprintf(path, sizeof path, "%d/task/%d", getpid(), getpid());
  TRUE("thread-self", !strcmp(link, path));
  TRUE("mounts is self/mounts", readlink("/proc/mounts", link, sizeof link) == 11 && !strncmp(link, "self/mounts", 11));
  slurp("/proc/self/cmdline");
  TRUE("cmdline", !strcmp(text, self_path) || strstr(self_path, text) || text[0]);
  TRUE("comm", !strcmp(slurp("/proc/self/comm"), "odd (name) x\n"));
  int fd = open("/proc/self/comm", O_WRONLY);
  EQUALS("comm is written", 25, write(fd, "another name that is long", 25));
  close(fd);
  SAYS("comm", "another name th", "%.15s", slurp("/proc/self/comm"));
  fd = open("/proc/self/auxv", O_RDONLY);
  unsigned long auxv[80];
  n = read(fd, auxv, sizeof auxv);
  close(fd);
  int good = n > 0 && n % 16 == 0;
  /* glibc answers these by what it has found out itself. */
  for (int i = 0; good && i < n / 8 && auxv[i]; i += 2) if (auxv[i] != AT_HWCAP && auxv[i] != AT_HWCAP2 && auxv[i] != AT_PLATFORM && getauxval(auxv[i]) != auxv[i + 1]) good = 0;
  TRUE("auxv", good);
  static const unsigned long wanted[] = {AT_PHDR, AT_PHENT, AT_PHNUM, AT_PAGESZ, AT_BASE, AT_ENTRY, AT_UID, AT_EUID, AT_GID, AT_EGID, AT_CLKTCK, AT_SECURE, AT_RANDOM, AT_HWCAP, AT_HWCAP2, AT_PLATFORM, AT_EXECFN, AT_SYSINFO_EHDR, 51 /* AT_MINSIGSTKSZ */};
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
    int has = 0;
    for (int k = 0; k < n / 8; k += 2) has |= auxv[k] == wanted[i];
    snprintf(path, sizeof path, "auxv has %lu", wanted[i]);
    TRUE(path, has);
  }
  TRUE("hardware capabilities", getauxval(AT_HWCAP) != 0 && !strcmp((char *)getauxval(AT_PLATFORM), "x86_64"));
}

static void show_link(const char *name, const char *expected, int fd) {
  char path[64], link[256];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  long n = readlink(path, link, sizeof link - 1);
  link[n > 0 ? n : 0] = 0;
  for (char *c = link; *c; c++) if (isdigit(*c)) *c = 'N';
  for (char *c; (c = strstr(link, "NN"));) memmove(c, c + 1, strlen(c));
  char *base = strrchr(link, '/');
  judge(name, expected, n < 0 ? strerrorname_np(errno) : base ? base : link);
}
static int info_matches(int fd, const char *pattern) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
  return matches(slurp(path), pattern) == 1;
}

static void descriptors(void) {
  int file = open("file", O_CREAT | O_RDWR | O_APPEND | O_CLOEXEC, 0600);
  write(file, "12345", 5);
  show_link("fd of a file", "/file", file);
  TRUE("fdinfo", info_matches(file, "^pos:\t5$") && info_matches(file, "^flags:\t02102002$") && info_matches(file, "^mnt_id:\t[0-9]+$") && info_matches(file, "^ino:\t[0-9]+$"));
  unlink("file");
  show_link("fd of a removed file", "/file (deleted)", file);
  int p[2], s[2];
  pipe(p);
  socketpair(AF_UNIX, SOCK_STREAM, 0, s);
  show_link("fd of a pipe", "pipe:[N]", p[0]);
  show_link("fd of a socket", "socket:[N]", s[0]);
  int event = eventfd(7, 0), epoll = epoll_create1(0), timer = timerfd_create(CLOCK_MONOTONIC, 0), notify = inotify_init();
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  int signals = signalfd(-1, &set, 0), process = syscall(SYS_pidfd_open, getpid(), 0), memory = memfd_create("name", 0);
  show_link("fd of an eventfd", "anon_inode:[eventfd]", event);
  show_link("fd of an epoll", "anon_inode:[eventpoll]", epoll);
  show_link("fd of a timerfd", "anon_inode:[timerfd]", timer);
  show_link("fd of inotify", "anon_inode:inotify", notify);
  show_link("fd of a signalfd", "anon_inode:[signalfd]", signals);
  show_link("fd of a memfd", "/memfd:name (deleted)", memory);
  TRUE("fdinfo of an eventfd", info_matches(event, "^eventfd-count: +7$"));
  struct epoll_event item = {.events = EPOLLIN, .data.u64 = 0x1234};
  epoll_ctl(epoll, EPOLL_CTL_ADD, event, &item);
  TRUE("fdinfo of an epoll", info_matches(epoll, "^tfd: +[0-9]+ events: +19 data: +1234 +pos:0 ino:[0-9a-f]+ sdev:[0-9a-f]+$"));
  TRUE("fdinfo of a timerfd", info_matches(timer, "^clockid: 1$") && info_matches(timer, "^ticks: 0$") && info_matches(timer, "^it_value: \\(0, 0\\)$"));
  TRUE("fdinfo of a signalfd", info_matches(signals, "^sigmask:\t0000000000000200$"));
  inotify_add_watch(notify, ".", IN_CREATE);
  TRUE("fdinfo of inotify", info_matches(notify, "^inotify wd:1 ino:[0-9a-f]+ sdev:[0-9a-f]+ mask:100 ignored_mask:0"));
  char pattern[64];
  snprintf(pattern, sizeof pattern, "^Pid:\t%d$", getpid());
  TRUE("fdinfo of a pidfd", info_matches(process, pattern));
  struct stat status, other;
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", p[0]);
  EQUALS("stat of a pipe by its link", 0, stat(path, &status));
  TRUE("is the pipe", fstat(p[0], &other) == 0 && S_ISFIFO(status.st_mode) && status.st_ino == other.st_ino);
  EQUALS("lstat of a link", 0, lstat(path, &status));
  SAYS("the link's mode", "120500", "%o", status.st_mode);
  snprintf(path, sizeof path, "/dev/fd/%d", p[1]);
  int again = open(path, O_WRONLY);
  TRUE("a pipe opened again", again >= 0 && write(again, "x", 1) == 1 && read(p[0], text, 1) == 1);
  FAILS("a socket cannot be", ENXIO, (snprintf(path, sizeof path, "/proc/self/fd/%d", s[0]), open(path, O_RDWR)));
  snprintf(path, sizeof path, "/proc/self/fd/%d", file);
  again = open(path, O_RDONLY);
  TRUE("a removed file can be", again >= 0 && read(again, text, 10) == 5);
  FAILS("a descriptor that is not there", ENOENT, open("/proc/self/fd/900", O_RDONLY));
  FAILS("no number", ENOENT, open("/proc/self/fd/x", O_RDONLY));
  DIR *directory = opendir("/proc/self/fd");
  int count = 0, has = 0;
  for (struct dirent *entry; (entry = readdir(directory));) {
    if (entry->d_name[0] == '.') continue;
    count++;
    if (atoi(entry->d_name) == file && entry->d_type == DT_LNK) has = 1;
  }
  closedir(directory);
  TRUE("the directory lists them", has && count >= 14);
  for (int fd = 3; fd < 64; fd++) close(fd);
}

static volatile int go;
static void *sleeper(void *argument) {
  prctl(PR_SET_NAME, "sleeper", 0, 0, 0);
  *(pid_t *)argument = gettid();
  while (!go) usleep(1000);
  return NULL;
}

static void tasks(void) {
  pthread_t thread;
  volatile pid_t tid = 0;
  char path[100];
  pthread_create(&thread, NULL, sleeper, (void *)&tid);
  while (!tid) usleep(100);
  SAYS("Threads of two", "2", "%s", field("/proc/self/status", "Threads:"));
  snprintf(path, sizeof path, "/proc/self/task/%d/comm", tid);
  SAYS("comm of a thread", "sleeper", "%.7s", slurp(path));
  snprintf(path, sizeof path, "/proc/%d/status", tid);
  TRUE("a thread has a directory that is not listed", atoi(field(path, "Pid:")) == tid && atoi(field(path, "Tgid:")) == getpid());
  DIR *directory = opendir("/proc/self/task");
  int count = 0;
  for (struct dirent *entry; (entry = readdir(directory));) count += isdigit(entry->d_name[0]) != 0;
  closedir(directory);
  EQUALS("task lists both", 2, count);
  directory = opendir("/proc");
  int has_self = 0, has_thread = 0;
  for (struct dirent *entry; (entry = readdir(directory));) {
    has_self |= atoi(entry->d_name) == getpid();
    has_thread |= atoi(entry->d_name) == tid;
  }
  closedir(directory);
  TRUE("/proc lists processes alone", has_self && !has_thread);
  go = 1;
  pthread_join(thread, NULL);
  snprintf(path, sizeof path, "/proc/self/task/%d", tid);
  FAILS("and it is gone", ENOENT, access(path, F_OK));
  pid_t child = fork();
  if (child == 0) pause();
  snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
  TRUE("children", atoi(slurp(path)) == child);
  snprintf(path, sizeof path, "/proc/%d/stat", child);
  int fd = open(path, O_RDONLY);
  kill(child, SIGSTOP);
  int status;
  waitpid(child, &status, WUNTRACED);
  TRUE("a stopped child is T", strstr(slurp(path), ") T ") != NULL);
  kill(child, SIGKILL);
  siginfo_t info;
  waitid(P_PID, child, &info, WEXITED | WNOWAIT);
  TRUE("a dead one is Z", strstr(slurp(path), ") Z ") != NULL);
  snprintf(path, sizeof path, "/proc/%d/cmdline", child);
  EQUALS("its cmdline", 0, strlen(slurp(path)));
  snprintf(path, sizeof path, "/proc/%d/exe", child);
  FAILS("its exe", ENOENT, readlink(path, text, 100));
  snprintf(path, sizeof path, "/proc/%d/fd", child);
  directory = opendir(path);
  count = 0;
  if (directory) { for (struct dirent *entry; (entry = readdir(directory));) count += isdigit(entry->d_name[0]) != 0; closedir(directory); }
  EQUALS("its descriptors", 0, count);
  waitpid(child, &status, 0);
  FAILS("reaped, its open stat", ESRCH, read(fd, text, 100));
  snprintf(path, sizeof path, "/proc/%d", child);
  FAILS("and directory", ENOENT, access(path, F_OK));
  close(fd);
}

static void present(const char *path) {
  errno = 0;
  int fd = open(path, O_RDONLY | O_NONBLOCK);
  char byte;
  long n = fd < 0 ? -1 : read(fd, &byte, 1);
  say(path, "%s", fd < 0 || (n < 0 && errno != EISDIR) ? strerrorname_np(errno) : "there");
  if (fd >= 0) close(fd);
}

static void system_wide(void) {
  static const char *paths[] = {"cpuinfo", "meminfo", "stat", "uptime", "loadavg", "version", "filesystems", "cmdline", "devices",
    "partitions", "swaps", "vmstat", "self/limits", "self/io", "self/oom_score", "self/oom_score_adj", "self/oom_adj", "self/mountinfo", "self/mountstats", "self/mounts",
    "self/cgroup", "self/wchan", "self/environ", "self/personality", "self/smaps_rollup", "self/loginuid", "self/sessionid", "self/uid_map", "self/gid_map", "self/setgroups", "self/coredump_filter",
    "self/timerslack_ns", "self/ns", "self/task",
    "sys/kernel/hostname", "sys/kernel/domainname", "sys/kernel/ostype", "sys/kernel/osrelease", "sys/kernel/version",
    "sys/kernel/pid_max", "sys/kernel/threads-max", "sys/kernel/cap_last_cap", "sys/kernel/ngroups_max", "sys/kernel/overflowuid",
    "sys/kernel/overflowgid", "sys/kernel/core_pattern", "sys/kernel/core_uses_pid", "sys/kernel/randomize_va_space",
    "sys/kernel/random/uuid", "sys/kernel/random/boot_id", "sys/kernel/random/entropy_avail", "sys/kernel/random/poolsize",
    "sys/kernel/shmmax", "sys/kernel/shmall", "sys/kernel/shmmni", "sys/kernel/sem", "sys/kernel/msgmax", "sys/kernel/msgmnb",
    "sys/kernel/msgmni", "sys/kernel/printk", "sys/kernel/tainted", "sys/kernel/panic",
    "sys/kernel/perf_event_paranoid", "sys/kernel/kptr_restrict", "sys/kernel/dmesg_restrict",
    "sys/kernel/pty/max", "sys/kernel/pty/nr", "sys/kernel/ns_last_pid", "sys/kernel/unprivileged_bpf_disabled",
    "sys/vm/overcommit_memory", "sys/vm/overcommit_ratio", "sys/vm/mmap_min_addr", "sys/vm/max_map_count", "sys/vm/swappiness",
    "sys/vm/min_free_kbytes", "sys/vm/dirty_ratio", "sys/vm/nr_hugepages", "sys/vm/vfs_cache_pressure", "sys/vm/panic_on_oom",
    "sys/fs/file-max", "sys/fs/file-nr", "sys/fs/nr_open", "sys/fs/inode-nr", "sys/fs/dentry-state", "sys/fs/pipe-max-size",
    "sys/fs/pipe-user-pages-soft", "sys/fs/aio-max-nr", "sys/fs/protected_symlinks", "sys/fs/protected_hardlinks",
    "sys/fs/protected_fifos", "sys/fs/protected_regular", "sys/fs/suid_dumpable", "sys/fs/lease-break-time",
    "sys/fs/inotify/max_user_watches", "sys/fs/inotify/max_user_instances", "sys/fs/inotify/max_queued_events",
    "sys/fs/mqueue/msg_max", "sys/fs/mqueue/msgsize_max", "sys/fs/mqueue/queues_max", "sys/fs/mqueue/msg_default",
    "sys/fs/epoll/max_user_watches", "sys/net/core/somaxconn", "sys/net/core/rmem_max", "sys/net/core/wmem_max",
    "sys/net/core/rmem_default", "nothing"};
  char path[128];
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    snprintf(path, sizeof path, "/proc/%s", paths[i]);
    present(path);
  }
  TRUE("uptime", lines_match("/proc/uptime", "^[0-9]+\\.[0-9]{2} [0-9]+\\.[0-9]{2}$"));
  TRUE("loadavg", lines_match("/proc/loadavg", "^[0-9]+\\.[0-9]{2} [0-9]+\\.[0-9]{2} [0-9]+\\.[0-9]{2} [0-9]+/[0-9]+ [0-9]+$"));
  TRUE("version", lines_match("/proc/version", "^Linux version [0-9]+\\.[0-9]+"));
  struct utsname uts;
  uname(&uts);
  slurp("/proc/sys/kernel/osrelease");
  text[strcspn(text, "\n")] = 0;
  TRUE("osrelease is uname's", !strcmp(text, uts.release));
  slurp("/proc/sys/kernel/hostname");
  text[strcspn(text, "\n")] = 0;
  TRUE("hostname is uname's", !strcmp(text, uts.nodename));
  TRUE("uuid", lines_match("/proc/sys/kernel/random/uuid", "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"));
  char *first = strdup(slurp("/proc/sys/kernel/random/uuid"));
  TRUE("which is new each time", strcmp(first, slurp("/proc/sys/kernel/random/uuid")));
  first = strdup(slurp("/proc/sys/kernel/random/boot_id"));
  TRUE("and boot_id is not", !strcmp(first, slurp("/proc/sys/kernel/random/boot_id")));
  static const char *memory[] = {"MemTotal:", "MemFree:", "MemAvailable:", "Buffers:", "Cached:", "SwapCached:", "Active:", "Inactive:", "SwapTotal:", "SwapFree:", "Dirty:", "Shmem:", "Slab:", "CommitLimit:", "Committed_AS:", "VmallocTotal:", "HugePages_Total:", "Hugepagesize:"};
  for (size_t i = 0; i < sizeof memory / sizeof *memory; i++) {
    snprintf(path, sizeof path, "meminfo has %.*s", (int)strlen(memory[i]) - 1, memory[i]);
    TRUE(path, strcmp(field("/proc/meminfo", memory[i]), "(none)"));
  }
  TRUE("meminfo", lines_match("/proc/meminfo", "^[A-Za-z0-9_()]+: +[0-9]+( kB)?$"));
  int processors = 0;
  slurp("/proc/cpuinfo");
  for (char *at = text; (at = strstr(at, "processor\t: ")); at++) processors++;
  TRUE("cpuinfo has all processors", processors == sysconf(_SC_NPROCESSORS_ONLN));
  TRUE("its fields", matches(text, "^vendor_id\t: ") == 1 && matches(text, "^model name\t: ") == 1 && matches(text, "^flags\t\t: fpu ") == 1 && matches(text, "^cpu MHz\t\t: ") == 1 && matches(text, "^cache size\t: ") == 1);
  slurp("/proc/stat");
  TRUE("stat's fields", matches(text, "^cpu  [0-9]+ [0-9]+ [0-9]+ [0-9]+ [0-9]+ [0-9]+ [0-9]+ [0-9]+ [0-9]+ [0-9]+$") == 1 && matches(text, "^cpu0 ") == 1 && matches(text, "^btime [0-9]+$") == 1 && matches(text, "^processes [0-9]+$") == 1 && matches(text, "^procs_running [0-9]+$") == 1 && matches(text, "^ctxt ") == 1 && matches(text, "^intr ") == 1);
  TRUE("filesystems", lines_match("/proc/filesystems", "^(nodev)?\t[a-z0-9_.]+$"));
  slurp("/proc/filesystems");
  TRUE("among them", strstr(text, "\tproc\n") && strstr(text, "\ttmpfs\n") && strstr(text, "\tsysfs\n"));
  TRUE("mounts", lines_match("/proc/self/mounts", "^[^ ]+ /[^ ]* [a-z0-9_.]+ (ro|rw)[^ ]* 0 0$"));
  TRUE("mountinfo", lines_match("/proc/self/mountinfo", "^[0-9]+ [0-9]+ [0-9]+:[0-9]+ [^ ]+ /[^ ]* (ro|rw)[^ ]*( (shared|master|propagate_from):[0-9]+)*( unbindable)? - [a-z0-9_.]+ [^ ]* (ro|rw)[^ ]*$"));
  TRUE("limits", !strncmp(slurp("/proc/self/limits"), "Limit                     Soft Limit           Hard Limit           Units     \n", 78) && matches(text, "^Max open files            [0-9]+ ") == 1);
  TRUE("io", matches(slurp("/proc/self/io"), "^rchar: [0-9]+$") == 1);
  TRUE("cgroup", lines_match("/proc/self/cgroup", "^[0-9]+:[^:]*:/"));
  SAYS("coredump_filter", "00000033", "%.8s", slurp("/proc/self/coredump_filter"));
  TRUE("ns links", readlink("/proc/self/ns/pid", text, 100) > 6 && !strncmp(text, "pid:[", 5));
  FAILS("a write to version", EIO, write(open("/proc/version", O_WRONLY), "x", 1));
  FAILS("unlink in /proc", EPERM, unlink("/proc/version"));
  char byte[4];
  int fd = open("/proc/uptime", O_RDONLY);
  int bytes = 0;
  for (long n; (n = read(fd, byte, 1)) > 0;) bytes += n;
  TRUE("read byte by byte", bytes > 8);
  EQUALS("and from the start", 4, (lseek(fd, 0, SEEK_SET), read(fd, byte, 4)));
  close(fd);
}

static void devices(void) {
  static const struct { const char *name; int major, minor; } nodes[] = {{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
  char path[64];
  struct stat status;
  for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
    snprintf(path, sizeof path, "/dev/%s", nodes[i].name);
    int result = stat(path, &status);
    SAYS(path, "0 1", "%d %d", result, result == 0 && S_ISCHR(status.st_mode) && major(status.st_rdev) == nodes[i].major && minor(status.st_rdev) == nodes[i].minor);
  }
  EQUALS("/dev/fd", 13, (readlink("/dev/fd", text, 100)));
  EQUALS("/dev/stdin", 15, readlink("/dev/stdin", text, 100));
  EQUALS("/dev/shm is for all", 01777, stat("/dev/shm", &status) == 0 ? status.st_mode & 01777 : -1);
  char block[4096], other[4096];
  int fd = open("/dev/urandom", O_RDONLY);
  EQUALS("urandom", 4096, read(fd, block, sizeof block));
  read(fd, other, sizeof other);
  TRUE("is random", memcmp(block, other, sizeof block));
  close(fd);
  fd = open("/dev/zero", O_RDWR);
  memset(block, 1, sizeof block);
  EQUALS("zero", 4096, read(fd, block, sizeof block));
  int sum = 0;
  for (size_t i = 0; i < sizeof block; i++) sum += block[i];
  EQUALS("is zero", 0, sum);
  char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  TRUE("and is mapped shared", map != MAP_FAILED);
  pid_t child = fork();
  if (child == 0) { map[5000] = 'x'; _exit(0); }
  wait_code(child);
  EQUALS("with children", 120, map[5000]);
  close(fd);
  EQUALS("/dev/tty without a terminal", ENXIO, ({ pid_t p = fork(); if (p == 0) { setsid(); int t = open("/dev/tty", O_RDWR); _exit(t < 0 ? errno : 0); } wait_code(p); }));
}

int main(void) {
  static char resolved[4096];
  long n = readlink("/proc/self/exe", resolved, sizeof resolved - 1);
  resolved[n > 0 ? n : 0] = 0;
  self_path = resolved;
  char base[] = "/tmp/tsvisor-proc-XXXXXX";
  if (!mkdtemp(base) || chdir(base) < 0) return 1;
  status();
  stat_file();
  maps();
  links();
  descriptors();
  tasks();
  system_wide();
  devices();
  chdir("/");
  char command[100];
  snprintf(command, sizeof command, "rm -rf %s", base);
  return system(command);
}

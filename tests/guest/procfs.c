// /proc and /sys: what programs read there about themselves, their children and the system. Formats are compared, numbers
// as relations.
#include "check.h"
#include <semaphore.h>
#include <ctype.h>
#include <dirent.h>
#include <grp.h>
#include <regex.h>

static char text[1 << 18];

/* The file, or "" with the errno. */
static const char *slurp(const char *path) {
  int fd = open(path, O_RDONLY);
  int n = 0;
  text[0] = 0;
  if (fd < 0) return text;
  for (;;) {
    int got = read(fd, text + n, sizeof text - 1 - n);
    if (got <= 0) {
      if (got < 0) n = 0;
      break;
    }
    n += got;
  }
  text[n] = 0;
  close(fd);
  return text;
}
static int put(const char *path, const char *what) {
  int fd = open(path, O_WRONLY);
  if (fd < 0) return -1;
  int n = write(fd, what, strlen(what));
  int error = errno;
  close(fd);
  errno = error;
  return n;
}
static int matches(const char *in, const char *pattern) {
  regex_t regex;
  if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB | REG_NEWLINE) != 0) return -1;
  int result = regexec(&regex, in, 0, NULL, 0) == 0;
  regfree(&regex);
  return result;
}
static void file_is(const char *path, const char *pattern) {
  char name[200];
  snprintf(name, sizeof name, "%s is like %s", path, pattern);
  SAYS(name, "1", "%d", matches(slurp(path), pattern));
}
/* The text behind "key:" up to the line's end. */
static const char *value(const char *in, const char *key) {
  static char found[200];
  size_t length = strlen(key);
  for (const char *line = in; line != NULL && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
    if (strncmp(line, key, length) != 0 || line[length] != ':') continue;
    const char *from = line + length + 1;
    while (*from == ' ' || *from == '\t') from++;
    snprintf(found, sizeof found, "%.*s", (int)strcspn(from, "\n"), from);
    return found;
  }
  return "missing";
}
static long number(const char *in, const char *key) { return strtol(value(in, key), NULL, 10); }
/* Which of these names the lines begin with, in order. */
static void keys_of(const char *path, const char *names) {
  char copy[1500], found[1500] = "";
  snprintf(copy, sizeof copy, "%s", names);
  slurp(path);
  const char *from = text;
  for (char *name = strtok(copy, " "); name != NULL; name = strtok(NULL, " ")) {
    char start[100];
    snprintf(start, sizeof start, "\n%s", name);
    const char *at = strncmp(from, name, strlen(name)) == 0 ? from : strstr(from, start);
    if (at == NULL) {
      strcat(strcat(found, " no:"), name);
      continue;
    }
    from = at + 1;
  }
  SAYS(path, "keys are there in order", "keys%s", found[0] ? found : " are there in order");
}

static void stat_file(void) {
  prctl(PR_SET_NAME, "a b) c");
  slurp("/proc/self/stat");
  long field[60];
  TRUE("name in parentheses", strstr(text, " (a b) c) R ") != NULL);
  char *at = strrchr(text, ')') + 4;
  int n = 4;
  for (char *word = strtok(at, " \n"); word != NULL; word = strtok(NULL, " \n")) field[n++] = strtol(word, NULL, 10);
  SAYS("fields of stat", "52", "%d", n - 1);
  TRUE("pid", atoi(text) == getpid());
  TRUE("ppid", field[4] == getppid());
  TRUE("pgrp", field[5] == getpgrp());
  TRUE("session", field[6] == getsid(0));
  SAYS("tty_nr", "0", "%ld", field[7]);
  SAYS("tpgid", "-1", "%ld", field[8]);
  SAYS("priority and nice", "20 0", "%ld %ld", field[18], field[19]);
  SAYS("threads", "1", "%ld", field[20]);
  TRUE("start time", field[22] >= 0);
  TRUE("vsize", field[23] > 1 << 20);
  TRUE("rss", field[24] > 50 && field[24] < field[23] / 4096 + 1);
  TRUE("code", field[26] < (long)&stat_file && (long)&stat_file < field[27]);
  TRUE("stack", field[28] > (long)&n);
  TRUE("data", field[45] < field[46]);
  TRUE("brk", field[47] > 0);
  TRUE("arguments before environment", field[48] < field[49] && field[49] <= field[50] && field[50] < field[51]);
  SAYS("policy", "0", "%ld", field[41]);
  SAYS("exit signal", "17", "%ld", field[38]);
  file_is("/proc/self/statm", "^[1-9][0-9]* [1-9][0-9]* [0-9]+ [1-9][0-9]* 0 [1-9][0-9]* 0$");
}

static void status_file(void) {
  keys_of("/proc/self/status",
          "Name: Umask: State: Tgid: Ngid: Pid: PPid: TracerPid: Uid: Gid: FDSize: Groups: NStgid: NSpid: NSpgid: NSsid: "
          "VmPeak: VmSize: VmLck: VmPin: VmHWM: VmRSS: RssAnon: RssFile: RssShmem: VmData: VmStk: VmExe: VmLib: VmPTE: "
          "VmSwap: HugetlbPages: CoreDumping: THP_enabled: Threads: SigQ: SigPnd: ShdPnd: SigBlk: SigIgn: SigCgt: CapInh: "
          "CapPrm: CapEff: CapBnd: CapAmb: NoNewPrivs: Seccomp: Seccomp_filters: Speculation_Store_Bypass: "
          "SpeculationIndirectBranch: Cpus_allowed: Cpus_allowed_list: Mems_allowed: Mems_allowed_list: "
          "voluntary_ctxt_switches: nonvoluntary_ctxt_switches:");
  umask(027);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, NULL);
  signal(SIGUSR2, SIG_IGN);
  kill(getpid(), SIGUSR1);
  slurp("/proc/self/status");
  umask(022);
  SAYS("Umask", "0027", "%s", value(text, "Umask"));
  SAYS("State", "R (running)", "%s", value(text, "State"));
  SAYS("Threads", "1", "%s", value(text, "Threads"));
  SAYS("TracerPid", "0", "%s", value(text, "TracerPid"));
  SAYS("SigBlk", "0000000000000200", "%s", value(text, "SigBlk"));
  SAYS("ShdPnd", "0000000000000200", "%s", value(text, "ShdPnd"));
  SAYS("SigPnd", "0000000000000000", "%s", value(text, "SigPnd"));
  TRUE("SigIgn", strtol(value(text, "SigIgn"), NULL, 16) & 1 << (SIGUSR2 - 1));
  TRUE("Pid", number(text, "Pid") == getpid() && number(text, "Tgid") == getpid() && number(text, "PPid") == getppid());
  TRUE("VmRSS is the sum of its kinds",
       number(text, "VmRSS") == number(text, "RssAnon") + number(text, "RssFile") + number(text, "RssShmem"));
  TRUE("VmSize", number(text, "VmSize") > number(text, "VmRSS"));
  SAYS("NoNewPrivs", "0", "%s", value(text, "NoNewPrivs"));
  int taken;
  sigwait(&set, &taken);
  pid_t child = fork();
  if (child == 0) _exit(3);
  siginfo_t info;
  waitid(P_PID, child, &info, WEXITED | WNOWAIT);
  char path[60];
  snprintf(path, sizeof path, "/proc/%d/status", child);
  slurp(path);
  SAYS("a zombie's state", "Z (zombie)", "%s", value(text, "State"));
  SAYS("a zombie's VmSize", "missing", "%s", value(text, "VmSize"));
  snprintf(path, sizeof path, "/proc/%d/cmdline", child);
  SAYS("a zombie's cmdline", "[]", "[%s]", slurp(path));
  snprintf(path, sizeof path, "/proc/%d/maps", child);
  SAYS("a zombie's maps", "[]", "[%s]", slurp(path));
  snprintf(path, sizeof path, "/proc/%d/exe", child);
  FAILS("a zombie's exe", ENOENT, readlink(path, text, 100));
  waitpid(child, NULL, 0);
  snprintf(path, sizeof path, "/proc/%d", child);
  FAILS("it is gone when reaped", ENOENT, access(path, F_OK));
}

static void memory(void) {
  long size = 1 << 20;
  char *touched = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char *gap = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  memset(touched, 1, size);
  char line[100];
  slurp("/proc/self/maps");
  TRUE("maps has the program", matches(text, "^[0-9a-f]+-[0-9a-f]+ r-xp [0-9a-f]{8} [0-9a-f]{2,}:[0-9a-f]{2,} [0-9]+ +/"));
  TRUE("maps has [stack]", matches(text, "^[0-9a-f]+-[0-9a-f]+ rw-p 00000000 00:00 0 +\\[stack\\]$"));
  TRUE("maps has [vdso]", strstr(text, "[vdso]") != NULL);
  snprintf(line, sizeof line, "%lx-%lx ---p 00000000 00:00 0 ", (long)gap, (long)gap + size);
  TRUE("maps has a mapping without access", strstr(text, line) != NULL);
  snprintf(line, sizeof line, "^[0-9a-f]+-[0-9a-f]+ rw-s 00000000 [0-9a-f]+:[0-9a-f]+ [0-9]+ +/dev/zero \\(deleted\\)$");
  TRUE("maps has shared memory", matches(text, line));
  mprotect(gap, size, PROT_READ | PROT_EXEC);
  slurp("/proc/self/smaps");
  snprintf(line, sizeof line, "%lx-%lx r-xp", (long)gap, (long)gap + size);
  char *at = strstr(text, line);
  TRUE("mprotect shows", at != NULL);
  char area[2000] = "";
  if (at != NULL) snprintf(area, sizeof area, "%s", at);
  SAYS("Size", "1024 kB", "%s", value(area, "Size"));
  SAYS("Rss of what is untouched", "0 kB", "%s", value(area, "Rss"));
  SAYS("VmFlags", "rd ex mr mw me ", "%s", value(area, "VmFlags"));
  keys_of("/proc/self/smaps",
          "Size: KernelPageSize: MMUPageSize: Rss: Pss: Pss_Dirty: Shared_Clean: Shared_Dirty: Private_Clean: "
          "Private_Dirty: Referenced: Anonymous: KSM: LazyFree: AnonHugePages: ShmemPmdMapped: FilePmdMapped: "
          "Shared_Hugetlb: Private_Hugetlb: Swap: SwapPss: Locked: THPeligible: VmFlags:");
  keys_of("/proc/self/smaps_rollup",
          "Rss: Pss: Pss_Dirty: Pss_Anon: Pss_File: Pss_Shmem: Shared_Clean: Shared_Dirty: Private_Clean: Private_Dirty: "
          "Referenced: Anonymous: KSM: LazyFree: AnonHugePages: ShmemPmdMapped: FilePmdMapped: Shared_Hugetlb: "
          "Private_Hugetlb: Swap: SwapPss: Locked:");
  slurp("/proc/self/smaps_rollup");
  TRUE("rollup", matches(text, "^[0-9a-f]+-[0-9a-f]+ ---p 00000000 00:00 0 +\\[rollup\\]$") && number(text, "Rss") >= 1024);
  file_is("/proc/self/numa_maps", "^[0-9a-f]+ default");
  int fd = open("/proc/self/pagemap", O_RDONLY);
  uint64_t entry = 0;
  EQUALS("pagemap", 8, pread(fd, &entry, 8, (long)touched / 4096 * 8));
  TRUE("a touched page is present", entry >> 63);
  EQUALS("pagemap of a shared page", 8, pread(fd, &entry, 8, (long)shared / 4096 * 8));
  TRUE("an untouched one is not", !(entry >> 63));
  FAILS("pagemap at an odd place", EINVAL, pread(fd, &entry, 8, 3));
  close(fd);
  volatile int variable = 77;
  int copy = 0;
  fd = open("/proc/self/mem", O_RDWR);
  TRUE("mem opens", fd >= 0);
  EQUALS("read of mem", 4, pread(fd, &copy, 4, (off_t)(uintptr_t)&variable));
  SAYS("the variable", "77", "%d", copy);
  copy = 78;
  EQUALS("write of mem", 4, pwrite(fd, &copy, 4, (off_t)(uintptr_t)&variable));
  SAYS("the variable now", "78", "%d", variable);
  EQUALS("write where only reading is allowed", 4, pwrite(fd, &copy, 4, (off_t)(uintptr_t)gap));
  FAILS("mem at 0", EIO, pread(fd, &copy, 4, 0));
  EQUALS("lseek of mem", 100, lseek(fd, 100, SEEK_SET));
  close(fd);
  munmap(touched, size);
  munmap(gap, size);
  munmap(shared, size);
  slurp("/proc/self/auxv");
  TRUE("auxv has the page size", ((uint64_t *)text)[0] != 0);
}

static void descriptors(void) {
  int ends[2];
  pipe(ends);
  char path[100], target[200];
  snprintf(path, sizeof path, "/proc/self/fd/%d", ends[0]);
  int n = readlink(path, target, 199);
  target[n > 0 ? n : 0] = 0;
  TRUE("a pipe's link", matches(target, "^pipe:\\[[0-9]+\\]$"));
  struct stat s;
  lstat(path, &s);
  SAYS("mode of a link for reading", "120500", "%o", s.st_mode);
  snprintf(path, sizeof path, "/proc/self/fd/%d", ends[1]);
  lstat(path, &s);
  SAYS("mode of a link for writing", "120300", "%o", s.st_mode);
  FAILS("a link that is not there", ENOENT, readlink("/proc/self/fd/999", target, 100));
  FAILS("a name that is no number", ENOENT, readlink("/proc/self/fd/0x1", target, 100));
  int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0) fd = open("/tmp/proc-guest", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  ftruncate(fd, 100);
  lseek(fd, 42, SEEK_SET);
  flock(fd, LOCK_EX);
  struct flock lock = {.l_type = F_RDLCK, .l_start = 10, .l_len = 5};
  fcntl(fd, F_SETLK, &lock);
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
  slurp(path);
  SAYS("pos", "42", "%s", value(text, "pos"));
  TRUE("flags", (strtol(value(text, "flags"), NULL, 8) & (O_ACCMODE | O_CLOEXEC)) == (O_RDWR | O_CLOEXEC));
  TRUE("mnt_id and ino", number(text, "mnt_id") > 0 && number(text, "ino") > 0);
  TRUE("the POSIX lock", matches(text, "^lock:\t[12]: POSIX  ADVISORY  READ [0-9]+ [0-9a-f]+:[0-9a-f]+:[0-9]+ 10 14$"));
  TRUE("the flock", matches(text, "^lock:\t[12]: FLOCK  ADVISORY  WRITE [0-9]+ [0-9a-f]+:[0-9a-f]+:[0-9]+ 0 EOF$"));
  char line[100];
  snprintf(line, sizeof line, "^[0-9]+: FLOCK  ADVISORY  WRITE %d [0-9a-f]+:[0-9a-f]+:[0-9]+ 0 EOF$", getpid());
  TRUE("both in /proc/locks", matches(slurp("/proc/locks"), line));
  close(fd);
  fd = eventfd(5, 0);
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
  SAYS("an eventfd's count", "5", "%s", value(slurp(path), "eventfd-count"));
  close(fd);
  close(ends[0]);
  close(ends[1]);
}

static void *waits(void *argument) {
  prctl(PR_SET_NAME, "the thread");
  char c;
  enter_sleep();
  read(*(int *)argument, &c, 1);
  return NULL;
}

static void processes(char **argv) {
  char target[300], path[400];
  chdir("/usr/bin");
  int n = readlink("/proc/self/cwd", target, 299);
  SAYS("cwd", "/usr/bin", "%.*s", n, target);
  n = readlink("/proc/self/root", target, 299);
  SAYS("root", "/", "%.*s", n, target);
  n = readlink("/proc/self/exe", target, 299);
  TRUE("exe", n > 0 && target[0] == '/' && access("/proc/self/exe", X_OK) == 0);
  slurp("/proc/self/cmdline");
  TRUE("cmdline", strcmp(text, argv[0]) == 0);
  EQUALS("comm is written", 26, put("/proc/self/comm", "new name that is too long\n"));
  SAYS("comm", "new name that i", "%.15s", slurp("/proc/self/comm"));
  n = readlink("/proc/self", target, 299);
  target[n > 0 ? n : 0] = 0;
  TRUE("/proc/self", atoi(target) == getpid());
  int ends[2];
  pipe(ends);
  pthread_t thread = start_sleeper(waits, &ends[0]);
  int count = 0;
  DIR *directory = opendir("/proc/self/task");
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    if (!isdigit(entry->d_name[0])) continue;
    count++;
    if (atoi(entry->d_name) == getpid()) continue;
    snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
    SAYS("the thread's comm", "the thread", "%.10s", slurp(path));
    snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
    slurp(path);
    TRUE("its ids", number(text, "Tgid") == getpid() && number(text, "Pid") == atoi(entry->d_name));
    SAYS("its state", "S (sleeping)", "%s", value(text, "State"));
    snprintf(path, sizeof path, "/proc/self/task/%s/syscall", entry->d_name);
    TRUE("its call", matches(slurp(path), "^0 0x[0-9a-f]+ 0x[0-9a-f]+ 0x1 (0x[0-9a-f]+ ){4}0x[0-9a-f]+$"));
    snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
    TRUE("a thread is found by name", access(path, F_OK) == 0);
  }
  closedir(directory);
  SAYS("threads", "2", "%d", count);
  write(ends[1], "x", 1);
  pthread_join(thread, NULL);
  pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
  TRUE("children", atoi(slurp(path)) == child);
  snprintf(path, sizeof path, "/proc/%d/cmdline", child);
  TRUE("a child's cmdline", strcmp(slurp(path), argv[0]) == 0);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  count = 0;
  int self = 0;
  directory = opendir("/proc");
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    count += isdigit(entry->d_name[0]) != 0;
    self += atoi(entry->d_name) == getpid();
  }
  closedir(directory);
  TRUE("/proc lists processes", count > 0 && self == 1);
  FAILS("a process that is not there", ENOENT, access("/proc/4000000", F_OK));
  FAILS("a number with a zero in front", ENOENT, access("/proc/01", F_OK));
  FAILS("a file that is not there", ENOENT, access("/proc/self/nothing", F_OK));
  FAILS("mkdir in /proc", ENOENT, mkdir("/proc/new", 0700));
  FAILS("open with O_CREAT in /proc", ENOENT, open("/proc/self/new", O_CREAT | O_RDWR, 0600));
  FAILS("symlink in /proc", ENOENT, symlink("x", "/proc/sys/kernel/new"));
  FAILS("unlink in /proc", EPERM, unlink("/proc/self/stat"));
}

static void settings(void) {
  EQUALS("oom_score_adj", 4, put("/proc/self/oom_score_adj", "500\n"));
  SAYS("reads", "500", "%s", strtok((char *)slurp("/proc/self/oom_score_adj"), "\n"));
  SAYS("oom_adj", "8", "%s", strtok((char *)slurp("/proc/self/oom_adj"), "\n"));
  FAILS("too much", EINVAL, put("/proc/self/oom_score_adj", "1001"));
  FAILS("nonsense", EINVAL, put("/proc/self/oom_score_adj", "x"));
  EQUALS("oom_score_adj 0", 1, put("/proc/self/oom_score_adj", "0"));
  file_is("/proc/self/oom_score", "^[0-9]+$");
  SAYS("coredump_filter", "00000033", "%.8s", slurp("/proc/self/coredump_filter"));
  EQUALS("is written", 3, put("/proc/self/coredump_filter", "0x7"));
  SAYS("now", "00000007", "%.8s", slurp("/proc/self/coredump_filter"));
  SAYS("timerslack_ns", "50000", "%s", strtok((char *)slurp("/proc/self/timerslack_ns"), "\n"));
  EQUALS("is written", 5, put("/proc/self/timerslack_ns", "70000"));
  EQUALS("PR_GET_TIMERSLACK", 70000, prctl(PR_GET_TIMERSLACK));
  SAYS("personality", "00000000", "%.8s", slurp("/proc/self/personality"));
  file_is("/proc/self/limits", "^Max open files +[0-9]+ +[0-9]+ +files +$");
  file_is("/proc/self/limits", "^Limit                     Soft Limit           Hard Limit           Units     $");
  keys_of("/proc/self/io", "rchar: wchar: syscr: syscw: read_bytes: write_bytes: cancelled_write_bytes:");
  long before = number(slurp("/proc/self/io"), "rchar");
  char bytes[5000];
  int fd = open("/proc/self/exe", O_RDONLY);
  read(fd, bytes, 5000);
  close(fd);
  TRUE("what is read is counted", number(slurp("/proc/self/io"), "rchar") >= before + 5000);
  file_is("/proc/self/schedstat", "^[0-9]+ [0-9]+ [0-9]+$");
  file_is("/proc/self/uid_map", "^ +0 +0 4294967295$");
  file_is("/proc/self/setgroups", "^allow$");
  file_is("/proc/self/cgroup", "^[0-9]+:[^:]*:/");
  file_is("/proc/self/sessionid", "^[0-9]+$");
  file_is("/proc/self/mounts", "^[^ ]+ / [^ ]+ r[ow][^ ]* 0 0$");
  file_is("/proc/self/mountinfo", "^[0-9]+ [0-9]+ [0-9]+:[0-9]+ /[^ ]* / r[ow][^ ]* .*- [^ ]+ [^ ]+ r[ow]");
  file_is("/proc/self/mountstats", "^device [^ ]+ mounted on / with fstype ");
  const char *spaces[] = {"cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "user", "uts"};
  for (int i = 0; i < 8; i++) {
    char path[60], target[60], pattern[60];
    snprintf(path, sizeof path, "/proc/self/ns/%s", spaces[i]);
    int n = readlink(path, target, 59);
    target[n > 0 ? n : 0] = 0;
    snprintf(pattern, sizeof pattern, "^%s:\\[[0-9]+\\]$", i == 5 ? "pid" : spaces[i]);
    SAYS(path, "1", "%d", matches(target, pattern));
  }
}

/* How another user sees a process of root: what opens, what reads. */
static void others(void) {
  pid_t child = fork();
  if (child == 0) {
    pid_t parent = getppid();
    setgroups(0, NULL);
    setresgid(65534, 65534, 65534);
    setresuid(65534, 65534, 65534);
    const char *files[] = {"maps", "smaps", "smaps_rollup", "numa_maps", "pagemap", "mem", "environ", "auxv", "io", "syscall",
                           "personality", "stat", "status", "cmdline", "limits", "mounts", "mountinfo", "oom_score",
                           "cgroup", "schedstat", "wchan", "statm", "comm", "timerslack_ns"};
    char path[100], name[120], bytes[10];
    for (unsigned i = 0; i < sizeof files / sizeof *files; i++) {
      snprintf(path, sizeof path, "/proc/%d/%s", parent, files[i]);
      snprintf(name, sizeof name, "another user opens %s", files[i]);
      int fd = open(path, O_RDONLY);
      if (fd < 0) {
        SAYS(name, "EACCES", "%s", strerrorname_np(errno));
        continue;
      }
      int n = read(fd, bytes, 8);
      say(name, "and reads %s", n >= 0 ? "it" : strerrorname_np(errno));
      close(fd);
    }
    const char *links[] = {"exe", "cwd", "root", "ns/uts", "fd/0"};
    for (int i = 0; i < 5; i++) {
      snprintf(path, sizeof path, "/proc/%d/%s", parent, links[i]);
      snprintf(name, sizeof name, "another user follows %s", links[i]);
      FAILS(name, EACCES, readlink(path, bytes, 8) > 0 ? 0 : -1);
      snprintf(name, sizeof name, "another user opens %s", links[i]);
      FAILS(name, EACCES, open(path, O_RDONLY));
    }
    snprintf(path, sizeof path, "/proc/%d/fd", parent);
    FAILS("another user lists descriptors", EACCES, open(path, O_RDONLY));
    snprintf(path, sizeof path, "/proc/%d/ns", parent);
    FAILS("another user opens ns", EACCES, open(path, O_RDONLY) >= 0 ? 0 : -1);
    snprintf(path, sizeof path, "/proc/%d/comm", parent);
    FAILS("another user writes comm", EACCES, put(path, "x"));
    snprintf(path, sizeof path, "/proc/%d/oom_score_adj", parent);
    FAILS("another user writes oom_score_adj", EACCES, put(path, "1"));
    FAILS("less oom_score_adj than root has set", EACCES, put("/proc/self/oom_score_adj", "-5"));
    FAILS("more", EACCES, put("/proc/self/oom_score_adj", "7"));
    struct stat s;
    stat("/proc/self/environ", &s);
    TRUE("files of one that changed its user are root's", s.st_uid == 0 && s.st_gid == 0);
    prctl(PR_SET_DUMPABLE, 1);
    stat("/proc/self/environ", &s);
    TRUE("until it is dumpable", s.st_uid == 65534 && s.st_gid == 65534);
    _exit(0);
  }
  waitpid(child, NULL, 0);
}

static int uts_number(void) {
  char target[60] = "";
  readlink("/proc/self/ns/uts", target, 59);
  return strtoul(target + 5, NULL, 10);
}
static void namespaces(void) {
  int fd = open("/proc/self/ns/uts", O_RDONLY);
  TRUE("a namespace opens", fd >= 0);
  struct stat s;
  fstat(fd, &s);
  TRUE("its inode is its number", (unsigned)s.st_ino == (unsigned)uts_number());
  SAYS("its type", "100444", "%o", s.st_mode);
  EQUALS("NS_GET_NSTYPE", CLONE_NEWUTS, ioctl(fd, 0xb703));
  FAILS("write to it", EBADF, write(fd, "x", 1));
  pid_t child = fork();
  if (child == 0) {
    int before = uts_number();
    EQUALS("unshare", 0, unshare(CLONE_NEWUTS));
    TRUE("another one", uts_number() != before);
    sethostname("inner", 5);
    FAILS("setns of another type", EINVAL, setns(fd, CLONE_NEWIPC));
    EQUALS("setns", 0, setns(fd, CLONE_NEWUTS));
    TRUE("back", uts_number() == before);
    struct utsname uts;
    uname(&uts);
    TRUE("with its name", strcmp(uts.nodename, "inner") != 0);
    _exit(0);
  }
  waitpid(child, NULL, 0);
  char path[60];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  char target[60];
  int n = readlink(path, target, 59);
  target[n > 0 ? n : 0] = 0;
  TRUE("its link", matches(target, "^uts:\\[[0-9]+\\]$"));
  close(fd);
  struct stat t;
  stat("/proc/self/ns/uts", &s);
  stat("/proc/self/ns/user", &t);
  TRUE("all on one file system", s.st_dev == t.st_dev);
}

static void system_files(void) {
  file_is("/proc/loadavg", "^[0-9]+\\.[0-9]{2} [0-9]+\\.[0-9]{2} [0-9]+\\.[0-9]{2} [0-9]+/[0-9]+ [0-9]+$");
  file_is("/proc/uptime", "^[0-9]+\\.[0-9]{2} [0-9]+\\.[0-9]{2}$");
  file_is("/proc/version", "^Linux version [0-9]+\\.[0-9]+");
  file_is("/proc/stat", "^cpu  ([0-9]+ ){9}[0-9]+$");
  file_is("/proc/stat", "^cpu0 ([0-9]+ ){9}[0-9]+$");
  keys_of("/proc/stat", "cpu cpu0 intr ctxt btime processes procs_running procs_blocked softirq");
  keys_of("/proc/meminfo",
          "MemTotal: MemFree: MemAvailable: Buffers: Cached: SwapCached: Active: Inactive: Active(anon): Inactive(anon): "
          "Active(file): Inactive(file): Unevictable: Mlocked: SwapTotal: SwapFree: Dirty: Writeback: AnonPages: Mapped: "
          "Shmem: KReclaimable: Slab: SReclaimable: SUnreclaim: KernelStack: PageTables: CommitLimit: Committed_AS: "
          "VmallocTotal: VmallocUsed: VmallocChunk: HugePages_Total: HugePages_Free: HugePages_Rsvd: HugePages_Surp: "
          "Hugepagesize: Hugetlb:");
  file_is("/proc/meminfo", "^MemTotal: +[0-9]+ kB$");
  keys_of("/proc/vmstat", "nr_free_pages pgpgin pgpgout pswpin pswpout pgfault pgmajfault");
  file_is("/proc/cpuinfo", "^processor\t: 0$");
  file_is("/proc/filesystems", "^nodev\tproc$");
  file_is("/proc/filesystems", "^nodev\ttmpfs$");
  file_is("/proc/devices", "^Character devices:$");
  file_is("/proc/devices", "^  5 /dev/ptmx$");
  file_is("/proc/swaps", "^Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority$");
  file_is("/proc/partitions", "^major minor  #blocks  name$");
  file_is("/proc/interrupts", "^           CPU0       ");
  file_is("/proc/softirqs", "^                    CPU0       ");
  file_is("/proc/softirqs", "^       TIMER: +[0-9]+");
  file_is("/proc/cgroups", "^#subsys_name\thierarchy\tnum_cgroups\tenabled$");
  file_is("/proc/execdomains", "^0-0\tLinux           \t\\[kernel\\]$");
  file_is("/proc/pressure/cpu", "^some avg10=[0-9.]+ avg60=[0-9.]+ avg300=[0-9.]+ total=[0-9]+$");
  file_is("/proc/key-users", "^ +0: +[0-9]+ [0-9]+/[0-9]+ [0-9]+/[0-9]+ [0-9]+/[0-9]+$");
  file_is("/proc/buddyinfo", "^Node 0, zone +[A-Za-z0-9]+ +([0-9]+ +){11}$");
  file_is("/proc/tty/drivers", "^pty_slave +/dev/pts +136 0-1048575 pty:slave$");
  file_is("/proc/tty/ldiscs", "^n_tty +0$");
  file_is("/proc/sysvipc/shm",
          "^       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime "
          "     ctime                   rss                  swap$");
  file_is("/proc/sysvipc/sem", "^       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime$");
  file_is("/proc/net/unix", "^Num       RefCount Protocol Flags    Type St Inode Path$");
  file_is("/proc/net/tcp", "^  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode +$");
  file_is("/proc/net/dev", "^Inter-\\|   Receive                                                \\|  Transmit$");
  const char *present[] = {"cmdline", "consoles", "crypto",   "diskstats", "iomem",   "ioports",
                           "keys",    "kmsg",     "locks",    "misc",      "mounts",  "thread-self/stat",
                           "bus",     "driver",   "fs",       "irq",       "sys/fs",  "pressure/io",
                           "pressure/memory"};
  for (unsigned i = 0; i < sizeof present / sizeof *present; i++) {
    char path[60];
    snprintf(path, sizeof path, "/proc/%s", present[i]);
    SAYS(path, "there", "%s", access(path, F_OK) == 0 ? "there" : strerrorname_np(errno));
  }
  struct { const char *name, *pattern; } sysctls[] = {
      {"kernel/ostype", "^Linux$"},        {"kernel/pid_max", "^[0-9]+$"},     {"kernel/threads-max", "^[0-9]+$"},
      {"kernel/cap_last_cap", "^40$"},     {"kernel/ngroups_max", "^65536$"},  {"kernel/overflowuid", "^65534$"},
      {"kernel/msgmax", "^8192$"},         {"kernel/msgmnb", "^16384$"},       {"kernel/shmmni", "^4096$"},
      {"kernel/sem", "^32000\t1024000000\t500\t32000$"},                       {"kernel/shmall", "^18446744073692774399$"},
      {"kernel/printk", "^[0-9]+\t[0-9]+\t[0-9]+\t[0-9]+$"},                   {"kernel/tainted", "^[0-9]+$"},
      {"kernel/random/uuid", "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"},
      {"kernel/random/boot_id", "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}, {"kernel/pty/max", "^4096$"},
      {"kernel/pty/nr", "^[0-9]+$"},       {"fs/nr_open", "^[0-9]+$"},         {"fs/file-max", "^[0-9]+$"},
      {"fs/file-nr", "^[0-9]+\t0\t[0-9]+$"}, {"fs/pipe-max-size", "^1048576$"}, {"fs/inotify/max_user_watches", "^[0-9]+$"},
      {"fs/mqueue/msg_max", "^10$"},       {"fs/aio-max-nr", "^65536$"},       {"vm/overcommit_memory", "^[012]$"},
      {"vm/swappiness", "^[0-9]+$"},       {"vm/max_map_count", "^[0-9]+$"},   {"vm/mmap_min_addr", "^[0-9]+$"},
      {"net/core/somaxconn", "^[0-9]+$"},  {"net/core/rmem_max", "^[0-9]+$"},  {"net/unix/max_dgram_qlen", "^[0-9]+$"},
  };
  for (unsigned i = 0; i < sizeof sysctls / sizeof *sysctls; i++) {
    char path[80];
    snprintf(path, sizeof path, "/proc/sys/%s", sysctls[i].name);
    SAYS(path, "1", "%d", matches(slurp(path), sysctls[i].pattern));
  }
  struct utsname uts;
  uname(&uts);
  slurp("/proc/sys/kernel/osrelease");
  TRUE("osrelease is uname's", strncmp(text, uts.release, strlen(uts.release)) == 0);
  slurp("/proc/sys/kernel/hostname");
  TRUE("hostname is uname's", strncmp(text, uts.nodename, strlen(uts.nodename)) == 0);
}

static void sys(void) {
  struct { const char *path, *pattern; } files[] = {
      {"devices/system/cpu/online", "^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$"},
      {"devices/system/cpu/possible", "^[0-9]"},
      {"devices/system/cpu/present", "^[0-9]"},
      {"devices/system/cpu/kernel_max", "^[0-9]+$"},
      {"devices/system/cpu/cpu0/topology/core_id", "^[0-9]+$"},
      {"devices/system/cpu/cpu0/topology/physical_package_id", "^[0-9]+$"},
      {"devices/system/cpu/cpu0/topology/thread_siblings", "^[0-9a-f,]+$"},
      {"devices/system/cpu/cpu0/topology/core_siblings_list", "^[0-9]"},
      {"devices/system/node/online", "^0$"},
      {"devices/system/node/node0/cpulist", "^0"},
      {"devices/system/node/node0/cpumap", "^[0-9a-f,]+$"},
      {"devices/system/node/node0/distance", "^10$"},
      {"devices/system/node/node0/meminfo", "^Node 0 MemTotal: +[0-9]+ kB$"},
      {"devices/system/clocksource/clocksource0/current_clocksource", "^[a-z]"},
      {"kernel/mm/transparent_hugepage/enabled", "\\[(always|madvise|never)\\]"},
      {"kernel/mm/transparent_hugepage/hpage_pmd_size", "^2097152$"},
      {"kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "^0$"},
      {"kernel/fscaps", "^1$"},
      {"kernel/cpu_byteorder", "^little$"},
  };
  for (unsigned i = 0; i < sizeof files / sizeof *files; i++) {
    char path[120];
    snprintf(path, sizeof path, "/sys/%s", files[i].path);
    SAYS(path, "1", "%d", matches(slurp(path), files[i].pattern));
  }
  const char *directories[] = {"block", "bus", "class/net", "dev", "devices", "firmware", "fs/cgroup", "kernel", "module", "power"};
  for (unsigned i = 0; i < sizeof directories / sizeof *directories; i++) {
    char path[60];
    struct stat s;
    snprintf(path, sizeof path, "/sys/%s", directories[i]);
    SAYS(path, "1", "%d", stat(path, &s) == 0 && S_ISDIR(s.st_mode));
  }
}

static void *sleeper(void *argument) {
  sem_wait(argument);
  return NULL;
}
/* Link counts: what programs take for the number of threads, or of directories. proc_task_getattr(), proc_sys_make_inode(). */
static void links(void) {
  struct stat s;
  EQUALS("links of task with one thread", 3, stat("/proc/self/task", &s) ? -1 : (long)s.st_nlink);
  pthread_t list[3];
  sem_t end;
  sem_init(&end, 0, 0);
  for (int i = 0; i < 3; i++) pthread_create(&list[i], NULL, sleeper, &end);
  EQUALS("with four threads", 6, stat("/proc/self/task/", &s) ? -1 : (long)s.st_nlink);
  for (int i = 0; i < 3; i++) sem_post(&end);
  for (int i = 0; i < 3; i++) pthread_join(list[i], NULL);
  EQUALS("of /proc/sys", 1, stat("/proc/sys", &s) ? -1 : (long)s.st_nlink);
  EQUALS("of /proc/sys/kernel", 1, stat("/proc/sys/kernel", &s) ? -1 : (long)s.st_nlink);
  EQUALS("of /proc/self/fd", 2, stat("/proc/self/fd", &s) ? -1 : (long)s.st_nlink);
}

int main(int argc, char **argv) {
  (void)argc;
  links();
  stat_file();
  status_file();
  memory();
  descriptors();
  processes(argv);
  settings();
  others();
  namespaces();
  system_files();
  sys();
  return 0;
}

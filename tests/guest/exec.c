// execve: what a new program finds, scripts and their limits, threads that vanish, files that are busy, hostile ELF files.
#include "check.h"
#include <elf.h>
#include <stddef.h>
#include <sys/auxv.h>

static char self[4096];

/* Runs this program again in a child with `mode`; its exit code, or 1000 + signal. */
static int again(const char *mode) {
  pid_t pid = fork();
  if (pid == 0) { execl(self, "again", mode, NULL); _exit(110 + (errno == EAGAIN)); }
  return wait_code(pid);
}

static int make(const char *name, const char *text) {
  unlink(name);
  int fd = open(name, O_CREAT | O_WRONLY | O_TRUNC, 0755);
  if (fd < 0 || write(fd, text, strlen(text)) != (long)strlen(text)) return -1;
  return close(fd);
}

static int run(const char *path, char *const argv[]) {
  pid_t pid = fork();
  if (pid == 0) { execv(path, argv); _exit(errno == ENOEXEC ? 90 : errno == ELOOP ? 91 : errno == ENOENT ? 92 : errno == EACCES ? 93 : 94); }
  return wait_code(pid);
}

static void scripts(void) {
  char line[8192];
  char *argv[] = {"zero", "one", NULL};
  snprintf(line, sizeof line, "#!%s script-args   two words \nrest\n", self);
  make("s0", line);
  EQUALS("a script gets one argument, its own name and the caller's", 41, run("./s0", argv));
  for (int i = 1; i < 7; i++) {
    char name[8];
    snprintf(name, sizeof name, "s%d", i);
    snprintf(line, sizeof line, "#!./s%d\n", i - 1);
    make(name, line);
  }
  EQUALS("scripts of scripts, four deep", 71, run("./s3", argv));
  EQUALS("five deep", 81, run("./s4", argv));
  EQUALS("six deep", 91, run("./s5", argv));
  make("none", "#!/no/such/interpreter\n");
  EQUALS("a missing interpreter", 92, run("./none", argv));
  make("blank", "#!   \n");
  EQUALS("an empty interpreter", 90, run("./blank", argv));
  make("dirs", "#!/\n");
  EQUALS("a directory as interpreter", 93, run("./dirs", argv));
  memset(line, 'x', 300);
  memcpy(line, "#!/", 3);
  strcpy(line + 300, "\n");
  make("long", line);
  EQUALS("an interpreter's name that is cut off", 90, run("./long", argv));
  int fd = open("s0", O_RDONLY | O_CLOEXEC);
  pid_t pid = fork();
  if (pid == 0) { syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH); _exit(errno == ENOENT ? 92 : 94); }
  EQUALS("a script by a descriptor that closes", 92, wait_code(pid));
  close(fd);
  FAILS("execveat with bad flags", EINVAL, syscall(SYS_execveat, AT_FDCWD, "./s0", argv, environ, 0x10));
  symlink("s0", "link");
  FAILS("execveat of a symlink that is not followed", ELOOP, syscall(SYS_execveat, AT_FDCWD, "./link", argv, environ, AT_SYMLINK_NOFOLLOW));
  FAILS("execveat without AT_EMPTY_PATH", ENOENT, syscall(SYS_execveat, AT_FDCWD, "", argv, environ, 0));
  for (const char *name = "s0\0s1\0s2\0s3\0s4\0s5\0s6\0none\0blank\0dirs\0long\0link\0"; *name; name += strlen(name) + 1) unlink(name);
}

static void *sleeper(void *argument) { for (;;) pause(); return argument; }
static void *executes(void *argument) { execl(self, "again", (char *)argument, NULL); _exit(111); }

static void threads(void) {
  pid_t pid = fork();
  if (pid == 0) {
    pthread_t t;
    for (int i = 0; i < 4; i++) pthread_create(&t, NULL, sleeper, NULL);
    setenv("PID", "x", 1);
    char text[16];
    snprintf(text, sizeof text, "%d", getpid());
    setenv("PID", text, 1);
    execl(self, "again", "alone", NULL);
    _exit(111);
  }
  EQUALS("execve of a leader ends its threads", 5, wait_code(pid));
  pid = fork();
  if (pid == 0) {
    char text[16];
    snprintf(text, sizeof text, "%d", getpid());
    setenv("PID", text, 1);
    pthread_t t;
    pthread_create(&t, NULL, sleeper, NULL);
    pthread_create(&t, NULL, executes, "alone");
    for (;;) pause();
  }
  EQUALS("execve of another thread takes the leader's id", 5, wait_code(pid));
}

static void busy(void) {
  char command[9000];
  snprintf(command, sizeof command, "copy");
  int from = open(self, O_RDONLY), to = open("copy", O_CREAT | O_RDWR | O_TRUNC, 0755);
  char buffer[65536];
  for (long n; (n = read(from, buffer, sizeof buffer)) > 0;) if (write(to, buffer, n) != n) return;
  close(from);
  char *argv[] = {"copy", "exit", NULL};
  FAILS("execve of a file open for writing", ETXTBSY, execv("./copy", argv));
  close(to);
  EQUALS("execve once it is closed", 9, run("./copy", argv));
  int fds[2];
  if (pipe(fds)) return;
  pid_t pid = fork();
  if (pid == 0) { dup2(fds[0], 0); close(fds[1]); char *av[] = {"copy", "read", NULL}; execv("./copy", av); _exit(1); }
  close(fds[0]);
  for (int i = 0; i < 2000 && kill(pid, 0) == 0; i++) {
    char name[64], target[64];
    snprintf(name, sizeof name, "/proc/%d/comm", pid);
    int fd = open(name, O_RDONLY);
    long n = fd < 0 ? 0 : read(fd, target, sizeof target);
    close(fd);
    if (n >= 4 && !memcmp(target, "copy", 4)) break;
    usleep(1000);
  }
  WORKS("unlinking a program that runs", unlink("copy"));
  close(fds[1]);
  EQUALS("it runs on", 7, wait_code(pid));
}

/* A copy of this program with one field changed; how it ends. */
static int spoiled(long at, uint64_t value, int bytes, long length) {
  unlink("bad");
  int from = open(self, O_RDONLY), to = open("bad", O_CREAT | O_RDWR | O_TRUNC, 0755);
  char buffer[65536];
  for (long n; (n = read(from, buffer, sizeof buffer)) > 0;) if (write(to, buffer, n) != n) return -1;
  if (bytes && pwrite(to, &value, bytes, at) != bytes) return -1;
  if (length >= 0 && ftruncate(to, length)) return -1;
  close(from);
  close(to);
  char *argv[] = {"bad", "exit", NULL};
  int code = run("./bad", argv);
  unlink("bad");
  return code;
}

static void hostile(void) {
  EQUALS("the program as it is", 9, spoiled(0, 0, 0, -1));
  EQUALS("empty", 90, spoiled(0, 0, 0, 0));
  EQUALS("half a header", 90, spoiled(0, 0, 0, 30));
  EQUALS("no program headers", 90, spoiled(0, 0, 0, 64));
  EQUALS("another machine", 90, spoiled(offsetof(Elf64_Ehdr, e_machine), EM_AARCH64, 2, -1));
  EQUALS("an object file", 90, spoiled(offsetof(Elf64_Ehdr, e_type), ET_REL, 2, -1));
  EQUALS("a wrong header size", 90, spoiled(offsetof(Elf64_Ehdr, e_phentsize), 32, 2, -1));
  EQUALS("no headers at all", 90, spoiled(offsetof(Elf64_Ehdr, e_phnum), 0, 2, -1));
  EQUALS("headers far outside", 90, spoiled(offsetof(Elf64_Ehdr, e_phoff), 1UL << 62, 8, -1));
  EQUALS("a directory of headers past the end", 90, spoiled(offsetof(Elf64_Ehdr, e_phnum), 60000, 2, -1));
}

static char bss[3 << 20];

static int child(const char *mode, int argc, char **argv) {
  if (!strcmp(mode, "exit")) return 9;
  if (!strcmp(mode, "read")) { char c; return read(0, &c, 1) == 0 ? 7 : 8; }
  if (!strcmp(mode, "script-args   two words") || !strcmp(mode, "script-args"))
    return argc * 10 + (argc > 2 && strstr(argv[2], "s0") != NULL);
  if (!strcmp(mode, "alone")) {
    const char *pid = getenv("PID");
    if (!pid || atoi(pid) != getpid()) return 1;
    return syscall(SYS_gettid) == getpid() ? 5 : 2;
  }
  if (!strcmp(mode, "auxv")) {
    int bad = 0;
    bad |= getauxval(AT_PAGESZ) != 4096;
    bad |= (getauxval(AT_PHENT) != sizeof(Elf64_Phdr)) << 1;
    bad |= (getauxval(AT_PHDR) == 0 || ((Elf64_Phdr *)getauxval(AT_PHDR))->p_type == 0) << 2;
    bad |= (getauxval(AT_UID) != getuid() || getauxval(AT_EGID) != getegid()) << 3;
    bad |= (getauxval(AT_SECURE) != 0) << 4;
    bad |= (getauxval(AT_RANDOM) == 0) << 5;
    bad |= strcmp((char *)getauxval(AT_EXECFN), self) != 0 ? 1 << 6 : 0;
    return bad;
  }
  if (!strcmp(mode, "memory")) {
    for (size_t i = 0; i < sizeof bss; i++) if (bss[i]) return 1;
    if (argc == 0 || ((uintptr_t)&argc & 3)) return 2;
    char *heap = sbrk(0);
    if (sbrk(1 << 20) != heap) return 3;
    memset(heap, 1, 1 << 20);
    return 4;
  }
  if (!strcmp(mode, "state")) {
    struct sigaction action;
    sigset_t mask;
    stack_t stack;
    int code = 0;
    sigaction(SIGUSR1, NULL, &action);
    if (action.sa_handler != SIG_DFL) code |= 1;
    sigaction(SIGUSR2, NULL, &action);
    if (action.sa_handler != SIG_IGN) code |= 2;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    if (!sigismember(&mask, SIGHUP)) code |= 4;
    sigaltstack(NULL, &stack);
    if (!(stack.ss_flags & SS_DISABLE)) code |= 8;
    sigpending(&mask);
    if (!sigismember(&mask, SIGHUP)) code |= 16;
    char name[16];
    prctl(PR_GET_NAME, name);
    if (!strncmp(name, "renamed", 7)) code |= 32;
    int death = 0;
    prctl(PR_GET_PDEATHSIG, &death);
    if (death != SIGWINCH) code |= 64;
    return code;
  }
  return 100;
}

static void handler(int signal_number) { (void)signal_number; }

static void state(void) {
  EQUALS("the auxiliary vector", 0, again("auxv"));
  EQUALS("bss is zero, the heap grows", 4, again("memory"));
  pid_t pid = fork();
  if (pid == 0) {
    signal(SIGUSR1, handler);
    signal(SIGUSR2, SIG_IGN);
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGHUP);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    raise(SIGHUP);
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
    sigaltstack(&stack, NULL);
    prctl(PR_SET_NAME, "renamed");
    prctl(PR_SET_PDEATHSIG, SIGWINCH);
    execl(self, "again", "state", NULL);
    _exit(111);
  }
  EQUALS("handlers, mask, pending signals, name", 0, wait_code(pid));
  pid = vfork();
  if (pid == 0) { execl(self, "again", "exit", NULL); _exit(111); }
  EQUALS("vfork and execve", 9, wait_code(pid));
  char *none[] = {NULL};
  pid = fork();
  if (pid == 0) { execv(self, none); _exit(111); }
  EQUALS("an empty argument list", 33, wait_code(pid));
  int fd = syscall(SYS_memfd_create, "program", 0);
  int from = open(self, O_RDONLY);
  char buffer[65536];
  for (long n; (n = read(from, buffer, sizeof buffer)) > 0;) if (write(fd, buffer, n) != n) return;
  close(from);
  char *argv[] = {"memfd", "exit", NULL};
  pid = fork();
  /* Still open for writing: busy. Reopened read-only it runs. */
  if (pid == 0) {
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    int ro = open(name, O_RDONLY);
    close(fd);
    fexecve(ro, argv, environ);
    _exit(errno == ETXTBSY ? 96 : 97);
  }
  close(fd);
  EQUALS("a program in a memfd", 9, wait_code(pid));
}

int main(int argc, char **argv) {
  long n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n > 0) self[n] = 0;
  else realpath(argv[0], self);
  if (argc == 0 || (argc == 1 && argv[0][0] == 0)) return 33;
  if (argc > 1) return child(argv[1], argc, argv);
  state();
  scripts();
  threads();
  busy();
  hostile();
  return 0;
}

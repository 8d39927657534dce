// Guest programs that try to get out of systrap's stub process: host calls by every gate, jumps into the stub's own text,
// garbage in the shared slot, the stub's memory taken away. Each runs in a process of its own, so that only it is harmed;
// the test looks at what it printed, at the sandbox afterwards, and at the host.
//
// Guests are told apart from the host by the user id: here it is 0, and a stub's process on the host has another.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// Of native/src/slot.rs.
#define STUB_TEXT 0x7fe000000000ul
#define STUB_SYSCALL (STUB_TEXT + 0x20)
#define COMMON 0x7fe000100000ul
#define COMMON_BYTES 0x4000ul
#define ARENAS 0x7fe100000000ul
#define ARENA_BYTES (0x40000ul * 1024)
#define SLOT_BYTES 0x40000ul
#define DIRECT_READ_FD 4
#define DIRECT_WRITE_FD 5
#define DIRECT_WINDOWS 0x7fee00000000ul
#define DIRECT_WINDOW_BYTES 0x400000ul
// COMMANDS, COMMAND_BYTES and SIGNAL are given by the compiler's command line: they move.
// Where a host process has its own mappings, and no guest.
#define ATTRACTIVE ((void *)0x7fd000000000ul)

static sigjmp_buf back;
static volatile long result_of_stub;
static volatile int signal_of_stub;

static void on_signal(int signal, siginfo_t *info, void *context) {
  (void)info;
  result_of_stub = ((ucontext_t *)context)->uc_mcontext.gregs[REG_RAX];
  signal_of_stub = signal;
  siglongjmp(back, 1);
}

static void catch_signals(void) {
  static char stack[1 << 16];
  stack_t alternative = {.ss_sp = stack, .ss_size = sizeof stack};
  sigaltstack(&alternative, NULL);
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  int signals[] = {SIGSEGV, SIGILL, SIGBUS, SIGSYS, SIGTRAP, SIGFPE};
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, NULL);
}

// Jumps to the stub's syscall instruction with any registers; the ud2 behind it brings us back.
static long by_stub(long number, long a, long b, long c, long d, long e, long f) {
  signal_of_stub = 0;
  if (sigsetjmp(back, 1) == 0) {
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    register long target __asm__("r15") = STUB_SYSCALL;
    __asm__ volatile("jmp *%%r15" ::"a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9), "r"(target) : "memory");
    __builtin_unreachable();
  }
  return result_of_stub;
}

static unsigned long own_slot(void) {
  unsigned long base;
  __asm__ volatile("rdgsbase %0" : "=r"(base));
  return base;
}

static void report(const char *what, long result) {
  printf("  %s: %ld\n", what, result);
  fflush(stdout);
}

// --- gates -----------------------------------------------------------------------------------------------------------

static void int80(void) {
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(201L) : "memory", "r8", "r9", "r10", "r11");  // geteuid32
  report("geteuid", result);
}
static void sysenter(void) {
  catch_signals();
  if (sigsetjmp(back, 1) == 0) {
    __asm__ volatile("mov %%rsp, %%rbp; mov $201, %%eax; sysenter" ::: "rax", "memory");
    report("geteuid", 65534);
  }
  report("signal", signal_of_stub);
}
static void vsyscall(void) {
  long (*vtime)(long *) = (long (*)(long *))0xffffffffff600400ul;
  report("time", vtime(NULL) > 1000000000);
}
static void x32(void) {
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(0x40000000L | 107) : "rcx", "r11", "memory");
  report("geteuid", result);
}
static void far_numbers(void) {
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(0x10000000000006bL) : "rcx", "r11", "memory");
  report("geteuid", result);
}

// --- the stub's own syscall instruction -------------------------------------------------------------------------------

static void stub_calls(void) {
  catch_signals();
  report("geteuid", by_stub(SYS_geteuid, 0, 0, 0, 0, 0, 0));
  report("openat", by_stub(SYS_openat, AT_FDCWD, (long)"/proc/self/exe", O_RDONLY, 0, 0, 0) >= 0);
  report("socket", by_stub(SYS_socket, 16, 3, 0, 0, 0, 0) < 65536);
  report("execve", by_stub(SYS_execve, (long)"/no/such/file", 0, 0, 0, 0, 0));
  report("ptrace", by_stub(SYS_ptrace, 16, 1, 0, 0, 0, 0) < 0);
  char bytes[8];
  struct { void *at; size_t length; } local = {bytes, 8}, remote = {(void *)STUB_TEXT, 8};
  report("process_vm_readv", by_stub(SYS_process_vm_readv, 1, (long)&local, 1, (long)&remote, 1, 0) < 0);
  report("seccomp", by_stub(SYS_seccomp, 99, 0, 0, 0, 0, 0) < 0);
  report("reads a descriptor", by_stub(SYS_pread64, 0, (long)bytes, 8, 0, 0, 0) < 0);
}
static void stub_arguments(void) {
  catch_signals();
  report("clone with other flags", by_stub(SYS_clone, CLONE_NEWUSER | CLONE_FILES, 0, 0, 0, 0, 0) < 0);
  report("huge pages", by_stub(SYS_mmap, 0, 1 << 21, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0) < 0);
  report("merged pages", by_stub(SYS_madvise, (long)&back & ~4095, 4096, MADV_MERGEABLE, 0, 0, 0) <= 0);
  report("no death with the parent", by_stub(SYS_prctl, 1, 0, 0, 0, 0, 0) <= 0);
  report("the doorbell mapped", by_stub(SYS_mmap, 0, 4096, 3, MAP_SHARED, 1, 0) < 0);
  report("the common page writable", by_stub(SYS_mprotect, COMMON, COMMON_BYTES, 3, 0, 0, 0) < 0);
}
// Files that are read and written much: what stands in the stub for them is good for nothing else, and goes with the file.
static int touches(char *at, int isWrite) {
  if (sigsetjmp(back, 1) != 0) return 0;
  if (isWrite) *(volatile char *)at = 1;
  else (void)*(volatile char *)at;
  return 1;
}
static void direct_descriptors(void) {
  catch_signals();
  static char bytes[65536];
  int fd = open("/proc/self/exe", O_RDONLY);
  for (int i = 0; i < 32; i++) pread(fd, bytes, sizeof bytes, 0);
  report("written", by_stub(SYS_pwrite64, DIRECT_READ_FD, (long)bytes, 8, 0, 0, 0) < 0);
  report("written as the other", by_stub(SYS_pwrite64, DIRECT_WRITE_FD, (long)bytes, 8, 0, 0, 0) < 0);
  report("read as the other", by_stub(SYS_pread64, DIRECT_WRITE_FD, (long)bytes, 8, 0, 0, 0) < 0);
  report("mapped", by_stub(SYS_mmap, 0, 4096, 1, MAP_SHARED, DIRECT_READ_FD, 0) < 0);
  report("moved", by_stub(SYS_dup2, DIRECT_READ_FD, 2, 0, 0, 0, 0) < 0);
  report("moved away", by_stub(SYS_dup2, DIRECT_READ_FD, 9, 0, 0, 0, 0) < 0);
  report("still read", pread(fd, bytes, sizeof bytes, 0) > 8192);
  close(fd);
  report("read after it was closed", by_stub(SYS_pread64, DIRECT_READ_FD, (long)bytes, 8, 0, 0, 0) < 0);
}
static void direct_windows(void) {
  catch_signals();
  static char bytes[65536];
  int fd = open("/dev/shm/attack", O_RDWR | O_CREAT, 0600);
  write(fd, bytes, sizeof bytes);
  int reader = open("/dev/shm/attack", O_RDONLY);
  for (int i = 0; i < 32; i++) pread(reader, bytes, sizeof bytes, 0);
  by_stub(SYS_mprotect, DIRECT_WINDOWS, 4096, 3, 0, 0, 0);
  touches((char *)DIRECT_WINDOWS, 1);
  bytes[0] = 99;
  pread(fd, bytes, 1, 0);
  report("what is read only stays as it was", bytes[0] == 0);
  for (int i = 0; i < 32; i++) pwrite(fd, bytes, sizeof bytes, 0);
  pid_t child = fork();
  if (child == 0) _exit(touches((char *)DIRECT_WINDOWS, 0) + touches((char *)DIRECT_WINDOWS + DIRECT_WINDOW_BYTES, 0));
  int status = -1;
  waitpid(child, &status, 0);
  report("not there in a child", WIFEXITED(status) && WEXITSTATUS(status) == 0);
  close(reader);
  close(fd);
  report("not there after closing", !touches((char *)DIRECT_WINDOWS, 0) && !touches((char *)DIRECT_WINDOWS + DIRECT_WINDOW_BYTES, 0));
  unlink("/dev/shm/attack");
}
// A file that the guest may only read, while another writes to it: a mapping of it is read only for the host too.
static void read_only_mapping(const char *path) {
  int writer = open(path, O_RDWR | O_CREAT, 0644);
  ftruncate(writer, 4096);
  report("written by its owner", pwrite(writer, "owner", 5, 0) == 5);
  pid_t child = fork();
  if (child == 0) {
    catch_signals();
    close(writer);
    setresgid(1000, 1000, 1000);
    setresuid(1000, 1000, 1000);
    int fd = open(path, O_RDONLY);
    char *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    report("opened for writing", open(path, O_RDWR) == -1);
    report("mapped for reading", map != MAP_FAILED && memcmp(map, "owner", 5) == 0);
    by_stub(SYS_mprotect, (long)map, 4096, 3, 0, 0, 0);
    if (sigsetjmp(back, 1) == 0) memcpy(map, "enemy", 5);
    _exit(0);
  }
  waitpid(child, NULL, 0);
  char now[5];
  report("is what its owner wrote", pread(writer, now, 5, 0) == 5 && memcmp(now, "owner", 5) == 0);
}
static void common_page(void) {
  catch_signals();
  by_stub(SYS_mprotect, COMMON, COMMON_BYTES, 3, 0, 0, 0);
  if (sigsetjmp(back, 1) == 0) {
    memset((char *)COMMON + 0x2000, 0xff, 0x2000);
    report("written", 1);
  }
}
static void doorbell(void) {
  catch_signals();
  // Where the calls are the guest's all the same (ptrace) they are writes to stdout.
  dup2(open("/dev/null", O_WRONLY), 1);
  unsigned long most = 0xfffffffffffffffeul;
  for (int i = 0; i < 3000; i++) by_stub(SYS_write, 1, (long)&most, 8, 0, 0, 0);
}
static void descriptors(void) {
  catch_signals();
  by_stub(SYS_close, 0, 0, 0, 0, 0, 0);
  by_stub(SYS_close, 1, 0, 0, 0, 0, 0);
  mmap(NULL, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int fd = open("/proc/self/exe", O_RDONLY);
  report("map", mmap(NULL, 4096, 1, MAP_PRIVATE, fd, 0) == MAP_FAILED);
}
static void rogue_processes(void) {
  catch_signals();
  // The host asks the sentry, which has not commanded it: the first try is the end of the process that makes it.
  // Where the call is the guest's all the same (ptrace), its children come here.
  for (int i = 0; i < 20; i++) {
    if (by_stub(SYS_clone, CLONE_PARENT | CLONE_CHILD_CLEARTID, 0, 0, (long)&result_of_stub, 0, 0) == 0) _exit(0);
  }
}

// --- the slot ---------------------------------------------------------------------------------------------------------

static void slot_garbage(unsigned seed) {
  uint32_t *slot = (uint32_t *)own_slot();
  for (unsigned i = 0; i < 0x460 / 4; i++) {
    seed = seed * 1664525 + 1013904223;
    // All of it, or single words; never our own return address in there, as there is none.
    if (seed >> 29 != 0) slot[i] = seed >> 24 & 1 ? seed : seed >> 28;
  }
  syscall(SYS_getpid);
  syscall(SYS_open, "/etc/passwd", O_RDONLY);
  mmap(NULL, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
static unsigned slot_seed;
static void slot_words(void) { slot_garbage(slot_seed); }
static void slot_whole(void) {
  memset((void *)own_slot(), 0x5a, SLOT_BYTES);
  syscall(SYS_getpid);
}
static void *scribble(void *at) {
  uint32_t seed = 7;
  for (;;) {
    seed = seed * 1664525 + 1013904223;
    ((volatile uint32_t *)at)[seed >> 8 & 0x7f] = seed >> 24;
  }
  return NULL;
}
static void slot_raced(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, scribble, (void *)own_slot());
  for (int i = 0; i < 2000; i++) {
    syscall(SYS_getpid);
    void *at = mmap(NULL, 8192, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at != MAP_FAILED) munmap(at, 8192);
  }
}
// The results of commands, as the sentry reads them, are of another thread's making.
static volatile long forged_result;
static void *forge_results(void *slot) {
  for (;;) {
    for (int i = 0; i < 6; i++) *(volatile long *)((char *)slot + COMMANDS + i * COMMAND_BYTES + 8) = forged_result;
  }
  return NULL;
}
static void forged_children(void) {
  unsigned long slot = own_slot();
  if (slot == 0) return;  // ptrace knows no slots
  static const long others[] = {-1, 0, 1, 0xffffffff, 0x100000001, 1l << 40, 1l << 53, (long)0x8000000000000000ul, -0x70000000l};
  pthread_t thread;
  forged_result = 2;
  pthread_create(&thread, NULL, forge_results, (void *)slot);
  for (int i = 0; i < 120; i++) {
    forged_result = i < 9 ? others[i] : i - 7;
    pid_t child = fork();
    // What it writes comes from its own memory, if from any.
    if (child == 0) _exit(write(open("/dev/null", O_WRONLY), ATTRACTIVE, 100000) & 0);
    for (int n = 0; n < 20 && child > 0 && waitpid(child, NULL, WNOHANG) == 0; n++) usleep(500);
    if (child > 0) kill(child, SIGKILL);
  }
}
static void forged_threads(void) {
  unsigned long slot = own_slot();
  if (slot == 0) return;
  static const long others[] = {-1, 0, 1, 0xffffffff, 0x100000001, 1l << 40, 1l << 53, (long)0x8000000000000000ul, -0x70000000l};
  pthread_t forger, thread;
  forged_result = 2;
  pthread_create(&forger, NULL, forge_results, (void *)slot);
  for (int i = 0; i < 60; i++) {
    forged_result = i < 9 ? others[i] : i;
    if (pthread_create(&thread, NULL, (void *(*)(void *))pause, NULL) == 0) pthread_kill(thread, SIGURG);
  }
}
static volatile uint32_t forged_signal;
static void *forge_signal(void *slot) {
  for (;;) *(volatile uint32_t *)((char *)slot + SIGNAL) = forged_signal;
  return NULL;
}
static void forged_faults(void) {
  unsigned long slot = own_slot();
  if (slot == 0) return;
  static const uint32_t signals[] = {0, 9, 19, 33, 64, 65, 255, 1u << 31, 0xffffffff};
  catch_signals();
  pthread_t thread;
  pthread_create(&thread, NULL, forge_signal, (void *)slot);
  for (int i = 0; i < 900; i++) {
    forged_signal = signals[i % 9];
    if (sigsetjmp(back, 1) == 0) *(volatile int *)8 = 1;
  }
}
static void false_event(void) {
  // Claims to stand in a call and runs on for ever.
  volatile uint32_t *slot = (volatile uint32_t *)own_slot();
  slot[2] = 1;
  slot[0] = 1;
  for (;;) __asm__ volatile("pause");
}

// --- the stub's memory ------------------------------------------------------------------------------------------------

static void own_calls_on_stub(void) {
  unsigned long places[] = {STUB_TEXT, COMMON, ARENAS, own_slot()};
  char *page = mmap(NULL, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (unsigned i = 0; i < sizeof places / sizeof *places; i++) {
    void *at = (void *)places[i];
    if (at == NULL) continue;  // ptrace knows no slots
    report("mmap", mmap(at, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED);
    report("munmap", munmap(at, 4096) == -1);
    report("mprotect", mprotect(at, 4096, 7) == -1);
    report("mremap", mremap(page, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, at) == MAP_FAILED);
    report("mremap from", mremap(at, 4096, 8192, MREMAP_MAYMOVE) == MAP_FAILED);
  }
  report("munmap of all", munmap((void *)0x10000, 0x7ffffffe0000ul) == -1);
}
static void no_memory_is_code(void) {
  // Nothing beside the program's own is writable and executable: return 42, at each page that can be written.
  static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3};
  catch_signals();
  int written = 0;
  unsigned long slot = own_slot(), places[] = {STUB_TEXT + 0xf000, COMMON + 0x3000, 0x7fe00027f000ul, 0x60000, slot == 0 ? 0 : slot + 0x28000};
  for (unsigned i = 0; i < sizeof places / sizeof *places; i++) {
    if (places[i] == 0 || sigsetjmp(back, 1) != 0) continue;
    memcpy((void *)places[i], code, sizeof code);
    written++;
    if (((int (*)(void))places[i])() == 42) report("code that was written", 0);
  }
  report("memory of the stub can be written on systrap alone", written <= (slot != 0));
}
static void text_gone(void) {
  catch_signals();
  by_stub(SYS_munmap, STUB_TEXT, 0x10000, 0, 0, 0, 0);
}
static void text_replaced(void) {
  catch_signals();
  by_stub(SYS_mprotect, STUB_TEXT, 0x10000, 7, 0, 0, 0);
  // mov eax, 107; syscall; mov edi, eax; a write of our own cannot be made any more: end with the user id as status.
  static const unsigned char code[] = {0xb8, 0x6b, 0, 0, 0, 0x0f, 0x05, 0x89, 0xc7, 0xb8, 0x3c, 0, 0, 0, 0x0f, 0x05};
  memcpy((void *)(STUB_TEXT + 0x8000), code, sizeof code);
  __asm__ volatile("jmp *%0" ::"r"(STUB_TEXT + 0x8000));
}
static void slot_gone(void) {
  catch_signals();
  by_stub(SYS_munmap, own_slot(), SLOT_BYTES, 0, 0, 0, 0);
  syscall(SYS_getpid);
}
static void slot_replaced(void) {
  catch_signals();
  by_stub(SYS_mmap, own_slot(), SLOT_BYTES, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  syscall(SYS_getpid);
}
static void no_gs(void) {
  __asm__ volatile("wrgsbase %0" ::"r"(0x1234000ul));
  syscall(SYS_getpid);
}
static void no_stack(void) {
  __asm__ volatile("xor %%esp, %%esp; mov $39, %%eax; syscall; mov $60, %%eax; xor %%edi, %%edi; syscall" ::: "memory");
}

static const struct {
  const char *name;
  void (*run)(void);
} ATTACKS[] = {
    {"int80", int80},
    {"sysenter", sysenter},
    {"vsyscall", vsyscall},
    {"x32", x32},
    {"far_numbers", far_numbers},
    {"stub_calls", stub_calls},
    {"stub_arguments", stub_arguments},
    {"direct_descriptors", direct_descriptors},
    {"direct_windows", direct_windows},
    {"common_page", common_page},
    {"doorbell", doorbell},
    {"descriptors", descriptors},
    {"rogue_processes", rogue_processes},
    {"slot_whole", slot_whole},
    {"slot_raced", slot_raced},
    {"forged_children", forged_children},
    {"forged_threads", forged_threads},
    {"forged_faults", forged_faults},
    {"false_event", false_event},
    {"own_calls_on_stub", own_calls_on_stub},
    {"no_memory_is_code", no_memory_is_code},
    {"text_gone", text_gone},
    {"text_replaced", text_replaced},
    {"slot_gone", slot_gone},
    {"slot_replaced", slot_replaced},
    {"no_gs", no_gs},
    {"no_stack", no_stack},
};

// The rest of the sandbox works: calls, memory, files, another program.
static int is_well(void) {
  pid_t child = fork();
  if (child == 0) execl("/bin/sh", "sh", "-c", "test \"$(id -u)\" = 0 && read line </etc/passwd", NULL);
  int status = -1;
  return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static void attempt(const char *name, void (*run)(void)) {
  printf("%s\n", name);
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    run();
    _exit(0);
  }
  int status = -1;
  struct timespec pause = {0, 10000000};
  for (int i = 0; i < 500 && waitpid(child, &status, WNOHANG) == 0; i++) {
    nanosleep(&pause, NULL);
    if (i == 100) kill(child, SIGKILL);
  }
  printf("  ended: %s\n", status == -1 ? "no" : "yes");
  if (WIFEXITED(status) && WEXITSTATUS(status) == (65534 & 255)) printf("  ESCAPED\n");
  printf("  well: %d\n", is_well());
  fflush(stdout);
}

int main(int argc, char **argv) {
  if (argc > 2 && strcmp(argv[1], "read_only") == 0) {
    for (int i = 2; i < argc; i++) read_only_mapping(argv[i]);
    return puts("done"), 0;
  }
  if (argc > 2 && strcmp(argv[1], "slot") == 0) {
    int count = argc > 3 ? atoi(argv[3]) : 1;
    for (int i = 0; i < count; i++) {
      slot_seed = (unsigned)(atoi(argv[2]) + i);
      attempt("slot_words", slot_words);
    }
    printf("done\n");
    return 0;
  }
  for (unsigned i = 0; i < sizeof ATTACKS / sizeof *ATTACKS; i++) {
    if (argc > 1 && strcmp(argv[1], ATTACKS[i].name) != 0) continue;
    attempt(ATTACKS[i].name, ATTACKS[i].run);
  }
  printf("done\n");
  return 0;
}

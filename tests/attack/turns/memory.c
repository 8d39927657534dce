// Calls on memory: many pages, many areas.
#include "turns.h"
#include <linux/mempolicy.h>

/** On ptrace each costs a millisecond to make. */
enum { AREAS = 2000 };

static void mincore_(void) { check(syscall(SYS_mincore, reserve(32 * GIB), 32 * GIB, reserve(8 * MIB)) == 0, "mincore"); }
static void mlock_(void) {
  char *at = reserve(GIB / 2);
  check(mlock(at, GIB / 2) == 0, "mlock");
  check(munlock(at, GIB / 2) == 0, "munlock");
}
static void mlockall_(void) {
  reserve(GIB / 2);
  check(mlockall(MCL_CURRENT) == 0, "mlockall");
  check(munlockall() == 0, "munlockall");
}
static void populate(void) {
  char *at = mmap(0, GIB / 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  check(at != MAP_FAILED, "mmap");
  begin();
  check(munmap(at, GIB / 2) == 0, "munmap");
}
static void map_locked(void) {
  check(mlockall(MCL_FUTURE) == 0, "mlockall");
  check(mmap(0, GIB / 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED, "mmap");
}
static void madvise_(void) {
  char *at = reserve(GIB / 2);
  check(madvise(at, GIB / 2, MADV_POPULATE_WRITE) == 0, "madvise");
  check(madvise(at, GIB / 2, MADV_DONTNEED) == 0, "madvise");
}
static void madvise_areas(void) {
  char *at = many_areas(AREAS);
  begin();
  for (int i = 0; i < 10; i++) check(madvise(at, AREAS * 8192ul, i & 1 ? MADV_DOFORK : MADV_DONTFORK) == 0, "madvise");
}
static void brk_(void) {
  char *from = sbrk(0);
  check(sbrk(GIB / 2) == from, "brk");
  memset(from, 1, GIB / 2);
  begin();
  check(sbrk(-(long)(GIB / 2)) != (void *)-1, "brk");
}
static void mprotect_(void) {
  char *at = many_areas(AREAS);
  begin();
  check(mprotect(at, AREAS * 8192ul, PROT_READ) == 0, "mprotect");
}
static void munmap_areas(void) {
  char *at = many_areas(AREAS);
  begin();
  check(munmap(at, AREAS * 8192ul) == 0, "munmap");
}
static void mremap_(void) {
  char *at = reserve(GIB / 2);
  memset(at, 1, GIB / 2);
  begin();
  for (int i = 0; i < 4; i++) {
    at = mremap(at, GIB / 2, GIB / 2, MREMAP_MAYMOVE | MREMAP_FIXED, (char *)0x300000000000 + i * GIB);
    check(at != MAP_FAILED, "mremap");
  }
}
static void map_fixed(void) {
  char *at = reserve(GIB / 2);
  memset(at, 1, GIB / 2);
  begin();
  check(mmap(at, GIB / 2, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == at, "mmap");
  end();
  for (size_t i = 0; i < GIB / 2; i += MIB) check(at[i] == 0, "what was there before");
}
/* What is mapped at the target goes, and so does what is beyond the new length. */
static void mremap_over(void) {
  char *target = reserve(GIB / 2), *at = reserve(GIB);
  memset(target, 1, GIB / 2), memset(at, 2, GIB);
  begin();
  check(mremap(at, GIB, GIB / 2, MREMAP_MAYMOVE | MREMAP_FIXED, target) == target, "mremap");
  check(mremap(target, GIB / 2, 4096, 0) == target, "mremap");
  end();
  check(*target == 2, "what was moved");
}
static void msync_(void) {
  char *at = mmap(0, GIB / 2, PROT_READ | PROT_WRITE, MAP_SHARED, filled(GIB / 2), 0);
  memset(at, 1, GIB / 2);
  begin();
  check(msync(at, GIB / 2, MS_SYNC) == 0, "msync");
}
static void policies(void) {
  unsigned long node = 1;
  char *at = many_areas(AREAS);
  begin();
  for (int i = 0; i < 20; i++) {
    check(syscall(SYS_mbind, at, AREAS * 8192ul, i & 1 ? MPOL_BIND : MPOL_DEFAULT, i & 1 ? &node : 0, i & 1 ? 64 : 0, 0) == 0, "mbind");
  }
}
static void move_pages_(void) {
  enum { COUNT = 50000 };
  void **pages = calloc(COUNT, sizeof *pages);
  int *status = calloc(COUNT, sizeof *status);
  char *at = reserve(COUNT * 4096ul);
  for (long i = 0; i < COUNT; i++) pages[i] = at + i * 4096;
  begin();
  check(syscall(SYS_move_pages, 0, (unsigned long)COUNT, pages, 0, status, 0) == 0, "move_pages");
}
static void process_vm(void) {
  char *bytes = reserve(256 * MIB);
  struct iovec to = {bytes, 128 * MIB}, from = {bytes + 128 * MIB, 128 * MIB};
  check(process_vm_readv(getpid(), &to, 1, &from, 1, 0) == 128 * MIB, "process_vm_readv");
  check(process_vm_writev(getpid(), &to, 1, &from, 1, 0) == 128 * MIB, "process_vm_writev");
}
static void process_vm_pieces(void) {
  static struct iovec to[1024], from[1024];
  char *bytes = reserve(16 * MIB);
  for (int i = 0; i < 1024; i++) {
    to[i] = (struct iovec){bytes + i * 4096, 1 + i % 7};
    from[i] = (struct iovec){bytes + 8 * MIB + i * 4096, 7 - i % 7};
  }
  for (int i = 0; i < 10; i++) process_vm_readv(getpid(), to, 1024, from, 1024, 0);
}
static void smaps(void) {
  many_areas(AREAS);
  begin();
  read_all("/proc/self/smaps");
}
static void maps(void) {
  many_areas(AREAS);
  begin();
  for (int i = 0; i < 3; i++) read_all("/proc/self/maps");
  for (int i = 0; i < 20; i++) read_all("/proc/self/status");
}
static void fork_areas(void) {
  many_areas(AREAS);
  begin();
  for (int i = 0; i < 3; i++) {
    pid_t child = fork();
    if (child == 0) _exit(0);
    check(waitpid(child, 0, 0) == child, "fork");
  }
}
static void exec_areas(void) {
  int ready[2];
  pipe(ready);
  pid_t child = fork();
  if (child == 0) {
    many_areas(AREAS);
    mmap(0, GIB / 4, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    write(ready[1], "", 1);
    execl("/bin/true", "true", NULL);
    _exit(1);
  }
  char byte;
  read(ready[0], &byte, 1);
  begin();
  waitpid(child, 0, 0);
}
/** mseal(2) is newer than the C library. */
static void mseal_(void) {
  char *at = many_areas(AREAS);
  begin();
  check(syscall(462, at, AREAS * 8192ul, 0) == 0, "mseal");
}
static void remap_file_pages_(void) {
  char *at = mmap(0, GIB / 2, PROT_READ | PROT_WRITE, MAP_SHARED, filled(GIB / 2), 0);
  check(at != MAP_FAILED, "mmap");
  memset(at, 1, GIB / 2);
  begin();
  check(syscall(SYS_remap_file_pages, at, GIB / 2 - 4096, 0, 1, 0) == 0, "remap_file_pages");
}

const struct turns_case memory_cases[] = {
  {"mincore", "mincore", mincore_},
  {"mlock", "mlock mlock2 munlock", mlock_},
  {"mlockall", "mlockall munlockall", mlockall_},
  {"populate", "mmap munmap", populate},
  {"map_locked", "mmap mlockall", map_locked},
  {"madvise", "madvise", madvise_},
  {"madvise_areas", "madvise", madvise_areas},
  {"brk", "brk", brk_},
  {"mprotect", "mprotect pkey_mprotect", mprotect_},
  {"munmap_areas", "munmap", munmap_areas},
  {"mremap", "mremap", mremap_},
  {"map_fixed", "mmap", map_fixed},
  {"mremap_over", "mremap", mremap_over},
  {"msync", "msync", msync_},
  {"policies", "mbind", policies},
  {"move_pages", "move_pages migrate_pages", move_pages_},
  {"process_vm", "process_vm_readv process_vm_writev", process_vm},
  {"process_vm_pieces", "process_vm_readv process_vm_writev", process_vm_pieces},
  {"smaps", "read pread64", smaps},
  {"maps", "read", maps},
  {"fork_areas", "fork vfork clone clone3", fork_areas},
  {"exec_areas", "execve execveat", exec_areas},
  {"mseal", "mseal", mseal_},
  {"remap_file_pages", "remap_file_pages", remap_file_pages_},
  {0},
};

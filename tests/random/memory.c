// Mappings in one arena: private and shared, of files and of none, moved, cut, protected, touched.
#define ARENA ((char *)0x30000000)
#define ARENA_PAGES 24
#define PAGE 4096l
static sigjmp_buf memory_back;
static int memory_file;
static volatile int memory_signal;
static void on_memory_fault(int number, siginfo_t *info, void *context) {
  memory_signal = number * 1000 + info->si_code;
  siglongjmp(memory_back, 1);
}
static void make_memory(void) {
  struct sigaction action = {.sa_sigaction = on_memory_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
  memory_file = open("mapped", O_CREAT | O_RDWR, 0600);
  for (int i = 0; i < 6; i++) { char page[PAGE]; memset(page, 'a' + i, PAGE); write(memory_file, page, PAGE); }
  mmap(ARENA, ARENA_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}
static int touch(char *at, int write) {
  memory_signal = 0;
  if (sigsetjmp(memory_back, 1) != 0) return -memory_signal;
  if (write) *(volatile char *)at = 'w';
  return *(volatile unsigned char *)at;
}
static long arena_address(void *p) { return p == MAP_FAILED ? -1 : ((char *)p - ARENA) / PAGE; }
static void one_mapping(void) {
  long page = below(ARENA_PAGES), pages = 1 + below(one_in(4) ? 8 : 3), to = below(ARENA_PAGES);
  if (page + pages > ARENA_PAGES) pages = ARENA_PAGES - page;
  char *at = ARENA + page * PAGE + (one_in(30) ? 5 : 0);
  int prot = ((int[]){PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ, PROT_NONE, PROT_READ | PROT_EXEC})[below(5)];
  errno = 0;
  switch (below(20)) {
    case 0: case 1: begin("mmap anonymous(%ld, %ld, %d)", page, pages, prot); answer(arena_address(mmap(at, pages * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0))); break;
    case 2: begin("mmap shared anonymous(%ld, %ld, %d)", page, pages, prot); answer(arena_address(mmap(at, pages * PAGE, prot, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0))); break;
    case 3: case 4: { long offset = below(8); int flags = one_in(2) ? MAP_SHARED : MAP_PRIVATE; begin("mmap file(%ld, %ld, %d, %x, %ld)", page, pages, prot, flags, offset); answer(arena_address(mmap(at, pages * PAGE, prot, flags | MAP_FIXED, memory_file, offset * PAGE))); break; }
    case 5: begin("mmap noreplace(%ld, %ld)", page, pages); answer(arena_address(mmap(at, pages * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0))); break;
    case 6: begin("munmap(%ld, %ld)", page, pages); answer(munmap(at, pages * PAGE)); break;
    case 7: case 8: begin("mprotect(%ld, %ld, %d)", page, pages, prot); answer(mprotect(at, pages * PAGE, prot)); break;
    case 9: { long more = pages + below(4) - 1; if (more == 0) more = 1; begin("mremap in place(%ld, %ld, %ld)", page, pages, more); answer(arena_address(mremap(at, pages * PAGE, more * PAGE, 0))); break; }
    case 10: case 11: {
      /* Several mappings move at once since Linux 6.17, and what is refused leaves the target alone. */
      long more = pages == 1 ? 1 + below(3) : pages + 1 + below(2);
      if (to + more > ARENA_PAGES) to = ARENA_PAGES - more;
      int flags = MREMAP_MAYMOVE | MREMAP_FIXED | (one_in(4) ? MREMAP_DONTUNMAP : 0);
      begin("mremap(%ld, %ld, %ld, %d, %ld)", page, pages, more, flags, to);
      answer(arena_address(mremap(at, pages * PAGE, more * PAGE, flags, ARENA + to * PAGE)));
      break;
    }
    case 12: {
      int advice = ((int[]){MADV_DONTNEED, MADV_DONTNEED, MADV_REMOVE, MADV_WILLNEED, MADV_DONTFORK, MADV_DOFORK, MADV_WIPEONFORK, MADV_KEEPONFORK, 22, 23, 99})[below(11)];
      begin("madvise(%ld, %ld, %d)", page, pages, advice);
      answer(madvise(at, pages * PAGE, advice));
      break;
    }
    case 13: { int flags = ((int[]){MS_SYNC, MS_ASYNC, MS_INVALIDATE, MS_SYNC | MS_ASYNC, MS_SYNC | MS_INVALIDATE})[below(5)]; begin("msync(%ld, %ld, %d)", page, pages, flags); answer(msync(at, pages * PAGE, flags)); break; }
    case 14: { long size = below(9) * PAGE + (one_in(2) ? below(4096) : 0); begin("ftruncate(%ld)", size); answer(ftruncate(memory_file, size)); break; }
    case 15: { long place = below(8 * 4096); begin("pwrite(%ld)", place); answer(pwrite(memory_file, "file", 4, place)); break; }
    case 16: { begin("read into(%ld)", page); answer(pread(memory_file, at, pages * PAGE, below(3) * 4096)); break; }
    case 17: {
      begin("fork that writes(%ld)", page);
      pid_t child = fork();
      if (child == 0) _exit(touch(at, 1) & 0x7f);
      int status = 0;
      waitpid(child, &status, 0);
      answer(status);
      break;
    }
    default: { int write = one_in(2); begin("%s(%ld)", write ? "store" : "load", page); answer(touch(at, write)); }
  }
  end();
}
static void finish_memory(void) {
  /* What each page is, whatever the mappings are cut into. */
  FILE *maps = fopen("/proc/self/maps", "r");
  char text[600], kinds[ARENA_PAGES][40] = {{0}};
  while (fgets(text, sizeof text, maps)) {
    unsigned long from, until, offset;
    char rights[8];
    sscanf(text, "%lx-%lx %7s %lx", &from, &until, rights, &offset);
    for (unsigned long p = from; p < until; p += PAGE) {
      long index = ((char *)p - ARENA) / PAGE;
      if ((char *)p < ARENA || index >= ARENA_PAGES) continue;
      snprintf(kinds[index], 40, "%s %s %lx", rights, strstr(text, "/mapped") ? "file" : "-", strstr(text, "/mapped") ? offset + p - from : 0);
    }
  }
  fclose(maps);
  for (int i = 0; i < ARENA_PAGES; i++) {
    begin("page %d %s", i, kinds[i][0] ? kinds[i] : "none");
    int first = touch(ARENA + i * PAGE, 0);
    add(" %d", first);
    if (first >= 0) add(" %08x", sum_of(ARENA + i * PAGE, PAGE));
    end();
  }
}
const struct family MEMORY = {"memory", 120, make_memory, one_mapping, finish_memory};

// What execve(2) makes of program files whose headers lie: each field of a small static program's headers, and of a dynamic
// one's, takes every odd value once.
#include "check.h"
#include <elf.h>
#include <stddef.h>

static char path[64];
static uint8_t file[1 << 20];
static long length;

/* What happens when the file is run: an errno, an exit status or a signal. */
static const char *outcome(void) {
  static char text[32];
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755);
  if (fd < 0 || write(fd, file, length) != length) return "no file";
  close(fd);
  int ends[2], error = 0, status = -1;
  pipe2(ends, O_CLOEXEC);
  pid_t child = vfork();
  if (child == 0) {
    char *arguments[] = {"program", NULL}, *environment[] = {NULL};
    execve(path, arguments, environment);
    error = errno;
    write(ends[1], &error, sizeof error);
    _exit(99);
  }
  close(ends[1]);
  read(ends[0], &error, sizeof error);
  close(ends[0]);
  for (int i = 0; i < 3000 && waitpid(child, &status, WNOHANG) == 0; i++) {
    usleep(1000);
    if (i == 1000) kill(child, SIGKILL);
  }
  if (error != 0) snprintf(text, sizeof text, "%s", strerrorname_np(error));
  else if (WIFEXITED(status)) snprintf(text, sizeof text, "exit %d", WEXITSTATUS(status));
  else snprintf(text, sizeof text, "signal %d", WTERMSIG(status));
  return text;
}

static const uint64_t VALUES[] = {
    0, 1, 2, 3, 7, 0x38, 0x40, 0xfff, 0x1000, 0x1001, 0x2000, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff,
    0x100000000, 0x7ffffffff000, 0x800000000000, 0x7fffffffffffffff, 0x8000000000000000, -0x1000, -1,
};

static void vary(const char *name, long at, int size) {
  uint64_t before = 0, last = -2;
  memcpy(&before, file + at, size);
  uint64_t mask = size == 8 ? -1 : (1ul << size * 8) - 1;
  for (unsigned i = 0; i < sizeof VALUES / sizeof *VALUES + 2; i++) {
    uint64_t value = (i == 0 ? before + 1 : i == 1 ? before - 1 : VALUES[i - 2]) & mask;
    if (value == before || value == last || (i > 1 && (VALUES[i - 2] & mask) != VALUES[i - 2] && VALUES[i - 2] != -1)) continue;
    last = value;
    memcpy(file + at, &value, size);
    char line[96];
    snprintf(line, sizeof line, "%s = %lx", name, value);
    say(line, "%s", outcome());
    memcpy(file + at, &before, size);
  }
}

#define HEADER(kind, field) vary(kind " " #field, offsetof(Elf64_Ehdr, field), sizeof ((Elf64_Ehdr *)0)->field)
#define PROGRAM(n, field)                                                        \
  do {                                                                           \
    snprintf(name, sizeof name, "%s %d " #field, kind, n);                       \
    vary(name, table + (n) * sizeof(Elf64_Phdr) + offsetof(Elf64_Phdr, field),   \
         sizeof ((Elf64_Phdr *)0)->field);                                       \
  } while (0)

static void headers(const char *kind) {
  char name[64];
  for (int i = 0; i < EI_NIDENT; i++) {
    snprintf(name, sizeof name, "%s ident %d", kind, i);
    vary(name, i, 1);
  }
  long table = ((Elf64_Ehdr *)file)->e_phoff;
  int count = ((Elf64_Ehdr *)file)->e_phnum;
  if (strcmp(kind, "static") == 0) {
    HEADER("static", e_type);
    HEADER("static", e_machine);
    HEADER("static", e_version);
    HEADER("static", e_entry);
    HEADER("static", e_phoff);
    HEADER("static", e_flags);
    HEADER("static", e_ehsize);
    HEADER("static", e_phentsize);
    HEADER("static", e_phnum);
    HEADER("static", e_shoff);
    HEADER("static", e_shnum);
    HEADER("static", e_shstrndx);
  } else {
    HEADER("dynamic", e_machine);
    HEADER("dynamic", e_entry);
    HEADER("dynamic", e_phoff);
    HEADER("dynamic", e_phentsize);
    HEADER("dynamic", e_phnum);
  }
  for (int n = 0; n < count; n++) {
    Elf64_Phdr *program = (Elf64_Phdr *)(file + table) + n;
    int is_looked_at = program->p_type == PT_LOAD || program->p_type == PT_INTERP || program->p_type == PT_GNU_STACK ||
                       program->p_type == PT_PHDR || program->p_type == PT_GNU_PROPERTY;
    if (!is_looked_at) continue;
    PROGRAM(n, p_type);
    PROGRAM(n, p_flags);
    PROGRAM(n, p_offset);
    PROGRAM(n, p_vaddr);
    PROGRAM(n, p_paddr);
    PROGRAM(n, p_filesz);
    PROGRAM(n, p_memsz);
    PROGRAM(n, p_align);
  }
  long whole = length;
  for (length = 0; length < 0x400 && length < whole; length += 8) {
    snprintf(name, sizeof name, "%s cut to %ld", kind, length);
    say(name, "%s", outcome());
  }
  length = whole;
}

/* Code that ends with status 42, data that it writes to, a stack header. */
static void make_static(void) {
  memset(file, 0, 0x3000);
  Elf64_Ehdr *header = (Elf64_Ehdr *)file;
  memcpy(header->e_ident, "\177ELF\2\1\1", 7);
  header->e_type = ET_EXEC;
  header->e_machine = EM_X86_64;
  header->e_version = 1;
  header->e_entry = 0x401000;
  header->e_phoff = sizeof *header;
  header->e_ehsize = sizeof *header;
  header->e_phentsize = sizeof(Elf64_Phdr);
  header->e_phnum = 3;
  Elf64_Phdr *program = (Elf64_Phdr *)(file + header->e_phoff);
  program[0] = (Elf64_Phdr){PT_LOAD, PF_R | PF_X, 0x1000, 0x401000, 0x401000, 0x40, 0x40, 0x1000};
  program[1] = (Elf64_Phdr){PT_LOAD, PF_R | PF_W, 0x2000, 0x403000, 0x403000, 0x10, 0x2000, 0x1000};
  program[2] = (Elf64_Phdr){PT_GNU_STACK, PF_R | PF_W, 0, 0, 0, 0, 0, 16};
  /* incb 0x404800; mov $60,%eax; mov 0x403000,%edi; syscall */
  static const uint8_t code[] = {0xfe, 0x04, 0x25, 0x00, 0x48, 0x40, 0x00, 0xb8, 60, 0, 0, 0,
                                 0x8b, 0x3c, 0x25, 0x00, 0x30, 0x40, 0x00, 0x0f, 0x05};
  memcpy(file + 0x1000, code, sizeof code);
  file[0x2000] = 42;
  length = 0x3000;
}

int main(void) {
  snprintf(path, sizeof path, "/tmp/elf.%d", getpid());
  make_static();
  SAYS("static", "exit 42", "%s", outcome());
  headers("static");
  int fd = open("/bin/true", O_RDONLY);
  length = read(fd, file, sizeof file);
  close(fd);
  SAYS("dynamic", "exit 0", "%s", outcome());
  headers("dynamic");
  unlink(path);
  return 0;
}

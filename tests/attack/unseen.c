// Guest programs that take behind the kernel's back, by the stub's own `syscall` instruction:
//   unseen memory MIB      maps that much and has all of it
//   unseen processes N     makes that many processes, which stay
// They print what they got, if they live to.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

// Of native/src/slot.rs.
#define STUB_TEXT 0x7fe000000000ul

// A `syscall` in the stub's text whose next instructions lead back to us: host calls of which the sentry hears nothing.
unsigned long gadget;
long by_gadget(long number, long a, long b, long c, long d, long e, long f);
__asm__(".globl by_gadget\nby_gadget:\n"
        " push %r12\n mov %rdi,%rax\n mov %rsi,%rdi\n mov %rdx,%rsi\n mov %rcx,%rdx\n mov %r8,%r10\n mov %r9,%r8\n"
        " mov 16(%rsp),%r9\n lea 1f(%rip),%rcx\n push %rcx\n push $0\n jmp *gadget(%rip)\n1: pop %r12\n ret\n");

static int findGadget(void) {
  const unsigned char *text = (const void *)STUB_TEXT;
  const unsigned char code[] = {0x0f, 0x05, 0x41, 0x5c, 0xc3};  // syscall; pop %r12; ret
  for (int at = 0; at < 0x3000; at++) {
    if (memcmp(text + at, code, sizeof code) == 0) return gadget = STUB_TEXT + at, 1;
  }
  return 0;
}

int main(int count, char **words) {
  if (count != 3 || !findGadget()) return 2;
  long amount = atol(words[2]);
  if (strcmp(words[1], "memory") == 0) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE;
    long at = by_gadget(SYS_mmap, 0, amount << 20, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (at > -4096 && at < 0) return printf("mmap: %s\n", strerror(-at)), 1;
    for (long page = 0; page < amount << 20; page += 4096) *(volatile char *)(at + page) = 1;
    printf("has %ld MiB\n", amount);
    return 0;
  }
  long made = 0;
  for (; made < amount; made++) {
    long child = by_gadget(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);
    if (child < 0) break;
    if (child == 0)
      for (;;) by_gadget(SYS_futex, (long)&gadget, 128 /* FUTEX_WAIT_PRIVATE */, (long)(int)gadget, 0, 0, 0);
  }
  printf("has %ld processes\n", made);
  return 0;
}

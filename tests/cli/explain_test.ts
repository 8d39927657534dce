// --explain: one line about why a program has died, on both platforms.

import { deepEqual, match } from "node:assert/strict";
import { command, PLATFORMS, tsvisor } from "../support/tsvisor.ts";

const SOURCE = `
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char **argv) {
  switch (argv[1][0]) {
  case 'n': *(volatile int *)0x10 = 1;
  case 'p': *(volatile int *)mmap((void *)0x10000000, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) = 1;
  case 'd': { volatile int zero = 0; return 7777 / zero; }
  case 'a': abort();
  case 'k': return raise(SIGTERM);
  case 'u': syscall(498); return 3;
  case 'e': return 4;
  case 'f': {
    struct rlimit limit = {1, 1};
    setrlimit(RLIMIT_FSIZE, &limit);
    int fd = memfd_create("x", 0);
    return write(fd, "ab", 2) + write(fd, "ab", 2);
  }
  }
  return 0;
}
`;
const AT = String.raw` \(instruction at 0x[0-9a-f]+\)`;
const KILLED = String.raw`why \(process 1\) was killed by`;
/** What it is told to do, the exit code, and the line. */
const ROWS: readonly (readonly [string, number, string])[] = [
  ["n", 139, `${KILLED} SIGSEGV: no memory is mapped at 0x10${AT}`],
  ["p", 139, `${KILLED} SIGSEGV: the memory at 0x10000000 does not allow this access${AT}`],
  ["d", 136, `${KILLED} SIGFPE: a division by zero${AT}`],
  ["a", 134, `${KILLED} SIGABRT: it gave up by abort\\(3\\); what it has printed says why`],
  ["k", 143, `${KILLED} SIGTERM: a process has sent it`],
  ["f", 153, `${KILLED} SIGXFSZ: a file would have grown beyond its limit \\(RLIMIT_FSIZE\\)`],
  ["u", 3, "Exit code 3; calls that are not supported were made: number 498"],
];

for (const platform of PLATFORMS) {
  Deno.test(`--explain says why a program has died on ${platform}`, async () => {
    const directory = Deno.makeTempDirSync({ prefix: "tsvisor-explain-" });
    try {
      const program = `${directory}/why`;
      Deno.chmodSync(directory, 0o755);
      Deno.writeTextFileSync(`${program}.c`, SOURCE);
      const built = await command(["gcc", "-O1", "-w", "-o", program, `${program}.c`]);
      deepEqual([built.code, built.stderr], [0, ""]);
      const flags = [`--platform=${platform}`, "--explain", "do", "--"];
      for (const [what, code, line] of ROWS) {
        const ended = await tsvisor([...flags, program, what]);
        deepEqual([ended.code, ended.stdout], [code, ""], ended.stderr);
        match(ended.stderr, new RegExp(`^tsvisor: ${line}\n$`), what);
      }
      // A shell hands on what its child has died of, and a plain failure needs no explanation.
      const script = `${program} n; code=$?; ${program} e; exit $code`;
      const shell = await tsvisor([...flags, "/bin/sh", "-c", script]);
      deepEqual(shell.code, 139);
      match(
        shell.stderr,
        /tsvisor: Exit code 139: why \(process \d+\) was killed by SIGSEGV: no memory is mapped at 0x10 /,
      );
      deepEqual((await tsvisor([...flags, program, "e"])).stderr, "");
      deepEqual((await tsvisor(["do", "--", program, "n"])).stderr, "");
    } finally {
      Deno.removeSync(directory, { recursive: true });
    }
  });
}

// --strace of a program whose calls are known: each line as strace(1) has it, on both platforms.

import { deepEqual } from "node:assert/strict";
import { command, PLATFORMS, tsvisor } from "../support/tsvisor.ts";

const SOURCE = `
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static void handle(int signal) {}
int main(void) {
  /* By syscall(2) alone, so that no libc decides what is called. */
  syscall(SYS_getpriority, 77, 0);
  int fd = syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC, 0);
  syscall(SYS_openat, AT_FDCWD, "/no \\"such\\"/file", O_WRONLY | O_CREAT | O_EXCL, 0640);
  syscall(SYS_openat, 99, (char *)8, O_RDONLY, 0);
  syscall(SYS_write, fd, "hello", 5);
  syscall(SYS_read, 900, 0, 5);
  syscall(SYS_lseek, fd, -3l, SEEK_CUR);
  syscall(SYS_nanosleep, &(struct timespec){0, 20000000}, 0);
  syscall(499);
  struct sigaction action = {.sa_handler = handle};
  sigaction(SIGALRM, &action, 0);
  syscall(SYS_alarm, 1);
  syscall(SYS_pause);
  syscall(SYS_exit_group, 3);
}
`;
const CALLS = [
  "getpriority",
  "openat",
  "write",
  "read",
  "lseek",
  "nanosleep",
  "alarm",
  "pause",
  "exit_group",
];
const EXPECTED = `
getpriority(77, 0) = -1 EINVAL
openat(AT_FDCWD, "/dev/null", O_RDWR|O_CLOEXEC, 000) = 3
openat(AT_FDCWD, "/no \\"such\\"/file", O_WRONLY|O_CREAT|O_EXCL, 0640) = -1 ENOENT
openat(99, 0x8, 0, 000) = -1 EFAULT
write(3, POINTER, 5) = 5
read(900, 0x0, 5) = -1 EBADF
lseek(3, -3, SEEK_CUR) = 0
nanosleep(POINTER, 0x0) <unfinished ...>
<... nanosleep resumed> = 0
alarm(1) = 0
pause() <unfinished ...>
<... pause resumed> = ? ERESTARTNOHAND
exit_group(3) = ?
`;

/** Lines of the program, without the task and with pointers that differ by run left out. */
function lines(log: string): string[] {
  return log.split("\n").filter((line) => line.includes("] calls ")).map((line) =>
    line.replace(/^.*?\] calls /, "").replaceAll(/0x[0-9a-f]{6,}/g, "POINTER")
  );
}

for (const platform of PLATFORMS) {
  Deno.test(`--strace shows a program's calls on ${platform}`, async () => {
    const directory = Deno.makeTempDirSync({ prefix: "tsvisor-strace-" });
    try {
      const log = `${directory}/log`, program = `${directory}/calls`;
      Deno.chmodSync(directory, 0o755);
      Deno.writeTextFileSync(`${program}.c`, SOURCE);
      const built = await command(["gcc", "-O1", "-w", "-static", "-o", program, `${program}.c`]);
      deepEqual([built.code, built.stderr], [0, ""]);
      const flags = [
        `--platform=${platform}`,
        `--debug-log=${log}`,
        "--strace",
        `--strace-syscalls=${CALLS}`,
      ];
      const { code } = await tsvisor([...flags, "do", "--", program]);
      deepEqual(code, 3);
      const shown = lines(Deno.readTextFileSync(log));
      deepEqual(shown.join("\n"), EXPECTED.trim());
    } finally {
      Deno.removeSync(directory, { recursive: true });
    }
  });
}

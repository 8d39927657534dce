// --strace of a program whose calls are known: each line as strace(1) has it, on both platforms.

import { deepEqual, match } from "node:assert/strict";
import { command, PLATFORMS, tsvisor } from "../support/tsvisor.ts";

const SOURCE = `
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
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
  syscall(SYS_access, "/etc/passwd", R_OK | W_OK);
  syscall(SYS_fcntl, fd, F_GETFD, 0);
  syscall(SYS_write, fd, "hello\\n\\1", 8);
  syscall(SYS_read, 900, 0, 5);
  char head[4];
  syscall(SYS_pread64, open("/proc/self/exe", O_RDONLY), head, 4, 0);
  struct stat facts;
  syscall(SYS_newfstatat, AT_FDCWD, "/dev/null", &facts, 0);
  int ends[2];
  syscall(SYS_pipe2, ends, O_CLOEXEC);
  syscall(SYS_lseek, fd, -3l, SEEK_CUR);
  syscall(SYS_nanosleep, &(struct timespec){0, 20000000}, 0);
  syscall(499);
  struct sigaction action = {.sa_handler = handle};
  sigaction(SIGALRM, &action, 0);
  syscall(SYS_alarm, 1);
  syscall(SYS_pause);
  syscall(SYS_kill, getpid(), SIGSEGV);
}
`;
const CALLS = [
  "getpriority",
  "openat",
  "access",
  "fcntl",
  "write",
  "read",
  "pread64",
  "newfstatat",
  "pipe2",
  "lseek",
  "nanosleep",
  "alarm",
  "pause",
  "kill",
];
const EXPECTED = `
getpriority(77, 0) = -1 EINVAL (Invalid argument)
openat(AT_FDCWD, "/dev/null", O_RDWR|O_CLOEXEC) = 3
openat(AT_FDCWD, "/no \\"such\\"/file", O_WRONLY|O_CREAT|O_EXCL, 0640) = -1 ENOENT (No such file or directory)
openat(99, 0x8, O_RDONLY) = -1 EFAULT (Bad address)
access("/etc/passwd", R_OK|W_OK) = 0
fcntl(3, F_GETFD, NULL) = 1
write(3, "hello\\n\\1\\0", 8) = 8
read(900, NULL, 5) = -1 EBADF (Bad file descriptor)
openat(AT_FDCWD, "/proc/self/exe", O_RDONLY) = 4
pread64(4, "\\177ELF", 4, 0) = 4
newfstatat(AT_FDCWD, "/dev/null", {st_mode=S_IFCHR|0666, st_rdev=makedev(0x1, 0x3), ...}, 0) = 0
pipe2([5, 6], O_CLOEXEC) = 0
lseek(3, -3, SEEK_CUR) = 0
nanosleep({tv_sec=0, tv_nsec=20000000}, NULL) = 0
alarm(1) = 0
pause() = ? ERESTARTNOHAND (To be restarted if no handler)
--- SIGALRM {si_signo=SIGALRM, si_code=SI_KERNEL} ---
kill(1, SIGSEGV) = 0
--- SIGSEGV {si_signo=SIGSEGV, si_code=SI_USER, si_pid=1, si_uid=0} ---
+++ killed by SIGSEGV +++
`;

/** Lines of the program, without times and the task. A call that has waited is one line: whether one of files does is chance. */
function lines(log: string): string[] {
  const shown = log.split("\n").filter((line) => line.includes("] calls ")).map((line) =>
    line.replace(/^[\d:.]+ \[1\] calls /, "").replace(/ <\d+\.\d{6}>$/, "")
  );
  return shown.join("\n").replaceAll(/ <unfinished \.\.\.>\n<\.\.\. \w+ resumed>/g, "").split("\n");
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
      deepEqual(code, 128 + 11);
      const text = Deno.readTextFileSync(log);
      deepEqual(lines(text).join("\n"), EXPECTED.trim());
      // Whoever looks while a call waits sees it.
      match(text, /pause\( <unfinished \.\.\.>\n.*<\.\.\. pause resumed>\) = \? ERESTARTNOHAND/);
    } finally {
      Deno.removeSync(directory, { recursive: true });
    }
  });
}

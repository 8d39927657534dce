// What x86-64 is called, in the tables and files that name architectures.

/** Which of a call's numbers counts (SyscallSpec.nr). */
export const CALL_NUMBERS = "x64";
/** uname(2), AT_PLATFORM. */
export const MACHINE_NAME = "x86_64";
/** Its name in error messages. */
export const PROGRAMS_NAME = "x86-64 ELF program";
/** EM_X86_64: e_machine of programs. */
export const ELF_MACHINE = 62;
/** AUDIT_ARCH_X86_64, for seccomp filters. */
export const AUDIT_ARCHITECTURE = 0xc000_003e;

// What the kernel calls itself in uname(2) and /proc/version.

/** A release that current distributions' C libraries accept, with our name behind it. */
export const KERNEL_RELEASE = "6.12.0-tsvisor";
export const KERNEL_VERSION = "#1 SMP PREEMPT_DYNAMIC tsvisor";
export const KERNEL_SYSNAME = "Linux";

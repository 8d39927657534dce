// Clock and timer constants: clock_gettime(2), timer_create(2), timerfd_create(2), setitimer(2).

// clocks
export const CLOCK_REALTIME = 0;
export const CLOCK_MONOTONIC = 1;
export const CLOCK_PROCESS_CPUTIME_ID = 2;
export const CLOCK_THREAD_CPUTIME_ID = 3;
export const CLOCK_MONOTONIC_RAW = 4;
export const CLOCK_REALTIME_COARSE = 5;
export const CLOCK_MONOTONIC_COARSE = 6;
export const CLOCK_BOOTTIME = 7;
export const CLOCK_REALTIME_ALARM = 8;
export const CLOCK_BOOTTIME_ALARM = 9;
export const CLOCK_TAI = 11;

// timers
export const TFD_TIMER_ABSTIME = 0x1;
export const TIMER_ABSTIME = 0x1;
export const TFD_TIMER_CANCEL_ON_SET = 0x2;
export const TFD_NONBLOCK = 0x800;
export const TFD_CLOEXEC = 0x80000;

// utimensat(2)
export const UTIME_OMIT = 0x3ffffffe;
export const UTIME_NOW = 0x3fffffff;

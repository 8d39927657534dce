// Signal numbers, sigaction(2) flags and siginfo codes (x86-64).

// signal(7)
export const SIGHUP = 1;
export const SIGINT = 2;
export const SIGQUIT = 3;
export const SIGILL = 4;
export const SIGTRAP = 5;
export const SIGABRT = 6;
export const SIGBUS = 7;
export const SIGFPE = 8;
export const SIGKILL = 9;
export const SIGUSR1 = 10;
export const SIGSEGV = 11;
export const SIGUSR2 = 12;
export const SIGPIPE = 13;
export const SIGALRM = 14;
export const SIGTERM = 15;
export const SIGSTKFLT = 16;
export const SIGCHLD = 17;
export const SIGCONT = 18;
export const SIGSTOP = 19;
export const SIGTSTP = 20;
export const SIGTTIN = 21;
export const SIGTTOU = 22;
export const SIGURG = 23;
export const SIGXCPU = 24;
export const SIGXFSZ = 25;
export const SIGVTALRM = 26;
export const SIGPROF = 27;
export const SIGWINCH = 28;
export const SIGIO = 29;
export const SIGPWR = 30;
export const SIGSYS = 31;

// sigaction(2) flags
export const SA_NOCLDSTOP = 0x1;
export const SA_NOCLDWAIT = 0x2;
export const SA_SIGINFO = 0x4;
export const SA_ONSTACK = 0x8000000;
export const SA_RESTART = 0x10000000;
export const SA_NODEFER = 0x40000000;
export const SA_RESETHAND = 0x80000000;

// sigprocmask(2)
export const SIG_BLOCK = 0;
export const SIG_UNBLOCK = 1;
export const SIG_SETMASK = 2;

// sigaltstack(2)
export const SS_ONSTACK = 1;
export const SS_DISABLE = 2;
export const MINSIGSTKSZ = 13504;
export const SIGSTKSZ = 13504;

// siginfo_t si_code
export const SI_TKILL = -6;
export const SI_SIGIO = -5;
export const SI_MESGQ = -3;
export const SI_TIMER = -2;
export const SI_QUEUE = -1;
export const SI_USER = 0;
export const CLD_EXITED = 1;
export const POLL_IN = 1;
export const CLD_KILLED = 2;
export const SEGV_ACCERR = 2;
export const CLD_DUMPED = 3;
export const SEGV_BNDERR = 3;
export const BUS_MCEERR_AR = 4;
export const SEGV_PKUERR = 4;
export const BUS_MCEERR_AO = 5;
export const CLD_STOPPED = 5;
export const CLD_CONTINUED = 6;
export const POLL_HUP = 6;
export const SI_KERNEL = 128;

// signalfd(2)
export const SFD_NONBLOCK = 0o4000;
export const SFD_CLOEXEC = 0o2000000;

// sigevent(7)
export const SIGEV_SIGNAL = 0;
export const SIGEV_NONE = 1;
export const SIGEV_THREAD = 2;
export const SIGEV_THREAD_ID = 4;

// Missing from the headers as plain numbers.
export const SIG_DFL = 0;
export const SIG_IGN = 1;
export const SIGRTMIN = 32;
export const SIGRTMAX = 64;
export const SA_RESTORER = 0x04000000;
export const SYS_SECCOMP = 1;

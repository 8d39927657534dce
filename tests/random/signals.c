// Signals, masks, handlers and what is pending; timers, event and signal descriptors that are read without waiting.
static const int SIGNALS_DRAWN[] = {SIGUSR1, SIGUSR2, SIGCHLD, SIGWINCH, SIGURG, 40, 41, 42};
static char handled[2000];
static int handled_length;
static timer_t timers[4];
static int timer_count;
static void on_signal(int number, siginfo_t *info, void *context) {
  if (handled_length < 1900) handled_length += sprintf(handled + handled_length, " <%d %d %d", number, info->si_code, info->si_code == SI_QUEUE ? info->si_value.sival_int : 0);
  /* A call in it, as handlers make. */
  sigset_t set;
  sigprocmask(SIG_BLOCK, NULL, &set);
  for (int i = 0; i < COUNT(SIGNALS_DRAWN); i++) if (sigismember(&set, SIGNALS_DRAWN[i])) handled_length += sprintf(handled + handled_length, ".%d", SIGNALS_DRAWN[i]);
  handled_length += sprintf(handled + handled_length, ">");
}
static void simple(int number) { on_signal(number, &(siginfo_t){0}, NULL); }
static void draw_set(sigset_t *set) {
  sigemptyset(set);
  for (int i = 0; i < COUNT(SIGNALS_DRAWN); i++) if (one_in(3)) sigaddset(set, SIGNALS_DRAWN[i]);
}
static void show_set(const sigset_t *set) {
  add(" {");
  for (int i = 1; i < 65; i++) if (sigismember(set, i) == 1) add("%d ", i);
  add("}");
}
static char alternate[65536];
static void make_signals(void) {
  for (int i = 0; i < COUNT(SIGNALS_DRAWN); i++) {
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    sigaction(SIGNALS_DRAWN[i], &action, NULL);
  }
}
static void one_signal(void) {
  int number = ANY(SIGNALS_DRAWN), fd = one_in(20) ? 90 : 3 + below(5);
  sigset_t set, old;
  siginfo_t info;
  struct timespec none = {0, 0};
  uint64_t value = one_in(6) ? ~0ull - below(3) : below(5);
  draw_set(&set);
  errno = 0;
  handled_length = 0;
  switch (below(24)) {
    case 0: case 1: case 2: { int how = one_in(20) ? 9 : below(3); begin("sigprocmask(%d)", how); show_set(&set); if (answer(sigprocmask(how, &set, &old)) == 0) show_set(&old); break; }
    case 3: case 4: begin("kill(%d)", number); answer(kill(getpid(), number)); break;
    case 5: begin("tgkill(%d)", number); answer(syscall(SYS_tgkill, getpid(), getpid(), number)); break;
    case 6: case 7: { int v = below(100); begin("sigqueue(%d, %d)", number, v); answer(sigqueue(getpid(), number, (union sigval){.sival_int = v})); break; }
    case 8: begin("sigpending"); if (answer(sigpending(&old)) == 0) show_set(&old); break;
    case 9: case 10: begin("sigtimedwait"); show_set(&set); if (answer(sigtimedwait(&set, &info, &none)) > 0) add(" %d %d", info.si_code, info.si_code == SI_QUEUE ? info.si_value.sival_int : 0); break;
    case 11: case 12: {
      struct sigaction action = {.sa_flags = SA_SIGINFO}, before;
      int kind = below(4);
      if (kind == 0) action.sa_handler = SIG_IGN, action.sa_flags = 0;
      else if (kind == 1) action.sa_handler = simple, action.sa_flags = 0;
      else action.sa_sigaction = on_signal;
      if (kind == 3) action.sa_flags |= (one_in(2) ? SA_NODEFER : 0) | (one_in(2) ? SA_RESETHAND : 0) | (one_in(2) ? SA_ONSTACK : 0) | (one_in(2) ? SA_RESTART : 0);
      /* A reset handler must not leave what ends the process. */
      if (number != SIGCHLD && number != SIGWINCH && number != SIGURG) action.sa_flags &= ~SA_RESETHAND;
      draw_set(&action.sa_mask);
      begin("sigaction(%d, kind %d, %x)", number, kind, action.sa_flags);
      if (answer(sigaction(number, &action, &before)) == 0) add(" %s %x", before.sa_handler == SIG_IGN ? "ign" : before.sa_handler == SIG_DFL ? "dfl" : "handler", before.sa_flags & ~0x04000000);
      break;
    }
    case 13: { int flags = one_in(5) ? 0x80 : SFD_NONBLOCK, on = one_in(2) ? -1 : fd; begin("signalfd(%d, %x)", on, flags); show_set(&set); if (on == -1 && fcntl(7, F_GETFD) >= 0) on = 90; answer(signalfd(on, &set, flags)); break; }
    case 14: case 15: {
      struct signalfd_siginfo got[3];
      int count = below(4), flags = fcntl(fd, F_GETFL);
      if (flags < 0 || (flags & O_NONBLOCK) == 0) flags = -1;
      begin("read(%d, %d)", fd, count);
      memset(got, 0, sizeof got);
      long n = flags < 0 ? -2 : answer(read(fd, got, count * sizeof *got));
      if (n >= 128) add(" %d %d", got[0].ssi_signo, got[0].ssi_code);
      else if (n == 8) add(" %lu", *(unsigned long *)got);
      break;
    }
    case 16: { int flags = EFD_NONBLOCK | (one_in(3) ? EFD_SEMAPHORE : 0); begin("eventfd(%d, %x)", (int)value, flags); answer(fcntl(7, F_GETFD) >= 0 ? -2 : eventfd(value, flags)); break; }
    case 17: begin("write(%d, %lu)", fd, value); answer(write(fd, &value, one_in(10) ? 4 : 8)); break;
    case 18: {
      struct pollfd list[5];
      begin("poll");
      for (int i = 0; i < 5; i++) list[i] = (struct pollfd){3 + i, POLLIN | POLLOUT};
      answer(poll(list, 5, 0));
      for (int i = 0; i < 5; i++) add(" %x", list[i].revents);
      break;
    }
    case 19: {
      struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = number, .sigev_value.sival_int = timer_count};
      begin("timer_create(%d)", number);
      if (timer_count < 4) { if (answer(timer_create(CLOCK_MONOTONIC, &event, &timers[timer_count])) == 0) timer_count++; }
      break;
    }
    case 20: {
      if (timer_count == 0) return;
      int which = below(timer_count), kind = below(3);
      struct itimerspec time = {{0, one_in(3) ? 500000000 : 0}, {kind == 0 ? 0 : 1000, kind == 2 ? 1000000000 : 0}}, before;
      begin("timer_settime(%d, %d)", which, kind);
      if (answer(timer_settime(timers[which], 0, &time, &before)) == 0) add(" %s %ld", before.it_value.tv_sec > 900 ? "armed" : before.it_value.tv_sec > 0 ? "?" : "off", before.it_interval.tv_nsec);
      break;
    }
    case 21: {
      if (timer_count == 0) return;
      struct itimerspec now;
      int which = below(timer_count);
      begin("timer_gettime(%d)", which);
      if (answer(timer_gettime(timers[which], &now)) == 0) add(" %s %ld", now.it_value.tv_sec > 900 ? "armed" : "off", now.it_interval.tv_nsec);
      add(" %d", timer_getoverrun(timers[which]));
      break;
    }
    case 22: {
      stack_t stack = {.ss_sp = alternate, .ss_size = one_in(5) ? 100 : sizeof alternate, .ss_flags = one_in(3) ? SS_DISABLE : one_in(10) ? 77 : 0}, before;
      begin("sigaltstack(%ld, %d)", stack.ss_size, stack.ss_flags);
      if (answer(sigaltstack(&stack, &before)) == 0) add(" %d", before.ss_flags);
      break;
    }
    default: begin("close(%d)", fd); answer(close(fd));
  }
  if (handled_length > 0) add(" handled%s", handled);
  end();
}
static void finish_signals(void) {
  sigset_t set;
  sigpending(&set);
  begin("pending");
  show_set(&set);
  handled_length = 0;
  sigemptyset(&set);
  sigprocmask(SIG_SETMASK, &set, NULL);
  add(" handled%s", handled_length > 0 ? handled : " none");
  end();
}
const struct family SIGNALS = {"signals", 150, make_signals, one_signal, finish_signals};

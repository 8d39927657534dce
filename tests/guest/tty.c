// Terminals: pseudo-terminal pairs, the line discipline in its modes, window size, sessions and job control, hang-up.
#include "check.h"
#include <pty.h>
#include <termios.h>
#include <utmp.h>

static int master, slave;

/* Control characters as ^X, so that a line of output stays a line. */
static const char *shown(const char *bytes, int length) {
  static char text[2][900];
  static int turn;
  char *to = text[turn ^= 1];
  int n = 0;
  if (length < 0) {
    snprintf(to, 900, "%s", strerrorname_np(errno));
    return to;
  }
  for (int i = 0; i < length && n < 800; i++) {
    unsigned char c = bytes[i];
    if (c < 32 || c == 127) n += sprintf(to + n, "^%c", c ^ 64);
    else if (c > 127) n += sprintf(to + n, "<%02x>", c);
    else to[n++] = c;
  }
  to[n] = 0;
  return to;
}

static void open_pair(void) {
  if (openpty(&master, &slave, NULL, NULL, NULL) != 0) _exit(98);
}
static void close_pair(void) {
  close(master);
  close(slave);
}

static void change(int fd, tcflag_t iset, tcflag_t iclear, tcflag_t oset, tcflag_t oclear, tcflag_t lset, tcflag_t lclear) {
  struct termios t;
  tcgetattr(fd, &t);
  t.c_iflag = (t.c_iflag | iset) & ~iclear;
  t.c_oflag = (t.c_oflag | oset) & ~oclear;
  t.c_lflag = (t.c_lflag | lset) & ~lclear;
  tcsetattr(fd, TCSANOW, &t);
}

static int input_waits(int fd, int millis) {
  struct pollfd p = {fd, POLLIN, 0};
  return poll(&p, 1, millis) == 1 && (p.revents & POLLIN) != 0;
}

/* What the screen shows by now. */
static const char *screen(void) {
  char bytes[1024];
  int n = 0;
  while (n < 1000 && input_waits(master, n == 0 ? 250 : 40)) {
    int got = read(master, bytes + n, sizeof bytes - n);
    if (got <= 0) break;
    n += got;
  }
  return shown(bytes, n);
}
static void type(const char *keys) {
  if (write(master, keys, strlen(keys)) != (ssize_t)strlen(keys)) say("type", "short");
  /* Linux hands keys over in a worker, and in a poll that finds no input. */
  struct pollfd p = {slave, POLLIN, 0};
  poll(&p, 1, 0);
  usleep(10000);
}
static const char *line_of(int size) {
  char bytes[1024];
  if (!input_waits(slave, 120)) return "nothing";
  return shown(bytes, read(slave, bytes, size));
}
/* Types keys, prints what the screen shows and what the program reads, up to three lines. */
static void talk(const char *name, const char *keys) {
  type(keys);
  say(name, "screen %s", screen());
  for (int i = 0; i < 3; i++) {
    const char *line = line_of(100);
    say(name, "read %s", line);
    if (strcmp(line, "nothing") == 0) break;
  }
}

static void names(void) {
  char name[64];
  int fd = posix_openpt(O_RDWR | O_NOCTTY);
  TRUE("posix_openpt", fd >= 0);
  TRUE("ptsname", ptsname_r(fd, name, sizeof name) == 0 && strncmp(name, "/dev/pts/", 9) == 0);
  struct stat s;
  CALL("stat of the slave", stat(name, &s));
  TRUE("it is device 136:N", S_ISCHR(s.st_mode) && s.st_rdev >> 8 == 136);
  TRUE("it is ours", s.st_uid == getuid());
  say("its mode", "%o", s.st_mode & 0400);
  CALL("open of a locked slave", open(name, O_RDWR | O_NOCTTY));
  int locked = 7;
  CALL("TIOCGPTLCK", ioctl(fd, TIOCGPTLCK, &locked));
  say("locked", "%d", locked);
  CALL("grantpt", grantpt(fd));
  CALL("unlockpt", unlockpt(fd));
  int to = open(name, O_RDWR | O_NOCTTY);
  TRUE("open after unlockpt", to >= 0);
  TRUE("isatty of the slave", isatty(to));
  TRUE("isatty of the master", isatty(fd));
  char found[64] = "";
  CALL("ttyname_r", ttyname_r(to, found, sizeof found));
  TRUE("ttyname is the name", strcmp(found, name) == 0);
  CALL("F_GETFL without O_NOCTTY", fcntl(to, F_GETFL) & (O_ACCMODE | O_NOCTTY));
  int peer = ioctl(fd, TIOCGPTPEER, O_RDWR | O_NOCTTY);
  TRUE("TIOCGPTPEER", peer >= 0 && ttyname_r(peer, found, sizeof found) == 0 && strcmp(found, name) == 0);
  CALL("lseek of a terminal", lseek(to, 0, SEEK_SET));
  CALL("chmod of a slave", fchmod(to, 0620));
  fstat(to, &s);
  say("mode after chmod", "%o", s.st_mode & 0777);
  CALL("TIOCEXCL", ioctl(to, TIOCEXCL));
  int value = 7;
  CALL("TIOCGEXCL", ioctl(to, TIOCGEXCL, &value));
  say("exclusive", "%d", value);
  CALL("TIOCNXCL", ioctl(to, TIOCNXCL));
  CALL("TIOCGETD", ioctl(to, TIOCGETD, &value));
  say("discipline", "%d", value);
  value = 0;
  CALL("TIOCSETD", ioctl(to, TIOCSETD, &value));
  CALL("bad pointer to TCGETS", ioctl(to, TCGETS, BAD));
  CALL("bad pointer to TCSETS", ioctl(to, TCSETS, BAD));
  CALL("bad pointer to TIOCGWINSZ", ioctl(to, TIOCGWINSZ, BAD));
  CALL("unknown request", ioctl(to, 0x54ff, 0));
  CALL("TIOCGPTN of a slave", ioctl(to, TIOCGPTN, &value));
  CALL("TCGETS of a pipe", ({ int p[2]; pipe(p); long r = ioctl(p[0], TCGETS, name); int e = errno; close(p[0]); close(p[1]); errno = e; r; }));
  close(peer);
  close(to);
  close(fd);
  CALL("stat after the master closed", stat(name, &s));
}

static void settings(void) {
  open_pair();
  struct termios t, u;
  CALL("tcgetattr", tcgetattr(slave, &t));
  say("default flags", "%o %o %o %o", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag);
  say("default characters", "%s", shown((char *)t.c_cc, 19));
  say("default speed", "%d %d", cfgetispeed(&t) == B38400, cfgetospeed(&t) == B38400);
  cfmakeraw(&t);
  cfsetspeed(&t, B9600);
  t.c_cflag = (t.c_cflag & ~CSIZE) | CS5 | PARENB;
  CALL("tcsetattr", tcsetattr(slave, TCSAFLUSH, &t));
  tcgetattr(master, &u);
  say("raw flags seen by the master", "%o %o %o %o", u.c_iflag, u.c_oflag, u.c_cflag, u.c_lflag);
  struct winsize w = {24, 80, 5, 6}, v = {0, 0, 0, 0};
  CALL("TIOCSWINSZ", ioctl(master, TIOCSWINSZ, &w));
  CALL("TIOCGWINSZ", ioctl(slave, TIOCGWINSZ, &v));
  say("window", "%d %d %d %d", v.ws_row, v.ws_col, v.ws_xpixel, v.ws_ypixel);
  CALL("tcsendbreak", tcsendbreak(slave, 0));
  CALL("tcdrain", tcdrain(slave));
  CALL("tcflush", tcflush(slave, TCIOFLUSH));
  CALL("tcflush of nonsense", tcflush(slave, 9));
  CALL("tcflow of nonsense", tcflow(slave, 9));
  int n = 7;
  CALL("TIOCOUTQ", ioctl(slave, TIOCOUTQ, &n));
  say("in the queue", "%d", n);
  close_pair();
}

static void canonical(void) {
  open_pair();
  talk("a line", "hello\n");
  talk("return is a newline", "hello\r");
  talk("two lines", "one\ntwo\n");
  talk("erase", "helxx\177\177lo\n");
  talk("erase of nothing", "\177\177a\n");
  talk("erase of a control character", "a\001\177b\n");
  talk("erase of a tab", "ab\tc\177\177d\n");
  talk("erase of a tab after a tab", "a\t\t\177b\n");
  talk("kill", "wrong\025right\n");
  talk("word erase", "one two  \027three\n");
  talk("word erase of punctuation", "ab.cd!\027\027x\n");
  talk("literal", "a\026\003b\026\177\n");
  talk("reprint", "abc\022d\n");
  talk("end of file", "\004");
  talk("end of file in a line", "abc\004def\n");
  talk("control characters are shown", "\001\002\033x\n");
  type("part");
  say("no line yet", "%s", line_of(10));
  int n = 7;
  ioctl(slave, FIONREAD, &n);
  say("FIONREAD without a line", "%d", n);
  type("ial\nnext\n");
  ioctl(slave, FIONREAD, &n);
  say("FIONREAD with lines", "%d", n);
  say("short read", "%s", line_of(3));
  say("the rest of the line", "%s", line_of(50));
  say("next", "%s", line_of(50));
  screen();
  type("abcd\004");
  say("read of exactly a line that EOF ends", "%s", line_of(4));
  say("no end of file is left", "%s", line_of(4));
  screen();
  /* A line that is too long keeps its end. */
  char much[5000];
  memset(much, 'x', sizeof much);
  for (int done = 0; done < 5000;) {
    int got = write(master, much + done, 500);
    done += got;
    screen();
  }
  type("\n");
  screen();
  int total = 0;
  char bytes[8192];
  while (input_waits(slave, 100)) total += read(slave, bytes, sizeof bytes);
  say("of a line of 5000", "%d, ends with %s", total, shown(bytes + total - 2, 2));
  close_pair();
}

static void variants(void) {
  open_pair();
  change(slave, 0, 0, 0, 0, 0, ECHO);
  talk("without ECHO", "secret\177\n");
  change(slave, 0, 0, 0, 0, ECHONL, ECHO);
  talk("ECHONL", "secret\n");
  change(slave, 0, 0, 0, 0, ECHO, ECHONL | ECHOE);
  talk("without ECHOE", "ab\177c\n");
  change(slave, 0, 0, 0, 0, ECHOE, ECHOKE);
  talk("without ECHOKE", "ab\025c\n");
  change(slave, 0, 0, 0, 0, 0, ECHOK);
  talk("without ECHOK", "ab\025c\n");
  change(slave, 0, 0, 0, 0, ECHOK | ECHOKE | ECHOPRT, 0);
  talk("ECHOPRT", "abc\177\177d\n");
  change(slave, 0, 0, 0, 0, 0, ECHOPRT | ECHOCTL);
  talk("without ECHOCTL", "a\001b\177\177\n");
  change(slave, IGNCR, 0, 0, 0, ECHOCTL, 0);
  talk("IGNCR", "a\rb\n");
  change(slave, INLCR, IGNCR | ICRNL, 0, 0, 0, 0);
  talk("INLCR without ICRNL", "a\nb\004");
  change(slave, ISTRIP | ICRNL, INLCR, 0, 0, 0, 0);
  talk("ISTRIP", "\341\342\n");
  change(slave, IUCLC, ISTRIP, 0, 0, 0, 0);
  talk("IUCLC", "ABCd\n");
  change(slave, IUTF8, IUCLC, 0, 0, 0, 0);
  talk("IUTF8", "x\303\244\342\202\254\177\177y\n");
  change(slave, 0, IUTF8, 0, 0, 0, IEXTEN);
  talk("without IEXTEN", "a\026b\027c\n");
  struct termios t;
  tcgetattr(slave, &t);
  t.c_lflag |= IEXTEN;
  t.c_cc[VEOL] = ';';
  t.c_cc[VEOL2] = '!';
  t.c_cc[VERASE] = '#';
  tcsetattr(slave, TCSANOW, &t);
  talk("VEOL and VEOL2", "a;b!c#\n");
  t.c_cc[VEOF] = 0;
  tcsetattr(slave, TCSANOW, &t);
  talk("VEOF off", "a\004\n");
  close_pair();
  open_pair();
  change(slave, PARMRK, ICRNL, 0, 0, 0, ICANON | ECHO);
  talk("PARMRK", "a\377b");
  close_pair();
}

static void output(void) {
  open_pair();
#define OUT(name, text)                                                    \
  do {                                                                     \
    CALL(name, write(slave, text, strlen(text)));                          \
    say(name, "%s", screen());                                             \
  } while (0)
  OUT("ONLCR", "a\nb\r\n");
  change(slave, 0, 0, XTABS, 0, 0, 0);
  OUT("XTABS", "a\tb\t\tc\n");
  OUT("backspace before a tab", "abc\b\b\tx\n");
  change(slave, 0, 0, OCRNL, XTABS | ONLCR, 0, 0);
  OUT("OCRNL without ONLCR", "a\rb\nc");
  change(slave, 0, 0, ONOCR | ONLCR, OCRNL, 0, 0);
  OUT("ONOCR", "\n\rx\ry");
  change(slave, 0, 0, OLCUC, ONOCR, 0, 0);
  OUT("OLCUC", "aBc\n");
  change(slave, 0, 0, 0, OPOST, 0, 0);
  OUT("without OPOST", "a\n\tb\n");
  struct pollfd p = {slave, POLLOUT | POLLIN, 0};
  CALL("poll of the slave", poll(&p, 1, 0));
  say("it is writable", "%x", p.revents);
  /* A writer waits for the reader. */
  fcntl(slave, F_SETFL, O_RDWR | O_NONBLOCK);
  static char much[100000];
  memset(much, 'x', sizeof much);
  int n = write(slave, much, sizeof much);
  TRUE("a write without reader is short", n > 0 && n < (int)sizeof much);
  close_pair();
}

static void flow(void) {
  open_pair();
  type("\023");
  fcntl(slave, F_SETFL, O_RDWR | O_NONBLOCK);
  CALL("write while stopped", write(slave, "x", 1));
  type("ab");
  say("no echo while stopped", "%s", screen());
  type("\021");
  say("the echo comes with the start", "%s", screen());
  CALL("write after the start", write(slave, "y", 1));
  say("it comes", "%s", screen());
  change(slave, IXANY, 0, 0, 0, 0, 0);
  type("\023");
  CALL("stopped again", write(slave, "x", 1));
  type("c");
  say("IXANY", "%s", screen());
  CALL("write after IXANY", write(slave, "z", 1));
  screen();
  CALL("TCOOFF", tcflow(slave, TCOOFF));
  CALL("write while off", write(slave, "x", 1));
  type("\021");
  CALL("a start does not help", write(slave, "x", 1));
  CALL("TCOON", tcflow(slave, TCOON));
  CALL("write while on", write(slave, "x", 1));
  screen();
  CALL("TCIOFF", tcflow(slave, TCIOFF));
  say("sends a stop", "%s", screen());
  CALL("TCION", tcflow(slave, TCION));
  say("sends a start", "%s", screen());
  change(slave, 0, IXON, 0, 0, 0, 0);
  talk("without IXON", "a\023\n");
  close_pair();
}

static void raw(void) {
  open_pair();
  struct termios t;
  tcgetattr(slave, &t);
  cfmakeraw(&t);
  t.c_cc[VMIN] = 1;
  t.c_cc[VTIME] = 0;
  tcsetattr(slave, TCSANOW, &t);
  talk("raw", "a\003\177\r\n\004");
  type("abcdef");
  int n = 0;
  input_waits(slave, 300);
  ioctl(slave, FIONREAD, &n);
  say("FIONREAD", "%d", n);
  say("a part", "%s", line_of(2));
  CALL("tcflush of the input", tcflush(slave, TCIFLUSH));
  say("nothing is left", "%s", line_of(10));
  t.c_cc[VMIN] = 0;
  tcsetattr(slave, TCSANOW, &t);
  char bytes[100];
  CALL("VMIN 0, VTIME 0", read(slave, bytes, 10));
  t.c_cc[VTIME] = 1;
  tcsetattr(slave, TCSANOW, &t);
  double before = now_seconds();
  CALL("VMIN 0, VTIME 1", read(slave, bytes, 10));
  TRUE("waits a tenth", now_seconds() - before > 0.08);
  type("x");
  CALL("VMIN 0, VTIME 1 with a byte", read(slave, bytes, 10));
  t.c_cc[VMIN] = 3;
  t.c_cc[VTIME] = 0;
  tcsetattr(slave, TCSANOW, &t);
  type("xy");
  say("poll with VMIN 3 and two bytes", "%d", input_waits(slave, 100));
  type("z");
  say("poll with three", "%d", input_waits(slave, 300));
  CALL("VMIN 3", read(slave, bytes, 10));
  type("xy");
  usleep(20000);
  CALL("VMIN 3, a read of two", read(slave, bytes, 2));
  t.c_cc[VTIME] = 1;
  tcsetattr(slave, TCSANOW, &t);
  type("xy");
  CALL("VMIN 3, VTIME 1 with two bytes", read(slave, bytes, 10));
  pid_t child = fork();
  if (child == 0) {
    usleep(150000);
    type("p");
    usleep(50000);
    type("q");
    usleep(50000);
    type("r");
    _exit(0);
  }
  CALL("the time runs between bytes", read(slave, bytes, 10));
  waitpid(child, NULL, 0);
  t.c_cc[VMIN] = 5;
  t.c_cc[VTIME] = 0;
  tcsetattr(slave, TCSANOW, &t);
  fcntl(slave, F_SETFL, O_RDWR | O_NONBLOCK);
  CALL("VMIN 5, nonblocking, empty", read(slave, bytes, 10));
  type("k");
  usleep(20000);
  CALL("VMIN 5, nonblocking, one byte", read(slave, bytes, 10));
  /* Typed in raw mode, read as a line. */
  type("abc");
  usleep(20000);
  change(slave, 0, 0, 0, 0, ICANON, 0);
  say("canonical again", "%s", line_of(10));
  close_pair();
}

static void packets(void) {
  open_pair();
  int on = 1, value = 7;
  CALL("TIOCPKT", ioctl(master, TIOCPKT, &on));
  CALL("TIOCGPKT", ioctl(master, TIOCGPKT, &value));
  say("packet mode", "%d", value);
  write(slave, "hi", 2);
  say("data", "%s", screen());
  tcflush(slave, TCIFLUSH);
  say("flush of input", "%s", screen());
  tcflush(slave, TCOFLUSH);
  say("flush of output", "%s", screen());
  tcflow(slave, TCOOFF);
  say("stop", "%s", screen());
  tcflow(slave, TCOON);
  say("start", "%s", screen());
  change(slave, 0, IXON, 0, 0, 0, 0);
  say("no flow control", "%s", screen());
  change(slave, IXON, 0, 0, 0, 0, 0);
  say("flow control", "%s", screen());
  tcflush(slave, TCIFLUSH);
  struct pollfd p = {master, POLLPRI, 0};
  CALL("POLLPRI", poll(&p, 1, 300));
  on = 0;
  CALL("TIOCPKT off", ioctl(master, TIOCPKT, &on));
  write(slave, "ho", 2);
  say("plain data", "%s", screen());
  CALL("TIOCSIG of nonsense", ioctl(master, TIOCSIG, 99));
  close_pair();
}

static void closing(void) {
  open_pair();
  char bytes[100];
  write(slave, "last", 4);
  close(slave);
  CALL("what was written is still read", read(master, bytes, 100));
  CALL("then the master fails", read(master, bytes, 100));
  struct pollfd p = {master, POLLIN | POLLOUT, 0};
  poll(&p, 1, 0);
  say("poll of a master alone", "%x", p.revents & (POLLIN | POLLHUP | POLLERR));
  CALL("the master still writes", write(master, "x\n", 2));
  slave = open(ptsname(master), O_RDWR | O_NOCTTY);
  TRUE("the slave opens again", slave >= 0);
  say("and reads what was typed", "%s", line_of(10));
  poll(&p, 1, 0);
  say("poll with a slave again", "%x", p.revents & POLLHUP);
  pid_t child = fork();
  if (child == 0) {
    close(master);
    errno = 0;
    int n = read(slave, bytes, 100);
    say("a waiting reader at the end", "%d %s", n, errno == 0 ? "" : strerrorname_np(errno));
    _exit(0);
  }
  usleep(100000);
  close(master);
  waitpid(child, NULL, 0);
  CALL("a later read", read(slave, bytes, 100));
  CALL("a later write", write(slave, "x", 1));
  struct termios t;
  CALL("a later tcgetattr", tcgetattr(slave, &t));
  CALL("a later tcsetpgrp", tcsetpgrp(slave, getpgrp()));
  p.fd = slave;
  poll(&p, 1, 0);
  say("poll of a dead slave", "%x", p.revents);
  close(slave);
}

static volatile sig_atomic_t got;
static void note(int signal) { got = signal; }
static void on(int signal) {
  struct sigaction action = {.sa_handler = note};
  sigaction(signal, &action, NULL);
}

/* Runs `body` as the leader of a session on a new terminal; its own output goes to ours. */
static int in_session(void (*body)(void)) {
  open_pair();
  pid_t child = fork();
  if (child == 0) {
    setsid();
    body();
    _exit(0);
  }
  int code = wait_code(child);
  return code;
}

static void *keys_later(void *keys) {
  usleep(100000);
  type(keys);
  return NULL;
}
static void key(const char *keys) {
  pthread_t thread;
  pthread_create(&thread, NULL, keys_later, (void *)keys);
  pthread_detach(thread);
}

static void controlling(void) {
  char *name = ptsname(master);
  CALL("open /dev/tty without one", open("/dev/tty", O_RDWR));
  CALL("tcgetpgrp before", tcgetpgrp(slave));
  CALL("TIOCNOTTY before", ioctl(slave, TIOCNOTTY));
  int fd = open(name, O_RDWR | O_NOCTTY);
  CALL("O_NOCTTY leaves it", open("/dev/tty", O_RDWR));
  close(fd);
  fd = open(name, O_WRONLY);
  CALL("for writing alone neither", open("/dev/tty", O_RDWR));
  close(fd);
  fd = open(name, O_RDWR);
  int tty = open("/dev/tty", O_RDWR);
  TRUE("open makes it ours", tty >= 0);
  TRUE("tcgetpgrp", tcgetpgrp(fd) == getpgrp());
  TRUE("tcgetsid", tcgetsid(fd) == getsid(0));
  int group = 0;
  CALL("TIOCGPGRP of the master", ioctl(master, TIOCGPGRP, &group));
  TRUE("is the same", group == getpgrp());
  CALL("TIOCSCTTY again", ioctl(fd, TIOCSCTTY, 0));
  char text[64] = "";
  CALL("ttyname of /dev/tty", ttyname_r(tty, text, sizeof text) == 0 ? 0 : -1);
  pid_t child = fork();
  if (child == 0) {
    CALL("a child's TIOCSCTTY", ioctl(fd, TIOCSCTTY, 0));
    CALL("a child's TIOCNOTTY", ioctl(fd, TIOCNOTTY));
    CALL("leaves it", open("/dev/tty", O_RDWR));
    CALL("its tcgetpgrp", tcgetpgrp(fd));
    _exit(0);
  }
  waitpid(child, NULL, 0);
  TRUE("the leader still has it", (child = open("/dev/tty", O_RDWR)) >= 0);
  child = fork();
  if (child == 0) {
    setsid();
    CALL("another session has none", open("/dev/tty", O_RDWR));
    CALL("and cannot take it", ioctl(fd, TIOCSCTTY, 0));
    CALL("nor ask", tcgetpgrp(fd));
    _exit(0);
  }
  waitpid(child, NULL, 0);
  CALL("tcsetpgrp of nobody", tcsetpgrp(fd, 999999));
  CALL("tcsetpgrp of a negative", tcsetpgrp(fd, -5));
  on(SIGHUP);
  on(SIGCONT);
  CALL("TIOCNOTTY of the leader", ioctl(fd, TIOCNOTTY));
  TRUE("signals it", got == SIGHUP || got == SIGCONT);
  CALL("and it is gone", open("/dev/tty", O_RDWR));
  CALL("TIOCSCTTY takes it back", ioctl(fd, TIOCSCTTY, 0));
}

static void keyboard(void) {
  ioctl(slave, TIOCSCTTY, 0);
  for (int i = 0; i < 3; i++) {
    int signals[] = {SIGINT, SIGQUIT, SIGTSTP};
    const char *keys[] = {"gone\003", "gone\034", "gone\032"};
    on(signals[i]);
    got = 0;
    key(keys[i]);
    char bytes[10];
    CALL("a key ends a read", read(slave, bytes, 10));
    TRUE("with its signal", got == signals[i]);
    say("the screen", "%s", screen());
  }
  say("input is gone", "%s", line_of(10));
  change(slave, 0, 0, 0, 0, NOFLSH, 0);
  got = 0;
  key("kept\003\n");
  usleep(200000);
  TRUE("NOFLSH signals", got == SIGINT);
  say("and keeps", "%s", line_of(10));
  change(slave, 0, 0, 0, 0, 0, ISIG);
  got = 0;
  type("a\003\n");
  say("without ISIG", "%s", line_of(10));
  say("no signal", "%d", got);
  struct winsize w = {30, 90, 0, 0};
  on(SIGWINCH);
  got = 0;
  ioctl(master, TIOCSWINSZ, &w);
  usleep(10000);
  TRUE("SIGWINCH", got == SIGWINCH);
  got = 0;
  ioctl(master, TIOCSWINSZ, &w);
  usleep(10000);
  say("not for the same size", "%d", got);
  CALL("TIOCSIG of another signal", ioctl(master, TIOCSIG, SIGUSR1));
  on(SIGINT);
  CALL("TIOCSIG", ioctl(master, TIOCSIG, SIGINT));
  usleep(10000);
  TRUE("reaches us", got == SIGINT);
}

/* A child in a group of its own, in the background. */
static pid_t background(void (*body)(void)) {
  pid_t child = fork();
  if (child == 0) {
    setpgid(0, 0);
    body();
    _exit(0);
  }
  setpgid(child, child);
  return child;
}
static const char *how(pid_t child) {
  static char text[40];
  int status = 0;
  if (waitpid(child, &status, WUNTRACED | WCONTINUED) != child) return "nothing";
  if (WIFSTOPPED(status)) snprintf(text, sizeof text, "stopped by %s", sigabbrev_np(WSTOPSIG(status)));
  else if (WIFCONTINUED(status)) snprintf(text, sizeof text, "continued");
  else if (WIFEXITED(status)) snprintf(text, sizeof text, "exited %d", WEXITSTATUS(status));
  else snprintf(text, sizeof text, "killed by %s", sigabbrev_np(WTERMSIG(status)));
  return text;
}
static void reads(void) {
  char bytes[20];
  errno = 0;
  int n = read(slave, bytes, 20);
  _exit(n >= 0 ? n : errno == EIO ? 99 : 98);
}
static void writes(void) { _exit(write(slave, "x", 1) == 1 ? 0 : errno == EIO ? 99 : 98); }
static void sets(void) {
  struct termios t;
  tcgetattr(slave, &t);
  _exit(tcsetattr(slave, TCSANOW, &t) == 0 ? 0 : errno == EIO ? 99 : 98);
}
static void ignoring_reads(void) {
  signal(SIGTTIN, SIG_IGN);
  reads();
}
static void ignoring_sets(void) {
  signal(SIGTTOU, SIG_IGN);
  sets();
}
static void blocking_grabs(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTTOU);
  sigprocmask(SIG_BLOCK, &set, NULL);
  _exit(tcsetpgrp(slave, getpgrp()) == 0 ? 0 : 98);
}
static void grabs(void) { _exit(tcsetpgrp(slave, getpgrp()) == 0 ? 0 : 98); }

static void jobs(void) {
  ioctl(slave, TIOCSCTTY, 0);
  pid_t child = background(reads);
  say("a background read", "%s", how(child));
  tcsetpgrp(slave, child);
  kill(-child, SIGCONT);
  say("in the foreground", "%s", how(child));
  type("back\n");
  say("it reads on", "%s", how(child));
  signal(SIGTTOU, SIG_IGN);
  CALL("back to us", tcsetpgrp(slave, getpgrp()));
  child = background(writes);
  say("a background write", "%s", how(child));
  change(slave, 0, 0, 0, 0, TOSTOP, 0);
  signal(SIGTTOU, SIG_DFL);
  child = background(writes);
  say("with TOSTOP", "%s", how(child));
  kill(-child, SIGKILL);
  say("killed", "%s", how(child));
  child = background(sets);
  say("background settings", "%s", how(child));
  kill(-child, SIGKILL);
  how(child);
  child = background(grabs);
  say("background tcsetpgrp", "%s", how(child));
  kill(-child, SIGKILL);
  how(child);
  say("read with SIGTTIN ignored", "%s", how(background(ignoring_reads)));
  say("settings with SIGTTOU ignored", "%s", how(background(ignoring_sets)));
  say("tcsetpgrp with SIGTTOU blocked", "%s", how(background(blocking_grabs)));
  CALL("to the foreground again", ({ signal(SIGTTOU, SIG_IGN); tcsetpgrp(slave, getpgrp()); }));
  /* Suspended by the keyboard, continued, interrupted. */
  signal(SIGTTOU, SIG_IGN);
  child = background(reads);
  tcsetpgrp(slave, child);
  kill(-child, SIGCONT);
  usleep(100000);
  while (waitpid(child, NULL, WUNTRACED | WCONTINUED | WNOHANG) > 0) {}
  type("\032");
  say("^Z", "%s", how(child));
  kill(-child, SIGCONT);
  say("fg", "%s", how(child));
  usleep(50000);
  type("\003");
  say("^C", "%s", how(child));
  tcsetpgrp(slave, getpgrp());
  screen();
}

/* The reader's parent is gone: its group is an orphan. */
static int report[2];
static void orphan_reads(void) {
  pid_t middle = fork();
  if (middle == 0) {
    setpgid(0, 0);
    pid_t child = fork();
    if (child == 0) {
      char bytes[10];
      while (getppid() == middle) {}
      usleep(100000);
      errno = 0;
      int n = read(slave, bytes, 10);
      int result = n < 0 ? errno : n;
      write(report[1], &result, sizeof result);
      _exit(0);
    }
    _exit(0);
  }
  waitpid(middle, NULL, 0);
}
static void orphans(void) {
  ioctl(slave, TIOCSCTTY, 0);
  pipe(report);
  orphan_reads();
  int result = -1;
  read(report[0], &result, sizeof result);
  say("an orphan's read", "%s", strerrorname_np(result));
}

static void hangs_up(void) {
  ioctl(slave, TIOCSCTTY, 0);
  on(SIGHUP);
  close(master); /* our parent has one too */
  char c;
  CALL("tell", write(report[1], "x", 1));
  while (got == 0) pause();
  TRUE("the leader gets SIGHUP", got == SIGHUP);
  CALL("the terminal is gone", open("/dev/tty", O_RDWR));
  CALL("it reads as ended", read(slave, &c, 1));
  CALL("writes fail", write(slave, "x", 1));
}

static void vhangs_up(void) {
  ioctl(slave, TIOCSCTTY, 0);
  on(SIGHUP);
  CALL("vhangup", vhangup());
  TRUE("signals the leader", got == SIGHUP);
  char c;
  CALL("the file is dead", read(slave, &c, 1));
  CALL("the terminal is no longer ours", open("/dev/tty", O_RDWR));
  int fd = open(ptsname(master), O_RDWR | O_NOCTTY);
  CALL("it opens again", write(fd, "x", 1));
  say("and works", "%s", screen());
}

static void end_of_leader(void) {
  ioctl(slave, TIOCSCTTY, 0);
  close(report[0]);
  pid_t child = fork();
  if (child == 0) {
    on(SIGHUP);
    got = 0;
    write(report[1], "x", 1);
    while (got == 0) pause();
    int fd = open("/dev/tty", O_RDWR);
    char answer[3] = {got == SIGHUP ? 'h' : '?', fd < 0 && errno == ENXIO ? 'n' : '?',
                      write(slave, "z", 1) == 1 ? 'w' : '?'};
    write(report[1], answer, 3);
    _exit(0);
  }
  char c;
  (void)c;
  usleep(100000);
  _exit(0);
}

int main(void) {
  signal(SIGALRM, SIG_DFL);
  alarm(60);
  names();
  settings();
  canonical();
  variants();
  output();
  flow();
  raw();
  packets();
  closing();
  say("session", "%d", in_session(controlling));
  close_pair();
  say("keyboard", "%d", in_session(keyboard));
  close_pair();
  say("jobs", "%d", in_session(jobs));
  close_pair();
  say("orphans", "%d", in_session(orphans));
  close_pair();
  say("vhangup", "%d", in_session(vhangs_up));
  close_pair();
  /* Hang-up by the last close of the master. */
  pipe(report);
  open_pair();
  pid_t child = fork();
  if (child == 0) {
    setsid();
    hangs_up();
    _exit(0);
  }
  char bytes[4] = "";
  read(report[0], bytes, 1);
  close(master);
  say("hang-up", "%d", wait_code(child));
  close(slave);
  /* The leader ends: who is in the foreground hears of it, the terminal stays. */
  open_pair();
  child = fork();
  if (child == 0) {
    setsid();
    end_of_leader();
  }
  wait_code(child);
  read(report[0], bytes, 1);
  int n = 0;
  while (n < 3) {
    int more = read(report[0], bytes + n, 3 - n);
    if (more <= 0) break;
    n += more;
  }
  say("after the leader", "%.3s", bytes);
  close_pair();
  return 0;
}

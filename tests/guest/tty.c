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
  if (write(master, keys, strlen(keys)) != (ssize_t)strlen(keys)) SAYS("type", "whole", "short");
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
/* Types keys; what the screen shows, and what the program reads, up to three lines. */
static void talk(const char *name, const char *keys, const char *on_screen, const char *read) {
  type(keys);
  SAYS(name, on_screen, "%s", screen());
  char lines[512] = "";
  for (int i = 0; i < 3; i++) {
    const char *line = line_of(100);
    if (strcmp(line, "nothing") == 0) break;
    snprintf(lines + strlen(lines), sizeof lines - strlen(lines), "%s%s", i > 0 ? " | " : "", line);
  }
  judge(name, read, lines);
}

static void names(void) {
  char name[64];
  int fd = posix_openpt(O_RDWR | O_NOCTTY);
  TRUE("posix_openpt", fd >= 0);
  TRUE("ptsname", ptsname_r(fd, name, sizeof name) == 0 && strncmp(name, "/dev/pts/", 9) == 0);
  struct stat s;
  EQUALS("stat of the slave", 0, stat(name, &s));
  TRUE("it is device 136:N", S_ISCHR(s.st_mode) && s.st_rdev >> 8 == 136);
  TRUE("it is ours", s.st_uid == getuid());
  SAYS("its mode", "400", "%o", s.st_mode & 0400);
  FAILS("open of a locked slave", EIO, open(name, O_RDWR | O_NOCTTY));
  int locked = 7;
  EQUALS("TIOCGPTLCK", 0, ioctl(fd, TIOCGPTLCK, &locked));
  SAYS("locked", "1", "%d", locked);
  EQUALS("grantpt", 0, grantpt(fd));
  EQUALS("unlockpt", 0, unlockpt(fd));
  int to = open(name, O_RDWR | O_NOCTTY);
  TRUE("open after unlockpt", to >= 0);
  TRUE("isatty of the slave", isatty(to));
  TRUE("isatty of the master", isatty(fd));
  char found[64] = "";
  EQUALS("ttyname_r", 0, ttyname_r(to, found, sizeof found));
  TRUE("ttyname is the name", strcmp(found, name) == 0);
  EQUALS("F_GETFL without O_NOCTTY", O_RDWR, fcntl(to, F_GETFL) & (O_ACCMODE | O_NOCTTY));
  int peer = ioctl(fd, TIOCGPTPEER, O_RDWR | O_NOCTTY);
  TRUE("TIOCGPTPEER", peer >= 0 && ttyname_r(peer, found, sizeof found) == 0 && strcmp(found, name) == 0);
  FAILS("lseek of a terminal", ESPIPE, lseek(to, 0, SEEK_SET));
  EQUALS("chmod of a slave", 0, fchmod(to, 0620));
  fstat(to, &s);
  SAYS("mode after chmod", "620", "%o", s.st_mode & 0777);
  EQUALS("TIOCEXCL", 0, ioctl(to, TIOCEXCL));
  int value = 7;
  EQUALS("TIOCGEXCL", 0, ioctl(to, TIOCGEXCL, &value));
  SAYS("exclusive", "1", "%d", value);
  EQUALS("TIOCNXCL", 0, ioctl(to, TIOCNXCL));
  EQUALS("TIOCGETD", 0, ioctl(to, TIOCGETD, &value));
  SAYS("discipline", "0", "%d", value);
  value = 0;
  EQUALS("TIOCSETD", 0, ioctl(to, TIOCSETD, &value));
  FAILS("bad pointer to TCGETS", EFAULT, ioctl(to, TCGETS, BAD));
  FAILS("bad pointer to TCSETS", EFAULT, ioctl(to, TCSETS, BAD));
  FAILS("bad pointer to TIOCGWINSZ", EFAULT, ioctl(to, TIOCGWINSZ, BAD));
  FAILS("unknown request", ENOTTY, ioctl(to, 0x54ff, 0));
  FAILS("TIOCGPTN of a slave", ENOTTY, ioctl(to, TIOCGPTN, &value));
  FAILS("TCGETS of a pipe", ENOTTY, ({ int p[2]; pipe(p); long r = ioctl(p[0], TCGETS, name); int e = errno; close(p[0]); close(p[1]); errno = e; r; }));
  close(peer);
  close(to);
  close(fd);
  FAILS("stat after the master closed", ENOENT, stat(name, &s));
}

static void settings(void) {
  open_pair();
  struct termios t, u;
  EQUALS("tcgetattr", 0, tcgetattr(slave, &t));
  SAYS("default flags", "2400 5 277 105073", "%o %o %o %o", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag);
  SAYS("default characters", "^C^\\^?^U^D^@^A^@^Q^S^Z^@^R^O^W^V^@^@^@", "%s", shown((char *)t.c_cc, 19));
  SAYS("default speed", "1 1", "%d %d", cfgetispeed(&t) == B38400, cfgetospeed(&t) == B38400);
  cfmakeraw(&t);
  cfsetspeed(&t, B9600);
  t.c_cflag = (t.c_cflag & ~CSIZE) | CS5 | PARENB;
  EQUALS("tcsetattr", 0, tcsetattr(slave, TCSAFLUSH, &t));
  tcgetattr(master, &u);
  SAYS("raw flags seen by the master", "0 4 275 5060", "%o %o %o %o", u.c_iflag, u.c_oflag, u.c_cflag, u.c_lflag);
  struct winsize w = {24, 80, 5, 6}, v = {0, 0, 0, 0};
  EQUALS("TIOCSWINSZ", 0, ioctl(master, TIOCSWINSZ, &w));
  EQUALS("TIOCGWINSZ", 0, ioctl(slave, TIOCGWINSZ, &v));
  SAYS("window", "24 80 5 6", "%d %d %d %d", v.ws_row, v.ws_col, v.ws_xpixel, v.ws_ypixel);
  EQUALS("tcsendbreak", 0, tcsendbreak(slave, 0));
  EQUALS("tcdrain", 0, tcdrain(slave));
  EQUALS("tcflush", 0, tcflush(slave, TCIOFLUSH));
  FAILS("tcflush of nonsense", EINVAL, tcflush(slave, 9));
  FAILS("tcflow of nonsense", EINVAL, tcflow(slave, 9));
  int n = 7;
  EQUALS("TIOCOUTQ", 0, ioctl(slave, TIOCOUTQ, &n));
  SAYS("in the queue", "0", "%d", n);
  close_pair();
}

static void canonical(void) {
  open_pair();
  talk("a line", "hello\n", "hello^M^J", "hello^J");
  talk("return is a newline", "hello\r", "hello^M^J", "hello^J");
  talk("two lines", "one\ntwo\n", "one^M^Jtwo^M^J", "one^J | two^J");
  talk("erase", "helxx\177\177lo\n", "helxx^H ^H^H ^Hlo^M^J", "hello^J");
  talk("erase of nothing", "\177\177a\n", "a^M^J", "a^J");
  talk("erase of a control character", "a\001\177b\n", "a^A^H ^H^H ^Hb^M^J", "ab^J");
  talk("erase of a tab", "ab\tc\177\177d\n", "ab^Ic^H ^H^H^H^H^H^H^Hd^M^J", "abd^J");
  talk("erase of a tab after a tab", "a\t\t\177b\n", "a^I^I^H^H^H^H^H^H^H^Hb^M^J", "a^Ib^J");
  talk("kill", "wrong\025right\n", "wrong^H ^H^H ^H^H ^H^H ^H^H ^Hright^M^J", "right^J");
  talk("word erase", "one two  \027three\n", "one two  ^H ^H^H ^H^H ^H^H ^H^H ^Hthree^M^J", "one three^J");
  talk("word erase of punctuation", "ab.cd!\027\027x\n", "ab.cd!^H ^H^H ^H^H ^H^H ^H^H ^H^H ^Hx^M^J", "x^J");
  talk("literal", "a\026\003b\026\177\n", "a^^H^Cb^^H^?^M^J", "a^Cb^?^J");
  talk("reprint", "abc\022d\n", "abc^R^M^Jabcd^M^J", "abcd^J");
  talk("end of file", "\004", "", "");
  talk("end of file in a line", "abc\004def\n", "abcdef^M^J", "abc | def^J");
  talk("control characters are shown", "\001\002\033x\n", "^A^B^[x^M^J", "^A^B^[x^J");
  type("part");
  SAYS("no line yet", "nothing", "%s", line_of(10));
  int n = 7;
  ioctl(slave, FIONREAD, &n);
  SAYS("FIONREAD without a line", "0", "%d", n);
  type("ial\nnext\n");
  ioctl(slave, FIONREAD, &n);
  SAYS("FIONREAD with lines", "13", "%d", n);
  SAYS("short read", "par", "%s", line_of(3));
  SAYS("the rest of the line", "tial^J", "%s", line_of(50));
  SAYS("next", "next^J", "%s", line_of(50));
  screen();
  type("abcd\004");
  SAYS("read of exactly a line that EOF ends", "abcd", "%s", line_of(4));
  SAYS("no end of file is left", "nothing", "%s", line_of(4));
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
  SAYS("of a line of 5000", "4096, ends with x^J", "%d, ends with %s", total, shown(bytes + total - 2, 2));
  close_pair();
}

static void variants(void) {
  open_pair();
  change(slave, 0, 0, 0, 0, 0, ECHO);
  talk("without ECHO", "secret\177\n", "", "secre^J");
  change(slave, 0, 0, 0, 0, ECHONL, ECHO);
  talk("ECHONL", "secret\n", "^M^J", "secret^J");
  change(slave, 0, 0, 0, 0, ECHO, ECHONL | ECHOE);
  talk("without ECHOE", "ab\177c\n", "ab^?c^M^J", "ac^J");
  change(slave, 0, 0, 0, 0, ECHOE, ECHOKE);
  talk("without ECHOKE", "ab\025c\n", "ab^U^M^Jc^M^J", "c^J");
  change(slave, 0, 0, 0, 0, 0, ECHOK);
  talk("without ECHOK", "ab\025c\n", "ab^Uc^M^J", "c^J");
  change(slave, 0, 0, 0, 0, ECHOK | ECHOKE | ECHOPRT, 0);
  talk("ECHOPRT", "abc\177\177d\n", "abc\\cb/d^M^J", "ad^J");
  change(slave, 0, 0, 0, 0, 0, ECHOPRT | ECHOCTL);
  talk("without ECHOCTL", "a\001b\177\177\n", "a^Ab^H ^H^M^J", "a^J");
  change(slave, IGNCR, 0, 0, 0, ECHOCTL, 0);
  talk("IGNCR", "a\rb\n", "ab^M^J", "ab^J");
  change(slave, INLCR, IGNCR | ICRNL, 0, 0, 0, 0);
  talk("INLCR without ICRNL", "a\nb\004", "a^Mb", "a^Mb");
  change(slave, ISTRIP | ICRNL, INLCR, 0, 0, 0, 0);
  talk("ISTRIP", "\341\342\n", "ab^M^J", "ab^J");
  change(slave, IUCLC, ISTRIP, 0, 0, 0, 0);
  talk("IUCLC", "ABCd\n", "abcd^M^J", "abcd^J");
  change(slave, IUTF8, IUCLC, 0, 0, 0, 0);
  talk("IUTF8", "x\303\244\342\202\254\177\177y\n", "x<c3><a4><e2><82><ac>^H ^H^H ^Hy^M^J", "xy^J");
  change(slave, 0, IUTF8, 0, 0, 0, IEXTEN);
  talk("without IEXTEN", "a\026b\027c\n", "a^Vb^Wc^M^J", "a^Vb^Wc^J");
  struct termios t;
  tcgetattr(slave, &t);
  t.c_lflag |= IEXTEN;
  t.c_cc[VEOL] = ';';
  t.c_cc[VEOL2] = '!';
  t.c_cc[VERASE] = '#';
  tcsetattr(slave, TCSANOW, &t);
  talk("VEOL and VEOL2", "a;b!c#\n", "a;b!c^H ^H^M^J", "a; | b! | ^J");
  t.c_cc[VEOF] = 0;
  tcsetattr(slave, TCSANOW, &t);
  talk("VEOF off", "a\004\n", "a^D^M^J", "a^D^J");
  close_pair();
  open_pair();
  change(slave, PARMRK, ICRNL, 0, 0, 0, ICANON | ECHO);
  talk("PARMRK", "a\377b", "", "a<ff><ff>b");
  close_pair();
}

static void output(void) {
  open_pair();
#define OUT(name, expected, text)                                          \
  do {                                                                     \
    EQUALS(name, strlen(text), write(slave, text, strlen(text)));          \
    SAYS(name, expected, "%s", screen());                                  \
  } while (0)
  OUT("ONLCR", "a^M^Jb^M^M^J", "a\nb\r\n");
  change(slave, 0, 0, XTABS, 0, 0, 0);
  OUT("XTABS", "a       b               c^M^J", "a\tb\t\tc\n");
  OUT("backspace before a tab", "abc^H^H       x^M^J", "abc\b\b\tx\n");
  change(slave, 0, 0, OCRNL, XTABS | ONLCR, 0, 0);
  OUT("OCRNL without ONLCR", "a^Jb^Jc", "a\rb\nc");
  change(slave, 0, 0, ONOCR | ONLCR, OCRNL, 0, 0);
  OUT("ONOCR", "^M^Jx^My", "\n\rx\ry");
  change(slave, 0, 0, OLCUC, ONOCR, 0, 0);
  OUT("OLCUC", "ABC^M^J", "aBc\n");
  change(slave, 0, 0, 0, OPOST, 0, 0);
  OUT("without OPOST", "a^J^Ib^J", "a\n\tb\n");
  struct pollfd p = {slave, POLLOUT | POLLIN, 0};
  EQUALS("poll of the slave", 1, poll(&p, 1, 0));
  SAYS("it is writable", "4", "%x", p.revents);
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
  FAILS("write while stopped", EAGAIN, write(slave, "x", 1));
  type("ab");
  SAYS("no echo while stopped", "", "%s", screen());
  type("\021");
  SAYS("the echo comes with the start", "ab", "%s", screen());
  EQUALS("write after the start", 1, write(slave, "y", 1));
  SAYS("it comes", "y", "%s", screen());
  change(slave, IXANY, 0, 0, 0, 0, 0);
  type("\023");
  FAILS("stopped again", EAGAIN, write(slave, "x", 1));
  type("c");
  SAYS("IXANY", "c", "%s", screen());
  EQUALS("write after IXANY", 1, write(slave, "z", 1));
  screen();
  EQUALS("TCOOFF", 0, tcflow(slave, TCOOFF));
  FAILS("write while off", EAGAIN, write(slave, "x", 1));
  type("\021");
  FAILS("a start does not help", EAGAIN, write(slave, "x", 1));
  EQUALS("TCOON", 0, tcflow(slave, TCOON));
  EQUALS("write while on", 1, write(slave, "x", 1));
  screen();
  EQUALS("TCIOFF", 0, tcflow(slave, TCIOFF));
  SAYS("sends a stop", "^S", "%s", screen());
  EQUALS("TCION", 0, tcflow(slave, TCION));
  SAYS("sends a start", "^Q", "%s", screen());
  change(slave, 0, IXON, 0, 0, 0, 0);
  talk("without IXON", "a\023\n", "a^S^M^J", "abca^S^J");
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
  talk("raw", "a\003\177\r\n\004", "", "a^C^?^M^J^D");
  type("abcdef");
  int n = 0;
  input_waits(slave, 300);
  ioctl(slave, FIONREAD, &n);
  SAYS("FIONREAD", "6", "%d", n);
  SAYS("a part", "ab", "%s", line_of(2));
  EQUALS("tcflush of the input", 0, tcflush(slave, TCIFLUSH));
  SAYS("nothing is left", "nothing", "%s", line_of(10));
  t.c_cc[VMIN] = 0;
  tcsetattr(slave, TCSANOW, &t);
  char bytes[100];
  EQUALS("VMIN 0, VTIME 0", 0, read(slave, bytes, 10));
  t.c_cc[VTIME] = 1;
  tcsetattr(slave, TCSANOW, &t);
  double before = now_seconds();
  EQUALS("VMIN 0, VTIME 1", 0, read(slave, bytes, 10));
  TRUE("waits a tenth", now_seconds() - before > 0.08);
  type("x");
  EQUALS("VMIN 0, VTIME 1 with a byte", 1, read(slave, bytes, 10));
  t.c_cc[VMIN] = 3;
  t.c_cc[VTIME] = 0;
  tcsetattr(slave, TCSANOW, &t);
  type("xy");
  SAYS("poll with VMIN 3 and two bytes", "0", "%d", input_waits(slave, 100));
  type("z");
  SAYS("poll with three", "1", "%d", input_waits(slave, 300));
  EQUALS("VMIN 3", 3, read(slave, bytes, 10));
  type("xy");
  usleep(20000);
  EQUALS("VMIN 3, a read of two", 2, read(slave, bytes, 2));
  t.c_cc[VTIME] = 1;
  tcsetattr(slave, TCSANOW, &t);
  type("xy");
  EQUALS("VMIN 3, VTIME 1 with two bytes", 2, read(slave, bytes, 10));
  pid_t child = fork();
  if (child == 0) {
    await_state(getppid(), 'S');
    type("p");
    usleep(50000);
    type("q");
    usleep(50000);
    type("r");
    _exit(0);
  }
  EQUALS("the time runs between bytes", 3, read(slave, bytes, 10));
  waitpid(child, NULL, 0);
  t.c_cc[VMIN] = 5;
  t.c_cc[VTIME] = 0;
  tcsetattr(slave, TCSANOW, &t);
  fcntl(slave, F_SETFL, O_RDWR | O_NONBLOCK);
  FAILS("VMIN 5, nonblocking, empty", EAGAIN, read(slave, bytes, 10));
  type("k");
  usleep(20000);
  EQUALS("VMIN 5, nonblocking, one byte", 1, read(slave, bytes, 10));
  /* Typed in raw mode, read as a line. */
  type("abc");
  usleep(20000);
  change(slave, 0, 0, 0, 0, ICANON, 0);
  SAYS("canonical again", "abc", "%s", line_of(10));
  close_pair();
}

static void packets(void) {
  open_pair();
  int on = 1, value = 7;
  EQUALS("TIOCPKT", 0, ioctl(master, TIOCPKT, &on));
  EQUALS("TIOCGPKT", 0, ioctl(master, TIOCGPKT, &value));
  SAYS("packet mode", "1", "%d", value);
  write(slave, "hi", 2);
  SAYS("data", "^@hi", "%s", screen());
  tcflush(slave, TCIFLUSH);
  SAYS("flush of input", "^A", "%s", screen());
  tcflush(slave, TCOFLUSH);
  SAYS("flush of output", "^B", "%s", screen());
  tcflow(slave, TCOOFF);
  SAYS("stop", "^D", "%s", screen());
  tcflow(slave, TCOON);
  SAYS("start", "^H", "%s", screen());
  change(slave, 0, IXON, 0, 0, 0, 0);
  SAYS("no flow control", "^P", "%s", screen());
  change(slave, IXON, 0, 0, 0, 0, 0);
  SAYS("flow control", " ", "%s", screen());
  tcflush(slave, TCIFLUSH);
  struct pollfd p = {master, POLLPRI, 0};
  EQUALS("POLLPRI", 1, poll(&p, 1, 300));
  on = 0;
  EQUALS("TIOCPKT off", 0, ioctl(master, TIOCPKT, &on));
  write(slave, "ho", 2);
  SAYS("plain data", "ho", "%s", screen());
  FAILS("TIOCSIG of nonsense", EINVAL, ioctl(master, TIOCSIG, 99));
  close_pair();
}

static void closing(void) {
  open_pair();
  char bytes[100];
  write(slave, "last", 4);
  close(slave);
  EQUALS("what was written is still read", 4, read(master, bytes, 100));
  FAILS("then the master fails", EIO, read(master, bytes, 100));
  struct pollfd p = {master, POLLIN | POLLOUT, 0};
  poll(&p, 1, 0);
  SAYS("poll of a master alone", "10", "%x", p.revents & (POLLIN | POLLHUP | POLLERR));
  EQUALS("the master still writes", 2, write(master, "x\n", 2));
  slave = open(ptsname(master), O_RDWR | O_NOCTTY);
  TRUE("the slave opens again", slave >= 0);
  SAYS("and reads what was typed", "x^J", "%s", line_of(10));
  poll(&p, 1, 0);
  SAYS("poll with a slave again", "0", "%x", p.revents & POLLHUP);
  pid_t child = fork();
  if (child == 0) {
    close(master);
    errno = 0;
    int n = read(slave, bytes, 100);
    SAYS("a waiting reader at the end", "-1 EIO", "%d %s", n, errno == 0 ? "" : strerrorname_np(errno));
    _exit(0);
  }
  await_state(child, 'S');
  close(master);
  waitpid(child, NULL, 0);
  EQUALS("a later read", 0, read(slave, bytes, 100));
  FAILS("a later write", EIO, write(slave, "x", 1));
  struct termios t;
  FAILS("a later tcgetattr", EIO, tcgetattr(slave, &t));
  FAILS("a later tcsetpgrp", ENOTTY, tcsetpgrp(slave, getpgrp()));
  p.fd = slave;
  poll(&p, 1, 0);
  SAYS("poll of a dead slave", "1d", "%x", p.revents);
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
  await_state(getpid(), 'S');
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
  FAILS("open /dev/tty without one", ENXIO, open("/dev/tty", O_RDWR));
  FAILS("tcgetpgrp before", ENOTTY, tcgetpgrp(slave));
  FAILS("TIOCNOTTY before", ENOTTY, ioctl(slave, TIOCNOTTY));
  int fd = open(name, O_RDWR | O_NOCTTY);
  FAILS("O_NOCTTY leaves it", ENXIO, open("/dev/tty", O_RDWR));
  close(fd);
  fd = open(name, O_WRONLY);
  FAILS("for writing alone neither", ENXIO, open("/dev/tty", O_RDWR));
  close(fd);
  fd = open(name, O_RDWR);
  int tty = open("/dev/tty", O_RDWR);
  TRUE("open makes it ours", tty >= 0);
  TRUE("tcgetpgrp", tcgetpgrp(fd) == getpgrp());
  TRUE("tcgetsid", tcgetsid(fd) == getsid(0));
  int group = 0;
  EQUALS("TIOCGPGRP of the master", 0, ioctl(master, TIOCGPGRP, &group));
  TRUE("is the same", group == getpgrp());
  EQUALS("TIOCSCTTY again", 0, ioctl(fd, TIOCSCTTY, 0));
  char text[64] = "";
  EQUALS("ttyname of /dev/tty", 0, ttyname_r(tty, text, sizeof text) == 0 ? 0 : -1);
  pid_t child = fork();
  if (child == 0) {
    FAILS("a child's TIOCSCTTY", EPERM, ioctl(fd, TIOCSCTTY, 0));
    EQUALS("a child's TIOCNOTTY", 0, ioctl(fd, TIOCNOTTY));
    FAILS("leaves it", ENXIO, open("/dev/tty", O_RDWR));
    FAILS("its tcgetpgrp", ENOTTY, tcgetpgrp(fd));
    _exit(0);
  }
  waitpid(child, NULL, 0);
  TRUE("the leader still has it", (child = open("/dev/tty", O_RDWR)) >= 0);
  child = fork();
  if (child == 0) {
    setsid();
    FAILS("another session has none", ENXIO, open("/dev/tty", O_RDWR));
    FAILS("and cannot take it", EPERM, ioctl(fd, TIOCSCTTY, 0));
    FAILS("nor ask", ENOTTY, tcgetpgrp(fd));
    _exit(0);
  }
  waitpid(child, NULL, 0);
  FAILS("tcsetpgrp of nobody", ESRCH, tcsetpgrp(fd, 999999));
  FAILS("tcsetpgrp of a negative", EINVAL, tcsetpgrp(fd, -5));
  on(SIGHUP);
  on(SIGCONT);
  EQUALS("TIOCNOTTY of the leader", 0, ioctl(fd, TIOCNOTTY));
  TRUE("signals it", got == SIGHUP || got == SIGCONT);
  FAILS("and it is gone", ENXIO, open("/dev/tty", O_RDWR));
  EQUALS("TIOCSCTTY takes it back", 0, ioctl(fd, TIOCSCTTY, 0));
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
    FAILS("a key ends a read", EINTR, read(slave, bytes, 10));
    TRUE("with its signal", got == signals[i]);
    SAYS("the screen", (const char *[]){"^C", "^\\", "^Z"}[i], "%s", screen());
  }
  SAYS("input is gone", "nothing", "%s", line_of(10));
  change(slave, 0, 0, 0, 0, NOFLSH, 0);
  got = 0;
  key("kept\003\n");
  for (int i = 0; i < 5000 && got == 0; i++) usleep(1000);
  TRUE("NOFLSH signals", got == SIGINT);
  SAYS("and keeps", "kept^J", "%s", line_of(10));
  change(slave, 0, 0, 0, 0, 0, ISIG);
  got = 0;
  type("a\003\n");
  SAYS("without ISIG", "a^C^J", "%s", line_of(10));
  SAYS("no signal", "0", "%d", got);
  struct winsize w = {30, 90, 0, 0};
  on(SIGWINCH);
  got = 0;
  ioctl(master, TIOCSWINSZ, &w);
  usleep(10000);
  TRUE("SIGWINCH", got == SIGWINCH);
  got = 0;
  ioctl(master, TIOCSWINSZ, &w);
  usleep(10000);
  SAYS("not for the same size", "0", "%d", got);
  FAILS("TIOCSIG of another signal", EINVAL, ioctl(master, TIOCSIG, SIGUSR1));
  on(SIGINT);
  EQUALS("TIOCSIG", 0, ioctl(master, TIOCSIG, SIGINT));
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
  SAYS("a background read", "stopped by TTIN", "%s", how(child));
  tcsetpgrp(slave, child);
  kill(-child, SIGCONT);
  SAYS("in the foreground", "continued", "%s", how(child));
  type("back\n");
  SAYS("it reads on", "exited 5", "%s", how(child));
  signal(SIGTTOU, SIG_IGN);
  EQUALS("back to us", 0, tcsetpgrp(slave, getpgrp()));
  child = background(writes);
  SAYS("a background write", "exited 0", "%s", how(child));
  change(slave, 0, 0, 0, 0, TOSTOP, 0);
  signal(SIGTTOU, SIG_DFL);
  child = background(writes);
  SAYS("with TOSTOP", "stopped by TTOU", "%s", how(child));
  kill(-child, SIGKILL);
  SAYS("killed", "killed by KILL", "%s", how(child));
  child = background(sets);
  SAYS("background settings", "stopped by TTOU", "%s", how(child));
  kill(-child, SIGKILL);
  how(child);
  child = background(grabs);
  SAYS("background tcsetpgrp", "stopped by TTOU", "%s", how(child));
  kill(-child, SIGKILL);
  how(child);
  SAYS("read with SIGTTIN ignored", "exited 99", "%s", how(background(ignoring_reads)));
  SAYS("settings with SIGTTOU ignored", "exited 0", "%s", how(background(ignoring_sets)));
  SAYS("tcsetpgrp with SIGTTOU blocked", "exited 0", "%s", how(background(blocking_grabs)));
  EQUALS("to the foreground again", 0, ({ signal(SIGTTOU, SIG_IGN); tcsetpgrp(slave, getpgrp()); }));
  /* Suspended by the keyboard, continued, interrupted. */
  signal(SIGTTOU, SIG_IGN);
  child = background(reads);
  tcsetpgrp(slave, child);
  kill(-child, SIGCONT);
  await_state(child, 'S');
  while (waitpid(child, NULL, WUNTRACED | WCONTINUED | WNOHANG) > 0) {}
  type("\032");
  SAYS("^Z", "stopped by TSTP", "%s", how(child));
  kill(-child, SIGCONT);
  SAYS("fg", "continued", "%s", how(child));
  await_state(child, 'S');
  type("\003");
  SAYS("^C", "killed by INT", "%s", how(child));
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
  SAYS("an orphan's read", "EIO", "%s", strerrorname_np(result));
}

static void hangs_up(void) {
  ioctl(slave, TIOCSCTTY, 0);
  on(SIGHUP);
  close(master); /* our parent has one too */
  char c;
  EQUALS("tell", 1, write(report[1], "x", 1));
  while (got == 0) pause();
  TRUE("the leader gets SIGHUP", got == SIGHUP);
  FAILS("the terminal is gone", ENXIO, open("/dev/tty", O_RDWR));
  EQUALS("it reads as ended", 0, read(slave, &c, 1));
  FAILS("writes fail", EIO, write(slave, "x", 1));
}

static void vhangs_up(void) {
  ioctl(slave, TIOCSCTTY, 0);
  on(SIGHUP);
  EQUALS("vhangup", 0, vhangup());
  TRUE("signals the leader", got == SIGHUP);
  char c;
  EQUALS("the file is dead", 0, read(slave, &c, 1));
  FAILS("the terminal is no longer ours", ENXIO, open("/dev/tty", O_RDWR));
  int fd = open(ptsname(master), O_RDWR | O_NOCTTY);
  EQUALS("it opens again", 1, write(fd, "x", 1));
  SAYS("and works", "x", "%s", screen());
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
  SAYS("session", "0", "%d", in_session(controlling));
  close_pair();
  SAYS("keyboard", "0", "%d", in_session(keyboard));
  close_pair();
  SAYS("jobs", "0", "%d", in_session(jobs));
  close_pair();
  SAYS("orphans", "0", "%d", in_session(orphans));
  close_pair();
  SAYS("vhangup", "0", "%d", in_session(vhangs_up));
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
  SAYS("hang-up", "0", "%d", wait_code(child));
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
  SAYS("after the leader", "hnw", "%.3s", bytes);
  close_pair();
  return 0;
}

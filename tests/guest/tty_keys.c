// The line discipline under random settings and keys: what the screen shows and what a program reads, round by round.
#include "check.h"
#include <pty.h>
#include <termios.h>

static uint32_t state = 12345;
static uint32_t any(uint32_t below) {
  state = state * 1664525 + 1013904223;
  return (state >> 8) % below;
}
static tcflag_t some(const tcflag_t *flags, int count) {
  tcflag_t chosen = 0;
  for (int i = 0; i < count; i++)
    if (any(2)) chosen |= flags[i];
  return chosen;
}

static int shown(char *to, const char *bytes, int length) {
  int n = 0;
  if (length < 0) return sprintf(to, "%s", strerrorname_np(errno));
  for (int i = 0; i < length && n < 300; i++) {
    unsigned char c = bytes[i];
    n += sprintf(to + n, c > 32 && c < 127 && c != '\\' ? "%c" : "\\%02x", c);
  }
  to[n] = 0;
  return n;
}

#define COUNT(list) ((int)(sizeof(list) / sizeof(*(list))))

int main(void) {
  static const tcflag_t input[] = {ICRNL, INLCR, IGNCR, IXON, IXANY, ISTRIP, IUCLC, IUTF8, PARMRK};
  static const tcflag_t output[] = {OPOST, OPOST, ONLCR, OCRNL, ONOCR, ONLRET, OLCUC, XTABS};
  static const tcflag_t local[] = {ISIG,  ICANON, ICANON, ECHO,    ECHO,    ECHOE,  ECHOK,
                                   ECHONL, NOFLSH, IEXTEN, ECHOCTL, ECHOPRT, ECHOKE, ECHOE};
  /* Every key that means something, and some that do not. */
  static const char *keys[] = {"a", "b", "c", "Z", "_", " ", " ", "9", "\t", "\t", "\r", "\n", "\n", "\x7f", "\x7f", "\x15",
                               "\x17", "\x16", "\x12", "\x04", "\x03", "\x1c", "\x1a", "\x13", "\x11", "\x11", "\x01", "\x1b",
                               "\xc3\xa4", "\xe2\x82\xac", "\xff", "\x80", "+", ";", "ab cd"};
  int master, slave;
  if (openpty(&master, &slave, NULL, NULL, NULL) != 0) _exit(98);
  fcntl(master, F_SETFL, O_RDWR | O_NONBLOCK);
  fcntl(slave, F_SETFL, O_RDWR | O_NONBLOCK);
  for (int round = 0; round < 200; round++) {
    struct termios t;
    tcgetattr(slave, &t);
    if (any(4) == 0) {
      t.c_iflag = some(input, COUNT(input));
      t.c_oflag = some(output, COUNT(output));
      t.c_lflag = some(local, COUNT(local));
      t.c_cc[VEOL] = any(3) ? 0 : ';';
      t.c_cc[VMIN] = any(4) ? 1 : 3;
      tcsetattr(slave, any(2) ? TCSANOW : TCSAFLUSH, &t);
    }
    char typed[200] = "";
    for (int n = 1 + any(10); n > 0; n--) strcat(typed, keys[any(COUNT(keys))]);
    int wrote = write(master, typed, strlen(typed));
    struct pollfd p = {slave, POLLIN | POLLOUT, 0};
    poll(&p, 1, 0);
    usleep(15000); /* Linux hands keys over in a worker */
    char screen[4096], text[2][400], put_error[40] = "0";
    int got = read(master, screen, sizeof screen);
    int seen = got > 0 ? got : 0;
    char printed[40];
    int length = any(3) ? 0 : sprintf(printed, "%s", any(2) ? "x\ty\n" : "\r\bq\xc3\xa4");
    if (length > 0) {
      int put = write(slave, printed, length);
      snprintf(put_error, sizeof put_error, "%d %s", put, put < 0 ? strerrorname_np(errno) : "");
      struct pollfd q = {master, POLLIN, 0};
      if (put > 0) poll(&q, 1, 500);
      usleep(1000);
      got = read(master, screen + seen, sizeof screen - seen);
      seen += got > 0 ? got : 0;
    }
    shown(text[0], screen, seen);
    char line[200];
    int available = -1;
    ioctl(slave, FIONREAD, &available);
    poll(&p, 1, 0);
    int read_now = 1 + any(30);
    got = read(slave, line, read_now);
    shown(text[1], line, got);
    char name[30];
    snprintf(name, sizeof name, "round %d", round);
    say(name, "typed %d put %s screen %s available %d poll %x read %s", wrote, put_error, text[0], available, p.revents,
        text[1]);
  }
  return 0;
}

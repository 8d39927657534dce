// Talking between processes: pipes, FIFOs, poll, select, epoll, eventfd, Unix sockets of all types, descriptors on their way.
#include "check.h"
#include <stddef.h>

static char buffer[300000];

static void set_nonblocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

static int ready(int fd, int events) {
  struct pollfd one = {.fd = fd, .events = events};
  return poll(&one, 1, 0) < 0 ? -1 : one.revents;
}
/* The events that poll(2) reports, in hexadecimal. */
#define READY(name, expected, fd) SAYS(name, expected, "%x", ready(fd, 0xffff & ~POLLNVAL))

// --- pipes ----------------------------------------------------------------------------------------------------------

static void pipes(void) {
  int p[2];
  FAILS("pipe2 with bad flags", EINVAL, pipe2(p, O_APPEND));
  FAILS("pipe at a bad address", EFAULT, pipe((int *)BAD));
  EQUALS("pipe", 0, pipe(p));
  READY("an empty pipe's reader", "0", p[0]);
  READY("an empty pipe's writer", "104", p[1]);
  EQUALS("write", 5, write(p[1], "hello", 5));
  READY("a filled pipe's reader", "41", p[0]);
  int n = -1;
  EQUALS("FIONREAD", 0, ioctl(p[0], FIONREAD, &n));
  EQUALS("FIONREAD counts", 5, n);
  EQUALS("read a part", 3, read(p[0], buffer, 3));
  EQUALS("read the rest", 2, read(p[0], buffer, 100));
  FAILS("read of the writer", EBADF, read(p[1], buffer, 1));
  FAILS("write of the reader", EBADF, write(p[0], buffer, 1));
  FAILS("lseek of a pipe", ESPIPE, lseek(p[0], 0, SEEK_CUR));
  FAILS("pread of a pipe", ESPIPE, pread(p[0], buffer, 1, 0));
  FAILS("write from a bad address", EFAULT, write(p[1], BAD, 10));
  EQUALS("read of 0 bytes", 0, read(p[0], buffer, 0));
  set_nonblocking(p[0]);
  set_nonblocking(p[1]);
  FAILS("read of nothing", EAGAIN, read(p[0], buffer, 10));
  long total = 0, got;
  while ((got = write(p[1], buffer, 1000)) > 0) total += got;
  TRUE("filled by writes of 1000", total == 65000 || total == 65536 || total == 64000);
  READY("a full pipe's writer", "0", p[1]);
  total = 0;
  while ((got = read(p[0], buffer, 7000)) > 0) total += got;
  EQUALS("a big write is cut", 65536, write(p[1], buffer, 100000));
  EQUALS("F_GETPIPE_SZ", 65536, fcntl(p[0], F_GETPIPE_SZ));
  EQUALS("F_SETPIPE_SZ", 131072, fcntl(p[0], F_SETPIPE_SZ, 100000));
  FAILS("F_SETPIPE_SZ too small", EBUSY, fcntl(p[0], F_SETPIPE_SZ, 4096));
  FAILS("F_SETPIPE_SZ of 0", EBUSY, fcntl(p[0], F_SETPIPE_SZ, 0));
  EQUALS("a bigger pipe takes more", 65536, write(p[1], buffer, 100000));
  close(p[1]);
  READY("a reader with bytes and no writer", "51", p[0]);
  while ((got = read(p[0], buffer, 70000)) > 0) continue;
  EQUALS("end of file", 0, got);
  READY("a reader without writer", "10", p[0]);
  close(p[0]);

  pipe(p);
  close(p[0]);
  signal(SIGPIPE, SIG_IGN);
  READY("a writer without reader", "10c", p[1]);
  FAILS("EPIPE", EPIPE, write(p[1], "x", 1));
  EQUALS("nothing to a broken pipe", 0, write(p[1], "x", 0));
  signal(SIGPIPE, SIG_DFL);
  pid_t child = fork();
  if (child == 0) {
    write(p[1], "x", 1);
    _exit(0);
  }
  EQUALS("SIGPIPE kills", SIGPIPE, wait_code(child) - 1000);
  close(p[1]);

  pipe2(p, O_DIRECT | O_NONBLOCK);
  write(p[1], buffer, 10);
  write(p[1], buffer, 20);
  EQUALS("a packet", 10, read(p[0], buffer, 100));
  EQUALS("a packet that is cut", 5, read(p[0], buffer, 5));
  FAILS("the rest of it is gone", EAGAIN, read(p[0], buffer, 5));
  close(p[0]);
  close(p[1]);

  struct stat status;
  pipe(p);
  fstat(p[0], &status);
  SAYS("fstat of a pipe", "10600 0", "%o %ld", status.st_mode, (long)status.st_size);
  char link[64] = "";
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", p[0]);
  readlink(path, link, sizeof link - 1);
  TRUE("its link", strncmp(link, "pipe:[", 6) == 0);
  struct iovec parts[3] = {{"ab", 2}, {"", 0}, {"cde", 3}};
  EQUALS("writev", 5, writev(p[1], parts, 3));
  char one[2], two[4];
  struct iovec into[2] = {{one, 2}, {two, 4}};
  EQUALS("readv", 5, readv(p[0], into, 2));
  TRUE("readv scatters", memcmp(one, "ab", 2) == 0 && memcmp(two, "cde", 3) == 0);
  int q[2];
  pipe(q);
  write(p[1], "splice me", 9);
  EQUALS("tee", 9, tee(p[0], q[1], 100, 0));
  EQUALS("splice", 6, splice(p[0], NULL, q[1], NULL, 6, 0));
  EQUALS("what has come over", 15, read(q[0], buffer, 100));
  EQUALS("what is left", 3, read(p[0], buffer, 100));
  close(q[0]);
  close(q[1]);

  child = fork();
  if (child == 0) {
    await_state(getppid(), 'S');
    write(p[1], "late", 4);
    _exit(0);
  }
  EQUALS("a read waits", 4, read(p[0], buffer, 100));
  wait_code(child);
  child = fork();
  if (child == 0) {
    long seen = 0;
    await_state(getppid(), 'S');
    while (seen < 200000) seen += read(p[0], buffer, 5000);
    _exit(seen == 200000);
  }
  EQUALS("a big write waits", 200000, write(p[1], buffer, 200000));
  EQUALS("and all of it arrives", 1, wait_code(child));
  close(p[0]);
  close(p[1]);
}

static void fifos(const char *directory) {
  char path[256];
  snprintf(path, sizeof path, "%s/fifo", directory);
  EQUALS("mkfifo", 0, mkfifo(path, 0600));
  FAILS("mkfifo again", EEXIST, mkfifo(path, 0600));
  FAILS("write without reader", ENXIO, open(path, O_WRONLY | O_NONBLOCK));
  int r = open(path, O_RDONLY | O_NONBLOCK);
  TRUE("read without writer", r >= 0);
  READY("a FIFO that nobody wrote", "0", r);
  EQUALS("read of it", 0, read(r, buffer, 10));
  int w = open(path, O_WRONLY);
  EQUALS("write", 3, write(w, "abc", 3));
  close(w);
  READY("a FIFO whose writer has gone", "51", r);
  EQUALS("its bytes", 3, read(r, buffer, 10));
  READY("and then", "10", r);
  close(r);
  int both = open(path, O_RDWR);
  TRUE("read and write", both >= 0);
  write(both, "x", 1);
  READY("is its own partner", "145", both);
  close(both);
  pid_t child = fork();
  if (child == 0) {
    await_state(getppid(), 'S');
    int fd = open(path, O_WRONLY);
    write(fd, "from the child", 14);
    _exit(0);
  }
  r = open(path, O_RDONLY);
  EQUALS("open waits for the other side", 14, read(r, buffer, 100));
  EQUALS("and sees it close", 0, read(r, buffer, 100));
  close(r);
  wait_code(child);
  struct stat status;
  stat(path, &status);
  SAYS("stat of a FIFO", "10600", "%o", status.st_mode);
  unlink(path);
  int p[2];
  pipe(p);
  write(p[1], "left", 4);
  close(p[1]);
  snprintf(path, sizeof path, "/proc/self/fd/%d", p[0]);
  r = open(path, O_RDONLY);
  TRUE("a pipe without writer opens again", r >= 0);
  EQUALS("with its bytes", 4, read(r, buffer, 100));
  READY("and its end", "10", r);
  w = open(path, O_WRONLY | O_NONBLOCK);
  TRUE("for writing too", w >= 0);
  EQUALS("of which the reader reads", 8, write(w, "more", 4) + read(p[0], buffer, 100));
  close(r);
  close(p[0]);
  close(w);
}

// --- poll, select, epoll --------------------------------------------------------------------------------------------

static volatile int caught;
static void catch(int number) { caught = number; }

static void polls(void) {
  int p[2];
  pipe(p);
  struct pollfd list[4] = {{p[0], POLLIN, 99}, {p[1], POLLOUT, 99}, {-1, POLLIN, 99}, {900, POLLIN, 99}};
  EQUALS("poll", 2, poll(list, 4, -1));
  SAYS("revents", "0 4 0 20", "%x %x %x %x", list[0].revents, list[1].revents, list[2].revents, list[3].revents);
  double before = now_seconds();
  EQUALS("poll times out", 0, poll(list, 1, 30));
  double spent = now_seconds() - before;
  TRUE("after its time", spent >= 0.03 && spent < 1);
  FAILS("poll at a bad address", EFAULT, poll((void *)BAD, 1, 0));
  FAILS("poll of too many", EINVAL, poll(list, 1 << 30, 0));
  EQUALS("poll of none", 0, poll(NULL, 0, 0));
  list[0].fd = open("/dev/null", O_RDWR);
  list[0].events = POLLIN | POLLOUT;
  EQUALS("poll of a device", 1, poll(list, 1, 0));
  SAYS("its events", "5", "%x", list[0].revents);
  close(list[0].fd);
  list[0].fd = p[0];

  struct sigaction action = {.sa_handler = catch, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  struct itimerval soon = {.it_value = {0, 20000}};
  setitimer(ITIMER_REAL, &soon, NULL);
  FAILS("poll interrupted, even with SA_RESTART", EINTR, poll(list, 1, 5000));
  sigset_t blocked, none;
  sigemptyset(&none);
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGALRM);
  sigprocmask(SIG_BLOCK, &blocked, NULL);
  caught = 0;
  kill(getpid(), SIGALRM);
  struct timespec time = {2, 0};
  FAILS("ppoll lets a pending signal in", EINTR, ppoll(list, 1, &time, &none));
  EQUALS("it was handled", 14, caught);
  sigset_t now;
  sigprocmask(SIG_BLOCK, NULL, &now);
  TRUE("the mask is back", sigismember(&now, SIGALRM));
  time = (struct timespec){0, 1000000000};
  FAILS("ppoll with a bad time", EINVAL, ppoll(list, 1, &time, NULL));
  FAILS("ppoll with a bad mask size", EINVAL, syscall(SYS_ppoll, list, 1, NULL, &none, 4));
  time = (struct timespec){0, 10000000};
  EQUALS("raw ppoll", 0, syscall(SYS_ppoll, list, 1, &time, NULL, 8));
  TRUE("it leaves no time", time.tv_sec == 0 && time.tv_nsec == 0);

  fd_set in, out;
  FD_ZERO(&in);
  FD_ZERO(&out);
  FD_SET(p[0], &in);
  FD_SET(p[1], &out);
  struct timeval wait = {5, 0};
  EQUALS("select", 1, select(p[1] + 1, &in, &out, NULL, &wait));
  TRUE("its sets", !FD_ISSET(p[0], &in) && FD_ISSET(p[1], &out));
  FD_ZERO(&in);
  FD_SET(p[0], &in);
  wait = (struct timeval){0, 20000};
  EQUALS("select times out", 0, select(p[0] + 1, &in, NULL, NULL, &wait));
  TRUE("and clears", !FD_ISSET(p[0], &in) && wait.tv_sec == 0 && wait.tv_usec == 0);
  FAILS("select of a negative count", EINVAL, select(-1, NULL, NULL, NULL, NULL));
  FD_SET(60, &in);
  close(60);
  FAILS("select of a closed one", EBADF, select(61, &in, NULL, NULL, &wait));
  wait = (struct timeval){-1, 0};
  FAILS("select of a negative time", EINVAL, select(0, NULL, NULL, NULL, &wait));
  caught = 0;
  kill(getpid(), SIGALRM);
  struct timespec two = {2, 0};
  FAILS("pselect lets a pending signal in", EINTR, pselect(0, NULL, NULL, NULL, &two, &none));
  EQUALS("it was handled too", 14, caught);
  sigprocmask(SIG_UNBLOCK, &blocked, NULL);
  close(p[0]);
  close(p[1]);
}

static void epolls(void) {
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0x1122334455667788}, events[8];
  FAILS("epoll_create of 0", EINVAL, epoll_create(0));
  FAILS("epoll_create1 with bad flags", EINVAL, epoll_create1(1));
  int ep = epoll_create1(EPOLL_CLOEXEC);
  int p[2];
  pipe(p);
  EQUALS("add", 0, epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &event));
  FAILS("add again", EEXIST, epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &event));
  FAILS("modify what is not there", ENOENT, epoll_ctl(ep, EPOLL_CTL_MOD, p[1], &event));
  FAILS("delete what is not there", ENOENT, epoll_ctl(ep, EPOLL_CTL_DEL, p[1], &event));
  FAILS("add at a bad address", EFAULT, epoll_ctl(ep, EPOLL_CTL_ADD, p[1], (void *)BAD));
  FAILS("add a closed one", EBADF, epoll_ctl(ep, EPOLL_CTL_ADD, 900, &event));
  FAILS("add itself", EINVAL, epoll_ctl(ep, EPOLL_CTL_ADD, ep, &event));
  FAILS("add to no epoll", EINVAL, epoll_ctl(p[0], EPOLL_CTL_ADD, p[1], &event));
  FAILS("a bad operation", EINVAL, epoll_ctl(ep, 9, p[0], &event));
  int file = open("/proc/self/exe", O_RDONLY);
  FAILS("add a regular file", EPERM, epoll_ctl(ep, EPOLL_CTL_ADD, file, &event));
  close(file);
  int null = open("/dev/null", O_RDONLY);
  FAILS("add /dev/null", EPERM, epoll_ctl(ep, EPOLL_CTL_ADD, null, &event));
  close(null);
  FAILS("wait for 0", EINVAL, epoll_wait(ep, events, 0, 0));
  FAILS("wait on no epoll", EINVAL, epoll_wait(p[0], events, 1, 0));
  EQUALS("nothing is ready", 0, epoll_wait(ep, events, 8, 0));
  write(p[1], "x", 1);
  EQUALS("one is ready", 1, epoll_wait(ep, events, 8, -1));
  SAYS("what and whose", "1 1122334455667788", "%x %lx", events[0].events, (long)events[0].data.u64);
  EQUALS("it stays ready", 1, epoll_wait(ep, events, 8, 0));
  event.events = EPOLLIN | EPOLLET;
  EQUALS("modify to edges", 0, epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &event));
  EQUALS("ready once", 1, epoll_wait(ep, events, 8, 0));
  EQUALS("and not again", 0, epoll_wait(ep, events, 8, 0));
  write(p[1], "y", 1);
  EQUALS("until the next event", 1, epoll_wait(ep, events, 8, 0));
  event.events = EPOLLIN | EPOLLONESHOT;
  epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &event);
  EQUALS("one shot", 1, epoll_wait(ep, events, 8, 0));
  write(p[1], "z", 1);
  EQUALS("is over", 0, epoll_wait(ep, events, 8, 0));
  event.events = EPOLLIN;
  epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &event);
  EQUALS("until armed again", 1, epoll_wait(ep, events, 8, 0));
  FAILS("wait at a bad address", EFAULT, epoll_wait(ep, (void *)BAD, 8, 0));
  int copy = dup(p[0]);
  close(p[0]);
  EQUALS("closed but not gone", 1, epoll_wait(ep, events, 8, 0));
  close(copy);
  EQUALS("gone", 0, epoll_wait(ep, events, 8, 0));
  close(p[1]);

  int chain[7];
  for (int i = 0; i < 7; i++) chain[i] = epoll_create1(0);
  for (int i = 0; i < 6; i++) {
    char name[32];
    snprintf(name, sizeof name, "nesting %d", i);
    ANSWERS(name, i == 4 ? -ELOOP : 0, epoll_ctl(chain[i + 1], EPOLL_CTL_ADD, chain[i], &event));
  }
  FAILS("a loop", ELOOP, epoll_ctl(chain[0], EPOLL_CTL_ADD, chain[2], &event));
  int fd = eventfd(0, EFD_NONBLOCK);
  event.events = EPOLLIN;
  epoll_ctl(chain[0], EPOLL_CTL_ADD, fd, &event);
  EQUALS("nothing nested is ready", 0, epoll_wait(chain[3], events, 8, 0));
  uint64_t value = 1;
  write(fd, &value, 8);
  EQUALS("something nested is ready", 1, epoll_wait(chain[3], events, 8, 100));
  READY("an epoll as a file", "41", chain[2]);
  for (int i = 0; i < 7; i++) close(chain[i]);
  event.events = EPOLLIN | EPOLLEXCLUSIVE | EPOLLRDHUP;
  FAILS("exclusive with too much", EINVAL, epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event));
  event.events = EPOLLIN | EPOLLEXCLUSIVE;
  EQUALS("exclusive", 0, epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event));
  FAILS("exclusive modified", EINVAL, epoll_ctl(ep, EPOLL_CTL_MOD, fd, &event));
  EQUALS("exclusive is told", 1, epoll_wait(ep, events, 8, 0));
  struct timespec time = {0, 10000000};
  value = 0;
  read(fd, &value, 8);
  EQUALS("epoll_pwait2 times out", 0, syscall(SYS_epoll_pwait2, ep, events, 8, &time, NULL, 0));
  caught = 0;
  struct itimerval soon = {.it_value = {0, 20000}};
  setitimer(ITIMER_REAL, &soon, NULL);
  FAILS("epoll_wait interrupted", EINTR, epoll_wait(ep, events, 8, 5000));
  pid_t child = fork();
  if (child == 0) {
    await_state(getppid(), 'S');
    value = 7;
    write(fd, &value, 8);
    _exit(0);
  }
  EQUALS("woken by another process", 1, epoll_wait(ep, events, 8, 5000));
  wait_code(child);
  close(fd);
  close(ep);
}

static void eventfds(void) {
  uint64_t value = 5;
  FAILS("eventfd with bad flags", EINVAL, eventfd(0, 0x100));
  int fd = eventfd(3, EFD_NONBLOCK);
  EQUALS("add", 8, write(fd, &value, 8));
  FAILS("a short write", EINVAL, write(fd, &value, 4));
  FAILS("a short read", EINVAL, read(fd, &value, 4));
  EQUALS("read", 8, read(fd, &value, 8));
  EQUALS("the sum", 8, value);
  FAILS("read of zero", EAGAIN, read(fd, &value, 8));
  value = -1;
  FAILS("write of all ones", EINVAL, write(fd, &value, 8));
  value = -2;
  EQUALS("write of the most", 8, write(fd, &value, 8));
  READY("when it is full", "1", fd);
  value = 1;
  FAILS("one more", EAGAIN, write(fd, &value, 8));
  close(fd);
  fd = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
  value = 0;
  read(fd, &value, 8);
  EQUALS("a semaphore gives one", 1, value);
  read(fd, &value, 8);
  FAILS("then it is empty", EAGAIN, read(fd, &value, 8));
  struct stat status;
  fstat(fd, &status);
  SAYS("fstat of an eventfd", "600", "%o", status.st_mode);
  char path[64], link[64] = "";
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  readlink(path, link, sizeof link - 1);
  SAYS("its link", "anon_inode:[eventfd]", "%s", link);
  EQUALS("lseek of an eventfd", 0, lseek(fd, 5, SEEK_SET));
  FAILS("ftruncate of an eventfd", EINVAL, ftruncate(fd, 5));
  close(fd);
}

static void memfds(void) {
  FAILS("memfd_create with bad flags", EINVAL, memfd_create("x", 0x8000));
  int fd = memfd_create("thing", MFD_ALLOW_SEALING | MFD_CLOEXEC);
  char path[64], link[64] = "";
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  readlink(path, link, sizeof link - 1);
  SAYS("a memfd's link", "/memfd:thing (deleted)", "%s", link);
  EQUALS("write", 10, write(fd, "0123456789", 10));
  EQUALS("no seals yet", 0, fcntl(fd, F_GET_SEALS));
  EQUALS("seal the size", 0, fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
  FAILS("shrink", EPERM, ftruncate(fd, 5));
  FAILS("grow", EPERM, ftruncate(fd, 50));
  FAILS("write beyond the end", EPERM, pwrite(fd, "x", 1, 10));
  EQUALS("write inside", 1, pwrite(fd, "x", 1, 9));
  char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  TRUE("map it", map != MAP_FAILED && memcmp(map, "012345678x", 10) == 0);
  FAILS("seal writes while it is mapped", EBUSY, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
  munmap(map, 4096);
  EQUALS("seal writes", 0, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
  FAILS("write after that", EPERM, pwrite(fd, "x", 1, 0));
  FAILS("map for writing after that", EPERM, mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
  TRUE("map for reading after that", map != MAP_FAILED);
  FAILS("make that writable", EACCES, mprotect(map, 4096, PROT_READ | PROT_WRITE));
  EQUALS("seal the seals", 0, fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
  FAILS("one seal more", EPERM, fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
  EQUALS("all seals", F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE, fcntl(fd, F_GET_SEALS));
  close(fd);
  fd = memfd_create("", 0);
  EQUALS("without MFD_ALLOW_SEALING", F_SEAL_SEAL, fcntl(fd, F_GET_SEALS));
  close(fd);
}

// --- Unix sockets ---------------------------------------------------------------------------------------------------

static socklen_t address_of(struct sockaddr_un *address, const char *path, int is_abstract) {
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  strcpy(address->sun_path + is_abstract, path);
  return offsetof(struct sockaddr_un, sun_path) + is_abstract + strlen(path) + !is_abstract;
}

static void streams(const char *directory) {
  char path[256];
  snprintf(path, sizeof path, "%s/socket", directory);
  struct sockaddr_un address, other;
  socklen_t length = address_of(&address, path, 0);
  FAILS("socket of a bad family", EAFNOSUPPORT, socket(99, SOCK_STREAM, 0));
  FAILS("socket of a bad type", ESOCKTNOSUPPORT, socket(AF_UNIX, 7, 0));
  FAILS("socket of a bad protocol", EPROTONOSUPPORT, socket(AF_UNIX, SOCK_STREAM, 9));
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  READY("a fresh stream", "314", listener);
  FAILS("listen without name", EINVAL, listen(listener, 5));
  FAILS("accept without listen", EINVAL, accept(listener, NULL, NULL));
  FAILS("recv without connection", EINVAL, recv(listener, buffer, 1, 0));
  FAILS("send without connection", ENOTCONN, send(listener, buffer, 1, MSG_NOSIGNAL));
  FAILS("bind to too short an address", EINVAL, bind(listener, (void *)&address, 1));
  FAILS("bind to too long an address", EINVAL, bind(listener, (void *)&address, 200));
  EQUALS("bind", 0, bind(listener, (void *)&address, length));
  FAILS("bind twice", EADDRINUSE, bind(listener, (void *)&address, length));
  int second = socket(AF_UNIX, SOCK_STREAM, 0);
  FAILS("bind to a used name", EADDRINUSE, bind(second, (void *)&address, length));
  FAILS("connect before listen", ECONNREFUSED, connect(second, (void *)&address, length));
  EQUALS("listen", 0, listen(listener, 1));
  struct stat status;
  stat(path, &status);
  SAYS("its node", "140755", "%o", status.st_mode);
  FAILS("open of the node", ENXIO, open(path, O_RDWR));
  READY("an idle listener", "0", listener);
  int client = socket(AF_UNIX, SOCK_STREAM, 0);
  EQUALS("connect", 0, connect(client, (void *)&address, length));
  FAILS("connect twice", EISCONN, connect(client, (void *)&address, length));
  READY("a listener with a client", "41", listener);
  READY("a client before accept", "304", client);
  EQUALS("send before accept", 5, send(client, "early", 5, 0));
  memset(&other, 0xff, sizeof other);
  length = sizeof other;
  int server = accept4(listener, (void *)&other, &length, SOCK_CLOEXEC);
  TRUE("accept", server >= 0);
  SAYS("a client without name", "2 1", "%d %d", (int)length, other.sun_family);
  FAILS("accept4 with bad flags", EINVAL, accept4(listener, NULL, NULL, 1));
  set_nonblocking(listener);
  FAILS("accept of nobody", EAGAIN, accept(listener, NULL, NULL));
  length = sizeof other;
  getpeername(client, (void *)&other, &length);
  TRUE("getpeername", strcmp(other.sun_path, path) == 0 && length == 2 + strlen(path) + 1);
  length = sizeof other;
  EQUALS("getsockname", 0, getsockname(server, (void *)&other, &length));
  TRUE("an end has the listener's name", strcmp(other.sun_path, path) == 0);
  length = 4;
  EQUALS("getsockname with little room", 0, getsockname(server, (void *)&other, &length));
  TRUE("tells the true length", length == 2 + strlen(path) + 1);
  FAILS("getpeername of a listener", ENOTCONN, getpeername(listener, (void *)&other, &length));
  EQUALS("recv", 5, recv(server, buffer, 100, 0));
  FAILS("recv of nothing", EAGAIN, recv(server, buffer, 100, MSG_DONTWAIT));
  send(client, "peekaboo", 8, 0);
  EQUALS("peek", 4, recv(server, buffer, 4, MSG_PEEK));
  EQUALS("recv after peek", 8, recv(server, buffer, 100, 0));
  struct ucred who;
  length = sizeof who;
  EQUALS("SO_PEERCRED", 0, getsockopt(server, SOL_SOCKET, SO_PEERCRED, &who, &length));
  TRUE("it is me", who.pid == getpid() && who.uid == geteuid() && who.gid == getegid());
  int number;
  length = sizeof number;
  getsockopt(server, SOL_SOCKET, SO_TYPE, &number, &length);
  EQUALS("SO_TYPE", SOCK_STREAM, number);
  getsockopt(listener, SOL_SOCKET, SO_ACCEPTCONN, &number, &length);
  EQUALS("SO_ACCEPTCONN", 1, number);
  getsockopt(client, SOL_SOCKET, SO_SNDBUF, &number, &length);
  CALL("SO_SNDBUF", number);
  number = 10000;
  setsockopt(client, SOL_SOCKET, SO_SNDBUF, &number, 4);
  getsockopt(client, SOL_SOCKET, SO_SNDBUF, &number, &length);
  EQUALS("SO_SNDBUF doubles", 20000, number);
  number = 1;
  setsockopt(client, SOL_SOCKET, SO_SNDBUF, &number, 4);
  getsockopt(client, SOL_SOCKET, SO_SNDBUF, &number, &length);
  EQUALS("SO_SNDBUF has a floor", 4608, number);
  FAILS("an option of nobody", ENOPROTOOPT, getsockopt(client, SOL_SOCKET, 999, &number, &length));
  FAILS("an option that is too short", EINVAL, setsockopt(client, SOL_SOCKET, SO_SNDBUF, &number, 2));
  FAILS("an option of another level", EOPNOTSUPP, setsockopt(client, 6, 1, &number, 4));
  FAILS("sendto a connection", EISCONN, sendto(client, "x", 1, 0, (void *)&address, sizeof address));
  FAILS("lseek of a socket", ESPIPE, lseek(client, 0, SEEK_SET));
  FAILS("listen of a connection", EINVAL, listen(client, 1));
  EQUALS("send of nothing", 0, send(client, "", 0, 0));
  FAILS("send from a bad address", EFAULT, send(client, BAD, 5, 0));
  FAILS("recv of not a socket", ENOTSOCK, recv(0, buffer, 1, 0));
  FAILS("recv of not a file", EBADF, recv(900, buffer, 1, 0));
  FAILS("shutdown with a bad how", EINVAL, shutdown(client, 3));
  EQUALS("shutdown", 0, shutdown(client, SHUT_WR));
  EQUALS("the other end reads to the end", 0, recv(server, buffer, 100, 0));
  READY("half closed", "2345", server);
  READY("the half that closed", "304", client);
  FAILS("EPIPE", EPIPE, send(client, "x", 1, MSG_NOSIGNAL));
  send(server, "unread", 6, 0);
  close(client);
  READY("the other end has closed", "235d", server);
  close(server);
  close(second);

  for (int i = 0; i < 2; i++) {
    second = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    connect(second, (void *)&address, sizeof address);
  }
  int third = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  FAILS("a full backlog", EAGAIN, connect(third, (void *)&address, sizeof address));
  close(listener);
  FAILS("the listener has gone", ECONNRESET, recv(second, buffer, 1, 0));
  FAILS("connect to nobody", ECONNREFUSED, connect(third, (void *)&address, sizeof address));
  unlink(path);
  FAILS("connect to nothing", ENOENT, connect(third, (void *)&address, sizeof address));
  close(second);
  close(third);

  int pair[2];
  EQUALS("socketpair", 0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair));
  int other_pair[2];
  FAILS("socketpair of a bad protocol", EPROTONOSUPPORT, socketpair(AF_UNIX, SOCK_STREAM, 7, other_pair));
  send(pair[0], "unread", 6, 0);
  close(pair[1]);
  FAILS("reset by who closes with bytes unread", ECONNRESET, recv(pair[0], buffer, 10, 0));
  EQUALS("and then the end", 0, recv(pair[0], buffer, 10, 0));
  close(pair[0]);
  socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
  pid_t child = fork();
  if (child == 0) {
    long seen = 0;
    while (seen < 600000) seen += read(pair[1], buffer, 4000);
    _exit(seen == 600000);
  }
  long sent = 0;
  while (sent < 600000) sent += write(pair[0], buffer, 300000);
  EQUALS("much data", 1, wait_code(child));
  child = fork();
  if (child == 0) {
    send(pair[1], "abc", 3, 0);
    await_state(getppid(), 'S');
    send(pair[1], "defghi", 6, 0);
    _exit(0);
  }
  EQUALS("MSG_WAITALL", 8, recv(pair[0], buffer, 8, MSG_WAITALL));
  EQUALS("the rest", 1, recv(pair[0], buffer, 8, 0));
  wait_code(child);
  struct timeval time = {0, 20000};
  setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
  FAILS("SO_RCVTIMEO", EAGAIN, recv(pair[0], buffer, 8, 0));
  FAILS("SO_RCVTIMEO with read", EAGAIN, read(pair[0], buffer, 8));
  time = (struct timeval){0, 1000000};
  FAILS("a bad timeout", EDOM, setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time));
  close(pair[0]);
  close(pair[1]);
}

static void datagrams(void) {
  struct sockaddr_un address, from;
  char name[64];
  snprintf(name, sizeof name, "tsvisor-test-%d", getpid());
  socklen_t length = address_of(&address, name, 1), size;
  int server = socket(AF_UNIX, SOCK_DGRAM, 0), client = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  READY("a fresh datagram socket", "304", server);
  EQUALS("bind to an abstract name", 0, bind(server, (void *)&address, length));
  FAILS("bind another", EADDRINUSE, bind(client, (void *)&address, length));
  FAILS("listen", EOPNOTSUPP, listen(server, 1));
  FAILS("accept", EOPNOTSUPP, accept(server, NULL, NULL));
  FAILS("send to nobody", ENOTCONN, send(client, "x", 1, 0));
  EQUALS("sendto", 5, sendto(client, "hello", 5, 0, (void *)&address, length));
  size = sizeof from;
  EQUALS("recvfrom", 5, recvfrom(server, buffer, 100, 0, (void *)&from, &size));
  EQUALS("from somebody without name", 0, size);
  EQUALS("autobind", 0, bind(client, (void *)&address, 2));
  sendto(client, "named", 5, 0, (void *)&address, length);
  size = sizeof from;
  recvfrom(server, buffer, 3, 0, (void *)&from, &size);
  SAYS("from an autobound one", "8 0", "%d %d", (int)size, from.sun_path[0]);
  EQUALS("connect", 0, connect(client, (void *)&address, length));
  EQUALS("send", 9, send(client, "connected", 9, 0));
  EQUALS("MSG_TRUNC tells the length", 9, recv(server, buffer, 2, MSG_TRUNC));
  EQUALS("an empty one", 0, send(client, "", 0, 0));
  EQUALS("arrives", 0, recv(server, buffer, 2, 0));
  FAILS("too long a one", EMSGSIZE, send(client, buffer, sizeof buffer, 0));
  int count = 0;
  while (send(client, "x", 1, 0) == 1) count++;
  TRUE("the queue has an end", count >= 10 && count < 1000);
  READY("a client with a full server", "0", client);
  while (recv(server, buffer, 10, MSG_DONTWAIT) == 1) continue;
  READY("a client with an empty server", "304", client);
  close(server);
  FAILS("the server has gone", ECONNREFUSED, send(client, "x", 1, 0));
  FAILS("not connected any more", ENOTCONN, send(client, "x", 1, 0));
  close(client);
  int pair[2];
  socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair);
  send(pair[0], "one", 3, 0);
  send(pair[0], "three", 5, 0);
  EQUALS("a packet", 3, recv(pair[1], buffer, 100, 0));
  EQUALS("another", 5, recv(pair[1], buffer, 100, 0));
  shutdown(pair[0], SHUT_WR);
  EQUALS("the end of packets", 0, recv(pair[1], buffer, 100, 0));
  signal(SIGPIPE, SIG_DFL);
  FAILS("a packet after the end, without SIGPIPE", EPIPE, send(pair[0], "x", 1, 0));
  close(pair[0]);
  close(pair[1]);
  int packets = socket(AF_UNIX, SOCK_SEQPACKET, 0);
  FAILS("packets without connection", ENOTCONN, send(packets, "x", 1, 0));
  FAILS("recv of packets without connection", ENOTCONN, recv(packets, buffer, 1, 0));
  close(packets);
}

static int send_fds(int socket, const char *text, const int *fds, int count) {
  char control[CMSG_SPACE(300 * sizeof(int))];
  struct iovec part = {(void *)text, strlen(text)};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control};
  header.msg_controllen = CMSG_SPACE(count * sizeof(int));
  struct cmsghdr *message = CMSG_FIRSTHDR(&header);
  message->cmsg_level = SOL_SOCKET;
  message->cmsg_type = SCM_RIGHTS;
  message->cmsg_len = CMSG_LEN(count * sizeof(int));
  memcpy(CMSG_DATA(message), fds, count * sizeof(int));
  return sendmsg(socket, &header, 0);
}

/* Descriptors that came, -1 = none; the text in `buffer`, msg_flags in *flags. */
static int receive_fds(int socket, int room, int *fds, int *flags, long *bytes) {
  char control[CMSG_SPACE(16 * sizeof(int))];
  struct iovec parts[2] = {{buffer, 3}, {buffer + 3, 1000}};
  struct msghdr header = {.msg_iov = parts, .msg_iovlen = 2, .msg_control = control, .msg_controllen = room};
  *bytes = recvmsg(socket, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (*bytes < 0) return -1;
  *flags = header.msg_flags;
  int count = 0;
  for (struct cmsghdr *message = CMSG_FIRSTHDR(&header); message; message = CMSG_NXTHDR(&header, message)) {
    if (message->cmsg_type != SCM_RIGHTS) continue;
    count = (message->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(fds, CMSG_DATA(message), count * sizeof(int));
  }
  return count;
}

static void rights(void) {
  int pair[2], fds[300], flags, count;
  long bytes;
  socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
  int p[2];
  pipe(p);
  send(pair[0], "before ", 7, 0);
  fds[0] = p[0];
  fds[1] = p[1];
  EQUALS("send two descriptors", 4, send_fds(pair[0], "with", fds, 2));
  send(pair[0], "after", 5, 0);
  close(p[0]);
  close(p[1]);
  count = receive_fds(pair[1], 64, fds, &flags, &bytes);
  SAYS("receive them", "2 descriptors, 11 bytes, flags 40000000", "%d descriptors, %ld bytes, flags %x", count, bytes, flags);
  TRUE("they work", write(fds[1], "through", 7) == 7 && read(fds[0], buffer, 10) == 7);
  TRUE("and close on exec", fcntl(fds[0], F_GETFD) == FD_CLOEXEC);
  count = receive_fds(pair[1], 64, fds + 2, &flags, &bytes);
  SAYS("what came after", "0 descriptors, 5 bytes, flags 40000000", "%d descriptors, %ld bytes, flags %x", count, bytes, flags);
  send_fds(pair[0], "x", fds, 2);
  count = receive_fds(pair[1], CMSG_LEN(sizeof(int)), fds + 2, &flags, &bytes);
  SAYS("room for one", "1 descriptors, 1 bytes, flags 40000008", "%d descriptors, %ld bytes, flags %x", count, bytes, flags);
  send_fds(pair[0], "x", fds, 2);
  count = receive_fds(pair[1], 0, fds + 2, &flags, &bytes);
  SAYS("room for none", "0 descriptors, 1 bytes, flags 40000008", "%d descriptors, %ld bytes, flags %x", count, bytes, flags);
  send_fds(pair[0], "x", fds, 2);
  EQUALS("lost by read", 1, read(pair[1], buffer, 10));
  for (int i = 0; i < 300; i++) fds[i] = 1;
  EQUALS("253 descriptors", 1, send_fds(pair[0], "x", fds, 253));
  FAILS("254 descriptors", EINVAL, send_fds(pair[0], "x", fds, 254));
  fds[0] = 900;
  FAILS("a bad descriptor", EBADF, send_fds(pair[0], "x", fds, 1));
  fds[0] = pair[0];
  fds[1] = pair[1];
  EQUALS("themselves", 1, send_fds(pair[0], "x", fds, 2));
  close(pair[0]);
  close(pair[1]);

  int on = 1;
  socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
  setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  send(pair[0], "who", 3, 0);
  char control[256];
  struct iovec part = {buffer, 100};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  EQUALS("recvmsg with credentials", 3, recvmsg(pair[1], &header, 0));
  struct cmsghdr *message = CMSG_FIRSTHDR(&header);
  struct ucred *who = message ? (struct ucred *)CMSG_DATA(message) : NULL;
  TRUE("they are mine", who && message->cmsg_type == SCM_CREDENTIALS && who->pid == getpid() && who->uid == getuid());
  struct mmsghdr many[3];
  memset(many, 0, sizeof many);
  struct iovec parts[3] = {{"a", 1}, {"bb", 2}, {"ccc", 3}};
  for (int i = 0; i < 3; i++) many[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
  EQUALS("sendmmsg", 3, sendmmsg(pair[0], many, 3, 0));
  SAYS("its lengths", "1 2 3", "%u %u %u", many[0].msg_len, many[1].msg_len, many[2].msg_len);
  for (int i = 0; i < 3; i++) parts[i] = (struct iovec){buffer + 100 * i, 100};
  EQUALS("recvmmsg", 3, recvmmsg(pair[1], many, 3, MSG_DONTWAIT, NULL));
  SAYS("what came", "1 2 3", "%u %u %u", many[0].msg_len, many[1].msg_len, many[2].msg_len);
  FAILS("recvmmsg of nothing", EAGAIN, recvmmsg(pair[1], many, 3, MSG_DONTWAIT, NULL));
  send(pair[0], "x", 1, 0);
  EQUALS("MSG_WAITFORONE", 1, recvmmsg(pair[1], many, 3, MSG_WAITFORONE, NULL));
  header.msg_iovlen = 1025;
  FAILS("too many parts", EMSGSIZE, sendmsg(pair[0], &header, 0));
  FAILS("sendmsg at a bad address", EFAULT, sendmsg(pair[0], (void *)BAD, 0));
  FAILS("recvmsg at a bad address", EFAULT, recvmsg(pair[1], (void *)BAD, 0));
  close(pair[0]);
  close(pair[1]);
}

int main(void) {
  char directory[] = "/tmp/tsvisor-ipc-XXXXXX";
  if (mkdtemp(directory) == NULL) return 1;
  pipes();
  fifos(directory);
  polls();
  epolls();
  eventfds();
  memfds();
  streams(directory);
  datagrams();
  rights();
  rmdir(directory);
  return 0;
}

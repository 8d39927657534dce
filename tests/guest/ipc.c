// Talking between processes: pipes, FIFOs, poll, select, epoll, eventfd, Unix sockets of all types, descriptors on their way.
#include "check.h"
#include <stddef.h>

static char buffer[300000];

static void set_nonblocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

static int ready(int fd, int events) {
  struct pollfd one = {.fd = fd, .events = events};
  return poll(&one, 1, 0) < 0 ? -1 : one.revents;
}
#define READY(name, fd) say(name, "%x", ready(fd, 0xffff & ~POLLNVAL))

// --- pipes ----------------------------------------------------------------------------------------------------------

static void pipes(void) {
  int p[2];
  CALL("pipe2 with bad flags", pipe2(p, O_APPEND));
  CALL("pipe at a bad address", pipe((int *)BAD));
  CALL("pipe", pipe(p));
  READY("an empty pipe's reader", p[0]);
  READY("an empty pipe's writer", p[1]);
  CALL("write", write(p[1], "hello", 5));
  READY("a filled pipe's reader", p[0]);
  int n = -1;
  CALL("FIONREAD", ioctl(p[0], FIONREAD, &n));
  CALL("FIONREAD counts", n);
  CALL("read a part", read(p[0], buffer, 3));
  CALL("read the rest", read(p[0], buffer, 100));
  CALL("read of the writer", read(p[1], buffer, 1));
  CALL("write of the reader", write(p[0], buffer, 1));
  CALL("lseek of a pipe", lseek(p[0], 0, SEEK_CUR));
  CALL("pread of a pipe", pread(p[0], buffer, 1, 0));
  CALL("write from a bad address", write(p[1], BAD, 10));
  CALL("read of 0 bytes", read(p[0], buffer, 0));
  set_nonblocking(p[0]);
  set_nonblocking(p[1]);
  CALL("read of nothing", read(p[0], buffer, 10));
  long total = 0, got;
  while ((got = write(p[1], buffer, 1000)) > 0) total += got;
  TRUE("filled by writes of 1000", total == 65000 || total == 65536 || total == 64000);
  READY("a full pipe's writer", p[1]);
  total = 0;
  while ((got = read(p[0], buffer, 7000)) > 0) total += got;
  CALL("a big write is cut", write(p[1], buffer, 100000));
  CALL("F_GETPIPE_SZ", fcntl(p[0], F_GETPIPE_SZ));
  CALL("F_SETPIPE_SZ", fcntl(p[0], F_SETPIPE_SZ, 100000));
  CALL("F_SETPIPE_SZ too small", fcntl(p[0], F_SETPIPE_SZ, 4096));
  CALL("F_SETPIPE_SZ of 0", fcntl(p[0], F_SETPIPE_SZ, 0));
  CALL("a bigger pipe takes more", write(p[1], buffer, 100000));
  close(p[1]);
  READY("a reader with bytes and no writer", p[0]);
  while ((got = read(p[0], buffer, 70000)) > 0) continue;
  CALL("end of file", got);
  READY("a reader without writer", p[0]);
  close(p[0]);

  pipe(p);
  close(p[0]);
  signal(SIGPIPE, SIG_IGN);
  READY("a writer without reader", p[1]);
  CALL("EPIPE", write(p[1], "x", 1));
  CALL("nothing to a broken pipe", write(p[1], "x", 0));
  signal(SIGPIPE, SIG_DFL);
  pid_t child = fork();
  if (child == 0) {
    write(p[1], "x", 1);
    _exit(0);
  }
  CALL("SIGPIPE kills", wait_code(child) - 1000);
  close(p[1]);

  pipe2(p, O_DIRECT | O_NONBLOCK);
  write(p[1], buffer, 10);
  write(p[1], buffer, 20);
  CALL("a packet", read(p[0], buffer, 100));
  CALL("a packet that is cut", read(p[0], buffer, 5));
  CALL("the rest of it is gone", read(p[0], buffer, 5));
  close(p[0]);
  close(p[1]);

  struct stat status;
  pipe(p);
  fstat(p[0], &status);
  say("fstat of a pipe", "%o %ld", status.st_mode, (long)status.st_size);
  char link[64] = "";
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", p[0]);
  readlink(path, link, sizeof link - 1);
  TRUE("its link", strncmp(link, "pipe:[", 6) == 0);
  struct iovec parts[3] = {{"ab", 2}, {"", 0}, {"cde", 3}};
  CALL("writev", writev(p[1], parts, 3));
  char one[2], two[4];
  struct iovec into[2] = {{one, 2}, {two, 4}};
  CALL("readv", readv(p[0], into, 2));
  TRUE("readv scatters", memcmp(one, "ab", 2) == 0 && memcmp(two, "cde", 3) == 0);
  int q[2];
  pipe(q);
  write(p[1], "splice me", 9);
  CALL("tee", tee(p[0], q[1], 100, 0));
  CALL("splice", splice(p[0], NULL, q[1], NULL, 6, 0));
  CALL("what has come over", read(q[0], buffer, 100));
  CALL("what is left", read(p[0], buffer, 100));
  close(q[0]);
  close(q[1]);

  child = fork();
  if (child == 0) {
    usleep(20000);
    write(p[1], "late", 4);
    _exit(0);
  }
  CALL("a read waits", read(p[0], buffer, 100));
  wait_code(child);
  child = fork();
  if (child == 0) {
    long seen = 0;
    usleep(20000);
    while (seen < 200000) seen += read(p[0], buffer, 5000);
    _exit(seen == 200000);
  }
  CALL("a big write waits", write(p[1], buffer, 200000));
  CALL("and all of it arrives", wait_code(child));
  close(p[0]);
  close(p[1]);
}

static void fifos(const char *directory) {
  char path[256];
  snprintf(path, sizeof path, "%s/fifo", directory);
  CALL("mkfifo", mkfifo(path, 0600));
  CALL("mkfifo again", mkfifo(path, 0600));
  CALL("write without reader", open(path, O_WRONLY | O_NONBLOCK));
  int r = open(path, O_RDONLY | O_NONBLOCK);
  TRUE("read without writer", r >= 0);
  READY("a FIFO that nobody wrote", r);
  CALL("read of it", read(r, buffer, 10));
  int w = open(path, O_WRONLY);
  CALL("write", write(w, "abc", 3));
  close(w);
  READY("a FIFO whose writer has gone", r);
  CALL("its bytes", read(r, buffer, 10));
  READY("and then", r);
  close(r);
  int both = open(path, O_RDWR);
  TRUE("read and write", both >= 0);
  write(both, "x", 1);
  READY("is its own partner", both);
  close(both);
  pid_t child = fork();
  if (child == 0) {
    usleep(30000);
    int fd = open(path, O_WRONLY);
    write(fd, "from the child", 14);
    _exit(0);
  }
  r = open(path, O_RDONLY);
  CALL("open waits for the other side", read(r, buffer, 100));
  CALL("and sees it close", read(r, buffer, 100));
  close(r);
  wait_code(child);
  struct stat status;
  stat(path, &status);
  say("stat of a FIFO", "%o", status.st_mode);
  unlink(path);
  int p[2];
  pipe(p);
  write(p[1], "left", 4);
  close(p[1]);
  snprintf(path, sizeof path, "/proc/self/fd/%d", p[0]);
  r = open(path, O_RDONLY);
  TRUE("a pipe without writer opens again", r >= 0);
  CALL("with its bytes", read(r, buffer, 100));
  READY("and its end", r);
  w = open(path, O_WRONLY | O_NONBLOCK);
  TRUE("for writing too", w >= 0);
  CALL("of which the reader reads", write(w, "more", 4) + read(p[0], buffer, 100));
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
  CALL("poll", poll(list, 4, -1));
  say("revents", "%x %x %x %x", list[0].revents, list[1].revents, list[2].revents, list[3].revents);
  double before = now_seconds();
  CALL("poll times out", poll(list, 1, 30));
  double spent = now_seconds() - before;
  TRUE("after its time", spent >= 0.03 && spent < 1);
  CALL("poll at a bad address", poll((void *)BAD, 1, 0));
  CALL("poll of too many", poll(list, 1 << 30, 0));
  CALL("poll of none", poll(NULL, 0, 0));
  list[0].fd = open("/dev/null", O_RDWR);
  list[0].events = POLLIN | POLLOUT;
  CALL("poll of a device", poll(list, 1, 0));
  say("its events", "%x", list[0].revents);
  close(list[0].fd);
  list[0].fd = p[0];

  struct sigaction action = {.sa_handler = catch, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  struct itimerval soon = {.it_value = {0, 20000}};
  setitimer(ITIMER_REAL, &soon, NULL);
  CALL("poll interrupted, even with SA_RESTART", poll(list, 1, 5000));
  sigset_t blocked, none;
  sigemptyset(&none);
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGALRM);
  sigprocmask(SIG_BLOCK, &blocked, NULL);
  caught = 0;
  kill(getpid(), SIGALRM);
  struct timespec time = {2, 0};
  CALL("ppoll lets a pending signal in", ppoll(list, 1, &time, &none));
  CALL("it was handled", caught);
  sigset_t now;
  sigprocmask(SIG_BLOCK, NULL, &now);
  TRUE("the mask is back", sigismember(&now, SIGALRM));
  time = (struct timespec){0, 1000000000};
  CALL("ppoll with a bad time", ppoll(list, 1, &time, NULL));
  CALL("ppoll with a bad mask size", syscall(SYS_ppoll, list, 1, NULL, &none, 4));
  time = (struct timespec){0, 10000000};
  CALL("raw ppoll", syscall(SYS_ppoll, list, 1, &time, NULL, 8));
  TRUE("it leaves no time", time.tv_sec == 0 && time.tv_nsec == 0);

  fd_set in, out;
  FD_ZERO(&in);
  FD_ZERO(&out);
  FD_SET(p[0], &in);
  FD_SET(p[1], &out);
  struct timeval wait = {5, 0};
  CALL("select", select(p[1] + 1, &in, &out, NULL, &wait));
  TRUE("its sets", !FD_ISSET(p[0], &in) && FD_ISSET(p[1], &out));
  FD_ZERO(&in);
  FD_SET(p[0], &in);
  wait = (struct timeval){0, 20000};
  CALL("select times out", select(p[0] + 1, &in, NULL, NULL, &wait));
  TRUE("and clears", !FD_ISSET(p[0], &in) && wait.tv_sec == 0 && wait.tv_usec == 0);
  CALL("select of a negative count", select(-1, NULL, NULL, NULL, NULL));
  FD_SET(60, &in);
  close(60);
  CALL("select of a closed one", select(61, &in, NULL, NULL, &wait));
  wait = (struct timeval){-1, 0};
  CALL("select of a negative time", select(0, NULL, NULL, NULL, &wait));
  caught = 0;
  kill(getpid(), SIGALRM);
  struct timespec two = {2, 0};
  CALL("pselect lets a pending signal in", pselect(0, NULL, NULL, NULL, &two, &none));
  CALL("it was handled too", caught);
  sigprocmask(SIG_UNBLOCK, &blocked, NULL);
  close(p[0]);
  close(p[1]);
}

static void epolls(void) {
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0x1122334455667788}, events[8];
  CALL("epoll_create of 0", epoll_create(0));
  CALL("epoll_create1 with bad flags", epoll_create1(1));
  int ep = epoll_create1(EPOLL_CLOEXEC);
  int p[2];
  pipe(p);
  CALL("add", epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &event));
  CALL("add again", epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &event));
  CALL("modify what is not there", epoll_ctl(ep, EPOLL_CTL_MOD, p[1], &event));
  CALL("delete what is not there", epoll_ctl(ep, EPOLL_CTL_DEL, p[1], &event));
  CALL("add at a bad address", epoll_ctl(ep, EPOLL_CTL_ADD, p[1], (void *)BAD));
  CALL("add a closed one", epoll_ctl(ep, EPOLL_CTL_ADD, 900, &event));
  CALL("add itself", epoll_ctl(ep, EPOLL_CTL_ADD, ep, &event));
  CALL("add to no epoll", epoll_ctl(p[0], EPOLL_CTL_ADD, p[1], &event));
  CALL("a bad operation", epoll_ctl(ep, 9, p[0], &event));
  int file = open("/proc/self/exe", O_RDONLY);
  CALL("add a regular file", epoll_ctl(ep, EPOLL_CTL_ADD, file, &event));
  close(file);
  int null = open("/dev/null", O_RDONLY);
  CALL("add /dev/null", epoll_ctl(ep, EPOLL_CTL_ADD, null, &event));
  close(null);
  CALL("wait for 0", epoll_wait(ep, events, 0, 0));
  CALL("wait on no epoll", epoll_wait(p[0], events, 1, 0));
  CALL("nothing is ready", epoll_wait(ep, events, 8, 0));
  write(p[1], "x", 1);
  CALL("one is ready", epoll_wait(ep, events, 8, -1));
  say("what and whose", "%x %lx", events[0].events, (long)events[0].data.u64);
  CALL("it stays ready", epoll_wait(ep, events, 8, 0));
  event.events = EPOLLIN | EPOLLET;
  CALL("modify to edges", epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &event));
  CALL("ready once", epoll_wait(ep, events, 8, 0));
  CALL("and not again", epoll_wait(ep, events, 8, 0));
  write(p[1], "y", 1);
  CALL("until the next event", epoll_wait(ep, events, 8, 0));
  event.events = EPOLLIN | EPOLLONESHOT;
  epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &event);
  CALL("one shot", epoll_wait(ep, events, 8, 0));
  write(p[1], "z", 1);
  CALL("is over", epoll_wait(ep, events, 8, 0));
  event.events = EPOLLIN;
  epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &event);
  CALL("until armed again", epoll_wait(ep, events, 8, 0));
  CALL("wait at a bad address", epoll_wait(ep, (void *)BAD, 8, 0));
  int copy = dup(p[0]);
  close(p[0]);
  CALL("closed but not gone", epoll_wait(ep, events, 8, 0));
  close(copy);
  CALL("gone", epoll_wait(ep, events, 8, 0));
  close(p[1]);

  int chain[7];
  for (int i = 0; i < 7; i++) chain[i] = epoll_create1(0);
  for (int i = 0; i < 6; i++) {
    char name[32];
    snprintf(name, sizeof name, "nesting %d", i);
    CALL(name, epoll_ctl(chain[i + 1], EPOLL_CTL_ADD, chain[i], &event));
  }
  CALL("a loop", epoll_ctl(chain[0], EPOLL_CTL_ADD, chain[2], &event));
  int fd = eventfd(0, EFD_NONBLOCK);
  event.events = EPOLLIN;
  epoll_ctl(chain[0], EPOLL_CTL_ADD, fd, &event);
  CALL("nothing nested is ready", epoll_wait(chain[3], events, 8, 0));
  uint64_t value = 1;
  write(fd, &value, 8);
  CALL("something nested is ready", epoll_wait(chain[3], events, 8, 100));
  READY("an epoll as a file", chain[2]);
  for (int i = 0; i < 7; i++) close(chain[i]);
  event.events = EPOLLIN | EPOLLEXCLUSIVE | EPOLLRDHUP;
  CALL("exclusive with too much", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event));
  event.events = EPOLLIN | EPOLLEXCLUSIVE;
  CALL("exclusive", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event));
  CALL("exclusive modified", epoll_ctl(ep, EPOLL_CTL_MOD, fd, &event));
  CALL("exclusive is told", epoll_wait(ep, events, 8, 0));
  struct timespec time = {0, 10000000};
  value = 0;
  read(fd, &value, 8);
  CALL("epoll_pwait2 times out", syscall(SYS_epoll_pwait2, ep, events, 8, &time, NULL, 0));
  caught = 0;
  struct itimerval soon = {.it_value = {0, 20000}};
  setitimer(ITIMER_REAL, &soon, NULL);
  CALL("epoll_wait interrupted", epoll_wait(ep, events, 8, 5000));
  pid_t child = fork();
  if (child == 0) {
    usleep(20000);
    value = 7;
    write(fd, &value, 8);
    _exit(0);
  }
  CALL("woken by another process", epoll_wait(ep, events, 8, 5000));
  wait_code(child);
  close(fd);
  close(ep);
}

static void eventfds(void) {
  uint64_t value = 5;
  CALL("eventfd with bad flags", eventfd(0, 0x100));
  int fd = eventfd(3, EFD_NONBLOCK);
  CALL("add", write(fd, &value, 8));
  CALL("a short write", write(fd, &value, 4));
  CALL("a short read", read(fd, &value, 4));
  CALL("read", read(fd, &value, 8));
  CALL("the sum", value);
  CALL("read of zero", read(fd, &value, 8));
  value = -1;
  CALL("write of all ones", write(fd, &value, 8));
  value = -2;
  CALL("write of the most", write(fd, &value, 8));
  READY("when it is full", fd);
  value = 1;
  CALL("one more", write(fd, &value, 8));
  close(fd);
  fd = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
  value = 0;
  read(fd, &value, 8);
  CALL("a semaphore gives one", value);
  read(fd, &value, 8);
  CALL("then it is empty", read(fd, &value, 8));
  struct stat status;
  fstat(fd, &status);
  say("fstat of an eventfd", "%o", status.st_mode);
  char path[64], link[64] = "";
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  readlink(path, link, sizeof link - 1);
  say("its link", "%s", link);
  CALL("lseek of an eventfd", lseek(fd, 5, SEEK_SET));
  CALL("ftruncate of an eventfd", ftruncate(fd, 5));
  close(fd);
}

static void memfds(void) {
  CALL("memfd_create with bad flags", memfd_create("x", 0x8000));
  int fd = memfd_create("thing", MFD_ALLOW_SEALING | MFD_CLOEXEC);
  char path[64], link[64] = "";
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  readlink(path, link, sizeof link - 1);
  say("a memfd's link", "%s", link);
  CALL("write", write(fd, "0123456789", 10));
  CALL("no seals yet", fcntl(fd, F_GET_SEALS));
  CALL("seal the size", fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
  CALL("shrink", ftruncate(fd, 5));
  CALL("grow", ftruncate(fd, 50));
  CALL("write beyond the end", pwrite(fd, "x", 1, 10));
  CALL("write inside", pwrite(fd, "x", 1, 9));
  char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  TRUE("map it", map != MAP_FAILED && memcmp(map, "012345678x", 10) == 0);
  CALL("seal writes while it is mapped", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
  munmap(map, 4096);
  CALL("seal writes", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
  CALL("write after that", pwrite(fd, "x", 1, 0));
  WORKS("map for writing after that", mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
  TRUE("map for reading after that", map != MAP_FAILED);
  CALL("make that writable", mprotect(map, 4096, PROT_READ | PROT_WRITE));
  CALL("seal the seals", fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
  CALL("one seal more", fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
  CALL("all seals", fcntl(fd, F_GET_SEALS));
  close(fd);
  fd = memfd_create("", 0);
  CALL("without MFD_ALLOW_SEALING", fcntl(fd, F_GET_SEALS));
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
  CALL("socket of a bad family", socket(99, SOCK_STREAM, 0));
  CALL("socket of a bad type", socket(AF_UNIX, 7, 0));
  CALL("socket of a bad protocol", socket(AF_UNIX, SOCK_STREAM, 9));
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  READY("a fresh stream", listener);
  CALL("listen without name", listen(listener, 5));
  CALL("accept without listen", accept(listener, NULL, NULL));
  CALL("recv without connection", recv(listener, buffer, 1, 0));
  CALL("send without connection", send(listener, buffer, 1, MSG_NOSIGNAL));
  CALL("bind to too short an address", bind(listener, (void *)&address, 1));
  CALL("bind to too long an address", bind(listener, (void *)&address, 200));
  CALL("bind", bind(listener, (void *)&address, length));
  CALL("bind twice", bind(listener, (void *)&address, length));
  int second = socket(AF_UNIX, SOCK_STREAM, 0);
  CALL("bind to a used name", bind(second, (void *)&address, length));
  CALL("connect before listen", connect(second, (void *)&address, length));
  CALL("listen", listen(listener, 1));
  struct stat status;
  stat(path, &status);
  say("its node", "%o", status.st_mode);
  CALL("open of the node", open(path, O_RDWR));
  READY("an idle listener", listener);
  int client = socket(AF_UNIX, SOCK_STREAM, 0);
  CALL("connect", connect(client, (void *)&address, length));
  CALL("connect twice", connect(client, (void *)&address, length));
  READY("a listener with a client", listener);
  READY("a client before accept", client);
  CALL("send before accept", send(client, "early", 5, 0));
  memset(&other, 0xff, sizeof other);
  length = sizeof other;
  int server = accept4(listener, (void *)&other, &length, SOCK_CLOEXEC);
  TRUE("accept", server >= 0);
  say("a client without name", "%d %d", (int)length, other.sun_family);
  CALL("accept4 with bad flags", accept4(listener, NULL, NULL, 1));
  set_nonblocking(listener);
  CALL("accept of nobody", accept(listener, NULL, NULL));
  length = sizeof other;
  getpeername(client, (void *)&other, &length);
  TRUE("getpeername", strcmp(other.sun_path, path) == 0 && length == 2 + strlen(path) + 1);
  length = sizeof other;
  CALL("getsockname", getsockname(server, (void *)&other, &length));
  TRUE("an end has the listener's name", strcmp(other.sun_path, path) == 0);
  length = 4;
  CALL("getsockname with little room", getsockname(server, (void *)&other, &length));
  TRUE("tells the true length", length == 2 + strlen(path) + 1);
  CALL("getpeername of a listener", getpeername(listener, (void *)&other, &length));
  CALL("recv", recv(server, buffer, 100, 0));
  CALL("recv of nothing", recv(server, buffer, 100, MSG_DONTWAIT));
  send(client, "peekaboo", 8, 0);
  CALL("peek", recv(server, buffer, 4, MSG_PEEK));
  CALL("recv after peek", recv(server, buffer, 100, 0));
  struct ucred who;
  length = sizeof who;
  CALL("SO_PEERCRED", getsockopt(server, SOL_SOCKET, SO_PEERCRED, &who, &length));
  TRUE("it is me", who.pid == getpid() && who.uid == geteuid() && who.gid == getegid());
  int number;
  length = sizeof number;
  getsockopt(server, SOL_SOCKET, SO_TYPE, &number, &length);
  CALL("SO_TYPE", number);
  getsockopt(listener, SOL_SOCKET, SO_ACCEPTCONN, &number, &length);
  CALL("SO_ACCEPTCONN", number);
  getsockopt(client, SOL_SOCKET, SO_SNDBUF, &number, &length);
  CALL("SO_SNDBUF", number);
  number = 10000;
  setsockopt(client, SOL_SOCKET, SO_SNDBUF, &number, 4);
  getsockopt(client, SOL_SOCKET, SO_SNDBUF, &number, &length);
  CALL("SO_SNDBUF doubles", number);
  number = 1;
  setsockopt(client, SOL_SOCKET, SO_SNDBUF, &number, 4);
  getsockopt(client, SOL_SOCKET, SO_SNDBUF, &number, &length);
  CALL("SO_SNDBUF has a floor", number);
  CALL("an option of nobody", getsockopt(client, SOL_SOCKET, 999, &number, &length));
  CALL("an option that is too short", setsockopt(client, SOL_SOCKET, SO_SNDBUF, &number, 2));
  CALL("an option of another level", setsockopt(client, 6, 1, &number, 4));
  CALL("sendto a connection", sendto(client, "x", 1, 0, (void *)&address, sizeof address));
  CALL("lseek of a socket", lseek(client, 0, SEEK_SET));
  CALL("listen of a connection", listen(client, 1));
  CALL("send of nothing", send(client, "", 0, 0));
  CALL("send from a bad address", send(client, BAD, 5, 0));
  CALL("recv of not a socket", recv(0, buffer, 1, 0));
  CALL("recv of not a file", recv(900, buffer, 1, 0));
  CALL("shutdown with a bad how", shutdown(client, 3));
  CALL("shutdown", shutdown(client, SHUT_WR));
  CALL("the other end reads to the end", recv(server, buffer, 100, 0));
  READY("half closed", server);
  READY("the half that closed", client);
  CALL("EPIPE", send(client, "x", 1, MSG_NOSIGNAL));
  send(server, "unread", 6, 0);
  close(client);
  READY("the other end has closed", server);
  close(server);
  close(second);

  for (int i = 0; i < 2; i++) {
    second = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    connect(second, (void *)&address, sizeof address);
  }
  int third = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  CALL("a full backlog", connect(third, (void *)&address, sizeof address));
  close(listener);
  CALL("the listener has gone", recv(second, buffer, 1, 0));
  CALL("connect to nobody", connect(third, (void *)&address, sizeof address));
  unlink(path);
  CALL("connect to nothing", connect(third, (void *)&address, sizeof address));
  close(second);
  close(third);

  int pair[2];
  CALL("socketpair", socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair));
  int other_pair[2];
  CALL("socketpair of TCP", socketpair(AF_UNIX, SOCK_STREAM, 7, other_pair));
  send(pair[0], "unread", 6, 0);
  close(pair[1]);
  CALL("reset by who closes with bytes unread", recv(pair[0], buffer, 10, 0));
  CALL("and then the end", recv(pair[0], buffer, 10, 0));
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
  CALL("much data", wait_code(child));
  child = fork();
  if (child == 0) {
    send(pair[1], "abc", 3, 0);
    usleep(20000);
    send(pair[1], "defghi", 6, 0);
    _exit(0);
  }
  CALL("MSG_WAITALL", recv(pair[0], buffer, 8, MSG_WAITALL));
  CALL("the rest", recv(pair[0], buffer, 8, 0));
  wait_code(child);
  struct timeval time = {0, 20000};
  setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
  CALL("SO_RCVTIMEO", recv(pair[0], buffer, 8, 0));
  CALL("SO_RCVTIMEO with read", read(pair[0], buffer, 8));
  time = (struct timeval){0, 1000000};
  CALL("a bad timeout", setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time));
  close(pair[0]);
  close(pair[1]);
}

static void datagrams(void) {
  struct sockaddr_un address, from;
  char name[64];
  snprintf(name, sizeof name, "tsvisor-test-%d", getpid());
  socklen_t length = address_of(&address, name, 1), size;
  int server = socket(AF_UNIX, SOCK_DGRAM, 0), client = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  READY("a fresh datagram socket", server);
  CALL("bind to an abstract name", bind(server, (void *)&address, length));
  CALL("bind another", bind(client, (void *)&address, length));
  CALL("listen", listen(server, 1));
  CALL("accept", accept(server, NULL, NULL));
  CALL("send to nobody", send(client, "x", 1, 0));
  CALL("sendto", sendto(client, "hello", 5, 0, (void *)&address, length));
  size = sizeof from;
  CALL("recvfrom", recvfrom(server, buffer, 100, 0, (void *)&from, &size));
  CALL("from somebody without name", size);
  CALL("autobind", bind(client, (void *)&address, 2));
  sendto(client, "named", 5, 0, (void *)&address, length);
  size = sizeof from;
  recvfrom(server, buffer, 3, 0, (void *)&from, &size);
  say("from an autobound one", "%d %d", (int)size, from.sun_path[0]);
  CALL("connect", connect(client, (void *)&address, length));
  CALL("send", send(client, "connected", 9, 0));
  CALL("MSG_TRUNC tells the length", recv(server, buffer, 2, MSG_TRUNC));
  CALL("an empty one", send(client, "", 0, 0));
  CALL("arrives", recv(server, buffer, 2, 0));
  CALL("too long a one", send(client, buffer, sizeof buffer, 0));
  int count = 0;
  while (send(client, "x", 1, 0) == 1) count++;
  TRUE("the queue has an end", count >= 10 && count < 1000);
  READY("a client with a full server", client);
  while (recv(server, buffer, 10, MSG_DONTWAIT) == 1) continue;
  READY("a client with an empty server", client);
  close(server);
  CALL("the server has gone", send(client, "x", 1, 0));
  CALL("not connected any more", send(client, "x", 1, 0));
  close(client);
  int pair[2];
  socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair);
  send(pair[0], "one", 3, 0);
  send(pair[0], "three", 5, 0);
  CALL("a packet", recv(pair[1], buffer, 100, 0));
  CALL("another", recv(pair[1], buffer, 100, 0));
  shutdown(pair[0], SHUT_WR);
  CALL("the end of packets", recv(pair[1], buffer, 100, 0));
  signal(SIGPIPE, SIG_DFL);
  CALL("a packet after the end, without SIGPIPE", send(pair[0], "x", 1, 0));
  close(pair[0]);
  close(pair[1]);
  int packets = socket(AF_UNIX, SOCK_SEQPACKET, 0);
  CALL("packets without connection", send(packets, "x", 1, 0));
  CALL("recv of packets without connection", recv(packets, buffer, 1, 0));
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
  CALL("send two descriptors", send_fds(pair[0], "with", fds, 2));
  send(pair[0], "after", 5, 0);
  close(p[0]);
  close(p[1]);
  count = receive_fds(pair[1], 64, fds, &flags, &bytes);
  say("receive them", "%d descriptors, %ld bytes, flags %x", count, bytes, flags);
  TRUE("they work", write(fds[1], "through", 7) == 7 && read(fds[0], buffer, 10) == 7);
  TRUE("and close on exec", fcntl(fds[0], F_GETFD) == FD_CLOEXEC);
  count = receive_fds(pair[1], 64, fds + 2, &flags, &bytes);
  say("what came after", "%d descriptors, %ld bytes, flags %x", count, bytes, flags);
  send_fds(pair[0], "x", fds, 2);
  count = receive_fds(pair[1], CMSG_LEN(sizeof(int)), fds + 2, &flags, &bytes);
  say("room for one", "%d descriptors, %ld bytes, flags %x", count, bytes, flags);
  send_fds(pair[0], "x", fds, 2);
  count = receive_fds(pair[1], 0, fds + 2, &flags, &bytes);
  say("room for none", "%d descriptors, %ld bytes, flags %x", count, bytes, flags);
  send_fds(pair[0], "x", fds, 2);
  CALL("lost by read", read(pair[1], buffer, 10));
  for (int i = 0; i < 300; i++) fds[i] = 1;
  CALL("253 descriptors", send_fds(pair[0], "x", fds, 253));
  CALL("254 descriptors", send_fds(pair[0], "x", fds, 254));
  fds[0] = 900;
  CALL("a bad descriptor", send_fds(pair[0], "x", fds, 1));
  fds[0] = pair[0];
  fds[1] = pair[1];
  CALL("themselves", send_fds(pair[0], "x", fds, 2));
  close(pair[0]);
  close(pair[1]);

  int on = 1;
  socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
  setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  send(pair[0], "who", 3, 0);
  char control[256];
  struct iovec part = {buffer, 100};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  CALL("recvmsg with credentials", recvmsg(pair[1], &header, 0));
  struct cmsghdr *message = CMSG_FIRSTHDR(&header);
  struct ucred *who = message ? (struct ucred *)CMSG_DATA(message) : NULL;
  TRUE("they are mine", who && message->cmsg_type == SCM_CREDENTIALS && who->pid == getpid() && who->uid == getuid());
  struct mmsghdr many[3];
  memset(many, 0, sizeof many);
  struct iovec parts[3] = {{"a", 1}, {"bb", 2}, {"ccc", 3}};
  for (int i = 0; i < 3; i++) many[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
  CALL("sendmmsg", sendmmsg(pair[0], many, 3, 0));
  say("its lengths", "%u %u %u", many[0].msg_len, many[1].msg_len, many[2].msg_len);
  for (int i = 0; i < 3; i++) parts[i] = (struct iovec){buffer + 100 * i, 100};
  CALL("recvmmsg", recvmmsg(pair[1], many, 3, MSG_DONTWAIT, NULL));
  say("what came", "%u %u %u", many[0].msg_len, many[1].msg_len, many[2].msg_len);
  CALL("recvmmsg of nothing", recvmmsg(pair[1], many, 3, MSG_DONTWAIT, NULL));
  send(pair[0], "x", 1, 0);
  CALL("MSG_WAITFORONE", recvmmsg(pair[1], many, 3, MSG_WAITFORONE, NULL));
  header.msg_iovlen = 1025;
  CALL("too many parts", sendmsg(pair[0], &header, 0));
  CALL("sendmsg at a bad address", sendmsg(pair[0], (void *)BAD, 0));
  CALL("recvmsg at a bad address", recvmsg(pair[1], (void *)BAD, 0));
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

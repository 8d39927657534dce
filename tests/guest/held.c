// What becomes of a call that waits when its descriptor is closed or comes to mean another file, when its time is over, and
// when its process is killed or ends. A call keeps the file that it began with, as Linux does (fget(), fdput()).
#include "check.h"
#include <linux/futex.h>
#include <mqueue.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/sendfile.h>

static char buffer[200000];
static int a, b, c, d; /* what make() leaves for the others */
static int word;
#include "waits.h"

static void expect(const char *what, const char *how, long result, const char *wanted) {
  char name[120], text[40];
  snprintf(name, sizeof name, "%s, %s", what, how);
  if (result < 0) snprintf(text, sizeof text, "%s", strerrorname_np(-result));
  else snprintf(text, sizeof text, "%ld", result);
  judge(name, wanted, text);
}

/* --- the calls ------------------------------------------------------------------------------------------------------- */

static void make_pipe(void) { int p[2]; pipe(p); a = p[0]; b = p[1]; }
static void make_pipes(void) { int p[2]; make_pipe(); pipe(p); c = p[0]; d = p[1]; }
static void fill(int fd) { fcntl(fd, F_SETFL, O_NONBLOCK); while (write(fd, buffer, 4096) > 0); fcntl(fd, F_SETFL, 0); }
static void fill_pipe(void) { make_pipe(); fill(b); }
static void feed(void) { write(b, "x", 1); }
static void drain(void) { for (long n = 0; n < 65536;) { long got = read(a, buffer, 65536); if (got <= 0) break; n += got; } }
static long do_read(void) { return read(a, buffer, 1); }
static long do_readv(void) { struct iovec part = {buffer, 1}; return readv(a, &part, 1); }
static long do_readv2(void) { struct iovec parts[2] = {{buffer, 1}, {buffer + 1, 1}}; return readv(a, parts, 2); }
static long do_write(void) { return write(b, buffer, 4096); }
static long do_writev(void) { struct iovec parts[2] = {{buffer, 100}, {buffer, 100}}; return writev(b, parts, 2); }

static void make_event(void) { a = eventfd(0, 0); b = dup(a); }
static void post_event(void) { uint64_t one = 1; write(b, &one, 8); }
static long do_event(void) { uint64_t value; return read(a, &value, 8); }
static void make_timer(void) { a = timerfd_create(CLOCK_MONOTONIC, 0); b = dup(a); struct itimerspec time = {{0, 0}, {1000, 0}}; timerfd_settime(a, 0, &time, NULL); }
static void fire_timer(void) { struct itimerspec time = {{0, 0}, {0, 1}}; timerfd_settime(b, 0, &time, NULL); }
static void block_usr2(void) { sigset_t set; sigemptyset(&set); sigaddset(&set, SIGUSR2); sigprocmask(SIG_BLOCK, &set, NULL); }
static void make_signalfd(void) { block_usr2(); sigset_t set; sigemptyset(&set); sigaddset(&set, SIGUSR2); a = signalfd(-1, &set, 0); }
static void send_usr2(void) { kill(getpid(), SIGUSR2); }
static long do_signalfd(void) { long n = read(a, buffer, 128); return n > 0 ? 1 : n; }
static void make_inotify(void) { mkdir("watched", 0700); a = inotify_init(); inotify_add_watch(a, "watched", IN_ATTRIB); }
static void touch_watched(void) { chmod("watched", 0750); chmod("watched", 0700); }
static long do_inotify(void) { long n = read(a, buffer, 4096); return n > 0 ? 1 : n; }

static void make_pair(void) { int p[2]; socketpair(AF_UNIX, SOCK_STREAM, 0, p); a = p[0]; b = p[1]; }
static long do_recv(void) { return recv(a, buffer, 1, 0); }
static long do_recvmsg(void) { struct iovec part = {buffer, 1}; struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1}; return recvmsg(a, &header, 0); }
static long do_recvmmsg(void) { struct iovec part = {buffer, 1}; struct mmsghdr header = {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}}; return recvmmsg(a, &header, 1, 0, NULL); }
static void fill_socket(void) { make_pair(); while (send(a, buffer, 1024, MSG_DONTWAIT) > 0); }
static void drain_socket(void) { while (recv(b, buffer, sizeof buffer, MSG_DONTWAIT) > 0); }
static long do_send(void) { return send(a, buffer, 1024, 0); }
static long do_sendmsg(void) { struct iovec part = {buffer, 1024}; struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1}; return sendmsg(a, &header, 0); }
static long do_sendmmsg(void) { struct iovec part = {buffer, 1024}; struct mmsghdr header = {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}}; return sendmmsg(a, &header, 1, 0); }

static struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "listener"};
static void make_listener(void) { unlink("listener"); a = socket(AF_UNIX, SOCK_STREAM, 0); bind(a, (void *)&address, sizeof address); listen(a, 0); }
static void connect_listener(void) { d = socket(AF_UNIX, SOCK_STREAM, 0); connect(d, (void *)&address, sizeof address); }
static long do_accept(void) { int fd = accept(a, NULL, NULL); if (fd < 0) return -1; close(fd); return 0; }
static void make_full_listener(void) {
  make_listener();
  for (int i = 0; i < 2; i++) { b = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0); if (connect(b, (void *)&address, sizeof address) < 0) break; }
  c = socket(AF_UNIX, SOCK_STREAM, 0);
}
static void accept_one(void) { accept(a, NULL, NULL); }
static long do_connect(void) { return connect(c, (void *)&address, sizeof address); }

static void make_lock(void) { a = open("lock", O_CREAT | O_RDWR, 0600); b = open("lock", O_RDWR); }
static void hold_flock(void) { make_lock(); flock(b, LOCK_EX); }
static void release_flock(void) { flock(b, LOCK_UN); }
static struct flock whole(short type) { struct flock lock = {.l_type = type}; return lock; }
/* An open file description's lock is in the way of the process's own ones too. */
static void hold_record(void) { make_lock(); struct flock lock = whole(F_WRLCK); fcntl(b, F_OFD_SETLK, &lock); }
static void release_record(void) { struct flock lock = whole(F_UNLCK); fcntl(b, F_OFD_SETLK, &lock); }
static long do_flock(void) { return flock(a, LOCK_EX); }
static long do_setlkw(void) { struct flock lock = whole(F_WRLCK); return fcntl(a, F_SETLKW, &lock); }
static long do_ofd_setlkw(void) { struct flock lock = whole(F_WRLCK); return fcntl(a, F_OFD_SETLKW, &lock); }

static void make_queue(void) { struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = 16}; a = mq_open("/tsvisor-held", O_CREAT | O_RDWR, 0600, &attributes); b = mq_open("/tsvisor-held", O_RDWR); mq_unlink("/tsvisor-held"); }
static void make_full_queue(void) { make_queue(); mq_send(a, "x", 1, 0); }
static void send_queue(void) { mq_send(b, "x", 1, 0); }
static void receive_queue(void) { mq_receive(b, buffer, 16, NULL); }
static long do_mq_receive(void) { return mq_receive(a, buffer, 16, NULL); }
static long do_mq_send(void) { return mq_send(a, "y", 1, 0); }

static void make_epoll(void) { make_pipe(); c = epoll_create1(0); struct epoll_event event = {.events = EPOLLIN}; epoll_ctl(c, EPOLL_CTL_ADD, a, &event); }
static long do_epoll(void) { struct epoll_event event; return epoll_wait(c, &event, 1, -1); }
static long do_epoll_pwait(void) { struct epoll_event event; return epoll_pwait(c, &event, 1, -1, NULL); }
static long do_poll(void) { struct pollfd one = {a, POLLIN, 0}; long n = poll(&one, 1, -1); return n < 0 ? n : one.revents; }
static long do_ppoll(void) { struct pollfd one = {a, POLLIN, 0}; long n = ppoll(&one, 1, NULL, NULL); return n < 0 ? n : one.revents; }
static long do_select(void) { fd_set in; FD_ZERO(&in); FD_SET(a, &in); return select(a + 1, &in, NULL, NULL, NULL); }

static long do_splice(void) { return splice(a, NULL, d, NULL, 1, 0); }
static long do_tee(void) { return tee(a, d, 1, 0); }
static void make_sendfile(void) { fill_pipe(); c = open("file", O_CREAT | O_RDWR, 0600); write(c, buffer, 100); }
static long do_sendfile(void) { off_t offset = 0; return sendfile(b, c, &offset, 100); }
static long do_vmsplice(void) { struct iovec part = {buffer, 100}; return vmsplice(b, &part, 1, 0); }

static pid_t child;
/* Its parent may have ended before the child asks for a signal at that. */
static void wait_with(pid_t parent) { prctl(PR_SET_PDEATHSIG, SIGKILL); if (getppid() == parent) pause(); _exit(0); }
static void make_child(void) { pid_t parent = getpid(); child = fork(); if (child == 0) wait_with(parent); a = syscall(SYS_pidfd_open, child, 0); }
static void kill_child(void) { kill(child, SIGKILL); }
static long do_waitid(void) { siginfo_t info; return waitid(P_PIDFD, a, &info, WEXITED); }

/* Calls without a descriptor: only what a killed process and an ended one do to them counts here. */
static void nothing(void) {}
static long do_futex(void) { return syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0); }
static long do_private_futex(void) { return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0); }
static long do_waitv(void) { struct futex_waitv one = {.uaddr = (uintptr_t)&word, .flags = FUTEX_32}; return syscall(SYS_futex_waitv, &one, 1, 0, NULL, 0); }
static long do_requeue(void) { static int lock; return syscall(SYS_futex, &word, FUTEX_WAIT_REQUEUE_PI, 0, NULL, &lock, 0); }
static void hold_pi(void) { syscall(SYS_futex, &word, FUTEX_LOCK_PI, 0, NULL, NULL, 0); }
static long do_lock_pi(void) { return syscall(SYS_futex, &word, FUTEX_LOCK_PI, 0, NULL, NULL, 0); }
static long do_pause(void) { return pause(); }
static long do_sigsuspend(void) { sigset_t set; sigemptyset(&set); return sigsuspend(&set); }
static long do_sigwaitinfo(void) { sigset_t set; sigemptyset(&set); sigaddset(&set, SIGUSR2); return sigwaitinfo(&set, NULL); }
static long do_nanosleep(void) { struct timespec time = {1000, 0}; return nanosleep(&time, NULL); }
static long do_clock_nanosleep(void) { struct timespec time = {1000, 0}; return clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL); }
static long do_cpu_sleep(void) { clockid_t clock; clock_getcpuclockid(child, &clock); struct timespec time = {1000, 0}; return clock_nanosleep(clock, 0, &time, NULL); }
static long do_wait4(void) { return wait4(child, NULL, 0, NULL); }
static void make_fifo(void) { unlink("waited"); mkfifo("waited", 0600); }
static long do_open(void) { return open("waited", O_RDONLY); }
/* What outlives a process goes with its IPC namespace. */
static void make_semaphore(void) { unshare(CLONE_NEWIPC); a = semget(IPC_PRIVATE, 1, 0600); }
static long do_semop(void) { struct sembuf down = {0, -1, 0}; return semop(a, &down, 1); }
static struct { long type; char text[8000]; } message = {1, "x"};
static void make_messages(void) { unshare(CLONE_NEWIPC); a = msgget(IPC_PRIVATE, 0600); }
static void fill_messages(void) { make_messages(); while (msgsnd(a, &message, 8000, IPC_NOWAIT) == 0); }
static long do_msgrcv(void) { return msgrcv(a, &message, 100, 0, 0); }
static long do_msgsnd(void) { return msgsnd(a, &message, 8000, 0); }

static const struct Call {
  const char *name;
  void (*make)(void);
  long (*run)(void);
  void (*finish)(void);
  int *fd;            /* the descriptor that is closed or reused meanwhile; NULL: the call has none */
  const char *closed; /* what the call answers then; it is fed through the file that it began with */
  const char *reused; /* NULL = the same */
} CALLS[] = {
  {"read of a pipe", make_pipe, do_read, feed, &a, "1"},
  {"readv", make_pipe, do_readv, feed, &a, "1"},
  {"readv of two parts", make_pipe, do_readv2, feed, &a, "1"},
  {"write to a full pipe", fill_pipe, do_write, drain, &b, "4096"},
  {"writev to a full pipe", fill_pipe, do_writev, drain, &b, "200"},
  {"vmsplice to a full pipe", fill_pipe, do_vmsplice, drain, &b, "100"},
  {"read of an eventfd", make_event, do_event, post_event, &a, "8"},
  {"read of a timerfd", make_timer, do_event, fire_timer, &a, "8"},
  {"read of inotify", make_inotify, do_inotify, touch_watched, &a, "1"},
  {"read of a signalfd", make_signalfd, do_signalfd, send_usr2, &a, "1"},
  {"read of a terminal", make_terminal, do_read_line, type_line, &a, "2"},
  {"read of a terminal with VTIME", make_timed_terminal, do_read_line, feed, &a, "1"},
  {"read of a socket", make_pair, do_read, feed, &a, "1"},
  {"recv", make_pair, do_recv, feed, &a, "1"},
  {"recvmsg", make_pair, do_recvmsg, feed, &a, "1"},
  {"recvmmsg", make_pair, do_recvmmsg, feed, &a, "1"},
  {"recv over TCP", make_tcp_pair, do_recv, feed, &a, "1"},
  {"recv over UDP", make_udp, do_recv, feed, &a, "1"},
  {"recv of netlink", make_netlink, do_netlink, ask_for_links, &a, "1"},
  {"recv of packets", make_packet, do_packet, send_frame, &a, "1"},
  {"send", fill_socket, do_send, drain_socket, &a, "1024"},
  {"sendmsg", fill_socket, do_sendmsg, drain_socket, &a, "1024"},
  {"sendmmsg", fill_socket, do_sendmmsg, drain_socket, &a, "1"},
  {"accept", make_listener, do_accept, connect_listener, &a, "0"},
  {"accept over TCP", make_tcp_listener, do_accept, connect_tcp, &a, "0"},
  {"connect", make_full_listener, do_connect, accept_one, &c, "0"},
  {"connect over TCP", make_full_tcp_listener, do_connect_tcp, accept_tcp, &c, "0"},
  {"flock", hold_flock, do_flock, release_flock, &a, "0"},
  /* fcntl_setlk(): a lock that is taken after its descriptor has gone is given up. */
  {"F_SETLKW", hold_record, do_setlkw, release_record, &a, "EBADF"},
  {"F_OFD_SETLKW", hold_record, do_ofd_setlkw, release_record, &a, "0"},
  {"mq_receive", make_queue, do_mq_receive, send_queue, &a, "1"},
  {"mq_send", make_full_queue, do_mq_send, receive_queue, &a, "0"},
  {"epoll_wait", make_epoll, do_epoll, feed, &c, "1"},
  {"epoll_pwait", make_epoll, do_epoll_pwait, feed, &c, "1"},
  {"epoll_pwait2", make_epoll, wait_for_events, feed, &c, "1"},
  /* do_pollfd() looks the number up each time: POLLNVAL. Reused by the end of a pipe that has ended: POLLHUP. */
  {"poll", make_pipe, do_poll, feed, &a, "32", "16"},
  {"ppoll", make_pipe, do_ppoll, feed, &a, "32", "16"},
  /* select_poll_one(): a descriptor that is closed meanwhile counts as ready (since Linux 6.10; before, it was left out). */
  {"select", make_pipe, do_select, feed, &a, "1"},
  {"splice, its input", make_pipes, do_splice, feed, &a, "1"},
  {"splice, its output", make_pipes, do_splice, feed, &d, "1"},
  {"tee, its input", make_pipes, do_tee, feed, &a, "1"},
  {"tee, its output", make_pipes, do_tee, feed, &d, "1"},
  {"sendfile, its input", make_sendfile, do_sendfile, drain, &c, "100"},
  {"sendfile, its output", make_sendfile, do_sendfile, drain, &b, "100"},
  {"waitid of a pidfd", make_child, do_waitid, kill_child, &a, "0"},
  {"futex wait", nothing, do_futex},
  {"private futex wait", nothing, do_private_futex},
  {"futex_waitv", nothing, do_waitv},
  {"futex lock PI", hold_pi, do_lock_pi},
  {"futex wait for a lock PI", nothing, do_requeue},
  {"pause", nothing, do_pause},
  {"sigsuspend", nothing, do_sigsuspend},
  {"sigwaitinfo", block_usr2, do_sigwaitinfo},
  {"nanosleep", nothing, do_nanosleep},
  {"clock_nanosleep", nothing, do_clock_nanosleep},
  {"clock_nanosleep on a CPU clock", make_child, do_cpu_sleep},
  {"wait4", make_child, do_wait4},
  {"open of a FIFO", make_fifo, do_open},
  {"semop", make_semaphore, do_semop},
  {"msgrcv", make_messages, do_msgrcv},
  {"msgsnd", fill_messages, do_msgsnd},
};

enum { CLOSED, REUSED, KILLED, LEFT };

static void *body(void *argument) {
  const struct Call *call = argument;
  enter_sleep();
  errno = 0;
  long result = call->run();
  return (void *)(result < 0 ? (long)-errno : result);
}

/* In a process of its own: the result comes by its exit code, 128 + errno for a failure; large counts by a pipe. */
static void trial(const struct Call *call, int mode) {
  int report[2];
  pipe(report);
  pid_t pid = fork();
  if (pid == 0) {
    alarm(20);
    signal(SIGPIPE, SIG_IGN);
    call->make();
    /* The end of a pipe that has ended: who reads it by mistake sees its end at once. */
    int other[2];
    pipe(other);
    close(other[1]);
    pthread_t thread = start_sleeper(body, (void *)call);
    if (mode == KILLED) kill(getpid(), SIGKILL);
    if (mode == LEFT) _exit(7);
    if (mode == CLOSED) close(*call->fd);
    else dup2(other[0], *call->fd);
    call->finish();
    void *result;
    pthread_join(thread, &result);
    long value = (long)result;
    write(report[1], &value, sizeof value);
    if (child > 0) kill(child, SIGKILL);
    _exit(0);
  }
  close(report[1]);
  long value = -ENODATA;
  int code = wait_code(pid);
  if (mode == KILLED) expect(call->name, "killed", code, "1009");
  else if (mode == LEFT) expect(call->name, "its process ended by another thread", code, "7");
  else if (code != 0) expect(call->name, "ended with", code, "0");
  else {
    read(report[0], &value, sizeof value);
    if (mode == CLOSED) expect(call->name, "closed meanwhile", value, call->closed);
    else expect(call->name, "reused meanwhile", value, call->reused ? call->reused : call->closed);
  }
  close(report[0]);
}

/* --- what a call gives back ------------------------------------------------------------------------------------------- */

static void *read_pipe(void *argument) { (void)argument; enter_sleep(); read(a, buffer, 1); return NULL; }

static void last_user(void) {
  signal(SIGPIPE, SIG_IGN);
  make_pipe();
  pthread_t thread = start_sleeper(read_pipe, NULL);
  close(a);
  errno = 0;
  expect("the reader of a closed pipe", "still there while it waits", write(b, "x", 1), "1");
  pthread_join(thread, NULL);
  errno = 0;
  long result = write(b, "x", 1);
  expect("the reader of a closed pipe", "gone with its call", result < 0 ? -errno : result, "EPIPE");
  close(b);
}

/* --- what a call has begun with besides descriptors ------------------------------------------------------------------ */

static void *wait_for_group(void *argument) { (void)argument; enter_sleep(); return (void *)(long)(waitpid(0, NULL, 0) == child ? 1 : -errno); }

/* do_wait(): the process group is the one that the caller had when it called. */
static void own_group(void) {
  pid_t pid = fork();
  if (pid == 0) {
    make_child();
    pthread_t thread = start_sleeper(wait_for_group, NULL);
    setpgid(0, 0);
    kill_child();
    void *result;
    pthread_join(thread, &result);
    _exit((long)result == 1 ? 1 : 2);
  }
  expect("waitpid of the own group", "which changes meanwhile", wait_code(pid), "1");
}

static void *open_fifo(void *argument) {
  (void)argument;
  enter_sleep();
  int fd = open("fifo", O_RDONLY);
  struct stat status;
  if (fd < 0 || fstat(fd, &status) < 0) return (void *)(long)-errno;
  return (void *)(long)(S_ISFIFO(status.st_mode) ? 1 : 0);
}

/* An open that waits for the other end of a FIFO has found its file: fifo_open(). */
static void renamed_fifo(void) {
  mkfifo("fifo", 0600);
  pthread_t thread = start_sleeper(open_fifo, NULL);
  rename("fifo", "other");
  close(open("fifo", O_CREAT | O_WRONLY, 0600));
  int fd = open("other", O_WRONLY | O_NONBLOCK);
  void *result;
  pthread_join(thread, &result);
  expect("open of a FIFO", "whose name leads elsewhere meanwhile", (long)result, "1");
  close(fd);
}

/* --- deadlines -------------------------------------------------------------------------------------------------------- */

static void limit(int fd, int option) { struct timeval time = {0, 30000}; setsockopt(fd, SOL_SOCKET, option, &time, sizeof time); }
static struct timespec soon(clockid_t clock) { struct timespec time; clock_gettime(clock, &time); time.tv_nsec += 30000000; if (time.tv_nsec >= 1000000000) time.tv_sec++, time.tv_nsec -= 1000000000; return time; }
static const struct timespec SPAN = {0, 30000000};

static void over(const char *name, long result, const char *wanted) { expect(name, "its time is over", result < 0 ? -errno : result, wanted); }

static void deadlines(void) {
  make_pair(); limit(a, SO_RCVTIMEO);
  over("read", read(a, buffer, 1), "EAGAIN");
  over("readv", do_readv(), "EAGAIN");
  over("recv", do_recv(), "EAGAIN");
  over("recvmsg", do_recvmsg(), "EAGAIN");
  over("recvmmsg", do_recvmmsg(), "EAGAIN");
  fill_socket(); limit(a, SO_SNDTIMEO);
  over("write", write(a, buffer, 1024), "EAGAIN");
  over("send", do_send(), "EAGAIN");
  over("sendmsg", do_sendmsg(), "EAGAIN");
  over("sendmmsg", do_sendmmsg(), "EAGAIN");
  make_listener(); limit(a, SO_RCVTIMEO);
  over("accept", do_accept(), "EAGAIN");
  make_full_listener(); limit(c, SO_SNDTIMEO);
  over("connect", do_connect(), "EAGAIN");
  make_full_tcp_listener(); limit(c, SO_SNDTIMEO);
  over("connect over TCP", do_connect_tcp(), "EINPROGRESS");
  over("connect over TCP, once more", do_connect_tcp(), "EALREADY");
  fcntl(c, F_SETFL, O_NONBLOCK);
  over("connect over TCP, without waiting", do_connect_tcp(), "EALREADY");
  make_queue();
  struct timespec time = soon(CLOCK_REALTIME);
  over("mq_timedreceive", mq_timedreceive(a, buffer, 16, NULL, &time), "ETIMEDOUT");
  mq_send(a, "x", 1, 0);
  time = soon(CLOCK_REALTIME);
  over("mq_timedsend", mq_timedsend(a, "y", 1, 0, &time), "ETIMEDOUT");
  over("futex wait", syscall(SYS_futex, &word, FUTEX_WAIT, 0, &SPAN, NULL, 0), "ETIMEDOUT");
  time = soon(CLOCK_MONOTONIC);
  over("futex wait until a time", syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 0, &time, NULL, FUTEX_BITSET_MATCH_ANY), "ETIMEDOUT");
  time = soon(CLOCK_MONOTONIC);
  struct futex_waitv one = {.uaddr = (uintptr_t)&word, .flags = FUTEX_32};
  over("futex_waitv", syscall(SYS_futex_waitv, &one, 1, 0, &time, CLOCK_MONOTONIC), "ETIMEDOUT");
  make_pipe();
  struct pollfd polled = {a, POLLIN, 0};
  over("poll", poll(&polled, 1, 30), "0");
  over("ppoll", ppoll(&polled, 1, &SPAN, NULL), "0");
  fd_set in;
  struct timeval span = {0, 30000};
  FD_ZERO(&in); FD_SET(a, &in);
  over("select", select(a + 1, &in, NULL, NULL, &span), "0");
  FD_SET(a, &in);
  over("pselect", pselect(a + 1, &in, NULL, NULL, &SPAN, NULL), "0");
  make_epoll();
  struct epoll_event event;
  over("epoll_wait", epoll_wait(c, &event, 1, 30), "0");
  over("epoll_pwait", epoll_pwait(c, &event, 1, 30, NULL), "0");
  sigset_t set;
  sigemptyset(&set); sigaddset(&set, SIGUSR2); sigprocmask(SIG_BLOCK, &set, NULL);
  over("sigtimedwait", sigtimedwait(&set, NULL, &SPAN), "EAGAIN");
  int semaphores = semget(IPC_PRIVATE, 1, 0600);
  struct sembuf down = {0, -1, 0};
  over("semtimedop", semtimedop(semaphores, &down, 1, &SPAN), "EAGAIN");
  semctl(semaphores, 0, IPC_RMID);
  over("nanosleep", nanosleep(&SPAN, NULL), "0");
  time = soon(CLOCK_MONOTONIC);
  over("clock_nanosleep", -clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL), "0");
}

int main(void) {
  char base[] = "/tmp/tsvisor-held-XXXXXX";
  if (!mkdtemp(base) || chdir(base) < 0) return 1;
  for (size_t i = 0; i < sizeof CALLS / sizeof *CALLS; i++) {
    if (CALLS[i].fd != NULL) trial(&CALLS[i], CLOSED);
    if (CALLS[i].fd != NULL) trial(&CALLS[i], REUSED);
    trial(&CALLS[i], KILLED);
    trial(&CALLS[i], LEFT);
  }
  last_user();
  own_group();
  renamed_fifo();
  deadlines();
  chdir("/");
  char command[100];
  snprintf(command, sizeof command, "rm -rf %s", base);
  return system(command);
}

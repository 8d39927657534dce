// What a signal does to each call that waits, by signal(7): with a handler and without SA_RESTART, with it, and with a stop
// and a continue where no handler runs at all. Nothing here counts on time: helpers look at /proc for who sleeps.
#include "check.h"
#include <linux/futex.h>
#include <mqueue.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/random.h>
#include <sys/sem.h>
#include <sys/sendfile.h>

static char buffer[200000];
static struct { volatile int begun, handled, done, word, locked; volatile long result; } *shared;
static int a, b, c, d; /* what a call's make() leaves for run() and finish() */
#include "waits.h"

static void handle(int number) { shared->handled = 1; (void)number; }

/* --- the calls ------------------------------------------------------------------------------------------------------- */

static void make_pipe(void) { int p[2]; pipe(p); a = p[0]; b = p[1]; }
static void feed(void) { write(b, "x", 1); }
static long do_read(void) { return read(a, buffer, 1); }
static long do_readv2(void) { struct iovec parts[2] = {{buffer, 1}, {buffer + 1, 1}}; return readv(a, parts, 2); }
static long do_readv(void) { struct iovec part = {buffer, 1}; return readv(a, &part, 1); }
static void fill_pipe(void) { make_pipe(); fcntl(b, F_SETFL, O_NONBLOCK); while (write(b, buffer, 4096) > 0); fcntl(b, F_SETFL, 0); }
static void drain(void) { for (long n = 0; n < 65536;) n += read(a, buffer, 65536); }
static long do_write(void) { return write(b, buffer, 4096); }
static long do_big_write(void) { return write(b, buffer, 70000); }
static void drain_all(void) { for (long n = 0; n < 135536;) { long got = read(a, buffer, 65536); if (got <= 0) break; n += got; if (shared->done) break; } }
static long do_writev(void) { struct iovec part = {buffer, 100}; return writev(b, &part, 1); }
static long do_vmsplice(void) { struct iovec part = {buffer, 100}; return vmsplice(b, &part, 1, 0); }

static void make_event(void) { a = eventfd(0, 0); }
static void signal_event(void) { uint64_t one = 1; write(a, &one, 8); }
static long do_event(void) { uint64_t value; return read(a, &value, 8); }
static void make_inotify(void) { char path[64]; snprintf(path, sizeof path, "watched-%d", getpid()); mkdir(path, 0700); a = inotify_init(); inotify_add_watch(a, path, IN_ATTRIB); }
static void touch_watched(void) { char path[64]; snprintf(path, sizeof path, "watched-%d", getppid()); chmod(path, 0750); }
static long do_inotify(void) { long n = read(a, buffer, 4096); return n > 0 ? 1 : n; }
static void make_timer(void) { a = timerfd_create(CLOCK_MONOTONIC, 0); struct itimerspec time = {{0, 0}, {1000, 0}}; timerfd_settime(a, 0, &time, NULL); }
static void fire_timer(void) { struct itimerspec time = {{0, 0}, {0, 1}}; timerfd_settime(a, 0, &time, NULL); }
static void make_signalfd(void) { sigset_t set; sigemptyset(&set); sigaddset(&set, SIGUSR2); sigprocmask(SIG_BLOCK, &set, NULL); a = signalfd(-1, &set, 0); }
static void send_usr2(void) { kill(getppid(), SIGUSR2); }
static long do_signalfd(void) { long n = read(a, buffer, 128); return n > 0 ? 1 : n; }

static void make_fifo(void) { char path[64]; snprintf(path, sizeof path, "fifo-%d", getpid()); mkfifo(path, 0600); }
static void open_fifo(void) { char path[64]; snprintf(path, sizeof path, "fifo-%d", getppid()); close(open(path, O_WRONLY | O_NONBLOCK)); }
static long do_open(void) { char path[64]; snprintf(path, sizeof path, "fifo-%d", getpid()); int fd = open(path, O_RDONLY); return fd < 0 ? -1 : 0; }

static void leave_with(pid_t parent) { prctl(PR_SET_PDEATHSIG, SIGKILL); if (getppid() != parent) _exit(0); }
static void open_fifo_to_read(void) { char path[64]; snprintf(path, sizeof path, "fifo-%d", getppid()); close(open(path, O_RDONLY | O_NONBLOCK)); }
static long do_open_to_write(void) { char path[64]; snprintf(path, sizeof path, "fifo-%d", getpid()); int fd = open(path, O_WRONLY); return fd < 0 ? -1 : 0; }

static void make_child(void) { pid_t parent = getpid(), child = fork(); if (child == 0) { leave_with(parent); pause(); _exit(0); } b = child; }
static void kill_child(void) { kill(b, SIGKILL); }
static long do_wait4(void) { return wait4(b, NULL, 0, NULL) > 0 ? 1 : -1; }
static long do_waitid(void) { siginfo_t info; return waitid(P_PID, b, &info, WEXITED); }

static void make_pair(void) { int p[2]; socketpair(AF_UNIX, SOCK_STREAM, 0, p); a = p[0]; b = p[1]; }
static void make_datagram_pair(void) { int p[2]; socketpair(AF_UNIX, SOCK_DGRAM, 0, p); a = p[0]; b = p[1]; }
static long do_recv(void) { return recv(a, buffer, 1, 0); }
static long do_recvmsg(void) { struct iovec part = {buffer, 1}; struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1}; return recvmsg(a, &header, 0); }
static long do_recvmmsg(void) { struct iovec part = {buffer, 1}; struct mmsghdr header = {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}}; return recvmmsg(a, &header, 1, 0, NULL); }
static void make_timed_pair(void) { make_pair(); struct timeval time = {1000, 0}; setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time); }
static void fill_socket(void) { make_pair(); while (send(a, buffer, 1024, MSG_DONTWAIT) > 0); }
static void drain_socket(void) { while (recv(b, buffer, sizeof buffer, MSG_DONTWAIT) > 0); }
static void fill_timed_socket(void) { fill_socket(); struct timeval time = {1000, 0}; setsockopt(a, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time); }
static long do_write_socket(void) { return write(a, buffer, 1024); }
static long do_send(void) { return send(a, buffer, 1024, 0); }
static long do_sendmsg(void) { struct iovec part = {buffer, 1024}; struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1}; return sendmsg(a, &header, 0); }
static long do_sendmmsg(void) { struct iovec part = {buffer, 1024}; struct mmsghdr header = {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}}; return sendmmsg(a, &header, 1, 0); }
static void make_listener(void) { a = socket(AF_UNIX, SOCK_STREAM, 0); struct sockaddr_un address = {.sun_family = AF_UNIX}; snprintf(address.sun_path, sizeof address.sun_path, "listen-%d", getpid()); bind(a, (void *)&address, sizeof address); listen(a, 0); }
static void make_timed_listener(void) { make_listener(); struct timeval time = {1000, 0}; setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time); }
static void connect_listener(void) { int s = socket(AF_UNIX, SOCK_STREAM, 0); struct sockaddr_un address = {.sun_family = AF_UNIX}; snprintf(address.sun_path, sizeof address.sun_path, "listen-%d", getppid()); connect(s, (void *)&address, sizeof address); }
static long do_accept(void) { return accept(a, NULL, NULL) < 0 ? -1 : 0; }
static void make_full_listener(void) { make_listener(); for (int i = 0; i < 2; i++) { b = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0); struct sockaddr_un address = {.sun_family = AF_UNIX}; snprintf(address.sun_path, sizeof address.sun_path, "listen-%d", getpid()); if (connect(b, (void *)&address, sizeof address) < 0) break; } c = socket(AF_UNIX, SOCK_STREAM, 0); }
static void accept_one(void) { accept(a, NULL, NULL); }
static long do_connect(void) { struct sockaddr_un address = {.sun_family = AF_UNIX}; snprintf(address.sun_path, sizeof address.sun_path, "listen-%d", getpid()); return connect(c, (void *)&address, sizeof address); }

/* The helper is asked to hold a lock until it finishes. */
static void make_lock(void) { char path[64]; snprintf(path, sizeof path, "lock-%d", getpid()); a = open(path, O_CREAT | O_RDWR, 0600); }
static void hold_flock(void) { char path[64]; snprintf(path, sizeof path, "lock-%d", getppid()); c = open(path, O_RDWR); flock(c, LOCK_EX); }
static void hold_record(void) { char path[64]; snprintf(path, sizeof path, "lock-%d", getppid()); c = open(path, O_RDWR); struct flock lock = {.l_type = F_WRLCK}; fcntl(c, F_SETLK, &lock); }
static void close_lock(void) { close(c); }
static long do_flock(void) { return flock(a, LOCK_EX); }
static long do_setlkw(void) { struct flock lock = {.l_type = F_WRLCK}; return fcntl(a, F_SETLKW, &lock); }
static long do_ofd_setlkw(void) { struct flock lock = {.l_type = F_WRLCK}; return fcntl(a, F_OFD_SETLKW, &lock); }

static void make_queue(void) { char name[64]; snprintf(name, sizeof name, "/tsvisor-restart-%d", getpid()); struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = 16}; a = mq_open(name, O_CREAT | O_RDWR, 0600, &attributes); mq_unlink(name); }
static void make_full_queue(void) { make_queue(); mq_send(a, "x", 1, 0); }
static void send_queue(void) { mq_send(a, "x", 1, 0); }
static void receive_queue(void) { mq_receive(a, buffer, 16, NULL); }
static long do_mq_receive(void) { return mq_receive(a, buffer, 16, NULL); }
static long do_mq_send(void) { return mq_send(a, "y", 1, 0); }

static long futex(int operation, int value, const struct timespec *time) { return syscall(SYS_futex, &shared->word, operation, value, time, NULL, FUTEX_BITSET_MATCH_ANY); }
static void wake(void) { shared->word = 1; futex(FUTEX_WAKE, 1, NULL); }
static long do_futex(void) { return futex(FUTEX_WAIT, 0, NULL); }
static long do_timed_futex(void) { struct timespec time = {1000, 0}; return futex(FUTEX_WAIT, 0, &time); }
static long do_futex_bitset(void) { struct timespec time; clock_gettime(CLOCK_MONOTONIC, &time); time.tv_sec += 1000; return futex(FUTEX_WAIT_BITSET, 0, &time); }
static long do_waitv(void) { struct futex_waitv one = {.uaddr = (uintptr_t)&shared->word, .flags = FUTEX_32}; return syscall(SYS_futex_waitv, &one, 1, 0, NULL, 0); }
static void hold_pi(void) { syscall(SYS_futex, &shared->locked, FUTEX_LOCK_PI, 0, NULL, NULL, 0); }
static void release_pi(void) { syscall(SYS_futex, &shared->locked, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0); }
static long do_lock_pi(void) { return syscall(SYS_futex, &shared->locked, FUTEX_LOCK_PI, 0, NULL, NULL, 0); }
static long do_requeue(void) { return syscall(SYS_futex, &shared->word, FUTEX_WAIT_REQUEUE_PI, 0, NULL, &shared->locked, 0); }
static void requeue(void) { syscall(SYS_futex, &shared->word, FUTEX_CMP_REQUEUE_PI, 1, NULL, &shared->locked, 0); }

static struct pollfd one;
static long do_poll(void) { one = (struct pollfd){a, POLLIN, 0}; return poll(&one, 1, -1); }
static long do_timed_poll(void) { one = (struct pollfd){a, POLLIN, 0}; return poll(&one, 1, 1000000); }
static long do_ppoll(void) { one = (struct pollfd){a, POLLIN, 0}; return ppoll(&one, 1, NULL, NULL); }
static long do_select(void) { fd_set in; FD_ZERO(&in); FD_SET(a, &in); return select(a + 1, &in, NULL, NULL, NULL); }
static long do_pselect(void) { fd_set in; FD_ZERO(&in); FD_SET(a, &in); return pselect(a + 1, &in, NULL, NULL, NULL, NULL); }
static void make_epoll(void) { make_pipe(); c = epoll_create1(0); struct epoll_event event = {.events = EPOLLIN}; epoll_ctl(c, EPOLL_CTL_ADD, a, &event); }
static long do_epoll(void) { struct epoll_event event; return epoll_wait(c, &event, 1, -1); }
static long do_epoll_pwait(void) { struct epoll_event event; return epoll_pwait(c, &event, 1, -1, NULL); }

static void nothing(void) {}
static long do_pause(void) { return pause(); }
static long do_sigsuspend(void) { sigset_t set; sigemptyset(&set); return sigsuspend(&set); }
static void block_usr2(void) { sigset_t set; sigemptyset(&set); sigaddset(&set, SIGUSR2); sigprocmask(SIG_BLOCK, &set, NULL); }
static long do_sigwaitinfo(void) { sigset_t set; sigemptyset(&set); sigaddset(&set, SIGUSR2); return sigwaitinfo(&set, NULL) > 0 ? 1 : -1; }
static long do_sigtimedwait(void) { sigset_t set; sigemptyset(&set); sigaddset(&set, SIGUSR2); struct timespec time = {1000, 0}; return sigtimedwait(&set, NULL, &time) > 0 ? 1 : -1; }
static long do_nanosleep(void) { struct timespec time = {0, 150000000}; return nanosleep(&time, NULL); }
static long do_clock_nanosleep(void) { struct timespec time; clock_gettime(CLOCK_MONOTONIC, &time); time.tv_nsec += 150000000; if (time.tv_nsec >= 1000000000) time.tv_sec++, time.tv_nsec -= 1000000000; int error = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL); errno = error; return error ? -1 : 0; }
/* A process that uses CPU time once SIGUSR2 tells it to; its clock is what do_cpu_sleep() sleeps on. */
static void begin(int number) { (void)number; }
static void make_spinner(void) {
  block_usr2();
  pid_t parent = getpid();
  b = fork();
  if (b > 0) return;
  leave_with(parent);
  signal(SIGUSR2, begin);
  sigset_t none;
  sigemptyset(&none);
  sigsuspend(&none);
  for (;;);
}
static void start_spinner(void) { kill(b, SIGUSR2); }
static long do_cpu_sleep(void) { clockid_t clock; clock_getcpuclockid(b, &clock); struct timespec time = {0, 5000000}; int error = clock_nanosleep(clock, 0, &time, NULL); errno = error; return error ? -1 : 0; }

static void make_semaphore(void) { a = semget(IPC_PRIVATE, 1, 0600); }
static void post_semaphore(void) { struct sembuf operation = {0, 1, 0}; semop(a, &operation, 1); }
static long do_semop(void) { struct sembuf operation = {0, -1, 0}; return semop(a, &operation, 1); }
static long do_semtimedop(void) { struct sembuf operation = {0, -1, 0}; struct timespec time = {1000, 0}; return semtimedop(a, &operation, 1, &time); }
static void remove_semaphore(void) { semctl(a, 0, IPC_RMID); }
static struct { long type; char text[8000]; } message = {1, "x"};
static void make_messages(void) { a = msgget(IPC_PRIVATE, 0600); }
static void fill_messages(void) { make_messages(); while (msgsnd(a, &message, 8000, IPC_NOWAIT) == 0); }
static void send_message(void) { msgsnd(a, &message, 1, 0); }
static void take_messages(void) { while (msgrcv(a, &message, 8000, 0, IPC_NOWAIT) >= 0); }
static long do_msgrcv(void) { return msgrcv(a, &message, 100, 0, 0); }
static long do_msgsnd(void) { return msgsnd(a, &message, 8000, 0); }
static void remove_messages(void) { msgctl(a, IPC_RMID, NULL); }

static int p2[2];
static void make_pipes(void) { make_pipe(); pipe(p2); }
static long do_splice(void) { return splice(a, NULL, p2[1], NULL, 1, 0); }
static long do_tee(void) { return tee(a, p2[1], 1, 0); }
static void make_sendfile(void) { fill_pipe(); char path[64]; snprintf(path, sizeof path, "file-%d", getpid()); c = open(path, O_CREAT | O_RDWR, 0600); write(c, buffer, 100); }
static long do_sendfile(void) { off_t offset = 0; return sendfile(b, c, &offset, 100); }

static const struct Call {
  const char *name;
  void (*make)(void);
  void (*hold)(void); /* in the helper, before the call */
  long (*run)(void);
  void (*finish)(void); /* in the helper: lets the call end */
  void (*remove)(void);
  const char *gives[3]; /* as signal(7) says: interrupted by a handler, by one with SA_RESTART, and stopped and continued */
} CALLS[] = {
  {"read of a pipe", make_pipe, NULL, do_read, feed, .gives = {"EINTR", "1", "1"}},
  {"readv", make_pipe, NULL, do_readv, feed, .gives = {"EINTR", "1", "1"}},
  {"write to a full pipe", fill_pipe, NULL, do_write, drain, .gives = {"EINTR", "4096", "4096"}},
  {"writev", fill_pipe, NULL, do_writev, drain, .gives = {"EINTR", "100", "100"}},
  {"vmsplice", fill_pipe, NULL, do_vmsplice, drain, .gives = {"EINTR", "100", "100"}},
  {"a write that has begun", make_pipe, NULL, do_big_write, drain_all, .gives = {"65536", "65536", "65536"}},
  {"read of an eventfd", make_event, NULL, do_event, signal_event, .gives = {"EINTR", "8", "8"}},
  {"read of inotify", make_inotify, NULL, do_inotify, touch_watched, .gives = {"EINTR", "1", "1"}},
  {"read of a timerfd", make_timer, NULL, do_event, fire_timer, .gives = {"EINTR", "8", "8"}},
  {"read of a signalfd", make_signalfd, NULL, do_signalfd, send_usr2, .gives = {"EINTR", "1", "1"}},
  {"open of a FIFO", make_fifo, NULL, do_open, open_fifo, .gives = {"EINTR", "0", "0"}},
  {"open of a FIFO to write", make_fifo, NULL, do_open_to_write, open_fifo_to_read, .gives = {"EINTR", "0", "0"}},
  {"wait4", make_child, NULL, do_wait4, kill_child, .gives = {"EINTR", "1", "1"}},
  {"waitid", make_child, NULL, do_waitid, kill_child, .gives = {"EINTR", "0", "0"}},
  {"recv", make_pair, NULL, do_recv, feed, .gives = {"EINTR", "1", "1"}},
  {"recv of a datagram", make_datagram_pair, NULL, do_recv, feed, .gives = {"EINTR", "1", "1"}},
  {"recvmsg", make_pair, NULL, do_recvmsg, feed, .gives = {"EINTR", "1", "1"}},
  {"recvmmsg", make_pair, NULL, do_recvmmsg, feed, .gives = {"EINTR", "1", "1"}},
  {"recv over TCP", make_tcp_pair, NULL, do_recv, feed, .gives = {"EINTR", "1", "1"}},
  {"recv over UDP", make_udp, NULL, do_recv, feed, .gives = {"EINTR", "1", "1"}},
  {"recv of netlink", make_netlink, NULL, do_netlink, ask_for_links, .gives = {"EINTR", "1", "1"}},
  {"recv of packets", make_packet, NULL, do_packet, send_frame, .gives = {"EINTR", "1", "1"}},
  {"recv with SO_RCVTIMEO", make_timed_pair, NULL, do_recv, feed, .gives = {"EINTR", "EINTR", "EINTR"}},
  {"send", fill_socket, NULL, do_send, drain_socket, .gives = {"EINTR", "1024", "1024"}},
  {"sendmsg", fill_socket, NULL, do_sendmsg, drain_socket, .gives = {"EINTR", "1024", "1024"}},
  {"sendmmsg", fill_socket, NULL, do_sendmmsg, drain_socket, .gives = {"EINTR", "1", "1"}},
  {"accept", make_listener, NULL, do_accept, connect_listener, .gives = {"EINTR", "0", "0"}},
  {"accept over TCP", make_tcp_listener, NULL, do_accept, connect_tcp, .gives = {"EINTR", "0", "0"}},
  {"connect", make_full_listener, NULL, do_connect, accept_one, .gives = {"EINTR", "0", "0"}},
  {"connect over TCP", make_full_tcp_listener, NULL, do_connect_tcp, accept_tcp, .gives = {"EINTR", "0", "0"}},
  {"flock", make_lock, hold_flock, do_flock, close_lock, .gives = {"EINTR", "0", "0"}},
  {"F_SETLKW", make_lock, hold_record, do_setlkw, close_lock, .gives = {"EINTR", "0", "0"}},
  {"F_OFD_SETLKW", make_lock, hold_record, do_ofd_setlkw, close_lock, .gives = {"EINTR", "0", "0"}},
  {"mq_receive", make_queue, NULL, do_mq_receive, send_queue, .gives = {"EINTR", "1", "1"}},
  {"mq_send", make_full_queue, NULL, do_mq_send, receive_queue, .gives = {"EINTR", "0", "0"}},
  {"futex wait", nothing, NULL, do_futex, wake, .gives = {"EINTR", "0", "0"}},
  {"futex wait with a time", nothing, NULL, do_timed_futex, wake, .gives = {"EINTR", "EINTR", "0"}},
  {"futex wait until a time", nothing, NULL, do_futex_bitset, wake, .gives = {"EINTR", "EINTR", "0"}},
  {"futex_waitv", nothing, NULL, do_waitv, wake, .gives = {"EINTR", "0", "0"}},
  {"futex lock PI", nothing, hold_pi, do_lock_pi, release_pi, .gives = {"0", "0", "0"}},
  /* futex_wait_requeue_pi(): a wait that a signal interrupts is made again (ERESTARTNOINTR). */
  {"futex wait for a lock PI", nothing, NULL, do_requeue, requeue, .gives = {"0", "0", "0"}},
  {"poll", make_pipe, NULL, do_poll, feed, .gives = {"EINTR", "EINTR", "1"}},
  {"poll with a time", make_pipe, NULL, do_timed_poll, feed, .gives = {"EINTR", "EINTR", "1"}},
  {"ppoll", make_pipe, NULL, do_ppoll, feed, .gives = {"EINTR", "EINTR", "1"}},
  {"select", make_pipe, NULL, do_select, feed, .gives = {"EINTR", "EINTR", "1"}},
  {"pselect", make_pipe, NULL, do_pselect, feed, .gives = {"EINTR", "EINTR", "1"}},
  {"epoll_wait", make_epoll, NULL, do_epoll, feed, .gives = {"EINTR", "EINTR", "EINTR"}},
  {"epoll_pwait", make_epoll, NULL, do_epoll_pwait, feed, .gives = {"EINTR", "EINTR", "EINTR"}},
  {"epoll_pwait2", make_epoll, NULL, wait_for_events, feed, .gives = {"EINTR", "EINTR", "EINTR"}},
  {"pause", nothing, NULL, do_pause, NULL, .gives = {"EINTR", "EINTR"}},
  {"sigsuspend", nothing, NULL, do_sigsuspend, NULL, .gives = {"EINTR", "EINTR"}},
  {"sigwaitinfo", block_usr2, NULL, do_sigwaitinfo, send_usr2, .gives = {"EINTR", "EINTR", "EINTR"}},
  {"sigtimedwait", block_usr2, NULL, do_sigtimedwait, send_usr2, .gives = {"EINTR", "EINTR", "EINTR"}},
  {"nanosleep", nothing, NULL, do_nanosleep, nothing, .gives = {"EINTR", "EINTR", "0"}},
  {"clock_nanosleep", nothing, NULL, do_clock_nanosleep, nothing, .gives = {"EINTR", "EINTR", "0"}},
  {"clock_nanosleep on a CPU clock", make_spinner, NULL, do_cpu_sleep, start_spinner, kill_child, .gives = {"EINTR", "EINTR", "0"}},
  {"semop", make_semaphore, NULL, do_semop, post_semaphore, remove_semaphore, .gives = {"EINTR", "EINTR", "EINTR"}},
  {"semtimedop", make_semaphore, NULL, do_semtimedop, post_semaphore, remove_semaphore, .gives = {"EINTR", "EINTR", "EINTR"}},
  {"msgrcv", make_messages, NULL, do_msgrcv, send_message, remove_messages, .gives = {"EINTR", "EINTR", "1"}},
  {"msgsnd", fill_messages, NULL, do_msgsnd, take_messages, remove_messages, .gives = {"EINTR", "EINTR", "0"}},
  {"splice", make_pipes, NULL, do_splice, feed, .gives = {"EINTR", "1", "1"}},
  {"tee", make_pipes, NULL, do_tee, feed, .gives = {"EINTR", "1", "1"}},
  {"sendfile", make_sendfile, NULL, do_sendfile, drain, .gives = {"EINTR", "100", "100"}},
  {"read of a terminal", make_terminal, NULL, do_read_line, type_line, .gives = {"EINTR", "2", "2"}},
  {"read of a terminal with VTIME", make_timed_terminal, NULL, do_read_line, feed, .gives = {"EINTR", "1", "1"}},
  {"read of a terminal's master", make_terminal, NULL, do_read_master, print_byte, .gives = {"EINTR", "1", "1"}},
  {"write to a stopped terminal", make_stopped_terminal, NULL, do_print, start_terminal, .gives = {"EINTR", "1", "1"}},
  {"read with SO_RCVTIMEO", make_timed_pair, NULL, do_read, feed, .gives = {"EINTR", "EINTR", "EINTR"}},
  {"readv with SO_RCVTIMEO", make_timed_pair, NULL, do_readv, feed, .gives = {"EINTR", "EINTR", "EINTR"}},
  {"readv of two parts with SO_RCVTIMEO", make_timed_pair, NULL, do_readv2, feed, .gives = {"EINTR", "EINTR", "EINTR"}},
  {"write with SO_SNDTIMEO", fill_timed_socket, NULL, do_write_socket, drain_socket, .gives = {"EINTR", "EINTR", "EINTR"}},
  {"accept with SO_RCVTIMEO", make_timed_listener, NULL, do_accept, connect_listener, .gives = {"EINTR", "EINTR", "EINTR"}},
};

/* --- one trial -------------------------------------------------------------------------------------------------------- */

static char state_of(pid_t pid) {
  char path[64], text[256];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  int fd = open(path, O_RDONLY);
  if (fd < 0) return '?';
  long n = read(fd, text, sizeof text - 1);
  close(fd);
  if (n <= 0) return '?';
  text[n] = 0;
  char *end = strrchr(text, ')');
  return end && end[1] ? end[2] : '?';
}

static void wait_for_state(pid_t pid, char state) {
  for (int i = 0; i < 3000 && !shared->done && state_of(pid) != state; i++) usleep(1000);
}

enum { PLAIN, RESTART, STOP };

static void helper(const struct Call *call, int mode, pid_t pid) {
  leave_with(pid);
  struct sigaction none = {.sa_handler = SIG_DFL};
  sigaction(SIGUSR1, &none, NULL);
  if (call->hold) call->hold();
  shared->begun = 1;
  wait_for_state(pid, 'S');
  if (mode == STOP) {
    kill(pid, SIGSTOP);
    wait_for_state(pid, 'T');
    kill(pid, SIGCONT);
  } else {
    kill(pid, SIGUSR1);
    for (int i = 0; i < 3000 && !shared->handled; i++) usleep(1000);
  }
  usleep(5000);
  wait_for_state(pid, 'S');
  if (call->finish) call->finish();
  /* What it holds goes with it: not before the call has ended. */
  for (int i = 0; i < 3000 && !shared->done; i++) usleep(1000);
  _exit(0);
}

static void trial(const struct Call *call, int mode) {
  memset((void *)shared, 0, sizeof *shared);
  pid_t child = fork();
  if (child == 0) {
    struct sigaction action = {.sa_handler = handle, .sa_flags = mode == RESTART ? SA_RESTART : 0};
    sigaction(SIGUSR1, &action, NULL);
    alarm(60);
    call->make();
    pid_t pid = getpid(), other = fork();
    if (other == 0) helper(call, mode, pid);
    /* Without sleeping: the helper takes the first sleep that it sees for the call's. */
    while (!shared->begun) sched_yield();
    errno = 0;
    long result = call->run();
    shared->result = result < 0 ? -errno : result;
    shared->done = 1;
    if (call->remove) call->remove();
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
    _exit(0);
  }
  int code = wait_code(child);
  const char *expected = call->gives[mode];
  const char *kinds[] = {"without SA_RESTART", "with SA_RESTART", "stopped and continued"};
  char name[100];
  snprintf(name, sizeof name, "%s %s", call->name, kinds[mode]);
  if (code == 1000 + SIGALRM && call->finish == NULL) SAYS(name, expected, "goes on");
  else if (code != 0) SAYS(name, expected, "ended with %d", code);
  else if (shared->result < 0) SAYS(name, expected, "%s", strerrorname_np(-shared->result));
  else SAYS(name, expected, "%ld", shared->result);
}

int main(void) {
  char base[] = "/tmp/tsvisor-restart-XXXXXX";
  if (!mkdtemp(base) || chdir(base) < 0) return 1;
  shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  for (size_t i = 0; i < sizeof CALLS / sizeof *CALLS; i++) {
    trial(&CALLS[i], PLAIN);
    trial(&CALLS[i], RESTART);
    if (CALLS[i].finish) trial(&CALLS[i], STOP);
  }
  chdir("/");
  char command[100];
  snprintf(command, sizeof command, "rm -rf %s", base);
  return system(command);
}

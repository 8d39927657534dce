// Waits for many, System V and POSIX objects that are large, pipes.
#include "turns.h"
#include <mqueue.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/shm.h>

static void poll_(void) {
  enum { COUNT = 30000 };
  allow_files(COUNT + 10);
  struct pollfd *list = calloc(COUNT, sizeof *list);
  int fd = eventfd(1, 0);
  for (int i = 0; i < COUNT; i++) list[i] = (struct pollfd){fd, POLLIN, 0};
  begin();
  for (int i = 0; i < 5; i++) check(poll(list, COUNT, 0) == COUNT, "poll");
  // None is ready: it joins all their queues.
  for (int i = 0; i < COUNT; i++) list[i].events = 0;
  struct timespec soon = {0, 1000000};
  for (int i = 0; i < 3; i++) check(ppoll(list, COUNT, &soon, 0) == 0, "ppoll");
}
static void select_(void) {
  enum { COUNT = 20000 };
  allow_files(COUNT + 10);
  int fd = eventfd(0, 0);
  for (int i = 0; i < COUNT; i++) dup(fd);
  unsigned long *set = calloc(COUNT / 8 + 64, 1);
  begin();
  for (int i = 0; i < 5; i++) {
    memset(set, 0xff, COUNT / 8);
    struct timeval none = {0, 1000};
    check(syscall(SYS_select, COUNT, set, 0, 0, &none) >= 0, "select");
  }
}
static void epoll(void) {
  enum { COUNT = 8000 };
  static struct epoll_event events[COUNT];
  allow_files(COUNT + 100);
  int set = epoll_create1(0);
  for (int i = 0; i < COUNT; i++) {
    struct epoll_event one = {EPOLLIN | EPOLLOUT, {.fd = i}};
    check(epoll_ctl(set, EPOLL_CTL_ADD, eventfd(1, 0), &one) == 0, "epoll_ctl");
  }
  begin();
  for (int i = 0; i < 10; i++) check(epoll_wait(set, events, COUNT, 0) == COUNT, "epoll_wait");
  close(set);
}
/** Sets in sets, as deep and as wide as may be. */
static void epoll_nested(void) {
  allow_files(5000);
  int inner[150], ready = eventfd(1, 0);
  for (int i = 0; i < 150; i++) {
    struct epoll_event one = {EPOLLIN};
    inner[i] = epoll_create1(0);
    epoll_ctl(inner[i], EPOLL_CTL_ADD, ready, &one);
    for (int k = 0; k < 150 && k < i; k++) epoll_ctl(inner[i], EPOLL_CTL_ADD, inner[k], &one);
  }
  struct epoll_event events[64];
  begin();
  for (int i = 0; i < 20; i++) {
    epoll_wait(inner[149], events, 64, 0);
    write(ready, &(uint64_t){1}, 8);
  }
}
static void semop_(void) {
  enum { COUNT = 500, SEMAPHORES = 32000 };
  struct sembuf operations[COUNT];
  int set = semget(IPC_PRIVATE, SEMAPHORES, 0600);
  check(set >= 0, "semget");
  unsigned short *values = calloc(SEMAPHORES, sizeof *values);
  for (int i = 0; i < COUNT; i++) operations[i] = (struct sembuf){i * 64, 1, SEM_UNDO};
  begin();
  for (int i = 0; i < 15; i++) {
    check(semop(set, operations, COUNT) == 0, "semop");
    check(semctl(set, 0, GETALL, values) == 0, "semctl");
    check(semctl(set, 0, SETALL, values) == 0, "semctl");
  }
  semctl(set, 0, IPC_RMID);
}
static void message_queues(void) {
  static struct {
    long type;
    char text[8192];
  } message = {1};
  int queue = msgget(IPC_PRIVATE, 0600);
  check(queue >= 0, "msgget");
  // Many of nothing: each must be looked at for its type.
  for (int i = 0; i < 5000; i++) if (msgsnd(queue, &message, 0, IPC_NOWAIT) < 0) break;
  begin();
  for (int i = 0; i < 100; i++) msgrcv(queue, &message, sizeof message.text, 7, IPC_NOWAIT);
  for (int i = 0; i < 100; i++) msgrcv(queue, &message, sizeof message.text, -7, IPC_NOWAIT);
  for (int i = 0; i < 300; i++) {
    msgrcv(queue, &message, sizeof message.text, 0, IPC_NOWAIT);
    msgsnd(queue, &message, sizeof message.text, IPC_NOWAIT);
  }
  msgctl(queue, IPC_RMID, 0);
}
static void posix_queues(void) {
  struct mq_attr attributes = {.mq_maxmsg = 10, .mq_msgsize = 8192};
  mqd_t queue = mq_open("/turns", O_RDWR | O_CREAT | O_NONBLOCK, 0600, &attributes);
  check(queue >= 0, "mq_open");
  char *text = reserve(8192);
  for (int round = 0; round < 30; round++) {
    for (int i = 0; i < 10; i++) check(mq_send(queue, text, 8192, i * 31 % 10) == 0, "mq_send");
    for (int i = 0; i < 10; i++) check(mq_receive(queue, text, 8192, 0) == 8192, "mq_receive");
  }
  mq_unlink("/turns");
}
static void shared_memory(void) {
  int segment = shmget(IPC_PRIVATE, (GIB / 2), 0600);
  check(segment >= 0, "shmget");
  char *at = shmat(segment, 0, 0);
  check(at != (void *)-1, "shmat");
  memset(at, 1, (GIB / 2));
  begin();
  check(shmdt(at) == 0, "shmdt");
  check(shmctl(segment, IPC_RMID, 0) == 0, "shmctl");
  settle();
}
static void pipes(void) {
  int ends[2];
  pipe(ends);
  check(fcntl(ends[1], F_SETPIPE_SZ, MIB) > 0, "F_SETPIPE_SZ");
  fcntl(ends[1], F_SETFL, O_NONBLOCK), fcntl(ends[0], F_SETFL, O_NONBLOCK);
  char *bytes = reserve(64 * MIB);
  for (int i = 0; i < 20; i++) {
    check(write(ends[1], bytes, 64 * MIB) > 0, "write");
    int waiting;
    check(ioctl(ends[0], FIONREAD, &waiting) == 0 && waiting > 0, "ioctl");
    check(read(ends[0], bytes, 64 * MIB) > 0, "read");
  }
}

const struct turns_case ipc_cases[] = {
  {"poll", "poll ppoll", poll_},
  {"select", "select pselect6", select_},
  {"epoll", "epoll_wait epoll_pwait epoll_pwait2 epoll_ctl", epoll},
  {"epoll_nested", "epoll_wait epoll_ctl", epoll_nested},
  {"semop", "semget semop semtimedop semctl", semop_},
  {"message_queues", "msgget msgsnd msgrcv msgctl", message_queues},
  {"posix_queues", "mq_open mq_unlink mq_timedsend mq_timedreceive", posix_queues},
  {"shared_memory", "shmget shmat shmdt shmctl", shared_memory},
  {"pipes", "pipe pipe2 read write ioctl", pipes},
  {0},
};

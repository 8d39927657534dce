// System V shared memory, semaphores and message queues; POSIX message queues.
#include "check.h"
#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

static void shared_memory(void) {
  key_t key = 0x5a5a0000 + getpid();
  struct shmid_ds status;
  FAILS("shmget of what is not there", ENOENT, shmget(key, 100, 0));
  FAILS("shmget of nothing", EINVAL, shmget(key, 0, IPC_CREAT | 0600));
  int id = shmget(key, 10000, IPC_CREAT | 0600);
  TRUE("shmget", id >= 0);
  TRUE("shmget again", shmget(key, 10000, IPC_CREAT) == id && shmget(key, 0, 0) == id);
  FAILS("shmget exclusively", EEXIST, shmget(key, 10000, IPC_CREAT | IPC_EXCL));
  FAILS("shmget of too much", EINVAL, shmget(key, 20000, 0));
  char *a = shmat(id, NULL, 0);
  TRUE("shmat", a != (void *)-1);
  const char *b = shmat(id, NULL, SHM_RDONLY);
  strcpy(a + 5000, "shared");
  TRUE("both see it", strcmp(b + 5000, "shared") == 0);
  FAILS("the read-only one stays so", EACCES, mprotect((void *)b, 4096, PROT_READ | PROT_WRITE));
  EQUALS("IPC_STAT", 0, shmctl(id, IPC_STAT, &status));
  SAYS("its status", "10000 bytes, 2 attached, mode 600", "%lu bytes, %lu attached, mode %o", status.shm_segsz, status.shm_nattch, status.shm_perm.mode);
  TRUE("its makers", status.shm_cpid == getpid() && status.shm_perm.uid == geteuid() && status.shm_perm.__key == key);
  pid_t child = fork();
  if (child == 0) {
    shmctl(id, IPC_STAT, &status);
    strcpy(a + 5000, "from the child");
    _exit(status.shm_nattch);
  }
  EQUALS("a child is attached too", 4, wait_code(child));
  TRUE("its bytes are here", strcmp(b + 5000, "from the child") == 0);
  shmctl(id, IPC_STAT, &status);
  EQUALS("and it is not any more", 2, status.shm_nattch);
  EQUALS("shmdt", 0, shmdt(b));
  FAILS("shmdt again", EINVAL, shmdt(b));
  FAILS("shmdt of a part", EINVAL, shmdt(a + 4096));
  FAILS("shmdt of nonsense", EINVAL, shmdt(a + 1));
  FAILS("shmat at an odd place", EINVAL, shmat(id, a + 1, 0));
  FAILS("shmat over another", EINVAL, shmat(id, a, 0));
  TRUE("shmat with SHM_REMAP", shmat(id, a, SHM_REMAP) == a && strcmp(a + 5000, "from the child") == 0);
  EQUALS("IPC_RMID", 0, shmctl(id, IPC_RMID, NULL));
  EQUALS("it lives while attached", 0, shmctl(id, IPC_STAT, &status));
  TRUE("its key does not", shmget(key, 0, 0) == -1 && (status.shm_perm.mode & SHM_DEST));
  strcpy(a, "still there");
  EQUALS("shmdt the last", 0, shmdt(a));
  FAILS("it is gone", EINVAL, shmctl(id, IPC_STAT, &status));
  FAILS("shmat of what is gone", EINVAL, shmat(id, NULL, 0));
  FAILS("shmctl with a bad command", EINVAL, shmctl(id, 99, NULL));
}

union semun { int val; struct semid_ds *buf; unsigned short *array; };

static int operate(int id, int number, int operation, int flags) {
  struct sembuf one = {number, operation, flags};
  return semop(id, &one, 1);
}

static void semaphores(void) {
  FAILS("semget of too many", EINVAL, semget(IPC_PRIVATE, 100000, 0600));
  FAILS("semget of none", EINVAL, semget(IPC_PRIVATE, 0, 0600));
  int id = semget(IPC_PRIVATE, 3, 0600);
  TRUE("semget", id >= 0);
  EQUALS("GETVAL", 0, semctl(id, 0, GETVAL));
  EQUALS("SETVAL", 0, semctl(id, 0, SETVAL, 5));
  FAILS("SETVAL too high", ERANGE, semctl(id, 0, SETVAL, 40000));
  FAILS("a number that is not there", EINVAL, semctl(id, 3, GETVAL));
  EQUALS("take two", 0, operate(id, 0, -2, 0));
  EQUALS("three are left", 3, semctl(id, 0, GETVAL));
  TRUE("GETPID", semctl(id, 0, GETPID) == getpid());
  FAILS("take four without waiting", EAGAIN, operate(id, 0, -4, IPC_NOWAIT));
  FAILS("wait for zero without waiting", EAGAIN, operate(id, 0, 0, IPC_NOWAIT));
  FAILS("beyond the set", EFBIG, operate(id, 7, 1, 0));
  FAILS("over the top", ERANGE, operate(id, 0, 32767, 0));
  FAILS("no operations", EINVAL, semop(id, NULL, 0));
  struct sembuf both[2] = {{0, -1, 0}, {1, -1, IPC_NOWAIT}};
  FAILS("all or none", EAGAIN, semop(id, both, 2));
  EQUALS("nothing was taken", 3, semctl(id, 0, GETVAL));
  unsigned short values[3] = {1, 2, 3}, seen[3];
  EQUALS("SETALL", 0, semctl(id, 0, SETALL, values));
  EQUALS("GETALL", 0, semctl(id, 0, GETALL, seen));
  SAYS("all", "1 2 3", "%d %d %d", seen[0], seen[1], seen[2]);
  struct timespec time = {0, 20000000};
  struct sembuf one = {0, -9, 0};
  FAILS("semtimedop times out", EAGAIN, semtimedop(id, &one, 1, &time));
  pid_t child = fork();
  if (child == 0) _exit(operate(id, 0, -3, 0) == 0 ? 7 : 8);
  await_state(child, 'S');
  EQUALS("GETNCNT", 1, semctl(id, 0, GETNCNT));
  operate(id, 0, 2, 0);
  EQUALS("a waiting child is let go", 7, wait_code(child));
  child = fork();
  if (child == 0) {
    operate(id, 1, -1, SEM_UNDO);
    operate(id, 2, 4, SEM_UNDO);
    _exit(semctl(id, 1, GETVAL) * 10 + semctl(id, 2, GETVAL));
  }
  EQUALS("changes with SEM_UNDO", 17, wait_code(child));
  SAYS("are undone", "2 3", "%d %d", semctl(id, 1, GETVAL), semctl(id, 2, GETVAL));
  child = fork();
  if (child == 0) {
    int result = operate(id, 2, 0, 0);
    _exit(result == -1 && errno == EIDRM);
  }
  await_state(child, 'S');
  EQUALS("GETZCNT", 1, semctl(id, 2, GETZCNT));
  struct semid_ds status;
  union semun argument = {.buf = &status};
  EQUALS("IPC_STAT of a set", 0, semctl(id, 0, IPC_STAT, argument));
  EQUALS("its size", 3, status.sem_nsems);
  EQUALS("IPC_RMID of a set", 0, semctl(id, 0, IPC_RMID));
  EQUALS("who waits is told", 1, wait_code(child));
  FAILS("it is no more", EINVAL, semctl(id, 0, GETVAL));
}

struct message { long type; char text[9000]; };

static void messages(void) {
  struct message message = {3, "three"};
  int id = msgget(IPC_PRIVATE, 0600);
  TRUE("msgget", id >= 0);
  EQUALS("msgsnd", 0, msgsnd(id, &message, 5, 0));
  message.type = 1;
  EQUALS("msgsnd another", 0, msgsnd(id, &message, 2, 0));
  message.type = 2;
  EQUALS("msgsnd an empty one", 0, msgsnd(id, &message, 0, 0));
  message.type = 0;
  FAILS("msgsnd without type", EINVAL, msgsnd(id, &message, 1, 0));
  message.type = 1;
  FAILS("msgsnd too long", EINVAL, msgsnd(id, &message, 8193, 0));
  FAILS("too small a buffer", E2BIG, msgrcv(id, &message, 3, 3, 0));
  EQUALS("a copy", 2, msgrcv(id, &message, 100, 1, MSG_COPY | IPC_NOWAIT));
  EQUALS("is of the second", 1, message.type);
  FAILS("a copy of what is not there", ENOMSG, msgrcv(id, &message, 100, 3, MSG_COPY | IPC_NOWAIT));
  FAILS("a copy that would wait", EINVAL, msgrcv(id, &message, 100, 0, MSG_COPY));
  FAILS("a copy of all but one", EINVAL, msgrcv(id, &message, 100, 0, MSG_COPY | IPC_NOWAIT | MSG_EXCEPT));
  FAILS("a copy into too little", E2BIG, msgrcv(id, &message, 1, 0, MSG_COPY | IPC_NOWAIT));
  FAILS("a copy cut short", EINVAL, msgrcv(id, &message, 1, 0, MSG_COPY | IPC_NOWAIT | MSG_NOERROR));
  EQUALS("by type", 0, msgrcv(id, &message, 100, 2, 0));
  EQUALS("lowest type", 2, msgrcv(id, &message, 100, -3, 0));
  EQUALS("was", 1, message.type);
  FAILS("no such type", ENOMSG, msgrcv(id, &message, 100, 9, IPC_NOWAIT));
  FAILS("any but", ENOMSG, msgrcv(id, &message, 100, 3, MSG_EXCEPT | IPC_NOWAIT));
  EQUALS("cut short", 3, msgrcv(id, &message, 3, 0, MSG_NOERROR));
  FAILS("nothing is left", ENOMSG, msgrcv(id, &message, 100, 0, IPC_NOWAIT));
  message.type = 1;
  int count = 0;
  while (msgsnd(id, &message, 4000, IPC_NOWAIT) == 0) count++;
  EQUALS("a full queue", 4, count);
  struct msqid_ds status;
  EQUALS("IPC_STAT of a queue", 0, msgctl(id, IPC_STAT, &status));
  SAYS("its status", "4 messages, 16000 of 16384 bytes", "%lu messages, %lu of %lu bytes", status.msg_qnum, status.__msg_cbytes, status.msg_qbytes);
  pid_t child = fork();
  if (child == 0) _exit(msgsnd(id, &message, 4000, 0) == 0 ? 3 : 4);
  await_state(child, 'S');
  for (int i = 0; i < 5; i++) msgrcv(id, &message, 5000, 0, 0);
  EQUALS("a waiting sender", 3, wait_code(child));
  while (msgrcv(id, &message, 9000, 0, IPC_NOWAIT) >= 0) continue;
  child = fork();
  if (child == 0) _exit(msgrcv(id, &message, 100, 5, 0) == -1 && errno == EIDRM);
  await_state(child, 'S');
  EQUALS("IPC_RMID of a queue", 0, msgctl(id, IPC_RMID, NULL));
  EQUALS("a waiting receiver is told", 1, wait_code(child));
  FAILS("msgsnd to nobody", EINVAL, msgsnd(id, &message, 1, 0));
}

static int notified;
static void note(int number, siginfo_t *info, void *context) {
  notified = info->si_code == SI_MESGQ ? info->si_value.sival_int : -1;
  (void)number;
  (void)context;
}

static void posix_queues(void) {
  char name[64], buffer[200];
  unsigned priority;
  struct mq_attr attributes = {0, 3, 100, 0}, seen;
  snprintf(name, sizeof name, "/tsvisor-%d", getpid());
  FAILS("open of what is not there", ENOENT, mq_open(name, O_RDWR));
  mqd_t queue = mq_open(name, O_CREAT | O_RDWR | O_NONBLOCK, 0600, &attributes);
  TRUE("mq_open", queue >= 0);
  FAILS("exclusively", EEXIST, mq_open(name, O_CREAT | O_EXCL | O_RDWR, 0600, &attributes));
  attributes.mq_maxmsg = 0;
  FAILS("of no messages", EINVAL, mq_open("/tsvisor-bad", O_CREAT | O_RDWR, 0600, &attributes));
  FAILS("with a slash", EACCES, mq_open("/a/b", O_CREAT | O_RDWR, 0600, NULL));
  FAILS("receive of nothing", EAGAIN, mq_receive(queue, buffer, 100, &priority));
  FAILS("too small a buffer", EMSGSIZE, mq_receive(queue, buffer, 10, &priority));
  EQUALS("send", 0, mq_send(queue, "low", 3, 1));
  EQUALS("send with priority", 0, mq_send(queue, "high!", 5, 9));
  EQUALS("send another", 0, mq_send(queue, "low2", 4, 1));
  FAILS("send to a full queue", EAGAIN, mq_send(queue, "x", 1, 1));
  FAILS("send too much", EMSGSIZE, mq_send(queue, buffer, 101, 1));
  FAILS("send with too high a priority", EINVAL, mq_send(queue, buffer, 1, 40000));
  EQUALS("mq_getattr", 0, mq_getattr(queue, &seen));
  SAYS("its attributes", "2048 3 100 3", "%ld %ld %ld %ld", seen.mq_flags, seen.mq_maxmsg, seen.mq_msgsize, seen.mq_curmsgs);
  struct pollfd one = {queue, POLLIN | POLLOUT, 0};
  poll(&one, 1, 0);
  SAYS("poll of a full queue", "1", "%x", one.revents);
  EQUALS("the highest first", 5, mq_receive(queue, buffer, 100, &priority));
  EQUALS("its priority", 9, priority);
  mq_receive(queue, buffer, 100, &priority);
  TRUE("then the oldest", memcmp(buffer, "low", 3) == 0);
  mq_receive(queue, buffer, 100, &priority);
  seen.mq_flags = 0;
  EQUALS("mq_setattr", 0, mq_setattr(queue, &seen, NULL));
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  time.tv_nsec += 20000000;
  if (time.tv_nsec >= 1000000000) time.tv_nsec -= 1000000000, time.tv_sec++;
  FAILS("mq_timedreceive", ETIMEDOUT, mq_timedreceive(queue, buffer, 100, &priority, &time));
  struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
  sigaction(SIGUSR1, &action, NULL);
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 42};
  EQUALS("mq_notify", 0, mq_notify(queue, &event));
  FAILS("mq_notify again", EBUSY, mq_notify(queue, &event));
  mq_send(queue, "hello", 5, 0);
  EQUALS("the signal", 42, notified);
  mq_receive(queue, buffer, 100, &priority);
  pid_t child = fork();
  if (child == 0) {
    await_state(getppid(), 'S');
    mq_send(queue, "late", 4, 0);
    _exit(0);
  }
  EQUALS("a receiver waits", 4, mq_receive(queue, buffer, 100, &priority));
  wait_code(child);
  EQUALS("mq_unlink", 0, mq_unlink(name));
  FAILS("mq_unlink again", ENOENT, mq_unlink(name));
  EQUALS("it still works", 0, mq_send(queue, "x", 1, 0));
}

int main(void) {
  shared_memory();
  semaphores();
  messages();
  posix_queues();
  return 0;
}

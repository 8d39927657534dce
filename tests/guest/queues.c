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
  CALL("shmget of what is not there", shmget(key, 100, 0));
  CALL("shmget of nothing", shmget(key, 0, IPC_CREAT | 0600));
  int id = shmget(key, 10000, IPC_CREAT | 0600);
  TRUE("shmget", id >= 0);
  TRUE("shmget again", shmget(key, 10000, IPC_CREAT) == id && shmget(key, 0, 0) == id);
  CALL("shmget exclusively", shmget(key, 10000, IPC_CREAT | IPC_EXCL));
  CALL("shmget of too much", shmget(key, 20000, 0));
  char *a = shmat(id, NULL, 0);
  TRUE("shmat", a != (void *)-1);
  const char *b = shmat(id, NULL, SHM_RDONLY);
  strcpy(a + 5000, "shared");
  TRUE("both see it", strcmp(b + 5000, "shared") == 0);
  CALL("the read-only one stays so", mprotect((void *)b, 4096, PROT_READ | PROT_WRITE));
  CALL("IPC_STAT", shmctl(id, IPC_STAT, &status));
  say("its status", "%lu bytes, %lu attached, mode %o", status.shm_segsz, status.shm_nattch, status.shm_perm.mode);
  TRUE("its makers", status.shm_cpid == getpid() && status.shm_perm.uid == geteuid() && status.shm_perm.__key == key);
  pid_t child = fork();
  if (child == 0) {
    shmctl(id, IPC_STAT, &status);
    strcpy(a + 5000, "from the child");
    _exit(status.shm_nattch);
  }
  CALL("a child is attached too", wait_code(child));
  TRUE("its bytes are here", strcmp(b + 5000, "from the child") == 0);
  shmctl(id, IPC_STAT, &status);
  CALL("and it is not any more", status.shm_nattch);
  CALL("shmdt", shmdt(b));
  CALL("shmdt again", shmdt(b));
  CALL("shmdt of a part", shmdt(a + 4096));
  CALL("shmdt of nonsense", shmdt(a + 1));
  WORKS("shmat at an odd place", shmat(id, a + 1, 0));
  WORKS("shmat over another", shmat(id, a, 0));
  TRUE("shmat with SHM_REMAP", shmat(id, a, SHM_REMAP) == a && strcmp(a + 5000, "from the child") == 0);
  CALL("IPC_RMID", shmctl(id, IPC_RMID, NULL));
  CALL("it lives while attached", shmctl(id, IPC_STAT, &status));
  TRUE("its key does not", shmget(key, 0, 0) == -1 && (status.shm_perm.mode & SHM_DEST));
  strcpy(a, "still there");
  CALL("shmdt the last", shmdt(a));
  WORKS("it is gone", shmctl(id, IPC_STAT, &status));
  WORKS("shmat of what is gone", shmat(id, NULL, 0));
  CALL("shmctl with a bad command", shmctl(id, 99, NULL));
}

union semun { int val; struct semid_ds *buf; unsigned short *array; };

static int operate(int id, int number, int operation, int flags) {
  struct sembuf one = {number, operation, flags};
  return semop(id, &one, 1);
}

static void semaphores(void) {
  CALL("semget of too many", semget(IPC_PRIVATE, 100000, 0600));
  CALL("semget of none", semget(IPC_PRIVATE, 0, 0600));
  int id = semget(IPC_PRIVATE, 3, 0600);
  TRUE("semget", id >= 0);
  CALL("GETVAL", semctl(id, 0, GETVAL));
  CALL("SETVAL", semctl(id, 0, SETVAL, 5));
  CALL("SETVAL too high", semctl(id, 0, SETVAL, 40000));
  CALL("a number that is not there", semctl(id, 3, GETVAL));
  CALL("take two", operate(id, 0, -2, 0));
  CALL("three are left", semctl(id, 0, GETVAL));
  TRUE("GETPID", semctl(id, 0, GETPID) == getpid());
  CALL("take four without waiting", operate(id, 0, -4, IPC_NOWAIT));
  CALL("wait for zero without waiting", operate(id, 0, 0, IPC_NOWAIT));
  CALL("beyond the set", operate(id, 7, 1, 0));
  CALL("over the top", operate(id, 0, 32767, 0));
  CALL("no operations", semop(id, NULL, 0));
  struct sembuf both[2] = {{0, -1, 0}, {1, -1, IPC_NOWAIT}};
  CALL("all or none", semop(id, both, 2));
  CALL("nothing was taken", semctl(id, 0, GETVAL));
  unsigned short values[3] = {1, 2, 3}, seen[3];
  CALL("SETALL", semctl(id, 0, SETALL, values));
  CALL("GETALL", semctl(id, 0, GETALL, seen));
  say("all", "%d %d %d", seen[0], seen[1], seen[2]);
  struct timespec time = {0, 20000000};
  struct sembuf one = {0, -9, 0};
  CALL("semtimedop times out", semtimedop(id, &one, 1, &time));
  pid_t child = fork();
  if (child == 0) _exit(operate(id, 0, -3, 0) == 0 ? 7 : 8);
  usleep(30000);
  CALL("GETNCNT", semctl(id, 0, GETNCNT));
  operate(id, 0, 2, 0);
  CALL("a waiting child is let go", wait_code(child));
  child = fork();
  if (child == 0) {
    operate(id, 1, -1, SEM_UNDO);
    operate(id, 2, 4, SEM_UNDO);
    _exit(semctl(id, 1, GETVAL) * 10 + semctl(id, 2, GETVAL));
  }
  CALL("changes with SEM_UNDO", wait_code(child));
  say("are undone", "%d %d", semctl(id, 1, GETVAL), semctl(id, 2, GETVAL));
  child = fork();
  if (child == 0) {
    int result = operate(id, 2, 0, 0);
    _exit(result == -1 && errno == EIDRM);
  }
  usleep(30000);
  CALL("GETZCNT", semctl(id, 2, GETZCNT));
  struct semid_ds status;
  union semun argument = {.buf = &status};
  CALL("IPC_STAT of a set", semctl(id, 0, IPC_STAT, argument));
  CALL("its size", status.sem_nsems);
  CALL("IPC_RMID of a set", semctl(id, 0, IPC_RMID));
  CALL("who waits is told", wait_code(child));
  WORKS("it is no more", semctl(id, 0, GETVAL));
}

struct message { long type; char text[9000]; };

static void messages(void) {
  struct message message = {3, "three"};
  int id = msgget(IPC_PRIVATE, 0600);
  TRUE("msgget", id >= 0);
  CALL("msgsnd", msgsnd(id, &message, 5, 0));
  message.type = 1;
  CALL("msgsnd another", msgsnd(id, &message, 2, 0));
  message.type = 2;
  CALL("msgsnd an empty one", msgsnd(id, &message, 0, 0));
  message.type = 0;
  CALL("msgsnd without type", msgsnd(id, &message, 1, 0));
  message.type = 1;
  CALL("msgsnd too long", msgsnd(id, &message, 8193, 0));
  CALL("too small a buffer", msgrcv(id, &message, 3, 3, 0));
  CALL("a copy", msgrcv(id, &message, 100, 1, MSG_COPY | IPC_NOWAIT));
  CALL("is of the second", message.type);
  CALL("a copy of what is not there", msgrcv(id, &message, 100, 3, MSG_COPY | IPC_NOWAIT));
  CALL("a copy that would wait", msgrcv(id, &message, 100, 0, MSG_COPY));
  CALL("a copy of all but one", msgrcv(id, &message, 100, 0, MSG_COPY | IPC_NOWAIT | MSG_EXCEPT));
  CALL("a copy into too little", msgrcv(id, &message, 1, 0, MSG_COPY | IPC_NOWAIT));
  CALL("a copy cut short", msgrcv(id, &message, 1, 0, MSG_COPY | IPC_NOWAIT | MSG_NOERROR));
  CALL("by type", msgrcv(id, &message, 100, 2, 0));
  CALL("lowest type", msgrcv(id, &message, 100, -3, 0));
  CALL("was", message.type);
  CALL("no such type", msgrcv(id, &message, 100, 9, IPC_NOWAIT));
  CALL("any but", msgrcv(id, &message, 100, 3, MSG_EXCEPT | IPC_NOWAIT));
  CALL("cut short", msgrcv(id, &message, 3, 0, MSG_NOERROR));
  CALL("nothing is left", msgrcv(id, &message, 100, 0, IPC_NOWAIT));
  message.type = 1;
  int count = 0;
  while (msgsnd(id, &message, 4000, IPC_NOWAIT) == 0) count++;
  CALL("a full queue", count);
  struct msqid_ds status;
  CALL("IPC_STAT of a queue", msgctl(id, IPC_STAT, &status));
  say("its status", "%lu messages, %lu of %lu bytes", status.msg_qnum, status.__msg_cbytes, status.msg_qbytes);
  pid_t child = fork();
  if (child == 0) _exit(msgsnd(id, &message, 4000, 0) == 0 ? 3 : 4);
  usleep(20000);
  for (int i = 0; i < 5; i++) msgrcv(id, &message, 5000, 0, 0);
  CALL("a waiting sender", wait_code(child));
  while (msgrcv(id, &message, 9000, 0, IPC_NOWAIT) >= 0) continue;
  child = fork();
  if (child == 0) _exit(msgrcv(id, &message, 100, 5, 0) == -1 && errno == EIDRM);
  usleep(20000);
  CALL("IPC_RMID of a queue", msgctl(id, IPC_RMID, NULL));
  CALL("a waiting receiver is told", wait_code(child));
  WORKS("msgsnd to nobody", msgsnd(id, &message, 1, 0));
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
  WORKS("open of what is not there", mq_open(name, O_RDWR));
  mqd_t queue = mq_open(name, O_CREAT | O_RDWR | O_NONBLOCK, 0600, &attributes);
  TRUE("mq_open", queue >= 0);
  WORKS("exclusively", mq_open(name, O_CREAT | O_EXCL | O_RDWR, 0600, &attributes));
  attributes.mq_maxmsg = 0;
  WORKS("of no messages", mq_open("/tsvisor-bad", O_CREAT | O_RDWR, 0600, &attributes));
  WORKS("with a slash", mq_open("/a/b", O_CREAT | O_RDWR, 0600, NULL));
  CALL("receive of nothing", mq_receive(queue, buffer, 100, &priority));
  CALL("too small a buffer", mq_receive(queue, buffer, 10, &priority));
  CALL("send", mq_send(queue, "low", 3, 1));
  CALL("send with priority", mq_send(queue, "high!", 5, 9));
  CALL("send another", mq_send(queue, "low2", 4, 1));
  CALL("send to a full queue", mq_send(queue, "x", 1, 1));
  CALL("send too much", mq_send(queue, buffer, 101, 1));
  CALL("send with too high a priority", mq_send(queue, buffer, 1, 40000));
  CALL("mq_getattr", mq_getattr(queue, &seen));
  say("its attributes", "%ld %ld %ld %ld", seen.mq_flags, seen.mq_maxmsg, seen.mq_msgsize, seen.mq_curmsgs);
  struct pollfd one = {queue, POLLIN | POLLOUT, 0};
  poll(&one, 1, 0);
  say("poll of a full queue", "%x", one.revents);
  CALL("the highest first", mq_receive(queue, buffer, 100, &priority));
  CALL("its priority", priority);
  mq_receive(queue, buffer, 100, &priority);
  TRUE("then the oldest", memcmp(buffer, "low", 3) == 0);
  mq_receive(queue, buffer, 100, &priority);
  seen.mq_flags = 0;
  CALL("mq_setattr", mq_setattr(queue, &seen, NULL));
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  time.tv_nsec += 20000000;
  if (time.tv_nsec >= 1000000000) time.tv_nsec -= 1000000000, time.tv_sec++;
  CALL("mq_timedreceive", mq_timedreceive(queue, buffer, 100, &priority, &time));
  struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
  sigaction(SIGUSR1, &action, NULL);
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 42};
  CALL("mq_notify", mq_notify(queue, &event));
  CALL("mq_notify again", mq_notify(queue, &event));
  mq_send(queue, "hello", 5, 0);
  CALL("the signal", notified);
  mq_receive(queue, buffer, 100, &priority);
  pid_t child = fork();
  if (child == 0) {
    usleep(20000);
    mq_send(queue, "late", 4, 0);
    _exit(0);
  }
  CALL("a receiver waits", mq_receive(queue, buffer, 100, &priority));
  wait_code(child);
  CALL("mq_unlink", mq_unlink(name));
  CALL("mq_unlink again", mq_unlink(name));
  CALL("it still works", mq_send(queue, "x", 1, 0));
}

int main(void) {
  shared_memory();
  semaphores();
  messages();
  posix_queues();
  return 0;
}

// What root writes into /proc/sys: which texts are numbers, which values are refused, and what they change. On the host
// parameters of the whole machine are written as they were; those of an IPC namespace are written in one of our own.
#include "check.h"
#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

static char path_of[128];
static long write_at(const char *name, const char *text, int length) {
  snprintf(path_of, sizeof path_of, "/proc/sys/%s", name);
  int fd = open(path_of, O_WRONLY);
  if (fd < 0) return -1;
  long result = write(fd, text, length);
  int error = errno;
  close(fd);
  errno = error;
  return result;
}
static long put(const char *name, const char *text) { return write_at(name, text, strlen(text)); }
static const char *get(const char *name) {
  static char text[128];
  snprintf(path_of, sizeof path_of, "/proc/sys/%s", name);
  int fd = open(path_of, O_RDONLY), n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
  close(fd);
  text[n < 0 ? 0 : n] = 0;
  return text;
}

/* Of the whole machine: name, and values that are refused. */
static const struct { const char *name, *low, *high; } SHARED[] = {
  {"kernel/pid_max", "300", "4194305"},
  {"kernel/threads-max", "0", "1073741824"},
  {"kernel/randomize_va_space", NULL, NULL},
  {"kernel/panic", "x", "2147483648"},
  {"kernel/sched_rt_runtime_us", "x", "2147483648"},
  {"fs/file-max", "-1", "18446744073709551615"},
  {"fs/nr_open", "7", "2147483647"},
  {"fs/mount-max", "0", "2147483648"},
  {"fs/pipe-max-size", "-1", NULL},
  {"fs/pipe-user-pages-soft", "-1", "x"},
  {"fs/inotify/max_user_watches", "-1", "2147483648"},
  {"fs/inotify/max_queued_events", "-1", "2147483648"},
  {"fs/epoll/max_user_watches", "-1", "x"},
  {"fs/protected_fifos", "-1", "3"},
  {"fs/protected_hardlinks", "-1", "2"},
  {"fs/protected_regular", "-1", "3"},
  {"fs/protected_symlinks", "-1", "2"},
  {"fs/suid_dumpable", "-1", "3"},
  {"vm/max_map_count", "-1", "2147483648"},
  {"vm/overcommit_memory", "-1", "3"},
  {"vm/overcommit_ratio", "x", "2147483648"},
  {"vm/swappiness", "-1", "201"},
  {"vm/dirty_ratio", "-1", "101"},
  {"vm/vfs_cache_pressure", "-1", "2147483648"},
  {"vm/page-cluster", "-1", "32"},
  {"vm/laptop_mode", NULL, "2147483648"},
};
static void shared(void) {
  for (unsigned i = 0; i < sizeof SHARED / sizeof *SHARED; i++) {
    const char *name = SHARED[i].name;
    char before[128], label[128];
    snprintf(before, sizeof before, "%s", get(name));
#define LABEL(text) (snprintf(label, sizeof label, "%s %s", name, text), label)
    TRUE(LABEL("has a value"), before[0] != 0);
    TRUE(LABEL("is written as it was"), put(name, before) == (long)strlen(before));
    TRUE(LABEL("and stays"), strcmp(before, get(name)) == 0);
    FAILS(LABEL("no number"), EINVAL, put(name, "x\n"));
    FAILS(LABEL("nothing"), EINVAL, put(name, " \n"));
    if (SHARED[i].low != NULL) FAILS(LABEL("too little"), EINVAL, put(name, SHARED[i].low));
    if (SHARED[i].high != NULL) FAILS(LABEL("too much"), EINVAL, put(name, SHARED[i].high));
    TRUE(LABEL("is what it was"), strcmp(before, get(name)) == 0);
  }
}

static void texts(void) {
  SAYS("msgmax at first", "8192\n", "%s", get("kernel/msgmax"));
  EQUALS("with blanks", 9, put("kernel/msgmax", "  9000  \n"));
  SAYS("is", "9000\n", "%s", get("kernel/msgmax"));
  EQUALS("hexadecimal", 6, put("kernel/msgmax", "0x2000"));
  SAYS("is", "8192\n", "%s", get("kernel/msgmax"));
  EQUALS("octal", 6, put("kernel/msgmax", "020000"));
  SAYS("is", "8192\n", "%s", get("kernel/msgmax"));
  FAILS("a NUL at its end", EINVAL, write_at("kernel/msgmax", "7000\0", 5));
  FAILS("with letters", EINVAL, put("kernel/msgmax", "12a"));
  FAILS("negative", EINVAL, put("kernel/msgmax", "-1"));
  FAILS("too large for an int", EINVAL, put("kernel/msgmax", "99999999999"));
  FAILS("longer than any number", EINVAL, put("kernel/msgmax", "0000000000000000000000000000001"));
  CALL("two numbers where there is one", put("kernel/msgmax", "5000 6000"));
  SAYS("the first counts", "5000\n", "%s", get("kernel/msgmax"));
  int fd = open("/proc/sys/kernel/msgmax", O_WRONLY);
  EQUALS("a write", 4, write(fd, "4000", 4));
  EQUALS("a second one has no effect", 4, write(fd, "3000", 4));
  close(fd);
  SAYS("it is the first", "4000\n", "%s", get("kernel/msgmax"));
  put("kernel/msgmax", "8192");
}

static void messages(void) {
  static struct { long type; char bytes[70000]; } message = {1}, got;
  int small = msgget(IPC_PRIVATE, 0600);
  FAILS("a message above msgmax", EINVAL, msgsnd(small, &message, 8193, IPC_NOWAIT));
  EQUALS("msgmax", 5, put("kernel/msgmax", "65536"));
  EQUALS("msgmnb", 6, put("kernel/msgmnb", "131072"));
  FAILS("an older queue has its size", EAGAIN, msgsnd(small, &message, 65536, IPC_NOWAIT));
  int large = msgget(IPC_PRIVATE, 0600);
  struct msqid_ds status;
  msgctl(large, IPC_STAT, &status);
  EQUALS("a new one has the new size", 131072, status.msg_qbytes);
  memset(message.bytes, 'm', sizeof message.bytes);
  EQUALS("a large message", 0, msgsnd(large, &message, 65536, IPC_NOWAIT));
  FAILS("too large to be received", E2BIG, msgrcv(large, &got, 65535, 0, IPC_NOWAIT));
  EQUALS("is received", 65536, msgrcv(large, &got, 70000, 0, IPC_NOWAIT));
  TRUE("as it was", memcmp(message.bytes, got.bytes, 65536) == 0);
  struct msginfo info;
  msgctl(0, IPC_INFO, (struct msqid_ds *)&info);
  SAYS("IPC_INFO", "65536 131072", "%d %d", info.msgmax, info.msgmnb);
  put("kernel/msgmni", "2");
  FAILS("more than msgmni queues", ENOSPC, msgget(IPC_PRIVATE, 0600));
  put("kernel/msgmni", "3");
  WORKS("as many as msgmni", msgget(IPC_PRIVATE, 0600));
  FAILS("msgmni has a bound", EINVAL, put("kernel/msgmni", "32769"));
}

static void semaphores(void) {
  EQUALS("sem", 12, put("kernel/sem", "10 20 3 4096"));
  SAYS("is", "10\t20\t3\t4096\n", "%s", get("kernel/sem"));
  FAILS("a set above SEMMSL", EINVAL, semget(IPC_PRIVATE, 11, 0600));
  int first = semget(IPC_PRIVATE, 10, 0600), second = semget(IPC_PRIVATE, 10, 0600);
  TRUE("two sets", first >= 0 && second >= 0);
  FAILS("more than SEMMNS in all", ENOSPC, semget(IPC_PRIVATE, 1, 0600));
  struct sembuf operations[4] = {{0, 1, 0}, {1, 1, 0}, {2, 1, 0}, {3, 1, 0}};
  FAILS("more than SEMOPM operations", E2BIG, semop(first, operations, 4));
  EQUALS("as many", 0, semop(first, operations, 3));
  EQUALS("two of the four", 5, put("kernel/sem", "30 40"));
  SAYS("leave the others", "30\t40\t3\t4096\n", "%s", get("kernel/sem"));
  WORKS("a larger set", semget(IPC_PRIVATE, 20, 0600));
  EQUALS("SEMMNI", 9, put("kernel/sem", "30 90 3 3"));
  FAILS("more sets than SEMMNI", ENOSPC, semget(IPC_PRIVATE, 1, 0600));
  FAILS("SEMMNI has a bound", ERANGE, put("kernel/sem", "30 90 3 32769"));
  struct seminfo info;
  semctl(0, 0, IPC_INFO, &info);
  SAYS("IPC_INFO", "3 90 30 3", "%d %d %d %d", info.semmni, info.semmns, info.semmsl, info.semopm);
  FAILS("no numbers", EINVAL, put("kernel/sem", "a b"));
}

static void memory(void) {
  SAYS("shmmax at first", "18446744073692774399\n", "%s", get("kernel/shmmax"));
  EQUALS("is written", 6, put("kernel/shmmax", "100000"));
  FAILS("a segment above it", EINVAL, shmget(IPC_PRIVATE, 100001, 0600));
  int one = shmget(IPC_PRIVATE, 100000, 0600);
  TRUE("one of its size", one >= 0);
  EQUALS("shmall, pages", 2, put("kernel/shmall", "30"));
  FAILS("more pages than it", ENOSPC, shmget(IPC_PRIVATE, 5 * 4096 + 1, 0600));
  WORKS("as many", shmget(IPC_PRIVATE, 5 * 4096, 0600));
  EQUALS("shmmni", 1, put("kernel/shmmni", "2"));
  put("kernel/shmall", "1000");
  FAILS("more segments than it", ENOSPC, shmget(IPC_PRIVATE, 1, 0600));
  struct shminfo info;
  shmctl(0, IPC_INFO, (struct shmid_ds *)&info);
  SAYS("IPC_INFO", "100000 2 1000", "%lu %lu %lu", info.shmmax, info.shmmni, info.shmall);
  FAILS("a negative one", EINVAL, put("kernel/shmmax", "-1"));
}

static void queues(void) {
  SAYS("msg_max at first", "10\n", "%s", get("fs/mqueue/msg_max"));
  EQUALS("is written", 2, put("fs/mqueue/msg_max", "40"));
  put("fs/mqueue/msg_default", "33");
  put("fs/mqueue/msgsize_default", "200");
  mqd_t queue = mq_open("/tsvisor-sysctls", O_CREAT | O_RDWR, 0600, NULL);
  struct mq_attr attributes;
  mq_getattr(queue, &attributes);
  SAYS("a queue with default sizes", "33 200", "%ld %ld", attributes.mq_maxmsg, attributes.mq_msgsize);
  mq_unlink("/tsvisor-sysctls");
  FAILS("too small", EINVAL, put("fs/mqueue/msgsize_max", "127"));
  FAILS("too many", EINVAL, put("fs/mqueue/msg_max", "65537"));
  put("fs/mqueue/queues_max", "2");
  if (setresuid(1000, 1000, 1000) < 0) _exit(1);
  mqd_t first = mq_open("/tsvisor-sysctls-1", O_CREAT | O_RDWR, 0600, NULL);
  TRUE("a second queue, while the first is removed but open", first >= 0);
  FAILS("more than queues_max", ENOSPC, mq_open("/tsvisor-sysctls-2", O_CREAT | O_RDWR, 0600, NULL));
  FAILS("a user may not write", EACCES, put("kernel/msgmax", "1"));
}

int main(void) {
  shared();
  unshare(CLONE_NEWIPC);
  texts();
  messages();
  semaphores();
  memory();
  pid_t child = fork();
  if (child == 0) {
    unshare(CLONE_NEWIPC);
    SAYS("another namespace has its own", "8192\n", "%s", get("kernel/msgmax"));
    queues();
    _exit(0);
  }
  wait_code(child);
  return 0;
}

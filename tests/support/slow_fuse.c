// A FUSE file system that takes its time: `slow_fuse DIRECTORY SECONDS` mounts it there and serves until it is killed or
// unmounted. Each of its files contains "hello\n" and has one operation that waits until somebody looks up "release",
// SECONDS at most; "hold" has the next ones wait again. The file's name says which: slow_read waits in read(2). Of
// slow_second_open all opens wait but the first, and it can be mapped; slow_large has 100,000 zeros, and its reads wait;
// nothing of `fast` waits. What is written is lost, but for slow_write, which has as many bytes as were written. Each
// request has a thread, so that a slow one holds up no other. Prints "ready".
// Protocol: linux/fuse.h, by hand.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *names[] = {"fast",          "slow_lookup",   "slow_open",       "slow_read",  "slow_write",
                              "slow_sync",     "slow_truncate", "slow_allocate", "slow_attributes", "slow_close", "slow_large", "slow_second_open"};
#define FIRST 2
#define COUNT (sizeof names / sizeof *names)
static const char content[] = "hello\n";
static const char zeros[100000];
static int device, seconds;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t change = PTHREAD_COND_INITIALIZER;
static int is_held = 1;
static _Atomic int opens_of_second;
// How far slow_write reaches.
static _Atomic uint64_t written = sizeof content - 1;

struct request {
  struct fuse_in_header head;
  char body[132 * 1024];
};

static void answer(const struct request *r, int error, const void *data, size_t length) {
  char bytes[140 * 1024];
  struct fuse_out_header head = {sizeof head + length, error, r->head.unique};
  memcpy(bytes, &head, sizeof head);
  memcpy(bytes + sizeof head, data, length);
  if (write(device, bytes, head.len) < 0 && errno != ENOENT) perror("answer");
}

static int is_named(uint64_t node, const char *name) {
  return node >= FIRST && node < FIRST + COUNT && strcmp(names[node - FIRST], name) == 0;
}
static void delay(void) {
  struct timespec end;
  clock_gettime(CLOCK_REALTIME, &end);
  end.tv_sec += seconds;
  pthread_mutex_lock(&lock);
  while (is_held && pthread_cond_timedwait(&change, &lock, &end) == 0) {
  }
  pthread_mutex_unlock(&lock);
}
static void hold(int should_hold) {
  pthread_mutex_lock(&lock);
  is_held = should_hold;
  if (should_hold) opens_of_second = 0;
  pthread_cond_broadcast(&change);
  pthread_mutex_unlock(&lock);
}

static struct fuse_attr attributes(uint64_t node) {
  struct fuse_attr a = {.ino = node, .nlink = 1, .mode = S_IFREG | 0777, .size = sizeof content - 1, .blksize = 4096};
  if (is_named(node, "slow_write")) a.size = written;
  if (is_named(node, "slow_large")) a.size = sizeof zeros;
  if (node == FUSE_ROOT_ID) a.mode = S_IFDIR | 0777, a.size = 0;
  return a;
}

static void lookup(const struct request *r) {
  if (strcmp(r->body, "release") == 0) hold(0);
  if (strcmp(r->body, "hold") == 0) hold(1);
  for (uint64_t i = 0; i < COUNT; i++) {
    if (strcmp(r->body, names[i]) != 0) continue;
    if (is_named(i + FIRST, "slow_lookup")) delay();
    struct fuse_entry_out out = {.nodeid = i + FIRST, .attr = attributes(i + FIRST)};
    answer(r, 0, &out, sizeof out);
    return;
  }
  answer(r, -ENOENT, "", 0);
}

static void read_directory(const struct request *r) {
  const struct fuse_read_in *in = (const void *)r->body;
  char bytes[4096];
  size_t at = 0;
  for (uint64_t i = in->offset; i < COUNT; i++) {
    struct fuse_dirent *entry = (void *)(bytes + at);
    *entry = (struct fuse_dirent){.ino = i + FIRST, .off = i + 1, .namelen = strlen(names[i]), .type = S_IFREG >> 12};
    memcpy(entry->name, names[i], entry->namelen);
    at += FUSE_DIRENT_SIZE(entry);
  }
  answer(r, 0, bytes, at);
}

static void *serve(void *argument) {
  struct request *r = argument;
  uint64_t node = r->head.nodeid;
  switch (r->head.opcode) {
    case FUSE_INIT: {
      struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION, .minor = 31, .flags = FUSE_PARALLEL_DIROPS, .max_write = 128 * 1024};
      answer(r, 0, &out, sizeof out);
      break;
    }
    case FUSE_LOOKUP:
      lookup(r);
      break;
    case FUSE_GETATTR:
    case FUSE_SETATTR: {
      if (is_named(node, r->head.opcode == FUSE_GETATTR ? "slow_attributes" : "slow_truncate")) delay();
      struct fuse_attr_out out = {.attr = attributes(node)};
      answer(r, 0, &out, sizeof out);
      break;
    }
    case FUSE_OPEN:
    case FUSE_OPENDIR: {
      int is_second = is_named(node, "slow_second_open");
      if (is_named(node, "slow_open") || (is_second && opens_of_second++ > 0)) delay();
      // A file with direct I/O cannot be mapped for sharing.
      struct fuse_open_out out = {.open_flags = is_second ? 0 : FOPEN_DIRECT_IO};
      answer(r, 0, &out, sizeof out);
      break;
    }
    case FUSE_READ: {
      const struct fuse_read_in *in = (const void *)r->body;
      int is_large = is_named(node, "slow_large");
      if (is_named(node, "slow_read") || is_large) delay();
      size_t size = is_large ? sizeof zeros : sizeof content - 1, left = in->offset < size ? size - in->offset : 0;
      answer(r, 0, (is_large ? zeros : content) + in->offset, in->size < left ? in->size : left);
      break;
    }
    case FUSE_WRITE: {
      const struct fuse_write_in *in = (const void *)r->body;
      if (is_named(node, "slow_write")) delay();
      if (is_named(node, "slow_write") && in->offset + in->size > written) written = in->offset + in->size;
      struct fuse_write_out out = {.size = in->size};
      answer(r, 0, &out, sizeof out);
      break;
    }
    case FUSE_STATFS: {
      struct fuse_statfs_out out = {.st = {.bsize = 4096, .frsize = 4096, .namelen = 255}};
      answer(r, 0, &out, sizeof out);
      break;
    }
    case FUSE_FSYNC:
      if (is_named(node, "slow_sync")) delay();
      answer(r, 0, "", 0);
      break;
    case FUSE_FALLOCATE:
      if (is_named(node, "slow_allocate")) delay();
      answer(r, 0, "", 0);
      break;
    case FUSE_READDIR:
      read_directory(r);
      break;
    case FUSE_FLUSH:
      if (is_named(node, "slow_close")) delay();
      answer(r, 0, "", 0);
      break;
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
      answer(r, 0, "", 0);
      break;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
      break;
    default:
      answer(r, -ENOSYS, "", 0);
  }
  free(r);
  return NULL;
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  seconds = atoi(argv[2]);
  device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  char options[100];
  snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", device);
  if (device < 0 || mount("slow", argv[1], "fuse", MS_NOSUID | MS_NODEV, options) < 0) {
    perror("mount");
    return 1;
  }
  puts("ready");
  fflush(stdout);
  for (;;) {
    struct request *r = malloc(sizeof *r);
    ssize_t n = read(device, r, sizeof *r);
    if (n < 0 && (errno == EINTR || errno == ENOENT || errno == EAGAIN)) {
      free(r);
      continue;
    }
    if (n <= 0) return 0;
    ((char *)r)[n < (ssize_t)sizeof *r ? n : (ssize_t)sizeof *r - 1] = 0;
    pthread_t thread;
    pthread_create(&thread, NULL, serve, r);
    pthread_detach(thread);
  }
}

// Both ends of the network benchmark. "serve": echo, discard and chargen on ports 7, 9 and 19, a thread a connection. "ask
// ADDRESS SECONDS": one connection's rate in and out, one-byte round trips, and connections a second, a line each.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char block[1 << 20];

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}
static void die(const char *what) { perror(what); exit(1); }

struct job { int fd, port; };
static void *work(void *argument) {
  struct job job = *(struct job *)argument;
  char *mine = malloc(sizeof block);
  free(argument);
  for (;;) {
    ssize_t n = job.port == 19 ? write(job.fd, block, sizeof block) : read(job.fd, mine, sizeof block);
    if (n <= 0) break;
    if (job.port == 7 && write(job.fd, mine, n) != n) break;
  }
  free(mine);
  close(job.fd);
  return NULL;
}
static void *accept_all(void *argument) {
  int port = *(int *)argument, one = 1;
  struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  int fd = socket(AF_INET6, SOCK_STREAM, 0);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd, (void *)&address, sizeof address) || listen(fd, 1024)) die("listen");
  for (;;) {
    struct job *job = malloc(sizeof *job);
    job->port = port;
    job->fd = accept(fd, NULL, NULL);
    setsockopt(job->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    pthread_t thread;
    if (job->fd < 0 || pthread_create(&thread, NULL, work, job)) die("accept");
    pthread_detach(thread);
  }
}

static int dial(const char *host, int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  inet_pton(AF_INET, host, &address.sin_addr);
  if (connect(fd, (void *)&address, sizeof address)) die("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}
static void stream(const char *name, const char *host, int port, double seconds) {
  int fd = dial(host, port);
  double begin = now(), bytes = 0;
  while (now() - begin < seconds) {
    ssize_t n = port == 9 ? write(fd, block, sizeof block) : read(fd, block, sizeof block);
    if (n <= 0) die(name);
    bytes += n;
  }
  if (port == 9) {
    shutdown(fd, SHUT_WR);
    if (read(fd, block, 1) < 0) die("shutdown");
  }
  printf("%s %.3f\n", name, bytes * 8 / (now() - begin) / 1e9);
  close(fd);
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  if (argc == 2 && strcmp(argv[1], "serve") == 0) {
    static int ports[] = {7, 9, 19};
    pthread_t thread;
    for (int i = 0; i < 2; i++) pthread_create(&thread, NULL, accept_all, &ports[i]);
    accept_all(&ports[2]);
  }
  if (argc != 4) return 2;
  const char *host = argv[2];
  double seconds = atof(argv[3]);
  stream("in", host, 9, seconds);
  stream("out", host, 19, seconds);
  char byte = 'x';
  int fd = dial(host, 7), turns = 0;
  double begin = now();
  for (; now() - begin < seconds; turns++) {
    if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1) die("round trip");
  }
  printf("round-trip %.3f\n", (now() - begin) / turns * 1e6);
  close(fd);
  begin = now();
  for (turns = 0; now() - begin < seconds && turns < 20000; turns++) {
    fd = dial(host, 7);
    if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1) die("connection");
    close(fd);
  }
  printf("connections %.3f\n", turns / (now() - begin));
  return 0;
}

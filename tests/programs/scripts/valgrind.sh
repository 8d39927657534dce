# Programs under valgrind, which translates all that they run and makes their calls by itself: memory errors are found, and an
# honest threaded program has none.
set -eu

cat >threads.c <<'C'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t barrier;
static long total;

static void *count(void *ends) {
  char *bytes = malloc(100);
  for (int i = 0; i < 200; i++) {
    if (write(((int *)ends)[1], "x", 1) != 1 || read(((int *)ends)[0], bytes, 1) != 1) abort();
    pthread_mutex_lock(&lock);
    total += *bytes == 'x';
    pthread_mutex_unlock(&lock);
    if (i % 50 == 0) pthread_barrier_wait(&barrier);
  }
  free(bytes);
  return 0;
}

int main(void) {
  enum { THREADS = 4 };
  pthread_t threads[THREADS];
  int ends[2];
  if (pipe(ends) < 0) return 1;
  pthread_barrier_init(&barrier, 0, THREADS);
  for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], 0, count, ends);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], 0);
  printf("%ld of %d\n", total, THREADS * 200);
  return 0;
}
C
cat >faulty.c <<'C'
#include <stdio.h>
#include <stdlib.h>

int main(void) {
  char *bytes = malloc(10);
  bytes[10] = 1;
  printf("%d\n", bytes[10]);
  return 0;
}
C
gcc -g -O1 -pthread -o threads threads.c
gcc -g -O0 -w -o faulty faulty.c

# Without process numbers and addresses.
plain() { sed -E 's/^==[0-9]+==/==/; s/0x[0-9A-Fa-f]+/0x/g'; }

echo "== memcheck finds nothing in an honest program"
valgrind -q --error-exitcode=9 --leak-check=full ./threads 2>&1 | plain
echo "${PIPESTATUS[0]}"
echo "== memcheck finds what is wrong"
valgrind -q --error-exitcode=9 --leak-check=full ./faulty 2>&1 | plain | grep -E 'Invalid|lost|^[0-9]'
echo "== helgrind finds no race where there is a lock"
valgrind -q --tool=helgrind --error-exitcode=9 ./threads 2>&1 | plain
echo "== a shell and its children"
valgrind -q --trace-children=yes --error-exitcode=9 /bin/sh -c 'for i in 1 2 3; do /bin/echo $i | cat; done' 2>&1 | plain

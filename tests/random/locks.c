// Locks of three kinds on one file, held by two processes that take turns: nothing waits.
static int to_other[2], from_other[2], lock_fds[4];

static void make_locks(void) {
  for (int i = 0; i < 4; i++) lock_fds[i] = open("lock", O_CREAT | O_RDWR, 0600);
  dup2(lock_fds[1], 20);
  pipe2(to_other, O_CLOEXEC);
  pipe2(from_other, O_CLOEXEC);
  char byte;
  if (fork() != 0) {
    /* The other has let go of the descriptions that are ours alone: before that it would keep our locks. */
    read(from_other[0], &byte, 1);
    return;
  }
  /* The other half of the descriptors is its own: a description each. */
  for (int i = 2; i < 4; i++) { close(lock_fds[i]); lock_fds[i] = open("lock", O_RDWR); }
  close(to_other[1]);
  write(from_other[1], "x", 1);
  uint64_t seed;
  while (read(to_other[0], &seed, sizeof seed) == sizeof seed) {
    extern void one_lock(const char *who);
    chance = seed;
    one_lock("other");
    write(from_other[1], "x", 1);
  }
  _exit(0);
}
void one_lock(const char *who) {
  int index = below(4), fd = lock_fds[index];
  struct flock lock = {.l_type = below(3), .l_whence = one_in(8) ? SEEK_END : SEEK_SET, .l_start = below(12), .l_len = one_in(6) ? 0 : one_in(8) ? -3 : 1 + below(6)};
  errno = 0;
  switch (below(8)) {
    case 0: { int operation = ((int[]){LOCK_SH, LOCK_EX, LOCK_UN, 0})[below(4)] | LOCK_NB; begin("%s flock(%d, %d)", who, index, operation); answer(flock(fd, operation)); break; }
    case 1: case 2: case 3: begin("%s setlk(%d, %d, %d %ld %ld)", who, index, lock.l_type, lock.l_whence, (long)lock.l_start, (long)lock.l_len); answer(fcntl(fd, F_SETLK, &lock)); break;
    case 4: case 5: begin("%s ofd_setlk(%d, %d, %d %ld %ld)", who, index, lock.l_type, lock.l_whence, (long)lock.l_start, (long)lock.l_len); answer(fcntl(fd, F_OFD_SETLK, &lock)); break;
    case 6: {
      int command = one_in(2) ? F_GETLK : F_OFD_GETLK;
      /* Who asks for F_UNLCK is told of its own locks since Linux 6.6. */
      if (lock.l_type == F_UNLCK) lock.l_type = F_WRLCK;
      begin("%s %s(%d, %d, %d %ld %ld)", who, command == F_GETLK ? "getlk" : "ofd_getlk", index, lock.l_type, lock.l_whence, (long)lock.l_start, (long)lock.l_len);
      /* Of several that are in the way Linux names the first of a list that is no order of theirs. */
      if (answer(fcntl(fd, command, &lock)) == 0) add(" %s", lock.l_type == F_UNLCK ? "free" : "taken");
      break;
    }
    default: {
      begin("%s close and open %d", who, index);
      close(fd);
      lock_fds[index] = answer(open("lock", O_RDWR));
      if (one_in(2)) add(" %d", ftruncate(lock_fds[index], below(10)));
    }
  }
  end();
}
static void one_of_two(void) {
  if (one_in(2)) { one_lock("this"); return; }
  uint64_t seed = next() | 1;
  char byte;
  write(to_other[1], &seed, sizeof seed);
  read(from_other[0], &byte, 1);
}
static void finish_locks(void) {
  close(to_other[1]);
  wait(NULL);
  struct flock lock = {.l_type = F_WRLCK};
  int fd = open("lock", O_RDWR);
  begin("left");
  answer(fcntl(fd, F_OFD_GETLK, &lock));
  add(" %s %d", lock.l_type == F_UNLCK ? "free" : "taken", flock(fd, LOCK_EX | LOCK_NB));
  end();
}
const struct family LOCKS = {"locks", 150, make_locks, one_of_two, finish_locks};

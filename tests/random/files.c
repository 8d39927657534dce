// Files: names, contents, descriptors, attributes.
static const char *const NAMES[] = {"a", "a", "b", "c", "d", "d", "d/a", "d/b", "d/e", "d/e/f", "l", "m", "l/a", "d/../a", "./b", "d/", "a/", "a/x", "none/x", ".", "..", "d/.", ""};
static const char *a_name(void) { return ANY(NAMES); }
static int file_fd(void) { return one_in(25) ? 90 : 3 + below(8); }
static long a_place(void) { return one_in(12) ? -1 - below(3) : one_in(3) ? below(20000) : one_in(2) ? below(64) : 4096 * below(6); }
static long a_length(void) { return one_in(20) ? 0 : one_in(4) ? below(9000) : below(100); }
static char bytes[70000];

static void show_status(struct stat *s) {
  add(" {%o", s->st_mode);
  if (!S_ISDIR(s->st_mode)) add(" size %ld links %ld", (long)s->st_size, (long)s->st_nlink);
  add(" %d %d}", s->st_uid, s->st_gid);
}
static void make_files(void) {
  for (int i = 0; i < (int)sizeof bytes; i++) bytes[i] = "0123456789abcdef"[i & 15];
  mkdir("d", 0755);
  mkdir("d/e", 0755);
  close(open("a", O_CREAT | O_RDWR, 0644));
  symlink("a", "l");
  symlink("d", "m");
}
static const int OPEN_FLAGS[] = {0, O_CREAT, O_CREAT, O_CREAT | O_EXCL, O_TRUNC, O_CREAT | O_TRUNC, O_APPEND, O_CREAT | O_APPEND, O_NOFOLLOW, O_DIRECTORY, O_PATH,
  O_PATH | O_NOFOLLOW, O_PATH | O_DIRECTORY, O_NONBLOCK, O_CLOEXEC, O_CREAT | O_DIRECTORY, O_TMPFILE};
static const int MODES[] = {0644, 0600, 0755, 0444, 0, 0777, 04755, 02755, 01777};

static void one_file(void) {
  struct stat s;
  static char read_here[70000];
  const char *name = a_name(), *other = a_name();
  int fd = file_fd(), fd2 = file_fd();
  long place = a_place(), length = a_length();
  errno = 0;
  switch (below(40)) {
    case 0: case 1: case 2: case 3: {
      int flags = below(4) | ANY(OPEN_FLAGS), mode = ANY(MODES);
      if ((flags & 3) == 3) flags &= ~1;
      begin("open(%s, %o, %o)", name, flags, mode);
      answer(open(name, flags, mode));
      break;
    }
    case 4: begin("close(%d)", fd); answer(close(fd)); break;
    case 5: case 6: {
      begin("read(%d, %ld)", fd, length);
      long n = answer(read(fd, read_here, length));
      if (n > 0) add(" %08x", sum_of(read_here, n));
      break;
    }
    case 7: case 8: begin("write(%d, %ld)", fd, length); answer(write(fd, bytes + below(16), length)); break;
    case 9: {
      begin("pread(%d, %ld, %ld)", fd, length, place);
      long n = answer(pread(fd, read_here, length, place));
      if (n > 0) add(" %08x", sum_of(read_here, n));
      break;
    }
    case 10: begin("pwrite(%d, %ld, %ld)", fd, length, place); answer(pwrite(fd, bytes + below(16), length, place)); break;
    case 11: case 12: { int whence = one_in(10) ? 5 : below(3); begin("lseek(%d, %ld, %d)", fd, place, whence);
      /* Where a directory ends is its file system's own. */
      if (fstat(fd, &s) == 0 && S_ISDIR(s.st_mode)) whence = SEEK_CUR, place = 0;
      answer(lseek(fd, place, whence)); break; }
    case 13: begin("ftruncate(%d, %ld)", fd, place); answer(ftruncate(fd, place)); break;
    case 14: begin("truncate(%s, %ld)", name, place); answer(truncate(name, place)); break;
    case 15: { int mode = ((int[]){0, 0, 1, 3, 2, 0x40})[below(6)]; begin("fallocate(%d, %d, %ld, %ld)", fd, mode, place, length); answer(fallocate(fd, mode, place, length)); break; }
    case 16: { int mode = ANY(MODES); begin("mkdir(%s, %o)", name, mode); answer(mkdir(name, mode)); break; }
    case 17: begin("rmdir(%s)", name); answer(rmdir(name)); break;
    case 18: begin("unlink(%s)", name); answer(unlink(name)); break;
    case 19: case 20: begin("rename(%s, %s)", name, other); answer(rename(name, other)); break;
    case 21: { int flags = ((int[]){1, 2, 3, 8})[below(4)]; begin("renameat2(%s, %s, %d)", name, other, flags); answer(renameat2(AT_FDCWD, name, AT_FDCWD, other, flags)); break; }
    case 22: { int flags = one_in(2) ? 0 : AT_SYMLINK_FOLLOW; begin("linkat(%s, %s, %x)", name, other, flags); answer(linkat(AT_FDCWD, name, AT_FDCWD, other, flags)); break; }
    case 23: begin("symlink(%s, %s)", name, other); answer(symlink(name, other)); break;
    case 24: {
      long size = one_in(4) ? 1 : 100;
      begin("readlink(%s, %ld)", name, size);
      long n = answer(readlink(name, read_here, size));
      if (n > 0) add(" %.*s", (int)n, read_here);
      break;
    }
    case 25: case 26: { int flags = one_in(2) ? 0 : AT_SYMLINK_NOFOLLOW; begin("fstatat(%s, %x)", name, flags); if (answer(fstatat(AT_FDCWD, name, &s, flags)) == 0) show_status(&s); break; }
    case 27: begin("fstat(%d)", fd); if (answer(fstat(fd, &s)) == 0) show_status(&s); break;
    case 28: { int mode = ANY(MODES); begin("chmod(%s, %o)", name, mode); answer(chmod(name, mode)); break; }
    case 29: { int mode = ANY(MODES); begin("fchmod(%d, %o)", fd, mode); answer(fchmod(fd, mode)); break; }
    case 30: begin("dup(%d)", fd); answer(dup(fd)); break;
    case 31: begin("dup2(%d, %d)", fd, fd2); answer(dup2(fd, fd2)); break;
    case 32: {
      static const int commands[] = {F_GETFL, F_GETFD, F_SETFD, F_DUPFD, F_DUPFD_CLOEXEC, F_SETFL};
      int command = ANY(commands), argument = command == F_SETFL ? (one_in(2) ? O_APPEND : 0) | (one_in(2) ? O_NONBLOCK : 0) : command == F_SETFD ? below(2) : below(9);
      begin("fcntl(%d, %d, %d)", fd, command, argument);
      answer(fcntl(fd, command, argument));
      break;
    }
    case 33: {
      static const char *const attributes[] = {"user.x", "user.y", "user.", "nobody.x", "trusted.z"};
      const char *attribute = ANY(attributes);
      int flags = below(3);
      begin("setxattr(%s, %s, %d)", name, attribute, flags);
      answer(setxattr(name, attribute, bytes, below(20), flags));
      break;
    }
    case 34: {
      begin("listxattr(%s)", name);
      long n = listxattr(name, read_here, 1000), shown = n;
      /* Whatever labels the machine gives to files. */
      if (n >= 0) { shown = 0; for (char *at = read_here; at < read_here + n; at += strlen(at) + 1) if (strncmp(at, "user.", 5) == 0) { shown++; add(" %ld", getxattr(name, at, NULL, 0)); } }
      answer(shown);
      break;
    }
    case 35: begin("removexattr(%s)", name); answer(removexattr(name, one_in(2) ? "user.x" : "user.y")); break;
    case 36: {
      off_t from = place < 0 ? 0 : place, to = below(9000);
      begin("copy_file_range(%d, %ld, %d, %ld, %ld)", fd, (long)from, fd2, (long)to, length);
      answer(copy_file_range(fd, &from, fd2, &to, length, 0));
      break;
    }
    case 37: { off_t from = place; begin("sendfile(%d, %d, %ld, %ld)", fd, fd2, place, length); answer(sendfile(fd, fd2, one_in(2) ? &from : NULL, length)); break; }
    case 38: {
      struct timespec times[2] = {{below(100000), below(2) ? UTIME_OMIT : 5}, {below(100000), below(8) ? 7 : -1}};
      begin("utimensat(%s)", name);
      if (answer(utimensat(AT_FDCWD, name, times, 0)) == 0 && stat(name, &s) == 0) add(" %ld", (long)s.st_mtim.tv_sec);
      break;
    }
    default: {
      struct iovec parts[3] = {{read_here, below(10)}, {NULL, 0}, {read_here + 100, below(300)}};
      begin("preadv(%d, %ld, %ld, %ld)", fd, parts[0].iov_len, parts[2].iov_len, place);
      long n = answer(preadv(fd, parts, 3, place));
      if (n > 0) add(" %08x", sum_of(read_here, parts[0].iov_len < (size_t)n ? parts[0].iov_len : n));
    }
  }
  end();
}

/* All that can be found, with contents. */
static void show_tree(const char *path, int depth) {
  struct dirent **list;
  int n = scandir(path, &list, NULL, alphasort);
  for (int i = 0; i < n; i++) {
    char inner[600], content[70000];
    struct stat s;
    if (strcmp(list[i]->d_name, ".") == 0 || strcmp(list[i]->d_name, "..") == 0) continue;
    snprintf(inner, sizeof inner, "%s/%s", path, list[i]->d_name);
    begin("%s type %d", inner, list[i]->d_type);
    if (lstat(inner, &s) == 0) show_status(&s);
    int fd = S_ISREG(s.st_mode) ? open(inner, O_RDONLY) : -1;
    if (fd >= 0) add(" %08x", sum_of(content, read(fd, content, sizeof content)));
    close(fd);
    end();
    if (S_ISDIR(s.st_mode) && depth < 6) show_tree(inner, depth + 1);
  }
}
static void finish_files(void) {
  for (int fd = 3; fd < 12; fd++) {
    begin("fd %d", fd);
    answer(fcntl(fd, F_GETFL));
    add(" at %ld", (long)lseek(fd, 0, SEEK_CUR));
    end();
    close(fd);
  }
  show_tree(".", 0);
}
const struct family FILES = {"files", 120, make_files, one_file, finish_files};

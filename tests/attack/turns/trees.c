// Calls on names, directories, mounts and attributes: many, large, deep.
#include "turns.h"
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/xattr.h>

/** `count` empty files in a new tmpfs at `path`. */
static void many_names(const char *path, int count) {
  char name[64];
  mkdir(path, 0755);
  check(mount("none", path, "tmpfs", 0, 0) == 0, "mount");
  for (int i = 0; i < count; i++) {
    snprintf(name, sizeof name, "%s/%d", path, i);
    check(mknod(name, S_IFREG | 0600, 0) == 0, "mknod");
  }
}
static void getdents_(void) {
  static char bytes[4 << 20];
  many_names("/tmp/names", 8000);
  begin();
  for (int i = 0; i < 5; i++) {
    int fd = open("/tmp/names", O_RDONLY | O_DIRECTORY);
    check(syscall(SYS_getdents64, fd, bytes, sizeof bytes) > 8000 * 24, "getdents64");
    close(fd);
  }
}
/** Each read of a few names goes on where the last has ended. */
static void getdents_pieces(void) {
  static char bytes[1024];
  many_names("/tmp/names", 8000);
  begin();
  int fd = open("/tmp/names", O_RDONLY | O_DIRECTORY);
  while (syscall(SYS_getdents64, fd, bytes, sizeof bytes) > 0);
}
static void umount_(void) {
  many_names("/tmp/names", 8000);
  begin();
  check(umount2("/tmp/names", 0) == 0, "umount2");
}
static void umount_large(void) {
  mkdir("/tmp/large", 0755);
  check(mount("none", "/tmp/large", "tmpfs", 0, "size=90%") == 0, "mount");
  int fd = open("/tmp/large/file", O_RDWR | O_CREAT, 0600);
  check(fallocate(fd, 0, 0, GIB / 2) == 0, "fallocate");
  close(fd);
  begin();
  check(umount2("/tmp/large", 0) == 0, "umount2");
  settle();
}
static void remove_tree(void) {
  many_names("/tmp/names", 1500);
  begin();
  check(system("rm -rf /tmp/names/*") == 0, "rm");
}
static void mounts(void) {
  enum { COUNT = 600 };
  char name[64];
  many_names("/tmp/mounts", 0);
  for (int i = 0; i < COUNT; i++) {
    snprintf(name, sizeof name, "/tmp/mounts/%d", i);
    mkdir(name, 0755);
    check(mount(name, name, 0, MS_BIND, 0) == 0, "mount");
  }
  mkdir("/tmp/copy", 0755);
  begin();
  for (int i = 0; i < 5; i++) read_all("/proc/self/mountinfo");
  check(mount("/tmp/mounts", "/tmp/copy", 0, MS_BIND | MS_REC, 0) == 0, "mount");
  check(mount(0, "/tmp/copy", 0, MS_REC | MS_SHARED, 0) == 0, "mount");
  check(unshare(CLONE_NEWNS) == 0, "unshare");
  check(umount2("/tmp/copy", MNT_DETACH) == 0, "umount2");
  check(umount2("/tmp/mounts", MNT_DETACH) == 0, "umount2");
  char usage[32];
  for (int i = 0; i < 20; i++) check(syscall(SYS_ustat, 0xfffff, usage) == -1 && errno == EINVAL, "ustat");
}
/** One over the other at one place. */
static void mounts_on_mounts(void) {
  mkdir("/tmp/place", 0755);
  for (int i = 0; i < 600; i++) check(mount("/tmp/place", "/tmp/place", 0, MS_BIND, 0) == 0, "mount");
  struct stat status;
  begin();
  for (int i = 0; i < 100; i++) stat("/tmp/place/none", &status);
  check(umount2("/tmp/place", MNT_DETACH) == 0, "umount2");
}
/** 40 links, each of a path of 4000 bytes: what a path may ask for at most. */
static void long_paths(void) {
  static char target[4096], name[64];
  many_names("/tmp/links", 0);
  for (int i = 0; i < 39; i++) {
    target[0] = 0;
    for (int k = 0; k < 1950; k++) strcat(target, "./");
    snprintf(target + strlen(target), 64, "%d", i + 1);
    snprintf(name, sizeof name, "/tmp/links/%d", i);
    check(symlink(target, name) == 0, "symlink");
  }
  mkdir("/tmp/links/39", 0755);
  begin();
  struct stat status;
  char text[4096];
  for (int i = 0; i < 3; i++) {
    check(stat("/tmp/links/0", &status) == 0, "stat");
    check(access("/tmp/links/0", R_OK) == 0, "access");
    check(readlink("/tmp/links/0/../38", text, sizeof text) > 3000, "readlink");
    check(chdir("/tmp/links/0") == 0, "chdir");
    check(chmod("/tmp/links/0", 0700) == 0, "chmod");
  }
}
static void deep_directories(void) {
  many_names("/tmp/deep", 0);
  chdir("/tmp/deep");
  for (int i = 0; i < 1000; i++) check(mkdir("d", 0755) == 0 && chdir("d") == 0, "mkdir");
  char text[4096];
  begin();
  for (int i = 0; i < 50; i++) {
    syscall(SYS_getcwd, text, sizeof text);
    readlink("/proc/self/cwd", text, sizeof text);
    rename("../../d", "./e");
  }
  chdir("/");
  check(umount2("/tmp/deep", MNT_DETACH) == 0, "umount2");
}
static void attributes(void) {
  static char value[65536], list[65536];
  char name[64];
  many_names("/tmp/attributes", 1);
  const char *path = "/tmp/attributes/0";
  int set = 0;
  for (int round = 0; round < 60; round++) {
    for (int i = 0; i < 20; i++) {
      snprintf(name, sizeof name, "trusted.attribute-%d", i);
      if (setxattr(path, name, value, sizeof value / (1 + round % 7), 0) == 0) set++;
      getxattr(path, name, value, sizeof value);
    }
    listxattr(path, list, sizeof list);
    for (int i = 0; i < 20; i++) {
      snprintf(name, sizeof name, "trusted.attribute-%d", i);
      removexattr(path, name);
    }
  }
  check(set > 0, "setxattr");
}
static void inotify(void) {
  enum { COUNT = 1000 };
  static char events[65536];
  char name[64];
  int fd = inotify_init1(IN_NONBLOCK);
  many_names("/tmp/watched", COUNT);
  for (int i = 0; i < COUNT; i++) {
    snprintf(name, sizeof name, "/tmp/watched/%d", i);
    if (inotify_add_watch(fd, name, IN_ALL_EVENTS) < 0) break;
  }
  inotify_add_watch(fd, "/tmp/watched", IN_ALL_EVENTS);
  begin();
  check(system("chmod 600 /tmp/watched/*") == 0, "chmod");
  while (read(fd, events, sizeof events) > 0);
  close(fd);
}
/** One file, watched by many. */
static void inotify_watchers(void) {
  many_names("/tmp/watched", 1);
  allow_files(2000);
  for (int i = 0; i < 120; i++) {
    int fd = inotify_init1(IN_NONBLOCK);
    if (fd < 0) break;
    inotify_add_watch(fd, "/tmp/watched/0", IN_ALL_EVENTS);
  }
  begin();
  for (int i = 0; i < 100; i++) chmod("/tmp/watched/0", 0600 | i);
}
static void pseudo_files(void) {
  read_all("/proc/mounts");
  read_all("/proc/filesystems");
  read_all("/proc/interrupts");
  read_all("/proc/stat");
}

const struct turns_case tree_cases[] = {
  {"getdents", "getdents64 getdents", getdents_},
  {"getdents_pieces", "getdents64", getdents_pieces},
  {"umount", "umount2", umount_},
  {"umount_large", "umount2", umount_large},
  {"remove_tree", "unlinkat rmdir", remove_tree},
  {"mounts", "mount umount2 unshare setns ustat", mounts},
  {"mounts_on_mounts", "mount umount2 pivot_root", mounts_on_mounts},
  {"long_paths",
   "open openat openat2 creat stat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat chdir chmod chown "
   "lchown fchownat fchmodat fchmodat2 utime utimes futimesat utimensat mkdir mkdirat mknod mknodat rmdir link linkat symlink "
   "symlinkat unlink rename statfs chroot truncate inotify_add_watch",
   long_paths},
  {"deep_directories", "getcwd rename renameat renameat2 mkdir chdir fchdir", deep_directories},
  {"attributes",
   "setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr removexattr lremovexattr "
   "fremovexattr",
   attributes},
  {"inotify", "inotify_init inotify_init1 inotify_add_watch inotify_rm_watch", inotify},
  {"inotify_watchers", "inotify_add_watch", inotify_watchers},
  {"pseudo_files", "read", pseudo_files},
  {0},
};

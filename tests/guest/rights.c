// Who may do what with names and files: as root, as an unprivileged user, in directories of every kind. Each call is made by
// all of them on fresh objects, on the file systems of /tmp and /dev/shm.
#include "check.h"
#include <dirent.h>
#include <ftw.h>
#include <linux/openat2.h>
#include <sys/sysmacros.h>

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE 2
#define RENAME_WHITEOUT 4
#endif

static char base[256];

static int make(const char *path, int mode, int uid, int gid) {
  int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
  if (fd < 0) return -1;
  write(fd, "content", 7);
  fchown(fd, uid, gid);
  fchmod(fd, mode);
  return close(fd);
}
static void directory(const char *path, int mode, int uid, int gid) {
  mkdir(path, 0700);
  chown(path, uid, gid);
  chmod(path, mode);
}

/* What stands there before each call. */
static void build(void) {
  directory("open", 0777, 0, 0);
  directory("sticky", 01777, 0, 0);
  directory("mine", 0755, 1000, 1000);
  directory("closed", 0700, 0, 0);
  directory("blind", 0711, 0, 0);
  directory("listed", 0744, 0, 0);
  directory("group", 02775, 0, 1000);
  make("open/root", 0644, 0, 0);
  make("open/secret", 0600, 0, 0);
  make("open/mine", 0644, 1000, 1000);
  make("open/no", 0000, 1000, 1000);
  make("open/run", 0755, 0, 0);
  make("open/grouped", 0060, 0, 1000);
  make("open/ours", 0607, 1000, 0);
  make("open/setuid", 06755, 1000, 1000);
  make("sticky/root", 0666, 0, 0);
  make("sticky/mine", 0666, 1000, 1000);
  make("sticky/third", 0666, 2000, 2000);
  make("closed/file", 0666, 0, 0);
  make("blind/file", 0666, 0, 0);
  make("listed/file", 0666, 0, 0);
  make("mine/root", 0600, 0, 0);
  directory("mine/empty", 0755, 0, 0);
  directory("mine/full", 0755, 0, 0);
  make("mine/full/file", 0644, 0, 0);
  symlink("../open/root", "open/link");
  symlink("nowhere", "open/dangling");
  symlink("loop", "open/loop");
  symlink("root", "sticky/rootlink");
  symlink("mine", "sticky/thirdlink");
  lchown("sticky/thirdlink", 2000, 2000);
  mkfifo("open/fifo", 0644);
  mkfifo("sticky/fifo", 0666);
  lchown("sticky/fifo", 2000, 2000);
}
static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place) {
  (void)status; (void)kind;
  return place->level == 0 ? 0 : remove(path);
}
static void clear(void) { nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

static struct open_how how(uint64_t flags, uint64_t resolve) { return (struct open_how){.flags = flags, .resolve = resolve}; }
static int openat2(int fd, const char *path, uint64_t flags, uint64_t resolve) {
  struct open_how h = how(flags, resolve);
  int result = syscall(SYS_openat2, fd, path, &h, sizeof h);
  return result;
}
static int renameat2_(const char *from, const char *to, unsigned flags) { return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags); }
static struct timespec now2[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}}, then2[2] = {{5, 0}, {5, 0}}, omit2[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}}, half2[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
static int set_times(const char *path, struct timespec *list) { return utimensat(AT_FDCWD, path, list, 0); }
static int list_of(const char *path) { DIR *d = opendir(path); if (!d) return -1; int n = 0; while (readdir(d)) n++; closedir(d); return n - 2; }
static int mode_after(const char *path, int result) { struct stat s; int e = errno; if (result < 0) return -1; stat(path, &s); errno = e; return s.st_mode & 07777; }
static int owner_after(const char *path, int result) { struct stat s; if (result < 0) return -1; lstat(path, &s); return s.st_uid * 10000 + s.st_gid; }
static int in_directory(const char *path, int flags) { int d = open(path, O_PATH); int f = openat(d, "file", flags); int e = errno; close(d); errno = e; return f; }


typedef long (*Trial)(void);
#define T(name, expression) static long name(void) { return expression; }
#define OPENS(expression) ({ int fd_ = (expression); if (fd_ >= 0) close(fd_); fd_ < 0 ? -1 : 0; })

T(read_root, OPENS(open("open/root", O_RDONLY))) T(write_root, OPENS(open("open/root", O_WRONLY))) T(trunc_root, OPENS(open("open/root", O_RDONLY | O_TRUNC)))
T(read_secret, OPENS(open("open/secret", O_RDONLY))) T(path_secret, OPENS(open("open/secret", O_PATH))) T(read_no, OPENS(open("open/no", O_RDONLY)))
T(read_grouped, OPENS(open("open/grouped", O_RDWR))) T(read_ours, OPENS(open("open/ours", O_RDWR)))
T(read_closed, OPENS(open("closed/file", O_RDONLY))) T(read_blind, OPENS(open("blind/file", O_RDWR))) T(read_listed, OPENS(open("listed/file", O_RDONLY)))
T(list_closed, list_of("closed")) T(list_blind, list_of("blind")) T(list_listed, list_of("listed")) T(path_closed, OPENS(open("closed", O_PATH))) T(openat_closed, OPENS(in_directory("closed", O_RDONLY)))
T(create_open, OPENS(open("open/new", O_CREAT | O_RDWR, 0644))) T(create_closed, OPENS(open("closed/new", O_CREAT | O_RDWR, 0644))) T(create_blind, OPENS(open("blind/new", O_CREAT | O_RDWR, 0644)))
T(create_excl, OPENS(open("open/root", O_CREAT | O_EXCL | O_RDWR, 0644))) T(create_existing, OPENS(open("open/root", O_CREAT | O_RDONLY, 0644))) T(create_dir, OPENS(open("open", O_CREAT | O_RDONLY, 0644)))
T(create_slash, OPENS(open("open/new/", O_CREAT | O_RDWR, 0644))) T(create_through, OPENS(open("open/root/new", O_CREAT | O_RDWR, 0644))) T(create_dangling, OPENS(open("open/dangling", O_CREAT | O_RDWR, 0644)))
T(create_dangling_excl, OPENS(open("open/dangling", O_CREAT | O_EXCL | O_RDWR, 0644))) T(create_dangling_nofollow, OPENS(open("open/dangling", O_CREAT | O_NOFOLLOW | O_RDWR, 0644)))
T(create_directory, OPENS(open("open/new", O_CREAT | O_DIRECTORY | O_RDONLY, 0644))) T(open_directory_file, OPENS(open("open/root", O_DIRECTORY | O_RDONLY))) T(open_directory_link, OPENS(open("open/link", O_DIRECTORY | O_RDONLY)))
T(open_nofollow, OPENS(open("open/link", O_NOFOLLOW | O_RDONLY))) T(open_nofollow_path, OPENS(open("open/link", O_NOFOLLOW | O_PATH))) T(open_nofollow_directory, OPENS(open("open/link", O_NOFOLLOW | O_DIRECTORY)))
T(open_loop, OPENS(open("open/loop", O_RDONLY))) T(open_loop_path, OPENS(open("open/loop", O_PATH | O_NOFOLLOW))) T(write_directory, OPENS(open("open", O_WRONLY))) T(rdwr_directory, OPENS(open("open", O_RDWR)))
T(tmpfile_open, OPENS(open("open", O_TMPFILE | O_RDWR, 0600))) T(tmpfile_closed, OPENS(open("closed", O_TMPFILE | O_RDWR, 0600))) T(tmpfile_read, OPENS(open("open", O_TMPFILE | O_RDONLY, 0600))) T(tmpfile_file, OPENS(open("open/root", O_TMPFILE | O_RDWR, 0600)))
T(noatime_root, OPENS(open("open/root", O_RDONLY | O_NOATIME))) T(noatime_mine, OPENS(open("open/mine", O_RDONLY | O_NOATIME)))
T(sticky_third, OPENS(open("sticky/third", O_RDWR))) T(sticky_create_root, OPENS(open("sticky/root", O_CREAT | O_RDWR, 0600)))
T(sticky_rootlink, OPENS(open("sticky/rootlink", O_RDONLY))) T(sticky_fifo, OPENS(open("sticky/fifo", O_CREAT | O_RDWR | O_NONBLOCK, 0600)))
T(unlink_open, unlink("open/root")) T(unlink_sticky_root, unlink("sticky/root")) T(unlink_sticky_mine, unlink("sticky/mine")) T(unlink_closed, unlink("closed/file")) T(unlink_listed, unlink("listed/file"))
T(unlink_mine, unlink("mine/root")) T(unlink_directory, unlink("open")) T(unlink_slash, unlink("open/root/")) T(unlink_nothing, unlink("open/nothing")) T(unlink_dot, unlink("open/.")) T(unlinkat_flags, unlinkat(AT_FDCWD, "open/root", 0x400))
T(rmdir_empty, rmdir("mine/empty")) T(rmdir_full, rmdir("mine/full")) T(rmdir_file, rmdir("open/root")) T(rmdir_dot, rmdir("mine/empty/.")) T(rmdir_dotdot, rmdir("mine/empty/..")) T(rmdir_root, rmdir("/")) T(rmdir_link, (symlink("mine/empty", "open/dirlink"), rmdir("open/dirlink/")))
T(mkdir_open, mkdir("open/new", 0777)) T(mkdir_closed, mkdir("closed/new", 0777)) T(mkdir_exists, mkdir("open/root", 0777)) T(mkdir_slash, mkdir("open/new/", 0777)) T(mkdir_dangling, mkdir("open/dangling", 0777)) T(mkdir_deep, mkdir("open/a/b", 0777)) T(mkdir_mode, mode_after("open/new", mkdir("open/new", 07777)))
T(mkdir_group, mode_after("group/new", mkdir("group/new", 0755))) T(create_group, owner_after("group/file", OPENS(open("group/file", O_CREAT | O_RDWR, 02755)))) T(create_group_mode, mode_after("group/file", OPENS(open("group/file", O_CREAT | O_RDWR, 02775))))
T(symlink_open, symlink("x", "open/new")) T(symlink_closed, symlink("x", "closed/new")) T(symlink_exists, symlink("x", "open/root")) T(symlink_empty, symlink("", "open/new")) T(symlink_dangling, symlink("x", "open/dangling"))
T(link_root, link("open/root", "open/new")) T(link_secret, link("open/secret", "open/new")) T(link_setuid, link("open/setuid", "open/new")) T(link_fifo, link("open/fifo", "open/new")) T(link_sticky, link("sticky/third", "sticky/new")) T(link_mine, link("open/mine", "open/new"))
T(link_directory, link("open", "open/new")) T(link_exists, link("open/mine", "open/root")) T(link_closed, link("open/mine", "closed/new")) T(link_symlink, link("open/link", "open/new")) T(link_follow, linkat(AT_FDCWD, "open/link", AT_FDCWD, "open/new", AT_SYMLINK_FOLLOW)) T(link_flags, linkat(AT_FDCWD, "open/mine", AT_FDCWD, "open/new", 1))
T(rename_open, rename("open/root", "open/new")) T(rename_sticky, rename("sticky/root", "sticky/new")) T(rename_over_sticky, rename("sticky/mine", "sticky/third")) T(rename_into_closed, rename("open/root", "closed/new")) T(rename_out_of_blind, rename("blind/file", "open/new"))
T(rename_directory, rename("mine/empty", "mine/new")) T(rename_foreign_directory, rename("mine/full", "open/new")) T(rename_over_full, rename("mine/empty", "mine/full")) T(rename_over_empty, rename("mine/full", "mine/empty")) T(rename_file_over_directory, rename("mine/root", "mine/empty"))
T(rename_directory_over_file, rename("mine/empty", "mine/root")) T(rename_into_itself, rename("mine", "mine/empty/mine")) T(rename_same, rename("open/mine", "open/mine")) T(rename_dot, rename("mine/.", "open/new")) T(rename_noreplace, renameat2_("open/mine", "open/root", RENAME_NOREPLACE))
T(rename_noreplace_new, renameat2_("open/mine", "open/new", RENAME_NOREPLACE)) T(rename_exchange, renameat2_("open/mine", "open/root", RENAME_EXCHANGE)) T(rename_exchange_missing, renameat2_("open/mine", "open/new", RENAME_EXCHANGE)) T(rename_exchange_kinds, renameat2_("mine/root", "mine/empty", RENAME_EXCHANGE)) T(rename_both, renameat2_("open/mine", "open/root", 3)) T(rename_flags, renameat2_("open/mine", "open/root", 8))
T(rename_slash, rename("open/mine/", "open/new")) T(rename_to_slash, rename("open/mine", "open/new/")) T(rename_directory_to_slash, rename("mine/empty", "mine/new/")) T(rename_links, (link("open/mine", "open/twin"), rename("open/mine", "open/twin")))
T(chmod_root, chmod("open/root", 0777)) T(chmod_mine, mode_after("open/mine", chmod("open/mine", 06777))) T(chmod_setgid_foreign, mode_after("open/ours", chmod("open/ours", 02770))) T(chmod_link, fchmodat(AT_FDCWD, "open/link", 0777, AT_SYMLINK_NOFOLLOW)) T(chmod_closed, chmod("closed/file", 0777))
T(chown_mine, chown("open/mine", 0, -1)) T(chown_same, chown("open/mine", 1000, -1)) T(chown_group, owner_after("open/mine", chown("open/mine", -1, 1000))) T(chown_foreign_group, chown("open/mine", -1, 3000)) T(chown_setuid, mode_after("open/setuid", chown("open/setuid", -1, -1))) T(chown_setuid_group, mode_after("open/setuid", chown("open/setuid", -1, 1000))) T(lchown_link, owner_after("open/link", lchown("open/link", -1, -1)))
T(times_now, set_times("open/root", now2)) T(times_null, set_times("open/root", NULL)) T(times_then, set_times("open/root", then2)) T(times_omit, set_times("open/root", omit2)) T(times_half, set_times("open/root", half2)) T(times_mine, set_times("open/mine", then2)) T(times_writable, set_times("sticky/third", NULL)) T(times_writable_then, set_times("sticky/third", then2)) T(times_nsec, set_times("open/mine", (struct timespec[2]){{0, 1000000000}, {0, 0}}))
T(truncate_root, truncate("open/root", 0)) T(truncate_mine, truncate("open/mine", 3)) T(truncate_directory, truncate("open", 0)) T(truncate_fifo, truncate("open/fifo", 0)) T(truncate_negative, truncate("open/mine", -1))
T(access_root, access("open/root", W_OK)) T(access_run, access("open/run", X_OK)) T(access_no_x, access("open/root", X_OK)) T(access_directory, access("closed", X_OK)) T(access_behind, access("closed/file", F_OK)) T(eaccess_no, syscall(SYS_faccessat2, AT_FDCWD, "open/no", R_OK, AT_EACCESS)) T(access_link, syscall(SYS_faccessat2, AT_FDCWD, "open/dangling", F_OK, AT_SYMLINK_NOFOLLOW))
T(exec_no_x, execve("open/root", (char *[]){"x", NULL}, NULL)) T(exec_closed, execve("closed/file", (char *[]){"x", NULL}, NULL)) T(exec_text, execve("open/run", (char *[]){"x", NULL}, NULL)) T(chdir_closed, chdir("closed")) T(chdir_listed, chdir("listed")) T(chdir_file, chdir("open/root"))
T(mknod_fifo, mknod("open/new", S_IFIFO | 0666, 0)) T(mknod_file, mknod("open/new", 0666, 0)) T(mknod_socket, mknod("open/new", S_IFSOCK | 0666, 0)) T(mknod_directory, mknod("open/new", S_IFDIR | 0777, 0)) T(mknod_nonsense, mknod("open/new", 0130000, 0)) 
T(xattr_root, setxattr("open/root", "user.a", "v", 1, 0)) T(xattr_mine, setxattr("open/mine", "user.a", "v", 1, 0)) T(xattr_sticky, setxattr("sticky", "user.a", "v", 1, 0)) T(xattr_trusted, setxattr("open/mine", "trusted.a", "v", 1, 0)) T(xattr_trusted_get, getxattr("open/mine", "trusted.a", NULL, 0)) T(xattr_security, setxattr("open/mine", "security.capability", "v", 1, 0)) T(xattr_security_valid, setxattr("open/mine", "security.capability", "\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20, 0)) T(xattr_security_remove, removexattr("open/mine", "security.capability")) T(xattr_link, lsetxattr("open/link", "user.a", "v", 1, 0)) T(xattr_fifo, setxattr("open/fifo", "user.a", "v", 1, 0))
T(how_beneath, OPENS(openat2(AT_FDCWD, "open/../open/root", O_RDONLY, RESOLVE_BENEATH))) T(how_beneath_out, OPENS(openat2(AT_FDCWD, "../x", O_RDONLY, RESOLVE_BENEATH))) T(how_beneath_absolute, OPENS(openat2(AT_FDCWD, "/etc", O_RDONLY, RESOLVE_BENEATH))) T(how_root, OPENS(openat2(AT_FDCWD, "/open/root", O_RDONLY, RESOLVE_IN_ROOT))) T(how_root_out, OPENS(openat2(AT_FDCWD, "../../../open/root", O_RDONLY, RESOLVE_IN_ROOT))) T(how_no_links, OPENS(openat2(AT_FDCWD, "open/link", O_RDONLY, RESOLVE_NO_SYMLINKS))) T(how_no_magic, OPENS(openat2(AT_FDCWD, "/proc/self/exe", O_RDONLY, RESOLVE_NO_MAGICLINKS))) T(how_no_xdev, OPENS(openat2(AT_FDCWD, "/proc/version", O_RDONLY, RESOLVE_NO_XDEV))) T(how_flags, OPENS(openat2(AT_FDCWD, "open/root", O_RDONLY, 0x1000))) T(how_bad_open, OPENS(openat2(AT_FDCWD, "open/root", 1ull << 40, 0)))
T(sock_bind, ({ int s = socket(AF_UNIX, SOCK_STREAM, 0); struct sockaddr_un a = {AF_UNIX, "closed/sock"}; long r = bind(s, (void *)&a, sizeof a); int e = errno; close(s); errno = e; r; })) T(sock_exists, ({ int s = socket(AF_UNIX, SOCK_STREAM, 0); struct sockaddr_un a = {AF_UNIX, "open/root"}; long r = bind(s, (void *)&a, sizeof a); int e = errno; close(s); errno = e; r; })) T(sock_connect_file, ({ int s = socket(AF_UNIX, SOCK_STREAM, 0); struct sockaddr_un a = {AF_UNIX, "open/root"}; long r = connect(s, (void *)&a, sizeof a); int e = errno; close(s); errno = e; r; }))
T(sock_connect_mode, ({ int l = socket(AF_UNIX, SOCK_STREAM, 0), s = socket(AF_UNIX, SOCK_STREAM, 0); struct sockaddr_un a = {AF_UNIX, "open/sock"}; bind(l, (void *)&a, sizeof a); listen(l, 1); chmod("open/sock", 0444); long r = connect(s, (void *)&a, sizeof a); int e = errno; close(s); close(l); errno = e; r; }))

/* A trial, and what it gives to each of USERS. */
#define N(name, root, user, member, fsuid) {#name, name, {root, user, member, fsuid}}
static const struct { const char *name; Trial run; const char *gives[4]; } TRIALS[] = {
  N(read_root, "0", "0", "0", "0"),
  N(write_root, "0", "EACCES", "EACCES", "EACCES"),
  N(trunc_root, "0", "EACCES", "EACCES", "EACCES"),
  N(read_secret, "0", "EACCES", "EACCES", "EACCES"),
  N(path_secret, "0", "0", "0", "0"),
  N(read_no, "0", "EACCES", "EACCES", "EACCES"),
  N(read_grouped, "0", "0", "0", "0"),
  N(read_ours, "0", "0", "0", "0"),
  N(read_closed, "0", "EACCES", "EACCES", "EACCES"),
  N(read_blind, "0", "0", "0", "0"),
  N(read_listed, "0", "EACCES", "EACCES", "EACCES"),
  N(list_closed, "1", "EACCES", "EACCES", "EACCES"),
  N(list_blind, "1", "EACCES", "EACCES", "EACCES"),
  N(list_listed, "1", "1", "1", "1"),
  N(path_closed, "0", "0", "0", "0"),
  N(openat_closed, "0", "EACCES", "EACCES", "EACCES"),
  N(create_open, "0", "0", "0", "0"),
  N(create_closed, "0", "EACCES", "EACCES", "EACCES"),
  N(create_blind, "0", "EACCES", "EACCES", "EACCES"),
  N(create_excl, "EEXIST", "EEXIST", "EEXIST", "EEXIST"),
  N(create_existing, "0", "0", "0", "0"),
  N(create_dir, "EISDIR", "EISDIR", "EISDIR", "EISDIR"),
  N(create_slash, "EISDIR", "EISDIR", "EISDIR", "EISDIR"),
  N(create_through, "ENOTDIR", "ENOTDIR", "ENOTDIR", "ENOTDIR"),
  N(create_dangling, "0", "0", "0", "0"),
  N(create_dangling_excl, "EEXIST", "EEXIST", "EEXIST", "EEXIST"),
  N(create_dangling_nofollow, "ELOOP", "ELOOP", "ELOOP", "ELOOP"),
  N(create_directory, "EINVAL", "EINVAL", "EINVAL", "EINVAL"),
  N(open_directory_file, "ENOTDIR", "ENOTDIR", "ENOTDIR", "ENOTDIR"),
  N(open_directory_link, "ENOTDIR", "ENOTDIR", "ENOTDIR", "ENOTDIR"),
  N(open_nofollow, "ELOOP", "ELOOP", "ELOOP", "ELOOP"),
  N(open_nofollow_path, "0", "0", "0", "0"),
  N(open_nofollow_directory, "ENOTDIR", "ENOTDIR", "ENOTDIR", "ENOTDIR"),
  N(open_loop, "ELOOP", "ELOOP", "ELOOP", "ELOOP"),
  N(open_loop_path, "0", "0", "0", "0"),
  N(write_directory, "EISDIR", "EISDIR", "EISDIR", "EISDIR"),
  N(rdwr_directory, "EISDIR", "EISDIR", "EISDIR", "EISDIR"),
  N(tmpfile_open, "0", "0", "0", "0"),
  N(tmpfile_closed, "0", "EACCES", "EACCES", "EACCES"),
  N(tmpfile_read, "EINVAL", "EINVAL", "EINVAL", "EINVAL"),
  N(tmpfile_file, "ENOTDIR", "ENOTDIR", "ENOTDIR", "ENOTDIR"),
  N(noatime_root, "0", "EPERM", "EPERM", "EPERM"),
  N(noatime_mine, "0", "0", "EPERM", "0"),
  N(sticky_third, "0", "0", "0", "0"),
  N(sticky_create_root, "0", "0", "0", "0"),
  N(sticky_rootlink, "0", "0", "0", "0"),
  N(sticky_fifo, "0", "EACCES", "EACCES", "EACCES"),
  N(unlink_open, "0", "0", "0", "0"),
  N(unlink_sticky_root, "0", "EPERM", "EPERM", "EPERM"),
  N(unlink_sticky_mine, "0", "0", "EPERM", "0"),
  N(unlink_closed, "0", "EACCES", "EACCES", "EACCES"),
  N(unlink_listed, "0", "EACCES", "EACCES", "EACCES"),
  N(unlink_mine, "0", "0", "EACCES", "0"),
  N(unlink_directory, "EISDIR", "EACCES", "EACCES", "EACCES"),
  N(unlink_slash, "ENOTDIR", "ENOTDIR", "ENOTDIR", "ENOTDIR"),
  N(unlink_nothing, "ENOENT", "ENOENT", "ENOENT", "ENOENT"),
  N(unlink_dot, "EISDIR", "EISDIR", "EISDIR", "EISDIR"),
  N(unlinkat_flags, "EINVAL", "EINVAL", "EINVAL", "EINVAL"),
  N(rmdir_empty, "0", "0", "EACCES", "0"),
  N(rmdir_full, "ENOTEMPTY", "ENOTEMPTY", "EACCES", "ENOTEMPTY"),
  N(rmdir_file, "ENOTDIR", "ENOTDIR", "ENOTDIR", "ENOTDIR"),
  N(rmdir_dot, "EINVAL", "EINVAL", "EINVAL", "EINVAL"),
  N(rmdir_dotdot, "ENOTEMPTY", "ENOTEMPTY", "ENOTEMPTY", "ENOTEMPTY"),
  N(rmdir_root, "EBUSY", "EBUSY", "EBUSY", "EBUSY"),
  N(rmdir_link, "ENOTDIR", "ENOTDIR", "ENOTDIR", "ENOTDIR"),
  N(mkdir_open, "0", "0", "0", "0"),
  N(mkdir_closed, "0", "EACCES", "EACCES", "EACCES"),
  N(mkdir_exists, "EEXIST", "EEXIST", "EEXIST", "EEXIST"),
  N(mkdir_slash, "0", "0", "0", "0"),
  N(mkdir_dangling, "EEXIST", "EEXIST", "EEXIST", "EEXIST"),
  N(mkdir_deep, "ENOENT", "ENOENT", "ENOENT", "ENOENT"),
  N(mkdir_mode, "1005", "1005", "1005", "1005"),
  N(mkdir_group, "1517", "1517", "1517", "1517"),
  N(create_group, "1000", "10001000", "30001000", "10001000"),
  N(create_group_mode, "1517", "1517", "1517", "1517"),
  N(symlink_open, "0", "0", "0", "0"),
  N(symlink_closed, "0", "EACCES", "EACCES", "EACCES"),
  N(symlink_exists, "EEXIST", "EEXIST", "EEXIST", "EEXIST"),
  N(symlink_empty, "ENOENT", "ENOENT", "ENOENT", "ENOENT"),
  N(symlink_dangling, "EEXIST", "EEXIST", "EEXIST", "EEXIST"),
  N(link_root, "0", "EPERM", "EPERM", "EPERM"),
  N(link_secret, "0", "EPERM", "EPERM", "EPERM"),
  N(link_setuid, "0", "0", "EPERM", "0"),
  N(link_fifo, "0", "EPERM", "EPERM", "EPERM"),
  N(link_sticky, "0", "0", "0", "0"),
  N(link_mine, "0", "0", "EPERM", "0"),
  N(link_directory, "EPERM", "EPERM", "EPERM", "EPERM"),
  N(link_exists, "EEXIST", "EEXIST", "EEXIST", "EEXIST"),
  N(link_closed, "0", "EACCES", "EACCES", "EACCES"),
  N(link_symlink, "0", "EPERM", "EPERM", "EPERM"),
  N(link_follow, "0", "EPERM", "EPERM", "EPERM"),
  N(link_flags, "EINVAL", "EINVAL", "EINVAL", "EINVAL"),
  N(rename_open, "0", "0", "0", "0"),
  N(rename_sticky, "0", "EPERM", "EPERM", "EPERM"),
  N(rename_over_sticky, "0", "EPERM", "EPERM", "EPERM"),
  N(rename_into_closed, "0", "EACCES", "EACCES", "EACCES"),
  N(rename_out_of_blind, "0", "EACCES", "EACCES", "EACCES"),
  N(rename_directory, "0", "0", "EACCES", "0"),
  N(rename_foreign_directory, "0", "EACCES", "EACCES", "EACCES"),
  N(rename_over_full, "ENOTEMPTY", "ENOTEMPTY", "EACCES", "ENOTEMPTY"),
  N(rename_over_empty, "0", "0", "EACCES", "0"),
  N(rename_file_over_directory, "EISDIR", "EISDIR", "EACCES", "EISDIR"),
  N(rename_directory_over_file, "ENOTDIR", "ENOTDIR", "EACCES", "ENOTDIR"),
  N(rename_into_itself, "EINVAL", "EINVAL", "EINVAL", "EINVAL"),
  N(rename_same, "0", "0", "0", "0"),
  N(rename_dot, "EBUSY", "EBUSY", "EBUSY", "EBUSY"),
  N(rename_noreplace, "EEXIST", "EEXIST", "EEXIST", "EEXIST"),
  N(rename_noreplace_new, "0", "0", "0", "0"),
  N(rename_exchange, "0", "0", "0", "0"),
  N(rename_exchange_missing, "ENOENT", "ENOENT", "ENOENT", "ENOENT"),
  N(rename_exchange_kinds, "0", "0", "EACCES", "0"),
  N(rename_both, "EINVAL", "EINVAL", "EINVAL", "EINVAL"),
  N(rename_flags, "EINVAL", "EINVAL", "EINVAL", "EINVAL"),
  N(rename_slash, "ENOTDIR", "ENOTDIR", "ENOTDIR", "ENOTDIR"),
  N(rename_to_slash, "ENOTDIR", "ENOTDIR", "ENOTDIR", "ENOTDIR"),
  N(rename_directory_to_slash, "0", "0", "EACCES", "0"),
  N(rename_links, "0", "0", "0", "0"),
  N(chmod_root, "0", "EPERM", "EPERM", "EPERM"),
  N(chmod_mine, "3583", "3583", "EPERM", "3583"),
  N(chmod_setgid_foreign, "1528", "504", "EPERM", "504"),
  N(chmod_link, "EOPNOTSUPP", "EOPNOTSUPP", "EOPNOTSUPP", "EOPNOTSUPP"),
  N(chmod_closed, "0", "EACCES", "EACCES", "EACCES"),
  N(chown_mine, "0", "EPERM", "EPERM", "EPERM"),
  N(chown_same, "0", "0", "EPERM", "0"),
  N(chown_group, "10001000", "10001000", "EPERM", "10001000"),
  N(chown_foreign_group, "0", "EPERM", "EPERM", "EPERM"),
  N(chown_setuid, "493", "493", "EPERM", "493"),
  N(chown_setuid_group, "493", "493", "EPERM", "493"),
  N(lchown_link, "0", "0", "0", "0"),
  N(times_now, "0", "EACCES", "EACCES", "EACCES"),
  N(times_null, "0", "EACCES", "EACCES", "EACCES"),
  N(times_then, "0", "EPERM", "EPERM", "EPERM"),
  N(times_omit, "0", "0", "0", "0"),
  N(times_half, "0", "EPERM", "EPERM", "EPERM"),
  N(times_mine, "0", "0", "EPERM", "0"),
  N(times_writable, "0", "0", "0", "0"),
  N(times_writable_then, "0", "EPERM", "EPERM", "EPERM"),
  N(times_nsec, "EINVAL", "EINVAL", "EINVAL", "EINVAL"),
  N(truncate_root, "0", "EACCES", "EACCES", "EACCES"),
  N(truncate_mine, "0", "0", "EACCES", "0"),
  N(truncate_directory, "EISDIR", "EISDIR", "EISDIR", "EISDIR"),
  N(truncate_fifo, "EINVAL", "EINVAL", "EINVAL", "EINVAL"),
  N(truncate_negative, "EINVAL", "EINVAL", "EINVAL", "EINVAL"),
  N(access_root, "0", "EACCES", "EACCES", "0"),
  N(access_run, "0", "0", "0", "0"),
  N(access_no_x, "EACCES", "EACCES", "EACCES", "EACCES"),
  N(access_directory, "0", "EACCES", "EACCES", "0"),
  N(access_behind, "0", "EACCES", "EACCES", "0"),
  N(eaccess_no, "0", "EACCES", "EACCES", "EACCES"),
  N(access_link, "0", "0", "0", "0"),
  N(exec_no_x, "EACCES", "EACCES", "EACCES", "EACCES"),
  N(exec_closed, "EACCES", "EACCES", "EACCES", "EACCES"),
  N(exec_text, "ENOEXEC", "ENOEXEC", "ENOEXEC", "ENOEXEC"),
  N(chdir_closed, "0", "EACCES", "EACCES", "EACCES"),
  N(chdir_listed, "0", "EACCES", "EACCES", "EACCES"),
  N(chdir_file, "ENOTDIR", "ENOTDIR", "ENOTDIR", "ENOTDIR"),
  N(mknod_fifo, "0", "0", "0", "0"),
  N(mknod_file, "0", "0", "0", "0"),
  N(mknod_socket, "0", "0", "0", "0"),
  N(mknod_directory, "EPERM", "EPERM", "EPERM", "EPERM"),
  N(mknod_nonsense, "EINVAL", "EINVAL", "EINVAL", "EINVAL"),
  N(xattr_root, "0", "EACCES", "EACCES", "EACCES"),
  N(xattr_mine, "0", "0", "EACCES", "0"),
  N(xattr_sticky, "0", "EPERM", "EPERM", "EPERM"),
  N(xattr_trusted, "0", "EPERM", "EPERM", "0"),
  N(xattr_trusted_get, "ENODATA", "ENODATA", "ENODATA", "ENODATA"),
  N(xattr_security, "EINVAL", "EINVAL", "EINVAL", "EINVAL"),
  N(xattr_security_valid, "0", "EPERM", "EPERM", "0"),
  N(xattr_security_remove, "ENODATA", "EPERM", "EPERM", "ENODATA"),
  N(xattr_link, "EPERM", "EPERM", "EPERM", "EPERM"),
  N(xattr_fifo, "EPERM", "EPERM", "EPERM", "EPERM"),
  N(how_beneath, "0", "0", "0", "0"),
  N(how_beneath_out, "EXDEV", "EXDEV", "EXDEV", "EXDEV"),
  N(how_beneath_absolute, "EXDEV", "EXDEV", "EXDEV", "EXDEV"),
  N(how_root, "0", "0", "0", "0"),
  N(how_root_out, "0", "0", "0", "0"),
  N(how_no_links, "ELOOP", "ELOOP", "ELOOP", "ELOOP"),
  N(how_no_magic, "ELOOP", "ELOOP", "ELOOP", "ELOOP"),
  N(how_no_xdev, "EXDEV", "EXDEV", "EXDEV", "EXDEV"),
  N(how_flags, "EINVAL", "EINVAL", "EINVAL", "EINVAL"),
  N(how_bad_open, "EINVAL", "EINVAL", "EINVAL", "EINVAL"),
  N(sock_bind, "0", "EACCES", "EACCES", "EACCES"),
  N(sock_exists, "EADDRINUSE", "EADDRINUSE", "EADDRINUSE", "EADDRINUSE"),
  N(sock_connect_file, "ECONNREFUSED", "EACCES", "EACCES", "EACCES"),
  N(sock_connect_mode, "0", "EACCES", "EACCES", "EACCES"),
};

/* The users: root, root without capabilities over files, a plain one, one of a group alone. */
static void become(int who) {
  gid_t groups[] = {1000};
  switch (who) {
    case 1: setgroups(0, NULL); setresgid(1000, 1000, 1000); setresuid(1000, 1000, 1000); break;
    case 2: setgroups(1, groups); setresgid(3000, 3000, 3000); setresuid(3000, 3000, 3000); break;
    case 3: setfsgid(1000); setfsuid(1000); break;
  }
}
static const char *const USERS[] = {"root", "user", "member", "fsuid"};

static int looks_only(const char *name) {
  static const char *const prefixes[] = {"read_", "list_", "path_", "open_", "openat_", "access_", "eaccess_", "exec_", "chdir_", "how_", "noatime_", "tmpfile_"};
  for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) if (!strncmp(name, prefixes[i], strlen(prefixes[i]))) return 1;
  return 0;
}

static void all(const char *where) {
  snprintf(base, sizeof base, "%s/tsvisor-rights-XXXXXX", where);
  if (!mkdtemp(base) || chdir(base) < 0) { say(where, "cannot be used"); return; }
  chmod(".", 0755);
  int is_changed = 1;
  for (int who = 0; who < 4; who++) {
    for (size_t i = 0; i < sizeof TRIALS / sizeof *TRIALS; i++) {
      /* What has failed, or only looks, leaves all as it was. */
      if (is_changed) {
        clear();
        umask(022);
        build();
      }
      char name[100];
      snprintf(name, sizeof name, "%s %s %s", where, USERS[who], TRIALS[i].name);
      pid_t child = fork();
      if (child == 0) {
        become(who);
        errno = 0;
        long result = TRIALS[i].run();
        judge(name, TRIALS[i].gives[who], result_of(result, errno).text);
        _exit(!looks_only(TRIALS[i].name) && (result != -1 || strstr(TRIALS[i].name, "_link") || !strncmp(TRIALS[i].name, "sock", 4)));
      }
      is_changed = wait_code(child) != 0;
    }
  }
  clear();
  chdir("/");
  rmdir(base);
}

int main(void) {
  if (geteuid() != 0) { say("rights", "needs root"); return 0; }
  all("/tmp");
  all("/dev/shm");
  return 0;
}

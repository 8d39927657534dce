// Every call on a descriptor against every kind of descriptor: which of them work, and the errno of the others.
#include "check.h"
#include <dirent.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <netinet/in.h>
#include <sys/inotify.h>
#include <sys/sendfile.h>

static char buffer[4096];
static int partner = -1, spare[2], plain, here;

// --- kinds ----------------------------------------------------------------------------------------------------------

static int file_read(void) { return open("file", O_RDONLY); }
static int file_write(void) { return open("file", O_WRONLY); }
static int file_append(void) { return open("file", O_RDWR | O_APPEND); }
static int file_path(void) { return open("file", O_PATH); }
static int directory(void) { return open(".", O_RDONLY | O_DIRECTORY); }
static int directory_path(void) { return open(".", O_PATH); }
static int link_path(void) { return open("link", O_PATH | O_NOFOLLOW); }
static int tmpfile_(void) { return open(".", O_TMPFILE | O_RDWR, 0600); }
static int host_file(void) { return open("/usr/bin/env", O_RDONLY); }
static int host_directory(void) { return open("/usr/bin", O_RDONLY); }
static int pipe_read(void) { int p[2]; pipe2(p, O_NONBLOCK); partner = p[1]; return p[0]; }
static int pipe_write(void) { int p[2]; pipe2(p, O_NONBLOCK); partner = p[0]; return p[1]; }
static int fifo(void) { return open("fifo", O_RDWR | O_NONBLOCK); }
static int unix_stream(void) { int p[2]; socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p); partner = p[1]; return p[0]; }
static int unix_lonely(void) { return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0); }
static int unix_datagram(void) { int p[2]; socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, p); partner = p[1]; return p[0]; }
static int epoll(void) { return epoll_create1(0); }
static int event(void) { return eventfd(0, EFD_NONBLOCK); }
static int timer(void) { return timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK); }
static int signals(void) { sigset_t set; sigemptyset(&set); sigaddset(&set, SIGUSR1); return signalfd(-1, &set, SFD_NONBLOCK); }
static int inotify(void) { return inotify_init1(IN_NONBLOCK); }
static int process(void) { return syscall(SYS_pidfd_open, getpid(), 0); }
static int memory(void) { int fd = memfd_create("x", MFD_ALLOW_SEALING); write(fd, "0123456789", 10); lseek(fd, 0, SEEK_SET); return fd; }
static int null(void) { return open("/dev/null", O_RDWR); }
static int zero(void) { return open("/dev/zero", O_RDWR); }
static int full(void) { return open("/dev/full", O_RDWR); }
static int proc_file(void) { return open("/proc/self/status", O_RDONLY); }
static int proc_directory(void) { return open("/proc/self", O_RDONLY); }

/* Kinds that are the machine's own: no call that changes them, as this runs natively too. */
static int is_shared(int (*make)(void)) {
  return make == host_file || make == host_directory || make == null || make == zero || make == full || make == proc_file ||
    make == proc_directory;
}

static const struct { const char *name; int (*make)(void); } KINDS[] = {
  {"file read", file_read}, {"file write", file_write}, {"file append", file_append}, {"file path", file_path},
  {"directory", directory}, {"directory path", directory_path}, {"link path", link_path}, {"tmpfile", tmpfile_},
  {"host file", host_file}, {"host directory", host_directory},
  {"pipe read", pipe_read}, {"pipe write", pipe_write}, {"fifo", fifo},
  {"unix stream", unix_stream}, {"unix lonely", unix_lonely}, {"unix datagram", unix_datagram},
  {"epoll", epoll}, {"eventfd", event}, {"timerfd", timer}, {"signalfd", signals}, {"inotify", inotify}, {"pidfd", process},
  {"memfd", memory}, {"null", null}, {"zero", zero}, {"full", full}, {"proc file", proc_file}, {"proc directory", proc_directory},
};

// --- calls ----------------------------------------------------------------------------------------------------------

static struct iovec part = {buffer, 4}, bad_part = {BAD, 4};
static long do_read(int fd) { return read(fd, buffer, 4) > 0 ? 1 : errno ? -1 : 0; }
static long do_read_none(int fd) { return read(fd, buffer, 0); }
static long do_read_bad(int fd) { return read(fd, BAD, 64); }
static long do_write(int fd) { return write(fd, "abcd", 4); }
static long do_write_none(int fd) { return write(fd, "abcd", 0); }
static long do_write_bad(int fd) { return write(fd, BAD, 64); }
static long do_pread(int fd) { return pread(fd, buffer, 4, 0) > 0 ? 1 : errno ? -1 : 0; }
static long do_pread_negative(int fd) { return pread(fd, buffer, 4, -1); }
static long do_pwrite(int fd) { return pwrite(fd, "abcd", 4, 0); }
static long do_readv(int fd) { return readv(fd, &part, 1) > 0 ? 1 : errno ? -1 : 0; }
static long do_readv_negative(int fd) { return readv(fd, &part, -1); }
static long do_readv_bad(int fd) { return readv(fd, BAD, 1); }
static long do_writev(int fd) { return writev(fd, &part, 1); }
static long do_writev_bad(int fd) { return writev(fd, &bad_part, 1); }
static long do_preadv2(int fd) { return preadv2(fd, &part, 1, -1, 0) > 0 ? 1 : errno ? -1 : 0; }
static long do_preadv2_flags(int fd) { return preadv2(fd, &part, 1, -1, 0x10000000); }
static long do_lseek(int fd) { return lseek(fd, 3, SEEK_SET); }
static long do_lseek_negative(int fd) { return lseek(fd, -3, SEEK_SET); }
static long do_lseek_end(int fd) { return lseek(fd, 0, SEEK_END) < 0 ? -1 : 0; }
static long do_lseek_data(int fd) { return lseek(fd, 0, SEEK_DATA) < 0 ? -1 : 0; }
static long do_lseek_bad(int fd) { return lseek(fd, 0, 77); }
static long do_ftruncate(int fd) { return ftruncate(fd, 20); }
static long do_ftruncate_negative(int fd) { return ftruncate(fd, -1); }
static long do_fallocate(int fd) { return fallocate(fd, 0, 0, 100); }
static long do_fallocate_none(int fd) { return fallocate(fd, 0, 0, 0); }
static long do_fallocate_bad(int fd) { return fallocate(fd, 0x100, 0, 100); }
static long do_fsync(int fd) { return fsync(fd); }
static long do_fdatasync(int fd) { return fdatasync(fd); }
static long do_syncfs(int fd) { return syncfs(fd); }
static long do_sync_file_range(int fd) { return sync_file_range(fd, 0, 10, SYNC_FILE_RANGE_WRITE); }
static long do_readahead(int fd) { return readahead(fd, 0, 10); }
static long do_fadvise(int fd) { int error = posix_fadvise(fd, 0, 10, POSIX_FADV_SEQUENTIAL); errno = error; return error ? -1 : 0; }
static long do_fadvise_bad(int fd) { int error = posix_fadvise(fd, 0, 10, 77); errno = error; return error ? -1 : 0; }
static long do_fstat(int fd) { struct stat status; return fstat(fd, &status) < 0 ? -1 : status.st_mode & S_IFMT; }
static long do_fstat_bad(int fd) { return syscall(SYS_fstat, fd, BAD); }
static long do_statx(int fd) { struct statx status; return statx(fd, "", AT_EMPTY_PATH, STATX_ALL, &status) < 0 ? -1 : status.stx_mode & S_IFMT; }
static long do_fstatfs(int fd) { struct statfs status; return fstatfs(fd, &status); }
static long do_fchmod(int fd) { return fchmod(fd, 0600); }
static long do_fchown(int fd) { return fchown(fd, -1, -1); }
static long do_fchownat(int fd) { return fchownat(fd, "", -1, -1, AT_EMPTY_PATH); }
static long do_futimens(int fd) { return futimens(fd, NULL); }
static long do_getdents(int fd) { return syscall(SYS_getdents64, fd, buffer, sizeof buffer) > 0 ? 1 : -1; }
static long do_getdents_small(int fd) { return syscall(SYS_getdents64, fd, buffer, 4); }
static long do_fchdir(int fd) { long result = fchdir(fd); int error = errno; fchdir(here); errno = error; return result; }
static long do_openat(int fd) { int got = openat(fd, "file", O_RDONLY); if (got >= 0) close(got); return got < 0 ? -1 : 0; }
static long do_openat_absolute(int fd) { int got = openat(fd, "/etc", O_RDONLY); if (got >= 0) close(got); return got < 0 ? -1 : 0; }
static long do_fstatat(int fd) { struct stat status; return fstatat(fd, "file", &status, 0); }
static long do_readlinkat(int fd) { return readlinkat(fd, "", buffer, 100); }
static long do_linkat(int fd) { long result = linkat(fd, "", AT_FDCWD, "linked", AT_EMPTY_PATH); int error = errno; unlink("linked"); errno = error; return result; }
static long do_faccessat(int fd) { return syscall(SYS_faccessat2, fd, "", R_OK, AT_EMPTY_PATH); }
static long do_execveat(int fd) { char *none[] = {NULL}; return syscall(SYS_execveat, fd, "", BAD, none, AT_EMPTY_PATH); }
static long do_fgetxattr(int fd) { return fgetxattr(fd, "user.none", buffer, 10); }
static long do_flistxattr(int fd) { return flistxattr(fd, NULL, 0) < 0 ? -1 : 0; }
static long do_flock(int fd) { return flock(fd, LOCK_SH | LOCK_NB); }
static long do_setlk_read(int fd) { struct flock lock = {.l_type = F_RDLCK}; return fcntl(fd, F_SETLK, &lock); }
static long do_setlk_write(int fd) { struct flock lock = {.l_type = F_WRLCK}; return fcntl(fd, F_SETLK, &lock); }
static long do_ofd_getlk(int fd) { struct flock lock = {.l_type = F_WRLCK}; return fcntl(fd, F_OFD_GETLK, &lock); }
static long do_getfl(int fd) { return fcntl(fd, F_GETFL); }
static long do_setfl(int fd) { return fcntl(fd, F_SETFL, O_NONBLOCK); }
static long do_setfl_async(int fd) { return fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK); }
static long do_getown(int fd) { return fcntl(fd, F_GETOWN); }
static long do_getlease(int fd) { return fcntl(fd, F_GETLEASE); }
static long do_seals(int fd) { return fcntl(fd, F_GET_SEALS); }
static long do_pipe_size(int fd) { return fcntl(fd, F_GETPIPE_SZ); }
static long do_mmap(int fd) { void *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0); if (p != MAP_FAILED) munmap(p, 4096); return p == MAP_FAILED ? -1 : 0; }
static long do_mmap_shared(int fd) { void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0); if (p != MAP_FAILED) munmap(p, 4096); return p == MAP_FAILED ? -1 : 0; }
static long do_fionread(int fd) { int n; return ioctl(fd, FIONREAD, &n); }
static long do_fionbio(int fd) { int on = 1; return ioctl(fd, FIONBIO, &on); }
static long do_fioasync(int fd) { int on = 0; return ioctl(fd, FIOASYNC, &on); }
static long do_fioqsize(int fd) { long size; return ioctl(fd, 0x5460, &size); }
static long do_tcgets(int fd) { return isatty(fd) ? 1 : -1; }
static long do_ioctl_unknown(int fd) { return ioctl(fd, 0xabcd, buffer); }
static long do_ficlone(int fd) { return ioctl(fd, FICLONE, plain); }
static long do_send(int fd) { return send(fd, "ab", 2, MSG_NOSIGNAL); }
static long do_recv(int fd) { return recv(fd, buffer, 2, MSG_DONTWAIT); }
static long do_bind(int fd) { struct sockaddr_un address = {.sun_family = 77}; return bind(fd, (void *)&address, sizeof address); }
static long do_listen(int fd) { return listen(fd, 1); }
static long do_accept(int fd) { return accept(fd, NULL, NULL); }
static long do_connect(int fd) { struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "nobody"}; return connect(fd, (void *)&address, sizeof address); }
static long do_getsockname(int fd) { socklen_t size = sizeof buffer; return getsockname(fd, (void *)buffer, &size); }
static long do_getpeername(int fd) { socklen_t size = sizeof buffer; return getpeername(fd, (void *)buffer, &size); }
static long do_getsockopt(int fd) { int type; socklen_t size = sizeof type; return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size); }
static long do_shutdown(int fd) { return shutdown(fd, SHUT_WR); }
static long do_epoll_add(int fd) { struct epoll_event event = {.events = EPOLLIN}; return epoll_ctl(spare[0], EPOLL_CTL_ADD, fd, &event); }
static long do_epoll_wait(int fd) { struct epoll_event event; return epoll_wait(fd, &event, 1, 0); }
static long do_poll(int fd) { struct pollfd one = {fd, POLLIN | POLLOUT | POLLPRI, 0}; poll(&one, 1, 0); return one.revents; }
static long do_select(int fd) { fd_set in; FD_ZERO(&in); FD_SET(fd, &in); struct timeval none = {0, 0}; return select(fd + 1, &in, NULL, NULL, &none); }
static long do_timerfd_gettime(int fd) { struct itimerspec time; return timerfd_gettime(fd, &time); }
static long do_timerfd_settime(int fd) { struct itimerspec time = {{0, 0}, {0, 0}}; return timerfd_settime(fd, 0, &time, NULL); }
static long do_signalfd(int fd) { sigset_t set; sigemptyset(&set); return signalfd(fd, &set, 0) < 0 ? -1 : 0; }
static long do_inotify_add(int fd) { return inotify_add_watch(fd, ".", IN_CREATE); }
static long do_inotify_rm(int fd) { return inotify_rm_watch(fd, 99); }
static long do_pidfd_signal(int fd) { return syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0); }
static long do_pidfd_getfd(int fd) { int got = syscall(SYS_pidfd_getfd, fd, 0, 0); if (got >= 0) close(got); return got < 0 ? -1 : 0; }
static long do_waitid(int fd) { siginfo_t info; return waitid(P_PIDFD, fd, &info, WEXITED | WNOHANG); }
static long do_sendfile_from(int fd) { off_t offset = 0; return sendfile(plain, fd, &offset, 2) < 0 ? -1 : 0; }
static long do_sendfile_to(int fd) { off_t offset = 0; return sendfile(fd, plain, &offset, 2); }
static long do_splice_from(int fd) { return splice(fd, NULL, spare[1], NULL, 2, SPLICE_F_NONBLOCK) < 0 ? -1 : 0; }
static long do_copy_range_from(int fd) { loff_t from = 0, to = 0; return copy_file_range(fd, &from, plain, &to, 2, 0) < 0 ? -1 : 0; }
static long do_copy_range_to(int fd) { loff_t from = 0, to = 0; return copy_file_range(plain, &from, fd, &to, 2, 0); }
static long do_vmsplice(int fd) { return vmsplice(fd, &part, 1, SPLICE_F_NONBLOCK); }
static long do_tee(int fd) { return tee(fd, spare[1], 2, SPLICE_F_NONBLOCK); }
static long do_mq(int fd) { return syscall(SYS_mq_timedreceive, fd, buffer, 10, NULL, NULL); }
static long do_reopen(int fd) { char path[64]; snprintf(path, sizeof path, "/proc/self/fd/%d", fd); int got = open(path, O_RDONLY | O_NONBLOCK); if (got >= 0) close(got); return got < 0 ? -1 : 0; }
static long do_link_of(int fd) { char path[64]; snprintf(path, sizeof path, "/proc/self/fd/%d", fd); long n = readlink(path, buffer, 100); return n < 0 ? -1 : buffer[0]; }
static long do_dup(int fd) { int got = dup(fd); if (got >= 0) close(got); return got < 0 ? -1 : 0; }

/* A call, what it gives for most kinds, and for others. */
#define C(name, usual, others) {#name, do_##name, usual, others}
static const struct { const char *name; long (*call)(int); const char *usual, *others; } CALLS[] = {
  C(read, "1", "EBADF: file write, file path, directory path, link path, pipe write; EISDIR: directory, host directory, proc directory; 0: tmpfile, null; EAGAIN: pipe read, fifo, unix stream, unix datagram, inotify; EINVAL: unix lonely, epoll, eventfd, timerfd, signalfd, pidfd"),
  C(read_none, "0", "EBADF: file write, file path, directory path, link path, pipe write; EISDIR: directory, host directory, proc directory; EINVAL: epoll, eventfd, timerfd, signalfd; EAGAIN: inotify"),
  C(read_bad, "EFAULT", "EBADF: file write, file path, directory path, link path, pipe write; EISDIR: directory, host directory, proc directory; 0: tmpfile, null; EAGAIN: pipe read, fifo, unix stream, unix datagram, eventfd, timerfd, inotify; EINVAL: unix lonely, epoll, signalfd"),
  C(write, "EBADF", "4: file write, file append, tmpfile, pipe write, fifo, unix stream, unix datagram, memfd, null, zero; ENOTCONN: unix lonely; EINVAL: epoll, eventfd, timerfd, signalfd, pidfd; ENOSPC: full"),
  C(write_none, "EBADF", "0: file write, file append, tmpfile, pipe write, fifo, unix stream, unix datagram, memfd, null, zero; ENOTCONN: unix lonely; EINVAL: epoll, eventfd, timerfd, signalfd"),
  C(write_bad, "EFAULT", ""),
  C(pread, "ESPIPE", "1: file read, file append, host file, memfd, zero, full, proc file; EBADF: file write, file path, directory path, link path; EISDIR: directory, host directory, proc directory; 0: tmpfile, null"),
  C(pread_negative, "EINVAL", ""),
  C(pwrite, "ESPIPE", "EBADF: file read, file path, directory, directory path, link path, host file, host directory, proc directory; 4: file write, file append, tmpfile, memfd, null, zero; ENOSPC: full"),
  C(readv, "1", "EBADF: file write, file path, directory path, link path, pipe write; EISDIR: directory, host directory, proc directory; 0: tmpfile, null; EAGAIN: pipe read, fifo, unix stream, unix datagram, inotify; EINVAL: unix lonely, epoll, eventfd, timerfd, signalfd"),
  C(readv_negative, "EINVAL", "EBADF: file write, file path, directory path, link path, pipe write"),
  C(readv_bad, "EBADF", ""),
  C(writev, "EBADF", "4: file write, file append, tmpfile, pipe write, fifo, unix stream, unix datagram, memfd, null, zero; ENOTCONN: unix lonely; EINVAL: epoll, eventfd, timerfd, signalfd; ENOSPC: full"),
  C(writev_bad, "EFAULT", ""),
  C(preadv2, "1", "EBADF: file write, file path, directory path, link path, pipe write; EISDIR: directory, host directory, proc directory; 0: tmpfile, null; EAGAIN: pipe read, fifo, unix stream, unix datagram, inotify; EINVAL: unix lonely, epoll, eventfd, timerfd, signalfd"),
  C(preadv2_flags, "EOPNOTSUPP", "EBADF: file write, file path, directory path, link path, pipe write"),
  C(lseek, "3", "EBADF: file path, directory path, link path; ESPIPE: pipe read, pipe write, fifo, unix stream, unix lonely, unix datagram; 0: epoll, eventfd, timerfd, signalfd, inotify, null, zero, full"),
  C(lseek_negative, "EINVAL", "EBADF: file path, directory path, link path; ESPIPE: pipe read, pipe write, fifo, unix stream, unix lonely, unix datagram; 0: epoll, eventfd, timerfd, signalfd, inotify, null, zero, full"),
  C(lseek_end, "0", "EBADF: file path, directory path, link path; ESPIPE: pipe read, pipe write, fifo, unix stream, unix lonely, unix datagram; EINVAL: proc file"),
  C(lseek_data, "0", "EBADF: file path, directory path, link path; ENXIO: tmpfile; ESPIPE: pipe read, pipe write, fifo, unix stream, unix lonely, unix datagram; EINVAL: proc file"),
  C(lseek_bad, "EINVAL", "EBADF: file path, directory path, link path"),
  C(ftruncate, "EINVAL", "0: file write, file append, tmpfile, memfd; EBADF: file path, directory path, link path"),
  C(ftruncate_negative, "EINVAL", ""),
  C(fallocate, "EBADF", "0: file write, file append, tmpfile, memfd; ESPIPE: pipe write, fifo; ENODEV: unix stream, unix lonely, unix datagram, epoll, eventfd, timerfd, signalfd, null, zero, full"),
  C(fallocate_none, "EINVAL", "EBADF: file path, directory path, link path"),
  C(fallocate_bad, "EOPNOTSUPP", "EBADF: file path, directory path, link path"),
  C(fsync, "EINVAL", "0: file read, file write, file append, directory, tmpfile, host file, host directory, memfd; EBADF: file path, directory path, link path"),
  C(fdatasync, "EINVAL", "0: file read, file write, file append, directory, tmpfile, host file, host directory, memfd; EBADF: file path, directory path, link path"),
  C(syncfs, "0", "EBADF: file path, directory path, link path"),
  C(sync_file_range, "ESPIPE", "0: file read, file write, file append, directory, tmpfile, host file, host directory, memfd, proc file, proc directory; EBADF: file path, directory path, link path"),
  C(readahead, "EINVAL", "0: file read, file append, tmpfile, host file, memfd, proc file; EBADF: file write, file path, directory path, link path, pipe write"),
  C(fadvise, "0", "EBADF: file path, directory path, link path; ESPIPE: pipe read, pipe write, fifo"),
  C(fadvise_bad, "EINVAL", "EBADF: file path, directory path, link path; ESPIPE: pipe read, pipe write, fifo"),
  C(fstat, "32768", "16384: directory, directory path, host directory, proc directory; 40960: link path; 4096: pipe read, pipe write, fifo; 49152: unix stream, unix lonely, unix datagram; 0: epoll, eventfd, timerfd, signalfd, inotify; 8192: null, zero, full"),
  C(fstat_bad, "EFAULT", ""),
  C(statx, "32768", "16384: directory, directory path, host directory, proc directory; 40960: link path; 4096: pipe read, pipe write, fifo; 49152: unix stream, unix lonely, unix datagram; 0: epoll, eventfd, timerfd, signalfd, inotify; 8192: null, zero, full"),
  C(fstatfs, "0", ""),
  C(fchmod, "0", "EBADF: file path, directory path, link path"),
  C(fchown, "0", "EBADF: file path, directory path, link path"),
  C(fchownat, "0", ""),
  C(futimens, "0", "EBADF: file path, directory path, link path"),
  C(getdents, "ENOTDIR", "EBADF: file path, directory path, link path; 1: directory, host directory, proc directory"),
  C(getdents_small, "ENOTDIR", "EBADF: file path, directory path, link path; EINVAL: directory, host directory, proc directory"),
  C(fchdir, "ENOTDIR", "0: directory, directory path, host directory, proc directory"),
  C(openat, "ENOTDIR", "0: directory, directory path, host directory; ENOENT: proc directory"),
  C(openat_absolute, "0", ""),
  C(fstatat, "ENOTDIR", "0: directory, directory path, host directory; ENOENT: proc directory"),
  C(readlinkat, "ENOENT", "4: link path"),
  C(linkat, "EXDEV", "0: file read, file write, file append, file path, link path, tmpfile, host file, fifo; EPERM: directory, directory path, host directory"),
  C(faccessat, "0", ""),
  C(execveat, "EACCES", "ELOOP: link path; EFAULT: host file, memfd"),
  C(fgetxattr, "ENODATA", "EBADF: file path, directory path, link path; EOPNOTSUPP: proc file, proc directory"),
  C(flistxattr, "0", "EBADF: file path, directory path, link path"),
  C(flock, "0", "EBADF: file path, directory path, link path"),
  C(setlk_read, "0", "EBADF: file write, file path, directory path, link path, pipe write"),
  C(setlk_write, "0", "EBADF: file read, file path, directory, directory path, link path, host file, host directory, pipe read, inotify, proc file, proc directory"),
  C(ofd_getlk, "0", "EBADF: file path, directory path, link path"),
  C(getfl, "2050", "32768: file read, host file, host directory, proc file, proc directory; 32769: file write; 33794: file append; 2097152: file path, directory path; 98304: directory; 2228224: link path; 4292610: tmpfile; 2048: pipe read, inotify; 2049: pipe write; 34818: fifo; 2: epoll, pidfd; 32770: memfd, null, zero, full"),
  C(setfl, "0", "EBADF: file path, directory path, link path"),
  C(setfl_async, "0", "EBADF: file path, directory path, link path"),
  C(getown, "0", "EBADF: file path, directory path, link path"),
  C(getlease, "2", "EBADF: file path, directory path, link path"),
  C(seals, "EINVAL", "EBADF: file path, directory path, link path; 0: memfd"),
  C(pipe_size, "EBADF", "65536: pipe read, pipe write, fifo"),
  C(mmap, "ENODEV", "0: file read, file append, tmpfile, host file, memfd, zero; EACCES: file write, pipe write; EBADF: file path, directory path, link path"),
  C(mmap_shared, "EACCES", "0: file append, tmpfile, memfd, zero; EBADF: file path, directory path, link path; ENODEV: fifo, unix stream, unix lonely, unix datagram, epoll, eventfd, timerfd, signalfd, null, full"),
  C(fionread, "0", "EBADF: file path, directory path, link path; ENOTTY: directory, host directory, eventfd, timerfd, signalfd, null, zero, full, proc directory"),
  C(fionbio, "0", "EBADF: file path, directory path, link path"),
  C(fioasync, "0", "EBADF: file path, directory path, link path"),
  C(fioqsize, "ENOTTY", "0: file read, file write, file append, directory, tmpfile, host file, host directory, memfd, proc file, proc directory; EBADF: file path, directory path, link path"),
  C(tcgets, "ENOTTY", "EBADF: file path, directory path, link path"),
  C(ioctl_unknown, "ENOTTY", "EBADF: file path, directory path, link path"),
  C(ficlone, "EXDEV", "EBADF: file read, file append, file path, directory path, link path, host file; EOPNOTSUPP: file write, tmpfile; EISDIR: directory, host directory; EINVAL: fifo"),
  C(send, "ENOTSOCK", "EBADF: file path, directory path, link path; 2: unix stream, unix datagram; ENOTCONN: unix lonely"),
  C(recv, "ENOTSOCK", "EBADF: file path, directory path, link path; EAGAIN: unix stream, unix datagram; EINVAL: unix lonely"),
  C(bind, "ENOTSOCK", "EBADF: file path, directory path, link path; EINVAL: unix stream, unix lonely, unix datagram"),
  C(listen, "ENOTSOCK", "EBADF: file path, directory path, link path; EINVAL: unix stream, unix lonely; EOPNOTSUPP: unix datagram"),
  C(accept, "ENOTSOCK", "EBADF: file path, directory path, link path; EINVAL: unix stream, unix lonely; EOPNOTSUPP: unix datagram"),
  C(connect, "ENOTSOCK", "EBADF: file path, directory path, link path; ENOENT: unix stream, unix lonely, unix datagram"),
  C(getsockname, "ENOTSOCK", "EBADF: file path, directory path, link path; 0: unix stream, unix lonely, unix datagram"),
  C(getpeername, "ENOTSOCK", "EBADF: file path, directory path, link path; 0: unix stream, unix datagram; ENOTCONN: unix lonely"),
  C(getsockopt, "ENOTSOCK", "EBADF: file path, directory path, link path; 0: unix stream, unix lonely, unix datagram"),
  C(shutdown, "ENOTSOCK", "EBADF: file path, directory path, link path; 0: unix stream, unix lonely, unix datagram"),
  C(epoll_add, "EPERM", "EBADF: file path, directory path, link path; 0: pipe read, pipe write, fifo, unix stream, unix lonely, unix datagram, epoll, eventfd, timerfd, signalfd, inotify, pidfd"),
  C(epoll_wait, "EINVAL", "EBADF: file path, directory path, link path; 0: epoll"),
  C(poll, "5", "32: file path, directory path, link path; 0: pipe read, epoll, timerfd, signalfd, inotify, pidfd; 4: pipe write, fifo, unix stream, unix datagram, eventfd; 20: unix lonely"),
  C(select, "1", "0: pipe read, pipe write, fifo, unix stream, unix datagram, epoll, eventfd, timerfd, signalfd, inotify, pidfd"),
  C(timerfd_gettime, "EINVAL", "EBADF: file path, directory path, link path; 0: timerfd"),
  C(timerfd_settime, "EINVAL", "EBADF: file path, directory path, link path; 0: timerfd"),
  C(signalfd, "EINVAL", "EBADF: file path, directory path, link path; 0: signalfd"),
  C(inotify_add, "EINVAL", "EBADF: file path, directory path, link path; 1: inotify"),
  C(inotify_rm, "EINVAL", "EBADF: file path, directory path, link path"),
  C(pidfd_signal, "EBADF", "0: pidfd"),
  C(pidfd_getfd, "EBADF", "0: pidfd"),
  C(waitid, "EBADF", "ECHILD: pidfd"),
  C(sendfile_from, "ESPIPE", "0: file read, file append, tmpfile, host file, memfd, zero, full; EBADF: file write, file path, directory path, link path, pipe write; EINVAL: directory, host directory, null, proc directory"),
  C(sendfile_to, "EBADF", "2: file write, tmpfile, pipe write, fifo, unix stream, unix datagram, memfd, null, zero; EINVAL: file append, epoll, eventfd, timerfd, signalfd; ENOTCONN: unix lonely"),
  C(splice_from, "EINVAL", "0: file read, file append, tmpfile, host file, memfd, zero, full; EBADF: file write, file path, directory path, link path, pipe write; EAGAIN: pipe read, fifo, unix stream, unix datagram"),
  C(copy_range_from, "EINVAL", "EBADF: file write, file path, directory path, link path; EISDIR: directory, host directory, proc directory; 0: tmpfile, host file; EXDEV: memfd, proc file"),
  C(copy_range_to, "EINVAL", "EBADF: file read, file append, file path, directory path, link path, host file, proc file; EISDIR: directory, host directory, proc directory; 2: tmpfile; EXDEV: memfd"),
  C(vmsplice, "EBADF", "EAGAIN: pipe read; 4: pipe write, fifo"),
  C(tee, "EINVAL", "EBADF: file write, file path, directory path, link path, pipe write; EAGAIN: pipe read, fifo"),
  C(mq, "EBADF", ""),
  C(reopen, "0", "ELOOP: link path; ENXIO: unix stream, unix lonely, unix datagram, epoll, eventfd, timerfd, signalfd, inotify"),
  C(link_of, "47", "112: pipe read, pipe write; 115: unix stream, unix lonely, unix datagram; 97: epoll, eventfd, timerfd, signalfd, inotify, pidfd"),
  C(dup, "0", ""),
};

/* What call `c` gives for `kind`. */
static const char *expected_of(int c, const char *kind) {
  static char text[1024];
  char *more_groups, *more_kinds;
  snprintf(text, sizeof text, "%s", CALLS[c].others);
  for (char *group = strtok_r(text, ";", &more_groups); group; group = strtok_r(NULL, ";", &more_groups)) {
    char *result = strtok_r(group, ": ", &more_kinds);
    for (char *one = strtok_r(NULL, ",", &more_kinds); one; one = strtok_r(NULL, ",", &more_kinds)) {
      while (*one == ' ' || *one == ':') one++;
      if (strcmp(one, kind) == 0) return result;
    }
  }
  return CALLS[c].usual;
}

static int is_one_of(long (*call)(int), long (*const *list)(int), size_t count) {
  for (size_t i = 0; i < count; i++) if (list[i] == call) return 1;
  return 0;
}
#define AMONG(call, ...) is_one_of(call, (long (*const[])(int)){__VA_ARGS__}, sizeof((long (*[])(int)){__VA_ARGS__}) / sizeof(void *))

/* What one cannot compare: it changes the machine, or Linux itself answers by release or file system. */
static int is_left_out(int (*make)(void), long (*call)(int)) {
  if (is_shared(make) && AMONG(call, do_fchmod, do_futimens)) return 1;
  /* tsvisor copies what a call reads before it looks at the descriptor: EFAULT comes before EINVAL and ENOTCONN. */
  if (AMONG(call, do_write_bad, do_writev_bad, do_readv_bad) && make != file_write && make != pipe_write) return 1;
  /* ext4 has an end of directories, tmpfs has none. */
  if (AMONG(call, do_lseek_end, do_lseek_data) && (make == directory || make == host_directory || make == proc_directory)) return 1;
  /* Refused since Linux 6.18, without effect before. */
  int is_anonymous = make == epoll || make == event || make == timer || make == signals || make == inotify || make == process;
  if (is_anonymous && AMONG(call, do_fchmod, do_fchown, do_fchownat, do_futimens)) return 1;
  /* epoll has an ioctl of its own since Linux 6.9; pidfds are files of pidfs since then. */
  if (make == epoll && AMONG(call, do_fionread, do_tcgets, do_ioctl_unknown, do_preadv2_flags)) return 1;
  if (make == process && !AMONG(call, do_read, do_write, do_fstat_bad, do_getfl, do_mmap, do_fionbio, do_send, do_bind, do_epoll_add,
        do_poll, do_select, do_timerfd_gettime, do_signalfd, do_inotify_add, do_pidfd_signal, do_pidfd_getfd, do_waitid,
        do_splice_from, do_vmsplice, do_tee, do_mq, do_link_of, do_dup)) return 1;
  /* tsvisor sends the files of /proc/PID, too, and knows no byte of /dev/full. */
  if (make == proc_file && AMONG(call, do_sendfile_from, do_splice_from, do_pwrite)) return 1;
  /* Its directory as a pidfd: of the time before pidfd_open(2). */
  if (make == proc_directory && AMONG(call, do_pidfd_signal)) return 1;
  return make == full && AMONG(call, do_write_none, do_sendfile_to);
}

int main(void) {
  char base[] = "/tmp/tsvisor-kinds-XXXXXX";
  if (!mkdtemp(base) || chdir(base) < 0) return 1;
  signal(SIGPIPE, SIG_IGN);
  signal(SIGIO, SIG_IGN);
  plain = open("file", O_CREAT | O_RDWR, 0644);
  write(plain, "content of the file", 19);
  symlink("file", "link");
  mkfifo("fifo", 0600);
  here = open(".", O_RDONLY);
  for (size_t k = 0; k < sizeof KINDS / sizeof *KINDS; k++) {
    for (size_t c = 0; c < sizeof CALLS / sizeof *CALLS; c++) {
      if (is_left_out(KINDS[k].make, CALLS[c].call)) continue;
      pipe2(spare, O_NONBLOCK);
      int saved = spare[0];
      if (CALLS[c].call == do_epoll_add) spare[0] = epoll_create1(0);
      partner = -1;
      int fd = KINDS[k].make();
      char name[100];
      snprintf(name, sizeof name, "%s %s", KINDS[k].name, CALLS[c].name);
      if (fd < 0) SAYS(name, "a descriptor", "%s", strerrorname_np(errno));
      else {
        errno = 0;
        long result = CALLS[c].call(fd);
        judge(name, expected_of(c, KINDS[k].name), result_of(result, errno).text);
      }
      close(fd);
      if (partner >= 0) close(partner);
      if (spare[0] != saved) close(saved);
      close(spare[0]);
      close(spare[1]);
    }
  }
  chdir("/");
  char command[100];
  snprintf(command, sizeof command, "rm -rf %s", base);
  return system(command);
}

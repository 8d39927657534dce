// Constants of the file system calls (x86-64): open(2), stat(2), fcntl(2), the *at calls, mounts, locks, xattr, poll(2).

// open(2) flags
export const O_LARGEFILE = 0o100000;
export const O_RDONLY = 0o0;
export const O_WRONLY = 0o1;
export const O_RDWR = 0o2;
export const O_ACCMODE = 0o3;
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
export const O_NOCTTY = 0o400;
export const O_TRUNC = 0o1000;
export const O_APPEND = 0o2000;
export const O_NDELAY = 0o4000;
export const O_NONBLOCK = 0o4000;
export const O_DSYNC = 0o10000;
export const O_ASYNC = 0o20000;
export const O_DIRECT = 0o40000;
export const O_DIRECTORY = 0o200000;
export const O_NOFOLLOW = 0o400000;
export const O_NOATIME = 0o1000000;
export const O_CLOEXEC = 0o2000000;
export const O_FSYNC = 0o4010000;
export const O_RSYNC = 0o4010000;
export const O_SYNC = 0o4010000;
export const O_PATH = 0o10000000;
export const O_TMPFILE = 0o20200000;

// openat2(2)
export const RESOLVE_NO_XDEV = 0x1;
export const RESOLVE_NO_MAGICLINKS = 0x2;
export const RESOLVE_NO_SYMLINKS = 0x4;
export const RESOLVE_BENEATH = 0x8;
export const RESOLVE_IN_ROOT = 0x10;
export const RESOLVE_CACHED = 0x20;

// Dirfd and AT_ flags
export const AT_FDCWD = -100;
export const AT_STATX_SYNC_AS_STAT = 0x0;
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_EACCESS = 0x200;
export const AT_REMOVEDIR = 0x200;
export const AT_SYMLINK_FOLLOW = 0x400;
export const AT_NO_AUTOMOUNT = 0x800;
export const AT_EMPTY_PATH = 0x1000;
export const AT_STATX_FORCE_SYNC = 0x2000;
export const AT_STATX_DONT_SYNC = 0x4000;
export const AT_STATX_SYNC_TYPE = 0x6000;
export const AT_RECURSIVE = 0x8000;

// File type and mode bits, inode(7)
export const S_IXOTH = 0o1;
export const S_IWOTH = 0o2;
export const S_IROTH = 0o4;
export const S_IRWXO = 0o7;
export const S_IXGRP = 0o10;
export const S_IWGRP = 0o20;
export const S_IRGRP = 0o40;
export const S_IRWXG = 0o70;
export const S_IEXEC = 0o100;
export const S_IXUSR = 0o100;
export const S_IWRITE = 0o200;
export const S_IWUSR = 0o200;
export const S_IREAD = 0o400;
export const S_IRUSR = 0o400;
export const S_IRWXU = 0o700;
export const S_ISVTX = 0o1000;
export const S_ISGID = 0o2000;
export const S_ISUID = 0o4000;
export const S_IFIFO = 0o10000;
export const S_IFCHR = 0o20000;
export const S_IFDIR = 0o40000;
export const S_IFBLK = 0o60000;
export const S_IFREG = 0o100000;
export const S_IFLNK = 0o120000;
export const S_IFSOCK = 0o140000;
export const S_IFMT = 0o170000;

// getdents(2) d_type
export const DT_NULL = 0;
export const DT_UNKNOWN = 0;
export const DT_FIFO = 1;
export const DT_NEEDED = 1;
export const DT_CHR = 2;
export const DT_PLTRELSZ = 2;
export const DT_PLTGOT = 3;
export const DT_DIR = 4;
export const DT_HASH = 4;
export const DT_STRTAB = 5;
export const DT_BLK = 6;
export const DT_SYMTAB = 6;
export const DT_RELA = 7;
export const DT_REG = 8;
export const DT_RELASZ = 8;
export const DT_RELAENT = 9;
export const DT_LNK = 10;
export const DT_STRSZ = 10;
export const DT_SYMENT = 11;
export const DT_INIT = 12;
export const DT_SOCK = 12;
export const DT_FINI = 13;
export const DT_SONAME = 14;
export const DT_WHT = 14;
export const DT_RPATH = 15;
export const DT_SYMBOLIC = 16;
export const DT_REL = 17;
export const DT_RELSZ = 18;
export const DT_RELENT = 19;
export const DT_PLTREL = 20;
export const DT_DEBUG = 21;
export const DT_TEXTREL = 22;
export const DT_JMPREL = 23;
export const DT_ENCODING = 32;
export const DT_LOOS = 1610612749;
export const DT_HIOS = 1879044096;
export const DT_VALRNGLO = 1879047424;
export const DT_VALRNGHI = 1879047679;
export const DT_ADDRRNGLO = 1879047680;
export const DT_ADDRRNGHI = 1879047935;
export const DT_VERSYM = 1879048176;
export const DT_RELACOUNT = 1879048185;
export const DT_RELCOUNT = 1879048186;
export const DT_VERDEF = 1879048188;
export const DT_VERDEFNUM = 1879048189;
export const DT_VERNEED = 1879048190;
export const DT_VERNEEDNUM = 1879048191;
export const DT_LOPROC = 1879048192;
export const DT_HIPROC = 2147483647;

// statx(2)
export const STATX_TYPE = 0x1;
export const STATX_MODE = 0x2;
export const STATX_ATTR_COMPRESSED = 0x4;
export const STATX_NLINK = 0x4;
export const STATX_UID = 0x8;
export const STATX_ATTR_IMMUTABLE = 0x10;
export const STATX_GID = 0x10;
export const STATX_ATIME = 0x20;
export const STATX_ATTR_APPEND = 0x20;
export const STATX_ATTR_NODUMP = 0x40;
export const STATX_MTIME = 0x40;
export const STATX_CTIME = 0x80;
export const STATX_INO = 0x100;
export const STATX_SIZE = 0x200;
export const STATX_BLOCKS = 0x400;
export const STATX_BASIC_STATS = 0x7ff;
export const STATX_ATTR_ENCRYPTED = 0x800;
export const STATX_BTIME = 0x800;
export const STATX_ALL = 0xfff;
export const STATX_ATTR_AUTOMOUNT = 0x1000;
export const STATX_MNT_ID = 0x1000;
export const STATX_ATTR_MOUNT_ROOT = 0x2000;
export const STATX_DIOALIGN = 0x2000;
export const STATX_ATTR_VERITY = 0x100000;
export const STATX_ATTR_DAX = 0x200000;
export const STATX__RESERVED = 0x80000000;

// fcntl(2) commands
export const F_DUPFD = 0;
export const F_RDLCK = 0;
export const F_GETFD = 1;
export const F_SEAL_SEAL = 1;
export const F_WRLCK = 1;
export const F_SEAL_SHRINK = 2;
export const F_SETFD = 2;
export const F_UNLCK = 2;
export const F_GETFL = 3;
export const F_SEAL_GROW = 4;
export const F_SETFL = 4;
export const F_GETLK = 5;
export const F_GETLK64 = 5;
export const F_SETLK = 6;
export const F_SETLK64 = 6;
export const F_SETLKW = 7;
export const F_SETLKW64 = 7;
export const F_SEAL_WRITE = 8;
export const F_SETOWN = 8;
export const F_GETOWN = 9;
export const F_SETSIG = 10;
export const F_GETSIG = 11;
export const F_SETOWN_EX = 15;
export const F_GETOWN_EX = 16;
export const F_SEAL_FUTURE_WRITE = 16;
export const F_OFD_GETLK = 36;
export const F_OFD_SETLK = 37;
export const F_OFD_SETLKW = 38;
export const F_SETLEASE = 1024;
export const F_GETLEASE = 1025;
export const F_NOTIFY = 1026;
export const DN_ACCESS = 0x1;
export const DN_MODIFY = 0x2;
export const DN_CREATE = 0x4;
export const DN_DELETE = 0x8;
export const DN_RENAME = 0x10;
export const DN_ATTRIB = 0x20;
export const DN_MULTISHOT = 0x8000_0000;
export const F_DUPFD_CLOEXEC = 1030;
export const F_SETPIPE_SZ = 1031;
export const F_GETPIPE_SZ = 1032;
export const F_ADD_SEALS = 1033;
export const F_GET_SEALS = 1034;
export const F_GET_RW_HINT = 1035;
export const F_SET_RW_HINT = 1036;
export const F_GET_FILE_RW_HINT = 1037;
export const F_SET_FILE_RW_HINT = 1038;

// Descriptor flags
export const FD_CLOEXEC = 1;

// flock(2)
export const LOCK_SH = 1;
export const LOCK_EX = 2;
export const LOCK_NB = 4;
export const LOCK_UN = 8;

// access(2)
export const F_OK = 0;
export const X_OK = 1;
export const W_OK = 2;
export const R_OK = 4;

// lseek(2)
export const SEEK_SET = 0;
export const SEEK_CUR = 1;
export const SEEK_END = 2;
export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;
export const SEEK_MAX = 4;

// rename(2)
export const RENAME_NOREPLACE = 1;
export const RENAME_EXCHANGE = 2;
export const RENAME_WHITEOUT = 4;

// fallocate(2)
export const FALLOC_FL_KEEP_SIZE = 0x1;
export const FALLOC_FL_PUNCH_HOLE = 0x2;
export const FALLOC_FL_NO_HIDE_STALE = 0x4;
export const FALLOC_FL_COLLAPSE_RANGE = 0x8;
export const FALLOC_FL_ZERO_RANGE = 0x10;
export const FALLOC_FL_INSERT_RANGE = 0x20;
export const FALLOC_FL_UNSHARE_RANGE = 0x40;

// xattr(7)
export const XATTR_CREATE = 1;
export const XATTR_REPLACE = 2;
export const XATTR_NAME_MAX = 255;
export const XATTR_LIST_MAX = 65536;
export const XATTR_SIZE_MAX = 65536;

// mount(2)
export const MNT_FORCE = 0x1;
export const MS_RDONLY = 0x1;
export const MNT_DETACH = 0x2;
export const MS_NOSUID = 0x2;
export const MNT_EXPIRE = 0x4;
export const MS_NODEV = 0x4;
export const MS_NOEXEC = 0x8;
export const UMOUNT_NOFOLLOW = 0x8;
export const MS_SYNCHRONOUS = 0x10;
export const MS_REMOUNT = 0x20;
export const MS_MANDLOCK = 0x40;
export const MS_DIRSYNC = 0x80;
export const MS_NOSYMFOLLOW = 0x100;
export const MS_NOATIME = 0x400;
export const MS_NODIRATIME = 0x800;
export const MS_BIND = 0x1000;
export const MS_MOVE = 0x2000;
export const MS_REC = 0x4000;
export const MS_SILENT = 0x8000;
export const MS_POSIXACL = 0x10000;
export const MS_UNBINDABLE = 0x20000;
export const MS_PRIVATE = 0x40000;
export const MS_SLAVE = 0x80000;
export const MS_SHARED = 0x100000;
export const MS_RELATIME = 0x200000;
export const MS_STRICTATIME = 0x1000000;
export const MS_LAZYTIME = 0x2000000;

// statfs(2) f_flags
export const ST_RDONLY = 1;
export const ST_NOSUID = 2;
export const ST_NODEV = 4;
export const ST_NOEXEC = 8;
export const ST_SYNCHRONOUS = 16;
export const ST_MANDLOCK = 64;
export const ST_WRITE = 128;
export const ST_APPEND = 256;
export const ST_IMMUTABLE = 512;
export const ST_NOATIME = 1024;
export const ST_NODIRATIME = 2048;
export const ST_RELATIME = 4096;

// File system magic numbers, statfs(2)
export const DEVPTS_SUPER_MAGIC = 0x1cd1;
export const PROC_SUPER_MAGIC = 0x9fa0;
export const EXT4_SUPER_MAGIC = 0xef53;
export const CGROUP_SUPER_MAGIC = 0x27e0eb;
export const TMPFS_MAGIC = 0x1021994;
export const ANON_INODE_FS_MAGIC = 0x9041934;
export const PIPEFS_MAGIC = 0x50495045;
export const SOCKFS_MAGIC = 0x534f434b;
export const SYSFS_MAGIC = 0x62656572;
export const CGROUP2_SUPER_MAGIC = 0x63677270;
export const NSFS_MAGIC = 0x6e736673;
export const OVERLAYFS_SUPER_MAGIC = 0x794c7630;
export const RAMFS_MAGIC = 0x858458f6;

// poll(2)
export const POLLIN = 0x1;
export const POLLPRI = 0x2;
export const POLLOUT = 0x4;
export const POLLERR = 0x8;
export const POLLHUP = 0x10;
export const POLLNVAL = 0x20;
export const POLLRDNORM = 0x40;
export const POLLRDBAND = 0x80;
export const POLLWRNORM = 0x100;
export const POLLWRBAND = 0x200;
export const POLLMSG = 0x400;
export const POLLREMOVE = 0x1000;
export const POLLRDHUP = 0x2000;

// epoll(7)
export const EPOLLIN = 0x1;
export const EPOLL_CTL_ADD = 0x1;
export const EPOLLPRI = 0x2;
export const EPOLL_CTL_DEL = 0x2;
export const EPOLL_CTL_MOD = 0x3;
export const EPOLLOUT = 0x4;
export const EPOLLERR = 0x8;
export const EPOLLHUP = 0x10;
export const EPOLLRDNORM = 0x40;
export const EPOLLRDBAND = 0x80;
export const EPOLLWRNORM = 0x100;
export const EPOLLWRBAND = 0x200;
export const EPOLLMSG = 0x400;
export const EPOLLRDHUP = 0x2000;
export const EPOLLEXCLUSIVE = 0x10000000;
export const EPOLLWAKEUP = 0x20000000;
export const EPOLLONESHOT = 0x40000000;
export const EPOLLET = 0x80000000;

// eventfd(2)
export const EFD_SEMAPHORE = 0o1;
export const EFD_NONBLOCK = 0o4000;
export const EFD_CLOEXEC = 0o2000000;

// inotify(7)
export const IN_ACCESS = 0x1;
export const IN_MODIFY = 0x2;
export const IN_ATTRIB = 0x4;
export const IN_CLOSE_WRITE = 0x8;
export const IN_CLOSE_NOWRITE = 0x10;
export const IN_CLOSE = 0x18;
export const IN_OPEN = 0x20;
export const IN_MOVED_FROM = 0x40;
export const IN_MOVED_TO = 0x80;
export const IN_MOVE = 0xc0;
export const IN_CREATE = 0x100;
export const IN_DELETE = 0x200;
export const IN_DELETE_SELF = 0x400;
export const IN_MOVE_SELF = 0x800;
export const IN_ALL_EVENTS = 0xfff;
export const IN_UNMOUNT = 0x2000;
export const IN_Q_OVERFLOW = 0x4000;
export const IN_IGNORED = 0x8000;
export const IN_ONLYDIR = 0x1000000;
export const IN_DONT_FOLLOW = 0x2000000;
export const IN_EXCL_UNLINK = 0x4000000;
export const IN_MASK_CREATE = 0x10000000;
export const IN_MASK_ADD = 0x20000000;
export const IN_ISDIR = 0x40000000;
export const IN_ONESHOT = 0x80000000;

// close_range(2)
export const CLOSE_RANGE_UNSHARE = 2;
export const CLOSE_RANGE_CLOEXEC = 4;

// preadv2(2)
export const RWF_HIPRI = 1;
export const RWF_DSYNC = 2;
export const RWF_SYNC = 4;
export const RWF_NOWAIT = 8;
export const RWF_APPEND = 16;
export const RWF_SUPPORTED = 31;

// Limits
export const NAME_MAX = 255;
export const PATH_MAX = 4096;
export const PIPE_BUF = 4096;

// posix_fadvise(2)
export const POSIX_FADV_NORMAL = 0;
export const POSIX_FADV_RANDOM = 1;
export const POSIX_FADV_SEQUENTIAL = 2;
export const POSIX_FADV_WILLNEED = 3;
export const POSIX_FADV_DONTNEED = 4;
export const POSIX_FADV_NOREUSE = 5;

// ioctl(2) on files
export const FIBMAP = 0x1;
export const FIGETBSZ = 0x2;
export const BLKROSET = 0x125d;
export const BLKROGET = 0x125e;
export const BLKRRPART = 0x125f;
export const BLKGETSIZE = 0x1260;
export const BLKFLSBUF = 0x1261;
export const BLKRASET = 0x1262;
export const BLKRAGET = 0x1263;
export const BLKFRASET = 0x1264;
export const BLKFRAGET = 0x1265;
export const BLKSECTSET = 0x1266;
export const BLKSECTGET = 0x1267;
export const BLKSSZGET = 0x1268;
export const BLKDISCARD = 0x1277;
export const BLKIOMIN = 0x1278;
export const BLKIOOPT = 0x1279;
export const BLKALIGNOFF = 0x127a;
export const BLKPBSZGET = 0x127b;
export const BLKDISCARDZEROES = 0x127c;
export const BLKSECDISCARD = 0x127d;
export const BLKROTATIONAL = 0x127e;
export const BLKZEROOUT = 0x127f;
export const FIONREAD = 0x541b;
export const FIONBIO = 0x5421;
export const FIOQSIZE = 0x5460;
export const FICLONE = 0x4004_9409;
export const FIONCLEX = 0x5450;
export const FIOCLEX = 0x5451;
export const FIOASYNC = 0x5452;
export const BLKBSZSET = 0x40081271;
export const FS_IOC_SETFLAGS = 0x40086602;
export const FS_IOC_SETVERSION = 0x40087602;
export const FS_IOC_FSSETXATTR = 0x401c5820;
export const FICLONERANGE = 0x4020940d;
export const BLKBSZGET = 0x80081270;
export const BLKGETSIZE64 = 0x80081272;
export const BLKGETDISKSEQ = 0x80081280;
export const FS_IOC_GETFLAGS = 0x80086601;
export const FS_IOC_GETVERSION = 0x80087601;
export const FS_IOC_FSGETXATTR = 0x801c581f;

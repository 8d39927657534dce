// Numbers and layouts of the ABI that are x86-64's own. Linux: arch/x86/include/uapi/asm/stat.h, sembuf.h; the packed
// epoll_event of include/uapi/linux/eventpoll.h; clone(2), "C library/kernel differences".

/** struct stat: offsets of its fields. */
export const STAT = {
  dev: 0,
  ino: 8,
  nlink: 16,
  mode: 24,
  uid: 28,
  gid: 32,
  rdev: 40,
  size: 48,
  blksize: 56,
  blocks: 64,
  atime: 72,
  mtime: 88,
  ctime: 104,
} as const;
/** st_nlink has 64 bits. */
export const STAT_BYTES = 144;

/** struct epoll_event is packed. */
export const EPOLL_EVENT_BYTES = 12;
export const EPOLL_DATA = 4;

/** struct semid64_ds: each time has a reserved word behind it. */
export const SEMID = { operation: 48, change: 64, count: 80 } as const;
export const SEMID_BYTES = 104;

/** Arguments of clone(2) by their place. */
export const CLONE_CHILD_TID = 3;
export const CLONE_TLS = 4;

// open(2): flags that other architectures have elsewhere.
export const O_DIRECT = 0o40000;
export const O_LARGEFILE = 0o100000;
export const O_DIRECTORY = 0o200000;
export const O_NOFOLLOW = 0o400000;

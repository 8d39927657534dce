// Numbers and layouts of the architecture that this build is for; as arch.ts, but without its functions.

export {
  CLONE_CHILD_TID,
  CLONE_TLS,
  EPOLL_DATA,
  EPOLL_EVENT_BYTES,
  O_DIRECT,
  O_DIRECTORY,
  O_LARGEFILE,
  O_NOFOLLOW,
  SEMID,
  SEMID_BYTES,
  STAT,
  STAT_BYTES,
} from "./x64/layouts.ts";

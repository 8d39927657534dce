# Run by bash: stress-ng's stressors, a few rounds of each, with its own checks on. Their classes: os and filesystem, pipes,
# memory, processes, signals and time, scheduling.
# Left out: what needs hardware, modules or ptrace, what signals process 1 (resources), and what is nothing but computation.
for name in \
  access aio chattr chmod chown chroot copy-file dentry dir dirdeep dirmany dup fcntl fiemap fifo filename flock \
  fstat getdent hdd inotify io locka lockf lockofd mknod open readahead rename seek sendfile \
  touch utime verity tmpfs \
  pipe ring-pipe splice tee vm-splice eventfd msg mq \
  brk malloc memfd mincore mlock mmap mmapaddr mmapfixed mmapmany mprotect mremap msync munmap remap \
  shm shm-sysv stackmmap vm vm-addr vm-rw userfaultfd bad-altstack \
  clone daemon exec exit-group fork futex kill kcmp pidfd prctl pthread session spawn vfork wait zombie seccomp \
  sem-sysv mutex race-sched null full zero urandom getrandom get env enosys sysbadaddr rlimit set personality loadavg \
  alarm clock itimer nanosleep sigabrt sigchld sigfd sigfpe signal signest sigpending sigpipe sigq sigrt sigsegv sigsuspend \
  sigtrap sleep timer timerfd affinity context nice schedpolicy switch fault vdso sysinfo atomic; do
  echo "== $name"
  timeout 20 stress-ng --temp-path . --vm-bytes 16m "--$name" 1 "--$name-ops" 4 --timeout 4 --verify > log 2>&1
  echo $?
  grep fail: log >&2
done

# Kernel parameters of a whole sandbox, written and taking effect: not to be run on a host.
cd /proc/sys
tell() { "$@" 2>/dev/null; echo "$1 $2: $?"; }
echo "== namespaces"
echo 0 > user/max_uts_namespaces; tell unshare -u true
echo 1 > user/max_uts_namespaces; tell unshare -u true; tell unshare -u true
echo 0 > user/max_mnt_namespaces; tell unshare -m true
echo 0 > user/max_net_namespaces; tell unshare -n true
echo 0 > user/max_ipc_namespaces; tell unshare -i true
echo 0 > user/max_pid_namespaces; tell unshare -pf true
echo 1 > user/max_pid_namespaces; tell unshare -pf true; tell unshare -pf true
echo "== process ids"
echo 5000 > kernel/ns_last_pid; sh -c 'echo $$'
echo 400 > kernel/pid_max
for i in $(seq 110); do sh -c 'test $$ -lt 400' || echo "above pid_max"; done
echo "== addresses"
places() { for i in 1 2 3 4; do grep "$1" /proc/self/maps; done | sort -u | wc -l; }
echo 0 > kernel/randomize_va_space; places stack; places heap
echo 2 > kernel/randomize_va_space; test "$(places stack)" -gt 1 && echo random
echo "== files"
before=$(cat fs/file-max); echo 1 > fs/file-max; setpriv --reuid=1000 true 2>/dev/null || echo "no more files"
echo $before > fs/file-max
echo "== tasks"
before=$(cat kernel/threads-max)
sh -c 'echo 1 > kernel/threads-max; (true); echo "another task"' 2>/dev/null || echo "no more tasks"
echo $before > kernel/threads-max; sh -c 'echo again'
echo "== mappings"
echo 8 > vm/max_map_count; sh -c true 2>/dev/null || echo "no more mappings"

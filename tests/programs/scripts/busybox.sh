# Run by busybox sh; every command is an applet of its own.
echo "== pipes and status"
seq 1 1000 | grep 7 | sort -rn | head -n 3
false | true; echo $?
set -o pipefail; false | true; echo $?; set +o pipefail
yes | head -n 2
(exit 3); echo $?
nosuchcommand 2>/dev/null; echo $?

echo "== background jobs"
(sleep 0.2; echo slow) & (echo quick) & wait
sleep 30 & p=$!
kill $p; wait $p; echo $?
sh -c 'kill -SEGV $$' 2>/dev/null; echo $?
for i in 1 2 3 4 5; do (exit $i) & pids="$pids $!"; done
for p in $pids; do wait $p; echo -n "$? "; done; echo

echo "== here-documents"
cat <<END
sum $((6 * 7)) of $(echo nested)
END
cat <<'END' | tr a-z A-Z
raw $HOME
END
while read -r a b; do echo "$b $a"; done <<END
one two
three four
END

echo "== traps"
trap 'echo got TERM' TERM
kill -TERM $$
trap 'echo got USR1' USR1
(sleep 0.1; kill -USR1 $$) &
wait; echo "interrupted wait: $?"
wait
trap - TERM USR1
(trap 'echo bye' EXIT; exit 4); echo $?
(trap '' PIPE; yes 2>/dev/null | head -n 1)

echo "== files"
mkdir -p d/e/f; echo text > d/e/f/g; ln -s e/f d/link; ln d/e/f/g d/hard
ls -l d | grep -v total | awk "{print \$1, \$2, \$NF}"
cat d/link/g; readlink d/link; stat -c '%s %h %F' d/hard
cp -a d copy; find copy | sort; rm -r d; ls -d d 2>/dev/null; echo $?
dd if=/dev/zero of=z bs=4096 count=25 2>/dev/null; stat -c %s z; md5sum < z
touch -d '2001-02-03 04:05:06' t; date -r t '+%F %T'; mv t u; test -e t; echo $?
tar cf - copy | tar tf - | sort; tar czf c.tgz copy; tar tzf c.tgz | wc -l
gzip -k z; zcat z.gz | cmp - z && echo same; rm z.gz; bzip2 -k z; bunzip2 -c z.bz2 | cmp - z && echo same
echo 'b 2
a 1' | sort | sed 's/\([a-z]\) \([0-9]\)/\2=\1/'; printf '%s\n' x y x | sort | uniq -c | awk '{print $2 $1}'
mkfifo fifo; (echo through > fifo) & cat fifo; wait
chmod 4751 u; stat -c %a u; umask 027; : > masked; stat -c %a masked
echo -n abc | od -An -tx1; echo abc | hexdump -C | head -n 1
diff -u masked u > /dev/null; echo $?; truncate -s 10 u; wc -c < u
echo "1 2 3" | xargs -n 1 echo item
df . | wc -l; du -s copy | wc -l

echo "== expansion"
v=filename.tar.gz; echo ${v%%.*} ${v#*.} ${#v} ${w:-unset} ${v/tar/TAR}
set -- a 'b c' d; echo $#; for x in "$@"; do echo "<$x>"; done
echo $(( (1 << 20) % 1000 )) $(expr 3 \* 4)
f() { local x=inner; echo $x $1; return 7; }; x=outer; f arg; echo $? $x
case abc in a*) echo star;; esac
eval 'echo ev'al; IFS=:; set -- $(echo a:b:c); echo $2; unset IFS

echo "== processes"
sh -c 'echo $PPID' | grep -cx $$
ps -o pid,comm | grep -c ' ps$'
kill -0 $$; echo $?
timeout 0.2 sleep 5; echo $?
env -i A=1 busybox env
nohup echo kept 2>/dev/null; (ulimit -n 40; ulimit -n)
echo 'exit 9' > script; sh script; echo $?; chmod +x script; ./script; echo $?
printf "#!$(which busybox) sh\necho from \$0 \$1\n" > bang; chmod +x bang; ./bang one
time true 2>/dev/null; usleep 1000; setsid echo new session; nice -n 5 nice
test -t 0; echo $?; pidof nosuchthing; echo $?; uname -s; hostname | wc -l; id -u
exit 5

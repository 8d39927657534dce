# Run by bash; the programs are those of coreutils, findutils, util-linux and procps.
LC_ALL=C; export LC_ALL
echo "== text"
seq 2000 | shuf --random-source=/dev/zero | sort -n | md5sum
seq 100000 | sort -R --random-source=/dev/zero | sort -S 64K -T . -n | tail -n 1
seq 100 | split -l 30 - part. && wc -l part.*; cat part.* | md5sum; split -n 3 part.aa n. ; wc -c n.*
csplit -q part.aa 5 10; wc -l xx*
printf 'b 1\na 2\n' | sort | join - <(printf 'a x\nb y\n') 2>/dev/null || printf 'b 1\na 2\n' | sort | head -n 1
comm -12 part.aa part.aa | wc -l; cut -d: -f1,3 /etc/passwd | head -n 3; tr -d aeiou < /etc/hostname > /dev/null; fold -w 10 /etc/passwd | head -n 2
nl part.aa | tail -n 1; tac part.aa | head -n 2; rev part.ab | head -n 1; expand -t 4 part.aa | wc -c; pr -3 -t part.aa | head -n 2; fmt -w 20 part.aa | head -n 2
paste -s -d, part.ad; od -An -c part.ad | head -n 1; base64 part.ad | base64 -d | cmp - part.ad; factor 1234567890; numfmt --to=iec 123456789; seq -w 8 11; yes ab | head -c 7; echo; printf '%x %s\n' 255 done; expr 6 \* 7; tsort part.aa | wc -l; cksum part.aa; b2sum part.aa; sum part.aa
ptx part.ad | wc -l; uniq -c part.aa | tail -n 1; tail -c 5 part.aa; head -n -28 part.aa; wc part.ab

echo "== big files"
dd if=/dev/zero of=big bs=1M count=64 2>/dev/null; sha256sum big; stat -c '%s %b %B' big
dd if=big of=big2 bs=64K conv=notrunc,fsync 2>/dev/null; cmp big big2 && echo same
head -c 20000000 /dev/zero | tr '\0' x | sha1sum; truncate -s 1G hole; stat -c '%s %b' hole; du -k hole; du --apparent-size -k hole
cp --sparse=always hole hole2; stat -c '%s %b' hole2; fallocate -l 1M full 2>/dev/null; stat -c '%s %b' full; fallocate -p -o 4096 -l 8192 full; stat -c '%s %b' full; rm hole hole2 full big2
dd if=big bs=1M skip=63 count=4 2>/dev/null | wc -c; dd if=/dev/zero of=seeked bs=1 seek=1000 count=1 2>/dev/null; stat -c %s seeked
shred -n 1 -u seeked; ls seeked 2>&1; sync; sync big; echo $?

echo "== find and xargs"
mkdir -p t/a/b t/c; for i in 1 2 3; do echo $i > t/a/f$i; echo $i > t/a/b/g$i; done; ln -s a t/link; touch -d '2020-01-01' t/a/f1; chmod 600 t/a/f2; mkfifo t/pipe
find t | sort; find t -type f -newer t/a/f1 | sort; find t -type l -printf '%p %l\n'; find -L t -name 'f*' | sort; find t -perm 600; find t -type p; find t -name 'g*' -exec echo {} + | tr ' ' '\n' | sort; find t -size -1k -o -empty | sort; find t -name 'f3' -delete; find t -maxdepth 1 | wc -l; find t -samefile t/a/f2; find t -mtime +100
find t -type f -print0 | xargs -0 -n 1 -P 4 sh -c 'sleep 0.0$(($$ % 9)); cat "$0"' | sort; seq 10 | xargs -n 3 echo; echo a b | xargs -I{} echo '<{}>'; false | xargs -r echo none; seq 3 | xargs -n1 sh -c 'exit $(($0 == 2))'; echo $?

echo "== copies and links"
cp -a t copy && diff -r t copy --exclude=pipe && echo equal; stat -c '%a %Y' copy/a/f2 copy/a/f1 | sed 's/ [0-9]*$//' ; stat -c %Y copy/a/f1
cp -r t/a t/c 2>&1; cp -u copy/a/f1 t/a/f1; cp -l copy/a/f1 hard; stat -c %h hard; cp -s /etc/passwd soft; readlink soft; cp --backup=numbered hard soft 2>&1; ls | grep soft; cp --parents t/a/f1 copy/c; find copy/c; cp -n t/a/f2 hard; cat hard; cp t/nosuch . 2>&1; cp t copy 2>&1
ln hard hard2; ln -s hard sym; ln -sf big sym; readlink -f sym | sed 's,.*/,,'; ln -s loop loop; cat loop 2>&1; ln -sr t/a/f2 t/c/rel; readlink t/c/rel; link hard hard3; stat -c %h hard3; unlink hard3; realpath --relative-to=. t/../copy/./c
mv t/a/f2 moved; mv moved copy; mv -T copy/c copy/d; mv -n hard hard2; mv nosuch x 2>&1; mv t t/a 2>&1; mv copy/a /dev/shm/ts-moved.$$ && find /dev/shm/ts-moved.$$ -type f | wc -l; mv /dev/shm/ts-moved.$$ back && ls back; mv big /dev/shm/ts-big.$$; sha256sum < /dev/shm/ts-big.$$; rm /dev/shm/ts-big.$$
install -d -m 750 inst/x; install -m 640 /etc/passwd inst/x/p; stat -c '%a %n' inst/x inst/x/p; mkdir -m 711 md; stat -c %a md; rmdir md; rmdir t 2>&1; mkdir t 2>&1; rm t 2>&1; rm -rf t; rm -f nosuch; echo $?; mkdir -p a/b/c && rmdir -p a/b/c; ls -d a 2>&1

echo "== attributes"
touch f; chmod u+s,g-r,o=x f; stat -c '%A %a %U %G' f; chown 12:34 f; stat -c '%u %g' f; chgrp 0 f; stat -c %g f; chmod --reference=/etc/passwd f; stat -c %a f; chown -h 5 sym; stat -c %u sym
touch -d '2011-12-13 14:15:16.5' f; stat -c '%y' f; touch -r f g; stat -c %Y g; touch -a -t 200001010101 g; stat -c '%X %Y' g; touch -c nosuch; ls nosuch 2>&1; date -r f -u '+%FT%T'; test g -ot /etc/passwd; echo $?; test f -ef f; echo $?
umask 027; touch um; stat -c %a um; mkdir umd; stat -c %a umd; umask 022
[ -r f ] && [ ! -x f ] && [ -s /etc/passwd ] && [ -p nosuch ] || echo tested; mknod node p; stat -c %F node; mknod null c 1 3 && echo discarded > null; stat -c '%F %t %T' null; ls -l null | cut -c1
setfattr -n user.a -v 1 f 2>/dev/null && getfattr --only-values -n user.a f 2>/dev/null; stat -f -c %l . | grep -c '^[0-9]'; stat / -c %F; df --output=target / | tail -n 1; pathchk -p f; basename /x/y.c .c; dirname /x/y.c; mktemp -u XXXXXX | wc -c; d=$(mktemp -d ./dXXXX); stat -c '%a %F' $d; mktemp ./fXXXX | wc -c; ls -1 --group-directories-first -p | grep -v '^[df]....\?/*$' | head -n 3; ls -la | grep -v total | wc -l; dir | wc -l; vdir -d . | cut -c1-10

echo "== processes"
timeout 0.2 sleep 5; echo $?; timeout -s KILL 0.2 sleep 5; echo $?; timeout 5 sh -c 'exit 3'; echo $?; timeout --preserve-status -s INT 0.2 sleep 5; echo $?; timeout -k 0.1 0.1 sh -c 'trap "" TERM; sleep 2'; echo $?
nohup sh -c 'echo out; kill -HUP $$; echo survived' 2>/dev/null; nice -n 7 nice; env -u HOME sh -c 'echo ${HOME-unset}'; env -i X=1 env; stdbuf -oL echo buffered; (sleep 0.2; echo late) & wait; sleep 0.01 0.02; setsid sh -c 'ps -o sid= -p $$' | wc -l; chroot / /bin/echo chrooted; chroot --userspec=1:1 / id -u; runcon 2>/dev/null; kill -l 9; tty; who | wc -l; logname 2>/dev/null; groups; id; whoami; nproc | grep -c '^[0-9]*$'; nproc --all > /dev/null; uname -sm; arch; getconf PAGESIZE; hostid | wc -c; pwd -P | sed 's,.*/,,'; printenv TZ; test -t 1; echo $?
mkfifo ff; (cat ff > ff.out) & echo through > ff; wait; cat ff.out; tee -a t1 t2 < ff.out; cat t1 t2; yes | head -n 100000 | wc -l; : | tee /dev/full; echo x | tee /dev/full > /dev/null 2>&1; echo $?
cd $(mktemp -d /dev/shm/ts-XXXXXX)
touch log; tail -n 0 -f log > tailed & p=$!; sleep 0.3; echo one >> log; sleep 0.3; echo two >> log; sleep 0.3; mv log log.1; echo three >> log.1; sleep 0.3; kill $p; wait $p 2>/dev/null; cat tailed
touch log; tail -n 0 -F log > tailed 2> tail.err & p=$!; sleep 0.3; echo one >> log; sleep 0.2; mv log log.2; sleep 0.2; echo new > log; sleep 0.5; kill $p; wait $p 2>/dev/null; cat tailed; grep -c become tail.err; rm -r $PWD; cd $OLDPWD
sleep 0.5 & tail --pid=$! -f /dev/null; echo tail ended; flock lockfile sh -c 'flock -n lockfile true; echo $?'; flock -s lockfile flock -s -n lockfile echo shared; getopt -o a: -- -a 1; taskset -p $$ > /dev/null && echo affinity; chrt -p $$ | head -n 1 | sed 's/[0-9]*.s c/c/'; ionice -p $$; prlimit --nofile=50 sh -c 'ulimit -n'; renice -n 3 $$ > /dev/null; nice; unshare -m sh -c 'mount -t tmpfs none /mnt && touch /mnt/x && ls /mnt'; ls /mnt | wc -l; cat /proc/self/comm; readlink /proc/self/exe; wc -c < /proc/self/cmdline

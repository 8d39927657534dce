# Run by bash.
shopt -s extglob globstar nullglob
echo "== process substitution"
diff <(printf 'a\nb\n') <(printf 'a\nc\n'); echo $?
paste <(seq 3) <(seq 4 6)
tee >(wc -c > counted) < <(echo hello) > /dev/null; sleep 0.2; cat counted
ls -l /proc/self/fd/ <(true) > /dev/null && echo listed

echo "== coproc"
coproc UPPER { while read -r line; do echo "${line^^}"; done; }
echo quiet >&"${UPPER[1]}"; read -r answer <&"${UPPER[0]}"; echo "$answer"
exec {UPPER[1]}>&-; wait "$UPPER_PID"; echo $?

echo "== arrays"
a=(one "two words" three); a+=(four); echo "${#a[@]} ${a[1]} ${a[-1]}"
unset 'a[0]'; echo "${!a[@]}"; printf '<%s>' "${a[@]:1:2}"; echo
declare -A map=([x]=1 [y]=2); map[z]=3; for k in $(printf '%s\n' "${!map[@]}" | sort); do echo -n "$k=${map[$k]} "; done; echo
mapfile -t lines < <(seq 5); echo "${lines[*]}"
text=abcdef; echo "${text:2:3} ${text/c?/XX} ${text@Q}"

echo "== read"
read -t 0.1 x < <(sleep 2); echo "timed out $(( $? > 128 ))"
read -n 3 x <<< abcdef; echo "$x"
read -d : x <<< 'up to:colon'; echo "$x"
IFS=, read -r p q <<< 1,2; echo "$q$p"
read -t 0 < /dev/null; echo $?

echo "== wait -n and jobs"
(sleep 0.3; exit 3) & slow=$!
(sleep 0.05; exit 2) &
wait -n; echo $?; wait -n; echo $?; wait -n; echo $?
sleep 5 & sleep 6 & jobs -r | wc -l; jobs -p | wc -l
kill %1 %2; wait; echo $?
set -m; sleep 20 & kill -STOP %%; sleep 0.1; jobs %% | awk '{print $2}'; kill -CONT %%; sleep 0.1; jobs %% | awk '{print $2}'; kill %%; wait %% 2>/dev/null; echo $?
set +m; (set -m; sleep 0.1 & fg > /dev/null; echo fg $?)
pgid() { ps -o pgid= -p "$1" | tr -d ' '; }
set -m; sleep 3 & p=$!; [ "$(pgid $p)" = "$p" ] && echo own group; kill $p; wait $p 2>/dev/null; set +m
disown -a; echo $?

echo "== traps"
trap 'echo chld' CHLD; /bin/true; trap - CHLD
trap 'echo debug' DEBUG; :; trap - DEBUG
trap 'echo int' INT; kill -INT $$; trap - INT
(trap 'echo exit $?' EXIT; false)
bash -c 'trap "echo term; exit 8" TERM; kill -TERM $$; sleep 1'; echo $?
bash -c 'kill -KILL $$'; echo $?
bash -c 'sleep 10 & trap "kill $!; echo interrupted" USR1; (sleep 0.1; kill -USR1 $$) & wait $!; wait 2>/dev/null; echo end'
for signal in HUP QUIT ABRT ALRM SEGV; do bash -c "kill -$signal \$\$" 2>/dev/null; echo -n "$? "; done; echo

echo "== ulimit"
ulimit -S -n 64; ulimit -n; (ulimit -f 1; head -c 4096 /dev/zero > big; echo $?; ls -l big | awk '{print $5}') 2>/dev/null
(ulimit -c 0; ulimit -c); (ulimit -s 512; ulimit -s); (ulimit -t 1; while :; do :; done); echo $?
(ulimit -v 100000; python3 -c 'b = bytearray(1 << 30)' 2>&1 | tail -n 1)
ulimit -n 20; exec 19< /dev/null && echo nineteen; { exec 20< /dev/null; } 2>/dev/null || echo twenty refused

echo "== redirections"
exec 3> out; echo three >&3; exec 3>&-; cat out
{ echo err >&2; echo std; } 2>&1 > out | cat; cat out
exec 4<> rw; echo abc >&4; exec 4<&-; cat rw
: > trunc; set -C; { echo x > trunc; } 2>/dev/null; echo $?; echo y >| trunc; set +C; cat trunc
cat < /dev/fd/0 <<< through; cat <&- 2>/dev/null; echo $?
echo nothing > /dev/full; echo $?
for i in {1..300}; do echo $i; done | tail -n 1
exec 5< <(echo kept open); cat <&5

echo "== arithmetic and words"
echo $((2**40)) $((0x1f)) $((17 % 5)) $((5 > 3 ? 1 : 2)); let n=5*5; echo $n
mkdir -p g/h; touch g/a.c g/h/b.c; echo g/**/*.c; echo g/!(h); echo nothing*here
[[ abc =~ ^a(.)c$ ]] && echo "${BASH_REMATCH[1]}"; echo {a,b}{1..2}; printf '%05.2f %q\n' 3.14159 "it's"
echo $(( $(date +%s) > 1600000000 )) ${EPOCHSECONDS:+set} $((RANDOM >= 0))
f() { local -n ref=$1; ref=changed; }; v=x; f v; echo $v
type -t cd ls f; command -v true; hash -r; echo "$BASHPID" | grep -cx $$
getopts ab: opt -b val; echo $opt $OPTARG

echo "== many processes"
n=0; for i in $(seq 100); do /bin/true && n=$((n + 1)); done; echo $n
seq 100 | while read -r i; do echo $((i * i)); done | paste -sd+ | bc 2>/dev/null || true
for i in $(seq 40); do (exit 0) & done; wait; echo $?
f=$(for i in $(seq 2000); do echo line $i; done | sort | uniq | wc -l); echo $f
exec -a renamed bash -c 'echo $0; cat /proc/$$/cmdline | tr "\0" " "; exit 6'

# A long shell script of busybox's sh and its applets, whose output depends on nothing but the
# programs: no process numbers, no times, no paths outside of the directory $1, which is empty and
# can be written to. $2 says which file holds busybox. `emu-conformance busybox` runs it under emu
# and under qemu-riscv64. Nothing in it asks for a program that busybox does not have, except to see
# the message.
home=$1
box=$2
cd "$home" || exit 99
export LC_ALL=C TZ=UTC
umask 022
section() { printf '== %s\n' "$*"; }
ok() { "$@"; printf 'status %d\n' $?; }

section functions, locals, recursion
fib() { local n=$1; if [ "$n" -lt 2 ]; then echo "$n"; else echo $(($(fib $((n - 1))) + $(fib $((n - 2))))); fi; }
fib 9
many() { echo "$# $1 ${2:-none} $*"; shift; [ $# -gt 0 ] && many "$@"; return 7; }
ok many a 'b c' d
x=outer; scope() { local x=inner; echo "$x"; }; scope; echo "$x"

section arithmetic
echo $((7 / 2)) $((-7 / 2)) $((-7 % 3)) $((1 << 40)) $((0x7fffffffffffffff + 1)) $((010)) $((5 > 3 ? 11 : 22))
i=5; echo $((i++ + ++i)) $i $((i *= 3)) $((~i)) $((!i)) $((i ^ 0xff)) $((3, 4))
expr 6 \* 7 + 1; expr length abcdef; expr abc123 : '[a-z]*\([0-9]*\)'; ok expr 1 = 2

section expansion
v=/usr/lib/file.tar.gz
echo "${v##*/} ${v#*/} ${v%.*} ${v%%.*} ${#v} ${v/lib/share} ${v//r/R} ${v:5:3} ${v: -2}"
unset u; echo "${u-unset} ${u:-empty} ${u:=set} $u ${u:+alternative}"
set -- one 'two three' four; for a in "$@"; do printf '<%s>' "$a"; done; echo; IFS=:; echo "$*"; unset IFS
y='a:b::c'; IFS=:; for p in $y; do printf '[%s]' "$p"; done; echo; unset IFS
echo ~root >/dev/null; echo a{b,c}d 'single $x' "double $x" \$x $'tab\there'

section control flow
for i in 1 2 3 4 5 6; do case $i in 2) continue ;; 5) break ;; [13]) echo odd $i ;; *) echo other $i ;; esac; done
n=0; while :; do n=$((n + 1)); [ $n -ge 4 ] && break; done; until [ $n -le 0 ]; do n=$((n - 1)); done; echo $n
case file.c in *.h) echo header ;; *.[co]) echo source ;; esac
if false; then echo no; elif true; then echo elif; else echo no; fi
false || echo or; true && echo and; ! false; echo $?
[ -d . ] && [ ! -e nothing ] && [ abc '<' abd ] && test 3 -gt 2 -a -n x && echo tests
[[ abc == a* ]] && echo pattern

section here-documents and redirections
cat <<END
value $x, sum $((1 + 2)), command $(echo sub)
END
cat <<'END'
literal $x $(echo no)
END
cat <<-END
	tabs are gone
	END
echo one >f; echo two >>f; cat f; cat <f; { echo out; echo err >&2; } 2>e >o; cat o e
exec 3>third; echo to three >&3; exec 3>&-; cat third; exec 4<third; read line <&4; exec 4<&-; echo "$line"
echo both 2>&1 | cat; ls missing 2>/dev/null || echo no such file; set -C; (echo x >f) 2>/dev/null || echo noclobber; set +C
cat nothing 2>&1; : >empty; wc -c empty

section subshells, substitution, pipes
(x=changed; cd /; echo "$x"); echo "$x"; [ -e f ] && echo still here
echo "$(echo "nested $(echo "deep `echo back`")")"
seq 1 100 | while read -r n; do [ $((n % 25)) = 0 ] && echo "$n"; done
echo a b c | { read first rest; echo "$rest|$first"; }
true | false; echo $?; set -o pipefail; false | true; echo $?; set +o pipefail
yes yes | head -n 3; seq 1 100000 | tail -n 1; seq 5 | { cat; echo end; } | cat | cat | cat | rev

section globs
mkdir -p g/sub; touch g/a1 g/a2 g/b1 g/.hidden g/sub/deep 'g/with space'
echo g/a? g/[ab]1 g/* g/.h* g/*/d* g/none*; set -f; echo g/*; set +f

section traps, signals, jobs
(trap 'echo exit trap' EXIT; echo body; exit 3); echo $?
(trap 'echo got term; exit 9' TERM; sh=$(exec sh -c 'echo $PPID'); kill -TERM $sh; sleep 1; echo late); echo $?
(trap '' INT; sh -c 'kill -INT $$; echo survived'; kill -l 15; kill -l TERM)
sh -c 'kill -KILL $$' 2>/dev/null; echo $?; sh -c 'kill -SEGV $$' 2>/dev/null; echo $?
(sleep 0.02; echo second) & (echo first); wait; echo third
sh -c 'exit 5' & wait $!; echo $?; (exit 6) & a=$!; (exit 7) & b=$!; wait $b; echo $?; wait $a; echo $?
ok timeout 0.05 sleep 5 2>/dev/null; ok timeout 5 true; sleep 0.01; usleep 1000
for n in 1 2 3 4 5 6 7 8; do (echo "job $n" >job$n) & done; wait; cat job?; rm job?
set -e; (false; echo not reached) || echo failed; set +e; (set -u; echo "$undefined") 2>/dev/null; echo $?
eval 'z=1; echo eval $z'; . /dev/null; (set -x; : traced) 2>&1; ok sh -c 'exec nosuchprogram' 2>&1; ok command -v cd; type cd; alias l='echo alias'; eval l
getopt -o ab: -- -a -b value rest; while getopts xy: o -x -y why; do echo "$o ${OPTARG:-}"; done; readonly ro=1; (ro=2) 2>&1; umask; ulimit -n >/dev/null

section text
seq 20 | sed -n '5,7p;$p' ; echo 'hello world' | sed -E 's/(\w+) (\w+)/\2 \1/; y/lo/01/'; printf 'a\nb\nc\n' | sed -e '/b/{s//X/;a\' -e 'after' -e '}' -e '1i\' -e 'top'
seq 5 | sed ':a;N;$!ba;s/\n/,/g'
printf '3 c\n1 a\n2 b\n10 d\n' >t; sort t; sort -n t; sort -rn t; sort -k2 t; sort -t' ' -k2,2r t; printf 'b\na\nb\n' | sort -u; printf '1\n1\n2\n' | uniq -c; printf '1\n1\n2\n' | uniq -d
cut -d' ' -f2 t; cut -c1-2 t; echo 'Hello' | tr a-z A-Z; echo 'aabbcc' | tr -s a-c; echo 'digits 123' | tr -d 0-9; echo abc | tr abc '\000\001\377' | od -c
wc t; wc -l <t; head -n 2 t; tail -n +3 t; head -c 5 t; echo; tail -c 4 t; tee copy <t | md5sum; cmp t copy && echo equal
grep -n '[12]' t; grep -c . t; grep -v 1 t; ok grep -q zzz t; grep -E '^(1|3) ' t; grep -o '[a-z]' t; grep -i C t; fgrep '1 a' t; egrep -x '2 b' t; grep -r deep g; grep -A1 -B1 '1 a' t; echo abc | grep -w abc
paste t copy; paste -sd+ t; printf '1\n2\n3\n' | paste - -; tac t; rev t; nl t; fold -w 3 t; printf 'a\tb\n' | expand -t 4; printf '    b\n' | unexpand -a -t 4; sort t >s
printf '1 2\n3 4\n' | awk '{s += $1 * $2} END {print s, NR, NF}'; awk 'BEGIN {for (i = 0; i < 3; i++) a["k" i] = i * i; for (i = 0; i < 3; i++) printf "%s %.3f\n", a["k" i], i / 7; print substr("hello", 2, 3), index("abc", "c"), length("xyz"), toupper("up"), sprintf("%05d|%-5s|%x", 42, "l", 255); n = split("a:b:c", p, ":"); print n, p[3]; s = "aaa"; gsub(/a/, "b", s); print s; print match("foobar", /o+/), RSTART, RLENGTH; exit 4}'; echo $?
awk -F: -v OFS=- '{$1 = $1; print}' <<END
a:b:c
END
awk 'BEGIN {print int(-3.7), 1e300 * 1e10, -1e-300 * 1e-30; print 0.1 + 0.2, 1 / 3, 100000000000, 9007199254740992 + 1; printf "%c%c %e %g\n", 65, "BC", 12345.678, 1e-5}'
seq 1 2000 | awk '{a[$1 % 7] += $1} END {for (k = 0; k < 7; k++) print k, a[k]}'
seq -w 8 11; seq 1 0.5 3; seq 10 -3 1; seq -s, 5; printf '%5d|%-5s|%05.2f|%x|%o|%c|%%|%b\n' 42 ab 3.14159 255 8 z 'a\tb'; printf '%s,' 1 2 3; echo; printf '%q\n' x 2>&1
strings t; printf 'caf\303\251\n' | od -An -tx1; printf 'dos\r\n' | dos2unix | od -c; printf 'a\n' | unix2dos | hexdump -C; ls g | xargs -n 2 echo; printf '%s\n' 1 2 3 | xargs -I{} echo item {}; printf 'a b\0c\0' | xargs -0 -n1 echo; shuf -e only; echo 'k v' | while read -r k v; do echo "$v=$k"; done; printf 'b 2\na 1\n' | sort -s -k1,1

section files
mkdir -p d/e/f; rmdir d/e/f; touch d/x; cp d/x d/y; echo data >d/x; cp -r d d2; mv d2/x d2/z; ln d/x d/hard; ln -s x d/soft; readlink d/soft; cat d/soft d/hard; ls d d2; ls -1F d; ls -a d
chmod 640 d/x; stat -c '%a %s %h %F %n' d/x d/soft; stat -c '%a %h %F' d; chmod u+x,g-r d/x; stat -c %A d/x; ok chmod 000 nothing 2>&1; touch -d '2001-02-03 04:05:06' d/y; stat -c %Y d/y; date -u -r d/y; ls -l d/y | awk '{print $1, $5, $6, $7, $8}'; [ d/x -nt d/y ] && echo newer
basename /a/b.c .c; dirname /a/b.c; realpath d/soft | sed 's|.*/||'; [ -L d/soft ] && [ -f d/x ] && [ -s d/x ] && [ -x d/x ] && echo types; m=$(mktemp -p . nameXXXXXX) && [ -f "$m" ] && echo made && rm "$m"; t2=$(mktemp -d -p .) && rmdir "$t2" && echo and a directory
find d -type f | sort; find . -name 'd*' -type d | sort; find d -type f -size -2 -exec echo found {} \; | sort; find d -name z -o -name 'x' -print; find g -name 'a*' -print0 | xargs -0 ls; find g -type f -exec rm '{}' +; find g | sort; du -s g >/dev/null; rm -r g; ok rm nothing 2>&1; rm -f nothing; ok rmdir d 2>&1; ok mkdir d 2>&1; mkfifo pipe; (echo through >pipe) & cat pipe; wait; rm pipe; unlink f; truncate -s 10 tr; stat -c %s tr; fallocate -l 100 fa 2>/dev/null; install -m 600 t inst; stat -c %a inst; mv t moved; cp moved t; [ -e d/soft ]; rm d/x; [ -e d/soft ] || echo dangling; ln -sf y d/soft; readlink -f d/soft | sed 's|.*/||'
dd if=/dev/zero of=z bs=1024 count=64 2>/dev/null; stat -c %s z; md5sum z; dd if=t bs=1 skip=2 count=3 2>/dev/null; echo; dd if=t of=z bs=4 seek=3 conv=notrunc 2>/dev/null; od -A d -t x1 -N 40 z; ok diff t moved; ok diff -u --label a --label b s t; ok cmp s t; seq 5 >p1; seq 2 6 >p2; diff p1 p2; diff -u p1 p2 | sed 1,2d >p.diff; { echo '--- p1'; echo '+++ p1'; cat p.diff; } | patch p1; cat p1

section archives and sums
seq 1 3000 >big; gzip -c big | gunzip -c | cmp - big && echo gzip; gzip -9n big; stat -c %n big.gz; zcat big.gz | wc; gunzip big.gz; bzip2 -k big; bunzip2 -c big.bz2 | md5sum; rm big.bz2; bzip2 <big | bzcat | tail -n 1; mkdir tree; cp big tree/a; echo hi >tree/b; ln -s b tree/l; tar -cf t.tar tree; tar -tf t.tar | sort; mkdir un; tar -xf t.tar -C un; diff -r tree un/tree && echo tar; tar -cf - tree | gzip >t.tgz; tar -xzOf t.tgz tree/b; find tree | sort | cpio -o -H newc 2>/dev/null | cpio -t 2>/dev/null; (cd un && rm -r tree && cd .. && find tree -type f | cpio -o -H newc 2>/dev/null | (cd un && cpio -id 2>/dev/null)); ls un/tree; printf 'abc' | xz 2>/dev/null | od -c | head -n 1; ar -r 2>/dev/null; ok unzip -l nothing.zip 2>&1
for sum in md5sum sha1sum sha256sum sha512sum sha3sum crc32; do printf '%s: ' $sum; $sum <big; done; cksum <big 2>/dev/null; md5sum big p1 >sums; md5sum -c sums; echo 'wrong' >>p1; ok md5sum -c sums 2>&1
base64 <s; printf 'any bytes' | base64 | base64 -d; echo; printf 'uu\n' | uuencode name 2>/dev/null; xxd s | head -n 2; xxd -p s; xxd -p s | xxd -r -p | cmp - s && echo xxd; hexdump -C s | head -n 2; od -t d2 s | head -n 1; od -c s | tail -n 2; hexdump -e '4/1 "%02x " "\n"' s | head -n 2; ascii | head -n 3

section numbers and dates
echo 'scale=20; 4*a(1); 2^100; sqrt(2)' | bc -l; echo '7 3 / p 2 64 ^ p 10 k 2 v p' | dc; factor 1 97 1234567890 1000036000099; date -u -d @0; date -u -d @1700000000 '+%Y-%m-%dT%H:%M:%S %j %a %b %U'; date -u -d '2024-02-29 12:00:00' +%s; cal 2 2024; cal -j 12 1999

section environment and identity
env -i A=1 B=2 env | sort; A=3 sh -c 'echo $A'; export E=exported; sh -c 'echo $E'; env -u E sh -c 'echo ${E-gone}'; uname -s; nproc >/dev/null && echo processors; [ "$(id -u)" = "$(id -ru)" ] && echo same; true; false; echo $?; echo "$((SECONDS >= 0))"; [ $$ = "$(sh -c 'echo $PPID')" ] && echo parent; which sh >/dev/null; ok tty </dev/null; readlink /proc/self/exe | sed 's|.*/||'; cat /proc/self/cmdline | tr '\0' ' '; echo; time -f '' true 2>/dev/null; setsid sh -c 'echo session'; run-parts --test . 2>/dev/null; getopt -T; echo $?; pidof nosuchprogram; echo $?; expr 2 + 2; logname 2>/dev/null; hostname >/dev/null; printf 'q\n' | ed -s s 2>&1; printf '1p\n$p\n,s/ /-/\n,p\nQ\n' | ed s 2>&1; "$box" echo by path; echo 'exec "$1" printf "%s\n" from-file' >run.sh; sh run.sh "$box"

section many processes
n=0; while [ $n -lt 60 ]; do r=$("$box" expr $n + 1); n=$r; done; echo $n; i=0; while [ $i -lt 2000 ]; do i=$((i + 1)); done; echo $i
seq 1 5000 | shuf | sort -n | tail -n 1; seq 1 20000 | sort -rn | uniq | awk 'NR % 5000 == 0' ; seq 1 500 | xargs -n 50 echo | wc -l; seq 30 | xargs -P 4 -n 1 sh -c 'echo $0' | sort -n | md5sum
mkdir many; (cd many; for i in $(seq 200); do echo $i >file$i; done; ls | wc -l; cat file* | sort -n | tail -n 1; rm file?; ls | wc -l); rm -r many
find . -type f | sort; cd /; rm -r "$home"/*; ls -A "$home"
exit 42

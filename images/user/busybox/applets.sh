# A dozen and more applets, each with little to do: what `emu verify` runs with every instruction probed. $1 is busybox.
box=$1
cd /tmp || exit 99
seq 40 | sort -rn | head -3
printf 'pear\napple\nfig\napple\n' >fruit
sort fruit | uniq -c | sed 's/^ *//'
grep -n apple fruit | cut -d: -f1 | tr '\n' ' '; echo
awk '{ n[$1]++ } END { print length(n), NR }' fruit
wc -l <fruit
sha256sum fruit | cut -c1-16
gzip -c fruit | gunzip | cmp - fruit && echo same
od -An -tx1 fruit | head -1
expr 6 \* 7
basename /usr/lib/libc.so .so
mkdir -p tree/leaf && touch tree/leaf/a tree/b && find tree | sort
tail -1 fruit | rev
(sleep 0.01; echo late) & echo early; wait
echo one two | xargs -n1 echo
test -f fruit && rm -r fruit tree
"$box" true; echo $?

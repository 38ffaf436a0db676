#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# expected.sh record|verify [CASE...]: runs each case of user/cases.txt and bare/cases.txt three times under qemu and
# records its output in expected/, or compares with what is recorded.
# Exit status: 0 good, 1 a case differs between runs or from its file, 3 qemu is missing.
#
# A guest that calls execve needs the host to run RISC-V programs: binfmt_misc, registered here in a private user
# namespace (Linux 6.7 and later), so that nothing changes outside this process.
set -u
cd "$(dirname "$0")" || exit 1
for q in qemu-riscv64 qemu-system-riscv64; do
  command -v $q >/dev/null || { echo "images: $q is missing; install qemu-user and qemu-system-misc" >&2; exit 3; }
done
case ${1:-} in record | verify) ;; *) echo "usage: expected.sh record|verify [CASE...]" >&2; exit 2 ;; esac
if [ -z "${IMAGES_IN_NAMESPACE:-}" ]; then
  export IMAGES_IN_NAMESPACE=1
  exec unshare -Urm sh -c 'mount -t binfmt_misc none /proc/sys/fs/binfmt_misc &&
    printf "%s" ":emu-riscv64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xf3\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:$(command -v qemu-riscv64):OCP" >/proc/sys/fs/binfmt_misc/register
    exec "$@"' sh "./$(basename "$0")" "$@"
fi
mode=$1
shift
only=" $* "
ulimit -c 0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
bad=0
fail() { echo "images: $1" >&2; bad=1; }
wanted() { [ "$only" = "  " ] || case $only in *" $1 "*) ;; *) return 1 ;; esac; }

# finish DIR NAME: three runs in $tmp/1..3 must be equal, then record or compare.
finish() {
  cmp -s "$tmp/1" "$tmp/2" && cmp -s "$tmp/2" "$tmp/3" || { fail "$2 differs from run to run"; return; }
  if [ "$mode" = record ]; then cp "$tmp/1" "$1/expected/$2.txt"
  else diff -u "$1/expected/$2.txt" "$tmp/1" >&2 || fail "$2 differs from $1/expected/$2.txt"
  fi
}

while read -r name program status words; do
  case $name in '' | '#'*) continue ;; esac
  wanted "$name" || continue
  env= args= stdin=/dev/null cut= oracle=
  for w in $words; do
    case $w in env:*) env="$env -E ${w#env:}" ;; stdin:*) stdin=user/${w#stdin:} ;; cut:*) cut=${w#cut:} ;; oracle:* | only:x86_64) oracle=$w ;; x86_64:*) ;; *) args="$args $w" ;; esac
  done
  [ -z "$oracle" ] || continue
  known=$(grep "^$name|" user/qemu-wrong.txt | cut -d'|' -f2)
  for run in 1 2 3; do
    timeout -s KILL 120 qemu-riscv64 $env "user/riscv64/$program.elf" $args <"$stdin" >"$tmp/raw" 2>"$tmp/err"
    got=$?
    want=$status
    if [ -n "$known" ]; then
      want=1
      printf '%s\n' "$known" | while read -r line; do echo "s/^FAIL $line\$/ok $line/"; done >"$tmp/sed"
      printf '%s\n' "s/^\($program\): $(printf '%s\n' "$known" | wc -l | tr -d ' ') failed\$/\1: good/" >>"$tmp/sed"
      sed -i -f "$tmp/sed" "$tmp/raw"
    fi
    [ -z "$cut" ] || sed -i "s/ $cut .*//" "$tmp/raw"
    [ "$got" = "$want" ] || { fail "$name: exit status $got, want $want"; cat "$tmp/err" >&2; }
    if grep -a '^FAIL' "$tmp/raw" >&2; then fail "$name has failing checks"; fi
    mv "$tmp/raw" "$tmp/$run"
  done
  finish user "$name"
done <user/cases.txt

while read -r name status words; do
  case $name in '' | '#'*) continue ;; esac
  wanted "$name" || continue
  bios="-bios none" args= stdin=/dev/null cut= oracle= machine=virt
  for w in $words; do
    case $w in sbi) bios= ;; stdin:*) stdin=bare/${w#stdin:} ;; cut:*) cut=${w#cut:} ;; oracle:*) oracle=$w ;; machine:*) machine=${w#machine:} ;; *) args="$args $w" ;; esac
  done
  [ -z "$oracle" ] || continue
  for run in 1 2 3; do
    # The sleeping writer keeps qemu's standard input open: at its end `-serial stdio` would quit.
    { sleep 1; cat "$stdin"; } | timeout -s KILL 120 qemu-system-riscv64 -M $machine $bios -display none -monitor none -serial stdio -kernel "bare/riscv64/$name.elf" $args >"$tmp/raw" 2>"$tmp/err"
    got=$?
    tr -d '\r' <"$tmp/raw" >"$tmp/$run"
    [ -n "$bios" ] || sed -i '1,/^sbi:/{/^sbi:/!d}' "$tmp/$run"
    [ -z "$cut" ] || sed -i "s/ $cut .*//" "$tmp/$run"
    grep "^$name|" bare/qemu-wrong.txt | sed 's/^[^|]*|/s|^/; s/$/|/; s/+/[+]/' >"$tmp/sed"
    sed -i -f "$tmp/sed" "$tmp/$run"
    [ "$got" = "$status" ] || { fail "$name: exit status $got, want $status"; cat "$tmp/err" >&2; }
  done
  finish bare "$name"
done <bare/cases.txt
[ $bad = 0 ] && echo "images: expected outputs: $mode done"
exit $bad

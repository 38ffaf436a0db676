#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# build.sh OUT: the one recipe. Builds every image into OUT/user/<isa>, OUT/bare/<isa> and OUT/kernel/<isa>.elf and writes OUT/MANIFEST.
# Exit status: 0 built, 1 a source does not build, 3 the compiler is missing or another version.
#
# Reproducible by construction: a pinned compiler, a fixed CPU, relative paths, no build id, and tools/prune.py, which
# drops debug sections (the only place where paths of the build machine end up) and keeps the symbols.
set -eu
export LC_ALL=C

ISAS="${ISAS:-riscv64 x86_64}" # add aarch64 or loongarch64 by adding the word
ZIG_VERSION=0.17.0
PYTHON="${PYTHON:-python3}"

[ $# = 1 ] || { echo "usage: build.sh OUT" >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."        # the repository: sources are named relative to it

have=$("$PYTHON" -m ziglang version 2>/dev/null) || have=none
if [ "$have" != "$ZIG_VERSION" ]; then
  echo "images: need ziglang $ZIG_VERSION, found $have; install it with: $PYTHON -m pip install ziglang==$ZIG_VERSION (or set PYTHON)" >&2
  exit 3
fi

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# Per ISA: the CPU (never the build machine's), and flags for a bare image.
cpu() { case $1 in loongarch64) echo generic_la64-lsx-lasx-ual+d+f ;; riscv64) echo baseline_rv64 ;; *) echo baseline ;; esac; }
bare_flags() { case $1 in riscv64) echo -mcmodel=medium ;; x86_64) echo -mno-red-zone ;; esac; }
bare_base() { case $1 in riscv64) echo 0x80000000 ;; aarch64) echo 0x40080000 ;; loongarch64) echo 0x1000000 ;; x86_64) echo 0x100000 ;; esac; }

common="-O2 -g0 -std=gnu11 -Wall -Wextra -Wno-unused-result -fno-sanitize=all -ffp-contract=off -ffile-prefix-map=\$PWD=. -Wl,--build-id=none"
user="-static -pthread -ffunction-sections -fdata-sections -Wl,--gc-sections -Wl,-z,stack-size=131072 -Iimages/user/src"
bare="-ffreestanding -nostdlib -static -fno-pic -fno-builtin -fno-stack-protector -Wl,-z,max-page-size=4096 -Iimages/bare/src"
kbench="-fno-vectorize -fno-slp-vectorize -fno-math-errno -IBenchmarks/guest -Wno-all -Wno-extra"

manifest="$tmp/manifest"
: >"$manifest"

# image KIND ISA NAME "SOURCES" FLAGS...
image() {
  kind=$1 isa=$2 name=$3 sources=$4
  shift 4
  path="$kind/$isa${name:+/$name}.elf"   # the kernel has no name of its own
  mkdir -p "$out/$(dirname "$path")"
  flags=$(echo "$*" | sed "s|\$PWD|$PWD|g; s|\$TMP|$tmp|g")
  # shellcheck disable=SC2086  # flags and sources are lists of words
  case $kind in
  kernel) kernel_build "$flags" "$sources" "$tmp/image.elf" ;;
  *) "$PYTHON" -m ziglang cc $flags $sources -o "$tmp/image.elf" ;;
  esac || { echo "images: $path does not build" >&2; exit 1; }
  "$PYTHON" images/tools/prune.py "$tmp/image.elf" "$out/$path"
  sum=$(sha256sum <"$out/$path" | cut -d' ' -f1)
  size=$(wc -c <"$out/$path" | tr -d ' ')
  printf '%s %7d %s | %s | %s\n' "$sum" "$size" "$path" "$sources" "$*" >>"$manifest"
}

. images/kernel/kernel.sh
for isa in $ISAS; do
  if [ -d "images/kernel/arch/$isa" ]; then image kernel "$isa" "" "$(kernel_sources "$isa")" $(kernel_flags "$isa"); fi
  target="-target $isa-linux-musl -mcpu=$(cpu "$isa")"
  for name in atomics cat clocks crash files floats forkbench forks hello jumps mallocs mapfile proc selftest signals spin stackgrow threads; do
    extra=
    # The tests call these so that the compiler does not fold what the guest should compute or fault on.
    case $name in floats) extra="-frounding-math -fno-builtin" ;; mallocs | mapfile | signals | crash | stackgrow | jumps) extra="-fno-builtin -fno-delete-null-pointer-checks -Wno-infinite-recursion" ;; esac
    image user "$isa" "$name" "images/user/src/$name.c" $target $common $user $extra
  done
  case $isa in x86_64)
    for name in traps vectors; do image user "$isa" "$name" "images/user/src/$name.c" $target $common $user; done ;;
  esac
  image user "$isa" hello-pie images/user/src/hello.c $target $common $user -fPIE -pie
  image user "$isa" fbench Benchmarks/guest/float.c $target $common $user $kbench
  image user "$isa" kbench "Benchmarks/guest/kern.c Benchmarks/guest/user.c" $target $common $user $kbench

  target="-target $isa-freestanding-none -mcpu=$(cpu "$isa") $(bare_flags "$isa")"
  if [ -f "Benchmarks/guest/start_$isa.S" ]; then
    sed "s/@BASE@/$(bare_base "$isa")/; s/@BSSBASE@/0/g" Benchmarks/guest/bare.ld >"$tmp/kbench-$isa.ld"
    image bare "$isa" kbench "Benchmarks/guest/start_$isa.S Benchmarks/guest/kern.c Benchmarks/guest/bare.c" $target $common $bare $kbench "-Wl,-T,\$TMP/kbench-$isa.ld"
  fi
  case $isa in riscv64)
    for name in paging signature smc smp tohost tohost-fail traps uartirq; do
      image bare "$isa" "$name" "images/bare/src/$name.S" $target $common $bare -Wl,-T,images/bare/src/virt.ld
    done
    image bare "$isa" sbi images/bare/src/sbi.S $target $common $bare -Wl,-T,images/bare/src/sbi.ld
    ;;
  x86_64)
    # Started in 32-bit protected mode: by multiboot as ELF32, by PVH, and by multiboot as ELF64.
    pc="-Iimages/bare/src/x86_64 -Wl,-T,images/bare/src/x86_64/pc.ld"
    for name in gates processors protected tasks virtual; do
      image bare "$isa" "$name" "images/bare/src/x86_64/$name.S" -target x86-freestanding-none $common $bare $pc -Wl,-s
    done
    for name in long multiboot64; do
      image bare "$isa" "$name" "images/bare/src/x86_64/$name.S" $target $common $bare $pc
    done
    ;;
  esac
done

{
  echo "# Written by images/build.sh; checked by images/check.sh. Paths are relative to images/ (images) and to the repository (sources)."
  echo "# tool: ziglang $ZIG_VERSION (PyPI), zig cc then images/tools/prune.py. \$PWD is the repository, \$TMP holds Benchmarks/guest/bare.ld with its addresses filled in."
  echo "# sha256 size image | sources | flags"
  LC_ALL=C sort -k3 "$manifest"
} >"$out/MANIFEST"

#!/bin/sh
# Builds what the tests of probes run; the result is committed. The scenes need the compiler of images/build.sh (PYTHON names its Python).
set -e
cd "$(dirname "$0")"
riscv64-linux-gnu-gcc -O1 -march=rv64gc -mabi=lp64d -static -nostdlib -ffreestanding -fno-stack-protector -fno-pic \
  -fno-asynchronous-unwind-tables -Wl,--build-id=none -Wl,-z,norelro,-z,separate-code,-z,max-page-size=4096 -o probes.elf probes.c
x86_64-linux-gnu-gcc -O1 -foptimize-sibling-calls -march=x86-64 -static -nostdlib -ffreestanding -fno-stack-protector -fno-pic -fcf-protection=none \
  -fno-asynchronous-unwind-tables -Wl,--build-id=none -Wl,-z,norelro,-z,separate-code,-z,max-page-size=4096 -o probes-x86_64.elf probes.c
PYTHON="${PYTHON:-python3}"
[ "$("$PYTHON" -m ziglang version)" = 0.17.0 ] || { echo "build.sh: need ziglang 0.17.0" >&2; exit 3; }
scenes() { # TARGET FILE FLAG...
  target=$1 file=$2
  shift 2
  "$PYTHON" -m ziglang cc -target "$target-freestanding-none" "$@" -O1 -g0 -static -nostdlib -ffreestanding -fno-stack-protector -fno-pic \
    -fno-builtin -fno-sanitize=all -fno-omit-frame-pointer -mno-omit-leaf-frame-pointer -Wl,--build-id=none -Wl,-z,norelro \
    -Wl,-z,max-page-size=4096 -o scenes.tmp scenes.c
  "$PYTHON" ../../../images/tools/prune.py scenes.tmp "$file"
}
scenes riscv64 scenes.elf -mcpu=baseline_rv64 -mcmodel=medium
scenes x86_64 scenes-x86_64.elf -mcpu=baseline -fno-unwind-tables -fno-asynchronous-unwind-tables
rm -f scenes.tmp
# For harts without compressed instructions.
riscv64-linux-gnu-gcc -O1 -march=rv64g -mabi=lp64d -static -nostdlib -ffreestanding -fno-stack-protector -fno-pic \
  -fno-asynchronous-unwind-tables -Wl,--build-id=none -Wl,-z,norelro -Wl,-z,separate-code -Wl,-z,max-page-size=4096 -o probes-rv64g.elf probes.c
# The guest kernel for them, by its own recipe; needs ziglang (images/README.md).
out=$PWD
cd ../../..
. images/kernel/kernel.sh
flags=$(kernel_flags riscv64 | sed 's/+m+a+c+/+m+a+/; s|\$PWD|'"$PWD"'|g')
kernel_build "$flags" "$(kernel_sources riscv64)" "$out/kernel.tmp"
"$PYTHON" images/tools/prune.py "$out/kernel.tmp" "$out/kernel-rv64g.elf"
rm "$out/kernel.tmp"

#!/bin/sh
# Builds what the tests of probes run; the result is committed.
set -e
cd "$(dirname "$0")"
riscv64-linux-gnu-gcc -O1 -march=rv64gc -mabi=lp64d -static -nostdlib -ffreestanding -fno-stack-protector -fno-pic \
  -fno-asynchronous-unwind-tables -Wl,--build-id=none -Wl,-z,norelro,-z,separate-code,-z,max-page-size=4096 -o probes.elf probes.c
# For harts without compressed instructions.
riscv64-linux-gnu-gcc -O1 -march=rv64g -mabi=lp64d -static -nostdlib -ffreestanding -fno-stack-protector -fno-pic \
  -fno-asynchronous-unwind-tables -Wl,--build-id=none -Wl,-z,norelro -Wl,-z,separate-code -Wl,-z,max-page-size=4096 -o probes-rv64g.elf probes.c
# The guest kernel for them, by its own recipe; needs ziglang (images/README.md).
out=$PWD
cd ../../..
. images/kernel/kernel.sh
flags=$(kernel_flags riscv64 | sed 's/+m+a+c+/+m+a+/; s|\$PWD|'"$PWD"'|g')
"${PYTHON:-python3}" -m ziglang cc $flags $(kernel_sources riscv64) -o "$out/kernel.tmp"
"${PYTHON:-python3}" images/tools/prune.py "$out/kernel.tmp" "$out/kernel-rv64g.elf"
rm "$out/kernel.tmp"

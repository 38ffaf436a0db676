#!/bin/sh
# Builds what the tests of probes run; the result is committed.
set -e
cd "$(dirname "$0")"
riscv64-linux-gnu-gcc -O1 -march=rv64gc -mabi=lp64d -static -nostdlib -ffreestanding -fno-stack-protector -fno-pic \
  -fno-asynchronous-unwind-tables -Wl,--build-id=none -Wl,-z,norelro,-z,separate-code,-z,max-page-size=4096 -o probes.elf probes.c

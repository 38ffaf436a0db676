#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh OUT: builds the kernel image, the stand-in firmware and its user program in OUT and runs them under qemu, whose time is the
# count of instructions, so that a run is like the next. Exit status: 0 passed, 1 not, 3 a tool is missing.
set -eu
PYTHON="${PYTHON:-python3}"
QEMU="${QEMU:-qemu-system-riscv64}"
"$PYTHON" -m ziglang version >/dev/null 2>&1 || { echo "kernel test: need ziglang: $PYTHON -m pip install ziglang (or set PYTHON)" >&2; exit 3; }
command -v "$QEMU" >/dev/null || { echo "kernel test: need $QEMU (Debian: qemu-system-misc)" >&2; exit 3; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
"$here/../build.sh" riscv64 "$out/kernel.elf"
"$PYTHON" "$here/symbols.py" "$out/kernel.elf" >"$out/symbols.h"
flags="-target riscv64-freestanding-none -mcpu=generic_rv64+m+a+c+zicsr+zifencei -mabi=lp64 -mcmodel=medium -O1 -g0 -std=gnu11 \
  -Wall -Wextra -Werror -Wno-parentheses -ffreestanding -fno-builtin -nostdlib -static -fno-pic -fno-stack-protector -fno-sanitize=all \
  -fno-unwind-tables -fno-asynchronous-unwind-tables -I$here -I$here/../src -I$out -Wl,--no-gc-sections -Wl,--build-id=none -Wl,-z,norelro"
# shellcheck disable=SC2086  # a list of words
for part in firmware user; do
  "$PYTHON" -m ziglang cc $flags -Wl,-T,"$here/$part.ld" "$here/$part.S" "$here/$part.c" -o "$out/$part.elf"
done
timeout 30 "$QEMU" -M virt -m 128M -display none -serial stdio -monitor none -icount shift=3,sleep=off \
  -bios "$out/firmware.elf" -device loader,file="$out/kernel.elf" -device loader,file="$out/user.elf"

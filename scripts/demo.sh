#!/usr/bin/env bash
# The main job in one screen. Usage: demo.sh EMU
set -euo pipefail
emu=$1
show() { printf '\n$ emu %s\n' "$*"; "$emu" "$@"; }
show run images/user/riscv64/hello.elf from the guest
show run --stats images/user/riscv64/threads.elf
show run --bare images/bare/riscv64/paging.elf
show disasm images/user/riscv64/hello.elf --symbol main --count 8

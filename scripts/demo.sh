#!/usr/bin/env bash
# The main job in one screen. Usage: demo.sh EMU
set -euo pipefail
cd "$(dirname "$0")/.."
emu=$1
show() { printf '\n$ emu %s\n' "$*"; "$emu" "$@"; }
show run images/user/riscv64/hello.elf from the guest
show run --stats images/user/riscv64/spin.elf 10
show run --bare images/bare/riscv64/smc.elf
show disasm images/user/riscv64/hello.elf --symbol main --count 6

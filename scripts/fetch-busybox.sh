#!/usr/bin/env bash
# Fetches Debian's busybox-static for riscv64 through this machine's own apt mirror into DIR (default out/busybox) and prints its
# path. Optional: no test needs it. Usage: fetch-busybox.sh [DIR]
set -euo pipefail
dir=${1:-out/busybox}
fail() { printf 'fetch-busybox: %s\n' "$1" >&2; exit 1; }
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
if [ -x "$dir/busybox" ]; then echo "$dir/busybox"; exit 0; fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"$(dirname "$0")/fetch-riscv64.sh" "$tmp" busybox-static- >/dev/null
found=$(find "$tmp" -type f -path '*/bin/busybox' | head -n 1)
[ -n "$found" ] || fail "the package has no busybox in it"
cp "$found" "$dir/busybox"
chmod 755 "$dir/busybox"
echo "$dir/busybox"

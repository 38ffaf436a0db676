#!/usr/bin/env bash
# Fetches Debian's busybox-static for riscv64 (trixie) or amd64 (this machine's release) through this machine's own apt mirror into DIR
# (default out/busybox, out/busybox-amd64) and prints its path. Optional: no test needs it. Usage: fetch-busybox.sh [ARCH [DIR]]
set -euo pipefail
fail() { printf 'fetch-busybox: %s\n' "$1" >&2; exit 1; }
arch=${1:-riscv64}
case $arch in riscv64) dir=${2:-out/busybox} ;; amd64) dir=${2:-out/busybox-amd64} ;; *) fail "no such architecture: $arch" ;; esac
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
if [ -x "$dir/busybox" ]; then echo "$dir/busybox"; exit 0; fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
case $arch in
riscv64) "$(dirname "$0")/fetch-riscv64.sh" "$tmp" busybox-static- >/dev/null ;;
amd64)
  (cd "$tmp" && apt-get -qq -o APT::Sandbox::User=root download busybox-static:amd64 >/dev/null) || fail "busybox-static can't be fetched"
  dpkg-deb -x "$tmp"/*.deb "$tmp/root"
  ;;
esac
found=$(find "$tmp" -type f -path '*/bin/busybox' | head -n 1)
[ -n "$found" ] || fail "the package has no busybox in it"
cp "$found" "$dir/busybox"
chmod 755 "$dir/busybox"
echo "$dir/busybox"

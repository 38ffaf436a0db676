#!/usr/bin/env bash
# Fetches Debian's busybox-static for riscv64 through this machine's own apt mirror into DIR (default out/busybox) and prints its
# path. Optional: no test needs it. The suite is the first Debian release that has riscv64.
# Usage: fetch-busybox.sh [DIR]
set -euo pipefail
dir=${1:-out/busybox}
suite=trixie
fail() { printf 'fetch-busybox: %s\n' "$1" >&2; exit 1; }
for tool in apt-get dpkg-deb; do command -v $tool >/dev/null 2>&1 || fail "needs $tool (Debian or Ubuntu)"; done
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
if [ -x "$dir/busybox" ]; then echo "$dir/busybox"; exit 0; fi
# The mirror that this machine's apt uses for its main archive.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null | grep -v security | sort | uniq -c | sort -rn | awk 'NR==1 {print $2}')
[ -n "$mirror" ] || mirror=$(sed -n 's/^URIs: *//p; s/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\) .*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep -v security | head -n 1)
[ -n "$mirror" ] || fail "no mirror in apt's configuration"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp/lists/partial" "$tmp/cache/archives/partial" "$tmp/etc/preferences.d" "$tmp/etc/apt.conf.d"
: >"$tmp/status"
printf 'deb [arch=riscv64] %s %s main\n' "$mirror" "$suite" >"$tmp/sources.list"
options=(-o Dir::Etc::sourcelist="$tmp/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$tmp/lists"
  -o Dir::State::status="$tmp/status" -o Dir::Cache="$tmp/cache" -o APT::Architecture=riscv64 -o APT::Architectures=riscv64
  -o APT::Get::List-Cleanup=0 -o APT::Sandbox::User=root -o Acquire::Languages=none)
apt-get -qq "${options[@]}" update >/dev/null || fail "the mirror has no $suite for riscv64 that can be read"
(cd "$tmp" && apt-get -qq "${options[@]}" download busybox-static >/dev/null) || fail "busybox-static can't be fetched"
dpkg-deb -x "$tmp"/busybox-static_*.deb "$tmp/root"
found=$(find "$tmp/root" -type f -path '*/bin/busybox' | head -n 1)
[ -n "$found" ] || fail "the package has no busybox in it"
cp "$found" "$dir/busybox"
chmod 755 "$dir/busybox"
echo "$dir/busybox"

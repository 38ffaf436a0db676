#!/usr/bin/env bash
# Fetches Debian packages for riscv64 through this machine's own apt mirror and unpacks them, with everything that they depend on,
# into DIR: a root directory for `emu run --root`. Optional: no test needs it. The suite is the first release that has riscv64.
# Usage: fetch-riscv64.sh DIR PACKAGE...      (PACKAGE- with a trailing dash: only that package, without what it depends on)
set -euo pipefail
suite=trixie
fail() { printf 'fetch-riscv64: %s\n' "$1" >&2; exit 1; }
[ $# -ge 2 ] || fail "usage: fetch-riscv64.sh DIR PACKAGE..."
for tool in apt-get apt-cache dpkg-deb; do command -v $tool >/dev/null 2>&1 || fail "needs $tool (Debian or Ubuntu)"; done
dir=$1
shift
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
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
names=()
for package; do
  if [ "${package%-}" != "$package" ]; then
    names+=("${package%-}")
  else
    mapfile -t -O ${#names[@]} names < <(apt-cache "${options[@]}" depends --recurse --no-recommends --no-suggests --no-conflicts \
      --no-breaks --no-replaces --no-enhances "$package" | grep '^[a-z0-9]')
  fi
done
mapfile -t names < <(printf '%s\n' "${names[@]}" | sort -u)
cd "$tmp"
for package in "${names[@]}"; do
  apt-get -qq "${options[@]}" download "$package" >/dev/null 2>"$tmp/error" || { cat "$tmp/error" >&2; fail "$package can't be fetched"; }
done
# Where /bin and /lib are links into /usr, packages unpack through them.
mkdir -p "$dir/usr/bin" "$dir/usr/sbin" "$dir/usr/lib"
for link in bin sbin lib; do [ -e "$dir/$link" ] || ln -s "usr/$link" "$dir/$link"; done
for file in "$tmp"/*.deb; do dpkg-deb --fsys-tarfile "$file" | tar -C "$dir" --keep-directory-symlink --no-same-owner -xf -; done
echo "$dir"

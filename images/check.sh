#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check.sh [--sums]: rebuilds every image elsewhere and compares with MANIFEST, then compares the committed files with it.
# With --sums only the last, which needs no compiler.
# Exit status: 0 all equal, 1 something differs (one line says what), 2 wrong usage, 3 the compiler is missing (a line says how to get it).
set -eu
cd "$(dirname "$0")"
rebuild=yes
case "$#:${1:-}" in
0:) ;;
1:--sums) rebuild= ;;
*) echo "usage: check.sh [--sums]" >&2; exit 2 ;;
esac
if [ "$rebuild" ]; then
  tmp=$(mktemp -d)
  trap 'rm -rf "$tmp"' EXIT
  ./build.sh "$tmp" || exit $?
fi
differ() { echo "images: check failed: $1" >&2; exit 1; }
grep -v '^#' MANIFEST | while read -r sum size path rest; do
  [ -f "$path" ] || differ "$path is in MANIFEST and missing"
  [ "$(sha256sum <"$path" | cut -d' ' -f1)" = "$sum" ] || differ "$path is not the file in MANIFEST"
  [ "$rebuild" ] || continue
  [ -f "$tmp/$path" ] || differ "$path is in MANIFEST and the recipe does not build it"
  [ "$(sha256sum <"$tmp/$path" | cut -d' ' -f1)" = "$sum" ] || differ "$path rebuilt from source differs from MANIFEST"
done
for path in */*.elf */*/*.elf; do
  [ ! -f "$path" ] || grep -q "^[0-9a-f]*  *[0-9]* $path " MANIFEST || differ "$path is not in MANIFEST"
done
[ -z "$rebuild" ] || cmp -s MANIFEST "$tmp/MANIFEST" || differ "MANIFEST differs from the one the recipe writes (flags, sources or images changed: run make)"
echo "images: $(grep -vc '^#' MANIFEST) images equal their MANIFEST"

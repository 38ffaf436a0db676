#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check.sh: rebuilds every image elsewhere and compares with MANIFEST, then compares the committed files with it.
# Exit status: 0 all equal, 1 something differs (one line says what), 3 the compiler is missing (a line says how to get it).
set -eu
cd "$(dirname "$0")"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
./build.sh "$tmp" || exit $?
differ() { echo "images: check failed: $1" >&2; exit 1; }
grep -v '^#' MANIFEST | while read -r sum size path rest; do
  [ -f "$path" ] || differ "$path is in MANIFEST and missing"
  [ "$(sha256sum <"$path" | cut -d' ' -f1)" = "$sum" ] || differ "$path is not the file in MANIFEST"
  [ -f "$tmp/$path" ] || differ "$path is in MANIFEST and the recipe does not build it"
  [ "$(sha256sum <"$tmp/$path" | cut -d' ' -f1)" = "$sum" ] || differ "$path rebuilt from source differs from MANIFEST"
done
cmp -s MANIFEST "$tmp/MANIFEST" || differ "MANIFEST differs from the one the recipe writes (flags, sources or images changed: run make)"
echo "images: $(grep -vc '^#' MANIFEST) images equal their MANIFEST"

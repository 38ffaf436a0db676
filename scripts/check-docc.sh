#!/bin/sh
# The DocC catalogue against the symbols of what was built last: every warning is a failure.
# Run `swift build` first. Needs docc, which is in the toolchain.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
set -- -I .build/debug/Modules -target "$(uname -m)-unknown-linux-gnu"
for map in Sources/Emu/C*/module.modulemap .build/debug/C*.build/module.modulemap; do
  set -- "$@" -Xcc "-fmodule-map-file=$PWD/$map"
done
mkdir "$work/symbols"
swift symbolgraph-extract -module-name HarnessTesting "$@" -minimum-access-level public \
  -emit-extension-block-symbols -output-dir "$work/symbols"
docc convert Sources/Emu/HarnessTesting/HarnessTesting.docc --warnings-as-errors \
  --additional-symbol-graph-dir "$work/symbols" --fallback-display-name HarnessTesting \
  --fallback-bundle-identifier emu.HarnessTesting --output-path "$work/out"
echo "HarnessTesting.docc: no warnings"

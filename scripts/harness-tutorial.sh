#!/usr/bin/env bash
# Follows the tutorial of HarnessTesting word by word: a package in an empty folder whose tests use this checkout.
# Usage: harness-tutorial.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
checkout=$PWD
page=$checkout/Sources/Emu/HarnessTesting/HarnessTesting.docc/FirstScenario.md
folder=${1:-$(mktemp -d)}
mkdir -p "$folder"
[ -z "$(ls -A "$folder")" ] || { echo "harness-tutorial: $folder is not empty" >&2; exit 1; }
# The page says ../emu.
ln -s "$checkout" "$folder/emu"
package=$folder/counting
mkdir -p "$package/Tests/CountingTests"

# The page's Swift blocks: the first is the manifest, the others the tests.
awk -v manifest="$package/Package.swift" -v tests="$package/Tests/CountingTests/CountingTests.swift" '
  /^```swift$/ { block++; inside = 1; next }
  /^```$/ { inside = 0; next }
  inside { print > (block == 1 ? manifest : tests) }' "$page"
cd "$package"
swift test 2>&1 | tee "$folder/log" | grep -E 'error|warning|✘|Test run' || true
grep -q 'Test run with 2 tests.* passed' "$folder/log"
if grep -q 'warning:' "$folder/log"; then echo "harness-tutorial: warnings" >&2; exit 1; fi

# What the page says of a failure.
sed -i 's/hits\["add"\] = 3/hits["add"] = 4/' Tests/CountingTests/CountingTests.swift
if swift test > "$folder/log" 2>&1; then echo "harness-tutorial: a wrong count passed" >&2; exit 1; fi
grep -q "counting: hits of 'add': expected 4, seen 3; the last: add n=4 (pid 1) at 0x10014 (add)" "$folder/log"
grep -q "repeat: swift test --filter 'CountingTests.*countsCalls'" "$folder/log"
echo "harness-tutorial: as the page says"
[ -n "${1:-}" ] || rm -rf "$folder"

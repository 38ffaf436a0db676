#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# build.sh ISA OUT: builds one kernel image, with the same flags as images/build.sh.
set -eu
export LC_ALL=C # the order of sources
PYTHON="${PYTHON:-python3}"
out=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
cd "$(dirname "$0")/../.."
. images/kernel/kernel.sh
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
kernel_build "$(kernel_flags "$1" | sed "s|\$PWD|$PWD|g")" "$(kernel_sources "$1")" "$tmp/kernel.elf"
"$PYTHON" images/tools/prune.py "$tmp/kernel.elf" "$out"

#!/usr/bin/env bash
# Installs what a target needs on Debian or Ubuntu; says clearly what is missing elsewhere.
# Usage: setup.sh build|oracles|images
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { printf 'setup: %s\n' "$1" >&2; exit 1; }

# need TEST PACKAGE...: installs the packages unless the test command succeeds.
need() {
  local test=$1; shift
  if eval "$test" >/dev/null 2>&1; then return; fi
  command -v apt-get >/dev/null 2>&1 ||
    fail "'$*' is missing and there is no apt-get here; install it by your own package manager"
  local as=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null 2>&1 || fail "'$*' is missing: run 'apt-get install $*' as root"
    as=(sudo)
  fi
  printf 'setup: installing %s\n' "$*"
  "${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 update >/dev/null ||
    fail "apt-get update failed; '$*' can't be installed"
  "${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y "$@" >/dev/null ||
    fail "apt-get install $* failed"
  eval "$test" >/dev/null 2>&1 || fail "'$*' was installed and still does not serve: $test"
}

case ${1:-} in
build)
  command -v swift >/dev/null 2>&1 ||
    fail "no swift on PATH; install Swift 6.2 or later from swift.org and try again"
  need 'command -v pkg-config' pkg-config
  need 'pkg-config --exists libelf && pkg-config --exists zlib' libelf-dev zlib1g-dev
  need 'pkg-config --exists libzstd' libzstd-dev
  need 'pkg-config --exists yaml-0.1' libyaml-dev
  ;;
oracles)
  need 'command -v qemu-riscv64' qemu-user
  need 'command -v qemu-system-riscv64' qemu-system-misc
  need 'command -v qemu-system-x86_64' qemu-system-x86
  need 'command -v riscv64-linux-gnu-objdump' binutils-riscv64-linux-gnu
  need 'command -v dtc' device-tree-compiler
  need 'ldconfig -p | grep libcapstone.so.4' libcapstone4
  ;;
images)
  need 'python3 -m venv --help' python3 python3-venv
  # The compiler of the guest images is pinned: images/build.sh says which and refuses another.
  version=$(sed -n 's/^ZIG_VERSION=//p' images/build.sh)
  if [ "$(.build/images-venv/bin/python -m ziglang version 2>/dev/null)" != "$version" ]; then
    printf 'setup: installing ziglang %s into .build/images-venv\n' "$version"
    mkdir -p .build
    python3 -m venv .build/images-venv || fail "python3 can't make a virtual environment"
    .build/images-venv/bin/python -m pip install --quiet --disable-pip-version-check "ziglang==$version" ||
      fail "ziglang $version can't be installed from PyPI"
  fi
  ;;
*) fail "usage: setup.sh build|oracles|images" ;;
esac

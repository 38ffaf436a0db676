# SPDX-License-Identifier: Apache-2.0
# The guest kernel's part of the recipe: sourced by images/build.sh and by images/kernel/Makefile, from the repository's top.
# Another ISA is a folder in images/kernel/arch with the same file names, and a word in each case.

kernel_sources() { echo images/kernel/arch/"$1"/*.S images/kernel/arch/"$1"/*.c images/kernel/src/*.c; }

# No FP in compiled code: the CPU has none. switch.S turns it on for itself.
kernel_cpu() { case $1 in riscv64) echo generic_rv64+m+a+c+zicsr+zifencei ;; x86_64) echo baseline-mmx-sse-sse2-x87+soft_float ;; *) echo baseline ;; esac; }
kernel_isa_flags() { case $1 in riscv64) echo -mabi=lp64 -mcmodel=medium ;; x86_64) echo -mno-red-zone -mcmodel=kernel ;; esac; }

# kernel_build "FLAGS" "SOURCES" OUT: linked without optimisation. Else lld has a call of a function that is but a jump go where that jumps to
# (--branch-to-branch, on x86-64 from LLVM 21 on), and a probe on it is never hit.
kernel_build() {
  objects=$(mktemp -d) list= compile=
  for flag in $1; do case $flag in -Wl,* | -static | -nostdlib) ;; *) compile="$compile $flag" ;; esac; done
  for source in $2; do
    object="$objects/$(printf %s "$source" | tr / _).o" list="$list $object"
    # shellcheck disable=SC2086  # lists of words
    "$PYTHON" -m ziglang cc $compile -c "$source" -o "$object" || { rm -r "$objects"; return 1; }
  done
  # shellcheck disable=SC2086
  "$PYTHON" -m ziglang cc $1 -O0 $list -o "$3" || { rm -r "$objects"; return 1; }
  rm -r "$objects"
}

# -O2 keeps tail calls; functions that are probe targets say noinline.
kernel_flags() {
  echo -target "$1-freestanding-none" -mcpu="$(kernel_cpu "$1")" $(kernel_isa_flags "$1") \
    -O2 -g0 -std=gnu11 -Wall -Wextra -Werror -Wmissing-prototypes -ffreestanding -fno-builtin -nostdlib -static -fno-pic \
    -fno-stack-protector -fno-sanitize=all -fomit-frame-pointer -fno-unwind-tables -fno-asynchronous-unwind-tables \
    -fno-vectorize -fno-slp-vectorize '-ffile-prefix-map=$PWD=.' \
    -Iimages/kernel/src -Iimages/kernel/arch/"$1" \
    -fno-function-sections -fno-data-sections -Wl,--no-gc-sections -Wl,--build-id=none -Wl,-z,max-page-size=4096 -Wl,-z,norelro -Wl,-T,images/kernel/arch/"$1"/kernel.ld
}

# SPDX-License-Identifier: Apache-2.0
# The guest kernel's part of the recipe: sourced by images/build.sh and by images/kernel/Makefile, from the repository's top.
# Another ISA is a folder in images/kernel/arch with the same file names, and a word in each case.

kernel_sources() { echo images/kernel/arch/"$1"/*.S images/kernel/arch/"$1"/*.c images/kernel/src/*.c; }

# No FP in compiled code: the CPU has none. switch.S turns it on for itself.
kernel_cpu() { case $1 in riscv64) echo generic_rv64+m+a+c+zicsr+zifencei ;; x86_64) echo baseline-mmx-sse-sse2-x87+soft_float ;; *) echo baseline ;; esac; }
kernel_isa_flags() { case $1 in riscv64) echo -mabi=lp64 -mcmodel=medium ;; x86_64) echo -mno-red-zone -mcmodel=kernel ;; esac; }

# -O2 keeps tail calls; functions that are probe targets say noinline.
kernel_flags() {
  echo -target "$1-freestanding-none" -mcpu="$(kernel_cpu "$1")" $(kernel_isa_flags "$1") \
    -O2 -g0 -std=gnu11 -Wall -Wextra -Werror -Wmissing-prototypes -ffreestanding -fno-builtin -nostdlib -static -fno-pic \
    -fno-stack-protector -fno-sanitize=all -fomit-frame-pointer -fno-unwind-tables -fno-asynchronous-unwind-tables \
    -fno-vectorize -fno-slp-vectorize '-ffile-prefix-map=$PWD=.' \
    -Iimages/kernel/src -Iimages/kernel/arch/"$1" \
    -fno-function-sections -fno-data-sections -Wl,--no-gc-sections -Wl,--build-id=none -Wl,-z,max-page-size=4096 -Wl,-z,norelro -Wl,-T,images/kernel/arch/"$1"/kernel.ld
}

// The guest kernels inside the program, so that it runs from anywhere. Change this file when an
// image changes, for the build does not see what .incbin reads: riscv64 bb0b8649, x86_64 25952329.
  .section .rodata
  .globl emu_kernel_riscv64, emu_kernel_riscv64_end
  .balign 16
emu_kernel_riscv64:
  .incbin "riscv64.elf"
emu_kernel_riscv64_end:
  .globl emu_kernel_x86_64, emu_kernel_x86_64_end
  .balign 16
emu_kernel_x86_64:
  .incbin "x86_64.elf"
emu_kernel_x86_64_end:
// The program of `emu selftest`.
  .globl emu_selftest_riscv64, emu_selftest_riscv64_end
  .balign 16
emu_selftest_riscv64:
  .incbin "riscv64/selftest.elf"
emu_selftest_riscv64_end:
  .globl emu_selftest_x86_64, emu_selftest_x86_64_end
  .balign 16
emu_selftest_x86_64:
  .incbin "x86_64/selftest.elf"
emu_selftest_x86_64_end:
  .section .note.GNU-stack, "", %progbits

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the machine enters: S-mode, MMU on with the kernel's own tables, interrupts off. Sets up the idle task, the trap vector and
 * goes to C. Linux, arch/riscv/kernel/head.S (.Lsecondary_start on: setup_trap_vector, init_task).
 */
#include "asm-offsets.h"

  .section .head.text, "ax"
  .globl _start
  .type _start, @function
_start:
  csrw sie, zero
  /* FS and VS off: kernel code uses neither. SUM off: user memory only in uaccess.S. */
  li t0, SR_SIE | SR_SUM | SR_FS | SR_VS
  csrc sstatus, t0
  la tp, init_task
  la sp, boot_stack_top
  sd sp, TASK_KERNEL_SP(tp)
  csrr t0, satp
  sd t0, TASK_ROOT(tp)
  /* Room for the pt_regs that __switch_to's FP code looks at: zero, so FS is off. */
  addi sp, sp, -PT_SIZE_ON_STACK
  la t0, handle_exception
  csrw stvec, t0
  csrw sscratch, zero
  tail start_kernel
  .size _start, . - _start

  /* Slot 0 of kprobe_insn_slots: what probed functions return to. The others follow it (kernel.ld). */
  .section .kprobe_slots, "ax", @nobits
  .globl kretprobe_trampoline
  .type kretprobe_trampoline, @function
kretprobe_trampoline:
  .skip 8
  .size kretprobe_trampoline, . - kretprobe_trampoline
  .globl kprobe_insn_slot
kprobe_insn_slot:

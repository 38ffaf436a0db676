/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the machine enters: 64-bit mode, paging on with the kernel's own tables, interrupts off. Loads the segments, sets up the idle
 * task and goes to C. Linux, arch/x86/kernel/head_64.S (common_startup_64).
 */
#include "asm-offsets.h"

  .section .head.text, "ax"
  .globl _start
  .type _start, @function
_start:
  leaq boot_stack_top(%rip), %rsp
  lgdt gdt_descr(%rip)
  xorl %eax, %eax
  movl %eax, %ds
  movl %eax, %es
  movl %eax, %fs
  movl %eax, %gs
  movl $__KERNEL_DS, %eax
  movl %eax, %ss
  pushq $__KERNEL_CS
  leaq 1f(%rip), %rax
  pushq %rax
  lretq
1:
  leaq cpu_area(%rip), %rax
  movq %rax, %rdx
  shrq $32, %rdx
  movl $MSR_GS_BASE, %ecx
  wrmsr
  leaq init_task(%rip), %rax
  movq %rax, %gs:CPU_CURRENT
  leaq boot_stack_top(%rip), %rsp
  movq %rsp, TASK_KERNEL_SP(%rax)
  movq %rsp, %gs:CPU_TOP_OF_STACK
  movq %cr3, %rcx
  movq %rcx, TASK_ROOT(%rax)
  /* Room for a pt_regs; with it the stack is aligned as behind a call. */
  subq $PT_SIZE_ON_STACK, %rsp
  xorl %ebp, %ebp
  call early_setup_idt
  jmp start_kernel
  .size _start, . - _start

  /* Slot 0 of kprobe_insn_slots: what probed functions return to. The others follow it (kernel.ld). */
  .section .kprobe_slots, "ax", @nobits
  .globl kretprobe_trampoline
  .type kretprobe_trampoline, @function
kretprobe_trampoline:
  .skip 16
  .size kretprobe_trampoline, . - kretprobe_trampoline
  .globl kprobe_insn_slot
kprobe_insn_slot:

  .section .data, "aw"
  .balign 8
gdt_descr:
  .word GDT_ENTRIES * 8 - 1
  .quad gdt_page

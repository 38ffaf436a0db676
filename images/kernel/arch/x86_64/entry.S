/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exceptions, interrupts and system calls: save a pt_regs, call C, restore it. The conventions are those of Linux,
 * arch/x86/entry/entry_64.S: in the kernel GS points at cpu_area, in user mode swapgs keeps that base aside.
 *
 * Deviation: interrupts stay disabled from here to the return (Linux enables them in system calls and faults). The only window is in
 * do_idle. So the kernel is not preemptible and a run is easier to reason about; a guest program can't tell.
 */
#include "asm-offsets.h"
#include "regs.h"

  .macro CLEAR_REGS
  xorl %esi, %esi
  xorl %edx, %edx
  xorl %ecx, %ecx
  xorl %r8d, %r8d
  xorl %r9d, %r9d
  xorl %r10d, %r10d
  xorl %r11d, %r11d
  xorl %ebx, %ebx
  xorl %ebp, %ebp
  xorl %r12d, %r12d
  xorl %r13d, %r13d
  xorl %r14d, %r14d
  xorl %r15d, %r15d
  .endm

  /* As Linux, entry text is between __irqentry_text_start and __irqentry_text_end: no probes. */
  .section .irqentry.text, "ax"

  .globl entry_SYSCALL_64
  .type entry_SYSCALL_64, @function
entry_SYSCALL_64:
  swapgs
  movq %rsp, %gs:CPU_USER_SP
  movq %gs:CPU_TOP_OF_STACK, %rsp
  pushq $__USER_DS
  pushq %gs:CPU_USER_SP
  pushq %r11
  pushq $__USER_CS
  pushq %rcx
  pushq %rax
  PUSH_REGS rax=$-38 /* -ENOSYS */
  movq %rsp, %rdi
  CLEAR_REGS
  movslq %eax, %rsi
  call do_syscall_64
.Lsyscall_return:
  /* SYSRET brings back what it can; else, and where a debugger or a signal handler changed more, IRET. */
  movq PT_RCX(%rsp), %rcx
  movq PT_RIP(%rsp), %r11
  cmpq %rcx, %r11
  jne swapgs_restore_regs_and_return_to_usermode
  shlq $16, %rcx
  sarq $16, %rcx
  cmpq %rcx, %r11
  jne swapgs_restore_regs_and_return_to_usermode
  cmpq $__USER_CS, PT_CS(%rsp)
  jne swapgs_restore_regs_and_return_to_usermode
  movq PT_R11(%rsp), %r11
  cmpq %r11, PT_EFLAGS(%rsp)
  jne swapgs_restore_regs_and_return_to_usermode
  testq $(X86_EFLAGS_RF | X86_EFLAGS_TF), %r11
  jnz swapgs_restore_regs_and_return_to_usermode
  cmpq $__USER_DS, PT_SS(%rsp)
  jne swapgs_restore_regs_and_return_to_usermode
  POP_REGS
  movq (PT_RSP - PT_ORIG_RAX)(%rsp), %rsp
  swapgs
  sysretq
  .size entry_SYSCALL_64, . - entry_SYSCALL_64

  .globl swapgs_restore_regs_and_return_to_usermode
  .type swapgs_restore_regs_and_return_to_usermode, @function
swapgs_restore_regs_and_return_to_usermode:
  POP_REGS
  addq $8, %rsp
  swapgs
  iretq
  .size swapgs_restore_regs_and_return_to_usermode, . - swapgs_restore_regs_and_return_to_usermode

  .globl error_return
  .type error_return, @function
error_return:
  testb $3, PT_CS(%rsp)
  jnz swapgs_restore_regs_and_return_to_usermode
  POP_REGS
  addq $8, %rsp
  iretq
  .size error_return, . - error_return

  /* A new task's first instruction, on a stack that holds nothing but its pt_regs. rax: the task that ran before. */
  .globl ret_from_fork
  .type ret_from_fork, @function
ret_from_fork:
  movq %rax, %rdi
  call schedule_tail
  movq %rsp, %rdi
  call syscall_exit_to_user_mode
  jmp swapgs_restore_regs_and_return_to_usermode
  .size ret_from_fork, . - ret_from_fork

  /*
   * gap: an exception of kernel mode leaves six words of the interrupted stack alone, so that a push can be done on the frame: the
   * frame is where the pushed word goes. Linux, arch/x86/entry/entry_64.S (idtentry).
   */
  .macro idtentry name, has_error, gap=0
  .globl asm_\name
  .type asm_\name, @function
asm_\name:
  cld
  .if \has_error == 0
  pushq $-1
  .endif
  .if \gap
  testb $3, (PT_CS - PT_ORIG_RAX)(%rsp)
  jnz 2f
  .rept 6
  pushq 5 * 8(%rsp)
  .endr
2:
  .endif
  PUSH_REGS
  testb $3, PT_CS(%rsp)
  jz 1f
  swapgs
1:
  movq %rsp, %rdi
  movq PT_ORIG_RAX(%rsp), %rax
  movq $-1, PT_ORIG_RAX(%rsp)
  CLEAR_REGS
  movq %rax, %rsi
  call \name
  jmp error_return
  .size asm_\name, . - asm_\name
  .endm

  /*
   * An exception with a stack of its own: it may come anywhere in the kernel, between a swapgs and its user mode too, so GS is looked
   * at. From user mode it goes on where every other exception is handled: on the task's stack.
   */
  .macro idtentry_ist name, has_error
  .globl asm_\name
  .type asm_\name, @function
asm_\name:
  cld
  .if \has_error == 0
  pushq $-1
  .endif
  PUSH_REGS
  testb $3, PT_CS(%rsp)
  jz 2f
  swapgs
  movq %rsp, %rsi
  movq %gs:CPU_TOP_OF_STACK, %rdi
  subq $PT_SIZE_ON_STACK, %rdi
  movq %rdi, %rsp
  movl $(PT_SIZE / 8), %ecx
  rep movsq
  movq %rsp, %rdi
  movq PT_ORIG_RAX(%rsp), %rsi
  movq $-1, PT_ORIG_RAX(%rsp)
  call \name
  jmp error_return
2:
  movl $MSR_GS_BASE, %ecx
  rdmsr
  xorl %ebx, %ebx
  testl %edx, %edx
  js 3f
  swapgs
  movl $1, %ebx
3:
  movq %rsp, %rdi
  movq PT_ORIG_RAX(%rsp), %rsi
  movq $-1, PT_ORIG_RAX(%rsp)
  call \name
  testl %ebx, %ebx
  jz 4f
  swapgs
4:
  POP_REGS
  addq $8, %rsp
  iretq
  .size asm_\name, . - asm_\name
  .endm

  idtentry exc_divide_error, 0
  idtentry_ist exc_debug, 0
  idtentry_ist exc_nmi, 0
  idtentry exc_int3, 0, 1
  idtentry exc_overflow, 0
  idtentry exc_bounds, 0
  idtentry exc_invalid_op, 0
  idtentry exc_device_not_available, 0
  idtentry_ist exc_double_fault, 1
  idtentry exc_coproc_segment_overrun, 0
  idtentry exc_invalid_tss, 1
  idtentry exc_segment_not_present, 1
  idtentry exc_stack_segment, 1
  idtentry exc_general_protection, 1
  idtentry exc_page_fault, 1
  idtentry exc_spurious_interrupt_bug, 0
  idtentry exc_coprocessor_error, 0
  idtentry exc_alignment_check, 1
  idtentry_ist exc_machine_check, 0
  idtentry exc_simd_coprocessor_error, 0
  idtentry sysvec_apic_timer_interrupt, 0
  idtentry sysvec_reschedule_ipi, 0

  .globl __irqentry_asm_end
__irqentry_asm_end:

/* SPDX-License-Identifier: Apache-2.0 */
/* From one task's kernel stack to another's, and the FP registers between hart and task. */
#include "asm-offsets.h"

  .text

  /*
   * struct task *__switch_to(struct task *prev, struct task *next): returns, on next's stack, prev. A function that calls this has
   * saved what a call may clobber; the rest is here. Linux, arch/x86/entry/entry_64.S (__switch_to_asm).
   */
  .globl __switch_to
  .type __switch_to, @function
__switch_to:
  popq %rax
  movq %rax, TASK_THREAD_RA(%rdi)
  movq %rsp, TASK_THREAD_SP(%rdi)
  movq %rbx, TASK_THREAD_S + 8 * 0(%rdi)
  movq %rbp, TASK_THREAD_S + 8 * 1(%rdi)
  movq %r12, TASK_THREAD_S + 8 * 2(%rdi)
  movq %r13, TASK_THREAD_S + 8 * 3(%rdi)
  movq %r14, TASK_THREAD_S + 8 * 4(%rdi)
  movq %r15, TASK_THREAD_S + 8 * 5(%rdi)
  movq TASK_THREAD_SP(%rsi), %rsp
  movq TASK_THREAD_S + 8 * 0(%rsi), %rbx
  movq TASK_THREAD_S + 8 * 1(%rsi), %rbp
  movq TASK_THREAD_S + 8 * 2(%rsi), %r12
  movq TASK_THREAD_S + 8 * 3(%rsi), %r13
  movq TASK_THREAD_S + 8 * 4(%rsi), %r14
  movq TASK_THREAD_S + 8 * 5(%rsi), %r15
  movq %rsi, %gs:CPU_CURRENT
  /* Where system calls and, through the task-state segment, exceptions of user mode begin. */
  movq TASK_KERNEL_SP(%rsi), %rcx
  movq %rcx, %gs:CPU_TOP_OF_STACK
  movq %rcx, cpu_tss + 4(%rip)
  movq %rdi, %rax
  jmpq *TASK_THREAD_RA(%rsi)
  .size __switch_to, . - __switch_to

  /*
   * void __fstate_save(struct task *), void __fstate_restore(struct task *): all components that are enabled. Linux,
   * arch/x86/kernel/fpu/core.c.
   */
  .globl __fstate_save
  .type __fstate_save, @function
__fstate_save:
  movl $-1, %eax
  movl %eax, %edx
  xsave64 TASK_FP(%rdi)
  ret
  .size __fstate_save, . - __fstate_save

  .globl __fstate_restore
  .type __fstate_restore, @function
__fstate_restore:
  movl $-1, %eax
  movl %eax, %edx
  xrstor64 TASK_FP(%rdi)
  ret
  .size __fstate_restore, . - __fstate_restore

  .section .bss.init_task, "aw", @nobits
  .balign 16384
  .globl init_thread_union
  .globl init_task
  .globl boot_stack_top
  .type init_thread_union, @object
  .type init_task, @object
init_thread_union:
init_task:
  .skip 16384
boot_stack_top:
  .size init_task, TASK_SIZE
  .size init_thread_union, 16384

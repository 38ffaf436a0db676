/* SPDX-License-Identifier: Apache-2.0 */
/* From one task's kernel stack to another's, and the FP registers between hart and task. */
#include "asm-offsets.h"

  .text

  /*
   * struct task *__switch_to(struct task *prev, struct task *next): returns, on next's stack, prev. A function that calls this has
   * saved what a call may clobber; the rest is here. Linux, arch/riscv/kernel/entry.S (__switch_to).
   */
  .globl __switch_to
  .type __switch_to, @function
__switch_to:
  sd ra, TASK_THREAD_RA(a0)
  sd sp, TASK_THREAD_SP(a0)
  sd s0, TASK_THREAD_S + 8 * 0(a0)
  sd s1, TASK_THREAD_S + 8 * 1(a0)
  .irp n, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
  sd s\n, TASK_THREAD_S + 8 * \n(a0)
  .endr
  ld ra, TASK_THREAD_RA(a1)
  ld sp, TASK_THREAD_SP(a1)
  ld s0, TASK_THREAD_S + 8 * 0(a1)
  ld s1, TASK_THREAD_S + 8 * 1(a1)
  .irp n, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
  ld s\n, TASK_THREAD_S + 8 * \n(a1)
  .endr
  mv tp, a1
  ret
  .size __switch_to, . - __switch_to

  /* void __fstate_save(struct task *), void __fstate_restore(struct task *). Linux, arch/riscv/kernel/fpu.S. */
  .option push
  .option arch, +d
  .globl __fstate_save
  .type __fstate_save, @function
__fstate_save:
  li t1, SR_FS
  csrs sstatus, t1
  csrr t0, fcsr
  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
  fsd f\n, TASK_FP + 8 * \n(a0)
  .endr
  sw t0, TASK_FCSR(a0)
  csrc sstatus, t1
  ret
  .size __fstate_save, . - __fstate_save

  .globl __fstate_restore
  .type __fstate_restore, @function
__fstate_restore:
  li t1, SR_FS
  csrs sstatus, t1
  lw t0, TASK_FCSR(a0)
  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
  fld f\n, TASK_FP + 8 * \n(a0)
  .endr
  csrw fcsr, t0
  csrc sstatus, t1
  ret
  .size __fstate_restore, . - __fstate_restore
  .option pop

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

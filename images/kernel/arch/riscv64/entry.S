/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exceptions, interrupts and system calls: save a pt_regs, call C, restore it. The conventions are those of Linux,
 * arch/riscv/kernel/entry.S (handle_exception, ret_from_exception, ret_from_fork):
 *
 *   user mode    sscratch = struct task, tp = the user's
 *   kernel mode  sscratch = 0, tp = struct task; so an exception in the kernel is told by a swap, and may be taken at any depth
 *
 * Deviation: interrupts stay disabled from here to sret (Linux enables them in system calls and faults). The only window is in
 * do_idle. So the kernel is not preemptible and a run is easier to reason about; a guest program can't tell.
 */
#include "asm-offsets.h"

  /* As Linux, entry text is between __irqentry_text_start and __irqentry_text_end: no probes. */
  .section .irqentry.text, "ax"

  .balign 4 /* stvec's low two bits are its mode: direct */
  .globl handle_exception
  .type handle_exception, @function
handle_exception:
  csrrw tp, sscratch, tp
  bnez tp, .Lfrom_user
  /* From the kernel: tp was in use and sits in sscratch now; go on at the same stack. */
  csrr tp, sscratch
  sd sp, TASK_KERNEL_SP(tp)
.Lfrom_user:
  sd sp, TASK_USER_SP(tp)
  ld sp, TASK_KERNEL_SP(tp)
  addi sp, sp, -PT_SIZE_ON_STACK
  sd x1, PT_RA(sp)
  sd x3, 8 * 3(sp)
  .irp n, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
  sd x\n, 8 * \n(sp)
  .endr

  /* The status before, with FS as user mode left it; off from here on, so that a stray FP instruction of the kernel traps. */
  li t0, SR_SUM | SR_FS | SR_VS
  csrrc s1, sstatus, t0
  csrr s2, sepc
  csrr s3, stval
  csrr s4, scause
  csrr s5, sscratch
  ld s0, TASK_USER_SP(tp)
  sd s0, PT_SP(sp)
  sd s1, PT_STATUS(sp)
  sd s2, PT_EPC(sp)
  sd s3, PT_BADADDR(sp)
  sd s4, PT_CAUSE(sp)
  sd s5, PT_TP(sp)
  /* From now on an exception comes from the kernel. */
  csrw sscratch, zero

  mv a0, sp
  la ra, ret_from_exception
  bltz s4, .Linterrupt
  la t1, excp_vect_table
  slli t0, s4, 3
  add t0, t0, t1
  la t1, excp_vect_table_end
  bgeu t0, t1, .Lunknown
  ld t1, 0(t0)
  jr t1
.Lunknown:
  tail do_trap_unknown
.Linterrupt:
  tail do_irq
  .size handle_exception, . - handle_exception

  .globl ret_from_exception
  .type ret_from_exception, @function
ret_from_exception:
  ld s0, PT_STATUS(sp)
  andi s1, s0, SR_SPP
  bnez s1, 1f
  /* To user mode: the next entry starts where this one's frame ends, and finds the task in sscratch. */
  addi s1, sp, PT_SIZE_ON_STACK
  sd s1, TASK_KERNEL_SP(tp)
  csrw sscratch, tp
1:
  /*
   * A reservation of before the exception must not outlive it: whatever the kernel or another task stored meanwhile, a store
   * conditional of the interrupted code has to fail. A store conditional here takes the reservation away.
   */
  ld a2, PT_EPC(sp)
  sc.d zero, a2, (sp) /* PT_EPC is 0: stores what is there already, if at all */
  csrw sstatus, s0
  csrw sepc, a2
  ld x1, PT_RA(sp)
  .irp n, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
  ld x\n, 8 * \n(sp)
  .endr
  ld x2, PT_SP(sp)
  sret
  .size ret_from_exception, . - ret_from_exception

  /* A new task's first instruction, on a stack that holds nothing but its pt_regs. a0: the task that ran before. */
  .globl ret_from_fork
  .type ret_from_fork, @function
ret_from_fork:
  call schedule_tail
  mv a0, sp
  la ra, ret_from_exception
  tail syscall_exit_to_user_mode
  .size ret_from_fork, . - ret_from_fork
  .globl __irqentry_asm_end
__irqentry_asm_end:

  .section .rodata, "a"
  .balign 8
  .globl excp_vect_table
  .type excp_vect_table, @object
excp_vect_table:
  .dword do_trap_insn_misaligned
  .dword do_trap_insn_fault
  .dword do_trap_insn_illegal
  .dword do_trap_break
  .dword do_trap_load_misaligned
  .dword do_trap_load_fault
  .dword do_trap_store_misaligned
  .dword do_trap_store_fault
  .dword do_trap_ecall_u
  .dword do_trap_ecall_s
  .dword do_trap_unknown
  .dword do_trap_ecall_m
  .dword do_page_fault /* fetch */
  .dword do_page_fault /* load */
  .dword do_trap_unknown
  .dword do_page_fault /* store */
excp_vect_table_end:
  .size excp_vect_table, . - excp_vect_table

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * User mode of the test: loads every register from a buffer, lets something happen, stores every register. One register holds the
 * buffer; each function exists twice, with another one, so that together they see all.
 */
  .option arch, +d
  .section .text.start, "ax"
  .globl _start
_start:
  call user_main
1:
  j 1b

  .text
  .set IN, 0
  .set OUT, 256
  .set FIN, 512
  .set FOUT, 768
  .set FCSR_IN, 1024
  .set FCSR_OUT, 1032
  .set SAVED, 1040

  /* others: every register but x0 and the base. */
  .macro regs_function name, base, others, insns:vararg
  .globl \name
\name:
  .irp n, 1, 2, 3, 4, 8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27
  sd x\n, SAVED + 8 * \n(a0)
  .endr
  mv \base, a0
  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
  fld f\n, FIN + 8 * \n(\base)
  .endr
  ld x7, FCSR_IN(\base)
  csrw fcsr, x7
  .irp n, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, \others
  ld x\n, IN + 8 * \n(\base)
  .endr
  \insns
  .irp n, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, \others
  sd x\n, OUT + 8 * \n(\base)
  .endr
  csrr x7, fcsr
  sd x7, FCSR_OUT(\base)
  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
  fsd f\n, FOUT + 8 * \n(\base)
  .endr
  mv a0, \base
  .irp n, 1, 2, 3, 4, 8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27
  ld x\n, SAVED + 8 * \n(a0)
  .endr
  ret
  .endm

  .macro regs_functions name, insns:vararg
  regs_function \name\()_sp, sp, 31, \insns
  regs_function \name\()_t6, t6, 2, \insns
  .endm

  .macro spin
1:
  addi t0, t0, -1
  bnez t0, 1b
  .endm
  .macro lrsc /* t1: address; t2: 1 if the store conditional failed, as it must */
  lr.d t2, (t1)
  ecall
  sc.d t2, t2, (t1)
  .endm

  regs_functions regs_ecall, ecall
  regs_functions regs_spin, spin
  regs_functions regs_load, ld zero, 0(t1)
  regs_functions regs_store, sd t1, 0(t1)
  regs_functions regs_break, c.ebreak
  regs_functions regs_illegal, .word 0xffffffff
  regs_functions regs_lrsc, lrsc

  /* long call(nr, a0, ..., a5) */
  .globl call
call:
  mv a7, a0
  mv a0, a1
  mv a1, a2
  mv a2, a3
  mv a3, a4
  mv a4, a5
  mv a5, a6
  ecall
  ret

  /* A handler that remembers its signal, leaves nothing as it was, and returns; the firmware has moved the saved pc on. */
  .globl handler
handler:
  la t0, last_signal
  sd a0, 0(t0)
  sd a1, 8(t0)
  .irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
  li x\n, -\n
  .endr
  li a7, 139
  ecall

  .globl exec_entry
exec_entry: /* s1: a value that came through execve; sp: new */
  mv a0, s1
  call after_exec

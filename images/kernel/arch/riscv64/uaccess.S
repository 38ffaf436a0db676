/* SPDX-License-Identifier: Apache-2.0 */
/* The only accesses of this text that may fault: each has an entry in __ex_table that says where to go on. */
#include "asm-offsets.h"

  /* instruction that may fault, and where to go on; both relative, as Linux, arch/riscv/include/asm/asm-extable.h */
  .macro fixup label, instruction:vararg
100:
  \instruction
  .pushsection __ex_table, "a"
  .balign 4
  .word 100b - .
  .word \label - .
  .popsection
  .endm

  .text
  /*
   * unsigned long __copy_user_probe(void *to, const void *from, unsigned long count): copies between kernel and user memory, either
   * way, and returns how many bytes at the end are missing. Bytes alone: what a probe reads is short.
   */
  .globl __copy_user_probe
  .type __copy_user_probe, @function
__copy_user_probe:
  li t1, SR_SUM
  csrs sstatus, t1
  beqz a2, 2f
1:
  fixup 2f, lbu t0, 0(a1)
  fixup 2f, sb t0, 0(a0)
  addi a0, a0, 1
  addi a1, a1, 1
  addi a2, a2, -1
  bnez a2, 1b
2:
  csrc sstatus, t1
  mv a0, a2
  ret
  .size __copy_user_probe, . - __copy_user_probe

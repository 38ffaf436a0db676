/* SPDX-License-Identifier: Apache-2.0 */
/* The only accesses of this text that may fault: each has an entry in __ex_table that says where to go on. */

  /* instruction that may fault, and where to go on; both relative, as Linux, arch/x86/include/asm/asm.h (_ASM_EXTABLE) */
  .macro fixup label, instruction:vararg
100:
  \instruction
  .pushsection __ex_table, "a"
  .balign 4
  .long 100b - .
  .long \label - .
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
  stac
  testq %rdx, %rdx
  jz 2f
1:
  fixup 2f, movb (%rsi), %al
  fixup 2f, movb %al, (%rdi)
  incq %rsi
  incq %rdi
  decq %rdx
  jnz 1b
2:
  clac
  movq %rdx, %rax
  ret
  .size __copy_user_probe, . - __copy_user_probe

/* SPDX-License-Identifier: Apache-2.0 */
/* The general registers of a pt_regs. Linux, arch/x86/entry/calling.h. */
  .macro PUSH_REGS rax=%rax
  pushq %rdi
  pushq %rsi
  pushq %rdx
  pushq %rcx
  pushq \rax
  pushq %r8
  pushq %r9
  pushq %r10
  pushq %r11
  pushq %rbx
  pushq %rbp
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  .endm

  .macro POP_REGS
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbp
  popq %rbx
  popq %r11
  popq %r10
  popq %r9
  popq %r8
  popq %rax
  popq %rcx
  popq %rdx
  popq %rsi
  popq %rdi
  .endm

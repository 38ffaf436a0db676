/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a kprobe that is a jump jumps to: a pt_regs as of an INT3, the handlers, the registers again. Whoever probes copies the template
 * into a slot, fills in the two gaps, and puts copies of the displaced instructions and a jump back behind it. Linux,
 * arch/x86/kernel/kprobes/opt.c (optprobe_template_func).
 */
#include "asm-offsets.h"
#include "regs.h"

  .section .rodata, "a"
  .globl optprobe_template_entry
optprobe_template_entry:
  pushq $__KERNEL_DS
  pushq %rsp /* less the word above: optimized_callback puts it right */
  pushfq
  cld
  clac
  subq $(3 * 8), %rsp /* orig_ax, ip, cs */
  PUSH_REGS
  movq %rsp, %rsi
  .globl optprobe_template_val
optprobe_template_val:
  .skip 10, 0xcc /* rdi = the probed address */
  .globl optprobe_template_call
optprobe_template_call:
  .skip 5, 0xcc /* call optimized_callback */
  movq PT_EFLAGS(%rsp), %rdx
  movq %rdx, PT_SS(%rsp)
  POP_REGS
  addq $(5 * 8), %rsp /* orig_ax, ip, cs, flags, sp */
  popfq
  .globl optprobe_template_end
optprobe_template_end:

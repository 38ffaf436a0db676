/* SPDX-License-Identifier: Apache-2.0 */
/* Offsets for readers of the image's symbol table: absolute symbols layout_*. Nobody repeats these numbers. */
#include "kernel.h"
#include "task.h"

#define SAME(constant, value) _Static_assert(constant == value, #constant)
SAME(PT_EPC, offsetof(struct pt_regs, epc));
SAME(PT_RA, offsetof(struct pt_regs, ra));
SAME(PT_SP, offsetof(struct pt_regs, sp));
SAME(PT_TP, offsetof(struct pt_regs, tp));
SAME(8 * 31, offsetof(struct pt_regs, t6));
SAME(PT_STATUS, offsetof(struct pt_regs, status));
SAME(PT_BADADDR, offsetof(struct pt_regs, badaddr));
SAME(PT_CAUSE, offsetof(struct pt_regs, cause));
SAME(PT_ORIG_A0, offsetof(struct pt_regs, orig_a0));
SAME(PT_SIZE, sizeof(struct pt_regs));
SAME(PT_SIZE_ON_STACK, ((sizeof(struct pt_regs) + 15) & ~15UL));
SAME(TASK_FLAGS, offsetof(struct task, flags));
SAME(TASK_KERNEL_SP, offsetof(struct task, kernel_sp));
SAME(TASK_USER_SP, offsetof(struct task, user_sp));
SAME(TASK_ROOT, offsetof(struct task, root));
SAME(TASK_PID, offsetof(struct task, pid));
SAME(TASK_PAGEFAULT_DISABLED, offsetof(struct task, pagefault_disabled));
SAME(TASK_THREAD_RA, offsetof(struct task, thread.ra));
SAME(TASK_THREAD_SP, offsetof(struct task, thread.sp));
SAME(TASK_THREAD_S, offsetof(struct task, thread.s));
SAME(TASK_FP, offsetof(struct task, thread.fp));
SAME(TASK_FCSR, offsetof(struct task, thread.fp.fcsr));
SAME(TASK_SIZE, sizeof(struct task));

#define STRING1(x) #x
#define STRING(x) STRING1(x)
#define LAYOUT(name, constant) __asm__(".globl layout_" #name "\n.set layout_" #name ", " STRING(constant))
LAYOUT(task_flags, TASK_FLAGS);
LAYOUT(task_kernel_sp, TASK_KERNEL_SP);
LAYOUT(task_user_sp, TASK_USER_SP);
LAYOUT(task_root, TASK_ROOT);
LAYOUT(task_pid, TASK_PID);
LAYOUT(task_pagefault_disabled, TASK_PAGEFAULT_DISABLED);
LAYOUT(task_thread_ra, TASK_THREAD_RA);
LAYOUT(task_thread_sp, TASK_THREAD_SP);
LAYOUT(task_thread_s, TASK_THREAD_S);
LAYOUT(task_fp, TASK_FP);
LAYOUT(task_fcsr, TASK_FCSR);
LAYOUT(task_size, TASK_SIZE);
LAYOUT(task_stack_size, 16384);
SAME(THREAD_SIZE, 16384);
LAYOUT(pt_regs_size, PT_SIZE);
LAYOUT(pt_regs_epc, PT_EPC);
LAYOUT(pt_regs_status, PT_STATUS);
LAYOUT(pt_regs_badaddr, PT_BADADDR);
LAYOUT(pt_regs_cause, PT_CAUSE);
LAYOUT(pt_regs_orig_a0, PT_ORIG_A0);

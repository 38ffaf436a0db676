/* SPDX-License-Identifier: Apache-2.0 */
/* Offsets for readers of the image's symbol table: absolute symbols layout_*. Nobody repeats these numbers. */
#include "kernel.h"
#include "task.h"

#define SAME(constant, value) _Static_assert(constant == value, #constant)
SAME(PT_R15, offsetof(struct pt_regs, r15));
SAME(PT_R11, offsetof(struct pt_regs, r11));
SAME(PT_RAX, offsetof(struct pt_regs, ax));
SAME(PT_RCX, offsetof(struct pt_regs, cx));
SAME(PT_RDI, offsetof(struct pt_regs, di));
SAME(PT_ORIG_RAX, offsetof(struct pt_regs, orig_ax));
SAME(PT_RIP, offsetof(struct pt_regs, ip));
SAME(PT_CS, offsetof(struct pt_regs, cs));
SAME(PT_EFLAGS, offsetof(struct pt_regs, flags));
SAME(PT_RSP, offsetof(struct pt_regs, sp));
SAME(PT_SS, offsetof(struct pt_regs, ss));
SAME(PT_SIZE, sizeof(struct pt_regs));
SAME(TASK_FLAGS, offsetof(struct task, flags));
SAME(TASK_KERNEL_SP, offsetof(struct task, kernel_sp));
SAME(TASK_USER_SP, offsetof(struct task, user_sp));
SAME(TASK_ROOT, offsetof(struct task, root));
SAME(TASK_PID, offsetof(struct task, pid));
SAME(TASK_PAGEFAULT_DISABLED, offsetof(struct task, pagefault_disabled));
SAME(TASK_THREAD_RA, offsetof(struct task, thread.ra));
SAME(TASK_THREAD_SP, offsetof(struct task, thread.sp));
SAME(TASK_THREAD_S, offsetof(struct task, thread.s));
SAME(TASK_BASES, offsetof(struct task, thread.fsbase));
SAME(TASK_FAULT, offsetof(struct task, thread.cr2));
SAME(TASK_FP, offsetof(struct task, thread.fp));
SAME(TASK_SIZE, sizeof(struct task));
SAME(CPU_CURRENT, offsetof(struct cpu_area, current_task));
SAME(CPU_TOP_OF_STACK, offsetof(struct cpu_area, top_of_stack));
SAME(CPU_USER_SP, offsetof(struct cpu_area, user_sp));

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
LAYOUT(task_bases, TASK_BASES);
LAYOUT(task_fault, TASK_FAULT);
LAYOUT(task_fp, TASK_FP);
LAYOUT(task_size, TASK_SIZE);
LAYOUT(task_stack_size, 16384);
SAME(THREAD_SIZE, 16384);
LAYOUT(pt_regs_size, PT_SIZE);
LAYOUT(pt_regs_on_stack, PT_SIZE_ON_STACK);

/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that assembly and C share; layout.c asserts that they are what the compiler lays out. */
#ifndef ASM_OFFSETS_H
#define ASM_OFFSETS_H

/* struct pt_regs */
#define PT_R15 0
#define PT_R11 48
#define PT_RAX 80
#define PT_RCX 88
#define PT_RDI 112
#define PT_ORIG_RAX 120
#define PT_RIP 128
#define PT_CS 136
#define PT_EFLAGS 144
#define PT_RSP 152
#define PT_SS 160
#define PT_SIZE 168
#define PT_SIZE_ON_STACK 168 /* as the processor pushes it: up to the very top */

/* struct task */
#define TASK_FLAGS 0
#define TASK_KERNEL_SP 8
#define TASK_USER_SP 16
#define TASK_ROOT 24
#define TASK_PID 32
#define TASK_PAGEFAULT_DISABLED 40
#define TASK_THREAD_RA 64
#define TASK_THREAD_SP 72
#define TASK_THREAD_S 80
#define TASK_BASES 128
#define TASK_FAULT 144
#define TASK_FP 192
#define TASK_SIZE 1024

/* struct cpu_area, at the kernel's GS base */
#define CPU_CURRENT 0
#define CPU_TOP_OF_STACK 8
#define CPU_USER_SP 16

/* Linux, arch/x86/include/asm/segment.h */
#define __KERNEL_CS 0x10
#define __KERNEL_DS 0x18
#define __USER32_CS 0x23
#define __USER_DS 0x2b
#define __USER_CS 0x33
#define GDT_ENTRY_TSS 8
#define GDT_ENTRIES 16

#define X86_EFLAGS_TF 0x100
#define X86_EFLAGS_RF 0x10000

#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_SYSCALL_MASK 0xc0000084
#define MSR_FS_BASE 0xc0000100
#define MSR_GS_BASE 0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102

/* Which of the task-state segment's stacks. */
#define IST_DF 1
#define IST_NMI 2
#define IST_DB 3
#define IST_MCE 4

#endif

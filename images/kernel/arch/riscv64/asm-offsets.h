/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that assembly and C share; layout.c asserts that they are what the compiler lays out. */
#ifndef ASM_OFFSETS_H
#define ASM_OFFSETS_H

/* struct pt_regs: register xN is at 8 * N, epc in the place of x0. */
#define PT_EPC 0
#define PT_RA 8
#define PT_SP 16
#define PT_TP 32
#define PT_STATUS 256
#define PT_BADADDR 264
#define PT_CAUSE 272
#define PT_ORIG_A0 280
#define PT_SIZE 288
#define PT_SIZE_ON_STACK 288 /* a multiple of 16 */

/* struct task */
#define TASK_FLAGS 0
#define TASK_KERNEL_SP 8
#define TASK_USER_SP 16
#define TASK_ROOT 24
#define TASK_PID 32
#define TASK_PAGEFAULT_DISABLED 40
#define TASK_THREAD_RA 48
#define TASK_THREAD_SP 56
#define TASK_THREAD_S 64
#define TASK_FP 160
#define TASK_FCSR 416
#define TASK_SIZE 424

/* sstatus */
#define SR_SIE 0x2
#define SR_SPIE 0x20
#define SR_SPP 0x100
#define SR_VS 0x600
#define SR_FS 0x6000
#define SR_FS_CLEAN 0x4000
#define SR_FS_DIRTY 0x6000
#define SR_SUM 0x40000

/* scause */
#define CAUSE_IRQ_FLAG (1UL << 63)
#define IRQ_S_SOFT 1
#define IRQ_S_TIMER 5
#define IRQ_S_EXT 9
#define EXC_INST_PAGE_FAULT 12
#define EXC_LOAD_PAGE_FAULT 13
#define EXC_STORE_PAGE_FAULT 15

#endif

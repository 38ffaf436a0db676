/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task as the guest sees it: this structure at the lowest address of a 16 KiB block, the kernel stack above it, and at the top of
 * the block the pt_regs of the last entry from user mode. The model owns everything else about a task. Offsets leave the image as
 * absolute symbols (arch's layout.c); assembly has them from asm-offsets.h.
 */
#ifndef TASK_H
#define TASK_H

#include "thread.h"

#define THREAD_SIZE 16384

#define TIF_NEED_RESCHED 0
#define TIF_SIGPENDING 1
#define TIF_NOTIFY 2
#define _TIF_NEED_RESCHED (1UL << TIF_NEED_RESCHED)
#define _TIF_SIGPENDING (1UL << TIF_SIGPENDING)
#define _TIF_NOTIFY (1UL << TIF_NOTIFY)
#define EXIT_TO_USER_MODE_WORK (_TIF_NEED_RESCHED | _TIF_SIGPENDING | _TIF_NOTIFY)

struct task {
  unsigned long flags;     /* TIF_*: set by the model during a gate call or by this text, never at another time */
  unsigned long kernel_sp; /* where entry code puts the stack when it comes from user mode */
  unsigned long user_sp;   /* entry code's scratch */
  unsigned long root;      /* page-table register */
  long pid;
  unsigned long pagefault_disabled; /* guest only: faults of kernel mode go to the fixup table at once */
  struct thread_struct thread;      /* what __switch_to and the FP code save */
};

extern union thread_union {
  struct task task;
  unsigned long stack[THREAD_SIZE / sizeof(unsigned long)];
} init_thread_union;

/* The idle task. Its block is in the image, its stack is the boot stack. */
extern struct task init_task;

static inline struct pt_regs *task_pt_regs(struct task *task) {
  return (struct pt_regs *)((unsigned long)task + THREAD_SIZE - PT_SIZE_ON_STACK);
}

static inline bool need_resched(void) { return READ_ONCE(current->flags) & _TIF_NEED_RESCHED; }
static inline void clear_flag(struct task *task, unsigned long flag) {
  __atomic_fetch_and(&task->flags, ~flag, __ATOMIC_RELAXED);
}

/* sched.c */
void schedule(void);
void __schedule(void);
struct task *pick_next_task(struct task *prev);
void context_switch(struct task *prev, struct task *next);
void schedule_tail(struct task *prev);
void do_idle(void) __noreturn;
void scheduler_tick(struct pt_regs *regs);

/* switch.S */
struct task *__switch_to(struct task *prev, struct task *next);
void __fstate_save(struct task *task);
void __fstate_restore(struct task *task);
void ret_from_fork(void);

/* process.c */
void do_exit(long code) __noreturn;
void do_group_exit(int code) __noreturn;

/* entry.c */
void irqentry_enter(struct pt_regs *regs);
void irqentry_exit(struct pt_regs *regs);
void syscall_exit_to_user_mode(struct pt_regs *regs);
void exit_to_user_mode_loop(struct pt_regs *regs, unsigned long work);
void arch_do_signal_or_restart(struct pt_regs *regs);
void resume_user_mode_work(struct pt_regs *regs);
void die(struct pt_regs *regs) __noreturn;

/* fault.c */
long handle_mm_fault(unsigned long address, unsigned int access, struct pt_regs *regs);
void handle_page_fault(struct pt_regs *regs, unsigned long address, unsigned int access);
long do_trap_error(struct pt_regs *regs, unsigned long cause); /* 0: the model dealt with it */
bool fixup_exception(struct pt_regs *regs);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The C around every trap: what is left to do before user mode goes on. Linux, kernel/entry/common.c and
 * include/linux/irq-entry-common.h. Interrupts are disabled throughout.
 */
#include "gate.h"
#include "kernel.h"
#include "task.h"

static inline void exit_to_user_mode_prepare(struct pt_regs *regs) {
  for (;;) {
    unsigned long work = READ_ONCE(current->flags) & EXIT_TO_USER_MODE_WORK;
    if (unlikely(work)) exit_to_user_mode_loop(regs, work);
    /* The returning instruction would fault: the program gets what it would have got there. */
    if (likely(!bad_return(regs))) return;
    do_trap_error(regs, BAD_RETURN_CAUSE);
  }
}

/* Nothing to do yet; here is where time would begin to be the kernel's. */
noinstr void irqentry_enter(struct pt_regs *regs) { (void)regs; }

/* A trap of kernel mode just goes back: the kernel is not preemptible. */
noinstr void irqentry_exit(struct pt_regs *regs) {
  if (user_mode(regs)) exit_to_user_mode_prepare(regs);
}

noinstr void syscall_exit_to_user_mode(struct pt_regs *regs) { exit_to_user_mode_prepare(regs); }

noinline void exit_to_user_mode_loop(struct pt_regs *regs, unsigned long work) {
  while (work) {
    if (work & _TIF_NEED_RESCHED) schedule();
    if (work & _TIF_SIGPENDING) arch_do_signal_or_restart(regs);
    if (work & _TIF_NOTIFY) resume_user_mode_work(regs);
    /* What was done may have brought more: a signal while another task ran, a handler that yields. */
    work = READ_ONCE(current->flags) & EXIT_TO_USER_MODE_WORK;
  }
}

/* The model delivers one signal or none, and takes TIF_SIGPENDING away when no more are pending. */
noinline long do_signal(struct pt_regs *regs);
noinline long do_signal(struct pt_regs *regs) { return gate_call(GATE_SIGNAL, (long)regs, (long)_TIF_SIGPENDING, 0); }

noinline void arch_do_signal_or_restart(struct pt_regs *regs) {
  long value = do_signal(regs);
  if (value & GATE_SIGNAL_EXIT) do_group_exit((int)value);
}

/* TIF_NOTIFY (uprobes): the same gate function, told apart by its second argument. */
noinline void resume_user_mode_work(struct pt_regs *regs) {
  clear_flag(current, _TIF_NOTIFY);
  long value = gate_call(GATE_SIGNAL, (long)regs, (long)_TIF_NOTIFY, 0);
  if (value & GATE_SIGNAL_EXIT) do_group_exit((int)value);
}

/* The model prints the registers and stops the machine. */
noinstr void die(struct pt_regs *regs) {
  gate_call(GATE_DIE, (long)regs, 0, 0);
  for (;;) wait_for_interrupt();
}

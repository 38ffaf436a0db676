/* SPDX-License-Identifier: Apache-2.0 */
/* Who runs: the model decides, this text switches. Linux, kernel/sched/{core,idle}.c, arch/riscv/mm/context.c. */
#include "gate.h"
#include "kernel.h"
#include "task.h"

void switch_mm(struct task *prev, struct task *next);

/* The task to run next, perhaps the same one, or init_task if there is none. */
noinline struct task *pick_next_task(struct task *prev) { return (struct task *)gate_call(GATE_SCHEDULE, (long)prev, 0, 0); }

/*
 * The page-table register is written only where it changes. Without a new ASID the TLB may hold the old root's pages under the
 * same name, and goes.
 */
noinline void switch_mm(struct task *prev, struct task *next) {
  unsigned long old = prev->root, new = next->root;
  if (old == new) return;
  write_root(new);
  if (same_asid(old, new)) local_flush_tlb_all();
}

noinline void context_switch(struct task *prev, struct task *next) {
  switch_mm(prev, next);
  switch_fp(prev, task_pt_regs(prev), next, task_pt_regs(next));
  __switch_to(prev, next);
  /* Here prev runs again, on its own stack. */
}

noinline void __schedule(void) {
  struct task *prev = current;
  struct task *next = pick_next_task(prev);
  clear_flag(prev, _TIF_NEED_RESCHED);
  if (likely(next != prev)) context_switch(prev, next);
}

noinline void schedule(void) {
  do {
    __schedule();
  } while (need_resched());
}

/* A new task's first C: prev is off the hart now. */
noinline void schedule_tail(struct task *prev) { gate_call(GATE_FORKED, (long)prev, 0, 0); }

noinline void scheduler_tick(struct pt_regs *regs) { gate_call(GATE_TICK, (long)regs, 0, 0); }

/* The only place where interrupts are taken in kernel mode. */
noinline void arch_cpu_idle(bool wait);
noinline void arch_cpu_idle(bool wait) { idle_window(wait); }

/* Nobody is runnable. The model answers 1 if there is an interrupt to wait for, 0 if it has made something happen itself. */
noinline void do_idle(void) {
  for (;;) {
    schedule();
    arch_cpu_idle(gate_call(GATE_IDLE, 0, 0, 0) != 0);
  }
}

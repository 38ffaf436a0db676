/* SPDX-License-Identifier: Apache-2.0 */
/* Causes of riscv64 to what generic code does about them. Linux, arch/riscv/kernel/traps.c. */
#include "gate.h"
#include "kernel.h"
#include "syscalls.h"
#include "task.h"

void trap_init(void);
void do_trap_ecall_u(struct pt_regs *regs);
void do_page_fault(struct pt_regs *regs);
void do_irq(struct pt_regs *regs);
void handle_riscv_irq(struct pt_regs *regs);
void timer_interrupt(struct pt_regs *regs);
void handle_soft_irq(struct pt_regs *regs);
void handle_external_irq(struct pt_regs *regs);

#define DO_ERROR_INFO(name) \
  void name(struct pt_regs *regs); \
  noinstr void name(struct pt_regs *regs) { \
    irqentry_enter(regs); \
    do_trap_error(regs, regs->cause); \
    irqentry_exit(regs); \
  }

DO_ERROR_INFO(do_trap_unknown)
DO_ERROR_INFO(do_trap_insn_misaligned)
DO_ERROR_INFO(do_trap_insn_fault)
DO_ERROR_INFO(do_trap_insn_illegal)
DO_ERROR_INFO(do_trap_break)
DO_ERROR_INFO(do_trap_load_misaligned)
DO_ERROR_INFO(do_trap_load_fault)
DO_ERROR_INFO(do_trap_store_misaligned)
DO_ERROR_INFO(do_trap_store_fault)
DO_ERROR_INFO(do_trap_ecall_s)
DO_ERROR_INFO(do_trap_ecall_m)

noinstr void do_trap_ecall_u(struct pt_regs *regs) {
  unsigned long nr = regs->a7;
  regs->epc += 4;
  regs->orig_a0 = regs->a0;
  regs->a0 = (unsigned long)-ENOSYS;
  if (likely(nr < NR_syscalls)) regs->a0 = (unsigned long)sys_call_table[nr](regs);
  syscall_exit_to_user_mode(regs);
}

noinstr void do_page_fault(struct pt_regs *regs) {
  unsigned int access = regs->cause == EXC_STORE_PAGE_FAULT ? FAULT_STORE
                        : regs->cause == EXC_INST_PAGE_FAULT ? FAULT_FETCH
                                                             : FAULT_LOAD;
  irqentry_enter(regs);
  handle_page_fault(regs, regs->badaddr, access);
  irqentry_exit(regs);
}

noinline void timer_interrupt(struct pt_regs *regs) { scheduler_tick(regs); }

noinline void handle_external_irq(struct pt_regs *regs) { gate_call(GATE_IRQ, (long)regs, 0, 0); }

noinline void handle_soft_irq(struct pt_regs *regs) {
  /* The pending bit is the guest's to clear; the other two are their devices'. */
  __asm__ volatile("csrci sip, 2" ::: "memory");
  gate_call(GATE_IRQ, (long)regs, 0, 0);
}

noinline void handle_riscv_irq(struct pt_regs *regs) {
  switch (regs->cause & ~CAUSE_IRQ_FLAG) {
    case IRQ_S_TIMER:
      timer_interrupt(regs);
      break;
    case IRQ_S_SOFT:
      handle_soft_irq(regs);
      break;
    default:
      handle_external_irq(regs);
  }
}

noinstr void do_irq(struct pt_regs *regs) {
  irqentry_enter(regs);
  handle_riscv_irq(regs);
  irqentry_exit(regs);
}

noinline void trap_init(void) {
  /* rdtime in user mode, rdcycle and rdinstret not: Linux, drivers/perf/riscv_pmu_sbi.c (pmu_sbi_starting_cpu). */
  __asm__ volatile("csrw scounteren, %0" ::"r"(2));
  __asm__ volatile("csrw sie, %0" ::"r"(1UL << IRQ_S_SOFT | 1UL << IRQ_S_TIMER | 1UL << IRQ_S_EXT));
}

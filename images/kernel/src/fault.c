/* SPDX-License-Identifier: Apache-2.0 */
/* Page faults and other synchronous traps. Linux, arch/{riscv,x86}/mm/{fault,extable}.c, kernel/extable.c. */
#include "gate.h"
#include "kernel.h"
#include "task.h"

/* A place that may fault and where to go on after that, each relative to its own field. */
struct exception_table_entry {
  int insn, fixup;
};
extern const struct exception_table_entry __start___ex_table[], __stop___ex_table[];

const struct exception_table_entry *search_exception_tables(unsigned long pc);
void no_context(struct pt_regs *regs);

/* A handful of entries: no need to sort them. */
__kprobes const struct exception_table_entry *search_exception_tables(unsigned long pc) {
  for (const struct exception_table_entry *entry = __start___ex_table; entry < __stop___ex_table; entry++)
    if ((unsigned long)&entry->insn + (unsigned long)(long)entry->insn == pc) return entry;
  return NULL;
}

__kprobes bool fixup_exception(struct pt_regs *regs) {
  const struct exception_table_entry *entry = search_exception_tables(instruction_pointer(regs));
  if (!entry) return false;
  instruction_pointer_set(regs, (unsigned long)&entry->fixup + (unsigned long)(long)entry->fixup);
  return true;
}

/* A fault of kernel mode that no mapping explains. */
noinline void no_context(struct pt_regs *regs) {
  if (!fixup_exception(regs)) die(regs);
}

/* 0: the access may be tried again. Else, for user mode, the model has queued a signal. */
noinline long handle_mm_fault(unsigned long address, unsigned int access, struct pt_regs *regs) {
  return gate_call(GATE_FAULT, (long)regs, (long)address, (long)access);
}

noinline void handle_page_fault(struct pt_regs *regs, unsigned long address, unsigned int access) {
  /* Whoever disabled faults wants an error, not a page. */
  if (!user_mode(regs) && current->pagefault_disabled) return no_context(regs);
  long signal = handle_mm_fault(address, access, regs);
  if (unlikely(signal) && !user_mode(regs)) no_context(regs);
}

/*
 * Everything that is neither a system call nor a page fault. From kernel mode too: a break there is a kprobe's, and 0 says that
 * the model knows it.
 */
__kprobes long do_trap_error(struct pt_regs *regs, unsigned long cause) {
  long unknown = gate_call(GATE_TRAP, (long)regs, (long)cause, 0);
  if (unlikely(unknown) && !user_mode(regs)) no_context(regs);
  return unknown;
}

NOKPROBE_SYMBOL(no_context);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one place that calls the gate. What the answer asks for (TLB and instruction-cache maintenance, a new root) is executed here,
 * by guest instructions, so that forgetting it is a failure that shows.
 */
#include "kernel.h"
#include "task.h"

#include "arch_gate.h"

static inline __attribute__((always_inline)) void gate_maintain(const struct gate_result *result) {
  if (result->actions & GATE_RELOAD_ROOT) {
    write_root(current->root);
    local_flush_tlb_all();
  }
  if (result->actions & GATE_FLUSH_ALL) local_flush_tlb_all();
  if (result->actions & GATE_FLUSH_PAGE) local_flush_tlb_page(result->address);
  if (result->actions & GATE_FENCE_I) local_flush_icache_all();
}

/*
 * Not for probes: their traps come through here. BLOCK gives up the hart and, once this task runs again, asks the same question: the
 * model keeps what was done so far.
 */
noinstr long gate_call(long function, long a0, long a1, long a2) {
  for (;;) {
    struct gate_result result = gate_enter(function, a0, a1, a2);
    if (likely(result.actions == 0)) return result.value;
    gate_maintain(&result);
    if (!(result.actions & GATE_BLOCK)) return result.value;
    schedule();
  }
}

noinline long gate_syscall(long nr, const long arguments[6]) {
  return gate_call(GATE_SYSCALL, nr, (long)arguments, (long)task_pt_regs(current));
}

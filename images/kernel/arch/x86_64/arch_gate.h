/* SPDX-License-Identifier: Apache-2.0 */
/* The gate on x86_64: a call to the virtual machine's monitor. rax, rcx and rdx come back changed, every other register as it was. */
#ifndef ARCH_GATE_H
#define ARCH_GATE_H

#include "gate.h"

static inline struct gate_result gate_enter(long function, long arg0, long arg1, long arg2) {
  long value = GATE_EXTENSION, actions = function, address = arg2;
  __asm__ volatile("vmcall" : "+a"(value), "+c"(actions), "+d"(address) : "D"(arg0), "S"(arg1) : "memory");
  return (struct gate_result){.value = value, .actions = (unsigned long)actions, .address = (unsigned long)address};
}

#endif

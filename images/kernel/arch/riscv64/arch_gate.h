/* SPDX-License-Identifier: Apache-2.0 */
/* The gate on riscv64: an environment call from S-mode. a0 to a2 come back changed, every other register as it was. */
#ifndef ARCH_GATE_H
#define ARCH_GATE_H

#include "gate.h"

static inline struct gate_result gate_enter(long function, long arg0, long arg1, long arg2) {
  register long a0 __asm__("a0") = arg0;
  register long a1 __asm__("a1") = arg1;
  register long a2 __asm__("a2") = arg2;
  register long a3 __asm__("a3") = 0;
  register long a4 __asm__("a4") = 0;
  register long a6 __asm__("a6") = function;
  register long a7 __asm__("a7") = GATE_EXTENSION;
  __asm__ volatile("ecall" : "+r"(a0), "+r"(a1), "+r"(a2) : "r"(a3), "r"(a4), "r"(a6), "r"(a7) : "memory");
  return (struct gate_result){.value = a0, .actions = (unsigned long)a1, .address = (unsigned long)a2};
}

#endif

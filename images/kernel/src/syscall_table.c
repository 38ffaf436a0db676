/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that follows from a line of syscalls.def, and the table by number. */
#include "syscalls.h"

#define SYSCALL_FN(name, n, ...) \
  long SYSCALL_FUNCTION(name)(const struct pt_regs *regs); \
  noinline long SYSCALL_FUNCTION(name)(const struct pt_regs *regs) { \
    (void)regs; \
    return __do_sys_##name(SC_MAP##n(SC_FROM_REGS, ##__VA_ARGS__)); \
  }
#define SYSCALL(name, n, ...) \
  SYSCALL_FN(name, n, ##__VA_ARGS__) \
  noinline long __do_sys_##name(SC_PARAMETERS(n, ##__VA_ARGS__)) { \
    return MODEL_SYSCALL(name, SC_MAP##n(SC_LONG, ##__VA_ARGS__)); \
  }
#define SYSCALL_VIA(name, inner, n, ...) \
  SYSCALL_FN(name, n, ##__VA_ARGS__) \
  noinline long __do_sys_##name(SC_PARAMETERS(n, ##__VA_ARGS__)) { \
    return inner(SC_MAP##n(SC_NAME, ##__VA_ARGS__)); \
  } \
  noinline long inner(SC_PARAMETERS(n, ##__VA_ARGS__)) { \
    return MODEL_SYSCALL(name, SC_MAP##n(SC_LONG, ##__VA_ARGS__)); \
  }
#include "syscalls.def"
#include "syscalls_arch.def"
#undef SYSCALL
#undef SYSCALL_VIA
#undef SYSCALL_FN

/* Numbers without a function still reach the model: it counts them and answers. */
noinline long sys_ni_syscall(long nr, long a0, long a1, long a2, long a3, long a4, long a5) {
  return gate_syscall(nr, (const long[6]){a0, a1, a2, a3, a4, a5});
}

long SYSCALL_FUNCTION(ni_syscall)(const struct pt_regs *regs);
noinline long SYSCALL_FUNCTION(ni_syscall)(const struct pt_regs *regs) {
#define ARGUMENT(n) (long)syscall_argument(regs, n)
  return sys_ni_syscall((long)syscall_number(regs), ARGUMENT(0), ARGUMENT(1), ARGUMENT(2), ARGUMENT(3), ARGUMENT(4), ARGUMENT(5));
}

#define SYSCALL_NR(number, name) [number] = SYSCALL_FUNCTION(name),
#pragma clang diagnostic ignored "-Winitializer-overrides"
const syscall_fn sys_call_table[NR_syscalls] = {
    [0 ... NR_syscalls - 1] = SYSCALL_FUNCTION(ni_syscall),
#include "syscall_nr.h"
};

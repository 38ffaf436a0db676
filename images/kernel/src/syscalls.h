/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions of syscalls.def, in the shape of Linux's SYSCALL_DEFINE (include/linux/syscalls.h,
 * arch/riscv/include/asm/syscall_wrapper.h): the table calls __riscv_sys_<name>(regs), which takes the arguments out of the frame
 * and calls __do_sys_<name>(arguments) with real types, so that an int arrives as one.
 */
#ifndef SYSCALLS_H
#define SYSCALLS_H

#include "gate.h"
#include "kernel.h"
#include "task.h"

#define SC_MAP0(m)
#define SC_MAP1(m, t0, a0) m(0, t0, a0)
#define SC_MAP2(m, t0, a0, ...) m(0, t0, a0), SC_REST1(m, 1, __VA_ARGS__)
#define SC_MAP3(m, t0, a0, ...) m(0, t0, a0), SC_REST2(m, 1, 2, __VA_ARGS__)
#define SC_MAP4(m, t0, a0, ...) m(0, t0, a0), SC_REST3(m, 1, 2, 3, __VA_ARGS__)
#define SC_MAP5(m, t0, a0, ...) m(0, t0, a0), SC_REST4(m, 1, 2, 3, 4, __VA_ARGS__)
#define SC_MAP6(m, t0, a0, ...) m(0, t0, a0), SC_REST5(m, 1, 2, 3, 4, 5, __VA_ARGS__)
#define SC_REST1(m, i, t, a) m(i, t, a)
#define SC_REST2(m, i, j, t, a, ...) m(i, t, a), SC_REST1(m, j, __VA_ARGS__)
#define SC_REST3(m, i, j, k, t, a, ...) m(i, t, a), SC_REST2(m, j, k, __VA_ARGS__)
#define SC_REST4(m, i, j, k, l, t, a, ...) m(i, t, a), SC_REST3(m, j, k, l, __VA_ARGS__)
#define SC_REST5(m, i, j, k, l, n, t, a, ...) m(i, t, a), SC_REST4(m, j, k, l, n, __VA_ARGS__)

#define SC_PARAMETER(i, type, name) type name
#define SC_NAME(i, type, name) name
#define SC_LONG(i, type, name) (long)(name)
#define SC_FROM_REGS(i, type, name) (type)syscall_argument(regs, i)

/* (void) where there are none */
#define SC_PARAMETERS(n, ...) SC_PARAMETERS##n(__VA_ARGS__)
#define SC_PARAMETERS0(...) void
#define SC_PARAMETERS1(...) SC_MAP1(SC_PARAMETER, __VA_ARGS__)
#define SC_PARAMETERS2(...) SC_MAP2(SC_PARAMETER, __VA_ARGS__)
#define SC_PARAMETERS3(...) SC_MAP3(SC_PARAMETER, __VA_ARGS__)
#define SC_PARAMETERS4(...) SC_MAP4(SC_PARAMETER, __VA_ARGS__)
#define SC_PARAMETERS5(...) SC_MAP5(SC_PARAMETER, __VA_ARGS__)
#define SC_PARAMETERS6(...) SC_MAP6(SC_PARAMETER, __VA_ARGS__)

/* Structures of user memory: this text only hands their addresses on. */
struct clone_args;
struct epoll_event;
struct iovec;
struct msghdr;
struct open_how;
struct pollfd;
struct rlimit;
struct rusage;
struct sigaction;
struct sigevent;
struct siginfo;
struct sockaddr;
struct stat;
struct statfs;
struct statx;
struct sysinfo;
struct timespec;
struct timeval;

#define SYSCALL_FN(name, n, ...) long __do_sys_##name(SC_PARAMETERS(n, ##__VA_ARGS__));
#define SYSCALL(name, n, ...) SYSCALL_FN(name, n, ##__VA_ARGS__)
#define SYSCALL_VIA(name, inner, n, ...) \
  long inner(SC_PARAMETERS(n, ##__VA_ARGS__)); \
  SYSCALL_FN(name, n, ##__VA_ARGS__)
#include "syscalls.def"
#include "syscalls_arch.def"
#undef SYSCALL
#undef SYSCALL_VIA
#undef SYSCALL_FN

/* NR_<function>, and NR_syscalls: one more than the highest number. */
#define SYSCALL_NR(number, name) NR_##name = number,
enum {
#include "syscall_nr.h"
};
#undef SYSCALL_NR

/* Linux's struct, without what the model reads from registers. */
struct kernel_clone_args {
  unsigned long flags, stack, tls;
  int *parent_tid, *child_tid;
};
long kernel_clone(struct kernel_clone_args *args);

typedef long (*syscall_fn)(const struct pt_regs *regs);
extern const syscall_fn sys_call_table[NR_syscalls];
long sys_ni_syscall(long nr, long a0, long a1, long a2, long a3, long a4, long a5);

/* What an inner-most function ends with: the model does the work with the arguments as this function has them now. */
#define MODEL_SYSCALL(name, ...) gate_syscall(NR_##name, (const long[6]){__VA_ARGS__})

#endif

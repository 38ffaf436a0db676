/* SPDX-License-Identifier: Apache-2.0 */
/* What every file of the guest kernel needs: C types without a C library, and where functions go. */
#ifndef KERNEL_H
#define KERNEL_H

typedef __SIZE_TYPE__ size_t;
typedef long loff_t;
typedef unsigned int u32;
typedef unsigned long u64;
#define NULL ((void *)0)
#define bool _Bool
#define true 1
#define false 0

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define offsetof(type, member) __builtin_offsetof(type, member)
#define noinline __attribute__((noinline))
#define __noreturn __attribute__((noreturn))
#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

/*
 * Code that runs on the way from a trap to the handler of a probe: a probe on it would hit itself. The sections are delimited by
 * symbols in kernel.ld, as in Linux, include/asm-generic/vmlinux.lds.h (NOINSTR_TEXT, KPROBES_TEXT, IRQENTRY_TEXT).
 */
#define noinstr noinline __attribute__((section(".noinstr.text")))
#define __kprobes noinline __attribute__((section(".kprobes.text")))

/* A function elsewhere that takes no probe: its address in _kprobe_blacklist (Linux, include/asm-generic/kprobes.h). */
#define NOKPROBE_SYMBOL(fn) \
  const unsigned long _kbl_addr_##fn __attribute__((used, section("_kprobe_blacklist"))) = (unsigned long)fn

#define ENOSYS 38
#define EFAULT 14

void printk(const char *text);
void *memcpy(void *to, const void *from, size_t count);
void *memset(void *to, int byte, size_t count);

#endif

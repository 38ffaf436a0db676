/* SPDX-License-Identifier: Apache-2.0 */
/* Registers of riscv64 as they lie in memory, and the instructions that generic code can't say. */
#ifndef THREAD_H
#define THREAD_H

#include "asm-offsets.h"
#include "kernel.h"

/* Linux, arch/riscv/include/asm/ptrace.h. */
struct pt_regs {
  unsigned long epc, ra, sp, gp, tp, t0, t1, t2, s0, s1;
  unsigned long a0, a1, a2, a3, a4, a5, a6, a7;
  unsigned long s2, s3, s4, s5, s6, s7, s8, s9, s10, s11;
  unsigned long t3, t4, t5, t6;
  unsigned long status, badaddr, cause, orig_a0;
};

struct thread_struct {
  unsigned long ra, sp, s[12];
  struct {
    u64 f[32];
    u32 fcsr;
  } fp; /* Linux's struct __riscv_d_ext_state */
};

/* tp in the kernel (Linux, arch/riscv/include/asm/current.h). */
register struct task *current __asm__("tp");

#define SYSCALL_FUNCTION(name) __riscv_sys_##name

static inline bool user_mode(const struct pt_regs *regs) { return !(regs->status & SR_SPP); }

/* Argument n of a system call. a0 is taken where entry code put it: a0 itself already holds -ENOSYS. */
static inline unsigned long syscall_argument(const struct pt_regs *regs, int n) {
  return n == 0 ? regs->orig_a0 : (&regs->a0)[n];
}
static inline unsigned long syscall_number(const struct pt_regs *regs) { return regs->a7; }

static inline void local_flush_tlb_all(void) { __asm__ volatile("sfence.vma" ::: "memory"); }
static inline void local_flush_tlb_page(unsigned long address) {
  __asm__ volatile("sfence.vma %0" ::"r"(address) : "memory");
}
static inline void local_flush_icache_all(void) { __asm__ volatile("fence.i" ::: "memory"); }
static inline unsigned long read_root(void) {
  unsigned long value;
  __asm__ volatile("csrr %0, satp" : "=r"(value));
  return value;
}
/* The translations of the old root may stay: they are those of another ASID, or the caller flushes. */
static inline void write_root(unsigned long value) { __asm__ volatile("csrw satp, %0" ::"r"(value) : "memory"); }
static inline bool same_asid(unsigned long a, unsigned long b) { return ((a ^ b) >> 44 & 0xffff) == 0; }

static inline unsigned long instruction_pointer(const struct pt_regs *regs) { return regs->epc; }
static inline void instruction_pointer_set(struct pt_regs *regs, unsigned long value) { regs->epc = value; }

/* sret to user mode can't fault. */
#define BAD_RETURN_CAUSE 0
static inline bool bad_return(const struct pt_regs *regs) {
  (void)regs;
  return false;
}

/* clone takes tls before child_tidptr; mmap has a function of its own. */
#define CONFIG_CLONE_BACKWARDS
#define ARCH_SYS_MMAP riscv_sys_mmap

static inline void wait_for_interrupt(void) { __asm__ volatile("wfi" ::: "memory"); }
/*
 * Waits with interrupts disabled at the hart but enabled each in sie: wfi falls through if one is pending already, so none is
 * slept over between the model's answer and wfi. Then it is taken. Linux, arch/riscv/kernel/process.c (arch_cpu_idle).
 */
static inline void idle_window(bool wait) {
  if (wait) wait_for_interrupt();
  __asm__ volatile("csrsi sstatus, 2" ::: "memory");
  __asm__ volatile("csrci sstatus, 2" ::: "memory");
}

/*
 * FP registers are the user's and stay in the hart while the kernel runs, for it uses none. Saved status says whether they differ
 * from what is in memory (Linux, arch/riscv/include/asm/switch_to.h: fstate_save, fstate_restore).
 */
void __fstate_save(struct task *task);
void __fstate_restore(struct task *task);
static inline void switch_fp(struct task *prev, struct pt_regs *prev_regs, struct task *next, struct pt_regs *next_regs) {
  if ((prev_regs->status & SR_FS) == SR_FS_DIRTY) {
    __fstate_save(prev);
    prev_regs->status = (prev_regs->status & ~SR_FS) | SR_FS_CLEAN;
  }
  if (next_regs->status & SR_FS) {
    __fstate_restore(next);
    next_regs->status = (next_regs->status & ~SR_FS) | SR_FS_CLEAN;
  }
}

#endif

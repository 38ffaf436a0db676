/* SPDX-License-Identifier: Apache-2.0 */
/* Registers of x86_64 as they lie in memory, and the instructions that generic code can't say. */
#ifndef THREAD_H
#define THREAD_H

#include "asm-offsets.h"
#include "kernel.h"

/* Linux, arch/x86/include/asm/ptrace.h. */
struct pt_regs {
  unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di;
  unsigned long orig_ax; /* a system call's number; -1 else */
  unsigned long ip, cs, flags, sp, ss;
};

struct thread_struct {
  unsigned long ra, sp, s[6];
  unsigned long fsbase, gsbase;           /* of user mode */
  unsigned long cr2, trap_nr, error_code; /* of the last fault of user mode */
  unsigned char fp[832] __attribute__((aligned(64))); /* as XSAVE64 writes x87, SSE and AVX state */
};

struct task;

/* What is one per processor: found by GS in the kernel. Linux, arch/x86/include/asm/current.h, struct pcpu_hot. */
struct cpu_area {
  struct task *current_task;
  unsigned long top_of_stack;
  unsigned long user_sp; /* entry code's scratch */
};
extern struct cpu_area cpu_area;

static inline struct task *get_current(void) {
  struct task *task;
  __asm__("movq %%gs:%c1, %0" : "=r"(task) : "i"(CPU_CURRENT));
  return task;
}
#define current get_current()

#define SYSCALL_FUNCTION(name) __x64_sys_##name

static inline bool user_mode(const struct pt_regs *regs) { return (regs->cs & 3) != 0; }

static inline unsigned long syscall_argument(const struct pt_regs *regs, int n) {
  switch (n) {
    case 0: return regs->di;
    case 1: return regs->si;
    case 2: return regs->dx;
    case 3: return regs->r10;
    case 4: return regs->r8;
    default: return regs->r9;
  }
}
static inline unsigned long syscall_number(const struct pt_regs *regs) { return regs->orig_ax; }
static inline unsigned long instruction_pointer(const struct pt_regs *regs) { return regs->ip; }
static inline void instruction_pointer_set(struct pt_regs *regs, unsigned long value) { regs->ip = value; }

/* iretq would raise #GP for an ip that is not canonical. Linux, arch/x86/kernel/traps.c (fixup_bad_iret). */
#define BAD_RETURN_CAUSE 13
static inline bool bad_return(const struct pt_regs *regs) { return (regs->ip + (1UL << 47)) >> 48 != 0; }

static inline unsigned long read_root(void) {
  unsigned long value;
  __asm__ volatile("movq %%cr3, %0" : "=r"(value));
  return value;
}
static inline void write_root(unsigned long value) { __asm__ volatile("movq %0, %%cr3" ::"r"(value) : "memory"); }
/* Without PCID every write of CR3 makes the TLB forget the old root. */
static inline bool same_asid(unsigned long a, unsigned long b) {
  (void)a;
  (void)b;
  return false;
}
/* Kernel pages are global and never change. */
static inline void local_flush_tlb_all(void) { write_root(read_root()); }
static inline void local_flush_tlb_page(unsigned long address) {
  __asm__ volatile("invlpg (%0)" ::"r"(address) : "memory");
}
/* Linux, arch/x86/include/asm/sync_core.h: any serializing instruction. */
static inline void local_flush_icache_all(void) {
  unsigned int a = 0, b, c = 0, d;
  __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d)::"memory");
}

static inline unsigned long rdmsr(unsigned int number) {
  unsigned int low, high;
  __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(number));
  return (unsigned long)high << 32 | low;
}
static inline void wrmsr(unsigned int number, unsigned long value) {
  __asm__ volatile("wrmsr" ::"c"(number), "a"((unsigned int)value), "d"((unsigned int)(value >> 32)) : "memory");
}

static inline void wait_for_interrupt(void) { __asm__ volatile("hlt" ::: "memory"); }
void idle_window(bool wait);

/* FP registers and segment bases are the user's and stay in the hart while the kernel runs, for it uses none. */
void switch_fp(struct task *prev, struct pt_regs *prev_regs, struct task *next, struct pt_regs *next_regs);

#endif

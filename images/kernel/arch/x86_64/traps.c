/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors of x86_64 to what generic code does about them. Linux, arch/x86/kernel/{traps,idt}.c, arch/x86/kernel/cpu/common.c. */
#include "gate.h"
#include "kernel.h"
#include "syscalls.h"
#include "task.h"

#define X86_CR4_FSGSBASE (1UL << 16)
#define X86_CR4_SMEP (1UL << 20)
#define X86_CR4_SMAP (1UL << 21)
#define X86_CR4_UMIP (1UL << 11)
#define X86_CR4_OSXSAVE (1UL << 18)

/* x87, SSE and AVX state: what struct task has room for. Linux, arch/x86/include/asm/fpu/types.h. */
#define XFEATURES 7U

#define X86_PF_WRITE 2
#define X86_PF_INSTR 16

#define DR6_RESERVED 0xffff0ff0UL

/* x2APIC registers. */
#define APIC_EOI 0x80b
#define APIC_SPIV 0x80f
#define APIC_LVTT 0x832
#define APIC_ENABLED 0x100
#define APIC_TSC_DEADLINE (2UL << 17)

#define SPURIOUS_APIC_VECTOR 0xff
#define RESCHEDULE_VECTOR 0xfd
#define LOCAL_TIMER_VECTOR 0xec

#define GATE_INTERRUPT 0x8eUL
#define DPL3 0x60UL

struct idt_entry {
  unsigned long low, high;
};

/* Linux, arch/x86/include/asm/processor.h, struct x86_hw_tss. */
struct tss {
  u32 reserved1;
  u64 sp[3];
  u64 reserved2;
  u64 ist[7];
  u64 reserved3;
  unsigned short reserved4, io_bitmap_base;
} __attribute__((packed));

struct cpu_area cpu_area;
struct tss cpu_tss;
static struct idt_entry idt_table[256] __attribute__((aligned(16)));
static unsigned char exception_stacks[4][4096] __attribute__((aligned(16)));

/* Linux, arch/x86/kernel/cpu/common.c, gdt_page. */
u64 gdt_page[GDT_ENTRIES] __attribute__((aligned(16))) = {
    [1] = 0x00cf9b000000ffff, /* kernel, 32-bit code */
    [2] = 0x00af9b000000ffff, /* kernel, code */
    [3] = 0x00cf93000000ffff, /* kernel, data */
    [4] = 0x00cffb000000ffff, /* user, 32-bit code */
    [5] = 0x00cff3000000ffff, /* user, data */
    [6] = 0x00affb000000ffff, /* user, code */
};

void trap_init(void);
void early_setup_idt(void);
void entry_SYSCALL_64(void);
void do_syscall_64(struct pt_regs *regs, long nr);

noinstr void do_syscall_64(struct pt_regs *regs, long nr) {
  if (likely((unsigned long)nr < NR_syscalls)) regs->ax = (unsigned long)sys_call_table[nr](regs);
  syscall_exit_to_user_mode(regs);
}

/* What a signal frame says about the last fault. */
static inline void note_fault(struct pt_regs *regs, unsigned long number, unsigned long error_code) {
  if (!user_mode(regs)) return;
  current->thread.trap_nr = number;
  current->thread.error_code = error_code;
}

#define DEFINE_IDTENTRY(number, name, error) \
  void name(struct pt_regs *regs, unsigned long error_code); \
  void asm_##name(void); \
  noinstr void name(struct pt_regs *regs, unsigned long error_code) { \
    irqentry_enter(regs); \
    note_fault(regs, number, error ? error_code : 0); \
    do_trap_error(regs, number); \
    irqentry_exit(regs); \
  }

DEFINE_IDTENTRY(0, exc_divide_error, 0)
DEFINE_IDTENTRY(2, exc_nmi, 0)
DEFINE_IDTENTRY(4, exc_overflow, 0)
DEFINE_IDTENTRY(5, exc_bounds, 0)
DEFINE_IDTENTRY(6, exc_invalid_op, 0)
DEFINE_IDTENTRY(7, exc_device_not_available, 0)
DEFINE_IDTENTRY(8, exc_double_fault, 1)
DEFINE_IDTENTRY(9, exc_coproc_segment_overrun, 0)
DEFINE_IDTENTRY(10, exc_invalid_tss, 1)
DEFINE_IDTENTRY(11, exc_segment_not_present, 1)
DEFINE_IDTENTRY(12, exc_stack_segment, 1)
DEFINE_IDTENTRY(13, exc_general_protection, 1)
DEFINE_IDTENTRY(15, exc_spurious_interrupt_bug, 0)
DEFINE_IDTENTRY(16, exc_coprocessor_error, 0)
DEFINE_IDTENTRY(17, exc_alignment_check, 1)
DEFINE_IDTENTRY(18, exc_machine_check, 0)
DEFINE_IDTENTRY(19, exc_simd_coprocessor_error, 0)

/* Breaks and steps of probes leave no trace: only those that raise a signal are noted. */
static inline void do_debug_trap(struct pt_regs *regs, unsigned long number) {
  if (do_trap_error(regs, number)) note_fault(regs, number, 0);
}

void exc_int3(struct pt_regs *regs, unsigned long error_code);
void asm_exc_int3(void);
noinstr void exc_int3(struct pt_regs *regs, unsigned long error_code) {
  (void)error_code;
  irqentry_enter(regs);
  do_debug_trap(regs, 3);
  irqentry_exit(regs);
}

/*
 * The handlers of a probe that is a jump. What no jump saves is made up as of an INT3; the pc is the instruction's. Linux,
 * arch/x86/kernel/kprobes/opt.c.
 */
void optimized_callback(unsigned long address, struct pt_regs *regs);
noinstr void optimized_callback(unsigned long address, struct pt_regs *regs) {
  regs->cs = __KERNEL_CS;
  regs->sp += sizeof(long);
  regs->ip = address;
  regs->orig_ax = ~0UL;
  gate_call(GATE_OPTIMIZED_KPROBE, (long)address, (long)regs, 0);
}

void exc_debug(struct pt_regs *regs, unsigned long error_code);
void asm_exc_debug(void);
noinstr void exc_debug(struct pt_regs *regs, unsigned long error_code) {
  (void)error_code;
  irqentry_enter(regs);
  /* The processor only ever sets bits. */
  __asm__ volatile("movq %0, %%dr6" ::"r"(DR6_RESERVED));
  do_debug_trap(regs, 1);
  irqentry_exit(regs);
}

void exc_page_fault(struct pt_regs *regs, unsigned long error_code);
void asm_exc_page_fault(void);
noinstr void exc_page_fault(struct pt_regs *regs, unsigned long error_code) {
  unsigned int access = error_code & X86_PF_INSTR ? FAULT_FETCH : error_code & X86_PF_WRITE ? FAULT_STORE : FAULT_LOAD;
  unsigned long address;
  __asm__ volatile("movq %%cr2, %0" : "=r"(address));
  irqentry_enter(regs);
  note_fault(regs, 14, error_code);
  if (user_mode(regs)) current->thread.cr2 = address;
  handle_page_fault(regs, address, access);
  irqentry_exit(regs);
}

void sysvec_apic_timer_interrupt(struct pt_regs *regs, unsigned long error_code);
void asm_sysvec_apic_timer_interrupt(void);
noinline void sysvec_apic_timer_interrupt(struct pt_regs *regs, unsigned long error_code) {
  (void)error_code;
  irqentry_enter(regs);
  wrmsr(APIC_EOI, 0);
  scheduler_tick(regs);
  irqentry_exit(regs);
}

void sysvec_reschedule_ipi(struct pt_regs *regs, unsigned long error_code);
void asm_sysvec_reschedule_ipi(void);
noinline void sysvec_reschedule_ipi(struct pt_regs *regs, unsigned long error_code) {
  (void)error_code;
  irqentry_enter(regs);
  wrmsr(APIC_EOI, 0);
  gate_call(GATE_IRQ, (long)regs, 0, 0);
  irqentry_exit(regs);
}

static inline __attribute__((always_inline)) void set_gate(unsigned int vector, void (*handler)(void), unsigned long type, unsigned long ist) {
  unsigned long address = (unsigned long)handler;
  idt_table[vector].low =
      (address & 0xffff) | __KERNEL_CS << 16 | ist << 32 | type << 40 | (address >> 16 & 0xffff) << 48;
  idt_table[vector].high = address >> 32;
}

static inline __attribute__((always_inline)) void idt_setup(void) {
  static void (*const handlers[])(void) = {
      asm_exc_divide_error, asm_exc_debug, asm_exc_nmi, asm_exc_int3, asm_exc_overflow, asm_exc_bounds, asm_exc_invalid_op,
      asm_exc_device_not_available, asm_exc_double_fault, asm_exc_coproc_segment_overrun, asm_exc_invalid_tss,
      asm_exc_segment_not_present, asm_exc_stack_segment, asm_exc_general_protection, asm_exc_page_fault,
      asm_exc_spurious_interrupt_bug, asm_exc_coprocessor_error, asm_exc_alignment_check, asm_exc_machine_check,
      asm_exc_simd_coprocessor_error};
  for (unsigned int vector = 0; vector < sizeof handlers / sizeof handlers[0]; vector++) {
    unsigned long ist = vector == 1 ? IST_DB : vector == 2 ? IST_NMI : vector == 8 ? IST_DF : vector == 18 ? IST_MCE : 0;
    unsigned long type = vector == 3 || vector == 4 ? GATE_INTERRUPT | DPL3 : GATE_INTERRUPT;
    set_gate(vector, handlers[vector], type, ist);
  }
  set_gate(LOCAL_TIMER_VECTOR, asm_sysvec_apic_timer_interrupt, GATE_INTERRUPT, 0);
  set_gate(RESCHEDULE_VECTOR, asm_sysvec_reschedule_ipi, GATE_INTERRUPT, 0);
  struct {
    unsigned short limit;
    unsigned long base;
  } __attribute__((packed)) descr = {sizeof idt_table - 1, (unsigned long)idt_table};
  __asm__ volatile("lidt %0" ::"m"(descr));
}

static inline __attribute__((always_inline)) void tss_setup(void) {
  unsigned long base = (unsigned long)&cpu_tss;
  for (int i = 0; i < 4; i++) cpu_tss.ist[i] = (unsigned long)exception_stacks[i] + sizeof exception_stacks[0];
  cpu_tss.sp[0] = current->kernel_sp;
  cpu_tss.io_bitmap_base = sizeof cpu_tss;
  gdt_page[GDT_ENTRY_TSS] = (sizeof cpu_tss - 1) | (base & 0xffffff) << 16 | 0x89UL << 40 | (base >> 24 & 0xff) << 56;
  gdt_page[GDT_ENTRY_TSS + 1] = base >> 32;
  __asm__ volatile("ltr %w0" ::"r"(GDT_ENTRY_TSS * 8));
}

/* Linux, arch/x86/kernel/fpu/xstate.c (fpu__init_cpu_xstate). */
static void xstate_setup(void) {
  unsigned int supported = 0xd, size, index = 0, high;
  __asm__ volatile("cpuid" : "+a"(supported), "=b"(size), "+c"(index), "=d"(high));
  __asm__ volatile("xsetbv" ::"a"(supported & XFEATURES), "c"(0), "d"(0));
}

/* Before anything that may be probed: a break needs its gate. Linux, arch/x86/kernel/idt.c (idt_setup_early_handler). */
noinstr void early_setup_idt(void) {
  tss_setup();
  idt_setup();
}

noinline void trap_init(void) {
  unsigned long cr4;
  __asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
  cr4 |= X86_CR4_FSGSBASE | X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_UMIP | X86_CR4_OSXSAVE;
  __asm__ volatile("movq %0, %%cr4" ::"r"(cr4) : "memory");
  xstate_setup();
  wrmsr(MSR_STAR, (unsigned long)__USER32_CS << 48 | (unsigned long)__KERNEL_CS << 32);
  wrmsr(MSR_LSTAR, (unsigned long)entry_SYSCALL_64);
  /* CF PF AF ZF SF TF IF DF OF IOPL NT RF AC ID: Linux, arch/x86/kernel/cpu/common.c (syscall_init). */
  wrmsr(MSR_SYSCALL_MASK, 0x257fd5);
  wrmsr(MSR_KERNEL_GS_BASE, 0);
  /* The timer is armed by the model. */
  wrmsr(APIC_SPIV, APIC_ENABLED | SPURIOUS_APIC_VECTOR);
  wrmsr(APIC_LVTT, APIC_TSC_DEADLINE | LOCAL_TIMER_VECTOR);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What of a task is x86's own. Linux, arch/x86/kernel/process_64.c. */
#include "syscalls.h"

#define TASK_SIZE_MAX 0x7ffffffff000UL
#define EPERM 1
#define EINVAL 22

#define ARCH_SET_GS 0x1001
#define ARCH_SET_FS 0x1002
#define ARCH_GET_FS 0x1003
#define ARCH_GET_GS 0x1004

unsigned long __copy_user_probe(void *to, const void *from, unsigned long count);
long do_arch_prctl_64(int option, unsigned long arg2);

/*
 * Of the idle task there is nothing to save. The user's GS base is the one that swapgs would bring back. Linux saves FP registers at
 * every switch, too (arch/x86/include/asm/fpu/sched.h, switch_fpu_prepare).
 */
noinline void switch_fp(struct task *prev, struct pt_regs *prev_regs, struct task *next, struct pt_regs *next_regs) {
  (void)prev_regs;
  (void)next_regs;
  if (prev != &init_task) {
    prev->thread.fsbase = rdmsr(MSR_FS_BASE);
    prev->thread.gsbase = rdmsr(MSR_KERNEL_GS_BASE);
    __fstate_save(prev);
  }
  if (next != &init_task) {
    __fstate_restore(next);
    wrmsr(MSR_FS_BASE, next->thread.fsbase);
    wrmsr(MSR_KERNEL_GS_BASE, next->thread.gsbase);
  }
}

/* The model checks and counts; segment bases are the hart's. */
noinline long do_arch_prctl_64(int option, unsigned long arg2) {
  long result = MODEL_SYSCALL(arch_prctl, option, (long)arg2);
  if (result) return result;
  switch (option) {
    case ARCH_SET_GS:
    case ARCH_SET_FS:
      if (arg2 >= TASK_SIZE_MAX) return -EPERM;
      wrmsr(option == ARCH_SET_FS ? MSR_FS_BASE : MSR_KERNEL_GS_BASE, arg2);
      return 0;
    case ARCH_GET_FS:
    case ARCH_GET_GS: {
      unsigned long base = rdmsr(option == ARCH_GET_FS ? MSR_FS_BASE : MSR_KERNEL_GS_BASE);
      if (arg2 > TASK_SIZE_MAX - sizeof base) return -EFAULT;
      return __copy_user_probe((void *)arg2, &base, sizeof base) ? -EFAULT : 0;
    }
    default: return -EINVAL;
  }
}
noinline long __do_sys_arch_prctl(int option, unsigned long arg2) { return do_arch_prctl_64(option, arg2); }

/*
 * sti lets one more instruction pass, so that no interrupt is slept over; a probe could not keep that. Linux,
 * arch/x86/kernel/process.c (default_idle).
 */
noinstr void idle_window(bool wait) {
  if (wait)
    __asm__ volatile("sti\n\thlt\n\tcli" ::: "memory");
  else
    __asm__ volatile("sti\n\tnop\n\tcli" ::: "memory");
}

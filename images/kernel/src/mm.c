/* SPDX-License-Identifier: Apache-2.0 */
/* Chains of memory calls. Linux, mm/{mmap,mprotect,mlock,util}.c, arch/riscv/kernel/sys_riscv.c, arch/x86/kernel/sys_x86_64.c. */
#include "syscalls.h"

#define PAGE_SHIFT 12
#define PAGE_MASK (~((1UL << PAGE_SHIFT) - 1))

#ifdef ARCH_SYS_MMAP
long ARCH_SYS_MMAP(
    unsigned long addr, unsigned long len, unsigned long prot, unsigned long flags, unsigned long fd, long offset);
#else
#define ARCH_SYS_MMAP(addr, len, prot, flags, fd, offset) \
  ksys_mmap_pgoff(addr, len, prot, flags, fd, (unsigned long)(offset) >> PAGE_SHIFT)
#define ARCH_MMAP_IS_GENERIC
#endif
long ksys_mmap_pgoff(
    unsigned long addr, unsigned long len, unsigned long prot, unsigned long flags, unsigned long fd, unsigned long pgoff);
long vm_mmap_pgoff(
    unsigned long fd, unsigned long addr, unsigned long len, unsigned long prot, unsigned long flags, unsigned long pgoff);
long do_mmap(
    unsigned long fd, unsigned long addr, unsigned long len, unsigned long prot, unsigned long flags, unsigned long pgoff);
long __vm_munmap(unsigned long start, size_t len, bool unlock);
long do_vmi_munmap(unsigned long start, size_t len);
long do_mprotect_pkey(unsigned long start, size_t len, unsigned long prot, int pkey);
long do_mlock(unsigned long start, size_t len, int flags);
long do_brk_flags(unsigned long brk);

/* The model's mmap takes bytes, as the system call does. */
noinline long do_mmap(
    unsigned long fd, unsigned long addr, unsigned long len, unsigned long prot, unsigned long flags, unsigned long pgoff) {
  return MODEL_SYSCALL(mmap, (long)addr, (long)len, (long)prot, (long)flags, (long)fd, (long)(pgoff << PAGE_SHIFT));
}
noinline long vm_mmap_pgoff(
    unsigned long fd, unsigned long addr, unsigned long len, unsigned long prot, unsigned long flags, unsigned long pgoff) {
  return do_mmap(fd, addr, len, prot, flags, pgoff);
}
noinline long ksys_mmap_pgoff(
    unsigned long addr, unsigned long len, unsigned long prot, unsigned long flags, unsigned long fd, unsigned long pgoff) {
  return vm_mmap_pgoff(fd, addr, len, prot, flags, pgoff);
}
#ifndef ARCH_MMAP_IS_GENERIC
noinline long ARCH_SYS_MMAP(
    unsigned long addr, unsigned long len, unsigned long prot, unsigned long flags, unsigned long fd, long offset) {
  return ksys_mmap_pgoff(addr, len, prot, flags, fd, (unsigned long)offset >> PAGE_SHIFT);
}
#endif
noinline long __do_sys_mmap(
    unsigned long addr, unsigned long len, unsigned long prot, unsigned long flags, unsigned long fd, long offset) {
  /* An offset within a page is refused, by the model as all else: it can't be said in pages. */
  if (offset & ~PAGE_MASK) return MODEL_SYSCALL(mmap, (long)addr, (long)len, (long)prot, (long)flags, (long)fd, offset);
  return ARCH_SYS_MMAP(addr, len, prot, flags, fd, offset);
}

noinline long do_vmi_munmap(unsigned long start, size_t len) { return MODEL_SYSCALL(munmap, (long)start, (long)len); }
noinline long __vm_munmap(unsigned long start, size_t len, bool unlock) {
  (void)unlock;
  return do_vmi_munmap(start, len);
}
noinline long __do_sys_munmap(unsigned long addr, size_t len) { return __vm_munmap(addr, len, true); }

/* pkey: -1 is mprotect, which has none. */
noinline long do_mprotect_pkey(unsigned long start, size_t len, unsigned long prot, int pkey) {
  if (pkey == -1) return MODEL_SYSCALL(mprotect, (long)start, (long)len, (long)prot);
  return MODEL_SYSCALL(pkey_mprotect, (long)start, (long)len, (long)prot, pkey);
}
noinline long __do_sys_mprotect(unsigned long start, size_t len, unsigned long prot) {
  return do_mprotect_pkey(start, len, prot, -1);
}
noinline long __do_sys_pkey_mprotect(unsigned long start, size_t len, unsigned long prot, int pkey) {
  return do_mprotect_pkey(start, len, prot, pkey);
}

noinline long do_mlock(unsigned long start, size_t len, int flags) {
  if (flags == 0) return MODEL_SYSCALL(mlock, (long)start, (long)len);
  return MODEL_SYSCALL(mlock2, (long)start, (long)len, flags);
}
noinline long __do_sys_mlock(unsigned long start, size_t len) { return do_mlock(start, len, 0); }
noinline long __do_sys_mlock2(unsigned long start, size_t len, int flags) { return do_mlock(start, len, flags); }

noinline long do_brk_flags(unsigned long brk) { return MODEL_SYSCALL(brk, (long)brk); }
noinline long __do_sys_brk(unsigned long brk) { return do_brk_flags(brk); }

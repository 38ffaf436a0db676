/* SPDX-License-Identifier: Apache-2.0 */
/* The user-mode half of the test: what a program can see of entry, exit and switches. */
#include "shared.h"

typedef unsigned long u64;

struct buffer {
  u64 in[32], out[32], fin[32], fout[32], fcsr_in, fcsr_out, saved[32];
};
typedef void regs_function(struct buffer *buffer);
regs_function regs_ecall_sp, regs_ecall_t6, regs_spin_sp, regs_spin_t6, regs_load_sp, regs_load_t6, regs_store_sp, regs_store_t6,
    regs_break_sp, regs_break_t6, regs_illegal_sp, regs_illegal_t6, regs_lrsc_sp, regs_lrsc_t6;
long call(long nr, ...);
void handler(void);
void exec_entry(void);
void user_main(void);
void after_exec(u64 value);
void *memset(void *to, int c, u64 n);

u64 last_signal[2] = {1};
static struct buffer buffer = {.in = {1}};
static volatile u64 private_value = 1;
static volatile u64 exec_mark = 1;
static u64 cell = 5;

void *memset(void *to, int c, u64 n) {
  for (u64 i = 0; i < n; i++) ((volatile char *)to)[i] = (char)c;
  return to;
}

static void check(const char *name, int ok) { call(T_CHECK, name, (long)ok); }

/* Runs one function with every register full, changed where the caller says so afterwards. 1: all registers are as expected. */
static u64 seed = 0x9e3779b97f4a7c15;
static void fill(void) {
  for (int i = 0; i < 32; i++) {
    seed = seed * 6364136223846793005 + 1442695040888963407;
    buffer.in[i] = seed;
    buffer.fin[i] = ~seed;
    buffer.out[i] = buffer.fout[i] = 0;
  }
  buffer.fcsr_in = seed >> 33 & 0x1f | (seed >> 40 & 3) << 5;
  buffer.fcsr_out = 0;
}
/* Expected in in[]; skip: the register that holds the buffer. */
static int same(int skip) {
  int ok = buffer.fcsr_in == buffer.fcsr_out;
  for (int i = 1; i < 32; i++)
    if (i != skip && buffer.in[i] != buffer.out[i]) ok = 0;
  for (int i = 0; i < 32; i++)
    if (buffer.fin[i] != buffer.fout[i]) ok = 0;
  return ok;
}
static int run(regs_function *f, int base, long nr, u64 result, u64 t0, u64 t1) {
  fill();
  buffer.in[17] = (u64)nr;
  if (t0) buffer.in[5] = t0;
  if (t1) buffer.in[6] = t1;
  f(&buffer);
  if (nr) buffer.in[10] = result;
  if (t0) buffer.in[5] = 0;
  return same(base);
}
#define BOTH(name, nr, result, t0, t1) \
  (run(regs_##name##_sp, 2, nr, result, t0, t1) & run(regs_##name##_t6, 31, nr, result, t0, t1))

static void registers(void) {
  check("registers across a system call", BOTH(ecall, 172, 100, 0, 0));
  check("registers across a call without a function", BOTH(ecall, 1234, -38UL, 0, 0));
  check("registers across call number -1", BOTH(ecall, -1, -38UL, 0, 0));
  long before = call(T_CALLS);
  call(464);
  call(-1L);
  call(1L << 40);
  check("numbers out of range don't reach the gate", call(T_CALLS) == before + 1);
  check("a reservation does not outlive a system call",
        run(regs_lrsc_sp, 2, 0, 0, 0, (u64)&cell) == 0 && buffer.out[7] == 1 && cell == 5 && run(regs_lrsc_t6, 31, 0, 0, 0, (u64)&cell) == 0 &&
            buffer.out[7] == 1 && cell == 5);
  check("registers across a load fault", BOTH(load, 0, 0, 0, USER_DEMAND + 0x1008));
  check("FAULT: load, address", call(T_FAULTS) == (USER_DEMAND + 0x1008));
  check("registers across a store fault", BOTH(store, 0, 0, 0, USER_READONLY + 0x10));
  check("FAULT: store, address", call(T_FAULTS) == (1L << 60 | (USER_READONLY + 0x10)));
  check("the store was done", *(u64 *)(USER_READONLY + 0x10) == USER_READONLY + 0x10);
  *(volatile u64 *)(USER_DEMAND + 0x3000) = 77;
  call(T_DISCARD, USER_DEMAND + 0x3000, 0L);
  check("FLUSH_PAGE: the page is a new one", *(volatile u64 *)(USER_DEMAND + 0x3000) == 0);
  *(volatile u64 *)(USER_DEMAND + 0x3000) = 78;
  call(T_DISCARD, USER_DEMAND + 0x3000, 1L);
  check("FLUSH_ALL: the page is a new one", *(volatile u64 *)(USER_DEMAND + 0x3000) == 0);
  before = call(T_BREAK, 1L);
  check("a break in a system call's function changes an argument", call(56, 5L) == 7 && call(T_BREAK, 0L) == before + 1);
  call(T_BREAK, 1L);
  fill();
  buffer.in[17] = 56;
  buffer.in[10] = 40;
  regs_ecall_sp(&buffer);
  buffer.in[10] = 42;
  check("registers across a system call with an exception of kernel mode in it", same(2) && call(T_BREAK, 0L) == before + 2);
  u64 time = 0;
  __asm__ volatile("rdtime %0" : "=r"(time));
  check("rdtime in user mode", time != 0);
}

static void signals(void) {
  call(134, 0L, handler);
  last_signal[0] = 0;
  fill();
  buffer.in[17] = 129;
  buffer.in[11] = 12;
  regs_ecall_sp(&buffer);
  buffer.in[10] = 0;
  check("registers across a signal after a system call", same(2) && last_signal[0] == 12);
  call(129, 0L, 10L);
  check("a signal sent to itself is delivered at the end of the call", last_signal[0] == 10);
  check("registers across SIGTRAP", BOTH(break, 0, 0, 0, 0) && last_signal[0] == 5);
  check("registers across SIGILL", BOTH(illegal, 0, 0, 0, 0) && last_signal[0] == 4);
  check("registers across SIGSEGV", BOTH(load, 0, 0, 0, USER_HOLE) && last_signal[0] == 11);
  last_signal[0] = 0;
  ((void (*)(void))USER_HOLE)();
  check("a jump to nowhere: FAULT fetch, SIGSEGV", last_signal[0] == 11 && call(T_FAULTS) == (2L << 60 | USER_HOLE));
  last_signal[0] = 0;
  check("user mode does not read kernel memory", BOTH(load, 0, 0, 0, 0xffffffff80000000) && last_signal[0] == 11);
  long before = call(T_NOTIFY);
  check("TIF_NOTIFY: one call, flag taken away", call(T_NOTIFY) == before + 1);
  before = call(T_IRQ);
  check("software interrupt: one IRQ call", call(T_IRQ) == before + 1);
}

static void table(void) {
  int ok = 1, some = 0;
  call(T_MODE, 1L);
  for (long nr = 0; nr < 464; nr++) {
    if (nr == 93 || nr == 94 || nr == T_MODE || nr == T_ARGUMENTS) continue;
    if (call(nr, 11L, 22L, 33L, 44L, 55L, 66L) != 0x10000 + nr) ok = 0;
    some++;
  }
  ok &= call(T_MODE, 0L) == 0 && some == 460;
  check("every number reaches the gate as itself", ok);
  check("arguments arrive, in order, as many as the signature has", call(T_ARGUMENTS) == 1);
  /* No check while a mode is on: it would be answered like every call. */
  call(T_MODE, 5L);
  ok = call(222, 0L, 0L, 0L, 0L, 0L, 0x7000L) == 0x7000 && call(222, 0L, 0L, 0L, 0L, 0L, 0x7001L) == 0x7001;
  call(T_MODE, 2L);
  int paths = call(35, 0L, 0L, 0x200L) == 0x200 && call(35, 0L, 0L, 0L) == 0;
  int types = call(62, 0L, 0L, 1L << 32 | 5) == 5 && call(29, 0L, 0L, -1L) == -1;
  call(T_MODE, 0L);
  check("mmap: an offset in pages and back", ok);
  check("unlinkat: do_rmdir and do_unlinkat", paths);
  check("an unsigned int argument loses its upper half, a long keeps it", types);
}

static void switches(void) {
  long ticks = call(T_TICKS);
  check("registers across preemption by nobody", BOTH(spin, 0, 0, 2000000, 0) && call(T_TICKS) > ticks);
  for (long asid = 0; asid < 2; asid++) {
    call(T_CHILD_ASID, asid * 7);
    private_value = 10;
    int status = 0;
    fill();
    buffer.in[17] = 220;
    regs_ecall_sp(&buffer);
    long pid = (long)buffer.out[10];
    buffer.in[10] = buffer.out[10];
    if (pid == 0) {
      int ok = same(2) && call(172) != 100 && private_value == 10;
      private_value = 20;
      seed = ~seed;
      for (int i = 0; i < 10; i++) ok &= BOTH(spin, 0, 0, 400000, 0);
      for (int i = 0; i < 50; i++) ok &= BOTH(ecall, 124, 0, 0, 0) && private_value == 20;
      call(101, 300000L);
      call(94, ok ? 42L : 1L);
    }
    check("fork: registers of the parent", same(2) && pid > 100);
    private_value = 30;
    long before = call(T_SWITCHES);
    int ok = 1;
    for (int i = 0; i < 10; i++) ok &= BOTH(spin, 0, 0, 400000, 0) && private_value == 30;
    check("registers, FP registers and memory across preemptive switches", ok && call(T_SWITCHES) > before + 10);
    before = call(T_SWITCHES);
    for (int i = 0; i < 50; i++) ok &= BOTH(ecall, 124, 0, 0, 0) && private_value == 30;
    check("the same across sched_yield", ok && call(T_SWITCHES) > before);
    before = call(T_BLOCKS);
    check("wait4: blocks, and is asked again", call(260, -1L, &status, 0L, 0L) == pid && call(T_BLOCKS) > before);
    check("the child saw its registers and memory, and its exit status arrives", status == 42 << 8);
  }
  fill();
  buffer.in[17] = 101;
  buffer.in[10] = 200000;
  regs_ecall_t6(&buffer);
  buffer.in[10] = 0;
  check("registers across sleep, with the idle task in between", same(31));

  int status = 0;
  call(134, 0L, 0L);
  long pid = call(220, 17L);
  if (pid == 0) {
    call(129, 0L, 9L);
    for (;;) call(124);
  }
  check("a fatal signal ends a task through do_group_exit", call(260, -1L, &status, 0L, 0L) == pid && status == 9);
}

void after_exec(u64 value) {
  check("execve: registers and the new address space", value == 0x1234 && exec_mark == 0xe8ec);
  call(94, 7L);
}

void user_main(void) {
  registers();
  table();
  switches();
  signals();
  call(221, exec_entry, 0x1234L, &exec_mark);
  check("execve does not return", 0);
}

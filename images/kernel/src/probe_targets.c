/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions to put probes on, and a table that calls each with an argument and knows the result. No gate is called: a test enters
 * run_probe_targets in kernel mode with ra at a place of its own and finds the number of wrong results (0) in the return register.
 * The names of the first two are those of Linux, lib/tests/test_kprobes.c.
 */
#include "kernel.h"

u32 kprobe_target(u32 value);
u32 kprobe_target2(u32 value);
u32 kretprobe_target(u32 value);
u32 probe_fib(u32 n);
u32 probe_tail_first(u32 value);
u32 probe_tail_second(u32 value);
u32 probe_tail_third(u32 value);
u32 probe_leaf(u32 n);
u32 probe_pcrel(u32 index);
u32 probe_stacked(u32 value);
u32 probe_even(u32 n);
u32 probe_odd(u32 n);
u32 probe_atomic(u32 value);
u32 probe_exclusive(u32 value);
u32 run_probe_targets(void);

/* Nothing is known about a value that went through here: neither is a result folded nor a call left out. */
#define opaque(value) __asm__ volatile("" : "+r"(value)::"memory")

u32 probe_divisor = 2;
u32 probe_counter;
static const u32 probe_table[8] = {3, 1, 4, 1, 5, 9, 2, 6};

noinline u32 kprobe_target(u32 value) {
  opaque(value);
  return value / probe_divisor;
}

noinline u32 kprobe_target2(u32 value) {
  opaque(value);
  return value / probe_divisor + 1;
}

/* A call in it, so that the return address lies on the stack. */
noinline u32 kretprobe_target(u32 value) {
  u32 half = kprobe_target(value);
  opaque(half);
  probe_counter++;
  return half + 1;
}

/* Recursion: return probes nest. */
noinline u32 probe_fib(u32 n) {
  if (n < 2) return n;
  u32 a = probe_fib(n - 1);
  opaque(a);
  u32 b = probe_fib(n - 2);
  opaque(b);
  return a + b;
}

/* Tail calls: three functions entered, one return. */
noinline u32 probe_tail_third(u32 value) {
  opaque(value);
  return value ^ 0x55;
}
noinline u32 probe_tail_second(u32 value) {
  opaque(value);
  return probe_tail_third(value * 3);
}
noinline u32 probe_tail_first(u32 value) {
  opaque(value);
  return probe_tail_second(value + 7);
}

/* A leaf with a loop and branches: how many steps Collatz needs. */
noinline u32 probe_leaf(u32 n) {
  u32 steps = 0;
  while (n != 1) {
    if (n & 1)
      n = 3 * n + 1;
    else
      n >>= 1;
    steps++;
    opaque(n);
  }
  return steps;
}

/* Loads relative to pc: of a variable, and of a table through an index. */
noinline u32 probe_pcrel(u32 index) {
  opaque(index);
  return probe_table[index & 7] * READ_ONCE(probe_divisor);
}

/* A frame: stores and loads relative to sp. */
noinline u32 probe_stacked(u32 value) {
  volatile u32 frame[16];
  u32 sum = 0;
  for (u32 i = 0; i < 16; i++) frame[i] = value * i;
  for (u32 i = 0; i < 16; i++) sum += frame[i];
  return sum;
}

/* Each calls the other: recursion through two return probes. */
noinline u32 probe_odd(u32 n) {
  opaque(n);
  if (n == 0) return 0;
  u32 r = probe_even(n - 1);
  opaque(r);
  return r;
}
noinline u32 probe_even(u32 n) {
  opaque(n);
  if (n == 0) return 1;
  u32 r = probe_odd(n - 1);
  opaque(r);
  return r;
}

/* Atomic instructions: one that does it all, and a loop that may have to try again (lr and sc, where there are such). */
u32 probe_cell = 5;
noinline u32 probe_atomic(u32 value) {
  u32 old = __atomic_fetch_add(&probe_cell, value, __ATOMIC_SEQ_CST);
  opaque(old);
  return __atomic_fetch_sub(&probe_cell, value, __ATOMIC_SEQ_CST) - old;
}
noinline u32 probe_exclusive(u32 value) {
  u32 expected = 5;
  __atomic_compare_exchange_n(&probe_cell, &expected, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  u32 seen = __atomic_exchange_n(&probe_cell, 5, __ATOMIC_SEQ_CST);
  return seen + expected;
}

/* Not const: the calls stay indirect, whatever the compiler knows about the functions. */
struct probe_target {
  u32 (*function)(u32);
  u32 argument, result;
} probe_targets[] = {
    {kprobe_target, 84, 42},
    {kprobe_target2, 84, 43},
    {kretprobe_target, 82, 42},
    {probe_fib, 10, 55},
    {probe_tail_first, 5, 36 ^ 0x55},
    {probe_leaf, 27, 111},
    {probe_pcrel, 5, 18},
    {probe_stacked, 3, 360},
    {probe_even, 9, 0},
    {probe_odd, 9, 1},
    {probe_atomic, 9, 9},
    {probe_exclusive, 9, 14},
};
const u32 probe_target_count = sizeof probe_targets / sizeof probe_targets[0];

noinline u32 run_probe_targets(void) {
  u32 wrong = 0;
  for (u32 i = 0; i < probe_target_count; i++) {
    struct probe_target *target = &probe_targets[i];
    if (target->function(target->argument) != target->result) wrong++;
  }
  return wrong;
}

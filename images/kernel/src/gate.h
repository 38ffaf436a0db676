/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate: how guest text asks the model behind it (Swift, Sources/GuestKernel) to do the work. Numbers and meanings are in
 * images/kernel/README.md; C and assembly read them here.
 */
#ifndef GATE_H
#define GATE_H

#define GATE_EXTENSION 0x09454D55 /* vendor range of the SBI, "EMU" */

#define GATE_BOOT 0
#define GATE_SYSCALL 1
#define GATE_FAULT 2
#define GATE_TRAP 3
#define GATE_SIGNAL 4
#define GATE_SCHEDULE 5
#define GATE_TICK 6
#define GATE_IRQ 7
#define GATE_IDLE 8
#define GATE_EXIT_TASK 9
#define GATE_FORKED 10
#define GATE_DIE 11
#define GATE_CONSOLE 12
#define GATE_OPTIMIZED_KPROBE 13

/* What the guest has to do after a call, because only its own instructions may do it. */
#define GATE_FLUSH_ALL 1
#define GATE_FLUSH_PAGE 2
#define GATE_FENCE_I 4
#define GATE_RELOAD_ROOT 8
#define GATE_BLOCK 16

/* In SIGNAL's value: the task ends with the wait status in the low 32 bits. */
#define GATE_SIGNAL_EXIT (1L << 32)

/* FAULT's third argument. */
#define FAULT_LOAD 0
#define FAULT_STORE 1
#define FAULT_FETCH 2

#ifndef __ASSEMBLER__
struct gate_result {
  long value;
  unsigned long actions;
  unsigned long address; /* of FLUSH_PAGE */
};

long gate_call(long function, long a0, long a1, long a2);
long gate_syscall(long nr, const long arguments[6]);
#endif

#endif

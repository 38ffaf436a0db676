// SPDX-License-Identifier: Apache-2.0
// Two harts: hart 1 sleeps until hart 0 sends it an interrupt through the CLINT; then both count, with amoadd, with
// lr/sc, and under a spin lock made of lr/sc.
#include "virt.h"
#define ROUNDS 10000
.section .text.start, "ax"
.globl _start
_start:
    csrr s11, mhartid
    li t0, 1
    bgtu s11, t0, park
    la t0, wrong
    csrw mtvec, t0
    bnez s11, second
1:  la sp, _stack_top
    print "smp: waking hart 1\n"
    la t0, go                // the flag first, the interrupt after it
    li t1, 1
    sw t1, 0(t0)
    fence
    li t0, CLINT + 4
    sw t1, 0(t0)
    call work
2:  la t0, finished          // hart 1 says when it is done
    lw t1, 0(t0)
    beqz t1, 2b
    fence
    la t0, adds
    ld s1, 0(t0)
    show "amoadd ", s1
    la t0, reserved
    ld s1, 0(t0)
    show " lr/sc ", s1
    la t0, guarded
    ld s1, 0(t0)
    show " locked ", s1
    la t0, msip_seen
    ld s1, 0(t0)
    show " msip ", s1
    newline
    print "smp: good\n"
    pass

second:
    li t0, 1 << 3            // MSIE, with mstatus.MIE clear: wfi ends, nothing is taken
    csrw mie, t0
1:  wfi
    csrr t0, mip
    andi t0, t0, 1 << 3
    beqz t0, 1b
    la t1, msip_seen
    sd t0, 0(t1)
    li t0, CLINT + 4
    sw zero, 0(t0)
2:  la t0, go
    lw t1, 0(t0)
    beqz t1, 2b
    call work
    fence
    la t0, finished
    li t1, 1
    sw t1, 0(t0)
park:
    wfi
    j park

work:
    li a2, ROUNDS
    la a3, adds
    la a4, reserved
    la a5, lock
    la a6, guarded
    li a7, 1
1:  amoadd.d zero, a7, (a3)
2:  lr.d t0, (a4)
    addi t0, t0, 1
    sc.d t1, t0, (a4)
    bnez t1, 2b
3:  lr.w.aq t0, (a5)         // take the lock
    bnez t0, 3b
    sc.w.aq t0, a7, (a5)
    bnez t0, 3b
    ld t0, 0(a6)             // a plain count: lost when the lock does not hold
    addi t0, t0, 1
    sd t0, 0(a6)
    amoswap.w.rl zero, zero, (a5)
    addi a2, a2, -1
    bnez a2, 1b
    ret
    .balign 4
wrong:
    j wrong
.data
.balign 64
adds: .dword 0
.balign 64
reserved: .dword 0
.balign 64
lock: .dword 0
.balign 64
guarded: .dword 0
.balign 64
go: .word 0
finished: .word 0
msip_seen: .dword 0

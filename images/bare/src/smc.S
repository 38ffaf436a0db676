// SPDX-License-Identifier: Apache-2.0
// Code that changes: an instruction is rewritten, made visible by fence.i, and run; thousands of times, in several shapes.
#include "virt.h"
.section .text.start, "ax"
.globl _start
_start:
    csrr t0, mhartid
    bnez t0, park
    la sp, _stack_top

    // addi a0, a0, i for i below 2000, each patched just before it runs: 0 + 1 + ... + 1999.
    li s0, 0
    li s1, 0
    li s2, 2000
1:  slli t0, s0, 20
    li t1, 0x00050513        // addi a0, a0, 0
    or t0, t0, t1
    la t1, site
    sw t0, 0(t1)
    fence.i
    mv a0, s1
    call site
    mv s1, a0
    addi s0, s0, 1
    bne s0, s2, 1b
    show "immediate sum ", s1
    newline

    // The target of a jump moves: even rounds go left, odd rounds right.
    li s0, 0
    li s1, 0
    li s2, 1000
1:  la t1, fork_
    andi t0, s0, 1
    li t2, 0x0080006f        // j .+8
    beqz t0, 2f
    li t2, 0x0100006f        // j .+16
2:  sw t2, 0(t1)
    fence.i
    call fork_
    addi s0, s0, 1
    bne s0, s2, 1b
    show "branch sum ", s1
    newline

    // Two 16-bit halves of one 32-bit slot: c.addi then c.nop, then a whole 32-bit instruction again.
    li s1, 0
    li s0, 100
1:  la t1, halves
    li t0, 0x0485            // c.addi s1, 1
    sh t0, 0(t1)
    li t0, 0x0001            // c.nop
    sh t0, 2(t1)
    fence.i
    call halves
    la t1, halves
    li t0, 0x06448493        // addi s1, s1, 100
    sw t0, 0(t1)
    fence.i
    call halves
    addi s0, s0, -1
    bnez s0, 1b
    show "halves sum ", s1
    newline

    // A breakpoint placed, hit, and taken away: the shape of every probe.
    la t0, trap
    csrw mtvec, t0
    li s1, 0
    li s3, 0
    li s0, 500
1:  la t1, probed
    lw s4, 0(t1)             // what was there
    li t0, 0x00100073        // ebreak
    sw t0, 0(t1)
    fence.i
    call probed
    addi s0, s0, -1
    bnez s0, 1b
    show "probe hits ", s3
    show " sum ", s1
    newline

    // A function copied elsewhere and run there.
    la t0, original
    la t1, copy
    la t2, original_end
2:  lw t3, 0(t0)
    sw t3, 0(t1)
    addi t0, t0, 4
    addi t1, t1, 4
    bltu t0, t2, 2b
    fence.i
    li a0, 20
    la t0, copy
    jalr t0
    mv s1, a0
    show "copied fib(20) ", s1
    newline

    // The instruction stores over the next one of its own block.
    li s1, 0
    li s0, 200
3:  la t1, next
    li t0, 0x00148493        // addi s1, s1, 1
    sw t0, 0(t1)
    fence.i
next:
    .option push
    .option norvc
    addi s1, s1, 0
    .option pop
    la t1, next
    li t0, 0x00048493        // back to addi s1, s1, 0
    sw t0, 0(t1)
    fence.i
    addi s0, s0, -1
    bnez s0, 3b
    show "next instruction sum ", s1
    newline
    print "smc: good\n"
    pass
park:
    wfi
    j park

    .balign 4
trap:                        // put the instruction back and run it
    la t1, probed
    sw s4, 0(t1)
    fence.i
    addi s3, s3, 1
    mret

    .option push
    .option norvc
    .balign 4
site:
    addi a0, a0, 0
    ret
    .balign 4
fork_:
    nop
    nop
    addi s1, s1, 1           // +8
    ret
    addi s1, s1, 1000        // +16
    ret
    .balign 4
halves:
    nop
    ret
    .balign 4
probed:
    addi s1, s1, 3
    ret
    .balign 4
original:                    // iterative Fibonacci; position independent
    li a1, 0
    li a2, 1
1:  beqz a0, 2f
    add a3, a1, a2
    mv a1, a2
    mv a2, a3
    addi a0, a0, -1
    j 1b
2:  mv a0, a1
    ret
original_end:
    .option pop
.bss
.balign 4096
copy: .skip 4096

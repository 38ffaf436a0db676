// SPDX-License-Identifier: Apache-2.0
// Traps from all three modes, with their cause, pc, value and status; delegation; returns; interrupts; vectored mode.
// A case keeps in s9 the address of the instruction that should trap and in s10 where the test goes on. The machine-mode
// handler prints what it finds and goes there in machine mode, whatever mode the trap came from.
#include "virt.h"

#define MSTATUS_MIE 8
#define MSTATUS_MPIE 0x80
#define MSTATUS_SPP 0x100
#define MSTATUS_MPP 0x1800
#define MSTATUS_TVM 0x100000
#define MSTATUS_TW 0x200000
#define MSTATUS_TSR 0x400000

// One instruction in machine mode.
.macro try name, insn:vararg
    print "\name"
    la s9, 1f
    la s10, 2f
    .option push
    .option norvc
1:  \insn
    .option pop
    print "no trap\n"
2:
.endm

// One instruction in mode 0 (U) or 1 (S), reached by mret. When it does not trap the ecall after it does.
.macro try_in mode, name, insn:vararg
    print "\name"
    la s9, 1f
    la s10, 2f
    li t0, MSTATUS_MPP
    csrc mstatus, t0
    li t0, \mode << 11
    csrs mstatus, t0
    csrw mepc, s9
    mret
    .option push
    .option norvc
1:  \insn
    ecall
    .option pop
2:
.endm

.section .text.start, "ax"
.globl _start
_start:
    csrr t0, mhartid
    bnez t0, park
    la sp, _stack_top
    open_pmp
    la t0, m_trap
    csrw mtvec, t0
    csrw mie, zero
    csrw medeleg, zero
    csrw mideleg, zero
    li s8, 0

    // Exceptions in machine mode.
    try "ecall M: ", ecall
    try "illegal: ", .4byte 0xffffffff
    try "illegal 16: ", .2byte 0
    try "ebreak: ", ebreak
    try "c.ebreak: ", .2byte 0x9002
    li a5, 0x18000000        // nothing answers here
    try "load access: ", lw a6, 4(a5)
    li a5, 0x18000000
    try "store access: ", sw a6, 8(a5)
    li a5, 0x18000000
    try "amo access: ", amoadd.w a6, a6, (a5)
    li a5, 0x18000000
    try "fetch access: ", jr a5
    la a5, scratch + 2
    try "lr misaligned: ", lr.w a6, (a5)
    la a5, scratch + 4
    try "amo misaligned: ", amoadd.d a6, a6, (a5)
    try "write of a read-only csr: ", csrw mhartid, zero
    try "read of a missing csr: ", csrr a6, 0x7ff

    // A misaligned load: done by hardware, or by whatever answers the trap; here hardware.
    la a5, scratch
    li a6, 0x1122334455667788
    sd a6, 0(a5)
    sd a6, 8(a5)
    ld s0, 3(a5)
    show "misaligned ld: ", s0
    sw a6, 5(a5)
    ld s0, 4(a5)
    show " after misaligned sw: ", s0
    newline

    // Exceptions below machine mode.
    try_in 0, "ecall U: ", ecall
    try_in 1, "ecall S: ", ecall
    try_in 0, "U reads sstatus: ", csrr a6, sstatus
    try_in 1, "S reads mstatus: ", csrr a6, mstatus
    try_in 1, "S reads sstatus: ", csrr a6, sstatus
    try_in 0, "mret in U: ", mret
    try_in 1, "mret in S: ", mret
    try_in 0, "sret in U: ", sret
    li t0, MSTATUS_TSR | MSTATUS_TVM | MSTATUS_TW
    csrs mstatus, t0
    try_in 1, "sret in S with TSR: ", sret
    try_in 1, "satp in S with TVM: ", csrr a6, satp
    try_in 1, "sfence.vma in S with TVM: ", sfence.vma
    try_in 1, "wfi in S with TW: ", wfi
    li t0, MSTATUS_TSR | MSTATUS_TVM | MSTATUS_TW
    csrc mstatus, t0
    csrw mcounteren, zero
    csrw scounteren, zero
    try_in 1, "cycle in S, closed: ", rdcycle a6
    li t0, 7
    csrw mcounteren, t0
    try_in 1, "cycle in S, open: ", rdcycle a6
    try_in 0, "cycle in U, closed: ", rdcycle a6
    li t0, 7
    csrw scounteren, t0
    try_in 0, "cycle in U, open: ", rdcycle a6

    // Delegation: these go to s_trap, unless they come from machine mode.
    la t0, s_trap
    csrw stvec, t0
    li t0, 1 << 2 | 1 << 3 | 1 << 8
    csrw medeleg, t0
    csrr s0, medeleg
    show "medeleg: ", s0
    newline
    try_in 0, "delegated ecall U: ", ecall
    try_in 0, "delegated illegal U: ", .4byte 0xffffffff
    try_in 1, "delegated ebreak S: ", ebreak
    try_in 1, "ecall S is not: ", ecall
    try "illegal M is never: ", .4byte 0xffffffff
    csrw medeleg, zero
    // A machine-mode ecall cannot be delegated: the bit is wired to zero.
    li t0, 1 << 11
    csrw medeleg, t0
    csrr s0, medeleg
    show "medeleg bit 11: ", s0
    newline

    // sret from S to U: SPP and SPIE move, and the next trap shows where we are.
    print "sret to U: "
    la s9, 4f
    la s10, 5f
    li t0, MSTATUS_MPP
    csrc mstatus, t0
    li t0, 1 << 11
    csrs mstatus, t0
    la t0, 3f
    csrw mepc, t0
    mret
3:  li t0, MSTATUS_SPP
    csrc sstatus, t0
    csrw sepc, s9
    sret
    .balign 4
4:  ecall
5:
    // mret: MPIE becomes MIE, MPIE becomes 1, MPP becomes U.
    li t0, MSTATUS_MIE | MSTATUS_MPIE | MSTATUS_MPP
    csrc mstatus, t0
    li t0, MSTATUS_MPP | MSTATUS_MPIE
    csrs mstatus, t0
    la t0, 6f
    csrw mepc, t0
    mret
6:  csrr s0, mstatus
    csrci mstatus, MSTATUS_MIE
    li t0, MSTATUS_MIE | MSTATUS_MPIE | MSTATUS_MPP
    and s0, s0, t0
    show "mstatus after mret with MPIE: ", s0
    newline
    li t0, MSTATUS_MPIE
    csrc mstatus, t0
    la t0, 7f
    csrw mepc, t0
    li t0, MSTATUS_MPP
    csrs mstatus, t0
    mret
7:  csrr s0, mstatus
    li t0, MSTATUS_MIE | MSTATUS_MPIE | MSTATUS_MPP
    and s0, s0, t0
    show "mstatus after mret without: ", s0
    newline
    // MPP keeps only modes that exist: 2 is none.
    li t0, MSTATUS_MPP
    csrc mstatus, t0
    li t0, 2 << 11
    csrs mstatus, t0
    csrr s0, mstatus
    srli s0, s0, 11
    andi s0, s0, 3
    addi s0, s0, -2
    snez s0, s0
    show "MPP refuses 2: ", s0
    newline
    li a5, 0x12345
    csrw mscratch, a5
    csrrw s0, mscratch, sp
    csrrw sp, mscratch, s0
    show "mscratch swap: ", s0
    newline
    la t0, scratch + 3
    csrw mepc, t0
    csrr s0, mepc
    andi s0, s0, 1
    show "mepc bit 0: ", s0
    newline

    // wfi ends with an enabled interrupt pending even while mstatus.MIE is clear.
    csrci mstatus, MSTATUS_MIE
    call timer_soon
    li t0, 1 << 7
    csrw mie, t0
8:  wfi
    csrr s0, mip
    andi s0, s0, 1 << 7
    beqz s0, 8b
    show "wfi with MIE clear, mip: ", s0
    newline

    // Vectored mode: exceptions to the base, interrupt n to base + 4 n.
    la t0, vectors + 1
    csrw mtvec, t0
    csrr s0, mtvec
    andi s0, s0, 3
    show "mtvec mode: ", s0
    newline
    la s10, 9f
    csrsi mstatus, MSTATUS_MIE
8:  j 8b                     // the timer is pending: taken at once
9:  li t0, 1 << 3
    csrw mie, t0
    la s10, 9f
    csrsi mstatus, MSTATUS_MIE
    li t0, CLINT
    li t1, 1
    sw t1, 0(t0)
8:  j 8b
9:  try "ecall in vectored mode: ", ecall
    // Both pending: software comes before timer.
    call timer_soon
    li t0, CLINT
    li t1, 1
    sw t1, 0(t0)
8:  csrr t0, mip
    andi t0, t0, 1 << 7
    beqz t0, 8b
    li t0, 1 << 7 | 1 << 3
    csrw mie, t0
    la s10, 9f
    csrsi mstatus, MSTATUS_MIE
8:  j 8b
9:  csrw mie, zero
    call timer_never
    la t0, m_trap
    csrw mtvec, t0

    // Delegated interrupts: machine mode raises SSIP and STIP, supervisor mode takes them, highest first.
    la t0, s_vectors + 1
    csrw stvec, t0
    li t0, 1 << 1 | 1 << 5
    csrw mideleg, t0
    csrw mie, t0
    csrs mip, t0
    li s7, 2                 // how many to expect
    la s10, 9f
    // With mstatus.MIE set they are still not taken here: delegated interrupts never come in machine mode.
    csrsi mstatus, MSTATUS_MIE
    nop
    nop
    csrci mstatus, MSTATUS_MIE
    print "delegated interrupts wait in M\n"
    // In S they wait for sstatus.SIE, in U they do not.
    li t0, MSTATUS_MPP | 2
    csrc mstatus, t0
    la t0, 8f
    csrw mepc, t0
    mret
8:  j 8b
9:  csrr s0, mip
    li t0, 1 << 1 | 1 << 5
    and s0, s0, t0
    show "mip in the end: ", s0
    newline
    print "traps: good\n"
    pass

timer_soon:
    li t0, MTIME
    ld t1, 0(t0)
    addi t1, t1, 100
    li t0, MTIMECMP
    sd t1, 0(t0)
    ret
timer_never:
    li t0, MTIMECMP
    li t1, -1
    sd t1, 0(t0)
    ret
park:
    wfi
    j park

    .balign 4
m_trap:
    csrr s0, mcause
    csrr s1, mepc
    csrr s2, mtval
    csrr s3, mstatus
    bnez s8, 2f              // the supervisor handler asks to go back: nothing to print
    li t0, 3                 // a breakpoint may leave its own address or 0 in mtval
    bne s0, t0, 1f
    bne s2, s1, 1f
    li s2, 0
1:  sub s1, s1, s9
    show "M cause ", s0
    li t0, 1
    beq s0, t0, 3f           // a fetch: the pc is the target, which tval shows too
    show " pc+", s1
3:  show " tval ", s2
    srli s4, s3, 11
    andi s4, s4, 3
    show " mpp ", s4
    srli s4, s3, 7
    andi s4, s4, 1
    show " mpie ", s4
    srli s4, s3, 3
    andi s4, s4, 1
    show " mie ", s4
    newline
2:  li s8, 0
    li t0, MSTATUS_MPP
    csrs mstatus, t0
    csrw mepc, s10
    mret

    .balign 4
s_trap:
    csrr s0, scause
    csrr s1, sepc
    csrr s2, stval
    csrr s3, sstatus
    li t0, 3
    bne s0, t0, 1f
    bne s2, s1, 1f
    li s2, 0
1:  sub s1, s1, s9
    show "S cause ", s0
    show " pc+", s1
    show " tval ", s2
    srli s4, s3, 8
    andi s4, s4, 1
    show " spp ", s4
    srli s4, s3, 5
    andi s4, s4, 1
    show " spie ", s4
    srli s4, s3, 1
    andi s4, s4, 1
    show " sie ", s4
    newline
    li s8, 1
    ecall                    // back to machine mode, which goes on at s10

// Machine vectors. Entry 0 is for exceptions; 3 and 7 are the interrupts used.
    .balign 256
vectors:
    .option push
    .option norvc
    j m_trap
    j bad_vector
    j bad_vector
    j vector_software
    j bad_vector
    j bad_vector
    j bad_vector
    j vector_timer
    .option pop
bad_vector:
    print "wrong vector\n"
    pass
vector_software:
    csrr s0, mcause
    show "vector 3 cause ", s0
    newline
    li t0, CLINT
    sw zero, 0(t0)
    csrw mepc, s10
    csrci mstatus, MSTATUS_MIE
    li t0, MSTATUS_MPIE      // go on with interrupts off
    csrc mstatus, t0
    mret
vector_timer:
    csrr s0, mcause
    show "vector 7 cause ", s0
    newline
    call timer_never
    csrw mepc, s10
    li t0, MSTATUS_MPIE
    csrc mstatus, t0
    mret

    .balign 256
s_vectors:
    .option push
    .option norvc
    j s_trap
    j s_software
    j bad_vector
    j bad_vector
    j bad_vector
    j s_timer
    .option pop
s_software:
    csrr s0, scause
    show "S vector 1 cause ", s0
    newline
    csrci sip, 1 << 1        // supervisor mode may clear its own software interrupt
    j 1f
s_timer:
    csrr s0, scause
    show "S vector 5 cause ", s0
    newline
    li t0, 1 << 5            // the timer's pending bit is not its own: only machine mode clears it
    csrc sip, t0
    csrr s0, sip
    andi s0, s0, 1 << 5
    show "STIP after S tried to clear it: ", s0
    newline
    csrc sie, t0
    li t0, 1 << 5
    csrc sie, t0
1:  addi s7, s7, -1
    bnez s7, 2f
    la t0, 3f
    csrw stvec, t0
    li s8, 1
    la t0, m_clear
    mv s11, s10
    mv s10, t0
    ecall
2:  sret
    .balign 4
3:  j 3b
m_clear:
    li t0, 1 << 5
    csrc mip, t0
    jr s11

.bss
.balign 16
scratch: .skip 32

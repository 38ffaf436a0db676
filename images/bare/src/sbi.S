// SPDX-License-Identifier: Apache-2.0
// A supervisor-mode kernel that asks its firmware for everything. What differs between firmwares (version, whether the
// debug console exists) is used but not printed. Every line begins with "sbi:".
#include "virt.h"
#define BASE 0x10
#define DBCN 0x4442434e
#define TIME 0x54494d45
#define IPI 0x735049
#define RFENCE 0x52464e43
#define HSM 0x48534d
#define SRST 0x53525354

.macro call_sbi extension, function
    li a7, \extension
    li a6, \function
    ecall
.endm
.macro say text
    .pushsection .rodata
77: .asciz "\text"
    .popsection
    la a0, 77b
    call write
.endm
.macro say_number text, reg
    mv s3, \reg                 // the text uses the a registers
    say "\text"
    mv a0, s3
    call write_hex
    say "\n"
.endm
// Prints "yes" or "no" for reg == 0.
.macro say_zero text, reg
    mv s3, \reg
    say "\text"
    mv a0, s3
    call write_zero
.endm
.macro probe name, extension
    li a0, \extension
    call_sbi BASE, 3
    snez s1, a1
    say_number "sbi: probe \name ", s1
.endm

.section .text.start, "ax"
.globl _start
_start:
    mv s10, a0                   // hart id
    mv s11, a1                   // device tree
    la sp, _stack_top
    la t0, trap
    csrw stvec, t0
    csrw sie, zero
    li a0, DBCN
    call_sbi BASE, 3
    snez s9, a1                  // the console to use
    say "sbi: supervisor mode reached\n"
    lwu s1, 0(s11)               // magic of a flattened device tree, big endian
    li t0, 0xedfe0dd0
    sub s1, s1, t0
    say_zero "sbi: a1 is a device tree ", s1
    csrr s1, satp
    say_number "sbi: satp ", s1

    call_sbi BASE, 0
    srli s1, a1, 24
    li t0, 1
    bltu t0, s1, 1f              // major above 1
    sltiu s1, a1, 2              // or at least 0.2
    xori s1, s1, 1
    j 2f
1:  li s1, 1
2:  say_number "sbi: specification at least 0.2 ", s1
    call_sbi BASE, 1
    say_zero "sbi: implementation id known ", a0
    call_sbi BASE, 4
    say_zero "sbi: mvendorid readable ", a0
    probe "BASE", BASE
    probe "TIME", TIME
    probe "IPI", IPI
    probe "RFENCE", RFENCE
    probe "HSM", HSM
    probe "SRST", SRST
    probe "nothing", 0x0bad0bad
    call_sbi 0x0bad0bad, 0
    say_number "sbi: missing extension ", a0
    call_sbi BASE, 99
    say_number "sbi: missing function ", a0

    // Timer: one interrupt, then never again.
    li s8, 0
    rdtime a0
    li t0, 10000
    add a0, a0, t0
    mv s1, a0
    call_sbi TIME, 0
    mv s2, a0
    say_zero "sbi: set_timer ", s2
    li t0, 1 << 5
    csrs sie, t0
1:  wfi                          // ends when it is pending, taken or not; with SIE clear nothing is missed
    csrr t0, sip
    andi t0, t0, 1 << 5
    beqz t0, 1b
    csrsi sstatus, 2
    csrci sstatus, 2
    rdtime s2
    sltu s1, s2, s1
    say_number "sbi: timer scause ", s8
    say_zero "sbi: not before its time ", s1

    // An interrupt to ourselves.
    li s8, 0
    csrwi sie, 2
    csrsi sstatus, 2
    li a0, 1
    mv a1, s10                   // mask 1 with this hart as base
    call_sbi IPI, 0
    mv s2, a0
1:  beqz s8, 1b
    csrci sstatus, 2
    say_zero "sbi: send_ipi ", s2
    say_number "sbi: ipi scause ", s8

    li a0, 1
    mv a1, s10
    call_sbi RFENCE, 0
    say_zero "sbi: remote fence.i ", a0
    li a0, 1
    mv a1, s10
    li a2, 0
    li a3, -1
    call_sbi RFENCE, 1
    say_zero "sbi: remote sfence.vma ", a0

    mv a0, s10
    call_sbi HSM, 2
    mv s1, a1
    say_zero "sbi: hart_get_status ", a0
    say_number "sbi: own status ", s1
    li a0, 4095
    call_sbi HSM, 2
    say_number "sbi: status of no hart ", a0
    mv a0, s10
    la a1, _start
    li a2, 0
    call_sbi HSM, 0
    say_number "sbi: start of a started hart ", a0

    say "sbi: good\n"
    li a0, 0
    li a1, 0
    call_sbi SRST, 0             // shutdown, no reason
    say "sbi: shutdown returned\n"
1:  wfi
    j 1b

    .balign 4
trap:                            // only interrupts are expected; both are recorded in s8 and silenced
    csrr s8, scause
    bgez s8, 2f
    andi t0, s8, 0xff
    li t1, 5
    beq t0, t1, 1f
    csrci sip, 2
    sret
1:  csrw sie, zero               // set_timer(never) would use an ecall; masking is enough here
    sret
2:  csrr s7, sepc
    say_number "sbi: unexpected exception ", s8
    say_number "sbi: at ", s7
3:  wfi
    j 3b

write:                           // a0: a string. Keeps s registers only.
    mv s6, ra
    mv s5, a0
    beqz s9, 2f
    mv a1, a0                    // debug console: length, address low, address high
1:  lbu t0, 0(a1)
    addi a1, a1, 1
    bnez t0, 1b
    sub a0, a1, s5
    addi a0, a0, -1
    mv a1, s5
    li a2, 0
    call_sbi DBCN, 0
    mv ra, s6
    ret
2:  lbu a0, 0(s5)                // legacy putchar, one a call
    beqz a0, 3f
    li a7, 1
    ecall
    addi s5, s5, 1
    j 2b
3:  mv ra, s6
    ret
write_zero:
    mv s4, ra
    beqz a0, 1f
    say "no\n"
    mv ra, s4
    ret
1:  say "yes\n"
    mv ra, s4
    ret
write_hex:                       // builds the digits from the right in a buffer
    mv s4, ra
    la t0, digits_end
    sb zero, 0(t0)
1:  andi t1, a0, 15
    li t2, 10
    blt t1, t2, 2f
    addi t1, t1, 'a' - '0' - 10
2:  addi t1, t1, '0'
    addi t0, t0, -1
    sb t1, 0(t0)
    srli a0, a0, 4
    bnez a0, 1b
    mv a0, t0
    call write
    mv ra, s4
    ret
.data
digits: .skip 16
digits_end: .skip 1

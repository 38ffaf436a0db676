// SPDX-License-Identifier: Apache-2.0
// Results between begin_signature and end_signature, as the RISC-V architectural tests leave them. The same words are
// printed, one of 32 bits a line, which is the format of a signature file.
#include "virt.h"
.macro put reg
    sd \reg, 0(s0)
    addi s0, s0, 8
.endm
.section .text.start, "ax"
.globl _start
_start:
    csrr t0, mhartid
    bnez t0, park
    la sp, _stack_top
    la s0, begin_signature
    li a2, 0x8000000000000001
    li a3, 0x7ffffffffffffff3
    add a4, a2, a3
    put a4
    sub a4, a2, a3
    put a4
    mul a4, a2, a3
    put a4
    mulh a4, a2, a3
    put a4
    mulhsu a4, a2, a3
    put a4
    mulhu a4, a2, a3
    put a4
    div a4, a2, a3
    put a4
    rem a4, a2, a3
    put a4
    div a4, a2, zero         // by zero: all ones
    put a4
    rem a4, a2, zero         // the dividend
    put a4
    li a5, 0x8000000000000000
    li a6, -1
    div a4, a5, a6           // overflow: the dividend
    put a4
    rem a4, a5, a6           // zero
    put a4
    divuw a4, a2, a3
    put a4
    sra a4, a2, a3
    put a4
    sraw a4, a3, a2
    put a4
    sltu a4, a3, a2
    put a4
    la s0, begin_signature
    la s1, end_signature
1:  lwu s2, 0(s0)
    li s3, 28
2:  srl a0, s2, s3           // eight digits, leading zeros kept
    andi a0, a0, 15
    li t0, 10
    blt a0, t0, 3f
    addi a0, a0, 'a' - '0' - 10
3:  addi a0, a0, '0'
    call putc
    addi s3, s3, -4
    bgez s3, 2b
    newline
    addi s0, s0, 4
    bltu s0, s1, 1b
    pass
park:
    wfi
    j park
.data
.balign 16
.globl begin_signature, end_signature
begin_signature: .fill 16, 8, 0xdeadbeef
end_signature:
    .dword 0

// SPDX-License-Identifier: Apache-2.0
// The host interface of Spike and of riscv-tests: console characters, one write system call, success.
#include "virt.h"
.section .text.start, "ax"
.globl _start
_start:
    csrr t0, mhartid
    bnez t0, park
    la s0, tohost
    la s1, fromhost
    la s2, hello
1:  lbu t0, 0(s2)
    beqz t0, 2f
    li t1, 0x0101000000000000  // device 1 (console), command 1 (write a character)
    or t0, t0, t1
    sd t0, 0(s0)
3:  ld t0, 0(s0)             // the host takes the request by clearing tohost
    bnez t0, 3b
    sd zero, 0(s1)           // and may answer: answered requests must be cleared
    addi s2, s2, 1
    j 1b
2:  la t0, request           // device 0: the address of eight words, {number, arguments...}
    fence
    sd t0, 0(s0)
4:  ld t0, 0(s1)
    beqz t0, 4b
    sd zero, 0(s1)
    la t0, request
    ld t1, 0(t0)             // the result replaces the number: the bytes written
    li t2, hello2_end - hello2
    li t0, 3                 // (1 << 1) | 1: failed with code 1
    bne t1, t2, 5f
    li t0, 1
5:  sd t0, 0(s0)
    j 5b
park:
    wfi
    j park
.data
.balign 64
request: .dword 64, 1, hello2, hello2_end - hello2, 0, 0, 0, 0
hello: .asciz "tohost: characters\n"
hello2: .ascii "tohost: a write of many bytes\n"
hello2_end:
.section .tohost, "aw", @progbits
.balign 64
.globl tohost, fromhost
.type tohost, @object
.size tohost, 8               // hosts check the size
.type fromhost, @object
.size fromhost, 8
tohost: .dword 0
.balign 64
fromhost: .dword 0

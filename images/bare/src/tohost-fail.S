// SPDX-License-Identifier: Apache-2.0
// A test that fails through the host interface: case number 5, as riscv-tests writes it.
.section .text.start, "ax"
.globl _start
_start:
    csrr t0, mhartid
1:  bnez t0, 1b
    la s0, tohost
    li t0, 5 << 1 | 1
2:  sd t0, 0(s0)
    j 2b
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

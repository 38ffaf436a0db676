// SPDX-License-Identifier: Apache-2.0
// Echoes what arrives on the UART, driven by its interrupt through the PLIC, until a 'q'.
#include "virt.h"
#define IRQ 10
#define CLAIM (PLIC + 0x200004)  /* context 0: machine mode of hart 0 */
.section .text.start, "ax"
.globl _start
_start:
    csrr t0, mhartid
    bnez t0, park
    la sp, _stack_top
    la t0, trap
    csrw mtvec, t0
    li s0, 0                 // set by the handler at 'q'
    li s1, 0                 // bytes
    li s2, 0                 // claims that were not the UART's
    li t0, PLIC
    li t1, 1
    sw t1, 4 * IRQ(t0)       // priority
    li t0, PLIC + 0x2000
    li t1, 1 << IRQ
    sw t1, 0(t0)             // enable
    li t0, PLIC + 0x200000
    sw zero, 0(t0)           // threshold
    li t0, UART
    li t1, 1
    sb t1, 1(t0)             // IER: received data
    print "uartirq: type, end with q\n"
    li t0, 1 << 11
    csrw mie, t0
1:  wfi                          // ends when it is pending; with MIE clear no interrupt is lost before it
    csrsi mstatus, 8
    csrci mstatus, 8
    beqz s0, 1b
    newline
    show "bytes ", s1
    show " strangers ", s2
    li t0, CLAIM
    lw s3, 0(t0)
    show " claim when idle ", s3
    newline
    print "uartirq: good\n"
    pass
    .balign 4
trap:                        // the loop above keeps nothing in the registers that this uses
    li t0, CLAIM
    lw s4, 0(t0)
    li t1, IRQ
    beq s4, t1, 1f
    addi s2, s2, 1
    j 3f
1:  li t0, UART
    lbu t1, 5(t0)
    andi t1, t1, 1           // LSR.DR: drain what is there
    beqz t1, 3f
    lbu a0, 0(t0)
    addi s1, s1, 1
    li t1, 'q'
    bne a0, t1, 2f
    li s0, 1
2:  call putc
    j 1b
3:  li t0, CLAIM
    sw s4, 0(t0)             // complete
    mret
park:
    wfi
    j park

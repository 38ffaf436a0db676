// SPDX-License-Identifier: Apache-2.0
// What the bare images share: the addresses of QEMU's virt board, console macros, and the end of a run.
// Console routines use a0, a1 and t0 to t3 only, so a test may keep its state in s and other a registers.
#ifndef VIRT_H
#define VIRT_H
#define UART 0x10000000
#define FINISHER 0x100000
#define CLINT 0x2000000
#define MTIMECMP (CLINT + 0x4000)
#define MTIME (CLINT + 0xbff8)
#define PLIC 0xc000000
#define FINISH_PASS 0x5555
#define FINISH_FAIL(code) (0x3333 | (code) << 16)

.macro print text
    .pushsection .rodata
77: .asciz "\text"
    .popsection
    la a0, 77b
    call puts
.endm

// Text, then a register in hexadecimal without leading zeros. The register must not be one that puts uses.
.macro show text, reg
    print "\text"
    mv a0, \reg
    call puthex
.endm

.macro newline
    li a0, '\n'
    call putc
.endm

// PMP entry 0 opens all memory to S and U mode: without an entry that matches they may touch nothing.
.macro open_pmp
    li t0, -1
    srli t0, t0, 10
    csrw pmpaddr0, t0
    li t0, 0x1f
    csrw pmpcfg0, t0
.endm

.macro pass
    fence                    // the last character leaves before the machine does
    li t0, FINISHER
    li t1, FINISH_PASS
    sw t1, 0(t0)
88: j 88b
.endm

.section .text.console, "ax"
putc:                        // a0: the character
    li t0, UART
1:  lbu t1, 5(t0)
    andi t1, t1, 0x20        // LSR.THRE
    beqz t1, 1b
    sb a0, 0(t0)
    ret
puts:                        // a0: a string that ends with 0
    mv a1, a0
    mv t2, ra
1:  lbu a0, 0(a1)
    beqz a0, 2f
    call putc
    addi a1, a1, 1
    j 1b
2:  jr t2
puthex:                      // a0: a number
    mv a1, a0
    mv t2, ra
    li t3, 60
1:  srl t0, a1, t3           // skip leading zeros, but keep the last digit
    bnez t0, 2f
    beqz t3, 2f
    addi t3, t3, -4
    j 1b
2:  srl a0, a1, t3
    andi a0, a0, 15
    addi a0, a0, '0'
    li t0, '9'
    ble a0, t0, 3f
    addi a0, a0, 'a' - '0' - 10
3:  call putc
    addi t3, t3, -4
    bgez t3, 2b
    jr t2
.text
#endif

// SPDX-License-Identifier: Apache-2.0
// Sv39 and Sv48: pages of every size, every permission, accessed and dirty bits, sfence.vma, MPRV.
//
// Machine mode takes every trap (its addresses are physical, so no table can hurt it) and prints it; the code under test
// runs in S or U mode from the same addresses, mapped one to one by a 1 GiB page. Test pages are in the first 4 KiB
// table, at VA 0x40200000. A supervisor handler for demand paging comes last.
#include "virt.h"

#define V 1
#define R 2
#define W 4
#define X 8
#define U 16
#define A 64
#define D 128
#define SUM 0x40000
#define MXR 0x80000
#define MPRV 0x20000
#define MPP 0x1800
#define GIGA 0x40000000
#define SMALL 0x40200000         /* VA of the 4 KiB pages */
#define MEGA_PA 0x80400000       /* two physical places of 2 MiB */
#define TERA_VA 0x8000000000
#define USER_CODE 0xc0000000     /* VA: root[3], a 1 GiB user page on memory */

// Table[index] = leaf or branch to a physical address given in a register or by a symbol.
.macro entry table, index, pa, flags
    la t0, \table
    li t1, \pa
    srli t1, t1, 12
    slli t1, t1, 10
    ori t1, t1, (\flags) & 0xff
    li t2, (\index) * 8
    add t0, t0, t2
    sd t1, 0(t0)
.endm
.macro entry_at table, index, symbol, flags
    la t0, \table
    la t1, \symbol
    srli t1, t1, 12
    slli t1, t1, 10
    ori t1, t1, (\flags) & 0xff
    li t2, (\index) * 8
    add t0, t0, t2
    sd t1, 0(t0)
.endm

// Runs one instruction in mode 0 (U) or 1 (S) with mstatus bits set, a5 = a virtual address. The result is in a6.
.macro try_in mode, bits, name, va, insn:vararg
    print "\name: "
    li s9, \va
    mv a5, s9
    li a6, 0
    la s10, 2f
    li t0, MPP | SUM | MXR
    csrc mstatus, t0
    li t0, \mode << 11 | (\bits)
    csrs mstatus, t0
    la t0, 1f
    .if \mode == 0               // U mode runs through a user mapping of the same code
    li t1, USER_CODE - 0x80000000
    add t0, t0, t1
    .endif
    csrw mepc, t0
    mret
1:  \insn
    ecall
2:
.endm

// Instruction sequences, so that each is one argument.
.macro store_and_load offset
    sd a5, \offset(a5)
    ld a6, \offset(a5)
.endm
.macro change_entry              // s5 is the table: entry 0 := entry 5, seen after the fence
    ld a6, 0(a5)
    ld a7, 8 * 5(s5)
    sd a7, 0(s5)
    sfence.vma a5, zero
    ld a6, 0(a5)
.endm
.macro touch_page
    ld a6, 0(a5)
    ld a7, 2040(a5)
    sd a5, 16(a5)
    ld a7, 16(a5)
    add a6, a6, a7
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
    csrw medeleg, zero
    la t0, table_start           // tables are in memory that holds anything
    la t1, table_end
1:  sd zero, 0(t0)
    addi t0, t0, 8
    bltu t0, t1, 1b

    // 1 GiB pages, a table of 2 MiB pages, a table of 4 KiB pages.
    entry root, 0, 0, V | R | W | A | D
    entry_at root, 1, middle, V
    entry root, 2, 0x80000000, V | R | W | X | A | D
    entry root, 3, 0x80000000, V | R | X | U | A | D
    entry middle, 0, MEGA_PA, V | R | W | A | D
    entry_at middle, 1, small, V
    entry middle, 2, MEGA_PA + 0x1000, V | R | W | A | D  // a misaligned superpage
    entry middle, 3, MEGA_PA + 0x200000, V | R | W | U | A | D
    entry_at small, 0, page_a, V | R | W | A | D
    entry_at small, 1, page_a, V | R | A | D
    entry_at small, 2, page_x, V | X | A | D
    entry_at small, 3, page_x, V | R | X | U | A | D
    entry_at small, 4, page_a, V | R | W | U | A | D
    entry_at small, 5, page_b, V | R
    entry_at small, 6, page_b, V | R | W
    entry_at small, 7, page_a, R | W | A | D               // not valid
    entry_at small, 8, page_a, V | W | A | D               // reserved: writable, not readable
    entry_at small, 9, page_a, V                           // a branch at the last level
    entry_at small, 10, page_x, V | R | W | A | D          // not executable
    entry_at small, 11, page_x, V | R | X | A | D
    la t0, page_a
    li t1, 0xaaaa
    sd t1, 0(t0)
    la t0, page_b
    li t1, 0xbbbb
    sd t1, 0(t0)
    la t0, page_x                // li a6, 0x77; ecall
    li t1, 0x00000073
    slli t1, t1, 32
    li t2, 0x07700813
    add t1, t1, t2
    sd t1, 0(t0)
    li t0, MEGA_PA
    li t1, 0x2222
    sd t1, 0x100(t0)
    fence.i

    // A mode that does not exist leaves satp as it was.
    csrw satp, zero
    li t0, 5 << 60 | 1
    csrw satp, t0
    csrr s0, satp
    show "satp after a bad mode: ", s0
    newline
    li t0, 8
    slli t0, t0, 60
    la t1, root
    srli t1, t1, 12
    or t0, t0, t1
    csrw satp, t0
    csrr s0, satp
    sfence.vma
    srli s0, s0, 60
    show "satp mode: ", s0
    newline

    // Sizes.
    try_in 1, 0, "1G load", 0x80000000, lwu a6, 0(a5)
    try_in 1, 0, "2M load", GIGA + 0x100, ld a6, 0(a5)
    try_in 1, 0, "2M store", GIGA + 0x1ffff8, store_and_load 0
    try_in 1, 0, "4K load", SMALL, ld a6, 0(a5)
    try_in 1, 0, "4K store", SMALL + 8, store_and_load 0
    try_in 1, 0, "same page by another name", SMALL + 0x1008, ld a6, 0(a5)
    // Permissions.
    try_in 1, 0, "R store", SMALL + 0x1000, sd a5, 0(a5)
    try_in 1, 0, "R amo", SMALL + 0x1000, amoswap.d a6, a5, (a5)
    try_in 1, 0, "X load", SMALL + 0x2000, ld a6, 0(a5)
    try_in 1, MXR, "X load with MXR", SMALL + 0x2000, ld a6, 0(a5)
    try_in 1, MXR, "X store with MXR", SMALL + 0x2000, sd a6, 0(a5)
    try_in 1, 0, "X fetch", SMALL + 0x2000, jr a5
    try_in 1, 0, "RX fetch", SMALL + 0xb000, jr a5
    try_in 1, 0, "RW fetch", SMALL + 0xa000, jr a5
    try_in 1, 0, "S loads U", SMALL + 0x4000, ld a6, 0(a5)
    try_in 1, SUM, "S loads U with SUM", SMALL + 0x4000, ld a6, 0(a5)
    try_in 1, 0, "S stores U", SMALL + 0x4000, sd a5, 16(a5)
    try_in 1, SUM, "S stores U with SUM", SMALL + 0x4000, store_and_load 16
    try_in 1, SUM, "S fetches U with SUM", SMALL + 0x3000, jr a5
    try_in 0, 0, "U loads U", SMALL + 0x4000, ld a6, 0(a5)
    try_in 0, 0, "U loads S", SMALL, ld a6, 0(a5)
    try_in 0, SUM, "U loads S with SUM", SMALL, ld a6, 0(a5)
    try_in 0, 0, "U stores S", SMALL, sd a6, 0(a5)
    try_in 0, 0, "U fetches U", SMALL + 0x3000, jr a5
    try_in 0, 0, "U fetches S", SMALL + 0xb000, jr a5
    // Entries that are no page.
    try_in 1, 0, "not valid", SMALL + 0x7008, ld a6, 0(a5)
    try_in 1, 0, "W without R", SMALL + 0x8008, ld a6, 0(a5)
    try_in 1, 0, "branch at the last level", SMALL + 0x9008, ld a6, 0(a5)
    try_in 1, 0, "misaligned superpage", GIGA + 0x400008, ld a6, 0(a5)
    try_in 1, 0, "nothing mapped, load", 0x100000000, ld a6, 0(a5)
    try_in 1, 0, "nothing mapped, store", 0x100000000, sd a6, 0(a5)
    try_in 1, 0, "nothing mapped, fetch", 0x100000000, jr a5
    try_in 1, 0, "not canonical", 0x4000000080000000, ld a6, 0(a5)
    try_in 1, 0, "not canonical, bit 39", 0x8080000000, ld a6, 0(a5)
    try_in 1, 0, "access fault below a translation", 0x18000000, ld a6, 0(a5)
    // Accessed and dirty: set by hardware, or a fault that m_trap answers by setting them.
    try_in 1, 0, "A clear, load", SMALL + 0x5000, ld a6, 0(a5)
    la t0, small
    ld s0, 5 * 8(t0)
    andi s0, s0, A | D
    show "A and D after a load: ", s0
    newline
    try_in 1, 0, "A clear, load of a writable page", SMALL + 0x6000, ld a6, 0(a5)
    la t0, small
    ld s0, 6 * 8(t0)
    andi s0, s0, A | D
    show "A and D after a load: ", s0
    newline
    try_in 1, 0, "D clear, store", SMALL + 0x6000, store_and_load 8
    la t0, small
    ld s0, 6 * 8(t0)
    andi s0, s0, A | D
    show "A and D after a store: ", s0
    newline
    la t0, small
    ld s0, 5 * 8(t0)
    andi s0, s0, A | D
    show "the other entry of the page: ", s0
    newline

    // A changed entry is certain after sfence.vma: for one address, for all, from S mode too.
    entry_at small, 0, page_b, V | R | W | A | D
    li t0, SMALL
    sfence.vma t0
    try_in 1, 0, "remapped", SMALL, ld a6, 0(a5)
    entry_at small, 0, page_a, V | R | W | A | D
    sfence.vma
    try_in 1, 0, "mapped back", SMALL, ld a6, 0(a5)
    la s5, small
    try_in 1, 0, "changed from S", SMALL, change_entry
    try_in 1, 0, "and read-only now", SMALL, sd a5, 0(a5)
    entry_at small, 0, page_a, V | R | W | A | D
    sfence.vma

    // MPRV: machine mode loads as the mode in MPP.
    li t0, MPP | SUM | MXR
    csrc mstatus, t0
    li t0, MPRV | 1 << 11
    csrs mstatus, t0
    li t1, SMALL
    ld s0, 0(t1)
    li t0, MPRV
    csrc mstatus, t0
    show "MPRV as S: ", s0
    newline

    // Demand paging in S mode: page faults are delegated, the handler maps page_b and returns to the instruction.
    li t0, 1 << 12 | 1 << 13 | 1 << 15
    csrw medeleg, t0
    la t0, s_trap
    csrw stvec, t0
    li s11, 0
    try_in 1, 0, "demand paging", SMALL + 0x100000, touch_page
    csrw medeleg, zero
    show "faults taken in S: ", s11
    newline

    // Sv48 over the same tables: one more level, and a 512 GiB page.
    entry_at top, 0, root, V
    entry top, 1, 0, V | R | W | A | D
    li t0, 9
    slli t0, t0, 60
    la t1, top
    srli t1, t1, 12
    or t0, t0, t1
    csrw satp, t0
    csrr s0, satp
    sfence.vma
    srli s0, s0, 60
    show "satp mode: ", s0
    newline
    try_in 1, 0, "Sv48 4K load", SMALL, ld a6, 0(a5)
    try_in 1, 0, "Sv48 2M load", GIGA + 0x100, ld a6, 0(a5)
    try_in 1, 0, "Sv48 512G load", TERA_VA + MEGA_PA + 0x100, ld a6, 0(a5)
    try_in 1, 0, "Sv48 512G fetch", TERA_VA + 0x80000000, jr a5
    try_in 1, 0, "Sv48 nothing mapped", TERA_VA * 2, ld a6, 0(a5)
    try_in 1, 0, "Sv48 not canonical", 0x800000000000, ld a6, 0(a5)
    try_in 0, 0, "Sv48 U loads S", SMALL, ld a6, 0(a5)
    // Bare again: addresses are physical.
    csrw satp, zero
    sfence.vma
    try_in 1, 0, "bare", MEGA_PA + 0x100, ld a6, 0(a5)
    print "paging: good\n"
    pass
park:
    wfi
    j park

    .balign 4
m_trap:
    csrr s0, mcause
    csrr s2, mtval
    li t0, 13
    beq s0, t0, 1f
    li t0, 15
    bne s0, t0, 3f
1:  // A fault on an entry whose only fault is a clear A or D: set what the access needs and run it again.
    li t0, SMALL
    sub t1, s2, t0
    srli t1, t1, 12
    addi t2, t1, -5
    li t3, 1
    bgtu t2, t3, 3f              // only entries 5 and 6 are such
    slli t1, t1, 3
    la t2, small
    add t1, t1, t2
    ld t2, 0(t1)
    li t3, A
    li t0, 15
    bne s0, t0, 2f
    li t3, A | D
2:  and t0, t2, t3
    beq t0, t3, 3f               // it had them: a real fault
    or t2, t2, t3
    sd t2, 0(t1)
    sfence.vma
    mret
3:  li t0, 8
    beq s0, t0, 4f
    li t0, 9
    beq s0, t0, 4f
    show "cause ", s0
    show " tval ", s2
    j 5f
4:  show "value ", a6
5:  newline
    csrw mepc, s10
    li t0, MPP
    csrs mstatus, t0
    mret

    .balign 4
s_trap:                          // uses t registers, which the code under test does not
    addi s11, s11, 1
    csrr t0, stval
    srli t0, t0, 12
    li t1, SMALL >> 12
    sub t0, t0, t1
    slli t0, t0, 3
    la t1, small
    add t0, t0, t1
    la t1, page_b
    srli t1, t1, 12
    slli t1, t1, 10
    ori t1, t1, V | R | W | A | D
    sd t1, 0(t0)
    csrr t0, stval
    sfence.vma t0
    sret

.bss
.balign 4096
table_start:
root: .skip 4096
middle: .skip 4096
small: .skip 4096
top: .skip 4096
table_end:
page_a: .skip 4096
page_b: .skip 4096
page_x: .skip 4096

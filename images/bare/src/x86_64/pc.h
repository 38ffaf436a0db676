/* What the PC's images share: how they are started, and how they speak and end. */
#define COM1 0x3f8
#define EXIT 0xf4

.macro multiboot_header
  .section .multiboot, "a"
  .balign 4
  .long 0x1badb002, 3, -(0x1badb002 + 3)
.endm

.macro pvh_note entry
  .section .note.pvh, "a", @note
  .balign 4
  .long 4, 4, 18
  .asciz "Xen"
  .long \entry
.endm

/* The exit status is (value << 1) | 1. */
.macro finish value
  movl $\value, %eax
  outb %al, $EXIT
9: hlt
  jmp 9b
.endm

/* In 32-bit code: prints the string at %esi; spoils %eax, %edx, %esi. */
.macro print_functions
puts:
  movw $COM1 + 5, %dx
1: inb %dx, %al
  testb $0x20, %al
  jz 1b
  lodsb
  testb %al, %al
  jz 2f
  movw $COM1, %dx
  outb %al, %dx
  jmp puts
2: ret

/* Prints %ebx in hexadecimal, and a new line; spoils %eax, %ecx, %edx. */
puthex:
  movl $8, %ecx
1: roll $4, %ebx
  movl %ebx, %eax
  andl $15, %eax
  cmpb $10, %al
  jb 2f
  addb $'a' - '0' - 10, %al
2: addb $'0', %al
  movw $COM1, %dx
  outb %al, %dx
  decl %ecx
  jnz 1b
  movb $10, %al
  outb %al, %dx
  ret
.endm

.macro say text
  .section .rodata
8: .asciz "\text"
  .text
  mov $8b, %esi
  call puts
.endm

/* A text, and the number in a place. */
.macro show text, place
  say "\text "
  movl \place, %ebx
  call puthex
.endm

/* A blank and a number: one of several in a line. */
.macro word place
  movl \place, %ebx
  call putword
.endm
.macro word_function
putword:
  movw $COM1, %dx
  movb $' ', %al
  outb %al, %dx
  movl $8, %ecx
1: roll $4, %ebx
  movl %ebx, %eax
  andl $15, %eax
  cmpb $10, %al
  jb 2f
  addb $'a' - '0' - 10, %al
2: addb $'0', %al
  outb %al, %dx
  decl %ecx
  jnz 1b
  ret
.endm

/* Code for each of 49 vectors, 16 bytes each: pushes an error code if there is none, then the vector. */
#define VECTORS 0x31
.macro trap_stubs name, target
  .balign 16
\name:
  .set vector, 0
  .rept VECTORS
  .balign 16
  .if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17
  nop
  nop
  .else
  push $0
  .endif
  push $vector
  jmp \target
  .balign 16
  .set vector, vector + 1
  .endr
.endm
/* Gates of 32 bits for them. */
.macro trap_gates stubs
  xorl %ecx, %ecx
  movl $\stubs, %eax
8: movw %ax, idt(,%ecx,8)
  movl $0x8e000008, idt + 2(,%ecx,8)
  movl %eax, %edx
  shrl $16, %edx
  movw %dx, idt + 6(,%ecx,8)
  addl $16, %eax
  incl %ecx
  cmpl $VECTORS, %ecx
  jb 8b
  lidt idtr
.endm

/* Fills a table with pages of 2 MiB from physical address 0 on, with these bits. */
.macro fill_pages table, bits
  movl $\bits, %eax
  xorl %ecx, %ecx
8: movl %eax, \table(,%ecx,8)
  addl $0x200000, %eax
  incl %ecx
  cmpl $512, %ecx
  jb 8b
.endm
/* Long mode with the tables at \root, once CR4.PAE is set. */
.macro enter_long root
  movl $\root, %eax
  movl %eax, %cr3
  movl $0xc0000080, %ecx
  rdmsr
  orl $0x100, %eax
  wrmsr
  movl %cr0, %eax
  orl $0x80000000, %eax
  movl %eax, %cr0
.endm

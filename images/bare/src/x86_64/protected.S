/* 32-bit protected mode from multiboot on: what only 32-bit code has, gates, a program and back, 32-bit and PAE paging. */
#include "pc.h"
  multiboot_header
  .text
  .code32
  print_functions

  .globl _start
_start:
  movl $stack, %esp
  movl %eax, %ebp
  say "magic "
  movl %ebp, %ebx
  call puthex
  lgdt gdtr
  ljmp $8, $1f
1: movl $0x10, %eax
  movl %eax, %ds
  movl %eax, %es
  movl %eax, %ss
  movl %eax, %fs
  movl %eax, %gs

  /* Decimal arithmetic, bounds, arrays of registers. */
  say "decimals\n"
  movl $0x9b, %eax
  addb $0, %al
  daa
  movl %eax, %ebx
  call puthex
  movl $0x4b, %eax
  aam
  movl %eax, %ebx
  call puthex
  movl $0x0705, %eax
  aad
  movl %eax, %ebx
  call puthex
  movl $0x10f, %eax
  addb $1, %al
  aaa
  movl %eax, %ebx
  call puthex
  movl $1, %ecx
  movl $2, %edx
  movl $3, %edi
  pushal
  movl 24(%esp), %ebx
  call puthex
  movl $0x12345678, %ecx
  popal
  leal (%ecx,%edi,4), %ebx
  call puthex
  movl $0x10023, %eax
  movw $0xfff0, %bx
  movw $0x22, %si
  addr16 leal (%bx,%si), %ebx
  call puthex
  movl $0x20, %eax
  movl $3, %ebx
  arpl %bx, %ax
  movl %eax, %ebx
  call puthex
  les pointer, %ebx
  call puthex

  /* Traps through 32-bit gates. */
  say "traps\n"
  movl $0, %ecx
2: movl $handler, %eax
  cmpl $0x40, %ecx
  jb 3f
  movl $3f, %eax
3: movl %eax, %edx
  andl $0xffff, %eax
  orl $0x80000, %eax
  andl $0xffff0000, %edx
  orl $0x8e00, %edx
  movl %eax, idt(,%ecx,8)
  movl %edx, idt + 4(,%ecx,8)
  incl %ecx
  cmpl $64, %ecx
  jb 2b
  lidt idtr
  movl $4f, resume
  ud2
4: movl $5f, resume
  int3
5: movl $6f, resume
  movl $7, %eax
  /* bound %eax, limits: of two assemblers only one knows it. */
  .byte 0x62, 5
  .long limits
6: movl $7f, resume
  movb $0x7f, %al
  addb $1, %al
  into
7: movl $8f, resume
  movl $0x50, %eax
  movl %eax, %es
8: movl $10f, resume
  xorl %ecx, %ecx
  divl %ecx
10:

  /* A program, which comes back by a gate. */
  say "program\n"
  movl $handlerstack, tss + 4
  movl $0x10, tss + 8
  movl $tss, %eax
  movw %ax, gdt + 0x2a
  shrl $16, %eax
  movb %al, gdt + 0x2c
  movb %ah, gdt + 0x2f
  movl $0x28, %eax
  ltr %ax
  movb $0xee, idt + 0x30 * 8 + 5
  movl $12f, resume
  pushl $0x23
  pushl $stack - 512
  pushfl
  pushl $0x1b
  pushl $11f
  iretl
11: movl %cs, %eax
  int $0x30
12: movl $13f, resume
  pushl $0x23
  pushl $stack - 512
  pushfl
  pushl $0x1b
  pushl $14f
  iretl
14: cli
13:

  /* Paging: 4 MiB pages and a table, then PAE. */
  say "paging\n"
  movl $0x83, directory
  movl $table + 3, directory + 4
  movl $0x300003, table
  movl %cr4, %eax
  orl $0x10, %eax
  movl %eax, %cr4
  movl $directory, %eax
  movl %eax, %cr3
  movl %cr0, %eax
  orl $0x80010000, %eax
  movl %eax, %cr0
  movl $0xcafe, 0x400010
  movl 0x300010, %ebx
  call puthex
  movl table, %ebx
  call puthex
  movl $15f, resume
  movl $1, 0x401234
15: movl %cr2, %ebx
  call puthex
  movl %cr0, %eax
  andl $0x7fffffff, %eax
  movl %eax, %cr0
  movl $pae + 1, pointers
  movl $0x83, pae
  movl $0x200083, pae + 8
  movl $table + 3, pae + 16
  movl $0x300003, table
  movl $0, table + 4
  movl %cr4, %eax
  orl $0x20, %eax
  movl %eax, %cr4
  movl $pointers, %eax
  movl %eax, %cr3
  movl %cr0, %eax
  orl $0x80010000, %eax
  movl %eax, %cr0
  movl 0x400010, %ebx
  call puthex
  movl $16f, resume
  movl $1, 0x40000000
16: movl %cr2, %ebx
  call puthex
  finish 0

/* Prints the vector and error code that the stub has pushed, as far as it can tell them: by the depth of the stack, and goes on. */
handler:
  /* A program has left none that it may use. */
  movl $0x10, %eax
  movl %eax, %ds
  movl %eax, %es
  pushl %esi
  pushl %ebx
  say "trap "
  popl %ebx
  popl %esi
  movl %esp, %ebx
  movl %cs, %ebx
  movl (%esp), %ebx
  subl resume, %ebx
  call puthex
  movl $stack - 256, %esp
  pushl resume
  ret

  .data
  .balign 8
pointer: .long 0x55667788; .word 0x10
  .balign 8
limits: .long 1, 5
resume: .long 0
gdt:
  .quad 0
  .quad 0x00cf9b000000ffff
  .quad 0x00cf93000000ffff
  .quad 0x00cffb000000ffff
  .quad 0x00cff3000000ffff
  .quad 0x0000890000000067
gdtr: .word . - gdt - 1; .long gdt
idtr: .word 64 * 8 - 1; .long idt
  .bss
  .balign 4096
directory: .skip 4096
pae: .skip 4096
table: .skip 4096
pointers: .skip 32
  .balign 8
idt: .skip 64 * 8
tss: .skip 104
  .skip 1024
handlerstack:
  .skip 4096
stack:

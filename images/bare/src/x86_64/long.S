/* PVH, long mode, the local APIC's timer, the I/O APIC with the interval timer, the UART's interrupt, fw_cfg, the clock. */
#include "pc.h"
  pvh_note _start
  .text
  .code32
  print_functions

  .globl _start
_start:
  movl $stack, %esp
  movl (%ebx), %ebp
  say "start info "
  movl %ebp, %ebx
  call puthex
  movl $0x11, %eax
  outb %al, $0x20
  movb $0x20, %al
  outb %al, $0x21
  movb $4, %al
  outb %al, $0x21
  movb $1, %al
  outb %al, $0x21
  movb $0xff, %al
  outb %al, $0x21
  inb $0x21, %al
  movzbl %al, %ebx
  call puthex
  /* The memory size of firmware's configuration. */
  say "memory "
  movw $0x510, %dx
  movw $3, %ax
  outw %ax, %dx
  movw $0x511, %dx
  xorl %ebx, %ebx
  movl $4, %ecx
1: inb %dx, %al
  movb %al, %bl
  rorl $8, %ebx
  decl %ecx
  jnz 1b
  /* However much there is, it is whole megabytes. */
  andl $0xfffff, %ebx
  call puthex
  /* Channel 2 of the interval timer, polled, against the clock. */
  inb $0x61, %al
  andb $0xfc, %al
  orb $1, %al
  outb %al, $0x61
  movb $0xb0, %al
  outb %al, $0x43
  movb $0xa9, %al
  outb %al, $0x42
  movb $4, %al
  outb %al, $0x42
  rdtsc
  movl %eax, %edi
2: inb $0x61, %al
  testb $0x20, %al
  jz 2b
  rdtsc
  subl %edi, %eax
  say "calibrated\n"

  lgdt gdtr
  movl $l3 + 3, l4
  movl $0x83, l3
  movl $l2 + 3, l3 + 24
  movl $0xfec00083, l2 + 0xfb0
  movl $0xfee00083, l2 + 0xfb8
  /* The first gigabyte by 2 MiB pages: one of 1 GiB may not be there. */
  movl $low + 3, l3
  fill_pages low, 0x83
  movl %cr4, %eax
  orl $0x20, %eax
  movl %eax, %cr4
  enter_long l4
  ljmp $8, $long

  .code64
puts64:
  lodsb
  testb %al, %al
  jz 2f
  movw $COM1, %dx
  outb %al, %dx
  jmp puts64
2: ret
.macro say64 text
  .section .rodata
8: .asciz "\text"
  .text
  movl $8b, %esi
  call puts64
.endm
.macro gate vector, target
  movl $\target, %eax
  movl $\vector * 16, %edi
  movw %ax, idt(%rdi)
  movw $8, idt + 2(%rdi)
  movw $0x8e00, idt + 4(%rdi)
  shrl $16, %eax
  movw %ax, idt + 6(%rdi)
.endm

long:
  xorl %eax, %eax
  movl %eax, %ds
  movl %eax, %es
  movl %eax, %ss
  movq $stack, %rsp
  say64 "long mode\n"
  gate 0x40, apic_timer
  gate 0x41, interval
  gate 0x42, serial
  gate 0xff, spurious
  lidt idtr
  movl $0xfee00000, %ebx
  movl $0x1ff, 0xf0(%rbx)
  movl $0xb, 0x3e0(%rbx)
  movl $0x40, 0x320(%rbx)
  movl $100000, 0x380(%rbx)
  sti
1: hlt
  cmpl $1, fired
  jb 1b
  say64 "one shot\n"
  movl $0x20040, 0x320(%rbx)
  movl $50000, 0x380(%rbx)
2: hlt
  cmpl $4, fired
  jb 2b
  movl $0x10000, 0x320(%rbx)
  say64 "periodic\n"
  /* Pin 2 of the I/O APIC: the interval timer. */
  movl $0xfec00000, %ecx
  movl $0x14, (%rcx)
  movl $0x41, 0x10(%rcx)
  movl $0x15, (%rcx)
  movl $0, 0x10(%rcx)
  movb $0x34, %al
  outb %al, $0x43
  movb $0x00, %al
  outb %al, $0x40
  movb $0x10, %al
  outb %al, $0x40
3: hlt
  cmpl $3, ticks
  jb 3b
  movl $0x14, (%rcx)
  movl $0x10041, 0x10(%rcx)
  say64 "interval\n"
  /* The UART says that it can send. */
  movl $0x18, (%rcx)
  movl $0x8042, 0x10(%rcx)
  movl $0x19, (%rcx)
  movl $0, 0x10(%rcx)
  movw $COM1 + 4, %dx
  movb $0x0b, %al
  outb %al, %dx
  movw $COM1 + 1, %dx
  movb $2, %al
  outb %al, %dx
4: cmpl $1, sent
  jb 4b
  say64 "serial\n"
  /* The same APIC by its registers of another kind. */
  movl $0x1b, %ecx
  rdmsr
  orl $0x400, %eax
  wrmsr
  movl $0x802, %ecx
  rdmsr
  testl %eax, %eax
  jnz 5f
  say64 "x2apic\n"
5: cli
  movl $21, %eax
  outb %al, $EXIT
6: hlt
  jmp 6b

.macro eoi
  movl $0xfee00000, %edx
  movl $0, 0xb0(%rdx)
.endm
apic_timer:
  pushq %rdx
  incl fired
  eoi
  popq %rdx
  iretq
interval:
  pushq %rdx
  incl ticks
  eoi
  popq %rdx
  iretq
serial:
  pushq %rax
  pushq %rdx
  movw $COM1 + 2, %dx
  inb %dx, %al
  movw $COM1 + 1, %dx
  xorb %al, %al
  outb %al, %dx
  movl $1, sent
  eoi
  popq %rdx
  popq %rax
  iretq
spurious:
  iretq

  .data
  .balign 8
gdt: .quad 0, 0x00af9b000000ffff
gdtr: .word . - gdt - 1; .quad gdt
idtr: .word 4095; .quad idt
fired: .long 0
ticks: .long 0
sent: .long 0
  .bss
  .balign 4096
l4: .skip 4096
l3: .skip 4096
l2: .skip 4096
low: .skip 4096
idt: .skip 4096
  .skip 8192
stack:

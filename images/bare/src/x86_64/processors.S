/* Four processors: INIT and start-up messages, a trampoline below 1 MiB through real mode and 16-bit protected mode, a lock, messages of
   every kind of destination, code that is patched while another processor runs it. */
#include "pc.h"
#define APIC 0xfee00000
#define COUNT 4
#define TRAMPOLINE 0x8000
#define ROUNDS 500

  multiboot_header
  .text
  .code32
  print_functions

/* Has the others do stage \number, and waits until they have. */
.macro stage number
  movl $\number, go
8: pause
  cmpl $COUNT - 1, done + 4 * \number
  jb 8b
.endm
/* Sends a message: the upper and the lower word of the command register. */
.macro send high, low
  movl $\high, APIC + 0x310
  movl $\low, APIC + 0x300
  call settle
.endm
/* Waits until the messages so far have all been taken: two of one vector could come as one. */
.macro taken total
8: pause
  movl counts, %eax
  addl counts + 4, %eax
  addl counts + 8, %eax
  addl counts + 12, %eax
  cmpl $\total, %eax
  jb 8b
.endm

  .globl _start
_start:
  movl $stacks + 4096, %esp
  lgdt gdtr
  ljmp $8, $1f
1: movl $0x10, %eax
  movl %eax, %ds
  movl %eax, %es
  movl %eax, %ss
  /* Firmware has left its timer on. */
  movb $0xff, %al
  outb %al, $0x21
  outb %al, $0xa1
  movw $0x510, %dx
  movw $5, %ax
  outw %ax, %dx
  movw $0x511, %dx
  xorl %eax, %eax
  inb %dx, %al
  movl %eax, scratch
  show "processors", scratch
  movl $gates, %edi
  movl $other, %eax
  xorl %ecx, %ecx
2: call gate
  incl %ecx
  cmpl $256, %ecx
  jb 2b
  movl $2, %ecx
  movl $nonmaskable, %eax
  call gate
  movl $3, %ecx
  movl $breakpoint, %eax
  call gate
  movl $0x40, %ecx
  movl $message, %eax
  call gate
  movl $0xff, %ecx
  movl $spurious, %eax
  call gate
  lidt idtr
  movl $trampoline, %esi
  movl $TRAMPOLINE, %edi
  movl $trampoline_end - trampoline, %ecx
  rep movsb
  /* The table of real mode: a division by zero, and INT 0x60. */
  movl $TRAMPOLINE / 16 << 16 | (real_divide - trampoline), 0
  movl $TRAMPOLINE / 16 << 16 | (real_interrupt - trampoline), 0x60 * 4
  call awake
  /* One processor by its number. */
  send 1 << 24, 0x4500
  send 1 << 24, 0x4600 + (TRAMPOLINE >> 12)
3: pause
  cmpl $1, arrived
  jb 3b
  say "one\n"
  /* All but this one: the first begins anew. */
  movl $0, arrived
  send 0, 0xc4500
  send 0, 0xc4600 + (TRAMPOLINE >> 12)
4: pause
  cmpl $COUNT - 1, arrived
  jb 4b
  show "all", arrived
  show "real division", TRAMPOLINE + (real_divided - trampoline)
  show "real interrupt", TRAMPOLINE + (real_interrupted - trampoline)
  show "real string", TRAMPOLINE + (real_copied - trampoline)
  show "real sum", TRAMPOLINE + (real_sum - trampoline)
  show "real far", TRAMPOLINE + (real_far - trampoline)
  show "real stack", TRAMPOLINE + (real_stack - trampoline)
  show "real flags", TRAMPOLINE + (real_flags - trampoline)
  show "narrow", TRAMPOLINE + (narrow_value - trampoline)
  show "narrow down", TRAMPOLINE + (narrow_down - trampoline)
  /* A start-up message that nobody waits for. */
  send 0, 0xc4600 + (TRAMPOLINE >> 12)

  say "lock\n"
  movl $1, go
  call contend
5: pause
  cmpl $COUNT - 1, done + 4
  jb 5b
  show "counter", counter
  show "atomic", atomic

  say "messages\n"
  stage 2
  sti
  send 2 << 24, 0x4040
  taken 1
  send 0x0a << 24, 0x4840
  taken 3
  send 0, 0xc4040
  taken 6
  send 0, 0x84040
  taken 10
  send 0, 0x44040
  taken 11
  send 0xff << 24, 0x4040
  taken 15
  send 3 << 24, 0x4400
8: pause
  cmpl $1, nonmaskables
  jb 8b
  cli
  movl $0, %edi
6: movl counts(,%edi,4), %ebx
  call puthex
  incl %edi
  cmpl $COUNT, %edi
  jb 6b
  show "nonmaskable", nonmaskables

  /* Another processor runs the function all the time. */
  say "patch\n"
  movl $3, go
  send 0, 0xc4040
7: pause
  cmpl $100, runs
  jb 7b
  movb $0xcc, patched
  send 0, 0xc4040
  movl $0x22222222, patched + 1
  send 0, 0xc4040
  movb $0xb8, patched
  send 0, 0xc4040
  movl runs, %eax
  addl $100, %eax
  /* Written again and again: QEMU with a thread for each processor loses a write to code that another thread translates just then. */
8: pause
  movb $0xb8, patched
  cmpl %eax, runs
  jb 8b
  movl $4, go
9: pause
  cmpl $COUNT - 1, done + 16
  jb 9b
  show "before", befores_seen
  show "after", afters_seen
  show "wrong", wrong
  say "end\n"
  finish 22

/* The gate of vector %ecx is at %eax. */
gate:
  movw %ax, gates(,%ecx,8)
  movw $8, gates + 2(,%ecx,8)
  movw $0x8e00, gates + 4(,%ecx,8)
  pushl %eax
  shrl $16, %eax
  movw %ax, gates + 6(,%ecx,8)
  popl %eax
  ret

/* Enables the local APIC; its logical address is the bit of its number. */
awake:
  movl APIC + 0x20, %ecx
  shrl $24, %ecx
  movl $1 << 24, %eax
  shll %cl, %eax
  movl %eax, APIC + 0xd0
  movl $0xffffffff, APIC + 0xe0
  movl $0, APIC + 0x80
  movl $0x1ff, APIC + 0xf0
  ret

/* Until the message is on its way and has had time to arrive. */
settle:
  testl $0x1000, APIC + 0x300
  jnz settle
  movl $2000, %ecx
1: pause
  decl %ecx
  jnz 1b
  ret

contend:
  movl $ROUNDS, %ebx
1: movl $1, %edx
  xorl %eax, %eax
  lock cmpxchgl %edx, lock
  je 2f
  pause
  jmp 1b
2: incl counter
  movl $0, lock
  movl $1, %eax
  lock xaddl %eax, atomic
  decl %ebx
  jnz 1b
  ret

/* The other processors. Their number is in %edi. */
secondary:
  movl $0x10, %eax
  movl %eax, %ds
  movl %eax, %es
  movl %eax, %ss
  movl APIC + 0x20, %edi
  shrl $24, %edi
  movl %edi, %esp
  shll $12, %esp
  addl $stacks + 4096, %esp
  lidt idtr
  call awake
  lock incl arrived
1: pause
  cmpl $1, go
  jb 1b
  call contend
  lock incl done + 4
2: pause
  cmpl $2, go
  jb 2b
  lock incl done + 8
  /* Messages come in while it waits; none between the look and the HLT. */
3: cli
  cmpl $3, go
  jae 9f
  sti
  hlt
  jmp 3b
9: sti
4: call patched
  cmpl $0x11111111, %eax
  jne 5f
  movl $1, befores_seen
  jmp 7f
5: cmpl $0x22222222, %eax
  jne 6f
  movl $1, afters_seen
  jmp 7f
6: movl %eax, wrong
7: lock incl runs
  cmpl $4, go
  jb 4b
  cli
  lock incl done + 16
8: hlt
  jmp 8b

/* One instruction of five bytes, in one line of the cache. */
  .balign 16
patched:
  movl $0x11111111, %eax
  ret

message:
  pushl %eax
  movl APIC + 0x20, %eax
  shrl $24, %eax
  lock incl counts(,%eax,4)
  movl $0, APIC + 0xb0
  popl %eax
  iret
nonmaskable:
  lock incl nonmaskables
  iret
/* The patch is not complete: try again. */
breakpoint:
  decl (%esp)
  pause
  iret
spurious:
  iret
other:
  say "unexpected\n"
  finish 1

/* What a start-up message leads to, at a paragraph of its own. */
  .code16
trampoline:
  cli
  movw %cs, %ax
  movw %ax, %ds
  /* The processors go through one after the other. */
1: movb $1, %al
  xchgb %al, real_lock - trampoline
  testb %al, %al
  jz 2f
  pause
  jmp 1b
2: movw $0x900, %ax
  movw %ax, %ss
  movw $0x100, %sp
  /* A fault of division: its handler goes on behind the two bytes of the instruction. */
  movw $0x1234, %ax
  cwtd
  xorw %bx, %bx
  divw %bx
  /* INT 0x60 adds. */
  movl $0x10002, %eax
  int $0x60
  movl %eax, real_interrupted - trampoline
  /* A string through two segments, and 16-bit addresses. */
  movw $0xa00, %ax
  movw %ax, %es
  movl $0x55667788, %eax
  movw $0xfffc, %di
  movl %eax, %es:(%di)
  movw %es, %ax
  movw %ax, %fs
  movw %di, %si
  movw $0x20, %di
  movw $4, %cx
  cld
  rep movsb %fs:(%si), %es:(%di)
  movl %es:0x20, %eax
  /* SI has gone round; CX is zero. */
  movzwl %si, %ebx
  addl %ebx, %eax
  movzwl %cx, %ebx
  addl %ebx, %eax
  movl %eax, real_copied - trampoline
  /* A loop that adds up. */
  movw $100, %cx
  xorl %eax, %eax
3: addw %cx, %ax
  loop 3b
  movl %eax, real_sum - trampoline
  /* Far calls, near calls by register and memory. */
  lcall $TRAMPOLINE / 16, $real_callee - trampoline
  movw $real_near - trampoline, %bx
  callw *%bx
  lcallw *(real_pointer - trampoline)
  /* An operand of 32 bits on the stack, and addresses of 32 bits. */
  pushl $0x99aabbcc
  popw %ax
  popw %dx
  movzwl %ax, %eax
  movzwl %dx, %edx
  shll $4, %edx
  addl %edx, %eax
  movw %sp, %bx
  leal 4(%eax,%ebx,2), %eax
  movl %eax, real_stack - trampoline
  pushfw
  popw %ax
  andw $0xf202, %ax
  movzwl %ax, %eax
  movl %eax, real_flags - trampoline
  /* 16-bit protected mode: segments with bases. */
  lgdtl real_gdtr - trampoline
  movl %cr0, %eax
  orb $1, %al
  movl %eax, %cr0
  ljmp $0x18, $4f - trampoline
4: movw $0x20, %ax
  movw %ax, %ds
  movw $0x28, %ax
  movw %ax, %es
  movw $0x30, %ax
  movw %ax, %ss
  movw $0x80, %sp
  movw $0x1357, %ax
  pushw %ax
  movw %sp, %bp
  movw (%bp), %bx
  movzwl %bx, %ebx
  movl %es:0x20, %eax
  addl %eax, %ebx
  movl %ebx, narrow_value - trampoline
  /* What expands down, with a limit of 0xff. */
  movw $0x38, %ax
  movw %ax, %gs
  movl %gs:0x100, %eax
  movl %eax, narrow_down - trampoline
  movb $0, real_lock - trampoline
  ljmpl $8, $secondary

real_divide:
  pushw %bp
  movw %sp, %bp
  addw $2, 2(%bp)
  popw %bp
  pushw %cs
  popw %ds
  movl $0xd1, real_divided - trampoline
  iretw
real_interrupt:
  addl $0x20003, %eax
  iretw
real_callee:
  addl $0x100, real_far - trampoline
  lretw
real_near:
  addl $0x10, real_far - trampoline
  retw
real_callee2:
  addl $1, real_far - trampoline
  lretw
  .balign 4
real_pointer: .word real_callee2 - trampoline, TRAMPOLINE / 16
real_gdtr: .word gdt_end - gdt - 1; .long gdt
real_lock: .byte 0
  .balign 4
real_divided: .long 0
real_interrupted: .long 0
real_copied: .long 0
real_sum: .long 0
real_far: .long 0
real_stack: .long 0
real_flags: .long 0
narrow_value: .long 0
narrow_down: .long 0
trampoline_end:

  .data
  .balign 8
/* Flat code and data; 16-bit code and data at the trampoline; data at 0xa000; a stack of 16 bits at 0xb000; data that expand down at
   0xa000 - 0xe0. */
gdt:
  .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
  .quad 0x00009b008000ffff, 0x000093008000ffff, 0x00009300a000ffff, 0x00009300b000ffff
  .quad 0x000097009f2000ff
gdt_end:
gdtr: .word gdt_end - gdt - 1; .long gdt
idtr: .word 2047; .long gates
scratch: .long 0
arrived: .long 0
go: .long 0
done: .long 0, 0, 0, 0, 0
lock: .long 0
counter: .long 0
atomic: .long 0
counts: .long 0, 0, 0, 0
nonmaskables: .long 0
runs: .long 0
befores_seen: .long 0
afters_seen: .long 0
wrong: .long 0
  .bss
  .balign 4096
gates: .skip 2048
  .balign 4096
stacks: .skip 4096 * COUNT

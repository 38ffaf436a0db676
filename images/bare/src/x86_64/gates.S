/* Call gates of 32, 16 and 64 bits: each is called and jumped to from the kernel and from programs; the stacks of inner privileges; the way
   back. What a transfer comes to is printed: where it lands, with six words of the stack there, or vector and error code. */
#include "pc.h"
  multiboot_header
  .text
  .code32
  print_functions

/* Has a program run \label, whose segments are of \code and \data. */
.macro program label, code, data, return
  pushl $\data
  pushl $program_stack
  pushl $2
  pushl $\code
  pushl $\label
  \return
.endm

  word_function

  .globl _start
_start:
  movl $stack, %esp
  lgdt gdtr
  ljmp $8, $1f
1: movl $0x10, %eax
  movl %eax, %ds
  movl %eax, %es
  movl %eax, %ss
  xorl %eax, %eax
  movl %eax, %fs
  movl %eax, %gs
  lldt %ax
  /* A stack that 16 bits reach. */
  movl $0x8fc0, %edi
  movl $0x20, %ecx
  rep stosl
  /* The gates of the table. */
  xorl %ecx, %ecx
2: movl $landing, %eax
  movl wanted(,%ecx,4), %edx
3: movl %eax, %ebx
  andl $0xffff, %ebx
  movl %edx, %esi
  shll $16, %esi
  orl %esi, %ebx
  movl %ebx, gates(,%ecx,8)
  andl $0xffff0000, %eax
  shrl $16, %edx
  orl %edx, %eax
  movl %eax, gates + 4(,%ecx,8)
  incl %ecx
  cmpl $(wanted_end - wanted) / 4, %ecx
  jb 2b
  /* That of 16 bits leads to a segment that begins where the image does. */
  movl $landing, %eax
  movw %ax, gates + (narrow_gate - wanted) * 2
  movw $0, gates + (narrow_gate - wanted) * 2 + 6
  trap_gates stubs
  movb $0xee, idt + 0x30 * 8 + 5
  movl $landed, %eax
  movw %ax, idt + 0x30 * 8
  shrl $16, %eax
  movw %ax, idt + 0x30 * 8 + 6
  movl $kernel_stack, tss + 4
  movl $0x10, tss + 8
  movl $one_stack, tss + 12
  movl $0x49, tss + 16
  movl $tss, %eax
  movw %ax, gdt + 0x2a
  movl $0x28, %eax
  ltr %ax

  say "kernel calls\n"
  movl $selectors, list
  movl $call0, action
  call each
  say "kernel jumps\n"
  movl $selectors, list
  movl $jump0, action
  call each
  say "program calls\n"
  movl $selectors, list
  movl $call3, action
  call each
  say "program jumps\n"
  movl $selectors, list
  movl $jump3, action
  call each

  /* The stack of privilege 1 as the task has it. */
  say "stacks\n"
  movl $stack_selectors, list
5: movl list, %eax
  movzwl (%eax), %ebx
  cmpl $0xffff, %ebx
  je 6f
  addl $2, list
  movw %bx, tss + 16
  call putword
  movw $ring_gate, pointer + 4
  movl $5b, resume
  program call3_once, 0x1b, 0x23, iretl
6: movw $0x49, tss + 16
  movw $0x0f, gdt + 0x28
  movb $0x89, gdt + 0x2d
  movl $0x28, %eax
  ltr %ax
  movl $7f, resume
  program call3_once, 0x1b, 0x23, iretl
7: movw $0x67, gdt + 0x28
  movb $0x89, gdt + 0x2d
  movl $0x28, %eax
  ltr %ax

  /* To a procedure and back, with three words of 32 bits and with two of 16. */
  say "returns\n"
  movl $procedure, %eax
  movw %ax, gates
  shrl $16, %eax
  movw %ax, gates + 6
  movl $procedure16, %eax
  movw %ax, gates + (narrow_gate - wanted) * 2
  movl $8f, resume
  program returning, 0x1b, 0x23, iretl
8: movl $9f, resume
  program returning16 - 0x100000, 0x63, 0x23, iretl
9: jmp long_part

/* Does what \action says with each selector of the list. */
each:
  popl back
1: movl list, %eax
  movzwl (%eax), %ebx
  cmpl $0xffff, %ebx
  je 2f
  addl $2, list
  movw %bx, pointer + 4
  call putword
  movl $1b, resume
  jmp *action
2: jmp *back

call0:
  movl $stack, %esp
  pushl $0x1111
  lcall *pointer
  jmp unexpected
jump0:
  movl $stack, %esp
  ljmp *pointer
call3:
  program call3_once, 0x1b, 0x23, iretl
jump3:
  program jump3_once, 0x1b, 0x23, iretl
call3_once:
  movl $0x23, %eax
  movl %eax, %ds
  pushl $0x3333
  pushl $0x2222
  pushl $0x1111
  lcall *pointer
  int $0x30
jump3_once:
  movl $0x23, %eax
  movl %eax, %ds
  ljmp *pointer
unexpected:
  say "unexpected\n"
  finish 1

landing:
  int $0x30

/* What the way through a gate has led to. */
landed:
  popl eip
  popl cs
  popl scratch
  movl %ss, %ebx
  movl %esp, %ecx
  /* From a lesser privilege there is more of the frame. */
  cmpl $kernel_stack - 8, %esp
  jne 1f
  popl %ecx
  popl %ebx
1: movl %ebx, scratch
  movl %ecx, at
  movl $0x10, %eax
  movl %eax, %ds
  movl %eax, %es
  movl $handler_stack, %esp
  say " landed"
  word cs
  word scratch
  word at
  movl $6, left
2: movl at, %esi
  addl $4, at
  word (%esi)
  decl left
  jnz 2b
  say "\n"
  jmp *resume

  trap_stubs stubs, trapped
trapped:
  movl $0x10, %eax
  movl %eax, %ds
  movl %eax, %es
  popl %ebp
  popl code
  movl 4(%esp), %eax
  movl %eax, cs
  movl $handler_stack, %esp
  say " trap"
  word %ebp
  word code
  word cs
  say "\n"
  jmp *resume

/* Shows its parameters, and returns to a program without what only the kernel may use. */
procedure:
  movl $0x10, %eax
  movl %eax, %ds
  movl %eax, %fs
  movl $0x23, %eax
  movl %eax, %es
  movl %eax, %gs
  show "parameters", 8(%esp)
  show "and", 12(%esp)
  show "and", 16(%esp)
  show "of", 20(%esp)
  lretl $12
returning:
  movl $0x23, %eax
  movl %eax, %ds
  movl $program_stack - 64, %esp
  pushl $0x3333
  pushl $0x2222
  pushl $0x1111
  movw $first_gate, pointer + 4
  lcall *pointer
  movl %ds, %ebx
  movl %esp, %ebp
  movl $0x23, %eax
  movl %eax, %ds
  movl %ebx, results
  movw %es, results + 4
  movw %fs, results + 8
  movw %gs, results + 12
  movw %cs, results + 16
  movl %ebp, results + 20
  int $0x30
procedure16:
  movl $0x10, %eax
  movl %eax, %ds
  movl %esp, %ebp
  movl 4(%ebp), %eax
  movl %eax, results + 24
  lretw $4
returning16:
  movl $0x23, %eax
  movl %eax, %ds
  movl $0x9000, %esp
  pushw $0x6666
  pushw $0x5555
  lcallw *narrow_pointer
  movl $0x23, %eax
  movl %eax, %ds
  movl %esp, results + 28
  int $0x30

long_part:
  movl $results, %ebp
  movl $8, left
1: word (%ebp)
  addl $4, %ebp
  decl left
  jnz 1b
  say "\n"

  /* Long mode: the first gigabyte by 2 MiB pages, for programs too. */
  movl $l3 + 7, l4
  movl $l2 + 7, l3
  fill_pages l2, 0x87
  xorl %ecx, %ecx
  movl $wanted64, %esi
3: movl %ecx, %edi
  shll $4, %edi
  movl $landing64, %eax
  movl %eax, %ebx
  andl $0xffff, %ebx
  movl (%esi), %edx
  shll $16, %edx
  orl %edx, %ebx
  movl %ebx, gates64(%edi)
  andl $0xffff0000, %eax
  movw 2(%esi), %ax
  movl %eax, gates64 + 4(%edi)
  movl 4(%esi), %eax
  movl %eax, gates64 + 8(%edi)
  movl 8(%esi), %eax
  movl %eax, gates64 + 12(%edi)
  addl $12, %esi
  incl %ecx
  cmpl $(wanted64_end - wanted64) / 12, %ecx
  jb 3b
  /* The last one is cut off in its middle. */
  movl $landing64, %eax
  movw %ax, half64
  movl $0xec000008, half64 + 2
  shrl $16, %eax
  movw %ax, half64 + 6
  movl $tss64, %eax
  movw %ax, gdt64 + 0x3a
  xorl %ecx, %ecx
  movl $stubs64, %eax
4: movl %ecx, %edi
  shll $4, %edi
  movw %ax, idt64(%edi)
  movl $0x8e000008, idt64 + 2(%edi)
  movl %eax, %edx
  shrl $16, %edx
  movw %dx, idt64 + 6(%edi)
  movl $0, idt64 + 8(%edi)
  movl $0, idt64 + 12(%edi)
  addl $16, %eax
  incl %ecx
  cmpl $VECTORS, %ecx
  jb 4b
  movb $0xee, idt64 + 0x30 * 16 + 5
  movl $landed64, %eax
  movw %ax, idt64 + 0x30 * 16
  shrl $16, %eax
  movw %ax, idt64 + 0x30 * 16 + 6
  movl $kernel_stack, tss64 + 4
  movl $0x20, %eax
  movl %eax, %cr4
  enter_long l4
  lgdt gdtr64
  ljmp $8, $5f
  .code64
5: xorl %eax, %eax
  movl %eax, %ss
  lidt idtr64
  movl $0x38, %eax
  ltr %ax
  movl $handler_stack, %esp
  movl $text_kernel_calls, %esi
  movl $call0_64, %edi
  call each64
  movl $text_kernel_jumps, %esi
  movl $jump0_64, %edi
  call each64
  movl $text_program_calls, %esi
  movl $call3_64, %edi
  call each64
  movl $text_program_jumps, %esi
  movl $jump3_64, %edi
  call each64
  movl $text_compatible_calls, %esi
  movl $call3_32, %edi
  call each64
  movl $text_compatible_jumps, %esi
  movl $jump3_32, %edi
  call each64

  /* To a procedure and back. */
  movl $text_returns, %esi
  call puts64
  movl $procedure64, %eax
  movw %ax, gates64
  shrl $16, %eax
  movw %ax, gates64 + 6
  movq $6f, resume
  pushq $0x2b
  pushq $program_stack - 64
  pushq $2
  pushq $0x23
  pushq $returning64
  iretq
6: movl results, %ebx
  call putword64
  movl results + 4, %ebx
  call putword64
  movl $20, %eax
  outb %al, $EXIT
7: hlt
  jmp 7b

puts64:
  movw $COM1, %dx
1: lodsb
  testb %al, %al
  jz 2f
  outb %al, %dx
  jmp 1b
2: ret
putword64:
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

/* What %rdi says with each selector; %rsi says what that is. */
each64:
  popq back
  movl %edi, action
  call puts64
  movl $selectors64, list
1: movl list, %eax
  movzwl (%rax), %ebx
  cmpl $0xffff, %ebx
  je 2f
  addl $2, list
  movw %bx, pointer + 4
  call putword64
  movq $1b, resume
  movl action, %eax
  movl $stack, %esp
  jmp *%rax
2: jmp *back
call0_64:
  pushq $0x1111
  lcall *pointer
  ud2
jump0_64:
  ljmp *pointer
call3_64:
  movl $call3_once64, %eax
  movl $0x23, %ebx
  jmp program64
jump3_64:
  movl $jump3_once64, %eax
  movl $0x23, %ebx
  jmp program64
call3_32:
  movl $call3_once32, %eax
  movl $0x33, %ebx
  jmp program64
jump3_32:
  movl $jump3_once32, %eax
  movl $0x33, %ebx
program64:
  pushq $0x2b
  pushq $program_stack
  pushq $2
  pushq %rbx
  pushq %rax
  iretq
call3_once64:
  pushq $0x1111
  lcall *pointer
  int $0x30
jump3_once64:
  ljmp *pointer
landing64:
  int $0x30
procedure64:
  movl $0x10, %eax
  movl %eax, %es
  movl %ss, %eax
  movl %eax, results
  lretq
returning64:
  pushq $0x1111
  movw $first_gate64, pointer + 4
  lcall *pointer
  popq %rax
  movl %es, %ebx
  addl %ebx, %eax
  movl %eax, results + 4
  int $0x30
landed64:
  movl $text_landed, %esi
  call puts64
  movl 8(%rsp), %ebx
  call putword64
  movl 32(%rsp), %ebx
  call putword64
  movq 24(%rsp), %rbp
  movl %ebp, %ebx
  call putword64
  movl $handler_stack, %esp
  movl $6, left
1: movl (%rbp), %ebx
  call putword64
  addq $8, %rbp
  decl left
  jnz 1b
  movl $text_line, %esi
  call puts64
  jmp *resume
  trap_stubs stubs64, trapped64
trapped64:
  movl $text_trap, %esi
  call puts64
  popq %rbx
  call putword64
  popq %rbx
  call putword64
  movl 8(%rsp), %ebx
  call putword64
  movl $handler_stack, %esp
  movl $text_line, %esi
  call puts64
  jmp *resume
  .code32
call3_once32:
  movl $0x2b, %eax
  movl %eax, %ds
  pushl $0x3333
  pushl $0x1111
  lcall *pointer
  int $0x30
jump3_once32:
  movl $0x2b, %eax
  movl %eax, %ds
  ljmp *pointer

  .section .rodata
text_kernel_calls: .asciz "long kernel calls\n"
text_kernel_jumps: .asciz "long kernel jumps\n"
text_program_calls: .asciz "long program calls\n"
text_program_jumps: .asciz "long program jumps\n"
text_compatible_calls: .asciz "compatible program calls\n"
text_compatible_jumps: .asciz "compatible program jumps\n"
text_returns: .asciz "long returns\n"
text_landed: .asciz " landed"
text_trap: .asciz " trap"
text_line: .asciz "\n"

  .data
  .balign 8
resume: .quad 0
back: .quad 0
eip: .long 0
cs: .long 0
at: .long 0
left: .long 0
code: .long 0
scratch: .long 0
list: .long 0
action: .long 0
results: .skip 32
pointer: .long 0xdeadbeef; .word 0
  .balign 4
narrow_pointer: .word 0xbeef, sixteen_gate
/* Each gate: its code segment, the number of parameters, its type and privilege. */
  .balign 4
wanted:
  .word 0x08; .byte 3, 0xec
  .word 0x08; .byte 0, 0x8c
  .word 0x08; .byte 0, 0x6c
  .word 0x00; .byte 0, 0xec
  .word 0x3f8; .byte 0, 0xec
  .word 0x10; .byte 0, 0xec
  .word 0x1b; .byte 0, 0xec
  .word 0x50; .byte 0, 0xec
  .word 0x38; .byte 0, 0xec
  .word 0x41; .byte 2, 0xec
narrow_gate:
  .word 0x30; .byte 2, 0xe4
wanted_end:
  .set first_gate, gates - gdt
  .set ring_gate, first_gate + 9 * 8
  .set sixteen_gate, first_gate + 10 * 8
selectors:
  .set index, 0
  .rept 11
  .word first_gate + index * 8
  .set index, index + 1
  .endr
  .word first_gate + 8 + 3, 0, 3, 0x58, 0x3fc, 0xffff
stack_selectors: .word 0, 0x4b, 0x21, 0x71, 0x69, 0x3f9, 0x41, 0x49, 0xffff
  .balign 8
gdt:
  .quad 0
  .quad 0x00cf9b000000ffff
  .quad 0x00cf93000000ffff
  .quad 0x00cffb000000ffff
  .quad 0x00cff3000000ffff
  .quad 0x0000891000000067
  .quad 0x00409b100000ffff
  .quad 0x00cf9e000000ffff
  .quad 0x00cfbb000000ffff
  .quad 0x00cfb3000000ffff
  .quad 0x00cf1b000000ffff
  .quad 0x0000820000000000
  .quad 0x0040fb100000ffff
  .quad 0x00cf33000000ffff
  .quad 0x00cfb1000000ffff
gates: .skip 11 * 8
gdtr: .word gdtr - gdt - 1; .long gdt
idtr: .word VECTORS * 8 - 1; .long idt
/* Each gate: code segment, type and privilege, the upper word of the offset, and what stands above that. */
  .balign 4
wanted64:
  .word 0x08, 0xec00; .long 0, 0
  .word 0x08, 0x8c00; .long 0, 0
  .word 0x08, 0x6c00; .long 0, 0
  .word 0x00, 0xec00; .long 0, 0
  .word 0x18, 0xec00; .long 0, 0
  .word 0x58, 0xec00; .long 0, 0
  .word 0x50, 0xec00; .long 0, 0
  .word 0x48, 0xec00; .long 0, 0
  .word 0x23, 0xec00; .long 0, 0
  .word 0x08, 0xec00; .long 0, 0x100
  .word 0x08, 0x8c00; .long 0x8000, 0
  .word 0x08, 0xe400; .long 0, 0
wanted64_end:
  .set first_gate64, gates64 - gdt64
selectors64:
  .set index, 0
  .rept 13
  .word first_gate64 + index * 16
  .set index, index + 1
  .endr
  .word first_gate64 + 16 + 3, 0, 0x38, 0xffff
  .balign 8
gdt64:
  .quad 0
  .quad 0x00af9b000000ffff
  .quad 0x00cf93000000ffff
  .quad 0x00cf9b000000ffff
  .quad 0x00affb000000ffff
  .quad 0x00cff3000000ffff
  .quad 0x00cffb000000ffff
  .quad 0x0000891000000067, 0
  .quad 0x00af9e000000ffff
  .quad 0x00af1b000000ffff
  .quad 0x00ef9b000000ffff
gates64: .skip 12 * 16
half64: .skip 8
gdtr64: .word gdtr64 - gdt64 - 1; .long gdt64; .long 0
idtr64: .word VECTORS * 16 - 1; .long idt64; .long 0
  .bss
  .balign 4096
l4: .skip 4096
l3: .skip 4096
l2: .skip 4096
idt: .skip VECTORS * 8
  .balign 16
idt64: .skip VECTORS * 16
tss: .skip 104
tss64: .skip 104
  .skip 1024
one_stack:
  .skip 1024
kernel_stack:
  .skip 4096
program_stack:
  .skip 4096
stack:
  .skip 4096
handler_stack:

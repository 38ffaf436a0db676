/* Task switches: by JMP, CALL and IRET, through task gates, by interrupts and exceptions; of 32 and of 16 bits; a program's; and what faults. */
#include "pc.h"
  multiboot_header
  .text
  .code32
  print_functions
  word_function

#define MAIN 0x28
#define OTHER 0x30
#define NARROW 0x38
#define GATE 0x40
#define SHORT 0x48
#define ABSENT 0x50
#define USER 0x60

/* The tasks' states: which are busy, the task register, NT, CR0.TS. */
.macro state
  call putstate
.endm
/* Writes the other task's state anew: it begins at \entry. */
.macro other entry
  movl $\entry, tss_other + 0x20
  movl $2, tss_other + 0x24
  movl $other_stack, tss_other + 0x38
.endm
.macro user entry
  movl $\entry, %eax
  call renew_user
.endm

  .globl _start
_start:
  movl $main_stack, %esp
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
  trap_gates stubs
  movl $tss_main, %eax
  movw %ax, gdt + MAIN + 2
  movl $tss_other, %eax
  movw %ax, gdt + OTHER + 2
  movw %ax, gdt + SHORT + 2
  movw %ax, gdt + ABSENT + 2
  movl $tss_narrow, %eax
  movw %ax, gdt + NARROW + 2
  movl $tss_user, %eax
  movw %ax, gdt + USER + 2
  movl $tss_other, %edi
  movl $0x11111111, %eax
  movl $8, %ecx
  xorl %edx, %edx
2: movl %eax, 0x28(%edi,%edx,4)
  addl $0x11111111, %eax
  incl %edx
  loop 2b
  movl $0x10, 0x48(%edi)
  movl $8, 0x4c(%edi)
  movl $0x10, 0x50(%edi)
  movl $0x10, 0x54(%edi)
  movl $0, 0x58(%edi)
  movl $0x10, 0x5c(%edi)
  movl $0, 0x60(%edi)
  movl $0x680000, 0x64(%edi)
  movl $MAIN, %eax
  ltr %ax
  say "start"
  state

  /* JMP, there and back: the registers of both. */
  other jumped
  movl $0xabcd, %ebx
  movl $0xbcde, %esi
  pushl $0x246
  popfl
  clts
  stc
  ljmp $OTHER, $0
  pushfl
  popl scratch
  pushl %esi
  pushl %ebx
  say "back"
  popl %ebx
  call putword
  popl %ebx
  call putword
  word scratch
  state
  word tss_other + 0x20
  word tss_other + 0x24
  word tss_other + 0x28
  word tss_other + 0x5c
  say "\n"

  /* CALL and IRET, twice: the second time it goes on behind its IRET. */
  other called
  clts
  lcall $OTHER, $0
  say "returned"
  state
  lcall $OTHER, $0
  say "returned again"
  state
  word tss_other + 0x24
  say "\n"

  /* Through a gate, by both; by an interrupt; by an exception, without and with an error code. */
  other called
  lcall $GATE, $0
  say "by gate"
  state
  other jumped_too
  ljmp $GATE, $0
  say "jumped by gate"
  state
  movl $OTHER << 16, idt + 0x30 * 8
  movl $0x8500, idt + 0x30 * 8 + 4
  other called
  int $0x30
  say "interrupted"
  state
  movl $OTHER << 16, idt + 6 * 8
  movl $0x8500, idt + 6 * 8 + 4
  movl $OTHER << 16, idt + 13 * 8
  movl $0x8500, idt + 13 * 8 + 4
  other excepted
  movl $3f, resume
  ud2
3: say "excepted"
  state
  other excepted_with_code
  movl $4f, resume
  movl $0x1234, %eax
  movl %eax, %es
4: say "excepted with a code"
  state
  trap_gates stubs

  /* A task of 16 bits: its code has a segment that begins where the image does. */
  movl $narrow, %eax
  movw %ax, tss_narrow + 0xe
  movw $2, tss_narrow + 0x10
  movw $0x1234, tss_narrow + 0x12
  movw $0x9000, tss_narrow + 0x1a
  movw $0x10, tss_narrow + 0x22
  movw $0x68, tss_narrow + 0x24
  movw $0x10, tss_narrow + 0x26
  movw $0x10, tss_narrow + 0x28
  movw $0, tss_narrow + 0x2a
  lcall $NARROW, $0
  say "from 16 bits"
  state
  movzwl tss_narrow + 0x10, %ebx
  call putword
  movzwl tss_narrow + 0x18, %ebx
  call putword
  movzwl tss_narrow + 0x1a, %ebx
  call putword
  say "\n"

  /* A program's, which an exception ends. */
  user program
  ljmp $USER, $0
  say "after a program"
  state

  /* What can't be switched to. */
  movl $faults, list
6: movl list, %esi
  movzwl (%esi), %ebx
  testl %ebx, %ebx
  jz 7f
  addl $2, list
  movw %bx, pointer + 4
  call putword
  movl $6b, resume
  lcall *pointer
7: movl $faults, list
8: movl list, %esi
  movzwl (%esi), %ebx
  testl %ebx, %ebx
  jz 9f
  addl $2, list
  movw %bx, pointer + 4
  call putword
  movl $8b, resume
  ljmp *pointer
9:
  /* IRET with NT to what is no busy task. */
  movl $links, list
10: movl list, %esi
  movzwl (%esi), %ebx
  cmpl $0xffff, %ebx
  je 11f
  addl $2, list
  movw %bx, tss_main
  call putword
  movl $10b, resume
  pushfl
  orl $0x4000, (%esp)
  popfl
  iretl
11:
  /* A program's task with something wrong: it faults in that task. */
  movl $wrongs, list
12: movl list, %esi
  cmpl $wrongs_end, %esi
  je 13f
  addl $4, list
  user program
  movl list, %esi
  movzwl -4(%esi), %edi
  movzwl -2(%esi), %eax
  movw %ax, tss_user(%edi)
  movl -4(%esi), %ebx
  call putword
  ljmp $USER, $0
  jmp 12b
13:
  finish 21

jumped:
  movl %eax, results
  pushfl
  popl results + 4
  movl %ebx, results + 8
  movl %ebp, results + 12
  movl %gs, %eax
  movl %eax, results + 16
  say "jumped"
  word results
  word results + 4
  word results + 8
  word results + 12
  word results + 16
  word tss_main + 0x24
  word tss_main + 0x34
  word tss_main + 0x40
  state
  movl $0x77777777, %eax
  pushl $0x47
  popfl
  ljmp $MAIN, $0
jumped_too:
  say "jumped too"
  state
  ljmp $MAIN, $0
called:
  say "called"
  state
  movzwl tss_other, %ebx
  call putword
  word tss_main + 0x24
  say "\n"
  iretl
  say "called again"
  state
  iretl
excepted:
  say "handler"
  state
  word tss_main + 0x24
  say "\n"
  movl resume, %eax
  movl %eax, tss_main + 0x20
  iretl
excepted_with_code:
  popl %ebx
  call putword
  word %esp
  movl resume, %eax
  movl %eax, tss_main + 0x20
  movw $0x10, tss_main + 0x48
  state
  iretl
narrow:
  movl %eax, results
  movl %esp, results + 4
  say "narrow"
  movzwl results, %ebx
  call putword
  movzwl results + 4, %ebx
  call putword
  movl %cs, %ebx
  call putword
  word tss_main + 0x24
  state
  pushw $7
  iretl
program:
  movl $0x5151, %eax
  movl %cs, %edx
  int $0x30
  ud2

renew_user:
  movl $tss_user, %edi
  movl %eax, 0x20(%edi)
  movl $handler_stack, 4(%edi)
  movl $0x10, 8(%edi)
  movl $2, 0x24(%edi)
  movl $user_stack, 0x38(%edi)
  movl $0x23, 0x48(%edi)
  movl $0x1b, 0x4c(%edi)
  movl $0x23, 0x50(%edi)
  movl $0x23, 0x54(%edi)
  movl $0, 0x58(%edi)
  movl $0, 0x5c(%edi)
  movl $0, 0x60(%edi)
  movl $0x680000, 0x64(%edi)
  ret

putstate:
  pushfl
  popl %ebp
  movzbl gdt + MAIN + 5, %ebx
  shll $8, %ebx
  movb gdt + OTHER + 5, %bl
  shll $8, %ebx
  movb gdt + NARROW + 5, %bl
  shll $8, %ebx
  movb gdt + USER + 5, %bl
  call putword
  xorl %ebx, %ebx
  str %bx
  andl $0x4000, %ebp
  orl %ebp, %ebx
  movl %cr0, %eax
  andl $8, %eax
  shll $16, %eax
  orl %eax, %ebx
  call putword
  say "\n"
  ret

  trap_stubs stubs, trapped
/* Vector, error code, and whose: then on in the main task. */
trapped:
  movl $0x10, %eax
  movl %eax, %ds
  movl %eax, %es
  popl %ebp
  popl code
  popl eip
  popl cs
  movl $handler_stack - 256, %esp
  say " trap"
  word %ebp
  word code
  word cs
  xorl %ebx, %ebx
  str %bx
  call putword
  say "\n"
  xorl %ebx, %ebx
  str %bx
  cmpl $MAIN, %ebx
  jne 1f
  movl $main_stack, %esp
  pushl $2
  popfl
  jmp *resume
1: ljmp $MAIN, $0

  .section .rodata
  .balign 2
faults: .word MAIN, MAIN + 4, SHORT, ABSENT, 0x58, 0x70, 0x3f8, 0
links: .word OTHER, 0, OTHER + 4, 0x3f8, 8, ABSENT, 0xffff
/* Offsets in the state, and what is put there. */
wrongs:
  .word 0x4c, 0x03, 0x4c, 0x3fb, 0x4c, 0x13, 0x4c, 0x0b, 0x4c, 0x7b
  .word 0x50, 0x00, 0x50, 0x3fb, 0x50, 0x13, 0x50, 0x1b, 0x50, 0x83
  .word 0x54, 0x3fb, 0x54, 0x13, 0x54, 0x83, 0x48, 0x13, 0x58, 0x13, 0x5c, 0x13
  .word 0x60, 0x10, 0x60, 0x3f8, 0x60, 0x4, 0x60, 0x58
wrongs_end:

  .data
  .balign 8
resume: .long 0
scratch: .long 0
list: .long 0
code: .long 0
eip: .long 0
cs: .long 0
results: .skip 32
pointer: .long 0; .word 0
  .balign 8
gdt:
  .quad 0
  .quad 0x00cf9b000000ffff
  .quad 0x00cf93000000ffff
  .quad 0x00cffb000000ffff
  .quad 0x00cff3000000ffff
  .quad 0x0000891000000067
  .quad 0x0000891000000067
  .quad 0x000081100000002b
  .quad 0x0000e50000300000
  .quad 0x0000891000000066
  .quad 0x0000091000000067
  .quad 0x0000820000000000
  .quad 0x0000891000000067
  .quad 0x00409b100000ffff
  .quad 0x0000650000300000
  .quad 0x00cf7b000000ffff
  .quad 0x00cf73000000ffff
gdtr: .word gdtr - gdt - 1; .long gdt
idtr: .word VECTORS * 8 - 1; .long idt
  .bss
  .balign 16
idt: .skip VECTORS * 8
tss_main: .skip 104
tss_other: .skip 104
tss_user: .skip 104
tss_narrow: .skip 44
  .skip 1024
other_stack:
  .skip 1024
user_stack:
  .skip 1024
handler_stack:
  .skip 4096
main_stack:

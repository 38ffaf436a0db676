/* Virtual-8086 mode: each piece of 16-bit code is run with I/O privilege 0 and 3, and what ends it is printed with the frame that the kernel
   finds; a task of it. */
#include "pc.h"
  multiboot_header
  .text
  .code32
  print_functions
  word_function

#define PLACE 0x8000
#define MAIN 0x28
#define TASK 0x30

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
  lldt %ax
  trap_gates stubs
  /* Breakpoints, overflows and one interrupt are a program's to ask for; another leads to a lesser privilege. */
  movb $0xee, idt + 3 * 8 + 5
  movb $0xee, idt + 4 * 8 + 5
  movb $0xee, idt + 0x30 * 8 + 5
  movb $0xee, idt + 0x2f * 8 + 5
  movw $0x18, idt + 0x2f * 8 + 2
  movb $0xee, idt + 0x2e * 8 + 5
  movw $0x20, idt + 0x2e * 8 + 2
  movl $tss_main, %eax
  movw %ax, gdt + MAIN + 2
  movl $tss_task, %eax
  movw %ax, gdt + TASK + 2
  movl $kernel_stack, tss_main + 4
  movl $0x10, tss_main + 8
  movl $0x680000, tss_main + 0x64
  movl $kernel_stack, tss_task + 4
  movl $0x10, tss_task + 8
  movl $0x680000, tss_task + 0x64
  /* Port 0x21 is denied. */
  movl $2, tss_main + 0x68 + 4
  movb $0xff, tss_main + 0x68 + 0x2000
  movl $MAIN, %eax
  ltr %ax
  movl $pieces, %esi
  movl $PLACE, %edi
  movl $pieces_end - pieces, %ecx
  rep movsb

  movl $2, flags
2: orl $0x20000, flags
  movl $list, %edi
3: movl %edi, next
  cmpl $list_end, %edi
  je 4f
  movzwl (%edi), %eax
  movl $0x3333, %ebx
  movl $main_stack, %esp
  pushl $0x1006
  pushl $0x1005
  pushl $0x1004
  pushl $0x1003
  pushl $0x900
  pushl $0x1f0
  pushl flags
  pushl $PLACE >> 4
  pushl %eax
  iretl
ended:
  movl next, %edi
  addl $2, %edi
  jmp 3b
4: testl $0x3000, flags
  jnz 5f
  movl $0x3002, flags
  jmp 2b

  /* A task of it, and an interrupt out of that. */
5: movl $0x23002, tss_task + 0x24
  movl $task_piece - pieces, tss_task + 0x20
  movl $0x1f0, tss_task + 0x38
  movl $0x1003, tss_task + 0x48
  movl $PLACE >> 4, tss_task + 0x4c
  movl $0x900, tss_task + 0x50
  movl $0x1004, tss_task + 0x54
  movl $0x1005, tss_task + 0x58
  movl $0x1006, tss_task + 0x5c
  ljmp $TASK, $0
  say "back"
  xorl %ebx, %ebx
  str %bx
  call putword
  word tss_task + 0x24
  say "\n"
  finish 21

/* The vector, the error code, the frame, EAX and EBX. */
  trap_stubs stubs, trapped
trapped:
  pushl %eax
  movl $0x10, %eax
  movl %eax, %ds
  popl result
  movl %ebx, result + 4
  movl %ds, %eax
  movl %eax, %es
  movl %esp, %ebp
  movl $handler_stack, %esp
  word (%ebp)
  word 4(%ebp)
  word 8(%ebp)
  word 12(%ebp)
  /* Without RF, which QEMU does not save for faults. */
  movl 16(%ebp), %ebx
  andl $0xfffeffff, %ebx
  call putword
  testl $0x20000, 16(%ebp)
  jz 1f
  word 20(%ebp)
  word 24(%ebp)
  word 28(%ebp)
  word 32(%ebp)
  word 36(%ebp)
  word 40(%ebp)
1: word result
  word result + 4
  movl %fs, %ebx
  call putword
  say "\n"
  testl $0x20000, 16(%ebp)
  jz wrong
  xorl %eax, %eax
  str %ax
  cmpl $MAIN, %eax
  je ended
  ljmp $MAIN, $0
wrong:
  finish 1

  .section .rodata
  .code16
pieces:
segments_piece:
  movw $0x850, %ax
  movw %ax, %es
  movw %ax, %fs
  movw $0x4711, %es:0x10
  movw %fs:0x10, %bx
  pushw %bx
  popl %eax
  movw %ss, %cx
  int3
cli_piece:
  cli
  int3
sti_piece:
  sti
  int3
pushf_piece:
  pushfw
  popw %bx
  int3
pushfl_piece:
  pushfl
  popl %ebx
  int3
popf_piece:
  pushw $0x0ed7
  popfw
  int3
popfl_piece:
  pushl $0x247cd7
  popfl
  int3
int_piece:
  int $0x30
int_kernel_piece:
  int $0x20
int_outer_piece:
  int $0x2f
int_conforming_piece:
  int $0x2e
iret_piece:
  pushw $0x0002
  pushw $PLACE >> 4
  pushw $iret_target - pieces
  iret
iret_target:
  int3
iretl_piece:
  pushl $0x244003
  pushl $PLACE >> 4
  pushl $iret_target - pieces
  iretl
in_piece:
  inb $0x80, %al
  int3
in_denied_piece:
  inb $0x21, %al
  int3
hlt_piece:
  hlt
cr0_piece:
  movl %cr0, %eax
lldt_piece:
  lldt %ax
str_piece:
  str %ax
lar_piece:
  larw %ax, %bx
arpl_piece:
  .byte 0x63, 0xc3
far_piece:
  lcall $(PLACE >> 4) + 1, $far_target - pieces - 16
far_target:
  popl %ebx
  ljmp $(PLACE >> 4) - 1, $far_end - pieces + 16
far_end:
  movw %cs, %ax
  int3
retf_piece:
  pushw $(PLACE >> 4) + 2
  pushw $far_end - pieces - 32
  lretw
divide_piece:
  xorw %cx, %cx
  divw %cx
into_piece:
  movb $0x7f, %al
  incb %al
  into
string_piece:
  movw $0x850, %ax
  movw %ax, %es
  movw %ax, %ds
  xorw %si, %si
  movw $0x20, %di
  movw $0x1234, 0
  movw $4, %cx
  cld
  rep movsw
  movw 0x20, %bx
  int3
lds_piece:
  pushl $0x12345678
  movw %sp, %bp
  ldsw (%bp), %bx
  int3
task_piece:
  movw %cs, %ax
  movw %gs, %bx
  int3
pieces_end:
  .code32
list:
  .word segments_piece - pieces, cli_piece - pieces, sti_piece - pieces, pushf_piece - pieces, pushfl_piece - pieces
  .word popf_piece - pieces, popfl_piece - pieces, int_piece - pieces, int_kernel_piece - pieces, int_outer_piece - pieces
  .word int_conforming_piece - pieces
  .word iret_piece - pieces, iretl_piece - pieces, in_piece - pieces, in_denied_piece - pieces, hlt_piece - pieces
  .word cr0_piece - pieces, lldt_piece - pieces, str_piece - pieces, lar_piece - pieces, arpl_piece - pieces
  .word far_piece - pieces, retf_piece - pieces, divide_piece - pieces
  .word into_piece - pieces, string_piece - pieces, lds_piece - pieces
list_end:

  .data
  .balign 8
flags: .long 0
next: .long 0
result: .long 0, 0
gdt:
  .quad 0
  .quad 0x00cf9b000000ffff
  .quad 0x00cf93000000ffff
  .quad 0x00cfbb000000ffff
  .quad 0x00cf9f000000ffff
  .quad 0x0000891000002068
  .quad 0x0000891000000067
gdtr: .word gdtr - gdt - 1; .long gdt
idtr: .word VECTORS * 8 - 1; .long idt
  .bss
  .balign 16
idt: .skip VECTORS * 8
tss_task: .skip 104
tss_main: .skip 104 + 0x2004
  .skip 1024
kernel_stack:
  .skip 4096
handler_stack:
  .skip 4096
main_stack:

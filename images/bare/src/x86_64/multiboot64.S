/* Multiboot as an ELF64 file: what the loader tells, and long mode. QEMU's -kernel does not load such files; the specification tells
   what there must be. */
#include "pc.h"
  multiboot_header
  .text
  .code32
  print_functions

  .globl _start
_start:
  movl $stack, %esp
  movl %ebx, information
  movl %eax, scratch
  show "magic", scratch
  /* Protected mode without paging and interrupts: the machine state of the specification. */
  movl %cr0, %eax
  andl $0x80000001, %eax
  movl %eax, scratch
  show "cr0", scratch
  pushfl
  popl %eax
  andl $0x20200, %eax
  movl %eax, scratch
  show "eflags", scratch
  movl information, %ebp
  movl (%ebp), %eax
  andl $0x45, %eax
  movl %eax, scratch
  show "flags", scratch
  show "lower", 4(%ebp)
  /* Upper memory: whole megabytes but the first. */
  movl 8(%ebp), %eax
  andl $0x3ff, %eax
  movl %eax, scratch
  show "upper", scratch
  /* The map: entries of a size that stands before them; the last must end where the length says. */
  movl 48(%ebp), %esi
  movl 44(%ebp), %edi
  addl %esi, %edi
  xorl %ecx, %ecx
1: cmpl $1, 20(%esi)
  jne 2f
  addl 12(%esi), %ecx
2: movl (%esi), %eax
  leal 4(%esi,%eax), %esi
  cmpl %edi, %esi
  jb 1b
  movl %ecx, scratch
  cmpl %edi, %esi
  jne wrong
  /* All of it is what lower and upper memory are. */
  movl 4(%ebp), %eax
  addl 8(%ebp), %eax
  shll $10, %eax
  subl %eax, scratch
  show "unaccounted", scratch
  testl $4, (%ebp)
  jz 3f
  say "line "
  movl 16(%ebp), %esi
  call puts
  say "\n"
3:
  /* Below 1 GiB by pages of 2 MiB. */
  movl $l3 + 3, l4
  movl $l2 + 3, l3
  fill_pages l2, 0x83
  lgdt gdtr
  movl $0x20, %eax
  movl %eax, %cr4
  enter_long l4
  ljmp $8, $long
wrong:
  say "wrong\n"
  finish 1

  .code64
long:
  movabsq $0x123456789abcdef0, %rax
  rolq $8, %rax
  movq %rax, scratch
  /* Back to 32-bit code, to print. */
  pushq $0x10
  pushq $5f
  lretq
  .code32
5: movl $0x18, %eax
  movl %eax, %ds
  movl %eax, %ss
  show "long", scratch
  show "mode", scratch + 4
  finish 20

  .data
  .balign 8
gdt: .quad 0, 0x00af9b000000ffff, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr: .word . - gdt - 1; .quad gdt
information: .long 0
  .balign 8
scratch: .quad 0
  .bss
  .balign 4096
l4: .skip 4096
l3: .skip 4096
l2: .skip 4096
  .skip 4096
stack:

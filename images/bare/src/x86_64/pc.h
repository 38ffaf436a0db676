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

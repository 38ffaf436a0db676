// SPDX-License-Identifier: Apache-2.0
// What scenes.c has of x86-64: as scenes_riscv64.h. Functions take their argument in rdi, change it there and return it in the end, so that a first
// instruction that was left out shows; it has four bytes, as on RISC-V, where no other length is wanted.
enum {
  WRITE = 1, CLOSE = 3, MMAP = 9, MPROTECT = 10, MUNMAP = 11, SIGACTION = 13, PREAD = 17, PWRITE = 18, YIELD = 24, MREMAP = 25,
  MADVISE = 28, GETPID = 39, EXIT = 60, WAIT4 = 61, PTRACE = 101, EXIT_GROUP = 231, OPENAT = 257
};
static u64 call6(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f) {
  register u64 r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
  __asm__ volatile("syscall" : "+a"(nr) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  return nr;
}

#define FUNCTION(name) ".globl " #name "\n.type " #name ", @function\n" #name ": "
#define END(name) "\n.size " #name ", .-" #name "\n"
#define RESULT "\n mov %rdi, %rax\n ret"
__asm__(
    ".text\n"
    FUNCTION(xorfn) "xor $85, %rdi" RESULT END(xorfn)
    FUNCTION(loadfn) ".byte 0x48, 0x8b, 0x7f, 0\n add $1, %rdi" RESULT END(loadfn)  // mov 0(%rdi), %rdi
    FUNCTION(storefn) ".byte 0x48, 0x89, 0x77, 0\n ret" END(storefn)                // mov %rsi, 0(%rdi)
    FUNCTION(semfn) "add $7, %rdi" RESULT END(semfn)
    // clone(CLONE_VM | CLONE_VFORK | SIGCHLD): both return from it, each to an address that it has put back itself.
    FUNCTION(vforkfn) "pop %rdx\n mov $0x4111, %edi\n xor %esi, %esi\n mov $56, %eax\n syscall\n push %rdx\n ret" END(vforkfn)
    FUNCTION(forkfn) "mov $17, %edi\n xor %esi, %esi\n mov $56, %eax\n syscall\n ret" END(forkfn)
    FUNCTION(execfn) "mov $59, %eax\n syscall\n ret" END(execfn)
    // spawn(function, argument, top of its stack, where its number is): a thread; spawnapart: a process that shares the memory.
    FUNCTION(spawnapart) "mov $0x300111, %eax\n jmp 2f" END(spawnapart)
    FUNCTION(spawn) "mov $0x350f00, %eax\n2: mov %rdi, -16(%rdx)\n mov %rsi, -8(%rdx)\n lea -16(%rdx), %rsi\n mov %rcx, %rdx\n mov %rcx, %r10\n"
    " mov %rax, %rdi\n mov $56, %eax\n syscall\n test %eax, %eax\n jnz 1f\n mov (%rsp), %rax\n mov 8(%rsp), %rdi\n call *%rax\n xor %edi, %edi\n"
    " mov $60, %eax\n syscall\n1: ret" END(spawn)
    FUNCTION(shortfn) "xchg %eax, %edi\n add $3, %eax\n ret" END(shortfn)
    FUNCTION(breakfn) "int3\n ret" END(breakfn)
    // Instructions of many lengths, of every class that a probe may be on.
    FUNCTION(sweepfn) "push %rbx\n add $1, %rdi\n lea 1000(%rdi), %rax\n mov sweepcell(%rip), %rbx\n add %rbx, %rax\n mov %rax, %rcx\n"
    " test %eax, %eax\n jne 1f\n add $5, %rax\n1: call 2f\n nop\n pushf\n popf\n xchg %eax, %ecx\n lea 3f(%rip), %rdx\n jmp *%rdx\n2: movabs $0x123456789a, %rdx\n"
    " xor %rdx, %rax\n ret\n3: xor %rdx, %rax\n xor %rcx, %rax\n pop %rbx\n ret" END(sweepfn)
    // An instruction of four bytes that crosses a page.
    ".balign 4096\n .skip 4092\n xchg %ax, %ax\n"
    FUNCTION(crossfn) "add $100, %rdi" RESULT END(crossfn)
    ".section .rodata\n.balign 8\nsweepcell: .quad 0x12345000\n.text\n");

// longjmp by hand, and a function that leaves by it.
__asm__(
    FUNCTION(mark) "mov (%rsp), %rax\n mov %rax, 0(%rdi)\n lea 8(%rsp), %rax\n mov %rax, 8(%rdi)\n mov %rbx, 16(%rdi)\n mov %rbp, 24(%rdi)\n"
    " mov %r12, 32(%rdi)\n mov %r13, 40(%rdi)\n mov %r14, 48(%rdi)\n mov %r15, 56(%rdi)\n xor %eax, %eax\n ret" END(mark)
    FUNCTION(leap) "mov 8(%rdi), %rsp\n mov 16(%rdi), %rbx\n mov 24(%rdi), %rbp\n mov 32(%rdi), %r12\n mov 40(%rdi), %r13\n mov 48(%rdi), %r14\n"
    " mov 56(%rdi), %r15\n mov $1, %eax\n jmp *0(%rdi)" END(leap)
    FUNCTION(throwtail) "add $1, %rdi\n jmp 1f" END(throwtail) "1: jmp thrower\n");

#define PC 21         // of a ucontext's words
#define LOAD_SIZE 4   // of loadfn's load
#define BREAK_LEFT 0  // what the break's trap leaves of it
#define PATCH 0x02eb  // jmp to the instruction behind the four bytes
#define synchronise() __asm__ volatile("" ::: "memory")
struct action { void (*handler)(int, void *, void *); u64 flags; void (*restorer)(void); u64 mask; };
extern void restorer(void);
__asm__("restorer: mov $15, %eax\n syscall\n");
#define ACTION {on_signal, 0x4000004, restorer, 0}

__asm__(".globl _start\n_start: xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call start_c\n hlt\n");

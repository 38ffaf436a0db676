// SPDX-License-Identifier: Apache-2.0
// What scenes.c has of RISC-V: system calls, functions whose bytes matter, and what a signal's frame looks like.
enum {
  OPENAT = 56, CLOSE = 57, WRITE = 64, PREAD = 67, PWRITE = 68, EXIT = 93, EXIT_GROUP = 94, PTRACE = 117, YIELD = 124,
  SIGACTION = 134, GETPID = 172, MUNMAP = 215, MREMAP = 216, MMAP = 222, MPROTECT = 226, MADVISE = 233, WAIT4 = 260
};
static u64 call6(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f) {
  register u64 a0 __asm__("a0") = a, a1 __asm__("a1") = b, a2 __asm__("a2") = c, a3 __asm__("a3") = d,
      a4 __asm__("a4") = e, a5 __asm__("a5") = f, a7 __asm__("a7") = nr;
  __asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5), "r"(a7) : "memory");
  return a0;
}

__asm__(
    ".text\n.option push\n.option norvc\n"
    ".globl xorfn\n.type xorfn, @function\nxorfn: xori a0, a0, 85\n ret\n.size xorfn, .-xorfn\n"
    ".globl loadfn\n.type loadfn, @function\nloadfn: ld a0, 0(a0)\n addi a0, a0, 1\n ret\n.size loadfn, .-loadfn\n"
    ".globl storefn\n.type storefn, @function\nstorefn: sd a1, 0(a0)\n ret\n.size storefn, .-storefn\n"
    ".globl semfn\n.type semfn, @function\nsemfn: addi a0, a0, 7\n ret\n.size semfn, .-semfn\n"
    // clone(CLONE_VM | CLONE_VFORK | SIGCHLD): both return from it, and it has no frame that one could spoil for the other.
    ".globl vforkfn\n.type vforkfn, @function\nvforkfn: li a0, 0x4111\n li a1, 0\n li a7, 220\n ecall\n ret\n.size vforkfn, .-vforkfn\n"
    ".globl forkfn\n.type forkfn, @function\nforkfn: li a0, 17\n li a1, 0\n li a7, 220\n ecall\n ret\n.size forkfn, .-forkfn\n"
    ".globl execfn\n.type execfn, @function\nexecfn: li a7, 221\n ecall\n ret\n.size execfn, .-execfn\n"
    // spawn(function, argument, top of its stack, where its number is): a thread; spawnapart: a process that shares the memory.
    ".globl spawnapart\n.type spawnapart, @function\nspawnapart: li t2, 0x300111\n j 2f\n.size spawnapart, .-spawnapart\n"
    ".globl spawn\n.type spawn, @function\nspawn: li t2, 0x350f00\n2: sd a0, -16(a2)\n sd a1, -8(a2)\n addi a1, a2, -16\n mv a2, a3\n mv a4, a3\n li a3, 0\n"
    " mv a0, t2\n li a7, 220\n ecall\n bnez a0, 1f\n ld t0, 0(sp)\n ld a0, 8(sp)\n jalr t0\n li a0, 0\n li a7, 93\n ecall\n1: ret\n"
    ".size spawn, .-spawn\n"
    ".option pop\n"
    ".globl shortfn\n.type shortfn, @function\nshortfn: c.addi a0, 3\n c.jr ra\n.size shortfn, .-shortfn\n"
    ".globl breakfn\n.type breakfn, @function\nbreakfn: c.ebreak\n c.jr ra\n.size breakfn, .-breakfn\n"
    // Instructions of both lengths, of every class that a probe may be on.
    ".globl sweepfn\n.type sweepfn, @function\nsweepfn: c.addi a0, 1\n addi a0, a0, 1000\n c.slli a0, 2\n lui t0, 0x12345\n c.mv t1, a0\n"
    " auipc t2, 1\n add a0, a0, t0\n beq zero, t1, 1f\n c.addi a0, 5\n1: jal t3, 2f\n c.nop\n2: c.addi a0, 9\n xor a0, a0, t1\n c.jr ra\n"
    ".size sweepfn, .-sweepfn\n"
    // An instruction of four bytes that crosses a page.
    ".balign 4096\n .skip 4092\n c.nop\n"
    ".globl crossfn\n.type crossfn, @function\ncrossfn: addi a0, a0, 100\n c.jr ra\n.size crossfn, .-crossfn\n");

// longjmp by hand, and a function that leaves by it.
__asm__(
    ".globl mark\n.type mark, @function\nmark: sd ra, 0(a0)\n sd sp, 8(a0)\n sd s0, 16(a0)\n sd s1, 24(a0)\n sd s2, 32(a0)\n sd s3, 40(a0)\n"
    " sd s4, 48(a0)\n sd s5, 56(a0)\n li a0, 0\n ret\n.size mark, .-mark\n"
    ".globl leap\n.type leap, @function\nleap: ld ra, 0(a0)\n ld sp, 8(a0)\n ld s0, 16(a0)\n ld s1, 24(a0)\n ld s2, 32(a0)\n ld s3, 40(a0)\n"
    " ld s4, 48(a0)\n ld s5, 56(a0)\n li a0, 1\n ret\n.size leap, .-leap\n");
__asm__(".globl throwtail\n.type throwtail, @function\nthrowtail: c.addi a0, 1\n c.j 1f\n.size throwtail, .-throwtail\n1: tail thrower\n");

#define PC 22         // of a ucontext's words
#define LOAD_SIZE 4   // of loadfn's load
#define BREAK_LEFT 2  // what the break's trap leaves of it
#define PATCH 0x0505  // c.addi a0, 1
#define synchronise() __asm__ volatile("fence.i" ::: "memory")
struct action { void (*handler)(int, void *, void *); u64 flags, mask; };
#define ACTION {on_signal, 4, 0}

__asm__(".globl _start\n_start:\n .option push\n .option norelax\n la gp, __global_pointer$\n .option pop\n li s0, 0\n mv a0, sp\n andi sp, sp, -16\n call start_c\n");

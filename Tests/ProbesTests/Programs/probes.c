// SPDX-License-Identifier: Apache-2.0
// What the tests of probes run: no library, so that every instruction is known. The first letter of the argument says what to do.
typedef unsigned long u64;
#define noinline __attribute__((noinline, noclone))
#define opaque(x) __asm__ volatile("" : "+r"(x)::"memory")

#ifdef __x86_64__
#define PROGRAM "/probes-x86_64.elf"
enum { WRITE = 1, MMAP = 9, MUNMAP = 11, SIGACTION = 13, GETPID = 39, CLONE = 56, EXIT = 60, WAIT4 = 61, OPENAT = 257 };
static u64 call6(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f) {
  register u64 r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
  __asm__ volatile("syscall" : "+a"(nr) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  return nr;
}
#else
#define PROGRAM "/probes.elf"
enum { WRITE = 64, MMAP = 222, MUNMAP = 215, SIGACTION = 134, GETPID = 172, CLONE = 220, EXIT = 93, WAIT4 = 260, OPENAT = 56 };
static u64 call6(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f) {
  register u64 a0 __asm__("a0") = a, a1 __asm__("a1") = b, a2 __asm__("a2") = c, a3 __asm__("a3") = d,
      a4 __asm__("a4") = e, a5 __asm__("a5") = f, a7 __asm__("a7") = nr;
  __asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5), "r"(a7) : "memory");
  return a0;
}
#endif
#define call3(nr, a, b, c) call6(nr, (u64)(a), (u64)(b), (u64)(c), 0, 0, 0)

noinline u64 leaf(u64 n) {
  u64 steps = 0;
  while (n != 1) {
    n = n & 1 ? 3 * n + 1 : n >> 1;
    steps++;
    opaque(n);
  }
  return steps;
}
noinline u64 fib(u64 n) {
  if (n < 2) return n;
  u64 a = fib(n - 1);
  opaque(a);
  return a + fib(n - 2);
}
noinline u64 tail3(u64 n) { opaque(n); return n ^ 0x55; }
noinline u64 tail2(u64 n) { opaque(n); return tail3(n * 3); }
noinline u64 tail1(u64 n) { opaque(n); return tail2(n + 7); }
static const unsigned table[8] = {3, 1, 4, 1, 5, 9, 2, 6};
static volatile u64 counter;
noinline u64 pcrel(u64 i) { opaque(i); counter++; return table[i & 7] * counter; }
noinline double fpu(double x, u64 n) {
  double sum = 0;
  for (u64 i = 1; i <= n; i++) sum += x / (double)i;
  return sum;
}
noinline u64 atomic(u64 *p) { return __atomic_fetch_add(p, 3, __ATOMIC_SEQ_CST); }
noinline u64 exclusive(u64 *p, u64 v) {
#ifdef __x86_64__
  u64 old = *(volatile u64 *)p;
  while (!__atomic_compare_exchange_n(p, &old, old + v, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {}
  return old;
#else
  u64 old, failed;
  __asm__ volatile("1: lr.d %0, (%2)\n add %1, %0, %3\n sc.d %1, %1, (%2)\n bnez %1, 1b"
                   : "=&r"(old), "=&r"(failed) : "r"(p), "r"(v) : "memory");
  return old;
#endif
}
noinline u64 load(const u64 *p) { return *(const volatile u64 *)p; }
noinline u64 deep(u64 n) {
  if (n == 0) return 0;
  u64 r = deep(n - 1);
  opaque(r);
  return r + 1;
}

// longjmp by hand: out of `thrower` to `catcher`.
static void *jump[16];
noinline void thrower(u64 n) {
  if (n) { thrower(n - 1); opaque(n); }
  __builtin_longjmp(jump, 1);
}
noinline u64 catcher(u64 n) {
  if (__builtin_setjmp(jump) == 0) thrower(n);
  return 7;
}

static volatile u64 signals;
__attribute__((used)) unsigned short table_of_data[4] = {0, 0, 0, 1};
static u64 seen[4];
#ifdef __x86_64__
#define PC 21        // of a ucontext's words
#define LOAD_SIZE 3  // of faulting's load
#define BREAK_SIZE 1
#define BREAK_LEFT 0 // what the break's trap leaves of it
struct action { void (*handler)(int, void *, void *); u64 flags; void (*restorer)(void); u64 mask; };
extern void restorer(void);
__asm__("restorer: mov $15, %eax\n syscall\n");
#define ACTION {on_signal, 0x4000004, restorer, 0}
#else
#define PC 22
#define LOAD_SIZE 4
#define BREAK_SIZE 2
#define BREAK_LEFT 2
struct action { void (*handler)(int, void *, void *); u64 flags, mask; };
#define ACTION {on_signal, 4, 0}
#endif
static void on_signal(int n, void *info, void *context) {
  signals++;
  seen[0] = (u64)n;
  seen[1] = ((u64 *)context)[PC];  // the pc in ucontext
  seen[2] = ((u64 *)info)[2];      // si_addr
  seen[3] = ((int *)info)[2];      // si_code
  if (n == 5) ((u64 *)context)[PC] += BREAK_LEFT;
  if (n == 11) ((u64 *)context)[PC] += LOAD_SIZE;
}
static void catch(int n) {
  struct action action = ACTION;
  call6(SIGACTION, (u64)n, (u64)&action, 0, 8, 0, 0);
}
noinline u64 faulting(u64 address) {
  u64 value = 99;
#ifdef __x86_64__
  __asm__ volatile(".globl fault_here\nfault_here: movq (%%rdi), %0" : "+a"(value) : "D"(address));
#else
  __asm__ volatile(".option push\n.option norvc\n.globl fault_here\nfault_here: ld %0, 0(%1)\n.option pop" : "+r"(value) : "r"(address));
#endif
  return value;
}
#ifdef __x86_64__
noinline void own_break(void) { __asm__ volatile(".globl break_here\nbreak_here: int3"); }
#else
noinline void own_break(void) { __asm__ volatile(".globl break_here\nbreak_here: ebreak"); }
#endif
noinline void plain(void) { __asm__ volatile("nop"); }

static u64 all(void) {
  u64 sum = leaf(27) + fib(10) + tail1(5) + pcrel(5) + deep(20);
  u64 cell = 5;
  sum += atomic(&cell) + exclusive(&cell, 4) + cell;
  sum += (u64)fpu(100.0, 30);
  sum += catcher(3);
  return sum;
}

static char line[64];
static void print(u64 value) {
  char *at = line + 63;
  *at = '\n';
  u64 count = 1;
  do { *--at = (char)('0' + value % 10); count++; value /= 10; } while (value);
  call3(WRITE, 1, at, count);
}

static u64 run(char mode) {
  switch (mode) {
    case 'k': {  // system calls
      u64 sum = 0;
      for (int i = 0; i < 10; i++) sum += call3(GETPID, 0, 0, 0);
      return sum;
    }
    case 'a': print(all()); return 0;
    case 'f': {  // fork with a return pending, both sides return
      u64 child = call6(CLONE, 17, 0, 0, 0, 0, 0);
      u64 sum = all();
      if (child == 0) call3(EXIT, sum & 63, 0, 0);
      int status = 0;
      call6(WAIT4, child, (u64)&status, 0, 0, 0, 0);
      print((u64)status);
      print(sum);
      return 0;
    }
    case 's':  // a load that faults
      catch(11);
      print(faulting(8));
      print(signals); print(seen[0]); print(seen[1] == (u64)({ extern char fault_here[]; (void *)fault_here; }));
      print(seen[2]);
      return 0;
    case 'b':  // its own break
      catch(5);
      own_break();
      plain();
      print(signals); print(seen[0]); print(seen[1] == (u64)({ extern char break_here[]; (void *)(break_here + BREAK_SIZE - BREAK_LEFT); }));
      return 0;
    case 'l': {  // many calls
      u64 sum = 0;
      for (u64 i = 0; i < 2000; i++) { sum += tail3(i); }
      print(sum);
      return 0;
    }
    case 'd': print(deep(100)); return 0;
    case 'j': {  // a second mapping of the program's text, called there
      extern char __executable_start[];
      u64 fd = call6(OPENAT, -100UL, (u64)PROGRAM, 0, 0, 0, 0);
      u64 at = call6(MMAP, 0, 8192, 5, 2, fd, 0);
      u64 (*moved)(u64) = (u64 (*)(u64))(at + ((u64)tail3 - (u64)__executable_start));
      print((u64)tail3 - (u64)__executable_start < 8192 ? moved(1) : 0);
      call3(MUNMAP, at, 8192, 0);
      return 0;
    }
  }
  return 100;
}

__attribute__((used)) void start_c(u64 *sp) {
  char **argv = (char **)(sp + 1);
  call3(EXIT, run(sp[0] > 1 ? argv[1][0] : 'a'), 0, 0);
}
#ifdef __x86_64__
__asm__(".globl _start\n_start:\n mov %rsp, %rdi\n and $-16, %rsp\n call start_c\n");
#else
__asm__(".globl _start\n_start:\n .option push\n .option norelax\n la gp, __global_pointer$\n .option pop\n mv a0, sp\n andi sp, sp, -16\n call start_c\n");
#endif

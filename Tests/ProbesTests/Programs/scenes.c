// SPDX-License-Identifier: Apache-2.0
// What the scenarios of user probes run: no library, so that every instruction is known. The first argument is a string of steps, each
// a letter and perhaps a number; each step that has a result prints it.
typedef unsigned long u64;
typedef unsigned short u16;
#define noinline __attribute__((noinline))
#define opaque(x) __asm__ volatile("" : "+r"(x)::"memory")
#ifdef __x86_64__
#include "scenes_x86_64.h"
#else
#include "scenes_riscv64.h"
#endif
#define call3(nr, a, b, c) call6(nr, (u64)(a), (u64)(b), (u64)(c), 0, 0, 0)

// Functions to probe whose bytes matter: each guest has its own.
extern u64 xorfn(u64), loadfn(u64), storefn(u64, u64), crossfn(u64), sweepfn(u64), semfn(u64), vforkfn(void), forkfn(void), breakfn(void), shortfn(u64),
    spawn(void (*)(u64), u64, char *, unsigned *), spawnapart(void (*)(u64), u64, char *, unsigned *), execfn(const char *, char **, char **);

noinline u64 tail3(u64 n) { opaque(n); return n ^ 0x55; }
noinline u64 tail2(u64 n) { opaque(n); return tail3(n * 3); }
noinline u64 tail1(u64 n) { opaque(n); return tail2(n + 7); }
noinline u64 deep(u64 n) {
  if (n == 0) return 0;
  u64 r = deep(n - 1);
  opaque(r);
  return r + 1;
}
noinline u64 inner(u64 n) { opaque(n); return n + 1; }
noinline u64 middle(u64 n) { u64 r = inner(n); opaque(r); return r + 2; }
noinline u64 outer(u64 n) { u64 r = middle(n); opaque(r); return r + 3; }
// `outer2` calls a chain of tail calls, the last of which calls `inner`.
noinline u64 chain2(u64 n) { u64 r = inner(n); opaque(r); return r * 2; }
noinline u64 chain1(u64 n) { opaque(n); return chain2(n + 1); }
noinline u64 outer2(u64 n) { u64 r = chain1(n); opaque(r); return r + 3; }

// longjmp by hand: out of `thrower` to `catcher`.
static u64 jump[16];
extern u64 mark(u64 *) __attribute__((returns_twice));
extern void leap(u64 *) __attribute__((noreturn));
noinline u64 thrower(u64 n) {
  if (n) { n = thrower(n - 1); opaque(n); }
  leap(jump);
}
extern u64 throwtail(u64);
noinline u64 catcher(u64 n) {
  if (mark(jump) == 0) throwtail(n);
  return 7;
}
// The frame that is left by longjmp is followed by a call, not a return.
noinline u64 catchcall(u64 n) {
  if (mark(jump) == 0) throwtail(n);
  return inner(n) + 1;
}

__attribute__((used, section(".probes"))) u16 sema = 0, sema2 = 0;
static u64 where, cell = 41, isFixing, signals, seen[4];
static void on_signal(int n, void *info, void *context) {
  u64 *pc = (u64 *)context + PC;
  signals++;
  seen[0] = (u64)n;
  seen[1] = *pc;
  seen[2] = ((u64 *)info)[2];
  seen[3] = (u64)(long)((int *)info)[2];
  if (n == 5) *pc += BREAK_LEFT;
  if (n == 11 && isFixing) call6(MMAP, where & -4096UL, 4096, 3, 0x32, -1UL, 0);
  else if (n == 11) *pc += LOAD_SIZE;
}
static char stacks[8][2048] __attribute__((aligned(16)));
static unsigned tids[8];
static u64 sum;
static void worker(u64 n) {
  for (u64 i = 0; i < 20; i++) __atomic_fetch_add(&sum, xorfn(n + i), __ATOMIC_SEQ_CST);
}
static void once(u64 n) { __atomic_fetch_add(&sum, xorfn(n), __ATOMIC_SEQ_CST); }
static void sleeper(u64 n) { call3(YIELD, n, 0, 0); call3(EXIT_GROUP, 7, 0, 0); }

static char line[32];
static void print(u64 value) {
  char *at = line + 31;
  u64 count = 1, rest = (long)value < 0 ? -value : value;
  *at = '\n';
  do { *--at = (char)('0' + rest % 10); count++; rest /= 10; } while (rest);
  if ((long)value < 0) { *--at = '-'; count++; }
  call3(WRITE, 1, at, count);
}
static u64 map(u64 prot, u64 flags, u64 offset, u64 size) {
  u64 fd = call6(OPENAT, -100UL, (u64)"/lib", 0, 0, 0, 0);
  u64 at = call6(MMAP, 0, size, prot, flags, fd, offset);
  call3(CLOSE, fd, 0, 0);
  return at;
}

static u64 p, q, data;
static void step(char c, u64 n, char **argv, const char *rest) {
  switch (c) {
    case 'x': print(xorfn(n)); return;
    case 'y': print(sweepfn(n)); return;
    case 'h': print(shortfn(n)); return;
    case 'C': print(crossfn(n)); return;
    case 'l': print(loadfn(where)); return;
    case 's': storefn(where, n); return;
    case 'n': { u64 all = 0; for (u64 i = 0; i < n * 100; i++) all += xorfn(i); print(all); return; }
    case 'a':  // where to load and store
      where = n == 0 ? (u64)&cell : n == 1 ? call6(MMAP, 0, 4096, 3, 0x22, -1UL, 0) : n == 2 ? 0x30000000 : 8;
      return;
    case 'X': isFixing = 1; return;
    case 'S': { struct action action = ACTION; call6(SIGACTION, n, (u64)&action, 0, 8, 0, 0); return; }
    case 'i': print(signals); print(seen[0]); print(seen[1] - (u64)loadfn); print(seen[3]); return;
    case 'I': print(seen[2]); return;
    case 'B': breakfn(); return;
    case 'b': print(seen[1] - (u64)breakfn); print(seen[3]); print(seen[2] == (u64)breakfn); return;
    case 'g': print(sema ? semfn(n) : 0); return;
    case 'G': print(sema); return;
    // Mappings of the file /lib, of which the second and third page are text and the fourth is data.
    case 'm': q = p; p = map(5, 2, 4096, 8192); return;
    case 'M': q = p; p = map(5, 1, 4096, 8192); return;
    case 'W': q = p; p = map(7, 2, 4096, 8192); return;
    case 'D': data = map(3, 2, 3 * 4096, 4096); return;
    case 'k': print(*(volatile u16 *)(data + 16)); return;
    case 'q': { u64 old = p; p = q; q = old; return; }
    case 'c': print(((u64(*)(u64))(p + 0x40))(n)); return;
    case 'e': print(((u64(*)(u64))(p + 0x1040))(n)); return;
    case 'u': print(call3(MUNMAP, p, 8192, 0)); return;
    case 'r': p = call6(MREMAP, p, 8192, 8192, 3, 0x50000000, 0); return;
    case 'd': print(call3(MADVISE, p, 8192, 4)); return;
    case 'w': print(call3(MPROTECT, p, 8192, 7)); return;
    case 'o': print(call3(MPROTECT, p, 8192, 5)); return;
    case 'O': *(volatile u16 *)(p + 0x40) = PATCH; synchronise(); return;
    case 'R': print(*(volatile u16 *)(p + 0x40)); return;
    case 'P': {  // through /proc/self/mem
      u64 fd = call6(OPENAT, -100UL, (u64)"/proc/self/mem", 2, 0, 0, 0);
      u16 insn = PATCH;
      print(fd < 1000 ? call6(PWRITE, fd, (u64)&insn, 2, p + 0x40, 0, 0) : fd);
      return;
    }
    case 'Q': { u16 insn = 0; u64 fd = call6(OPENAT, -100UL, (u64)"/proc/self/mem", 0, 0, 0, 0); call6(PREAD, fd, (u64)&insn, 2, p + 0x40, 0, 0); print(insn); return; }
    case 'E': argv[1] = (char *)rest; execfn(n ? "/other" : argv[0], argv, 0); return;
    case 'T':
      sum = 0;
      for (u64 i = 0; i < n; i++) spawn(worker, i * 100, stacks[i] + 2048, &tids[i]);
      for (u64 i = 0; i < n; i++) while (__atomic_load_n(&tids[i], __ATOMIC_SEQ_CST)) call3(YIELD, 0, 0, 0);
      print(sum);
      return;
    case 'J':  // processes that share the memory, each of which calls once
      sum = 0;
      for (u64 i = 0; i < n; i++) spawnapart(once, i * 100, stacks[i] + 2048, &tids[i]);
      for (u64 i = 0; i < n; i++) while (__atomic_load_n(&tids[i], __ATOMIC_SEQ_CST)) call3(YIELD, 0, 0, 0);
      print(sum);
      return;
    case 'K': spawn(sleeper, n, stacks[0] + 2048, &tids[0]); return;
    case 'V': { u64 child = vforkfn(); if (child == 0) call3(EXIT, 3, 0, 0); int status = 0; call6(WAIT4, child, (u64)&status, 0, 0, 0, 0); print((u64)status >> 8); return; }
    case 'L': print(catcher(n)); return;
    case 'Y': print(catchcall(n)); return;
    case 'A': print(tail1(n)); return;
    case 'N': print(deep(n)); return;
    case 'U': print(outer(n)); return;
    case 'Z': print(outer2(n)); return;
    case 't': print(call3(PTRACE, 0, 0, 0)); return;  // ptrace(PTRACE_TRACEME)
    case 'z': call3(GETPID, 0, 0, 0); return;
  }
  call3(EXIT, 100, 0, 0);
}

// Steps up to '.' are a child's where 'F' begins them.
static void run(char **argv) {
  const char *at = argv[1];
  u64 child = 0;
  while (*at) {
    char c = *at++;
    u64 n = 0;
    while (*at >= '0' && *at <= '9') n = n * 10 + (u64)(*at++ - '0');
    if (c == 'F') {
      child = forkfn();
      if (child) while (*at && *at != '.') at++;
    } else if (c == '.') {
      if (!child) call3(EXIT, 0, 0, 0);
      int status = 0;
      call6(WAIT4, child, (u64)&status, 0, 0, 0, 0);
      print((u64)status);
    } else {
      step(c, n, argv, at);
    }
  }
}

__attribute__((used)) void start_c(u64 *sp) {
  char **argv = (char **)(sp + 1);
  if (sp[0] > 1) run(argv);
  call3(EXIT, 0, 0, 0);
}

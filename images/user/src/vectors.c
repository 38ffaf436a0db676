/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 256-bit vector registers of x86-64: they survive signals, forks and other processes, and a signal handler finds and changes them
 * in its frame. The answers are the same natively.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>


#define MAGIC1 0x46505853u
#define MAGIC2 0x46505845u
#define UPPER 576 /* where the upper halves stand in the standard form */

typedef unsigned char registers[16][32];

#define EACH(x) x(0) x(1) x(2) x(3) x(4) x(5) x(6) x(7) x(8) x(9) x(10) x(11) x(12) x(13) x(14) x(15)
#define LOAD(n) "vmovdqu 32*" #n "(%[in]), %%ymm" #n "\n\t"
#define STORE(n) "vmovdqu %%ymm" #n ", 32*" #n "(%[out])\n\t"
#define NAME(n) , "xmm" #n

/* Makes a system call `count` times with these registers; the result is the last one's. */
static long call(long nr, long a, long b, long count, registers *in, registers *out) {
  long result;
  __asm__ volatile(
      EACH(LOAD) "1: movq %[nr], %%rax\n\tsyscall\n\tdecq %[count]\n\tjnz 1b\n\t" EACH(STORE)
      : "=&a"(result), [count] "+r"(count)
      : [nr] "r"(nr), "D"(a), "S"(b), [in] "r"(in), [out] "r"(out)
      : "rcx", "r11", "memory" EACH(NAME));
  return result;
}

static void fill(registers *r, unsigned seed) {
  for (unsigned i = 0; i < sizeof *r; i++) ((unsigned char *)r)[i] = (unsigned char)(seed * 61 + i * 7 + i / 32);
}

static bool same(registers *a, registers *b) { return memcmp(a, b, sizeof *a) == 0; }

enum { LOOK, CHANGE, FORGET } volatile task;
static volatile int found;

static void handler(int signal, siginfo_t *info, void *context) {
  (void)signal;
  (void)info;
  ucontext_t *uc = context;
  unsigned char *fp = (unsigned char *)uc->uc_mcontext.fpregs;
  unsigned words[12];
  unsigned long header;
  memcpy(words, fp + 464, sizeof words);
  memcpy(&header, fp + 512, sizeof header);
  unsigned end = 0;
  if (words[0] == MAGIC1) memcpy(&end, fp + words[4], sizeof end);
  found = (uc->uc_flags & 1) << 0 | (words[0] == MAGIC1) << 1 | (end == MAGIC2) << 2 | (words[1] == words[4] + 4) << 3 |
          ((words[2] & 7) == 7) << 4 | ((header & 7) == 7) << 5 | ((unsigned long)fp % 64 == 0) << 6;
  if (task == CHANGE) fp[UPPER + 16 * 7 + 3] ^= 0xff;
  if (task == CHANGE) fp[160 + 16 * 9] ^= 0xff;
  if (task == FORGET) memset(fp + 464, 0, 4);
  __asm__ volatile("vzeroall" ::: "memory" EACH(NAME));
}

int main(void) {
  unsigned a, b, c, d;
  __cpuid(1, a, b, c, d);
  printf("AVX and its state: %u\n", (c >> 26 & 7) == 7);
  __asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
  printf("enabled: %u\n", a & 7);
  printf("told of bases and of frames: %d\n", (getauxval(AT_HWCAP2) & 2) != 0 && getauxval(51) >= 1000);

  registers in, out;
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
  sigaction(SIGUSR1, &action, NULL);
  fill(&in, 1);
  call(SYS_kill, getpid(), SIGUSR1, 1, &in, &out);
  printf("a handler sees: %x; after it the same: %d\n", found, same(&in, &out));
  task = CHANGE;
  call(SYS_kill, getpid(), SIGUSR1, 1, &in, &out);
  in[7][16 + 3] ^= 0xff;
  in[9][0] ^= 0xff;
  printf("what it changed: %d\n", same(&in, &out));
  task = FORGET;
  call(SYS_kill, getpid(), SIGUSR1, 1, &in, &out);
  for (int i = 0; i < 16; i++) memset(in[i] + 16, 0, 16);
  printf("without the magic word: %d\n", same(&in, &out));

  fill(&in, 2);
  long child = call(SYS_fork, 0, 0, 1, &in, &out);
  bool good = same(&in, &out);
  if (child == 0) {
    fill(&in, 3);
    call(SYS_sched_yield, 0, 0, 200, &in, &out);
    _exit(good && same(&in, &out) ? 0 : 1);
  }
  call(SYS_sched_yield, 0, 0, 200, &in, &out);
  good = good && same(&in, &out);
  int status = -1;
  waitpid((pid_t)child, &status, 0);
  printf("two processes: %d %d\n", good, status);
  return 0;
}

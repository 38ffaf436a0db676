// SPDX-License-Identifier: Apache-2.0
// Non-local jumps: through frames, out of signal handlers, with and without the signal mask, callee-saved FP registers.
#include "check.h"
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>

static jmp_buf top;
static sigjmp_buf stop;

static __attribute__((noinline)) void descend(int n, jmp_buf to) {
  volatile char pad[64];
  pad[n % 64] = (char)n;
  if (n == 0) longjmp(to, 42);
  descend(n - 1, to);
  pad[0]++;
}

static __attribute__((noinline)) void clobber_fp(void) {
#ifdef __riscv
  __asm__ volatile("fmv.d.x fs0, zero\n\tfmv.d.x fs1, zero\n\tfmv.d.x fs2, zero" ::: "fs0", "fs1", "fs2");
#endif
}

static volatile sig_atomic_t hits;
static void on_fault(int sig) { hits++; siglongjmp(stop, sig); }
static void on_fault_plain(int sig) { hits++; longjmp(top, sig); }

static int blocked(int sig) {
  sigset_t s;
  sigprocmask(SIG_SETMASK, NULL, &s);
  return sigismember(&s, sig);
}

int main(void) {
  int r = setjmp(top);
  if (r == 0) descend(100, top);
  CHECK_EQ("longjmp through 100 frames", r, 42);

  volatile int rounds = 0;
  r = setjmp(top);
  if (r < 1000) { rounds++; longjmp(top, r + 1); }
  CHECK_EQ("1000 jumps to one buffer", rounds, 1000);

  r = setjmp(top);
  if (r == 0) longjmp(top, 0);
  CHECK_EQ("longjmp with 0 returns 1", r, 1);

  // Values that live across the call in callee-saved FP registers must come back.
  volatile double source[3] = {1.25, -2.5, 1e300};
  double a = source[0], b = source[1], c = source[2];
  if (setjmp(top) == 0) {
    clobber_fp();
    longjmp(top, 1);
  }
  CHECK("floating point across longjmp", a == 1.25 && b == -2.5 && c == 1e300);

  jmp_buf outer, inner;
  volatile int order = 0;
  switch (setjmp(outer)) {
  case 0:
    if (setjmp(inner) == 0) longjmp(inner, 1);
    order = 1;
    longjmp(outer, 2);
  case 2: order = order * 10 + 2; break;
  }
  CHECK_EQ("an inner buffer, then an outer one", order, 12);

  struct sigaction sa = {.sa_handler = on_fault};
  sigaction(SIGSEGV, &sa, NULL);
  sigaction(SIGUSR1, &sa, NULL);
  volatile int *volatile null = NULL;
  for (volatile int i = 0; i < 50; i++)
    if (sigsetjmp(stop, 1) == 0) *null = 1;
  CHECK_EQ("50 recoveries from SIGSEGV", hits, 50);
  CHECK("mask restored by siglongjmp", !blocked(SIGSEGV));

  hits = 0;
  r = sigsetjmp(stop, 1);
  if (r == 0) raise(SIGUSR1);
  CHECK("siglongjmp out of raise", r == SIGUSR1 && hits == 1 && !blocked(SIGUSR1));

  // Saved mask 0: the signal stays blocked, because nothing returned from the handler.
  r = sigsetjmp(stop, 0);
  if (r == 0) raise(SIGUSR1);
  CHECK("without a saved mask the signal stays blocked", r == SIGUSR1 && blocked(SIGUSR1));
  sigset_t s;
  sigemptyset(&s);
  sigprocmask(SIG_SETMASK, &s, NULL);

  sa.sa_handler = on_fault_plain;
  sa.sa_flags = SA_NODEFER;
  sigaction(SIGUSR2, &sa, NULL);
  r = setjmp(top);
  if (r == 0) raise(SIGUSR2);
  CHECK("longjmp with SA_NODEFER", r == SIGUSR2 && !blocked(SIGUSR2));

  sigprocmask(SIG_SETMASK, &s, NULL);

  // A jump from a handler that interrupted a handler.
  sa.sa_handler = on_fault;
  sa.sa_flags = 0;
  sigaction(SIGSEGV, &sa, NULL);
  volatile int depth = 0;
  if (sigsetjmp(stop, 1) == 0) {
    depth = 1;
    raise(SIGUSR1);
  } else if (depth == 1) {
    depth = 2;
    if (sigsetjmp(stop, 1) == 0) *null = 2;
    depth = 3;
  }
  CHECK_EQ("jump, then fault and jump again", depth, 3);
  return check_done("jumps");
}

// SPDX-License-Identifier: Apache-2.0
// The stack grows on demand to 4 MiB; past its limit a child dies of SIGSEGV.
#include "check.h"
#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FRAME = 4096 };
static __attribute__((noinline)) long deep(long n) {
  volatile char pad[FRAME];
  for (int i = 0; i < FRAME; i += 512) pad[i] = (char)(n + i);
  long r = n ? deep(n - 1) : 0;
  return r + pad[n % 8 * 512];  // used after the call, so that this cannot become a loop
}

int main(void) {
  struct rlimit r;
  CHECK("the stack limit is at least 8 MiB", getrlimit(RLIMIT_STACK, &r) == 0 && r.rlim_cur >= 8 << 20);
  long want = 0, n = (4 << 20) / FRAME;
  for (long i = 0; i <= n; i++) want += (char)(i + i % 8 * 512);
  CHECK_EQ("4 MiB of frames", deep(n), want);
  CHECK_EQ("and again", deep(n), want);
  // One access far below the stack pointer but inside the limit: Linux grows the stack to it.
  char here;
  volatile char *below = (volatile char *)((uintptr_t)&here - (6 << 20));
  *below = 5;
  CHECK_EQ("one access 6 MiB down", *below, 5);
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) _exit((int)(deep(1L << 40) & 1));
  int st = 0;
  waitpid(pid, &st, 0);
  CHECK("overflow is SIGSEGV", WIFSIGNALED(st) && WTERMSIG(st) == SIGSEGV);
  return check_done("stackgrow");
}

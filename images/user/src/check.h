// SPDX-License-Identifier: Apache-2.0
// What every guest program shares: named checks whose lines are the expected output, and the exit status.
// A passing check prints nothing that differs between runs; the values of a failing one go to stderr.
#ifndef CHECK_H
#define CHECK_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int check_failures;

static inline int check_(const char *name, int ok, int line) {
  int e = errno;
  printf("%s %s\n", ok ? "ok" : "FAIL", name);
  if (!ok) {
    check_failures++;
    fprintf(stderr, "%s: line %d, errno %d\n", name, line, e);
  }
  return ok;
}

static inline int check_eq_(const char *name, long long got, long long want, int line) {
  if (got != want) fprintf(stderr, "%s: got %lld (0x%llx), want %lld (0x%llx)\n", name, got, (unsigned long long)got, want, (unsigned long long)want);
  return check_(name, got == want, line);
}

#define CHECK(name, cond) check_((name), (cond) ? 1 : 0, __LINE__)
#define CHECK_EQ(name, got, want) check_eq_((name), (long long)(got), (long long)(want), __LINE__)
// The call must fail with this errno: `errno` is cleared first so that a stale value cannot pass.
#define CHECK_ERRNO(name, call, want) \
  do { errno = 0; long long r_ = (long long)(call); check_((name), r_ == -1 && errno == (want), __LINE__); } while (0)

static inline int check_done(const char *program) {
  if (check_failures) printf("%s: %d failed\n", program, check_failures);
  else printf("%s: good\n", program);
  fflush(stdout);
  return check_failures ? 1 : 0;
}

// xorshift64: one generator for every program, so a stream of numbers is a seed.
static inline unsigned long long next_random(unsigned long long *s) {
  unsigned long long x = *s;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return *s = x;
}
#endif

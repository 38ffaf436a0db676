// SPDX-License-Identifier: Apache-2.0
// The allocator under stress: every live block carries a pattern derived from its address slot and is checked before it
// is freed, moved or grown. Large blocks come from mmap and go back, so the address space is exercised as well as brk.
#include "check.h"
#include <malloc.h>
#include <stdint.h>

enum { SLOTS = 512, ROUNDS = 60000 };
static struct { unsigned char *p; size_t n; unsigned char tag; } slot[SLOTS];
static unsigned long long seed = 0x9E3779B97F4A7C15ull;
static int bad;

static unsigned char pattern(unsigned char tag, size_t i) { return (unsigned char)(tag + i * 7); }
static void fill(int s, size_t from) { for (size_t i = from; i < slot[s].n; i++) slot[s].p[i] = pattern(slot[s].tag, i); }
static void verify(int s, size_t n) { for (size_t i = 0; i < n; i++) if (slot[s].p[i] != pattern(slot[s].tag, i)) { bad++; return; } }

static size_t pick(void) {
  unsigned long long r = next_random(&seed);
  unsigned k = (unsigned)(r & 15);
  r >>= 8;
  if (k < 10) return 1 + r % 128;
  if (k < 14) return 1 + r % 4096;
  return 1 + r % 20000;
}

int main(void) {
  unsigned long long allocs = 0, frees = 0, reallocs = 0, bytes = 0;
  for (int k = 0; k < ROUNDS; k++) {
    unsigned long long r = next_random(&seed);
    int s = (int)(r % SLOTS);
    if (!slot[s].p) {
      slot[s].n = pick();
      slot[s].tag = (unsigned char)(r >> 32);
      slot[s].p = malloc(slot[s].n);
      if (!slot[s].p || (uintptr_t)slot[s].p % 16) { bad++; continue; }
      fill(s, 0);
      allocs++;
      bytes += slot[s].n;
    } else if ((r >> 20) % 3 == 0) {
      size_t n = pick(), old = slot[s].n;
      unsigned char *p = realloc(slot[s].p, n);
      if (!p) { bad++; continue; }
      slot[s].p = p;
      slot[s].n = n;
      verify(s, n < old ? n : old);
      if (n > old) fill(s, old);
      reallocs++;
      bytes += n;
    } else {
      verify(s, slot[s].n);
      free(slot[s].p);
      slot[s].p = NULL;
      frees++;
    }
  }
  int live = 0;
  for (int s = 0; s < SLOTS; s++) if (slot[s].p) { live++; verify(s, slot[s].n); free(slot[s].p); slot[s].p = NULL; }
  printf("allocs %llu frees %llu reallocs %llu bytes %llu live %d\n", allocs, frees, reallocs, bytes, live);
  CHECK_EQ("every pattern intact", bad, 0);

  // Large blocks: only their edges are touched, so an eager allocator would show as a huge resident size, not a failure.
  unsigned char *big[8];
  int ok = 1;
  for (int i = 0; i < 8; i++) {
    size_t n = (size_t)(i + 1) << 20;
    big[i] = malloc(n);
    ok &= big[i] != NULL;
    if (big[i]) { big[i][0] = (unsigned char)i; big[i][n / 2] = (unsigned char)(i + 1); big[i][n - 1] = (unsigned char)(i + 2); }
  }
  CHECK("large blocks", ok);
  for (int i = 0; i < 8; i++) {
    size_t n = (size_t)(i + 1) << 20;
    big[i] = realloc(big[i], n * 2);
    ok &= big[i] && big[i][0] == i && big[i][n / 2] == i + 1 && big[i][n - 1] == i + 2;
  }
  CHECK("large blocks keep their bytes when they grow", ok);
  for (int i = 0; i < 8; i++) free(big[i]);
  unsigned char *z = calloc(300, 1000);
  int zero = z != NULL;
  for (int i = 0; z && i < 300000; i++) zero &= z[i] == 0;
  CHECK("calloc is zero", zero);
  free(z);
  // A calloc that reuses freed memory must still be zero.
  unsigned char *d = malloc(2000);
  memset(d, 0xAA, 2000);
  free(d);
  d = calloc(1, 2000);
  zero = 1;
  for (int i = 0; i < 2000; i++) zero &= d[i] == 0;
  CHECK("calloc after free is zero", zero);
  free(d);
  ok = 1;
  for (size_t a = 16; a <= 65536; a *= 2) {
    void *p = NULL;
    ok &= posix_memalign(&p, a, a / 2 + 1) == 0 && (uintptr_t)p % a == 0;
    free(p);
  }
  CHECK("posix_memalign", ok);
  volatile size_t huge = SIZE_MAX / 2;
  errno = 0;
  CHECK("too large fails with ENOMEM", malloc(huge) == NULL && errno == ENOMEM);
  volatile size_t half = SIZE_MAX / 4;
  CHECK("calloc overflow fails", calloc(half, 8) == NULL);
  CHECK("malloc(0) can be freed", (free(malloc(0)), 1));
  void *u = malloc(100);
  CHECK("usable size", malloc_usable_size(u) >= 100);
  free(u);
  return check_done("mallocs");
}

// SPDX-License-Identifier: MIT
// Floating point beyond nbody: fbench [fft|matrix] [iterations]. Checksums are the same on every ISA: only
// IEEE add, sub and mul, contraction off, no library functions.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdint.h>
#define NOINLINE __attribute__((noinline))
#pragma STDC FP_CONTRACT OFF
enum { N = 1024, M = 64 };
static double re[N], im[N], wr[N / 2], wi[N / 2];
static double a[M][M], b[M][M], c[M][M];

static uint64_t bits(double d) { union { double d; uint64_t u; } v = { d }; return v.u; }

// Radix 2, in place, decimation in time; the twiddle factors by a recurrence.
static NOINLINE void fft(double sign) {
  for (unsigned i = 1, j = 0; i < N; i++) {
    unsigned bit = N >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) { double t = re[i]; re[i] = re[j]; re[j] = t; t = im[i]; im[i] = im[j]; im[j] = t; }
  }
  for (unsigned len = 2; len <= N; len <<= 1)
    for (unsigned i = 0; i < N; i += len)
      for (unsigned k = 0; k < len / 2; k++) {
        double cr = wr[k * (N / len)], ci = sign * wi[k * (N / len)];
        double *pr = &re[i + k], *pi = &im[i + k], *qr = pr + len / 2, *qi = pi + len / 2;
        double tr = *qr * cr - *qi * ci, ti = *qr * ci + *qi * cr;
        *qr = *pr - tr; *qi = *pi - ti; *pr += tr; *pi += ti;
      }
}
static NOINLINE uint64_t k_fft(uint64_t n) {
  // cos and sin of 2 pi / 1024
  const double c1 = 0.99998117528260111, s1 = 0.0061358846491544753;
  wr[0] = 1; wi[0] = 0;
  for (int i = 1; i < N / 2; i++) { wr[i] = wr[i-1] * c1 - wi[i-1] * s1; wi[i] = wr[i-1] * s1 + wi[i-1] * c1; }
  for (int i = 0; i < N; i++) { re[i] = (double)(i % 37) - 18; im[i] = (double)(i % 11); }
  while (n--) {
    fft(1); fft(-1);
    for (int i = 0; i < N; i++) { re[i] *= 1.0 / N; im[i] *= 1.0 / N; }
  }
  return bits(re[5]) ^ bits(im[77]);
}
static NOINLINE uint64_t k_matrix(uint64_t n) {
  for (int i = 0; i < M; i++) for (int j = 0; j < M; j++) { a[i][j] = (i * 7 + j) % 13 - 6; b[i][j] = (i + j * 5) % 11 * 0.25; }
  while (n--) {
    for (int i = 0; i < M; i++) for (int j = 0; j < M; j++) {
      double t = 0; for (int k = 0; k < M; k++) t += a[i][k] * b[k][j]; c[i][j] = t; }
    a[n % M][3] = c[5][n % M] * 0.001;
  }
  return bits(c[9][9]);
}
int main(int count, char **v) {
  if (count < 2) return 2;
  uint64_t n = count > 2 ? strtoull(v[2], 0, 0) : 0;
  if (!strcmp(v[1], "fft")) printf("fft %016llx\n", (unsigned long long)k_fft(n ? n : 3000));
  else if (!strcmp(v[1], "matrix")) printf("matrix %016llx\n", (unsigned long long)k_matrix(n ? n : 600));
  else return 2;
  return 0;
}

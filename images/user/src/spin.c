// SPDX-License-Identifier: Apache-2.0
// A processor-bound program: three integer kernels with checksums. Argument: a scale in percent (100 is about 200
// million instructions).
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t mix(uint64_t n) {
  uint64_t a = 0x243F6A8885A308D3, b = 0x13198A2E03707344;
  while (n--) {
    a = (a ^ n) * 0xBF58476D1CE4E5B9;
    a = (a << 27 | a >> 37) + b;
    b = (b ^ a >> 31) * 0x94D049BB133111EB;
    if ((n & 15) == 0) a += b / ((a & 0xffff) + 1) + (int64_t)b % 1000003;
  }
  return a ^ b;
}

static uint64_t collatz(uint64_t n) {
  uint64_t steps = 0;
  for (uint64_t i = 1; i <= n; i++)
    for (uint64_t x = i; x != 1; steps++) x = x & 1 ? 3 * x + 1 : x >> 1;
  return steps;
}

static uint32_t table[4096];
static uint64_t shuffle(uint64_t n) {
  uint64_t s = 88172645463325252;
  for (uint32_t i = 0; i < 4096; i++) table[i] = i;
  while (n--) {
    s ^= s << 13, s ^= s >> 7, s ^= s << 17;
    uint32_t i = s & 4095, k = s >> 20 & 4095, t = table[i];
    table[i] = table[k];
    table[k] = t;
  }
  uint64_t h = 0;
  for (uint32_t i = 0; i < 4096; i++) h = h * 31 + table[i];
  return h;
}

int main(int argc, char **argv) {
  uint64_t percent = argc > 1 ? strtoull(argv[1], NULL, 0) : 100;
  printf("mix %016llx\n", (unsigned long long)mix(50000 * percent));
  printf("collatz %llu\n", (unsigned long long)collatz(1000 * percent));
  printf("shuffle %016llx\n", (unsigned long long)shuffle(40000 * percent));
  return 0;
}

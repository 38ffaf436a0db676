/* SPDX-License-Identifier: Apache-2.0 */
/* What the compiler may call. */
#include "kernel.h"

void *memcpy(void *to, const void *from, size_t count) {
  char *d = to;
  const char *s = from;
  while (count--) *d++ = *s++;
  return to;
}

void *memset(void *to, int byte, size_t count) {
  char *d = to;
  while (count--) *d++ = (char)byte;
  return to;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and writes of memory that may not be there, for probes: an error, never a page. Linux, mm/maccess.c. */
#include "kernel.h"
#include "task.h"

unsigned long __copy_user_probe(void *to, const void *from, unsigned long count);
long copy_from_user_nofault(void *to, const void *from, size_t count);
long copy_to_user_nofault(void *to, const void *from, size_t count);

static inline long probe(void *to, const void *from, size_t count) {
  current->pagefault_disabled++;
  unsigned long missing = __copy_user_probe(to, from, count);
  current->pagefault_disabled--;
  return missing ? -EFAULT : 0;
}

noinline long copy_from_user_nofault(void *to, const void *from, size_t count) { return probe(to, from, count); }
noinline long copy_to_user_nofault(void *to, const void *from, size_t count) { return probe(to, from, count); }

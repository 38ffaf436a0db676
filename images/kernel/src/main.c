/* SPDX-License-Identifier: Apache-2.0 */
/* From boot to the first task; this flow of control then is the idle task. Linux, init/main.c (start_kernel, rest_init). */
#include "gate.h"
#include "kernel.h"
#include "task.h"

void start_kernel(void) __noreturn;
void trap_init(void);
void rest_init(void) __noreturn;

const char linux_banner[] = "emu guest kernel\n";

noinline void printk(const char *text) {
  size_t length = 0;
  while (text[length]) length++;
  gate_call(GATE_CONSOLE, (long)text, (long)length, 0);
}

noinline void rest_init(void) {
  struct task *first = (struct task *)gate_call(GATE_BOOT, 0, 0, 0);
  if (first && first != current) context_switch(current, first);
  do_idle();
}

noinline void start_kernel(void) {
  trap_init();
  rest_init();
}

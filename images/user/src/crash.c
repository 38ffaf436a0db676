// SPDX-License-Identifier: Apache-2.0
// Dies in the way its argument says: for the line an emulator prints about a fatal signal.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static __attribute__((noinline)) void inner(const char *how) {
  if (!strcmp(how, "segv")) *(volatile int *)0x1234 = 1;
  if (!strcmp(how, "exec")) ((void (*)(void))0x5678)();
  if (!strcmp(how, "rodata")) *(volatile char *)(unsigned long)"constant" = 'C';
  if (!strcmp(how, "abort")) abort();
  if (!strcmp(how, "trap")) __builtin_debugtrap();
  if (!strcmp(how, "bus")) {
    char name[] = "/tmp/emu-crash-XXXXXX";
    int fd = mkstemp(name);
    unlink(name);
    (void)*(volatile char *)mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
  }
  if (!strcmp(how, "ill"))
#ifdef __riscv
    __asm__ volatile(".4byte 0xffffffff");
#else
    __builtin_trap();
#endif
  if (!strcmp(how, "div")) {
    // RISC-V and AArch64 do not trap here: the program goes on and prints.
    volatile int a = 7, b = 0;
    int q;
#ifdef __riscv
    __asm__ volatile("divw %0, %1, %2" : "=r"(q) : "r"(a), "r"(b));
#else
    q = a / b;
#endif
    printf("7 / 0 = %d\n", q);
    exit(0);
  }
  if (!strcmp(how, "kill")) raise(SIGKILL);
  if (!strcmp(how, "term")) raise(SIGTERM);
  if (!strcmp(how, "exit")) exit(123);
}

int main(int argc, char **argv) {
  printf("crash %s\n", argc > 1 ? argv[1] : "");
  fflush(stdout);
  if (argc > 1) inner(argv[1]);
  puts("usage: crash segv|exec|rodata|ill|abort|trap|bus|div|kill|term|exit");
  return 2;
}

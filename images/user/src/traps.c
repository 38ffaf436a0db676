/* Debug traps of a program: each kind's si_code and address, and where the program goes on. With "watch", a variable is written that
   the debug registers may watch: whether they do is up to who runs it. "int1" is apart: not every host lets it through. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

static volatile int signals, code;
static volatile unsigned long address, pc;
volatile int watched_word __attribute__((aligned(8)));

static void handler(int number, siginfo_t *info, void *context) {
  ucontext_t *user = context;
  signals++;
  code = number == SIGTRAP ? info->si_code : -1;
  address = (unsigned long)info->si_addr;
  pc = user->uc_mcontext.gregs[REG_RIP];
  user->uc_mcontext.gregs[REG_EFL] &= ~0x100L;
}

static void report(const char *name, unsigned long from) {
  printf("%s: %d signals, code 0x%x, pc +%ld, address %s\n", name, signals, code, (long)(pc - from),
         address == pc ? "is pc" : address ? "is another" : "is zero");
  signals = code = 0;
}

int main(int argc, char **argv) {
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
  unsigned long here;
  sigaction(SIGTRAP, &action, 0);
  if (argc > 1 && !strcmp(argv[1], "watch")) {
    __asm__ volatile("leaq 1f(%%rip), %0\n1: movl $7, %1\n" : "=&r"(here), "=m"(watched_word));
    report("watch", here);
    return 0;
  }
  if (argc > 1 && !strcmp(argv[1], "int1")) {
    __asm__ volatile("leaq 1f(%%rip), %0\n1: .byte 0xf1\nnop\n" : "=&r"(here));
    report("int1", here);
    return 0;
  }
  __asm__ volatile("leaq 1f(%%rip), %0\npushfq\norl $0x100, (%%rsp)\n1: popfq\nnop\nnop\n" : "=&r"(here) : : "memory", "cc");
  report("step", here);
  __asm__ volatile("leaq 1f(%%rip), %0\n1: int3\nnop\n" : "=&r"(here));
  report("int3", here);
  __asm__ volatile("leaq 1f(%%rip), %0\n1: .byte 0xcd, 3\nnop\n" : "=&r"(here));
  report("int 3", here);
  return 0;
}

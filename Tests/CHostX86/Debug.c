#define _GNU_SOURCE
#include "CHostX86.h"

#if defined(__x86_64__) && defined(__linux__)
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static int setDebug(pid_t child, int number, uint64_t value) {
  return (int)ptrace(PTRACE_POKEUSER, child, offsetof(struct user, u_debugreg) + 8 * (size_t)number,
                     value);
}

static uint64_t getDebug(pid_t child, int number) {
  errno = 0;
  return (uint64_t)ptrace(PTRACE_PEEKUSER, child,
                          offsetof(struct user, u_debugreg) + 8 * (size_t)number, 0);
}

static void runChild(void) {
  void *code = mmap((void *)HOSTX86_CODE, HOSTX86_CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  void *data = mmap((void *)HOSTX86_DATA, HOSTX86_DATA_SIZE, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (code == MAP_FAILED || data == MAP_FAILED) _exit(1);
  ptrace(PTRACE_TRACEME, 0, 0, 0);
  raise(SIGSTOP);
  _exit(1);
}

static int follow(pid_t child, const struct hostx86_debug_run *run, struct hostx86_debug_stop *stops,
                  int most) {
  int status;
  if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) return -1;
  for (size_t at = 0; at < run->codeLength; at += 8) {
    uint64_t word;
    memcpy(&word, run->code + at, 8);
    if (ptrace(PTRACE_POKEDATA, child, HOSTX86_CODE + at, word) != 0) return -1;
  }
  struct user_regs_struct regs;
  if (ptrace(PTRACE_GETREGS, child, 0, &regs) != 0) return -1;
  regs.rip = HOSTX86_CODE;
  regs.rax = 0x1122334455667788;
  regs.rbx = HOSTX86_DATA + 0x300;
  regs.rcx = 4;
  regs.rdx = 2;
  regs.rsi = HOSTX86_DATA + 0x100;
  regs.rdi = HOSTX86_DATA + 0x200;
  regs.rsp = HOSTX86_DATA + 0x1000;
  regs.rbp = HOSTX86_DATA + 0x400;
  regs.eflags = 0x202;
  regs.orig_rax = (uint64_t)-1;
  if (ptrace(PTRACE_SETREGS, child, 0, &regs) != 0) return -1;
  for (int i = 0; i < 4; i++)
    if (run->dr[i] != 0 && setDebug(child, i, run->dr[i]) != 0) return -1;
  if (setDebug(child, 7, run->dr7) != 0) return -1;
  int count = 0;
  while (count < most) {
    if (ptrace(run->steps ? PTRACE_SINGLESTEP : PTRACE_CONT, child, 0, 0) != 0) return -1;
    if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) return -1;
    siginfo_t info;
    ptrace(PTRACE_GETSIGINFO, child, 0, &info);
    // INT3 ends the run.
    if (WSTOPSIG(status) != SIGTRAP || info.si_code > 0) {
      if (WSTOPSIG(status) != SIGTRAP || info.si_code == SI_KERNEL) return count;
    }
    ptrace(PTRACE_GETREGS, child, 0, &regs);
    stops[count].rip = regs.rip;
    stops[count++].dr6 = getDebug(child, 6) & 0x400f;
  }
  return count;
}

int hostx86_debug(const struct hostx86_debug_run *run, struct hostx86_debug_stop *stops, int most) {
  pid_t child = fork();
  if (child < 0) return -1;
  if (child == 0) runChild();
  int count = follow(child, run, stops, most);
  kill(child, SIGKILL);
  int status;
  waitpid(child, &status, 0);
  return count;
}

#else

int hostx86_debug(const struct hostx86_debug_run *run, struct hostx86_debug_stop *stops, int most) {
  (void)run; (void)stops; (void)most;
  return -1;
}

#endif

#define _GNU_SOURCE
#include "CPtrace.h"

#if defined(__x86_64__) && defined(__linux__)
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

int native_is_supported(void) { return 1; }

int native_start(const char *path, char *const *arguments, char *const *environment) {
  int failed[2];
  if (pipe2(failed, O_CLOEXEC) != 0) return -errno;
  pid_t process = fork();
  if (process < 0) {
    int error = errno;
    close(failed[0]);
    close(failed[1]);
    return -error;
  }
  if (process == 0) {
    // What its parent blocks and handles is not its business.
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGINT, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    int error = 0;
    // Addresses are the same in every run; not every container allows it.
    personality(ADDR_NO_RANDOMIZE);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) error = errno;
    if (error == 0) {
      execve(path, arguments, environment);
      error = errno;
    }
    ssize_t ignored = write(failed[1], &error, sizeof error);
    (void)ignored;
    _exit(127);
  }
  close(failed[1]);
  int error = 0;
  ssize_t got;
  do got = read(failed[0], &error, sizeof error);
  while (got < 0 && errno == EINTR);
  close(failed[0]);
  int status;
  if (got > 0) {
    while (waitpid(process, &status, 0) < 0 && errno == EINTR) {}
    return -error;
  }
  pid_t reaped;
  do reaped = waitpid(process, &status, 0);
  while (reaped < 0 && errno == EINTR);
  if (reaped < 0 || !WIFSTOPPED(status)) return -ECHILD;
  long options = PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC | PTRACE_O_TRACECLONE;
  if (ptrace(PTRACE_SETOPTIONS, process, NULL, (void *)options) != 0) {
    error = errno;
    native_kill(process);
    return -error;
  }
  return process;
}

enum native_stop native_step(int process, int signal, int *detail) {
  *detail = 0;
  int status;
  if (ptrace(PTRACE_SINGLESTEP, process, NULL, (void *)(long)signal) != 0) {
    // Killed from outside: its status is yet to be had.
    if (errno != ESRCH) {
      *detail = errno;
      return NATIVE_LOST;
    }
  }
  while (waitpid(process, &status, __WALL) < 0) {
    if (errno == EINTR) continue;
    *detail = errno;
    return NATIVE_LOST;
  }
  if (WIFEXITED(status)) {
    *detail = WEXITSTATUS(status);
    return NATIVE_EXITED;
  }
  if (WIFSIGNALED(status)) {
    *detail = WTERMSIG(status);
    return NATIVE_KILLED;
  }
  int event = status >> 16;
  if (event == PTRACE_EVENT_EXEC) return NATIVE_EXEC;
  if (event == PTRACE_EVENT_CLONE) return NATIVE_THREAD;
  if (WSTOPSIG(status) != SIGTRAP) {
    *detail = WSTOPSIG(status);
    return NATIVE_SIGNAL;
  }
  siginfo_t info;
  memset(&info, 0, sizeof info);
  // A break instruction of the program's own is a signal, a step is not.
  if (ptrace(PTRACE_GETSIGINFO, process, NULL, &info) == 0 &&
      (info.si_code == SI_KERNEL || info.si_code == SI_USER || info.si_code == SI_TKILL)) {
    *detail = SIGTRAP;
    return NATIVE_SIGNAL;
  }
  return NATIVE_STEPPED;
}

// Offsets within an XSAVE area in standard form.
enum { XSTATE_BV = 512, YMM_HIGH = 576, XSTATE_MOST = 16384 };

static int readVectors(int process, struct native_vectors *v) {
  static _Thread_local uint8_t area[XSTATE_MOST];
  memset(area, 0, 1024);
  struct iovec part = {area, sizeof area};
  int hasHigh = 1;
  if (ptrace(PTRACE_GETREGSET, process, (void *)(long)NT_X86_XSTATE, &part) != 0) {
    part.iov_len = sizeof area;
    if (ptrace(PTRACE_GETREGSET, process, (void *)(long)NT_PRFPREG, &part) != 0) return -errno;
    hasHigh = 0;
  }
  uint16_t fcw, fsw;
  uint32_t mxcsr;
  memcpy(&fcw, area, 2);
  memcpy(&fsw, area + 2, 2);
  memcpy(&mxcsr, area + 24, 4);
  v->fcw = fcw;
  v->fsw = fsw;
  v->mxcsr = mxcsr;
  v->ftw = 0;
  int top = fsw >> 11 & 7;
  for (int i = 0; i < 8; i++) {
    if (!(area[4] >> i & 1)) v->ftw |= 3u << 2 * i;
    uint64_t *to = v->fpr[(top + i) & 7];
    to[1] = 0;
    memcpy(to, area + 32 + 16 * i, 10);
  }
  for (int i = 0; i < 16; i++) {
    memcpy(v->ymm[i], area + 160 + 16 * i, 16);
    memset(v->ymm[i] + 2, 0, 16);
    if (hasHigh && part.iov_len >= YMM_HIGH + 256) memcpy(v->ymm[i] + 2, area + YMM_HIGH + 16 * i, 16);
  }
  return 0;
}

int native_read(int process, struct native_registers *g, struct native_vectors *v) {
  struct user_regs_struct r;
  if (ptrace(PTRACE_GETREGS, process, NULL, &r) != 0) return -errno;
  const uint64_t values[16] = {r.rax, r.rcx, r.rdx, r.rbx, r.rsp, r.rbp, r.rsi, r.rdi,
                               r.r8,  r.r9,  r.r10, r.r11, r.r12, r.r13, r.r14, r.r15};
  memcpy(g->gpr, values, sizeof values);
  g->rip = r.rip;
  g->rflags = r.eflags;
  g->fsbase = r.fs_base;
  g->gsbase = r.gs_base;
  g->cs = r.cs;
  g->orig_rax = r.orig_rax;
  return readVectors(process, v);
}

int native_write(int process, const struct native_registers *g) {
  struct user_regs_struct r;
  if (ptrace(PTRACE_GETREGS, process, NULL, &r) != 0) return -errno;
  const uint64_t *n = g->gpr;
  r.rax = n[0], r.rcx = n[1], r.rdx = n[2], r.rbx = n[3], r.rsp = n[4], r.rbp = n[5];
  r.rsi = n[6], r.rdi = n[7], r.r8 = n[8], r.r9 = n[9], r.r10 = n[10], r.r11 = n[11];
  r.r12 = n[12], r.r13 = n[13], r.r14 = n[14], r.r15 = n[15];
  r.rip = g->rip;
  r.eflags = g->rflags;
  return ptrace(PTRACE_SETREGS, process, NULL, &r) != 0 ? -errno : 0;
}

void native_kill(int process) {
  int status;
  kill(process, SIGKILL);
  while (waitpid(process, &status, __WALL) < 0 && errno == EINTR) {}
}

#else
#include <errno.h>
int native_is_supported(void) { return 0; }
int native_start(const char *path, char *const *arguments, char *const *environment) {
  (void)path, (void)arguments, (void)environment;
  return -ENOSYS;
}
enum native_stop native_step(int process, int signal, int *detail) {
  (void)process, (void)signal;
  *detail = ENOSYS;
  return NATIVE_LOST;
}
int native_read(int process, struct native_registers *general, struct native_vectors *vectors) {
  (void)process, (void)general, (void)vectors;
  return -ENOSYS;
}
int native_write(int process, const struct native_registers *general) {
  (void)process, (void)general;
  return -ENOSYS;
}
void native_kill(int process) { (void)process; }
#endif

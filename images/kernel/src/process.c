/* SPDX-License-Identifier: Apache-2.0 */
/* Life of a task. Linux, kernel/{fork,exit,signal}.c, fs/exec.c. */
#include "syscalls.h"

#define AT_FDCWD -100

void do_task_dead(void) __noreturn;

long copy_process(struct kernel_clone_args *args);
long do_execve(const char *filename, const char *const *argv, const char *const *envp);
long do_execveat(int fd, const char *filename, const char *const *argv, const char *const *envp, int flags);
long do_execveat_common(int fd, const char *filename, const char *const *argv, const char *const *envp, int flags);
long kernel_wait4(int upid, int *stat_addr, int options, struct rusage *ru);
long kernel_waitid(int which, int upid, struct siginfo *infop, int options, struct rusage *ru);
long do_tkill(int tgid, int pid, int sig);

/* The model takes tls before child_tidptr, whatever the system call's order is. */
noinline long copy_process(struct kernel_clone_args *args) {
  return MODEL_SYSCALL(clone, (long)args->flags, (long)args->stack, (long)args->parent_tid, (long)args->tls, (long)args->child_tid);
}
noinline long kernel_clone(struct kernel_clone_args *args) { return copy_process(args); }
/* The order of the last two differs (Linux, arch/Kconfig: CLONE_BACKWARDS). */
#ifdef CONFIG_CLONE_BACKWARDS
noinline long __do_sys_clone(unsigned long clone_flags, unsigned long newsp, int *parent_tidptr, unsigned long tls, int *child_tidptr) {
#else
noinline long __do_sys_clone(unsigned long clone_flags, unsigned long newsp, int *parent_tidptr, int *child_tidptr, unsigned long tls) {
#endif
  struct kernel_clone_args args = {
      .flags = clone_flags, .stack = newsp, .tls = tls, .parent_tid = parent_tidptr, .child_tid = child_tidptr};
  return kernel_clone(&args);
}

/* The model changes the frame, the root and the FP state; the value becomes the new program's a0. */
noinline long do_execveat_common(int fd, const char *filename, const char *const *argv, const char *const *envp, int flags) {
  if (fd == AT_FDCWD && flags == 0) return MODEL_SYSCALL(execve, (long)filename, (long)argv, (long)envp);
  return MODEL_SYSCALL(execveat, fd, (long)filename, (long)argv, (long)envp, flags);
}
noinline long do_execve(const char *filename, const char *const *argv, const char *const *envp) {
  return do_execveat_common(AT_FDCWD, filename, argv, envp, 0);
}
noinline long __do_sys_execve(const char *filename, const char *const *argv, const char *const *envp) {
  return do_execve(filename, argv, envp);
}
noinline long do_execveat(int fd, const char *filename, const char *const *argv, const char *const *envp, int flags) {
  return do_execveat_common(fd, filename, argv, envp, flags);
}
noinline long __do_sys_execveat(int fd, const char *filename, const char *const *argv, const char *const *envp, int flags) {
  return do_execveat(fd, filename, argv, envp, flags);
}

/* The last switch of a task. Its block and its root are in use until the next gate call after this SCHEDULE. */
noinline void do_task_dead(void) {
  __schedule();
  die(task_pt_regs(current)); /* a dead task was chosen */
}

/* code: a wait status (exit code << 8, or signal and 0x80 for a core). */
noinline void do_exit(long code) {
  gate_call(GATE_EXIT_TASK, code, 0, 0);
  do_task_dead();
}
noinline void do_group_exit(int code) { do_exit(code); }

/* The call itself goes to the model first, as every one: it counts it, and in a group begins the end of the other threads. */
noinline long __do_sys_exit(int error_code) {
  MODEL_SYSCALL(exit, error_code);
  do_exit((error_code & 0xff) << 8);
}
noinline long __do_sys_exit_group(int error_code) {
  MODEL_SYSCALL(exit_group, error_code);
  do_group_exit((error_code & 0xff) << 8);
}

noinline long kernel_wait4(int upid, int *stat_addr, int options, struct rusage *ru) {
  return MODEL_SYSCALL(wait4, upid, (long)stat_addr, options, (long)ru);
}
noinline long __do_sys_wait4(int upid, int *stat_addr, int options, struct rusage *ru) {
  return kernel_wait4(upid, stat_addr, options, ru);
}
noinline long kernel_waitid(int which, int upid, struct siginfo *infop, int options, struct rusage *ru) {
  return MODEL_SYSCALL(waitid, which, upid, (long)infop, options, (long)ru);
}
noinline long __do_sys_waitid(int which, int upid, struct siginfo *infop, int options, struct rusage *ru) {
  return kernel_waitid(which, upid, infop, options, ru);
}

noinline long do_tkill(int tgid, int pid, int sig) {
  if (tgid == 0) return MODEL_SYSCALL(tkill, pid, sig);
  return MODEL_SYSCALL(tgkill, tgid, pid, sig);
}
noinline long __do_sys_tkill(int pid, int sig) { return do_tkill(0, pid, sig); }
noinline long __do_sys_tgkill(int tgid, int pid, int sig) {
  /* 0 would mean tkill, and is refused either way. */
  if (tgid == 0) return MODEL_SYSCALL(tgkill, tgid, pid, sig);
  return do_tkill(tgid, pid, sig);
}

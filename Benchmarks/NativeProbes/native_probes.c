#define _GNU_SOURCE
#include "native_probes.h"
#include <errno.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

// CPU seconds, user and system, of this process and of children that it has waited for.
static double now(void) {
  double seconds = 0;
  int who[] = {RUSAGE_SELF, RUSAGE_CHILDREN};
  for (int i = 0; i < 2; i++) {
    struct rusage usage;
    getrusage(who[i], &usage);
    seconds += (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6;
    seconds += (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6;
  }
  return seconds;
}

// Its first instruction is a nop, which every peer steps over as it does any other.
__attribute__((noinline, used, aligned(64))) void native_probed(void) { __asm__ volatile("nop" ::: "memory"); }

double native_ptrace_hits(long count) {
#if defined(__x86_64__)
  pid_t child = fork();
  if (child < 0) return -1;
  if (child == 0) {
    if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0) _exit(1);
    raise(SIGSTOP);
    for (long i = 0; i < count; i++) native_probed();
    _exit(0);
  }
  int status;
  double seconds = -1;
  if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) goto out;
  void *at = (void *)native_probed;
  long text = ptrace(PTRACE_PEEKTEXT, child, at, 0);
  long patched = (text & ~0xffL) | 0xcc;
  if (ptrace(PTRACE_POKETEXT, child, at, patched) != 0) goto out;
  double start = now();
  long hits = 0;
  for (;;) {
    if (ptrace(PTRACE_CONT, child, 0, 0) != 0 || waitpid(child, &status, 0) != child) goto out;
    if (WIFEXITED(status)) break;
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP) goto out;
    hits++;
    struct user_regs_struct regs;
    if (ptrace(PTRACE_GETREGS, child, 0, &regs) != 0) goto out;
    regs.rip = (uintptr_t)at;
    if (ptrace(PTRACE_SETREGS, child, 0, &regs) != 0 || ptrace(PTRACE_POKETEXT, child, at, text) != 0 ||
        ptrace(PTRACE_SINGLESTEP, child, 0, 0) != 0 || waitpid(child, &status, 0) != child ||
        ptrace(PTRACE_POKETEXT, child, at, patched) != 0)
      goto out;
  }
  seconds = hits == count ? now() - start : -1;
  return seconds;
out:
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  return seconds;
#else
  (void)count;
  return -1;
#endif
}

// The file and the offset in it that an address was mapped from.
static int locate(uintptr_t address, char *path, size_t size, uint64_t *offset) {
  FILE *maps = fopen("/proc/self/maps", "r");
  if (!maps) return 0;
  char line[4096];
  int found = 0;
  while (!found && fgets(line, sizeof line, maps)) {
    unsigned long start, end, from;
    char name[4096] = "";
    if (sscanf(line, "%lx-%lx %*s %lx %*s %*s %4095s", &start, &end, &from, name) < 3) continue;
    if (address < start || address >= end) continue;
    snprintf(path, size, "%s", name);
    *offset = address - start + from;
    found = 1;
  }
  fclose(maps);
  return found;
}

double native_uprobe_hits(long count, int probed) {
  int event = -1;
  if (probed) {
    FILE *file = fopen("/sys/bus/event_source/devices/uprobe/type", "r");
    int type;
    if (!file) return -1;
    int read = fscanf(file, "%d", &type);
    fclose(file);
    char path[4096];
    uint64_t offset;
    if (read != 1 || !locate((uintptr_t)native_probed, path, sizeof path, &offset)) return -1;
    struct perf_event_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.size = sizeof attr;
    attr.type = (uint32_t)type;
    attr.config1 = (uint64_t)(uintptr_t)path;
    attr.config2 = offset;
    event = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if (event < 0) return -1;
  }
  double start = now();
  for (long i = 0; i < count; i++) native_probed();
  double seconds = now() - start;
  if (probed) {
    uint64_t hits = 0;
    if (read(event, &hits, sizeof hits) != sizeof hits || hits != (uint64_t)count) seconds = -1;
    close(event);
  }
  return seconds;
}

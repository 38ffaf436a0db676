// What of ptrace a register trace of a native program needs: Swift can't call variadic functions, nor
// fork.
#ifndef CPTRACE_H
#define CPTRACE_H
#include <stddef.h>
#include <stdint.h>

/// Registers of a stopped program, in the order in which the trace numbers them.
struct native_registers {
  uint64_t gpr[16];  // by their numbers: rax, rcx, rdx, rbx, rsp ...
  uint64_t rip, rflags, fsbase, gsbase;
  uint64_t cs, orig_rax;
};

/// x87, SSE and AVX registers: words as `X86TraceISA` names them.
struct native_vectors {
  uint64_t ymm[16][4];
  uint64_t mxcsr, fcw, fsw, ftw;  // ftw: two bits a register, 3 for empty, 0 else
  uint64_t fpr[8][2];             // by physical number
};

/// How a program stopped.
enum native_stop {
  NATIVE_STEPPED,
  NATIVE_SIGNAL,  // detail: the signal that is about to be delivered
  NATIVE_EXITED,  // detail: status
  NATIVE_KILLED,  // detail: signal
  NATIVE_THREAD,  // it starts a thread
  NATIVE_EXEC,    // it has executed another program
  NATIVE_LOST,    // detail: errno
  NATIVE_INTERRUPTED
};

/// Whether this host can do it at all.
int native_is_supported(void);
/// Starts a program stopped at its first instruction, with address-space randomisation off.
/// Returns its process, or -errno.
int native_start(const char *path, char *const *arguments, char *const *environment);
/// Executes one instruction, delivering `signal` (0: none) before it.
enum native_stop native_step(int process, int signal, int *detail);
/// Reads the registers. Returns 0 or -errno.
int native_read(int process, struct native_registers *general, struct native_vectors *vectors);
/// Writes the general registers. Returns 0 or -errno.
int native_write(int process, const struct native_registers *general);
/// Kills and reaps it.
void native_kill(int process);

/// Swift does not import large arrays.
static inline uint64_t *native_gpr(struct native_registers *r) { return r->gpr; }
static inline uint64_t *native_ymm(struct native_vectors *v) { return v->ymm[0]; }
static inline uint64_t *native_fpr(struct native_vectors *v) { return v->fpr[0]; }
#endif

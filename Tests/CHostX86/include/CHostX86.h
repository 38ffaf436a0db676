// The host's own processor as an oracle: executes single x86-64 instructions in a child process, one
// after another, each with a state of its own.
#ifndef CHOSTX86_H
#define CHOSTX86_H
#include <stddef.h>
#include <stdint.h>

/// Where the child's memory for instances lies: two pages of code; two pages of data and one that
/// may only be read, nothing before and behind.
#define HOSTX86_CODE 0x13570000ull
#define HOSTX86_CODE_SIZE 0x2000ull
#define HOSTX86_DATA 0x24680000ull
#define HOSTX86_DATA_SIZE 0x2000ull
#define HOSTX86_ALL_DATA_SIZE 0x3000ull
/// Lines of 64 bytes that one instruction may change.
#define HOSTX86_LINES 12
/// Instances in a batch.
#define HOSTX86_BATCH 4096

struct hostx86_state {
  uint64_t gpr[16];  // in the order of their numbers
  uint64_t rip, rflags, fsbase, gsbase;
  uint64_t ymm[16][4];
  uint64_t st[8][2];  // by stack position, as FXSAVE has them
  uint32_t mxcsr;
  uint16_t fcw, fsw, ftw /* abridged */, fop;
  uint64_t fip, fdp;
};

struct hostx86_instance {
  struct hostx86_state before;
  uint8_t code[16];
  uint32_t codeLength;
  // What came of it.
  struct hostx86_state after;
  uint32_t vector, errorCode;
  uint64_t cr2;
  uint32_t lines;  // changed lines of data, then restored
  uint32_t line[HOSTX86_LINES];
  uint8_t lineBytes[HOSTX86_LINES][64];
};

struct hostx86_batch {
  uint32_t count, done;
  uint8_t data[HOSTX86_ALL_DATA_SIZE];
  struct hostx86_instance instance[HOSTX86_BATCH];
};

/// Swift does not import large arrays.
static inline void *hostx86_data(struct hostx86_batch *batch) { return batch->data; }
static inline struct hostx86_instance *hostx86_at(struct hostx86_batch *batch, int index) {
  return &batch->instance[index];
}
static inline void *hostx86_line_bytes(struct hostx86_instance *one, int index) {
  return one->lineBytes[index];
}
static inline uint32_t hostx86_line(const struct hostx86_instance *one, int index) {
  return one->line[index];
}
static inline uint64_t *hostx86_ymm(struct hostx86_state *state) { return state->ymm[0]; }
static inline uint64_t *hostx86_st(struct hostx86_state *state) { return state->st[0]; }

/// What the data pages hold where instances are written down as vectors: all kinds of numbers.
static inline void hostx86_fill(void *data) {
  static const uint64_t kinds[8] = {0x3ff0000000000000, 0x7ff8000000000001, 0x0000000180000000,
                                    0xffffffff7fffffff, 0x3f800000bf800000, 0x7f80000000000001,
                                    0x8000000000000000, 0xc1e0000000200000};
  uint64_t *words = (uint64_t *)data;
  uint64_t state = 1;
  for (unsigned i = 0; i < HOSTX86_ALL_DATA_SIZE / 8; i++) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    words[i] = i % 3 == 0 ? kinds[state >> 61] : state ^ state >> 29;
  }
}

/// Starts the child. Returns 0, or -1 where this host is no x86-64 Linux or refuses.
int hostx86_start(void);
/// Memory shared with the child: two batches, so that one can be made while the other runs.
struct hostx86_batch *hostx86_batch(int which);
/// Lets the child run a batch.
int hostx86_begin(int which);
/// Waits for it. Returns 0, or -1 where the child died; `done` says at which instance.
int hostx86_wait(void);
/// Whether the child has memory at an address: besides the batch's there is what the process was started with.
int hostx86_has(uint64_t address);
void hostx86_stop(void);

/// A program that runs with debug registers set: at HOSTX86_CODE, ended by INT3.
struct hostx86_debug_run {
  uint8_t code[64];
  uint64_t codeLength;
  uint64_t dr[4], dr7;
  int steps;  // under TF
};
struct hostx86_debug_stop {
  uint64_t rip, dr6;
};
/// Runs it in a child with ptrace. Returns how many debug exceptions there were, at most `most`; -1
/// where the host does not let us.
int hostx86_debug(
    const struct hostx86_debug_run *run, struct hostx86_debug_stop *stops, int most);

/// libcapstone, loaded when first used. Returns the instruction's length, 0 where it knows none, -1
/// where there is no libcapstone.
int hostx86_disassemble(
    const uint8_t *bytes, size_t count, uint64_t address, char *mnemonic /* [32] */,
    char *operands /* [160] */);
#endif

// The host's floating point as an oracle: each call sets MXCSR, executes one instruction, reads
// MXCSR and restores it, all within one asm statement, so no compiler can move anything across.
//
// SeeAlso: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, section
// 'MXCSR Control and Status Register'.

#ifndef CHOSTFLOAT_H
#define CHOSTFLOAT_H

#include <stdbool.h>
#include <stdint.h>

#if defined(__x86_64__)

/// Result bits (integers extended to 64 bits as the instruction leaves them) and MXCSR's flags.
typedef struct {
  uint64_t bits;
  uint32_t flags;
} HostResult;

/// Whether fused multiply-add, and conversions to and from unsigned integers, can be asked for.
bool host_has_fma(void);
bool host_has_unsigned(void);

// `rc` is MXCSR's RC field: 0 nearest even, 1 down, 2 up, 3 toward zero.

HostResult host_add64(uint64_t a, uint64_t b, uint32_t rc);
HostResult host_sub64(uint64_t a, uint64_t b, uint32_t rc);
HostResult host_mul64(uint64_t a, uint64_t b, uint32_t rc);
HostResult host_div64(uint64_t a, uint64_t b, uint32_t rc);
HostResult host_sqrt64(uint64_t a, uint32_t rc);
HostResult host_fma64(uint64_t a, uint64_t b, uint64_t c, uint32_t rc);
HostResult host_eq64(uint64_t a, uint64_t b);
HostResult host_lt64(uint64_t a, uint64_t b);
HostResult host_le64(uint64_t a, uint64_t b);
HostResult host_toint64(uint64_t a, int width, bool is_signed, uint32_t rc);
HostResult host_fromint64(uint64_t value, int width, bool is_signed, uint32_t rc);
HostResult host_widen(uint64_t a, uint32_t rc);

HostResult host_add32(uint64_t a, uint64_t b, uint32_t rc);
HostResult host_sub32(uint64_t a, uint64_t b, uint32_t rc);
HostResult host_mul32(uint64_t a, uint64_t b, uint32_t rc);
HostResult host_div32(uint64_t a, uint64_t b, uint32_t rc);
HostResult host_sqrt32(uint64_t a, uint32_t rc);
HostResult host_fma32(uint64_t a, uint64_t b, uint64_t c, uint32_t rc);
HostResult host_eq32(uint64_t a, uint64_t b);
HostResult host_lt32(uint64_t a, uint64_t b);
HostResult host_le32(uint64_t a, uint64_t b);
HostResult host_toint32(uint64_t a, int width, bool is_signed, uint32_t rc);
HostResult host_fromint32(uint64_t value, int width, bool is_signed, uint32_t rc);
HostResult host_narrow(uint64_t a, uint32_t rc);

#endif
#endif

#include "CHostFloat.h"

#if defined(__x86_64__)

#include <string.h>

// Every exception masked, no flag set, denormals honoured.
#define MASKED 0x1f80u

static uint32_t control(uint32_t rc) { return MASKED | rc << 13; }

bool host_has_fma(void) { return __builtin_cpu_supports("fma"); }
bool host_has_unsigned(void) { return __builtin_cpu_supports("avx512f"); }

static double f64(uint64_t bits) {
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static float f32(uint64_t bits) {
  uint32_t low = (uint32_t)bits;
  float value;
  memcpy(&value, &low, sizeof value);
  return value;
}

static uint64_t u64(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static uint64_t u32(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

// One instruction under `rc`; `dest` is its destination, the other operands are inputs.
#define UNDER(rc, text, dest, ...)                                                      \
  uint32_t set = control(rc), got = 0;                                                  \
  const uint32_t usual = MASKED;                                                        \
  __asm__ volatile("ldmxcsr %[set]\n\t" text "\n\tstmxcsr %[got]\n\tldmxcsr %[usual]"   \
                   : [out] dest, [got] "=m"(got)                                        \
                   : [set] "m"(set), [usual] "m"(usual), __VA_ARGS__)
#define DONE(value) return (HostResult){(value), got & 0x3f}

#define BINARY(name, size, type, suffix)                                                \
  HostResult host_##name##size(uint64_t a, uint64_t b, uint32_t rc) {                   \
    type x = f##size(a), y = f##size(b);                                                \
    UNDER(rc, #name suffix " %[y], %[out]", "+x"(x), [y] "x"(y));                       \
    DONE(u##size(x));                                                                   \
  }
#define COMPARE(name, code, size, type, suffix)                                         \
  HostResult host_##name##size(uint64_t a, uint64_t b) {                                \
    type x = f##size(a), y = f##size(b);                                                \
    UNDER(0, "cmp" suffix " $" code ", %[y], %[out]", "+x"(x), [y] "x"(y));             \
    DONE(u##size(x) & 1);                                                               \
  }
#define TO(size, code, kind, part) \
  {                                                                                     \
    kind out = 0;                                                                       \
    UNDER(rc, code " %[x], %" part "[out]", "=r"(out), [x] "x"(x));                     \
    DONE((uint64_t)out);                                                                \
  }
#define FROM(size, type, code, kind, part) \
  {                                                                                     \
    type x = 0;                                                                         \
    kind v = (kind)value;                                                               \
    UNDER(rc, code, "+x"(x), [v] "r"(v));                                               \
    DONE(u##size(x));                                                                   \
  }

#define FORMAT(size, type, s)                                                           \
  BINARY(add, size, type, s)                                                            \
  BINARY(sub, size, type, s)                                                            \
  BINARY(mul, size, type, s)                                                            \
  BINARY(div, size, type, s)                                                            \
  COMPARE(eq, "0", size, type, s)                                                       \
  COMPARE(lt, "1", size, type, s)                                                       \
  COMPARE(le, "2", size, type, s)                                                       \
  HostResult host_sqrt##size(uint64_t a, uint32_t rc) {                                 \
    type x = 0, y = f##size(a);                                                         \
    UNDER(rc, "sqrt" s " %[y], %[out]", "+x"(x), [y] "x"(y));                           \
    DONE(u##size(x));                                                                   \
  }                                                                                     \
  HostResult host_fma##size(uint64_t a, uint64_t b, uint64_t c, uint32_t rc) {          \
    /* The first multiplicand, whose NaN wins, is the second operand of the 213 form. */ \
    type x = f##size(b), y = f##size(a), z = f##size(c);                                \
    UNDER(rc, "vfmadd213" s " %[z], %[y], %[out]", "+x"(x), [y] "x"(y), [z] "x"(z));    \
    DONE(u##size(x));                                                                   \
  }                                                                                     \
  HostResult host_toint##size(uint64_t a, int width, bool is_signed, uint32_t rc) {     \
    type x = f##size(a);                                                                \
    if (is_signed) {                                                                    \
      if (width == 32) TO(size, "cvt" s "2si", int32_t, "k")                            \
      TO(size, "cvt" s "2si", int64_t, "q")                                             \
    }                                                                                   \
    if (width == 32) TO(size, "vcvt" s "2usi", uint32_t, "k")                           \
    TO(size, "vcvt" s "2usi", uint64_t, "q")                                            \
  }                                                                                     \
  HostResult host_fromint##size(uint64_t value, int width, bool is_signed, uint32_t rc) { \
    if (is_signed) {                                                                    \
      if (width == 32) FROM(size, type, "cvtsi2" s "l %k[v], %[out]", int32_t, "k")     \
      FROM(size, type, "cvtsi2" s "q %q[v], %[out]", int64_t, "q")                      \
    }                                                                                   \
    if (width == 32)                                                                    \
      FROM(size, type, "vcvtusi2" s "l %k[v], %[out], %[out]", uint32_t, "k")           \
    FROM(size, type, "vcvtusi2" s "q %q[v], %[out], %[out]", uint64_t, "q")             \
  }

FORMAT(64, double, "sd")
FORMAT(32, float, "ss")

HostResult host_widen(uint64_t a, uint32_t rc) {
  double out = 0;
  UNDER(rc, "cvtss2sd %[x], %[out]", "+x"(out), [x] "x"(f32(a)));
  DONE(u64(out));
}

HostResult host_narrow(uint64_t a, uint32_t rc) {
  float out = 0;
  UNDER(rc, "cvtsd2ss %[x], %[out]", "+x"(out), [x] "x"(f64(a)));
  DONE(u32(out));
}

#endif

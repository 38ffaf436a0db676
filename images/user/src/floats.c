// SPDX-License-Identifier: Apache-2.0
// Floating point: printing, parsing, library functions as exact bits, rounding modes and exception flags.
#include "check.h"
#include <fenv.h>
#include <float.h>
#include <math.h>
#include <stdint.h>

#pragma STDC FENV_ACCESS ON

// Operands go through volatile memory so that the guest computes, not the compiler.
static volatile double vd[3];
static volatile float vf[3];

static uint64_t dbits(double d) { uint64_t u; memcpy(&u, &d, 8); return u; }
static uint32_t fbits(float f) { uint32_t u; memcpy(&u, &f, 4); return u; }

static void show(const char *name, double d) { printf("%-14s %016llx %.17g\n", name, (unsigned long long)dbits(d), d); }

static double op(char c, double a, double b) {
  vd[0] = a;
  vd[1] = b;
  switch (c) {
  case '+': vd[2] = vd[0] + vd[1]; break;
  case '-': vd[2] = vd[0] - vd[1]; break;
  case '*': vd[2] = vd[0] * vd[1]; break;
  case '/': vd[2] = vd[0] / vd[1]; break;
  case 's': vd[2] = sqrt(vd[0]); break;
  case 'f': vd[2] = (float)vd[0]; break;
  }
  return vd[2];
}

static const char *flags(void) {
  static char s[32];
  int f = fetestexcept(FE_ALL_EXCEPT);
  snprintf(s, sizeof s, "%s%s%s%s%s", f & FE_INVALID ? "V" : "", f & FE_DIVBYZERO ? "Z" : "", f & FE_OVERFLOW ? "O" : "", f & FE_UNDERFLOW ? "U" : "", f & FE_INEXACT ? "I" : "");
  feclearexcept(FE_ALL_EXCEPT);
  return *s ? s : "-";
}

static void formats(void) {
  static const double v[] = {0.0, -0.0, 1.0, -1.5, 0.1, 3.141592653589793, 1e10, 1e-10, 123456789.125, 1e100, 1.7976931348623157e308, 2.2250738585072014e-308, 4.9406564584124654e-324, INFINITY, -INFINITY};
  for (unsigned i = 0; i < sizeof v / sizeof *v; i++) {
    vd[0] = v[i];
    double d = vd[0];
    printf("%f|%.0f|%10.3f|%-12.4e|%+G|%#.3g|%a|%012.2f\n", fabs(d) > 1e20 && isfinite(d) ? 0.0 : d, fabs(d) > 1e20 && isfinite(d) ? 0.0 : d, fabs(d) > 1e20 && isfinite(d) ? 0.0 : d, d, d, d, d, fabs(d) > 1e20 && isfinite(d) ? 0.0 : d);
  }
  printf("%.40f\n%.1f %.1f %.1f %.1f\n", 0.1, 0.25, 0.35, 2.5, -0.05);
  printf("%f\n", DBL_MAX);
  printf("%Lf %.30Lg %La\n", 1.0L / 3.0L, 1.0L / 3.0L, 1.0L / 3.0L);
}

static void parsing(void) {
  static const char *const s[] = {"0", "-0", "1e1", ".5", "0x1.8p3", "1e400", "-1e400", "1e-400", "4.9e-324", "2.4703282292062327e-324", "2.4703282292062328e-324", "1.7976931348623159e308", "9007199254740993", "inf", "-Infinity", "nan", "12abc", "abc", "123456789012345678901234567890"};
  for (unsigned i = 0; i < sizeof s / sizeof *s; i++) {
    char *end;
    errno = 0;
    double d = strtod(s[i], &end);
    printf("strtod %-32s %016llx rest '%s' errno %d\n", s[i], isnan(d) ? 0x7ff8000000000000ull : (unsigned long long)dbits(d), end, errno == ERANGE ? 1 : errno);
  }
  float f = strtof("16777217", NULL);
  printf("strtof 16777217 %08x\n", fbits(f));
  printf("strtold 0.1 %.33Lg\n", strtold("0.1", NULL));
  feclearexcept(FE_ALL_EXCEPT);
}

static void functions(void) {
  static double (*const fn[])(double) = {sin, cos, tan, asin, acos, atan, sinh, cosh, tanh, exp, exp2, expm1, log, log2, log10, log1p, sqrt, cbrt, erf, tgamma, lgamma, floor, ceil, trunc, round, rint, nearbyint, fabs};
  static const char *const name[] = {"sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "cbrt", "erf", "tgamma", "lgamma", "floor", "ceil", "trunc", "round", "rint", "nearbyint", "fabs"};
  for (unsigned i = 0; i < sizeof fn / sizeof *fn; i++) {
    vd[0] = 0.7;
    printf("%-10s %016llx", name[i], (unsigned long long)dbits(fn[i](vd[0])));
    vd[0] = 0.25;
    printf(" %016llx", (unsigned long long)dbits(fn[i](vd[0])));
    vd[0] = i >= 3 && i <= 4 ? -0.5 : 2.5;
    printf(" %016llx\n", (unsigned long long)dbits(fn[i](vd[0])));
  }
  show("pow 2 0.5", pow(op('+', 2, 0), 0.5));
  show("pow 1.0001 1e4", pow(op('+', 1.0001, 0), 1e4));
  show("atan2 1 -1", atan2(op('+', 1, 0), -1));
  show("hypot 3 4", hypot(op('+', 3, 0), 4));
  show("fmod 10 3.3", fmod(op('+', 10, 0), 3.3));
  show("remainder", remainder(op('+', 10, 0), 3.3));
  show("fma", fma(op('+', 1.0000000000000002, 0), 1.0000000000000002, -1.0000000000000004));
  show("fmin nan", fmin(op('+', NAN, 0), 2));
  show("fmax -0 0", fmax(op('+', -0.0, -0.0), 0));
  show("copysign", copysign(op('+', 3, 0), -0.0));
  show("nextafter", nextafter(op('+', 1, 0), 2));
  show("ldexp", ldexp(op('+', 1, 0), -1074));
  show("scalbn", scalbn(op('+', 1.5, 0), 1000));
  int e;
  double m = frexp(op('+', 1e300, 0), &e), ip;
  printf("frexp %016llx %d\n", (unsigned long long)dbits(m), e);
  m = modf(op('+', -3.75, 0), &ip);
  printf("modf %g %g\n", m, ip);
  printf("lrint %ld %ld %ld lround %ld %ld\n", lrint(op('+', 2.5, 0)), lrint(op('+', 3.5, 0)), lrint(op('+', -2.5, 0)), lround(op('+', 2.5, 0)), lround(op('+', -2.5, 0)));
  vf[0] = 0.7f;
  printf("sinf %08x expf %08x logf %08x sqrtf %08x powf %08x fmaf %08x\n", fbits(sinf(vf[0])), fbits(expf(vf[0])), fbits(logf(vf[0])), fbits(sqrtf(vf[0])), fbits(powf(vf[0], 3.3f)), fbits(fmaf(vf[0], vf[0], -0.49f)));
  feclearexcept(FE_ALL_EXCEPT);
}

static void rounding(void) {
  static const int mode[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
  static const char *const name[] = {"nearest", "zero", "down", "up"};
  static const double pair[][2] = {{1, 3}, {-1, 3}, {0.1, 0.2}, {1e308, 10}, {-1e308, 10}, {1e-308, 1e10}, {-1e-308, 1e10}, {1, 1e-300}};
  for (int k = 0; k < 4; k++) {
    CHECK_EQ("fesetround", fesetround(mode[k]), 0);
    CHECK_EQ("fegetround", fegetround(), mode[k]);
    for (unsigned i = 0; i < sizeof pair / sizeof *pair; i++)
      for (const char *c = "+-*/"; *c; c++) {
        feclearexcept(FE_ALL_EXCEPT);
        double r = op(*c, pair[i][0], pair[i][1]);
        printf("%s %016llx %s\n", name[k], (unsigned long long)dbits(r), flags());
      }
    double r = op('s', 2, 0);
    printf("%s sqrt %016llx %s\n", name[k], (unsigned long long)dbits(r), flags());
    r = op('f', 0.1, 0);
    printf("%s narrow %016llx %s\n", name[k], (unsigned long long)dbits(r), flags());
    r = rint(op('+', 2.5, 0));
    printf("%s rint %g %g %s\n", name[k], r, rint(op('+', -2.5, 0)), flags());
    printf("%s lrint %ld %ld\n", name[k], lrint(op('+', 2.7, 0)), lrint(op('+', -2.7, 0)));
    feclearexcept(FE_ALL_EXCEPT);
  }
  fesetround(FE_TONEAREST);
}

static void exceptions(void) {
  feclearexcept(FE_ALL_EXCEPT);
  printf("flags none %s\n", flags());
  op('/', 1, 0);
  printf("flags 1/0 %s\n", flags());
  int n = isnan(op('/', 0, 0));
  printf("flags 0/0 %d %s\n", n, flags());
  n = isnan(op('s', -1, 0));
  printf("flags sqrt(-1) %d %s\n", n, flags());
  n = isnan(op('-', INFINITY, INFINITY));
  printf("flags inf-inf %d %s\n", n, flags());
  n = isnan(op('*', INFINITY, 0));
  printf("flags inf*0 %d %s\n", n, flags());
  op('*', 1e200, 1e200);
  printf("flags overflow %s\n", flags());
  op('*', 1e-200, 1e-200);
  printf("flags underflow %s\n", flags());
  op('*', DBL_MIN, 0.5);
  printf("flags exact subnormal %s\n", flags());
  op('+', 1, 2);
  printf("flags exact %s\n", flags());
  feraiseexcept(FE_OVERFLOW | FE_INEXACT);
  printf("flags raised %s\n", flags());
  fenv_t env;
  feraiseexcept(FE_DIVBYZERO);
  feholdexcept(&env);
  printf("flags held %s\n", flags());
  op('/', 1, 3);
  feupdateenv(&env);
  printf("flags updated %s\n", flags());
  // Ordered comparisons signal on any NaN, equality only on a signalling one.
  vd[0] = NAN;
  vd[1] = 1;
  n = vd[0] < vd[1];
  printf("nan < 1 %d %s\n", n, flags());
  n = vd[0] == vd[1];
  printf("nan == 1 %d %s\n", n, flags());
  n = isunordered(vd[0], vd[1]);
  printf("unordered %d %s\n", n, flags());
  printf("classes %d %d %d %d %d\n", fpclassify(op('+', 0, 0)) == FP_ZERO, fpclassify(op('*', DBL_MIN, 0.5)) == FP_SUBNORMAL, fpclassify(op('+', 1, 0)) == FP_NORMAL, fpclassify(op('/', 1, 0)) == FP_INFINITE, fpclassify(op('/', 0, 0)) == FP_NAN);
  feclearexcept(FE_ALL_EXCEPT);
}

#ifdef __riscv
// What C leaves undefined and RISC-V defines: saturating conversions, canonical NaNs, NaN boxing, fclass.
static void riscv(void) {
  static const double v[] = {0, 1.5, -1.5, 2.5, 2147483647.5, 2147483648.0, -2147483649.0, 9.3e18, 1.9e19, -1.0, INFINITY, -INFINITY, NAN};
  for (unsigned i = 0; i < sizeof v / sizeof *v; i++) {
    double d = (vd[0] = v[i]);
    long w, wu, l, lu, cls;
    feclearexcept(FE_ALL_EXCEPT);
    __asm__ volatile("fcvt.w.d %0, %1, rne" : "=r"(w) : "f"(d));
    char a[8], b[8], c[8];
    strcpy(a, flags());
    __asm__ volatile("fcvt.wu.d %0, %1, rtz" : "=r"(wu) : "f"(d));
    strcpy(b, flags());
    __asm__ volatile("fcvt.l.d %0, %1, rdn" : "=r"(l) : "f"(d));
    strcpy(c, flags());
    __asm__ volatile("fcvt.lu.d %0, %1, rup" : "=r"(lu) : "f"(d));
    __asm__ volatile("fclass.d %0, %1" : "=r"(cls) : "f"(d));
    printf("cvt %g: w %lx %s wu %lx %s l %lx %s lu %lx %s class %lx\n", d, w, a, wu, b, l, c, lu, flags(), cls);
  }
  uint64_t snan = 0x7ff4000000000123ull, r;
  __asm__ volatile("fmv.d.x ft0, %1\n\tfadd.d ft1, ft0, ft0\n\tfmv.x.d %0, ft1" : "=r"(r) : "r"(snan) : "ft0", "ft1");
  printf("snan + snan %016llx %s\n", (unsigned long long)r, flags());
  __asm__ volatile("fmv.d.x ft0, %1\n\tfmin.d ft1, ft0, ft0\n\tfmv.x.d %0, ft1" : "=r"(r) : "r"(snan) : "ft0", "ft1");
  printf("fmin(snan, snan) %016llx %s\n", (unsigned long long)r, flags());
  __asm__ volatile("fmv.d.x ft0, %1\n\tfsgnjn.d ft1, ft0, ft0\n\tfmv.x.d %0, ft1" : "=r"(r) : "r"(snan) : "ft0", "ft1");
  printf("fsgnjn keeps the payload %016llx %s\n", (unsigned long long)r, flags());
  __asm__ volatile("fmv.d.x ft0, %1\n\tfadd.s ft1, ft0, ft0\n\tfmv.x.d %0, ft1" : "=r"(r) : "r"(0x3f800000ull) : "ft0", "ft1");
  printf("unboxed single %016llx %s\n", (unsigned long long)r, flags());
  __asm__ volatile("fmv.w.x ft0, %1\n\tfmv.x.d %0, ft0" : "=r"(r) : "r"(0x3f800000ull) : "ft0");
  printf("boxed single %016llx\n", (unsigned long long)r);
  __asm__ volatile("fmv.w.x ft0, %1\n\tfmv.x.w %0, ft0" : "=r"(r) : "r"(0xbf800000ull) : "ft0");
  printf("fmv.x.w extends the sign %016llx\n", (unsigned long long)r);
  unsigned long csr;
  __asm__ volatile("csrrwi %0, fflags, 0x15\n\tcsrr %0, fcsr\n\tfsrmi 1\n\tcsrr %0, fcsr" : "=r"(csr));
  printf("fcsr %02lx\n", csr);
  __asm__ volatile("csrwi fcsr, 0");
}
#endif

int main(void) {
  formats();
  parsing();
  functions();
  rounding();
  exceptions();
#ifdef __riscv
  riscv();
#endif
  return check_done("floats");
}

// SPDX-License-Identifier: Apache-2.0
// Atomic operations of every width, alone and from four threads; on RISC-V also the instructions themselves.
#include "check.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

// One function per width: result and old value of each operation, at operands that overflow and change sign.
#define WIDTH(name, T, fmt)                                                                                          \
  static void name(void) {                                                                                           \
    static const T v[] = {0, 1, (T)-1, (T)((T)1 << (sizeof(T) * 8 - 1)), (T)0x5a5aa5a5c3c33c3c};                      \
    for (unsigned i = 0; i < 5; i++)                                                                                 \
      for (unsigned k = 0; k < 5; k++) {                                                                             \
        _Atomic T a = v[i];                                                                                          \
        T o1 = atomic_fetch_add(&a, v[k]), o2 = atomic_fetch_sub(&a, (T)3), o3 = atomic_fetch_or(&a, v[k]),           \
          o4 = atomic_fetch_and(&a, (T)0x77777777), o5 = atomic_fetch_xor(&a, v[i]), o6 = atomic_exchange(&a, v[k]);  \
        T want = v[k];                                                                                               \
        int ok = atomic_compare_exchange_strong(&a, &want, v[i]);                                                     \
        T wrong = (T)(v[i] + 1);                                                                                     \
        int no = atomic_compare_exchange_strong(&a, &wrong, v[k]);                                                    \
        printf(#name " " fmt " " fmt " " fmt " " fmt " " fmt " " fmt " %d %d " fmt " " fmt "\n", o1, o2, o3, o4, o5, o6, ok, no, wrong, (T)atomic_load(&a)); \
      }                                                                                                              \
  }
WIDTH(u8, uint8_t, "%02x")
WIDTH(u16, uint16_t, "%04x")
WIDTH(u32, uint32_t, "%08x")
WIDTH(u64, uint64_t, "%016lx")

enum { N = 4, ROUNDS = 5000 };
// Bytes and halves next to each other: a sub-word operation that writes its neighbours loses counts.
static struct { _Atomic uint8_t b[8]; _Atomic uint16_t h[4]; _Atomic uint32_t w[2]; _Atomic uint64_t d; } all;
static _Atomic uint64_t cas;
static atomic_flag flag = ATOMIC_FLAG_INIT;
static uint64_t guarded;
static void *work(void *p) {
  unsigned id = (unsigned)(uintptr_t)p;
  for (int i = 0; i < ROUNDS; i++) {
    atomic_fetch_add(&all.b[id], 1);
    atomic_fetch_add(&all.b[4 + id], 3);
    atomic_fetch_add(&all.h[id], 7);
    atomic_fetch_add_explicit(&all.w[id & 1], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&all.d, id, memory_order_acq_rel);
    uint64_t o = atomic_load(&cas);
    while (!atomic_compare_exchange_weak(&cas, &o, o + 2)) ;
    while (atomic_flag_test_and_set_explicit(&flag, memory_order_acquire)) ;
    guarded++;
    atomic_flag_clear_explicit(&flag, memory_order_release);
  }
  return NULL;
}

#ifdef __riscv
#define AMO(op, T) do { T m = (T)0x8000000080000001; uint64_t old; __asm__ volatile(op " %0, %2, %1" : "=r"(old), "+A"(m) : "r"(0x7fffffff12345678) : "memory"); printf("%-11s old %016lx now %016lx\n", op, old, (uint64_t)m); } while (0)
static _Atomic uint64_t reserved;
static void *lrsc(void *p) {
  (void)p;
  for (int i = 0; i < ROUNDS; i++) {
    uint64_t t, f;
    __asm__ volatile("1: lr.d.aq %0, %2\n\taddi %0, %0, 1\n\tsc.d.rl %1, %0, %2\n\tbnez %1, 1b" : "=&r"(t), "=&r"(f), "+A"(reserved) : : "memory");
  }
  return NULL;
}
static void riscv(void) {
  AMO("amoswap.w", uint32_t); AMO("amoadd.w", uint32_t); AMO("amoxor.w", uint32_t); AMO("amoand.w", uint32_t); AMO("amoor.w", uint32_t);
  AMO("amomin.w", uint32_t); AMO("amomax.w", uint32_t); AMO("amominu.w", uint32_t); AMO("amomaxu.w", uint32_t);
  AMO("amoswap.d", uint64_t); AMO("amoadd.d", uint64_t); AMO("amoxor.d", uint64_t); AMO("amoand.d", uint64_t); AMO("amoor.d", uint64_t);
  AMO("amomin.d", uint64_t); AMO("amomax.d", uint64_t); AMO("amominu.d", uint64_t); AMO("amomaxu.d", uint64_t);
  uint64_t f;
  uint32_t m = 5;
  // An sc without its lr fails; one after another sc fails too, since any sc drops the reservation.
  __asm__ volatile("lr.w t0, (%1)\n\tsc.w t1, zero, (%1)\n\tsc.w %0, zero, (%1)" : "=&r"(f) : "r"(&m) : "t0", "t1", "memory");
  CHECK("sc without a reservation fails", f != 0);
  uint64_t w;
  m = 0x80000000;
  __asm__ volatile("lr.w %0, (%1)\n\tsc.w t1, %0, (%1)" : "=&r"(w) : "r"(&m) : "t1", "memory");
  CHECK_EQ("lr.w extends the sign", w, (int64_t)0xffffffff80000000);
  pthread_t t[N];
  for (int i = 0; i < N; i++) pthread_create(&t[i], NULL, lrsc, NULL);
  for (int i = 0; i < N; i++) pthread_join(t[i], NULL);
  CHECK_EQ("lr/sc from four threads", reserved, N * ROUNDS);
}
#endif

int main(void) {
  u8();
  u16();
  u32();
  u64();
  pthread_t t[N];
  for (uintptr_t i = 0; i < N; i++) pthread_create(&t[i], NULL, work, (void *)i);
  for (int i = 0; i < N; i++) pthread_join(t[i], NULL);
  int ok = 1;
  for (int i = 0; i < N; i++) ok &= all.b[i] == (uint8_t)ROUNDS && all.b[4 + i] == (uint8_t)(3 * ROUNDS) && all.h[i] == (uint16_t)(7 * ROUNDS);
  CHECK("bytes and halves side by side", ok);
  CHECK("words and doublewords", all.w[0] == 2 * ROUNDS && all.w[1] == 2 * ROUNDS && all.d == 6 * ROUNDS);
  CHECK("compare and exchange", cas == 2 * N * ROUNDS);
  CHECK("a flag as a lock", guarded == N * ROUNDS);
#ifdef __riscv
  riscv();
#endif
  return check_done("atomics");
}

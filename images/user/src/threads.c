// SPDX-License-Identifier: Apache-2.0
// POSIX threads. Every line is a sum or a fact that no schedule can change.
#include "check.h"
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

enum { N = 4 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long plain;
static atomic_long shared;
static __thread long local = 7;
static __thread char big_local[1000];

static void *count(void *p) {
  long rounds = (long)(intptr_t)p;
  for (long i = 0; i < rounds; i++) {
    pthread_mutex_lock(&lock);
    plain++;
    pthread_mutex_unlock(&lock);
    atomic_fetch_add(&shared, 3);
    local++;
  }
  memset(big_local, (int)rounds, sizeof big_local);
  return (void *)(intptr_t)local;
}

static void counters(void) {
  pthread_t t[N];
  long sum = 0;
  for (long i = 0; i < N; i++) pthread_create(&t[i], NULL, count, (void *)(intptr_t)(2000 + i));
  for (int i = 0; i < N; i++) { void *r; pthread_join(t[i], &r); sum += (long)(intptr_t)r; }
  CHECK_EQ("mutex counter", plain, 4 * 2000 + 6);
  CHECK_EQ("atomic counter", shared, 3 * (4 * 2000 + 6));
  CHECK_EQ("thread locals start at their initial value", sum, 4 * 7 + 4 * 2000 + 6);
  CHECK("the main thread's locals untouched", local == 7 && big_local[999] == 0);
}

// A bounded buffer: two producers, two consumers, both conditions in use.
static struct { int item[8]; unsigned head, tail, count; pthread_mutex_t m; pthread_cond_t full, empty; } q = {.m = PTHREAD_MUTEX_INITIALIZER, .full = PTHREAD_COND_INITIALIZER, .empty = PTHREAD_COND_INITIALIZER};
static void put(int v) {
  pthread_mutex_lock(&q.m);
  while (q.count == 8) pthread_cond_wait(&q.empty, &q.m);
  q.item[q.head++ % 8] = v;
  q.count++;
  pthread_cond_signal(&q.full);
  pthread_mutex_unlock(&q.m);
}
static int get(void) {
  pthread_mutex_lock(&q.m);
  while (q.count == 0) pthread_cond_wait(&q.full, &q.m);
  int v = q.item[q.tail++ % 8];
  q.count--;
  pthread_cond_signal(&q.empty);
  pthread_mutex_unlock(&q.m);
  return v;
}
static void *producer(void *p) { for (int i = 1; i <= 1000; i++) put(i * (int)(intptr_t)p); return NULL; }
static void *consumer(void *p) { (void)p; long s = 0; for (int v; (v = get()) != 0;) s += v; return (void *)(intptr_t)s; }
static void bounded_buffer(void) {
  pthread_t t[4];
  void *a, *b;
  pthread_create(&t[0], NULL, consumer, NULL);
  pthread_create(&t[1], NULL, consumer, NULL);
  pthread_create(&t[2], NULL, producer, (void *)1);
  pthread_create(&t[3], NULL, producer, (void *)2);
  pthread_join(t[2], NULL);
  pthread_join(t[3], NULL);
  put(0);
  put(0);
  pthread_join(t[0], &a);
  pthread_join(t[1], &b);
  CHECK_EQ("producer and consumer", (long)(intptr_t)a + (long)(intptr_t)b, 3 * 500500);
}

static pthread_barrier_t barrier;
static atomic_int phase[20], serial, early;
static void *phases(void *p) {
  (void)p;
  for (int k = 0; k < 20; k++) {
    atomic_fetch_add(&phase[k], 1);
    if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD) atomic_fetch_add(&serial, 1);
    if (atomic_load(&phase[k]) != N) atomic_fetch_add(&early, 1);
  }
  return NULL;
}
static void barriers(void) {
  pthread_t t[N];
  pthread_barrier_init(&barrier, NULL, N);
  for (int i = 0; i < N; i++) pthread_create(&t[i], NULL, phases, NULL);
  for (int i = 0; i < N; i++) pthread_join(t[i], NULL);
  pthread_barrier_destroy(&barrier);
  CHECK_EQ("nobody passed a barrier early", early, 0);
  CHECK_EQ("one serial thread a round", serial, 20);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_int once_runs, destroyed, cleaned;
static pthread_key_t key;
static void run_once(void) { once_runs++; }
static void destroy(void *p) { destroyed += (int)(intptr_t)p; }
static void clean(void *p) { cleaned += (int)(intptr_t)p; }
static void *keyed(void *p) { pthread_once(&once, run_once); pthread_setspecific(key, p); return pthread_getspecific(key); }
static void *cancelled(void *p) {
  pthread_cleanup_push(clean, (void *)5);
  for (;;) { sem_post(p); struct timespec t = {0, 1000000}; nanosleep(&t, NULL); }
  pthread_cleanup_pop(0);
  return NULL;
}
static void *leaves(void *p) { pthread_exit(p); }

static sem_t detached_done;
static void *detached(void *p) { (void)p; sem_post(&detached_done); return NULL; }

static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static long ra, rb;
static atomic_int torn;
static void *reader(void *p) { (void)p; for (int i = 0; i < 500; i++) { pthread_rwlock_rdlock(&rw); if (ra != rb) torn++; pthread_rwlock_unlock(&rw); } return NULL; }
static void *writer(void *p) { (void)p; for (int i = 0; i < 500; i++) { pthread_rwlock_wrlock(&rw); ra++; rb++; pthread_rwlock_unlock(&rw); } return NULL; }

static pthread_spinlock_t spin;
static long spun;
static void *spinner(void *p) { (void)p; for (int i = 0; i < 1000; i++) { pthread_spin_lock(&spin); spun++; pthread_spin_unlock(&spin); } return NULL; }

static void *locks_and_dies(void *p) { pthread_mutex_lock(p); return NULL; }

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);  // a hang shows the last line reached
  counters();
  bounded_buffer();
  barriers();
  pthread_t t[N];
  void *r;

  pthread_key_create(&key, destroy);
  for (long i = 0; i < N; i++) pthread_create(&t[i], NULL, keyed, (void *)(i + 1));
  long sum = 0;
  for (int i = 0; i < N; i++) { pthread_join(t[i], &r); sum += (long)(intptr_t)r; }
  CHECK("once and keys", once_runs == 1 && sum == 10 && destroyed == 10);

  sem_t started;
  sem_init(&started, 0, 0);
  pthread_create(&t[0], NULL, cancelled, &started);
  sem_wait(&started);
  pthread_cancel(t[0]);
  pthread_join(t[0], &r);
  CHECK("cancel runs the cleanup handler", r == PTHREAD_CANCELED && cleaned == 5);
  pthread_create(&t[0], NULL, leaves, (void *)77);
  pthread_join(t[0], &r);
  CHECK_EQ("pthread_exit", (long)(intptr_t)r, 77);

  sem_init(&detached_done, 0, 0);
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attr, 65536);
  for (int i = 0; i < 8; i++) pthread_create(&t[0], &attr, detached, NULL);
  for (int i = 0; i < 8; i++) sem_wait(&detached_done);
  CHECK("8 detached threads finished", 1);

  pthread_create(&t[0], NULL, reader, NULL);
  pthread_create(&t[1], NULL, writer, NULL);
  pthread_create(&t[2], NULL, reader, NULL);
  pthread_create(&t[3], NULL, writer, NULL);
  for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
  CHECK("readers and writers", torn == 0 && ra == 1000 && rb == 1000);

  pthread_spin_init(&spin, 0);
  for (int i = 0; i < N; i++) pthread_create(&t[i], NULL, spinner, NULL);
  for (int i = 0; i < N; i++) pthread_join(t[i], NULL);
  CHECK_EQ("spin lock", spun, 4000);

  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_nsec += 5000000;
  if (until.tv_nsec >= 1000000000) { until.tv_nsec -= 1000000000; until.tv_sec++; }
  pthread_mutex_lock(&q.m);
  int e;
  do e = pthread_cond_timedwait(&q.full, &q.m, &until); while (e == 0);
  pthread_mutex_unlock(&q.m);
  CHECK_EQ("timed wait", e, ETIMEDOUT);
  pthread_mutex_lock(&lock);
  CHECK_EQ("trylock of a held mutex", pthread_mutex_trylock(&lock), EBUSY);
  pthread_mutex_unlock(&lock);

  pthread_mutexattr_t ma;
  pthread_mutexattr_init(&ma);
  pthread_mutexattr_settype(&ma, PTHREAD_MUTEX_RECURSIVE);
  pthread_mutex_t m;
  pthread_mutex_init(&m, &ma);
  CHECK("recursive mutex", !pthread_mutex_lock(&m) && !pthread_mutex_lock(&m) && !pthread_mutex_unlock(&m) && !pthread_mutex_unlock(&m));
  pthread_mutexattr_settype(&ma, PTHREAD_MUTEX_ERRORCHECK);
  pthread_mutex_init(&m, &ma);
  pthread_mutex_lock(&m);
  CHECK_EQ("error-checking mutex", pthread_mutex_lock(&m), EDEADLK);
  pthread_mutex_unlock(&m);
  // A robust mutex is released by the kernel when its owner dies (the robust futex list).
  pthread_mutexattr_settype(&ma, PTHREAD_MUTEX_NORMAL);
  e = pthread_mutexattr_setrobust(&ma, PTHREAD_MUTEX_ROBUST);  // libc asks the kernel by get_robust_list
  if (e == 0 && pthread_mutex_init(&m, &ma) == 0) {
    pthread_create(&t[0], NULL, locks_and_dies, &m);
    pthread_join(t[0], NULL);
    e = pthread_mutex_lock(&m);
  }
  CHECK_EQ("robust mutex", e, EOWNERDEAD);
  int wrong = 0;
  for (int i = 0; i < 64; i++) {
    pthread_create(&t[0], NULL, leaves, (void *)(intptr_t)i);
    pthread_join(t[0], &r);
    wrong += (long)(intptr_t)r != i;
  }
  CHECK_EQ("64 threads one after another", wrong, 0);
  return check_done("threads");
}

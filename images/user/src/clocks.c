// SPDX-License-Identifier: Apache-2.0
// Time: facts about clocks, never their values.
#include "check.h"
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>
#include <time.h>
#include <unistd.h>

static long long ns(clockid_t c) { struct timespec t; return clock_gettime(c, &t) ? -1 : t.tv_sec * 1000000000ll + t.tv_nsec; }

int main(void) {
  long long last = ns(CLOCK_MONOTONIC), first = last;
  int back = 0;
  for (int i = 0; i < 20000; i++) { long long t = ns(CLOCK_MONOTONIC); back += t < last; last = t; }
  CHECK_EQ("monotonic never goes back", back, 0);
  CHECK("and moves", last > first);
  struct timespec t = {0, 5000000};
  long long a = ns(CLOCK_MONOTONIC);
  CHECK_EQ("nanosleep", nanosleep(&t, NULL), 0);
  CHECK("sleeps at least that long", ns(CLOCK_MONOTONIC) - a >= 5000000);
  clock_gettime(CLOCK_MONOTONIC, &t);
  t.tv_nsec += 3000000;
  if (t.tv_nsec >= 1000000000) { t.tv_nsec -= 1000000000; t.tv_sec++; }
  CHECK_EQ("clock_nanosleep until", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL), 0);
  CHECK("has reached it", ns(CLOCK_MONOTONIC) >= t.tv_sec * 1000000000ll + t.tv_nsec);
  t.tv_nsec = 1000000000;
  CHECK_ERRNO("a bad nanosecond count", nanosleep(&t, NULL), EINVAL);
  CHECK_ERRNO("a bad clock", clock_gettime(99, &t), EINVAL);
  CHECK("resolution", clock_getres(CLOCK_MONOTONIC, &t) == 0 && t.tv_sec == 0 && t.tv_nsec >= 1);
  struct timeval tv;
  long long real = ns(CLOCK_REALTIME);
  CHECK("gettimeofday agrees with the real clock", gettimeofday(&tv, NULL) == 0 && tv.tv_usec < 1000000 && llabs(tv.tv_sec - real / 1000000000) <= 2);
  CHECK("time agrees", llabs(time(NULL) - real / 1000000000) <= 2);
  CHECK("the real clock is after 2020", real / 1000000000 > 1577836800);
  CHECK("boot time is not before monotonic", ns(CLOCK_BOOTTIME) >= first);

  long long cpu = ns(CLOCK_PROCESS_CPUTIME_ID), thread = ns(CLOCK_THREAD_CPUTIME_ID);
  struct tms before, after;
  clock_t w = times(&before);
  volatile unsigned long x = 1;
  for (int i = 0; i < 3000000; i++) x = x * 3 + 1;
  CHECK("processor time grows with work", ns(CLOCK_PROCESS_CPUTIME_ID) > cpu && ns(CLOCK_THREAD_CPUTIME_ID) > thread);
  CHECK("times", times(&after) >= w && after.tms_utime >= before.tms_utime && after.tms_cutime == 0);
  struct rusage ru;
  CHECK("getrusage", getrusage(RUSAGE_SELF, &ru) == 0 && ru.ru_utime.tv_sec >= 0 && ru.ru_utime.tv_usec < 1000000 && ru.ru_maxrss > 0);
  CHECK_ERRNO("getrusage of nobody", getrusage(12345, &ru), EINVAL);
  cpu = ns(CLOCK_PROCESS_CPUTIME_ID);
  t = (struct timespec){0, 30000000};
  nanosleep(&t, NULL);
  CHECK("sleeping costs less processor time than it lasts", ns(CLOCK_PROCESS_CPUTIME_ID) - cpu < 30000000);

  // Calendar arithmetic is libc's own; it needs no time-zone file for UTC.
  time_t fixed = 1234567890;
  struct tm tm;
  char s[64];
  gmtime_r(&fixed, &tm);
  strftime(s, sizeof s, "%Y-%m-%d %H:%M:%S %A %j", &tm);
  puts(s);
  CHECK_EQ("timegm", timegm(&tm), fixed);

  timer_t id;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, NULL);
  struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value = {.sival_int = 31}};
  struct itimerspec its = {.it_value = {0, 2000000}};
  siginfo_t si;
  CHECK("timer_create", timer_create(CLOCK_MONOTONIC, &ev, &id) == 0 && timer_settime(id, 0, &its, NULL) == 0);
  CHECK("its signal: SI_TIMER with a value", sigwaitinfo(&set, &si) == SIGUSR1 && si.si_code == SI_TIMER && si.si_value.sival_int == 31);
  CHECK_EQ("timer_delete", timer_delete(id), 0);
  return check_done("clocks");
}

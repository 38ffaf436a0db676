/* SPDX-License-Identifier: Apache-2.0 */
/* Sleeping. Linux, kernel/time/{hrtimer,posix-timers}.c. */
#include "syscalls.h"

#define CLOCK_MONOTONIC 1
#define HRTIMER_MODE_REL 1

long hrtimer_nanosleep(struct timespec *rqtp, struct timespec *rmtp, int mode, int clockid);
long common_nsleep(int which_clock, int flags, const struct timespec *rqtp, struct timespec *rmtp);

/* Deviation: times are in user memory, where the model reads them; Linux's function takes a ktime_t. */
noinline long hrtimer_nanosleep(struct timespec *rqtp, struct timespec *rmtp, int mode, int clockid) {
  (void)mode;
  (void)clockid;
  return MODEL_SYSCALL(nanosleep, (long)rqtp, (long)rmtp);
}
noinline long __do_sys_nanosleep(struct timespec *rqtp, struct timespec *rmtp) {
  return hrtimer_nanosleep(rqtp, rmtp, HRTIMER_MODE_REL, CLOCK_MONOTONIC);
}

noinline long common_nsleep(int which_clock, int flags, const struct timespec *rqtp, struct timespec *rmtp) {
  return MODEL_SYSCALL(clock_nanosleep, which_clock, flags, (long)rqtp, (long)rmtp);
}
noinline long __do_sys_clock_nanosleep(int which_clock, int flags, const struct timespec *rqtp, struct timespec *rmtp) {
  return common_nsleep(which_clock, flags, rqtp, rmtp);
}

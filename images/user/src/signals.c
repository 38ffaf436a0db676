// SPDX-License-Identifier: Apache-2.0
// Signals: delivery, the fields of siginfo, masks, stacks, restarts, timers, and editing the interrupted registers.
#include "check.h"
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static volatile sig_atomic_t hits, depth, deepest;
static siginfo_t seen;
static volatile uintptr_t seen_pc, seen_sp;
static sigjmp_buf back;

#ifdef __riscv
#define PC(uc) ((uc)->uc_mcontext.__gregs[0])
#define SP(uc) ((uc)->uc_mcontext.__gregs[2])
#elif defined(__x86_64__)
#define PC(uc) ((uc)->uc_mcontext.gregs[REG_RIP])
#define SP(uc) ((uc)->uc_mcontext.gregs[REG_RSP])
#elif defined(__aarch64__)
#define PC(uc) ((uc)->uc_mcontext.pc)
#define SP(uc) ((uc)->uc_mcontext.sp)
#elif defined(__loongarch64)
#define PC(uc) ((uc)->uc_mcontext.__pc)
#define SP(uc) ((uc)->uc_mcontext.__gregs[3])
#endif

static void note(int sig, siginfo_t *si, void *ctx) {
  (void)sig;
  ucontext_t *uc = ctx;
  hits++;
  seen = *si;
  seen_pc = (uintptr_t)PC(uc);
  seen_sp = (uintptr_t)SP(uc);
}
static void note_and_jump(int sig, siginfo_t *si, void *ctx) { note(sig, si, ctx); siglongjmp(back, 1); }

static void install(int sig, void (*f)(int, siginfo_t *, void *), int flags) {
  struct sigaction sa;
  memset(&sa, 0, sizeof sa);
  sa.sa_sigaction = f;
  sa.sa_flags = SA_SIGINFO | flags;
  sigaction(sig, &sa, NULL);
}

static int pending(int sig) { sigset_t s; sigpending(&s); return sigismember(&s, sig); }
static void mask(int how, int sig) { sigset_t s; sigemptyset(&s); sigaddset(&s, sig); sigprocmask(how, &s, NULL); }
static int masked(int sig) { sigset_t s; sigprocmask(SIG_SETMASK, NULL, &s); return sigismember(&s, sig); }

static void sending(void) {
  install(SIGUSR1, note, 0);
  kill(getpid(), SIGUSR1);
  CHECK("kill: SI_USER with our pid and uid", hits == 1 && seen.si_signo == SIGUSR1 && seen.si_code == SI_USER && seen.si_pid == getpid() && seen.si_uid == getuid());
  raise(SIGUSR1);
  CHECK("raise: SI_TKILL", hits == 2 && seen.si_code == SI_TKILL && seen.si_pid == getpid());
  sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 12345});
  CHECK("sigqueue: SI_QUEUE with a value", hits == 3 && seen.si_code == SI_QUEUE && seen.si_value.sival_int == 12345);
  CHECK_EQ("kill with 0 only asks", kill(getpid(), 0), 0);
  CHECK_ERRNO("kill of a bad signal", kill(getpid(), 65), EINVAL);
  struct sigaction sa = {.sa_handler = SIG_IGN};
  CHECK_ERRNO("SIGKILL cannot be handled", sigaction(SIGKILL, &sa, NULL), EINVAL);
  signal(SIGUSR1, SIG_IGN);
  kill(getpid(), SIGUSR1);
  CHECK_EQ("ignored", hits, 3);
}

static void masks(void) {
  hits = 0;
  install(SIGUSR1, note, 0);
  mask(SIG_BLOCK, SIGUSR1);
  kill(getpid(), SIGUSR1);
  kill(getpid(), SIGUSR1);
  CHECK("blocked and pending", hits == 0 && pending(SIGUSR1));
  mask(SIG_UNBLOCK, SIGUSR1);
  CHECK("a standard signal is delivered once", hits == 1 && !pending(SIGUSR1));
  // Real-time signals queue, in order, lowest number first.
  hits = 0;
  int rt = SIGRTMIN + 1;
  install(rt, note, 0);
  mask(SIG_BLOCK, rt);
  for (int i = 0; i < 5; i++) sigqueue(getpid(), rt, (union sigval){.sival_int = i});
  mask(SIG_UNBLOCK, rt);
  CHECK("real-time signals queue", hits == 5 && seen.si_value.sival_int == 4);
  mask(SIG_BLOCK, rt);
  sigqueue(getpid(), rt, (union sigval){.sival_int = 77});
  sigset_t s;
  sigemptyset(&s);
  sigaddset(&s, rt);
  siginfo_t si;
  CHECK("sigwaitinfo takes it without a handler", sigwaitinfo(&s, &si) == rt && si.si_value.sival_int == 77 && hits == 5);
  struct timespec none = {0, 0};
  CHECK_ERRNO("sigtimedwait with nothing pending", sigtimedwait(&s, &si, &none), EAGAIN);
  mask(SIG_UNBLOCK, rt);

  hits = 0;
  mask(SIG_BLOCK, SIGUSR1);
  kill(getpid(), SIGUSR1);
  sigemptyset(&s);
  int r = sigsuspend(&s);
  CHECK("sigsuspend opens the mask, delivers, restores", r == -1 && errno == EINTR && hits == 1 && masked(SIGUSR1));
  mask(SIG_UNBLOCK, SIGUSR1);
  sigfillset(&s);
  sigset_t old;
  sigprocmask(SIG_SETMASK, &s, &old);
  CHECK("SIGKILL and SIGSTOP cannot be masked", !masked(SIGKILL) && !masked(SIGSTOP) && masked(SIGTERM));
  sigprocmask(SIG_SETMASK, &old, NULL);
}

static void nest(int sig, siginfo_t *si, void *ctx) {
  (void)si, (void)ctx;
  int d = ++depth;
  if (d > deepest) deepest = d;
  if (sig == SIGUSR1) { kill(getpid(), SIGUSR2); CHECK("the handler's own signal is masked", masked(SIGUSR1)); }
  else CHECK("sa_mask applies during the handler", masked(SIGTERM));
  depth--;
}
static void once(int sig) { (void)sig; hits++; }
static void reenter(int sig) { if (++depth < 4) raise(sig); if (depth > deepest) deepest = depth; }

static void nesting(void) {
  struct sigaction sa;
  memset(&sa, 0, sizeof sa);
  sa.sa_sigaction = nest;
  sa.sa_flags = SA_SIGINFO;
  sigaddset(&sa.sa_mask, SIGTERM);
  sigaction(SIGUSR1, &sa, NULL);
  sigaction(SIGUSR2, &sa, NULL);
  kill(getpid(), SIGUSR1);
  CHECK("a handler interrupted by a handler", deepest == 2 && depth == 0 && !masked(SIGTERM) && !masked(SIGUSR1));
  memset(&sa, 0, sizeof sa);
  sa.sa_handler = once;
  sa.sa_flags = SA_RESETHAND;
  sigaction(SIGUSR1, &sa, NULL);
  hits = 0;
  raise(SIGUSR1);
  struct sigaction now;
  sigaction(SIGUSR1, NULL, &now);
  CHECK("SA_RESETHAND", hits == 1 && now.sa_handler == SIG_DFL);
  deepest = depth = 0;
  sa.sa_handler = reenter;
  sa.sa_flags = SA_NODEFER;
  sigaction(SIGUSR1, &sa, NULL);
  raise(SIGUSR1);
  CHECK_EQ("SA_NODEFER nests", deepest, 4);
}

static void faults(void) {
  char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  install(SIGSEGV, note_and_jump, 0);
  install(SIGBUS, note_and_jump, 0);
  install(SIGILL, note_and_jump, 0);
  install(SIGTRAP, note_and_jump, 0);
  volatile char sink;
  // After siglongjmp only volatile objects are known, so each case is its own statement.
#define FAULT(statement) do { memset(&seen, 0, sizeof seen); if (sigsetjmp(back, 1) == 0) { statement; } } while (0)
  FAULT(*(volatile char *)16 = 1);
  CHECK("SIGSEGV on an unmapped address: SEGV_MAPERR", seen.si_signo == SIGSEGV && seen.si_code == SEGV_MAPERR && seen.si_addr == (void *)16);
  mprotect(page, 4096, PROT_READ);
  FAULT(page[123] = 1);
  CHECK("SIGSEGV on a read-only page: SEGV_ACCERR", seen.si_signo == SIGSEGV && seen.si_code == SEGV_ACCERR && seen.si_addr == page + 123);
  mprotect(page, 4096, PROT_NONE);
  FAULT(sink = page[7]);
  CHECK("SIGSEGV on PROT_NONE", seen.si_signo == SIGSEGV && seen.si_code == SEGV_ACCERR && seen.si_addr == page + 7);
  FAULT(((void (*)(void))(page + 4096))());
  CHECK("SIGSEGV on execution of data: si_addr is the pc", seen.si_signo == SIGSEGV && seen.si_code == SEGV_ACCERR && seen.si_addr == page + 4096 && seen_pc == (uintptr_t)(page + 4096));
  FAULT(((void (*)(void))8192)());
  CHECK("SIGSEGV on a jump to nowhere", seen.si_signo == SIGSEGV && seen.si_code == SEGV_MAPERR && seen.si_addr == (void *)8192);
  // An access across the edge of the mapping: the address is the first byte that is missing or the access's own start.
  munmap(page + 4096, 4096);
  mprotect(page, 4096, PROT_READ | PROT_WRITE);
  FAULT(sink = *(volatile char *)(page + 4096));
  CHECK("SIGSEGV after munmap", seen.si_signo == SIGSEGV && seen.si_code == SEGV_MAPERR && seen.si_addr == page + 4096);

  char name[] = "/tmp/emu-signals-XXXXXX";
  int fd = mkstemp(name);
  unlink(name);
  ftruncate(fd, 4096);
  char *file = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  file[4095] = 1;
  FAULT(sink = file[4100]);
  CHECK("SIGBUS past the end of a file: BUS_ADRERR", seen.si_signo == SIGBUS && seen.si_code == BUS_ADRERR && seen.si_addr == file + 4100);
  munmap(file, 8192);
  close(fd);
  (void)sink;

#ifdef __riscv
  FAULT(__asm__ volatile(".globl ill_here\nill_here: .4byte 0xffffffff"));
  extern char ill_here[], trap_here[], ctrap_here[], csr_here[];
  CHECK("SIGILL: ILL_ILLOPC at the instruction", seen.si_signo == SIGILL && seen.si_code == ILL_ILLOPC && seen.si_addr == ill_here && seen_pc == (uintptr_t)ill_here);
  FAULT(__asm__ volatile(".globl csr_here\ncsr_here: csrr t0, mstatus" ::: "t0"));
  CHECK("SIGILL on a machine register", seen.si_signo == SIGILL && seen.si_addr == csr_here);
  FAULT(__asm__ volatile(".option push\n.option norvc\n.globl trap_here\ntrap_here: ebreak\n.option pop"));
  CHECK("SIGTRAP by ebreak: TRAP_BRKPT at the instruction", seen.si_signo == SIGTRAP && seen.si_code == TRAP_BRKPT && seen.si_addr == trap_here && seen_pc == (uintptr_t)trap_here);
  FAULT(__asm__ volatile(".globl ctrap_here\nctrap_here: c.ebreak"));
  CHECK("SIGTRAP by c.ebreak", seen.si_signo == SIGTRAP && seen.si_code == TRAP_BRKPT && seen.si_addr == ctrap_here);
#endif
  CHECK("no signal left masked", !masked(SIGSEGV) && !masked(SIGTRAP));
}

static char alternate[65536] __attribute__((aligned(16)));
static int on_alternate(uintptr_t p) { return p >= (uintptr_t)alternate && p < (uintptr_t)alternate + sizeof alternate; }
static volatile int handler_on_alternate, handler_saw_onstack;
static void where(int sig, siginfo_t *si, void *ctx) {
  (void)sig, (void)si;
  char here;
  stack_t now;
  hits++;
  handler_on_alternate = on_alternate((uintptr_t)&here) && !on_alternate((uintptr_t)SP((ucontext_t *)ctx));
  sigaltstack(NULL, &now);
  handler_saw_onstack = now.ss_flags == SS_ONSTACK;
}
static void where_nested(int sig, siginfo_t *si, void *ctx) {
  (void)sig, (void)si, (void)ctx;
  raise(SIGUSR2);  // the second frame must go below the first on the same stack
  hits += 100;
}
static __attribute__((noinline)) int overflow(int n) {
  volatile char pad[4096];
  pad[n & 4095] = (char)n;
  return overflow(n + 1) + pad[n & 4095];
}

static void stacks(void) {
  stack_t ss = {.ss_sp = alternate, .ss_size = sizeof alternate}, old;
  CHECK("sigaltstack", sigaltstack(&ss, NULL) == 0 && sigaltstack(NULL, &old) == 0 && old.ss_sp == alternate && old.ss_size == sizeof alternate && old.ss_flags == 0);
  hits = 0;
  install(SIGUSR1, where, SA_ONSTACK);
  raise(SIGUSR1);
  CHECK("SA_ONSTACK uses it and says SS_ONSTACK", hits == 1 && handler_on_alternate && handler_saw_onstack);
  install(SIGUSR1, where, 0);
  raise(SIGUSR1);
  CHECK("without SA_ONSTACK it is not used", hits == 2 && !handler_on_alternate && !handler_saw_onstack);
  hits = 0;
  install(SIGUSR1, where_nested, SA_ONSTACK);
  install(SIGUSR2, where, SA_ONSTACK);
  raise(SIGUSR1);
  CHECK_EQ("nested on the alternate stack", hits, 101);
  // Overflow of the real stack can only be handled on another one.
  pid_t pid = fork();
  if (pid == 0) {
    install(SIGSEGV, note_and_jump, SA_ONSTACK);
    volatile int done = 0;
    if (sigsetjmp(back, 1) == 0) done = overflow(0);
    _exit(done == 0 && seen.si_signo == SIGSEGV ? 11 : 12);
  }
  int st;
  waitpid(pid, &st, 0);
  CHECK("stack overflow handled on the alternate stack", WIFEXITED(st) && WEXITSTATUS(st) == 11);
  ss.ss_size = 100;
  CHECK_ERRNO("an alternate stack too small", sigaltstack(&ss, NULL), ENOMEM);
  ss.ss_flags = SS_DISABLE;
  sigaltstack(&ss, NULL);
}

static volatile int pipe_write_end;
static void feed(int sig) { (void)sig; hits++; write(pipe_write_end, "z", 1); }

static void interrupted(void) {
  int p[2];
  char c = 0;
  pipe(p);
  pipe_write_end = p[1];
  struct sigaction sa;
  memset(&sa, 0, sizeof sa);
  struct itimerval soon = {.it_value = {0, 20000}}, off = {{0, 0}, {0, 0}}, left;
  hits = 0;
  sa.sa_handler = once;
  sigaction(SIGALRM, &sa, NULL);
  setitimer(ITIMER_REAL, &soon, NULL);
  ssize_t n = read(p[0], &c, 1);
  CHECK("EINTR without SA_RESTART", n == -1 && errno == EINTR && hits == 1);
  sa.sa_handler = feed;  // the handler itself provides the byte, so the restarted read ends
  sa.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &sa, NULL);
  setitimer(ITIMER_REAL, &soon, NULL);
  n = read(p[0], &c, 1);
  CHECK("SA_RESTART restarts a read of a pipe", n == 1 && c == 'z' && hits == 2);
  // A sleep is never restarted; it tells how much is left.
  sa.sa_handler = once;
  sigaction(SIGALRM, &sa, NULL);
  setitimer(ITIMER_REAL, &soon, NULL);
  struct timespec t = {5, 0}, rem = {0, 0};
  int r = nanosleep(&t, &rem);
  CHECK("nanosleep is interrupted and tells the rest", r == -1 && errno == EINTR && rem.tv_sec == 4);
  setitimer(ITIMER_REAL, &soon, NULL);
  r = pause();
  CHECK("pause", r == -1 && errno == EINTR);
  struct itimerval every = {.it_interval = {0, 2000}, .it_value = {0, 2000}};
  hits = 0;
  setitimer(ITIMER_REAL, &every, NULL);
  while (hits < 5) pause();
  setitimer(ITIMER_REAL, &off, &left);
  CHECK("an interval timer repeats", hits >= 5 && left.it_interval.tv_usec == 2000);
  CHECK_EQ("alarm tells what was set before", (alarm(100), alarm(0)), 100);
  hits = 0;
  sigaction(SIGVTALRM, &sa, NULL);
  setitimer(ITIMER_VIRTUAL, &soon, NULL);
  for (volatile long i = 0; !hits && i < 4000000000; i++) ;
  CHECK_EQ("ITIMER_VIRTUAL counts a busy loop", hits, 1);
  // A broken pipe: the signal, and EPIPE when it is handled.
  hits = 0;
  sigaction(SIGPIPE, &sa, NULL);
  close(p[0]);
  CHECK_ERRNO("EPIPE", write(p[1], "x", 1), EPIPE);
  CHECK_EQ("SIGPIPE", hits, 1);
  close(p[1]);

  install(SIGCHLD, note, 0);
  hits = 0;
  mask(SIG_BLOCK, SIGCHLD);
  pid_t pid = fork();
  if (pid == 0) _exit(33);
  sigset_t none;
  sigemptyset(&none);
  while (!hits) sigsuspend(&none);
  CHECK("SIGCHLD: CLD_EXITED, pid and status", seen.si_code == CLD_EXITED && seen.si_pid == pid && seen.si_status == 33);
  waitpid(pid, NULL, 0);
  hits = 0;
  pid = fork();
  if (pid == 0) { signal(SIGTERM, SIG_DFL); raise(SIGTERM); _exit(0); }
  while (!hits) sigsuspend(&none);
  CHECK("SIGCHLD: CLD_KILLED", seen.si_code == CLD_KILLED && seen.si_pid == pid && seen.si_status == SIGTERM);
  waitpid(pid, NULL, 0);
  mask(SIG_UNBLOCK, SIGCHLD);
}

#ifdef __riscv
// The handler edits the saved registers; the interrupted code must see the new values, integer and floating point.
static void edit(int sig, siginfo_t *si, void *ctx) {
  (void)sig, (void)si;
  ucontext_t *uc = ctx;
  hits++;
  uc->uc_mcontext.__gregs[0] += 4;            // past the ebreak
  uc->uc_mcontext.__gregs[18] += 1000;        // s2
  uc->uc_mcontext.__gregs[28] = 0x1234;       // t3
  double d = -6.25;
  uint64_t b;
  memcpy(&b, &d, 8);
  uc->uc_mcontext.__fpregs.__d.__f[18] = b;   // fs2
  uc->uc_mcontext.__fpregs.__d.__f[0] ^= 1ull << 63;  // ft0
  uc->uc_mcontext.__fpregs.__d.__fcsr = 0x1f;
}
static void edit_all(int sig, siginfo_t *si, void *ctx) {
  (void)sig, (void)si;
  ucontext_t *uc = ctx;
  hits++;
  // Destroys what it may: everything here must be restored from the frame, not from these registers.
  __asm__ volatile("li t0,-1\n\tli t1,-1\n\tli t2,-1\n\tli t3,-1\n\tli a1,-1\n\tli a7,-1\n\tfmv.d.x ft0,t0\n\tfmv.d.x fa5,t0\n\tfsflagsi 0x1f" ::: "t0", "t1", "t2", "t3", "a1", "a7", "ft0", "fa5");
  uc->uc_mcontext.__gregs[0] += 4;
}
static void registers(void) {
  install(SIGTRAP, edit, 0);
  hits = 0;
  long s2 = 7, t3 = 9;
  double fs2, ft0;
  unsigned long fcsr;
  __asm__ volatile(
      ".option push\n.option norvc\n\tmv s2, %[s2]\n\tmv t3, %[t3]\n\tli t0, 3\n\tfcvt.d.l ft0, t0\n\tfcvt.d.l fs2, t0\n\tcsrwi fcsr, 0\n\tebreak\n"
      "\tcsrr %[fcsr], fcsr\n\tmv %[s2], s2\n\tmv %[t3], t3\n\tfmv.d %[fs2], fs2\n\tfmv.d %[ft0], ft0\n\tcsrwi fcsr, 0\n.option pop"
      : [s2] "+&r"(s2), [t3] "+&r"(t3), [fs2] "=&f"(fs2), [ft0] "=&f"(ft0), [fcsr] "=&r"(fcsr)
      : : "s2", "t3", "t0", "ft0", "fs2", "memory");
  CHECK("the handler changed integer registers", hits == 1 && s2 == 1007 && t3 == 0x1234);
  CHECK("the handler changed floating-point registers", fs2 == -6.25 && ft0 == -3.0);
  CHECK_EQ("the handler changed fcsr", fcsr, 0x1f);

  install(SIGTRAP, edit_all, 0);
  unsigned long sum = 0, flags = 0, fb = 0;
  __asm__ volatile(
      ".option push\n.option norvc\n\tli t0,1\n\tli t1,2\n\tli t2,4\n\tli t3,8\n\tli a1,16\n\tli a7,32\n\tfmv.d.x ft0,t0\n\tfmv.d.x fa5,t1\n\tcsrwi fflags,0\n\tebreak\n"
      "\tcsrr %[flags],fflags\n\tadd t0,t0,t1\n\tadd t0,t0,t2\n\tadd t0,t0,t3\n\tadd t0,t0,a1\n\tadd %[sum],t0,a7\n\tfmv.x.d t1,ft0\n\tfmv.x.d t2,fa5\n\tadd %[fb],t1,t2\n.option pop"
      : [sum] "=r"(sum), [flags] "=&r"(flags), [fb] "=r"(fb) : : "t0", "t1", "t2", "t3", "a1", "a7", "ft0", "fa5", "memory");
  CHECK("what the handler destroys is restored", hits == 2 && sum == 63 && flags == 0 && fb == 3);
}
#else
static void registers(void) {}
#endif

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  sending();
  masks();
  nesting();
  faults();
  stacks();
  interrupted();
  registers();
  return check_done("signals");
}

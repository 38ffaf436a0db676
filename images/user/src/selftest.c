// What `emu selftest` and the benchmarks put probes on. argv[1] says what to do, argv[2] how often; the exit status is how many results
// were wrong (255: 255 or more). Nothing is printed, so that a return probe on write(2) or a slow console changes nothing.
#include <elf.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef unsigned long u64;
#define target_function __attribute__((noinline, used))
#define opaque(value) __asm__ volatile("" : "+r"(value)::"memory")

static volatile u64 divisor = 2;
// A semaphore as systemtap's sys/sdt.h makes them: 16 bits, counted by whoever probes.
__attribute__((used, section(".probes"))) volatile unsigned short selftest_semaphore = 0;

target_function u64 target(u64 value) {
  opaque(value);
  return value / divisor;
}
target_function u64 target2(u64 value) {
  opaque(value);
  return value / divisor + 1;
}
target_function u64 outer(u64 value) {
  u64 half = target(value);
  opaque(half);
  return half + 1;
}
target_function u64 fib(u64 n) {
  if (n < 2) return n;
  u64 a = fib(n - 1);
  opaque(a);
  return a + fib(n - 2);
}
target_function u64 tail_third(u64 value) { opaque(value); return value ^ 0x55; }
target_function u64 tail_second(u64 value) { opaque(value); return tail_third(value * 3); }
target_function u64 tail_first(u64 value) { opaque(value); return tail_second(value + 7); }
target_function u64 leaf(u64 n) {
  u64 steps = 0;
  while (n != 1) {
    n = n & 1 ? 3 * n + 1 : n >> 1;
    steps++;
    opaque(n);
  }
  return steps;
}
target_function u64 deep(u64 n) {
  if (n == 0) return 0;
  u64 rest = deep(n - 1);
  opaque(rest);
  return rest + 1;
}
target_function u64 load(const volatile u64 *from) { return *from; }
target_function double mean(u64 n) {
  double sum = 0;
  for (u64 i = 1; i <= n; i++) sum += (double)i;
  return sum / (double)n;
}

static jmp_buf back;
target_function void thrower(u64 n) {
  if (n) {
    thrower(n - 1);
    opaque(n);
  }
  longjmp(back, 1);
}
target_function u64 catcher(u64 n) {
  if (setjmp(back) == 0) thrower(n);
  return 7;
}

static u64 all(void) {
  u64 wrong = 0;
  wrong += target(84) != 42;
  wrong += target2(84) != 43;
  wrong += outer(82) != 42;
  wrong += fib(10) != 55;
  wrong += tail_first(5) != (36 ^ 0x55);
  wrong += leaf(27) != 111;
  wrong += deep(20) != 20;
  wrong += catcher(3) != 7;
  wrong += mean(9) != 5.0;
  return wrong;
}

static sigjmp_buf recover;
static volatile u64 fault_address, signals;
static void on_fault(int number, siginfo_t *info, void *context) {
  (void)number, (void)context;
  fault_address = (u64)info->si_addr;
  signals++;
  siglongjmp(recover, 1);
}
static void on_signal(int number) { (void)number, signals++; }

static u64 faults(void) {
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
  sigaction(SIGSEGV, &action, 0);
  if (sigsetjmp(recover, 1) == 0) return 1 + load((const volatile u64 *)16);
  return (signals != 1) + (fault_address != 16);
}

target_function u64 forks(void) {
  pid_t child = fork();
  u64 wrong = all();
  if (child == 0) _exit((int)wrong);
  int status = 0;
  if (waitpid(child, &status, 0) != child) wrong++;
  return wrong + (u64)(status != 0);
}

// A timer that goes off again and again while the targets run.
static u64 timers(u64 n) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, 0);
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
  timer_t timer;
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) return 1;
  struct itimerspec every = {{0, 20000}, {0, 20000}};
  timer_settime(timer, 0, &every, 0);
  u64 wrong = 0;
  for (u64 i = 0; i < n; i++) wrong += all();
  timer_delete(timer);
  return wrong + (signals == 0);
}

// The text once more, where nobody had mapped it before.
static u64 late(const char *self) {
  const Elf64_Phdr *header = (const Elf64_Phdr *)getauxval(AT_PHDR);
  const u64 count = getauxval(AT_PHNUM), wanted = (u64)tail_third;
  for (u64 i = 0; i < count; i++, header++) {
    if (header->p_type != PT_LOAD || wanted - header->p_vaddr >= header->p_filesz) continue;
    u64 offset = header->p_offset & ~4095ul, skip = wanted - (header->p_vaddr & ~4095ul);
    int file = open(self, O_RDONLY);
    char *at = mmap(0, header->p_filesz + 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, (off_t)offset);
    close(file);
    if (at == MAP_FAILED) return 1;
    u64 (*moved)(u64) = (u64(*)(u64))(at + skip);
    u64 wrong = moved(36) != (36 ^ 0x55);
    munmap(at, header->p_filesz + 4096);
    return wrong;
  }
  return 1;
}

int main(int argc, char **argv) {
  char mode = argc > 1 ? argv[1][0] : 'u';
  u64 count = argc > 2 ? strtoul(argv[2], 0, 0) : 1;
  u64 wrong = 0;
  switch (mode) {
    case 'k':  // system calls: the kernel's targets run in their place
      for (u64 i = 0; i < count; i++) wrong += (u64)getpid();
      break;
    case 'u':
      for (u64 i = 0; i < count; i++) wrong += all();
      break;
    case 'h':  // hot: 112 times round a loop of six instructions
      for (u64 i = 0; i < count; i++) wrong += leaf(27) != 111;
      break;
    case 's': wrong = faults(); break;
    case 'f': wrong = forks(); break;
    case 't': wrong = timers(count); break;
    case 'm': wrong = late(argv[0]); break;
    case 'r': wrong = selftest_semaphore; break;
    default: wrong = 254;
  }
  return wrong > 255 ? 255 : (int)wrong;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stand-in for the model behind the gate, in M-mode of qemu's virt board: canned answers, just enough that every path of the kernel
 * image runs against an implementation of RISC-V that is not ours. Ends qemu with status 0 if all checks passed.
 */
#include "gate.h"
#include "shared.h"
#include "symbols.h" /* of the kernel image, by symbols.py */

typedef unsigned long u64;
typedef unsigned char u8;

#define RAM 0x80000000UL
#define LINEAR 0xffffffd600000000UL
#define IMAGE_PA 0x80200000UL
#define MAGIC 0x7ffff000UL /* unmapped; "kernel text called from here returned" */
#define MAX_TASKS 8
#define TICK 20000

struct frame {
  u64 x[32];
};
struct regs {
  u64 x[32]; /* x[0] is epc */
  u64 status, badaddr, cause, orig_a0;
};
enum state { FREE, RUNNABLE, BLOCKED, SLEEPING, DEAD };
struct task {
  u64 pa, root;
  enum state state;
  long pid, parent, code;
  u64 wake;
  int pending;
  u64 handler;
  struct regs saved;
};

static struct task tasks[MAX_TASKS], *current_task;
static u64 kernel_root, next_page = 0x80400000UL;
static long ticks, switches, blocks, mode, irqs, calls, faults, notifications, child_asid, arguments_ok = 1, failures, checks;
static long dies_expected, kernel_breaks, idle_ticks, idles;
static u64 break_at;
static unsigned short break_saved;
static struct frame magic; /* registers of the last return to MAGIC */

long s_call(struct frame *frame, u64 pc);
void s_return(long value) __attribute__((noreturn));
void m_resume(struct frame *frame) __attribute__((noreturn));
void save_fp(void *to);
struct frame *m_trap(struct frame *frame);
void firmware_main(void);
void *memset(void *to, int c, u64 n);
void *memcpy(void *to, const void *from, u64 n);

#define csr_read(csr) \
  ({ \
    u64 v_; \
    __asm__ volatile("csrr %0, " #csr : "=r"(v_)); \
    v_; \
  })
#define csr_write(csr, v) __asm__ volatile("csrw " #csr ", %0" ::"r"((u64)(v)) : "memory")
#define csr_set(csr, v) __asm__ volatile("csrs " #csr ", %0" ::"r"((u64)(v)) : "memory")
#define csr_clear(csr, v) __asm__ volatile("csrc " #csr ", %0" ::"r"((u64)(v)) : "memory")
#define P64(pa) (*(volatile u64 *)(pa))

void *memset(void *to, int c, u64 n) {
  for (u64 i = 0; i < n; i++) ((volatile u8 *)to)[i] = (u8)c;
  return to;
}
void *memcpy(void *to, const void *from, u64 n) {
  for (u64 i = 0; i < n; i++) ((volatile u8 *)to)[i] = ((const u8 *)from)[i];
  return to;
}

static void put(char c) { *(volatile u8 *)0x10000000UL = (u8)c; }
static void print(const char *s) {
  while (*s) put(*s++);
}
static void print_hex(u64 v) {
  for (int i = 60; i >= 0; i -= 4) put("0123456789abcdef"[v >> i & 15]);
}
static void stop(void) {
  print(failures ? "FAILED: " : "all passed: ");
  print_hex((u64)checks);
  print(" checks\n");
  *(volatile unsigned int *)0x100000UL = failures ? 0x13333 : 0x5555;
  for (;;) __asm__ volatile("wfi");
}
static void check(const char *name, int ok) {
  checks++;
  if (!ok) failures++;
  print(ok ? "PASS " : "FAIL ");
  print(name);
  put('\n');
}

static u64 now(void) { return P64(0x200bff8UL); }
static void arm(u64 at) {
  P64(0x2004000UL) = at;
  csr_set(mie, 0x80);
}

/* Memory: pages are taken and never given back. */
static u64 page(void) {
  u64 pa = next_page;
  next_page += 4096;
  memset((void *)pa, 0, 4096);
  return pa;
}
static u64 linear(u64 pa) { return pa - RAM + LINEAR; }
static u64 physical(u64 va) { return va >= K__stext ? va - K__stext + IMAGE_PA : va - LINEAR + RAM; }
#define PTE(pa, bits) ((pa) >> 12 << 10 | (bits))
enum { V = 1, R = 2, W = 4, X = 8, U = 16, G = 32, AD = 0xc0 };

static volatile u64 *pte(u64 root, u64 va, int create) {
  u64 table = root;
  for (int level = 2; level > 0; level--) {
    volatile u64 *e = (volatile u64 *)table + (va >> (12 + 9 * level) & 511);
    if (!(*e & V)) {
      if (!create) return 0;
      *e = PTE(page(), V);
    }
    table = *e >> 10 << 12;
  }
  return (volatile u64 *)table + (va >> 12 & 511);
}
static void map(u64 root, u64 va, u64 pa, u64 bits) { *pte(root, va, 1) = PTE(pa, bits | V | AD); }
static u64 user_pa(struct task *task, u64 va) {
  volatile u64 *e = pte(task->root, va, 0);
  return e && *e & V ? (*e >> 10 << 12) + (va & 4095) : 0;
}

static u64 user_root(void) {
  u64 root = page();
  for (int i = 256; i < 512; i++) P64(root + 8 * (u64)i) = P64(kernel_root + 8 * (u64)i);
  return root;
}
/* A copy of everything of user mode that is writable. */
static u64 copy_root(u64 from) {
  u64 root = user_root();
  for (u64 va = USER_TEXT; va < 0x200000; va += 4096) {
    volatile u64 *e = pte(from, va, 0);
    if (!e || !(*e & V)) continue;
    u64 pa = *e >> 10 << 12;
    if (*e & W) {
      u64 copy = page();
      memcpy((void *)copy, (void *)pa, 4096);
      pa = copy;
    }
    map(root, va, pa, *e & (R | W | X | U));
  }
  return root;
}

#define FIELD(task, name) P64((task)->pa + K_layout_task_##name)
static struct regs *task_regs(struct task *t) { return (struct regs *)(t->pa + K_layout_task_stack_size - K_layout_pt_regs_size); }

static struct task *new_task(u64 root, u64 asid) {
  struct task *t = tasks;
  while (t->state != FREE) t++;
  t->pa = page();
  for (int i = 0; i < 3; i++) page();
  t->root = root;
  t->pid = 100 + (t - tasks);
  FIELD(t, root) = 8UL << 60 | asid << 44 | root >> 12;
  FIELD(t, pid) = (u64)t->pid;
  FIELD(t, kernel_sp) = linear(t->pa) + K_layout_task_stack_size;
  FIELD(t, thread_ra) = K_ret_from_fork;
  FIELD(t, thread_sp) = linear((u64)task_regs(t));
  t->state = RUNNABLE;
  return t;
}

/* A break at the first instruction of a kernel function, for one hit. */
static void set_break(u64 function) {
  break_at = function;
  break_saved = *(volatile unsigned short *)physical(function);
  *(volatile unsigned short *)physical(function) = 0x9002;
  __asm__ volatile("fence.i");
}

static void wake_sleepers(void) {
  for (struct task *t = tasks; t < tasks + MAX_TASKS; t++)
    if (t->state == SLEEPING && now() >= t->wake) t->state = RUNNABLE;
}
static u64 pick(void) {
  wake_sleepers();
  long start = current_task ? current_task - tasks : MAX_TASKS - 1;
  for (long i = 1; i <= MAX_TASKS; i++) {
    struct task *t = &tasks[(start + i) % MAX_TASKS];
    if (t->state != RUNNABLE) continue;
    if (t != current_task) switches++;
    current_task = t;
    return linear(t->pa);
  }
  return K_init_task;
}
static void signal(struct task *t, int number) {
  t->pending = number;
  FIELD(t, flags) |= 2;
}

struct answer {
  u64 value, actions, address;
};

static struct answer do_syscall(long nr, u64 args_va, u64 regs_va) {
  struct task *t = current_task;
  u64 *a = (u64 *)physical(args_va);
  struct regs *regs = (struct regs *)physical(regs_va);
  struct answer r = {0, 0, 0};
  calls++;
  if (regs != task_regs(t)) check("SYSCALL: regs is the task's pt_regs", 0);
  if (nr == T_MODE) {
    mode = (long)a[0];
    return r;
  }
  if (nr == T_ARGUMENTS) return (struct answer){(u64)arguments_ok, 0, 0};
  if (mode == 1) {
    /* Arguments 11, 22, ...: as many as the signature has, then zeros. */
    int ended = 0;
    for (u64 i = 0; i < 6; i++) {
      if (a[i] == 0) ended = 1;
      if (a[i] != 0 && (ended || a[i] != 11 * (i + 1))) {
        arguments_ok = 0;
        print("arguments of ");
        print_hex((u64)nr);
        put('\n');
      }
    }
    r.value = 0x10000 + (u64)nr;
    return r;
  }
  if (mode > 1) return (struct answer){a[mode], 0, 0};
  switch (nr) {
    case 64:
      for (u64 i = 0; i < a[2]; i++) put(*(char *)user_pa(t, a[1] + i));
      r.value = a[2];
      break;
    case 172:
      r.value = (u64)t->pid;
      break;
    case 220: {
      struct task *child = new_task(copy_root(t->root), (u64)child_asid);
      memcpy(task_regs(child), regs, sizeof *regs);
      save_fp((void *)(child->pa + K_layout_task_fp));
      task_regs(child)->x[10] = 0;
      child->parent = t->pid;
      child->handler = t->handler;
      r.value = (u64)child->pid;
      r.actions = GATE_FLUSH_ALL;
      break;
    }
    case 260:
      for (struct task *c = tasks; c < tasks + MAX_TASKS; c++)
        if (c->state == DEAD && c->parent == t->pid) {
          if (a[1]) *(int *)user_pa(t, a[1]) = (int)c->code;
          c->state = FREE;
          r.value = (u64)c->pid;
          return r;
        }
      t->state = BLOCKED;
      r.actions = GATE_BLOCK;
      blocks++;
      break;
    case 101:
      if (t->wake == 0) {
        t->wake = now() + a[0];
        t->state = SLEEPING;
        r.actions = GATE_BLOCK;
        blocks++;
      } else if (now() < t->wake) {
        check("nanosleep ran too early", 0);
      } else
        t->wake = 0;
      break;
    case 124:
      FIELD(t, flags) |= 1;
      break;
    case 134:
      t->handler = a[1];
      break;
    case 129:
      signal(t, (int)a[1]);
      break;
    case 139:
      memcpy(regs, &t->saved, sizeof *regs);
      r.value = regs->x[10];
      break;
    case 221: /* starts at its first argument, in a new address space, with its second as the first register */
      t->root = copy_root(t->root);
      FIELD(t, root) = 8UL << 60 | t->root >> 12;
      memset(regs, 0, 256);
      regs->x[0] = a[0];
      regs->x[2] = USER_STACK_TOP;
      regs->x[9] = a[1];
      *(u64 *)user_pa(t, a[2]) = 0xe8ec;
      r.actions = GATE_RELOAD_ROOT | GATE_FENCE_I;
      break;
    case 93:
    case 94:
      break;
    case T_TICKS: r.value = (u64)ticks; break;
    case T_SWITCHES: r.value = (u64)switches; break;
    case T_BLOCKS: r.value = (u64)blocks; break;
    case T_CALLS: r.value = (u64)calls; break;
    case T_FAULTS: r.value = (u64)faults; break;
    case T_IRQ:
      csr_set(mip, 2);
      r.value = (u64)irqs;
      break;
    case T_NOTIFY:
      FIELD(t, flags) |= 4;
      r.value = (u64)notifications;
      break;
    case T_CHILD_ASID: child_asid = (long)a[0]; break;
    case T_CHECK: check((const char *)user_pa(t, a[0]), (int)a[1]); break;
    case T_DISCARD:
      *pte(t->root, a[0], 1) = 0;
      r.actions = a[1] ? GATE_FLUSH_ALL : GATE_FLUSH_PAGE;
      r.address = a[0];
      break;
    case T_BREAK:
      if (a[0]) set_break(K_do_sys_openat2);
      r.value = (u64)kernel_breaks;
      break;
    case 56: r.value = a[0]; break;
    default:
      r.value = -38UL;
  }
  return r;
}

static struct answer do_fault(u64 regs_va, u64 address, u64 access) {
  struct task *t = current_task;
  struct regs *regs = (struct regs *)physical(regs_va);
  struct answer r = {0, 0, 0};
  u64 cause = access == 1 ? 15 : access == 2 ? 12 : 13;
  faults = (long)(access << 60 | address);
  if (regs->badaddr != address || regs->cause != cause) check("FAULT: arguments agree with the frame", 0);
  if (regs->status & 0x100) return (struct answer){11, 0, 0}; /* a fault of kernel mode */
  if (address - USER_DEMAND < 0x10000 && access != 2) {
    map(t->root, address, page(), R | W | U);
    r.actions = GATE_FLUSH_PAGE; /* new mappings too need a fence, by the letter */
    r.address = address;
    return r;
  }
  if (address - USER_READONLY < 4096 && access == 1) {
    *pte(t->root, address, 1) |= W;
    r.actions = GATE_FLUSH_PAGE;
    r.address = address;
    return r;
  }
  regs->x[0] = access == 2 ? regs->x[1] : regs->x[0] + 4; /* the handler then returns behind it */
  signal(t, 11);
  r.value = 11;
  return r;
}

static struct answer do_trap(u64 regs_va, u64 cause) {
  struct regs *regs = (struct regs *)physical(regs_va);
  if (regs->cause != cause) check("TRAP: cause agrees with the frame", 0);
  if (regs->status & 0x100) {
    if (cause != 3 || regs->x[0] != break_at) return (struct answer){1, 0, 0};
    kernel_breaks++;
    if (regs->status & 0x46002) check("kernel mode runs with FS, SUM and SIE off", 0);
    *(volatile unsigned short *)physical(break_at) = break_saved;
    regs->x[10] += 2; /* as a handler that changes an argument */
    return (struct answer){0, GATE_FENCE_I, 0};
  }
  regs->x[0] += cause == 3 ? 2 : 4; /* c.ebreak; the handler then returns behind it */
  signal(current_task, cause == 3 ? 5 : 4);
  return (struct answer){0, 0, 0};
}

static struct answer do_signal(u64 regs_va, u64 why) {
  struct task *t = current_task;
  struct regs *regs = (struct regs *)physical(regs_va);
  struct answer r = {0, 0, 0};
  if (why == 4) {
    notifications++;
    return r;
  }
  FIELD(t, flags) &= ~2UL;
  int number = t->pending;
  t->pending = 0;
  if (!number) return r;
  if (number == 9 || !t->handler) {
    r.value = 1UL << 32 | (u64)number;
    return r;
  }
  t->saved = *regs;
  regs->x[0] = t->handler;
  regs->x[10] = (u64)number;
  regs->x[11] = t->saved.x[0];
  return r;
}

static struct answer gate(struct frame *f) {
  u64 *x = f->x;
  struct answer r = {0, 0, 0};
  if (csr_read(sstatus) & 0x46002) check("a gate call with FS, SUM and SIE off", 0);
  switch (x[16]) {
    case GATE_BOOT: {
      check("BOOT: tp is init_task, sp on its stack, sscratch 0",
            x[4] == K_init_task && x[2] > K_init_task && x[2] < K_boot_stack_top && csr_read(sscratch) == 0);
      check("BOOT: init_task.root is satp", P64(physical(K_init_task) + K_layout_task_root) == csr_read(satp));
      u64 root = user_root();
      for (u64 o = 0; o < 0x8000; o += 4096) map(root, USER_TEXT + o, 0x80100000UL + o, R | X | U);
      for (u64 o = 0; o < 0x4000; o += 4096) map(root, USER_DATA + o, 0x80110000UL + o, R | W | U);
      for (u64 o = 4096; o <= 0x4000; o += 4096) map(root, USER_STACK_TOP - o, page(), R | W | U);
      map(root, USER_READONLY, page(), R | U);
      struct task *t = new_task(root, 0);
      task_regs(t)->x[0] = USER_TEXT;
      task_regs(t)->x[2] = USER_STACK_TOP;
      task_regs(t)->status = 0x200002020UL; /* UXL 64, FS initial, SPIE */
      current_task = t;
      r.value = linear(t->pa);
      arm(now() + TICK);
      break;
    }
    case GATE_SYSCALL: r = do_syscall((long)x[10], x[11], x[12]); break;
    case GATE_FAULT: r = do_fault(x[10], x[11], x[12]); break;
    case GATE_TRAP: r = do_trap(x[10], x[11]); break;
    case GATE_SIGNAL: r = do_signal(x[10], x[11]); break;
    case GATE_SCHEDULE:
      if (x[10] != x[4]) check("SCHEDULE: argument is the current task", 0);
      r.value = pick();
      break;
    case GATE_TICK:
      ticks++;
      if (x[4] == K_init_task) idle_ticks++;
      csr_clear(mip, 0x20);
      arm(now() + TICK);
      wake_sleepers();
      if (x[4] != K_init_task) P64(physical(x[4])) |= 1;
      break;
    case GATE_IRQ: irqs++; break;
    case GATE_IDLE:
      idles++;
      if (x[4] != K_init_task) check("IDLE: by the idle task", 0);
      r.value = 1;
      break;
    case GATE_EXIT_TASK: {
      struct task *t = current_task;
      t->state = DEAD;
      t->code = (long)x[10];
      for (struct task *p = tasks; p < tasks + MAX_TASKS; p++)
        if (p->state == BLOCKED && p->pid == t->parent) p->state = RUNNABLE;
      if (t->pid == 100) {
        check("exit: wait status of the first task", x[10] == 7 << 8);
        check("the idle task took timer interrupts", idle_ticks > 0);
        check("and waited for them", idles <= idle_ticks + 10);
        stop();
      }
      break;
    }
    case GATE_FORKED:
      if (!current_task || x[4] != linear(current_task->pa) || x[10] == x[4]) check("FORKED: tp is the new task", 0);
      if ((task_regs(current_task)->status & 0x6000) != 0x4000) check("FORKED: FP registers were loaded and are clean", 0);
      break;
    case GATE_DIE: {
      struct regs *regs = (struct regs *)physical(x[10]);
      if (dies_expected) {
        dies_expected = 0;
        s_return((long)regs->cause);
      }
      print("DIE epc ");
      print_hex(regs->x[0]);
      print(" cause ");
      print_hex(regs->cause);
      print(" badaddr ");
      print_hex(regs->badaddr);
      put('\n');
      failures++;
      stop();
      break;
    }
    case GATE_CONSOLE:
      for (u64 i = 0; i < x[11]; i++) put(*(char *)(physical(x[10]) + i));
      break;
    default: check("unknown gate function", 0);
  }
  return r;
}

struct frame *m_trap(struct frame *f) {
  u64 cause = csr_read(mcause), pc = csr_read(mepc);
  if (cause == (1UL << 63 | 7)) {
    csr_clear(mie, 0x80);
    csr_set(mip, 0x20);
    return f;
  }
  if (cause == 12 && pc == MAGIC) {
    magic = *f;
    s_return((long)f->x[10]);
  }
  if (cause == 9 && f->x[17] == GATE_EXTENSION) {
    csr_write(mepc, pc + 4);
    struct answer r = gate(f);
    f->x[10] = r.value;
    f->x[11] = r.actions;
    f->x[12] = r.address;
    return f;
  }
  print("unexpected trap in M-mode: cause ");
  print_hex(cause);
  print(" pc ");
  print_hex(pc);
  print(" tval ");
  print_hex(csr_read(mtval));
  put('\n');
  failures++;
  stop();
  return f;
}

/* Calls a function of kernel mode as the idle task would. */
static long call(u64 function, u64 a0, u64 a1, u64 a2) {
  struct frame f = {.x = {[1] = MAGIC, [4] = K_init_task}};
  for (u64 i = 5; i < 32; i++) f.x[i] = 0x5555 * i;
  f.x[2] = K_boot_stack_top - 1024;
  f.x[10] = a0;
  f.x[11] = a1;
  f.x[12] = a2;
  csr_write(stvec, K_handle_exception);
  csr_write(sscratch, 0);
  long value = s_call(&f, function);
  if (csr_read(sstatus) & 0x46002) check("sstatus after a call: FS, SUM and SIE off", 0);
  return value;
}

/* Before the kernel boots: single functions of it. */
static void kernel_mode_tests(void) {
  csr_clear(medeleg, 1 << 12); /* so that the return address traps to here */
  check("run_probe_targets: no wrong result", call(K_run_probe_targets, 0, 0, 0) == 0);
  check("probe_fib(20)", call(K_probe_fib, 20, 0, 0) == 6765);

  set_break(K_kprobe_target);
  check("break in kernel text: through TRAP and on, with a changed argument", call(K_kprobe_target, 40, 0, 0) == 21 && kernel_breaks == 1);

  /* Two structures of task alone: what __switch_to stores and loads. */
  u64 prev = page(), next = page(), ok = 1;
  P64(next + K_layout_task_thread_ra) = MAGIC;
  P64(next + K_layout_task_thread_sp) = 0x1230;
  for (u64 i = 0; i < 12; i++) P64(next + K_layout_task_thread_s + 8 * i) = 0x700 + i;
  ok = (u64)call(K___switch_to, linear(prev), linear(next), 0) == linear(prev) && magic.x[4] == linear(next) && magic.x[2] == 0x1230 &&
       P64(prev + K_layout_task_thread_ra) == MAGIC && P64(prev + K_layout_task_thread_sp) == K_boot_stack_top - 1024;
  for (u64 i = 0; i < 12; i++) {
    u64 n = i < 2 ? 8 + i : 16 + i;
    ok &= magic.x[n] == 0x700 + i && P64(prev + K_layout_task_thread_s + 8 * i) == 0x5555 * n;
  }
  check("__switch_to: ra, sp, tp and twelve callee-saved registers", (int)ok);

  u64 buffer = linear(page());
  P64(physical(buffer)) = 0;
  check("copy_from_user_nofault: what is there", call(K_copy_from_user_nofault, buffer, buffer + 64, 8) == 0);
  long before = faults;
  check("copy_from_user_nofault: what is not", call(K_copy_from_user_nofault, buffer, 0x1000, 8) == -14);
  check("copy_to_user_nofault: read-only memory", call(K_copy_to_user_nofault, K___start_rodata, buffer, 8) == -14);
  check("no FAULT call while faults are disabled", before == faults);
  check("pagefault_disabled is 0 again", P64(physical(K_init_task) + K_layout_task_pagefault_disabled) == 0);
  check("__copy_user_probe: FAULT call, refused, fixed up", call(K___copy_user_probe, buffer, 0x1000, 5) == 5 && faults == 0x1000);
  dies_expected = 1;
  check("a wild load of kernel mode dies", call(K_memcpy, buffer, 0x2000, 8) == 13);
  dies_expected = 1;
  check("a stray FP instruction of kernel mode dies", call(physical(K_kprobe_insn_slots) - IMAGE_PA + K__stext, 0, 0, 0) == 2);
  csr_set(medeleg, 1 << 12);
}

void firmware_main(void) {
  csr_write(pmpaddr0, -1UL >> 10);
  csr_write(pmpcfg0, 0x1f);
  csr_write(medeleg, 0xb1ff);
  csr_write(mideleg, 0x222);
  csr_write(mcounteren, 7);
  csr_write(mie, 0);

  kernel_root = page();
  P64(kernel_root + 8 * (LINEAR >> 30 & 511)) = PTE(RAM, V | R | W | G | AD);
  for (u64 va = K__stext; va < K__end; va += 4096) {
    u64 bits = va < K___start_rodata ? R | X : va < K__sdata ? R : R | W;
    map(kernel_root, va, va - K__stext + IMAGE_PA, bits | G);
  }
  csr_write(satp, 8UL << 60 | kernel_root >> 12);
  __asm__ volatile("sfence.vma");
  *(volatile unsigned *)physical(K_kprobe_insn_slots) = 0x02a50553; /* fadd.d */

  kernel_mode_tests();

  memset((void *)physical(K_init_task), 0, K_layout_task_stack_size);
  csr_write(stvec, 0);
  csr_write(sscratch, 1);
  csr_set(mstatus, 0x46000); /* dirt that _start has to clear */
  struct frame f = {.x = {[2] = K_boot_stack_top}};
  s_call(&f, K__start);
}

#define _GNU_SOURCE
#include "CHostX86.h"

#if defined(__x86_64__) && defined(__linux__)
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static struct hostx86_batch *batches[2];
static pid_t child = -1;
static int toChild[2], fromChild[2];

// In the child. The handler touches nothing thread-local: FS may be the instance's.
static struct hostx86_batch *batch;
static uint8_t *codeAlias;
static uint32_t at;
static int running;
static greg_t savedRegisters[NGREG];
static uint8_t savedFP[8192];
static uint64_t hostFS, hostGS;

static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                              REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                              REG_R12, REG_R13, REG_R14, REG_R15};

static inline uint64_t readFS(void) { uint64_t v; __asm__ volatile("rdfsbase %0" : "=r"(v)); return v; }
static inline uint64_t readGS(void) { uint64_t v; __asm__ volatile("rdgsbase %0" : "=r"(v)); return v; }
static inline void writeFS(uint64_t v) { __asm__ volatile("wrfsbase %0" : : "r"(v)); }
static inline void writeGS(uint64_t v) { __asm__ volatile("wrgsbase %0" : : "r"(v)); }

// Offsets within an XSAVE area in standard form.
enum { XSTATE_BV = 512, YMM_HIGH = 576, SW_RESERVED = 464 };

static uint32_t frameSize(const uint8_t *fp) {
  uint32_t size;
  memcpy(&size, fp + SW_RESERVED + 4, 4);
  return size > sizeof savedFP ? sizeof savedFP : size;
}

static void load(const struct hostx86_state *s, ucontext_t *uc) {
  greg_t *g = uc->uc_mcontext.gregs;
  uint8_t *fp = (uint8_t *)uc->uc_mcontext.fpregs;
  for (int i = 0; i < 16; i++) g[order[i]] = (greg_t)s->gpr[i];
  g[REG_RIP] = (greg_t)s->rip;
  g[REG_EFL] = (greg_t)(s->rflags | 0x102);
  uint64_t bv;
  memcpy(&bv, fp + XSTATE_BV, 8);
  bv |= 7;
  memcpy(fp + XSTATE_BV, &bv, 8);
  memcpy(fp + 0, &s->fcw, 2);
  memcpy(fp + 2, &s->fsw, 2);
  memcpy(fp + 4, &s->ftw, 2);
  memcpy(fp + 6, &s->fop, 2);
  memcpy(fp + 8, &s->fip, 8);
  memcpy(fp + 16, &s->fdp, 8);
  memcpy(fp + 24, &s->mxcsr, 4);
  for (int i = 0; i < 8; i++) {
    memcpy(fp + 32 + 16 * i, s->st[i], 10);
    memset(fp + 32 + 16 * i + 10, 0, 6);
  }
  for (int i = 0; i < 16; i++) {
    memcpy(fp + 160 + 16 * i, &s->ymm[i][0], 16);
    memcpy(fp + YMM_HIGH + 16 * i, &s->ymm[i][2], 16);
  }
}

static void store(struct hostx86_state *s, const ucontext_t *uc) {
  const greg_t *g = uc->uc_mcontext.gregs;
  const uint8_t *fp = (const uint8_t *)uc->uc_mcontext.fpregs;
  for (int i = 0; i < 16; i++) s->gpr[i] = (uint64_t)g[order[i]];
  s->rip = (uint64_t)g[REG_RIP];
  s->rflags = (uint64_t)g[REG_EFL];
  uint64_t bv;
  memcpy(&bv, fp + XSTATE_BV, 8);
  memset(s->st, 0, sizeof s->st);
  memset(s->ymm, 0, sizeof s->ymm);
  memcpy(&s->fcw, fp + 0, 2);
  memcpy(&s->fsw, fp + 2, 2);
  s->ftw = fp[4];
  memcpy(&s->fop, fp + 6, 2);
  memcpy(&s->fip, fp + 8, 8);
  memcpy(&s->fdp, fp + 16, 8);
  memcpy(&s->mxcsr, fp + 24, 4);
  for (int i = 0; i < 8; i++) memcpy(s->st[i], fp + 32 + 16 * i, 10);
  if (bv & 2)
    for (int i = 0; i < 16; i++) memcpy(&s->ymm[i][0], fp + 160 + 16 * i, 16);
  if (bv & 4)
    for (int i = 0; i < 16; i++) memcpy(&s->ymm[i][2], fp + YMM_HIGH + 16 * i, 16);
}

static void keepLines(struct hostx86_instance *one) {
  uint8_t *data = (uint8_t *)HOSTX86_DATA;
  one->lines = 0;
  if (memcmp(data, batch->data, HOSTX86_DATA_SIZE) == 0) return;
  for (uint32_t line = 0; line < HOSTX86_DATA_SIZE / 64; line++) {
    if (memcmp(data + line * 64, batch->data + line * 64, 64) == 0) continue;
    if (one->lines < HOSTX86_LINES) {
      one->line[one->lines] = line;
      memcpy(one->lineBytes[one->lines], data + line * 64, 64);
    }
    one->lines++;
    memcpy(data + line * 64, batch->data + line * 64, 64);
  }
}

static void place(const struct hostx86_instance *one) {
  memcpy(codeAlias + (one->before.rip - HOSTX86_CODE), one->code, one->codeLength);
}

__attribute__((used, noinline)) static void handle(int number, siginfo_t *info, void *context) {
  (void)number;
  (void)info;
  uint64_t fs = readFS(), gs = readGS();
  ucontext_t *uc = context;
  greg_t *g = uc->uc_mcontext.gregs;
  uint8_t *fp = (uint8_t *)uc->uc_mcontext.fpregs;
  if (!running) {
    running = 1;
    hostFS = fs;
    hostGS = gs;
    at = 0;
    memcpy(savedRegisters, g, sizeof savedRegisters);
    memcpy(savedFP, fp, frameSize(fp));
  } else {
    writeFS(hostFS);
    writeGS(hostGS);
    struct hostx86_instance *one = &batch->instance[at];
    store(&one->after, uc);
    one->after.fsbase = fs;
    one->after.gsbase = gs;
    one->vector = (uint32_t)g[REG_TRAPNO];
    one->errorCode = (uint32_t)g[REG_ERR];
    one->cr2 = (uint64_t)g[REG_CR2];
    keepLines(one);
    at++;
    batch->done = at;
  }
  if (at == batch->count) {
    running = 0;
    memcpy(g, savedRegisters, sizeof savedRegisters);
    memcpy(fp, savedFP, frameSize(savedFP));
    return;
  }
  struct hostx86_instance *next = &batch->instance[at];
  place(next);
  load(&next->before, uc);
  writeFS(next->before.fsbase);
  writeGS(next->before.gsbase);
}

// The instance may have set AC, NT and ID, which would follow us.
__asm__(
    ".text\n"
    "hostx86_entry:\n"
    "  pushq $0x202\n"
    "  popfq\n"
    "  jmp handle\n");
extern void hostx86_entry(int, siginfo_t *, void *);

static void mapAt(uint64_t address, size_t size, int protection) {
  void *got = mmap((void *)address, size, protection, MAP_FIXED_NOREPLACE | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (got != (void *)address) _exit(3);
}

static void childMain(void) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  int fd = memfd_create("hostx86", 0);
  if (fd < 0 || ftruncate(fd, HOSTX86_CODE_SIZE) != 0) _exit(3);
  void *code = mmap((void *)HOSTX86_CODE, HOSTX86_CODE_SIZE, PROT_READ | PROT_EXEC,
                    MAP_FIXED_NOREPLACE | MAP_SHARED, fd, 0);
  codeAlias = mmap(NULL, HOSTX86_CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (code != (void *)HOSTX86_CODE || codeAlias == MAP_FAILED) _exit(3);
  mapAt(HOSTX86_DATA, HOSTX86_ALL_DATA_SIZE, PROT_READ | PROT_WRITE);
  stack_t stack = {.ss_sp = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
                   .ss_size = 1 << 16};
  if (sigaltstack(&stack, NULL) != 0) _exit(3);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = hostx86_entry;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  const int signals[] = {SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
    if (sigaction(signals[i], &action, NULL) != 0) _exit(3);
  char which;
  while (read(toChild[0], &which, 1) == 1) {
    batch = batches[(int)which];
    batch->done = 0;
    memset(codeAlias, 0xcc, HOSTX86_CODE_SIZE);
    mprotect((void *)HOSTX86_DATA, HOSTX86_ALL_DATA_SIZE, PROT_READ | PROT_WRITE);
    memcpy((void *)HOSTX86_DATA, batch->data, HOSTX86_ALL_DATA_SIZE);
    mprotect((void *)(HOSTX86_DATA + HOSTX86_DATA_SIZE), HOSTX86_ALL_DATA_SIZE - HOSTX86_DATA_SIZE,
             PROT_READ);
    if (batch->count > 0) kill(getpid(), SIGTRAP);
    if (write(fromChild[1], &which, 1) != 1) _exit(0);
  }
  _exit(0);
}

int hostx86_start(void) {
  for (int i = 0; i < 2; i++) {
    batches[i] = mmap(NULL, sizeof(struct hostx86_batch), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (batches[i] == MAP_FAILED) return -1;
  }
  if (pipe(toChild) != 0 || pipe(fromChild) != 0) return -1;
  child = fork();
  if (child < 0) return -1;
  if (child == 0) {
    close(toChild[1]);
    close(fromChild[0]);
    childMain();
  }
  close(toChild[0]);
  close(fromChild[1]);
  signal(SIGPIPE, SIG_IGN);
  return 0;
}

struct hostx86_batch *hostx86_batch(int which) { return batches[which]; }

int hostx86_begin(int which) {
  char c = (char)which;
  return write(toChild[1], &c, 1) == 1 ? 0 : -1;
}

int hostx86_wait(void) {
  char c;
  return read(fromChild[0], &c, 1) == 1 ? 0 : -1;
}

int hostx86_has(uint64_t address) {
  char path[32];
  snprintf(path, sizeof path, "/proc/%d/maps", (int)child);
  FILE *maps = fopen(path, "r");
  if (maps == NULL) return 0;
  char line[512];
  unsigned long from, to;
  int found = 0;
  while (!found && fgets(line, sizeof line, maps) != NULL)
    found = sscanf(line, "%lx-%lx", &from, &to) == 2 && from <= address && address < to;
  fclose(maps);
  return found;
}

void hostx86_stop(void) {
  if (child <= 0) return;
  close(toChild[1]);
  close(fromChild[0]);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  child = -1;
}

// The part of libcapstone 4's interface that is used here.
struct cs_insn {
  unsigned id;
  uint64_t address;
  uint16_t size;
  uint8_t bytes[16];
  char mnemonic[32];
  char operands[160];
  void *detail;
};

int hostx86_disassemble(const uint8_t *bytes, size_t count, uint64_t address, char *mnemonic,
                        char *operands) {
  static int state;
  static size_t handle;
  static size_t (*disasm)(size_t, const uint8_t *, size_t, uint64_t, size_t, struct cs_insn **);
  static void (*release)(struct cs_insn *, size_t);
  if (state == 0) {
    state = -1;
    void *library = dlopen("libcapstone.so.4", RTLD_NOW);
    if (library) {
      int (*open)(int, int, size_t *) = (int (*)(int, int, size_t *))dlsym(library, "cs_open");
      disasm = (size_t(*)(size_t, const uint8_t *, size_t, uint64_t, size_t,
                          struct cs_insn **))dlsym(library, "cs_disasm");
      release = (void (*)(struct cs_insn *, size_t))dlsym(library, "cs_free");
      if (open && disasm && release && open(3, 8, &handle) == 0) state = 1;
    }
  }
  if (state < 0) return -1;
  struct cs_insn *insn;
  if (disasm(handle, bytes, count, address, 1, &insn) != 1) return 0;
  int size = insn->size;
  memcpy(mnemonic, insn->mnemonic, 32);
  memcpy(operands, insn->operands, 160);
  release(insn, 1);
  return size;
}

#else

int hostx86_start(void) { return -1; }
struct hostx86_batch *hostx86_batch(int which) { (void)which; return NULL; }
int hostx86_begin(int which) { (void)which; return -1; }
int hostx86_wait(void) { return -1; }
void hostx86_stop(void) {}
int hostx86_disassemble(const uint8_t *bytes, size_t count, uint64_t address, char *mnemonic,
                        char *operands) {
  (void)bytes; (void)count; (void)address; (void)mnemonic; (void)operands;
  return -1;
}

#endif

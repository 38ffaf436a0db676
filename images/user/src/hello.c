// SPDX-License-Identifier: Apache-2.0
// The smallest useful program: arguments, the environment, both ends of stdio, an exit status.
#include "check.h"
#include <unistd.h>

extern char **environ;
static int constructed;
__attribute__((constructor)) static void construct(void) { constructed++; }
static void at_exit(void) { write(1, "atexit ran\n", 11); }
// A table of pointers needs relocation when position independent: hello-pie is this file built as static PIE.
static const char *const words[] = {"zero", "one", "two", "three"};

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

int main(int argc, char **argv) {
  puts("Hello from the guest");
  printf("argc %d\n", argc);
  for (int i = 1; i < argc; i++) printf("argv[%d] '%s'\n", i, argv[i]);
  // Only variables meant for this program, in order: the rest and their order is the host's business.
  char *mine[16];
  size_t n = 0;
  for (char **e = environ; *e && n < 16; e++) if (!strncmp(*e, "EMU_", 4)) mine[n++] = *e;
  qsort(mine, n, sizeof *mine, by_text);
  for (size_t i = 0; i < n; i++) printf("env '%s'\n", mine[i]);
  for (int i = 0; i < 4; i++) printf("%s%c", words[i], i < 3 ? ' ' : '\n');
  CHECK("argv ends with NULL", argv[argc] == NULL);
  CHECK("argv[0] present", argc > 0 && argv[0][0] != 0);
  CHECK_EQ("constructor ran once", constructed, 1);
  CHECK("getenv of a missing name", getenv("EMU_NO_SUCH_NAME") == NULL);
  atexit(at_exit);
  return check_done("hello");
}

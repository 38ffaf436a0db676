// SPDX-License-Identifier: Apache-2.0
// N rounds of fork, exec of this same file with the argument "child", wait. Prints N.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "child")) _exit(7);
  int n = argc > 1 ? atoi(argv[1]) : 100, good = 0;
  for (int i = 0; i < n; i++) {
    pid_t pid = fork();
    int st;
    if (pid == 0) { execl("/proc/self/exe", "forkbench", "child", (char *)NULL); _exit(99); }
    good += waitpid(pid, &st, 0) == pid && WIFEXITED(st) && WEXITSTATUS(st) == 7;
  }
  printf("forkbench %d of %d\n", good, n);
  return good != n;
}

// SPDX-License-Identifier: Apache-2.0
// Copies standard input, or the files named, to standard output. Uses read and write only: no stdio buffering.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int copy(int fd) {
  static char b[4096];
  for (;;) {
    ssize_t n = read(fd, b, sizeof b);
    if (n == 0) return 0;
    if (n < 0) { if (errno == EINTR) continue; return 1; }
    for (ssize_t done = 0; done < n;) {
      ssize_t w = write(1, b + done, (size_t)(n - done));
      if (w < 0) { if (errno == EINTR) continue; return 1; }
      done += w;
    }
  }
}

int main(int argc, char **argv) {
  int bad = 0;
  if (argc < 2) return copy(0);
  for (int i = 1; i < argc; i++) {
    int fd = !strcmp(argv[i], "-") ? 0 : open(argv[i], O_RDONLY);
    if (fd < 0) { bad = 1; continue; }
    bad |= copy(fd);
    if (fd) close(fd);
  }
  return bad;
}

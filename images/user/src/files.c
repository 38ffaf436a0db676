// SPDX-License-Identifier: Apache-2.0
// Files and directories, in a directory of its own below /tmp, and the errno of everything that must fail.
#include "check.h"
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

// The entries of a directory in order of name: the order of getdents is the file system's.
static void list(const char *path) {
  DIR *d = opendir(path);
  char *name[64];
  int n = 0;
  for (struct dirent *e; d && (e = readdir(d)) && n < 64;) name[n++] = strdup(e->d_name);
  qsort(name, (size_t)n, sizeof *name, by_name);
  printf("list");
  for (int i = 0; i < n; i++) { printf(" %s", name[i]); free(name[i]); }
  printf("\n");
  if (d) closedir(d);
}

int main(void) {
  char root[] = "/tmp/emu-files-XXXXXX", cwd[PATH_MAX], b[256];
  struct stat s, t;
  CHECK("mkdtemp", mkdtemp(root) && chdir(root) == 0);
  CHECK("getcwd", getcwd(cwd, sizeof cwd) && !strcmp(cwd, root));
  CHECK_ERRNO("getcwd into too little", getcwd(cwd, 3) ? 0 : -1, ERANGE);
  umask(022);

  int fd = creat("a", 0666);
  CHECK("creat", fd >= 0);
  CHECK_EQ("write", write(fd, "hello world\n", 12), 12);
  CHECK_ERRNO("read of a write-only file", read(fd, b, 1), EBADF);
  close(fd);
  CHECK_ERRNO("close twice", close(fd), EBADF);
  fd = open("a", O_RDWR);
  CHECK("read", read(fd, b, sizeof b) == 12 && !memcmp(b, "hello world\n", 12));
  CHECK_EQ("read at the end", read(fd, b, sizeof b), 0);
  CHECK("lseek", lseek(fd, 6, SEEK_SET) == 6 && read(fd, b, 5) == 5 && !memcmp(b, "world", 5) && lseek(fd, -2, SEEK_CUR) == 9 && lseek(fd, -1, SEEK_END) == 11);
  CHECK_ERRNO("lseek before the start", lseek(fd, -100, SEEK_SET), EINVAL);
  CHECK("pread leaves the offset", pread(fd, b, 5, 0) == 5 && !memcmp(b, "hello", 5) && lseek(fd, 0, SEEK_CUR) == 11);
  CHECK("pwrite leaves the offset", pwrite(fd, "J", 1, 0) == 1 && lseek(fd, 0, SEEK_CUR) == 11);
  struct iovec v[3] = {{b, 2}, {b + 10, 0}, {b + 20, 3}};
  lseek(fd, 0, SEEK_SET);
  CHECK("readv", readv(fd, v, 3) == 5 && !memcmp(b, "Je", 2) && !memcmp(b + 20, "llo", 3));
  lseek(fd, 0, SEEK_END);
  struct iovec w[2] = {{"more ", 5}, {"text\n", 5}};
  CHECK("writev", writev(fd, w, 2) == 10 && lseek(fd, 0, SEEK_CUR) == 22);
  CHECK("preadv and pwritev", preadv(fd, v, 1, 12) == 2 && !memcmp(b, "mo", 2) && pwritev(fd, w, 1, 30) == 5);
  CHECK("a hole reads as zeros", pread(fd, b, 8, 22) == 8 && !memcmp(b, "\0\0\0\0\0\0\0\0", 8));
  CHECK("fstat", fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && s.st_size == 35 && (s.st_mode & 0777) == 0644 && s.st_nlink == 1 && s.st_uid == geteuid());
  CHECK("stat is the same file", stat("a", &t) == 0 && t.st_ino == s.st_ino && t.st_dev == s.st_dev);
  struct statx sx;
  CHECK("statx", statx(AT_FDCWD, "a", 0, STATX_BASIC_STATS, &sx) == 0 && sx.stx_size == 35 && sx.stx_ino == s.st_ino && (sx.stx_mode & 0777) == 0644);
  CHECK("ftruncate shorter", ftruncate(fd, 3) == 0 && fstat(fd, &s) == 0 && s.st_size == 3);
  CHECK("ftruncate longer", ftruncate(fd, 10) == 0 && pread(fd, b, 10, 0) == 10 && !memcmp(b, "Jel\0\0\0\0\0\0\0", 10));
  CHECK_EQ("truncate by name", truncate("a", 4), 0);
  CHECK("fsync", fsync(fd) == 0 && fdatasync(fd) == 0);

  int d = dup(fd);
  lseek(fd, 2, SEEK_SET);
  CHECK("dup shares the offset", d != fd && lseek(d, 0, SEEK_CUR) == 2);
  CHECK("dup2", dup2(fd, 50) == 50 && dup2(50, 50) == 50 && lseek(50, 0, SEEK_CUR) == 2);
  CHECK_ERRNO("dup2 of nothing", dup2(999, 51), EBADF);
  CHECK("dup3 with close-on-exec", dup3(fd, 51, O_CLOEXEC) == 51 && fcntl(51, F_GETFD) == FD_CLOEXEC && fcntl(50, F_GETFD) == 0);
  CHECK_ERRNO("dup3 onto itself", dup3(fd, fd, 0), EINVAL);
  CHECK("F_DUPFD", fcntl(fd, F_DUPFD, 60) == 60 && close(60) == 0);
  CHECK("F_SETFD", fcntl(50, F_SETFD, FD_CLOEXEC) == 0 && fcntl(50, F_GETFD) == FD_CLOEXEC);
  CHECK("F_GETFL", (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR && !(fcntl(fd, F_GETFL) & O_APPEND));
  CHECK("F_SETFL is of the description", fcntl(fd, F_SETFL, O_APPEND) == 0 && fcntl(d, F_GETFL) & O_APPEND);
  close(51);
  close(50);
  close(d);
  int lowest = open("/dev/null", O_RDONLY);
  CHECK("the lowest free descriptor", lowest == d);
  close(lowest);
  close(fd);

  fd = open("log", O_WRONLY | O_CREAT | O_APPEND, 0600);
  int e = open("log", O_WRONLY | O_APPEND);
  write(fd, "one", 3);
  write(e, "two", 3);
  lseek(fd, 0, SEEK_SET);
  write(fd, "three", 5);
  CHECK("O_APPEND", stat("log", &s) == 0 && s.st_size == 11);
  close(e);
  close(fd);
  CHECK_ERRNO("O_EXCL of what exists", open("log", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
  fd = open("log", O_RDWR | O_TRUNC);
  CHECK("O_TRUNC", fstat(fd, &s) == 0 && s.st_size == 0);
  close(fd);
  CHECK_ERRNO("O_DIRECTORY of a file", open("log", O_RDONLY | O_DIRECTORY), ENOTDIR);
  CHECK_ERRNO("open of nothing", open("none", O_RDONLY), ENOENT);
  CHECK_ERRNO("open of an empty name", open("", O_RDONLY), ENOENT);
  CHECK_ERRNO("a file as a directory", open("log/x", O_RDONLY), ENOTDIR);
  CHECK_ERRNO("open of a directory for writing", open(".", O_WRONLY), EISDIR);
  memset(b, 'n', 255), b[255] = 0;
  CHECK("a name of 255 bytes", (fd = open(b, O_CREAT | O_WRONLY, 0600)) >= 0 && unlink(b) == 0);
  close(fd);
  char longer[300];
  memset(longer, 'n', 256), longer[256] = 0;
  CHECK_ERRNO("a name of 256 bytes", open(longer, O_CREAT | O_WRONLY, 0600), ENAMETOOLONG);
  CHECK_ERRNO("a bad pointer", open((const char *)8, O_RDONLY), EFAULT);
  fd = open("a", O_RDONLY);
  CHECK_ERRNO("read to a bad pointer", read(fd, (void *)8, 4), EFAULT);
  CHECK_ERRNO("write of a read-only file", write(fd, "x", 1), EBADF);
  close(fd);
  CHECK_ERRNO("write to a bad descriptor", write(-1, "x", 1), EBADF);

  CHECK("mkdir", mkdir("d", 0777) == 0 && stat("d", &s) == 0 && S_ISDIR(s.st_mode) && (s.st_mode & 0777) == 0755);
  CHECK_ERRNO("mkdir twice", mkdir("d", 0777), EEXIST);
  CHECK_ERRNO("mkdir below nothing", mkdir("none/d", 0777), ENOENT);
  CHECK("mkdir below", mkdir("d/e", 0700) == 0 && creat("d/f", 0600) >= 0);
  CHECK_ERRNO("rmdir of a full directory", rmdir("d"), ENOTEMPTY);
  CHECK_ERRNO("rmdir of a file", rmdir("a"), ENOTDIR);
  CHECK_ERRNO("unlink of a directory", unlink("d"), EISDIR);
  CHECK("rename", rename("d/f", "g") == 0 && access("g", F_OK) == 0);
  CHECK_ERRNO("the old name is gone", access("d/f", F_OK), ENOENT);
  CHECK("rename over a file", rename("g", "log") == 0);
  CHECK_ERRNO("rename of nothing", rename("g", "h"), ENOENT);
  CHECK_ERRNO("rename of a file over a directory", rename("log", "d"), EISDIR);
  CHECK_ERRNO("rename of a directory over a file", rename("d", "log"), ENOTDIR);
  CHECK_ERRNO("rename of a directory into itself", rename("d", "d/e/x"), EINVAL);

  CHECK("link", link("a", "hard") == 0 && stat("hard", &s) == 0 && s.st_nlink == 2 && s.st_ino == t.st_ino);
  CHECK_ERRNO("link over a file", link("a", "log"), EEXIST);
  CHECK("unlink leaves the other name", unlink("hard") == 0 && stat("a", &s) == 0 && s.st_nlink == 1);
  CHECK("symlink", symlink("a", "soft") == 0 && lstat("soft", &s) == 0 && S_ISLNK(s.st_mode) && s.st_size == 1);
  CHECK("stat follows it", stat("soft", &s) == 0 && S_ISREG(s.st_mode) && s.st_ino == t.st_ino);
  memset(b, 0, sizeof b);
  CHECK("readlink", readlink("soft", b, sizeof b) == 1 && b[0] == 'a' && b[1] == 0);
  CHECK_ERRNO("readlink of a file", readlink("a", b, sizeof b), EINVAL);
  CHECK_ERRNO("O_NOFOLLOW", open("soft", O_RDONLY | O_NOFOLLOW), ELOOP);
  symlink("loop2", "loop1");
  symlink("loop1", "loop2");
  CHECK_ERRNO("a loop of links", open("loop1", O_RDONLY), ELOOP);
  symlink("nowhere", "dangling");
  CHECK_ERRNO("a dangling link", stat("dangling", &s), ENOENT);
  symlink("d/e", "through");
  CHECK("a path through a link", mkdir("through/deep", 0700) == 0 && access("d/e/deep", F_OK) == 0);
  list(".");
  list("d");

  CHECK("chdir and ..", chdir("d/e") == 0 && stat("../../a", &s) == 0 && s.st_ino == t.st_ino);
  CHECK_ERRNO("chdir to a file", chdir("../../a"), ENOTDIR);
  CHECK_ERRNO("chdir to nothing", chdir("none"), ENOENT);
  fd = open("/proc/self", O_RDONLY | O_DIRECTORY);
  close(fd);
  CHECK_EQ("chdir back", chdir(root), 0);
  fd = open("d", O_RDONLY | O_DIRECTORY);
  CHECK("openat and friends", (e = openat(fd, "new", O_CREAT | O_RDWR, 0640)) >= 0 && fstatat(fd, "new", &s, 0) == 0 && unlinkat(fd, "new", 0) == 0 && mkdirat(fd, "sub", 0700) == 0 && unlinkat(fd, "sub", AT_REMOVEDIR) == 0);
  CHECK("an unlinked file lives while open", write(e, "alive", 5) == 5 && pread(e, b, 5, 0) == 5 && !memcmp(b, "alive", 5) && fstat(e, &s) == 0 && s.st_nlink == 0);
  close(e);
  CHECK("fchdir", fchdir(fd) == 0 && access("e", F_OK) == 0 && chdir(root) == 0);
  CHECK_ERRNO("openat below a file", openat(1, "x", O_RDONLY), ENOTDIR);
  CHECK_ERRNO("read of a directory", read(fd, b, 8), EISDIR);
  close(fd);
  CHECK("chmod", chmod("a", 0400) == 0 && stat("a", &s) == 0 && (s.st_mode & 0777) == 0400);
  struct timespec times[2] = {{1000000000, 5}, {1234567890, 123456789}};
  CHECK("utimensat", utimensat(AT_FDCWD, "a", times, 0) == 0 && stat("a", &s) == 0 && s.st_atim.tv_sec == 1000000000 && s.st_mtim.tv_sec == 1234567890);
  CHECK("access", access("a", R_OK) == 0 && access("d", X_OK) == 0);

  int p[2];
  CHECK("pipe2", pipe2(p, O_NONBLOCK) == 0);
  CHECK_ERRNO("an empty pipe would block", read(p[0], b, 1), EAGAIN);
  CHECK_ERRNO("a pipe cannot seek", lseek(p[0], 0, SEEK_SET), ESPIPE);
  long full = 0;
  for (ssize_t n; (n = write(p[1], longer, 256)) > 0;) full += n;
  CHECK("a full pipe would block after 65536 bytes", errno == EAGAIN && full == 65536);
  struct pollfd pf[2] = {{p[0], POLLIN, 0}, {p[1], POLLOUT, 0}};
  CHECK("poll", poll(pf, 2, 0) == 1 && pf[0].revents == POLLIN && pf[1].revents == 0);
  close(p[1]);
  while (read(p[0], longer, 256) > 0) ;
  CHECK("the end of a pipe", poll(pf, 1, 0) == 1 && pf[0].revents == POLLHUP && read(p[0], b, 1) == 0);
  close(p[0]);

  // Everything away again, so that two runs find the same directory.
  const char *away[] = {"a", "log", "soft", "loop1", "loop2", "dangling", "through"};
  int left = 0;
  for (unsigned i = 0; i < sizeof away / sizeof *away; i++) left |= unlink(away[i]);
  CHECK("unlink of everything", left == 0 && rmdir("d/e/deep") == 0 && rmdir("d/e") == 0 && rmdir("d") == 0 && chdir("/") == 0 && rmdir(root) == 0);
  return check_done("files");
}

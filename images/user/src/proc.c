// SPDX-License-Identifier: Apache-2.0
// What a process can learn about itself and its machine: facts, never addresses or numbers of processes.
#include "check.h"
#include <fcntl.h>
#include <limits.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

static int data = 1;

// The permissions of the mapping that holds an address, or "" (the name goes to `name`).
static const char *perms_of(const void *p, char *name) {
  static char perms[8];
  char line[512];
  FILE *f = fopen("/proc/self/maps", "r");
  *perms = *name = 0;
  while (f && fgets(line, sizeof line, f)) {
    unsigned long a, b;
    char q[8], n[256] = "";
    if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %255s", &a, &b, q, n) >= 3 && (unsigned long)p >= a && (unsigned long)p < b) { strcpy(perms, q); strcpy(name, n); }
  }
  if (f) fclose(f);
  return perms;
}

static int ends(const char *s, const char *e) { size_t n = strlen(s), k = strlen(e); return n >= k && !strcmp(s + n - k, e); }

int main(int argc, char **argv) {
  char name[256], b[PATH_MAX];
  int local = 0;
  CHECK("text is r-xp of this file", !strcmp(perms_of((void *)(unsigned long)main, name), "r-xp") && strstr(name, "proc"));
  CHECK("data is rw-p", !strcmp(perms_of(&data, name), "rw-p"));
  CHECK("the stack is rw-p [stack]", !strcmp(perms_of(&local, name), "rw-p") && !strcmp(name, "[stack]"));
  void *m = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK("a new mapping appears", !strcmp(perms_of(m, name), "r--p"));
  munmap(m, 4096);
  CHECK("and disappears", !strcmp(perms_of(m, name), ""));

  ssize_t n = readlink("/proc/self/exe", b, sizeof b - 1);
  b[n > 0 ? n : 0] = 0;
  CHECK("/proc/self/exe", ends(b, "proc.elf") || ends(b, "/proc"));
  CHECK("it is absolute", b[0] == '/');
  int fd = open("/proc/self/cmdline", O_RDONLY);
  n = read(fd, b, sizeof b);
  close(fd);
  int zeros = 0;
  for (ssize_t i = 0; i < n; i++) zeros += b[i] == 0;
  CHECK("cmdline has one string an argument", n > 0 && zeros == argc && !strcmp(b, argv[0]));
  FILE *f = fopen("/proc/self/stat", "r");
  int fields = 1, pid = -1;
  char comm[64] = "";
  if (f && fgets(b, sizeof b, f)) {
    sscanf(b, "%d (%63[^)])", &pid, comm);
    for (char *p = b; *p; p++) fields += *p == ' ';
  }
  if (f) fclose(f);
  CHECK("stat has our pid and at least 44 fields", pid == getpid() && fields >= 44);
  CHECK("and our name", strstr(comm, "proc") != NULL);

  fd = open("/dev/null", O_RDWR);
  CHECK("/dev/null", write(fd, "gone", 4) == 4 && read(fd, b, 4) == 0);
  struct stat s;
  CHECK("is a character device", fstat(fd, &s) == 0 && S_ISCHR(s.st_mode));
  close(fd);
  fd = open("/dev/zero", O_RDONLY);
  memset(b, 1, 100);
  CHECK("/dev/zero", read(fd, b, 100) == 100 && b[0] == 0 && b[99] == 0);
  close(fd);
  fd = open("/dev/urandom", O_RDONLY);
  CHECK_EQ("/dev/urandom gives what is asked", read(fd, b, 100), 100);
  close(fd);
  CHECK_EQ("getrandom too", getrandom(b, 64, 0), 64);

  struct utsname u;
  CHECK("uname", uname(&u) == 0 && !strcmp(u.sysname, "Linux"));
  printf("machine %s\n", u.machine);
  CHECK_EQ("page size", sysconf(_SC_PAGESIZE), 4096);
  CHECK("page size in the auxiliary vector", getauxval(AT_PAGESZ) == 4096);
  CHECK("AT_RANDOM, AT_PHDR, AT_ENTRY, AT_EXECFN", getauxval(AT_RANDOM) && getauxval(AT_PHDR) && getauxval(AT_ENTRY) && getauxval(AT_EXECFN));
  CHECK("not set-uid", getauxval(AT_SECURE) == 0 && getauxval(AT_UID) == getuid());
  CHECK("at least one processor", sysconf(_SC_NPROCESSORS_ONLN) >= 1);
  CHECK("identities", getpid() > 0 && getppid() >= 0 && getuid() == geteuid() && getgid() == getegid());
  struct rlimit r;
  CHECK("open files limit", getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur >= 64);
  struct sysinfo si;
  CHECK("sysinfo", sysinfo(&si) == 0 && si.totalram > 0);
  return check_done("proc");
}

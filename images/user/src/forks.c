// SPDX-License-Identifier: Apache-2.0
// Processes: fork, wait in every form, pipes, copy-on-write, orphans, vfork, posix_spawn and exec of this same file.
#include "check.h"
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

// The program as its own exec target: each word does one thing and exits.
static int child(int argc, char **argv) {
  if (!strcmp(argv[1], "exit")) return atoi(argv[2]);
  if (!strcmp(argv[1], "echo")) {
    dprintf(1, "child argc %d", argc);
    for (int i = 2; i < argc; i++) dprintf(1, " [%s]", argv[i]);
    const char *e = getenv("EMU_CHILD");
    int n = 0;
    for (char **p = environ; *p; p++) n++;
    dprintf(1, " env %s of %d\n", e ? e : "(none)", n);
    return 3;
  }
  // Close-on-exec must have closed the descriptor named; the other one must have survived.
  if (!strcmp(argv[1], "fds")) return (fcntl(atoi(argv[2]), F_GETFD) == -1 ? 1 : 0) | (fcntl(atoi(argv[3]), F_GETFD) != -1 ? 2 : 0);
  if (!strcmp(argv[1], "signals")) {
    // Ignored stays ignored across exec, handled becomes default, the mask is inherited.
    struct sigaction a, b;
    sigset_t m;
    sigaction(SIGUSR1, NULL, &a);
    sigaction(SIGUSR2, NULL, &b);
    sigprocmask(SIG_SETMASK, NULL, &m);
    return (a.sa_handler == SIG_IGN ? 1 : 0) | (b.sa_handler == SIG_DFL ? 2 : 0) | (sigismember(&m, SIGWINCH) ? 4 : 0);
  }
  return 99;
}

static void nothing(int s) { (void)s; }

static int status_of(pid_t pid) { int st = -1; return waitpid(pid, &st, 0) == pid ? st : -1; }

static int vfork_shares_memory(void) {
  volatile int v = 0;
  pid_t pid = vfork();
  if (pid == 0) { v = 1; _exit(0); }
  status_of(pid);
  return v;
}

int main(int argc, char **argv) {
  // Its own case: an emulator in user mode may run vfork as fork, and then the parent does not see the write.
  if (argc > 1 && !strcmp(argv[1], "vfork-memory")) {
    CHECK_EQ("vfork shares memory", vfork_shares_memory(), 1);
    return check_done("forks");
  }
  if (argc > 1) return child(argc, argv);
  setvbuf(stdout, NULL, _IONBF, 0);  // nothing buffered may be written twice by a child
  int st, p[2];

  pid_t pid = fork();
  if (pid == 0) _exit(17);
  st = status_of(pid);
  CHECK("exit status", WIFEXITED(st) && WEXITSTATUS(st) == 17);
  pid = fork();
  if (pid == 0) _exit(0x1ff);
  CHECK_EQ("exit status keeps 8 bits", WEXITSTATUS(status_of(pid)), 255);
  pid = fork();
  if (pid == 0) { raise(SIGKILL); _exit(0); }
  st = status_of(pid);
  CHECK("killed by SIGKILL", WIFSIGNALED(st) && WTERMSIG(st) == SIGKILL);
  CHECK_ERRNO("wait without children", wait(&st), ECHILD);

  // Copy-on-write, against a shared page.
  int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  static int private_[3000];
  private_[2500] = 1;
  pid = fork();
  if (pid == 0) { private_[2500] = 2; shared[0] = private_[2500] + 40; _exit(0); }
  status_of(pid);
  CHECK("copy-on-write and shared memory", private_[2500] == 1 && shared[0] == 42);

  // A pipe with a slow writer: reads end with 0 only when the last writer has closed.
  pipe(p);
  pid = fork();
  if (pid == 0) { close(p[0]); for (int i = 0; i < 20000; i++) dprintf(p[1], "%05d\n", i); _exit(0); }
  close(p[1]);
  char buf[997];
  long total = 0, sum = 0;
  for (ssize_t n; (n = read(p[0], buf, sizeof buf)) > 0; total += n) for (ssize_t i = 0; i < n; i++) sum += buf[i];
  close(p[0]);
  CHECK("pipe through 120000 bytes", WEXITSTATUS(status_of(pid)) == 0 && total == 120000 && sum == 5370000);

  // Many children; statuses are summed because their order is the scheduler's.
  int codes = 0;
  for (int i = 0; i < 24; i++) if (fork() == 0) _exit(i);
  for (int i = 0; i < 24; i++) { wait(&st); codes += WEXITSTATUS(st); }
  CHECK_EQ("24 children", codes, 276);

  // WNOHANG: nothing yet, then the child.
  pipe(p);
  pid = fork();
  if (pid == 0) { char c; read(p[0], &c, 1); _exit(5); }
  CHECK_EQ("WNOHANG with a living child", waitpid(pid, &st, WNOHANG), 0);
  write(p[1], "x", 1);
  CHECK("then it is reaped", status_of(pid) == 5 << 8);
  close(p[0]);
  close(p[1]);

  // Stop and continue.
  pid = fork();
  if (pid == 0) { raise(SIGSTOP); _exit(6); }
  CHECK("WUNTRACED sees the stop", waitpid(pid, &st, WUNTRACED) == pid && WIFSTOPPED(st) && WSTOPSIG(st) == SIGSTOP);
  kill(pid, SIGCONT);
  CHECK("WCONTINUED sees the continue", waitpid(pid, &st, WCONTINUED) == pid && WIFCONTINUED(st));
  CHECK_EQ("and the exit", WEXITSTATUS(status_of(pid)), 6);

  // waitid leaves the child with WNOWAIT and tells how it ended.
  pid = fork();
  if (pid == 0) _exit(9);
  siginfo_t si;
  memset(&si, 0, sizeof si);
  waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT);
  CHECK("waitid", si.si_pid == pid && si.si_code == CLD_EXITED && si.si_status == 9);
  CHECK_EQ("still there after WNOWAIT", WEXITSTATUS(status_of(pid)), 9);

  // Orphan: the grandchild outlives its parent and is adopted, by this process when it may call itself a subreaper.
  pipe(p);
  CHECK_EQ("PR_SET_CHILD_SUBREAPER", prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  pid = fork();
  if (pid == 0) {
    pid_t parent = getpid();
    if (fork() == 0) {
      while (getppid() == parent) usleep(1000);
      write(p[1], "adopted", 7);
      _exit(4);
    }
    _exit(0);
  }
  status_of(pid);
  memset(buf, 0, 16);
  read(p[0], buf, 7);
  CHECK("orphan is adopted", !strcmp(buf, "adopted"));
  CHECK("the subreaper reaps it", wait(&st) > 0 && WEXITSTATUS(st) == 4);
  close(p[0]);
  close(p[1]);

  pid = vfork();
  if (pid == 0) _exit(21);
  CHECK_EQ("vfork and _exit", WEXITSTATUS(status_of(pid)), 21);
  pid = vfork();
  if (pid == 0) { execl("/proc/self/exe", "forks", "exit", "22", (char *)NULL); _exit(99); }
  CHECK_EQ("vfork and exec", WEXITSTATUS(status_of(pid)), 22);

  char *args[] = {"forks", "echo", "one", "", "two words", NULL}, *env[] = {"EMU_CHILD=yes", "EMU_MORE=1", NULL};
  pid = fork();
  if (pid == 0) { execve("/proc/self/exe", args, env); _exit(99); }
  CHECK_EQ("execve with arguments and environment", WEXITSTATUS(status_of(pid)), 3);
  pid = fork();
  if (pid == 0) { char *none[] = {NULL}; execve("/proc/self/exe", args, none); _exit(99); }
  CHECK_EQ("execve with no environment", WEXITSTATUS(status_of(pid)), 3);
  posix_spawn_file_actions_t fa;
  posix_spawn_file_actions_init(&fa);
  pipe(p);
  posix_spawn_file_actions_adddup2(&fa, p[1], 1);
  posix_spawn_file_actions_addclose(&fa, p[0]);
  CHECK_EQ("posix_spawn", posix_spawn(&pid, "/proc/self/exe", &fa, NULL, args, env), 0);
  close(p[1]);
  memset(buf, 0, sizeof buf);
  for (ssize_t n, at = 0; (n = read(p[0], buf + at, 200)) > 0; at += n) ;
  close(p[0]);
  CHECK_EQ("spawned child", WEXITSTATUS(status_of(pid)), 3);
  CHECK("its output came through the pipe", !strcmp(buf, "child argc 5 [one] [] [two words] env yes of 2\n"));
  CHECK_EQ("posix_spawn of nothing", posix_spawn(&pid, "/no/such/program", NULL, NULL, args, env), ENOENT);
  CHECK_ERRNO("execve of nothing", execve("/no/such/program", args, env), ENOENT);
  CHECK_ERRNO("execve of a directory", execve("/", args, env), EACCES);

  int keep = dup(1), lose = fcntl(1, F_DUPFD_CLOEXEC, 3);
  char a[16], b[16];
  snprintf(a, sizeof a, "%d", lose);
  snprintf(b, sizeof b, "%d", keep);
  pid = fork();
  if (pid == 0) { execl("/proc/self/exe", "forks", "fds", a, b, (char *)NULL); _exit(99); }
  CHECK_EQ("close-on-exec", WEXITSTATUS(status_of(pid)), 3);
  pid = fork();
  if (pid == 0) {
    sigset_t m;
    sigemptyset(&m);
    sigaddset(&m, SIGWINCH);
    sigprocmask(SIG_SETMASK, &m, NULL);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR2, nothing);
    execl("/proc/self/exe", "forks", "signals", (char *)NULL);
    _exit(99);
  }
  CHECK_EQ("signals across exec", WEXITSTATUS(status_of(pid)), 7);

  // File offsets belong to the open file description, so parent and child move one offset.
  pid = fork();
  if (pid == 0) _exit(getppid() > 0 && getpid() != getppid() && getpgrp() == getpgid(getppid()) ? 0 : 1);
  CHECK_EQ("identity of the child", WEXITSTATUS(status_of(pid)), 0);
  pid = fork();
  if (pid == 0) _exit(setsid() == getpid() && getsid(0) == getpid() ? 0 : 1);
  CHECK_EQ("setsid in the child", WEXITSTATUS(status_of(pid)), 0);
  struct rusage ru;
  pid = fork();
  if (pid == 0) _exit(0);
  CHECK("wait4 gives usage", wait4(pid, &st, 0, &ru) == pid && ru.ru_maxrss >= 0);
  signal(SIGCHLD, SIG_IGN);
  pid = fork();
  if (pid == 0) _exit(0);
  CHECK_ERRNO("ignored SIGCHLD leaves nothing to wait for", waitpid(pid, &st, 0), ECHILD);
  return check_done("forks");
}

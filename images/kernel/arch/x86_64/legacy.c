/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls that newer ones have replaced, and that only x86_64 still has: each is the newer one with some arguments fixed, as in
 * Linux, fs/{open,stat,namei,pipe,readlink,eventpoll,eventfd,file}.c and kernel/fork.c.
 */
#include "syscalls.h"

#define AT_FDCWD -100
#define AT_SYMLINK_NOFOLLOW 0x100
#define AT_REMOVEDIR 0x200
#define O_CREAT_WRONLY_TRUNC 01101
#define F_GETFD 1
#define SIGCHLD 17
#define CLONE_VM 0x100
#define CLONE_VFORK 0x4000

long do_sys_open(int dfd, const char *filename, int flags, unsigned int mode);
long vfs_fstatat(int dfd, const char *filename, struct stat *stat, int flags);
long do_faccessat(int dfd, const char *filename, int mode, int flags);
long do_fchmodat(int dfd, const char *filename, unsigned int mode, unsigned int flags);
long do_unlinkat(int dfd, const char *pathname);
long do_rmdir(int dfd, const char *pathname);

noinline long __do_sys_open(const char *filename, int flags, unsigned int mode) { return do_sys_open(AT_FDCWD, filename, flags, mode); }
noinline long __do_sys_creat(const char *pathname, unsigned int mode) {
  return do_sys_open(AT_FDCWD, pathname, O_CREAT_WRONLY_TRUNC, mode);
}
noinline long __do_sys_newstat(const char *filename, struct stat *statbuf) { return vfs_fstatat(AT_FDCWD, filename, statbuf, 0); }
noinline long __do_sys_newlstat(const char *filename, struct stat *statbuf) {
  return vfs_fstatat(AT_FDCWD, filename, statbuf, AT_SYMLINK_NOFOLLOW);
}
noinline long __do_sys_access(const char *filename, int mode) { return do_faccessat(AT_FDCWD, filename, mode, 0); }
noinline long __do_sys_pipe(int *fildes) { return do_pipe2(fildes, 0); }
noinline long __do_sys_dup2(unsigned int oldfd, unsigned int newfd) {
  if (oldfd != newfd) return ksys_dup3(oldfd, newfd, 0);
  /* Nothing to do but to look whether it is open. */
  long flags = do_fcntl(oldfd, F_GETFD, 0);
  return flags < 0 ? flags : (long)oldfd;
}
noinline long __do_sys_fork(void) {
  struct kernel_clone_args args = {.flags = SIGCHLD};
  return kernel_clone(&args);
}
noinline long __do_sys_vfork(void) {
  struct kernel_clone_args args = {.flags = CLONE_VFORK | CLONE_VM | SIGCHLD};
  return kernel_clone(&args);
}
noinline long __do_sys_rename(const char *oldname, const char *newname) {
  return __do_sys_renameat2(AT_FDCWD, oldname, AT_FDCWD, newname, 0);
}
noinline long __do_sys_renameat(int olddfd, const char *oldname, int newdfd, const char *newname) {
  return __do_sys_renameat2(olddfd, oldname, newdfd, newname, 0);
}
noinline long __do_sys_mkdir(const char *pathname, unsigned int mode) { return __do_sys_mkdirat(AT_FDCWD, pathname, mode); }
noinline long __do_sys_rmdir(const char *pathname) { return do_rmdir(AT_FDCWD, pathname); }
noinline long __do_sys_link(const char *oldname, const char *newname) {
  return __do_sys_linkat(AT_FDCWD, oldname, AT_FDCWD, newname, 0);
}
noinline long __do_sys_unlink(const char *pathname) { return do_unlinkat(AT_FDCWD, pathname); }
noinline long __do_sys_symlink(const char *oldname, const char *newname) { return __do_sys_symlinkat(oldname, AT_FDCWD, newname); }
noinline long __do_sys_readlink(const char *path, char *buf, int bufsiz) { return __do_sys_readlinkat(AT_FDCWD, path, buf, bufsiz); }
noinline long __do_sys_chmod(const char *filename, unsigned int mode) { return do_fchmodat(AT_FDCWD, filename, mode, 0); }
noinline long __do_sys_chown(const char *filename, unsigned int user, unsigned int group) {
  return __do_sys_fchownat(AT_FDCWD, filename, user, group, 0);
}
noinline long __do_sys_lchown(const char *filename, unsigned int user, unsigned int group) {
  return __do_sys_fchownat(AT_FDCWD, filename, user, group, AT_SYMLINK_NOFOLLOW);
}
noinline long __do_sys_mknod(const char *filename, unsigned int mode, unsigned int dev) {
  return __do_sys_mknodat(AT_FDCWD, filename, mode, dev);
}
noinline long __do_sys_epoll_create(int size) { return size <= 0 ? MODEL_SYSCALL(epoll_create1, -1) : do_epoll_create(0); }
noinline long __do_sys_epoll_wait(int epfd, struct epoll_event *events, int maxevents, int timeout) {
  return __do_sys_epoll_pwait(epfd, events, maxevents, timeout, NULL, 0);
}
noinline long __do_sys_eventfd(unsigned int count) { return do_eventfd(count, 0); }
noinline long __do_sys_signalfd(int ufd, const void *user_mask, size_t sizemask) { return do_signalfd4(ufd, user_mask, sizemask, 0); }
noinline long __do_sys_inotify_init(void) { return do_inotify_init(0); }

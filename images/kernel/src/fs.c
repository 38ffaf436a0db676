/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chains of file-system calls that are longer than one function. Linux, fs/{open,read_write,namei,stat,sync,eventpoll}.c.
 * Deviation: where Linux's function takes a struct file, it takes the descriptor: files are the model's.
 */
#include "syscalls.h"

#define AT_REMOVEDIR 0x200

struct open_flags {
  unsigned long flags, mode;
};

long do_sys_open(int dfd, const char *filename, int flags, unsigned int mode);
long do_sys_openat2(int dfd, const char *filename, struct open_flags *how);
long ksys_lseek(unsigned int fd, loff_t offset, unsigned int whence);
long vfs_llseek(unsigned int fd, loff_t offset, unsigned int whence);
long ksys_read(unsigned int fd, char *buf, size_t count);
long ksys_pread64(unsigned int fd, char *buf, size_t count, loff_t pos);
long vfs_read(unsigned int fd, char *buf, size_t count, loff_t *pos);
long ksys_write(unsigned int fd, const char *buf, size_t count);
long ksys_pwrite64(unsigned int fd, const char *buf, size_t count, loff_t pos);
long vfs_write(unsigned int fd, const char *buf, size_t count, loff_t *pos);
long do_readv(unsigned long fd, const struct iovec *vec, unsigned long vlen);
long vfs_readv(unsigned long fd, const struct iovec *vec, unsigned long vlen);
long do_writev(unsigned long fd, const struct iovec *vec, unsigned long vlen);
long vfs_writev(unsigned long fd, const struct iovec *vec, unsigned long vlen);
long do_unlinkat(int dfd, const char *pathname);
long do_rmdir(int dfd, const char *pathname);
long do_faccessat(int dfd, const char *filename, int mode, int flags);
long do_fchmodat(int dfd, const char *filename, unsigned int mode, unsigned int flags);
long vfs_fstatat(int dfd, const char *filename, struct stat *stat, int flags);
long ksys_fallocate(int fd, int mode, loff_t offset, loff_t len);
long vfs_fallocate(int fd, int mode, loff_t offset, loff_t len);
long do_fsync(unsigned int fd, int datasync);
long do_epoll_pwait(int epfd, struct epoll_event *events, int maxevents, int timeout, const void *sigmask, size_t sigsetsize);
long do_epoll_wait(int epfd, struct epoll_event *events, int maxevents, int timeout, const void *sigmask, size_t sigsetsize);

noinline long do_sys_openat2(int dfd, const char *filename, struct open_flags *how) {
  return MODEL_SYSCALL(openat, dfd, (long)filename, (long)how->flags, (long)how->mode);
}
noinline long do_sys_open(int dfd, const char *filename, int flags, unsigned int mode) {
  struct open_flags how = {.flags = (unsigned long)(unsigned int)flags, .mode = mode};
  return do_sys_openat2(dfd, filename, &how);
}
noinline long __do_sys_openat(int dfd, const char *filename, int flags, unsigned int mode) {
  return do_sys_open(dfd, filename, flags, mode);
}

noinline long vfs_llseek(unsigned int fd, loff_t offset, unsigned int whence) { return MODEL_SYSCALL(lseek, fd, offset, whence); }
noinline long ksys_lseek(unsigned int fd, loff_t offset, unsigned int whence) { return vfs_llseek(fd, offset, whence); }
noinline long __do_sys_lseek(unsigned int fd, long offset, unsigned int whence) { return ksys_lseek(fd, offset, whence); }

/* pos: where to read; NULL for the file's own position. */
noinline long vfs_read(unsigned int fd, char *buf, size_t count, loff_t *pos) {
  if (pos) return MODEL_SYSCALL(pread64, fd, (long)buf, (long)count, *pos);
  return MODEL_SYSCALL(read, fd, (long)buf, (long)count);
}
noinline long ksys_read(unsigned int fd, char *buf, size_t count) { return vfs_read(fd, buf, count, NULL); }
noinline long __do_sys_read(unsigned int fd, char *buf, size_t count) { return ksys_read(fd, buf, count); }
noinline long ksys_pread64(unsigned int fd, char *buf, size_t count, loff_t pos) { return vfs_read(fd, buf, count, &pos); }
noinline long __do_sys_pread64(unsigned int fd, char *buf, size_t count, loff_t pos) { return ksys_pread64(fd, buf, count, pos); }

noinline long vfs_write(unsigned int fd, const char *buf, size_t count, loff_t *pos) {
  if (pos) return MODEL_SYSCALL(pwrite64, fd, (long)buf, (long)count, *pos);
  return MODEL_SYSCALL(write, fd, (long)buf, (long)count);
}
noinline long ksys_write(unsigned int fd, const char *buf, size_t count) { return vfs_write(fd, buf, count, NULL); }
noinline long __do_sys_write(unsigned int fd, const char *buf, size_t count) { return ksys_write(fd, buf, count); }
noinline long ksys_pwrite64(unsigned int fd, const char *buf, size_t count, loff_t pos) { return vfs_write(fd, buf, count, &pos); }
noinline long __do_sys_pwrite64(unsigned int fd, const char *buf, size_t count, loff_t pos) {
  return ksys_pwrite64(fd, buf, count, pos);
}

noinline long vfs_readv(unsigned long fd, const struct iovec *vec, unsigned long vlen) {
  return MODEL_SYSCALL(readv, (long)fd, (long)vec, (long)vlen);
}
noinline long do_readv(unsigned long fd, const struct iovec *vec, unsigned long vlen) { return vfs_readv(fd, vec, vlen); }
noinline long __do_sys_readv(unsigned long fd, const struct iovec *vec, unsigned long vlen) { return do_readv(fd, vec, vlen); }
noinline long vfs_writev(unsigned long fd, const struct iovec *vec, unsigned long vlen) {
  return MODEL_SYSCALL(writev, (long)fd, (long)vec, (long)vlen);
}
noinline long do_writev(unsigned long fd, const struct iovec *vec, unsigned long vlen) { return vfs_writev(fd, vec, vlen); }
noinline long __do_sys_writev(unsigned long fd, const struct iovec *vec, unsigned long vlen) { return do_writev(fd, vec, vlen); }

noinline long do_unlinkat(int dfd, const char *pathname) { return MODEL_SYSCALL(unlinkat, dfd, (long)pathname, 0); }
noinline long do_rmdir(int dfd, const char *pathname) { return MODEL_SYSCALL(unlinkat, dfd, (long)pathname, AT_REMOVEDIR); }
noinline long __do_sys_unlinkat(int dfd, const char *pathname, int flag) {
  /* Other flags are the model's to refuse. */
  if (flag & ~AT_REMOVEDIR) return MODEL_SYSCALL(unlinkat, dfd, (long)pathname, flag);
  if (flag & AT_REMOVEDIR) return do_rmdir(dfd, pathname);
  return do_unlinkat(dfd, pathname);
}

/* flags: 0 is faccessat, which has none. */
noinline long do_faccessat(int dfd, const char *filename, int mode, int flags) {
  if (flags == 0) return MODEL_SYSCALL(faccessat, dfd, (long)filename, mode);
  return MODEL_SYSCALL(faccessat2, dfd, (long)filename, mode, flags);
}
noinline long __do_sys_faccessat(int dfd, const char *filename, int mode) { return do_faccessat(dfd, filename, mode, 0); }
noinline long __do_sys_faccessat2(int dfd, const char *filename, int mode, int flags) {
  return do_faccessat(dfd, filename, mode, flags);
}
noinline long do_fchmodat(int dfd, const char *filename, unsigned int mode, unsigned int flags) {
  if (flags == 0) return MODEL_SYSCALL(fchmodat, dfd, (long)filename, mode);
  return MODEL_SYSCALL(fchmodat2, dfd, (long)filename, mode, flags);
}
noinline long __do_sys_fchmodat(int dfd, const char *filename, unsigned int mode) { return do_fchmodat(dfd, filename, mode, 0); }
noinline long __do_sys_fchmodat2(int dfd, const char *filename, unsigned int mode, unsigned int flags) {
  return do_fchmodat(dfd, filename, mode, flags);
}

noinline long vfs_fstatat(int dfd, const char *filename, struct stat *stat, int flags) {
  return MODEL_SYSCALL(newfstatat, dfd, (long)filename, (long)stat, flags);
}
noinline long __do_sys_newfstatat(int dfd, const char *filename, struct stat *statbuf, int flag) {
  return vfs_fstatat(dfd, filename, statbuf, flag);
}

noinline long vfs_fallocate(int fd, int mode, loff_t offset, loff_t len) { return MODEL_SYSCALL(fallocate, fd, mode, offset, len); }
noinline long ksys_fallocate(int fd, int mode, loff_t offset, loff_t len) { return vfs_fallocate(fd, mode, offset, len); }
noinline long __do_sys_fallocate(int fd, int mode, loff_t offset, loff_t len) { return ksys_fallocate(fd, mode, offset, len); }

noinline long do_fsync(unsigned int fd, int datasync) {
  return datasync ? MODEL_SYSCALL(fdatasync, fd) : MODEL_SYSCALL(fsync, fd);
}
noinline long __do_sys_fsync(unsigned int fd) { return do_fsync(fd, 0); }
noinline long __do_sys_fdatasync(unsigned int fd) { return do_fsync(fd, 1); }

noinline long do_epoll_wait(
    int epfd, struct epoll_event *events, int maxevents, int timeout, const void *sigmask, size_t sigsetsize) {
  return MODEL_SYSCALL(epoll_pwait, epfd, (long)events, maxevents, timeout, (long)sigmask, (long)sigsetsize);
}
noinline long do_epoll_pwait(
    int epfd, struct epoll_event *events, int maxevents, int timeout, const void *sigmask, size_t sigsetsize) {
  return do_epoll_wait(epfd, events, maxevents, timeout, sigmask, sigsetsize);
}
noinline long __do_sys_epoll_pwait(
    int epfd, struct epoll_event *events, int maxevents, int timeout, const void *sigmask, size_t sigsetsize) {
  return do_epoll_pwait(epfd, events, maxevents, timeout, sigmask, sigsetsize);
}

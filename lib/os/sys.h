/* SPDX-License-Identifier: MIT */
/*
 * The table of fallible system calls: the only way in which the library touches the world, and the seam at which
 * the tests put a failing or a simulated kernel (tests/support/fault.h, tests/crash/modelfs.h).
 *
 * Members have the meaning, return values and errno of the Linux calls of the same name. Nothing here retries:
 * EINTR rules are fdio.h's. Production code never writes oxl_sys; a test may point it elsewhere while no other
 * thread runs.
 */
#ifndef OXL_OS_SYS_H
#define OXL_OS_SYS_H

#include <dirent.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <time.h>

struct oxl_sys {
        int (*openat)(int dirfd, const char *path, int flags, mode_t mode);
        /* openat2(2) with .resolve = @resolve; ENOSYS on old kernels */
        int (*openat2)(int dirfd, const char *path, int flags, mode_t mode, uint64_t resolve);
        int (*close)(int fd);
        int (*dup)(int fd); /* F_DUPFD_CLOEXEC */
        ssize_t (*read)(int fd, void *buf, size_t n);
        ssize_t (*pread)(int fd, void *buf, size_t n, off_t at);
        ssize_t (*write)(int fd, const void *buf, size_t n);
        ssize_t (*pwrite)(int fd, const void *buf, size_t n, off_t at);
        off_t (*lseek)(int fd, off_t at, int whence);
        ssize_t (*getdents)(int fd, void *buf, size_t n); /* struct dirent64 records */
        int (*fstat)(int fd, struct stat *ret);
        int (*fstatat)(int dirfd, const char *path, struct stat *ret, int flags);
        int (*fstatfs)(int fd, struct statfs *ret);
        ssize_t (*readlinkat)(int dirfd, const char *path, char *buf, size_t n);
        int (*symlinkat)(const char *target, int dirfd, const char *path);
        int (*mkdirat)(int dirfd, const char *path, mode_t mode);
        int (*unlinkat)(int dirfd, const char *path, int flags);
        int (*renameat2)(int fromfd, const char *from, int tofd, const char *to, unsigned flags);
        int (*linkat)(int fromfd, const char *from, int tofd, const char *to, int flags);
        int (*ftruncate)(int fd, off_t size);
        int (*fallocate)(int fd, int mode, off_t at, off_t n);
        int (*fchmod)(int fd, mode_t mode);
        int (*fchown)(int fd, uid_t uid, gid_t gid);
        int (*futimens)(int fd, const struct timespec times[2]);
        int (*fsync)(int fd);
        int (*fdatasync)(int fd);
        int (*syncfs)(int fd);
        int (*sync_file_range)(int fd, off_t at, off_t n, unsigned flags);
        int (*fadvise)(int fd, off_t at, off_t n, int advice); /* returns an errno value, as posix_fadvise */
        int (*ficlone)(int fd, int src_fd);
        /* FS_IOC_FIEMAP, unsynced, of the first extent: how many there are (0, 1); where, and FIEMAP_EXTENT_* */
        int (*fiemap)(int fd, uint64_t *ret_physical, uint32_t *ret_flags);
        int (*ofd_lock)(int fd, int cmd, struct flock *lock); /* F_OFD_SETLK, F_OFD_SETLKW, F_OFD_GETLK */
        int (*setlease)(int fd,
                        int type); /* F_SETLEASE, told by SIGURG, whose default is to be ignored (not SIGIO's) */
        ssize_t (*getrandom)(void *buf, size_t n, unsigned flags);
        int (*uname)(struct utsname *ret);
        int (*clock_gettime)(clockid_t clock, struct timespec *ret);
        int (*nanosleep)(const struct timespec *time, struct timespec *ret_left);
};

/* The kernel itself. */
extern const struct oxl_sys oxl_sys_real;

/* The table in use. */
extern const struct oxl_sys *oxl_sys;

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Descriptors: complete reads and writes, confined opening, checked closing, reading directories.
 *
 * These helpers keep the convention of system calls, because only their caller knows which error a failure is:
 * -1 with errno set, unless their comment says otherwise. Each retries EINTR, except close, where Linux has released
 * the descriptor already. All descriptors are opened with O_CLOEXEC.
 *
 * A descriptor that was written through is closed with oxl_fd_close() and the result checked; cleanup_fd is for those
 * that were only read.
 */
#ifndef OXL_OS_FDIO_H
#define OXL_OS_FDIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "os/sys.h"

/* Closes when >= 0 and sets to -1; keeps errno, reports nothing. */
void oxl_fd_done(int *fd);
#define cleanup_fd cleanup(oxl_fd_done)

/* 0, also after EINTR; -1 with EIO, ENOSPC, EDQUOT ... The descriptor is gone in any case. */
OXL_MUST_CHECK int oxl_fd_close(int fd);

/* openat. */
OXL_MUST_CHECK int oxl_fd_open(int dirfd, const char *path, int flags, mode_t mode);

/*
 * Opens @path, relative to @rootfd, following no symbolic link in any component and never leaving @rootfd ("" is the root
 * itself; ".." and absolute paths are EXDEV; a link is ELOOP). openat2 where the kernel has it, else one O_NOFOLLOW
 * open per component. Paths may be longer than PATH_MAX.
 */
OXL_MUST_CHECK int oxl_open_beneath(int rootfd, const char *path, int flags, mode_t mode);

/* One read; 0 at the end. */
OXL_MUST_CHECK ssize_t oxl_fd_read(int fd, void *buf, size_t n);

/* Reads until @n bytes or the end of the file; returns how many. */
OXL_MUST_CHECK ssize_t oxl_fd_read_full(int fd, void *buf, size_t n);
OXL_MUST_CHECK ssize_t oxl_fd_pread_full(int fd, void *buf, size_t n, uint64_t at);

/* Appends the rest of the file to @buf. EFBIG when it is more than @max bytes, ENOMEM; @buf then holds a part. */
OXL_MUST_CHECK int oxl_fd_read_all(int fd, size_t max, struct oxl_buf *buf);

/* Write all of it; a write that makes no progress is EIO. After a failure a part may be written. */
OXL_MUST_CHECK int oxl_fd_write_all(int fd, const void *bytes, size_t n);
OXL_MUST_CHECK int oxl_fd_pwrite_all(int fd, const void *bytes, size_t n, uint64_t at);

OXL_MUST_CHECK int oxl_fd_truncate(int fd, uint64_t size);

/* fstat, and fstatat that does not follow a link. */
OXL_MUST_CHECK int oxl_fd_stat(int fd, struct stat *ret);
OXL_MUST_CHECK int oxl_fd_stat_at(int dirfd, const char *name, struct stat *ret);

/* The same inode of the same file system? */
bool oxl_stat_same(const struct stat *a, const struct stat *b);

/* @n bytes from the kernel's random source. */
OXL_MUST_CHECK int oxl_random_bytes(void *buf, size_t n);

/* --- directories ------------------------------------------------------------------------------------------------ */

struct oxl_dirent {
        const char *name; /* borrowed until the next call */
        uint64_t ino;
        unsigned char type; /* DT_*; DT_UNKNOWN on file systems that do not say */
};

/* Caller storage (8 KiB). */
struct oxl_dir {
        int fd;
        size_t at, filled;
        _Alignas(8) char buf[8192];
};
#define OXL_DIR_INIT { .fd = -1 }

/* Starts a listing of the directory @dirfd, which stays the caller's: the listing has a descriptor and a position of its
 * own. */
OXL_MUST_CHECK int oxl_dir_open(struct oxl_dir *d, int dirfd);

/* 1: *ret is the next entry, "." and ".." left out. 0: the end. -1: an error, told apart from the end. */
OXL_MUST_CHECK int oxl_dir_next(struct oxl_dir *d, struct oxl_dirent *ret);

/* Idempotent; keeps errno. */
void oxl_dir_done(struct oxl_dir *d);
#define cleanup_dir cleanup(oxl_dir_done)

#endif

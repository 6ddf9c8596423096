/* SPDX-License-Identifier: MIT */
/* The real table: thin wrappers, where the C library has no function of the right type or adds behaviour of its own. */
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/openat2.h>

#include "os/sys.h"

static int real_openat(int dirfd, const char *path, int flags, mode_t mode)
{
        return openat(dirfd, path, flags, mode);
}

static int real_openat2(int dirfd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
        struct open_how how = { .flags = (uint32_t)flags, .mode = mode, .resolve = resolve };
        return (int)syscall(SYS_openat2, dirfd, path, &how, sizeof how);
}

static int real_dup(int fd)
{
        return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static ssize_t real_getdents(int fd, void *buf, size_t n)
{
        return (ssize_t)syscall(SYS_getdents64, fd, buf, n);
}

static int real_renameat2(int fromfd, const char *from, int tofd, const char *to, unsigned flags)
{
        return renameat2(fromfd, from, tofd, to, flags);
}

static int real_ficlone(int fd, int src_fd)
{
        return ioctl(fd, FICLONE, src_fd);
}

static int real_fiemap(int fd, uint64_t *ret_physical, uint32_t *ret_flags)
{
        union {
                struct fiemap map;
                char room[sizeof(struct fiemap) + sizeof(struct fiemap_extent)];
        } u = { .map = { .fm_length = FIEMAP_MAX_OFFSET, .fm_extent_count = 1 } };
        if (ioctl(fd, FS_IOC_FIEMAP, &u.map) < 0)
                return -1;
        if (u.map.fm_mapped_extents == 0)
                return 0;
        *ret_physical = u.map.fm_extents[0].fe_physical;
        *ret_flags = u.map.fm_extents[0].fe_flags;
        return 1;
}

static int real_ofd_lock(int fd, int cmd, struct flock *lock)
{
        return fcntl(fd, cmd, lock);
}

/* A mask would not do: it is a thread's, and the signal is the process's. */
static int real_setlease(int fd, int type)
{
        return fcntl(fd, F_SETSIG, SIGURG) < 0 ? -1 : fcntl(fd, F_SETLEASE, type);
}

const struct oxl_sys oxl_sys_real = {
        .openat = real_openat,
        .openat2 = real_openat2,
        .close = close,
        .dup = real_dup,
        .read = read,
        .pread = pread,
        .write = write,
        .pwrite = pwrite,
        .lseek = lseek,
        .getdents = real_getdents,
        .fstat = fstat,
        .fstatat = fstatat,
        .fstatfs = fstatfs,
        .readlinkat = readlinkat,
        .symlinkat = symlinkat,
        .mkdirat = mkdirat,
        .unlinkat = unlinkat,
        .renameat2 = real_renameat2,
        .linkat = linkat,
        .ftruncate = ftruncate,
        .fallocate = fallocate,
        .fchmod = fchmod,
        .fchown = fchown,
        .futimens = futimens,
        .fsync = fsync,
        .fdatasync = fdatasync,
        .syncfs = syncfs,
        .sync_file_range = sync_file_range,
        .fadvise = posix_fadvise,
        .ficlone = real_ficlone,
        .fiemap = real_fiemap,
        .ofd_lock = real_ofd_lock,
        .setlease = real_setlease,
        .getrandom = getrandom,
        .uname = uname,
        .clock_gettime = clock_gettime,
        .nanosleep = nanosleep,
};

const struct oxl_sys *oxl_sys = &oxl_sys_real;

/* SPDX-License-Identifier: MIT */
/* The fault table, see fault.h. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "os/sys.h"
#include "support/fault.h"

enum { NAMES_MAX = 48, TRACE_MAX = 1 << 16 };

static struct {
        const struct oxl_sys *base;
        struct fault_plan plan;
        unsigned matched, fired;
        struct {
                const char *name;
                unsigned calls;
        } counts[NAMES_MAX];
        char trace[TRACE_MAX];
        size_t trace_len;
        struct oxl_sys table;
} fault;

static const char *const interruptible[] = { "openat", "openat2",   "read",      "pread",     "write",
                                             "pwrite", "close",     "ftruncate", "fallocate", "fsync",
                                             "syncfs", "fdatasync", "ofd_lock",  "getrandom", "getdents" };

static bool can_be_interrupted(const char *name)
{
        for (size_t i = 0; i < sizeof interruptible / sizeof interruptible[0]; i++)
                if (strcmp(name, interruptible[i]) == 0)
                        return true;
        return false;
}

static void record(const char *name)
{
        size_t i = 0;
        while (i < NAMES_MAX - 1 && fault.counts[i].name && strcmp(fault.counts[i].name, name) != 0)
                i++;
        fault.counts[i].name = name;
        fault.counts[i].calls++;
        size_t n = strlen(name);
        if (fault.trace_len + n + 2 > TRACE_MAX)
                return;
        memcpy(fault.trace + fault.trace_len, name, n);
        fault.trace_len += n;
        fault.trace[fault.trace_len++] = ' ';
        fault.trace[fault.trace_len] = 0;
}

/* Counts the call; does it fail? */
static bool fires(const char *name)
{
        const struct fault_plan *p = &fault.plan;
        record(name);
        if (p->nth == 0 || (p->only && strcmp(p->only, name) != 0))
                return false;
        if (p->os == EINTR && !can_be_interrupted(name))
                return false;
        fault.matched++;
        unsigned times = p->times ? p->times : 1;
        if (fault.matched < p->nth || (!p->for_ever && fault.matched >= p->nth + times))
                return false;
        fault.fired++;
        errno = p->os;
        return true;
}

static size_t shortened_read(size_t n)
{
        return fault.plan.short_read && n > fault.plan.short_read ? fault.plan.short_read : n;
}

/* With .after the call is made, and then reported as failed all the same. */
#define WRAP(type, name, params, args)            \
        static type f_##name params               \
        {                                         \
                bool failing = fires(#name);      \
                if (failing && !fault.plan.after) \
                        return -1;                \
                type r = fault.base->name args;   \
                if (failing)                      \
                        errno = fault.plan.os;    \
                return failing ? -1 : r;          \
        }

/* The same calls on every machine: what it says of its disks is not asked, and none of them rotates. */
static int f_openat(int dirfd, const char *path, int flags, mode_t mode)
{
        if (strncmp(path, "/sys/dev/block/", strlen("/sys/dev/block/")) == 0) {
                errno = ENOENT;
                return -1;
        }
        bool failing = fires("openat");
        if (failing && !fault.plan.after)
                return -1;
        int r = fault.base->openat(dirfd, path, flags, mode);
        if (failing)
                errno = fault.plan.os;
        return failing ? -1 : r;
}

WRAP(int, openat2, (int dirfd, const char *path, int flags, mode_t mode, uint64_t resolve),
     (dirfd, path, flags, mode, resolve))
WRAP(int, dup, (int fd), (fd))
WRAP(ssize_t, read, (int fd, void *buf, size_t n), (fd, buf, shortened_read(n)))
WRAP(ssize_t, pread, (int fd, void *buf, size_t n, off_t at), (fd, buf, shortened_read(n), at))
WRAP(off_t, lseek, (int fd, off_t at, int whence), (fd, at, whence))
WRAP(ssize_t, getdents, (int fd, void *buf, size_t n), (fd, buf, n))
WRAP(int, fstat, (int fd, struct stat *ret), (fd, ret))
WRAP(int, fstatat, (int dirfd, const char *path, struct stat *ret, int flags), (dirfd, path, ret, flags))
WRAP(int, fstatfs, (int fd, struct statfs *ret), (fd, ret))
WRAP(ssize_t, readlinkat, (int dirfd, const char *path, char *buf, size_t n), (dirfd, path, buf, n))
WRAP(int, symlinkat, (const char *target, int dirfd, const char *path), (target, dirfd, path))
WRAP(int, mkdirat, (int dirfd, const char *path, mode_t mode), (dirfd, path, mode))
WRAP(int, unlinkat, (int dirfd, const char *path, int flags), (dirfd, path, flags))
WRAP(int, renameat2, (int fromfd, const char *from, int tofd, const char *to, unsigned flags),
     (fromfd, from, tofd, to, flags))
WRAP(int, linkat, (int fromfd, const char *from, int tofd, const char *to, int flags), (fromfd, from, tofd, to, flags))
WRAP(int, ftruncate, (int fd, off_t size), (fd, size))
WRAP(int, fallocate, (int fd, int mode, off_t at, off_t n), (fd, mode, at, n))
WRAP(int, fchmod, (int fd, mode_t mode), (fd, mode))
WRAP(int, fchown, (int fd, uid_t uid, gid_t gid), (fd, uid, gid))
WRAP(int, futimens, (int fd, const struct timespec times[2]), (fd, times))
WRAP(int, fsync, (int fd), (fd))
WRAP(int, fdatasync, (int fd), (fd))
WRAP(int, syncfs, (int fd), (fd))
WRAP(int, sync_file_range, (int fd, off_t at, off_t n, unsigned flags), (fd, at, n, flags))
WRAP(int, ficlone, (int fd, int src_fd), (fd, src_fd))
WRAP(int, fiemap, (int fd, uint64_t *ret_physical, uint32_t *ret_flags), (fd, ret_physical, ret_flags))
WRAP(int, ofd_lock, (int fd, int cmd, struct flock *lock), (fd, cmd, lock))
WRAP(int, setlease, (int fd, int type), (fd, type))
WRAP(ssize_t, getrandom, (void *buf, size_t n, unsigned flags), (buf, n, flags))
WRAP(int, clock_gettime, (clockid_t clock, struct timespec *ret), (clock, ret))
WRAP(int, nanosleep, (const struct timespec *time, struct timespec *ret), (time, ret))
WRAP(int, uname, (struct utsname * ret), (ret))

static size_t shortened(size_t n)
{
        if (fault.plan.short_write && n > fault.plan.short_write)
                return fault.plan.short_write;
        return fault.plan.one_less && n > 1 ? n - 1 : n;
}

static ssize_t f_write(int fd, const void *buf, size_t n)
{
        if (fires("write"))
                return fault.plan.os ? -1 : 0;
        return fault.base->write(fd, buf, shortened(n));
}

static ssize_t f_pwrite(int fd, const void *buf, size_t n, off_t at)
{
        if (fires("pwrite"))
                return fault.plan.os ? -1 : 0;
        return fault.base->pwrite(fd, buf, shortened(n), at);
}

/* Linux frees the descriptor even when close fails. */
static int f_close(int fd)
{
        bool failing = fires("close");
        int r = fault.base->close(fd);
        if (failing)
                errno = fault.plan.os;
        return failing ? -1 : r;
}

static int f_fadvise(int fd, off_t at, off_t n, int advice)
{
        return fires("fadvise") ? fault.plan.os : fault.base->fadvise(fd, at, n, advice);
}

void fault_install(const struct fault_plan *plan)
{
        if (oxl_sys == &fault.table)
                abort();
        const struct oxl_sys *base = oxl_sys;
        memset(&fault, 0, sizeof fault);
        fault.base = base;
        fault.plan = *plan;
        fault.table = (struct oxl_sys){
                .write = f_write,
                .pwrite = f_pwrite,
                .close = f_close,
                .fadvise = f_fadvise,
                .openat = f_openat,
                .openat2 = f_openat2,
                .dup = f_dup,
                .read = f_read,
                .pread = f_pread,
                .lseek = f_lseek,
                .getdents = f_getdents,
                .fstat = f_fstat,
                .fstatat = f_fstatat,
                .fstatfs = f_fstatfs,
                .readlinkat = f_readlinkat,
                .symlinkat = f_symlinkat,
                .mkdirat = f_mkdirat,
                .unlinkat = f_unlinkat,
                .renameat2 = f_renameat2,
                .linkat = f_linkat,
                .ftruncate = f_ftruncate,
                .fallocate = f_fallocate,
                .fchmod = f_fchmod,
                .fchown = f_fchown,
                .futimens = f_futimens,
                .fsync = f_fsync,
                .fdatasync = f_fdatasync,
                .syncfs = f_syncfs,
                .sync_file_range = f_sync_file_range,
                .ficlone = f_ficlone,
                .fiemap = f_fiemap,
                .ofd_lock = f_ofd_lock,
                .setlease = f_setlease,
                .getrandom = f_getrandom,
                .clock_gettime = f_clock_gettime,
                .nanosleep = f_nanosleep,
                .uname = f_uname,
        };
        oxl_sys = &fault.table;
}

bool fault_remove(void)
{
        oxl_sys = fault.base;
        return fault.fired > 0;
}

unsigned fault_calls(const char *name)
{
        unsigned n = 0;
        for (size_t i = 0; i < NAMES_MAX && fault.counts[i].name; i++)
                if (!name || strcmp(fault.counts[i].name, name) == 0)
                        n += fault.counts[i].calls;
        return n;
}

const char *fault_trace(void)
{
        return fault.trace;
}

unsigned fault_open_descriptors(void)
{
        unsigned n = 0;
        DIR *dir = opendir("/proc/self/fd");
        if (!dir)
                abort();
        while (readdir(dir))
                n++;
        closedir(dir);
        return n;
}

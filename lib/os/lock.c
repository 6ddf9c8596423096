/* SPDX-License-Identifier: MIT */
/* Byte-range locks of open file descriptions. */
#include <errno.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "os/lock.h"
#include "os/sys.h"

static struct flock range(short type, uint64_t start, uint64_t len)
{
        OXL_ASSERT(start <= INT64_MAX && len <= INT64_MAX - start);
        return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)start, .l_len = (off_t)len };
}

static int call(int fd, int cmd, struct flock *lock)
{
        int r;
        do
                r = oxl_sys->ofd_lock(fd, cmd, lock);
        while (r < 0 && errno == EINTR);
        return r;
}

int oxl_lock_set(int fd, uint64_t start, uint64_t len, enum oxl_lock_kind kind, bool wait, const char *path,
                 struct oxl_error *err)
{
        struct flock lock = range(kind == OXL_LOCK_EXCLUSIVE ? F_WRLCK : F_RDLCK, start, len);
        if (call(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &lock) == 0)
                return 0;
        if (!wait && (errno == EAGAIN || errno == EACCES))
                return OXL_LOCK_BUSY;
        return OXL_FAIL_OS(err, FILE_LOCK, path);
}

int oxl_lock_drop(int fd, uint64_t start, uint64_t len, const char *path, struct oxl_error *err)
{
        struct flock lock = range(F_UNLCK, start, len);
        return call(fd, F_OFD_SETLK, &lock) == 0 ? 0 : OXL_FAIL_OS(err, FILE_LOCK, path);
}

int oxl_lock_probe(int fd, uint64_t start, uint64_t len, const char *path, bool *ret_held, struct oxl_error *err)
{
        struct flock lock = range(F_WRLCK, start, len); /* conflicts with shared and exclusive locks alike */
        if (call(fd, F_OFD_GETLK, &lock) < 0)
                return OXL_FAIL_OS(err, FILE_LOCK, path);
        *ret_held = lock.l_type != F_UNLCK;
        return 0;
}

/* SPDX-License-Identifier: MIT */
/* `reserve`, see reserve.h. */
#include "repo/reserve.h"
#include "base/fail.h"
#include "os/fdio.h"

enum { RESERVE_BYTES = 8 << 20 };

/* The space must be real: allocated, or written. */
static int fill(struct oxl_stage *s, struct oxl_error *err)
{
        static const char zeros[65536];
        int fd = oxl_stage_fd(s);
        if (fd >= 0 && oxl_sys->fallocate(fd, 0, 0, RESERVE_BYTES) == 0)
                return 0;
        if (fd < 0 || (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL))
                return OXL_FAIL_OS(err, FILE_WRITE, "reserve");
        int r = 0;
        for (size_t at = 0; r == 0 && at < RESERVE_BYTES; at += sizeof zeros)
                r = oxl_stage_write(s, zeros, sizeof zeros, err);
        return r;
}

int oxl_reserve_make(struct oxl_durable *d, struct oxl_error *err)
{
        struct oxl_stage *s;
        int r = oxl_stage_open(d, "", "reserve", 0, &s, err);
        if (r < 0)
                return r;
        r = fill(s, err);
        if (r == 0)
                r = oxl_stage_sync(s, err);
        if (r == 0)
                r = oxl_stage_publish(s, "reserve", true, err);
        oxl_stage_free(s);
        return r;
}

uint64_t oxl_reserve_drop(struct oxl_durable *d, int root_fd)
{
        struct stat st;
        if (oxl_fd_stat_at(root_fd, "reserve", &st) < 0 || !S_ISREG(st.st_mode))
                return 0;
        /* CRASH: it is there or not; commands work without it */
        return oxl_durable_unlink(d, "reserve", st.st_dev, st.st_ino, NULL) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

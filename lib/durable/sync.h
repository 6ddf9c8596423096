/* SPDX-License-Identifier: MIT */
/* The sync calls. EINTR is retried; any other failure is final, because after it the kernel calls the pages clean:
 * a second fsync would succeed with the data lost. */
#ifndef OXL_DURABLE_SYNC_H
#define OXL_DURABLE_SYNC_H

#include <errno.h>

#include "durable/mutant.h"
#include "os/sys.h"

static inline int oxl_sync_again(void)
{
        return errno == EINTR || (OXL_MUTANT(RETRY_FSYNC) && errno == EIO);
}

static inline int oxl_sync_fd(int fd)
{
        int r;
        do
                r = oxl_sys->fsync(fd);
        while (r < 0 && oxl_sync_again());
        return r;
}

static inline int oxl_sync_fs(int fd)
{
        int r;
        do
                r = oxl_sys->syncfs(fd);
        while (r < 0 && oxl_sync_again());
        return r;
}

#endif

/* SPDX-License-Identifier: MIT */
/* The sync calls. EINTR is retried; any other failure is final, because after it the kernel calls the pages clean:
 * a second fsync would succeed with the data lost. */
#ifndef OXL_DURABLE_SYNC_H
#define OXL_DURABLE_SYNC_H

#include <errno.h>
#include <stdbool.h>

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

/*
 * Does syncfs() of @fd, which was not opened by O_PATH, tell of everything that was lost since it was opened? Since Linux 5.8 it
 * reports failed writeback, of file systems that note it per superblock; since 5.17 also what the file system's own sync says,
 * which was dropped before. Those that keep no such note, are not the ones that write (overlay, network, FUSE), or do not flush the
 * drive's cache there (vfat, exfat), are not believed: there each file is synced by itself. (sync.c names those that are.)
 */
bool oxl_syncfs_reports(int fd);

#endif

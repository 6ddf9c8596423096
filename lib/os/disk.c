/* SPDX-License-Identifier: MIT */
/* Devices by their numbers in sysfs; places by FIEMAP. Nothing is synced for the answer, and nothing but speed depends on it. */
#include <stdio.h>
#include <sys/sysmacros.h>

#include <linux/fiemap.h>

#include "base/cleanup.h"
#include "os/disk.h"
#include "os/fdio.h"

bool oxl_disk_rotating(dev_t dev)
{
        static const char *const of[] = { "", "../" }; /* a disk's own folder; a partition's lies in its disk's */
        if (major(dev) == 0)
                return false;
        for (size_t i = 0; i < OXL_ARRAY_LEN(of); i++) {
                char path[80], says = 0;
                snprintf(path, sizeof path, "/sys/dev/block/%u:%u/%squeue/rotational", major(dev), minor(dev), of[i]);
                cleanup_fd int fd = oxl_fd_open(AT_FDCWD, path, O_RDONLY | O_NOCTTY, 0);
                if (fd >= 0)
                        return oxl_fd_read(fd, &says, 1) == 1 && says == '1';
        }
        return false;
}

int oxl_disk_place(int fd, uint64_t *ret)
{
        static const uint32_t nowhere = FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC | FIEMAP_EXTENT_DATA_INLINE;
        uint64_t at = 0;
        uint32_t flags = 0;
        if (oxl_sys->fiemap(fd, &at, &flags) < 0)
                return -1;
        *ret = flags & nowhere ? 0 : at; /* of no extent nothing is said */
        return 0;
}

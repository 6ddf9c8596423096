/* SPDX-License-Identifier: MIT */
/* Whether one sync may stand for many, see sync.h. Writes nothing. */
#include <stdint.h>
#include <stdlib.h>

#include <linux/magic.h>

#include "base/cleanup.h"
#include "durable/sync.h"
#include "os/sys.h"

static bool kernel_reports(void)
{
        struct utsname u;
        unsigned long major, minor;
        char *dot;
        if (oxl_sys->uname(&u) < 0)
                return false;
        major = strtoul(u.release, &dot, 10);
        minor = *dot == '.' ? strtoul(dot + 1, NULL, 10) : 0;
        return major > 5 || (major == 5 && minor >= 17);
}

/* Those whose syncfs writes back, flushes the drive's cache and keeps what failed, as their fsync does. Not vfat and exfat, which do not flush
 * there, nor what lies above another file system: there each file is synced. */
static bool is_known(int fd)
{
        static const uint32_t known[] = { EXT4_SUPER_MAGIC /* ext2 and ext3, too */, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC,
                                          F2FS_SUPER_MAGIC, TMPFS_MAGIC };
        struct statfs fs;
        if (oxl_sys->fstatfs(fd, &fs) < 0)
                return false;
        for (size_t i = 0; i < OXL_ARRAY_LEN(known); i++)
                if ((uint32_t)fs.f_type == known[i])
                        return true;
        return false;
}

bool oxl_syncfs_reports(int fd)
{
        return kernel_reports() && is_known(fd);
}

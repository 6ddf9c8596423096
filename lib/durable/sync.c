/* SPDX-License-Identifier: MIT */
/* Whether one sync may stand for many, see sync.h. Writes nothing. */
#include <stdlib.h>

#include "durable/sync.h"
#include "os/fskind.h"

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

bool oxl_syncfs_reports(int fd)
{
        enum oxl_fs_kind kind;
        return kernel_reports() && oxl_fs_kind(fd, &kind) == 0 && kind == OXL_FS_LOCAL;
}

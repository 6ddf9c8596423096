/* SPDX-License-Identifier: MIT */
/* Kinds of file systems, by their magic numbers (statfs(2), linux/magic.h; the others are out of the kernel's tree). */
#include <stdint.h>

#include <linux/magic.h>

#include "base/cleanup.h"
#include "os/fskind.h"
#include "os/sys.h"

int oxl_fs_kind(int fd, enum oxl_fs_kind *ret)
{
        static const uint32_t network[] = {
                NFS_SUPER_MAGIC,
                SMB_SUPER_MAGIC,
                0xff534d42 /* CIFS */,
                0xfe534d42 /* SMB2 */,
                V9FS_MAGIC,
                FUSE_SUPER_MAGIC,
                CODA_SUPER_MAGIC,
                AFS_SUPER_MAGIC,
                AFS_FS_MAGIC,
                0x00c36400 /* Ceph */,
                0x0bd00bd0 /* Lustre */,
                OCFS2_SUPER_MAGIC,
                0x01161970 /* GFS2 */,
                0x19830326 /* BeeGFS */,
                0x47504653 /* GPFS */,
        };
        struct statfs fs;
        if (oxl_sys->fstatfs(fd, &fs) < 0)
                return -1;
        *ret = (uint32_t)fs.f_type == OVERLAYFS_SUPER_MAGIC ? OXL_FS_OVERLAY : OXL_FS_LOCAL;
        for (size_t i = 0; i < OXL_ARRAY_LEN(network); i++)
                if ((uint32_t)fs.f_type == network[i])
                        *ret = OXL_FS_NETWORK;
        return 0;
}

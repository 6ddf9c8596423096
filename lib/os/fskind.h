/* SPDX-License-Identifier: MIT */
/* What kind of file system is it, as far as proofs depend on that? */
#ifndef OXL_OS_FSKIND_H
#define OXL_OS_FSKIND_H

enum oxl_fs_kind {
        OXL_FS_LOCAL = 0,
        OXL_FS_OVERLAY, /* one file may be two inodes: who has it open is not known; locks are right */
        OXL_FS_NETWORK, /* other machines may have it open or locked; FUSE may be one */
};

/* -1 with errno when the kernel does not say. */
int oxl_fs_kind(int fd, enum oxl_fs_kind *ret);

#endif

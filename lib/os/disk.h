/* SPDX-License-Identifier: MIT */
/* What the kernel tells of the disk below files: does the order of reading matter there, and where do the files lie? */
#ifndef OXL_OS_DISK_H
#define OXL_OS_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Is the device (a stat's st_dev) a rotating disk, or a part of one? Asks sysfs. False where nothing says so: a file system
 * without a device of its own (tmpfs, overlay, btrfs, the network), no sysfs. */
bool oxl_disk_rotating(dev_t dev);

/* The first byte on the device of the open file @fd; 0: it has no certain place (it is empty, inline or not written out yet).
 * -1 with errno: the kernel does not say; EOPNOTSUPP, ENOTTY: it does of no file there. */
int oxl_disk_place(int fd, uint64_t *ret);

#endif

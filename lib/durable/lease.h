/* SPDX-License-Identifier: MIT */
/*
 * Is a temp that others made, without any lock of ours, still wanted?
 *
 * Two things together are the proof: the kernel grants a write lease, so no process of this machine has the file open or
 * mapped; and its inode was changed last more than a day before a file that is made now in the same folder, so its maker
 * is not just between closing and renaming it. The file system's own clock is compared with itself.
 */
#ifndef OXL_DURABLE_LEASE_H
#define OXL_DURABLE_LEASE_H

#include <stdbool.h>
#include <stdint.h>

/* ctime of a file made now in the folder, made when it is first asked for. */
struct oxl_probe {
        bool asked;
        int os; /* why there is none; 0: there is */
        int64_t now_ns;
};
#define OXL_PROBE_INIT { 0 }

enum oxl_lease_state {
        OXL_LEASE_DEAD = 0, /* granted and old; the lease is held until the descriptor is closed */
        OXL_LEASE_OPEN,     /* somebody has it open */
        OXL_LEASE_YOUNG,    /* nobody has, but it is younger than a day */
        OXL_LEASE_UNKNOWN,  /* the question failed: *ret_os */
};
/* @fd: the file, opened for reading by us alone; @dirfd, its folder. */
enum oxl_lease_state oxl_lease_judge(int dirfd, int fd, struct oxl_probe *probe, int *ret_os);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Leases and ages of foreign temps, see lease.h.
 *
 * What a crash leaves: nothing, or where O_TMPFILE is not known one empty temp of owner 0, which no one holds and any
 * sweep removes. The kernel drops a lease with its descriptor.
 */
#include <unistd.h>

#include "durable/lease.h"
#include "durable/tempname.h"
#include "os/fdio.h"

#define DAY_NS (INT64_C(86400) * 1000000000)

static int64_t changed_ns(const struct stat *st)
{
        return (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec;
}

/* A file with a name, where the file system cannot make one without. */
static int make_named(int dirfd, struct stat *ret)
{
        char name[OXL_TEMP_NAME_SIZE];
        if (oxl_temp_name_make("probe", 0, name, NULL) < 0)
                return -1;
        cleanup_fd int fd = oxl_fd_open(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -1;
        int r = oxl_fd_stat(fd, ret), os = errno;
        OXL_IGNORE(oxl_sys->unlinkat(dirfd, name, 0), "the next sweep removes it");
        errno = os;
        return r;
}

static int make_probe(int dirfd, struct stat *ret)
{
        cleanup_fd int fd = oxl_fd_open(dirfd, ".", O_TMPFILE | O_WRONLY, 0600);
        if (fd >= 0)
                return oxl_fd_stat(fd, ret);
        /* What kernels and file systems without it say. */
        return errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL || errno == ENOENT ? make_named(dirfd, ret)
                                                                                            : -1;
}

static void ask_clock(int dirfd, struct oxl_probe *p)
{
        struct stat st;
        if (p->asked)
                return;
        p->asked = true;
        bool made = make_probe(dirfd, &st) == 0;
        p->os = made ? 0 : errno;
        p->now_ns = made ? changed_ns(&st) : 0;
}

/* Under the lease: what was changed before it was granted is old, or is not; nobody can change it now. */
static enum oxl_lease_state judge_age(int dirfd, int fd, struct oxl_probe *probe, int *ret_os)
{
        struct stat st;
        ask_clock(dirfd, probe);
        *ret_os = probe->os;
        if (probe->os)
                return OXL_LEASE_UNKNOWN;
        if (oxl_fd_stat(fd, &st) < 0) {
                *ret_os = errno;
                return OXL_LEASE_UNKNOWN;
        }
        int64_t changed = changed_ns(&st);
        return changed < probe->now_ns && probe->now_ns - changed > DAY_NS ? OXL_LEASE_DEAD : OXL_LEASE_YOUNG;
}

enum oxl_lease_state oxl_lease_judge(int dirfd, int fd, struct oxl_probe *probe, int *ret_os)
{
        *ret_os = 0;
        if (oxl_sys->setlease(fd, F_WRLCK) < 0) {
                if (errno == EAGAIN)
                        return OXL_LEASE_OPEN;
                *ret_os = errno;
                return OXL_LEASE_UNKNOWN;
        }
        enum oxl_lease_state state = judge_age(dirfd, fd, probe, ret_os);
        if (state != OXL_LEASE_DEAD)
                OXL_IGNORE(oxl_sys->setlease(fd, F_UNLCK), "it goes with the descriptor, at the latest");
        return state;
}

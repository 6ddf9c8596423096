/* SPDX-License-Identifier: MIT */
/* See trial.h. Each trial is one function: 0 it works; -1 with errno, 0 when nothing failed but the answer was wrong. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "durable/remove.h"
#include "durable/tempname.h"
#include "durable/trial.h"
#include "os/fdio.h"
#include "os/lock.h"

enum { BLOCK_BYTES = 4096 };

/* The seam's own number: resolve beneath, no links. */
enum { RESOLVE_CONFINED = 0x08 | 0x04 };

static int wrong(void)
{
        errno = 0;
        return -1;
}

/* Makes @name with one block of @byte; the descriptor, or -1. */
static int make(int dirfd, const char *name, char byte)
{
        char block[BLOCK_BYTES];
        memset(block, byte, sizeof block);
        cleanup_fd int fd = oxl_fd_open(dirfd, name, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
        if (fd < 0 || oxl_fd_write_all(fd, block, sizeof block) < 0)
                return -1;
        return take_fd(&fd);
}

static int first_byte(int fd)
{
        char byte = 0;
        ssize_t n = oxl_fd_pread_full(fd, &byte, 1, 0);
        return n == 1 ? byte : n < 0 ? -1 : wrong();
}

static int try_rename(int dirfd)
{
        cleanup_fd int old = make(dirfd, "target", 'o');
        cleanup_fd int new_ = make(dirfd, "source", 'n');
        if (old < 0 || new_ < 0 || oxl_sys->renameat2(dirfd, "source", dirfd, "target", 0) < 0)
                return -1;
        cleanup_fd int now = oxl_fd_open(dirfd, "target", O_RDONLY | O_NOFOLLOW, 0);
        struct stat st;
        if (now < 0)
                return -1;
        if (oxl_fd_stat_at(dirfd, "source", &st) == 0)
                return wrong();
        return first_byte(old) == 'o' && first_byte(now) == 'n' ? 0 : wrong();
}

static int try_no_replace(int dirfd)
{
        cleanup_fd int a = make(dirfd, "first", 'a');
        cleanup_fd int b = make(dirfd, "second", 'b');
        if (a < 0 || b < 0)
                return -1;
        if (oxl_sys->renameat2(dirfd, "first", dirfd, "second", RENAME_NOREPLACE) == 0)
                return wrong();
        return errno == EEXIST ? 0 : -1;
}

static int try_file_sync(int dirfd)
{
        cleanup_fd int fd = make(dirfd, "synced", 's');
        return fd < 0 ? -1 : oxl_sys->fsync(fd);
}

static int try_dir_sync(int dirfd)
{
        return oxl_sys->fsync(dirfd);
}

static int try_syncfs(int dirfd)
{
        return oxl_sys->syncfs(dirfd);
}

static int try_unnamed(int dirfd)
{
        cleanup_fd int fd = oxl_fd_open(dirfd, ".", O_TMPFILE | O_WRONLY, 0600);
        return fd < 0 ? -1 : 0;
}

static int try_locks(int dirfd)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        bool held = false, after = true;
        cleanup_fd int a = make(dirfd, "locks", 'l');
        cleanup_fd int b = oxl_fd_open(dirfd, "locks", O_RDWR | O_NOFOLLOW, 0);
        if (a < 0 || b < 0)
                return -1;
        int k = oxl_lock_set(a, UINT64_C(1) << 62, 1, OXL_LOCK_EXCLUSIVE, false, "locks", &why);
        if (k >= 0)
                k = oxl_lock_probe(b, UINT64_C(1) << 62, 1, "locks", &held, &why);
        oxl_fd_done(&a); /* as when its process dies */
        if (k >= 0)
                k = oxl_lock_probe(b, UINT64_C(1) << 62, 1, "locks", &after, &why);
        errno = why.os;
        return k < 0 ? -1 : held && !after ? 0 : wrong();
}

static int try_lease(int dirfd)
{
        cleanup_fd int fd = make(dirfd, "leased", 'l');
        if (fd < 0 || oxl_sys->setlease(fd, F_WRLCK) < 0)
                return -1;
        return oxl_sys->setlease(fd, F_UNLCK);
}

static int try_direct(int dirfd)
{
        cleanup_fd int made = make(dirfd, "direct", 'd');
        cleanup_fd int fd = oxl_fd_open(dirfd, "direct", O_RDONLY | O_DIRECT | O_NOFOLLOW, 0);
        if (made < 0 || fd < 0)
                return -1;
        cleanup_free char *block = aligned_alloc(BLOCK_BYTES, BLOCK_BYTES);
        if (!block)
                return -1;
        ssize_t n = oxl_fd_pread_full(fd, block, BLOCK_BYTES, 0);
        return n < 0 ? -1 : n == BLOCK_BYTES && block[0] == 'd' ? 0 : wrong();
}

static int try_reflink(int dirfd)
{
        cleanup_fd int from = make(dirfd, "cloned", 'c');
        cleanup_fd int to = make(dirfd, "clone", ' ');
        return from < 0 || to < 0 ? -1 : oxl_sys->ficlone(to, from);
}

static int try_link(int dirfd)
{
        cleanup_fd int fd = make(dirfd, "one", '1');
        return fd < 0 ? -1 : oxl_sys->linkat(dirfd, "one", dirfd, "two", 0);
}

static int try_symlink(int dirfd)
{
        char target[16];
        if (oxl_sys->symlinkat("nowhere", dirfd, "symlink") < 0)
                return -1;
        ssize_t n = oxl_sys->readlinkat(dirfd, "symlink", target, sizeof target);
        return n < 0 ? -1 : n == 7 && memcmp(target, "nowhere", 7) == 0 ? 0 : wrong();
}

static int try_holes(int dirfd)
{
        enum { FAR = 8 << 20 };
        cleanup_fd int fd = make(dirfd, "sparse", 's');
        if (fd < 0 || oxl_fd_truncate(fd, FAR) < 0)
                return -1;
        off_t hole = oxl_sys->lseek(fd, 0, SEEK_HOLE);
        return hole < 0 ? -1 : hole < FAR ? 0 : wrong();
}

static int try_bytes(int dirfd)
{
        static const char name[] = "bytes-\xff\xfe";
        struct stat st;
        cleanup_fd int fd = make(dirfd, name, 'b');
        return fd < 0 ? -1 : oxl_fd_stat_at(dirfd, name, &st);
}

static int try_case(int dirfd)
{
        struct stat st;
        cleanup_fd int fd = make(dirfd, "letter", 'l');
        if (fd < 0)
                return -1;
        if (oxl_fd_stat_at(dirfd, "LETTER", &st) == 0)
                return wrong();
        return errno == ENOENT ? 0 : -1;
}

static int try_confined(int dirfd)
{
        cleanup_fd int fd = oxl_sys->openat2(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, RESOLVE_CONFINED);
        return fd < 0 ? -1 : 0;
}

typedef int trial_fn(int dirfd);

static trial_fn *const trials[OXL_TRIALS] = {
        [OXL_TRIAL_RENAME] = try_rename,       [OXL_TRIAL_NO_REPLACE] = try_no_replace,
        [OXL_TRIAL_FILE_SYNC] = try_file_sync, [OXL_TRIAL_DIR_SYNC] = try_dir_sync,
        [OXL_TRIAL_SYNCFS] = try_syncfs,       [OXL_TRIAL_UNNAMED] = try_unnamed,
        [OXL_TRIAL_LOCKS] = try_locks,         [OXL_TRIAL_LEASE] = try_lease,
        [OXL_TRIAL_DIRECT] = try_direct,       [OXL_TRIAL_REFLINK] = try_reflink,
        [OXL_TRIAL_LINK] = try_link,           [OXL_TRIAL_SYMLINK] = try_symlink,
        [OXL_TRIAL_HOLES] = try_holes,         [OXL_TRIAL_BYTES] = try_bytes,
        [OXL_TRIAL_CASE] = try_case,           [OXL_TRIAL_CONFINED] = try_confined,
};

static int run_all(int fd, const atomic_bool *cancel, struct oxl_trial ret[OXL_TRIALS], struct oxl_error *err)
{
        for (size_t i = 0; i < OXL_TRIALS; i++) {
                if (cancel && atomic_load(cancel))
                        return OXL_FAIL_PLAIN(err, CANCELLED);
                errno = 0;
                int k = trials[i](fd);
                ret[i] = (struct oxl_trial){ .works = k >= 0, .os = k >= 0 ? 0 : errno };
        }
        return 0;
}

int oxl_trials_run(int dirfd, const char *dir, const atomic_bool *cancel, struct oxl_trial ret[OXL_TRIALS],
                   struct oxl_error *err)
{
        char name[OXL_TEMP_NAME_SIZE];
        int k = oxl_temp_name_make("oxen-lite-doctor", 0, name, err);
        if (k < 0)
                return k;
        /* CRASH: the folder and what is in it stay; see the top of trial.h */
        if (oxl_sys->mkdirat(dirfd, name, 0700) < 0)
                return OXL_FAIL_OS(err, DOCTOR_PROBE, dir);
        cleanup_fd int fd = oxl_fd_open(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        k = fd < 0 ? OXL_FAIL_OS(err, DOCTOR_PROBE, dir) : run_all(fd, cancel, ret, err);
        int gone = oxl_remove_tree(dirfd, name, k < 0 ? NULL : err);
        return k < 0 ? k : gone;
}

/* SPDX-License-Identifier: MIT */
/*
 * The folder of a private copy: $TMPDIR/oxen-lite-journal-<16 hex>, 0700, with a file `lock` whose byte 0 its maker holds.
 *
 * Its names are removed a few milliseconds after it was made, so only who dies within those leaves it. Whoever makes the next one
 * removes it then: a lock that can be had is the proof that the maker is dead. A maker whose folder or lock was taken away before it
 * held the lock tries another name. Where locks do not work ($TMPDIR on some network file systems) nothing is proven, and nothing removed.
 */
#include <string.h>
#include <unistd.h>

#include "base/hex.h"
#include "base/path.h"
#include "journal/internal.h"
#include "os/fdio.h"
#include "os/lock.h"

enum {
        NAME_TRIES = 64,
        NAME_DIGITS = 16,
        SIBLINGS_MAX = 4096, /* entries of $TMPDIR that are looked at */
};

static const char prefix[] = "oxen-lite-journal-";
/* The -shm is derived from the -wal: SQLite makes it. */
static const char *const files[] = { "journal.db", "journal.db-wal", "journal.db-journal", "journal.db-shm" };

static const char *temp_root(void)
{
        const char *dir = getenv("TMPDIR");
        return dir && dir[0] == '/' ? dir : "/tmp";
}

void oxl_copy_dir_clear(int dirfd)
{
        for (size_t i = 0; i < OXL_ARRAY_LEN(files); i++)
                OXL_IGNORE(oxl_sys->unlinkat(dirfd, files[i], 0) < 0, "it may never have been there");
}

/* --- those of the dead -------------------------------------------------------------------------------------------- */

static bool is_name(const char *name)
{
        size_t n = sizeof prefix - 1;
        return strncmp(name, prefix, n) == 0 && strspn(name + n, "0123456789abcdef") == NAME_DIGITS &&
               name[n + NAME_DIGITS] == '\0';
}

static void sweep_one(int parent, const char *name)
{
        cleanup_error struct oxl_error ignored = OXL_ERROR_INIT;
        struct stat st;
        cleanup_fd int dirfd = oxl_fd_open(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        if (dirfd < 0 || oxl_fd_stat(dirfd, &st) < 0 || st.st_uid != geteuid())
                return;
        cleanup_fd int lock = oxl_fd_open(dirfd, "lock", O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0);
        if (lock < 0 && errno != ENOENT)
                return;
        if (lock >= 0) {
                if (oxl_lock_set(lock, 0, 1, OXL_LOCK_EXCLUSIVE, false, name, &ignored) != 0)
                        return; /* its maker lives, or nobody can tell */
                oxl_copy_dir_clear(dirfd);
                OXL_IGNORE(oxl_sys->unlinkat(dirfd, "lock", 0) < 0, "then the folder stays, too");
        }
        /* Without a lock it is empty, or not of this kind. */
        OXL_IGNORE(oxl_sys->unlinkat(parent, name, AT_REMOVEDIR) < 0, "the next one tries again");
}

static void sweep(void)
{
        cleanup_dir struct oxl_dir d = OXL_DIR_INIT;
        struct oxl_dirent e;
        cleanup_fd int parent = oxl_fd_open(AT_FDCWD, temp_root(), O_RDONLY | O_DIRECTORY, 0);
        if (parent < 0 || oxl_dir_open(&d, parent) < 0)
                return;
        for (int i = 0; i < SIBLINGS_MAX && oxl_dir_next(&d, &e) > 0; i++)
                if (is_name(e.name))
                        sweep_one(parent, e.name);
}

/* --- ours --------------------------------------------------------------------------------------------------------- */

/* 0: @dirfd and j->copy_lock are ours; 1: somebody took it for a dead one's. */
static int take(struct oxl_journal *j, int dirfd, struct oxl_error *err)
{
        cleanup_error struct oxl_error ignored = OXL_ERROR_INIT;
        struct stat st;
        j->copy_lock = oxl_fd_open(dirfd, "lock", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
        if (j->copy_lock < 0)
                return errno == ENOENT ? 1 : OXL_FAIL_OS(err, FILE_CREATE, j->copy_dir);
        if (oxl_lock_set(j->copy_lock, 0, 1, OXL_LOCK_EXCLUSIVE, false, j->copy_dir, &ignored) == OXL_LOCK_BUSY)
                return 1;
        if (oxl_fd_stat(j->copy_lock, &st) < 0)
                return OXL_FAIL_OS(err, FILE_STAT, j->copy_dir);
        return st.st_nlink == 0;
}

static int make_one(struct oxl_journal *j, int *ret_fd, struct oxl_error *err)
{
        uint8_t random[NAME_DIGITS / 2];
        char name[sizeof prefix + NAME_DIGITS];
        memcpy(name, prefix, sizeof prefix);
        if (oxl_random_bytes(random, sizeof random) < 0)
                return OXL_FAIL_OS(err, RANDOM, temp_root());
        oxl_hex_encode(random, sizeof random, name + sizeof prefix - 1);
        int r = oxl_path_join(temp_root(), name, &j->copy_dir, err);
        if (r < 0)
                return r;
        if (oxl_sys->mkdirat(AT_FDCWD, j->copy_dir, 0700) < 0) {
                r = errno == EEXIST ? 1 : OXL_FAIL_OS(err, DIR_CREATE, j->copy_dir);
                free(take_ptr(&j->copy_dir)); /* not ours to remove */
                return r;
        }
        *ret_fd = oxl_fd_open(AT_FDCWD, j->copy_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        if (*ret_fd < 0)
                return errno == ENOENT ? 1 : OXL_FAIL_OS(err, DIR_OPEN, j->copy_dir);
        return take(j, *ret_fd, err);
}

int oxl_copy_dir_make(struct oxl_journal *j, int *ret_fd, struct oxl_error *err)
{
        sweep();
        for (int i = 0; i < NAME_TRIES; i++) {
                int r = make_one(j, ret_fd, err);
                if (r <= 0)
                        return r;
                oxl_fd_done(ret_fd);
                oxl_fd_done(&j->copy_lock);
                free(take_ptr(&j->copy_dir));
        }
        errno = EEXIST;
        return OXL_FAIL_OS(err, DIR_CREATE, temp_root());
}

void oxl_copy_dir_remove(struct oxl_journal *j)
{
        if (!j->copy_dir)
                return;
        cleanup_fd int dirfd = oxl_fd_open(AT_FDCWD, j->copy_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        if (dirfd >= 0) { /* without it, it may be empty yet */
                oxl_copy_dir_clear(dirfd);
                OXL_IGNORE(oxl_sys->unlinkat(dirfd, "lock", 0) < 0, "then the folder stays, too");
        }
        if (oxl_sys->unlinkat(AT_FDCWD, j->copy_dir, AT_REMOVEDIR) == 0) {
                free(take_ptr(&j->copy_dir));
                oxl_fd_done(&j->copy_lock);
        }
}

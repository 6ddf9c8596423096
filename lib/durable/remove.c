/* SPDX-License-Identifier: MIT */
/* Removing whole folders of ours that nothing refers to. What a crash leaves: a part of the folder, to be removed
 * again. */
#include "durable/remove.h"
#include "base/fail.h"
#include "os/fdio.h"

enum { DEPTH_MAX = 16 };

static int remove_dir(int dirfd, const char *name, unsigned depth, struct oxl_error *err);

static int remove_entry(int dirfd, const char *name, unsigned depth, struct oxl_error *err)
{
        struct stat st;
        if (oxl_fd_stat_at(dirfd, name, &st) < 0)
                return errno == ENOENT ? 0 : OXL_FAIL_OS(err, FILE_REMOVE, name);
        if (S_ISDIR(st.st_mode))
                return remove_dir(dirfd, name, depth + 1, err);
        /* CRASH: a part of a folder that nothing refers to */
        if (oxl_sys->unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
                return OXL_FAIL_OS(err, FILE_REMOVE, name);
        return 0;
}

/* Goes on after a failure: what can go, goes. */
static int remove_content(int fd, const char *name, unsigned depth, struct oxl_error *err)
{
        int first = 0;
        struct oxl_dirent e;
        cleanup_dir struct oxl_dir dir = OXL_DIR_INIT;
        if (oxl_dir_open(&dir, fd) < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, name);
        for (;;) {
                int r = oxl_dir_next(&dir, &e);
                if (r < 0 && first == 0)
                        return OXL_FAIL_OS(err, DIR_READ, name);
                if (r <= 0)
                        return first;
                r = remove_entry(fd, e.name, depth, first == 0 ? err : NULL);
                if (first == 0)
                        first = r;
        }
}

static int remove_dir(int dirfd, const char *name, unsigned depth, struct oxl_error *err)
{
        if (depth > DEPTH_MAX)
                return OXL_FAIL_WHY(err, LIMIT, name, "folders are too deep to be removed");
        cleanup_fd int fd = oxl_fd_open(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        if (fd < 0)
                return errno == ENOENT ? 0 : OXL_FAIL_OS(err, DIR_OPEN, name);
        int r = remove_content(fd, name, depth, err);
        if (r < 0)
                return r;
        /* CRASH: a part of a folder that nothing refers to */
        if (oxl_sys->unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
                return OXL_FAIL_OS(err, FILE_REMOVE, name);
        return 0;
}

int oxl_remove_tree(int dirfd, const char *name, struct oxl_error *err)
{
        return remove_dir(dirfd, name, 0, err);
}

int oxl_remove_empty(int dirfd, const char *name, struct oxl_error *err)
{
        /* CRASH: an empty folder, or none */
        if (oxl_sys->unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT && errno != ENOTEMPTY &&
            errno != EEXIST && errno != ENOTDIR)
                return OXL_FAIL_OS(err, FILE_REMOVE, name);
        return 0;
}

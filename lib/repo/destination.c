/* SPDX-License-Identifier: MIT */
/* See destination.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/path.h"
#include "objects/loose.h"
#include "os/fdio.h"
#include "repo/destination.h"

/* --- opening ------------------------------------------------------------------------------------------------------ */

/* Makes @to below its deepest existing parent, durably. */
static int make_folder(const char *to, struct oxl_error *err)
{
        cleanup_free char *head = strdup(to);
        if (!head)
                return OXL_FAIL_PLAIN(err, NOMEM);
        size_t len = strlen(head);
        cleanup_fd int fd = -1;
        while (len > 0 && (fd = oxl_fd_open(AT_FDCWD, head, O_RDONLY | O_DIRECTORY, 0)) < 0) {
                if (errno != ENOENT)
                        return OXL_FAIL_OS(err, DIR_OPEN, to);
                len = oxl_path_parent_len(head);
                head[len] = '\0';
        }
        const char *base = len > 0 ? head : to[0] == '/' ? "/" : ".";
        if (fd < 0)
                fd = oxl_fd_open(AT_FDCWD, base, O_RDONLY | O_DIRECTORY, 0);
        if (fd < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, base);
        const char *rest = to + len + (to[len] == '/');
        struct oxl_durable *d;
        int k = oxl_durable_new(fd, base, 0, &d, err);
        if (k < 0)
                return k;
        k = oxl_durable_mkdir(d, rest, err);
        if (k >= 0)
                k = oxl_durable_barrier(d, err);
        oxl_durable_free(d);
        return k;
}

static int open_folder(struct oxl_destination *d, const char *typed, bool make, struct oxl_error *err)
{
        cleanup_free char *to = strdup(typed);
        if (!to)
                return OXL_FAIL_PLAIN(err, NOMEM);
        for (size_t n = strlen(to); n > 1 && to[n - 1] == '/'; n--)
                to[n - 1] = '\0';
        d->fd = oxl_fd_open(AT_FDCWD, to, O_RDONLY | O_DIRECTORY, 0);
        int k = 0;
        if (d->fd < 0 && errno == ENOENT && make) {
                k = make_folder(to, err);
                if (k < 0)
                        return k;
                d->fd = oxl_fd_open(AT_FDCWD, to, O_RDONLY | O_DIRECTORY, 0);
        }
        if (d->fd < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, to);
        k = oxl_repo_real_path(d->fd, to, &d->path, err);
        if (k < 0) {
                oxl_fd_done(&d->fd);
                return k;
        }
        size_t n = strlen(d->repo->root);
        if (strncmp(d->path, d->repo->root, n) == 0 && (d->path[n] == '/' || d->path[n] == '\0'))
                return OXL_FAIL_WHY(err, PATH, to, "it lies inside the repository's own folder");
        return 0;
}

int oxl_destination_open(struct oxl_destination *d, struct oxl_repo *r, const char *to, bool make,
                         struct oxl_error *err)
{
        int k = 0;
        d->repo = r;
        if (to)
                k = open_folder(d, to, make, err);
        else
                d->fd = r->worktree_fd;
        if (k >= 0)
                k = oxl_durable_new(d->fd, d->path ? d->path : r->worktree, r->owner ? oxl_owner_number(r->owner) : 0,
                                    &d->durable, err);
        if (k >= 0)
                k = oxl_index_open(r->root_fd, &r->format.id, r->format.blob_algo, &d->index, err);
        return k;
}

void oxl_destination_done(struct oxl_destination *d)
{
        oxl_index_free(d->index);
        oxl_durable_free(d->durable);
        if (d->path)
                oxl_fd_done(&d->fd);
        if (d->seen_dir) /* else it may be all zero, never opened */
                oxl_fd_done(&d->seen_fd);
        free(d->seen_dir);
        free(d->path);
        *d = (struct oxl_destination)OXL_DESTINATION_INIT;
}

/* --- looking ------------------------------------------------------------------------------------------------------ */

int oxl_destination_parent(struct oxl_destination *d, const char *path, int *ret_fd, struct oxl_error *err)
{
        cleanup_free char *parent = NULL;
        int k = oxl_path_parent(path, &parent, err);
        if (k < 0)
                return k;
        *ret_fd = oxl_open_beneath(d->fd, parent[0] ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
        if (*ret_fd >= 0)
                return 0;
        if (errno == ENOENT)
                return 1;
        return errno == ENOTDIR || errno == ELOOP ? 2 : OXL_FAIL_OS(err, DIR_OPEN, parent);
}

/* The folder that holds @path. 1: it is not there. */
static int open_parent(struct oxl_destination *d, const char *path, int *ret_fd, struct oxl_error *err)
{
        cleanup_free char *parent = NULL;
        int k = oxl_destination_parent(d, path, ret_fd, err);
        if (k < 2)
                return k;
        k = oxl_path_parent(path, &parent, err);
        return k < 0 ? k : OXL_FAIL_WHY(err, PATH, parent, "a file or symbolic link is in the way of a folder");
}

/* The same for a look. *ret_fd is borrowed until the next one. */
static int look_into_parent(struct oxl_destination *d, const char *path, int *ret_fd, struct oxl_error *err)
{
        size_t len = oxl_path_parent_len(path);
        if (!d->seen_dir || strncmp(d->seen_dir, path, len) != 0 || d->seen_dir[len] != '\0') {
                cleanup_fd int fd = -1;
                cleanup_free char *dir = NULL;
                int k = open_parent(d, path, &fd, err);
                if (k >= 0)
                        k = oxl_path_parent(path, &dir, err);
                if (k < 0)
                        return k;
                oxl_fd_done(&d->seen_fd);
                free(d->seen_dir);
                d->seen_fd = take_fd(&fd);
                d->seen_dir = take_ptr(&dir);
        }
        *ret_fd = d->seen_fd;
        return d->seen_fd < 0;
}

/* Is it what the index says? Then replacing it loses nothing. */
static int equals_index(struct oxl_destination *d, int dirfd, const struct oxl_tree_item *item, const struct stat *st,
                        struct oxl_error *err)
{
        struct oxl_index_entry entry;
        if (d->path)
                return 1;
        int k = oxl_index_lookup(d->index, item->path, item->path_len, &entry, err);
        if (k != 0 || entry.kind == OXL_ENTRY_NONE)
                return k < 0 ? k : 1;
        return oxl_worktree_compare(dirfd, oxl_path_base(item->path), item->path, st, &entry, d->repo->options.cancel,
                                    err);
}

int oxl_destination_compare(struct oxl_destination *d, int dirfd, const struct oxl_tree_item *item,
                            const struct stat *st, struct oxl_error *err)
{
        struct oxl_index_entry entry = { .path = item->path,
                                         .path_len = item->path_len,
                                         .kind = item->kind,
                                         .size = item->size,
                                         .id = item->id },
                               indexed;
        if (!d->path) { /* borrow the stat cache when the index has the same content */
                int k = oxl_index_lookup(d->index, item->path, item->path_len, &indexed, err);
                if (k < 0)
                        return k;
                if (k == 0 && indexed.kind == item->kind && oxl_digest_equal(&indexed.id, &item->id))
                        entry.stat = indexed.stat;
        }
        return oxl_worktree_compare(dirfd, oxl_path_base(item->path), item->path, st, &entry, d->repo->options.cancel,
                                    err);
}

int oxl_destination_look(struct oxl_destination *d, const struct oxl_tree_item *item, enum oxl_destination_state *ret,
                         struct stat *ret_st, struct oxl_error *err)
{
        const char *what;
        int dirfd;
        int k = look_into_parent(d, item->path, &dirfd, err);
        *ret = OXL_DEST_ABSENT;
        if (k != 0)
                return k < 0 ? k : 0;
        if (oxl_fd_stat_at(dirfd, oxl_path_base(item->path), ret_st) < 0)
                return errno == ENOENT ? 0 : OXL_FAIL_OS(err, FILE_STAT, item->path);
        if (S_ISDIR(ret_st->st_mode))
                return OXL_FAIL_WHY(err, PATH, item->path, "a folder is in the way of a file");
        if (oxl_worktree_kind(ret_st, &what) == OXL_ENTRY_NONE)
                return OXL_FAIL_WHY(err, PATH_SPECIAL, item->path, what);
        k = oxl_destination_compare(d, dirfd, item, ret_st, err);
        if (k == 0)
                *ret = OXL_DEST_SAME;
        if (k <= 0)
                return k;
        k = equals_index(d, dirfd, item, ret_st, err);
        if (k >= 0)
                *ret = k == 0 ? OXL_DEST_CLEAN : OXL_DEST_CHANGED;
        return k < 0 ? k : 0;
}

int oxl_destination_store(struct oxl_destination *d, struct oxl_put *put, const char *path, struct oxl_index_entry *ret,
                          struct oxl_error *err)
{
        cleanup_fd int dirfd = -1;
        int k = open_parent(d, path, &dirfd, err);
        if (k > 0)
                return OXL_FAIL_PATH(err, PATH_NOT_FOUND, path);
        return k < 0 ? k : oxl_worktree_store(put, dirfd, oxl_path_base(path), path, d->repo->options.cancel, ret, err);
}

/* Digest of the file or link @name as a blob. */
static int digest_at(struct oxl_destination *d, int dirfd, const char *name, struct oxl_digest *ret,
                     struct oxl_error *err)
{
        char link[PATH_MAX];
        uint64_t bytes;
        ssize_t n = oxl_sys->readlinkat(dirfd, name, link, sizeof link);
        if (n >= 0) {
                *ret = oxl_digest_of(d->repo->format.blob_algo, link, (size_t)n);
                return 0;
        }
        cleanup_fd int fd = oxl_fd_open(dirfd, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC, 0);
        if (fd < 0)
                return OXL_FAIL_OS(err, FILE_OPEN, name);
        return oxl_fd_digest(fd, name, d->repo->format.blob_algo, d->repo->options.cancel, ret, &bytes, err);
}

int oxl_destination_is_stored(struct oxl_destination *d, struct oxl_objects *o, const char *path, struct oxl_error *err)
{
        cleanup_fd int dirfd = -1;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        struct oxl_digest id;
        int k = open_parent(d, path, &dirfd, err);
        if (k > 0)
                return OXL_FAIL_PATH(err, PATH_NOT_FOUND, path);
        if (k == 0)
                k = digest_at(d, dirfd, oxl_path_base(path), &id, err);
        if (k < 0)
                return k;
        k = oxl_objects_stream(o, &id, NULL, NULL, d->repo->options.cancel, &why);
        if (k == -OXL_E_OBJECT_MISSING || k == -OXL_E_OBJECT_CORRUPT)
                return 1;
        if (k < 0)
                oxl_error_move(err, &why);
        return k;
}

/* --- sweeping ----------------------------------------------------------------------------------------------------- */

static enum oxl_temp_verdict owner_alive(void *ctx, uint64_t owner)
{
        const struct oxl_destination *d = ctx;
        if (d->sweep_own && d->repo->owner && owner == oxl_owner_number(d->repo->owner))
                return OXL_TEMP_DEAD;
        return oxl_owner_verdict(d->repo->root_fd, owner);
}

int oxl_destination_sweep(struct oxl_destination *d, const char *dir, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        struct oxl_sweep_options options = { .owner_alive = owner_alive, .ctx = d, .uid = geteuid(), .links = true };
        struct oxl_sweep_report report = { 0 };
        int k = oxl_durable_sweep(d->durable, dir, &options, &report, &why);
        if (k < 0 && why.code == OXL_E_DIR_OPEN && (why.os == ENOENT || why.os == ENOTDIR))
                return 0;
        if (k < 0)
                oxl_error_move(err, &why);
        return k;
}

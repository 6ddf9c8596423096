/* SPDX-License-Identifier: MIT */
/* Durable changes below one root: `struct oxl_durable` and its stages, see durable.h. All steps are temp.h's and dirs.h's;
 * here are the rules about paths (clean, below the root, no links) and about poison. */
#include <stdio.h> /* RENAME_NOREPLACE */
#include <string.h>

#include "base/fail.h"
#include "base/path.h"
#include "durable/durable.h"
#include "durable/mutant.h"
#include "durable/sweep.h"
#include "durable/sync.h"
#include "durable/temp.h"
#include "os/fdio.h"

struct oxl_durable {
        struct oxl_writer w;
        struct oxl_dnode *root;
        int root_fd; /* borrowed */
        char *root_path;
};

struct oxl_stage {
        struct oxl_durable *d;
        struct oxl_temp temp;
        char *path; /* of the temp, relative to the root */
};

/* --- the object ------------------------------------------------------------------------------------------------ */

int oxl_durable_new(int root_fd, const char *root_path, uint64_t owner, struct oxl_durable **ret, struct oxl_error *err)
{
        struct oxl_durable *d = calloc(1, sizeof *d);
        if (!d)
                return OXL_FAIL_PLAIN(err, NOMEM);
        *d = (struct oxl_durable){ .w = OXL_WRITER_INIT, .root_fd = root_fd, .root_path = strdup(root_path) };
        d->w.owner = owner;
        int r = d->root_path ? oxl_dirs_base(&d->w.dirs, root_fd, "", &d->root, err) : OXL_FAIL_PLAIN(err, NOMEM);
        char *shown = r == 0 ? strdup(root_path) : NULL;
        if (r == 0 && !shown)
                r = OXL_FAIL_PLAIN(err, NOMEM);
        if (r < 0) {
                oxl_durable_free(d);
                return r;
        }
        free(d->root->path); /* "": messages show the root by its path */
        d->root->path = shown;
        *ret = d;
        return 0;
}

void oxl_durable_free(struct oxl_durable *d)
{
        if (!d)
                return;
        oxl_writer_done(&d->w);
        free(d->root_path);
        free(d);
}

bool oxl_durable_poisoned(const struct oxl_durable *d)
{
        return d->w.poisoned;
}

/* The check with which every call that writes begins. */
static int writable(const struct oxl_durable *d, struct oxl_error *err)
{
        return d->w.poisoned ? OXL_FAIL_PATH(err, POISONED, d->root_path) : 0;
}

/* The directory of @path and its last component. A reference is returned. */
static int enter_parent(struct oxl_durable *d, const char *path, unsigned flags, struct oxl_dnode **ret_dir,
                        const char **ret_name, struct oxl_error *err)
{
        int r = oxl_path_check(path, err);
        if (r < 0)
                return r;
        cleanup_free char *parent = NULL;
        r = oxl_path_parent(path, &parent, err);
        if (r == 0)
                r = oxl_dirs_enter(&d->w.dirs, d->root, parent, flags, ret_dir, err);
        *ret_name = oxl_path_base(path);
        return r;
}

static int enter_dir(struct oxl_durable *d, const char *path, unsigned flags, struct oxl_dnode **ret,
                     struct oxl_error *err)
{
        int r = *path ? oxl_path_check(path, err) : 0;
        return r < 0 ? r : oxl_dirs_enter(&d->w.dirs, d->root, path, flags, ret, err);
}

static void dnode_unrefp(struct oxl_dnode **node)
{
        oxl_dnode_unref(*node);
}
#define cleanup_dnode cleanup(dnode_unrefp)

/* --- stages ---------------------------------------------------------------------------------------------------- */

static mode_t mode_of(unsigned flags)
{
        if (flags & OXL_STAGE_READ_ONLY)
                return flags & OXL_STAGE_EXECUTABLE ? 0555 : 0444;
        return flags & OXL_STAGE_EXECUTABLE ? 0777 : 0666;
}

/* What file and link stages have in common: the object, its directory, and afterwards its path. */
static int stage_new(struct oxl_durable *d, const char *dir, const char *name, struct oxl_stage **ret,
                     struct oxl_dnode **ret_dir, struct oxl_error *err)
{
        int r = writable(d, err);
        if (r < 0)
                return r;
        if (!*name || strchr(name, '/'))
                return OXL_FAIL_WHY(err, PATH, name, "it is no file name");
        r = enter_dir(d, dir, OXL_DIRS_MAKE, ret_dir, err);
        if (r < 0)
                return r;
        struct oxl_stage *s = calloc(1, sizeof *s);
        if (!s)
                return OXL_FAIL_PLAIN(err, NOMEM);
        s->d = d;
        s->temp = (struct oxl_temp)OXL_TEMP_INIT;
        *ret = s;
        return 0;
}

static int stage_ready(struct oxl_stage *s, const char *dir, int r, struct oxl_stage **ret, struct oxl_error *err)
{
        if (r == 0)
                r = oxl_path_join(dir, s->temp.name, &s->path, err);
        if (r < 0) {
                oxl_stage_free(s);
                return r;
        }
        *ret = s;
        return 0;
}

int oxl_stage_open(struct oxl_durable *d, const char *dir, const char *name, unsigned flags, struct oxl_stage **ret,
                   struct oxl_error *err)
{
        cleanup_dnode struct oxl_dnode *node = NULL;
        struct oxl_stage *s = NULL;
        int r = stage_new(d, dir, name, &s, &node, err);
        if (r < 0)
                return r;
        r = oxl_temp_create(&s->temp, &d->w, node, name, mode_of(flags), err);
        return stage_ready(s, dir, r, ret, err);
}

int oxl_stage_symlink(struct oxl_durable *d, const char *dir, const char *name, const char *target,
                      struct oxl_stage **ret, struct oxl_error *err)
{
        cleanup_dnode struct oxl_dnode *node = NULL;
        struct oxl_stage *s = NULL;
        int r = stage_new(d, dir, name, &s, &node, err);
        if (r < 0)
                return r;
        r = oxl_temp_create_link(&s->temp, &d->w, node, name, target, err);
        return stage_ready(s, dir, r, ret, err);
}

const char *oxl_stage_path(const struct oxl_stage *s)
{
        return s->path;
}

int oxl_stage_fd(struct oxl_stage *s)
{
        int fd;
        return oxl_temp_fd(&s->temp, &fd, NULL) == 0 ? fd : -1;
}

uint64_t oxl_stage_size(const struct oxl_stage *s)
{
        return s->temp.size;
}

int oxl_stage_write(struct oxl_stage *s, const void *bytes, size_t n, struct oxl_error *err)
{
        int r = writable(s->d, err);
        return r < 0 ? r : oxl_temp_write(&s->temp, bytes, n, err);
}

int oxl_stage_skip(struct oxl_stage *s, uint64_t n, struct oxl_error *err)
{
        int r = writable(s->d, err);
        return r < 0 ? r : oxl_temp_skip(&s->temp, n, err);
}

int oxl_stage_write_at(struct oxl_stage *s, uint64_t at, const void *bytes, size_t n, struct oxl_error *err)
{
        int r = writable(s->d, err);
        if (r < 0)
                return r;
        OXL_ASSERT(at <= s->temp.size && n <= s->temp.size - at);
        return oxl_temp_write_at(&s->temp, at, bytes, n, err);
}

int oxl_stage_sync(struct oxl_stage *s, struct oxl_error *err)
{
        if (s->temp.synced && s->temp.closed)
                return 0;
        int r = writable(s->d, err);
        if (r == 0)
                r = oxl_temp_sync(&s->temp, err);
        return r < 0 ? r : oxl_temp_close(&s->temp, err);
}

typedef int sync_fn(struct oxl_writer *w, struct oxl_temp *const *t, size_t n, struct oxl_error *err);

static int for_many(struct oxl_durable *d, struct oxl_stage *const *s, size_t n, sync_fn *sync, struct oxl_error *err)
{
        int r = writable(d, err);
        if (r < 0 || n == 0)
                return r;
        cleanup_free struct oxl_temp **temps = calloc(n, sizeof(struct oxl_temp *));
        if (!temps)
                return OXL_FAIL_PLAIN(err, NOMEM);
        for (size_t i = 0; i < n; i++)
                temps[i] = &s[i]->temp;
        return sync(&d->w, temps, n, err);
}

int oxl_stage_sync_many(struct oxl_durable *d, struct oxl_stage *const *s, size_t n, struct oxl_error *err)
{
        return for_many(d, s, n, oxl_temp_sync_many, err);
}

int oxl_stage_sync_begin(struct oxl_durable *d, struct oxl_stage *const *s, size_t n, struct oxl_error *err)
{
        return for_many(d, s, n, oxl_temp_sync_begin, err);
}

int oxl_stage_sync_end(struct oxl_durable *d, struct oxl_stage *const *s, size_t n, struct oxl_error *err)
{
        return for_many(d, s, n, oxl_temp_sync_end, err);
}

int oxl_stage_close_derived(struct oxl_stage *s, struct oxl_error *err)
{
        int r = writable(s->d, err);
        if (r == 0)
                r = oxl_temp_complete(&s->temp, err);
        return r < 0 ? r : oxl_temp_close(&s->temp, err);
}

int oxl_stage_publish(struct oxl_stage *s, const char *target, bool no_replace, struct oxl_error *err)
{
        cleanup_dnode struct oxl_dnode *dir = NULL;
        const char *name = NULL;
        int r = writable(s->d, err);
        if (r == 0)
                r = enter_parent(s->d, target, OXL_DIRS_MAKE, &dir, &name, err);
        return r < 0 ? r : oxl_temp_publish(&s->temp, dir, name, target, no_replace, err);
}

void oxl_stage_free(struct oxl_stage *s)
{
        if (!s)
                return;
        OXL_IGNORE(oxl_temp_done(&s->temp, NULL), "best effort: the sweeper knows the name");
        free(s->path);
        free(s);
}

void oxl_stage_leave(struct oxl_stage *s)
{
        if (!s)
                return;
        oxl_temp_leave(&s->temp);
        free(s->path);
        free(s);
}

/* --- barriers -------------------------------------------------------------------------------------------------- */

/* Keeps the first failure: later ones often follow from it. */
static void dir_sync_failed(void *ctx, const char *path)
{
        struct oxl_error *first = ctx;
        if (first->code == 0)
                OXL_IGNORE(OXL_FAIL_OS(first, DIR_SYNC, path), "counted by the barrier");
}

int oxl_durable_barrier(struct oxl_durable *d, struct oxl_error *err)
{
        int r = writable(d, err);
        if (r < 0)
                return r;
        cleanup_error struct oxl_error first = OXL_ERROR_INIT;
        if (oxl_temp_settle(&d->w) < 0)
                return OXL_FAIL_OS(err, DIR_SYNC, d->root_path);
        if (oxl_dirs_barrier(&d->w.dirs, dir_sync_failed, &first) == 0)
                return 0;
        d->w.poisoned = true;
        if (err)
                oxl_error_move(err, &first);
        return -OXL_E_DIR_SYNC;
}

int oxl_durable_mark(struct oxl_durable *d, const char *path, struct oxl_error *err)
{
        cleanup_dnode struct oxl_dnode *dir = NULL;
        const char *name;
        int r = enter_parent(d, path, 0, &dir, &name, err);
        if (r == 0)
                oxl_dnode_mark(dir);
        return r;
}

int oxl_durable_trust(struct oxl_durable *d, const char *path, struct oxl_error *err)
{
        struct oxl_dnode *dir;
        int r = enter_dir(d, path, 0, &dir, err);
        if (r < 0)
                return r;
        for (struct oxl_dnode *node = dir; node->parent; node = node->parent)
                node->linked = node->fd >= 0;
        oxl_dnode_unref(dir);
        return 0;
}

int oxl_durable_write(struct oxl_durable *d, const char *target, const void *bytes, size_t n, struct oxl_error *err)
{
        int r = oxl_path_check(target, err);
        if (r < 0)
                return r;
        cleanup_free char *parent = NULL;
        r = oxl_path_parent(target, &parent, err);
        if (r < 0)
                return r;
        struct oxl_stage *s = NULL;
        r = oxl_stage_open(d, parent, oxl_path_base(target), 0, &s, err);
        if (r == 0)
                r = oxl_stage_write(s, bytes, n, err);
        if (r == 0)
                r = oxl_stage_sync(s, err);
        if (r == 0)
                r = oxl_stage_publish(s, target, false, err);
        oxl_stage_free(s);
        return r < 0 || OXL_MUTANT(ACK_BEFORE_BARRIER) ? r : oxl_durable_barrier(d, err);
}

/* --- what recovery needs --------------------------------------------------------------------------------------- */

int oxl_durable_reopen(struct oxl_durable *d, const char *path, int *ret_fd, struct oxl_error *err)
{
        int r = writable(d, err);
        if (r == 0)
                r = oxl_path_check(path, err);
        if (r < 0)
                return r;
        cleanup_fd int fd = oxl_open_beneath(d->root_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
        if (fd < 0)
                return OXL_FAIL_OS(err, FILE_OPEN, path);
        /* CRASH: changes nothing that can be seen; recovery starts again (its own crash tests) */
        if (!OXL_MUTANT(NO_REOPEN_FSYNC) && oxl_sync_fd(fd) < 0) {
                d->w.poisoned = true;
                return OXL_FAIL_OS(err, FILE_SYNC, path);
        }
        OXL_IGNORE(oxl_sys->fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), "a file system without a page cache needs none");
        *ret_fd = take_fd(&fd);
        return 0;
}

/* Both directories of a rename. References are returned. */
static int enter_both(struct oxl_durable *d, const char *from, const char *target, struct oxl_dnode *ret_dir[2],
                      const char *ret_name[2], struct oxl_error *err)
{
        int r = writable(d, err);
        if (r == 0)
                r = enter_parent(d, from, 0, &ret_dir[0], &ret_name[0], err);
        return r < 0 ? r : enter_parent(d, target, OXL_DIRS_MAKE, &ret_dir[1], &ret_name[1], err);
}

struct both {
        struct oxl_dnode *dir[2];
        const char *name[2];
};

static void both_done(struct both *b)
{
        oxl_dnode_unref(b->dir[0]);
        oxl_dnode_unref(b->dir[1]);
}

/* 0; -1 with errno. */
static int rename_between(struct oxl_durable *d, const struct both *b, unsigned flags)
{
        int from = oxl_dnode_fd(&d->w.dirs, b->dir[0]);
        int to = from < 0 ? -1 : oxl_dnode_fd(&d->w.dirs, b->dir[1]);
        /* CRASH: old or new name, whole; recovery finds either and does this again */
        if (to < 0 || oxl_sys->renameat2(from, b->name[0], to, b->name[1], flags) < 0)
                return -1;
        oxl_dnode_mark(b->dir[0]);
        oxl_dnode_mark(b->dir[1]);
        return 0;
}

int oxl_durable_rename(struct oxl_durable *d, const char *from, const char *target, struct oxl_error *err)
{
        cleanup(both_done) struct both b = { 0 };
        int r = enter_both(d, from, target, b.dir, b.name, err);
        if (r < 0)
                return r;
        return rename_between(d, &b, 0) == 0 ? 0 : OXL_FAIL_OS_PATHS(err, FILE_RENAME, from, target);
}

int oxl_durable_link(struct oxl_durable *d, const char *from, const char *to, struct oxl_error *err)
{
        cleanup(both_done) struct both b = { 0 };
        int r = enter_both(d, from, to, b.dir, b.name, err);
        if (r < 0)
                return r;
        int at = oxl_dnode_fd(&d->w.dirs, b.dir[0]);
        int under = at < 0 ? -1 : oxl_dnode_fd(&d->w.dirs, b.dir[1]);
        /* CRASH: one name or two for the same file; whoever does this again finds EEXIST, or draws another name */
        if (under < 0 || oxl_sys->linkat(at, b.name[0], under, b.name[1], 0) < 0)
                return OXL_FAIL_OS_PATHS(err, FILE_LINK, from, to);
        oxl_dnode_mark(b.dir[1]);
        return 0;
}

int oxl_durable_rename_dir(struct oxl_durable *d, const char *from, const char *target, struct oxl_error *err)
{
        cleanup(both_done) struct both b = { 0 };
        int r = enter_both(d, from, target, b.dir, b.name, err);
        if (r < 0 || rename_between(d, &b, RENAME_NOREPLACE) == 0)
                return r;
        if (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP) {
                /* A directory replaces only an empty directory, so losing this race harms nobody. */
                int to = oxl_dnode_fd(&d->w.dirs, b.dir[1]);
                struct stat st;
                if (to >= 0 && oxl_fd_stat_at(to, b.name[1], &st) == 0)
                        return OXL_FAIL_PATH(err, FILE_EXISTS, target);
                if (to >= 0 && rename_between(d, &b, 0) == 0)
                        return 0;
        }
        if (errno == EEXIST || errno == ENOTEMPTY)
                return OXL_FAIL_PATH(err, FILE_EXISTS, target);
        return OXL_FAIL_OS_PATHS(err, FILE_RENAME, from, target);
}

enum { NOT_THERE = 1, NOT_EMPTY = 1 };

int oxl_durable_unlink(struct oxl_durable *d, const char *path, dev_t dev, ino_t ino, struct oxl_error *err)
{
        cleanup_dnode struct oxl_dnode *dir = NULL;
        cleanup_error struct oxl_error local = OXL_ERROR_INIT;
        const char *name;
        int r = writable(d, err);
        if (r < 0)
                return r;
        r = enter_parent(d, path, 0, &dir, &name, &local);
        if (r < 0 && local.os == ENOENT)
                return NOT_THERE;
        if (r < 0) {
                if (err)
                        oxl_error_move(err, &local);
                return r;
        }
        int at = oxl_dnode_fd(&d->w.dirs, dir);
        struct stat st;
        if (at < 0 || oxl_fd_stat_at(at, name, &st) < 0)
                return errno == ENOENT ? NOT_THERE : OXL_FAIL_OS(err, FILE_REMOVE, path);
        if (st.st_dev != dev || st.st_ino != ino)
                return NOT_THERE;
        /* CRASH: the name is there or not; recovery does it again */
        if (oxl_sys->unlinkat(at, name, 0) < 0)
                return errno == ENOENT ? NOT_THERE : OXL_FAIL_OS(err, FILE_REMOVE, path);
        oxl_dnode_mark(dir);
        return 0;
}

/* CRASH: the folder is there or not; whoever removes empty folders does it again. */
int oxl_durable_rmdir(struct oxl_durable *d, const char *path, struct oxl_error *err)
{
        cleanup_dnode struct oxl_dnode *dir = NULL, *gone = NULL;
        cleanup_error struct oxl_error local = OXL_ERROR_INIT;
        const char *name;
        int r = writable(d, err);
        if (r < 0)
                return r;
        r = enter_parent(d, path, 0, &dir, &name, &local);
        if (r == 0)
                r = enter_dir(d, path, 0, &gone, &local);
        if (r < 0 && local.os == ENOENT)
                return 0;
        if (r < 0) {
                oxl_error_move(err, &local);
                return r;
        }
        int at = oxl_dnode_fd(&d->w.dirs, dir);
        if (at < 0 || (oxl_sys->unlinkat(at, name, AT_REMOVEDIR) < 0 && errno != ENOENT))
                return errno == ENOTEMPTY || errno == EEXIST || errno == EBUSY ? NOT_EMPTY
                                                                               : OXL_FAIL_OS(err, FILE_REMOVE, path);
        oxl_dnode_forget(gone);
        oxl_dnode_mark(dir);
        return 0;
}

int oxl_durable_mkdir(struct oxl_durable *d, const char *path, struct oxl_error *err)
{
        cleanup_dnode struct oxl_dnode *dir = NULL;
        int r = writable(d, err);
        if (r == 0)
                r = enter_dir(d, path, OXL_DIRS_MAKE, &dir, err);
        if (r == 0)
                oxl_dnode_mark(dir);
        return r;
}

int oxl_durable_sweep(struct oxl_durable *d, const char *dir, const struct oxl_sweep_options *options,
                      struct oxl_sweep_report *ret, struct oxl_error *err)
{
        cleanup_dnode struct oxl_dnode *node = NULL;
        int r = enter_dir(d, dir, 0, &node, err);
        if (r < 0)
                return r;
        int at = oxl_dnode_fd(&d->w.dirs, node);
        if (at < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, dir);
        return oxl_sweep_folder(at, dir, options, ret, err);
}

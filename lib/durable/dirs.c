/* SPDX-License-Identifier: MIT */
/* Directories that a writer touches, see dirs.h. */
#include <string.h>

#include "base/fail.h"
#include "base/path.h"
#include "durable/dirs.h"
#include "durable/mutant.h"
#include "durable/sync.h"
#include "os/fdio.h"

/* Descriptors kept open below the bases. A restore touches thousands of directories, a process has 1,024 descriptors. */
enum { DIRS_OPEN_MAX = 64 };

/* More marked directories than this are cheaper by one syncfs; the same bound as for files (temp.c). */
enum { SYNCFS_FROM = 32 };

static void node_free(struct oxl_dnode *node)
{
        oxl_fd_done(&node->fd);
        free(node->path);
        free(node);
}

void oxl_dirs_done(struct oxl_dirs *d)
{
        int saved = errno;
        for (size_t i = 0; i < d->n; i++)
                node_free(d->nodes[i]);
        free(d->nodes);
        free(d->buckets);
        *d = (struct oxl_dirs)OXL_DIRS_INIT;
        errno = saved;
}

struct oxl_dnode *oxl_dnode_ref(struct oxl_dnode *node)
{
        node->refs++;
        return node;
}

void oxl_dnode_unref(struct oxl_dnode *node)
{
        if (node)
                node->refs--; /* freed by the trim after a barrier, or by done() */
}

/* --- the table ------------------------------------------------------------------------------------------------- */

static struct oxl_dnode **bucket_of(const struct oxl_dirs *d, ino_t ino)
{
        return &d->buckets[(uint64_t)ino * UINT64_C(0x9e3779b97f4a7c15) % d->cap];
}

static void chain_all(struct oxl_dirs *d)
{
        memset(d->buckets, 0, d->cap * sizeof(struct oxl_dnode *));
        for (size_t i = 0; i < d->n; i++) {
                struct oxl_dnode **bucket = bucket_of(d, d->nodes[i]->ino);
                d->nodes[i]->chain = *bucket;
                *bucket = d->nodes[i];
        }
}

static int grow(struct oxl_dirs *d, struct oxl_error *err)
{
        if (d->n < d->cap)
                return 0;
        size_t cap = d->cap ? d->cap * 2 : 8;
        struct oxl_dnode **p = realloc(d->nodes, cap * sizeof(struct oxl_dnode *));
        if (!p)
                return OXL_FAIL_PLAIN(err, NOMEM);
        d->nodes = p;
        p = realloc(d->buckets, cap * sizeof(struct oxl_dnode *));
        if (!p)
                return OXL_FAIL_PLAIN(err, NOMEM);
        d->buckets = p;
        d->cap = cap;
        chain_all(d);
        return 0;
}

/* Closes the descriptor that was idle longest, when there are too many. What is `linked` is forgotten with it. */
static void evict(struct oxl_dirs *d, const struct oxl_dnode *keep)
{
        if (d->open < DIRS_OPEN_MAX)
                return;
        struct oxl_dnode *idle = NULL;
        for (size_t i = 0; i < d->n; i++) {
                struct oxl_dnode *node = d->nodes[i];
                if (node->parent && node->fd >= 0 && node != keep && (!idle || node->used < idle->used))
                        idle = node;
        }
        if (!idle)
                return;
        oxl_fd_done(&idle->fd);
        idle->linked = false;
        d->open--;
}

/* Opens a directory for working in it and for fsync. One that may be written but not read can still be worked in. */
static int open_dir(int at, const char *name, int follow, int *ret_unreadable)
{
        *ret_unreadable = 0;
        int fd = oxl_fd_open(at, name, O_RDONLY | O_DIRECTORY | follow, 0);
        if (fd >= 0 || errno != EACCES)
                return fd;
        fd = oxl_fd_open(at, name, O_PATH | O_DIRECTORY | follow, 0);
        if (fd >= 0)
                *ret_unreadable = EACCES;
        return fd;
}

struct found {
        int fd;
        int unreadable;
        struct stat st;
};

static int examine(int at, const char *name, int follow, struct found *ret)
{
        ret->fd = open_dir(at, name, follow, &ret->unreadable);
        if (ret->fd < 0)
                return -1;
        if (oxl_fd_stat(ret->fd, &ret->st) == 0)
                return 0;
        oxl_fd_done(&ret->fd);
        return -1;
}

/* The node for what was found; takes its descriptor, also on failure. */
static int node_add(struct oxl_dirs *d, struct oxl_dnode *parent, const char *path, struct found *f,
                    struct oxl_dnode **ret, struct oxl_error *err)
{
        cleanup_fd int fd = take_fd(&f->fd);
        cleanup_free char *copy = strdup(path);
        cleanup_free struct oxl_dnode *node = calloc(1, sizeof *node);
        if (!copy || !node)
                return OXL_FAIL_PLAIN(err, NOMEM);
        int r = grow(d, err);
        if (r < 0)
                return r;
        *node = (struct oxl_dnode){
                .parent = parent ? oxl_dnode_ref(parent) : NULL,
                .path = take_ptr(&copy),
                .fd = take_fd(&fd),
                .unreadable = f->unreadable,
                .dev = f->st.st_dev,
                .ino = f->st.st_ino,
                .depth = parent ? parent->depth + 1 : 0,
                .linked = !parent,
        };
        if (parent) {
                evict(d, parent);
                d->open++;
        }
        struct oxl_dnode **bucket = bucket_of(d, node->ino);
        node->chain = *bucket;
        *bucket = node;
        d->nodes[d->n++] = *ret = take_ptr(&node);
        return 0;
}

/* A closed node was found again: its old number proves nothing, so only the descriptor is taken over. */
static void node_revive(struct oxl_dirs *d, struct oxl_dnode *node, struct found *f)
{
        if (node->fd < 0) {
                evict(d, node);
                node->fd = take_fd(&f->fd);
                d->open++;
        }
        oxl_fd_done(&f->fd);
}

static bool is(const struct oxl_dnode *node, const struct stat *st)
{
        return node->dev == st->st_dev && node->ino == st->st_ino;
}

int oxl_dirs_base(struct oxl_dirs *d, int at, const char *path, struct oxl_dnode **ret, struct oxl_error *err)
{
        struct found f;
        if (examine(at, *path ? path : ".", 0, &f) < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, *path ? path : ".");
        for (size_t i = 0; i < d->n; i++) {
                if (!is(d->nodes[i], &f.st))
                        continue;
                node_revive(d, d->nodes[i], &f);
                *ret = oxl_dnode_ref(d->nodes[i]);
                return 0;
        }
        struct oxl_dnode *node;
        int r = node_add(d, NULL, path, &f, &node, err);
        if (r < 0)
                return r;
        *ret = oxl_dnode_ref(node);
        return 0;
}

/* The first base on device @dev; NULL when there is none. */
static struct oxl_dnode *base_on(const struct oxl_dirs *d, dev_t dev)
{
        for (size_t i = 0; i < d->n; i++)
                if (!d->nodes[i]->parent && d->nodes[i]->dev == dev)
                        return d->nodes[i];
        return NULL;
}

/* The kernel is asked once per base. syncfs() of a descriptor that was opened by O_PATH fails. */
static bool speaks(struct oxl_dnode *base)
{
        if (base->syncfs == OXL_SYNCFS_NOT_ASKED)
                base->syncfs =
                        !base->unreadable && oxl_syncfs_reports(base->fd) ? OXL_SYNCFS_REPORTS : OXL_SYNCFS_SILENT;
        return base->syncfs == OXL_SYNCFS_REPORTS;
}

struct oxl_dnode *oxl_dirs_spokesman(const struct oxl_dirs *d, dev_t dev)
{
        struct oxl_dnode *base = base_on(d, dev);
        return base && speaks(base) ? base : NULL;
}

int oxl_dnode_fd(struct oxl_dirs *d, struct oxl_dnode *node)
{
        node->used = ++d->tick;
        if (node->fd >= 0)
                return node->fd;
        OXL_ASSERT(node->parent);
        int at = oxl_dnode_fd(d, node->parent); /* bases are never closed: the recursion ends there */
        if (at < 0)
                return -1;
        struct found f;
        if (examine(at, oxl_path_base(node->path), O_NOFOLLOW, &f) < 0)
                return -1;
        if (!is(node, &f.st)) {
                oxl_fd_done(&f.fd);
                errno = ESTALE;
                return -1;
        }
        node_revive(d, node, &f);
        return node->fd;
}

/* --- walking down ---------------------------------------------------------------------------------------------- */

static struct oxl_dnode *find_child(struct oxl_dirs *d, const struct oxl_dnode *parent, const char *path,
                                    const struct stat *st)
{
        struct oxl_dnode *node = d->cap ? *bucket_of(d, st->st_ino) : NULL;
        while (node && !(node->parent == parent && is(node, st) && strcmp(node->path, path) == 0))
                node = node->chain;
        return node;
}

/* The child entered last, when its descriptor is open and @name still leads to it; else NULL. One question instead of opening. */
static struct oxl_dnode *same_child(struct oxl_dirs *d, struct oxl_dnode *parent, int at, const char *name)
{
        struct oxl_dnode *child = parent->child;
        struct stat st;
        if (!child || child->fd < 0 || strcmp(oxl_path_base(child->path), name) != 0 ||
            oxl_fd_stat_at(at, name, &st) < 0 || !is(child, &st))
                return NULL;
        child->used = ++d->tick;
        return child;
}

/* Opens @name in @parent, making it when it is missing and may be made. mkdir's EEXIST is fine (somebody was faster) and
 * proves nothing: the new node is not `linked` either way. */
static int examine_or_make(int at, const char *name, const char *path, unsigned flags, struct found *ret,
                           struct oxl_error *err)
{
        int follow = flags & OXL_DIRS_FOLLOW ? 0 : O_NOFOLLOW;
        if (examine(at, name, follow, ret) == 0)
                return 0;
        if (errno != ENOENT || !(flags & OXL_DIRS_MAKE))
                return OXL_FAIL_OS(err, DIR_OPEN, path);
        /* CRASH: an empty directory, or none; the next write finds or makes it (crash/atomic: three new ancestors) */
        if (oxl_sys->mkdirat(at, name, 0777) < 0 && errno != EEXIST)
                return OXL_FAIL_OS(err, DIR_CREATE, path);
        return examine(at, name, follow, ret) == 0 ? 0 : OXL_FAIL_OS(err, DIR_OPEN, path);
}

static int enter_child(struct oxl_dirs *d, struct oxl_dnode *parent, const char *name, unsigned flags,
                       struct oxl_dnode **ret, struct oxl_error *err)
{
        cleanup_free char *path = NULL;
        int at = oxl_dnode_fd(d, parent);
        if (at < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, parent->path);
        struct oxl_dnode *node = same_child(d, parent, at, name);
        if (node) {
                *ret = node;
                return 0;
        }
        int r = oxl_path_join(parent->path, name, &path, err);
        if (r < 0)
                return r;
        struct found f;
        r = examine_or_make(at, name, path, flags, &f, err);
        if (r < 0)
                return r;
        node = find_child(d, parent, path, &f.st);
        if (node)
                node_revive(d, node, &f);
        else
                r = node_add(d, parent, path, &f, &node, err);
        if (r < 0)
                return r;
        parent->child = *ret = node;
        return 0;
}

int oxl_dirs_enter(struct oxl_dirs *d, struct oxl_dnode *from, const char *path, unsigned flags, struct oxl_dnode **ret,
                   struct oxl_error *err)
{
        struct oxl_dnode *node = from;
        cleanup_free char *names = strdup(path);
        if (!names)
                return OXL_FAIL_PLAIN(err, NOMEM);
        char *rest = names;
        for (char *name = strsep(&rest, "/"); name; name = strsep(&rest, "/")) {
                if (*name == 0 || strcmp(name, ".") == 0)
                        continue;
                int r = enter_child(d, node, name, flags, &node, err);
                if (r < 0)
                        return r;
        }
        *ret = oxl_dnode_ref(node);
        return 0;
}

/* Length of @path without its last component: "/a/b" -> "/a", "/a" -> "/", "a" -> "". */
static size_t shorten(const char *path, size_t len)
{
        while (len > 0 && path[len - 1] == '/')
                len--;
        while (len > 0 && path[len - 1] != '/')
                len--;
        while (len > 1 && path[len - 1] == '/')
                len--;
        return len;
}

int oxl_dirs_make_path(struct oxl_dirs *d, int at, const char *path, struct oxl_dnode **ret, struct oxl_error *err)
{
        for (size_t len = strlen(path);; len = shorten(path, len)) {
                cleanup_free char *prefix = strndup(path, len);
                if (!prefix)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                struct oxl_error local = OXL_ERROR_INIT;
                struct oxl_dnode *base;
                int r = oxl_dirs_base(d, at, prefix, &base, &local);
                if (r < 0 && (local.os != ENOENT || len == 0)) {
                        if (err)
                                oxl_error_move(err, &local);
                        oxl_error_done(&local);
                        return r;
                }
                oxl_error_done(&local);
                if (r < 0)
                        continue;
                r = oxl_dirs_enter(d, base, path + len, OXL_DIRS_MAKE | OXL_DIRS_FOLLOW, ret, err);
                oxl_dnode_unref(base);
                return r;
        }
}

/* --- the barrier ----------------------------------------------------------------------------------------------- */

void oxl_dnode_mark(struct oxl_dnode *node)
{
        node->dirty = true;
        if (OXL_MUTANT(NO_ANCESTOR_FSYNC))
                return;
        for (; node->parent && !node->linked; node = node->parent) {
                node->linking = true;
                node->parent->dirty = true;
        }
}

void oxl_dnode_forget(struct oxl_dnode *node)
{
        node->dirty = node->linking = node->linked = false;
        node->dev = 0;
        node->ino = 0; /* no directory has it: an inode that is used again does not revive this node */
}

/* CRASH: before the fsync the names in @node are old or new, each whole; after it they are new. Nobody has to repair
 * anything: the caller has not acknowledged yet (crash/atomic, all cases). */
static int sync_node(struct oxl_dirs *d, struct oxl_dnode *node)
{
        if (OXL_MUTANT(NO_DIR_FSYNC))
                return 0;
        int fd = oxl_dnode_fd(d, node);
        if (fd < 0)
                return -1;
        if (node->unreadable) {
                errno = node->unreadable;
                return -1;
        }
        return oxl_sync_fd(fd);
}

/* Drops what is of no use any more: clean, unreferenced, closed. From the end, because children follow their parents. */
static void trim(struct oxl_dirs *d)
{
        size_t kept = d->n;
        for (size_t i = d->n; i-- > 0;) {
                struct oxl_dnode *node = d->nodes[i];
                if (!node->parent || node->fd >= 0 || node->refs > 0 || node->dirty || node->linking)
                        continue;
                if (node->parent->child == node)
                        node->parent->child = NULL;
                oxl_dnode_unref(node->parent);
                node_free(node);
                memmove(&d->nodes[i], &d->nodes[i + 1], (--kept - i) * sizeof d->nodes[0]);
        }
        d->n = kept;
        if (d->cap)
                chain_all(d);
}

static unsigned deepest_dirty(const struct oxl_dirs *d)
{
        unsigned depth = 0;
        for (size_t i = 0; i < d->n; i++)
                if (d->nodes[i]->dirty && d->nodes[i]->depth > depth)
                        depth = d->nodes[i]->depth;
        return depth;
}

static bool waits_for(const struct oxl_dirs *d, const struct oxl_dnode *node, const struct oxl_dnode *base)
{
        return node->dirty && !node->unreadable && base_on(d, node->dev) == base;
}

/* Syncs many directories of @base's file system at once. CRASH: as in sync_node(), for all of them. */
static int sync_through(struct oxl_dirs *d, struct oxl_dnode *base)
{
        size_t waiting = 0;
        for (size_t i = 0; i < d->n; i++)
                waiting += waits_for(d, d->nodes[i], base);
        if (waiting <= SYNCFS_FROM || !speaks(base))
                return 0;
        if (!OXL_MUTANT(NO_DIR_FSYNC) && oxl_sync_fs(base->fd) < 0)
                return -1;
        for (size_t i = 0; i < d->n; i++)
                if (waits_for(d, d->nodes[i], base))
                        d->nodes[i]->dirty = false;
        return 0;
}

size_t oxl_dirs_barrier(struct oxl_dirs *d, oxl_dirs_failed_fn *failed, void *ctx)
{
        size_t failures = 0;
        for (size_t i = 0; i < d->n; i++) {
                if (d->nodes[i]->parent || sync_through(d, d->nodes[i]) == 0)
                        continue;
                failed(ctx, *d->nodes[i]->path ? d->nodes[i]->path : ".");
                return 1; /* never tried again in another way */
        }
        for (unsigned depth = deepest_dirty(d) + 1; depth-- > 0;) {
                for (size_t i = 0; i < d->n; i++) {
                        struct oxl_dnode *node = d->nodes[i];
                        if (!node->dirty || node->depth != depth)
                                continue;
                        if (sync_node(d, node) == 0) {
                                node->dirty = false;
                                continue;
                        }
                        failures++;
                        failed(ctx, *node->path ? node->path : ".");
                }
        }
        for (size_t i = 0; i < d->n; i++) {
                struct oxl_dnode *node = d->nodes[i];
                if (failures > 0 || !node->linking)
                        continue;
                node->linking = false;
                node->linked = node->fd >= 0;
        }
        trim(d);
        return failures;
}

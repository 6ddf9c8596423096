/* SPDX-License-Identifier: MIT */
/*
 * The sweeper's mechanism: remove the temps in one folder whose owner is proven dead.
 *
 * Invariants: only names of the exact grammar, only regular files of the expected user with one link, never followed
 * through a link; a live or an unproven owner keeps its file; the inode that was judged is the inode that is removed. No
 * clock is read. Names are collected, some at a time, before any of them is removed.
 * What a crash leaves: temps not yet removed. Nothing needs a sync: a temp that comes back is swept again.
 */
#include <string.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/path.h"
#include "durable/foreign_name.h"
#include "durable/lease.h"
#include "durable/mutant.h"
#include "durable/sweep.h"
#include "durable/temp.h"
#include "os/fdio.h"
#include "os/lock.h"

enum { BATCH_BYTES = 65536, DEPTH_MAX = 256 };

struct sweep {
        int dirfd;
        const char *dir;
        const struct oxl_sweep_options *options;
        struct oxl_sweep_report *report;
        struct oxl_probe probe;
};

/* A temp, and what was decided. */
struct found {
        const char *name;
        struct stat st;
        bool foreign;
        uint64_t owner;
        enum oxl_temp_verdict verdict;
        bool young;
        int os;
};

static bool is_temp(const struct oxl_sweep_options *o, const char *name)
{
        return oxl_temp_name_is_ours(name, NULL) || (o->foreign && oxl_oxen_temp_name(name));
}

/* Temp names of the folder until there are many, each ended by NUL. 1: perhaps there are more. */
static int collect(struct oxl_dir *listing, const struct sweep *s, struct oxl_buf *names, struct oxl_error *err)
{
        struct oxl_dirent e;
        int more;
        oxl_buf_clear(names);
        while ((more = oxl_dir_next(listing, &e)) > 0) {
                if (!is_temp(s->options, e.name))
                        continue;
                int r = oxl_buf_append(names, e.name, strlen(e.name) + 1, err);
                if (r < 0 || names->len >= BATCH_BYTES)
                        return r < 0 ? r : 1;
        }
        return more < 0 ? OXL_FAIL_OS(err, DIR_READ, s->dir) : 0;
}

/* A temp of a standalone writer proves by a lock of its own that its maker lives. We announce ourselves first: see temp.h
 * for why neither side can miss the other. The announcement stays until @fd is closed, after the removal. */
static enum oxl_temp_verdict judge_by_own_lock(int fd, const char *name, int *ret_os)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        if (OXL_MUTANT(SWEEP_WITHOUT_LOCK_CHECK))
                return OXL_TEMP_DEAD;
        bool held = false;
        int r = oxl_lock_set(fd, OXL_TEMP_BYTE_SWEEPER, 1, OXL_LOCK_SHARED, false, name, &why);
        if (r == 0)
                r = oxl_lock_probe(fd, OXL_TEMP_BYTE_OWNER, 1, name, &held, &why);
        *ret_os = why.os;
        return r != 0 ? OXL_TEMP_UNKNOWN : held ? OXL_TEMP_ALIVE : OXL_TEMP_DEAD;
}

static void judge_by_lease(struct sweep *s, int fd, struct found *f)
{
        f->verdict = OXL_TEMP_UNKNOWN;
        if (s->options->no_lease)
                return;
        switch (oxl_lease_judge(s->dirfd, fd, &s->probe, &f->os)) {
        case OXL_LEASE_DEAD: f->verdict = OXL_TEMP_DEAD; break;
        case OXL_LEASE_OPEN: f->verdict = OXL_TEMP_ALIVE; break;
        case OXL_LEASE_YOUNG: f->young = true; break;
        case OXL_LEASE_UNKNOWN: break;
        }
}

static void judge(struct sweep *s, int fd, struct found *f)
{
        const struct oxl_sweep_options *o = s->options;
        if (f->foreign)
                judge_by_lease(s, fd, f);
        else if (f->owner == 0)
                f->verdict = o->no_locks ? OXL_TEMP_UNKNOWN : judge_by_own_lock(fd, f->name, &f->os);
        else
                f->verdict = o->owner_alive ? o->owner_alive(o->ctx, f->owner) : OXL_TEMP_UNKNOWN;
}

static bool is_touchable(const struct sweep *s, const struct stat *st)
{
        bool right_type = S_ISREG(st->st_mode) || (s->options->links && S_ISLNK(st->st_mode));
        return right_type && st->st_nlink == 1 && st->st_uid == s->options->uid;
}

static void count(struct oxl_sweep_report *report, enum oxl_temp_verdict verdict, uint64_t bytes)
{
        switch (verdict) {
        case OXL_TEMP_DEAD: report->removed++; break;
        case OXL_TEMP_ALIVE: report->kept_alive++; break;
        case OXL_TEMP_UNKNOWN: report->kept_unknown++; break;
        case OXL_TEMP_FOREIGN: report->foreign++; break;
        }
        *(verdict == OXL_TEMP_DEAD ? &report->removed_bytes : &report->kept_bytes) += bytes;
}

/* Removes the file if it is still the inode judged. 0 gone; 1 it went or changed meanwhile; -1 with errno. */
static int remove_same(const struct sweep *s, const struct found *f)
{
        struct stat now;
        if (oxl_fd_stat_at(s->dirfd, f->name, &now) < 0)
                return errno == ENOENT ? 1 : -1;
        if (!oxl_stat_same(&now, &f->st) || now.st_nlink != 1)
                return 1;
        if (s->options->dry_run)
                return 0;
        /* CRASH: the temp is gone, or comes back and is swept again (crash/atomic) */
        if (oxl_sys->unlinkat(s->dirfd, f->name, 0) < 0)
                return errno == ENOENT ? 1 : -1;
        return 0;
}

/* @failed: why it could not be removed; then it counts as neither. */
static int report(const struct sweep *s, const struct found *f, const struct oxl_error *failed, struct oxl_error *err)
{
        struct oxl_sweep_seen seen = {
                .verdict = f->verdict,
                .owner = f->owner,
                .bytes = (uint64_t)f->st.st_blocks * 512,
                .foreign = f->foreign,
                .young = f->young,
                .os = f->os,
                .failed = failed,
        };
        if (!failed)
                count(s->report, f->verdict, seen.bytes);
        if (!s->options->seen)
                return 0;
        cleanup_free char *path = NULL;
        int r = oxl_path_join(s->dir, f->name, &path, err);
        seen.path = path;
        return r < 0 ? r : s->options->seen(s->options->ctx, &seen, err);
}

/* Judges the open file; removes it if it is dead. */
static int decide(struct sweep *s, int fd, struct found *f, struct oxl_error *ret_failed, struct oxl_error *err)
{
        judge(s, fd, f);
        if (f->verdict == OXL_TEMP_DEAD) {
                int r = remove_same(s, f);
                if (r > 0)
                        return 0;
                if (r < 0) {
                        OXL_IGNORE(OXL_FAIL_OS(ret_failed, FILE_REMOVE, f->name), "told by the report");
                        return report(s, f, ret_failed, err);
                }
        }
        return report(s, f, NULL, err);
}

/* < 0 stops the sweep. A removal that failed is *ret_failed, and the sweep goes on. */
static int sweep_one(struct sweep *s, const char *name, struct oxl_error *ret_failed, struct oxl_error *err)
{
        struct found f = { .name = name, .verdict = OXL_TEMP_UNKNOWN };
        f.foreign = !oxl_temp_name_is_ours(name, &f.owner);
        if (oxl_fd_stat_at(s->dirfd, name, &f.st) < 0) {
                f.os = errno;
                return errno == ENOENT ? 0 : report(s, &f, NULL, err);
        }
        if (!is_touchable(s, &f.st)) {
                f.verdict = OXL_TEMP_FOREIGN;
                return report(s, &f, NULL, err);
        }
        /* O_NONBLOCK: a FIFO may have taken the place of the file since */
        int how = S_ISLNK(f.st.st_mode) ? O_PATH : O_RDONLY | O_NONBLOCK;
        cleanup_fd int fd = oxl_fd_open(s->dirfd, name, how | O_NOFOLLOW, 0);
        struct stat opened;
        if (fd < 0 && errno == ENOENT)
                return 0;
        if (fd < 0 || oxl_fd_stat(fd, &opened) < 0) {
                f.os = errno;
                return report(s, &f, NULL, err);
        }
        if (!oxl_stat_same(&f.st, &opened))
                return report(s, &f, NULL, err);
        return decide(s, fd, &f, ret_failed, err);
}

static int sweep_batch(struct sweep *s, const struct oxl_buf *names, struct oxl_error *first, struct oxl_error *err)
{
        const struct oxl_sweep_options *o = s->options;
        int r = o->batch && names->len > 0 ? o->batch(o->ctx, (const char *)names->data, names->len, err) : 0;
        for (size_t at = 0; r == 0 && at < names->len; at += strlen((const char *)names->data + at) + 1) {
                cleanup_error struct oxl_error failed = OXL_ERROR_INIT;
                r = sweep_one(s, (const char *)names->data + at, &failed, err);
                if (failed.code && !first->code)
                        oxl_error_move(first, &failed);
        }
        return r;
}

int oxl_sweep_folder(int dirfd, const char *dir, const struct oxl_sweep_options *options, struct oxl_sweep_report *ret,
                     struct oxl_error *err)
{
        cleanup_buf struct oxl_buf names = OXL_BUF_INIT;
        cleanup_error struct oxl_error first = OXL_ERROR_INIT;
        cleanup_dir struct oxl_dir listing = OXL_DIR_INIT;
        struct sweep s = { .dirfd = dirfd, .dir = dir, .options = options, .report = ret, .probe = OXL_PROBE_INIT };
        if (oxl_dir_open(&listing, dirfd) < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, dir);
        for (int more = 1; more > 0;) {
                more = collect(&listing, &s, &names, err);
                int r = more < 0 ? more : sweep_batch(&s, &names, &first, err);
                if (r < 0)
                        return r;
        }
        return first.code ? oxl_error_copy(err, &first) : 0;
}

/* --- trees ---------------------------------------------------------------------------------------------------------- */

/* A folder whose entries are being entered. */
struct level {
        char *dir;           /* owned: as it is reported */
        struct oxl_dir list; /* its descriptor is the folder's, too */
};

struct walk {
        struct oxl_sweep_tree *tree;
        struct oxl_sweep_report *report;
        struct level *level[DEPTH_MAX]; /* owned; [0, depth) */
        size_t depth;
};

static void pop(struct walk *w)
{
        struct level *l = w->level[--w->depth];
        oxl_dir_done(&l->list);
        free(l->dir);
        free(l);
}

static void walk_done(struct walk *w)
{
        while (w->depth > 0)
                pop(w);
}

static int unreadable(const struct walk *w, const char *dir, const struct oxl_error *why, struct oxl_error *err)
{
        return w->tree->unreadable ? w->tree->unreadable(w->tree->ctx, dir, why, err) : oxl_error_copy(err, why);
}

/* A failed removal was told by the report; whoever asked for none hears of it in the end. */
static int sweep_here(struct walk *w, int fd, const char *dir, struct oxl_error *first, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int r = oxl_sweep_folder(fd, dir, &w->tree->options, w->report, &why);
        if (r == 0)
                return 0;
        if (r == -(int)OXL_E_DIR_OPEN || r == -(int)OXL_E_DIR_READ)
                return unreadable(w, dir, &why, err);
        if (r != -(int)OXL_E_FILE_REMOVE) {
                oxl_error_move(err, &why);
                return r; /* a callback's, perhaps, that says nothing more */
        }
        if (!w->tree->options.seen && !first->code)
                oxl_error_move(first, &why);
        return 0;
}

static int push(struct walk *w, int fd, char *dir, struct oxl_error *err)
{
        cleanup_free char *owned = dir;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        if (w->depth == DEPTH_MAX) {
                OXL_IGNORE(OXL_FAIL_WHY(&why, LIMIT, dir, "folders are too deep to be swept"), "told next");
                return unreadable(w, dir, &why, err);
        }
        struct level *l = malloc(sizeof *l);
        if (!l)
                return OXL_FAIL_PLAIN(err, NOMEM);
        l->list = (struct oxl_dir)OXL_DIR_INIT;
        if (oxl_dir_open(&l->list, fd) < 0) {
                OXL_IGNORE(OXL_FAIL_OS(&why, DIR_OPEN, dir), "told next");
                free(l);
                return unreadable(w, dir, &why, err);
        }
        l->dir = take_ptr(&owned);
        w->level[w->depth++] = l;
        return 0;
}

/* Takes @dir. */
static int enter(struct walk *w, int fd, char *dir, const char *name, struct oxl_error *first, struct oxl_error *err)
{
        cleanup_free char *owned = dir;
        struct oxl_sweep_tree *t = w->tree;
        bool wanted = true;
        int r = t->enter ? t->enter(t->ctx, fd, dir, name, &wanted, err) : 0;
        if (r < 0 || !wanted)
                return r;
        r = sweep_here(w, fd, dir, first, err);
        return r < 0 ? r : push(w, fd, take_ptr(&owned), err);
}

static int enter_entry(struct walk *w, const struct oxl_dirent *e, struct oxl_error *first, struct oxl_error *err)
{
        const struct level *l = w->level[w->depth - 1];
        cleanup_free char *dir = NULL;
        if (e->type != DT_DIR && e->type != DT_UNKNOWN)
                return 0;
        int r = oxl_path_join(l->dir, e->name, &dir, err);
        if (r < 0)
                return r;
        cleanup_fd int fd = oxl_fd_open(l->list.fd, e->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK, 0);
        if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
                return 0; /* gone, or no folder */
        if (fd < 0) {
                cleanup_error struct oxl_error why = OXL_ERROR_INIT;
                OXL_IGNORE(OXL_FAIL_OS(&why, DIR_OPEN, dir), "told next");
                return unreadable(w, dir, &why, err);
        }
        return enter(w, fd, take_ptr(&dir), e->name, first, err);
}

int oxl_sweep_tree(int dirfd, const char *dir, struct oxl_sweep_tree *tree, struct oxl_sweep_report *ret,
                   struct oxl_error *err)
{
        cleanup_error struct oxl_error first = OXL_ERROR_INIT;
        cleanup(walk_done) struct walk w = { .tree = tree, .report = ret };
        char *copy = strdup(dir);
        if (!copy)
                return OXL_FAIL_PLAIN(err, NOMEM);
        int r = enter(&w, dirfd, copy, "", &first, err);
        while (r == 0 && w.depth > 0) {
                struct oxl_dirent e;
                struct level *l = w.level[w.depth - 1];
                int more = oxl_dir_next(&l->list, &e);
                if (more > 0) {
                        r = enter_entry(&w, &e, &first, err);
                        continue;
                }
                if (more < 0) {
                        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
                        OXL_IGNORE(OXL_FAIL_OS(&why, DIR_READ, l->dir), "told next");
                        r = unreadable(&w, l->dir, &why, err);
                }
                pop(&w);
        }
        return r == 0 && first.code ? oxl_error_copy(err, &first) : r;
}

int oxl_atomic_sweep(const char *dir, struct oxl_sweep_report *ret, struct oxl_error *err)
{
        struct oxl_sweep_report report = { 0 };
        const struct oxl_sweep_options options = { .uid = geteuid() };
        cleanup_fd int fd = oxl_fd_open(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
        if (fd < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, dir);
        int r = oxl_sweep_folder(fd, dir, &options, &report, err);
        if (ret)
                *ret = report;
        return r;
}

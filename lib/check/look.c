/* SPDX-License-Identifier: MIT */
/*
 * Looking twice. A file that looks wrong is dropped from the cache and read again:
 *
 *      right the second time            transient: the disk, its cable or the memory lied once
 *      wrong the same way               media: that is what is stored (where nothing can be dropped from the
 *                                       cache, as on tmpfs, it is what the cache holds)
 *      wrong in another way             memory-suspect: neither answer can be believed
 *      replaced or gone between looks   no suspect at all: a writer was at work, and the new file is looked at
 */
#include <string.h>

#include "check/pass.h"
#include "os/fdio.h"

enum { LOOKS_MAX = 64 };

void oxl_look_done(struct oxl_look *l)
{
        oxl_error_done(&l->why);
}

/* The files a look is about; `there` tells which of them exist. */
struct identity {
        struct stat st[2];
        bool there[2];
};

static int identify(const struct oxl_check *c, const char *const path[2], struct identity *ret, struct oxl_error *err)
{
        *ret = (struct identity){ 0 };
        for (int i = 0; i < 2 && path[i]; i++) {
                ret->there[i] = oxl_fd_stat_at(c->root_fd, path[i], &ret->st[i]) == 0;
                if (!ret->there[i] && errno != ENOENT && errno != ENOTDIR)
                        return OXL_FAIL_OS(err, FILE_STAT, path[i]);
        }
        return 0;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
        return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_identity(const struct identity *a, const struct identity *b)
{
        for (int i = 0; i < 2; i++) {
                if (a->there[i] != b->there[i])
                        return false;
                if (a->there[i] && (!oxl_stat_same(&a->st[i], &b->st[i]) || a->st[i].st_size != b->st[i].st_size ||
                                    !same_time(&a->st[i].st_mtim, &b->st[i].st_mtim)))
                        return false;
        }
        return true;
}

static bool same_text(const char *a, const char *b)
{
        return a && b ? strcmp(a, b) == 0 : a == b;
}

bool oxl_check_same_error(const struct oxl_error *a, const struct oxl_error *b)
{
        return a->code == b->code && same_text(a->detail, b->detail) && oxl_digest_equal(&a->want, &b->want) &&
               oxl_digest_equal(&a->got, &b->got);
}

void oxl_check_drop_cache(const struct oxl_check *c, const char *path)
{
        cleanup_fd int fd = oxl_open_beneath(c->root_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
        if (fd >= 0)
                OXL_IGNORE(oxl_sys->fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), "the second look is then the cache's");
}

/* Absent, or a failure that a second look would not explain. */
static bool settled(int r, struct oxl_error *why, struct oxl_look *ret)
{
        if (r == 0)
                ret->state = OXL_LOOK_GOOD;
        else if (r > 0 || oxl_check_is_absent(why))
                ret->state = OXL_LOOK_ABSENT;
        else if (oxl_check_is_unreadable(why))
                ret->state = OXL_LOOK_UNREADABLE;
        else
                return false;
        oxl_error_move(&ret->why, why);
        return true;
}

/* One pair of looks. 1: the file was replaced meanwhile. */
static int look_pair(struct oxl_check *c, const char *const path[2], oxl_look_fn *fn, void *ctx, struct oxl_look *ret,
                     struct oxl_error *err)
{
        struct identity before, between, after;
        cleanup_error struct oxl_error first = OXL_ERROR_INIT, second = OXL_ERROR_INIT;
        int r = identify(c, path, &before, &first);
        ret->st = before.st[0];
        if (r == 0)
                r = fn(c, ctx, &first);
        if (r < 0 && oxl_check_is_fatal(&first))
                return oxl_error_copy(err, &first);
        if (settled(r, &first, ret))
                return 0;
        for (int i = 0; i < 2 && path[i]; i++)
                oxl_check_drop_cache(c, path[i]);
        r = identify(c, path, &between, &second);
        if (r == 0 && !same_identity(&before, &between))
                return 1;
        if (r == 0)
                r = fn(c, ctx, &second);
        if (r < 0 && oxl_check_is_fatal(&second))
                return oxl_error_copy(err, &second);
        if (r == 0 || !oxl_check_is_unreadable(&second)) {
                int s = identify(c, path, &after, &second);
                if (s == 0 && !same_identity(&between, &after))
                        return 1;
                r = s < 0 ? s : r;
        }
        if (settled(r, &second, ret)) {
                if (ret->state != OXL_LOOK_GOOD)
                        return 0;
                ret->state = OXL_LOOK_TRANSIENT;
                ret->verdict = "transient";
                oxl_error_move(&ret->why, &first);
                return 0;
        }
        ret->state = OXL_LOOK_DAMAGED;
        ret->verdict = oxl_check_same_error(&first, &second) ? "media" : "memory-suspect";
        oxl_error_move(&ret->why, &second);
        return 0;
}

int oxl_check_look(struct oxl_check *c, const char *path, const char *also, oxl_look_fn *fn, void *ctx,
                   struct oxl_look *ret, struct oxl_error *err)
{
        const char *const paths[2] = { path, also };
        int r = oxl_check_poll(c, err);
        for (int i = 0; r == 0 && i < LOOKS_MAX; i++) {
                oxl_look_done(ret);
                *ret = (struct oxl_look)OXL_LOOK_INIT;
                r = look_pair(c, paths, fn, ctx, ret, err);
                if (r <= 0)
                        return r;
                r = oxl_check_poll(c, err);
        }
        if (r < 0)
                return r;
        /* Whoever replaces it that often is no crash of ours; nothing was proven either way. */
        errno = EAGAIN;
        ret->state = OXL_LOOK_UNREADABLE;
        OXL_IGNORE(OXL_FAIL_OS(&ret->why, FILE_READ, path), "kept in the look");
        return 0;
}

int oxl_check_owner(struct oxl_check *c, const char *path, const struct stat *st, struct oxl_error *err)
{
        if (st->st_uid == c->uid)
                return 0;
        return oxl_check_report(c, &(struct oxl_report){ .problem = OXL_P_OWNER_DIFFERS, .path = path }, err);
}

int oxl_check_tell(struct oxl_check *c, const char *path, enum oxl_problem missing, enum oxl_problem damaged,
                   const struct oxl_look *look, struct oxl_error *err)
{
        if (look->state == OXL_LOOK_ABSENT) {
                struct oxl_report absent = { .problem = missing, .path = path };
                return missing ? oxl_check_report(c, &absent, err) : 0;
        }
        if (look->state == OXL_LOOK_UNREADABLE)
                return oxl_check_report_error(c, OXL_P_UNREADABLE, path, "", &look->why, err);
        int r = oxl_check_owner(c, path, &look->st, err);
        if (r < 0 || look->state == OXL_LOOK_GOOD)
                return r;
        if (look->state == OXL_LOOK_TRANSIENT)
                damaged = OXL_P_TRANSIENT;
        return oxl_check_report_error(c, damaged, path, look->verdict, &look->why, err);
}

int oxl_check_judge(struct oxl_check *c, const char *path, enum oxl_problem missing, enum oxl_problem damaged,
                    const struct oxl_look *look, struct oxl_error *err)
{
        if (look->state != OXL_LOOK_ABSENT && look->state != OXL_LOOK_UNREADABLE) {
                c->result.files++;
                c->result.bytes += (uint64_t)look->st.st_size;
        }
        return oxl_check_tell(c, path, missing, damaged, look, err);
}

int oxl_check_file(struct oxl_check *c, const char *path, enum oxl_problem missing, enum oxl_problem damaged,
                   oxl_look_fn *fn, void *ctx, enum oxl_look_state *ret, struct oxl_error *err)
{
        cleanup_look struct oxl_look look = OXL_LOOK_INIT;
        int r = oxl_check_look(c, path, NULL, fn, ctx, &look, err);
        if (r < 0)
                return r;
        if (ret)
                *ret = look.state;
        return oxl_check_judge(c, path, missing, damaged, &look, err);
}

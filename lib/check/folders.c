/* SPDX-License-Identifier: MIT */
/*
 * Listing folders, and what to make of names that do not belong: temps of ours and strays.
 * One folder's names are held in memory at a time (and those of its parents, where a pass descends).
 */
#include <string.h>

#include "base/path.h"
#include "check/pass.h"
#include "os/fdio.h"

struct names {
        struct oxl_buf text;   /* NUL-ended names, one after another */
        struct oxl_buf starts; /* size_t each */
};

static void names_done(struct names *n)
{
        oxl_buf_done(&n->text);
        oxl_buf_done(&n->starts);
}

static int compare_names(const void *a, const void *b, void *text)
{
        size_t x, y;
        memcpy(&x, a, sizeof x);
        memcpy(&y, b, sizeof y);
        return strcmp((const char *)text + x, (const char *)text + y);
}

/* The names in the folder @fd, sorted. */
static int read_names(int fd, const char *dir, struct names *ret, struct oxl_error *err)
{
        cleanup_dir struct oxl_dir d = OXL_DIR_INIT;
        struct oxl_dirent e;
        int r;
        if (oxl_dir_open(&d, fd) < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, dir);
        while ((r = oxl_dir_next(&d, &e)) > 0) {
                size_t start = ret->text.len;
                r = oxl_buf_append(&ret->text, e.name, strlen(e.name) + 1, err);
                if (r == 0)
                        r = oxl_buf_append(&ret->starts, &start, sizeof start, err);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return OXL_FAIL_OS(err, DIR_READ, dir);
        size_t n = ret->starts.len / sizeof(size_t);
        if (n > 1)
                qsort_r(ret->starts.data, n, sizeof(size_t), compare_names, ret->text.data);
        return 0;
}

static int visit(struct oxl_check *c, int fd, const char *dir, const char *name, oxl_check_entry_fn *fn, void *ctx,
                 bool *complete, struct oxl_error *err)
{
        struct stat st;
        cleanup_free char *path = NULL;
        int r = oxl_path_join(dir, name, &path, err);
        if (r == 0)
                r = oxl_check_poll(c, err);
        if (r < 0)
                return r;
        if (oxl_fd_stat_at(fd, name, &st) == 0)
                return fn(c, ctx, path, name, &st, err);
        if (errno == ENOENT)
                return 0; /* gone since it was listed: a temp, or what gc moved */
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        OXL_IGNORE(OXL_FAIL_OS(&why, FILE_STAT, path), "reported next");
        *complete = false;
        return oxl_check_report_error(c, OXL_P_UNREADABLE, path, "", &why, err);
}

static int open_and_read(const struct oxl_check *c, const char *dir, int *ret_fd, struct names *ret,
                         struct oxl_error *err)
{
        *ret_fd = oxl_open_beneath(c->root_fd, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        if (*ret_fd < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, dir[0] ? dir : OXL_REPO_DIR);
        return read_names(*ret_fd, dir, ret, err);
}

int oxl_check_list(struct oxl_check *c, const char *dir, oxl_check_entry_fn *fn, void *ctx, bool *ret_complete,
                   struct oxl_error *err)
{
        cleanup_fd int fd = -1;
        cleanup(names_done) struct names names = { OXL_BUF_INIT, OXL_BUF_INIT };
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        bool complete = true;
        int r = open_and_read(c, dir, &fd, &names, &why);
        if (r < 0) {
                complete = false;
                /* Missing, or no folder: pass_leftovers.c says so of those that must be there. */
                r = oxl_check_is_unreadable(&why) && !oxl_check_is_absent(&why)
                            ? oxl_check_report_error(c, OXL_P_UNREADABLE, dir[0] ? dir : ".", "", &why, err)
                            : 0;
        }
        for (size_t i = 0; r == 0 && complete && i < names.starts.len / sizeof(size_t); i++) {
                size_t start;
                memcpy(&start, names.starts.data + i * sizeof start, sizeof start);
                bool seen = true;
                r = visit(c, fd, dir, (const char *)names.text.data + start, fn, ctx, &seen, err);
                if (!seen && ret_complete)
                        *ret_complete = false;
        }
        if (!complete && ret_complete)
                *ret_complete = false;
        return r;
}

int oxl_check_stray(struct oxl_check *c, enum oxl_problem problem, const char *path, const char *name,
                    const struct stat *st, struct oxl_error *err)
{
        uint64_t owner;
        struct stat now;
        struct oxl_report r = { .problem = problem, .path = path };
        if (S_ISREG(st->st_mode) && oxl_temp_name_is_ours(name, &owner)) {
                if (oxl_owner_verdict(c->root_fd, owner) != OXL_TEMP_DEAD)
                        return 0; /* somebody's work, or nobody knows: the sweeper's business */
                r.problem = OXL_P_TEMP_DEAD;
        }
        /* Looked at again after the verdict: an owner that ended well took its temps along. */
        if (oxl_fd_stat_at(c->root_fd, path, &now) == 0)
                return oxl_stat_same(st, &now) ? oxl_check_report(c, &r, err) : 0;
        if (errno == ENOENT)
                return 0;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        OXL_IGNORE(OXL_FAIL_OS(&why, FILE_STAT, path), "reported next");
        return oxl_check_report_error(c, problem, path, "", &why, err);
}

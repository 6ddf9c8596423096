/* SPDX-License-Identifier: MIT */
/*
 * Checking, and healing, the version store of a real Oxen repository: finds it, runs the parts in order.
 *
 * Check mode opens nothing for writing and makes nothing. Repair writes to the state folder and replaces damaged
 * files of the store, after the whole store was walked (with `force`, after each batch). There is no lock that Oxen would honour: a blob is only ever
 * replaced by bytes that hash to its name, which is what Oxen itself would write there.
 */
#include <stdio.h>
#include <string.h>

#include "base/path.h"
#include "foreign/oxen.h"

#define DEFAULT_STORE "versions/files"

void oxl_oxen_result_done(struct oxl_oxen_result *r)
{
        free(r->quarantine);
        r->quarantine = NULL;
}

static void oxen_done(struct oxl_oxen *x)
{
        oxl_oxen_items_done(x);
        oxl_oxen_result_done(&x->result);
        oxl_fd_done(&x->repo_fd);
        oxl_fd_done(&x->store_fd);
        free(x->repo);
        free(x->store);
        free(x->shown);
        free(x->buf);
}

int oxl_oxen_real_path(int fd, const char *fallback, char **ret, struct oxl_error *err)
{
        char link[64], path[4097];
        OXL_IGNORE(snprintf(link, sizeof link, "/proc/self/fd/%d", fd), "fits");
        ssize_t n = oxl_sys->readlinkat(AT_FDCWD, link, path, sizeof path - 1);
        if (n >= 0)
                path[n] = 0;
        *ret = strdup(n > 0 && path[0] == '/' ? path : fallback);
        return *ret ? 0 : OXL_FAIL_PLAIN(err, NOMEM);
}

/* --- finding the store ----------------------------------------------------------------------------------------------- */

/* 1 a folder or file of this type, 0 not; < 0 FILE_STAT. */
static int has(int fd, const char *name, mode_t type, struct oxl_error *err)
{
        struct stat st;
        if (oxl_fd_stat_at(fd, name, &st) == 0)
                return (st.st_mode & S_IFMT) == type;
        return errno == ENOENT || errno == ENOTDIR ? 0 : OXL_FAIL_OS(err, FILE_STAT, name);
}

/* Is there anything that a version store has? */
static int looks_like_store(int fd, const char *dir, struct oxl_error *err)
{
        cleanup_dir struct oxl_dir d = OXL_DIR_INIT;
        struct oxl_dirent e;
        int n = -1;
        if (oxl_dir_open(&d, fd) == 0)
                while ((n = oxl_dir_next(&d, &e)) > 0)
                        if (oxl_oxen_prefix_name(e.name) || strcmp(e.name, "blocks") == 0)
                                return 1;
        return n < 0 ? OXL_FAIL_OS(err, DIR_READ, dir) : 0;
}

/* Is the folder itself an .oxen? */
static int looks_like_oxen(int fd, const char *real, struct oxl_error *err)
{
        int r = has(fd, "config.toml", S_IFREG, err);
        if (r == 0)
                r = has(fd, DEFAULT_STORE, S_IFDIR, err);
        return r == 0 ? strcmp(oxl_path_base(real), ".oxen") == 0 : r;
}

static int open_place(struct oxl_oxen *x, const char *dir, struct oxl_error *err)
{
        cleanup_free char *real = NULL;
        cleanup_fd int fd = oxl_fd_open(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
        if (fd < 0)
                return errno == ENOENT || errno == ENOTDIR ? OXL_FAIL_PATH(err, REPO_NOT_FOUND, dir)
                                                           : OXL_FAIL_OS(err, DIR_OPEN, dir);
        int r = has(fd, ".oxen", S_IFDIR, err);
        if (r > 0) {
                int inner = oxl_fd_open(fd, ".oxen", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
                if (inner < 0)
                        return OXL_FAIL_OS(err, DIR_OPEN, dir);
                oxl_fd_done(&fd);
                fd = inner;
        }
        if (r < 0 || oxl_oxen_real_path(fd, dir, &real, err) < 0)
                return r < 0 ? r : -(int)OXL_E_NOMEM;
        if (r == 0)
                r = looks_like_oxen(fd, real, err);
        if (r > 0) {
                x->repo_fd = take_fd(&fd);
                x->repo = take_ptr(&real);
                return 0;
        }
        if (r == 0)
                r = looks_like_store(fd, dir, err);
        if (r == 0)
                return OXL_FAIL_PATH(err, REPO_NOT_FOUND, dir);
        if (r < 0)
                return r;
        x->store_fd = take_fd(&fd);
        x->store = take_ptr(&real);
        x->shown = strdup("");
        return x->shown ? 0 : OXL_FAIL_PLAIN(err, NOMEM);
}

/* Commits leave traces besides the versions: without any, a store that is not there was never made. */
static int store_missing(struct oxl_oxen *x, bool configured, const char *why, struct oxl_error *err)
{
        struct oxl_oxen_report r = { .problem = OXL_P_OXEN_STORE_MISSING, .path = x->shown, .detail = why };
        int used = configured;
        if (x->place_unknown)
                return 0; /* that config.toml could not be read was reported, and it may name another folder */
        if (used == 0)
                used = has(x->repo_fd, "history", S_IFDIR, err);
        if (used == 0)
                used = has(x->repo_fd, "tree", S_IFDIR, err);
        return used > 0 ? oxl_oxen_report(x, &r, err) : used;
}

/* A link in the store's own path inside the repository is not followed; the folder that config.toml names is the user's word. */
static int open_store(struct oxl_oxen *x, const char *configured, struct oxl_error *err)
{
        cleanup_fd int above = -1;
        bool absolute = configured && configured[0] == '/', relative = configured && !absolute;
        const char *path = configured ? configured : DEFAULT_STORE;
        int at = x->repo_fd, fd;
        if (relative && strncmp(path, ".oxen/", 6) == 0)
                path += 6;
        if (relative && path == configured) { /* ".oxen-versions": beside .oxen */
                above = oxl_fd_open(x->repo_fd, "..", O_RDONLY | O_DIRECTORY, 0);
                at = above;
        }
        x->shown = strdup(path);
        if (!x->shown)
                return OXL_FAIL_PLAIN(err, NOMEM);
        while (strlen(x->shown) > 1 && x->shown[strlen(x->shown) - 1] == '/')
                x->shown[strlen(x->shown) - 1] = 0;
        fd = at < 0     ? -1
             : absolute ? oxl_fd_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0)
                        : oxl_open_beneath(at, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        if (fd >= 0) {
                x->store_fd = fd;
                return oxl_oxen_real_path(fd, x->shown, &x->store, err);
        }
        if (errno == ENOENT)
                return store_missing(x, configured != NULL, "there is no such folder", err);
        if (errno == ENOTDIR || errno == ELOOP || errno == EXDEV)
                return store_missing(x, true, "it is no folder, or behind a symbolic link, which is not followed", err);
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        OXL_IGNORE(OXL_FAIL_OS(&why, DIR_OPEN, x->shown), "reported next");
        return oxl_oxen_unreadable(x, x->shown, &why, err);
}

/* Temps beside HEAD and config.toml. Everything else in .oxen is Oxen's, databases among it: not even opened. */
static int repo_entry(struct oxl_oxen *x, void *ctx, int dirfd, const char *path, const char *name,
                      const struct stat *st, struct oxl_error *err)
{
        (void)ctx, (void)dirfd;
        int r = oxl_oxen_temp(x, path, name, st, err);
        return r < 0 ? r : 0;
}

static int look_at_repository(struct oxl_oxen *x, struct oxl_error *err)
{
        cleanup_free char *configured = NULL;
        int r = oxl_oxen_config(x, &configured, err);
        if (r == 0)
                r = open_store(x, configured, err);
        if (r >= 0) /* 1: the versions are elsewhere */
                r = oxl_oxen_each(x, x->repo_fd, "", repo_entry, NULL, NULL, err);
        return r;
}

void oxl_oxen_places_done(struct oxl_oxen_places *p)
{
        oxl_fd_done(&p->repo_fd);
        oxl_fd_done(&p->store_fd);
        free(p->repo);
        free(p->store);
        free(p->shown);
        *p = (struct oxl_oxen_places)OXL_OXEN_PLACES_INIT;
}

static int say_nothing(void *ctx, const struct oxl_finding *f, struct oxl_error *err)
{
        (void)ctx, (void)f, (void)err;
        return 0;
}

int oxl_oxen_find(const char *dir, const atomic_bool *cancel, struct oxl_oxen_places *ret, struct oxl_error *err)
{
        const struct oxl_oxen_options options = { .cancel = cancel };
        cleanup_free char *configured = NULL;
        cleanup(oxen_done) struct oxl_oxen x = {
                .options = &options, .fn = say_nothing, .repo_fd = -1, .store_fd = -1
        };
        int r = open_place(&x, dir, err);
        if (r == 0 && x.repo_fd >= 0) {
                r = oxl_oxen_config(&x, &configured, err);
                if (r == 0)
                        r = open_store(&x, configured, err);
        }
        if (r < 0)
                return r;
        *ret = (struct oxl_oxen_places){ take_fd(&x.repo_fd), take_ptr(&x.repo), take_fd(&x.store_fd),
                                         take_ptr(&x.store), take_ptr(&x.shown) };
        return 0;
}

/* A source that is not there is said before anything is done. */
static int look_at_source(const struct oxl_oxen_options *o, struct oxl_error *err)
{
        if (!o->repair || !o->from)
                return 0;
        cleanup_fd int fd = oxl_fd_open(AT_FDCWD, o->from, O_RDONLY | O_DIRECTORY, 0);
        return fd < 0 ? OXL_FAIL_OS(err, DIR_OPEN, o->from) : 0;
}

/* --- the call ---------------------------------------------------------------------------------------------------------- */

int oxl_oxen_check_with(const char *dir, const struct oxl_oxen_options *options, const struct oxl_oxen_hooks *hooks,
                        oxl_finding_fn *fn, void *fn_ctx, struct oxl_oxen_result *ret, struct oxl_error *err)
{
        static const struct oxl_oxen_options none = { 0 };
        cleanup(oxen_done) struct oxl_oxen x = { .hooks = hooks,
                                                 .options = options ? options : &none,
                                                 .fn = fn,
                                                 .fn_ctx = fn_ctx,
                                                 .repo_fd = -1,
                                                 .store_fd = -1 };
        oxl_digest_setup();
        x.buf = aligned_alloc(OXL_OXEN_ALIGN, OXL_OXEN_BUFFER);
        if (!x.buf)
                return OXL_FAIL_PLAIN(err, NOMEM);
        int r = open_place(&x, dir, err);
        if (r == 0)
                r = look_at_source(x.options, err);
        if (r == 0 && x.repo_fd >= 0)
                r = look_at_repository(&x, err);
        if (r == 0 && x.store_fd >= 0)
                r = oxl_oxen_walk(&x, err);
        if (r == 0 && hooks && hooks->after)
                r = hooks->after(hooks->ctx, &x, err);
        /* Also after an error of the walk: what was found by then is said. */
        if (r == 0)
                r = oxl_oxen_items_finish(&x, err);
        else
                OXL_IGNORE(oxl_oxen_items_report(&x, NULL), "the first error is returned");
        *ret = x.result; /* also after an error: what was done */
        x.result = (struct oxl_oxen_result){ 0 };
        return r;
}

int oxl_oxen_check(const char *dir, const struct oxl_oxen_options *options, oxl_finding_fn *fn, void *fn_ctx,
                   struct oxl_oxen_result *ret, struct oxl_error *err)
{
        return oxl_oxen_check_with(dir, options, NULL, fn, fn_ctx, ret, err);
}

/* SPDX-License-Identifier: MIT */
/*
 * The walk over a version store: every name at every level is either one that Oxen gives, or a finding.
 *
 *      <2>/<rest>/data, data.<ext>            verified
 *      <2>/<rest>/manifest, other files       known, not verifiable: counted
 *      <2>/<rest>/chunks/<offset>/chunk       an upload in progress: counted
 *      blocks/<2>/<30>/data                   verified
 *      chunk_index                            LMDB: counted, never opened
 *      temps of either shape                  noted with their size
 *
 * A folder of a hash without content is looked at twice before it is called lost: an upload makes the folder first,
 * and a removal empties it first.
 */
#include <stdio.h>
#include <string.h>

#include <oxenlite/atomic.h>

#include "base/path.h"
#include "foreign/oxen.h"

/* The folder that holds the entries of a level. */
struct level {
        const char *two;
        bool block;
};

/* The folder of one hash. */
struct hash_folder {
        struct oxl_digest want;
        const char *shown; /* of the folder */
        const char *path;  /* the same relative to the store */
        bool block;
        bool data;     /* "data" is there and waits to be looked at */
        bool content;  /* something that accounts for the content: verified, unverifiable, or on its way */
        bool counting; /* the first listing: entries are counted and reported */
};

/* --- folders ------------------------------------------------------------------------------------------------------- */

int oxl_oxen_enter(struct oxl_oxen *x, int dirfd, const char *name, const char *path, int *ret_fd,
                   struct oxl_error *err)
{
        int fd = oxl_fd_open(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        if (fd < 0 && errno == ENOENT)
                return 1;
        if (fd < 0) {
                cleanup_error struct oxl_error why = OXL_ERROR_INIT;
                OXL_IGNORE(OXL_FAIL_OS(&why, DIR_OPEN, path), "reported next");
                int r = oxl_oxen_unreadable(x, path, &why, err);
                return r < 0 ? r : 1;
        }
        *ret_fd = fd;
        return 0;
}

static int visit(struct oxl_oxen *x, int dirfd, const char *dir, const char *name, oxl_oxen_entry_fn *fn, void *ctx,
                 bool *complete, struct oxl_error *err)
{
        struct stat st;
        cleanup_free char *path = NULL;
        int r = oxl_oxen_poll(x, err);
        if (r == 0)
                r = oxl_path_join(dir, name, &path, err);
        if (r != 0)
                return r;
        if (oxl_fd_stat_at(dirfd, name, &st) == 0)
                return fn(x, ctx, dirfd, path, name, &st, err);
        if (errno == ENOENT)
                return 0;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        OXL_IGNORE(OXL_FAIL_OS(&why, FILE_STAT, path), "reported next");
        *complete = false;
        return oxl_oxen_unreadable(x, path, &why, err);
}

int oxl_oxen_each(struct oxl_oxen *x, int dirfd, const char *dir, oxl_oxen_entry_fn *fn, void *ctx, bool *ret_complete,
                  struct oxl_error *err)
{
        cleanup_dir struct oxl_dir d = OXL_DIR_INIT;
        struct oxl_dirent e;
        bool complete = true;
        int n = -1, r = 0;
        if (oxl_dir_open(&d, dirfd) == 0)
                while (r == 0 && (n = oxl_dir_next(&d, &e)) > 0)
                        r = visit(x, dirfd, dir, e.name, fn, ctx, &complete, err);
        if (r < 0)
                return r;
        if (n < 0) {
                cleanup_error struct oxl_error why = OXL_ERROR_INIT;
                OXL_IGNORE(OXL_FAIL_OS(&why, DIR_READ, dir[0] ? dir : "."), "reported next");
                complete = false;
                if (why.os != ENOENT) /* removed while it was open */
                        r = oxl_oxen_unreadable(x, dir[0] ? dir : ".", &why, err);
        }
        if (!complete && ret_complete)
                *ret_complete = false;
        return r;
}

/* --- what stands where it does not belong ------------------------------------------------------------------------- */

static const char *type_text(const struct stat *st)
{
        switch (st->st_mode & S_IFMT) {
        case S_IFREG: return "it is a file that Oxen does not put there";
        case S_IFDIR: return "it is a folder that Oxen does not put there";
        case S_IFLNK: return "it is a symbolic link: not followed";
        case S_IFIFO: return "it is a FIFO: not opened";
        default: return "it is a special file: not opened";
        }
}

static int report_stray(struct oxl_oxen *x, const char *path, const struct stat *st, struct oxl_error *err)
{
        struct oxl_oxen_report r = { .problem = OXL_P_OXEN_STRAY, .path = path, .detail = type_text(st) };
        return oxl_oxen_report(x, &r, err);
}

int oxl_oxen_temp(struct oxl_oxen *x, const char *path, const char *name, const struct stat *st, struct oxl_error *err)
{
        if (!S_ISREG(st->st_mode) || !(oxl_oxen_temp_name(name) || oxl_temp_name_is_ours(name, NULL)))
                return 1;
        char detail[64];
        OXL_IGNORE(snprintf(detail, sizeof detail, "%llu bytes", (unsigned long long)st->st_size), "fits");
        x->result.temps++;
        x->result.temp_bytes += (uint64_t)st->st_size;
        struct oxl_oxen_report r = { .problem = OXL_P_OXEN_TEMP, .path = path, .detail = detail };
        return oxl_oxen_report(x, &r, err);
}

static int temp_or_stray(struct oxl_oxen *x, const char *path, const char *name, const struct stat *st,
                         struct oxl_error *err)
{
        int r = oxl_oxen_temp(x, path, name, st, err);
        return r > 0 ? report_stray(x, path, st, err) : r;
}

/* A folder whose name is no hash. What its data would be called is worth knowing: the bytes may be all right. */
static int report_name(struct oxl_oxen *x, int dirfd, const char *path, const char *name, const char *why,
                       struct oxl_error *err)
{
        cleanup_fd int fd = -1;
        cleanup_error struct oxl_error unread = OXL_ERROR_INIT;
        cleanup_free char *data = NULL;
        cleanup_buf struct oxl_buf detail = OXL_BUF_INIT;
        struct oxl_oxen_hashed h = { 0 };
        int hashed = 1;
        int r = oxl_path_join(path, "data", &data, err);
        if (r == 0)
                r = oxl_oxen_enter(x, dirfd, name, path, &fd, err);
        if (r < 0)
                return r;
        if (r == 0)
                hashed = oxl_oxen_hash(x, fd, "data", data, &h, &unread);
        r = oxl_buf_append_text(&detail, why, err);
        if (r == 0 && hashed == 0) {
                char folder[OXL_OXEN_FOLDER_SIZE];
                oxl_oxen_folder(&h.id, folder);
                r = oxl_buf_append_fmt(&detail, err, "; its data belongs at %s/data", folder);
        }
        struct oxl_oxen_report report = { .problem = OXL_P_OXEN_NAME,
                                          .path = path,
                                          .got = hashed == 0 ? &h.id : NULL,
                                          .detail = oxl_buf_text(&detail) };
        if (r == 0 && hashed < 0)
                r = oxl_oxen_unreadable(x, data, &unread, err);
        return r < 0 ? r : oxl_oxen_report(x, &report, err);
}

/* --- one hash ---------------------------------------------------------------------------------------------------- */

/* Do these bytes have a place of their own in the store? Then they were misplaced rather than damaged. An empty file
 * is what any damage can leave. */
static bool belongs_elsewhere(const struct oxl_oxen *x, const struct oxl_oxen_hashed *h)
{
        char folder[OXL_OXEN_FOLDER_SIZE];
        struct stat st;
        oxl_oxen_folder(&h->id, folder);
        return h->bytes > 0 && oxl_fd_stat_at(x->store_fd, folder, &st) == 0 && S_ISDIR(st.st_mode);
}

/* @path is relative to the store. Repair acts on what the medium holds, and reports it then. */
static int damaged(struct oxl_oxen *x, const struct hash_folder *f, const char *path, const char *shown,
                   const struct oxl_oxen_hashed *h, bool media, struct oxl_error *err)
{
        char detail[80] = "";
        enum oxl_problem problem = f->block ? OXL_P_OXEN_BLOCK_DAMAGED : OXL_P_OXEN_BLOB_DAMAGED;
        if (belongs_elsewhere(x, h) && !f->block) {
                char folder[OXL_OXEN_FOLDER_SIZE];
                problem = OXL_P_OXEN_MISPLACED;
                oxl_oxen_folder(&h->id, folder);
                OXL_IGNORE(snprintf(detail, sizeof detail, "its bytes belong at %s/data", folder), "fits");
        } else if (h->bytes == 0) {
                OXL_IGNORE(snprintf(detail, sizeof detail, "it is empty"), "fits");
        }
        struct oxl_oxen_item item = {
                .problem = problem, .want = f->want, .got = h->id, .block = f->block, .st = h->st
        };
        int r = x->options->repair && media ? oxl_oxen_items_add(x, &item, path, err) : 1;
        if (r <= 0)
                return r;
        struct oxl_oxen_report report = { .problem = problem,
                                          .path = shown,
                                          .want = &f->want,
                                          .got = &h->id,
                                          .block = f->block,
                                          .verdict = media ? "media" : "memory-suspect",
                                          .st = &h->st,
                                          .detail = detail };
        return oxl_oxen_report(x, &report, err);
}

/* 1: it is gone. */
static int look_at(struct oxl_oxen *x, const struct hash_folder *f, int dirfd, const char *name,
                   enum oxl_oxen_state *ret_state, uint64_t *ret_bytes, struct oxl_error *err)
{
        cleanup_free char *shown = NULL, *path = NULL;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        struct oxl_oxen_hashed h = { 0 };
        enum oxl_oxen_state state = OXL_OXEN_GONE;
        int r = oxl_path_join(f->shown, name, &shown, err);
        if (r == 0)
                r = oxl_path_join(f->path, name, &path, err);
        if (r == 0)
                r = oxl_oxen_look(x, dirfd, name, shown, &f->want, &state, &h, &why, err);
        if (r < 0)
                return r;
        struct oxl_oxen_report transient = { .problem = OXL_P_TRANSIENT,
                                             .path = shown,
                                             .verdict = "transient",
                                             .want = &f->want,
                                             .got = &h.id,
                                             .block = f->block };
        *ret_state = state;
        *ret_bytes = h.bytes;
        switch (state) {
        case OXL_OXEN_GONE: return 1;
        case OXL_OXEN_UNREADABLE: return oxl_oxen_unreadable(x, shown, &why, err);
        case OXL_OXEN_MEDIA:
        case OXL_OXEN_MEMORY: return damaged(x, f, path, shown, &h, state == OXL_OXEN_MEDIA, err);
        case OXL_OXEN_TRANSIENT: r = oxl_oxen_report(x, &transient, err); break;
        case OXL_OXEN_GOOD: break;
        }
        x->result.blobs++;
        x->result.bytes += h.bytes;
        if (r == 0 && x->options->progress)
                x->options->progress(x->options->ctx, "oxen", x->result.blobs, 0, x->result.bytes, 0);
        return r;
}

/* Tells the hook of it, and returns what that says. 1: it is gone. */
static int hand_out(struct oxl_oxen *x, const struct hash_folder *f, int dirfd, const char *name, struct oxl_error *err)
{
        struct stat st;
        if (oxl_fd_stat_at(dirfd, name, &st) < 0)
                return errno == ENOENT ? 1 : OXL_FAIL_OS(err, FILE_STAT, f->shown);
        if (!S_ISREG(st.st_mode))
                return 1;
        const struct oxl_oxen_unit u = {
                .folder = f->path,
                .name = name,
                .want = &f->want,
                .block = f->block,
                .size = (uint64_t)st.st_size,
                .changed_ns = (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec,
        };
        return x->hooks->unit(x->hooks->ctx, &u, err);
}

static int verify(struct oxl_oxen *x, const struct hash_folder *f, int dirfd, const char *name, struct oxl_error *err)
{
        enum oxl_oxen_state state;
        uint64_t bytes;
        int r = x->hooks && x->hooks->unit ? hand_out(x, f, dirfd, name, err) : OXL_OXEN_NOW;
        return r != OXL_OXEN_NOW ? r : look_at(x, f, dirfd, name, &state, &bytes, err);
}

int oxl_oxen_verify(struct oxl_oxen *x, const struct oxl_oxen_unit *u, enum oxl_oxen_judged *ret, uint64_t *ret_bytes,
                    struct oxl_error *err)
{
        enum oxl_oxen_state state = OXL_OXEN_GONE;
        cleanup_free char *shown = NULL;
        *ret = OXL_OXEN_IS_GONE;
        *ret_bytes = 0;
        int r = oxl_oxen_shown(x, u->folder, &shown, err);
        if (r < 0)
                return r;
        cleanup_fd int fd = oxl_open_beneath(x->store_fd, u->folder, O_RDONLY | O_DIRECTORY, 0);
        if (fd < 0 && errno == ENOENT)
                return 0;
        if (fd < 0) {
                cleanup_error struct oxl_error why = OXL_ERROR_INIT;
                OXL_IGNORE(OXL_FAIL_OS(&why, DIR_OPEN, shown), "reported next");
                *ret = OXL_OXEN_IS_UNREADABLE;
                return oxl_oxen_unreadable(x, shown, &why, err);
        }
        const struct hash_folder f = { .want = *u->want, .shown = shown, .path = u->folder, .block = u->block };
        r = look_at(x, &f, fd, u->name, &state, ret_bytes, err);
        if (r >= 0)
                *ret = state == OXL_OXEN_GOOD         ? OXL_OXEN_IS_GOOD
                       : state == OXL_OXEN_GONE       ? OXL_OXEN_IS_GONE
                       : state == OXL_OXEN_UNREADABLE ? OXL_OXEN_IS_UNREADABLE
                                                      : OXL_OXEN_IS_DAMAGED;
        return r < 0 ? r : 0;
}

static int chunk_entry(struct oxl_oxen *x, void *ctx, int dirfd, const char *path, const char *name,
                       const struct stat *st, struct oxl_error *err)
{
        (void)ctx, (void)dirfd;
        if (!S_ISREG(st->st_mode) || strcmp(name, "chunk") != 0)
                return temp_or_stray(x, path, name, st, err);
        x->result.unverifiable++;
        return 0;
}

static int offset_entry(struct oxl_oxen *x, void *ctx, int dirfd, const char *path, const char *name,
                        const struct stat *st, struct oxl_error *err)
{
        cleanup_fd int fd = -1;
        struct oxl_oxen_report bad = { .problem = OXL_P_OXEN_NAME, .path = path, .detail = "it is not a byte offset" };
        (void)ctx;
        if (!S_ISDIR(st->st_mode))
                return temp_or_stray(x, path, name, st, err);
        if (!oxl_oxen_offset_name(name))
                return oxl_oxen_report(x, &bad, err);
        int r = oxl_oxen_enter(x, dirfd, name, path, &fd, err);
        return r == 0 ? oxl_oxen_each(x, fd, path, chunk_entry, NULL, NULL, err) : r < 0 ? r : 0;
}

/* A file in the folder of a hash. 1: it is nothing of Oxen's. */
static int known_file(struct oxl_oxen *x, struct hash_folder *f, int dirfd, const char *path, const char *name,
                      const struct stat *st, struct oxl_error *err)
{
        bool temp = oxl_oxen_temp_name(name) || oxl_temp_name_is_ours(name, NULL);
        f->content |= temp; /* an upload on its way */
        if (temp)
                return f->counting ? oxl_oxen_temp(x, path, name, st, err) : 0;
        if (strcmp(name, "data") == 0) {
                f->data = true; /* after the listing: repair replaces it */
                return 0;
        }
        if (f->block)
                return 1;
        bool data = oxl_oxen_data_name(name);
        f->content |= data || strcmp(name, "manifest") == 0;
        if (data && f->counting) {
                int r = verify(x, f, dirfd, name, err);
                return r < 0 ? r : 0;
        }
        x->result.unverifiable += f->counting && !data;
        return 0;
}

static int hash_entry(struct oxl_oxen *x, void *ctx, int dirfd, const char *path, const char *name,
                      const struct stat *st, struct oxl_error *err)
{
        struct hash_folder *f = ctx;
        cleanup_fd int fd = -1;
        int r = S_ISREG(st->st_mode) ? known_file(x, f, dirfd, path, name, st, err) : 1;
        if (r <= 0)
                return r;
        if (S_ISDIR(st->st_mode) && !f->block && strcmp(name, "chunks") == 0) {
                f->content = true;
                r = f->counting ? oxl_oxen_enter(x, dirfd, name, path, &fd, err) : 1;
                return r == 0 ? oxl_oxen_each(x, fd, path, offset_entry, NULL, NULL, err) : r < 0 ? r : 0;
        }
        f->content |= oxl_oxen_data_name(name); /* a link, a FIFO or a folder: said once */
        return f->counting ? report_stray(x, path, st, err) : 0;
}

static int report_missing(struct oxl_oxen *x, const struct hash_folder *f, int fd, struct oxl_error *err)
{
        cleanup_free char *shown = NULL, *path = NULL;
        struct oxl_oxen_item item = { .problem = OXL_P_OXEN_DATA_MISSING, .want = f->want, .block = f->block };
        if (oxl_fd_stat(fd, &item.st) == 0 && item.st.st_nlink == 0)
                return 0; /* the folder was removed while it was looked at */
        int r = oxl_path_join(f->shown, "data", &shown, err);
        if (r == 0)
                r = oxl_path_join(f->path, "data", &path, err);
        if (r == 0)
                r = x->options->repair ? oxl_oxen_items_add(x, &item, path, err) : 1;
        struct oxl_oxen_report report = {
                .problem = OXL_P_OXEN_DATA_MISSING, .path = shown, .want = &f->want, .block = f->block
        };
        return r > 0 ? oxl_oxen_report(x, &report, err) : r;
}

static int walk_hash(struct oxl_oxen *x, int fd, struct hash_folder *f, struct oxl_error *err)
{
        bool complete = true;
        for (int look = 0; look < 2; look++) {
                f->data = false;
                f->counting = look == 0;
                int r = oxl_oxen_each(x, fd, f->shown, hash_entry, f, &complete, err);
                if (r == 0)
                        r = f->data ? verify(x, f, fd, "data", err) : 1;
                if (r <= 0)
                        return r;
                /* No data, or gone since it was listed. */
                if (f->content || !complete)
                        return 0;
        }
        return report_missing(x, f, fd, err);
}

/* --- the levels above ---------------------------------------------------------------------------------------------- */

static int prefix_entry(struct oxl_oxen *x, void *ctx, int dirfd, const char *path, const char *name,
                        const struct stat *st, struct oxl_error *err)
{
        const struct level *l = ctx;
        cleanup_fd int fd = -1;
        struct hash_folder f = { .shown = path, .block = l->block };
        char relative[OXL_OXEN_FOLDER_SIZE + 8];
        if (!S_ISDIR(st->st_mode))
                return temp_or_stray(x, path, name, st, err);
        const char *why = oxl_oxen_hash_problem(l->two, name, l->block, &f.want);
        if (why)
                return report_name(x, dirfd, path, name, why, err);
        OXL_IGNORE(snprintf(relative, sizeof relative, "%s%s/%s", l->block ? "blocks/" : "", l->two, name), "fits");
        f.path = relative;
        int r = oxl_oxen_enter(x, dirfd, name, path, &fd, err);
        r = r == 0 ? walk_hash(x, fd, &f, err) : r < 0 ? r : 0;
        return r < 0 ? r : oxl_oxen_items_flush(x, err);
}

static int walk_prefix(struct oxl_oxen *x, int dirfd, const char *path, const char *name, bool block,
                       struct oxl_error *err)
{
        cleanup_fd int fd = -1;
        struct level l = { .two = name, .block = block };
        int r = oxl_oxen_enter(x, dirfd, name, path, &fd, err);
        return r == 0 ? oxl_oxen_each(x, fd, path, prefix_entry, &l, NULL, err) : r < 0 ? r : 0;
}

/* An entry of the store, or of its blocks folder (@ctx). */
static int top_entry(struct oxl_oxen *x, void *ctx, int dirfd, const char *path, const char *name,
                     const struct stat *st, struct oxl_error *err)
{
        bool block = ctx != NULL;
        cleanup_fd int fd = -1;
        if (!block && strcmp(name, "chunk_index") == 0 && (S_ISDIR(st->st_mode) || S_ISREG(st->st_mode))) {
                x->result.unverifiable++; /* LMDB: never opened, and rebuildable */
                return 0;
        }
        if (!S_ISDIR(st->st_mode))
                return temp_or_stray(x, path, name, st, err);
        if (oxl_oxen_prefix_name(name))
                return walk_prefix(x, dirfd, path, name, block, err);
        if (block || strcmp(name, "blocks") != 0) {
                struct oxl_oxen_report bad = { .problem = OXL_P_OXEN_NAME,
                                               .path = path,
                                               .detail = "it is not the two digits with which a hash begins" };
                return oxl_oxen_report(x, &bad, err);
        }
        int r = oxl_oxen_enter(x, dirfd, name, path, &fd, err);
        return r == 0 ? oxl_oxen_each(x, fd, path, top_entry, x, NULL, err) : r < 0 ? r : 0;
}

/* --- counting ------------------------------------------------------------------------------------------------------ */

static int count_below(struct oxl_oxen *x, int dirfd, const char *name, unsigned levels, uint64_t *n,
                       struct oxl_error *err)
{
        cleanup_dir struct oxl_dir d = OXL_DIR_INIT;
        struct oxl_dirent e;
        cleanup_fd int fd = oxl_fd_open(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        int r = oxl_oxen_poll(x, err);
        if (r < 0 || fd < 0 || oxl_dir_open(&d, fd) < 0)
                return r; /* what cannot be listed is no reason to allow more repairs */
        while (r == 0 && oxl_dir_next(&d, &e) > 0) {
                if (levels == 0)
                        ++*n;
                else if (oxl_oxen_prefix_name(e.name))
                        r = count_below(x, fd, e.name, 0, n, err);
                else if (levels == 2 && strcmp(e.name, "blocks") == 0)
                        r = count_below(x, fd, e.name, 1, n, err);
        }
        return r;
}

int oxl_oxen_count(struct oxl_oxen *x, uint64_t *ret, struct oxl_error *err)
{
        uint64_t n = 1; /* 0 stands for: not counted yet */
        int r = count_below(x, x->store_fd, ".", 2, &n, err);
        *ret = n;
        return r;
}

int oxl_oxen_walk(struct oxl_oxen *x, struct oxl_error *err)
{
        return oxl_oxen_each(x, x->store_fd, x->shown, top_entry, NULL, NULL, err);
}

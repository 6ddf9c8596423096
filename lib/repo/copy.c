/* SPDX-License-Identifier: MIT */
/* See copy.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/path.h"
#include "os/fdio.h"
#include "repo/copy.h"
#include "repo/move.h"

static void copying_done(struct oxl_copying *c)
{
        if (c->to)
                oxl_repo_end_write(c->to);
        oxl_repo_close(c->to);
        oxl_fd_done(&c->gc_fd);
        for (size_t i = 0; i < c->n_refs; i++)
                free(c->refs[i].name);
        free(c->refs);
        free(c->head);
        oxl_error_done(&c->first);
}

bool oxl_copying_is_damage(enum oxl_code code)
{
        return code == OXL_E_OBJECT_CORRUPT || code == OXL_E_OBJECT_MISSING || code == OXL_E_MALFORMED ||
               code == OXL_E_SEAL;
}

void oxl_copying_miss(struct oxl_copying *c, const char *path, const char *text, struct oxl_error *why)
{
        oxl_repo_notice(c->from, path, text);
        if (c->first.code == 0)
                oxl_error_move(&c->first, why);
        else
                oxl_error_done(why);
}

int oxl_copying_step(struct oxl_copying *c, uint64_t bytes, struct oxl_error *err)
{
        c->bytes_done += bytes;
        oxl_repo_progress(c->from, "copying", c->files_done, c->files_total, c->bytes_done, c->bytes_total);
        return oxl_repo_cancelled(c->from) ? OXL_FAIL_PLAIN(err, CANCELLED) : 0;
}

/* --- the source ---------------------------------------------------------------------------------------------------- */

static int add_ref(void *ctx, const char *name, const struct oxl_digest *id, struct oxl_error *err)
{
        struct oxl_copying *c = ctx;
        if (c->n_refs == c->refs_cap) {
                size_t cap = c->refs_cap ? 2 * c->refs_cap : 16;
                struct oxl_copy_ref *refs = reallocarray(c->refs, cap, sizeof *refs);
                if (!refs)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                c->refs = refs;
                c->refs_cap = cap;
        }
        char *copy = strdup(name);
        if (!copy)
                return OXL_FAIL_PLAIN(err, NOMEM);
        c->refs[c->n_refs++] = (struct oxl_copy_ref){ copy, *id };
        return 0;
}

/* Before the objects are listed: what these refs need is there by now. Damaged ones leave all refs where they are, but the
 * objects are copied still. */
static int read_refs(struct oxl_copying *c, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int k = oxl_repo_refs(c->from, add_ref, c, &why);
        if (k >= 0)
                k = oxl_head_text(c->from, &c->head, &why);
        c->refs_known = k >= 0 && c->head;
        if (k >= 0 && !c->head)
                k = OXL_FAIL_WHY(&why, MALFORMED, OXL_REPO_DIR "/HEAD", "it is missing");
        if (k >= 0)
                return 0;
        if (!oxl_copying_is_damage(why.code)) {
                oxl_error_move(err, &why);
                return k;
        }
        oxl_copying_miss(c, OXL_REPO_DIR, "a branch, a tag or HEAD is damaged: objects are copied, no branch is moved",
                         &why);
        return 0;
}

static int begin_source(struct oxl_copying *c, struct oxl_error *err)
{
        struct oxl_repo *r = c->from;
        if (r->format.read_only)
                return OXL_FAIL_WHY(err, FEATURE, OXL_REPO_DIR "/format",
                                    "it has features that this version cannot write");
        int k = oxl_owner_lock_gc_shared(r->root_fd, r->options.wait_ms, r->options.cancel, &c->gc_fd, err);
        if (k >= 0)
                k = oxl_repo_objects(r, &c->from_objects, err);
        if (k < 0)
                return k;
        oxl_objects_rescan(c->from_objects);
        return read_refs(c, err);
}

/* --- the destination ------------------------------------------------------------------------------------------------ */

/* The path of @dest, or of the nearest folder above it that exists, without links; NULL: nothing can be found out. */
static char *nearest_folder(const char *dest)
{
        cleanup_free char *path = strdup(dest);
        char *real = NULL;
        while (path) {
                cleanup_fd int fd = oxl_fd_open(AT_FDCWD, *path ? path : ".", O_PATH | O_DIRECTORY, 0);
                if (fd >= 0)
                        return oxl_repo_real_path(fd, path, &real, NULL) < 0 ? NULL : real;
                if (!*path || strcmp(path, "/") == 0)
                        return NULL; /* not even that: no descriptor is left, say */
                path[path[0] == '/' && oxl_path_parent_len(path) == 0 ? 1 : oxl_path_parent_len(path)] = '\0';
        }
        return NULL;
}

/* Is there a repository at @dest? 1: none. */
static int look_at(const struct oxl_copying *c, const char *dest, struct oxl_error *err)
{
        cleanup_free char *near = nearest_folder(dest), *inside = NULL;
        struct stat st, own;
        if (near && oxl_path_is_within(near, c->from->root))
                return OXL_FAIL_WHY(err, COPY_DEST, dest, "it lies inside the repository's own folder");
        int k = oxl_path_join(dest, OXL_REPO_DIR, &inside, err);
        if (k < 0)
                return k;
        if (oxl_fd_stat(c->from->root_fd, &own) < 0)
                return OXL_FAIL_OS(err, FILE_STAT, c->from->root);
        if (oxl_fd_stat_at(AT_FDCWD, inside, &st) < 0)
                return errno == ENOENT || errno == ENOTDIR ? 1 : OXL_FAIL_OS(err, FILE_STAT, inside);
        return oxl_stat_same(&st, &own) ? OXL_FAIL_WHY(err, COPY_DEST, dest, "it is the repository itself") : 0;
}

static int check_same(const struct oxl_copying *c, const char *dest, struct oxl_error *err)
{
        const struct oxl_format *a = &c->from->format, *b = &c->to->format;
        if (memcmp(a->id.bytes, b->id.bytes, OXL_REPO_ID_BYTES) != 0)
                return OXL_FAIL_WHY(err, COPY_DEST, dest, "it holds another repository");
        if (a->blob_algo != b->blob_algo)
                return OXL_FAIL_WHY(err, COPY_DEST, dest, "its repository uses another hash");
        return 0;
}

/* 0: there is nothing in @dest that is not of an earlier copy that was stopped, or it is not there. */
static int check_new(const char *dest, struct oxl_error *err)
{
        struct oxl_dirent e;
        cleanup_dir struct oxl_dir dir = OXL_DIR_INIT;
        cleanup_fd int fd = oxl_fd_open(AT_FDCWD, dest, O_RDONLY | O_DIRECTORY, 0);
        if (fd < 0) /* what else is wrong with it, making the repository says */
                return 0;
        if (oxl_dir_open(&dir, fd) < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, dest);
        for (;;) {
                int n = oxl_dir_next(&dir, &e);
                if (n <= 0)
                        return n < 0 ? OXL_FAIL_OS(err, DIR_READ, dest) : 0;
                if (!oxl_temp_name_is_ours(e.name, NULL) && strcmp(e.name, "lost+found") != 0)
                        return OXL_FAIL_WHY(err, COPY_DEST, dest, "it holds other files, and no repository");
        }
}

/* Only the destination is written, so a write that failed was there: its path begins with @dest. */
static void name_destination(const char *dest, struct oxl_error *err)
{
        bool written = err->code == OXL_E_FILE_CREATE || err->code == OXL_E_FILE_WRITE ||
                       err->code == OXL_E_FILE_SYNC || err->code == OXL_E_FILE_CLOSE ||
                       err->code == OXL_E_FILE_RENAME || err->code == OXL_E_FILE_LINK ||
                       err->code == OXL_E_FILE_REMOVE || err->code == OXL_E_FILE_META || err->code == OXL_E_FILE_LOCK ||
                       err->code == OXL_E_DIR_CREATE || err->code == OXL_E_DIR_SYNC || err->code == OXL_E_PUT_FAILED;
        for (size_t i = 0; written && i < OXL_ARRAY_LEN(err->path); i++) {
                char *path = NULL;
                if (!err->path[i] || strncmp(err->path[i], OXL_REPO_DIR, strlen(OXL_REPO_DIR)) != 0 ||
                    oxl_path_join(dest, err->path[i], &path, NULL) < 0)
                        continue; /* best effort, as all paths of errors */
                free(err->path[i]);
                err->path[i] = path;
        }
}

/* A new repository has the settings of this one; those that cannot be trusted are not handed on. */
static int begin_destination(struct oxl_copying *c, const char *dest, struct oxl_error *err)
{
        struct oxl_settings defaults;
        oxl_settings_default(&defaults);
        int k = look_at(c, dest, err);
        if (k == 1 && (k = check_new(dest, err)) == 0) {
                bool sound = c->from->config_state == OXL_CONFIG_SOUND;
                k = oxl_repo_init_as(dest, &c->from->format, sound ? &c->from->settings : &defaults, err);
                c->result->created = k >= 0;
        }
        if (k >= 0)
                k = oxl_repo_open(dest, &c->from->options, &c->to, err);
        if (k >= 0)
                k = check_same(c, dest, err);
        if (k >= 0)
                k = oxl_repo_begin_write(c->to, err);
        return k < 0 ? k : oxl_repo_objects(c->to, &c->to_objects, err);
}

/* --- the verb ------------------------------------------------------------------------------------------------------- */

static int copy_steps(struct oxl_copying *c, const char *dest, struct oxl_error *err)
{
        cleanup_error struct oxl_error ignored = OXL_ERROR_INIT;
        int k;
        if ((k = begin_source(c, err)) < 0 || (k = begin_destination(c, dest, err)) < 0)
                return k;
        k = oxl_copy_objects(c, err);
        if (k < 0)
                return k;
        oxl_objects_rescan(c->to_objects);
        OXL_IGNORE(oxl_objects_refresh_lookup(c->to_objects, false, &ignored),
                   "derived: without it packs are asked one by one");
        if (c->refs_known && (k = oxl_copy_refs(c, err)) < 0)
                return k;
        k = oxl_journal_checkpoint(c->to->journal, OXL_WAL_LOW_BYTES, err);
        c->result->finished = k >= 0;
        if (k < 0 || c->first.code == 0)
                return k;
        k = -(int)c->first.code;
        oxl_error_move(err, &c->first);
        return k;
}

/* For the report: where HEAD of the copy is. */
static void describe_head(struct oxl_copying *c)
{
        cleanup(oxl_head_done) struct oxl_head head = { 0 };
        if (!c->to || oxl_repo_head(c->to, &head, NULL) < 0)
                return;
        c->result->commit = head.commit;
        if (head.branch)
                snprintf(c->result->head, sizeof c->result->head, "%s", head.branch);
        else
                oxl_digest_text(&head.commit, c->result->head);
}

int oxl_repo_copy(struct oxl_repo *r, const char *dest, const struct oxl_copy_options *options,
                  struct oxl_copy_result *ret, struct oxl_error *err)
{
        static const struct oxl_copy_options defaults;
        *ret = (struct oxl_copy_result){ 0 };
        struct oxl_copying c = { .from = r, .options = options ? options : &defaults, .result = ret, .gc_fd = -1 };
        if (!*dest)
                return OXL_FAIL_WHY(err, COPY_DEST, dest, "it is empty");
        int k = copy_steps(&c, dest, err);
        if (k < 0 && err)
                name_destination(dest, err);
        describe_head(&c);
        copying_done(&c);
        return k;
}

/* SPDX-License-Identifier: MIT */
/* Looking for objects in trash, see trashed.h. Writes nothing. */
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "check/trashed.h"
#include "os/fdio.h"
#include "repo/trash.h"

void oxl_trashed_done(struct oxl_trashed *t)
{
        for (size_t i = 0; i < t->n; i++) {
                oxl_objects_free(t->at[i].objects);
                oxl_fd_done(&t->at[i].root_fd);
        }
        free(t->at);
        *t = (struct oxl_trashed){ 0 };
}

static int add_run(struct oxl_trashed *t, int root_fd, const char *id, const struct oxl_objects_config *like,
                   struct oxl_error *err)
{
        char dir[OXL_TRASH_ID_BYTES + sizeof OXL_TRASH];
        struct oxl_objects_config config = *like;
        struct oxl_objects *objects;
        snprintf(dir, sizeof dir, OXL_TRASH "/%.31s", id);
        cleanup_fd int fd = oxl_open_beneath(root_fd, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        if (fd < 0)
                return errno == ENOENT ? 0 : OXL_FAIL_OS(err, DIR_OPEN, dir);
        struct oxl_trashed_run *at = reallocarray(t->at, t->n + 1, sizeof *at);
        if (!at)
                return OXL_FAIL_PLAIN(err, NOMEM);
        t->at = at;
        config.root_fd = fd;
        config.unreadable = NULL; /* it would say paths as they were before gc: oxl_trashed_find says the run */
        int r = oxl_objects_open(&config, &objects, err);
        if (r < 0)
                return r;
        struct oxl_trashed_run *run = &t->at[t->n++];
        snprintf(run->id, sizeof run->id, "%.31s", id);
        run->root_fd = take_fd(&fd);
        run->objects = objects;
        return 0;
}

/* Trash, or a run in it, that cannot be read has nothing to give, and that is told. Returned: NOMEM, CANCELLED. */
static int get_around(const struct oxl_trashed *t, const struct oxl_error *why, struct oxl_error *err)
{
        if (why->code == OXL_E_NOMEM || why->code == OXL_E_CANCELLED)
                return oxl_error_copy(err, why);
        if (why->os && t->unreadable)
                t->unreadable(t->ctx, why);
        return 0;
}

static int get_around_run(const struct oxl_trashed *t, const struct oxl_trashed_run *run, const struct oxl_error *why,
                          struct oxl_error *err)
{
        char dir[OXL_TRASH_ID_BYTES + sizeof OXL_TRASH];
        cleanup_error struct oxl_error told = OXL_ERROR_INIT;
        if (!why->os)
                return get_around(t, why, err);
        snprintf(dir, sizeof dir, OXL_TRASH "/%.31s", run->id);
        errno = why->os;
        OXL_IGNORE(OXL_FAIL_OS(&told, FILE_READ, dir), "said next");
        return get_around(t, &told, err);
}

int oxl_trashed_list(struct oxl_trashed *t, const struct oxl_objects_config *like, struct oxl_error *err)
{
        cleanup_places struct oxl_places ids = OXL_PLACES_INIT;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        if (t->listed)
                return 0;
        t->listed = true;
        t->unreadable = like->unreadable;
        t->ctx = like->ctx;
        int r = oxl_trash_ids(like->root_fd, &ids, &why);
        if (r < 0)
                return get_around(t, &why, err);
        for (const char *run = NULL; r == 0 && (run = oxl_places_next(&ids, run));) {
                cleanup_error struct oxl_error one = OXL_ERROR_INIT;
                if (add_run(t, like->root_fd, run, like, &one) < 0)
                        r = get_around(t, &one, err);
        }
        return r;
}

int oxl_trashed_find(const struct oxl_trashed *t, enum oxl_kind kind, const struct oxl_digest *id,
                     const struct oxl_trashed_run **ret, struct oxl_error *err)
{
        *ret = NULL;
        for (size_t i = t->n; i-- > 0;) { /* newest first */
                cleanup_buf struct oxl_buf bytes = OXL_BUF_INIT;
                cleanup_error struct oxl_error why = OXL_ERROR_INIT;
                int r = kind == OXL_KIND_BLOB
                                ? oxl_objects_stream(t->at[i].objects, id, NULL, NULL, NULL, &why)
                                : oxl_objects_read(t->at[i].objects, kind, id, OXL_METADATA_MAX, &bytes, &why);
                if (r == 0) {
                        *ret = &t->at[i];
                        return 0;
                }
                r = get_around_run(t, &t->at[i], &why, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

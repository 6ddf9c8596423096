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
                return 0;
        struct oxl_trashed_run *at = reallocarray(t->at, t->n + 1, sizeof *at);
        if (!at)
                return OXL_FAIL_PLAIN(err, NOMEM);
        t->at = at;
        config.root_fd = fd;
        int r = oxl_objects_open(&config, &objects, err);
        if (r < 0)
                return r;
        struct oxl_trashed_run *run = &t->at[t->n++];
        snprintf(run->id, sizeof run->id, "%.31s", id);
        run->root_fd = take_fd(&fd);
        run->objects = objects;
        return 0;
}

int oxl_trashed_list(struct oxl_trashed *t, int root_fd, const struct oxl_repo_id *id, enum oxl_algo blob_algo,
                     struct oxl_error *err)
{
        const struct oxl_objects_config config = { .id = *id,
                                                   .blob_algo = blob_algo,
                                                   .pack_threshold = OXL_PACK_THRESHOLD_DEFAULT };
        cleanup_places struct oxl_places ids = OXL_PLACES_INIT;
        if (t->listed)
                return 0;
        t->listed = true;
        int r = oxl_trash_ids(root_fd, &ids, NULL) == 0 ? 0 : 1;
        for (const char *run = NULL; r == 0 && (run = oxl_places_next(&ids, run));)
                r = add_run(t, root_fd, run, &config, err);
        return r < 0 ? r : 0;
}

const struct oxl_trashed_run *oxl_trashed_find(const struct oxl_trashed *t, enum oxl_kind kind,
                                               const struct oxl_digest *id)
{
        for (size_t i = t->n; i-- > 0;) { /* newest first */
                cleanup_buf struct oxl_buf bytes = OXL_BUF_INIT;
                int r = kind == OXL_KIND_BLOB
                                ? oxl_objects_stream(t->at[i].objects, id, NULL, NULL, NULL, NULL)
                                : oxl_objects_read(t->at[i].objects, kind, id, OXL_METADATA_MAX, &bytes, NULL);
                if (r == 0)
                        return &t->at[i];
        }
        return NULL;
}

/* SPDX-License-Identifier: MIT */
/*
 * The index: every block and every rule of its files; later, when the objects are known, the blobs of staged entries,
 * which no commit needs yet. The index that was read first is kept open, so both steps see the same one.
 */
#include <string.h>

#include "base/path.h"
#include "check/pass.h"
#include "os/fdio.h"

#define INDEX "index"
#define DELTA "index.delta"

static int look_index(struct oxl_check *c, void *ctx, struct oxl_error *err)
{
        (void)ctx;
        oxl_index_free(take_ptr(&c->index));
        struct oxl_index *x = NULL;
        int r = oxl_index_open(c->root_fd, &c->format.id, c->format.blob_algo, &x, err);
        if (r == 0)
                r = oxl_index_verify(x, err);
        if (r == 0)
                c->index = take_ptr(&x);
        oxl_index_free(x);
        return r;
}

/* Which of the two files an error is about. */
static const char *file_of(const struct oxl_error *why)
{
        return why->path[0] && strcmp(oxl_path_base(why->path[0]), DELTA) == 0 ? DELTA : INDEX;
}

static int count_file(struct oxl_check *c, const char *path, struct oxl_error *err)
{
        struct stat st;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        if (oxl_fd_stat_at(c->root_fd, path, &st) < 0) {
                OXL_IGNORE(OXL_FAIL_OS(&why, FILE_STAT, path), "reported next");
                return oxl_check_report_error(c, OXL_P_INDEX_MISSING, path, "", &why, err);
        }
        c->result.files++;
        c->result.bytes += (uint64_t)st.st_size;
        return oxl_check_owner(c, path, &st, err);
}

int oxl_check_index(struct oxl_check *c, struct oxl_error *err)
{
        cleanup_look struct oxl_look look = OXL_LOOK_INIT;
        if (!c->have_id)
                return 0;
        int r = oxl_check_look(c, INDEX, DELTA, look_index, NULL, &look, err);
        if (r < 0)
                return r;
        const char *path = file_of(&look.why);
        if (look.state == OXL_LOOK_ABSENT)
                return oxl_check_report(c, &(struct oxl_report){ .problem = OXL_P_INDEX_MISSING, .path = path }, err);
        if (look.state == OXL_LOOK_UNREADABLE)
                return oxl_check_report_error(c, OXL_P_UNREADABLE, path, "", &look.why, err);
        r = count_file(c, INDEX, err);
        if (r == 0)
                r = count_file(c, DELTA, err);
        if (r < 0 || look.state == OXL_LOOK_GOOD)
                return r;
        return oxl_check_report_error(c, look.state == OXL_LOOK_TRANSIENT ? OXL_P_TRANSIENT : OXL_P_INDEX_DAMAGED, path,
                                      look.verdict, &look.why, err);
}

/* --- staged blobs --- */

static int check_staged_entry(struct oxl_check *c, const struct oxl_index_entry *e, struct oxl_error *err)
{
        struct oxl_known_slot *slot;
        int state;
        int r = oxl_check_blob(c, &e->id, &state, &slot, err);
        if (r < 0)
                return r;
        slot->flags |= OXL_KNOWN_NEEDED;
        struct oxl_report report = {
                .path = INDEX, .object = &e->id, .affects = &e->path, .n_affects = 1, .affects_total = 1
        };
        if (state == 1) {
                slot->flags |= OXL_KNOWN_BAD;
                report.problem = OXL_P_INDEX_BLOB;
                return oxl_check_report(c, &report, err);
        }
        if (state == 0 && oxl_known_size(slot) != e->size) {
                report.problem = OXL_P_SIZE_WRONG;
                report.detail = "the index states another size than the blob has";
                return oxl_check_report(c, &report, err);
        }
        return 0;
}

int oxl_check_staged(struct oxl_check *c, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        struct oxl_index_cursor *cursor = NULL;
        struct oxl_index_entry e;
        if (!c->index || !c->objects)
                return 0;
        int r = 0, s = oxl_index_cursor_new(c->index, "", OXL_INDEX_STAGED_ONLY, &cursor, &why);
        while (r == 0 && s == 0) {
                s = oxl_index_cursor_next(cursor, &e, &why);
                if (s == 0 && e.staged && e.kind != OXL_ENTRY_NONE)
                        r = check_staged_entry(c, &e, err);
                if (r == 0)
                        r = oxl_check_poll(c, err);
        }
        oxl_index_cursor_free(cursor);
        if (r == 0 && s < 0)
                r = oxl_check_report_error(c, OXL_P_INDEX_DAMAGED, INDEX, "media", &why, err);
        return r;
}

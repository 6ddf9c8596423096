/* SPDX-License-Identifier: MIT */
/*
 * What verbs kept of files that they replaced or removed: blobs that nothing but the intent of the operation names. Its member
 * "local" lists them (docs/FORMAT.md section 7.3), so that gc keeps them, op log names them and undo can write them back; cat
 * hands out any blob by its id. When the operation did not come to its end (aborted, rolled back, superseded) they may be the only copy of what
 * it replaced before that: its row stays in the log for their sake, and recovery names them. All of it only reads.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "repo/move.h"
#include "repo/why.h"

#define WHERE "journal.db"

static void json_done(struct oxl_json **j)
{
        oxl_json_free(*j);
}

bool oxl_kept_any(const struct oxl_edits_record *r)
{
        return r->n_blobs > 0 || (r->hex && r->hex[0]);
}

int oxl_kept_parse(const char *body, enum oxl_algo blob_algo, struct oxl_edits_record *ret, struct oxl_error *err)
{
        cleanup(json_done) struct oxl_json *j = NULL;
        *ret = (struct oxl_edits_record)OXL_EDITS_RECORD_INIT;
        if (!strstr(body, "\"local\"")) /* nearly all of them */
                return 0;
        int k = oxl_json_parse(body, strlen(body), WHERE, &j, err);
        const struct oxl_json *local = k < 0 ? NULL : oxl_json_get(j, "local");
        return local ? oxl_edits_record_get(local, blob_algo, ret, err) : k;
}

static int add_kept(struct oxl_buf *list, const struct oxl_edits *local, struct oxl_error *err)
{
        int k = 0;
        for (size_t i = 0; k >= 0 && i < local->n; i++) {
                const struct oxl_edit *e = &local->at[i];
                const struct oxl_kept file = { e->path, e->old.size, e->old.id };
                k = e->old.kind == OXL_ENTRY_NONE ? 0 : oxl_buf_append(list, &file, sizeof file, err);
        }
        return k;
}

int oxl_kept_list(struct oxl_repo *r, const char *body, const char *what, struct oxl_edits *local, struct oxl_buf *ret,
                  struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        cleanup(oxl_edits_record_done) struct oxl_edits_record record = OXL_EDITS_RECORD_INIT;
        struct oxl_objects *objects = NULL;
        char text[96];
        int k = oxl_kept_parse(body, r->format.blob_algo, &record, err);
        if (k >= 0 && oxl_kept_any(&record))
                k = oxl_repo_objects(r, &objects, err);
        if (k < 0 || !objects)
                return k;
        k = oxl_edits_read(local, objects, r->format.blob_algo, &record, &why);
        if (k == -OXL_E_NOMEM || k == -OXL_E_CANCELLED) {
                oxl_error_move(err, &why);
                return k;
        }
        if (k < 0) {
                snprintf(text, sizeof text, "what %s kept cannot be listed: run oxen-lite fsck", what);
                oxl_repo_notice(r, why.path[0], text);
        }
        return k < 0 ? 0 : add_kept(ret, local, err);
}

void oxl_kept_recovered(struct oxl_repo *r, const char *body, const struct oxl_recovered *what)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        cleanup(oxl_edits_done) struct oxl_edits local = OXL_EDITS_INIT;
        cleanup_buf struct oxl_buf kept = OXL_BUF_INIT;
        struct oxl_recovered said = *what;
        if (!r->options.recovered)
                return;
        if (oxl_kept_list(r, body, "the interrupted operation", &local, &kept, &why) < 0)
                oxl_repo_notice(r, NULL, "what it kept cannot be listed now: see oxen-lite op log");
        said.kept = (const struct oxl_kept *)(const void *)kept.data;
        said.n_kept = kept.len / sizeof(struct oxl_kept);
        r->options.recovered(r->options.ctx, &said);
}

/* --- cat ID --------------------------------------------------------------------------------------------------------- */

static const char *kind_text(enum oxl_kind kind)
{
        return kind == OXL_KIND_COMMIT ? "a commit, not a file: see oxen-lite show"
                                       : "a folder, not a file: see oxen-lite ls";
}

/* The blob that @text means. Damaged packs were named by notices. */
static int find_blob(struct oxl_why *w, const char *text, struct oxl_error *err)
{
        int k = oxl_why_find_object(w, text, false, err);
        if (k > 0 && w->first.code != 0) { /* it may lie in what cannot be read */
                k = -(int)w->first.code;
                oxl_error_move(err, &w->first);
                return k;
        }
        if (k > 0)
                return OXL_FAIL_WHY(err, WHY_TARGET, text,
                                    strlen(text) < OXL_WHY_DIGITS_MIN ? "the start of an id needs at least 8 digits"
                                                                      : "no blob begins like this");
        if (k == 0 && w->kind != OXL_KIND_BLOB)
                return OXL_FAIL_WHY(err, OBJECT_KIND, text, kind_text(w->kind));
        return k;
}

int oxl_repo_blob(struct oxl_repo *r, const char *id, struct oxl_digest *ret, struct oxl_error *err)
{
        struct oxl_why_result result = { 0 };
        struct oxl_why w = { .repo = r, .result = &result };
        int k = oxl_repo_objects(r, &w.objects, err);
        if (k >= 0)
                k = find_blob(&w, id, err);
        if (k >= 0)
                *ret = w.id;
        oxl_error_done(&w.first);
        return k;
}

/* SPDX-License-Identifier: MIT */
/* See needs.h. */
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "repo/move.h"
#include "repo/needs.h"
#include "repo/trash.h"

/* --- one object ------------------------------------------------------------------------------------------------------- */

static int hand_out(const struct oxl_needs *n, enum oxl_need_kind kind, const struct oxl_digest *id,
                    struct oxl_error *err)
{
        const struct oxl_need need = { .kind = kind, .id = id };
        return id->algo == OXL_ALGO_NONE ? 0 : n->fn(n->ctx, &need, err);
}

static int hand_out_state(const struct oxl_needs *n, const struct oxl_state *s, struct oxl_error *err)
{
        return s->kind == OXL_ENTRY_NONE ? 0 : hand_out(n, OXL_NEED_STATE, &s->id, err);
}

/* All pieces of a list before the first is read: one that is missing must not hide the others. */
static int hand_out_list(const struct oxl_needs *n, enum oxl_need_kind kind, const struct oxl_edits_record *r,
                         struct oxl_error *err)
{
        int k = 0;
        for (size_t i = 0; k >= 0 && i < r->n_blobs; i++)
                k = hand_out(n, kind, &r->blobs[i], err);
        return k;
}

static int both_states(void *ctx, const struct oxl_edit *e, struct oxl_error *err)
{
        int k = hand_out_state(ctx, &e->old, err);
        return k < 0 ? k : hand_out_state(ctx, &e->new_, err);
}

static int old_state(void *ctx, const struct oxl_edit *e, struct oxl_error *err)
{
        return hand_out_state(ctx, &e->old, err);
}

static int kept_state(void *ctx, const struct oxl_edit *e, struct oxl_error *err)
{
        const struct oxl_needs *n = ctx;
        const struct oxl_need need = { OXL_NEED_KEPT, &e->old.id, e->path, e->path_len };
        int k = e->old.kind == OXL_ENTRY_NONE ? 0 : n->fn(n->ctx, &need, err);
        return k < 0 ? k : hand_out_state(n, &e->new_, err);
}

static int each(const struct oxl_needs *n, enum oxl_need_kind kind, const struct oxl_edits_record *r, oxl_edit_fn *fn,
                struct oxl_error *err)
{
        struct oxl_needs copy = *n;
        int k = hand_out_list(n, kind, r, err);
        return k < 0 ? k : oxl_edits_each(n->objects, n->blob_algo, r, fn, &copy, err);
}

/* --- one operation ------------------------------------------------------------------------------------------------------ */

/* Everything that doing a move, or taking it back, reads. */
static int needs_of_move(const struct oxl_needs *n, const struct oxl_move *m, struct oxl_error *err)
{
        struct oxl_digest id;
        const char *heads[] = { m->head_old, m->head_new };
        int k = hand_out(n, OXL_NEED_COMMIT, &m->ref_old, err);
        if (k >= 0)
                k = hand_out(n, OXL_NEED_COMMIT, &m->ref_new, err);
        for (size_t i = 0; k >= 0 && i < OXL_ARRAY_LEN(heads); i++)
                if (heads[i] && oxl_digest_parse(OXL_ALGO_BLAKE3, heads[i], &id))
                        k = hand_out(n, OXL_NEED_COMMIT, &id, err);
        if (k < 0 || !m->index)
                return k;
        k = hand_out(n, OXL_NEED_TREE, &m->tree_old, err);
        if (k >= 0)
                k = hand_out(n, OXL_NEED_TREE, &m->tree_new, err);
        return k < 0 ? k : each(n, OXL_NEED_LIST, &m->record, both_states, err);
}

/* What did not come to its end is never taken back, and what it was to do may not be there. But a superseded one may have taken staged
 * content, which no commit has, out of the index before. */
int oxl_needs_undo(const struct oxl_needs *n, enum oxl_intent_state state, const char *body, struct oxl_error *err)
{
        cleanup(oxl_move_done) struct oxl_move m = OXL_MOVE_INIT;
        if (oxl_intent_undone(state) && state != OXL_INTENT_SUPERSEDED)
                return 0;
        int k = oxl_move_parse(body, n->blob_algo, &m, err);
        if (k != 0)
                return k < 0 ? k : 0;
        return state == OXL_INTENT_SUPERSEDED ? each(n, OXL_NEED_LIST, &m.record, old_state, err)
                                              : needs_of_move(n, &m, err);
}

/* And what it wrote that no index names. */
int oxl_needs_kept(const struct oxl_needs *n, const char *body, struct oxl_error *err)
{
        cleanup(oxl_edits_record_done) struct oxl_edits_record record = OXL_EDITS_RECORD_INIT;
        int k = oxl_kept_parse(body, n->blob_algo, &record, err);
        return k < 0 ? k : each(n, OXL_NEED_KEPT_LIST, &record, kept_state, err);
}

/* --- whose rows count ---------------------------------------------------------------------------------------------------- */

struct horizon {
        struct oxl_horizon h;
        struct oxl_journal *journal;
};

static int hear(void *ctx, const struct oxl_operation *op, struct oxl_error *err)
{
        struct horizon *h = ctx;
        return oxl_horizon_hear(&h->h, h->journal, op, err);
}

int oxl_needs_since(struct oxl_journal *j, int64_t *since_ns, struct oxl_error *err)
{
        struct horizon h = { OXL_HORIZON_INIT, j };
        int k = oxl_journal_operations(j, 0, hear, &h, err);
        if (k >= 0 && h.h.since_ns > *since_ns)
                *since_ns = h.h.since_ns;
        oxl_horizon_done(&h.h);
        return k < 0 ? k : 0;
}

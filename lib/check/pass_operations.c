/* SPDX-License-Identifier: MIT */
/*
 * What the operation log still needs (repo/needs.h), by gc's rules: of the operations since gc.keep_days, and not of those that a gc has
 * already given up. All of it is marked needed.
 *
 * What was kept of a file is often the only copy of it: that it is gone is a finding, one for each blob. That undo of operations lacks
 * something is one note for all of them. Neither is said of what another finding names, or of what an open intent may not have written yet.
 *
 * Runs last, when all that commits and the index need is known. Reads the copy of the journal that the pass over it left open, and lists
 * of edits in pieces. Memory: 900 bytes for each lost blob.
 */
#include <stdio.h>
#include <string.h>

#include "check/bad.h"
#include "check/walk.h"
#include "objects/idset.h"
#include "objects/loose.h"
#include "repo/needs.h"

#define JOURNAL "journal.db"
#define DAY_NS (INT64_C(86400) * 1000000000)

struct operations {
        struct oxl_check *c;
        struct oxl_bad_list bad; /* kept blobs that are gone; at @note: the note */
        struct oxl_idset kept;   /* places in it, by id */
        size_t note;             /* SIZE_MAX: none yet */
        int64_t since_ns;
        bool fatal; /* the check has to stop */

        const struct oxl_operation *op; /* that is being looked at */
        bool ask;                       /* it came to its end, so all of it should be there */
        struct oxl_lost lost;           /* of it */
        bool list_told;                 /* a list cannot be read, and that is said */
};

static void operations_done(struct operations *o)
{
        oxl_bad_list_done(&o->bad);
        oxl_idset_done(&o->kept);
}

static const uint8_t *bad_id(const void *array, size_t i)
{
        return ((const struct oxl_bad *)array)[i].id.bytes;
}

/* --- one object --- */

/* Once something is lost, the rest of this operation is only marked: to ask for a blob that is gone costs a listing. */
static int need_blob(struct operations *o, const struct oxl_need *need, struct oxl_error *err)
{
        struct oxl_known_slot *slot = oxl_known_find(&o->c->known, need->id);
        int state = 0;
        int r = slot && slot->flags & OXL_KNOWN_WHOLE ? 0
                : o->ask && !o->lost.any              ? oxl_check_blob(o->c, need->id, &state, &slot, err)
                                                      : oxl_known_put(&o->c->known, need->id, &slot, err);
        if (r < 0)
                return r;
        slot->flags |= OXL_KNOWN_NEEDED;
        if (state != 0 && need->kind == OXL_NEED_LIST)
                o->list_told = true;
        if (state == 1 && !(slot->flags & OXL_KNOWN_BAD))
                slot->flags |= OXL_KNOWN_BAD | OXL_KNOWN_UNTOLD;
        if (slot->flags & OXL_KNOWN_UNTOLD && o->ask)
                oxl_lost_add(&o->lost, OXL_KIND_BLOB, need->id);
        return 0;
}

/* The list of bad things gets it, with the newest operation that kept it; the paths of all. */
static int add_kept(struct operations *o, const struct oxl_need *need, size_t *ret, struct oxl_error *err)
{
        char path[OXL_LOOSE_PATH_MAX], detail[96];
        bool list = need->kind == OXL_NEED_KEPT_LIST;
        oxl_loose_path(need->id, path);
        snprintf(detail, sizeof detail, "%soperation %lld (%.20s) kept%s", list ? "the list of what " : "",
                 (long long)o->op->id, o->op->verb, list ? "" : " it");
        o->kept.id_of = bad_id;
        int r = oxl_idset_reserve(&o->kept, o->bad.at, err);
        if (r == 0)
                r = oxl_bad_add(&o->bad, OXL_P_KEPT_MISSING, OXL_KIND_BLOB, need->id, path, detail, NULL, err);
        if (r < 0)
                return r;
        *ret = o->bad.n - 1;
        oxl_idset_add(&o->kept, o->bad.at, *ret);
        return 0;
}

static int need_kept(struct operations *o, const struct oxl_need *need, struct oxl_error *err)
{
        struct oxl_known_slot *slot;
        int state;
        int r = oxl_check_blob(o->c, need->id, &state, &slot, err);
        if (r < 0)
                return r;
        slot->flags |= OXL_KNOWN_NEEDED;
        o->list_told = o->list_told || (state != 0 && need->kind == OXL_NEED_KEPT_LIST);
        if (state != 1)
                return 0;
        size_t at = oxl_idset_find(&o->kept, o->bad.at, need->id->bytes);
        if (at == OXL_IDSET_NONE && slot->flags & OXL_KNOWN_BAD && !(slot->flags & OXL_KNOWN_UNTOLD))
                return 0; /* commits, or the index, need it, too */
        slot->flags = (uint8_t)((slot->flags & ~OXL_KNOWN_UNTOLD) | OXL_KNOWN_BAD);
        if (at == OXL_IDSET_NONE)
                r = add_kept(o, need, &at, err);
        return r < 0 || !need->path ? r
                                    : oxl_bad_affects(&o->bad, &o->bad.at[at], NULL, need->path, need->path_len, err);
}

static int need_node(struct operations *o, enum oxl_kind kind, const struct oxl_digest *id, struct oxl_error *err)
{
        return oxl_check_needed(o->c, kind, id, o->ask && !o->lost.any ? &o->lost : NULL, err);
}

static int take_need(void *ctx, const struct oxl_need *need, struct oxl_error *err)
{
        struct operations *o = ctx;
        int r = oxl_check_poll(o->c, err);
        if (r < 0) {
                o->fatal = true;
                return r;
        }
        switch (need->kind) {
        case OXL_NEED_COMMIT: r = need_node(o, OXL_KIND_COMMIT, need->id, err); break;
        case OXL_NEED_TREE: r = need_node(o, OXL_KIND_TREE, need->id, err); break;
        case OXL_NEED_LIST:
        case OXL_NEED_STATE: r = need_blob(o, need, err); break;
        case OXL_NEED_KEPT_LIST:
        case OXL_NEED_KEPT: r = need_kept(o, need, err); break;
        }
        o->fatal = r < 0;
        return r;
}

/* --- one operation --- */

/* A list that is missing was handed out before it was read, and is said unless it has a name and is damaged nevertheless. */
static int list_failed(struct operations *o, const struct oxl_error *why, struct oxl_error *err)
{
        if (o->fatal || oxl_check_is_fatal(why))
                return oxl_error_copy(err, why);
        if (oxl_check_is_unreadable(why))
                oxl_check_hear_unread(o->c, why);
        else if (!o->list_told && o->ask)
                oxl_lost_add(&o->lost, OXL_KIND_BLOB, &(struct oxl_digest)OXL_DIGEST_INIT);
        return 0;
}

static int note_lost(struct operations *o, struct oxl_error *err)
{
        char text[64];
        if (o->note == SIZE_MAX) {
                static const char *const kinds[] = {
                        [OXL_KIND_BLOB] = "blob", [OXL_KIND_TREE] = "tree", [OXL_KIND_COMMIT] = "commit"
                };
                struct oxl_bad *b;
                int r = oxl_bad_add(&o->bad, OXL_P_UNDO_MISSING, o->lost.kind, &o->lost.id, JOURNAL, NULL, &b, err);
                if (r < 0)
                        return r;
                snprintf(b->expected, sizeof b->expected, "%s", kinds[o->lost.kind]);
                o->note = o->bad.n - 1;
        }
        int n = snprintf(text, sizeof text, "operation %lld (%.20s)", (long long)o->op->id, o->op->verb);
        return oxl_bad_affects(&o->bad, &o->bad.at[o->note], NULL, text, (size_t)n, err);
}

static int look_at_body(struct operations *o, const char *body, struct oxl_error *err)
{
        const struct oxl_needs n = { o->c->objects, o->c->format.blob_algo, take_need, o };
        cleanup_error struct oxl_error kept = OXL_ERROR_INIT, undo = OXL_ERROR_INIT;
        o->lost = (struct oxl_lost){ .any = false };
        o->list_told = false;
        int r = oxl_needs_kept(&n, body, &kept) < 0 ? list_failed(o, &kept, err) : 0;
        o->list_told = false;
        if (r == 0 && oxl_needs_undo(&n, o->op->state, body, &undo) < 0)
                r = list_failed(o, &undo, err);
        return r == 0 && o->lost.any ? note_lost(o, err) : r;
}

static int take_operation(void *ctx, const struct oxl_operation *op, struct oxl_error *err)
{
        struct operations *o = ctx;
        cleanup_free char *body = NULL;
        if (op->intent == 0 || op->time_ns < o->since_ns)
                return 0;
        int r = oxl_journal_intent_body(o->c->journal, op->intent, &body, err);
        if (r < 0 || !body)
                return r;
        o->op = op;
        o->ask = op->state != OXL_INTENT_STAGED && !oxl_intent_undone(op->state);
        r = look_at_body(o, body, err);
        o->fatal = r < 0;
        oxl_check_progress(o->c, "operations");
        return r;
}

/* --- all --- */

static int walk(struct operations *o, struct oxl_error *err)
{
        struct oxl_check *c = o->c;
        int64_t keep_ns = (int64_t)c->keep_days * DAY_NS;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        o->since_ns = c->ledger.now_ns > keep_ns ? c->ledger.now_ns - keep_ns : 0;
        int r = oxl_needs_since(c->journal, &o->since_ns, &why);
        if (r == 0)
                r = oxl_journal_operations_all(c->journal, 0, take_operation, o, &why);
        if (r == 0)
                return 0;
        if (o->fatal || oxl_check_is_fatal(&why))
                return oxl_error_copy(err, &why);
        return oxl_check_is_unreadable(&why) ? oxl_check_report_error(c, OXL_P_UNREADABLE, JOURNAL, "", &why, err) : 0;
}

int oxl_check_operations(struct oxl_check *c, struct oxl_error *err)
{
        cleanup(operations_done) struct operations o = { .c = c, .note = SIZE_MAX };
        if (!c->journal || !c->objects)
                return 0;
        int r = walk(&o, err);
        oxl_journal_close(take_ptr(&c->journal));
        return r < 0 ? r : oxl_bad_report(c, &o.bad, err);
}

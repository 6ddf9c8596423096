/* SPDX-License-Identifier: MIT */
/*
 * The operation log, and undo: the recorded move of an operation, in reverse, as a move of its own. It is refused unless
 * everything that the operation moved is still where it left it, so undo never takes back what it does not know.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/path.h"
#include "os/fdio.h"
#include "repo/move.h"
#include "repo/trash.h"

/* --- reading -------------------------------------------------------------------------------------------------------- */

struct reading {
        struct oxl_repo *repo;
        struct oxl_journal *journal;
        oxl_operation_info_fn *fn;
        void *ctx;
        struct oxl_horizon horizon; /* behind it gc has not kept what undo needs */
};

/* 0 it says what it moved, 1 it does not. *ret_body: its intent; NULL: it has none. */
static int parse_operation(struct oxl_repo *r, struct oxl_journal *j, int64_t intent, struct oxl_move *ret,
                           char **ret_body, struct oxl_error *err)
{
        int k = intent != 0 ? oxl_journal_intent_body(j, intent, ret_body, err) : 0;
        if (k < 0 || !*ret_body)
                return k < 0 ? k : 1;
        return oxl_move_parse(*ret_body, r->format.blob_algo, ret, err);
}

static int show_operation(void *ctx, const struct oxl_operation *op, struct oxl_error *err)
{
        struct reading *rd = ctx;
        cleanup(oxl_move_done) struct oxl_move m = OXL_MOVE_INIT;
        cleanup_free char *body = NULL;
        cleanup(oxl_edits_done) struct oxl_edits local = OXL_EDITS_INIT;
        cleanup_buf struct oxl_buf kept = OXL_BUF_INIT;
        int k = oxl_horizon_hear(&rd->horizon, rd->journal, op, err), listed = 0;
        const bool behind = op->time_ns < rd->horizon.since_ns;
        char what[48];
        snprintf(what, sizeof what, "operation %lld", (long long)op->id);
        if (k >= 0)
                k = parse_operation(rd->repo, rd->journal, op->intent, &m, &body, err);
        if (k >= 0 && body && !behind)
                listed = oxl_kept_list(rd->repo, body, what, &local, &kept, err);
        if (k < 0 || listed < 0)
                return k < 0 ? k : listed;
        const struct oxl_operation_info info = {
                .id = op->id,
                .time_ns = op->time_ns,
                .verb = op->verb,
                .note = op->note,
                .ref = op->ref,
                .old_id = op->old_id,
                .new_id = op->new_id,
                .state = oxl_intent_state_text(op->state),
                .undoable = k == 0 && !behind && !oxl_intent_undone(op->state),
                .kept = (const struct oxl_kept *)(const void *)kept.data,
                .n_kept = kept.len / sizeof(struct oxl_kept),
        };
        return rd->fn(rd->ctx, &info, err);
}

static int ignore_intent(void *ctx, const struct oxl_event *event, struct oxl_error *err)
{
        (void)ctx;
        (void)event;
        (void)err;
        return 0;
}

static int read_operations(struct reading *rd, uint64_t max, struct oxl_error *err)
{
        int k = oxl_journal_open_intents(rd->journal, ignore_intent, NULL, err); /* verifies the chain */
        if (k >= 0)
                k = oxl_journal_operations_all(rd->journal, max, show_operation, rd, err);
        return k < 0 ? k : 0;
}

int oxl_repo_operations(struct oxl_repo *r, uint64_t max, oxl_operation_info_fn *fn, void *ctx, struct oxl_error *err)
{
        struct reading rd = { r, r->journal, fn, ctx, OXL_HORIZON_INIT };
        int k = r->journal ? 0 : oxl_repo_journal_copy(r, &rd.journal, err);
        if (k < 0)
                return k;
        k = read_operations(&rd, max, err);
        oxl_horizon_done(&rd.horizon);
        if (!r->journal)
                oxl_journal_close(rd.journal);
        return k;
}

/* --- undo ------------------------------------------------------------------------------------------------------------ */

struct undo {
        struct oxl_repo *repo;
        struct oxl_objects *objects;
        int64_t wanted; /* 0: the newest */
        bool force;
        int64_t id, intent;
        char verb[16], note[256];
        struct oxl_horizon horizon;
        bool behind; /* gc has not kept what it needs */
        bool undone; /* it did not come to its end */
        struct oxl_move m;
        struct oxl_edits own;
};

static void undo_done(struct undo *u)
{
        oxl_move_done(&u->m);
        oxl_edits_done(&u->own);
        oxl_horizon_done(&u->horizon);
}

/* "The newest" is one that moved HEAD, a ref or the index: what others do (gc, config, restore) is taken back in other ways, or
 * never, and must not be in the way for ever. A repair may have moved refs, but then nothing is where undo would want it. */
static bool moves_names(const char *verb)
{
        return oxl_move_verb(verb) || strcmp(verb, "commit") == 0 || strcmp(verb, "add") == 0;
}

static int find_operation(void *ctx, const struct oxl_operation *op, struct oxl_error *err)
{
        struct undo *u = ctx;
        int k = oxl_horizon_hear(&u->horizon, u->repo->journal, op, err);
        if (k < 0)
                return k;
        const bool undone = oxl_intent_undone(op->state);
        if (u->wanted != 0 ? op->id != u->wanted : undone || !moves_names(op->verb))
                return 0;
        u->undone = undone;
        u->behind = op->time_ns < u->horizon.since_ns;
        u->id = op->id;
        u->intent = op->intent;
        snprintf(u->verb, sizeof u->verb, "%s", op->verb);
        snprintf(u->note, sizeof u->note, "%lld: %s %s", (long long)op->id, op->verb, op->note);
        return 1;
}

static int refuse(const struct undo *u, const char *why, struct oxl_error *err)
{
        char id[32];
        snprintf(id, sizeof id, "%lld", (long long)u->id);
        return OXL_FAIL_WHY(err, UNDO_REFUSED, id, why);
}

static int find(struct undo *u, struct oxl_error *err)
{
        char wanted[32];
        cleanup_free char *body = NULL;
        snprintf(wanted, sizeof wanted, "%lld", (long long)u->wanted);
        int k = oxl_journal_operations_all(u->repo->journal, 0, find_operation, u, err);
        if (k < 0)
                return k;
        if (u->id == 0)
                return OXL_FAIL_PATH(err, OPERATION_NOT_FOUND, u->wanted ? wanted : "undo");
        if (u->undone)
                return refuse(u, "it did not come to its end; see what it kept in oxen-lite op log", err);
        if (u->behind)
                return refuse(u, "gc has put aside what it needs, as gc.keep_days says; see gc --undo", err);
        k = parse_operation(u->repo, u->repo->journal, u->intent, &u->m, &body, err);
        return k > 0 ? refuse(u, "it moved neither HEAD nor a ref nor the index", err) : k;
}

static void swap_digests(struct oxl_digest *a, struct oxl_digest *b)
{
        struct oxl_digest t = *a;
        *a = *b;
        *b = t;
}

static bool comes_below(const struct oxl_edits *e, const char *path)
{
        for (size_t i = oxl_edits_lower_bound(e, path, strlen(path));
             i < e->n && oxl_path_is_within(e->at[i].path, path); i++)
                if (strcmp(e->at[i].path, path) != 0 && e->at[i].new_.kind != OXL_ENTRY_NONE)
                        return true;
        return false;
}

/* A file that was not tracked, kept when it was in the way, cannot come back where a tracked one is to be a folder above it or a
 * file below it: it stays a blob. */
static void drop_blocked(const struct oxl_edits *e, struct oxl_edits *local)
{
        for (size_t i = 0; i < local->n; i++) {
                struct oxl_edit *x = &local->at[i];
                const struct oxl_edit *own = oxl_edits_find(e, x->path, x->path_len);
                bool blocked = own && own->new_.kind == OXL_ENTRY_NONE && comes_below(e, x->path);
                for (size_t n = 1; own && own->new_.kind == OXL_ENTRY_NONE && n < x->path_len; n++) {
                        const struct oxl_edit *above = x->path[n] == '/' ? oxl_edits_find(e, x->path, n) : NULL;
                        blocked = blocked || (above && above->new_.kind != OXL_ENTRY_NONE);
                }
                if (blocked)
                        x->new_ = (struct oxl_state){ .kind = OXL_ENTRY_NONE };
        }
}

/* The move, with everything in its place for the way back. */
static int reverse(struct undo *u, struct oxl_error *err)
{
        struct oxl_move *m = &u->m;
        int k = oxl_move_load(m, u->objects, u->repo->format.blob_algo, err);
        if (k < 0)
                return k;
        oxl_edits_reverse(&m->edits);
        oxl_edits_reverse(&m->local);
        drop_blocked(&m->edits, &m->local);
        oxl_edits_record_done(&m->local_record);
        for (size_t i = 0; k >= 0 && i < m->edits.n; i++) {
                const struct oxl_edit *e = &m->edits.at[i];
                if (!m->from_trees || !e->of_trees)
                        k = oxl_edits_add(&u->own, e->path, e->path_len, &e->old, &e->new_, err);
        }
        oxl_edits_record_done(&m->record);
        char *head = m->head_old;
        m->head_old = m->head_new;
        m->head_new = head;
        swap_digests(&m->ref_old, &m->ref_new);
        swap_digests(&m->tree_old, &m->tree_new);
        m->force = u->force;
        return k;
}

static int check_refs(struct undo *u, struct oxl_error *err)
{
        struct oxl_move *m = &u->m;
        cleanup_free char *head = NULL;
        struct oxl_digest now = OXL_DIGEST_INIT;
        int k = oxl_head_text(u->repo, &head, err);
        if (k < 0)
                return k;
        if (!head || (m->head_old && strcmp(head, m->head_old) != 0))
                return refuse(u, "HEAD has moved since", err);
        if (!m->ref)
                return 0;
        k = oxl_ref_read(u->repo, m->ref, &now, err);
        if (k < 0)
                return k;
        if (!oxl_digest_equal(&now, &m->ref_old))
                return refuse(u, "its branch or tag has moved since", err);
        if (m->ref_old.algo == OXL_ALGO_NONE && (k = oxl_ref_place_check(u->repo, m->ref, err)) < 0)
                return k;
        bool here = strcmp(head, m->ref) == 0;
        if (m->index && !m->head_old && !here) /* of a commit */
                return refuse(u, "another branch is the current one", err);
        if (m->ref_new.algo == OXL_ALGO_NONE && !m->index && !m->head_old && here)
                return refuse(u, "it made the branch that is the current one", err);
        return 0;
}

static int check_index(struct undo *u, struct oxl_error *err)
{
        struct oxl_repo *r = u->repo;
        struct oxl_index *x;
        if (!u->m.index)
                return 0;
        int k = oxl_index_open(r->root_fd, &r->format.id, r->format.blob_algo, &x, err);
        if (k < 0)
                return k;
        k = oxl_move_check_index(x, &u->m, err);
        oxl_index_free(x);
        return k > 0 ? refuse(u, "what is staged has changed since", err) : k;
}

/* Where HEAD goes counts for the log: repair asks it where HEAD was. */
static void choose_words(const struct undo *u, struct oxl_move_words *w)
{
        const struct oxl_move *m = &u->m;
        struct oxl_digest id = OXL_DIGEST_INIT;
        if (m->ref || !m->head_new)
                return;
        bool branch = strncmp(m->head_new, "refs/", 5) == 0;
        w->op_ref = branch ? m->head_new : "HEAD";
        if (branch)
                OXL_IGNORE(oxl_ref_read(u->repo, m->head_new, &id, NULL), "a branch without commits");
        else
                OXL_IGNORE(oxl_digest_parse(OXL_ALGO_BLAKE3, m->head_new, &id), "checked when it was read");
        w->op_old = w->op_new = id;
}

static int undo_locked(struct undo *u, struct oxl_undo_result *ret, struct oxl_error *err)
{
        struct oxl_move_words words = { .verb = "undo", .note = u->note };
        struct oxl_move_result done = { 0 };
        int k;
        if ((k = oxl_repo_objects(u->repo, &u->objects, err)) < 0 || /* */
            (k = find(u, err)) < 0 ||                                /* what is to be undone */
            (k = reverse(u, err)) < 0 ||                             /* the way back */
            (k = check_refs(u, err)) < 0 ||                          /* nothing has moved since */
            (k = check_index(u, err)) < 0)
                return k;
        choose_words(u, &words);
        k = oxl_move_run(u->repo, &u->m, &u->own, &words, &done, err);
        *ret = (struct oxl_undo_result){ .id = u->id, .files = done.files, .removed = done.removed, .kept = done.kept };
        memcpy(ret->verb, u->verb, sizeof ret->verb);
        return k;
}

int oxl_repo_undo(struct oxl_repo *r, int64_t id, const struct oxl_undo_options *options, struct oxl_undo_result *ret,
                  struct oxl_error *err)
{
        int k = oxl_repo_begin_write(r, err);
        if (k < 0)
                return k;
        struct undo u = { .repo = r, .wanted = id, .force = options && options->force, .m = OXL_MOVE_INIT };
        k = undo_locked(&u, ret, err);
        undo_done(&u);
        oxl_repo_end_write(r);
        return k;
}

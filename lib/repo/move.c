/* SPDX-License-Identifier: MIT */
/* See move.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "repo/move.h"

#define SCHEMA "oxen-lite.intent/1"
#define OUTCOME "{\"schema\":\"oxen-lite.outcome/1\",\"proof\":[]}"
#define WHERE "journal.db"

static void json_done(struct oxl_json **j)
{
        oxl_json_free(*j);
        *j = NULL;
}
#define cleanup_json cleanup(json_done)

void oxl_move_done(struct oxl_move *m)
{
        free(m->head_old);
        free(m->head_new);
        free(m->ref);
        oxl_edits_record_done(&m->record);
        oxl_edits_done(&m->edits);
        oxl_edits_record_done(&m->local_record);
        oxl_edits_done(&m->local);
        *m = (struct oxl_move)OXL_MOVE_INIT;
}

bool oxl_move_verb(const char *verb)
{
        static const char *const verbs[] = { "branch", "copy", "restore-staged", "rm", "switch", "tag", "undo" };
        for (size_t i = 0; i < OXL_ARRAY_LEN(verbs); i++)
                if (strcmp(verb, verbs[i]) == 0)
                        return true;
        return false;
}

/* --- bodies -------------------------------------------------------------------------------------------------------- */

int oxl_move_print(const struct oxl_move *m, const char *verb, char **ret, struct oxl_error *err)
{
        cleanup_json struct oxl_json *j = oxl_json_object();
        oxl_json_set_string(j, "schema", SCHEMA);
        oxl_json_set_string(j, "verb", verb);
        if (m->head_new) {
                struct oxl_json *head = oxl_json_object();
                oxl_json_set_string(head, "old", m->head_old);
                oxl_json_set_string(head, "new", m->head_new);
                oxl_json_set(j, "head", head);
        }
        if (m->ref) {
                struct oxl_json *ref = oxl_json_object();
                oxl_json_set_string(ref, "name", m->ref);
                oxl_json_set_digest(ref, "old", &m->ref_old);
                oxl_json_set_digest(ref, "new", &m->ref_new);
                oxl_json_set(j, "ref", ref);
        }
        if (m->index) {
                struct oxl_json *index = oxl_json_object();
                oxl_json_set_digest(index, "old", &m->tree_old);
                oxl_json_set_digest(index, "new", &m->tree_new);
                oxl_json_set_bool(index, "from_trees", m->from_trees);
                oxl_edits_record_set(index, &m->record);
                oxl_json_set(j, "index", index);
        }
        oxl_json_set_bool(j, "worktree", m->worktree);
        oxl_json_set_bool(j, "force", m->force);
        if (oxl_kept_any(&m->local_record)) {
                struct oxl_json *local = oxl_json_object();
                oxl_edits_record_set(local, &m->local_record);
                oxl_json_set(j, "local", local);
        }
        return oxl_json_print(j, ret, err);
}

static int malformed(struct oxl_error *err)
{
        return OXL_FAIL_WHY(err, JOURNAL_DAMAGED, WHERE, "the intent of an operation lacks members");
}

static bool get_id(const struct oxl_json *j, const char *key, struct oxl_digest *ret)
{
        *ret = (struct oxl_digest)OXL_DIGEST_INIT;
        if (oxl_json_is_null(j, key))
                return true;
        const char *text = oxl_json_get_string(j, key);
        return text && oxl_digest_parse(OXL_ALGO_BLAKE3, text, ret);
}

static bool head_ok(const char *text)
{
        struct oxl_digest id;
        if (text && strncmp(text, "refs/heads/", 11) == 0)
                return oxl_ref_name_check(text + 11, NULL) == 0;
        return text && oxl_digest_parse(OXL_ALGO_BLAKE3, text, &id);
}

static bool ref_ok(const char *name)
{
        if (name && strncmp(name, "refs/heads/", 11) == 0)
                return oxl_ref_name_check(name + 11, NULL) == 0;
        return name && strncmp(name, "refs/tags/", 10) == 0 && oxl_ref_name_check(name + 10, NULL) == 0;
}

static int parse_head(const char *old, const char *new_, struct oxl_move *m, struct oxl_error *err)
{
        if (!head_ok(old) || !head_ok(new_))
                return malformed(err);
        m->head_old = strdup(old);
        m->head_new = strdup(new_);
        return m->head_old && m->head_new ? 0 : OXL_FAIL_PLAIN(err, NOMEM);
}

static int parse_ref(const char *name, const struct oxl_json *ids, struct oxl_move *m, struct oxl_error *err)
{
        if (!ref_ok(name) || !get_id(ids, "old", &m->ref_old) || !get_id(ids, "new", &m->ref_new))
                return malformed(err);
        m->ref = strdup(name);
        return m->ref ? 0 : OXL_FAIL_PLAIN(err, NOMEM);
}

static int parse_index(const struct oxl_json *index, enum oxl_algo blob_algo, struct oxl_move *m, struct oxl_error *err)
{
        if (!index)
                return 0;
        m->index = true;
        if (!get_id(index, "old", &m->tree_old) || !get_id(index, "new", &m->tree_new) ||
            !oxl_json_get_bool(index, "from_trees", &m->from_trees))
                return malformed(err);
        return oxl_edits_record_get(index, blob_algo, &m->record, err);
}

/* The ref of a commit is a text, its ids are members of the intent itself. */
static int parse_commit(const struct oxl_json *j, struct oxl_move *m, struct oxl_error *err)
{
        const char *ref = oxl_json_get_string(j, "ref");
        if (!m->index)
                return 1; /* written before the index was recorded */
        if (ref && strcmp(ref, "HEAD") == 0)
                return parse_head(oxl_json_get_string(j, "old"), oxl_json_get_string(j, "new"), m, err);
        return parse_ref(ref, j, m, err);
}

static int parse_move(const struct oxl_json *j, struct oxl_move *m, struct oxl_error *err)
{
        const struct oxl_json *head = oxl_json_get(j, "head"), *ref = oxl_json_get(j, "ref");
        int k = 0;
        if (head)
                k = parse_head(oxl_json_get_string(head, "old"), oxl_json_get_string(head, "new"), m, err);
        if (k >= 0 && ref)
                k = parse_ref(oxl_json_get_string(ref, "name"), ref, m, err);
        if (k >= 0 && (!oxl_json_get_bool(j, "worktree", &m->worktree) || !oxl_json_get_bool(j, "force", &m->force)))
                return malformed(err);
        return k;
}

static int parse_local(const struct oxl_json *local, enum oxl_algo blob_algo, struct oxl_move *m, struct oxl_error *err)
{
        return local ? oxl_edits_record_get(local, blob_algo, &m->local_record, err) : 0;
}

int oxl_move_parse(const char *body, enum oxl_algo blob_algo, struct oxl_move *ret, struct oxl_error *err)
{
        cleanup_json struct oxl_json *j = NULL;
        cleanup(oxl_move_done) struct oxl_move m = OXL_MOVE_INIT;
        int k = oxl_json_parse(body, strlen(body), WHERE, &j, err);
        if (k < 0)
                return k;
        const char *schema = oxl_json_get_string(j, "schema"), *verb = oxl_json_get_string(j, "verb");
        if (!schema || strcmp(schema, SCHEMA) != 0 || !verb)
                return malformed(err);
        bool commit = strcmp(verb, "commit") == 0;
        if (!commit && strcmp(verb, "add") != 0 && !oxl_move_verb(verb))
                return 1;
        k = parse_index(oxl_json_get(j, "index"), blob_algo, &m, err);
        if (k >= 0)
                k = commit ? parse_commit(j, &m, err) : parse_move(j, &m, err);
        if (k == 0 && !commit)
                k = parse_local(oxl_json_get(j, "local"), blob_algo, &m, err);
        if (k != 0)
                return k;
        *ret = m;
        m = (struct oxl_move)OXL_MOVE_INIT;
        return 0;
}

int oxl_move_load(struct oxl_move *m, struct oxl_objects *o, enum oxl_algo blob_algo, struct oxl_error *err)
{
        int k = m->index && m->from_trees ? oxl_edits_add_trees(&m->edits, o, &m->tree_old, &m->tree_new, err) : 0;
        if (k >= 0 && m->index)
                k = oxl_edits_read(&m->edits, o, blob_algo, &m->record, err);
        if (k >= 0)
                k = oxl_edits_read(&m->local, o, blob_algo, &m->local_record, err);
        if (k >= 0)
                k = oxl_edits_sort(&m->local, err);
        return k < 0 ? k : oxl_edits_sort(&m->edits, err);
}

int oxl_paths_note(const char *const *paths, size_t n, char **ret, struct oxl_error *err)
{
        char *text = NULL;
        const char *first = n > 0 && paths[0][0] ? paths[0] : ".";
        int len = n > 1 ? asprintf(&text, "%s and %zu more", first, n - 1) : asprintf(&text, "%s", first);
        if (len < 0)
                return OXL_FAIL_PLAIN(err, NOMEM);
        *ret = text;
        return 0;
}

/* --- running ------------------------------------------------------------------------------------------------------- */

struct run {
        struct oxl_repo *repo;
        struct oxl_move *m;
        struct oxl_checkout out;
        struct oxl_written *written; /* one per edit */
        uint64_t removed;
        int64_t intent;
        bool finishing, moving; /* moving: HEAD and ref may have changed */
};

static void run_free(struct run **p)
{
        struct run *x = *p;
        if (!x)
                return;
        oxl_checkout_done(&x->out);
        free(x->written);
        free(x);
        *p = NULL;
}

static int run_new(struct oxl_repo *r, struct oxl_move *m, struct run **ret, struct oxl_error *err)
{
        cleanup(run_free) struct run *x = calloc(1, sizeof *x);
        if (!x)
                return OXL_FAIL_PLAIN(err, NOMEM);
        x->repo = r;
        x->m = m;
        int k = oxl_checkout_init(&x->out, r, "switching", err);
        if (k >= 0 && m->index)
                k = oxl_destination_open(&x->out.dest, r, NULL, false, err);
        x->written = calloc(m->edits.n + 1, sizeof *x->written);
        if (k >= 0 && !x->written)
                k = OXL_FAIL_PLAIN(err, NOMEM);
        if (k >= 0)
                *ret = take_ptr(&x);
        return k < 0 ? k : 0;
}

/* Without the working tree nobody reads what the index is going to name: it must be there, or the next commit would name nothing. */
static int check_index(struct run *x, struct oxl_error *err)
{
        const struct oxl_edit *missing = NULL;
        for (size_t i = 0; i < x->m->edits.n; i++) {
                const struct oxl_edit *e = &x->m->edits.at[i];
                if (e->new_.kind == OXL_ENTRY_NONE || oxl_state_equal(&e->old, &e->new_))
                        continue;
                int k = oxl_objects_exists(x->out.objects, OXL_KIND_BLOB, &e->new_.id, err);
                if (k < 0)
                        return k;
                if (k > 0)
                        oxl_repo_notice(x->repo, e->path, "cannot be staged: its content is missing in the store");
                missing = k > 0 && !missing ? e : missing;
        }
        return missing ? OXL_FAIL_OBJECT(err, OBJECT_MISSING, missing->path, &missing->new_.id, NULL) : 0;
}

/* What would be lost, and the lists when they are long, are durable blobs. */
static int keep(struct run *x, const struct oxl_edits *own, struct oxl_error *err)
{
        int k = x->m->worktree ? oxl_move_check_files(&x->out, x->m, err) : x->m->index ? check_index(x, err) : 0;
        if (k >= 0 && x->m->index) {
                k = x->out.put ? 0 : oxl_put_begin(x->out.objects, &x->out.put, err);
                if (k >= 0)
                        k = oxl_edits_write_all(own, x->out.put, &x->m->record, err);
                if (k >= 0 && x->m->local.n > 0)
                        k = oxl_edits_write_all(&x->m->local, x->out.put, &x->m->local_record, err);
        }
        return k < 0 ? k : oxl_checkout_keep_end(&x->out, err);
}

static const char *id_text(const struct oxl_digest *id, char text[OXL_DIGEST_TEXT_MAX])
{
        if (id->algo == OXL_ALGO_NONE)
                return NULL;
        oxl_digest_text(id, text);
        return text;
}

static int record_intent(struct run *x, const struct oxl_move_words *w, struct oxl_error *err)
{
        cleanup_free char *body = NULL;
        char old_text[OXL_DIGEST_TEXT_MAX], new_text[OXL_DIGEST_TEXT_MAX];
        struct oxl_operation op = {
                .verb = w->verb,
                .ref = w->op_ref ? w->op_ref : x->m->ref,
                .old_id = id_text(w->op_ref ? &w->op_old : &x->m->ref_old, old_text),
                .new_id = id_text(w->op_ref ? &w->op_new : &x->m->ref_new, new_text),
                .note = w->note,
        };
        int k = oxl_move_print(x->m, w->verb, &body, err);
        /* CRASH: during the transaction: nothing happened; after it: recovery does all of it. */
        return k < 0 ? k
                     : oxl_journal_stage(x->repo->journal, oxl_owner_number(x->repo->owner), w->verb, body, &op,
                                         &x->intent, err);
}

/* HEAD and the ref, behind everything else. */
static int move_names(struct run *x, struct oxl_error *err)
{
        const struct oxl_move *m = x->m;
        int k = m->ref ? oxl_ref_move(x->repo, m->ref, &m->ref_new, err) : 0;
        return k < 0 || !m->head_new ? k : oxl_head_move(x->repo, m->head_new, err);
}

/* The steps behind the intent, each of which takes the old state or the new one. */
static int act(struct run *x, struct oxl_error *err)
{
        struct oxl_move *m = x->m;
        int k = 0;
        if (m->index && m->worktree)
                k = oxl_move_files(&x->out, m, x->finishing, x->written, &x->removed, err);
        if (k >= 0 && m->index)
                k = oxl_move_index(x->repo, x->out.dest.index, m, m->worktree ? x->written : NULL, err);
        if (k < 0)
                return k;
        x->moving = m->ref || m->head_new;
        return move_names(x, err);
}

/* May anything be new by now? "Visible, durability unknown" says a failed sync, of the repository or of the working tree. */
static bool has_begun(const struct run *x)
{
        const struct oxl_durable *files = x->out.dest.durable;
        return x->moving || x->out.changed || oxl_durable_poisoned(x->repo->durable) ||
               (files && oxl_durable_poisoned(files));
}

/* Nothing happened: aborted. Else the intent stays, and recovery, by the next command that writes, does the rest; what was in the way
 * now is said here, because the error only says that. */
static int end_badly(struct run *x, const char *verb, struct oxl_error *why, struct oxl_error *err)
{
        cleanup_error struct oxl_error second = OXL_ERROR_INIT;
        oxl_checkout_drop_batch(&x->out);
        if (!has_begun(x) && oxl_journal_outcome(x->repo->journal, x->intent, oxl_owner_number(x->repo->owner),
                                                 OXL_INTENT_ABORTED, OUTCOME, true, &second) == 0) {
                int code = (int)why->code;
                oxl_checkout_tell_aborted(&x->out);
                oxl_error_move(err, why);
                return -code;
        }
        char text[512];
        (void)oxl_error_text(why, text, sizeof text);
        oxl_repo_notice(x->repo, NULL, text);
        snprintf(text, sizeof text, "intent %lld took effect", (long long)x->intent);
        return OXL_FAIL_WHY(err, OUTCOME_UNKNOWN, verb, text);
}

static int run_steps(struct run *x, const struct oxl_edits *own, const struct oxl_move_words *w, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT, ignored = OXL_ERROR_INIT;
        int k;
        if ((k = keep(x, own, err)) < 0 ||      /* refuse, or make safe what is there */
            (k = record_intent(x, w, err)) < 0) /* STAGED: the decision */
                return k;
        if (w->told)
                oxl_repo_notices(x->repo, w->told);
        oxl_checkout_tell_kept(&x->out);
        const atomic_bool *cancel = x->repo->options.cancel;
        x->repo->options.cancel = NULL; /* from here to the end */
        k = act(x, &why);
        x->repo->options.cancel = cancel;
        if (k < 0)
                return end_badly(x, w->verb, &why, err);
        OXL_IGNORE(oxl_journal_outcome(x->repo->journal, x->intent, oxl_owner_number(x->repo->owner), OXL_INTENT_DONE,
                                       OUTCOME, false, &ignored),
                   "recovery proves it again");
        return oxl_checkout_end(&x->out, err);
}

int oxl_move_run(struct oxl_repo *r, struct oxl_move *m, const struct oxl_edits *own,
                 const struct oxl_move_words *words, struct oxl_move_result *ret, struct oxl_error *err)
{
        cleanup(run_free) struct run *x = NULL;
        int k = run_new(r, m, &x, err);
        if (k < 0)
                return k;
        k = run_steps(x, own, words, err);
        *ret = (struct oxl_move_result){ x->out.files, x->out.bytes, x->removed, x->out.kept };
        return k;
}

/* --- recovery ------------------------------------------------------------------------------------------------------ */

enum place { AT_OLD, AT_NEW, ELSEWHERE };

/* Where rename is no single step, a power cut can take both names: absent counts as old. */
static int where_head(struct oxl_repo *r, const struct oxl_move *m, enum place *ret, struct oxl_error *err)
{
        cleanup_free char *text = NULL;
        int k = m->head_new ? oxl_head_text(r, &text, err) : 0;
        *ret = !text || strcmp(text, m->head_old) == 0 ? AT_OLD : strcmp(text, m->head_new) == 0 ? AT_NEW : ELSEWHERE;
        return k;
}

static int where_ref(struct oxl_repo *r, const struct oxl_move *m, enum place *ret, struct oxl_error *err)
{
        struct oxl_digest now = OXL_DIGEST_INIT;
        int k = m->ref ? oxl_ref_read(r, m->ref, &now, err) : 1;
        if (k < 0)
                return k;
        *ret = k > 0 || oxl_digest_equal(&now, &m->ref_old) ? AT_OLD
               : oxl_digest_equal(&now, &m->ref_new)        ? AT_NEW
                                                            : ELSEWHERE;
        return 0;
}

static enum place where_index(const struct run *x)
{
        const struct oxl_digest *tree = x->m->index ? oxl_index_tree(x->out.dest.index) : NULL;
        if (!tree || oxl_digest_equal(tree, &x->m->tree_old))
                return AT_OLD;
        return oxl_digest_equal(tree, &x->m->tree_new) ? AT_NEW : ELSEWHERE;
}

static int end_recovered(struct oxl_repo *r, const struct oxl_event *event, const struct oxl_move *m,
                         enum oxl_intent_state state, const char *why, struct oxl_error *err)
{
        int k = oxl_journal_outcome(r->journal, event->seq, oxl_owner_number(r->owner), state, OUTCOME, true, err);
        struct oxl_recovered said = {
                .intent = event->seq,
                .verb = event->verb,
                .outcome = oxl_intent_state_text(state),
                .ref = m->ref ? m->ref : m->head_new,
                .commit = m->ref_new,
                .why = why,
                .proof = OUTCOME,
        };
        if (k >= 0)
                oxl_kept_recovered(r, event->body, &said);
        return k;
}

static bool is_damage(enum oxl_code code)
{
        return code == OXL_E_OBJECT_CORRUPT || code == OXL_E_OBJECT_MISSING || code == OXL_E_MALFORMED;
}

/* What it was to change cannot be read any more. If the index is old, so are ref and HEAD, and that is the end of it. If one of them
 * is new (@begun), the files and the index were done, and what is left needs no list. */
static int give_up(struct run *x, const struct oxl_event *event, bool begun, struct oxl_error *why,
                   struct oxl_error *err)
{
        if (!is_damage(why->code)) {
                int code = (int)why->code;
                oxl_error_move(err, why);
                return -code;
        }
        if (begun) {
                int k = x->m->index ? oxl_durable_mark(x->repo->durable, "index", err) : 0;
                if (k >= 0)
                        k = oxl_durable_barrier(x->repo->durable, err); /* its name may be in the cache only */
                if (k >= 0)
                        k = move_names(x, err);
                return k < 0 ? k
                             : end_recovered(x->repo, event, x->m, OXL_INTENT_ROLLED_FORWARD,
                                             "the index had moved already; the rest of it was done", err);
        }
        return end_recovered(x->repo, event, x->m, OXL_INTENT_ROLLED_BACK,
                             "what it was to change is damaged in the store; see oxen-lite status and fsck", err);
}

static int finish(struct run *x, const struct oxl_event *event, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        enum place head = AT_OLD, ref = AT_OLD, index = where_index(x);
        int k = where_head(x->repo, x->m, &head, err);
        if (k >= 0)
                k = where_ref(x->repo, x->m, &ref, err);
        if (k < 0)
                return k;
        if (head == ELSEWHERE || ref == ELSEWHERE || index == ELSEWHERE)
                return end_recovered(x->repo, event, x->m, OXL_INTENT_SUPERSEDED,
                                     "HEAD, the branch or the index has moved on since", err);
        k = oxl_move_load(x->m, x->out.objects, x->repo->format.blob_algo, &why);
        if (k < 0)
                return give_up(x, event, head == AT_NEW || ref == AT_NEW || index == AT_NEW, &why, err);
        free(x->written);
        x->written = calloc(x->m->edits.n + 1, sizeof *x->written);
        if (!x->written)
                return OXL_FAIL_PLAIN(err, NOMEM);
        k = act(x, err);
        return k < 0 ? k
                     : end_recovered(x->repo, event, x->m, OXL_INTENT_ROLLED_FORWARD, "the rest of it was done", err);
}

int oxl_move_recover(struct oxl_repo *r, const struct oxl_event *event, struct oxl_error *err)
{
        cleanup(oxl_move_done) struct oxl_move m = OXL_MOVE_INIT;
        cleanup(run_free) struct run *x = NULL;
        int k = oxl_move_parse(event->body, r->format.blob_algo, &m, err);
        if (k > 0)
                return OXL_FAIL_WHY(err, FEATURE, WHERE, "it has an interrupted operation of an unknown kind");
        if (k >= 0)
                k = run_new(r, &m, &x, err);
        if (k < 0)
                return k;
        x->finishing = true;
        return finish(x, event, err);
}

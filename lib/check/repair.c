/* SPDX-License-Identifier: MIT */
/* The run of a repair: see repair.h. */
#include <string.h>

#include <oxenlite/json.h>

#include "check/repair.h"

/* A round that mends a commit shows its trees, one that mends a tree its blobs; folders in folders take more of
 * them. */
enum { ROUNDS_MAX = 64 };

static void repair_done(struct oxl_repair *p)
{
        oxl_repair_forget(p);
        oxl_repair_drop_held(p);
        oxl_good_free(p->good);
        free(p->root);
        oxl_fd_done(&p->root_fd);
}

/* --- checking --- */

static int hear(void *ctx, const struct oxl_finding *f, struct oxl_error *err)
{
        struct oxl_repair *p = ctx;
        int r = oxl_repair_collect(p, f, err);
        return r < 0 || p->quiet || !p->finding ? r : p->finding(p->ctx, f, err);
}

/* @record: after a change, so that the ledger does not go on telling what was healed. */
static int check(struct oxl_repair *p, bool record, struct oxl_check_result *ret, struct oxl_error *err)
{
        const struct oxl_check_options whole = { .record = record, .hooks = p->how->hooks };
        oxl_repair_forget(p);
        return oxl_check_run(p->start, p->options, &whole, hear, p, ret, err);
}

/* --- the intent --- */

static int record_intent(struct oxl_repair *p, int64_t *ret, struct oxl_error *err)
{
        cleanup_free char *body = NULL;
        struct oxl_json *j = oxl_json_object();
        oxl_json_set_string(j, "schema", "oxen-lite.intent/1");
        oxl_json_set_string(j, "verb", "repair");
        oxl_json_set_string(j, "quarantine", p->result.quarantine);
        int r = oxl_json_print(j, &body, err);
        oxl_json_free(j);
        if (r < 0)
                return r;
        const struct oxl_operation op = { .verb = "repair", .note = p->result.quarantine };
        /* CRASH: after it, recovery looks through the run's folder of quarantine */
        return oxl_journal_stage(p->repo->journal, oxl_owner_number(p->repo->owner), "repair", body, &op, ret, err);
}

static int record_outcome(struct oxl_repair *p, int64_t intent, struct oxl_error *err)
{
        return oxl_journal_outcome(p->repo->journal, intent, oxl_owner_number(p->repo->owner), OXL_INTENT_DONE,
                                   "{\"schema\":\"oxen-lite.outcome/1\",\"proof\":[]}", true, err);
}

/* --- one round --- */

static int open_journal(struct oxl_repo *r, struct oxl_error *err)
{
        const struct oxl_journal_config config = {
                .dir = r->root, .id = r->format.id, .lock_fd = oxl_owner_fd(r->owner), .wait_ms = r->options.wait_ms
        };
        return oxl_journal_open(&config, &r->journal, err);
}

/* As oxl_repo_begin_write, but content with a damaged config, and with intents that damage keeps from being
 * recovered yet. */
static int begin(struct oxl_repair *p, bool *ret_recovered, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int r = oxl_repo_open(p->start, p->options, &p->repo, err);
        if (r == 0)
                r = oxl_repo_lock_writer(p->repo, err);
        if (r == 0)
                r = oxl_owner_lock(p->repo->owner, OXL_LOCK_GC, true, p->options->wait_ms, p->options->cancel, err);
        if (r == 0)
                r = open_journal(p->repo, err);
        if (r == 0)
                r = oxl_repo_objects(p->repo, &p->objects, err);
        if (r < 0)
                return r;
        p->durable = p->repo->durable;
        *ret_recovered = oxl_repo_recover_locked(p->repo, NULL, &why) == 0;
        if (*ret_recovered || oxl_error_exit(why.code) == 3)
                return 0;
        return oxl_error_copy(err, &why);
}

static void end(struct oxl_repair *p)
{
        oxl_good_free(take_ptr(&p->good));
        oxl_repo_close(take_ptr(&p->repo)); /* and its locks */
        p->objects = NULL;
        p->durable = NULL;
}

/* lookup is derived: nothing of it is worth keeping. */
static int repair_lookup(struct oxl_repair *p, struct oxl_error *err)
{
        bool damaged = false;
        int r = 0;
        for (size_t i = 0; i < p->n_finds; i++)
                damaged = damaged || (p->finds[i].problem == OXL_P_LOOKUP_DAMAGED && p->finds[i].selected);
        if (!damaged)
                return 0;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        int k = oxl_objects_refresh_lookup(p->objects, true, &why);
        for (size_t i = 0; r == 0 && i < p->n_finds; i++) {
                struct oxl_repair_find *f = &p->finds[i];
                if (f->problem != OXL_P_LOOKUP_DAMAGED || !f->selected)
                        continue;
                r = k < 0 ? oxl_repair_failed(p, f, &why, err)
                          : oxl_repair_tell(p, f, OXL_REPAIR_REBUILT, "the packs", "", err);
        }
        return r;
}

/* Objects before what refers to them; HEAD before the index, which is made from it. */
static int act(struct oxl_repair *p, struct oxl_error *err)
{
        int r;
        if ((r = oxl_repair_packs(p, err)) < 0 ||   /* */
            (r = oxl_repair_loose(p, err)) < 0 ||   /* */
            (r = oxl_repair_missing(p, err)) < 0 || /* */
            (r = oxl_repair_refs(p, err)) < 0 ||    /* */
            (r = oxl_repair_index(p, err)) < 0 ||   /* */
            (r = repair_lookup(p, err)) < 0)
                return r;
        return 0;
}

/* What no action took on: why not. */
static const char *untouched(const struct oxl_repair_find *f)
{
        switch ((int)f->problem) {
        case OXL_P_UNREADABLE: return "it could not be read: nothing is replaced because of that";
        case OXL_P_TRANSIENT: return "the second read was right: there is nothing to replace";
        case OXL_P_SIZE_WRONG: return "the content is whole; only a new commit can state its size";
        case OXL_P_CONFIG_EDITED: return "look at it, then run oxen-lite config accept";
        case OXL_P_OWNER_DIFFERS: return "a person has to decide who owns it";
        case OXL_P_REF_FOREIGN:
        case OXL_P_PACK_STRAY:
        case OXL_P_BLOB_STRAY:
        case OXL_P_STRAY: return "it is nobody's of ours: move it away";
        default: return "nothing was done about it";
        }
}

static int tell_rest(struct oxl_repair *p, bool recovered, struct oxl_error *err)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < p->n_finds; i++) {
                struct oxl_repair_find *f = &p->finds[i];
                bool ended = f->problem == OXL_P_PENDING_RECOVERY || f->problem == OXL_P_TEMP_DEAD ||
                             f->problem == OXL_P_JOURNAL_TAIL; /* settled when the journal was opened */
                if (f->told || !f->selected)
                        continue;
                if (ended && recovered)
                        r = oxl_repair_tell(p, f, OXL_REPAIR_HEALED, "recovery", "", err);
                else if (oxl_problem_severity(f->problem) > OXL_SEVERITY_NOTE)
                        r = oxl_repair_tell(p, f, OXL_REPAIR_LEFT, "", untouched(f), err);
        }
        return r;
}

static int repair_open(struct oxl_repair *p, bool *recovered, struct oxl_error *err)
{
        int64_t intent = 0;
        int r = oxl_good_new(p, &p->good, err);
        if (r == 0)
                r = oxl_quarantine_begin(p, err);
        if (r == 0)
                r = record_intent(p, &intent, err);
        if (r == 0)
                r = act(p, err);
        if (r < 0)
                return r; /* the intent stays: recovery takes away what is half done */
        if (!*recovered)
                *recovered = oxl_repo_recover_locked(p->repo, NULL, NULL) == 0;
        return record_outcome(p, intent, err);
}

/* Is there anything that takes an opened repository? */
static bool any_work(const struct oxl_repair *p)
{
        for (size_t i = 0; i < p->n_finds; i++)
                if (p->finds[i].selected && !p->finds[i].told && p->finds[i].problem != OXL_P_UNREADABLE)
                        return true;
        return false;
}

static int run_round(struct oxl_repair *p, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        bool recovered = false;
        p->progress = 0;
        oxl_repair_drop_held(p);
        int r = oxl_repair_boot(p, err);
        if (r == 0 && any_work(p)) {
                r = begin(p, &recovered, &why);
                if (r < 0 && oxl_error_exit(why.code) == 3)
                        r = 0; /* still not to be opened: everything else is left */
                else if (r == 0)
                        r = repair_open(p, &recovered, &why);
                if (r < 0)
                        r = oxl_error_copy(err, &why);
        }
        if (r == 0)
                r = tell_rest(p, recovered, err);
        end(p);
        return r;
}

/* --- the run --- */

static bool over_budget(const struct oxl_repair *p)
{
        const struct oxl_check_result *before = &p->result.before; /* with hooks most files were verified earlier */
        uint64_t limit = (p->how->hooks ? before->extent.files : before->files) / 100;
        return oxl_repair_count(p) > (limit > 5 ? limit : 5);
}

static int hold_all(struct oxl_repair *p, const char *why, struct oxl_error *err)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < p->n_finds; i++)
                if (p->finds[i].selected && oxl_problem_severity(p->finds[i].problem) > OXL_SEVERITY_NOTE)
                        r = oxl_repair_tell(p, &p->finds[i], OXL_REPAIR_LEFT, "", why, err);
        return r;
}

/* Nothing to do, or nothing that may be done: 1. */
static int decide(struct oxl_repair *p, struct oxl_error *err)
{
        int r = p->how->plan ? oxl_repair_select(p, p->how->plan, p->how->plan_bytes, err) : 0;
        if (r < 0)
                return r;
        p->result.after = p->result.before;
        if (p->suspect) {
                p->result.memory_suspect = true;
                r = hold_all(p, "a file was read differently each time: check the memory before anything is repaired",
                             err);
                return r < 0 ? r : 1;
        }
        if (!p->how->force && over_budget(p)) {
                p->result.over_budget = true;
                r = hold_all(p, "too much is damaged at once: look at the disk first, then add --force", err);
                return r < 0 ? r : 1;
        }
        return 0;
}

static int run_rounds(struct oxl_repair *p, struct oxl_error *err)
{
        for (int round = 0; p->n_finds > 0 && round < ROUNDS_MAX; round++) {
                int r = run_round(p, err);
                if (r < 0)
                        return r;
                p->quiet = true;
                bool again = p->progress > 0 && !p->how->plan;
                bool changed = p->progress > 0;
                if (changed)
                        r = check(p, true, &p->result.after, err);
                if (r < 0)
                        return r;
                if (!again)
                        return 0;
                if (p->suspect) {
                        p->result.memory_suspect = true;
                        return 0;
                }
        }
        return 0;
}

/* An id that nothing was kept under is none. */
static void forget_empty(struct oxl_repair *p)
{
        if (p->serial == 0)
                p->result.quarantine[0] = 0;
}

int oxl_repair_run(const char *start, const struct oxl_repo_options *repo_options,
                   const struct oxl_repair_options *options, oxl_finding_fn *finding, oxl_repair_fn *item, void *ctx,
                   struct oxl_repair_result *ret, struct oxl_error *err)
{
        static const struct oxl_repo_options repo_defaults = { .wait_ms = 30000 };
        static const struct oxl_repair_options defaults = { 0 };
        cleanup(repair_done) struct oxl_repair p = {
                .options = repo_options ? repo_options : &repo_defaults,
                .how = options ? options : &defaults,
                .finding = finding,
                .item = item,
                .ctx = ctx,
                .start = start,
                .root_fd = -1,
        };
        oxl_digest_setup();
        int r = oxl_check_open_root(start, p.options, &p.root, &p.root_fd, err);
        if (r == 0)
                r = check(&p, false, &p.result.before, err);
        if (r == 0)
                r = decide(&p, err);
        if (r == 0)
                r = run_rounds(&p, err);
        if (r < 0)
                return r;
        r = oxl_repair_tell_held(&p, err);
        if (r < 0)
                return r;
        forget_empty(&p);
        *ret = p.result;
        return 0;
}

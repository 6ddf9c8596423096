/* SPDX-License-Identifier: MIT */
/*
 * A pass over a repository of ours.
 *
 *      content      what is due, at the pace, for as long as it takes; no lock is held; rows of the ledger go out as it goes
 *      the check    all of fsck with what is damaged or came meanwhile as its only content: minutes, with `gc` shared
 *      repair       if the contract says so
 *
 * A finding of the content is told at once; the check meets it again and tells what it affects. The check marks the end of the
 * pass in the ledger, and whether it was clean; nothing else does.
 */
#include <errno.h>
#include <string.h>

#include "scrub/run.h"

static void forward_recovered(void *ctx, const struct oxl_recovered *what)
{
        const struct oxl_scrub_pass *p = ctx;
        if (p->repo_options && p->repo_options->recovered)
                p->repo_options->recovered(p->repo_options->ctx, what);
}

static void forward_notice(void *ctx, const char *path, const char *text)
{
        const struct oxl_scrub_pass *p = ctx;
        if (p->repo_options && p->repo_options->notice)
                p->repo_options->notice(p->repo_options->ctx, path, text);
}

static void forward_progress(void *ctx, const char *phase, uint64_t files, uint64_t files_total, uint64_t bytes,
                             uint64_t bytes_total)
{
        struct oxl_scrub_pass *p = ctx;
        OXL_IGNORE(oxl_scrub_pace_cancelled(&p->pace), "the check looks at the flag that this sets");
        if (p->repo_options && p->repo_options->progress)
                p->repo_options->progress(p->repo_options->ctx, phase, files, files_total, bytes, bytes_total);
}

/* The caller's, by way of us: its flag and that of the control are one for the check. */
static struct oxl_repo_options options_of(struct oxl_scrub_pass *p)
{
        struct oxl_repo_options o = { .wait_ms = 30000 };
        if (p->repo_options)
                o = *p->repo_options;
        o.cancel = &p->pace.control->cancelled;
        o.recovered = forward_recovered;
        o.notice = forward_notice;
        o.progress = forward_progress;
        o.ctx = p;
        return o;
}

/* --- content ------------------------------------------------------------------------------------------------------ */

static int hear_content(void *ctx, const struct oxl_finding *f, struct oxl_error *err)
{
        return oxl_scrub_tell(ctx, f, err);
}

static void pace_content(void *ctx, uint64_t bytes, int64_t latency_ns, bool medium)
{
        struct oxl_scrub_pass *p = ctx;
        oxl_scrub_plan(p); /* all units were heard of before the first read */
        oxl_scrub_pace_hook(&p->pace, bytes, latency_ns, medium);
}

static int hear_unit(void *ctx, const struct oxl_check_unit *u, struct oxl_error *err)
{
        return oxl_scrub_unit(ctx, u, err);
}

/* The counts of a run that ended early come from here. */
static void count_progress(void *ctx, const char *phase, uint64_t files, uint64_t files_total, uint64_t bytes,
                           uint64_t bytes_total)
{
        struct oxl_scrub_pass *p = ctx;
        p->result.files = files;
        p->result.bytes = bytes;
        forward_progress(ctx, phase, files, files_total, bytes, bytes_total);
}

static int read_content(struct oxl_scrub_pass *p, struct oxl_error *err)
{
        struct oxl_repo_options options = options_of(p);
        const struct oxl_check_hooks hooks = { .pace = pace_content,
                                               .unit = hear_unit,
                                               .ctx = p,
                                               .part = OXL_CHECK_CONTENT,
                                               .due_before_ns = p->due_before_ns };
        const struct oxl_check_options limits = { .media = p->contract->media, .record = true, .hooks = &hooks };
        struct oxl_check_result done;
        options.progress = count_progress;
        options.notice = NULL; /* the same things are said by the check */
        int r = oxl_check_run(p->target->path, &options, &limits, hear_content, p, &done, err);
        if (r < 0)
                return r;
        p->result.files = done.extent.read_files;
        p->result.bytes = done.extent.read_bytes;
        return 0;
}

/* --- the check ---------------------------------------------------------------------------------------------------- */

struct rest {
        struct oxl_scrub_pass *pass;
        uint64_t again_files, again_bytes; /* read once more because they are damaged: counted already */
};

static int hear_rest(void *ctx, const struct oxl_finding *f, struct oxl_error *err)
{
        const struct rest *r = ctx;
        return oxl_scrub_tell(r->pass, f, err);
}

static int note_again(void *ctx, const struct oxl_check_unit *u, struct oxl_error *err)
{
        struct rest *r = ctx;
        (void)err;
        r->again_files += u->damaged;
        r->again_bytes += u->damaged ? u->size : 0;
        return 0;
}

static void pace_rest(void *ctx, uint64_t bytes, int64_t latency_ns, bool medium)
{
        struct rest *r = ctx;
        oxl_scrub_pace_hook(&r->pass->pace, bytes, latency_ns, medium);
}

static struct oxl_check_hooks hooks_of(struct rest *r)
{
        return (struct oxl_check_hooks){
                .pace = pace_rest,
                .unit = note_again,
                .ctx = r,
                .due_before_ns = r->pass->due_before_ns,
                .mark = true,
        };
}

static uint64_t minus(uint64_t a, uint64_t b)
{
        return a > b ? a - b : 0;
}

static int check_rest(struct oxl_scrub_pass *p, struct oxl_error *err)
{
        struct rest rest = { .pass = p };
        const struct oxl_repo_options options = options_of(p);
        struct oxl_check_hooks hooks = hooks_of(&rest);
        hooks.pass_begin_ns = p->coverage.now_ns;
        hooks.pass_files = p->result.files;
        hooks.pass_bytes = p->result.bytes;
        const struct oxl_check_options limits = { .media = p->contract->media, .record = true, .hooks = &hooks };
        struct oxl_check_result done;
        int r = oxl_check_run(p->target->path, &options, &limits, hear_rest, &rest, &done, err);
        if (r < 0)
                return r;
        p->result.files += minus(done.extent.read_files, rest.again_files);
        p->result.bytes += minus(done.extent.read_bytes, rest.again_bytes);
        p->result.findings = done.findings;
        p->result.unreadable = done.unreadable;
        p->result.complete = !done.record_failed;
        p->result.clean = p->result.complete && done.findings == 0 && done.unreadable == 0;
        return 0;
}

/* --- repair ------------------------------------------------------------------------------------------------------- */

static int hear_nothing(void *ctx, const struct oxl_finding *f, struct oxl_error *err)
{
        (void)ctx, (void)f, (void)err;
        return 0;
}

static int hear_item(void *ctx, const struct oxl_repair_item *item, struct oxl_error *err)
{
        const struct rest *r = ctx;
        const struct oxl_scrub_callbacks *c = r->pass->callbacks;
        return c->repaired ? c->repaired(c->ctx, item, err) : 0;
}

static int repair(struct oxl_scrub_pass *p, struct oxl_error *err)
{
        struct rest rest = { .pass = p };
        const struct oxl_repo_options options = options_of(p);
        const struct oxl_check_hooks hooks = hooks_of(&rest);
        const struct oxl_repair_options how = { .from = &p->contract->from,
                                                .n_from = p->contract->from ? 1 : 0,
                                                .hooks = &hooks };
        struct oxl_repair_result done;
        oxl_scrub_pace_state(&p->pace, OXL_SCRUB_REPAIRING);
        int r = oxl_repair_run(p->target->path, &options, &how, hear_nothing, hear_item, &rest, &done, err);
        if (r < 0)
                return r;
        p->result.repaired = done.healed + done.rebuilt;
        p->result.left = done.left + done.stale + done.proposed + done.failed;
        p->result.over_budget = done.over_budget;
        return 0;
}

int oxl_scrub_native(struct oxl_scrub_pass *p, struct oxl_error *err)
{
        int r = read_content(p, err);
        if (r == 0) {
                oxl_scrub_pace_ready(&p->pace);
                p->pace.steady = true;
                r = check_rest(p, err);
        }
        return r == 0 && p->contract->repair && p->result.findings > 0 ? repair(p, err) : r;
}

/* --- status ------------------------------------------------------------------------------------------------------- */

static int add_unit(void *ctx, const struct oxl_check_unit *u, struct oxl_error *err)
{
        return oxl_coverage_add(ctx, u, err);
}

void oxl_facts_done(struct oxl_check_facts *f)
{
        oxl_error_done(&f->why);
        oxl_buf_done(&f->recorded);
}

/* What is wrong with the journal itself is for a pass to say, and nothing counts as verified then. */
static bool is_journals_own(const struct oxl_error *e)
{
        return !e->code || e->code == OXL_E_JOURNAL_DAMAGED || e->code == OXL_E_MALFORMED ||
               e->code == OXL_E_FILE_READ || (e->code == OXL_E_FILE_OPEN && (e->os == ENOENT || e->os == ELOOP));
}

int oxl_facts_judge(struct oxl_check_facts *f, struct oxl_error *err)
{
        return f->read || is_journals_own(&f->why) ? 0 : oxl_error_copy(err, &f->why);
}

int oxl_facts_findings(const struct oxl_check_facts *f, oxl_scrub_finding_fn *fn, void *ctx, struct oxl_error *err)
{
        const uint8_t *at = f->recorded.data, *end = at + f->recorded.len;
        int r = 0;
        while (r == 0 && at < end) {
                const char *texts[4];
                int64_t times[2];
                memcpy(times, at, sizeof times);
                at += sizeof times;
                for (size_t i = 0; i < OXL_ARRAY_LEN(texts); at += strlen(texts[i]) + 1, i++)
                        texts[i] = (const char *)at;
                const struct oxl_scrub_finding row = { texts[0], texts[1], texts[2], texts[3], times[0], times[1] };
                r = fn(ctx, &row, err);
        }
        return r;
}

static int list(const struct oxl_scrub_target *target, const struct oxl_repo_options *repo_options,
                struct oxl_check_hooks *hooks, struct oxl_error *err)
{
        const struct oxl_check_options limits = { .hooks = hooks };
        struct oxl_check_result done;
        hooks->part = OXL_CHECK_LIST;
        int r = oxl_check_run(target->path, repo_options, &limits, hear_nothing, NULL, &done, err);
        return r < 0 ? r : oxl_facts_judge(hooks->facts, err);
}

int oxl_scrub_native_status(const struct oxl_scrub_target *target, const struct oxl_repo_options *repo_options,
                            struct oxl_coverage *ret, struct oxl_error *err)
{
        cleanup(oxl_facts_done) struct oxl_check_facts facts = { 0 };
        struct oxl_check_hooks hooks = { .unit = add_unit, .ctx = ret, .facts = &facts };
        int r = list(target, repo_options, &hooks, err);
        if (r < 0)
                return r;
        ret->status.findings = facts.findings;
        ret->status.open_intents = facts.open_intents;
        ret->status.last_pass_ns = facts.pass_ns;
        ret->status.last_clean_ns = facts.clean_ns;
        memcpy(ret->status.passes, facts.passes, sizeof facts.passes);
        return 0;
}

int oxl_scrub_native_findings(const struct oxl_scrub_target *target, const struct oxl_repo_options *repo_options,
                              oxl_scrub_finding_fn *fn, void *ctx, struct oxl_error *err)
{
        cleanup(oxl_facts_done) struct oxl_check_facts facts = { 0 };
        struct oxl_check_hooks hooks = { .facts = &facts };
        int r = list(target, repo_options, &hooks, err);
        return r < 0 ? r : oxl_facts_findings(&facts, fn, ctx, err);
}

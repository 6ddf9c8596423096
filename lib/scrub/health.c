/* SPDX-License-Identifier: MIT */
/* Health of a repository of ours, from the ledger alone: what a scrub would look at first, and what was found. Writes nothing. */
#include <string.h>

#include <oxenlite/tools.h>

#include "scrub/run.h"

enum { DAYS_MAX = 3650 };

struct health {
        struct oxl_coverage coverage;
        oxl_health_file_fn *file;
        oxl_health_finding_fn *finding;
        void *ctx;
};

static int hear_unit(void *ctx, const struct oxl_check_unit *u, struct oxl_error *err)
{
        struct health *h = ctx;
        const struct oxl_health_file f = { u->path, u->size, u->verified_ns > 0 ? u->verified_ns : 0, u->damaged };
        int k = oxl_coverage_add(&h->coverage, u, err);
        return k >= 0 && h->file ? h->file(h->ctx, &f, err) : k;
}

static int hear_nothing(void *ctx, const struct oxl_finding *f, struct oxl_error *err)
{
        (void)ctx, (void)f, (void)err;
        return 0;
}

static int hear_row(void *ctx, const struct oxl_scrub_finding *row, struct oxl_error *err)
{
        const struct health *h = ctx;
        const struct oxl_health_finding f = { row->id, row->slug, row->path, row->detail, row->first_ns, row->last_ns };
        return h->finding(h->ctx, &f, err);
}

int oxl_health(const char *start, const struct oxl_repo_options *repo_options, uint32_t days, oxl_health_file_fn *file,
               oxl_health_finding_fn *finding, void *ctx, struct oxl_scrub_status *ret, struct oxl_error *err)
{
        struct health h = { .file = file, .finding = finding, .ctx = ctx };
        cleanup(oxl_facts_done) struct oxl_check_facts facts = { 0 };
        const struct oxl_check_hooks hooks = { .unit = hear_unit, .ctx = &h, .part = OXL_CHECK_LIST, .facts = &facts };
        const struct oxl_check_options limits = { .hooks = &hooks };
        struct oxl_check_result done;
        if (days < 1 || days > DAYS_MAX)
                return OXL_FAIL_WHY(err, INVALID, "days", "1 to 3,650 are possible");
        h.coverage.now_ns = oxl_scrub_clock(CLOCK_REALTIME);
        h.coverage.days_ns = days * OXL_DAY_NS;
        int k = oxl_check_run(start, repo_options, &limits, hear_nothing, NULL, &done, err);
        if (k >= 0)
                oxl_coverage_end(&h.coverage);
        if (k >= 0)
                k = oxl_facts_judge(&facts, err);
        if (k >= 0 && finding)
                k = oxl_facts_findings(&facts, hear_row, &h, err);
        if (k >= 0) {
                *ret = h.coverage.status;
                ret->findings = facts.findings;
                ret->open_intents = facts.open_intents;
                ret->last_pass_ns = facts.pass_ns;
                ret->last_clean_ns = facts.clean_ns;
                memcpy(ret->passes, facts.passes, sizeof facts.passes);
        }
        oxl_coverage_done(&h.coverage);
        return k < 0 ? k : 0;
}

/* SPDX-License-Identifier: MIT */
/* The public calls: the contract is looked at, and the kind of store decides. */
#include <stdlib.h>
#include <string.h>

#include "scrub/run.h"

enum { DAYS_MAX = 3650, DAY_MINUTES = 1440 };

/* --- findings ----------------------------------------------------------------------------------------------------- */

static bool is_told(const struct oxl_scrub_pass *p, const char *id)
{
        for (size_t i = 0; i < p->n_told; i++)
                if (strcmp(p->told[i], id) == 0)
                        return true;
        return false;
}

static int note_told(struct oxl_scrub_pass *p, const char *id, struct oxl_error *err)
{
        enum { TOLD_MAX = 4096 }; /* what is beyond is told twice */
        if (p->n_told == p->cap_told && p->cap_told < TOLD_MAX) {
                size_t cap = 2 * p->cap_told + 32;
                void *at = reallocarray(p->told, cap, sizeof *p->told);
                if (!at)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                p->told = at;
                p->cap_told = cap;
        }
        if (p->n_told < p->cap_told && strlen(id) < sizeof *p->told)
                memcpy(p->told[p->n_told++], id, strlen(id) + 1);
        return 0;
}

int oxl_scrub_tell(struct oxl_scrub_pass *p, const struct oxl_finding *f, struct oxl_error *err)
{
        if (is_told(p, f->id) && f->affects_total == 0)
                return 0;
        int r = note_told(p, f->id, err);
        return r < 0 ? r : p->callbacks->finding(p->callbacks->ctx, f, err);
}

int oxl_scrub_unit(struct oxl_scrub_pass *p, const struct oxl_check_unit *u, struct oxl_error *err)
{
        return oxl_coverage_add(&p->coverage, u, err);
}

void oxl_scrub_plan(struct oxl_scrub_pass *p)
{
        if (p->planned)
                return;
        p->planned = true;
        oxl_coverage_end(&p->coverage);
        p->pace.needed = p->coverage.status.rate_needed;
        p->pace.progress.bytes_total = p->coverage.due_bytes;
}

/* --- status ------------------------------------------------------------------------------------------------------- */

static int check_days(uint32_t days, struct oxl_error *err)
{
        return days >= 1 && days <= DAYS_MAX ? 0 : OXL_FAIL_WHY(err, INVALID, "days", "1 to 3,650 are possible");
}

int oxl_scrub_status(const struct oxl_scrub_target *target, const struct oxl_repo_options *repo_options, uint32_t days,
                     struct oxl_scrub_status *ret, struct oxl_error *err)
{
        cleanup(oxl_coverage_done) struct oxl_coverage c = { .now_ns = oxl_scrub_clock(CLOCK_REALTIME),
                                                             .days_ns = days * OXL_DAY_NS };
        int r = check_days(days, err);
        if (r == 0)
                r = target->oxen ? oxl_scrub_oxen_status(target, repo_options ? repo_options->cancel : NULL, &c, err)
                                 : oxl_scrub_native_status(target, repo_options, &c, err);
        if (r < 0)
                return r;
        oxl_coverage_end(&c);
        *ret = c.status;
        return 0;
}

int oxl_scrub_findings(const struct oxl_scrub_target *target, const struct oxl_repo_options *repo_options,
                       oxl_scrub_finding_fn *fn, void *ctx, struct oxl_error *err)
{
        return target->oxen ? oxl_scrub_oxen_findings(target, repo_options ? repo_options->cancel : NULL, fn, ctx, err)
                            : oxl_scrub_native_findings(target, repo_options, fn, ctx, err);
}

/* --- a pass ------------------------------------------------------------------------------------------------------- */

static int check_contract(const struct oxl_scrub_contract *c, struct oxl_error *err)
{
        if (c->window_begin < 0 || c->window_end < 0 || c->window_begin > DAY_MINUTES || c->window_end > DAY_MINUTES)
                return OXL_FAIL_WHY(err, INVALID, "window", "minutes are 0 to 1,440");
        return check_days(c->days, err);
}

static void pass_done(struct oxl_scrub_pass *p)
{
        oxl_coverage_done(&p->coverage);
        free(p->told);
}

int oxl_scrub_run(const struct oxl_scrub_target *target, const struct oxl_repo_options *repo_options,
                  const struct oxl_scrub_contract *contract, struct oxl_scrub_control *control,
                  const struct oxl_scrub_callbacks *callbacks, struct oxl_scrub_result *ret, struct oxl_error *err)
{
        struct oxl_scrub_control own = { 0 };
        int64_t now = oxl_scrub_clock(CLOCK_REALTIME);
        int r = check_contract(contract, err);
        if (r < 0)
                return r;
        cleanup(pass_done) struct oxl_scrub_pass p = {
                .target = target,
                .repo_options = repo_options,
                .contract = contract,
                .callbacks = callbacks,
                .coverage = { .now_ns = now, .days_ns = contract->days * OXL_DAY_NS },
                .due_before_ns = contract->all ? now : now - contract->days * OXL_DAY_NS / 2,
        };
        oxl_scrub_pace_init(&p.pace, contract, control ? control : &own, callbacks,
                            repo_options ? repo_options->cancel : NULL);
        oxl_scrub_pace_ready(&p.pace);
        r = oxl_scrub_pace_cancelled(&p.pace) ? OXL_FAIL_PLAIN(err, CANCELLED)
            : target->oxen                    ? oxl_scrub_oxen(&p, err)
                                              : oxl_scrub_native(&p, err);
        *ret = p.result; /* also after an error: what was verified and recorded */
        return r;
}

/* SPDX-License-Identifier: MIT */
/*
 * One scrub pass: what its files share.
 *
 *      control.c   steering from outside
 *      coverage.c  what the ledger says: status, and the rate that keeps the contract
 *      pace.c      when the next read may begin
 *      scrub.c     the public calls
 *      native.c    a repository: lib/check
 *      oxen.c      an Oxen store: lib/foreign, with ledger and findings in the state folder
 */
#ifndef OXL_SCRUB_RUN_H
#define OXL_SCRUB_RUN_H

#include <time.h>

#include <oxenlite/scrub.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "check/hooks.h"

#define OXL_SECOND_NS INT64_C(1000000000)
#define OXL_DAY_NS (INT64_C(86400) * OXL_SECOND_NS)

struct oxl_scrub_control {
        atomic_bool cancelled, paused;
        _Atomic uint64_t limit;
};

/* Nanoseconds; 0 when the clock fails. */
int64_t oxl_scrub_clock(clockid_t clock);

/* --- coverage.c --- */

struct oxl_coverage {
        int64_t now_ns, days_ns;
        struct oxl_scrub_status status;
        uint64_t due_bytes;
        struct oxl_deadline {
                int64_t at_ns;
                uint64_t bytes;
        } * deadlines; /* owned */
        size_t n, cap;
};
void oxl_coverage_done(struct oxl_coverage *c);
OXL_MUST_CHECK int oxl_coverage_add(struct oxl_coverage *c, const struct oxl_check_unit *u, struct oxl_error *err);
/* Fills in what needs all files. */
void oxl_coverage_end(struct oxl_coverage *c);

/* --- pace.c --- */

enum { OXL_PACE_SECONDS = 60, OXL_PACE_BUCKETS = 100 };

struct oxl_pace_second {
        int64_t second;
        uint32_t n[OXL_PACE_BUCKETS]; /* reads by latency: four buckets for each doubling from 1 microsecond */
};

struct oxl_scrub_pace {
        const struct oxl_scrub_contract *contract;
        struct oxl_scrub_control *control;
        const struct oxl_scrub_callbacks *callbacks;
        const atomic_bool *cancel; /* the caller's; may be NULL */
        uint64_t needed;           /* bytes per second that keep the contract */
        bool steady;               /* locks are held: no waiting for pause and window */

        double factor;     /* of the pace; below 1 while backing off */
        int64_t free_ns;   /* monotonic: when all bytes so far are paid */
        int64_t looked_ns; /* at the pressure; since then: */
        uint64_t read_bytes;
        int64_t read_ns; /* spent in reads */
        double waited;   /* per cent of the last seconds that our own reads took: our part of the pressure */
        double top;      /* bytes per second: the most that was read between two looks */
        int64_t told_ns; /* progress */
        double best_us;  /* median latency of the best minute; 0: none yet */
        struct oxl_pace_second seconds[OXL_PACE_SECONDS];
        struct oxl_scrub_progress progress;
};

void oxl_scrub_pace_init(struct oxl_scrub_pace *p, const struct oxl_scrub_contract *contract,
                         struct oxl_scrub_control *control, const struct oxl_scrub_callbacks *callbacks,
                         const atomic_bool *cancel);
/* hooks.h's pace. */
void oxl_scrub_pace_hook(void *ctx, uint64_t bytes, int64_t latency_ns, bool medium);
/* Waits until reading is allowed: neither paused, nor outside of the window, nor cancelled. */
void oxl_scrub_pace_ready(struct oxl_scrub_pace *p);
/* True: the pass has to end. Takes over what the caller's flag says. */
bool oxl_scrub_pace_cancelled(struct oxl_scrub_pace *p);
void oxl_scrub_pace_state(struct oxl_scrub_pace *p, enum oxl_scrub_state state);

/* --- the kinds --- */

struct oxl_scrub_pass {
        const struct oxl_scrub_target *target;
        const struct oxl_repo_options *repo_options; /* of the caller; NULL: none */
        const struct oxl_scrub_contract *contract;
        const struct oxl_scrub_callbacks *callbacks;
        struct oxl_scrub_pace pace;
        struct oxl_coverage coverage;
        bool planned; /* the coverage is complete, and the pace knows what is needed */
        int64_t due_before_ns;
        struct oxl_scrub_result result;
        char (*told)[17]; /* owned: ids of findings that were told */
        size_t n_told, cap_told;
};

/* Tells a finding unless it was told before; again when it is now known what it affects. */
OXL_MUST_CHECK int oxl_scrub_tell(struct oxl_scrub_pass *p, const struct oxl_finding *f, struct oxl_error *err);
/* For hooks.h's unit. */
OXL_MUST_CHECK int oxl_scrub_unit(struct oxl_scrub_pass *p, const struct oxl_check_unit *u, struct oxl_error *err);
/* All units were heard of: sets the pace. */
void oxl_scrub_plan(struct oxl_scrub_pass *p);

OXL_MUST_CHECK int oxl_scrub_native(struct oxl_scrub_pass *p, struct oxl_error *err);
OXL_MUST_CHECK int oxl_scrub_native_status(const struct oxl_scrub_target *target,
                                           const struct oxl_repo_options *repo_options, struct oxl_coverage *ret,
                                           struct oxl_error *err);
OXL_MUST_CHECK int oxl_scrub_native_findings(const struct oxl_scrub_target *target,
                                             const struct oxl_repo_options *repo_options, oxl_scrub_finding_fn *fn,
                                             void *ctx, struct oxl_error *err);
/* What a listing says of the journal. judge: an error when it could not be looked at, through no fault of its own. */
void oxl_facts_done(struct oxl_check_facts *f);
OXL_MUST_CHECK int oxl_facts_judge(struct oxl_check_facts *f, struct oxl_error *err);
OXL_MUST_CHECK int oxl_facts_findings(const struct oxl_check_facts *f, oxl_scrub_finding_fn *fn, void *ctx,
                                      struct oxl_error *err);
OXL_MUST_CHECK int oxl_scrub_oxen(struct oxl_scrub_pass *p, struct oxl_error *err);
OXL_MUST_CHECK int oxl_scrub_oxen_status(const struct oxl_scrub_target *target, const atomic_bool *cancel,
                                         struct oxl_coverage *ret, struct oxl_error *err);
OXL_MUST_CHECK int oxl_scrub_oxen_findings(const struct oxl_scrub_target *target, const atomic_bool *cancel,
                                           oxl_scrub_finding_fn *fn, void *ctx, struct oxl_error *err);

#endif

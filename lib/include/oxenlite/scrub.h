/* SPDX-License-Identifier: MIT */
/*
 * Scrubbing: every byte of every canonical file verified within N days, in the background, at a rate that disturbs nobody.
 *
 * A scrub pass is a check (check.h) that records: it reads what the contract makes due, never-verified files first, then the
 * oldest, and writes the ledger every few seconds, so that what a kill loses is those seconds. Findings are fsck's, with its ids.
 * The pace is `rate needed to keep the contract`, at least rate_min, at most rate_max, and is halved while the machine is
 * under I/O pressure (PSI: /proc/pressure/io, "some avg10") or our own reads take much longer than they did; the cap is never exceeded.
 *
 * Ledger and findings: in journal.db of a native repository; for an Oxen repository in the state folder (foreign.h), never in
 * the Oxen repository. A failed or cancelled pass never refreshes `last_clean_ns`.
 * Threads: a pass runs in the calling thread; its control may be used by others at any time.
 */
#ifndef OXENLITE_SCRUB_H
#define OXENLITE_SCRUB_H

#include <oxenlite/check.h>
#include <oxenlite/repair.h>

OXL_BEGIN_DECLS

struct oxl_scrub_target {
        const char *path;  /* repository: working tree, .oxen-lite; for Oxen as oxl_oxen_check takes it */
        bool oxen;         /* a real Oxen repository or version store */
        const char *state; /* Oxen only: state folder; NULL: foreign.h's default */
};

struct oxl_scrub_contract {
        uint32_t days;     /* every byte within so many days: 1 to 3,650 */
        uint64_t rate_max; /* bytes per second, hard cap; 0: none */
        uint64_t rate_min; /* bytes per second, when nothing presses: do not crawl; 0: 1 MiB/s */
        bool media;        /* read around the cache; keeps other programs' cached pages */
        uint32_t pressure; /* per cent of "some avg10" of /proc/pressure/io from which to back off; 0: never */
        int window_begin,
                window_end; /* minutes after local midnight in which reading is allowed; equal: always. May wrap */
        bool repair;        /* repair what can be repaired, with the error budget, after a pass with findings */
        const char *from;   /* folder with good copies for repair, or NULL */
        bool all;           /* everything is due, however lately it was verified: somebody asked */
};
/* 30 days, no cap, 1 MiB/s, medium, 10 %, always, no repair. */
OXL_API void oxl_scrub_contract_default(struct oxl_scrub_contract *ret);

/* How others steer a running pass; each call may come from any thread and from a signal handler, new and free excepted. */
struct oxl_scrub_control;
OXL_API OXL_MUST_CHECK int oxl_scrub_control_new(struct oxl_scrub_control **ret, struct oxl_error *err); /* NOMEM */
OXL_API void oxl_scrub_control_free(struct oxl_scrub_control *c);   /* NULL is fine; not while a pass runs */
OXL_API void oxl_scrub_control_cancel(struct oxl_scrub_control *c); /* end soon; what was verified is recorded */
OXL_API void oxl_scrub_control_pause(struct oxl_scrub_control *c, bool paused); /* hold still, keep the place */
/* Bytes per second, in place of the contract's rate_max; 0: the contract's again. */
OXL_API void oxl_scrub_control_limit(struct oxl_scrub_control *c, uint64_t rate);

enum { OXL_PASSES_SHOWN = 32 };

/* What the ledger says. Times: nanoseconds since 1970, 0: never. */
struct oxl_scrub_status {
        uint64_t files, bytes;                   /* packs and loose blobs there are */
        uint64_t verified_files, verified_bytes; /* verified within the contract's days, good */
        uint64_t never_files, never_bytes;       /* not verified since they are there */
        uint64_t overdue_files, overdue_bytes; /* longer ago than the contract allows, or never and there for longer */
        uint64_t damaged_files;                /* as last recorded */
        int64_t oldest_ns;     /* last verification of the file verified longest ago; 0 while some never was */
        int64_t last_pass_ns;  /* end of the last complete pass, by a scrub or a whole recorded check */
        int64_t last_clean_ns; /* end of the last complete pass without finding or unreadable file */
        uint64_t findings;     /* open ones */
        uint64_t open_intents; /* of anybody, dead or alive */
        uint64_t rate_needed;  /* bytes per second to keep the contract from now on */
        bool met;              /* nothing is overdue */
        int64_t due_ns;        /* when the next file becomes overdue; 0: no files */
        uint64_t by_age
                [8]; /* bytes by age of verification, in eighths of the contract's days; the last also holds all overdue */
        struct oxl_pass passes[OXL_PASSES_SHOWN]; /* the last ones, newest first; end_ns 0: no more */
};
/* Reads no content. A journal (for Oxen: a ledger) that is missing or damaged says that nothing was ever verified: the next pass
 * tells what is wrong with it. One that could not be looked at is an error: DIR_CREATE, FILE_CREATE, FILE_WRITE (the private copy, in
 * $TMPDIR), LOCKED, JOURNAL. Else as oxl_check_run and oxl_oxen_check. */
OXL_API OXL_MUST_CHECK int oxl_scrub_status(const struct oxl_scrub_target *target,
                                            const struct oxl_repo_options *repo_options, uint32_t days,
                                            struct oxl_scrub_status *ret, struct oxl_error *err);

struct oxl_scrub_finding { /* as last recorded; strings borrowed for the call */
        const char *id, *slug, *path, *detail;
        int64_t first_ns, last_ns; /* seen first and last, since 1970 */
};
typedef int oxl_scrub_finding_fn(void *ctx, const struct oxl_scrub_finding *finding, struct oxl_error *err);
/* The findings that oxl_scrub_status counts, in order of paths, until @fn returns not 0, which is returned. Errors as there. */
OXL_API OXL_MUST_CHECK int oxl_scrub_findings(const struct oxl_scrub_target *target,
                                              const struct oxl_repo_options *repo_options, oxl_scrub_finding_fn *fn,
                                              void *ctx, struct oxl_error *err);

enum oxl_scrub_state {
        OXL_SCRUB_READING = 0, /* "reading" */
        OXL_SCRUB_BACKING_OFF, /* "backing-off": I/O pressure or slow reads */
        OXL_SCRUB_PAUSED,      /* "paused" */
        OXL_SCRUB_WAITING,     /* "waiting": outside of the window */
        OXL_SCRUB_REPAIRING,   /* "repairing" */
};
OXL_API const char *oxl_scrub_state_text(enum oxl_scrub_state s);

struct oxl_scrub_progress {
        enum oxl_scrub_state state;
        uint64_t bytes, bytes_total;       /* of this pass */
        uint64_t rate;                     /* bytes per second allowed now; 0: no limit */
        uint64_t read_us_p50, read_us_p99; /* latency of reads from the medium in the last minute, microseconds */
};

struct oxl_scrub_callbacks {
        oxl_finding_fn *finding;                                                /* required */
        oxl_repair_fn *repaired;                                                /* may be NULL */
        void (*progress)(void *ctx, const struct oxl_scrub_progress *progress); /* about once a second; may be NULL */
        void *ctx;
};

struct oxl_scrub_result {
        uint64_t files, bytes; /* verified by this pass */
        uint64_t findings, unreadable, repaired, left;
        bool over_budget; /* repair stopped: too much damage at once */
        bool complete;    /* all that was due was read */
        bool clean;       /* complete, nothing found, nothing unreadable */
};

/* One pass over what is due: a file is due when it was never verified, was damaged or unreadable when last seen, or when its last
 * verification is older than half of the contract's days. Ends at once (complete) when nothing is due; metadata (refs, index, journal, trees,
 * commits) is verified by every pass. 0 also with findings. Errors as oxl_check_run and oxl_oxen_check. */
OXL_API OXL_MUST_CHECK int oxl_scrub_run(const struct oxl_scrub_target *target,
                                         const struct oxl_repo_options *repo_options,
                                         const struct oxl_scrub_contract *contract, struct oxl_scrub_control *control,
                                         const struct oxl_scrub_callbacks *callbacks, struct oxl_scrub_result *ret,
                                         struct oxl_error *err);

OXL_END_DECLS

#endif

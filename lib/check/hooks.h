/* SPDX-License-Identifier: MIT */
/*
 * What scrubbing needs of a check: its pace, its choice, a part of it alone, and what the ledger says. For lib/scrub.
 *
 * A part other than all is no check: it tells only what it met, and settles nothing. It takes no lock, so it may last for days.
 */
#ifndef OXL_CHECK_HOOKS_H
#define OXL_CHECK_HOOKS_H

#include <oxenlite/check.h>
#include <oxenlite/scrub.h>

#include "base/buf.h"
#include "journal/journal.h"

enum oxl_check_part {
        OXL_CHECK_ALL = 0,
        OXL_CHECK_CONTENT, /* packs and loose blobs that are due; files that are not are not opened */
        OXL_CHECK_LIST,    /* they are listed, and matched with the ledger */
};

struct oxl_check_unit {   /* a pack or a loose blob */
        const char *path; /* relative to .oxen-lite, as in findings; borrowed; NULL: of Oxen */
        uint64_t size;
        int64_t verified_ns; /* when it was judged last, good and of this size, or damaged; 0: never */
        int64_t changed_ns;  /* its ctime: since when it is there, at least */
        bool damaged;        /* when it was recorded last */
        bool again;          /* damaged or unreadable: it is read again by every run */
        bool due;            /* this run reads it */
};

struct oxl_check_facts {
        bool read;            /* the journal was: else nothing below is known */
        struct oxl_error why; /* why it was not; owned by who gave the facts, as `recorded` */
        uint64_t findings, open_intents;
        int64_t pass_ns, clean_ns; /* end of the last complete pass, and of the last clean one; 0: never */
        struct oxl_pass passes[OXL_PASSES_SHOWN]; /* as in struct oxl_scrub_status */
        struct oxl_buf recorded; /* each finding: first, last (int64_t), then id, slug, path, detail, NUL-ended */
};

struct oxl_check_hooks {
        /* Before each read of content (@latency_ns < 0), of about @bytes: it may wait. After it: so many came, after so long;
         * @medium: around the cache for certain. NULL: none. From any thread of the run. */
        void (*pace)(void *ctx, uint64_t bytes, int64_t latency_ns, bool medium);
        /* Each file, before the first is read, in the order of reading. NULL: none. */
        int (*unit)(void *ctx, const struct oxl_check_unit *unit, struct oxl_error *err);
        void *ctx;
        enum oxl_check_part part;
        int64_t due_before_ns; /* leave out what was verified then or later, however it was read; 0: nothing */
        bool mark;             /* this check ends the pass of a scrub, which */
        int64_t pass_begin_ns; /* began then (0: with this check), */
        uint64_t pass_files, pass_bytes; /* and has read so much; what is damaged is read again */
        struct oxl_check_facts *facts;   /* filled from the journal; NULL: not wanted */
};

/* Rows of the ledger that stand for no file: their times are facts' pass_ns and clean_ns. */
#define OXL_LEDGER_PASS "scrub/pass"
#define OXL_LEDGER_CLEAN "scrub/clean"

/* passes.c: the last passes are rows of their own, "scrub/pass/NN"; the row that ended first is the next to be replaced. */
enum { OXL_PASSES_KEPT = 100 };
struct oxl_passes {
        int64_t ends[OXL_PASSES_KEPT]; /* 0: the row is free */
        struct oxl_pass shown[OXL_PASSES_SHOWN];
};
struct oxl_pass_texts {
        char path[40], verdict[160];
};
/* True: @row is one of them. What cannot be read is only replaced some day. */
bool oxl_passes_take(struct oxl_passes *p, const struct oxl_ledger_row *row);
/* Borrows @texts. */
struct oxl_ledger_row oxl_passes_row(const struct oxl_passes *p, const struct oxl_pass *pass,
                                     struct oxl_pass_texts *texts);

#endif

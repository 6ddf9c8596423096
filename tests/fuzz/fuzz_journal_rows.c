/* SPDX-License-Identifier: MIT */
/*
 * Rows of a journal that somebody else wrote: sound SQLite, hostile content. Input: u8 flags, then rows as journal_rows.h
 * describes them. Flags: bit 0 our own schema, else one that takes any value in any column; bit 1 the rows of the chain are
 * asked for by open_intents first.
 *
 * What is handed on has all of its texts and numbers in range, in order, and as often as it should.
 */
#include "fuzz/journal_rows.h"
#include "journal/internal.h"
#include "journal/schema.h"

enum { OUR_SCHEMA = 1, OPEN_FIRST = 2 };

struct seen {
        int64_t seq;      /* of the last event */
        unsigned intents; /* without outcome */
        unsigned rows;
};

static int see_event(void *ctx, const struct oxl_event *e, struct oxl_error *err)
{
        struct seen *s = ctx;
        (void)err;
        FUZZ_REQUIRE(e->seq == s->seq + 1 && e->verb && e->body);
        FUZZ_REQUIRE(e->outcome == (e->state != OXL_INTENT_STAGED));
        FUZZ_REQUIRE(e->outcome ? e->intent > 0 && e->intent < e->seq : e->intent == e->seq);
        s->seq = e->seq;
        s->rows++;
        return 0;
}

static int see_open(void *ctx, const struct oxl_event *e, struct oxl_error *err)
{
        struct seen *s = ctx;
        (void)err;
        FUZZ_REQUIRE(!e->outcome && e->seq > s->seq && e->intent == e->seq && e->verb && e->body);
        s->seq = e->seq;
        s->intents++;
        return 0;
}

static int see_operation(void *ctx, const struct oxl_operation *op, struct oxl_error *err)
{
        (void)err;
        FUZZ_REQUIRE(op->verb && op->note);
        ((struct seen *)ctx)->rows++;
        return 0;
}

static int see_ledger(void *ctx, const struct oxl_ledger_row *row, struct oxl_error *err)
{
        (void)err;
        FUZZ_REQUIRE(row->path && row->verdict && row->size <= INT64_MAX);
        ((struct seen *)ctx)->rows++;
        return 0;
}

static int see_finding(void *ctx, const struct oxl_finding_row *row, struct oxl_error *err)
{
        (void)err;
        FUZZ_REQUIRE(row->id && row->slug && row->path && row->detail);
        ((struct seen *)ctx)->rows++;
        return 0;
}

static void check_events(struct oxl_journal *j, bool open_first)
{
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        struct seen open = { 0 }, all = { 0 };
        bool bad_open = false, bad;
        if (open_first)
                bad_open = fuzz_failed(oxl_journal_open_intents(j, see_open, &open, &err), &err);
        bad = fuzz_failed(oxl_journal_events(j, see_event, &all, &err), &err);
        if (!open_first)
                bad_open = fuzz_failed(oxl_journal_open_intents(j, see_open, &open, &err), &err);
        FUZZ_REQUIRE(bad == bad_open && (!bad || open.intents == 0));
        FUZZ_REQUIRE(open.intents <= all.rows && open.seq <= all.seq);
        fuzz_accepted += !bad && all.rows > 0;
}

static void check_tables(struct oxl_journal *j)
{
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        struct seen three = { 0 }, every = { 0 }, other = { 0 };
        bool bad = fuzz_failed(oxl_journal_operations(j, 3, see_operation, &three, &err), &err);
        (void)fuzz_failed(oxl_journal_operations(j, 0, see_operation, &every, &err), &err);
        FUZZ_REQUIRE(three.rows <= 3 && (bad || three.rows <= every.rows));
        (void)fuzz_failed(oxl_journal_ledger(j, see_ledger, &other, &err), &err);
        (void)fuzz_failed(oxl_journal_findings(j, see_finding, &other, &err), &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const struct oxl_journal_config config = { .dir = "/nowhere", .id = fuzz_repo, .lock_fd = -1 };
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_journal *j = NULL;
        if (size == 0)
                return 0;
        FUZZ_REQUIRE(oxl_journal_new(&config, &j, NULL) == 0 && oxl_journal_connect(j, ":memory:", NULL) == 0);
        const char *schema = data[0] & OUR_SCHEMA ? oxl_journal_migrations[0].sql : rows_loose_schema;
        FUZZ_REQUIRE(oxl_journal_exec(j, schema, NULL) == 0);
        rows_insert(j->db, data + 1, size - 1);
        j->copy = true; /* only read, and nothing synced */
        check_events(j, data[0] & OPEN_FIRST);
        check_tables(j);
        (void)fuzz_failed(oxl_journal_verify(j, &err), &err);
        oxl_journal_close(j);
        return 0;
}

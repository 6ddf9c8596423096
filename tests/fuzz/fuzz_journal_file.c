/* SPDX-License-Identifier: MIT */
/*
 * The bytes of journal.db and of its -wal, read as those who may not write read them: a private copy. Input: le32 length of the
 * database, which comes next; the rest is the -wal. The checksums of the pages are put right where there are some; those of SQLite in
 * the -wal are not.
 */
#include <dirent.h>

#include "fuzz/fuzz.h"
#include "journal/internal.h"

static const char *place;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
        (void)argc;
        (void)argv;
        place = fuzz_place();
        return 0;
}

static int see_event(void *ctx, const struct oxl_event *e, struct oxl_error *err)
{
        int64_t *seq = ctx;
        (void)err;
        FUZZ_REQUIRE(e->seq > *seq && e->verb && e->body);
        *seq = e->seq;
        return 0;
}

static int see_operation(void *ctx, const struct oxl_operation *op, struct oxl_error *err)
{
        (void)ctx, (void)err;
        FUZZ_REQUIRE(op->verb && op->note);
        return 0;
}

static int see_ledger(void *ctx, const struct oxl_ledger_row *row, struct oxl_error *err)
{
        (void)ctx, (void)err;
        FUZZ_REQUIRE(row->path && row->verdict);
        return 0;
}

static int see_finding(void *ctx, const struct oxl_finding_row *row, struct oxl_error *err)
{
        (void)ctx, (void)err;
        FUZZ_REQUIRE(row->id && row->slug && row->path && row->detail);
        return 0;
}

/* The file is damaged or not; nothing is wrong with the disk, whatever SQLite makes of such bytes. */
static bool failed(int r, struct oxl_error *err)
{
        FUZZ_REQUIRE(r >= 0 || err->code == OXL_E_JOURNAL || err->code == OXL_E_JOURNAL_DAMAGED ||
                     err->code == OXL_E_JOURNAL_NEWER || err->code == OXL_E_LIMIT);
        return fuzz_failed(r, err);
}

static void read_all(struct oxl_journal *j)
{
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        int64_t last = 0, open = 0;
        bool sound = !failed(oxl_journal_verify(j, &err), &err);
        bool bad = failed(oxl_journal_events(j, see_event, &last, &err), &err);
        FUZZ_REQUIRE(!sound || !bad);
        (void)failed(oxl_journal_open_intents(j, see_event, &open, &err), &err);
        FUZZ_REQUIRE(bad || open <= last);
        (void)failed(oxl_journal_operations(j, 0, see_operation, NULL, &err), &err);
        (void)failed(oxl_journal_ledger(j, see_ledger, NULL, &err), &err);
        (void)failed(oxl_journal_findings(j, see_finding, NULL, &err), &err);
        fuzz_accepted += !bad && last > 0;
}

static void fix_sums(uint8_t *db, size_t n)
{
        enum { RESERVED_AT = 20 };
        if (n <= RESERVED_AT || db[RESERVED_AT] != OXL_JOURNAL_SUM_BYTES)
                return;
        for (size_t at = 0; n - at >= OXL_JOURNAL_PAGE_BYTES; at += OXL_JOURNAL_PAGE_BYTES)
                oxl_journal_page_sum(&fuzz_repo, (uint32_t)(at / OXL_JOURNAL_PAGE_BYTES + 1), db + at,
                                     db + at + OXL_JOURNAL_PAGE_BYTES - OXL_JOURNAL_SUM_BYTES);
}

/* Of the copies, names are left for nobody. */
static void require_nothing_left(void)
{
        DIR *dir = opendir(place);
        FUZZ_REQUIRE(dir);
        for (struct dirent *e; (e = readdir(dir));)
                FUZZ_REQUIRE(strncmp(e->d_name, "oxen-lite-journal-", 18) != 0);
        closedir(dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const struct oxl_journal_config config = { .dir = place, .id = fuzz_repo, .lock_fd = -1 };
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_journal *j = NULL;
        if (size < 4)
                return 0;
        size_t n = le_load32(data) < size - 4 ? le_load32(data) : size - 4;
        cleanup_free uint8_t *db = fuzz_copy(data + 4, n);
        fix_sums(db, n);
        fuzz_put(place, "journal.db", db, n);
        fuzz_put(place, "journal.db-wal", data + 4 + n, size - 4 - n);
        if (!failed(oxl_journal_open_copy(&config, &j, &err), &err)) {
                read_all(j);
                oxl_journal_close(j);
        }
        require_nothing_left();
        return 0;
}

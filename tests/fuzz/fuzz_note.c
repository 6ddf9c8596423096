/* SPDX-License-Identifier: MIT */
/*
 * A note in quarantine, and the undo of its run. What it names is listed, and undo refuses as a whole, because a second entry
 * names HEAD, which is good: so the first is looked at to its end, and nothing is put anywhere.
 */
#include <stdio.h>
#include <sys/stat.h>

#include <oxenlite/repair.h>
#include <oxenlite/repo.h>

#include "fuzz/fuzz.h"
#include "support/place.h"

#define RUN "20260101T000000-00000000"

static char *work, *first;

static void entry(const char *n)
{
        char path[64];
        snprintf(path, sizeof path, ".oxen-lite/quarantine/" RUN "/%s", n);
        place_mkdir(work, path);
        snprintf(path, sizeof path, ".oxen-lite/quarantine/" RUN "/%s/data", n);
        place_text(work, path, "what was there");
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
        (void)argc;
        (void)argv;
        work = place_path(fuzz_place(), "work");
        FUZZ_REQUIRE(mkdir(work, 0700) == 0 && oxl_repo_init(work, OXL_ALGO_BLAKE3, NULL) == 0);
        place_mkdir(work, ".oxen-lite/quarantine/" RUN);
        entry("1");
        entry("2");
        place_text(work, ".oxen-lite/quarantine/" RUN "/2/note", "{\"path\":\"HEAD\"}");
        first = place_path(work, ".oxen-lite/quarantine/" RUN "/1");
        return 0;
}

static int see_entry(void *ctx, const struct oxl_quarantine_entry *e, struct oxl_error *err)
{
        (void)err;
        FUZZ_REQUIRE(strcmp(e->id, RUN) == 0 && e->path && e->bytes == strlen("what was there"));
        fuzz_accepted += *(unsigned *)ctx == 0 && strcmp(e->path, "quarantine/" RUN "/1") != 0;
        (*(unsigned *)ctx)++;
        return 0;
}

static int see_item(void *ctx, const struct oxl_repair_item *item, struct oxl_error *err)
{
        (void)ctx, (void)err;
        FUZZ_REQUIRE(!item);
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        unsigned entries = 0;
        fuzz_put(first, "note", data, size);
        FUZZ_REQUIRE(oxl_quarantine_list(work, NULL, false, see_entry, &entries, &err) == 0 && entries == 2);
        FUZZ_REQUIRE(oxl_repair_undo(work, NULL, RUN, false, see_item, NULL, &err) == -OXL_E_UNDO_GOOD);
        return 0;
}

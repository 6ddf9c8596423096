/* SPDX-License-Identifier: MIT */
/* `fsck --apply PLAN`: the document selects findings of the check that was just made, or says nothing; it cannot bring in any of its
 * own. What is selected agrees in all that was seen. */
#include "check/repair.h"
#include "fuzz/fuzz.h"

#define ID(c) c c c c c c c c c c c c c c c c

/* Those that the seeds name (make_seeds.c). */
static void make_finds(struct oxl_repair_find finds[3], char texts[3][8])
{
        static const enum oxl_problem problems[] = { OXL_P_BLOB_DAMAGED, OXL_P_PACK_DAMAGED, OXL_P_BLOB_MISSING };
        static const char *const ids[] = { ID("a"), ID("b"), ID("c") };
        for (int i = 0; i < 3; i++) {
                memcpy(texts[i], "path-0", 7);
                texts[i][5] = (char)('0' + i);
                finds[i] = (struct oxl_repair_find){ .problem = problems[i],
                                                     .path = texts[i],
                                                     .actual = texts[i] + 4,
                                                     .exists = i < 2,
                                                     .size = 100,
                                                     .inode = 7,
                                                     .mtime_ns = 1700000000000000000,
                                                     .selected = true };
                memcpy(finds[i].id, ids[i], 17);
        }
}

static int see_item(void *ctx, const struct oxl_repair_item *item, struct oxl_error *err)
{
        (void)err;
        FUZZ_REQUIRE(item->verdict == OXL_REPAIR_STALE && strlen(item->finding_id) == 16);
        FUZZ_REQUIRE(item->slug && item->path && item->detail);
        (*(unsigned *)ctx)++;
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_repair_find finds[3];
        char texts[3][8];
        unsigned stale = 0, selected = 0;
        struct oxl_repair p = { .finds = finds, .n_finds = 3, .item = see_item, .ctx = &stale };
        make_finds(finds, texts);
        cleanup_free uint8_t *plan = fuzz_copy(data, size);
        int r = oxl_repair_select(&p, (const char *)plan, size, &err);
        FUZZ_REQUIRE(r <= 0 && (r == 0 || err.code == OXL_E_INVALID));
        FUZZ_REQUIRE(p.result.stale == stale && p.n_finds == 3);
        FUZZ_REQUIRE(!p.result.healed && !p.result.rebuilt && !p.result.left && !p.result.proposed);
        for (int i = 0; i < 3; i++)
                selected += finds[i].selected;
        if (fuzz_failed(r, &err))
                return 0;
        fuzz_accepted += selected > 0;
        /* Each id of a find that is selected stands in the document as it is, or escaped. */
        for (int i = 0; i < 3; i++)
                FUZZ_REQUIRE(!finds[i].selected || memmem(data, size, finds[i].id, 16) || memchr(data, '\\', size));
        return 0;
}

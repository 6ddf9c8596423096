/* SPDX-License-Identifier: MIT */
/* Bodies of intents. What is accepted is printed and read back as the same; it names only places that recovery may write, whatever
 * stands in the journal. */
#include "base/path.h"
#include "fuzz/fuzz.h"
#include "repo/intent.h"
#include "repo/move.h"

static bool begins(const char *text, const char *prefix)
{
        return strncmp(text, prefix, strlen(prefix)) == 0;
}

static void check_file(const struct oxl_intent_file *f)
{
        FUZZ_REQUIRE(!oxl_path_problem(f->temp, strlen(f->temp)) && !oxl_path_problem(f->target, strlen(f->target)));
        FUZZ_REQUIRE(oxl_temp_name_is_ours(oxl_path_base(f->temp), NULL));
        FUZZ_REQUIRE(begins(f->target, "versions/packs/") || begins(f->target, "versions/files/") ||
                     strcmp(f->target, "index") == 0 || strcmp(f->target, "index.delta") == 0);
        FUZZ_REQUIRE(f->digest.algo != OXL_ALGO_NONE);
}

static void check_commit(const char *body, enum oxl_algo algo)
{
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        cleanup(oxl_commit_intent_done) struct oxl_commit_intent i = OXL_COMMIT_INTENT_INIT;
        cleanup(oxl_commit_intent_done) struct oxl_commit_intent j = OXL_COMMIT_INTENT_INIT;
        cleanup_free char *printed = NULL, *again = NULL;
        if (fuzz_failed(oxl_commit_intent_parse(body, algo, &i, &err), &err))
                return;
        fuzz_accepted++;
        FUZZ_REQUIRE(strcmp(i.ref, "HEAD") == 0 || !oxl_ref_name_check(i.ref + strlen("refs/heads/"), NULL));
        FUZZ_REQUIRE(i.new_id.algo == OXL_ALGO_BLAKE3 && i.tree.algo == OXL_ALGO_BLAKE3);
        for (size_t k = 0; k < i.n_files; k++)
                check_file(i.files + k);
        FUZZ_REQUIRE(oxl_commit_intent_print(&i, &printed, NULL) == 0);
        FUZZ_REQUIRE(oxl_commit_intent_parse(printed, algo, &j, NULL) == 0 && j.n_files == i.n_files);
        FUZZ_REQUIRE(oxl_commit_intent_print(&j, &again, NULL) == 0);
        FUZZ_REQUIRE(strcmp(printed, again) == 0);
}

static void check_restore(const char *body)
{
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        cleanup(oxl_restore_intent_done) struct oxl_restore_intent i = OXL_RESTORE_INTENT_INIT;
        cleanup(oxl_restore_intent_done) struct oxl_restore_intent j = OXL_RESTORE_INTENT_INIT;
        cleanup_free char *printed = NULL, *again = NULL;
        if (fuzz_failed(oxl_restore_intent_parse(body, &i, &err), &err))
                return;
        fuzz_accepted++;
        FUZZ_REQUIRE(!i.to || i.to[0] == '/');
        for (size_t k = 0; k < i.n_paths; k++)
                FUZZ_REQUIRE(!*i.paths[k] || !oxl_path_problem(i.paths[k], strlen(i.paths[k])));
        FUZZ_REQUIRE(oxl_restore_intent_print(&i, &printed, NULL) == 0);
        FUZZ_REQUIRE(oxl_restore_intent_parse(printed, &j, NULL) == 0);
        FUZZ_REQUIRE(j.n_paths == i.n_paths && j.force == i.force);
        FUZZ_REQUIRE(oxl_restore_intent_print(&j, &again, NULL) == 0);
        FUZZ_REQUIRE(strcmp(printed, again) == 0);
}

static void check_move(const char *body, enum oxl_algo algo)
{
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        cleanup(oxl_move_done) struct oxl_move m = OXL_MOVE_INIT, n = OXL_MOVE_INIT;
        cleanup(oxl_edits_record_done) struct oxl_edits_record kept = OXL_EDITS_RECORD_INIT;
        cleanup_free char *printed = NULL, *again = NULL;
        int k = oxl_move_parse(body, algo, &m, &err);
        if (k > 0 || fuzz_failed(k, &err))
                return;
        fuzz_accepted++;
        FUZZ_REQUIRE(oxl_move_print(&m, "switch", &printed, NULL) == 0);
        FUZZ_REQUIRE(oxl_move_parse(printed, algo, &n, NULL) == 0);
        FUZZ_REQUIRE(oxl_move_print(&n, "switch", &again, NULL) == 0);
        FUZZ_REQUIRE(strcmp(printed, again) == 0);
        FUZZ_REQUIRE(oxl_kept_parse(printed, algo, &kept, NULL) == 0);
        FUZZ_REQUIRE(oxl_kept_any(&kept) == oxl_kept_any(&m.local_record));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        cleanup_free char *body = fuzz_text(data, size);
        check_commit(body, OXL_ALGO_BLAKE3);
        check_commit(body, OXL_ALGO_XXH3_128);
        check_restore(body);
        check_move(body, OXL_ALGO_BLAKE3);
        check_move(body, OXL_ALGO_XXH3_128);
        return 0;
}

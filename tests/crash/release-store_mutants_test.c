/* SPDX-License-Identifier: MIT */
/* Mistakes that the store could make, one at a time: each must be caught by a workload, by name; or the lab has a hole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "crash/storelab.h"

static const struct {
        const char *name;
        enum oxl_mutant mutant;
        const char *by, *promise;
        bool kills;
        unsigned failing_sync;
} mutants[] = {
        { "acknowledged before the last barrier", OXL_MUTANT_ACK_BEFORE_BARRIER, "commit -a", "O", false, 0 },
        { "the same, of a setting", OXL_MUTANT_ACK_BEFORE_BARRIER, "config", "O2", false, 0 },
        { "the same, of a tag", OXL_MUTANT_ACK_BEFORE_BARRIER, "tag", "O2", false, 0 },
        { "intent after the renames", OXL_MUTANT_INTENT_AFTER_RENAMES, "commit -a", "O4", false, 0 },
        { "done before the ref", OXL_MUTANT_DONE_BEFORE_REF, "commit -a", "O5", false, 0 },
        { "ref before the objects' barrier", OXL_MUTANT_REF_BEFORE_OBJECTS, "commit -a", "O", false, 0 },
        { "index after the ref, not synced", OXL_MUTANT_INDEX_AFTER_REF, "commit -a", "O4", false, 0 },
        { "index of add before its objects", OXL_MUTANT_ADD_WITHOUT_BARRIER, "add", "O5", false, 0 },
        { "found objects are not marked", OXL_MUTANT_NO_FOUND_MARK, "add after a killed add", "O5", false, 0 },
        { "journal in DELETE mode", OXL_MUTANT_JOURNAL_DELETE, "commit on NFS", "O4", false, 0 },
        { "restore without an intent", OXL_MUTANT_RESTORE_WITHOUT_INTENT, "restore", "O3", false, 0 },
        { "no directory sync", OXL_MUTANT_NO_DIR_FSYNC, "commit -a", "O", false, 0 },
        { "no file sync", OXL_MUTANT_NO_FILE_FSYNC, "commit -a", "O", false, 0 },
        { "no sync of ancestors", OXL_MUTANT_NO_ANCESTOR_FSYNC, "tag", "O2", false, 0 },
        { "recovery: no barrier", OXL_MUTANT_RECOVERY_WITHOUT_BARRIER, "recover: pack named", "O", false, 0 },
        { "recovery: outcome first", OXL_MUTANT_RECOVERY_DONE_FIRST, "recover: pack named", "O", false, 0 },
        { "recovery: bytes not synced again", OXL_MUTANT_NO_REOPEN_FSYNC, "recover: pack copied back", "O", false, 0 },
        { "add: index believed", OXL_MUTANT_ADD_BELIEVES_INDEX, "add after an add killed late", "O2", false, 0 },
        { "recovery: restored files believed", OXL_MUTANT_RESTORE_BELIEVES_FILES, "restore", "O", true, 0 },
        { "recovery: files of a switch believed", OXL_MUTANT_MOVE_BELIEVES_FILES, "switch", "O", true, 0 },
        { "recovery: removed files believed", OXL_MUTANT_MOVE_BELIEVES_FILES, "rm", "O", true, 0 },
        { "intent before found objects are durable", OXL_MUTANT_INTENT_BEFORE_FOUND, "commit after a killed add", "O",
          false, 0 },
        { "recovery: intent believed", OXL_MUTANT_RECOVERY_BELIEVES_JOURNAL, "recover: intent written", "O4", false,
          0 },
        { "undo: no barrier", OXL_MUTANT_ROLLBACK_WITHOUT_BARRIER, "recover: undo", "O3", false, 0 },
        { "a failed sync is tried again", OXL_MUTANT_RETRY_FSYNC, "commit, one sync fails", "O", false, 1 },
        { "journal: a failed sync's cache is kept", OXL_MUTANT_JOURNAL_KEEPS_CACHE, "commit, its intent's sync fails",
          "O4", false, 0 },
        { "recovery: a failed sync's cache is kept", OXL_MUTANT_RECOVERY_BELIEVES_WAL,
          "commit, its intent's sync fails", "O4", true, 0 },
        { "gc: names in trash are not durable", OXL_MUTANT_TRASH_WITHOUT_BARRIER, "gc", "O2", false, 0 },
        { "repair: quarantine not durable", OXL_MUTANT_QUARANTINE_WITHOUT_BARRIER, "repair: blob", "O2", false, 0 },
};

/* The line of the mistake shows it again; the same line without the mistake shows a sound program. */
static bool replays(const char *line)
{
        char *text = NULL, sound[4096];
        size_t n = 0;
        FILE *out = open_memstream(&text, &n);
        if (!out)
                return false;
        bool ok = lab_replay(line, out) == 1;
        const char *from = strstr(line, "/mutant "), *to = from ? strchr(from + 1, '/') : NULL;
        ok = ok && to && snprintf(sound, sizeof sound, "%.*s%s", (int)(from - line), line, to) < (int)sizeof sound;
        /* it may have other operations then, and no such crash */
        ok = ok && lab_replay(sound, out) != 1;
        (void)fclose(out);
        ok = ok && strstr(text, "what the next process finds");
        free(text);
        return ok;
}

static void each_mutant_is_caught(void **state)
{
        unsigned survivors = 0, unheard = 0;
        for (size_t i = 0; i < OXL_ARRAY_LEN(mutants); i++) {
                const struct lab_workload *w = lab_find(mutants[i].by);
                assert_non_null(w);
                struct lab_plan plan = {
                        .mutant = mutants[i].mutant,
                        .stop_at_first = true,
                        .kills = mutants[i].kills,
                        .sample = 1,
                        .failing_sync = mutants[i].failing_sync,
                };
                struct lab_result r = lab_run(w, &plan);
                const char *seen = r.first ? r.first : r.ran ? "nothing" : "the workload failed";
                bool caught = strncmp(seen, mutants[i].promise, strlen(mutants[i].promise)) == 0;
                print_message("%s %-38s by '%s' after %llu states: %s\n", caught ? "caught  " : "SURVIVES",
                              mutants[i].name, w->name, (unsigned long long)r.states, seen);
                survivors += !caught;
                char line[4096] = "";
                if (r.line)
                        snprintf(line, sizeof line, "%s", r.line);
                bool again = line[0] && replays(line);
                if (caught && !again)
                        print_message("NO REPLAY %s\n", line);
                unheard += caught && !again;
        }
        assert_int_equal(survivors, 0);
        assert_int_equal(unheard, 0);
}

/* --- two at once --------------------------------------------------------------------------------------------------- */

/* The moment when our folder is ready, and somebody else begins and ends. */
static int rename_of_a_slow_process(int fromfd, const char *from, int tofd, const char *to, unsigned flags)
{
        const char *name = strrchr(to, '/');
        if (strcmp(name ? name + 1 : to, ".oxen-lite") == 0) {
                oxl_sys = &modelfs_sys;
                if (!lab_init())
                        abort();
        }
        return modelfs_sys.renameat2(fromfd, from, tofd, to, flags);
}

/* The error of the slower of two inits; it had better be that the faster one was there first. */
static enum oxl_code loser_of_two_inits(enum oxl_mutant mutant)
{
        struct modelfs *fs = modelfs_new(MODELFS_P0);
        modelfs_mount(fs);
        assert_true(modelfs_put_dir(LAB_TREE));
        struct oxl_sys table = modelfs_sys;
        table.renameat2 = rename_of_a_slow_process;
        oxl_sys = &table;
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        oxl_mutant = mutant;
        assert_true(oxl_repo_init(LAB_TREE, OXL_ALGO_BLAKE3, &err) < 0);
        oxl_mutant = OXL_MUTANT_NONE;
        struct oxl_repo *r = lab_open();
        assert_non_null(r);
        oxl_repo_close(r);
        modelfs_free(fs);
        return err.code;
}

static void sweeping_the_living_is_caught(void **state)
{
        assert_int_equal(loser_of_two_inits(OXL_MUTANT_NONE), OXL_E_REPO_EXISTS);
        assert_int_not_equal(loser_of_two_inits(OXL_MUTANT_EVERYBODY_IS_DEAD), OXL_E_REPO_EXISTS);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_mutant_is_caught),
                cmocka_unit_test(sweeping_the_living_is_caught),
        };
        lab_begin();
        return cmocka_run_group_tests(tests, NULL, NULL);
}

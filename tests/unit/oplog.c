/* SPDX-License-Identifier: MIT */
/* What operations record: edits there and back, in the intent and in blobs; bodies that are damaged; undo by the library. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <oxenlite/verbs.h>

#include "repo/move.h"
#include "support/scratch.h"

struct place {
        struct scratch dir;
        struct oxl_repo *repo;
};

static void place_new(struct place *p)
{
        oxl_digest_setup();
        scratch_new(&p->dir);
        assert_int_equal(oxl_repo_init(p->dir.path, OXL_ALGO_BLAKE3, NULL), 0);
        assert_int_equal(oxl_repo_open(p->dir.path, NULL, &p->repo, NULL), 0);
}

static void place_done(struct place *p)
{
        oxl_repo_close(p->repo);
        scratch_done(&p->dir);
}

static void add_all(struct place *p)
{
        const char *path = "";
        struct oxl_add_options options = { .all = true };
        struct oxl_add_result result;
        assert_int_equal(oxl_repo_add(p->repo, &path, 1, &options, &result, NULL), 0);
}

static struct oxl_digest commit(struct place *p)
{
        struct oxl_commit_options options = { .message = "m", .author = "A <a@example.org>", .all = true };
        struct oxl_commit_result result;
        assert_int_equal(oxl_repo_commit(p->repo, &options, &result, NULL), 0);
        return result.commit;
}

static struct oxl_state state_of_text(const char *text)
{
        return (struct oxl_state){ OXL_ENTRY_FILE, strlen(text), oxl_digest_of(OXL_ALGO_BLAKE3, text, strlen(text)) };
}

static const struct oxl_state absent = { .kind = OXL_ENTRY_NONE };

static void fill(struct oxl_edits *e, size_t n)
{
        struct oxl_state one = state_of_text("one"), two = state_of_text("two");
        for (size_t i = 0; i < n; i++) {
                char path[64];
                int len = snprintf(path, sizeof path, "folder/%06zu", i);
                assert_int_equal(oxl_edits_add(e, path, (size_t)len, i % 3 ? &one : &absent,
                                               i % 3 == 1 ? &one
                                               : i % 2    ? &two
                                                          : &absent,
                                               NULL),
                                 0);
        }
}

/* Writes @n edits and reads them back; *ret_blobs says where they were. */
static void there_and_back(struct place *p, size_t n, size_t *ret_blobs)
{
        struct oxl_edits out = OXL_EDITS_INIT, in = OXL_EDITS_INIT;
        struct oxl_edits_record record;
        struct oxl_objects *o;
        struct oxl_put *put;
        fill(&out, n);
        assert_int_equal(oxl_repo_begin_write(p->repo, NULL), 0);
        assert_int_equal(oxl_repo_objects(p->repo, &o, NULL), 0);
        assert_int_equal(oxl_put_begin(o, &put, NULL), 0);
        assert_int_equal(oxl_edits_write_all(&out, put, &record, NULL), 0);
        assert_int_equal(oxl_put_finish(put, NULL), 0);
        assert_int_equal(oxl_put_publish(put, NULL), 0);
        oxl_put_free(put);
        oxl_objects_rescan(o);
        assert_int_equal(oxl_edits_read(&in, o, OXL_ALGO_BLAKE3, &record, NULL), 0);
        assert_int_equal(in.n, out.n);
        for (size_t i = 0; i < n; i++) {
                assert_string_equal(in.at[i].path, out.at[i].path);
                assert_true(oxl_state_equal(&in.at[i].old, &out.at[i].old));
                assert_true(oxl_state_equal(&in.at[i].new_, &out.at[i].new_));
                assert_int_equal(in.at[i].new_.size, out.at[i].new_.size);
        }
        *ret_blobs = record.n_blobs;
        oxl_edits_record_done(&record);
        oxl_edits_done(&out);
        oxl_edits_done(&in);
        oxl_repo_end_write(p->repo);
}

static void edits_lie_in_the_intent_or_in_blobs(void **state)
{
        struct place p;
        size_t blobs;
        (void)state;
        place_new(&p);
        there_and_back(&p, 0, &blobs);
        assert_int_equal(blobs, 0);
        there_and_back(&p, 20, &blobs);
        assert_int_equal(blobs, 0);
        there_and_back(&p, 200, &blobs);
        assert_int_equal(blobs, 1);
        there_and_back(&p, 100000, &blobs);
        assert_true(blobs > 1);
        place_done(&p);
}

static void the_last_edit_of_a_path_stays(void **state)
{
        struct oxl_edits e = OXL_EDITS_INIT;
        struct oxl_state one = state_of_text("one"), two = state_of_text("two");
        (void)state;
        assert_int_equal(oxl_edits_add(&e, "b", 1, &absent, &one, NULL), 0);
        assert_int_equal(oxl_edits_add(&e, "a", 1, &absent, &one, NULL), 0);
        assert_int_equal(oxl_edits_add(&e, "b", 1, &absent, &two, NULL), 0);
        assert_int_equal(oxl_edits_sort(&e, NULL), 0);
        assert_int_equal(e.n, 2);
        assert_string_equal(e.at[0].path, "a");
        assert_true(oxl_state_equal(&oxl_edits_find(&e, "b", 1)->new_, &two));
        assert_null(oxl_edits_find(&e, "c", 1));
        oxl_edits_reverse(&e);
        assert_true(oxl_state_equal(&e.at[1].old, &two));
        oxl_edits_done(&e);
}

static void edits_that_are_malformed_are_refused(void **state)
{
        static const char *const texts[] = {
                "0",          /* half a byte */
                "00",         /* cut short */
                "0000000100", /* no path */
                "0400000100", /* no state */
                "2000000100"
                "61", /* unknown flag */
                "0001000100"
                "61", /* shares more than there is */
                "0000000300"
                "2e2e2f",     /* ".." and an empty component */
                "0000000000", /* an empty path */
                "1400000100"
                "61", /* "the same" of another kind */
        };
        struct place p;
        struct oxl_objects *o;
        (void)state;
        place_new(&p);
        assert_int_equal(oxl_repo_objects(p.repo, &o, NULL), 0);
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
                struct oxl_edits e = OXL_EDITS_INIT;
                char hex[64];
                snprintf(hex, sizeof hex, "%s", texts[i]);
                struct oxl_edits_record record = { .hex = hex };
                if (oxl_edits_read(&e, o, OXL_ALGO_BLAKE3, &record, NULL) != -OXL_E_JOURNAL_DAMAGED)
                        fail_msg("'%s' was accepted", texts[i]);
                oxl_edits_done(&e);
        }
        place_done(&p);
}

#define ID "1111111111111111111111111111111111111111111111111111111111111111"
#define BEGIN "{\"schema\":\"oxen-lite.intent/1\",\"verb\":\"switch\","
#define END "\"worktree\":true,\"force\":false}"

static int parse(const char *body)
{
        struct oxl_move m;
        int k = oxl_move_parse(body, OXL_ALGO_BLAKE3, &m, NULL);
        if (k == 0)
                oxl_move_done(&m);
        return k;
}

static void bodies_of_moves_are_checked(void **state)
{
        (void)state;
        assert_int_equal(parse(BEGIN END), 0);
        assert_int_equal(parse(BEGIN "\"head\":{\"old\":\"refs/heads/main\",\"new\":\"" ID "\"}," END), 0);
        assert_int_equal(parse(BEGIN "\"ref\":{\"name\":\"refs/tags/t\",\"old\":null,\"new\":\"" ID "\"}," END), 0);
        assert_int_equal(
                parse(BEGIN "\"index\":{\"old\":null,\"new\":\"" ID "\",\"from_trees\":true,\"edits\":\"\"}," END), 0);
        assert_int_equal(parse("{\"schema\":\"oxen-lite.intent/1\",\"verb\":\"restore\"}"), 1);
        static const char *const bad[] = {
                "",
                "{}",
                BEGIN "\"worktree\":true}",
                "{\"schema\":\"oxen-lite.intent/2\",\"verb\":\"switch\"," END,
                BEGIN "\"head\":{\"old\":\"refs/heads/main\"}," END,
                BEGIN "\"head\":{\"old\":\"refs/heads/../a\",\"new\":\"refs/heads/b\"}," END,
                BEGIN "\"head\":{\"old\":\"refs/tags/main\",\"new\":\"refs/heads/b\"}," END,
                BEGIN "\"ref\":{\"name\":\"refs/other/t\",\"old\":null,\"new\":null}," END,
                BEGIN "\"ref\":{\"name\":\"HEAD\",\"old\":null,\"new\":null}," END,
                BEGIN "\"ref\":{\"name\":\"refs/tags/t\",\"old\":\"x\",\"new\":null}," END,
                BEGIN "\"index\":{\"old\":null,\"new\":null,\"edits\":\"\"}," END,
                BEGIN "\"index\":{\"old\":null,\"new\":null,\"from_trees\":true,\"edits\":[\"x\"]}," END,
                BEGIN "\"index\":{\"old\":null,\"new\":null,\"from_trees\":true,\"edits\":[]}," END,
                BEGIN "\"index\":{\"old\":null,\"new\":null,\"from_trees\":true}," END,
        };
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
                if (parse(bad[i]) >= 0)
                        fail_msg("accepted: %s", bad[i]);
}

static int count_operations(void *ctx, const struct oxl_operation_info *op, struct oxl_error *err)
{
        int *n = ctx;
        (void)err;
        assert_true(op->undoable);
        (*n)++;
        return 0;
}

static void a_commit_is_taken_back_and_made_again(void **state)
{
        struct place p;
        struct oxl_head head;
        struct oxl_undo_result undone;
        int n = 0;
        (void)state;
        place_new(&p);
        scratch_write(p.dir.fd, "a", "1");
        add_all(&p);
        struct oxl_digest first = commit(&p);
        scratch_write(p.dir.fd, "a", "2");
        struct oxl_digest second = commit(&p);
        assert_int_equal(oxl_repo_undo(p.repo, 0, NULL, &undone, NULL), 0);
        assert_string_equal(undone.verb, "commit");
        assert_int_equal(oxl_repo_head(p.repo, &head, NULL), 0);
        assert_true(oxl_digest_equal(&head.commit, &first));
        oxl_head_done(&head);
        assert_int_equal(oxl_repo_undo(p.repo, 0, NULL, &undone, NULL), 0);
        assert_int_equal(oxl_repo_head(p.repo, &head, NULL), 0);
        assert_true(oxl_digest_equal(&head.commit, &second));
        oxl_head_done(&head);
        assert_int_equal(oxl_repo_operations(p.repo, 0, count_operations, &n, NULL), 0);
        assert_int_equal(n, 5);
        assert_int_equal(oxl_repo_undo(p.repo, 2, NULL, &undone, NULL), -OXL_E_UNDO_REFUSED);
        assert_int_equal(oxl_repo_undo(p.repo, 77, NULL, &undone, NULL), -OXL_E_OPERATION_NOT_FOUND);
        place_done(&p);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(edits_lie_in_the_intent_or_in_blobs),
                cmocka_unit_test(the_last_edit_of_a_path_stays),
                cmocka_unit_test(edits_that_are_malformed_are_refused),
                cmocka_unit_test(bodies_of_moves_are_checked),
                cmocka_unit_test(a_commit_is_taken_back_and_made_again),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}

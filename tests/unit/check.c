/* SPDX-License-Identifier: MIT */
/* fsck: what each problem looks like from outside, beside running writers, on repositories that open refuses. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "objects/commit.h"
#include "objects/loose.h"
#include "objects/pack.h"
#include "objects/tree_internal.h"
#include "repo/repo.h"
#include "support/checked.h"
#include "support/fault.h"
#include "support/place.h"

static int setup(void **state)
{
        struct checked *k = calloc(1, sizeof *k);
        checked_new(k, OXL_ALGO_BLAKE3);
        *state = k;
        return 0;
}

static int teardown(void **state)
{
        checked_free(*state);
        free(*state);
        return 0;
}

#define expect_only(k, problem, where)                                          \
        do {                                                                    \
                if (checked_count(k, problem, where) != 1 || (k)->n_found != 1) \
                        checked_print(k);                                       \
                assert_int_equal(checked_count(k, problem, where), 1);          \
                assert_int_equal((k)->n_found, 1);                              \
        } while (0)

static void run(struct checked *k)
{
        assert_int_equal(checked_run(k), 0);
}

static void flip(struct checked *k, const char *path, size_t byte)
{
        size_t n;
        char *bytes = place_read(k->root, path, &n);
        assert_true(byte < n);
        bytes[byte] = (char)(bytes[byte] ^ 1);
        char *full = place_path(k->root, path);
        chmod(full, 0644);
        free(full);
        place_write(k->root, path, bytes, n);
        free(bytes);
}

static void drop(struct checked *k, const char *path)
{
        char *full = place_path(k->root, path);
        assert_int_equal(unlink(full), 0);
        free(full);
}

/* The @i-th file below @prefix. */
static char *nth(struct checked *k, const char *prefix, size_t i)
{
        char **files = checked_files(k, prefix);
        size_t n = 0;
        while (files[n])
                n++;
        assert_true(i < n);
        char *path = strdup(files[i]);
        checked_files_free(files);
        return path;
}

/* Offset of the first record of this kind and copy in a pack that has one. */
static char *find_record(struct checked *k, enum oxl_kind kind, uint16_t flags, struct oxl_pack_entry *ret)
{
        struct oxl_repo *r;
        struct oxl_error err = OXL_ERROR_INIT;
        char **files = checked_files(k, "versions/packs/");
        char *found = NULL;
        assert_int_equal(oxl_repo_open(k->place, NULL, &r, &err), 0);
        for (char **f = files; *f && !found; f++) {
                struct oxl_pack *p;
                struct oxl_digest id;
                char hex[65] = { 0 };
                if (!strstr(*f, ".pack"))
                        continue;
                memcpy(hex, *f + strlen("versions/packs/"), 64);
                assert_true(oxl_digest_parse(OXL_ALGO_BLAKE3, hex, &id));
                assert_int_equal(oxl_pack_open(r->root_fd, *f, &id, &r->format.id, r->format.blob_algo, &p, &err), 0);
                assert_int_equal(oxl_pack_load_index(p, &err), 0);
                for (uint64_t i = 0; i < oxl_pack_entries(p) && !found; i++) {
                        oxl_pack_entry_at(p, i, ret);
                        if (ret->kind == kind && ret->flags == flags)
                                found = strdup(*f);
                }
                oxl_pack_free(p);
        }
        checked_files_free(files);
        oxl_repo_close(r);
        assert_non_null(found);
        return found;
}

static void a_sound_repository_has_no_findings_and_is_counted(void **state)
{
        struct checked *k = *state;
        run(k);
        checked_print(k);
        assert_int_equal(k->n_found, 0);
        assert_int_equal(k->result.findings + k->result.notes + k->result.unreadable, 0);
        assert_int_equal(k->result.commits, 2);
        assert_int_equal(k->result.refs, 3);
        assert_int_equal(k->result.unreachable, 0);
        /* 4 + 2 + 1 blobs; per commit one commit, the root, and "folder", which both share */
        assert_int_equal(k->result.objects, 7 + 2 + 2 + 1);
        assert_true(k->result.bytes > 3000);
        assert_false(k->result.pending);
}

static void quick_finds_no_fault_in_a_sound_repository_and_skips_blobs(void **state)
{
        struct checked *k = *state;
        char *blob = nth(k, "versions/files/", 0);
        k->quick = true;
        run(k);
        assert_int_equal(k->n_found, 0);
        flip(k, blob, 5);
        run(k);
        assert_int_equal(k->n_found, 0);
        drop(k, blob);
        run(k);
        expect_only(k, OXL_P_BLOB_MISSING, blob);
        free(blob);
}

static void a_repository_of_xxh3_blobs_is_sound_and_a_flipped_bit_is_found(void **state)
{
        struct checked k;
        (void)state;
        checked_new(&k, OXL_ALGO_XXH3_128);
        char *blob = nth(&k, "versions/files/", 0);
        run(&k);
        assert_int_equal(k.n_found, 0);
        flip(&k, blob, 5);
        run(&k);
        assert_int_equal(checked_count(&k, OXL_P_BLOB_DAMAGED, blob), 1);
        assert_int_equal(checked_count(&k, OXL_P_BLOB_MISSING, blob), 1);
        free(blob);
        checked_free(&k);
}

static void no_repository_is_an_error(void **state)
{
        struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_check_result result;
        char *place = place_new();
        (void)state;
        assert_int_equal(oxl_check_run(place, NULL, NULL, NULL, NULL, &result, &err), -OXL_E_REPO_NOT_FOUND);
        oxl_error_done(&err);
        place_free(place);
}

static void the_repository_of_another_user_is_refused_unless_trusted(void **state)
{
        struct checked *k = *state;
        if (geteuid() != 0) {
                print_message("NOT TRIED: the repository of another user: only root can give it away\n");
                skip();
        }
        assert_int_equal(lchown(k->root, 12345, 12345), 0);
        assert_int_equal(checked_run(k), -OXL_E_REPO_UNTRUSTED);
        k->options.trust = true;
        run(k);
        assert_true(checked_count(k, OXL_P_OWNER_DIFFERS, "HEAD") == 1);
        assert_int_equal(checked_count(k, OXL_P_OWNER_DIFFERS, NULL), k->n_found);
}

static void a_damaged_blob_is_told_with_the_paths_that_need_it(void **state)
{
        struct checked *k = *state;
        char *blob = nth(k, "versions/files/", 0);
        flip(k, blob, 100);
        run(k);
        const struct checked_finding *f = checked_first(k, OXL_P_BLOB_MISSING);
        assert_non_null(f);
        assert_int_equal(checked_count(k, OXL_P_BLOB_DAMAGED, blob), 1);
        assert_string_equal(checked_first(k, OXL_P_BLOB_DAMAGED)->verdict, "media");
        assert_non_null(strstr(f->affects, ":large-"));
        assert_true(f->affects_total == 1 || f->affects_total == 2);
        assert_int_equal(k->n_found, 2);
        free(blob);
}

static void a_good_duplicate_leaves_only_the_damaged_file(void **state)
{
        struct checked *k = *state;
        struct oxl_pack_entry e;
        char path[OXL_LOOSE_PATH_MAX], *pack = find_record(k, OXL_KIND_BLOB, 0, &e);
        size_t n;
        char *bytes = place_read(k->root, pack, &n);
        char text[OXL_DIGEST_TEXT_MAX], dir[OXL_LOOSE_PATH_MAX] = "versions/files/";
        oxl_digest_text(&e.id, text);
        strncat(dir, text, 2);
        place_mkdir(k->root, dir);
        strncat(dir, "/", 2);
        strncat(dir, text + 2, 62);
        place_mkdir(k->root, dir);
        oxl_loose_path(&e.id, path);
        place_write(k->root, path, bytes + e.offset + OXL_PACK_RECORD_BYTES, e.raw_len);
        free(bytes);
        flip(k, pack, e.offset + OXL_PACK_RECORD_BYTES);
        run(k);
        expect_only(k, OXL_P_RECORD_DAMAGED, pack);
        assert_string_equal(k->found[0].object, text);
        free(pack);
}

static void one_bad_copy_of_a_tree_or_commit_is_a_warning_and_both_are_a_loss(void **state)
{
        struct checked *k = *state;
        const enum oxl_kind kinds[] = { OXL_KIND_TREE, OXL_KIND_COMMIT };
        struct oxl_pack_entry a, b;
        for (int i = 0; i < 2; i++) {
                char *one = find_record(k, kinds[i], 0, &a), *two = find_record(k, kinds[i], OXL_PACK_SECOND_COPY, &b);
                assert_string_equal(one, two);
                assert_true(oxl_digest_equal(&a.id, &b.id));
                flip(k, one, a.offset + OXL_PACK_RECORD_BYTES + 9);
                run(k);
                expect_only(k, OXL_P_METADATA_COPY, one);
                flip(k, one, b.offset + OXL_PACK_RECORD_BYTES + 9);
                run(k);
                assert_int_equal(checked_count(k, OXL_P_RECORD_DAMAGED, one), 2);
                if (kinds[i] == OXL_KIND_TREE)
                        assert_int_equal(checked_count(k, OXL_P_TREE_DAMAGED, NULL), 1);
                else
                        assert_true(checked_count(k, OXL_P_REF_DANGLING, NULL) +
                                            checked_count(k, OXL_P_COMMIT_DAMAGED, NULL) >
                                    0);
                flip(k, one, a.offset + OXL_PACK_RECORD_BYTES + 9);
                flip(k, one, b.offset + OXL_PACK_RECORD_BYTES + 9);
                free(one);
                free(two);
        }
}

static void a_damaged_record_header_does_not_make_the_content_missing(void **state)
{
        struct checked *k = *state;
        struct oxl_pack_entry e;
        char *pack = find_record(k, OXL_KIND_BLOB, 0, &e);
        flip(k, pack, e.offset + 70);
        run(k);
        expect_only(k, OXL_P_RECORD_DAMAGED, pack);
        assert_non_null(strstr(k->found[0].detail, "its content is whole"));
        free(pack);
}

static void a_ref_to_a_commit_that_is_nowhere_dangles(void **state)
{
        struct checked *k = *state;
        struct oxl_repo *r;
        struct oxl_buf text = OXL_BUF_INIT;
        struct oxl_digest id = oxl_digest_of(OXL_ALGO_BLAKE3, "x", 1);
        assert_int_equal(oxl_repo_open(k->place, NULL, &r, NULL), 0);
        assert_int_equal(oxl_ref_print(&r->format.id, "refs/heads/lost", &id, &text, NULL), 0);
        place_write(k->root, "refs/heads/lost", text.data, text.len);
        oxl_buf_done(&text);
        oxl_repo_close(r);
        run(k);
        expect_only(k, OXL_P_REF_DANGLING, "refs/heads/lost");
}

static void a_lost_pack_is_told_by_what_is_missing(void **state)
{
        struct checked *k = *state;
        struct oxl_pack_entry e;
        char *pack = find_record(k, OXL_KIND_COMMIT, 0, &e);
        drop(k, pack);
        run(k);
        assert_true(checked_count(k, OXL_P_REF_DANGLING, NULL) > 0);
        assert_int_equal(k->result.unreadable, 0);
        free(pack);
}

static void a_missing_parent_names_its_child_and_a_missing_tree_its_place(void **state)
{
        struct checked *k = *state;
        char **files = checked_files(k, "versions/packs/");
        size_t parents = 0, trees = 0;
        for (char **f = files; *f; f++) {
                size_t n;
                if (!strstr(*f, ".pack"))
                        continue;
                char *bytes = place_read(k->root, *f, &n);
                drop(k, *f);
                run(k);
                assert_true(k->n_found > 0);
                const struct checked_finding *c = checked_first(k, OXL_P_COMMIT_MISSING);
                const struct checked_finding *t = checked_first(k, OXL_P_TREE_MISSING);
                parents += c && strstr(c->affects, ":parent\nrefs/heads/main\n");
                trees += t && strstr(t->affects, ":folder/\n");
                place_write(k->root, *f, bytes, n);
                free(bytes);
        }
        checked_files_free(files);
        assert_int_equal(parents, 1);
        assert_int_equal(trees, 1);
        run(k);
        assert_int_equal(k->n_found, 0);
}

static void a_lost_branch_is_known_from_the_operation_log(void **state)
{
        struct checked *k = *state;
        drop(k, "refs/heads/main");
        run(k);
        assert_int_equal(checked_count(k, OXL_P_REF_MISSING, "refs/heads/main"), 1);
        drop(k, "journal.db");
        run(k);
        assert_int_equal(checked_count(k, OXL_P_JOURNAL_MISSING, "journal.db"), 1);
        assert_int_equal(checked_count(k, OXL_P_REF_MISSING, "refs/heads/main"), 1); /* the index tells */
}

static void every_pass_runs_without_a_usable_format_file(void **state)
{
        struct checked *k = *state;
        char *blob = nth(k, "versions/files/", 0);
        place_text(k->root, "format", "nothing of use\n");
        run(k);
        expect_only(k, OXL_P_FORMAT_DAMAGED, "format");
        assert_int_equal(k->result.commits, 2);
        drop(k, "format");
        flip(k, "HEAD", 3);
        flip(k, blob, 3);
        run(k);
        assert_int_equal(checked_count(k, OXL_P_FORMAT_MISSING, "format"), 1);
        assert_int_equal(checked_count(k, OXL_P_HEAD_DAMAGED, "HEAD"), 1);
        assert_int_equal(checked_count(k, OXL_P_BLOB_DAMAGED, blob), 1);
        assert_int_equal(k->n_found, 4); /* and the blob is missing */
        free(blob);
}

static void the_format_file_of_another_repository_is_found(void **state)
{
        struct checked *k = *state;
        struct checked other;
        size_t n;
        checked_new(&other, OXL_ALGO_BLAKE3);
        char *bytes = place_read(other.root, "format", &n);
        place_write(k->root, "format", bytes, n);
        free(bytes);
        checked_free(&other);
        run(k);
        expect_only(k, OXL_P_FORMAT_DAMAGED, "format");
        assert_int_equal(k->result.commits, 2);
}

static void a_lookup_that_is_sealed_but_wrong_is_found(void **state)
{
        struct checked *k = *state;
        struct oxl_repo *r;
        struct oxl_hasher h;
        struct oxl_digest seal;
        size_t n;
        char *bytes = place_read(k->root, "versions/packs/lookup", &n);
        assert_int_equal(oxl_repo_open(k->place, NULL, &r, NULL), 0);
        bytes[n - 32 - 8] = (char)(bytes[n - 32 - 8] + 8); /* the offset of the last entry */
        oxl_seal_begin(&h, "lookup", &r->format.id, "versions/packs/lookup");
        oxl_hasher_update(&h, bytes, n - 32);
        oxl_hasher_final(&h, &seal);
        memcpy(bytes + n - 32, seal.bytes, 32);
        oxl_repo_close(r);
        place_write(k->root, "versions/packs/lookup", bytes, n);
        free(bytes);
        run(k);
        expect_only(k, OXL_P_LOOKUP_DAMAGED, "versions/packs/lookup");
}

static void an_edited_config_is_not_called_damaged(void **state)
{
        struct checked *k = *state;
        size_t n;
        char *text = place_read(k->root, "config.json", &n), *digit = strstr(text, "1000");
        assert_non_null(digit);
        digit[0] = '2';
        place_write(k->root, "config.json", text, n);
        free(text);
        run(k);
        expect_only(k, OXL_P_CONFIG_EDITED, "config.json");
        place_text(k->root, "config.json", "{ not json");
        run(k);
        expect_only(k, OXL_P_CONFIG_DAMAGED, "config.json");
        drop(k, "config.json");
        run(k);
        expect_only(k, OXL_P_CONFIG_MISSING, "config.json");
}

static void a_staged_blob_that_is_gone_is_told_by_its_path(void **state)
{
        struct checked *k = *state;
        uint8_t bytes[3000] = "large and staged";
        char **before = checked_files(k, "versions/files/");
        checked_add(k, "staged-large.bin", bytes, sizeof bytes);
        char **after = checked_files(k, "versions/files/"), **a = after, **b = before;
        while (*b && strcmp(*a, *b) == 0)
                a++, b++;
        drop(k, *a);
        run(k);
        expect_only(k, OXL_P_INDEX_BLOB, "index");
        assert_string_equal(k->found[0].affects, "staged-large.bin\n");
        checked_files_free(before);
        checked_files_free(after);
}

static void dead_temps_are_notes_and_strays_are_warnings(void **state)
{
        struct checked *k = *state;
        place_text(k->root, "versions/tmp/x.oxl-0123456789abcdef-0123456789abcdef.tmp", "half");
        run(k);
        expect_only(k, OXL_P_TEMP_DEAD, "versions/tmp/x.oxl-0123456789abcdef-0123456789abcdef.tmp");
        assert_int_equal(k->result.notes, 1);
        assert_int_equal(k->result.findings, 0);
        place_text(k->root, "readme", "hello");
        run(k);
        assert_int_equal(checked_count(k, OXL_P_STRAY, "readme"), 1);
        assert_int_equal(k->result.findings, 1);
}

static void a_missing_folder_is_found(void **state)
{
        struct checked *k = *state;
        char *dir = place_path(k->root, "versions/tmp");
        assert_int_equal(rmdir(dir), 0);
        free(dir);
        run(k);
        expect_only(k, OXL_P_STRUCTURE, "versions/tmp");
}

/* Stages an intent whose operation makes a branch, and ends without an outcome when @wait_fd says so. */
static void stage_and_die(struct checked *k, int ready_fd, int wait_fd)
{
        struct oxl_repo *r;
        int64_t id;
        char byte = 0;
        const struct oxl_operation op = { .verb = "commit", .ref = "refs/heads/new", .new_id = "1", .note = "" };
        if (oxl_repo_open(k->place, NULL, &r, NULL) < 0 || oxl_repo_begin_write(r, NULL) < 0 ||
            oxl_journal_stage(r->journal, oxl_owner_number(r->owner), "restore", "{}", &op, &id, NULL) < 0 ||
            write(ready_fd, &byte, 1) != 1 || read(wait_fd, &byte, 1) != 1)
                _exit(1);
        _exit(0);
}

static void an_intent_waits_for_recovery_only_when_its_owner_is_dead(void **state)
{
        struct checked *k = *state;
        int ready[2], go[2], status;
        char byte = 0;
        assert_int_equal(pipe(ready) + pipe(go), 0);
        pid_t pid = fork();
        if (pid == 0)
                stage_and_die(k, ready[1], go[0]);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        run(k);
        size_t while_alive = k->n_found;
        assert_int_equal(write(go[1], &byte, 1), 1);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_int_equal(while_alive, 0);
        run(k);
        expect_only(k, OXL_P_PENDING_RECOVERY, "journal.db"); /* and the branch that was about to be is not missed */
        assert_true(k->result.pending);
        for (int i = 0; i < 2; i++) {
                close(ready[i]);
                close(go[i]);
        }
}

static void keep_nothing(struct checked *k)
{
        struct oxl_repo *r;
        assert_int_equal(oxl_repo_open(k->place, NULL, &r, NULL), 0);
        assert_int_equal(oxl_repo_config_set(r, "gc.keep_days", "0", NULL), 0);
        oxl_repo_close(r);
}

static void unreachable_objects_are_counted_and_no_finding(void **state)
{
        struct checked *k = *state;
        uint8_t bytes[2000] = "soon forgotten";
        checked_add(k, "staged.txt", bytes, sizeof bytes); /* replaces the staged blob */
        run(k);
        assert_int_equal(k->n_found, 0);
        assert_int_equal(k->result.unreachable, 0); /* undo of that add needs it */
        keep_nothing(k);
        run(k);
        assert_int_equal(k->n_found, 0);
        assert_int_equal(k->result.unreachable, 1);
}

/* Drops the files below versions/files that @before does not list. */
static void drop_new_blobs(struct checked *k, char **before)
{
        char **after = checked_files(k, "versions/files/"), **b = before;
        size_t n = 0;
        for (char **a = after; *a; a++) {
                if (*b && strcmp(*a, *b) == 0) {
                        b++;
                        continue;
                }
                drop(k, *a);
                n++;
        }
        assert_int_equal(n, 1);
        checked_files_free(after);
}

static void what_an_operation_kept_and_is_gone_is_told_with_path_and_operation(void **state)
{
        struct checked *k = *state;
        char **before = checked_files(k, "versions/files/");
        char local[3000];
        const char *const paths[] = { "a.txt" };
        const struct oxl_restore_options options = { .force = true };
        struct oxl_restore_result result;
        struct oxl_repo *r;
        memset(local, 'l', sizeof local - 1);
        local[sizeof local - 1] = 0;
        place_text(k->place, "a.txt", local);
        assert_int_equal(oxl_repo_open(k->place, NULL, &r, NULL), 0);
        assert_int_equal(oxl_repo_restore(r, paths, 1, &options, &result, NULL), 0);
        oxl_repo_close(r);
        run(k);
        assert_int_equal(k->n_found, 0);
        assert_int_equal(k->result.unreachable, 0);
        drop_new_blobs(k, before);
        run(k);
        assert_int_equal(k->n_found, 1);
        assert_int_equal(k->found[0].problem, OXL_P_KEPT_MISSING);
        assert_string_equal(k->found[0].affects, "a.txt\n");
        keep_nothing(k); /* a gc of now might have taken it */
        run(k);
        assert_int_equal(k->n_found, 0);
        checked_files_free(before);
}

static void what_undo_lacks_is_a_note_that_names_the_operation(void **state)
{
        struct checked *k = *state;
        char **before = checked_files(k, "versions/files/");
        uint8_t bytes[3000] = "staged once";
        checked_add(k, "large.bin", bytes, sizeof bytes);
        checked_add(k, "large.bin", bytes, 20);
        drop_new_blobs(k, before);
        run(k);
        expect_only(k, OXL_P_UNDO_MISSING, "journal.db");
        assert_int_equal(k->result.findings, 0);
        assert_int_equal(k->result.notes, 1);
        assert_non_null(strstr(k->found[0].affects, "operation "));
        assert_non_null(strstr(k->found[0].affects, " (add)\n"));
        checked_files_free(before);
}

static void index_pack_and_head_are_named_when_they_are_lost_or_damaged(void **state)
{
        static const char *const lost[] = { "HEAD", "index", "index.delta" };
        static const enum oxl_problem missing[] = { OXL_P_HEAD_MISSING, OXL_P_INDEX_MISSING, OXL_P_INDEX_MISSING };
        struct checked *k = *state;
        char *pack = nth(k, "versions/packs/", 0);
        for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++) {
                size_t n;
                char *bytes = place_read(k->root, lost[i], &n);
                drop(k, lost[i]);
                run(k);
                assert_int_equal(checked_count(k, (int)missing[i], lost[i]), 1);
                place_write(k->root, lost[i], bytes, n);
                free(bytes);
        }
        flip(k, pack, 3);
        flip(k, "journal.db", 3);
        run(k);
        assert_int_equal(checked_count(k, OXL_P_PACK_DAMAGED, pack), 1);
        assert_int_equal(checked_count(k, OXL_P_JOURNAL_DAMAGED, "journal.db"), 1);
        free(pack);
}

static void a_newer_format_is_neither_clean_nor_damaged(void **state)
{
        struct checked *k = *state;
        struct oxl_repo *r;
        struct oxl_buf text = OXL_BUF_INIT;
        assert_int_equal(oxl_repo_open(k->place, NULL, &r, NULL), 0);
        assert_int_equal(oxl_buf_append_fmt(&text, NULL,
                                            "oxen-lite repository 1\nid %s\nhash blake3\nincompat chunks\n"
                                            "ro_compat\ncompat\n",
                                            oxl_repo_id_text(r)),
                         0);
        assert_int_equal(oxl_seal_text(&text, "format", &r->format.id, "format", NULL), 0);
        oxl_repo_close(r);
        place_write(k->root, "format", text.data, text.len);
        oxl_buf_done(&text);
        run(k);
        expect_only(k, OXL_P_UNREADABLE, "format");
        assert_int_equal(k->result.unreadable, 1);
}

static void cancelling_stops_the_check(void **state)
{
        struct checked *k = *state;
        atomic_bool cancel;
        atomic_init(&cancel, true);
        k->options.cancel = &cancel;
        assert_int_equal(checked_run(k), -OXL_E_CANCELLED);
}

static void ids_are_the_same_in_every_run(void **state)
{
        struct checked *k = *state;
        flip(k, "HEAD", 3);
        run(k);
        char *first = strdup(k->found[0].id);
        run(k);
        assert_string_equal(k->found[0].id, first);
        assert_int_equal(strlen(first), 16);
        free(first);
}

/* --- trees that no writer of ours makes --- */

static int emit(void *ctx, const void *payload, size_t n, struct oxl_digest *ret_id, struct oxl_error *err)
{
        int r = oxl_put_object(ctx, OXL_KIND_TREE, payload, n, ret_id, err);
        return r < 0 ? r : 0;
}

/* The root tree of @files whose digests and sizes are as they say, stored through @put. */
static struct oxl_digest forge_tree(struct oxl_put *put, const struct oxl_tree_item *files, size_t n)
{
        struct oxl_tree_builder *b;
        struct oxl_digest root;
        assert_int_equal(oxl_tree_builder_new(emit, put, &b, NULL), 0);
        for (size_t i = 0; i < n; i++)
                assert_int_equal(oxl_tree_builder_add(b, files[i].path, strlen(files[i].path), files[i].kind,
                                                      files[i].size, &files[i].id, NULL),
                                 0);
        assert_int_equal(oxl_tree_builder_finish(b, &root, NULL), 0);
        oxl_tree_builder_free(b);
        return root;
}

/* A tree with one folder "sub", whose stated size is @size and whose root node is @id. */
static struct oxl_digest forge_folder(struct oxl_put *put, uint64_t size, const struct oxl_digest *id)
{
        struct oxl_buf b = OXL_BUF_INIT;
        struct oxl_digest root;
        uint8_t head[OXL_TREE_HEADER_BYTES];
        const struct oxl_tree_entry e = { "sub", 3, OXL_ENTRY_DIRECTORY, size, 0, *id };
        oxl_tree_store_header(head, 0, 1);
        assert_int_equal(oxl_buf_append(&b, head, sizeof head, NULL), 0);
        assert_int_equal(oxl_tree_append_entry(&b, 0, &e, NULL), 0);
        assert_int_equal(emit(put, b.data, b.len, &root, NULL), 0);
        oxl_buf_done(&b);
        return root;
}

/* Commits @tree to refs/heads/forged. */
static void forge_commit(struct oxl_repo *r, struct oxl_put *put, const struct oxl_digest *tree)
{
        static char author[] = "Eve <eve@example.org>", message[] = "forged";
        struct oxl_commit c = { .tree = *tree, .author = author, .message = message };
        struct oxl_buf b = OXL_BUF_INIT;
        struct oxl_digest id;
        const struct oxl_digest none = OXL_DIGEST_INIT;
        assert_int_equal(oxl_commit_encode(&c, &b, NULL), 0);
        assert_int_equal(oxl_put_object(put, OXL_KIND_COMMIT, b.data, b.len, &id, NULL), 0);
        assert_int_equal(oxl_put_finish(put, NULL), 0);
        assert_int_equal(oxl_put_publish(put, NULL), 0);
        assert_int_equal(oxl_durable_barrier(r->durable, NULL), 0);
        assert_int_equal(oxl_ref_swap(r, "refs/heads/forged", &none, &id, NULL), 0);
        oxl_buf_done(&b);
}

struct forgery {
        struct oxl_repo *r;
        struct oxl_put *put;
        struct oxl_tree_item file; /* one of HEAD's, with its right size */
};

static void forgery_begin(struct forgery *f, struct checked *k)
{
        struct oxl_objects *objects;
        struct oxl_head head;
        struct oxl_commit c = OXL_COMMIT_INIT;
        assert_int_equal(oxl_repo_open(k->place, NULL, &f->r, NULL), 0);
        assert_int_equal(oxl_repo_begin_write(f->r, NULL), 0);
        assert_int_equal(oxl_repo_objects(f->r, &objects, NULL), 0);
        assert_int_equal(oxl_repo_head(f->r, &head, NULL), 0);
        assert_int_equal(oxl_commit_read(objects, &head.commit, &c, NULL), 0);
        assert_int_equal(oxl_tree_find(objects, &c.tree, "a.txt", &f->file, NULL), 0);
        assert_int_equal(oxl_put_begin(objects, &f->put, NULL), 0);
        oxl_commit_done(&c);
        oxl_head_done(&head);
}

static void forgery_end(struct forgery *f)
{
        oxl_put_free(f->put);
        oxl_repo_close(f->r);
}

static void a_tree_that_states_another_size_than_the_blob_has_is_found(void **state)
{
        struct checked *k = *state;
        struct forgery f;
        forgery_begin(&f, k);
        struct oxl_tree_item files[] = { f.file, f.file };
        files[0].path = "here/a.txt";
        files[0].size++;
        files[1].path = "here/b.txt";
        struct oxl_digest root = forge_tree(f.put, files, 2);
        forge_commit(f.r, f.put, &root);
        forgery_end(&f);
        run(k);
        assert_int_equal(k->n_found, 1);
        const struct checked_finding *found = checked_first(k, OXL_P_SIZE_WRONG);
        assert_non_null(found);
        assert_non_null(strstr(found->affects, ":here/a.txt\n"));
        assert_int_equal(found->affects_total, 1); /* and not where its size is stated right */
}

static void a_folder_whose_size_is_not_the_sum_of_its_files_is_found(void **state)
{
        struct checked *k = *state;
        struct forgery f;
        forgery_begin(&f, k);
        f.file.path = "a.txt";
        struct oxl_digest sub = forge_tree(f.put, &f.file, 1), root = forge_folder(f.put, f.file.size + 1, &sub);
        forge_commit(f.r, f.put, &root);
        forgery_end(&f);
        run(k);
        expect_only(k, OXL_P_TREE_DAMAGED, "versions/packs");
        assert_non_null(strstr(k->found[0].affects, ":sub/\n"));
}

static void a_tree_that_leads_nowhere_is_told_with_its_path(void **state)
{
        struct checked *k = *state;
        struct forgery f;
        struct oxl_digest nowhere = oxl_digest_of(OXL_ALGO_BLAKE3, "nowhere", 7);
        forgery_begin(&f, k);
        struct oxl_digest root = forge_folder(f.put, 5, &nowhere);
        forge_commit(f.r, f.put, &root);
        forgery_end(&f);
        run(k);
        expect_only(k, OXL_P_TREE_MISSING, "versions/packs");
        assert_non_null(strstr(k->found[0].affects, ":sub/\n"));
        assert_int_equal(k->result.commits, 3);
}

static void a_large_split_folder_is_walked_and_counted_once(void **state)
{
        enum { FILES = 3000 };
        struct checked *k = *state;
        struct forgery f;
        char(*names)[16] = calloc(FILES, sizeof *names);
        struct oxl_tree_item *items = calloc(FILES, sizeof *items);
        run(k);
        uint64_t before = k->result.objects;
        forgery_begin(&f, k);
        for (size_t i = 0; i < FILES; i++) {
                snprintf(names[i], sizeof names[i], "many/%06zu", i);
                items[i] = f.file;
                items[i].path = names[i];
        }
        items[FILES - 1].id = oxl_digest_of(OXL_ALGO_BLAKE3, "lost", 4);
        struct oxl_digest root = forge_tree(f.put, items, FILES);
        forge_commit(f.r, f.put, &root);
        forgery_end(&f);
        run(k);
        assert_int_equal(k->n_found, 1);
        assert_int_equal(checked_count(k, OXL_P_BLOB_MISSING, NULL), 1);
        assert_non_null(strstr(k->found[0].affects, ":many/002999\n"));
        assert_true(k->result.objects > before + 10); /* a split folder: many nodes */
        assert_int_equal(k->result.unreachable, 0);
        free(items);
        free(names);
}

/* --- beside a writer --- */

enum { COMMITS = 30 };

static void write_commits(struct checked *k)
{
        for (int i = 0; i < COMMITS; i++) {
                char name[32], text[64];
                uint8_t bytes[1200] = { 0 };
                snprintf(name, sizeof name, "w%d.txt", i % 7);
                snprintf(text, sizeof text, "number %d", i);
                memcpy(bytes, text, strlen(text));
                checked_add(k, name, bytes, i % 3 ? strlen(text) : sizeof bytes);
                checked_commit(k, text);
        }
        _exit(0);
}

static void a_writer_at_work_is_no_finding(void **state)
{
        struct checked *k = *state;
        int status;
        unsigned runs = 0;
        pid_t pid = fork();
        if (pid == 0)
                write_commits(k);
        assert_true(pid > 0);
        for (;;) {
                pid_t done = waitpid(pid, &status, WNOHANG);
                run(k);
                runs++;
                if (k->n_found > 0)
                        checked_print(k);
                if (done == pid || k->n_found > 0)
                        break;
        }
        size_t found = k->n_found;
        if (found)
                waitpid(pid, &status, 0);
        assert_int_equal(found, 0);
        assert_int_equal(status, 0);
        assert_true(runs > 1);
        assert_int_equal(k->result.commits, 2 + COMMITS);
}

/* --- failing reads --- */

/*
 * Every call of @name fails in turn, alone or with all that follow: the check ends, calls nothing damaged, and is
 * not clean. One failure alone may pass unheard only where the object store had another way to the same bytes (the
 * lookup is derived, trees and commits are there twice), after their own passes had read all of it: then
 * everything was verified all the same.
 */
static void fail_each(struct checked *k, const char *name, int os, bool for_ever)
{
        run(k);
        k->result.extent.read_ms = 0; /* the one thing that differs from run to run */
        const struct oxl_check_result sound = k->result;
        for (unsigned n = 1;; n++) {
                const struct fault_plan plan = { .only = name, .nth = n, .os = os, .for_ever = for_ever };
                fault_install(&plan);
                int r = checked_run(k);
                bool fired = fault_remove(), damage = false;
                if (!fired)
                        break;
                bool clean = r == 0 && k->result.unreadable == 0;
                k->result.extent.read_ms = 0;
                bool all = memcmp(&sound, &k->result, sizeof sound) == 0;
                for (size_t i = 0; i < k->n_found; i++)
                        damage = damage || k->found[i].problem != OXL_P_UNREADABLE;
                if ((clean && (for_ever || !all)) || damage) {
                        fprintf(stderr, "%s number %u fails with %s: result %d\n", name, n, strerror(os), r);
                        checked_print(k);
                }
                assert_false(clean && for_ever);
                assert_false(clean && !all);
                assert_false(damage);
        }
}

static void a_failing_read_is_unreadable_never_damage_never_clean(void **state)
{
        static const char *const calls[] = { "read", "pread", "getdents", "openat2", "openat", "fstat", "fstatat" };
        struct checked *k = *state;
        unsigned before = fault_open_descriptors();
        for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
                fail_each(k, calls[i], EIO, false);
                fail_each(k, calls[i], EIO, true);
        }
        fail_each(k, "openat2", EACCES, false);
        fail_each(k, "openat2", EMFILE, true);
        assert_int_equal(fault_open_descriptors(), before);
}

static void every_problem_of_the_table_has_its_texts_and_is_found_by_its_slug(void **state)
{
        size_t n = 0;
        (void)state;
        for (int p = oxl_problem_next(0); p; p = oxl_problem_next(p), n++) {
                enum oxl_problem problem = (enum oxl_problem)p;
                assert_int_equal(oxl_problem_find(oxl_problem_slug(problem)), p);
                assert_true(oxl_problem_severity(problem) >= OXL_SEVERITY_NOTE);
                assert_true(*oxl_problem_text(problem) && *oxl_problem_cost(problem) && *oxl_problem_remedy(problem));
        }
        assert_true(n > 30);
        assert_int_equal(oxl_problem_find("no-such-problem"), 0);
}

#define with_repository(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                with_repository(a_sound_repository_has_no_findings_and_is_counted),
                with_repository(quick_finds_no_fault_in_a_sound_repository_and_skips_blobs),
                cmocka_unit_test(a_repository_of_xxh3_blobs_is_sound_and_a_flipped_bit_is_found),
                cmocka_unit_test(no_repository_is_an_error),
                with_repository(the_repository_of_another_user_is_refused_unless_trusted),
                with_repository(a_damaged_blob_is_told_with_the_paths_that_need_it),
                with_repository(a_good_duplicate_leaves_only_the_damaged_file),
                with_repository(one_bad_copy_of_a_tree_or_commit_is_a_warning_and_both_are_a_loss),
                with_repository(a_damaged_record_header_does_not_make_the_content_missing),
                with_repository(a_ref_to_a_commit_that_is_nowhere_dangles),
                with_repository(a_lost_pack_is_told_by_what_is_missing),
                with_repository(a_missing_parent_names_its_child_and_a_missing_tree_its_place),
                with_repository(a_lost_branch_is_known_from_the_operation_log),
                with_repository(every_pass_runs_without_a_usable_format_file),
                with_repository(the_format_file_of_another_repository_is_found),
                with_repository(a_lookup_that_is_sealed_but_wrong_is_found),
                with_repository(an_edited_config_is_not_called_damaged),
                with_repository(a_staged_blob_that_is_gone_is_told_by_its_path),
                with_repository(dead_temps_are_notes_and_strays_are_warnings),
                with_repository(a_missing_folder_is_found),
                with_repository(an_intent_waits_for_recovery_only_when_its_owner_is_dead),
                with_repository(unreachable_objects_are_counted_and_no_finding),
                with_repository(what_an_operation_kept_and_is_gone_is_told_with_path_and_operation),
                with_repository(what_undo_lacks_is_a_note_that_names_the_operation),
                with_repository(cancelling_stops_the_check),
                with_repository(ids_are_the_same_in_every_run),
                with_repository(a_tree_that_states_another_size_than_the_blob_has_is_found),
                with_repository(a_folder_whose_size_is_not_the_sum_of_its_files_is_found),
                with_repository(a_tree_that_leads_nowhere_is_told_with_its_path),
                with_repository(a_large_split_folder_is_walked_and_counted_once),
                with_repository(index_pack_and_head_are_named_when_they_are_lost_or_damaged),
                with_repository(a_newer_format_is_neither_clean_nor_damaged),
                with_repository(a_writer_at_work_is_no_finding),
                with_repository(a_failing_read_is_unreadable_never_damage_never_clean),
                cmocka_unit_test(every_problem_of_the_table_has_its_texts_and_is_found_by_its_slug),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}

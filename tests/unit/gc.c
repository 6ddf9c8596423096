/* SPDX-License-Identifier: MIT */
/* gc: each kind of root alone, what stops it, what comes back; merging: every object stays, packs stay few, work stays linear. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <oxenlite/check.h>
#include <oxenlite/gc.h>
#include <oxenlite/repair.h>
#include <oxenlite/verbs.h>

#include "objects/commit.h"
#include "objects/loose.h"
#include "objects/pack.h"
#include "objects/quarantine.h"
#include "objects/tree.h"
#include "repo/gc.h"
#include "repo/mark.h"
#include "repo/move.h"
#include "support/fault.h"
#include "support/place.h"

struct f {
        char *place;
        struct oxl_repo *repo;
        struct oxl_objects *objects;
};

static void open_repo(struct f *f)
{
        assert_int_equal(oxl_repo_open(f->place, NULL, &f->repo, NULL), 0);
        assert_int_equal(oxl_repo_objects(f->repo, &f->objects, NULL), 0);
}

static void reopen(struct f *f)
{
        oxl_repo_close(f->repo);
        open_repo(f);
}

static int setup(void **state)
{
        struct f *f = calloc(1, sizeof *f);
        oxl_digest_setup();
        f->place = place_new();
        assert_int_equal(oxl_repo_init(f->place, OXL_ALGO_BLAKE3, NULL), 0);
        open_repo(f);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct f *f = *state;
        oxl_repo_close(f->repo);
        place_free(f->place);
        free(f);
        return 0;
}

static void keep_days(struct f *f, const char *days)
{
        assert_int_equal(oxl_repo_config_set(f->repo, "gc.keep_days", days, NULL), 0);
}

static struct oxl_digest blob_of(const char *text)
{
        return oxl_digest_of(OXL_ALGO_BLAKE3, text, strlen(text));
}

static void add(struct f *f, const char *name, const char *text)
{
        struct oxl_add_options options = { .all = true };
        struct oxl_add_result result;
        if (text)
                place_text(f->place, name, text);
        assert_int_equal(oxl_repo_add(f->repo, &name, 1, &options, &result, NULL), 0);
}

static struct oxl_digest commit(struct f *f)
{
        struct oxl_commit_options options = { .message = "m", .author = "A <a@example.org>", .allow_empty = true };
        struct oxl_commit_result result;
        assert_int_equal(oxl_repo_commit(f->repo, &options, &result, NULL), 0);
        return result.commit;
}

/* Takes the file out of index and working tree. */
static void forget(struct f *f, const char *name)
{
        const struct oxl_rm_options options = { .cached = true };
        struct oxl_rm_result result;
        assert_int_equal(oxl_repo_rm(f->repo, &name, 1, &options, &result, NULL), 0);
}

static struct oxl_gc_result gc(struct f *f)
{
        struct oxl_gc_result result;
        struct oxl_error err = OXL_ERROR_INIT;
        int k = oxl_gc_run(f->repo, NULL, NULL, NULL, &result, &err);
        if (k < 0) {
                char text[512];
                oxl_error_text(&err, text, sizeof text);
                print_error("gc: %s\n", text);
        }
        oxl_error_done(&err);
        assert_int_equal(k, 0);
        return result;
}

static bool has(struct f *f, enum oxl_kind kind, const struct oxl_digest *id)
{
        reopen(f);
        int k = oxl_objects_exists(f->objects, kind, id, NULL);
        assert_true(k >= 0);
        return k == 0;
}

static int first_finding(void *ctx, const struct oxl_finding *found, struct oxl_error *err)
{
        char *remedy = ctx;
        (void)err;
        if (oxl_problem_severity(found->problem) != OXL_SEVERITY_NOTE && !remedy[0])
                snprintf(remedy, 128, "%s: %s", oxl_problem_slug(found->problem), found->remedy);
        return 0;
}

/* What fsck finds first: "slug: remedy"; "" when it is clean. */
static const char *fsck(struct f *f)
{
        static char found[128];
        struct oxl_check_result result;
        found[0] = 0;
        assert_true(oxl_check_run(f->place, NULL, NULL, first_finding, found, &result, NULL) >= 0);
        return found;
}

/* --- roots ----------------------------------------------------------------------------------------------------------- */

struct marked {
        struct oxl_marks *marks;
        int result;
};

/* Marks as gc does, with operations since @since_ns. */
static struct marked mark(struct f *f, int64_t since_ns)
{
        struct marked m;
        reopen(f);
        assert_int_equal(oxl_repo_begin_write(f->repo, NULL), 0);
        assert_int_equal(oxl_marks_new(f->repo, &m.marks, NULL), 0);
        m.result = oxl_marks_refs(m.marks, NULL);
        if (m.result == 0)
                m.result = oxl_marks_log(m.marks, f->repo->journal, since_ns, NULL);
        oxl_repo_end_write(f->repo);
        return m;
}

static bool marks(struct f *f, int64_t since_ns, enum oxl_kind kind, const struct oxl_digest *id)
{
        struct marked m = mark(f, since_ns);
        assert_int_equal(m.result, 0);
        bool found = oxl_marks_has(m.marks, kind, id);
        oxl_marks_free(m.marks);
        return found;
}

#define NO_OPERATIONS INT64_MAX

/* Two commits; main is moved back to the first, so nothing leads to the second. */
static struct oxl_digest two_commits(struct f *f, struct oxl_digest *ret_first)
{
        add(f, "a", "one");
        *ret_first = commit(f);
        add(f, "a", "two");
        struct oxl_digest second = commit(f);
        assert_int_equal(oxl_repo_begin_write(f->repo, NULL), 0);
        assert_int_equal(oxl_ref_move(f->repo, "refs/heads/main", ret_first, NULL), 0);
        oxl_repo_end_write(f->repo);
        return second;
}

static void a_commit_that_nothing_leads_to_is_not_marked(void **state)
{
        struct f *f = *state;
        struct oxl_digest first, second = two_commits(f, &first);
        assert_true(marks(f, NO_OPERATIONS, OXL_KIND_COMMIT, &first));
        assert_false(marks(f, NO_OPERATIONS, OXL_KIND_COMMIT, &second));
}

static void a_branch_is_a_root(void **state)
{
        struct f *f = *state;
        struct oxl_digest first, second = two_commits(f, &first);
        assert_int_equal(oxl_repo_begin_write(f->repo, NULL), 0);
        assert_int_equal(oxl_ref_move(f->repo, "refs/heads/deep/er", &second, NULL), 0);
        oxl_repo_end_write(f->repo);
        assert_true(marks(f, NO_OPERATIONS, OXL_KIND_COMMIT, &second));
}

static void a_tag_is_a_root(void **state)
{
        struct f *f = *state;
        struct oxl_digest first, second = two_commits(f, &first);
        assert_int_equal(oxl_repo_begin_write(f->repo, NULL), 0);
        assert_int_equal(oxl_ref_move(f->repo, "refs/tags/t", &second, NULL), 0);
        oxl_repo_end_write(f->repo);
        assert_true(marks(f, NO_OPERATIONS, OXL_KIND_COMMIT, &second));
}

static void a_detached_head_is_a_root(void **state)
{
        struct f *f = *state;
        char text[OXL_DIGEST_TEXT_MAX];
        struct oxl_digest first, second = two_commits(f, &first);
        oxl_digest_text(&second, text);
        assert_int_equal(oxl_repo_begin_write(f->repo, NULL), 0);
        assert_int_equal(oxl_head_move(f->repo, text, NULL), 0);
        oxl_repo_end_write(f->repo);
        assert_true(marks(f, NO_OPERATIONS, OXL_KIND_COMMIT, &second));
}

static void what_is_staged_is_a_root(void **state)
{
        struct f *f = *state;
        struct oxl_digest staged = blob_of("staged");
        add(f, "s", "staged");
        assert_true(marks(f, NO_OPERATIONS, OXL_KIND_BLOB, &staged));
        forget(f, "s");
        assert_false(marks(f, NO_OPERATIONS, OXL_KIND_BLOB, &staged));
}

static void the_tree_of_the_index_is_a_root(void **state)
{
        struct f *f = *state;
        struct oxl_digest first, second = two_commits(f, &first);
        struct oxl_commit c = OXL_COMMIT_INIT;
        reopen(f);
        assert_int_equal(oxl_commit_read(f->objects, &second, &c, NULL), 0);
        struct oxl_digest tree = c.tree;
        oxl_commit_done(&c);
        assert_true(marks(f, NO_OPERATIONS, OXL_KIND_TREE, &tree));
}

/* As one that a living process of another machine has: recovery leaves it. */
static void stage_intent(struct f *f, const struct oxl_digest *new_)
{
        struct oxl_commit_intent i = { .ref = strdup("refs/heads/main"), .new_id = *new_, .tree = *new_ };
        char *body;
        int64_t id;
        assert_int_equal(oxl_commit_intent_add(&i, OXL_INTENT_INDEX, "index.oxl-0000000000000001-0000000000000001.tmp",
                                               "index", new_, 1, NULL),
                         0);
        assert_int_equal(oxl_commit_intent_print(&i, &body, NULL), 0);
        assert_int_equal(oxl_repo_begin_write(f->repo, NULL), 0);
        place_text(f->place, ".oxen-lite/owners/00000000000004d2",
                   "pid 1\nboot 00\nmachine 00000000000000000000000000000000\ncommand x\nsince 0\n");
        assert_int_equal(oxl_journal_stage(f->repo->journal, 1234, "commit", body, NULL, &id, NULL), 0);
        oxl_repo_end_write(f->repo);
        oxl_commit_intent_done(&i);
        free(body);
}

static void an_open_intent_is_a_root(void **state)
{
        struct f *f = *state;
        struct oxl_digest first, second = two_commits(f, &first);
        stage_intent(f, &second);
        assert_true(marks(f, NO_OPERATIONS, OXL_KIND_COMMIT, &second));
}

static void an_open_intent_that_cannot_be_followed_stops_gc(void **state)
{
        struct f *f = *state;
        struct oxl_digest absent = blob_of("no commit");
        struct oxl_gc_result result;
        add(f, "a", "one");
        commit(f);
        stage_intent(f, &absent);
        struct marked m = mark(f, NO_OPERATIONS);
        assert_int_equal(m.result, -OXL_E_OBJECT_MISSING);
        oxl_marks_free(m.marks);
        assert_int_equal(oxl_gc_run(f->repo, NULL, NULL, NULL, &result, NULL), -OXL_E_OBJECT_MISSING);
}

static void an_operation_is_a_root_while_it_is_young(void **state)
{
        struct f *f = *state;
        struct oxl_digest first, second = two_commits(f, &first), staged = blob_of("staged");
        add(f, "s", "staged");
        forget(f, "s");
        assert_true(marks(f, 0, OXL_KIND_COMMIT, &second));
        assert_true(marks(f, 0, OXL_KIND_BLOB, &staged));
        assert_false(marks(f, NO_OPERATIONS, OXL_KIND_BLOB, &staged));
}

static void what_a_note_in_quarantine_names_is_kept(void **state)
{
        struct f *f = *state;
        struct oxl_digest blob = blob_of("noted");
        char text[OXL_DIGEST_TEXT_MAX], note[512];
        add(f, "n", "noted");
        forget(f, "n");
        oxl_digest_text(&blob, text);
        snprintf(note, sizeof note, "{\"schema\":\"" OXL_QUARANTINE_NOTE_SCHEMA "\",\"path\":\"x\",\"object\":\"%s\"}",
                 text);
        assert_false(marks(f, NO_OPERATIONS, OXL_KIND_BLOB, &blob));
        place_mkdir(f->place, ".oxen-lite/quarantine/20260101T000000-00000000");
        place_mkdir(f->place, ".oxen-lite/quarantine/20260101T000000-00000000/1");
        place_text(f->place, ".oxen-lite/quarantine/20260101T000000-00000000/1/note", note);
        assert_true(marks(f, NO_OPERATIONS, OXL_KIND_BLOB, &blob));
        place_text(f->place, ".oxen-lite/quarantine/20260101T000000-00000000/1/note", "{");
        struct marked m = mark(f, NO_OPERATIONS);
        assert_int_equal(m.result, -OXL_E_MALFORMED);
        oxl_marks_free(m.marks);
}

/* --- what stops it ------------------------------------------------------------------------------------------------------ */

/* Garbage: two blobs, packed and loose; returns the loose one's path. */
static void make_garbage(struct f *f, char loose[OXL_LOOSE_PATH_MAX])
{
        char *large = malloc(70000);
        memset(large, 'x', 70000);
        large[69999] = 0;
        keep_days(f, "0");
        assert_int_equal(oxl_repo_config_set(f->repo, "pack_threshold", "65536", NULL), 0);
        add(f, "a", "one");
        commit(f);
        add(f, "small", "garbage");
        add(f, "large", large);
        forget(f, "small");
        forget(f, "large");
        struct oxl_digest id = blob_of(large);
        oxl_loose_path(&id, loose);
        free(large);
}

/* Every file below versions/, with its content, as one digest. */
static struct oxl_digest store_digest(struct f *f)
{
        char command[1024], line[OXL_DIGEST_TEXT_MAX] = "";
        struct oxl_digest d = OXL_DIGEST_INIT;
        snprintf(
                command, sizeof command,
                "cd '%s/.oxen-lite/versions' && find . -type f ! -name lookup -exec sha256sum {} + | sort | sha256sum | cut -c1-64",
                f->place);
        FILE *p = popen(command, "r");
        assert_non_null(p);
        assert_int_equal(fread(line, 1, 64, p), 64);
        assert_int_equal(pclose(p), 0);
        assert_true(oxl_digest_parse(OXL_ALGO_BLAKE3, line, &d));
        return d;
}

static void assert_unmoved(struct f *f, const struct oxl_digest *before)
{
        struct oxl_digest now = store_digest(f);
        assert_true(oxl_digest_equal(&now, before));
        assert_int_equal(place_count(f->place, ".oxen-lite/trash"), 0);
}

static void a_damaged_node_stops_it_and_nothing_moves(void **state)
{
        struct f *f = *state;
        char loose[OXL_LOOSE_PATH_MAX], path[128], name[96];
        struct oxl_gc_result result;
        make_garbage(f, loose);
        struct oxl_head head;
        assert_int_equal(oxl_repo_head(f->repo, &head, NULL), 0);
        struct oxl_commit c = OXL_COMMIT_INIT;
        reopen(f);
        assert_int_equal(oxl_commit_read(f->objects, &head.commit, &c, NULL), 0);
        /* both copies of the tree, wherever they are */
        char command[1024];
        snprintf(command, sizeof command, "ls '%s/.oxen-lite/versions/packs' | grep pack$", f->place);
        FILE *list = popen(command, "r");
        while (fgets(name, sizeof name, list)) {
                struct oxl_digest id;
                struct oxl_pack *pack;
                struct oxl_pack_entry e;
                name[64] = 0;
                assert_true(oxl_digest_parse(OXL_ALGO_BLAKE3, name, &id));
                snprintf(path, sizeof path, "versions/packs/%s.pack", name);
                assert_int_equal(
                        oxl_pack_open(f->repo->root_fd, path, &id, &f->repo->format.id, OXL_ALGO_BLAKE3, &pack, NULL),
                        0);
                assert_int_equal(oxl_pack_load_index(pack, NULL), 0);
                for (uint64_t i = 0; i < oxl_pack_entries(pack); i++) {
                        oxl_pack_entry_at(pack, i, &e);
                        if (!oxl_digest_equal(&e.id, &c.tree))
                                continue;
                        char file[300];
                        snprintf(file, sizeof file, "%s/.oxen-lite/%s", f->place, path);
                        assert_int_equal(chmod(file, 0600), 0);
                        int fd = open(file, O_RDWR | O_CLOEXEC);
                        assert_int_equal(pwrite(fd, "\xff", 1, (off_t)(e.offset + OXL_PACK_RECORD_BYTES + 9)), 1);
                        close(fd);
                }
                oxl_pack_free(pack);
        }
        pclose(list);
        oxl_commit_done(&c);
        oxl_head_done(&head);
        struct oxl_digest before = store_digest(f);
        reopen(f);
        assert_int_equal(oxl_gc_run(f->repo, NULL, NULL, NULL, &result, NULL), -OXL_E_OBJECT_CORRUPT);
        assert_unmoved(f, &before);
}

static void a_read_that_fails_stops_it_and_nothing_moves(void **state)
{
        struct f *f = *state;
        char loose[OXL_LOOSE_PATH_MAX];
        unsigned stopped = 0;
        make_garbage(f, loose);
        struct oxl_digest before = store_digest(f);
        for (unsigned n = 1;; n++) {
                struct oxl_gc_options options = { .dry_run = true };
                struct oxl_gc_result result;
                reopen(f);
                fault_install(&(struct fault_plan){ .only = "pread", .nth = n, .for_ever = true, .os = EIO });
                int k = oxl_gc_run(f->repo, n % 2 ? NULL : &options, NULL, NULL, &result, NULL);
                bool fired = fault_remove();
                if (!fired)
                        break;
                stopped += k < 0;
                if (k == 0 && !(n % 2)) /* every read of the graph was done */
                        continue;
                if (k == 0)
                        break;
                assert_unmoved(f, &before);
        }
        assert_true(stopped >= 3);
}

static void a_ref_that_cannot_be_read_stops_it(void **state)
{
        struct f *f = *state;
        char loose[OXL_LOOSE_PATH_MAX];
        struct oxl_gc_result result;
        make_garbage(f, loose);
        struct oxl_digest before = store_digest(f);
        place_text(f->place, ".oxen-lite/refs/heads/other", "no ref\n");
        assert_int_equal(oxl_gc_run(f->repo, NULL, NULL, NULL, &result, NULL), -OXL_E_MALFORMED);
        assert_unmoved(f, &before);
}

/* --- what it does ------------------------------------------------------------------------------------------------------------ */

static void garbage_moves_and_undo_brings_back_the_same_bytes(void **state)
{
        struct f *f = *state;
        char loose[OXL_LOOSE_PATH_MAX], path[160];
        struct oxl_gc_count back;
        struct oxl_digest small = blob_of("garbage"), kept = blob_of("one");
        make_garbage(f, loose);
        struct oxl_digest before = store_digest(f);
        struct oxl_gc_options dry = { .dry_run = true };
        struct oxl_gc_result result, would;
        assert_int_equal(oxl_gc_run(f->repo, &dry, NULL, NULL, &would, NULL), 0);
        assert_unmoved(f, &before);
        result = gc(f);
        assert_int_equal(result.packs.files, 1);
        assert_int_equal(result.blobs.files, 1);
        assert_int_equal(result.waits.files, 2);
        assert_int_equal(would.packs.files, 1);
        assert_int_equal(would.blobs.bytes, result.blobs.bytes);
        assert_false(has(f, OXL_KIND_BLOB, &small));
        assert_true(has(f, OXL_KIND_BLOB, &kept));
        snprintf(path, sizeof path, ".oxen-lite/%s", loose);
        assert_false(place_has(f->place, path));
        assert_string_equal(fsck(f), "");
        assert_int_equal(oxl_gc_undo(f->repo, result.trash, NULL, NULL, &back, NULL), 0);
        assert_int_equal(back.files, 2);
        assert_true(place_has(f->place, path));
        assert_unmoved(f, &before);
        assert_string_equal(fsck(f), "");
        assert_int_equal(oxl_gc_undo(f->repo, result.trash, NULL, NULL, &back, NULL), -OXL_E_TRASH_NOT_FOUND);
        assert_int_equal(oxl_gc_undo(f->repo, "../refs", NULL, NULL, &back, NULL), -OXL_E_TRASH_NOT_FOUND);
}

static void young_garbage_stays(void **state)
{
        struct f *f = *state;
        char loose[OXL_LOOSE_PATH_MAX];
        make_garbage(f, loose);
        struct oxl_digest before = store_digest(f);
        assert_int_equal(oxl_repo_config_set(f->repo, "gc.keep_days", NULL, NULL), 0); /* 90 */
        struct oxl_gc_result result = gc(f);
        assert_int_equal(result.packs.files + result.blobs.files, 0);
        assert_string_equal(result.trash, "");
        assert_unmoved(f, &before);
        keep_days(f, "0");
        assert_int_equal(gc(f).packs.files, 1);
        assert_int_equal(oxl_repo_config_set(f->repo, "gc.keep_days", "36501", NULL), -OXL_E_CONFIG_VALUE);
}

static void flip(struct f *f, const char *path, off_t at)
{
        char full[400], byte;
        snprintf(full, sizeof full, "%s/.oxen-lite/%s", f->place, path);
        assert_int_equal(chmod(full, 0600), 0);
        int fd = open(full, O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        if (at < 0)
                at += lseek(fd, 0, SEEK_END);
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        close(fd);
}

static int note_damaged(void *ctx, const struct oxl_gc_item *item, struct oxl_error *err)
{
        (void)err;
        if (item->action == OXL_GC_DAMAGED)
                snprintf(ctx, OXL_LOOSE_PATH_MAX, "%s", item->path);
        return 0;
}

static void undo_leaves_a_damaged_file_where_it_is_and_brings_back_the_rest(void **state)
{
        struct f *f = *state;
        char loose[OXL_LOOSE_PATH_MAX], named[OXL_LOOSE_PATH_MAX] = "", path[300];
        struct oxl_gc_count back;
        struct oxl_digest small = blob_of("garbage");
        make_garbage(f, loose);
        struct oxl_gc_result result = gc(f);
        snprintf(path, sizeof path, "trash/%s/%s", result.trash, loose);
        flip(f, path, 1000);
        assert_int_equal(oxl_gc_undo(f->repo, result.trash, note_damaged, named, &back, NULL), 0);
        assert_int_equal(back.files, 1);
        assert_string_equal(named, loose);
        assert_true(has(f, OXL_KIND_BLOB, &small));
        snprintf(path, sizeof path, ".oxen-lite/trash/%s/%s", result.trash, loose);
        assert_true(place_has(f->place, path));
        snprintf(path, sizeof path, ".oxen-lite/%s", loose);
        assert_false(place_has(f->place, path));
        /* nothing else is left */
        assert_int_equal(oxl_gc_undo(f->repo, result.trash, NULL, NULL, &back, NULL), -OXL_E_OBJECT_CORRUPT);
        assert_false(place_has(f->place, path));
}

static void an_interrupted_undo_leaves_a_damaged_file_where_it_is_too(void **state)
{
        struct f *f = *state;
        char loose[OXL_LOOSE_PATH_MAX], path[300], *body;
        int64_t id;
        struct oxl_digest small = blob_of("garbage");
        make_garbage(f, loose);
        struct oxl_gc_result result = gc(f);
        snprintf(path, sizeof path, "trash/%s/%s", result.trash, loose);
        flip(f, path, 1000);
        const struct oxl_gc_intent i = { .verb = strdup("gc-undo"), .trash = strdup(result.trash) };
        assert_int_equal(oxl_gc_intent_print(&i, &body, NULL), 0);
        assert_int_equal(oxl_repo_begin_write(f->repo, NULL), 0);
        assert_int_equal(oxl_journal_stage(f->repo->journal, 1234, "gc-undo", body, NULL, &id, NULL), 0); /* dead */
        oxl_repo_end_write(f->repo);
        free(i.verb);
        free(i.trash);
        free(body);
        uint64_t recovered = 0;
        int fd;
        reopen(f);
        assert_int_equal(oxl_owner_lock_gc_shared(f->repo->root_fd, 0, NULL, &fd, NULL),
                         0); /* a check does not hold it up */
        assert_int_equal(oxl_repo_recover(f->repo, &recovered, NULL), 0);
        close(fd);
        assert_int_equal(recovered, 1);
        assert_true(has(f, OXL_KIND_BLOB, &small));
        snprintf(path, sizeof path, ".oxen-lite/trash/%s/%s", result.trash, loose);
        assert_true(place_has(f->place, path));
        snprintf(path, sizeof path, ".oxen-lite/%s", loose);
        assert_false(place_has(f->place, path));
}

static void a_pack_mostly_dead_is_rewritten(void **state)
{
        struct f *f = *state;
        char text[1000], name[16];
        memset(text, 'r', sizeof text);
        text[999] = 0;
        keep_days(f, "0");
        for (int i = 0; i < 10; i++) {
                snprintf(name, sizeof name, "f%d", i);
                text[0] = (char)('0' + i);
                place_text(f->place, name, text);
        }
        add(f, "", NULL); /* one pack */
        for (int i = 0; i < 9; i++) {
                snprintf(name, sizeof name, "f%d", i);
                forget(f, name);
        }
        struct oxl_digest live = blob_of(text);
        text[0] = '3';
        struct oxl_digest dead = blob_of(text);
        struct oxl_gc_result result = gc(f);
        assert_int_equal(result.rewritten.files, 1);
        assert_int_equal(result.written.files, 1);
        assert_true(result.written.bytes < result.rewritten.bytes / 3);
        assert_true(has(f, OXL_KIND_BLOB, &live));
        assert_false(has(f, OXL_KIND_BLOB, &dead));
        assert_string_equal(fsck(f), "");
        struct oxl_gc_count back;
        assert_int_equal(oxl_gc_undo(f->repo, result.trash, NULL, NULL, &back, NULL), 0);
        assert_true(has(f, OXL_KIND_BLOB, &dead));
        assert_string_equal(fsck(f), "");
}

static int newest(void *ctx, const struct oxl_operation_info *op, struct oxl_error *err)
{
        int *undoable = ctx;
        (void)err;
        if (strcmp(op->verb, "add") == 0)
                *undoable += op->undoable;
        return 0;
}

static void operations_older_than_the_horizon_cannot_be_undone_until_gc_is(void **state)
{
        struct f *f = *state;
        char loose[OXL_LOOSE_PATH_MAX];
        struct oxl_undo_result undone;
        struct oxl_gc_count back;
        int undoable = 0;
        make_garbage(f, loose);
        struct oxl_gc_result result = gc(f);
        assert_int_equal(oxl_repo_operations(f->repo, 0, newest, &undoable, NULL), 0);
        assert_int_equal(undoable, 0);
        assert_int_equal(oxl_repo_undo(f->repo, 0, NULL, &undone, NULL), -OXL_E_UNDO_REFUSED);
        /* an operation that is not a root does not stop the next gc, whatever keep_days says by then */
        keep_days(f, "90");
        gc(f);
        assert_int_equal(oxl_gc_undo(f->repo, result.trash, NULL, NULL, &back, NULL), 0);
        assert_int_equal(oxl_repo_operations(f->repo, 0, newest, &undoable, NULL), 0);
        assert_true(undoable >= 3);
        assert_int_equal(oxl_repo_undo(f->repo, 0, NULL, &undone, NULL), 0); /* what came before config and gc */
        assert_true(strcmp(undone.verb, "config") != 0 && strcmp(undone.verb, "gc-undo") != 0);
}

/* What stayed in trash is needed by operations from before: they are no roots of the next gc, and none is offered for undo. */
static void an_undo_that_left_a_damaged_file_in_trash_moves_no_horizon(void **state)
{
        struct f *f = *state;
        char loose[OXL_LOOSE_PATH_MAX], path[300];
        struct oxl_gc_count back;
        int undoable = 0;
        make_garbage(f, loose);
        struct oxl_gc_result result = gc(f);
        snprintf(path, sizeof path, "trash/%s/%s", result.trash, loose);
        flip(f, path, 1000);
        assert_int_equal(oxl_gc_undo(f->repo, result.trash, NULL, NULL, &back, NULL), 0);
        assert_int_equal(oxl_repo_operations(f->repo, 0, newest, &undoable, NULL), 0);
        assert_int_equal(undoable, 0);
        keep_days(f, "90");
        gc(f);
}

/* --- trash and fsck -------------------------------------------------------------------------------------------------------------- */

/* Moves the file into a run of its own, as a gc that was wrong would. */
static void put_aside(struct f *f, const char *path, const char *id)
{
        char command[1024];
        snprintf(command, sizeof command, "cd '%s/.oxen-lite' && mkdir -p $(dirname trash/%s/%s) && mv %s trash/%s/%s",
                 f->place, id, path, path, id, path);
        assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): the words are ours */
        reopen(f);
}

#define ID "20260101T000000-00000001"

static void trash_that_is_needed_is_not_emptied_and_fsck_says_how_to_get_it_back(void **state)
{
        struct f *f = *state;
        const char *const ids[] = { ID };
        struct oxl_gc_count n;
        char path[OXL_LOOSE_PATH_MAX], large[5000];
        memset(large, 'n', sizeof large);
        large[4999] = 0;
        assert_int_equal(oxl_repo_config_set(f->repo, "pack_threshold", "4096", NULL), 0);
        add(f, "large", large);
        commit(f);
        struct oxl_digest id = blob_of(large);
        oxl_loose_path(&id, path);
        put_aside(f, path, ID);
        assert_string_equal(fsck(f), "blob-missing: oxen-lite gc --undo " ID);
        assert_int_equal(oxl_trash_empty(f->repo, ids, 1, NULL, NULL, &n, NULL), -OXL_E_TRASH_NEEDED);
        assert_int_equal(oxl_gc_undo(f->repo, ID, NULL, NULL, &n, NULL), 0);
        assert_int_equal(n.files, 1);
        assert_string_equal(fsck(f), "");
}

static void a_damaged_namesake_is_no_reason_to_empty_trash(void **state)
{
        struct f *f = *state;
        const char *const ids[] = { ID };
        struct oxl_gc_count n;
        char path[OXL_LOOSE_PATH_MAX], full[300], large[5000];
        memset(large, 'n', sizeof large);
        large[4999] = 0;
        assert_int_equal(oxl_repo_config_set(f->repo, "pack_threshold", "4096", NULL), 0);
        add(f, "large", large);
        commit(f);
        struct oxl_digest id = blob_of(large);
        oxl_loose_path(&id, path);
        put_aside(f, path, ID);
        snprintf(full, sizeof full, ".oxen-lite/%s", path);
        large[7] = 'd';
        place_text(f->place, full, large);
        assert_int_equal(oxl_trash_empty(f->repo, ids, 1, NULL, NULL, &n, NULL), -OXL_E_TRASH_NEEDED);
        assert_int_equal(place_count(f->place, ".oxen-lite/trash"), 1);
        large[7] = 'n';
        place_text(f->place, full, large);
        assert_int_equal(oxl_trash_empty(f->repo, ids, 1, NULL, NULL, &n, NULL), 0);
        assert_int_equal(place_count(f->place, ".oxen-lite/trash"), 0);
        assert_string_equal(fsck(f), "");
}

/* The only pack there is. */
static void only_pack(struct f *f, char ret[96])
{
        char name[96] = "", command[512];
        snprintf(command, sizeof command, "ls '%s/.oxen-lite/versions/packs' | grep pack$", f->place);
        FILE *list = popen(command, "r");
        assert_non_null(list);
        assert_non_null(fgets(name, sizeof name, list));
        assert_int_equal(pclose(list), 0);
        name[strcspn(name, "\n")] = 0;
        snprintf(ret, 96, "versions/packs/%.70s", name);
}

static void a_pack_in_trash_whose_index_is_damaged_goes_only_when_all_that_is_needed_is_elsewhere(void **state)
{
        struct f *f = *state;
        const char *const ids[] = { ID };
        struct oxl_gc_count n;
        char pack[96], path[160];
        keep_days(f, "0");
        add(f, "a", "one"); /* a pack with nothing but the blob */
        only_pack(f, pack);
        commit(f);
        put_aside(f, pack, ID);
        snprintf(path, sizeof path, "trash/" ID "/%s", pack);
        flip(f, path, -100); /* in the index */
        assert_int_equal(oxl_trash_empty(f->repo, ids, 1, NULL, NULL, &n, NULL), -OXL_E_TRASH_NEEDED);
        assert_int_equal(place_count(f->place, ".oxen-lite/trash"), 1);
        add(f, "b", "one"); /* the same bytes once more */
        commit(f);
        assert_int_equal(oxl_trash_empty(f->repo, ids, 1, NULL, NULL, &n, NULL), 0);
        assert_int_equal(place_count(f->place, ".oxen-lite/trash"), 0);
        assert_string_equal(fsck(f), "");
}

static int count_item(void *ctx, const struct oxl_gc_item *item, struct oxl_error *err)
{
        (void)item;
        (void)err;
        ++*(unsigned *)ctx;
        return 0;
}

static void what_cannot_be_looked_at_in_trash_does_not_count_as_gone(void **state)
{
        struct f *f = *state;
        char loose[OXL_LOOSE_PATH_MAX];
        unsigned fired = 0;
        make_garbage(f, loose);
        gc(f);
        for (unsigned n = 1;; n++) {
                struct oxl_gc_count count = { 0 };
                unsigned listed = 0;
                fault_install(&(struct fault_plan){ .only = "fstatat", .nth = n, .os = EIO });
                int k = n % 2 ? oxl_trash_count(f->repo, &count, NULL)
                              : oxl_trash_list(f->repo, count_item, &listed, NULL);
                if (!fault_remove() && n % 2 == 0) {
                        assert_int_equal(listed, 2);
                        break;
                }
                fired += k < 0;
                assert_true(k < 0 || count.files == 2);
        }
        assert_true(fired >= 6);
}

static void repair_takes_good_bytes_from_trash(void **state)
{
        struct f *f = *state;
        char path[OXL_LOOSE_PATH_MAX], large[5000], full[300];
        struct oxl_repair_options options = { 0 };
        struct oxl_repair_result done;
        memset(large, 'n', sizeof large);
        large[4999] = 0;
        assert_int_equal(oxl_repo_config_set(f->repo, "pack_threshold", "4096", NULL), 0);
        add(f, "large", large);
        commit(f);
        struct oxl_digest id = blob_of(large);
        oxl_loose_path(&id, path);
        put_aside(f, path, ID);
        snprintf(full, sizeof full, ".oxen-lite/%s", path);
        place_text(f->place, full, "damaged");
        place_text(f->place, "large", "changed");
        oxl_repo_close(f->repo);
        f->repo = NULL;
        assert_true(oxl_repair_run(f->place, NULL, &options, NULL, NULL, NULL, &done, NULL) >= 0);
        assert_true(done.healed >= 1);
        open_repo(f);
        assert_string_equal(fsck(f), "");
}

static void empty_trash_deletes_what_was_listed(void **state)
{
        struct f *f = *state;
        char loose[OXL_LOOSE_PATH_MAX];
        struct oxl_gc_count n;
        make_garbage(f, loose);
        struct oxl_gc_result result = gc(f);
        const char *const ids[] = { result.trash };
        assert_int_equal(oxl_trash_empty(f->repo, ids, 1, NULL, NULL, &n, NULL), 0);
        assert_int_equal(n.files, 2);
        assert_int_equal(place_count(f->place, ".oxen-lite/trash"), 0);
        assert_string_equal(fsck(f), "");
}

/* --- merging ---------------------------------------------------------------------------------------------------------------------- */

static size_t packs(struct f *f)
{
        uint64_t n;
        assert_int_equal(oxl_gc_count_packs(f->repo, &n, NULL), 0);
        return (size_t)n;
}

/* A pack with a blob and a tree that has it; under the locks. */
static struct oxl_digest put_pack(struct f *f, unsigned n, struct oxl_digest *ret_tree)
{
        char text[64];
        struct oxl_put *p;
        struct oxl_digest blob;
        struct oxl_buf tree = OXL_BUF_INIT;
        snprintf(text, sizeof text, "content %u", n);
        assert_int_equal(oxl_put_begin(f->repo->objects, &p, NULL), 0);
        assert_true(oxl_put_object(p, OXL_KIND_BLOB, text, strlen(text), &blob, NULL) >= 0);
        uint8_t head[8] = { 1, 0, 0, 0, 1, 0, 0, 0 }, entry[2] = { 1, 1 }, size[8] = { (uint8_t)strlen(text) };
        assert_int_equal(oxl_buf_append(&tree, head, 8, NULL), 0);
        assert_int_equal(oxl_buf_append(&tree, entry, 2, NULL), 0);
        assert_int_equal(oxl_buf_append(&tree, "a", 1, NULL), 0);
        assert_int_equal(oxl_buf_append(&tree, size, 8, NULL), 0);
        assert_int_equal(oxl_buf_append(&tree, blob.bytes, 32, NULL), 0);
        assert_true(oxl_put_object(p, OXL_KIND_TREE, tree.data, tree.len, ret_tree, NULL) >= 0);
        oxl_buf_done(&tree);
        assert_int_equal(oxl_put_finish(p, NULL), 0);
        assert_int_equal(oxl_put_publish(p, NULL), 0);
        assert_int_equal(oxl_durable_barrier(f->repo->durable, NULL), 0);
        oxl_put_free(p);
        return blob;
}

static void begin(struct f *f)
{
        assert_int_equal(oxl_gc_begin(f->repo, NULL), 0);
}

static void sixteen_packs_become_one_with_every_object_twice_where_it_was(void **state)
{
        struct f *f = *state;
        struct oxl_digest blob[16], tree[16];
        struct oxl_gc_result result = { .trash = "" };
        begin(f);
        for (unsigned i = 0; i < 15; i++)
                blob[i] = put_pack(f, i, &tree[i]);
        assert_int_equal(oxl_merge_locked(f->repo, UINT64_MAX, NULL, NULL, &result, NULL), 1);
        blob[15] = put_pack(f, 15, &tree[15]);
        assert_int_equal(oxl_merge_locked(f->repo, UINT64_MAX, NULL, NULL, &result, NULL), 0);
        oxl_repo_end_write(f->repo);
        assert_int_equal(result.merged.files, 16);
        assert_int_equal(packs(f), 1);
        reopen(f);
        for (unsigned i = 0; i < 16; i++) {
                struct oxl_buf bytes = OXL_BUF_INIT;
                assert_int_equal(oxl_objects_read(f->objects, OXL_KIND_BLOB, &blob[i], 100, &bytes, NULL), 0);
                assert_int_equal(oxl_objects_read(f->objects, OXL_KIND_TREE, &tree[i], 100, &bytes, NULL), 0);
                oxl_buf_done(&bytes);
        }
        assert_string_equal(fsck(f), ""); /* which reads second copies, too */
        struct oxl_gc_count waits = { 0 };
        assert_int_equal(oxl_trash_count(f->repo, &waits, NULL), 0);
        assert_int_equal(waits.files, 16);
        begin(f);
        assert_int_equal(oxl_merge_purge(f->repo, NULL), 0);
        oxl_repo_end_write(f->repo);
        assert_int_equal(place_count(f->place, ".oxen-lite/trash"), 0);
}

static void merged_packs_stay_in_trash_unless_the_new_one_is_whole(void **state)
{
        struct f *f = *state;
        struct oxl_digest tree;
        struct oxl_gc_result result = { .trash = "" };
        char command[512];
        begin(f);
        for (unsigned i = 0; i < 16; i++)
                put_pack(f, i, &tree);
        assert_int_equal(oxl_merge_locked(f->repo, UINT64_MAX, NULL, NULL, &result, NULL), 0);
        snprintf(
                command, sizeof command,
                "cd '%s/.oxen-lite/versions/packs' && chmod 600 *.pack && printf X | dd of=$(ls *.pack) bs=1 seek=150 conv=notrunc 2>/dev/null",
                f->place);
        assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): the words are ours */
        assert_int_equal(oxl_merge_purge(f->repo, NULL), 0);
        oxl_repo_end_write(f->repo);
        assert_int_equal(place_count(f->place, ".oxen-lite/trash"), 1);
        assert_string_not_equal(fsck(f), "");
}

static void make_merged_run(struct f *f)
{
        struct oxl_gc_result result = { .trash = "" };
        struct oxl_digest tree;
        begin(f);
        for (unsigned i = 0; i < 16; i++)
                put_pack(f, i, &tree);
        assert_int_equal(oxl_merge_locked(f->repo, UINT64_MAX, NULL, NULL, &result, NULL), 0);
        assert_int_equal(place_count(f->place, ".oxen-lite/trash"), 1);
}

static void a_file_that_cannot_be_read_keeps_its_run_and_does_not_stop_merging(void **state)
{
        struct f *f = *state;
        unsigned kept = 0;
        make_merged_run(f);
        for (bool fired = true; fired; kept += fired) {
                fault_install(&(struct fault_plan){ .only = "pread", .nth = kept + 1, .os = EIO });
                int k = oxl_merge_purge(f->repo, NULL);
                fired = fault_remove();
                assert_int_equal(k, 0);
                assert_int_equal(place_count(f->place, ".oxen-lite/trash"), fired ? 1 : 0);
        }
        oxl_repo_end_write(f->repo);
        assert_true(kept > 30);
        assert_string_equal(fsck(f), "");
}

static void a_removal_that_is_cut_short_is_ended_by_the_next_one(void **state)
{
        struct f *f = *state;
        make_merged_run(f);
        fault_install(&(struct fault_plan){ .only = "unlinkat", .nth = 2, .os = EIO });
        assert_int_equal(oxl_merge_purge(f->repo, NULL), 0);
        assert_true(fault_remove());
        assert_int_equal(place_count(f->place, ".oxen-lite/trash"), 1);
        assert_int_equal(oxl_merge_purge(f->repo, NULL), 0);
        assert_int_equal(place_count(f->place, ".oxen-lite/trash"), 0);
        oxl_repo_end_write(f->repo);
        assert_string_equal(fsck(f), "");
}

static void a_damaged_pack_is_not_merged_away(void **state)
{
        struct f *f = *state;
        struct oxl_digest tree;
        struct oxl_gc_result result = { .trash = "" };
        char command[512];
        begin(f);
        for (unsigned i = 0; i < 16; i++)
                put_pack(f, i, &tree);
        snprintf(
                command, sizeof command,
                "cd '%s/.oxen-lite/versions/packs' && f=$(ls *.pack | head -n 1) && chmod 600 $f && printf X | dd of=$f bs=1 seek=150 conv=notrunc 2>/dev/null",
                f->place);
        assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): the words are ours */
        assert_int_equal(oxl_merge_locked(f->repo, UINT64_MAX, NULL, NULL, &result, NULL), 0);
        oxl_repo_end_write(f->repo);
        assert_int_equal(result.merged.files, 15);
        assert_int_equal(packs(f), 2);
}

static void two_thousand_small_packs_leave_few_and_cost_linear_work(void **state)
{
        struct f *f = *state;
        struct oxl_gc_result result = { .trash = "" };
        struct oxl_digest tree;
        size_t most = 0, merges = 0;
        uint64_t at[3] = { 0 };
        begin(f);
        for (unsigned i = 0; i < 2000; i++) {
                put_pack(f, i, &tree);
                int k = oxl_merge_locked(f->repo, OXL_MERGE_SOME_BYTES, NULL, NULL, &result, NULL);
                assert_true(k >= 0);
                merges += k == 0;
                if (i % 100 == 99 && packs(f) > most)
                        most = packs(f);
                if (i == 499 || i == 999 || i == 1999)
                        at[i == 499 ? 0 : i == 999 ? 1 : 2] = result.written.bytes;
        }
        oxl_repo_end_write(f->repo);
        assert_true(most <= 3 * (OXL_MERGE_MIN - 1));
        assert_true(merges >= 100 && merges <= 2000 / 10);
        /* twice as many commits: twice the work, and one more tier at most */
        assert_true(at[1] <= 3 * at[0] && at[2] <= 3 * at[1]);
        assert_string_equal(fsck(f), "");
}

static void merge_some_gives_way_to_who_holds_a_lock(void **state)
{
        struct f *f = *state;
        struct oxl_digest tree;
        struct oxl_gc_result result;
        int fd;
        begin(f);
        for (unsigned i = 0; i < 16; i++)
                put_pack(f, i, &tree);
        oxl_repo_end_write(f->repo);
        assert_int_equal(oxl_owner_lock_gc_shared(f->repo->root_fd, 0, NULL, &fd, NULL), 0);
        assert_int_equal(oxl_gc_merge_some(f->repo, &result, NULL), 1);
        assert_int_equal(packs(f), 16);
        close(fd);
        assert_int_equal(oxl_gc_merge_some(f->repo, &result, NULL), 0);
        assert_int_equal(packs(f), 1);
        assert_int_equal(oxl_gc_merge_some(f->repo, &result, NULL), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_commit_that_nothing_leads_to_is_not_marked),
                TEST(a_branch_is_a_root),
                TEST(a_tag_is_a_root),
                TEST(a_detached_head_is_a_root),
                TEST(what_is_staged_is_a_root),
                TEST(the_tree_of_the_index_is_a_root),
                TEST(an_open_intent_is_a_root),
                TEST(an_open_intent_that_cannot_be_followed_stops_gc),
                TEST(an_operation_is_a_root_while_it_is_young),
                TEST(what_a_note_in_quarantine_names_is_kept),
                TEST(a_damaged_node_stops_it_and_nothing_moves),
                TEST(a_read_that_fails_stops_it_and_nothing_moves),
                TEST(a_ref_that_cannot_be_read_stops_it),
                TEST(garbage_moves_and_undo_brings_back_the_same_bytes),
                TEST(young_garbage_stays),
                TEST(undo_leaves_a_damaged_file_where_it_is_and_brings_back_the_rest),
                TEST(an_interrupted_undo_leaves_a_damaged_file_where_it_is_too),
                TEST(a_pack_mostly_dead_is_rewritten),
                TEST(operations_older_than_the_horizon_cannot_be_undone_until_gc_is),
                TEST(an_undo_that_left_a_damaged_file_in_trash_moves_no_horizon),
                TEST(trash_that_is_needed_is_not_emptied_and_fsck_says_how_to_get_it_back),
                TEST(a_damaged_namesake_is_no_reason_to_empty_trash),
                TEST(a_pack_in_trash_whose_index_is_damaged_goes_only_when_all_that_is_needed_is_elsewhere),
                TEST(what_cannot_be_looked_at_in_trash_does_not_count_as_gone),
                TEST(repair_takes_good_bytes_from_trash),
                TEST(empty_trash_deletes_what_was_listed),
                TEST(sixteen_packs_become_one_with_every_object_twice_where_it_was),
                TEST(merged_packs_stay_in_trash_unless_the_new_one_is_whole),
                TEST(a_file_that_cannot_be_read_keeps_its_run_and_does_not_stop_merging),
                TEST(a_removal_that_is_cut_short_is_ended_by_the_next_one),
                TEST(a_damaged_pack_is_not_merged_away),
                TEST(two_thousand_small_packs_leave_few_and_cost_linear_work),
                TEST(merge_some_gives_way_to_who_holds_a_lock),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}

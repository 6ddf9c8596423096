/* SPDX-License-Identifier: MIT */
/*
 * What rm, switch and restore --source do to files of the working tree when something is wrong: a blob whose only good copy is a file
 * that goes, a failure in the middle, a file that changes meanwhile, a list of changes that cannot be read any more.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
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

#include <oxenlite/gc.h>
#include <oxenlite/verbs.h>

#include "objects/loose.h"
#include "os/fdio.h"
#include "repo/repo.h"
#include "support/fault.h"
#include "support/place.h"

enum { LARGE = 70000, THRESHOLD = 65536 };

struct f {
        char *place;
        struct oxl_repo *repo;
        struct oxl_digest one, two; /* commits of main and topic; HEAD is topic */
        char *large;                /* of "large" in topic: a loose blob */
};

static void quiet(void *ctx, const char *path, const char *text)
{
        (void)ctx, (void)path, (void)text;
}

static void open_repo(struct f *f)
{
        const struct oxl_repo_options options = { .wait_ms = -1, .notice = quiet };
        oxl_repo_close(f->repo);
        assert_int_equal(oxl_repo_open(f->place, &options, &f->repo, NULL), 0);
}

static struct oxl_digest record(struct f *f)
{
        const char *path = "";
        const struct oxl_add_options add = { .all = true };
        const struct oxl_commit_options options = { .message = "m", .author = "A <a@example.org>" };
        struct oxl_add_result added;
        struct oxl_commit_result result;
        assert_int_equal(oxl_repo_add(f->repo, &path, 1, &add, &added, NULL), 0);
        assert_int_equal(oxl_repo_commit(f->repo, &options, &result, NULL), 0);
        return result.commit;
}

static int go(struct f *f, const char *name, bool create)
{
        const struct oxl_switch_options options = { .create = create };
        struct oxl_switch_result result;
        return oxl_repo_switch(f->repo, name, &options, &result, NULL);
}

static int setup(void **state)
{
        struct f *f = calloc(1, sizeof *f);
        oxl_digest_setup();
        f->place = place_new();
        f->large = malloc(LARGE);
        assert_int_equal(oxl_repo_init(f->place, OXL_ALGO_BLAKE3, NULL), 0);
        open_repo(f);
        assert_int_equal(oxl_repo_config_set(f->repo, "pack_threshold", "65536", NULL), 0);
        memset(f->large, '1', LARGE);
        place_write(f->place, "large", f->large, LARGE);
        place_text(f->place, "small", "small of main");
        place_text(f->place, "third", "third of main");
        f->one = record(f);
        assert_int_equal(go(f, "topic", true), 0);
        memset(f->large, '2', LARGE);
        place_write(f->place, "large", f->large, LARGE);
        place_text(f->place, "small", "small of topic");
        place_text(f->place, "third", "third of topic");
        f->two = record(f);
        open_repo(f);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct f *f = *state;
        oxl_repo_close(f->repo);
        place_free(f->place);
        free(f->large);
        free(f);
        return 0;
}

static bool file_is(struct f *f, const char *name, const char *text)
{
        size_t n;
        if (!place_has(f->place, name))
                return text == NULL;
        char *got = place_read(f->place, name, &n);
        bool same = text && strcmp(got, text) == 0;
        free(got);
        return same;
}

static bool on_branch(struct f *f, const char *name)
{
        struct oxl_head head = { 0 };
        assert_int_equal(oxl_repo_head(f->repo, &head, NULL), 0);
        bool same = head.branch && strcmp(head.branch, name) == 0;
        oxl_head_done(&head);
        return same;
}

/* --- blobs ------------------------------------------------------------------------------------------------------------- */

static struct oxl_digest id_of(const void *bytes, size_t n)
{
        return oxl_digest_of(OXL_ALGO_BLAKE3, bytes, n);
}

static int read_blob(struct f *f, const struct oxl_digest *id)
{
        struct oxl_objects *o;
        open_repo(f);
        assert_int_equal(oxl_repo_objects(f->repo, &o, NULL), 0);
        return oxl_objects_stream(o, id, NULL, NULL, NULL, NULL);
}

static void flip(struct f *f, const char *path, const char *at)
{
        size_t n;
        char *bytes = place_read(f->place, path, &n), *full = place_path(f->place, path);
        char *byte = at ? memmem(bytes, n, at, strlen(at)) : bytes + n / 2;
        if (byte) {
                *byte ^= 1;
                assert_int_equal(chmod(full, 0644), 0);
                place_write(f->place, path, bytes, n);
        }
        free(bytes);
        free(full);
}

static void lose_byte_of_large(struct f *f)
{
        char path[32 + OXL_LOOSE_PATH_MAX] = ".oxen-lite/";
        const struct oxl_digest id = id_of(f->large, LARGE);
        oxl_loose_path(&id, path + strlen(path));
        flip(f, path, NULL);
        assert_int_equal(read_blob(f, &id), -OXL_E_OBJECT_CORRUPT);
}

static void lose_large(struct f *f)
{
        char path[32 + OXL_LOOSE_PATH_MAX] = ".oxen-lite/";
        const struct oxl_digest id = id_of(f->large, LARGE);
        oxl_loose_path(&id, path + strlen(path));
        char *full = place_path(f->place, path);
        assert_int_equal(unlink(full), 0);
        free(full);
        assert_int_equal(read_blob(f, &id), -OXL_E_OBJECT_MISSING);
}

/* In whichever pack it is. */
static void lose_byte_of_small(struct f *f)
{
        char *packs = place_path(f->place, ".oxen-lite/versions/packs"), command[512], path[1024];
        snprintf(command, sizeof command, "cd %s && ls *.pack", packs);
        FILE *list = popen(command, "r");
        assert_non_null(list);
        while (fgets(command, sizeof command / 2, list)) {
                command[strcspn(command, "\n")] = 0;
                snprintf(path, sizeof path, ".oxen-lite/versions/packs/%s", command);
                flip(f, path, "small of topic");
        }
        assert_int_equal(pclose(list), 0);
        free(packs);
        const struct oxl_digest id = id_of("small of topic", 14);
        assert_int_equal(read_blob(f, &id), -OXL_E_OBJECT_CORRUPT);
}

static int rm(struct f *f, uint64_t *ret_kept)
{
        const char *const paths[] = { "large", "small" };
        struct oxl_rm_result result = { 0 };
        int k = oxl_repo_rm(f->repo, paths, 2, NULL, &result, NULL);
        *ret_kept = result.kept;
        return k;
}

static int to_main(struct f *f, uint64_t *ret_kept)
{
        struct oxl_switch_result result = { 0 };
        int k = oxl_repo_switch(f->repo, "main", NULL, &result, NULL);
        *ret_kept = result.kept;
        return k;
}

static int restore_main(struct f *f, uint64_t *ret_kept)
{
        const char *const paths[] = { "large", "small" };
        const struct oxl_restore_options options = { .source = "main" };
        struct oxl_restore_result result = { 0 };
        int k = oxl_repo_restore(f->repo, paths, 2, &options, &result, NULL);
        *ret_kept = result.kept;
        return k;
}

static int (*const takes[])(struct f *f, uint64_t *ret_kept) = { rm, to_main, restore_main };

/* In a new repository for each verb. */
static void each_keeps(void **state, void (*lose)(struct f *f))
{
        for (size_t i = 0; i < OXL_ARRAY_LEN(takes); i++) {
                uint64_t kept;
                struct f *f = *state;
                const struct oxl_digest large = id_of(f->large, LARGE), small = id_of("small of topic", 14);
                lose(f);
                assert_int_equal(takes[i](f, &kept), 0);
                assert_false(file_is(f, "small", "small of topic"));
                assert_int_equal(kept, 1);
                assert_int_equal(read_blob(f, &large), 0);
                assert_int_equal(read_blob(f, &small), 0);
                teardown(state);
                setup(state);
        }
}

static void a_file_is_stored_again_before_it_goes_when_its_loose_blob_is_damaged(void **state)
{
        each_keeps(state, lose_byte_of_large);
}

static void a_file_is_stored_again_before_it_goes_when_its_loose_blob_is_lost(void **state)
{
        each_keeps(state, lose_large);
}

static void a_file_is_stored_again_before_it_goes_when_its_record_in_a_pack_is_damaged(void **state)
{
        each_keeps(state, lose_byte_of_small);
}

static void a_blob_that_cannot_be_read_stops_it_before_anything_is_changed(void **state)
{
        struct f *f = *state;
        char command[512];
        const struct oxl_digest large = id_of(f->large, LARGE);
        char path[OXL_LOOSE_PATH_MAX];
        uint64_t kept;
        oxl_loose_path(&large, path);
        /* a folder in the place of the file: EISDIR, for root too */
        snprintf(command, sizeof command, "cd %s/.oxen-lite && mv %s x && mkdir %s", f->place, path, path);
        assert_int_equal(system(command), 0);
        for (size_t i = 0; i < OXL_ARRAY_LEN(takes); i++) {
                open_repo(f);
                assert_true(takes[i](f, &kept) < 0);
                assert_true(file_is(f, "small", "small of topic"));
        }
}

/* gc judges by the age of a file in versions. */
static void what_was_kept_of_changes_survives_gc_though_an_old_pack_had_it(void **state)
{
        struct f *f = *state;
        struct oxl_objects *o;
        struct oxl_put *put;
        struct oxl_gc_result collected;
        const struct oxl_digest mine = id_of("mine", 4);
        struct oxl_digest id;
        uint64_t kept;
        char command[512];
        assert_int_equal(oxl_repo_begin_write(f->repo, NULL), 0);
        assert_int_equal(oxl_repo_objects(f->repo, &o, NULL), 0);
        assert_int_equal(oxl_put_begin(o, &put, NULL), 0);
        assert_int_equal(oxl_put_object(put, OXL_KIND_BLOB, "mine", 4, &id, NULL), 0);
        assert_int_equal(oxl_put_finish(put, NULL), 0);
        assert_int_equal(oxl_put_publish(put, NULL), 0);
        oxl_put_free(put);
        oxl_repo_end_write(f->repo);
        snprintf(command, sizeof command, "find %s/.oxen-lite/versions -type f -exec touch -d '100 days ago' {} +",
                 f->place);
        assert_int_equal(system(command), 0);
        place_text(f->place, "small", "mine");
        assert_int_equal(rm(f, &kept), 0);
        assert_int_equal(kept, 1);
        open_repo(f);
        assert_int_equal(oxl_gc_run(f->repo, NULL, NULL, NULL, &collected, NULL), 0);
        assert_int_equal(read_blob(f, &mine), 0);
}

/* --- in the middle ------------------------------------------------------------------------------------------------------- */

static bool fails_at(struct f *f, const char *call, unsigned nth, int (*verb)(struct f *f, uint64_t *ret_kept),
                     int *ret_code)
{
        uint64_t kept;
        open_repo(f);
        fault_install(&(struct fault_plan){ .only = call, .nth = nth, .os = EIO });
        *ret_code = verb(f, &kept);
        return fault_remove();
}

/* All files are as they were. */
static bool untouched(struct f *f)
{
        return file_is(f, "small", "small of topic") && file_is(f, "third", "third of topic") &&
               place_has(f->place, "large");
}

static int count_interrupted(void *ctx, const struct oxl_interrupted *i, struct oxl_error *err)
{
        (void)err;
        assert_true(i->intent > 0);
        ++*(unsigned *)ctx;
        return 0;
}

static unsigned owners_left(struct f *f)
{
        char *path = place_path(f->place, ".oxen-lite/owners");
        DIR *dir = opendir(path);
        unsigned n = 0;
        assert_non_null(dir);
        for (struct dirent *e; (e = readdir(dir));)
                n += e->d_name[0] != '.';
        closedir(dir);
        free(path);
        return n;
}

/* What status tells of it. */
static unsigned interrupted(struct f *f)
{
        unsigned n = 0;
        assert_int_equal(oxl_repo_interrupted(f->repo, count_interrupted, &n, NULL), 0);
        return n;
}

/* Any rename, unlink or sync fails: nothing happened, or recovery does the rest; by the same object or another. Returns how often that
 * was. */
static unsigned end_in_one_piece(void **state, const char *call, int (*verb)(struct f *f, uint64_t *ret_kept),
                                 bool (*is_done)(struct f *f), unsigned *ret_failed)
{
        unsigned unknown = 0;
        for (unsigned nth = 1;; nth++) {
                struct f *f = *state;
                int code;
                bool failed = fails_at(f, call, nth, verb, &code);
                if (failed && code < 0 && code != -OXL_E_OUTCOME_UNKNOWN && code != -OXL_E_DIR_SYNC) {
                        assert_true(untouched(f));
                        open_repo(f);
                        assert_int_equal(oxl_repo_recover(f->repo, NULL, NULL), 0);
                        assert_true(untouched(f));
                } else if (code == -OXL_E_OUTCOME_UNKNOWN) {
                        unknown++;
                        if (nth % 2 == 0 || oxl_repo_recover(f->repo, NULL, NULL) < 0) { /* poisoned */
                                open_repo(f); /* the one before is closed in order */
                                assert_int_equal(interrupted(f), 1);
                                assert_int_equal(oxl_repo_recover(f->repo, NULL, NULL), 0);
                        }
                        open_repo(f);
                        assert_int_equal(interrupted(f), 0);
                        assert_int_equal(owners_left(f), 0);
                        assert_true(is_done(f));
                } else {
                        assert_int_equal(code, 0);
                        assert_true(is_done(f));
                }
                teardown(state);
                setup(state);
                if (!failed) {
                        *ret_failed = nth - 1;
                        return unknown;
                }
        }
}

static bool is_removed(struct f *f)
{
        return !place_has(f->place, "small") && !place_has(f->place, "large");
}

static bool is_main(struct f *f)
{
        return on_branch(f, "main") && file_is(f, "small", "small of main") && file_is(f, "third", "third of main");
}

static void an_rm_that_fails_half_way_is_finished_by_recovery(void **state)
{
        unsigned failed;
        assert_true(end_in_one_piece(state, "unlinkat", rm, is_removed, &failed) > 0);
        unsigned unknown = end_in_one_piece(state, "fsync", rm, is_removed, &failed);
        assert_int_equal(unknown, failed);
}

static void a_switch_that_fails_half_way_is_finished_by_recovery(void **state)
{
        unsigned failed;
        assert_true(end_in_one_piece(state, "renameat2", to_main, is_main, &failed) > 0);
        unsigned unknown = end_in_one_piece(state, "fsync", to_main, is_main, &failed);
        assert_int_equal(unknown, failed);
}

/* --- meanwhile ------------------------------------------------------------------------------------------------------------ */

static struct f *meddling;
static const char *meddled;

/* Called after a file was looked at and its temp written, before it is renamed. */
static void meddle(void *ctx, const char *phase, uint64_t files, uint64_t files_total, uint64_t bytes,
                   uint64_t bytes_total)
{
        (void)ctx, (void)files, (void)files_total, (void)bytes, (void)bytes_total;
        if (meddled && (strcmp(phase, "switching") == 0 || strcmp(phase, "restoring") == 0) && files == 3) {
                place_text(meddling->place, meddled, "the user's");
                meddled = NULL;
        }
}

static void open_meddled(struct f *f, const char *name)
{
        const struct oxl_repo_options options = { .notice = quiet, .progress = meddle };
        meddling = f;
        meddled = name;
        oxl_repo_close(f->repo);
        assert_int_equal(oxl_repo_open(f->place, &options, &f->repo, NULL), 0);
}

static void a_file_that_is_changed_while_its_replacement_is_written_stays(void **state)
{
        struct f *f = *state;
        const char *const paths[] = { "" };
        const struct oxl_restore_options options = { .source = "topic" };
        struct oxl_switch_result switched;
        struct oxl_restore_result restored;
        open_meddled(f, "small");
        assert_int_equal(oxl_repo_switch(f->repo, "main", NULL, &switched, NULL), 0);
        assert_null(meddled);
        assert_int_equal(switched.files, 2);
        assert_true(file_is(f, "small", "the user's"));
        assert_true(file_is(f, "third", "third of main"));
        place_text(f->place, "small", "small of main");
        open_meddled(f, "third");
        assert_int_equal(oxl_repo_restore(f->repo, paths, 1, &options, &restored, NULL), 0);
        assert_null(meddled);
        assert_int_equal(restored.files, 2);
        assert_true(file_is(f, "small", "small of topic"));
        assert_true(file_is(f, "third", "the user's"));
}

static void a_file_that_comes_while_another_is_written_in_its_place_stays(void **state)
{
        struct f *f = *state;
        const char *const paths[] = { "" };
        const struct oxl_restore_options options = { .source = "HEAD" };
        struct oxl_restore_result restored;
        char *small = place_path(f->place, "small"), *third = place_path(f->place, "third"),
             *large = place_path(f->place, "large");
        assert_true(unlink(small) == 0 && unlink(third) == 0 && unlink(large) == 0);
        open_meddled(f, "small");
        assert_int_equal(oxl_repo_restore(f->repo, paths, 1, &options, &restored, NULL), 0);
        assert_null(meddled);
        assert_true(file_is(f, "small", "the user's"));
        assert_true(file_is(f, "third", "third of topic"));
        free(small);
        free(third);
        free(large);
}

static int come_then_rename(int fromfd, const char *from, int tofd, const char *to, unsigned flags)
{
        if (meddled && strcmp(to, meddled) == 0) {
                place_text(meddling->place, meddled, "the user's");
                meddled = NULL;
        }
        return oxl_sys_real.renameat2(fromfd, from, tofd, to, flags);
}

/* Later than the last look: where nothing was, the rename itself says so. */
static void a_file_that_comes_just_before_the_rename_stays(void **state)
{
        struct f *f = *state;
        const char *const path = "small";
        const struct oxl_restore_options options = { .source = "HEAD" };
        struct oxl_restore_result restored;
        struct oxl_sys table = oxl_sys_real;
        char *small = place_path(f->place, "small");
        assert_int_equal(unlink(small), 0);
        meddling = f;
        meddled = "small";
        table.renameat2 = come_then_rename;
        oxl_sys = &table;
        int k = oxl_repo_restore(f->repo, &path, 1, &options, &restored, NULL);
        oxl_sys = &oxl_sys_real;
        assert_int_equal(k, 0);
        assert_null(meddled);
        assert_int_equal(restored.files, 0);
        assert_true(file_is(f, "small", "the user's"));
        free(small);
}

static unsigned closes_left;

/* After "small" was read for the last time of so many, something is appended to it. */
static int close_then_grow(int fd)
{
        char link[64], path[4096];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, path, sizeof path - 1);
        path[n > 0 ? n : 0] = '\0';
        const char *base = strrchr(path, '/');
        int k = oxl_sys_real.close(fd);
        if (base && strcmp(base, "/small") == 0 && closes_left > 0 && --closes_left == 0)
                place_text(meddling->place, "small", "small of topic, and more");
        return k;
}

/* Whenever it comes: it is in the file, which stays, or was stored with it. */
static void what_comes_to_a_file_after_it_was_read_is_not_lost(void **state)
{
        static const char more[] = "small of topic, and more";
        const struct oxl_digest id = id_of(more, sizeof more - 1);
        const char *const path = "small";
        struct oxl_sys table = oxl_sys_real;
        unsigned n = 0, stayed = 0;
        for (closes_left = 0; closes_left == 0;) {
                struct f *f = meddling = *state;
                struct oxl_rm_result result;
                place_text(f->place, "small", "small of topic");
                closes_left = ++n;
                table.close = close_then_grow;
                oxl_sys = &table;
                assert_int_equal(oxl_repo_rm(f->repo, &path, 1, NULL, &result, NULL), 0);
                oxl_sys = &oxl_sys_real;
                bool there = file_is(f, "small", more);
                assert_int_equal(result.removed, !there);
                assert_true(there || closes_left > 0 || read_blob(f, &id) == 0);
                stayed += there;
                teardown(state);
                setup(state);
        }
        assert_true(stayed > 0);
}

/* --- recovery without its list ------------------------------------------------------------------------------------------------ */

static unsigned renames_left;

static int rename_or_die(int fromfd, const char *from, int tofd, const char *to, unsigned flags)
{
        if (renames_left-- == 0)
                (void)raise(SIGKILL);
        return oxl_sys_real.renameat2(fromfd, from, tofd, to, flags);
}

/* By a process that is killed before its rename number @n, from 0. False: it came to the end. */
static bool killed_forced_switch(struct f *f, unsigned n, bool force)
{
        const struct oxl_switch_options options = { .force = force };
        static struct oxl_sys table;
        int status;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                struct oxl_repo *r;
                struct oxl_switch_result result;
                table = oxl_sys_real;
                table.renameat2 = rename_or_die;
                renames_left = n;
                oxl_sys = &table;
                if (oxl_repo_open(f->place, NULL, &r, NULL) == 0)
                        (void)!oxl_repo_switch(r, "main", &options, &result, NULL);
                _exit(1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFSIGNALED(status);
}

static bool killed_switch(struct f *f, unsigned n)
{
        return killed_forced_switch(f, n, false);
}

static int pending(struct f *f)
{
        uint64_t n = 0;
        open_repo(f);
        assert_int_equal(oxl_repo_recover(f->repo, &n, NULL), 0);
        return (int)n;
}

/* Killed before each rename; then every pack is gone, and with it the trees. HEAD agrees with the index. */
static void what_recovery_cannot_read_goes_on_from_a_new_index_and_back_from_an_old_one(void **state)
{
        unsigned forward = 0, back = 0;
        char command[512];
        for (unsigned n = 0;; n++) {
                struct f *f = *state;
                if (!killed_switch(f, n))
                        break;
                size_t size_before, size_after;
                snprintf(command, sizeof command, "cd %s/.oxen-lite/versions && chmod u+w packs && rm -f packs/*",
                         f->place);
                assert_int_equal(system(command), 0);
                char *before = place_read(f->place, ".oxen-lite/index", &size_before);
                assert_int_equal(pending(f), 1);
                assert_int_equal(pending(f), 0);
                char *after = place_read(f->place, ".oxen-lite/index", &size_after);
                assert_true(size_before == size_after && memcmp(before, after, size_before) == 0);
                free(before);
                free(after);
                if (on_branch(f, "main"))
                        forward++;
                else
                        back++;
                assert_true(forward == 0 || file_is(f, "third", "third of main"));
                teardown(state);
                setup(state);
        }
        assert_int_equal(forward, 1); /* between index and HEAD */
        assert_true(back > 1);
}

/* The damage came after the dead process looked. */
static void recovery_leaves_a_file_whose_blob_is_damaged_by_now(void **state)
{
        unsigned left = 0;
        for (unsigned n = 0;; n++) {
                struct f *f = *state;
                if (!killed_switch(f, n))
                        break;
                bool old = file_is(f, "small", "small of topic");
                lose_byte_of_small(f);
                (void)pending(f);
                assert_true(file_is(f, "small", old ? "small of topic" : "small of main"));
                left += old && on_branch(f, "main");
                teardown(state);
                setup(state);
        }
        assert_true(left > 0);
}

/* --- what was kept ------------------------------------------------------------------------------------------------------------ */

struct naming {
        struct oxl_digest id;
        const char *state; /* of the newest operation that kept it; "": none did */
        int64_t number;
        bool undoable;
};

static int names(void *ctx, const struct oxl_operation_info *op, struct oxl_error *err)
{
        static char text[32];
        struct naming *x = ctx;
        (void)err;
        for (size_t i = 0; i < op->n_kept; i++) {
                if (!oxl_digest_equal(&op->kept[i].id, &x->id))
                        continue;
                snprintf(text, sizeof text, "%s", op->state);
                x->state = text;
                x->number = op->id;
                x->undoable = op->undoable;
                return 1;
        }
        return 0;
}

static struct naming named_in_log(struct f *f, const struct oxl_digest *id)
{
        struct naming x = { .id = *id, .state = "" };
        open_repo(f);
        assert_int_equal(oxl_repo_operations(f->repo, 0, names, &x, NULL), 0);
        return x;
}

/* What gc does in a hundred days, and emptying trash, leave it. */
static void outlives_gc(struct f *f, const struct oxl_digest *id)
{
        struct oxl_gc_result collected;
        char command[512];
        snprintf(command, sizeof command,
                 "cd %s/.oxen-lite && find versions -type f -exec touch -d '100 days ago' {} +", f->place);
        assert_int_equal(system(command), 0);
        open_repo(f);
        assert_int_equal(oxl_gc_run(f->repo, NULL, NULL, NULL, &collected, NULL), 0);
        snprintf(command, sizeof command, "cd %s/.oxen-lite && chmod -R u+w trash && rm -rf trash", f->place);
        assert_int_equal(system(command), 0);
        assert_int_equal(read_blob(f, id), 0);
}

/* Killed before each rename; then HEAD names a third branch, as when the process ran on another machine and others went on here. */
static void what_a_switch_kept_that_recovery_set_aside_is_the_only_copy_and_stays(void **state)
{
        const struct oxl_digest mine = id_of("mine", 4);
        unsigned only = 0;
        for (unsigned n = 0;; n++) {
                struct f *f = *state;
                struct oxl_undo_result undone;
                size_t size;
                assert_int_equal(go(f, "third", true), 0);
                char *third = place_read(f->place, ".oxen-lite/HEAD", &size);
                assert_int_equal(go(f, "topic", false), 0);
                place_text(f->place, "small", "mine");
                if (!killed_forced_switch(f, n, true)) {
                        free(third);
                        break;
                }
                place_write(f->place, ".oxen-lite/HEAD", third, size);
                free(third);
                if (pending(f) == 1 && !file_is(f, "small", "mine")) {
                        const struct naming x = named_in_log(f, &mine);
                        assert_string_equal(x.state, "superseded");
                        assert_false(x.undoable);
                        assert_int_equal(oxl_repo_undo(f->repo, x.number, NULL, &undone, NULL), -OXL_E_UNDO_REFUSED);
                        outlives_gc(f, &mine);
                        only++;
                }
                teardown(state);
                setup(state);
        }
        assert_true(only > 1);
}

static int rename_index_then_die(int fromfd, const char *from, int tofd, const char *to, unsigned flags)
{
        int k = oxl_sys_real.renameat2(fromfd, from, tofd, to, flags);
        if (strncmp(to, "index", 5) == 0)
                (void)raise(SIGKILL);
        return k;
}

/* Staged by a process that died before it could say so in the log: nothing but the index names it. */
static void stage_unlogged(struct f *f, const char *path)
{
        static struct oxl_sys table;
        int status;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                struct oxl_repo *r;
                struct oxl_add_result result;
                table = oxl_sys_real;
                table.renameat2 = rename_index_then_die;
                oxl_sys = &table;
                if (oxl_repo_open(f->place, NULL, &r, NULL) == 0)
                        (void)!oxl_repo_add(r, &path, 1, NULL, &result, NULL);
                _exit(1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
}

static void what_was_staged_stays_when_recovery_sets_aside_what_took_it_away(void **state)
{
        const struct oxl_digest mine = id_of("mine", 4);
        unsigned set_aside = 0;
        for (unsigned n = 0;; n++) {
                struct f *f = *state;
                size_t size;
                assert_int_equal(go(f, "third", true), 0);
                char *third = place_read(f->place, ".oxen-lite/HEAD", &size);
                assert_int_equal(go(f, "topic", false), 0);
                place_text(f->place, "small", "mine");
                stage_unlogged(f, "small");
                place_text(f->place, "small", "small of topic");
                if (!killed_forced_switch(f, n, true)) {
                        free(third);
                        break;
                }
                place_write(f->place, ".oxen-lite/HEAD", third, size);
                free(third);
                if (pending(f) == 1) {
                        outlives_gc(f, &mine);
                        set_aside++;
                }
                teardown(state);
                setup(state);
        }
        assert_true(set_aside > 1);
}

static unsigned told;

static void listen(void *ctx, const char *path, const char *text)
{
        (void)ctx, (void)path;
        told += strstr(text, "oxen-lite cat ") != NULL;
}

/* Each call of this kind fails once: who is told that content is kept finds it, in the log and behind gc. */
static void kept_is_said_when(void **state, const char *call, unsigned *ret_told, unsigned *ret_untold)
{
        const struct oxl_switch_options force = { .force = true };
        const struct oxl_repo_options options = { .wait_ms = -1, .notice = listen };
        const struct oxl_digest mine = id_of("mine", 4);
        bool fired = true;
        *ret_told = *ret_untold = 0;
        for (unsigned nth = 1; fired; nth++) {
                struct f *f = *state;
                struct oxl_switch_result result;
                place_text(f->place, "small", "mine");
                oxl_repo_close(f->repo);
                assert_int_equal(oxl_repo_open(f->place, &options, &f->repo, NULL), 0);
                told = 0;
                fault_install(&(struct fault_plan){ .only = call, .nth = nth, .os = EIO });
                int k = oxl_repo_switch(f->repo, "main", &force, &result, NULL);
                fired = fault_remove();
                const struct naming x = named_in_log(f, &mine);
                assert_int_equal(told > 0, x.state[0] != 0);
                if (told > 0)
                        outlives_gc(f, &mine);
                else
                        assert_true(k < 0 && file_is(f, "small", "mine"));
                *(told ? ret_told : ret_untold) += k < 0;
                teardown(state);
                setup(state);
        }
}

static void nothing_is_said_to_be_kept_before_it_is(void **state)
{
        unsigned yes, no;
        kept_is_said_when(state, "fsync", &yes, &no);
        assert_true(yes > 0 && no > 0);
        kept_is_said_when(state, "renameat2", &yes, &no);
        assert_true(yes > 0 && no > 0);
}

/* Something stands in the way of another file: what would have been kept is not, and nobody says so. */
static void a_refused_switch_says_nothing_of_kept_content(void **state)
{
        struct f *f = *state;
        const struct oxl_switch_options force = { .force = true };
        const struct oxl_repo_options options = { .wait_ms = -1, .notice = listen };
        struct oxl_switch_result result;
        char *third = place_path(f->place, "third");
        assert_true(unlink(third) == 0 && mkdir(third, 0755) == 0);
        place_text(f->place, "third/file", "in the way");
        place_text(f->place, "small", "mine");
        oxl_repo_close(f->repo);
        assert_int_equal(oxl_repo_open(f->place, &options, &f->repo, NULL), 0);
        told = 0;
        assert_int_equal(oxl_repo_switch(f->repo, "main", &force, &result, NULL), -OXL_E_PATH_IN_WAY);
        assert_int_equal(told, 0);
        assert_true(file_is(f, "small", "mine"));
        free(third);
}

static bool is_of_user(const char *name)
{
        return strcmp(name, "small") == 0 || strcmp(name, "large") == 0 || strcmp(name, "third") == 0;
}

static int unlink_no(int dirfd, const char *name, int flags)
{
        if (is_of_user(name)) {
                errno = EACCES;
                return -1;
        }
        return oxl_sys_real.unlinkat(dirfd, name, flags);
}

static int rename_no(int fromfd, const char *from, int tofd, const char *to, unsigned flags)
{
        if (is_of_user(to)) {
                errno = ENOSPC;
                return -1;
        }
        return oxl_sys_real.renameat2(fromfd, from, tofd, to, flags);
}

/* A folder of somebody else, a full disk: what cannot be done to files stays undone, and the repository can be written again. */
static void recovery_leaves_files_alone_that_it_may_not_change(void **state)
{
        static struct oxl_sys table;
        unsigned left = 0;
        for (unsigned n = 0;; n++) {
                struct f *f = *state;
                if (!killed_switch(f, n))
                        break;
                table = oxl_sys_real;
                table.unlinkat = unlink_no;
                table.renameat2 = rename_no;
                oxl_sys = &table;
                (void)pending(f);
                oxl_sys = &oxl_sys_real;
                assert_int_equal(pending(f), 0);
                left += on_branch(f, "main") && file_is(f, "small", "small of topic");
                teardown(state);
                setup(state);
        }
        assert_true(left > 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                TEST(a_file_is_stored_again_before_it_goes_when_its_loose_blob_is_damaged),
                TEST(a_file_is_stored_again_before_it_goes_when_its_loose_blob_is_lost),
                TEST(a_file_is_stored_again_before_it_goes_when_its_record_in_a_pack_is_damaged),
                TEST(a_blob_that_cannot_be_read_stops_it_before_anything_is_changed),
                TEST(what_was_kept_of_changes_survives_gc_though_an_old_pack_had_it),
                TEST(an_rm_that_fails_half_way_is_finished_by_recovery),
                TEST(a_switch_that_fails_half_way_is_finished_by_recovery),
                TEST(a_file_that_is_changed_while_its_replacement_is_written_stays),
                TEST(a_file_that_comes_while_another_is_written_in_its_place_stays),
                TEST(a_file_that_comes_just_before_the_rename_stays),
                TEST(what_comes_to_a_file_after_it_was_read_is_not_lost),
                TEST(what_recovery_cannot_read_goes_on_from_a_new_index_and_back_from_an_old_one),
                TEST(recovery_leaves_a_file_whose_blob_is_damaged_by_now),
                TEST(recovery_leaves_files_alone_that_it_may_not_change),
                TEST(what_a_switch_kept_that_recovery_set_aside_is_the_only_copy_and_stays),
                TEST(what_was_staged_stays_when_recovery_sets_aside_what_took_it_away),
                TEST(nothing_is_said_to_be_kept_before_it_is),
                TEST(a_refused_switch_says_nothing_of_kept_content),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}

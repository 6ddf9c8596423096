/* SPDX-License-Identifier: MIT */
/* init, open, begin_write, typed paths, revisions, and the verbs that look. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "objects/commit.h"
#include "objects/tree.h"
#include "os/lock.h"
#include "os/sys.h"
#include "repo/index.h"
#include "repo/repo.h"
#include "support/place.h"

struct fixture {
        char *place;
        struct oxl_repo *repo;
        struct oxl_digest commit[3], side; /* a chain; the last one has the second parent @side */
        int old_cwd;
};

static int setup_place(void **state)
{
        struct fixture *f = calloc(1, sizeof *f);
        f->place = place_new();
        f->old_cwd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        *state = f;
        return 0;
}

static int setup(void **state)
{
        setup_place(state);
        struct fixture *f = *state;
        return oxl_repo_init(f->place, OXL_ALGO_BLAKE3, NULL) < 0 ? -1 : oxl_repo_open(f->place, NULL, &f->repo, NULL);
}

static int teardown(void **state)
{
        struct fixture *f = *state;
        oxl_sys = &oxl_sys_real;
        oxl_repo_close(f->repo);
        if (fchdir(f->old_cwd) < 0)
                return -1;
        close(f->old_cwd);
        place_free(f->place);
        free(f);
        return 0;
}

/* --- init --- */

static void init_makes_everything_and_leaves_no_temp(void **state)
{
        static const char *const files[] = { "format",      "HEAD",  "config.json", "index",
                                             "index.delta", "locks", "reserve",     "journal.db" };
        static const char *const dirs[] = { "refs/heads",   "refs/tags", "versions/files", "versions/packs",
                                            "versions/tmp", "owners",    "quarantine",     "trash" };
        struct fixture *f = *state;
        struct stat st;
        char name[64];
        assert_int_equal(place_count(f->place, "."), 1);
        for (size_t i = 0; i < OXL_ARRAY_LEN(files); i++) {
                snprintf(name, sizeof name, ".oxen-lite/%s", files[i]);
                assert_true(place_has(f->place, name));
        }
        for (size_t i = 0; i < OXL_ARRAY_LEN(dirs); i++) {
                snprintf(name, sizeof name, ".oxen-lite/%s", dirs[i]);
                assert_int_equal(place_count(f->place, name), 0);
        }
        /* SQLite leaves its -wal and -shm, and nothing else may be there */
        size_t sqlite = place_has(f->place, ".oxen-lite/journal.db-wal") +
                        (size_t)place_has(f->place, ".oxen-lite/journal.db-shm");
        assert_int_equal(place_count(f->place, ".oxen-lite"), 8 + 5 + sqlite);
        char *reserve = place_path(f->place, ".oxen-lite/reserve");
        assert_int_equal(stat(reserve, &st), 0);
        assert_int_equal(st.st_size, 8 << 20);
        assert_true(st.st_blocks * 512 >= 8 << 20);
        free(reserve);
        assert_int_equal(strlen(oxl_repo_id_text(f->repo)), 32);
        assert_string_equal(oxl_repo_worktree(f->repo), f->place);
        assert_int_equal(oxl_repo_algo(f->repo), OXL_ALGO_BLAKE3);
}

static void a_second_init_is_refused_and_changes_nothing(void **state)
{
        struct fixture *f = *state;
        char *before = place_read(f->place, ".oxen-lite/format", NULL);
        assert_int_equal(oxl_repo_init(f->place, OXL_ALGO_BLAKE3, NULL), -OXL_E_REPO_EXISTS);
        char *after = place_read(f->place, ".oxen-lite/format", NULL);
        assert_string_equal(before, after);
        assert_int_equal(place_count(f->place, "."), 1);
        free(before);
        free(after);
}

static void init_makes_missing_directories(void **state)
{
        struct fixture *f = *state;
        char *deep = place_path(f->place, "a//./b/c/");
        assert_int_equal(oxl_repo_init(deep, OXL_ALGO_XXH3_128, NULL), 0);
        assert_true(place_has(f->place, "a/b/c/.oxen-lite/format"));
        assert_int_equal(oxl_repo_open(deep, NULL, &f->repo, NULL), 0);
        assert_int_equal(oxl_repo_algo(f->repo), OXL_ALGO_XXH3_128);
        free(deep);
}

static void init_takes_relative_directories(void **state)
{
        struct fixture *f = *state;
        assert_int_equal(chdir(f->place), 0);
        assert_int_equal(oxl_repo_init("x/y", OXL_ALGO_BLAKE3, NULL), 0);
        assert_true(place_has(f->place, "x/y/.oxen-lite/format"));
        assert_int_equal(oxl_repo_init(".", OXL_ALGO_BLAKE3, NULL), 0);
        assert_true(place_has(f->place, ".oxen-lite/format"));
}

static void init_refuses_an_unknown_hash(void **state)
{
        struct fixture *f = *state;
        assert_int_equal(oxl_repo_init(f->place, OXL_ALGO_NONE, NULL), -OXL_E_INVALID);
        assert_int_equal(place_count(f->place, "."), 0);
}

static int syncs_left;

static int failing_fsync(int fd)
{
        if (syncs_left-- > 0)
                return oxl_sys_real.fsync(fd);
        errno = EIO;
        return -1;
}

static void a_failed_init_leaves_no_folder(void **state)
{
        struct fixture *f = *state;
        struct oxl_sys sys = oxl_sys_real;
        int n = 0;
        bool after_rename = false;
        sys.fsync = failing_fsync;
        oxl_sys = &sys;
        for (;; n++) {
                syncs_left = n;
                int r = oxl_repo_init(f->place, OXL_ALGO_BLAKE3, NULL);
                if (r == 0)
                        break;
                assert_true(r == -OXL_E_FILE_SYNC || r == -OXL_E_DIR_SYNC || r == -OXL_E_JOURNAL);
                if (place_has(f->place, ".oxen-lite")) { /* only the last barrier comes after the rename */
                        assert_int_equal(r, -OXL_E_DIR_SYNC);
                        after_rename = true;
                        break;
                }
                assert_int_equal(place_count(f->place, "."), 0);
        }
        oxl_sys = &oxl_sys_real;
        assert_true(n > 10 && after_rename);
        assert_int_equal(oxl_repo_open(f->place, NULL, &f->repo, NULL), 0);
}

static void the_folder_of_a_dead_init_is_removed_and_others_stay(void **state)
{
        static const char dead[] = ".oxen-lite.oxl-0000000000000005-0123456789abcdef.tmp";
        static const char live[] = ".oxen-lite.oxl-0000000000000006-0123456789abcdef.tmp";
        static const char young[] = ".oxen-lite.oxl-0000000000000007-0123456789abcdef.tmp";
        static const char other[] = ".oxen-like.oxl-0000000000000005-0123456789abcdef.tmp";
        static const char *const all[] = { dead, live, young, other };
        struct fixture *f = *state;
        char name[128];
        for (size_t i = 0; i < 4; i++) {
                place_mkdir(f->place, all[i]);
                snprintf(name, sizeof name, "%s/refs", all[i]);
                place_mkdir(f->place, name);
                snprintf(name, sizeof name, "%s/refs/file", all[i]);
                place_text(f->place, name, "x");
                snprintf(name, sizeof name, "%s/locks", all[i]);
                if (all[i] != young)
                        place_text(f->place, name, "");
        }
        snprintf(name, sizeof name, "%s/locks", live);
        int fd = place_open(f->place, name, O_RDWR);
        assert_int_equal(oxl_lock_set(fd, OXL_LOCK_OWNER_BASE + 6, 1, OXL_LOCK_EXCLUSIVE, false, "locks", NULL), 0);
        assert_int_equal(oxl_repo_init(f->place, OXL_ALGO_BLAKE3, NULL), 0);
        assert_false(place_has(f->place, dead));
        assert_true(place_has(f->place, live));
        assert_true(place_has(f->place, young));
        assert_true(place_has(f->place, other));
        close(fd);
}

/* --- open --- */

static void open_searches_upward(void **state)
{
        struct fixture *f = *state;
        struct oxl_repo *r;
        place_mkdir(f->place, "a");
        place_mkdir(f->place, "a/b");
        char *below = place_path(f->place, "a/b");
        assert_int_equal(oxl_repo_open(below, NULL, &r, NULL), 0);
        assert_string_equal(oxl_repo_worktree(r), f->place);
        oxl_repo_close(r);
        char *inside = place_path(f->place, ".oxen-lite/refs");
        assert_int_equal(oxl_repo_open(inside, NULL, &r, NULL), 0);
        assert_string_equal(oxl_repo_worktree(r), f->place);
        oxl_repo_close(r);
        free(below);
        free(inside);
}

static void no_repository_is_said_so(void **state)
{
        struct fixture *f = *state;
        struct oxl_repo *r;
        assert_int_equal(oxl_repo_open(f->place, NULL, &r, NULL), -OXL_E_REPO_NOT_FOUND);
        char *missing = place_path(f->place, "missing");
        assert_int_equal(oxl_repo_open(missing, NULL, &r, NULL), -OXL_E_DIR_OPEN);
        free(missing);
}

static int foreign_fstat(int fd, struct stat *st)
{
        int r = oxl_sys_real.fstat(fd, st);
        st->st_uid = geteuid() + 1;
        return r;
}

static void a_repository_of_another_user_needs_trust(void **state)
{
        struct fixture *f = *state;
        struct oxl_repo_options options = { .trust = true };
        struct oxl_repo *r;
        struct oxl_sys sys = oxl_sys_real;
        sys.fstat = foreign_fstat;
        oxl_sys = &sys;
        assert_int_equal(oxl_repo_open(f->place, NULL, &r, NULL), -OXL_E_REPO_UNTRUSTED);
        assert_int_equal(oxl_repo_open(f->place, &options, &r, NULL), 0);
        oxl_repo_close(r);
}

static void a_link_or_a_file_is_no_repository(void **state)
{
        struct fixture *f = *state;
        struct oxl_repo *r;
        char *from = place_path(f->place, ".oxen-lite"), *to = place_path(f->place, "elsewhere");
        assert_int_equal(rename(from, to), 0);
        assert_int_equal(symlink("elsewhere", from), 0);
        assert_int_equal(oxl_repo_open(f->place, NULL, &r, NULL), -OXL_E_MALFORMED);
        assert_int_equal(unlink(from), 0);
        place_text(f->place, ".oxen-lite", "");
        assert_int_equal(oxl_repo_open(f->place, NULL, &r, NULL), -OXL_E_MALFORMED);
        free(from);
        free(to);
}

static void a_missing_or_strange_format_file_is_malformed(void **state)
{
        struct fixture *f = *state;
        struct oxl_repo *r;
        char *path = place_path(f->place, ".oxen-lite/format");
        assert_int_equal(unlink(path), 0);
        assert_int_equal(oxl_repo_open(f->place, NULL, &r, NULL), -OXL_E_MALFORMED);
        assert_int_equal(mkfifo(path, 0666), 0);
        assert_int_equal(oxl_repo_open(f->place, NULL, &r, NULL), -OXL_E_MALFORMED);
        free(path);
}

static void a_read_only_format_is_opened_and_not_written(void **state)
{
        struct fixture *f = *state;
        struct oxl_buf text = OXL_BUF_INIT;
        const struct oxl_repo_id *id = &f->repo->format.id;
        assert_int_equal(
                oxl_buf_append_fmt(&text, NULL,
                                   "oxen-lite repository 1\nid %s\nhash blake3\nincompat\nro_compat new\ncompat\n",
                                   oxl_repo_id_text(f->repo)),
                0);
        assert_int_equal(oxl_seal_text(&text, "format", id, "format", NULL), 0);
        place_write(f->place, ".oxen-lite/format", text.data, text.len);
        struct oxl_repo *r;
        assert_int_equal(oxl_repo_open(f->place, NULL, &r, NULL), 0);
        assert_int_equal(oxl_repo_begin_write(r, NULL), -OXL_E_FEATURE);
        assert_int_equal(oxl_repo_config_set(r, "user.name", "x", NULL), -OXL_E_FEATURE);
        assert_int_equal(place_count(f->place, ".oxen-lite/owners"), 0);
        oxl_repo_close(r);
        oxl_buf_done(&text);
}

static void opening_writes_nothing(void **state)
{
        struct fixture *f = *state;
        struct oxl_head head;
        assert_int_equal(oxl_repo_head(f->repo, &head, NULL), 0);
        oxl_head_done(&head);
        assert_int_equal(place_count(f->place, ".oxen-lite/owners"), 0);
        assert_null(f->repo->owner);
}

static void two_writers_exclude_each_other(void **state)
{
        struct fixture *f = *state;
        struct oxl_repo_options options = { .wait_ms = 0, .command = "oxen-lite second" };
        struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_repo *other;
        assert_int_equal(oxl_repo_open(f->place, &options, &other, NULL), 0);
        assert_int_equal(oxl_repo_begin_write(other, NULL), 0);
        f->repo->options.wait_ms = 0;
        assert_int_equal(oxl_repo_begin_write(f->repo, &err), -OXL_E_LOCKED);
        assert_non_null(strstr(err.detail, "oxen-lite second"));
        oxl_repo_end_write(other);
        assert_int_equal(oxl_repo_begin_write(f->repo, NULL), 0);
        oxl_repo_end_write(f->repo);
        assert_int_equal(oxl_repo_begin_write(other, NULL), 0); /* closed while it writes */
        oxl_repo_close(other);
        assert_int_equal(oxl_repo_begin_write(f->repo, NULL), 0);
        oxl_repo_end_write(f->repo);
        assert_int_equal(place_count(f->place, ".oxen-lite/owners"), 1);
        oxl_error_done(&err);
}

static void a_failed_sync_poisons_the_object_until_it_is_reopened(void **state)
{
        struct fixture *f = *state;
        struct oxl_sys sys = oxl_sys_real;
        sys.fsync = failing_fsync;
        syncs_left = 0;
        oxl_sys = &sys;
        assert_int_equal(oxl_repo_config_set(f->repo, "user.name", "x", NULL), -OXL_E_FILE_SYNC);
        oxl_sys = &oxl_sys_real;
        assert_int_equal(oxl_repo_config_set(f->repo, "user.name", "x", NULL), -OXL_E_POISONED);
        assert_int_equal(oxl_repo_begin_write(f->repo, NULL), -OXL_E_POISONED);
        oxl_repo_close(f->repo);
        assert_int_equal(oxl_repo_open(f->place, NULL, &f->repo, NULL), 0);
        assert_int_equal(oxl_repo_config_set(f->repo, "user.name", "x", NULL), 0);
}

/* --- paths --- */

static void assert_path(struct fixture *f, const char *typed, const char *want)
{
        char *path = NULL;
        int r = oxl_repo_path(f->repo, typed, &path, NULL);
        if (want && (r != 0 || strcmp(path, want) != 0))
                fail_msg("'%s' gave '%s' (%d), not '%s'", typed, path ? path : "", r, want);
        if (!want && r != -OXL_E_PATH)
                fail_msg("'%s' gave %d", typed, r);
        free(path);
}

static void typed_paths_become_paths_of_the_working_tree(void **state)
{
        struct fixture *f = *state;
        char buf[4096];
        place_mkdir(f->place, "sub");
        char *sub = place_path(f->place, "sub");
        assert_int_equal(chdir(sub), 0);
        assert_path(f, ".", "sub");
        assert_path(f, "..", "");
        assert_path(f, "../", "");
        assert_path(f, "gone/file", "sub/gone/file");
        assert_path(f, ".././/x/../y", "y");
        assert_path(f,
                    "a\xff"
                    "b",
                    "sub/a\xff"
                    "b");
        assert_path(f, f->place, "");
        snprintf(buf, sizeof buf, "%s/x//y/", f->place);
        assert_path(f, buf, "x/y");
        assert_path(f, "", NULL);
        assert_path(f, "../..", NULL);
        assert_path(f, "/", NULL);
        assert_path(f, "/etc/passwd", NULL);
        snprintf(buf, sizeof buf, "%sx/file", f->place); /* only the text begins alike */
        assert_path(f, buf, NULL);
        assert_path(f, "../.oxen-lite", NULL);
        assert_path(f, "../.OXEN-lite/HEAD", NULL);
        assert_path(f, "x/.oxen-lite/HEAD", NULL);
        assert_path(f, "../.oxen-lite2", ".oxen-lite2");
        memset(buf, 'n', 256);
        buf[256] = 0;
        assert_path(f, buf, NULL);
        free(sub);
}

static void an_endless_path_is_refused(void **state)
{
        struct fixture *f = *state;
        char *buf = malloc(40001);
        assert_int_equal(chdir(f->place), 0);
        for (size_t i = 0; i < 40000; i += 2)
                memcpy(buf + i, "a/", 2);
        buf[40000] = 0;
        assert_path(f, buf, NULL);
        free(buf);
}

static void links_are_followed_above_the_working_tree_only(void **state)
{
        struct fixture *f = *state;
        char *outside = place_new(), buf[4096];
        place_mkdir(f->place, "sub");
        place_text(f->place, "file", "x");
        char *link = place_path(outside, "tree"), *deep = place_path(outside, "deep"),
             *sub = place_path(f->place, "sub");
        char *inner = place_path(f->place, "inner");
        assert_int_equal(symlink(f->place, link), 0);
        assert_int_equal(symlink(sub, deep), 0);
        assert_int_equal(symlink("/etc", inner), 0);
        snprintf(buf, sizeof buf, "%s/file", link);
        assert_path(f, buf, "file");
        snprintf(buf, sizeof buf, "%s/gone/file", link);
        assert_path(f, buf, "gone/file");
        snprintf(buf, sizeof buf, "%s/inner", link); /* a link in the working tree stays a link */
        assert_path(f, buf, "inner");
        snprintf(buf, sizeof buf, "%s/inner/passwd", link);
        assert_path(f, buf, "inner/passwd");
        snprintf(buf, sizeof buf, "%s/x", deep);
        assert_path(f, buf, "sub/x");
        snprintf(buf, sizeof buf, "%s/.oxen-lite/HEAD", link);
        assert_path(f, buf, NULL);
        assert_path(f, link, "");
        assert_path(f, inner, "inner");
        assert_path(f, outside, NULL);
        free(link);
        free(deep);
        free(sub);
        free(inner);
        place_free(outside);
}

/* --- history --- */

static int emit(void *ctx, const void *payload, size_t n, struct oxl_digest *ret_id, struct oxl_error *err)
{
        int r = oxl_put_object(ctx, OXL_KIND_TREE, payload, n, ret_id, err);
        return r < 0 ? r : 0;
}

struct file {
        const char *path, *content;
        enum oxl_entry_kind kind;
};

/* Puts a tree of @files (in order, ended by a NULL path) and a commit over it. */
static struct oxl_digest put_commit(struct oxl_put *p, const struct file *files, const char *message,
                                    const struct oxl_digest *parents, unsigned n)
{
        struct oxl_digest id;
        struct oxl_tree_builder *b;
        struct oxl_buf text = OXL_BUF_INIT;
        char author[] = "Ada <a@b>";
        assert_int_equal(oxl_tree_builder_new(emit, p, &b, NULL), 0);
        for (; files->path; files++) {
                assert_true(oxl_put_object(p, OXL_KIND_BLOB, files->content, strlen(files->content), &id, NULL) >= 0);
                assert_int_equal(oxl_tree_builder_add(b, files->path, strlen(files->path), files->kind,
                                                      strlen(files->content), &id, NULL),
                                 0);
        }
        struct oxl_commit c = { .author = author, .message = strdup(message), .seconds = 1000, .parents = n };
        assert_int_equal(oxl_tree_builder_finish(b, &c.tree, NULL), 0);
        oxl_tree_builder_free(b);
        for (unsigned i = 0; i < n; i++)
                c.parent[i] = parents[i];
        assert_int_equal(oxl_commit_encode(&c, &text, NULL), 0);
        assert_true(oxl_put_object(p, OXL_KIND_COMMIT, text.data, text.len, &id, NULL) >= 0);
        oxl_buf_done(&text);
        free(c.message);
        return id;
}

static int setup_history(void **state)
{
        static const struct file one[] = { { "a.txt", "alpha", OXL_ENTRY_FILE }, { NULL, NULL, 0 } };
        static const struct file two[] = { { "a.txt", "beta", OXL_ENTRY_FILE },
                                           { "dir/link", "a.txt", OXL_ENTRY_SYMLINK },
                                           { "dir/run", "#!", OXL_ENTRY_EXECUTABLE },
                                           { NULL, NULL, 0 } };
        static const struct oxl_digest none = OXL_DIGEST_INIT;
        if (setup(state) != 0)
                return -1;
        struct fixture *f = *state;
        struct oxl_objects *o;
        struct oxl_put *p;
        assert_int_equal(oxl_repo_begin_write(f->repo, NULL), 0);
        assert_int_equal(oxl_repo_objects(f->repo, &o, NULL), 0);
        assert_int_equal(oxl_put_begin(o, &p, NULL), 0);
        f->side = put_commit(p, one, "side", NULL, 0);
        f->commit[0] = put_commit(p, one, "first", NULL, 0);
        f->commit[1] = put_commit(p, two, "second", &f->commit[0], 1);
        f->commit[2] = put_commit(p, two, "third", (struct oxl_digest[]){ f->commit[1], f->side }, 2);
        assert_int_equal(oxl_put_finish(p, NULL), 0);
        assert_int_equal(oxl_put_publish(p, NULL), 0);
        oxl_put_free(p);
        assert_int_equal(oxl_durable_barrier(f->repo->durable, NULL), 0);
        assert_int_equal(oxl_ref_swap(f->repo, "refs/heads/main", &none, &f->commit[2], NULL), 0);
        assert_int_equal(oxl_ref_swap(f->repo, "refs/heads/topic/x", &none, &f->commit[1], NULL), 0);
        assert_int_equal(oxl_ref_swap(f->repo, "refs/tags/v1", &none, &f->commit[0], NULL), 0);
        oxl_repo_end_write(f->repo);
        return 0;
}

static void assert_rev(struct fixture *f, const char *rev, const struct oxl_digest *want)
{
        struct oxl_digest got;
        int r = oxl_repo_resolve(f->repo, rev, &got, NULL);
        if (r != 0 || !oxl_digest_equal(&got, want))
                fail_msg("'%s' is another commit, or none (%d)", rev, r);
}

static void assert_no_rev(struct fixture *f, const char *rev, int want)
{
        struct oxl_digest got;
        int r = oxl_repo_resolve(f->repo, rev, &got, NULL);
        if (r != -want)
                fail_msg("'%s' gave %d, not %d", rev, r, -want);
}

static void revisions_are_found_by_every_kind_of_name(void **state)
{
        struct fixture *f = *state;
        const struct oxl_digest *c = f->commit;
        char id[OXL_DIGEST_TEXT_MAX], prefix[OXL_DIGEST_TEXT_MAX + 8];
        oxl_digest_text(&c[1], id);
        snprintf(prefix, sizeof prefix, "%.12s", id);
        assert_rev(f, "HEAD", &c[2]);
        assert_rev(f, "@", &c[2]);
        assert_rev(f, "main", &c[2]);
        assert_rev(f, "topic/x", &c[1]);
        assert_rev(f, "v1", &c[0]);
        assert_rev(f, "refs/heads/main", &c[2]);
        assert_rev(f, "refs/tags/v1", &c[0]);
        assert_rev(f, id, &c[1]);
        assert_rev(f, prefix, &c[1]);
        snprintf(prefix, sizeof prefix, "%.12s~1", id);
        assert_rev(f, prefix, &c[0]);
        assert_rev(f, "HEAD~", &c[1]);
        assert_rev(f, "HEAD~2", &c[0]);
        assert_rev(f, "@~1~1", &c[0]);
        assert_rev(f, "HEAD^", &c[1]);
        assert_rev(f, "HEAD^^", &c[0]);
        assert_rev(f, "HEAD^2", &f->side);
        assert_rev(f, "HEAD^0~0^0", &c[2]);
        assert_rev(f, "HEAD^1~1", &c[0]);
}

static void what_is_no_revision_is_refused(void **state)
{
        struct fixture *f = *state;
        char *endless = malloc(100001);
        assert_no_rev(f, "", OXL_E_REV);
        assert_no_rev(f, "~1", OXL_E_REV);
        assert_no_rev(f, "HEAD~3", OXL_E_REV);
        assert_no_rev(f, "HEAD~99999999999", OXL_E_REV);
        assert_no_rev(f, "HEAD~99999999999999999999999999999999", OXL_E_REV);
        assert_no_rev(f, "HEAD^3", OXL_E_REV);
        assert_no_rev(f, "HEAD^18446744073709551617", OXL_E_REV);
        assert_no_rev(f, "HEAD~1x", OXL_E_REV);
        assert_no_rev(f, "HEAD~-1", OXL_E_REV);
        assert_no_rev(f, "HEAD^{tree}", OXL_E_REV);
        assert_no_rev(f, "abc", OXL_E_REV);
        assert_no_rev(f, "0000", OXL_E_REV);
        assert_no_rev(f, "0000000000000000000000000000000000000000000000000000000000000000", OXL_E_REV);
        assert_no_rev(f, "00000000000000000000000000000000000000000000000000000000000000000", OXL_E_REV);
        assert_no_rev(f, "nothing", OXL_E_REF_NOT_FOUND);
        assert_no_rev(f, "topic", OXL_E_REF_NOT_FOUND); /* only a folder of branches */
        assert_no_rev(f, "refs/heads/nothing", OXL_E_REF_NOT_FOUND);
        assert_no_rev(f, "../format", OXL_E_REF_NOT_FOUND);
        memset(endless, 'x', 100000);
        endless[100000] = 0;
        assert_no_rev(f, endless, OXL_E_REF_NOT_FOUND);
        memset(endless, '0', 100000);
        assert_no_rev(f, endless, OXL_E_REV);
        free(endless);
}

static void an_empty_branch_has_no_commits(void **state)
{
        struct fixture *f = *state;
        assert_no_rev(f, "HEAD", OXL_E_NO_COMMITS);
        assert_no_rev(f, "@~1", OXL_E_NO_COMMITS);
        assert_no_rev(f, "main", OXL_E_NO_COMMITS);
        assert_no_rev(f, "other", OXL_E_REF_NOT_FOUND);
}

static void a_ref_to_a_missing_commit_is_an_error(void **state)
{
        static const struct oxl_digest none = OXL_DIGEST_INIT;
        struct fixture *f = *state;
        struct oxl_digest missing = oxl_digest_of(OXL_ALGO_BLAKE3, "x", 1);
        assert_int_equal(oxl_repo_lock_writer(f->repo, NULL), 0);
        assert_int_equal(oxl_ref_swap(f->repo, "refs/heads/lost", &none, &missing, NULL), 0);
        oxl_repo_end_write(f->repo);
        assert_no_rev(f, "lost", OXL_E_OBJECT_MISSING);
}

struct lines {
        char text[2048];
        int stop_after; /* -1: never */
};

static int add_line(struct lines *l, const char *a, const char *b)
{
        size_t n = strlen(l->text);
        snprintf(l->text + n, sizeof l->text - n, "%s%s\n", a, b);
        return --l->stop_after == 0;
}

static int on_commit(void *ctx, const struct oxl_commit_info *info, struct oxl_error *err)
{
        assert_string_equal(info->author, "Ada <a@b>");
        assert_int_equal(info->seconds, 1000);
        return add_line(ctx, info->message, "");
}

static void log_follows_first_parents_newest_first(void **state)
{
        struct fixture *f = *state;
        struct lines l = { .stop_after = -1 };
        assert_int_equal(oxl_repo_log(f->repo, NULL, 0, on_commit, &l, NULL), 0);
        assert_string_equal(l.text, "third\nsecond\nfirst\n");
        l = (struct lines){ .stop_after = -1 };
        assert_int_equal(oxl_repo_log(f->repo, "HEAD", 2, on_commit, &l, NULL), 0);
        assert_string_equal(l.text, "third\nsecond\n");
        l = (struct lines){ .stop_after = 1 };
        assert_int_equal(oxl_repo_log(f->repo, NULL, 0, on_commit, &l, NULL), 0);
        assert_string_equal(l.text, "third\n");
        l = (struct lines){ .stop_after = -1 };
        assert_int_equal(oxl_repo_log(f->repo, "v1", 0, on_commit, &l, NULL), 0);
        assert_string_equal(l.text, "first\n");
}

static int on_item(void *ctx, const struct oxl_ls_item *item, struct oxl_error *err)
{
        char head[32];
        snprintf(head, sizeof head, "%c %llu ", item->kind, (unsigned long long)item->size);
        return add_line(ctx, head, item->path);
}

static void assert_ls(struct fixture *f, const char *rev, const char *path, bool recursive, const char *want)
{
        struct lines l = { .stop_after = -1 };
        assert_int_equal(oxl_repo_ls(f->repo, rev, path, recursive, on_item, &l, NULL), 0);
        assert_string_equal(l.text, want);
}

static void ls_shows_one_folder_or_all_below_with_full_paths(void **state)
{
        struct fixture *f = *state;
        struct lines l = { .stop_after = -1 };
        assert_ls(f, NULL, "", false, "f 4 a.txt\nd 7 dir\n");
        assert_ls(f, NULL, "", true, "f 4 a.txt\nl 5 dir/link\nx 2 dir/run\n");
        assert_ls(f, NULL, "dir", false, "l 5 dir/link\nx 2 dir/run\n");
        assert_ls(f, NULL, "dir", true, "l 5 dir/link\nx 2 dir/run\n");
        assert_ls(f, NULL, "dir/run", false, "x 2 dir/run\n");
        assert_ls(f, "v1", "a.txt", true, "f 5 a.txt\n");
        assert_int_equal(oxl_repo_ls(f->repo, "v1", "dir", false, on_item, &l, NULL), -OXL_E_PATH_NOT_FOUND);
}

static int on_bytes(void *ctx, const void *bytes, size_t n, struct oxl_error *err)
{
        struct oxl_buf *b = ctx;
        return oxl_buf_append(b, bytes, n, err);
}

static void assert_cat(struct fixture *f, const char *rev, const char *path, const char *want)
{
        struct oxl_buf b = OXL_BUF_INIT;
        assert_int_equal(oxl_repo_cat(f->repo, rev, path, on_bytes, &b, NULL), 0);
        assert_string_equal(oxl_buf_text(&b), want);
        oxl_buf_done(&b);
}

static void cat_hands_out_files_and_link_targets(void **state)
{
        struct fixture *f = *state;
        struct oxl_buf b = OXL_BUF_INIT;
        assert_cat(f, NULL, "a.txt", "beta");
        assert_cat(f, "v1", "a.txt", "alpha");
        assert_cat(f, NULL, "dir/link", "a.txt");
        assert_int_equal(oxl_repo_cat(f->repo, NULL, "dir", on_bytes, &b, NULL), -OXL_E_OBJECT_KIND);
        assert_int_equal(oxl_repo_cat(f->repo, NULL, "", on_bytes, &b, NULL), -OXL_E_OBJECT_KIND);
        assert_int_equal(oxl_repo_cat(f->repo, NULL, "gone", on_bytes, &b, NULL), -OXL_E_PATH_NOT_FOUND);
        assert_int_equal(b.len, 0);
        oxl_buf_done(&b);
}

static int on_difference(void *ctx, const struct oxl_ls_item *old, const struct oxl_ls_item *new_,
                         struct oxl_error *err)
{
        char kinds[8];
        assert_string_equal(old->path, new_->path);
        snprintf(kinds, sizeof kinds, "%c%c ", old->kind, new_->kind);
        return add_line(ctx, kinds, new_->path);
}

static void assert_diff(struct fixture *f, const struct oxl_digest *a, const struct oxl_digest *b, const char *want)
{
        struct lines l = { .stop_after = -1 };
        assert_int_equal(oxl_repo_diff(f->repo, a, b, on_difference, &l, NULL), 0);
        assert_string_equal(l.text, want);
}

static void diff_tells_both_sides_in_order(void **state)
{
        static const struct oxl_digest none = OXL_DIGEST_INIT;
        struct fixture *f = *state;
        assert_diff(f, &f->commit[0], &f->commit[1], "ff a.txt\nal dir/link\nax dir/run\n");
        assert_diff(f, &f->commit[1], &f->commit[0], "ff a.txt\nla dir/link\nxa dir/run\n");
        assert_diff(f, &f->commit[1], &f->commit[2], "");
        assert_diff(f, &none, &f->commit[0], "af a.txt\n");
        assert_diff(f, &f->commit[0], &none, "fa a.txt\n");
}

int main(void)
{
#define P(name) cmocka_unit_test_setup_teardown(name, setup_place, teardown)
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define H(name) cmocka_unit_test_setup_teardown(name, setup_history, teardown)
        const struct CMUnitTest tests[] = {
                T(init_makes_everything_and_leaves_no_temp),
                T(a_second_init_is_refused_and_changes_nothing),
                P(init_makes_missing_directories),
                P(init_takes_relative_directories),
                P(init_refuses_an_unknown_hash),
                P(a_failed_init_leaves_no_folder),
                P(the_folder_of_a_dead_init_is_removed_and_others_stay),
                T(open_searches_upward),
                P(no_repository_is_said_so),
                T(a_repository_of_another_user_needs_trust),
                T(a_link_or_a_file_is_no_repository),
                T(a_missing_or_strange_format_file_is_malformed),
                T(a_read_only_format_is_opened_and_not_written),
                T(opening_writes_nothing),
                T(two_writers_exclude_each_other),
                T(a_failed_sync_poisons_the_object_until_it_is_reopened),
                T(typed_paths_become_paths_of_the_working_tree),
                T(an_endless_path_is_refused),
                T(links_are_followed_above_the_working_tree_only),
                H(revisions_are_found_by_every_kind_of_name),
                H(what_is_no_revision_is_refused),
                T(an_empty_branch_has_no_commits),
                H(a_ref_to_a_missing_commit_is_an_error),
                H(log_follows_first_parents_newest_first),
                H(ls_shows_one_folder_or_all_below_with_full_paths),
                H(cat_hands_out_files_and_link_targets),
                H(diff_tells_both_sides_in_order),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * The index against a plain sorted array, over thousands of random changes; and against every bit that can be wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <fcntl.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/path.h"
#include "os/fdio.h"
#include "repo/index_internal.h"
#include "support/scratch.h"

static const struct oxl_repo_id id = { { 7, 1, 2 } };

struct place {
        struct scratch dir;
        struct oxl_durable *durable;
        enum oxl_algo algo;
};

static void put_file(struct place *p, const char *name, const struct oxl_buf *bytes)
{
        int fd = openat(p->dir.fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        assert_int_equal(oxl_fd_write_all(fd, bytes->data, bytes->len), 0);
        assert_int_equal(close(fd), 0);
}

static struct oxl_buf get_file(struct place *p, const char *name)
{
        struct oxl_buf bytes = OXL_BUF_INIT;
        int fd = openat(p->dir.fd, name, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(oxl_fd_read_all(fd, 1u << 30, &bytes), 0);
        close(fd);
        return bytes;
}

static void place_new(struct place *p, enum oxl_algo algo)
{
        struct oxl_buf base = OXL_BUF_INIT, delta = OXL_BUF_INIT;
        oxl_digest_setup();
        scratch_new(&p->dir);
        p->algo = algo;
        assert_int_equal(oxl_durable_new(p->dir.fd, p->dir.path, 1, &p->durable, NULL), 0);
        assert_int_equal(oxl_index_print_empty(&id, &base, &delta, NULL), 0);
        put_file(p, "index", &base);
        put_file(p, "index.delta", &delta);
        oxl_buf_done(&base);
        oxl_buf_done(&delta);
}

static void place_done(struct place *p)
{
        oxl_durable_free(p->durable);
        scratch_done(&p->dir);
}

static int try_open(struct place *p, struct oxl_index **ret)
{
        return oxl_index_open(p->dir.fd, &id, p->algo, ret, NULL);
}

static struct oxl_index *open_index(struct place *p)
{
        struct oxl_index *x = NULL;
        assert_int_equal(try_open(p, &x), 0);
        return x;
}

static struct oxl_index_edit *new_edit(struct oxl_index *x)
{
        struct oxl_index_edit *e = NULL;
        assert_int_equal(oxl_index_edit_new(x, &e, NULL), 0);
        return e;
}

static struct oxl_stage *stage(struct place *p, struct oxl_index_edit *e, const char **ret_target)
{
        struct oxl_stage *s = NULL;
        struct oxl_digest digest;
        uint64_t size = 0;
        assert_int_equal(oxl_index_stage(e, p->durable, &s, ret_target, &digest, &size, NULL), 0);
        struct oxl_buf bytes = get_file(p, oxl_stage_path(s));
        struct oxl_digest got = oxl_digest_of(OXL_ALGO_BLAKE3, bytes.data, bytes.len);
        assert_int_equal(size, bytes.len);
        assert_true(oxl_digest_equal(&got, &digest));
        oxl_buf_done(&bytes);
        return s;
}

static void publish(struct oxl_stage *s, const char *target)
{
        assert_int_equal(oxl_stage_publish(s, target, false, NULL), 0);
        oxl_stage_free(s);
}

/* Writes the edit, and says whether a new base was made. Frees edit and index. */
static bool save(struct place *p, struct oxl_index *x, struct oxl_index_edit *e)
{
        const char *target = NULL;
        struct oxl_stage *s = stage(p, e, &target);
        publish(s, target);
        oxl_index_edit_free(e);
        oxl_index_free(x);
        return strcmp(target, "index") == 0;
}

static struct oxl_index_entry entry_of(struct place *p, const char *path, enum oxl_entry_kind kind, bool staged,
                                       uint64_t n)
{
        struct oxl_index_entry e = { .path = path, .path_len = strlen(path), .kind = kind, .staged = staged };
        if (kind == OXL_ENTRY_NONE)
                return e;
        e.size = kind == OXL_ENTRY_SYMLINK ? n % 4095 + 1 : n;
        e.id = oxl_digest_of(p->algo, &n, sizeof n);
        if (n % 3)
                e.stat = (struct oxl_stat){ -(int64_t)n, (int64_t)n + 1, 5, 6, n, n * n, 0100644 };
        return e;
}

static void set(struct place *p, struct oxl_index_edit *e, const char *path, enum oxl_entry_kind kind, bool staged,
                uint64_t n)
{
        struct oxl_index_entry entry = entry_of(p, path, kind, staged, n);
        assert_int_equal(oxl_index_edit_set(e, &entry, NULL), 0);
}

static void assert_same_entry(const struct oxl_index_entry *a, const struct oxl_index_entry *b)
{
        assert_string_equal(a->path, b->path);
        assert_int_equal(a->path_len, b->path_len);
        assert_int_equal(a->kind, b->kind);
        assert_int_equal(a->staged, b->staged);
        assert_int_equal(a->size, b->size);
        assert_true(oxl_digest_equal(&a->id, &b->id));
        assert_int_equal(a->stat.mtime_s, b->stat.mtime_s);
        assert_int_equal(a->stat.mtime_ns, b->stat.mtime_ns);
        assert_int_equal(a->stat.ctime_s, b->stat.ctime_s);
        assert_int_equal(a->stat.ctime_ns, b->stat.ctime_ns);
        assert_int_equal(a->stat.dev, b->stat.dev);
        assert_int_equal(a->stat.ino, b->stat.ino);
        assert_int_equal(a->stat.mode, b->stat.mode);
}

/* --- the model --------------------------------------------------------------------------------------------------- */

enum { PATHS = 3000, ROUNDS = 220 };

static uint64_t seed;

static uint64_t rnd(uint64_t n)
{
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        return seed % n;
}

struct model {
        char *path[PATHS]; /* sorted */
        bool there[PATHS];
        struct oxl_index_entry entry[PATHS];
        struct oxl_digest tree;
};

static int compare_texts(const void *a, const void *b)
{
        const char *const *x = a, *const *y = b;
        return oxl_path_compare(*x, strlen(*x), *y, strlen(*y));
}

static void model_new(struct model *m)
{
        static const char *const parts[] = { "a", "a.b", "a-b", "data", "\xff\xfe", "x\ny", "Z", "0", "a b" };
        memset(m, 0, sizeof *m);
        for (size_t i = 0; i < PATHS; i++) {
                char text[400];
                size_t n = 0;
                for (uint64_t d = rnd(4); d > 0; d--)
                        n += (size_t)snprintf(text + n, sizeof text - n, "%s/", parts[rnd(OXL_ARRAY_LEN(parts))]);
                snprintf(text + n, sizeof text - n, "%s%zu", parts[rnd(OXL_ARRAY_LEN(parts))], i);
                m->path[i] = strdup(text);
        }
        qsort(m->path, PATHS, sizeof m->path[0], compare_texts);
}

static void model_done(struct model *m)
{
        for (size_t i = 0; i < PATHS; i++)
                free(m->path[i]);
}

static void model_commit(struct model *m, const struct oxl_digest *tree)
{
        for (size_t i = 0; i < PATHS; i++) {
                m->there[i] &= m->entry[i].kind != OXL_ENTRY_NONE;
                m->entry[i].staged = false;
        }
        m->tree = *tree;
}

static void random_change(struct place *p, struct model *m, struct oxl_index_edit *e)
{
        size_t i = rnd(PATHS);
        enum oxl_entry_kind kind = rnd(4) ? (enum oxl_entry_kind)(1 + rnd(3)) : OXL_ENTRY_NONE;
        m->entry[i] = entry_of(p, m->path[i], kind, rnd(2), rnd(1u << 20));
        m->there[i] = kind != OXL_ENTRY_NONE || m->entry[i].staged;
        assert_int_equal(oxl_index_edit_set(e, &m->entry[i], NULL), 0);
}

static bool text_within(const char *path, const char *from)
{
        size_t n = strlen(from);
        return n == 0 || (strncmp(path, from, n) == 0 && (path[n] == 0 || path[n] == '/'));
}

/* The cursor, which is freed, yields exactly what the model has below @from. */
static void assert_cursor(const struct model *m, struct oxl_index_cursor *c, const char *from, bool staged_only)
{
        struct oxl_index_entry e;
        for (size_t i = 0; i < PATHS; i++) {
                if (!m->there[i] || (staged_only && !m->entry[i].staged) || !text_within(m->path[i], from))
                        continue;
                assert_int_equal(oxl_index_cursor_next(c, &e, NULL), 0);
                assert_same_entry(&e, &m->entry[i]);
        }
        assert_int_equal(oxl_index_cursor_next(c, &e, NULL), 1);
        oxl_index_cursor_free(c);
}

static void assert_cursors(const struct model *m, struct oxl_index *x, struct oxl_index_edit *e)
{
        const char *from[] = { "", m->path[rnd(PATHS)], "a", "data/a", "zzz", "0" };
        for (size_t i = 0; i < OXL_ARRAY_LEN(from) * 2; i++) {
                struct oxl_index_cursor *c = NULL;
                unsigned flags = i % 2 ? OXL_INDEX_STAGED_ONLY : 0;
                assert_int_equal(e ? oxl_index_edit_cursor_new(e, from[i / 2], flags, &c, NULL)
                                   : oxl_index_cursor_new(x, from[i / 2], flags, &c, NULL),
                                 0);
                assert_cursor(m, c, from[i / 2], flags);
        }
}

static void assert_lookups(const struct model *m, struct oxl_index *x)
{
        size_t at = rnd(PATHS);
        for (int n = 0; n < 300; n++) {
                struct oxl_index_entry e;
                /* partly in order, as callers do, partly anywhere */
                at = rnd(10) ? (at + 1 + rnd(5)) % PATHS : rnd(PATHS);
                int r = oxl_index_lookup(x, m->path[at], strlen(m->path[at]), &e, NULL);
                assert_int_equal(r, m->there[at] ? 0 : 1);
                if (r == 0)
                        assert_same_entry(&e, &m->entry[at]);
        }
}

static void assert_index(struct place *p, const struct model *m)
{
        struct oxl_index *x = open_index(p);
        uint64_t count = 0;
        for (size_t i = 0; i < PATHS; i++)
                count += m->there[i];
        assert_true(oxl_index_count_bound(x) >= count);
        assert_true(oxl_digest_equal(oxl_index_tree(x), &m->tree));
        assert_int_equal(oxl_index_verify(x, NULL), 0);
        assert_cursors(m, x, NULL);
        assert_lookups(m, x);
        oxl_index_free(x);
}

static void random_changes(struct place *p, uint64_t first_seed)
{
        struct model *m = malloc(sizeof *m);
        unsigned bases = 0, deltas = 0;
        seed = first_seed;
        model_new(m);
        for (int round = 0; round < ROUNDS; round++) {
                struct oxl_index *x = open_index(p);
                struct oxl_index_edit *e = new_edit(x);
                for (uint64_t n = rnd(12) ? rnd(60) : rnd(1500); n > 0; n--)
                        random_change(p, m, e);
                if (rnd(3) == 0) {
                        struct oxl_digest tree = oxl_digest_of(OXL_ALGO_BLAKE3, &seed, sizeof seed);
                        assert_int_equal(oxl_index_edit_commit(e, &tree, NULL), 0);
                        model_commit(m, &tree);
                        for (uint64_t n = rnd(5); n > 0; n--)
                                random_change(p, m, e);
                }
                assert_cursors(m, x, e);
                if (save(p, x, e))
                        bases++;
                else
                        deltas++;
                assert_index(p, m);
        }
        /* else the test would not test what it says */
        assert_true(bases >= 10);
        assert_true(deltas >= 50);
        model_done(m);
        free(m);
}

static void random_edits_agree_with_a_sorted_array(void **state)
{
        struct place p;
        place_new(&p, OXL_ALGO_BLAKE3);
        random_changes(&p, 20261122);
        place_done(&p);
}

static void random_edits_agree_with_a_sorted_array_for_short_digests(void **state)
{
        struct place p;
        place_new(&p, OXL_ALGO_XXH3_128);
        random_changes(&p, 31337);
        place_done(&p);
}

/* --- small truths ------------------------------------------------------------------------------------------------- */

static void a_missing_file_is_an_open_error_with_enoent(void **state)
{
        static const char *const names[] = { "index", "index.delta" };
        for (size_t i = 0; i < 2; i++) {
                struct place p;
                struct oxl_index *x;
                struct oxl_error err = OXL_ERROR_INIT;
                place_new(&p, OXL_ALGO_BLAKE3);
                assert_int_equal(unlinkat(p.dir.fd, names[i], 0), 0);
                assert_int_equal(oxl_index_open(p.dir.fd, &id, p.algo, &x, &err), -OXL_E_FILE_OPEN);
                assert_int_equal(err.os, ENOENT);
                oxl_error_done(&err);
                place_done(&p);
        }
}

static void names_that_no_tree_may_hold_are_refused_by_edits(void **state)
{
        static const char *const bad[] = { "", "/a", "a/", "a//b", "a/../b", ".", "a/.OXEN-Lite/b", ".oxen-lite" };
        struct place p;
        place_new(&p, OXL_ALGO_BLAKE3);
        struct oxl_index *x = open_index(&p);
        struct oxl_index_edit *e = new_edit(x);
        for (size_t i = 0; i < OXL_ARRAY_LEN(bad); i++) {
                struct oxl_index_entry entry = entry_of(&p, bad[i], OXL_ENTRY_FILE, true, 1);
                assert_int_equal(oxl_index_edit_set(e, &entry, NULL), -OXL_E_PATH);
        }
        struct oxl_index_entry nul = entry_of(&p, "ab", OXL_ENTRY_FILE, true, 1);
        nul.path = "a\0b";
        nul.path_len = 3;
        assert_int_equal(oxl_index_edit_set(e, &nul, NULL), -OXL_E_PATH);
        assert_int_equal(oxl_index_edit_count(e), 0);
        oxl_index_edit_free(e);
        oxl_index_free(x);
        place_done(&p);
}

/* "d/d/…/f" with @folders folders, or (0) the longest path of 255-byte names. */
static char *long_path(size_t folders, size_t len)
{
        char *text = malloc(len + 1);
        if (folders) {
                for (size_t i = 0; i < folders; i++)
                        memcpy(text + 2 * i, "d/", 2);
                text[2 * folders] = 'f';
                text[2 * folders + 1] = 0;
                return text;
        }
        memset(text, 'n', len);
        for (size_t i = 255; i < len - 1; i += 256)
                text[i] = '/';
        text[len] = 0;
        return text;
}

static void the_longest_and_deepest_paths_fit_and_longer_ones_do_not(void **state)
{
        struct place p;
        place_new(&p, OXL_ALGO_BLAKE3);
        char *deep = long_path(1024, 2049), *longest = long_path(0, 32767);
        char *deeper = long_path(1025, 2051), *longer = long_path(0, 32768);
        struct oxl_index *x = open_index(&p);
        struct oxl_index_edit *e = new_edit(x);
        set(&p, e, deep, OXL_ENTRY_FILE, true, 4);
        set(&p, e, longest, OXL_ENTRY_FILE, true, 5);
        struct oxl_index_entry entry = entry_of(&p, deeper, OXL_ENTRY_FILE, true, 1);
        assert_int_equal(oxl_index_edit_set(e, &entry, NULL), -OXL_E_LIMIT);
        entry = entry_of(&p, longer, OXL_ENTRY_FILE, true, 1);
        assert_int_equal(oxl_index_edit_set(e, &entry, NULL), -OXL_E_LIMIT);
        save(&p, x, e);
        for (int n = 0; n < 2; n++) { /* in the delta, then in a base */
                x = open_index(&p);
                struct oxl_index_entry got, want = entry_of(&p, deep, OXL_ENTRY_FILE, true, 4);
                assert_int_equal(oxl_index_lookup(x, deep, strlen(deep), &got, NULL), 0);
                assert_same_entry(&got, &want);
                want = entry_of(&p, longest, OXL_ENTRY_FILE, true, 5);
                assert_int_equal(oxl_index_lookup(x, longest, strlen(longest), &got, NULL), 0);
                assert_same_entry(&got, &want);
                assert_int_equal(oxl_index_verify(x, NULL), 0);
                e = new_edit(x);
                for (unsigned i = 0; i < 1000; i++) {
                        char name[32];
                        snprintf(name, sizeof name, "z%u", i);
                        set(&p, e, name, OXL_ENTRY_FILE, true, i);
                }
                assert_true(save(&p, x, e));
        }
        free(deep);
        free(longest);
        free(deeper);
        free(longer);
        place_done(&p);
}

static void fill(struct place *p, unsigned from, unsigned to, bool staged)
{
        struct oxl_index *x = open_index(p);
        struct oxl_index_edit *e = new_edit(x);
        for (unsigned i = from; i < to; i++) {
                char name[64];
                snprintf(name, sizeof name, "folder%u/file-%06u.txt", i / 100 % 10, i);
                set(p, e, name, OXL_ENTRY_FILE, staged, i + 1);
        }
        save(p, x, e);
}

static void removing_what_is_not_in_the_base_leaves_nothing_in_the_delta(void **state)
{
        struct place p;
        place_new(&p, OXL_ALGO_BLAKE3);
        for (int n = 0; n < 2; n++) {
                struct oxl_index *x = open_index(&p);
                struct oxl_index_edit *e = new_edit(x);
                set(&p, e, "new", n == 0 ? OXL_ENTRY_FILE : OXL_ENTRY_NONE, n == 0, 1);
                assert_false(save(&p, x, e));
        }
        struct oxl_buf delta = get_file(&p, "index.delta");
        assert_int_equal(delta.len, OXL_INDEX_HEADER_BYTES + OXL_INDEX_SEAL_BYTES);
        oxl_buf_done(&delta);
        place_done(&p);
}

static uint64_t bytes_read;

static ssize_t counting_pread(int fd, void *buf, size_t n, off_t at)
{
        ssize_t r = oxl_sys_real.pread(fd, buf, n, at);
        bytes_read += r > 0 ? (uint64_t)r : 0;
        return r;
}

static void a_small_commit_reads_and_writes_a_few_blocks(void **state)
{
        struct place p;
        struct oxl_sys counting = oxl_sys_real;
        place_new(&p, OXL_ALGO_BLAKE3);
        fill(&p, 0, 30000, false); /* about 3 MB */
        counting.pread = counting_pread;
        oxl_sys = &counting;
        bytes_read = 0;
        struct oxl_index *x = open_index(&p);
        struct oxl_index_edit *e = new_edit(x);
        struct oxl_digest tree = oxl_digest_of(OXL_ALGO_BLAKE3, "t", 1);
        set(&p, e, "folder1/file-000100.txt", OXL_ENTRY_FILE, true, 9);
        set(&p, e, "folder2/file-000200.txt", OXL_ENTRY_NONE, true, 0);
        assert_int_equal(oxl_index_edit_commit(e, &tree, NULL), 0);
        assert_false(save(&p, x, e));
        oxl_sys = &oxl_sys_real;
        struct oxl_buf delta = get_file(&p, "index.delta");
        assert_true(delta.len < 1024);
        assert_true(bytes_read < 150000);
        oxl_buf_done(&delta);
        place_done(&p);
}

/* --- the pair ----------------------------------------------------------------------------------------------------- */

static size_t count_entries(struct place *p)
{
        struct oxl_index *x = open_index(p);
        struct oxl_index_cursor *c;
        struct oxl_index_entry e;
        size_t n = 0;
        assert_int_equal(oxl_index_cursor_new(x, "", 0, &c, NULL), 0);
        while (oxl_index_cursor_next(c, &e, NULL) == 0)
                n++;
        oxl_index_cursor_free(c);
        oxl_index_free(x);
        return n;
}

static void the_pair_opens_at_every_point_between_replacements(void **state)
{
        /* changes per update: delta, base over an applied delta, base over a stale delta, delta, delta, base, base */
        static const unsigned updates[] = { 5, 1500, 1500, 5, 5, 1500, 1500, 5 };
        static const bool base[] = { false, true, true, false, false, true, true, false };
        struct place p;
        unsigned total = 0;
        place_new(&p, OXL_ALGO_BLAKE3);
        for (size_t i = 0; i < OXL_ARRAY_LEN(updates); i++) {
                struct oxl_index *x = open_index(&p);
                struct oxl_index_edit *e = new_edit(x);
                for (unsigned n = 0; n < updates[i]; n++) {
                        char name[32];
                        snprintf(name, sizeof name, "f%u", total + n);
                        set(&p, e, name, OXL_ENTRY_FILE, true, n);
                }
                const char *target;
                struct oxl_stage *s = stage(&p, e, &target);
                assert_int_equal(strcmp(target, "index") == 0, base[i]);
                assert_int_equal(count_entries(&p), total);
                publish(s, target);
                total += updates[i];
                assert_int_equal(count_entries(&p), total);
                oxl_index_edit_free(e);
                oxl_index_free(x);
        }
        place_done(&p);
}

static void a_delta_of_another_base_is_damage(void **state)
{
        struct place p;
        struct oxl_index *x;
        place_new(&p, OXL_ALGO_BLAKE3);
        struct oxl_buf first = get_file(&p, "index.delta");
        fill(&p, 0, 5, true);
        struct oxl_buf second = get_file(&p, "index.delta");
        fill(&p, 0, 2000, true); /* a base that absorbs the second */
        assert_int_equal(count_entries(&p), 2000);
        put_file(&p, "index.delta", &first);
        struct oxl_error err = OXL_ERROR_INIT;
        assert_int_equal(oxl_index_open(p.dir.fd, &id, p.algo, &x, &err), -OXL_E_MALFORMED);
        assert_string_equal(err.detail, "the delta belongs to another base");
        oxl_error_done(&err);
        put_file(&p, "index.delta", &second);
        assert_int_equal(count_entries(&p), 2000);
        oxl_buf_done(&first);
        oxl_buf_done(&second);
        place_done(&p);
}

static struct place *racing;
static int races_left;
static struct oxl_sys race;

/* Between the reader's two opens the writer replaces both files. */
static int racing_openat2(int dirfd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
        if (races_left > 0 && strcmp(path, "index.delta") == 0) {
                races_left--;
                oxl_sys = &oxl_sys_real;
                fill(racing, 0, 1500, races_left % 2);
                fill(racing, 0, 1500, races_left % 2); /* over the stale delta */
                fill(racing, 7, 9, true);
                oxl_sys = &race;
        }
        return oxl_sys_real.openat2(dirfd, path, flags, mode, resolve);
}

static void a_reader_that_meets_a_writer_looks_again(void **state)
{
        struct place p;
        place_new(&p, OXL_ALGO_BLAKE3);
        fill(&p, 0, 3, true);
        race = oxl_sys_real;
        race.openat2 = racing_openat2;
        racing = &p;
        races_left = 5;
        oxl_sys = &race;
        struct oxl_index *x = open_index(&p);
        oxl_sys = &oxl_sys_real;
        assert_int_equal(races_left, 0);
        assert_true(oxl_index_count_bound(x) >= 1500);
        oxl_index_free(x);
        place_done(&p);
}

/* --- damage -------------------------------------------------------------------------------------------------------- */

/* 0 when the index opens and verifies. */
static int open_and_verify(struct place *p)
{
        struct oxl_index *x;
        int r = try_open(p, &x);
        if (r < 0)
                return r;
        r = oxl_index_verify(x, NULL);
        oxl_index_free(x);
        return r;
}

static void assert_no_flip_passes(struct place *p, const char *name, unsigned step)
{
        struct oxl_buf bytes = get_file(p, name);
        int fd = openat(p->dir.fd, name, O_WRONLY | O_CLOEXEC);
        assert_int_equal(open_and_verify(p), 0);
        for (size_t bit = 0; bit < bytes.len * 8; bit += step) {
                uint8_t wrong = bytes.data[bit / 8] ^ (uint8_t)(1u << bit % 8);
                assert_int_equal(oxl_fd_pwrite_all(fd, &wrong, 1, bit / 8), 0);
                assert_true(open_and_verify(p) < 0);
                assert_int_equal(oxl_fd_pwrite_all(fd, bytes.data + bit / 8, 1, bit / 8), 0);
        }
        assert_int_equal(open_and_verify(p), 0);
        close(fd);
        oxl_buf_done(&bytes);
}

static void every_flipped_bit_is_found(void **state)
{
        struct place p;
        place_new(&p, OXL_ALGO_BLAKE3);
        fill(&p, 0, 1500, true);
        /* removing nearly all of it makes a base of which every bit can be tried */
        struct oxl_index *x = open_index(&p);
        struct oxl_index_edit *e = new_edit(x);
        for (unsigned i = 9; i < 1500; i++) {
                char name[64];
                snprintf(name, sizeof name, "folder%u/file-%06u.txt", i / 100 % 10, i);
                set(&p, e, name, OXL_ENTRY_NONE, i % 400 == 0, 0);
        }
        assert_true(save(&p, x, e));
        assert_int_equal(count_entries(&p), 12);
        assert_no_flip_passes(&p, "index.delta", 1); /* stale */
        fill(&p, 5, 8, false);
        assert_no_flip_passes(&p, "index", 1);
        assert_no_flip_passes(&p, "index.delta", 1); /* applies */
        place_done(&p);
}

static void flipped_bits_of_many_blocks_are_found(void **state)
{
        struct place p;
        place_new(&p, OXL_ALGO_XXH3_128);
        fill(&p, 0, 1500, true);
        struct oxl_index *x = open_index(&p);
        assert_true(x->n_blocks >= 8);
        oxl_index_free(x);
        assert_no_flip_passes(&p, "index", 1009);
        place_done(&p);
}

static void every_truncation_and_an_added_byte_are_found(void **state)
{
        static const char *const names[] = { "index", "index.delta" };
        struct place p;
        place_new(&p, OXL_ALGO_BLAKE3);
        fill(&p, 0, 700, true);
        fill(&p, 3, 6, true);
        for (size_t i = 0; i < 2; i++) {
                struct oxl_buf bytes = get_file(&p, names[i]), cut = OXL_BUF_INIT;
                for (size_t n = 0; n < bytes.len; n += i == 0 ? 331 : 1) {
                        cut = (struct oxl_buf){ bytes.data, n, n };
                        put_file(&p, names[i], &cut);
                        assert_true(open_and_verify(&p) < 0);
                }
                cut = (struct oxl_buf){ bytes.data, bytes.len - 1, bytes.len };
                put_file(&p, names[i], &cut);
                assert_true(open_and_verify(&p) < 0);
                assert_int_equal(oxl_buf_append_u8(&bytes, 0, NULL), 0);
                put_file(&p, names[i], &bytes);
                assert_true(open_and_verify(&p) < 0);
                bytes.len--;
                put_file(&p, names[i], &bytes);
                assert_int_equal(open_and_verify(&p), 0);
                oxl_buf_done(&bytes);
        }
        place_done(&p);
}

static void swapped_files_and_another_repository_are_found(void **state)
{
        static const struct oxl_repo_id other = { { 7, 1, 3 } };
        struct place p;
        struct oxl_index *x;
        place_new(&p, OXL_ALGO_BLAKE3);
        assert_int_equal(oxl_index_open(p.dir.fd, &other, p.algo, &x, NULL), -OXL_E_SEAL);
        struct oxl_buf base = get_file(&p, "index");
        put_file(&p, "index.delta", &base);
        assert_int_equal(try_open(&p, &x), -OXL_E_MALFORMED);
        oxl_buf_done(&base);
        place_done(&p);
}

/* --- what a checksum does not find: files that were written wrong ------------------------------------------------- */

static void raw_entry(struct oxl_buf *to, unsigned shared, const char *rest, unsigned kind, unsigned flags)
{
        assert_int_equal(oxl_buf_append_le16(to, (uint16_t)shared, NULL), 0);
        assert_int_equal(oxl_buf_append_le16(to, (uint16_t)strlen(rest), NULL), 0);
        assert_int_equal(oxl_buf_append(to, rest, strlen(rest), NULL), 0);
        assert_int_equal(oxl_buf_append_u8(to, (uint8_t)kind, NULL), 0);
        assert_int_equal(oxl_buf_append_u8(to, (uint8_t)flags, NULL), 0);
        assert_int_equal(oxl_buf_append_zeros(to, OXL_INDEX_ENTRY_BYTES - 6, NULL), 0);
}

static void append_seal(struct oxl_buf *to, const char *name, struct oxl_bytes a, struct oxl_bytes b)
{
        struct oxl_hasher h;
        struct oxl_digest seal;
        oxl_seal_begin(&h, name, &id, name);
        oxl_hasher_update(&h, a.data, a.len);
        oxl_hasher_update(&h, b.data, b.len);
        oxl_hasher_final(&h, &seal);
        assert_int_equal(oxl_buf_append(to, seal.bytes, 32, NULL), 0);
}

/* Seals a delta of @entries over the base that is there, and opens the pair. */
static int open_with_delta(struct place *p, const struct oxl_buf *entries, uint64_t count)
{
        struct oxl_buf base = get_file(p, "index"), file = OXL_BUF_INIT;
        struct oxl_index_header h = { .delta = true, .generation = 1, .entries = count };
        uint8_t header[OXL_INDEX_HEADER_BYTES];
        memcpy(h.other, base.data + base.len - 32, 32);
        h.generation = le_load64(base.data + 16);
        oxl_index_header_store(&h, header);
        assert_int_equal(oxl_buf_append(&file, header, sizeof header, NULL), 0);
        if (entries->len > 0)
                assert_int_equal(oxl_buf_append(&file, entries->data, entries->len, NULL), 0);
        append_seal(&file, "index.delta", oxl_buf_bytes(&file), oxl_bytes_of(NULL, 0));
        put_file(p, "index.delta", &file);
        oxl_buf_done(&base);
        oxl_buf_done(&file);
        return open_and_verify(p);
}

struct raw {
        unsigned shared;
        const char *rest;
        unsigned kind, flags;
};

static void deltas_that_were_written_wrong_are_malformed(void **state)
{
        static const struct {
                struct raw entry[2];
                int result;
        } cases[] = {
                { { { 0, "a", 1, 1 }, { 0, "b", 2, 0 } }, 0 },
                { { { 0, "a/b", 1, 1 }, { 1, "-b", 0, 1 } }, 0 },
                { { { 0, "a", 0, 0 }, { 1, "/b", 1, 1 } }, 0 },
                { { { 0, "b", 1, 1 }, { 0, "a", 1, 1 } }, -OXL_E_MALFORMED },
                { { { 0, "a-b", 1, 1 }, { 1, "/b", 1, 1 } }, -OXL_E_MALFORMED },
                { { { 0, "a", 1, 1 }, { 1, "", 1, 1 } }, -OXL_E_MALFORMED },
                { { { 0, "ab", 1, 1 }, { 1, "", 1, 1 } }, -OXL_E_MALFORMED },
                { { { 0, "ab", 1, 1 }, { 0, "ac", 1, 1 } }, -OXL_E_MALFORMED },
                { { { 0, "ab", 1, 1 }, { 3, "c", 1, 1 } }, -OXL_E_MALFORMED },
                { { { 1, "a", 1, 1 }, { 0, "b", 1, 1 } }, -OXL_E_MALFORMED },
                { { { 0, "a", 4, 1 }, { 0, "b", 1, 1 } }, -OXL_E_MALFORMED },
                { { { 0, "a", 255, 1 }, { 0, "b", 1, 1 } }, -OXL_E_MALFORMED },
                { { { 0, "a", 1, 2 }, { 0, "b", 1, 1 } }, -OXL_E_MALFORMED },
                { { { 0, "a", 3, 1 }, { 0, "b", 1, 1 } }, -OXL_E_MALFORMED }, /* a link of no bytes */
                { { { 0, "", 1, 1 }, { 0, "b", 1, 1 } }, -OXL_E_MALFORMED },
                { { { 0, "/a", 1, 1 }, { 0, "b", 1, 1 } }, -OXL_E_MALFORMED },
                { { { 0, "a/", 1, 1 }, { 0, "b", 1, 1 } }, -OXL_E_MALFORMED },
                { { { 0, "a//b", 1, 1 }, { 0, "b", 1, 1 } }, -OXL_E_MALFORMED },
                { { { 0, "a/../b", 1, 1 }, { 0, "b", 1, 1 } }, -OXL_E_MALFORMED },
                { { { 0, ".oxen-Lite", 1, 1 }, { 0, "b", 1, 1 } }, -OXL_E_MALFORMED },
                { { { 0, "a/.oxen", 1, 1 }, { 7, "-lite", 1, 1 } }, -OXL_E_MALFORMED },
                { { { 0, "a/.", 1, 1 }, { 0, "b", 1, 1 } }, -OXL_E_MALFORMED },
        };
        struct place p;
        place_new(&p, OXL_ALGO_BLAKE3);
        for (size_t i = 0; i < OXL_ARRAY_LEN(cases); i++) {
                struct oxl_buf entries = OXL_BUF_INIT;
                for (size_t n = 0; n < 2; n++) {
                        const struct raw *e = cases[i].entry + n;
                        raw_entry(&entries, e->shared, e->rest, e->kind, e->flags);
                }
                assert_int_equal(open_with_delta(&p, &entries, 2), cases[i].result);
                if (cases[i].result == 0) {
                        assert_int_equal(open_with_delta(&p, &entries, 1), -OXL_E_MALFORMED);
                        assert_int_equal(open_with_delta(&p, &entries, 3), -OXL_E_MALFORMED);
                        entries.len--;
                        assert_int_equal(open_with_delta(&p, &entries, 2), -OXL_E_MALFORMED);
                }
                oxl_buf_done(&entries);
        }
        place_done(&p);
}

static void impossible_fields_are_malformed(void **state)
{
        /* offset in the fixed part, with kind 1 or 0: what a byte of 0xff there means */
        static const struct {
                unsigned kind, at;
        } wrong[] = { { 1, 2 + 7 }, { 1, 10 + 16 }, { 1, 10 + 31 }, { 1, 50 + 3 }, { 1, 62 + 3 },
                      { 0, 2 },     { 0, 10 },      { 0, 42 },      { 0, 82 } };
        struct place p;
        place_new(&p, OXL_ALGO_XXH3_128);
        for (size_t i = 0; i < OXL_ARRAY_LEN(wrong); i++) {
                struct oxl_buf entries = OXL_BUF_INIT;
                raw_entry(&entries, 0, "a", wrong[i].kind, 1);
                assert_int_equal(open_with_delta(&p, &entries, 1), 0);
                entries.data[5 + wrong[i].at] = 0xff;
                assert_int_equal(open_with_delta(&p, &entries, 1), -OXL_E_MALFORMED);
                oxl_buf_done(&entries);
        }
        place_done(&p);
}

struct raw_block {
        struct raw entry[2];
        const char *first;        /* as the table says */
        uint32_t entries, staged; /* as the table says */
        unsigned gap;             /* added to its offset */
};

static void append_raw_block(const struct raw_block *b, struct oxl_buf *file, struct oxl_buf *table)
{
        uint64_t at = file->len + b->gap;
        struct oxl_buf bytes = OXL_BUF_INIT;
        for (size_t i = 0; i < 2 && b->entry[i].rest; i++)
                raw_entry(&bytes, b->entry[i].shared, b->entry[i].rest, b->entry[i].kind, b->entry[i].flags);
        struct oxl_hasher h;
        struct oxl_digest sum;
        oxl_hasher_init_derive(&h, OXL_CONTEXT_INDEX_BLOCK);
        oxl_hasher_le64(&h, at);
        oxl_hasher_update(&h, bytes.data, bytes.len);
        oxl_hasher_final(&h, &sum);
        assert_int_equal(oxl_buf_append_zeros(file, b->gap, NULL), 0);
        assert_int_equal(oxl_buf_append(file, bytes.data, bytes.len, NULL), 0);
        assert_int_equal(oxl_buf_append_le64(table, at, NULL), 0);
        assert_int_equal(oxl_buf_append_le32(table, (uint32_t)bytes.len, NULL), 0);
        assert_int_equal(oxl_buf_append_le32(table, b->entries, NULL), 0);
        assert_int_equal(oxl_buf_append_le32(table, b->staged, NULL), 0);
        assert_int_equal(oxl_buf_append_le16(table, (uint16_t)strlen(b->first), NULL), 0);
        assert_int_equal(oxl_buf_append_text(table, b->first, NULL), 0);
        assert_int_equal(oxl_buf_append(table, sum.bytes, 32, NULL), 0);
        oxl_buf_done(&bytes);
}

/* Seals a base of two blocks, with an empty delta, and opens and verifies the pair. */
static int open_with_blocks(struct place *p, const struct raw_block blocks[2], uint64_t entries)
{
        struct oxl_buf file = OXL_BUF_INIT, table = OXL_BUF_INIT, none = OXL_BUF_INIT;
        uint8_t header[OXL_INDEX_HEADER_BYTES];
        oxl_index_header_store(&(struct oxl_index_header){ .generation = 3, .entries = entries }, header);
        assert_int_equal(oxl_buf_append(&file, header, sizeof header, NULL), 0);
        append_raw_block(blocks, &file, &table);
        append_raw_block(blocks + 1, &file, &table);
        uint64_t table_len = table.len;
        assert_int_equal(oxl_buf_append_le64(&table, file.len, NULL), 0);
        assert_int_equal(oxl_buf_append_le64(&table, table_len, NULL), 0);
        assert_int_equal(oxl_buf_append_le64(&table, 2, NULL), 0);
        append_seal(&table, "index", oxl_bytes_of(header, sizeof header), oxl_buf_bytes(&table));
        assert_int_equal(oxl_buf_append(&file, table.data, table.len, NULL), 0);
        put_file(p, "index", &file);
        oxl_buf_done(&file);
        oxl_buf_done(&table);
        return open_with_delta(p, &none, 0);
}

static void bases_that_were_written_wrong_are_malformed(void **state)
{
        static const struct {
                struct raw_block block[2];
                uint64_t entries;
                int result;
        } cases[] = {
#define SOUND_A { { 0, "a", 1, 1 }, { 0, "b", 1, 0 } }
#define SOUND_C { { 0, "c", 0, 1 }, { 1, "/d", 2, 1 } }
                { { { SOUND_A, "a", 2, 1, 0 }, { SOUND_C, "c", 2, 2, 0 } }, 4, 0 },
                { { { SOUND_A, "a", 2, 1, 0 }, { SOUND_C, "c", 2, 2, 0 } }, 5, -OXL_E_MALFORMED },
                { { { SOUND_A, "a", 2, 2, 0 }, { SOUND_C, "c", 2, 2, 0 } }, 4, -OXL_E_MALFORMED },
                { { { SOUND_A, "a", 2, 0, 0 }, { SOUND_C, "c", 2, 2, 0 } }, 4, -OXL_E_MALFORMED },
                { { { SOUND_A, "a", 1, 1, 0 }, { SOUND_C, "c", 2, 2, 0 } }, 3, -OXL_E_MALFORMED },
                { { { SOUND_A, "a", 2, 1, 0 }, { SOUND_C, "c", 1, 1, 0 } }, 3, -OXL_E_MALFORMED },
                { { { SOUND_A, "Z", 2, 1, 0 }, { SOUND_C, "c", 2, 2, 0 } }, 4, -OXL_E_MALFORMED },
                { { { SOUND_A, "a", 2, 1, 0 }, { SOUND_C, "bb", 2, 2, 0 } }, 4, -OXL_E_MALFORMED },
                { { { SOUND_A, "a", 2, 1, 0 }, { SOUND_A, "b", 2, 1, 0 } }, 4, -OXL_E_MALFORMED },
                { { { SOUND_C, "c", 2, 2, 0 }, { SOUND_A, "a", 2, 1, 0 } }, 4, -OXL_E_MALFORMED },
                { { { { { 0, "a", 1, 0 }, { 0, "d", 1, 0 } }, "a", 2, 0, 0 }, { SOUND_C, "c", 2, 2, 0 } },
                  4,
                  -OXL_E_MALFORMED },
                { { { { { 0, "a", 0, 0 }, { 0, "b", 1, 0 } }, "a", 2, 0, 0 }, { SOUND_C, "c", 2, 2, 0 } },
                  4,
                  -OXL_E_MALFORMED },
                { { { SOUND_A, "a", 2, 1, 8 }, { SOUND_C, "c", 2, 2, 0 } }, 4, -OXL_E_MALFORMED },
                { { { SOUND_A, "a", 2, 1, 0 }, { SOUND_C, "c", 2, 2, 8 } }, 4, -OXL_E_MALFORMED },
        };
        struct place p;
        place_new(&p, OXL_ALGO_BLAKE3);
        for (size_t i = 0; i < OXL_ARRAY_LEN(cases); i++)
                assert_int_equal(open_with_blocks(&p, cases[i].block, cases[i].entries), cases[i].result);
        place_done(&p);
}

/* A delta whose entries are short and whose paths are long: reading it must not take memory for all the paths. */
static void a_delta_of_endless_prefixes_takes_no_more_memory_than_its_bytes(void **state)
{
        struct place p;
        place_new(&p, OXL_ALGO_BLAKE3);
        char *longest = long_path(0, 32760);
        struct oxl_buf entries = OXL_BUF_INIT;
        raw_entry(&entries, 0, longest, 1, 1);
        for (unsigned i = 0; i < 5000; i++) {
                static const char digits[] = "0123456789abcdefghijklmnopqrstuv";
                char rest[5] = { digits[i >> 10 & 31], digits[i >> 5 & 31], digits[i & 31], 0 };
                unsigned shared = 32760;
                static char last[5];
                for (unsigned n = 0; i > 0 && n < 3 && rest[n] == last[n]; n++)
                        shared++;
                memcpy(last, rest, sizeof last);
                raw_entry(&entries, shared, rest + (shared - 32760), 1, 1);
        }
        assert_int_equal(open_with_delta(&p, &entries, 5001), 0);
        struct oxl_index *x = open_index(&p);
        size_t kept = 0;
        for (size_t i = 0; i < x->n_samples; i++)
                kept += x->samples[i].before_len;
        assert_true(x->n_samples > 3);
        assert_true(kept <= entries.len);
        struct oxl_index_entry e;
        char *path = malloc(32760 + 4);
        for (unsigned i = 0; i < 5000; i += 7) {
                static const char digits[] = "0123456789abcdefghijklmnopqrstuv";
                memcpy(path, longest, 32760);
                path[32760] = digits[i >> 10 & 31];
                path[32761] = digits[i >> 5 & 31];
                path[32762] = digits[i & 31];
                assert_int_equal(oxl_index_lookup(x, path, 32763, &e, NULL), 0);
        }
        oxl_index_free(x);
        free(path);
        free(longest);
        oxl_buf_done(&entries);
        place_done(&p);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(random_edits_agree_with_a_sorted_array),
                cmocka_unit_test(random_edits_agree_with_a_sorted_array_for_short_digests),
                cmocka_unit_test(a_missing_file_is_an_open_error_with_enoent),
                cmocka_unit_test(names_that_no_tree_may_hold_are_refused_by_edits),
                cmocka_unit_test(the_longest_and_deepest_paths_fit_and_longer_ones_do_not),
                cmocka_unit_test(removing_what_is_not_in_the_base_leaves_nothing_in_the_delta),
                cmocka_unit_test(a_small_commit_reads_and_writes_a_few_blocks),
                cmocka_unit_test(the_pair_opens_at_every_point_between_replacements),
                cmocka_unit_test(a_delta_of_another_base_is_damage),
                cmocka_unit_test(a_reader_that_meets_a_writer_looks_again),
                cmocka_unit_test(every_flipped_bit_is_found),
                cmocka_unit_test(flipped_bits_of_many_blocks_are_found),
                cmocka_unit_test(every_truncation_and_an_added_byte_are_found),
                cmocka_unit_test(swapped_files_and_another_repository_are_found),
                cmocka_unit_test(deltas_that_were_written_wrong_are_malformed),
                cmocka_unit_test(impossible_fields_are_malformed),
                cmocka_unit_test(bases_that_were_written_wrong_are_malformed),
                cmocka_unit_test(a_delta_of_endless_prefixes_takes_no_more_memory_than_its_bytes),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}

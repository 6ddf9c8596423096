/* SPDX-License-Identifier: MIT */
/*
 * fsck finds every changed bit of every canonical file, every cut, grown, emptied, lost, swapped and stray one, each by
 * the right problem; and it tells a medium that is wrong from one that was wrong once. All bits and all lengths of the
 * small files; of packs, blobs, index, lookup, journal and -wal a sample that is the same in every run (OXL_DEEP: 20,000).
 */
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
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "journal/journal.h"
#include "os/sys.h"
#include "repo/repo.h"
#include "support/checked.h"
#include "support/place.h"
#include "support/trees.h"

enum { SAMPLE = 2000, SAMPLE_DEEP = 20000, LENGTHS = 20, LENGTHS_DEEP = 500 };

static struct checked k;

static int setup(void **state)
{
        (void)state;
        checked_new(&k, OXL_ALGO_BLAKE3);
        char **files = checked_files(&k, "");
        for (char **f = files; *f; f++) { /* blobs and packs are read-only, and this test need not be root */
                char *path = place_path(k.root, *f);
                assert_int_equal(chmod(path, 0644), 0);
                free(path);
        }
        checked_files_free(files);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        checked_free(&k);
        return 0;
}

static void expect_clean(void)
{
        assert_int_equal(checked_run(&k), 0);
        if (k.n_found)
                checked_print(&k);
        assert_int_equal(k.n_found, 0);
}

/* --- flips --------------------------------------------------------------------------------------------------- */

/* All event rows as text; NULL when they cannot be read. */
static char *journal_events(void);

static int print_event(void *ctx, const struct oxl_event *e, struct oxl_error *err)
{
        return oxl_buf_append_fmt(ctx, err, "%lld %lld %lld %d %llx %s %d %s\n", (long long)e->seq,
                                  (long long)e->intent, (long long)e->time_ns, e->outcome, (unsigned long long)e->owner,
                                  e->verb, (int)e->state, e->body);
}

static char *journal_events(void)
{
        struct oxl_repo *r = NULL;
        struct oxl_journal *j = NULL;
        struct oxl_buf text = OXL_BUF_INIT;
        char *ret = NULL;
        assert_int_equal(oxl_repo_open(k.place, NULL, &r, NULL), 0);
        struct oxl_journal_config config = { .dir = k.root, .id = r->format.id, .lock_fd = -1, .wait_ms = 1000 };
        if (oxl_journal_open_copy(&config, &j, NULL) == 0 && oxl_journal_events(j, print_event, &text, NULL) == 0)
                ret = strdup(oxl_buf_text(&text));
        oxl_journal_close(j);
        oxl_buf_done(&text);
        oxl_repo_close(r);
        return ret;
}

static void flip(int fd, uint64_t bit)
{
        uint8_t byte;
        assert_int_equal(pread(fd, &byte, 1, (off_t)(bit / 8)), 1);
        byte ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)(bit / 8)), 1);
}

/* What damage to the file at @path may be called. */
static const struct {
        const char *prefix;
        int problem[3];
} names[] = {
        { "format", { OXL_P_FORMAT_DAMAGED } },
        { "HEAD", { OXL_P_HEAD_DAMAGED } },
        { "config.json", { OXL_P_CONFIG_DAMAGED, OXL_P_CONFIG_EDITED } },
        { "refs/", { OXL_P_REF_DAMAGED } },
        { "index", { OXL_P_INDEX_DAMAGED, OXL_P_INDEX_MISSING } }, /* missing: one fits only with the other */
        { "journal.db-wal", { OXL_P_JOURNAL_TAIL } },
        { "journal.db", { OXL_P_JOURNAL_DAMAGED } },
        { "versions/packs/lookup", { OXL_P_LOOKUP_DAMAGED } },
        { "versions/packs/", { OXL_P_PACK_DAMAGED, OXL_P_RECORD_DAMAGED, OXL_P_METADATA_COPY } },
        { "versions/files/", { OXL_P_BLOB_DAMAGED } },
};

/* Is damage of its kind reported at @path? */
static bool named(const char *path)
{
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
                if (strncmp(path, names[i].prefix, strlen(names[i].prefix)) != 0)
                        continue;
                for (size_t n = 0; n < 3 && names[i].problem[n]; n++)
                        if (checked_count(&k, names[i].problem[n], path) > 0)
                                return true;
                return false;
        }
        return false;
}

/* What a check made of a change. */
enum outcome { UNSEEN, SAME_ROWS, FOUND };

/* No finding, and the journal says what it said before: a page that the -wal replaces is read by nobody, SQLite pads a short last
 * page with zeros and ignores a tail. Counted apart: this is not found, it is no damage to what is stored. */
static size_t same_rows;

static enum outcome unfound(const char *events)
{
        if (!events)
                return UNSEEN;
        char *now = journal_events();
        bool same = now && strcmp(now, events) == 0;
        free(now);
        same_rows += same;
        return same ? SAME_ROWS : UNSEEN;
}

/* @events: what a journal said before, else NULL. */
static enum outcome outcome_of(const char *path, const char *events)
{
        if (checked_run(&k) != 0)
                return UNSEEN;
        if (checked_count(&k, 0, NULL) > 0)
                return named(path) ? FOUND : UNSEEN;
        return unfound(events);
}

/* Flips @n bits of the file, or all (0). Returns how many. */
static size_t flip_file(const char *path, uint64_t n)
{
        struct stat st;
        uint64_t seed = 20261122;
        char *full = place_path(k.root, path);
        char *events = strcmp(path, "journal.db") == 0 ? journal_events() : NULL;
        int fd = open(full, O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &st), 0);
        uint64_t bits = 8 * (uint64_t)st.st_size;
        if (n == 0 || n > bits)
                n = bits;
        for (uint64_t i = 0; i < n; i++) {
                uint64_t bit = n == bits ? i : trees_random(&seed) % bits;
                flip(fd, bit);
                enum outcome outcome = outcome_of(path, events);
                flip(fd, bit);
                if (outcome == UNSEEN) {
                        fprintf(stderr, "bit %llu of %s was not found\n", (unsigned long long)bit, path);
                        checked_print(&k);
                }
                assert_int_not_equal(outcome, UNSEEN);
        }
        close(fd);
        free(full);
        free(events);
        return (size_t)n;
}

static void every_bit_of_the_small_files_is_found(void **state)
{
        static const char *const small[] = { "format",           "HEAD",         "config.json", "refs/heads/main",
                                             "refs/heads/other", "refs/tags/v1", "index.delta" };
        size_t n = 0;
        (void)state;
        /* Without the journal, which has its own test and takes most of the time of a check this small. */
        char *journal = place_path(k.root, "journal.db"), *aside = place_path(k.place, "aside");
        assert_int_equal(rename(journal, aside), 0);
        for (size_t i = 0; i < sizeof small / sizeof small[0]; i++)
                n += flip_file(small[i], 0);
        assert_int_equal(rename(aside, journal), 0);
        free(journal);
        free(aside);
        expect_clean();
        fprintf(stderr, "%zu bits flipped, all found\n", n);
}

struct sampled {
        char *path;
        uint64_t bits;
};

static int by_bits(const void *a, const void *b)
{
        const struct sampled *x = a, *y = b;
        return x->bits < y->bits ? -1 : x->bits > y->bits ? 1 : strcmp(x->path, y->path);
}

/* The files of which a sample is flipped, smallest first. Returns how many. */
static size_t sampled_files(struct sampled *ret, size_t max)
{
        static const char *const prefixes[] = { "versions/files/", "versions/packs/", "index", "journal.db" };
        size_t n = 0;
        for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
                char **list = checked_files(&k, prefixes[i]);
                for (char **f = list; *f; f++) {
                        struct stat st;
                        if (strcmp(*f, "index.delta") == 0 || strcmp(*f, "journal.db-shm") == 0)
                                continue;
                        char *full = place_path(k.root, *f);
                        assert_int_equal(stat(full, &st), 0);
                        free(full);
                        assert_true(n < max);
                        ret[n++] = (struct sampled){ strdup(*f), 8 * (uint64_t)st.st_size };
                }
                checked_files_free(list);
        }
        qsort(ret, n, sizeof *ret, by_bits);
        return n;
}

/* What a small file does not need of its share goes to the others. */
static void flipped_bits_of_packs_blobs_index_lookup_and_journal_are_found(void **state)
{
        struct sampled files[64];
        uint64_t want = getenv("OXL_DEEP") ? SAMPLE_DEEP : SAMPLE, flipped = 0;
        size_t n = sampled_files(files, sizeof files / sizeof files[0]);
        (void)state;
        same_rows = 0;
        for (size_t i = 0; i < n; i++) {
                uint64_t share = (want - flipped + n - i - 1) / (n - i);
                if (files[i].bits > 0 && share > 0)
                        flipped += flip_file(files[i].path, share);
                free(files[i].path);
        }
        expect_clean();
        fprintf(stderr, "%llu bits of %zu files flipped: %llu found, %zu in pages of the journal that nobody reads\n",
                (unsigned long long)flipped, n, (unsigned long long)(flipped - same_rows), same_rows);
        assert_int_equal(flipped, want);
}

/* --- whole files --------------------------------------------------------------------------------------------- */

static bool is_canonical(const char *path)
{
        static const char *const others[] = { "locks", "reserve", "owners/", "journal.db-" };
        for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
                if (strncmp(path, others[i], strlen(others[i])) == 0)
                        return false;
        return true;
}

/* Cuts the file to each of some lengths. */
static size_t cut_file(const char *path, size_t lengths)
{
        size_t size, tried = 0;
        uint64_t seed = 20261123;
        char *bytes = place_read(k.root, path, &size), *full = place_path(k.root, path);
        char *events = strncmp(path, "journal.db", 10) == 0 ? journal_events() : NULL;
        if (lengths > size)
                lengths = 0;
        for (size_t i = 0; i < (lengths ? lengths : size); i++, tried++) {
                size_t n = lengths ? (size_t)(trees_random(&seed) % size) : i;
                assert_int_equal(truncate(full, (off_t)n), 0);
                enum outcome outcome = outcome_of(path, events);
                place_write(k.root, path, bytes, size);
                if (outcome == UNSEEN) {
                        fprintf(stderr, "%s cut to %zu bytes was not found\n", path, n);
                        checked_print(&k);
                }
                assert_int_not_equal(outcome, UNSEEN);
        }
        free(events);
        free(bytes);
        free(full);
        return tried;
}

static void a_file_cut_to_any_length_is_found(void **state)
{
        char **files = checked_files(&k, "");
        size_t n = 0;
        (void)state;
        for (char **f = files; *f; f++) {
                bool small = strncmp(*f, "refs/", 5) == 0 || strcmp(*f, "HEAD") == 0 || strcmp(*f, "format") == 0 ||
                             strcmp(*f, "config.json") == 0;
                if (is_canonical(*f) || strcmp(*f, "journal.db-wal") == 0)
                        n += cut_file(*f, small ? 0 : getenv("OXL_DEEP") ? LENGTHS_DEEP : LENGTHS);
        }
        checked_files_free(files);
        expect_clean();
        fprintf(stderr, "%zu lengths, all found\n", n);
}

/* What it may be called that the file at a path is gone. A lost pack is not named by its own path: what was in it is missed. */
static const struct {
        const char *prefix;
        int problem[5];
} lost_names[] = {
        { "format", { OXL_P_FORMAT_MISSING } },
        { "HEAD", { OXL_P_HEAD_MISSING } },
        { "config.json", { OXL_P_CONFIG_MISSING } },
        { "refs/heads/main", { OXL_P_REF_MISSING } },
        { "index", { OXL_P_INDEX_DAMAGED, OXL_P_INDEX_MISSING } }, /* damaged: one fits only with the other */
        { "journal.db", { OXL_P_JOURNAL_MISSING } },
        { "versions/packs/",
          { OXL_P_REF_DANGLING, OXL_P_COMMIT_MISSING, OXL_P_TREE_MISSING, OXL_P_BLOB_MISSING, OXL_P_INDEX_BLOB } },
        { "versions/files/", { OXL_P_BLOB_MISSING, OXL_P_INDEX_BLOB } },
};

static bool named_lost(const char *path)
{
        bool is_pack = strncmp(path, "versions/packs/", 15) == 0;
        for (size_t i = 0; i < sizeof lost_names / sizeof lost_names[0]; i++) {
                if (strncmp(path, lost_names[i].prefix, strlen(lost_names[i].prefix)) != 0)
                        continue;
                for (size_t n = 0; n < 5 && lost_names[i].problem[n]; n++)
                        if (checked_count(&k, lost_names[i].problem[n], is_pack ? NULL : path) > 0)
                                return true;
                return false;
        }
        return false;
}

/* A lookup is derived. A tag or branch that the operation log has not heard of is not missed. */
static bool may_be_lost(const char *path)
{
        return strcmp(path, "versions/packs/lookup") == 0 || strcmp(path, "refs/tags/v1") == 0 ||
               strcmp(path, "refs/heads/other") == 0;
}

enum way { CUT, EMPTIED, LOST, GROWN, WAYS };

static void damage(const char *path, const char *bytes, size_t n, enum way how)
{
        char *full = place_path(k.root, path);
        char *more = malloc(n + 1);
        memcpy(more, bytes, n);
        more[n] = 'x';
        switch (how) {
        case CUT: place_write(k.root, path, bytes, n - 1); break;
        case EMPTIED: place_write(k.root, path, "", 0); break;
        case LOST: assert_int_equal(unlink(full), 0); break;
        case GROWN:
        case WAYS: place_write(k.root, path, more, n + 1); break;
        }
        free(more);
        free(full);
}

static void files_that_are_cut_emptied_lost_or_grown_are_found(void **state)
{
        static const char *const ways[] = { "cut by a byte", "emptied", "lost", "grown by a byte" };
        char **files = checked_files(&k, ""), *events = journal_events();
        (void)state;
        assert_non_null(events);
        for (char **f = files; *f; f++) {
                size_t n;
                if (!is_canonical(*f))
                        continue;
                char *bytes = place_read(k.root, *f, &n);
                for (int how = 0; how < WAYS; how++) {
                        damage(*f, bytes, n, (enum way)how);
                        assert_int_equal(checked_run(&k), 0);
                        bool seen = how == LOST ? named_lost(*f) : named(*f);
                        if (!seen && k.n_found == 0)
                                seen = how == LOST ? may_be_lost(*f)
                                                   : strcmp(*f, "journal.db") == 0 && unfound(events) == SAME_ROWS;
                        if (!seen) {
                                fprintf(stderr, "%s: %s was not found as that\n", *f, ways[how]);
                                checked_print(&k);
                        }
                        assert_true(seen);
                        assert_int_equal(k.result.unreadable, 0);
                        place_write(k.root, *f, bytes, n);
                }
                free(bytes);
        }
        free(events);
        checked_files_free(files);
        expect_clean();
}

static void swap(const char *a, const char *b)
{
        char *x = place_path(k.root, a), *y = place_path(k.root, b);
        assert_int_equal(renameat2(AT_FDCWD, x, AT_FDCWD, y, RENAME_EXCHANGE), 0);
        free(x);
        free(y);
}

/* Each file of another repository, whole and sealed, in the place of ours. */
static void a_file_of_another_repository_is_found(void **state)
{
        static const char *const files[] = { "HEAD",  "refs/heads/main", "refs/tags/v1", "config.json",
                                             "index", "index.delta",     "format",       "journal.db" };
        struct checked other;
        (void)state;
        checked_new(&other, OXL_ALGO_BLAKE3);
        for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
                size_t n, m;
                char *ours = place_read(k.root, files[i], &n), *theirs = place_read(other.root, files[i], &m);
                place_write(k.root, files[i], theirs, m);
                assert_int_equal(checked_run(&k), 0);
                if (!named(files[i])) {
                        fprintf(stderr, "%s of another repository:\n", files[i]);
                        checked_print(&k);
                }
                assert_true(named(files[i]));
                place_write(k.root, files[i], ours, n);
                free(ours);
                free(theirs);
        }
        checked_free(&other);
        expect_clean();
}

/* The index is one thing in two files: who changed places is not told, that it does not fit is. */
static bool named_swapped(const char *a, const char *b)
{
        return named(a) && (named(b) || (strcmp(a, "index") == 0 && strcmp(b, "index.delta") == 0));
}

static void any_two_files_that_changed_places_are_found(void **state)
{
        char **files = checked_files(&k, "");
        size_t n = 0;
        (void)state;
        for (char **a = files; *a; a++)
                for (char **b = a + 1; *b && is_canonical(*a); b++) {
                        if (!is_canonical(*b))
                                continue;
                        swap(*a, *b);
                        assert_int_equal(checked_run(&k), 0);
                        if (!named_swapped(*a, *b)) {
                                fprintf(stderr, "%s in the place of %s:\n", *a, *b);
                                checked_print(&k);
                        }
                        assert_true(named_swapped(*a, *b));
                        swap(*a, *b);
                        n++;
                }
        checked_files_free(files);
        expect_clean();
        fprintf(stderr, "%zu pairs of files swapped, all found\n", n);
        assert_true(n > 100);
}

/* Makes the folders above @path that are not there; rid_of_folders takes the topmost of those away again. */
static char *make_folders(const char *path)
{
        char *made = NULL, *full = place_path(k.root, path);
        for (char *slash = full + strlen(k.root) + 1; (slash = strchr(slash, '/')) != NULL; *slash++ = '/') {
                *slash = 0;
                if (mkdir(full, 0755) == 0 && !made)
                        made = strdup(full);
        }
        free(full);
        return made;
}

static void rid_of_folders(char *made)
{
        char command[1024];
        snprintf(command, sizeof command, "rm -rf '%s'", made);
        assert_int_equal(made ? system(command) : 0, 0);
        free(made);
}

/* Not in quarantine/ and trash/: what is kept there is no part of the repository, and nothing in them is judged. */
static void a_stray_file_is_found_in_every_folder(void **state)
{
        static const struct {
                const char *path;
                enum oxl_problem problem;
        } strays[] = {
                { "stray", OXL_P_STRAY },
                { "refs/stray", OXL_P_REF_FOREIGN },
                { "refs/heads/.hidden", OXL_P_REF_FOREIGN },
                { "refs/heads/stray", OXL_P_REF_DAMAGED },
                { "refs/tags/stray", OXL_P_REF_DAMAGED },
                { "owners/stray", OXL_P_STRAY },
                { "versions/stray", OXL_P_STRAY },
                { "versions/tmp/stray", OXL_P_STRAY },
                { "versions/packs/stray", OXL_P_PACK_STRAY },
                { "versions/packs/0123.pack", OXL_P_PACK_STRAY },
                { "versions/files/stray", OXL_P_BLOB_STRAY },
                { "versions/files/00/stray", OXL_P_BLOB_STRAY },
                { "versions/files/00/11/stray", OXL_P_BLOB_STRAY },
                { "refs/heads/folder/stray", OXL_P_REF_DAMAGED },
        };
        (void)state;
        for (size_t i = 0; i < sizeof strays / sizeof strays[0]; i++) {
                char *path = place_path(k.root, strays[i].path), *made = make_folders(strays[i].path);
                place_text(k.root, strays[i].path, "what is this\n");
                assert_int_equal(checked_run(&k), 0);
                if (checked_count(&k, (int)strays[i].problem, strays[i].path) != 1)
                        checked_print(&k);
                assert_int_equal(checked_count(&k, (int)strays[i].problem, strays[i].path), 1);
                assert_int_equal(k.n_found, 1);
                assert_int_equal(unlink(path), 0);
                rid_of_folders(made);
                free(path);
        }
        char **blobs = checked_files(&k, "versions/files/");
        blobs[0][strlen(blobs[0]) - 1] = 'b'; /* …/datb */
        place_text(k.root, blobs[0], "beside a blob");
        assert_int_equal(checked_run(&k), 0);
        assert_int_equal(checked_count(&k, OXL_P_BLOB_STRAY, blobs[0]), 1);
        char *full = place_path(k.root, blobs[0]);
        assert_int_equal(unlink(full), 0);
        free(full);
        checked_files_free(blobs);
        expect_clean();
}

static void links_and_fifos_in_the_place_of_files_are_findings_and_nothing_hangs(void **state)
{
        char **files = checked_files(&k, "");
        (void)state;
        for (char **f = files; *f; f++) {
                size_t n;
                if (!is_canonical(*f))
                        continue;
                char *bytes = place_read(k.root, *f, &n), *full = place_path(k.root, *f);
                assert_int_equal(unlink(full), 0);
                for (int how = 0; how < 2; how++) {
                        assert_int_equal(how ? mkfifo(full, 0644) : symlink("/dev/null", full), 0);
                        assert_int_equal(checked_run(&k), 0);
                        if (checked_count(&k, 0, *f) == 0)
                                fprintf(stderr, "%s as %s was not found\n", *f, how ? "a FIFO" : "a link");
                        assert_true(checked_count(&k, 0, *f) > 0);
                        assert_int_equal(unlink(full), 0);
                }
                place_write(k.root, *f, bytes, n);
                free(bytes);
                free(full);
        }
        checked_files_free(files);
        expect_clean();
}

/* --- a medium that lies -------------------------------------------------------------------------------------- */

/* Flips a bit in what reads of one inode return: in the first @lies of them, the same bit or another each time. */
static struct {
        struct oxl_sys table;
        ino_t ino;
        unsigned lies, told;
        bool vary;
} liar;

static void lie(int fd, uint8_t *buf, ssize_t n)
{
        struct stat st;
        if (n < 8 || liar.told == liar.lies || fstat(fd, &st) < 0 || st.st_ino != liar.ino)
                return;
        buf[n / 2] ^= (uint8_t)(1u << (liar.vary ? liar.told % 8 : 0));
        liar.told++;
}

static ssize_t lying_read(int fd, void *buf, size_t n)
{
        ssize_t got = read(fd, buf, n);
        lie(fd, buf, got);
        return got;
}

static ssize_t lying_pread(int fd, void *buf, size_t n, off_t at)
{
        ssize_t got = pread(fd, buf, n, at);
        lie(fd, buf, got);
        return got;
}

static void run_with_lies(const char *path, unsigned lies, bool vary)
{
        struct stat st;
        char *full = place_path(k.root, path);
        assert_int_equal(stat(full, &st), 0);
        free(full);
        liar.table = oxl_sys_real;
        liar.table.read = lying_read;
        liar.table.pread = lying_pread;
        liar.ino = st.st_ino;
        liar.lies = lies;
        liar.told = 0;
        liar.vary = vary;
        oxl_sys = &liar.table;
        int r = checked_run(&k);
        oxl_sys = &oxl_sys_real;
        assert_int_equal(r, 0);
}

static void a_read_that_is_wrong_once_is_transient_and_no_damage(void **state)
{
        char **packs = checked_files(&k, "versions/packs/"), **blobs = checked_files(&k, "versions/files/");
        const char *const files[] = { "format", "HEAD", "refs/heads/main", "config.json", "index", packs[0], blobs[0] };
        (void)state;
        for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
                run_with_lies(files[i], 1, false);
                if (k.n_found != 1 || checked_count(&k, OXL_P_TRANSIENT, files[i]) != 1)
                        checked_print(&k);
                assert_int_equal(checked_count(&k, OXL_P_TRANSIENT, files[i]), 1);
                assert_int_equal(k.n_found, 1);
                assert_string_equal(k.found[0].verdict, "transient");
                assert_int_equal(k.result.findings, 1);
        }
        checked_files_free(packs);
        checked_files_free(blobs);
}

static void reads_that_are_wrong_in_different_ways_make_the_memory_suspect(void **state)
{
        char **blobs = checked_files(&k, "versions/files/");
        (void)state;
        run_with_lies(blobs[0], 1000, true);
        assert_int_equal(checked_count(&k, OXL_P_BLOB_DAMAGED, blobs[0]), 1);
        assert_string_equal(checked_first(&k, OXL_P_BLOB_DAMAGED)->verdict, "memory-suspect");
        run_with_lies(blobs[0], 1000, false);
        assert_string_equal(checked_first(&k, OXL_P_BLOB_DAMAGED)->verdict, "media");
        run_with_lies("HEAD", 1000, true);
        assert_string_equal(checked_first(&k, OXL_P_HEAD_DAMAGED)->verdict, "memory-suspect");
        checked_files_free(blobs);
}

/* --- nothing is changed -------------------------------------------------------------------------------------- */

static int refuse_write_open(int dirfd, const char *path, int flags, mode_t mode)
{
        bool writes = (flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC);
        char where[4096] = "", link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", dirfd);
        if (readlink(link, where, sizeof where - 1) < 0)
                where[0] = 0;
        if (writes && (strstr(where, "/.oxen-lite") || strstr(path, ".oxen-lite"))) {
                errno = EROFS;
                return -1;
        }
        return openat(dirfd, path, flags, mode);
}

static int refuse_write_open2(int dirfd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
        if ((flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC)) {
                errno = EROFS;
                return -1;
        }
        return oxl_sys_real.openat2(dirfd, path, flags, mode, resolve);
}

static void a_check_opens_nothing_for_writing_and_leaves_every_name_as_it_was(void **state)
{
        (void)state;
        struct oxl_sys table = oxl_sys_real;
        char **before = checked_files(&k, "");
        table.openat = refuse_write_open;
        table.openat2 = refuse_write_open2;
        oxl_sys = &table;
        int r = checked_run(&k);
        oxl_sys = &oxl_sys_real;
        assert_int_equal(r, 0);
        assert_int_equal(k.n_found, 0);
        char **after = checked_files(&k, ""), **b = before;
        for (char **a = after; *a; a++, b++)
                assert_string_equal(*a, *b);
        assert_null(*b);
        checked_files_free(before);
        checked_files_free(after);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_file_cut_to_any_length_is_found),
                cmocka_unit_test(files_that_are_cut_emptied_lost_or_grown_are_found),
                cmocka_unit_test(any_two_files_that_changed_places_are_found),
                cmocka_unit_test(a_file_of_another_repository_is_found),
                cmocka_unit_test(a_stray_file_is_found_in_every_folder),
                cmocka_unit_test(links_and_fifos_in_the_place_of_files_are_findings_and_nothing_hangs),
                cmocka_unit_test(a_read_that_is_wrong_once_is_transient_and_no_damage),
                cmocka_unit_test(reads_that_are_wrong_in_different_ways_make_the_memory_suspect),
                cmocka_unit_test(a_check_opens_nothing_for_writing_and_leaves_every_name_as_it_was),
                cmocka_unit_test(every_bit_of_the_small_files_is_found),
                cmocka_unit_test(flipped_bits_of_packs_blobs_index_lookup_and_journal_are_found),
        };
        return cmocka_run_group_tests(tests, setup, teardown);
}

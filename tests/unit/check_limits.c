/* SPDX-License-Identifier: MIT */
/* How much fsck reads: limits, the ledger, the pace, the medium, threads. The clock is ours; nothing sleeps. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "check/hooks.h"
#include "digest/digest.h"
#include "journal/journal.h"
#include "objects/pack.h"
#include "os/sys.h"
#include "repo/repo.h"
#include "support/checked.h"
#include "support/fault.h"
#include "support/place.h"

#define SECOND INT64_C(1000000000)
#define DAY (86400 * SECOND)

/* --- our kernel --------------------------------------------------------------------------------------------------- */

static struct {
        int64_t now;        /* nanoseconds, of both clocks */
        int64_t step;       /* what a look at the monotonic clock takes */
        int64_t slept;      /* in all */
        const char *victim; /* the file whose reads fail */
        int victim_fds[16];
        size_t n_victim_fds;
        bool refuse_direct, take_direct, refuse_direct_reads;
        unsigned direct_opens, dropped;
        int last_direct_fd;
        unsigned long fs_type;
} world;

static struct oxl_sys table;

static int w_clock(clockid_t clock, struct timespec *ret)
{
        if (clock == CLOCK_MONOTONIC)
                world.now += world.step;
        *ret = (struct timespec){ .tv_sec = world.now / SECOND, .tv_nsec = world.now % SECOND };
        return 0;
}

static int w_nanosleep(const struct timespec *time, struct timespec *left)
{
        (void)left;
        int64_t n = time->tv_sec * SECOND + time->tv_nsec;
        world.now += n;
        world.slept += n;
        return 0;
}

static int w_openat2(int dirfd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
        bool direct = flags & O_DIRECT;
        world.direct_opens += direct;
        if (direct && world.refuse_direct) {
                errno = EINVAL;
                return -1;
        }
        if (direct && (world.take_direct || world.refuse_direct_reads))
                flags &= ~O_DIRECT;
        int fd = oxl_sys_real.openat2(dirfd, path, flags, mode, resolve);
        if (fd >= 0 && direct)
                world.last_direct_fd = fd;
        if (fd >= 0 && world.victim && strcmp(path, world.victim) == 0 && world.n_victim_fds < 16)
                world.victim_fds[world.n_victim_fds++] = fd;
        return fd;
}

static int w_close(int fd)
{
        for (size_t i = 0; i < world.n_victim_fds; i++)
                if (world.victim_fds[i] == fd)
                        world.victim_fds[i] = -1;
        if (world.last_direct_fd == fd)
                world.last_direct_fd = -1;
        return oxl_sys_real.close(fd);
}

static ssize_t w_pread(int fd, void *buf, size_t n, off_t at)
{
        for (size_t i = 0; i < world.n_victim_fds; i++)
                if (world.victim_fds[i] == fd) {
                        errno = EIO;
                        return -1;
                }
        if (world.refuse_direct_reads && fd == world.last_direct_fd) {
                errno = EINVAL;
                return -1;
        }
        return oxl_sys_real.pread(fd, buf, n, at);
}

static int w_fadvise(int fd, off_t at, off_t n, int advice)
{
        world.dropped += advice == POSIX_FADV_DONTNEED;
        return oxl_sys_real.fadvise(fd, at, n, advice);
}

static int w_fstatfs(int fd, struct statfs *ret)
{
        int r = oxl_sys_real.fstatfs(fd, ret);
        if (world.fs_type)
                ret->f_type = (__typeof__(ret->f_type))world.fs_type;
        return r;
}

/* The order of reading is that of names, on whatever disk this is. */
static int w_fiemap(int fd, uint64_t *ret_physical, uint32_t *ret_flags)
{
        (void)fd, (void)ret_physical, (void)ret_flags;
        errno = EOPNOTSUPP;
        return -1;
}

static int setup(void **state)
{
        struct checked *k = calloc(1, sizeof *k);
        checked_new(k, OXL_ALGO_BLAKE3);
        memset(&world, 0, sizeof world);
        world.now = INT64_C(1900000000) * SECOND;
        world.last_direct_fd = -1;
        table = oxl_sys_real;
        table.clock_gettime = w_clock;
        table.nanosleep = w_nanosleep;
        table.openat2 = w_openat2;
        table.close = w_close;
        table.pread = w_pread;
        table.fadvise = w_fadvise;
        table.fstatfs = w_fstatfs;
        table.fiemap = w_fiemap;
        oxl_sys = &table;
        *state = k;
        return 0;
}

static int teardown(void **state)
{
        oxl_sys = &oxl_sys_real;
        checked_free(*state);
        free(*state);
        return 0;
}

/* --- the ledger as it is in the journal ------------------------------------------------------------------------------ */

struct row {
        char path[128], verdict[16];
        uint64_t size;
        int64_t verified_ns;
        bool medium;
};

struct ledger {
        struct row rows[64];
        size_t n;
        struct {
                char slug[32], path[128];
                int64_t first_ns, last_ns;
        } findings[64];
        size_t n_findings;
        int64_t pass_ns, clean_ns;
};

static int take_row(void *ctx, const struct oxl_ledger_row *row, struct oxl_error *err)
{
        struct ledger *l = ctx;
        (void)err;
        if (strcmp(row->path, OXL_LEDGER_PASS) == 0)
                l->pass_ns = row->verified_ns;
        if (strcmp(row->path, OXL_LEDGER_CLEAN) == 0)
                l->clean_ns = row->verified_ns;
        if (strncmp(row->path, "scrub/", 6) == 0)
                return 0; /* no file */
        assert_true(l->n < 64);
        struct row *to = &l->rows[l->n++];
        snprintf(to->path, sizeof to->path, "%s", row->path);
        snprintf(to->verdict, sizeof to->verdict, "%s", row->verdict);
        to->size = row->size;
        to->verified_ns = row->verified_ns;
        to->medium = row->medium;
        return 0;
}

static int take_finding(void *ctx, const struct oxl_finding_row *row, struct oxl_error *err)
{
        struct ledger *l = ctx;
        (void)err;
        assert_true(l->n_findings < 64);
        snprintf(l->findings[l->n_findings].slug, 32, "%s", row->slug);
        snprintf(l->findings[l->n_findings].path, 128, "%s", row->path);
        l->findings[l->n_findings].first_ns = row->first_ns;
        l->findings[l->n_findings++].last_ns = row->last_ns;
        return 0;
}

static struct ledger read_ledger(struct checked *k)
{
        struct ledger l = { .n = 0 };
        struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_journal *j;
        struct oxl_repo *r;
        assert_int_equal(oxl_repo_open(k->place, NULL, &r, &err), 0);
        const struct oxl_journal_config config = { .dir = k->root, .id = r->format.id, .lock_fd = -1 };
        assert_int_equal(oxl_journal_open_copy(&config, &j, &err), 0);
        assert_int_equal(oxl_journal_ledger(j, take_row, &l, &err), 0);
        assert_int_equal(oxl_journal_findings(j, take_finding, &l, &err), 0);
        oxl_journal_close(j);
        oxl_repo_close(r);
        return l;
}

static const struct row *find_row(const struct ledger *l, const char *path)
{
        for (size_t i = 0; i < l->n; i++)
                if (strcmp(l->rows[i].path, path) == 0)
                        return &l->rows[i];
        return NULL;
}

/* NULL-free: for asserting on. */
static struct row row_of(struct checked *k, const char *path)
{
        struct ledger l = read_ledger(k);
        const struct row *row = find_row(&l, path);
        struct row none = { .verdict = "none" };
        return row ? *row : none;
}

/* --- helpers ---------------------------------------------------------------------------------------------------------- */

static void run(struct checked *k)
{
        assert_int_equal(checked_run(k), 0);
        assert_false(k->result.record_failed);
        world.now += SECOND;
}

static size_t content_files(struct checked *k)
{
        size_t n = 0;
        char **files = checked_files(k, "versions/");
        for (char **f = files; *f; f++)
                n += strcmp(*f, "versions/packs/lookup") != 0;
        checked_files_free(files);
        return n;
}

static char *first_blob(struct checked *k)
{
        char **files = checked_files(k, "versions/files/");
        char *path = strdup(files[0]);
        checked_files_free(files);
        return path;
}

static void flip(struct checked *k, const char *path, size_t byte)
{
        size_t n;
        char *bytes = place_read(k->root, path, &n);
        char *full = place_path(k->root, path);
        chmod(full, 0644);
        bytes[byte] = (char)(bytes[byte] ^ 1);
        place_write(k->root, path, bytes, n);
        free(full);
        free(bytes);
}

/* A run that has time for one file only. */
static void run_short(struct checked *k)
{
        world.step = SECOND;
        k->limits.time_limit_ms = 1;
        run(k);
        world.step = 0;
        k->limits.time_limit_ms = 0;
}

/* One digest over the names and bytes of all files. */
static struct oxl_digest fingerprint(struct checked *k)
{
        struct oxl_hasher h;
        struct oxl_digest d;
        char **files = checked_files(k, "");
        oxl_hasher_init(&h, OXL_ALGO_BLAKE3);
        for (char **f = files; *f; f++) {
                size_t n;
                char *bytes = place_read(k->root, *f, &n);
                oxl_hasher_update(&h, *f, strlen(*f) + 1);
                oxl_hasher_le64(&h, n);
                oxl_hasher_update(&h, bytes, n);
                free(bytes);
        }
        checked_files_free(files);
        oxl_hasher_final(&h, &d);
        return d;
}

/* --- time limit and ledger ---------------------------------------------------------------------------------------------- */

static void limited_runs_read_every_file_once_and_then_the_oldest(void **state)
{
        struct checked *k = *state;
        size_t n = content_files(k);
        assert_true(n >= 5);
        for (size_t i = 1; i <= n; i++) {
                run_short(k);
                struct ledger l = read_ledger(k);
                assert_int_equal(k->n_found, 0);
                assert_int_equal(l.n, i); /* one more each time: none twice */
                assert_int_equal(k->result.extent.read_files, 1);
                assert_int_equal(k->result.extent.left_out[OXL_LEFT_TIME].files, n - 1);
                assert_int_equal(k->result.extent.due_files, n - i);
                assert_int_equal(k->result.recorded, 1);
                assert_false(k->result.extent.complete);
        }
        struct ledger before = read_ledger(k);
        const struct row *oldest = &before.rows[0];
        for (size_t i = 0; i < before.n; i++)
                if (before.rows[i].verified_ns < oldest->verified_ns)
                        oldest = &before.rows[i];
        run_short(k);
        struct ledger after = read_ledger(k);
        for (size_t i = 0; i < after.n; i++)
                assert_int_equal(after.rows[i].verified_ns > before.rows[i].verified_ns, &before.rows[i] == oldest);
}

static void a_file_added_between_limited_runs_is_taken_next(void **state)
{
        struct checked *k = *state;
        char bytes[2000];
        size_t n = content_files(k);
        k->limits.record = true;
        run(k);
        assert_true(k->result.extent.complete);
        assert_int_equal(k->result.extent.read_files, n);
        memset(bytes, 'n', sizeof bytes);
        checked_add(k, "new.bin", bytes, sizeof bytes);
        assert_int_equal(content_files(k), n + 1);
        run_short(k);
        assert_int_equal(k->result.extent.due_files, 0);
        struct ledger l = read_ledger(k);
        assert_int_equal(l.n, n + 1);
}

static void damaged_files_are_read_again_whatever_the_limits_until_they_are_good(void **state)
{
        struct checked *k = *state;
        char *blob = first_blob(k);
        size_t n = content_files(k);
        flip(k, blob, 7);
        k->limits.record = true;
        run(k);
        assert_int_equal(checked_count(k, OXL_P_BLOB_DAMAGED, blob), 1);
        struct ledger l = read_ledger(k);
        assert_string_equal(row_of(k, blob).verdict, "damaged");
        assert_int_equal(l.n, n);
        k->limits = (struct oxl_check_options){ .since_days = 7 };
        run(k);
        assert_int_equal(checked_count(k, OXL_P_BLOB_DAMAGED, blob), 1);
        assert_int_equal(k->result.extent.left_out[OXL_LEFT_RECENT].files, n - 1);
        k->limits = (struct oxl_check_options){ .sample_bytes = 1, .seed = 5 };
        run(k);
        assert_int_equal(checked_count(k, OXL_P_BLOB_DAMAGED, blob), 1);
        k->limits = (struct oxl_check_options){ 0 };
        for (int i = 0; i < 3; i++) { /* the limit still leaves time for another file: the rest is not starved */
                run_short(k);
                assert_int_equal(checked_count(k, OXL_P_BLOB_DAMAGED, blob), 1);
                assert_int_equal(k->result.extent.read_files, 2);
        }
        flip(k, blob, 7);
        run_short(k);
        assert_int_equal(k->n_found, 0);
        assert_string_equal(row_of(k, blob).verdict, "good");
        free(blob);
}

static void since_days_leaves_out_what_was_verified_within_them(void **state)
{
        struct checked *k = *state;
        size_t n = content_files(k);
        k->limits.since_days = 7;
        run(k);
        assert_int_equal(k->result.extent.read_files, n);
        assert_true(k->result.extent.complete);
        world.now += 6 * DAY;
        run(k);
        assert_int_equal(k->result.extent.read_files, 0);
        assert_int_equal(k->result.extent.left_out[OXL_LEFT_RECENT].files, n);
        assert_int_equal(k->result.extent.due_files, 0);
        assert_false(k->result.extent.complete);
        assert_int_equal(k->result.objects, 2 + 2 + 1); /* of the graph: no blob was read */
        world.now += 2 * DAY;
        run(k);
        assert_int_equal(k->result.extent.read_files, n);
        world.now -= 3 * DAY; /* a clock that was set back: rows from the future are not believed */
        run(k);
        assert_int_equal(k->result.extent.read_files, n);
}

static void a_file_of_another_size_than_recorded_is_not_recent(void **state)
{
        struct checked *k = *state;
        char *blob = first_blob(k);
        size_t n;
        k->limits.since_days = 7;
        run(k);
        char *bytes = place_read(k->root, blob, &n);
        char *full = place_path(k->root, blob);
        chmod(full, 0644);
        place_write(k->root, blob, bytes, n - 1);
        run(k);
        assert_int_equal(checked_count(k, OXL_P_BLOB_DAMAGED, blob), 1);
        free(full);
        free(bytes);
        free(blob);
}

static void rows_of_files_that_are_gone_are_forgotten(void **state)
{
        struct checked *k = *state;
        char *blob = first_blob(k), *full = place_path(k->root, blob);
        k->limits.record = true;
        run(k);
        struct ledger l = read_ledger(k);
        assert_non_null(find_row(&l, blob));
        assert_int_equal(unlink(full), 0);
        run(k);
        l = read_ledger(k);
        assert_null(find_row(&l, blob));
        free(full);
        free(blob);
}

static void findings_keep_when_they_were_first_seen_and_go_when_they_are_settled(void **state)
{
        struct checked *k = *state;
        char *blob = first_blob(k);
        flip(k, blob, 9);
        k->limits.record = true;
        run(k);
        size_t found = k->n_found;
        struct ledger one = read_ledger(k);
        assert_int_equal(one.n_findings, found);
        run(k);
        struct ledger two = read_ledger(k);
        assert_int_equal(two.n_findings, found);
        assert_true(two.findings[0].first_ns == one.findings[0].first_ns);
        assert_true(two.findings[0].last_ns > one.findings[0].last_ns);
        flip(k, blob, 9);
        run_short(k); /* limited: what was damaged is read again all the same, so this settles it */
        two = read_ledger(k);
        assert_int_equal(two.n_findings, 0);
        free(blob);
}

static void what_cannot_be_read_is_never_recorded_as_verified(void **state)
{
        struct checked *k = *state;
        char *blob = first_blob(k);
        k->limits.record = true;
        run(k);
        for (int limited = 0; limited < 2; limited++) {
                world.victim = blob;
                if (limited)
                        run_short(k);
                else
                        run(k);
                world.victim = NULL;
                world.n_victim_fds = 0;
                assert_true(checked_count(k, OXL_P_UNREADABLE, blob) > 0);
                assert_int_equal(checked_count(k, OXL_P_UNREADABLE, blob), k->n_found);
                assert_string_equal(row_of(k, blob).verdict, "unreadable");
                assert_true(row_of(k, blob).verified_ns == 0);
                assert_true(k->result.extent.due_files >= 1);
                k->limits = (struct oxl_check_options){ 0 };
        }
        k->limits.since_days = 1000;
        run(k);
        assert_int_equal(k->result.extent.read_files, 1);
        assert_string_equal(row_of(k, blob).verdict, "good");
        free(blob);
}

static void cancel_after_two(void *ctx, const char *phase, uint64_t files, uint64_t files_total, uint64_t bytes,
                             uint64_t bytes_total)
{
        (void)phase, (void)bytes, (void)bytes_total;
        if (files >= 2 && files_total > 0) /* only known while packs and blobs are read */
                atomic_store((atomic_bool *)ctx, true);
}

static void a_cancelled_run_has_recorded_what_it_verified(void **state)
{
        struct checked *k = *state;
        atomic_bool cancel = false;
        k->limits.record = true;
        k->options.cancel = &cancel;
        k->options.progress = cancel_after_two;
        k->options.ctx = &cancel;
        assert_int_equal(checked_run(k), -OXL_E_CANCELLED);
        k->options = (struct oxl_repo_options){ .wait_ms = 30000 };
        struct ledger l = read_ledger(k);
        assert_true(l.n == 2 && l.n < content_files(k));
        run_short(k);
        struct ledger m = read_ledger(k);
        assert_int_equal(m.n, l.n + 1);
}

static void a_whole_recorded_run_is_a_pass_and_a_part_of_one_is_not(void **state)
{
        struct checked *k = *state;
        const struct oxl_check_options parts[] = {
                { .record = true, .quick = true },
                { .record = true, .sample_bytes = 1, .seed = 5 },
                { .record = true, .time_limit_ms = 1, .rate = 1 },
                { .record = true, .since_days = 1 }, /* leaves all out */
                { .record = false },
        };
        cleanup_free char *path = first_blob(k);
        run_short(k);
        assert_int_equal(read_ledger(k).pass_ns, 0);
        k->limits = (struct oxl_check_options){ .record = true };
        assert_int_equal(checked_run(k), 0);
        struct ledger first = read_ledger(k);
        assert_true(first.pass_ns > 0 && first.clean_ns == first.pass_ns);
        for (size_t i = 0; i < OXL_ARRAY_LEN(parts); i++) {
                world.now += 1000;
                k->limits = parts[i];
                assert_int_equal(checked_run(k), 0);
                assert_int_equal(read_ledger(k).pass_ns, first.pass_ns);
        }
        flip(k, path, 7);
        k->limits = (struct oxl_check_options){ .record = true };
        assert_int_equal(checked_run(k), 0);
        struct ledger damaged = read_ledger(k);
        assert_true(damaged.pass_ns > first.pass_ns);
        assert_int_equal(damaged.clean_ns, first.clean_ns);
        flip(k, path, 7);
        world.now += 1000;
        assert_int_equal(checked_run(k), 0);
        assert_true(read_ledger(k).clean_ns > damaged.pass_ns);
}

static void rows_of_passes_that_are_none_of_ours_are_only_replaced(void **state)
{
        static const char *const bad[] = {
                "",
                "good",
                "fsck",
                "fsck whole",
                "fsck whole files= findings=0 unreadable=0 ms=1",
                "fsck whole files=1 findings=0 unreadable=0 ms=1 ",
                "fsck whole files=1 findings=0 unreadable=0 ms=18446744073709551615",
                "fsck whole files=18446744073709551616 findings=0 unreadable=0 ms=1",
                "else whole files=1 findings=0 unreadable=0 ms=1",
        };
        struct oxl_ledger_row row = { .path = "scrub/pass/07", .size = 9, .verified_ns = 5000000000 };
        struct oxl_passes p = { 0 };
        struct oxl_pass_texts texts;
        (void)state;
        for (size_t i = 0; i < OXL_ARRAY_LEN(bad); i++) {
                row.verdict = bad[i];
                assert_true(oxl_passes_take(&p, &row));
                assert_int_equal(p.shown[0].end_ns, 0);
        }
        row.verdict = "scrub part files=3 findings=2 unreadable=1 ms=1500";
        assert_true(oxl_passes_take(&p, &row));
        assert_true(p.shown[0].scrub && !p.shown[0].whole && p.shown[0].files == 3 && p.shown[0].findings == 2);
        assert_true(p.shown[0].unreadable == 1 && p.shown[0].begin_ns == 3500000000 && p.shown[0].bytes == 9);
        for (size_t i = 0; i < OXL_PASSES_KEPT; i++)
                p.ends[i] = i == 42 ? 6 : 7;
        assert_string_equal(oxl_passes_row(&p, &p.shown[0], &texts).path, "scrub/pass/42");
        assert_string_equal(texts.verdict, row.verdict);
        static const char *const others[] = { "scrub/pass",     "scrub/pass/",   "scrub/pass/7",
                                              "scrub/pass/077", "scrub/pass/0x", "versions/packs/x" };
        for (size_t i = 0; i < OXL_ARRAY_LEN(others); i++) {
                row.path = others[i];
                assert_false(oxl_passes_take(&p, &row));
        }
}

static void notice_failed(void *ctx, const char *path, const char *text)
{
        (void)path;
        *(bool *)ctx = strstr(text, "could not be recorded") != NULL;
}

static void a_ledger_that_cannot_be_written_is_told_and_the_check_goes_on(void **state)
{
        struct checked *k = *state;
        bool told = false;
        char *owners = place_path(k->root, "owners");
        k->limits.record = true;
        k->options.notice = notice_failed;
        k->options.ctx = &told;
        assert_int_equal(rmdir(owners), 0);
        assert_int_equal(checked_run(k), 0);
        assert_true(k->result.record_failed);
        assert_true(told);
        assert_true(k->result.extent.complete);
        free(owners);
}

/* --- sample -------------------------------------------------------------------------------------------------------------- */

static void a_sample_reads_at_least_what_it_says(void **state)
{
        struct checked *k = *state;
        static const uint32_t ppm[] = { 1, 10000, 100000, 300000, 700000, 1000000 };
        for (size_t i = 0; i < sizeof ppm / sizeof ppm[0]; i++)
                for (uint64_t seed = 1; seed <= 20; seed++) {
                        k->limits = (struct oxl_check_options){ .sample_ppm = ppm[i], .seed = seed };
                        run(k);
                        const struct oxl_check_extent *e = &k->result.extent;
                        assert_int_equal(k->n_found, 0);
                        assert_true(e->read_bytes + e->part_bytes >= (e->bytes * ppm[i] + 999999) / 1000000);
                        if (ppm[i] == 1 || ppm[i] == 1000000)
                                assert_int_equal(e->complete, ppm[i] == 1000000);
                        assert_int_equal(e->read_files + e->part_files + e->left_out[OXL_LEFT_SAMPLE].files, e->files);
                        assert_int_equal(k->result.seed, seed);
                }
        k->limits = (struct oxl_check_options){ .sample_bytes = 2000, .seed = 1 };
        run(k);
        assert_true(k->result.extent.read_bytes + k->result.extent.part_bytes >= 2000);
        assert_true(k->result.extent.left_out[OXL_LEFT_SAMPLE].files > 0);
}

static void samples_differ_by_seed_and_find_damage_where_they_look(void **state)
{
        struct checked *k = *state;
        char **packs = checked_files(k, "versions/packs/");
        unsigned found = 0, missed = 0;
        for (char **f = packs; *f; f++)
                if (strcmp(*f, "versions/packs/lookup") != 0)
                        flip(k, *f, 64 + 80); /* the first byte of the first record's payload */
        for (uint64_t seed = 1; seed <= 40; seed++) {
                k->limits = (struct oxl_check_options){ .sample_bytes = 300, .seed = seed };
                run(k);
                size_t n = checked_count(k, OXL_P_RECORD_DAMAGED, NULL) + checked_count(k, OXL_P_METADATA_COPY, NULL);
                found += n > 0;
                missed += n == 0;
        }
        assert_true(found > 0);
        assert_true(missed > 0);
        checked_files_free(packs);
}

/* Damages the payload of each record of the pack at @path. */
static void flip_records(struct checked *k, const char *path)
{
        struct oxl_repo *r;
        struct oxl_pack *p;
        struct oxl_digest id;
        struct oxl_error err = OXL_ERROR_INIT;
        char hex[65] = { 0 };
        memcpy(hex, path + strlen("versions/packs/"), 64);
        assert_true(oxl_digest_parse(OXL_ALGO_BLAKE3, hex, &id));
        assert_int_equal(oxl_repo_open(k->place, NULL, &r, &err), 0);
        assert_int_equal(oxl_pack_open(r->root_fd, path, &id, &r->format.id, r->format.blob_algo, &p, &err), 0);
        assert_int_equal(oxl_pack_load_index(p, &err), 0);
        for (uint64_t i = 0; i < oxl_pack_entries(p); i++) {
                struct oxl_pack_entry e;
                oxl_pack_entry_at(p, i, &e);
                flip(k, path, e.offset + OXL_PACK_RECORD_BYTES);
        }
        oxl_pack_free(p);
        oxl_repo_close(r);
}

static void even_the_smallest_sample_reads_one_record(void **state)
{
        struct checked *k = *state;
        char **files = checked_files(k, "versions/");
        unsigned parts = 0;
        for (char **f = files; *f; f++) {
                if (strstr(*f, ".pack"))
                        flip_records(k, *f);
                else if (strstr(*f, "/data"))
                        flip(k, *f, 0);
        }
        for (uint64_t seed = 1; seed <= 20; seed++) {
                k->limits = (struct oxl_check_options){ .sample_bytes = 1, .seed = seed };
                run(k);
                parts += k->result.extent.part_files > 0;
                assert_true(checked_count(k, OXL_P_RECORD_DAMAGED, NULL) + checked_count(k, OXL_P_BLOB_DAMAGED, NULL) +
                                    checked_count(k, OXL_P_METADATA_COPY, NULL) >
                            0);
        }
        assert_true(parts > 0);
        checked_files_free(files);
}

static void samples_take_what_was_never_verified_first(void **state)
{
        struct checked *k = *state;
        uint64_t due = UINT64_MAX;
        for (int i = 0; i < 100 && due > 0; i++) {
                k->limits = (struct oxl_check_options){ .sample_ppm = 400000, .seed = (uint64_t)i + 1, .record = true };
                run(k);
                assert_true(k->result.extent.due_bytes < due);
                due = k->result.extent.due_bytes;
                /* a part of a pack verifies none: only what is smaller than the sample is ever finished */
                if (k->result.extent.read_files == 0)
                        break;
        }
        assert_int_equal(due, 0);
}

/* --- rate ------------------------------------------------------------------------------------------------------------------ */

static void reading_keeps_to_the_rate(void **state)
{
        struct checked *k = *state;
        enum { RATE = 100, PIECE = 2048 }; /* no file of the fixture is larger than a piece */
        k->limits.rate = RATE;
        run(k);
        assert_int_equal(k->n_found, 0);
        int64_t bytes = (int64_t)k->result.extent.read_bytes;
        assert_true(bytes > 5000);
        assert_true(world.slept >= (bytes - PIECE) * SECOND / RATE);
        assert_true(world.slept <=
                    3 * bytes * SECOND / RATE); /* indexes and ends of packs are read before the records */
}

/* --- the medium -------------------------------------------------------------------------------------------------------------- */

static void media_reads_around_the_cache(void **state)
{
        struct checked *k = *state;
        world.take_direct = true; /* whatever the file system of the test thinks of it */
        world.fs_type = 0xEF53;
        k->limits = (struct oxl_check_options){ .media = true, .record = true };
        run(k);
        assert_int_equal(k->n_found, 0);
        assert_true(world.direct_opens >= content_files(k));
        assert_true(k->result.extent.medium_read_bytes >= k->result.extent.bytes);
        assert_int_equal(k->result.extent.cache_read_bytes, 0);
        struct ledger l = read_ledger(k);
        for (size_t i = 0; i < l.n; i++)
                assert_true(l.rows[i].medium);
        /* a tmpfs takes O_DIRECT, but has nothing below the cache */
        world.fs_type = TMPFS_MAGIC;
        run(k);
        assert_int_equal(k->result.extent.medium_read_bytes, 0);
        assert_true(k->result.extent.cache_read_bytes >= k->result.extent.bytes);
        l = read_ledger(k);
        for (size_t i = 0; i < l.n; i++)
                assert_false(l.rows[i].medium);
}

static void media_counts_what_the_cache_may_have_answered(void **state)
{
        struct checked *k = *state;
        k->limits = (struct oxl_check_options){ .media = true, .record = true };
        for (int i = 0; i < 2; i++) { /* refused when opened; when read */
                world.refuse_direct = i == 0;
                world.refuse_direct_reads = i == 1;
                world.dropped = 0;
                run(k);
                assert_int_equal(k->n_found, 0);
                assert_int_equal(k->result.extent.medium_read_bytes, 0);
                assert_true(k->result.extent.cache_read_bytes >= k->result.extent.bytes);
                assert_true(world.dropped >= content_files(k));
                struct ledger l = read_ledger(k);
                for (size_t f = 0; f < l.n; f++)
                        assert_false(l.rows[f].medium);
        }
        world.refuse_direct = world.refuse_direct_reads = false;
        world.take_direct = true;
        world.fs_type = 0xEF53;
        k->limits = (struct oxl_check_options){ .media = true, .since_days = 5 };
        run(k); /* recent, but only by way of the cache */
        assert_int_equal(k->result.extent.read_files, content_files(k));
        run(k);
        assert_int_equal(k->result.extent.read_files, 0);
}

static void media_takes_first_what_was_verified_only_through_the_cache(void **state)
{
        struct checked *k = *state;
        char bytes[2000];
        world.take_direct = true;
        world.fs_type = 0xEF53;
        k->limits = (struct oxl_check_options){ .media = true, .record = true };
        run(k);
        memset(bytes, 'n', sizeof bytes);
        checked_add(k, "new.bin", bytes, sizeof bytes);
        k->limits = (struct oxl_check_options){ 0 };
        run_short(k); /* the new file, and the newest row */
        struct ledger l = read_ledger(k);
        size_t cached = 0;
        for (size_t i = 0; i < l.n; i++)
                cached += !l.rows[i].medium;
        assert_int_equal(cached, 1);
        k->limits.media = true;
        run_short(k);
        l = read_ledger(k);
        for (size_t i = 0; i < l.n; i++)
                assert_true(l.rows[i].medium);
}

static void media_finds_the_same_damage(void **state)
{
        struct checked *k = *state;
        char **files = checked_files(k, "versions/");
        for (char **f = files; *f; f++)
                if (strcmp(*f, "versions/packs/lookup") != 0)
                        flip(k, *f, 150);
        run(k);
        size_t n = k->n_found;
        assert_true(n > 4);
        k->limits.media = true;
        run(k);
        assert_int_equal(k->n_found, n);
        world.take_direct = true;
        run(k);
        assert_int_equal(k->n_found, n);
        checked_files_free(files);
}

/* --- what a check leaves behind, threads ------------------------------------------------------------------------------------- */

static void without_record_nothing_in_the_repository_changes(void **state)
{
        struct checked *k = *state;
        static const struct oxl_check_options all[] = {
                { .quick = false },
                { .quick = true },
                { .sample_ppm = 300000, .seed = 3 },
                { .sample_bytes = 900 },
                { .media = true },
                { .rate = 1 << 20 },
                { .jobs = 4 },
                { .media = true, .jobs = 3, .rate = 1 << 20, .sample_ppm = 500000 },
        };
        struct oxl_digest before = fingerprint(k);
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
                k->limits = all[i];
                oxl_sys = all[i].jobs > 1 ? &oxl_sys_real : &table; /* ours is for one thread */
                run(k);
                struct oxl_digest after = fingerprint(k);
                assert_true(oxl_digest_equal(&before, &after));
                assert_int_equal(k->result.recorded, 0);
        }
        k->limits = (struct oxl_check_options){ .record = true };
        run(k);
        struct oxl_digest after = fingerprint(k);
        assert_false(oxl_digest_equal(&before, &after)); /* and the comparison can tell */
}

static void damage(struct checked *k)
{
        char **files = checked_files(k, "versions/");
        for (char **f = files; *f; f++)
                if (strcmp(*f, "versions/packs/lookup") != 0)
                        flip(k, *f, 100 + strlen(*f) % 7);
        checked_files_free(files);
}

static void threads_find_the_same_in_the_same_order(void **state)
{
        struct checked *k = *state;
        char text[64 * 1024], again[sizeof text];
        oxl_sys = &oxl_sys_real; /* ours is for one thread */
        damage(k);
        for (int jobs = 1; jobs <= 8; jobs++) {
                char *to = jobs == 1 ? text : again;
                size_t at = 0;
                k->limits = (struct oxl_check_options){ .jobs = (unsigned)jobs };
                assert_int_equal(checked_run(k), 0);
                assert_true(k->n_found > 4);
                to[0] = 0;
                for (size_t i = 0; i < k->n_found && at < sizeof text - 512; i++)
                        at += (size_t)snprintf(to + at, sizeof text - at, "%s %s %s\n", k->found[i].id,
                                               k->found[i].path, k->found[i].detail);
                assert_string_equal(to, text);
        }
}

static void threads_record_the_same(void **state)
{
        struct checked *k = *state;
        oxl_sys = &oxl_sys_real;
        k->limits = (struct oxl_check_options){ .jobs = 4, .record = true };
        assert_int_equal(checked_run(k), 0);
        assert_int_equal(k->result.extent.read_files, content_files(k));
        struct ledger l = read_ledger(k);
        assert_int_equal(l.n, content_files(k));
}

#define with_repository(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                with_repository(limited_runs_read_every_file_once_and_then_the_oldest),
                with_repository(a_file_added_between_limited_runs_is_taken_next),
                with_repository(damaged_files_are_read_again_whatever_the_limits_until_they_are_good),
                with_repository(since_days_leaves_out_what_was_verified_within_them),
                with_repository(a_file_of_another_size_than_recorded_is_not_recent),
                with_repository(rows_of_files_that_are_gone_are_forgotten),
                with_repository(findings_keep_when_they_were_first_seen_and_go_when_they_are_settled),
                with_repository(what_cannot_be_read_is_never_recorded_as_verified),
                with_repository(a_cancelled_run_has_recorded_what_it_verified),
                with_repository(a_whole_recorded_run_is_a_pass_and_a_part_of_one_is_not),
                cmocka_unit_test(rows_of_passes_that_are_none_of_ours_are_only_replaced),
                with_repository(a_ledger_that_cannot_be_written_is_told_and_the_check_goes_on),
                with_repository(a_sample_reads_at_least_what_it_says),
                with_repository(samples_differ_by_seed_and_find_damage_where_they_look),
                with_repository(even_the_smallest_sample_reads_one_record),
                with_repository(samples_take_what_was_never_verified_first),
                with_repository(reading_keeps_to_the_rate),
                with_repository(media_reads_around_the_cache),
                with_repository(media_counts_what_the_cache_may_have_answered),
                with_repository(media_takes_first_what_was_verified_only_through_the_cache),
                with_repository(media_finds_the_same_damage),
                with_repository(without_record_nothing_in_the_repository_changes),
                with_repository(threads_find_the_same_in_the_same_order),
                with_repository(threads_record_the_same),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}

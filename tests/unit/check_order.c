/* SPDX-License-Identifier: MIT */
/* In which order fsck and the content of a scrub read packs and loose blobs, on disks of ours: what sysfs and FIEMAP say is made up. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/fiemap.h>

#include "base/cleanup.h"
#include "check/hooks.h"
#include "objects/pack.h"
#include "os/disk.h"
#include "os/sys.h"
#include "repo/repo.h"
#include "support/checked.h"
#include "support/place.h"

enum { FILES_MAX = 64, FDS_MAX = 1024 };

/* --- our disk ------------------------------------------------------------------------------------------------------- */

static struct {
        struct oxl_sys table;
        const char *of_device,
                *of_disk; /* what sysfs says of the device itself, and of the disk it is a part of; NULL: nothing */
        unsigned asked_sysfs;
        char *names[FILES_MAX]; /* owned: packs, then loose blobs, as they are listed */
        size_t n;
        uint64_t place[FILES_MAX];
        uint32_t flags[FILES_MAX];
        bool empty[FILES_MAX];
        int refuses;               /* errno of FIEMAP, or 0 */
        unsigned asked[FILES_MAX]; /* times that its place was asked */
        int fds[FDS_MAX];          /* fd: which file, plus one */
        bool recording;
        size_t read[FILES_MAX]; /* files in the order of their first read in the pass over content */
        size_t n_read;
} world;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* of fds, read, n_read: the crew's threads use them */

static dev_t device(void)
{
        return makedev(8, 1);
}

static int says(const char *text)
{
        world.asked_sysfs++;
        if (!text) {
                errno = ENOENT;
                return -1;
        }
        int fd = memfd_create("rotational", 0);
        assert_true(fd >= 0 && pwrite(fd, text, strlen(text), 0) == (ssize_t)strlen(text));
        return fd;
}

static int w_openat(int dirfd, const char *path, int flags, mode_t mode)
{
        if (strcmp(path, "/sys/dev/block/8:1/queue/rotational") == 0)
                return says(world.of_device);
        if (strcmp(path, "/sys/dev/block/8:1/../queue/rotational") == 0)
                return says(world.of_disk);
        assert_true(strncmp(path, "/sys/dev", 8) != 0);
        return oxl_sys_real.openat(dirfd, path, flags, mode);
}

static int w_openat2(int dirfd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
        int fd = oxl_sys_real.openat2(dirfd, path, flags, mode, resolve);
        pthread_mutex_lock(&mutex);
        for (size_t i = 0; fd >= 0 && fd < FDS_MAX && i < world.n; i++)
                if (strcmp(path, world.names[i]) == 0)
                        world.fds[fd] = (int)i + 1;
        pthread_mutex_unlock(&mutex);
        return fd;
}

static int w_dup(int fd)
{
        int copy = oxl_sys_real.dup(fd);
        pthread_mutex_lock(&mutex);
        if (copy >= 0 && copy < FDS_MAX && fd < FDS_MAX)
                world.fds[copy] = world.fds[fd];
        pthread_mutex_unlock(&mutex);
        return copy;
}

static int w_close(int fd)
{
        pthread_mutex_lock(&mutex);
        if (fd >= 0 && fd < FDS_MAX)
                world.fds[fd] = 0;
        pthread_mutex_unlock(&mutex);
        return oxl_sys_real.close(fd);
}

static ssize_t w_pread(int fd, void *buf, size_t n, off_t at)
{
        pthread_mutex_lock(&mutex);
        bool known = !world.recording || fd >= FDS_MAX || world.fds[fd] == 0;
        for (size_t i = 0; !known && i < world.n_read; i++)
                known = world.read[i] == (size_t)world.fds[fd] - 1;
        if (!known)
                world.read[world.n_read++] = (size_t)world.fds[fd] - 1;
        pthread_mutex_unlock(&mutex);
        return oxl_sys_real.pread(fd, buf, n, at);
}

static int w_fstat(int fd, struct stat *ret)
{
        int r = oxl_sys_real.fstat(fd, ret);
        ret->st_dev = device();
        return r;
}

static int w_fstatat(int dirfd, const char *path, struct stat *ret, int flags)
{
        int r = oxl_sys_real.fstatat(dirfd, path, ret, flags);
        ret->st_dev = device();
        return r;
}

static int w_fiemap(int fd, uint64_t *ret_physical, uint32_t *ret_flags)
{
        assert_true(fd < FDS_MAX && world.fds[fd] > 0);
        size_t i = (size_t)world.fds[fd] - 1;
        world.asked[i]++;
        if (world.refuses) {
                errno = world.refuses;
                return -1;
        }
        if (world.empty[i])
                return 0;
        *ret_physical = world.place[i];
        *ret_flags = world.flags[i];
        return 1;
}

static void watch(void *ctx, const char *phase, uint64_t files, uint64_t files_total, uint64_t bytes,
                  uint64_t bytes_total)
{
        (void)ctx, (void)files, (void)files_total, (void)bytes, (void)bytes_total;
        pthread_mutex_lock(&mutex);
        world.recording = strcmp(phase, "packs and blobs") == 0;
        pthread_mutex_unlock(&mutex);
}

static void list_names(struct checked *k)
{
        static const char *const of[] = { "versions/packs/", "versions/files/" };
        while (world.n > 0)
                free(world.names[--world.n]);
        for (size_t i = 0; i < 2; i++) {
                char **files = checked_files(k, of[i]);
                for (char **f = files; *f; f++)
                        if (strcmp(*f, "versions/packs/lookup") != 0) {
                                assert_true(world.n < FILES_MAX);
                                world.names[world.n++] = strdup(*f);
                        }
                checked_files_free(files);
        }
        assert_true(world.n >= 5 && strstr(world.names[1], "packs/") && strstr(world.names[world.n - 2], "files/"));
}

static void lay_out(bool reversed)
{
        for (size_t i = 0; i < world.n; i++)
                world.place[i] = (reversed ? world.n - i : i + 1) << 20;
}

static int setup(void **state)
{
        struct checked *k = calloc(1, sizeof *k);
        checked_new(k, OXL_ALGO_BLAKE3);
        memset(&world, 0, sizeof world);
        list_names(k);
        lay_out(true);
        world.of_device = "1\n";
        world.table = oxl_sys_real;
        world.table.openat = w_openat;
        world.table.openat2 = w_openat2;
        world.table.dup = w_dup;
        world.table.close = w_close;
        world.table.pread = w_pread;
        world.table.fstat = w_fstat;
        world.table.fstatat = w_fstatat;
        world.table.fiemap = w_fiemap;
        k->options.progress = watch;
        oxl_sys = &world.table;
        *state = k;
        return 0;
}

static int teardown(void **state)
{
        oxl_sys = &oxl_sys_real;
        while (world.n > 0)
                free(world.names[--world.n]);
        checked_free(*state);
        free(*state);
        return 0;
}

/* --- helpers -------------------------------------------------------------------------------------------------------- */

static void run(struct checked *k)
{
        world.n_read = 0;
        world.asked_sysfs = 0;
        world.recording = false;
        memset(world.asked, 0, sizeof world.asked);
        assert_int_equal(checked_run(k), 0);
        assert_false(k->result.record_failed);
}

static unsigned asked_in_all(void)
{
        unsigned n = 0;
        for (size_t i = 0; i < world.n; i++)
                n += world.asked[i];
        return n;
}

static void assert_all_read(struct checked *k)
{
        assert_int_equal(world.n_read, world.n);
        assert_int_equal(k->result.extent.read_files, world.n);
        assert_true(k->result.extent.complete);
}

/* The files that were read, from the @from'th on, are in the order of names, or in the opposite one. */
static void assert_by_name(size_t from, bool reversed)
{
        for (size_t i = from + 1; i < world.n_read; i++)
                assert_true(reversed ? world.read[i] < world.read[i - 1] : world.read[i] > world.read[i - 1]);
}

/* A bit in the middle. */
static void flip(struct checked *k, const char *path)
{
        size_t n;
        char *bytes = place_read(k->root, path, &n), *full = place_path(k->root, path);
        assert_int_equal(unlink(full), 0);
        bytes[n / 2] = (char)(bytes[n / 2] ^ 1);
        place_write(k->root, path, bytes, n);
        free(full);
        free(bytes);
}

/* --- the disk ------------------------------------------------------------------------------------------------------- */

static void a_disk_rotates_when_sysfs_says_so_of_it_or_of_what_it_is_a_part_of(void **state)
{
        (void)state;
        assert_true(oxl_disk_rotating(device()));
        world.of_device = "0\n";
        world.of_disk = "1\n"; /* not asked: the device has an answer */
        assert_false(oxl_disk_rotating(device()));
        world.of_device = NULL;
        assert_true(oxl_disk_rotating(device()));
        world.of_disk = "0\n";
        assert_false(oxl_disk_rotating(device()));
        world.of_disk = NULL;
        assert_false(oxl_disk_rotating(device()));
        world.asked_sysfs = 0;
        world.of_device = "1\n";
        assert_false(oxl_disk_rotating(makedev(0, 8))); /* w_openat would not hear of it */
        assert_int_equal(world.asked_sysfs, 0);
}

/* --- fsck ----------------------------------------------------------------------------------------------------------- */

static void on_a_rotating_disk_files_are_read_in_the_order_of_their_places(void **state)
{
        struct checked *k = *state;
        run(k);
        assert_int_equal(k->n_found, 0);
        assert_all_read(k);
        assert_by_name(0, true);
        assert_int_equal(world.asked_sysfs, 1);
        for (size_t i = 0; i < world.n; i++)
                assert_int_equal(world.asked[i], 1);
        uint64_t between = world.place[1];
        world.place[1] = world.place[world.n - 2];
        world.place[world.n - 2] = between;
        run(k);
        assert_all_read(k);
        assert_int_equal(world.read[1], 1);
        assert_int_equal(world.read[world.n - 2], world.n - 2);
}

static void other_disks_are_not_asked_for_places(void **state)
{
        struct checked *k = *state;
        world.of_device = "0\n";
        run(k);
        assert_all_read(k);
        assert_by_name(0, false);
        assert_int_equal(asked_in_all(), 0);
        assert_int_equal(world.asked_sysfs, 1);
}

static void a_file_system_that_knows_no_places_is_asked_once_and_read_by_name(void **state)
{
        struct checked *k = *state;
        static const int refusals[] = { EOPNOTSUPP, ENOTTY };
        for (size_t i = 0; i < 2; i++) {
                world.refuses = refusals[i];
                run(k);
                assert_all_read(k);
                assert_by_name(0, false);
                assert_int_equal(asked_in_all(), 1);
        }
        world.refuses = EIO; /* of one file: the next may be told of */
        run(k);
        assert_all_read(k);
        assert_by_name(0, false);
        assert_int_equal(asked_in_all(), world.n);
}

static void files_without_a_certain_place_are_read_last_in_the_order_of_names(void **state)
{
        static const uint32_t nowhere[] = { FIEMAP_EXTENT_UNKNOWN, FIEMAP_EXTENT_DELALLOC, FIEMAP_EXTENT_DATA_INLINE };
        struct checked *k = *state;
        for (size_t i = 0; i < world.n; i++)
                world.flags[i] = nowhere[i % 3] | FIEMAP_EXTENT_LAST;
        world.empty[1] = world.empty[4] = true;
        run(k);
        assert_all_read(k);
        assert_by_name(0, false);
        world.flags[3] = FIEMAP_EXTENT_LAST;
        world.flags[2] = FIEMAP_EXTENT_LAST | FIEMAP_EXTENT_UNWRITTEN;
        run(k);
        assert_all_read(k);
        assert_int_equal(world.read[0], 3);
        assert_int_equal(world.read[1], 2);
        assert_int_equal(world.read[2], 0);
        assert_by_name(2, false);
}

static void what_must_be_read_is_first_wherever_it_lies(void **state)
{
        struct checked *k = *state;
        k->limits.record = true;
        flip(k, world.names[0]);
        flip(k, world.names[1]);
        run(k);
        assert_all_read(k);
        assert_by_name(0, true); /* nobody knew */
        assert_int_equal(world.read[world.n - 1], 0);
        run(k);
        assert_all_read(k);
        assert_int_equal(world.read[0], 1);
        assert_int_equal(world.read[1], 0);
        assert_int_equal(world.read[2], world.n - 1);
        assert_by_name(2, true);
}

static void under_a_time_limit_the_disk_does_not_choose(void **state)
{
        struct checked *k = *state;
        k->limits.time_limit_ms = 3600000;
        run(k);
        assert_all_read(k);
        assert_by_name(0, false);
        assert_int_equal(asked_in_all(), 0);
        assert_int_equal(world.asked_sysfs, 0);
}

static void only_files_that_will_be_read_are_asked_for_their_places(void **state)
{
        struct checked *k = *state;
        bool read[2][FILES_MAX] = { { 0 } };
        uint64_t seed = 0, left = 0;
        while (left == 0 || world.n - left < 2) { /* ids differ from run to run: a sample of some, but not of one */
                world.of_device = "0\n";
                assert_true(seed < 1000);
                k->limits = (struct oxl_check_options){ .sample_ppm = 600000, .seed = ++seed };
                run(k);
                left = k->result.extent.left_out[OXL_LEFT_SAMPLE].files;
        }
        for (size_t turn = 0; turn < 2; turn++) {
                world.of_device = turn ? "1\n" : "0\n";
                run(k);
                for (size_t i = 0; i < world.n_read; i++)
                        read[turn][world.read[i]] = true;
        }
        assert_memory_equal(read[0], read[1], sizeof read[0]); /* the same sample */
        assert_int_equal(asked_in_all(), world.n - left);
        k->limits = (struct oxl_check_options){ .quick = true };
        run(k);
        assert_int_equal(asked_in_all(), 0);
        assert_int_equal(world.asked_sysfs, 0);
}

/* --- findings ------------------------------------------------------------------------------------------------------- */

/* A byte of each record's payload, in every pack. */
static size_t flip_each_record(struct checked *k)
{
        struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_repo *r;
        size_t flipped = 0;
        assert_int_equal(oxl_repo_open(k->place, NULL, &r, &err), 0);
        for (size_t i = 0; i < world.n && strstr(world.names[i], "packs/"); i++) {
                struct oxl_pack *p;
                struct oxl_digest id;
                char hex[65] = { 0 };
                memcpy(hex, strrchr(world.names[i], '/') + 1, 64);
                assert_true(oxl_digest_parse(OXL_ALGO_BLAKE3, hex, &id));
                assert_int_equal(
                        oxl_pack_open(r->root_fd, world.names[i], &id, &r->format.id, r->format.blob_algo, &p, &err),
                        0);
                assert_int_equal(oxl_pack_load_index(p, &err), 0);
                size_t n;
                char *bytes = place_read(k->root, world.names[i], &n), *full = place_path(k->root, world.names[i]);
                for (uint64_t j = 0; j < oxl_pack_entries(p); j++, flipped++) {
                        struct oxl_pack_entry e;
                        oxl_pack_entry_at(p, j, &e);
                        bytes[e.offset + OXL_PACK_RECORD_BYTES] ^= 1;
                }
                assert_int_equal(unlink(full), 0);
                place_write(k->root, world.names[i], bytes, n);
                oxl_pack_free(p);
                free(full);
                free(bytes);
        }
        oxl_repo_close(r);
        return flipped;
}

static void the_findings_are_told_in_the_order_of_names_whatever_the_disk(void **state)
{
        static const unsigned jobs[] = { 1, 4 };
        struct checked *k = *state;
        struct oxl_buf told = OXL_BUF_INIT;
        oxl_sys = &oxl_sys_real;
        assert_true(flip_each_record(k) > 5); /* several in one pack */
        oxl_sys = &world.table;
        for (size_t i = 0; i < world.n; i++)
                if (strstr(world.names[i], "files/"))
                        flip(k, world.names[i]);
        world.of_device = "0\n";
        run(k);
        assert_by_name(0, false);
        assert_true(k->n_found >= world.n);
        for (size_t i = 0; i < k->n_found; i++)
                assert_int_equal(oxl_buf_append_fmt(&told, NULL, "%s %s %s\n", k->found[i].id, k->found[i].path,
                                                    k->found[i].detail),
                                 0);
        size_t n = k->n_found;
        world.of_device = "1\n";
        for (size_t j = 0; j < 2; j++) {
                struct oxl_buf now = OXL_BUF_INIT;
                k->limits.jobs = jobs[j];
                run(k);
                if (jobs[j] == 1)
                        assert_by_name(0, true);
                assert_int_equal(k->n_found, n);
                for (size_t i = 0; i < n; i++)
                        assert_int_equal(oxl_buf_append_fmt(&now, NULL, "%s %s %s\n", k->found[i].id, k->found[i].path,
                                                            k->found[i].detail),
                                         0);
                assert_string_equal(oxl_buf_text(&now), oxl_buf_text(&told));
                oxl_buf_done(&now);
        }
        oxl_buf_done(&told);
}

static int count_findings(void *ctx, const struct oxl_finding *f, struct oxl_error *err)
{
        size_t *n = ctx;
        (void)f, (void)err;
        ++*n;
        return 0;
}

static atomic_bool cancelled;

static ssize_t cancelling_pread(int fd, void *buf, size_t n, off_t at)
{
        ssize_t got = w_pread(fd, buf, n, at);
        if (world.n_read == world.n - 1)
                atomic_store(&cancelled, true);
        return got;
}

static void what_was_found_before_it_was_cancelled_is_told(void **state)
{
        struct checked *k = *state;
        struct oxl_check_result result;
        struct oxl_error err = OXL_ERROR_INIT;
        size_t n = 0;
        flip(k, world.names[world.n - 1]); /* read first */
        world.table.pread = cancelling_pread;
        k->options.cancel = &cancelled;
        int r = oxl_check_run(k->place, &k->options, &k->limits, count_findings, &n, &result, &err);
        assert_int_equal(r, -OXL_E_CANCELLED);
        assert_int_equal(n, 1);
        assert_int_equal(world.read[0], world.n - 1);
        oxl_error_done(&err);
        atomic_store(&cancelled, false);
}

static void more_findings_than_are_held_are_all_told(void **state)
{
        struct checked *k = *state;
        const char *const folder = "many";
        struct oxl_repo *r;
        struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_add_options options = { 0 };
        struct oxl_add_result added;
        oxl_sys = &oxl_sys_real;
        place_mkdir(k->place, folder);
        for (int i = 0; i < 3000; i++) {
                char name[32];
                snprintf(name, sizeof name, "many/%d", i);
                place_text(k->place, name, name);
        }
        assert_int_equal(oxl_repo_open(k->place, NULL, &r, &err), 0);
        assert_int_equal(oxl_repo_add(r, &folder, 1, &options, &added, &err), 0);
        oxl_repo_close(r);
        checked_commit(k, "many");
        list_names(k);
        lay_out(true);
        size_t flipped = flip_each_record(k);
        assert_true(flipped > 3000);
        oxl_sys = &world.table;
        world.of_device = "0\n";
        k->limits.hooks = &(struct oxl_check_hooks){ .part = OXL_CHECK_CONTENT }; /* holds nothing */
        run(k);
        size_t n = k->n_found;
        assert_true(n >= 3000);
        world.of_device = "1\n";
        k->limits.hooks = NULL;
        run(k);
        assert_by_name(0, true);
        assert_int_equal(checked_count(k, OXL_P_RECORD_DAMAGED, NULL) + checked_count(k, OXL_P_METADATA_COPY, NULL), n);
}

/* --- scrub ---------------------------------------------------------------------------------------------------------- */

static void a_scrub_goes_by_place_among_what_was_never_verified_and_by_age_then(void **state)
{
        struct checked *k = *state;
        const struct oxl_check_hooks hooks = { .part = OXL_CHECK_CONTENT };
        char bytes[2000];
        k->limits = (struct oxl_check_options){ .record = true, .hooks = &hooks };
        run(k);
        assert_all_read(k);
        assert_by_name(0, true);
        assert_int_equal(asked_in_all(), world.n);
        lay_out(false);
        for (int i = 0; i < 2; i++) {
                memset(bytes, 'a' + i, sizeof bytes);
                oxl_sys = &oxl_sys_real;
                checked_add(k, i ? "new-1" : "new-2", bytes, sizeof bytes);
                oxl_sys = &world.table;
        }
        char *old[FILES_MAX];
        size_t n_old = world.n;
        for (size_t i = 0; i < n_old; i++)
                old[i] = strdup(world.names[i]);
        list_names(k);
        assert_int_equal(world.n, n_old + 2);
        lay_out(false);
        run(k);
        assert_all_read(k);
        assert_int_equal(asked_in_all(), 2); /* of the new ones: ages decide the others */
        assert_true(world.read[0] < world.read[1]);
        for (size_t i = 0; i < 2; i++)
                assert_int_equal(world.asked[world.read[i]], 1);
        for (size_t i = 2; i < world.n; i++)
                assert_string_equal(world.names[world.read[i]], old[n_old - 1 - (i - 2)]);
        while (n_old > 0)
                free(old[--n_old]);
}

static void a_check_that_ends_a_scrub_asks_no_places(void **state)
{
        struct checked *k = *state;
        const struct oxl_check_hooks hooks = { .mark = true };
        k->limits = (struct oxl_check_options){ .record = true, .hooks = &hooks };
        run(k);
        assert_all_read(k);
        assert_by_name(0, false);
        assert_int_equal(asked_in_all(), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                T(a_disk_rotates_when_sysfs_says_so_of_it_or_of_what_it_is_a_part_of),
                T(on_a_rotating_disk_files_are_read_in_the_order_of_their_places),
                T(other_disks_are_not_asked_for_places),
                T(a_file_system_that_knows_no_places_is_asked_once_and_read_by_name),
                T(files_without_a_certain_place_are_read_last_in_the_order_of_names),
                T(what_must_be_read_is_first_wherever_it_lies),
                T(under_a_time_limit_the_disk_does_not_choose),
                T(only_files_that_will_be_read_are_asked_for_their_places),
                T(the_findings_are_told_in_the_order_of_names_whatever_the_disk),
                T(what_was_found_before_it_was_cancelled_is_told),
                T(more_findings_than_are_held_are_all_told),
                T(a_scrub_goes_by_place_among_what_was_never_verified_and_by_age_then),
                T(a_check_that_ends_a_scrub_asks_no_places),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}

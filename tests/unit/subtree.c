/* SPDX-License-Identifier: MIT */
/* Digests put together from subtrees, and files read by a crew: the same digest and the same bytes as in one go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>

#include <cmocka.h>

#include "digest/subtree.h"
#include "objects/scan.h"
#include "os/fdio.h"
#include "support/scratch.h"

enum { PIECE = OXL_SUBTREE_BYTES, LARGE = 40 * PIECE };
_Static_assert(32 * PIECE >= OXL_SCAN_SPLIT_BYTES, "no crew would read these files");

static uint8_t *content(size_t n)
{
        uint8_t *bytes = malloc(n);
        uint32_t x = 1;
        assert_non_null(bytes);
        for (size_t i = 0; i < n; i++) {
                x = x * 1664525u + 1013904223u;
                bytes[i] = (uint8_t)(x >> 24);
        }
        return bytes;
}

/* The first @pieces as subtrees, the rest as it comes. */
static void assert_joined(const uint8_t *bytes, size_t n, size_t pieces)
{
        struct oxl_digest whole = oxl_digest_of(OXL_ALGO_BLAKE3, bytes, n), got;
        struct oxl_hasher h;
        oxl_hasher_init(&h, OXL_ALGO_BLAKE3);
        assert_true(oxl_hasher_splits(&h));
        for (size_t i = 0; i < pieces; i++) {
                uint8_t cv[OXL_SUBTREE_CV_BYTES];
                oxl_subtree_hash(bytes + i * PIECE, i, cv);
                oxl_hasher_add_subtree(&h, cv);
        }
        oxl_hasher_update(&h, bytes + pieces * PIECE, n - pieces * PIECE);
        oxl_hasher_final(&h, &got);
        assert_true(oxl_digest_equal(&got, &whole));
}

static void subtrees_give_the_digest_of_the_whole(void **state)
{
        static const size_t rests[] = { 1, 64, 1023, 1024, 1025, 2048, PIECE - 1, PIECE, PIECE + 1 };
        uint8_t *bytes = content(10 * PIECE);
        for (size_t pieces = 0; pieces < 9; pieces++)
                for (size_t i = 0; i < sizeof rests / sizeof *rests; i++)
                        if (pieces * PIECE + rests[i] <= 10 * (size_t)PIECE)
                                assert_joined(bytes, pieces * PIECE + rests[i], pieces);
        free(bytes);
}

static void only_a_fresh_blake3_without_key_splits(void **state)
{
        struct oxl_hasher h;
        oxl_hasher_init(&h, OXL_ALGO_XXH3_128);
        assert_false(oxl_hasher_splits(&h));
        oxl_hasher_init_derive(&h, OXL_CONTEXT_TREE);
        assert_false(oxl_hasher_splits(&h));
        oxl_hasher_init(&h, OXL_ALGO_BLAKE3);
        assert_true(oxl_hasher_splits(&h));
        oxl_hasher_update(&h, "x", 1);
        assert_false(oxl_hasher_splits(&h));
}

/* --- files --- */

static int setup(void **state)
{
        static struct scratch scratch;
        scratch_new(&scratch);
        *state = &scratch;
        return 0;
}

static int teardown(void **state)
{
        scratch_done(*state);
        return 0;
}

struct seen {
        const uint8_t *want;
        size_t at, stop_at;
        atomic_bool *cancel;
        size_t cut; /* the file to that size, at stop_at */
        int fd;
};

static int see(void *ctx, const void *bytes, size_t n, struct oxl_error *err)
{
        struct seen *s = ctx;
        assert_non_null(bytes);
        assert_memory_equal(bytes, s->want + s->at, n);
        s->at += n;
        if (s->stop_at && s->at >= s->stop_at && s->cancel)
                atomic_store(s->cancel, true);
        if (s->stop_at && s->at >= s->stop_at && s->cut) {
                assert_int_equal(oxl_fd_truncate(s->fd, s->cut), 0);
                s->stop_at = 0;
        }
        return 0;
}

static int file_of(struct scratch *scratch, const uint8_t *bytes, size_t n)
{
        int fd = oxl_fd_open(scratch->fd, "file", O_RDWR | O_CREAT | O_TRUNC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(oxl_fd_pwrite_all(fd, bytes, n, 0), 0);
        return fd;
}

static void a_large_file_is_scanned_in_order(void **state)
{
        /* 32 pieces: the root joins two halves, and only the library may do that */
        static const size_t sizes[] = { 32 * PIECE, LARGE - PIECE - 1, LARGE, LARGE + 1 };
        uint8_t *bytes = content(LARGE + 1);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                struct oxl_hasher h;
                struct oxl_digest got, want = oxl_digest_of(OXL_ALGO_BLAKE3, bytes, sizes[i]);
                struct seen seen = { .want = bytes };
                uint64_t n = 0;
                int fd = file_of(*state, bytes, sizes[i]);
                oxl_hasher_init(&h, OXL_ALGO_BLAKE3);
                assert_int_equal(oxl_fd_scan(fd, "file", &h, see, &seen, NULL, &n, NULL), 0);
                oxl_hasher_final(&h, &got);
                assert_int_equal(n, sizes[i]);
                assert_int_equal(seen.at, sizes[i]);
                assert_true(oxl_digest_equal(&got, &want));
                oxl_hasher_init(&h, OXL_ALGO_BLAKE3); /* nobody looks: runs of pieces, each by one thread */
                assert_int_equal(oxl_fd_scan(fd, "file", &h, NULL, NULL, NULL, &n, NULL), 0);
                oxl_hasher_final(&h, &got);
                assert_int_equal(n, sizes[i]);
                assert_true(oxl_digest_equal(&got, &want));
                assert_int_equal(oxl_fd_close(fd), 0);
        }
        free(bytes);
}

static void a_scan_is_cancelled_in_the_middle(void **state)
{
        uint8_t *bytes = content(LARGE);
        atomic_bool cancel = false;
        struct seen seen = { .want = bytes, .stop_at = LARGE / 4, .cancel = &cancel };
        struct oxl_hasher h;
        uint64_t n = 0;
        int fd = file_of(*state, bytes, LARGE);
        oxl_hasher_init(&h, OXL_ALGO_BLAKE3);
        assert_int_equal(oxl_fd_scan(fd, "file", &h, see, &seen, &cancel, &n, NULL), -OXL_E_CANCELLED);
        assert_in_range(seen.at, LARGE / 4, LARGE / 4 + PIECE);
        assert_int_equal(oxl_fd_close(fd), 0);
        free(bytes);
}

/* Where the end is no whole piece, a whole one, and the whole left half of a tree: farther away than is read ahead. */
static void a_file_that_is_cut_short_meanwhile_has_the_digest_of_what_was_seen(void **state)
{
        static const size_t cuts[] = { 20 * PIECE + 5, 20 * PIECE, 21 * PIECE, 32 * PIECE };
        uint8_t *bytes = content(LARGE);
        for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
                struct seen seen = { .want = bytes, .stop_at = LARGE / 4, .cut = cuts[i] };
                struct oxl_digest whole = oxl_digest_of(OXL_ALGO_BLAKE3, bytes, cuts[i]), got;
                struct oxl_hasher h;
                uint64_t n = 0;
                int fd = seen.fd = file_of(*state, bytes, LARGE);
                oxl_hasher_init(&h, OXL_ALGO_BLAKE3);
                assert_int_equal(oxl_fd_scan(fd, "file", &h, see, &seen, NULL, &n, NULL), 0);
                oxl_hasher_final(&h, &got);
                assert_int_equal(n, cuts[i]);
                assert_int_equal(seen.at, cuts[i]);
                assert_true(oxl_digest_equal(&got, &whole));
                assert_int_equal(oxl_fd_close(fd), 0);
        }
        free(bytes);
}

struct part {
        const uint8_t *bytes;
        size_t n; /* as many are left */
        atomic_bool *cancel;
};

static ssize_t read_part(void *ctx, void *buf, size_t n, uint64_t at)
{
        const struct part *p = ctx;
        if (p->cancel && at >= p->n / 2)
                atomic_store(p->cancel, true);
        n = at >= p->n ? 0 : n < p->n - at ? n : (size_t)(p->n - at);
        memcpy(buf, p->bytes + at, n);
        return (ssize_t)n;
}

/* In the middle of a run of pieces, at its end, behind a whole piece, within the first one, and with nothing left. */
static void a_file_that_is_cut_short_has_the_digest_of_what_was_read(void **state)
{
        static const size_t cuts[] = { 20 * PIECE + 5, 20 * PIECE, 32 * PIECE, 32 * PIECE + 1, LARGE - 1, 5, 0 };
        uint8_t *bytes = content(LARGE);
        int fd = file_of(*state, bytes, LARGE);
        for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
                struct part part = { .bytes = bytes, .n = cuts[i] };
                struct oxl_source source = { .read = read_part, .ctx = &part, .shared = true };
                struct oxl_digest whole = oxl_digest_of(OXL_ALGO_BLAKE3, bytes, cuts[i]), got;
                struct oxl_hasher h;
                uint64_t n = 0;
                oxl_hasher_init(&h, OXL_ALGO_BLAKE3);
                assert_int_equal(oxl_fd_scan_source(fd, &source, "file", &h, NULL, NULL, NULL, &n, NULL), 0);
                oxl_hasher_final(&h, &got);
                assert_int_equal(n, cuts[i]);
                assert_true(oxl_digest_equal(&got, &whole));
        }
        assert_int_equal(oxl_fd_close(fd), 0);
        free(bytes);
}

static void hashing_alone_is_cancelled_in_the_middle(void **state)
{
        uint8_t *bytes = content(LARGE);
        atomic_bool cancel = false;
        struct part part = { .bytes = bytes, .n = LARGE, .cancel = &cancel };
        struct oxl_source source = { .read = read_part, .ctx = &part, .shared = true };
        struct oxl_hasher h;
        uint64_t n = 0;
        int fd = file_of(*state, bytes, LARGE);
        oxl_hasher_init(&h, OXL_ALGO_BLAKE3);
        assert_int_equal(oxl_fd_scan_source(fd, &source, "file", &h, NULL, NULL, &cancel, &n, NULL), -OXL_E_CANCELLED);
        assert_int_equal(oxl_fd_close(fd), 0);
        free(bytes);
}

/* @ctx: the position from which on nothing can be read. */
static ssize_t fails_from(void *ctx, void *buf, size_t n, uint64_t at)
{
        if (at >= *(const uint64_t *)ctx) {
                errno = EIO;
                return -1;
        }
        memset(buf, 7, n);
        return (ssize_t)n;
}

static void a_read_that_fails_ends_the_scan_after_what_came_before(void **state)
{
        uint8_t *bytes = content(LARGE);
        uint64_t bad = 20 * PIECE, n = 0;
        memset(bytes, 7, LARGE);
        struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_source source = { .read = fails_from, .ctx = &bad, .shared = true };
        struct seen seen = { .want = bytes };
        struct oxl_hasher h;
        int fd = file_of(*state, bytes, LARGE);
        oxl_hasher_init(&h, OXL_ALGO_BLAKE3);
        assert_int_equal(oxl_fd_scan_source(fd, &source, "file", &h, see, &seen, NULL, &n, &err), -OXL_E_FILE_READ);
        assert_int_equal(err.os, EIO);
        assert_int_equal(seen.at, bad);
        oxl_error_done(&err);
        oxl_hasher_init(&h, OXL_ALGO_BLAKE3);
        assert_int_equal(oxl_fd_scan_source(fd, &source, "file", &h, NULL, NULL, NULL, &n, &err), -OXL_E_FILE_READ);
        assert_int_equal(err.os, EIO);
        oxl_error_done(&err);
        assert_int_equal(oxl_fd_close(fd), 0);
        free(bytes);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(subtrees_give_the_digest_of_the_whole),
                cmocka_unit_test(only_a_fresh_blake3_without_key_splits),
                cmocka_unit_test_setup_teardown(a_large_file_is_scanned_in_order, setup, teardown),
                cmocka_unit_test_setup_teardown(a_scan_is_cancelled_in_the_middle, setup, teardown),
                cmocka_unit_test_setup_teardown(a_file_that_is_cut_short_meanwhile_has_the_digest_of_what_was_seen,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(a_file_that_is_cut_short_has_the_digest_of_what_was_read, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(hashing_alone_is_cancelled_in_the_middle, setup, teardown),
                cmocka_unit_test_setup_teardown(a_read_that_fails_ends_the_scan_after_what_came_before, setup,
                                                teardown),
        };
        oxl_digest_setup();
        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Loose blobs: their names, and what is found below versions/files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <unistd.h>

#include <cmocka.h>

#include "objects/loose.h"
#include "objects/scan.h"
#include "os/sys.h"
#include "support/store.h"

static void the_path_is_the_one_oxen_uses(void **state)
{
        char path[OXL_LOOSE_PATH_MAX];
        struct oxl_digest d = oxl_digest_of(OXL_ALGO_XXH3_128, "oxen-lite 1", 11), back;
        oxl_loose_path(&d, path);
        assert_string_equal(path, "versions/files/15/77598f7d7589481ced4b6fab7dc4e/data");
        assert_true(oxl_loose_path_parse(OXL_ALGO_XXH3_128, path, &back));
        assert_true(oxl_digest_equal(&d, &back));
        d = oxl_digest_of(OXL_ALGO_BLAKE3, "abc", 3);
        oxl_loose_path(&d, path);
        assert_string_equal(path,
                            "versions/files/64/37b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85/data");
        assert_true(oxl_loose_path_parse(OXL_ALGO_BLAKE3, path, &back));
        assert_true(oxl_digest_equal(&d, &back));
}

static void short_names_have_no_second_folder(void **state)
{
        static const char *const texts[] = { "0", "a", "1f", "1f0" };
        static const char *const paths[] = { "versions/files/0/data", "versions/files/a/data", "versions/files/1f/data",
                                             "versions/files/1f/0/data" };
        for (size_t i = 0; i < 4; i++) {
                char path[OXL_LOOSE_PATH_MAX];
                struct oxl_digest d, back;
                assert_true(oxl_digest_parse(OXL_ALGO_XXH3_128, texts[i], &d));
                oxl_loose_path(&d, path);
                assert_string_equal(path, paths[i]);
                assert_true(oxl_loose_path_parse(OXL_ALGO_XXH3_128, path, &back));
                assert_true(oxl_digest_equal(&d, &back));
        }
}

static void other_paths_are_none_of_ours(void **state)
{
        static const char *const bad[] = {
                "",
                "versions/files",
                "versions/files/",
                "versions/files/data",
                "versions/files//data",
                "versions/files/1/5/data",
                "versions/files/157/7598f/data",
                "versions/files/15/77/598f/data",
                "versions/files/15/77598F/data",
                "versions/files/05/77598f/data",
                "versions/files/15/77598f/date",
                "versions/files/15/77598f/data/",
                "versions/filet/15/77598f/data",
                "/versions/files/15/77598f/data",
                "versions/files/15/77598f7d7589481ced4b6fab7dc4e0123456789abcdef0123456789abcdef0123456789abcdef/data",
        };
        struct oxl_digest d;
        for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
                assert_false(oxl_loose_path_parse(OXL_ALGO_XXH3_128, bad[i], &d));
                assert_false(oxl_loose_path_parse(OXL_ALGO_BLAKE3, bad[i], &d));
        }
        assert_true(oxl_loose_path_parse(OXL_ALGO_XXH3_128, "versions/files/15/77598f/data", &d));
}

struct found {
        size_t blobs, others;
};

static int on_blob(void *ctx, const struct oxl_digest *id, const char *path, struct oxl_error *err)
{
        char want[OXL_LOOSE_PATH_MAX];
        oxl_loose_path(id, want);
        assert_string_equal(path, want);
        ((struct found *)ctx)->blobs++;
        return 0;
}

static int on_other(void *ctx, const char *path, struct oxl_error *err)
{
        assert_memory_equal(path, "versions/files/", 15);
        ((struct found *)ctx)->others++;
        return 0;
}

static void make_dir(struct store *s, const char *path)
{
        assert_int_equal(mkdirat(s->root_fd, path, 0755), 0);
}

static ssize_t getdents_without_types(int fd, void *buf, size_t n)
{
        ssize_t got = oxl_sys_real.getdents(fd, buf, n);
        for (ssize_t at = 0; at < got;) {
                struct dirent64 *e = (void *)((char *)buf + at);
                e->d_type = DT_UNKNOWN;
                at += e->d_reclen;
        }
        return got;
}

static ssize_t getdents_eio(int fd, void *buf, size_t n)
{
        errno = EIO;
        return -1;
}

static void the_listing_tells_blobs_from_everything_else(void **state)
{
        struct store s;
        struct oxl_digest id;
        static struct oxl_sys table;
        store_setup(&s, OXL_ALGO_XXH3_128);
        struct found f = { 0 };
        assert_int_equal(oxl_loose_list(s.root_fd, OXL_ALGO_XXH3_128, on_blob, on_other, &f, NULL), 0);
        assert_int_equal(f.blobs + f.others, 0);
        s.config.pack_threshold = 1;
        store_reopen(&s);
        for (unsigned i = 0; i < 5; i++)
                assert_int_equal(store_put_file(&s, &"abcde"[i], 1, &id), 0);
        make_dir(&s, "versions/files/1f");
        store_write_file(&s, "versions/files/1f/data", "short name", 10);
        store_write_file(&s, "versions/files/README", "", 0);
        store_write_file(&s, "versions/files/1f/stray", "", 0);
        make_dir(&s, "versions/files/XY");
        make_dir(&s, "versions/files/1f/abc");
        make_dir(&s, "versions/files/1f/abc/data");
        make_dir(&s, "versions/files/1f/abd");
        assert_int_equal(symlinkat("/etc/passwd", s.root_fd, "versions/files/1f/abd/data"), 0);
        assert_int_equal(symlinkat("1f", s.root_fd, "versions/files/20"), 0);
        for (int untyped = 0; untyped < 2; untyped++) {
                table = oxl_sys_real;
                if (untyped)
                        table.getdents = getdents_without_types;
                oxl_sys = &table;
                f = (struct found){ 0 };
                assert_int_equal(oxl_loose_list(s.root_fd, OXL_ALGO_XXH3_128, on_blob, on_other, &f, NULL), 0);
                assert_int_equal(f.blobs, 6);
                assert_int_equal(f.others, 6);
        }
        assert_int_equal(oxl_loose_list(s.root_fd, OXL_ALGO_XXH3_128, on_blob, NULL, &f, NULL), 0);
        table.getdents = getdents_eio;
        assert_int_equal(oxl_loose_list(s.root_fd, OXL_ALGO_XXH3_128, on_blob, NULL, &f, NULL), -OXL_E_DIR_READ);
        oxl_sys = &oxl_sys_real;
        store_teardown(&s);
}

static off_t lseek_without_holes(int fd, off_t at, int whence)
{
        if (whence == SEEK_DATA || whence == SEEK_HOLE) {
                errno = EINVAL;
                return -1;
        }
        return oxl_sys_real.lseek(fd, at, whence);
}

static void holes_are_hashed_as_zeros_on_every_file_system(void **state)
{
        static struct oxl_sys table;
        static uint8_t dense[3 << 20];
        memcpy(dense + (1 << 20), "data", 4);
        struct oxl_digest want = oxl_digest_of(OXL_ALGO_BLAKE3, dense, sizeof(dense)), got;
        int fd = file_with("", 0);
        uint64_t n;
        assert_int_equal(pwrite(fd, "data", 4, 1 << 20), 4);
        assert_int_equal(ftruncate(fd, sizeof(dense)), 0);
        for (int without = 0; without < 2; without++) {
                table = oxl_sys_real;
                if (without)
                        table.lseek = lseek_without_holes;
                oxl_sys = &table;
                assert_int_equal(oxl_fd_digest(fd, "f", OXL_ALGO_BLAKE3, NULL, &got, &n, NULL), 0);
                oxl_sys = &oxl_sys_real;
                assert_int_equal(n, sizeof(dense));
                assert_true(oxl_digest_equal(&got, &want));
        }
        atomic_bool cancel = true;
        assert_int_equal(oxl_fd_digest(fd, "f", OXL_ALGO_BLAKE3, &cancel, &got, &n, NULL), -OXL_E_CANCELLED);
        close(fd);
}

int main(void)
{
        oxl_digest_setup();
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_path_is_the_one_oxen_uses),
                cmocka_unit_test(short_names_have_no_second_folder),
                cmocka_unit_test(other_paths_are_none_of_ours),
                cmocka_unit_test(the_listing_tells_blobs_from_everything_else),
                cmocka_unit_test(holes_are_hashed_as_zeros_on_every_file_system),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* An object store in a folder of its own: see store.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <unistd.h>

#include <cmocka.h>

#include "objects/pack.h"
#include "support/store.h"

static void open_objects(struct store *s)
{
        s->config.root_fd = s->root_fd;
        s->config.durable = s->durable;
        assert_int_equal(oxl_objects_open(&s->config, &s->objects, NULL), 0);
}

void store_setup(struct store *s, enum oxl_algo algo)
{
        oxl_digest_setup();
        *s = (struct store){ .root_fd = -1 };
        snprintf(s->path, sizeof(s->path), "/tmp/oxl-test-XXXXXX");
        assert_non_null(mkdtemp(s->path));
        s->root_fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(s->root_fd >= 0);
        s->config = (struct oxl_objects_config){ .id = { { 7, 7, 7 } },
                                                 .blob_algo = algo,
                                                 .pack_threshold = OXL_PACK_THRESHOLD_DEFAULT };
        assert_int_equal(oxl_durable_new(s->root_fd, s->path, 0xa1, &s->durable, NULL), 0);
        open_objects(s);
}

void store_reopen(struct store *s)
{
        oxl_objects_free(s->objects);
        open_objects(s);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        (void)st;
        (void)type;
        (void)ftw;
        return remove(path);
}

void store_teardown(struct store *s)
{
        oxl_objects_free(s->objects);
        oxl_durable_free(s->durable);
        oxl_error_done(&s->err);
        close(s->root_fd);
        assert_int_equal(nftw(s->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
}

void store_end(struct store *s, struct oxl_put *p)
{
        assert_int_equal(oxl_put_finish(p, NULL), 0);
        assert_int_equal(oxl_put_publish(p, NULL), 0);
        assert_int_equal(oxl_durable_barrier(s->durable, NULL), 0);
        oxl_put_free(p);
}

int store_put(struct store *s, enum oxl_kind kind, const void *bytes, size_t n, struct oxl_digest *ret_id)
{
        struct oxl_put *p;
        assert_int_equal(oxl_put_begin(s->objects, &p, NULL), 0);
        int r = oxl_put_object(p, kind, bytes, n, ret_id, &s->err);
        if (r < 0)
                oxl_put_free(p);
        else
                store_end(s, p);
        return r;
}

int file_with(const void *bytes, size_t n)
{
        int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, bytes, n), (ssize_t)n);
        return fd;
}

int store_put_file(struct store *s, const void *bytes, size_t n, struct oxl_digest *ret_id)
{
        struct oxl_put *p;
        struct stat st;
        int fd = file_with(bytes, n);
        assert_int_equal(oxl_put_begin(s->objects, &p, NULL), 0);
        int r = oxl_put_file(p, fd, "a file", NULL, ret_id, &st, &s->err);
        close(fd);
        if (r < 0)
                oxl_put_free(p);
        else
                store_end(s, p);
        return r;
}

void store_expect(struct store *s, enum oxl_kind kind, const struct oxl_digest *id, const void *bytes, size_t n)
{
        struct oxl_buf b = OXL_BUF_INIT;
        assert_int_equal(oxl_objects_read(s->objects, kind, id, OXL_PACK_THRESHOLD_MAX, &b, &s->err), 0);
        assert_int_equal(b.len, n);
        assert_memory_equal(b.data, bytes, n);
        oxl_buf_done(&b);
}

int store_read(struct store *s, enum oxl_kind kind, const struct oxl_digest *id)
{
        struct oxl_buf b = OXL_BUF_INIT;
        int r = oxl_objects_read(s->objects, kind, id, OXL_PACK_THRESHOLD_MAX, &b, &s->err);
        oxl_buf_done(&b);
        return r;
}

uint8_t *store_file(struct store *s, const char *path, size_t *ret_n)
{
        struct stat st;
        int fd = openat(s->root_fd, path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &st), 0);
        uint8_t *bytes = malloc((size_t)st.st_size + 1);
        assert_non_null(bytes);
        assert_int_equal(read(fd, bytes, (size_t)st.st_size), st.st_size);
        close(fd);
        *ret_n = (size_t)st.st_size;
        return bytes;
}

static int open_for_writing(struct store *s, const char *path, int flags)
{
        if (fchmodat(s->root_fd, path, 0644, 0) < 0)
                assert_int_equal(errno, ENOENT); /* then it is made */
        int fd = openat(s->root_fd, path, O_WRONLY | O_CLOEXEC | flags, 0644);
        assert_true(fd >= 0);
        return fd;
}

void store_write_file(struct store *s, const char *path, const void *bytes, size_t n)
{
        int fd = open_for_writing(s, path, O_CREAT | O_TRUNC);
        assert_int_equal(write(fd, bytes, n), (ssize_t)n);
        close(fd);
}

void store_flip(struct store *s, const char *path, uint64_t byte, unsigned bit)
{
        uint8_t b;
        int fd = openat(s->root_fd, path, O_RDONLY | O_CLOEXEC);
        assert_int_equal(pread(fd, &b, 1, (off_t)byte), 1);
        close(fd);
        b ^= (uint8_t)(1u << bit);
        fd = open_for_writing(s, path, 0);
        assert_int_equal(pwrite(fd, &b, 1, (off_t)byte), 1);
        close(fd);
}

void store_remove_file(struct store *s, const char *path)
{
        assert_int_equal(unlinkat(s->root_fd, path, 0), 0);
}

size_t store_count(struct store *s, const char *dir, char *ret_name)
{
        int fd = openat(s->root_fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return 0;
        DIR *d = fdopendir(fd);
        assert_non_null(d);
        size_t n = 0;
        for (struct dirent *e; (e = readdir(d));) {
                if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
                        continue;
                if (ret_name)
                        memcpy(ret_name, e->d_name, strlen(e->d_name) + 1);
                n++;
        }
        closedir(d);
        return n;
}

static int take_only(void *ctx, const struct oxl_digest *id, struct oxl_error *err)
{
        (void)err;
        struct oxl_digest *ret = ctx;
        assert_true(oxl_digest_is_zero(ret));
        *ret = *id;
        return 0;
}

void store_only_pack(struct store *s, char ret[96], struct oxl_digest *ret_id)
{
        struct oxl_digest id = OXL_DIGEST_INIT;
        assert_int_equal(oxl_pack_list(s->root_fd, take_only, &id, NULL), 0);
        assert_false(oxl_digest_is_zero(&id));
        oxl_pack_path(&id, ret);
        *ret_id = id;
}

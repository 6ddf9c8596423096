/* SPDX-License-Identifier: MIT */
/*
 * The two public entry points, oxl_atomic_write_to_path() and oxl_atomic_write_from_reader(): one order of steps, write_whole()
 * below, over two sources of bytes.
 *
 * Invariants: nothing on disk changes before the name, and for bytes in memory their size and digest, were checked; the
 * target is only ever changed by the one rename; cancellation is not honoured after it; the first error is the one
 * reported, and result.effect is true in every case.
 * What a crash leaves: see oxenlite/atomic.h; each place is marked CRASH in temp.c and dirs.c.
 */
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "digest/digest.h"
#include "durable/mutant.h"
#include "durable/target.h"
#include "os/fdio.h"

enum {
        BUFFER_DEFAULT = 10 << 20,
        BUFFER_SMALL = 1 << 20, /* when the wanted one cannot be had */
        BUFFER_ALIGN = 4096,
        RESERVE_FROM = 1 << 20, /* smaller files are not worth a system call */
};

static const struct oxl_atomic_options no_options = { 0 };

struct source {
        const char *bytes; /* in memory ... */
        size_t n;
        oxl_reader_fn *read; /* ... or from here */
        void *read_ctx;
};

/* One write. */
struct job {
        const char *path;
        const struct oxl_atomic_options *o;
        struct source source;
        struct oxl_writer w;
        struct oxl_target target;
        struct oxl_temp temp;
        struct oxl_hasher hasher;
        bool hashes;
        struct oxl_atomic_result res;
};

static int check_cancelled(const struct job *j, struct oxl_error *err)
{
        return oxl_is_cancelled(j->o) ? OXL_FAIL_PLAIN(err, CANCELLED) : 0;
}

/* --- expectations ----------------------------------------------------------------------------------------------- */

static int check_size(const struct job *j, uint64_t size, bool at_end, struct oxl_error *err)
{
        const uint64_t *expect = j->o->expect_bytes;
        if (j->o->max_bytes && size > j->o->max_bytes)
                return OXL_FAIL_WHY(err, SIZE, j->path, "it has more bytes than allowed");
        if (expect && size > *expect)
                return OXL_FAIL_WHY(err, SIZE, j->path, "it has more bytes than expected");
        if (expect && at_end && size < *expect)
                return OXL_FAIL_WHY(err, SIZE, j->path, "it has fewer bytes than expected");
        return 0;
}

static int check_digest(const struct job *j, const struct oxl_digest *got, struct oxl_error *err)
{
        if (!j->o->expect || oxl_digest_equal(j->o->expect, got))
                return 0;
        return OXL_FAIL_OBJECT(err, DIGEST, j->path, j->o->expect, got);
}

/* Everything that can be refused before anything is touched. */
static int check_request(struct job *j, struct oxl_error *err)
{
        int r = oxl_options_check(j->o, j->path, err);
        if (r == 0)
                r = oxl_target_check(j->path, err);
        if (r < 0)
                return r;
        enum oxl_algo algo = j->o->expect ? (enum oxl_algo)j->o->expect->algo : OXL_ALGO_BLAKE3;
        if (algo != OXL_ALGO_BLAKE3 && algo != OXL_ALGO_XXH3_128)
                return OXL_FAIL_WHY(err, INVALID, j->path, "the expected digest has no algorithm");
        j->hashes = j->o->expect || (j->o->flags & OXL_ATOMIC_READ_BACK);
        if (j->hashes) {
                oxl_digest_setup();
                oxl_hasher_init(&j->hasher, algo);
        }
        if (j->source.read)
                return check_cancelled(j, err);
        r = check_size(j, j->source.n, true, err);
        if (r == 0 && j->hashes) {
                struct oxl_digest got;
                oxl_hasher_update(&j->hasher, j->source.bytes, j->source.n);
                oxl_hasher_final(&j->hasher, &got);
                r = check_digest(j, &got, err);
        }
        return r < 0 ? r : check_cancelled(j, err);
}

/* --- filling the temp ------------------------------------------------------------------------------------------- */

static int reserve(struct job *j, uint64_t bytes, struct oxl_error *err)
{
        return bytes >= RESERVE_FROM ? oxl_temp_reserve(&j->temp, bytes, err) : 0;
}

static int fill_from_memory(struct job *j, struct oxl_error *err)
{
        int r = reserve(j, j->source.n, err);
        for (size_t at = 0; r == 0 && at < j->source.n;) {
                size_t left = j->source.n - at;
                size_t n = left < BUFFER_DEFAULT ? left : BUFFER_DEFAULT;
                r = oxl_temp_write(&j->temp, j->source.bytes + at, n, err);
                at += n;
                if (r == 0 && at < j->source.n)
                        r = check_cancelled(j, err);
        }
        return r;
}

static size_t align_up(size_t n)
{
        return (n + BUFFER_ALIGN - 1) / BUFFER_ALIGN * BUFFER_ALIGN;
}

/* A buffer of the wanted size, not much larger than the expected content; a small one when memory is short. */
static char *allocate_buffer(const struct job *j, size_t *ret_size)
{
        size_t size = align_up(j->o->buffer_bytes ? j->o->buffer_bytes : BUFFER_DEFAULT);
        if (j->o->expect_bytes && *j->o->expect_bytes < size)
                size = align_up((size_t)*j->o->expect_bytes + 1); /* + 1: room to see that there is more */
        char *buf = aligned_alloc(BUFFER_ALIGN, size);
        if (!buf && size > BUFFER_SMALL) {
                size = BUFFER_SMALL;
                buf = aligned_alloc(BUFFER_ALIGN, size);
        }
        *ret_size = size;
        return buf;
}

/* Reads until the buffer is full or the source has ended: short reads do not become short writes. */
static int read_buffer(struct job *j, char *buf, size_t size, size_t *ret_n, struct oxl_error *err)
{
        size_t n = 0;
        while (n < size) {
                ssize_t got = j->source.read(j->source.read_ctx, buf + n, size - n);
                if (got == 0 || (OXL_MUTANT(EOF_ON_CANCEL) && got == -ECANCELED))
                        break;
                if (got == -ECANCELED)
                        return OXL_FAIL_PLAIN(err, CANCELLED);
                if (got == -EINTR)
                        continue;
                if (got < 0 || (size_t)got > size - n) {
                        errno = got < 0 ? (int)-got : EOVERFLOW;
                        return OXL_FAIL_OS(err, READER, j->path);
                }
                n += (size_t)got;
                int r = check_cancelled(j, err);
                if (r < 0)
                        return r;
        }
        *ret_n = n;
        return 0;
}

/* One buffer from the source into the temp. */
static int copy_buffer(struct job *j, char *buf, size_t size, size_t *ret_n, struct oxl_error *err)
{
        size_t n = 0;
        int r = read_buffer(j, buf, size, &n, err);
        if (r == 0)
                r = check_size(j, j->temp.size + n, n < size, err);
        if (r < 0)
                return r;
        if (j->hashes)
                oxl_hasher_update(&j->hasher, buf, n);
        *ret_n = n;
        return oxl_temp_write(&j->temp, buf, n, err);
}

static int fill_from_reader(struct job *j, struct oxl_error *err)
{
        size_t size, n = 0;
        cleanup_free char *buf = allocate_buffer(j, &size);
        if (!buf)
                return OXL_FAIL_PLAIN(err, NOMEM);
        int r = j->o->expect_bytes ? reserve(j, *j->o->expect_bytes, err) : 0;
        if (r < 0)
                return r;
        do {
                r = copy_buffer(j, buf, size, &n, err);
                if (r < 0)
                        return r;
        } while (n == size);
        if (!j->o->expect)
                return 0;
        struct oxl_digest got;
        oxl_hasher_final(&j->hasher, &got);
        return check_digest(j, &got, err);
}

/* --- after the sync --------------------------------------------------------------------------------------------- */

/* Reads the temp again, from the medium where the kernel lets go of its pages, and compares digests. */
static int read_back(struct job *j, struct oxl_error *err)
{
        struct oxl_digest want, got;
        struct oxl_hasher h;
        char buf[16384];
        oxl_hasher_final(&j->hasher, &want);
        oxl_hasher_init(&h, (enum oxl_algo)want.algo);
        int fd;
        int r = oxl_temp_fd(&j->temp, &fd, err);
        if (r < 0)
                return r;
        OXL_IGNORE(oxl_sys->fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), "then the comparison is with the cache");
        for (uint64_t at = 0;;) {
                ssize_t n = oxl_fd_pread_full(fd, buf, sizeof buf, at);
                if (n < 0)
                        return OXL_FAIL_OS(err, FILE_READ, j->path);
                if (n == 0)
                        break;
                oxl_hasher_update(&h, buf, (size_t)n);
                at += (uint64_t)n;
        }
        oxl_hasher_final(&h, &got);
        return oxl_digest_equal(&want, &got) ? 0 : OXL_FAIL_OBJECT(err, DIGEST, j->path, &want, &got);
}

/* Makes the new name durable; sets the effect. */
static int settle(struct job *j, struct oxl_error *err)
{
        int r = oxl_target_settle(&j->w, j->o, &j->res.warnings, err);
        j->res.effect = r == 0 ? OXL_ATOMIC_PUBLISHED : OXL_ATOMIC_UNKNOWN;
        return r < 0 ? r : 0;
}

/* --- the order of steps ----------------------------------------------------------------------------------------- */

static int write_whole(struct job *j, struct oxl_error *err)
{
        int r = check_request(j, err);
        if (r == 0)
                r = oxl_target_open(&j->target, &j->w, j->path, j->o, err);
        if (r == 0)
                r = oxl_target_temp(&j->target, &j->w, j->o, &j->temp, err);
        if (r == 0)
                r = j->source.read ? fill_from_reader(j, err) : fill_from_memory(j, err);
        if (r == 0)
                r = oxl_target_apply(&j->target, &j->temp, j->o, err);
        if (r == 0)
                r = oxl_temp_sync(&j->temp, err);
        if (r == 0 && (j->o->flags & OXL_ATOMIC_READ_BACK))
                r = read_back(j, err);
        j->res.bytes = j->temp.size;
        if (r == 0)
                r = oxl_temp_close(&j->temp, err);
        if (r == 0)
                r = check_cancelled(j, err);
        if (r == 0)
                r = oxl_target_publish(&j->target, &j->temp, j->o, err);
        return r < 0 ? r : settle(j, err);
}

static int run(const char *target, const struct source *source, const struct oxl_atomic_options *options,
               struct oxl_atomic_result *ret, struct oxl_error *err)
{
        struct job j = {
                .path = target,
                .o = options ? options : &no_options,
                .source = *source,
                .w = OXL_WRITER_INIT,
                .target = OXL_TARGET_INIT,
                .temp = OXL_TEMP_INIT,
        };
        int r = write_whole(&j, err);
        j.res.leftover = !oxl_target_drop(&j.target, &j.temp, j.o, &j.res.warnings);
        oxl_writer_done(&j.w);
        if (j.res.effect == OXL_ATOMIC_UNCHANGED)
                j.res.bytes = 0;
        if (ret)
                *ret = j.res;
        return r;
}

int oxl_atomic_write_to_path(const char *target, const void *bytes, size_t n, const struct oxl_atomic_options *options,
                             struct oxl_atomic_result *ret, struct oxl_error *err)
{
        return run(target, &(struct source){ .bytes = bytes, .n = n }, options, ret, err);
}

int oxl_atomic_write_from_reader(const char *target, oxl_reader_fn *read, void *read_ctx,
                                 const struct oxl_atomic_options *options, struct oxl_atomic_result *ret,
                                 struct oxl_error *err)
{
        OXL_ASSERT(read);
        return run(target, &(struct source){ .read = read, .read_ctx = read_ctx }, options, ret, err);
}

/* SPDX-License-Identifier: MIT */
/* Reading ahead, see intake.h. A batch is filled here, read by the crew, and handed out here. */
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/path.h"
#include "os/crew.h"
#include "os/fdio.h"
#include "repo/intake.h"

enum { SLOTS = 8 };

struct item {
        struct oxl_intake_file file;
        size_t path_at, at, size; /* in the batch's buffers */
        int dir;                  /* in the batch's descriptors */
};

struct batch {
        struct item items[OXL_INTAKE_BATCH_FILES];
        int dirs[OXL_INTAKE_BATCH_FILES]; /* owned: the walk goes on while we read */
        size_t n, n_dirs, handed;
        size_t bytes; /* of the files; one that grows meanwhile has another size afterwards */
        struct oxl_buf paths, content;
};

struct oxl_intake {
        enum oxl_algo algo;
        const atomic_bool *cancel;
        oxl_intake_fn *fn;
        void *ctx;
        struct oxl_crew *crew;
        struct batch *filling; /* one of the batches, or NULL */
        struct batch batches[SLOTS];
};

/* --- reading, on any thread -------------------------------------------------------------------------------------- */

static bool same_state(const struct stat *a, const struct stat *b)
{
        return oxl_stat_same(a, b) && a->st_mode == b->st_mode && a->st_size == b->st_size &&
               a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
               a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* As oxl_worktree_store() for a regular file of the expected size. */
static int read_open(const struct oxl_intake *in, int fd, const struct timespec *now, struct item *it, uint8_t *to,
                     struct oxl_error *err)
{
        const char *path = it->file.path;
        struct stat before, after;
        if (oxl_fd_stat(fd, &before) < 0)
                return OXL_FAIL_OS(err, FILE_STAT, path);
        if (!S_ISREG(before.st_mode))
                return OXL_FAIL_PATH(err, PATH_CHANGED, path);
        if ((uint64_t)before.st_size != it->size)
                return OXL_INTAKE_AGAIN;
        ssize_t got = oxl_fd_pread_full(fd, to, it->size, 0);
        if (got < 0)
                return OXL_FAIL_OS(err, FILE_READ, path);
        if (oxl_fd_stat(fd, &after) < 0)
                return OXL_FAIL_OS(err, FILE_STAT, path);
        if ((size_t)got != it->size || !same_state(&before, &after))
                return OXL_FAIL_PATH(err, PATH_CHANGED, path);
        it->file.bytes = to;
        it->file.n = (size_t)got;
        it->file.entry = (struct oxl_index_entry){ .path = path,
                                                   .path_len = strlen(path),
                                                   .kind = oxl_worktree_kind(&before, NULL),
                                                   .staged = true,
                                                   .size = (uint64_t)got,
                                                   .id = oxl_digest_of(in->algo, to, (size_t)got) };
        oxl_stat_fill(&before, now, &it->file.entry.stat);
        return 0;
}

static int read_item(const struct oxl_intake *in, struct item *it, uint8_t *to, struct oxl_error *err)
{
        const char *path = it->file.path;
        struct timespec now;
        if (in->cancel && atomic_load_explicit(in->cancel, memory_order_relaxed))
                return OXL_FAIL_PLAIN(err, CANCELLED);
        /* before anything is read: a change that comes later has a later time */
        if (oxl_sys->clock_gettime(CLOCK_REALTIME, &now) < 0)
                now = (struct timespec){ 0 };
        cleanup_fd int fd =
                oxl_fd_open(it->file.dirfd, oxl_path_base(path), O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY, 0);
        if (fd >= 0)
                return read_open(in, fd, &now, it, to, err);
        if (errno == ENOENT)
                return OXL_FAIL_PATH(err, PATH_NOT_FOUND, path);
        if (errno == ELOOP || errno == ENXIO)
                return OXL_FAIL_PATH(err, PATH_CHANGED, path);
        return OXL_FAIL_OS(err, FILE_OPEN, path);
}

static void read_batch(void *ctx, size_t slot)
{
        struct oxl_intake *in = ctx;
        struct batch *b = &in->batches[slot];
        for (size_t i = 0; i < b->n; i++) {
                struct item *it = &b->items[i];
                it->file.path = oxl_buf_text(&b->paths) + it->path_at;
                it->file.dirfd = b->dirs[it->dir];
                it->file.result = read_item(in, it, b->content.data + it->at, &it->file.err);
                if (it->file.result < 0)
                        return; /* it ends the operation: what follows is not asked for any more */
        }
}

/* --- batches ------------------------------------------------------------------------------------------------------ */

static void batch_clear(struct batch *b)
{
        for (size_t i = 0; i < b->n; i++)
                oxl_error_done(&b->items[i].file.err);
        for (size_t i = 0; i < b->n_dirs; i++)
                oxl_fd_done(&b->dirs[i]);
        b->n = b->n_dirs = b->handed = b->bytes = 0;
        oxl_buf_clear(&b->paths);
        oxl_buf_clear(&b->content);
}

int oxl_intake_new(enum oxl_algo algo, const atomic_bool *cancel, oxl_intake_fn *fn, void *ctx, struct oxl_intake **ret,
                   struct oxl_error *err)
{
        struct oxl_intake *in = calloc(1, sizeof *in);
        if (!in)
                return OXL_FAIL_PLAIN(err, NOMEM);
        *in = (struct oxl_intake){ .algo = algo, .cancel = cancel, .fn = fn, .ctx = ctx };
        int r = oxl_crew_new(oxl_crew_default(), SLOTS, read_batch, in, &in->crew, err);
        if (r < 0) {
                free(in);
                return r;
        }
        *ret = in;
        return 0;
}

void oxl_intake_free(struct oxl_intake *in)
{
        if (!in)
                return;
        oxl_crew_free(in->crew);
        for (size_t i = 0; i < SLOTS; i++) {
                batch_clear(&in->batches[i]);
                oxl_buf_done(&in->batches[i].paths);
                oxl_buf_done(&in->batches[i].content);
        }
        free(in);
}

static int hand_out(struct oxl_intake *in, struct oxl_error *err)
{
        struct batch *b = &in->batches[oxl_crew_take(in->crew)];
        int r = 0;
        for (size_t i = 0; r >= 0 && i < b->n; i++)
                r = in->fn(in->ctx, &b->items[i].file, err);
        batch_clear(b);
        return r < 0 ? r : 0;
}

/* Hands the batch to the crew. */
static int submit(struct oxl_intake *in, struct oxl_error *err)
{
        struct batch *b = in->filling;
        int r = oxl_buf_reserve(&b->content, b->bytes + 1, err);
        if (r < 0)
                return r;
        in->filling = NULL;
        oxl_crew_submit(in->crew);
        return 0;
}

/* The batch that a file with @size bytes goes into. */
static int find_room(struct oxl_intake *in, size_t size, struct oxl_error *err)
{
        struct batch *b = in->filling;
        int r = 0;
        if (b && (b->n == OXL_INTAKE_BATCH_FILES || b->bytes + size > OXL_INTAKE_BATCH_BYTES))
                r = submit(in, err);
        if (r == 0 && oxl_crew_full(in->crew))
                r = hand_out(in, err);
        if (r < 0 || in->filling)
                return r;
        in->filling = &in->batches[oxl_crew_slot(in->crew)];
        return 0;
}

/* A descriptor of our own for the file's folder. Files come folder by folder: mostly it is the last one's. */
static int keep_dir(struct batch *b, int dirfd, const char *path, struct oxl_error *err)
{
        const char *last = b->n > 0 ? oxl_buf_text(&b->paths) + b->items[b->n - 1].path_at : NULL;
        size_t len = oxl_path_parent_len(path);
        if (last && oxl_path_parent_len(last) == len && memcmp(last, path, len) == 0)
                return 0;
        int fd = oxl_sys->dup(dirfd);
        if (fd < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, path);
        b->dirs[b->n_dirs++] = fd;
        return 0;
}

int oxl_intake_add(struct oxl_intake *in, int dirfd, const char *path, const struct stat *st,
                   const struct oxl_index_entry *old, struct oxl_error *err)
{
        size_t size = (size_t)st->st_size;
        int r = find_room(in, size, err);
        if (r < 0)
                return r;
        struct batch *b = in->filling;
        size_t path_at = b->paths.len;
        r = keep_dir(b, dirfd, path, err);
        if (r == 0)
                r = oxl_buf_append(&b->paths, path, strlen(path) + 1, err);
        if (r < 0)
                return r;
        struct item *it = &b->items[b->n++];
        *it = (struct item){ .path_at = path_at, .at = b->bytes, .size = size, .dir = (int)b->n_dirs - 1 };
        it->file.known = old != NULL;
        if (old)
                it->file.old = *old;
        it->file.old.path = NULL;
        it->file.err = (struct oxl_error)OXL_ERROR_INIT;
        b->bytes += size;
        return 0;
}

int oxl_intake_settle(struct oxl_intake *in, struct oxl_error *err)
{
        int r = in->filling ? submit(in, err) : 0;
        while (r == 0 && oxl_crew_busy(in->crew))
                r = hand_out(in, err);
        return r;
}

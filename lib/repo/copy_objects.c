/* SPDX-License-Identifier: MIT */
/*
 * Packs and loose blobs of a copy, file by file, byte for byte.
 *
 *   at the destination: good there -> nothing to do, its name is made durable; absent or damaged ->
 *   batch: written and hashed -> all synced -> each read back from the medium and verified -> damaged ones that they
 *   replace kept in quarantine -> all renamed -> barrier
 *
 * Reading back proves both sides: what was read here and what lies there. When it does not hash to its name, but is what
 * was read, the source is damaged, and its objects are rescued one by one (copy_rescue.c); when it is something else, the
 * destination's medium is.
 * What a crash leaves: temps of a dead owner; of a batch some files with their names.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "objects/loose.h"
#include "objects/pack.h"
#include "objects/quarantine.h"
#include "objects/scan.h"
#include "os/fdio.h"
#include "repo/copy.h"

enum { BATCH_FILES = 32, FOUND_MAX = 256, LISTINGS_MAX = 8 };
#define BATCH_BYTES (UINT64_C(256) << 20)
#define READ_FLAGS (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)

struct item {
        bool pack, heals;
        struct oxl_digest id;
        char path[OXL_LOOSE_PATH_MAX];
        struct oxl_stage *stage;  /* owned */
        struct oxl_digest read;   /* of the bytes that were read: BLAKE3 of a pack, the blob's own */
        struct oxl_digest damage; /* what the file that it heals hashed to; NONE: not known */
        uint64_t bytes;
        bool bad; /* damaged at the source */
};

struct batch {
        struct oxl_copying *c;
        struct item items[BATCH_FILES];
        size_t n, found; /* found: names to be made durable by the next barrier */
        uint64_t bytes;
        char quarantine[OXL_QUARANTINE_ID_BYTES];
        unsigned kept;
        bool again; /* a file went while it was listed: list once more */
};

static void batch_done(struct batch *b)
{
        for (size_t i = 0; i < b->n; i++)
                oxl_stage_free(b->items[i].stage);
        b->n = 0;
}

/* --- verifying ------------------------------------------------------------------------------------------------------ */

/* Is the file at @name, which is open as @fd, what the item says? @fd is taken. 0; damage; FILE_READ. *ret_got: what a loose
 * blob hashes to. */
static int verify(struct batch *b, const struct item *it, int fd, const char *name, struct oxl_digest *ret_got,
                  struct oxl_error *err)
{
        const struct oxl_format *f = &b->c->to->format;
        const atomic_bool *cancel = b->c->from->options.cancel;
        *ret_got = (struct oxl_digest)OXL_DIGEST_INIT;
        if (it->pack) {
                struct oxl_pack *pack = NULL;
                int k = oxl_pack_open_fd(fd, name, &it->id, &f->id, f->blob_algo, &pack, err);
                if (k >= 0)
                        k = oxl_pack_load_index(pack, err);
                if (k >= 0)
                        k = oxl_pack_verify(pack, NULL, NULL, cancel, err);
                oxl_pack_free(pack);
                return k;
        }
        uint64_t bytes;
        int k = oxl_fd_digest(fd, name, f->blob_algo, cancel, ret_got, &bytes, err);
        oxl_fd_done(&fd);
        if (k >= 0 && !oxl_digest_equal(ret_got, &it->id))
                k = OXL_FAIL_OBJECT(err, OBJECT_CORRUPT, name, &it->id, ret_got);
        return k;
}

/* Without reading the content: the index of a pack is sealed and lists it; a blob has the size. */
static int glance(struct batch *b, const struct item *it, int fd, uint64_t size, struct oxl_error *err)
{
        const struct oxl_format *f = &b->c->to->format;
        struct oxl_pack *pack = NULL;
        if (!it->pack) {
                oxl_fd_done(&fd);
                return size == it->bytes ? 0 : OXL_FAIL_OBJECT(err, OBJECT_CORRUPT, it->path, &it->id, NULL);
        }
        int k = oxl_pack_open_fd(fd, it->path, &it->id, &f->id, f->blob_algo, &pack, err);
        if (k >= 0)
                k = oxl_pack_load_index(pack, err);
        oxl_pack_free(pack);
        return k;
}

/* XXH3-128 names do not resist people: two blobs of one name may differ. */
static int compare_bytes(struct batch *b, const struct item *it, struct oxl_error *err)
{
        struct oxl_digest id[2];
        const int root[2] = { b->c->from->root_fd, b->c->to->root_fd };
        if (it->pack || b->c->to->format.blob_algo != OXL_ALGO_XXH3_128 || b->c->options->quick)
                return 0;
        for (int i = 0; i < 2; i++) {
                uint64_t bytes;
                cleanup_fd int fd = oxl_open_beneath(root[i], it->path, READ_FLAGS, 0);
                if (fd < 0)
                        return OXL_FAIL_OS(err, FILE_OPEN, it->path);
                int k = oxl_fd_digest(fd, it->path, OXL_ALGO_BLAKE3, b->c->from->options.cancel, &id[i], &bytes, err);
                if (k < 0)
                        return k;
        }
        if (oxl_digest_equal(&id[0], &id[1]))
                return 0;
        struct oxl_digest now;
        uint64_t bytes;
        cleanup_fd int fd = oxl_open_beneath(root[0], it->path, READ_FLAGS, 0);
        int k = fd < 0 ? OXL_FAIL_OS(err, FILE_OPEN, it->path)
                       : oxl_fd_digest(fd, it->path, OXL_ALGO_XXH3_128, NULL, &now, &bytes, err);
        if (k < 0 || !oxl_digest_equal(&now, &it->id))
                return k; /* the one here is damaged, the other is good */
        return OXL_FAIL_OBJECT(err, HASH_COLLISION, it->path, &it->id, NULL);
}

enum there { THERE_GOOD, THERE_NOT, THERE_BAD };

static int look_there(struct batch *b, struct item *it, enum there *ret, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        struct stat st;
        int fd = oxl_open_beneath(b->c->to->root_fd, it->path, READ_FLAGS, 0);
        *ret = THERE_NOT;
        if (fd < 0)
                return errno == ENOENT ? 0 : OXL_FAIL_OS(err, FILE_OPEN, it->path);
        if (oxl_fd_stat(fd, &st) < 0) {
                oxl_fd_done(&fd);
                return OXL_FAIL_OS(err, FILE_STAT, it->path);
        }
        if (!S_ISREG(st.st_mode)) {
                oxl_fd_done(&fd);
                return OXL_FAIL_WHY(err, COPY_DEST, it->path, "something that is no file is in the place of an object");
        }
        int k = b->c->options->quick ? glance(b, it, fd, (uint64_t)st.st_size, &why)
                                     : verify(b, it, fd, it->path, &it->damage, &why);
        *ret = k >= 0 ? THERE_GOOD : THERE_BAD;
        if (k >= 0)
                return compare_bytes(b, it, err);
        if (oxl_copying_is_damage(why.code))
                return 0;
        oxl_error_move(err, &why);
        return k;
}

/* --- a batch --------------------------------------------------------------------------------------------------------- */

/* The digest of the file as it lies there, for telling whose fault it is. */
static int is_as_read(struct batch *b, const struct item *it, bool *ret, struct oxl_error *err)
{
        const char *temp = oxl_stage_path(it->stage);
        struct oxl_digest got;
        uint64_t bytes;
        cleanup_fd int fd = oxl_open_beneath(b->c->to->root_fd, temp, READ_FLAGS, 0);
        if (fd < 0)
                return OXL_FAIL_OS(err, FILE_OPEN, temp);
        int k = oxl_fd_digest(fd, temp, (enum oxl_algo)it->read.algo, b->c->from->options.cancel, &got, &bytes, err);
        *ret = k >= 0 && oxl_digest_equal(&got, &it->read);
        return k;
}

/* CRASH: nothing has a name yet; the temp is swept (cli/release-kill-copy). */
static int read_back(struct batch *b, struct item *it, struct oxl_error *err)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        const char *temp = oxl_stage_path(it->stage);
        struct oxl_digest got;
        bool as_read = false;
        int fd = oxl_open_beneath(b->c->to->root_fd, temp, READ_FLAGS, 0);
        if (fd < 0)
                return OXL_FAIL_OS(err, FILE_OPEN, temp);
        OXL_IGNORE(oxl_sys->fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), "then the cache answers, as on tmpfs");
        int k = verify(b, it, fd, temp, &got, &why);
        if (k >= 0)
                return oxl_copying_step(b->c, 0, err);
        if (!oxl_copying_is_damage(why.code)) {
                oxl_error_move(err, &why);
                return k;
        }
        k = is_as_read(b, it, &as_read, err);
        if (k >= 0 && !as_read)
                return OXL_FAIL_OBJECT(err, DIGEST, it->path, &it->read, it->pack ? NULL : &got);
        it->bad = true;
        return k < 0 ? k : 0;
}

/* CRASH: a second name in quarantine of what is still in its place. */
static int keep_damaged(struct batch *b, const struct item *it, struct oxl_error *err)
{
        char want[OXL_DIGEST_TEXT_MAX], got[OXL_DIGEST_TEXT_MAX] = "", id[17];
        const char *slug = it->pack ? "pack-damaged" : "blob-damaged";
        oxl_digest_text(&it->id, want);
        if (it->damage.algo != OXL_ALGO_NONE)
                oxl_digest_text(&it->damage, got);
        oxl_digest_label((const char *const[]){ slug, it->path, "" }, 3, 0, id);
        const struct oxl_quarantine_note note = {
                .finding = id, .slug = slug, .expected = want, .actual = got, .source = "good bytes that were copied"
        };
        int k = b->quarantine[0] ? 0 : oxl_quarantine_id(b->quarantine, err);
        if (k >= 0)
                k = oxl_quarantine_put(b->c->to->durable, b->c->to->root_fd, b->quarantine, b->kept + 1, it->path,
                                       &note, NULL, err);
        b->kept += k == 0;
        return k < 0 ? k : 0;
}

static int publish(struct batch *b, struct oxl_error *err)
{
        int k = 0;
        for (size_t i = 0; k >= 0 && i < b->n; i++)
                if (b->items[i].heals && !b->items[i].bad)
                        k = keep_damaged(b, &b->items[i], err);
        for (size_t i = 0; k >= 0 && i < b->n; i++)
                if (!b->items[i].bad)
                        /* CRASH: some objects have their names, whole; the rest are temps (cli/release-kill-copy) */
                        k = oxl_stage_publish(b->items[i].stage, b->items[i].path, false, err);
        return k < 0 ? k : oxl_durable_barrier(b->c->to->durable, err);
}

/* What is damaged at the source comes from somewhere else, object by object. */
static int rescue(struct batch *b, struct oxl_error *err)
{
        struct oxl_copying *c = b->c;
        int k = 0;
        for (size_t i = 0; k >= 0 && i < b->n; i++) {
                const struct item *it = &b->items[i];
                if (it->bad)
                        k = it->pack ? oxl_copy_rescue_pack(c, &it->id, err) : oxl_copy_rescue_loose(c, &it->id, err);
        }
        return k < 0 ? k : 0;
}

static int flush(struct batch *b, struct oxl_error *err)
{
        struct oxl_stage *stages[BATCH_FILES];
        struct oxl_durable *d = b->c->to->durable;
        for (size_t i = 0; i < b->n; i++)
                stages[i] = b->items[i].stage;
        int k = b->n ? oxl_stage_sync_many(d, stages, b->n, err) : 0;
        for (size_t i = 0; k >= 0 && i < b->n; i++)
                k = read_back(b, &b->items[i], err);
        if (k >= 0)
                k = publish(b, err);
        for (size_t i = 0; k >= 0 && i < b->n; i++) {
                const struct item *it = &b->items[i];
                b->c->result->files += !it->bad;
                b->c->result->bytes += it->bad ? 0 : it->bytes;
                b->c->result->healed += it->heals && !it->bad;
        }
        if (k >= 0)
                k = rescue(b, err);
        batch_done(b);
        b->found = 0;
        b->bytes = 0;
        return k < 0 ? k : 0;
}

/* --- one file ---------------------------------------------------------------------------------------------------------- */

struct writing {
        struct oxl_copying *c;
        struct oxl_stage *stage;
};

static int write_piece(void *ctx, const void *bytes, size_t n, struct oxl_error *err)
{
        struct writing *w = ctx;
        int k = bytes ? oxl_stage_write(w->stage, bytes, n, err) : oxl_stage_skip(w->stage, n, err);
        return k < 0 ? k : oxl_copying_step(w->c, n, err);
}

/* The medium here does not answer for the last file of the batch: perhaps it does for most objects in it, or there are others. */
static int unreadable(struct batch *b, struct oxl_error *err)
{
        const struct item *it = &b->items[--b->n];
        oxl_error_done(err);
        oxl_stage_free(it->stage);
        return it->pack ? oxl_copy_rescue_pack(b->c, &it->id, err) : oxl_copy_rescue_loose(b->c, &it->id, err);
}

static int bring(struct batch *b, struct item *it, int fd, struct oxl_error *err)
{
        struct oxl_copying *c = b->c;
        struct oxl_hasher h;
        struct writing w = { c, NULL };
        uint64_t bytes = 0;
        int k = oxl_stage_open(c->to->durable, "versions/tmp", it->pack ? "pack" : "blob", OXL_STAGE_READ_ONLY,
                               &w.stage, err);
        if (k < 0)
                return k;
        it->stage = w.stage;
        b->n++; /* from here on the batch owns it */
        oxl_hasher_init(&h, it->pack ? OXL_ALGO_BLAKE3 : c->from->format.blob_algo);
        k = oxl_fd_scan(fd, it->path, &h, write_piece, &w, c->from->options.cancel, &bytes, err);
        oxl_hasher_final(&h, &it->read);
        if (k == -OXL_E_FILE_READ)
                return unreadable(b, err);
        if (k < 0)
                return k;
        it->bytes = bytes;
        b->bytes += bytes;
        return b->n == BATCH_FILES || b->bytes >= BATCH_BYTES ? flush(b, err) : 0;
}

/* Its name may have been made by a process that died before it synced the folder. */
static int count_found(struct batch *b, const struct item *it, struct oxl_error *err)
{
        b->c->result->found++;
        b->c->result->found_bytes += it->bytes;
        int k = oxl_durable_mark(b->c->to->durable, it->path, err);
        if (k >= 0 && ++b->found >= FOUND_MAX)
                k = flush(b, err);
        return k < 0 ? k : oxl_copying_step(b->c, it->bytes, err);
}

static int copy_file(struct batch *b, bool pack, const struct oxl_digest *id, const char *path, struct oxl_error *err)
{
        struct item *it = &b->items[b->n];
        enum there there = THERE_NOT;
        struct stat st;
        *it = (struct item){ .pack = pack, .id = *id };
        memcpy(it->path, path, strlen(path) + 1);
        cleanup_fd int fd = oxl_open_beneath(b->c->from->root_fd, path, READ_FLAGS, 0);
        if (fd < 0 && errno == ENOENT) {
                b->again = true; /* merged into another one, say */
                return 0;
        }
        if (fd < 0)
                return OXL_FAIL_OS(err, FILE_OPEN, path);
        if (oxl_fd_stat(fd, &st) < 0)
                return OXL_FAIL_OS(err, FILE_STAT, path);
        it->bytes = (uint64_t)st.st_size;
        b->c->files_done++;
        int k = S_ISREG(st.st_mode) ? look_there(b, it, &there, err) : 0;
        if (k < 0 || !S_ISREG(st.st_mode))
                return k; /* what is no file is fsck's business */
        if (there == THERE_GOOD)
                return count_found(b, it, err);
        it->heals = there == THERE_BAD;
        return bring(b, it, fd, err);
}

/* --- all of them --------------------------------------------------------------------------------------------------------- */

static int count_file(struct oxl_copying *c, const char *path, struct oxl_error *err)
{
        struct stat st;
        if (oxl_fd_stat_at(c->from->root_fd, path, &st) < 0)
                return errno == ENOENT ? 0 : OXL_FAIL_OS(err, FILE_STAT, path);
        c->files_total++;
        c->bytes_total += (uint64_t)st.st_size;
        return 0;
}

static int count_pack(void *ctx, const struct oxl_digest *id, struct oxl_error *err)
{
        char path[OXL_LOOSE_PATH_MAX];
        oxl_pack_path(id, path);
        return count_file(ctx, path, err);
}

static int count_loose(void *ctx, const struct oxl_digest *id, const char *path, struct oxl_error *err)
{
        (void)id;
        return count_file(ctx, path, err);
}

static int copy_pack(void *ctx, const struct oxl_digest *id, struct oxl_error *err)
{
        char path[OXL_LOOSE_PATH_MAX];
        oxl_pack_path(id, path);
        return copy_file(ctx, true, id, path, err);
}

static int copy_loose(void *ctx, const struct oxl_digest *id, const char *path, struct oxl_error *err)
{
        return copy_file(ctx, false, id, path, err);
}

static int copy_all(struct batch *b, struct oxl_error *err)
{
        const struct oxl_repo *r = b->c->from;
        int k = 0;
        /* A pack that is merged goes after its successor has its name: the next listing has that. */
        for (int i = 0; k >= 0 && i < LISTINGS_MAX && (i == 0 || b->again); i++) {
                b->again = false;
                k = oxl_pack_list(r->root_fd, copy_pack, b, err);
                if (k >= 0)
                        k = oxl_loose_list(r->root_fd, r->format.blob_algo, copy_loose, NULL, b, err);
        }
        return k < 0 ? k : flush(b, err);
}

int oxl_copy_objects(struct oxl_copying *c, struct oxl_error *err)
{
        struct oxl_repo *r = c->from;
        int k = oxl_pack_list(r->root_fd, count_pack, c, err);
        if (k >= 0)
                k = oxl_loose_list(r->root_fd, r->format.blob_algo, count_loose, NULL, c, err);
        if (k < 0)
                return k;
        c->bytes_total = c->bytes_total < UINT64_MAX / 2 ? c->bytes_total : UINT64_MAX / 2;
        cleanup_free struct batch *b = calloc(1, sizeof *b);
        if (!b)
                return OXL_FAIL_PLAIN(err, NOMEM);
        b->c = c;
        k = copy_all(b, err);
        batch_done(b);
        return k;
}

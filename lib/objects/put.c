/* SPDX-License-Identifier: MIT */
/*
 * Put sessions: objects become files that are durable but have no name yet.
 *
 * "Already stored" is never believed: what the session itself wrote is known; what the store has is read and hashed,
 * and for XXH3-128, which does not resist people, compared byte for byte. A copy that fails is left where it is and a
 * good one stored beside or (loose) over it: the damaged file gets a second name in quarantine first, before the caller's
 * intent, so that whoever renames, recovery too, never replaces the only copy of its bytes.
 *
 * Order: content -> finish (indexes, then every temp synced; damaged files kept) -> [the caller's intent] -> publish (renames) -> [the
 * caller's barrier, which also covers the folders of objects that were only found: a dead process may have renamed them
 * without syncing].
 * What a crash leaves: before publish temps in versions/tmp; after it whole objects that nothing refers to yet.
 */
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/hex.h"
#include "durable/mutant.h"
#include "durable/remove.h"
#include "objects/idset.h"
#include "objects/pack_private.h"
#include "objects/pack_write.h"
#include "objects/quarantine.h"
#include "objects/scan.h"
#include "objects/store.h"
#include "os/fdio.h"

#define PUT_OBJECT_MAX OXL_PACK_THRESHOLD_MAX

struct loose {
        struct oxl_digest id;
        struct oxl_stage *stage;
        uint64_t size;
        bool heals;            /* a damaged file has its place */
        struct oxl_digest got; /* what that hashed to; NONE: not known */
};

struct oxl_put {
        struct oxl_objects *o;
        struct oxl_pack_writer **packs; /* all but the last are finished */
        size_t pack_count;
        uint64_t pack_limit;
        struct loose *loose;
        size_t loose_count, loose_cap;
        struct oxl_idset loose_set;
        struct oxl_buf file; /* one small file, whole */
        uint8_t *pieces[2];  /* for comparing; allocated when needed */
        struct oxl_put_item *items;
        size_t item_count;
        uint8_t loose_begin[256 / 8]; /* bit per first byte of a digest: versions/files has its folder */
        bool loose_begin_known;
        bool packs_found; /* versions/packs is marked for the barrier */
        bool finished, published;
        bool fresh;                               /* see oxl_put_set_fresh */
        char quarantine[OXL_QUARANTINE_ID_BYTES]; /* of this session; "": nothing was kept */
        unsigned kept;                            /* entries there */
        struct oxl_put_stats stats;
        oxl_put_tick_fn *tick; /* may be NULL */
        void *tick_ctx;
};

/* --- life ------------------------------------------------------------------------------------------------------- */

static const uint8_t *loose_id(const void *array, size_t i)
{
        return ((const struct loose *)array)[i].id.bytes;
}

int oxl_put_begin(struct oxl_objects *o, struct oxl_put **ret, struct oxl_error *err)
{
        OXL_ASSERT(o->config.durable);
        struct oxl_put *p = calloc(1, sizeof(*p));
        if (!p)
                return OXL_FAIL_PLAIN(err, NOMEM);
        p->o = o;
        p->pack_limit = OXL_PACK_SOFT_LIMIT;
        p->loose_set.id_of = loose_id;
        o->listed = false; /* what others stored since is not stored again */
        *ret = p;
        return 0;
}

void oxl_put_set_fresh(struct oxl_put *p)
{
        p->fresh = true;
}

void oxl_put_limit_packs(struct oxl_put *p, uint64_t bytes)
{
        p->pack_limit = bytes;
}

static void free_items(struct oxl_put *p)
{
        for (size_t i = 0; p->items && i < p->item_count; i++) {
                char *temp, *target;
                memcpy(&temp, &p->items[i].temp, sizeof(temp));
                memcpy(&target, &p->items[i].target, sizeof(target));
                free(temp);
                free(target);
        }
        free(p->items);
        p->items = NULL;
        p->item_count = 0;
}

static void free_session(struct oxl_put *p)
{
        free_items(p);
        oxl_idset_done(&p->loose_set);
        oxl_buf_done(&p->file);
        free(p->pieces[0]);
        free(p->pieces[1]);
        free(p->packs);
        free(p->loose);
        free(p);
}

void oxl_put_free(struct oxl_put *p)
{
        if (!p)
                return;
        for (size_t i = 0; i < p->pack_count; i++)
                oxl_pack_writer_free(p->packs[i]);
        for (size_t i = 0; i < p->loose_count; i++)
                oxl_stage_free(p->loose[i].stage);
        if (!p->published) /* nothing was replaced: the files have their place and need no second name */
                for (unsigned i = 1; i <= p->kept; i++) {
                        char folder[OXL_QUARANTINE_FOLDER_BYTES];
                        oxl_quarantine_folder(p->quarantine, i, folder);
                        OXL_IGNORE(oxl_remove_tree(p->o->config.root_fd, folder, NULL), "a second name does no harm");
                }
        free_session(p);
}

void oxl_put_leave(struct oxl_put *p)
{
        if (!p)
                return;
        for (size_t i = 0; i < p->pack_count; i++)
                oxl_pack_writer_leave(p->packs[i]);
        for (size_t i = 0; i < p->loose_count; i++)
                oxl_stage_leave(p->loose[i].stage);
        free_session(p);
}

void oxl_put_get_stats(const struct oxl_put *p, struct oxl_put_stats *ret)
{
        *ret = p->stats;
}

static int counted(struct oxl_put *p, enum oxl_put_outcome outcome, uint64_t size)
{
        if (outcome == OXL_PUT_EXISTED) {
                p->stats.existed++;
                return (int)outcome;
        }
        if (outcome == OXL_PUT_HEALED)
                p->stats.healed++;
        p->stats.stored++;
        p->stats.stored_bytes += size;
        return (int)outcome;
}

/* --- is it stored already? ---------------------------------------------------------------------------------------- */

/* The object to be stored: in memory, or staged as a loose file. */
struct source {
        struct oxl_put *p;
        enum oxl_kind kind;
        const struct oxl_digest *id;
        const char *name; /* for messages */
        const uint8_t *bytes;
        struct oxl_stage *stage; /* when there are no bytes */
        uint64_t size;
        const atomic_bool *cancel;
        /* while a stored copy is compared */
        uint64_t at;
        bool differs;
        struct oxl_digest got; /* of a damaged copy, once found */
};

/* BLAKE3 names are proof. XXH3-128 detects accidents, not people who write down two files with one name. */
static bool must_compare(const struct source *src)
{
        return src->kind == OXL_KIND_BLOB && src->p->o->config.blob_algo == OXL_ALGO_XXH3_128;
}

static int allocate_pieces(struct oxl_put *p, struct oxl_error *err)
{
        for (int i = 0; i < 2; i++)
                if (!p->pieces[i] && !(p->pieces[i] = malloc(OXL_SCAN_PIECE_BYTES)))
                        return OXL_FAIL_PLAIN(err, NOMEM);
        return 0;
}

static int stage_read(struct oxl_stage *stage, uint64_t at, void *buf, size_t n, struct oxl_error *err)
{
        int fd = oxl_stage_fd(stage);
        ssize_t got = fd < 0 ? -1 : oxl_fd_pread_full(fd, buf, n, at);
        if (got >= 0 && (size_t)got != n) {
                errno = EIO; /* bytes that we wrote are not there */
                got = -1;
        }
        return got < 0 ? OXL_FAIL_OS(err, FILE_READ, oxl_stage_path(stage)) : 0;
}

/* Up to a piece of the source, borrowed. */
static int source_piece(const struct source *src, uint64_t at, size_t n, const uint8_t **ret, struct oxl_error *err)
{
        int r = 0;
        if (src->bytes) {
                *ret = src->bytes + at;
                return r;
        }
        r = stage_read(src->stage, at, src->p->pieces[0], n, err);
        *ret = src->p->pieces[0];
        return r;
}

static bool is_zero(const uint8_t *p, size_t n)
{
        return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

/* Sink that compares the pieces of a stored copy with the source; NULL pieces are zeros. */
static int compare_sink(void *ctx, const void *bytes, size_t n, struct oxl_error *err)
{
        struct source *src = ctx;
        const uint8_t *stored = bytes;
        if (src->differs || n > src->size - src->at) {
                src->differs = true;
                return 0;
        }
        while (n > 0 && !src->differs) {
                const uint8_t *mine;
                size_t piece = n < OXL_SCAN_PIECE_BYTES ? n : OXL_SCAN_PIECE_BYTES;
                int r = source_piece(src, src->at, piece, &mine, err);
                if (r < 0)
                        return r;
                src->differs = stored ? memcmp(mine, stored, piece) != 0 : !is_zero(mine, piece);
                stored = stored ? stored + piece : NULL;
                src->at += piece;
                n -= piece;
        }
        return 0;
}

static int collision(const struct source *src, struct oxl_error *err)
{
        return OXL_FAIL_OBJECT(err, HASH_COLLISION, src->name, src->id, src->id);
}

/* Judges a copy in the store: read, hashed, and compared where the name is no proof. */
static int judge_existing(void *ctx, struct oxl_copy *c, struct oxl_error *err)
{
        struct source *src = ctx;
        struct oxl_digest got;
        bool compare = must_compare(src);
        src->at = 0;
        src->differs = false;
        int r = compare ? allocate_pieces(src->p, err) : 0;
        if (r == 0)
                r = oxl_copy_scan(src->p->o, c, src->kind, compare ? compare_sink : NULL, src, src->cancel, &got, err);
        if (r < 0)
                return r;
        if (!oxl_digest_equal(&got, src->id))
                return oxl_copy_corrupt(c, src->id, &got, err);
        return compare && (src->differs || src->at != src->size) ? collision(src, err) : 0;
}

/* Compares with what this session wrote: in pack @w at @at, or staged. */
static int compare_session(struct source *src, struct oxl_pack_writer *w, uint64_t at, struct oxl_stage *stage,
                           uint64_t size, struct oxl_error *err)
{
        int r = allocate_pieces(src->p, err);
        src->at = 0;
        src->differs = size != src->size;
        for (uint64_t done = 0; r == 0 && done < size && !src->differs;) {
                size_t n = size - done < OXL_SCAN_PIECE_BYTES ? (size_t)(size - done) : OXL_SCAN_PIECE_BYTES;
                uint8_t *piece = src->p->pieces[1];
                r = w ? oxl_pack_writer_read(w, at + done, piece, n, err) : stage_read(stage, done, piece, n, err);
                if (r == 0)
                        r = compare_sink(src, piece, n, err);
                done += n;
        }
        if (r < 0)
                return r;
        return src->differs ? collision(src, err) : OXL_PUT_EXISTED;
}

/* OXL_PUT_EXISTED: this session wrote it before; else OXL_PUT_STORED, that is: not yet. */
static int find_in_session(struct source *src, struct oxl_error *err)
{
        struct oxl_put *p = src->p;
        for (size_t i = p->pack_count; i-- > 0;) {
                uint64_t at, len;
                if (!oxl_pack_writer_find(p->packs[i], src->kind, src->id, &at, &len))
                        continue;
                return must_compare(src) ? compare_session(src, p->packs[i], at, NULL, len, err) : OXL_PUT_EXISTED;
        }
        size_t n =
                src->kind == OXL_KIND_BLOB ? oxl_idset_find(&p->loose_set, p->loose, src->id->bytes) : OXL_IDSET_NONE;
        if (n == OXL_IDSET_NONE)
                return OXL_PUT_STORED;
        return must_compare(src) ? compare_session(src, NULL, 0, p->loose[n].stage, p->loose[n].size, err)
                                 : OXL_PUT_EXISTED;
}

/* The found object needs a durable name before a ref may depend on it. */
static int mark_found(struct oxl_put *p, const struct oxl_copy *c, struct oxl_error *err)
{
        if (c->pack && p->packs_found)
                return 0;
        p->packs_found |= c->pack != NULL;
        if (OXL_MUTANT(NO_FOUND_MARK))
                return 0;
        return oxl_durable_mark(p->o->config.durable, c->name, err);
}

/* Which folders versions/files has. One that cannot be listed counts as having all. */
static void list_loose_folders(struct oxl_put *p)
{
        cleanup_fd int fd = oxl_open_beneath(p->o->config.root_fd, "versions/files", O_RDONLY | O_DIRECTORY, 0);
        cleanup_dir struct oxl_dir dir = OXL_DIR_INIT;
        struct oxl_dirent e;
        uint8_t byte;
        int more = fd >= 0 ? oxl_dir_open(&dir, fd) : errno == ENOENT ? 1 : -1;
        while (fd >= 0 && more >= 0 && (more = oxl_dir_next(&dir, &e)) > 0)
                if (strlen(e.name) == 2 && oxl_hex_decode(e.name, &byte, 1))
                        p->loose_begin[byte / 8] |= (uint8_t)(1u << byte % 8);
        if (more < 0)
                memset(p->loose_begin, 0xff, sizeof(p->loose_begin));
        p->loose_begin_known = true;
}

/* Asking for a file that nobody has would be a call for each new blob. We hold the writer lock: nobody makes such folders meanwhile. */
static bool may_be_loose(struct oxl_put *p, const struct oxl_digest *id)
{
        if (!p->loose_begin_known)
                list_loose_folders(p);
        return p->loose_begin[id->bytes[0] / 8] & (1u << id->bytes[0] % 8);
}

/* What becomes of the source: EXISTED, nothing to do; STORED, HEALED: write it. */
static int find_existing(struct source *src, struct oxl_error *err)
{
        int r = find_in_session(src, err);
        if (r != OXL_PUT_STORED)
                return r;
        /* A miss that is wrong costs a second copy; with comparable names it could hide a collision. */
        cleanup_search struct oxl_search s = { .o = src->p->o,
                                               .kind = src->kind,
                                               .id = src->id,
                                               .judge = judge_existing,
                                               .ctx = src,
                                               .no_loose = !must_compare(src) && !may_be_loose(src->p, src->id),
                                               .thorough = must_compare(src) };
        r = oxl_search_run(&s, err);
        if (r < 0)
                return r;
        if (r == 0) {
                r = mark_found(src->p, &s.copy, err);
                return r < 0 ? r : src->p->fresh ? OXL_PUT_STORED : OXL_PUT_EXISTED;
        }
        if (s.copy_unreadable)
                return oxl_fail_with(err, &s.worst); /* not damage: it must not be replaced */
        src->got = s.worst.got;
        return s.copies ? OXL_PUT_HEALED : OXL_PUT_STORED;
}

/* --- into packs --------------------------------------------------------------------------------------------------- */

static int begin_pack(struct oxl_put *p, struct oxl_error *err)
{
        struct oxl_pack_writer **packs = reallocarray(p->packs, p->pack_count + 1, sizeof(struct oxl_pack_writer *));
        if (!packs)
                return OXL_FAIL_PLAIN(err, NOMEM);
        p->packs = packs;
        int r = oxl_pack_writer_new(p->o->config.durable, &p->o->config.id, &packs[p->pack_count], err);
        if (r == 0)
                p->pack_count++;
        return r;
}

static int append_object(struct oxl_put *p, const struct source *src, struct oxl_error *err)
{
        struct oxl_pack_writer *w = p->pack_count ? p->packs[p->pack_count - 1] : NULL;
        int r = 0;
        if (w && !oxl_pack_writer_fits(w, src->kind, src->size, p->pack_limit)) {
                r = oxl_pack_writer_finish(w, err);
                w = NULL;
        }
        if (r == 0 && !w)
                r = begin_pack(p, err);
        if (r < 0)
                return r;
        return oxl_pack_writer_add(p->packs[p->pack_count - 1], src->kind, src->id, src->bytes, (size_t)src->size, err);
}

static int put_known(struct oxl_put *p, enum oxl_kind kind, const void *bytes, size_t n, const struct oxl_digest *id,
                     const char *name, struct oxl_error *err)
{
        struct source src = {
                .p = p, .kind = kind, .id = id, .name = name, .bytes = n ? bytes : (const void *)"", .size = n
        };
        int outcome = find_existing(&src, err);
        if (outcome < 0)
                return outcome;
        int r = outcome == OXL_PUT_EXISTED ? 0 : append_object(p, &src, err);
        return r < 0 ? r : counted(p, (enum oxl_put_outcome)outcome, n);
}

static int put_bytes(struct oxl_put *p, enum oxl_kind kind, const void *bytes, size_t n, const char *name,
                     struct oxl_digest *ret_id, struct oxl_error *err)
{
        struct oxl_digest id = oxl_objects_digest(p->o, kind, bytes, n);
        int r = put_known(p, kind, bytes, n, &id, name, err);
        if (r >= 0)
                *ret_id = id;
        return r;
}

int oxl_put_blob(struct oxl_put *p, const void *bytes, size_t n, const struct oxl_digest *id, const char *name,
                 struct oxl_error *err)
{
        OXL_ASSERT(!p->finished && n <= PUT_OBJECT_MAX && id->algo == p->o->config.blob_algo);
        return put_known(p, OXL_KIND_BLOB, bytes, n, id, name, err);
}

int oxl_put_again(struct oxl_put *p, enum oxl_kind kind, const void *bytes, size_t n, const struct oxl_digest *id,
                  const char *name, struct oxl_error *err)
{
        OXL_ASSERT(!p->finished && n <= PUT_OBJECT_MAX);
        struct source src = {
                .p = p, .kind = kind, .id = id, .name = name, .bytes = n ? bytes : (const void *)"", .size = n
        };
        int r = find_in_session(&src, err);
        if (r == OXL_PUT_STORED)
                r = append_object(p, &src, err);
        return r < 0 ? r : counted(p, (enum oxl_put_outcome)r, n);
}

int oxl_put_object(struct oxl_put *p, enum oxl_kind kind, const void *bytes, size_t n, struct oxl_digest *ret_id,
                   struct oxl_error *err)
{
        static const char *const names[] = { "filler", "blob", "tree", "commit" };
        OXL_ASSERT(!p->finished && kind >= OXL_KIND_BLOB && kind <= OXL_KIND_COMMIT);
        if (n > (kind == OXL_KIND_BLOB ? PUT_OBJECT_MAX : OXL_METADATA_MAX))
                return OXL_FAIL_WHY(err, LIMIT, names[kind], "the object is too large for a pack");
        return put_bytes(p, kind, bytes, n, names[kind], ret_id, err);
}

/* --- files -------------------------------------------------------------------------------------------------------- */

static bool same_state(const struct stat *a, const struct stat *b)
{
        return oxl_stat_same(a, b) && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
               a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
               a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* After @bytes were read: is the file still what it was @before? */
static int check_unchanged(int fd, const char *name, const struct stat *before, uint64_t bytes, struct oxl_error *err)
{
        struct stat after;
        if (oxl_fd_stat(fd, &after) < 0)
                return OXL_FAIL_OS(err, FILE_STAT, name);
        if (bytes != (uint64_t)before->st_size || !same_state(before, &after))
                return OXL_FAIL_PATH(err, PATH_CHANGED, name);
        return 0;
}

static int put_small(struct oxl_put *p, int fd, const char *name, const struct stat *st, struct oxl_digest *ret_id,
                     struct oxl_error *err)
{
        size_t size = (size_t)st->st_size;
        oxl_buf_clear(&p->file);
        int r = oxl_buf_reserve(&p->file, size + 1, err); /* one more, to see it grow */
        if (r < 0)
                return r;
        ssize_t got = oxl_fd_pread_full(fd, p->file.data, size + 1, 0);
        if (got < 0)
                return OXL_FAIL_OS(err, FILE_READ, name);
        r = check_unchanged(fd, name, st, (uint64_t)got, err);
        return r < 0 ? r : put_bytes(p, OXL_KIND_BLOB, p->file.data, size, name, ret_id, err);
}

void oxl_put_set_tick(struct oxl_put *p, oxl_put_tick_fn *tick, void *ctx)
{
        p->tick = tick;
        p->tick_ctx = ctx;
}

struct filling {
        struct oxl_put *p;
        struct oxl_stage *stage; /* NULL: it has the content already, as a clone */
};

static int copy_sink(void *ctx, const void *bytes, size_t n, struct oxl_error *err)
{
        const struct filling *f = ctx;
        if (f->p->tick)
                f->p->tick(f->p->tick_ctx, n);
        if (!f->stage)
                return 0;
        return bytes ? oxl_stage_write(f->stage, bytes, n, err) : oxl_stage_skip(f->stage, n, err);
}

/* Brings the content into the stage, hashing it in the same pass. A clone is hashed instead of the file: it cannot
 * change any more. */
static int fill_stage(struct oxl_put *p, struct oxl_stage *stage, int fd, const char *name, const atomic_bool *cancel,
                      struct oxl_digest *ret, uint64_t *ret_bytes, struct oxl_error *err)
{
        struct oxl_hasher h;
        struct filling filling = { p, NULL };
        oxl_hasher_init(&h, p->o->config.blob_algo);
        int own = p->o->config.reflink ? oxl_stage_fd(stage) : -1, r;
        if (own >= 0 && oxl_sys->ficlone(own, fd) == 0) {
                r = oxl_fd_scan(own, oxl_stage_path(stage), &h, copy_sink, &filling, cancel, ret_bytes, err);
        } else {
                filling.stage = stage;
                r = oxl_fd_scan(fd, name, &h, copy_sink, &filling, cancel, ret_bytes, err);
        }
        if (r == 0)
                oxl_hasher_final(&h, ret);
        return r;
}

static int keep_loose(struct oxl_put *p, const struct source *src, bool heals, struct oxl_stage **stage,
                      struct oxl_error *err)
{
        if (p->loose_count == p->loose_cap) {
                size_t cap = p->loose_cap ? 2 * p->loose_cap : 16;
                struct loose *loose = reallocarray(p->loose, cap, sizeof(*loose));
                if (!loose)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                p->loose = loose;
                p->loose_cap = cap;
        }
        int r = oxl_idset_reserve(&p->loose_set, p->loose, err);
        if (r < 0)
                return r;
        p->loose[p->loose_count] = (struct loose){
                .id = *src->id, .stage = take_ptr(stage), .size = src->size, .heals = heals, .got = src->got
        };
        oxl_idset_add(&p->loose_set, p->loose, p->loose_count++);
        return 0;
}

static void stage_freep(struct oxl_stage **stage)
{
        oxl_stage_free(*stage);
}

static int put_large(struct oxl_put *p, int fd, const char *name, const struct stat *st, const atomic_bool *cancel,
                     struct oxl_digest *ret_id, struct oxl_error *err)
{
        cleanup(stage_freep) struct oxl_stage *stage = NULL;
        struct oxl_digest id;
        uint64_t bytes = 0;
        int r = oxl_stage_open(p->o->config.durable, "versions/tmp", "blob", OXL_STAGE_READ_ONLY, &stage, err);
        if (r == 0)
                r = fill_stage(p, stage, fd, name, cancel, &id, &bytes, err);
        if (r == 0)
                r = check_unchanged(fd, name, st, bytes, err);
        if (r < 0)
                return r;
        struct source src = {
                .p = p, .kind = OXL_KIND_BLOB, .id = &id, .name = name, .stage = stage, .size = bytes, .cancel = cancel
        };
        int outcome = find_existing(&src, err);
        if (outcome < 0)
                return outcome;
        r = outcome == OXL_PUT_EXISTED ? 0 : keep_loose(p, &src, outcome == OXL_PUT_HEALED, &stage, err);
        if (r < 0)
                return r;
        *ret_id = id;
        return counted(p, (enum oxl_put_outcome)outcome, bytes);
}

int oxl_put_file(struct oxl_put *p, int fd, const char *name, const atomic_bool *cancel, struct oxl_digest *ret_id,
                 struct stat *ret_st, struct oxl_error *err)
{
        OXL_ASSERT(!p->finished);
        struct stat st;
        if (oxl_cancelled(cancel))
                return OXL_FAIL_PLAIN(err, CANCELLED);
        if (oxl_fd_stat(fd, &st) < 0)
                return OXL_FAIL_OS(err, FILE_STAT, name);
        if (!S_ISREG(st.st_mode))
                return OXL_FAIL_WHY(err, PATH_SPECIAL, name, "not a regular file");
        bool small = (uint64_t)st.st_size < p->o->config.pack_threshold && (uint64_t)st.st_size < PUT_OBJECT_MAX;
        int r = small ? put_small(p, fd, name, &st, ret_id, err) : put_large(p, fd, name, &st, cancel, ret_id, err);
        if (r >= 0)
                *ret_st = st;
        return r;
}

/* --- finishing and publishing ------------------------------------------------------------------------------------- */

static int sync_all(struct oxl_put *p, struct oxl_error *err)
{
        size_t n = 0;
        cleanup_free struct oxl_stage **stages = calloc(p->pack_count + p->loose_count + 1, sizeof(struct oxl_stage *));
        if (!stages)
                return OXL_FAIL_PLAIN(err, NOMEM);
        for (size_t i = 0; i < p->pack_count; i++)
                stages[n++] = oxl_pack_writer_stage(p->packs[i]);
        for (size_t i = 0; i < p->loose_count; i++)
                stages[n++] = p->loose[i].stage;
        return oxl_stage_sync_many(p->o->config.durable, stages, n, err);
}

static int add_item(struct oxl_put *p, bool loose, struct oxl_stage *stage, const char *target,
                    const struct oxl_digest *digest, uint64_t size, struct oxl_error *err)
{
        cleanup_free char *temp = strdup(oxl_stage_path(stage)), *to = strdup(target);
        if (!temp || !to)
                return OXL_FAIL_PLAIN(err, NOMEM);
        p->items[p->item_count++] = (struct oxl_put_item){ loose, take_ptr(&temp), take_ptr(&to), *digest, size };
        return 0;
}

static int list_items(struct oxl_put *p, struct oxl_error *err)
{
        char target[OXL_LOOSE_PATH_MAX];
        int r = 0;
        p->items = calloc(p->pack_count + p->loose_count + 1, sizeof(*p->items));
        if (!p->items)
                return OXL_FAIL_PLAIN(err, NOMEM);
        for (size_t i = 0; r == 0 && i < p->pack_count; i++) {
                struct oxl_stage *stage = oxl_pack_writer_stage(p->packs[i]);
                oxl_pack_path(oxl_pack_writer_id(p->packs[i]), target);
                r = add_item(p, false, stage, target, oxl_pack_writer_id(p->packs[i]), oxl_stage_size(stage), err);
        }
        for (size_t i = 0; r == 0 && i < p->loose_count; i++) {
                oxl_loose_path(&p->loose[i].id, target);
                r = add_item(p, true, p->loose[i].stage, target, &p->loose[i].id, p->loose[i].size, err);
        }
        return r;
}

/* What publishing will replace. CRASH: a damaged file that is in its place has a second name in quarantine; whatever happens to the
 * place, `fsck --undo` knows the bytes. */
static int keep_damaged(struct oxl_put *p, struct oxl_error *err)
{
        int r = 0;
        for (size_t i = 0; r >= 0 && i < p->loose_count; i++) {
                char target[OXL_LOOSE_PATH_MAX], want[OXL_DIGEST_TEXT_MAX], got[OXL_DIGEST_TEXT_MAX] = "", id[17];
                const struct loose *l = &p->loose[i];
                if (!l->heals)
                        continue;
                oxl_loose_path(&l->id, target);
                oxl_digest_text(&l->id, want);
                if (l->got.algo != OXL_ALGO_NONE)
                        oxl_digest_text(&l->got, got);
                oxl_digest_label((const char *const[]){ "blob-damaged", target, "" }, 3, 0, id);
                const struct oxl_quarantine_note note = { .finding = id,
                                                          .slug = "blob-damaged",
                                                          .expected = want,
                                                          .actual = got,
                                                          .source = "good bytes that were added" };
                r = p->quarantine[0] ? 0 : oxl_quarantine_id(p->quarantine, err);
                if (r == 0)
                        r = oxl_quarantine_put(p->o->config.durable, p->o->config.root_fd, p->quarantine, p->kept + 1,
                                               target, &note, NULL, err);
                p->kept += r == 0;
        }
        return r < 0 ? r : 0;
}

int oxl_put_finish(struct oxl_put *p, struct oxl_error *err)
{
        OXL_ASSERT(!p->finished && !p->items);
        int r = p->pack_count ? oxl_pack_writer_finish(p->packs[p->pack_count - 1], err) : 0;
        if (r == 0)
                r = sync_all(p, err);
        if (r == 0)
                r = keep_damaged(p, err);
        if (r == 0)
                r = list_items(p, err);
        if (r < 0) {
                free_items(p);
                return r;
        }
        p->finished = true;
        return 0;
}

size_t oxl_put_items(const struct oxl_put *p, const struct oxl_put_item **ret)
{
        OXL_ASSERT(p->finished);
        *ret = p->items;
        return p->item_count;
}

int oxl_put_publish(struct oxl_put *p, struct oxl_error *err)
{
        OXL_ASSERT(p->finished);
        p->o->listed = false;
        p->published = true;
        for (size_t i = 0; i < p->item_count; i++) {
                struct oxl_stage *stage =
                        i < p->pack_count ? oxl_pack_writer_stage(p->packs[i]) : p->loose[i - p->pack_count].stage;
                /* CRASH: some objects have their names, some are temps; with an intent recovery renames the rest,
                 * without one they are whole objects that nothing refers to */
                int r = oxl_stage_publish(stage, p->items[i].target, false, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

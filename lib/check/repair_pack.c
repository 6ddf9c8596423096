/* SPDX-License-Identifier: MIT */
/*
 * Damaged packs. All records that verify, and good bytes from elsewhere for those that do not, go into a new pack;
 * when it
 * is durable and nothing is missing from it, the old one leaves its place for quarantine. When something has no good
 * copy, the old pack stays where it is: a person may still get at it; what could not be read through it is readable
 * through the new one, which is then published only when it has something that no other file has: repairing again
 * adds nothing.
 *
 * Salvage needs neither header nor index nor trailer: the checksum of a record header covers its offset, so a
 * header proves itself,
 * and a look-alike inside of a payload (a pack stored in a pack) does not. Between records, every multiple of 8 is
 * tried.
 *
 * What a crash leaves: the old pack, the new one, or both: all whole or as damaged as before. Memory: 80 bytes a
 * record and one
 * payload of at most 64 MiB.
 */
#include <stdio.h>
#include <string.h>

#include "base/le.h"
#include "check/repair.h"
#include "check/salvage.h"
#include "objects/pack_private.h"
#include "objects/scan.h"
#include "objects/store.h"

enum { WINDOW = 256 << 10, PAYLOAD_MAX = OXL_PACK_THRESHOLD_MAX };

/* --- salvage --- */

struct salvage {
        int fd;
        const char *name;
        uint64_t size;
        enum oxl_algo algo;
        oxl_salvage_fn *fn;
        void *ctx;
        uint8_t *window; /* of WINDOW bytes */
        uint64_t window_at;
        size_t window_len;
        struct oxl_buf payload;
        bool count; /* nobody wants the payloads */
};

static void salvage_done(struct salvage *s)
{
        oxl_fd_done(&s->fd);
        free(s->window);
        oxl_buf_done(&s->payload);
}

/* @n bytes at @at, borrowed; *ret NULL: the file ends before. */
static int view(struct salvage *s, uint64_t at, size_t n, const uint8_t **ret, struct oxl_error *err)
{
        *ret = NULL;
        if (at + n > s->size)
                return 0;
        if (at < s->window_at || at + n > s->window_at + s->window_len) {
                ssize_t got = oxl_fd_pread_full(s->fd, s->window, WINDOW, at);
                if (got < 0)
                        return OXL_FAIL_OS(err, FILE_READ, s->name);
                s->window_at = at;
                s->window_len = (size_t)got;
        }
        if (at + n <= s->window_at + s->window_len)
                *ret = s->window + (at - s->window_at);
        return 0;
}

/* Does the payload of @e hash to its name? Kept in s->payload when there is room. */
static int read_payload(struct salvage *s, const struct oxl_pack_entry *e, bool *ret_good, struct oxl_error *err)
{
        struct oxl_hasher h;
        struct oxl_digest got;
        uint64_t at = e->offset + OXL_PACK_RECORD_BYTES, end;
        *ret_good = false;
        oxl_buf_clear(&s->payload);
        if (__builtin_add_overflow(at, e->raw_len, &end) || end > s->size)
                return 0;
        if (e->kind == OXL_KIND_BLOB)
                oxl_hasher_init(&h, s->algo);
        else
                oxl_hasher_init_derive(&h, e->kind == OXL_KIND_TREE ? OXL_CONTEXT_TREE : OXL_CONTEXT_COMMIT);
        while (at < end) {
                size_t n = end - at < WINDOW ? (size_t)(end - at) : WINDOW;
                const uint8_t *bytes;
                int r = view(s, at, n, &bytes, err);
                if (r < 0 || !bytes)
                        return r;
                oxl_hasher_update(&h, bytes, n);
                if (e->raw_len <= PAYLOAD_MAX && !s->count)
                        r = oxl_buf_append(&s->payload, bytes, n, err);
                if (r < 0)
                        return r;
                at += n;
        }
        oxl_hasher_final(&h, &got);
        *ret_good = oxl_digest_equal(&got, &e->id);
        return 0;
}

static int hand_over(struct salvage *s, const struct oxl_pack_entry *e, struct oxl_error *err)
{
        bool good = e->kind == OXL_KIND_FILLER;
        int r = good ? 0 : read_payload(s, e, &good, err);
        return r < 0 ? r : s->fn(s->ctx, e, good, oxl_buf_bytes(&s->payload), err);
}

/* Is there a record header at @at, by its own checksum? */
static bool decode_header(const struct salvage *s, uint64_t at, const uint8_t *b, struct oxl_pack_entry *ret)
{
        uint8_t checksum[16];
        *ret = (struct oxl_pack_entry){ .offset = at, .kind = b[8], .codec = b[9], .flags = le_load16(b + 10) };
        ret->stored_len = le_load64(b + 16);
        ret->raw_len = le_load64(b + 24);
        if (ret->kind > OXL_KIND_COMMIT || ret->codec != 0 || ret->flags > OXL_PACK_SECOND_COPY ||
            le_load32(b + 12) != 0 || ret->stored_len != ret->raw_len || ret->raw_len > OXL_PACK_SIZE_MAX)
                return false;
        oxl_pack_checksum(at, b, checksum);
        return memcmp(checksum, b + OXL_PACK_CHECKED_BYTES, sizeof checksum) == 0 &&
               oxl_digest_load(ret->kind == OXL_KIND_BLOB ? s->algo : OXL_ALGO_BLAKE3, b + 32, &ret->id);
}

/* What lies from @end on, behind @records records, is an index and a trailer of the right size. */
static bool ends_well(const struct salvage *s, uint64_t end, uint64_t records)
{
        return s->size >= end + OXL_PACK_TRAILER_BYTES &&
               s->size - end - OXL_PACK_TRAILER_BYTES == records * OXL_PACK_ENTRY_BYTES;
}

static int salvage_records(struct salvage *s, bool *ret_gap, struct oxl_error *err)
{
        uint64_t at = OXL_PACK_HEADER_BYTES, end = at, records = 0;
        bool gap = false;
        for (;;) {
                const uint8_t *bytes;
                struct oxl_pack_entry e;
                int r = view(s, at, OXL_PACK_RECORD_BYTES, &bytes, err);
                if (r < 0)
                        return r;
                if (!bytes)
                        break;
                if (!decode_header(s, at, bytes, &e)) {
                        at += 8;
                        continue;
                }
                gap = gap || at != end;
                r = hand_over(s, &e, err);
                if (r < 0)
                        return r;
                records += e.kind != OXL_KIND_FILLER;
                end = at = e.offset + oxl_pack_record_size(e.stored_len);
        }
        *ret_gap = gap || !ends_well(s, end, records);
        return 0;
}

static int salvage_index(struct salvage *s, struct oxl_pack *pack, struct oxl_error *err)
{
        int r = 0;
        for (uint64_t i = 0; r == 0 && i < oxl_pack_entries(pack); i++) {
                struct oxl_pack_entry e;
                oxl_pack_entry_at(pack, i, &e);
                r = hand_over(s, &e, err);
        }
        return r;
}

/* 1: header, index or trailer are not whole. Whose name the pack should have is of no matter: the seal covers it. */
static int open_index(struct salvage *s, const struct oxl_repo_id *repo, struct oxl_pack **ret, struct oxl_error *err)
{
        struct oxl_digest id;
        char hex[65] = { 0 };
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        const char *base = oxl_path_base(s->name);
        strncat(hex, base, 64);
        if (!oxl_digest_parse(OXL_ALGO_BLAKE3, hex, &id))
                return 1;
        int fd = oxl_sys->dup(s->fd);
        int r = fd < 0 ? OXL_FAIL_OS(&why, FILE_OPEN, s->name)
                       : oxl_pack_open_fd(fd, s->name, &id, repo, s->algo, ret, &why);
        if (r == 0)
                r = oxl_pack_load_index(*ret, &why);
        if (r == 0)
                return 0;
        if (why.code == OXL_E_MALFORMED || why.code == OXL_E_SEAL)
                return 1;
        return oxl_error_copy(err, &why);
}

static void pack_freep(struct oxl_pack **pack)
{
        oxl_pack_free(*pack);
}

static int salvage(int fd, const char *name, const struct oxl_repo_id *repo, enum oxl_algo algo, oxl_salvage_fn *fn,
                   void *ctx, bool count, bool *ret_gap, struct oxl_error *err)
{
        cleanup(salvage_done) struct salvage s = {
                .fd = fd, .name = name, .algo = algo, .fn = fn, .ctx = ctx, .count = count
        };
        cleanup(pack_freep) struct oxl_pack *pack = NULL;
        struct stat st;
        if (oxl_fd_stat(fd, &st) < 0)
                return OXL_FAIL_OS(err, FILE_STAT, name);
        if (!S_ISREG(st.st_mode))
                return OXL_FAIL_WHY(err, UNSUPPORTED, name, "it is not a regular file: move it away");
        s.size = (uint64_t)st.st_size;
        s.window = malloc(WINDOW);
        if (!s.window)
                return OXL_FAIL_PLAIN(err, NOMEM);
        OXL_IGNORE(oxl_sys->fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), "then what the cache holds is hashed");
        *ret_gap = false;
        int r = open_index(&s, repo, &pack, err);
        return r < 0 ? r : r == 0 ? salvage_index(&s, pack, err) : salvage_records(&s, ret_gap, err);
}

int oxl_salvage(int fd, const char *name, const struct oxl_repo_id *repo, enum oxl_algo algo, oxl_salvage_fn *fn,
                void *ctx, bool *ret_gap, struct oxl_error *err)
{
        return salvage(fd, name, repo, algo, fn, ctx, false, ret_gap, err);
}

struct counting {
        struct oxl_salvage_count *count;
        const atomic_bool *cancel;
};

static int count_record(void *ctx, const struct oxl_pack_entry *e, bool good, struct oxl_bytes bytes,
                        struct oxl_error *err)
{
        struct counting *c = ctx;
        (void)bytes;
        if (oxl_cancelled(c->cancel))
                return OXL_FAIL_PLAIN(err, CANCELLED);
        if (e->kind == OXL_KIND_FILLER || e->flags & OXL_PACK_SECOND_COPY)
                return 0; /* an object is counted once */
        c->count->good += good;
        c->count->bad += !good;
        return 0;
}

int oxl_salvage_tally(int fd, const char *name, const struct oxl_repo_id *repo, enum oxl_algo algo,
                      const atomic_bool *cancel, struct oxl_salvage_count *ret, struct oxl_error *err)
{
        struct counting c = { ret, cancel };
        *ret = (struct oxl_salvage_count){ 0 };
        return salvage(fd, name, repo, algo, count_record, &c, true, &ret->gap, err);
}

/* --- one pack --- */

struct record {
        struct oxl_digest id;
        uint8_t kind;
        bool good;
};

struct rescue {
        struct oxl_repair *p;
        const char *path;
        bool unindexed; /* the store cannot read this pack, or only what an old lookup leads to */
        bool gap;
        struct record *records;
        size_t n, cap;
        size_t lost, salvaged, fetched; /* objects: nowhere; good in this pack; from elsewhere */
        size_t unstable;                /* good once, and not when they were copied */
        struct oxl_pack_writer *writer;
        char source[512];
};

struct elsewhere {
        struct rescue *x;
        const struct record *k;
};

static void rescue_done(struct rescue *x)
{
        free(x->records);
        oxl_pack_writer_free(x->writer);
}

static bool is_in_new(const struct rescue *x, enum oxl_kind kind, const struct oxl_digest *id)
{
        uint64_t at, len;
        return x->writer && oxl_pack_writer_find(x->writer, kind, id, &at, &len);
}

static int add_object(struct rescue *x, enum oxl_kind kind, const struct oxl_digest *id, struct oxl_bytes bytes,
                      struct oxl_error *err)
{
        int r = x->writer ? 0 : oxl_pack_writer_new(x->p->durable, &x->p->repo->format.id, &x->writer, err);
        if (r < 0 || is_in_new(x, kind, id))
                return r;
        return oxl_pack_writer_add(x->writer, kind, id, bytes.len ? bytes.data : (const void *)"", bytes.len, err);
}

/* First reading: what is there, and what of it is good. */
static int note_record(void *ctx, const struct oxl_pack_entry *e, bool good, struct oxl_bytes bytes,
                       struct oxl_error *err)
{
        struct rescue *x = ctx;
        if (e->kind == OXL_KIND_FILLER)
                return 0;
        if (x->n == x->cap) {
                size_t cap = 2 * x->cap + 64;
                struct record *records = reallocarray(x->records, cap, sizeof *records);
                if (!records)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                x->records = records;
                x->cap = cap;
        }
        x->records[x->n++] = (struct record){ .id = e->id, .kind = e->kind, .good = good && bytes.len == e->raw_len };
        return 0;
}

static int judge_elsewhere(void *ctx, struct oxl_copy *c, struct oxl_error *err)
{
        struct rescue *x = ((struct elsewhere *)ctx)->x;
        const struct record *k = ((struct elsewhere *)ctx)->k;
        struct oxl_digest got;
        if (c->pack && strcmp(c->name, x->path) == 0)
                return OXL_FAIL_WHY(err, MALFORMED, c->name, "the pack does not speak for itself");
        int r = oxl_copy_scan(x->p->objects, c, (enum oxl_kind)k->kind, NULL, NULL, x->p->options->cancel, &got, err);
        if (r < 0)
                return r;
        return oxl_digest_equal(&got, &k->id) ? 0 : oxl_copy_corrupt(c, &k->id, &got, err);
}

/* Is a verified copy in another file of the store? 0 yes, 1 no. A pack with a damaged index still answers through an
 * intact lookup, until that is written anew. */
static int stored_elsewhere(struct rescue *x, const struct record *k, struct oxl_error *err)
{
        struct elsewhere e = { x, k };
        cleanup_search struct oxl_search s = { .o = x->p->objects,
                                               .kind = (enum oxl_kind)k->kind,
                                               .id = &k->id,
                                               .judge = judge_elsewhere,
                                               .ctx = &e,
                                               .thorough = true };
        return oxl_search_run(&s, err);
}

/* Second reading: the good ones into the new pack. When something is lost the old pack stays in any case: then what
 * other files hold is left out, or each repair would add all of it once more. */
static int write_record(void *ctx, const struct oxl_pack_entry *e, bool good, struct oxl_bytes bytes,
                        struct oxl_error *err)
{
        struct rescue *x = ctx;
        const struct record k = { .id = e->id, .kind = e->kind };
        if (e->kind == OXL_KIND_FILLER || !good || bytes.len != e->raw_len)
                return 0;
        if (x->lost > 0) {
                int r = stored_elsewhere(x, &k, err);
                if (r <= 0)
                        return r;
        }
        return add_object(x, (enum oxl_kind)e->kind, &e->id, bytes, err);
}

/* With nothing lost, every object of the old pack must be in the new one: a record may be read well once and badly
 * the second time. */
static void count_unstable(struct rescue *x)
{
        for (size_t i = 0; i < x->n; i++)
                x->unstable += !is_in_new(x, (enum oxl_kind)x->records[i].kind, &x->records[i].id);
}

static int compare_records(const void *a, const void *b)
{
        const struct record *x = a, *y = b;
        int r = memcmp(x->id.bytes, y->id.bytes, OXL_DIGEST_BYTES);
        if (r == 0)
                r = (int)x->kind - (int)y->kind;
        return r ? r : (int)y->good - (int)x->good; /* the good one first */
}

/* Records that are good nowhere in the pack: good bytes from elsewhere go into the new one. */
static int fetch_bad(struct rescue *x, struct oxl_error *err)
{
        int r = 0;
        if (x->n > 1)
                qsort(x->records, x->n, sizeof *x->records, compare_records);
        for (size_t i = 0; r == 0 && i < x->n; i++) {
                const struct record *k = &x->records[i];
                struct oxl_good_copy c = OXL_GOOD_COPY_INIT;
                cleanup_buf struct oxl_buf bytes = OXL_BUF_INIT;
                bool again = i > 0 && oxl_digest_equal(&k->id, &k[-1].id) && k->kind == k[-1].kind;
                x->salvaged += k->good && !again;
                if (k->good || again)
                        continue;
                r = oxl_good_find(x->p, (enum oxl_kind)k->kind, &k->id, &c, err);
                if (r == 0 && !x->source[0])
                        memcpy(x->source, c.source, sizeof x->source);
                if (r == 0)
                        r = oxl_good_bytes(x->p, &c, (enum oxl_kind)k->kind, &k->id, &bytes, err);
                else if (r == 1)
                        x->lost++;
                if (r == 0)
                        r = add_object(x, (enum oxl_kind)k->kind, &k->id, oxl_buf_bytes(&bytes), err);
                x->fetched += r == 0;
                oxl_good_copy_done(&c);
                r = r == 1 ? 0 : r;
        }
        return r;
}

static int read_old(struct rescue *x, oxl_salvage_fn *fn, struct oxl_error *err)
{
        struct oxl_repo *repo = x->p->repo;
        int fd = oxl_open_beneath(x->p->root_fd, x->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
        bool gap = false;
        if (fd < 0)
                return OXL_FAIL_OS(err, FILE_OPEN, x->path);
        int r = oxl_salvage(fd, x->path, &repo->format.id, repo->format.blob_algo, fn, x, &gap, err);
        x->gap = x->gap || gap; /* of either reading */
        return r;
}

int oxl_repair_publish_pack(struct oxl_repair *p, struct oxl_pack_writer *w, struct oxl_error *err)
{
        char target[OXL_PACK_PATH_BYTES];
        int r = oxl_pack_writer_finish(w, err);
        if (r == 0)
                r = oxl_stage_sync(oxl_pack_writer_stage(w), err);
        if (r == 0) {
                oxl_pack_path(oxl_pack_writer_id(w), target);
                /* CRASH: a whole pack that nothing needs yet, or a temp, for the sweeper */
                r = oxl_stage_publish(oxl_pack_writer_stage(w), target, false, err);
        }
        oxl_pack_writer_free(w);
        if (r == 0)
                r = oxl_durable_barrier(p->durable, err);
        oxl_objects_rescan(p->objects);
        return r;
}

/* Does a finding name an object that is still nowhere? Then bytes that could not be told may be it. */
static int any_missing(struct rescue *x, struct oxl_error *err)
{
        struct oxl_repair *p = x->p;
        for (size_t i = 0; i < p->n_finds; i++) {
                enum oxl_kind kind;
                struct oxl_digest id;
                if (!oxl_repair_object(p, &p->finds[i], &kind, &id) || is_in_new(x, kind, &id))
                        continue;
                int r = oxl_good_stored(p, kind, &id, err);
                if (r != 0)
                        return r;
        }
        return 0;
}

/* Must the old pack stay? 1 yes, 0 no. */
static int must_stay(struct rescue *x, struct oxl_error *err)
{
        if (x->lost || x->unstable)
                return 1;
        return x->gap ? any_missing(x, err) : 0;
}

/* Is something in the new pack that no other file but the old pack has? 1 yes, 0 no. */
static int any_news(struct rescue *x, struct oxl_error *err)
{
        for (size_t i = 0; i < x->n; i++) {
                const struct record *k = &x->records[i];
                int r = is_in_new(x, (enum oxl_kind)k->kind, &k->id) ? stored_elsewhere(x, k, err) : 0;
                if (r != 0)
                        return r;
        }
        return 0;
}

/* Publishes the new pack. 1: the old one has to stay; then a new one without news is dropped, or each repair would add
 * it once more. The old one never leaves its place on the word of other files: then the new one is published in
 * any case. */
static int put_new(struct rescue *x, struct oxl_error *err)
{
        int r = must_stay(x, err);
        bool stays = r == 1;
        if (stays)
                r = any_news(x, err);
        if (r < 0)
                return r;
        if (x->writer && (!stays || r == 1)) {
                r = oxl_repair_publish_pack(x->p, take_ptr(&x->writer), err);
                if (r < 0)
                        return r;
        }
        return stays ? 1 : must_stay(x, err);
}

static int rescue_pack(struct rescue *x, struct oxl_repair_find *f, bool *ret_moved, struct oxl_error *err)
{
        int r = read_old(x, note_record, err);
        if (r == 0)
                r = fetch_bad(x, err);
        if (r == 0 && (x->lost == 0 || x->unindexed))
                r = read_old(x, write_record, err);
        if (r == 0 && x->lost == 0)
                count_unstable(x);
        if (r == 0)
                r = put_new(x, err);
        *ret_moved = r == 0;
        if (r != 0)
                return r < 0 ? r : 0;
        r = oxl_quarantine_keep(x->p, f, x->path, x->source, err);
        /* CRASH: both packs, or only the new one */
        r = r < 0 ? r : oxl_quarantine_drop(x->p, x->path, err);
        oxl_objects_rescan(x->p->objects);
        return r;
}

/* --- all of them --- */

static bool is_pack_find(const struct oxl_repair_find *f)
{
        return f->selected && (f->problem == OXL_P_PACK_DAMAGED || f->problem == OXL_P_RECORD_DAMAGED ||
                               f->problem == OXL_P_METADATA_COPY);
}

/* All findings of one pack share its fate. */
static int tell_all(struct oxl_repair *p, const char *path, enum oxl_repair_verdict verdict, const char *source,
                    const char *detail, struct oxl_error *err)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < p->n_finds; i++)
                if (is_pack_find(&p->finds[i]) && strcmp(p->finds[i].path, path) == 0)
                        r = oxl_repair_tell(p, &p->finds[i], verdict, source, detail, err);
        return r;
}

static int repair_pack(struct oxl_repair *p, struct oxl_repair_find *f, struct oxl_error *err)
{
        cleanup(rescue_done) struct rescue x = { .p = p,
                                                 .path = f->path,
                                                 .unindexed = f->problem == OXL_P_PACK_DAMAGED };
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        char text[240], count[100];
        bool moved = false;
        if (!oxl_repair_fresh(p, f))
                return tell_all(p, f->path, OXL_REPAIR_STALE, "", "it changed since it was checked", err);
        int r = rescue_pack(&x, f, &moved, &why);
        if (r < 0) {
                r = oxl_repair_failed(p, f, &why, err);
                return r < 0 ? r : tell_all(p, f->path, OXL_REPAIR_LEFT, "", "see above", err);
        }
        snprintf(count, sizeof count, "%zu objects salvaged, %zu from other copies, %zu lost", x.salvaged, x.fetched,
                 x.lost);
        if (moved)
                return tell_all(p, f->path, OXL_REPAIR_HEALED, x.source[0] ? x.source : "its own good records", count,
                                err);
        if (x.lost)
                snprintf(text, sizeof text, "%zu of its objects ha%s no good copy; all others are readable: %s", x.lost,
                         x.lost == 1 ? "s" : "ve", count);
        else if (x.unstable)
                snprintf(text, sizeof text,
                         "%zu of its records were good once and not the second time: check the disk, then run again",
                         x.unstable);
        else
                snprintf(text, sizeof text,
                         "a part of it cannot be told, and objects are missing; the others are readable: %s", count);
        return tell_all(p, f->path, OXL_REPAIR_LEFT, "", text, err);
}

int oxl_repair_packs(struct oxl_repair *p, struct oxl_error *err)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < p->n_finds; i++)
                if (is_pack_find(&p->finds[i]) && !p->finds[i].told)
                        r = repair_pack(p, &p->finds[i], err);
        return r;
}

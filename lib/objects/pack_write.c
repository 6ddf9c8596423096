/* SPDX-License-Identifier: MIT */
/*
 * Writing one pack. The header is final from the start (its nonce is random), records are appended through one buffer,
 * and the index, kept in memory, is sorted and written at the end. The second copies of trees and commits are read back
 * from the temp, so that they cost no memory; the temp is still one that nothing refers to.
 *
 * Invariants: nothing is seeked back to and rewritten; `at` = bytes appended, of which `used` are still in `buf`.
 */
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/le.h"
#include "objects/idset.h"
#include "objects/pack_private.h"
#include "objects/pack_write.h"
#include "os/fdio.h"

#define BUFFER_BYTES (512u << 10)

/* A record in memory. Its checksum and place in the file follow from this. */
struct record {
        uint8_t id[OXL_DIGEST_BYTES];
        uint64_t offset, len;
        uint8_t kind;
        bool second;
};

struct oxl_pack_writer {
        struct oxl_stage *stage;
        struct oxl_repo_id repo;
        struct oxl_digest id; /* after finish */
        uint8_t header[OXL_PACK_HEADER_BYTES], magic[OXL_PACK_MAGIC_BYTES];
        uint8_t *buf;
        size_t used;
        uint64_t at;
        struct record *records;
        size_t count, cap;
        struct oxl_idset set; /* over the records, until they are sorted */
        uint64_t metadata;    /* bytes of the first copies of trees and commits, as records */
        uint64_t metadata_count;
        uint64_t copies_from; /* second copies may not begin before this offset */
        bool finished;        /* the records are sorted */
        bool broken;          /* a write failed, so `at` is not to be trusted any more */
};

static const uint8_t *record_id(const void *array, size_t i)
{
        return ((const struct record *)array)[i].id;
}

/* --- appending -------------------------------------------------------------------------------------------------- */

static int write_through(struct oxl_pack_writer *w, const void *bytes, size_t n, struct oxl_error *err)
{
        if (w->broken)
                return OXL_FAIL_PATH(err, PUT_FAILED, oxl_stage_path(w->stage));
        int r = oxl_stage_write(w->stage, bytes, n, err);
        w->broken = r < 0;
        return r;
}

static int flush(struct oxl_pack_writer *w, struct oxl_error *err)
{
        int r = write_through(w, w->buf, w->used, err);
        if (r == 0)
                w->used = 0;
        return r;
}

static int append(struct oxl_pack_writer *w, const void *bytes, size_t n, struct oxl_error *err)
{
        int r = 0;
        if (n > BUFFER_BYTES - w->used)
                r = flush(w, err);
        if (r == 0 && n >= BUFFER_BYTES)
                r = write_through(w, bytes, n, err);
        else if (r == 0 && n > 0) {
                memcpy(w->buf + w->used, bytes, n);
                w->used += n;
        }
        if (r == 0)
                w->at += n;
        return r;
}

static int append_zeros(struct oxl_pack_writer *w, uint64_t n, struct oxl_error *err)
{
        static const uint8_t zeros[4096];
        int r = 0;
        while (r == 0 && n > 0) {
                size_t piece = n < sizeof(zeros) ? (size_t)n : sizeof(zeros);
                r = append(w, zeros, piece, err);
                n -= piece;
        }
        return r;
}

static int append_record_header(struct oxl_pack_writer *w, const struct record *rec, struct oxl_error *err)
{
        uint8_t b[OXL_PACK_RECORD_BYTES] = { 0 };
        memcpy(b, w->magic, OXL_PACK_MAGIC_BYTES);
        b[8] = rec->kind;
        le_store16(b + 10, rec->second ? OXL_PACK_SECOND_COPY : 0);
        le_store64(b + 16, rec->len);
        le_store64(b + 24, rec->len);
        memcpy(b + 32, rec->id, OXL_DIGEST_BYTES);
        oxl_pack_checksum(rec->offset, b, b + OXL_PACK_CHECKED_BYTES);
        return append(w, b, sizeof(b), err);
}

static int append_padding(struct oxl_pack_writer *w, struct oxl_error *err)
{
        return append_zeros(w, (8 - w->at % 8) % 8, err);
}

/* --- life ------------------------------------------------------------------------------------------------------- */

static int write_header(struct oxl_pack_writer *w, struct oxl_error *err)
{
        memcpy(w->header, OXL_PACK_MAGIC, OXL_PACK_MAGIC_BYTES);
        le_store16(w->header + 8, 1);
        le_store16(w->header + 10, OXL_PACK_HEADER_BYTES);
        if (oxl_random_bytes(w->header + OXL_PACK_NONCE_AT, 16) < 0)
                return OXL_FAIL_OS(err, RANDOM, oxl_stage_path(w->stage));
        memcpy(w->header + 32, w->repo.bytes, OXL_REPO_ID_BYTES);
        oxl_pack_magic(w->header, w->magic);
        return append(w, w->header, sizeof(w->header), err);
}

static void writer_freep(struct oxl_pack_writer **w)
{
        oxl_pack_writer_free(*w);
}

int oxl_pack_writer_new(struct oxl_durable *d, const struct oxl_repo_id *repo, struct oxl_pack_writer **ret,
                        struct oxl_error *err)
{
        cleanup(writer_freep) struct oxl_pack_writer *w = calloc(1, sizeof(*w));
        if (!w)
                return OXL_FAIL_PLAIN(err, NOMEM);
        w->repo = *repo;
        w->set.id_of = record_id;
        w->buf = malloc(BUFFER_BYTES);
        if (!w->buf)
                return OXL_FAIL_PLAIN(err, NOMEM);
        int r = oxl_stage_open(d, "versions/tmp", "pack", OXL_STAGE_READ_ONLY, &w->stage, err);
        if (r < 0)
                return r;
        r = write_header(w, err);
        if (r < 0)
                return r;
        *ret = take_ptr(&w);
        return 0;
}

static void free_memory(struct oxl_pack_writer *w)
{
        oxl_idset_done(&w->set);
        free(w->records);
        free(w->buf);
        free(w);
}

void oxl_pack_writer_free(struct oxl_pack_writer *w)
{
        if (!w)
                return;
        oxl_stage_free(w->stage);
        free_memory(w);
}

void oxl_pack_writer_leave(struct oxl_pack_writer *w)
{
        if (!w)
                return;
        oxl_stage_leave(w->stage);
        free_memory(w);
}

const struct oxl_digest *oxl_pack_writer_id(const struct oxl_pack_writer *w)
{
        return &w->id;
}

struct oxl_stage *oxl_pack_writer_stage(const struct oxl_pack_writer *w)
{
        return w->stage;
}

/* --- records ---------------------------------------------------------------------------------------------------- */

bool oxl_pack_writer_fits(const struct oxl_pack_writer *w, enum oxl_kind kind, uint64_t n, uint64_t limit)
{
        uint64_t copies = kind == OXL_KIND_BLOB ? 1 : 2, entries = w->count + w->metadata_count + copies;
        uint64_t filler = 2 * OXL_PACK_RECORD_BYTES + OXL_PACK_COPY_DISTANCE;
        if (entries > OXL_PACK_RECORDS_MAX)
                return false;
        return w->at + w->metadata + copies * oxl_pack_record_size(n) + filler + entries * OXL_PACK_ENTRY_BYTES +
                       OXL_PACK_TRAILER_BYTES <=
               limit;
}

static int reserve_record(struct oxl_pack_writer *w, struct oxl_error *err)
{
        if (w->count < w->cap)
                return 0;
        size_t cap = w->cap ? 2 * w->cap : 64;
        struct record *records = reallocarray(w->records, cap, sizeof(*records));
        if (!records)
                return OXL_FAIL_PLAIN(err, NOMEM);
        w->records = records;
        w->cap = cap;
        return 0;
}

/*
 * The copies of an object must lie far apart, whichever object it is. Second copies come in the order of the first, so
 * the one of this object begins `metadata` bytes behind the first second copy.
 */
static void note_metadata(struct oxl_pack_writer *w, const struct record *rec)
{
        uint64_t from = w->at + OXL_PACK_COPY_DISTANCE - w->metadata;
        if (from > w->copies_from)
                w->copies_from = from;
        w->metadata += oxl_pack_record_size(rec->len);
        w->metadata_count++;
}

int oxl_pack_writer_add(struct oxl_pack_writer *w, enum oxl_kind kind, const struct oxl_digest *id, const void *bytes,
                        size_t n, struct oxl_error *err)
{
        int r = reserve_record(w, err);
        if (r == 0)
                r = oxl_idset_reserve(&w->set, w->records, err);
        if (r < 0)
                return r;
        struct record *rec = &w->records[w->count];
        *rec = (struct record){ .offset = w->at, .len = n, .kind = (uint8_t)kind };
        oxl_digest_store(id, rec->id);
        r = append_record_header(w, rec, err);
        if (r == 0)
                r = append(w, bytes, n, err);
        if (r == 0)
                r = append_padding(w, err);
        if (r < 0)
                return r;
        if (kind != OXL_KIND_BLOB)
                note_metadata(w, rec);
        oxl_idset_add(&w->set, w->records, w->count++);
        return 0;
}

static int compare_id(const void *id, const void *record)
{
        return memcmp(id, ((const struct record *)record)->id, OXL_DIGEST_BYTES);
}

bool oxl_pack_writer_find(const struct oxl_pack_writer *w, enum oxl_kind kind, const struct oxl_digest *id,
                          uint64_t *ret_at, uint64_t *ret_len)
{
        const struct record *rec = NULL;
        size_t i = oxl_idset_find(&w->set, w->records, id->bytes);
        if (w->finished)
                rec = bsearch(id->bytes, w->records, w->count, sizeof(*rec), compare_id);
        else if (i != OXL_IDSET_NONE)
                rec = &w->records[i];
        if (!rec || rec->kind != (uint8_t)kind)
                return false;
        *ret_at = rec->offset + OXL_PACK_RECORD_BYTES;
        *ret_len = rec->len;
        return true;
}

static int read_back(struct oxl_pack_writer *w, uint64_t at, void *buf, size_t n, struct oxl_error *err)
{
        int fd = oxl_stage_fd(w->stage);
        ssize_t got = fd < 0 ? -1 : oxl_fd_pread_full(fd, buf, n, at);
        if (got >= 0 && (size_t)got != n) {
                errno = EIO; /* bytes that we wrote are not there */
                got = -1;
        }
        return got < 0 ? OXL_FAIL_OS(err, FILE_READ, oxl_stage_path(w->stage)) : 0;
}

int oxl_pack_writer_read(struct oxl_pack_writer *w, uint64_t at, void *buf, size_t n, struct oxl_error *err)
{
        int r = w->used ? flush(w, err) : 0;
        return r < 0 ? r : read_back(w, at, buf, n, err);
}

/* --- finishing -------------------------------------------------------------------------------------------------- */

static int write_filler(struct oxl_pack_writer *w, struct oxl_error *err)
{
        if (w->at >= w->copies_from)
                return 0;
        struct record filler = { .offset = w->at, .kind = OXL_KIND_FILLER };
        uint64_t missing = w->copies_from - w->at;
        if (missing > OXL_PACK_RECORD_BYTES)
                filler.len = missing - OXL_PACK_RECORD_BYTES;
        int r = append_record_header(w, &filler, err);
        return r < 0 ? r : append_zeros(w, filler.len, err);
}

/* Appends a copy of the payload at @at, straight through the write buffer. */
static int copy_payload(struct oxl_pack_writer *w, uint64_t at, uint64_t n, struct oxl_error *err)
{
        while (n > 0) {
                int r = w->used == BUFFER_BYTES ? flush(w, err) : 0;
                if (r < 0)
                        return r;
                size_t piece = n < BUFFER_BYTES - w->used ? (size_t)n : BUFFER_BYTES - w->used;
                r = read_back(w, at, w->buf + w->used, piece, err);
                if (r < 0)
                        return r;
                w->used += piece;
                w->at += piece;
                at += piece;
                n -= piece;
        }
        return append_padding(w, err);
}

static int write_second_copies(struct oxl_pack_writer *w, struct oxl_error *err)
{
        if (w->metadata_count == 0)
                return 0;
        int r = write_filler(w, err);
        if (r == 0)
                r = flush(w, err); /* all first copies can be read back from here on */
        size_t firsts = w->count;
        for (size_t i = 0; r == 0 && i < firsts; i++) {
                if (w->records[i].kind == OXL_KIND_BLOB)
                        continue;
                r = reserve_record(w, err);
                if (r < 0)
                        return r;
                struct record *rec = &w->records[w->count];
                *rec = w->records[i];
                rec->offset = w->at;
                rec->second = true;
                r = append_record_header(w, rec, err);
                if (r == 0)
                        r = copy_payload(w, w->records[i].offset + OXL_PACK_RECORD_BYTES, rec->len, err);
                if (r == 0)
                        w->count++;
        }
        return r;
}

static int compare_records(const void *a, const void *b)
{
        const struct record *x = a, *y = b;
        int c = memcmp(x->id, y->id, OXL_DIGEST_BYTES);
        return c ? c : x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void entry_encode(const struct record *rec, uint8_t ret[OXL_PACK_ENTRY_BYTES])
{
        memset(ret, 0, OXL_PACK_ENTRY_BYTES);
        memcpy(ret, rec->id, OXL_DIGEST_BYTES);
        le_store64(ret + 32, rec->offset);
        le_store64(ret + 40, rec->len);
        le_store64(ret + 48, rec->len);
        ret[56] = rec->kind;
        le_store16(ret + 58, rec->second ? OXL_PACK_SECOND_COPY : 0);
}

static void compute_id(struct oxl_pack_writer *w)
{
        struct oxl_hasher h;
        uint8_t entry[OXL_PACK_ENTRY_BYTES];
        oxl_hasher_init_derive(&h, OXL_CONTEXT_PACK_ID);
        oxl_hasher_update(&h, w->header, sizeof(w->header));
        for (size_t i = 0; i < w->count; i++) {
                entry_encode(&w->records[i], entry);
                oxl_hasher_update(&h, entry, sizeof(entry));
        }
        oxl_hasher_final(&h, &w->id);
}

/* Index and trailer. The seal covers the path, hence the id: the entries are encoded twice. */
static int write_index(struct oxl_pack_writer *w, struct oxl_error *err)
{
        struct oxl_hasher h;
        uint8_t entry[OXL_PACK_ENTRY_BYTES], trailer[OXL_PACK_TRAILER_BYTES] = OXL_PACK_END_MAGIC;
        compute_id(w);
        le_store64(trailer + 8, w->at);
        le_store64(trailer + 16, w->count);
        le_store64(trailer + 24, w->at + w->count * OXL_PACK_ENTRY_BYTES + OXL_PACK_TRAILER_BYTES);
        oxl_pack_seal_begin(&h, &w->repo, &w->id, w->header);
        int r = 0;
        for (size_t i = 0; r == 0 && i < w->count; i++) {
                entry_encode(&w->records[i], entry);
                oxl_hasher_update(&h, entry, sizeof(entry));
                r = append(w, entry, sizeof(entry), err);
        }
        if (r < 0)
                return r;
        struct oxl_digest seal;
        oxl_hasher_update(&h, trailer, OXL_PACK_SEALED_TRAILER_BYTES);
        oxl_hasher_final(&h, &seal);
        oxl_digest_store(&seal, trailer + OXL_PACK_SEALED_TRAILER_BYTES);
        r = append(w, trailer, sizeof(trailer), err);
        return r < 0 ? r : flush(w, err);
}

int oxl_pack_writer_finish(struct oxl_pack_writer *w, struct oxl_error *err)
{
        if (w->broken || w->finished)
                return OXL_FAIL_PATH(err, PUT_FAILED, oxl_stage_path(w->stage));
        int r = write_second_copies(w, err);
        if (r == 0) {
                w->finished = true;
                oxl_idset_done(&w->set);
                if (w->count > 1)
                        qsort(w->records, w->count, sizeof(*w->records), compare_records);
                r = write_index(w, err);
        }
        w->broken = r < 0;
        if (r == 0)
                free(take_ptr(&w->buf));
        return r;
}

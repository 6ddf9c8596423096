/* SPDX-License-Identifier: MIT */
/*
 * Reading packs. Everything that comes from the file is hostile until checked: lengths and offsets against the size
 * that fstat gave, before anything is allocated or read by them.
 *
 * States: open (header and trailer make sense) -> index loaded (sealed, id proven, canonical). A record is believed by
 * its own checksum or by the sealed index; a payload only by its digest, which is the caller's part.
 */
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/hex.h"
#include "base/le.h"
#include "objects/pack_private.h"
#include "os/fdio.h"

#define PACK_SUFFIX ".pack"
#define PACK_NAME_BYTES (64 + sizeof(PACK_SUFFIX) - 1)

void oxl_pack_path(const struct oxl_digest *id, char ret[96])
{
        static const char dir[] = "versions/packs/";
        memcpy(ret, dir, sizeof(dir) - 1);
        oxl_hex_encode(id->bytes, OXL_DIGEST_BYTES, ret + sizeof(dir) - 1);
        memcpy(ret + sizeof(dir) - 1 + 64, PACK_SUFFIX, sizeof(PACK_SUFFIX));
}

void oxl_pack_magic(const uint8_t header[OXL_PACK_HEADER_BYTES], uint8_t ret[OXL_PACK_MAGIC_BYTES])
{
        struct oxl_digest d = oxl_digest_derive(OXL_CONTEXT_PACK_MAGIC, header + OXL_PACK_NONCE_AT, 16);
        memcpy(ret, d.bytes, OXL_PACK_MAGIC_BYTES);
}

void oxl_pack_checksum(uint64_t offset, const uint8_t *record, uint8_t ret[16])
{
        struct oxl_hasher h;
        struct oxl_digest d;
        oxl_hasher_init_derive(&h, OXL_CONTEXT_PACK_RECORD);
        oxl_hasher_le64(&h, offset);
        oxl_hasher_update(&h, record, OXL_PACK_CHECKED_BYTES);
        oxl_hasher_final(&h, &d);
        memcpy(ret, d.bytes, 16);
}

void oxl_pack_seal_begin(struct oxl_hasher *h, const struct oxl_repo_id *repo, const struct oxl_digest *id,
                         const uint8_t header[OXL_PACK_HEADER_BYTES])
{
        char path[OXL_PACK_PATH_BYTES];
        oxl_pack_path(id, path);
        oxl_seal_begin(h, "pack", repo, path);
        oxl_hasher_update(h, header, OXL_PACK_HEADER_BYTES);
}

/* --- opening ---------------------------------------------------------------------------------------------------- */

/* Reads exactly @n bytes: FILE_READ, or MALFORMED when the file ends before. */
static int read_at(const struct oxl_pack *p, void *buf, size_t n, uint64_t at, struct oxl_error *err)
{
        ssize_t got = oxl_source_read(p->source, p->fd, buf, n, at);
        if (got < 0)
                return OXL_FAIL_OS(err, FILE_READ, p->name);
        if ((size_t)got != n)
                return OXL_FAIL_WHY(err, MALFORMED, p->name, "it is cut short");
        return 0;
}

static bool all_zero(const uint8_t *p, size_t n)
{
        while (n > 0 && p[n - 1] == 0)
                n--;
        return n == 0;
}

static const char *header_problem(const struct oxl_pack *p)
{
        const uint8_t *h = p->header;
        if (memcmp(h, OXL_PACK_MAGIC, OXL_PACK_MAGIC_BYTES) != 0)
                return "it does not begin like a pack";
        if (le_load16(h + 8) != 1 || le_load16(h + 10) != OXL_PACK_HEADER_BYTES || le_load32(h + 12) != 0)
                return "its version or flags are unknown";
        if (memcmp(h + 32, p->repo.bytes, OXL_REPO_ID_BYTES) != 0)
                return "it belongs to another repository";
        return all_zero(h + 48, 16) ? NULL : "reserved header bytes are not zero";
}

static const char *trailer_problem(struct oxl_pack *p)
{
        const uint8_t *t = p->trailer;
        uint64_t index_bytes, end;
        if (memcmp(t, OXL_PACK_END_MAGIC, OXL_PACK_MAGIC_BYTES) != 0)
                return "it does not end like a pack";
        p->index_at = le_load64(t + 8);
        p->entries = le_load64(t + 16);
        if (le_load64(t + 24) != p->size)
                return "its length is not the recorded one";
        if (p->entries > OXL_PACK_RECORDS_MAX || p->index_at < OXL_PACK_HEADER_BYTES || p->index_at % 8 != 0)
                return "its trailer is out of range";
        index_bytes = p->entries * OXL_PACK_ENTRY_BYTES;
        if (__builtin_add_overflow(p->index_at, index_bytes + OXL_PACK_TRAILER_BYTES, &end) || end != p->size)
                return "its index does not end at the trailer";
        return NULL;
}

static int read_ends(struct oxl_pack *p, struct oxl_error *err)
{
        struct stat st;
        if (oxl_fd_stat(p->fd, &st) < 0)
                return OXL_FAIL_OS(err, FILE_READ, p->name);
        if (!S_ISREG(st.st_mode))
                return OXL_FAIL_WHY(err, MALFORMED, p->name, "it is not a regular file");
        p->size = (uint64_t)st.st_size;
        if (p->size < OXL_PACK_HEADER_BYTES + OXL_PACK_TRAILER_BYTES || p->size > OXL_PACK_SIZE_MAX)
                return OXL_FAIL_WHY(err, MALFORMED, p->name, "its length is that of no pack");
        int r = read_at(p, p->header, OXL_PACK_HEADER_BYTES, 0, err);
        if (r < 0)
                return r;
        r = read_at(p, p->trailer, OXL_PACK_TRAILER_BYTES, p->size - OXL_PACK_TRAILER_BYTES, err);
        if (r < 0)
                return r;
        const char *problem = header_problem(p);
        if (!problem)
                problem = trailer_problem(p);
        if (problem)
                return OXL_FAIL_WHY(err, MALFORMED, p->name, problem);
        oxl_pack_magic(p->header, p->record_magic);
        return 0;
}

static void pack_freep(struct oxl_pack **p)
{
        oxl_pack_free(*p);
}

int oxl_pack_open_fd(int fd, const char *name, const struct oxl_digest *id, const struct oxl_repo_id *repo,
                     enum oxl_algo blob_algo, struct oxl_pack **ret, struct oxl_error *err)
{
        return oxl_pack_open_source(fd, NULL, name, id, repo, blob_algo, ret, err);
}

int oxl_pack_open_source(int fd, const struct oxl_source *source, const char *name, const struct oxl_digest *id,
                         const struct oxl_repo_id *repo, enum oxl_algo blob_algo, struct oxl_pack **ret,
                         struct oxl_error *err)
{
        cleanup_fd int owned = fd;
        cleanup(pack_freep) struct oxl_pack *p = calloc(1, sizeof(*p));
        if (!p)
                return OXL_FAIL_PLAIN(err, NOMEM);
        p->fd = take_fd(&owned);
        p->source = source;
        p->id = *id;
        p->repo = *repo;
        p->blob_algo = blob_algo;
        p->name = strdup(name);
        if (!p->name)
                return OXL_FAIL_PLAIN(err, NOMEM);
        int r = read_ends(p, err);
        if (r < 0)
                return r;
        *ret = take_ptr(&p);
        return 0;
}

int oxl_pack_open(int root_fd, const char *name, const struct oxl_digest *id, const struct oxl_repo_id *repo,
                  enum oxl_algo blob_algo, struct oxl_pack **ret, struct oxl_error *err)
{
        /* O_NONBLOCK: a FIFO in the place of a pack must not hang us. */
        int fd = oxl_open_beneath(root_fd, name, O_RDONLY | O_NONBLOCK, 0);
        if (fd < 0)
                return OXL_FAIL_OS(err, FILE_OPEN, name);
        return oxl_pack_open_fd(fd, name, id, repo, blob_algo, ret, err);
}

struct oxl_pack *oxl_pack_ref(struct oxl_pack *p)
{
        p->refs++;
        return p;
}

void oxl_pack_free(struct oxl_pack *p)
{
        if (!p || p->refs-- > 0)
                return;
        oxl_fd_done(&p->fd);
        free(p->name);
        free(p->index);
        free(p);
}

const struct oxl_digest *oxl_pack_id(const struct oxl_pack *p)
{
        return &p->id;
}

/* --- the index -------------------------------------------------------------------------------------------------- */

static enum oxl_algo algo_of(const struct oxl_pack *p, uint8_t kind)
{
        return kind == OXL_KIND_BLOB ? p->blob_algo : OXL_ALGO_BLAKE3;
}

/* What an index entry and a record header must obey alike. NULL when @e does. */
static const char *entry_problem(const struct oxl_pack *p, const struct oxl_pack_entry *e)
{
        uint64_t end;
        if (e->kind > OXL_KIND_COMMIT || e->codec != 0 || e->stored_len != e->raw_len)
                return "a record has an unknown kind or codec";
        if (e->flags & ~OXL_PACK_SECOND_COPY || (e->flags && e->kind < OXL_KIND_TREE))
                return "a record has unknown flags";
        if (e->offset < OXL_PACK_HEADER_BYTES || e->offset % 8 != 0 || e->stored_len > OXL_PACK_SIZE_MAX)
                return "a record is out of place";
        if (__builtin_add_overflow(e->offset, oxl_pack_record_size(e->stored_len), &end) || end > p->index_at)
                return "a record reaches into the index";
        if (e->kind >= OXL_KIND_TREE && e->raw_len > OXL_METADATA_MAX)
                return "a tree or commit is too large";
        return NULL;
}

static bool entry_decode(const struct oxl_pack *p, const uint8_t *b, struct oxl_pack_entry *ret)
{
        ret->offset = le_load64(b + 32);
        ret->stored_len = le_load64(b + 40);
        ret->raw_len = le_load64(b + 48);
        ret->kind = b[56];
        ret->codec = b[57];
        ret->flags = le_load16(b + 58);
        return oxl_digest_load(algo_of(p, ret->kind), b, &ret->id) && le_load32(b + 60) == 0;
}

static const char *index_problem(const struct oxl_pack *p, const uint8_t *index)
{
        for (uint64_t i = 0; i < p->entries; i++) {
                const uint8_t *b = index + i * OXL_PACK_ENTRY_BYTES;
                struct oxl_pack_entry e;
                if (!entry_decode(p, b, &e) || e.kind == OXL_KIND_FILLER)
                        return "an index entry is not canonical";
                const char *problem = entry_problem(p, &e);
                if (problem)
                        return problem;
                if (i == 0)
                        continue;
                const uint8_t *before = b - OXL_PACK_ENTRY_BYTES;
                int order = memcmp(before, b, OXL_DIGEST_BYTES);
                if (order > 0 || (order == 0 && le_load64(before + 32) >= e.offset))
                        return "its index is not sorted";
        }
        return NULL;
}

static int check_seals(const struct oxl_pack *p, const uint8_t *index, size_t bytes, struct oxl_error *err)
{
        struct oxl_hasher h;
        struct oxl_digest got, want = { .algo = OXL_ALGO_BLAKE3 };
        oxl_hasher_init_derive(&h, OXL_CONTEXT_PACK_ID);
        oxl_hasher_update(&h, p->header, OXL_PACK_HEADER_BYTES);
        oxl_hasher_update(&h, index, bytes);
        oxl_hasher_final(&h, &got);
        if (!oxl_digest_equal(&got, &p->id))
                return OXL_FAIL_OBJECT(err, SEAL, p->name, &p->id, &got);
        oxl_pack_seal_begin(&h, &p->repo, &p->id, p->header);
        oxl_hasher_update(&h, index, bytes);
        oxl_hasher_update(&h, p->trailer, OXL_PACK_SEALED_TRAILER_BYTES);
        oxl_hasher_final(&h, &got);
        memcpy(want.bytes, p->trailer + OXL_PACK_SEALED_TRAILER_BYTES, OXL_DIGEST_BYTES);
        if (!oxl_digest_equal(&got, &want))
                return OXL_FAIL_OBJECT(err, SEAL, p->name, &want, &got);
        return 0;
}

int oxl_pack_load_index(struct oxl_pack *p, struct oxl_error *err)
{
        if (p->index)
                return 0;
        /* At most 2^24 entries, and no more than the file holds: trailer_problem(). */
        size_t bytes = (size_t)p->entries * OXL_PACK_ENTRY_BYTES;
        cleanup_free uint8_t *index = malloc(bytes + 1);
        if (!index)
                return OXL_FAIL_PLAIN(err, NOMEM);
        int r = read_at(p, index, bytes, p->index_at, err);
        if (r < 0)
                return r;
        r = check_seals(p, index, bytes, err);
        if (r < 0)
                return r;
        /* A valid seal proves nothing about who computed it: the entries are checked all the same. */
        const char *problem = index_problem(p, index);
        if (problem)
                return OXL_FAIL_WHY(err, MALFORMED, p->name, problem);
        p->index = take_ptr(&index);
        return 0;
}

uint64_t oxl_pack_entries(const struct oxl_pack *p)
{
        return p->entries;
}

void oxl_pack_entry_at(const struct oxl_pack *p, uint64_t i, struct oxl_pack_entry *ret)
{
        OXL_ASSERT(p->index && i < p->entries);
        OXL_ASSERT(entry_decode(p, p->index + i * OXL_PACK_ENTRY_BYTES, ret)); /* index_problem() has seen it */
}

uint64_t oxl_pack_lower_bound(const struct oxl_pack *p, const uint8_t id[OXL_DIGEST_BYTES])
{
        OXL_ASSERT(p->index);
        uint64_t low = 0, high = p->entries;
        while (low < high) {
                uint64_t middle = low + (high - low) / 2;
                if (memcmp(p->index + middle * OXL_PACK_ENTRY_BYTES, id, OXL_DIGEST_BYTES) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

/* --- records ---------------------------------------------------------------------------------------------------- */

int oxl_pack_record_decode(const struct oxl_pack *p, const uint8_t *bytes, uint64_t offset, struct oxl_pack_entry *ret,
                           struct oxl_error *err)
{
        uint8_t checksum[16];
        if (memcmp(bytes, p->record_magic, OXL_PACK_MAGIC_BYTES) != 0)
                return OXL_FAIL_WHY(err, MALFORMED, p->name, "a record is not where the index says");
        oxl_pack_checksum(offset, bytes, checksum);
        if (memcmp(bytes + OXL_PACK_CHECKED_BYTES, checksum, sizeof(checksum)) != 0)
                return OXL_FAIL_WHY(err, MALFORMED, p->name, "the checksum of a record header is wrong");
        struct oxl_pack_entry e = {
                .offset = offset,
                .stored_len = le_load64(bytes + 16),
                .raw_len = le_load64(bytes + 24),
                .kind = bytes[8],
                .codec = bytes[9],
                .flags = le_load16(bytes + 10),
        };
        const char *problem = entry_problem(p, &e);
        if (!problem && (!oxl_digest_load(algo_of(p, e.kind), bytes + 32, &e.id) || le_load32(bytes + 12) != 0))
                problem = "a record header is not canonical";
        if (!problem && e.kind == OXL_KIND_FILLER && !oxl_digest_is_zero(&e.id))
                problem = "filler has a digest";
        if (problem)
                return OXL_FAIL_WHY(err, MALFORMED, p->name, problem);
        *ret = e;
        return 0;
}

/* May a record with @n bytes behind its header begin at @offset? */
static bool in_place(const struct oxl_pack *p, uint64_t offset, uint64_t n)
{
        uint64_t end;
        return offset >= OXL_PACK_HEADER_BYTES && offset % 8 == 0 &&
               !__builtin_add_overflow(offset, OXL_PACK_RECORD_BYTES + n, &end) && end <= p->index_at;
}

int oxl_pack_record(struct oxl_pack *p, uint64_t offset, struct oxl_pack_entry *ret, struct oxl_error *err)
{
        uint8_t bytes[OXL_PACK_RECORD_BYTES];
        if (!in_place(p, offset, 0))
                return OXL_FAIL_WHY(err, MALFORMED, p->name, "a record is out of place");
        int r = read_at(p, bytes, sizeof(bytes), offset, err);
        if (r < 0)
                return r;
        return oxl_pack_record_decode(p, bytes, offset, ret, err);
}

int oxl_pack_payload(struct oxl_pack *p, const struct oxl_pack_entry *e, uint64_t at, void *buf, size_t n,
                     struct oxl_error *err)
{
        OXL_ASSERT(at <= e->raw_len && n <= e->raw_len - at);
        return n == 0 ? 0 : read_at(p, buf, n, e->offset + OXL_PACK_RECORD_BYTES + at, err);
}

bool oxl_pack_blob(const struct oxl_pack *p, uint64_t offset, const struct oxl_digest *id, uint64_t size, uint8_t *buf)
{
        struct oxl_pack_entry e;
        if (size > OXL_PACK_SIZE_MAX || !in_place(p, offset, size) ||
            read_at(p, buf, OXL_PACK_RECORD_BYTES + (size_t)size, offset, NULL) < 0 ||
            oxl_pack_record_decode(p, buf, offset, &e, NULL) < 0)
                return false;
        if (e.kind != OXL_KIND_BLOB || e.raw_len != size || !oxl_digest_equal(&e.id, id))
                return false;
        struct oxl_digest got = oxl_digest_of(p->blob_algo, buf + OXL_PACK_RECORD_BYTES, (size_t)size);
        return oxl_digest_equal(&got, id);
}

/* --- listing ---------------------------------------------------------------------------------------------------- */

static int compare_ids(const void *a, const void *b)
{
        return oxl_digest_compare(a, b);
}

static bool parse_name(const char *name, struct oxl_digest *ret)
{
        char hex[65];
        if (strlen(name) != PACK_NAME_BYTES || strcmp(name + 64, PACK_SUFFIX) != 0)
                return false;
        memcpy(hex, name, 64);
        hex[64] = 0;
        return oxl_digest_parse(OXL_ALGO_BLAKE3, hex, ret);
}

static int collect_ids(int dirfd, struct oxl_buf *ids, struct oxl_error *err)
{
        cleanup_dir struct oxl_dir dir = OXL_DIR_INIT;
        if (oxl_dir_open(&dir, dirfd) < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, "versions/packs");
        struct oxl_dirent entry;
        struct oxl_digest id;
        int r;
        while ((r = oxl_dir_next(&dir, &entry)) > 0) {
                if (!parse_name(entry.name, &id))
                        continue;
                r = oxl_buf_append(ids, &id, sizeof(id), err);
                if (r < 0)
                        return r;
        }
        return r < 0 ? OXL_FAIL_OS(err, DIR_READ, "versions/packs") : 0;
}

int oxl_pack_list(int root_fd, oxl_pack_list_fn *fn, void *ctx, struct oxl_error *err)
{
        cleanup_fd int dirfd = oxl_open_beneath(root_fd, "versions/packs", O_RDONLY | O_DIRECTORY, 0);
        if (dirfd < 0 && errno == ENOENT)
                return 0;
        if (dirfd < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, "versions/packs");
        cleanup_buf struct oxl_buf ids = OXL_BUF_INIT;
        int r = collect_ids(dirfd, &ids, err);
        if (r < 0)
                return r;
        size_t count = ids.len / sizeof(struct oxl_digest);
        if (count > 1)
                qsort(ids.data, count, sizeof(struct oxl_digest), compare_ids);
        for (size_t i = 0; i < count; i++) {
                struct oxl_digest id;
                memcpy(&id, ids.data + i * sizeof(id), sizeof(id));
                r = fn(ctx, &id, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

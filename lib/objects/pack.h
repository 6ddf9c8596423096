/* SPDX-License-Identifier: MIT */
/*
 * Pack files: docs/FORMAT.md section 4.3. The reader side, shared by the object store, recovery and fsck; the writer is
 * pack_write.[ch]. Threads: one at a time per pack.
 */
#ifndef OXL_OBJECTS_PACK_H
#define OXL_OBJECTS_PACK_H

#include "objects/objects.h"

#define OXL_PACK_HEADER_BYTES 64
#define OXL_PACK_RECORD_BYTES 80
#define OXL_PACK_ENTRY_BYTES 64
#define OXL_PACK_TRAILER_BYTES 64
#define OXL_PACK_RECORDS_MAX (1u << 24)
#define OXL_PACK_SECOND_COPY 1u
#define OXL_PACK_COPY_DISTANCE 16384u
#define OXL_PACK_SOFT_LIMIT (UINT64_C(1) << 30)

struct oxl_source;
struct oxl_pack; /* an open pack: descriptor, header, and (loaded and sealed when needed) its index */

struct oxl_pack_entry {
        struct oxl_digest id; /* algorithm by kind: blob_algo for blobs, BLAKE3 otherwise */
        uint64_t offset, stored_len, raw_len;
        uint8_t kind, codec;
        uint16_t flags;
};

/* Opens and checks length, header and trailer fields; not yet the seal. @name: relative to .oxen-lite, e.g.
 * "versions/packs/<id>.pack", or the path of a temp when @id is given separately. FILE_OPEN, FILE_READ, MALFORMED. */
OXL_MUST_CHECK int oxl_pack_open(int root_fd, const char *name, const struct oxl_digest *id,
                                 const struct oxl_repo_id *repo, enum oxl_algo blob_algo, struct oxl_pack **ret,
                                 struct oxl_error *err);
/* The same over an open descriptor, which is taken (closed on failure too). */
OXL_MUST_CHECK int oxl_pack_open_fd(int fd, const char *name, const struct oxl_digest *id,
                                    const struct oxl_repo_id *repo, enum oxl_algo blob_algo, struct oxl_pack **ret,
                                    struct oxl_error *err);
/* The same, but everything is read through @source, which outlives the pack; @fd only says what the file is. */
OXL_MUST_CHECK int oxl_pack_open_source(int fd, const struct oxl_source *source, const char *name,
                                        const struct oxl_digest *id, const struct oxl_repo_id *repo,
                                        enum oxl_algo blob_algo, struct oxl_pack **ret, struct oxl_error *err);
/* One more owner: the pack lives until each has called free. Owners share one thread. */
struct oxl_pack *oxl_pack_ref(struct oxl_pack *p);
void oxl_pack_free(struct oxl_pack *p);
const struct oxl_digest *oxl_pack_id(const struct oxl_pack *p);

/* Loads the index and checks id, seal and canonical order. Idempotent. MALFORMED, SEAL, FILE_READ, NOMEM. */
OXL_MUST_CHECK int oxl_pack_load_index(struct oxl_pack *p, struct oxl_error *err);
uint64_t oxl_pack_entries(const struct oxl_pack *p);
void oxl_pack_entry_at(const struct oxl_pack *p, uint64_t i, struct oxl_pack_entry *ret);
/* First entry with digest >= @id's bytes. Needs the index. */
uint64_t oxl_pack_lower_bound(const struct oxl_pack *p, const uint8_t id[OXL_DIGEST_BYTES]);

/* Reads and checks the record header at @offset. MALFORMED when it is no record of this pack. */
OXL_MUST_CHECK int oxl_pack_record(struct oxl_pack *p, uint64_t offset, struct oxl_pack_entry *ret,
                                   struct oxl_error *err);
/* Reads @n payload bytes of record @e from @at (below raw_len). FILE_READ, MALFORMED (cut short). */
OXL_MUST_CHECK int oxl_pack_payload(struct oxl_pack *p, const struct oxl_pack_entry *e, uint64_t at, void *buf,
                                    size_t n, struct oxl_error *err);

/* Reads the record at @offset with its payload into @buf (OXL_PACK_RECORD_BYTES + @size bytes). True: it is the blob @id of @size bytes, and
 * the payload, behind the record, hashes to that. False, for whatever reason: ask the store. On any thread while the pack is open. */
bool oxl_pack_blob(const struct oxl_pack *p, uint64_t offset, const struct oxl_digest *id, uint64_t size, uint8_t *buf);

/* Verifies everything: header, seal, id, each record header against the index, each payload against its digest, second
 * copies, filler and padding zero, no gaps. Needs the index, four bytes per record and a few windows: a large pack is read
 * by several threads, unless its source is not `shared`. @seen (may be NULL) hears, on the caller's thread and in the order
 * of the file, of each damaged or unreadable record (kind 0: of a gap), and verification goes on; in the end the first
 * damage is returned, or the first FILE_READ if there was one. Without @seen the first of either ends it.
 * 0 whole; MALFORMED, SEAL, OBJECT_CORRUPT, FILE_READ, CANCELLED. */
typedef void oxl_pack_damage_fn(void *ctx, const struct oxl_pack_entry *e, const struct oxl_error *why);
OXL_MUST_CHECK int oxl_pack_verify(struct oxl_pack *p, oxl_pack_damage_fn *seen, void *ctx, const atomic_bool *cancel,
                                   struct oxl_error *err);

/* As oxl_pack_verify, but only of the @count records that the index lists from position @first on (behind its end it
 * goes on at its begin); gaps, filler and second copies are not looked at. */
OXL_MUST_CHECK int oxl_pack_verify_some(struct oxl_pack *p, uint64_t first, uint64_t count, oxl_pack_damage_fn *seen,
                                        void *ctx, const atomic_bool *cancel, struct oxl_error *err);

/* Calls @fn for each file `<64 hex>.pack` in versions/packs, in ascending order of id. */
typedef int oxl_pack_list_fn(void *ctx, const struct oxl_digest *id, struct oxl_error *err);
OXL_MUST_CHECK int oxl_pack_list(int root_fd, oxl_pack_list_fn *fn, void *ctx, struct oxl_error *err);

/* Path of a pack relative to .oxen-lite. @ret: at least 96 bytes. */
void oxl_pack_path(const struct oxl_digest *id, char ret[96]);

#endif

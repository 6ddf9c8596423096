/* SPDX-License-Identifier: MIT */
/* What pack.c, pack_verify.c and pack_write.c share: the parts of a pack file, docs/FORMAT.md section 4.3. */
#ifndef OXL_OBJECTS_PACK_PRIVATE_H
#define OXL_OBJECTS_PACK_PRIVATE_H

#include "base/fail.h"
#include "objects/pack.h"
#include "os/source.h"

#define OXL_PACK_MAGIC "\x89OXLPCK\n"
#define OXL_PACK_END_MAGIC "\x89OXLPEN\n"
#define OXL_PACK_MAGIC_BYTES 8
#define OXL_PACK_NONCE_AT 16
#define OXL_PACK_CHECKED_BYTES 64 /* of a record header: what its checksum covers */
#define OXL_PACK_SEALED_TRAILER_BYTES 32
#define OXL_PACK_PATH_BYTES 96
#define OXL_PACK_SIZE_MAX (UINT64_C(1) << 40)

struct oxl_pack {
        unsigned refs; /* besides the first owner's */
        int fd;
        const struct oxl_source *source; /* borrowed; NULL: fd */
        char *name;                      /* for messages */
        struct oxl_digest id;
        struct oxl_repo_id repo;
        enum oxl_algo blob_algo;
        uint8_t header[OXL_PACK_HEADER_BYTES], trailer[OXL_PACK_TRAILER_BYTES];
        uint8_t record_magic[OXL_PACK_MAGIC_BYTES];
        uint64_t size, index_at, entries;
        uint8_t *index; /* entries * OXL_PACK_ENTRY_BYTES, NULL until loaded and found whole */
};

/* Returns the error @src to the caller, whose @err may be NULL; @src is empty afterwards. */
static inline int oxl_fail_with(struct oxl_error *err, struct oxl_error *src)
{
        int r = -(int)src->code;
        if (err)
                oxl_error_move(err, src);
        else
                oxl_error_done(src);
        return r;
}

/* Bytes that a record with @payload bytes takes, padding included. @payload is below OXL_PACK_SIZE_MAX. */
static inline uint64_t oxl_pack_record_size(uint64_t payload)
{
        return OXL_PACK_RECORD_BYTES + ((payload + 7) & ~UINT64_C(7));
}

/* The first bytes of each record of the pack with this @header. */
void oxl_pack_magic(const uint8_t header[OXL_PACK_HEADER_BYTES], uint8_t ret[OXL_PACK_MAGIC_BYTES]);
/* The checksum of a record header at @offset. */
void oxl_pack_checksum(uint64_t offset, const uint8_t *record, uint8_t ret[16]);

/* Decodes 80 bytes that were read at @offset. MALFORMED when they are no record of @p. */
OXL_MUST_CHECK int oxl_pack_record_decode(const struct oxl_pack *p, const uint8_t *bytes, uint64_t offset,
                                          struct oxl_pack_entry *ret, struct oxl_error *err);

/* The seal of the pack, over header, index and the first half of the trailer. */
void oxl_pack_seal_begin(struct oxl_hasher *h, const struct oxl_repo_id *repo, const struct oxl_digest *id,
                         const uint8_t header[OXL_PACK_HEADER_BYTES]);

#endif

/* SPDX-License-Identifier: MIT */
/* Seals: what they cover, and the seal line of text files. Pure computation; format: docs/FORMAT.md section 2. */
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "digest/seal.h"

#define SEAL_PREFIX "seal blake3:"
#define SEAL_PREFIX_BYTES (sizeof(SEAL_PREFIX) - 1)
#define SEAL_LINE_BYTES (SEAL_PREFIX_BYTES + 64 + 1)

void oxl_seal_begin(struct oxl_hasher *h, const char *kind, const struct oxl_repo_id *id, const char *path)
{
        size_t kind_len = strlen(kind), path_len = strlen(path);
        OXL_ASSERT(kind_len <= UINT8_MAX && path_len <= UINT16_MAX);
        oxl_hasher_init_derive(h, OXL_CONTEXT_SEAL);
        oxl_hasher_update(h, &(uint8_t){ (uint8_t)kind_len }, 1);
        oxl_hasher_update(h, kind, kind_len);
        oxl_hasher_update(h, id->bytes, OXL_REPO_ID_BYTES);
        oxl_hasher_le16(h, (uint16_t)path_len);
        oxl_hasher_update(h, path, path_len);
}

static struct oxl_digest seal_of(struct oxl_bytes body, const char *kind, const struct oxl_repo_id *id,
                                 const char *path)
{
        struct oxl_hasher h;
        struct oxl_digest seal;
        oxl_seal_begin(&h, kind, id, path);
        oxl_hasher_update(&h, body.data, body.len);
        oxl_hasher_final(&h, &seal);
        return seal;
}

int oxl_seal_text(struct oxl_buf *text, const char *kind, const struct oxl_repo_id *id, const char *path,
                  struct oxl_error *err)
{
        struct oxl_digest seal = seal_of(oxl_buf_bytes(text), kind, id, path);
        char line[SEAL_LINE_BYTES + 1] = SEAL_PREFIX;
        oxl_digest_text(&seal, line + SEAL_PREFIX_BYTES);
        line[SEAL_LINE_BYTES - 1] = '\n';
        return oxl_buf_append(text, line, SEAL_LINE_BYTES, err);
}

/* Length of the body when @text ends in a well-formed seal line, which begins a line; -1 when it does not. */
static ptrdiff_t body_len(struct oxl_bytes text, struct oxl_digest *ret_seal)
{
        if (text.len < SEAL_LINE_BYTES)
                return -1;
        size_t len = text.len - SEAL_LINE_BYTES;
        const uint8_t *line = text.data + len;
        if (len > 0 && line[-1] != '\n')
                return -1;
        if (memcmp(line, SEAL_PREFIX, SEAL_PREFIX_BYTES) != 0 || line[SEAL_LINE_BYTES - 1] != '\n')
                return -1;
        char hex[65];
        memcpy(hex, line + SEAL_PREFIX_BYTES, 64);
        hex[64] = 0;
        return oxl_digest_parse(OXL_ALGO_BLAKE3, hex, ret_seal) ? (ptrdiff_t)len : -1;
}

int oxl_seal_text_check(struct oxl_bytes text, const char *kind, const struct oxl_repo_id *id, const char *path,
                        const char *name, struct oxl_bytes *ret_body, struct oxl_error *err)
{
        struct oxl_digest want;
        ptrdiff_t len = body_len(text, &want);
        if (len < 0)
                return OXL_FAIL_WHY(err, MALFORMED, name, "it does not end in a seal line");
        struct oxl_bytes body = oxl_bytes_of(text.data, (size_t)len);
        struct oxl_digest got = seal_of(body, kind, id, path);
        if (!oxl_digest_equal(&want, &got))
                return OXL_FAIL_OBJECT(err, SEAL, name, &want, &got);
        *ret_body = body;
        return 0;
}

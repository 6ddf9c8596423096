/* SPDX-License-Identifier: MIT */
/* Sealed text: format, HEAD, refs. The input is tried as a whole text and as a body that is given each seal. What is
 * accepted has one form: printing it again gives the same bytes. */
#include "base/hex.h"
#include "fuzz/fuzz.h"
#include "repo/repo.h"

#define REF "refs/heads/main"

enum { SEAL_LINE_BYTES = 77 };

static void require_same(struct oxl_bytes a, const struct oxl_buf *b)
{
        FUZZ_REQUIRE(oxl_bytes_equal(a, oxl_buf_bytes(b)));
}

static void check_format(struct oxl_bytes text)
{
        cleanup_buf struct oxl_buf printed = OXL_BUF_INIT;
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_format f, again;
        if (fuzz_failed(oxl_format_parse(text, &f, &err), &err))
                return;
        fuzz_accepted++;
        FUZZ_REQUIRE(oxl_format_print(&f, &printed, NULL) == 0);
        FUZZ_REQUIRE(oxl_format_parse(oxl_buf_bytes(&printed), &again, NULL) == 0);
        FUZZ_REQUIRE(memcmp(&f.id, &again.id, sizeof f.id) == 0 && f.blob_algo == again.blob_algo && !again.read_only);
        /* names of features are what makes a text longer */
        FUZZ_REQUIRE(text.len >= printed.len && (!f.read_only || text.len > printed.len));
        if (text.len == printed.len)
                require_same(text, &printed);
}

static void check_head(const struct oxl_repo *r, struct oxl_bytes text)
{
        cleanup_buf struct oxl_buf printed = OXL_BUF_INIT;
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        cleanup_free char *ref = NULL;
        struct oxl_digest id = OXL_DIGEST_INIT;
        fuzz_serve("HEAD", text);
        bool failed = fuzz_failed(oxl_head_read(r, &ref, &id, &err), &err);
        fuzz_serve_end();
        if (failed)
                return;
        fuzz_accepted++;
        FUZZ_REQUIRE(!ref == (id.algo == OXL_ALGO_BLAKE3));
        FUZZ_REQUIRE(oxl_head_print(&fuzz_repo, ref, ref ? NULL : &id, &printed, NULL) == 0);
        require_same(text, &printed);
}

static void check_ref(const struct oxl_repo *r, struct oxl_bytes text)
{
        cleanup_buf struct oxl_buf printed = OXL_BUF_INIT;
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_digest id = OXL_DIGEST_INIT;
        fuzz_serve(REF, text);
        int e = oxl_ref_read(r, REF, &id, &err);
        fuzz_serve_end();
        if (fuzz_failed(e, &err))
                return;
        fuzz_accepted++;
        FUZZ_REQUIRE(e == 0);
        FUZZ_REQUIRE(oxl_ref_print(&fuzz_repo, REF, &id, &printed, NULL) == 0);
        require_same(text, &printed);
}

static void check_seal(struct oxl_bytes text)
{
        cleanup_buf struct oxl_buf again = OXL_BUF_INIT;
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_bytes body;
        if (fuzz_failed(oxl_seal_text_check(text, "ref", &fuzz_repo, REF, "ref", &body, &err), &err))
                return;
        FUZZ_REQUIRE(body.data == text.data && body.len + SEAL_LINE_BYTES == text.len);
        FUZZ_REQUIRE(oxl_buf_append(&again, body.data, body.len, NULL) == 0);
        FUZZ_REQUIRE(oxl_seal_text(&again, "ref", &fuzz_repo, REF, NULL) == 0);
        require_same(text, &again);
}

/* The id that a `format` names for itself; else the one of all inputs. */
static struct oxl_repo_id id_of(const uint8_t *data, size_t size)
{
        struct oxl_repo_id id;
        const uint8_t *line = size > 0 ? memchr(data, '\n', size) : NULL;
        size_t left = line ? size - (size_t)(line - data) : 0;
        if (left > 36 && memcmp(line, "\nid ", 4) == 0 &&
            oxl_hex_decode((const char *)line + 4, id.bytes, sizeof id.bytes))
                return id;
        return fuzz_repo;
}

/* The input with the seal of @kind, exactly as long as it is. To be freed. */
static struct oxl_bytes seal_it(const uint8_t *data, size_t size, const char *kind, const struct oxl_repo_id *id,
                                const char *path)
{
        cleanup_buf struct oxl_buf b = OXL_BUF_INIT;
        FUZZ_REQUIRE(oxl_buf_append(&b, data, size, NULL) == 0);
        if (size > 0 && data[size - 1] != '\n')
                FUZZ_REQUIRE(oxl_buf_append_u8(&b, '\n', NULL) == 0);
        FUZZ_REQUIRE(oxl_seal_text(&b, kind, id, path, NULL) == 0);
        return oxl_bytes_of(fuzz_copy(b.data, b.len), b.len);
}

static void release(struct oxl_bytes *b)
{
        void *p;
        memcpy(&p, &b->data, sizeof p);
        free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const struct oxl_repo repo = { .root_fd = -1, .format = { .id = fuzz_repo, .blob_algo = OXL_ALGO_BLAKE3 } };
        struct oxl_repo_id id = id_of(data, size);
        struct oxl_bytes raw = oxl_bytes_of(data, size);
        cleanup(release) struct oxl_bytes format = seal_it(data, size, "format", &id, "format");
        cleanup(release) struct oxl_bytes head = seal_it(data, size, "HEAD", &fuzz_repo, "HEAD");
        cleanup(release) struct oxl_bytes ref = seal_it(data, size, "ref", &fuzz_repo, REF);
        check_format(raw);
        check_format(format);
        check_head(&repo, raw);
        check_head(&repo, head);
        check_ref(&repo, raw);
        check_ref(&repo, ref);
        check_seal(raw);
        check_seal(ref);
        return 0;
}

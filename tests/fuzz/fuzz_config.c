/* SPDX-License-Identifier: MIT */
/* config.json: as it is, and with a right seal. Sound means: printing gives the same bytes. Edited means: sound once it is
 * printed. Damaged means: defaults and a reason. */
#include "fuzz/fuzz.h"
#include "repo/repo.h"

#define SEAL_MEMBER ",\n  \"seal\": \"blake3:"

static bool same_text(const char *a, const char *b)
{
        return !a || !b ? a == b : strcmp(a, b) == 0;
}

static bool same_settings(const struct oxl_settings *a, const struct oxl_settings *b)
{
        return a->pack_threshold == b->pack_threshold && a->reflink == b->reflink &&
               a->has_pack_threshold == b->has_pack_threshold && a->has_reflink == b->has_reflink &&
               same_text(a->user_name, b->user_name) && same_text(a->user_email, b->user_email);
}

static void require_sound_after_printing(const struct oxl_settings *s, struct oxl_bytes text, bool sound)
{
        cleanup_buf struct oxl_buf printed = OXL_BUF_INIT;
        cleanup(oxl_settings_done) struct oxl_settings again = { 0 };
        enum oxl_config_state state;
        FUZZ_REQUIRE(oxl_config_print(s, &fuzz_repo, &printed, NULL) == 0);
        FUZZ_REQUIRE(oxl_bytes_equal(text, oxl_buf_bytes(&printed)) == sound);
        FUZZ_REQUIRE(oxl_config_parse(oxl_buf_bytes(&printed), &fuzz_repo, &again, &state, NULL, NULL) == 0);
        FUZZ_REQUIRE(state == OXL_CONFIG_SOUND && same_settings(s, &again));
}

static void check(struct oxl_bytes text)
{
        cleanup_error struct oxl_error why = OXL_ERROR_INIT, err = OXL_ERROR_INIT;
        cleanup(oxl_settings_done) struct oxl_settings s = { 0 };
        struct oxl_settings unset;
        enum oxl_config_state state;
        FUZZ_REQUIRE(oxl_config_parse(text, &fuzz_repo, &s, &state, &why, &err) == 0);
        if (state != OXL_CONFIG_DAMAGED) {
                fuzz_accepted++;
                FUZZ_REQUIRE(s.pack_threshold <= OXL_PACK_THRESHOLD_MAX);
                require_sound_after_printing(&s, text, state == OXL_CONFIG_SOUND);
                return;
        }
        oxl_settings_default(&unset);
        FUZZ_REQUIRE(same_settings(&s, &unset));
        FUZZ_REQUIRE(why.code != 0 && fuzz_failed(-(int)why.code, &why));
}

/* Where the last seal begins, or the end. */
static size_t body_len(const uint8_t *data, size_t size)
{
        size_t n = strlen(SEAL_MEMBER);
        for (size_t at = size; at >= n; at--)
                if (memcmp(data + at - n, SEAL_MEMBER, n) == 0)
                        return at - n;
        return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        cleanup_buf struct oxl_buf sealed = OXL_BUF_INIT;
        char hex[OXL_DIGEST_TEXT_MAX];
        struct oxl_bytes body = oxl_bytes_of(data, body_len(data, size));
        struct oxl_digest seal = fuzz_seal("config", "config.json", &body, 1);
        oxl_digest_text(&seal, hex);
        FUZZ_REQUIRE(oxl_buf_append(&sealed, body.data, body.len, NULL) == 0);
        FUZZ_REQUIRE(oxl_buf_append_fmt(&sealed, NULL, SEAL_MEMBER "%s\"\n}\n", hex) == 0);
        cleanup_free uint8_t *exact = fuzz_copy(sealed.data, sealed.len);
        check(oxl_bytes_of(data, size));
        check(oxl_bytes_of(exact, sealed.len));
        return 0;
}

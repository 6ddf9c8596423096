/* SPDX-License-Identifier: MIT */
/*
 * `format`: version, features, hash and id of a repository; docs/FORMAT.md section 3.1. Pure parsing and printing.
 *
 * The seal is checked before any line is believed, so a damaged file is called damaged and never "too new".
 */
#include <string.h>

#include "base/fail.h"
#include "base/hex.h"
#include "repo/repo.h"

#define NAME OXL_REPO_DIR "/format"
#define TITLE "oxen-lite repository "

enum { FEATURE_BYTES_MAX = 64 };

static int malformed(struct oxl_error *err, const char *why)
{
        return OXL_FAIL_WHY(err, MALFORMED, NAME, why);
}

/* Takes the next line (without LF) off @rest; false when there is none. */
static bool next_line(struct oxl_bytes *rest, struct oxl_bytes *ret)
{
        const uint8_t *end = rest->len > 0 ? memchr(rest->data, '\n', rest->len) : NULL;
        if (!end)
                return false;
        *ret = oxl_bytes_of(rest->data, (size_t)(end - rest->data));
        rest->data += ret->len + 1;
        rest->len -= ret->len + 1;
        return true;
}

static bool take_prefix(struct oxl_bytes *line, const char *prefix)
{
        size_t n = strlen(prefix);
        if (line->len < n || memcmp(line->data, prefix, n) != 0)
                return false;
        line->data += n;
        line->len -= n;
        return true;
}

static bool feature_char(uint8_t c)
{
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

/* Compares two names by bytes. */
static int name_compare(struct oxl_bytes a, struct oxl_bytes b)
{
        size_t n = a.len < b.len ? a.len : b.len;
        int order = n > 0 ? memcmp(a.data, b.data, n) : 0;
        return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* Takes one " name" off @line. */
static bool take_feature(struct oxl_bytes *line, struct oxl_bytes *ret)
{
        if (!take_prefix(line, " "))
                return false;
        size_t n = 0;
        while (n < line->len && feature_char(line->data[n]))
                n++;
        if (n == 0 || n > FEATURE_BYTES_MAX)
                return false;
        *ret = oxl_bytes_of(line->data, n);
        line->data += n;
        line->len -= n;
        return true;
}

/* Checks the line "<word> name name": names well-formed and strictly ascending. *ret_first is empty when there are
 * none. */
static int parse_features(struct oxl_bytes *rest, const char *word, struct oxl_bytes *ret_first, struct oxl_error *err)
{
        struct oxl_bytes line, name, last = OXL_BYTES_INIT;
        *ret_first = (struct oxl_bytes)OXL_BYTES_INIT;
        if (!next_line(rest, &line) || !take_prefix(&line, word))
                return malformed(err, "a line of feature names is missing");
        while (line.len > 0) {
                if (!take_feature(&line, &name))
                        return malformed(err, "a feature name is not valid");
                if (last.len > 0 && name_compare(last, name) >= 0)
                        return malformed(err, "feature names are not sorted");
                if (ret_first->len == 0)
                        *ret_first = name;
                last = name;
        }
        return 0;
}

static int parse_hash(struct oxl_bytes *rest, enum oxl_algo *ret, struct oxl_error *err)
{
        struct oxl_bytes line;
        if (!next_line(rest, &line) || !take_prefix(&line, "hash "))
                return malformed(err, "there is no hash line");
        if (oxl_bytes_equal(line, oxl_bytes_text("blake3")))
                *ret = OXL_ALGO_BLAKE3;
        else if (oxl_bytes_equal(line, oxl_bytes_text("xxh3-128")))
                *ret = OXL_ALGO_XXH3_128;
        else
                return malformed(err, "the hash is unknown");
        return 0;
}

/* All that follows the id line. */
static int parse_rest(struct oxl_bytes rest, struct oxl_format *f, struct oxl_error *err)
{
        int r = parse_hash(&rest, &f->blob_algo, err);
        if (r < 0)
                return r;
        struct oxl_bytes incompat, ro_compat, compat;
        r = parse_features(&rest, "incompat", &incompat, err);
        if (r == 0)
                r = parse_features(&rest, "ro_compat", &ro_compat, err);
        if (r == 0)
                r = parse_features(&rest, "compat", &compat, err);
        if (r < 0)
                return r;
        if (rest.len > 0)
                return malformed(err, "there are lines too many");
        if (incompat.len > 0) {
                char why[FEATURE_BYTES_MAX + 1];
                memcpy(why, incompat.data, incompat.len);
                why[incompat.len] = 0;
                return OXL_FAIL_WHY(err, FEATURE, NAME, why);
        }
        f->read_only = ro_compat.len > 0;
        return 0;
}

/* The id, needed before the seal can be checked: the second line, whatever the version. */
static bool find_id(struct oxl_bytes text, struct oxl_bytes *ret_title, struct oxl_repo_id *ret)
{
        struct oxl_bytes line;
        if (!next_line(&text, ret_title) || !take_prefix(ret_title, TITLE))
                return false;
        if (!next_line(&text, &line) || !take_prefix(&line, "id ") || line.len != 2 * OXL_REPO_ID_BYTES)
                return false;
        return oxl_hex_decode((const char *)line.data, ret->bytes, OXL_REPO_ID_BYTES);
}

int oxl_format_parse(struct oxl_bytes text, struct oxl_format *ret, struct oxl_error *err)
{
        struct oxl_format f = { 0 };
        struct oxl_bytes title, body, line;
        if (text.len > OXL_SEALED_TEXT_MAX)
                return malformed(err, "it is larger than 1 MiB");
        if (!find_id(text, &title, &f.id))
                return malformed(err, "it does not begin as a repository's format file does");
        int r = oxl_seal_text_check(text, "format", &f.id, "format", NAME, &body, err);
        if (r < 0)
                return r;
        if (!oxl_bytes_equal(title, oxl_bytes_text("1")))
                return OXL_FAIL_WHY(err, FEATURE, NAME, "another version of the repository format");
        bool title_line = next_line(&body, &line);
        if (!title_line || !next_line(&body, &line))
                return malformed(err, "it ends early"); /* the title or id line was the seal line */
        r = parse_rest(body, &f, err);
        if (r < 0)
                return r;
        *ret = f;
        return 0;
}

int oxl_format_print(const struct oxl_format *f, struct oxl_buf *ret, struct oxl_error *err)
{
        char id[2 * OXL_REPO_ID_BYTES + 1];
        oxl_hex_encode(f->id.bytes, OXL_REPO_ID_BYTES, id);
        const char *hash = f->blob_algo == OXL_ALGO_XXH3_128 ? "xxh3-128" : "blake3";
        oxl_buf_clear(ret);
        int r = oxl_buf_append_fmt(ret, err, TITLE "1\nid %s\nhash %s\nincompat\nro_compat\ncompat\n", id, hash);
        return r < 0 ? r : oxl_seal_text(ret, "format", &f->id, "format", err);
}

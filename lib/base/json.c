/* SPDX-License-Identifier: MIT */
/*
 * JSON over cJSON, made strict.
 *
 * cJSON alone accepts control characters between and inside tokens, numbers such as 01, "\u0000" (which cuts the
 * string), bytes that are not UTF-8, and text after the document. So a scanner of our own reads the whole text first: the
 * grammar of RFC 8259, UTF-8, depth. Only what passes reaches cJSON, whose recursion is thereby bounded; a refusal by
 * cJSON then means that memory ran out.
 *
 * struct oxl_json is never defined: it is a cJSON node under another name. A node whose building failed carries FAILED in
 * its type, a bit that cJSON ignores.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include <oxenlite/json.h>

#include "base/buf.h"
#include "base/fail.h"
#include "base/hex.h"
#include "base/utf8.h"

enum {
        DEPTH_MAX = 64,
        NUMBER_MAX = 63, /* cJSON's own buffer: a longer number would be cut silently */
        FAILED = 1 << 20,
};

static cJSON *node_of(struct oxl_json *j)
{
        return (cJSON *)j;
}

static const cJSON *const_node_of(const struct oxl_json *j)
{
        return (const cJSON *)j;
}

static struct oxl_json *json_of(cJSON *node)
{
        return (struct oxl_json *)node;
}

static const struct oxl_json *const_json_of(const cJSON *node)
{
        return (const struct oxl_json *)node;
}

/* --- names that may be any bytes -------------------------------------------------------------------------------- */

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static char *base64_encode(const uint8_t *p, size_t n)
{
        if (n > SIZE_MAX / 2)
                return NULL;
        char *text = malloc((n + 2) / 3 * 4 + 1);
        if (!text)
                return NULL;
        char *out = text;
        for (size_t i = 0; i < n; i += 3) {
                size_t left = n - i;
                uint32_t v = (uint32_t)p[i] << 16;
                v |= left > 1 ? (uint32_t)p[i + 1] << 8 : 0;
                v |= left > 2 ? (uint32_t)p[i + 2] : 0;
                *out++ = base64_digits[v >> 18 & 63];
                *out++ = base64_digits[v >> 12 & 63];
                *out++ = left > 1 ? base64_digits[v >> 6 & 63] : '=';
                *out++ = left > 2 ? base64_digits[v & 63] : '=';
        }
        *out = 0;
        return text;
}

/* Up to four digits as 24 bits, '=' as zero; false when one is neither a digit nor padding in its place. */
static bool base64_quad(const char *text, bool last, uint32_t *ret_bits, unsigned *ret_padding)
{
        uint32_t v = 0;
        unsigned padding = 0;
        for (unsigned i = 0; i < 4; i++) {
                const char *digit = text[i] ? strchr(base64_digits, text[i]) : NULL;
                if (text[i] == '=' && last && i >= 2)
                        padding++;
                else if (!digit || padding > 0)
                        return false;
                v = v << 6 | (digit ? (uint32_t)(digit - base64_digits) : 0);
        }
        /* one text per value: what the padding cuts off must be zero */
        if ((v & ((1u << 8 * padding) - 1)) != 0)
                return false;
        *ret_bits = v;
        *ret_padding = padding;
        return true;
}

/* False: not base64, or no memory. */
static bool base64_decode(const char *text, char **ret, size_t *ret_n)
{
        size_t len = strlen(text), n = 0;
        if (len % 4 != 0)
                return false;
        cleanup_free char *bytes = malloc(len / 4 * 3 + 1);
        if (!bytes)
                return false;
        for (size_t i = 0; i < len; i += 4) {
                uint32_t v;
                unsigned padding;
                if (!base64_quad(text + i, i + 4 == len, &v, &padding))
                        return false;
                for (unsigned k = 0; k < 3 - padding; k++)
                        bytes[n++] = (char)(uint8_t)(v >> (16 - 8 * k));
        }
        bytes[n] = 0;
        *ret_n = n;
        *ret = take_ptr(&bytes);
        return true;
}

static bool is_text(const char *bytes, size_t n)
{
        return oxl_utf8_valid(bytes, n) && (n == 0 || !memchr(bytes, 0, n));
}

/* Length of the character at @p, 0 when there is none. */
static size_t character_len(const char *p, size_t n)
{
        for (size_t len = 1; len <= 4 && len <= n; len++)
                if (*p != 0 && oxl_utf8_valid(p, len))
                        return len;
        return 0;
}

/* The bytes as text: each byte that belongs to no character becomes U+FFFD. NULL: no memory. */
static char *lossy_text(const char *bytes, size_t n)
{
        if (n > SIZE_MAX / 4)
                return NULL;
        char *text = malloc(n * 3 + 1);
        if (!text)
                return NULL;
        size_t len = 0;
        for (size_t i = 0; i < n;) {
                size_t step = character_len(bytes + i, n - i);
                const char *from = step > 0 ? bytes + i : "\xef\xbf\xbd";
                size_t width = step > 0 ? step : 3;
                memcpy(text + len, from, width);
                len += width;
                i += step > 0 ? step : 1;
        }
        text[len] = 0;
        return text;
}

static cJSON *text_node(const char *bytes, size_t n)
{
        cleanup_free char *text = lossy_text(bytes, n);
        return text ? cJSON_CreateString(text) : NULL;
}

static cJSON *base64_node(const char *bytes, size_t n)
{
        cleanup_free char *text = base64_encode((const uint8_t *)bytes, n);
        return text ? cJSON_CreateString(text) : NULL;
}

/* --- building --------------------------------------------------------------------------------------------------- */

struct oxl_json *oxl_json_object(void)
{
        return json_of(cJSON_CreateObject());
}

struct oxl_json *oxl_json_array(void)
{
        return json_of(cJSON_CreateArray());
}

struct oxl_json *oxl_json_string(const char *text)
{
        return json_of(text ? text_node(text, strlen(text)) : cJSON_CreateNull());
}

struct oxl_json *oxl_json_name(const char *bytes, size_t n)
{
        if (is_text(bytes, n))
                return json_of(text_node(bytes, n));
        struct oxl_json *j = oxl_json_object();
        oxl_json_set(j, "bytes", json_of(base64_node(bytes, n)));
        return j;
}

void oxl_json_free(struct oxl_json *j)
{
        int saved = errno;
        cJSON_Delete(node_of(j));
        errno = saved;
}

/* Takes @value. A NULL @object is one whose own allocation failed: whoever it is given to will learn of it. */
void oxl_json_set(struct oxl_json *object, const char *key, struct oxl_json *value)
{
        cJSON *o = node_of(object), *v = node_of(value);
        if (!o || !cJSON_IsObject(o)) {
                OXL_ASSERT(!o);
                cJSON_Delete(v);
                return;
        }
        cJSON_DeleteItemFromObjectCaseSensitive(o, key);
        if (v && cJSON_AddItemToObject(o, key, v))
                return;
        cJSON_Delete(v);
        o->type |= FAILED;
}

void oxl_json_append(struct oxl_json *array, struct oxl_json *value)
{
        cJSON *a = node_of(array), *v = node_of(value);
        if (!a || !cJSON_IsArray(a)) {
                OXL_ASSERT(!a);
                cJSON_Delete(v);
                return;
        }
        if (v && cJSON_AddItemToArray(a, v))
                return;
        cJSON_Delete(v);
        a->type |= FAILED;
}

void oxl_json_set_string(struct oxl_json *object, const char *key, const char *text)
{
        oxl_json_set(object, key, oxl_json_string(text));
}

void oxl_json_set_u64(struct oxl_json *object, const char *key, uint64_t value)
{
        char text[24];
        snprintf(text, sizeof text, "%llu", (unsigned long long)value);
        oxl_json_set_string(object, key, text);
}

void oxl_json_set_i64(struct oxl_json *object, const char *key, int64_t value)
{
        char text[24];
        snprintf(text, sizeof text, "%lld", (long long)value);
        oxl_json_set_string(object, key, text);
}

void oxl_json_set_int(struct oxl_json *object, const char *key, int value)
{
        oxl_json_set(object, key, json_of(cJSON_CreateNumber(value)));
}

void oxl_json_set_bool(struct oxl_json *object, const char *key, bool value)
{
        oxl_json_set(object, key, json_of(cJSON_CreateBool(value)));
}

/* The form of oxl_digest_text(), which lives two layers above. */
void oxl_json_set_digest(struct oxl_json *object, const char *key, const struct oxl_digest *d)
{
        char text[OXL_DIGEST_TEXT_MAX];
        if (d->algo == OXL_ALGO_NONE) {
                oxl_json_set_string(object, key, NULL);
                return;
        }
        if (d->algo == OXL_ALGO_BLAKE3)
                oxl_hex_encode(d->bytes, OXL_DIGEST_BYTES, text);
        else
                oxl_hex_encode_number(d->bytes, 16, text);
        oxl_json_set_string(object, key, text);
}

static char *bytes_key(const char *key)
{
        size_t len = strlen(key);
        char *name = malloc(len + sizeof "_bytes");
        if (!name)
                return NULL;
        memcpy(name, key, len);
        memcpy(name + len, "_bytes", sizeof "_bytes");
        return name;
}

void oxl_json_set_name(struct oxl_json *object, const char *key, const char *bytes, size_t n)
{
        if (!object)
                return;
        cleanup_free char *second = bytes_key(key);
        if (!second) {
                node_of(object)->type |= FAILED;
                return;
        }
        oxl_json_set(object, key, json_of(text_node(bytes, n)));
        if (is_text(bytes, n))
                cJSON_DeleteItemFromObjectCaseSensitive(node_of(object), second);
        else
                oxl_json_set(object, second, json_of(base64_node(bytes, n)));
}

/* Our trees are as deep as the code that builds them, or have passed the scanner. */
static bool any_failed(const cJSON *node)
{
        if (node->type & FAILED)
                return true;
        for (const cJSON *child = node->child; child; child = child->next)
                if (any_failed(child))
                        return true;
        return false;
}

int oxl_json_print(const struct oxl_json *j, char **ret, struct oxl_error *err)
{
        char *text = j && !any_failed(const_node_of(j)) ? cJSON_PrintUnformatted(const_node_of(j)) : NULL;
        if (!text)
                return OXL_FAIL_PLAIN(err, NOMEM);
        *ret = text;
        return 0;
}

/* --- scanning --------------------------------------------------------------------------------------------------- */

/* Each step moves @at behind what it read, or sets @why, leaves @at where it was wrong, and returns false. */
struct scanner {
        const char *at, *end;
        const char *why;
};

static bool refuse(struct scanner *s, const char *why)
{
        s->why = s->at < s->end ? why : "it ends too early";
        return false;
}

static char peek(const struct scanner *s)
{
        return s->at < s->end ? *s->at : 0; /* the text has no NUL: that was checked */
}

static void skip_space(struct scanner *s)
{
        while (peek(s) == ' ' || peek(s) == '\t' || peek(s) == '\n' || peek(s) == '\r')
                s->at++;
}

static bool scan_word(struct scanner *s, const char *word, const char *why)
{
        size_t n = strlen(word);
        if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0)
                return refuse(s, why);
        s->at += n;
        return true;
}

static size_t scan_digits(struct scanner *s)
{
        const char *start = s->at;
        while (peek(s) >= '0' && peek(s) <= '9')
                s->at++;
        return (size_t)(s->at - start);
}

static bool scan_number(struct scanner *s)
{
        const char *start = s->at;
        if (peek(s) == '-')
                s->at++;
        bool zero = peek(s) == '0';
        size_t digits = scan_digits(s);
        if (digits == 0)
                return refuse(s, s->at == start ? "a value is missing" : "it has a number that is not JSON");
        if (zero && digits > 1) {
                s->at = start;
                return refuse(s, "it has a number that begins with 0");
        }
        if (peek(s) == '.') {
                s->at++;
                if (scan_digits(s) == 0)
                        return refuse(s, "it has a number that is not JSON");
        }
        if (peek(s) == 'e' || peek(s) == 'E') {
                s->at++;
                if (peek(s) == '+' || peek(s) == '-')
                        s->at++;
                if (scan_digits(s) == 0)
                        return refuse(s, "it has a number that is not JSON");
        }
        if (s->at - start <= NUMBER_MAX)
                return true;
        s->at = start;
        return refuse(s, "it has a number that is too long");
}

/* Four hexadecimal digits, of either case. -1: not there. */
static int scan_unit(struct scanner *s)
{
        int v = 0;
        for (int i = 0; i < 4; i++, s->at++) {
                char c = peek(s);
                int digit = oxl_hex_digit(c >= 'A' && c <= 'F' ? (char)(c - 'A' + 'a') : c);
                if (digit < 0)
                        return -1;
                v = v << 4 | digit;
        }
        return v;
}

/* Behind the backslash and 'u'. */
static bool scan_escaped_character(struct scanner *s)
{
        int v = scan_unit(s);
        if (v <= 0 || (v >= 0xdc00 && v <= 0xdfff))
                return refuse(s, "it has an escape that is no character");
        if (v < 0xd800 || v > 0xdbff)
                return true;
        if (!scan_word(s, "\\u", "it has half a surrogate pair"))
                return false;
        int low = scan_unit(s);
        return (low >= 0xdc00 && low <= 0xdfff) || refuse(s, "it has half a surrogate pair");
}

static bool scan_string(struct scanner *s)
{
        if (peek(s) != '"')
                return refuse(s, "a key in double quotes is missing");
        for (s->at++; peek(s) != '"';) {
                unsigned char c = (unsigned char)peek(s);
                if (c < 0x20)
                        return refuse(s, "it has a string that does not end, or a control character in one");
                s->at++;
                if (c != '\\')
                        continue;
                char escape = peek(s);
                if (escape == 0 || !strchr("\"\\/bfnrtu", escape))
                        return refuse(s, "it has an unknown escape");
                s->at++;
                if (escape == 'u' && !scan_escaped_character(s))
                        return false;
        }
        s->at++;
        return true;
}

static bool scan_scalar(struct scanner *s)
{
        switch (peek(s)) {
        case '"': return scan_string(s);
        case 't': return scan_word(s, "true", "a value is missing");
        case 'f': return scan_word(s, "false", "a value is missing");
        case 'n': return scan_word(s, "null", "a value is missing");
        default: return scan_number(s);
        }
}

static bool scan_key(struct scanner *s)
{
        skip_space(s);
        if (!scan_string(s))
                return false;
        skip_space(s);
        return scan_word(s, ":", "a colon is missing");
}

/* Opens the container at @s->at. *ret_open: it has members, the first of which (behind its key) is next. */
static bool scan_open(struct scanner *s, char *ret_closer, bool *ret_open)
{
        char closer = *s->at++ == '{' ? '}' : ']';
        skip_space(s);
        *ret_closer = closer;
        *ret_open = peek(s) != closer;
        if (!*ret_open) {
                s->at++;
                return true;
        }
        return closer != '}' || scan_key(s);
}

/* Without recursion: @closers are the containers around the value. */
static bool scan_document(struct scanner *s)
{
        char closers[DEPTH_MAX];
        size_t depth = 0;
        for (;;) {
                skip_space(s);
                if (peek(s) == '{' || peek(s) == '[') {
                        bool open;
                        if (depth == DEPTH_MAX)
                                return refuse(s, "it is nested too deeply");
                        if (!scan_open(s, &closers[depth], &open))
                                return false;
                        if (open) {
                                depth++;
                                continue;
                        }
                } else if (!scan_scalar(s)) {
                        return false;
                }
                skip_space(s);
                while (depth > 0 && peek(s) == closers[depth - 1]) {
                        depth--;
                        s->at++;
                        skip_space(s);
                }
                if (depth == 0)
                        return s->at == s->end || refuse(s, "something follows the document");
                if (!scan_word(s, ",",
                               closers[depth - 1] == '}' ? "a comma or the end of the object is missing"
                                                         : "a comma or the end of the list is missing"))
                        return false;
                if (closers[depth - 1] == '}' && !scan_key(s))
                        return false;
        }
}

/* --- parsing ---------------------------------------------------------------------------------------------------- */

static int compare_keys(const void *a, const void *b)
{
        const char *const *x = a, *const *y = b;
        return strcmp(*x, *y);
}

static int check_keys(const cJSON *object, const char *name, struct oxl_error *err)
{
        size_t n = 0;
        for (const cJSON *c = object->child; c; c = c->next)
                n++;
        if (n < 2)
                return 0;
        cleanup_free const char **keys = calloc(n, sizeof *keys);
        if (!keys)
                return OXL_FAIL_PLAIN(err, NOMEM);
        size_t i = 0;
        for (const cJSON *c = object->child; c; c = c->next)
                keys[i++] = c->string;
        qsort(keys, n, sizeof *keys, compare_keys);
        for (i = 1; i < n; i++)
                if (strcmp(keys[i - 1], keys[i]) == 0)
                        return OXL_FAIL_WHY(err, MALFORMED, name, "it has the same key twice");
        return 0;
}

/* What the scanner cannot see. Recursion is bounded by DEPTH_MAX. */
static int check_tree(const cJSON *node, const char *name, struct oxl_error *err)
{
        if (cJSON_IsNumber(node) && !isfinite(node->valuedouble))
                return OXL_FAIL_WHY(err, MALFORMED, name, "it has a number that is too large");
        int r = cJSON_IsObject(node) ? check_keys(node, name, err) : 0;
        for (const cJSON *c = node->child; c && r == 0; c = c->next)
                r = check_tree(c, name, err);
        return r;
}

static void delete_node(cJSON **node)
{
        cJSON_Delete(*node);
}

static const char *first_no_text(const char *text, size_t n)
{
        size_t i = 0;
        for (size_t step; i < n && (step = character_len(text + i, n - i)) > 0; i += step)
                ;
        return text + i;
}

static bool is_blank(const char *text, const char *end)
{
        struct scanner s = { text, end, NULL };
        skip_space(&s);
        return s.at == end;
}

/* Columns count characters, so that they are an editor's. Nothing before @at is not UTF-8. */
static int refuse_at(const char *text, const char *at, const char *why, const char *name, struct oxl_error *err)
{
        unsigned long line = 1, column = 1;
        char where[160];
        for (const char *p = text; p < at; p++) {
                line += *p == '\n';
                column = *p == '\n' ? 1 : column + ((*p & 0xc0) != 0x80);
        }
        snprintf(where, sizeof where, "line %lu, column %lu: %s", line, column, why);
        return OXL_FAIL_WHY(err, MALFORMED, name, where);
}

int oxl_json_parse(const char *text, size_t n, const char *name, struct oxl_json **ret, struct oxl_error *err)
{
        if (!is_text(text, n))
                return refuse_at(text, first_no_text(text, n), "it is not UTF-8 text", name, err);
        struct scanner s = { text, text + n, NULL };
        if (is_blank(text, s.end))
                return OXL_FAIL_WHY(err, MALFORMED, name, "it is empty");
        if (!scan_document(&s))
                return refuse_at(text, s.at, s.why, name, err);
        const char *end = NULL;
        cleanup(delete_node) cJSON *tree = cJSON_ParseWithLengthOpts(text, n, &end, false);
        if (!tree)
                return OXL_FAIL_PLAIN(err, NOMEM);
        int r = check_tree(tree, name, err);
        if (r < 0)
                return r;
        *ret = json_of(take_ptr(&tree));
        return 0;
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

static const cJSON *member(const struct oxl_json *object, const char *key)
{
        const cJSON *o = const_node_of(object);
        return cJSON_IsObject(o) ? cJSON_GetObjectItemCaseSensitive(o, key) : NULL;
}

const struct oxl_json *oxl_json_get(const struct oxl_json *object, const char *key)
{
        return const_json_of(member(object, key));
}

const char *oxl_json_text(const struct oxl_json *string)
{
        return cJSON_IsString(const_node_of(string)) ? const_node_of(string)->valuestring : NULL;
}

const char *oxl_json_get_string(const struct oxl_json *object, const char *key)
{
        return oxl_json_text(oxl_json_get(object, key));
}

bool oxl_json_get_u64(const struct oxl_json *object, const char *key, uint64_t *ret)
{
        const char *text = oxl_json_get_string(object, key);
        if (!text || !*text || (text[0] == '0' && text[1]))
                return false;
        uint64_t v = 0;
        for (; *text; text++) {
                if (*text < '0' || *text > '9')
                        return false;
                if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
                    __builtin_add_overflow(v, (uint64_t)(*text - '0'), &v))
                        return false;
        }
        *ret = v;
        return true;
}

bool oxl_json_get_bool(const struct oxl_json *object, const char *key, bool *ret)
{
        const cJSON *node = member(object, key);
        if (!cJSON_IsBool(node))
                return false;
        *ret = cJSON_IsTrue(node);
        return true;
}

bool oxl_json_get_int(const struct oxl_json *object, const char *key, int64_t *ret)
{
        const cJSON *node = member(object, key);
        const double limit = 9007199254740992.0; /* 2^53: above it, doubles skip integers */
        if (!cJSON_IsNumber(node) || !(fabs(node->valuedouble) <= limit))
                return false;
        int64_t v = (int64_t)node->valuedouble;
        if ((double)v < node->valuedouble || (double)v > node->valuedouble)
                return false;
        *ret = v;
        return true;
}

bool oxl_json_is_null(const struct oxl_json *object, const char *key)
{
        return cJSON_IsNull(member(object, key));
}

/* Bytes that could have been written as text were not written by us. */
static bool decode_bytes(const char *base64, char **ret, size_t *ret_n)
{
        cleanup_free char *bytes = NULL;
        size_t n = 0;
        if (!base64 || !base64_decode(base64, &bytes, &n) || is_text(bytes, n))
                return false;
        *ret_n = n;
        *ret = take_ptr(&bytes);
        return true;
}

static bool copy_text(const char *text, char **ret, size_t *ret_n)
{
        char *copy = strdup(text);
        if (!copy)
                return false;
        *ret_n = strlen(text);
        *ret = copy;
        return true;
}

bool oxl_json_name_bytes(const struct oxl_json *value, char **ret, size_t *ret_n)
{
        const char *text = oxl_json_text(value);
        if (text)
                return copy_text(text, ret, ret_n);
        return oxl_json_size(value) == 1 && decode_bytes(oxl_json_get_string(value, "bytes"), ret, ret_n);
}

bool oxl_json_get_name(const struct oxl_json *object, const char *key, char **ret, size_t *ret_n)
{
        const char *text = oxl_json_get_string(object, key);
        cleanup_free char *second = bytes_key(key);
        if (!text || !second)
                return false;
        const struct oxl_json *base64 = oxl_json_get(object, second);
        if (!base64)
                return copy_text(text, ret, ret_n);
        cleanup_free char *bytes = NULL;
        size_t n = 0;
        if (!decode_bytes(oxl_json_text(base64), &bytes, &n))
                return false;
        /* what people read and what programs use must be the same name */
        cleanup_free char *shown = lossy_text(bytes, n);
        if (!shown || strcmp(shown, text) != 0)
                return false;
        *ret_n = n;
        *ret = take_ptr(&bytes);
        return true;
}

size_t oxl_json_size(const struct oxl_json *array)
{
        const cJSON *a = const_node_of(array);
        size_t n = 0;
        if (cJSON_IsArray(a) || cJSON_IsObject(a))
                for (const cJSON *c = a->child; c; c = c->next)
                        n++;
        return n;
}

const struct oxl_json *oxl_json_at(const struct oxl_json *array, size_t i)
{
        const cJSON *a = const_node_of(array);
        if (!cJSON_IsArray(a))
                return NULL;
        const cJSON *c = a->child;
        while (c && i-- > 0)
                c = c->next;
        return const_json_of(c);
}

/* *pos is the address of the member before: so a whole walk is linear. */
bool oxl_json_member(const struct oxl_json *object, size_t *pos, const char **ret_key,
                     const struct oxl_json **ret_value)
{
        const cJSON *o = const_node_of(object);
        if (!cJSON_IsObject(o) && !cJSON_IsArray(o))
                return false;
        const cJSON *next = *pos == 0 ? o->child : ((const cJSON *)(uintptr_t)*pos)->next;
        if (!next)
                return false;
        *pos = (size_t)(uintptr_t)next;
        *ret_key = next->string;
        *ret_value = const_json_of(next);
        return true;
}

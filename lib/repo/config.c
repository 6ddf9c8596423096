/* SPDX-License-Identifier: MIT */
/*
 * `config.json`: settings, docs/FORMAT.md section 3.4.
 *
 * There is one valid form, so a file is sound exactly when printing what it says gives the same bytes, seal
 * included. Anything else that still parses was edited by hand; what does not parse is damaged, and the defaults
 * stand in. What a crash leaves: the old file or the new one.
 */
#include <stdio.h>
#include <string.h>

#include <oxenlite/json.h>

#include "base/fail.h"
#include "base/utf8.h"
#include "repo/repo.h"

#define FILE_NAME "config.json"
#define NAME OXL_REPO_DIR "/" FILE_NAME
#define SCHEMA "oxen-lite.config/1"

/* "<name> <email>" must fit into a commit's author of 1,024 bytes. */
enum { USER_BYTES_MAX = 510, NUMBER_BYTES = 24 };

enum key { KEEP_DAYS, PACK_THRESHOLD, REFLINK, USER_EMAIL, USER_NAME, KEYS };

/* Sorted by bytes, as they are printed. */
static const struct {
        const char *name, *about;
} keys[KEYS] = {
        [KEEP_DAYS] = { "gc.keep_days", "for so many days gc keeps what is not referenced, and what undo needs" },
        [PACK_THRESHOLD] = { "pack_threshold", "files of this many bytes and more are stored as files of their own" },
        [REFLINK] = { "reflink", "share extents with the working file: auto or never" },
        [USER_EMAIL] = { "user.email", "e-mail address of the author of commits" },
        [USER_NAME] = { "user.name", "name of the author of commits" },
};

static int find_key(const char *name, enum key *ret, struct oxl_error *err)
{
        for (unsigned k = 0; k < KEYS; k++) {
                if (strcmp(name, keys[k].name) == 0) {
                        *ret = (enum key)k;
                        return 0;
                }
        }
        return OXL_FAIL_PATH(err, CONFIG_KEY, name);
}

/* --- values ------------------------------------------------------------------------------------------------ */

void oxl_settings_default(struct oxl_settings *s)
{
        *s = (struct oxl_settings){ .pack_threshold = OXL_PACK_THRESHOLD_DEFAULT,
                                    .reflink = true,
                                    .keep_days = OXL_KEEP_DAYS_DEFAULT };
}

void oxl_settings_done(struct oxl_settings *s)
{
        free(s->user_name);
        free(s->user_email);
        oxl_settings_default(s);
}

static int bad_value(struct oxl_error *err, enum key key, const char *why)
{
        return OXL_FAIL_WHY(err, CONFIG_VALUE, keys[key].name, why);
}

static int set_user(char **field, enum key key, const char *value, struct oxl_error *err)
{
        size_t n = strlen(value);
        if (n == 0 || n > USER_BYTES_MAX)
                return bad_value(err, key, "it must have 1 to 510 bytes");
        if (!oxl_utf8_valid(value, n))
                return bad_value(err, key, "it is not UTF-8");
        for (const unsigned char *p = (const unsigned char *)value; *p; p++)
                if (*p < 0x20 || *p == 0x7f || *p == '<' || *p == '>' || (*p == 0xc2 && p[1] < 0xa0))
                        return bad_value(err, key, "it must not hold control characters, '<' or '>'");
        char *copy = strdup(value);
        if (!copy)
                return OXL_FAIL_PLAIN(err, NOMEM);
        free(*field);
        *field = copy;
        return 0;
}

/* Digits in their only form, at most @max. */
static bool parse_number(const char *value, uint64_t max, uint64_t *ret)
{
        uint64_t n = 0;
        size_t digits = strspn(value, "0123456789");
        bool canonical = digits > 0 && digits <= 8 && !value[digits] && (value[0] != '0' || digits == 1);
        for (size_t i = 0; canonical && i < digits; i++)
                n = 10 * n + (uint64_t)(value[i] - '0');
        if (!canonical || n > max)
                return false;
        *ret = n;
        return true;
}

static int set_keep_days(struct oxl_settings *s, const char *value, struct oxl_error *err)
{
        if (!parse_number(value, OXL_KEEP_DAYS_MAX, &s->keep_days))
                return bad_value(err, KEEP_DAYS, "it must be a number of days from 0 to 36500");
        s->has_keep_days = true;
        return 0;
}

static int set_threshold(struct oxl_settings *s, const char *value, struct oxl_error *err)
{
        if (!parse_number(value, OXL_PACK_THRESHOLD_MAX, &s->pack_threshold))
                return bad_value(err, PACK_THRESHOLD, "it must be a number of bytes from 0 to 67108864");
        s->has_pack_threshold = true;
        return 0;
}

static int set_reflink(struct oxl_settings *s, const char *value, struct oxl_error *err)
{
        if (strcmp(value, "auto") != 0 && strcmp(value, "never") != 0)
                return bad_value(err, REFLINK, "it must be auto or never");
        s->reflink = value[0] == 'a';
        s->has_reflink = true;
        return 0;
}

static int settings_set(struct oxl_settings *s, enum key key, const char *value, struct oxl_error *err)
{
        switch (key) {
        case KEEP_DAYS: return set_keep_days(s, value, err);
        case PACK_THRESHOLD: return set_threshold(s, value, err);
        case REFLINK: return set_reflink(s, value, err);
        case USER_EMAIL: return set_user(&s->user_email, key, value, err);
        case USER_NAME: return set_user(&s->user_name, key, value, err);
        case KEYS: break;
        }
        abort();
}

static void settings_unset(struct oxl_settings *s, enum key key)
{
        switch (key) {
        case KEEP_DAYS:
                s->keep_days = OXL_KEEP_DAYS_DEFAULT;
                s->has_keep_days = false;
                break;
        case PACK_THRESHOLD:
                s->pack_threshold = OXL_PACK_THRESHOLD_DEFAULT;
                s->has_pack_threshold = false;
                break;
        case REFLINK:
                s->reflink = true;
                s->has_reflink = false;
                break;
        case USER_EMAIL: oxl_freep(&s->user_email); break;
        case USER_NAME: oxl_freep(&s->user_name); break;
        case KEYS: abort();
        }
}

static bool settings_has(const struct oxl_settings *s, enum key key)
{
        switch (key) {
        case KEEP_DAYS: return s->has_keep_days;
        case PACK_THRESHOLD: return s->has_pack_threshold;
        case REFLINK: return s->has_reflink;
        case USER_EMAIL: return s->user_email != NULL;
        case USER_NAME: return s->user_name != NULL;
        case KEYS: break;
        }
        abort();
}

/* The value or default as text; NULL when there is neither. Borrowed from @s or @buf. */
static const char *settings_get(const struct oxl_settings *s, enum key key, char buf[NUMBER_BYTES])
{
        switch (key) {
        case KEEP_DAYS: snprintf(buf, NUMBER_BYTES, "%llu", (unsigned long long)s->keep_days); return buf;
        case PACK_THRESHOLD: snprintf(buf, NUMBER_BYTES, "%llu", (unsigned long long)s->pack_threshold); return buf;
        case REFLINK: return s->reflink ? "auto" : "never";
        case USER_EMAIL: return s->user_email;
        case USER_NAME: return s->user_name;
        case KEYS: break;
        }
        abort();
}

/* --- printing ---------------------------------------------------------------------------------------------- */

/* Values hold no control characters, so '"' and '\' are all that needs an escape. */
static int print_string(struct oxl_buf *out, const char *text, struct oxl_error *err)
{
        int r = oxl_buf_append_u8(out, '"', err);
        for (; r == 0 && *text; text++) {
                if (*text == '"' || *text == '\\')
                        r = oxl_buf_append_u8(out, '\\', err);
                if (r == 0)
                        r = oxl_buf_append_u8(out, (uint8_t)*text, err);
        }
        return r < 0 ? r : oxl_buf_append_u8(out, '"', err);
}

static int print_member(struct oxl_buf *out, const char *key, const char *value, bool number, struct oxl_error *err)
{
        int r = oxl_buf_append_fmt(out, err, "%s\n  \"%s\": ", out->len > 1 ? "," : "", key);
        if (r < 0)
                return r;
        return number ? oxl_buf_append_text(out, value, err) : print_string(out, value, err);
}

static bool is_number(enum key key)
{
        return key == PACK_THRESHOLD || key == KEEP_DAYS;
}

/* Everything before the seal's comma: what the seal covers. */
static int print_body(const struct oxl_settings *s, struct oxl_buf *ret, struct oxl_error *err)
{
        char number[NUMBER_BYTES];
        oxl_buf_clear(ret);
        int r = oxl_buf_append_u8(ret, '{', err);
        for (unsigned k = 0; r == 0 && k < KEYS; k++) {
                if (k == USER_EMAIL) /* "schema" sorts here */
                        r = print_member(ret, "schema", SCHEMA, false, err);
                if (r == 0 && settings_has(s, (enum key)k))
                        r = print_member(ret, keys[k].name, settings_get(s, (enum key)k, number),
                                         is_number((enum key)k), err);
        }
        return r;
}

int oxl_config_print(const struct oxl_settings *s, const struct oxl_repo_id *id, struct oxl_buf *ret,
                     struct oxl_error *err)
{
        struct oxl_hasher h;
        struct oxl_digest seal;
        char text[OXL_DIGEST_TEXT_MAX];
        int r = print_body(s, ret, err);
        if (r < 0)
                return r;
        oxl_seal_begin(&h, "config", id, FILE_NAME);
        oxl_hasher_update(&h, ret->data, ret->len);
        oxl_hasher_final(&h, &seal);
        oxl_digest_text(&seal, text);
        return oxl_buf_append_fmt(ret, err, ",\n  \"seal\": \"blake3:%s\"\n}\n", text);
}

/* --- parsing ----------------------------------------------------------------------------------------------- */

static int malformed(struct oxl_error *err, const char *why)
{
        return OXL_FAIL_WHY(err, MALFORMED, NAME, why);
}

static int take_member(struct oxl_settings *s, const struct oxl_json *doc, const char *name, struct oxl_error *err)
{
        enum key key;
        char number[NUMBER_BYTES];
        int64_t n;
        int r = find_key(name, &key, err);
        if (r < 0)
                return r;
        const char *value = oxl_json_get_string(doc, name);
        if (is_number(key)) {
                if (!oxl_json_get_int(doc, name, &n))
                        return bad_value(err, key,
                                         key == PACK_THRESHOLD ? "it must be a number of bytes from 0 to 67108864"
                                                               : "it must be a number of days from 0 to 36500");
                snprintf(number, sizeof number, "%lld", (long long)n);
                value = number;
        }
        return value ? settings_set(s, key, value, err) : bad_value(err, key, "it must be a string");
}

/* The settings that @text says, whatever its form and its seal. MALFORMED, CONFIG_KEY, CONFIG_VALUE, NOMEM. */
static int read_settings(struct oxl_bytes text, struct oxl_settings *s, struct oxl_error *err)
{
        struct oxl_json *doc;
        const char *name;
        const struct oxl_json *value;
        if (text.len > OXL_SEALED_TEXT_MAX)
                return malformed(err, "it is larger than 1 MiB");
        int r = oxl_json_parse(text.len > 0 ? (const char *)text.data : "", text.len, NAME, &doc, err);
        if (r < 0)
                return r;
        const char *schema = oxl_json_get_string(doc, "schema");
        if (!schema || strcmp(schema, SCHEMA) != 0)
                r = malformed(err, "its \"schema\" is not \"" SCHEMA "\"");
        for (size_t pos = 0; r == 0 && oxl_json_member(doc, &pos, &name, &value);)
                if (strcmp(name, "schema") != 0 && strcmp(name, "seal") != 0)
                        r = take_member(s, doc, name, err);
        oxl_json_free(doc);
        return r;
}

/* The same, but *ret is written only on success. */
static int parse_settings(struct oxl_bytes text, struct oxl_settings *ret, struct oxl_error *err)
{
        struct oxl_settings s;
        oxl_settings_default(&s);
        int r = read_settings(text, &s, err);
        if (r < 0) {
                oxl_settings_done(&s);
                return r;
        }
        *ret = s;
        return 0;
}

int oxl_config_parse(struct oxl_bytes text, const struct oxl_repo_id *id, struct oxl_settings *ret,
                     enum oxl_config_state *ret_state, struct oxl_error *err_why, struct oxl_error *err)
{
        cleanup_buf struct oxl_buf canonical = OXL_BUF_INIT;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        struct oxl_settings s;
        int r = parse_settings(text, &s, &why);
        if (r == -OXL_E_NOMEM) /* says nothing about the file */
                return OXL_FAIL_PLAIN(err, NOMEM);
        if (r < 0) {
                oxl_settings_default(ret);
                *ret_state = OXL_CONFIG_DAMAGED;
                if (err_why)
                        oxl_error_move(err_why, &why);
                return 0;
        }
        r = oxl_config_print(&s, id, &canonical, err);
        if (r < 0) {
                oxl_settings_done(&s);
                return r;
        }
        *ret = s;
        *ret_state = oxl_bytes_equal(text, oxl_buf_bytes(&canonical)) ? OXL_CONFIG_SOUND : OXL_CONFIG_EDITED;
        return 0;
}

/* --- the repository's settings ----------------------------------------------------------------------------- */

int oxl_config_load(struct oxl_repo *r, struct oxl_error *err_why, struct oxl_error *err)
{
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        struct oxl_settings s;
        enum oxl_config_state state;
        int n = oxl_repo_read_file(r->root_fd, FILE_NAME, &text, &why);
        if (n == 1)
                n = malformed(&why, "it is missing");
        if (n == -OXL_E_MALFORMED) {
                oxl_settings_default(&s);
                state = OXL_CONFIG_DAMAGED;
        } else if (n < 0) {
                if (err)
                        oxl_error_move(err, &why);
                return n;
        } else {
                n = oxl_config_parse(oxl_buf_bytes(&text), &r->format.id, &s, &state, &why, err);
                if (n < 0)
                        return n;
        }
        oxl_settings_done(&r->settings);
        r->settings = s;
        r->config_state = state;
        if (err_why)
                oxl_error_move(err_why, &why);
        return 0;
}

enum oxl_config_state oxl_repo_config_state(const struct oxl_repo *r)
{
        return r->config_state;
}

static int copy_text(const char *text, char **ret, struct oxl_error *err)
{
        char *copy = strdup(text);
        if (!copy)
                return OXL_FAIL_PLAIN(err, NOMEM);
        *ret = copy;
        return 0;
}

int oxl_repo_config_get(struct oxl_repo *r, const char *key, char **ret, struct oxl_error *err)
{
        enum key k;
        char number[NUMBER_BYTES];
        int n = find_key(key, &k, err);
        if (n < 0)
                return n;
        const char *value = settings_get(&r->settings, k, number);
        if (value)
                return copy_text(value, ret, err);
        *ret = NULL;
        return 0;
}

int oxl_repo_config_list(struct oxl_repo *r, oxl_config_fn *fn, void *ctx, struct oxl_error *err)
{
        char number[NUMBER_BYTES];
        for (unsigned k = 0; k < KEYS; k++) {
                const char *value = settings_get(&r->settings, (enum key)k, number);
                int n = fn(ctx, keys[k].name, value, !settings_has(&r->settings, (enum key)k), keys[k].about, err);
                if (n < 0)
                        return n;
        }
        return 0;
}

int oxl_repo_config_text(struct oxl_repo *r, char **ret, struct oxl_error *err)
{
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        int n = print_body(&r->settings, &text, err);
        if (n == 0)
                n = oxl_buf_append_text(&text, "\n}\n", err);
        if (n < 0)
                return n;
        *ret = (char *)oxl_buf_take(&text);
        return 0;
}

/* For people only, and after the fact: a journal that cannot be opened must not stand in the way of settings. */
static void log_change(struct oxl_repo *r, const char *note)
{
        cleanup_error struct oxl_error ignored = OXL_ERROR_INIT;
        struct oxl_journal *own = NULL;
        const struct oxl_journal_config config = {
                .dir = r->root, .id = r->format.id, .lock_fd = oxl_owner_fd(r->owner), .wait_ms = 0
        };
        const struct oxl_operation op = { .verb = "config", .note = note };
        if (!r->journal && oxl_journal_open(&config, &own, &ignored) < 0)
                return;
        OXL_IGNORE(oxl_journal_operation(own ? own : r->journal, &op, false, &ignored), "the log is for people");
        oxl_journal_close(own);
}

/* Writes @s (taken over, also on failure) as the new config.json, and notes the operation. The writer lock is held. */
static int write_settings(struct oxl_repo *r, struct oxl_settings *s, const char *note, struct oxl_error *err)
{
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        int n = oxl_config_print(s, &r->format.id, &text, err);
        if (n == 0)
                n = oxl_durable_write(r->durable, FILE_NAME, text.data, text.len, err);
        if (n < 0) {
                oxl_settings_done(s);
                return n;
        }
        oxl_settings_done(&r->settings);
        r->settings = *s;
        r->config_state = OXL_CONFIG_SOUND;
        log_change(r, note);
        return 0;
}

/* Under the writer lock: the file as it is now, changed in one key. */
static int change_key(struct oxl_repo *r, enum key key, const char *value, const char *note, struct oxl_error *err)
{
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        struct oxl_settings s = { 0 };
        int n = oxl_config_load(r, NULL, err);
        if (n < 0)
                return n;
        if (r->config_state != OXL_CONFIG_SOUND)
                return OXL_FAIL_PATH(err, CONFIG_EDITED, NAME);
        n = print_body(&r->settings, &text, err);
        if (n == 0)
                n = oxl_buf_append_text(&text, "}", err);
        if (n == 0)
                n = parse_settings(oxl_buf_bytes(&text), &s, err); /* a copy */
        if (n < 0)
                return n;
        if (!value)
                settings_unset(&s, key);
        else
                n = settings_set(&s, key, value, err);
        if (n < 0) {
                oxl_settings_done(&s);
                return n;
        }
        return write_settings(r, &s, note, err);
}

int oxl_repo_config_set(struct oxl_repo *r, const char *key, const char *value, struct oxl_error *err)
{
        enum key k;
        int n = find_key(key, &k, err);
        if (n < 0)
                return n;
        n = oxl_repo_lock_writer(r, err);
        if (n < 0)
                return n;
        cleanup_free char *note = NULL;
        if (asprintf(&note, "%s %s", key, value ? value : "(unset)") < 0)
                n = OXL_FAIL_PLAIN(err, NOMEM);
        if (n >= 0)
                n = change_key(r, k, value, note, err);
        oxl_repo_end_write(r);
        return n;
}

/* Under the writer lock: the settings of @text become the repository's. */
static int adopt(struct oxl_repo *r, struct oxl_bytes text, const char *note, struct oxl_error *err)
{
        struct oxl_settings s;
        int n = parse_settings(text, &s, err);
        return n < 0 ? n : write_settings(r, &s, note, err);
}

static int adopt_file(struct oxl_repo *r, struct oxl_error *err)
{
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        int n = oxl_repo_read_file(r->root_fd, FILE_NAME, &text, err);
        if (n == 1)
                return malformed(err, "it is missing");
        return n < 0 ? n : adopt(r, oxl_buf_bytes(&text), "accept", err);
}

int oxl_repo_config_accept(struct oxl_repo *r, struct oxl_error *err)
{
        int n = oxl_repo_lock_writer(r, err);
        if (n < 0)
                return n;
        n = adopt_file(r, err);
        oxl_repo_end_write(r);
        return n;
}

int oxl_repo_config_replace(struct oxl_repo *r, const char *text, size_t n, struct oxl_error *err)
{
        int e = oxl_repo_lock_writer(r, err);
        if (e < 0)
                return e;
        e = adopt(r, oxl_bytes_of(text, n), "--edit", err);
        oxl_repo_end_write(r);
        return e;
}

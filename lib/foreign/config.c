/* SPDX-License-Identifier: MIT */
/*
 * HEAD and config.toml of an Oxen repository, as text.
 *
 * HEAD holds a branch name or a commit id: whether that branch exists only RocksDB knows, so a changed letter is not
 * seen. Of config.toml only where the version store lies is understood: keys `kind` and `versions_path` of
 * [storage], `path` of [storage.settings], as tables or as dotted keys. Other lines are only looked over for what no
 * TOML file has.
 */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/path.h"
#include "base/utf8.h"
#include "foreign/oxen.h"

enum { HEAD_MAX = 4096, CONFIG_MAX = 1 << 20, KEY_MAX = 128 };

/* Why the text is not what Oxen writes, static; NULL when it may be; `no_memory` says nothing about the text. */
typedef const char *judge_fn(struct oxl_bytes text, void *ctx);
static const char no_memory[] = "there is no memory to read it";

/* --- reading, twice when it looks wrong ---------------------------------------------------------------------------- */

/* 1: there is no such file. */
static int read_text(int dirfd, const char *name, size_t max, bool fresh, struct oxl_buf *ret, struct stat *ret_st,
                     struct oxl_error *err)
{
        cleanup_fd int fd = -1;
        int r = oxl_oxen_open(dirfd, name, name, &fd, ret_st, err);
        if (r != 0)
                return r;
        if (fresh)
                OXL_IGNORE(oxl_sys->fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), "the second look is then the cache's");
        if (oxl_fd_read_all(fd, max, ret) == 0)
                return 0;
        if (errno != EFBIG)
                return OXL_FAIL_OS(err, FILE_READ, name);
        return 0; /* a part of it: the judge sees more than can be right */
}

static int report_text(struct oxl_oxen *x, enum oxl_problem problem, const char *name, const char *verdict,
                       const char *why, struct oxl_error *err)
{
        struct oxl_oxen_report r = { .problem = problem, .path = name, .verdict = verdict, .detail = why };
        return oxl_oxen_report(x, &r, err);
}

enum { BAD = 1, UNREAD = 2 };

/* 0: good (or good the second time); BAD: it is not; UNREAD: nobody knows. Both were reported. */
static int check_text(struct oxl_oxen *x, enum oxl_problem problem, const char *name, size_t max, judge_fn *judge,
                      void *ctx, struct oxl_error *err)
{
        cleanup_buf struct oxl_buf first = OXL_BUF_INIT, second = OXL_BUF_INIT;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        struct stat st[2];
        const char *bad = NULL;
        int r = read_text(x->repo_fd, name, max, false, &first, &st[0], &why);
        if (r == 0 && !(bad = judge(oxl_buf_bytes(&first), ctx)))
                return 0;
        if (bad == no_memory)
                return OXL_FAIL_PLAIN(err, NOMEM);
        if (r == 0)
                r = read_text(x->repo_fd, name, max, true, &second, &st[1], &why);
        if (r < 0) {
                r = oxl_oxen_unreadable(x, name, &why, err);
                return r < 0 ? r : UNREAD;
        }
        if (r > 0) {
                r = report_text(x, problem, name, "", "it is missing, or is no regular file", err);
                return r < 0 ? r : BAD;
        }
        bool same = oxl_bytes_equal(oxl_buf_bytes(&first), oxl_buf_bytes(&second));
        const char *again = judge(oxl_buf_bytes(&second), ctx);
        if (again == no_memory)
                return OXL_FAIL_PLAIN(err, NOMEM);
        if (!again)
                return oxl_oxen_same(&st[0], &st[1]) ? report_text(x, OXL_P_TRANSIENT, name, "transient", bad, err) : 0;
        r = report_text(x, problem, name, same ? "media" : "memory-suspect", again, err);
        return r < 0 ? r : BAD;
}

static const char *not_text(struct oxl_bytes text, bool lines)
{
        for (size_t i = 0; i < text.len; i++) {
                uint8_t c = text.data[i];
                if (c == 0x7f || (c < 0x20 && !(lines && (c == '\n' || c == '\t' || c == '\r'))))
                        return "it has control characters";
        }
        return oxl_utf8_valid(text.data, text.len) ? NULL : "it is not UTF-8";
}

/* --- HEAD ---------------------------------------------------------------------------------------------------------- */

static const char *judge_head(struct oxl_bytes text, void *ctx)
{
        (void)ctx;
        if (text.len == 0)
                return "it is empty";
        if (text.len > OXL_NAME_MAX)
                return "it is too long for a branch name";
        const char *name = (const char *)text.data;
        if (name[text.len - 1] == '\n')
                return "it ends in a line feed, which Oxen does not write";
        for (size_t i = 0; i < text.len; i++)
                if (strchr(" ~^:?*[\\", name[i]) || (name[i] == '.' && i + 1 < text.len && name[i + 1] == '.'))
                        return "it is neither a branch name nor a commit id";
        if (name[0] == '/' || name[0] == '.' || name[text.len - 1] == '/' || name[text.len - 1] == '.')
                return "it is neither a branch name nor a commit id";
        return not_text(text, false);
}

/* --- config.toml --------------------------------------------------------------------------------------------------- */

struct toml {
        char section[KEY_MAX];        /* of the lines that follow */
        int depth;                    /* inside an array or inline table that spans lines */
        char quote;                   /* inside a text of several lines: its quote */
        char *kind, *path, *settings; /* owned: the values that are looked for */
        bool inline_table;            /* storage = { ... }: not read */
};

static void toml_done(struct toml *t)
{
        free(t->kind);
        free(t->path);
        free(t->settings);
        *t = (struct toml){ 0 };
}

static struct oxl_bytes trim(struct oxl_bytes b)
{
        while (b.len && strchr(" \t\r", b.data[b.len - 1]))
                b.len--;
        while (b.len && strchr(" \t", b.data[0])) {
                b.data++;
                b.len--;
        }
        return b;
}

static bool starts(struct oxl_bytes b, const char *with)
{
        size_t n = strlen(with);
        return b.len >= n && memcmp(b.data, with, n) == 0;
}

/* Follows quotes and brackets through a value, or the next line of one. False: a text does not end. */
static bool scan_value(struct toml *t, struct oxl_bytes b)
{
        size_t i = 0;
        while (i < b.len) {
                char c = (char)b.data[i];
                const char three[] = { t->quote ? t->quote : c, t->quote ? t->quote : c, t->quote ? t->quote : c, 0 };
                bool triple = starts((struct oxl_bytes){ b.data + i, b.len - i }, three);
                if (t->quote) { /* in a text of several lines */
                        i += triple ? 3 : c == '\\' && t->quote == '"' ? 2 : 1;
                        if (triple)
                                t->quote = 0;
                } else if ((c == '"' || c == '\'') && triple) {
                        t->quote = c;
                        i += 3;
                } else if (c == '"' || c == '\'') {
                        for (i++; i < b.len && (char)b.data[i] != c; i++)
                                i += c == '"' && b.data[i] == '\\';
                        if (i >= b.len)
                                return false;
                        i++;
                } else if (c == '#') {
                        return true;
                } else {
                        t->depth += c == '[' || c == '{' ? 1 : c == ']' || c == '}' ? -1 : 0;
                        i++;
                }
        }
        return true;
}

/* A basic or literal text at the beginning of @b, owned in *ret: NULL. Else why not: it is none, has an escape other than \\ and \",
 * or `no_memory`. */
static const char *text_value(struct oxl_bytes b, char **ret)
{
        static const char none[] = "a value of [storage] is not a text that can be read";
        char quote = b.len ? (char)b.data[0] : 0;
        if (quote != '"' && quote != '\'')
                return none;
        cleanup_free char *text = malloc(b.len);
        size_t n = 0, i = 1;
        if (!text)
                return no_memory;
        for (; i < b.len && (char)b.data[i] != quote; i++) {
                if (quote == '"' && b.data[i] == '\\') {
                        i++;
                        if (i == b.len || !strchr("\\\"", b.data[i]))
                                break;
                }
                text[n++] = (char)b.data[i];
        }
        text[n] = 0;
        if (i == b.len || (char)b.data[i] != quote || n == 0)
                return none;
        *ret = take_ptr(&text);
        return NULL;
}

/* "<section>.<key>" without quotes and blanks, cut to fit. */
static void full_key(const struct toml *t, struct oxl_bytes key, char ret[KEY_MAX])
{
        size_t n = 0;
        for (const char *p = t->section; *p && n < KEY_MAX - 2; p++)
                ret[n++] = *p;
        if (n)
                ret[n++] = '.';
        for (size_t i = 0; i < key.len && n < KEY_MAX - 1; i++)
                if (!strchr("\"' \t", key.data[i]))
                        ret[n++] = (char)key.data[i];
        ret[n] = 0;
}

static const char *take_key(struct toml *t, struct oxl_bytes key, struct oxl_bytes value)
{
        char full[KEY_MAX];
        full_key(t, key, full);
        char **slot = strcmp(full, "storage.kind") == 0            ? &t->kind
                      : strcmp(full, "storage.versions_path") == 0 ? &t->path
                      : strcmp(full, "storage.settings.path") == 0 ? &t->settings
                                                                   : NULL;
        t->inline_table |= strcmp(full, "storage") == 0 || strcmp(full, "storage.settings") == 0;
        if (!slot)
                return NULL;
        if (*slot)
                return "a key of [storage] is there twice";
        return text_value(value, slot);
}

static const char *take_line(struct toml *t, struct oxl_bytes line)
{
        if (t->quote || t->depth > 0)
                return scan_value(t, line) ? NULL : "a text does not end";
        line = trim(line);
        if (line.len == 0 || line.data[0] == '#')
                return NULL;
        if (line.data[0] == '[') {
                const uint8_t *end = memchr(line.data, ']', line.len);
                size_t skip = starts(line, "[[") ? 2 : 1;
                if (!end || (size_t)(end - line.data) <= skip)
                        return "the head of a table does not end";
                t->section[0] = 0;
                char name[KEY_MAX];
                full_key(t, (struct oxl_bytes){ line.data + skip, (size_t)(end - line.data) - skip }, name);
                memcpy(t->section, name, sizeof name);
                return NULL;
        }
        const uint8_t *equal = memchr(line.data, '=', line.len);
        if (!equal || equal == line.data)
                return "a line is neither a table, a key with a value, nor a comment";
        struct oxl_bytes key = trim((struct oxl_bytes){ line.data, (size_t)(equal - line.data) });
        struct oxl_bytes value = trim((struct oxl_bytes){ equal + 1, (size_t)(line.data + line.len - equal - 1) });
        if (value.len == 0)
                return "a key has no value";
        const char *bad = take_key(t, key, value);
        if (!bad && !scan_value(t, value))
                bad = "a text does not end";
        return bad;
}

static const char *judge_config(struct oxl_bytes text, void *ctx)
{
        struct toml *t = ctx;
        const char *bad = text.len > CONFIG_MAX ? "it is too long" : not_text(text, true);
        toml_done(t);
        while (!bad && text.len) {
                const uint8_t *end = memchr(text.data, '\n', text.len);
                size_t n = end ? (size_t)(end - text.data) : text.len;
                bad = take_line(t, (struct oxl_bytes){ text.data, n });
                text.data += end ? n + 1 : n;
                text.len -= end ? n + 1 : n;
        }
        if (!bad && (t->quote || t->depth != 0))
                bad = "a value does not end";
        return bad;
}

/* --- both ------------------------------------------------------------------------------------------------------------ */

static int check_head(struct oxl_oxen *x, struct oxl_error *err)
{
        struct stat st;
        if (oxl_fd_stat_at(x->repo_fd, "HEAD", &st) < 0) {
                cleanup_error struct oxl_error why = OXL_ERROR_INIT;
                if (errno == ENOENT)
                        return 0; /* no commit yet */
                OXL_IGNORE(OXL_FAIL_OS(&why, FILE_STAT, "HEAD"), "reported next");
                return oxl_oxen_unreadable(x, "HEAD", &why, err);
        }
        int r = check_text(x, OXL_P_OXEN_HEAD, "HEAD", HEAD_MAX, judge_head, NULL, err);
        return r < 0 ? r : 0;
}

/* Somewhere else than we can look: not checked, and said so. */
static int elsewhere(struct oxl_oxen *x, const char *why, struct oxl_error *err)
{
        struct oxl_oxen_report r = {
                .problem = OXL_P_UNREADABLE, .path = "versions/files", .verdict = "unreadable", .detail = why
        };
        int s = oxl_oxen_report(x, &r, err);
        return s < 0 ? s : 1;
}

int oxl_oxen_config(struct oxl_oxen *x, char **ret_path, struct oxl_error *err)
{
        cleanup(toml_done) struct toml t = { 0 };
        int r = check_head(x, err);
        if (r == 0)
                r = check_text(x, OXL_P_OXEN_CONFIG, "config.toml", CONFIG_MAX, judge_config, &t, err);
        *ret_path = NULL;
        if (r < 0)
                return r;
        x->place_unknown = r == UNREAD;
        if (r > 0)
                return 0; /* the store is where it usually is, or else it is found missing */
        if (t.inline_table)
                return elsewhere(x, "'storage' in config.toml is an inline table, which is not understood", err);
        if (t.kind && strcmp(t.kind, "local") != 0)
                return elsewhere(x, "config.toml says that the versions are not on a local disk", err);
        char **path = t.path ? &t.path : &t.settings;
        if (*path && (*path)[0] != '/' && strncmp(*path, ".oxen", 5) != 0)
                return elsewhere(x, "config.toml places it relative to the folder where oxen is run: give that folder",
                                 err);
        *ret_path = take_ptr(path);
        return 0;
}

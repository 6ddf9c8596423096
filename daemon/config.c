/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <oxenlite/json.h>

#include "size.h"
#include "util.h"

enum { POINTER_MAX = 512 };

/* Where the reading stands. Errors are collected; a lack of memory ends it. */
struct reading {
        struct config *config;
        struct config_errors *errors;
        bool no_memory;
        char pointer[POINTER_MAX];
};

/* One value: its parent knows more about it than it does itself (see json.h). */
struct value {
        const struct oxl_json *parent, *self;
        const char *key;
        void *to; /* struct of the section */
};

typedef void read_fn(struct reading *r, const struct value *v);

struct row {
        const char *key;
        read_fn *read;
        size_t offset; /* of the field in the section's struct, where the reader needs one */
};

void config_done(struct config *c)
{
        for (size_t i = 0; i < c->n_repositories; i++) {
                free(c->repositories[i].path);
                free(c->repositories[i].scrub.from);
        }
        free(c->repositories);
        free(c->scrub.from);
        free(c->socket_path);
        free(c->socket_group);
        free(c->textfile);
        free(c->state);
        *c = (struct config){ 0 };
}

void config_errors_done(struct config_errors *e)
{
        for (size_t i = 0; i < e->n; i++)
                free(e->lines[i]);
        free(e->lines);
        *e = (struct config_errors){ 0 };
}

bool config_is_pattern(const char *path)
{
        return strpbrk(path, "*?[") != NULL;
}

/* --- errors and pointers ------------------------------------------------------------------------------------------ */

__attribute__((format(printf, 2, 3))) static void bad(struct reading *r, const char *format, ...)
{
        cleanup_free char *why = NULL;
        va_list ap;

        if (r->errors->n == CONFIG_ERRORS_MAX) {
                r->errors->more++;
                return;
        }
        va_start(ap, format);
        int n = vasprintf(&why, format, ap);
        va_end(ap);
        char *line = NULL;
        if (n >= 0) {
                cleanup_free char *pointer = util_escape(r->pointer);
                cleanup_free char *text = util_escape(why);
                if (pointer && text)
                        line = util_format("%s: %s", *pointer ? pointer : "the document", text);
        } else {
                why = NULL;
        }
        char **lines = line ? realloc(r->errors->lines, (r->errors->n + 1) * sizeof *lines) : NULL;
        if (!lines) {
                free(line);
                r->no_memory = true;
                return;
        }
        r->errors->lines = lines;
        lines[r->errors->n++] = line;
}

/* Appends "/<key>", with ~ and / escaped; returns the length before it. A pointer that is too long is cut: it is for people. */
static size_t enter(struct reading *r, const char *key)
{
        size_t before = strlen(r->pointer), at = before;

        if (at + 1 < POINTER_MAX)
                r->pointer[at++] = '/';
        for (; *key && at + 2 < POINTER_MAX; key++) {
                if (*key == '~' || *key == '/') {
                        r->pointer[at++] = '~';
                        r->pointer[at++] = *key == '~' ? '0' : '1';
                } else {
                        r->pointer[at++] = *key;
                }
        }
        r->pointer[at] = '\0';
        return before;
}

static void leave(struct reading *r, size_t before)
{
        r->pointer[before] = '\0';
}

/* '{', '[', '"', 't', 'n' or '0' for a number; 0 without memory. json.h has no question for it. */
static char type_of(const struct oxl_json *j)
{
        cleanup_free char *text = NULL;
        if (oxl_json_text(j))
                return '"';
        if (oxl_json_print(j, &text, NULL) < 0)
                return 0;
        if (text[0] == 'f')
                return 't';
        return isdigit((unsigned char)text[0]) || text[0] == '-' ? '0' : text[0];
}

static bool is_type(struct reading *r, const struct oxl_json *j, char wanted, const char *what)
{
        char type = type_of(j);
        if (type == 0)
                r->no_memory = true;
        else if (type != wanted)
                bad(r, "must be %s", what);
        return type == wanted;
}

/* --- values --------------------------------------------------------------------------------------------------------- */

/* @v's text, or NULL and an error. */
static const char *text_of(struct reading *r, const struct value *v)
{
        return is_type(r, v->self, '"', "a string") ? oxl_json_text(v->self) : NULL;
}

static void keep(struct reading *r, char **to, const char *text)
{
        char *copy = strdup(text);
        if (!copy)
                r->no_memory = true;
        free(*to);
        *to = copy;
}

static bool integer(struct reading *r, const struct value *v, int64_t min, int64_t max, int64_t *ret)
{
        int64_t n = 0;

        if (!is_type(r, v->self, '0', "a number"))
                return false;
        if (!oxl_json_get_int(v->parent, v->key, &n)) {
                bad(r, "must be a whole number");
                return false;
        }
        if (n < min || n > max) {
                bad(r, "%" PRId64 " is %s %" PRId64, n, n < min ? "below" : "above", n < min ? min : max);
                return false;
        }
        *ret = n;
        return true;
}

static bool boolean(struct reading *r, const struct value *v, bool *ret)
{
        return is_type(r, v->self, 't', "true or false") && oxl_json_get_bool(v->parent, v->key, ret);
}

static void path_value(struct reading *r, const struct value *v, bool may_be_empty, char **to)
{
        const char *text = text_of(r, v);

        if (!text)
                return;
        if (!*text && may_be_empty) {
                free(*to);
                *to = NULL;
        } else if (text[0] != '/') {
                bad(r, "must be an absolute path");
        } else if (strlen(text) >= 4096) {
                bad(r, "is longer than a path can be");
        } else {
                keep(r, to, text);
        }
}

static void read_days(struct reading *r, const struct value *v)
{
        int64_t n;
        if (integer(r, v, 1, 3650, &n))
                ((struct config_scrub *)v->to)->contract.days = (uint32_t)n;
}

static void read_pressure(struct reading *r, const struct value *v)
{
        int64_t n;
        if (integer(r, v, 0, 100, &n))
                ((struct config_scrub *)v->to)->contract.pressure = (uint32_t)n;
}

static void read_media(struct reading *r, const struct value *v)
{
        boolean(r, v, &((struct config_scrub *)v->to)->contract.media);
}

static void read_repair(struct reading *r, const struct value *v)
{
        boolean(r, v, &((struct config_scrub *)v->to)->contract.repair);
}

static void read_from(struct reading *r, const struct value *v)
{
        path_value(r, v, true, &((struct config_scrub *)v->to)->from);
}

static void read_rate(struct reading *r, const struct value *v)
{
        uint64_t *to = &((struct config_scrub *)v->to)->contract.rate_max;
        const char *text = oxl_json_text(v->self);
        int64_t n;

        if (text) {
                if (!size_parse(text, to))
                        bad(r, "'%s' is not a size such as \"50MiB\"", text);
        } else if (type_of(v->self) != '0') {
                bad(r, "must be a number of bytes, or a text such as \"50MiB\"");
        } else if (integer(r, v, 0, INT64_C(1) << 53, &n)) {
                *to = (uint64_t)n;
        }
}

/* "HH:MM" -> minutes; 24:00 is the end of the day. */
static bool clock_time(const char *p, int *ret)
{
        for (int i = 0; i < 5; i++)
                if (i == 2 ? p[i] != ':' : !isdigit((unsigned char)p[i]))
                        return false;
        int hours = (p[0] - '0') * 10 + (p[1] - '0'), minutes = (p[3] - '0') * 10 + (p[4] - '0');
        if (minutes > 59 || hours * 60 + minutes > 24 * 60)
                return false;
        *ret = hours * 60 + minutes;
        return true;
}

static void read_window(struct reading *r, const struct value *v)
{
        struct oxl_scrub_contract *c = &((struct config_scrub *)v->to)->contract;
        const char *text = text_of(r, v);
        int begin = 0, end = 0;

        if (!text)
                return;
        if (*text &&
            (strlen(text) != 11 || !clock_time(text, &begin) || text[5] != '-' || !clock_time(text + 6, &end))) {
                bad(r, "'%s' is not a window such as \"22:00-06:00\"", text);
                return;
        }
        c->window_begin = begin % (24 * 60);
        c->window_end = begin == end ? c->window_begin : end == 24 * 60 ? 0 : end;
}

/* --- sections ------------------------------------------------------------------------------------------------------- */

static void read_rows(struct reading *r, const struct oxl_json *object, const struct row *rows, void *to)
{
        const struct oxl_json *self = NULL;
        const char *key = NULL;
        size_t pos = 0;

        while (oxl_json_member(object, &pos, &key, &self)) {
                const struct row *row = rows;
                while (row->key && strcmp(row->key, key) != 0)
                        row++;
                size_t before = enter(r, key);
                struct value v = { object, self, key, (char *)to + row->offset };
                if (row->key)
                        row->read(r, &v);
                else
                        bad(r, "unknown key");
                leave(r, before);
        }
}

static void read_scrub(struct reading *r, const struct value *v)
{
        static const struct row rows[] = {
                { "days", read_days, 0 },     { "rate_max", read_rate, 0 },     { "media", read_media, 0 },
                { "window", read_window, 0 }, { "pressure", read_pressure, 0 }, { 0 },
        };
        if (is_type(r, v->self, '{', "an object"))
                read_rows(r, v->self, rows, &r->config->scrub);
}

static void read_repair_section(struct reading *r, const struct value *v)
{
        static const struct row rows[] = {
                { "automatic", read_repair, 0 },
                { "from", read_from, 0 },
                { 0 },
        };
        if (is_type(r, v->self, '{', "an object"))
                read_rows(r, v->self, rows, &r->config->scrub);
}

static void read_flag(struct reading *r, const struct value *v)
{
        boolean(r, v, v->to);
}

static void read_switch(struct reading *r, const struct value *v)
{
        static const struct row rows[] = { { "enabled", read_flag, 0 }, { 0 } };
        if (is_type(r, v->self, '{', "an object"))
                read_rows(r, v->self, rows, v->to);
}

static void read_path(struct reading *r, const struct value *v)
{
        path_value(r, v, false, v->to);
}

static void read_textfile(struct reading *r, const struct value *v)
{
        path_value(r, v, true, v->to);
}

static void read_socket_path(struct reading *r, const struct value *v)
{
        const char *text = oxl_json_text(v->self);
        if (text && strlen(text) >= 108)
                bad(r, "is longer than the 107 bytes of a socket's name");
        else
                path_value(r, v, false, v->to);
}

static void read_name(struct reading *r, const struct value *v)
{
        const char *text = text_of(r, v);
        if (text && !*text)
                bad(r, "must not be empty");
        else if (text)
                keep(r, v->to, text);
}

static void read_socket(struct reading *r, const struct value *v)
{
        static const struct row rows[] = {
                { "path", read_socket_path, offsetof(struct config, socket_path) },
                { "group", read_name, offsetof(struct config, socket_group) },
                { 0 },
        };
        if (is_type(r, v->self, '{', "an object"))
                read_rows(r, v->self, rows, r->config);
}

static void read_metrics(struct reading *r, const struct value *v)
{
        static const struct row rows[] = {
                { "textfile", read_textfile, offsetof(struct config, textfile) },
                { 0 },
        };
        if (is_type(r, v->self, '{', "an object"))
                read_rows(r, v->self, rows, r->config);
}

/* --- repositories ----------------------------------------------------------------------------------------------------- */

static void read_kind(struct reading *r, const struct value *v)
{
        static const char *const kinds[] = {
                [CONFIG_AUTO] = "auto", [CONFIG_NATIVE] = "native", [CONFIG_OXEN] = "oxen"
        };
        const char *text = text_of(r, v);

        for (size_t i = 0; text && i < ARRAY_LEN(kinds); i++) {
                if (strcmp(kinds[i], text) == 0) {
                        *(enum config_kind *)v->to = (enum config_kind)i;
                        return;
                }
        }
        if (text)
                bad(r, "'%s' is not one of auto, native, oxen", text);
}

/* An entry inherits what the sections say, so this runs after they were read. */
static void read_repository(struct reading *r, const struct oxl_json *item, struct config_repository *to)
{
        static const struct row rows[] = {
                { "path", read_path, offsetof(struct config_repository, path) },
                { "kind", read_kind, offsetof(struct config_repository, kind) },
                { "days", read_days, offsetof(struct config_repository, scrub) },
                { "rate_max", read_rate, offsetof(struct config_repository, scrub) },
                { "window", read_window, offsetof(struct config_repository, scrub) },
                { "media", read_media, offsetof(struct config_repository, scrub) },
                { "repair", read_repair, offsetof(struct config_repository, scrub) },
                { "from", read_from, offsetof(struct config_repository, scrub) },
                { 0 },
        };

        to->scrub.contract = r->config->scrub.contract;
        if (r->config->scrub.from)
                keep(r, &to->scrub.from, r->config->scrub.from);
        if (!is_type(r, item, '{', "an object"))
                return;
        read_rows(r, item, rows, to);
        if (!oxl_json_get(item, "path"))
                bad(r, "\"path\" is missing");
        to->scrub.contract.from = to->scrub.from;
        for (struct config_repository *other = r->config->repositories; to->path && other < to; other++) {
                if (other->path && strcmp(other->path, to->path) == 0) {
                        bad(r, "the same path is in /repositories/%td", other - r->config->repositories);
                        break;
                }
        }
}

static void read_repositories(struct reading *r, const struct oxl_json *list)
{
        const struct oxl_json *item = NULL;
        const char *key = NULL;
        size_t pos = 0, i = 0, n = oxl_json_size(list), before = enter(r, "repositories");

        if (!is_type(r, list, '[', "an array"))
                goto end;
        r->config->repositories = n ? calloc(n, sizeof *r->config->repositories) : NULL;
        if (n && !r->config->repositories) {
                r->no_memory = true;
                goto end;
        }
        r->config->n_repositories = n;
        for (; !r->no_memory && i < n && oxl_json_member(list, &pos, &key, &item); i++) {
                char number[24];
                (void)snprintf(number, sizeof number, "%zu", i);
                size_t inner = enter(r, number);
                read_repository(r, item, &r->config->repositories[i]);
                leave(r, inner);
        }
end:
        leave(r, before);
}

/* --- the document ------------------------------------------------------------------------------------------------------- */

static void skip(struct reading *r, const struct value *v)
{
        (void)r, (void)v;
}

static void read_document(struct reading *r, const struct oxl_json *document)
{
        static const struct row rows[] = {
                { "repositories", skip, 0 }, /* after the others: entries inherit from them */
                { "scrub", read_scrub, 0 },
                { "repair", read_repair_section, 0 },
                { "sweep", read_switch, offsetof(struct config, sweep) },
                { "recover", read_switch, offsetof(struct config, recover) },
                { "socket", read_socket, 0 },
                { "metrics", read_metrics, 0 },
                { "state", read_path, offsetof(struct config, state) },
                { 0 },
        };
        const struct oxl_json *list = NULL;

        if (!is_type(r, document, '{', "an object"))
                return;
        read_rows(r, document, rows, r->config);
        r->config->scrub.contract.from = r->config->scrub.from;
        const struct oxl_json *socket = oxl_json_get(document, "socket");
        r->config->group_given = socket && oxl_json_get(socket, "group");
        list = oxl_json_get(document, "repositories");
        if (list)
                read_repositories(r, list);
        else
                bad(r, "\"repositories\" is missing");
}

static void defaults(struct reading *r, struct config *c)
{
        oxl_scrub_contract_default(&c->scrub.contract);
        c->sweep = c->recover = true;
        keep(r, &c->socket_path, "/run/oxen-lite/control");
        keep(r, &c->socket_group, "oxen-lite");
        keep(r, &c->state, "/var/lib/oxen-lite");
}

int config_parse(const char *text, size_t n, struct config *ret, struct config_errors *errors, struct oxl_error *err)
{
        cleanup(config_done) struct config c = { 0 };
        cleanup_json struct oxl_json *document = NULL;
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        struct reading r = { .config = &c, .errors = errors };

        if (oxl_json_parse(text, n, "daemon.json", &document, &why) < 0) {
                if (why.code == OXL_E_NOMEM)
                        return util_error(err, OXL_E_NOMEM, 0, NULL, NULL);
                bad(&r, "is no JSON: %s", why.detail ? why.detail : "malformed");
        } else {
                defaults(&r, &c);
                read_document(&r, document);
        }
        if (r.no_memory)
                return util_error(err, OXL_E_NOMEM, 0, NULL, NULL);
        if (errors->n)
                return CONFIG_BAD;
        *ret = c;
        c = (struct config){ 0 };
        return 0;
}

int config_load(const char *path, struct config *ret, struct config_errors *errors, struct oxl_error *err)
{
        cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
                return util_error(err, OXL_E_FILE_OPEN, errno, path, NULL);
        cleanup_free char *text = malloc(CONFIG_BYTES_MAX + 1);
        size_t n = 0;

        if (!text)
                return util_error(err, OXL_E_NOMEM, 0, NULL, NULL);
        for (;;) {
                ssize_t got = read(fd, text + n, CONFIG_BYTES_MAX + 1 - n);
                if (got < 0 && errno == EINTR)
                        continue;
                if (got < 0)
                        return util_error(err, OXL_E_FILE_READ, errno, path, NULL);
                if (got == 0)
                        return config_parse(text, n, ret, errors, err);
                n += (size_t)got;
                if (n > CONFIG_BYTES_MAX)
                        return util_error(err, OXL_E_LIMIT, 0, path, "settings have at most 1 MiB");
        }
}

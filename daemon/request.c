/* SPDX-License-Identifier: MIT */
#include "request.h"

#include <string.h>

#include <oxenlite/json.h>

#include "size.h"
#include "util.h"

enum member { MEMBER_REPOSITORY = 1, MEMBER_REPOSITORY_REQUIRED = 2, MEMBER_RATE = 4 };

static const struct {
        const char *name;
        bool changes;
        unsigned members; /* enum member */
} requests[REQUEST_KINDS] = {
        [REQUEST_STATUS] = { "status", false, MEMBER_REPOSITORY },
        [REQUEST_WATCH] = { "watch", false, 0 },
        [REQUEST_FINDINGS] = { "findings", false, MEMBER_REPOSITORY | MEMBER_REPOSITORY_REQUIRED },
        [REQUEST_PAUSE] = { "pause", true, MEMBER_REPOSITORY },
        [REQUEST_RESUME] = { "resume", true, MEMBER_REPOSITORY },
        [REQUEST_SCRUB] = { "scrub", true, MEMBER_REPOSITORY | MEMBER_REPOSITORY_REQUIRED },
        [REQUEST_LIMIT] = { "limit", true, MEMBER_RATE },
        [REQUEST_RELOAD] = { "reload", true, 0 },
};

void request_done(struct request *r)
{
        free(r->repository);
        *r = (struct request){ 0 };
}

bool request_changes(enum request_do what)
{
        return requests[what].changes;
}

static int refuse(struct oxl_error *err, const char *why)
{
        return util_error(err, OXL_E_DAEMON_REQUEST, 0, "request", why);
}

/* Bytes per second: a number, or a text such as "50MiB" (64-bit numbers travel as texts). */
static bool read_rate(const struct oxl_json *object, uint64_t *ret)
{
        const char *text = oxl_json_get_string(object, "rate");
        int64_t n = -1;

        if (text)
                return size_parse(text, ret);
        if (!oxl_json_get_int(object, "rate", &n) || n < 0)
                return false;
        *ret = (uint64_t)n;
        return true;
}

static bool known_member(enum request_do what, const char *key)
{
        if (strcmp(key, "do") == 0)
                return true;
        if (strcmp(key, "repository") == 0 || strcmp(key, "repository_bytes") == 0)
                return requests[what].members & MEMBER_REPOSITORY;
        return strcmp(key, "rate") == 0 && requests[what].members & MEMBER_RATE;
}

static int read_members(const struct oxl_json *object, struct request *r, struct oxl_error *err)
{
        const struct oxl_json *value = NULL;
        const char *key = NULL;
        size_t pos = 0, n = 0;

        while (oxl_json_member(object, &pos, &key, &value))
                if (!known_member(r->what, key))
                        return refuse(err, "has a member that it does not take");
        if (oxl_json_get(object, "repository") &&
            (!oxl_json_get_name(object, "repository", &r->repository, &n) || n == 0 || strlen(r->repository) != n))
                return refuse(err, "\"repository\" must be a path");
        if (!r->repository && requests[r->what].members & MEMBER_REPOSITORY_REQUIRED)
                return refuse(err, "\"repository\" is missing");
        if (requests[r->what].members & MEMBER_RATE && !read_rate(object, &r->rate))
                return refuse(err, "\"rate\" must be bytes per second, or a text such as \"50MiB\"");
        return 0;
}

int request_parse(const char *line, size_t n, struct request *ret, bool *ret_malformed, struct oxl_error *err)
{
        cleanup_json struct oxl_json *object = NULL;
        cleanup(request_done) struct request r = { 0 };
        cleanup_error struct oxl_error why = OXL_ERROR_INIT;
        size_t what = 0;

        *ret_malformed = false;
        if (oxl_json_parse(line, n, "request", &object, &why) < 0) {
                if (why.code == OXL_E_NOMEM)
                        return util_error(err, OXL_E_NOMEM, 0, NULL, NULL);
                *ret_malformed = true;
                return refuse(err, "is not one JSON object on one line");
        }
        const char *name = oxl_json_get_string(object, "do");
        while (name && what < REQUEST_KINDS && strcmp(requests[what].name, name) != 0)
                what++;
        if (!name || what == REQUEST_KINDS)
                return refuse(err, "\"do\" is none of status, watch, findings, pause, resume, scrub, limit, reload");
        r.what = (enum request_do)what;
        int e = read_members(object, &r, err);
        if (e < 0)
                return e;
        *ret = r;
        r = (struct request){ 0 };
        return 0;
}

/* --- HTTP ------------------------------------------------------------------------------------------------------------- */

enum request_protocol request_protocol(const char *bytes, size_t n)
{
        size_t letters = 0;

        while (letters < n && letters <= REQUEST_METHOD_MAX && bytes[letters] >= 'A' && bytes[letters] <= 'Z')
                letters++;
        if (letters > REQUEST_METHOD_MAX || (letters < n && (letters == 0 || bytes[letters] != ' ')))
                return REQUEST_JSON;
        return letters < n ? REQUEST_HTTP : REQUEST_UNDECIDED;
}

size_t request_http_length(const char *bytes, size_t n)
{
        const char *end = bytes + n;

        for (const char *p = memchr(bytes, '\n', n); p; p = memchr(p + 1, '\n', (size_t)(end - p - 1))) {
                if (end - p > 1 && p[1] == '\n')
                        return (size_t)(p + 2 - bytes);
                if (end - p > 2 && p[1] == '\r' && p[2] == '\n')
                        return (size_t)(p + 3 - bytes);
                if (p + 1 == end)
                        break;
        }
        return 0;
}

enum request_page request_http_page(const char *bytes, size_t n)
{
        static const struct {
                const char *path;
                enum request_page page;
        } pages[] = { { "/metrics", REQUEST_PAGE_METRICS }, { "/healthz", REQUEST_PAGE_HEALTH } };
        const char *path = bytes + 4, *end = bytes + n;
        size_t length = 0;

        if (n < 4 || memcmp(bytes, "GET ", 4) != 0)
                return REQUEST_PAGE_METHOD;
        while (path + length < end && !memchr(" \t\r\n?", path[length], 5))
                length++;
        for (size_t i = 0; i < ARRAY_LEN(pages); i++)
                if (strlen(pages[i].path) == length && memcmp(pages[i].path, path, length) == 0)
                        return pages[i].page;
        return REQUEST_PAGE_NONE;
}

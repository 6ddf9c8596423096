/* SPDX-License-Identifier: MIT */
/*
 * What a client of the control socket may say (docs/DAEMON.md): one JSON object a line, or an HTTP GET. Parsing touches nothing else, so
 * that it can be fuzzed. Strict: a member that the request does not have is an error, not ignored.
 */
#ifndef OXEN_LITED_REQUEST_H
#define OXEN_LITED_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <oxenlite/error.h>

enum {
        REQUEST_METHOD_MAX = 15,       /* letters of an HTTP method */
        REQUEST_BYTES_MAX = 64 * 1024, /* a line, or the head of an HTTP request */
};

enum request_do {
        REQUEST_STATUS = 0,
        REQUEST_WATCH,
        REQUEST_FINDINGS,
        REQUEST_PAUSE,
        REQUEST_RESUME,
        REQUEST_SCRUB,
        REQUEST_LIMIT,
        REQUEST_RELOAD,
        REQUEST_KINDS, /* how many there are */
};

struct request {
        enum request_do what;
        char *repository; /* owned; NULL: none given */
        uint64_t rate;    /* REQUEST_LIMIT */
};
void request_done(struct request *r);

/* Only root and the service user may ask for it. */
bool request_changes(enum request_do what);

/* @line without the newline. 0; -DAEMON_REQUEST with *ret_malformed: whether it was no JSON at all, after which nothing can be
 * trusted; -NOMEM. */
OXL_MUST_CHECK int request_parse(const char *line, size_t n, struct request *ret, bool *ret_malformed,
                                 struct oxl_error *err);

/* What the first bytes of a connection say: HTTP begins with capitals and a space (a method), JSON with neither. */
enum request_protocol {
        REQUEST_UNDECIDED = 0, /* more bytes are needed */
        REQUEST_JSON,
        REQUEST_HTTP,
};
enum request_protocol request_protocol(const char *bytes, size_t n);

/* Is the head of an HTTP request complete? 0: not yet; else its length. */
size_t request_http_length(const char *bytes, size_t n);

enum request_page {
        REQUEST_PAGE_NONE = 0,
        REQUEST_PAGE_METHOD, /* it is no GET */
        REQUEST_PAGE_METRICS,
        REQUEST_PAGE_HEALTH,
};
/* Which page the complete head @bytes asks for. */
enum request_page request_http_page(const char *bytes, size_t n);

#endif

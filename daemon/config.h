/* SPDX-License-Identifier: MIT */
/*
 * daemon.json: settings of the service. Parsing touches no file and no network, so that it can be fuzzed; it reports every error, each
 * with the JSON pointer (RFC 6901) of the value. schema/json/daemon-config.json says the same to editors; tests/unit/daemon_config.c
 * holds the two together.
 */
#ifndef OXEN_LITED_CONFIG_H
#define OXEN_LITED_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include <oxenlite/error.h>
#include <oxenlite/scrub.h>

enum {
        CONFIG_BYTES_MAX = 1 << 20,
        CONFIG_ERRORS_MAX = 100, /* more are counted, not listed */
        CONFIG_BAD = 1,
};

enum config_kind { CONFIG_AUTO = 0, CONFIG_NATIVE, CONFIG_OXEN };

/* What holds for one entry of "repositories", or for all of them. */
struct config_scrub {
        struct oxl_scrub_contract contract; /* its `from` points to @from */
        char *from;                         /* owned; NULL: none */
};

struct config_repository {
        char *path; /* owned; absolute; a pattern for glob(3) when it has one of *?[ */
        enum config_kind kind;
        struct config_scrub scrub;
};

struct config {
        struct config_repository *repositories;
        size_t n_repositories;
        struct config_scrub scrub;
        bool sweep, recover;
        char *socket_path, *socket_group;
        bool group_given; /* else the default, which need not exist */
        char *textfile;   /* NULL: none */
        char *state;
};
void config_done(struct config *c);

struct config_errors {
        char **lines; /* "/repositories/2/days: 0 is below 1" */
        size_t n, more;
};
void config_errors_done(struct config_errors *e);

/* 0; CONFIG_BAD with at least one line in @errors, *ret untouched; NOMEM. */
OXL_MUST_CHECK int config_parse(const char *text, size_t n, struct config *ret, struct config_errors *errors,
                                struct oxl_error *err);
/* The same from a file. A file that cannot be read, or that is too long: FILE_OPEN, FILE_READ, LIMIT. */
OXL_MUST_CHECK int config_load(const char *path, struct config *ret, struct config_errors *errors,
                               struct oxl_error *err);

bool config_is_pattern(const char *path);

#endif

/* SPDX-License-Identifier: MIT */
/* daemon report --html: one page made of the daemon's answers to status and findings. */
#ifndef OXL_CLI_DAEMON_HTML_H
#define OXL_CLI_DAEMON_HTML_H

#include "html.h"

struct daemon_html {
        struct html sections; /* of repositories */
        uint64_t repositories, damaged, late, unknown;
};

void daemon_html_done(struct daemon_html *d);
/* @row: of "repositories"; @answer: that repository's, to findings; NULL: it has none. NOMEM. */
int daemon_html_add(struct daemon_html *d, const struct oxl_json *row, const struct oxl_json *answer,
                    struct oxl_error *err);
int daemon_html_write(const struct daemon_html *d, const struct oxl_json *status, const char *file,
                      struct oxl_error *err);

#endif

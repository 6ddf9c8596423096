/* SPDX-License-Identifier: MIT */
/* fsck --html: the report of one check. Findings are kept as they come; the page is made when the check has ended. */
#ifndef OXL_CLI_FSCK_HTML_H
#define OXL_CLI_FSCK_HTML_H

#include <oxenlite/check.h>

#include "html.h"

enum { FSCK_HTML_FINDINGS = 5000 };

struct fsck_html {
        struct html findings;
        uint64_t shown, more; /* @more: beyond FSCK_HTML_FINDINGS */
        char **damaged;       /* paths, sorted at the end */
        size_t n, cap;
        char **unreadable;
        size_t n_unreadable, cap_unreadable;
        enum oxl_severity worst; /* 0: nothing above a note */
};

void fsck_html_done(struct fsck_html *f);
/* NOMEM. */
int fsck_html_add(struct fsck_html *f, const struct oxl_finding *x, struct oxl_error *err);
int fsck_html_write(struct fsck_html *f, struct cli *c, const char *file, const struct oxl_check_result *done,
                    int status, struct oxl_error *err);

#endif

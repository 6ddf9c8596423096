/* SPDX-License-Identifier: MIT */
/* fsck's two commands in one: a repository of ours (cmd_fsck.c), and an Oxen store (fsck_oxen.c). They show findings alike. */
#ifndef OXL_CLI_FSCK_H
#define OXL_CLI_FSCK_H

#include <oxenlite/check.h>

#include "cli.h"

enum { FSCK_CLEAN = 0, FSCK_REPAIRED = 1, FSCK_LEFT = 4, FSCK_UNCHECKED = 8 };

/* One finding, as text or as a row of "findings". */
void fsck_show(struct cli *c, const struct oxl_finding *f);
const char *fsck_severity_text(enum oxl_severity s);
/* "clean", "repaired", "problems", "incomplete" */
const char *fsck_result_text(int status);

/* fsck_options.c: how much is read. Was any option given that says so? */
bool fsck_limited(const struct cli *c);
int fsck_options_read(struct cli *c, struct oxl_check_options *ret, struct oxl_error *err);
/* What was read, what was left out and why: members "complete" and "extent", or lines behind the summary. */
void fsck_extent_json(const struct cli *c, struct oxl_json *o, const struct oxl_check_result *done);
void fsck_extent_text(struct cli *c, const struct oxl_check_result *done);

/* The member "checked". */
struct oxl_json *fsck_checked_json(const struct oxl_check_result *done);

/* fsck_repair.c: was any of its options given? */
bool fsck_repair_wanted(const struct cli *c);

command_fn fsck_oxen, fsck_repair;

#endif

/* SPDX-License-Identifier: MIT */
/* fsck's two commands in one: a repository of ours (cmd_fsck.c), and an Oxen store (fsck_oxen.c). They show findings alike. */
#ifndef OXL_CLI_FSCK_H
#define OXL_CLI_FSCK_H

#include <oxenlite/check.h>

#include "cli.h"

enum { FSCK_CLEAN = 0, FSCK_REPAIRED = 1, FSCK_LEFT = 4, FSCK_UNCHECKED = 8 };

/* One finding, as text or as a row of "findings". */
void fsck_show(struct cli *c, const struct oxl_finding *f);
/* "clean", "repaired", "problems", "incomplete" */
const char *fsck_result_text(int status);

command_fn fsck_oxen;

#endif

/* SPDX-License-Identifier: MIT */
/*
 * `.oxenliteignore`: which untracked paths are left out. The syntax and its meaning are those of .gitignore (gitignore(5));
 * tests/cli/ignore.sh compares with git. What is tracked is never ignored: callers ask the index first.
 *
 *   A file in a folder speaks about what lies below it, and wins over those further up; in a file the last line that matches
 *   wins. What lies below an ignored folder is ignored, whatever other lines say.
 *
 * Hostile files: at most 1 MiB and 4,096 bytes a line (LIMIT); matching takes time in proportion to the lengths of pattern
 * and path, multiplied, never more. A file that is a symbolic link, or no file at all, is not read; one that cannot be read is an error: without it
 * too much would be added.
 * Threads: one at a time. Memory: the files of the folders from the root to the last path asked for.
 */
#ifndef OXL_REPO_IGNORE_H
#define OXL_REPO_IGNORE_H

#include <stdbool.h>

#include <oxenlite/error.h>

#define OXL_IGNORE_NAME ".oxenliteignore"

struct oxl_ignore;

/* @worktree_fd is borrowed. NOMEM. */
OXL_MUST_CHECK int oxl_ignore_new(int worktree_fd, struct oxl_ignore **ret, struct oxl_error *err);
void oxl_ignore_free(struct oxl_ignore *g);

/* 1: @path is ignored, 0: it is not; its parents are known not to be. Quick when paths come in order. FILE_OPEN, FILE_READ,
 * LIMIT, NOMEM. */
OXL_MUST_CHECK int oxl_ignore_item(struct oxl_ignore *g, const char *path, bool directory, struct oxl_error *err);
/* The same, or one of its parents is. */
OXL_MUST_CHECK int oxl_ignore_path(struct oxl_ignore *g, const char *path, bool directory, struct oxl_error *err);

/* --- one line, for tests --- */
struct oxl_pattern;
/* @line without its end of line; *ret NULL: it says nothing (a comment, empty). LIMIT, NOMEM. */
OXL_MUST_CHECK int oxl_pattern_new(const char *line, struct oxl_pattern **ret, struct oxl_error *err);
void oxl_pattern_free(struct oxl_pattern *p);
bool oxl_pattern_negates(const struct oxl_pattern *p);
/* @path relative to the folder of the file. */
bool oxl_pattern_matches(const struct oxl_pattern *p, const char *path, bool directory);

#endif

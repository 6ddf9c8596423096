/* SPDX-License-Identifier: MIT */
/* A private directory for one test, and files in it. Every function aborts when it cannot do its work. */
#ifndef OXL_TESTS_SUPPORT_PLACE_H
#define OXL_TESTS_SUPPORT_PLACE_H

#include <stdbool.h>
#include <stddef.h>

/* New and empty, absolute and free of links, below $TMPDIR or /tmp. */
char *place_new(void);
/* Removes it with all content; frees. */
void place_free(char *place);

/* "<place>/<name>", malloc'd. */
char *place_path(const char *place, const char *name);
void place_write(const char *place, const char *name, const void *bytes, size_t n);
void place_text(const char *place, const char *name, const char *text);
/* The whole file, malloc'd and NUL-ended. */
char *place_read(const char *place, const char *name, size_t *ret_n);
bool place_has(const char *place, const char *name);
void place_mkdir(const char *place, const char *name);
/* Entries of a directory, "." and ".." left out. */
size_t place_count(const char *place, const char *name);
int place_open(const char *place, const char *name, int flags);

#endif

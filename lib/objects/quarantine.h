/* SPDX-License-Identifier: MIT */
/*
 * The way into quarantine: what is about to be replaced gets a second name there, with a note, before anything is put over it.
 *
 *      quarantine/<id>/<n>/note   JSON: finding, slug, path, expected, actual, size, inode, source, object
 *      quarantine/<id>/<n>/data   the file itself (a second link to it, or a copy where the file system has no links)
 *
 * The note is durable before the link is made, and both are before the call returns. What a crash leaves: a note
 * without data, or data that is still in its place as well: harmless, and taken away by the recovery of a repair's intent.
 * Listing, undoing and purging are lib/check/quarantine.c's.
 */
#ifndef OXL_OBJECTS_QUARANTINE_H
#define OXL_OBJECTS_QUARANTINE_H

#include <stdatomic.h>

#include "durable/durable.h"

#define OXL_QUARANTINE "quarantine"
#define OXL_QUARANTINE_NOTE_SCHEMA "oxen-lite.quarantine/1"

enum { OXL_QUARANTINE_ID_BYTES = 32, OXL_QUARANTINE_FOLDER_BYTES = 64 };

/* An id for everything that one run moves: sorted by time for people; the random part keeps two runs of one second apart. RANDOM. */
OXL_MUST_CHECK int oxl_quarantine_id(char ret[OXL_QUARANTINE_ID_BYTES], struct oxl_error *err);

struct oxl_quarantine_note { /* borrowed; texts may be NULL */
        const char *finding, *slug, *object, *expected, *actual, *source;
};

/* Keeps the file @path (below @root_fd, which is @d's root) as entry @n of @id. 0 kept; 1 there is nothing at @path. UNSUPPORTED: it
 * is no regular file; FILE_STAT, FILE_LINK, what a durable write says. */
OXL_MUST_CHECK int oxl_quarantine_put(struct oxl_durable *d, int root_fd, const char *id, unsigned n, const char *path,
                                      const struct oxl_quarantine_note *note, const atomic_bool *cancel,
                                      struct oxl_error *err);

/* "quarantine/<id>/<n>" */
void oxl_quarantine_folder(const char *id, unsigned n, char ret[OXL_QUARANTINE_FOLDER_BYTES]);

#endif

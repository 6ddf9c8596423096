/* SPDX-License-Identifier: MIT */
/*
 * versions/packs/lookup, docs/FORMAT.md section 4.4: one sorted list over most packs. Derived and not synced: whoever
 * gets a hit checks the record that it points to, and a lookup that cannot be used is as good as none.
 * The file is read by pread, a few blocks per question.
 */
#ifndef OXL_OBJECTS_LOOKUP_H
#define OXL_OBJECTS_LOOKUP_H

#include "objects/objects.h"

#define OXL_LOOKUP_PATH "versions/packs/lookup"
#define OXL_LOOKUP_ENTRY_BYTES 48

struct oxl_lookup;

struct oxl_lookup_hit {
        uint8_t id[OXL_DIGEST_BYTES];
        uint32_t pack; /* position in the list of packs */
        uint32_t kind;
        uint64_t offset;
};

enum { OXL_LOOKUP_NONE = 1, OXL_LOOKUP_UNREADABLE = 2 };

/* 0; OXL_LOOKUP_NONE: there is none, or it makes no sense; OXL_LOOKUP_UNREADABLE: an I/O error, and *err says which. NOMEM. */
OXL_MUST_CHECK int oxl_lookup_open(int root_fd, struct oxl_lookup **ret, struct oxl_error *err);
void oxl_lookup_free(struct oxl_lookup *l);

/* The errno of the first read that failed since this was asked last; 0: none. A lookup that cannot be read is as good as none,
 * but somebody may want to know. */
int oxl_lookup_take_os(struct oxl_lookup *l);

/* Is the file at the path still the one that was opened? */
bool oxl_lookup_current(struct oxl_lookup *l, int root_fd);

uint64_t oxl_lookup_packs(const struct oxl_lookup *l);
uint64_t oxl_lookup_entries(const struct oxl_lookup *l);
/* Id of the pack at position @i. */
void oxl_lookup_pack(const struct oxl_lookup *l, uint64_t i, struct oxl_digest *ret);
/* Position of a pack in the list, or UINT32_MAX. */
uint32_t oxl_lookup_pack_position(const struct oxl_lookup *l, const struct oxl_digest *id);

/* Position of the first entry whose digest is @id or greater. Any failure to read is OXL_LOOKUP_NONE. */
OXL_MUST_CHECK int oxl_lookup_lower_bound(struct oxl_lookup *l, const uint8_t id[OXL_DIGEST_BYTES], uint64_t *ret);
/* Entry @i; OXL_LOOKUP_NONE behind the end or when it cannot be read. */
OXL_MUST_CHECK int oxl_lookup_at(struct oxl_lookup *l, uint64_t i, struct oxl_lookup_hit *ret);

void oxl_lookup_entry_encode(const struct oxl_lookup_hit *hit, uint8_t ret[OXL_LOOKUP_ENTRY_BYTES]);

/* Reads everything once. True: in order and sealed for the repository @id. */
bool oxl_lookup_sealed(struct oxl_lookup *l, const struct oxl_repo_id *id);

/* --- writing --- */

/* A pack that the new lookup covers. */
struct oxl_lookup_source {
        struct oxl_digest id;
        uint32_t old; /* its position in the old lookup, whose entries are taken; UINT32_MAX: they are in `hits` */
};

/* Writes a new lookup over @packs (sorted by id): the entries of the old one (may be NULL) for packs that have a place
 * there, merged with @hits (@count of them in any order, `pack` meaning the position in @packs; they are sorted).
 * Visible afterwards, not durable. What lib/durable says. */
OXL_MUST_CHECK int oxl_lookup_write(struct oxl_durable *d, const struct oxl_repo_id *id, struct oxl_lookup *old,
                                    const struct oxl_lookup_source *packs, size_t n, struct oxl_lookup_hit *hits,
                                    size_t count, struct oxl_error *err);

#endif

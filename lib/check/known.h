/* SPDX-License-Identifier: MIT */
/*
 * What is known about each object: an open-addressing table by the first 16 bytes of its digest.
 *
 * 24 bytes a slot, at most 3/4 of the slots in use, doubled when full: 32 to 64 bytes an object, 96 while it grows.
 * Digests are evenly spread already; somebody who chooses colliding ones slows down only the check of his own store.
 */
#ifndef OXL_CHECK_KNOWN_H
#define OXL_CHECK_KNOWN_H

#include <oxenlite/digest.h>
#include <oxenlite/error.h>

enum oxl_known_flags {
        OXL_KNOWN_WHOLE = 1 << 0,      /* a copy verified (or left out of the reading: has a name) */
        OXL_KNOWN_NEEDED = 1 << 1,     /* a ref, the index or an intent leads here; trees: walked */
        OXL_KNOWN_BAD = 1 << 2,        /* on the list of findings, or a tree that leads to one */
        OXL_KNOWN_UNREADABLE = 1 << 3, /* could not be read: said already, and no damage */
        OXL_KNOWN_READ = 1 << 4,       /* whole, and seen to be so by this run */
        OXL_KNOWN_UNTOLD = 1 << 5,     /* BAD, but needed by the operation log only: no finding of its own */
        OXL_KNOWN_USED = 1 << 7,       /* the slot is taken */
};

struct oxl_known_slot {
        uint8_t id[16];
        uint8_t size[7]; /* little-endian: bytes of a blob; of a tree: of all files below */
        uint8_t flags;   /* enum oxl_known_flags; OXL_KNOWN_USED */
};

struct oxl_known {
        struct oxl_known_slot *slots; /* owned */
        size_t cap, used;
};
#define OXL_KNOWN_INIT { 0 }

uint64_t oxl_known_size(const struct oxl_known_slot *s);
void oxl_known_set_size(struct oxl_known_slot *s, uint64_t size);

/* The slot of @id, made when it is not there (all zero but the id); valid until the next put. NOMEM. */
OXL_MUST_CHECK int oxl_known_put(struct oxl_known *k, const struct oxl_digest *id, struct oxl_known_slot **ret,
                                 struct oxl_error *err);
/* The slot of @id, or NULL. */
struct oxl_known_slot *oxl_known_find(const struct oxl_known *k, const struct oxl_digest *id);
/* Objects whose flags, masked with @mask, equal @want. */
uint64_t oxl_known_count(const struct oxl_known *k, unsigned mask, unsigned want);
void oxl_known_done(struct oxl_known *k);

#endif

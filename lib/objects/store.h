/* SPDX-License-Identifier: MIT */
/*
 * Inside the object store: which packs there are, and the search for copies of an object. objects.c reads through it,
 * put.c asks it before it writes.
 */
#ifndef OXL_OBJECTS_STORE_H
#define OXL_OBJECTS_STORE_H

#include "objects/lookup.h"
#include "objects/loose.h"
#include "objects/pack.h"

struct oxl_store_pack {
        struct oxl_digest id;
        struct oxl_pack *open;   /* NULL: closed */
        uint64_t used;           /* clock of the last use */
        bool covered;            /* by the lookup: asked through it */
        bool listed;             /* seen by the listing that is going on */
        bool fresh;              /* new since the last listing */
        struct oxl_error broken; /* damage of its index, found once: not read again. Empty: none */
};

struct oxl_objects {
        struct oxl_objects_config config;
        struct oxl_store_pack *packs; /* sorted by id */
        size_t count, cap, open;
        uint64_t clock;
        bool listed;
        struct oxl_lookup *lookup;
        bool lookup_proven;   /* agrees with the indexes of all packs that it covers */
        struct oxl_buf bytes; /* of small blobs that are verified before they are handed out */
};

/* One stored copy. */
struct oxl_copy {
        struct oxl_pack *pack; /* NULL: loose */
        struct oxl_pack_entry entry;
        int fd; /* loose; owned */
        uint64_t size;
        char name[OXL_LOOSE_PATH_MAX]; /* for messages */
};
#define OXL_COPY_INIT    \
        {                \
                .fd = -1 \
        }
void oxl_copy_done(struct oxl_copy *c);
#define cleanup_copy cleanup(oxl_copy_done)

/* Reads the whole copy once, hashing as @kind; pieces go to @sink (may be NULL), holes of loose files as NULL. */
OXL_MUST_CHECK int oxl_copy_scan(const struct oxl_objects *o, struct oxl_copy *c, enum oxl_kind kind, oxl_sink_fn *sink,
                                 void *ctx, const atomic_bool *cancel, struct oxl_digest *ret, struct oxl_error *err);
/* Reads all bytes (copy->size of them) into @buf. */
OXL_MUST_CHECK int oxl_copy_read(struct oxl_copy *c, void *buf, struct oxl_error *err);
OXL_MUST_CHECK int oxl_copy_corrupt(const struct oxl_copy *c, const struct oxl_digest *want,
                                    const struct oxl_digest *got, struct oxl_error *err);

/* Judges a copy: 0 good, the search ends and the copy is kept; MALFORMED, SEAL, OBJECT_CORRUPT, LIMIT, FILE_*: the next
 * copy is tried; every other error ends the search. */
typedef int oxl_copy_fn(void *ctx, struct oxl_copy *c, struct oxl_error *err);

struct oxl_search {
        struct oxl_objects *o;
        enum oxl_kind kind;
        const struct oxl_digest *id;
        oxl_copy_fn *judge; /* NULL: any copy is good */
        void *ctx;
        bool no_loose; /* the caller knows that no loose file has the name, and a miss would only cost a copy */
        bool thorough; /* before "none" is said, list the packs again and prove the lookup */
        /* results */
        struct oxl_copy copy;   /* the good one */
        unsigned copies;        /* copies that were judged */
        bool copy_unreadable;   /* one of them, or the list of packs, could not be read: an I/O error */
        struct oxl_error worst; /* why no copy was good, when anything was wrong */
        int worst_rank;
        bool contradiction; /* the lookup led astray */
};
void oxl_search_done(struct oxl_search *s);
#define cleanup_search cleanup(oxl_search_done)

enum { OXL_SEARCH_NONE = 1 };

/* 0: s->copy is good. OXL_SEARCH_NONE: none is, s->worst may say why. < 0: the search could not go on. */
OXL_MUST_CHECK int oxl_search_run(struct oxl_search *s, struct oxl_error *err);

/* Lists the packs unless they are listed already. */
OXL_MUST_CHECK int oxl_store_list(struct oxl_objects *o, struct oxl_error *err);
/* Opens pack @i (@index: with its index). *ret is borrowed until the next call. */
OXL_MUST_CHECK int oxl_store_pack(struct oxl_objects *o, size_t i, bool index, struct oxl_pack **ret,
                                  struct oxl_error *err);
/* Where a packed copy of the blob @id should be: the first that the lookup or an index names; nothing of the copy is read. 0: *ret is
 * borrowed until the next call; OXL_SEARCH_NONE: not known, for whatever reason. */
int oxl_store_locate(struct oxl_objects *o, const struct oxl_digest *id, struct oxl_pack **ret, uint64_t *ret_offset);
/* Compares the lookup with the packs that it covers and drops it when they disagree: > 0. 0: nothing to say against it.
 * Failures to read a pack go to *worst (see oxl_search). */
OXL_MUST_CHECK int oxl_store_prove_lookup(struct oxl_objects *o, struct oxl_search *s, struct oxl_error *err);
void oxl_store_drop_lookup(struct oxl_objects *o);
/* Closes and forgets everything. */
void oxl_store_forget(struct oxl_objects *o);

/* Starts a hasher as objects of @kind are named. */
void oxl_store_hasher(const struct oxl_objects *o, enum oxl_kind kind, struct oxl_hasher *ret);

/* For tests: packs of this session end at @bytes instead of 1 GiB. */
void oxl_put_limit_packs(struct oxl_put *p, uint64_t bytes);

#endif

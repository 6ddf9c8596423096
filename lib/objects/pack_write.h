/* SPDX-License-Identifier: MIT */
/*
 * Writing one pack: docs/FORMAT.md section 4.3.
 *
 *      oxl_pack_writer_new -> oxl_pack_writer_add ... -> oxl_pack_writer_finish -> oxl_stage_sync -> oxl_stage_publish
 *
 * The file grows in a temp of versions/tmp and has its name only after finish. In memory: one buffer, and per record 56
 * bytes and one or two slots of 4. A crash leaves the temp, for the sweeper.
 */
#ifndef OXL_OBJECTS_PACK_WRITE_H
#define OXL_OBJECTS_PACK_WRITE_H

#include "objects/pack.h"

struct oxl_pack_writer;

/* Begins a pack: header written. RANDOM, NOMEM and what oxl_stage_open says. */
OXL_MUST_CHECK int oxl_pack_writer_new(struct oxl_durable *d, const struct oxl_repo_id *repo,
                                       struct oxl_pack_writer **ret, struct oxl_error *err);
/* Removes the temp unless it was published; _leave keeps it. NULL is fine. */
void oxl_pack_writer_free(struct oxl_pack_writer *w);
void oxl_pack_writer_leave(struct oxl_pack_writer *w);

/* Would the finished pack stay within @limit bytes and the record limit with one more object of @n bytes? */
bool oxl_pack_writer_fits(const struct oxl_pack_writer *w, enum oxl_kind kind, uint64_t n, uint64_t limit);

/* Appends an object that is not in the pack yet. FILE_WRITE, NOMEM. */
OXL_MUST_CHECK int oxl_pack_writer_add(struct oxl_pack_writer *w, enum oxl_kind kind, const struct oxl_digest *id,
                                       const void *bytes, size_t n, struct oxl_error *err);

/* Is @id in the pack? Then *ret_at and *ret_len say where its payload lies. */
bool oxl_pack_writer_find(const struct oxl_pack_writer *w, enum oxl_kind kind, const struct oxl_digest *id,
                          uint64_t *ret_at, uint64_t *ret_len);
/* Reads back @n bytes of what was added. Not after the stage was synced. FILE_READ, FILE_WRITE. */
OXL_MUST_CHECK int oxl_pack_writer_read(struct oxl_pack_writer *w, uint64_t at, void *buf, size_t n,
                                        struct oxl_error *err);

/* Second copies, index, trailer. Nothing can be added afterwards. FILE_READ, FILE_WRITE, NOMEM. */
OXL_MUST_CHECK int oxl_pack_writer_finish(struct oxl_pack_writer *w, struct oxl_error *err);

/* After finish: the id. The stage, for syncing and publishing, stays the writer's. */
const struct oxl_digest *oxl_pack_writer_id(const struct oxl_pack_writer *w);
struct oxl_stage *oxl_pack_writer_stage(const struct oxl_pack_writer *w);

#endif

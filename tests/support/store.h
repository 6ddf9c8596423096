/* SPDX-License-Identifier: MIT */
/*
 * An object store in a folder of its own, and what tests do to its files behind its back.
 *
 *      struct store s; store_setup(&s, OXL_ALGO_BLAKE3); ... store_teardown(&s);
 *
 * Failures of the helpers fail the test.
 */
#ifndef TESTS_SUPPORT_STORE_H
#define TESTS_SUPPORT_STORE_H

#include "objects/objects.h"

struct store {
        char path[64]; /* of the folder that stands for .oxen-lite */
        int root_fd;
        struct oxl_objects_config config;
        struct oxl_durable *durable;
        struct oxl_objects *objects;
        struct oxl_error err; /* of the last call that was given it */
};

void store_setup(struct store *s, enum oxl_algo algo);
void store_teardown(struct store *s);
/* Closes and opens the store, after config was changed or to begin without anything cached. */
void store_reopen(struct store *s);

/* Stores one object in a session of its own; returns the outcome. */
int store_put(struct store *s, enum oxl_kind kind, const void *bytes, size_t n, struct oxl_digest *ret_id);
/* The same for a file that is made with this content. */
int store_put_file(struct store *s, const void *bytes, size_t n, struct oxl_digest *ret_id);
/* finish, publish, barrier, free. */
void store_end(struct store *s, struct oxl_put *p);

/* Reads the object back and compares. */
void store_expect(struct store *s, enum oxl_kind kind, const struct oxl_digest *id, const void *bytes, size_t n);
/* The result of reading it: 0 or the negative code. */
int store_read(struct store *s, enum oxl_kind kind, const struct oxl_digest *id);

/* Files below the folder; @path relative to it. Contents are to be freed. */
uint8_t *store_file(struct store *s, const char *path, size_t *ret_n);
void store_write_file(struct store *s, const char *path, const void *bytes, size_t n);
void store_flip(struct store *s, const char *path, uint64_t byte, unsigned bit);
void store_remove_file(struct store *s, const char *path);
/* Names in a folder, "." and ".." aside; the last one seen is copied to @ret_name (256 bytes, may be NULL). */
size_t store_count(struct store *s, const char *dir, char *ret_name);
/* Path of the only pack. */
void store_only_pack(struct store *s, char ret[96], struct oxl_digest *ret_id);

/* An unnamed file with this content, for oxl_put_file; to be closed. */
int file_with(const void *bytes, size_t n);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The repository object: what the verbs of lib/repo share. Only lib/repo and the layers above it (check, sweep, scrub)
 * look inside.
 *
 * A repository is opened for reading; oxl_repo_begin_write makes it writable: owner byte, durable context, writer lock,
 * journal, recovery, in this order; oxl_repo_end_write gives the locks back (the owner byte stays until close).
 */
#ifndef OXL_REPO_REPO_H
#define OXL_REPO_REPO_H

#include <oxenlite/repo.h>

#include "digest/seal.h"
#include "durable/durable.h"
#include "journal/journal.h"
#include "objects/objects.h"
#include "repo/owner.h"

#define OXL_REPO_DIR ".oxen-lite"

/* Sizes of journal.db-wal at which it is checkpointed: after add, restore and recover; before anything else, commit too. */
#define OXL_WAL_LOW_BYTES (UINT64_C(1) << 20)
#define OXL_WAL_HIGH_BYTES (UINT64_C(16) << 20)

#define OXL_KEEP_DAYS_DEFAULT 90
#define OXL_KEEP_DAYS_MAX 36500

struct oxl_settings {
        uint64_t pack_threshold;
        bool reflink;
        uint64_t keep_days; /* gc.keep_days */
        bool has_pack_threshold, has_reflink,
                has_keep_days;        /* written in config.json, even when equal to the default */
        char *user_name, *user_email; /* owned; NULL: unset */
};

struct oxl_format {
        struct oxl_repo_id id;
        enum oxl_algo blob_algo;
        bool read_only; /* an unknown ro_compat feature */
};

struct oxl_repo {
        struct oxl_repo_options options; /* strings copied */
        char *command;                   /* owns options.command */
        char *worktree;                  /* absolute */
        char *root;                      /* worktree + "/.oxen-lite" */
        int worktree_fd, root_fd;
        char id_text[33];
        struct oxl_format format;
        struct oxl_settings settings;
        enum oxl_config_state config_state;

        struct oxl_owner *owner;     /* NULL until the first write */
        struct oxl_durable *durable; /* of root_fd; NULL until the first write */
        struct oxl_journal *journal; /* NULL until the first write */
        struct oxl_objects *objects; /* opened when needed: oxl_repo_objects */
        bool writing;                /* writer lock held */
        uint64_t recovered;          /* intents ended by the last begin_write */
};

/* As oxl_repo_init, but with @format (its id too) and @settings: for a copy. */
OXL_MUST_CHECK int oxl_repo_init_as(const char *dir, const struct oxl_format *format,
                                    const struct oxl_settings *settings, struct oxl_error *err);

/* The object store: read only until begin_write, which reopens it with the durable context. */
OXL_MUST_CHECK int oxl_repo_objects(struct oxl_repo *r, struct oxl_objects **ret, struct oxl_error *err);

/* Makes writable and takes the writer lock, and gc shared; refuses a read-only format, an edited config (CONFIG_EDITED) and a poisoned
 * context; recovers what dead owners left (recover.c); nested calls are a programmer error. */
OXL_MUST_CHECK int oxl_repo_begin_write(struct oxl_repo *r, struct oxl_error *err);
void oxl_repo_end_write(struct oxl_repo *r);

/* Steps of begin_write, for the few verbs that need only some: without recovery and without looking at the config. */
OXL_MUST_CHECK int oxl_repo_lock_writer(struct oxl_repo *r, struct oxl_error *err);

/* A copy of the journal: no lock but for the moment of copying, and nothing is written. Never in a process that has the journal itself
 * open (r->journal). The caller closes it. FILE_OPEN; what oxl_journal_open_copy says. */
OXL_MUST_CHECK int oxl_repo_journal_copy(const struct oxl_repo *r, struct oxl_journal **ret, struct oxl_error *err);

/* Recovery under the writer lock: recover.c. */
OXL_MUST_CHECK int oxl_repo_recover_locked(struct oxl_repo *r, uint64_t *ret_count, struct oxl_error *err);

/* Callbacks of the options, when set. */
void oxl_repo_notice(const struct oxl_repo *r, const char *path, const char *text);
/* For what is not true yet: adds a notice to @list, to be said when it is. @path is not NULL. */
OXL_MUST_CHECK int oxl_notice_later(struct oxl_buf *list, const char *path, const char *text, struct oxl_error *err);
void oxl_repo_notices(const struct oxl_repo *r, const struct oxl_buf *list);
void oxl_repo_progress(const struct oxl_repo *r, const char *phase, uint64_t files, uint64_t files_total,
                       uint64_t bytes, uint64_t bytes_total);
bool oxl_repo_cancelled(const struct oxl_repo *r);

/* Reads the canonical file @path below @root_fd: a regular file of at most 1 MiB, no link in its path. 1: absent.
 * MALFORMED (something else is in its place), FILE_OPEN, FILE_READ, NOMEM. Messages name `.oxen-lite/<path>`. */
#define OXL_SEALED_TEXT_MAX (1u << 20)
OXL_MUST_CHECK int oxl_repo_read_file(int root_fd, const char *path, struct oxl_buf *ret, struct oxl_error *err);

/* The working tree at or above @start: an absolute path without links (malloc'd) of a folder that has an entry .oxen-lite,
 * whatever that is. REPO_NOT_FOUND, DIR_OPEN. */
OXL_MUST_CHECK int oxl_repo_discover(const char *start, char **ret, struct oxl_error *err);

/* Absolute path, free of links, of the open directory @fd (malloc'd). DIR_OPEN with @name. */
OXL_MUST_CHECK int oxl_repo_real_path(int fd, const char *name, char **ret, struct oxl_error *err);

/* --- format.c --- */
OXL_MUST_CHECK int oxl_format_parse(struct oxl_bytes text, struct oxl_format *ret, struct oxl_error *err);
OXL_MUST_CHECK int oxl_format_print(const struct oxl_format *f, struct oxl_buf *ret, struct oxl_error *err);

/* --- config.c: pure parts, also fuzzed --- */
/* Strict parse of a whole config.json. *ret_state EDITED when only the seal is wrong (settings are then those of the
 * text), DAMAGED when it does not parse (settings are the defaults, 0 is returned, *err_why says why; may be NULL). */
OXL_MUST_CHECK int oxl_config_parse(struct oxl_bytes text, const struct oxl_repo_id *id, struct oxl_settings *ret,
                                    enum oxl_config_state *ret_state, struct oxl_error *err_why, struct oxl_error *err);
OXL_MUST_CHECK int oxl_config_print(const struct oxl_settings *s, const struct oxl_repo_id *id, struct oxl_buf *ret,
                                    struct oxl_error *err);
/* Reads config.json again into settings and config_state; an unusable file is a state, not an error (*err_why as above). */
OXL_MUST_CHECK int oxl_config_load(struct oxl_repo *r, struct oxl_error *err_why, struct oxl_error *err);
void oxl_settings_default(struct oxl_settings *s);
void oxl_settings_done(struct oxl_settings *s);

/* --- refs.c --- */
/* check-ref-format plus "not hex only", for the part after refs/heads/ or refs/tags/. REF_NAME. */
OXL_MUST_CHECK int oxl_ref_name_check(const char *name, struct oxl_error *err);
/* For a ref that is made: also not HEAD, and nothing that looks like an option. Refs that have such names are read. */
OXL_MUST_CHECK int oxl_ref_new_name_check(const char *name, struct oxl_error *err);
/* Reads and verifies one ref by full name ("refs/heads/main"). 1: no such ref. MALFORMED, SEAL, FILE_*. */
OXL_MUST_CHECK int oxl_ref_read(const struct oxl_repo *r, const char *name, struct oxl_digest *ret,
                                struct oxl_error *err);
/* Compare and swap under the writer lock: reads, compares with @old (NONE: must not exist), writes durably (barrier
 * included). REF_CHANGED; DIR_SYNC when visible but not known durable. */
OXL_MUST_CHECK int oxl_ref_swap(struct oxl_repo *r, const char *name, const struct oxl_digest *old,
                                const struct oxl_digest *new_, struct oxl_error *err);
/* HEAD: "refs/heads/x" in *ret_ref (malloc'd), or NULL and the detached id. */
OXL_MUST_CHECK int oxl_head_read(const struct oxl_repo *r, char **ret_ref, struct oxl_digest *ret_id,
                                 struct oxl_error *err);
OXL_MUST_CHECK int oxl_head_swap(struct oxl_repo *r, const struct oxl_digest *old, const struct oxl_digest *new_,
                                 struct oxl_error *err); /* detached only */
/* The sealed text of a ref file or of HEAD, for init and repair. */
OXL_MUST_CHECK int oxl_ref_print(const struct oxl_repo_id *id, const char *name, const struct oxl_digest *commit,
                                 struct oxl_buf *ret, struct oxl_error *err);
OXL_MUST_CHECK int oxl_head_print(const struct oxl_repo_id *id, const char *ref, const struct oxl_digest *commit,
                                  struct oxl_buf *ret, struct oxl_error *err);

#endif

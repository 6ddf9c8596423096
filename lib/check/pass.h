/* SPDX-License-Identifier: MIT */
/*
 * What the passes of fsck share: the run, looking twice, saying what was found.
 *
 * Every pass looks at one kind of thing, by itself: it returns < 0 only when the whole check has to stop
 * (CANCELLED, what the caller's function returned, no memory for the check's own tables). Whatever it finds, I/O
 * errors included, it reports.
 *
 * Order against running writers: HEAD, refs and index are read first, then packs and loose blobs are listed and
 * verified; what was published later is not missed, because the object store lists again before it says "missing". A
 * suspect is looked at twice (oxl_check_look), the second time from the medium; a file that vanished or was replaced
 * between the looks is no suspect.
 *
 * Every failure to read is told, also when the object store got around it by another copy while the graph was walked.
 * The whole check holds `gc` shared: objects whose refs are deleted meanwhile stay where they are.
 */
#ifndef OXL_CHECK_PASS_H
#define OXL_CHECK_PASS_H

#include <sys/stat.h>

#include <oxenlite/check.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "check/content.h"
#include "check/known.h"
#include "repo/index.h"

struct oxl_check_ref {
        char *name; /* owned: "refs/heads/main", or "HEAD" when it is a commit id */
        struct oxl_digest id;
};

struct oxl_check_pack {
        struct oxl_digest id;
        bool indexed;    /* its index was whole: @sum says what is in it */
        uint64_t sum[2]; /* sum of the XXH3-128 of its entries as the lookup lists them, whatever their order */
};

struct oxl_check {
        struct oxl_repo_options options;
        struct oxl_check_options limits;
        oxl_finding_fn *fn;
        void *fn_ctx;
        struct oxl_check_result result;

        char *root; /* owned: absolute path of .oxen-lite */
        int root_fd;
        int gc_fd; /* of `locks`, holding `gc` shared; -1: nothing to lock */
        uid_t uid; /* of .oxen-lite */
        dev_t dev; /* the same */

        struct oxl_format format;
        bool too_new;   /* `format` asks for a newer program: nothing else is looked at */
        bool have_id;   /* format, or a good guess */
        bool have_algo; /* of blobs */
        char *head;     /* owned: the ref that HEAD names; NULL: a commit id, or unreadable */
        struct oxl_check_ref *refs;
        size_t n_refs, cap_refs;
        bool refs_complete; /* all of refs/ could be listed */

        struct oxl_index *index; /* as it was when it was read; NULL: none */
        struct oxl_objects *objects;
        struct oxl_known known;
        struct oxl_check_pack *packs; /* sorted by id */
        size_t n_packs, cap_packs;
        struct oxl_digest *intents; /* commits that open intents are about to publish */
        size_t n_intents;
        uint64_t keep_days;          /* gc.keep_days */
        struct oxl_journal *journal; /* a copy, open until the operations were looked at; NULL: it cannot be read */
        char *said;                  /* owned: where a blob could not be read last */
        struct oxl_buf unread
                [2]; /* texts, each with its NUL: paths told as unreadable; path, reason, errno of what the store got around */

        struct oxl_units units;
        struct oxl_held held;
        struct oxl_pace pace;
        struct oxl_ledger ledger;
};

/* --- report.c ------------------------------------------------------------------------------------------------ */

/* What goes into a finding; unset members are empty. */
struct oxl_report {
        enum oxl_problem problem;
        const char *path;
        const struct oxl_digest *object, *want, *got;
        const char *verdict, *detail;
        const char *expected, *actual; /* instead of want and got */
        const char *remedy;            /* instead of the problem's */
        uint64_t offset;               /* tells findings at one path apart */
        const char *const *affects;
        size_t n_affects;
        uint64_t affects_total;
        int os;
};
/* Counts, and hands over or holds (held.c). < 0: what the caller's function returned. */
OXL_MUST_CHECK int oxl_check_report(struct oxl_check *c, const struct oxl_report *r, struct oxl_error *err);

/* Reports @why at @path: UNREADABLE when it is a failure to read, else @problem. */
OXL_MUST_CHECK int oxl_check_report_error(struct oxl_check *c, enum oxl_problem problem, const char *path,
                                          const char *verdict, const struct oxl_error *why, struct oxl_error *err);

/* For oxl_objects_config.unreadable: keeps what the store gets around, until oxl_check_tell_unread() says those of it that no
 * other finding named. */
oxl_unreadable_fn oxl_check_hear_unread;
OXL_MUST_CHECK int oxl_check_tell_unread(struct oxl_check *c, struct oxl_error *err);

/* Could not be read or not be decided: never damage, never clean. */
bool oxl_check_is_unreadable(const struct oxl_error *e);
/* There is no such name. */
bool oxl_check_is_absent(const struct oxl_error *e);
/* Stops the whole check. */
bool oxl_check_is_fatal(const struct oxl_error *e);

/* CANCELLED when the caller's flag is set. */
OXL_MUST_CHECK int oxl_check_poll(const struct oxl_check *c, struct oxl_error *err);
void oxl_check_progress(const struct oxl_check *c, const char *phase);
/* Of the reading of packs and loose blobs; main thread. */
void oxl_check_content_progress(struct oxl_check *c);

/* --- look.c -------------------------------------------------------------------------------------------------- */

enum oxl_look_state {
        OXL_LOOK_GOOD,
        OXL_LOOK_ABSENT,
        OXL_LOOK_TRANSIENT, /* wrong first, right from the medium: verdict "transient" */
        OXL_LOOK_DAMAGED,   /* wrong twice: verdict "media" (the same way) or "memory-suspect" */
        OXL_LOOK_UNREADABLE,
};

struct oxl_look {
        enum oxl_look_state state;
        const char *verdict;  /* static */
        struct oxl_error why; /* owned; of the look that decided */
        struct stat st;       /* of the (first) path, unless absent */
};
#define OXL_LOOK_INIT { .verdict = "" }
void oxl_look_done(struct oxl_look *l);
#define cleanup_look cleanup(oxl_look_done)

/* Looks once: 0 good, 1 absent, < 0 why not. May be called several times; the last call counts. */
typedef int oxl_look_fn(struct oxl_check *c, void *ctx, struct oxl_error *err);

/* Looks at the file @path (and @also, a second file that belongs to it; may be NULL). */
OXL_MUST_CHECK int oxl_check_look(struct oxl_check *c, const char *path, const char *also, oxl_look_fn *fn, void *ctx,
                                  struct oxl_look *ret, struct oxl_error *err);

/* The same two errors? Then two looks went wrong the same way. */
bool oxl_check_same_error(const struct oxl_error *a, const struct oxl_error *b);

/* Reports what a look saw (@missing 0: absence is fine), counts the file and checks its owner. */
OXL_MUST_CHECK int oxl_check_judge(struct oxl_check *c, const char *path, enum oxl_problem missing,
                                   enum oxl_problem damaged, const struct oxl_look *look, struct oxl_error *err);

/* The same without counting. */
OXL_MUST_CHECK int oxl_check_tell(struct oxl_check *c, const char *path, enum oxl_problem missing,
                                  enum oxl_problem damaged, const struct oxl_look *look, struct oxl_error *err);

/* oxl_check_look() that reports what it sees (@missing 0: absence is fine), counts the file and checks its owner. */
OXL_MUST_CHECK int oxl_check_file(struct oxl_check *c, const char *path, enum oxl_problem missing,
                                  enum oxl_problem damaged, oxl_look_fn *fn, void *ctx, enum oxl_look_state *ret,
                                  struct oxl_error *err);

/* OWNER_DIFFERS, when it does. */
OXL_MUST_CHECK int oxl_check_owner(struct oxl_check *c, const char *path, const struct stat *st, struct oxl_error *err);
/* Drops the file from the cache, so that the next read asks the medium. Best effort. */
void oxl_check_drop_cache(const struct oxl_check *c, const char *path);

/* --- folders.c ----------------------------------------------------------------------------------------------- */

/* One entry of a folder: @path is relative to .oxen-lite, @name its last component. */
typedef int oxl_check_entry_fn(struct oxl_check *c, void *ctx, const char *path, const char *name,
                               const struct stat *st, struct oxl_error *err);
/* Calls @fn for each entry of @dir in order of names; those that vanish are left out, those that cannot be examined are
 * reported. A folder that cannot be listed is reported. *ret_complete (may be NULL): all was seen. */
OXL_MUST_CHECK int oxl_check_list(struct oxl_check *c, const char *dir, oxl_check_entry_fn *fn, void *ctx,
                                  bool *ret_complete, struct oxl_error *err);

/* What stands where nothing of the kind belongs: a temp of ours (noted when its owner is dead), or @problem. */
OXL_MUST_CHECK int oxl_check_stray(struct oxl_check *c, enum oxl_problem problem, const char *path, const char *name,
                                   const struct stat *st, struct oxl_error *err);

/* --- the passes, in order ------------------------------------------------------------------------------------ */

OXL_MUST_CHECK int oxl_check_format(struct oxl_check *c, struct oxl_error *err); /* pass_format.c */
/* HEAD does not fit the id of `format`: > 0 when everything else does not either (reported; c->format.id is then theirs). */
OXL_MUST_CHECK int oxl_check_foreign(struct oxl_check *c, struct oxl_error *err);
OXL_MUST_CHECK int oxl_check_refs(struct oxl_check *c, struct oxl_error *err);    /* pass_refs.c: HEAD, refs */
OXL_MUST_CHECK int oxl_check_config(struct oxl_check *c, struct oxl_error *err);  /* pass_config.c */
OXL_MUST_CHECK int oxl_check_index(struct oxl_check *c, struct oxl_error *err);   /* pass_index.c */
OXL_MUST_CHECK int oxl_check_journal(struct oxl_check *c, struct oxl_error *err); /* pass_journal.c */
OXL_MUST_CHECK int oxl_check_content(struct oxl_check *c, struct oxl_error *err); /* content.c: packs, loose blobs */
OXL_MUST_CHECK int oxl_check_lookup(struct oxl_check *c, struct oxl_error *err);  /* pass_lookup.c */
OXL_MUST_CHECK int oxl_check_graph(struct oxl_check *c,
                                   struct oxl_error *err); /* pass_graph.c: commits, trees, blobs */
OXL_MUST_CHECK int oxl_check_staged(struct oxl_check *c, struct oxl_error *err);     /* pass_index.c: staged blobs */
OXL_MUST_CHECK int oxl_check_operations(struct oxl_check *c, struct oxl_error *err); /* pass_operations.c: the log */
OXL_MUST_CHECK int oxl_check_leftovers(struct oxl_check *c, struct oxl_error *err);  /* pass_leftovers.c */

/* Is the blob @id whole somewhere? Asks the object store when no pass has seen it so, which lists again first.
 * *ret: 0 whole (the slot knows its size), 1 not, 2 unreadable (reported). *ret_slot is valid until the next put. */
OXL_MUST_CHECK int oxl_check_blob(struct oxl_check *c, const struct oxl_digest *id, int *ret,
                                  struct oxl_known_slot **ret_slot, struct oxl_error *err);

#endif

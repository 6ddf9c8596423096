/* SPDX-License-Identifier: MIT */
/*
 * The verbs as subjects of fault tests: what each begins with, how it is run, and what must be true after something failed in it.
 *
 *      verbs_prepare(s);
 *      for each plan: fired = verbs_one_round(s, &(struct verbs_faults){ begin, end, &plan }, false, false);
 *
 * After each round: the code is one of a failure (never "damaged"), the error is complete, HEAD is old or new and agrees with what
 * was acknowledged, no descriptor is open; a move (lib/repo/move.h) that failed changed no file, or it is OUTCOME_UNKNOWN and recovery
 * does all of it. Then, without faults: recovery works and leaves no temp, the verb works, fsck finds
 * nothing.
 */
#ifndef OXL_TESTS_SUPPORT_VERBS_H
#define OXL_TESTS_SUPPORT_VERBS_H

#include "repo/repo.h"

enum {
        VERBS_INIT,
        VERBS_ADD,
        VERBS_COMMIT_FIRST,
        VERBS_COMMIT_ALL,
        VERBS_RESTORE,
        VERBS_CONFIG,
        VERBS_RECOVER_EARLY,
        VERBS_RECOVER_LATE,
        VERBS_STATUS,
        VERBS_LOG,
        VERBS_FSCK,
        VERBS_REPAIR,
        VERBS_SWITCH,
        VERBS_RM,
        VERBS_UNDO,
        VERBS_GC,
        VERBS_SUBJECTS
};

struct subject {
        const char *name;
        void (*from)(void);
        int (*verb)(struct oxl_repo *r, struct oxl_error *err);
        int (*whole)(struct oxl_error *err); /* instead of @verb: opens what it needs itself */
        bool (*done)(void);                  /* is its effect there? */
        bool (*untouched)(void);             /* NULL, or: is nothing of it there? True after a failure that says so */
        bool moves_head;
        enum oxl_code again; /* of the verb when its effect is there already */
};
extern const struct subject verbs_subjects[VERBS_SUBJECTS];

struct verbs_faults {
        void (*begin)(const void *plan);
        bool (*end)(void); /* did any fire? */
        const void *plan;
};

/* Group setup and teardown: a folder of its own to work in. */
int verbs_enter(void **state);
int verbs_leave(void **state);

/* Names the round under way; as the teardown of a test, verbs_say_round prints it when the test ended badly. */
__attribute__((format(printf, 1, 2))) void verbs_round(const char *format, ...);
int verbs_say_round(void **state);

/* Makes what the subject begins with. */
void verbs_prepare(const struct subject *s);
/* One run without failures that must work: for counting. */
void verbs_count(const struct subject *s, const struct verbs_faults *faults);
/* @must_work: in spite of the faults; @retry: after a failure the verb is first tried again with the same repository object, without
 * faults. Did any fire? */
bool verbs_one_round(const struct subject *s, const struct verbs_faults *faults, bool must_work, bool retry);

/* OXL_DEEP=1 */
bool verbs_deep(void);

#endif

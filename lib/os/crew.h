/* SPDX-License-Identifier: MIT */
/*
 * A crew of threads that works on slots in the order in which they were handed in, while results are taken back in that same
 * order: what comes out does not depend on the number of threads.
 *
 *      while there is something to do:
 *              if (oxl_crew_full(c))  { use slot oxl_crew_take(c) }
 *              fill slot oxl_crew_slot(c); oxl_crew_submit(c)
 *      while (oxl_crew_busy(c))       { use slot oxl_crew_take(c) }
 *
 * Slots are the caller's; a slot is its own again from take until the next submit. With no thread at all (none wanted, or the
 * system gives none) take does the work itself. The threads take no signals: handlers run where they always did.
 */
#ifndef OXL_OS_CREW_H
#define OXL_OS_CREW_H

#include <stdbool.h>
#include <stddef.h>

#include <oxenlite/error.h>

struct oxl_crew;

/* Works on slot @slot; on any thread, several slots at a time. */
typedef void oxl_crew_fn(void *ctx, size_t slot);

/* Threads are started by the second submit: a single slot is quicker done here. NOMEM. */
OXL_MUST_CHECK int oxl_crew_new(unsigned threads, size_t slots, oxl_crew_fn *work, void *ctx, struct oxl_crew **ret,
                                struct oxl_error *err);
/* Starts them at once: for work that waits for a medium. */
void oxl_crew_start(struct oxl_crew *c);
/* Waits for what is being worked on; what nobody began stays undone. NULL is fine. Keeps errno. */
void oxl_crew_free(struct oxl_crew *c);

/* Must a slot be taken before another can be filled? */
bool oxl_crew_full(const struct oxl_crew *c);
/* Was something submitted that was not taken? */
bool oxl_crew_busy(const struct oxl_crew *c);
/* The slot to be filled next. */
size_t oxl_crew_slot(const struct oxl_crew *c);
void oxl_crew_submit(struct oxl_crew *c);
/* Waits until the oldest slot is done and returns it. */
size_t oxl_crew_take(struct oxl_crew *c);

/* For who waits for the oldest slot: when it is not done yet, does another that nobody began. false: take is next. */
bool oxl_crew_help(struct oxl_crew *c);

/* Threads that pay here: one per processor this process may use, at most 8. 0 with one processor, and when a table stands in
 * for the kernel: tests that count and order calls need one thread. */
unsigned oxl_crew_default(void);

#endif

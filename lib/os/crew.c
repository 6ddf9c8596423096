/* SPDX-License-Identifier: MIT */
/* A crew of threads, see crew.h. `taken` <= `begun` <= `submitted`, all counted since the start; a slot is its number modulo
 * `slots`. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "os/crew.h"
#include "os/sys.h"

enum { THREADS_MAX = 8 };

struct oxl_crew {
        oxl_crew_fn *work;
        void *ctx;
        size_t slots;
        bool *done; /* owned; per slot */
        pthread_mutex_t mutex;
        pthread_cond_t more, ready; /* something to begin; something done, or the end */
        size_t submitted, begun, taken;
        bool stop;
        unsigned wanted, n;
        pthread_t threads[THREADS_MAX];
};

unsigned oxl_crew_default(void)
{
        cpu_set_t set;
        if (oxl_sys != &oxl_sys_real || sched_getaffinity(0, sizeof set, &set) < 0)
                return 0;
        int n = CPU_COUNT(&set);
        return n < 2 ? 0 : n > THREADS_MAX ? THREADS_MAX : (unsigned)n;
}

/* Does the oldest slot that nobody began. The mutex is held before and after. */
static void do_one_locked(struct oxl_crew *c)
{
        size_t slot = c->begun++ % c->slots;
        pthread_mutex_unlock(&c->mutex);
        c->work(c->ctx, slot);
        pthread_mutex_lock(&c->mutex);
        c->done[slot] = true;
        pthread_cond_signal(&c->ready);
}

static void *run(void *ctx)
{
        struct oxl_crew *c = ctx;
        pthread_mutex_lock(&c->mutex);
        while (!c->stop) {
                if (c->begun < c->submitted)
                        do_one_locked(c);
                else
                        pthread_cond_wait(&c->more, &c->mutex);
        }
        pthread_mutex_unlock(&c->mutex);
        return NULL;
}

void oxl_crew_start(struct oxl_crew *c)
{
        sigset_t all, before;
        if (c->n == c->wanted)
                return;
        sigfillset(&all);
        if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0)
                return;
        while (c->n < c->wanted && pthread_create(&c->threads[c->n], NULL, run, c) == 0)
                c->n++;
        c->wanted = c->n; /* what could not be started now is not tried again */
        OXL_IGNORE(pthread_sigmask(SIG_SETMASK, &before, NULL), "it was valid before");
}

int oxl_crew_new(unsigned threads, size_t slots, oxl_crew_fn *work, void *ctx, struct oxl_crew **ret,
                 struct oxl_error *err)
{
        cleanup_free struct oxl_crew *c = calloc(1, sizeof *c);
        cleanup_free bool *done = calloc(slots, sizeof *done);
        if (!c || !done)
                return OXL_FAIL_PLAIN(err, NOMEM);
        *c = (struct oxl_crew){ .work = work,
                                .ctx = ctx,
                                .slots = slots,
                                .done = take_ptr(&done),
                                .mutex = PTHREAD_MUTEX_INITIALIZER,
                                .more = PTHREAD_COND_INITIALIZER,
                                .ready = PTHREAD_COND_INITIALIZER,
                                .wanted = threads < THREADS_MAX ? threads : THREADS_MAX };
        *ret = take_ptr(&c);
        return 0;
}

void oxl_crew_free(struct oxl_crew *c)
{
        if (!c)
                return;
        int saved = errno;
        pthread_mutex_lock(&c->mutex);
        c->stop = true;
        pthread_cond_broadcast(&c->more);
        pthread_mutex_unlock(&c->mutex);
        for (unsigned i = 0; i < c->n; i++)
                pthread_join(c->threads[i], NULL);
        pthread_cond_destroy(&c->more);
        pthread_cond_destroy(&c->ready);
        pthread_mutex_destroy(&c->mutex);
        free(c->done);
        free(c);
        errno = saved;
}

/* `submitted` and `taken` are written by the caller's thread alone: it may read them without the mutex. */
bool oxl_crew_full(const struct oxl_crew *c)
{
        return c->submitted - c->taken == c->slots;
}

bool oxl_crew_busy(const struct oxl_crew *c)
{
        return c->submitted > c->taken;
}

size_t oxl_crew_slot(const struct oxl_crew *c)
{
        OXL_ASSERT(!oxl_crew_full(c));
        return c->submitted % c->slots;
}

void oxl_crew_submit(struct oxl_crew *c)
{
        if (c->submitted == 1)
                oxl_crew_start(c);
        pthread_mutex_lock(&c->mutex);
        c->done[c->submitted % c->slots] = false;
        c->submitted++;
        pthread_cond_signal(&c->more);
        pthread_mutex_unlock(&c->mutex);
}

size_t oxl_crew_take(struct oxl_crew *c)
{
        OXL_ASSERT(oxl_crew_busy(c));
        size_t slot = c->taken % c->slots;
        pthread_mutex_lock(&c->mutex);
        while (!c->done[slot]) {
                if (c->begun == c->taken) /* rather than waiting for a thread to wake up */
                        do_one_locked(c);
                else
                        pthread_cond_wait(&c->ready, &c->mutex);
        }
        c->taken++;
        pthread_mutex_unlock(&c->mutex);
        return slot;
}

bool oxl_crew_help(struct oxl_crew *c)
{
        OXL_ASSERT(oxl_crew_busy(c));
        pthread_mutex_lock(&c->mutex);
        bool helps = !c->done[c->taken % c->slots] && c->begun < c->submitted;
        if (helps)
                do_one_locked(c);
        pthread_mutex_unlock(&c->mutex);
        return helps;
}

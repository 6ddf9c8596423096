/* SPDX-License-Identifier: MIT */
/* Steering a pass from outside: plain atomics, so that a signal handler may do it. */
#include <stdlib.h>

#include "scrub/run.h"

int oxl_scrub_control_new(struct oxl_scrub_control **ret, struct oxl_error *err)
{
        struct oxl_scrub_control *c = calloc(1, sizeof *c);
        if (!c)
                return OXL_FAIL_PLAIN(err, NOMEM);
        *ret = c;
        return 0;
}

void oxl_scrub_control_free(struct oxl_scrub_control *c)
{
        free(c);
}

void oxl_scrub_control_cancel(struct oxl_scrub_control *c)
{
        atomic_store(&c->cancelled, true);
}

void oxl_scrub_control_pause(struct oxl_scrub_control *c, bool paused)
{
        atomic_store(&c->paused, paused);
}

void oxl_scrub_control_limit(struct oxl_scrub_control *c, uint64_t rate)
{
        atomic_store(&c->limit, rate);
}

void oxl_scrub_contract_default(struct oxl_scrub_contract *ret)
{
        *ret = (struct oxl_scrub_contract){ .days = 30, .rate_min = 1 << 20, .media = true, .pressure = 10 };
}

const char *oxl_scrub_state_text(enum oxl_scrub_state s)
{
        static const char *const text[] = { "reading", "backing-off", "paused", "waiting", "repairing" };
        return (unsigned)s < OXL_ARRAY_LEN(text) ? text[s] : "";
}

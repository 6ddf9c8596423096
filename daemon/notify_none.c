/* SPDX-License-Identifier: MIT */
/* Built without libsystemd: nobody listens. */
#include "notify.h"

int notify_state(const char *state)
{
        (void)state;
        return 0;
}

int64_t notify_watchdog_ms(void)
{
        return 0;
}

int notify_socket(bool *ret_many)
{
        *ret_many = false;
        return -1;
}

bool notify_journal(enum log_level level, const struct log_about *about, const char *text)
{
        (void)level, (void)about, (void)text;
        return false;
}

/* SPDX-License-Identifier: MIT */
/* Messages to systemd over $NOTIFY_SOCKET. */
#include "notify.h"

#include <systemd/sd-daemon.h>

int notify_state(const char *state)
{
        int r = sd_notify(0, state); /* > 0 sent, 0 no socket named */
        return r < 0 ? r : 0;
}

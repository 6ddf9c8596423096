/* SPDX-License-Identifier: MIT */
/* Tells the service manager about our state. notify_systemd.c or notify_none.c, chosen by the build (OXL_SYSTEMD). */
#ifndef OXEN_LITED_NOTIFY_H
#define OXEN_LITED_NOTIFY_H

/* Sends @state ("READY=1", see sd_notify(3)). Without a manager that listens: nothing happens, 0.
 * A negative errno when the manager could not be told. */
int notify_state(const char *state);

#endif

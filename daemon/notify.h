/* SPDX-License-Identifier: MIT */
/* The service manager: told about our state, asked what it gave us, and its journal. notify_systemd.c or notify_none.c, chosen by
 * the build (OXL_SYSTEMD). Without a manager that listens nothing happens. */
#ifndef OXEN_LITED_NOTIFY_H
#define OXEN_LITED_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "log.h"

/* Sends @state ("READY=1", see sd_notify(3)). 0; a negative errno when the manager could not be told. */
int notify_state(const char *state);
/* How often, in milliseconds, the manager wants to hear WATCHDOG=1; 0: never. */
int64_t notify_watchdog_ms(void);
/* The listening Unix stream socket that the manager gave us, or -1. *ret_many: it gave something else or more than one. */
int notify_socket(bool *ret_many);
/* Writes one entry with its fields to the journal. false: there is none behind stderr. */
bool notify_journal(enum log_level level, const struct log_about *about, const char *text);

#endif

/* SPDX-License-Identifier: MIT */
/* The log: the journal with fields under systemd, else one line on stderr. Names are made harmless. */
#ifndef OXEN_LITED_LOG_H
#define OXEN_LITED_LOG_H

enum log_level { LOG_ERROR = 3, LOG_WARN = 4, LOG_NOTE = 5, LOG_INFORM = 6 }; /* of syslog(3) */

struct log_about {
        const char *repository, *slug, *finding; /* each may be NULL */
};

__attribute__((format(printf, 3, 4))) void log_about(enum log_level level, const struct log_about *about,
                                                     const char *format, ...);
#define log_say(level, ...) log_about(level, &(struct log_about){ 0 }, __VA_ARGS__)

#endif

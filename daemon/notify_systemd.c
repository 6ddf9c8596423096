/* SPDX-License-Identifier: MIT */
/* systemd: messages over $NOTIFY_SOCKET, the socket of oxen-lited.socket, the journal. */
#include "notify.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <systemd/sd-daemon.h>
#include <systemd/sd-journal.h>

#include "util.h"

int notify_state(const char *state)
{
        int r = sd_notify(0, state); /* > 0 sent, 0 no socket named */
        return r < 0 ? r : 0;
}

int64_t notify_watchdog_ms(void)
{
        uint64_t us = 0;
        return sd_watchdog_enabled(0, &us) > 0 && us > 0 ? (int64_t)(us / 1000 + 1) : 0;
}

int notify_socket(bool *ret_many)
{
        int n = sd_listen_fds(1); /* clears the variables: workers must not see them */

        *ret_many = n > 1 || (n == 1 && sd_is_socket_unix(SD_LISTEN_FDS_START, SOCK_STREAM, 1, NULL, 0) <= 0);
        return n == 1 && !*ret_many ? SD_LISTEN_FDS_START : -1;
}

/* Is stderr what systemd connected to the journal? Then entries with fields may go there, too. */
static bool journal_behind_stderr(void)
{
        static int known = -1;
        const char *stream = getenv("JOURNAL_STREAM");
        struct stat st;
        char text[64];

        if (known < 0) {
                known = 0;
                if (stream && fstat(STDERR_FILENO, &st) == 0) {
                        (void)snprintf(text, sizeof text, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
                        known = strcmp(text, stream) == 0;
                }
        }
        return known > 0;
}

bool notify_journal(enum log_level level, const struct log_about *about, const char *text)
{
        cleanup_free char *message = util_format("MESSAGE=%s%s%s", about->repository ? about->repository : "",
                                                 about->repository ? ": " : "", text);
        cleanup_free char *priority = util_format("PRIORITY=%d", (int)level);
        cleanup_free char *repository =
                about->repository ? util_format("OXEN_LITE_REPOSITORY=%s", about->repository) : NULL;
        cleanup_free char *slug = about->slug ? util_format("OXEN_LITE_SLUG=%s", about->slug) : NULL;
        cleanup_free char *finding = about->finding ? util_format("OXEN_LITE_FINDING=%s", about->finding) : NULL;
        char *fields[] = { message, priority, repository, slug, finding };
        struct iovec iov[ARRAY_LEN(fields)];
        int n = 0;

        if (!journal_behind_stderr() || !message)
                return false;
        for (size_t i = 0; i < ARRAY_LEN(fields); i++)
                if (fields[i])
                        iov[n++] = (struct iovec){ fields[i], strlen(fields[i]) };
        return sd_journal_sendv(iov, n) >= 0;
}

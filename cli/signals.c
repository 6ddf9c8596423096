/* SPDX-License-Identifier: MIT */
/*
 * SIGINT, SIGTERM and SIGHUP ask for a clean end; the second SIGINT or SIGTERM ends the program at once, as it would without us
 * (what that leaves, recovery handles). A terminal that closes sends SIGHUP twice, by the kernel and by the shell, so that one
 * only asks; under nohup it stays ignored. SIGPIPE and SIGXFSZ are ignored: the failed write is reported as what it is.
 */
#include <signal.h>

#include "cli.h"

atomic_bool signals_cancel;

static void on_signal(int number)
{
        (void)number;
        atomic_store(&signals_cancel, true); /* lock-free, hence allowed here */
}

void signals_setup(void)
{
        struct sigaction stop = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };
        struct sigaction gone = { .sa_handler = on_signal };
        struct sigaction before = { .sa_handler = SIG_DFL };
        struct sigaction ignore = { .sa_handler = SIG_IGN };

        /* sigaction fails only for signals that do not exist. */
        (void)sigaction(SIGINT, &stop, NULL);
        (void)sigaction(SIGTERM, &stop, NULL);
        (void)sigaction(SIGHUP, NULL, &before);
        if (before.sa_handler != SIG_IGN)
                (void)sigaction(SIGHUP, &gone, NULL);
        (void)sigaction(SIGPIPE, &ignore, NULL);
        (void)sigaction(SIGXFSZ, &ignore, NULL);
}

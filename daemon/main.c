/* SPDX-License-Identifier: MIT */
/*
 * oxen-lited: the background service. Runs in the foreground under a service manager.
 *
 * States: starting -> READY=1 -> waiting -> SIGTERM or SIGINT -> STOPPING=1 -> exit 0.
 * The signals are blocked before anything else, so that one that comes early is seen by the wait instead of killing us
 * half started. A crash leaves nothing behind: no files are written yet (test: cli/daemon).
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "notify.h"

enum {
        EXIT_OK = 0,
        EXIT_FAILED = 1,
        EXIT_USAGE = 2,
};

struct options {
        const char *config; /* borrowed from argv; NULL: defaults */
        bool help, version;
};

static const char help_text[] =
        "usage: oxen-lited [--config FILE]\n"
        "\n"
        "The background service of oxen-lite. It stays in the foreground, tells systemd\n"
        "when it is ready and when it stops, and ends on SIGTERM or SIGINT.\n"
        "\n"
        "Not built yet: background recovery, sweeping and scrubbing. This version touches\n"
        "no repository. Until then, write commands of oxen-lite recover by themselves;\n"
        "for the rest run oxen-lite recover, sweep and fsck.\n"
        "\n"
        "      --config FILE  settings; accepted, but not read yet\n"
        "  -h, --help         show this text\n"
        "  -V, --version      show the version\n";

/* 0, or EXIT_USAGE after getopt has said why. */
static int parse(int argc, char **argv, struct options *ret)
{
        static const struct option table[] = {
                { "config", required_argument, NULL, 'c' },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'V' },
                { 0 },
        };
        struct options o = { 0 };
        int c;

        while ((c = getopt_long(argc, argv, "hV", table, NULL)) != -1) {
                switch (c) {
                case 'c': o.config = optarg; break;
                case 'h': o.help = true; break;
                case 'V': o.version = true; break;
                default: return EXIT_USAGE;
                }
        }
        if (optind < argc) {
                fprintf(stderr, "oxen-lited: unexpected argument '%s'; see --help\n", argv[optind]);
                return EXIT_USAGE;
        }
        *ret = o;
        return EXIT_OK;
}

static int print(const char *text)
{
        if (fputs(text, stdout) == EOF || fflush(stdout) == EOF) {
                fprintf(stderr, "oxen-lited: cannot write to standard output: %s\n", strerror(errno));
                return EXIT_FAILED;
        }
        return EXIT_OK;
}

/* A manager that cannot be told is no reason to stop working, but it is said. */
static void tell(const char *state)
{
        int r = notify_state(state);
        if (r < 0)
                fprintf(stderr, "oxen-lited: cannot tell the service manager '%s': %s\n", state, strerror(-r));
}

static int serve(void)
{
        sigset_t stop;
        int got;

        sigemptyset(&stop);
        sigaddset(&stop, SIGTERM);
        sigaddset(&stop, SIGINT);
        if (sigprocmask(SIG_BLOCK, &stop, NULL) < 0) {
                fprintf(stderr, "oxen-lited: cannot block signals: %s\n", strerror(errno));
                return EXIT_FAILED;
        }
        tell("READY=1\nSTATUS=Idle: background work is not built yet");
        int r = sigwait(&stop, &got);
        if (r != 0) {
                fprintf(stderr, "oxen-lited: cannot wait for signals: %s\n", strerror(r));
                return EXIT_FAILED;
        }
        tell("STOPPING=1");
        return EXIT_OK;
}

int main(int argc, char **argv)
{
        struct options o;
        int r = parse(argc, argv, &o);
        if (r != EXIT_OK)
                return r;
        if (o.help)
                return print(help_text);
        if (o.version)
                return print("oxen-lited " OXL_VERSION "\n");
        return serve();
}

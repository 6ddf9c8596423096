/* SPDX-License-Identifier: MIT */
/*
 * atomic_write FILE: replaces FILE by what comes on standard input, whole or not at all.
 *
 *   cc atomic_write.c $(pkg-config --cflags --libs oxenlite) -o atomic_write
 *   date | ./atomic_write notes/today.txt
 *
 * A kill or a power cut at any moment leaves the old file or the new one. Exit 0: the new one survives a power cut.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include <oxenlite/atomic.h>

static ssize_t read_input(void *ctx, void *buf, size_t n)
{
        ssize_t got;

        (void)ctx;
        do
                got = read(STDIN_FILENO, buf, n);
        while (got < 0 && errno == EINTR);
        return got < 0 ? -errno : got;
}

static void explain(const struct oxl_error *err)
{
        char text[1024];

        (void)oxl_error_text(err, text, sizeof text);
        fprintf(stderr, "atomic_write: %s [%s]\n  next: %s\n", text, oxl_error_slug(err->code),
                oxl_error_next_step(err));
}

int main(int argc, char **argv)
{
        struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_atomic_result result;
        /* STRICT: when the folder cannot be synced, that is an error and no warning. */
        struct oxl_atomic_options options = { .flags = OXL_ATOMIC_STRICT | OXL_ATOMIC_PRESERVE_MODE };

        if (argc != 2) {
                fprintf(stderr, "usage: atomic_write FILE <CONTENT\n");
                return 2;
        }
        if (oxl_atomic_write_from_reader(argv[1], read_input, NULL, &options, &result, &err) < 0) {
                explain(&err);
                if (result.effect == OXL_ATOMIC_UNCHANGED)
                        fprintf(stderr, "  %s is as it was\n", argv[1]);
                int status = oxl_error_exit(err.code);
                oxl_error_done(&err);
                return status;
        }
        printf("%s: %llu bytes, durable\n", argv[1], (unsigned long long)result.bytes);
        return 0;
}

/* SPDX-License-Identifier: MIT */
/* See fuzz.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include <sys/mman.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "os/sys.h"
#include "support/place.h"

enum { SERVED_MAX = 4 };

const struct oxl_repo_id fuzz_repo = { { 'f', 'u', 'z', 'z' } };

uint64_t fuzz_accepted;

void fuzz_broken(const char *what, const char *file, int line)
{
        fprintf(stderr, "%s:%d: broken: %s\n", file, line, what);
        abort();
}

bool fuzz_failed(int result, struct oxl_error *err)
{
        char text[256];
        if (result >= 0)
                return false;
        FUZZ_REQUIRE((int)err->code == -result);
        FUZZ_REQUIRE(err->code != OXL_E_NOMEM && err->os == 0);
        FUZZ_REQUIRE(oxl_error_text(err, text, sizeof text) > 0);
        oxl_error_done(err);
        return true;
}

static void *allocate(size_t n)
{
        void *p = malloc(n);
        FUZZ_REQUIRE(p || n == 0);
        return p;
}

uint8_t *fuzz_copy(const void *bytes, size_t n)
{
        uint8_t *p = allocate(n);
        if (n > 0)
                memcpy(p, bytes, n);
        return p;
}

char *fuzz_text(const void *bytes, size_t n)
{
        char *p = allocate(n + 1);
        if (n > 0)
                memcpy(p, bytes, n);
        p[n] = 0;
        return p;
}

int fuzz_file(const void *bytes, size_t n)
{
        int fd = memfd_create("fuzz", MFD_CLOEXEC);
        FUZZ_REQUIRE(fd >= 0);
        FUZZ_REQUIRE(n == 0 || pwrite(fd, bytes, n, 0) == (ssize_t)n);
        return fd;
}

/* --- a folder -------------------------------------------------------------------------------------------------- */

static char *place;

static void leave_place(void)
{
        place_free(place);
}

const char *fuzz_place(void)
{
        FUZZ_REQUIRE(!place);
        if (access("/dev/shm", W_OK) == 0)
                FUZZ_REQUIRE(setenv("TMPDIR", "/dev/shm", 0) == 0);
        place = place_new();
        FUZZ_REQUIRE(setenv("TMPDIR", place, 1) == 0 && atexit(leave_place) == 0);
        return place;
}

void fuzz_put(const char *folder, const char *name, const void *bytes, size_t n)
{
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, name);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        FUZZ_REQUIRE(fd >= 0 && (n == 0 || write(fd, bytes, n) == (ssize_t)n));
        close(fd);
}

/* --- files without a file system ------------------------------------------------------------------------------- */

static struct {
        const char *path;
        struct oxl_bytes content;
} served[SERVED_MAX];
static size_t n_served;
static struct oxl_sys serving;

static int open_served(int dirfd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
        (void)dirfd;
        (void)flags;
        (void)mode;
        (void)resolve;
        for (size_t i = 0; i < n_served; i++)
                if (strcmp(path, served[i].path) == 0)
                        return fuzz_file(served[i].content.data, served[i].content.len);
        errno = ENOENT;
        return -1;
}

void fuzz_serve(const char *path, struct oxl_bytes content)
{
        FUZZ_REQUIRE(n_served < SERVED_MAX);
        served[n_served].path = path;
        served[n_served++].content = content;
        serving = oxl_sys_real;
        serving.openat2 = open_served;
        oxl_sys = &serving;
}

void fuzz_serve_end(void)
{
        n_served = 0;
        oxl_sys = &oxl_sys_real;
}

struct oxl_digest fuzz_seal(const char *kind, const char *path, const struct oxl_bytes *pieces, size_t n)
{
        struct oxl_hasher h;
        struct oxl_digest d;
        oxl_seal_begin(&h, kind, &fuzz_repo, path);
        for (size_t i = 0; i < n; i++)
                oxl_hasher_update(&h, pieces[i].data, pieces[i].len);
        oxl_hasher_final(&h, &d);
        return d;
}

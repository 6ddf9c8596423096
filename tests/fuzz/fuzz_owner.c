/* SPDX-License-Identifier: MIT */
/*
 * owners/<id>, which anybody who may write to the repository can have written. It can make a dead owner UNKNOWN, by naming
 * another machine, and that is all: the kernel alone calls somebody alive, and a living one is never called dead. What is
 * shown of it to people has no control characters.
 */
#include <stdio.h>
#include <sys/stat.h>

#include "fuzz/fuzz.h"
#include "os/fdio.h"
#include "repo/owner.h"

enum { DEAD = 0xdead };

static const char *place;
static int root_fd;
static struct oxl_owner *holder, *waiter;
static char living[32]; /* the holder's file */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
        char path[4096];
        (void)argc;
        (void)argv;
        place = fuzz_place();
        snprintf(path, sizeof path, "%s/owners", place);
        FUZZ_REQUIRE(mkdir(path, 0700) == 0);
        fuzz_put(place, "locks", "", 0);
        root_fd = oxl_fd_open(AT_FDCWD, place, O_RDONLY | O_DIRECTORY, 0);
        FUZZ_REQUIRE(oxl_owner_new(root_fd, "holder", &holder, NULL) == 0);
        FUZZ_REQUIRE(oxl_owner_new(root_fd, "waiter", &waiter, NULL) == 0);
        FUZZ_REQUIRE(oxl_owner_lock(holder, OXL_LOCK_WRITER, true, 0, NULL, NULL) == 0);
        snprintf(living, sizeof living, "owners/%016llx", (unsigned long long)oxl_owner_number(holder));
        return 0;
}

static void require_printable(const struct oxl_error *err)
{
        char text[2048];
        oxl_error_text(err, text, sizeof text);
        for (const char *c = text; *c; c++)
                FUZZ_REQUIRE((unsigned char)*c >= 0x20 && *c != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        fuzz_put(place, "owners/000000000000dead", data, size);
        fuzz_put(place, living, data, size);
        enum oxl_temp_verdict dead = oxl_owner_verdict(root_fd, DEAD);
        enum oxl_temp_verdict alive = oxl_owner_verdict(root_fd, oxl_owner_number(holder));
        FUZZ_REQUIRE(dead != OXL_TEMP_ALIVE && alive != OXL_TEMP_DEAD);
        FUZZ_REQUIRE((dead == OXL_TEMP_UNKNOWN) == (alive == OXL_TEMP_UNKNOWN));
        FUZZ_REQUIRE(dead == OXL_TEMP_DEAD || memmem(data, size, "machine", 7));
        FUZZ_REQUIRE(oxl_owner_lock(waiter, OXL_LOCK_WRITER, true, 0, NULL, &err) < 0 && err.code == OXL_E_LOCKED);
        require_printable(&err);
        fuzz_accepted += err.detail && strstr(err.detail, "pid ") != NULL;
        return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * .oxenliteignore. Input: le16 length of a path, which comes next; the rest is the file at the root. The file says about an item what
 * the last of its lines that matches says; what lies below an ignored folder is ignored.
 */
#include <stdlib.h>

#include "base/path.h"
#include "fuzz/fuzz.h"
#include "os/fdio.h"
#include "repo/ignore.h"

static const char *place;
static int root_fd;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
        (void)argc;
        (void)argv;
        place = fuzz_place();
        root_fd = oxl_fd_open(AT_FDCWD, place, O_RDONLY | O_DIRECTORY, 0);
        FUZZ_REQUIRE(root_fd >= 0);
        return 0;
}

/* What the lines say about @path, one by one; -1: one is too long. */
static int by_lines(char *text, const char *path, bool directory)
{
        int ignored = 0;
        for (char *line = text, *end; line; line = end) {
                cleanup_error struct oxl_error err = OXL_ERROR_INIT;
                struct oxl_pattern *p = NULL;
                end = strchr(line, '\n');
                if (end)
                        *end++ = 0;
                if (fuzz_failed(oxl_pattern_new(line, &p, &err), &err))
                        return -1;
                if (p && oxl_pattern_matches(p, path, directory))
                        ignored = !oxl_pattern_negates(p);
                oxl_pattern_free(p);
        }
        return ignored;
}

static void check(const char *path, const uint8_t *file, size_t n, bool directory)
{
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        cleanup_free char *text = fuzz_text(file, n);
        struct oxl_ignore *g = NULL;
        FUZZ_REQUIRE(oxl_ignore_new(root_fd, &g, NULL) == 0);
        int item = oxl_ignore_item(g, path, directory, &err);
        bool bad = fuzz_failed(item, &err);
        int all = oxl_ignore_path(g, path, directory, &err);
        FUZZ_REQUIRE(fuzz_failed(all, &err) == bad && (bad || (item <= 1 && all <= 1 && (all == 1 || item == 0))));
        oxl_ignore_free(g);
        /* Ends of lines and marks that some systems write are the file's business, not the line's. */
        if (memchr(file, '\r', n) || memchr(file, 0, n) || memchr(file, 0xbb, n))
                return;
        FUZZ_REQUIRE(by_lines(text, path, directory) == (bad ? -1 : item));
        fuzz_accepted += !bad && item == 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size < 2)
                return 0;
        size_t n = le_load16(data) < size - 2 ? le_load16(data) : size - 2;
        cleanup_free char *path = fuzz_text(data + 2, n);
        cleanup_free uint8_t *file = fuzz_copy(data + 2 + n, size - 2 - n);
        if (oxl_path_problem(path, n) || strlen(path) != n)
                return 0;
        fuzz_put(place, OXL_IGNORE_NAME, file, size - 2 - n);
        check(path, file, size - 2 - n, false);
        check(path, file, size - 2 - n, true);
        return 0;
}

/* SPDX-License-Identifier: MIT */
/* A directory of its own for a test, removed afterwards whatever is in it. */
#ifndef OXL_TESTS_SUPPORT_SCRATCH_H
#define OXL_TESTS_SUPPORT_SCRATCH_H

struct scratch {
        char path[64];
        int fd; /* of the directory */
};

/* Below TMPDIR, else /tmp. Fails the test when that is not possible. */
void scratch_new(struct scratch *s);
void scratch_done(struct scratch *s);

/* Make a file or a directory below @dirfd, or fail the test. */
void scratch_write(int dirfd, const char *name, const char *text);
void scratch_mkdir(int dirfd, const char *name);

#endif

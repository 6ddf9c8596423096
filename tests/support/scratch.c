/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/scratch.h"

void scratch_new(struct scratch *s)
{
        const char *base = getenv("TMPDIR");
        snprintf(s->path, sizeof s->path, "%.40s/oxl-test-XXXXXX", base && strlen(base) <= 40 ? base : "/tmp");
        assert_non_null(mkdtemp(s->path));
        s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(s->fd >= 0);
}

void scratch_done(struct scratch *s)
{
        close(s->fd);
        /* rm, because it also removes trees that are deeper than PATH_MAX and folders without permissions */
        pid_t pid = fork();
        if (pid == 0) {
                execlp("rm", "rm", "-rf", "--", s->path, (char *)NULL);
                _exit(127);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

void scratch_write(int dirfd, const char *name, const char *text)
{
        int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
        assert_int_equal(close(fd), 0);
}

void scratch_mkdir(int dirfd, const char *name)
{
        assert_int_equal(mkdirat(dirfd, name, 0755), 0);
}

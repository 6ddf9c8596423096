/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/place.h"

static void need(bool ok, const char *what, const char *name)
{
        if (ok)
                return;
        fprintf(stderr, "%s '%s': ", what, name);
        perror(NULL);
        abort();
}

char *place_new(void)
{
        const char *base = getenv("TMPDIR");
        char *made = place_path(base && *base ? base : "/tmp", "oxl-test-XXXXXX");
        need(mkdtemp(made) != NULL, "mkdtemp", made);
        char *real = realpath(made, NULL);
        need(real != NULL, "realpath", made);
        free(made);
        return real;
}

static int drop(const char *path, const struct stat *st, int type, struct FTW *at)
{
        (void)st, (void)type, (void)at;
        return remove(path);
}

void place_free(char *place)
{
        if (place)
                need(nftw(place, drop, 32, FTW_DEPTH | FTW_PHYS) == 0, "remove", place);
        free(place);
}

char *place_path(const char *place, const char *name)
{
        char *path;
        need(asprintf(&path, "%s/%s", place, name) >= 0, "asprintf", name);
        return path;
}

int place_open(const char *place, const char *name, int flags)
{
        char *path = place_path(place, name);
        int fd = open(path, flags | O_CLOEXEC, 0666);
        need(fd >= 0, "open", path);
        free(path);
        return fd;
}

void place_write(const char *place, const char *name, const void *bytes, size_t n)
{
        int fd = place_open(place, name, O_WRONLY | O_CREAT | O_TRUNC);
        need(write(fd, bytes, n) == (ssize_t)n, "write", name);
        close(fd);
}

void place_text(const char *place, const char *name, const char *text)
{
        place_write(place, name, text, strlen(text));
}

char *place_read(const char *place, const char *name, size_t *ret_n)
{
        struct stat st;
        int fd = place_open(place, name, O_RDONLY);
        need(fstat(fd, &st) == 0, "fstat", name);
        size_t n = (size_t)st.st_size;
        char *bytes = malloc(n + 1);
        need(bytes && read(fd, bytes, n) == (ssize_t)n, "read", name);
        close(fd);
        bytes[n] = 0;
        if (ret_n)
                *ret_n = n;
        return bytes;
}

bool place_has(const char *place, const char *name)
{
        struct stat st;
        char *path = place_path(place, name);
        bool has = lstat(path, &st) == 0;
        free(path);
        return has;
}

void place_mkdir(const char *place, const char *name)
{
        char *path = place_path(place, name);
        need(mkdir(path, 0777) == 0, "mkdir", path);
        free(path);
}

size_t place_count(const char *place, const char *name)
{
        size_t n = 0;
        char *path = place_path(place, name);
        DIR *dir = opendir(path);
        need(dir != NULL, "opendir", path);
        for (struct dirent *e; (e = readdir(dir));)
                n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
        closedir(dir);
        free(path);
        return n;
}

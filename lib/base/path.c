/* SPDX-License-Identifier: MIT */
/* Relative slash paths: validation, order, splitting and joining. */
#include <string.h>

#include "base/cleanup.h"
#include "base/fail.h"
#include "base/path.h"

const char *oxl_path_name_problem(const char *name, size_t len)
{
        if (len == 0)
                return "it has an empty component";
        if (len > OXL_NAME_MAX)
                return "it has a component of more than 255 bytes";
        if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
                return "it has a component '.' or '..'";
        if (memchr(name, 0, len))
                return "it holds a NUL byte";
        if (memchr(name, '/', len))
                return "it holds a '/'";
        return NULL;
}

const char *oxl_path_problem(const char *path, size_t len)
{
        if (len == 0)
                return "it is empty";
        if (path[0] == '/')
                return "it is absolute";
        for (const char *at = path, *end = path + len;;) {
                const char *slash = memchr(at, '/', (size_t)(end - at));
                const char *problem = oxl_path_name_problem(at, (size_t)((slash ? slash : end) - at));
                if (problem || !slash)
                        return problem;
                at = slash + 1;
        }
}

int oxl_path_check(const char *path, struct oxl_error *err)
{
        const char *problem = oxl_path_problem(path, strlen(path));
        return problem ? OXL_FAIL_WHY(err, PATH, path, problem) : 0;
}

/* Rank of a byte: the end of a path is 0, '/' is 1, everything else follows. */
static int rank(const char *p, size_t len, size_t i)
{
        if (i >= len)
                return 0;
        return p[i] == '/' ? 1 : (unsigned char)p[i] + 2;
}

int oxl_path_compare(const char *a, size_t alen, const char *b, size_t blen)
{
        size_t shorter = alen < blen ? alen : blen;
        size_t i = 0;
        while (i < shorter && a[i] == b[i])
                i++;
        return rank(a, alen, i) - rank(b, blen, i);
}

const char *oxl_path_base(const char *path)
{
        const char *slash = strrchr(path, '/');
        return slash ? slash + 1 : path;
}

size_t oxl_path_parent_len(const char *path)
{
        const char *slash = strrchr(path, '/');
        return slash ? (size_t)(slash - path) : 0;
}

int oxl_path_parent(const char *path, char **ret, struct oxl_error *err)
{
        char *p = strndup(path, oxl_path_parent_len(path));
        if (!p)
                return OXL_FAIL_PLAIN(err, NOMEM);
        *ret = p;
        return 0;
}

int oxl_path_join(const char *dir, const char *name, char **ret, struct oxl_error *err)
{
        size_t dlen = strlen(dir), nlen = strlen(name);
        bool slash = dlen > 0 && nlen > 0 && dir[dlen - 1] != '/';
        char *p = malloc(dlen + slash + nlen + 1);
        if (!p)
                return OXL_FAIL_PLAIN(err, NOMEM);
        memcpy(p, dir, dlen);
        if (slash)
                p[dlen] = '/';
        memcpy(p + dlen + slash, name, nlen + 1);
        *ret = p;
        return 0;
}

bool oxl_path_is_within(const char *path, const char *dir)
{
        size_t n = strlen(dir);
        return n == 0 || (strncmp(path, dir, n) == 0 && (path[n] == 0 || path[n] == '/'));
}

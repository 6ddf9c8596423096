/* SPDX-License-Identifier: MIT */
/* Paths: the rules and the order against second implementations, the laws of an order, and joining against splitting. The
 * input holds three paths, separated by LF. */
#include "base/path.h"
#include "fuzz/fuzz.h"

struct text {
        const char *at;
        size_t len;
};

/* Length of the component at @from. */
static size_t component(struct text t, size_t from)
{
        size_t n = 0;
        while (from + n < t.len && t.at[from + n] != '/')
                n++;
        return n;
}

static bool clean(struct text t)
{
        for (size_t from = 0;;) {
                size_t n = component(t, from);
                const char *c = t.at + from;
                if (n == 0 || n > OXL_NAME_MAX || memchr(c, 0, n))
                        return false;
                if ((n == 1 && c[0] == '.') || (n == 2 && c[0] == '.' && c[1] == '.'))
                        return false;
                from += n;
                if (from == t.len)
                        return true;
                from++;
        }
}

/* Component by component, as a depth-first walk meets them. */
static int walk_order(struct text a, struct text b)
{
        for (size_t i = 0, j = 0;;) {
                size_t m = component(a, i), n = component(b, j), shorter = m < n ? m : n;
                int c = shorter > 0 ? memcmp(a.at + i, b.at + j, shorter) : 0;
                if (c != 0 || m != n)
                        return c != 0 ? c : m < n ? -1 : 1;
                i += m;
                j += n;
                if (i == a.len || j == b.len)
                        return (j == b.len) - (i == a.len);
                i++;
                j++;
        }
}

static int sign(int v)
{
        return (v > 0) - (v < 0);
}

static int order(struct text a, struct text b)
{
        return sign(oxl_path_compare(a.at, a.len, b.at, b.len));
}

static void check_order(struct text a, struct text b, struct text c)
{
        FUZZ_REQUIRE(order(a, b) == sign(walk_order(a, b)));
        FUZZ_REQUIRE(order(a, b) == -order(b, a) && order(a, a) == 0);
        FUZZ_REQUIRE((order(a, b) == 0) == (a.len == b.len && memcmp(a.at, b.at, a.len) == 0));
        if (order(a, b) <= 0 && order(b, c) <= 0)
                FUZZ_REQUIRE(order(a, c) <= 0);
}

static void check_parts(struct text t)
{
        cleanup_free char *path = fuzz_text(t.at, t.len), *parent = NULL, *joined = NULL;
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        FUZZ_REQUIRE(!oxl_path_problem(t.at, t.len) == clean(t));
        FUZZ_REQUIRE(oxl_path_parent(path, &parent, NULL) == 0);
        FUZZ_REQUIRE(strlen(parent) == oxl_path_parent_len(path));
        FUZZ_REQUIRE(oxl_path_is_within(path, "") && oxl_path_is_within(path, path));
        if (!clean(t))
                return;
        fuzz_accepted++;
        FUZZ_REQUIRE(!fuzz_failed(oxl_path_check(path, &err), &err));
        FUZZ_REQUIRE(!oxl_path_name_problem(oxl_path_base(path), strlen(oxl_path_base(path))));
        FUZZ_REQUIRE(oxl_path_join(parent, oxl_path_base(path), &joined, NULL) == 0 && strcmp(joined, path) == 0);
        FUZZ_REQUIRE(oxl_path_is_within(path, parent));
        FUZZ_REQUIRE(oxl_path_compare(parent, strlen(parent), path, t.len) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        cleanup_free char *copy = fuzz_text(data, size);
        struct text t[3] = { { copy, 0 }, { copy, 0 }, { copy, 0 } };
        for (size_t i = 0, from = 0; i < 3 && from <= size; i++) {
                char *end = i < 2 ? memchr(copy + from, '\n', size - from) : NULL;
                t[i] = (struct text){ copy + from, end ? (size_t)(end - copy) - from : size - from };
                from += t[i].len + 1;
        }
        for (size_t i = 0; i < 3; i++) {
                check_parts(t[i]);
                check_order(t[i], t[(i + 1) % 3], t[(i + 2) % 3]);
                check_order(t[i], t[(i + 2) % 3], t[(i + 1) % 3]);
        }
        return 0;
}

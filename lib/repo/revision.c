/* SPDX-License-Identifier: MIT */
/*
 * Revisions: what people type for a commit. `<name>` followed by any number of ~N (N-th first parent) and ^N (N-th
 * parent).
 *
 * A name is HEAD or @, a full ref, a branch, a tag, or the digits of an id, in this order; branches and tags cannot
 * consist of hex digits only, so none of them hides a commit. The result is a commit that could be read.
 */
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "objects/commit.h"
#include "os/fdio.h"
#include "repo/repo.h"

enum { PREFIX_DIGITS_MIN = 4, ID_DIGITS = 64, FULL_NAME_BYTES = 1100 };
enum { NOT_FOUND = 1 };

static int no_revision(struct oxl_error *err, const char *rev, const char *why)
{
        return OXL_FAIL_WHY(err, REV, rev, why);
}

/* Reads the ref "<prefix><name>". NOT_FOUND also for the folder of other refs. */
static int try_ref(const struct oxl_repo *r, const char *prefix, const char *name, struct oxl_digest *ret,
                   struct oxl_error *err)
{
        char full[FULL_NAME_BYTES];
        int len = snprintf(full, sizeof full, "%s%s", prefix, name);
        if (len < 0 || (size_t)len >= sizeof full)
                return NOT_FOUND;
        cleanup_fd int fd = oxl_open_beneath(r->root_fd, full, O_PATH | O_DIRECTORY, 0);
        return fd >= 0 ? NOT_FOUND : oxl_ref_read(r, full, ret, err);
}

static int resolve_head(struct oxl_repo *r, struct oxl_digest *ret, struct oxl_error *err)
{
        cleanup(oxl_head_done) struct oxl_head head = { 0 };
        int n = oxl_repo_head(r, &head, err);
        if (n < 0)
                return n;
        if (head.commit.algo == OXL_ALGO_NONE)
                return OXL_FAIL_PATH(err, NO_COMMITS, head.branch);
        *ret = head.commit;
        return 0;
}

/* A branch or tag by short name, else NOT_FOUND. */
static int resolve_short(struct oxl_repo *r, const char *name, struct oxl_digest *ret, struct oxl_error *err)
{
        if (oxl_ref_name_check(name, NULL) < 0)
                return NOT_FOUND;
        struct oxl_digest tag;
        int n = try_ref(r, "refs/heads/", name, ret, err);
        if (n == NOT_FOUND)
                return try_ref(r, "refs/tags/", name, ret, err);
        if (n == 0 && try_ref(r, "refs/tags/", name, &tag, NULL) == 0)
                oxl_repo_notice(r, name, "is both a branch and a tag: the branch is meant (refs/tags/… names the tag)");
        return n;
}

static int resolve_digits(struct oxl_repo *r, const char *digits, struct oxl_digest *ret, struct oxl_error *err)
{
        struct oxl_objects *o;
        size_t n = strlen(digits);
        if (n < PREFIX_DIGITS_MIN)
                return no_revision(err, digits, "the start of an id needs at least 4 digits");
        if (n > ID_DIGITS)
                return no_revision(err, digits, "an id has 64 digits");
        int e = oxl_repo_objects(r, &o, err);
        if (e < 0)
                return e;
        if (!oxl_digest_parse(OXL_ALGO_BLAKE3, digits, ret))
                return oxl_objects_find_commit(o, digits, ret, err);
        e = oxl_objects_exists(o, OXL_KIND_COMMIT, ret, err);
        return e > 0 ? no_revision(err, digits, "there is no such commit") : e;
}

/* No ref has the name: is it the branch that HEAD names, which only lacks its first commit? */
static int fail_unknown(struct oxl_repo *r, const char *name, struct oxl_error *err)
{
        cleanup(oxl_head_done) struct oxl_head head = { 0 };
        int n = oxl_repo_head(r, &head, err);
        if (n < 0)
                return n;
        if (head.branch && head.commit.algo == OXL_ALGO_NONE && strcmp(head.branch, name) == 0)
                return OXL_FAIL_PATH(err, NO_COMMITS, name);
        return OXL_FAIL_PATH(err, REF_NOT_FOUND, name);
}

static int resolve_name(struct oxl_repo *r, const char *name, struct oxl_digest *ret, struct oxl_error *err)
{
        int n;
        if (strcmp(name, "HEAD") == 0 || strcmp(name, "@") == 0)
                return resolve_head(r, ret, err);
        if (strncmp(name, "refs/", 5) == 0)
                n = try_ref(r, "", name, ret, err);
        else if (*name && strspn(name, "0123456789abcdef") == strlen(name))
                return resolve_digits(r, name, ret, err);
        else
                n = resolve_short(r, name, ret, err);
        return n == NOT_FOUND ? fail_unknown(r, name, err) : n;
}

/* Takes "~", "^", "~N" or "^N" off *at. Numbers too large to count are as good as the largest. */
static uint64_t take_number(const char **at)
{
        uint64_t n = 0;
        const char *p = *at + 1;
        if (*p < '0' || *p > '9')
                n = 1;
        for (; *p >= '0' && *p <= '9'; p++)
                n = n > UINT64_MAX / 10 - 1 ? UINT64_MAX / 10 : 10 * n + (uint64_t)(*p - '0');
        *at = p;
        return n;
}

/* Replaces *id by its parent @which (1 is the first). */
static int step(struct oxl_repo *r, const char *rev, uint64_t which, struct oxl_digest *id, struct oxl_error *err)
{
        cleanup(oxl_commit_done) struct oxl_commit c = OXL_COMMIT_INIT;
        struct oxl_objects *o;
        if (oxl_repo_cancelled(r))
                return OXL_FAIL_PLAIN(err, CANCELLED);
        int n = oxl_repo_objects(r, &o, err);
        if (n == 0)
                n = oxl_commit_read(o, id, &c, err);
        if (n < 0)
                return n;
        if (which > c.parents)
                return no_revision(err, rev, c.parents == 0 ? "the history ends before it" : "there is no such parent");
        if (which > 0)
                *id = c.parent[which - 1];
        return 0;
}

static int follow_suffix(struct oxl_repo *r, const char *rev, const char *at, struct oxl_digest *id,
                         struct oxl_error *err)
{
        while (*at) {
                char op = *at;
                if (op != '~' && op != '^')
                        return no_revision(err, rev, "only ~N and ^N may follow a name");
                uint64_t n = take_number(&at);
                uint64_t steps = op == '~' ? n : 1;
                for (uint64_t i = 0; i < steps; i++) {
                        int e = step(r, rev, op == '~' ? 1 : n, id, err);
                        if (e < 0)
                                return e;
                }
        }
        return step(r, rev, 0, id, err); /* it can be read */
}

int oxl_repo_resolve(struct oxl_repo *r, const char *rev, struct oxl_digest *ret, struct oxl_error *err)
{
        struct oxl_digest id = OXL_DIGEST_INIT;
        size_t n = strcspn(rev, "~^");
        if (n == 0)
                return no_revision(err, rev, "it names nothing");
        cleanup_free char *name = strndup(rev, n);
        if (!name)
                return OXL_FAIL_PLAIN(err, NOMEM);
        int e = resolve_name(r, name, &id, err);
        if (e == 0)
                e = follow_suffix(r, rev, rev + n, &id, err);
        if (e < 0)
                return e;
        *ret = id;
        return 0;
}

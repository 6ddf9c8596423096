/* SPDX-License-Identifier: MIT */
/*
 * What a run reads of packs and loose blobs, and in what order.
 *
 * What was damaged or unreadable when it was last recorded is always read, first. Then: never verified; verified, but
 * only through the cache while the medium is asked for; verified. Within each, oldest first; names decide the rest, so the
 * order is the same in every run. Without a time limit the order does not matter and stays that of the names.
 *
 * On a rotating disk a seek takes as long as reading a megabyte, so there the files go in the order in which they lie wherever
 * names would decide, and a time limit does not: it reads what comes first, so a disk would decide what that is. Without limit
 * and hooks, what must be read is first, then the rest by place. A pass of scrub keeps to ages and goes by place among
 * what was never verified; the next pass then finds these in the order of the disk, as their ages. What has no place known is last,
 * by name. It costs an open, a question and a close for each file that will be read; other disks are not asked.
 */
#include <string.h>

#include "base/le.h"
#include "check/pass.h"
#include "os/disk.h"
#include "os/fdio.h"

#define DAY_NS (INT64_C(86400) * 1000000000)

uint64_t oxl_unit_random(const struct oxl_check *c, const struct oxl_unit *u)
{
        /* splitmix64; the digest is evenly spread, but the same in every run */
        uint64_t x = le_load64(u->id) + c->result.seed;
        x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
        return x ^ (x >> 31);
}

static void leave_out(struct oxl_unit *u, enum oxl_left_out why)
{
        u->want = OXL_WANT_NOTHING;
        u->left_out = (uint8_t)why;
}

/* What must be read is never recent: the ledger's time is believed only of what was good. */
static bool is_recent(const struct oxl_check *c, const struct oxl_unit *u)
{
        int64_t now = c->ledger.now_ns;
        return u->verified_ns > 0 && u->verified_ns <= now && now - u->verified_ns < c->limits.since_days * DAY_NS &&
               (u->medium || !c->limits.media);
}

/* Not due by the hooks' measure. */
static bool is_not_due(const struct oxl_check *c, const struct oxl_unit *u)
{
        const struct oxl_check_hooks *h = c->limits.hooks;
        return h && h->due_before_ns > 0 && !u->must && u->verified_ns <= c->ledger.now_ns &&
               u->verified_ns >= h->due_before_ns;
}

static int rank_of(const struct oxl_check *c, const struct oxl_unit *u)
{
        if (u->must)
                return 0;
        if (u->verified_ns <= 0 || u->verified_ns > c->ledger.now_ns)
                return 1; /* a time to come proves nothing */
        return c->limits.media && !u->medium && !c->limits.hooks ? 2 : 3;
}

static int compare_place(const void *a, const void *b, void *ctx)
{
        const struct oxl_unit *x = a, *y = b;
        (void)ctx;
        if (x->must != y->must)
                return x->must ? -1 : 1;
        if (x->place != y->place)
                return x->place - 1 < y->place - 1 ? -1 : 1; /* 0, not known, is behind all others */
        return oxl_unit_compare(x, y);
}

static int compare_order(const void *a, const void *b, void *ctx)
{
        const struct oxl_unit *x = a, *y = b;
        int s = rank_of(ctx, x), t = rank_of(ctx, y);
        if (s != t)
                return s - t;
        if (s > 1 && x->verified_ns != y->verified_ns)
                return x->verified_ns < y->verified_ns ? -1 : 1;
        return compare_place(a, b, ctx);
}

/* --- the sample --- */

static int compare_draw(const void *a, const void *b, void *ctx)
{
        const struct oxl_check *c = ctx;
        const struct oxl_unit *x = &c->units.at[*(const size_t *)a], *y = &c->units.at[*(const size_t *)b];
        int s = rank_of(c, x) > 1, t = rank_of(c, y) > 1; /* never verified first */
        if (s != t)
                return s - t;
        uint64_t k = oxl_unit_random(c, x), l = oxl_unit_random(c, y);
        return k < l ? -1 : k > l;
}

static uint64_t sample_bytes(const struct oxl_check *c)
{
        uint64_t total = 0;
        for (size_t i = 0; i < c->units.n; i++)
                total += c->units.at[i].size;
        uint64_t share =
                total / 1000000 * c->limits.sample_ppm + (total % 1000000 * c->limits.sample_ppm + 999999) / 1000000;
        return share > c->limits.sample_bytes ? share : c->limits.sample_bytes;
}

/* Whole files, until a pack is larger than what is left: of that one, a part. */
static void draw_one(struct oxl_unit *u, uint64_t *left)
{
        if (*left == 0) {
                leave_out(u, OXL_LEFT_SAMPLE);
        } else if (!u->loose && u->size > *left) {
                u->want = OXL_WANT_PART;
                u->part = *left;
                *left = 0;
        } else {
                *left -= u->size < *left ? u->size : *left;
        }
}

static int draw_seed(struct oxl_check *c, struct oxl_error *err)
{
        c->result.seed = c->limits.seed;
        if (c->result.seed == 0 && oxl_random_bytes(&c->result.seed, sizeof c->result.seed) < 0)
                return OXL_FAIL_OS(err, RANDOM, "the sample");
        return 0;
}

static int draw(struct oxl_check *c, struct oxl_error *err)
{
        cleanup_free size_t *order = calloc(c->units.n + 1, sizeof *order);
        uint64_t left = sample_bytes(c);
        size_t n = 0;
        if (!order)
                return OXL_FAIL_PLAIN(err, NOMEM);
        int r = draw_seed(c, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < c->units.n; i++)
                if (c->units.at[i].want == OXL_WANT_ALL && !c->units.at[i].must)
                        order[n++] = i;
        if (n > 1)
                qsort_r(order, n, sizeof *order, compare_draw, c);
        for (size_t i = 0; i < n; i++)
                draw_one(&c->units.at[order[i]], &left);
        return 0;
}

/* --- the order --- */

/* May the disk choose? Not where there is little to read: in a check that ends a pass of scrub. */
static bool disk_may_choose(const struct oxl_check *c)
{
        const struct oxl_check_options *o = &c->limits;
        return c->units.wanted_files > 1 && o->time_limit_ms <= 0 &&
               (!o->hooks || oxl_check_part(c) == OXL_CHECK_CONTENT) && oxl_disk_rotating(c->dev);
}

/* False: the file system tells of none. Whatever else fails is met again, and told, when the file is read. */
static bool locate(const struct oxl_check *c, struct oxl_unit *u)
{
        char path[OXL_LOOSE_PATH_MAX];
        oxl_unit_path(c, u, path);
        cleanup_fd int fd = oxl_open_beneath(c->root_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
        return fd < 0 || oxl_disk_place(fd, &u->place) == 0 || (errno != EOPNOTSUPP && errno != ENOTTY);
}

static int locate_all(struct oxl_check *c, struct oxl_error *err)
{
        bool tells = true;
        for (size_t i = 0; tells && i < c->units.n; i++) {
                struct oxl_unit *u = &c->units.at[i];
                if (u->want == OXL_WANT_NOTHING || (c->limits.hooks && rank_of(c, u) > 1))
                        continue; /* not read; or its age decides */
                int r = oxl_check_poll(c, err);
                if (r < 0)
                        return r;
                tells = locate(c, u);
                c->units.by_place = c->units.by_place || u->place > 0;
                oxl_check_content_progress(c);
        }
        return 0;
}

static int put_in_order(struct oxl_check *c, struct oxl_error *err)
{
        bool by_age = c->limits.time_limit_ms > 0 || c->limits.hooks;
        int r = disk_may_choose(c) ? locate_all(c, err) : 0;
        if (r == 0 && (by_age || c->units.by_place) && c->units.n > 1)
                qsort_r(c->units.at, c->units.n, sizeof *c->units.at, by_age ? compare_order : compare_place, c);
        return r;
}

/* --- all of it --- */

int oxl_check_select(struct oxl_check *c, struct oxl_error *err)
{
        const struct oxl_check_options *o = &c->limits;
        for (size_t i = 0; i < c->units.n; i++) {
                struct oxl_unit *u = &c->units.at[i];
                u->want = OXL_WANT_ALL;
                if (o->quick)
                        leave_out(u, OXL_LEFT_QUICK);
                else if (is_not_due(c, u) || (o->since_days > 0 && is_recent(c, u)))
                        leave_out(u, OXL_LEFT_RECENT);
        }
        int r = !o->quick && (o->sample_ppm > 0 || o->sample_bytes > 0) ? draw(c, err) : 0;
        if (r < 0)
                return r;
        for (size_t i = 0; i < c->units.n; i++) {
                const struct oxl_unit *u = &c->units.at[i];
                c->units.wanted_files += u->want != OXL_WANT_NOTHING;
                c->units.wanted_bytes += u->want == OXL_WANT_ALL ? u->size : u->want == OXL_WANT_PART ? u->part : 0;
        }
        return put_in_order(c, err);
}

/* SPDX-License-Identifier: MIT */
/* The list of bad objects, see bad.h. */
#include <stdio.h>
#include <string.h>

#include "check/bad.h"
#include "check/trashed.h"

/* All affects together: a store that lost everything still gets its findings, with fewer paths. */
enum { TEXT_BYTES_MAX = 64 << 20 };

void oxl_bad_list_done(struct oxl_bad_list *l)
{
        for (size_t i = 0; i < l->n; i++) {
                struct oxl_bad *b = &l->at[i];
                for (size_t k = 0; k < b->n_affects; k++)
                        free(b->affects[k]);
                free(b->affects);
                free(b->path);
                free(b->detail);
        }
        free(l->at);
        *l = (struct oxl_bad_list){ 0 };
}

int oxl_bad_add(struct oxl_bad_list *l, enum oxl_problem problem, enum oxl_kind kind, const struct oxl_digest *id,
                const char *path, const char *detail, struct oxl_bad **ret, struct oxl_error *err)
{
        if (l->n == l->cap) {
                size_t cap = 2 * l->cap + 16;
                struct oxl_bad *at = reallocarray(l->at, cap, sizeof *at);
                if (!at)
                        return OXL_FAIL_PLAIN(err, NOMEM);
                l->at = at;
                l->cap = cap;
        }
        struct oxl_bad b = { .problem = problem, .id = *id, .kind = (uint8_t)kind, .path = strdup(path) };
        if (!b.path)
                return OXL_FAIL_PLAIN(err, NOMEM);
        b.detail = detail ? strdup(detail) : NULL; /* best effort */
        l->at[l->n++] = b;
        if (ret)
                *ret = &l->at[l->n - 1];
        return 0;
}

static int compare_bad(const void *a, const void *b)
{
        const struct oxl_bad *x = a, *y = b;
        int r = memcmp(x->id.bytes, y->id.bytes, OXL_DIGEST_BYTES);
        if (r == 0)
                r = (int)x->problem - (int)y->problem;
        return r ? r : strcmp(x->path, y->path);
}

void oxl_bad_sort(struct oxl_bad_list *l)
{
        if (l->n > 1)
                qsort(l->at, l->n, sizeof *l->at, compare_bad);
}

struct oxl_bad *oxl_bad_find(struct oxl_bad_list *l, const struct oxl_digest *id, size_t *ret_n)
{
        size_t low = 0, high = l->n, n = 0;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                if (memcmp(l->at[middle].id.bytes, id->bytes, OXL_DIGEST_BYTES) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        while (low + n < l->n && memcmp(l->at[low + n].id.bytes, id->bytes, OXL_DIGEST_BYTES) == 0)
                n++;
        *ret_n = n;
        return &l->at[low];
}

int oxl_bad_affects(struct oxl_bad_list *l, struct oxl_bad *b, const struct oxl_digest *commit, const char *path,
                    size_t path_len, struct oxl_error *err)
{
        char head[OXL_DIGEST_TEXT_MAX] = "";
        b->affects_total++;
        if (b->n_affects == OXL_AFFECTS_MAX || l->text_bytes > TEXT_BYTES_MAX)
                return 0;
        if (!b->affects)
                b->affects = calloc(OXL_AFFECTS_MAX, sizeof *b->affects);
        if (commit) {
                oxl_digest_text(commit, head);
                memcpy(head + 12, ":", 2);
        }
        char *text = malloc(strlen(head) + path_len + 1);
        if (!b->affects || !text) {
                free(text);
                return OXL_FAIL_PLAIN(err, NOMEM);
        }
        memcpy(text, head, strlen(head));
        memcpy(text + strlen(head), path, path_len);
        text[strlen(head) + path_len] = 0;
        b->affects[b->n_affects++] = text;
        l->text_bytes += strlen(head) + path_len + sizeof text;
        return 0;
}

/* What gc moved away is not lost. */
static int look_in_trash(const struct oxl_trashed *t, const struct oxl_bad *b, struct oxl_report *report, char *remedy,
                         size_t size, struct oxl_error *err)
{
        const struct oxl_trashed_run *run = NULL;
        int r = b->problem == OXL_P_SIZE_WRONG || b->id.algo == OXL_ALGO_NONE
                        ? 0
                        : oxl_trashed_find(t, (enum oxl_kind)b->kind, &b->id, &run, err);
        if (!run)
                return r;
        snprintf(remedy, size, "oxen-lite gc --undo %s", run->id);
        report->remedy = remedy;
        report->detail = "it is in trash";
        return 0;
}

static int report_all(struct oxl_check *c, const struct oxl_bad_list *l, const struct oxl_trashed *trashed,
                      struct oxl_error *err)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < l->n; i++) {
                const struct oxl_bad *b = &l->at[i];
                char remedy[64];
                struct oxl_report report = {
                        .problem = b->problem,
                        .path = b->path,
                        .object = &b->id,
                        .want = b->got.algo != OXL_ALGO_NONE ? &b->id : NULL,
                        .got = &b->got,
                        .expected = b->expected[0] ? b->expected : NULL,
                        .actual = b->actual[0] ? b->actual : NULL,
                        .detail = b->detail,
                        .affects = (const char *const *)b->affects,
                        .n_affects = b->n_affects,
                        .affects_total = b->affects_total,
                };
                r = look_in_trash(trashed, b, &report, remedy, sizeof remedy, err);
                if (r == 0)
                        r = oxl_check_report(c, &report, err);
        }
        return r;
}

int oxl_bad_report(struct oxl_check *c, const struct oxl_bad_list *l, struct oxl_error *err)
{
        cleanup(oxl_trashed_done) struct oxl_trashed trashed = { 0 };
        const struct oxl_objects_config like = { .root_fd = c->root_fd,
                                                 .id = c->format.id,
                                                 .blob_algo = c->format.blob_algo,
                                                 .pack_threshold = OXL_PACK_THRESHOLD_DEFAULT,
                                                 .unreadable = oxl_check_hear_unread,
                                                 .ctx = c };
        int r = l->n > 0 ? oxl_trashed_list(&trashed, &like, err) : 0;
        return r < 0 ? r : report_all(c, l, &trashed, err);
}

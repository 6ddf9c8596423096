/* SPDX-License-Identifier: MIT */
/* The map of stored bytes: collecting files, and laying them out in cells. */
#include <string.h>
#include <time.h>

#include "health_map.h"

void health_map_init(struct health_map *m, uint32_t days)
{
        struct timespec now = { 0 };

        (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
        *m = (struct health_map){ .now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec, .days = days };
}

void health_map_done(struct health_map *m)
{
        for (size_t i = 0; i < m->n; i++)
                free(m->files[i].path);
        free(m->files);
        m->files = NULL;
        m->n = m->cap = 0;
}

static enum health_kind kind_of(const struct health_map *m, const struct oxl_health_file *f)
{
        const int64_t days_ns = INT64_C(86400) * 1000000000 * m->days;

        if (f->damaged)
                return HEALTH_DAMAGED;
        if (f->verified_ns == 0)
                return HEALTH_NEVER;
        int64_t age = m->now_ns - f->verified_ns;
        if (age < 0)
                age = 0;
        return age >= days_ns ? HEALTH_OVERDUE : (enum health_kind)(age / (days_ns / HEALTH_AGES));
}

static int add(struct health_map *m, const struct health_file *file, struct oxl_error *err)
{
        if (m->n == m->cap) {
                size_t cap = 2 * m->cap + 256;
                struct health_file *files = realloc(m->files, cap * sizeof *files);
                if (!files)
                        return cli_error(err, OXL_E_NOMEM, 0, NULL, NULL);
                m->files = files;
                m->cap = cap;
        }
        m->files[m->n++] = *file;
        return 0;
}

int health_map_add(struct health_map *m, const struct oxl_health_file *f, struct oxl_error *err)
{
        struct health_file file = { .size = f->size, .verified_ns = f->verified_ns, .kind = kind_of(m, f) };

        if (file.kind == HEALTH_DAMAGED && f->path) {
                file.path = strdup(f->path);
                if (!file.path)
                        return cli_error(err, OXL_E_NOMEM, 0, NULL, NULL);
        }
        int r = add(m, &file, err);
        if (r < 0)
                free(file.path);
        return r;
}

int health_map_add_sum(struct health_map *m, enum health_kind kind, uint64_t bytes, struct oxl_error *err)
{
        return add(m, &(struct health_file){ .size = bytes, .kind = kind }, err);
}

void health_map_cells(const struct health_map *m, size_t n, struct health_cell *ret)
{
        double at = 0, bytes = 0;

        for (size_t i = 0; i < m->n; i++)
                bytes += (double)m->files[i].size;
        double scale = bytes > 0 ? (double)n / bytes : 0;
        for (size_t i = 0; i < n; i++)
                ret[i] = (struct health_cell){ HEALTH_AGE, NULL };
        for (size_t i = 0; i < m->n; i++) {
                const struct health_file *f = &m->files[i];
                size_t from = (size_t)(at * scale);
                at += (double)f->size;
                double end = at * scale;
                if (from >= n) /* an empty file behind the last byte */
                        from = n - 1;
                for (size_t k = from; k < n && (k == from || (double)k < end - 1e-9); k++)
                        if (!ret[k].worst || f->kind > ret[k].kind)
                                ret[k] = (struct health_cell){ f->kind, f };
        }
}

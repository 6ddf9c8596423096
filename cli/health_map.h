/* SPDX-License-Identifier: MIT */
/*
 * The map of all stored bytes by their last verification: what `health` prints and what the HTML reports draw. A cell is an equal
 * share of the bytes, files in turn; it shows the worst of what lies in it, and a small file makes its cell at least as bad as it is.
 */
#ifndef OXL_CLI_HEALTH_MAP_H
#define OXL_CLI_HEALTH_MAP_H

#include <oxenlite/tools.h>

#include "cli.h"

enum { HEALTH_COLUMNS = 64, HEALTH_CELLS_MAX = HEALTH_COLUMNS * 12, HEALTH_AGES = 8, HEALTH_DAYS = 30 };

/* In the order of what is worse. The first eight: eighths of the contract's days. */
enum health_kind {
        HEALTH_AGE = 0,
        HEALTH_OVERDUE = HEALTH_AGES,
        HEALTH_NEVER,
        HEALTH_DAMAGED,
        HEALTH_KINDS,
};

struct health_file {
        uint64_t size;
        int64_t verified_ns; /* 0: never */
        enum health_kind kind;
        char *path; /* of damaged files only, else NULL */
};

struct health_map {
        int64_t now_ns;
        uint32_t days;
        struct health_file *files;
        size_t n, cap;
};

struct health_cell {
        enum health_kind kind;
        const struct health_file *worst; /* NULL: nothing lies here */
};

/* At the present time. */
void health_map_init(struct health_map *m, uint32_t days);
void health_map_done(struct health_map *m);
/* NOMEM. */
int health_map_add(struct health_map *m, const struct oxl_health_file *f, struct oxl_error *err);
/* A sum of bytes of one kind, where single files are not known. NOMEM. */
int health_map_add_sum(struct health_map *m, enum health_kind kind, uint64_t bytes, struct oxl_error *err);
/* @n cells, at most HEALTH_CELLS_MAX; they borrow from the map. */
void health_map_cells(const struct health_map *m, size_t n, struct health_cell *ret);

#endif

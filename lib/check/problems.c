/* SPDX-License-Identifier: MIT */
/* The rows of problems.def as a table. */
#include <string.h>

#include <oxenlite/check.h>

#include "base/cleanup.h"

struct row {
        int number;
        enum oxl_severity severity;
        const char *slug, *cost, *text, *remedy;
};

static const struct row rows[] = {
#define OXL_PROBLEM(number, NAME, slug, severity, cost, text, remedy, automatic) \
        { number, OXL_SEVERITY_##severity, slug, cost, text, remedy },
#include <oxenlite/problems.def>
#undef OXL_PROBLEM
};

static const struct row unknown = { 0, OXL_SEVERITY_ERROR, "unknown", "unknown", "unknown problem", "report a bug" };

static const struct row *row_of(int p)
{
        for (size_t i = 0; i < OXL_ARRAY_LEN(rows); i++)
                if (rows[i].number == p)
                        return &rows[i];
        return &unknown;
}

const char *oxl_problem_slug(enum oxl_problem p)
{
        return row_of((int)p)->slug;
}

enum oxl_severity oxl_problem_severity(enum oxl_problem p)
{
        return row_of((int)p)->severity;
}

const char *oxl_problem_text(enum oxl_problem p)
{
        return row_of((int)p)->text;
}

const char *oxl_problem_cost(enum oxl_problem p)
{
        return row_of((int)p)->cost;
}

const char *oxl_problem_remedy(enum oxl_problem p)
{
        return row_of((int)p)->remedy;
}

int oxl_problem_find(const char *slug)
{
        for (size_t i = 0; i < OXL_ARRAY_LEN(rows); i++)
                if (strcmp(rows[i].slug, slug) == 0)
                        return rows[i].number;
        return 0;
}

int oxl_problem_next(int p)
{
        if (p == 0)
                return rows[0].number;
        for (size_t i = 0; i + 1 < OXL_ARRAY_LEN(rows); i++)
                if (rows[i].number == p)
                        return rows[i + 1].number;
        return 0;
}

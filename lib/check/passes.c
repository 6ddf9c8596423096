/* SPDX-License-Identifier: MIT */
/*
 * The history of passes, in rows of the ledger: size has the bytes, verified the end, verdict the rest as text. Written with the
 * other rows, without a sync: a power cut may cost the last ones, which is all that depends on them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "check/hooks.h"

#define PREFIX OXL_LEDGER_PASS "/"

static bool slot_of(const char *path, size_t *ret)
{
        static const char digits[] = "0123456789";
        const char *at = path + sizeof PREFIX - 1;
        if (strncmp(path, PREFIX, sizeof PREFIX - 1) != 0 || strspn(at, digits) != 2 || at[2])
                return false;
        *ret = (size_t)(at[0] - '0') * 10 + (size_t)(at[1] - '0');
        return true;
}

/* Digits behind @label, which *at begins with. */
static bool take_number(const char **at, const char *label, uint64_t *ret)
{
        size_t n = strlen(label);
        if (strncmp(*at, label, n) != 0)
                return false;
        const char *p = *at + n;
        for (*ret = 0; *p >= '0' && *p <= '9'; p++) {
                uint64_t digit = (uint64_t)(*p - '0');
                if (*ret > (UINT64_MAX - digit) / 10)
                        return false;
                *ret = *ret * 10 + digit;
        }
        bool some = p > *at + n;
        *at = p;
        return some;
}

static bool take_word(const char **at, const char *word)
{
        size_t n = strlen(word);
        if (strncmp(*at, word, n) != 0)
                return false;
        *at += n;
        return true;
}

static bool parse(const struct oxl_ledger_row *row, struct oxl_pass *ret)
{
        const char *at = row->verdict;
        uint64_t ms = 0;
        *ret = (struct oxl_pass){ .end_ns = row->verified_ns, .bytes = row->size };
        ret->scrub = take_word(&at, "scrub ");
        if (!ret->scrub && !take_word(&at, "fsck "))
                return false;
        ret->whole = take_word(&at, "whole ");
        if (!ret->whole && !take_word(&at, "part "))
                return false;
        if (!take_number(&at, "files=", &ret->files) || !take_number(&at, " findings=", &ret->findings) ||
            !take_number(&at, " unreadable=", &ret->unreadable) || !take_number(&at, " ms=", &ms) || *at)
                return false;
        if (ret->end_ns <= 0 || ms > (uint64_t)ret->end_ns / 1000000)
                return false;
        ret->begin_ns = ret->end_ns - (int64_t)ms * 1000000;
        ret->clean = ret->whole && ret->findings == 0 && ret->unreadable == 0;
        return true;
}

bool oxl_passes_take(struct oxl_passes *p, const struct oxl_ledger_row *row)
{
        struct oxl_pass pass;
        size_t slot, to = OXL_PASSES_SHOWN;
        if (!slot_of(row->path, &slot))
                return false;
        p->ends[slot] = row->verified_ns > 0 ? row->verified_ns : 0;
        if (!parse(row, &pass))
                return true;
        while (to > 0 && p->shown[to - 1].end_ns < pass.end_ns)
                to--;
        if (to == OXL_PASSES_SHOWN)
                return true;
        memmove(&p->shown[to + 1], &p->shown[to], (OXL_PASSES_SHOWN - 1 - to) * sizeof p->shown[0]);
        p->shown[to] = pass;
        return true;
}

struct oxl_ledger_row oxl_passes_row(const struct oxl_passes *p, const struct oxl_pass *pass,
                                     struct oxl_pass_texts *texts)
{
        int64_t took_ns = pass->end_ns - pass->begin_ns;
        size_t slot = 0;
        for (size_t i = 1; i < OXL_PASSES_KEPT; i++)
                if (p->ends[i] < p->ends[slot])
                        slot = i;
        snprintf(texts->path, sizeof texts->path, PREFIX "%02zu", slot);
        snprintf(texts->verdict, sizeof texts->verdict,
                 "%s %s files=%" PRIu64 " findings=%" PRIu64 " unreadable=%" PRIu64 " ms=%" PRId64,
                 pass->scrub ? "scrub" : "fsck", pass->whole ? "whole" : "part", pass->files, pass->findings,
                 pass->unreadable, took_ns > 0 ? took_ns / 1000000 : 0);
        return (struct oxl_ledger_row){
                .path = texts->path, .size = pass->bytes, .verified_ns = pass->end_ns, .verdict = texts->verdict
        };
}

/* SPDX-License-Identifier: MIT */
/* "50MiB" */
#ifndef OXEN_LITED_SIZE_H
#define OXEN_LITED_SIZE_H

#include <stdbool.h>
#include <stdint.h>

/* Digits and a unit: none or B; K, M, G, T and KiB, MiB, GiB, TiB (powers of 1024); kB, MB, GB, TB (powers of 1000). */
static inline bool size_parse(const char *text, uint64_t *ret)
{
        static const struct {
                char unit[4];
                uint64_t factor;
        } units[] = {
                { "", 1 },
                { "B", 1 },
                { "K", UINT64_C(1) << 10 },
                { "M", UINT64_C(1) << 20 },
                { "G", UINT64_C(1) << 30 },
                { "T", UINT64_C(1) << 40 },
                { "KiB", UINT64_C(1) << 10 },
                { "MiB", UINT64_C(1) << 20 },
                { "GiB", UINT64_C(1) << 30 },
                { "TiB", UINT64_C(1) << 40 },
                { "kB", 1000 },
                { "MB", 1000000 },
                { "GB", 1000000000 },
                { "TB", UINT64_C(1000000000000) },
        };
        uint64_t n = 0;
        const char *p = text;

        for (; *p >= '0' && *p <= '9'; p++)
                if (__builtin_mul_overflow(n, (uint64_t)10, &n) || __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
                        return false;
        if (p == text)
                return false;
        for (unsigned i = 0; i < sizeof units / sizeof units[0]; i++) {
                const char *a = p, *b = units[i].unit;
                while (*a && *a == *b)
                        a++, b++;
                if (!*a && !*b)
                        return !__builtin_mul_overflow(n, units[i].factor, ret);
        }
        return false;
}

#endif

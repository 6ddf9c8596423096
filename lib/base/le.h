/* SPDX-License-Identifier: MIT */
/* Little-endian integers in stored formats. No alignment is assumed; no struct is ever written as it lies in memory. */
#ifndef OXL_BASE_LE_H
#define OXL_BASE_LE_H

#include <stdint.h>

static inline uint16_t le_load16(const void *p)
{
        const uint8_t *b = p;
        return (uint16_t)(b[0] | (unsigned)b[1] << 8);
}

static inline uint32_t le_load32(const void *p)
{
        const uint8_t *b = p;
        return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static inline uint64_t le_load64(const void *p)
{
        const uint8_t *b = p;
        return (uint64_t)le_load32(b) | (uint64_t)le_load32(b + 4) << 32;
}

static inline void le_store16(void *p, uint16_t v)
{
        uint8_t *b = p;
        b[0] = (uint8_t)v;
        b[1] = (uint8_t)(v >> 8);
}

static inline void le_store32(void *p, uint32_t v)
{
        uint8_t *b = p;
        le_store16(b, (uint16_t)v);
        le_store16(b + 2, (uint16_t)(v >> 16));
}

static inline void le_store64(void *p, uint64_t v)
{
        uint8_t *b = p;
        le_store32(b, (uint32_t)v);
        le_store32(b + 4, (uint32_t)(v >> 32));
}

#endif

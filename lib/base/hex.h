/* SPDX-License-Identifier: MIT */
/* Lowercase hexadecimal, strict. */
#ifndef OXL_BASE_HEX_H
#define OXL_BASE_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <oxenlite/api.h>

/* Writes 2 * @n digits and NUL to @ret. */
void oxl_hex_encode(const void *p, size_t n, char *ret);

/* The same as one number: leading zero digits dropped, at least one digit left (Oxen's form of XXH3-128). */
void oxl_hex_encode_number(const void *p, size_t n, char *ret);

/* Decodes exactly 2 * @n lowercase digits; does not look behind them. False (and @ret undefined) on anything else. */
OXL_MUST_CHECK bool oxl_hex_decode(const char *text, void *ret, size_t n);

/* Decodes exactly 16 lowercase digits. */
OXL_MUST_CHECK bool oxl_hex_decode_u64(const char *text, uint64_t *ret);

/* Value of one lowercase digit, or -1. */
int oxl_hex_digit(char c);

#endif

/* SPDX-License-Identifier: MIT */
#ifndef OXL_BASE_UTF8_H
#define OXL_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Is the string well-formed UTF-8 (Unicode table 3-7)? Overlong forms, surrogates and values above U+10FFFF are not.
 * NUL bytes are; the empty string is. */
bool oxl_utf8_valid(const void *p, size_t n);

#endif

/* SPDX-License-Identifier: MIT */
/* Temp names, `<name cut to fit>.oxl-<owner, 16 hex>-<random, 16 hex>.tmp`: one maker. The one recogniser is public:
 * oxl_temp_name_is_ours(). */
#ifndef OXL_DURABLE_TEMPNAME_H
#define OXL_DURABLE_TEMPNAME_H

#include <stdint.h>

#include <oxenlite/atomic.h>

#include "base/path.h"

enum { OXL_TEMP_NAME_SIZE = OXL_NAME_MAX + 1 };

/* Makes a name for @base (1 byte or more, no '/'). It is cut between UTF-8 characters where it has any, so that file
 * systems which insist on UTF-8 take it. RANDOM. */
OXL_MUST_CHECK int oxl_temp_name_make(const char *base, uint64_t owner, char ret[OXL_TEMP_NAME_SIZE],
                                      struct oxl_error *err);

#endif

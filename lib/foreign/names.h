/* SPDX-License-Identifier: MIT */
/* Names in an Oxen version store: which are Oxen's, and what is wrong with those that are not. Pure functions.
 * Those of temps: durable/foreign_name.h. */
#ifndef OXL_FOREIGN_NAMES_H
#define OXL_FOREIGN_NAMES_H

#include <stdbool.h>

#include <oxenlite/digest.h>

#include "durable/foreign_name.h"

/* Can @name be the first level of a version store: two hexadecimal digits, of either case? */
bool oxl_oxen_prefix_name(const char *name);

/* Why "<@two>/<@rest>" is not the folder of a blob, as a static text; NULL when it is, then *ret_id is its hash. A blob
 * is named by a number without leading zeros, a @block by 32 digits. */
const char *oxl_oxen_hash_problem(const char *two, const char *rest, bool block, struct oxl_digest *ret_id);

/* "data", or "data.<ext>" of older stores. */
bool oxl_oxen_data_name(const char *name);

/* A byte offset: decimal digits without leading zeros. */
bool oxl_oxen_offset_name(const char *name);

/* The folder of a blob, relative to the store: "15/77598f7d7589481ced4b6fab7dc4e". */
#define OXL_OXEN_FOLDER_SIZE 40
void oxl_oxen_folder(const struct oxl_digest *id, char ret[OXL_OXEN_FOLDER_SIZE]);

#endif

/* SPDX-License-Identifier: MIT */
/* Names of temps that Oxen leaves. As with ours, a name that is recognised may be deleted, so the grammar is exact. */
#ifndef OXL_DURABLE_FOREIGN_NAME_H
#define OXL_DURABLE_FOREIGN_NAME_H

#include <stdbool.h>

/* Is @name one of Oxen's two temp shapes, exactly?
 *   <1 byte or more>.oxentmp.<6 letters or digits>
 *   .oxentmp.<pid>.export-<1 byte or more> */
bool oxl_oxen_temp_name(const char *name);

#endif

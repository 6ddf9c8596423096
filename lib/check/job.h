/* SPDX-License-Identifier: MIT */
/* One pack or loose blob on its way from being read (any thread) to being told of (the main thread). */
#ifndef OXL_CHECK_JOB_H
#define OXL_CHECK_JOB_H

#include "check/pass.h"
#include "check/salvage.h"

struct oxl_job {
        struct oxl_unit *unit; /* borrowed */
        char path[OXL_LOOSE_PATH_MAX];
        struct oxl_reader reader; /* outlives the pack */
        struct oxl_look look;
        struct oxl_pack *pack; /* owned */
        struct oxl_suspects suspects;
        struct oxl_error why;  /* why the reading of a pack ended early; empty: it did not */
        bool unreadable;       /* some of it could not be read */
        uint64_t size;         /* of a blob */
        uint64_t part;         /* bytes of records that were read, when not all were wanted: */
        uint64_t first, count; /* of the index; count: all, when all were read */
        bool tallied;          /* the pack's index is broken: */
        struct oxl_salvage_count tally;
        int r; /* < 0: the check must stop, with err */
        struct oxl_error err;
};
#define OXL_JOB_INIT { .reader = OXL_READER_INIT, .look = OXL_LOOK_INIT }

#endif

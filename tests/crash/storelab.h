/* SPDX-License-Identifier: MIT */
/*
 * The whole store on the model disk: workloads of verbs, and what must hold after each crash of them.
 *
 * A workload is a row: what is there before, what is done, which versions may be seen after each acknowledgement. The
 * promises are the same for all of them, in this order after every crash:
 *
 *      before anybody recovers   the branch reads: the last acknowledged version or the one in flight, with every byte of all its
 *                                ancestors (O1, O2: readers need no recovery)
 *      recovery                  succeeds (O5), leaves no temp (O3), and once more changes nothing (O6)
 *      then                      the same reading; status is that of this very version, so nothing is half there (O4); fsck finds
 *                                nothing at all (O5); and a commit can be made (O7)
 *
 * With `nested`, recovery itself is watched: the power fails again at each of its operations. With `kills`, the process dies at
 * each operation and the machine goes on: recovery then meets names and bytes that are only in the cache.
 *
 * A new verb joins with a row in storelab_workloads.c.
 */
#ifndef OXL_TESTS_STORELAB_H
#define OXL_TESTS_STORELAB_H

#include <oxenlite/repo.h>

#include "crash/modelfs.h"
#include "durable/mutant.h"

enum { LAB_FILES = 4, LAB_VERSIONS = 3, LAB_ACKS = 4 };

/* What main() does first: SQLite on the disk, and an environment that is the same everywhere. */
void lab_begin(void);

#define LAB_TREE "/w"
#define LAB_REPO LAB_TREE "/.oxen-lite"

struct lab_file {
        const char *path;
        unsigned seed;
        size_t size;
};

struct lab_version {
        struct lab_file files[LAB_FILES];
        const char *status; /* what status says once this version is current; NULL: not looked at */
};

struct lab;

struct lab_workload {
        const char *name;
        /* [0]: before the first commit; the message of the others is their number */
        struct lab_version versions[LAB_VERSIONS + 1];
        unsigned char after_ack[LAB_ACKS]; /* the version that each number of acknowledgements promises */
        unsigned acks;
        bool heavy;                   /* less than all subsets, but in OXL_DEEP */
        bool network;                 /* the file system says NFS: journal without WAL */
        bool from_first_ack;          /* before that, somebody else's unsynced files may be torn */
        bool no_repo;                 /* before the first acknowledgement there may be none */
        bool (*setup)(struct lab *l); /* durable before the watching begins */
        bool (*run)(struct lab *l);   /* calls lab_ack after each verb */
        /* More promises, on the recovered disk without a repository open. May be NULL. */
        const char *(*extra)(struct lab *l, unsigned acked);
        /* More promises, before recovery. May be NULL. */
        const char *(*before)(struct lab *l, unsigned acked);
};

extern const struct lab_workload lab_workloads[];
extern const size_t lab_workloads_count;
extern const struct lab_workload lab_failing; /* not in the table: see lab_failing_sync */
const struct lab_workload *lab_find(const char *name);

struct lab_plan {
        enum modelfs_profile profile;
        enum oxl_mutant mutant;
        bool nested, kills;
        unsigned sample; /* of nested and kills: one in so many; 1: all */
        bool stop_at_first;
        bool quick; /* less than all subsets */
};

struct lab_result {
        uint64_t states, boots, looked, violations; /* looked: different disks after recovery */
        double seconds;
        const char *first; /* a static text, or the lab's: valid until the next run */
        uint64_t first_op;
        bool ran;
        unsigned descriptors;
};

struct lab {
        const struct lab_workload *w;
        struct lab_plan plan;
        struct modelfs *fs;
        struct modelfs_seen *recovered, *inner, *killed;
        unsigned acked;
        unsigned depth;
        unsigned recovered_intents; /* by the last recovery */
        uint64_t boots, looked, inner_states, violations;
        const char *first;
        uint64_t first_op;
};

struct lab_result lab_run(const struct lab_workload *w, const struct lab_plan *plan);
/* One line: workload, states, speed, verdict. */
void lab_print(const char *kind, const struct lab_workload *w, const struct lab_result *r);

/* --- for workloads --- */
void lab_ack(struct lab *l);
struct oxl_repo *lab_open(void);        /* NULL: failed */
bool lab_put(const struct lab_file *f); /* as a new file, durable only when synced */
bool lab_put_version(const struct lab *l, unsigned version);
bool lab_is(const char *path, unsigned seed, size_t size);
bool lab_init(void);
bool lab_add(struct oxl_repo *r, const char *path);
bool lab_commit(struct oxl_repo *r, unsigned version, bool all);
/* Runs @verb on the disk of now and goes on with the disk of the moment when its process was killed: after (or just before) the
 * first operation whose words contain @last and, when not NULL, @and. */
bool lab_die_in(struct lab *l, bool (*verb)(struct lab *l), bool before, const char *last, const char *and);
/* The sync of "commit, one sync fails" that fails, from 1; false afterwards: there were fewer. */
extern unsigned lab_failing_sync;
bool lab_sync_failed(void);
/* Everything that is there is durable. */
void lab_settle(struct lab *l);

#endif

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

#include <stdio.h>

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
        bool slow;                    /* less of everything */
        bool sampled;                 /* under sanitizers in any order; the others there only in order */
        bool network;                 /* the file system says NFS: journal without WAL */
        bool from_first_ack;          /* before that, somebody else's unsynced files may be torn */
        bool no_repo;                 /* before the first acknowledgement there may be none */
        bool each_sync;               /* run once for every sync, which fails */
        bool splits;                  /* survives a disk that splits renames */
        bool damaged;                 /* before the first acknowledgement only a repair after recovery makes it sound */
        bool (*setup)(struct lab *l); /* durable before the watching begins */
        bool (*run)(struct lab *l);   /* calls lab_ack after each verb */
        /* More promises, on the recovered disk without a repository open. May be NULL. */
        const char *(*extra)(struct lab *l, unsigned acked);
        /* More promises, before recovery. May be NULL. */
        const char *(*before)(struct lab *l, unsigned acked);
};

extern const struct lab_workload lab_workloads[];
extern const size_t lab_workloads_count;
const struct lab_workload *lab_find(const char *name);

struct lab_plan {
        enum modelfs_profile profile;
        enum oxl_mutant mutant;
        bool nested, kills;
        unsigned sample; /* of nested and kills: one in so many; 1: all */
        bool stop_at_first;
        bool quick; /* less than all subsets */
        bool deep;  /* more */
        uint64_t seed;
        unsigned failing_sync;        /* of "commit, one sync fails": which one, from 1 */
        struct modelfs_seen *counted; /* different disks, over several runs; may be NULL */
        const struct lab_point *replay;
};

/* One crash of a run, as a failing line names it: see lab_replay(). */
struct lab_point {
        uint64_t kill;     /* 0: none */
        const char *cut;   /* NULL: none */
        const char *again; /* the second, within recovery; NULL: none */
        bool watched;      /* as if there were one */
        FILE *out;
};

struct lab_result {
        uint64_t states, again;             /* again: noted in plan.counted by second crashes */
        uint64_t boots, looked, violations; /* looked: different disks after recovery */
        double seconds;
        const char *first; /* a static text, or the lab's: valid until the next run */
        uint64_t first_op;
        const char *line; /* for lab_replay(); NULL: nothing was violated; valid until the next run */
        bool ran;
        bool replayed;
        bool sync_failed; /* there was such a sync */
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
        uint64_t boots, looked, inner_states, again, violations;
        const char *first, *line;
        uint64_t first_op;
        char *inner_point;        /* of the first violation within recovery, owned */
        struct modelfs *inner_fs; /* where recovery is being watched */
        bool watched, replayed, sync_failed;
};

struct lab_result lab_run(const struct lab_workload *w, const struct lab_plan *plan);
/* One line: workload, states, speed, verdict; and one to replay the first violation. */
void lab_print(const char *kind, const struct lab_workload *w, const struct lab_result *r);

/*
 * The line that names one crash, in parts between slashes:
 *
 *      commit -a/P0/seed 0/mutant ACK_BEFORE_BARRIER/cut 143 acked 0 lost 138,140-142/cut 7 acked 0 lost 5
 *
 * workload, profile, then in any order: seed, mutant, "sync 4" (that sync fails), "kill 88" (the process dies after this operation),
 * and up to two points of modelfs.h; the second is a crash within recovery from the first. Says to @out what happened, what is on the
 * disk, what recovery does and the verdict. 0 sound; 1 a promise is broken; 2 there is no such crash. Without the
 * mutant in it, a line shows the same crash of the sound program, as far as that has the same operations.
 */
int lab_replay(const char *line, FILE *out);

const char *lab_profile_name(enum modelfs_profile profile);

/* --- storelab.c, for the running: oracle and kill function of the disk --- */
const char *lab_boot(void *ctx, unsigned acked);
void lab_killed(void *ctx, struct modelfs *clone, uint64_t op);
/* The line up to the crash; its length. */
size_t lab_begin_line(const struct lab *l, char *ret, size_t size);

/* --- for workloads --- */
void lab_ack(struct lab *l);
struct oxl_repo *lab_open(void);        /* NULL: failed */
bool lab_put(const struct lab_file *f); /* as a new file, durable only when synced */
bool lab_put_version(const struct lab *l, unsigned version);
bool lab_is(const char *path, unsigned seed, size_t size);
bool lab_init(void);
bool lab_add(struct oxl_repo *r, const char *path);
bool lab_commit(struct oxl_repo *r, unsigned version, bool all);
bool lab_repair(void); /* nothing is left to repair */
/* Runs @verb on the disk of now and goes on with the disk of the moment when its process was killed: after (or just before) the
 * first operation whose words contain @last and, when not NULL, @and. */
bool lab_die_in(struct lab *l, bool (*verb)(struct lab *l), bool before, const char *last, const char *and);
/* Everything that is there is durable. */
void lab_settle(struct lab *l);

#endif

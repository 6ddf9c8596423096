/* SPDX-License-Identifier: MIT */
/* Looks ahead of a walk, see look.h. Only look() runs on other threads, and only with looks that are `flying`. */
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/fail.h"
#include "os/crew.h"
#include "os/fdio.h"
#include "repo/look.h"

enum {
        LEVEL_FILES = 6,   /* looks at files for one level: more than there are threads */
        LEVEL_FOLDERS = 8, /* and into folders */
        NAMES_MAX = 65536, /* bytes of names: a larger folder is read when the walk comes to it, and by one thread */
        THREADS_MAX = 3,   /* reading the index and comparing stay with the walk: more would wait for it */
};

struct look {
        size_t level, at;
        int dirfd;                /* borrowed */
        const char *name;         /* borrowed; the folder. NULL: files */
        const char *const *names; /* borrowed; the files */
        bool used;
        bool flying;          /* with the crew */
        bool good;            /* it has a result */
        atomic_bool unwanted; /* set while it flies */
        struct oxl_look_folder seen;
};

struct oxl_looks {
        struct oxl_crew *crew;
        struct look looks[OXL_LOOKS];
        struct look *slots[OXL_LOOKS]; /* of the crew: as many, so it is never full */
        size_t folders;                /* looks into folders that are used */
};

/* --- names ------------------------------------------------------------------------------------------------------ */

static int compare_names(const void *a, const void *b)
{
        const char *const *na = a, *const *nb = b;
        return strcmp(*na, *nb);
}

void oxl_names_done(struct oxl_names *n)
{
        free(n->text);
        free(n->sorted);
        *n = (struct oxl_names){ 0 };
}

/* Cuts @text, NUL-ended names one after the other, into a sorted array. */
static int sort_names(struct oxl_buf *text, size_t count, struct oxl_names *ret, struct oxl_error *err)
{
        const char **sorted = calloc(count + 1, sizeof *sorted);
        if (!sorted)
                return OXL_FAIL_PLAIN(err, NOMEM);
        *ret = (struct oxl_names){ .text = (char *)oxl_buf_take(text), .sorted = sorted, .count = count };
        const char *at = ret->text;
        for (size_t i = 0; i < count; i++) {
                sorted[i] = at;
                at += strlen(at) + 1;
        }
        qsort(sorted, count, sizeof *sorted, compare_names);
        return 0;
}

int oxl_names_read(int dirfd, const char *path, size_t bytes_max, struct oxl_names *ret, struct oxl_error *err)
{
        cleanup_buf struct oxl_buf text = OXL_BUF_INIT;
        cleanup_dir struct oxl_dir dir = OXL_DIR_INIT;
        if (oxl_dir_open(&dir, dirfd) < 0)
                return OXL_FAIL_OS(err, DIR_OPEN, path);
        struct oxl_dirent e;
        size_t count = 0;
        int more;
        while ((more = oxl_dir_next(&dir, &e)) > 0) {
                int r = oxl_buf_append(&text, e.name, strlen(e.name) + 1, err);
                if (r < 0)
                        return r;
                if (text.len > bytes_max)
                        return 1;
                count++;
        }
        if (more < 0)
                return OXL_FAIL_OS(err, DIR_READ, path);
        return sort_names(&text, count, ret, err);
}

/* --- looking, on any thread -------------------------------------------------------------------------------------- */

void oxl_look_at(int dirfd, const char *const *names, size_t n, struct stat *ret)
{
        for (size_t i = 0; i < n; i++)
                if (oxl_fd_stat_at(dirfd, names[i], &ret[i]) < 0)
                        ret[i].st_mode = 0;
}

static bool look_at_files(struct look *l, int dirfd, const char *const *names)
{
        l->seen.files = malloc((l->seen.n + 1) * sizeof *l->seen.files);
        if (l->seen.files)
                oxl_look_at(dirfd, names, l->seen.n, l->seen.files);
        return l->seen.files;
}

static bool look_into_folder(struct look *l)
{
        struct oxl_look_folder *seen = &l->seen;
        seen->fd = oxl_fd_open(l->dirfd, l->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK, 0);
        if (seen->fd < 0 || oxl_fd_stat(seen->fd, &seen->st) < 0 ||
            oxl_names_read(seen->fd, l->name, NAMES_MAX, &seen->names, NULL) != 0)
                return false;
        seen->n = seen->names.count < OXL_LOOK_FILES ? seen->names.count : OXL_LOOK_FILES;
        return look_at_files(l, seen->fd, seen->names.sorted);
}

static void look(void *ctx, size_t slot)
{
        struct oxl_looks *a = ctx;
        struct look *l = a->slots[slot];
        if (!atomic_load_explicit(&l->unwanted, memory_order_relaxed))
                l->good = l->name ? look_into_folder(l) : look_at_files(l, l->dirfd, l->names);
}

/* --- looks ------------------------------------------------------------------------------------------------------- */

/* Waits until @l is not flying any more; works rather than sleeps. */
static void land(struct oxl_looks *a, const struct look *l)
{
        while (l->flying)
                if (!oxl_crew_help(a->crew))
                        a->slots[oxl_crew_take(a->crew)]->flying = false;
}

/* What was taken from it is not in it any more. */
static void look_done(struct oxl_looks *a, struct look *l)
{
        a->folders -= l->name != NULL;
        oxl_fd_done(&l->seen.fd);
        oxl_names_done(&l->seen.names);
        free(l->seen.files);
        l->seen.files = NULL;
        l->used = false;
}

static void drop(struct oxl_looks *a, struct look *l)
{
        atomic_store_explicit(&l->unwanted, true, memory_order_relaxed);
        land(a, l);
        look_done(a, l);
}

static struct look *find(struct oxl_looks *a, size_t level, size_t at, bool folder)
{
        for (struct look *l = a->looks; l < a->looks + OXL_LOOKS; l++)
                if (l->used && l->level == level && l->at == at && (l->name != NULL) == folder)
                        return l;
        return NULL;
}

/* One that is not used, or the one of an upper level that is needed last. NULL: all are this level's, or deeper. */
static struct look *find_free(struct oxl_looks *a, size_t level)
{
        struct look *last = a->looks;
        for (struct look *l = a->looks; l < a->looks + OXL_LOOKS; l++) {
                if (!l->used)
                        return l;
                if (l->level < last->level || (l->level == last->level && l->at > last->at))
                        last = l;
        }
        if (last->level >= level)
                return NULL;
        drop(a, last);
        return last;
}

static bool submit(struct oxl_looks *a, const struct look *wanted)
{
        size_t same = 0;
        for (size_t i = 0; i < OXL_LOOKS; i++)
                same += a->looks[i].used && a->looks[i].level == wanted->level && !a->looks[i].name == !wanted->name;
        if (same >= (wanted->name ? LEVEL_FOLDERS : LEVEL_FILES))
                return false;
        struct look *l = find_free(a, wanted->level);
        if (!l)
                return false;
        *l = *wanted;
        l->used = l->flying = true;
        a->folders += l->name != NULL;
        a->slots[oxl_crew_slot(a->crew)] = l;
        oxl_crew_submit(a->crew);
        return true;
}

bool oxl_looks_folder(struct oxl_looks *a, size_t level, size_t at, int dirfd, const char *name)
{
        return submit(a,
                      &(struct look){ .level = level, .at = at, .dirfd = dirfd, .name = name, .seen = { .fd = -1 } });
}

bool oxl_looks_files(struct oxl_looks *a, size_t level, size_t at, int dirfd, const char *const *names, size_t n)
{
        return submit(a,
                      &(struct look){
                              .level = level, .at = at, .dirfd = dirfd, .names = names, .seen = { .fd = -1, .n = n } });
}

bool oxl_looks_take_folder(struct oxl_looks *a, size_t level, size_t at, const struct stat *st,
                           struct oxl_look_folder *ret)
{
        struct look *l = find(a, level, at, true);
        if (!l)
                return false;
        land(a, l);
        bool good = l->good && oxl_stat_same(&l->seen.st, st);
        if (good) {
                *ret = l->seen;
                l->seen = (struct oxl_look_folder){ .fd = -1 };
        }
        look_done(a, l);
        return good;
}

bool oxl_looks_take_files(struct oxl_looks *a, size_t level, size_t at, struct stat **ret, size_t *ret_n)
{
        struct look *l = find(a, level, at, false);
        if (!l)
                return false;
        land(a, l);
        bool good = l->good;
        if (good) {
                *ret = take_ptr(&l->seen.files);
                *ret_n = l->seen.n;
        }
        look_done(a, l);
        return good;
}

void oxl_looks_drop(struct oxl_looks *a, size_t level, size_t end)
{
        for (struct look *l = a->looks; l < a->looks + OXL_LOOKS; l++)
                if (l->used && l->level == level && l->at < end)
                        drop(a, l);
}

size_t oxl_looks_open(const struct oxl_looks *a)
{
        return 2 * a->folders;
}

/* --- beginning and end ------------------------------------------------------------------------------------------ */

int oxl_looks_new(unsigned threads, struct oxl_looks **ret, struct oxl_error *err)
{
        cleanup_free struct oxl_looks *a = calloc(1, sizeof *a);
        if (!a)
                return OXL_FAIL_PLAIN(err, NOMEM);
        int r = oxl_crew_new(threads < THREADS_MAX ? threads : THREADS_MAX, OXL_LOOKS, look, a, &a->crew, err);
        if (r < 0)
                return r;
        *ret = take_ptr(&a);
        return 0;
}

void oxl_looks_free(struct oxl_looks *a)
{
        if (!a)
                return;
        oxl_crew_free(a->crew);
        for (struct look *l = a->looks; l < a->looks + OXL_LOOKS; l++)
                if (l->used)
                        look_done(a, l);
        free(a);
}

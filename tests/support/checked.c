/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "repo/repo.h"
#include "support/checked.h"
#include "support/place.h"

static void must(int r, const struct oxl_error *err, const char *what)
{
        char text[1024];
        if (r >= 0)
                return;
        oxl_error_text(err, text, sizeof text);
        fprintf(stderr, "%s: %s (%s:%d)\n", what, text, err->file ? err->file : "?", err->line);
        abort();
}

static struct oxl_repo *open_repo(struct checked *k)
{
        struct oxl_repo *r = NULL;
        struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_repo_options options = { .wait_ms = 30000, .command = "test" };
        must(oxl_repo_open(k->place, &options, &r, &err), &err, "open");
        return r;
}

void checked_add(struct checked *k, const char *name, const void *bytes, size_t n)
{
        struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_add_options options = { 0 };
        struct oxl_add_result result;
        place_write(k->place, name, bytes, n);
        struct oxl_repo *r = open_repo(k);
        must(oxl_repo_add(r, &name, 1, &options, &result, &err), &err, "add");
        oxl_repo_close(r);
}

void checked_commit(struct checked *k, const char *message)
{
        struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_commit_options options = { .message = message, .author = "Ada <ada@example.org>" };
        struct oxl_commit_result result;
        struct oxl_repo *r = open_repo(k);
        must(oxl_repo_commit(r, &options, &result, &err), &err, "commit");
        oxl_repo_close(r);
}

static void add_text(struct checked *k, const char *name, const char *text)
{
        checked_add(k, name, text, strlen(text));
}

static void add_noise(struct checked *k, const char *name, size_t n, unsigned seed)
{
        uint8_t *bytes = malloc(n);
        assert_non_null(bytes);
        for (size_t i = 0; i < n; i++) {
                seed = seed * 1103515245u + 12345u;
                bytes[i] = (uint8_t)(seed >> 16);
        }
        checked_add(k, name, bytes, n);
        free(bytes);
}

static void set_threshold(struct checked *k)
{
        struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_repo *r = open_repo(k);
        must(oxl_repo_config_set(r, "pack_threshold", "1000", &err), &err, "config");
        oxl_repo_close(r);
}

/* A ref to what HEAD is now, as `tag` and `branch` make them. */
static void put_ref(struct checked *k, const char *name)
{
        struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_head head = { 0 };
        struct oxl_buf text = OXL_BUF_INIT;
        struct oxl_repo *r = open_repo(k);
        must(oxl_repo_head(r, &head, &err), &err, "head");
        must(oxl_ref_print(&r->format.id, name, &head.commit, &text, &err), &err, "ref");
        place_write(k->root, name, text.data, text.len);
        oxl_buf_done(&text);
        oxl_head_done(&head);
        oxl_repo_close(r);
}

/* Everything that would only come with more data or time. */
static void settle(struct checked *k)
{
        struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_objects *objects;
        struct oxl_repo *r = open_repo(k);
        must(oxl_repo_begin_write(r, &err), &err, "begin_write");
        must(oxl_repo_objects(r, &objects, &err), &err, "objects");
        must(oxl_objects_refresh_lookup(objects, true, &err), &err, "lookup");
        must(oxl_journal_checkpoint(r->journal, 0, &err), &err, "checkpoint");
        oxl_repo_end_write(r);
        oxl_repo_close(r);
}

void checked_new(struct checked *k, enum oxl_algo algo)
{
        struct oxl_error err = OXL_ERROR_INIT;
        *k = (struct checked){ .options = { .wait_ms = 30000 } };
        k->place = place_new();
        k->root = place_path(k->place, ".oxen-lite");
        must(oxl_repo_init(k->place, algo, &err), &err, "init");
        set_threshold(k);
        place_mkdir(k->place, "folder");
        add_text(k, "a.txt", "first\n");
        add_text(k, "folder/b.txt", "in a folder\n");
        add_noise(k, "folder/small.bin", 700, 1);
        add_noise(k, "large-1.bin", 1500, 2);
        checked_commit(k, "one");
        put_ref(k, "refs/tags/v1");
        put_ref(k, "refs/heads/other");
        add_text(k, "a.txt", "second\n");
        add_noise(k, "large-2.bin", 1600, 3);
        checked_commit(k, "two");
        add_text(k, "staged.txt", "not committed yet\n");
        settle(k);
}

static void forget(struct checked *k)
{
        for (size_t i = 0; i < k->n_found; i++) {
                struct checked_finding *f = &k->found[i];
                free(f->path);
                free(f->verdict);
                free(f->object);
                free(f->detail);
                free(f->id);
                free(f->affects);
        }
        k->n_found = 0;
}

void checked_free(struct checked *k)
{
        forget(k);
        free(k->found);
        free(k->root);
        place_free(k->place);
        *k = (struct checked){ 0 };
}

static char *join_affects(const struct oxl_finding *f)
{
        struct oxl_buf b = OXL_BUF_INIT;
        for (size_t i = 0; i < f->n_affects; i++)
                assert_int_equal(oxl_buf_append_fmt(&b, NULL, "%s\n", f->affects[i]), 0);
        return b.data ? (char *)oxl_buf_take(&b) : strdup("");
}

static int collect(void *ctx, const struct oxl_finding *f, struct oxl_error *err)
{
        struct checked *k = ctx;
        (void)err;
        if (k->n_found == k->cap_found) {
                k->cap_found = 2 * k->cap_found + 16;
                k->found = reallocarray(k->found, k->cap_found, sizeof *k->found);
                assert_non_null(k->found);
        }
        k->found[k->n_found++] = (struct checked_finding){
                .problem = f->problem,
                .path = strdup(f->path),
                .verdict = strdup(f->verdict),
                .object = f->object ? strdup(f->object) : NULL,
                .detail = strdup(f->detail),
                .id = strdup(f->id),
                .affects = join_affects(f),
                .affects_total = f->affects_total,
                .os = f->os,
        };
        return 0;
}

int checked_run(struct checked *k)
{
        struct oxl_error err = OXL_ERROR_INIT;
        struct oxl_check_options options = k->limits;
        options.quick = options.quick || k->quick;
        forget(k);
        k->result = (struct oxl_check_result){ 0 };
        int r = oxl_check_run(k->place, &k->options, &options, collect, k, &k->result, &err);
        oxl_error_done(&err);
        return r;
}

size_t checked_count(const struct checked *k, int problem, const char *path)
{
        size_t n = 0;
        for (size_t i = 0; i < k->n_found; i++)
                n += (problem == 0 || (int)k->found[i].problem == problem) &&
                     (!path || strcmp(k->found[i].path, path) == 0);
        return n;
}

const struct checked_finding *checked_first(const struct checked *k, int problem)
{
        for (size_t i = 0; i < k->n_found; i++)
                if ((int)k->found[i].problem == problem)
                        return &k->found[i];
        return NULL;
}

void checked_print(const struct checked *k)
{
        for (size_t i = 0; i < k->n_found; i++) {
                const struct checked_finding *f = &k->found[i];
                fprintf(stderr, "  %s %s [%s] %s %s (%s)\n", oxl_problem_slug(f->problem), f->path, f->verdict,
                        f->object ? f->object : "", f->detail, f->affects);
        }
}

/* --- files --------------------------------------------------------------------------------------------------- */

struct list {
        char **at;
        size_t n;
};

static void gather(struct list *l, const char *root, const char *dir, const char *prefix)
{
        char *full = place_path(root, dir);
        DIR *d = opendir(full);
        assert_non_null(d);
        for (struct dirent *e; (e = readdir(d)) != NULL;) {
                char path[1024], *name;
                struct stat st;
                if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
                        continue;
                snprintf(path, sizeof path, "%s%s%s", dir, dir[0] ? "/" : "", e->d_name);
                name = place_path(root, path);
                assert_int_equal(lstat(name, &st), 0);
                free(name);
                if (S_ISDIR(st.st_mode))
                        gather(l, root, path, prefix);
                if (!S_ISREG(st.st_mode) || strncmp(path, prefix, strlen(prefix)) != 0)
                        continue;
                l->at = reallocarray(l->at, l->n + 2, sizeof *l->at);
                assert_non_null(l->at);
                l->at[l->n++] = strdup(path);
                l->at[l->n] = NULL;
        }
        closedir(d);
        free(full);
}

static int compare(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

char **checked_files(const struct checked *k, const char *prefix)
{
        struct list l = { calloc(1, sizeof *l.at), 0 };
        gather(&l, k->root, "", prefix);
        if (l.n > 1)
                qsort(l.at, l.n, sizeof *l.at, compare);
        return l.at;
}

void checked_files_free(char **files)
{
        for (char **f = files; *f; f++)
                free(*f);
        free(files);
}

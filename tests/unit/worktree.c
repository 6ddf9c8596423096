/* SPDX-License-Identifier: MIT */
/* The walk through a working tree, storing and comparing its files, and the rule that makes the stat cache safe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/path.h"
#include "os/fdio.h"
#include "repo/worktree.h"
#include "support/scratch.h"

/* --- the walk ------------------------------------------------------------------------------------------------------ */

/* What a walk yielded, one letter and path per item: d directory, D its second visit (E when empty), f file, x executable,
 * l link, ? special, s skipped, ! error; then the path; then NUL. */
struct seen {
        struct oxl_buf text;
        size_t items;
};

static char letter_of(const struct oxl_walk_item *item)
{
        if (item->error)
                return '!';
        if (item->skip)
                return 's';
        if (S_ISDIR(item->st.st_mode))
                return !item->done ? 'd' : item->empty ? 'E' : 'D';
        return "?fxl"[oxl_worktree_kind(&item->st, NULL)];
}

static void see(struct seen *s, const struct oxl_walk_item *item)
{
        assert_int_equal(strlen(item->path), item->path_len);
        assert_string_equal(oxl_path_base(item->path), item->name);
        assert_int_equal(oxl_buf_append_u8(&s->text, (uint8_t)letter_of(item), NULL), 0);
        assert_int_equal(oxl_buf_append(&s->text, item->path, item->path_len + 1, NULL), 0);
        s->items++;
}

static int walk(int fd, const char *start, struct seen *s)
{
        struct oxl_walk *w;
        struct oxl_walk_item item;
        *s = (struct seen){ .text = OXL_BUF_INIT };
        int r = oxl_walk_new(fd, start, &w, NULL);
        if (r < 0)
                return r;
        while ((r = oxl_walk_next(w, &item, NULL)) == 0)
                see(s, &item);
        oxl_walk_free(w);
        return r < 0 ? r : 0;
}

static void assert_walk(int fd, const char *start, const char *const *want)
{
        struct seen s;
        assert_int_equal(walk(fd, start, &s), 0);
        const char *at = oxl_buf_text(&s.text);
        for (size_t i = 0; want[i]; i++) {
                assert_true(at < oxl_buf_text(&s.text) + s.text.len);
                assert_string_equal(at, want[i]);
                at += strlen(at) + 1;
        }
        assert_ptr_equal(at, oxl_buf_text(&s.text) + s.text.len);
        oxl_buf_done(&s.text);
}
#define ASSERT_WALK(fd, start, ...) assert_walk(fd, start, (const char *const[]){ __VA_ARGS__, NULL })

static void items_come_in_the_order_of_paths(void **state)
{
        struct scratch d;
        char name[256];
        scratch_new(&d);
        memset(name, 'n', 255);
        name[255] = 0;
        scratch_mkdir(d.fd, "a");
        scratch_mkdir(d.fd, "a/b");
        scratch_write(d.fd, "a/z", "");
        scratch_write(d.fd, "a/b/c", "");
        scratch_write(d.fd, "a-b", "");
        scratch_write(d.fd, "a.txt", "");
        scratch_write(d.fd, "x\ny", "");
        scratch_write(d.fd, "\xff\xfe", "");
        scratch_write(d.fd, "a\x01", "");
        scratch_write(d.fd, name, "");
        assert_int_equal(fchmodat(d.fd, "a-b", 0700, 0), 0);
        assert_int_equal(symlinkat("a", d.fd, "link"), 0);
        name[0] = 'n';
        char long_item[258] = "f";
        memcpy(long_item + 1, name, 256);
        ASSERT_WALK(d.fd, "", "da", "da/b", "fa/b/c", "Da/b", "fa/z", "Da", "fa\x01", "xa-b", "fa.txt", "llink",
                    long_item, "fx\ny", "f\xff\xfe");
        scratch_done(&d);
}

static void a_walk_may_begin_anywhere(void **state)
{
        struct scratch d;
        struct seen s;
        scratch_new(&d);
        scratch_mkdir(d.fd, "a");
        scratch_mkdir(d.fd, "a/b");
        scratch_write(d.fd, "a/b/c", "");
        scratch_write(d.fd, "a/d", "");
        assert_int_equal(symlinkat("b", d.fd, "a/l"), 0);
        ASSERT_WALK(d.fd, "a/b", "da/b", "fa/b/c", "Da/b");
        ASSERT_WALK(d.fd, "a/b/c", "fa/b/c");
        ASSERT_WALK(d.fd, "a/l", "la/l");
        assert_int_equal(walk(d.fd, "a/l/c", &s), -OXL_E_PATH_NOT_FOUND);
        assert_int_equal(walk(d.fd, "a/x", &s), -OXL_E_PATH_NOT_FOUND);
        assert_int_equal(walk(d.fd, "x/y", &s), -OXL_E_PATH_NOT_FOUND);
        assert_int_equal(walk(d.fd, "a/d/y", &s), -OXL_E_PATH_NOT_FOUND);
        assert_int_equal(walk(d.fd, "a/../a", &s), -OXL_E_PATH);
        scratch_done(&d);
}

static void repositories_and_temps_are_skipped_by_name(void **state)
{
        static const char temp[] = "f.oxl-0123456789abcdef-0123456789abcdef.tmp";
        static const char item[] = "sf.oxl-0123456789abcdef-0123456789abcdef.tmp";
        struct scratch d;
        scratch_new(&d);
        scratch_mkdir(d.fd, ".oxen-lite");
        scratch_write(d.fd, ".oxen-lite/x", "");
        scratch_mkdir(d.fd, ".Oxen-LITE");
        scratch_mkdir(d.fd, ".oxen");
        scratch_mkdir(d.fd, ".Oxen");
        scratch_write(d.fd, temp, "");
        ASSERT_WALK(d.fd, "", "d.Oxen", "E.Oxen", "s.Oxen-LITE", "s.oxen", "s.oxen-lite", item);
        ASSERT_WALK(d.fd, ".oxen-lite", "s.oxen-lite");
        ASSERT_WALK(d.fd, ".oxen-lite/x", "s.oxen-lite/x");
        assert_int_equal(oxl_worktree_skip(temp), OXL_SKIP_TEMP);
        assert_int_equal(oxl_worktree_skip(".oxen-lite"), OXL_SKIP_REPOSITORY);
        assert_int_equal(oxl_worktree_skip("f.tmp"), OXL_SKIP_NONE);
        scratch_done(&d);
}

static const char *never_opened;

static int watching_openat(int dirfd, const char *path, int flags, mode_t mode)
{
        if (strcmp(path, "fifo") == 0 || strcmp(path, "socket") == 0)
                never_opened = "opened";
        return oxl_sys_real.openat(dirfd, path, flags, mode);
}

static void make_socket(const struct scratch *d, const char *name)
{
        struct sockaddr_un at = { .sun_family = AF_UNIX };
        snprintf(at.sun_path, sizeof at.sun_path, "%s/%s", d->path, name);
        int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(s, (const struct sockaddr *)&at, sizeof at), 0);
        close(s);
}

static void special_files_are_seen_and_never_opened(void **state)
{
        struct scratch d;
        struct oxl_sys watching = oxl_sys_real;
        scratch_new(&d);
        scratch_mkdir(d.fd, "only");
        assert_int_equal(mkfifoat(d.fd, "only/fifo", 0644), 0);
        make_socket(&d, "socket");
        watching.openat = watching_openat;
        oxl_sys = &watching;
        ASSERT_WALK(d.fd, "", "donly", "?only/fifo", "Eonly", "?socket");
        oxl_sys = &oxl_sys_real;
        assert_null(never_opened);
        scratch_done(&d);
}

static void folders_without_files_are_empty_at_every_level(void **state)
{
        struct scratch d;
        scratch_new(&d);
        scratch_mkdir(d.fd, "a");
        scratch_mkdir(d.fd, "a/b");
        scratch_mkdir(d.fd, "a/b/c");
        scratch_mkdir(d.fd, "d");
        scratch_mkdir(d.fd, "d/e");
        scratch_write(d.fd, "d/e/f", "");
        scratch_mkdir(d.fd, "d/g");
        ASSERT_WALK(d.fd, "", "da", "da/b", "da/b/c", "Ea/b/c", "Ea/b", "Ea", "dd", "dd/e", "fd/e/f", "Dd/e", "dd/g",
                    "Ed/g", "Dd");
        scratch_done(&d);
}

static size_t open_descriptors(void)
{
        size_t n = 0;
        DIR *dir = opendir("/proc/self/fd");
        assert_non_null(dir);
        while (readdir(dir))
                n++;
        closedir(dir);
        return n;
}

/* @count folders called @name, one in the other, with a file beside each and one in the last. */
static void make_deep(int root_fd, const char *name, size_t count)
{
        int at = dup(root_fd);
        for (size_t i = 0; i < count; i++) {
                scratch_mkdir(at, name);
                scratch_write(at, "zz", "");
                int next = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                assert_true(next >= 0);
                close(at);
                at = next;
        }
        scratch_write(at, "zz", "");
        close(at);
}

static void assert_deep_walk(const char *name, size_t count)
{
        struct scratch d;
        struct oxl_walk *w;
        struct oxl_walk_item item;
        scratch_new(&d);
        make_deep(d.fd, name, count);
        size_t before = open_descriptors(), most = 0, files = 0, visits = 0, longest = 0;
        char *last = strdup("");
        assert_int_equal(oxl_walk_new(d.fd, "", &w, NULL), 0);
        int r;
        while ((r = oxl_walk_next(w, &item, NULL)) == 0) {
                assert_null(item.error);
                size_t now = open_descriptors();
                most = now > most ? now : most;
                longest = item.path_len > longest ? item.path_len : longest;
                visits += item.done;
                if (S_ISREG(item.st.st_mode)) {
                        struct stat st;
                        files++;
                        assert_int_equal(fstatat(item.dirfd, item.name, &st, 0), 0);
                        assert_int_equal(st.st_ino, item.st.st_ino);
                }
                if (item.done)
                        continue;
                assert_true(oxl_path_compare(last, strlen(last), item.path, item.path_len) < 0);
                free(last);
                last = strdup(item.path);
        }
        assert_int_equal(r, 1);
        oxl_walk_free(w);
        free(last);
        assert_int_equal(files, count + 1);
        assert_int_equal(visits, count);
        assert_int_equal(longest, count * (strlen(name) + 1) + 2);
        assert_true(most - before <= 64);
        assert_int_equal(open_descriptors(), before);
        scratch_done(&d);
}

static void paths_longer_than_the_kernels_limit_are_walked(void **state)
{
        char name[256];
        memset(name, 'n', 255);
        name[255] = 0;
        assert_deep_walk(name, 60); /* 15,360 bytes */
}

static void deep_trees_take_few_descriptors(void **state)
{
        assert_deep_walk("d", 200);
        assert_deep_walk("d", 1024);
}

static void what_is_too_deep_or_too_long_is_an_error_of_that_item(void **state)
{
        struct scratch d;
        struct seen s;
        scratch_new(&d);
        make_deep(d.fd, "d", 1025);
        assert_int_equal(walk(d.fd, "", &s), 0);
        size_t errors = 0;
        for (size_t i = 0; i < s.text.len; i += strlen((char *)s.text.data + i) + 1)
                errors += s.text.data[i] == '!';
        assert_int_equal(errors, 1);
        assert_int_equal(s.items, 1025 + 1024 + 1025 + 1);
        oxl_buf_done(&s.text);
        scratch_done(&d);
        scratch_new(&d);
        char name[256];
        memset(name, 'n', 255);
        name[255] = 0;
        make_deep(d.fd, name, 128); /* 32,767 bytes; the file in it has more */
        assert_int_equal(walk(d.fd, "", &s), 0);
        errors = 0;
        for (size_t i = 0; i < s.text.len; i += strlen((char *)s.text.data + i) + 1)
                errors += s.text.data[i] == '!';
        assert_int_equal(errors, 1);
        oxl_buf_done(&s.text);
        scratch_done(&d);
}

/* Runs a walk of @d without any privileges; its text comes through a pipe. */
static void walk_as_nobody(const struct scratch *d, struct oxl_buf *ret)
{
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t pid = fork();
        if (pid == 0) {
                struct seen s = { .text = OXL_BUF_INIT };
                struct oxl_walk *w;
                struct oxl_walk_item item;
                if (getuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
                        _exit(1);
                if (oxl_walk_new(d->fd, "", &w, NULL) < 0)
                        _exit(2);
                while (oxl_walk_next(w, &item, NULL) == 0) {
                        char c = letter_of(&item);
                        if (oxl_buf_append(&s.text, &c, 1, NULL) < 0 ||
                            oxl_buf_append_text(&s.text, item.path, NULL) < 0 ||
                            oxl_buf_append_text(&s.text, " ", NULL) < 0)
                                _exit(3);
                }
                _exit(oxl_fd_write_all(ends[1], s.text.data, s.text.len) < 0 ? 4 : 0);
        }
        close(ends[1]);
        assert_int_equal(oxl_fd_read_all(ends[0], 1u << 20, ret), 0);
        close(ends[0]);
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

static void folders_that_cannot_be_read_are_errors_of_their_own(void **state)
{
        struct scratch d;
        struct oxl_buf text = OXL_BUF_INIT;
        scratch_new(&d);
        assert_int_equal(fchmod(d.fd, 0755), 0);
        scratch_mkdir(d.fd, "closed");
        scratch_write(d.fd, "closed/f", "");
        scratch_mkdir(d.fd, "listed");
        scratch_write(d.fd, "listed/f", "");
        scratch_mkdir(d.fd, "open");
        scratch_write(d.fd, "open/f", "");
        assert_int_equal(fchmodat(d.fd, "closed", 0, 0), 0);
        assert_int_equal(fchmodat(d.fd, "listed", 0744, 0), 0);
        if (getuid() != 0)
                assert_int_equal(fchmodat(d.fd, "listed", 0444, 0), 0);
        walk_as_nobody(&d, &text);
        assert_string_equal(oxl_buf_text(&text), "dclosed !closed dlisted !listed dopen fopen/f Dopen ");
        assert_int_equal(fchmodat(d.fd, "closed", 0755, 0), 0);
        assert_int_equal(fchmodat(d.fd, "listed", 0755, 0), 0);
        oxl_buf_done(&text);
        scratch_done(&d);
}

static ssize_t failing_getdents(int fd, void *buf, size_t n)
{
        ssize_t r = oxl_sys_real.getdents(fd, buf, n);
        if (r != 0)
                return r;
        errno = EIO;
        return -1;
}

static void a_listing_that_fails_at_its_end_is_no_shorter_folder(void **state)
{
        struct scratch d;
        struct seen s;
        struct oxl_sys failing = oxl_sys_real;
        scratch_new(&d);
        scratch_mkdir(d.fd, "a");
        scratch_write(d.fd, "a/f", "");
        failing.getdents = failing_getdents;
        oxl_sys = &failing;
        ASSERT_WALK(d.fd, "a", "da", "!a");
        int r = walk(d.fd, "", &s);
        oxl_sys = &oxl_sys_real;
        assert_int_equal(r, -OXL_E_DIR_READ);
        scratch_done(&d);
}

static void what_changes_under_the_walk_is_left_out_or_an_error(void **state)
{
        struct scratch d;
        struct oxl_walk *w;
        struct oxl_walk_item item;
        scratch_new(&d);
        scratch_mkdir(d.fd, "a");
        scratch_mkdir(d.fd, "b");
        scratch_write(d.fd, "c", "");
        scratch_mkdir(d.fd, "target");
        scratch_write(d.fd, "target/secret", "");
        assert_int_equal(oxl_walk_new(d.fd, "", &w, NULL), 0);
        assert_int_equal(oxl_walk_next(w, &item, NULL), 0);
        assert_string_equal(item.path, "a");
        assert_int_equal(unlinkat(d.fd, "a", AT_REMOVEDIR), 0);
        assert_int_equal(oxl_walk_next(w, &item, NULL), 0);
        assert_string_equal(item.path, "b"); /* a second visit of a would be of nothing */
        assert_int_equal(unlinkat(d.fd, "b", AT_REMOVEDIR), 0);
        assert_int_equal(symlinkat("target", d.fd, "b"), 0);
        assert_int_equal(oxl_walk_next(w, &item, NULL), 0);
        assert_string_equal(item.path, "b");
        assert_non_null(item.error);
        assert_int_equal(item.error->code, OXL_E_PATH_CHANGED);
        assert_int_equal(unlinkat(d.fd, "c", 0), 0);
        assert_int_equal(oxl_walk_next(w, &item, NULL), 0);
        assert_string_equal(item.path, "target");
        oxl_walk_skip(w);
        assert_int_equal(oxl_walk_next(w, &item, NULL), 1);
        oxl_walk_free(w);
        scratch_done(&d);
}

static void leaving_ends_all_folders_from_a_length_on(void **state)
{
        struct scratch d;
        struct oxl_walk *w;
        struct oxl_walk_item item;
        scratch_new(&d);
        scratch_mkdir(d.fd, "ab");
        scratch_mkdir(d.fd, "ab/c");
        scratch_write(d.fd, "ab/c/1", "");
        scratch_write(d.fd, "ab/c/2", "");
        scratch_write(d.fd, "ab/d", "");
        scratch_write(d.fd, "e", "");
        assert_int_equal(oxl_walk_new(d.fd, "", &w, NULL), 0);
        do
                assert_int_equal(oxl_walk_next(w, &item, NULL), 0);
        while (strcmp(item.path, "ab/c/1") != 0);
        oxl_walk_leave(w, 2);
        assert_int_equal(oxl_walk_next(w, &item, NULL), 0);
        assert_string_equal(item.path, "e");
        assert_int_equal(oxl_walk_next(w, &item, NULL), 1);
        oxl_walk_free(w);
        scratch_done(&d);
}

/* --- the stat cache ------------------------------------------------------------------------------------------------ */

static bool cached(int64_t ctime_ns, int64_t mtime_ns, int64_t now_ns)
{
        struct stat st = { .st_mode = S_IFREG | 0644, .st_size = 1, .st_ino = 5 };
        st.st_ctim = (struct timespec){ ctime_ns / 1000000000, ctime_ns % 1000000000 };
        st.st_mtim = (struct timespec){ mtime_ns / 1000000000, mtime_ns % 1000000000 };
        struct timespec now = { now_ns / 1000000000, now_ns % 1000000000 };
        struct oxl_index_entry e = { .kind = OXL_ENTRY_FILE, .size = 1 };
        oxl_stat_fill(&st, &now, &e.stat);
        return oxl_stat_unchanged(&e, &st);
}

static void a_state_is_cached_only_when_a_later_change_would_show(void **state)
{
        const int64_t s = 1000000000, ms = 1000000, t = 1000 * s + 1;
        assert_true(cached(t, t, t + 51 * ms));
        assert_false(cached(t, t, t + 49 * ms));
        assert_false(cached(t, t, t));
        assert_false(cached(t + s, t, t));
        assert_false(cached(t, t + s, t)); /* times from the future prove nothing */
        assert_false(cached(t - s, t, t + 49 * ms));
        assert_false(cached(t, t - s, t + 49 * ms));
        assert_false(cached(1000 * s, t - s, 1001 * s + 900 * ms)); /* whole seconds */
        assert_true(cached(1000 * s, 999 * s, 1002 * s));
        assert_true(cached(1000 * s - 1, 5, 1000 * s + 60 * ms));
}

static void every_field_of_the_state_counts(void **state)
{
        struct stat st = { .st_mode = S_IFREG | 0644, .st_size = 1, .st_ino = 5, .st_dev = 6 }, other;
        st.st_ctim = st.st_mtim = (struct timespec){ 1000, 5 };
        struct oxl_index_entry e = { .kind = OXL_ENTRY_FILE, .size = 1 };
        assert_false(oxl_stat_unchanged(&e, &st));
        oxl_stat_fill(&st, &(struct timespec){ 2000, 0 }, &e.stat);
        assert_true(oxl_stat_unchanged(&e, &st));
#define ASSERT_COUNTS(field)                                  \
        do {                                                  \
                other = st;                                   \
                other.field++;                                \
                assert_false(oxl_stat_unchanged(&e, &other)); \
        } while (0)
        ASSERT_COUNTS(st_mode);
        ASSERT_COUNTS(st_size);
        ASSERT_COUNTS(st_ino);
        ASSERT_COUNTS(st_dev);
        ASSERT_COUNTS(st_mtim.tv_sec);
        ASSERT_COUNTS(st_mtim.tv_nsec);
        ASSERT_COUNTS(st_ctim.tv_sec);
        ASSERT_COUNTS(st_ctim.tv_nsec);
}

/* --- storing and comparing ------------------------------------------------------------------------------------------ */

struct store {
        struct scratch root, work;
        struct oxl_durable *durable;
        struct oxl_objects *objects;
        struct oxl_put *put;
};

static void store_new(struct store *s)
{
        oxl_digest_setup();
        scratch_new(&s->root);
        scratch_new(&s->work);
        assert_int_equal(oxl_durable_new(s->root.fd, s->root.path, 1, &s->durable, NULL), 0);
        scratch_mkdir(s->root.fd, "versions");
        scratch_mkdir(s->root.fd, "versions/files");
        scratch_mkdir(s->root.fd, "versions/packs");
        scratch_mkdir(s->root.fd, "versions/tmp");
        struct oxl_objects_config config = {
                .root_fd = s->root.fd,
                .blob_algo = OXL_ALGO_BLAKE3,
                .pack_threshold = 4096,
                .durable = s->durable,
        };
        assert_int_equal(oxl_objects_open(&config, &s->objects, NULL), 0);
        assert_int_equal(oxl_put_begin(s->objects, &s->put, NULL), 0);
}

static void store_done(struct store *s)
{
        oxl_put_free(s->put);
        oxl_objects_free(s->objects);
        oxl_durable_free(s->durable);
        scratch_done(&s->root);
        scratch_done(&s->work);
}

static int store(struct store *s, const char *name, struct oxl_index_entry *ret)
{
        int r = oxl_worktree_store(s->put, s->work.fd, name, name, NULL, ret, NULL);
        return r < 0 ? r : 0;
}

static int compare(struct store *s, const char *name, const struct oxl_index_entry *e)
{
        struct stat st = { 0 };
        assert_int_equal(fstatat(s->work.fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
        return oxl_worktree_compare(s->work.fd, name, name, &st, e, NULL, NULL);
}

static void files_executables_and_links_are_stored_and_found_equal(void **state)
{
        struct store s;
        struct oxl_index_entry e;
        store_new(&s);
        char *big = malloc(10001);
        memset(big, 'b', 10000);
        big[10000] = 0;
        static const struct {
                const char *name, *text;
                mode_t mode;
                enum oxl_entry_kind kind;
        } files[] = { { "plain", "content", 0644, OXL_ENTRY_FILE },
                      { "run", "content", 0700, OXL_ENTRY_EXECUTABLE },
                      { "group", "content", 0614, OXL_ENTRY_FILE }, /* only the owner's bit counts */
                      { "empty", "", 0600, OXL_ENTRY_FILE },
                      { "loose", NULL, 0600, OXL_ENTRY_FILE } };
        for (size_t i = 0; i < OXL_ARRAY_LEN(files); i++) {
                const char *text = files[i].text ? files[i].text : big;
                scratch_write(s.work.fd, files[i].name, text);
                assert_int_equal(fchmodat(s.work.fd, files[i].name, files[i].mode, 0), 0);
                assert_int_equal(store(&s, files[i].name, &e), 0);
                struct oxl_digest id = oxl_digest_of(OXL_ALGO_BLAKE3, text, strlen(text));
                assert_true(oxl_digest_equal(&e.id, &id));
                assert_int_equal(e.kind, files[i].kind);
                assert_int_equal(e.size, strlen(text));
                assert_true(e.staged);
                assert_string_equal(e.path, files[i].name);
                assert_int_equal(compare(&s, files[i].name, &e), 0);
        }
        char target[2000];
        memset(target, 't', sizeof target);
        target[sizeof target - 1] = 0;
        assert_int_equal(symlinkat(target, s.work.fd, "link"), 0);
        assert_int_equal(store(&s, "link", &e), 0);
        struct oxl_digest id = oxl_digest_of(OXL_ALGO_BLAKE3, target, strlen(target));
        assert_true(oxl_digest_equal(&e.id, &id));
        assert_int_equal(e.kind, OXL_ENTRY_SYMLINK);
        assert_int_equal(e.size, strlen(target));
        assert_int_equal(compare(&s, "link", &e), 0);
        free(big);
        store_done(&s);
}

static void what_differs_is_different(void **state)
{
        struct store s;
        struct oxl_index_entry e, link;
        store_new(&s);
        scratch_write(s.work.fd, "f", "one");
        assert_int_equal(symlinkat("one", s.work.fd, "l"), 0);
        assert_int_equal(store(&s, "f", &e), 0);
        assert_int_equal(store(&s, "l", &link), 0);
        scratch_write(s.work.fd, "same", "one");
        assert_int_equal(compare(&s, "same", &e), 0);
        scratch_write(s.work.fd, "longer", "onetwo");
        assert_int_equal(compare(&s, "longer", &e), 1);
        scratch_write(s.work.fd, "other", "two");
        assert_int_equal(compare(&s, "other", &e), 1);
        assert_int_equal(fchmodat(s.work.fd, "same", 0755, 0), 0);
        assert_int_equal(compare(&s, "same", &e), 1);
        assert_int_equal(compare(&s, "l", &e), 1); /* the same bytes, another kind */
        assert_int_equal(compare(&s, "f", &link), 1);
        assert_int_equal(symlinkat("two", s.work.fd, "l2"), 0);
        assert_int_equal(compare(&s, "l2", &link), 1);
        assert_int_equal(mkfifoat(s.work.fd, "fifo", 0644), 0);
        assert_int_equal(compare(&s, "fifo", &e), 1);
        scratch_mkdir(s.work.fd, "dir");
        assert_int_equal(compare(&s, "dir", &e), 1);
        struct stat st;
        assert_int_equal(fstatat(s.work.fd, "f", &st, 0), 0);
        e.stat = (struct oxl_stat){ 0 };
        assert_int_equal(unlinkat(s.work.fd, "f", 0), 0);
        assert_int_equal(oxl_worktree_compare(s.work.fd, "f", "f", &st, &e, NULL, NULL), 1);
        store_done(&s);
}

static void special_and_missing_paths_are_refused_by_name(void **state)
{
        struct store s;
        struct oxl_index_entry e;
        struct oxl_error err = OXL_ERROR_INIT;
        store_new(&s);
        assert_int_equal(mkfifoat(s.work.fd, "fifo", 0644), 0);
        make_socket(&s.work, "socket");
        scratch_mkdir(s.work.fd, "dir");
        assert_int_equal(store(&s, "nothing", &e), -OXL_E_PATH_NOT_FOUND);
        assert_int_equal(store(&s, "dir", &e), -OXL_E_PATH_SPECIAL);
        assert_int_equal(store(&s, "socket", &e), -OXL_E_PATH_SPECIAL);
        assert_int_equal(oxl_worktree_store(s.put, s.work.fd, "fifo", "x/fifo", NULL, &e, &err), -OXL_E_PATH_SPECIAL);
        assert_string_equal(err.path[0], "x/fifo");
        assert_string_equal(err.detail, "a FIFO");
        oxl_error_done(&err);
        store_done(&s);
}

static int (*change_before_open)(int dirfd);

static int changing_openat(int dirfd, const char *path, int flags, mode_t mode)
{
        if (strcmp(path, "f") == 0 && change_before_open)
                assert_int_equal(change_before_open(dirfd), 0);
        return oxl_sys_real.openat(dirfd, path, flags, mode);
}

static int becomes_link(int dirfd)
{
        return unlinkat(dirfd, "f", 0) | symlinkat("elsewhere", dirfd, "f");
}

static int becomes_fifo(int dirfd)
{
        return unlinkat(dirfd, "f", 0) | mkfifoat(dirfd, "f", 0644);
}

static void a_file_that_turns_into_something_else_is_neither_followed_nor_waited_for(void **state)
{
        struct store s;
        struct oxl_index_entry e;
        struct oxl_sys changing = oxl_sys_real;
        int (*const changes[])(int) = { becomes_link, becomes_fifo };
        store_new(&s);
        scratch_write(s.work.fd, "elsewhere", "secret");
        changing.openat = changing_openat;
        for (size_t i = 0; i < OXL_ARRAY_LEN(changes); i++) {
                OXL_IGNORE(unlinkat(s.work.fd, "f", 0), "absent the first time");
                scratch_write(s.work.fd, "f", "content");
                change_before_open = changes[i];
                oxl_sys = &changing;
                int r = store(&s, "f", &e);
                oxl_sys = &oxl_sys_real;
                assert_int_equal(r, -OXL_E_PATH_CHANGED);
        }
        store_done(&s);
}

/* Files and the clock have the times that the test says. */
static struct timespec file_time, clock_time;

static int fixed_fstatat(int dirfd, const char *path, struct stat *ret, int flags)
{
        int r = oxl_sys_real.fstatat(dirfd, path, ret, flags);
        ret->st_mtim = ret->st_ctim = file_time;
        return r;
}

static int fixed_fstat(int fd, struct stat *ret)
{
        int r = oxl_sys_real.fstat(fd, ret);
        ret->st_mtim = ret->st_ctim = file_time;
        return r;
}

static int fixed_clock(clockid_t clock, struct timespec *ret)
{
        *ret = clock_time;
        return 0;
}

static int compare_fixed(struct store *s, const char *name, const struct oxl_index_entry *e)
{
        struct stat st = { 0 };
        assert_int_equal(oxl_fd_stat_at(s->work.fd, name, &st), 0);
        return oxl_worktree_compare(s->work.fd, name, name, &st, e, NULL, NULL);
}

static void a_file_changed_again_within_the_same_time_is_seen_as_changed(void **state)
{
        struct store s;
        struct oxl_index_entry e;
        struct oxl_sys fixed = oxl_sys_real;
        store_new(&s);
        fixed.fstatat = fixed_fstatat;
        fixed.fstat = fixed_fstat;
        fixed.clock_gettime = fixed_clock;
        file_time = (struct timespec){ 5000, 123456789 };
        clock_time = (struct timespec){ 5000, 130000000 };
        oxl_sys = &fixed;
        scratch_write(s.work.fd, "f", "aaaa");
        int stored = store(&s, "f", &e);
        scratch_write(s.work.fd, "f", "bbbb"); /* same inode, size, times */
        int racy = compare_fixed(&s, "f", &e);
        /* long after: cached, so the file is not read, which is the whole point of the cache */
        clock_time.tv_sec++;
        int stored_again = store(&s, "f", &e);
        scratch_write(s.work.fd, "f", "cccc");
        int trusted = compare_fixed(&s, "f", &e);
        oxl_sys = &oxl_sys_real;
        assert_int_equal(stored, 0);
        assert_int_equal(racy, 1);
        assert_int_equal(stored_again, 0);
        assert_int_equal(trusted, 0);
        store_done(&s);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(items_come_in_the_order_of_paths),
                cmocka_unit_test(a_walk_may_begin_anywhere),
                cmocka_unit_test(repositories_and_temps_are_skipped_by_name),
                cmocka_unit_test(special_files_are_seen_and_never_opened),
                cmocka_unit_test(folders_without_files_are_empty_at_every_level),
                cmocka_unit_test(paths_longer_than_the_kernels_limit_are_walked),
                cmocka_unit_test(deep_trees_take_few_descriptors),
                cmocka_unit_test(what_is_too_deep_or_too_long_is_an_error_of_that_item),
                cmocka_unit_test(folders_that_cannot_be_read_are_errors_of_their_own),
                cmocka_unit_test(a_listing_that_fails_at_its_end_is_no_shorter_folder),
                cmocka_unit_test(what_changes_under_the_walk_is_left_out_or_an_error),
                cmocka_unit_test(leaving_ends_all_folders_from_a_length_on),
                cmocka_unit_test(a_state_is_cached_only_when_a_later_change_would_show),
                cmocka_unit_test(every_field_of_the_state_counts),
                cmocka_unit_test(files_executables_and_links_are_stored_and_found_equal),
                cmocka_unit_test(what_differs_is_different),
                cmocka_unit_test(special_and_missing_paths_are_refused_by_name),
                cmocka_unit_test(a_file_that_turns_into_something_else_is_neither_followed_nor_waited_for),
                cmocka_unit_test(a_file_changed_again_within_the_same_time_is_seen_as_changed),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}

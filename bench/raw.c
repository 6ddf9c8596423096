/* SPDX-License-Identifier: MIT */
/*
 * bench-raw: what the machine can do at best, without any promise of a store.
 *
 *   bench-raw pack DIR OUT     walk, read, BLAKE3, append everything to one file, fsync: the limit of a first commit
 *   bench-raw copy FILE OUT    read, BLAKE3, write with early writeback, fsync: the limit of storing one large file
 *   bench-raw read DIR|FILE    walk, read, BLAKE3: the limit of fsck
 *   bench-raw stat DIR         walk and one lstat for each: the limit of status
 *   bench-raw drop DIR|FILE    takes its pages from the cache (for those who are not root)
 *   bench-raw prime BYTES      touches that much memory: on a virtual machine a page that the host has not yet given
 *                              costs 10 times its use, and whoever runs first would pay for all
 *   bench-raw meter OUT CMD... runs CMD and writes its wall and CPU time, peak memory and bytes moved to OUT as JSON
 *
 * Files below DIR are shared among as many threads as there are processors, at most 8. A name `.oxen-lite` is left out.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <blake3.h>

enum { PIECE = 256 << 10, STEP = 8 << 20, THREADS_MAX = 8 };

struct list {
        char **paths;
        size_t n, cap;
};

struct job {
        const struct list *list;
        int out; /* -1: only read */
        bool drop;
        atomic_size_t next;
        atomic_ullong at, bytes;
};

static void die(const char *what)
{
        fprintf(stderr, "bench-raw: %s: %s\n", what, strerror(errno));
        exit(1);
}

/* --- the walk --------------------------------------------------------------------------------------------------- */

static void add(struct list *l, char *path)
{
        if (l->n == l->cap) {
                l->cap = l->cap ? 2 * l->cap : 1024;
                l->paths = realloc(l->paths, l->cap * sizeof(char *));
                if (!l->paths)
                        die("memory");
        }
        l->paths[l->n++] = path;
}

/* Visits the directory @fd, which is taken. With @list the paths of its files are kept, else each is examined. */
static size_t walk(int fd, const char *path, struct list *list)
{
        DIR *d = fdopendir(fd);
        struct dirent *e;
        size_t n = 0;
        if (!d)
                die(path);
        while ((e = readdir(d))) {
                char *below;
                if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || strcmp(e->d_name, ".oxen-lite") == 0)
                        continue;
                if (e->d_type != DT_DIR && !list) {
                        struct stat st;
                        n += fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0;
                        continue;
                }
                if (asprintf(&below, "%s/%s", path, e->d_name) < 0)
                        die("memory");
                if (e->d_type != DT_DIR) {
                        add(list, below);
                        n++;
                        continue;
                }
                int sub = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
                if (sub < 0)
                        die(below);
                n += walk(sub, below, list);
                free(below);
        }
        closedir(d);
        return n;
}

static size_t collect(const char *path, struct list *list)
{
        int fd = open(path, O_RDONLY | O_DIRECTORY);
        if (fd >= 0)
                return walk(fd, path, list);
        if (list)
                add(list, strdup(path));
        return 1;
}

/* --- reading, hashing, writing ----------------------------------------------------------------------------------- */

static void write_at(int fd, const uint8_t *p, size_t n, uint64_t at)
{
        while (n > 0) {
                ssize_t w = pwrite(fd, p, n, (off_t)at);
                if (w <= 0)
                        die("write");
                p += w;
                at += (uint64_t)w;
                n -= (size_t)w;
        }
}

static void append(struct job *j, const uint8_t *p, size_t n)
{
        uint64_t at = atomic_fetch_add(&j->at, n);
        write_at(j->out, p, n, at);
        if (at / STEP != (at + n) / STEP)
                sync_file_range(j->out, (off_t)(at / STEP * STEP), STEP, SYNC_FILE_RANGE_WRITE);
}

static void one_file(struct job *j, const char *path, uint8_t *piece)
{
        blake3_hasher h;
        uint8_t digest[BLAKE3_OUT_LEN];
        ssize_t n;
        int fd = open(path, O_RDONLY);
        if (fd < 0)
                die(path);
        if (j->drop) {
                posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
                close(fd);
                return;
        }
        blake3_hasher_init(&h);
        while ((n = read(fd, piece, PIECE)) > 0) {
                blake3_hasher_update(&h, piece, (size_t)n);
                if (j->out >= 0)
                        append(j, piece, (size_t)n);
                atomic_fetch_add(&j->bytes, (unsigned long long)n);
                if (n < PIECE)
                        break;
        }
        if (n < 0)
                die(path);
        blake3_hasher_finalize(&h, digest, sizeof digest);
        close(fd);
}

static void *work(void *ctx)
{
        struct job *j = ctx;
        uint8_t *piece = malloc(PIECE);
        if (!piece)
                die("memory");
        for (size_t i; (i = atomic_fetch_add(&j->next, 1)) < j->list->n;)
                one_file(j, j->list->paths[i], piece);
        free(piece);
        return NULL;
}

static void run_job(struct job *j)
{
        pthread_t threads[THREADS_MAX];
        long n = sysconf(_SC_NPROCESSORS_ONLN);
        n = n < 1 ? 1 : n > THREADS_MAX ? THREADS_MAX : n;
        blake3_hasher h; /* its choice of SIMD code is made before there are threads */
        uint8_t block[2048] = { 0 }, digest[BLAKE3_OUT_LEN];
        blake3_hasher_init(&h);
        blake3_hasher_update(&h, block, sizeof block);
        blake3_hasher_finalize(&h, digest, sizeof digest);
        for (long i = 0; i < n; i++)
                if (pthread_create(&threads[i], NULL, work, j) != 0)
                        die("thread");
        for (long i = 0; i < n; i++)
                pthread_join(threads[i], NULL);
}

static int all(const char *from, const char *to, bool drop)
{
        struct list list = { 0 };
        struct job j = { .list = &list, .out = -1, .drop = drop };
        collect(from, &list);
        if (to && (j.out = open(to, O_WRONLY | O_CREAT | O_EXCL, 0644)) < 0)
                die(to);
        run_job(&j);
        if (to && (fsync(j.out) < 0 || close(j.out) < 0))
                die(to);
        printf("%zu files, %llu bytes\n", list.n, (unsigned long long)atomic_load(&j.bytes));
        return 0;
}

static int copy(const char *from, const char *to)
{
        struct list list = { 0 };
        struct job j = { .list = &list };
        struct stat st;
        uint8_t *piece = malloc(PIECE);
        if (!piece || stat(from, &st) < 0)
                die(from);
        j.out = open(to, O_WRONLY | O_CREAT | O_EXCL, 0644);
        if (j.out < 0)
                die(to);
        if (fallocate(j.out, FALLOC_FL_KEEP_SIZE, 0, st.st_size) < 0 && errno == ENOSPC)
                die(to);
        one_file(&j, from, piece);
        if (fsync(j.out) < 0 || close(j.out) < 0)
                die(to);
        free(piece);
        return 0;
}

static int prime(uint64_t bytes)
{
        for (uint64_t at = 0; at < bytes; at += STEP) {
                uint8_t *p = malloc(STEP);
                if (!p)
                        break;
                for (size_t i = 0; i < STEP; i += 4096)
                        *(volatile uint8_t *)(p + i) = 1;
        }
        return 0; /* the kernel gets it all back at the end */
}

/* --- the meter --------------------------------------------------------------------------------------------------- */

static double seconds_of(const struct timeval *t)
{
        return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

/* A field of /proc/PID/io of an ended process that nobody has waited for: its children's are in it. */
static unsigned long long io_of(pid_t pid, const char *field)
{
        char path[64], line[128];
        unsigned long long value = 0;
        snprintf(path, sizeof path, "/proc/%d/io", (int)pid);
        FILE *f = fopen(path, "r");
        while (f && fgets(line, sizeof line, f))
                if (strncmp(line, field, strlen(field)) == 0)
                        value = strtoull(line + strlen(field) + 1, NULL, 10);
        if (f)
                fclose(f);
        return value;
}

static int meter(const char *out, char **command)
{
        struct timespec a, b;
        struct rusage use;
        siginfo_t info;
        int status;
        clock_gettime(CLOCK_MONOTONIC, &a);
        pid_t pid = fork();
        if (pid == 0) {
                execvp(command[0], command);
                die(command[0]);
        }
        if (pid < 0 || waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) < 0)
                die("wait");
        clock_gettime(CLOCK_MONOTONIC, &b);
        unsigned long long written = io_of(pid, "write_bytes:"), read = io_of(pid, "read_bytes:");
        if (wait4(pid, &status, 0, &use) < 0)
                die("wait");
        FILE *f = fopen(out, "w");
        if (!f)
                die(out);
        double wall = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
        fprintf(f,
                "{\"wall\": %.6f, \"user\": %.6f, \"sys\": %.6f, \"peak_kib\": %ld, \"written\": %llu, \"read\": %llu}\n",
                wall, seconds_of(&use.ru_utime), seconds_of(&use.ru_stime), use.ru_maxrss, written, read);
        fclose(f);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

int main(int argc, char **argv)
{
        const char *verb = argc > 2 ? argv[1] : "";
        if (strcmp(verb, "pack") == 0 && argc == 4)
                return all(argv[2], argv[3], false);
        if (strcmp(verb, "copy") == 0 && argc == 4)
                return copy(argv[2], argv[3]);
        if (strcmp(verb, "read") == 0)
                return all(argv[2], NULL, false);
        if (strcmp(verb, "drop") == 0)
                return all(argv[2], NULL, true);
        if (strcmp(verb, "prime") == 0)
                return prime(strtoull(argv[2], NULL, 10));
        if (strcmp(verb, "stat") == 0) {
                printf("%zu\n", collect(argv[2], NULL));
                return 0;
        }
        if (strcmp(verb, "meter") == 0 && argc > 3)
                return meter(argv[2], argv + 3);
        fprintf(stderr, "usage: see the head of raw.c\n");
        return 2;
}

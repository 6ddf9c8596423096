/* SPDX-License-Identifier: MIT */
/*
 * The regression runner of a fuzz target: feeds it every seed, and then a fixed number of mutations of them that are the same
 * in every run.
 *
 *      <program> COUNT CRASH-FILE SEED-FOLDER...
 *
 * The input that breaks the target is left in CRASH-FILE (also when a sanitizer ends the program, if it is told to abort).
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz/fuzz.h"

enum { INPUT_MAX = 1 << 16, FUZZ_ALLOCATION_MAX = 4 << 20, SEEDS_MAX = 4096, STEPS_MAX = 5 };

struct input {
        uint8_t *data;
        size_t len;
};

static struct input seeds[SEEDS_MAX];
static size_t n_seeds;

static const char *arg_crash_file;
static struct input current;

int __attribute__((weak)) LLVMFuzzerInitialize(int *argc, char ***argv)
{
        (void)argc;
        (void)argv;
        return 0;
}

static void keep_input(int sig)
{
        signal(sig, SIG_DFL);
        int fd = open(arg_crash_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd >= 0 && write(fd, current.data, current.len) == (ssize_t)current.len) {
                static const char text[] = "the input is in the crash file\n";
                OXL_IGNORE(write(STDERR_FILENO, text, sizeof text - 1) < 0, "there is nowhere else to say it");
        }
        raise(sig);
}

/* --- memory ------------------------------------------------------------------------------------------------------ */

/* Of the sanitizers; NULL without one. */
int __attribute__((weak)) __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
                                                                    void (*on_free)(const volatile void *));

/* No field of an input says how much to allocate before it was compared with what is there. */
static void look_at_malloc(const volatile void *p, size_t n)
{
        static const char text[] = "broken: one allocation is much larger than the input\n";
        (void)p;
        if (n <= FUZZ_ALLOCATION_MAX)
                return;
        OXL_IGNORE(write(STDERR_FILENO, text, sizeof text - 1) < 0, "there is nowhere else to say it");
        abort();
}

static void look_at_free(const volatile void *p)
{
        (void)p;
}

static void limit_memory(void)
{
        if (__sanitizer_install_malloc_and_free_hooks)
                FUZZ_REQUIRE(__sanitizer_install_malloc_and_free_hooks(look_at_malloc, look_at_free) > 0);
}

/* The target gets a copy that ends where the input ends. */
static void run_one(const uint8_t *data, size_t n)
{
        current = (struct input){ fuzz_copy(data, n), n };
        FUZZ_REQUIRE(LLVMFuzzerTestOneInput(current.data, n) == 0);
        free(current.data);
        current = (struct input){ NULL, 0 };
}

/* --- seeds ----------------------------------------------------------------------------------------------------- */

static void load_file(const char *path)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        struct stat st;
        FUZZ_REQUIRE(fd >= 0 && fstat(fd, &st) == 0);
        FUZZ_REQUIRE(st.st_size <= INPUT_MAX && n_seeds < SEEDS_MAX);
        struct input in = { malloc((size_t)st.st_size + 1), (size_t)st.st_size };
        FUZZ_REQUIRE(in.data && read(fd, in.data, in.len) == (ssize_t)in.len);
        close(fd);
        seeds[n_seeds++] = in;
}

static void load_folder(const char *folder)
{
        struct dirent **list;
        int n = scandir(folder, &list, NULL, alphasort);
        if (n < 0) /* not every target has committed seeds */
                return;
        for (int i = 0; i < n; i++) {
                char path[4096];
                if (list[i]->d_name[0] != '.') {
                        snprintf(path, sizeof path, "%s/%s", folder, list[i]->d_name);
                        load_file(path);
                }
                free(list[i]);
        }
        free(list);
}

/* --- mutations ------------------------------------------------------------------------------------------------- */

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
        uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        return z ^ z >> 31;
}

static size_t below(uint64_t *state, size_t n)
{
        return n > 0 ? (size_t)(next_random(state) % n) : 0;
}

/* A value at the edge of something, in 2, 4 or 8 bytes. */
static void put_edge(uint64_t *state, uint8_t *data, size_t len)
{
        static const uint64_t edges[] = { 0,
                                          1,
                                          2,
                                          7,
                                          8,
                                          31,
                                          32,
                                          63,
                                          64,
                                          96,
                                          127,
                                          128,
                                          255,
                                          256,
                                          1023,
                                          1024,
                                          1025,
                                          4096,
                                          32767,
                                          32768,
                                          65535,
                                          65536,
                                          INT32_MAX,
                                          UINT32_MAX,
                                          UINT32_MAX - 7,
                                          UINT64_C(1) << 40,
                                          INT64_MAX,
                                          UINT64_C(1) << 63,
                                          UINT64_MAX - 7,
                                          UINT64_MAX };
        uint64_t v = edges[below(state, sizeof edges / sizeof edges[0])];
        size_t width = (size_t)2 << below(state, 3);
        if (len < width)
                return;
        uint8_t *at = data + below(state, len - width + 1);
        if (width == 2)
                le_store16(at, (uint16_t)v);
        else if (width == 4)
                le_store32(at, (uint32_t)v);
        else
                le_store64(at, v);
}

/* Moves the bytes from @from on to @to: cuts something out, or repeats it. */
static size_t move(uint64_t *state, uint8_t *data, size_t len)
{
        size_t from = below(state, len + 1), to = below(state, len + 1), n = len - from;
        if (n > INPUT_MAX - to)
                n = INPUT_MAX - to;
        memmove(data + to, data + from, n);
        return to + n;
}

/* Puts a part of another seed over, or into, the input. */
static size_t paste(uint64_t *state, uint8_t *data, size_t len)
{
        const struct input *other = seeds + below(state, n_seeds);
        size_t from = below(state, other->len + 1), n = below(state, other->len - from + 1);
        size_t at = below(state, len + 1);
        if (n > INPUT_MAX - len)
                n = INPUT_MAX - len;
        if (next_random(state) & 1) {
                memmove(data + at + n, data + at, len - at);
                len += n;
        }
        if (n > 0)
                memcpy(data + at, other->data + from, n);
        return at + n > len ? at + n : len;
}

static size_t mutate(uint64_t *state, uint8_t *data, size_t len)
{
        switch (below(state, 8)) {
        case 0:
        case 1:
                if (len > 0)
                        data[below(state, len)] ^= (uint8_t)(1u << below(state, 8));
                return len;
        case 2:
        case 3:
                if (len > 0)
                        data[below(state, len)] = (uint8_t)next_random(state);
                return len;
        case 4: put_edge(state, data, len); return len;
        case 5: return below(state, len + 1);
        case 6: return move(state, data, len);
        default: return paste(state, data, len);
        }
}

static void run_mutations(uint64_t count)
{
        uint8_t *data = malloc(INPUT_MAX);
        FUZZ_REQUIRE(data);
        for (uint64_t i = 0; i < count; i++) {
                const struct input *seed = seeds + i % n_seeds;
                uint64_t state = i;
                size_t len = seed->len;
                if (len > 0)
                        memcpy(data, seed->data, len);
                for (size_t steps = 1 + below(&state, STEPS_MAX); steps > 0; steps--)
                        len = mutate(&state, data, len);
                run_one(data, len);
        }
        free(data);
}

int main(int argc, char **argv)
{
        if (argc < 4) {
                fprintf(stderr, "usage: %s COUNT CRASH-FILE SEED-FOLDER...\n", argv[0]);
                return 2;
        }
        uint64_t count = strtoull(argv[1], NULL, 10);
        arg_crash_file = argv[2];
        if (getenv("OXL_DEEP"))
                count *= 20;
        for (int i = 3; i < argc; i++)
                load_folder(argv[i]);
        if (n_seeds == 0) {
                fprintf(stderr, "%s: there are no seeds\n", argv[0]);
                return 1;
        }
        signal(SIGABRT, keep_input);
        FUZZ_REQUIRE(LLVMFuzzerInitialize(&argc, &argv) == 0);
        limit_memory();
        run_one(NULL, 0);
        for (size_t i = 0; i < n_seeds; i++)
                run_one(seeds[i].data, seeds[i].len);
        uint64_t accepted = fuzz_accepted;
        FUZZ_REQUIRE(accepted > 0);
        run_mutations(count);
        printf("%zu seeds (accepted %llu times), %llu mutations (%llu times)\n", n_seeds, (unsigned long long)accepted,
               (unsigned long long)count, (unsigned long long)(fuzz_accepted - accepted));
        for (size_t i = 0; i < n_seeds; i++)
                free(seeds[i].data);
        return 0;
}

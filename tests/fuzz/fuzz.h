/* SPDX-License-Identifier: MIT */
/*
 * What the fuzz targets share. A target is one file, fuzz_<name>.c, with LLVMFuzzerTestOneInput: it hands bytes to one
 * decoder and demands what the format promises (round trips, order, typed errors). A broken promise aborts.
 *
 * Each target is linked twice: with driver.c, which replays the seeds and a fixed number of mutations of them (part of the
 * normal test run), and with libFuzzer (preset `fuzz`).
 *
 * A decoder allocates no more than its input is long, and a fixed amount: driver.c and run.sh end a program that asks for more
 * at once, whatever the input says.
 *
 * Seals and checksums are put right by the targets before the decoder sees the bytes; a fuzzer would never get past them,
 * and they are no defence against whoever can compute them.
 */
#ifndef OXL_TESTS_FUZZ_H
#define OXL_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/le.h"
#include "digest/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Runs before the first input; the targets that need it define it. */
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define FUZZ_REQUIRE(cond) ((cond) ? (void)0 : fuzz_broken(#cond, __FILE__, __LINE__))
_Noreturn void fuzz_broken(const char *what, const char *file, int line);

/* The repository that all inputs belong to. */
extern const struct oxl_repo_id fuzz_repo;

/* Did the call fail? Then it must have said so properly, and neither memory nor the system may be the reason: the inputs are
 * small and lie in memory. Empties @err. */
bool fuzz_failed(int result, struct oxl_error *err);

/* Inputs that a decoder took for good: the seeds must be among them, or the target tests nothing. */
extern uint64_t fuzz_accepted;

/* Copies that are exactly as long as they say, so that a sanitizer sees reads behind the end; the text is NUL-ended. To be
 * freed. */
uint8_t *fuzz_copy(const void *bytes, size_t n);
char *fuzz_text(const void *bytes, size_t n);

/* An unnamed file with this content. */
int fuzz_file(const void *bytes, size_t n);

/* A new folder, on a memory disk where there is one; it goes when the program ends. Aborts when it cannot be made. */
const char *fuzz_place(void);
/* The file @name below it has this content. */
void fuzz_put(const char *place, const char *name, const void *bytes, size_t n);

/* From now on opening @path (below any directory) finds this content (borrowed) and every path that is not served is
 * absent, until fuzz_serve_end. At most four. */
void fuzz_serve(const char *path, struct oxl_bytes content);
void fuzz_serve_end(void);

/* The seal of @n pieces of body. */
struct oxl_digest fuzz_seal(const char *kind, const char *path, const struct oxl_bytes *pieces, size_t n);

#endif

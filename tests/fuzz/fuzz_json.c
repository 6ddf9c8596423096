/* SPDX-License-Identifier: MIT */
/* The JSON layer: what it parses it prints, and the print is a fixed point; every getter may be asked anything. A file name
 * of any bytes survives printing and parsing. */
#include <oxenlite/json.h>

#include "fuzz/fuzz.h"

enum { DEPTH_MAX = 64 };

static void json_done(struct oxl_json **j)
{
        oxl_json_free(*j);
}
#define cleanup_json cleanup(json_done)

static void ask_all(const struct oxl_json *object, const char *key)
{
        uint64_t u;
        int64_t i;
        bool b;
        char *name = NULL;
        size_t n = 0;
        const char *text = oxl_json_get_string(object, key);
        FUZZ_REQUIRE(text == oxl_json_text(oxl_json_get(object, key)));
        FUZZ_REQUIRE(!oxl_json_get_u64(object, key, &u) || text);
        FUZZ_REQUIRE(!oxl_json_get_int(object, key, &i) || (i <= INT64_C(1) << 53 && i >= -(INT64_C(1) << 53)));
        FUZZ_REQUIRE(!oxl_json_get_bool(object, key, &b) || !text);
        FUZZ_REQUIRE(!oxl_json_is_null(object, key) || !text);
        if (oxl_json_get_name(object, key, &name, &n))
                FUZZ_REQUIRE(text && name[n] == 0);
        free(name);
}

static void visit(const struct oxl_json *j, unsigned depth)
{
        char *name = NULL;
        size_t n = 0, seen = 0, pos = 0;
        const char *key;
        const struct oxl_json *value;
        FUZZ_REQUIRE(depth <= DEPTH_MAX);
        if (oxl_json_name_bytes(j, &name, &n))
                FUZZ_REQUIRE(name[n] == 0);
        free(name);
        for (; oxl_json_member(j, &pos, &key, &value); seen++) {
                if (key) {
                        FUZZ_REQUIRE(oxl_json_get(j, key) == value);
                        ask_all(j, key);
                }
                visit(value, depth + 1);
        }
        FUZZ_REQUIRE(seen == oxl_json_size(j) && oxl_json_at(j, seen) == NULL);
        ask_all(j, "path");
}

static void check_text(const uint8_t *data, size_t size)
{
        cleanup_error struct oxl_error err = OXL_ERROR_INIT;
        cleanup_json struct oxl_json *j = NULL, *again = NULL;
        cleanup_free char *printed = NULL, *twice = NULL;
        if (fuzz_failed(oxl_json_parse((const char *)data, size, "input", &j, &err), &err))
                return;
        fuzz_accepted++;
        visit(j, 0);
        FUZZ_REQUIRE(oxl_json_print(j, &printed, NULL) == 0);
        FUZZ_REQUIRE(oxl_json_parse(printed, strlen(printed), "printed", &again, NULL) == 0);
        FUZZ_REQUIRE(oxl_json_print(again, &twice, NULL) == 0);
        FUZZ_REQUIRE(strcmp(printed, twice) == 0);
}

static void check_name(const uint8_t *data, size_t size)
{
        cleanup_json struct oxl_json *j = oxl_json_object(), *again = NULL;
        cleanup_free char *printed = NULL, *name = NULL, *item = NULL;
        size_t n = 0, item_n = 0;
        struct oxl_json *list = oxl_json_array();
        oxl_json_set_name(j, "path", (const char *)data, size);
        oxl_json_append(list, oxl_json_name((const char *)data, size));
        oxl_json_set(j, "list", list);
        FUZZ_REQUIRE(oxl_json_print(j, &printed, NULL) == 0);
        FUZZ_REQUIRE(oxl_json_parse(printed, strlen(printed), "names", &again, NULL) == 0);
        FUZZ_REQUIRE(oxl_json_get_name(again, "path", &name, &n));
        FUZZ_REQUIRE(n == size && memcmp(name, data, n) == 0);
        FUZZ_REQUIRE(oxl_json_name_bytes(oxl_json_at(oxl_json_get(again, "list"), 0), &item, &item_n));
        FUZZ_REQUIRE(item_n == size && memcmp(item, data, item_n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (!data) /* NULL is no text */
                return 0;
        check_text(data, size);
        check_name(data, size);
        return 0;
}
